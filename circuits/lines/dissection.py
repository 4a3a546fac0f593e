"""The exact transfer matrix of a large tile of linear devices, by nested dissection.

A block of cells is known to the others by its admittance between the ends of its lines. Two blocks
side by side are one when the nodes that they share are eliminated (George 1973,
doi:10.1137/0710032). From single cells up, each step halves the number of blocks, and all blocks of a
step are joined at once; parts of a tile that outgrow a cache come one after the other, and lose the ends
of their lines at the tile's border that nobody drives or senses. A device takes work that grows with
the lines of a tile; with column after column (:mod:`.transfer`) it grows with their square.

A cell has its segments on the left and above: four ports, ``left`` and ``above`` the nodes of its
neighbours, ``right`` and ``below`` its own. Small blocks have their ports first in memory, so that
every operation runs along all blocks; large ones have them last, as LAPACK wants them.
"""

__all__ = ["CELLS", "dissected", "divisible"]

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg.blas import dtrsm
from scipy.linalg.lapack import dpotrf

from ...data.types import Array
from ..array.tile import Tile

ODD = 7
"""Most blocks side by side that are joined one after the other, where they aren't an even number."""

SMALL = 4
"""Nodes between two blocks up to which their ports come first in memory."""

CELLS = 2**12
"""Cells whose blocks are joined all at once."""

SINGLE = 32
"""Nodes between two blocks from which blocks are joined one by one, at half the arithmetic."""

STRIP = 96
"""Least rows of a symmetric product that are worked out together."""


class _Ports(NamedTuple):
    """Where the ends of a block's lines are among its ports."""

    left: Any
    right: Any
    above: Any
    below: Any


class _Blocks(NamedTuple):
    """Equal blocks that fill a tile."""

    y: Array
    """Admittances [S], (ports, ports, tiles, down, across) if ``small``, or (tiles, down, across,
    ports, ports).
    """
    ports: _Ports
    small: bool

    @property
    def grid(self) -> tuple[int, int]:
        """How many there are down and across."""
        down, across = self.y.shape[-2:] if self.small else self.y.shape[1:3]
        return down, across


def divisible(shape: tuple[int, int]) -> bool:
    """Return whether a tile of ``shape`` can be halved often enough."""
    return all(lines // (lines & -lines) <= ODD for lines in shape)


def dissected(tile: Tile, g: Array) -> Array:
    """Return ``T`` with ``i = v @ T`` for conductances ``g`` [S], (tiles, rows, cols).

    Parameters
    ----------
    tile
        Wires and periphery; its cell and its amplifiers play no part.
    g
        Conductances [S], (tiles, rows, cols).
    """
    wires = tile.wires()
    border = _Border(
        np.concatenate([wires.left[:, None], wires.row], 1),
        np.concatenate([wires.top[None], wires.col], 0),
        None if tile.drive == "both" else wires.right,
        tile.sense != "both",
    )
    blocks = _whole(border, g)
    y, ports = blocks.y[:, 0, 0], blocks.ports
    ends = np.concatenate([ports.right, ports.below])
    inner, to_drivers = _part(y, ends, ends), -_part(y, ends, ports.left)
    at = np.arange(len(ends))
    inner[:, at, at] += np.concatenate([wires.right[: len(ports.right)], wires.bottom])
    if tile.drive == "both":
        at = np.arange(tile.rows)
        to_drivers[:, at, at] += wires.right
    potentials = np.linalg.solve(inner, to_drivers)
    sensed: Array = wires.bottom[:, None] * potentials[:, len(ports.right) :]
    if tile.sense == "both":
        sensed = sensed - _part(y, ports.above, ports.left)
        sensed -= _part(y, ports.above, ends) @ potentials
    return sensed.swapaxes(-1, -2)


class _Border(NamedTuple):
    """Wires of a part of a tile, and what becomes of the ends of its lines where that is the tile's border."""

    beside: Array
    """Conductance of the segment on the left of every cell [S], (rows, cols)."""
    above: Array
    """Of that above."""
    right: Array | None
    """From the right ends of its rows to ground, (rows,), where these are at the border and not driven."""
    top: bool
    """Whether the upper ends of its columns are at the border, grounded there and not sensed."""

    def parts(self, *, beside: bool) -> tuple["_Border", "_Border"]:
        """Return those of its halves, side by side or one above the other."""
        rows, cols = self.beside.shape
        if beside:
            one, other = slice(cols // 2), slice(cols // 2, None)
            first = _Border(self.beside[:, one], self.above[:, one], None, self.top)
            return first, _Border(self.beside[:, other], self.above[:, other], self.right, self.top)
        one, other = slice(rows // 2), slice(rows // 2, None)
        ends = (None, None) if self.right is None else (self.right[one], self.right[other])
        first = _Border(self.beside[one], self.above[one], ends[0], self.top)
        return first, _Border(self.beside[other], self.above[other], ends[1], False)


def _whole(border: _Border, g: Array) -> _Blocks:
    """Return a part of a tile as one block, without the ends of its lines at the border that may go."""
    rows, cols = g.shape[1:]
    beside = cols >= rows
    if g.size > CELLS and (cols if beside else rows) % 2 == 0:
        one, other = border.parts(beside=beside)
        halves = np.split(g, 2, axis=2 if beside else 1)
        return _pair(_whole(one, halves[0]), _whole(other, halves[1]), beside=beside)
    blocks = _cells(border, g)
    while blocks.grid != (1, 1):
        down, across = blocks.grid
        beside = across > 1 and (len(blocks.ports.above) <= len(blocks.ports.left) or down == 1)
        blocks = _joined(blocks, beside=beside)
    return _shed(_large(blocks), border)


def _shed(block: _Blocks, border: _Border) -> _Blocks:
    """Return a block without its upper ends, which are at ground, and its right ones, which nobody drives,
    where they are at the border.
    """
    y, (left, right, above, below), _ = block
    kept = [left, right, above, below]
    if border.top:
        kept[2] = above[:0]
    if border.right is not None:
        kept[1] = right[:0]
    if border.right is None and not border.top:
        return block
    some = np.concatenate(kept)
    found = _part(y, some, some)
    if border.right is not None:
        at, inner, link = np.arange(len(right)), _part(y, right, right), _part(y, right, some)
        inner[..., at, at] += border.right
        found -= link.swapaxes(-1, -2) @ np.linalg.solve(inner, link)
    ports = np.split(np.arange(len(some)), np.cumsum([len(one) for one in kept])[:-1])
    return _Blocks(found, _Ports(*ports), small=False)


def _cells(border: _Border, g: Array) -> _Blocks:
    """Return all cells as blocks, two beside each other where they can be paired: the one node between
    them is a star that becomes a triangle.
    """
    beside, above = border.beside, border.above
    if g.shape[-1] % 2:
        edges = [(0, 1, beside), (2, 3, above), (1, 3, g)]
        return _Blocks(
            _network(edges, g.shape, 4), _Ports(*(np.array([k]) for k in range(4))), True
        )
    (left, right), (up, down) = ((wire[:, ::2], wire[:, 1::2]) for wire in (beside, above))
    one, other = g[..., ::2], g[..., 1::2]
    share = left / (left + right + one)
    edges = [
        (0, 1, right * share),
        (0, 4, one * share),
        (1, 4, one * (right / (left + right + one))),
        (1, 5, other),
        (2, 4, up),
        (3, 5, down),
    ]
    ports = _Ports(*map(np.array, ([0], [1], [2, 3], [4, 5])))
    return _Blocks(_network(edges, one.shape, 6), ports, True)


def _network(edges: list[tuple[int, int, Array]], shape: tuple[int, ...], count: int) -> Array:
    """Return the admittances of ``count`` ports between which there are conductances."""
    y = np.zeros((count, count, *shape))
    for one, other, value in edges:
        y[one, one] += value
        y[other, other] += value
        np.negative(value, out=y[one, other])
        y[other, one] = y[one, other]
    return y


def _joined(blocks: _Blocks, *, beside: bool) -> _Blocks:
    """Join neighbours, side by side or one above the other: pairs, or all where they can't be paired."""
    shared = len(blocks.ports.left if beside else blocks.ports.above)
    if blocks.small and shared > SMALL:
        blocks = _large(blocks)
    axis = (-1 if beside else -2) - (0 if blocks.small else 2)
    count = blocks.grid[1 if beside else 0]
    ways = 2 if count % 2 == 0 else count

    def every(k: int) -> _Blocks:
        at: list[Any] = [slice(None)] * blocks.y.ndim
        at[axis] = slice(k, None, ways)
        part = blocks.y[tuple(at)]
        return blocks._replace(y=part if blocks.small else np.ascontiguousarray(part))

    whole = every(0)
    for k in range(1, ways):
        whole = _pair(whole, every(k), beside=beside)
    return whole


def _pair(one: _Blocks, other: _Blocks, *, beside: bool) -> _Blocks:
    p, q = one.ports, other.ports
    if beside:
        kept = [p.left, p.above, p.below], [q.right, q.above, q.below]
        out, into = p.right, q.left
    else:
        kept = [p.above, p.left, p.right], [q.below, q.left, q.right]
        out, into = p.below, q.above
    join = _join_small if one.small else _join_large
    y = join(one.y, other.y, (np.concatenate(kept[0]), out), (np.concatenate(kept[1]), into))
    ends = np.cumsum([len(part) for part in (*kept[0], *kept[1])])[:-1]
    first, a, b, last, c, d = np.split(np.arange(sum(map(len, (*kept[0], *kept[1])))), ends)
    a, b = np.concatenate([a, c]), np.concatenate([b, d])
    ports = _Ports(first, last, a, b) if beside else _Ports(a, b, first, last)
    return _Blocks(y, ports, one.small)


def _join_small(one: Array, other: Array, p: tuple[Any, Any], q: tuple[Any, Any]) -> Array:
    (kept, out), (others, into) = p, q
    count, size = len(kept), len(kept) + len(others)
    y = np.zeros((size, size, *one.shape[2:]))
    y[:count, :count] = one[np.ix_(kept, kept)]
    y[count:, count:] = other[np.ix_(others, others)]
    link = np.concatenate([one[np.ix_(out, kept)], other[np.ix_(into, others)]], 1)
    between = one[np.ix_(out, out)] + other[np.ix_(into, into)]
    for k in range(len(out)):
        gone = link[k] / between[k, k]
        for i in range(size):
            y[i] -= gone[i] * link[k]
        for j in range(k + 1, len(out)):
            link[j] -= between[j, k] * gone
            between[j] -= between[j, k] / between[k, k] * between[k]
    return y


def _join_large(one: Array, other: Array, p: tuple[Any, Any], q: tuple[Any, Any]) -> Array:
    (kept, out), (others, into) = p, q
    count, size = len(kept), len(kept) + len(others)
    between = _part(one, out, out) + _part(other, into, into)
    link = np.concatenate([_part(one, out, kept), _part(other, into, others)], -1)
    if len(out) < SINGLE:
        y: Array = link.swapaxes(-1, -2) @ np.linalg.solve(between, -link)
    else:
        y = np.empty((*one.shape[:-2], size, size))
        for at in np.ndindex(*y.shape[:-2]):
            factor, _ = dpotrf(between[at], lower=0)
            half = dtrsm(1.0, factor, link[at].T, side=1, lower=0)
            _square(half, y[at])
    y[..., :count, :count] += _part(one, kept, kept)
    y[..., count:, count:] += _part(other, others, others)
    return y


def _square(half: Array, out: Array) -> None:
    """Put ``-half @ half.T``, which is symmetric, into ``out``: of two mirrored strips one is worked out."""
    size, minus = len(half), -half
    width = max(STRIP, -(-size // 4))
    for k in range(0, size, width):
        end = k + width
        np.matmul(minus[k:end], half.T[:, k:], out=out[k:end, k:])
        out[end:, k:end] = out[k:end, end:].T


def _part(y: Array, rows: Any, cols: Any) -> Array:
    """Return ``y[..., rows, cols]`` as a copy; taken from flat matrices, which is much faster."""
    size = y.shape[-1]
    flat = y.reshape(*y.shape[:-2], size * size)
    found: Array = flat.take((rows[:, None] * size + cols).reshape(-1), -1)
    return found.reshape(*y.shape[:-2], len(rows), len(cols))


def _large(blocks: _Blocks) -> _Blocks:
    if not blocks.small:
        return blocks
    ports, grid = blocks.y.shape[:2], blocks.y.shape[2:]
    flat = blocks.y.reshape(ports[0] * ports[1], -1)
    turned = np.empty(flat.shape[::-1])
    for k in range(0, len(turned), 32):  # in pieces that stay in the cache
        turned[k : k + 32] = flat[:, k : k + 32].T
    return blocks._replace(y=turned.reshape(*grid, *ports), small=False)
