"""``memtwin read``: one read of one tile at hand, its currents, power and voltage drops."""

__all__ = ["read"]

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ....data.errors import InputError
from ...console import Json, bar, emit, note, picture
from ...groups import grouped
from ...settings import TileKeys


@grouped
def read(
    array: TileKeys,
    g: Annotated[Path, typer.Option(help="Conductances [S], rows x cols, CSV or .npy.")],
    v: Annotated[
        Path,
        typer.Option(help="Voltages [V], one vector per line, CSV or .npy; one per input line."),
    ],
    tile: Annotated[
        Path | None,
        typer.Option(
            help="Configuration (TOML): [tile] with its wires and tile.terminals, [device]; without"
            " a device the cells are resistors, without rows and cols they are those of --g."
        ),
    ] = None,
    inputs: Annotated[
        Literal["rows", "cols"], typer.Option(help="Which lines the voltages go to.")
    ] = "rows",
    held: Annotated[
        Path | None,
        typer.Option(
            help="Voltages at the other lines [V], one line for all vectors, or one each."
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="spice, nodal or line; ideal and surrogate tell currents only.")
    ] = "spice",
    device: Annotated[
        str | None, typer.Option(help="Shipped device, a device's TOML file, or 'resistor'.")
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key, e.g. tile.drive=both."),
    ] = None,
    time: Annotated[
        Literal["estimate", "spice"] | None,
        typer.Option(
            help="Also tell settling, energy and crosstalk of the read in time: by a reduced network, or in"
            " ngspice; capacitances are tile.parasitics."
        ),
    ] = None,
    settled: Annotated[
        float | None,
        typer.Option(
            "--settled",
            min=1e-9,
            max=99.0,
            help="With --time: how close to its end a column is settled, in percent of the largest"
            " current. [default: 1]",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Where to keep the currents (.csv, .npy), or all of it (.npz, .json).",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--map", help="Where to draw drop, power and currents.", callback=picture),
    ] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Read a tile of given conductances: currents, power, and what its wires cost; in time, too."""
    from ....circuits.reading.files import check_output, read_table, write_read
    from ....circuits.reading.picture import draw_read
    from ....circuits.reading.read import read_tile
    from ....circuits.timing.read import ERROR, read_time
    from ....training.runs.build import bench_tile
    from ....training.runs.config import load_bench

    if out is not None:
        check_output(out)
    if time is None and settled is not None:
        raise InputError(
            "--settled says what --time takes for settled: add --time estimate or spice"
        )
    if time is not None and (inputs == "cols" or held is not None):
        raise InputError(
            "reads in time are from the word lines, with the others at 0 V: leave out --inputs and --held"
        )
    held_g = read_table(g, "conductances [S]")
    config = load_bench(tile, held_g.shape, change or (), {"device.name": device} | array.given())
    made = bench_tile(config, float(held_g.max()))
    count = made.rows if inputs == "rows" else made.cols
    found = read_tile(
        made,
        held_g,
        _vectors(read_table(v, "voltages [V]"), count),
        inputs=inputs,
        held=None
        if held is None
        else _vectors(read_table(held, "voltages [V]"), made.cols + made.rows - count),
        engine=engine,
    )
    summary = {"device": made.cell.device.name} | found.summary()
    timed = {}
    if time is not None:
        with bar("reading in time") as step:
            timing = read_time(
                made,
                held_g,
                found.v_rows,
                engine=time,
                error=ERROR if settled is None else settled / 100.0,
                progress=step,
            )
        timed = timing.summary()
    if out is not None:
        summary["out"] = str(write_read(out, found))
    if plot is not None:
        draw_read(found, plot)
        summary["map"] = str(plot)
    if json:
        emit(
            summary | {"current_ampere": found.i} | ({"time": timed} if timed else {}), as_json=True
        )
        return summary
    emit(summary, as_json=False, title=f"tile of {made.rows} x {made.cols}")
    if timed:
        del timed["vectors"]
        emit(timed, as_json=False, title="in time, all drivers from 0 V")
    if out is None:
        for k, row in enumerate(found.i[:SHOWN]):
            note(f"vector {k}: {', '.join(f'{x:.6g}' for x in row)} A")
        if len(found.i) > SHOWN:
            note(f"{len(found.i) - SHOWN} more vectors: --out FILE keeps all")
    return summary


SHOWN = 8
"""Vectors whose currents are shown."""


def _vectors(table: Any, count: int) -> Any:
    """Return a table of vectors; a single one may stand in a column."""
    return table.T if table.shape == (count, 1) and count > 1 else table
