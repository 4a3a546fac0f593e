"""Records that are damaged, or made to do harm, are refused in one sentence."""

import h5py
import numpy as np
import pytest

from memtwin.data.errors import InputError
from memtwin.data.measurement import Sweep, load_measurement, save_measurement
from memtwin.data.records.store import read_record, reading, write_record


@pytest.fixture
def sound(tmp_path):
    tree = {"a": np.arange(9.0), "b": {"c": "text", "d": ["x", "y"]}, "n": 3}
    return write_record(tmp_path / "a.h5", "test", tree)


def foreign(path, build):
    """A file without a hash, in which ``build`` puts something."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"kind": "test", "format": 1, "memtwin": "0"})
        build(file)
    return path


def outcome(path):
    try:
        return repr(read_record(path, "test"))
    except InputError as error:
        return str(error)


def test_every_flipped_bit_is_noticed_or_harmless(sound):
    whole = sound.read_bytes()
    expected = read_record(sound, "test")
    rng = np.random.default_rng(5)
    for at in [*range(70), *rng.integers(0, len(whole), 200)]:
        broken = bytearray(whole)
        broken[at] ^= 1 << rng.integers(8)
        sound.write_bytes(broken)
        if at < 512 and outcome(sound) == repr(expected):
            continue
        assert "is damaged" in outcome(sound)


@pytest.mark.parametrize("length", [0, 1, 511, 512, 600, 2000])
def test_files_that_are_cut_are_refused(sound, length):
    sound.write_bytes(sound.read_bytes()[:length])
    with pytest.raises(InputError, match="is damaged"):
        read_record(sound, "test")


def test_a_record_changed_by_hand_is_refused(sound):
    with h5py.File(sound, "r+") as file:
        file.attrs["n"] = 4
    with pytest.raises(InputError, match="is damaged: its bytes are not those that memtwin wrote"):
        read_record(sound, "test")


def test_records_without_a_hash_are_read(tmp_path):
    path = foreign(tmp_path / "a.h5", lambda file: file.create_dataset("a", data=np.arange(3)))
    assert read_record(path, "test")["a"].tolist() == [0, 1, 2]


def _cycle(file):
    group = file.create_group("a").create_group("b")
    group["again"] = file["a"]


def _twice(file):
    file["b"] = file.create_dataset("a", data=np.arange(3))


def _deep(file):
    file.create_group("/".join("x" * 40))


def _named_type(file):
    file["t"] = np.dtype("f8")


def _compound(file):
    file["a"] = np.zeros(3, [("x", "f8"), ("y", "i4")])


def _huge(file):
    file.create_dataset("a", shape=(1 << 40,), dtype="f8", chunks=(1 << 16,))


def _bomb(file):
    file.create_dataset("a", shape=(1 << 20, 1 << 20), dtype="u1", chunks=(1, 1 << 20))


def _virtual(file):
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3,))
    file.create_virtual_dataset("a", layout)


HARM = {
    "external link": lambda file: file.__setitem__("a", h5py.ExternalLink("other.h5", "/")),
    "soft link": lambda file: file.__setitem__("a", h5py.SoftLink("/b")),
    "circle of hard links": _cycle,
    "second name": _twice,
    "depth": _deep,
    "named type": _named_type,
    "compound": _compound,
    "size": _huge,
    "unfolding": _bomb,
    "virtual": _virtual,
    "raw data elsewhere": lambda file: file.create_dataset(
        "a", shape=(8,), dtype="u1", external=[("/etc/passwd", 0, 8)]
    ),
    "reference": lambda file: file.attrs.__setitem__("r", file.ref),
    "array as attribute": lambda file: file.attrs.__setitem__("r", np.arange(3)),
    "empty": lambda file: file.attrs.__setitem__("r", h5py.Empty("f8")),
    "bytes that are no text": lambda file: file.attrs.__setitem__("r", b"\xff\xfe"),
    "bytes in a list": lambda file: file.create_dataset(
        "a", data=[b"\xff"], dtype=h5py.string_dtype()
    ),
    "matrix of strings": lambda file: file.create_dataset(
        "a", data=[["a"]], dtype=h5py.string_dtype()
    ),
    "complex": lambda file: file.create_dataset("a", data=np.ones(2, complex)),
    "filter": lambda file: file.create_dataset("a", data=np.arange(5000), compression="lzf"),
}


@pytest.mark.parametrize("harm", HARM)
def test_what_no_record_holds_is_refused(tmp_path, harm):
    path = foreign(tmp_path / "a.h5", HARM[harm])
    with pytest.raises(InputError, match=r"a\.h5 is damaged: "):
        read_record(path, "test")


def test_names_with_slashes_dots_and_percent_come_back(tmp_path):
    tree = {"I/mA": np.arange(3), ".": 1, "..": 2, "%2F": 3, "50 %": {"/": "x"}, "": 4}
    back = read_record(write_record(tmp_path / "a.h5", "test", tree), "test")
    assert back.pop("memtwin")
    assert back.pop("format") == 1
    assert back.pop("I/mA").tolist() == [0, 1, 2]
    assert back == {key: value for key, value in tree.items() if key != "I/mA"}


def test_what_a_loader_stumbles_over_is_damage(tmp_path):
    path = write_record(tmp_path / "a.h5", "test", {"a": 1})
    for stumble in (lambda t: t["b"], lambda t: t["a"][0], lambda t: int("x"), lambda t: t.c):
        with pytest.raises(InputError, match="is damaged: "), reading(path, "test") as tree:
            stumble(tree)


def test_a_measurement_whose_numbers_have_another_type_is_refused(tmp_path):
    t = np.arange(20.0)
    path = save_measurement(Sweep("s", t, t, t, np.zeros(20, bool)), tmp_path / "s.h5")
    tree = read_record(path, "measurement")
    for key, value in (
        ("t", "now"), ("v", 3), ("i", ["a", "b"]), ("censored", {}), ("name", np.arange(3)),
        ("meta", "none"), ("digest", None), ("type", 7), ("t", np.zeros((2, 10))),
        ("censored", np.full(20, 2.5)),
    ):  # fmt: skip
        write_record(path, "measurement", {**tree, key: value})
        with pytest.raises(InputError):
            load_measurement(path)
