"""How often write-verify ends inside of a band: landings beyond its edge, round after round.

A ramp is stopped by the first verify read beyond an edge of the band, and has then gone further by some ln-overshoot. A
round that goes further than the band is wide is followed by another one from the other side, so that a write fails with

    (1 - F(width))^(chances(g) · rounds)

where F is the distribution of overshoots of RESET ramps before a write, which are not writes themselves, and
``chances`` how many landings a round is worth at that conductance. Cells that no write moves are counted apart.
"""

__all__ = ["EDGES", "Check", "Landing", "check_log", "dead_cells", "fit_landing", "overshoots"]

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.chip import WriteLog
from ...data.errors import InputError
from ...data.types import Array

_SHARES = np.concatenate(
    (
        [0.0, 0.001, 0.002, 0.004, 0.007, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15],
        [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0],
    )
)
EDGES = (0.0, 0.004, 0.008, 0.016, 0.03, 0.06, 0.12, np.inf)
"""Widths of bands, ln(high/low), between which writes are counted together."""
_FEW, _ENOUGH = 3, 200  # writes by which a cell is known for dead; RESET ramps for a distribution
_WEIGHT = 5000  # ramps that a technology's distribution counts as, beside a chip's own
_LONGEST = 20.0  # ln-overshoot of a cell that reads nothing


@dataclass(frozen=True, eq=False)
class Landing:
    """Landings of write-verify.

    Attributes
    ----------
    overshoot
        Quantiles of the ln-overshoot, rising, at ``share``, shape (quantiles,).
    share
        Their shares, from 0 to 1, shape (quantiles,).
    g
        Conductances at which ``chances`` is known [S], rising, shape (levels,).
    chances
        Landings that a round is worth, shape (levels,).
    rounds
        Rounds after which a write is given up.
    """

    overshoot: Array
    share: Array
    g: Array
    chances: Array
    rounds: int

    def __post_init__(self) -> None:
        """Refuse tables that do not fit each other."""
        if self.overshoot.shape != self.share.shape or self.g.shape != self.chances.shape:
            raise InputError(
                "landings: quantiles and shares, or levels and chances, differ in number"
            )
        if (np.diff(self.overshoot) < 0.0).any() or (np.diff(self.share) <= 0.0).any():
            raise InputError("landings: the quantiles of the overshoot must rise")
        if self.rounds < 1:
            raise InputError(f"landings: expected one round or more, got {self.rounds}")

    def success(self, ln_width: ArrayLike, g: ArrayLike, rounds: int | None = None) -> Array:
        """Return the probability that a write to bands of these widths around g [S] succeeds, for
        a cell that is not dead; both broadcast.

        Parameters
        ----------
        ln_width
            Natural logarithms of the bands' widths.
        g
            Conductances, an array of any shape [S].
        rounds
            Rounds of writing at most.
        """
        inside = np.interp(np.asarray(ln_width, float), self.overshoot, self.share)
        chances = np.interp(np.asarray(g, float), self.g, self.chances) * (
            self.rounds if rounds is None else rounds
        )
        with np.errstate(divide="ignore"):
            return np.asarray(-np.expm1(chances * np.log1p(-np.minimum(inside, 1.0 - 1e-12))))


class Check(NamedTuple):
    """Writes to bands of about one width."""

    ln_width: float
    """Their mean width, ln(high/low)."""
    predicted_percent: float
    measured_percent: float
    writes: int


def overshoots(logs: Sequence[WriteLog]) -> Array:
    """Return the ln-overshoots of RESET ramps that passed their edge, shape (ramps,)."""
    found = []
    for log in logs:
        there = np.isfinite(log.g_erased) & np.isfinite(log.g_erased_high)
        left, edge = log.g_erased[there], log.g_erased_high[there]
        passed = left <= edge
        beyond = np.log(edge[passed]) - np.log(np.maximum(left[passed], 1e-12))
        found.append(np.minimum(beyond, _LONGEST))
    return np.concatenate(found) if found else np.zeros(0)


def dead_cells(log: WriteLog) -> NDArray[np.bool_]:
    """Return which writes went to cells that none of three or more writes brought into its band, shape (writes,)."""
    _, which, count = np.unique(log.cell, return_inverse=True, return_counts=True)
    worked = np.bincount(which, log.success) > 0
    return np.asarray(((count >= _FEW) & ~worked)[which])


def fit_landing(logs: Sequence[WriteLog], *, rounds: int | None = None, levels: int = 5) -> Landing:
    """Learn landings from a chip's logs.

    Parameters
    ----------
    logs
        With the RESET ramps before the writes.
    rounds
        After which writes were given up; default: what the logs say.
    levels
        Groups of conductance whose ``chances`` are told apart.

    Raises
    ------
    InputError
        If there are fewer than 200 RESET ramps, or nothing says how many rounds there were.
    """
    beyond = overshoots(logs)
    if len(beyond) < _ENOUGH:
        raise InputError(
            f"{len(beyond)} RESET ramps that passed their edge are too few for a distribution,"
            f" expected {_ENOUGH} or more"
        )
    said = {int(log.meta["attempts_max"]) for log in logs if "attempts_max" in log.meta}
    if rounds is None and len(said) != 1:
        raise InputError("say after how many rounds writes were given up: the logs do not")
    most = next(iter(said)) if rounds is None else rounds
    quantiles = np.maximum.accumulate(np.quantile(beyond, _SHARES))
    quantiles[0] = 0.0
    sound = [~dead_cells(log) for log in logs]
    g = np.concatenate([_middle(log)[ok] for log, ok in zip(logs, sound, strict=True)])
    width = np.concatenate([log.ln_width[ok] for log, ok in zip(logs, sound, strict=True)])
    good = np.concatenate([log.success[ok] for log, ok in zip(logs, sound, strict=True)])
    edges = np.quantile(g, np.linspace(0.0, 1.0, levels + 1))
    edges[-1] = np.inf
    places, chances = [], []
    for low, high in pairwise(edges):
        group = (g >= low) & (g < high)
        if group.sum() < _ENOUGH:
            continue
        places.append(float(np.median(g[group])))
        chances.append(_chances(np.interp(width[group], quantiles, _SHARES), good[group], most))
    if not places:
        places, chances = [float(np.median(g))], [1.0]
    return Landing(quantiles, _SHARES.copy(), np.array(places), np.array(chances), most)


def _middle(log: WriteLog) -> Array:
    return np.asarray(0.5 * (log.g_low + log.g_high))


def _chances(inside: Array, good: NDArray[np.bool_], rounds: int) -> float:
    """Return the likeliest number of landings per round; 1 where it hardly matters."""
    from scipy.optimize import minimize_scalar

    trials = np.log1p(-np.minimum(inside, 1.0 - 1e-12)) * rounds

    def cost(x: float) -> float:
        fails = np.exp(x) * trials
        likely = np.where(
            good, np.log(np.maximum(-np.expm1(fails), 1e-9)), np.maximum(fails, -20.0)
        )
        return float(-likely.sum() + 0.5 * (x / 0.5) ** 2)

    return float(np.exp(minimize_scalar(cost, bounds=(-1.5, 1.5), method="bounded").x))


def check_log(
    landing: Landing, logs: Sequence[WriteLog], *, dead_share: float | None = None
) -> list[Check]:
    """Compare a chip's log with what the technology says of it.

    The chip's own RESET ramps are counted together with the technology's, which weigh as much as 5,000.

    Parameters
    ----------
    landing
        The technology's.
    logs
        The chip's.
    dead_share
        Share of its cells that no write moves; default: those of the log that no write moved.
    """
    law = _own(landing, overshoots(logs))
    widths = np.concatenate([log.ln_width for log in logs])
    good = np.concatenate([log.success for log in logs])
    told = np.concatenate([_foretold(law, log, dead_share) for log in logs])
    rows = []
    for low, high in pairwise(EDGES):
        group = (widths >= low) & (widths < high)
        if group.any():
            rows.append(
                Check(
                    float(widths[group].mean()) if np.isfinite(widths[group]).all() else float(low),
                    100.0 * float(told[group].mean()),
                    100.0 * float(good[group].mean()),
                    int(group.sum()),
                )
            )
    return rows


def _own(landing: Landing, beyond: Array) -> Landing:
    """Return the landings with a chip's own overshoots counted in."""
    own = np.searchsorted(np.sort(beyond), landing.overshoot, side="right").astype(float)
    share = (own + _WEIGHT * landing.share) / (len(beyond) + _WEIGHT)
    share[0], share[-1] = 0.0, 1.0
    return replace(landing, share=share)


def _foretold(law: Landing, log: WriteLog, dead_share: float | None) -> Array:
    rounds = int(log.meta["attempts_max"]) if "attempts_max" in log.meta else None
    likely = law.success(log.ln_width, _middle(log), rounds)
    lost = dead_cells(log) if dead_share is None else np.full(len(log), dead_share)
    return np.asarray(likely * (1.0 - lost))
