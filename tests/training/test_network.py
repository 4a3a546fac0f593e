"""Networks: gradients against finite differences, convolutions against scipy, errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate

from memtwin.data.errors import InputError
from memtwin.training.layers.digital import AveragePool, MaxPool, Relu
from memtwin.training.layers.weighted import Conv2d, Dense
from memtwin.training.losses import cross_entropy
from memtwin.training.network import Network, lenet, mlp

CNN = Network(
    (Conv2d(3, 3, padding=1), Relu(), MaxPool(2), Conv2d(4, 3, stride=2), Relu(), Dense(5)),
    (9, 9, 2),
)
POOLED = Network((Conv2d(3, 3), Relu(), AveragePool(2), Dense(4), Relu(), Dense(3)), (8, 8, 1))


def loss_and_gradients(network, weights, x, labels):
    outputs, tape = network.forward(x, lambda k, a: a @ weights[k])
    loss, error = cross_entropy(outputs, labels)
    return loss, network.backward(tape, error, weights)


@pytest.mark.parametrize("network", [mlp(7, 6, 4), CNN, POOLED], ids=["mlp", "cnn", "pooled"])
def test_gradients_are_those_of_finite_differences(network, rng):
    x = rng.random((6, *network.shape), np.float32)
    labels = rng.integers(0, network.shapes[-1][0], 6)
    weights = network.initial(rng)
    for w in weights:
        w[-1] = 0.1 * rng.standard_normal(w.shape[1])
    _, gradients = loss_and_gradients(network, weights, x, labels)
    for k, gradient in enumerate(gradients):
        assert gradient.shape == weights[k].shape
        # A step along the gradient itself: one number per matrix, above float32's rounding.
        direction = gradient / np.linalg.norm(gradient)
        step = 1e-2
        ends = []
        for sign in (1, -1):
            moved = [w.copy() for w in weights]
            moved[k] += np.float32(sign * step) * direction
            ends.append(loss_and_gradients(network, moved, x, labels)[0])
        slope = (ends[0] - ends[1]) / (2 * step)
        assert slope == pytest.approx(np.linalg.norm(gradient), rel=0.03)


@settings(deadline=None, max_examples=30)
@given(
    st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 2), st.integers(0, 2)
)
def test_convolution_is_that_of_scipy(inputs, outputs, kernel, stride, padding):
    rng = np.random.default_rng(inputs + 10 * outputs + 100 * kernel)
    network = Network((Conv2d(outputs, kernel, stride, padding), Dense(2)), (6, 5, inputs))
    layer = network.layers[0]
    x = rng.random((2, 6, 5, inputs), np.float32)
    w = rng.standard_normal((kernel * kernel * inputs + 1, outputs)).astype(np.float32)
    found = (layer.unfold(x) @ w).reshape(2, *layer.output((6, 5, inputs)))
    filters = w[:-1].reshape(kernel, kernel, inputs, outputs)
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    for image in range(2):
        for j in range(outputs):
            expected = correlate(padded[image], filters[..., j], "valid")[::stride, ::stride, 0]
            np.testing.assert_allclose(found[image, ..., j], expected + w[-1, j], atol=1e-5)


def test_folding_is_the_transpose_of_unfolding(rng):
    layer, shape = Conv2d(2, 3, stride=2, padding=1), (7, 6, 2)
    x = rng.random((2, *shape), np.float32)
    a = rng.random((len(layer.unfold(x)), layer.fan_in(shape)), np.float32)
    # <unfold(x), a> = <x, fold(a)>
    left = np.vdot(layer.unfold(x)[:, :-1], a)
    assert left == pytest.approx(np.vdot(x, layer.fold(a, shape)), rel=1e-5)


def test_max_pool_gives_a_tie_to_one_input_only():
    pool = MaxPool(2)
    x = np.ones((1, 2, 2, 1), np.float32)
    y, kept = pool.forward(x)
    assert y.item() == 1.0
    assert pool.backward(np.full((1, 1, 1, 1), 3.0, np.float32), kept).sum() == 3.0


def test_cross_entropy_of_certain_and_even_outputs():
    labels = np.array([0, 1])
    loss, gradient = cross_entropy(np.array([[200.0, 0.0], [0.0, 200.0]], np.float32), labels)
    assert loss == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-6)
    loss, gradient = cross_entropy(np.zeros((2, 4), np.float32), labels)
    assert loss == pytest.approx(np.log(4.0))
    np.testing.assert_allclose(gradient.sum(axis=1), 0.0, atol=1e-7)


def test_matrices_of_a_network():
    assert mlp(784, 100, 10).matrices == ((785, 100), (101, 10))
    assert mlp(784, 100, 10).weights == 79510
    assert lenet().weights == 25010
    assert CNN.matrices == ((19, 3), (28, 4), (5, 5))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: mlp(3), "at least input and output"),
        (lambda: Network((Relu(),), (3,)), "hold weights"),
        (lambda: Network((Conv2d(2, 3), Dense(2)), (9,)), "height, width, channels"),
        (lambda: Network((Conv2d(2, 10), Dense(2)), (9, 9, 1)), "does not fit"),
        (lambda: Network((MaxPool(3), Dense(2)), (2, 2, 1)), "layer 1, .* do not fit"),
    ],
)
def test_what_is_no_network_is_said(make, words):
    with pytest.raises(InputError, match=words):
        make()
