"""How well a fit says that it knows its parameters, and what else the data would allow."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from memtwin.data.catalogue import fetch
from memtwin.data.errors import FitError
from memtwin.data.importers.sweeps import read_sweep
from memtwin.data.measurement import Sweep
from memtwin.devices.device import load_device
from memtwin.devices.fitting import compare as fit_compare
from memtwin.devices.fitting.compare import compare
from memtwin.devices.fitting.errors.correlated import correlated
from memtwin.devices.fitting.fit import fit
from memtwin.devices.fitting.guess import guess_ranges
from memtwin.devices.fitting.loss import Loss
from memtwin.devices.fitting.parts import Alternative
from memtwin.devices.fitting.quality import (
    judge,
    resistor_score,
    says_nothing,
)
from memtwin.devices.fitting.result import load_fit, save_fit
from memtwin.devices.fitting.space import Prior, make_space
from memtwin.devices.models import models


def autoregressive(rng, count, rho, runs=1):
    """Return series of unit variance whose autocorrelation at lag k is rho^k."""
    noise = rng.standard_normal((runs, count))
    for k in range(1, count):
        noise[:, k] = rho * noise[:, k - 1] + np.sqrt(1.0 - rho**2) * noise[:, k]
    return noise


@pytest.fixture(scope="module")
def sweep():
    """A loop of a diode with memory, in which no model of ours is exact."""
    t = np.linspace(0.0, 1.0, 121)
    v = np.sin(2.0 * np.pi * t)
    i = 1e-6 * np.sinh(3.0 * v) * np.where(np.gradient(v) > 0.0, 0.4, 1.0)
    return Sweep("loop", t, v, i, np.zeros(121, bool))


@pytest.fixture(scope="module")
def found(sweep):
    return fit(models["sinh"], sweep, starts=2, candidates=8, steps=10)


def alone(residuals):
    """Return how residuals are correlated that no parameter has touched."""
    return correlated(residuals, [np.zeros((0, *part.shape)) for part in residuals])


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_correlation_of_a_known_process(rho):
    """An AR(1) series has (1 - rho) / (1 + rho) independent values for each of its own."""
    series = autoregressive(np.random.default_rng(1), 5000, rho)
    how = alone([series])
    assert how.rho == pytest.approx(rho, abs=0.03)
    assert how.points / series.size == pytest.approx((1.0 - rho) / (1.0 + rho), rel=0.15)
    cut = np.split(series, 20, axis=1)  # many short sweeps know the same
    assert alone(cut).points == pytest.approx(how.points, rel=0.2)


def test_two_residuals_of_one_point_are_no_two_points():
    series = autoregressive(np.random.default_rng(2), 2000, 0.6)
    twice = alone([np.concatenate([series, series])])
    assert twice.points == pytest.approx(alone([series]).points, rel=1e-6)
    assert twice.covariance == pytest.approx(np.ones((2, 2)), rel=0.2)


@settings(max_examples=25, deadline=None)
@given(st.lists(arrays(float, (2, 17), elements=st.floats(-1e6, 1e6)), min_size=1, max_size=3))
def test_independent_points_lie_between_one_and_all(residuals):
    how = alone(residuals)
    assert 1.0 <= how.points <= sum(part.size for part in residuals)
    assert np.isfinite(how.covariance).all()


def test_a_fit_inflates_its_errors_where_residuals_are_alike(found):
    """The model is off, and neighbouring residuals are off alike: errors are far above those of independent ones."""
    rows = 2 * len(found.sweeps[0].t)
    assert found.estimate.effective_points < 0.3 * rows
    space = replace(
        make_space(models["sinh"], found.sweeps, found.loss, bounds=dict(found.task.bounds)),
        substeps=found.course.substeps,
    )
    end = space.points(np.array([found.estimate.values[n] for n in space.names]))
    jacobian = space.residuals(end[None])[1][:, :, 0] / space.slopes(end)[:, None]
    known = [k for k, name in enumerate(found.names) if np.isfinite(found.stderr[name])]
    naive = 2.0 * found.cost / (rows - len(known))
    plain = np.sqrt(np.diag(naive * np.linalg.inv(jacobian[known] @ jacobian[known].T)))
    stated = np.array([found.stderr[found.names[k]] for k in known])
    assert (stated > 1.3 * plain).all(), stated / plain


def test_a_bound_that_was_hit_is_named_with_the_remedy(sweep):
    held = fit(
        models["sinh"],
        sweep,
        bounds={"b": (0.1, 0.5), "r_s": (0.0, 1e4)},
        starts=2,
        candidates=8,
        steps=10,
    )
    assert held.unidentified["b"] == (
        "ended on its upper bound, 0.5; --bound b=0.1:5 (bounds= of fit) widens it"
    )
    assert held.unidentified["r_s"] == "ended on its lower bound, 0, and can go no further"


def test_a_parameter_that_an_equally_good_fit_contradicts_is_not_identified():
    names, relative = ("a", "b"), np.array([0.1, 0.1])
    rivals = np.array([[1.2, 40.0], [0.9, 1.1]])
    reasons = judge(names, relative, np.eye(2), {}, rivals)
    assert reasons == {"b": "a fit as good has 40 times its value"}
    assert not judge(names, relative, np.eye(2), {}, rivals[1:])


def test_alternatives_are_ends_within_a_percent_and_stay_in_the_record(found, tmp_path):
    ends = tuple(
        Alternative({**found.parameters, "b": b}, (0.3,), share * found.cost)
        for b, share in ((2.0, 1.005), (9.0, 1.05))
    )
    several = replace(found, course=replace(found.course, ends=ends))
    assert several.alternatives == ends[:1]
    back = load_fit(save_fit(several, tmp_path / "fit.h5"))
    assert back.course.ends == ends
    assert back.estimate.effective_points == found.estimate.effective_points
    assert back.stderr == found.stderr


def test_a_fit_prints_itself_on_a_page(found):
    page = str(found)
    assert 8 <= len(page.splitlines()) <= 25
    assert max(map(len, page.splitlines())) < 160
    for name in found.names:
        assert name in page
    assert f"{found.quality[0].nrmse_percent:.3g} % NRMSE" in page
    assert "\n" not in repr(found)
    assert "<table>" in found._repr_html_()
    other = Alternative({**found.parameters, "b": 2.0}, found.x0, 1.005 * found.cost)
    course = replace(found.course, converged=False, ends=(other,), warnings=("odd <data>",))
    doubtful = replace(found, course=course)
    assert "NOT CONVERGED" in str(doubtful)
    assert "a fit as good: cost +0.5 % at b = 2" in str(doubtful)
    assert "odd &lt;data&gt;" in doubtful._repr_html_()


def test_a_fits_command_says_what_was_asked(sweep):
    few = {"starts": 1, "candidates": 4, "steps": 2}
    held = fit(
        models["sinh"],
        sweep,
        loss=Loss("log", floor=1e-9),
        fixed={"x0": 0.5},
        bounds={"b": (0.123456789, 5.0)},
        priors={"b": Prior(2.0, 0.5)},
        start={"b": 2.5},
        series=False,
        seed=3,
        **few,
    )
    line = held.command(["a b.csv"], ["--sweep-rate 0.1"])
    assert line == (
        "memtwin fit 'a b.csv' --model sinh --sweep-rate 0.1 --loss log --floor 1e-09 --fix x0=0.5"
        " --bound b=0.123456789:5 --start b=2.5 --prior b=2:0.5 --no-series"
        " --starts 1 --candidates 4 --seed 3"
    )


def test_starts_that_end_apart_are_alternatives():
    """Where the voltage never turns negative, nothing says what the device would do there."""
    t = np.linspace(0.0, 1.0, 81)
    v = np.abs(np.sin(np.pi * t))
    i = 1e-5 * v * np.where(t < 0.5, 0.2, 1.0)
    half = Sweep("half", t, v, i, np.zeros(81, bool))
    result = fit(models["yakopcic"], half, starts=6, candidates=32, steps=20)
    for end in result.course.ends:
        assert end.cost >= result.cost * (1.0 - 1e-9)
        assert set(end.parameters) == set(models["yakopcic"].names)
    costs = [end.cost for end in result.course.ends]
    assert costs == sorted(costs)
    for name in ("a_n", "b_n", "A_n"):
        assert name in result.unidentified


def test_an_unconverged_fit_is_kept_when_asked_for_and_says_so(found, tmp_path):
    course = replace(found.course, converged=False, message="the cost still falls")
    unfinished = replace(found, course=course)
    with pytest.raises(FitError, match="--keep-unconverged"):
        save_fit(unfinished, tmp_path / "fit.h5")
    back = load_fit(save_fit(unfinished, tmp_path / "fit.h5", keep_unconverged=True))
    assert not back.converged
    device = load_device(back.device("mine").save(tmp_path / "d.toml"))
    assert device.caveat == "its fit did not converge"
    assert not load_device(found.device("mine").save(tmp_path / "e.toml")).caveat


def test_a_device_keeps_what_its_fit_does_not_know(found):
    unknown = replace(
        found.estimate,
        stderr={**found.stderr, "b": np.inf, "x0_1": np.inf},
        unidentified={"b": "the data do not depend on it", "x0_1": "the same"},
    )
    device = replace(found, estimate=unknown).device("mine")
    assert device.stderr["b"] == np.inf
    assert device.unidentified == {"b": "the data do not depend on it"}


def test_a_resistor_sets_what_a_model_has_to_undercut(sweep):
    loss = Loss("linear")
    g = float(sweep.v @ sweep.i / (sweep.v @ sweep.v))
    residual, _ = loss.residuals((g * sweep.v)[:, None], sweep)
    assert resistor_score([sweep], loss) == pytest.approx(np.sqrt(np.mean(residual**2)), rel=1e-6)
    ohmic = replace(sweep, i=1e-4 * sweep.v)
    assert resistor_score([ohmic], loss) < 1e-6
    assert not says_nothing(0.1, 0.1, [ohmic], loss)  # well described, if no better than by one
    assert says_nothing(28.0, 28.0, [sweep], loss)


def test_models_that_describe_nothing_get_a_warning_and_no_winner(monkeypatch, sweep):
    calls = []

    class Fake:
        model, loss = models["sinh"], Loss("linear")

        @property
        def variants(self):
            return (self,)

        def predict(self, sweep):
            return -0.3 * sweep.i[::-1]

    def fake(*args, **settings):
        calls.append(args)
        return Fake()

    monkeypatch.setattr(fit_compare, "fit", fake)
    result = compare(["sinh", "vteam"], [sweep, replace(sweep, name="unseen")], loss="linear")
    assert result.best is None
    assert len(calls) == 2  # none is fitted to all sweeps
    assert "unseen: no model foretells it better than a resistor does" in result.warning
    assert set(result.held_out) == {"sinh", "vteam"}


def test_a_model_that_does_not_describe_its_own_sweep_warns(sweep):
    loop = replace(sweep, i=1e-4 * sweep.v * np.where(np.gradient(sweep.v) > 0.0, 0.2, 1.0))
    bent = {"b": (8.0, 10.0)}
    few = {"starts": 2, "candidates": 8, "steps": 10}
    result = fit(models["sinh"], loop, loss="linear", bounds=bent, series=False, **few)
    (warning,) = (text for text in result.warnings if "no better than a resistor" in text)
    assert warning.startswith("loop: model sinh describes")


def measured(radius, number):
    read = read_sweep(fetch("nbsto-groningen-iv", f"*Radius {radius} um/{number}*")[0])
    columns = (column[::4] for column in (read.t, read.v, read.i, read.censored))
    return Sweep(read.name, *columns, read.meta)


@pytest.mark.slow
@pytest.mark.data
def test_a_restart_from_its_own_end_gains_nothing():
    """On a ridge of the Yakopcic model: 151 points of a Nb:SrTiO3 loop."""
    loop, few = measured(32, "020"), {"loss": Loss(floor=1e-9), "steps": 25}
    first = fit(models["yakopcic"], loop, starts=8, candidates=48, **few)
    assert first.converged
    own = {name: {**first.parameters, "x0_1": first.x0[0]}[name] for name in first.names}
    again = fit(models["yakopcic"], loop, starts=1, candidates=1, start=own, **few)
    assert again.cost > 0.998 * first.cost
    for name in set(first.names) - set(first.unidentified):
        moved = abs({**again.parameters, "x0_1": again.x0[0]}[name] - own[name])
        assert moved < first.stderr[name], name


@pytest.mark.slow
@pytest.mark.data
def test_equal_devices_agree_or_are_said_not_to_be_known():
    few = {"loss": Loss(floor=1e-9), "starts": 8, "candidates": 48, "steps": 25}
    fits = [
        fit(models["yakopcic"], measured(100, number), **few) for number in ("003", "006", "012")
    ]
    for name in models["yakopcic"].names:
        known = [one for one in fits if name in one.names and name not in one.unidentified]
        values = np.array([one.parameters[name] for one in known])
        errors = np.array([one.stderr[name] for one in known])
        for k in range(len(known)):
            apart = np.abs(values - values[k])
            assert (apart <= 3.0 * np.hypot(errors, errors[k]) + 0.15 * values[k]).all(), name
    for one in fits:
        assert "A_n" in one.unidentified


def test_starts_are_guessed_for_a_model_with_other_end_resistances() -> None:
    device = load_device("memdiode_oxidation")
    t = np.linspace(0.0, 1.0, 101)
    v = 1.5 * np.sin(2 * np.pi * t)
    i = device.simulate(t, v, 0.1).i
    ranges = guess_ranges(device.model, [Sweep("loop", t, v, i, np.zeros(101, bool))])
    assert all(low <= high for low, high in ranges.values())
    assert {"r_min", "i_max", "v_set", "x0"} <= ranges.keys()
