"""The generated cycles have the statistics of those learnt from, and act on writes as measured."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from memtwin.circuits.programming.population import Population, Spread
from memtwin.cli.main import app
from memtwin.data.catalogue import fetch
from memtwin.data.errors import InputError
from memtwin.data.importers.arrays import read_table
from memtwin.data.measurement import Sweep, Table
from memtwin.devices.cycles.autoregression import CycleLaw, fit_cycles
from memtwin.devices.cycles.features import (
    FEATURES,
    CycleFeatures,
    features_of_sweeps,
    features_of_tables,
)
from memtwin.devices.device import load_device
from memtwin.devices.spread.effects import Effects
from memtwin.devices.spread.record import law_of, law_tree, load_law, save_law
from memtwin.training.rules.quantise import make_quantiser
from memtwin.training.twin.devices import Devices

LAG = np.array([[0.5, 0.1, 0, 0], [0.1, 0.4, 0, 0], [0, 0.2, 0.3, 0], [-0.2, 0, 0, 0.6]])
NOISE = np.linalg.cholesky(
    [[1, 0.4, 0, 0.2], [0.4, 1, 0.3, 0], [0, 0.3, 1, -0.3], [0.2, 0, -0.3, 1]]
)


def source(devices=8, cycles=500, seed=0, apart=0.3):
    """Cycles of a known process, bent: a skewed SET voltage, log-normal resistances, devices that differ."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((devices, 4))
    own = apart * rng.standard_normal((devices, 4))
    rows = []
    for n in range(cycles + 100):
        z = z @ LAG.T + rng.standard_normal((devices, 4)) @ NOISE.T
        if n >= 100:
            rows.append(np.stack([
                np.exp(12 + own[:, 0] + 0.5 * z[:, 0]), 0.8 + 0.05 * own[:, 1] + 0.06 * np.exp(0.5 * z[:, 1]),
                np.exp(9 + 0.2 * own[:, 2] + 0.1 * z[:, 2]), 0.9 + 0.1 * own[:, 3] + 0.05 * z[:, 3],
            ], 1))  # fmt: skip
    values = np.stack(rows, 1).reshape(-1, 4)
    return CycleFeatures(FEATURES, values, np.repeat(np.arange(devices), cycles))


def statistics(runs):
    """Means over devices of mean, deviation, lag-1 and cross-correlation; resistances as logarithms."""
    every = []
    for run in runs:
        x = np.asarray(run, float).copy()
        x[:, [0, 2]] = np.log(x[:, [0, 2]])
        y = (x - x.mean(0)) / x.std(0)
        every.append([x.mean(0), x.std(0), np.mean(y[1:] * y[:-1], 0), y.T @ y / len(y)])
    return [np.mean([one[k] for one in every], 0) for k in range(4)]


@pytest.fixture(scope="module")
def law():
    return fit_cycles(source())


def test_generated_cycles_have_the_source_s_statistics(law):
    drawn = law.draw(100, 500, np.random.default_rng(1))
    assert drawn.shape == (500, 100, 4)
    mine = statistics(drawn.transpose(1, 0, 2))
    theirs = statistics(source().runs)
    np.testing.assert_allclose(mine[0], theirs[0], rtol=0.02)
    np.testing.assert_allclose(mine[1], theirs[1], rtol=0.05)
    np.testing.assert_allclose(mine[2], theirs[2], rtol=0.1, atol=0.02)
    np.testing.assert_allclose(mine[3], theirs[3], rtol=0.1, atol=0.03)


def test_the_known_process_comes_back(law):
    assert len(law.lags) == 1
    # the eigenvalues know nothing of the scales of the features
    mine, theirs = (np.sort(np.linalg.eigvals(a).real) for a in (law.lags[0], LAG))
    np.testing.assert_allclose(mine, theirs, atol=0.08)


def test_devices_differ_as_they_did(law):
    means = np.log(law.draw(300, 200, np.random.default_rng(2))[:, :, 0]).mean(0)
    spread = np.std([np.log(run[:, 0]).mean() for run in source().runs], ddof=1)
    assert np.std(means) == pytest.approx(spread, rel=0.15)


@pytest.mark.data
def test_a_measured_cell_s_resistances_over_a_million_cycles():
    path = fetch("ni-rram-1t1r-endurance-retention", "1us_endurance.tsv")[0]
    cycles = features_of_tables([read_table(path, "endurance")])
    assert cycles.names == ("r_hrs", "r_lrs")
    found = fit_cycles(cycles)
    drawn = np.log(found.draw(40, 3000, np.random.default_rng(0)).astype(float))
    seen = np.log(cycles.values)
    np.testing.assert_allclose(drawn.mean((0, 1)), seen.mean(0), rtol=0.01)
    np.testing.assert_allclose(drawn.std((0, 1)), seen.std(0), rtol=0.1)
    for k in range(2):
        mine = np.mean([np.corrcoef(x[1:], x[:-1])[0, 1] for x in drawn[:, :, k].T])
        theirs = np.corrcoef(seen[1:, k], seen[:-1, k])[0, 1]
        assert mine == pytest.approx(theirs, rel=0.1)


@given(st.integers(0, 10**6), st.integers(0, 3))
@settings(max_examples=10, deadline=None)
def test_any_order_makes_a_stable_process(seed, order):
    few = source(devices=1, cycles=60, seed=seed)
    found = fit_cycles(few, order=order)
    assert len(found.lags) == order
    drawn = found.draw(20, 50, np.random.default_rng(seed))
    assert np.isfinite(drawn).all()
    assert not found.between.any()  # one device says nothing of others


def test_cells_go_on_by_themselves_and_draws_are_those_of_the_seed(law):
    one, two = (law.cells(5000, np.random.default_rng(3)) for _ in range(2))
    rng = np.random.default_rng(4), np.random.default_rng(4)
    np.testing.assert_array_equal(one.cycle(rng[0]), two.cycle(rng[1]))
    before = one.past.copy()
    some = np.array([7, 4000, 12])
    made = one.cycle(rng[0], some)
    assert made.shape == (4, 3)
    others = np.setdiff1d(np.arange(5000), some)
    np.testing.assert_array_equal(one.past[:, others], before[:, others])
    assert (one.past[:4, some] != before[:4, some]).all()


def test_loops_give_their_features():
    t, v, i = [], [], []
    rng = np.random.default_rng(0)
    told = []
    for _ in range(40):
        v_set, v_reset = 1.0 + 0.1 * rng.random(), 0.8 + 0.1 * rng.random()
        g_hrs, g_lrs = 1e-5 * (1 + rng.random()), 1e-3 * (1 + 0.1 * rng.random())
        path = np.concatenate([np.linspace(0, 1.5, 151), np.linspace(1.5, -1.5, 301)[1:],
                               np.linspace(-1.5, 0, 151)[1:]])  # fmt: skip
        on = False
        for x in path:
            on = True if x > v_set else False if x < -v_reset else on
            v.append(x)
            i.append(x * (g_lrs if on else g_hrs))
        told.append((1 / g_hrs, v_set, 1 / g_lrs, v_reset))
    t = np.arange(len(v)) * 0.01
    found = features_of_sweeps(
        [Sweep("loops", t, np.array(v), np.array(i), np.zeros(len(v), bool))]
    )
    assert found.names == FEATURES
    assert len(found.values) == 40
    np.testing.assert_allclose(found.values[:, [0, 2]], np.array(told)[:, [0, 2]], rtol=1e-6)
    np.testing.assert_allclose(found.values[:, [1, 3]], np.array(told)[:, [1, 3]], atol=0.011)


def test_records_and_configurations_keep_it(law, tmp_path):
    path = save_law(law, tmp_path / "law.h5")
    for subject in (None, "programming", "pulses"):
        again = load_law(path, subject)
        np.testing.assert_array_equal(again.lags, law.lags)
    with pytest.raises(InputError, match="expected one of read"):
        load_law(path, "read")
    plain = json.loads(json.dumps(law_tree(law, plain=True)))
    assert isinstance(law_of("programming", plain, "x"), CycleLaw)
    flat = fit_cycles(source(devices=1, cycles=60), order=0)
    plain = json.loads(json.dumps(law_tree(flat, plain=True)))
    assert law_of("programming", plain, "x").lags.shape == (0, 4, 4)
    effects = Effects(programming=str(path), read=0.0)
    assert isinstance(effects.laws.programming, CycleLaw)
    g = np.full(4000, float(np.exp(-law.centre[2])))
    read = effects.sample(g, 0.0, np.random.default_rng(0))
    assert np.std(np.log(read)) == pytest.approx(float(law.sigma(g[:1])[0] / g[0]), rel=0.15)


def test_writes_of_a_device_remember_its_past(law):
    low, high = (float(np.exp(-law.centre[k])) for k in (0, 2))

    def made():
        quantiser = make_quantiser(None, np.linspace(low, high, 16))
        effects, rng = Effects(programming=law), np.random.default_rng(0)
        return Devices((64, 64), low=low, high=high, quantiser=quantiser, effects=effects, rng=rng)

    devices, rng = made(), np.random.default_rng(1)
    index, top = np.arange(64 * 64), np.full(64 * 64, 12.0, np.float32)
    found = []
    for _ in range(30):
        devices.write(index, top, rng)
        found.append(np.log(devices.g.ravel().copy()))
    x = np.array(found)
    assert np.isfinite(x).all()
    within = x - x.mean(0)
    again = np.mean(within[1:] * within[:-1]) / np.mean(within**2)
    assert again > 0.15  # lag 1 of the LRS is 0.37 in the source
    assert np.std(x.mean(0)) > 0.3 * np.std(x)  # and devices differ for good
    kept = {k: None if v is None else np.array(v) for k, v in devices.state().items()}
    other, same = made(), np.random.default_rng()
    same.bit_generator.state = rng.bit_generator.state
    other.restore(kept)
    devices.write(index, top, rng)
    other.write(index, top, same)
    np.testing.assert_array_equal(other.g, devices.g)


def test_a_low_set_voltage_makes_pulses_stronger(law):
    device = load_device("yakopcic_oblea")
    rng = np.random.default_rng(0)
    factor = law.drive(np.full(4000, 0.3), rng)
    assert np.median(factor) == pytest.approx(1.0, abs=0.05)
    assert 0.02 < np.std(np.log(factor)) < 0.3
    cells = Population.sample(device, 200, Spread(c2c=law), rng)
    x = cells.pulse(np.full(200, 0.2), 0.35, 1e-4, 0.1, rng).x
    alone = Population.sample(device, 200, Spread(), rng).pulse(np.full(200, 0.2), 0.35, 1e-4, 0.1)
    assert x.std() > 100 * alone.x.std()
    assert x.mean() == pytest.approx(alone.x.mean(), abs=0.1)
    again = Spread.of(Spread(c2c=law).tree())
    assert isinstance(again.pulses, CycleLaw)
    only = fit_cycles(CycleFeatures(("r_hrs",), source().values[:, :1], source().device))
    with pytest.raises(InputError, match="v_set was not measured"):
        only.drive(np.ones(3), rng)
    with pytest.raises(InputError, match="r_lrs was not measured"):
        only.sigma(1e-5)


def test_what_teaches_nothing_is_refused():
    with pytest.raises(InputError, match="too few"):
        CycleFeatures(("v_set",), np.ones((5, 1)), np.zeros(5, int))
    with pytest.raises(InputError, match="is the same"):
        CycleFeatures(("v_set",), np.ones((50, 1)), np.zeros(50, int))
    with pytest.raises(InputError, match="expected columns r_hrs"):
        features_of_tables([Table("t", {"a": np.ones(40)}, {"a": "1"})])
    with pytest.raises(InputError, match="expected 0 to"):
        fit_cycles(source(devices=1, cycles=60), order=9)


def test_the_command_learns_from_a_table(tmp_path):
    cycles = source(devices=3, cycles=100)
    rows = np.c_[cycles.device, cycles.values[:, 0] / 1e3, cycles.values[:, 1:]]
    path = tmp_path / "cycles.csv"
    np.savetxt(path, rows, delimiter=",", comments="",
               header="device,R_HRS [kohm],v_set [V],r_lrs [ohm],v_reset [V]")  # fmt: skip
    out = tmp_path / "law.h5"
    done = CliRunner().invoke(
        app, ["spread", "learn", str(path), "--kind", "cycles", "-o", str(out), "--json"]
    )
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["law"] == "CycleLaw"
    kept = load_law(out)
    assert kept.names == FEATURES
    assert kept.centre[0] == pytest.approx(np.log(cycles.values[:, 0]).mean(), rel=0.01)
