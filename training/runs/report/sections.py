"""The sections of a report: a data class each, made from a run's record, and a template of the same name.

A section is what its template shows, already in words and figures. A new one is a class here, a row in
:data:`SECTIONS` and a file in ``templates``.
"""

__all__ = [
    "SECTIONS",
    "Card",
    "Rows",
    "Section",
    "cards",
    "scored",
]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import Any, ClassVar, NamedTuple, Self

from ....data.shown.quantities import duration, figure, percent, quantity, saved
from ..overview.summary import config_of, counted, score_key
from . import panels
from .figures import Figure, draw
from .keys import configuration_rows, words

Record = Mapping[str, Any]


class Card(NamedTuple):
    """A headline figure."""

    value: str
    interval: str
    label: str


class Rows(NamedTuple):
    """A table; the first column holds names."""

    head: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    title: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page, under a heading."""

    name: ClassVar[str]
    """Of its template, and of its place in the page."""
    title: ClassVar[str]

    @classmethod
    def of(cls, record: Record) -> Self | None:
        """Return the section of a record, or ``None`` if there is nothing to say."""
        raise NotImplementedError


def scored(summary: Mapping[str, Any], name: str) -> tuple[str, str]:
    """Return a score of a summary and its interval, as they are told."""
    regression = summary["score"] == "r2"
    value, low, high = (
        score_key(name, part, regression=regression) for part in ("", "low", "high")
    )

    def told(key: str) -> str:
        return f"{summary[key]:.4f}" if regression else percent(summary[key])

    interval = f"95 %: {told(low)} to {told(high)}" if low in summary else ""
    return ("R² " if regression else "") + told(value), interval


def cards(summary: Mapping[str, Any]) -> list[Card]:
    """Return the figures at the head of the page."""
    images = summary["spice_images"]
    found = [
        Card(*scored(summary, "memristor"), "memristor twin, all test samples"),
        Card(*scored(summary, "float"), "float network, trained the same way"),
        Card(*scored(summary, "spice"), f"{images} samples read in {summary['validation_engine']}"),
        Card(
            f"{summary['agreement']} of {images}",
            "",
            f"predictions as the engine's that trained ({summary['final_engine']})",
        ),
    ]
    if "surrogate_nrmse_percent" in summary:
        label = "error of the surrogate on held-out ngspice vectors (NRMSE)"
        found.append(Card(percent(summary["surrogate_nrmse_percent"]), "", label))
    first = summary["writes_removed_first_epoch_percent"]
    return [
        *found,
        Card(saved(first, "fewer"), "", "writes than a closed loop, first epoch"),
        Card(saved(summary["energy_removed_percent"], "less"), "", "write energy, whole run"),
    ]


@dataclass(frozen=True)
class DeviceSection(Section):
    """What the device is, where it comes from, and its levels."""

    name, title = "device", "The device"
    text: str
    caveat: str
    parameters: Rows
    figures: tuple[Figure, ...]

    @classmethod
    def of(cls, record: Record) -> Self:
        """Return it; every parameter has its unit and its meaning."""
        from ....devices.device import value_text
        from ....devices.equations.model_file import parse_model_text

        part, levels = record["device"], record["levels"]
        facts, unidentified = part["provenance"], part.get("unidentified", {})
        table = {row.name: row for row in parse_model_text(part["model"], "the record").parameters}
        units = {name: row.unit for name, row in table.items()}
        rows = [
            (
                name,
                value_text(
                    value, part["stderr"].get(name), unidentified.get(name), units.get(name, "1")
                ),
                (table[name].meaning if name in table else "")
                + (
                    f"; the data do not pin it down: {unidentified[name]}"
                    if name in unidentified
                    else ""
                ),
            )
            for name, value in part["parameters"].items()
        ]
        scaled = (
            f" The cell is this device with {part['area']:.4g} times its area: currents are scaled, rates are"
            " not, and no measurement was made at that area."
        )
        return cls(
            f"{part['name']}: {facts.get('device', 'no provenance given')}. Model: {part['title']}."
            f"{scaled if part['area'] != 1.0 else ''} It is read at {quantity(levels['v_read'], 'V')}.",
            str(part.get("caveat") or ""),
            Rows(("parameter", "value ± standard error, unit", "meaning"), rows),
            (
                draw("device-sweep", partial(panels.device, record=record)),
                draw("device-levels", partial(panels.levels, record=record)),
            ),
        )


@dataclass(frozen=True)
class SurrogateSection(Section):
    """The surrogate, held to ngspice."""

    name, title = "surrogate", "The surrogate, held to ngspice"
    figures: tuple[Figure, ...]

    @classmethod
    def of(cls, record: Record) -> Self | None:
        """Return it, where one was fitted."""
        if "surrogate" not in record:
            return None
        return cls(
            (
                draw("surrogate-currents", partial(panels.surrogate, record=record)),
                draw("surrogate-errors", partial(panels.errors, record=record)),
            )
        )


LEDGER = (
    ("writes", "device writes", ""),
    ("weights", "weights changed", ""),
    ("weights_of_learning", "weights changed, against those with a gradient", ""),
    ("pulses", "programming pulses", ""),
    ("pulses_up", "of these, towards higher conductances", ""),
    ("reads", "verify reads", ""),
    ("energy", "write energy", "J"),
    ("energy_high", "write energy, high end where only a bracket is known", "J"),
    ("time", "write time, device by device", "s"),
    ("row_time", "write time, the devices of a row together", "s"),
)
"""What the ledger counts: its name in a record, in words, and its unit."""


@dataclass(frozen=True)
class TrainingSection(Section):
    """Accuracy and writes over the epochs, and what writing cost against closed loops."""

    name, title = "training", "Training"
    figures: tuple[Figure, ...]
    tables: tuple[Rows, ...]
    text: str

    @classmethod
    def of(cls, record: Record) -> Self:
        """Return it."""
        from ...trainer.closed_loop import BASELINES

        tables = tuple(
            _against(record["epochs"], name, BASELINES[name])
            for name in BASELINES
            if f"{name}_writes" in record["epochs"]
        )
        text = (
            f"Pulses, energies and times: {record['write_cost']['source']}. The closed loops bring devices to"
            " new, continuous targets after every batch; writes of every device are exact, the rest is scaled"
            " up from sampled batches of this training. A level step touches one device of a pair, so that the"
            " share removed is smaller per weight than per device; it is smaller still against a closed loop"
            " that leaves alone what has no gradient in a batch."
        )
        ratio = record["summary"].get("step_over_gentlest_energy")
        if ratio is not None:
            text += (
                f" A level step of this device takes {ratio:.3g} times the energy of the gentlest move of a"
                " closed loop: energy is saved where levels are stepped less often than targets move by more"
                " than that."
            )
        return cls(
            (
                draw("accuracy", partial(panels.accuracy, record=record)),
                draw("writes", partial(panels.writes, record=record)),
            ),
            tables,
            text,
        )


def _against(epochs: Mapping[str, Any], baseline: str, writes: str) -> Rows:
    from ...twin.cost import removed_percent

    def told(value: float, unit: str) -> str:
        if unit == "s":
            return duration(value)
        return quantity(value, unit) if unit else f"{round(value):,}"

    rows = []
    for name, label, unit in LEDGER:
        if name not in epochs and (baseline != "closed_loop" or name != "weights_of_learning"):
            continue
        if name == "energy_high" and (epochs[name] == epochs["energy"]).all():
            continue  # energies are known, not bracketed
        done, basic = counted(epochs, name, baseline)
        cells = [label]
        for mine, theirs in ((done[0], basic[0]), (done.sum(), basic.sum())):
            removed = saved(removed_percent(mine, theirs)) if theirs else "–"
            cells += [told(float(mine), unit), told(float(theirs), unit), removed]
        rows.append(cells)
    head = ("", "epoch 1", "closed loop", "removed", "all epochs", "closed loop", "removed")
    return Rows(head, rows, f"Against a closed loop ({writes})")


@dataclass(frozen=True)
class AuditSection(Section):
    """What audits found, and what followed."""

    name, title = "audits", "Audits in training"
    text: str
    table: Rows | None

    @classmethod
    def of(cls, record: Record) -> Self:
        """Return it."""
        part, summary = record["audits"], record["summary"]
        wanted, count = config_of(record)["audit"], len(part["passed"])
        if not count:
            return cls("No audit was made in this training.", None)
        failed = summary["audits_failed"]
        text = (
            f"{count} times a random tile was read with {wanted['vectors']} of the batch's own vectors in"
            f" {wanted['engine']} too: the engine that trained was off by"
            f" {percent(summary['audit_worst_nrmse_percent'])} NRMSE at worst, of full scale, against a bar of"
            f" {percent(wanted['bar_percent'])}; {failed or 'none'} of the audits exceeded it."
        )
        if failed:
            text += (
                " Training went on as it was."
                if summary["final_engine"] == summary["training_engine"]
                else f" From the first of them on, training went through the engine {summary['final_engine']}."
            )
        rows = [
            (
                *(str(part[name][k]) for name in ("epoch", "batch", "engine", "matrix")),
                ", ".join(map(str, part["tile"][k])),
                *(percent(part[name][k]) for name in ("nrmse_percent", "max_error_percent")),
                "yes" if part["passed"][k] else "NO",
            )
            for k in range(count)
        ]
        head = ("epoch", "batch", "engine", "matrix", "tile", "NRMSE", "largest error", "passed")
        return cls(text, Rows(head, rows))


@dataclass(frozen=True)
class ArraySection(Section):
    """Conductances and writes of every device, layer by layer."""

    name, title = "array", "The array after training"
    table: Rows
    figures: tuple[Figure, ...]

    @classmethod
    def of(cls, record: Record) -> Self:
        """Return it."""
        return cls(
            _layers(record),
            tuple(
                draw(
                    f"{'conductances' if what == 'g' else 'writes'}-{layer.replace('_', '-')}",
                    partial(panels.device_map, record=record, what=what, layer=layer),
                )
                for layer in record["layers"]
                for what in ("g", "writes")
            ),
        )


def _layers(record: Record) -> Rows:
    """Return where the weights of every matrix are; those of digital layers come last."""
    config, rows = config_of(record), []
    for name, layer in record["layers"].items():
        outputs = layer["g"].shape[1] // 2
        size = layer.get("tile", [config["tile"]["rows"], config["tile"]["cols"]])
        rows.append(
            (
                name.replace("_", " "),
                f"{layer['g'].shape[0]} × {outputs}",
                f"{layer['g'].size:,}",
                f"{size[0]} × {size[1]}",
                str(layer.get("levels", config["device"]["levels"])),
                f"{layer['clip']:.4g}",
                f"{int(layer['writes'].sum()):,}",
            )
        )
    for name, layer in record.get("digital", {}).items():
        inputs, outputs = layer["weights"].shape
        largest = f"{abs(layer['weights']).max():.4g}"
        rows.append(
            (name.replace("_", " "), f"{inputs} × {outputs}", "digital", "–", "–", largest, "none")
        )
    head = ("", "weights", "devices", "tile", "levels", "largest weight", "device writes")
    return Rows(head, rows)


@dataclass(frozen=True)
class InferenceSection(Section):
    """What one inference takes, by figures that are stated."""

    name, title = "inference", "One inference"
    text: str
    table: Rows

    @classmethod
    def of(cls, record: Record) -> Self | None:
        """Return it, where the record is not older."""
        if "inference" not in record:
            return None
        part = record["inference"]
        total, layers, stated = part["total"], part["layers"], part["hardware"]
        figures = ("array_energy", "dac_energy", "adc_energy", "latency", "area")
        units = ("J", "J", "J", "s", "m²")
        # Records of earlier versions have one read time, which was given.
        times = layers.get("read_time", [stated.get("read_time", 0.0)] * len(layers["tiles"]))
        numbers = list(record["layers"])
        rows = [
            (
                numbers[k].replace("_", " "),
                f"{layers['tiles'][k]:,}",
                f"{layers['reads'][k]:,.4g}",
                quantity(float(times[k]), "s"),
                *(
                    _amount(float(layers[name][k]), unit)
                    for name, unit in zip(figures, units, strict=True)
                ),
            )
            for k in range(len(layers["tiles"]))
        ]
        sums = (float(layers[name].sum()) for name in figures)
        rows.append(
            (
                "all",
                f"{int(total['tiles']):,}",
                "",
                "",
                *(_amount(value, unit) for value, unit in zip(sums, units, strict=True)),
            )
        )
        text = (
            f"Energy of the array: sample vectors through all wires, for the time of a read. {_lasting(part)} All"
            f" else follows from figures that are stated in"
            f" [hardware]: {quantity(stated['adc_energy'], 'J')} and {quantity(stated['adc_time'], 's')} per"
            f" conversion of an 8-bit ADC, {stated['adcs_per_tile']} of them per tile,"
            f" {quantity(stated['dac_energy'], 'J')} per row and read of a DAC, lines"
            f" {quantity(stated['wire_pitch'], 'm')} apart. Matrices work one after the other; digital work (sums,"
            " gains, pools, memory, digital layers) is not counted."
            f" {_forward(record)}"
        )
        head = ("", "tiles", "reads", "of", "array", "DACs", "ADCs", "latency", "area")
        return cls(text, Rows(head, rows))


def _lasting(part: Record) -> str:
    """Return what says how long reads last, and where that is from."""
    stated, sources = part["hardware"], set(part["layers"].get("timed", ["given"]))
    if sources == {"given"}:
        return f"That was given: {quantity(stated['read_time'], 's')}."
    edge = part["parasitics"]
    row, col = (
        edge["pitch"] * edge["c_length"] if edge.get(name) is None else edge[name]
        for name in ("c_row", "c_col")
    )
    said = (
        f"That is estimated for every matrix, from the wires, the devices' law and capacitances of"
        f" {quantity(row, 'F')} and {quantity(col, 'F')} per segment of a word and a bit line,"
        f" {quantity(edge['c_driver'], 'F')} per driver and {quantity(edge['c_sense'], 'F')} per sense input:"
        f" until currents are within {percent(100 * stated['settled'])} of their end, after drivers that rise in"
        f" {quantity(edge['rise'], 's')}. What charging takes is in the energy; amplifiers answer at once."
    )
    if "assumed" in sources:
        said += " Where currents were not seen to settle, the time is assumed."
    return said


def _forward(record: Record) -> str:
    """Return what all forward passes of the training took, by the figures of one inference."""
    total, count = record["inference"]["total"], record["summary"]["epochs"]
    samples = record.get("data", {}).get("samples", {}).get("train")
    if samples is None:
        return ""
    passes = count * int(samples)
    return (
        f"The training's {passes:,} forward passes come to {quantity(passes * total['read_energy_joule'], 'J')} and"
        f" {quantity(passes * total['latency_seconds'], 's')} at these figures."
    )


def _amount(value: float, unit: str) -> str:
    """Return a figure with its unit, areas in square millimetres or micrometres."""
    if unit != "m²":
        return quantity(value, unit)
    return f"{1e6 * value:.4g} mm²" if value >= 1e-9 else f"{1e12 * value:.4g} µm²"


@dataclass(frozen=True)
class WearSection(Section):
    """How worn the devices are, and when the first of them will have had enough."""

    name, title = "wear", "Wear"
    text: str
    figures: tuple[Figure, ...]

    @classmethod
    def of(cls, record: Record) -> Self:
        """Return it."""
        part, summary = record["wear"], record["summary"]
        devices = sum(layer["writes"].size for layer in record["layers"].values())
        rate = summary["writes"] / devices / summary["epochs"]
        end = part["epochs_to_endurance"]
        when = f"after {end:,.0f} epochs" if isfinite(end) else "never"
        return cls(
            f"{rate:.3g} writes per device and epoch, {summary['max_writes']:,} for the most-written device. If"
            f" epochs went on like these, the most-written {percent(100 * part['share'])} of the devices would"
            f" reach {part['endurance']:,.0f} writes {when}; that limit is the configured device.endurance, not"
            " a measurement.",
            (draw("write-counts", partial(panels.wear, record=record)),),
        )


@dataclass(frozen=True)
class ValidationSection(Section):
    """The validating engine beside the one that training ended with, sample by sample."""

    name, title = "validation", "Validation"
    text: str
    table: Rows | None

    @classmethod
    def of(cls, record: Record) -> Self:
        """Return it."""
        part, summary = record["validation"], record["summary"]
        images, (value, interval) = summary["spice_images"], scored(summary, "spice")
        other, _ = scored(summary, "surrogate_same_images")
        right = "" if summary["score"] == "r2" else " correct"
        interval = interval.replace("95 %:", "95 % confidence interval")
        text = (
            f"{images} test samples were read through every tile of every layer in {part['engine']}: {value}"
            f"{right} ({interval});"
            f" through the engine {part['reference_engine']}, with the same conductances: {other}."
            f" They agree on {summary['agreement']} of {images} predictions"
        )
        if summary["score"] == "r2":
            from ...trainer.validate import AGREED

            return cls(f"{text}, to {AGREED:g} of the targets' deviation.", None)
        said, reference = part["outputs"].argmax(axis=1), part["reference"].argmax(axis=1)
        differ = [
            (str(part["indices"][k]), str(part["labels"][k]), str(said[k]), str(reference[k]))
            for k in (said != reference).nonzero()[0]
        ]
        head = ("test sample", "label", part["engine"], part["reference_engine"])
        return cls(f"{text}.", Rows(head, differ, "They differ on") if differ else None)


@dataclass(frozen=True)
class ConfigurationSection(Section):
    """The configuration, and where everything comes from."""

    name, title = "configuration", "Configuration and provenance"
    tables: tuple[Rows, ...]

    @classmethod
    def of(cls, record: Record) -> Self:
        """Return it."""
        facts = {
            **{f"version of {name}": value for name, value in record["versions"].items()},
            **{
                f"device: {name}": value
                for name, value in record["device"]["provenance"].items()
                if not name.startswith("measured_")
            },
        }
        rows = [(name, words(value)) for name, value in facts.items()]
        rows += [
            (f"time, {name}", figure("seconds", float(s))) for name, s in record["seconds"].items()
        ]
        return cls(
            (
                Rows(("key", "value"), configuration_rows(config_of(record))),
                Rows(("record", "value"), rows),
            )
        )


SECTIONS: tuple[type[Section], ...] = (
    DeviceSection,
    SurrogateSection,
    TrainingSection,
    AuditSection,
    ArraySection,
    InferenceSection,
    WearSection,
    ValidationSection,
    ConfigurationSection,
)
"""The page, from top to bottom."""
