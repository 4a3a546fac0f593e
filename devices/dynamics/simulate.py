"""State and current of one device, or of many at once, under a voltage waveform.

Each device is one scalar equation dx/dt = F(x, v(t)), with v linear between samples, and i = i(v,
x). Many devices go step by step together (:mod:`memtwin.devices.dynamics.stepping`), a few under many samples
are solved for the whole waveform at once (:mod:`memtwin.devices.dynamics.collocation`); both to the same
tolerance.
"""

__all__ = ["Trace", "integrate"]

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.types import Array, Progress
from ..model import CompactModel
from ..series import Terminal
from .collocation import collocate
from .stepping import march

_FEW, _MANY = 48, 16
"""Up to so many devices, and from so many samples, solving all steps together is cheaper."""
_SOLVED = 1e-6  # Newton step behind r_s, relative to the voltage


@dataclass(frozen=True)
class Trace:
    """What a simulation gives.

    Attributes
    ----------
    t
        Time [s], (n,).
    v
        Terminal voltage [V], (..., n): lower than asked for where the source was at its limit.
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


def integrate(
    model: CompactModel,
    p: Mapping[str, ArrayLike],
    t: ArrayLike,
    v: ArrayLike,
    x0: ArrayLike,
    *,
    compliance: ArrayLike | None = None,
    rtol: float = 1e-6,
    atol: float = 1e-9,
    progress: Progress | None = None,
) -> Trace:
    """Drive a model with parameters ``p``, at unit area; see :meth:`.device.Device.simulate`.

    Parameters
    ----------
    model
        The compact model.
    p
        Parameters by name, SI, numbers or arrays that broadcast.
    t
        Times, (n,) [s].
    v
        Voltages at these times, (n,) or (devices, n) [V].
    x0
        State at the start [0..1].
    compliance
        Largest current of the source, of either sign [A], one or one for each sample; see there.
    rtol
        Relative tolerance of a step.
    atol
        Absolute tolerance of a step.
    progress
        Called with how much is done, and of how much.
    """
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
    # Parameters that all devices share stay numbers: what depends on them alone is computed once.
    args = [a if a.ndim == 0 else np.broadcast_to(a, shape).reshape(-1) for a in values.values()]
    x = np.broadcast_to(x0, shape).reshape(-1).copy()
    waves = np.broadcast_to(v, (*shape, t.size)).reshape(-1, t.size)
    limits = None if compliance is None else _limits(compliance, t.size, waves.shape)
    if model.rate_expr is None:
        states = np.repeat(x[:, None], t.size, 1)
        i = None
    else:
        devices = Terminal(model, args, tolerance=_SOLVED)
        found = None
        few = len(x) <= _FEW and t.size >= _MANY
        if limits is None and few and not devices.costly:
            found = collocate(devices, t, waves.T, x, rtol, atol)
        if found is None:
            i, states = march(devices, t, waves, x, rtol, atol, progress, limits)
        else:
            states = np.ascontiguousarray(found.T)
            i = np.ascontiguousarray(devices.fresh().current(waves.T, found).T)
            if progress is not None:
                progress(t.size - 1, t.size - 1)
    if i is None or limits is not None:
        columns = [a if a.ndim == 0 else a[:, None] for a in args]
        inner = Terminal(model, columns, limit=limits).solve(waves, states)
        i, waves = inner.i, waves if limits is None else inner.u + columns[-1] * inner.i
    full = (*shape, t.size)
    return Trace(t, waves.reshape(full), i.reshape(full), states.reshape(full))


def _limits(compliance: ArrayLike, samples: int, shape: tuple[int, ...]) -> Array:
    """Return a source's limit at every sample [A], (devices, samples)."""
    limits = np.asarray(compliance, float)
    if limits.ndim and limits.shape[-1] != samples:
        raise InputError(
            f"expected one compliance, or one for each of the {samples} samples, got {limits.shape}"
        )
    if not (limits > 0.0).all():
        raise InputError(
            f"a compliance is a current above 0 A, got {float(np.min(limits)):g}; inf is none"
        )
    return np.broadcast_to(limits.reshape(-1, samples) if limits.ndim else limits, shape)
