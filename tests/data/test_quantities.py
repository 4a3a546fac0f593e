"""Numbers with units, as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtwin.data.shown.quantities import prefix, quantity

FACTOR = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "µ": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9}


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.0386971, "J", "38.7 mJ"),
        (2.11051, "s", "2.111 s"),
        (2.4354e-10, "S", "243.5 pS"),
        (0.99999, "V", "1 V"),
        (-1.57, "V", "-1.57 V"),
        (999.97e-6, "J", "1 mJ"),
        (1e-6, "s", "1 µs"),
        (1e3, "ohm", "1 kohm"),
        (0.0, "J", "0 J"),
        (2e-20, "J", "2e-05 fJ"),
    ],
)
def test_a_quantity_has_the_prefix_that_suits_it(value, unit, said):
    assert quantity(value, unit) == said


@given(st.floats(1e-14, 1e11))
def test_what_is_said_is_what_was_meant(value):
    number, unit = quantity(value, "J").split()
    assert float(number) * FACTOR.get(unit[:-1], 1.0) == pytest.approx(value, rel=6e-4)
    assert 1.0 <= value / prefix(value)[0] * (1 + 1e-8) < 1000.0 * (1 + 1e-8)
