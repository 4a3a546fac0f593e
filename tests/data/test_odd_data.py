"""Data that is not as most: what can be read sensibly is read, and said; all else is one sentence."""

import gzip
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from memtwin.data.dataset import Dataset, load_data
from memtwin.data.errors import InputError

RNG = np.random.default_rng(5)
X = np.round(RNG.normal(size=(20, 3)) * 10.0, 3)
NAMES = np.array(["Größe", "alt"])[np.arange(20) % 2]


def table(separator: str, *, comma: bool = False, header: bool = True) -> str:
    rows = [
        separator.join([*(f"{v:.3f}" for v in row), name])
        for row, name in zip(X, NAMES, strict=True)
    ]
    text = "\n".join([separator.join(["a", "b", "c", "label"])] * header + rows) + "\n"
    return text.replace(".", ",") if comma else text


@pytest.mark.parametrize(
    ("raw", "options", "said"),
    [
        (table(";", comma=True).encode(), {}, ["decimal commas"]),
        (table(";", comma=True, header=False).encode(), {"label": -1}, ["decimal commas"]),
        (table("\t", comma=True).encode("utf-16"), {}, ["UTF-16", "decimal commas"]),
        (table(",").encode("utf-16-be"), {}, None),
        (b"\xfe\xff" + table(",").encode("utf-16-be"), {}, ["UTF-16"]),
        (table(",").encode("cp1252"), {}, ["Windows-1252"]),
        (table("   ").encode(), {}, ["between blanks"]),
        (gzip.compress(table(";").encode("utf-8-sig")), {}, []),
        (table(",").replace("\n", "\r\n").encode(), {}, []),
    ],
)  # fmt: skip
def test_dialects_of_tables_hold_the_same(tmp_path, raw, options, said):
    path = tmp_path / "t.csv"
    path.write_bytes(raw)
    if said is None:
        with pytest.raises(InputError, match="is no text: it holds bytes of value 0"):
            load_data(path)
        return
    found = load_data(path, **options)
    plain = Dataset.of_arrays(X, NAMES)
    assert found.targets.names == plain.targets.names == ("Größe", "alt")
    np.testing.assert_allclose(found.x_train, plain.x_train, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found.y_train, plain.y_train)
    assert len(found.notes) == len(said)
    assert all(any(word in note for note in found.notes) for word in said)


def test_numbers_to_predict_may_have_decimal_commas(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        "a;y\n" + "".join(f"{k};{k / 4 + 1:.2f}\n" for k in range(12)).replace(".", ",")
    )
    found = load_data(path)
    assert found.regression
    assert found.targets.said(found.y_train).max() == pytest.approx(
        np.max(found.y_train * found.targets.deviation + found.targets.mean)
    )
    assert 1.0 < found.targets.mean[0] < 4.0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a;b;y\n1,5;2;x\n1.5.2;3;z\n", r"line 3, column 'a': expected a number, got '1\.5\.2'"),
        ("a,b,y\n1,2,x\n1e300,3,z\n", "line 3, column 'a': expected a number, got '1e300'"),
        ("a,b,y\n1,2,x\n3,inf,z\n", "line 3, column 'b': expected a number, got 'inf'"),
        ("a,b,y\n1,2,x\n", "holds 1 samples, expected at least 2"),
        ("a,b,y\n1,2,x\n3,4,z\n", "leave none for the test part"),
        ("only words\nin this\n", "say which column to predict|expected a number"),
        ('a,b,y\n1,"2,x\n3,4,z\n', "line|no table|fields"),
        ("a,a,y\n1,2,x\n?,4,z\n", r"column 'a': expected a number, got '\?'"),
        ("y\n1\n2\n", "no column beside the label"),
    ],
)  # fmt: skip
def test_what_no_table_can_be_read_from(tmp_path, text, sentence):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence) as error:
        load_data(path)
    assert "\n" not in str(error.value)


def test_a_table_that_ends_in_its_gzip(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(("a,b,y\n" + "1,2,x\n3,4,z\n" * 20000).encode())[:150])
    with pytest.raises(InputError, match=r"t\.csv\.gz"):
        load_data(path)


def test_one_column_per_class_is_read_as_classes(tmp_path):
    kind = np.arange(20) % 4
    np.savez(tmp_path / "h.npz", x=X, y=np.eye(4)[kind])
    found, plain = load_data(tmp_path / "h.npz"), Dataset.of_arrays(X, kind)
    assert (found.classes, found.targets.names) == (4, ("0", "1", "2", "3"))
    np.testing.assert_array_equal(found.y_test, plain.y_test)
    assert "read as 4 classes" in found.notes[0]
    assert not plain.notes
    assert load_data(tmp_path / "h.npz", task="regression").regression
    # Two 1s in a row are no class.
    both = np.eye(4)[kind]
    both[3] = 1.0
    assert Dataset.of_arrays(X, both).regression


def test_labels_with_gaps_and_of_bytes(tmp_path):
    kind = np.array([7, -1, 40])[np.arange(20) % 3]
    found = Dataset.of_arrays(X, kind)
    assert (found.classes, found.targets.names) == (3, ("-1", "7", "40"))
    assert set(found.y_train) == {0, 1, 2}
    named = Dataset.of_arrays(X, np.char.encode(NAMES, "utf-8"))
    assert named.targets.names == ("Größe", "alt")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"a": X, "b": X}, "holds 'a', 'b', expected x and y"),
        ({"x": X, "y": np.array([{}] * 20, object)}, "can't read .*allow_pickle|can't read .*[Oo]bject"),
        ({"x": X, "y": NAMES[:-1]}, "20 samples but 19 labels"),
        ({"x": X[:, 0], "y": NAMES}, "expected samples"),
        ({"x": X.astype(complex), "y": NAMES}, "hold complex128, expected numbers"),
        ({"x": np.zeros((20, 2, 2, 2, 2)), "y": NAMES}, "at most three dimensions"),
        ({"x": np.zeros((20, 0)), "y": NAMES}, "expected samples"),
        ({"x": X, "y": np.float64(3.0)}, "expected samples"),
        ({"x_train": X, "y_train": NAMES, "x_test": X[:, :2], "y_test": NAMES}, "those of the test part"),
        ({"x_train": X, "y_train": NAMES, "x_test": X[:0], "y_test": NAMES[:0]}, "test part is empty"),
        ({"x": X, "y": np.full((20, 2), [2.0, 0.5])}, "the target is .* everywhere"),
        ({"x": X, "y": np.where(np.arange(20) == 4, np.inf, 0.5 * np.arange(20))}, "must not be missing|finite"),
    ],
)  # fmt: skip
def test_what_no_archive_can_be_read_from(tmp_path, arrays, sentence):
    np.savez(tmp_path / "j.npz", **arrays)
    with pytest.raises(InputError, match=sentence) as error:
        load_data(tmp_path / "j.npz")
    assert "\n" not in str(error.value)


def jpeg(size=(6, 5), colour=True) -> bytes:
    pixels = RNG.integers(0, 256, (*size, 3) if colour else size, dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def folder(home, count=4):
    for name in ("ash", "elm"):
        (home / name).mkdir(parents=True)
        for k in range(count):
            (home / name / f"{k}.jpg").write_bytes(jpeg(colour=False))


def test_images_that_can_not_be_read_are_named(tmp_path):
    folder(tmp_path)
    whole = jpeg((40, 40), colour=False)
    for damaged in (b"", whole[: len(whole) // 2], whole[:20], bytes(200)):
        (tmp_path / "elm" / "2.jpg").write_bytes(damaged)
        with pytest.raises(InputError, match=r"can't read the image .*2\.jpg") as error:
            load_data(tmp_path)
        assert "\n" not in str(error.value)


def test_colours_that_are_lost_and_folders_that_are_empty_are_said(tmp_path):
    folder(tmp_path)
    (tmp_path / "elm" / "3.jpg").write_bytes(jpeg())
    (tmp_path / "oak").mkdir()
    found = load_data(tmp_path)
    assert (found.shape, found.classes) == ((6, 5), 2)
    assert sum("1 of 8 images" in note and "in colour" in note for note in found.notes) == 1
    assert sum("oak holds no images" in note for note in found.notes) == 1
    assert not [note for note in load_data(tmp_path, shape=(6, 5, 3)).notes if "in colour" in note]


def test_images_of_sixteen_bits_are_not_cut_off(tmp_path):
    pixels = (np.arange(30).reshape(6, 5) * 2184).astype(np.uint16)
    for name in ("ash", "elm"):
        (tmp_path / name).mkdir()
        for k in range(4):
            Image.fromarray(pixels).save(tmp_path / name / f"{k}.png")
    np.testing.assert_allclose(
        load_data(tmp_path).x_train[0], pixels.ravel() / 65535.0, atol=0.5 / 255
    )


@pytest.mark.parametrize("made", ["", "oak", "flat", "train/ash"])
def test_folders_without_images_by_class(tmp_path, made):
    if made == "flat":
        (tmp_path / "a.jpg").write_bytes(jpeg())
    elif made:
        (tmp_path / made).mkdir(parents=True)
    with pytest.raises(InputError, match=r"no images by class|no folder for each class"):
        load_data(tmp_path)


def test_one_class_and_one_image(tmp_path):
    (tmp_path / "ash").mkdir()
    for k in range(3):
        (tmp_path / "ash" / f"{k}.jpg").write_bytes(jpeg())
    with pytest.raises(InputError, match="only one class, 'ash'"):
        load_data(tmp_path)
    for k in range(2):
        (tmp_path / "ash" / f"{k}.jpg").unlink()
    with pytest.raises(InputError, match="holds 1 samples"):
        load_data(tmp_path)


def test_a_column_that_numbers_the_rows_is_left_out(tmp_path):
    rows = [f"{k},{k % 3},{k * k % 7},{'ab'[k % 2]}" for k in range(20)]
    for name in ("", "Unnamed: 0"):
        (tmp_path / "t.csv").write_text("\n".join([f"{name},a,b,class", *rows]))
        found = load_data(tmp_path / "t.csv")
        assert found.shape == (2,)
        assert "numbers the rows" in found.notes[0]
    (tmp_path / "t.csv").write_text("\n".join(["nr,a,b,class", *rows]))
    assert load_data(tmp_path / "t.csv").shape == (3,)
    (tmp_path / "t.csv").write_text("\n".join(["a,a,b,class", *rows]))
    with pytest.raises(InputError, match="has 2 columns 'a': say its place"):
        load_data(tmp_path / "t.csv", leave_out=("a",))


def test_labels_that_are_missing_and_numbers_too_large():
    with pytest.raises(InputError, match="label 3 is None: labels must not be missing"):
        load_data((X, np.array(["a", "b", "a", None] * 5, object)))
    with pytest.raises(InputError, match="finite numbers of single precision"):
        load_data((X * 1e300, NAMES))
    with pytest.raises(InputError, match=r"data\.label names columns of a table"):
        load_data((X, NAMES), label="class")
