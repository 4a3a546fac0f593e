"""Fit a surrogate to a characterisation: device law, and four effective resistances.

The law is fitted to the sweep of single cells. Wire, driver and sense resistances are then fitted to
the tile vectors by Gauss-Newton steps on their logarithms, with the line solver as the model, so
that whatever the tile has that the model has not (transistors in its drivers, amplifiers, uneven
segments) is taken up by the resistances that describe it best. Held-out vectors are for judgement
alone.
"""

__all__ = ["Check", "SurrogateFit", "fit_multipliers", "fit_surrogate", "load_surrogate"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...data.errors import FitError, InputError
from ...data.records.store import pack, reading, unpack, write_record
from ...data.types import Array
from ..array.tile import Tile
from ..engine import Engine
from ..engines.ideal import Ideal
from ..engines.linear import AlphaBeta
from ..lines.cell_law import Law
from ..lines.cell_law_fit import fit_law
from ..lines.solver import LineSolver
from .characterise import Characterisation, Vectors
from .engine import Surrogate
from .expansion import expansion_for

KIND, FORMAT = "surrogate", 2

RESISTANCES = ("r_driver", "r_sense", "r_row", "r_col")


@dataclass(frozen=True)
class Check:
    """Currents of held-out vectors in ngspice and in the engines, all (vectors, cols) in A.

    Errors are relative to the largest ngspice current of a vector's pattern.
    """

    family: tuple[str, ...]
    """Pattern family of every vector."""
    spice: Array
    """In ngspice."""
    predicted: Array
    """By the surrogate."""
    line: Array
    """By the line solver with the same law and resistances."""
    nominal: Array
    """By the surrogate with the resistances as they were stated."""
    ideal: Array
    """By the device law without wires."""
    alpha_beta: Array
    """By the alpha-beta closed form."""

    def errors(self, read: Array) -> tuple[Array, Array]:
        """Return NRMSE and largest error of currents ``read`` [A], (vectors, cols), for every pattern
        [%], (patterns,) each.
        """
        names = np.array(self.family)
        rms, worst = [], []
        for name in dict.fromkeys(self.family):
            here = names == name
            scale = float(np.abs(self.spice[here]).max()) or 1.0
            off = 100.0 * (read[here] - self.spice[here]) / scale
            rms.append(np.sqrt(np.mean(off**2)))
            worst.append(np.abs(off).max())
        return np.array(rms), np.array(worst)

    @property
    def nrmse_percent(self) -> float:
        """Root mean square error of the surrogate over all patterns [%]."""
        return _rms(self.errors(self.predicted)[0])

    @property
    def max_error_percent(self) -> float:
        """Largest error of the surrogate [%]."""
        return float(self.errors(self.predicted)[1].max())

    @property
    def ideal_nrmse_percent(self) -> float:
        """Root mean square error of the device law without wires [%]."""
        return _rms(self.errors(self.ideal)[0])

    def tree(self) -> dict[str, Any]:
        """Return currents and errors for a record or a report."""
        tree: dict[str, Any] = pack(self)
        for name in ("predicted", "line", "nominal", "ideal", "alpha_beta"):
            key = "" if name == "predicted" else f"{name}_"
            rms, worst = self.errors(tree[name])
            tree[f"{key}nrmse_percent"] = _rms(rms)
            tree[f"{key}max_error_percent"] = float(worst.max())
        return tree


@dataclass(frozen=True)
class SurrogateFit:
    """A device law and effective resistances, and what they were fitted to."""

    tile: Tile
    """The characterised tile, with the effective resistances."""
    nominal: Tile
    """The same with its resistances as they were stated."""
    law: Law
    """The device law."""
    stderr: dict[str, float]
    """Relative standard error of every resistance."""
    residual_percent: float
    """Root mean square misfit of the fitted tile vectors [% of full scale]."""
    multipliers: tuple[float, ...] = ()
    """Factors on the closure's nonlinear terms; empty unless they won (:func:`fit_multipliers`)."""
    meta: dict[str, Any] = field(default_factory=dict)
    """Digest of the characterisation, its ngspice version, vectors fitted, steps taken."""

    def engine(self, tile: Tile | None = None, **options: Any) -> Surrogate:
        """Return a surrogate for stacks of ``tile``, by default the characterised one.

        ``options`` are those of :class:`.surrogate.engine.Surrogate`.

        Raises
        ------
        InputError
            If ``tile`` is of another kind than the one that was characterised, or larger.
        """
        if self.multipliers and "expansion" not in options:
            chosen = expansion_for(self.law)
            options["expansion"] = replace(chosen, multipliers=self.multipliers)
        return Surrogate(self._effective(tile or self.nominal), law=self.law, **options)

    def line(self, tile: Tile | None = None, **options: Any) -> LineSolver:
        """Return the line solver with the fitted law and resistances; ``tile`` as for :meth:`engine`,
        ``options`` those of :class:`~memtwin.circuits.lines.solver.LineSolver`.

        Raises
        ------
        InputError
            As :meth:`engine`.
        """
        return LineSolver(self._effective(tile or self.nominal), law=self.law, **options)

    def check(self, record: Characterisation) -> Check:
        """Read the held-out vectors of ``record`` through the engines."""
        held, nominal = record.held_out, self.nominal

        def read(engine: Engine) -> Array:
            return np.concatenate([_read(engine, one) for one in held])

        return Check(
            family=tuple(one.family for one in held for _ in one.v),
            spice=np.concatenate([one.i for one in held]),
            predicted=read(self.engine()),
            line=read(self.line(tolerance=1e-6)),
            nominal=read(Surrogate(nominal, law=self.law)),
            ideal=read(Ideal(nominal)),
            alpha_beta=read(AlphaBeta(nominal)),
        )

    def save(self, path: str | Path) -> Path:
        """Write the fit to ``path`` (HDF5)."""
        return write_record(path, KIND, pack(self), format=FORMAT)

    def _effective(self, tile: Tile) -> Tile:
        known = self.nominal
        asked, stated = pack(tile), pack(known)
        for name in sorted((asked.keys() | stated.keys()) - {"rows", "cols"}):
            if asked.get(name) != stated.get(name):
                raise InputError(
                    f"this surrogate was fitted to a tile with {_difference(name, stated, asked)}:"
                    " characterise the new tile"
                )
        if tile.rows > known.rows or tile.cols > known.cols:
            raise InputError(
                f"this surrogate was fitted to {known.rows}x{known.cols} lines, not to"
                f" {tile.rows}x{tile.cols}: characterise the new tile"
            )
        effective = {name: getattr(self.tile, name) for name in RESISTANCES}
        return replace(tile, amplifier=None, **effective)


def _difference(name: str, stated: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """Say in what two tiles differ under ``name``; of a device only its first difference."""
    mine, other = stated.get(name), asked.get(name)
    while isinstance(mine, Mapping) and isinstance(other, Mapping):
        key = next(key for key in {**mine, **other} if mine.get(key) != other.get(key))
        name, mine, other = f"{name} {key}", mine.get(key), other.get(key)
    return f"{name} {mine!r}, not {other!r}"


def load_surrogate(path: str | Path) -> SurrogateFit:
    """Read the fit at ``path``.

    Raises
    ------
    InputError
        If it is no surrogate's fit, or an incomplete one.
    """
    with reading(path, KIND, format=FORMAT) as tree:
        if (
            tree.get("format") != FORMAT
        ):  # powers and coefficients by the power of b, not the other way round
            terms = tree["law"].pop("terms")
            for name in ("powers", "coefficients"):
                tree["law"][name] = {k: term[name] for k, term in terms.items()}
        return unpack(SurrogateFit, tree)


def fit_surrogate(
    record: Characterisation, *, start: Tile | None = None, multipliers: bool = True
) -> SurrogateFit:
    """Fit a surrogate to a characterisation.

    Parameters
    ----------
    record
        Cell sweep and tile vectors from ngspice.
    start
        Resistances to start from; by default those that the tile states.
    multipliers
        Whether to try factors on the closure's terms, and keep them if they win.

    Returns
    -------
    SurrogateFit
        Law, resistances and their errors; its :meth:`~SurrogateFit.engine` reads tiles.

    Raises
    ------
    FitError
        If no polynomial follows the cell, or the resistances run away.
    """
    from scipy.optimize import least_squares

    law = fit_law(record.sweep, (float(record.levels[0]), float(record.levels[-1])))
    start = start or record.tile
    if record.tile.amplifier is not None:
        start = replace(start, amplifier=None)
    origin = np.log([getattr(start, name) for name in RESISTANCES])

    def tile(shift: Array) -> Tile:
        values = np.exp(origin + shift)
        return replace(start, **dict(zip(RESISTANCES, values.tolist(), strict=True)))

    def misfit(shift: Array) -> Array:
        solver = LineSolver(tile(shift), law=law, tolerance=1e-9, sweeps=1000)
        return np.concatenate([_misfit(solver, one) for one in record.fitted])

    found = least_squares(
        misfit, np.zeros(len(origin)), bounds=(-4.0, 4.0), diff_step=1e-4, xtol=1e-7, ftol=1e-10
    )
    if np.abs(found.x).max() > 3.9:
        raise FitError(
            "the effective resistances ran away from where they started by a factor of 50: the tile"
            " vectors don't fit a tile of this kind"
        )
    residual = float(np.sqrt(np.mean(found.fun**2)))
    free = max(len(found.fun) - len(origin), 1)
    spread = np.sqrt(np.diag(np.linalg.pinv(found.jac.T @ found.jac)) * np.sum(found.fun**2) / free)
    fitted = SurrogateFit(
        tile=replace(tile(found.x), amplifier=None),
        nominal=record.tile,
        law=law,
        stderr=dict(zip(RESISTANCES, spread.tolist(), strict=True)),
        residual_percent=100.0 * residual,
        meta={
            "characterisation": record.digest,
            "vectors": sum(len(one.v) for one in record.fitted),
            "evaluations": int(found.nfev),
            "ngspice": str(record.meta.get("ngspice", "")),
        },
    )
    return fit_multipliers(fitted, record) if multipliers and not law.linear else fitted


def fit_multipliers(fitted: SurrogateFit, record: Characterisation) -> SurrogateFit:
    """Return the fit with factors on the closure's nonlinear terms, if they are worth having.

    They are fitted to each pattern and judged on the others; only if that lowers the error on every
    one by a fifth are they fitted to all and kept. Held-out vectors stay unseen.
    """
    from scipy.optimize import least_squares

    chosen = expansion_for(fitted.law)

    def misfit(shift: Array, ones: Sequence[Vectors]) -> Array:
        scaled = replace(fitted, multipliers=tuple((1.0 + shift).tolist()))
        engine = scaled.engine(check=0.0, dtype="float64")
        off = [
            (_read(engine, one) - one.i).ravel() / np.abs(one.i).max() / np.sqrt(one.i.size)
            for one in ones
        ]
        # Terms too small to matter stay where they are.
        return np.concatenate([*off, 1e-5 * shift])

    def best(ones: Sequence[Vectors]) -> Array:
        plain = np.zeros(chosen.terms)
        found = least_squares(misfit, plain, args=(ones,), bounds=(-0.5, 0.5), max_nfev=5)
        return np.asarray(found.x)

    def rms(shift: Array, one: Vectors) -> float:
        return float(np.linalg.norm(misfit(shift, [one])[: one.i.size]))

    for one in record.fitted:
        others = [other for other in record.fitted if other is not one]
        if not others or rms(best(others), one) > 0.8 * rms(np.zeros(chosen.terms), one):
            return fitted
    return replace(fitted, multipliers=tuple((1.0 + best(record.fitted)).tolist()))


def _misfit(solver: LineSolver, one: Vectors) -> Array:
    off: Array = (_read(solver, one) - one.i) / np.abs(one.i).max()
    return off.ravel()


def _read(engine: Engine, one: Vectors) -> Array:
    return engine.program(one.g).read(one.v)


def _rms(values: Sequence[float] | Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
