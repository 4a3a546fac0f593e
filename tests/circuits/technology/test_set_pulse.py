"""SET pulses in ngspice end where the law's table says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtwin.circuits.technology.set_pulse import set_deck, set_in_ngspice
from memtwin.devices.technology.switching import tabulate
from memtwin.devices.technology.technology import load_technology

LAW = load_technology("rram_1t1r").set
PULSES = [
    (8e-6, 0.7, 2.0, 2e-8),
    (8e-6, 0.9, 2.0, 1e-7),
    (8e-6, 1.2, 3.0, 1e-6),
    (8e-6, 1.5, 1.5, 1e-7),
    (8e-6, 2.5, 3.0, 2e-8),
    (6e-5, 1.0, 2.5, 2e-7),
]


@pytest.mark.spice
def test_set_pulses_end_at_the_conductance_of_the_table():
    told = []
    for g, v_wl, v_bl, pw in PULSES:
        table = tabulate(LAW, [v_bl], (v_wl, v_wl + 0.1), (pw, pw))
        ln_pulse = np.log(pw) + np.log(10.0) * LAW.log10_rate
        told.append(float(LAW.outer(table.after(0, v_wl, ln_pulse, LAW.inner(g)))))
    assert np.abs(set_in_ngspice(LAW, PULSES) - told).max() < 1e-7  # S; levels are 30 to 166 µS


@given(v_wl=st.floats(0.3, 3.4), v_bl=st.floats(0.5, 3.5), pw=st.floats(2e-8, 1e-5))
def test_a_deck_has_its_voltages_and_ends(v_wl, v_bl, pw):
    lines = set_deck(LAW, 1e-5, v_wl, v_bl, pw).splitlines()
    assert lines[1] == f"vbl bl 0 {v_bl!r}"
    assert lines[-1] == ".end"
