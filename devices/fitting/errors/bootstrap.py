"""Bootstrap of a fit: the spread of its parameters over measurements that might have been.

Two kinds of measurement might have been. Of many cycles, others of the same kind: sweeps are drawn with replacement,
so that what differs from cycle to cycle is in the errors (``cycles``). Of one sweep, one whose residuals come in
another order (``blocks``): what is left of them once their correlation from point to point is taken out, see
:mod:`.correlated`, is drawn with replacement in blocks, and correlated again (a pre-whitened block bootstrap:
Davison and Hinkley 1997, section 8.2.3). Each stretch of residuals keeps the size that belongs to its place, as a
model's own error is large where a device switches, and nowhere else; they are drawn relative to their local scale.

All draws descend from the fit at once, side by side as sets of parameters. As a fit bends towards its data, and few
cycles or few independent residuals do not show their own spread, deviations are widened to those of Student's law.

The length of the blocks follows from what correlation is left, by the rule for an autoregression of first order
(Andrews 1991, doi:10.2307/2938229).
"""

__all__ = ["LEAST_CYCLES", "Bootstrap", "bootstrap"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from scipy.special import ndtri, stdtrit

from ....data.errors import FitError, InputError, too_few
from ....data.types import Array, Progress
from ..search import Descent, Problem, descend
from ..space import Space
from .correlated import Correlated, autoregression, correlated, whitened
from .space import space_of

if TYPE_CHECKING:
    from ..result import Fit

Kind: TypeAlias = Literal["auto", "cycles", "blocks"]

LEAST_CYCLES = 8
"""Sweeps from which ``auto`` draws cycles."""
_BATCH = 64  # draws that descend side by side
_STEPS = 25
_WINDOW = 0.05  # share of a sweep over which the residuals' local scale is taken
_FACE = 1e-7
_FEWEST = 2.0  # degrees of freedom that are taken to be left in any case


@dataclass(frozen=True)
class Bootstrap:
    """Parameters of the draws.

    Attributes
    ----------
    kind
        ``cycles`` or ``blocks``.
    names
        Free parameters, initial states among them.
    values
        Their values, shape (draws, parameters), the deviations from the fit widened to Student's law.
    best
        The fit's own, shape (parameters,).
    length
        Points of a block; 0 for cycles.
    left_out
        Draws that did not descend to an end.
    """

    kind: str
    names: tuple[str, ...]
    values: Array
    best: Array
    length: int
    left_out: int = 0

    @property
    def stderr(self) -> dict[str, float]:
        """Standard deviation over the draws, by name."""
        return dict(zip(self.names, map(float, self.values.std(0, ddof=1)), strict=True))

    @property
    def correlation(self) -> Array:
        """Shape (parameters, parameters); NaN where a parameter did not move."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.atleast_2d(np.corrcoef(self.values.T))

    def interval(self, name: str, confidence: float = 0.95) -> tuple[float, float]:
        """Return the interval of a parameter that holds this share of the draws, as much left out on either side.

        Raises
        ------
        InputError
            If the parameter is none of the free ones.
        """
        if name not in self.names:
            raise InputError(f"{name!r} is not free in this fit: {', '.join(self.names)}")
        tails = (0.5 - 0.5 * confidence, 0.5 + 0.5 * confidence)
        low, high = np.quantile(self.values[:, self.names.index(name)], tails)
        return float(low), float(high)

    def intervals(self, confidence: float = 0.95) -> Mapping[str, tuple[float, float]]:
        """Return the interval of every free parameter."""
        return {name: self.interval(name, confidence) for name in self.names}

    def __str__(self) -> str:
        """Return a line for what was drawn, and one for each parameter."""
        drawn = "of whole sweeps" if self.kind == "cycles" else f"of blocks of {self.length} points"
        lines = [f"Bootstrap {drawn}: {len(self.values)} draws, 95 % between"]
        width = max(map(len, self.names))
        for name, (low, high) in self.intervals().items():
            lines.append(
                f"    {name:{width}}  {low:.5g} and {high:.5g} (± {self.stderr[name]:.2g})"
            )
        return "\n".join(lines)


def bootstrap(
    fit: "Fit",
    *,
    draws: int = 200,
    kind: Kind = "auto",
    length: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Bootstrap:
    """Fit measurements that might have been, from the fit on.

    Parameters
    ----------
    fit
        The fit.
    draws
        How many, at least 20.
    kind
        ``cycles``: sweeps are drawn anew, at least two; ``blocks``: blocks of residuals within each sweep;
        ``auto``: cycles where there are :data:`LEAST_CYCLES` sweeps or more.
    length
        Points of a block; by default from the residuals.
    seed
        Seed of the draws.
    progress
        Called with (draws done, draws).

    Raises
    ------
    InputError
        If there are too few draws, or one sweep for ``cycles``.
    FitError
        If hardly any draw descends to an end.
    """
    if draws < 20:
        raise InputError(f"{too_few(draws, 'draw')} for an interval, expected 20 or more")
    if kind == "auto":
        kind = "cycles" if len(fit.sweeps) >= LEAST_CYCLES else "blocks"
    if kind == "cycles" and len(fit.sweeps) < 2:
        raise InputError(
            f"{fit.sweeps[0].name}: there is one sweep, cycles can't be drawn from it; take blocks"
        )
    space, fitted = space_of(fit)
    best = space.points(fitted)
    rng = np.random.default_rng(seed)
    residual = space.residuals(best[None], False)[0][:, 0]
    if kind == "cycles":
        length = 0
        weights, shifts = _cycles(space, len(residual), draws, rng), None
        left = len(fit.sweeps) - 1.0
        wider = np.sqrt(len(fit.sweeps) / left)
    else:
        parts = space.by_sweep(residual)
        jacobian = space.residuals(best[None])[1][:, :, 0]
        found = correlated(parts, space.slopes_by_sweep(jacobian))
        if length is None:
            length = _length([whitened(part, found.rho) for part in parts])
        weights, shifts = None, _shifts(space, residual, found, max(int(length), 1), draws, rng)
        left = max(found.points + len(space.priors) - _moving(best), _FEWEST)
        wider = 1.0
    ends = np.empty((draws, len(best)))
    costs = np.empty(draws)
    for begin in range(0, draws, _BATCH):
        these = slice(begin, min(begin + _BATCH, draws))
        problem = _drawn(
            space,
            None if weights is None else weights[these],
            None if shifts is None else shifts[these],
        )
        descent = _descended(problem, best, these.stop - begin)
        ends[these], costs[these] = descent.points[:, :-1], descent.costs
        if progress is not None:
            progress(these.stop, draws)
    sound = np.isfinite(costs)
    if sound.sum() < 20:
        raise FitError(f"{fit.sweeps[0].name}: {int((~sound).sum())} of {draws} draws led nowhere")
    # widened from the normal law's to Student's 95 % where little is independent
    wider = wider * float(stdtrit(left, 0.975) / ndtri(0.975))
    z = np.clip(best + wider * (ends[sound] - best), 0.0, 1.0)
    return Bootstrap(
        kind, space.names, space.values(z), space.values(best), length, int((~sound).sum())
    )


def _moving(z: Array) -> int:
    """Return how many coordinates did not end on a bound."""
    return int(((z >= _FACE) & (z <= 1.0 - _FACE)).sum())


def _drawn(space: Space, weights: Array | None, shifts: Array | None) -> Problem:
    """Return the problem of several draws; a last coordinate, which nothing moves, says whose a point is."""
    count = len(weights if weights is not None else shifts if shifts is not None else [])
    along = space.along()

    def problem(z: Array, differentiate: bool) -> tuple[Array, Array]:
        which = np.rint(z[:, -1] * count - 0.5).astype(int)
        residual, slopes = along(z[:, :-1], differentiate)
        if shifts is not None:
            residual = residual + shifts[which].T
        if weights is not None:
            residual = residual * weights[which].T
            slopes = slopes * weights[which].T if differentiate else slopes
        if differentiate:
            slopes = np.concatenate([slopes, np.zeros((1, *slopes.shape[1:]))])
        return residual, slopes

    return problem


def _descended(problem: Problem, best: Array, count: int) -> Descent:
    labels = (np.arange(count) + 0.5) / count
    starts = np.column_stack([np.tile(best, (count, 1)), labels])
    # straight steps: a draw is to stay in its minimum
    return descend(problem, Descent.begin(starts, 1e-6), steps=_STEPS, bent=False)


def _cycles(space: Space, rows: int, draws: int, rng: np.random.Generator) -> Array:
    """Return the weight of every residual in every draw, shape (draws, rows): the root of how often its sweep is
    drawn.
    """
    count = len(space.sweeps)
    often = rng.multinomial(count, np.full(count, 1.0 / count), size=draws)
    each = _rows_per_point(space, rows)
    weights = [
        np.repeat(np.sqrt(often[:, k : k + 1]), each * int(sweep.counted.sum()), axis=1)
        for k, sweep in enumerate(space.sweeps)
    ]
    return np.concatenate([*weights, np.ones((draws, len(space.priors)))], 1)


def _rows_per_point(space: Space, rows: int) -> int:
    points = sum(int(sweep.counted.sum()) for sweep in space.sweeps)
    return (rows - len(space.priors)) // points


def _shifts(
    space: Space,
    residual: Array,
    found: Correlated,
    length: int,
    draws: int,
    rng: np.random.Generator,
) -> Array:
    """Return what each draw adds to the residuals, shape (draws, rows): the drawn ones minus those that were."""
    shifts = np.zeros((draws, len(residual)))
    each = _rows_per_point(space, len(residual))
    row = 0
    parts = space.by_sweep(residual)
    raw = sum(float((part**2).sum()) for part in parts) / sum(part.shape[1] for part in parts)
    given_back = float(np.trace(found.covariance)) / raw if raw > 0.0 else 1.0
    for sweep, part in zip(space.sweeps, parts, strict=True):
        count, inside = int(sweep.counted.sum()), sweep.kept[sweep.counted]
        places = np.flatnonzero(inside)
        scale = np.array([_local(values) for values in part])
        fresh = whitened(part / scale, found.rho)
        own = float(np.mean(fresh**2)) / (1.0 - found.rho**2)
        fresh *= np.sqrt(given_back / own) if own > 0.0 else 1.0
        drawn = fresh[:, _blocks(part.shape[1], length, draws, rng)]  # (each, draws, points)
        drawn[..., 0] /= np.sqrt(1.0 - found.rho**2)
        drawn = autoregression(drawn, found.rho)
        for k in range(each):
            columns = row + k * count + places
            shifts[:, columns] = scale[k] * drawn[k] - part[k]
        row += each * count
    return shifts


def _local(values: Array) -> Array:
    """Return the residuals' root mean square about each point, shape (points,), but no less than a tenth of that of
    them all.
    """
    width = max(int(_WINDOW * len(values)), 5) | 1
    padded = np.pad(values**2, width // 2, mode="reflect")
    local = np.convolve(padded, np.full(width, 1.0 / width), mode="valid")
    whole = float(np.mean(values**2))
    return np.sqrt(np.maximum(local, 0.01 * whole) + 1e-300)


def _blocks(points: int, length: int, draws: int, rng: np.random.Generator) -> Array:
    """Return which residual stands where, shape (draws, points): blocks that go on around the end."""
    length = min(length, points)
    count = -(-points // length)
    begins = rng.integers(points, size=(draws, count))
    places = (begins[:, :, None] + np.arange(length)) % points
    return np.asarray(places.reshape(draws, -1)[:, :points])


def _length(parts: list[Array]) -> int:
    """Return the length of the blocks for residuals of several sweeps, each (rows of a point, points)."""
    summed = [part.sum(0) for part in parts]
    square = sum(float(values @ values) for values in summed)
    lagged = sum(float(values[1:] @ values[:-1]) for values in summed)
    rho = float(np.clip(lagged / max(square, 1e-300), 0.0, 0.97))
    points = float(np.mean([len(values) for values in summed]))
    bent = 4.0 * rho**2 / (1.0 - rho**2) ** 2
    length = 1.1447 * (bent * points) ** (1.0 / 3.0)
    return int(np.clip(np.rint(length), 1, max(points // 4, 1)))
