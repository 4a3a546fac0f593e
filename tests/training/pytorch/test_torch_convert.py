"""What of a PyTorch model goes on tiles, what stays digital, and that nothing passes tiles by."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra memtwin[torch] is not installed")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from memtwin.circuits.array.cell import Cell  # noqa: E402
from memtwin.circuits.array.tile import Tile  # noqa: E402
from memtwin.circuits.engines.ideal import Ideal  # noqa: E402
from memtwin.data.errors import InputError  # noqa: E402
from memtwin.devices.pulses.nominal import nominal_pricing  # noqa: E402
from memtwin.devices.spread.effects import Effects  # noqa: E402
from memtwin.training.pytorch import SiameseOptimizer, TwinLinear, convert, layer_table  # noqa: E402
from memtwin.training.twin.crossbar import Crossbar, MappingOptions  # noqa: E402

LEVELS = 4096


def twin_of(model, **changes):
    tile = Tile(16, 16, levels=Cell.resistor(0.2).levels(np.linspace(5e-6, 50e-6, LEVELS)))
    exact = Effects(programming=0.0, read=0.0)
    crossbar = Crossbar(tile, exact, MappingOptions(clip=3.0))
    twin = convert(model, crossbar, Ideal, **{"say": None, **changes})
    sgd = torch.optim.SGD(twin.parameters(), lr=0.05)
    return twin, SiameseOptimizer(twin, sgd, nominal_pricing(LEVELS))


def open_all_devices(twin):
    """Let every pair hold zero: what still comes out did not come through tiles."""
    for layer in twin.modules():
        if isinstance(layer, TwinLinear):
            layer.matrix.devices.g[...] = layer.matrix.devices.low
            layer.matrix.use(Ideal)


class Own(nn.Linear):
    def forward(self, x):
        return super().forward(x) + 1.0


class Zoo(nn.Module):
    """One of everything."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.conv = nn.Conv2d(2, 3, 3)
        self.attention = nn.MultiheadAttention(8, 2)
        self.grouped = nn.Conv2d(4, 4, 3, groups=2)
        self.lstm = nn.LSTM(4, 3)
        self.cell = nn.GRUCell(4, 3)
        self.line = nn.Conv1d(2, 2, 3)
        self.back = nn.ConvTranspose2d(2, 2, 3)
        self.bilinear = nn.Bilinear(2, 3, 2)
        self.words = nn.Embedding(5, 4)
        self.norm = nn.BatchNorm2d(3)
        self.own = Own(4, 3)
        self.weighted = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
        self.lazy = nn.LazyLinear(3)
        self.slope = nn.PReLU()
        self.kept = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))


def test_the_table_names_every_layer_that_has_parameters():
    said = []
    twin, optimiser = twin_of(Zoo(), digital=["kept"], say=said.append)
    rows = {row.layer: row for row in layer_table(twin)}
    on_tiles = {"fc", "conv", *(f"attention.{part}_proj" for part in ("q", "k", "v", "out"))}
    on_tiles |= {f"grouped.parts.{k}" for k in range(2)}
    assert {name for name, row in rows.items() if not row.digital} == on_tiles
    for name, words in {
        "lstm": "recurrent",
        "cell": "recurrent",
        "line": "other than Conv2d",
        "back": "transposed",
        "bilinear": "two inputs",
        "words": "look-up",
        "norm": "normalisation",
        "own": "forward of its own",
        "weighted": "made from other parameters",
        "lazy": "size is not known",
        "slope": "PReLU",
        "kept.0": "on request",
        "kept.1": "on request",
    }.items():
        assert words in rows[name].digital
        assert f"{rows[name]}" in said[0]
    named = {name.rsplit(".", 1)[0] for name, _ in twin.named_parameters()}
    assert all(any(name.startswith(row) for row in rows) for name in named)
    # The ledger bills what is on tiles, and nothing else.
    billed = sum(each.writes.size for each in optimiser.ledger.devices)
    assert billed == sum(row.devices for row in rows.values()) == optimiser.initial.writes
    assert rows["conv"].devices == 2 * 19 * 3
    assert (rows["conv"].rows, rows["conv"].cols, rows["conv"].tiles) == (19, 3, 2)


@pytest.mark.parametrize("digital", [[], ["1"]])
def test_a_grouped_convolution_does_what_it_did(digital):
    torch.manual_seed(0)
    middle = nn.Conv2d(4, 8, 3, stride=2, padding=1, dilation=1, groups=4)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), middle, nn.Conv2d(8, 2, 3))
    twin, optimiser = twin_of(model, digital=digital)
    x = torch.rand(2, 2, 9, 9)
    torch.testing.assert_close(twin(x), model(x), atol=0.02, rtol=0.0)
    assert len(optimiser.layers) == (2 if digital else 6)
    twin(x).sum().backward()
    optimiser.step()
    if not digital:
        assert [tuple(part.weight.grad.shape) for part in twin[1].parts] == [(2, 1, 3, 3)] * 4
        again, _ = twin_of(model)
        again.load_state_dict(twin.state_dict())
        with pytest.raises(InputError, match="in groups: expected images"):
            twin[1](torch.rand(1, 3, 9, 9))


def test_layers_that_are_shared_stay_shared_and_hooks_stay():
    shared, calls = nn.Linear(4, 4), []
    shared.register_forward_hook(lambda *_: calls.append(1))
    twin, optimiser = twin_of(nn.Sequential(shared, nn.ReLU(), shared))
    assert twin[0] is twin[2]
    assert len(optimiser.layers) == 1
    twin(torch.rand(2, 4))
    assert len(calls) == 2
    assert type(shared) is nn.Linear, "the model that was given stays as it is"


def test_parameters_that_two_layers_share_train_both():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    twin, optimiser = twin_of(model)
    x = torch.rand(3, 4)
    for _ in range(3):
        optimiser.zero_grad()
        twin(x).square().mean().backward()
        optimiser.step()
    assert twin[0].weight is twin[2].weight
    exact = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    exact.load_state_dict(twin.state_dict(), strict=False)
    torch.testing.assert_close(twin(x), exact(x), atol=0.01, rtol=0.0)


class Bypass(nn.Module):
    """Uses a layer's weights without the layer."""

    def __init__(self):
        super().__init__()
        self.used, self.passed = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        return functional.linear(self.used(x), self.passed.weight)


def test_a_layer_that_is_passed_by_is_not_billed():
    twin, optimiser = twin_of(Bypass())
    twin(torch.rand(2, 4)).sum().backward()
    with pytest.raises(InputError, match=r"layer 'passed'.* never called.*digital="):
        optimiser.step()
    assert optimiser.ledger.epoch.writes == 0.0
    twin, optimiser = twin_of(Bypass(), digital=["passed"])
    twin(torch.rand(2, 4)).sum().backward()
    optimiser.step()
    with pytest.raises(
        InputError, match=r"no layer 'pased' to leave digital \(did you mean 'passed'"
    ):
        twin_of(Bypass(), digital=["pased"])


@pytest.mark.parametrize(
    ("options", "call"),
    [
        ({}, {}),
        ({"batch_first": True}, {"need_weights": False}),
        ({"batch_first": True, "kdim": 6, "vdim": 5}, {"average_attn_weights": False}),
        ({"bias": False, "add_zero_attn": True}, {"attn_mask": "causal"}),
        ({"add_bias_kv": True, "batch_first": True}, {"key_padding_mask": "ends"}),
        ({}, {"attn_mask": "causal", "is_causal": True, "need_weights": False}),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_attention_computes_what_torch_computes(options, call, training):
    torch.manual_seed(0)
    model = nn.MultiheadAttention(8, 2, **options).train(training)
    before = torch.get_rng_state()
    twin, _ = twin_of(copy.deepcopy(model))
    assert torch.equal(torch.get_rng_state(), before)
    length, batch = 5, 3
    masks = {
        "causal": nn.Transformer.generate_square_subsequent_mask(length),
        "ends": torch.arange(length) > torch.tensor([[4], [3], [2]]),
    }
    call = {
        key: masks.get(value, value) if isinstance(value, str) else value
        for key, value in call.items()
    }
    swap = options.get("batch_first", False)
    q, k, v = (
        torch.randn(*((batch, length) if swap else (length, batch)), options.get(name, 8))
        for name in ("dim", "kdim", "vdim")
    )
    with torch.set_grad_enabled(training):
        for (y, weights), (exact, expected) in (
            (twin(q, k, v, **call), model(q, k, v, **call)),
            (twin(q[0], k[0], v[0]), model(q[0], k[0], v[0])),
        ):
            torch.testing.assert_close(y, exact, atol=0.01, rtol=0.0)
            assert (weights is None) == (expected is None)
            if weights is not None:
                torch.testing.assert_close(weights, expected, atol=0.01, rtol=0.0)
    open_all_devices(twin)
    y, _ = twin(q, k, v, **call)
    assert not y.any(), "nothing but tiles multiplies by the weights"


@pytest.mark.parametrize("mode", ["train", "eval", "inference"])
@pytest.mark.parametrize("digital", [(), ("encoder.layers.0.self_attn",)])
def test_transformers_are_read_through_tiles(mode, digital):
    torch.manual_seed(0)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2)

        def forward(self, x, **masks):
            return self.encoder(x, **masks)

    model = Model()
    twin, optimiser = twin_of(model, digital=digital)
    x = torch.randn(3, 5, 8)
    padding = torch.arange(5) > torch.tensor([[4], [3], [2]])
    for each in (model, twin):
        each.train(mode == "train")
    with torch.inference_mode(mode == "inference"):
        for masks in ({}, {"src_key_padding_mask": padding}):
            kept = ~padding if masks else torch.ones_like(padding)
            y = twin(x, **masks)
            # In training torch takes no fused way, whose padding differs.
            exact = model.train()(x, **masks)
            torch.testing.assert_close(y[kept], exact[kept], atol=0.02, rtol=0.0)
    assert all(layer.was_read for layer in optimiser.layers)
    before = y.detach().clone()
    open_all_devices(twin)
    with torch.no_grad():
        assert (twin(x, src_key_padding_mask=padding) - before)[~padding].abs().max() > 0.1


def test_a_transformer_trains_and_every_projection_is_written():
    torch.manual_seed(0)
    model = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    twin, optimiser = twin_of(model)
    x, losses = torch.randn(8, 5, 8), []
    for _ in range(10):
        optimiser.zero_grad()
        loss = (twin(x) - x.flip(1)).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert all(each.writes.any() for each in optimiser.ledger.devices)


class OwnAttention(nn.MultiheadAttention):
    def forward(self, *inputs, **options):
        return super().forward(*inputs, **options)


def test_attention_of_another_kind_stays_digital_as_a_whole():
    model = nn.Sequential(OwnAttention(8, 2), nn.Linear(8, 2))
    twin, _ = twin_of(model)
    rows = {row.layer: row.digital for row in layer_table(twin)}
    assert "not called as layers" in rows["0"]
    assert "part of an attention" in rows["0.out_proj"]
    assert not rows["1"]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (nn.ReLU(), "no Linear or Conv2d"),
        (nn.LSTM(2, 2), r"(?s)no Linear or Conv2d.*LSTM.*recurrent"),
    ],
)
def test_what_cannot_be_converted_is_said(model, words):
    crossbar = Crossbar(Tile(4, 4, levels=Cell.resistor(0.2).levels([1e-6, 2e-6])))
    with pytest.raises(InputError, match=words):
        convert(model, crossbar, Ideal)


def test_weights_that_are_not_finite_are_refused():
    model = nn.Sequential(nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight[0, 1] = torch.nan
    with pytest.raises(InputError, match=r"layer '0' \(Linear\): its weights must be finite"):
        twin_of(model)


def test_an_optimiser_of_other_parameters_is_refused():
    model = nn.Linear(2, 2)
    twin, _ = twin_of(model)
    with pytest.raises(InputError, match="moves no parameter of this model"):
        SiameseOptimizer(twin, torch.optim.SGD(model.parameters(), 0.1), nominal_pricing(LEVELS))
