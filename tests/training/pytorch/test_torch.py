"""PyTorch models on tiles: forward against torch itself, training, and what can't be mapped."""

import copy
import io
import runpy
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra memtwin[torch] is not installed")

from torch import nn  # noqa: E402

from memtwin.circuits.array.cell import Cell  # noqa: E402
from memtwin.circuits.array.tile import Tile  # noqa: E402
from memtwin.circuits.engines.ideal import Ideal  # noqa: E402
from memtwin.circuits.lines.solver import LineSolver  # noqa: E402
from memtwin.circuits.surrogate.engine import Surrogate  # noqa: E402
from memtwin.data.dataset import load_data  # noqa: E402
from memtwin.data.errors import InputError, MemtwinError  # noqa: E402
from memtwin.devices.pulses.nominal import nominal_pricing  # noqa: E402
from memtwin.devices.spread.drift import Drift  # noqa: E402
from memtwin.devices.spread.effects import Effects  # noqa: E402
from memtwin.devices.spread.noise import ReadNoise  # noqa: E402
from memtwin.devices.spread.wear import Wear  # noqa: E402
from memtwin.training.pytorch import SiameseOptimizer, TwinConv2d, TwinLinear, convert  # noqa: E402
from memtwin.training.rules.siamese import SiameseOptions  # noqa: E402
from memtwin.training.twin.crossbar import Crossbar, MappingOptions  # noqa: E402

EXACT = Effects(programming=0.0, read=0.0)
TILE = Tile(16, 16, cell=Cell.resistor(0.2))
CLIP = MappingOptions(clip=3.0)
FINE = 4096


def twin_of(model, levels=FINE, *, tile=TILE, engine=Ideal, effects=EXACT, mapping=None, **changes):
    tile = replace(tile, levels=tile.cell.levels(np.linspace(5e-6, 50e-6, levels)))
    crossbar = Crossbar(tile, effects, replace(CLIP, **(mapping or {})))
    return convert(model, crossbar, engine, **{"say": None, **changes})


def optimiser_of(twin, levels=FINE, rate=0.05, **options):
    sgd = torch.optim.SGD(twin.parameters(), lr=rate, momentum=0.9)
    return SiameseOptimizer(twin, sgd, nominal_pricing(levels), SiameseOptions(**options))


class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 3, 3, stride=2, padding=1)
        self.second = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.end = nn.Linear(3 * 16, 5)

    def forward(self, x):
        x = torch.relu(self.first(x))
        return self.end((x + self.second(x)).flatten(1))


@pytest.mark.parametrize("rule", ["closed loop", "verify-first", "siamese"])
def test_other_rules_and_uneven_levels_follow_the_float_weights(rule):
    torch.manual_seed(0)
    g = np.geomspace(5e-6, 50e-6, 64)
    tile = replace(TILE, levels=TILE.cell.levels(g))
    crossbar = Crossbar(tile, EXACT, CLIP)
    twin = convert(nn.Linear(6, 4), crossbar, Ideal, say=None)
    sgd = torch.optim.SGD(twin.parameters(), lr=0.1)
    optimiser = SiameseOptimizer(twin, sgd, nominal_pricing(64, g_levels=g), rule=rule)
    x, y = torch.randn(50, 6), torch.randn(50, 4)
    costs = []
    for _ in range(20):
        optimiser.zero_grad()
        nn.functional.mse_loss(twin(x), y).backward()
        costs.append(optimiser.step())
    matrix, update = twin.matrix, optimiser.updates[0]
    wide = matrix.coding.step * np.diff(matrix.devices.places).max()
    # A pair has two devices, and each may be off by what its rule leaves alone.
    band = {"siamese": 0.5 * wide, "closed loop": 1e-6, "verify-first": 0.041 * matrix.clip}[rule]
    assert np.abs(matrix.weights() - update.weights).max() <= band
    assert costs[-1].writes <= 2 * 28
    state = copy.deepcopy((twin, optimiser))[1].state_dict()
    optimiser.load_state_dict(state)
    other = SiameseOptimizer(twin, sgd, nominal_pricing(64, g_levels=g))
    with pytest.raises(InputError, match="has rule = "):
        other.load_state_dict(state | {"siamese": state["siamese"] | {"rule": "sign"}})
    with pytest.raises(InputError, match="back through the devices"):
        SiameseOptimizer(twin, sgd, nominal_pricing(64, g_levels=g), rule="sign")


@pytest.mark.parametrize("bias", ["device", "digital"])
def test_fine_levels_compute_what_torch_computes(bias):
    torch.manual_seed(1)
    model, x = Branch(), torch.rand(4, 2, 8, 8)
    twin = twin_of(model, mapping={"bias": bias})
    optimiser_of(twin)
    torch.testing.assert_close(twin(x), model(x), atol=0.01, rtol=0.0)
    assert isinstance(twin.first, TwinConv2d)
    assert isinstance(twin.end, TwinLinear)
    assert isinstance(model.end, nn.Linear), "the model that was given stays as it is"


def test_gradients_go_through_the_float_weights():
    torch.manual_seed(2)
    model, x = Branch(), torch.rand(4, 2, 8, 8)
    twin = twin_of(model)
    optimiser_of(twin)
    for each in (model, twin):
        each(x).square().mean().backward()
    for mine, theirs in zip(twin.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, atol=3e-3, rtol=0.05)


@pytest.mark.parametrize("bits", [None, 6])
def test_few_levels_train_with_few_writes(bits):
    images = load_data("digits")
    x, y = torch.from_numpy(images.x_train), torch.from_numpy(images.y_train)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    mapping = {"clip": 5.0, "adc_bits": bits}
    twin = twin_of(model, 16, effects=Effects(), mapping=mapping)
    optimiser, loss, steps = optimiser_of(twin, 16, rate=0.1), nn.CrossEntropyLoss(), 0
    for _ in range(6):
        for chosen in torch.randperm(len(x)).split(20):
            optimiser.zero_grad()
            loss(twin(x[chosen]), y[chosen]).backward()
            optimiser.step()
            steps += 1
    with torch.no_grad():
        hits = twin(torch.from_numpy(images.x_test)).argmax(1).numpy() == images.y_test
    assert hits.mean() > 0.87
    devices = sum(each.writes.size for each in optimiser.ledger.devices)
    assert 0 < optimiser.ledger.epoch.writes < 0.03 * devices * steps


def test_any_torch_optimiser_moves_the_weights():
    torch.manual_seed(0)
    twin = twin_of(nn.Linear(4, 2), 16)
    optimiser = SiameseOptimizer(
        twin, torch.optim.Adam(twin.parameters(), 0.1), nominal_pricing(16)
    )
    before = twin.weight.detach().clone()
    twin(torch.ones(3, 4)).sum().backward()
    cost = optimiser.step()
    torch.testing.assert_close(twin.weight, before - 0.1, atol=1e-4, rtol=0.0)
    assert cost.writes > 0


def test_schedulers_take_the_optimiser_or_the_one_inside():
    schedulers = torch.optim.lr_scheduler
    for outer in (True, False):
        torch.manual_seed(0)
        twin = twin_of(nn.Linear(4, 2))
        optimiser = optimiser_of(twin, rate=1.0)
        scheduler = schedulers.StepLR(optimiser if outer else optimiser.optimiser, 1, gamma=0.5)
        moves = []
        for _ in range(3):
            optimiser.zero_grad()
            before = twin.weight.detach().clone()
            twin(torch.ones(1, 4)).sum().mul(0.01).backward()
            optimiser.optimiser.param_groups[0]["momentum"] = 0.0
            optimiser.step()
            scheduler.step()
            moves.append(float((before - twin.weight.detach()).mean()))
        np.testing.assert_allclose(moves, [0.01, 0.005, 0.0025], rtol=1e-4)
    # The groups of an optimiser that was loaded are new ones: the scheduler must reach them.
    optimiser.load_state_dict(optimiser.state_dict())
    schedulers.ReduceLROnPlateau(optimiser, patience=0).step(1.0)
    schedulers.OneCycleLR(optimiser, 0.3, total_steps=10)
    assert optimiser.optimiser.param_groups[0]["lr"] == pytest.approx(0.3 / 25)


def test_scaled_gradients_are_unscaled_before_they_move_weights():
    twin = twin_of(nn.Linear(4, 2))
    adam = torch.optim.Adam(twin.parameters(), 0.01, fused=True)
    optimiser = SiameseOptimizer(twin, adam, nominal_pricing(FINE))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale(twin(torch.ones(1, 4)).sum()).backward()
    scaler.step(optimiser)
    torch.testing.assert_close(twin.weight.grad, torch.ones(2, 4), atol=0.0, rtol=0.0)


ALL_EFFECTS = Effects(reach=0.1, relaxation=0.01, drift=0.05, stuck=0.02)
LAWS = Effects(read=ReadNoise(0.03), drift=Drift(0.02, 1.0, 0.01), wear=Wear(4.0), seconds=2.0)


def trained(twin, optimiser, steps, first=0):
    """Train some steps on data of the step's number; return what happened."""
    losses = []
    for step in range(first, first + steps):
        rng = np.random.default_rng(step)
        x = torch.from_numpy(rng.random((6, 2, 8, 8), np.float32))
        optimiser.zero_grad()
        loss = twin(x).square().mean()
        loss.backward()
        cost = optimiser.step()
        losses.append([float(loss.detach()), *cost.values()])
    return losses


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("model_first", [True, False])
@pytest.mark.parametrize(
    ("engine", "effects", "options", "siamese"),
    [
        (Ideal, ALL_EFFECTS, {"adc_bits": 6, "gain": "tile"}, {}),
        (Ideal, Effects(), {"bias": "digital", "gain": "column"}, {"compensation": "sd"}),
        (Ideal, ALL_EFFECTS, {}, {"compensation": "readback", "write_limit": 3}),
        (Ideal, LAWS, {}, {}),
        (Ideal, ALL_EFFECTS, {"drive": "bits", "dac_bits": 4}, {"hysteresis": 0.3}),
        (
            partial(LineSolver, exact=True),
            Effects(stuck=0.05),
            {"adc_bits": 8},
            {"compensation": "damp"},
        ),
        (Surrogate, Effects(stuck=0.05), {}, {"compensation": "none"}),
    ],
)
def test_a_saved_twin_goes_on_bit_for_bit(engine, effects, options, siamese, model_first):
    def fresh(seed):
        torch.manual_seed(seed)
        twin = twin_of(
            Branch(),
            16,
            tile=replace(TILE, r_row=5.0, r_col=5.0),
            engine=engine,
            effects=effects,
            mapping=options,
            seed=seed,
        )
        adam = torch.optim.Adam(twin.parameters(), 0.02)
        return twin, lambda: SiameseOptimizer(
            twin, adam, nominal_pricing(16), SiameseOptions(**siamese), calibrate_every=3
        )

    twin, make = fresh(1)
    optimiser = make()
    trained(twin, optimiser, 4)
    states = through_a_file({"model": twin.state_dict(), "optimiser": optimiser.state_dict()})
    expected = trained(twin, optimiser, 4, first=4)

    again, make = fresh(7)
    if model_first:
        again.load_state_dict(states["model"])
    resumed = make()
    if not model_first:
        again.load_state_dict(states["model"])
    resumed.load_state_dict(states["optimiser"])
    assert trained(again, resumed, 4, first=4) == expected
    for mine, theirs in zip(
        resumed.ledger.maps("energy"), optimiser.ledger.maps("energy"), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    assert resumed.initial == optimiser.initial
    assert resumed.ledger.close_epoch() == optimiser.ledger.close_epoch()
    for mine, theirs in zip(resumed.layers, optimiser.layers, strict=True):
        np.testing.assert_array_equal(mine.matrix.devices.g, theirs.matrix.devices.g)


def test_a_loaded_twin_computes_what_the_saved_one_did():
    torch.manual_seed(3)
    twin = twin_of(Branch(), 16, effects=Effects(stuck=0.1, read=0.0), mapping=ADC)
    optimiser = optimiser_of(twin, 16)
    trained(twin, optimiser, 2)
    x = torch.rand(4, 2, 8, 8)
    again = twin_of(Branch(), 16, effects=Effects(stuck=0.1, read=0.0), mapping=ADC, seed=9)
    again.load_state_dict(through_a_file(twin.state_dict()))
    assert torch.equal(again(x), twin(x))
    # An optimiser made for it leaves the devices as they are.
    new = optimiser_of(again, 16)
    assert new.initial.writes == 0.0
    assert torch.equal(again(x), twin(x))
    trained(again, new, 2)
    assert np.isfinite(again(x).detach().numpy()).all()
    copied = copy.deepcopy(again)
    assert torch.equal(copied(x), copy.deepcopy(again)(x))


ADC = {"adc_bits": 6}


def test_what_holds_no_weights_is_not_read():
    model = nn.Sequential(nn.Linear(4, 2))
    twin = twin_of(model)
    with pytest.raises(InputError, match=r"layer '0'.*no weights on its devices"):
        twin(torch.ones(1, 4))
    again = twin_of(model)
    again.load_state_dict(through_a_file(twin.state_dict()))
    with pytest.raises(InputError, match="no weights on its devices"):
        again(torch.ones(1, 4))


def test_weights_that_devices_do_not_follow_are_not_read():
    torch.manual_seed(1)
    twin, other = twin_of(nn.Linear(4, 2)), nn.Linear(4, 2)
    optimiser = optimiser_of(twin)
    x = torch.ones(1, 4)
    twin.load_state_dict(other.state_dict(), strict=False)
    with pytest.raises(InputError, match="float weights were changed and no device written"):
        twin(x)
    optimiser = optimiser_of(twin)
    assert optimiser.initial.writes > 0.0
    torch.testing.assert_close(twin(x), other(x), atol=0.01, rtol=0.0)
    twin(x).sum().backward()
    optimiser.optimiser.step()
    with pytest.raises(InputError, match=r"SiameseOptimizer\.step"):
        twin(x)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"levels": 8}, "levels = 16, this one 8"),
        ({"tile": Tile(8, 16, cell=Cell.resistor(0.2))}, "tile rows = 5, this one 5|tile rows"),
        (
            {"tile": Tile(16, 16, cell=Cell.resistor(0.1))},
            r"read voltage \[V\] = 0.2, this one 0.1",
        ),
        ({"effects": Effects(stuck=0.1)}, "stuck devices = False, this one True"),
        ({"effects": Effects(wear=9.0)}, "wear = None, this one True"),
        (
            {"effects": Effects(drift=Drift(0.1, 1.0), seconds=1.0)},
            "drift = 0.0, this one a law",
        ),
        ({"mapping": {"adc_bits": 8}}, "adc_bits = None, this one 8"),
    ],
)
def test_the_state_of_another_kind_of_twin_is_refused(change, words):
    model = nn.Linear(16, 2)
    twin = twin_of(model, 16)
    optimiser_of(twin, 16)
    with pytest.raises(InputError, match=words):
        twin_of(model, change.pop("levels", 16), **change).load_state_dict(twin.state_dict())


def test_a_damaged_state_is_refused():
    twin = twin_of(nn.Linear(4, 2))
    optimiser = optimiser_of(twin)
    for state, change in ((twin.state_dict(), twin), (optimiser.state_dict(), optimiser)):
        inner = state["_extra_state" if change is twin else "siamese"]
        for key in list(inner):
            with pytest.raises(InputError, match="damaged"):
                change.load_state_dict(
                    state | {next(k for k in state if state[k] is inner): without(inner, key)}
                )


def without(tree, key):
    return {name: value for name, value in tree.items() if name != key}


def test_a_copy_of_model_and_optimiser_goes_its_own_way():
    torch.manual_seed(1)
    twin = twin_of(Branch(), 16)
    optimiser = optimiser_of(twin, 16)
    torch.optim.lr_scheduler.StepLR(optimiser, 1)
    other, copied = copy.deepcopy((twin, optimiser))
    assert trained(other, copied, 2) == trained(twin, optimiser, 2)
    assert copied.layers[0] is other.first


def test_the_state_of_another_optimiser_is_refused():
    model = nn.Linear(4, 2)
    optimiser = optimiser_of(twin_of(model))
    with pytest.raises(InputError, match="state_dict of a SiameseOptimizer"):
        optimiser.load_state_dict(optimiser.optimiser.state_dict())
    with pytest.raises(InputError, match=r"hysteresis = 0.5, this one 0.0"):
        optimiser.load_state_dict(optimiser_of(twin_of(model), hysteresis=0.5).state_dict())


def test_costs_of_other_levels_are_refused():
    with pytest.raises(InputError, match="costs are for 8 levels, the twin's devices have 16"):
        optimiser_of(twin_of(nn.Linear(4, 2), 16), 8)


def slope_of(model, twin, x):
    with torch.no_grad():
        ours, exact = twin(x).numpy().ravel(), model(x).numpy().ravel()
    return float(exact @ ours / (exact @ exact))


@pytest.mark.parametrize("wires", [1.0, 20.0])
@pytest.mark.parametrize("training", [True, False])
def test_wires_are_given_back_by_calibration(wires, training):
    torch.manual_seed(0)
    model = nn.Linear(64, 32)
    tile = Tile(64, 64, r_row=wires, r_col=wires, cell=Cell.resistor(0.2))
    twin = twin_of(model, 256, tile=tile, engine=LineSolver).train(training)
    optimiser_of(twin, 256)
    for x in torch.rand(300, 64).split(20):
        twin(x)
    assert slope_of(model, twin, torch.rand(400, 64)) == pytest.approx(1.0, abs=0.05)
    assert twin.matrix.gain > 1.01
    twin.matrix.gain[...] = 1.0
    assert slope_of(model, twin, torch.rand(400, 64)) < 1.0 - 0.2 * (wires > 1.0)


def test_calibration_is_repeated_in_training_and_not_in_testing():
    twin = twin_of(nn.Linear(64, 8), 16, mapping=ADC)
    optimiser = optimiser_of(twin, 16)
    twin(torch.rand(200, 64))
    first = twin.matrix.adc
    optimiser.calibrate()
    twin.eval()(10.0 * torch.rand(200, 64))
    assert twin.matrix.adc == first
    twin.train()(torch.zeros(200, 64) + torch.eye(200, 64))
    assert twin.matrix.adc.i_max < 0.5 * first.i_max


def test_small_batches_are_calibrated_on_too():
    torch.manual_seed(0)
    twin = twin_of(nn.Linear(8, 4), 16, mapping=ADC)
    optimiser = optimiser_of(twin, 16)
    ranges = []
    for _ in range(300):
        optimiser.zero_grad()
        (twin(torch.rand(1, 8)) - 5.0).square().mean().backward()
        optimiser.step()
        ranges.append(twin.matrix.adc.i_max)
    assert len(set(ranges[100:])) > 1


@pytest.fixture(scope="module")
def digits():
    """A float network trained on the digits, and its test images."""
    images = load_data("digits")
    x, y = torch.from_numpy(images.x_train), torch.from_numpy(images.y_train)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    sgd, loss = torch.optim.SGD(model.parameters(), 0.1, 0.9), nn.CrossEntropyLoss()
    for _ in range(8):
        for chosen in torch.randperm(len(x)).split(20):
            sgd.zero_grad()
            loss(model(x[chosen]), y[chosen]).backward()
            sgd.step()
    return model, torch.from_numpy(images.x_test), torch.from_numpy(images.y_test)


def test_an_adc_of_six_bits_costs_little(digits):
    model, x, y = digits
    found = []
    for bits in (None, 6):
        twin = twin_of(model, 256, mapping={"adc_bits": bits})
        optimiser_of(twin, 256)
        with torch.no_grad():
            found.append(float((twin.eval()(x).argmax(1) == y).float().mean()))
    assert found[0] > 0.9
    assert found[1] > found[0] - 0.02


def test_devices_drift_between_writes():
    torch.manual_seed(0)
    twin = twin_of(nn.Linear(8, 4), 16, effects=Effects(programming=0.0, read=0.0, drift=0.1))
    optimiser = optimiser_of(twin, 16)
    fresh = twin.matrix.devices.g.copy()
    for _ in range(5):
        optimiser.step()
    # No gradient, no write: five updates have passed since programming.
    np.testing.assert_allclose(twin.matrix.devices.g, fresh * 6.0**-0.1, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(dtype):
    torch.manual_seed(0)
    model = Branch().to(dtype)
    twin = twin_of(model)
    optimiser_of(twin)
    x = torch.rand(4, 2, 8, 8, dtype=dtype)
    y = twin(x)
    assert y.dtype == dtype
    torch.testing.assert_close(y, model(x), atol=0.03, rtol=0.03)
    y.square().mean().backward()
    assert all(p.grad.dtype == dtype for p in twin.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast(dtype):
    torch.manual_seed(0)
    model = Branch()
    twin = twin_of(model)
    optimiser = optimiser_of(twin)
    x = torch.rand(4, 2, 8, 8)
    with torch.autocast("cpu", dtype=dtype):
        y, exact = twin(x), model(x)
        loss = y.square().mean()
    torch.testing.assert_close(y.float(), exact.float(), atol=0.03, rtol=0.03)
    loss.backward()
    assert optimiser.step().writes > 0


@pytest.mark.parametrize(
    "options",
    [
        {"padding": "same", "kernel_size": (3, 2), "dilation": 2},
        {"padding": "valid", "stride": (2, 1)},
        {"padding": (1, 2), "padding_mode": "reflect", "bias": False},
        {"padding": 2, "padding_mode": "circular", "stride": 3},
        {"padding": 1, "padding_mode": "replicate", "dilation": (1, 2)},
    ],
)
def test_convolutions_of_every_shape(options):
    torch.manual_seed(0)
    model = nn.Conv2d(2, 3, **{"kernel_size": 3, **options})
    twin = twin_of(model)
    optimiser_of(twin)
    x = torch.randn(3, 2, 9, 8)
    torch.testing.assert_close(twin(x), model(x), atol=0.01, rtol=0.0)
    torch.testing.assert_close(twin(x[0]), model(x[0]), atol=0.01, rtol=0.0)
    assert twin(x[:0]).shape == model(x[:0]).shape


def test_linear_layers_take_any_leading_shape():
    model = nn.Linear(4, 3)
    twin = twin_of(model)
    optimiser_of(twin)
    for shape in ((4,), (2, 4), (2, 5, 4), (0, 4)):
        x = torch.randn(shape)
        torch.testing.assert_close(twin(x), model(x), atol=0.01, rtol=0.0)


@pytest.mark.parametrize("bias", ["device", "digital"])
def test_inputs_that_do_not_fit_are_said(bias):
    twin = twin_of(nn.Linear(4, 3), mapping={"bias": bias})
    optimiser_of(twin)
    with pytest.raises(InputError, match=r"Linear.*inputs \(\.\.\., 4\), got \(2, 5\)"):
        twin(torch.ones(2, 5))
    with pytest.raises(InputError, match="finite"):
        twin(torch.full((1, 4), torch.nan))
    conv = twin_of(nn.Conv2d(3, 2, 2))
    optimiser_of(conv)
    with pytest.raises(InputError, match=r"images \(\[n,\] 3, height, width\)"):
        conv(torch.ones(1, 2, 5, 5))


def test_a_training_that_diverges_is_stopped():
    twin = twin_of(nn.Linear(4, 3))
    optimiser = optimiser_of(twin)
    twin(torch.ones(1, 4)).sum().mul(torch.inf).backward()
    with pytest.raises(MemtwinError, match=r"diverged in step 1.*learning rate"):
        optimiser.step()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_models_on_a_gpu():
    twin = twin_of(Branch().cuda())
    optimiser_of(twin)
    assert twin(torch.rand(4, 2, 8, 8, device="cuda")).is_cuda


def test_what_cannot_be_mapped_is_said():
    with pytest.raises(InputError, match="no Linear or Conv2d"):
        twin_of(nn.ReLU())
    with pytest.raises(InputError, match=r"(?s)no Linear or Conv2d.*other than Conv2d"):
        twin_of(nn.Sequential(nn.Conv1d(4, 4, 3, groups=2)))
    with pytest.raises(InputError, match="convert"):
        optimiser_of(nn.Linear(2, 2))
    with pytest.raises(InputError, match="accumulate in torch"):
        optimiser_of(twin_of(nn.Linear(2, 2)), accumulate=2)


@pytest.mark.slow
@pytest.mark.data
def test_the_residual_network_of_the_examples_learns(monkeypatch):
    example = Path(__file__).parents[3] / "examples" / "torch_resnet.py"
    monkeypatch.setattr("sys.argv", [str(example), "--images", "6000", "--epochs", "3"])
    assert runpy.run_path(str(example))["main"]() > 0.9
