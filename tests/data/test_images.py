import gzip
import struct
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from memtwin.data import catalogue
from memtwin.data.dataset import Dataset, load_data
from memtwin.data.datasets.idx import read_idx
from memtwin.data.errors import InputError


def idx(array, kind=8):
    header = struct.pack(">HBB", 0, kind, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def test_digits_are_the_published_test_part():
    images = load_data("digits")
    assert images.x_train.shape == (1297, 64)
    assert images.x_test.shape == (500, 64)
    assert images.shape == (8, 8)
    assert images.classes == 10
    assert images.x_train.dtype == np.float32
    assert images.y_train.dtype == np.int64
    # the class counts that UCI publishes for its test part
    labels = np.concatenate([images.y_train, images.y_test])
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert set(np.unique(images.x_train * 16)) <= set(range(17))


def test_unknown_image_set_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'digits'"):
        load_data("digit")


@pytest.mark.parametrize("packed", [True, False])
def test_idx_round_trip(tmp_path, rng, packed):
    array = rng.integers(0, 256, (3, 4, 5), dtype=np.uint8)
    path = tmp_path / "a"
    path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    np.testing.assert_array_equal(read_idx(path), array)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no idx file"),
        (b"PNG....", "no idx file"),
        (idx(np.zeros(3), kind=7), "unknown type"),
        (idx(np.zeros((2, 2)))[:9], "inside its idx header"),
        (idx(np.zeros((2, 2)))[:-1], "3 bytes of data, its header says 4"),
        (gzip.compress(idx(np.zeros(9)), mtime=0)[:-9], "can't read"),
        (b"\x1f\x8bnot gzip", "can't read"),
        (b"\0\0\x08\x03" + 12 * b"\xff", r"0 bytes of data, its header says 7\d+"),
        (b"\0\0\x08\x03" + 4 * b"\0" + 8 * b"\xff", "describes no array"),
        (b"\0\0\x08\xff" + 255 * b"\0\0\0\x01" + b"x", "describes no array"),
    ],
)
def test_damaged_idx_is_refused(tmp_path, data, message):
    path = tmp_path / "a"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_idx(path)


def make_mnist(folder, labels):
    (folder / "mnist").mkdir()
    pixels = np.arange(len(labels) * 28 * 28).reshape(-1, 28, 28) % 256
    for part in ("train", "t10k"):
        image_file = folder / "mnist" / f"{part}-images-idx3-ubyte.gz"
        image_file.write_bytes(gzip.compress(idx(pixels)))
        label_file = folder / "mnist" / f"{part}-labels-idx1-ubyte.gz"
        label_file.write_bytes(gzip.compress(idx(np.asarray(labels))))


@pytest.fixture
def unchecked(monkeypatch):
    monkeypatch.setattr(catalogue, "_check", lambda path, expected, name: None)


def test_labels_out_of_range_are_refused(tmp_path, monkeypatch, unchecked):
    monkeypatch.setenv("MEMTWIN_DATA", str(tmp_path))
    make_mnist(tmp_path, [1, 2, 10])
    with pytest.raises(InputError, match=r"train-labels.* holds the label 10, expected 0 to 9"):
        load_data("mnist")


def test_mnist_layout(tmp_path, monkeypatch, unchecked):
    monkeypatch.setenv("MEMTWIN_DATA", str(tmp_path))
    make_mnist(tmp_path, [1, 2, 9])
    images = load_data("mnist")
    assert images.x_train.shape == (3, 784)
    assert images.x_train[0, 255] == 1.0
    assert images.y_test.tolist() == [1, 2, 9]


def test_foreign_mnist_file_is_refused_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMTWIN_DATA", str(tmp_path))
    make_mnist(tmp_path, [1])
    before = {path: path.read_bytes() for path in (tmp_path / "mnist").iterdir()}
    with pytest.raises(InputError, match="is not the file that dataset mnist means"):
        load_data("mnist")
    assert {path: path.read_bytes() for path in (tmp_path / "mnist").iterdir()} == before


@pytest.mark.data
def test_mnist_is_mnist():
    images = load_data("mnist")
    assert images.x_train.shape == (60000, 784)
    assert images.x_test.shape == (10000, 784)
    assert float(images.x_train.mean(dtype=np.float64)) == pytest.approx(0.1307, abs=1e-4)


def test_image_set_refuses_what_does_not_belong_together():
    x, y = np.zeros((2, 4), np.float32), np.zeros(2, np.int64)
    Dataset("ok", x, y, x, y, (2, 2))
    with pytest.raises(InputError, match="expected train samples of shape"):
        Dataset("bad", x[:, :3], y, x, y, (2, 2))
    with pytest.raises(InputError, match="2 test samples but labels of shape"):
        Dataset("bad", x, y, x, y[:1], (2, 2))
    with pytest.raises(InputError, match="train sample 0 holds nan in feature 0"):
        Dataset("bad", x + np.float32(np.nan), y, x, y, (2, 2))
    with pytest.raises(InputError, match="labels must be 0 or more"):
        Dataset("bad", x, y, x, y - 1, (2, 2))


def test_fashion_mnist_is_read_by_its_files_and_their_hashes(tmp_path, monkeypatch, rng):
    """Files of one's own under the published names: refused where the catalogue's hashes are asked for,
    read where the folder is named, and by the catalogue's reader once it knows their hashes.
    """
    found = catalogue.find_dataset("fashion-mnist")
    assert len(found.files) == 4
    home = tmp_path / found.folder
    home.mkdir()
    arrays = {}
    for part, count in (("train", 40), ("t10k", 20)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            arrays[f"{part}-{name}-ubyte.gz"] = array
            path = home / f"{part}-{name}-ubyte.gz"
            path.write_bytes(gzip.compress(idx(array)))
    assert set(arrays) == set(found.files)
    monkeypatch.setenv("MEMTWIN_DATA", str(tmp_path))
    with pytest.raises(InputError, match="is not the file that dataset fashion-mnist means"):
        load_data("fashion-mnist")
    folder = load_data(home)
    hashes = {name: sha256((home / name).read_bytes()).hexdigest() for name in arrays}
    known = {**catalogue.datasets(), found.name: replace(found, files=hashes)}
    monkeypatch.setattr(catalogue, "datasets", lambda: known)
    named = load_data("fashion-mnist")
    for data in (folder, named):
        assert (data.shape, data.classes) == ((28, 28), 10)
        np.testing.assert_array_equal(
            data.x_test, arrays["t10k-images-idx3-ubyte.gz"].reshape(20, 784) / np.float32(255)
        )
        np.testing.assert_array_equal(data.y_test, arrays["t10k-labels-idx1-ubyte.gz"])
    assert named.targets.names[0] == "T-shirt"
    (home / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InputError, match="but no labels to go with it"):
        load_data(home)
