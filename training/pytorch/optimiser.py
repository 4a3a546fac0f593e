"""A torch optimiser that moves the float weights, and writes the few devices whose level must change."""

__all__ = ["SiameseOptimizer"]

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...data.errors import InputError, MemtwinError
from ...data.options import check_number
from ...devices.pulses.costs import Pricing, check_levels
from ..rules.optim import Sgd
from ..rules.registry import rule_options, start_rule
from ..rules.rule import Rescalable, Start, Writes
from ..rules.selective import check_unread, some_verified
from ..seeds import generator
from ..twin.cost import Cost
from ..twin.ledger import Ledger
from .layers import TileLayer, array_of, arrays, tensors


class SiameseOptimizer(torch.optim.Optimizer):
    """A torch optimiser for the float weights, and sparse writes for the devices.

    Learning-rate schedulers take it or the optimiser inside; both have the same parameter groups.

    Parameters
    ----------
    model
        From :func:`convert`. Its devices are programmed at once; where they hold weights already,
        as in a model whose state was loaded, what differs from the float weights is written.
    optimiser
        Any torch optimiser over the parameters of the converted model.
    costs
        What writes of the device cost, for the ledger.
    rule, options
        How float weights become writes: one of :data:`.rules.registry.RULES`, and its own options.
        Gradients are accumulated as usual in torch, by calling :meth:`step` every k batches, so
        that ``accumulate`` must be 1.
    calibrate_every
        Steps after which the digital gains and ADC ranges are calibrated anew, on the next vectors
        that are read in training. The first calibration takes whatever is read first.
    seed
        Of the errors of writes.
    reverify
        Seconds after which written devices are read again, and written anew where they have left
        their band meanwhile; these reads and writes count. ``None`` or 0: they are left alone.
    verified
        Share of a step's writes with a read after every pulse, those whose errors matter most; the others get the
        pulses that the nominal device would need, unread. For rules that write levels.

    Raises
    ------
    InputError
        If the model has no layers on tiles, the optimiser moves none of its parameters, there is no
        such rule or torch can't train by it, or an option is out of its range.
    """

    def __init__(
        self,
        model: nn.Module,
        optimiser: "torch.optim.Optimizer",
        costs: Pricing,
        options: Any = None,
        *,
        rule: str = "siamese",
        calibrate_every: int = 20,
        seed: int = 0,
        reverify: float | None = None,
        verified: float = 1.0,
    ) -> None:
        # The parameter groups are those of the optimiser inside, whatever becomes of them: nothing
        # of the base class is initialised.
        self.rule, self.options = rule, rule_options(rule, options)
        compensation = getattr(self.options, "compensation", None)
        if getattr(self.options, "accumulate", 1) != 1 or compensation == "scale":
            raise InputError("with torch: accumulate in torch (accumulate=1), and do not scale")
        if calibrate_every < 1:
            raise InputError(f"calibrate_every must be at least 1 step, got {calibrate_every}")
        check_number("SiameseOptimizer", reverify=reverify, optional=True, at_least=0)
        check_number("SiameseOptimizer", verified=verified, at_least=0, at_most=1)
        check_unread(verified, reverify)
        self.reverify, self.verified = reverify, verified
        self.layers = [layer for layer in model.modules() if isinstance(layer, TileLayer)]
        if not self.layers:
            raise InputError("the model has no memristor-twin layers: convert(model) first")
        self.optimiser, self.calibrate_every = optimiser, calibrate_every
        moved = {id(p) for group in optimiser.param_groups for p in group["params"]}
        if not any(id(p) in moved for p in model.parameters()):
            raise InputError(
                "the optimiser moves no parameter of this model: make it from the parameters of the"
                " converted model"
            )
        matrices = [layer.matrix for layer in self.layers]
        for layer, matrix in zip(self.layers, matrices, strict=True):
            if layer.codes is None:
                matrix.repair(array_of(layer.joined()), trained=True)
        priced = self.layers[0].priced
        check_levels(costs, priced.levels)
        self.ledger = Ledger(
            [matrix.placement for matrix in matrices],
            costs,
            [matrix.devices for matrix in matrices],
            priced,
        )
        self._rng = generator(seed, "programming")
        self._steps = 0
        self.updates = [
            start_rule(
                rule,
                Start(
                    array_of(layer.joined()),
                    matrix.coding,
                    Sgd(tuple(layer.joined().shape), 0.0),
                    int(matrix.bias is not None),
                    self._rng,
                    energy=partial(self.ledger.energy, k),
                    line=matrix.placement.outputs,
                ),
                self.options,
            )
            for k, (layer, matrix) in enumerate(zip(self.layers, matrices, strict=True))
        ]
        if any(update.transposed for update in self.updates):
            raise InputError(
                f"the rule {rule!r} sends errors back through the devices, which torch does not:"
                " train with it in memtwin.training"
            )
        self._selective = some_verified(verified, self.updates, self.ledger)
        self.initial = Cost()
        """Cost of programming the initial weights, which the ledger does not hold."""
        for k, (layer, update) in enumerate(zip(self.layers, self.updates, strict=True)):
            if layer.codes is None:
                writes = update.first()
            else:
                free = getattr(self.options, "partner", "resting") == "free"
                if free or not isinstance(update, Rescalable):
                    raise InputError(
                        f"{layer.label} is programmed already, and the rule {rule!r}"
                        f"{' with a free partner' if free else ''} can't go on from that: convert the float"
                        " model anew, or choose the rule siamese"
                    )
                update.codes[...] = layer.codes
                if not layer.strayed():
                    layer.codes = update.codes
                    continue
                writes = update.rescale(layer.matrix.clip)
            self.initial = self.initial + self._write(k, writes, self.ledger.estimate)
            layer.follow(update.weights, update.codes)
        self._settle()

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Parameter groups of the optimiser inside."""
        groups: list[dict[str, Any]] = self.optimiser.param_groups
        return groups

    @property
    def defaults(self) -> dict[str, Any]:
        """Defaults of the optimiser inside."""
        defaults: dict[str, Any] = self.optimiser.defaults
        return defaults

    @property
    def state(self) -> Any:
        """State per parameter of the optimiser inside."""
        return self.optimiser.state

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters to the optimiser inside."""
        self.optimiser.add_param_group(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        self.optimiser.zero_grad(set_to_none=set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Cost:
        """Move the float weights, write the devices that must change; return what that costs.

        Parameters
        ----------
        closure
            What the optimiser inside takes, such as ``torch.optim.LBFGS``.

        Raises
        ------
        InputError
            If a layer has a gradient but nothing was read through its tiles.
        MemtwinError
            If weights are no longer finite.
        """
        for layer in self.layers:
            if not layer.was_read and _has_gradient(layer):
                raise InputError(
                    f"{layer.label} has a gradient but was never called, so that nothing is read"
                    " through its tiles: leave it off them, convert(..., digital=[its name])"
                )
        self.optimiser.step(closure)
        self._steps += 1
        total = Cost()
        for k, (layer, update) in enumerate(zip(self.layers, self.updates, strict=True)):
            layer.now += 1
            moved = array_of(layer.joined())
            if not np.isfinite(moved).all():
                raise MemtwinError(
                    f"training diverged in step {self._steps}: weights of {layer.label} are not"
                    " finite; lower the learning rate"
                )
            update.coding = layer.matrix.coding
            if self._selective is not None:
                self._selective[k].look(layer.gradient())
            # An optimiser without momentum passes on whatever move the torch optimiser made.
            writes = update.step(update.weights - moved, 1.0)
            if writes is not None:
                if self._selective is not None:
                    standing = layer.matrix.standing(writes)
                    writes = self._selective[k].chosen(writes, self._rng, *standing)
                total = total + self._write(k, writes, self.ledger.record)
            layer.follow(update.weights, update.codes)
            layer.matrix.age(layer.now)
        self._settle()
        if self._steps % self.calibrate_every == 0:
            self.calibrate()
        return total

    def _write(self, k: int, writes: Writes, priced: Callable[[int, Writes], Cost]) -> Cost:
        """Write devices of one matrix, those that don't hold again; return what it costs, as ``priced`` says."""
        matrix, now = self.layers[k].matrix, self.layers[k].now
        cost = priced(k, writes)
        found = matrix.write(writes, self._rng, now=now)
        self.updates[k].verify(writes, found, self.ledger.failed(k, writes))
        if not self.reverify or writes.blind is not None or not len(writes):
            return cost
        again = matrix.reverify(
            writes,
            self._rng,
            seconds=self.reverify,
            missed=partial(self.ledger.missed, k),
            now=now,
        )
        return cost + priced(k, again)

    def calibrate(self) -> None:
        """Let the next reads in training calibrate the digital gains and ADC ranges anew."""
        for layer in self.layers:
            layer.calibrate()

    def _settle(self) -> None:
        # Parameters that several layers share are set by each of them.
        for layer in self.layers:
            layer.settle()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimiser inside, the residuals, the ledger, and the random
        state.
        """
        own = {
            "rule": self.rule,
            "options": self._own_options(),
            "levels": self.ledger.pricing.levels,
            "steps": self._steps,
            "rng": self._rng.bit_generator.state,
            "initial": asdict(self.initial),
            "epoch": asdict(self.ledger.epoch),
            "ledger": self.ledger.state(),
            "updates": {str(k): update.state() for k, update in enumerate(self.updates)},
            # Said only where it is on: older states know nothing of it.
            **({"reverify": self.reverify} if self.reverify else {}),
        }
        if self._selective is not None:
            selective = {str(k): one.state() for k, one in enumerate(self._selective)}
            own |= {"verified": self.verified, "selective": selective}
        return {"optimiser": self.optimiser.state_dict(), "siamese": tensors(own)}

    def _own_options(self) -> dict[str, Any]:
        return {} if self.options is None else asdict(self.options)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned; load the model's state as well.

        Raises
        ------
        InputError
            If it is no such state, or one of other options.
        """
        if not {"optimiser", "siamese"} <= state_dict.keys():
            raise InputError(
                "expected the state_dict of a SiameseOptimizer, with keys 'optimiser'"
                f" and 'siamese', got {sorted(map(str, state_dict))}"
            )
        try:
            self._restore(state_dict["optimiser"], arrays(state_dict["siamese"]))
        except (KeyError, TypeError) as error:
            raise InputError(
                "the saved SiameseOptimizer is damaged, or of another version of memtwin"
            ) from error

    def _restore(self, inner: dict[str, Any], own: dict[str, Any]) -> None:
        mine = {
            "rule": self.rule,
            **self._own_options(),
            "levels": self.ledger.pricing.levels,
            "reverify": self.reverify or 0.0,
            "verified": self.verified,
            "layers on tiles": len(self.updates),
        }
        saved = own["options"] | {
            "rule": own["rule"],
            "levels": own["levels"],
            "reverify": own.get("reverify", 0.0),
            "verified": own.get("verified", 1.0),
            "layers on tiles": len(own["updates"]),
        }
        for key, value in mine.items():
            if saved.get(key) != value:
                raise InputError(
                    f"the saved SiameseOptimizer has {key} = {saved.get(key)}, this one {value}: make"
                    " it with the same options, or start anew on the loaded model"
                )
        self.optimiser.load_state_dict(inner)
        self._steps, self._rng.bit_generator.state = own["steps"], own["rng"]
        self.initial, self.ledger.epoch = Cost(**own["initial"]), Cost(**own["epoch"])
        self.ledger.restore(own["ledger"])
        for k, (layer, update) in enumerate(zip(self.layers, self.updates, strict=True)):
            update.restore(own["updates"][str(k)])
            layer.codes = update.codes
        for k, one in enumerate(self._selective or ()):
            one.restore(own["selective"][str(k)])

    def __getstate__(self) -> dict[str, Any]:
        """Return all of it, so that a copy has its devices too."""
        # A scheduler's hook on ``step`` is bound to this very optimiser.
        return {key: value for key, value in vars(self).items() if key != "step"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what :meth:`__getstate__` returned."""
        self.__dict__.update(state)


def _has_gradient(layer: TileLayer) -> bool:
    gradient: Tensor | None = layer.weight.grad
    return gradient is not None and bool(gradient.any())
