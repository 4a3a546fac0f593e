"""The figures of a run that users ask for first, by name, and how they are laid out for people.

Names say their units: ``write_energy_joule``, ``wall_seconds``. Whatever is a share is told in percent,
and its name ends in ``_percent``; R² of a regression is a number, and its name ends in ``_r2``.
"""

__all__ = [
    "GROUPS",
    "SAVED",
    "STEP",
    "TRAINED",
    "VALIDATED",
    "config_of",
    "counted",
    "heading",
    "saved",
    "score_figures",
    "score_key",
    "score_of_summary",
    "summarise",
    "train_summary",
    "validation_summary",
    "with_unit",
]

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from ....data.display import Group, Line
from ....data.types import Array
from ...trainer.closed_loop import BASELINES
from ...trainer.results import TrainResult, removed_key
from ...trainer.validate import Validation, wilson
from ...twin.cost import removed_percent
from ..config import stated_config

SAVED = ("writes", "weights", "pulses", "energy", "time", "row_time", "weights_of_learning")
"""What a summary gives the share removed of."""

STEP = "step_over_gentlest_energy"
"""What a level step costs over the gentlest move, in a record's costs of writing and its summary."""

CHECKED = (
    ("surrogate_nrmse_percent", "nrmse_percent"),
    ("surrogate_max_error_percent", "max_error_percent"),
    ("ideal_nrmse_percent", "ideal_nrmse_percent"),
)
"""What a summary tells of the surrogate's check, where one was fitted, and its name there."""

UNITS = {
    "energy": "joule",
    "energy_high": "joule",
    "time": "seconds",
    "row_time": "seconds",
    "read_energy": "joule",
    "read_time": "seconds",
}
"""Units of what is counted, where it has one."""


def score_key(name: str, part: str = "", *, regression: bool = False) -> str:
    """Return the name of a score in summaries, or of the ``low`` or ``high`` end of its interval.

    Parameters
    ----------
    name
        Whose score it is.
    part
        ``low`` or ``high`` for an end of its interval.
    regression
        Whether numbers are predicted, not classes.
    """
    stem = f"{name}_{'r2' if regression else 'accuracy'}{part and f'_{part}'}"
    return stem if regression else f"{stem}_percent"


def _score_lines(*, regression: bool) -> tuple[Line, ...]:
    def told(name: str, interval: bool = True) -> str:
        value, low, high = (
            f"{{{score_key(name, part, regression=regression)}}}" for part in ("", "low", "high")
        )
        return f"{value} (95 %: {low} to {high})" if interval else value

    same = "{agreement} of {spice_images} predictions are the same"
    return (
        *(
            Line(label, told(name, interval))  # older records know no interval
            for label, name in (("memristor twin", "memristor"), ("float network", "float"))
            for interval in (True, False)
        ),
        Line("validation", told("spice") + ", {spice_images} test samples in {validation_engine}"),
        Line(
            "the same samples",
            f"{told('surrogate_same_images', False)} in {{final_engine}}; {same}",
        ),
    )


GROUPS = (
    Group("accuracy", _score_lines(regression=False)),
    Group("score", _score_lines(regression=True)),
    Group(
        "surrogate",
        (
            Line(
                "error on held-out vectors",
                "{surrogate_nrmse_percent} NRMSE, {surrogate_max_error_percent} of full scale at most",
            ),
            Line("device law without wires", "{ideal_nrmse_percent} NRMSE"),
            Line(
                "audits in training",
                "{audits}, {audits_failed} of them failed; {audit_worst_nrmse_percent} NRMSE at worst",
            ),
        ),
    ),
    Group(
        "writes",
        (
            Line("device writes", "{writes}; a closed loop: {writes_closed_loop}"),
            Line(
                "against a closed loop",
                "{writes_removed_percent:fewer}, in the first epoch {writes_removed_first_epoch_percent:fewer}",
            ),
            Line(
                "of weights changed",
                "{weights_removed_percent:fewer}, in the first epoch {weights_removed_first_epoch_percent:fewer}",
            ),
            Line(
                "most-written device",
                "{max_writes} writes; {endurance} after {epochs_to_endurance} epochs like these",
            ),
        ),
    ),
    Group(
        "energy and time",
        (
            Line(
                "write energy",
                "{write_energy_joule}, {energy_removed_percent:less} than a closed loop",
            ),
            Line(
                "write energy at most",
                "{write_energy_high_joule}; a bracket, since the current of pulses was not measured",
            ),
            Line(
                "first epoch",
                "{first_epoch_energy_joule} to {first_epoch_energy_high_joule}, {first_epoch_time_seconds}"
                " one write after the other, {first_epoch_drivers_time_seconds} with {drivers} drivers",
            ),
            Line(
                "a closed loop's",
                "{first_epoch_energy_closed_loop_joule} to {first_epoch_energy_closed_loop_high_joule},"
                " {first_epoch_time_closed_loop_seconds} one after the other,"
                " {first_epoch_drivers_time_closed_loop_seconds} with {drivers} drivers",
            ),
            Line(
                "write time, row by row",
                "{write_row_time_seconds}, {row_time_removed_percent:less}",
            ),
            Line(
                "write time, device by device",
                "{write_time_seconds}, {time_removed_percent:less}",
            ),
            Line("this computer", "{wall_seconds} in all; epochs trained: {epochs}"),
        ),
    ),
    Group(
        "files",
        (
            Line("record", "{record}"),
            Line("report", "{report}"),
        ),
    ),
)
"""How the summary of a run is laid out for people."""

TRAINED = (
    Group(
        "accuracy",
        (
            Line(
                "memristor twin",
                "{memristor_accuracy_percent} (95 %: {memristor_accuracy_low_percent} to"
                " {memristor_accuracy_high_percent}), {test_images} test samples",
            ),
            Line(
                "memristor twin",
                "R² {memristor_r2} (95 %: {memristor_r2_low} to {memristor_r2_high}), {test_images} test samples",
            ),
            Line("memristor twin", "R² {memristor_r2}, {test_images} test samples"),
            Line("audits", "{audits}, {audits_failed} of them failed"),
        ),
    ),
    Group(
        "last epoch",
        (
            Line("device writes", "{writes}; {writes_removed_percent:fewer} than a closed loop"),
            Line("write energy", "{energy_joule}; {energy_removed_percent:less}"),
            Line("write time, row by row", "{row_time_seconds}; {row_time_removed_percent:less}"),
            Line("this computer", "{wall_seconds}"),
        ),
    ),
    Group("files", (Line("folder", "{folder}"),)),
)
"""The same of a training."""

VALIDATED = (
    *GROUPS[:2],
    Group("differing", (Line("test images", "{differing}"), Line("devices", "{devices}"))),
)
"""The same of a validation."""


def heading(name: str, figures: Mapping[str, Any]) -> str:
    """Return a run's title."""
    return f"run {name}, seed {figures['seed']} (simulated)"


def score_figures(
    name: str,
    score: float,
    count: int | None,
    *,
    regression: bool = False,
    interval: Sequence[float] | None = None,
) -> dict[str, float]:
    """Return a score under its name, with its 95 % interval: Wilson's where it is the share of ``count``
    samples, else the one that is known.

    Parameters
    ----------
    name
        Whose it is.
    score
        Share of right answers [0..1], or R².
    count
        Samples that it was found on, ``None`` if that isn't known.
    regression
        Whether numbers are predicted, not classes.
    interval
        Ends of the interval of R², where they are known.
    """
    scale, ends = 100.0, interval
    if regression:
        scale = 1.0
    elif count:
        ends = wilson(round(score * count), count)
    told = [("", score), *zip(("low", "high"), () if ends is None else ends, strict=False)]
    return {
        score_key(name, part, regression=regression): float(scale * value) for part, value in told
    }


def validation_summary(found: Validation) -> dict[str, Any]:
    """Return the figures of a validation, under the names that a run's summary has for them."""
    scale, low_high = 1.0 if found.regression else 100.0, found.interval
    scores = {
        ("spice", ""): found.accuracy,
        ("spice", "low"): low_high[0],
        ("spice", "high"): low_high[1],
        ("surrogate_same_images", ""): found.reference_accuracy,
    }
    return {
        **{
            score_key(*key, regression=found.regression): scale * value
            for key, value in scores.items()
        },
        "spice_images": len(found.labels),
        "agreement": found.agreement,
        "final_engine": found.reference_engine,
        "validation_engine": found.engine,
    }


def train_summary(result: TrainResult) -> dict[str, Any]:
    """Return the figures of a training without validation: its score, and those of its last epoch."""
    row = result.records[-1].summary()
    found: dict[str, Any] = score_figures(
        "memristor",
        result.accuracy,
        result.test_samples,
        regression=result.regression,
        interval=result.records[-1].test_interval,
    )
    found |= {
        "test_images": result.test_samples,
        "audits": len(result.audits),
        "audits_failed": sum(not one.passed for one in result.audits),
    }
    for name, value in row.items():
        if name == "seconds":
            found["wall_seconds"] = value
        elif name in ("test_low", "test_high"):
            continue  # told with the twin's own score
        elif name.endswith("_accuracy"):
            found |= score_figures(
                name.removesuffix("_accuracy"), value, None, regression=result.regression
            )
        else:
            found[with_unit(name)] = value
    return found


def score_of_summary(summary: Mapping[str, Any], name: str, part: str = "") -> float:
    """Return a score of a summary as a share [0..1], or R².

    Parameters
    ----------
    summary
        Figures of a run, by name.
    name
        Whose score it is.
    part
        ``low`` or ``high`` for an end of its interval.
    """
    regression = summary["score"] == "r2"
    value: float = summary[score_key(name, part, regression=regression)]
    return value if regression else 0.01 * value


def with_unit(name: str) -> str:
    """Return the name of what was counted with its unit, where it has one."""
    end = next((end for end in UNITS if name == end or name.endswith(f"_{end}")), None)
    return name if end is None else f"{name}_{UNITS[end]}"


def summarise(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures that a user asks for first, as flat names and numbers."""
    config, epochs = config_of(record), record["epochs"]
    validation, check = record["validation"], record.get("surrogate")
    audits, end = record["audits"], record["wear"]["epochs_to_endurance"]
    found = Validation(**{item.name: validation[item.name] for item in fields(Validation)})
    tested = record.get("data", {}).get("samples", {}).get("test")
    ends = {"memristor": None, "float": epochs.get("float_interval")}
    if "test_low" in epochs:  # of R², in records that are not older
        ends["memristor"] = (epochs["test_low"][-1], epochs["test_high"][-1])
    figures: dict[str, Any] = {"score": "r2" if found.regression else "accuracy"}
    for name, key in (("memristor", "test_accuracy"), ("float", "float_accuracy")):
        last = float(epochs[key][-1])
        figures |= score_figures(
            name, last, tested, regression=found.regression, interval=ends[name]
        )
    return {
        **figures,
        **({} if tested is None else {"test_images": int(tested)}),
        **validation_summary(found),
        "training_engine": config["training"]["engine"],
        "audits": len(audits["passed"]),
        "audits_failed": int(np.sum(~audits["passed"])),
        "audit_worst_nrmse_percent": float(audits["nrmse_percent"].max(initial=0.0)),
        **({} if check is None else {name: check[key] for name, key in CHECKED}),
        "writes": round(epochs["writes"].sum()),
        "writes_closed_loop": round(epochs["closed_loop_writes"].sum()),
        **_spent(epochs),
        **_bracketed(epochs, config["device"].get("drivers")),
        **{
            removed_key(name, baseline, span): removed_percent(
                *(float(sums[:count].sum()) for sums in counted(epochs, name, baseline))
            )
            for baseline, name in saved(epochs)
            for span, count in (("", None), ("_first_epoch", 1))
        },
        **{key: value for key, value in record["write_cost"].items() if key == STEP},
        "max_writes": max(int(layer["writes"].max()) for layer in record["layers"].values()),
        "endurance": config["device"]["endurance"],
        "epochs_to_endurance": end,
        "seed": config["seed"],
        "epochs": len(epochs["writes"]),
        "wall_seconds": record["seconds"]["all"],
        "ngspice_version": record["versions"]["ngspice"],
        "klu": bool(record["versions"]["klu"]),
        "devices": record["versions"].get("devices", "behavioural"),
    }


def config_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration that a run's record states, by the keys of today."""
    return stated_config(json.loads(record["config"]))


def saved(epochs: Mapping[str, Array]) -> Iterator[tuple[str, str]]:
    """Yield baseline and name of what a summary tells the share removed of, as far as a record's
    epochs know them.
    """
    yield from (("closed_loop", name) for name in SAVED)
    for baseline in BASELINES:
        if baseline != "closed_loop" and f"{baseline}_writes" in epochs:
            yield from ((baseline, name) for name in SAVED if name in epochs)


def counted(
    epochs: Mapping[str, Array], name: str, baseline: str = "closed_loop"
) -> tuple[Array, Array]:
    """Return what a record's epochs count under ``name``, and what it is set against, (epochs,).

    Parameters
    ----------
    epochs
        Arrays of a record's epochs, by name.
    name
        What was counted.
    baseline
        What it is set against.
    """
    if name == "weights_of_learning":
        return epochs["weights"], epochs["learning"]
    return epochs[name], epochs[f"{baseline}_{name}"]


def _spent(epochs: Mapping[str, Array]) -> dict[str, float]:
    """Return energy and times of all epochs' writes, and of the basic closed loop's."""
    return {
        f"write_{name}{who}_{UNITS[name]}": float(epochs[f"{key}{name}"].sum())
        for name in ("energy", "time", "row_time")
        for who, key in (("", ""), ("_closed_loop", "closed_loop_"))
    }


def _bracketed(epochs: Mapping[str, Array], drivers: int | None) -> dict[str, float]:
    """Return the high end of energies that are brackets, and what the first epoch's writes cost beside the basic
    closed loop's; nothing where energies are known.
    """
    low, high = (epochs.get(name) for name in ("energy", "energy_high"))
    if low is None or high is None or drivers is None or not high.sum() > 1.001 * low.sum():
        return {}
    found: dict[str, float] = {"drivers": drivers}
    for who, key in (("", ""), ("_closed_loop", "closed_loop_")):
        energy, most, time = (epochs[f"{key}{name}"] for name in ("energy", "energy_high", "time"))
        found |= {
            f"write_energy{who}_high_joule": float(most.sum()),
            f"first_epoch_energy{who}_joule": float(energy[0]),
            f"first_epoch_energy{who}_high_joule": float(most[0]),
            f"first_epoch_time{who}_seconds": float(time[0]),
            f"first_epoch_drivers_time{who}_seconds": float(time[0]) / drivers,
        }
    return found
