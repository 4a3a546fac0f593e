"""Write-verify in closed and open loop, and the recipes made from a device's rates."""

from itertools import pairwise

import numpy as np
import pytest

from memtwin.circuits.programming.design import VoltageRange, design_recipe, fitted_range
from memtwin.circuits.programming.population import Population, Spread
from memtwin.circuits.programming.recipe import Status
from memtwin.circuits.programming.verify import open_loop, write
from memtwin.data.errors import InputError
from memtwin.devices.device import Device, load_device
from memtwin.devices.models import models

VTEAM = Device("vteam", models["vteam"], {"k_set": 1e6, "k_reset": 1e6})
LEVELS = VTEAM.levels(16, 0.2)
RECIPE = design_recipe(LEVELS, limits=VoltageRange(-1.5, 1.5, "test"), margin=1.2)
SPREAD = Spread({"k_set": 0.1, "k_reset": 0.1, "v_set": 0.02, "v_reset": 0.02}, 0.05, 0.003)


def written(count=400, spread=SPREAD, seed=0, **kwargs):
    rng = np.random.default_rng(seed)
    population = Population.sample(VTEAM, count, spread, rng)
    a, b = rng.integers(0, 16, (2, count))
    return write(population, LEVELS.x[a], LEVELS.g[b], RECIPE, rng, **kwargs), a, b


def test_devices_that_differ_are_written_to_a_quarter_of_a_level():
    outcome, a, b = written()
    assert outcome.success >= 0.995
    assert np.abs(outcome.error[outcome.reached]).max() <= 0.25 * LEVELS.step * (1 + 1e-9)
    same = a == b
    assert outcome.pulses[same].sum() <= 0.1 * outcome.pulses[~same].sum() / 15
    assert (outcome.reads == outcome.pulses.sum(axis=1) + 1).all()
    assert (outcome.costs.energy > 0).all()
    assert (outcome.time >= outcome.reads * RECIPE.read_time * (1 - 1e-12)).all()


def test_set_raises_and_reset_lowers():
    outcome, a, b = written(200, Spread())
    assert (outcome.pulses[b > a, 1] > 0).all()
    assert (outcome.pulses[b < a, 0] > 0).all()


def test_the_same_seed_writes_the_same():
    first, second = (written(100, seed=3)[0] for _ in range(2))
    assert np.array_equal(first.x, second.x)
    assert np.array_equal(first.pulses, second.pulses)
    assert not np.array_equal(first.x, written(100, seed=4)[0].x)


def test_the_history_is_the_staircase():
    outcome, _, _ = written(20, history=True)
    g, amplitude, width = outcome.history
    assert g.shape == amplitude.shape == width.shape
    assert (np.count_nonzero(amplitude, axis=0) == outcome.pulses.sum(axis=1)).all()
    assert ((amplitude != 0) == (width > 0)).all()
    assert amplitude.min() >= RECIPE.reset.stop
    assert amplitude.max() <= RECIPE.set.stop
    near = np.abs(g[-1] - outcome.target) <= RECIPE.tolerance
    assert near[outcome.status == Status.REACHED].all()


def test_open_loop_is_exact_for_the_nominal_device_and_not_for_others():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 16, (2, 60))
    nominal = open_loop(Population(VTEAM, 60), LEVELS.x[a], LEVELS.g[b], RECIPE, rng)
    assert nominal.success == 1.0
    assert nominal.reads.sum() == 0
    closed = write(Population(VTEAM, 60), LEVELS.x[a], LEVELS.g[b], RECIPE, rng)
    assert np.array_equal(nominal.pulses, closed.pulses)
    real = open_loop(
        Population.sample(VTEAM, 60, SPREAD, rng), LEVELS.x[a], LEVELS.g[b], RECIPE, rng
    )
    assert real.success < 0.9
    assert real.error.std() > 2 * nominal.error.std()


def test_a_device_that_cannot_reach_its_target_is_named_as_such():
    population = Population(VTEAM, 2, {"r_on": np.array([1e3, 1e4])})
    outcome = write(population, 0.5, LEVELS.g[-1], RECIPE, np.random.default_rng(0))
    assert outcome.reachable.tolist() == [True, False]
    assert outcome.status[0] == Status.REACHED
    assert outcome.status[1] in (Status.STUCK, Status.EXHAUSTED)
    assert outcome.summary()["out_of_own_range"] == 1


def test_progress_ends_at_the_number_of_devices():
    calls = []
    written(50, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (50, 50)
    assert all(one[0] <= two[0] for one, two in pairwise(calls))


@pytest.mark.parametrize(
    ("target", "spread", "said"),
    [
        (1.0, Spread(), "reaches only"),
        (0.0, Spread(), "reaches only"),
        (np.nan, Spread(), "expected a conductance"),
        (LEVELS.g[-1], Spread(read=0.1), "drowns in the read noise"),
    ],
)
def test_what_cannot_be_written_is_refused(target, spread, said):
    population = Population(VTEAM, 2, spread=spread)
    with pytest.raises(InputError, match=said):
        write(population, 0.5, target, RECIPE, np.random.default_rng(0))


def test_designed_ramps_start_gently_and_stop_at_the_limits():
    assert (RECIPE.reset.stop, RECIPE.set.stop) == (-1.5, 1.5)
    one = Population(VTEAM, 16)
    for ramp in (RECIPE.set, RECIPE.reset):
        x = one.pulse(LEVELS.x, ramp.start, ramp.width, RECIPE.edge).x
        assert np.abs(VTEAM.conductance(x, 0.2) - LEVELS.g).max() <= RECIPE.tolerance
        x = one.pulse(LEVELS.x, ramp.stop, ramp.width_max, RECIPE.edge).x
        moved = np.abs(VTEAM.conductance(x, 0.2) - LEVELS.g)
        assert moved[1:-1].min() >= RECIPE.tolerance


def test_the_shipped_device_is_written_within_its_fitted_voltages():
    device = load_device("nbsto_32um")
    limits = fitted_range(device)
    ends = device.conductance([device.meta["x_min"], device.meta["x_max"]], 0.2)
    levels = device.levels(16, 0.2, g_min=ends[0], g_max=ends[1])
    recipe = design_recipe(levels)
    assert recipe.reset.stop == limits.low
    assert recipe.set.stop == limits.high
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 16, (2, 100))
    outcome = write(Population(device, 100), levels.x[a], levels.g[b], recipe, rng)
    assert outcome.success == 1.0


def test_recipes_that_cannot_be_made_are_refused():
    limits = VoltageRange(-1.5, 1.5, "test")
    static = Device("r", models["resistor"]).levels(4, 0.2, g_min=1e-6, g_max=1e-5)
    frozen = Device("f", models["yakopcic"], {"A_p": 1e-300, "v_p": 5.0, "smooth": 1e-3})
    with pytest.raises(InputError, match="no dynamics"):
        design_recipe(static, limits=limits)
    with pytest.raises(InputError, match="does not say at which voltages"):
        design_recipe(LEVELS)
    with pytest.raises(InputError, match="enclose 0 V"):
        design_recipe(LEVELS, limits=VoltageRange(0.5, 1.5, "test"))
    with pytest.raises(InputError, match="does not SET"):
        design_recipe(frozen.levels(4, 0.2), limits=VoltageRange(-1.0, 0.5, "test"))
    with pytest.raises(InputError, match="tolerance must be"):
        design_recipe(LEVELS, limits=limits, tolerance=0.7)
