"""A technology: what pulses do to cells of a process behind their transistors, in one TOML file.

Each section of the file is one law; ``[sources]`` says for each which data it comes from and of how many cells. Only
the SET law is needed: a technology that knows no more is a device without statistics.
"""

__all__ = [
    "Cycled",
    "Fading",
    "Technology",
    "Window",
    "check_device",
    "digest_of",
    "is_technology",
    "load_technology",
    "shipped_technologies",
    "technology_text",
]

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError, nearest
from ...data.files import read_toml, toml_key, toml_value
from ...data.records.pack import pack, unpack
from ...data.records.store import digest
from ...data.types import Array
from ..device import Device
from ..models import models
from ..spread.noise import ReadNoise
from ..spread.relaxation import RelaxationQuantiles
from ..spread.stuck import Stuck
from .landing import Landing
from .population import REACH, Cells, Spreads, set_pulse
from .reading import ReadLaw
from .reset import LogNormal, ResetLaw
from .switching import CellLaw, ModelLaw, PowerLaw, SetLaw, SetTable, tabulate

_LIBRARY = Path(__file__).parent / "library"
_DIGITS = 7
_RESET_DROP = 1.5  # [V] across a cell before it is reset; assumed


@dataclass(frozen=True)
class Cycled:
    """RESETs of cells that were cycled before: they are easier, and deeper, than a map's first ones.

    Attributes
    ----------
    level
        Where cells that were reset are.
    failed
        Share of RESETs that leave a cell as it is.
    v_wl, v_sl, pw
        The pulse that this was measured with [V], [V], [s].
    correlation
        Between a cell's levels after two RESETs; near 0, the level is drawn anew every time.
    """

    level: LogNormal
    failed: float
    v_wl: float
    v_sl: float
    pw: float
    correlation: float = 0.0


@dataclass(frozen=True, eq=False)
class Fading:
    """What cycling makes of the levels after full SETs and RESETs.

    Attributes
    ----------
    cycles
        SET and RESET cycles, rising, shape (points,).
    g_set, g_reset
        Median conductance after SETs and RESETs around there [S], shape (points,) each.
    """

    cycles: Array
    g_set: Array
    g_reset: Array

    def kept(self, cycles: ArrayLike) -> Array:
        """Return which share of the first ``g_set`` is left after so many cycles."""
        at = np.log10(np.maximum(np.asarray(cycles, float), self.cycles[0]))
        return np.asarray(np.interp(at, np.log10(self.cycles), self.g_set / self.g_set[0]))


@dataclass(frozen=True)
class Window:
    """How cells are used where nobody says otherwise: a choice.

    Attributes
    ----------
    g_min, g_max
        Conductances between which levels lie [S].
    v_bl, pw
        Bit line [V] and width [s] of SET pulses.
    """

    g_min: float
    g_max: float
    v_bl: float = 2.0
    pw: float = 1e-7

    def __post_init__(self) -> None:
        """Refuse an empty window."""
        if not 0.0 < self.g_min < self.g_max < np.inf:
            raise InputError(
                f"window: expected 0 < g_min < g_max, got {self.g_min!r} and {self.g_max!r}"
            )


@dataclass(frozen=True, eq=False)
class Technology:
    """A measured process of cells behind transistors.

    Attributes
    ----------
    name
        What to call it.
    set
        The SET law with its transistor, read and write resistances.
    spreads
        How cells and pulses differ in it.
    reset
        The RESET law of first RESETs; ``None`` where none was measured.
    cycled
        RESETs of cycled cells; the ones to use for training.
    read
        Noise of one read.
    stuck
        Cells that no write moves.
    relaxation
        What programmed cells do in the seconds after.
    landing
        How often write-verify ends inside of a band.
    fading
        Wear of the levels.
    reading
        How the current of a read bends with its voltage.
    window
        Where levels lie.
    sources
        Section → ``dataset``, ``files``, ``cells`` and what else is worth knowing of its data.
    meta
        What else is known.
    """

    name: str
    set: CellLaw
    spreads: Spreads = field(default_factory=Spreads)
    reset: ResetLaw | None = None
    cycled: Cycled | None = None
    read: ReadNoise | None = None
    stuck: Stuck | None = None
    relaxation: RelaxationQuantiles | None = None
    landing: Landing | None = None
    fading: Fading | None = None
    reading: ReadLaw | None = None
    window: Window | None = None
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)

    def table(
        self, v_bl: Iterable[float], v_wl: tuple[float, float], pw: tuple[float, float]
    ) -> SetTable:
        """Return the SET law's table for the whole population; see :func:`.switching.tabulate`.

        Parameters
        ----------
        v_bl
            Voltages of the bit line [V].
        v_wl
            Lowest and highest voltage of the word line [V].
        pw
            Shortest and longest pulse [s].
        """
        reach = REACH * self.spreads.v_t
        return tabulate(self.set, v_bl, (v_wl[0] - reach, v_wl[1] + reach), pw)

    def set_pulse(
        self,
        table: SetTable,
        cells: Cells,
        g: ArrayLike,
        v_wl: ArrayLike,
        v_bl: float,
        pw: float,
        rng: np.random.Generator,
    ) -> Array:
        """Return what cells read after a SET pulse, without noise; see :func:`.population.set_pulse`.

        Parameters
        ----------
        table
            The SET law's table.
        cells
            The cells that are pulsed.
        g
            Conductances, an array of any shape [S].
        v_wl
            Voltage of the word line [V].
        v_bl
            Voltage of the bit line [V].
        pw
            Width of the pulse [s].
        rng
            What random numbers are drawn from.
        """
        return set_pulse(table, self.spreads, cells, g, v_wl, v_bl, pw, rng)

    def energy(
        self, g: ArrayLike, v_wl: ArrayLike, v_bl: ArrayLike, pw: ArrayLike
    ) -> tuple[Array, Array]:
        """Return a bracket for the energy of SET pulses that end at g [S]: low and high [J]; the current of
        a pulse was not measured.

        Low takes the conductance as read for what carries the cell's voltage, high the cell's own
        in the model: the read's series resistance belongs to the read alone, or to the pulse too.

        Parameters
        ----------
        g
            Conductances, an array of any shape [S].
        v_wl
            Voltage of the word line [V].
        v_bl
            Voltage of the bit line [V].
        pw
            Width of the pulse [s].
        """
        g = np.asarray(g, float)
        own = 1e-6 * np.exp(self.set.inner(g))
        v_c = np.minimum(self._cell_voltage(own, v_wl, v_bl), v_bl)
        power = np.asarray(v_bl, float) * np.asarray(pw, float)
        low, high = g * v_c * power, own * v_c * power
        return np.asarray(low), np.asarray(np.maximum(low, high))

    def reset_energy(self, g: ArrayLike, v_sl: float, pw: float) -> tuple[Array, Array]:
        """Return a bracket for the energy of RESET pulses on cells that read g [S] before: low and high [J].

        Assumed, since the current was not measured: until it is reset the cell has 1.5 V and conducts as it reads;
        low where that ends in the middle of the pulse, high where it lasts to its end.

        Parameters
        ----------
        g
            Conductances read before [S].
        v_sl
            Amplitude on the source line [V].
        pw
            Pulse width [s].
        """
        high = np.asarray(g, float) * (_RESET_DROP * v_sl * pw)
        return 0.5 * high, high

    def device(self) -> Device:
        """Return what a read meets: the cell with its transistor and lines, of a conductance that pulses set; an ohmic
        one where no curvature was measured.
        """
        if self.reading is None:
            return Device(self.name, models["resistor"], meta=self.meta)
        return Device(self.name, models["sinh_decay"], self.reading.parameters, meta=self.meta)

    def _cell_voltage(self, g_c: Array, v_wl: ArrayLike, v_bl: ArrayLike) -> Array:
        """Solve for the cell's voltage [V] by bisection, where its and the transistor's currents agree."""
        g_c, v_wl, v_bl = np.broadcast_arrays(g_c, np.asarray(v_wl, float), np.asarray(v_bl, float))
        low, high = np.zeros_like(g_c), np.array(v_bl, float)
        for _ in range(50):
            v = 0.5 * (low + high)
            left = np.maximum(v_bl - v - g_c * v * self.set.r_write, 0.0)
            more = self.set.transistor.current(v_wl, left) > g_c * v
            low, high = np.where(more, v, low), np.where(more, high, v)
        return np.asarray(0.5 * (low + high))


def shipped_technologies() -> list[str]:
    """Return the names of the technologies that come with the package."""
    return sorted(path.stem for path in _LIBRARY.glob("*.toml"))


def is_technology(name: str | Path) -> bool:
    """Return whether ``name`` is that of a shipped technology, or the path of a technology's file."""
    if str(name) in shipped_technologies():
        return True
    path = Path(name)
    if path.suffix != ".toml" or not path.is_file():
        return False
    return "transistor" in str(read_toml(path).get("set", ""))


def check_device(name: str | Path) -> None:
    """Refuse a technology where a device with dynamics is asked for."""
    if is_technology(name):
        raise InputError(
            f"{name} is a technology, whose pulses have laws of their own instead of a device's dynamics: ask for it"
            " by memtwin technology show, memtwin program or memtwin run --device"
        )


def load_technology(name: str | Path) -> Technology:
    """Return a shipped technology by its name, or any by the path of its file.

    Raises
    ------
    InputError
        If there is no such technology, or its file is none; the message names the key.
    """
    path = Path(name) if str(name).endswith(".toml") else _LIBRARY / f"{name}.toml"
    if not path.is_file():
        if path.parent == _LIBRARY:
            known = shipped_technologies()
            raise InputError(
                f"there is no shipped technology {str(name)!r}{nearest(str(name), known)};"
                " a file of one's own is named by its path, which ends in .toml"
            )
        raise InputError(f"there is no technology file {path}")
    try:
        tree = _floats(read_toml(path))
        if isinstance(tree.get("set"), dict):  # files of one law alone do not name it
            told = {"device": ModelLaw, "alpha": PowerLaw}
            law = next((law for key, law in told.items() if key in tree["set"]), SetLaw)
            tree["set"].setdefault("kind", law.__name__.lower())
            device = tree["set"].get("device")
            if isinstance(device, str) and (path.parent / device).is_file():
                tree["set"]["device"] = str(path.parent / device)
        found: Technology = unpack(Technology, tree)
    except InputError as error:
        if str(path) in str(error):
            raise
        raise InputError(f"{path}: {error}") from error
    return found


def technology_text(technology: Technology) -> str:
    """Return a technology as TOML."""
    tree = pack(technology)
    lines: list[str] = []
    _section(tree, "", lines)
    return "\n".join(lines).strip() + "\n"


def digest_of(technology: Technology) -> str:
    """Return a hash of a technology's laws, that of a device which they name among them, whatever they come from."""
    laws = technology_text(replace(technology, name="", window=None, sources={}, meta={}))
    if isinstance(technology.set, ModelLaw):
        return digest(laws, technology.set.cell.digest)
    return digest(laws)


def _section(tree: Mapping[str, Any], at: str, lines: list[str]) -> None:
    plain = {key: value for key, value in tree.items() if not isinstance(value, Mapping)}
    if plain or not at:
        lines += ["", f"[{at}]"] if at else []
        lines += [
            f"{toml_key(key)} = {toml_value(_rounded(value))}" for key, value in plain.items()
        ]
    for key, value in tree.items():
        if isinstance(value, Mapping):
            _section(value, f"{at}.{toml_key(key)}" if at else toml_key(key), lines)


def _rounded(value: Any) -> Any:
    """Return numbers with as many digits as mean something."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_rounded(one) for one in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _floats(value: Any, key: str = "") -> Any:
    """Return a file's tree with whole numbers of its laws as numbers."""
    if isinstance(value, Mapping):
        if key == "sources":
            return value
        return {name: _floats(one, name) for name, one in value.items()}
    if isinstance(value, list) and value and not isinstance(value[0], str):
        return np.asarray(value, float)
    return value
