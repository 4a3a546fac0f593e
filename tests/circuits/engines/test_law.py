"""Polynomials of cells."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtwin.circuits.array.cell import Cell, Selector, Transistor
from memtwin.circuits.lines.cell_law import Law, evaluate
from memtwin.circuits.lines.cell_law_fit import CellSweep, fit_law, law_over, sweep_cell
from memtwin.data.errors import FitError, InputError
from memtwin.data.records.store import pack, unpack
from memtwin.devices.device import Device
from memtwin.devices.models import models

G = np.linspace(1e-6, 1e-4, 17)


@settings(max_examples=20, deadline=None)
@given(b=st.floats(0.05, 8.0), low=st.floats(1e-8, 1e-6), ratio=st.floats(2.0, 1e3))
def test_law_follows_a_sinh_cell(b: float, low: float, ratio: float) -> None:
    cell = Cell.sinh(b, 0.2)
    g = np.linspace(low, ratio * low, 17)
    law = fit_law(sweep_cell(cell, g, (-0.04, 0.2)))
    assert law.odd
    u = np.linspace(-0.03, 0.19, 23)
    off = law.current(u, g[5] * 1.01) - cell.current(u, g[5] * 1.01)
    assert np.abs(off).max() < 2e-6 * cell.current(0.2, g[-1])


def test_linear_cells_have_linear_laws() -> None:
    law = fit_law(sweep_cell(Cell.resistor(), G, (-0.2, 0.2)))
    assert law.linear
    assert law.current(0.1, 3e-5) == pytest.approx(3e-6, rel=1e-12)


def test_transistors_feel_the_bit_line() -> None:
    cell = Cell.sinh(2.0, 0.2, access=Transistor(v_gate=1.2))
    law = fit_law(sweep_cell(cell, G, (-0.04, 0.2)))
    assert set(law.powers) == {0, 1, 2}
    u, b = np.linspace(0.0, 0.2, 9)[:, None], np.linspace(0.0, 0.06, 5)
    off = law.current(u, 7e-5, b) - cell.current(u, 7e-5, b)
    # With so weak a gate the cubic dependence on b shows.
    assert np.abs(off).max() < 1e-5 * cell.current(0.2, 1e-4)


RECTIFIER = Device(
    "rectifier",
    models["yakopcic"],
    {"a_p": 1e-4, "a_n": 4e-4, "b_p": 5.0, "b_n": 2.5, "r_s": 40.0},
)


@pytest.mark.parametrize(
    "cell",
    [Cell.sinh(3.0, 0.2, access=Transistor()), Cell(RECTIFIER, 0.2)],
    ids=["1T1R", "rectifier"],
)
def test_derivatives_are_derivatives(cell: Cell) -> None:
    law = fit_law(sweep_cell(cell, G, (-0.04, 0.2)))
    g, u, b, h = np.full(4, 5e-5), np.array([-0.1, 0.2, 0.6, 1.0]), np.full(4, 0.1), 1e-5
    terms = law.terms(g)
    by_u = (evaluate(terms, u + h, b) - evaluate(terms, u - h, b)) / (2 * h)
    by_b = (evaluate(terms, u, b + h) - evaluate(terms, u, b - h)) / (2 * h)
    by_uu = (evaluate(terms, u + h, b, by="u") - evaluate(terms, u - h, b, by="u")) / (4 * h)
    step = 1e-9
    by_g = (evaluate(law.terms(g + step), u, b) - evaluate(law.terms(g - step), u, b)) / (2 * step)
    np.testing.assert_allclose(evaluate(terms, u, b, by="u"), by_u, rtol=1e-6)
    np.testing.assert_allclose(evaluate(terms, u, b, by="b"), by_b, rtol=1e-4, atol=1e-12)
    np.testing.assert_allclose(evaluate(terms, u, b, by="uu"), by_uu, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(evaluate(law.slope(g), u, b), by_g, rtol=1e-6)


def test_open_devices_carry_nothing() -> None:
    law = fit_law(sweep_cell(Cell.sinh(5.0, 0.2), G, (-0.04, 0.2)))
    assert law.current(0.2, np.array([0.0, 1e-5]))[0] == 0.0


def test_ranges_are_kept_and_widened() -> None:
    cell = Cell.sinh(5.0, 0.2)
    law = law_over(cell, G, np.array([0.0, 0.2]))
    assert law.covers(G, np.array([0.0, 0.2]))
    assert law.covers(np.array([0.0, 5e-5]), np.array([-0.01]))
    assert not law.covers(np.array([1.1e-4]), np.array([0.1]))
    assert not law.covers(G, np.array([0.21]))
    assert law_over(cell, G[3:], np.array([0.1]), law) is law
    wide = law_over(cell, np.array([2e-4]), np.array([0.1]), law)
    assert wide.covers(np.append(G, 2e-4), np.array([0.0, 0.2]))


def test_law_survives_a_record() -> None:
    law = fit_law(sweep_cell(Cell.sinh(3.0, 0.2, access=Transistor()), G, (-0.04, 0.2)))
    again = unpack(Law, pack(law))
    assert again.current(0.13, 3.3e-5, 0.02) == law.current(0.13, 3.3e-5, 0.02)


def test_what_no_polynomial_follows_is_refused() -> None:
    sharp = Cell.resistor(access=Selector(v_threshold=0.1, width=0.001, g_on=1e-2))
    with pytest.raises(FitError, match="line solver"):
        fit_law(sweep_cell(sharp, G, (-0.2, 0.2)))


def test_bad_sweeps_are_refused() -> None:
    with pytest.raises(InputError, match="shape"):
        CellSweep(G, np.zeros(3), np.zeros(1), np.zeros((2, 3, 1)))
    with pytest.raises(InputError, match="finite"):
        CellSweep(G[:1], np.zeros(1), np.zeros(1), np.full((1, 1, 1), np.nan))
    with pytest.raises(InputError, match="holds 0 V"):
        sweep_cell(Cell.resistor(), G, (0.1, 0.2))
