"""Fits of sweeps that were taken under a current limit."""

import numpy as np
import pytest

from memtwin.data.errors import InputError
from memtwin.data.importers.sweeps import read_sweep
from memtwin.data.measurement import Sweep
from memtwin.devices.device import Device
from memtwin.devices.fitting.fit import fit
from memtwin.devices.fitting.loss import LOSSES, Loss
from memtwin.devices.fitting.result import load_fit
from memtwin.devices.models import models

TRUTH = {"k_set": 300.0, "k_reset": 100.0, "r_off": 1e5, "v_set": 0.8, "v_reset": 0.5}
DEVICE = Device("d", models["vteam"], TRUTH)
T = np.linspace(0.0, 1.0, 121)
V = np.interp(T, [0.0, 0.3, 0.6, 0.8, 1.0], [0.0, 1.5, 0.0, -1.2, 0.0])
HELD = {name: DEVICE.parameters[name] for name in ("a_set", "a_reset")}


def measured(limit: float, *, seed: int | None = None, known: bool = True) -> Sweep:
    i = DEVICE.simulate(T, V, 0.02, compliance=np.where(V >= 0.0, limit, np.inf)).i
    cut = i >= limit * (1.0 - 1e-6)
    if seed is not None:
        noise = np.random.default_rng(seed).standard_normal(len(T))
        i = i + (0.01 * np.abs(i) + 1e-8) * noise
    return Sweep("s", T, V, i, cut, {"compliance": limit} if known else {})


def fitted(sweeps, held=HELD, **more):
    near = {name: 1.05 * TRUTH[name] for name in ("k_set", "v_set", "r_off")}
    near |= {"k_reset": 90.0, "v_reset": 0.52, "r_on": 1.1e3, "x0_1": 0.02}
    return fit(
        DEVICE.model,
        sweeps,
        fixed=held,
        series=False,
        loss=Loss("error", relative=0.01, floor=1e-8),
        start={name: value for name, value in near.items() if name not in held},
        starts=1,
        candidates=1,
        **more,
    )


@pytest.mark.parametrize("known", [True, False])
def test_a_limit_is_known_or_found_where_it_was_in_force(known) -> None:
    sweep = measured(2e-4, seed=1, known=known)
    assert (
        np.isinf(sweep.limit[V < 0.0]).all() != known
    )  # which may hold there too: nothing exceeds it
    assert sweep.limit[V > 0.0] == pytest.approx(2e-4, rel=0.02)
    assert (sweep.held == sweep.censored).all()
    assert sweep.counted.all()


def test_no_limit_where_none_is_known_and_none_shows() -> None:
    i = DEVICE.simulate(T, V, 0.02).i
    cut = np.abs(np.abs(i) - 1e-5) < 3e-6  # a stuck range far below the largest current
    sweep = Sweep("s", T, V, i, cut)
    assert np.isinf(sweep.limit).all()
    assert not sweep.held.any()
    assert (sweep.counted == sweep.kept).all()


def test_a_compliance_below_zero_is_refused() -> None:
    sweep = Sweep("s", T, V, 1e-3 * V, np.zeros(len(T), bool), {"compliance": -1e-3})
    with pytest.raises(InputError, match="compliance"):
        fit(models["vteam"], sweep)


@pytest.mark.parametrize("kind", LOSSES)
def test_a_censored_point_counts_on_one_side_only(kind) -> None:
    sweep = measured(2e-4)
    loss = Loss(kind, floor=1e-8)
    held = np.tile(sweep.held[sweep.counted], 2 if kind == "hybrid" else 1)
    for factor, counts in ((1.5, False), (1.0, False), (0.5, True)):
        i = np.where(sweep.held, factor * sweep.i, sweep.i)[:, None]
        residual, slope = loss.residuals(i, sweep)
        assert (residual[held] < 0.0).all() == counts
        assert (residual[held] != 0.0).any() == counts
        assert (slope[held] > 0.0).all() == counts
        assert np.abs(residual[~held]).max() < 1e-9


@pytest.mark.slow
def test_a_pair_of_limits_gives_the_parameters_and_the_resistance_of_another() -> None:
    """Joint over two limits; the LRS under a third one, that no sweep had, is foretold."""
    found = fitted([measured(1e-4, seed=1), measured(4e-4, seed=2)])
    assert found.converged
    for name in found.names:
        if name in TRUTH and name not in found.unidentified:
            assert abs(found.parameters[name] - TRUTH[name]) <= 4.0 * found.stderr[name], name
    for curve, limit in zip(found.curves, (1e-4, 4e-4), strict=True):
        held = measured(limit).held
        assert np.allclose(curve.i[held], limit, rtol=0.02)
    third = measured(2e-4)
    back = (T > 0.45) & (T < 0.58)
    i = found.predict(third, 0.02)
    assert np.allclose(i[back], third.i[back], rtol=0.02)


def test_limits_are_kept_with_the_fit_and_its_device(tmp_path) -> None:
    known = HELD | TRUTH | {"x0_1": 0.02}
    sweep = measured(2e-4, seed=3)
    columns = (column[::3] for column in (sweep.t, sweep.v, sweep.i, sweep.censored))
    found = fitted(Sweep("s", *columns, sweep.meta), known)
    found.save(tmp_path / "f.h5", keep_unconverged=True)
    again = load_fit(tmp_path / "f.h5")
    assert (again.sweeps[0].limit == found.sweeps[0].limit).all()
    assert found.device("d").meta["compliance"] == [2e-4, 2e-4]


def test_a_file_that_is_read_with_its_compliance_keeps_it(tmp_path) -> None:
    sweep = measured(2e-4)
    table = np.column_stack([sweep.t, sweep.v, sweep.i])
    np.savetxt(tmp_path / "s.csv", table, delimiter=",", header="t (s),v (V),i (A)", comments="")
    read = read_sweep(tmp_path / "s.csv", compliance=2e-4)
    assert read.meta["compliance"] == 2e-4
    assert (read.held == sweep.held).mean() > 0.99
