"""The Siamese update: float weights and gradients in, the few device writes that they call for out.

The float twin keeps high-precision weights ``w``; the memristor twin holds their codes ``q``, a
mean step ``d`` apart. After ``k`` accumulated batches the optimiser moves ``w``, and a weight is
rewritten only if it has left its level by more than half a step plus a hysteresis::

    write  iff  |c(w / d + e) - q| > 1/2 + h,     q <- round(c(w / d + e))

where ``c``, the quantiser's :meth:`~.quantise.Quantiser.code`, counts the levels on the way: with
equal steps it does nothing, with others half a step and the hysteresis are of the step right there.

Following Tan et al., Cogn. Neurodyn. 2024, doi:10.1007/s11571-024-10069-1, whose abstract names
sparse update, gradient accumulation and quantisation-error compensation but whose formulas are not
public here; these are ours (docs/siamese.md). Compensations:

- ``carry`` (the default): ``w`` keeps its quantisation residual, which is thus the error memory;
- ``sd``: carry, and ``e`` holds what the verify read found missing of the target at the last write
  (write-error feedback);
- ``readback``: carry, and on a write ``w`` takes over the error that the verify read found;
- ``damp``: carry, and a pull ``damping (w - q d)`` is added to the gradient, against weights that
  hop between two levels;
- ``scale``: carry, and columns are scaled digitally by ``<w, q d> / <q d, q d>``;
- ``none``: ``w <- q d`` after every update: the residual is lost and training stalls (kept to show
  why compensation is needed).
"""

__all__ = ["COMPENSATIONS", "Compensation", "Siamese", "SiameseOptions"]

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from ...data.errors import InputError
from ...data.options import check_choice, check_number
from ...data.types import Array32
from .bad_cells import Limits
from .partners import FreePairs
from .quantise import Uniform, pair
from .rule import Start, Writes

Compensation: TypeAlias = Literal["carry", "sd", "readback", "damp", "scale", "none"]

COMPENSATIONS: tuple[str, ...] = get_args(Compensation)

Partner: TypeAlias = Literal["resting", "free"]


@dataclass(frozen=True)
class SiameseOptions:
    """How float weights become writes."""

    accumulate: int = 1
    """Batches whose mean gradient makes one update."""
    hysteresis: float = 0.0
    """Extra distance from the present level before a weight is rewritten, in level steps."""
    compensation: Compensation = "carry"
    damping: float = 1e-3
    """Strength of ``damp``, as a weight decay towards the level."""
    write_limit: int | None = None
    """Writes after which a device is left alone, to spare its endurance."""
    spare_failed: bool = True
    """Whether a device is asked no more for what it has failed to reach, by a controller that keeps
    a list of bad cells; else it is written in vain again and again."""
    partner: Partner = "resting"
    """The other device of a pair: at the lowest level, or ``free`` to be written instead where that takes
    less energy, or where a device fails."""

    def __post_init__(self) -> None:
        check_number("training", accumulate=self.accumulate, whole=True, at_least=1)
        check_number("training", hysteresis=self.hysteresis, at_least=0, below=10)
        check_choice("training", "compensation", self.compensation, COMPENSATIONS)
        check_number("training", damping=self.damping, at_least=0, below=1)
        check_number(
            "training", write_limit=self.write_limit, whole=True, optional=True, at_least=1
        )
        check_choice("training", "partner", self.partner, get_args(Partner))


SIGNS = np.array([1.0, -1.0], np.float32)
"""Of the plus and of the minus device."""


class Siamese:
    """Float twin and level codes of one matrix; the weights are moved in place."""

    transposed = False

    def __init__(self, start: Start, options: SiameseOptions | None = None) -> None:
        self.coding, self.optimiser = start.coding, start.optimiser
        self.options = options or SiameseOptions()
        clip = start.coding.clip
        self.weights: Array32 = np.clip(start.weights, -clip, clip).astype(np.float32)
        self.codes = self.coding.codes(self.weights[: len(start.weights) - start.digital_rows])
        self._sum = np.zeros_like(self.weights) if self.options.accumulate > 1 else None
        self._summed = 0
        self._error = np.zeros_like(self.codes) if self.options.compensation == "sd" else None
        self._device_error = (
            np.zeros(2 * self.codes.size, np.float32) if self._error is not None else None
        )
        self._written = (
            np.zeros(2 * self.codes.size, np.int32) if self.options.write_limit else None
        )
        self._limits = (
            Limits(2 * self.codes.size, self.coding.top) if self.options.spare_failed else None
        )
        self._pairs = self._free(start) if self.options.partner == "free" else None
        self._bounded: tuple[float, tuple[Array32, Array32]] | None = None
        """Slack that weights had last, and the bounds that follow from it."""
        self._scratch, self._away = np.empty_like(self.codes), np.empty_like(self.codes)

    def _free(self, start: Start) -> FreePairs:
        if not isinstance(self.coding.quantiser, Uniform):
            raise InputError(
                "training.partner: a free partner needs evenly spaced levels, whose differences are levels"
                " again; choose 'resting', or device.spacing = 'even'"
            )
        if start.energy is None:
            raise InputError(
                "training.partner: a free partner is chosen by the energy of writes: Start(..., energy=...)"
            )
        return FreePairs(self.codes.reshape(-1), start.energy, self._limits, self.coding.top)

    @property
    def _mapped(self) -> Array32:
        """Float weights that devices hold."""
        # Made at every use: a view that is kept would be cut loose by a copy.
        return self.weights[: len(self.codes)]

    def first(self) -> Writes:
        """Return the writes that program every device for the first time, from level 0."""
        level = np.stack(pair(self.codes.ravel()), axis=-1).ravel()
        device = np.arange(level.size)
        return Writes(device, np.zeros_like(level), level, self.codes.size)

    def step(self, gradient: Array32, rate: float) -> Writes | None:
        """Take one batch's gradient; return the writes of the update, or ``None`` while gradients
        accumulate.
        """
        if self._sum is not None:
            self._sum += gradient
            self._summed += 1
            if self._summed < self.options.accumulate:
                return None
            gradient = self._sum * np.float32(1.0 / self._summed)
            self._sum[...] = 0.0
            self._summed = 0
        if self.options.compensation == "damp":
            gradient = gradient.copy()
            gradient[: len(self.codes)] += np.float32(self.options.damping) * (
                self._mapped - self.coding.weights(self.codes)
            )
        self.weights -= self.optimiser.move(gradient, rate)
        limit = np.float32(self.coding.clip)
        self.weights.clip(-limit, limit, out=self.weights)
        writes = self._sync()
        if self.options.compensation == "none":
            self._mapped[...] = self.coding.weights(self.codes)
        return writes

    def rescale(self, clip: float) -> Writes:
        """Let the highest level stand for the weight ``clip`` from now on; return the writes that
        this calls for.
        """
        self.coding = replace(self.coding, clip=clip)
        np.clip(self.weights, -clip, clip, out=self.weights)
        return self._sync()

    def verify(
        self, writes: Writes, measured: Array32, failed: NDArray[np.bool_] | None = None
    ) -> None:
        """Take the verify reads of ``writes``: the levels that were reached, fractional, and which
        devices were given up, (n,) each.

        Parameters
        ----------
        writes
            What was to be written.
        measured
            Levels that the verify reads found, (n,).
        failed
            Which writes did not reach their target.
        """
        if self._limits is not None and failed is not None:
            self._limits.learn(writes, measured, failed)
            if self._pairs is not None and failed.any():
                weight = self._pairs.settle(writes.device[failed])
                self.codes.reshape(-1)[weight] = self._pairs.code(weight)
        if self.options.compensation not in ("sd", "readback"):
            return
        steps = self.coding.quantiser.steps
        weight, sign = (
            writes.device >> 1,
            np.float32(1.0) - 2.0 * (writes.device & 1).astype(np.float32),
        )
        missing = steps(writes.level) - steps(measured)
        if self._error is not None and self._device_error is not None:
            np.add.at(
                self._error.reshape(-1),
                weight,
                sign * (missing - self._device_error[writes.device]),
            )
            self._device_error[writes.device] = missing
        else:
            change = -sign * missing * np.float32(self.coding.step)
            np.add.at(self._mapped.reshape(-1), weight, change.astype(np.float32))

    def column_scale(self) -> Array32 | None:
        """Return the digital factor of every column for ``scale``, else ``None``."""
        if self.options.compensation != "scale":
            return None
        held = self.coding.weights(self.codes)
        power = np.einsum("ij,ij->j", held, held)
        cross = np.einsum("ij,ij->j", held, self._mapped)
        ones: Array32 = np.ones_like(power)
        np.divide(cross, power, out=ones, where=power > 0.0)
        return ones

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        return {
            "weights": self.weights.copy(),
            "codes": self.codes.copy(),
            "clip": self.coding.clip,
            "sum": self._sum,
            "summed": self._summed,
            "error": self._error,
            "device_error": self._device_error,
            "written": self._written,
            "limits": None if self._limits is None else self._limits.state(),
            "pairs": None if self._pairs is None else self._pairs.levels.copy(),
            "optimiser": self.optimiser.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        self.weights[...], self.codes[...] = state["weights"], state["codes"]
        self.coding = replace(self.coding, clip=float(state["clip"]))
        self._summed = int(state["summed"])
        for mine, name in (
            (self._sum, "sum"),
            (self._error, "error"),
            (self._device_error, "device_error"),
            (self._written, "written"),
        ):
            if mine is not None:
                mine[...] = state[name]
        if self._limits is not None:
            self._limits.restore(state["limits"])
        if self._pairs is not None:
            self._pairs.levels[...] = state["pairs"]
        self.optimiser.restore(state["optimiser"])

    def _sync(self) -> Writes:
        target = self.coding.steps(self._mapped, out=self._scratch)
        if self._error is not None:
            target += self._error
        if self._pairs is not None:
            self._pairs.within(target.reshape(-1))
        weight, ahead = self._leaving(target)
        top = np.float32(self.coding.top)
        old = self.codes.reshape(-1)[weight]
        new = np.rint(old + ahead)
        new.clip(-top, top, out=new)
        moved = new != old
        if not moved.all():
            weight, old, new = weight[moved], old[moved], new[moved]
        return self._writes(weight, old, new)

    def _writes(self, weight: NDArray[np.int64], old: Array32, new: Array32) -> Writes:
        """Return the writes that bring weights from their codes to others, as far as they may be."""
        codes, limits = self.codes.reshape(-1), self._limits
        free = self._pairs is None and self._written is None and (limits is None or limits.none)
        if free and not (old * new < 0.0).any():
            # None changes its sign: one device of each pair moves.
            codes[weight] = new
            minus = (old + new) < 0.0
            return Writes(2 * weight + minus, np.abs(old), np.abs(new), len(weight))
        device, worn = 2 * weight[:, None] + np.arange(2), None
        if self._written is not None and self.options.write_limit is not None:
            worn = self._written[device] >= self.options.write_limit
        if self._pairs is not None:
            before, after = self._pairs.plan(weight, new, worn)
        else:
            # The plus device holds what is above zero, the minus device what is below.
            before, after = (
                np.maximum(each[:, None] * SIGNS, np.float32(0.0)) for each in (old, new)
            )
            if limits is not None:
                before, after = (limits.clip(device, level) for level in (before, after))
            if worn is not None:
                left = ~np.any(worn & (before != after), axis=1)
                weight, new, before, after, device = (
                    array[left] for array in (weight, new, before, after, device)
                )
        touched = before != after
        if self._written is not None:
            self._written[device[touched]] += 1
        if self._pairs is not None:
            self._pairs.levels[weight] = after
            new = self._pairs.code(weight)
        codes[weight] = new
        changed = int(np.count_nonzero(touched.any(axis=1)))
        return Writes(device[touched], before[touched], after[touched], changed)

    def _leaving(self, target: Array32) -> tuple[NDArray[np.int64], Array32]:
        """Return which weights ``target`` [mean steps] takes away from their codes, flattened, and
        by how many levels.
        """
        if isinstance(self.coding.quantiser, Uniform):
            target -= self.codes
            away = np.abs(target, out=self._away) > np.float32(self._slack)
            weight = np.flatnonzero(away)
            return weight, target.reshape(-1)[weight]
        low, high = self._bounds()
        code = (self.codes + np.float32(self.coding.top)).astype(np.intp)
        weight = np.flatnonzero((target < low[code]) | (target > high[code]))
        there = self.coding.quantiser.code(target.reshape(-1)[weight])
        return weight, there - self.codes.reshape(-1)[weight]

    @property
    def _slack(self) -> float:
        """Levels that a weight may be away from its own."""
        return 0.5 + self.options.hysteresis

    def _bounds(self) -> tuple[Array32, Array32]:
        """Return the lowest and the highest place of weights that stay at their code, by code, (2 L - 1,) each."""
        slack = self._slack
        if self._bounded is not None and self._bounded[0] == slack:
            return self._bounded[1]
        top = self.coding.top
        codes = np.arange(-top, top + 1, dtype=np.float32)
        ends = (codes - np.float32(slack), codes + np.float32(slack))
        low, high = (self.coding.quantiser.steps(np.clip(end, -top, top)) for end in ends)
        low[ends[0] < -top], high[ends[1] > top] = -np.inf, np.inf
        self._bounded = slack, (low, high)
        return low, high
