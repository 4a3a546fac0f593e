import gzip

import numpy as np
import pytest

from memtwin.data.errors import InputError
from memtwin.data.importers.arrays import (
    read_event_log,
    read_noise_traces,
    read_ramps,
    read_relaxation,
    read_response,
    read_table,
)


def test_a_header_says_order_and_units(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("cycle,g_reset [uS],r_set [kohm],cell,note\n25,8,10,3,1\n50,5,12.5,3,2\n")
    table = read_table(path, "endurance")
    assert table["r_set"] == pytest.approx([1e4, 1.25e4])
    assert table["r_reset"] == pytest.approx([1.25e5, 2e5])
    assert table["address"].tolist() == [3, 3]
    path.write_text("cycle,r_reset [uS],r_set [kohm],cell\n25,8,10,3\n50,8,10,3\n")
    with pytest.raises(InputError, match="expected ohm"):
        read_table(path, "endurance")


def test_ramps_are_currents_of_unequal_length(tmp_path):
    g = 1e-3 + 1e-5 * np.arange(24).reshape(12, 2)
    lines = [
        "rmp1,rmp2",
        *(f"{a * 0.1},{b * 0.1}" for a, b in g[:10]),
        f"{g[10, 0] * 0.1},NaN",
        f"{g[11, 0] * 0.1},",
    ]
    (tmp_path / "set.csv").write_text("\n".join(lines))
    train = read_ramps(tmp_path / "set.csv", v_read=0.1, meta={"licence": "CC0"})
    assert train.lengths.tolist() == [12, 10]
    np.testing.assert_allclose(train.g[0], g[:, 0])
    assert train.meta["v_read"] == 0.1
    assert train.mean.shape == (10,)
    with pytest.raises(InputError, match="read voltage must be a number other than 0"):
        read_ramps(tmp_path / "set.csv", v_read=0.0)


def test_response_has_two_columns(tmp_path):
    path = tmp_path / "g.csv"
    np.savetxt(path, np.c_[np.linspace(-1, 1, 20), np.linspace(1, -1, 20)], delimiter=",")
    up, down = read_response(path)
    assert up.unit == "1"
    assert up.g[0, -1] == pytest.approx(1.0)
    assert down.g[0, -1] == pytest.approx(-1.0)
    np.savetxt(path, np.zeros((20, 3)), delimiter=",")
    with pytest.raises(InputError, match="has 3 columns, expected two"):
        read_response(path)


def test_tables_by_layout(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("7\t1e4\t2e5\t100\n7\t1.1e4\t2.1e5\t200\n")
    table = read_table(path, "endurance")
    np.testing.assert_allclose(table["r_reset"], [2e5, 2.1e5])
    assert table.units["cycle"] == "1"
    assert len(table) == 2
    with pytest.raises(InputError, match=r"expected 2: address, r"):
        read_table(path, "resistance")
    with pytest.raises(
        InputError, match=r"unknown table layout 'endurence' \(did you mean 'endurance'"
    ):
        read_table(path, "endurence")


def test_words_in_the_middle_of_a_row_are_left_out(tmp_path):
    path = tmp_path / "read.csv"
    path.write_text("1,READ,2e4,5e-5\n2,READ,3e4,3e-5\n")
    table = read_table(path, {"address": "1", "r": "ohm", "g": "S"})
    np.testing.assert_allclose(table["r"], [2e4, 3e4])


def test_relaxation_uses_nominal_times_and_keeps_gaps(tmp_path):
    rows = [
        (1, 0.0, 1e4, 1e-4, 1e-4, 3, 0.0),
        (1, 0.013, 1e4, 1.1e-4, 1e-4, 3, 0.01),
        (2, 0.0, 2e4, 5e-5, 5e-5, 1, 0.0),
        (3, 0.011, 2e4, 5e-5, 5e-5, 1, 0.01),
    ]
    text = "\n".join("\t".join(map(str, row)) for row in rows)
    path = tmp_path / "relax.tsv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    cells = read_relaxation(path, g_max=128e-6)
    np.testing.assert_array_equal(cells.t, [0.0, 0.01])
    assert len(cells.g) == 2  # cell 3 has no first read
    np.testing.assert_allclose(cells.change[0], [0.0, 1e-5])
    assert np.isnan(cells.g[1, 1])
    assert cells.level.tolist() == [3, 1]


def test_noise_traces(tmp_path):
    path = tmp_path / "ts.tsv"
    np.savetxt(path, np.arange(24.0).reshape(2, 12), delimiter="\t")
    assert read_noise_traces(path).shape == (2, 10)
    np.savetxt(path, np.zeros((2, 4)), delimiter="\t")
    with pytest.raises(InputError, match="too few for traces"):
        read_noise_traces(path)


LOG = """C4,100.5,778,ENDURANCE,(2.5, 1.3),3,3,1e-06,50000
C4,100.6,778,RESET,2.5,0,3,1e-06
C4,100.7,778,READ,28000,3.5e-05,6.9e-06,0.0039
C4,100.8,778,SET,1.3,3,0,1e-06
C4,100.9,778,READ,8000,1.2e-04,2.4e-05,0.0131
"""


def test_event_log(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(LOG)
    table = read_event_log(path)
    assert table["after"].tolist() == [-1.0, 1.0]
    assert table["cycles"].tolist() == [5e4, 5e4]
    np.testing.assert_allclose(table["g"], [3.5e-5, 1.2e-4])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("C4,1,2,FLY,3\n", r"line 1: unknown operation 'FLY'"),
        ("C4,1,2,READ,x,1,1,1\n", r"line 1: a number is broken"),
        ("C4,1\n", r"line 1: 2 fields, expected 5"),
        ("C4,1,2,SET,3\n", "holds no READ row"),
        ("C4,1,2,READ,3\n", "lacks one of resistance"),
    ],
)
def test_broken_logs(tmp_path, text, message):
    path = tmp_path / "log.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_event_log(path)
