"""Which update rules there are: a name, what makes one, and its options.

A rule of one's own is a class that answers :class:`.rule.Rule`, and one line::

    register_rule("mine", Mine, MineOptions())

after which ``training.rule = "mine"``, :class:`.trainer.TrainOptions`, comparisons and the torch
optimiser take it.
"""

__all__ = [
    "RULES",
    "RuleFactory",
    "RuleKind",
    "check_rescalable",
    "register_rule",
    "rule_options",
    "start_rule",
]

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from typing import Any, TypeAlias

from ...data.errors import InputError, nearest
from ...data.registry import Registry
from .baselines import Blind, BlindOptions, ClosedLoop, ClosedLoopOptions
from .budgeted import Budgeted, BudgetedOptions
from .eapu import Eapu, EapuOptions
from .patient import Patient, PatientOptions
from .pulsed import Pulsed, PulsedOptions
from .rule import Rule, Start
from .siamese import Siamese, SiameseOptions

RuleFactory: TypeAlias = Callable[[Start, Any], Rule]
"""Makes the rule of one matrix from what it starts from and its options; a class as a rule."""


@dataclass(frozen=True)
class RuleKind:
    """One row of the table."""

    factory: RuleFactory
    options: Any = None
    """Frozen dataclass of the options that hold where none are given; ``None`` for a rule without
    any."""

    @property
    def rescalable(self) -> bool:
        """Whether its largest weight can change while it trains, see :class:`.rule.Rescalable`."""
        return hasattr(self.factory, "rescale")


def _blind(start: Start, options: BlindOptions) -> Rule:
    """Return pulses by the devices' own response where that is known, else of an equal step."""
    if start.pulses is None:
        return Blind(start, options)
    return Pulsed(start, PulsedOptions(options.kind))


SHIPPED = {
    "siamese": RuleKind(Siamese, SiameseOptions()),
    "closed loop": RuleKind(ClosedLoop, ClosedLoopOptions()),
    "verify-first": RuleKind(ClosedLoop, ClosedLoopOptions(tolerance=0.02)),
    "mixed precision": RuleKind(_blind, BlindOptions()),
    "sign": RuleKind(_blind, BlindOptions("sign")),
    "pulsed": RuleKind(Pulsed, PulsedOptions()),
    "budgeted": RuleKind(Budgeted, BudgetedOptions()),
    "eapu": RuleKind(Eapu, EapuOptions()),
    "patient": RuleKind(Patient, PatientOptions()),
}

NAME = re.compile(r"\w[\w .+-]*(?<! )", re.ASCII)
"""Names stand in configurations and in the names of files."""


def _checked(name: str, kind: Any) -> RuleKind:
    if not NAME.fullmatch(name):
        raise InputError(
            f"no update rule can be called {name!r}: expected letters, digits, spaces and _ . + -"
        )
    if not isinstance(kind, RuleKind) or not callable(kind.factory):
        raise InputError(
            f"the update rule {name!r} is {kind!r:.60}, expected a RuleKind(factory, options) whose"
            " factory takes a Start and the options"
        )
    if kind.options is not None and (
        isinstance(kind.options, type) or not is_dataclass(kind.options)
    ):
        raise InputError(
            f"the options of the update rule {name!r} are {kind.options!r:.60}, expected an instance"
            " of a dataclass of their own"
        )
    return kind


RULES: Registry[RuleKind] = Registry(
    "update rule",
    how="register it with register_rule(NAME, FACTORY, OPTIONS) of memtwin.training.rules.registry",
    shipped={name: partial(SHIPPED.__getitem__, name) for name in SHIPPED},
    group="memtwin.rules",
    check=_checked,
)
"""Update rules by the name under which configurations and reports show them; packages offer theirs,
as :class:`RuleKind`, by entry points of the group ``memtwin.rules``.
"""


def register_rule(
    name: str, factory: RuleFactory, options: Any = None, *, replace: bool = False
) -> None:
    """Let configurations, trainings and comparisons choose the update rule ``name``.

    Parameters
    ----------
    factory
        Takes a :class:`.rule.Start` and the options, returns a :class:`.rule.Rule`; a class as a
        rule.
    options
        Frozen dataclass of its options as they are by default; ``None`` for a rule without any.
    replace
        Whether it may take the place of another one of that name.
    name
        Name under which it is found.

    Raises
    ------
    InputError
        If another rule has that name, or no rule can be made so.
    """
    RULES.add(name, RuleKind(factory, options), replace=replace)


def rule_options(name: str, given: Any = None, beside: SiameseOptions | None = None) -> Any:
    """Return the options of the rule ``name``: those ``given``, or, where they are a mapping or
    ``None``, the registered ones with those changes.

    Parameters
    ----------
    beside
        Options that hold for those of the same name too, where they are not at their default and
        not ``given``.
    name
        Name of the rule.
    given
        What was given, by name.

    Raises
    ------
    InputError
        If there is no such rule, or the options are not its own.
    """
    known = RULES[name].options
    if given is not None and not isinstance(given, Mapping):
        if not isinstance(given, type(known)):
            raise InputError(
                f"the update rule {name!r} takes"
                f" {'no options' if known is None else type(known).__name__}, got {given!r:.80}"
            )
        return given
    changed = {
        item.name: getattr(beside, item.name)
        for item in (() if beside is None else fields(SiameseOptions))
        if hasattr(known, item.name) and getattr(beside, item.name) != item.default
    } | dict(given or {})
    return _changed(name, known, changed) if changed else known


def check_rescalable(name: str) -> None:
    """Refuse ``scale = "adaptive"`` for a rule whose largest weight can't change."""
    if not RULES[name].rescalable:
        raise InputError(
            "training.scale = 'adaptive' needs a rule that can be rescaled, such as siamese, got"
            f" {name!r}"
        )


def start_rule(name: str, start: Start, options: Any = None) -> Rule:
    """Return the rule ``name`` for one matrix; see :func:`rule_options`.

    Parameters
    ----------
    name
        Name of the rule.
    start
        What the rule is given to begin with.
    options
        Options, by name.
    """
    return RULES[name].factory(start, rule_options(name, options))


def _changed(name: str, known: Any, given: Mapping[str, Any]) -> Any:
    from pydantic import TypeAdapter, ValidationError

    names = [] if known is None else [item.name for item in fields(known)]
    for key in given:
        if key not in names:
            raise InputError(f"the update rule {name!r} has no option {key!r}{nearest(key, names)}")
    tree = {key: getattr(known, key) for key in names} | dict(given)
    try:
        return TypeAdapter(type(known)).validate_python(tree)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"the update rule {name!r}: {where}: {first['msg']}, got {first['input']!r:.80}"
        ) from error
