"""What jobs start from: one characterisation for many configurations, and none for another tile."""

import numpy as np
import pytest

from memtwin.data.errors import InputError
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.training.runs.config import load_config
from memtwin.training.runs.setup import set_up
from memtwin.training.trainer.loop import train

SMALL = [
    "images.train=200",
    "images.test=50",
    "network.hidden=[8]",
    "tile.rows=16",
    "tile.cols=16",
    "training.epochs=3",
    "training.batch=20",
    "surrogate.vectors=8",
    "surrogate.held_out=6",
]


@pytest.mark.spice
def test_configurations_share_a_characterisation(tmp_path):
    path = tmp_path / "shared.h5"
    first = set_up(load_config("nbsto", SMALL), characterisation=path)
    written = path.stat().st_mtime_ns
    other = load_config("nbsto", [*SMALL, "device.levels=4", "seed=3", "training.clip=6.0"])
    second = set_up(other, characterisation=path)
    assert path.stat().st_mtime_ns == written
    np.testing.assert_array_equal(first.check["predicted"], second.check["predicted"])
    twin = second.twin()
    assert twin.levels == 4
    assert {matrix.engine.name for matrix in twin.matrices} == {"surrogate"}
    result = train(twin, second.images, other.training, nominal_pricing(4), seed=other.seed)
    assert result.accuracy > 0.2
    for change, word in (("tile.r_row=3.0", "r_row"), ("device.on_off=20.0", "range")):
        with pytest.raises(InputError, match=f"differs from the configured one in .*{word}"):
            set_up(load_config("nbsto", [*SMALL, change]), characterisation=path)


def test_without_a_surrogate_there_are_the_engines_that_need_none():
    config = load_config("nbsto", [*SMALL, "training.engine=ideal", "device.linear=true"])
    setup = set_up(config, surrogate=False)
    assert setup.tile.cell.linear
    twin = setup.seeded(2).twin()
    result = train(twin, setup.images, config.training, nominal_pricing(16))
    assert result.accuracy > 0.2
    assert setup.auditor() is None
    assert setup.engine("spice")(setup.tile).name == "spice"
    with pytest.raises(InputError, match="line needs a surrogate"):
        setup.engine("line")
