"""Selective verify: a trained network put on devices of which only some are verified.

784-128-10, trained in float on MNIST (5 epochs), written once on fresh devices of the shipped technology's
fit, 16 levels, read noise of 0.5 % in the verify reads, and the speed of a device log-normal from pulse to
pulse with a deviation of 1: without reads a write misses by 3 level steps. Which weights are verified:
those of the largest sensitivity, of the largest size, or any.
"""

__all__ = ["selective"]

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from table import Row

from memtwin.circuits.programming.population import Spread
from memtwin.circuits.programming.table import WriteTable, make_table
from memtwin.training.rules.quantise import pair
from memtwin.training.runs.build import recipe_of, write_spread
from memtwin.training.runs.config import load_config
from memtwin.training.runs.setup import Setup, set_up
from memtwin.training.studies.selective import most, program_some, verify_gain
from memtwin.training.studies.sensitivity import sensitivities
from memtwin.training.trainer.loop import train_float

READ_NOISE, C2C, DRAWS = 0.005, 1.0, 3
SHARES = (0.3, 0.2, 0.1, 0.05)


@dataclass(frozen=True)
class Deployment:
    """One trained network, and what a write of its devices takes and leaves."""

    setup: Setup

    @cached_property
    def weights(self) -> list[np.ndarray]:
        return list(
            train_float(
                self.setup.network, self.setup.images, self.setup.config.training, seed=0
            ).weights
        )

    @cached_property
    def table(self) -> WriteTable:
        config, levels = self.setup.config, self.setup.levels
        spread = Spread(write_spread(config, levels.device).d2d, C2C, READ_NOISE)
        return make_table(levels, recipe_of(config, levels), spread)

    @cached_property
    def worths(self) -> dict[str, list[np.ndarray]]:
        """How much a write error of each weight matters, by three measures."""
        rng = np.random.default_rng(2)
        found = sensitivities(self.setup.network, self.weights, self.setup.images.x_train)
        scales = [float(np.abs(w).max()) for w in self.weights]
        gain, top = verify_gain(self.table), self.setup.levels.count - 1
        levels = [
            np.rint(np.abs(w) / s * top).astype(int)
            for w, s in zip(self.weights, scales, strict=True)
        ]
        curved = [each * scale**2 for each, scale in zip(found, scales, strict=True)]
        return {
            "curvature x error": [c * gain[k] for c, k in zip(curved, levels, strict=True)],
            "curvature": curved,
            "size": [np.abs(w) / scale for w, scale in zip(self.weights, scales, strict=True)],
            "chance": [rng.random(w.shape) for w in self.weights],
        }

    def written(self, worth: str, share: float) -> tuple[float, np.ndarray]:
        """Return accuracy [%], and reads, joules and seconds of all writes, means over draws."""
        levels, images = self.setup.levels, self.setup.images
        flat = np.concatenate([each.ravel() for each in self.worths[worth]])
        chosen = most(flat, share) if share < 1.0 else np.ones(flat.size, bool)
        sums, right = np.zeros(3), 0.0
        for draw in range(DRAWS):
            rng, at, held = np.random.default_rng(draw), 0, []
            for w in self.weights:
                scale = float(np.abs(w).max())
                level = np.stack(pair(np.rint(w / scale * (levels.count - 1))), axis=-1)
                on = chosen[at : at + w.size].reshape(*w.shape, 1) & np.ones(2, bool)
                at += w.size
                found = program_some(self.table, level, on, rng)
                g = (found.g - levels.g[0]) / (levels.g[-1] - levels.g[0]) * scale
                held.append((g[..., 0] - g[..., 1]).astype(np.float32))
                sums += [found.costs.reads.sum(), found.costs.energy.sum(), found.costs.time.sum()]
            outputs, _ = self.setup.network.forward(
                images.x_test, lambda k, a, held=held: a @ held[k]
            )
            right += 100.0 * float(np.mean(outputs.argmax(axis=1) == images.y_test))
        return right / DRAWS, sums / DRAWS


def selective() -> Iterator[Row]:
    """Compare plain verify with verify of some weights only."""
    config = load_config(
        "mlp",
        [
            "training.epochs=5",
            "training.engine=ideal",
            "device.linear=true",
            "audit.every=0",
            f"device.verify_noise={READ_NOISE}",
        ],
    )
    one = Deployment(set_up(config, surrogate=False))
    plain, whole = one.written("chance", 1.0)
    yield Row("784-128-10 on nbsto_32um, all verified: accuracy", plain, "%", "", None)
    blind, left = one.written("chance", 0.0)
    yield Row(
        "  none verified: accuracy",
        blind,
        "%",
        "",
        None,
        f"{100 * left[1] / whole[1]:.0f} % of the joules",
    )
    for worth in one.worths:
        for share in SHARES:
            found, costs = one.written(worth, share)
            reads, energy, time = 100.0 * costs / whole
            note = (
                f"reads {reads:.0f} %, energy {energy:.0f} %, time {time:.0f} % of plain verify's"
            )
            yield Row(
                f"  {100 * share:g} % verified, by {worth}: accuracy", found, "%", "", None, note
            )
