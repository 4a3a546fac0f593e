"""A state that jumps within one measured interval, and stops where the source's limit lets it.

Under a current limit the voltage that is left for the device falls as its state rises: a SET that runs
away ends by itself, and where it ends is what sets the resistance. A step with one slope leaps far
beyond that. Within one interval the programmed voltage hardly changes, so that dx/dt = F(x) alone, and
the time to get from x to any other state is the integral of 1/F between them. It is summed over a grid
of states, exactly where ln F is linear, and the state is read off where the interval's time has passed.

What moves the state before the jump hardly moves its end, and what parameters do to it follows from
the same integral: ∂x₁/∂x₀ = F(x₁)/F(x₀), ∂x₁/∂p = F(x₁) ∫ (∂F/∂p)/F² dx.
"""

__all__ = ["LEAP", "Jump", "cross", "crossed", "rate_slopes"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...data.types import Array
from ..model import SERIES, CompactModel
from ..series import Terminal, full

LEAP = 0.02  # change of the state within one step beyond which its path is followed
_NODES = 49
_GRID = 33
_FEWER = 4
_TORN = 0.1  # of the voltage, by which an inner node differs where it may be another solution
_SLOW = 1e-30  # share of a state's range per second that counts as standing still


@dataclass(frozen=True)
class Jump:
    """Sets that jump in one interval.

    ``interval`` counts from 0, ``sets`` are their positions, ``end`` the states they come to, (sets,);
    ``terminal`` and ``v`` are what drives them there, ``nodes`` the states on their way, (nodes, sets),
    ``rate`` the rates there.
    """

    interval: int
    sets: NDArray[np.intp]
    end: Array
    terminal: Terminal
    v: Array
    nodes: Array
    rate: Array

    def slopes(self, wanted: Sequence[str]) -> tuple[Array, Array]:
        """Return dx₁/dx₀, (sets,), and dx₁/dp at constant x₀, (parameters, sets)."""
        # the pieces of the path that the state went, the last one cut where it ended: slopes of the very sum
        rising = np.sign(self.end - self.nodes[0])
        way = rising * np.minimum(rising * self.nodes, rising * self.end)
        inner = self.terminal.solve(np.full(way.shape, self.v), way)
        model = self.terminal.model
        rate = full(model.compiled("rate")(inner.u, way, *self.terminal.args), way.shape)
        sign = np.sign(self.rate[0])
        speed = np.maximum(rate * sign, _SLOW)
        _, pushes = rate_slopes(model, inner.u, way, self.terminal.args, inner.ohms, wanted)
        with np.errstate(over="ignore", invalid="ignore"):
            grow = speed[-1] / speed[0]
            # relative to the last rate: F may span 30 decades
            slow = speed[-1] / speed
            before, after = _by_logarithms(slow[:-1], slow[1:], np.abs(np.diff(way, axis=0)))
            share = sign * pushes / speed
            # a time that grows is a state that lags
            moved = -sign * (before * share[:, :-1] + after * share[:, 1:]).sum(1)
        return np.clip(np.nan_to_num(grow), -1e12, 1e12), np.nan_to_num(moved)


def _by_logarithms(first: Array, last: Array, width: Array) -> tuple[Array, Array]:
    """Return the slopes of a piece's time by ln F at its begin and at its end.

    With f = 1/F at both, and z = ln(f₀/f₁), the piece takes Δx (f₀ - f₁)/z.
    """
    z = np.log(first / last)
    small = np.abs(z) < 1e-4
    safe = np.where(small, 1.0, z)
    mean = np.where(small, 0.5 * (first + last), (first - last) / safe)
    begin = np.where(small, (2.0 * first + last) / 6.0, (first - mean) / safe)
    end = np.where(small, (first + 2.0 * last) / 6.0, (mean - last) / safe)
    return -width * begin, -width * end


def cross(
    terminal: Terminal, interval: int, sets: NDArray[np.intp], x: Array, v: Array, step: Array
) -> Jump:
    """Follow states x for a time [s] at a voltage, wherever their rates lead.

    Parameters
    ----------
    terminal
        The device behind its series resistance.
    interval
        Place of the interval in the waveform.
    sets
        Which parameter sets are followed.
    x
        States at the beginning, (sets,).
    v
        The voltages that stand [V], (sets,).
    step
        How long [s], (sets,).
    """
    low, high = terminal.bounds
    terminal = terminal.limited(terminal.limit)
    at_start = full(terminal.rate(np.full(x.shape, v), x), x.shape)
    bound = np.where(at_start > 0.0, high, low)
    bound = np.where(np.isfinite(bound), bound, x + 2.0 * step * at_start)
    end = bound
    for _ in range(3):  # the grid is drawn again about where the state ends
        nodes = x + np.linspace(0.0, 1.0, _NODES)[:, None] * (end - x)
        rate = full(terminal.rate(np.full(nodes.shape, v), nodes), nodes.shape)
        speed = np.maximum(rate * np.sign(at_start), _SLOW)
        with np.errstate(divide="ignore", over="ignore"):
            fall = np.log(speed[1:] / speed[:-1])
            # ∫ dx/F with ln F linear: (1/F₀) Δx (1 - e^-z)/z
            small = np.abs(fall) < 1e-6
            mean = np.where(small, 1.0, -np.expm1(-fall) / np.where(small, 1.0, fall))
            times = np.abs(np.diff(nodes, axis=0)) / speed[:-1] * mean
        passed = np.concatenate([np.zeros((1, len(x))), np.cumsum(times, 0)])
        reached = _inverse(passed, nodes, speed, step)
        done = passed[-1] <= step
        reached = np.where(done, end, reached)
        # beyond the end the grid has to go on a little, or it would be its own bound
        wider = np.where(
            np.abs(bound - x) > 1.2 * np.abs(reached - x), 1.1 * (reached - x) + x, bound
        )
        end = wider
    return Jump(interval, sets, reached, terminal, v, nodes, rate)


def _inverse(passed: Array, nodes: Array, speed: Array, step: Array) -> Array:
    """Return the states at which ``step`` has passed, within each piece by its own law."""
    k = np.minimum((passed <= step).sum(0) - 1, len(passed) - 2)
    of = np.arange(nodes.shape[1])
    x, y = nodes[k, of], nodes[k + 1, of]
    left = step - passed[k, of]
    slope = np.log(speed[k + 1, of] / speed[k, of]) / np.where(y == x, 1.0, np.abs(y - x))
    z = slope * speed[k, of] * left
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # dx/dt = F e^(s x): x = -ln(1 - s F t)/s
        way = np.where(
            np.abs(z) < 1e-6, speed[k, of] * left, -np.log1p(-np.minimum(z, 1.0)) / slope
        )
    way = np.minimum(np.nan_to_num(way, nan=0.0, posinf=np.inf), np.abs(y - x))
    return np.asarray(x + np.sign(y - x) * way)


def crossed(terminal: Terminal, v: Array, x: Array, step: Array) -> Array:
    """Return where states x come to in times ``step`` [s] at constant voltages v [V], (devices,) each.

    ∫ dx/F is summed by Boole's rule, with a cubic through ln F, between nodes of a grid that is drawn
    again about where each state ends, and is read off where the time has passed.

    Parameters
    ----------
    terminal
        The devices' model and parameters.
    v
        Voltages [V], (devices,).
    x
        States before, (devices,).
    step
        Times [s], (devices,).
    """
    low, high = terminal.bounds
    at_start = terminal.rate(v, x)
    sign = np.where(at_start < 0.0, -1.0, 1.0)
    bound = np.where(at_start > 0.0, high, low)
    start, left = x, step
    share = np.linspace(0.0, 1.0, _GRID)[:, None]
    guess = _node_on_grid(terminal, v, start, bound)
    for _ in range(3):
        nodes = start + share * (bound - start)
        rate, guess = terminal.rate_on_grid(np.broadcast_to(v, nodes.shape), nodes, guess)
        speed = np.maximum(sign * rate, _SLOW)
        times = np.abs(bound - start) / (_GRID - 1) * _mean_pace(speed)
        passed = np.concatenate([np.zeros((1, len(x))), np.cumsum(times, 0)])
        k = np.clip((passed <= left).sum(0) - 1, 0, _GRID - 2)
        of = np.arange(len(x))
        # The grid that follows lies between the two nodes about the end.
        start, bound = nodes[k, of], nodes[k + 1, of]
        left = left - passed[k, of]
        if guess is not None:
            guess = guess[k, of] + share * (guess[k + 1, of] - guess[k, of])
    reached = _inverse(
        np.stack([np.zeros(len(x)), times[k, of]]),
        np.stack([start, bound]),
        np.stack([speed[k, of], speed[k + 1, of]]),
        left,
    )
    return np.clip(reached, low, high)


def _node_on_grid(terminal: Terminal, v: Array, start: Array, bound: Array) -> Array | None:
    """Return about where an inner node is between two states, (grid, devices): found at every fourth
    node of the grid. Between two that lie far apart the search begins anew.
    """
    coarse = np.linspace(0.0, 1.0, (_GRID - 1) // _FEWER + 1)[:, None]
    nodes = start + coarse * (bound - start)
    _, w = terminal.rate_on_grid(np.broadcast_to(v, nodes.shape), nodes, None)
    if w is None:
        return None
    between = np.arange(_FEWER)[:, None, None] / _FEWER
    fine = np.swapaxes(w[:-1] + between * (w[1:] - w[:-1]), 0, 1).reshape(-1, w.shape[1])
    torn = np.repeat(np.abs(np.diff(w, axis=0)) > _TORN * np.abs(v), _FEWER, axis=0)
    return np.concatenate([np.where(torn, 1e-3 * v, fine), w[-1:]])


def _mean_pace(speed: Array) -> Array:
    """Return the mean of 1/F between neighbouring nodes, from a cubic through ln F."""
    y = np.log(speed)
    slope = np.gradient(y, axis=0)
    middle = 0.5 * (y[1:] + y[:-1]) + 0.125 * (slope[:-1] - slope[1:])
    early = np.exp(-y)
    quarter = [_hermite(y, slope, s) for s in (0.25, 0.75)]
    total = 7 * early[:-1] + 32 * np.exp(-quarter[0]) + 12 * np.exp(-middle)
    total += 32 * np.exp(-quarter[1]) + 7 * early[1:]
    return np.asarray(total / 90.0)


def _hermite(y: Array, slope: Array, s: float) -> Array:
    rest = 1.0 - s
    value = y[:-1] * rest**2 * (1 + 2 * s) + y[1:] * s**2 * (1 + 2 * rest)
    return np.asarray(value + slope[:-1] * rest**2 * s - slope[1:] * s**2 * rest)


def rate_slopes(
    model: CompactModel, u: Array, x: Array, args: list[Array], ohms: Array, wanted: Sequence[str]
) -> tuple[Array, Array]:
    """Return the slopes of dx/dt at constant programmed voltage: by x, of u's shape, and by each
    parameter, (parameters, ...); ``x0`` is none of the rate's.

    Parameters
    ----------
    model
        The compact model.
    u
        Voltages at the device itself [V].
    x
        States, in the shape of ``u``.
    args
        Values of the parameters, in the model's order.
    ohms
        Series resistances [ohm].
    wanted
        Parameters to differentiate by.
    """
    names = [name for name in wanted if name not in ("x0", SERIES.name)]
    quantities = [(q, w) for q in ("current", "rate") for w in ("", "V", "X", *names)]
    values = model.compiled_many(*quantities)(u, x, *args)
    of = {
        key: np.broadcast_to(value, u.shape) for key, value in zip(quantities, values, strict=True)
    }
    i, i_v, i_x = (of["current", w] for w in ("", "V", "X"))
    r_v, r_x = of["rate", "V"], of["rate", "X"]
    gain = 1.0 / (1.0 + ohms * i_v)
    lost = r_v * ohms * gain
    pushes = np.zeros((len(wanted), *u.shape))
    for row, name in enumerate(wanted):
        if name == SERIES.name:
            pushes[row] = -r_v * i * gain
        elif name != "x0":
            pushes[row] = of["rate", name] - lost * of["current", name]
    return r_x - lost * i_x, pushes
