"""Programming in ngspice against the vectorised writer, pulse by pulse; and what happens when it fails."""

import numpy as np
import pytest

from memtwin.circuits.array.cell import Cell, Selector, Transistor
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.ngspice.job import Outcome
from memtwin.circuits.programming.array import ArrayStep, replay
from memtwin.circuits.programming.array_ngspice import WriteSpice
from memtwin.circuits.programming.array_numpy import WriteArray
from memtwin.circuits.programming.population import Population, Spread
from memtwin.data.errors import EngineError, NonConvergence
from memtwin.devices.device import Device
from memtwin.devices.models import models

VTEAM = Device(
    "vteam",
    models["vteam"],
    {"r_on": 1e4, "r_off": 1e5, "v_set": 1.0, "v_reset": 1.0, "k_set": 1e7, "k_reset": 1e7},
)
YAKOPCIC = Device(
    "yakopcic",
    models["yakopcic"],
    {"a_p": 1e-4, "a_n": 1e-4, "b_p": 2.0, "b_n": 2.0, "A_p": 1e6, "A_n": 1e6, "r_s": 200.0}
    | {"v_p": 1.0, "v_n": 1.0},
)
CASES = {
    "1R": (None, "half"),
    "1T1R": (Transistor(v_gate=4.0), "gate"),
    "1S1R": (Selector(0.6, 0.05, 1e-2, 1e-7), "half"),
}


def pulses(n, count, peak, width, seed=1):
    rng = np.random.default_rng(seed)
    for k in range(count):
        chosen = rng.random(n) < 0.4
        chosen[rng.integers(n)] = True
        amplitude = np.where(chosen, rng.uniform(0.8, 1.0, n) * peak * (-1) ** k, 0.0)
        yield ArrayStep(int(rng.integers(n)), amplitude, width, np.ones((n, n)), None)


@pytest.mark.spice
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("device", [VTEAM, YAKOPCIC], ids=lambda device: device.name)
def test_states_and_energies_agree_after_every_pulse(device, case):
    n, (access, scheme) = 6, CASES[case]
    tile = Tile(n, n, cell=Cell(device, 0.2, access=access))
    x = np.random.default_rng(0).uniform(0.2, 0.8, (n, n))
    steps = list(pulses(n, 4, 1.7, 5e-8))
    exact = replay(WriteArray(tile, scheme), x, steps, 0.05)
    spice = WriteSpice(tile, scheme)
    for one, two in zip(exact, replay(spice, x, steps, 0.05), strict=True):
        assert two.x == pytest.approx(one.x, rel=2e-4)
        g, h = (device.conductance(done.x, 0.2) for done in (one, two))
        assert h == pytest.approx(g, rel=2e-4)
        assert two.source_energy == pytest.approx(one.source_energy, rel=5e-3)
        assert two.energy.sum() == pytest.approx(one.energy.sum(), rel=5e-3)
    assert np.abs(one.x - x).max() > 0.02
    assert spice.seconds > 0.0


@pytest.mark.spice
@pytest.mark.parametrize("device", [VTEAM, YAKOPCIC], ids=lambda device: device.name)
def test_the_active_set_gives_what_the_full_transient_gives(device):
    n = 6
    tile = Tile(n, n, cell=Cell(device, 0.2))
    x = np.random.default_rng(0).uniform(0.2, 0.8, (n, n))
    # Half-selected devices at 1.2 V move too, and must be found.
    amplitude = np.array([0.0, 2.4, 0.0, 0.0, 0.0, 0.0])
    active, full = WriteSpice(tile, "half"), WriteSpice(tile, "half", full=True)
    one = active.pulse(x, 3, amplitude, 2e-9, 0.05, np.ones((n, n)))
    two = full.pulse(x, 3, amplitude, 2e-9, 0.05, np.ones((n, n)))
    assert 1 <= active.dynamic <= 2 * n - 1
    assert full.dynamic == n * n
    assert one.x == pytest.approx(two.x, rel=2e-4)
    assert one.energy == pytest.approx(two.energy, rel=1e-3, abs=1e-20)


@pytest.mark.spice
def test_devices_that_differ_and_have_their_own_speed():
    n = 4
    rng = np.random.default_rng(0)
    population = Population.sample(VTEAM, n * n, Spread({"r_on": 0.2, "k_set": 0.3}), rng)
    tile = Tile(n, n, cell=Cell(VTEAM, 0.2))
    x, pace = rng.uniform(0.2, 0.8, (n, n)), rng.uniform(0.5, 2.0, (n, n))
    amplitude = np.array([1.6, 0.0, 1.7, 0.0])
    one = WriteArray(tile, "half", population).pulse(x, 1, amplitude, 5e-8, 0.05, pace)
    two = WriteSpice(tile, "half", population).pulse(x, 1, amplitude, 5e-8, 0.05, pace)
    assert two.x == pytest.approx(one.x, rel=2e-4)
    assert np.abs(one.x - x)[1, 0] > 0.01


@pytest.mark.spice
def test_every_kind_of_tile():
    x = np.random.default_rng(0).uniform(0.2, 0.8, (3, 4))
    tile = Tile(
        3, 4, 20.0, 20.0, 50.0, 20.0, "both", "both", wire_spread=0.2, cell=Cell(VTEAM, 0.2)
    )
    amplitude = np.array([0.0, -1.6, 0.0, -1.8])
    one, two = (
        writer(tile, "third").pulse(x, 1, amplitude, 2e-8, 0.05, np.ones((3, 4)))
        for writer in (WriteArray, WriteSpice)
    )
    assert two.x == pytest.approx(one.x, rel=2e-4)
    assert two.source_energy == pytest.approx(one.source_energy, rel=5e-3)


def failing(error, times):
    """Return a job runner that fails ``times`` times, and the list of what it was asked."""
    asked = []

    def run(job):
        asked.append(job.steps[0].analysis)
        if len(asked) <= times:
            raise error
        count = len(job.steps[0].vectors)
        return Outcome(
            (np.stack([np.linspace(0, 1e-8, 5), *[np.full(5, 0.4)] * (count - 1)], 1),), 0, 1.0
        )

    return run, asked


def test_a_pulse_that_does_not_converge_is_tried_again_with_smaller_steps():
    run, asked = failing(NonConvergence("timestep too small"), 1)
    writer = WriteSpice(Tile(2, 2, cell=Cell(VTEAM, 0.2)), "half", run=run)
    done = writer.pulse(np.full((2, 2), 0.4), 0, np.array([1.5, 0.0]), 1e-8, 0.05, np.ones((2, 2)))
    assert done.x == pytest.approx(0.4)
    first, second = (float(analysis.split()[1]) for analysis in asked)
    assert second == pytest.approx(first / 10)


def test_a_pulse_that_never_converges_is_reported_with_its_cells():
    run, asked = failing(NonConvergence("timestep too small"), 99)
    writer = WriteSpice(Tile(2, 2, cell=Cell(VTEAM, 0.2)), "half", run=run)
    x = np.full((2, 2), 0.4)
    with pytest.raises(NonConvergence, match=r"pulse on \(1, 0\): 1.5 V.*as before the pulse"):
        writer.pulse(x, 1, np.array([1.5, 0.0]), 1e-8, 0.05, np.ones((2, 2)))
    assert len(asked) == 2
    assert (x == 0.4).all()


def test_other_failures_keep_their_type_and_name_the_cells():
    run, _ = failing(EngineError("unknown function"), 99)
    writer = WriteSpice(Tile(2, 2, cell=Cell(VTEAM, 0.2)), "half", run=run)
    with pytest.raises(EngineError, match=r"pulse on \(0, 1\): -1.5 V: unknown function"):
        writer.pulse(np.full((2, 2), 0.4), 0, np.array([0.0, -1.5]), 1e-8, 0.05, np.ones((2, 2)))


@pytest.mark.parametrize("scheme", ["half", "third"])
def test_a_tile_reduced_to_its_moving_cells_is_the_whole_tile(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tile = Tile(5, 6, cell=Cell(YAKOPCIC, 0.2), drive="both", wire_spread=0.1)
    x = np.random.default_rng(1).uniform(0.2, 0.8, tile.shape)
    amplitude = np.array([1.6, 0.0, 1.8, 0.0, 0.0, 1.7])
    given = (x, 2, amplitude, 5e-8, 0.05, np.ones(tile.shape))
    writer = WriteSpice(tile, scheme, devices="behavioural")
    reduced = writer.pulse(*given)
    monkeypatch.setattr(WriteSpice, "_reduced", lambda *_: None)
    whole = writer.pulse(*given)
    moved = np.abs(whole.x - x).max()
    assert np.abs(reduced.x - whole.x).max() < 3e-4 * moved
    assert reduced.energy == pytest.approx(whole.energy, rel=2e-3, abs=1e-3 * whole.energy.max())
    assert reduced.source_energy == pytest.approx(whole.source_energy, rel=2e-3)
