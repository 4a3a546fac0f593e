"""``memtwin datasheet``: a fitted device on one page."""

__all__ = ["datasheet"]

from pathlib import Path
from typing import Annotated, Any

import typer

from ... import complete
from ...console import SEED, Json, emit, voltage
from ...settings import Temperature

Which = Annotated[
    str,
    typer.Argument(
        help="Record of a fit (.h5), a device's file, or a shipped device.",
        autocompletion=complete.devices,
    ),
]
Out = Annotated[Path, typer.Argument(help="Where to write the page (.html).")]
Levels = Annotated[int, typer.Option(help="Levels that it tells of.", min=2)]
ReadAt = Annotated[
    float | None, typer.Option("--v-read", help="Read voltage [V].", callback=voltage)
]
SpreadFile = Annotated[
    Path | None,
    typer.Option(
        help="How such devices differ: a record of memtwin spread learn --kind parameters."
    ),
]
Name = Annotated[str | None, typer.Option(help="Name of the device.")]
Seed = Annotated[int, typer.Option(help="Seed of the drawn spread.", **SEED)]


def datasheet(
    device: Which,
    out: Out,
    levels: Levels = 8,
    v_read: ReadAt = None,
    temperature: Temperature = None,
    spread: SpreadFile = None,
    name: Name = None,
    seed: Seed = 0,
    json: Json = False,
) -> dict[str, Any]:
    """Write curves, parameters, spread, levels and write costs of a device as one page of HTML."""
    from ....data.errors import InputError
    from ....data.files import write_text
    from ....devices.datasheet.page import datasheet as page
    from ....devices.device import load_device
    from ....devices.fitting.result import Fit, load_fit
    from ....devices.levels import V_READ
    from ....devices.spread.parameters import ParameterSpread
    from ....devices.spread.record import load_law
    from ....devices.technology.technology import check_device

    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(
            f"{out}: a datasheet is a page of HTML, give a name such as {out.stem}.html"
        )
    check_device(device)
    source = load_fit(device) if device.endswith(".h5") else load_device(device)
    if temperature is not None:
        if isinstance(source, Fit):
            raise InputError(
                f"--temperature applies to a device, and the curves of {device} were measured at one:"
                " make a device of it with memtwin export"
            )
        source = source.at(temperature)
    law = None
    if spread is not None:
        law = load_law(spread)
        if not isinstance(law, ParameterSpread):
            raise InputError(
                f"{spread} holds no spread of parameters: learn one with memtwin spread learn --kind parameters"
            )
    text = page(
        source,
        name=name or (Path(device).stem if device.endswith(".h5") else None),
        levels=levels,
        v_read=V_READ if v_read is None else v_read,
        spread=law,
        seed=seed,
    )
    write_text(out, text)
    summary = {"device": device, "file": out, "bytes": len(text.encode())}
    emit(summary, as_json=json, title="datasheet")
    return summary
