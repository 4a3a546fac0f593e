"""One loop in the dialects of laboratories: whatever it is written in, its own numbers come back."""

import csv
import datetime
import io
import warnings

import h5py
import numpy as np
import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from memtwin.data.errors import InputError
from memtwin.data.importers.readers import read_measurement
from memtwin.data.importers.sweeps import read_sweeps
from memtwin.devices.device import load_device

T = np.linspace(0.0, 0.02, 201)
V = 0.45 * np.sin(2 * np.pi * 100.0 * T)
CURRENT = load_device("yakopcic_oblea").simulate(T, V, 0.11).i
CURRENTS = {"A": 1.0, "mA": 1e-3, "µA": 1e-6, "nA": 1e-9}


def same(sweep, v=V, i=CURRENT, t=T, rtol=1e-8):
    # what was written has nine digits; a tenth of a nanoampere is none of the loop's
    np.testing.assert_allclose(sweep.t - sweep.t[0], t - t[0], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(sweep.v, v, rtol=rtol, atol=1e-9)
    np.testing.assert_allclose(sweep.i, i, rtol=rtol, atol=1e-12)


def read(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return read_sweeps(path, offset="none", **options)


def table(separator, mark, *columns, digits="{:.9e}"):
    rows = zip(*([digits.format(value) for value in column] for column in columns), strict=True)
    return [separator.join(row).replace(".", mark) for row in rows]


HEADERS = {
    "brackets": lambda unit: (["Time (s)", "Voltage (V)", f"Current ({unit})"],),
    "slash": lambda unit: (["t / s", "V / V", f"I / {unit}"],),
    "underscore": lambda unit: (["t_s", "V_V", f"I_{unit}"],),
    "row": lambda unit: (["Time", "Voltage", "Current"], ["s", "V", unit]),
    "two rows": lambda unit: (["SMU1", "SMU1", "SMU1"], ["Zeit [s]", "Spannung [V]", f"Strom [{unit}]"]),
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize(
    ("separator", "mark"),
    [(",", "."), (";", ","), (";", "."), ("\t", ","), ("\t", "."), ("|", ".")],
)
def test_text(tmp_path, separator, mark, header, encoding):
    for (unit, factor), comment in zip(CURRENTS.items(), ("", "# ") * 2, strict=True):
        lines = [comment + separator.join(row) for row in HEADERS[header](unit)]
        lines += table(separator, mark, T, V, CURRENT / factor)
        lines += ["", "End of measurement"] if comment else []
        path = tmp_path / "loop.txt"
        path.write_bytes("\r\n".join(lines).encode(encoding))
        (sweep,) = read(path)
        same(sweep)
        assert f"as current in {unit.replace('µ', 'u')}" in sweep.meta["read"]


# Numbers


def grouped(value, mark, group):
    whole, _, part = f"{value:,.4f}".partition(".")
    return whole.replace(",", group) + mark + part


@pytest.mark.parametrize(
    ("mark", "group", "separator"),
    [(".", ",", "\t"), (",", ".", ";"), (",", " ", ";"), (",", "\u202f", ";"), (".", "'", ";"), (".", ",", ",")],
)  # fmt: skip
def test_thousands(tmp_path, mark, group, separator):
    path, text = tmp_path / "x.csv", io.StringIO()
    rows = csv.writer(text, delimiter=separator)
    rows.writerow(["t (ns)", "V (µV)", "I (nA)"])
    for row in zip(T * 1e9, V * 1e6, CURRENT * 1e9, strict=True):
        rows.writerow([grouped(value, mark, group) for value in row])
    path.write_text(text.getvalue(), encoding="utf-8")
    same(read(path)[0], rtol=1e-6)


def test_signs_and_exponents(tmp_path):
    path = tmp_path / "x.csv"
    lines = ["t (s),V (V),I (A)", *table(",", ".", T, V, CURRENT)]
    path.write_text("\n".join(lines).replace("-", "\u2212"), encoding="utf-8")
    same(read(path)[0])
    path.write_text("\n".join(lines).replace("e-", "D-").replace("e+", "D+"))
    same(read(path)[0])


def test_a_comma_that_may_be_either_is_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("t;V;I\n" + "\n".join(f"{k};{k},500;{k + 1},250" for k in range(1, 20)))
    with pytest.raises(InputError, match=r"1,500 may have a decimal comma .* \(--decimal , or"):
        read(path)
    np.testing.assert_allclose(read(path, decimal=",")[0].v, np.arange(1, 20) + 0.5)
    np.testing.assert_allclose(read(path, decimal=".")[0].v, 1e3 * np.arange(1, 20) + 500)
    path.write_text("t;V;I\n" + "\n".join(f"{k};{k},5;{k}.5" for k in range(20)))
    with pytest.raises(InputError, match=r"a decimal comma, but .* a decimal point.*--decimal"):
        read(path)


# Containers


def workbook(path, sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)


def loop_rows(head=("Time", "AV", "AI"), scale=1.0):
    return [list(head), *(list(map(float, row)) for row in zip(T, V, scale * CURRENT, strict=True))]


def test_sheets_are_sweeps(tmp_path):
    path = tmp_path / "k4200.xlsx"
    notes = [["Test Name", "vds-id"], ["Points", 201], ["Speed", "Normal"]]
    workbook(path, {"Data": loop_rows(), "Append1": loop_rows(scale=0.5), "Settings": notes})
    first, second = read(path)
    same(first)
    same(second, i=0.5 * CURRENT)
    assert (first.meta["sheet"], second.meta["sheet"]) == ("Data", "Append1")
    for name in ("Append1", "1", 1):
        same(read(path, sheet=name)[0], i=0.5 * CURRENT)
    with pytest.raises(InputError, match=r"no sheet 'Apend1' - did|no sheet 'Apend1'.*--sheet"):
        read(path, sheet="Apend1")


@pytest.mark.parametrize("shape", ["units row", "preamble", "beside notes", "texts", "dates"])
def test_workbooks(tmp_path, shape):
    path, rows = tmp_path / "x.xlsx", loop_rows(("Time (s)", "Voltage (V)", "Current (mA)"), 1e3)
    if shape == "units row":
        rows = [["Time", "Voltage", "Current"], ["s", "V", "mA"], *rows[1:]]
    elif shape == "preamble":
        rows = [["device", "D7"], ["area", 1e-12], [], *rows]
    elif shape == "beside notes":
        rows = [[None, None, *row] for row in rows]
        rows[0].append("note")
        rows[1].append("first loop")
    elif shape == "texts":
        rows = [
            rows[0],
            *([f"{value:.12g}".replace(".", ",") for value in row] for row in rows[1:]),
        ]
    elif shape == "dates":
        start = datetime.datetime(2026, 11, 26, 23, 59, 59)
        later = [start + datetime.timedelta(seconds=100 * row[0]) for row in rows[1:]]
        head = ["Time stamp", *rows[0][1:]]
        rows = [head, *([when, *row[1:]] for when, row in zip(later, rows[1:], strict=True))]
    workbook(path, {"Sheet1": rows})
    (sweep,) = read(path)
    same(sweep, t=100 * T if shape == "dates" else T)


def test_old_workbooks_and_text_that_bears_their_name(tmp_path):
    xlwt = pytest.importorskip("xlwt")
    book = xlwt.Workbook()
    for name, scale in (("Data", 1.0), ("Append1", 0.5)):
        sheet = book.add_sheet(name)
        for k, row in enumerate(loop_rows(scale=scale)):
            for column, value in enumerate(row):
                sheet.write(k, column, value)
    path = tmp_path / "k4200.xls"
    book.save(str(path))
    first, second = read(path)
    same(first)
    same(second, i=0.5 * CURRENT)
    path.write_text("\n".join(["Time\tAV\tAI", *table("\t", ".", T, V, CURRENT)]))
    same(read(path)[0])


def save_73(path):
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in (("t", T), ("v", V), ("i", CURRENT)):
            file[name] = values[None]
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


MATLAB = {
    "vectors": lambda path: savemat(path, {"t": T, "V": V, "I": CURRENT, "device": "D7", "area": 1e-12}),
    "columns": lambda path: savemat(path, {"time": T[:, None], "voltage": V[:, None], "current": CURRENT[:, None]}),
    "struct": lambda path: savemat(path, {"sweep": {"t": T, "v": V, "i_mA": 1e3 * CURRENT, "note": "loop"}}),
    "importdata": lambda path: savemat(path, {"data": np.c_[T, V, CURRENT], "colheaders": np.array(
        ["Time (s)", "Voltage (V)", "Current (A)"], object)}),
    "version 4": lambda path: savemat(path, {"t": T, "v": V, "i": CURRENT}, format="4"),
    "compressed": lambda path: savemat(path, {"t": T, "v": V, "i": CURRENT}, do_compression=True),
    "version 7.3": save_73,
}  # fmt: skip


@pytest.mark.parametrize("kind", MATLAB)
def test_matlab(tmp_path, kind):
    path = tmp_path / "x.mat"
    MATLAB[kind](path)
    (sweep,) = read(path)
    same(sweep)


def test_matlab_cycles(tmp_path):
    path = tmp_path / "x.mat"
    savemat(path, {"t": T, "v": np.c_[V, V, V], "i": np.c_[CURRENT, 0.9 * CURRENT, 0.8 * CURRENT]})
    for scale, sweep in zip((1.0, 0.9, 0.8), read(path), strict=True):
        same(sweep, i=scale * CURRENT)
    savemat(path, {"run": np.array([({"t": T, "v": V, "i": k * CURRENT}) for k in (1, 2)])})
    for scale, sweep in zip((1, 2), read(path), strict=True):
        same(sweep, i=scale * CURRENT)
    savemat(path, {"data": np.c_[T, V, CURRENT]})
    with pytest.raises(InputError, match=r"3 columns without names.*--column t=0 --column v=1"):
        read(path)
    same(read(path, columns={"t": 0, "v": 1, "i": 2})[0])


# Instruments

EASY = ["SetupTitle, I/V Sweep", "TestParameter, Measurement.Primary.Start, 0"]
LVM = ["LabVIEW Measurement\t", "Writer_Version\t2", "Separator\tTab", "Decimal_Separator\t{mark}",
       "Multi_Headings\tNo", "X_Columns\t{columns}", "***End_of_Header***\t", "\t",
       "Channels\t2\t\t", "Samples\t201\t201\t", "Y_Unit_Label\tVolts\tAmps\t", "X0\t{zero}\t{zero}\t",
       "Delta_X\t{step}\t{step}\t", "***End_of_Header***\t\t\t"]  # fmt: skip


def lvm(mark, columns):
    values = {
        "mark": mark,
        "columns": columns,
        "zero": "0" + mark + "000",
        "step": "0" + mark + "0001",
    }
    return [line.format(**values) for line in LVM]


TEK = ["Model,MSO24", "Firmware,2.5", "Sample Interval,1.0E-4", "Record Length,201", ",,", ""]
INSTRUMENTS = {
    "easyexpert": [*EASY, "Dimension1, 201, 201, 201", "Dimension2, 1, 1, 1", "DataName, Time, V1, I1",
                   *("DataValue, " + line for line in table(", ", ".", T, V, CURRENT))],
    "4200 txt": ["Time\tAnodeV\tAnodeI\tCathodeI", *table("\t", ".", T, V, CURRENT, -CURRENT)],
    "4200 two smus": ["Time,AV,AI,BV,BI", *table(",", ".", T, V, CURRENT, 0 * V, -CURRENT)],
    "kickstart": ["Index,Relative Time (s),SMU-1 Voltage (V),SMU-1 Current (A)",
                  *(f"{k},{line}" for k, line in enumerate(table(",", ".", T, V, CURRENT), 1))],
    "labview": [*lvm(".", "One"), "X_Value\tVoltage\tCurrent\tComment", *table("\t", ".", T, V, CURRENT)],
    "labview untitled": [*lvm(",", "One"), "X_Value\tUntitled\tUntitled 1\tComment", *table("\t", ",", T, V, CURRENT)],
    "labview no x": [*lvm(".", "No"), "X_Value\tVoltage\tCurrent\tComment",
                     *("\t" + line for line in table("\t", ".", V, CURRENT))],
    "origin": ["A(X)\tB(Y)\tC(Y)", "Time\tVoltage\tCurrent", "s\tV\tA", "\tapplied\tread",
               *table("\t", ".", T, V, CURRENT)],
    "columns of blanks": ["Time (s)     Applied Voltage (V)     Current (A)", *table("     ", ".", T, V, CURRENT)],
    "unequal header": ["Keysight 2900", "Date:,2026-11-26", "", "t,V,I", *table(",", ".", T, V, CURRENT)],
    "quoted": ['"Time (s)","Voltage (V)","Current (A)"', *table(",", ".", T, V, CURRENT)],
    "sep": ["sep=;", "t;V;I", *table(";", ",", T, V, CURRENT)],
    "status": ["t,V,I,Status", *(line + ",N" for line in table(",", ".", T, V, CURRENT))],
    "bang": ["! measured by a prober", "! time voltage current", *table(" ", ".", T, V, CURRENT)],
    "only units tell": ["Time (s),Stimulus (V),Response (A)", *table(",", ".", T, V, CURRENT)],
    "a summary below": ["t,V,I", *table(",", ".", T, V, CURRENT), "", "Summary", "Vset,0.3", "Vreset,-0.4"],
    "chinese": ["时间(s),电压(V),电流(A)", *table(",", ".", T, V, CURRENT)],
    "source measure": ["Time (s),Source Voltage (V),Measured Current (A)", *table(",", ".", T, V, CURRENT)],
    "labview remark": [*lvm(".", "One"), "X_Value\tVoltage\tCurrent\tComment",
                       table("\t", ".", T, V, CURRENT)[0] + "\tbegin",
                       *table("\t", ".", T, V, CURRENT)[1:]],
    "4200 settings below": ["Time,AnodeV,AnodeI", *table(",", ".", T, V, CURRENT),
                            "", "Test Name,sweep", "Compliance,0.1,0.1"],
    "units above": ["s,V,mA", "Time,Voltage,Current", *table(",", ".", T, V, 1e3 * CURRENT)],
    "trailing separators": ["t,V,I,,", *(line + ",," for line in table(",", ".", T, V, CURRENT))],
    "drain": ["TIME\tVD\tID", *table("\t", ".", T, V, CURRENT)],
    "french": ["Temps (s);Tension (V);Courant (mA)", *table(";", ",", T, V, 1e3 * CURRENT)],
    "power of ten": ["t (s),V (10^-3 V),I (10⁻⁶ A)", *table(",", ".", T, 1e3 * V, 1e6 * CURRENT)],
    "elapsed": ["Elapsed,V,I",
                *(f"0:00:{t:012.9f},{line}" for t, line in zip(T, table(",", ".", V, CURRENT), strict=True))],
    "many words": ["Index,Reading (A),Unit,Digits,Math,Group,Origin,Value (V),Unit,Output,Sense,Seconds",
                   *(f"{k},{i:.9e},Amp DC,4.5,F,F,Main,{v:.9e},Volt DC,T,2W,{t:.9e}"
                     for k, (t, v, i) in enumerate(zip(T, V, CURRENT, strict=True)))],
    "compliance column": ["t,V,I,Compliance (A)", *table(",", ".", T, V, CURRENT, np.full(201, 0.1))],
}  # fmt: skip


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_instruments(tmp_path, name):
    path = tmp_path / "loop.csv"
    path.write_text("\n".join(INSTRUMENTS[name]) + "\n", encoding="utf-8")
    (sweep,) = read(path)
    same(sweep)
    assert not sweep.censored.any()


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "utf-32"])
def test_eastern_names_without_units(tmp_path, encoding):
    path, names = tmp_path / "x.csv", ("時間,電壓,電流" if encoding == "big5" else "时间,电压,电流")
    path.write_bytes("\n".join([names, *table(",", ".", T, V, CURRENT)]).encode(encoding))
    same(read(path)[0])


@pytest.mark.parametrize("word", ["-nan(ind)", "1.#QNAN", "-1.#IND", "OVERFLOW", "+9.9E37", "---"])
def test_what_is_no_reading_is_censored(tmp_path, word):
    path, lines = tmp_path / "x.csv", table(",", ".", T, V, CURRENT)
    lines[77] = f"{T[77]:.9e},{V[77]:.9e},{word}"
    path.write_text("\n".join(["t,V,I", *lines]))
    assert np.flatnonzero(read(path)[0].censored).tolist() == [77]


def test_numbers_with_their_units_are_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("t,V,I\n" + "\n".join(f"{k} s,0.{k} V,{k} mA" for k in range(9)))
    with pytest.raises(InputError, match=r"'0 s' in line 2: .*--unit"):
        read(path)


def test_a_2400_is_read_as_it_says(tmp_path):
    stat = np.where(np.arange(201) % 50 == 49, 21508 | 8, 21508)
    path = tmp_path / "k.csv"
    lines = table(",", ".", V, CURRENT, np.full(201, 9.91e37), T, stat, digits="{:+.9E}")
    for text in ("\n".join(lines), ",".join(lines)):
        path.write_text(text)
        with pytest.raises(
            InputError, match="--column v=0 --column i=1 --column t=3 --column status=4"
        ):
            read(path)
        (sweep,) = read(path, columns={"v": 0, "i": 1, "t": 3, "status": 4})
        same(sweep)
        assert np.flatnonzero(sweep.censored).tolist() == [49, 99, 149, 199]


SCOPES = {
    "tektronix": [*TEK, "TIME,CH1,CH2", *table(",", ".", T, V, 50 * CURRENT)],
    "infiniivision": ["x-axis,1,2", "second,Volt,Volt", *table(",", ".", T, V, 50 * CURRENT)],
    "picoscope": ["Time,Channel A,Channel B", "(ms),(V),(mV)", "", *table(",", ".", 1e3 * T, V, 5e4 * CURRENT)],
    "rto": ["Time in s,C1 in V,C2 in V", *table(",", ".", T, V, 50 * CURRENT)],
    "rigol": ["X,CH1,CH2,Start,Increment,", "Sequence,Volt,Volt,0.000000e+00,1.000000e-04",
              *(f"{k},{line},," for k, line in enumerate(table(",", ".", V, 50 * CURRENT)))],
}  # fmt: skip


@pytest.mark.parametrize("name", SCOPES)
def test_oscilloscopes(tmp_path, name):
    path = tmp_path / "scope.csv"
    path.write_text("\n".join(SCOPES[name]))
    (sweep,) = read(path, shunt=50.0)
    same(sweep)
    assert sweep.meta["r_tester"] == 50.0
    assert read(path, shunt=50.0, r_tester=0.0)[0].meta.get("r_tester") is None
    with pytest.raises(InputError, match=r"\(--shunt\)"):
        read(path)


# Flags, cycles, time


@pytest.mark.parametrize(
    ("name", "good", "limited"),
    [("Status", "OK", "CMPL"), ("Status", "N", "C"), ("Flag", "", "Compliance"), ("In compliance", "FALSE", "TRUE"),
     ("Compliance", "0", "1"), ("Status", "Normal", "In Compliance"), ("Status", "ok", "current limit")],
)  # fmt: skip
def test_flags_of_compliance_censor(tmp_path, name, good, limited):
    path = tmp_path / "x.csv"
    flags = [limited if v > 0.4 else good for v in V]
    lines = [
        f"{line},{flag}" for line, flag in zip(table(",", ".", T, V, CURRENT), flags, strict=True)
    ]
    path.write_text("\n".join([f"t,V,I,{name}", *lines]))
    (sweep,) = read(path)
    np.testing.assert_array_equal(sweep.censored, V > 0.4)
    assert f"{(V > 0.4).sum()} points in compliance by column 4 '{name}'" in sweep.meta["read"]


HEAD = "t (s),V (V),I (A)"
LINES = table(",", ".", T, V, CURRENT)


def beside(names, *columns):
    return [",".join(names), *table(",", ".", *columns)]


CYCLES = {
    "headers": [HEAD, *LINES, HEAD, *LINES],
    "words": ["Cycle 1", HEAD, *LINES, "Cycle 2", *LINES],
    "comments": [HEAD, *LINES, "# cycle 2", *LINES],
    "blank lines": [HEAD, *LINES, "", "", *LINES],
    "time restarts": [HEAD, *LINES, *LINES],
    "column": ["Cycle," + HEAD, *(f"{k},{line}" for k in (1, 2) for line in LINES)],
    "cycle number": ["Cycle Number," + HEAD, *(f"{k},{line}" for k in (1, 2) for line in LINES)],
    "repeated names": beside(["t", "V", "I"] * 2, T, V, CURRENT, T, V, CURRENT),
    "numbered": beside(["t (s)", "V1 (V)", "I1 (A)", "V2 (V)", "I2 (A)"], T, V, CURRENT, V, CURRENT),
    "4200": beside(["Time(1)", "AV(1)", "AI(1)", "Time(2)", "AV(2)", "AI(2)"], T, V, CURRENT, T, V, CURRENT),
    "one voltage": beside(["t", "V", "I cycle 1", "I cycle 2"], T, V, CURRENT, CURRENT),
    "a gap between": beside(["t", "V", "I", "", "t", "V", "I"], T, V, CURRENT, np.full(201, np.nan), T, V, CURRENT),
    "sweep number": ["Sweep #,Sweep Voltage (V),Current (A),Time (s)",
                     *(f"{k},{line}" for k in (1, 2) for line in table(",", ".", V, CURRENT, T))],
    "pandas": beside(["t", "V", "I", "V.1", "I.1"], T, V, CURRENT, V, CURRENT),
    "easyexpert": [*EASY, "Dimension1, 201, 201, 201", "Dimension2, 2, 2, 2", "DataName, Time, V1, I1",
                   *("DataValue, " + line for line in 2 * LINES)],
    "easyexpert again": 2 * [*EASY, "Dimension1, 201, 201", "DataName, Time, V1, I1",
                             *("DataValue, " + line for line in LINES)],
}  # fmt: skip


@pytest.mark.parametrize("name", CYCLES)
def test_cycles_are_sweeps(tmp_path, name):
    path = tmp_path / "x.csv"
    path.write_text("\n".join(CYCLES[name]) + "\n")
    sweeps = read(path)
    assert len(sweeps) == 2
    for sweep in sweeps:
        same(sweep)


def test_a_second_header_has_units_of_its_own(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(
        "\n".join(
            [
                HEAD,
                *LINES,
                "t (ms),V (mV),I (µA)",
                *table(",", ".", 1e3 * T, 1e3 * V, 1e6 * CURRENT),
            ]
        )
    )
    for sweep in read(path):
        same(sweep)


def test_a_blank_line_within_a_sweep_is_none(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("\n".join([HEAD, *LINES[:100], "", *LINES[100:]]))
    same(read(path)[0])


START = datetime.datetime(2026, 11, 26, 23, 59, 55)
CLOCKS = {
    "iso": "%Y-%m-%dT%H:%M:%S.%f",
    "blank": "%Y-%m-%d %H:%M:%S.%f",
    "german": "%d.%m.%Y %H:%M:%S.%f",
    "american": "%m/%d/%Y %I:%M:%S.%f %p",
    "clock": "%H:%M:%S.%f",
    "half day": "%I:%M:%S.%f %p",
    "month": "%d-%b-%Y %H:%M:%S.%f",
    "weekday": "%a %b %d %H:%M:%S.%f %Y",
    "compact": "%Y%m%dT%H%M%S.%f",
    "file name": "%Y-%m-%d_%H-%M-%S.%f",
    "two digits": "%d.%m.%y %H:%M:%S.%f",
}


@pytest.mark.parametrize("name", CLOCKS)
def test_dates_and_clocks(tmp_path, name):
    """Over midnight, a hundredfold as slow."""
    path = tmp_path / "x.csv"
    stamps = [
        (START + datetime.timedelta(seconds=500 * float(t))).strftime(CLOCKS[name]) for t in T
    ]
    lines = [
        f"{stamp},{line}" for stamp, line in zip(stamps, table(",", ".", V, CURRENT), strict=True)
    ]
    path.write_text("\n".join(["Time,V (V),I (A)", *lines]))
    (sweep,) = read(path)
    np.testing.assert_allclose(sweep.t, 500 * T, atol=2e-6)
    path.write_text(
        "\n".join(["Date,Time,V (V),I (A)", *(line.replace(" ", ",", 1) for line in lines)])
    )
    if name in ("blank", "german", "american"):
        np.testing.assert_allclose(read(path)[0].t, 500 * T, atol=2e-6)


def test_time_stamps_that_repeat_are_spread(tmp_path):
    path = tmp_path / "x.csv"
    t = np.arange(201) // 10
    path.write_text("\n".join(["t,V,I", *table(",", ".", t, V, CURRENT)]))
    (sweep,) = read(path)
    np.testing.assert_allclose(sweep.t, np.arange(201) / 10)
    assert "spread evenly" in sweep.meta["read"]


# What is not a current in A

AREA = 3e-12
LOG = np.log10(np.maximum(np.abs(CURRENT), 1e-30))
OTHERS = {
    "resistance": (
        "R (kΩ)",
        np.divide(V, CURRENT, out=np.full(201, 1e3), where=np.abs(V) > 1e-9) / 1e3,
        {},
    ),
    "conductance": (
        "G (mS)",
        np.divide(CURRENT, V, out=np.full(201, 1e-3), where=np.abs(V) > 1e-9) * 1e3,
        {},
    ),
    "magnitude": ("|I| (mA)", np.abs(CURRENT) * 1e3, {"magnitude": True}),
    "abs": ("abs(I)", np.abs(CURRENT), {"magnitude": True}),
    "log10": ("log10|I|", LOG, {"magnitude": True}),
    "log10 of A": ("log10(I/A)", LOG, {"magnitude": True}),
    "ln": ("ln|I|", LOG * np.log(10), {"magnitude": True}),
    "log": ("log|I|", LOG, {"magnitude": True, "units": {"i": "log10(A)"}}),
    "density": ("J (A/cm²)", CURRENT / AREA * 1e-4, {"area": AREA}),
    "mA/cm2": ("Current density (mA/cm^2)", CURRENT / AREA * 0.1, {"area": AREA}),
    "by unit": ("J", CURRENT / AREA * 1e-4, {"area": AREA, "units": {"i": "A/cm2"}}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_currents_by_another_name(tmp_path, name):
    heading, values, options = OTHERS[name]
    path = tmp_path / "x.csv"
    path.write_text(
        "\n".join([f"t (s),V (V),{heading}", *table(",", ".", T, V, values, digits="{:.14e}")])
    )
    same(read(path, **options)[0])
    for left_out in options:
        fewer = {key: value for key, value in options.items() if key != left_out}
        remedy = {"magnitude": "--magnitude", "area": "--area", "units": "--unit"}[left_out]
        with pytest.raises(InputError, match=remedy):
            read(path, **fewer)


def test_arc_one(tmp_path):
    """Resistances of two cells under rising and falling amplitude; its file has no time."""
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.where(np.abs(V) > 1e-9, V / CURRENT, 1e5)
    lines = ["session", "Thu Nov 26 10:00:00 2026",
             "Wordline,Bitline,Resistance,Amplitude (V),Pulse width (s),Tag,ReadTag,ReadVoltage"]  # fmt: skip
    for cell in (1, 2):
        lines += [
            f"{cell},1,{x:.12e},{v:.12e},0.0001,S CT,R2 V=0.5,0.5"
            for x, v in zip(r, V, strict=True)
        ]
    path = tmp_path / "arc.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"no time column.*--sweep-rate.*--frequency"):
        read(path)
    cells = read(path, frequency=50.0)
    # nor does the reader that tells sweeps from pulses take a curve's points for pulses, with a read after each
    cells += read_measurement(path, frequency=50.0, offset="none")
    assert len(cells) == 4
    for sweep in cells:
        np.testing.assert_allclose(sweep.i, CURRENT, rtol=1e-8, atol=1e-12)


def test_resistances_without_unit_after_pulses(tmp_path):
    r = np.geomspace(1e5, 1e4, 30)
    rows = [f"{0.5 + 0.02 * k:.2f},10,{x:.9e},0.2" for k, x in enumerate(r)]
    path = tmp_path / "pulses.csv"
    path.write_text(
        "\n".join(["Amplitude (V),Pulse width (us),Resistance,Read voltage (V)", *rows])
    )
    (record,) = read_measurement(path)
    np.testing.assert_allclose(record.i[~record.censored], 0.2 / r, rtol=1e-8)


def test_a_2600_buffer(tmp_path):
    """As a script writes it, with the buffer's own names."""
    names = [
        f"smua.nvbuffer1.{name}" for name in ("timestamps", "sourcevalues", "readings", "statuses")
    ]
    status = np.where(np.abs(CURRENT) > 0.9 * CURRENT.max(), 66.0, 2.0)
    path = tmp_path / "buffer.csv"
    path.write_text("\n".join([", ".join(names), *table(",", ".", T, V, CURRENT, status)]))
    same(*read(path))
    path.write_text(
        "\n".join([*["Readings (V),Sourcevalues (A),t"], *table(",", ".", V, CURRENT, T)])
    )
    same(*read(path))  # a unit says more than the name


def test_a_2450_buffer(tmp_path):
    """Its units stand in a column beside each number."""
    head = "Index,Reading,Unit,Range Digits,Terminal,Value,Unit,Output,Relative Time"
    rows = [
        f"{k + 1},{i:.9E},Amp DC,5,Front,{v:.9E},Volt DC,ON,{t:.9E}"
        for k, (t, v, i) in enumerate(zip(T, V, CURRENT, strict=True))
    ]
    path = tmp_path / "defbuffer1.csv"
    path.write_text("\n".join([head, *rows]))
    same(*read(path))
    milli = [f"{1e3 * i:.9e},mA,{v:.9e},V,{t:.9e}" for t, v, i in zip(T, V, CURRENT, strict=True)]
    path.write_text("\n".join(["Current,Unit,Voltage,Unit,Time", *milli]))
    same(*read(path))


# Whatever comes


def refusal(reads, path, **options):
    """Return the sentence that a file is refused with, nothing if it is read."""
    try:
        reads(path, **options)
    except InputError as error:
        return str(error)
    return ""


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None
)
@given(data=st.data(), kind=st.sampled_from(["xlsx", "mat", "text", "lvm", "utf-16-le"]))
def test_a_damaged_file_is_read_or_refused(tmp_path, data, kind):
    path = tmp_path / f"x.{kind}"
    if kind == "xlsx":
        workbook(path, {"Data": loop_rows()[:40]})
    elif kind == "mat":
        MATLAB[data.draw(st.sampled_from(["vectors", "struct", "version 4", "version 7.3"]))](path)
    else:
        lines = (
            [*lvm(".", "One"), "X_Value\tVoltage\tCurrent\tComment", *LINES]
            if kind == "lvm"
            else [HEAD, *LINES]
        )
        path.write_bytes(
            "\n".join(lines).encode("utf-16-le" if kind.startswith("utf") else "utf-8")
        )
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 6))):
        at = int(data.draw(st.floats(0.0, 1.0)) * (len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=12))
    path.write_bytes(bytes(raw))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in ("sweep", "ramps"):
            said = refusal(read_measurement, path, kind=kind)
            assert path.name in said or not said


CELLS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True).map(str),
    st.sampled_from(["1,5", "1.234,5", "−3", "OK", "10:00:00", "2026-01-01", "", "#REF!", "1e5", "µA",
                     "V", "t (s)", "I"]),
    st.text(max_size=6),
)  # fmt: skip


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None
)
@given(
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=25),
    separator=st.sampled_from(",;\t |"),
)
def test_any_table_is_read_or_refused(tmp_path, rows, separator):
    path = tmp_path / "x.csv"
    path.write_text(
        "\n".join(separator.join(row) for row in rows), encoding="utf-8", errors="replace"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for options in ({}, {"columns": {"t": 0, "v": 1, "i": 2}}):
            assert len(refusal(read_sweeps, path, **options).splitlines()) < 2


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None
)
@given(
    name=st.sampled_from(["I", "Current", "Strom", "AI", "Itop", "I_meas"]),
    shape=st.sampled_from(["{n} ({u})", "{n}/{u}", "{n}_{u}", "{n} {u}", "{n} [{u}]", "{n}:{u}", "{n}<{u}>", "{u}"]),
    unit=st.sampled_from(["A", "mA", "uA", "µA", "nA", "kA", "MA", "V", "mV", "A/V", "Am", "A²", "a.u.", "dBA", "mAh"]),
)  # fmt: skip
def test_a_unit_is_honoured_or_refused(tmp_path, name, shape, unit):
    """Never taken for another: a factor that was not written is none that is applied."""
    path = tmp_path / "x.csv"
    heading = shape.format(n=name, u=unit)
    path.write_text("\n".join([f"t,V (V),{heading}", *LINES]))
    factors = {"A": 1.0, "mA": 1e-3, "uA": 1e-6, "µA": 1e-6, "nA": 1e-9, "kA": 1e3}
    try:
        (sweep,) = read(path)
    except InputError:
        return
    assert unit in factors, heading
    np.testing.assert_allclose(sweep.i, factors[unit] * CURRENT, rtol=1e-8, atol=1e-20)
