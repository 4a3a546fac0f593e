"""PyTorch models on tiles: forward against torch itself, training, and what can't be mapped."""

import runpy
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra memtwin[torch] is not installed")

from torch import nn  # noqa: E402

from memtwin.circuits.cell import Cell  # noqa: E402
from memtwin.circuits.ideal import Ideal  # noqa: E402
from memtwin.circuits.tile import Tile  # noqa: E402
from memtwin.data.errors import InputError  # noqa: E402
from memtwin.data.images import load_images  # noqa: E402
from memtwin.training.effects import Effects  # noqa: E402
from memtwin.training.ledger import WriteCosts  # noqa: E402
from memtwin.training.mapping import MappingOptions  # noqa: E402
from memtwin.training.siamese import SiameseOptions  # noqa: E402
from memtwin.training.torch import SiameseOptimizer, TwinConv2d, TwinLinear, convert  # noqa: E402

EXACT = Effects(programming=0.0, read=0.0)
TILE = Tile(16, 16, cell=Cell.resistor(0.2))
FINE = 4096


def twin_of(model, levels=FINE, **changes):
    return convert(
        model,
        tile=TILE,
        engine=Ideal,
        g_levels=np.linspace(5e-6, 50e-6, levels),
        v_read=0.2,
        **{"clip": 3.0, "effects": EXACT, **changes},
    )


def optimiser_of(twin, levels=FINE, rate=0.05, **options):
    sgd = torch.optim.SGD(twin.parameters(), lr=rate, momentum=0.9)
    return SiameseOptimizer(twin, sgd, WriteCosts.nominal(levels), SiameseOptions(**options))


class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 3, 3, stride=2, padding=1)
        self.second = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.end = nn.Linear(3 * 16, 5)

    def forward(self, x):
        x = torch.relu(self.first(x))
        return self.end((x + self.second(x)).flatten(1))


@pytest.mark.parametrize("bias", ["device", "digital"])
def test_fine_levels_compute_what_torch_computes(bias):
    torch.manual_seed(1)
    model, x = Branch(), torch.rand(4, 2, 8, 8)
    twin = twin_of(model, options=MappingOptions(bias=bias))
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


def test_few_levels_train_with_few_writes():
    images = load_images("digits")
    x, y = torch.from_numpy(images.x_train), torch.from_numpy(images.y_train)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    twin = twin_of(model, 16, clip=5.0, effects=Effects())
    optimiser, loss, steps = optimiser_of(twin, 16, rate=0.1), nn.CrossEntropyLoss(), 0
    for _ in range(6):
        for chosen in torch.randperm(len(x)).split(20):
            optimiser.zero_grad()
            loss(twin(x[chosen]), y[chosen]).backward()
            optimiser.step()
            steps += 1
    with torch.no_grad():
        hits = twin(torch.from_numpy(images.x_test)).argmax(1).numpy() == images.y_test
    assert hits.mean() > 0.85
    devices = sum(each.writes.size for each in optimiser.ledger.devices)
    assert 0 < optimiser.ledger.epoch.writes < 0.03 * devices * steps


def test_any_torch_optimiser_moves_the_weights():
    torch.manual_seed(0)
    twin = twin_of(nn.Linear(4, 2), 16)
    optimiser = SiameseOptimizer(
        twin, torch.optim.Adam(twin.parameters(), 0.1), WriteCosts.nominal(16)
    )
    before = twin.weight.detach().clone()
    twin(torch.ones(3, 4)).sum().backward()
    cost = optimiser.step()
    torch.testing.assert_close(twin.weight, before - 0.1, atol=1e-4, rtol=0.0)
    assert cost.writes > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_models_on_a_gpu():
    twin = twin_of(Branch().cuda())
    optimiser_of(twin)
    assert twin(torch.rand(4, 2, 8, 8, device="cuda")).is_cuda


def test_what_cannot_be_mapped_is_said():
    with pytest.raises(InputError, match="no Linear or Conv2d"):
        twin_of(nn.ReLU())
    with pytest.raises(InputError, match=r"(?s)no Linear or Conv2d.*grouped convolution"):
        twin_of(nn.Sequential(nn.Conv2d(4, 4, 3, groups=2)))
    with pytest.raises(InputError, match="convert"):
        optimiser_of(nn.Linear(2, 2))
    with pytest.raises(InputError, match="accumulate in torch"):
        optimiser_of(twin_of(nn.Linear(2, 2)), accumulate=2)


@pytest.mark.slow
@pytest.mark.data
def test_the_residual_network_of_the_examples_learns(monkeypatch):
    example = Path(__file__).parents[1] / "examples" / "torch_resnet.py"
    monkeypatch.setattr("sys.argv", [str(example), "--images", "6000", "--epochs", "3"])
    assert runpy.run_path(str(example))["main"]() > 0.9
