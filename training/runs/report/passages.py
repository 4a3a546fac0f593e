"""The paragraphs and tables of a report, one function each: a run's record in, HTML out."""

__all__ = ["audits", "device", "flat", "ledger", "provenance", "table", "validation", "wear"]

import html
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

LEDGER = (
    ("writes", "device writes"),
    ("weights", "weights changed"),
    ("weights_of_learning", "weights changed, against those with a gradient"),
    ("pulses", "programming pulses"),
    ("pulses_up", "of these, towards higher conductances"),
    ("reads", "verify reads"),
    ("energy", "write energy [J]"),
    ("time", "write time, device by device [s]"),
    ("row_time", "write time, the devices of a row together [s]"),
)


def device(record: Mapping[str, Any]) -> str:
    """Say what the device is and where it comes from."""
    from ....devices.device import value_text

    part, levels = record["device"], record["levels"]
    facts = part["provenance"]
    text = (
        f"{part['name']}: {facts.get('device', 'no provenance given')}. Model: {part['title']}. The cell is this device"
        f" with {part['area']:.3g} times its area: currents are scaled, rates are not, and no measurement was made at"
        f" that area. It is read at {levels['v_read']:g} V."
        + (f" Take care: {part['caveat']}." if part.get("caveat") else "")
        + " Parameters with standard errors:"
    )
    unidentified = part.get("unidentified", {})
    cells = ", ".join(
        f"{name} = {value_text(value, part['stderr'].get(name), unidentified.get(name))}"
        for name, value in part["parameters"].items()
    )
    if unidentified:
        cells += ". The data do not pin down " + "; ".join(
            f"{name}: {reason}" for name, reason in unidentified.items()
        )
    return f"{_paragraph(text)}<p><code>{html.escape(cells)}</code></p>"


def ledger(record: Mapping[str, Any]) -> str:
    """Set what writing cost against the closed loops."""
    from ...trainer.closed_loop import BASELINES

    baselines = [name for name in BASELINES if f"{name}_writes" in record["epochs"]]
    text = (
        f"Pulses, energies and times: {record['write_cost']['source']}. The closed loops bring devices to new,"
        " continuous targets after every batch; writes of every device are exact, the rest is scaled up from"
        " sampled batches of this training. A level step touches one device of a pair, so that the share removed"
        " is smaller per weight than per device; it is smaller still against a closed loop that leaves alone"
        " what has no gradient in a batch."
    )
    ratio = record["summary"].get("step_over_gentlest_energy")
    if ratio is not None:
        text += (
            f" A level step of this device takes {ratio:.3g} times the energy of the gentlest move of a closed"
            " loop: energy is saved where levels are stepped less often than targets move by more than that."
        )
    tables = "".join(_against(record["epochs"], name, BASELINES[name]) for name in baselines)
    return f"{tables}{_paragraph(text, soft=True)}"


def _against(epochs: Mapping[str, Any], baseline: str, writes: str) -> str:
    from ...twin.cost import removed_percent
    from ..record import counted

    rows = []
    for name, label in LEDGER:
        if baseline != "closed_loop" and name not in epochs:
            continue
        done, basic = counted(epochs, name, baseline)
        cells = [f"<td>{label}</td>"]
        for mine, theirs in ((done[0], basic[0]), (done.sum(), basic.sum())):
            removed = f"{removed_percent(mine, theirs):.3f} %" if theirs else "–"
            cells += [
                f'<td class="n">{shown}</td>' for shown in (f"{mine:.4g}", f"{theirs:.4g}", removed)
            ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    head = (
        '<tr><th></th><th class="n">epoch 1</th><th class="n">closed loop</th><th class="n">removed</th>'
        '<th class="n">all epochs</th><th class="n">closed loop</th><th class="n">removed</th></tr>'
    )
    return f"<p>Against a closed loop ({writes}):</p><table>{head}{''.join(rows)}</table>"


def audits(record: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """List what audits found, and say what followed."""
    part, wanted, summary = record["audits"], config["audit"], record["summary"]
    count = len(part["passed"])
    if not count:
        return _paragraph("No audit was made in this training.")
    failed = summary["audits_failed"]
    text = (
        f"{count} times a random tile was read with {wanted['vectors']} of the batch's own vectors in"
        f" {wanted['engine']} too: the engine that trained was off by"
        f" {summary['audit_worst_nrmse_percent']:.4f} % NRMSE at worst, of full scale, against a bar of"
        f" {wanted['bar_percent']:g} %;"
        f" {failed or 'none'} of the audits exceeded it."
    )
    if failed:
        text += (
            " Training went on as it was."
            if summary["final_engine"] == summary["training_engine"]
            else f" From the first of them on, training went through the engine {summary['final_engine']}."
        )
    names = ("epoch", "batch", "engine", "matrix", "tile", "nrmse_percent", "max_error_percent")
    rows = [
        [_cell(part[name][k]) for name in names] + ["yes" if part["passed"][k] else "NO"]
        for k in range(count)
    ]
    head = (
        "epoch",
        "batch",
        "engine",
        "matrix",
        "tile",
        "NRMSE [%]",
        "largest error [%]",
        "passed",
    )
    return _paragraph(text) + _rows(head, rows)


def wear(record: Mapping[str, Any]) -> str:
    """Say how worn the devices are and when the first of them will have had enough."""
    part, summary = record["wear"], record["summary"]
    devices = sum(layer["writes"].size for layer in record["layers"].values())
    rate = summary["writes"] / devices / summary["epochs"]
    end = part["epochs_to_endurance"]
    when = f"after {end:,.0f} epochs" if isfinite(end) else "never"
    return _paragraph(
        f"{rate:.3g} writes per device and epoch, {summary['max_writes']:,} for the most-written device. If epochs went"
        f" on like these, the most-written {100 * part['share']:g} % of the devices would reach {part['endurance']:g}"
        f" writes {when}; that limit is the configured device.endurance, not a measurement."
    )


def validation(record: Mapping[str, Any]) -> str:
    """Set the validating engine beside the one that training ended with, image by image."""
    part, summary = record["validation"], record["summary"]
    if "score" in summary:
        from ...trainer.validate import AGREED

        return _paragraph(
            f"{summary['spice_images']} test samples were read through every tile of every layer in"
            f" {part['engine']}: R² {summary['spice_accuracy']:.4f} (95 % confidence interval"
            f" {summary['spice_accuracy_low']:.4f} to {summary['spice_accuracy_high']:.4f}); through the"
            f" engine {part['reference_engine']}, with the same conductances:"
            f" {summary['surrogate_accuracy_same_images']:.4f}. They agree on {summary['agreement']} of"
            f" {summary['spice_images']} predictions, to {AGREED:g} of the targets' deviation."
        )
    said, reference = part["outputs"].argmax(axis=1), part["reference"].argmax(axis=1)
    text = (
        f"{summary['spice_images']} test images were read through every tile of every layer in {part['engine']}:"
        f" {100 * summary['spice_accuracy']:.1f} % correct (95 % confidence interval"
        f" {100 * summary['spice_accuracy_low']:.1f} to {100 * summary['spice_accuracy_high']:.1f} %);"
        f" through the engine {part['reference_engine']}, with the same conductances:"
        f" {100 * summary['surrogate_accuracy_same_images']:.1f} %."
        f" They agree on {summary['agreement']} of {summary['spice_images']} predictions."
    )
    differ = [
        [_cell(part[name][k]) for name in ("indices", "labels")] + [str(said[k]), str(reference[k])]
        for k in (said != reference).nonzero()[0]
    ]
    if not differ:
        return _paragraph(text)
    head = ("test image", "label", part["engine"], part["reference_engine"])
    return _paragraph(text) + "<p>They differ on:</p>" + _rows(head, differ)


def provenance(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return versions, what is known of the device, and seconds, under names for a table."""
    return {
        **{f"version of {name}": value for name, value in record["versions"].items()},
        **{
            f"device: {name}": _plain(value)
            for name, value in record["device"]["provenance"].items()
        },
        **{f"seconds, {name}": f"{value:.1f}" for name, value in record["seconds"].items()},
    }


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested sections under dotted names."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = "–" if value is None else value
    return found


def table(rows: Mapping[str, Any], head: tuple[str, str]) -> str:
    """Return a table of names and values."""
    body = "".join(
        f"<tr><td><code>{html.escape(name)}</code></td><td>{html.escape(str(value))}</td></tr>"
        for name, value in rows.items()
    )
    return f"<table><tr><th>{head[0]}</th><th>{head[1]}</th></tr>{body}</table><br>"


def _rows(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><tr>{top}</tr>{body}</table>"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return (
        ", ".join(map(str, value))
        if hasattr(value, "__len__") and not isinstance(value, str)
        else str(value)
    )


def _paragraph(text: str, *, soft: bool = False) -> str:
    kind = " class='soft'" if soft else ""
    return f"<p{kind}>{html.escape(text)}</p>"


def _plain(value: Any) -> Any:
    return (
        ", ".join(map(str, value))
        if isinstance(value, Sequence) and not isinstance(value, str)
        else value
    )
