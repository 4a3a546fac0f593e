"""Reads in time without a simulator: a reduced network whose devices keep their own law.

The law is evaluated at all cells and its currents are projected, so that nothing is linearised.
"""

__all__ = ["estimate_timing"]

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from scipy.integrate import OdeSolution, solve_ivp
from scipy.interpolate import CubicSpline

from ...data.errors import NonConvergence
from ...data.types import Array, Progress
from ..array.tile import Tile
from ..engines.nodal import Nodal
from .reduced import Reduced
from .result import ReadTiming
from .waveform import Figures, Scene, Traces, figures, sense_input, sensed, timing

POINTS = 240
"""Points of time at which integrals are summed, half of them in the edge."""

BEYOND = 1.5
"""How long a read is looked at, as a multiple of the time in which its slowest column settles."""

DOUBLINGS = 60
"""Times that a read is looked at for twice as long, before it is given up."""


def estimate_timing(
    tile: Tile,
    g: Array,
    v: Array,
    duration: float | None,
    error: float,
    progress: Progress | None = None,
) -> ReadTiming:
    """Return how ``v`` [V], (batch, rows), are read off one tile of conductances ``g`` [S].

    The read is looked at for ``duration`` [s], by default for one and a half times as long as its
    slowest column takes to settle within ``error``.

    Parameters
    ----------
    tile
        The tile: its size, wires, periphery and cell.
    g
        Conductances, (rows, cols) [S].
    v
        Row voltages, (batch, rows) [V].
    duration
        How long the read is looked at [s].
    error
        Distance at which a column has settled, relative.
    progress
        Called with how much is done, and of how much.
    """
    reduced = Reduced(Scene(tile, g))
    fields = Nodal(tile).program(g).fields(v)
    moves = []
    for k in range(len(v)):
        moves.append(_Motion(reduced, v[k], fields.w[k], fields.b[k]))
        if duration is None:
            moves[k].settle(fields.sensed[k], error)
        if progress is not None:
            progress(k + 1, len(v))
    if duration is None:
        duration = BEYOND * max((move.settled for move in moves), default=tile.edge.rise)
    found = [
        move.figures(sensed, error, duration)
        for move, sensed in zip(moves, fields.sensed, strict=True)
    ]
    return timing(found, error, duration, "estimate")


class _Motion:
    """One vector's way from 0 V to its end state, in the coordinates ``y`` of a basis."""

    def __init__(self, reduced: Reduced, v: Array, w: Array, b: Array) -> None:
        net, self.scene = reduced.net, reduced.scene
        self.tile, self.v = self.scene.tile, v
        self.settled = 0.0
        end = np.empty(net.size)
        end[net.w], end[net.b] = w, b
        basis = reduced.basis(v, end)
        self._size = float(np.abs(basis.T @ (reduced.capacitance @ end)).max()) or 1.0
        self._passive = basis.T @ (net.matrix @ basis)
        self._drive = basis.T @ net.injected(v[None])[0]
        self._at_w, self._at_b = basis[net.w], basis[net.b]
        closed = self.scene.g > 0.0
        self._b = self._at_b[closed]
        self._across = self._at_w[closed] - self._b
        self._x = self.scene.states[closed]
        self._linear = self.tile.cell.linear
        self._parts: list[OdeSolution] = []
        if self._linear:
            self._passive = self._passive + self._cells

    @cached_property
    def _cells(self) -> Array:
        """Conductances of linear cells, projected."""
        g = self.scene.g[self.scene.g > 0.0]
        found: Array = (self._across * g[:, None]).T @ self._across
        return found

    def _rate(self, t: float, y: Array) -> Array:
        out: Array = self._drive * min(t / self.tile.edge.rise, 1.0) - self._passive @ y
        if not self._linear:
            i, _, _ = self.tile.cell.law(self._across @ y, self._x, True, self._b @ y)
            out -= self._across.T @ i
        for gain, at, s, _ in self._inputs(y):
            out += at.T @ (gain * s)
        return out

    def _slope(self, t: float, y: Array) -> Array:
        out: Array = -self._passive
        if not self._linear:
            _, didv, didb = self.tile.cell.law(self._across @ y, self._x, True, self._b @ y)
            out = out - self._across.T @ (didv[:, None] * self._across + didb[:, None] * self._b)
        for gain, at, _, share in self._inputs(y):
            out = out + at.T @ ((gain * share)[:, None] * at)
        return out

    def _inputs(self, y: Array) -> Iterator[tuple[Array, Array, Array, Array]]:
        """Yield for each sensed end with amplifiers the conductance to their inputs, the basis
        there, the inputs' potentials, and their derivatives by those of the end.
        """
        amplifier, wires = self.tile.amplifier, self.scene.wires
        for gain, row in ((wires.bottom, -1), (wires.top, 0)):
            if amplifier is not None and gain.any():
                at = self._at_b[row]
                s = sense_input(amplifier, gain, at @ y)
                yield gain, at, s, gain / (gain + amplifier.slope(s))

    def _until(self, duration: float) -> list[OdeSolution]:
        """Return the way to ``duration`` [s] and beyond, in pieces: the edge, and what was added to it."""
        rise = self.tile.edge.rise
        begin = self._parts[-1].t_max if self._parts else 0.0
        y = self._parts[-1](begin) if self._parts else np.zeros(len(self._drive))
        for end in (rise, duration):
            if begin < end:
                # The edge's end is a bend; nothing bends where an earlier look ended.
                step = np.diff(self._parts[-1].ts[-2:])[0] if begin > rise else (end - begin) * 1e-3
                done = solve_ivp(
                    self._rate,
                    (begin, end),
                    y,
                    method="Radau",
                    jac=self._slope,
                    dense_output=True,
                    first_step=min(step, end - begin),
                    rtol=1e-5,
                    atol=1e-6 * self._size,
                )
                if not done.success:
                    raise NonConvergence(f"a read in time can't be integrated: {done.message}")
                begin, y = end, done.y[:, -1]
                self._parts.append(done.sol)
        return self._parts

    def _at(self, t: Array) -> Array:
        """Return y at rising times, (points, m)."""
        parts = self._until(float(t[-1]))
        which = np.searchsorted([part.t_max for part in parts[:-1]], t)
        y = np.empty((len(t), len(self._drive)))
        for k in np.unique(which):
            y[which == k] = parts[k](t[which == k]).T
        return y

    def _times(self, duration: float) -> Array:
        rise = self.tile.edge.rise
        if duration <= rise:
            return np.linspace(0.0, duration, POINTS)
        late = rise + (duration - rise) * np.linspace(0.0, 1.0, POINTS // 2) ** 2
        return np.concatenate([np.linspace(0.0, rise, POINTS // 2, endpoint=False), late])

    def settle(self, end: Array, error: float) -> None:
        """Find when the slowest column is within ``error`` of the largest ``end`` current."""
        duration = 4.0 * self.tile.edge.rise
        for _ in range(DOUBLINGS):
            t = self._times(duration)
            y = self._at(t)
            i = sensed(self.scene, y @ self._at_b[-1].T, y @ self._at_b[0].T)
            outside = (np.abs(i - end) > error * np.abs(end).max()).any(axis=1)
            if not outside[len(t) * 3 // 4 :].any():
                last = np.flatnonzero(outside)
                self.settled = float(t[last[-1] + 1]) if last.size else self.tile.edge.rise
                return
            duration *= 2.0
        raise NonConvergence(f"a read in time does not settle within {duration:.3g} s")

    def figures(self, end: Array, error: float, duration: float) -> Figures:
        """Return the figures over ``duration`` [s]."""
        t = self._times(duration)
        y = self._at(t)
        w, b, wires = self._at_w, self._at_b, self.scene.wires
        ends = (w[:, 0], w[:, -1], b[-1], b[0])
        rows, cols = np.diff(w, axis=1), np.diff(b, axis=0)
        segments = _projected(rows, wires.row) + _projected(cols, wires.col)
        lost = np.einsum("ki,ij,kj->k", y, segments, y)
        inside = (
            self._device_energy(t, y),
            float(np.trapezoid(lost, t)),
            self.scene.stored(w @ y[-1], b @ y[-1]),
        )
        traces = Traces(t, *(y @ at.T for at in ends))
        return figures(self.scene, self.v, end, error, traces, inside)

    def _device_energy(self, t: Array, y: Array) -> float:
        if self._linear:
            return float(np.trapezoid(np.einsum("ki,ij,kj->k", y, self._cells, y), t))
        # The law at every cell is what takes time: at every fourth point, with splines between.
        few = np.unique([*range(0, len(t), 4), POINTS // 2, len(t) - 1])
        power = np.empty(len(few))
        for k, one in enumerate(y[few]):
            across = self._across @ one
            power[k] = across @ self.tile.cell.law(across, self._x, True, self._b @ one)[0]
        total = 0.0
        for part in (t[few] <= self.tile.edge.rise, t[few] >= self.tile.edge.rise):
            if part.sum() > 1:
                at = t[few][part]
                total += float(CubicSpline(at, power[part]).integrate(at[0], at[-1]))
        return total


def _projected(differences: Array, conductance: Array) -> Array:
    """Return the conductances of segments in the coordinates of a basis, (m, m)."""
    flat = differences.reshape(conductance.size, differences.shape[-1])
    found: Array = (flat * conductance.reshape(-1, 1)).T @ flat
    return found
