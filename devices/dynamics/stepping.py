"""Step by step integration of many scalar equations at once.

Each device is dx/dt = F(x, v(t)), with v linear between samples. The method is the Rosenbrock
method of Kaps and Rentrop in Shampine's form (order 4 with an embedded order 3, A-stable; ACM TOMS
8, 93, 1982, doi:10.1145/355993.355994): linearly implicit, so that stiff parts cost nothing extra,
because here its "matrix" is a number. All devices advance together from sample to sample; those
whose error estimate is too large in an interval go on alone in smaller steps.
"""

__all__ = ["march"]

import numpy as np

from ...data.errors import NonConvergence
from ...data.types import Array, Progress
from ..series import Terminal
from .jump import crossed

# Costly laws cross a jump, at a voltage that stands still meanwhile, by an integral over the state.
_LEAP = 1e-4  # step, in intervals, below which a device jumps
_CROSSED = 100.0  # times that: the time that an integral covers
_ATTEMPTS = 10_000  # steps within one interval before giving up
# Shortest step, in intervals. Far below the resolution of time on purpose: an exponential rate moves
# a state through all its range in a step that the clock does not see, and there it stops.
_LEAST = 1e-40


def march(
    devices: Terminal,
    t: Array,
    waves: Array,
    x: Array,
    rtol: float,
    atol: float,
    progress: Progress | None,
    limits: Array | None = None,
) -> tuple[Array, Array]:
    """Return currents [A] and states, (devices, samples), from states x under waves (devices,
    samples) of sources with these limits [A]; between two samples the lower of theirs holds.

    Parameters
    ----------
    devices
        The devices behind their series resistances.
    t
        Times of the samples, (samples,) [s].
    waves
        Voltages, (devices, samples) [V].
    x
        States at the first sample, (devices,).
    rtol
        Relative tolerance of a step.
    atol
        Absolute tolerance of a step.
    progress
        Called with how much is done, and of how much.
    limits
        Limits of the sources, (devices, samples) [A].

    Raises
    ------
    NonConvergence
        If a state changes faster than the smallest step can follow.
    """
    count, samples = waves.shape
    states, currents = np.empty((samples, count)), np.empty((samples, count))
    waves = np.ascontiguousarray(waves.T)
    between = None
    if limits is not None:
        between = np.ascontiguousarray(np.minimum(limits[:, 1:], limits[:, :-1]).T)
        devices = devices.limited(limits[:, 0])
    states[0], currents[0] = x, devices.current(waves[0], x)
    step = np.ones(count)  # last accepted step as a fraction of the interval
    for k in range(samples - 1):
        if between is not None:
            devices.limit = between[k]
        x = _interval(devices, t[k + 1] - t[k], waves[k], waves[k + 1], x, step, rtol, atol)
        states[k + 1], currents[k + 1] = x, devices.current(waves[k + 1], x)
        if progress is not None and (k % 100 == 99 or k == samples - 2):
            progress(k + 1, samples - 1)
    return np.ascontiguousarray(currents.T), np.ascontiguousarray(states.T)


def _interval(
    devices: Terminal,
    length: float,
    v0: Array,
    v1: Array,
    x: Array,
    step: Array,
    rtol: float,
    atol: float,
) -> Array:
    """Advance every device over one interval; ``step`` is updated in place."""
    low, high = devices.bounds
    slope = (v1 - v0) / length
    # Start with the step that ended the last interval: what was fast stays fast for a while.
    h = np.minimum(step, 1.0)
    new, error = _rosenbrock(devices, x, v0, slope, h * length)
    size = _size(error, x, new, rtol, atol)
    if h.min() == 1.0 and size.max() <= 1.0:
        return np.clip(new, low, high)
    x = x.copy()
    accepted = size <= 1.0
    done = np.where(accepted, h, 0.0)
    x[accepted] = np.clip(new[accepted], low, high)
    h = h * _growth(size)
    step[:] = h
    for _ in range(_ATTEMPTS):
        (active,) = np.nonzero(done < 1.0 - 1e-12)
        if not active.size:
            return x
        leaping = active[h[active] < _LEAP] if devices.costly else active[:0]
        # Those that jump wait for each other: an integral of many costs little more than one of few.
        if 0 < leaping.size < active.size:
            active = active[h[active] >= _LEAP]
        elif leaping.size:
            span = np.minimum(_LEAP * _CROSSED, 1.0 - done[leaping])
            at = v0[leaping] + slope[leaping] * ((done[leaping] + 0.5 * span) * length)
            x[leaping] = crossed(devices.only(leaping).fresh(), at, x[leaping], span * length)
            done[leaping] += span
            h[leaping] = span
            continue
        part = devices.only(active)
        ha = np.minimum(h[active], 1.0 - done[active])
        xa = x[active]
        va = v0[active] + slope[active] * (done[active] * length)
        new, error = _rosenbrock(part, xa, va, slope[active], ha * length)
        devices.absorb(part, active)
        size = _size(error, xa, new, rtol, atol)
        accepted = size <= 1.0
        done[active] += np.where(accepted, ha, 0.0)
        x[active] = np.where(accepted, np.clip(new, low, high), xa)
        following = ha * _growth(size)
        # A step cut short by the interval's end says nothing against the longer one before it.
        cut = accepted & (ha < h[active])
        h[active] = np.where(cut, np.maximum(following, h[active]), following)
        step[active] = h[active]
        if ha.min() < _LEAST:
            break
    raise NonConvergence(
        f"the state of {active.size} device(s) changes too fast to follow"
        f" near v = {va.flat[0]:.4g} V"
    )


def _size(error: Array, old: Array, new: Array, rtol: float, atol: float) -> Array:
    size = error / (atol + rtol * np.maximum(np.abs(old), np.abs(new)))
    return np.where(np.isfinite(size), size, 1e10)


def _growth(size: Array) -> Array:
    return np.clip(0.9 * np.maximum(size, 1e-10) ** -0.25, 0.2, 5.0)


def _rosenbrock(
    devices: Terminal, x: Array, v: Array, slope: Array, h: Array
) -> tuple[Array, Array]:
    """One step of Shampine's Rosenbrock 4(3) (gamma = 1/2): new state and its error estimate."""
    f, f_x, f_v = devices.rate_and_slopes(v, x)
    f_t = f_v * slope
    w = 1.0 / (2.0 / h - f_x)
    k1 = (f + h * 0.5 * f_t) * w
    # A stage may overshoot into states that do not exist; its error then asks for smaller steps.
    low, high = devices.bounds
    f = devices.rate(v + slope * h, np.clip(x + 2.0 * k1, low, high))
    k2 = (f - h * 1.5 * f_t - 8.0 / h * k1) * w
    f = devices.rate(v + 0.6 * slope * h, np.clip(x + 1.92 * k1 + 0.24 * k2, low, high))
    k3 = (f + h * 2.42 * f_t + (14.88 * k1 + 2.4 * k2) / h) * w
    k4 = (f + h * 0.116 * f_t + (-0.896 * k1 - 0.432 * k2 - 0.4 * k3) / h) * w
    new = x + 19.0 / 9.0 * k1 + 0.5 * k2 + 25.0 / 108.0 * k3 + 125.0 / 108.0 * k4
    error = np.abs(17.0 / 54.0 * k1 + 7.0 / 36.0 * k2 + 125.0 / 108.0 * k4)
    return new, error
