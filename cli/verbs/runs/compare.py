"""``memtwin compare``: the Siamese update beside other ways to train the same tiles."""

__all__ = ["compare"]

from collections.abc import Mapping
from math import isfinite
from typing import Annotated, Any

import typer

from ....data.errors import InputError
from ....data.shown.quantities import figure
from ...console import Json, emit
from ...groups import grouped
from ...job import Asked, Terminal, job


@grouped
def compare(
    asked: Asked,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            help="siamese, budgeted, patient, eapu, closed loop, verify-first, mixed precision, sign, pulsed or a"
            " registered one; repeatable, by default all."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Seeds, counted from the configuration's.")] = 3,
    engine: Annotated[
        str | None,
        typer.Option(
            help="Engine for training, by default the configuration's; ideal takes linear devices."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Train by several update rules over several seeds; print accuracies, writes and costs.

    Every training is kept in the folder: ``--resume`` continues there, with more seeds or rules too.
    """
    from ....training.runs.compare import compare_in, possible_rules
    from ....training.runs.overview.summary import STEP
    from ....training.trainer.closed_loop import BASELINES

    if seeds < 1:
        raise InputError(f"--seeds must be at least 1, got {seeds}")
    given: dict[str, Any] = {"training.engine": engine}
    if engine == "ideal":
        # Without wires the drive undoes the devices' curvature, so that linear ones do as well.
        given["device.linear"] = True
    with job(
        asked,
        given,
        again=f"memtwin compare --resume {{}} --seeds {seeds}",
        kind="compare",
    ) as (settings, claim, executor):
        chosen = range(settings.seed, settings.seed + seeds)
        found = compare_in(
            claim,
            settings,
            rule or possible_rules(settings),
            chosen,
            Terminal(),
            executor,
            asked.characterisation,
            asked.workers or 1,
        )
    rows = found.summary()
    facts = {
        "engine": settings.training.engine,
        "seeds": list(found.seeds),
        "write_cost_source": found.write_cost_source,
        **({STEP: found.step_over_gentlest} if isfinite(found.step_over_gentlest) else {}),
        "folder": str(claim.path),
    }
    if json:
        emit({**rows, **facts}, as_json=True)
        return
    shown = {name: _line(row, BASELINES) for name, row in rows.items()}
    title = "update rules" + (
        ", mean ± spread over seeds" if seeds > 1 else f", seed {settings.seed}"
    )
    emit({**shown, **facts}, as_json=False, title=title)


def _line(row: Mapping[str, Any], baselines: Mapping[str, str]) -> str:
    """Return one line of text for people."""
    regression = "r2" in row
    to_float = "to_float_r2" if regression else "to_float_percent"
    text = f"R² {_spread(row, 'r2')}" if regression else f"{_spread(row, 'accuracy_percent')} %"
    if "accuracy_low_percent" in row:
        low, high = (
            figure(f"{end}_percent", row[f"accuracy_{end}_percent"]) for end in ("low", "high")
        )
        text += f" (95 %: {low} to {high})"
    if to_float not in row:
        return text
    saved = "; ".join(
        f"than a closed loop ({writes}): {shares}"
        for baseline, writes in baselines.items()
        if (shares := _shares(row, baseline))
    )
    return (
        f"{text}, {row[to_float]:+.4g}{'' if regression else ' %'} to float; percent less in the first epoch {saved};"
        f" most-written device {row['max_writes']:.0f} writes"
    )


def _shares(row: Mapping[str, Any], baseline: str) -> str:
    """Return what is saved against a baseline, kind by kind."""
    from ....training.trainer.results import removed_key

    ending = removed_key("", baseline)
    return ", ".join(
        f"{name.replace('_', ' ')} {_spread(row, key)}"
        for key in row
        if (name := key.removesuffix(ending)) != key
    )


def _spread(row: Mapping[str, Any], key: str) -> str:
    """Return a mean over seeds, with its spread if there are several."""
    from ....training.runs.compare import spread_key

    digits = ".2f" if key.endswith("_percent") else ".4f"
    mean, spread = format(row[key], digits), row.get(spread_key(key))
    return mean if spread is None else f"{mean} ± {spread:{digits}}"
