"""What a training reports: a record per epoch, and the outcome."""

__all__ = ["EpochRecord", "TrainResult"]

from dataclasses import asdict, dataclass

from ...data.types import Array32
from ..twin.cost import Cost, removed_percent
from ..twin.ledger import Ledger
from .audit import AuditRecord


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch did."""

    epoch: int
    """Counted from 1."""
    learning_rate: float
    train_loss: float
    test_accuracy: float
    """Share of the test images that the memristor twin, as it is, classifies right."""
    cost: Cost
    """What this epoch's writes cost."""
    closed_loop: Cost
    """What the basic closed loop would have cost: writes exactly, the rest from sampled batches."""
    learning: int
    """Weights with a gradient, summed over batches: those that a batch has something to say on."""
    seconds: float
    """Wall time of training, without the test."""

    def summary(self) -> dict[str, float]:
        """Return one flat mapping of numbers, for JSON and plots."""
        row: dict[str, float] = {
            "epoch": self.epoch,
            "learning_rate": self.learning_rate,
            "train_loss": self.train_loss,
            "test_accuracy": self.test_accuracy,
            "learning": self.learning,
            "seconds": self.seconds,
        }
        row |= asdict(self.cost)
        row |= {f"closed_loop_{key}": value for key, value in asdict(self.closed_loop).items()}
        removed = self.cost.removed(self.closed_loop)
        removed["weights_of_learning"] = self.removed_of_learning
        return row | {f"{key}_removed_percent": value for key, value in removed.items()}

    @property
    def removed_of_learning(self) -> float:
        """Share of the weights with a gradient that were spared a change [%]."""
        return removed_percent(self.cost.weights, self.learning)


@dataclass(frozen=True)
class TrainResult:
    """The outcome of a training."""

    records: tuple[EpochRecord, ...]
    ledger: Ledger
    weights: list[Array32]
    """Float twin's matrices."""
    codes: list[Array32]
    """Level codes of every weight, -(L-1)..L-1."""
    audits: tuple[AuditRecord, ...] = ()

    @property
    def accuracy(self) -> float:
        """Test accuracy after the last epoch."""
        return self.records[-1].test_accuracy
