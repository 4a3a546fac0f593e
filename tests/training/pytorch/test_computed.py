"""A training whose surrogate computes with torch is the one that numpy computes."""

from functools import partial

import numpy as np
import pytest

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.registry import make_engine
from memtwin.circuits.surrogate.torch_arrays import torch_arrays
from memtwin.data.dataset import load_data
from memtwin.data.errors import InputError
from memtwin.devices.pulses.nominal import nominal_pricing
from memtwin.training.network import mlp
from memtwin.training.runs.config import load_config
from memtwin.training.trainer.loop import build_twin, train
from memtwin.training.trainer.options import TrainOptions
from memtwin.training.twin.crossbar import Crossbar, MappingOptions


def test_an_epoch_is_the_same_on_torch():
    pytest.importorskip("torch")
    levels = Cell.sinh(5.0, v_read=0.2).levels(np.linspace(5e-6, 50e-6, 16))
    crossbar = Crossbar(Tile(32, 32, levels=levels), mapping=MappingOptions(clip=5.0))
    found = []
    for arrays in ({}, torch_arrays("cpu")):
        twin = build_twin(mlp(64, 32, 10), crossbar, partial(make_engine, "surrogate", **arrays))
        options = TrainOptions(epochs=1, batch=50)
        found.append(train(twin, load_data("digits"), options, nominal_pricing(16)))
    one, other = found
    assert one.accuracy == pytest.approx(other.accuracy, abs=0.02)
    assert one.records[0].cost.writes == pytest.approx(other.records[0].cost.writes, rel=0.01)


def test_where_torch_computes_is_a_key_of_the_surrogate():
    config = load_config("demo", ["training.device=cuda"])
    assert config.training.device == "cuda"
    assert load_config("demo", []).training.device is None
    with pytest.raises(
        InputError, match=r"training\.device: torch computes the engine 'surrogate'"
    ):
        load_config("demo", ["training.device=cuda", "training.engine=ideal"])
