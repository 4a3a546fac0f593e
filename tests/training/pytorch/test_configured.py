"""A torch model by the file that a run has."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra memtwin[torch] is not installed")

from torch import nn  # noqa: E402

from memtwin.data.dataset import load_data  # noqa: E402
from memtwin.data.errors import InputError  # noqa: E402
from memtwin.training.pytorch import configured  # noqa: E402
from memtwin.training.rules.quantise import pair  # noqa: E402
from memtwin.training.rules.rule import Writes  # noqa: E402

FILE = """
[device]
name = "yakopcic_miao"
levels = 8
linear = true
pricing = "nominal"
[tile]
rows = 32
cols = 32
[training]
engine = "ideal"
hysteresis = 0.2
learning_rate = 0.1
[mapping]
clip = 5.0
"""


def test_a_model_trains_by_the_file_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(FILE)
    torch.manual_seed(0)
    data = load_data("digits")
    x, y = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)
    net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    said: list[str] = []
    twin = configured(net, tmp_path / "own.toml", changes=["seed=3"], say=said.append)
    optimiser = twin.optimiser()
    assert optimiser.options.hysteresis == 0.2
    assert optimiser.param_groups[0]["lr"] == 0.1
    for _ in range(3):
        for chosen in torch.randperm(len(x)).split(20):
            optimiser.zero_grad()
            nn.functional.cross_entropy(twin.model(x[chosen]), y[chosen]).backward()
            optimiser.step()
    right = twin.model(torch.from_numpy(data.x_test)).argmax(1) == torch.from_numpy(data.y_test)
    assert float(right.float().mean()) > 0.8
    assert twin.setup.levels.count == 8
    assert "6 tiles" in said[0]


def test_changes_belong_to_a_file() -> None:
    from memtwin.training.runs.config import load_config

    with pytest.raises(InputError, match="changes belong to"):
        configured(nn.Linear(2, 2), load_config("nbsto"), changes=["seed=1"])


def test_a_model_on_a_technology_is_written_as_a_run_would() -> None:
    torch.manual_seed(0)
    net = nn.Linear(64, 10)
    twin = configured(net, "demo", changes=["training.engine=ideal"], say=None)
    optimiser = twin.optimiser()
    data = load_data("digits")
    x, y = torch.from_numpy(data.x_train[:50]), torch.from_numpy(data.y_train[:50])
    for _ in range(20):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(twin.model(x), y)
        loss.backward()
        optimiser.step()
    assert loss.item() < 1.5
    assert sum(int(each.writes.sum()) for each in optimiser.ledger.devices) > 0


def test_written_cells_of_a_technology_are_read_again_and_counted() -> None:
    torch.manual_seed(0)
    net = nn.Linear(64, 10)
    optimisers, off = [], []
    for reverify in (0.0, 1.0):
        changes = ["training.engine=ideal", "effects.stuck=0", f"training.reverify={reverify}"]
        optimiser = configured(net, "demo", changes=changes, say=None).optimiser()
        optimisers.append(optimiser)
        wanted = np.stack(pair(optimiser.updates[0].codes.ravel()), axis=-1).ravel()
        held = optimiser.layers[0].matrix.levels()
        off.append(np.sqrt(np.mean((held - wanted) ** 2)))
    plain, again = (optimiser.initial for optimiser in optimisers)
    assert again.writes > plain.writes
    assert again.reads > plain.reads + 65 * 20
    assert again.energy > plain.energy
    assert off[1] < 0.9 * off[0]
    with pytest.raises(InputError, match="reverify"):
        optimisers[0].load_state_dict(optimisers[1].state_dict())


MODULES = """
[network.modules]
"features.*" = { levels = 4, tile = 16 }
head = { digital = true }
[network.modules.features.2]
levels = 8
clip = 2.0
"""


def test_layers_are_where_the_file_says(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(FILE + MODULES)
    torch.manual_seed(0)
    features = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
    net = nn.Sequential()
    net.add_module("features", features)
    net.add_module("head", nn.Linear(32, 10))
    twin = configured(net, tmp_path / "own.toml", changes=["effects.programming=0.0"], say=None)
    optimiser = twin.optimiser()
    first, second = (layer.matrix for layer in optimiser.layers)
    g = twin.setup.levels.g
    assert (first.placement.tile_rows, first.placement.tile_cols) == (16, 16)
    assert (second.placement.tile_rows, second.placement.tile_cols) == (32, 32)
    assert (first.devices.top, second.devices.top) == (3, 7)
    assert second.clip == pytest.approx(2.0 / 4.0)  # of sqrt(2 / 32)
    # What is written lies on each layer's own levels, over the same conductances.
    for matrix, count in ((first, 4), (second, 8)):
        wanted = np.linspace(g[0], g[-1], count)
        off = np.abs(matrix.devices.g.reshape(-1, 1) - wanted).min(axis=1)
        assert off.max() < 1e-3 * g[-1]
    # A write there costs what the same step of conductance costs: three of three are seven of seven.
    bottom, top = np.zeros(1, np.float32), np.full(1, 3.0, np.float32)
    cost = optimiser.ledger.price(0, Writes(np.zeros(1, np.int64), bottom, top, 1)).energy
    assert cost == twin.costs.of(bottom, np.full(1, 7.0, np.float32)).energy
    inputs = torch.rand(5, 64)
    kept = {name: one.clone() for name, one in twin.model.head.named_parameters()}
    twin.model(inputs).square().sum().backward()
    optimiser.step()
    assert not torch.equal(kept["weight"], twin.model.head.weight)  # as torch trains it


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("network.modules.0.levles=4", "no option 'levles'.*levels"),
        ("network.modules.7.levels=4", "no layer '7'"),
        ("network.modules.1.levels=4", "no layer that can go on tiles"),
        ("network.modules.0.levels=99", "layer '0' .* 99 levels"),
        ("network.modules.levels=4", "no option 'levels'"),
    ],
)
def test_layers_that_there_are_not_are_said(said: str, wrong: str) -> None:
    net = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    changes = ["training.engine=ideal", "device.pricing=nominal", said]
    with pytest.raises(InputError, match=wrong):
        configured(net, "nbsto", changes=changes, say=None)
