"""Fits against data whose parameters are known, and the rules around them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from memtwin.data.catalogue import fetch
from memtwin.data.errors import FitError, InputError
from memtwin.data.importers.sweeps import read_sweep
from memtwin.data.measurement import Sweep
from memtwin.devices.device import Device
from memtwin.devices.fitting import compare as fit_compare
from memtwin.devices.fitting.compare import compare
from memtwin.devices.fitting.errors.profile import profile
from memtwin.devices.fitting.fit import fit
from memtwin.devices.fitting.loss import Loss, current_floor
from memtwin.devices.fitting.model_response import respond
from memtwin.devices.fitting.result import load_fit, save_fit
from memtwin.devices.fitting.screen import ROUNDS, Tried, behind
from memtwin.devices.fitting.search import descend, latin_hypercube
from memtwin.devices.fitting.space import Prior, make_space
from memtwin.devices.fitting.sweep_checks import check_sweeps, loop_area, set_sense
from memtwin.devices.models import models

TRUTH = {
    "a_p": 2e-5,
    "a_n": 3e-5,
    "b_p": 4.0,
    "b_n": 3.0,
    "v_p": 0.4,
    "v_n": 0.5,
    "A_p": 3.0,
    "A_n": 1.0,
    "alpha_p": 1.0,
    "alpha_n": 1.0,
    "x_p": 0.3,
    "x_n": 0.3,
    "r_s": 300.0,
}
SHAPE = {key: TRUTH[key] for key in ("alpha_p", "alpha_n", "x_p", "x_n")}
QUICK = {"starts": 4, "candidates": 64}
ONE = {"starts": 1, "candidates": 1}  # from the start that is given
NEAR = {name: 1.2 * value for name, value in TRUTH.items() if name not in SHAPE} | {"x0_1": 0.3}
SLOW = {"vteam_exp": {"r_s": 100.0, "k_set": 0.5, "k_reset": 0.5}}


def triangle(high, low, points):
    corners = np.array([0.0, high, 0.0, low, 0.0])
    places = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(corners)))])
    return np.interp(np.linspace(0, places[-1], points), places, corners)


def make_sweep(parameters=TRUTH, *, name="synthetic", points=201, x0=0.2, noise=0.0, seed=0):
    v = triangle(1.0, -1.2, points)
    t = np.linspace(0.0, 20.0, points)
    i = Device("d", models["yakopcic"], parameters).simulate(t, v, x0).i
    rng = np.random.default_rng(seed)
    i = i * (1.0 + noise * rng.standard_normal(points)) + noise * 1e-6 * rng.standard_normal(points)
    return Sweep(name, t, v, i, np.zeros(points, bool))


@pytest.fixture(scope="module")
def clean():
    return make_sweep(points=81)


@pytest.fixture(scope="module")
def result(clean):
    return fit(models["yakopcic"], clean, fixed=SHAPE, **QUICK)


def test_the_fast_response_agrees_with_the_adaptive_simulator():
    sweep = make_sweep(points=401)
    model = models["yakopcic"]
    p = {name: np.array([value]) for name, value in {**model.defaults, **TRUTH}.items()}
    errors = []
    for substeps in (1, 2, 4):
        answer = respond(model, sweep.t, sweep.v, p, np.array([0.2]), substeps=substeps)
        errors.append(np.abs(answer.i[:, 0] - sweep.i).max() / np.ptp(sweep.i))
    assert errors[0] < 2e-3
    assert errors[1] < errors[0] / 3  # second order
    assert errors[2] < errors[1] / 3


@pytest.mark.parametrize(
    "name", ["yakopcic", pytest.param("yakopcic2020", marks=pytest.mark.slow), "vteam_exp"]
)
def test_slopes_are_those_of_the_response(name):
    model = models[name]
    sweep = make_sweep(points=41)
    values = model.defaults | {key: value for key, value in TRUTH.items() if key in model.names}
    values |= SLOW.get(name, {})
    p = {key: np.array([value, value]) for key, value in values.items()}
    x0 = np.array([0.3, 0.6])
    wanted = [*model.names, "x0"]
    answer = respond(model, sweep.t, sweep.v, p, x0, wanted=wanted, substeps=4)
    for row, key in enumerate(wanted):
        value = x0 if key == "x0" else p[key]
        step = 1e-5 * value

        def shifted(sign, key=key, step=step):
            moved = {n: q + sign * step * (n == key) for n, q in p.items()}
            start = x0 + sign * step * (key == "x0")
            return respond(model, sweep.t, sweep.v, moved, start, substeps=4).i

        numeric = (shifted(1) - shifted(-1)) / (2 * step)
        scale = np.abs(numeric).max() + 1e-6 * np.abs(answer.i).max() / value
        assert (np.abs(answer.slopes[row] - numeric) < 0.05 * scale).all(), (
            key
        )  # kinks cost an order


def test_sets_side_by_side_do_not_touch_each_other():
    model, sweep = models["yakopcic"], make_sweep()
    p = {name: np.full(3, value) for name, value in {**model.defaults, **TRUTH}.items()}
    p["b_p"] = np.array([3.0, 4.0, 5.0])
    x0 = np.array([0.1, 0.2, 0.3])
    together = respond(model, sweep.t, sweep.v, p, x0).i
    alone = respond(model, sweep.t, sweep.v, {n: q[1:2] for n, q in p.items()}, x0[1:2]).i
    np.testing.assert_allclose(together[:, 1], alone[:, 0], rtol=1e-6)


def test_known_parameters_come_back(result):
    assert result.converged
    assert not result.warnings
    assert result.quality[0].nrmse_percent < 0.02
    for name in ("a_p", "b_p", "b_n", "v_n", "A_n", "r_s"):
        assert result.parameters[name] == pytest.approx(TRUTH[name], rel=0.03), name
    assert result.x0[0] == pytest.approx(0.2, rel=0.03)
    assert result.parameters["x_p"] == SHAPE["x_p"]
    assert np.isfinite(list(result.stderr.values())).all()


def test_the_same_answer_for_any_number_of_workers():
    clean = make_sweep(points=41)
    # More than one chunk of starts and more than one round, without the race before them.
    begin = latin_hypercube(17, len(NEAR), np.random.default_rng(3))
    settings = {"fixed": SHAPE, "begin": begin, "steps": 16}
    alone = fit(models["yakopcic"], clean, **settings)
    steps = []
    with ThreadPoolExecutor(2) as pool:
        shared = fit(
            models["yakopcic"],
            clean,
            executor=pool,
            progress=lambda done, total: steps.append((done, total)),
            **settings,
        )
    assert dict(alone.parameters) == dict(shared.parameters)
    np.testing.assert_array_equal(alone.course.starts, shared.course.starts)
    assert steps[-1][0] == steps[-1][1]
    assert len(steps) > 2


def test_records_round_trip(clean, result, tmp_path):
    back = load_fit(result.save(tmp_path / "fit.h5"))
    assert dict(back.parameters) == dict(result.parameters)
    assert back.names == result.names
    assert back.loss == result.loss
    assert back.quality == result.quality
    np.testing.assert_array_equal(back.curves[0].i, result.curves[0].i)
    np.testing.assert_allclose(back.predict(clean, back.x0[0]), back.curves[0].i)
    device = result.device("synthetic", meta={"command": "test"})
    assert device.parameters["r_s"] == result.parameters["r_s"]
    assert device.meta["data_sha256"] == [clean.digest]


def test_a_fit_that_did_not_converge_is_not_saved(result, tmp_path):
    with pytest.raises(FitError, match=r"did not converge.*is not saved"):
        save_fit(
            replace(result, course=replace(result.course, converged=False)), tmp_path / "fit.h5"
        )
    assert not list(tmp_path.iterdir())


def test_a_damaged_record_is_refused(result, tmp_path):
    import h5py

    path = result.save(tmp_path / "fit.h5")
    with h5py.File(path, "r+") as file:
        file["task/sweeps/0/i"][5] = 0.1
    with pytest.raises(InputError, match="damaged"):
        load_fit(path)


def test_joint_fit_shares_parameters_and_keeps_states(clean):
    other = make_sweep(name="second", x0=0.6, points=81)
    result = fit(
        models["yakopcic"], [clean, other], fixed=SHAPE, start={**NEAR, "x0_2": 0.4}, **ONE
    )
    assert result.x0[1] / result.x0[0] == pytest.approx(3.0, rel=0.05)
    assert max(quality.nrmse_percent for quality in result.quality) < 0.05


def test_unidentifiable_parameters_are_named(clean):
    positive = Sweep("half", clean.t[:36], clean.v[:36], clean.i[:36], clean.censored[:36])
    result = fit(models["yakopcic"], positive, fixed=SHAPE, start=NEAR, **ONE)
    assert {"a_n", "b_n", "A_n", "v_n"} <= set(result.unidentified)
    assert "r_s" not in result.unidentified


def test_a_prior_pulls(clean, result):
    prior = {"b_p": Prior(5.0, 1e-5)}
    pulled = fit(models["yakopcic"], clean, fixed=SHAPE, priors=prior, start=NEAR, **ONE)
    assert pulled.parameters["b_p"] == pytest.approx(5.0, rel=1e-3)
    assert pulled.cost > result.cost


def test_censored_points_do_not_count(clean):
    wrong = clean.i.copy()
    wrong[18:24] = 0.5 * wrong[18]
    cut = np.zeros(len(wrong), bool)
    cut[18:24] = True
    sweep = Sweep("cut", clean.t, clean.v, wrong, cut)
    result = fit(models["yakopcic"], sweep, fixed=SHAPE, start=NEAR, **ONE)
    assert result.parameters["r_s"] == pytest.approx(300.0, rel=0.03)


def test_a_known_tester_is_not_fitted_again(clean):
    tested = replace(clean, meta={"r_tester": 200.0})
    result = fit(models["yakopcic"], tested, fixed=SHAPE, start=NEAR, **ONE)
    assert result.parameters["r_s"] == pytest.approx(100.0, rel=0.05)


@pytest.mark.parametrize("kind", ["linear", "log", "hybrid", "error"])
@pytest.mark.parametrize("robust", [False, True])
def test_loss_slopes(clean, kind, robust):
    loss = Loss(kind, robust=robust)
    i = clean.i[:, None] * 1.1 + 1e-7
    residual, slope = loss.residuals(i, clean)
    step = 1e-6 * np.abs(i) + 1e-13
    numeric = (loss.residuals(i + step, clean)[0] - loss.residuals(i - step, clean)[0]) / (
        2 * np.tile(step, (len(residual) // len(step), 1))
    )
    np.testing.assert_allclose(slope, numeric, rtol=1e-4)


def test_robust_loss_bends_like_soft_l1(clean):
    plain, _ = Loss("linear").residuals(clean.i[:, None] * 2, clean)
    bent, _ = Loss("linear", robust=True, bend=2.0).residuals(clean.i[:, None] * 2, clean)
    np.testing.assert_allclose(bent**2, 4 * 2 * (np.sqrt(1 + (plain / 2) ** 2) - 1), rtol=1e-9)


def test_bad_settings_name_themselves(clean):
    model = models["yakopcic"]
    with pytest.raises(InputError, match=r"outside its bounds .* widen the bounds"):
        fit(model, clean, start={"b_p": 99.0})
    with pytest.raises(InputError, match="not free"):
        fit(model, clean, fixed={"b_p": 1.0}, start={"b_p": 1.0})
    with pytest.raises(InputError, match=r"no parameter 'bp' \(did you mean 'b_p'"):
        fit(model, clean, fixed={"bp": 1.0})
    with pytest.raises(InputError, match="expected a rising pair"):
        fit(model, clean, bounds={"b_p": (5.0, 1.0)})
    with pytest.raises(InputError, match="lower bound must be above 0"):
        fit(model, clean, bounds={"b_p": (0.0, 1.0)})
    with pytest.raises(InputError, match="unknown loss 'logg'"):
        fit(model, clean, loss="logg")
    with pytest.raises(InputError, match="8 starts of 4 candidates"):
        fit(model, clean, starts=8, candidates=4)
    with pytest.raises(InputError, match="positive sigma"):
        fit(model, clean, priors={"b_p": Prior(1.0, 0.0)})
    with pytest.raises(InputError, match="no sweep"):
        fit(model, [])


def test_bad_data_name_the_file_and_the_remedy(clean):
    with pytest.raises(InputError, match="synthetic: the current is constant; check"):
        check_sweeps([replace(clean, i=np.full(81, 1e-6))], dynamic=True)
    with pytest.raises(InputError, match="synthetic: every point is censored"):
        check_sweeps([replace(clean, censored=np.ones(81, bool))], dynamic=True)
    with pytest.raises(InputError, match="flows against the voltage; turn the sign"):
        check_sweeps([replace(clean, i=-clean.i)], dynamic=True)
    with pytest.raises(InputError, match="voltage does not change"):
        check_sweeps([replace(clean, v=np.ones(81))], dynamic=True)
    (warning,) = check_sweeps([replace(clean, i=1e-3 * clean.v)], dynamic=True)
    assert "does not switch" in warning
    assert not check_sweeps([clean], dynamic=True)
    turned = replace(clean, v=-clean.v, i=-clean.i)
    (warning,) = check_sweeps([turned], dynamic=True)
    assert "SET at negative voltage" in warning
    assert "polarity -1" in warning
    half = Sweep("half", clean.t[:36], clean.v[:36], clean.i[:36], clean.censored[:36])
    assert set_sense(half) > 0.1
    assert set_sense(clean) == pytest.approx(-set_sense(turned))
    assert loop_area(clean) > 0.1


def test_the_floor_is_the_noise():
    sweep = make_sweep()
    rng = np.random.default_rng(1)
    noisy = replace(sweep, i=sweep.i + 2e-8 * rng.standard_normal(len(sweep.i)))
    assert current_floor(noisy) == pytest.approx(2e-7, rel=0.9)
    assert current_floor(sweep) >= 3e-8 * np.abs(sweep.i).max()


def test_descent_on_rosenbrock_with_a_bound():
    def problem(z, differentiate):
        x, y = 4 * z.T - 2
        residual = np.stack([10 * (y - x**2), 1 - x])
        slopes = 4 * np.stack(
            [np.stack([-20 * x, -np.ones_like(x)]), np.stack([np.full_like(x, 10.0), 0 * x])]
        )
        return residual, slopes

    points = latin_hypercube(12, 2, np.random.default_rng(0))
    result = descend(problem, points, steps=200)
    assert result.converged.all()
    np.testing.assert_allclose(4 * result.points - 2, 1.0, atol=1e-4)
    again = descend(problem, points, steps=7)
    for _ in range(40):
        again = descend(problem, again, steps=5)
    np.testing.assert_array_equal(again.points, result.points)

    def tilted(z, differentiate):
        return (z - np.array([-0.5, 0.5])).T, np.broadcast_to(np.eye(2)[:, :, None], (2, 2, len(z)))

    np.testing.assert_allclose(
        descend(tilted, points).points, np.tile([0.0, 0.5], (12, 1)), atol=1e-9
    )


def test_profiles_agree_with_standard_errors_where_the_cost_is_a_parabola():
    noisy = make_sweep(noise=0.01, points=101)
    loss = Loss("error", relative=0.01, floor=1e-8)
    near = {name: value for name, value in NEAR.items() if name not in ("A_p", "A_n")}
    settings = {"fixed": SHAPE | {"A_p": 3.0, "A_n": 1.0}, "loss": loss, "start": near, **ONE}
    fitted = fit(models["yakopcic"], noisy, **settings)
    curve = profile(fitted, "r_s", points=9, steps=12)
    assert curve.interval[0] < fitted.parameters["r_s"] < curve.interval[1]
    half = 0.5 * (curve.interval[1] - curve.interval[0])
    assert half == pytest.approx(1.96 * fitted.stderr["r_s"], rel=0.15)
    with pytest.raises(InputError, match="'A_p' is not free"):
        profile(fitted, "A_p")


@pytest.mark.slow
def test_auto_chooses_the_model_that_predicts(clean):
    other = make_sweep(name="held out", x0=0.5, noise=0.002, points=81)
    settings = {"fixed": SHAPE, "starts": 6, "candidates": 24, "steps": 20}
    steps = []
    result = compare(
        ["sinh", "yakopcic"],
        [clean, other],
        progress=lambda done, total: steps.append((done, total)),
        **settings,
    )
    assert result.best.model.name == "yakopcic"
    assert list(result.held_out) == ["yakopcic", "sinh"]
    scores = [errors.score for errors in result.held_out.values()]
    assert scores == sorted(scores)
    for errors in result.held_out.values():  # the hybrid loss weighs these two against each other
        parts = [errors.nrmse_percent, 7.0 * errors.decades]
        assert errors.score == pytest.approx(np.hypot(*parts) / np.sqrt(2), rel=1e-6)
    assert len(result.best.x0) == 2
    done, total = zip(*steps, strict=True)
    assert list(done) == sorted(done)
    assert done[-1] == total[-1]


def test_short_searches_go_on_with_those_near_the_best():
    """The last round takes five in any case, and drops who failed or is 2.5 times as bad beyond these."""
    scores = dict(zip("abcdefg", (1.0, 2.4, 9.0, 8.0, 7.0, 2.6, 30.0), strict=True))
    tried = {name: Tried(score) for name, score in scores.items()}
    assert list(behind(tried, ROUNDS[-1])) == ["c", "g"]
    assert behind(tried, ROUNDS[-1])["g"] == "a short search came to 30, the best model's to 1"
    tried["b"] = Tried(float("inf"), reason="no finite current")
    assert behind(tried, ROUNDS[-1])["b"] == "a short search failed: no finite current"
    points = np.arange(8.0).reshape(2, 4)
    ends = Tried(1.0, points, ("a", "b", "x0_1", "x0_2"))
    np.testing.assert_array_equal(ends.of_sweeps(1, 1), points[:, [0, 1, 3]])


def test_many_models_on_one_sweep_are_screened_and_the_true_one_is_chosen():
    device = Device("d", models["vteam"], {"r_off": 1e4, "k_set": 3.0, "k_reset": 3.0})
    t = np.linspace(0.0, 1.0, 81)
    v = 1.2 * np.sin(4.0 * np.pi * t)
    rng = np.random.default_rng(0)
    i = device.simulate(t, v, 0.3).i * (1.0 + 0.01 * rng.standard_normal(len(t)))
    reports = []
    result = compare(
        ["sinh", "vteam"],
        [Sweep("loop", t, v, i, np.zeros(len(t), bool))],
        screen=True,
        progress=lambda done, total: reports.append((done, total)),
        starts=2,
        candidates=32,
    )
    assert result.best.model.name == "vteam"
    assert next(iter(result.held_out)) == "vteam"
    assert [len(foretold) for foretold in result.foretold["vteam"]] == [
        len(sweep.t) for sweep in result.unseen
    ]
    done, total = zip(*reports, strict=True)
    assert list(done) == sorted(done)
    assert list(total) == sorted(total, reverse=True)
    assert done[-1] == total[-1]


def test_the_choice_is_the_smallest_error_of_the_loss_on_sweeps_held_out(monkeypatch, clean):
    """A model that fits the seen sweep best does not win by that; the loss alone decides."""
    foretold = {"yakopcic": 2.0, "sinh": 0.5, "vteam": 9.0}  # factor on the measured current
    unseen = replace(clean, name="unseen")
    calls = []

    def fake(model, sweeps, **settings):
        calls.append((model.name, [sweep.name for sweep in sweeps]))
        if model.name == "vteam":
            raise FitError("vteam leads nowhere")
        found = SimpleNamespace(
            model=model, loss=Loss(), predict=lambda sweep: foretold[model.name] * sweep.i
        )
        found.variants = (found,)
        return found

    monkeypatch.setattr(fit_compare, "fit", fake)
    with ThreadPoolExecutor(2) as pool:
        for executor in (None, pool):
            calls.clear()
            result = compare(list(foretold), [clean, unseen], executor=executor)
            assert result.best.model.name == "sinh"
            assert set(result.held_out) == {"yakopcic", "sinh"}
            assert result.failed == {"vteam": "vteam leads nowhere"}
            assert sorted(calls[:3]) == [(name, ["synthetic"]) for name in sorted(foretold)]
            assert calls[3:] == [("sinh", ["synthetic", "unseen"])]
    assert {held.fits for held in result.held_out.values()} == {1}
    residual, _ = Loss().residuals(0.5 * unseen.i[:, None], unseen)
    assert result.held_out["sinh"].score == pytest.approx(np.sqrt(np.mean(residual**2)))
    with pytest.raises(InputError, match=r"no model compared has a parameter 'bp' \(did you mean"):
        compare(["yakopcic", "sinh"], [clean, unseen], fixed={"bp": 1.0})


def test_a_model_is_judged_by_the_median_of_fits_that_the_seen_sweeps_do_not_tell_apart(
    monkeypatch, clean
):
    @dataclass(frozen=True)
    class Fake:
        parameters: dict
        model: object
        others: tuple = ()
        loss: Loss = Loss()  # noqa: RUF009

        @property
        def variants(self):
            return self, *(Fake({"factor": factor}, self.model) for factor in self.others)

        def predict(self, sweep):
            return self.parameters["factor"] * sweep.i

    def fake(model, sweeps, **settings):
        if model.name == "sinh":
            return Fake({"factor": 1.2}, model)
        return Fake({"factor": 1.01}, model, (1.5, 3.0))  # a lucky fit among bad ones

    monkeypatch.setattr(fit_compare, "fit", fake)
    result = compare(["yakopcic", "sinh"], [clean, replace(clean, name="unseen")])
    assert list(result.held_out) == ["sinh", "yakopcic"]
    held = result.held_out["yakopcic"]
    expected = []
    for factor in (1.01, 1.5, 3.0):
        residual, _ = Loss().residuals(factor * clean.i[:, None], clean)
        expected.append(np.sqrt(np.mean(residual**2)))
    assert (held.least, held.score, held.most) == pytest.approx(expected)
    assert held.fits == 3


@pytest.mark.slow
@pytest.mark.data
def test_auto_on_a_measured_device():
    """Fitted to -2 V, the choice is the candidate that errs least on the -3 V sweep."""
    sweeps = []
    for number in ("015", "016"):
        read = read_sweep(fetch("nbsto-groningen-iv", f"*Radius 32 um/{number}*")[0])
        columns = (column[::4] for column in (read.t, read.v, read.i, read.censored))
        sweeps.append(Sweep(read.name, *columns, read.meta))
    loss = Loss("hybrid", floor=1e-9)
    settings = {"loss": loss, "starts": 4, "candidates": 48, "steps": 25}
    names = ("yakopcic", "yakopcic2020", "vteam_exp")
    result = compare(names, sweeps, **settings)
    assert not result.failed
    scores = {name: held.score for name, held in result.held_out.items()}
    assert result.best.model.name == min(names, key=lambda name: scores[name])
    for name, held in result.held_out.items():
        foretold = fit(models[name], sweeps[0], **settings).predict(sweeps[1])
        residual, _ = loss.residuals(foretold[:, None], sweeps[1])
        alone = float(np.sqrt(np.mean(residual**2)))
        assert held.least * (1 - 1e-9) <= alone <= held.most * (1 + 1e-9)
        assert held.least <= held.score <= held.most
    assert len(result.best.x0) == 2
    assert result.held_out["vteam_exp"].nrmse_percent > 10.0  # an ohmic law for a rectifying device


@pytest.mark.slow
def test_one_sweep_is_cut_in_two(clean):
    result = compare(["yakopcic"], [clean], fixed=SHAPE, starts=2, candidates=16, steps=10)
    assert np.isfinite(result.held_out["yakopcic"].score)


def test_nothing_to_compare_and_nothing_that_fits(clean):
    with pytest.raises(InputError, match="no model to compare"):
        compare([], [clean])
    with pytest.raises(FitError, match=r"no model could be fitted.*current is constant"):
        compare(["yakopcic"], [replace(clean, i=np.full(81, 1e-6))])


def test_the_cube_is_a_round_trip(clean, rng):
    space = make_space(models["yakopcic"], [clean], Loss())
    z = rng.random((5, len(space.names)))
    np.testing.assert_allclose(space.points(space.values(z)), z, atol=1e-9)
    step = 1e-6
    for k in range(z.shape[1]):
        shift = np.zeros(z.shape[1])
        shift[k] = step
        numeric = (space.values(z + shift) - space.values(z - shift))[:, k] / (2 * step)
        np.testing.assert_allclose(space.slopes(z)[:, k], numeric, rtol=1e-5)
