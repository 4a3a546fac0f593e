"""Layers: gradients against finite differences, groups against block matrices, what is written, and
weights from elsewhere.
"""

import json

import numpy as np
import pytest

from memtwin.data.errors import InputError
from memtwin.training.layers.digital import Dropout, Relu, Tanh
from memtwin.training.layers.norm import BatchNorm
from memtwin.training.layers.weighted import Conv2d, Dense
from memtwin.training.layers.written import KINDS, written_layers
from memtwin.training.losses import cross_entropy, mean_square, score_of
from memtwin.training.network import Network, Residual
from memtwin.training.pretrained import load_weights

WRITTEN = {
    "grouped": ["conv 4 3 groups=2", "tanh", "conv 4 3 1 1 4", "sigmoid", "dense 3"],
    "residual": [
        "conv 3 3 padding=1",
        {"kind": "residual", "layers": ["relu", "conv 3 3 padding=1", "batch_norm"]},
        "average_pool 2",
        "flatten",
        "dense 3",
    ],
    "normalised": ["batch_norm", "conv 3 3", "batch_norm", "relu", "max_pool", "dense 3"],
    "residual first": [{"kind": "residual", "layers": ["conv 2 3 padding=1"]}, "dense 3"],
}


def made(name, shape=(6, 6, 2)):
    return Network(written_layers(WRITTEN[name], Residual), shape)


@pytest.mark.parametrize("loss", [cross_entropy, mean_square])
@pytest.mark.parametrize("name", list(WRITTEN))
def test_gradients_are_those_of_finite_differences(name, loss, rng):
    network = made(name)
    x = rng.standard_normal((8, 6, 6, 2), np.float32)
    labels = rng.integers(0, 3, 8)
    weights, states = network.initial(rng), network.states()

    def run(weights, states):
        fresh = [state.copy() for state in states]
        outputs, tape = network.forward(x, lambda k, a: a @ weights[k], fresh, rng)
        return (*loss(outputs, labels), tape)

    _, error, tape = run(weights, states)
    gradients, by_states = network.gradients(tape, error, weights)
    assert [one.shape for one in gradients] == list(network.matrices)
    for part, found in ((weights, gradients), (states, by_states)):
        for k, gradient in enumerate(found):
            norm = np.linalg.norm(gradient)
            if norm < 1e-4:
                continue
            ends = []
            for sign in (1, -1):
                moved = [[one.copy() for one in group] for group in (weights, states)]
                target = moved[0 if part is weights else 1][k]
                target[: len(gradient)] += np.float32(sign * 5e-3) * gradient / norm
                ends.append(run(*moved)[0])
            assert (ends[0] - ends[1]) / 1e-2 == pytest.approx(norm, rel=0.05)


def test_a_convolution_in_groups_is_one_with_a_block_matrix(rng):
    x = rng.standard_normal((3, 5, 5, 4), np.float32)
    grouped = Network((Conv2d(6, 3, groups=2), Dense(1)), (5, 5, 4))
    whole = Network((Conv2d(6, 3), Dense(1)), (5, 5, 4))
    weights = grouped.initial(rng)
    blocks = np.zeros((9, 4, 6), np.float32)
    for g in range(2):
        blocks[:, 2 * g : 2 * g + 2, 3 * g : 3 * g + 3] = weights[g][:-1].reshape(9, 2, 3)
    full = [np.vstack([blocks.reshape(36, 6), np.zeros((1, 6), np.float32)]), weights[2]]
    found = grouped.forward(x, lambda k, a: a @ weights[k])[0]
    np.testing.assert_allclose(
        found, whole.forward(x, lambda k, a: a @ full[k])[0], rtol=1e-4, atol=1e-5
    )
    assert grouped.matrices[:2] == ((19, 3), (19, 3))


def test_normalisation_by_batch_then_by_what_was_seen(rng):
    layer = BatchNorm(momentum=1.0)
    state = layer.initial((3,))
    x = rng.normal(5.0, 3.0, (400, 3)).astype(np.float32)
    y, _ = layer.forward(x, state, True)
    np.testing.assert_allclose(y.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(y.std(axis=0), 1.0, atol=1e-3)
    np.testing.assert_allclose(layer.forward(x, state, False)[0], y, atol=1e-4)


def test_dropout_keeps_the_mean_and_is_idle_outside_of_training(rng):
    x = np.ones((200, 50), np.float32)
    y, kept = Dropout(0.4).forward(x, rng)
    assert float(np.mean(y == 0.0)) == pytest.approx(0.4, abs=0.02)
    assert float(y.mean()) == pytest.approx(1.0, abs=0.03)
    np.testing.assert_array_equal(Dropout(0.4).backward(x, kept), y)
    assert Dropout(0.4).forward(x)[0] is x


def test_what_is_written_is_what_is_made():
    layers = written_layers(
        [
            "conv 8 5",
            {"kind": "conv", "channels": 4, "kernel": 3, "padding": 1},
            "dropout 0.2",
            "dense 10",
        ],
        Residual,
    )
    assert layers == (Conv2d(8, 5), Conv2d(4, 3, padding=1), Dropout(0.2), Dense(10))
    assert set(KINDS) >= {"dense", "conv", "relu", "tanh", "sigmoid", "flatten", "dropout"}


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        (["dense 3", "rellu"], "layer 2: there is no layer 'rellu'.*relu"),
        (["conv 8"], "layer 1, 'conv 8': conv needs channels, kernel"),
        (["dense 3 4"], "dense takes outputs, got 2"),
        (["dense size=3"], "dense has no option 'size'"),
        (["dense 0"], "outputs must be .*at least 1"),
        (["dense three"], "outputs"),
        (["conv 4 3 groups=0"], "groups must be .*at least 1"),
        ([{"kind": "residual"}], "a residual is a table with layers"),
        ([7], "expected a text such as 'conv 8 5', or a table, got 7"),
        ("dense 3", "expected a list of layers"),
    ],
)
def test_what_is_no_layer_is_said(layers, sentence):
    with pytest.raises(InputError, match=sentence):
        written_layers(layers, Residual)


@pytest.mark.parametrize(
    ("layers", "shape", "sentence"),
    [
        ((Dense(4), Conv2d(2, 3), Dense(2)), (8, 8, 1), "layer 2, .*needs inputs .height, width"),
        ((Conv2d(2, 5), Conv2d(2, 5), Dense(2)), (8, 8, 1), "layer 2, .*5x5 kernel does not fit"),
        ((Conv2d(4, 3, groups=3), Dense(2)), (8, 8, 4), "layer 1, .*can't be parted in 3 groups"),
        ((Residual((Conv2d(3, 3),)), Dense(2)), (8, 8, 1), "layer 1, .*can't be added"),
        ((Conv2d(3, 3),), (8, 8, 1), "must end in a vector"),
    ],
)
def test_shapes_that_do_not_chain_say_at_which_layer(layers, shape, sentence):
    with pytest.raises(InputError, match=sentence):
        Network(layers, shape)


def state_dict(rng):
    """A convolution with normalisation and a dense layer, as torch keeps them."""
    shapes = {
        "conv.weight": (5, 2, 3, 3), "conv.bias": (5,), "bn.weight": (5,), "bn.bias": (5,),
        "bn.running_mean": (5,), "bn.running_var": (5,), "fc.weight": (3, 80), "fc.bias": (3,),
    }  # fmt: skip
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    arrays["bn.running_var"] = np.abs(arrays["bn.running_var"]) + np.float32(0.5)
    return arrays


def by_hand(arrays, x):
    """Return what torch would: channels first, by loops over the kernel."""
    n, height, width, _ = x.shape
    first = x.transpose(0, 3, 1, 2)
    y = np.zeros((n, 5, height - 2, width - 2))
    for i in range(3):
        for j in range(3):
            window = first[:, :, i : i + height - 2, j : j + width - 2]
            y += np.einsum("nchw,oc->nohw", window, arrays["conv.weight"][:, :, i, j])
    y += arrays["conv.bias"][:, None, None]
    slope = arrays["bn.weight"] / np.sqrt(arrays["bn.running_var"] + 1e-5)
    y = (y - arrays["bn.running_mean"][:, None, None]) * slope[:, None, None]
    y = np.maximum(y + arrays["bn.bias"][:, None, None], 0.0)
    return y.reshape(n, -1) @ arrays["fc.weight"].T + arrays["fc.bias"]


@pytest.mark.parametrize("norm", ["folded", "digital"])
@pytest.mark.parametrize("ending", ["dict", "npz", "safetensors"])
def test_weights_from_elsewhere_compute_what_they_did_there(ending, norm, rng, tmp_path):
    arrays = state_dict(rng)
    layers = (Conv2d(5, 3), *([BatchNorm()] if norm == "digital" else []), Relu(), Dense(3))
    network = Network(layers, (6, 6, 2))
    source = arrays
    if ending == "npz":
        source = tmp_path / "w.npz"
        np.savez(source, **arrays)
    elif ending == "safetensors":
        source = tmp_path / "w.safetensors"
        header, data = {}, b""
        for name, one in arrays.items():
            ends = [len(data), len(data) + one.nbytes]
            header[name] = {"dtype": "F32", "shape": list(one.shape), "data_offsets": ends}
            data += one.tobytes()
        text = json.dumps(header).encode()
        source.write_bytes(len(text).to_bytes(8, "little") + text + data)
    matrices, norms = load_weights(network, source)
    x = rng.standard_normal((4, 6, 6, 2), np.float32)
    found = network.forward(x, lambda k, a: a @ matrices[k], norms)[0]
    np.testing.assert_allclose(found, by_hand(arrays, x), rtol=1e-3, atol=1e-3)


def test_arrays_in_the_order_of_the_alphabet_find_their_layers(rng):
    network = Network((*[Dense(5)] * 11, Dense(3)), (5,))
    arrays = {f"{k}.weight": rng.standard_normal((5 if k < 11 else 3, 5)) for k in range(12)}
    found, _ = load_weights(network, dict(sorted(arrays.items())))  # 0, 1, 10, 11, 2, ...
    for k in (1, 2, 10, 11):
        np.testing.assert_allclose(found[k][:-1].T, arrays[f"{k}.weight"], rtol=1e-6)
    net = Network((Conv2d(4, 3), Relu(), Dense(6), Relu(), Dense(3)), (6, 6, 2))
    fitting = {
        "classifier.0.weight": np.ones((6, 64)),
        "classifier.2.weight": np.ones((3, 6)),
        "features.weight": np.ones((4, 2, 3, 3)),
    }
    assert [w.shape for w in load_weights(net, fitting).matrices] == [(19, 4), (65, 6), (7, 3)]
    with pytest.raises(InputError, match="'epoch' is no array of numbers"):
        load_weights(net, fitting | {"epoch": {}})


def test_matrices_of_ones_own_come_back(rng):
    network = Network((Dense(4), Tanh(), Dense(3)), (6,))
    weights = network.initial(rng)
    found, _ = load_weights(network, {f"layer_{k}": w for k, w in enumerate(weights)})
    assert all(np.array_equal(a, b) for a, b in zip(found, weights, strict=True))


def test_weights_that_do_not_fit_are_said(rng, tmp_path):
    network = Network((Dense(4), Dense(3)), (6,))
    good = {"a.weight": np.ones((4, 6)), "a.bias": np.ones(4), "b.weight": np.ones((3, 4))}
    assert len(load_weights(network, good).matrices) == 2
    for change, sentence in (
        ({"b.weight": np.ones((3, 5))}, r"b is of shape \(3, 5\), .* takes \(3, 4\)"),
        ({"a.bias": np.ones(5)}, r"the bias is of shape \(5,\)"),
        ({"c.weight": np.ones((3, 3))}, "'c' is left over"),
        ({"b.weight": np.full((3, 4), np.nan)}, "finite"),
    ):
        with pytest.raises(InputError, match=sentence):
            load_weights(network, good | change)
    with pytest.raises(InputError, match="holds no weights for Dense"):
        load_weights(network, {"a.weight": np.ones((4, 6))})
    with pytest.raises(InputError, match="there is no file of weights"):
        load_weights(network, tmp_path / "w.npz")
    (tmp_path / "w.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(InputError, match="can't read the weights"):
        load_weights(network, tmp_path / "w.safetensors")


def test_scores(rng):
    y = rng.standard_normal((50, 2))
    assert score_of(y, y) == 1.0
    assert score_of(np.broadcast_to(y.mean(axis=0), y.shape), y) == pytest.approx(0.0, abs=1e-12)
    assert score_of(np.eye(3), np.array([0, 1, 1])) == pytest.approx(2 / 3)
