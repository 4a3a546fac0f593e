"""What the exact transfer matrix of linear devices adds to that of the closure, by a sweep that starts from there.

The closure takes the potentials along a bit line as ``beta_kl I_l``. A sweep finds what they are with the
word lines as they are, then the word lines with those, and what the columns sense by then, for all rows
driven one by one; the closure carries the change to where more sweeps would. Where that changes the
matrix by 0.5 % at most, it leaves a hundred-thousandth, in a third of the time of the elimination
(:func:`..lines.transfer.transfer`) that is exact whatever the wires.
"""

__all__ = ["SMALL", "residual"]

from typing import Any

from ..lines.ladder import Lines
from .closure import Operating

SMALL = 0.005
"""Change, relative to the largest element, up to which one sweep is enough."""


def residual(lines: Lines, g: Any, point: Operating) -> tuple[Any, list[float]]:
    """Return what the transfer matrix of tiles of linear devices has beyond that of the closure [S],
    (tiles, rows, cols), and how much that is for every tile, relative to its largest element.

    Parameters
    ----------
    lines
        Ladders of word and bit lines.
    g
        Conductances [S], (tiles, rows, cols).
    point
        The closure's matrices, for these.
    """
    # Tile by tile: what stands at every crossing for every driven row fills a cache.
    parts = [_residual(lines, g[k], _tile(point, k)) for k in range(len(g))]
    shares = [
        float(abs(part).max() / (abs(t).max() + 1e-300))
        for part, t in zip(parts, point.t, strict=True)
    ]
    return lines.xp.stack(parts), shares


def _tile(point: Operating, k: int) -> Operating:
    rows, cols, *fields = point
    lined = (type(lines)(*(one[k] for one in lines)) for lines in (rows, cols))
    return Operating(*lined, *(one[k] for one in fields))


def _residual(lines: Lines, g: Any, point: Operating) -> Any:
    xp, (m, n) = lines.xp, g.shape
    word = _inverses(xp, *point.rows)
    bit = _inverses(xp, *(xp.swapaxes(one, 0, 1) for one in point.cols))
    # All below is (..., driven rows). First the word lines with the bit lines where the closure has
    # them: one product for all of them.
    t, every = xp.swapaxes(point.t, 0, 1), list(range(m))
    carried = (word * (g * point.beta)[:, None, :]).reshape((m * n, n))
    w = (carried @ t).reshape((m, n, m))
    w[every, :, every] += point.p
    w *= g[:, :, None]
    b = bit @ xp.swapaxes(w, 0, 1)
    b *= xp.swapaxes(g, 0, 1)[:, :, None]
    w = word @ xp.swapaxes(b, 0, 1)
    w *= (point.q * g)[:, :, None]
    found = w.sum(0) + xp.swapaxes(point.p * point.q * g, 0, 1) - t
    return xp.swapaxes(found, 0, 1) @ point.r


def _inverses(xp: Any, x: Any, y: Any) -> Any:
    """Return ``x[min(i, k)] y[max(i, k)]`` of every line; ``x`` and ``y`` are (lines, nodes)."""
    # x rises along a line and y falls, so the wanted element of each is the smaller one.
    full = xp.minimum(x[:, :, None], x[:, None, :])
    full *= xp.minimum(y[:, :, None], y[:, None, :])
    return full
