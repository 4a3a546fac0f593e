"""A pulse map by combination of width and voltages: medians, quantiles, switching probability, and their noise."""

__all__ = ["Combinations", "Outcome", "combine", "outcome"]

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...data.chip import PulseMap
from ...data.errors import InputError
from ...data.types import Array

SHARES = (0.1, 0.5, 0.9)
"""Quantiles that maps are compared by."""
_RESAMPLES = 200
_FEW = 5


class Outcome(NamedTuple):
    """What pulses of each combination left, shape (combinations,) each."""

    median: Array
    """[S]"""
    low: Array
    """10 % quantile [S]"""
    high: Array
    """90 % quantile [S]"""
    switched: Array
    """Share of the cells that moved by more than the threshold."""


@dataclass(frozen=True, eq=False)
class Combinations:
    """SET pulses by combination.

    Attributes
    ----------
    pw, v_wl, v_bl
        Width [s] and lines [V] of each combination, shape (combinations,).
    count
        Its cells, shape (combinations,).
    g_before
        Their start values [S], sorted, one array per combination.
    measured
        What was measured.
    noise
        Standard deviation of that, from cells drawn anew (bootstrap).
    moved
        Change above which a cell counts as switched [S].
    read_noise
        Standard deviation of one read [S].
    """

    pw: Array
    v_wl: Array
    v_bl: Array
    count: NDArray[np.int64]
    g_before: tuple[Array, ...] = field(repr=False)
    measured: Outcome = field(repr=False)
    noise: Outcome = field(repr=False)
    moved: float
    read_noise: float

    def __len__(self) -> int:
        """Return the number of combinations."""
        return len(self.pw)

    def only(self, which: NDArray[np.bool_]) -> "Combinations":
        """Return some of the combinations."""
        if not which.any():
            raise InputError("no combination of widths and voltages is left")
        places = np.flatnonzero(which)
        return Combinations(
            self.pw[places],
            self.v_wl[places],
            self.v_bl[places],
            self.count[places],
            tuple(self.g_before[k] for k in places),
            Outcome(*(part[places] for part in self.measured)),
            Outcome(*(part[places] for part in self.noise)),
            self.moved,
            self.read_noise,
        )

    def starts(self, share: Array) -> Array:
        """Return each combination's start values at ``share`` (samples,) of their order, shape
        (combinations, samples).
        """
        return np.stack([g[(share * len(g)).astype(np.intp)] for g in self.g_before])


def combine(
    measured: PulseMap,
    *,
    below: float = 25e-6,
    moved: float = 15e-6,
    read_noise: float | None = None,
    seed: int = 0,
) -> Combinations:
    """Sort a map's SET pulses by width and voltages.

    Parameters
    ----------
    measured
        The map.
    below
        Cells that read more before the pulse are left out: their RESET had failed [S].
    moved
        Change above which a cell counts as switched [S].
    read_noise
        Standard deviation of one read [S]; default: what the map says, else 0.
    seed
        Of the cells that are drawn anew.

    Raises
    ------
    InputError
        If no SET pulse is left, or none of the combinations has five cells.
    """
    wanted = ~measured.reset & (measured.g_before < below)
    if wanted.sum() < _FEW:
        raise InputError(
            f"{measured.name}: {int(wanted.sum())} SET pulses began below {1e6 * below:g} µS: say up to"
            " where a cell counts as reset, below"
        )
    kept = measured.only(wanted)
    table = np.stack((kept.pw, kept.v_wl, kept.v_bl))
    keys, which = np.unique(np.round(table, 12), axis=1, return_inverse=True)
    which = which.reshape(-1)
    groups = np.split(np.argsort(which, kind="stable"), np.cumsum(np.bincount(which))[:-1])
    groups_kept = [k for k, group in enumerate(groups) if len(group) >= _FEW]
    if not groups_kept:
        raise InputError(
            f"{measured.name}: no combination of widths and voltages has {_FEW} SET pulses on cells"
            f" that read below {1e6 * below:g} µS before"
        )
    rng = np.random.default_rng(seed)
    rows, noise, starts = [], [], []
    for k in groups_kept:
        before, after = kept.g_before[groups[k]], kept.g_after[groups[k]]
        rows.append(np.array(outcome(before[None], after[None], moved))[:, 0])
        drawn = rng.integers(len(before), size=(_RESAMPLES, len(before)))
        noise.append(np.array(outcome(before[drawn], after[drawn], moved)).std(1))
        starts.append(np.sort(before))
    said = float(measured.meta.get("read_noise", 0.0))
    return Combinations(
        keys[0, groups_kept],
        keys[1, groups_kept],
        keys[2, groups_kept],
        np.array([len(groups[k]) for k in groups_kept]),
        tuple(starts),
        Outcome(*np.array(rows).T),
        Outcome(*np.array(noise).T),
        moved,
        said if read_noise is None else read_noise,
    )


def outcome(before: Array, after: Array, moved: float) -> Outcome:
    """Return what cells (combinations, cells) were left at, by combination.

    Parameters
    ----------
    before
        Conductances before, (combinations, cells) [S].
    after
        Conductances after, in the same shape [S].
    moved
        Change from which on a cell has moved [S].
    """
    low, median, high = np.quantile(after, SHARES, axis=1)
    return Outcome(median, low, high, (after - before > moved).mean(1))
