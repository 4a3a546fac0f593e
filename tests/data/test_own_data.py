"""Data of one's own: the same samples from every kind of file, parts, scales, and what is refused."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from memtwin.data.dataset import Dataset, load_data
from memtwin.data.datasets.prepare import Scaling, split
from memtwin.data.errors import InputError

NAMES = np.array(["ash", "birch", "cedar"])


@pytest.fixture
def flowers():
    """Thirty samples of four features, three classes, of very different ranges."""
    rng = np.random.default_rng(3)
    y = np.arange(30) % 3
    x = rng.normal(size=(30, 4)) * [1.0, 1e-3, 1e4, 5.0] + y[:, None] + [0.0, 0.0, -1e5, 7.0]
    return x, y


def written(path: Path, x, y, *, separator=",", header=True, comma=False) -> Path:
    lines = [separator.join([f"f{k}" for k in range(x.shape[1])] + ["class"])] if header else []
    for row, label in zip(x, y, strict=True):
        lines.append(separator.join([*(repr(float(value)) for value in row), str(label)]))
    text = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "separator", "header"),
    [("a.csv", ",", True), ("a.tsv", "\t", True), ("a.csv.gz", ";", True), ("a.data", ",", False)],
)
def test_a_table_holds_what_arrays_do(tmp_path, flowers, name, separator, header):
    x, y = flowers
    path = written(tmp_path / name, x, NAMES[y], separator=separator, header=header)
    found = load_data(path, **({} if header else {"label": -1}))
    twin = Dataset.of_arrays(x, NAMES[y])
    assert found.targets.names == tuple(NAMES)
    np.testing.assert_allclose(found.x_train, twin.x_train, rtol=1e-3, atol=2e-3)
    np.testing.assert_array_equal(found.y_test, twin.y_test)
    assert (found.shape, found.classes, len(found.x_test)) == ((4,), 3, 6)


def test_npz_with_parts_of_its_own(tmp_path, flowers):
    x, y = flowers
    np.savez(tmp_path / "p.npz", x_train=x[:20], y_train=y[:20], X_test=x[20:], y_test=y[20:])
    found = load_data(tmp_path / "p.npz", validation_share=0.25)
    assert [len(part) for _, part, _ in found.parts] == [14, 10, 6]  # of every class alike
    np.testing.assert_array_equal(found.y_test, y[20:])
    np.savez(tmp_path / "q.npz", data=x, target=y)
    assert load_data(tmp_path / "q.npz").x_train.shape == (24, 4)


def test_the_scale_is_that_of_the_part_to_train_on(flowers):
    x, y = flowers
    found = Dataset.of_arrays(x[:20], y[:20], test=(x[20:], y[20:]))
    assert found.scaling.kind == "standard"
    np.testing.assert_allclose(found.x_train.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(found.x_train.std(axis=0), 1.0, atol=1e-4)
    expected = (x[20:] - x[:20].mean(axis=0)) / x[:20].std(axis=0)
    np.testing.assert_allclose(found.x_test, expected, atol=1e-4)
    np.testing.assert_array_equal(found.x_test, found.scaling.apply(x[20:]))


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=80),
    st.floats(0.05, 0.5),
    st.floats(0.0, 0.4),
    st.integers(0, 10**6),
)
def test_parts_share_out_all_samples_once_and_alike(labels, test, validation, seed):
    labels = np.array(labels)
    parts = split(labels, [test, validation], seed, by_class=True)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(labels)))
    for group in np.unique(labels):
        count = int(np.sum(labels == group))
        assert abs(np.sum(labels[parts[1]] == group) - test * count) <= 0.5 + 1e-9
    again = split(labels, [test, validation], seed, by_class=True)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(["none", "unit", "standard"]), st.integers(0, 10**6))
def test_scales_never_make_what_is_not_finite(kind, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(9, 3)) * 10.0 ** rng.integers(-6, 7, 3)
    x[:, 1] = rng.normal()  # says nothing
    scaled = Scaling.of(x, kind).apply(x)
    assert np.isfinite(scaled).all()
    if kind == "unit":
        assert scaled.min() >= 0.0
        assert scaled.max() <= 1.0 + 1e-6


def pictures(folder: Path, images, labels, names=NAMES) -> None:
    for k, (image, label) in enumerate(zip(images, labels, strict=True)):
        home = folder / str(names[label])
        home.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(home / f"{k:04d}.png")


@pytest.mark.parametrize("colour", [False, True])
def test_images_by_class_are_the_pixels_that_were_drawn(tmp_path, colour):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (24, 6, 5, 3) if colour else (24, 6, 5), dtype=np.uint8)
    labels = np.arange(24) % 3
    pictures(tmp_path / "train", images[:18], labels[:18])
    pictures(tmp_path / "test", images[18:], labels[18:])
    found = load_data(tmp_path)
    assert found.shape == images.shape[1:]
    assert found.targets.names == tuple(NAMES)
    drawn = {
        (one.tobytes(), int(label)) for one, label in zip(images[18:], labels[18:], strict=True)
    }
    read = np.rint(found.x_test * 255).astype(np.uint8).reshape(-1, *found.shape)
    assert {
        (one.tobytes(), int(label)) for one, label in zip(read, found.y_test, strict=True)
    } == drawn
    # What lies class by class is put in another order: the first are a fair sample.
    assert len(set(found.y_train[:9])) > 1


def test_images_of_several_sizes_are_brought_to_one(tmp_path):
    pictures(tmp_path, [np.zeros((6, 5), np.uint8)] * 4, [0, 0, 1, 1])
    Image.new("RGB", (9, 9)).save(tmp_path / "ash" / "large.jpg")
    with pytest.raises(InputError, match=r"large\.jpg is 9 × 9 .*data\.shape = \[6, 5\]"):
        load_data(tmp_path)
    assert load_data(tmp_path, shape=(4, 4, 3)).x_train.shape[1] == 48
    (tmp_path / "ash" / "large.jpg").unlink()
    (tmp_path / "birch" / "0002.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"can't read the image .*0002\.png"):
        load_data(tmp_path)


class Items:
    """What torch's data sets look like."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, k):
        return self.x[k], self.y[k]


def test_a_set_of_items_and_pairs_and_names(flowers):
    x, y = flowers
    made = [
        load_data(Items(x, y)),
        load_data((x, y)),
        load_data({"x": x, "y": y}),
        Dataset.of_torch(Items(x, y)),
        Dataset.of_arrays(x, y),
    ]
    assert len({one.digest for one in made}) == 1
    with pytest.raises(InputError, match="item 0 is no pair"):
        load_data([1, 2, 3])


def test_tensors_of_torch_become_images_with_channels_last():
    torch = pytest.importorskip("torch")
    x = torch.arange(4 * 3 * 2 * 5).reshape(4, 3, 2, 5).float()
    data = torch.utils.data.TensorDataset(x, torch.tensor([0, 1, 0, 1]))
    found = Dataset.of_torch(data, data, scale="none")
    assert found.shape == (2, 5, 3)
    np.testing.assert_array_equal(found.x_train[0].reshape(2, 5, 3)[1, 2], x[0, :, 1, 2])


def test_numbers_to_predict_are_scaled_and_said_in_their_unit(flowers):
    x, _ = flowers
    y = x[:, 0] * 40.0 + 300.0
    found = Dataset.of_arrays(x, y)
    assert found.regression
    assert found.y_train.shape == (24, 1)
    np.testing.assert_allclose(found.y_train.std(), 1.0, rtol=1e-5)
    np.testing.assert_allclose(np.sort(found.targets.said(found.y_train))[0], y.min(), rtol=0.2)
    assert Dataset.of_arrays(x, np.stack([y, -y], axis=1)).classes == 2


X = np.arange(24.0).reshape(12, 2)
Y = np.arange(12) % 2


@pytest.mark.parametrize(
    ("x", "y", "options", "sentence"),
    [
        (X, np.zeros(12), {}, "only one class, '0'"),
        (X, Y[:-1], {}, "12 samples but 11 labels"),
        (X[:1], Y[:1], {}, "holds 1 samples, expected at least 2"),
        (X[:0], Y[:0], {}, "expected samples|holds 0 samples"),
        (np.where(X == 5, np.nan, X), Y, {}, r"sample 2 holds nan at \[1\]"),
        (X, np.where(Y == 1, np.nan, Y), {}, "must not be missing"),
        (X, np.arange(12), {}, "12 different labels on 12 samples: say task"),
        (X, NAMES[Y], {"task": "regression"}, "must be numbers, got 'ash'"),
        (X, np.full(12, 2.5), {}, "the target is 2.5 everywhere"),
        (X.astype(str), Y, {}, "expected numbers"),
        (X, Y, {"test_share": 1.5}, "test_share must be above 0 and below 1, got 1.5"),
        (X, Y, {"test_share": 0.6, "validation_share": 0.5}, "leave nothing to train on"),
        (X, Y, {"test_share": 0.01}, "leave none for the test part of 1 %"),
        (X, Y, {"shape": (3, 3)}, r"data.shape = \[3, 3\] is 9 numbers, a sample has 2"),
        (X, Y, {"scale": "log"}, "data: .*scale"),
    ],
)  # fmt: skip
def test_what_can_not_be_learnt_from_is_one_sentence(x, y, options, sentence):
    with pytest.raises(InputError, match=sentence) as error:
        Dataset.of_arrays(x, y, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        ("a,b,class\n1,2,x\n3,,y\n", {}, r"line 3, column 'b': expected a number, the field is empty"),
        ("a,b,class\n1,2,x\n3,red,y\n", {}, "line 3, column 'b': expected a number, got 'red'"),
        ("a,b,class\n1,2,x\n3,nan,y\n", {}, "line 3, column 'b': expected a number, got 'nan'"),
        ("a,b,class\n1,2,x\n3,y\n", {}, "line 3: 2 fields, the first row has 3"),
        ("a,b,class\n1,2,x\n3,4,\n", {}, "sample 2 has no 'class': labels must not be missing"),
        ("a,b,c\n1,2,x\n3,4,y\n", {}, "say which column to predict, such as data.label = 'c'"),
        ("a,b,c\n1,2,x\n3,4,y\n", {"label": "d"}, "has no column 'd'"),
        ("1,2,x\n3,4,y\n", {"label": 7}, "has 3 columns, there is no column 7"),
        ("class\nx\ny\n", {}, "no column beside the label"),
        ("a,class\n1,x\n2,x\n", {}, "only one class, 'x'"),
        ("", {}, "is empty"),
        ("a,b,class\n", {}, "t.csv holds no samples"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_table_is_said_by_line_and_column(tmp_path, text, options, sentence):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence):
        load_data(path, **options)


def test_columns_can_be_left_out_and_several_predicted(tmp_path, flowers):
    x, _ = flowers
    lines = [f"id{k},{a:g},{b:g},{c:g}" for k, (a, b, c) in enumerate(x[:, :3])]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["id,a,b,c", *lines]))
    found = load_data(path, label=("b", "c"), leave_out=("id",))
    assert (found.x_train.shape[1], found.classes, found.regression) == (1, 2, True)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.npz", b"PK\x03\x04 damaged", "can't read"),
        ("x.bin", b"?", "can't tell what .* holds"),
        ("x.csv", b"\xff\xfe\x00", "no text|empty|table"),
    ],
)
def test_damaged_and_unknown_files(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        load_data(tmp_path / name)


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match="there is no data set, file or folder"):
        load_data(tmp_path / "x.npz")
    with pytest.raises(InputError, match="no images by class"):
        load_data(tmp_path)
    np.savez(tmp_path / "x.npz", z=X)
    with pytest.raises(InputError, match=r"holds 'z', expected x and y"):
        load_data(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", x=X)
    with pytest.raises(InputError, match="but no 'y' to go with it"):
        load_data(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", x=X, y=np.array([None] * 12), allow_pickle=True)
    with pytest.raises(InputError, match="can't read"):
        load_data(tmp_path / "x.npz")


@pytest.mark.data
def test_mnist_from_idx_npz_and_images_is_the_same(tmp_path):
    known = load_data("mnist")
    pixels = np.rint(known.x_train[:300] * 255).astype(np.uint8).reshape(-1, 28, 28)
    labels = known.y_train[:300]
    np.savez(
        tmp_path / "m.npz", x_train=pixels, y_train=labels, x_test=pixels[:9], y_test=labels[:9]
    )
    found = load_data(tmp_path / "m.npz")
    np.testing.assert_array_equal(found.x_train, known.x_train[:300])
    np.testing.assert_array_equal(found.y_train, labels)
    pictures(tmp_path / "f", pixels, labels, np.arange(10))
    rows = {row.tobytes() for row in load_data(tmp_path / "f", test_share=0.1).x_train}
    assert rows < {row.tobytes() for row in known.x_train[:300]}


@pytest.mark.data
@pytest.mark.slow
def test_cifar10_holds_sixty_thousand_images_in_colour():
    found = load_data("cifar10")
    assert (found.x_train.shape, found.x_test.shape) == ((50000, 3072), (10000, 3072))
    assert np.bincount(found.y_test).tolist() == [1000] * 10
    assert found.shape == (32, 32, 3)
    # Means per channel of the original: 0.4914, 0.4822, 0.4465.
    means = found.x_train.reshape(-1, 3).mean(axis=0, dtype=float)
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=5e-3)


def test_channels_that_come_first_are_told(tmp_path):
    rng = np.random.default_rng(5)
    x = rng.integers(0, 256, (20, 3, 8, 6), dtype=np.uint8)
    y = np.arange(20) % 2
    last = Dataset.of_arrays(np.moveaxis(x, 1, -1), y)
    np.savez(tmp_path / "first.npz", x=x, y=y)
    np.savez(tmp_path / "flat.npz", x=x.reshape(20, -1), y=y)
    for name, options in (
        ("first", {}),
        ("first", {"shape": (8, 6, 3)}),
        ("first", {"shape": (3, 8, 6)}),
        ("flat", {"shape": (3, 8, 6)}),
    ):
        found = load_data(tmp_path / f"{name}.npz", **options)
        assert found.shape == (8, 6, 3)
        assert "channels, height, width" in found.notes[0]
        np.testing.assert_array_equal(found.x_train, last.x_train)
    assert (
        Dataset.of_arrays(x[:, :1], y).shape
        == Dataset.of_arrays(x[:, 0, :, :, None], y).shape
        == (8, 6)
    )


@pytest.mark.parametrize("kind", [float, np.int32, np.uint16])
def test_pixels_of_any_type_come_to_the_range_of_bytes(kind):
    x = np.random.default_rng(6).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    y = np.arange(20) % 2
    bytes_ = Dataset.of_arrays(x, y).x_train
    for same in (x.astype(kind), x.astype(kind).reshape(20, 64)):
        np.testing.assert_allclose(Dataset.of_arrays(same, y).x_train, bytes_, rtol=1e-6)
    wide = Dataset.of_arrays(x.astype(np.uint16) * np.uint16(257), y)
    np.testing.assert_allclose(wide.x_train, bytes_ * 255.0 / x.max(), rtol=1e-2)
    table = Dataset.of_arrays(x.reshape(20, 64)[:, :20].astype(kind), y)  # few features: a table
    np.testing.assert_allclose(table.x_train.mean(axis=0), 0.0, atol=1e-5)


@pytest.mark.parametrize("separator", [",", ";"])
def test_rows_with_missing_fields_are_left_out_where_that_is_asked_for(
    tmp_path, flowers, separator
):
    x, y = flowers
    path = written(tmp_path / "t.csv", x, y, separator=separator, comma=separator == ";")
    lines = path.read_text().splitlines()
    for row, place, word in ((3, 0, ""), (7, 1, "NA"), (9, -1, " ")):
        fields = lines[row].split(separator)
        fields[place] = word
        lines[row] = separator.join(fields)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"line 4, .*data.missing = 'drop' leaves such rows out"):
        load_data(path)
    found = load_data(path, missing="drop")
    assert sum(len(part) for _, part, _ in found.parts) == len(x) - 3
    assert f"{path.name}: 3 rows with missing fields are left out" in found.notes
    assert load_data(path, missing="drop", leave_out=[0]).notes[-1].startswith("t.csv: 2 rows")
