"""Pulse responses for other simulators of training, and ramps that are stacked in one column."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtwin.data.errors import InputError
from memtwin.data.measurement import PulseTrain
from memtwin.devices.pulses.presets import (
    aihwkit_preset,
    label_of_a,
    neurosim_cell,
    nonlinearity_label,
)
from memtwin.devices.pulses.response import fit_response
from memtwin.devices.pulses.stacked import split_stacked

# label, normalised A: a few rows of the table that MLP NeuroSim V3.0 has in its documents
PUBLISHED = [
    (0.01, 126.269),
    (0.1, 12.6258),
    (1.51, 0.8195),
    (3.01, 0.3853),
    (4.51, 0.2266),
    (6.01, 0.1351),
    (7.51, 0.0702),
    (7.6, 0.0668),
]


@pytest.mark.parametrize(("label", "a"), PUBLISHED)
def test_labels_are_those_of_the_published_table(label, a):
    assert label_of_a(a) == pytest.approx(label, abs=6e-3)
    assert label_of_a(-a) == pytest.approx(-label, abs=6e-3)


def ramp(a, pulses, low, high):
    x = np.linspace(0.0, 1.0, pulses + 1)
    return low + (high - low) * np.expm1(-x / a) / np.expm1(-1.0 / a)


def response(up=0.3853, down=0.1351, pulses=64):
    rows = [ramp(up, pulses, 1e-6, 1e-5), ramp(down, pulses, 1e-5, 1e-6)]
    return fit_response([PulseTrain("d", row[None]) for row in rows], name="my device-1")


def test_a_response_has_the_labels_it_was_made_with():
    found = response()
    assert nonlinearity_label(found.up) == pytest.approx(3.01, abs=0.02)
    assert nonlinearity_label(found.down) == pytest.approx(-6.01, abs=0.02)
    cell = neurosim_cell(found)
    assert cell["maxConductance"] == pytest.approx(1e-5, rel=1e-3)
    assert cell["minConductance"] == pytest.approx(1e-6, rel=1e-3)
    assert cell["maxNumLevelLTP"] == 64


def test_the_preset_of_aihwkit_walks_the_ramps():
    """Walked by the kit's published rule: heights between nodes, times dw_min."""
    text = aihwkit_preset(response(), nodes=65)
    made = {}
    fake = {"PiecewiseStepDevice": lambda **given: given, "SingleRPUConfig": lambda **given: given}
    lines = [line for line in text.splitlines() if not line.startswith("from ")]
    exec("\n".join(lines), fake, made)
    device = made["my_device_1"]
    assert made["rpu_config"]["device"] is device
    nodes = np.linspace(-1.0, 1.0, 65)
    for side, start, a, ends in (("up", -1.0, 0.3853, (1e-6, 1e-5)), ("down", 1.0, 0.1351, None)):
        w, walked = start, [start]
        for _ in range(64):
            step = device["dw_min"] * np.interp(w, nodes, device[f"piecewise_{side}"])
            w = float(np.clip(w + (step if side == "up" else -step), -1.0, 1.0))
            walked.append(w)
        low, high = ends or (1e-5, 1e-6)
        g = ramp(a, 64, low, high)
        reached = 1e-6 + 0.5 * (np.array(walked) + 1.0) * 9e-6
        assert (
            np.abs(reached - g).max() < 0.06 * 9e-6
        )  # a pulse moves by its first slope, not its mean


def test_a_training_simulator_needs_both_ways():
    alone = fit_response([PulseTrain("d", ramp(0.5, 64, 1e-6, 1e-5)[None])])
    with pytest.raises(InputError, match="no ramp down"):
        aihwkit_preset(alone)
    normalised = fit_response(
        [PulseTrain("d", ramp(0.5, 64, *ends)[None], "1") for ends in ((0, 1), (1, 0))]
    )
    with pytest.raises(InputError, match="uS"):
        neurosim_cell(normalised)


@settings(max_examples=40, deadline=None)
@given(
    cycles=st.integers(1, 4),
    pulses=st.tuples(st.integers(12, 60), st.integers(12, 60)),
    first=st.booleans(),
    noise=st.floats(0.0, 0.03),
    seed=st.integers(0, 99),
)
def test_one_column_of_ramps_is_split_at_its_turns(cycles, pulses, first, noise, seed):
    up, down = (ramp(0.5, n, *e) for n, e in zip(pulses, ((1.0, 9.0), (9.0, 1.0)), strict=True))
    legs = [up[1:], down[1:]] if first else [down[1:], up[1:]]
    row = np.concatenate([[1.0 if first else 9.0], *(legs * cycles)])
    row = row + noise * np.random.default_rng(seed).standard_normal(len(row))
    parts = split_stacked(PulseTrain("d", row[None], "1"))
    assert [part.name for part in parts] == ["d up", "d down"]
    for part, count in zip(parts, pulses, strict=True):
        assert len(part.g) == cycles
        assert np.abs(part.lengths - (count + 1)).max() <= 12  # noise may turn it a little early


def test_ramps_that_go_one_way_stay_as_they_are():
    rows = np.stack([ramp(0.5, 40, 1.0, 9.0)] * 3)
    train = PulseTrain("d", rows, "1")
    assert split_stacked(train) == [train]


def test_an_erase_between_ramps_is_no_ramp():
    row = np.concatenate([ramp(0.5, 40, 1.0, 9.0)] * 3)
    (up,) = split_stacked(PulseTrain("d", row[None], "1"))
    assert up.g.shape == (3, 41)
