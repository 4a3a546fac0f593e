"""``memtwin models``: which compact models there are, what each says, and whom to cite for it."""

__all__ = ["app", "cite", "list_models", "show"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...console import Json, emit, verb
from ...console import show as say
from .cite import Bibtex, works

if TYPE_CHECKING:
    from ....devices.model import CompactModel

app = typer.Typer(
    help="The compact models: which there are, what they say, whom to cite.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(help="A model's name, or the path of its file (TOML).")]


def list_models(json: Json = False) -> dict[str, Any]:
    """List the compact models with what they have of shipped devices."""
    from ....devices.device_file import shipped_by_model
    from ....devices.models import models

    owned = shipped_by_model()
    rows: dict[str, dict[str, Any]] = {
        name: {
            "title": models[name].title,
            "parameters": len(models[name].parameters),
            "dynamic": models[name].rate_expr is not None,
            "devices": owned.get(name, []),
        }
        for name in models
    }
    if json:
        emit(rows, as_json=True)
        return rows
    shown = {
        name: row["title"] + (f" ({', '.join(row['devices'])})" if row["devices"] else "")
        for name, row in rows.items()
    }
    emit(shown, as_json=False, title="model: title (shipped devices)")
    return rows


def show(model: Name, json: Json = False) -> dict[str, Any]:
    """Print a model's equations, its parameters and its shipped devices."""
    from ....devices.device_file import shipped_by_model

    chosen = _load(model)
    summary: dict[str, Any] = {
        "name": chosen.name,
        "title": chosen.title,
        "current": str(chosen.current_expr),
        "rate": None if chosen.rate_expr is None else str(chosen.rate_expr),
        "state_range": list(chosen.state_range),
        "parameters": {
            row.name: {
                "unit": row.unit,
                "default": row.default,
                "bounds": [row.lower, row.upper],
                "log": row.log,
                "fixed": row.fixed,
                "meaning": row.meaning,
            }
            for row in chosen.parameters
        },
        "doi": chosen.doi.split(),
        "devices": shipped_by_model().get(chosen.name, []),
    }
    if json:
        emit(summary, as_json=True)
        return summary
    say(str(chosen))
    if summary["devices"]:
        say(f"  shipped devices: {', '.join(summary['devices'])}")
    return summary


def cite(
    model: Annotated[
        list[str],
        typer.Argument(help="Models, devices by name or file, or published pulse responses."),
    ],
    bibtex: Bibtex = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to write it; without it, stdout.")
    ] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Name the works behind models and devices, as text or as BibTeX."""
    from ....devices.works import model_works

    pairs = []
    for name in model:
        pairs += list(_works_of_device(name) or model_works(_load(name)))
    return works(pairs, ", ".join(model), bibtex=bibtex, out=out, json=json)


def _works_of_device(name: str) -> list[tuple[str, str]]:
    """Return the works behind a device of that name or file; none if it is a model's."""
    from ....data.files import read_toml
    from ....devices.device import load_device
    from ....devices.device_file import shipped_devices
    from ....devices.pulses.published import published_facts, published_responses
    from ....devices.works import device_works, provenance_works

    if name in published_responses():
        return list(provenance_works(name, published_facts(name)))
    is_file = name.endswith(".toml") and Path(name).is_file()
    if name in shipped_devices() or (is_file and "model" in read_toml(Path(name))):
        return list(device_works(load_device(name)))
    return []


def _load(name: str) -> "CompactModel":
    from ....devices.equations.model_file import load_model

    return load_model(name)


for name, command in (("list", list_models), ("show", show), ("cite", cite)):
    app.command(name)(verb(command))
