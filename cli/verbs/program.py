"""``memtwin program``: what writes cost, pictures of them, and whole tiles written."""

__all__ = ["app", "show", "table", "tile"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ...data.errors import InputError
from ..console import SEED, Json, bar, emit, note, picture, verb

if TYPE_CHECKING:
    from ...circuits.programming.design import VoltageRange
    from ...circuits.programming.population import Spread
    from ...devices.device import Device

app = typer.Typer(
    help="Write devices by pulses and verify reads: cost tables and pictures.",
    no_args_is_help=True,
)


def table(
    device: Annotated[str, typer.Argument(help="Shipped device, or a device's TOML file.")],
    out: Annotated[Path, typer.Option(help="Where to write the table (HDF5).")] = Path(
        "write-table.h5"
    ),
    levels: Annotated[int, typer.Option(help="Conductance levels.")] = 16,
    v_read: Annotated[float, typer.Option(help="Read voltage [V].")] = 0.2,
    area: Annotated[float, typer.Option(help="Area, in areas of the fitted device.")] = 1.0,
    g_min: Annotated[
        float | None, typer.Option(help="Lowest level [S]; else where the fitted sweeps ended.")
    ] = None,
    g_max: Annotated[float | None, typer.Option(help="Highest level [S]; likewise.")] = None,
    tolerance: Annotated[
        float, typer.Option(help="Accepted distance from a level, in steps between levels.")
    ] = 0.25,
    scheme: Annotated[
        Literal["half", "third", "gate"], typer.Option(help="What half-selected neighbours see.")
    ] = "half",
    v_set: Annotated[float | None, typer.Option(help="Largest SET voltage [V].")] = None,
    v_reset: Annotated[float | None, typer.Option(help="Largest RESET voltage, below 0 V.")] = None,
    extrapolate: Annotated[
        bool, typer.Option(help="Accept voltages beyond those the device was fitted on.")
    ] = False,
    width: Annotated[float | None, typer.Option(help="Pulse width [s]; else by the rates.")] = None,
    d2d: Annotated[
        list[str] | None,
        typer.Option(help="PARAMETER=SIGMA of its logarithm from device to device; repeatable."),
    ] = None,
    c2c: Annotated[
        float, typer.Option(help="Sigma of the logarithm of a pulse's effect, pulse to pulse.")
    ] = 0.05,
    read_noise: Annotated[
        float, typer.Option(help="Standard deviation of a verify read, relative.")
    ] = 0.003,
    samples: Annotated[int, typer.Option(help="Sampled devices per pair of levels.")] = 64,
    max_pulses: Annotated[int, typer.Option(help="Pulses before a device is given up.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of all that is drawn.", **SEED)] = 0,
    plot: Annotated[
        Path | None, typer.Option(help="Where to draw the table.", callback=picture)
    ] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Find what writes cost: pulses, energy, time and error from every level to every other."""
    from ...circuits.programming.design import design_recipe
    from ...circuits.programming.schemes import half_select
    from ...circuits.programming.table import make_table
    from ...devices.device import load_device
    from ...devices.levels import make_levels

    chosen = load_device(device).scaled(area)
    ends = _ends(chosen, v_read, g_min, g_max)
    grid = make_levels(chosen, levels, v_read, g_min=ends[0], g_max=ends[1])
    limits = _limits(chosen, v_set, v_reset, extrapolate)
    spread, origin = _spread(chosen, d2d, c2c, read_noise)
    recipe = design_recipe(
        grid,
        tolerance=tolerance,
        limits=limits,
        width=width,
        margin=1.2,
        max_pulses=max_pulses,
    )
    with bar(f"writing {levels}×{levels} pairs × {samples}") as progress:
        made = make_table(
            grid,
            recipe,
            spread,
            samples=samples,
            half_select=half_select(scheme),
            seed=seed,
            progress=progress,
        )
    made.save(out)
    for remark in (*made.notes, origin):
        note(remark)
    summary = {**made.summary(), "spread_source": origin, "record": str(out)}
    if plot is not None:
        from ...circuits.programming.plots import save_table_figure

        summary["plot"] = str(save_table_figure(made, plot))
    emit(summary, as_json=json, title="write cost")
    return summary


def show(
    record: Annotated[Path, typer.Argument(help="A table that `memtwin program table` wrote.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to draw it; beside the table as .png.")
    ] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Draw a table: staircases of writes, cost maps, and the distribution of errors."""
    from ...circuits.programming.plots import save_table_figure
    from ...circuits.programming.table import load_table

    loaded = load_table(record)
    picture = save_table_figure(loaded, out or record.with_suffix(".png"))
    summary = {**loaded.summary(), "plot": str(picture)}
    emit(summary, as_json=json, title="write cost")
    return summary


def tile(
    device: Annotated[str, typer.Argument(help="Shipped device, or a device's TOML file.")],
    out: Annotated[Path, typer.Option(help="Where to keep the outcome (HDF5).")] = Path(
        "written-tile.h5"
    ),
    conductances: Annotated[
        Path | None,
        typer.Option(help="CSV of rows x cols targets [S]; else levels drawn with --seed."),
    ] = None,
    engine: Annotated[
        Literal["numpy", "spice"], typer.Option(help="What pulses the array.")
    ] = "numpy",
    rows: Annotated[int, typer.Option(help="Word lines, without a CSV.", min=1, max=1024)] = 16,
    cols: Annotated[int, typer.Option(help="Bit lines, without a CSV.", min=1, max=1024)] = 16,
    levels: Annotated[int, typer.Option(help="Levels that the tolerance refers to.")] = 16,
    v_read: Annotated[float, typer.Option(help="Read voltage [V].")] = 0.2,
    area: Annotated[float, typer.Option(help="Area, in areas of the fitted device.")] = 1e-3,
    scheme: Annotated[
        Literal["half", "third", "gate"], typer.Option(help="How lines are biased.")
    ] = "half",
    v_gate: Annotated[float, typer.Option(help="Gate voltage of selected rows [V].")] = 4.0,
    tolerance: Annotated[float, typer.Option(help="Accepted distance, in level steps.")] = 0.25,
    v_set: Annotated[float | None, typer.Option(help="Largest SET voltage [V].")] = None,
    v_reset: Annotated[float | None, typer.Option(help="Largest RESET voltage, below 0 V.")] = None,
    extrapolate: Annotated[
        bool, typer.Option(help="Accept voltages beyond those the device was fitted on.")
    ] = False,
    r_row: Annotated[float, typer.Option(help="Word line per segment [ohm].")] = 2.5,
    r_col: Annotated[float, typer.Option(help="Bit line per segment [ohm].")] = 2.5,
    r_driver: Annotated[float, typer.Option(help="Word-line driver [ohm].")] = 100.0,
    r_sense: Annotated[float, typer.Option(help="Bit-line driver [ohm].")] = 20.0,
    passes: Annotated[int, typer.Option(help="Passes over all rows at most.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of levels drawn.", **SEED)] = 0,
    plot: Annotated[
        Path | None, typer.Option(help="Where to draw the tile.", callback=picture)
    ] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Write a whole tile by pulses and verify reads, through wires and past neighbours."""
    import numpy as np

    from ...circuits.array.cell import Cell, Transistor
    from ...circuits.array.tile import Tile
    from ...circuits.programming.array import program_array
    from ...circuits.programming.array_ngspice import WriteSpice
    from ...circuits.programming.array_numpy import WriteArray
    from ...circuits.programming.design import design_recipe
    from ...devices.device import load_device
    from ...devices.levels import make_levels
    from .netlist import read_table

    chosen = load_device(device).scaled(area)
    ends = _ends(chosen, v_read, None, None)
    grid = make_levels(chosen, levels, v_read, g_min=ends[0], g_max=ends[1])
    if chosen.caveat:
        note(f"warning: device {chosen.name}: {chosen.caveat}")
    if conductances is None:
        target = grid.g[np.random.default_rng(seed).integers(0, levels, (rows, cols))]
    else:
        target = read_table(conductances)
    access = Transistor(v_gate=v_gate) if scheme == "gate" else None
    rows, cols = target.shape
    array = Tile(rows, cols, r_row, r_col, r_driver, r_sense, Cell(chosen, v_read, access))
    limits = _limits(chosen, v_set, v_reset, extrapolate)
    recipe = design_recipe(grid, tolerance=tolerance, limits=limits)
    writer = (WriteSpice if engine == "spice" else WriteArray)(array, scheme)
    with bar(f"writing {array.rows}×{array.cols} cells") as progress:
        outcome = program_array(
            writer,
            grid.x[0],
            target,
            recipe,
            np.random.default_rng(seed),
            passes=passes,
            progress=progress,
        )
    outcome.save(out, device=chosen.name, area=area, engine=engine, scheme=scheme, v_read=v_read)
    summary = {
        "device": chosen.name,
        "engine": engine,
        "scheme": scheme,
        **outcome.summary(),
        "error_max_steps": float(np.abs(outcome.error).max()) / grid.step,
        "disturb_max_steps": float(np.abs(outcome.disturb).max()) / grid.step,
        "record": str(out),
    }
    if plot is not None:
        from ...circuits.programming.plots import save_tile_figure

        summary["plot"] = str(save_tile_figure(outcome, grid.step, plot))
    emit(summary, as_json=json, title="written tile")
    return summary


def _ends(
    device: "Device", v_read: float, g_min: float | None, g_max: float | None
) -> tuple[float | None, float | None]:
    """Return the range of the levels: as given, else within the states that the fit has seen."""
    ends = []
    for given, key in ((g_min, "x_min"), (g_max, "x_max")):
        seen = device.meta.get(key)
        known = None if seen is None else float(device.conductance(float(seen), v_read))
        ends.append(known if given is None else given)
    return ends[0], ends[1]


def _limits(
    device: "Device", v_set: float | None, v_reset: float | None, extrapolate: bool
) -> "VoltageRange":
    from ...circuits.programming.design import VoltageRange, fitted_range

    fitted = fitted_range(device)
    if fitted is None and (v_set is None or v_reset is None):
        raise InputError(
            f"device {device.name} does not say on which voltages it was fitted: give --v-set and"
            " --v-reset"
        )
    low = fitted.low if v_reset is None and fitted else v_reset
    high = fitted.high if v_set is None and fitted else v_set
    assert low is not None
    assert high is not None
    beyond = fitted is not None and (low < fitted.low - 1e-6 or high > fitted.high + 1e-6)
    if beyond and not extrapolate:
        assert fitted is not None
        raise InputError(
            f"writing at {low:g} to {high:g} V goes beyond the {fitted.low:.4g} to"
            f" {fitted.high:.4g} V that device {device.name} was fitted on; --extrapolate accepts it"
        )
    return VoltageRange(low, high, "the command line" if v_set or v_reset else "the device's fit")


def _spread(
    device: "Device", d2d: list[str] | None, c2c: float, read: float
) -> tuple["Spread", str]:
    from ...circuits.programming.population import Spread, spread_from_fit

    if d2d is None:
        return (
            spread_from_fit(device, c2c=c2c, read=read),
            "device-to-device spread: standard errors of the fit; cycle-to-cycle spread and read"
            f" noise as given ({c2c:g}, {read:g})",
        )
    from ...devices.spread.record import load_law

    sigmas = {}
    if len(d2d) == 1 and Path(d2d[0]).suffix in (".h5", ".hdf5"):
        learnt = load_law(d2d[0], "parameters")
        return Spread(learnt, c2c, read), f"device-to-device spread: {d2d[0]}"
    for item in d2d:
        name, _, value = item.partition("=")
        device.model.parameter(name)
        try:
            sigmas[name] = float(value)
        except ValueError as error:
            raise InputError(f"--d2d {item!r}: expected PARAMETER=SIGMA") from error
    return Spread(
        sigmas, c2c, read
    ), "device-to-device, cycle-to-cycle spread and read noise: given"


for command in (table, show, tile):
    app.command()(verb(command))
