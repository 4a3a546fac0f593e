"""Step by step integration of many scalar equations at once.

Each device is dx/dt = F(x, v(t)), with v linear between samples. The method is the Rosenbrock
method of Kaps and Rentrop in Shampine's form (order 4 with an embedded order 3, A-stable; ACM TOMS
8, 93, 1982, doi:10.1145/355993.355994): linearly implicit, so that stiff parts cost nothing extra,
because here its "matrix" is a number. All devices advance together from sample to sample; those
whose error estimate is too large in an interval go on alone in smaller steps.
"""

__all__ = ["System", "march"]

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.errors import NonConvergence
from ...data.types import Array, Progress
from ..model import CompactModel
from ..series import inner_voltage

_ATTEMPTS = 10_000  # steps within one interval before giving up
# Shortest step, in intervals. Far below the resolution of time on purpose: an exponential rate moves
# a state through all its range in a step that the clock does not see, and there it stops.
_LEAST = 1e-40


class System:
    """F(x, v) and its derivatives for a set of devices.

    Where there is a series resistance, the last solution behind it and its slopes are kept: they
    foretell the next one so well that Newton's method needs a step or two.
    """

    def __init__(self, model: CompactModel, args: list[Array]) -> None:
        self.bounds = model.state_range
        self.args, self.r_s = args[:-1], args[-1]
        self.series = bool(np.any(self.r_s))
        self.last: tuple[Array, ...] = ()  # v, x, u, du/dv, du/dx
        self._current = model.compiled("current")
        self._law = model.compiled_many(("current", ""), ("current", "V"))
        self._rate = model.compiled("rate")
        wanted = [("rate", ""), ("rate", "X"), ("rate", "V")]
        if self.series:
            wanted += [("current", "V"), ("current", "X")]
        self._all = model.compiled_many(*wanted)

    def fresh(self) -> "System":
        """Return the same system with nothing kept."""
        other = object.__new__(System)
        other.__dict__.update(self.__dict__, last=())
        return other

    def only(self, index: NDArray[np.intp]) -> "System":
        """Return the system of the devices at ``index``."""
        part = self.fresh()
        part.args = [a if a.ndim == 0 else a[index] for a in self.args]
        part.r_s = self.r_s if self.r_s.ndim == 0 else self.r_s[index]
        part.last = tuple(a[index] for a in self.last)
        return part

    def absorb(self, part: "System", index: NDArray[np.intp]) -> None:
        """Keep what ``part``, the system at ``index``, has kept."""
        for mine, its in zip(self.last, part.last, strict=True):
            mine[index] = its

    def inner(self, v: Array, x: Array) -> Array:
        """Return the voltage behind the series resistance."""
        if not self.series:
            return v
        shape = v.shape

        def law(u: Array) -> tuple[Array, Array]:
            i, slope = self._law(u, x, *self.args)
            return _full(i, shape), _full(slope, shape)

        start = None
        if self.last and self.last[0].shape == shape:
            v_0, x_0, u_0, u_v, u_x = self.last
            start = u_0 + u_v * (v - v_0) + u_x * (x - x_0)
        # Newton's last step is applied: the error left is about its square.
        return inner_voltage(law, v, _full(self.r_s, shape), start=start, tolerance=1e-6)[0]

    def current(self, v: Array, x: Array) -> Array:
        """Return i [A] at terminal voltage v."""
        return _full(self._current(self.inner(v, x), x, *self.args), v.shape)

    def rate(self, v: Array, x: Array) -> Array:
        """Return F at terminal voltage v."""
        return _full(self._rate(self.inner(v, x), x, *self.args), v.shape)

    def rate_and_slopes(self, v: Array, x: Array) -> tuple[Array, Array, Array]:
        """Return F, dF/dx and dF/dv at terminal voltage v."""
        if not self.series:
            f, f_x, f_v = self._all(v, x, *self.args)
            return f, f_x, f_v
        u = self.inner(v, x)
        f, f_x, f_v, g, i_x = self._all(u, x, *self.args)
        u_v = 1.0 / (1.0 + self.r_s * g)
        u_x = -self.r_s * i_x * u_v
        self.last = (v.copy(), x.copy(), u, _full(u_v, v.shape), _full(u_x, v.shape))
        return f, f_x + f_v * u_x, f_v * u_v


def _full(value: Any, shape: tuple[int, ...]) -> Array:
    array = np.asarray(value, float)
    return array if array.shape == shape else np.broadcast_to(array, shape).copy()


def march(
    system: System,
    t: Array,
    waves: Array,
    x: Array,
    rtol: float,
    atol: float,
    progress: Progress | None,
) -> tuple[Array, Array]:
    """Return currents [A] and states, (devices, samples), from states x under waves (devices,
    samples).

    Raises
    ------
    NonConvergence
        If a state changes faster than the smallest step can follow.
    """
    devices, samples = waves.shape
    states, currents = np.empty((samples, devices)), np.empty((samples, devices))
    waves = np.ascontiguousarray(waves.T)
    states[0], currents[0] = x, system.current(waves[0], x)
    step = np.ones(devices)  # last accepted step as a fraction of the interval
    for k in range(samples - 1):
        x = _interval(system, t[k + 1] - t[k], waves[k], waves[k + 1], x, step, rtol, atol)
        states[k + 1], currents[k + 1] = x, system.current(waves[k + 1], x)
        if progress is not None and (k % 100 == 99 or k == samples - 2):
            progress(k + 1, samples - 1)
    return np.ascontiguousarray(currents.T), np.ascontiguousarray(states.T)


def _interval(
    system: System,
    length: float,
    v0: Array,
    v1: Array,
    x: Array,
    step: Array,
    rtol: float,
    atol: float,
) -> Array:
    """Advance every device over one interval; ``step`` is updated in place."""
    low, high = system.bounds
    slope = (v1 - v0) / length
    # Start with the step that ended the last interval: what was fast stays fast for a while.
    h = np.minimum(step, 1.0)
    new, error = _rosenbrock(system, x, v0, slope, h * length)
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
        part = system.only(active)
        ha = np.minimum(h[active], 1.0 - done[active])
        xa = x[active]
        va = v0[active] + slope[active] * (done[active] * length)
        new, error = _rosenbrock(part, xa, va, slope[active], ha * length)
        system.absorb(part, active)
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


def _rosenbrock(system: System, x: Array, v: Array, slope: Array, h: Array) -> tuple[Array, Array]:
    """One step of Shampine's Rosenbrock 4(3) (gamma = 1/2): new state and its error estimate."""
    f, f_x, f_v = system.rate_and_slopes(v, x)
    f_t = f_v * slope
    w = 1.0 / (2.0 / h - f_x)
    k1 = (f + h * 0.5 * f_t) * w
    # A stage may overshoot into states that do not exist; its error then asks for smaller steps.
    low, high = system.bounds
    f = system.rate(v + slope * h, np.clip(x + 2.0 * k1, low, high))
    k2 = (f - h * 1.5 * f_t - 8.0 / h * k1) * w
    f = system.rate(v + 0.6 * slope * h, np.clip(x + 1.92 * k1 + 0.24 * k2, low, high))
    k3 = (f + h * 2.42 * f_t + (14.88 * k1 + 2.4 * k2) / h) * w
    k4 = (f + h * 0.116 * f_t + (-0.896 * k1 - 0.432 * k2 - 0.4 * k3) / h) * w
    new = x + 19.0 / 9.0 * k1 + 0.5 * k2 + 25.0 / 108.0 * k3 + 125.0 / 108.0 * k4
    error = np.abs(17.0 / 54.0 * k1 + 7.0 / 36.0 * k2 + 125.0 / 108.0 * k4)
    return new, error
