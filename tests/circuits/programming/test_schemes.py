"""Line voltages: what each cell sees without wires."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtwin.circuits.array.cell import Cell, Transistor
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.programming.schemes import SCHEMES, bias, check_scheme, half_select
from memtwin.data.errors import InputError


def seen(scheme, shape, row, amplitude):
    lines = bias(scheme, shape, row, amplitude)
    v = lines.rows[:, None] - lines.cols
    return np.where(lines.gates[:, None], v, 0.0)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    ("scheme", "half", "others"), [("half", 0.5, 0.0), ("third", 1 / 3, -1 / 3), ("gate", 0.0, 0.0)]
)
def test_one_cell(scheme, half, others, sign):
    v = seen(scheme, (3, 4), 1, sign * np.array([0.0, 0.0, 1.2, 0.0]))
    expected = np.full((3, 4), others)
    expected[1] = expected[:, 2] = half
    expected[1, 2] = 1.0
    assert v == pytest.approx(sign * 1.2 * expected, abs=1e-15)


@given(
    scheme=st.sampled_from(sorted(SCHEMES)),
    amplitude=st.lists(st.floats(0.3, 1.5) | st.just(0.0), min_size=3, max_size=6).filter(any),
    row=st.integers(0, 3),
    sign=st.sampled_from([-1, 1]),
)
def test_every_cell_of_the_row_gets_its_own_amplitude(scheme, amplitude, row, sign):
    amplitude = sign * np.array(amplitude)
    v = seen(scheme, (4, len(amplitude)), row, amplitude)
    chosen = amplitude != 0.0
    assert v[row, chosen] == pytest.approx(amplitude[chosen], abs=1e-12)
    peak = np.abs(amplitude).max()
    disturbed = np.delete(v, row, axis=0)
    # A smaller amplitude on a selected column brings the others on it closer to the peak's other side.
    assert (np.abs(disturbed) <= max(half_select(scheme), 2 / 3) * peak + 1e-12).all()
    assert (np.abs(v[row, ~chosen]) <= half_select(scheme) * peak + 1e-12).all()


def test_gates_keep_all_lines_at_or_above_ground():
    for sign in (1.0, -1.0):
        lines = bias("gate", (3, 3), 2, sign * np.array([1.0, 0.0, 0.5]))
        assert lines.rows.min() >= 0.0
        assert lines.cols.min() >= 0.0
        assert lines.gates.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("row", "amplitude", "said"),
    [
        (0, [0.0, 0.0], "at least one cell"),
        (0, [1.0, -1.0], "one polarity"),
        (5, [1.0, 0.0], "row 5"),
        (0, [1.0], "expected 2"),
        (0, [1.0, np.nan], "finite"),
    ],
)
def test_pulses_that_make_no_sense_are_refused(row, amplitude, said):
    with pytest.raises(InputError, match=said):
        bias("half", (2, 2), row, amplitude)


def test_schemes_must_suit_the_cell():
    gated = Tile(2, 2, cell=Cell.resistor(access=Transistor()))
    check_scheme(gated, "gate")
    with pytest.raises(InputError, match="with a transistor"):
        check_scheme(gated, "half")
    with pytest.raises(InputError, match="without a transistor"):
        check_scheme(Tile(2, 2), "gate")
    with pytest.raises(InputError, match="did you mean 'third'"):
        check_scheme(Tile(2, 2), "thirds")
