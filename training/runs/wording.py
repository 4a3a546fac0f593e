"""What a job says of its steps: one sentence each."""

__all__ = [
    "audit_text",
    "cost_text",
    "data_text",
    "device_text",
    "epoch_text",
    "network_text",
    "surrogate_text",
    "training_text",
    "validation_text",
]

from collections.abc import Mapping
from typing import Any

from ...data.dataset import Dataset
from ...data.shown.quantities import duration, percent, prefix, quantity, saved
from ...devices.device import Levels
from ..losses import score_text
from ..trainer.audit import AuditOptions, AuditRecord
from ..trainer.results import EpochRecord, TrainResult
from ..trainer.validate import AGREED, Validation
from ..twin.cost import Cost
from ..twin.twin import MemristorTwin

SCALED = {
    "none": "as they are",
    "unit": "brought to 0..1",
    "standard": "standardised by the part to train on",
}
"""What was done to inputs, by the kind of their scaling."""


def data_text(data: Dataset) -> str:
    """Say what was found, and what was made of it."""
    shape = " × ".join(map(str, data.shape))
    parts = ", ".join(f"{len(x):,} to {name}" for name, x, _ in data.parts)
    targets = "target" if data.classes == 1 else "targets"
    what = f"{data.classes} {targets if data.regression else 'classes'}"
    return (
        f"data: {data.name}, {parts.replace(' to train', ' to train on').replace(' to test', ' to test on')},"
        f" {shape} {'numbers' if len(data.shape) == 1 else 'pixels'} each, {SCALED[data.scaling.kind]}; {what}"
    )


def device_text(levels: Levels) -> str:
    """Say what the cells hold."""
    device = levels.device
    factor, name = prefix(levels.g[-1])
    area = f" area × {device.area:.4g} of the measured one,"
    return (
        f"device: {device.name} ({device.model.title}),{'' if device.area == 1.0 else area}"
        f" {levels.count} levels from {levels.g[0] / factor:.3g} to {levels.g[-1] / factor:.3g}"
        f" {name}S at {quantity(levels.v_read, 'V')}"
        + (f"; {device.caveat}" if device.caveat else "")
    )


def network_text(name: str, twin: MemristorTwin) -> str:
    """Say how large the network is, and what of it is not on devices."""
    tile = twin.tile
    text = f"network: {name}, {twin.devices:,} devices on {twin.tiles} tiles of up to {tile.rows}×{tile.cols}"
    if twin.spare_devices:
        text += f"; {twin.spare_devices:,} more in spare columns"
    if not twin.digital:
        return text.replace(" of up to ", " of ")
    count = sum(w.size for w in twin.digital.values())
    return f"{text}; {count:,} weights are digital: they take no device writes, and no energy is told of them"


def surrogate_text(check: Mapping[str, Any]) -> str:
    """Say what the surrogate is worth on held-out vectors."""
    return (
        f"surrogate: NRMSE {percent(check['nrmse_percent'])}, largest error"
        f" {percent(check['max_error_percent'])} of full scale on {len(check['spice'])} held-out ngspice"
        f" vectors; without wires {percent(check['ideal_nrmse_percent'])}"
    )


def epoch_text(epoch: EpochRecord, *, regression: bool = False) -> str:
    """Say what an epoch came to."""
    row = epoch.summary()
    score = score_text(epoch.test_accuracy, regression=regression)
    return (
        f"epoch {epoch.epoch}: {score}, {int(row['writes']):,} writes"
        f" ({saved(row['writes_removed_percent'], 'fewer')} than closed loop),"
        f" {duration(float(f'{epoch.seconds:.2g}'))}"
    )


def training_text(rule: str, seed: int, result: TrainResult, goal: float) -> str:
    """Say what a training by one rule came to, beside the float network's score.

    Parameters
    ----------
    rule
        Name of the update rule.
    seed
        Of the training.
    result
        What it came to.
    goal
        Score of the float network: share of test images [0..1], or R².
    """
    first = result.records[0]
    removed = saved(first.cost.removed(first.closed_loop)["writes"], "fewer")
    scale, unit = (1, "") if result.regression else (100, " %")
    return (
        f"{rule}, seed {seed}: {score_text(result.accuracy, regression=result.regression)},"
        f" {scale * (result.accuracy - goal):+.4g}{unit} to float; {removed} writes than the closed loop"
        " in the first epoch"
    )


def cost_text(epoch: EpochRecord, drivers: int) -> str:
    """Say what an epoch's writes cost, and those of the basic closed loop: a bracket of joules where that is what is
    known, seconds one write after the other and by so many drivers.
    """

    def said(cost: Cost) -> str:
        joule = quantity(cost.energy, "J", 3)
        if cost.energy_high > 1.001 * cost.energy:
            joule += f" to {quantity(cost.energy_high, 'J', 3)}"
        return (
            f"{joule}, {duration(cost.time, 3)} one after the other, {duration(cost.time / drivers, 3)} with"
            f" {drivers} drivers"
        )

    return (
        f"writes of epoch {epoch.epoch}: {said(epoch.cost)}; closed loop: {said(epoch.closed_loop)}"
    )


def audit_text(found: AuditRecord, config: AuditOptions) -> str:
    """Say what an audit found, and what follows from it."""
    text = (
        f"audit in epoch {found.epoch}, batch {found.batch}: {found.engine} off by"
        f" {percent(found.nrmse_percent)} NRMSE, {percent(found.max_error_percent)} at most, from"
        f" {config.engine} on {found.vectors} vectors of matrix {found.matrix}, tile {found.tile}"
    )
    if found.passed:
        return text
    text += f"; the bar is {config.bar_percent:g} %: "
    if found.engine == config.fallback:
        return text + "the fallback does no better"
    return text + (
        "training goes on as it is"
        if config.fallback == "none"
        else f"training goes on through the engine {config.fallback}"
    )


def validation_text(found: Validation) -> str:
    """Say what two engines made of the test images."""
    low, high = found.interval
    if found.regression:
        return (
            f"{found.engine}: R² {found.accuracy:.4f} on {len(found.labels)} samples (95 %:"
            f" {low:.4f} to {high:.4f}), {found.reference_engine}: R² {found.reference_accuracy:.4f};"
            f" they agree on {found.agreement} of {len(found.labels)}, to {AGREED:g} of the targets'"
            " deviation"
        )
    return (
        f"{found.engine}: {score_text(found.accuracy)} of {len(found.labels)} images (95 %:"
        f" {score_text(low)} to {score_text(high)}), {found.reference_engine}:"
        f" {score_text(found.reference_accuracy)}; they agree on"
        f" {found.agreement} of {len(found.labels)}"
    )
