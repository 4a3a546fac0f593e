"""Torch trainings of which only some writes are verified, beside the trainer's own."""

import io
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra memtwin[torch] is not installed")

from torch import nn  # noqa: E402

from memtwin.circuits.array.cell import Cell  # noqa: E402
from memtwin.circuits.array.tile import Tile  # noqa: E402
from memtwin.circuits.engines.ideal import Ideal  # noqa: E402
from memtwin.data.dataset import load_data  # noqa: E402
from memtwin.data.errors import InputError  # noqa: E402
from memtwin.devices.pulses.costs import Costs, Read, verified  # noqa: E402
from memtwin.devices.pulses.nominal import nominal_pricing  # noqa: E402
from memtwin.devices.pulses.pricing import LevelPricing  # noqa: E402
from memtwin.devices.pulses.unread import UnreadWrites  # noqa: E402
from memtwin.devices.spread.effects import Effects  # noqa: E402
from memtwin.training.network import mlp  # noqa: E402
from memtwin.training.pytorch import SiameseOptimizer, configured, convert  # noqa: E402
from memtwin.training.seeds import generator  # noqa: E402
from memtwin.training.trainer.loop import build_twin  # noqa: E402
from memtwin.training.trainer.options import TrainOptions  # noqa: E402
from memtwin.training.trainer.trainer import Trainer, batches  # noqa: E402
from memtwin.training.twin.crossbar import Crossbar, MappingOptions  # noqa: E402

LEVELS = 8
G = np.linspace(5e-6, 40e-6, LEVELS)
TILE = Tile(16, 16, levels=Cell.resistor(0.2).levels(G))
EXACT = Effects(programming=0.0, read=0.0)


def pricing(spread=0.0):
    """Three pulses a level, each of 1 J and 1 s, reads of 0.1 J and 0.5 s; two a level unread, which end 0.3 steps too
    high, give or take ``spread``.
    """
    far = np.abs(np.subtract.outer(np.arange(LEVELS), np.arange(LEVELS))).astype(float)
    alone = Costs(2.0 * far, np.triu(2.0 * far), 0.0 * far, 2.0 * far, 2.0 * far)
    missed = 5e-6 * (0.3 + spread * np.random.default_rng(0).standard_normal((LEVELS, LEVELS, 50)))
    unread = UnreadWrites(alone, missed, np.zeros((LEVELS, LEVELS)))
    costs = verified(3.0 * far, 3.0 * far, 3.0 * far)
    return LevelPricing(costs, Read(0.1, 0.5), "by hand", tolerance=0.4, unread=unread)


def crossbar(**mapping):
    return Crossbar(TILE, EXACT, MappingOptions(**{"clip": 2.0, **mapping}))


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 3, 3, stride=2, padding=1)
        self.end = nn.Linear(3 * 16, 10)

    def forward(self, x):
        return self.end(torch.relu(self.first(x.reshape(-1, 1, 8, 8))).flatten(1))


def made(share, seed=1, spread=0.5):
    torch.manual_seed(seed)
    model = convert(Small(), crossbar(), Ideal, say=None, seed=seed)
    adam = torch.optim.Adam(model.parameters(), 0.02)
    return model, lambda: SiameseOptimizer(model, adam, pricing(spread), verified=share)


def trained(model, optimiser, steps, first=0):
    found = []
    for step in range(first, first + steps):
        x = torch.from_numpy(np.random.default_rng(step).random((6, 64), np.float32))
        optimiser.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        found.append([float(loss.detach()), *optimiser.step().values()])
    return found


def test_a_step_reads_the_share_that_it_is_told():
    for share in (1.0, 0.5, 0.0):
        model, make = made(share)
        optimiser = make()
        assert (
            optimiser.initial.reads > optimiser.initial.writes
        )  # the first programming is verified
        trained(model, optimiser, 12)
        cost = optimiser.ledger.close_epoch()
        if share == 0.0:
            assert cost.reads == 0.0
        elif share == 1.0:
            assert cost.reads == cost.pulses + cost.writes
            every = cost.reads / cost.writes
        else:
            assert 0.3 * every < cost.reads / cost.writes < 0.9 * every


def test_torch_and_the_trainer_leave_the_same_writes_unread():
    data, rate = load_data("digits"), 0.2
    options = TrainOptions(
        verified=0.4, momentum=0.0, learning_rate=rate, batch=50, epochs=1, schedule="constant"
    )
    # The last layer's weights begin half as large squared as other layers', which torch does not know.
    twin = build_twin(mlp(64, 10), crossbar(gain="none", clip=5.0), Ideal)
    start = [w.copy() for w in mlp(64, 10).initial(generator(0, "weights"))]
    trainer = Trainer(twin, data, options, pricing(), weights=[w.copy() for w in start])
    ours = trainer.run_epoch().cost

    net = nn.Linear(64, 10)
    with torch.no_grad():
        net.weight.copy_(torch.from_numpy(start[0][:-1].T))
        net.bias.copy_(torch.from_numpy(start[0][-1]))
    model = convert(net, crossbar(gain="none", clip=5.0 / 2.0**0.5), Ideal, say=None)
    sgd = torch.optim.SGD(model.parameters(), rate)
    optimiser = SiameseOptimizer(model, sgd, pricing(), verified=0.4)
    order = generator(0, "order", 1).permutation(len(data.x_train))
    for chosen in batches(order, 50):
        optimiser.zero_grad()
        outputs = model(torch.from_numpy(data.x_train[chosen]))
        nn.functional.cross_entropy(outputs, torch.from_numpy(data.y_train[chosen])).backward()
        optimiser.step()
    theirs = optimiser.ledger.close_epoch()
    assert ours.writes > 100
    for name in ("writes", "weights", "pulses", "reads", "energy", "time", "row_time"):
        assert getattr(theirs, name) == pytest.approx(getattr(ours, name), rel=1e-6), name
    held = optimiser.layers[0].matrix.levels()
    np.testing.assert_allclose(held, twin.matrices[0].levels(), atol=1e-4)
    strayed = np.abs(held - np.rint(held)) > 0.1
    assert 0.01 < strayed.mean() < 0.9


@pytest.mark.parametrize("model_first", [True, False])
def test_a_saved_twin_goes_on_bit_for_bit(model_first):
    model, make = made(0.3)
    optimiser = make()
    trained(model, optimiser, 5)
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict()}, file)
    file.seek(0)
    states = torch.load(file, weights_only=True)
    expected = trained(model, optimiser, 5, first=5)
    again, make = made(0.3, seed=7)
    if model_first:
        again.load_state_dict(states["model"])
    resumed = make()
    if not model_first:
        again.load_state_dict(states["model"])
    resumed.load_state_dict(states["optimiser"])
    assert trained(again, resumed, 5, first=5) == expected
    for mine, theirs in zip(resumed.layers, optimiser.layers, strict=True):
        np.testing.assert_array_equal(mine.matrix.devices.g, theirs.matrix.devices.g)
    for mine, theirs in zip(
        resumed.state_dict()["siamese"]["selective"].values(),
        optimiser.state_dict()["siamese"]["selective"].values(),
        strict=True,
    ):
        assert all(torch.equal(mine[key], theirs[key]) for key in theirs)


def test_what_does_not_go_with_unread_writes_is_refused():
    model, make = made(0.3)
    state = make().state_dict()
    other = made(0.5)[1]()
    with pytest.raises(InputError, match=r"verified = 0.3, this one 0.5"):
        other.load_state_dict(state)
    with pytest.raises(InputError, match=r"verified = 0.3, this one 1.0"):
        made(1.0)[1]().load_state_dict(state)
    del state["siamese"]["selective"]
    with pytest.raises(InputError, match="damaged"):
        make().load_state_dict(state)
    sgd = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.raises(InputError, match="verified must be"):
        SiameseOptimizer(model, sgd, pricing(), verified=1.5)
    with pytest.raises(InputError, match="can't be left unread"):
        SiameseOptimizer(model, sgd, pricing(), verified=0.5, reverify=1.0)
    with pytest.raises(InputError, match="simulated them so"):
        SiameseOptimizer(model, sgd, nominal_pricing(LEVELS), verified=0.5)
    with pytest.raises(InputError, match="simulated them so"):
        SiameseOptimizer(model, sgd, replace(pricing(), unread=None), verified=0.0)


def test_a_configuration_says_how_many_writes_are_verified():
    reads = {}
    data = load_data("digits")
    x, y = torch.from_numpy(data.x_train[:50]), torch.from_numpy(data.y_train[:50])
    for share in (1.0, 0.2):
        torch.manual_seed(0)
        changes = ["training.engine=ideal", "training.reverify=0", f"training.verified={share}"]
        twin = configured(nn.Linear(64, 10), "demo", changes=changes, say=None)
        optimiser = twin.optimiser()
        assert optimiser.verified == share
        for _ in range(15):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(twin.model(x), y)
            loss.backward()
            optimiser.step()
        cost = optimiser.ledger.close_epoch()
        reads[share] = cost.reads / cost.writes
        assert loss.item() < 1.5
    assert 0.0 < reads[0.2] < 0.5 * reads[1.0]
