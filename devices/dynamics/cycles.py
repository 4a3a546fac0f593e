"""Devices that differ, and change a little from cycle to cycle: the variable form of JART.

A device's parameters are drawn between bounds, and walk at random within them from cycle to cycle, as
radius and length of a filament and its smallest and largest concentration do in Bengel et al. 2020
(doi:10.1109/TCSI.2020.3018502).
"""

__all__ = ["JART_WALK", "BoundedWalk", "simulate_cycles"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from ...data.types import Array, Progress
from ..device import Device
from .simulate import Trace

_RTOL, _ATOL = 1e-4, 1e-6  # far below what cycles differ by


@dataclass(frozen=True)
class BoundedWalk:
    """Parameters that differ from device to device and walk from cycle to cycle.

    Attributes
    ----------
    bounds
        Range of each parameter, as factors of the device's own value: drawn evenly over it, never left.
    step
        Largest change in one cycle, as a share of the range; 0 for devices that differ and stay.
    """

    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    step: float = 0.05

    def __post_init__(self) -> None:
        """Refuse empty ranges."""
        for name, (low, high) in self.bounds.items():
            if not 0.0 < low <= high < np.inf:
                raise InputError(
                    f"walk of {name}: its bounds are {low} and {high}, lower one first"
                )
        if not 0.0 <= self.step <= 1.0:
            raise InputError(f"a walk's step is a share of its range, 0 to 1, got {self.step}")

    @classmethod
    def of(cls, tree: Mapping[str, Any], where: str = "walk") -> "BoundedWalk":
        """Return the walk that a table describes: ``step``, and ``bounds`` with two factors for each
        parameter; ``where`` names it in errors.

        Raises
        ------
        InputError
            If the table holds something else.
        """
        unknown = sorted(set(tree) - {"step", "bounds"})
        if unknown:
            raise InputError(f"{where}: unknown key {unknown[0]!r}, expected step and bounds")
        bounds, step = tree.get("bounds", {}), tree.get("step", cls.step)
        pairs = isinstance(bounds, Mapping) and all(
            isinstance(pair, list)
            and len(pair) == 2
            and all(isinstance(b, int | float) for b in pair)
            for pair in bounds.values()
        )
        if not pairs or not bounds:
            raise InputError(
                f"{where}: expected bounds such as {{ r_det = [0.9, 1.1] }}, factors of each parameter"
            )
        if not isinstance(step, int | float):
            raise InputError(f"{where}: step is {step!r}, expected a share of the range, 0 to 1")
        return cls(
            {name: (float(low), float(high)) for name, (low, high) in bounds.items()}, float(step)
        )

    def start(self, device: Device, count: int, rng: np.random.Generator) -> dict[str, Array]:
        """Draw the parameters of ``count`` devices, each (count,).

        Parameters
        ----------
        device
            Its parameters are what the bounds are relative to.
        count
            Number of devices.
        rng
            Draws them.
        """
        found = {}
        for name, (low, high) in self.bounds.items():
            device.model.parameter(name)
            found[name] = device.parameters[name] * rng.uniform(low, high, count)
        return found

    def next(
        self, device: Device, parameters: Mapping[str, Array], rng: np.random.Generator
    ) -> dict[str, Array]:
        """Return the parameters a cycle later; a step beyond a bound is reflected at it.

        Parameters
        ----------
        device
            As of :meth:`start`.
        parameters
            Those of this cycle, (count,) each.
        rng
            Draws the steps.
        """
        found = {}
        for name, values in parameters.items():
            low, high = (device.parameters[name] * share for share in self.bounds[name])
            moved = values + self.step * (high - low) * rng.uniform(-1.0, 1.0, values.shape)
            moved = np.where(moved > high, 2.0 * high - moved, moved)
            found[name] = np.where(moved < low, 2.0 * low - moved, moved)
        return found


JART_WALK = BoundedWalk(
    {"r_det": (0.9, 1.1), "l_det": (0.9, 1.1), "n_min": (0.5, 1.5), "n_max": (0.9, 1.1)}
)
"""What varies in JART: the filament's radius and the disc's length, and both ends of the state."""


def simulate_cycles(
    device: Device,
    t: ArrayLike,
    v: ArrayLike,
    x0: ArrayLike,
    *,
    cycles: int,
    walk: BoundedWalk,
    count: int,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> list[Trace]:
    """Drive ``count`` devices with the same wave ``cycles`` times, each cycle from where the last one ended.

    Parameters
    ----------
    device
        What they are like.
    t, v
        One cycle: rising times [s] and voltages [V], (n,).
    x0
        State at the start, () or (count,).
    cycles
        How many.
    walk
        What differs and changes.
    count
        Number of devices.
    rng
        Source of all randomness.
    progress
        Called with cycles done and their number.

    Returns
    -------
    list of Trace
        One for each cycle, (count, n).

    Notes
    -----
    Between two cycles the state x is kept, the share of its range, and not the concentration it stands for.
    """
    if cycles < 1 or count < 1:
        raise InputError(f"expected at least one cycle and one device, got {cycles} and {count}")
    parameters = walk.start(device, count, rng)
    state = np.broadcast_to(np.asarray(x0, float), (count,))
    wave = np.broadcast_to(np.asarray(v, float), (count, np.size(v)))
    traces = []
    for cycle in range(cycles):
        if cycle:
            parameters = walk.next(device, parameters, rng)
        trace = device.simulate(
            t, wave, state, parameters=parameters or None, rtol=_RTOL, atol=_ATOL
        )
        traces.append(trace)
        state = trace.x[:, -1]
        if progress is not None:
            progress(cycle + 1, cycles)
    return traces
