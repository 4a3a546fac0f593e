"""``memtwin netlist``: the deck of a tile, for use in any SPICE."""

__all__ = ["netlist", "read_table"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ...data.errors import InputError
from ..console import SEED, Json, emit, note

if TYPE_CHECKING:
    from ...data.types import Array


def netlist(
    out: Annotated[Path, typer.Argument(help="Where to write the deck.")],
    rows: Annotated[int, typer.Option(help="Word lines.")] = 32,
    cols: Annotated[int, typer.Option(help="Bit lines.")] = 32,
    device: Annotated[
        str, typer.Option(help="Shipped device, a device's TOML file, or 'resistor'.")
    ] = "resistor",
    area: Annotated[
        float, typer.Option(help="Area of each device, in areas of the fitted one.")
    ] = 1.0,
    v_read: Annotated[
        float, typer.Option(help="Voltage at which conductances are meant [V].")
    ] = 0.1,
    access: Annotated[
        Literal["none", "transistor", "selector"],
        typer.Option(help="What is in series with each device."),
    ] = "none",
    conductances: Annotated[
        Path | None,
        typer.Option(help="CSV of rows x cols conductances [S]; else drawn with --seed."),
    ] = None,
    voltages: Annotated[
        Path | None,
        typer.Option(help="CSV with one input vector per line [V]; else v_read on all rows."),
    ] = None,
    r_row: Annotated[float, typer.Option(help="Word line per segment [ohm].")] = 2.5,
    r_col: Annotated[float, typer.Option(help="Bit line per segment [ohm].")] = 2.5,
    r_driver: Annotated[float, typer.Option(help="Driver [ohm].")] = 100.0,
    r_sense: Annotated[float, typer.Option(help="Sense input [ohm].")] = 20.0,
    seed: Annotated[int, typer.Option(help="Seed of the conductances.", **SEED)] = 0,
    json: Json = False,
) -> dict[str, Any]:
    """Write the deck of a tile; ``ngspice -b DECK`` prints its sensed voltages."""
    import numpy as np

    from ...circuits.array.cell import Cell, Selector, Transistor
    from ...circuits.array.tile import Tile
    from ...circuits.ngspice.netlist import build
    from ...data.files import write_text
    from ...devices.device import load_device

    series = {"none": None, "transistor": Transistor(), "selector": Selector()}[access]
    if device == "resistor":
        cell, span = Cell.resistor(v_read, series), (1e-6, 1e-4)
    else:
        cell = Cell(load_device(device).scaled(area), v_read, series)
        low, high = cell.device.conductance(np.array([0.0, 1.0]), v_read).tolist()
        span = (max(low, high * 1e-3), high)
    tile = Tile(rows, cols, r_row, r_col, r_driver, r_sense, cell)
    if conductances is None:
        rng = np.random.default_rng(seed)
        g = span[0] * (span[1] / span[0]) ** rng.random(tile.shape)
    else:
        g = read_table(conductances)
    v = np.full((1, rows), v_read) if voltages is None else read_table(voltages)
    deck = build(tile, g, v)
    write_text(out, deck.standalone())
    summary = {
        "deck": str(out),
        "rows": rows,
        "cols": cols,
        "vectors": deck.vectors,
        "analysis": deck.analysis,
        "sensed": list(deck.sense),
        "siemens_per_sensed_volt": deck.gains,
    }
    if cell.device.caveat:
        note(f"warning: device {cell.device.name}: {cell.device.caveat}")
    emit(summary, as_json=json, title="deck")
    return summary


def read_table(path: Path) -> "Array":
    """Return the numbers of a CSV file, (lines, columns)."""
    import numpy as np

    try:
        table = np.loadtxt(path, delimiter=",", ndmin=2)
    except OSError as error:
        raise InputError(f"there is no readable file {path}") from error
    except ValueError as error:
        raise InputError(f"{path} is no table of numbers: {error}") from error
    return table
