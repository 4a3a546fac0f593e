"""State and current of one device, or of many at once, under a voltage waveform.

Each device is one scalar equation dx/dt = F(x, v(t)), with v linear between samples. The
integrator is the Rosenbrock method of Kaps and Rentrop in Shampine's form (order 4 with an
embedded order 3, A-stable; ACM TOMS 8, 93, 1982, doi:10.1145/355993.355994): linearly implicit, so
that stiff parts cost nothing extra, because here its "matrix" is a number. All devices advance
together from sample to sample; those whose error estimate is too large in an interval go on alone
in smaller steps.
"""

__all__ = ["Trace", "integrate", "simulate"]

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..data.errors import InputError, NonConvergence
from ..data.types import Array, Progress
from .device import Device
from .model import CompactModel
from .series import inner_voltage


@dataclass(frozen=True)
class Trace:
    """What a simulation gives.

    Attributes
    ----------
    t
        Time [s], (n,).
    v
        Terminal voltage [V], (..., n).
    i
        Current [A], (..., n).
    x
        State, (..., n).
    """

    t: Array
    v: Array
    i: Array
    x: Array

    @property
    def energy(self) -> Array:
        """Energy ∫ v i dt taken from the source [J], (...)."""
        return np.asarray(np.trapezoid(self.v * self.i, self.t, axis=-1), float)


def simulate(
    device: Device,
    t: ArrayLike,
    v: ArrayLike,
    x0: ArrayLike,
    *,
    parameters: Mapping[str, ArrayLike] | None = None,
    rtol: float = 1e-6,
    atol: float = 1e-9,
    progress: Progress | None = None,
) -> Trace:
    """Drive a device, or many like it, with voltages.

    Parameters
    ----------
    device
        The device; its series resistance is part of it.
    t
        Rising times of the samples [s], (n,).
    v
        Terminal voltage at these times, linear in between [V], (n,) or (..., n).
    x0
        State at ``t[0]``, broadcasting against the leading shape of v.
    parameters
        Parameters that differ between devices, each broadcasting against the leading shape.
    rtol, atol
        Tolerances on the state per step.
    progress
        Called with samples done and their number.

    Returns
    -------
    Trace
        Currents and states at the samples, with the broadcast leading shape.
    """
    p = {**device.parameters, **(parameters or {})}
    trace = integrate(device.model, p, t, v, x0, rtol=rtol, atol=atol, progress=progress)
    return Trace(trace.t, trace.v, device.area * trace.i, trace.x)


def integrate(
    model: CompactModel,
    p: Mapping[str, ArrayLike],
    t: ArrayLike,
    v: ArrayLike,
    x0: ArrayLike,
    *,
    rtol: float = 1e-6,
    atol: float = 1e-9,
    progress: Progress | None = None,
) -> Trace:
    """Do what :func:`simulate` does for a model and its parameters, at unit area."""
    t = np.asarray(t, float)
    v = np.asarray(v, float)
    if t.ndim != 1 or t.size < 2 or not (np.diff(t) > 0).all():
        raise InputError("t must be at least two times, each later than the one before")
    if v.ndim == 0 or v.shape[-1] != t.size:
        raise InputError(f"expected v of shape (..., {t.size}) like t, got {v.shape}")
    if not (np.isfinite(v).all() and np.isfinite(t).all()):
        raise InputError("times and voltages must be finite numbers")
    values = model.complete(p)
    x0 = np.asarray(x0, float)
    low, high = model.state_range
    if not ((x0 >= low) & (x0 <= high)).all():
        raise InputError(f"initial states must lie in [{low:g}, {high:g}]")
    shape = np.broadcast_shapes(v.shape[:-1], x0.shape, *(a.shape for a in values.values()))
    args = [np.broadcast_to(a, shape).reshape(-1) for a in values.values()]
    x = np.broadcast_to(x0, shape).reshape(-1).copy()
    waves = np.broadcast_to(v, (*shape, t.size)).reshape(-1, t.size)
    if model.rate_expr is None:
        i = model.current(
            waves, x[:, None], {k: a[:, None] for k, a in zip(values, args, strict=True)}
        )
        states = np.broadcast_to(x[:, None], i.shape).copy()
    else:
        i, states = _march(_System(model, args), t, waves, x, rtol, atol, progress)
    full = (*shape, t.size)
    return Trace(t, np.broadcast_to(v, full), i.reshape(full), states.reshape(full))


class _System:
    """F(x, v) and its derivatives for a set of devices, with the voltage behind r_s kept as a
    running guess.
    """

    def __init__(self, model: CompactModel, args: list[Array]) -> None:
        self.model = model
        self.args, self.r_s = args[:-1], args[-1]
        self.bounds = model.state_range
        self.series = bool(np.any(self.r_s))
        self.u = np.zeros(self.r_s.shape)
        self._current = model.compiled("current")
        self._law = model.compiled_many(("current", ""), ("current", "V"))
        self._rate = model.compiled("rate")
        if self.series:
            wanted = [
                ("rate", ""),
                ("rate", "X"),
                ("rate", "V"),
                ("current", "V"),
                ("current", "X"),
            ]
        else:
            wanted = [("rate", ""), ("rate", "X"), ("rate", "V")]
        self._all = model.compiled_many(*wanted)

    def only(self, index: NDArray[np.intp]) -> "_System":
        """Return the system of the devices at ``index``."""
        part = object.__new__(_System)
        part.__dict__.update(self.__dict__)
        part.args = [a[index] for a in self.args]
        part.r_s, part.u = self.r_s[index], self.u[index]
        return part

    def inner(self, v: Array, x: Array) -> Array:
        if not self.series:
            return v
        shape = v.shape

        def law(u: Array) -> tuple[Array, Array]:
            i, slope = self._law(u, x, *self.args)
            return np.broadcast_to(i, shape), np.broadcast_to(slope, shape)

        self.u = inner_voltage(law, v, self.r_s, start=self.u, tolerance=1e-10)[0]
        return self.u

    def current(self, v: Array, x: Array) -> Array:
        return np.broadcast_to(self._current(self.inner(v, x), x, *self.args), v.shape)

    def rate(self, v: Array, x: Array) -> Array:
        return np.broadcast_to(self._rate(self.inner(v, x), x, *self.args), v.shape)

    def rate_and_slopes(self, v: Array, x: Array) -> tuple[Array, Array, Array]:
        """Return F, dF/dx and dF/dv."""
        if not self.series:
            f, f_x, f_v = self._all(v, x, *self.args)
            return f, f_x, f_v
        f, f_x, f_v, g, i_x = self._all(self.inner(v, x), x, *self.args)
        gain = 1.0 / (1.0 + self.r_s * g)
        return f, f_x - f_v * self.r_s * i_x * gain, f_v * gain


def _march(
    system: _System,
    t: Array,
    waves: Array,
    x: Array,
    rtol: float,
    atol: float,
    progress: Progress | None,
) -> tuple[Array, Array]:
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
    system: _System,
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
    size = error / (atol + rtol * np.maximum(np.abs(x), np.abs(new)))
    if h.min() == 1.0 and size.max() <= 1.0:
        return np.clip(new, low, high)
    x = x.copy()
    accepted = size <= 1.0
    done = np.where(accepted, h, 0.0)
    x[accepted] = np.clip(new[accepted], low, high)
    h = h * _growth(size)
    step[:] = h
    for _ in range(100_000):
        (active,) = np.nonzero(done < 1.0 - 1e-12)
        if not active.size:
            return x
        part = system.only(active)
        ha = np.minimum(h[active], 1.0 - done[active])
        xa = x[active]
        va = v0[active] + slope[active] * (done[active] * length)
        new, error = _rosenbrock(part, xa, va, slope[active], ha * length)
        system.u[active] = part.u
        size = error / (atol + rtol * np.maximum(np.abs(xa), np.abs(new)))
        accepted = size <= 1.0
        done[active] += np.where(accepted, ha, 0.0)
        x[active] = np.where(accepted, np.clip(new, low, high), xa)
        following = ha * _growth(size)
        # A step cut short by the interval's end says nothing against the longer one before it.
        cut = accepted & (ha < h[active])
        h[active] = np.where(cut, np.maximum(following, h[active]), following)
        step[active] = h[active]
        if ha.min() < 1e-13:
            break
    raise NonConvergence(
        f"the state of {active.size} device(s) changes too fast to follow"
        f" near v = {va.flat[0]:.4g} V"
    )


def _growth(size: Array) -> Array:
    return np.clip(0.9 * np.maximum(size, 1e-10) ** -0.25, 0.2, 5.0)


def _rosenbrock(system: _System, x: Array, v: Array, slope: Array, h: Array) -> tuple[Array, Array]:
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
