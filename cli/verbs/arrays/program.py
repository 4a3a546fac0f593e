"""``memtwin program``: what writes cost, pictures of them, and whole tiles written."""

__all__ = ["app", "show", "table", "tile"]

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ....data.errors import InputError
from ...console import Json, bar, emit, note, picture, verb
from ...groups import grouped
from ...job import Dask, Devices, executor_at
from ...settings import DeviceKeys, Source, TileKeys
from .ambient import Ambient, swept, temperatures

if TYPE_CHECKING:
    from ....circuits.array.tile import Tile
    from ....circuits.programming.array import ArrayOutcome
    from ....circuits.programming.design import VoltageRange
    from ....circuits.programming.recipe import Recipe
    from ....circuits.programming.table import WriteTable
    from ....data.types import Array
    from ....devices.device import Device, Levels
    from ....training.runs.config import RunConfig

Chosen = Annotated[
    str | None,
    typer.Argument(help="Shipped device, or a device's TOML file; else the configured one."),
]

app = typer.Typer(
    help="Write devices by pulses and verify reads: cost tables and pictures.",
    no_args_is_help=True,
)


@dataclass(frozen=True)
class Writing:
    """How devices are written."""

    tolerance: Annotated[
        float, typer.Option(help="Accepted distance from a level, in steps between levels.")
    ] = 0.25
    scheme: Annotated[
        Literal["half", "third", "gate"],
        typer.Option(help="How lines are biased: what half-selected neighbours see."),
    ] = "half"
    v_set: Annotated[float | None, typer.Option(help="Largest SET voltage [V].")] = None
    v_reset: Annotated[float | None, typer.Option(help="Largest RESET voltage, below 0 V.")] = None
    extrapolate: Annotated[
        bool, typer.Option(help="Accept voltages beyond those the device was fitted on.")
    ] = False
    width: Annotated[float | None, typer.Option(help="Pulse width [s]; else by the rates.")] = None
    max_pulses: Annotated[int, typer.Option(help="Pulses before a device is given up.")] = 200

    def recipe(self, levels: "Levels", margin: float) -> "Recipe":
        """Return the recipe for ``levels``, whose device may be faster or slower by ``margin``."""
        from ....circuits.programming.design import design_recipe

        return design_recipe(
            levels,
            tolerance=self.tolerance,
            limits=self._limits(levels.device),
            width=self.width,
            margin=margin,
            max_pulses=self.max_pulses,
        )

    def _limits(self, device: "Device") -> "VoltageRange":
        from ....circuits.programming.design import fitted_range, limits_of

        limits, fitted = limits_of(device, self.v_set, self.v_reset), fitted_range(device)
        if fitted is None or self.extrapolate:
            return limits
        if limits.low < fitted.low - 1e-6 or limits.high > fitted.high + 1e-6:
            raise InputError(
                f"writing at {limits.low:g} to {limits.high:g} V goes beyond the {fitted.low:.4g} to"
                f" {fitted.high:.4g} V that device {device.name} was fitted on; --extrapolate"
                " accepts it"
            )
        return limits


@dataclass(frozen=True)
class Spreads:
    """How devices, pulses and reads differ; what is not given is as configured."""

    d2d: Annotated[
        list[str] | None,
        typer.Option(
            help="PARAMETER=SIGMA of its logarithm from device to device, repeatable; or a law's file."
        ),
    ] = None
    c2c: Annotated[
        float | None,
        typer.Option(help="Sigma of the logarithm of a pulse's effect, pulse to pulse."),
    ] = None
    read_noise: Annotated[
        float | None, typer.Option(help="Standard deviation of a verify read, relative.")
    ] = None

    def given(self) -> dict[str, Any]:
        """Return their keys with the values, ``None`` where an option is absent."""
        return {
            "device.c2c": self.c2c,
            "device.verify_noise": self.read_noise,
            "device.d2d": None if self.d2d is None else self._parameters(self.d2d),
        }

    def _parameters(self, given: list[str]) -> str | dict[str, float]:
        if len(given) == 1 and Path(given[0]).suffix in (".h5", ".hdf5"):
            return given[0]
        sigmas = {}
        for item in given:
            name, _, value = item.partition("=")
            try:
                sigmas[name] = float(value)
            except ValueError as error:
                raise InputError(
                    f"--d2d {item!r}: expected PARAMETER=SIGMA, or the file of a law"
                ) from error
        return sigmas


@dataclass(frozen=True)
class Pulsing:
    """What pulses a whole array, and where to."""

    conductances: Annotated[
        Path | None,
        typer.Option(help="CSV of rows x cols targets [S]; else levels drawn with --seed."),
    ] = None
    engine: Annotated[Literal["numpy", "spice"], typer.Option(help="What pulses the array.")] = (
        "numpy"
    )
    devices: Devices = None
    v_gate: Annotated[
        float, typer.Option(help="Gate voltage of selected rows, for the scheme gate [V].")
    ] = 4.0
    passes: Annotated[int, typer.Option(help="Passes over all rows at most.")] = 3
    verify: Annotated[
        Literal["cell", "hadamard"],
        typer.Option(help="Verify reads row by row, or of many rows in Hadamard patterns."),
    ] = "cell"
    sense_noise: Annotated[
        float, typer.Option(help="What amplifier and converter add to a current, deviation [A].")
    ] = 0.0
    average: Annotated[int, typer.Option(help="Reads that a verify read is the mean of.")] = 1


def _told(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else "a law"


@grouped
def table(
    source: Source,
    cell: DeviceKeys,
    writing: Writing,
    spreads: Spreads,
    device: Chosen = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Where to write the table (HDF5).")
    ] = Path("write-table.h5"),
    samples: Annotated[int, typer.Option(help="Sampled devices per pair of levels.")] = 64,
    plot: Annotated[
        Path | None, typer.Option(help="Where to draw the table.", callback=picture)
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes; the result does not depend on it.")] = 1,
    sweep: Ambient = None,
    dask: Dask = None,
    json: Json = False,
) -> dict[str, Any]:
    """Find what writes cost: pulses, energy, time and error from every level to every other, of a device or a
    technology.
    """
    ambient = None if sweep is None else temperatures(sweep)
    from ....circuits.programming.schemes import half_select
    from ....circuits.programming.table import make_table
    from ....devices.technology.technology import is_technology
    from ....training.runs.build import levels_of, write_spread

    settings = source.read({"device.name": device}, cell.given(), spreads.given())
    if is_technology(settings.device.name):
        if ambient is not None:
            raise InputError(
                f"--sweep: the technology {settings.device.name} was measured at one temperature"
            )
        return _cells(settings, writing, samples, out, plot, json=json)
    levels, wanted = levels_of(settings), settings.device
    spread = write_spread(settings, levels.device)
    known = "standard errors of the fit" if wanted.d2d is None else "as configured"
    origin = (
        f"device-to-device spread: {known}; cycle-to-cycle spread and read noise as configured"
        f" ({_told(wanted.c2c)}, {_told(wanted.verify_noise)})"
    )
    recipe = writing.recipe(levels, margin=1.2)
    pairs = f"writing {levels.count}×{levels.count} pairs × {samples}"

    def written(held: "Levels", record: Path, where: str = "") -> "WriteTable":
        with executor_at(dask) as executor, bar(f"{pairs}{where}") as progress:
            made = make_table(
                held,
                recipe,
                spread,
                samples=samples,
                half_select=half_select(writing.scheme),
                seed=settings.seed,
                progress=progress,
                workers=workers,
                executor=executor,
            )
        made.save(record)
        return made

    if ambient is not None:
        held = {value: levels.at(value) for value in ambient}  # refuses before anything is written
        note(origin)
        return swept(
            ambient,
            lambda value, record: written(held[value], record, f" at {value:g} K").summary(),
            out,
            plot,
            title="write cost by temperature",
            json=json,
        )
    made = written(levels, out)
    for remark in (*made.notes, origin):
        note(remark)
    summary = {**made.summary(), "spread_source": origin, "record": str(out)}
    if plot is not None:
        from ....circuits.programming.plots import save_table_figure

        summary["plot"] = str(save_table_figure(made, plot))
    emit(summary, as_json=json, title="write cost")
    return summary


def _cells(
    settings: "RunConfig",
    writing: Writing,
    samples: int,
    out: Path,
    plot: Path | None,
    *,
    json: bool,
) -> dict[str, Any]:
    """Find what writes cost on cells of a technology, whose voltages, pulses and spreads are its own."""
    from ....circuits.technology.table import make_cell_table
    from ....devices.technology.technology import load_technology
    from ....training.runs.build import levels_of
    from ....training.runs.chip import TOUCHING, recipe_of_cells

    _as_it_says(settings, writing)
    wanted, levels = settings.device, levels_of(settings)
    technology = load_technology(wanted.name)
    recipe = recipe_of_cells(technology, levels, wanted.tolerance or TOUCHING, wanted.way)
    pairs = f"writing {levels.count}×{levels.count} pairs × {samples}"
    with bar(pairs) as progress:
        made = make_cell_table(
            technology, levels, recipe, samples=samples, seed=settings.seed, progress=progress
        )
    made.save(out)
    note("energies are the low and high ends of a bracket: the current of pulses was not measured")
    summary = {**made.summary(), "record": str(out)}
    if plot is not None:
        from ....circuits.technology.plots import save_cell_table_figure

        summary["plot"] = str(save_cell_table_figure(made, plot))
    emit(summary, as_json=json, title="write cost")
    return summary


def _as_it_says(settings: "RunConfig", writing: Writing) -> None:
    """Refuse options of writes by a device's dynamics, which cells of a technology do not have."""
    if writing != Writing():
        raise InputError(
            f"cells of the technology {settings.device.name} are written as it says, between its own voltages:"
            " --set device.tolerance and device.way choose how, no other option does"
        )


def _tile_of_cells(
    settings: "RunConfig",
    writing: Writing,
    pulsing: Pulsing,
    target: "Array | None",
    out: Path,
    plot: Path | None,
    *,
    json: bool,
) -> dict[str, Any]:
    """Write a tile of a technology's cells, each through its own way along the lines."""
    import numpy as np

    from ....circuits.technology.tile import way_along_lines, write_tile
    from ....circuits.technology.write import Tables
    from ....devices.technology.technology import load_technology
    from ....training.runs.build import drawn, tile_of
    from ....training.runs.chip import SECONDS, TOUCHING, recipe_of_cells

    _as_it_says(settings, writing)
    wanted = settings.device
    known = Pulsing(pulsing.conductances, devices=pulsing.devices, passes=pulsing.passes)
    if pulsing != known:
        raise InputError(
            f"cells of the technology {wanted.name} are written one after the other by its measured laws:"
            " --conductances and --passes apply, --engine spice and options of gates and verify reads do not"
        )
    tile = tile_of(settings)
    assert tile.levels is not None
    goal = drawn(tile, settings.seed) if target is None else target
    technology = load_technology(wanted.name)
    recipe = recipe_of_cells(technology, tile.levels, wanted.tolerance or TOUCHING, wanted.way)
    most = [float(way.max()) for way in way_along_lines(tile)]
    with bar(f"writing {tile.rows}×{tile.cols} cells") as progress:
        outcome = write_tile(
            Tables(technology, recipe, (most[0], most[1])),
            tile,
            goal,
            np.random.default_rng(settings.seed),
            passes=pulsing.passes,
            seconds=settings.effects.seconds or SECONDS,
            progress=progress,
        )
    facts: dict[str, str | float] = {"device": technology.name, "way": recipe.way}
    facts["v_read"] = recipe.v_read
    outcome.save(out, **facts)
    step = tile.levels.step
    summary = {
        **facts,
        **outcome.summary(),
        "error_max_steps": float(np.abs(outcome.error).max()) / step,
        "record": str(out),
    }
    note("energies are the low and high ends of a bracket: the current of pulses was not measured")
    if plot is not None:
        from ....circuits.technology.plots import save_cells_figure

        summary["plot"] = str(save_cells_figure(outcome, step, plot))
    emit(summary, as_json=json, title="written tile")
    return summary


def show(
    record: Annotated[Path, typer.Argument(help="A table that `memtwin program table` wrote.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to draw it; beside the table as .png.")
    ] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Draw a table: staircases of writes, cost maps, and the distribution of errors."""
    from ....circuits.programming.plots import save_table_figure
    from ....circuits.programming.table import load_table
    from ....circuits.technology.plots import save_cell_table_figure
    from ....circuits.technology.table import KIND, load_cell_table
    from ....data.records.store import kind_of

    where = out or record.with_suffix(".png")
    if kind_of(record) == KIND:
        cells = load_cell_table(record)
        summary = cells.summary() | {"plot": str(save_cell_table_figure(cells, where))}
    else:
        loaded = load_table(record)
        summary = loaded.summary() | {"plot": str(save_table_figure(loaded, where))}
    emit(summary, as_json=json, title="write cost")
    return summary


@grouped
def tile(
    source: Source,
    cell: DeviceKeys,
    array: TileKeys,
    writing: Writing,
    pulsing: Pulsing,
    device: Chosen = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Where to keep the outcome (HDF5).")
    ] = Path("written-tile.h5"),
    plot: Annotated[
        Path | None, typer.Option(help="Where to draw the tile.", callback=picture)
    ] = None,
    sweep: Ambient = None,
    json: Json = False,
) -> dict[str, Any]:
    """Write a whole tile by pulses and verify reads, through wires and past neighbours; cells of a technology by its
    measured laws, stuck ones among them.
    """
    from dataclasses import replace

    import numpy as np

    from ....circuits.programming.array import program_array
    from ....circuits.programming.array_ngspice import WriteSpice
    from ....circuits.programming.array_numpy import WriteArray
    from ....circuits.programming.reads import VerifyReads
    from ....circuits.reading.files import read_table
    from ....devices.technology.technology import is_technology
    from ....training.runs.build import drawn, tile_of

    reads = VerifyReads(pulsing.verify, pulsing.sense_noise, pulsing.average)
    target = None if pulsing.conductances is None else read_table(pulsing.conductances)
    gate = writing.scheme == "gate"
    settings = source.read(
        {"device.name": device, "devices": pulsing.devices},
        cell.given(),
        array.given(),
        {"tile.access.kind": "transistor", "tile.access.v_gate": pulsing.v_gate} if gate else {},
        {} if target is None else dict(zip(("tile.rows", "tile.cols"), target.shape, strict=True)),
    )
    if is_technology(settings.device.name):
        if sweep is not None:
            raise InputError(
                f"--sweep: the technology {settings.device.name} was measured at one temperature"
            )
        return _tile_of_cells(settings, writing, pulsing, target, out, plot, json=json)
    made = tile_of(settings)
    levels = made.levels
    assert levels is not None
    if target is None:
        target = drawn(made, settings.seed)
    if levels.device.caveat:
        note(f"warning: device {levels.device.name}: {levels.device.caveat}")
    recipe = writing.recipe(levels, margin=1.0)

    def written(
        made: "Tile", record: Path, where: str = ""
    ) -> tuple["ArrayOutcome", dict[str, Any]]:
        levels = made.levels
        assert levels is not None
        writer: WriteSpice | WriteArray
        if pulsing.engine == "spice":
            writer = WriteSpice(made, writing.scheme, devices=settings.devices)
        else:
            writer = WriteArray(made, writing.scheme)
        with bar(f"writing {made.rows}×{made.cols} cells{where}") as progress:
            outcome = program_array(
                writer,
                levels.x[0],
                target,
                recipe,
                np.random.default_rng(settings.seed),
                passes=pulsing.passes,
                reads=reads,
                progress=progress,
            )
        facts = {"device": levels.device.name, "engine": pulsing.engine, "scheme": writing.scheme}
        if isinstance(writer, WriteSpice):
            facts["devices"] = writer.devices
        outcome.save(record, **facts, area=levels.device.area, v_read=levels.v_read)
        return outcome, {
            **facts,
            **outcome.summary(),
            "error_max_steps": float(np.abs(outcome.error).max()) / levels.step,
            "disturb_max_steps": float(np.abs(outcome.disturb).max()) / levels.step,
            "record": str(record),
        }

    if sweep is not None:
        ambient = temperatures(sweep)
        held = {value: levels.at(value) for value in ambient}

        def at(value: float, record: Path) -> dict[str, Any]:
            cell = replace(made.cell, device=held[value].device)
            return written(
                replace(made, cell=cell, levels=held[value]), record, f" at {value:g} K"
            )[1]

        return swept(ambient, at, out, plot, title="written tile by temperature", json=json)
    outcome, summary = written(made, out)
    if plot is not None:
        from ....circuits.programming.plots import save_tile_figure

        summary["plot"] = str(save_tile_figure(outcome, levels.step, plot))
    emit(summary, as_json=json, title="written tile")
    return summary


for command in (table, show, tile):
    app.command()(verb(command))
