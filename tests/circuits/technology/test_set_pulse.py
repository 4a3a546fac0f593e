"""SET pulses in ngspice end where the law's table says."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtwin.circuits.array.tile import Tile
from memtwin.circuits.osdi.compiler import compiler, library_of
from memtwin.circuits.technology.recipe import RampRecipe
from memtwin.circuits.technology.set_module import card, set_module
from memtwin.circuits.technology.set_pulse import set_deck, set_in_ngspice
from memtwin.circuits.technology.tile import way_along_lines
from memtwin.circuits.technology.write import Tables
from memtwin.devices.technology.access import AccessTransistor
from memtwin.devices.technology.population import Cells
from memtwin.devices.technology.switching import PowerLaw, tabulate
from memtwin.devices.technology.technology import load_technology

LAW = load_technology("rram_1t1r").set
POWER = PowerLaw(AccessTransistor(1.65e-3, 0.565, 0.107, 0.79), 13.33, 0.859, 10.0, 5.15e3, 460.0)
PULSES = [
    (8e-6, 0.7, 2.0, 2e-8),
    (8e-6, 0.9, 2.0, 1e-7),
    (8e-6, 1.2, 3.0, 1e-6),
    (8e-6, 1.5, 1.5, 1e-7),
    (8e-6, 2.5, 3.0, 2e-8),
    (6e-5, 1.0, 2.5, 2e-7),
]


def by_table(law, pulses):
    told = []
    for g, v_wl, v_bl, pw in pulses:
        table = tabulate(law, [v_bl], (v_wl, v_wl + 0.1), (pw, pw))
        ln_pulse = np.log(pw) + np.log(10.0) * law.log10_rate
        told.append(float(law.outer(table.after(0, v_wl, ln_pulse, law.inner(g)))))
    return np.array(told)


@pytest.mark.spice
def test_set_pulses_end_at_the_conductance_of_the_table():
    off = set_in_ngspice(LAW, PULSES, devices="behavioural") - by_table(LAW, PULSES)
    assert np.abs(off).max() < 1e-7  # S; levels are 30 to 166 µS


@pytest.mark.compiled
@pytest.mark.spice
@pytest.mark.parametrize("law", [LAW, POWER], ids=["exponential", "power"])
def test_compiled_cells_end_there_too(law):
    told = set_in_ngspice(law, PULSES, devices="behavioural")
    assert np.ptp(told) > 5e-5
    assert np.abs(set_in_ngspice(law, PULSES, devices="compiled") - told).max() < 1e-7


@pytest.mark.parametrize("law", [LAW, POWER], ids=["exponential", "power"])
def test_a_compiled_cell_has_all_values_of_its_law(law):
    source, line = set_module(law, 1e10), card(law, 1e-5, 1e10)
    given = dict(part.split("=") for part in line.split()[3:])
    assert set(re.findall(r"parameter real (\w+)", source)) == set(given)
    assert f"module {line.split()[2]}(" in source
    assert float(given["k"]) == law.transistor.k
    if compiler() is not None:
        assert library_of(source).exists()


@pytest.mark.spice
def test_pulses_through_lines_end_as_in_ngspice():
    tables = Tables(load_technology("rram_1t1r"), RampRecipe(4e-6), (300.0, 200.0))
    g, v_wl, way = np.array([8e-6, 8e-6, 6e-5]), np.array([0.9, 2.0, 1.5]), (150.0, 120.0)
    rung = np.rint((v_wl - tables.recipe.start) / tables.recipe.step).astype(int)
    cells = Cells(np.zeros((4, 3)), np.repeat(np.array(way)[:, None], 3, axis=1))
    told = tables.pulse(cells, g, rung, None)
    transistor = replace(LAW.transistor, r_source=way[1])
    law = replace(LAW, transistor=transistor, r_write=LAW.r_write + way[0])
    pulses = [(*one, 2.0, 1e-7) for one in zip(g.tolist(), v_wl.tolist(), strict=True)]
    assert np.abs(set_in_ngspice(law, pulses) - told).max() < 2e-7
    bare = tables.pulse(cells._replace(lines=None), g, rung, None)
    assert (bare - told).min() > 2e-6  # the lines take part of it


def test_ways_along_lines_are_those_of_the_nodes():
    """Against currents of a node solved with all segments."""
    tile = Tile(3, 4, r_row=5.0, r_col=7.0, r_driver=50.0, r_sense=20.0, drive="both")
    rows, cols = way_along_lines(tile)
    ladder = np.diag([1 / 50 + 1 / 5, 2 / 5, 2 / 5, 1 / 50 + 1 / 5])
    ladder -= np.diag([1 / 5] * 3, 1) + np.diag([1 / 5] * 3, -1)
    assert rows[1] == pytest.approx(np.diag(np.linalg.inv(ladder)))
    # Bit lines end in a segment and the sense input at the bottom.
    assert cols[:, 0] == pytest.approx([41.0, 34.0, 27.0])


@given(v_wl=st.floats(0.3, 3.4), v_bl=st.floats(0.5, 3.5), pw=st.floats(2e-8, 1e-5))
def test_a_deck_has_its_voltages_and_ends(v_wl, v_bl, pw):
    lines = set_deck(LAW, 1e-5, v_wl, v_bl, pw).splitlines()
    assert lines[1] == f"vbl bl 0 {v_bl!r}"
    assert lines[-1] == ".end"
