"""The Siamese update beside other rules: same network, tiles, images and seeds."""

__all__ = ["ComparedRule", "compare"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from ..data.errors import InputError
from ..data.images import ImageSet
from ..data.types import Array, Progress
from .baselines import Baseline
from .ledger import Cost, WriteCosts
from .results import TrainResult
from .siamese import SiameseOptions
from .train import train, train_float
from .trainer import TrainOptions
from .twin import MemristorTwin

Rules: TypeAlias = Mapping[str, SiameseOptions | Baseline]


@dataclass(frozen=True)
class ComparedRule:
    """One rule over all seeds; a row of the comparison."""

    name: str
    accuracy: Array
    """Test accuracy after the last epoch, one per seed."""
    to_float: Array
    """The same minus that of the float network trained with the same seed."""
    first: Cost
    """Mean cost of the first epoch."""
    total: Cost
    """Mean cost of all epochs."""
    max_writes: float
    """Writes of the most-written device, mean over seeds."""

    def removed(self, reference: "ComparedRule") -> dict[str, float]:
        """Return by how many percent the first epoch costs less than that of ``reference``."""
        return self.first.removed(reference.first)

    def summary(self, reference: "ComparedRule") -> dict[str, Any]:
        """Return one flat mapping, for JSON and tables."""
        spread = float(self.accuracy.std(ddof=1)) if len(self.accuracy) > 1 else 0.0
        return {
            "rule": self.name,
            "accuracy_percent": 100 * float(self.accuracy.mean()),
            "accuracy_spread_percent": 100 * spread,
            "to_float_percent": 100 * float(self.to_float.mean()),
            "max_writes": self.max_writes,
            **{f"first_{key}": value for key, value in asdict(self.first).items()},
            **{f"total_{key}": value for key, value in asdict(self.total).items()},
            **{f"{key}_removed_percent": value for key, value in self.removed(reference).items()},
        }


def compare(
    make_twin: Callable[[int], MemristorTwin],
    images: ImageSet,
    options: TrainOptions,
    costs: WriteCosts,
    rules: Rules,
    seeds: Sequence[int],
    *,
    progress: Progress | None = None,
) -> list[ComparedRule]:
    """Train by every rule with every seed, and the float network once per seed.

    Parameters
    ----------
    make_twin
        Makes the twin for a seed.
    options
        For all rules; seed and rule are put in.
    """
    if not rules or not seeds:
        raise InputError("a comparison needs at least one rule and one seed")
    done, total = 0, len(seeds) * (len(rules) + 1)
    results: dict[str, list[TrainResult]] = {name: [] for name in rules}
    goals = []
    for seed in seeds:
        seeded = replace(options, seed=seed)
        goals.append(train_float(make_twin(seed).network, images, seeded)[0][-1])
        done += 1
        for name, rule in rules.items():
            if progress is not None:
                progress(done, total)
            chosen = (
                replace(seeded, siamese=rule, baseline=None)
                if isinstance(rule, SiameseOptions)
                else replace(seeded, baseline=rule)
            )
            results[name].append(train(make_twin(seed), images, chosen, costs))
            done += 1
    if progress is not None:
        progress(done, total)
    return [_row(name, runs, np.array(goals)) for name, runs in results.items()]


def _row(name: str, runs: list[TrainResult], goals: Array) -> ComparedRule:
    accuracy = np.array([run.accuracy for run in runs])
    share = 1.0 / len(runs)
    first = sum((run.records[0].cost for run in runs), Cost())
    total = sum((record.cost for run in runs for record in run.records), Cost())
    worst = [max(int(counts.max()) for counts in run.ledger.device_writes) for run in runs]
    return ComparedRule(
        name,
        accuracy,
        accuracy - goals,
        first.times(share),
        total.times(share),
        float(np.mean(worst)),
    )
