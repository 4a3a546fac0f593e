"""How a network is trained: the options of the optimiser, the update rule, and the batches."""

__all__ = ["LEARNING_RATE_MAX", "TrainOptions"]

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

from ...data.errors import InputError
from ...data.options import check_choice, check_number
from ..rules.baselines import BASELINES, Baseline, ClosedLoopOptions
from ..rules.siamese import SiameseOptions

LEARNING_RATE_MAX = 1e30
"""Largest learning rate: weights move in single precision, which must hold it."""

SIAMESE = "siamese"

Method: TypeAlias = Literal["sgd", "adam"]
Schedule: TypeAlias = Literal["exponential", "cosine", "constant"]
Scale: TypeAlias = Literal["static", "adaptive"]
Gradients: TypeAlias = Literal["float", "array"]


@dataclass(frozen=True)
class TrainOptions(SiameseOptions):
    """How to train, the options of the Siamese update included; the defaults are those of the MNIST
    perceptron.
    """

    rule: str | Baseline = SIAMESE
    """The Siamese update, a baseline by its name, or one with options of its own."""
    epochs: int = 10
    batch: int = 100
    optimiser: Method = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    """Of ``sgd``; decay of the mean gradient for ``adam``."""
    schedule: Schedule = "exponential"
    """How the learning rate falls from epoch to epoch."""
    decay: float = 0.8
    """Factor on the learning rate after every epoch, for ``exponential``."""
    scale: Scale = "static"
    """Whether the largest weight of a matrix may change between epochs, with the writes that this
    takes; Siamese only."""
    gradients: Gradients = "float"
    """Errors go back through the float weights, or through wires and device laws by the engine's
    own gradients (line, surrogate)."""
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
        check_number(
            "training", learning_rate=self.learning_rate, above=0, at_most=LEARNING_RATE_MAX
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
        if isinstance(self.rule, str):
            check_choice("training", "rule", self.rule, (SIAMESE, *BASELINES))
        if self.rule != SIAMESE and self.scale == "adaptive":
            raise InputError(
                f"training: scale = 'adaptive' needs the rule {SIAMESE!r}, got {self.rule!r}"
            )

    @property
    def of_rule(self) -> SiameseOptions | Baseline:
        """Options of the update rule; a closed loop called by name spares failed devices as said
        here.
        """
        if not isinstance(self.rule, str):
            return self.rule
        if self.rule == SIAMESE:
            return self
        named = BASELINES[self.rule]
        if isinstance(named, ClosedLoopOptions):
            return replace(named, spare_failed=self.spare_failed)
        return named
