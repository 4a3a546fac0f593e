"""What a training reports: a record per epoch, and the outcome."""

__all__ = ["EpochRecord", "TrainResult", "ended", "removed_key"]

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ...data.types import Array32
from ..twin.cost import Cost, removed_percent
from ..twin.ledger import Ledger
from .audit import AuditRecord
from .closed_loop import BASELINES
from .options import TrainOptions


def removed_key(name: str, baseline: str = "closed_loop", span: str = "") -> str:
    """Return the name under which summaries tell the share of ``name`` that was removed, against a
    baseline, and over a ``span`` such as ``_first_epoch``.

    Parameters
    ----------
    name
        What was counted.
    baseline
        What it is set against.
    span
        Of what it is the sum, such as ``_first_epoch``.
    """
    against = baseline.removeprefix("closed_loop")
    return f"{name}_removed{against and f'_against{against}'}{span}_percent"


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch did."""

    epoch: int
    """Counted from 1."""
    learning_rate: float
    train_loss: float
    test_accuracy: float
    """Share of the test images that the memristor twin, as it is, classifies right; for numbers, the
    share of their variance that it explains, R²."""
    cost: Cost
    """What this epoch's writes cost."""
    closed_loop: Cost
    """What the basic closed loop would have cost: writes exactly, the rest from sampled batches."""
    learning: int
    """Weights with a gradient, summed over batches: those that a batch has something to say on."""
    seconds: float
    """Wall time of training, without the test."""
    closed_loop_not_resting: Cost | None = None
    """What a closed loop that leaves the resting partner alone would have cost, from sampled batches;
    ``None`` in older records."""
    closed_loop_moved: Cost | None = None
    """The same of one that writes only devices whose target moved."""
    validation_accuracy: float | None = None
    """The same of the part to validate on, where there is one."""
    test_interval: tuple[float, float] | None = None
    """95 % interval of R² over the test samples, by draws with putting back; ``None`` for shares, whose
    interval follows from their count, and in older records."""

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
        if self.validation_accuracy is not None:
            row["validation_accuracy"] = self.validation_accuracy
        if self.test_interval is not None:
            row["test_low"], row["test_high"] = self.test_interval
        row |= asdict(self.cost)
        for name, baseline in self.baselines().items():
            row |= {f"{name}_{key}": value for key, value in asdict(baseline).items()}
            row |= {
                removed_key(key, name): value for key, value in self.cost.removed(baseline).items()
            }
        return row | {removed_key("weights_of_learning"): self.removed_of_learning}

    def baselines(self) -> dict[str, Cost]:
        """Return what is known of the baselines, by their names in :data:`.closed_loop.BASELINES`."""
        known = {name: getattr(self, name) for name in BASELINES}
        return {name: cost for name, cost in known.items() if cost is not None}

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
    test_samples: int = 0
    """Samples that the accuracies were found on."""
    regression: bool = False
    """Whether accuracies are R² of numbers."""

    @property
    def accuracy(self) -> float:
        """Test accuracy after the last epoch."""
        return self.records[-1].test_accuracy


def ended(records: Sequence[EpochRecord], options: TrainOptions) -> bool:
    """Return whether a training that has made ``records`` is at its end: all epochs are done, or the last
    ``options.patience`` of them brought no better score on the part to validate on.
    """
    if len(records) >= options.epochs:
        return True
    scores = [record.validation_accuracy for record in records]
    known = [score for score in scores if score is not None]
    if options.patience is None or len(known) <= options.patience:
        return False
    return max(known[-options.patience :]) <= max(known[: -options.patience])
