"""Pulse maps and write logs: from text, refused where they are none, and the same after a round trip."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtwin.data.catalogue import fetch
from memtwin.data.chip import PulseMap, WriteLog
from memtwin.data.errors import InputError
from memtwin.data.importers.readers import read_measurement
from memtwin.data.measurement import load_measurement, save_measurement

MAP = """# a lab's own map
cell, op, pw [ns], v_wl [V], v_bl [mV], v_sl, r_before [kohm], g_after [uS]
7, set, 100, 1.2, 2000, 0, 100, 95.5
7, reset, 1000, 3.0, 0, 3.5, 10, 6.25
"""
LOG = """cell,g_low [uS],g_high [uS],g_written [uS],duration [ms],g at 20 ms [uS],g at 1 s [uS]
3,98,102,100.5,12,100.1,99
4,48,52,60,,,
"""


def read(tmp_path, name, text, kind):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    (found,) = read_measurement(path, kind=kind)
    return found


def test_a_map_with_a_header(tmp_path):
    found = read(tmp_path, "map.csv", MAP, "pulse_map")
    assert isinstance(found, PulseMap)
    np.testing.assert_array_equal(found.reset, [False, True])
    np.testing.assert_allclose(found.pw, [1e-7, 1e-6])
    np.testing.assert_allclose(found.v_bl, [2.0, 0.0])
    np.testing.assert_allclose(found.v_sl, [0.0, 3.5])
    np.testing.assert_allclose(found.g_before, [1e-5, 1e-4])
    np.testing.assert_allclose(found.g_after, [95.5e-6, 6.25e-6])


def test_a_labs_own_names_of_columns(tmp_path):
    own = MAP.replace("cell, op, pw", "Device, Polarity, Width").replace("r_before", "R_pre")
    mine, found = (read(tmp_path, "map.csv", text, "pulse_map") for text in (MAP, own))
    assert mine.digest == found.digest


def test_a_map_without_a_header_is_told_by_its_name(tmp_path):
    row = "5\t1e-7\t1.5\t2.0\t1e5\t1e4\n"
    found = read(tmp_path, "my_set.tsv", row * 2, "pulse_map")
    assert not found.reset.any()
    np.testing.assert_allclose(found.g_after, 1e-4)
    with pytest.raises(InputError, match="SET or RESET"):
        read(tmp_path, "chip.tsv", row, "pulse_map")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("g_after [uS]", "after", "no column g_after"),
        ("100, 95.5", "100, what", "line 3"),
        ("set, 100", "push, 100", "expected set or reset"),
        ("pw [ns]", "pw [V]", "expected s"),
        ("7, set", "7.5, set", "whole number"),
        ("set, 100", "set, 0", "more than 0"),
        ("g_after [uS]", "g_after", "median of g_after is 50.9 S, no cell's"),
        (", 95.5", "", "7 fields"),
        (", 95.5", ",", "no finite number"),
    ],
)
def test_a_broken_map_is_refused_by_its_place(tmp_path, old, new, said):
    with pytest.raises(InputError, match=said):
        read(tmp_path, "map.csv", MAP.replace(old, new, 1), "pulse_map")


def test_a_log_with_a_header(tmp_path):
    found = read(tmp_path, "log.csv", LOG, "write_log")
    assert isinstance(found, WriteLog)
    np.testing.assert_array_equal(found.success, [True, False])
    np.testing.assert_allclose(found.ln_width, np.log([102 / 98, 52 / 48]))
    np.testing.assert_allclose(found.duration, [0.012, np.nan])
    np.testing.assert_array_equal(found.write, [0, 0])
    np.testing.assert_allclose(found.delay, [0.02, 1.0])
    np.testing.assert_allclose(found.g, [100.1e-6, 99e-6])


def test_a_testers_rows(tmp_path):
    rows = [
        "Init\t10000\t20000\t9\t100.0\t12500\t8e-5",
        "Write\t8000\t8100\t9\t101.5\t8050\t1.24e-4",
        "Read\t8000\t8100\t9\t102.5\t8200\t1.22e-4",
        "Read\t8000\t8100\t8\t102.5\t8200\t1.22e-4",  # never written here
    ]
    found = read(tmp_path, "log.tsv", "\n".join(rows), "write_log")
    np.testing.assert_allclose(found.g_low, 1 / 8100)
    np.testing.assert_allclose(found.g_erased, 1 / 12500)
    np.testing.assert_allclose(found.g_erased_high, 1e-4)
    np.testing.assert_allclose((found.duration[0], found.delay[0]), (1.5, 1.0))
    assert found.success.all()
    assert len(found.g) == 1
    with pytest.raises(InputError, match="line 2"):
        read(tmp_path, "log.tsv", "\n".join([rows[0], rows[1][:-9]]), "write_log")


@settings(max_examples=20)
@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_records_are_what_was_saved(tmp_path_factory, count, seed):
    rng = np.random.default_rng(seed)
    g = rng.uniform(1e-6, 2e-4, (3, count))
    v = rng.uniform(0.0, 3.0, (3, count))
    cell = rng.integers(0, 99, count)
    kept = PulseMap("map", cell, rng.random(count) < 0.5, np.full(count, 1e-7), *v, g[0], g[1])
    part = rng.integers(0, count, count // 2)
    log = WriteLog(
        *("log", cell, g[0], g[0] + g[1], g[2], *np.full((3, count), np.nan)),
        *(part, np.full(len(part), 0.5), g[1][part], {"attempts_max": 100.0}),
    )
    folder = tmp_path_factory.mktemp("records")
    for one in (kept, log):
        path = save_measurement(one, folder / f"{one.name}.h5")
        again = load_measurement(path)
        assert type(again) is type(one)
        assert again.digest == one.digest
        assert dict(again.meta) == dict(one.meta)


@pytest.mark.data
def test_the_arrays_own_files():
    name = "stanford-1t1r-switching-kinetics"
    (sets,) = read_measurement(fetch(name, "set_sweep*")[0], dataset=name)
    (resets,) = read_measurement(fetch(name, "reset_sweep*")[0], dataset=name)
    assert (len(sets), len(resets)) == (32768, 32768)
    assert resets.reset.all()
    assert not sets.reset.any()
    assert (sets.g_before < 25e-6).sum() == 27251  # as published with the set
    logs = "stanford-1t1r-write-verify"
    (log,) = read_measurement(fetch(logs, "*_4_2_Nov29")[0], dataset=logs)
    assert (len(log), len(log.g), log.meta["attempts_max"]) == (800, 2400, 100)
    (dead,) = read_measurement(fetch(logs, "*13dead*")[0], dataset=logs)
    assert len(dead) == 778
