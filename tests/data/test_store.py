"""Records come back as they went, and an old record outlives a failed write."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from memtwin.data.errors import InputError, MemtwinError
from memtwin.data.records import store

names = st.text("abcdefghij_", min_size=1, max_size=8)
leaves = (
    st.floats(allow_nan=False)
    | st.integers(-(2**40), 2**40)
    | st.booleans()
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
    | arrays(np.float64, array_shapes(max_dims=3, max_side=5), elements=st.floats(-1e9, 1e9))
    | st.lists(st.text("abc", max_size=5), min_size=1, max_size=4)
)
trees = st.dictionaries(names, leaves | st.dictionaries(names, leaves, max_size=3), max_size=5)


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return type(a) is type(b) and a == b


@given(trees)
def test_records_come_back_as_they_went(tmp_path_factory, tree):
    tree = {key: value for key, value in tree.items() if key not in ("format", "memtwin", "kind")}
    path = store.write_record(tmp_path_factory.mktemp("r") / "a.h5", "test", tree)
    back = store.read_record(path, "test")
    assert back.pop("memtwin")
    assert back.pop("format") == 1
    assert same(tree, back)


def test_none_is_left_out(tmp_path):
    path = store.write_record(tmp_path / "a.h5", "test", {"a": None, "b": 1})
    assert "a" not in store.read_record(path, "test")


def test_large_arrays_are_compressed(tmp_path):
    path = store.write_record(tmp_path / "a.h5", "test", {"a": np.zeros(100_000)})
    assert path.stat().st_size < 50_000


FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from memtwin.data.errors import MemtwinError
from memtwin.data.records.store import read_record, write_record

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder, limits = Path(sys.argv[1]), map(int, sys.argv[2:])
old = write_record(folder / "a.h5", "test", {"a": 1})
before = old.read_bytes()
for limit in limits:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit or resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    for shape in (50, 5000, (300, 1000)):
        tree = {"a": np.random.default_rng(1).random(shape), "b": {"c": np.arange(10), "d": ["x"] * 50}}
        for path in (old, folder / "new" / "folder" / "b.h5"):
            try:
                write_record(path, "test", {"first": tree, "second": tree})
            except MemtwinError as error:
                assert str(error).startswith(f"can't write {path}: "), error
                print(limit, shape, error.__cause__.strerror)
                assert old.read_bytes() == before
                assert [p.name for p in folder.iterdir()] == ["a.h5"]
            else:
                assert 'second' in read_record(path, "test")
                path.unlink()
                if path != old:
                    path.parent.rmdir(); path.parent.parent.rmdir()
                write_record(old, "test", {"a": 1})
"""


def fill(folder, *limits):
    """Write records of several sizes in ``folder``, where files end at each of ``limits`` (0: nowhere)."""
    command = [sys.executable, "-c", FULL, str(folder), *map(str, limits)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr or ran.returncode
    return ran.stdout.splitlines()


def test_a_full_disk_leaves_the_old_record(tmp_path):
    said = fill(tmp_path, 1, 300, 512, 700, 2500, 16_384, 20_000, 50_000, 100_000, 1_000_000)
    assert len(said) > 30
    assert all(line.endswith("File too large") for line in said)


def test_a_full_file_system_is_one_sentence(tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("no right to mount a small file system")
    try:
        said = fill(place, 0)
        assert len(said) >= 4
        assert all(line.endswith("No space left on device") for line in said)
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_large_record_needs_no_room_of_its_own(tmp_path):
    """64 MB of random numbers, which don't compress, with 40 MB to spare."""
    script = """
import resource, sys
import numpy as np
from memtwin.data.records.store import write_record

many = np.random.default_rng(1).random((8, 1_000_000))
write_record(sys.argv[1], "test", {"a": many[:, :9000]})
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 40_000_000,) * 2)
write_record(sys.argv[1], "test", {"a": many})
"""
    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc to ask for the process's size")
    command = [sys.executable, "-c", script, str(tmp_path / "a.h5")]
    subprocess.run(command, check=True, timeout=120)
    assert (tmp_path / "a.h5").stat().st_size > 50_000_000


def test_a_folder_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(MemtwinError, match="can't write"):
        store.write_record(tmp_path / "file" / "a.h5", "test", {})


def test_wrong_kinds_are_refused(tmp_path):
    path = store.write_record(tmp_path / "a.h5", "fit", {"a": 1})
    with pytest.raises(InputError, match="holds a fit record, expected a run record"):
        store.read_record(path, "run")
    with pytest.raises(InputError, match="there is no run record"):
        store.read_record(tmp_path / "b.h5", "run")
    (tmp_path / "c.h5").write_text("no HDF5")
    with pytest.raises(InputError, match="is damaged"):
        store.read_record(tmp_path / "c.h5", "run")
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file.attrs["x"] = 1
    with pytest.raises(InputError, match="foreign record"):
        store.read_record(tmp_path / "d.h5", "run")


def test_newer_formats_are_refused(tmp_path):
    path = store.write_record(tmp_path / "a.h5", "fit", {"a": 1}, format=2)
    with pytest.raises(InputError, match="update memtwin"):
        store.read_record(path, "fit")


def test_digest_tells_apart():
    a = np.arange(6.0)
    parts = [
        a,
        a.reshape(2, 3),
        a.astype("f4"),
        "a",
        b"a",
        1,
        1.0,
        ["a", "b"],
        ["ab"],
        {"a": 1},
        {"a": 2},
        {"b": 1},
        None,
    ]
    assert len({store.digest(part) for part in parts}) == len(parts)
    assert store.digest({"a": 1, "b": a}) == store.digest({"b": a.copy(), "a": 1})
