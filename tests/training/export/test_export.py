"""A folder that a process without memtwin evaluates as the twin does."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import memtwin as mt
from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.data.errors import InputError
from memtwin.training.layers.written import written_layers
from memtwin.training.network import Network, Residual
from memtwin.training.twin.crossbar import MappingOptions

Evaluated = Callable[[Path, np.ndarray], np.ndarray]
TILE = Tile(16, 12, levels=Cell.resistor(0.2).levels(np.linspace(5e-6, 50e-6, 16)))
RNG = np.random.default_rng(0)
KIND = np.arange(120) % 3
IMAGES = RNG.normal(size=(120, 8, 8, 2)) + 2.0 * np.eye(3, 128)[KIND].reshape(-1, 8, 8, 2)
LAYERS = [
    "conv 4 3 padding=1",
    "batch_norm",
    "relu",
    {"kind": "residual", "layers": ["conv 4 3 padding=1 groups=2", "tanh"]},
    "max_pool 2",
    "average_pool 2",
    "flatten",
    "dense 8",
    "sigmoid",
    "dropout 0.1",
    "dense 3",
]


@pytest.mark.parametrize(
    "mapping",
    [
        MappingOptions(),
        MappingOptions(bias="digital", gain="column", dac_bits=8, adc_bits=8),
        MappingOptions(gain="tile", drive="bits", dac_bits=6, adc_bits=9, signed="two phases"),
        MappingOptions(gain="none", signed="offset", dac_bits=7),
    ],
    ids=["analog", "converters", "bits", "offset"],
)
def test_the_folder_says_what_the_twin_says(
    tmp_path: Path, mapping: MappingOptions, evaluated: Evaluated
) -> None:
    network = Network(written_layers(LAYERS, Residual), (8, 8, 2))
    twin = mt.Twin(network, TILE, engine="ideal", mapping=mapping)
    twin.fit(IMAGES * 7.0 + 3.0, np.array(["ash", "elm", "oak"])[KIND], epochs=2, batch=10)
    folder = twin.export(tmp_path / "net")
    tests = IMAGES[:40] * 7.0 + 3.0
    found, expected = evaluated(folder, tests), twin.outputs(tests, noise=False)
    scale = float(np.abs(expected).max())
    if mapping.adc_bits is None and mapping.dac_bits is None:
        assert np.abs(found - expected).max() < 1e-4 * scale
    else:  # a current at the middle between two codes may go either way
        assert np.quantile(np.abs(found - expected), 0.9) < 1e-2 * scale
        assert np.mean(found.argmax(1) == expected.argmax(1)) > 0.97


def test_numbers_come_in_their_own_unit(tmp_path: Path) -> None:
    x = RNG.normal(size=(80, 5))
    y = 30.0 + 10.0 * x @ np.array([1.0, -2.0, 0.5, 0.0, 1.0])
    twin = mt.Twin(mt.mlp(5, 8, 1), TILE, engine="ideal")
    twin.fit(x, y, epochs=3, batch=10, task="regression")
    folder = twin.export(tmp_path / "net")
    np.save(tmp_path / "x.npy", x)
    run = subprocess.run(
        [sys.executable, str(folder / "evaluate.py"), str(tmp_path / "x.npy")],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    said = np.array([float(line.strip("[] ")) for line in run.stdout.split("\n") if line])
    noiseless = twin.outputs(x, noise=False)
    targets = twin.data.targets  # type: ignore[union-attr]
    assert said == pytest.approx(
        (noiseless * targets.deviation + targets.mean).ravel(), rel=1e-4, abs=1e-3
    )


def test_nothing_is_written_over(tmp_path: Path) -> None:
    twin = mt.Twin(mt.mlp(5, 3, 2), TILE, engine="ideal")
    with pytest.raises(InputError, match="fit it first"):
        twin.export(tmp_path / "net")
    twin.fit(RNG.normal(size=(20, 5)), np.arange(20) % 2, epochs=1, batch=5)
    (tmp_path / "net").mkdir()
    with pytest.raises(InputError, match="is there already"):
        twin.export(tmp_path / "net")
    assert not any((tmp_path / "net").iterdir())
