"""The configuration of a run: a typed model, read from TOML, with every key checked.

One :class:`RunConfig` says everything that a run depends on; it is stored in the run's record, and
the same configuration with the same seed gives the same record. Sections are the library's own
options where it has them: :class:`.layout.Layout`, :class:`.options.TrainOptions`,
:class:`.crossbar.MappingOptions`, :class:`.effects.Effects`, :class:`.audit.AuditOptions`; those
check themselves, and have the defaults.
"""

__all__ = [
    "FITTED",
    "DeviceConfig",
    "RunConfig",
    "SurrogateSection",
    "TileSection",
    "TrainingSection",
    "ValidationSection",
    "changed_config",
    "changes_of",
    "load_bench",
    "load_config",
    "parse_config",
    "presets",
    "stated_config",
]

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from ...circuits.array.cell import Access
from ...circuits.array.tile import Layout
from ...circuits.osdi.choice import Devices
from ...circuits.registry import ENGINES
from ...circuits.surrogate.characterise import CharacteriseOptions
from ...circuits.technology.recipe import Way
from ...data.errors import InputError, nearest
from ...data.files import parse_toml, read_toml
from ...data.options import check_number, check_registered
from ...devices.cycles.autoregression import CycleLaw
from ...devices.levels import V_READ, Spacing
from ...devices.spread.effects import Effects
from ...devices.spread.noise import ReadNoise
from ...devices.spread.parameters import Lognormal, ParameterSpread
from ...devices.spread.pulse import PulseSpread
from ...devices.spread.record import law_tree, said
from ..studies.options import HardwareOptions
from ..trainer.audit import AuditOptions
from ..trainer.options import TrainOptions
from ..twin.crossbar import MappingOptions
from .chip import stated_technology
from .sections import DataSection, NetworkSection

FITTED = ("surrogate", "line")
"""Engines that read by the law and resistances fitted to ngspice; they alone have gradients."""

UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
"""What pydantic calls a key that is not known."""

MOVED = {
    "training.clip": "mapping.clip",
    "device.pulse_spread": "device.c2c",
    "device.parameter_spread": "device.d2d",
    "images.name": "data.name",
    "images.train": "data.train",
    "images.test": "data.test",
}
"""Keys by which configurations and records of earlier versions call what has moved since."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _law(subject: str, key: str, limit: float = 2.0) -> tuple[PlainValidator, PlainSerializer]:
    """Return how a configuration reads and keeps a number below ``limit``, a path or a law."""

    def read(value: Any) -> Any:
        found = said(subject, value, key)
        if isinstance(found, float) and not 0.0 <= found < limit:
            raise InputError(
                f"{key}: expected a number from 0 to less than {limit:g}, got {found:g}"
            )
        return found

    def kept(value: Any) -> Any:
        return value if isinstance(value, (float, str)) else law_tree(value, plain=True)

    return PlainValidator(read), PlainSerializer(kept)


def _parameters(value: Any) -> Any:
    """Read how parameters differ: a path, a table of relative spreads, or a law."""
    plain = isinstance(value, Mapping) and "kind" not in value
    found = said("parameters", {"sigma": value} if plain else value, "device.d2d")
    if isinstance(found, float):
        raise InputError("device.d2d: expected a path, or a table of relative spreads by parameter")
    return found


class DeviceConfig(_Section):
    """The device in every cell, and the conductance levels that it is programmed to."""

    name: str = "nbsto_32um"
    """A device of the library, the path of a device file (TOML), or ``resistor``; or a technology,
    shipped or the path of its file, whose window, read voltage and laws then are what is left open.
    """
    area: PositiveFloat | None = None
    """Area, in areas of the fitted device; when absent such that the device reaches ``g_max``."""
    g_max: PositiveFloat | None = None
    """Conductance of the highest level at the read voltage [S]; when absent 14 µS, or, with an
    area, what the device reached in its fit.
    """
    on_off: float | None = Field(None, gt=1)
    """Highest level over lowest level; when absent 10, or less where the device reaches less."""
    g_min: PositiveFloat | None = None
    """Conductance of the lowest level [S]; when absent it follows from ``on_off``."""
    temperature: PositiveFloat | None = None
    """Ambient temperature [K], of a device whose model knows one, and of what time does to it where
    ``effects.activation`` is given; when absent the device's own.
    """
    v_read: PositiveFloat = V_READ
    """Read voltage, full scale [V]."""
    levels: int = Field(16, ge=2, le=1024)
    spacing: Spacing = "even"
    """How the levels lie between the lowest and the highest."""
    c2c: Annotated[float | str | PulseSpread | CycleLaw, *_law("pulses", "device.c2c", 1.0)] = 0.05
    """Cycle-to-cycle standard deviation of the logarithm of a pulse's effect. Assumed: a sweep does
    not show it. Like the next two a number, a law, or the path of one.
    """
    verify_noise: Annotated[float | str | ReadNoise, *_law("read", "device.verify_noise", 0.1)] = (
        0.002
    )
    """Relative standard deviation of a verify read. Assumed, as above."""
    d2d: Annotated[
        str | Lognormal | ParameterSpread | None,
        PlainValidator(lambda value: None if value is None else _parameters(value)),
        PlainSerializer(lambda v: v if isinstance(v, str | None) else law_tree(v, plain=True)),
    ] = None
    """How devices differ in their model's parameters; the standard errors of the device's fit when
    absent.
    """
    tolerance: float | None = Field(None, gt=0, le=1)
    """Half width of the band of write-verify, in steps between levels; when absent half a step for a
    technology, else what follows from ``effects.programming``."""
    way: Way = "seeded"
    """How cells of a technology are written, see :class:`.recipe.RampRecipe`."""
    drivers: PositiveInt = 32
    """Cells that can be written at the same time: what a run says of times besides the serial one."""
    linear: bool = False
    """Read as ohmic devices of the same conductances; writes keep the device's own dynamics."""
    pricing: Literal["write-verify", "open loop", "nominal"] = "write-verify"
    """Where the price of a write comes from: write-verify loops on sampled devices, which need to
    know the voltages of the fit; the device's own identical pulses with a read after each; or, for
    a device without dynamics, a nominal pulse response."""
    v_set: PositiveFloat | None = None
    """Largest SET voltage [V]; when absent that of the device's fit, or of its published drive."""
    v_reset: float | None = Field(None, lt=0)
    """Largest RESET voltage, below 0 V [V]; when absent as above."""
    width: PositiveFloat | None = None
    """Width of the first pulses [s]; when absent by the device's rates."""
    write_table: str | None = None
    """A table of write-verify loops that is there already, made by ``memtwin program table``."""
    response: str | None = None
    """What single pulses do, for rules that send them: ramps as ``memtwin fit --kind ramps --record``
    keeps them, or ``model``, the device's own model, which the rule ``pulsed`` takes where nothing is
    said.
    """
    endurance: PositiveFloat = 1e6
    """Writes that a device is taken to survive. Assumed: a sweep does not show it. When absent for a
    technology whose wear was measured, those by which its levels after SET have lost one step."""


@dataclass(frozen=True)
class TileSection(Layout):
    """``[tile]``: lines, wires and periphery of the largest tile, and the cell's access device. The
    memristor and its read voltage are those of ``[device]``.
    """

    rows: int = 64
    cols: int = 64
    access: Annotated[Access, Field(discriminator="kind")] | None = None
    """Transistor or selector in series with every memristor; none when absent."""


@dataclass(frozen=True)
class TrainingSection(TrainOptions):
    """``[training]``: the library's options, and the engine that tiles are read through."""

    engine: str = "surrogate"
    device: str | None = None
    """Device of torch, as ``cuda`` or ``cpu``, on which the surrogate computes; when absent numpy computes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_registered("training", "engine", self.engine, ENGINES)
        if self.device is not None and self.engine != "surrogate":
            raise InputError(
                f"training.device: torch computes the engine 'surrogate' alone, not {self.engine!r}: leave it out"
            )


@dataclass(frozen=True)
class SurrogateSection(CharacteriseOptions):
    """``[surrogate]``: how it is characterised in SPICE, and what is expected of it."""

    bar_percent: float = 0.2
    """Largest NRMSE on the held-out vectors that training accepts [% of full scale]."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("surrogate", bar_percent=self.bar_percent, above=0)


@dataclass(frozen=True)
class ValidationSection:
    """``[validation]``: the audit after training, test images read through another engine."""

    engine: str = "spice"
    images: int | None = None
    """Test images read; when absent 200, or all of a smaller test set."""

    def __post_init__(self) -> None:
        check_registered("validation", "engine", self.engine, ENGINES)
        check_number("validation", images=self.images, whole=True, optional=True, at_least=1)


class RunConfig(_Section):
    """Everything that a run depends on."""

    name: str = Field("run", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    seed: int = Field(0, ge=0, lt=2**63)
    workers: PositiveInt = 2
    """SPICE worker processes; the result does not depend on it."""
    worker_memory: PositiveFloat = 4e9
    """Memory that each of them may take [byte]."""
    devices: Devices = "auto"
    """How nonlinear devices stand in ngspice's decks: ``behavioural`` (B-sources), ``compiled``
    (Verilog-A), or compiled where a compiler and ngspice 44 are there.
    """
    data: DataSection = DataSection()
    device: DeviceConfig = DeviceConfig()
    tile: TileSection = TileSection()
    network: NetworkSection = NetworkSection()
    training: TrainingSection = TrainingSection()
    mapping: MappingOptions = MappingOptions()
    effects: Annotated[Effects, PlainValidator(Effects.of), PlainSerializer(Effects.tree)] = (
        Effects()
    )
    surrogate: SurrogateSection = SurrogateSection()
    audit: AuditOptions = AuditOptions()
    validation: ValidationSection = ValidationSection()
    hardware: HardwareOptions = HardwareOptions()

    @model_validator(mode="before")
    @classmethod
    def _of_technology(cls, tree: Any) -> Any:
        """State what a technology says where the configuration leaves it open."""
        named = tree.get("device", {}) if isinstance(tree, Mapping) else {}
        name = named.get("name") if isinstance(named, Mapping) else None
        return stated_technology(tree, name) if isinstance(name, str) else tree

    @model_validator(mode="after")
    def _possible(self) -> "RunConfig":
        engine, drive = self.training.engine, self.mapping.drive
        if self.training.gradients == "array" and (engine not in FITTED or drive == "bits"):
            raise ValueError(
                f"training.gradients = 'array' needs the engine {' or '.join(FITTED)} and an analog"
                f" drive, got the engine {engine!r} and the drive {drive!r}"
            )
        return self


def presets() -> list[str]:
    """Return the names of the shipped configurations."""
    return sorted(
        Path(item.name).stem
        for item in (files(__package__) / "presets").iterdir()
        if item.name.endswith(".toml")
    )


def load_config(
    source: str | Path, changes: Sequence[str] = (), given: Mapping[str, Any] | None = None
) -> RunConfig:
    """Read a configuration from a preset's name or a TOML file, with ``changes`` such as ``training.epochs=2`` applied,
    and then the keys that are ``given`` with a value other than ``None``. How many images a preset validates is meant
    for its own data: with others it is left open.

    Parameters
    ----------
    source
        Name of a preset, or a file (TOML).
    changes
        Keys with their values, as ``training.epochs=2``.
    given
        Keys with their values; those that are ``None`` are left as they are.

    Raises
    ------
    InputError
        If there is no such preset or file, it is no TOML, a key is unknown (the nearest valid one is named) or a
        value can't be.
    """
    tree, where = _read(source)
    own = [_stated(tree, "data", key) for key in ("name", "path", "test")]
    images = _stated(tree, "validation", "images")
    if images is not None and str(source) in presets():
        del tree["validation"]["images"]
    for change in changes:
        _apply(tree, change)
    for key, value in (given or {}).items():
        if value is not None:
            _put(tree, key, value)
    still = [_stated(tree, "data", key) for key in ("name", "path", "test")] == own
    if images is not None and still and _stated(tree, "validation", "images") is None:
        _put(tree, "validation.images", images)
    return parse_config(tree, where)


def _stated(tree: Mapping[str, Any], section: str, key: str) -> Any:
    """Return what a configuration says of a key, ``None`` for nothing."""
    part = tree.get(section)
    return part.get(key) if isinstance(part, dict) else None


def load_bench(
    source: str | Path | None,
    shape: tuple[int, ...],
    changes: Sequence[str] = (),
    given: Mapping[str, Any] | None = None,
) -> RunConfig:
    """Read the configuration of a tile at hand from a preset or file, or none, as
    :func:`load_config` does; what it leaves open is the ``shape`` of the tile, and a device, which
    is a resistor.

    Parameters
    ----------
    source
        Preset or TOML file; ``None`` for neither.
    shape
        (rows, cols) where the configuration leaves them open.
    changes
        ``KEY=VALUE``, as of ``--set``.
    given
        Keys with values, which come last.
    """
    tree, where = ({}, "tile") if source is None else _read(source)
    for change in changes:
        _apply(tree, change)
    for key, value in (given or {}).items():
        if value is not None:
            _put(tree, key, value)
    for section, key, value in (
        ("tile", "rows", shape[0]),
        ("tile", "cols", shape[-1]),
        ("device", "name", "resistor"),
    ):
        stated = tree.get(section, {})
        if isinstance(stated, dict) and key not in stated:
            _put(tree, f"{section}.{key}", value)
    return parse_config(tree, where)


def changes_of(changes: Sequence[str]) -> tuple[tuple[str, Any], ...]:
    """Return keys and values of changes such as ``effects.read=0.1``."""
    return tuple(_change(one) for one in changes)


def changed_config(config: RunConfig, changes: Sequence[tuple[str, Any]]) -> RunConfig:
    """Return ``config`` with keys at other values.

    Raises
    ------
    InputError
        If a key is unknown, or can't have its value.
    """
    if not changes:
        return config
    tree = config.model_dump()
    for key, value in changes:
        _put(tree, key, value)
    return parse_config(tree, "changed")


def parse_config(tree: Mapping[str, Any], where: str) -> RunConfig:
    """Check nested mappings as a configuration; ``where`` names their origin in errors."""
    try:
        return RunConfig.model_validate(stated_config(tree))
    except InputError as error:  # of a section that is the library's own
        raise InputError(f"{where}: {error}") from error
    except (RecursionError, OverflowError) as error:
        raise InputError(f"{where}: a value is nested too deep, or too large") from error
    except ValidationError as error:
        raise InputError(f"{where}: {_sentence(error)}") from error


def stated_config(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested mappings, as a file or a run's record states them, by the keys of today.

    Raises
    ------
    InputError
        If something is stated by its old key and its new one.
    """
    stated = deepcopy(dict(tree))
    for old, new in MOVED.items():
        (section, key), (to, name) = old.split("."), new.split(".")
        held = stated.get(section)
        if not isinstance(held, dict) or key not in held:
            continue
        target = stated.setdefault(to, {})
        if not isinstance(target, dict) or name in target:
            raise InputError(f"{old} is called {new} now, and both are given: leave {old} out")
        target[name] = held.pop(key)
        if not held:
            del stated[section]
    return stated


def _sentence(error: ValidationError) -> str:
    """Return what is wrong first: where, what was expected, and what came."""
    # Where a value can be of several kinds, each has something to say of it: what a section has
    # found wrong itself says most, then a key that it does not know.
    found = error.errors()
    telling = ("value_error", *UNKNOWN)
    first = min(found, key=lambda one: (*telling, one["type"]).index(one["type"]))
    keys, known = _place(first["loc"])
    if first["type"] not in UNKNOWN and keys and keys[-1] not in known:
        keys.pop()  # the name of a kind, as of a string
    path = ".".join(keys)
    if first["type"] in UNKNOWN:
        return f"unknown key {path!r}{nearest(keys[-1], known)}"
    if first["type"] == "value_error":
        message = first["msg"].removeprefix("Value error, ")
        said = message.startswith((path, f"unknown key '{path}."))
        return message if said else f"{path}: {message}"
    return f"{path or 'configuration'}: {first['msg']}, got {first['input']!r:.80}"


def _read(source: str | Path) -> tuple[dict[str, Any], str]:
    path = Path(source)
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise InputError(f"there is no configuration file {path}")
        return read_toml(path), str(path)
    if str(source) not in presets():
        raise InputError(
            f"there is no preset {str(source)!r}{nearest(str(source), presets())}; or give a .toml file"
        )
    text = (files(__package__) / "presets" / f"{source}.toml").read_text(encoding="utf-8")
    return parse_toml(text, f"preset {source}"), f"preset {source}"


def _apply(tree: dict[str, Any], change: str) -> None:
    _put(tree, *_change(change))


def _change(change: str) -> tuple[str, Any]:
    key, equals, text = (part.strip() for part in change.partition("="))
    if not equals or not key:
        raise InputError(f"expected KEY=VALUE such as training.epochs=2, got {change!r}")
    try:
        value = parse_toml(f"value = {text}", change)["value"]
    except InputError:
        value = text
    return key, value


def _put(tree: dict[str, Any], path: str, value: Any) -> None:
    *sections, key = MOVED.get(path, path).split(".")
    for section in sections:
        if tree.get(section) is None:  # absent, or said to be
            tree[section] = {}
        tree = tree[section]
        if not isinstance(tree, dict):
            raise InputError(f"{path!r}: {section!r} is a value, not a section")
    tree[key] = value


def _place(location: Sequence[Any]) -> tuple[list[str], list[str]]:
    """Return the keys that lead to a place of pydantic's, without the names of alternatives that it
    puts between them, and the keys that are known beside the last.
    """
    kinds: list[Any] = [RunConfig]
    path: list[str] = []
    known: list[str] = []
    for part in location:
        chosen = [kind for kind in kinds if part in (kind.__name__, getattr(kind, "kind", None))]
        if path and chosen:
            kinds = chosen
            continue
        items = {name: item for kind in kinds for name, item in get_type_hints(kind).items()}
        known = [name for name in items if not name.startswith("_") and name != "model_config"]
        path.append(str(part))
        kinds = list(_sections(items.get(part)))
    return path, known


def _sections(kind: Any) -> Iterator[Any]:
    """Yield the sections that a value of the type ``kind`` can be."""
    if isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, BaseModel)):
        yield kind
    for part in get_args(kind):
        yield from _sections(part)
