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

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeAlias

from ...data.errors import InputError, nearest
from ...data.registry import Registry
from .baselines import Blind, BlindOptions, ClosedLoop, ClosedLoopOptions
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

    def __post_init__(self) -> None:
        if not callable(self.factory):
            raise InputError(
                f"an update rule needs what makes it, factory(start, options), got {self.factory!r}"
            )
        if self.options is not None and (
            isinstance(self.options, type) or not is_dataclass(self.options)
        ):
            raise InputError(
                "an update rule's options must be an instance of a dataclass of their own, got"
                f" {self.options!r}"
            )

    @property
    def rescalable(self) -> bool:
        """Whether its largest weight can change while it trains, see :class:`.rule.Rescalable`."""
        return hasattr(self.factory, "rescale")


RULES: Registry[RuleKind] = Registry(
    "update rule",
    group="memtwin.rules",
    how="register_rule(name, factory, options)",
    entries={
        "siamese": RuleKind(Siamese, SiameseOptions()),
        "closed loop": RuleKind(ClosedLoop, ClosedLoopOptions()),
        "verify-first": RuleKind(ClosedLoop, ClosedLoopOptions(tolerance=0.02)),
        "mixed precision": RuleKind(Blind, BlindOptions()),
        "sign": RuleKind(Blind, BlindOptions("sign")),
    },
)
"""Update rules by the name under which configurations and reports show them."""


def register_rule(name: str, factory: RuleFactory, options: Any = None) -> None:
    """Let configurations, trainings and comparisons choose the update rule ``name``.

    Parameters
    ----------
    factory
        Takes a :class:`.rule.Start` and the options, returns a :class:`.rule.Rule`; a class as a
        rule.
    options
        Frozen dataclass of its options as they are by default; ``None`` for a rule without any.
    """
    RULES.register(name, RuleKind(factory, options))


def rule_options(name: str, given: Any = None) -> Any:
    """Return the options of the rule ``name``: those ``given``, where they are a mapping beside
    the registered ones, else the registered ones.

    Raises
    ------
    InputError
        If there is no such rule, or the options are not its own.
    """
    known = RULES[name].options
    if given is None:
        return known
    if isinstance(given, Mapping):
        return _changed(name, known, given) if given else known
    if not isinstance(given, type(known)):
        raise InputError(
            f"the update rule {name!r} takes"
            f" {'no options' if known is None else type(known).__name__}, got {given!r:.80}"
        )
    return given


def check_rescalable(name: str) -> None:
    """Refuse ``scale = "adaptive"`` for a rule whose largest weight can't change."""
    if not RULES[name].rescalable:
        raise InputError(
            "training.scale = 'adaptive' needs a rule that can be rescaled, such as siamese, got"
            f" {name!r}"
        )


def start_rule(name: str, start: Start, options: Any = None) -> Rule:
    """Return the rule ``name`` for one matrix; see :func:`rule_options`."""
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
