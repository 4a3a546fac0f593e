"""A dynamic device of any model behind a transistor, against an integration of its own equations."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from memtwin.devices.technology.switching import ModelLaw, tabulate
from memtwin.devices.technology.technology import load_technology

LAW = load_technology("hfox_1t1r").set


def test_the_table_ends_where_the_models_equations_do():
    v_wl, v_bl, pw = 1.5, 2.5, 1e-6
    assert isinstance(LAW, ModelLaw)
    device = LAW.cell

    def voltage(x):
        def excess(v):
            i = float(device.current(v, x))
            left = max(v_bl - v - i * LAW.r_write, 0.0)
            return float(LAW.transistor.current(v_wl, left)) - i

        return brentq(excess, 0.0, v_bl)

    def rate(_, x):
        return [float(device.rate(voltage(float(x[0])), float(x[0])))]

    start = float(LAW.inner(2e-5))
    x0 = float(device.state(1e-6 * np.exp(start), LAW.v_read))
    end = solve_ivp(rate, (0.0, pw), [x0], method="LSODA", rtol=1e-6, atol=1e-9).y[0, -1]
    exact = float(LAW.outer(np.log(1e6 * float(device.conductance(end, LAW.v_read)))))
    table = tabulate(LAW, [v_bl], (v_wl, v_wl + 0.1), (pw, pw))
    told = float(LAW.outer(table.after(0, v_wl, np.log(pw), start)))
    assert told == pytest.approx(exact, abs=1e-7)  # from 20 to 42 µS
    assert exact > 3.5e-5
