"""Sensitivities of weights against the closed form of a softmax regression."""

import numpy as np
import pytest

from memtwin.data.errors import InputError
from memtwin.training.network import mlp
from memtwin.training.studies.sensitivity import sensitivities


def test_a_softmax_regression_has_its_closed_form(rng):
    network = mlp(5, 3)
    w = rng.normal(size=(6, 3)).astype(np.float32)
    x = rng.normal(size=(3000, 5)).astype(np.float32)
    (found,) = sensitivities(network, [w], x, samples=3000, seed=1)
    a = np.c_[x, np.ones(len(x), np.float32)]
    p = np.exp(a @ w)
    p /= p.sum(axis=1, keepdims=True)
    exact = np.einsum("ni,nj->ij", np.square(a), p * (1.0 - p)) / len(x)
    np.testing.assert_allclose(found, exact, rtol=0.15)


def test_inputs_that_are_never_on_do_not_matter(rng):
    network = mlp(4, 6, 3)
    weights = [rng.normal(size=s).astype(np.float32) for s in network.matrices]
    x = np.abs(rng.normal(size=(40, 4))).astype(np.float32)
    x[:, 2] = 0.0
    first, second = sensitivities(network, weights, x)
    assert not first[2].any()
    assert first[[0, 1, 3]].any()
    assert second.shape == (7, 3)
    with pytest.raises(InputError, match="samples must be a whole number"):
        sensitivities(network, weights, x, samples=0)
