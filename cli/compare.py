"""``memtwin compare``: the Siamese update beside other ways to train the same tiles."""

__all__ = ["compare"]

from pathlib import Path
from typing import Annotated, Any

import typer

from ..data.errors import InputError, nearest
from .console import Json, bar, emit


def compare(
    preset: Annotated[
        str | None, typer.Argument(help="A shipped configuration.", show_default=False)
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A configuration file (TOML) instead of a preset.")
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key, e.g. training.epochs=2."),
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            help="siamese, closed loop, verify-first, mixed precision or sign; repeatable,"
            " by default all."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Seeds, counted from the configuration's.")] = 3,
    engine: Annotated[
        str,
        typer.Option(
            help="Engine for training: ideal (linear devices, no wires), surrogate, line."
        ),
    ] = "ideal",
    json: Json = False,
) -> dict[str, Any]:
    """Train by several update rules over several seeds; print accuracies, writes and costs."""
    from ..training.baselines import BASELINES
    from ..training.compare import compare as compare_rules
    from ..training.config import load_config
    from ..training.configured import train_options, write_costs
    from ..training.setup import set_up
    from ..training.twin import MemristorTwin

    if (preset is None) == (config is None):
        raise InputError("give a preset (such as demo or mnist) or --config FILE, one of them")
    if seeds < 1:
        raise InputError(f"--seeds must be at least 1, got {seeds}")
    # Without wires the drive undoes the devices' curvature, so that linear ones do as well.
    linear = ["device.linear=true"] if engine == "ideal" else []
    settings = load_config(
        config if config is not None else str(preset),
        [*(change or []), f"training.engine={engine}", *linear],
    )
    options = train_options(settings)
    known = {"siamese": options.siamese} | BASELINES
    for name in rule or []:
        if name not in known:
            raise InputError(f"there is no update rule {name!r}{nearest(name, known)}")
    setup = set_up(settings, surrogate=engine in ("surrogate", "line"))

    def make_twin(seed: int) -> MemristorTwin:
        return setup.seeded(seed).twin()

    chosen = {"siamese": known["siamese"], "closed loop": known["closed loop"]} | {
        name: known[name] for name in rule or known
    }
    with bar("pulsing the device between levels") as progress:
        costs = write_costs(settings, setup.levels, progress)
    with bar(f"training by {len(chosen)} rules with {seeds} seeds") as progress:
        rows = compare_rules(
            make_twin,
            setup.images,
            options,
            costs,
            chosen,
            range(settings.seed, settings.seed + seeds),
            progress=progress,
        )
    reference = next(row for row in rows if row.name == "closed loop")
    summary: dict[str, Any] = {
        row.name: {key: value for key, value in row.summary(reference).items() if key != "rule"}
        for row in rows
    } | {"seeds": seeds, "write_cost_source": costs.source}
    emit(_flat(summary) if not json else summary, as_json=json, title="update rules")
    return summary


def _flat(summary: dict[str, Any]) -> dict[str, Any]:
    """Return one line of text per rule for people."""
    shown = {}
    for name, row in summary.items():
        if not isinstance(row, dict):
            shown[name] = row
            continue
        shown[name] = (
            f"{row['accuracy_percent']:.2f} ± {row['accuracy_spread_percent']:.2f} %"
            f" ({row['to_float_percent']:+.2f} to float); first epoch against closed loop:"
            f" writes {row['writes_removed_percent']:.2f} %, weights"
            f" {row['weights_removed_percent']:.2f} %, pulses {row['pulses_removed_percent']:.2f} %,"
            f" reads {row['reads_removed_percent']:.2f} %, energy"
            f" {row['energy_removed_percent']:.2f} %, time {row['time_removed_percent']:.2f} %"
            f" less; most-written device {row['max_writes']:.0f} writes"
        )
    return shown
