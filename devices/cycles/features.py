"""The features of switching cycles: resistances and voltages, a row for each cycle of each device."""

__all__ = ["FEATURES", "CycleFeatures", "features_of_sweeps", "features_of_tables"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...data.errors import InputError, too_few
from ...data.measurement import Sweep, Table
from ...data.types import Array

FEATURES = ("r_hrs", "v_set", "r_lrs", "v_reset")
"""Resistance before SET [ohm], SET voltage [V], resistance after it [ohm], RESET voltage [V, a magnitude]:
in the order in which a cycle has them."""
LEAST = 30
"""Cycles below which nothing is learnt."""
_ALSO = {
    "r_hrs": ("r_reset", "hrs", "r_off"),
    "r_lrs": ("r_set", "lrs", "r_on"),
    "v_set": ("vset", "v_on", "us"),
    "v_reset": ("vreset", "v_off", "ur"),
}
_DEVICE = ("device", "cell", "address", "addr")


@dataclass(frozen=True)
class CycleFeatures:
    """Features of cycles in their order.

    Attributes
    ----------
    names
        The features, d of them.
    values
        Shape (cycles, d), above 0: [ohm] and [V].
    device
        Number of the device that each cycle is of, shape (cycles,); the cycles of one follow each other.
    """

    names: tuple[str, ...]
    values: Array
    device: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Refuse what no process could be learnt from."""
        if self.values.shape != (len(self.device), len(self.names)):
            raise InputError(
                f"cycles: expected a table of shape {(len(self.device), len(self.names))}, got"
                f" {self.values.shape}"
            )
        if len(self.values) < LEAST:
            raise InputError(
                f"{too_few(len(self.values), 'cycle')} to learn from, expected {LEAST} or more"
            )
        if not (np.isfinite(self.values).all() and (self.values > 0.0).all()):
            raise InputError("cycles: features must be finite and above 0")
        flat = [
            name for name, one in zip(self.names, self.values.T, strict=True) if np.ptp(one) == 0
        ]
        if flat:
            raise InputError(
                f"cycles: {flat[0]} is the same in every cycle: there is nothing to learn"
            )

    @property
    def runs(self) -> list[Array]:
        """The cycles of each device, shape (cycles, d) each."""
        return [self.values[self.device == one] for one in np.unique(self.device)]


def features_of_tables(tables: Sequence[Table]) -> CycleFeatures:
    """Return the features that tables hold by column: some of :data:`FEATURES`, and perhaps the device.

    Every table without a column for the device is one device. Rows that lack a feature are left out.

    Raises
    ------
    InputError
        If a table has no feature, or tables have different ones.
    """
    names: tuple[str, ...] = ()
    parts, owners, count = [], [], 0
    for table in tables:
        found = {name: _column(table, name) for name in FEATURES}
        own = tuple(name for name, column in found.items() if column is not None)
        if not own:
            raise InputError(
                f"{table.name}: expected columns {', '.join(FEATURES)}, or some of them, got"
                f" {', '.join(table.columns)}"
            )
        if names not in ((), own):
            raise InputError(
                f"{table.name} has {', '.join(own)}, the table before it {', '.join(names)}"
            )
        names = own
        values = np.abs(np.stack([table[_named(table, name)] for name in own], 1))
        which = next(
            (table[name] for name in _DEVICE if name in table.columns), np.zeros(len(values))
        )
        good = np.isfinite(values).all(1) & (values > 0.0).all(1)
        labels, numbers = np.unique(which[good], return_inverse=True)
        parts.append(values[good])
        owners.append(numbers + count)
        count += len(labels)
    if not parts:
        raise InputError("there are no cycles to learn from")
    values, device = np.concatenate(parts), np.concatenate(owners)
    order = np.argsort(device, kind="stable")
    return CycleFeatures(names, values[order], device[order].astype(np.int64))


def _named(table: Table, name: str) -> str:
    return next((one for one in (name, *_ALSO[name]) if one in table.columns), "")


def _column(table: Table, name: str) -> Array | None:
    key = _named(table, name)
    return table[key] if key else None


def features_of_sweeps(sweeps: Sequence[Sweep], v_read: float = 0.1) -> CycleFeatures:
    """Return the features of current-voltage loops, SET at positive voltages: one device's cycles in one sweep, or
    a sweep for each.

    A cycle begins where the voltage turns positive. Resistances are those at ``v_read`` [V] on the way up and on the
    way back; the SET voltage is the first one at which the conductance is above the geometric mean of both states', the
    RESET voltage the first (in size) at which it is below again. Cycles that do not switch are left out.

    Raises
    ------
    InputError
        If fewer than 30 cycles switch.
    """
    rows = []
    for sweep in sweeps:
        v, i = sweep.v, sweep.i
        starts = np.flatnonzero((v[1:] > 0.0) & (v[:-1] <= 0.0))
        for start, stop in zip(starts, [*starts[1:], len(v) - 1], strict=True):
            row = _features(v[start : stop + 1], i[start : stop + 1], v_read)
            if row is not None:
                rows.append(row)
    if len(rows) < LEAST:
        raise InputError(
            f"{len(rows)} cycles of the sweeps switch, expected {LEAST} or more; give tables of features"
            f" ({', '.join(FEATURES)}) if these were extracted elsewhere"
        )
    return CycleFeatures(FEATURES, np.array(rows), np.zeros(len(rows), np.int64))


def _features(v: Array, i: Array, v_read: float) -> tuple[float, float, float, float] | None:
    top, bottom = int(np.argmax(v)), int(np.argmin(v))
    if not (v[top] > v_read and v[bottom] < 0.0 and top < bottom):
        return None
    up, back, down = slice(0, top + 1), slice(top, bottom + 1), slice(top, bottom + 1)
    g_hrs, g_lrs = (_conductance(v[part], i[part], v_read) for part in (up, back))
    if not 0.0 < g_hrs < g_lrs:
        return None
    middle = np.sqrt(g_hrs * g_lrs)
    with np.errstate(divide="ignore", invalid="ignore"):
        g = i / v
    risen = (v[up] >= v_read) & (g[up] > middle)
    fallen = (v[down] <= -v_read) & (g[down] < middle)
    if not (risen.any() and fallen.any()):
        return None
    v_set, v_reset = v[up][risen.argmax()], -v[down][fallen.argmax()]
    return 1.0 / g_hrs, float(v_set), 1.0 / g_lrs, float(v_reset)


def _conductance(v: Array, i: Array, v_read: float) -> float:
    order = np.argsort(v, kind="stable")
    return float(np.interp(v_read, v[order], i[order])) / v_read
