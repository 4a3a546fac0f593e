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
