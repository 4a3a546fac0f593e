"""Training by open-loop pulses, each of which moves a device as its own response has it.

Nobody reads a device: a weight's pair gets pulses, up on one device and down on the other, as many
as the wanted change takes on average in the middle of the range. What they really do depends on where
each device stands, on which device it is, and on the pulse. Three ways to choose them:

- ``stochastic``: the gradient's own step, rounded up or down at random so that its mean is right (T.
  Gokmen and Y. Vlasov, Front. Neurosci. 10 (2016) 333, doi:10.3389/fnins.2016.00333);
- ``accumulate``: what a digital sum has come to (mixed precision);
- ``sign``: one pulse for every weight with a gradient.
"""

__all__ = ["Pulsed", "PulsedOptions"]

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ...data.errors import InputError
from ...data.options import check_choice, check_number
from ...data.types import Array32
from .rule import Start, Writes

Kind = Literal["stochastic", "accumulate", "sign"]


@dataclass(frozen=True)
class PulsedOptions:
    """Pulses by a device's own response."""

    kind: Kind = "stochastic"
    """How the number of pulses is chosen."""
    longest: int = 31
    """Most pulses that a device gets in one update."""

    def __post_init__(self) -> None:
        check_choice("pulsed", "kind", self.kind, get_args(Kind))
        check_number("pulsed", longest=self.longest, whole=True, at_least=1)


class Pulsed:
    """Pulses on trust, with the steps that the devices have; errors go back through the devices.

    Both devices of a pair start about the middle of the range, so that either can go either way.
    """

    transposed = True

    def __init__(self, start: Start, options: PulsedOptions | None = None) -> None:
        if start.pulses is None:
            raise InputError(
                "training by pulses needs the response of the devices: device.response in a"
                " configuration, Crossbar(..., pulses=...) in Python"
            )
        self.coding, self.optimiser, self._rng = start.coding, start.optimiser, start.rng
        self.options, self._steps = options or PulsedOptions(), start.pulses.mean
        self._per_pulse = np.float32(start.pulses.middle)
        clip = np.float32(start.coding.clip)
        self._rows = len(start.weights) - start.digital_rows
        self.weights: Array32 = np.clip(start.weights, -clip, clip).astype(np.float32)
        half = self.weights[: self._rows].reshape(-1, 1) / (np.float32(2.0) * clip)
        self._share: Array32 = np.float32(0.5) + np.hstack([half, -half])
        """Where the pulses so far bring devices without spread, (weights, 2)."""
        self._sum = np.zeros(len(self._share), np.float32)

    @property
    def codes(self) -> Array32:
        """What the pairs are meant to hold, fractional."""
        share = (self._share[:, 0] - self._share[:, 1]).reshape(self._rows, -1)
        return self.coding.quantiser.code(share * np.float32(self.coding.top))

    def first(self) -> Writes:
        """Return the verified writes that the training starts from."""
        level = self._levels(self._share.ravel())
        return Writes(np.arange(level.size), np.zeros_like(level), level, len(self._share))

    def step(self, gradient: Array32, rate: float) -> Writes | None:
        """Return the pulses of this batch."""
        move, rows = self.optimiser.move(gradient, rate), self._rows
        self.weights[rows:] -= move[rows:]
        if self.options.kind == "sign":
            wanted = -np.sign(gradient[:rows]).ravel()
        else:
            change = move[:rows].ravel() / np.float32(-self.coding.clip)
            wanted = self._counted(change / self._per_pulse)
        longest = self.options.longest
        pulses = np.clip(wanted, -longest, longest).astype(np.int64)
        weight = np.flatnonzero(pulses)
        if not weight.size:
            return None
        each = np.stack([pulses[weight], -pulses[weight]], axis=-1).ravel()
        before = self._share[weight]
        after = self._steps.apply(before.ravel(), each, 0, None).reshape(before.shape)
        self._share[weight] = after
        self.weights[:rows].reshape(-1)[weight] = (after[:, 0] - after[:, 1]) * np.float32(
            self.coding.clip
        )
        device = (2 * weight[:, None] + np.arange(2)).ravel()
        levels = self._levels(before.ravel()), self._levels(after.ravel())
        return Writes(device, *levels, len(weight), blind=0.0, pulses=each)

    def _counted(self, wanted: Array32) -> Array32:
        """Return whole numbers of pulses for ``wanted`` ones, (weights,)."""
        if self.options.kind == "stochastic":
            drawn = self._rng.random(wanted.shape, np.float32)
            return np.asarray(np.floor(wanted + drawn), np.float32)
        self._sum += wanted
        whole = np.trunc(self._sum)
        self._sum -= whole
        return np.asarray(whole, np.float32)

    def _levels(self, share: Array32) -> Array32:
        codes: Array32 = self.coding.quantiser.code(share * np.float32(self.coding.top))
        return codes

    def verify(
        self, writes: Writes, measured: Array32, failed: NDArray[np.bool_] | None = None
    ) -> None:
        """Ignore it: pulses are not read.

        Parameters
        ----------
        writes
            The writes.
        measured
            Levels that were reached, (n,).
        failed
            Devices that were given up, (n,).
        """

    def column_scale(self) -> Array32 | None:
        """Return ``None``: nothing is scaled."""
        return None

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must keep."""
        return {
            "weights": self.weights.copy(),
            "share": self._share.copy(),
            "sum": self._sum.copy(),
            "optimiser": self.optimiser.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        self.weights[...], self._share[...] = state["weights"], state["share"]
        self._sum[...] = state["sum"]
        self.optimiser.restore(state["optimiser"])
