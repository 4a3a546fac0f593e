"""``memtwin netlist``: the deck of a tile, for use in any SPICE."""

__all__ = ["netlist"]

from pathlib import Path
from typing import Annotated, Any

import typer

from ...console import Json, emit, note
from ...groups import grouped
from ...settings import DeviceKeys, Source, TileKeys


@grouped
def netlist(
    out: Annotated[Path, typer.Argument(help="Where to write the deck.")],
    source: Source,
    cell: DeviceKeys,
    array: TileKeys,
    device: Annotated[
        str | None, typer.Option(help="Shipped device, a device's TOML file, or 'resistor'.")
    ] = None,
    conductances: Annotated[
        Path | None,
        typer.Option(help="CSV of rows x cols conductances [S]; else levels drawn with --seed."),
    ] = None,
    voltages: Annotated[
        Path | None,
        typer.Option(help="CSV with one input vector per line [V]; else v_read on all rows."),
    ] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Write the deck of a tile; ``ngspice -b DECK`` prints its sensed voltages."""
    import numpy as np

    from ....circuits.ngspice.netlist import build
    from ....circuits.reading.files import read_table
    from ....data.files import write_text
    from ....training.runs.build import drawn, tile_of

    settings = source.read({"device.name": device}, cell.given(), array.given())
    tile = tile_of(settings)
    g = drawn(tile, settings.seed) if conductances is None else read_table(conductances)
    v = np.full((1, tile.rows), tile.cell.v_read) if voltages is None else read_table(voltages)
    deck = build(tile, g, v)
    write_text(out, deck.standalone())
    summary = {
        "deck": str(out),
        "rows": tile.rows,
        "cols": tile.cols,
        "vectors": deck.vectors,
        "analysis": deck.analysis,
        "sensed": list(deck.sense),
        "siemens_per_sensed_volt": deck.gains,
    }
    used = tile.cell.device
    if used.caveat:
        note(f"warning: device {used.name}: {used.caveat}")
    emit(summary, as_json=json, title="deck")
    return summary
