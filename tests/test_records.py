"""What is written and read back computes the same, bit for bit: every kind of record.

Trainings and runs are held to the same where they are resumed: ``test_trainer``, ``test_run``.
"""

from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from memtwin.circuits.array.amplifier import Amplifier
from memtwin.circuits.array.cell import Cell, Selector, Transistor
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.nodal import Nodal
from memtwin.circuits.lines.cell_law import KINK, Law
from memtwin.circuits.lines.cell_law_fit import fit_law, sweep_cell
from memtwin.circuits.lines.solver import LineSolver
from memtwin.circuits.ngspice.cache import Cache
from memtwin.circuits.ngspice.job import Job, Outcome, Step
from memtwin.circuits.programming.array import ArrayOutcome
from memtwin.circuits.programming.design import VoltageRange, design_recipe
from memtwin.circuits.programming.population import Spread
from memtwin.circuits.programming.table import load_table, make_table
from memtwin.circuits.programming.verify import Recipe
from memtwin.circuits.surrogate.characterise import Characterisation, Vectors, load_characterisation
from memtwin.circuits.surrogate.fit import SurrogateFit, fit_surrogate, load_surrogate
from memtwin.data.errors import InputError
from memtwin.data.measurement import (
    PulseTrain,
    Relaxation,
    Sweep,
    Table,
    load_measurement,
    save_measurement,
)
from memtwin.data.records.store import pack, read_record, reading, unpack, write_record
from memtwin.devices.device import Device, Levels, load_device
from memtwin.devices.fitting.fit import fit
from memtwin.devices.fitting.result import load_fit
from memtwin.devices.models import models

few = settings(max_examples=15)
numbers = st.floats(-1e9, 1e9)


def rectifier(a: float = 1e-5, ratio: float = 4.0, b_p: float = 5.0, b_n: float = 2.5) -> Cell:
    parameters = {"a_p": a, "a_n": ratio * a, "b_p": b_p, "b_n": b_n, "r_s": 40.0}
    return Cell(Device("rectifier", models["yakopcic"], parameters), v_read=0.2)


CELLS = {
    "linear": Cell.resistor(),
    "sinh": Cell.sinh(5.0, 0.2),
    "rectifier": rectifier(),
    "nbsto": Cell(load_device("nbsto_32um"), 0.2),
    "1T1R": Cell.sinh(2.0, 0.2, access=Transistor(v_gate=1.5)),
    "rectifier 1T1R": replace(rectifier(), access=Transistor(v_gate=1.5)),
}
"""Cells that polynomials follow; a kink, powers of the bit line's potential, and both."""


def levels_of(cell: Cell, count: int = 5) -> np.ndarray:
    device = cell.device
    if device.model.name == "yakopcic":
        return np.sort(device.conductance(np.linspace(0.2, 0.8, count), cell.v_read))
    return np.linspace(5e-6, 1e-4, count)


def law_of(cell: Cell) -> Law:
    return fit_law(sweep_cell(cell, levels_of(cell, 17), (-0.2, 0.2)))


def same(a: object, b: object) -> bool:
    """Whether two values are equal to the last bit, through mappings, sequences, dataclasses."""
    if is_dataclass(a):
        return type(a) is type(b) and all(
            same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a)
        )
    if isinstance(a, np.ndarray):
        b = np.asarray(b)
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if hasattr(a, "items"):
        return dict(a).keys() == dict(b).keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)


@pytest.mark.parametrize("cell", CELLS)
def test_a_surrogate_that_was_saved_reads_the_same(
    cell: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    law, tile = law_of(CELLS[cell]), Tile(7, 6, r_row=5.0, cell=CELLS[cell])
    fitted = SurrogateFit(
        tile=replace(tile, r_row=5.03),
        nominal=tile,
        law=law,
        stderr={"r_row": 1e-3},
        residual_percent=1e-4,
        multipliers=() if law.linear else (1.01,),
    )
    again = load_surrogate(fitted.save(tmp_path / "s.h5"))
    assert same(fitted.law, again.law)
    assert list(fitted.law.powers) == list(again.law.powers)
    g, v = rng.choice(levels_of(CELLS[cell]), (7, 6)), rng.uniform(-0.2, 0.2, (4, 7))
    d = rng.normal(size=(4, 6))
    for one in (fitted.engine, again.engine):
        array = one(dtype="float64").program(g)
        found = (array.read(v), *array.gradients(v, d))
        found += (one.__self__.line().program(g).read(v),)
        if one.__self__ is fitted:
            expected = found
    assert same(expected, found)
    # And it is the cell that it reads.
    expected_i = Nodal(fitted.tile).program(g).read(v)
    assert np.abs(found[3] - expected_i).max() < 1e-4 * np.abs(expected_i).max()


@few
@given(
    st.floats(1e-7, 1e-4),
    st.floats(0.1, 20.0),
    st.floats(1.0, 8.0),
    st.floats(1.0, 8.0),
    st.booleans(),
)
def test_laws_of_devices_that_rectify_come_back(
    tmp_path_factory, a: float, ratio: float, b_p: float, b_n: float, gated: bool
) -> None:
    cell = rectifier(a, ratio, b_p, b_n)
    law = law_of(replace(cell, access=Transistor()) if gated else cell)
    path = write_record(tmp_path_factory.mktemp("r") / "law.h5", "law", pack(law))
    again = unpack(Law, read_record(path, "law"))
    u, g = np.linspace(-0.2, 0.2, 41), law.g_range[1] * 0.7
    assert same(law.current(u, g, 0.01), again.current(u, g, 0.01))


@given(st.permutations([0, 1, 2, KINK]))
def test_a_law_does_not_depend_on_the_order_of_its_terms(order: list[int]) -> None:
    law = law_of(CELLS["rectifier 1T1R"])
    assert set(law.powers) == set(order)
    other = replace(
        law,
        powers={k: law.powers[k] for k in order},
        coefficients={k: law.coefficients[k] for k in order},
    )
    u, g, b = np.linspace(-0.2, 0.2, 41), law.g_range[1], np.linspace(0.0, 0.02, 41)
    assert same(law.current(u, g, b), other.current(u, g, b))


@pytest.mark.parametrize("cell", CELLS)
def test_a_characterisation_that_was_saved_is_fitted_the_same(
    cell: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    made, levels = CELLS[cell], levels_of(CELLS[cell])
    tile = Tile(5, 4, r_row=5.0, cell=made)
    line = LineSolver(tile, exact=True)

    def read(family: str) -> Vectors:
        g, v = rng.choice(levels, (5, 4)), rng.uniform(-0.2, 0.2, (3, 5))
        return Vectors(family, g, v, line.program(g).read(v))

    record = Characterisation(
        tile,
        levels,
        sweep_cell(made, levels_of(made, 17), (-0.2, 0.2)),
        (read("a"),),
        (read("b"),),
        {"seed": 3, "seconds": 0.1},
        {"cell": "* deck\n.end\n"},
    )
    again = load_characterisation(record.save(tmp_path / "c.h5"))
    # What a record has of a device is what it computes with, not where it came from.
    assert same(pack(record.tile), pack(again.tile))
    assert same(replace(record, tile=again.tile), again)
    assert again.digest == record.digest
    before, after = (fit_surrogate(one, multipliers=False) for one in (record, again))
    assert same(replace(before, tile=after.tile, nominal=after.nominal), after)
    assert same(pack(before.tile), pack(after.tile))


@pytest.mark.parametrize(
    "tile",
    [
        Tile(4, 3, 5, 4, cell=CELLS["nbsto"], drive="both", sense="both"),
        Tile(4, 3, wire_spread=0.1, wire_seed=7, cell=CELLS["rectifier 1T1R"]),
        Tile(4, 3, amplifier=Amplifier(1e3), cell=Cell.resistor(access=Selector())),
    ],
    ids=["both ends", "spread", "amplifier"],
)
def test_tiles_that_were_saved_read_the_same(
    tile: Tile, tmp_path: Path, rng: np.random.Generator
) -> None:
    path = write_record(tmp_path / "t.h5", "tile", {"tile": pack(tile)})
    again = unpack(Tile, read_record(path, "tile")["tile"])
    g, v = rng.choice(levels_of(tile.cell), (4, 3)), rng.uniform(-0.2, 0.2, (3, 4))
    assert same(*(Nodal(one).program(g).read(v) for one in (tile, again)))


def test_levels_that_were_packed_are_the_same_conductances(tmp_path: Path) -> None:
    levels = load_device("nbsto_32um").scaled(0.5).levels(4, 0.2)
    path = write_record(tmp_path / "l.h5", "levels", pack(levels))
    again = unpack(Levels, read_record(path, "levels"))
    assert again.device.digest == levels.device.digest
    assert same(
        again.device.conductance(again.x, again.v_read), levels.device.conductance(levels.x, 0.2)
    )
    assert same(again.g, levels.g)


def test_an_unknown_model_is_named(tmp_path: Path) -> None:
    tree = pack(CELLS["sinh"].device) | {"model": "sihn"}
    path = write_record(tmp_path / "d.h5", "device", {"device": tree})
    with pytest.raises(InputError, match="sihn"), reading(path, "device") as found:
        unpack(Device, found["device"])


@pytest.fixture(scope="module")
def fitted_device():
    truth = {"a_p": 2e-5, "a_n": 8e-5, "b_p": 3.0, "b_n": 2.0, "v_p": 9.0, "v_n": 9.0}
    device = Device("rectifier", models["yakopcic"], truth)
    t = np.linspace(0.0, 1.0, 41)
    v = 0.5 * np.sin(2.0 * np.pi * t)
    sweep = Sweep("synthetic", t, v, device.current(v, 0.5), np.zeros(41, bool))
    free = ("a_p", "a_n")
    fixed = {name: value for name, value in device.parameters.items() if name not in free}
    return fit(models["yakopcic"], [sweep], fixed=fixed, starts=2, candidates=4, steps=20)


def test_a_fit_that_was_saved_predicts_the_same(fitted_device, tmp_path: Path) -> None:
    again = load_fit(fitted_device.save(tmp_path / "f.h5"))
    assert same(fitted_device, again)
    sweep, x0 = fitted_device.sweeps[0], fitted_device.x0[0]
    assert same(fitted_device.predict(sweep, x0), again.predict(sweep, x0))


@pytest.mark.parametrize("name", ["nbsto_32um", "knowm_nugent", "stanford_hfox"])
def test_a_device_that_was_saved_conducts_the_same(name: str, tmp_path: Path) -> None:
    device = load_device(name)
    again = load_device(device.save(tmp_path / "d.toml"))
    assert again.digest == device.digest
    v = np.linspace(-0.3, 0.3, 61)
    assert same(device.current(v, 0.4), again.current(v, 0.4))


column = arrays(np.float64, 9, elements=numbers)
measurements = st.one_of(
    st.builds(
        lambda v, i: Sweep("a sweep", np.arange(9.0), v, i, i > 1.0, {"licence": "CC0"}),
        column,
        column,
    ),
    st.builds(lambda g: PulseTrain("a train", g[None], "1"), column),
    st.builds(lambda g: Relaxation("r", np.arange(1.0, 10.0), g[None], np.array([3])), column),
    st.builds(
        lambda a, b: Table("a table", {"z": a, "i": b}, {"z": "V", "i": "A"}), column, column
    ),
)


@given(measurements)
def test_measurements_come_back(tmp_path_factory, measurement) -> None:
    path = save_measurement(measurement, tmp_path_factory.mktemp("r") / "m.h5")
    again = load_measurement(path)
    assert same(measurement, again)
    assert again.digest == measurement.digest


@given(st.lists(arrays(np.float64, (3, 2), elements=numbers), min_size=1, max_size=3))
def test_results_of_ngspice_come_back(tmp_path_factory, values: list[np.ndarray]) -> None:
    cache = Cache(tmp_path_factory.mktemp("cache"), "45")
    job = Job("* deck", tuple(Step("op", ("i(v1)",)) for _ in values))
    outcome = Outcome(tuple(values), 1, 0.25)
    cache.put(job, outcome)
    assert same(cache.get(job), outcome)


def test_write_tables_come_back(tmp_path: Path) -> None:
    device = Device("vteam", models["vteam"], {"k_set": 1e6, "k_reset": 1e6})
    levels = device.levels(5, 0.2)
    recipe = design_recipe(levels, limits=VoltageRange(-1.2, 1.2, "test"))
    table = make_table(levels, recipe, Spread({"k_set": 0.1}, 0.05, 0.003), samples=2, seed=1)
    again = load_table(table.save(tmp_path / "t.h5"))
    assert isinstance(again.recipe, Recipe)
    assert same(table, again)
    assert same(table.pricing(), again.pricing())
    start, end = table.g[[0, 3]], table.g[[1, 2]]
    assert same(table.moves.of(start, end), again.moves.of(start, end))


@given(arrays(np.float64, (2, 3), elements=numbers), st.floats(0.0, 1e9))
def test_written_tiles_come_back(tmp_path_factory, g: np.ndarray, energy: float) -> None:
    count = np.arange(6).reshape(2, 3)
    outcome = ArrayOutcome(
        **dict.fromkeys(("target", "x", "g", "energy", "disturb"), g),
        **dict.fromkeys(("status", "pulses", "reads"), count),
        source_energy=energy,
        read_energy=energy,
        time=energy,
        passes=2,
        steps=(),
    )
    path = outcome.save(tmp_path_factory.mktemp("r") / "w.h5", engine="nodal")
    tree = read_record(path, "written-tile")
    for item in fields(outcome):
        if item.name != "steps":
            assert same(getattr(outcome, item.name), tree[item.name]), item.name
