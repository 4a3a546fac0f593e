"""Write-verify on many cells of a technology at once: who is pulsed how, until it reads inside of its band."""

__all__ = ["Tables", "Written", "reset_pulse", "write"]

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...data.errors import InputError
from ...data.types import Array
from ...devices.technology.population import Cells, shifted
from ...devices.technology.switching import SetTable
from ...devices.technology.technology import Technology
from .recipe import RampRecipe

_START = 6e-6  # [S] that the median cell is SET from, where nothing is known of RESETs


class Written(NamedTuple):
    """What writes came to, (cells,) each."""

    g: Array
    """True conductance in the end, without the noise of a read [S]."""
    reached: NDArray[np.bool_]
    """Whether the last verify read was in the band."""
    sets: Array
    resets: Array
    reads: Array
    energy: Array
    """Of pulses and verify reads, the low end of its bracket [J]."""
    energy_high: Array
    read_energy: Array
    """Share of the verify reads in both [J]."""
    time: Array
    """Of pulses and verify reads [s]."""


@dataclass(frozen=True)
class Tables:
    """What a recipe needs of a technology, worked out once.

    Attributes
    ----------
    technology, recipe
        Whose cells, and how they are written.
    lines
        The largest resistance of a cell's way to the bit line's driver, and of that to the grounded end of the source
        line [ohm].
    """

    technology: Technology
    recipe: RampRecipe
    lines: tuple[float, float] = (0.0, 0.0)

    @cached_property
    def set(self) -> SetTable:
        """The SET law at the ramp's lines."""
        return self._set(0.0, 0.0)

    @cached_property
    def behind_lines(self) -> tuple[SetTable, ...]:
        """The same with none and with the largest resistance in the bit line, and each so in the source line."""
        bit, source = self.lines
        return tuple(
            self._set(r_bit, r_source) for r_source in (0.0, source) for r_bit in (0.0, bit)
        )

    def _set(self, r_bit: float, r_source: float) -> SetTable:
        law, recipe = self.technology.set, self.recipe
        if r_bit or r_source:
            transistor = replace(law.transistor, r_source=r_source)
            law = replace(law, transistor=transistor, r_write=law.r_write + r_bit)
        technology, width = replace(self.technology, set=law), (recipe.pw, recipe.pw)
        if recipe.line == "word":
            return technology.table([recipe.other], (recipe.start, recipe.stop), width)
        return technology.table(recipe.rungs, (recipe.other, recipe.other), width)

    @cached_property
    def nominal(self) -> Array:
        """What the median cell reads after one pulse at every rung [S], rising."""
        cells = Cells(np.zeros((4, len(self.recipe.rungs))))
        erased = _START if self.technology.cycled is None else self.technology.cycled.level.g
        rung = np.arange(len(self.recipe.rungs))
        g = self.pulse(cells, np.full(len(rung), erased), rung, None)
        return np.asarray(np.maximum.accumulate(g))

    def seed(self, target: Array) -> NDArray[np.intp]:
        """Return the rungs that seeded ramps to targets [S] begin at."""
        reach = np.interp(target, self.nominal, self.recipe.rungs) - self.recipe.lead
        rung = np.floor((reach - self.recipe.start) / self.recipe.step + 1e-9)
        return np.asarray(np.clip(rung, 0, len(self.recipe.rungs) - 1), np.intp)

    def pulse(
        self,
        cells: Cells,
        g: Array,
        rung: NDArray[np.intp] | np.intp,
        rng: np.random.Generator | None,
    ) -> Array:
        """Return what cells that read g [S] read after the SET pulse of a rung; without ``rng`` nothing differs from
        pulse to pulse.

        Parameters
        ----------
        cells
            The cells, each with its own deviations.
        g
            Conductances read before [S], (cells,), or (..., cells) for the same cells with the same pulses from
            several.
        rung
            Rung of the ramp for each, (cells,), or one.
        rng
            Draws what differs from pulse to pulse.
        """
        spreads = self.technology.spreads
        z = np.sqrt(spreads.device_share) * cells.z
        if rng is not None:
            z = z + np.sqrt(1.0 - spreads.device_share) * rng.standard_normal(z.shape)
        word = self.recipe.line == "word"
        volt = self.recipe.rungs[rung] if word else self.recipe.other
        line: ArrayLike = 0 if word else rung

        def left(table: SetTable) -> Array:
            return shifted(table, spreads.sizes, z, line, g, volt, np.log(self.recipe.pw))

        if cells.lines is None:
            return left(self.set)
        shares = [
            np.clip(way / most, 0.0, 1.0) if most > 0.0 else np.zeros_like(way)
            for way, most in zip(cells.lines, self.lines, strict=True)
        ]
        at = [left(table) for table in self.behind_lines]
        grounded, lifted = (at[k] + shares[0] * (at[k + 1] - at[k]) for k in (0, 2))
        return np.asarray(grounded + shares[1] * (lifted - grounded))

    def energy(self, g: Array, rung: NDArray[np.intp] | np.intp) -> tuple[Array, Array]:
        """Return the bracket of the energy of SET pulses that end at g [J]."""
        volt, recipe = self.recipe.rungs[rung], self.recipe
        if recipe.line == "word":
            return self.technology.energy(g, volt, recipe.other, recipe.pw)
        return self.technology.energy(g, recipe.other, volt, recipe.pw)


def write(
    tables: Tables,
    cells: Cells,
    g: ArrayLike,
    target: ArrayLike,
    rng: np.random.Generator,
    *,
    resets_max: ArrayLike | None = None,
    stuck: NDArray[np.bool_] | None = None,
) -> Written:
    """Write cells to their targets.

    Parameters
    ----------
    tables
        Technology and recipe.
    cells
        Which of the population they are.
    g
        Conductances before [S], (cells,) or a number.
    target
        Middles of the bands [S], (cells,) or a number.
    rng
        Draws what differs from pulse to pulse, RESETs, and the noise of reads.
    resets_max
        RESET pulses after which a cell is given up, where that differs from band to band, (cells,).
    stuck
        Cells that no pulse moves, (cells,).

    Raises
    ------
    InputError
        If the technology says nothing of the RESETs that the recipe needs.
    """
    technology, recipe = tables.technology, tables.recipe
    if technology.cycled is None:
        raise InputError(
            f"the technology {technology.name} says nothing of RESETs of cycled cells, which write-verify"
            " needs: fit it with --cycled"
        )
    if recipe.way == "ping-pong" and technology.reset is None:
        raise InputError(
            f"the technology {technology.name} has no RESET law, which ping-pong needs: fit it to a"
            " map of RESETs, or choose another way"
        )
    count = cells.z.shape[1]
    g = np.array(np.broadcast_to(np.asarray(g, float), (count,)))
    target = np.broadcast_to(np.asarray(target, float), (count,))
    caps = np.broadcast_to(recipe.resets_max if resets_max is None else resets_max, (count,))
    last = len(recipe.rungs) - 1
    begin = np.zeros(count, np.intp) if recipe.way == "ramp" else tables.seed(target)
    rung, stays, ramp = begin.copy(), np.zeros(count, np.intp), np.zeros(count, np.intp)
    sets, resets, reads = (np.zeros(count) for _ in range(3))
    low, high, reading = (np.zeros(count) for _ in range(3))
    reached = np.zeros(count, bool)

    def stay(on: NDArray[np.intp], before: Array) -> None:
        if stuck is not None:
            g[on] = np.where(stuck[on], before, g[on])

    def reset(on: NDArray[np.intp], v_sl: Array | float) -> None:
        before = g[on]
        g[on], bracket = reset_pulse(tables, before, v_sl, rng)
        stay(on, before)
        low[on] += bracket[0]
        high[on] += bracket[1]
        resets[on] += 1.0
        rung[on], stays[on] = begin[on], 0

    if recipe.erase_first:
        reset(np.arange(count), technology.cycled.v_sl)
    on = np.arange(count)
    while on.size:
        read = g[on] + recipe.verify_noise * rng.standard_normal(on.size)
        reads[on] += 1.0
        reading[on] += recipe.v_read**2 * g[on] * recipe.read_time
        off = read - target[on]
        inside = np.abs(off) <= recipe.tolerance
        reached[on[inside]] = True
        up, down = on[off < -recipe.tolerance], on[off > recipe.tolerance]
        up, down = up[stays[up] < recipe.patience], down[resets[down] < caps[down]]
        if up.size:
            before = g[up]
            g[up] = tables.pulse(cells.only(up), before, rung[up], rng)
            stay(up, before)
            bracket = tables.energy(g[up], rung[up])
            low[up] += bracket[0]
            high[up] += bracket[1]
            sets[up] += 1.0
            stays[up] += rung[up] == last
            rung[up] = np.minimum(rung[up] + 1, last)
            ramp[up] = 0
        if down.size and recipe.way == "ping-pong":
            top = technology.cycled.v_sl
            reset(down, np.minimum(recipe.sl_start + recipe.sl_step * ramp[down], top))
            ramp[down] += 1
        elif down.size:
            reset(down, technology.cycled.v_sl)
        on = np.sort(np.concatenate((up, down)))
    cycled = technology.cycled
    time = sets * recipe.pw + resets * cycled.pw + reads * recipe.read_time
    return Written(
        g, reached, sets, resets, reads, low + reading, high + reading, reading, np.asarray(time)
    )


def reset_pulse(
    tables: Tables, g: Array, v_sl: ArrayLike, rng: np.random.Generator | None
) -> tuple[Array, tuple[Array, Array]]:
    """Return what cells that read g [S] read after a RESET, and the bracket of its energy [J].

    Parameters
    ----------
    tables
        Technology and recipe.
    g
        Conductances read before [S], (cells,), or (..., cells) for the same luck from several.
    v_sl
        Voltage of the source line [V].
    rng
        Draws which cells are reset, and how far; without it all are to the median level, or those more likely
        to be than not.
    """
    technology, recipe = tables.technology, tables.recipe
    cycled, law, count = technology.cycled, technology.reset, g.shape[-1]
    assert cycled is not None
    bracket = technology.reset_energy(g, cycled.v_sl, cycled.pw)

    def lucky(share: ArrayLike) -> NDArray[np.bool_]:
        return np.asarray((0.5 if rng is None else rng.random(count)) < np.asarray(share))

    done, gain = np.ones(count, bool), np.zeros(count)
    if recipe.way == "ping-pong" and law is not None:
        done = lucky(law.probability(g, cycled.v_wl, v_sl, cycled.pw))
        done |= np.asarray(v_sl) >= cycled.v_sl
        gain = law.gain(cycled.v_wl, v_sl, cycled.pw)
    done = done & ~lucky(cycled.failed)
    level = cycled.level.g if rng is None else cycled.level.sample(count, rng)
    return np.where(done, np.minimum(level, g), g + gain), bracket
