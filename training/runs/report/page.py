"""The page of a run: headline figures, pictures and tables, as self-contained HTML.

Everything on it comes from the record; only the measured curve beside the fitted one is read from the data cache,
and where it is not there the page says so.
"""

__all__ = ["write_picture", "write_report"]

import html
import io
from collections.abc import Callable, Mapping
from functools import partial
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, TypeAlias

from ...losses import score_text
from ..record import config_of
from . import panels, passages

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Panel: TypeAlias = "Callable[[Axes, Mapping[str, Any]], str]"
"""Draws one panel of a record and returns its caption."""


def write_report(record: Mapping[str, Any], path: Path) -> Path:
    """Write the page for ``record`` at ``path``, whole or not at all."""
    from ....data.files import write_text

    summary, config = record["summary"], config_of(record)
    page = Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    text = page.substitute(
        title=f"memtwin run: {html.escape(config['name'])}",
        subtitle=_subtitle(record, config),
        cards="".join(_card(value, label) for value, label in _headline(summary)),
        sections="\n".join(_sections(record, config)),
    )
    return write_text(path, text)


def _data_of(config: Mapping[str, Any]) -> str:
    """Return what the run's data are called."""
    return str(config["data"].get("path") or config["data"]["name"])


def _subtitle(record: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    versions = record["versions"]
    klu = {True: " with KLU", False: " without KLU"}[bool(versions["klu"])]
    if versions.get("devices") == "compiled":
        klu += " and compiled devices"
    if versions["ngspice"] == "not used":
        klu = ""
    return html.escape(
        f"{record['network']} on {_data_of(config)},"
        f" {config['device']['levels']} levels of"
        f" {record['device']['name']}, tiles of {config['tile']['rows']}×{config['tile']['cols']};"
        f" seed {config['seed']};"
        f" memtwin {versions['memtwin']}, ngspice {versions['ngspice']}{klu}; everything on this page is simulated"
    )


def _headline(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    images, regression = summary["spice_images"], "score" in summary
    return [
        (
            score_text(summary["memristor_accuracy"], regression=regression),
            "memristor twin, all test images",
        ),
        (
            score_text(summary["float_accuracy"], regression=regression),
            "float network, trained the same way",
        ),
        (
            score_text(summary["spice_accuracy"], regression=regression, digits=1),
            f"{images} images read in {summary['validation_engine']}",
        ),
        (
            f"{summary['agreement']}/{images}",
            f"predictions as the engine's that trained ({summary['final_engine']})",
        ),
        *(
            [
                (
                    f"{summary['surrogate_nrmse_percent']:.3f} %",
                    "surrogate error on held-out ngspice vectors (NRMSE)",
                )
            ]
            if "surrogate_nrmse_percent" in summary
            else []
        ),
        (
            f"{summary['writes_removed_first_epoch_percent']:.2f} %",
            "closed-loop writes removed, first epoch",
        ),
        (f"{summary['energy_removed_percent']:.2f} %", "write energy removed, whole run"),
    ]


def _card(value: str, label: str) -> str:
    return f'<div class="card"><b>{html.escape(value)}</b><span>{html.escape(label)}</span></div>'


def _sections(record: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    return [
        "<h2>The device</h2>",
        passages.device(record),
        f'<div class="two">{_figure(record, panels.iv)}{_figure(record, panels.levels)}</div>',
        *(
            (
                "<h2>The surrogate, held to ngspice</h2>",
                _figure(record, panels.surrogate, panels.errors),
            )
            if "surrogate" in record
            else ()
        ),
        "<h2>Training</h2>",
        f'<div class="two">{_figure(record, panels.accuracy)}{_figure(record, panels.writes)}</div>',
        passages.ledger(record),
        "<h2>Audits in training</h2>",
        passages.audits(record, config),
        "<h2>The array after training</h2>",
        *(
            _figure(
                record,
                *(partial(panels.device_map, what=what, layer=layer) for layer in record["layers"]),
            )
            for what in ("g", "writes")
        ),
        "<h2>Wear</h2>",
        passages.wear(record),
        _figure(record, panels.wear),
        "<h2>Validation</h2>",
        passages.validation(record),
        "<h2>Configuration and provenance</h2>",
        passages.table(passages.flat(config), ("key", "value")),
        passages.table(passages.provenance(record), ("record", "value")),
    ]


def _figure(record: Mapping[str, Any], *drawn: Panel) -> str:
    """Return panels side by side as inline SVG, with what they say of themselves below."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6 * len(drawn), 4.2), layout="constrained")
    captions = [
        draw(figure.add_subplot(1, len(drawn), k), record) for k, draw in enumerate(drawn, 1)
    ]
    buffer = io.StringIO()
    # A fixed salt and no date: the same record draws the same bytes.
    with rc_context({"svg.hashsalt": "memtwin", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, dpi=160)
    svg = buffer.getvalue()
    caption = " ".join(dict.fromkeys(filter(None, captions)))
    return f"<figure>{svg[svg.index('<svg') :]}<figcaption>{html.escape(caption)}</figcaption></figure>"


def write_picture(record: Mapping[str, Any], path: Path) -> Path:
    """Draw the four panels that tell most as one picture."""
    from matplotlib.figure import Figure

    from ....data.files import write_figure

    figure = Figure(figsize=(11, 7.6), layout="constrained")
    chosen = (
        (panels.iv, "fitted device"),
        (panels.surrogate, "surrogate against ngspice, held-out vectors")
        if "surrogate" in record
        else (panels.levels, "programmable levels"),
        (
            panels.accuracy,
            f"{record['network']} on {_data_of(config_of(record))}",
        ),
        (panels.writes, "device writes"),
    )
    for k, (draw, title) in enumerate(chosen, start=1):
        axes = figure.add_subplot(2, 2, k)
        draw(axes, record)
        axes.set_title(title)
    return write_figure(figure, path, dpi=110)
