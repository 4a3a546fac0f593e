"""A device that is written by identical pulses: what its ramps do, and what writing a level takes.

:class:`PulseResponse` joins an up and a down direction, each learnt from many ramps, and answers a
programmer's questions: how many pulses from one level to another, and how far off they land.
"""

__all__ = ["PulseResponse", "fit_response", "load_response", "save_response"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data.errors import InputError
from ...data.measurement import PulseTrain
from ...data.records.store import reading, write_record
from ...data.types import Array, Progress
from .laws import PulseLaw
from .published import published
from .ramp import PulseFit, find_law, inverse
from .ramp_spread import LEAST, RampSpread, fit_mean, fit_spread
from .stacked import split_stacked

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class PulseResponse:
    """A device that is written by identical pulses, up and down.

    Attributes
    ----------
    up, down
        What its ramps do, with their spread; ``None`` for a direction that was not measured.
    name
        What it is called.
    unit
        Unit of its conductances: ``S``, or ``1`` where they are normalised.
    """

    up: RampSpread | None
    down: RampSpread | None
    name: str = "device"
    unit: str = "S"

    def __str__(self) -> str:
        """Return what was learnt of either direction."""
        unit = "S" if self.unit == "S" else "normalised"
        return "\n".join(
            [
                f"Pulse response of {self.name} (conductances: {unit})",
                *(f"{way}: {side}" for way, side in self.sides.items()),
            ]
        )

    @property
    def sides(self) -> dict[str, RampSpread]:
        """The directions that were measured, by their name."""
        both = {"up": self.up, "down": self.down}
        return {way: side for way, side in both.items() if side is not None}

    def levels(self, count: int) -> Array:
        """Return evenly spaced conductances within all ramps, shape (count,)."""
        ends = np.array([side.mean(np.array([0.0, side.pulses])) for side in self.sides.values()])
        low, high = float(ends.min(1).max()), float(ends.max(1).min())
        if count < 2 or not low < high:
            raise InputError(
                f"{self.name}: no {count} levels between {low:.4g} and {high:.4g}; ask for 2 or more"
                " within what both directions reach"
            )
        return np.linspace(low, high, count)

    def step(self, g: Array, direction: int) -> tuple[Array, Array]:
        """Return mean and standard deviation of what one pulse up (1) or down (-1) changes at
        conductance g.
        """
        if direction not in (1, -1):
            raise InputError(f"a pulse goes up (1) or down (-1), not {direction}")
        side = self.up if direction > 0 else self.down
        if side is None:
            raise InputError(f"{self.name}: no ramp {'up' if direction > 0 else 'down'} is known")
        fine = np.linspace(0.0, side.pulses, 20 * side.pulses + 1)
        n = inverse(fine, side.mean(fine), np.asarray(g, float))
        return side.mean(n + 1.0) - side.mean(n), np.full(np.shape(n), np.sqrt(2.0) * side.noise)

    def plot(self, path: str | Path | None = None) -> "Figure":
        """Draw either direction's ramps with what the law expects, and the step by conductance.

        Parameters
        ----------
        path
            Where to write the picture; the suffix names its format.
        """
        from ..plots import ramps_page, write

        return write(ramps_page(self), path)

    def between(
        self, levels: Array, rng: np.random.Generator, *, draws: int = 200
    ) -> tuple[Array, Array]:
        """Return what it takes to go from every level to every other without reading in between.

        Parameters
        ----------
        levels
            Conductances, shape (levels,).
        rng, draws
            Where the spread is drawn from.

        Returns
        -------
        tuple
            Expected number of pulses, and standard deviation of the conductance reached, both of
            shape (levels from, levels to); NaN where a level lies outside a ramp, or that direction
            was not measured.
        """
        levels = np.asarray(levels, float)
        count = len(levels)
        pulses, spread = np.zeros((count, count)), np.zeros((count, count))
        rising = levels[None, :] > levels[:, None]
        for side, chosen in ((self.up, rising), (self.down, rising.T)):
            if side is None:
                pulses[chosen] = spread[chosen] = np.nan
                continue
            fine = np.linspace(0.0, side.pulses, 20 * side.pulses + 1)
            place = inverse(fine, side.mean(fine), levels)
            needed = place[None, :] - place[:, None]
            values = rng.multivariate_normal(
                side.expected(0.0), side.covariance, draws, method="svd"
            )
            reached = np.empty((draws, count, count))
            for k, row in enumerate(values):
                curve = side.law.curve(fine, row, side.pulses) + side._bias(fine)
                own = inverse(fine, curve, levels, clip=True)
                reached[k] = np.interp(own[:, None] + np.nan_to_num(needed), fine, curve)
            landed = np.sqrt(reached.var(0) + side.noise**2)
            pulses[chosen] = np.abs(needed[chosen])
            spread[chosen] = np.where(np.isfinite(needed[chosen]), landed[chosen], np.nan)
        return pulses, spread


def fit_response(
    trains: Sequence[PulseTrain],
    law: str | PulseLaw = "exponential",
    *,
    name: str | None = None,
    progress: Progress | None = None,
) -> PulseResponse:
    """Fit a law to the ramps of a device; which direction a train goes is seen in it, and one that goes up and down is
    split at its turns.

    Fewer than five ramps of a direction tell no spread: their mean is fitted, and only the noise from
    pulse to pulse is known.

    Parameters
    ----------
    trains
        Ramps of one device, up, down or both.
    law
        The law, or its name.
    name
        What to call it.
    progress
        Called with how much is done, and of how much.

    Raises
    ------
    InputError
        If there is no train, or two of the same direction or of different units.
    """
    sides: dict[str, RampSpread] = {}
    for train in (part for given in trains for part in split_stacked(given)):
        ends = train.g[:, 0], train.g[np.arange(len(train.g)), train.lengths - 1]
        way = "up" if float(np.mean(ends[1] - ends[0])) > 0.0 else "down"
        if way in sides:
            raise InputError(f"{train.name}: its ramps go {way}, and so do those before it")
        if train.unit != trains[0].unit:
            raise InputError(f"{train.name}: its unit is {train.unit}, before it {trains[0].unit}")
        fit_side = fit_mean if len(train.g) < LEAST else fit_spread
        sides[way] = fit_side(train, law, progress=progress)
    if not sides:
        raise InputError("there is no ramp to fit")
    return PulseResponse(sides.get("up"), sides.get("down"), name or trains[0].name, trains[0].unit)


def save_response(response: PulseResponse, path: str | Path) -> Path:
    """Write a response as a record."""
    tree: dict[str, Any] = {"name": response.name, "unit": response.unit}
    for way, side in response.sides.items():
        tree[way] = {
            "law": side.law.name,
            "names": list(side.law.names),
            "pulses": side.pulses,
            "trend": list(side.trend),
            "coefficients": side.coefficients,
            "covariance": side.covariance,
            "bias": side.bias,
            "noise": side.noise,
            "ramps": side.ramps,
            **{f"fit_{key}": np.array([getattr(one, key) for one in side.fits]) for key in _KEPT},
        }
    return write_record(path, "pulse-response", tree)


def load_response(path: str | Path) -> PulseResponse:
    """Read what :func:`save_response` wrote, or a published response by its name.

    Raises
    ------
    InputError
        If it is no such record, or a damaged one.
    """
    if not Path(path).suffix and not Path(path).exists():
        sides, unit = published(str(path))
        return PulseResponse(sides.get("up"), sides.get("down"), str(path), unit)
    with reading(path, "pulse-response") as tree:
        up, down = (_side(tree[way]) if way in tree else None for way in ("up", "down"))
        return PulseResponse(up, down, str(tree["name"]), str(tree["unit"]))


_KEPT = ("values", "stderr", "nrmse_percent", "floor_percent", "residual")


def _side(tree: Mapping[str, Any]) -> RampSpread:
    law, pulses = find_law(tree["law"]), int(tree["pulses"])
    rows = zip(*(tree[f"fit_{key}"] for key in _KEPT), strict=True)
    fits = tuple(
        PulseFit(law, values, stderr, pulses, float(nrmse), float(floor), residual)
        for values, stderr, nrmse, floor, residual in rows
    )
    return RampSpread(
        law,
        pulses,
        tuple(tree["trend"]),
        tree["coefficients"],
        tree["covariance"],
        tree["bias"],
        float(tree["noise"]),
        int(tree["ramps"]),
        fits,
    )
