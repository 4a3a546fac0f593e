"""Files in the dialects of laboratories give the same volts, amperes and siemens, or a sentence."""

import contextlib
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from memtwin.cli.verbs.devices.data import app
from memtwin.data.errors import InputError
from memtwin.data.importers.arrays import read_ramps, read_response
from memtwin.data.importers.headings import parse_heading
from memtwin.data.importers.sweeps import read_sweep, read_sweeps
from memtwin.data.measurement import Sweep, load_measurement

SWEEPS = Path(__file__).parents[2] / "shared" / "cases" / "sweeps"
T = np.linspace(0.0, 0.02, 41)
V = 0.45 * np.sin(2 * np.pi * T / 0.02)
CURRENT = V * np.where(np.diff(V, prepend=0.0) > 0, 4e-3, 7e-3)

SCALES = {
    "": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "n": 1e-9, "k": 1e3,
}  # fmt: skip
NAMES = {
    "t": ("t", "Time", "time", "Zeit", "Elapsed time", "TIME"),
    "v": ("V", "v", "Voltage", "V1", "Spannung", "U", "Smu1.V", "Applied voltage", "AV"),
    "i": ("I", "i", "Current", "I1", "Strom", "Smu1.I", "Measured current", "CURRENT", "AI"),
}
UNITS = {"t": ("s", "sec"), "v": ("V", "Volts", "volt"), "i": ("A", "Amps", "amp")}
SHAPES = (
    "{name} ({unit})",
    "{name}({unit})",
    "{name} [{unit}]",
    "{name} / {unit}",
    "{name}/{unit}",
    "{name}_{unit}",
    "{name} {unit}",
    "{name}.{unit}",
    "{name} in {unit}",
    "row",
    "bracketed row",
    "unit alone",
)


@st.composite
def dialects(draw):
    """A text file of the loop, and the current's resolution in it."""
    separator = draw(st.sampled_from([",", ";", "\t"]))
    comma = separator != "," and draw(st.booleans())
    shape = draw(st.sampled_from(SHAPES))
    names, row, columns, written = [], [], [], {}
    for key, values in draw(st.permutations([("t", T), ("v", V), ("i", CURRENT)])):
        prefix = draw(st.sampled_from(sorted(SCALES)))
        base = draw(st.sampled_from(UNITS[key] if len(prefix) != 1 else UNITS[key][:1]))
        unit, name = prefix + base, draw(st.sampled_from(NAMES[key]))
        written[key] = unit
        if shape == "unit alone":
            names.append(unit)
        elif shape.endswith("row"):
            names.append(name)
            row.append(f"[{unit}]" if shape == "bracketed row" else unit)
        else:
            names.append(shape.format(name=name, unit=unit))
        columns.append([f"{value / SCALES[prefix]:.9e}" for value in values])
    lines = ["made by a test"] if draw(st.booleans()) else []
    mark = draw(st.sampled_from(["", "# "]))
    lines += [mark + separator.join(line) for line in (names, row) if line]
    if draw(st.booleans()):
        lines[-1 - bool(row)] += f"{separator}Status"
        lines[-1] += f"{separator}-" if row else ""
        columns.append(["OK"] * len(T))
    numbers = [separator.join(words) for words in zip(*columns, strict=True)]
    lines += [line.replace(".", ",") for line in numbers] if comma else numbers
    lines += draw(st.sampled_from([[], ["End of measurement"], [separator * 2]]))
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines) + "\n"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(text=dialects(), encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_a_loop_is_the_same_in_every_dialect(tmp_path, text, encoding):
    path = tmp_path / "loop.txt"
    path.write_bytes(text.encode(encoding))
    sweep = read_sweep(path, offset="none")
    np.testing.assert_allclose(sweep.t, T, rtol=1e-8, atol=1e-15)
    np.testing.assert_allclose(sweep.v, V, rtol=1e-8, atol=1e-15)
    np.testing.assert_allclose(sweep.i, CURRENT, rtol=1e-8, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "quantity", "unit"),
    [
        ("I / mA", "current", ("A", 1e-3)),
        ("I/(µA)", "current", ("A", 1e-6)),
        ("current_mA", "current", ("A", 1e-3)),
        ("ImA", "current", ("A", 1e-3)),
        ("Strom (μA)", "current", ("A", 1e-6)),
        ("Current..mA.", "current", ("A", 1e-3)),
        ("current (microamps)", "current", ("A", 1e-6)),
        ("Smu1.I[1][1]", "current", None),
        ("Current (SMU1) [nA]", "current", ("A", 1e-9)),
        ("Amps", "current", ("A", 1.0)),
        ("Volt", "voltage", ("V", 1.0)),
        ("Voltage", "voltage", None),
        ("mV", "voltage", ("V", 1e-3)),
        ("R (k\N{OHM SIGN})", "resistance", ("ohm", 1e3)),
        ("G_1 [µS]", "conductance", ("S", 1e-6)),
        ("U V", "voltage", ("V", 1.0)),
        ("u mV", "voltage", ("V", 1e-3)),
        ("TIME (S)", "time", ("s", 1.0)),
        ("t_min", "time", ("s", 60.0)),
        ("I at 0.1 V", None, None),
        ("I @ 0.1 V", "current", None),
        ("Vgate (V)", None, ("V", 1.0)),
        ("pulse voltage (V)", None, ("V", 1.0)),
        ("-I", None, None),
        ("log |I| (A)", "current", ("A", 1.0)),
    ],
)
def test_a_name_is_quantity_and_unit(name, quantity, unit):
    heading = parse_heading(name)
    assert heading.quantity == quantity
    assert (heading.unit and (heading.unit.si, heading.unit.factor)) == unit


def write(path, names, *columns):
    rows = [names, *(map(str, row) for row in zip(*columns, strict=False))]
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")
    return path


@pytest.mark.parametrize(
    ("current", "options", "message"),
    [
        ("I / V", {}, "I / V: 'V' can't be the unit here, expected A"),
        ("I (mA/cm²)", {}, "'mA/cm²' can't be the unit here, expected A"),
        ("I/mA cm-2", {}, "'mA cm-2' can't be the unit here"),
        ("CURRENT (MA)", {}, "'MA' can't be the unit here"),
        ("Volt", {"columns": {"v": 1, "i": 2}}, "Volt: 'V' can't be the unit here, expected A"),
        ("Volt", {"columns": {"v": 1, "i": 2}, "units": {"i": "A"}}, "'V' can't be the unit here"),
        ("Voltage 2", {"columns": {"i": 2}}, "by its name this is a voltage, not a current"),
        ("I*1000", {"columns": {"i": 2}}, "can't be the unit here"),
        ("I<mA>", {"columns": {"i": 2}}, "'mA' can't be the unit here"),
        ("absI", {}, "magnitude of the current.*--magnitude"),
        ("|I| (A)", {}, "magnitude of the current.*--magnitude"),
        ("Gain", {}, "no column that is known to be the current"),
    ],
)
def test_a_unit_that_contradicts_its_use_is_refused(tmp_path, current, options, message):
    path = write(tmp_path / "x.csv", ("t", "v", current), T, V, CURRENT)
    with pytest.raises(InputError, match=message) as caught:
        read_sweep(path, **options)
    assert "x.csv" in str(caught.value)


def test_a_unit_given_says_what_the_name_leaves_open(tmp_path):
    path = write(tmp_path / "x.csv", ("t", "v", "I<mA>"), T, V, CURRENT)
    sweep = read_sweep(path, columns={"i": "I<mA>"}, units={"i": "mA"}, offset="none")
    np.testing.assert_allclose(sweep.i, 1e-3 * CURRENT)


def test_a_row_of_units_has_to_agree_with_the_names(tmp_path):
    path = tmp_path / "x.txt"
    rows = "\n".join(f"{t}\t{v}\t{i}" for t, v, i in zip(T, V, CURRENT, strict=True))
    path.write_text(f"Time\tVoltage\tCurrent (A)\ns\tV\tmA\n{rows}\n")
    with pytest.raises(InputError, match="'A and mA' can't be the unit here"):
        read_sweep(path)


def test_two_columns_alike_are_not_chosen_from(tmp_path):
    path = write(tmp_path / "x.csv", ("t", "V", "I (A)", "I (mA)"), T, V, CURRENT, 1e3 * CURRENT)
    with pytest.raises(InputError, match=r"'I \(A\)' \(column 2\) and 'I \(mA\)' \(column 3\)"):
        read_sweep(path)
    np.testing.assert_allclose(read_sweep(path, columns={"i": 3}, offset="none").i, CURRENT)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_a_damaged_file_is_read_or_refused(tmp_path, data):
    text = data.draw(dialects())
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(text)))
        junk = st.sampled_from(
            [",", ";", "\n", '"', "nan", "1e999", "#", "[", "9" * 5000, "-", "|"]
        )
        text = text[:at] + data.draw(junk) + text[at + data.draw(st.integers(0, 40)) :]
    path = tmp_path / "x.csv"
    path.write_text(text)
    for read in (read_sweeps, read_ramps, read_response):
        with warnings.catch_warnings(), contextlib.suppress(InputError):
            warnings.simplefilter("ignore", UserWarning)
            read(path)


# The offset at 0 V


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    offset=st.floats(-1e-7, 1e-7).filter(lambda x: abs(x) > 1e-9),
    noise=st.sampled_from([0.0, 1e-10, 1e-9]),
    seed=st.integers(0, 30),
)
def test_readings_that_agree_are_an_offset(tmp_path, offset, noise, seed):
    v = np.concatenate(
        [np.linspace(0, 1, 101), np.linspace(0.99, -1, 199), np.linspace(-0.99, 0, 100)]
    )
    error = noise * np.random.default_rng(seed).uniform(-1.0, 1.0, len(v))
    path = write(
        tmp_path / "o.csv", ("t", "v", "i"), np.arange(len(v)), v, 1e-4 * v + offset + error
    )
    sweep = read_sweep(path)
    assert sweep.meta["offset"] == pytest.approx(offset, abs=noise + 1e-12)


@pytest.mark.parametrize("last", [-6.9e-7, 1e-8, 3e-7])
@pytest.mark.parametrize("curve", [0.0, 3.0])
@pytest.mark.parametrize("first", [0.0, 2e-8, 1.5e-7])
def test_readings_that_disagree_are_left_alone(tmp_path, first, last, curve):
    """One branch of 1.35 µS, one of 500 µS that was read in another range."""
    if first == last:
        pytest.skip("they agree")
    up = np.linspace(0, 1, 21)
    v = np.concatenate([up, up[-2::-1]])
    shape = np.sinh(curve * v) / curve if curve else v
    i = np.where(np.arange(41) < 21, 1.35e-6, 5e-4) * shape
    i[0], i[-1] = first, last
    path = write(tmp_path / "off.csv", ("Time", "V", "I"), np.arange(41), v, i)
    with pytest.warns(UserWarning, match=r"off\.csv: the readings at 0 V disagree") as caught:
        sweep = read_sweep(path)
    for value in (first, last):
        assert f"{value:.3g}" in str(caught[0].message)
    np.testing.assert_array_equal(sweep.i, i)
    assert sweep.meta["offset"] == 0.0
    assert read_sweep(path, offset=1e-9).meta["offset"] == 1e-9


def test_one_reading_at_zero_proves_nothing(tmp_path):
    v = np.linspace(0, 1, 41)
    path = write(tmp_path / "one.csv", ("t", "v", "i"), np.arange(41), v, 1e-6 * v + 1e-8)
    with pytest.warns(UserWarning, match=r"one reading at 0 V \(1e-08 A\)"):
        assert read_sweep(path).meta["offset"] == 0.0


# Periods


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    periods=st.sampled_from([1, 2, 3, 7, 1.5, 2.25, 4.6]),
    per_period=st.integers(20, 300),
    corners=st.sampled_from(
        ["sine", "cosine", [0, 1, -1, 0], [0, 1, 0], [0, 1, 0, -2, 0], [-1, 2, -1]]
    ),
    closed=st.booleans(),
    noise=st.sampled_from([0.0, 2e-3]),
)
def test_periods_are_counted(tmp_path, periods, per_period, corners, closed, noise):
    count = round(periods * per_period)
    phase = np.arange(count + closed) * periods / count
    if isinstance(corners, str):
        v = np.sin(2 * np.pi * (phase + 0.25 * (corners == "cosine")))
    else:
        way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(corners)))])
        v = np.interp(phase % 1.0, way / way[-1], corners)
    v = v + noise * np.random.default_rng(count).standard_normal(len(v))
    path = write(tmp_path / "p.csv", ("v", "i"), v, 1e-3 * v)
    sweep = read_sweep(path, frequency=50.0, offset="none")
    # a step of the first period is all that may be unknown
    assert sweep.t[-1] == pytest.approx(phase[-1] / 50.0, rel=1.5 / per_period)
    assert sweep.meta["periods"] == pytest.approx(periods, rel=1.5 / per_period)


def test_what_is_no_period_is_refused(tmp_path):
    for corners, message in (
        ([0, 1, 0, -1], "began at 0 V, so the file holds no whole period"),
        ([0, 1, 0, 1.5, 0, 2, 0], "turns 5 times and does not repeat itself"),
    ):
        v = np.interp(np.linspace(0, 1, 121), np.linspace(0, 1, len(corners)), corners)
        path = write(tmp_path / "p.csv", ("v", "i"), v, 1e-3 * v)
        with pytest.raises(InputError, match=message):
            read_sweep(path, frequency=50.0)
    with pytest.raises(InputError, match="not both"):
        read_sweep(path, frequency=50.0, sweep_rate=1.0)


def test_import_says_how_many_periods_it_counted(tmp_path):
    v = np.tile(V[:-1], 2)
    path = write(tmp_path / "p.csv", ("v", "i"), v, 4e-3 * v)
    arguments = ["import", str(path), str(tmp_path / "p.h5"), "--frequency", "50"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    assert "p.csv: 2 periods counted" in result.stderr
    sweep = load_measurement(tmp_path / "p.h5")
    assert sweep.meta["periods"] == 2.0
    np.testing.assert_allclose(np.diff(sweep.t), 0.02 / 40)


# Ramps and responses

G = 1e-4 + 1e-6 * np.arange(20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    prefix=st.sampled_from(["", "m", "u", "µ", "n", "k"]),
    what=st.sampled_from(
        [("G", "S"), ("Conductance", "S"), ("I", "A"), ("Current", "A"), ("R", "Ω"), ("R", "ohm")]
    ),
    shape=st.sampled_from(SHAPES[:-3]),
    kind=st.sampled_from([read_ramps, read_response]),
)
def test_ramps_honour_names_and_units(tmp_path, prefix, what, shape, kind):
    name, unit = what
    values = {"S": G, "A": 0.1 * G}.get(unit, 1.0 / G) / SCALES[prefix]
    names = [shape.format(name=f"{name}{k}", unit=prefix + unit) for k in (1, 2)]
    path = write(tmp_path / "r.csv", names, values, values[::-1])
    found = kind(path, v_read=0.1)
    g = found.g if kind is read_ramps else np.array([train.g[0] for train in found])
    np.testing.assert_allclose(g, [G, G[::-1]], rtol=1e-12)


@pytest.mark.parametrize("read", [read_ramps, read_response])
@pytest.mark.parametrize(
    "name",
    ["pulse", "Pulse #", "index", "n", "voltage", "V", "V_prog (V)", "width", "pulsewidth",
     "Width (ns)", "time", "t (s)", "Time / ms", "us", "cycle", "amplitude", "Temperature"],
)  # fmt: skip
def test_what_was_applied_is_no_ramp(tmp_path, read, name):
    path = write(tmp_path / "r.csv", (name, "G (µS)"), np.arange(20), 1e6 * G)
    with pytest.raises(InputError, match=r"r\.csv, .* --column g=NAME|can't be the unit") as caught:
        read(path, v_read=0.1)
    assert name in str(caught.value)
    both = write(tmp_path / "b.csv", (name, "G (µS)", "up"), np.arange(20), 1e6 * G, G)
    np.testing.assert_allclose(read_ramps(both, columns=["G (µS)"]).g, [G])


def test_ramps_without_names(tmp_path):
    path = tmp_path / "r.csv"
    np.savetxt(path, np.c_[np.arange(20), 1e6 * G], delimiter=",")
    with pytest.raises(InputError, match=r"column 1 counts 0, 1, 2 .*g=1:uS"):
        read_ramps(path, v_read=0.1)
    np.testing.assert_allclose(read_ramps(path, columns=[1], unit="uS").g, [G])
    np.savetxt(path, 1e6 * G)
    with pytest.raises(
        InputError, match=r"reaches 1\.19e\+03 S, beyond any device's: give the unit"
    ):
        read_ramps(path, v_read=0.1)
    with pytest.raises(InputError, match="give the read voltage"):
        read_ramps(path)
    mixed = write(tmp_path / "m.csv", ("I (A)", "G (S)"), 0.1 * G, G)
    with pytest.raises(InputError, match="columns of conductance and of current"):
        read_ramps(mixed, v_read=0.1)


def test_a_table_of_pulses_through_the_command_line(tmp_path):
    path = write(
        tmp_path / "p.csv", ("pulse", "V (V)", "width (ns)", "G (µS)"),
        np.arange(20), np.ones(20), 100 * np.ones(20), 1e6 * G,
    )  # fmt: skip
    record = tmp_path / "p.h5"
    refused = CliRunner().invoke(app, ["import", str(path), str(record), "--kind", "ramps"])
    assert refused.exit_code == 2
    assert "pulse: by its name this is a count" in refused.stderr
    arguments = ["import", str(path), str(record), "--kind", "ramps", "--column", "g=G"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    np.testing.assert_allclose(load_measurement(record).g, [G])


# The instruments' own dialects


def lines(separator=",", scale=1.0, prefix=""):
    return [
        prefix + separator.join(f"{value:.9g}" for value in (t, v, scale * i))
        for t, v, i in zip(T, V, CURRENT, strict=True)
    ]


HEAD = "Time (s),Voltage (V),Current (A)"
EASY_EXPERT = ["SetupTitle, I/V Sweep", "TestParameter, Channel.IName, I1, I2",
               "Dimension1, 41, 41, 41", "DataName, Time, V1, I1", *lines(prefix="DataValue, ")]  # fmt: skip
LABVIEW = ["LabVIEW Measurement\t", "Separator\tTab", "***End_of_Header***\t", "\t",
           "Channels\t2\t\t", "X_Dimension\tTime\tTime\t", "Y_Unit_Label\tVolts\tmA\t",
           "***End_of_Header***\t\t\t", "X_Value\tVoltage\tCurrent\tComment",
           *lines("\t", 1e3)]  # fmt: skip
WHOLE = {
    "easyexpert": EASY_EXPERT,
    "labview": LABVIEW,
    "k4200": ["Time,AV,AI", *lines()],
    "comment": ["# time,voltage,current", *lines()],
    "blanks": ["# Time (s) Voltage (V) Current (mA)", *lines(" ", 1e3)],
    "origin": ["Time\tVoltage\tCurrent", "s\tV\tmA", "\tapplied\tread", *lines("\t", 1e3)],
    "german": ["Zeit (s);Spannung (V);Strom (mA)",
               *(line.replace(".", ",") for line in lines(";", 1e3))],
    "status": [HEAD + ",Status", *(line + ",OK" for line in lines())],
    "footer": [HEAD, *lines(), "", "End of measurement"],
    "error cell": [HEAD + ",X", *(f"{line},{'#REF!' if k < 2 else 1}"
                                  for k, line in enumerate(lines()))],
}  # fmt: skip


@pytest.mark.parametrize("dialect", WHOLE)
def test_instruments_dialects(tmp_path, dialect):
    path = tmp_path / "x.txt"
    path.write_text("\n".join(WHOLE[dialect]) + "\n")
    sweep = read_sweep(path, offset="none")
    np.testing.assert_allclose(np.array([sweep.t, sweep.v, sweep.i]), [T, V, CURRENT], rtol=1e-8)
    assert not sweep.censored.any()


def test_a_file_of_several_sweeps(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("\n".join([HEAD, *lines(), HEAD, *lines()]))
    with pytest.raises(InputError, match="holds 2 sweeps"):
        read_sweep(path)
    stacked = read_sweeps(path, offset="none")
    path.write_text(
        "\n".join(["Cycle," + HEAD, *(f"{k},{line}" for k in (1, 2) for line in lines())])
    )
    for found in (stacked, read_sweeps(path, offset="none")):
        assert [sweep.name for sweep in found] == ["x.csv, sweep 1", "x.csv, sweep 2"]
        for sweep in found:
            np.testing.assert_allclose(sweep.i, CURRENT, rtol=1e-8)
    result = CliRunner().invoke(app, ["import", str(path), str(tmp_path / "x.h5")])
    assert result.exit_code == 0, result.stderr
    assert isinstance(load_measurement(tmp_path / "x_2.h5"), Sweep)


@pytest.mark.parametrize("missing", ["NaN", "", "9.91e37", "#REF!"])
def test_a_missing_current_is_censored_and_said(tmp_path, missing):
    currents = [missing if k == 7 else value for k, value in enumerate(CURRENT)]
    path = write(tmp_path / "x.csv", ("t", "v", "i"), T, V, currents)
    with pytest.warns(
        UserWarning, match=r"x\.csv: 1 of 41 currents are missing, the first at point 8"
    ):
        sweep = read_sweep(path, offset="none")
    assert np.flatnonzero(sweep.censored).tolist() == [7]


def test_a_magnitude_gets_the_sign_of_its_voltage(tmp_path):
    for name in ("absI", "i"):
        path = write(tmp_path / "x.csv", ("t", "v", name), T, V, abs(CURRENT))
        with pytest.raises(InputError, match="--magnitude"):
            read_sweep(path)
        np.testing.assert_allclose(read_sweep(path, magnitude=True, offset="none").i, CURRENT)


@pytest.mark.skipif(not SWEEPS.is_dir(), reason="the files lie beside a checkout, if at all")
@pytest.mark.filterwarnings("ignore:.*(missing|readings at 0 V)")
@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*")), ids=lambda path: path.name)
def test_measured_files(path):
    if path.name in ("off.csv", "ref_first.csv"):
        assert all(sweep.meta["offset"] == 0.0 for sweep in read_sweeps(path))
        return
    options = {
        "k2400.csv": {"columns": {"v": 0, "i": 1, "t": 3}},
        "absI.csv": {"magnitude": True},
    }.get(path.name, {})
    sweeps = read_sweeps(path, **options)
    assert len(sweeps) == (2 if path.name in ("stacked_headers.csv", "cycle_column.csv") else 1)
    assert max(sweep.i.max() for sweep in sweeps) == pytest.approx(3.4222e-3, rel=1e-4)
    assert min(sweep.i.min() for sweep in sweeps) == pytest.approx(-1.8948e-3, rel=1e-4)
    assert sum(sweep.t[-1] for sweep in sweeps) == pytest.approx(0.02)
