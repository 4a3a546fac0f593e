import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.converters import ADC, DAC, Converted
from memtwin.circuits.engines.ideal import Ideal
from memtwin.data.errors import InputError


@given(bits=st.integers(1, 16), v=st.lists(st.floats(-2.0, 2.0), min_size=1, max_size=9))
def test_a_dac_is_within_half_a_step_and_idempotent(bits, v):
    dac = DAC(bits, v_max=0.2, v_min=-0.2)
    out = dac.convert(v)
    assert np.all(np.abs(out - np.clip(v, -0.2, 0.2)) <= 0.5 * dac.step * (1 + 1e-9))
    np.testing.assert_allclose(dac.convert(out), out, atol=1e-15)
    assert len(np.unique(np.rint((out + 0.2) / dac.step))) <= 2**bits


def test_one_bit_has_two_values():
    assert set(DAC(1, 0.2).convert(np.linspace(-1, 1, 50)).tolist()) == {0.0, 0.2}


def test_an_adc_saturates():
    adc = ADC(8, i_max=1e-4, i_min=-1e-4)
    np.testing.assert_allclose(adc.convert([-1.0, 1.0]), [-1e-4, 1e-4])


def test_converters_go_around_any_engine(rng):
    tile = Tile(6, 4)
    g, v = rng.uniform(1e-6, 1e-4, (6, 4)), rng.uniform(0, 0.2, (3, 6))
    engine = Converted(Ideal(tile), DAC(4, 0.2), ADC(6, 1e-4))
    array = engine.program(g)
    assert engine.tile is array.tile is tile
    assert engine.name == "ideal"
    expected = ADC(6, 1e-4).convert(DAC(4, 0.2).convert(v) @ g)
    np.testing.assert_array_equal(array.read(v), expected)
    np.testing.assert_array_equal(array.read(v[1]), expected[1])
    np.testing.assert_array_equal(
        array.reprogram(0.0 * g).read(v), array.adc.convert(0.0 * expected)
    )
    bare = Converted(Ideal(tile)).program(g)
    np.testing.assert_array_equal(bare.read(v), Ideal(tile).program(g).read(v))


@pytest.mark.parametrize(
    "make",
    [
        lambda: DAC(0, 1.0),
        lambda: DAC(30, 1.0),
        lambda: DAC(4, 0.0),
        lambda: ADC(4, float("nan")),
        lambda: ADC(4, 1.0, 2.0),
    ],
)
def test_impossible_converters_are_refused(make):
    with pytest.raises(InputError):
        make()
