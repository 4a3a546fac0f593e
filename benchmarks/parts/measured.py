"""What fits reach on measured devices and on published ones; rows for fitting.py.

Needs the datasets (``MEMTWIN_DATA``, or a network).
"""

import multiprocessing
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
from table import Row, at_most

from memtwin.data.catalogue import fetch
from memtwin.data.importers.arrays import read_ramps, read_relaxation, read_response
from memtwin.data.importers.sweeps import read_sweep
from memtwin.data.measurement import Relaxation, Sweep
from memtwin.devices.device import load_device
from memtwin.devices.fitting.compare import CANDIDATES, compare
from memtwin.devices.fitting.fit import fit
from memtwin.devices.fitting.loss import Loss
from memtwin.devices.models import models
from memtwin.devices.models.mms import pulse_response
from memtwin.devices.pulses.ramp import fit_ramp
from memtwin.devices.pulses.ramp_spread import fit_spread
from memtwin.devices.spread.relaxation import fit_relaxation

LOSS = Loss("hybrid", floor=1e-9)
SHARES = np.array([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95])


def workers(count: int = 2) -> ProcessPoolExecutor:
    """Return started worker processes."""
    pool = ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"))
    list(pool.map(abs, range(8)))
    return pool


def nbsto(radius: int, number: str) -> Sweep:
    """Return a Nb:SrTiO3 loop."""
    return read_sweep(fetch("nbsto-groningen-iv", f"*Radius {radius} um/{number}*")[0])


def _bar(name: str, value: float, unit: str, most: float, note: str = "") -> Row:
    return Row(name, value, unit, f"< {most:g}", value < most, note)


def sweep_rows() -> Iterator[Row]:
    """Nb:SrTiO3 at two radii, and what a fit takes."""
    for radius, number, percent, decades in ((32, "015", 0.6, 0.12), (100, "003", 1.6, 0.20)):
        sweep = nbsto(radius, number)
        with workers() as pool:
            began, before = time.perf_counter(), _processor_seconds()
            result = fit(models["yakopcic"], sweep, loss=LOSS, executor=pool)
            seconds = time.perf_counter() - began
        spent = _processor_seconds() - before  # workers count once they have ended
        good = result.quality[0]
        label = f"Nb:SrTiO3 {radius} um, yakopcic with r_s"
        note = f"{len(result.names)} parameters, {len(result.course.starts)} starts, hybrid loss"
        yield _bar(f"{label}, NRMSE", good.nrmse_percent, "%", percent, note)
        yield _bar(f"{label}, decades", good.decades, "dec", decades, note)
        # Processor time, starting the workers included: what other work on the machine leaves alone,
        # and an upper limit of the time on two idle cores.
        note = f"{len(sweep.t)} points, 8 starts, 2 workers; {seconds:.1f} s of wall time now"
        yield at_most(f"{label}, CPU time", spent, "s", 40, note)
    short = {"loss": LOSS, "steps": 5, "candidates": 64}
    with workers() as pool:
        two = fit(models["yakopcic"], sweep, executor=pool, **short)
    one = fit(models["yakopcic"], sweep, **short)
    apart = max(abs(two.parameters[name] - one.parameters[name]) for name in one.parameters)
    yield Row("parameters from 1 and from 2 workers apart by", apart, "", "0", apart == 0.0)


def _processor_seconds() -> float:
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in spent)


def held_out_rows() -> Iterator[Row]:
    """Fitted to -2 V, the -3 V sweep of the same device foretold: ``memtwin fit --model auto``."""
    sweeps = [nbsto(32, number) for number in ("015", "016")]
    with workers() as pool:
        found = compare(CANDIDATES, sweeps, loss=LOSS, executor=pool)
    best = found.best.model.name if found.best else ""
    for name, errors in found.held_out.items():
        note = f"NRMSE {errors.nrmse_percent:.2f} %, {errors.decades:.2f} decades"
        note += f"; {errors.least:.2f} to {errors.most:.2f} over {errors.fits} fits alike"
        if name == best:
            label = f"Nb:SrTiO3 32 um, -3 V from -2 V, auto: {name}"
            least = min(one.score for one in found.held_out.values())
            holds = errors.score == least and not found.failed
            yield Row(label, errors.score, "", "the least", holds, f"{note}; score of the loss")
        else:
            yield Row(f"... candidate {name}", errors.score, "", "", None, note)


def pulse_rows() -> Iterator[Row]:
    """CrossSim's ramps and Gong's response."""
    rng = np.random.default_rng(0)
    for name in ("set", "reset"):
        train = read_ramps(fetch("crosssim-taox-ltp-ltd", f"{name}.csv")[0], v_read=0.1)
        mean = fit_ramp(train.mean).nrmse_percent
        yield _bar(f"CrossSim {name}, mean ramp, exponential", mean, "%", 0.6)
        worst = max(fit_ramp(ramp[np.isfinite(ramp)]).nrmse_percent for ramp in train.g)
        yield _bar(f"CrossSim {name}, worst single ramp", worst, "%", 1.0, "exponential")
        spread = fit_spread(train.ramps(0, 30))
        n = np.arange(spread.pulses + 1.0)
        inside = []
        for k in range(30, 39):
            low, high = spread.band(n, k, rng)
            inside.append(np.mean((train.g[k, : len(n)] > low) & (train.g[k, : len(n)] < high)))
        share = 100 * float(np.mean(inside))
        label = f"CrossSim {name}, 90 % band on ramps 30-38"
        note = f"fitted on ramps 0-29, trends {', '.join(spread.trend)}"
        yield Row(label, share, "%", "85 to 95", 85 <= share <= 95, note)
    for train in read_response(fetch("aihwkit-gong-rram-ltp-ltd")[0]):
        result = fit_ramp(train.g[0], "exp_step")
        ratio = result.nrmse_percent / result.floor_percent
        note = f"{result.nrmse_percent:.2f} % over a floor of {result.floor_percent:.2f} %"
        label = f"{train.name}, exp_step over noise floor"
        yield at_most(label, ratio, "x", 1.35, note)


def relaxation_rows(splits: int = 6) -> Iterator[Row]:
    """Technology B: quantiles on the half of the cells that was not learnt from, at every time."""
    cells = read_relaxation(fetch("rram-relaxation-3tech", "techB/relaxdata*")[0], g_max=128e-6)
    found: dict[str, list[np.ndarray]] = {}
    for split in range(1, splits + 1):
        half = np.random.default_rng(split).random(len(cells.level)) < 0.5
        for reading, errors in _relaxation_errors(cells, half):
            found.setdefault(reading, []).append(errors.ravel())
    label = "relaxation, technology B, held-out cells"
    worst = 100 * float(np.max(np.concatenate(found["conductance"])))
    note = f"off each quantile, 5 to 95 %, worst quantile and time of {splits} splits of the cells"
    yield at_most(f"{label}, conductance", worst, "%", 10, note)
    for reading, of in (
        ("conductance by level", "of itself"),
        ("change", "of its 5-95 % span"),
        ("change, outer quantiles", "of itself"),
    ):
        within, sampling = (
            100 * float(np.mean(np.concatenate(found[key]) <= 0.1))
            for key in (reading, f"{reading}, halves")
        )
        note = f"of the cases within 10 % {of}; between the halves of the cells {sampling:.1f} %"
        yield Row(f"... {reading}", within, "%", "", None, note)


def _relaxation_errors(cells: Relaxation, half: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Relative errors of quantiles by reading, learnt from one half of the cells."""
    spread = fit_relaxation(replace(cells, g=cells.g[half], level=cells.level[half]))
    seen, unseen, rng = cells.g[half], cells.g[~half], np.random.default_rng(0)
    levels, seen_levels = cells.level[~half], cells.level[half]
    outer = np.flatnonzero(
        SHARES != 0.5
    )  # the change's median is nearly 0, and relative to nothing
    for k in range(1, len(cells.t)):
        read, known = np.isfinite(unseen[:, k]), np.isfinite(seen[:, k])
        truth, moved = unseen[read, k], unseen[read, k] - unseen[read, 0]
        start = np.tile(unseen[read, 0], 20)
        model = spread.sample(start, float(cells.t[k]), rng)
        learnt = seen[known, k] - seen[known, 0]
        yield "conductance", _off(model, truth)
        exact = np.quantile(moved, SHARES)
        for name, sample in (("", model - start), (", halves", learnt)):
            errors = np.abs(np.quantile(sample, SHARES) - exact)
            yield f"change{name}", errors / np.ptp(exact)
            yield f"change, outer quantiles{name}", errors[outer] / np.abs(exact[outer])
        for level in np.unique(levels):
            here = levels[read] == level
            other = seen[known & (seen_levels == level), k]
            if min(here.sum(), len(other)) > 150:
                yield "conductance by level", _off(model[np.tile(here, 20)], truth[here])
                yield "conductance by level, halves", _off(other, truth[here])


def _off(sample: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """How far a sample's quantiles are from the true ones, relative to these."""
    exact = np.quantile(truth, SHARES)
    return np.abs(np.quantile(sample, SHARES) / exact - 1.0)


def published_rows() -> Iterator[Row]:
    """Published sets against what their papers and closed forms say."""
    for name, v, window in (
        ("mms_tiox", 1.4, (4.66e3, 5.69e3)),
        ("mms_tiox2", 0.8, (10.35e3, 16.71e3)),
    ):
        device = load_device(name)
        p = device.parameters
        t = np.linspace(0.0, 500.0, 2001)
        ends, worst = [], 0.0
        for amplitude in (v, -v):
            x = device.simulate(t, np.full(len(t), amplitude), 0.5).x
            closed = pulse_response(p, 0.5, amplitude, t)
            r, exact = (p["r_max"] - state * (p["r_max"] - p["r_min"]) for state in (x, closed))
            worst = max(worst, 100 * float(np.abs(r / exact - 1.0).max()))
            ends.append(
                float(
                    p["r_max"] - pulse_response(p, 0.5, amplitude, 1e5) * (p["r_max"] - p["r_min"])
                )
            )
        off = 100 * float(np.abs(np.array(ends) / np.array(window) - 1.0).max())
        note = f"window {ends[0] / 1e3:.2f} to {ends[1] / 1e3:.2f} kohm"
        yield _bar(f"{name}, published resistance window", off, "%", 0.5, note)
        yield _bar(f"{name}, resistance in time against eq. 9, 10", worst, "%", 0.01)
    device = load_device("vteam_asic2")
    worst = 0.0
    for v in (0.8, -0.8):
        c = abs(float(device.rate(v, 0.0 if v > 0 else 1.0)))
        t = np.linspace(0.0, 2.0 / c, 401)
        y = np.tanh(c * t + np.arctanh(0.3))
        x = device.simulate(t, np.full(len(t), v), 0.3 if v > 0 else 0.7).x
        worst = max(worst, 100 * float(np.abs(x - (y if v > 0 else 1.0 - y)).max()))
    yield _bar("vteam_asic2, state in time against its closed form", worst, "%", 0.01)
