"""The configuration of a run: a typed model, read from TOML, with every key checked.

One :class:`RunConfig` says everything that a run depends on; it is stored in the run's record, and
the same configuration with the same seed gives the same record. Sections that the library has as
options of its own (:class:`.effects.Effects`, :class:`.mapping.MappingOptions`) are those very
classes; other defaults are taken from the options that they become.
"""

__all__ = [
    "AccessConfig",
    "AuditConfig",
    "DeviceConfig",
    "EngineName",
    "ImagesConfig",
    "NetworkConfig",
    "RunConfig",
    "SurrogateConfig",
    "TileConfig",
    "TrainingConfig",
    "ValidationConfig",
    "load_config",
    "parse_config",
    "presets",
]

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import (
    AfterValidator,
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

from ...circuits.array.amplifier import Amplifier
from ...circuits.array.cell import ACCESS, Access
from ...circuits.array.tile import Tile
from ...circuits.registry import known_engine
from ...data.errors import InputError, nearest
from ...data.files import parse_toml, read_toml
from ...devices.levels import Spacing
from ...devices.spread.effects import Effects
from ...devices.spread.noise import ReadNoise
from ...devices.spread.parameters import Lognormal, ParameterSpread
from ...devices.spread.pulse import PulseSpread
from ...devices.spread.record import law_tree, said
from ..rules.registry import check_rescalable, rule_options
from ..rules.siamese import Compensation, SiameseOptions
from ..trainer.audit import Auditor
from ..trainer.trainer import LEARNING_RATE_MAX, TrainOptions
from ..twin.matrix import MappingOptions

EngineName: TypeAlias = Annotated[str, AfterValidator(known_engine)]


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
    found = said("parameters", {"sigma": value} if plain else value, "device.parameter_spread")
    if isinstance(found, float):
        raise InputError(
            "device.parameter_spread: expected a path, or a table of relative spreads by parameter"
        )
    return found


class ImagesConfig(_Section):
    """Which images, and how many of them."""

    name: Literal["digits", "mnist"] = "digits"
    train: PositiveInt | None = None
    """Training images used, the first of the set; all when absent."""
    test: PositiveInt | None = None
    """Test images used, the first of the set; all when absent."""


class DeviceConfig(_Section):
    """The device in every cell, and the conductance levels that it is programmed to."""

    name: str = "nbsto_32um"
    """A device of the library, or the path of a device file (TOML)."""
    g_max: PositiveFloat = 14e-6
    """Conductance of the highest level at the read voltage [S]; the device's area is scaled to reach it."""
    on_off: float = Field(10.0, gt=1)
    """Highest level over lowest level."""
    v_read: PositiveFloat = 0.05
    """Read voltage, full scale [V]."""
    levels: int = Field(16, ge=2, le=1024)
    spacing: Spacing = "even"
    """How the levels lie between the lowest and the highest."""
    pulse_spread: Annotated[
        float | str | PulseSpread, *_law("pulses", "device.pulse_spread", 1.0)
    ] = 0.05
    """Cycle-to-cycle standard deviation of the logarithm of a pulse's effect. Assumed: a sweep does
    not show it. Like the next two a number, a law, or the path of one.
    """
    verify_noise: Annotated[float | str | ReadNoise, *_law("read", "device.verify_noise", 0.1)] = (
        0.002
    )
    """Relative standard deviation of a verify read. Assumed, as above."""
    parameter_spread: Annotated[
        str | Lognormal | ParameterSpread | None,
        PlainValidator(lambda value: None if value is None else _parameters(value)),
        PlainSerializer(lambda v: v if isinstance(v, str | None) else law_tree(v, plain=True)),
    ] = None
    """How devices differ in their model's parameters; the standard errors of the device's fit when
    absent.
    """
    linear: bool = False
    """Read as ohmic devices of the same conductances; writes keep the device's own dynamics."""
    pricing: Literal["write-verify", "open loop", "nominal"] = "write-verify"
    """Where the price of a write comes from: write-verify loops on sampled devices, which need to
    know the voltages of the fit; the device's own identical pulses with a read after each; or, for
    a device without dynamics, a nominal pulse response."""
    endurance: PositiveFloat = 1e6
    """Writes that a device is taken to survive. Assumed: a sweep does not show it."""


class AccessConfig(_Section):
    """A device in series with every memristor: one of :data:`.circuits.array.cell.ACCESS`, whose
    defaults hold for what is absent.
    """

    kind: Literal["transistor", "selector"]
    v_threshold: float | None = None
    """Threshold voltage of either kind [V]."""
    v_gate: float | None = None
    """Gate voltage of a transistor while its row is read [V]."""
    k: float | None = None
    """Transconductance of a transistor [A/V^2]."""
    channel: float | None = None
    """Channel-length modulation of a transistor [1/V]."""
    width: float | None = None
    """Width of a selector's transition [V]."""
    g_on: float | None = None
    """Conductance of a selector that is on [S]."""
    g_off: float | None = None
    """Conductance of a selector that is off [S]."""

    @model_validator(mode="after")
    def _possible(self) -> "AccessConfig":
        self.device()
        return self

    def device(self) -> Access:
        """Return the access device."""
        kind = ACCESS[self.kind]
        given = self.model_dump(exclude={"kind"}, exclude_none=True)
        for name in given:
            if name not in kind.__dataclass_fields__:
                raise ValueError(f"{name} does not belong to a {self.kind}")
        return kind(**given)


class TileConfig(_Section):
    """One physical array, its wires and periphery: the fields of :class:`.circuits.tile.Tile`, and
    the cell's access device. The memristor and its read voltage are those of ``[device]``.
    """

    rows: int = Field(64, ge=2, le=1024)
    cols: int = Field(64, ge=2, le=1024)
    r_row: PositiveFloat = Tile.r_row
    """Word-line segment [ohm]."""
    r_col: PositiveFloat = Tile.r_col
    """Bit-line segment [ohm]."""
    r_driver: PositiveFloat = Tile.r_driver
    """Output of a driver [ohm]."""
    r_sense: PositiveFloat = Tile.r_sense
    """Input of a sense amplifier [ohm]."""
    drive: Literal["left", "both"] = Tile.drive
    """Where the word lines are driven."""
    sense: Literal["bottom", "both"] = Tile.sense
    """Where the bit lines are sensed."""
    wire_spread: float = Field(Tile.wire_spread, ge=0, le=1)
    """Relative standard deviation of every wire segment's resistance."""
    wire_seed: int = Field(Tile.wire_seed, ge=0)
    """Seed of that spread."""
    amplifier: Amplifier | None = Tile.amplifier
    """Amplifier at each sensed end; without one the sense input is held at 0 V exactly."""
    access: AccessConfig | None = None
    """Transistor or selector in every cell; none when absent."""

    @model_validator(mode="after")
    def _pairs(self) -> "TileConfig":
        if self.cols % 2:
            raise ValueError(f"cols must be even, for differential column pairs; got {self.cols}")
        return self


class NetworkConfig(_Section):
    """The architecture; its input and output sizes are those of the images."""

    kind: Literal["mlp", "lenet"] = "mlp"
    """Dense layers, or two 5x5 convolutions with pools before two dense layers."""
    hidden: tuple[PositiveInt, ...] = (100,)
    """Outputs of the hidden layers of an ``mlp``."""
    channels: PositiveInt = 6
    """Outputs of the first convolution of a ``lenet``."""
    pool: Literal["max", "average"] = "max"
    """Pools of a ``lenet``."""

    @model_validator(mode="after")
    def _belonging(self) -> "NetworkConfig":
        others = {"mlp": ("channels", "pool"), "lenet": ("hidden",)}[self.kind]
        for name in others:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} does not belong to a network of kind {self.kind!r}")
        return self


class TrainingConfig(_Section):
    """The update rule and the optimiser; symbols as in docs/siamese.md."""

    engine: EngineName = "surrogate"
    rule: str = TrainOptions.rule
    """The Siamese update, a baseline to compare it with, or a registered rule."""
    rule_options: dict[str, Any] = {}
    """Options of the rule's own, by name. Keys of this section that its options have as well, as
    ``hysteresis`` or ``spare_failed``, need not be repeated."""
    epochs: PositiveInt = TrainOptions.epochs
    batch: PositiveInt = TrainOptions.batch
    optimiser: Literal["sgd", "adam"] = TrainOptions.optimiser
    learning_rate: float = Field(TrainOptions.learning_rate, gt=0, le=LEARNING_RATE_MAX)
    momentum: float = Field(TrainOptions.momentum, ge=0, lt=1)
    """Of ``sgd``; decay of the mean gradient for ``adam``."""
    schedule: Literal["exponential", "cosine", "constant"] = TrainOptions.schedule
    """How the learning rate falls from epoch to epoch."""
    decay: float = Field(TrainOptions.decay, gt=0, le=1)
    """Factor on the learning rate after every epoch, for ``exponential``."""
    clip: PositiveFloat = 8.0
    """Largest weight, in standard deviations of the layer's initial weights."""
    scale: Literal["static", "adaptive"] = TrainOptions.scale
    """Whether that may change between epochs, at the price of the writes that it takes."""
    accumulate: PositiveInt = SiameseOptions.accumulate
    """Batches whose mean gradient makes one update."""
    hysteresis: float = Field(SiameseOptions.hysteresis, ge=0, lt=10)
    """Extra distance from the present level before a device is written, in level steps."""
    compensation: Compensation = SiameseOptions.compensation
    damping: float = Field(SiameseOptions.damping, ge=0, lt=1)
    """Strength of the compensation ``damp``."""
    write_limit: PositiveInt | None = SiameseOptions.write_limit
    """Writes after which a device is left alone, to spare its endurance; none when absent."""
    spare_failed: bool = SiameseOptions.spare_failed
    """Whether a device is asked no more for what it has failed to reach; else it is written in vain
    again and again."""
    gradients: Literal["float", "array"] = TrainOptions.gradients
    """Errors go back through the float weights, or through wires and device laws."""
    calibration: PositiveInt = TrainOptions.calibration
    """Training images on which the digital gains are calibrated before every epoch."""

    @model_validator(mode="after")
    def _registered(self) -> "TrainingConfig":
        self.of_rule  # noqa: B018
        return self

    @property
    def of_rule(self) -> Any:
        """The rule's options; keys here at their default leave it its own."""
        names = [item.name for item in fields(SiameseOptions)]
        beside = SiameseOptions(**{name: getattr(self, name) for name in names})
        return rule_options(self.rule, self.rule_options, beside)


class AuditConfig(_Section):
    """Checks of the training engine on random tiles, with the batch's own vectors. The engine
    ``ideal`` is not audited: it leaves the wires out on purpose.
    """

    every: int = Field(Auditor.every, ge=0)
    """Batches between audits, counted through all epochs; 0 for none."""
    vectors: PositiveInt = Auditor.vectors
    """Vectors read in each."""
    engine: EngineName = "spice"
    """The engine that is trusted."""
    bar_percent: PositiveFloat = Auditor.bar_percent
    """Largest NRMSE that passes [% of full scale]."""
    fallback: Literal["line", "none"] = "line"
    """The engine that trains on after an audit that did not pass."""


class SurrogateConfig(_Section):
    """How the surrogate is characterised in SPICE, and what is expected of it."""

    vectors: int = Field(18, ge=4)
    """Tile vectors, over at least two patterns, that the fit uses."""
    held_out: int = Field(18, ge=4)
    """Tile vectors that only check it."""
    bar_percent: PositiveFloat = 0.2
    """Largest NRMSE on the held-out vectors that training accepts [% of full scale]."""


class ValidationConfig(_Section):
    """The audit after training: test images read through another engine."""

    engine: EngineName = "spice"
    images: PositiveInt | None = None
    """Test images read; when absent 200, or all of a smaller test set."""


class RunConfig(_Section):
    """Everything that a run depends on."""

    name: str = Field("run", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    seed: int = Field(0, ge=0, lt=2**63)
    workers: PositiveInt = 2
    """SPICE worker processes; the result does not depend on it."""
    worker_memory: PositiveFloat = 4e9
    """Memory that each of them may take [byte]."""
    images: ImagesConfig = ImagesConfig()
    device: DeviceConfig = DeviceConfig()
    tile: TileConfig = TileConfig()
    network: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()
    mapping: MappingOptions = MappingOptions()
    effects: Annotated[Effects, PlainValidator(Effects.of), PlainSerializer(Effects.tree)] = (
        Effects()
    )
    surrogate: SurrogateConfig = SurrogateConfig()
    audit: AuditConfig = AuditConfig()
    validation: ValidationConfig = ValidationConfig()

    @model_validator(mode="after")
    def _possible(self) -> "RunConfig":
        training = self.training
        if training.gradients == "array" and (
            training.engine not in ("line", "surrogate") or self.mapping.drive == "bits"
        ):
            raise ValueError(
                "training.gradients = 'array' needs the engine line or surrogate and an analog"
                f" drive, got the engine {training.engine!r} and the drive {self.mapping.drive!r}"
            )
        if training.scale == "adaptive":
            check_rescalable(training.rule)
        return self


def presets() -> list[str]:
    """Return the names of the shipped configurations."""
    return sorted(
        Path(item.name).stem
        for item in (files(__package__) / "presets").iterdir()
        if item.name.endswith(".toml")
    )


def load_config(source: str | Path, changes: Sequence[str] = ()) -> RunConfig:
    """Read a configuration from a preset's name or a TOML file, with ``changes`` such as ``training.epochs=2`` applied.

    Raises
    ------
    InputError
        If there is no such preset or file, it is no TOML, a key is unknown (the nearest valid one is named) or a
        value can't be.
    """
    tree, where = _read(source)
    for change in changes:
        _apply(tree, change)
    return parse_config(tree, where)


def parse_config(tree: Mapping[str, Any], where: str) -> RunConfig:
    """Check nested mappings as a configuration; ``where`` names their origin in errors."""
    try:
        return RunConfig.model_validate(tree)
    except InputError as error:  # of a section that is the library's own
        raise InputError(f"{where}: {error}") from error
    except (RecursionError, OverflowError) as error:
        raise InputError(f"{where}: a value is nested too deep, or too large") from error
    except ValidationError as error:
        raise InputError(f"{where}: {_sentence(error)}") from error


def _sentence(error: ValidationError) -> str:
    """Return what is wrong first: where, what was expected, and what came."""
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown key {path!r}{nearest(path.split('.')[-1], _keys(first['loc'][:-1]))}"
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
    path, equals, value = change.partition("=")
    if not equals or not path.strip():
        raise InputError(f"expected KEY=VALUE such as training.epochs=2, got {change!r}")
    *sections, key = path.strip().split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise InputError(f"{path.strip()!r}: {section!r} is a value, not a section")
    try:
        tree[key] = parse_toml(f"value = {value.strip()}", change)["value"]
    except InputError:
        tree[key] = value.strip()


def _keys(location: Sequence[Any]) -> list[str]:
    model: Any = RunConfig
    for part in location:
        kind = model.model_fields[part].annotation
        model = get_args(kind)[0] if get_args(kind) else kind  # a section, or such a one or none
    return list(model.__dataclass_fields__ if is_dataclass(model) else model.model_fields)
