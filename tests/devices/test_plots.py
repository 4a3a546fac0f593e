"""Every picture is drawn from real objects, and shows what it was given."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from memtwin.data.errors import MemtwinError
from memtwin.data.measurement import PulseTrain, Sweep
from memtwin.devices import plots
from memtwin.devices.device import load_device
from memtwin.devices.fitting.errors.profile import Profile
from memtwin.devices.fitting.fit import fit
from memtwin.devices.models import models
from memtwin.devices.pulses.ramp_spread import fit_spread
from memtwin.training.runs.plots import write_histogram


@pytest.fixture(scope="module")
def result():
    t = np.linspace(0.0, 1.0, 41)
    v = np.sin(2 * np.pi * t)
    sweep = Sweep("resistor", t, v, 1e-3 * np.sinh(2.0 * v) / 2.0, np.zeros(41, bool))
    return fit(models["sinh"], sweep, starts=2, candidates=8, steps=10)


@pytest.fixture
def axes():
    return Figure().subplots()


def test_a_static_law_is_fitted_too(result):
    assert result.parameters["b"] == pytest.approx(2.0, rel=1e-3)
    assert result.x0[0] == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize(
    "draw",
    [
        lambda axes, fit: plots.residuals(axes, fit.sweeps[0], fit.curves[0].i),
        lambda axes, fit: plots.state(axes, fit.sweeps[0].t, fit.curves[0].x, fit.sweeps[0].v),
        lambda axes, fit: plots.starts(axes, fit.course.starts),
        lambda axes, fit: plots.correlation(axes, fit.names, fit.estimate.correlation),
    ],
)
def test_fits_are_drawn(axes, result, draw):
    assert draw(axes, result) is axes
    assert axes.lines or axes.images


def test_curves_keep_their_numbers(axes, result):
    v, i = result.sweeps[0].v, result.curves[0].i
    plots.sweep_fit(axes, v, i, measured=(v, result.sweeps[0].i))
    measured, model = axes.lines
    np.testing.assert_array_equal(model.get_xdata(), v)
    seen = np.isfinite(model.get_ydata())
    np.testing.assert_allclose(model.get_ydata()[seen], np.abs(i)[seen])
    assert measured.get_label() == "measured"


def test_profile_band_levels_and_arrays(axes, rng):
    curve = Profile("b", np.arange(5.0), (np.arange(5.0) - 2) ** 2, 1.0, (1.0, np.inf), 0.95)
    assert plots.profile_likelihood(axes, curve) is axes
    train = PulseTrain("t", np.linspace(1e-6, 2e-6, 30) + 1e-8 * rng.standard_normal((6, 30)))
    assert plots.ramp_band(axes, fit_spread(train), 3) is axes
    levels = load_device("yakopcic_oblea").levels(4, 0.1)
    before = len(axes.lines)
    plots.level_curves(axes, levels)
    assert len(axes.lines) == before + 4
    last = axes.lines[-1]
    assert last.get_ydata()[-1] == pytest.approx(1e6 * levels.g[-1] * 0.1, rel=1e-6)
    targets = np.repeat([1e-6, 5e-6], 50)
    assert plots.array_spread(axes, targets, targets + 1e-7 * rng.standard_normal(100)) is axes


def test_writes_of_devices_are_counted(axes):
    counts = [np.array([[0, 1], [1, 130]]), np.array([2, 0])]
    heights = [bar.get_height() for bar in write_histogram(axes, counts).patches]
    assert sum(heights) == 4  # those that were written
    assert axes.get_ylabel() == "devices per 3 writes"
    assert axes.get_title() == "33 % of 6 devices never written"
    axes.figure.savefig(io.BytesIO())


def test_no_writes_are_drawn_too(axes):
    write_histogram(axes, [np.zeros((2, 4), int)]).figure.savefig(io.BytesIO())
    assert axes.get_title() == "100 % of 8 devices never written"
    assert not any(bar.get_height() for bar in axes.patches)


def test_a_picture_that_cannot_be_written_says_so(result, tmp_path):
    with pytest.raises(MemtwinError, match="can't draw to"):
        result.plot(tmp_path / "picture.nonsense")
    assert len(result.plot(tmp_path / "fit.svg").axes) > 6
    assert (tmp_path / "fit.svg").stat().st_size > 1000


def test_the_gallery_shows_every_function():
    page = (Path(__file__).parents[2] / "docs" / "gallery.md").read_text(encoding="utf-8")
    for name in plots.__all__:
        assert f"`{name}`" in page, name
    for picture in re.findall(r"\((images/[^)]*)\)", page):
        assert (Path(__file__).parents[2] / "docs" / picture).is_file(), picture
