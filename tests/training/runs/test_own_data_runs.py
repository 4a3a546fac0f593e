"""Runs on data of one's own: from a table to a record, what is kept there, and what is refused before
anything is written.
"""

import json
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from memtwin.data.errors import InputError
from memtwin.training.runs.config import load_config
from memtwin.training.runs.finished import load_run
from memtwin.training.runs.run import run, train_run, validate_run

QUICK = [
    "training.engine=ideal",
    "validation.engine=nodal",
    "audit.every=0",
    "validation.images=6",
    "device.pricing=nominal",
    "training.epochs=3",
    "training.batch=10",
    "tile.rows=16",
    "tile.cols=16",
]


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(1)
    y = np.arange(90) % 3
    x = rng.normal(size=(90, 5)) * [1.0, 10.0, 1e-2, 1.0, 1.0] + y[:, None] * [4, -40, 0, 0, 0]
    lines = [
        ",".join(f"{v:.6g}" for v in row) + f",k{label}" for row, label in zip(x, y, strict=True)
    ]
    path = tmp_path / "own.csv"
    path.write_text("\n".join(["a,b,c,d,e,class", *lines]) + "\n")
    return path


class Interrupting:
    """Hears of a job's steps, and ends it after its second epoch."""

    step = staticmethod(lambda title: nullcontext())

    def say(self, sentence):
        if sentence.startswith("epoch 2"):
            raise KeyboardInterrupt


def config(table, *changes):
    return load_config("nbsto", [*QUICK, f"data.path={table}", *changes])


def test_from_a_table_to_a_record(table, tmp_path):
    record = run(config(table, "training.epochs=8"), tmp_path / "run")
    assert record["summary"]["memristor_accuracy_percent"] > 80
    kept = record["data"]
    assert (kept["name"], kept["task"], kept["names"]) == ("own.csv", "classes", ["k0", "k1", "k2"])
    assert kept["samples"] == {"train": 72, "test": 18}
    assert kept["scaling"]["kind"] == "standard"
    assert kept["scaling"]["mean"].shape == (5,)
    assert load_run(tmp_path / "run").report().stat().st_size > 10_000
    again = validate_run(tmp_path / "run", images=12)
    np.testing.assert_array_equal(again.outputs[:6], record["validation"]["outputs"])
    table.write_text(table.read_text().replace("k1", "k2", 1))
    with pytest.raises(InputError, match="another configuration, network or data"):
        validate_run(tmp_path / "run", images=13)


def test_numbers_to_predict(table, tmp_path):
    changes = ["data.label=b", 'data.leave_out=["class"]', "training.learning_rate=0.02"]
    record = run(config(table, *changes, "training.epochs=8"), tmp_path / "run")
    summary = record["summary"]
    assert summary["score"] == "r2"
    assert 0.5 < summary["memristor_r2"] < 1.0
    for name in ("memristor", "float", "spice"):
        low, high = (summary[f"{name}_r2_{end}"] for end in ("low", "high"))
        assert low < high < 1.0
        assert low <= summary[f"{name}_r2"] <= high
    assert record["data"]["target_mean"].shape == (1,)
    assert "R²" in load_run(tmp_path / "run").report().read_text()


def test_layers_that_are_written(table, tmp_path):
    layers = '["dense 12", "batch_norm", "tanh", "dropout 0.1", "dense 3"]'
    asked = config(table, f"network.layers={layers}", "training.epochs=4")
    assert load_config("nbsto", [f"network.layers={layers}"]).network.layers[0] == "dense 12"
    whole = run(asked, tmp_path / "run")
    assert whole["network"] == "5-12-3"
    assert whole["summary"]["memristor_accuracy_percent"] > 80
    # The same in two parts: digital states and their optimisers lie in the checkpoint.
    with pytest.raises(KeyboardInterrupt):
        run(asked, tmp_path / "parts", Interrupting())
    parts = run(asked, tmp_path / "parts")
    np.testing.assert_array_equal(
        parts["epochs"]["test_accuracy"], whole["epochs"]["test_accuracy"]
    )
    np.testing.assert_array_equal(parts["validation"]["outputs"], whole["validation"]["outputs"])


def test_a_convolution_on_images_of_a_table(tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = rng.random((60, 6, 6)) * 0.2
    x[y == 1, 2:4] += 0.8
    np.savez(tmp_path / "x.npz", x=x.reshape(60, 36), y=y)
    layers = '[{kind = "conv", channels = 2, kernel = 3}, "relu", "max_pool 2", "dense 2"]'
    asked = config(tmp_path / "x.npz", f"network.layers={layers}", "data.shape=[6, 6]")
    assert run(asked, tmp_path / "run")["network"] == "6x6x1-3x3c2-2"


def test_training_ends_where_nothing_gets_better(table, tmp_path):
    changes = ["data.validation_share=0.2", "training.patience=1", "training.epochs=30"]
    found = train_run(config(table, *changes), tmp_path / "run")
    scores = [record.validation_accuracy for record in found.records]
    assert len(scores) < 30
    assert scores[-1] <= max(scores[:-1])
    assert len(train_run(config(table, *changes), tmp_path / "run").records) == len(scores)
    assert len(validate_run(tmp_path / "run", images=4).outputs) == 4


def test_what_is_validated_is_a_training_at_its_end(table, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train_run(config(table, "training.epochs=3"), tmp_path / "run", Interrupting())
    with pytest.raises(InputError, match=r"not finished, 2 of 3 epochs .* memtwin train --resume"):
        validate_run(tmp_path / "run")
    train_run(config(table, "training.epochs=3"), tmp_path / "run")
    found = validate_run(tmp_path / "run", images=12)
    record = run(config(table, "training.epochs=3"), tmp_path / "run")
    np.testing.assert_array_equal(found.outputs[:6], record["validation"]["outputs"][:6])


def test_weights_to_start_from(table, tmp_path):
    rng = np.random.default_rng(0)
    shapes = {"a.weight": (8, 5), "a.bias": (8,), "b.weight": (3, 8), "b.bias": (3,)}
    np.savez(tmp_path / "w.npz", **{k: rng.standard_normal(v) * 0.1 for k, v in shapes.items()})
    changes = ["network.hidden=[8]", f"network.weights={tmp_path / 'w.npz'}"]
    slow = "training.learning_rate=1e-9"
    found = train_run(config(table, *changes, slow, "training.epochs=1"), tmp_path / "run")
    with np.load(tmp_path / "w.npz") as file:
        np.testing.assert_allclose(found.weights[0][:-1], file["a.weight"].T, atol=1e-6)


def test_five_lines_are_enough_from_an_archive_to_a_report(tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    np.savez(tmp_path / "own.npz", x=rng.normal(size=(60, 5)) + 3.0 * y[:, None], y=y)
    page = (Path(__file__).parents[3] / "docs" / "own-data.md").read_text(encoding="utf-8")
    text = page.split('file.write("""', 1)[1].split('"""', 1)[0]  # as the documentation has it
    assert 0 < len([line for line in text.splitlines() if line.strip()]) <= 8
    path = tmp_path / "own.toml"
    path.write_text(text.replace("own.csv", str(tmp_path / "own.npz")))
    quick = ["training.engine=ideal", "validation.engine=nodal", "validation.images=4"]
    run(load_config(path, quick), tmp_path / "run")
    done = load_run(tmp_path / "run")
    assert done.summary["memristor_accuracy_percent"] > 80
    assert done.report().stat().st_size > 10_000


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            ["training.batch=100"],
            "100 samples in a batch, own.csv has 72 to train on: choose 72 or",
        ),
        (["data.label=colour"], "has no column 'colour'"),
        (["data.label=a"], "column 'class': expected a number, got 'k"),
        (["data.path=there.is.none.csv"], "there is no data set, file or folder"),
        (['network.layers=["dense 8", "rellu", "dense 3"]'], "layer 2: there is no layer 'rellu'"),
        (['network.layers=["conv 2 3", "dense 3"]'], "layer 1, Conv2d.*height, width, channels"),
        (['network.layers=["dense 8"]'], "8 outputs, own.csv has 3 classes: end with 'dense 3'"),
        (["network.kind=lenet", "network.hidden=[100]"], "a lenet takes square grey images"),
        (["training.patience=2"], "no part to validate on: set data.validation_share"),
        (['network.layers=[{layer = "dense 3", levels = 64}]'], "64 levels: the devices have 16"),
        (['network.layers=["dense 3 digital=true"]'], "all layers are digital"),
        (["training.loss=hinge"], "there is no 'hinge'"),
        (["data.name=minst"], "minst"),
        (["network.weights=w.npz"], "there is no file of weights"),
        (["validation.images=19"], "19 images asked for, own.csv has 18 to test on"),
        (["data.train=500"], "data.train: 500 images asked for, own.csv has 72"),
    ],
)
def test_what_can_not_be_run_is_one_sentence_and_writes_nothing(table, tmp_path, changes, sentence):
    with pytest.raises(InputError, match=sentence) as error:
        run(config(table, *changes), tmp_path / "run")
    assert "\n" not in str(error.value)
    left = (
        [path.name for path in (tmp_path / "run").glob("*.h5")]
        if (tmp_path / "run").exists()
        else []
    )
    assert not left


def test_keys_of_before_mean_what_they_did():
    old = load_config("nbsto", ["images.train=100", "images.name=mnist"])
    assert (old.data.train, old.data.name) == (100, "mnist")
    tree = json.loads(old.model_dump_json())
    assert "images" not in tree


@pytest.mark.slow
@pytest.mark.spice
@pytest.mark.parametrize("name", ["wine", "breast_cancer", "diabetes"])
def test_known_tables_come_within_a_point_of_float(name, tmp_path):
    sets = pytest.importorskip("sklearn.datasets")
    data = getattr(sets, f"load_{name}")()
    path = tmp_path / f"{name}.csv"
    rows = np.column_stack([data.data, data.target])
    head = ",".join([*(f"f{k}" for k in range(data.data.shape[1])), "target"])
    path.write_text("\n".join([head, *(",".join(f"{v:.9g}" for v in row) for row in rows)]))
    changes = [
        f"data.path={path}",
        "training.batch=10",
        "training.epochs=20",
        "validation.images=20",
    ]
    if name == "diabetes":
        changes += ["data.task=regression", "training.learning_rate=0.01"]
    found = run(load_config("nbsto", changes), tmp_path / "run")["summary"]
    score, bar = ("r2", 0.02) if name == "diabetes" else ("accuracy_percent", 1.0)
    assert found[f"float_{score}"] - found[f"memristor_{score}"] <= bar
