"""How a network is trained: the options of the optimiser, the update rule, and the batches."""

__all__ = ["LEARNING_RATE_MAX", "TrainOptions"]

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from ...data.options import check_choice, check_number
from ..losses import loss_of
from ..rules.registry import check_rescalable, rule_options
from ..rules.selective import check_unread
from ..rules.siamese import SiameseOptions

LEARNING_RATE_MAX = 1e30
"""Largest learning rate: weights move in single precision, which must hold it."""

Method: TypeAlias = Literal["sgd", "adam"]
Schedule: TypeAlias = Literal["exponential", "cosine", "constant"]
Scale: TypeAlias = Literal["static", "adaptive"]
Gradients: TypeAlias = Literal["float", "array"]


@dataclass(frozen=True)
class TrainOptions(SiameseOptions):
    """How to train, the options of the Siamese update included; the defaults are those of the MNIST
    perceptron.
    """

    rule: str = "siamese"
    """Update rule, one of :data:`.rules.registry.RULES`."""
    rule_options: Any = None
    """Options of the rule's own: an instance of their class, or a mapping of some of them. Those of
    the same name here, as ``hysteresis`` or ``spare_failed``, need not be repeated."""
    epochs: int = 10
    batch: int = 100
    optimiser: Method = "sgd"
    learning_rate: float | None = None
    """When absent 0.1 for classes, and 0.02 for numbers, whose squared errors are steeper."""
    momentum: float = 0.9
    """Of ``sgd``; decay of the mean gradient for ``adam``."""
    schedule: Schedule = "exponential"
    """How the learning rate falls from epoch to epoch."""
    decay: float = 0.8
    """Factor on the learning rate after every epoch, for ``exponential``."""
    scale: Scale = "static"
    """Whether the largest weight of a matrix may change between epochs, with the writes that this
    takes; for rules that can be rescaled, as the Siamese one."""
    gradients: Gradients = "float"
    """Errors go back through the float weights, or through wires and device laws by the engine's
    own gradients (line, surrogate)."""
    loss: str = "auto"
    """``cross-entropy`` for classes or ``mse``, which also takes numbers; ``auto`` is what the data
    calls for."""
    patience: int | None = None
    """Epochs without a better score on the part to validate on after which training ends early."""
    reverify: float | None = None
    """Seconds after which devices are read again that were written, and written anew where they have left their
    band meanwhile; these reads and writes count. Needs a relaxation that reckons in seconds. When absent 1 s for
    a technology whose relaxation was measured, else not at all, as with 0."""
    verified: float = 1.0
    """Share of an update's writes with a read after every pulse, those whose errors matter most; the others get
    the pulses that the nominal device would need, unread. For rules that write levels."""
    calibration: int = 100
    """Training images on which the digital gains are calibrated before every epoch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(
            "training",
            epochs=self.epochs,
            batch=self.batch,
            calibration=self.calibration,
            whole=True,
            at_least=1,
        )
        check_number("training", patience=self.patience, whole=True, optional=True, at_least=1)
        check_number("training", reverify=self.reverify, optional=True, at_least=0)
        check_number("training", verified=self.verified, at_least=0, at_most=1)
        check_unread(self.verified, self.reverify)
        if self.loss != "auto":
            loss_of(self.loss, regression=False)
        check_number(
            "training",
            learning_rate=self.learning_rate,
            optional=True,
            above=0,
            at_most=LEARNING_RATE_MAX,
        )
        check_number("training", momentum=self.momentum, at_least=0, below=1)
        check_number("training", decay=self.decay, above=0, at_most=1)
        for key, known in (
            ("optimiser", Method),
            ("schedule", Schedule),
            ("scale", Scale),
            ("gradients", Gradients),
        ):
            check_choice("training", key, getattr(self, key), get_args(known))
        rule_options(self.rule, self.rule_options, beside=self)  # refuses what there is not
        if self.scale == "adaptive":
            check_rescalable(self.rule)

    def rate(self, *, regression: bool = False) -> float:
        """Return the learning rate of the first epoch, for classes or for numbers."""
        if self.learning_rate is not None:
            return self.learning_rate
        return 0.02 if regression else 0.1

    @property
    def of_rule(self) -> Any:
        """Options of the update rule; keys here at their default leave it its own."""
        return rule_options(self.rule, self.rule_options, beside=self)
