"""Floors on MNIST: accuracy, and writes removed against the basic closed loop."""

from dataclasses import replace

import numpy as np
import pytest

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.ideal import Ideal
from memtwin.data.dataset import load_data
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.training.network import lenet, mlp
from memtwin.training.trainer.loop import build_twin, train
from memtwin.training.trainer.options import TrainOptions
from memtwin.training.twin.crossbar import Crossbar, MappingOptions

pytestmark = pytest.mark.data

TILE = Tile(64, 64, levels=Cell.resistor(0.2).levels(np.linspace(5e-6, 50e-6, 16)))


@pytest.fixture(scope="module")
def images():
    return load_data("mnist")


def trained(network, images, clip, **options):
    twin = build_twin(network, Crossbar(TILE, mapping=MappingOptions(clip=clip)), Ideal)
    result = train(twin, images, TrainOptions(**options), nominal_pricing(16))
    first = result.records[0]
    return 100 * result.accuracy, first.cost.removed(first.closed_loop)


def first_images(images, count):
    return replace(images, x_train=images.x_train[:count], y_train=images.y_train[:count])


def test_perceptron_on_a_sixth_of_mnist(images):
    accuracy, removed = trained(mlp(784, 100, 10), first_images(images, 10_000), 8.0, epochs=3)
    assert accuracy >= 92.5
    assert removed["writes"] >= 99.2
    assert removed["weights"] >= 98.4


@pytest.mark.slow
def test_perceptron_on_mnist(images):
    accuracy, removed = trained(mlp(784, 100, 10), images, 8.0, epochs=1)
    assert accuracy >= 94.3
    assert removed["writes"] >= 99.5
    assert removed["weights"] >= 99.0
    assert removed["row_time"] >= 75.0
    accuracy, removed = trained(mlp(784, 100, 10), images, 8.0, epochs=1, hysteresis=0.1)
    assert min(removed[key] for key in ("writes", "weights", "energy", "time")) >= 98.5


@pytest.mark.slow
def test_convolutions_on_mnist(images):
    accuracy, removed = trained(lenet(), images, 5.0, epochs=1, learning_rate=0.05)
    assert accuracy >= 96.3
    assert removed["writes"] >= 99.4
