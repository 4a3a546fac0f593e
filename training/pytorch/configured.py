"""A torch model under the configuration of a run: device, levels, tile, effects, engine, rule, prices."""

__all__ = ["Configured", "configured"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from ...data.errors import InputError
from ...devices.pulses.costs import Pricing
from ..runs.build import crossbar_of, window_of, write_costs, write_note
from ..runs.config import FITTED, RunConfig, load_config
from ..runs.listener import Steps
from ..runs.setup import Setup, fitted
from .convert import convert
from .optimiser import SiameseOptimizer


@dataclass(frozen=True)
class Configured:
    """A model on tiles, and what its configuration says of the training."""

    model: nn.Module
    """The model, converted; its weights are the float twin's."""
    setup: Setup
    """What the configuration stands for; it has no data and no network of its own."""
    costs: Pricing
    """What writes cost."""

    def optimiser(self, inner: torch.optim.Optimizer | None = None) -> SiameseOptimizer:
        """Return the optimiser that writes the devices by the configured rule.

        Parameters
        ----------
        inner
            What moves the float weights, made from the parameters of :attr:`model`; by default what
            ``[training]`` says: ``optimiser``, ``learning_rate`` and ``momentum``.
        """
        config = self.setup.config
        options = config.training
        if inner is None:
            parameters = list(self.model.parameters())
            if options.optimiser == "adam":
                inner = torch.optim.Adam(parameters, options.rate(), (options.momentum, 0.999))
            else:
                inner = torch.optim.SGD(parameters, options.rate(), options.momentum)
        return SiameseOptimizer(
            self.model,
            inner,
            self.costs,
            options.of_rule,
            rule=options.rule,
            seed=config.seed,
            reverify=options.reverify,
            verified=options.verified,
        )


def configured(
    model: nn.Module,
    config: str | Path | RunConfig,
    *,
    changes: Sequence[str] = (),
    characterisation: str | Path | None = None,
    digital: Sequence[str] = (),
    say: Callable[[str], None] | None = print,
) -> Configured:
    """Return ``model`` on the tiles of a configuration, as ``memtwin run`` would have them.

    Parameters
    ----------
    model
        Any module; weights that it has are the start. Of ``[network]`` and ``[data]`` only
        ``network.modules`` counts here, which says where the weights of layers are.
    config
        A preset's name, a TOML file, or a configuration.
    changes
        Keys to change, such as ``"device.levels=8"``.
    characterisation
        Record of the same device and tile, for the engines ``surrogate`` and ``line``; made there if
        it is not there yet.
    digital, say
        As for :func:`.convert.convert`.

    Returns
    -------
    Configured
        The converted model, and an :meth:`~Configured.optimiser` for it.

    Raises
    ------
    InputError
        If the configuration can't be met, ``changes`` come with a configuration, or no layer of the
        model can go on tiles.
    EngineError
        If ngspice is needed for the characterisation, and missing or failing.
    """
    settings = config if isinstance(config, RunConfig) else load_config(config, changes)
    if isinstance(config, RunConfig) and changes:
        raise InputError("changes belong to a preset or a file; change the configuration itself")
    crossbar = crossbar_of(settings)
    # Data and network are the caller's; nothing below asks for them.
    setup = Setup(settings, cast(Any, None), crossbar, cast(Any, None))
    costs = write_costs(settings, crossbar.levels)
    setup = setup.priced(costs)
    for note in (window_of(settings).note, write_note(settings, crossbar.levels)):
        if note and say is not None:
            say(f"warning: {note}")
    if settings.training.engine in FITTED:
        setup = fitted(setup, Steps(), characterisation)
    twin = convert(
        model,
        setup.crossbar,
        setup.engine(settings.training.engine),
        seed=settings.seed,
        digital=digital,
        placings=settings.network.placings,
        say=say,
    )
    return Configured(twin, setup, costs)
