"""Records come back as they went, and an old record outlives a failed write."""

import errno

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from memtwin.data import store
from memtwin.data.errors import InputError, MemtwinError

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


def test_a_full_disk_leaves_the_old_record(tmp_path, monkeypatch):
    path = store.write_record(tmp_path / "a.h5", "test", {"a": 1})
    before = path.read_bytes()

    def full(group, tree):
        group.create_dataset("b", data=np.ones(9))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "_write", full)
    with pytest.raises(MemtwinError, match=r"can't write .*a\.h5: .*No space left"):
        store.write_record(path, "test", {"a": 2})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


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
    with pytest.raises(InputError, match="not a readable HDF5 record"):
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
