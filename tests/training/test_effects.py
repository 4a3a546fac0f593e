"""Laws in a training: devices and reads follow them, numbers are laws, files and tables reach them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.ideal import Ideal
from memtwin.circuits.programming.population import Population, Spread
from memtwin.circuits.programming.recipe import GUARD
from memtwin.data.errors import InputError
from memtwin.devices.device import load_device
from memtwin.devices.spread.drift import Drift
from memtwin.devices.spread.effects import Effects
from memtwin.devices.spread.noise import ReadNoise
from memtwin.devices.spread.parameters import Lognormal
from memtwin.devices.spread.pcm import PcmDrift, PcmProgramming
from memtwin.devices.spread.programming import Programming
from memtwin.devices.spread.pulse import PulseSpread
from memtwin.devices.spread.reach import Reach
from memtwin.devices.spread.record import load_law, save_law
from memtwin.devices.spread.relaxation import Jump, RelaxationQuantiles
from memtwin.devices.spread.stuck import Stuck
from memtwin.devices.spread.wear import Wear
from memtwin.training.rules.quantise import Uniform
from memtwin.training.rules.rule import Writes
from memtwin.training.runs.build import levels_of, write_costs, write_spread, write_tolerance
from memtwin.training.runs.config import load_config, parse_config
from memtwin.training.seeds import BLOCK, FEW, generator, normals
from memtwin.training.twin.crossbar import Crossbar, MappingOptions
from memtwin.training.twin.devices import Devices
from memtwin.training.twin.matrix import MappedMatrix

EXACT = {"programming": 0.0, "read": 0.0}
QUANTILES = RelaxationQuantiles(
    g=np.array([1e-6, 1e-5]),
    t=np.array([1.0, 100.0]),
    z=np.array([-1.0, 0.0, 1.0]),
    change=1e-7 * np.array([[[-2, 0, 1], [-4, 0, 2]], [[-2, 0, 1], [-4, -1, 2]]], float),
    correlation=np.array([[1.0, 0.6], [0.6, 1.0]]),
    g_limit=(0.0, 2e-5),
)
COUNT = 20_000
ALL = np.arange(COUNT)


def devices(rng=None, **effects):
    return Devices(
        (COUNT // 100, 100),
        low=1e-6,
        high=9e-6,
        quantiser=Uniform(9),
        effects=Effects(**{**EXACT, **effects}),
        rng=rng or np.random.default_rng(5),
    )


def level(value):
    return np.full(COUNT, value, np.float32)


@pytest.mark.parametrize(
    ("number", "law"),
    [
        ({"programming": 0.02}, {"programming": Programming(0.02)}),
        ({"reach": 0.2}, {"reach": Reach(0.2)}),
        ({"relaxation": 0.05}, {"relaxation": Jump(0.05)}),
        ({"drift": 0.05}, {"drift": Drift(0.05)}),
        ({"stuck": 0.1, "stuck_high": 0.3}, {"stuck": Stuck(0.1, 0.3)}),
        ({"wear": 2.0}, {"wear": Wear(2.0)}),
    ],
)
def test_a_number_is_its_law_bit_for_bit(number, law):
    held = []
    for effects in (number, law):
        rng = np.random.default_rng(1)
        one = devices(rng, **effects)
        for now in range(3):
            one.write(ALL, level(6.0), rng, now=now)
        one.age(10)
        held.append(one.g)
    np.testing.assert_array_equal(*held)


@pytest.mark.parametrize("law", [Programming(0.03, 0.5, 4e-6), PcmProgramming(1e-5)])
def test_programming_error_follows_its_law(law, rng):
    held = devices(programming=law)
    for k in (2.0, 6.0):
        reached = held.write(ALL, level(k), rng)
        sigma = float(law.sigma((1.0 + k) * 1e-6)) / 1e-6
        assert np.std(reached - k) == pytest.approx(sigma, rel=0.03)


def test_devices_relax_by_quantiles_of_their_age_in_seconds(rng):
    held = devices(relaxation=QUANTILES, seconds=0.1)
    found = held.write(ALL, level(4.0), rng, now=0)
    np.testing.assert_allclose(found, 4.0)  # what the verify read finds
    soon = held.g.copy()
    held.age(1)
    np.testing.assert_array_equal(held.g, soon)  # the next read is an update later
    for now, changes in ((10, [-2, 0, 1]), (1000, [-4, -0.44, 2])):
        held.age(now)
        found = 1e7 * (np.quantile(held.g, [0.1587, 0.5, 0.8413]) - 5e-6)
        np.testing.assert_allclose(found, changes, atol=0.1)
    late = held.g.copy()
    held.age(1000)
    np.testing.assert_array_equal(held.g, late)  # a cell keeps its luck until it is written
    held.write(ALL, level(4.0), rng, now=1000)
    held.age(2000)
    assert abs(np.corrcoef(late.ravel(), held.g.ravel())[0, 1]) < 0.05


def test_drift_in_seconds(rng):
    held = devices(drift=Drift(0.1, 2.0), seconds=0.5)
    held.write(ALL, level(8.0), rng, now=3)
    held.age(39)
    np.testing.assert_allclose(held.g, 9e-6 * 10.0**-0.1, rtol=1e-5)
    pcm = devices(drift=PcmDrift(g_max=9e-6, t_0=1.0), seconds=1.0)
    pcm.write(ALL, level(8.0), rng, now=0)
    pcm.age(1000)
    exponent = -np.log(pcm.g / 9e-6) / np.log(1000.0)
    assert exponent.mean() == pytest.approx(0.049, abs=1e-3)
    assert exponent.std() == pytest.approx(0.008, rel=0.05)


@pytest.mark.parametrize("law", [{"drift": Drift(0.1, 1.0)}, {"relaxation": QUANTILES}])
def test_a_law_in_seconds_asks_how_many_pass(law):
    with pytest.raises(InputError, match=r"reckons in seconds: .* effects.seconds = 0.1"):
        devices(**law)


def test_a_law_of_smaller_devices_is_refused():
    with pytest.raises(InputError, match="up to 5e-06 S, the highest level is 9e-06 S"):
        devices(relaxation=replace(QUANTILES, g_limit=(0.0, 5e-6)), seconds=1.0)


def test_devices_wear_out_where_they_are(rng):
    life = Wear(20.0, 1.5)
    held = devices(wear=life)
    for write in range(1, 41):
        before = held.levels(ALL)
        target = level(0.2 * write)
        reached = held.write(ALL, target, rng)
        dead = np.abs(reached - target) > 0.1
        np.testing.assert_allclose(reached[dead], before[dead], atol=1e-5)
        if write in (10, 40):
            expected = stats.weibull_min.cdf(write, 1.5, scale=20.0)
            assert dead.mean() == pytest.approx(expected, abs=0.012)
    assert held.limited
    assert not devices().limited
    np.testing.assert_allclose(
        held.attainable(ALL, level(3.0))[dead], np.rint(held.levels(ALL)[dead]), atol=1e-5
    )


def test_open_devices_conduct_nothing(rng):
    held = devices(stuck=Stuck(0.3, high=0.0, opened=0.5))
    held.write(ALL, level(4.0), rng)
    shares = [np.mean(held.g == np.float32(g)) for g in (0.0, 1e-6, 5e-6)]
    np.testing.assert_allclose(shares, [0.15, 0.15, 0.7], atol=0.012)
    assert held.attainable(ALL, level(4.0)).min() == 0.0


@pytest.mark.parametrize("options", [{}, {"drive": "bits", "dac_bits": 4}, {"drive": "linear"}])
@pytest.mark.parametrize("law", [ReadNoise(0.05), ReadNoise(0.02, 0.5, 1e-5), ReadNoise(0.02, 0.0)])
def test_read_noise_adds_up_over_columns(law, options, rng):
    """Against reads of an array whose every device is noisy on its own."""
    matrix = MappedMatrix(
        (20, 5),
        Crossbar(
            Tile(8, 6, levels=Cell.resistor(0.2).levels(np.linspace(1e-6, 9e-6, 9))),
            Effects(programming=0.0, read=law),
            MappingOptions(gain="none", **options),
        ),
        Ideal,
        rng,
        clip=1.0,
    )
    count = matrix.placement.places.size
    target = rng.integers(0, 9, count).astype(np.float32)
    ledger = Writes(np.arange(count), np.zeros(count, np.float32), target, count // 2)
    matrix.write(ledger, rng)
    a = rng.uniform(-1.0, 1.0, (3, 20)).astype(np.float32)
    a[:, 0] = 1.0  # what the inputs are scaled by
    if options.get("drive") == "bits":
        a = np.rint(a * 15) / np.float32(15)
    quiet = matrix.multiply(a, None)
    many = np.repeat(a, 6000, axis=0)
    spread = (matrix.multiply(many, rng) - np.repeat(quiet, 6000, axis=0)).reshape(3, 6000, 5)
    g = matrix.devices.g.reshape(-1)[matrix.placement.places]
    reads = [law.sample(g, rng, 8e-6).reshape(20, 5, 2) for _ in range(4000)]
    if options.get("drive") == "bits":
        # every bit is a read of its own
        codes = np.rint(np.abs(a) * 15).astype(int)
        bits = [(2**k / 15) * ((codes >> k) & 1) * np.sign(a) for k in range(4)]
    else:
        bits = [a]
    weights = np.array([one[..., 0] - one[..., 1] for one in reads]) / 8e-6
    wanted = np.sqrt(sum(np.var(part @ weights, axis=0) for part in bits))
    np.testing.assert_allclose(spread.std(axis=1), wanted, rtol=0.06)


def test_a_read_follows_what_was_written_since(rng):
    matrix = MappedMatrix(
        (1, 1),
        Crossbar(
            Tile(2, 2, levels=Cell.resistor(0.2).levels(np.linspace(1e-6, 9e-6, 9))),
            Effects(programming=0.0, read=ReadNoise(0.05)),
            MappingOptions(gain="none"),
        ),
        Ideal,
        rng,
        clip=1.0,
    )
    one = np.ones((4000, 1), np.float32)
    for plus in (8.0, 2.0):
        writes = Writes(np.arange(2), np.zeros(2, np.float32), np.array([plus, 0], np.float32), 1)
        matrix.write(writes, rng)
        sigma = 0.05 * np.hypot(1.0 + plus, 1.0) / 8.0
        assert matrix.multiply(one, rng).std() == pytest.approx(sigma, rel=0.05)


TABLES = """
[effects]
programming = { scale = 0.5, g_ref = 1e-7 }
read = "noise.h5"
seconds = 0.5

[effects.drift]
kind = "pcm"
t_0 = 10.0

[device]
verify_noise = "noise.h5"
c2c = { sigma = 0.02 }

[device.d2d]
A_p = 0.03
"""


def test_tables_and_paths_of_a_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    noise = ReadNoise(0.002, 0.9, 1e-5)
    save_law(noise, "noise.h5")
    (tmp_path / "run.toml").write_text(TABLES)
    config = load_config("run.toml", ["effects.relaxation.scale=0.02", "effects.wear=1000"])
    laws = config.effects.laws
    assert laws.programming == Programming(0.5, g_ref=1e-7)
    assert (laws.read, laws.drift) == (noise, PcmDrift(t_0=10.0))
    assert (laws.relaxation, laws.wear) == (Jump(0.02), Wear(1000.0))
    again = parse_config(config.model_dump(), "again")
    assert again == config
    assert type(config).model_validate_json(config.model_dump_json()) == config
    spread = write_spread(config, levels_of(config).device)
    assert spread == Spread(Lognormal({"A_p": 0.03}), PulseSpread(0.02), noise)
    span = 14e-6 * 0.9
    levels = levels_of(config)
    quiet = load_config("run.toml", ["device.verify_noise=0.0"])
    assert write_tolerance(quiet, levels) == pytest.approx(3**0.5 * 0.5e-7 / span * 15)
    # Noisy verify reads tell no narrower band: the guard on either side of the highest level.
    least = 2.0 * GUARD * float(noise.sigma(levels.g[-1:])[0]) / levels.step
    assert write_tolerance(config, levels) == pytest.approx(least, rel=1e-3)
    changed = load_config("nbsto", ["effects.programming.kind=pcm"])
    assert changed.effects.laws.programming == PcmProgramming()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("effects.read.scael=1", r"unknown key 'effects.read.scael' \(did you mean 'scale'"),
        ("effects.drift.kind=pmc", r"effects.drift: unknown kind 'pmc' \(did you mean 'pcm'"),
        ("effects.seconds=soon", "effects.seconds: expected a number, got 'soon'"),
        ("effects=soon", "effects: expected a table, got 'soon'"),
        (
            "device.verify_noise=0.2",
            "device.verify_noise: expected a number from 0 to less than 0.1",
        ),
        ("device.d2d=0.2", "device.d2d: expected a path"),
        ("device.d2d.A_p=-1", "spread: A_p must be from 0 to 2"),
    ],
)
def test_what_is_no_law_gets_one_sentence(change, sentence):
    changes = [change.replace("scael=1", "scael=1")]
    if ".kind" in change or "scael" in change:
        changes = [change, *([] if "kind" in change else ["effects.read.scale=0.1"])]
    with pytest.raises(InputError, match=sentence):
        load_config("nbsto", changes)


def test_a_missing_law_is_named_before_anything_is_made():
    config = load_config("nbsto", ["effects.read=nowhere.h5"])
    with pytest.raises(InputError, match=r"effects.read: there is no law record at nowhere.h5"):
        write_tolerance(config, levels_of(config))


def test_numbers_and_laws_of_a_write_population_agree():
    device = load_device("nbsto_32um")
    plain = Spread({"A_p": 0.1}, 0.05, 0.01)
    laws = Spread(Lognormal({"A_p": 0.1}), PulseSpread(0.05), ReadNoise(0.01))
    drawn = []
    for spread in (plain, laws):
        rng = np.random.default_rng(3)
        population = Population.sample(device, 50, spread, rng)
        x = population.pulse(np.full(50, 0.3), 0.8, 1.0, 0.02, rng).x
        drawn.append((population.parameters["A_p"], x, population.read(x, 0.05, rng)))
    for mine, theirs in zip(*drawn, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert Spread.of(laws.tree()) == laws
    assert Spread.of(plain.tree()) == plain
    with pytest.raises(InputError, match="c2c must be from 0 to 2"):
        Spread(c2c=-1.0)


def test_verify_noise_of_a_power_law_narrows_the_band_where_it_is_large():
    spread = Spread(read=ReadNoise(0.01, 0.5, 1e-5))
    np.testing.assert_allclose(spread.noise_at(np.array([1e-5, 4e-5, 0.0])), [0.01, 0.005, 0.0])


def test_a_law_on_disk_is_the_law(tmp_path):
    path = save_law(QUANTILES, tmp_path / "relax.h5")
    held = []
    for effect in (QUANTILES, str(path)):
        rng = np.random.default_rng(1)
        one = devices(rng, relaxation=effect, seconds=1.0)
        one.write(ALL, level(6.0), rng)
        one.age(30)
        held.append(one.g)
    np.testing.assert_array_equal(*held)
    assert isinstance(load_law(path), RelaxationQuantiles)


def test_a_table_of_writes_by_another_law_is_refused(tmp_path):
    noise = save_law(ReadNoise(0.002, 0.9, 1e-5), tmp_path / "noise.h5")
    changes = [f"device.verify_noise={noise}", "device.levels=3", "device.c2c=0.0"]
    config = load_config("nbsto", changes)
    levels, path = levels_of(config), tmp_path / "write_table.h5"
    made = write_costs(config, levels, path=path)
    again = write_costs(config, levels, path=path)
    np.testing.assert_array_equal(again.table.pulses, made.table.pulses)
    save_law(ReadNoise(0.003), noise)
    with pytest.raises(InputError, match=r"write_table.h5 was made for devices that differ"):
        write_costs(config, levels, path=path)


@pytest.mark.parametrize("count", [0, 7, FEW, FEW + 1, 2 * BLOCK + 3, 400_001])
def test_many_normal_numbers_are_as_numpys_own(count):
    drawn = normals(generator(3, "reading", 1), count)
    assert drawn.shape == (count,)
    assert drawn.dtype == np.float32
    np.testing.assert_array_equal(drawn, normals(generator(3, "reading", 1), count))
    if count > FEW:
        assert stats.kstest(drawn, "norm").pvalue > 1e-4
        half = count // 2
        # The two of a pair lie half of all apart; a circle makes them independent, their squares too.
        for power in (1, 2):
            found = np.corrcoef(drawn[:half] ** power, drawn[-half:] ** power)[0, 1]
            assert abs(found) < 4.0 / half**0.5
