"""Writes of a training of which only some are verified, against counts by hand."""

from dataclasses import replace

import numpy as np
import pytest

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.ideal import Ideal
from memtwin.data.dataset import load_data
from memtwin.data.errors import InputError
from memtwin.devices.pulses.costs import Costs, Read, verified
from memtwin.devices.pulses.pricing import LevelPricing
from memtwin.devices.pulses.unread import UnreadWrites
from memtwin.devices.spread.effects import Effects
from memtwin.training.network import mlp
from memtwin.training.rules.quantise import pair
from memtwin.training.rules.rule import Writes
from memtwin.training.rules.selective import Selective
from memtwin.training.runs.build import write_costs
from memtwin.training.runs.config import load_config
from memtwin.training.runs.setup import set_up
from memtwin.training.trainer.loop import build_twin
from memtwin.training.trainer.options import TrainOptions
from memtwin.training.trainer.trainer import Trainer
from memtwin.training.twin.crossbar import Crossbar, MappingOptions
from memtwin.training.twin.ledger import Ledger
from memtwin.training.twin.placement import Placement

LEVELS, STEP = 5, 1e-5
G = np.linspace(1e-5, 5e-5, LEVELS)
TILE = Tile(16, 16, levels=Cell.resistor(0.2).levels(G))


def by_hand():
    """Three pulses per level up, two down, of 1 J and 1 s, reads of 0.1 J and 0.5 s; unread writes take two pulses
    a level and always end a quarter step too high, verified ones a tenth.
    """
    steps = np.subtract.outer(np.arange(LEVELS), np.arange(LEVELS))
    pulses = np.where(steps < 0, -3.0 * steps, 2.0 * steps)
    planned = 2.0 * np.abs(steps)
    alone = Costs(planned, np.triu(planned), 0.0 * planned, planned, planned)
    missed = np.full((LEVELS, LEVELS, 3), 0.25 * STEP)
    unread = UnreadWrites(alone, missed, np.full((LEVELS, LEVELS), (0.1 * STEP) ** 2))
    return LevelPricing(verified(pulses, pulses, pulses), Read(0.1, 0.5), "by hand", unread=unread)


def writes(device, before, level, missed=None):
    numbers = (np.array(each, np.float32) for each in (before, level))
    return Writes(np.array(device), *numbers, len(device), unread=missed)


def chosen(selective, of, rng):
    stands = of.before + np.float32(0.25)
    return selective.chosen(of, rng, stands, G[0] + STEP * stands)


def test_unread_writes_cost_their_planned_pulses_and_no_read():
    ledger = Ledger([Placement(2, 2, 2, 4)], by_hand())
    missed = np.array([np.nan, 1e-6, np.nan, 0.0])
    ledger.enter(0, writes([0, 1, 2, 4], [0, 3, 1, 2], [2, 0, 2, 0], missed))
    cost = ledger.close_epoch()
    # Devices 0 and 2 are verified, in 6 and 3 pulses with a read more each; 1 and 4 take 6 and 4 planned ones.
    assert cost.writes == 4
    assert cost.pulses == 6 + 3 + 6 + 4
    assert cost.pulses_up == 6 + 3
    assert cost.reads == 7 + 4
    assert cost.energy == pytest.approx(19 + 0.1 * 11)
    assert cost.time == pytest.approx(19 + 0.5 * 11)
    # Row 0 goes up (devices 0 and 2, the slower one 6 pulses and 7 reads) and down; row 1 down.
    assert cost.row_time == pytest.approx((6 + 3.5) + 6 + 4)
    assert ledger.devices[0].reads.tolist() == [7, 0, 4, 0, 0, 0, 0, 0]


def test_verified_writes_begin_where_an_unread_one_left_their_device():
    ledger = Ledger([Placement(2, 2, 2, 4)], by_hand())
    # Device 0 stands beyond its target, device 1 in its target's band, device 2 a level below where it is taken to
    # be, device 3 in its band; device 4 is left unread again.
    of = writes([0, 1, 2, 3, 4], [1, 1, 1, 1, 1], [2, 2, 2, 2, 2], [np.nan] * 4 + [0.0])
    of = replace(of, stands=np.array([3.0, 1.9, -0.2, 1.2, 3.0], np.float32))
    each = ledger.price(0, of)
    assert each.pulses.tolist() == [2, 0, 6, 3, 2]
    assert each.reads.tolist() == [3, 1, 7, 4, 0]
    assert each.pulses_up.tolist() == [0, 0, 6, 3, 2]
    # Those of a row that go up share their pulses: rows 0 and 1 have devices 0 to 3 and 4.
    cost = ledger.record(0, of)
    assert cost.row_time == pytest.approx(2 + 1.5 + 6 + 3.5 + 2)
    assert cost.energy_high == pytest.approx(cost.energy)


def test_those_are_read_whose_errors_matter_most():
    codes = np.zeros((1, 3), np.float32)
    selective = Selective(0.5, by_hand().unread, codes, lambda level: level)
    selective.look(
        np.array([[1.0, 3.0, 2.0], [9.0, 9.0, 9.0]], np.float32)
    )  # the last row is digital
    rng = np.random.default_rng(0)
    first = chosen(selective, writes([0, 2, 4, 5], [0, 1, 0, 1], [1, 0, 1, 0]), rng)
    # Half of four: both devices of the third weight matter less than the second's, more than the first's.
    assert np.isnan(first.unread).tolist() == [False, True, True, False]
    np.testing.assert_allclose(first.unread[[0, 3]], 0.25 * STEP)
    # Device 5 has gathered an error, device 4 has not: of the two it comes first now.
    second = chosen(selective, writes([4, 5], [1, 0], [0, 1]), rng)
    assert np.isnan(second.unread).tolist() == [False, True]
    kept = Selective(0.5, by_hand().unread, codes, lambda level: level)
    kept.restore(selective.state())
    third = chosen(kept, writes([4, 5], [0, 1], [1, 0]), rng)
    assert np.isnan(third.unread).tolist() == [True, False]
    # Where device 4 stands matters, since nobody has read it.
    assert third.stands.tolist() == [0.25, 1.0]


def test_an_unread_write_shifts_its_device_from_where_it_stands():
    network = mlp(8, 2)
    twin = build_twin(network, Crossbar(TILE, Effects(programming=0.0, read=0.0)), Ideal, seed=0)
    matrix, rng = twin.matrices[0], np.random.default_rng(0)
    count = matrix.placement.places.size
    matrix.write(writes(range(count), [0] * count, [2] * count), rng)
    for _ in range(2):
        found = matrix.write(writes([3, 4], [2, 2], [3, 3], np.array([0.25 * STEP, np.nan])), rng)
        assert found.tolist() == [3.0, 3.0]  # nobody knows better
        now = matrix.levels()
        matrix.write(writes([3, 4], [3, 3], [2, 2], np.array([0.0, np.nan])), rng)
    assert now[[3, 4]] == pytest.approx([3.5, 3.0], abs=1e-5)  # two quarters add up
    assert np.delete(matrix.levels(), [3]) == pytest.approx(2.0, abs=1e-5)


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


def trainer(digits, costs=None, **options):
    twin = build_twin(mlp(64, 32, 10), Crossbar(TILE, mapping=MappingOptions(clip=4.0)), Ideal)
    return Trainer(twin, digits, TrainOptions(**options), costs or by_hand())


def test_a_training_reads_the_share_that_it_is_told(digits):
    costs = {share: trainer(digits, verified=share).run_epoch().cost for share in (1.0, 0.5, 0.0)}
    for share, cost in costs.items():
        # Steps of one level: three pulses up or two down and a read more, unread two pulses.
        assert cost.reads == pytest.approx(share * cost.writes * 3.5, rel=0.05)
    assert costs[0.0].reads == 0.0
    assert costs[0.0].pulses < 1.1 * 2.0 * costs[0.0].writes
    assert costs[0.0].energy < costs[0.5].energy < costs[1.0].energy


def test_a_training_goes_on_bit_for_bit(digits):
    whole, part = trainer(digits, verified=0.3), trainer(digits, verified=0.3)
    for _ in range(2):
        whole.run_epoch()
    part.run_epoch()
    again = trainer(digits, verified=0.3)
    again.restore(part.state(), part.records, part.audits)
    again.run_epoch()
    assert replace(again.records[-1], seconds=0.0) == replace(whole.records[-1], seconds=0.0)
    np.testing.assert_array_equal(again.twin.matrices[0].levels(), whole.twin.matrices[0].levels())
    assert again.identity == whole.identity != trainer(digits).identity


def test_a_device_whose_table_knows_unread_writes_trains_so_from_its_configuration():
    changes = ["training.engine=ideal", "device.linear=true", "audit.every=0", "training.epochs=1"]
    config = load_config("nbsto", [*changes, "training.verified=0.2", "device.levels=4"])
    assert config.training.verified == 0.2
    setup = set_up(config, surrogate=False)
    costs = write_costs(config, setup.levels)
    some = setup.train(setup.twin(), costs).records[0].cost
    every = replace(setup, config=load_config("nbsto", [*changes, "device.levels=4"]))
    whole = every.train(every.twin(), costs).records[0].cost
    assert 0.0 < some.reads / some.writes < 0.3 * whole.reads / whole.writes
    assert some.time / some.writes < whole.time / whole.writes


CELLS = ("training.engine=ideal", "audit.every=0", "training.reverify=0", "device.linear=true")


def of_cells(share, costs=None):
    config = load_config("demo", [*CELLS, f"training.verified={share}"])
    setup = set_up(config, surrogate=False)
    costs = costs or write_costs(config, setup.levels)
    setup = setup.priced(costs)
    return Trainer(setup.twin(), setup.images, config.training, costs), costs


def test_cells_of_a_technology_learn_with_few_of_their_writes_read():
    trained, costs = {}, None
    for share in (1.0, 0.5, 0.0):
        trained[share], costs = of_cells(share, costs)
        for _ in range(2):
            trained[share].run_epoch()
    found = {share: one.records[1].cost for share, one in trained.items()}
    pulses, energy = (
        {s: getattr(c, name) / c.writes for s, c in found.items()} for name in ("pulses", "energy")
    )
    assert found[0.0].reads == 0.0
    assert 0.3 < found[0.5].reads / found[0.5].writes / (found[1.0].reads / found[1.0].writes) < 0.7
    assert pulses[0.0] < pulses[0.5] < pulses[1.0]
    assert energy[0.0] < energy[0.5] < energy[1.0]
    assert found[0.0].energy < found[0.0].energy_high < 2.1 * found[0.0].energy
    off = {}
    for share, one in trained.items():
        matrix = one.twin.matrices[0]
        wanted = np.stack(pair(one.updates[0].codes.ravel()), axis=-1).ravel()
        off[share] = np.sqrt(np.mean((matrix.levels() - wanted) ** 2))
        assert one.records[1].test_accuracy > 0.8
    assert off[1.0] < off[0.5] < off[0.0]


def test_a_training_on_a_technology_goes_on_bit_for_bit():
    whole, costs = of_cells(0.4)
    part, again = (of_cells(0.4, costs)[0] for _ in range(2))
    for _ in range(2):
        whole.run_epoch()
    part.run_epoch()
    again.restore(part.state(), part.records, part.audits)
    again.run_epoch()
    assert replace(again.records[-1], seconds=0.0) == replace(whole.records[-1], seconds=0.0)
    np.testing.assert_array_equal(again.twin.matrices[0].levels(), whole.twin.matrices[0].levels())


def test_what_can_not_be_left_unread_is_refused(digits):
    with pytest.raises(
        InputError, match=r"training\.verified: expected a rule that verifies writes"
    ):
        trainer(digits, verified=0.5, rule="closed loop").run_epoch()
    with pytest.raises(InputError, match=r"training\.verified: .* these costs are by hand"):
        trainer(digits, replace(by_hand(), unread=None), verified=0.5)
    with pytest.raises(InputError, match=r"verified must be"):
        TrainOptions(verified=1.5)
    with pytest.raises(InputError, match=r"can't be left unread"):
        TrainOptions(verified=0.5, reverify=1.0)
    with pytest.raises(InputError, match=r"choose training\.reverify = 0"):
        load_config("demo", ["training.verified=0.5"])  # which a technology has at 1 s
    nominal = load_config("demo", [*CELLS, "training.verified=0.5", "device.pricing=nominal"])
    setup = set_up(nominal, surrogate=False)
    with pytest.raises(InputError, match=r"a technology or a device with dynamics"):
        setup.train(setup.twin(), write_costs(nominal, setup.levels))
