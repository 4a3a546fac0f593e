"""Every node of a tile solved exactly with scipy: the check on all other engines, and a fast one
for linear tiles.

The unknowns are the potentials of the nodes of :mod:`.tile`. A linear tile is one symmetric
positive-definite system per conductance matrix, factored once; a nonlinear one is solved by steps
with one factorisation for all vectors and each vector's own word lines, mixed with earlier ones, and
what these don't bring home by damped Newton steps, vector by vector. Both are factored by SuperLU in the order of
:mod:`.elimination`.
"""

__all__ = ["Net", "Nodal", "NodalArray"]

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solve_banded
from scipy.sparse.linalg import splu

from ...data.errors import NonConvergence
from ...data.types import Array
from ..array.fields import Fields, checked_held, fields_of, refuse_adrift
from ..array.tile import Tile
from ..engine import Programmed, checked_conductances, checked_voltages, flat_stack
from .elimination import pattern

STEPS = 100
"""Newton steps before a solve is given up."""

TOGETHER = 32
"""Vectors that share a factorisation."""

FALL = 0.5
"""Factor by which one factorisation for all must bring a vector's residual down at every step, to be kept."""

SHARED = 30
"""Most such steps."""

MIXED = 2
"""Earlier steps that a step is mixed with."""

CACHED = 16_384
"""Cells whose law is evaluated at once: few enough that what it works with stays in the cache."""

Residual: TypeAlias = Callable[[Array, Array], tuple[Array, Array, Array, Array]]
"""What potentials and drives, (..., size), leave over at all nodes [A], and the derivatives [S]."""


class Nodal:
    """Exact solve of all nodes."""

    name = "nodal"

    def __init__(self, tile: Tile) -> None:
        self.tile = tile
        self.net = Net(tile)

    def program(self, g: ArrayLike) -> "NodalArray":
        """Return the tiles with the conductances ``g`` [S], (..., rows, cols)."""
        g = checked_conductances(self.tile, g)
        refuse_adrift(self.tile, g)
        return NodalArray(self, g, self.tile.cell.state(g))


@dataclass(frozen=True, eq=False, repr=False)
class NodalArray(Programmed[Nodal]):
    """Tiles whose nodes are all solved for."""

    states: Array
    """States of the devices, (..., rows, cols)."""

    def fields(self, v: ArrayLike, held: ArrayLike | None = None) -> Fields:
        """Return potentials and currents everywhere for ``v`` [V], in the shapes of a read, the bit
        lines at the potentials ``held`` [V], (..., batch, cols), or 0 V.
        """
        batch = checked_voltages(self.tile, self.stack, v)
        at_cols = checked_held(self.tile, batch, held)
        u, net = self._solve(batch, at_cols), self.engine.net
        shape = (*batch.shape[:-1], *self.tile.shape)
        w, b = (part.reshape(shape) for part in net.potentials(u))
        sensed = None
        if self.tile.amplifier is not None:
            sensed = net.sensed(u).reshape(*batch.shape[:-1], -1)
        return fields_of(
            self.tile,
            batch,
            w,
            b,
            states=self.states,
            closed=self.g > 0.0,
            held=at_cols,
            sensed=sensed,
            one=np.ndim(v) == 1,
        )

    def _currents(self, v: Array) -> Array:
        return self.engine.net.sensed(self._solve(v)).reshape(*v.shape[:-1], self.tile.cols)

    def _solve(self, v: Array, held: Array | None = None) -> Array:
        """Return all potentials [V], (tiles, batch, size)."""
        g, x, flat = (flat_stack(a) for a in (self.g, self.states, v))
        at_cols = np.zeros((*flat.shape[:2], 1)) if held is None else flat_stack(held)
        net = self.engine.net
        out = np.empty((*flat.shape[:2], net.size))
        for t in range(len(flat)):
            drive = net.injected(flat[t], at_cols[t])
            if net.linear:
                out[t] = net.linear_solve(g[t], drive)
            else:
                out[t] = net.newton(g[t], x[t], drive, t)
        return out


class Net:
    """Pattern and constant part of a tile's nodal matrix, in elimination order."""

    def __init__(self, tile: Tile) -> None:
        self.tile, self.wires = tile, tile.wires()
        amplified, sensed = tile.amplifier is not None, 2 if tile.sense == "both" else 1
        both = sensed == 2 or bool(self.wires.top.any())
        self.linear = tile.cell.linear and not amplified
        self._pattern = pattern(tile.rows, tile.cols, both, amplified)
        self.size = self._pattern.size
        self.w, self.b, self.inputs = self._pattern.w, self._pattern.b, self._pattern.inputs
        self.end_nodes = self._pattern.ends
        self.end_gains = np.array(
            [self.wires.bottom, self.wires.top] if both else [self.wires.bottom]
        )
        ends = [self.end_gains]
        self.sensed_ends = sensed
        """How many of the ends are sensed; another one is at ground."""
        links = np.concatenate(
            [self.wires.row, self.wires.col, *(ends if amplified else [])], axis=None
        )
        drivers = [self.wires.left, self.wires.right]
        grounds = np.concatenate([*drivers, *([] if amplified else ends)], axis=None)
        self._constant = np.concatenate([links, links, -links, -links, grounds])

    @cached_property
    def matrix(self) -> Any:
        """The matrix of the wires alone."""
        zeros = np.zeros(4 * self.w.size + self.inputs.size)
        return self._pattern.matrix(np.concatenate([self._constant, zeros])).tocsr()

    def factor(self, by_w: Array, by_b: Array, by_s: Array) -> Any:
        """Factor the matrix with the cells' derivatives by their two nodes, and the amplifiers' by
        theirs.

        Parameters
        ----------
        by_w
            Derivatives of the cells' currents by their word-line nodes [S].
        by_b
            The same by their bit-line nodes [S].
        by_s
            Derivatives of the amplifiers' outputs.
        """
        stamps = [self._constant, by_w, by_b, -by_w, -by_b, by_s]
        matrix = self._pattern.matrix(np.concatenate(stamps, axis=None))
        # Diagonally dominant, and already in elimination order; narrow panels suit its thin fronts.
        return splu(
            matrix,
            permc_spec="NATURAL",
            diag_pivot_thresh=0.0,
            relax=8,
            panel_size=4,
            options={"SymmetricMode": True, "Equil": False},
        )

    def injected(self, v: Array, held: Array | None = None) -> Array:
        """Return the currents of drivers, and of bit lines that are held elsewhere than at 0 V, into
        all nodes [A], (batch, size).
        """
        out = np.zeros((len(v), self.size))
        out[:, self.w[:, 0]] += v * self.wires.left
        if self.tile.drive == "both":
            out[:, self.w[:, -1]] += v * self.wires.right
        if held is not None and held.any():
            for k in range(self.sensed_ends):
                out[:, self.end_nodes[k]] += held * self.end_gains[k]
        return out

    def linear_solve(self, g: Array, drive: Array) -> Array:
        """Return all potentials, (batch, size)."""
        solved: Array = self.factor(g, -g, np.zeros(0)).solve(drive.T).T
        return solved

    def newton(self, g: Array, x: Array, drive: Array, t: int) -> Array:
        """Return all potentials, (batch, size), by damped Newton steps, from where steps that all
        vectors share lead.

        Parameters
        ----------
        g
            Conductances, (rows, cols) [S].
        x
            States of the cells, (rows, cols).
        drive
            Currents into all nodes, (batch, size) [A].
        t
            Place of the tile in the stack, for messages.
        """
        amplifier, closed = self.tile.amplifier, g > 0.0
        slope = np.zeros(0) if amplifier is None else amplifier.slope(np.zeros(self.inputs.size))
        u: Array = self.factor(g, -g, slope).solve(drive.T).T

        def residual(u: Array, drive: Array) -> tuple[Array, Array, Array, Array]:
            """Return what is left over at all nodes, (..., size), and the derivatives."""
            b = u[..., self.b]
            across = u[..., self.w] - b
            i, didv, didb = (np.empty(b.shape) for _ in range(3))
            few = max(1, CACHED // x.size) if u.ndim > 1 else len(b)
            for k in range(0, len(b), few):
                now = slice(k, k + few)
                i[now], didv[now], didb[now] = self.tile.cell.law(across[now], x, closed, b[now])
            r = (self.matrix @ u.T).T - drive
            r[..., self.w] += i
            r[..., self.b] -= i
            by_s = np.zeros((*u.shape[:-1], self.inputs.size))
            if amplifier is not None:
                r[..., self.inputs] += amplifier.current(u[..., self.inputs])
                by_s[...] = amplifier.slope(u[..., self.inputs]).reshape(by_s.shape)
            return r, didv, didb - didv, by_s

        left = np.ones(len(drive), bool)
        for first in range(0, len(drive), TOGETHER):
            part = slice(first, first + TOGETHER)
            left[part] = ~self._together(u[part], drive[part], residual)
        for k in np.flatnonzero(left):
            scale = max(float(np.abs(drive[k]).max()), 1e-12)
            r, by_w, by_b, by_s = residual(u[k], drive[k])
            for _ in range(STEPS):
                norm = float(np.abs(r).max())
                if norm <= 1e-13 * scale:
                    break
                step = self.factor(by_w, by_b, by_s).solve(r)
                length = 1.0
                while True:
                    new = u[k] - length * step
                    r, by_w, by_b, by_s = residual(new, drive[k])
                    if np.abs(r).max() < norm or length < 1e-4:
                        break
                    length *= 0.5
                u[k] = new
                if length == 1.0 and np.abs(step).max() <= 1e-15 + 1e-14 * np.abs(new).max():
                    break
            else:
                raise NonConvergence(
                    f"tile {t}, vector {k}: Newton's method left {norm:.3g} A"
                    f" of {scale:.3g} A after {STEPS} steps"
                )
        return u

    def _together(self, u: Array, drive: Array, residual: Residual) -> Any:
        """Move all vectors' potentials ``u`` towards their solutions by steps with one factorisation,
        the word lines then solved with each vector's own slopes, mixed with earlier ones (Anderson
        1965, doi:10.1145/321296.321305); return which are there.
        """
        r, *slopes = residual(u, drive)
        # Between the extremes no vector is far away, whatever the others hold.
        factor = self.factor(*(0.5 * (s.min(axis=0) + s.max(axis=0)) for s in slopes))
        enough = 1e-13 * np.maximum(np.abs(drive).max(axis=1), 1e-12)
        norm = np.abs(r).max(axis=1)
        done, at = norm <= enough, np.flatnonzero(norm > enough)
        r, norm, fall = r[at], norm[at], np.ones(at.size)
        by_w, by_b = (part[at] for part in slopes[:2])
        steps: list[Array] = []
        moves: list[Array] = []
        for _ in range(SHARED):
            if not at.size:
                break
            step = -factor.solve(np.ascontiguousarray(r.T)).T
            step[:, self.w] = self._along(by_w, -r[:, self.w] - by_b * step[:, self.b])
            move = step if not steps else _mixed(step, steps, moves)
            # One that does as the one before leaves less than is asked for, and isn't looked at.
            last = norm * fall <= enough[at]
            if last.any():
                u[at[last]] += move[last]
                done[at[last]] = True
                at, r, norm, move, step = (part[~last] for part in (at, r, norm, move, step))
                steps, moves = ([part[~last] for part in kept] for kept in (steps, moves))
                if not at.size:
                    break
            steps, moves = [*steps[1 - MIXED :], step], [*moves[1 - MIXED :], move]
            new = u[at] + move
            r, by_w, by_b, _ = residual(new, drive[at])
            before, norm = norm, np.abs(r).max(axis=1)
            good = norm < before
            u[at[good]] = new[good]
            done[at] = norm <= enough[at]
            fall = norm / before
            going = good & ~done[at] & (fall <= FALL)
            if not going.all():
                at, r, norm, fall = at[going], r[going], norm[going], fall[going]
                by_w, by_b = by_w[going], by_b[going]
                steps, moves = ([part[going] for part in kept] for kept in (steps, moves))
        return done

    def _along(self, by_w: Array, into: Array) -> Array:
        """Return the potentials of word lines into which currents ``into`` flow, with conductances
        ``by_w`` at their nodes, (batch, rows, cols) all of them: one tridiagonal solve.
        """
        wires = self.wires
        bands = np.zeros((3, *by_w.shape))
        bands[0, ..., 1:] = bands[2, ..., :-1] = -wires.row
        bands[1] = np.maximum(by_w, 1e-15)  # also where nothing else holds a line
        bands[1, ..., :-1] += wires.row
        bands[1, ..., 1:] += wires.row
        bands[1, ..., 0] += wires.left
        bands[1, ..., -1] += wires.right
        flat = bands.reshape(3, -1)
        found: Array = solve_banded((1, 1), flat, into.reshape(-1), check_finite=False)
        return found.reshape(by_w.shape)

    def potentials(self, u: Array) -> tuple[Array, Array]:
        """Split the unknowns into word and bit lines, (..., rows, cols) each."""
        return u[..., self.w], u[..., self.b]

    def sensed(self, u: Array) -> Array:
        """Return the sensed currents [A], (..., cols), of bit lines at 0 V."""
        amplifier = self.tile.amplifier
        if amplifier is not None:
            read: Array = amplifier.reading(u[..., self.inputs]).sum(axis=-2)
            return read
        ends = slice(self.sensed_ends)
        total: Array = (u[..., self.end_nodes[ends]] * self.end_gains[ends]).sum(axis=-2)
        return total


def _mixed(step: Array, steps: list[Array], moves: list[Array]) -> Array:
    """Return the way to go, (batch, size), where ``step`` is to be taken after some ``moves`` that
    began with other ``steps``: as far along these as makes the step least.
    """
    change = [b - a for a, b in zip(steps, [*steps[1:], step], strict=True)]
    gram = np.array([[_dot(a, b) for b in change] for a in change]).T
    size = np.trace(gram, axis1=1, axis2=2)[:, None, None]
    gram += (1e-14 * size + np.finfo(float).tiny) * np.eye(len(change))
    share = np.linalg.solve(gram, np.array([_dot(a, step) for a in change]).T[..., None])
    found = step.copy()
    for k, (part, move) in enumerate(zip(change, moves, strict=True)):
        part += move
        part *= share[:, k]
        found -= part
    return found


def _dot(a: Array, b: Array) -> Array:
    found: Array = np.einsum("kn,kn->k", a, b)
    return found
