import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtwin.data.catalogue import fetch
from memtwin.data.errors import InputError
from memtwin.data.importers.delimited import read_block
from memtwin.data.importers.instrument import find_limits
from memtwin.data.importers.sweeps import read_sweep
from memtwin.data.importers.units import si_factor
from memtwin.data.measurement import (
    PulseTrain,
    Relaxation,
    Sweep,
    Table,
    load_measurement,
    save_measurement,
)

TRIANGLE = np.concatenate(
    [np.linspace(0, 1, 11), np.linspace(0.9, -1, 20), np.linspace(-0.9, 0, 10)]
)


def write(path, header, *columns, separator=",", end="\n"):
    lines = [header] if header else []
    lines += [separator.join(f"{value:.9g}" for value in row) for row in zip(*columns, strict=True)]
    path.write_bytes((end.join(lines) + end).encode("utf-8"))
    return path


@pytest.fixture
def drive():
    """Time [s], voltage [V] and current [A] of a resistor of 1 kohm."""
    return np.arange(len(TRIANGLE)) * 0.5, TRIANGLE, TRIANGLE * 1e-3


def test_keithley_dialect_and_offset(tmp_path, drive):
    t, v, i = drive
    path = tmp_path / "k.csv"
    header = "Item,Smu1.Time[1][1],Smu1.V[1][1],Smu1.I[1][1],Smu1.R[1][1]"
    write(path, header, np.arange(len(t)), t, v, i - 6e-10, v, end=",\r\n")
    sweep = read_sweep(path, meta={"device": "resistor"})
    np.testing.assert_allclose(sweep.t, t)
    np.testing.assert_allclose(sweep.v, v)
    np.testing.assert_allclose(sweep.i, i, atol=1e-15)
    assert sweep.meta["offset"] == pytest.approx(-6e-10)
    assert sweep.meta["device"] == "resistor"
    assert not sweep.censored.any()
    assert read_sweep(path, offset="none").i[0] == pytest.approx(-6e-10)
    assert read_sweep(path, offset=1e-9).i[0] == pytest.approx(-1.6e-9)


def test_no_time_column_needs_a_rate(tmp_path, drive):
    t, v, i = drive
    path = write(tmp_path / "d.csv", "V1,I1,absI", v, i, abs(i), end="\r\n")
    with pytest.raises(InputError, match=r"d\.csv has no time column: give the sweep rate"):
        read_sweep(path)
    np.testing.assert_allclose(read_sweep(path, sweep_rate=0.2).t, t)
    loop = read_sweep(path, frequency=10.0)
    np.testing.assert_allclose(loop.t, np.linspace(0.0, 0.1, len(t)))
    assert loop.meta["periods"] == 1.0
    with pytest.raises(InputError, match="sweep rate must be positive"):
        read_sweep(path, sweep_rate=0.0)
    with pytest.raises(InputError, match="frequency must be positive"):
        read_sweep(path, frequency=-1.0)


def test_a_held_point_takes_one_step(tmp_path):
    v = np.array([0, 1, 2, 2, 1, 0, -1, -2, -2, -1, 0]) / 10
    path = write(tmp_path / "d.csv", "V1,I1", v, v)
    np.testing.assert_allclose(np.diff(read_sweep(path, sweep_rate=0.1).t), 1.0)


def test_column_map_units_polarity_and_tester(tmp_path, drive):
    t, v, i = drive
    path = write(tmp_path / "m.txt", "", t * 1e3, v * 1e3, i * 1e6, separator="\t")
    sweep = read_sweep(
        path,
        columns={"t": 0, "v": 1, "i": 2},
        units={"t": "ms", "v": "mV", "i": "uA"},
        polarity=-1,
        r_tester=5e3,
        name="mine",
    )
    np.testing.assert_allclose(sweep.t, t, atol=1e-9)
    np.testing.assert_allclose(sweep.v, -v, atol=1e-9)
    np.testing.assert_allclose(sweep.i, -i, atol=1e-9)
    assert sweep.meta["r_tester"] == 5e3
    assert sweep.name == "mine"


def test_units_from_the_header_after_a_preamble(tmp_path, drive):
    t, v, i = drive
    path = write(
        tmp_path / "h.csv",
        "B1500 export\nTime (ms);Voltage [mV];Current (µA)",
        t,
        v,
        i,
        separator=";",
    )
    sweep = read_sweep(path)
    np.testing.assert_allclose(sweep.t, t * 1e-3)
    np.testing.assert_allclose(sweep.i, i * 1e-6, atol=1e-15)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "is empty"),
        ("time,voltage,current\n", {}, "holds no row of numbers"),
        (
            "time,potential,current\n0,1,2\n",
            {},
            "known to be the voltage .*time, potential, current.*name it",
        ),
        ("0,1,2\n1,2,3\n", {}, "3 columns without names"),
        ("t,v,i\n0,0,0\n1,1\n", {}, r"line 3: 2 fields, expected 3"),
        ("t,v,i\n0,0,0\n1,x,1\n", {}, r"line 3, column 2: expected a number, got 'x'"),
        ("t,v,i\n0,0,0\n1,nan,1\n", {}, r"line 3: voltage \(v\) is no finite number"),
        ("t,v,i\n0,0,0\n,1,1\n", {}, r"line 3: time \(t\) is no finite number"),
        ("t,v,i\n0,0,nan\n1,1,\n", {}, r"bad\.csv: no current was measured"),
        ("t,v,i\n0,0,0\nend\n1,1,1\n", {}, r"line 3: words between the rows of numbers"),
        ("t;v;i\n1,000;1,000;1,000\n", {}, r"line 2: 1,000 may have a decimal comma"),
        ("t,v,i [V]\n0,0,0\n1,1,1\n", {}, "'V' can't be the unit here, expected A"),
        ("t,v,i\n0,0,0\n", {"units": {"v": "parsec"}}, "'parsec' can't be the unit"),
        ("t,v,i\n0,0,0\n", {"columns": {"v": "volt"}}, r"no column 'volt' for the voltage"),
        ("t,v,i\n0,0,0\n", {"columns": {"v": 7}}, r"has 3 columns, there is no column 7"),
        ("t,v,i\n0,0,0\n1,1,1\n", {}, "2 points are too few"),
        ("t,v,i\n0,0,0\n", {"offset": "auto"}, "offset must be a current"),
        ("t,v,i\n0,0,0\n", {"polarity": 2}, "polarity must be 1 or -1"),
        ("t,v,i\n0,0,0\n", {"r_tester": -1.0}, "tester's resistor"),
    ],
)
def test_bad_files_are_named(tmp_path, text, options, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_sweep(path, **options)
    if not {"polarity", "r_tester"} & set(options):
        assert "bad.csv" in str(caught.value)


def test_missing_binary_and_damaged_files(tmp_path):
    with pytest.raises(InputError, match=r"can't read .*none.csv: No such file"):
        read_sweep(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"\x89HDF\0\0\0")
    with pytest.raises(InputError, match="binary file"):
        read_sweep(tmp_path / "b.csv")
    (tmp_path / "g.csv").write_bytes(b"\x1f\x8bno")
    with pytest.raises(InputError, match="can't read"):
        read_sweep(tmp_path / "g.csv")


def test_time_must_increase(tmp_path, drive):
    t, v, i = drive
    t = t.copy()
    t[5] = t[3]
    path = write(tmp_path / "d.csv", "t,v,i", t, v, i)
    with pytest.raises(InputError, match=r"time does not increase at point 6.*--sweep-rate"):
        read_sweep(path)


def test_compliance_is_marked_unless_the_voltage_stands_still():
    v = np.concatenate([np.linspace(0, 1, 101), np.linspace(0.99, 0, 100)])
    i = np.minimum(v**3, 0.5)
    cut = find_limits(v, i)
    np.testing.assert_array_equal(cut, i >= 0.499)
    known = find_limits(v, np.minimum(v**3, 0.9), compliance=0.5)
    assert known.sum() == 2 * np.sum(v[:101] ** 3 >= 0.5) - 1
    held = np.minimum(v, 0.8)
    assert not find_limits(held, held**3).any()


def test_a_stuck_range_is_marked(rng):
    v = -np.linspace(0, 2, 201)
    i = -1e-9 * np.exp(-6 * v)
    clean = find_limits(v, i)
    assert not clean.any()
    stuck = (np.abs(i) > 0.9e-6) & (np.abs(i) < 6e-6)
    saw = 1e-6 * (0.85 + 0.1 * (np.arange(201) % 4))
    np.testing.assert_array_equal(find_limits(v, np.where(stuck, -saw, i)) & stuck, stuck)


PREFIXES = {"f": -15, "p": -12, "n": -9, "u": -6, "µ": -6, "μ": -6, "m": -3, "": 0, "k": 3}


@given(st.sampled_from(sorted(PREFIXES)), st.sampled_from(["V", "A", "s", "ohm", "Ω", "S"]))
def test_units(prefix, unit):
    expected = "ohm" if unit == "Ω" else unit
    assert si_factor(prefix + unit, expected, "x") == pytest.approx(10.0 ** PREFIXES[prefix])


@pytest.mark.parametrize("unit", ["MA", "MV", "MS"])
def test_capitals_are_not_taken_for_mega(unit):
    with pytest.raises(InputError, match=f"'{unit}' can't be the unit here"):
        si_factor(unit, unit[1], "x")


def test_whole_numbers_and_blanks_as_separator(tmp_path):
    (tmp_path / "a.dat").write_text("# comment\n1 2\n3   4\n")
    block = read_block(tmp_path / "a.dat")
    np.testing.assert_array_equal(block.values, [[1, 2], [3, 4]])
    assert block.header == ()


def test_records_round_trip(tmp_path, drive, rng):
    t, v, i = drive
    kept = [
        Sweep("s", t, v, i, np.abs(v) > 0.9, {"area": 1e-9, "licence": "CC0"}),
        PulseTrain(
            "p", np.where(np.arange(12) < np.array([[12], [9]]), 1e-3, np.nan), "S", {"v_read": 0.1}
        ),
        Relaxation("r", np.array([0.0, 1.0]), rng.random((5, 2)), np.arange(5)),
        Table("t", {"a": np.arange(3.0)}, {"a": "ohm"}),
    ]
    for measurement in kept:
        path = save_measurement(measurement, tmp_path / "m.h5")
        back = load_measurement(path)
        assert type(back) is type(measurement)
        assert back.digest == measurement.digest
        assert back.name == measurement.name
        assert dict(back.meta) == dict(measurement.meta)


def test_a_damaged_record_is_refused(tmp_path, drive):
    import h5py

    t, v, i = drive
    path = save_measurement(Sweep("s", t, v, i, v > 2), tmp_path / "m.h5")
    with h5py.File(path, "r+") as file:
        file["i"][3] = 1.0
    with pytest.raises(InputError, match="damaged"):
        load_measurement(path)


def test_pulse_trains_refuse_gaps_and_short_ramps():
    g = np.full((2, 10), 1e-3)
    g[1, 5] = np.nan
    with pytest.raises(InputError, match="ramp 2 has a gap"):
        PulseTrain("p", g)
    with pytest.raises(InputError, match="ramp 1 has 3 pulses"):
        PulseTrain("p", g[:1, :3])
    with pytest.raises(InputError, match="no unit of conductance"):
        PulseTrain("p", g[:1], "ohm")


@pytest.mark.data
def test_nbsto_dialects():
    for path in fetch("nbsto-groningen-iv", "*Radius 32*p1V_m2V*"):
        sweep = read_sweep(path)
        assert len(sweep.t) == 601
        assert sweep.i.max() == pytest.approx(11e-3, rel=0.1)
        assert -1e-9 < sweep.meta["offset"] < 0
        assert not sweep.censored.any()
    (path,) = fetch("nbsto-groningen-iv", "*small*m2V_0.01V*")
    plateau = read_sweep(path, sweep_rate=0.12)
    assert plateau.censored.sum() > 80
    level = np.abs(plateau.i[plateau.censored])
    assert ((level > 5e-7) & (level < 1.4e-6) | (level > 5e-6) & (level < 1.4e-5)).all()


@pytest.mark.data
def test_area_scaling_of_the_two_radii():
    """Before the first switching the currents go with the area; where r_s limits them they don't."""
    sweeps = {
        radius: [
            read_sweep(path)
            for path in fetch("nbsto-groningen-iv", f"*Radius {radius} um/0*p1V_m2V*")
        ]
        for radius in (32, 100)
    }

    def mean_log(radius, v):
        return np.mean([np.log(np.interp(v, s.v[:101], s.i[:101])) for s in sweeps[radius]], axis=0)

    low = np.exp(mean_log(100, [0.05, 0.1, 0.2, 0.3]) - mean_log(32, [0.05, 0.1, 0.2, 0.3]))
    np.testing.assert_allclose(low, (100 / 32) ** 2, rtol=0.17)
    assert np.exp(mean_log(100, 1.0) - mean_log(32, 1.0)) < 1.5


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_relaxation_needs_finite_read_times(wrong):
    with pytest.raises(InputError, match="read times must be finite"):
        Relaxation("r", np.array([1.0, 2.0, wrong]), np.ones((2, 3)), np.zeros(2, int))


def test_a_sweep_faster_than_any_instrument_is_refused():
    t = np.arange(20.0)
    with pytest.raises(InputError, match=r"1e-308 s pass before point 2.*lower sweep rate"):
        Sweep("s", t * 1e-308, t, t, np.zeros(20, bool))
    with pytest.raises(InputError, match=r"v is 1e.300 at point 2, beyond"):
        Sweep("s", t, np.where(t == 1, 1e300, t), t, np.zeros(20, bool))
