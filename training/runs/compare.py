"""The Siamese update beside other rules: same network, tiles, images and seeds.

Every training keeps its checkpoint in the comparison's folder, and is taken from there when the
comparison is continued, or made again with more seeds or rules.
"""

__all__ = ["ComparedRule", "Comparison", "compare", "compare_in", "possible_rules", "spread_key"]

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...circuits.many import each
from ...data.errors import InputError
from ...data.records.store import digest, reading, write_record
from ...data.types import Array
from ...devices.pulses.costs import Pricing, step_over_gentlest
from ..losses import score_text
from ..rules.registry import RULES
from ..trainer.closed_loop import BASELINES
from ..trainer.loop import train_float
from ..trainer.results import TrainResult, removed_key
from ..twin.cost import Cost
from .build import device_of
from .claim import Claim, claimed
from .config import FITTED, RunConfig
from .folder import Folder
from .listener import Listener, Steps
from .overview.summary import score_figures, with_unit
from .setup import Setup
from .wording import training_text

REFERENCE = "closed loop"
"""The rule that the others are set against."""

FLOAT = "float training"


@dataclass(frozen=True)
class ComparedRule:
    """One rule over all seeds; a row of the comparison."""

    name: str
    accuracy: Array
    """Test accuracy after the last epoch, (seeds,)."""
    first: tuple[Cost, ...]
    """Cost of the first epoch, one per seed."""
    total: tuple[Cost, ...]
    """Cost of all epochs, one per seed."""
    max_writes: Array
    """Writes of the most-written device, (seeds,)."""
    baselines: Mapping[str, tuple[Cost, ...]] = field(default_factory=dict)
    """Cost of the first epoch by closed loops that leave devices alone, as this training estimates
    them, by :data:`..trainer.closed_loop.BASELINES`; one per seed."""

    def removed(self, reference: Sequence[Cost]) -> dict[str, Array]:
        """Return by how many percent the first epoch costs less than ``reference``, one per seed,
        per field of :class:`.cost.Cost`, (seeds,).
        """
        each = [mine.removed(theirs) for mine, theirs in zip(self.first, reference, strict=True)]
        return {key: np.array([one[key] for one in each]) for key in each[0]}


@dataclass(frozen=True)
class Comparison:
    """Rules over the same seeds, and the float network trained alike."""

    seeds: tuple[int, ...]
    float_accuracy: Array
    """Test accuracy of the float network after the last epoch, (seeds,); R² of numbers."""
    rules: tuple[ComparedRule, ...]
    write_cost_source: str
    step_over_gentlest: float
    """Energy of a level step over that of the gentlest move, see
    :func:`~memtwin.devices.pulses.costs.step_over_gentlest`."""
    test_samples: int = 0
    """Samples that the accuracies were found on."""
    regression: bool = False
    """Whether accuracies are R² of numbers."""

    def summary(self) -> dict[str, dict[str, float]]:
        """Return one flat mapping per rule, for JSON and tables; savings are of the first epoch,
        against the basic closed loop as it trained, and against those that it would have been had it
        left devices alone. Spreads over seeds are there where there are several, and the 95 % interval
        of an accuracy where there is one.
        """
        reference = next(rule for rule in self.rules if rule.name == REFERENCE)
        against = {REFERENCE.replace(" ", "_"): reference.first} | dict(reference.baselines)
        rows = {"float": self._scores(self.float_accuracy)}
        to_float, scale = ("to_float_r2", 1) if self.regression else ("to_float_percent", 100)
        for rule in self.rules:
            row = self._scores(rule.accuracy)
            row |= _spread(to_float, scale * (rule.accuracy - self.float_accuracy))
            for baseline, costs in against.items():
                for key, removed in rule.removed(costs).items():
                    row |= _spread(removed_key(key, baseline), removed)
            for name, costs in (("first", rule.first), ("total", rule.total)):
                mean = sum(costs, Cost()).times(1.0 / len(costs))
                row |= {with_unit(f"{name}_{key}"): value for key, value in asdict(mean).items()}
            rows[rule.name] = row | {"max_writes": float(rule.max_writes.mean())}
        return rows

    def _scores(self, values: Array) -> dict[str, float]:
        if self.regression:
            return _spread("r2", values)
        if len(values) == 1:
            told = score_figures("", float(values[0]), self.test_samples)
            return {name.removeprefix("_"): value for name, value in told.items()}
        return _spread("accuracy_percent", 100 * values)


def compare_in(
    folder: str | Path | Claim,
    config: RunConfig,
    rules: Sequence[str],
    seeds: Sequence[int],
    listener: Listener | None = None,
    executor: Executor | None = None,
    characterisation: str | Path | None = None,
    workers: int = 1,
) -> Comparison:
    """Compare in ``folder``, taking from there what has been made before.

    Parameters
    ----------
    folder
        Where trainings are kept, and taken from.
    config
        The configuration.
    rules
        Update rules, by name.
    seeds
        Seeds to train with.
    listener
        Hears of the job's steps.
    executor
        Where jobs run, by default in processes of its own here.
    characterisation
        Record of the same device and tile that is there already.
    workers
        Trainings that go side by side; what comes out is the same for any number.

    Raises
    ------
    InputError
        If the configuration can't be met, or ``folder`` belongs to another one or is in use.
    MemtwinError
        If a training fails; those that were finished stay in the folder.
    """
    _check(rules, seeds)
    steps = Steps(listener)
    needed = config.training.engine in FITTED
    with claimed(folder) as path:
        home = Folder(path, characterisation)
        home.check(config)
        setup, costs = home.start(config, steps, surrogate=needed, executor=executor)
        return compare(
            *(setup, costs, rules, seeds),
            folder=path,
            steps=steps,
            workers=workers,
            executor=executor,
        )


def compare(
    setup: Setup,
    costs: Pricing,
    rules: Sequence[str],
    seeds: Sequence[int],
    *,
    folder: str | Path | None = None,
    steps: Steps | None = None,
    workers: int = 1,
    executor: Executor | None = None,
) -> Comparison:
    """Train by every rule with every seed, and the float network once per seed.

    Parameters
    ----------
    rules
        Some of :data:`.rules.registry.RULES`; the basic closed loop, which the others are set against, comes by
        itself.
    folder
        Where checkpoints are kept, and taken from.
    setup
        What training starts from.
    costs
        What writes cost.
    seeds
        Seeds to train with.
    steps
        Hears of the steps of a job.
    workers, executor
        Processes, or where else trainings go side by side, see :func:`~memtwin.circuits.many.each`.
        A rule that was registered here is known there only if a package offers it.
    """
    _check(rules, seeds)
    steps, home = steps or Steps(), None if folder is None else Path(folder)
    chosen = [name for name in RULES if name in (*rules, REFERENCE)]
    pieces = [
        _Training(setup, rule, seed, costs, home) for seed in seeds for rule in (None, *chosen)
    ]
    found: Iterable[Any] = (_done(piece, steps) for piece in pieces)
    if workers > 1 or executor is not None:
        found = _side_by_side(pieces, workers, executor, steps)
    goals: list[float] = []
    results: dict[str, list[TrainResult]] = {name: [] for name in chosen}
    for piece, result in zip(pieces, found, strict=True):
        if piece.rule is None:
            goals.append(result)
        else:
            steps.say(training_text(piece.rule, piece.seed, result, goals[-1]))
            results[piece.rule].append(result)
    rows = tuple(_row(name, runs) for name, runs in results.items())
    return Comparison(
        tuple(seeds),
        np.array(goals),
        rows,
        costs.source,
        step_over_gentlest(costs),
        len(setup.images.x_test),
        setup.images.regression,
    )


def possible_rules(config: RunConfig) -> tuple[str, ...]:
    """Return the rules that the configured device can be trained by: pulses need a response."""
    names = [name for name in RULES if name != "pulsed"]
    if config.device.response is not None or device_of(config).dynamic:
        names.append("pulsed")
    return tuple(name for name in RULES if name in names)


class _Training(NamedTuple):
    """One training of a comparison."""

    setup: Setup
    rule: str | None
    """``None`` for the float network."""
    seed: int
    costs: Pricing
    home: Path | None


def _done(piece: _Training, steps: Steps) -> Any:
    """Return what comes of a training: the float network's accuracy, or a twin's result."""
    seeded = piece.setup.seeded(piece.seed)
    if piece.rule is None:
        return _float_accuracy(seeded, piece.home, steps)
    return _train(seeded, piece.rule, piece.costs, piece.home, steps)


def _elsewhere(piece: _Training) -> Any:
    """Do a training in another process; its checkpoints are kept where that sees the folder."""
    home = piece.home if piece.home is not None and piece.home.is_dir() else None
    return _done(piece._replace(home=home), Steps())


def _side_by_side(
    pieces: Iterable[_Training], workers: int, executor: Executor | None, steps: Steps
) -> list[Any]:
    sent = [
        piece._replace(
            setup=replace(piece.setup, executor=None),
            home=None if piece.home is None else piece.home.absolute(),
        )
        for piece in pieces
    ]
    with steps.step("trainings", f"{len(sent)} trainings side by side") as progress:
        return each(_elsewhere, sent, workers=workers, executor=executor, progress=progress)


def _check(rules: Sequence[str], seeds: Sequence[int]) -> None:
    for name in rules:
        RULES[name]  # says what there is, where there is none
    if not rules or not seeds:
        raise InputError("a comparison needs at least one rule and one seed")


def _train(setup: Setup, rule: str, costs: Pricing, home: Path | None, steps: Steps) -> TrainResult:
    setup, seed = setup.with_rule(rule), setup.config.seed
    title, file = f"{rule}, seed {seed}", f"{rule.replace(' ', '-')}-{seed}.h5"
    with steps.step(title, title) as progress:
        return setup.train(
            setup.twin(),
            costs,
            say=lambda sentence: steps.say(f"{title}: {sentence}"),
            on_batch=progress,
            checkpoint=None if home is None else home / file,
        )


def _float_accuracy(setup: Setup, home: Path | None, steps: Steps) -> float:
    """Return the float network's accuracy after the last epoch, or take it from ``home``."""
    config = setup.config
    path = None if home is None else home / f"float-{config.seed}.h5"
    identity = digest(config.model_dump_json())
    if path is not None and path.exists():
        with reading(path, FLOAT) as tree:
            if tree["identity"] == identity:
                return float(tree["accuracy"][-1])
    with steps.step(f"float, seed {config.seed}", f"float, seed {config.seed}") as progress:
        accuracy = train_float(
            setup.network,
            setup.images,
            config.training,
            seed=config.seed,
            on_batch=progress,
            start=setup.start,
        ).accuracies
    if path is not None:
        write_record(path, FLOAT, {"identity": identity, "accuracy": np.array(accuracy)})
    score = score_text(accuracy[-1], regression=setup.images.regression)
    steps.say(f"float, seed {config.seed}: {score}")
    return accuracy[-1]


def _row(name: str, runs: list[TrainResult]) -> ComparedRule:
    return ComparedRule(
        name,
        np.array([run.accuracy for run in runs]),
        tuple(run.records[0].cost for run in runs),
        tuple(sum((record.cost for record in run.records), Cost()) for run in runs),
        np.array([max(int(each.writes.max()) for each in run.ledger.devices) for run in runs]),
        {
            baseline: tuple(run.records[0].baselines()[baseline] for run in runs)
            for baseline in BASELINES
            if baseline != "closed_loop"
            and all(baseline in run.records[0].baselines() for run in runs)
        },
    )


def _spread(key: str, values: Array) -> dict[str, float]:
    """Return mean and standard deviation over seeds; of one seed there is no spread to tell."""
    mean = {key: float(values.mean())}
    if len(values) == 1:
        return mean
    return mean | {spread_key(key): float(values.std(ddof=1))}


def spread_key(key: str) -> str:
    """Return the name of the spread over seeds of a figure: the unit stays at the end."""
    name, _, unit = key.rpartition("_")
    return f"{name}_spread_{unit}".lstrip("_")
