"""The page of a run: headline figures, pictures and tables, as self-contained HTML.

Everything on it comes from the record; only the measured curve of a device from a public dataset is read from the data
cache, and where it is not there the page says so.
"""

__all__ = ["rendered", "write_picture", "write_report"]

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..overview.summary import config_of
from .sections import SECTIONS, Card, Section, cards


def write_report(record: Mapping[str, Any], path: Path) -> Path:
    """Write the page for ``record`` at ``path``, whole or not at all."""
    from ....data.files import write_text

    config = config_of(record)
    found = [section for kind in SECTIONS if (section := kind.of(record)) is not None]
    text = rendered(
        f"memtwin run: {config['name']}", _subtitle(record, config), found, cards(record["summary"])
    )
    return write_text(path, text)


def rendered(
    title: str, subtitle: str, sections: Sequence[Section], cards: Sequence[Card] = ()
) -> str:
    """Return a page of sections, each through the template of its name.

    Parameters
    ----------
    title
        Heading.
    subtitle
        What stands below the title.
    sections
        Parts of the page, in order.
    cards
        Figures at the head of the page.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined, select_autoescape

    folder = files(__package__).joinpath("templates")
    templates = Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page: str = templates.get_template("page.html").render(
        title=title, subtitle=subtitle, sections=sections, cards=cards
    )
    return page


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
    return (
        f"{record['network']} on {_data_of(config)}, {config['device']['levels']} levels of"
        f" {record['device']['name']}, tiles of {config['tile']['rows']}×{config['tile']['cols']};"
        f" seed {config['seed']}; memtwin {versions['memtwin']}, ngspice {versions['ngspice']}{klu};"
        " everything on this page is simulated"
    )


def _device_title(record: Mapping[str, Any]) -> str:
    from .panels import technology_of

    technology, _ = technology_of(record)
    return "fitted device" if technology is None else f"{technology.name}: one SET pulse"


def write_picture(record: Mapping[str, Any], path: Path) -> Path:
    """Draw the four panels that tell most as one picture."""
    from ....data.files import write_figure
    from ....data.shown.pictures import figure
    from . import panels

    page = figure(11, 8.2)
    chosen = (
        (panels.device, _device_title(record)),
        (panels.surrogate, "surrogate against ngspice, held-out vectors")
        if "surrogate" in record
        else (panels.levels, "programmable levels"),
        (panels.accuracy, f"{record['network']} on {_data_of(config_of(record))}"),
        (panels.writes, "device writes"),
    )
    for k, (draw, title) in enumerate(chosen, start=1):
        axes = page.add_subplot(2, 2, k)
        draw(axes, record)
        axes.set_title("")  # what a panel says in the middle
        axes.set_title(title, pad=22, loc="left")
    return write_figure(page, path, dpi=110)
