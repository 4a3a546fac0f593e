"""Compiled devices: the matrix of models, cells and shapes against independent solutions, still and moving."""

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memtwin.circuits.array.amplifier import Amplifier
from memtwin.circuits.array.cell import Cell, Selector, Transistor
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.nodal import Nodal
from memtwin.circuits.ngspice.engine import Spice
from memtwin.circuits.ngspice.installed import features
from memtwin.circuits.ngspice.netlist import build
from memtwin.circuits.osdi.cells import CompiledCell
from memtwin.circuits.osdi.choice import chosen
from memtwin.circuits.programming.array_ngspice import WriteSpice
from memtwin.circuits.programming.array_numpy import WriteArray
from memtwin.circuits.programming.population import Population, Spread
from memtwin.circuits.surrogate.cell_deck import sweep_in_ngspice
from memtwin.data.errors import EngineError, EngineMissing, InputError
from memtwin.devices.device import Device, load_device
from memtwin.devices.device_file import shipped_devices
from memtwin.devices.models import models

ACCESS = {
    "1R": None,
    "1T1R": Transistor(v_gate=3.0),
    "1S1R": Selector(0.1, 0.02, 1e-2, 1e-7),
}
SHAPES = {
    "1x1": {"rows": 1, "cols": 1},
    "3x5": {"rows": 3, "cols": 5, "wire_spread": 0.3},
    "4x2": {"rows": 4, "cols": 2, "drive": "both", "sense": "both"},
    "amplifier": {"rows": 3, "cols": 2, "amplifier": Amplifier()},
}
NONLINEAR = [name for name in models if name != "resistor"]


def device(name: str, **parameters: float) -> Device:
    return Device(name, models[name], parameters)


def states(chosen_device: Device, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """States in the middle of the range; static models have their conductance as the state."""
    high = chosen_device.model.state_range[1]
    return rng.uniform(0.2, 0.8, shape) if high == 1.0 else rng.uniform(1e-6, 1e-4, shape)


def worst(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(found - truth).max() / np.abs(truth).max())


def read_both(tile: Tile, rng: np.random.Generator, **options: object) -> tuple[Spice, float]:
    """Read a tile with an open device at both polarities; return the engine and its largest error."""
    g = tile.cell.conductance(states(tile.cell.device, tile.shape, rng))
    if g.size > 1:
        g[-1, -1] = 0.0
    v = rng.uniform(-0.2, 0.2, (3, tile.rows))
    engine = Spice(tile, workers=1, devices="compiled", **options)
    return engine, worst(engine.program(g).read(v), Nodal(tile).program(g).read(v))


@pytest.mark.compiled
@pytest.mark.spice
@pytest.mark.parametrize("access", ACCESS)
@pytest.mark.parametrize("name", NONLINEAR)
def test_reads_of_every_model_in_every_cell(name, access, rng):
    chosen_device = device(name)
    cell = Cell(chosen_device, 0.2, ACCESS[access])
    engine, error = read_both(Tile(3, 4, cell=cell), rng)
    # A device that is ohmic while its state stays is a resistor, which nothing betters.
    assert engine.devices == ("behavioural" if cell.linear else "compiled")
    assert error <= 1e-6


@pytest.mark.compiled
@pytest.mark.spice
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("access", ACCESS)
def test_reads_of_every_shape(access, shape, rng):
    fitted = load_device("nbsto_32um").scaled(0.7)
    tile = Tile(**SHAPES[shape], cell=Cell(fitted, 0.2, ACCESS[access]))
    engine, error = read_both(tile, rng)
    assert engine.devices == "compiled"
    assert error <= 1e-6


@pytest.mark.compiled
@pytest.mark.spice
@pytest.mark.parametrize("name", shipped_devices())
def test_reads_of_every_shipped_device(name, rng):
    tile = Tile(4, 3, cell=Cell(load_device(name), 0.2))
    several = 5 if load_device(name).model.inner_expr is not None else 1
    assert max(read_both(tile, rng)[1] for _ in range(several)) <= 1e-6


@pytest.mark.compiled
@pytest.mark.spice
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(1, 5),
    cols=st.integers(1, 5),
    b_hrs=st.floats(0.5, 8.0),
    r_s=st.sampled_from([0.0, 1.0, 5e3]),
    area=st.floats(0.1, 10.0),
    access=st.sampled_from(list(ACCESS)),
    seed=st.integers(0, 99),
)
def test_reads_of_any_parameters(rows, cols, b_hrs, r_s, area, access, seed):
    own = device("sinh_state", b_hrs=b_hrs, b_lrs=0.5, g_max=1e-4, r_s=r_s).scaled(area)
    tile = Tile(rows, cols, cell=Cell(own, 0.2, ACCESS[access]))
    assert read_both(tile, np.random.default_rng(seed))[1] <= 1e-6


@pytest.mark.compiled
@pytest.mark.spice
@pytest.mark.parametrize("access", ACCESS)
def test_a_program_per_job_reads_the_same(access, rng):
    tile = Tile(3, 3, cell=Cell(load_device("nbsto_32um"), 0.2, ACCESS[access]))
    assert read_both(tile, rng, mode="isolated")[1] <= 1e-6


@pytest.mark.compiled
@pytest.mark.spice
@pytest.mark.parametrize("access", ACCESS)
def test_live_sessions_alter_compiled_devices(access, rng):
    tile = Tile(3, 4, cell=Cell(load_device("nbsto_32um"), 0.2, ACCESS[access]))
    v = rng.uniform(0.0, 0.2, (3, 3))
    x = rng.uniform(0.3, 0.6, (3, 4))
    with Spice(tile, live=True, devices="compiled") as engine:
        for _ in range(3):
            x[rng.integers(3), rng.integers(4)] = rng.uniform(0.3, 0.8)
            g = tile.cell.conductance(x)
            truth = Nodal(tile).program(g).read(v)
            assert worst(engine.program(g).read(v), truth) <= 1e-6


@pytest.mark.compiled
@pytest.mark.spice
def test_fields_and_cell_sweeps_are_those_of_b_sources(rng):
    cell = Cell(load_device("nbsto_32um"), 0.2, Transistor())
    tile = Tile(3, 4, cell=cell)
    g = cell.conductance(rng.uniform(0.3, 0.8, (3, 4)))
    v = rng.uniform(0.0, 0.2, (2, 3))
    one, two = (
        Spice(tile, devices=devices).program(g).fields(v) for devices in ("behavioural", "compiled")
    )
    assert two.w == pytest.approx(one.w, rel=1e-6, abs=1e-12)
    assert two.i == pytest.approx(one.i, rel=1e-6, abs=1e-15)
    first, _ = sweep_in_ngspice(cell, g[0], (-0.1, 0.2))
    second, deck = sweep_in_ngspice(cell, g[0], (-0.1, 0.2), compiled=CompiledCell(cell))
    assert worst(second.i, first.i) <= 1e-6
    assert ".model cell memtwin_yakopcic" in deck


@pytest.mark.compiled
@pytest.mark.spice
def test_a_cache_tells_compiled_reads_from_others(tmp_path, rng):
    tile = Tile(2, 2, cell=Cell.sinh(3.0, 0.2))
    g, v = rng.uniform(1e-6, 1e-4, (2, 2)), rng.uniform(0.0, 0.2, (2, 2))
    for devices in ("compiled", "behavioural", "compiled"):
        Spice(tile, cache=tmp_path, devices=devices).program(g).read(v)
    assert len(list(tmp_path.rglob("*.h5"))) == 2


SCHEMES = {"1R": "half", "1T1R": "gate", "1S1R": "half"}
MOVING = [name for name in models if models[name].rate_expr is not None]


def pulse_of(moving: Device, share: float = 0.05) -> tuple[float, float]:
    """Return an amplitude [V] and a width [s] that move the device by about ``share``."""
    for amplitude in (1.0, 1.5, 2.0, 3.0, 5.0):
        rate = abs(float(moving.rate(amplitude, 0.5)))
        if 1e-6 < rate < 1e12:
            return amplitude, share / rate
    pytest.fail(f"nothing moves {moving.name}")


@pytest.mark.compiled
@pytest.mark.spice
@pytest.mark.parametrize("access", ACCESS)
@pytest.mark.parametrize("name", MOVING)
def test_pulses_on_every_model_in_every_cell(name, access, rng):
    moving = device(name)
    amplitude, width = pulse_of(moving)
    # Some defaults conduct like wires: so that the voltage is at the device, all carry 10 uA per volt.
    moving = moving.scaled(1e-5 * amplitude / float(moving.current(amplitude, 0.5)))
    in_series = {"1T1R": Transistor(v_gate=amplitude + 3.0, k=0.1), "1S1R": ACCESS["1S1R"]}
    tile = Tile(3, 4, 1.0, 1.0, 10.0, 10.0, cell=Cell(moving, 0.2, in_series.get(access)))
    x = rng.uniform(0.4, 0.6, (3, 4))
    pace = rng.uniform(0.7, 1.4, (3, 4))
    levels = np.array([amplitude, 0.0, 0.95 * amplitude, 0.0])
    exact = WriteArray(tile, SCHEMES[access]).pulse(x, 1, levels, width, 0.05, pace)
    writer = WriteSpice(tile, SCHEMES[access], devices="compiled", full=name == "yakopcic")
    found = writer.pulse(x, 1, levels, width, 0.05, pace)
    assert writer.devices == "compiled"
    assert found.x == pytest.approx(exact.x, abs=2e-4 * np.ptp(exact.x - x) + 1e-6, rel=1e-4)
    assert np.abs(exact.x - x).max() > 1e-3
    assert found.energy.sum() == pytest.approx(exact.energy.sum(), rel=5e-3)
    assert found.source_energy == pytest.approx(exact.source_energy, rel=5e-3)


@pytest.mark.compiled
@pytest.mark.spice
@pytest.mark.parametrize("spread", [{"r_on": 0.2, "k_set": 0.3}, {"r_s": 0.3, "k_set": 0.1}])
def test_devices_that_differ_are_instances_of_one_module(spread, rng):
    own = device("vteam", r_on=1e4, r_off=1e5, v_set=1.0, v_reset=1.0, k_set=1e7, r_s=300.0)
    population = Population.sample(own, 16, Spread(spread), rng)
    tile = Tile(4, 4, cell=Cell(own, 0.2))
    x = rng.uniform(0.2, 0.8, (4, 4))
    amplitude, pace = np.array([1.6, 0.0, 1.7, 0.0]), np.ones((4, 4))
    one = WriteArray(tile, "half", population).pulse(x, 1, amplitude, 5e-8, 0.05, pace)
    decks = []
    writer = WriteSpice(tile, "half", population, devices="compiled")
    run = writer._run
    writer._run = lambda job: decks.append(job.deck) or run(job)
    two = writer.pulse(x, 1, amplitude, 5e-8, 0.05, pace)
    assert two.x == pytest.approx(one.x, rel=2e-4)
    assert all(len(re.findall(r"^\.model moving ", deck, re.M)) == 1 for deck in decks)


@pytest.mark.compiled
@pytest.mark.spice
@pytest.mark.slow
def test_a_worker_that_reads_many_compiled_tiles_does_not_grow(rng):
    from memtwin.circuits.ngspice.engine import ladder
    from memtwin.circuits.ngspice.job import Job, Step
    from memtwin.circuits.ngspice.pool import Worker

    tile = Tile(16, 16, cell=Cell.sinh(3.0, 0.2))
    deck = Spice(tile, devices="compiled").deck(
        rng.uniform(1e-6, 1e-4, (16, 16)), rng.uniform(0.0, 0.2, (8, 16))
    )
    step = Step(deck.analysis, deck.sense)
    job = Job(deck.text, (step,), ladder(features().klu), sources=deck.sources)
    worker = Worker()
    try:
        memory = [worker.run(job).memory for _ in range(300)]
    finally:
        worker.close()
    assert memory[-1] - memory[0] < 1e7


@pytest.mark.parametrize("access", ACCESS)
def test_a_tile_has_one_model_and_one_line_per_cell(access, rng):
    cell = Cell(load_device("nbsto_32um"), 0.2, ACCESS[access])
    tile = Tile(4, 3, cell=cell)
    g = cell.conductance(rng.uniform(0.3, 0.8, (4, 3)))
    deck = build(tile, g, np.full((2, 4), 0.1), compiled=CompiledCell(cell))
    lines = deck.text.splitlines()
    assert sum(line.lower().startswith(".model") for line in lines) == 1
    cells = [line for line in lines if re.match(r"[nbm]s?\d+_\d+ ", line)]
    assert len(cells) == 12
    assert all(line.startswith("n") for line in cells)
    assert len(deck.sources) == 1


def test_devices_of_one_model_share_what_is_compiled():
    one, two = (
        CompiledCell(Cell(device("vteam", r_on=r_on), 0.2, Transistor(v_gate=v_gate)))
        for r_on, v_gate in ((1e3, 2.0), (2e3, 3.0))
    )
    assert one.source == two.source
    assert one.card != two.card
    assert one.source != CompiledCell(Cell(device("vteam"), 0.2)).source


def test_what_cannot_be_is_refused(monkeypatch):
    cell = Cell.sinh(3.0, 0.2)
    with pytest.raises(InputError, match=r"spice: there is no devices 'compield' .*'compiled'"):
        chosen("compield", cell)
    assert chosen("behavioural", cell) is None
    assert chosen("auto", Cell.resistor()) is None
    monkeypatch.setattr("memtwin.circuits.osdi.choice.why_not", lambda mode: "it is too old")
    assert chosen("auto", cell) is None
    with pytest.raises(EngineMissing, match=r"compiled: it is too old; devices = behavioural"):
        chosen("compiled", cell, moving=True)


def test_a_device_that_does_not_compile_is_printed_as_b_sources(monkeypatch):
    def refused(text: str) -> None:
        raise EngineError("openvaf-r can't compile a device: error: strange")

    monkeypatch.setattr("memtwin.circuits.osdi.choice.why_not", lambda mode: "")
    monkeypatch.setattr("memtwin.circuits.osdi.choice.library_of", refused)
    with pytest.warns(RuntimeWarning, match="strange: behavioural devices instead"):
        assert chosen("auto", Cell.sinh(3.0, 0.2)) is None
    with pytest.raises(EngineError, match="strange"):
        chosen("compiled", Cell.sinh(3.0, 0.2))
