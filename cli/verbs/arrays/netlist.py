"""``memtwin netlist``: the deck of a tile, for use in any SPICE."""

__all__ = ["netlist"]

from pathlib import Path
from typing import Annotated, Any, Literal

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
    dialect: Annotated[
        Literal["ngspice", "ltspice", "xyce", "spectre"] | None,
        typer.Option(
            help="A deck of subcircuits for one vector, tile and cells, in a simulator's dialect;"
            " without it one flat deck for ngspice."
        ),
    ] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Write the deck of a tile; ``ngspice -b DECK`` prints its sensed voltages."""
    import numpy as np

    from ....circuits.exports.deck import RUN_HERE, hierarchical
    from ....circuits.ngspice.netlist import build
    from ....circuits.osdi.cells import CompiledCell
    from ....circuits.reading.files import read_table
    from ....data.files import write_text
    from ....training.runs.build import drawn, tile_of

    settings = source.read({"device.name": device}, cell.given(), array.given())
    tile = tile_of(settings)
    g = drawn(tile, settings.seed) if conductances is None else read_table(conductances)
    v = np.full((1, tile.rows), tile.cell.v_read) if voltages is None else read_table(voltages)
    summary: dict[str, Any] = {"deck": str(out), "rows": tile.rows, "cols": tile.cols}
    if dialect is not None:
        write_text(out, hierarchical(tile, g, v, dialect))
        if dialect == "spectre" and not tile.cell.linear:
            cells = out.with_name("cells.va")
            write_text(cells, CompiledCell(tile.cell).source)
            summary["cells"] = str(cells)
        summary |= {"vectors": 1, "dialect": dialect, "run_here": dialect in RUN_HERE}
    else:
        deck = build(tile, g, v)
        write_text(out, deck.standalone())
        summary |= {
            "vectors": deck.vectors,
            "analysis": deck.analysis,
            "sensed": list(deck.sense),
            "siemens_per_sensed_volt": deck.gains,
        }
    if conductances is None:  # what was drawn belongs to the deck
        drawn_to = out.with_suffix(".conductances.csv")
        lines = (",".join(map(repr, row)) for row in np.asarray(g).tolist())
        write_text(drawn_to, "\n".join([*lines, ""]))
        summary["conductances"] = str(drawn_to)
    used = tile.cell.device
    if used.caveat:
        note(f"warning: device {used.name}: {used.caveat}")
    emit(summary, as_json=json, title="deck")
    return summary
