"""Which conduction law do currents support? Fits of all, an information criterion, and what each foretells.

Residuals are asinh(i/2f) - asinh(i_law/2f): relative differences above the floor f, absolute ones below.
Neighbouring points err alike, so that N points count as N (1 - r)/(1 + r), r the residuals' correlation from
point to point under the law that fits best.
"""

__all__ = ["ConductionFit", "Support", "compare_laws"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from ...data.errors import FitError, InputError
from ...data.types import Array, Progress
from ..device import Device
from ..model import CompactModel, Parameter
from ..models import models
from .laws import LAWS, REFERENCE, TEMPERATURE, ConductionLaw, find_law
from .points import ReadPoints

APART = 10.0
"""Difference of the criterion from which one law is said to be supported rather than another."""
SIMPLER = {"sinh": ("ohmic",)}
"""Laws that have others as a limit: they are supported by a better fit only."""
PLAUSIBLE = (1.0, 60.0)
"""Optical permittivities that a dielectric can have."""
FIELD_EMISSION = 6.83
"""8π√(2m)/(3qh) of a free electron [V eV^-1.5 nm^-1]: v_b over thickness and barrier^1.5."""


@dataclass(frozen=True)
class ConductionFit:
    """One law, fitted.

    Attributes
    ----------
    law
        The law.
    parameters, stderr
        Values and standard errors; what is not fitted has none.
    unidentified
        Parameters that the points do not show, and why.
    decades
        Root mean square residual [decades].
    criterion
        Akaike's, corrected for few points; differences between laws count.
    free
        How many parameters were fitted.
    held_out
        Root mean square residual on points left out of the fit [decades].
    residual
        Law minus measurement at each point, asinh, shape (points,).
    remarks
        What the parameters would mean, where that cannot be.
    """

    law: ConductionLaw
    parameters: Mapping[str, float]
    stderr: Mapping[str, float]
    unidentified: Mapping[str, str]
    decades: float
    criterion: float
    free: int
    held_out: float
    residual: Array = field(repr=False)
    remarks: tuple[str, ...] = ()

    @property
    def model(self) -> CompactModel:
        """The law as a model without dynamics."""
        return models[f"conduction_{self.law.name}"]

    def current(self, v: Array, temperature: float | Array) -> Array:
        """Return the law's current [A] at voltages [V] and a temperature [K]."""
        return self.model.current(v, 1.0, {**self.parameters, "temperature": temperature})

    def device(
        self, name: str, temperature: float = REFERENCE, meta: Mapping[str, Any] | None = None
    ) -> Device:
        """Return a device that reads by this law, in the state 1.

        Parameters
        ----------
        name
            Of the device.
        temperature
            Ambient temperature [K].
        meta
            Provenance that its file will have.
        """
        values = {**self.parameters, TEMPERATURE.name: temperature}
        facts = {"x0": [1.0], **(meta or {})}
        return Device(
            name, self.model, values, self.stderr, meta=facts, unidentified=self.unidentified
        )


@dataclass(frozen=True)
class Support:
    """Laws by how well the points support them, best first."""

    fits: tuple[ConductionFit, ...]
    points: ReadPoints = field(repr=False)
    effective: float
    """As how many independent points the points count."""
    held_out: str
    """What was left out to see what laws foretell."""
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def best(self) -> ConductionFit:
        """The law with the least criterion, or one that is its limit and as good."""
        return self.fits[0]

    @cached_property
    def alike(self) -> tuple[ConductionFit, ...]:
        """The laws that the criterion does not tell from the best, that one first."""
        best = self.best
        return tuple(
            one
            for one in self.fits
            if one.criterion - best.criterion < APART
            and best.law.name not in SIMPLER.get(one.law.name, ())
        )

    @property
    def foretells(self) -> ConductionFit:
        """The law with the least error on what was left out."""
        return min(self.fits, key=lambda one: one.held_out)

    @property
    def verdict(self) -> str:
        """What the points support, in one sentence."""
        best, other = self.best, self.foretells
        if len(self.alike) > 1:
            names = ", ".join(one.law.name for one in self.alike)
            more = "" if len(self.points.temperatures) > 2 else "; more temperatures would help"
            return f"the points do not tell these laws apart: {names}{more}"
        if other is not best and other.held_out < 0.8 * best.held_out:
            return (
                f"undecided: the criterion supports {best.law.name}, but {other.law.name} foretells"
                f" better what was left out ({other.held_out:.2g} against {best.held_out:.2g} decades)"
            )
        return f"the points support {best.law.name} ({best.law.title})"

    @property
    def decided(self) -> bool:
        """Whether one law is supported."""
        return self.verdict.startswith("the points support")

    def __str__(self) -> str:
        least = self.best.criterion
        span = self.points.temperatures
        lines = [
            f"{len(self.points.v)} points (as good as {self.effective:.0f} independent ones),"
            f" {np.abs(self.points.v).min():.3g} to {np.abs(self.points.v).max():.3g} V,"
            f" {len(span)} temperature{'s' if len(span) > 1 else ''}"
            f" ({', '.join(f'{t:.4g}' for t in span)} K)",
            f"{'law':<16}{'decades':>9}{'criterion':>11}{'held out':>10}",
        ]
        for one in self.fits:
            lines.append(
                f"{one.law.name:<16}{one.decades:>9.3g}{one.criterion - least:>11.4g}"
                f"{one.held_out:>10.3g}"
            )
            for remark in one.remarks:
                lines.append(f"    {remark}")
        lines += [f"{name}: {why}" for name, why in self.failed.items()]
        lines.append(f"held out: {self.held_out}")
        best = self.best
        for row in best.law.parameters:
            value, error = best.parameters[row.name], best.stderr.get(row.name)
            text = f"    {row.name} = {value:.5g}" + (
                f" ± {error:.2g}" if error is not None else ""
            )
            text += f" {row.unit}" if row.unit != "1" else ""
            if row.name in best.unidentified:
                text += f" (not known: {best.unidentified[row.name]})"
            lines.append(text)
        return "\n".join([*lines, self.verdict])

    def summary(self) -> dict[str, Any]:
        """Return all of it as plain mappings, lists and numbers."""
        least = self.best.criterion
        return {
            "points": len(self.points.v),
            "independent_points": self.effective,
            "temperatures": self.points.temperatures.tolist(),
            "held_out": self.held_out,
            "verdict": self.verdict,
            "decided": self.decided,
            "best": self.best.law.name,
            "alike": [one.law.name for one in self.alike],
            "laws": {
                one.law.name: {
                    "parameters": dict(one.parameters),
                    "stderr": dict(one.stderr),
                    "unidentified": dict(one.unidentified),
                    "decades": one.decades,
                    "criterion_above_best": one.criterion - least,
                    "held_out_decades": one.held_out,
                    "remarks": list(one.remarks),
                }
                for one in self.fits
            },
            "failed": dict(self.failed),
        }


@dataclass(frozen=True)
class _Found:
    """A descent's end, on the scale that was searched."""

    values: Array
    residual: Array
    jacobian: Array


class _Problem:
    """A law's residuals in coordinates that know bounds and logarithms."""

    def __init__(self, law: ConductionLaw, points: ReadPoints, floor: float) -> None:
        self.model, self.points, self.floor = models[f"conduction_{law.name}"], points, floor
        one = len(points.temperatures) == 1
        self.fixed = {law.thermal: _row(law, law.thermal).default} if one else {}
        self.rows = [row for row in law.parameters if row.name not in self.fixed]
        self.low, self.high = (
            np.array([_in(row, getattr(row, end)) for row in self.rows])
            for end in ("lower", "upper")
        )
        self.seen = np.arcsinh(points.i / (2.0 * floor))

    def named(self, at: Array) -> dict[str, Any]:
        values = {row.name: _out(row, float(a)) for row, a in zip(self.rows, at, strict=True)}
        return {**values, **self.fixed}

    def currents(self, at: Array) -> Array:
        p = self.named(at) | {"temperature": self.points.temperature}
        return self.model.current(self.points.v, 1.0, p)

    def residual(self, at: Array) -> Array:
        with np.errstate(all="ignore"):
            gap = np.arcsinh(self.currents(at) / (2.0 * self.floor)) - self.seen
        return np.asarray(np.nan_to_num(gap, nan=1e3, posinf=1e3, neginf=-1e3))

    def jacobian(self, at: Array) -> Array:
        p = self.named(at) | {"temperature": self.points.temperature}
        i = self.currents(at)
        slope = 1.0 / np.sqrt(i**2 + 4.0 * self.floor**2)
        columns = []
        for row in self.rows:
            d = self.model.didp(row.name, self.points.v, 1.0, p)
            columns.append(slope * d * (p[row.name] if row.log else 1.0))
        return np.asarray(np.nan_to_num(np.stack(columns, 1)))

    def starts(self, count: int, rng: np.random.Generator) -> list[Array]:
        """Return candidates, best first, their scale set by the points."""
        drawn = []
        for share in rng.random((count, len(self.rows))):
            at = self.low + share * (self.high - self.low)
            at[0] = 0.5 * (self.low[0] + self.high[0])
            with np.errstate(all="ignore"):
                ratio = np.abs(self.points.i) / np.abs(self.currents(at))
            good = np.isfinite(ratio) & (ratio > 0.0) & (np.abs(self.points.i) > self.floor)
            if good.any():
                at[0] += np.median(np.log(ratio[good]))
            at = np.clip(at, self.low, self.high)
            drawn.append((float(np.sum(self.residual(at) ** 2)), at))
        drawn.sort(key=lambda one: one[0])
        return [at for _, at in drawn]

    def solve(
        self,
        candidates: int,
        descents: int,
        rng: np.random.Generator,
        known: Mapping[str, float] | None = None,
    ) -> _Found:
        """Descend from the best candidates, and from what is ``known`` of other points."""
        best = None
        starts = self.starts(candidates, rng)[:descents]
        if known is not None:
            starts.append(np.array([_in(row, known[row.name]) for row in self.rows]))
        for start in starts:
            inside = np.clip(start, self.low + 1e-9, self.high - 1e-9)
            done = least_squares(
                self.residual, inside, self.jacobian, bounds=(self.low, self.high), x_scale="jac"
            )
            if best is None or done.cost < best.cost:
                best = done
        if best is None or not np.isfinite(best.cost):
            raise FitError("no start comes near the points")
        return _Found(best.x, best.fun, best.jac)


def _row(law: ConductionLaw, name: str) -> Parameter:
    return next(row for row in law.parameters if row.name == name)


def _in(row: Parameter, value: float) -> float:
    return float(np.log(value)) if row.log else value


def _out(row: Parameter, value: float) -> float:
    return float(np.exp(value)) if row.log else value


def _square(jacobian: Array) -> Array:
    return np.asarray(jacobian.T @ jacobian)


def compare_laws(
    points: ReadPoints,
    laws: Sequence[str] | None = None,
    *,
    floor: float | None = None,
    thickness: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Support:
    """Fit laws to points and say which the points support.

    Parameters
    ----------
    progress
        Called with laws that are done and their number.
    points
        What was read.
    laws
        Names in :data:`.laws.LAWS`; all by default.
    floor
        Current below which differences count absolutely [A]; by default a tenth of the least one measured.
    thickness
        Of the film [m]; says then what permittivity or barrier the parameters stand for.
    seed
        Of the starts.

    Raises
    ------
    InputError
        If there is no such law, or the thickness is none.
    FitError
        If no law could be fitted.
    """
    if thickness is not None and not 0.0 < thickness < 1e-3:
        raise InputError(f"thickness is {thickness!r} m, expected one of a film, such as 5e-9")
    chosen = [find_law(name) for name in (LAWS if laws is None else laws)]
    least = _floor(points, floor)
    parts, left_out = _parts(points)
    total, done = len(chosen) * (1 + len(parts)), 0
    fitted: dict[str, tuple[_Problem, _Found, float]] = {}
    failed: dict[str, str] = {}
    for law in chosen:
        try:
            problem = _Problem(law, points, least)
            found = problem.solve(128, 4, np.random.default_rng(seed))
            wrong = []
            for learnt, foretold in parts:
                wrong.append(_foretell(law, learnt, foretold, least, problem.named(found.values)))
                done += 1
                if progress is not None:
                    progress(done, total)
            error = float(np.sqrt(np.mean(np.concatenate(wrong) ** 2))) / np.log(10.0)
            fitted[law.name] = problem, found, error
        except FitError as reason:
            failed[law.name] = str(reason)
        done += 1
        if progress is not None:
            progress(done, total)
    if not fitted:
        raise FitError("no conduction law could be fitted: " + "; ".join(failed.values()))
    squares = {name: float(np.sum(one.residual**2)) for name, (_, one, _) in fitted.items()}
    nearest_one = min(squares, key=lambda name: squares[name])
    count = _effective(points, fitted[nearest_one][1].residual)
    fits = [_finished(find_law(name), *fitted[name], count, thickness) for name in fitted]
    fits.sort(key=lambda one: one.criterion)
    limit = SIMPLER.get(fits[0].law.name, ())
    near = (one for one in fits[1:] if one.criterion - fits[0].criterion < APART)
    for simpler in [one for one in near if one.law.name in limit]:
        fits.remove(simpler)
        fits.insert(0, simpler)
    return Support(tuple(fits), points, count, left_out, failed)


def _floor(points: ReadPoints, floor: float | None) -> float:
    if floor is not None:
        if not 0.0 < floor < np.inf:
            raise InputError(f"the floor is {floor!r} A, expected a current above 0")
        return floor
    size = np.abs(points.i)
    if not (size > 0.0).any():
        raise InputError("read points: every current is 0")
    return float(0.1 * size[size > 0.0].min())


def _parts(points: ReadPoints) -> tuple[list[tuple[ReadPoints, ReadPoints]], str]:
    """Return what is learnt from and what is foretold: each temperature once, or the highest voltages."""
    temperatures = points.temperatures
    if len(temperatures) > 2:
        near = np.argmin(np.abs(points.temperature[:, None] - temperatures), 1)
        parts = [
            (points.only(near != k), points.only(near == k))
            for k in range(len(temperatures))
            if np.sum(near == k) >= 8 and np.sum(near != k) >= 8
        ]
        if parts:
            return parts, "each temperature by the others"
    size = np.abs(points.v)
    edge = float(np.quantile(size, 2.0 / 3.0))
    low, high = size <= edge, size > edge
    if low.sum() >= 8 and high.sum() >= 8 and np.ptp(size[low]) > 0.0 and np.ptp(size[high]) > 0.0:
        return [(points.only(low), points.only(high))], f"what lies above {edge:.3g} V by the rest"
    even = np.arange(len(size)) % 2 == 0
    if min(even.sum(), (~even).sum()) < 8:
        return [(points, points)], "nothing: too few points"
    return [(points.only(even), points.only(~even))], "every other point by the rest"


def _foretell(
    law: ConductionLaw,
    learnt: ReadPoints,
    foretold: ReadPoints,
    floor: float,
    known: Mapping[str, float],
) -> Array:
    problem = _Problem(law, learnt, floor)
    found = problem.solve(24, 1, np.random.default_rng(0), known)
    there = _Problem(law, foretold, floor)
    p = problem.named(found.values) | {"temperature": foretold.temperature}
    with np.errstate(all="ignore"):
        gap = np.arcsinh(there.model.current(foretold.v, 1.0, p) / (2.0 * floor)) - there.seen
    return np.asarray(np.nan_to_num(gap, nan=50.0, posinf=50.0, neginf=-50.0))


def _effective(points: ReadPoints, residual: Array) -> float:
    """Return as how many independent points the points count."""
    first, second = [], []
    for curve in np.unique(points.curve):
        of = residual[points.curve == curve]
        first.append(of[:-1])
        second.append(of[1:])
    a, b = np.concatenate(first), np.concatenate(second)
    power = float(np.mean(residual**2))
    r = float(np.mean(a * b)) / power if power > 0.0 else 0.0
    r = min(max(r, 0.0), 0.99)
    return max(len(residual) * (1.0 - r) / (1.0 + r), 8.0)


def _finished(
    law: ConductionLaw,
    problem: _Problem,
    found: _Found,
    held_out: float,
    count: float,
    thickness: float | None,
) -> ConductionFit:
    free = len(problem.rows)
    mean = max(float(np.mean(found.residual**2)), 1e-30)
    k = free + 1
    criterion = count * np.log(mean) + 2.0 * k + 2.0 * k * (k + 1) / max(count - k - 1, 1.0)
    values = problem.named(found.values)
    inflated = len(found.residual) / count
    variance = mean * len(found.residual) / max(len(found.residual) - free, 1) * inflated
    spread = np.sqrt(np.maximum(np.diag(np.linalg.pinv(_square(found.jacobian))), 0.0) * variance)
    stderr, unknown = {}, {}
    for row, at, error in zip(problem.rows, found.values, spread, strict=True):
        stderr[row.name] = float(error * (values[row.name] if row.log else 1.0))
        edge = min(at - _in(row, row.lower), _in(row, row.upper) - at)
        if edge < 1e-6 * (_in(row, row.upper) - _in(row, row.lower)):
            unknown[row.name] = "at the end of its range"
    for name in problem.fixed:
        unknown[name] = "read at one temperature"
    return ConductionFit(
        law,
        values,
        stderr,
        unknown,
        float(np.sqrt(mean)) / np.log(10.0),
        float(criterion),
        free,
        held_out,
        found.residual,
        _remarks(law, values, thickness),
    )


def _remarks(
    law: ConductionLaw, values: Mapping[str, float], thickness: float | None
) -> tuple[str, ...]:
    if thickness is None:
        return ()
    nm = 1e9 * thickness
    said: list[str] = []
    if "eps_d" in values:
        eps = values["eps_d"] / nm
        low, high = PLAUSIBLE
        odd = "" if low <= eps <= high else f", which no dielectric has ({low:g} to {high:g})"
        said.append(f"relative permittivity {eps:.3g} at {nm:.3g} nm{odd}")
    barrier: dict[str, Callable[[float], float]] = {
        "v_b": lambda v: (v / (FIELD_EMISSION * nm)) ** (2.0 / 3.0),
        "v_t": lambda v: (v / (FIELD_EMISSION * nm)) ** (2.0 / 3.0),
    }
    for name, of in barrier.items():
        if name in values:
            said.append(
                f"barrier {of(values[name]):.3g} eV for a free electron's mass, {nm:.3g} nm"
            )
    return tuple(said)
