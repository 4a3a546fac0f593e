"""Speed, accuracy and endurance of the ngspice engine, as rows with their bars.

    python benchmarks/spice.py                    # a table
    python benchmarks/spice.py --json             # one JSON object
    python benchmarks/spice.py --only badcrossbar # rows whose name has the word

Times are CPU seconds, of the calling process and of ngspice together; each ratio compares work done
in the same run. The comparison with badcrossbar needs it installed (``pip install badcrossbar``, or
its folder on PYTHONPATH), and is reported as skipped otherwise.
"""

import argparse
import logging
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from table import Row, add_options, at_least, at_most, publish

from memtwin.circuits.array.cell import Cell, Transistor
from memtwin.circuits.array.parasitics import Parasitics
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.engines.nodal import Nodal
from memtwin.circuits.ngspice import pool
from memtwin.circuits.ngspice.crew import Crew
from memtwin.circuits.ngspice.engine import Spice, ladder
from memtwin.circuits.ngspice.installed import features
from memtwin.circuits.ngspice.job import Job, Step
from memtwin.circuits.ngspice.netlist import Netlist, alterations, build
from memtwin.circuits.ngspice.program import script
from memtwin.circuits.osdi.choice import why_not
from memtwin.circuits.programming.array_ngspice import WriteSpice
from memtwin.circuits.timing.read import read_time
from memtwin.circuits.vacask.engine import Vacask, vacask
from memtwin.devices.device import Device, load_device
from memtwin.devices.models import models

RNG = np.random.default_rng(20240229)
NONLINEAR = Cell.sinh_state({"b_hrs": 5.0, "b_lrs": 1.0, "g_max": 1e-4}, 0.2)


def problem(n: int, vectors: int, cell: Cell | None = None) -> tuple[Tile, np.ndarray, np.ndarray]:
    """16 levels from 5 to 100 uS and half-sparse inputs, as a network layer has them."""
    levels = np.geomspace(5e-6, 1e-4, 16)
    g = levels[RNG.integers(0, 16, (n, n))]
    v = 0.2 * RNG.random((vectors, n)) * (RNG.random((vectors, n)) < 0.6)
    return Tile(n, n, cell=cell or Cell.resistor()), g, v


def job_of(deck: Netlist) -> Job:
    return Job(deck.text, (Step(deck.analysis, deck.sense),), ladder(features().klu)[:1])


def bare(job: Job) -> tuple[float, float]:
    """Return the CPU time of the analysis in an ``ngspice -b`` run of ``job``, and that of the
    whole run.

    The analysis is the run less one that only loads the deck; ngspice's own figure counts elapsed
    time.
    """
    text = script(job, job.ladder[0])
    whole, load = _cpu(text), _cpu(_loading(text))
    return whole - load, whole


def _loading(text: str) -> str:
    """Return the script without its analyses: what only loads the deck."""
    return re.sub(r"\n(delete all|save .*|dc .*|write .*|destroy all)(?=\n)", "", text)


def _cpu(text: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "deck.cir").write_text(text)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            ["ngspice", "-n", "-b", "deck.cir"], cwd=folder, capture_output=True, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def engine(tile: Tile, g: np.ndarray, v: np.ndarray) -> tuple[float, float]:
    """Return the CPU time of building, running and reading one deck, and that of its analysis
    alone.
    """
    began = time.process_time()
    deck = build(tile, g, v)
    job = job_of(deck)
    out = pool.call(job)
    deck.currents(out.values[0])
    return time.process_time() - began + out.seconds, out.solving


def against_bare(
    n: int, vectors: int, cell: Cell | None, bar: float, whole: bool
) -> tuple[float, str]:
    """Return the median ratio of our time to ngspice's over three alternating runs."""
    tile, g, v = problem(n, vectors, cell)
    engine(tile, g, v[:2])  # starts the worker and fills the templates, as any run does once
    ratios, ours = [], 0.0
    for _ in range(3):
        ours, _ = engine(tile, g, v)
        analysis, process = bare(job_of(build(tile, g, v)))
        ratios.append(ours / (process if whole else analysis))
    return float(np.median(ratios)), f"{ours / vectors * 1e3:.2f} ms per vector"


def linear() -> Iterator[Row]:
    ratio, note = against_bare(64, 100, None, 1.15, whole=False)
    yield at_most("64x64 linear, 100 vectors / ngspice's own analysis", ratio, "x", 1.15, note)
    tile, g, v = problem(64, 100)
    sweep, _ = engine(tile, g, v)
    transfer, _ = engine(tile, g, np.eye(64))
    note = f"{transfer:.2f} s instead of {sweep:.2f} s"
    yield Row(
        "the same through unit vectors / through a sweep", transfer / sweep, "x", "", True, note
    )


def nonlinear() -> Iterator[Row]:
    ratio, note = against_bare(64, 24, NONLINEAR, 1.2, whole=True)
    yield at_most("64x64 nonlinear, per vector / bare ngspice -b", ratio, "x", 1.2, note)


def building() -> Iterator[Row]:
    tile, g, v = problem(128, 2)
    text = script(job_of(build(tile, g, v)), ladder(features().klu)[0])
    loading = _cpu(_loading(text))
    times = []
    for _ in range(5):
        began = time.process_time()
        build(tile, g, v)
        times.append(time.process_time() - began)
    seconds = float(np.median(times))
    note = f"{1e3 * seconds:.3g} ms"
    yield at_most(
        "building the 128x128 deck / ngspice loading it", seconds / loading, "x", 0.5, note
    )


def altering() -> Iterator[Row]:
    for name, cell in (("linear", None), ("nonlinear", NONLINEAR)):
        tile, g, v = problem(64, 4, cell)
        worker = pool.Worker()
        try:
            deck = build(tile, g, v, alterable=True)
            rungs = ladder(features().klu)[:1]
            worker.run(Job(deck.text, (Step(deck.analysis, deck.sense),), rungs, keep=True))
            beside, solving = [], []
            for _ in range(3):
                places = RNG.integers(0, 64, (16, 2))
                began = time.process_time()
                commands = alterations(tile, map(tuple, places), RNG.uniform(5e-6, 1e-4, 16))
                job = Job("", (Step(deck.analysis, deck.sense, commands),), keep=True)
                out = worker.run(job)
                deck.currents(out.values[0])
                beside.append(time.process_time() - began + out.seconds - out.solving)
                solving.append(out.solving)
        finally:
            worker.close()
        spent, solve = float(np.median(beside)), float(np.median(solving))
        yield at_most(
            f"16 of 64x64 {name} devices changed / the solve of four vectors",
            spent / solve,
            "x",
            0.2,
            f"{1e3 * spent:.2g} ms",
        )


def endurance() -> Iterator[Row]:
    tile, g, v = problem(16, 8)
    job = job_of(build(tile, g, v))
    worker = pool.Worker()
    try:
        memory = [worker.run(job).memory for _ in range(500)]
    finally:
        worker.close()
    grown = (memory[-1] - memory[0]) / 1e6
    yield Row("500 batches in one worker, memory grown by", grown, "MB", "< 10", grown < 10.0)


def scaling() -> Iterator[Row]:
    tile, g, v = problem(32, 40, NONLINEAR)
    stack, batches = np.stack([g] * 8), np.stack([v] * 8)
    wall = {}
    for workers in (1, 2):
        own = Spice(tile, workers=workers).program(stack)
        own.read(batches[:, :1])  # starts the workers
        began = time.monotonic()
        own.read(batches)
        wall[workers] = time.monotonic() - began
    ratio, machine = wall[1] / wall[2], machine_scaling(job_of(build(tile, g, v)))
    note = f"{ratio:.2f} x over one worker; two bare ngspice over one: {machine:.2f} x"
    yield at_least(
        "gain of a second worker / of a second bare ngspice", ratio / machine, "", 0.85, note
    )


def machine_scaling(job: Job) -> float:
    """Return how much more two ``ngspice -b`` at once get done than one: what no pool of workers
    can exceed.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "deck.cir").write_text(
            script(job, job.ladder[0]).replace("write step0.raw\n", "")
        )
        wall = {}
        for count in (1, 2):
            began = time.monotonic()
            command = ["ngspice", "-n", "-b", "deck.cir"]
            running = [
                subprocess.Popen(
                    command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
                for _ in range(count)
            ]
            for process in running:
                process.wait()
            wall[count] = time.monotonic() - began
    return 2.0 * wall[1] / wall[2]


def accuracy() -> Iterator[Row]:
    cases = (
        ("linear", 64, None, 1e-9),
        ("sinh", 32, Cell.sinh(5.0, 0.2), 1e-6),
        ("state-dependent sinh", 32, NONLINEAR, 1e-6),
        ("1T1R", 32, Cell.sinh(2.0, 0.2, access=Transistor()), 1e-6),
    )
    for name, n, cell, bar in cases:
        tile, g, v = problem(n, 8, cell)
        truth = Nodal(tile).program(g).read(v)
        found = Spice(tile, workers=1).program(g).read(v)
        error = float(np.abs(found - truth).max() / np.abs(truth).max())
        yield at_most(f"{n}x{n} {name} against the exact solve", error, "", bar)


def compiled() -> Iterator[Row]:
    """Compiled devices against B-sources, in the same run."""
    static = "64x64 nbsto_32um, static read per vector, B-sources / compiled"
    reason = why_not()
    if reason:
        yield Row(static, float("nan"), "x", ">= 2", None, f"skipped: {reason}")
        return
    shipped = load_device("nbsto_32um")
    tile = Tile(64, 64, cell=Cell(shipped, 0.2))
    g = tile.cell.conductance(RNG.uniform(0.2, 0.9, tile.shape))
    v = 0.2 * RNG.random((24, 64))
    ratios, found, took = [], {}, {}
    for _ in range(3):
        for devices in ("behavioural", "compiled"):
            own = Spice(tile, devices=devices)
            began = time.process_time()
            deck = own.deck(g, v)
            job = Job(
                deck.text, (Step(deck.analysis, deck.sense),), own.ladder, False, deck.sources
            )
            out = pool.call(job)
            found[devices] = deck.currents(out.values[0])
            took[devices] = time.process_time() - began + out.seconds
        ratios.append(took["behavioural"] / took["compiled"])
    apart = np.abs(found["compiled"] - found["behavioural"]).max() / np.abs(found["compiled"]).max()
    note = f"{1e3 * took['compiled'] / len(v):.3g} ms compiled; they agree to {apart:.1e}"
    yield at_least(static, float(np.median(ratios)), "x", 2.0, note)
    for n, bar in ((16, 12.0), (32, 6.0)):
        ratio, _, note = pulsed(n, full=True)
        yield at_least(
            f"{n}x{n} Yakopcic, all dynamic, one pulse, B-sources / compiled", ratio, "x", bar, note
        )
    ratio, seconds, note = pulsed(32, full=False)
    yield at_most("32x32 Yakopcic, active set, one pulse, compiled", seconds, "s", 0.08, note)
    yield Row("the same, B-sources / compiled", ratio, "x", "", None)


def newton() -> Iterator[Row]:
    """The nodal engine against ngspice, per vector."""
    for name, cell in (("sinh", NONLINEAR), ("nbsto_32um", Cell(load_device("nbsto_32um"), 0.2))):
        tile, g, v = problem(64, 32, cell)
        if name != "sinh":
            g = cell.conductance(RNG.uniform(0.2, 0.9, tile.shape))
        array, ratios, took = Nodal(tile).program(g), [], {}
        kinds = ("behavioural", *(() if why_not() else ("compiled",)))
        for _ in range(3):
            for devices in kinds:
                own = Spice(tile, devices=devices)
                began = time.process_time()
                deck = own.deck(g, v)
                out = pool.call(
                    Job(
                        deck.text,
                        (Step(deck.analysis, deck.sense),),
                        own.ladder,
                        False,
                        deck.sources,
                    )
                )
                found = deck.currents(out.values[0])
                took[devices] = time.process_time() - began + out.seconds
            began = time.process_time()
            exact = array.read(v)
            took["nodal"] = time.process_time() - began
            ratios.append(took["behavioural"] / took["nodal"])
        apart = np.abs(exact - found).max() / np.abs(exact).max()
        each = ", ".join(f"{1e3 * took[kind] / len(v):.3g}" for kind in (*kinds, "nodal"))
        note = f"ms per vector {', '.join((*kinds, 'nodal'))}: {each}; they agree to {apart:.1e}"
        what = f"64x64 {name}, ngspice / nodal engine, per vector"
        yield at_least(what, float(np.median(ratios)), "x", 8.0, note)


def second() -> Iterator[Row]:
    """A second simulator against ngspice's B-sources, whole processes, and how far they are apart."""
    name = "64x64 nbsto_32um, 24 vectors, whole process, ngspice with B-sources / VACASK"
    if vacask() is None:
        yield Row(name, float("nan"), "x", ">= 2.5", None, "skipped: there is no VACASK")
        return
    tile = Tile(64, 64, cell=Cell(load_device("nbsto_32um"), 0.2))
    g = tile.cell.conductance(RNG.uniform(0.2, 0.9, tile.shape))
    v = 0.2 * RNG.random((24, 64))
    ratios, apart, seconds = [], 0.0, 0.0
    own, other = Spice(tile, devices="behavioural"), Vacask(tile, workers=1)
    for _ in range(3):
        began = time.process_time()
        deck = own.deck(g, v)
        out = pool.call(Job(deck.text, (Step(deck.analysis, deck.sense),), own.ladder))
        found = deck.currents(out.values[0])
        took = time.process_time() - began + out.seconds
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.process_time()
        read = other.sweep(g, v, Crew())
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = time.process_time() - began
        seconds += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        ratios.append(took / seconds)
        apart = float(np.abs(read - found).max() / np.abs(found).max())
    note = f"{1e3 * seconds / len(v):.3g} ms per vector; they agree to {apart:.1e}"
    yield at_least(name, float(np.median(ratios)), "x", 2.5, note)


TIMED: dict[str, Cell] = {
    "linear": Cell.resistor(),
    "state-dependent sinh": NONLINEAR,
    "1T1R": Cell.sinh(2.0, 0.2, access=Transistor()),
    "nbsto_32um": Cell(load_device("nbsto_32um").scaled(10), 0.2),
}


def in_time(sizes: tuple[int, ...] = (16, 32)) -> Iterator[Row]:
    """Settling and energy by the estimate against transients of all nodes, for drivers that are faster
    than the lines, and for slower ones.
    """
    for n, rise, (name, cell) in product(sizes, (1e-12, 1e-10), TIMED.items()):
        _, g, v = problem(n, 1, cell)
        edge = Parasitics(coupling=0.3, c_cell=1e-16, rise=rise)
        tile = Tile(n, n, cell=cell, parasitics=edge)
        if name == "nbsto_32um":
            g = cell.conductance(RNG.uniform(0.2, 0.9, tile.shape))
        began = time.process_time()
        guess = read_time(tile, g, v)
        took = time.process_time() - began
        truth = read_time(tile, g, v, engine="spice", duration=guess.duration)
        late = float(np.abs(guess.slowest / truth.slowest - 1.0).max())
        each = float(np.abs(guess.settling / truth.settling - 1.0).max())
        more = float(np.abs(guess.energy.drivers / truth.energy.drivers - 1.0).max())
        what = f"{n}x{n} {name}, edges of {1e12 * rise:g} ps"
        note = (
            f"{1e12 * truth.slowest[0]:.4g} ps, columns within {100 * each:.2g} %;"
            f" estimated in {took:.2g} s"
        )
        yield at_most(f"{what}: settling", 100.0 * late, "%", 5.0, note)
        note = f"{1e15 * truth.energy.drivers[0]:.4g} fJ"
        yield at_most(f"{what}: energy", 100.0 * more, "%", 2.0, note)


def in_time_large() -> Iterator[Row]:
    """The same at 64 and 128 lines; takes about two hours, so only where it is asked for."""
    yield from in_time((64, 128))


def pulsed(n: int, *, full: bool) -> tuple[float, float, str]:
    """Return how many times as long ngspice takes for a pulse on B-sources as on compiled devices,
    the seconds of those, and how far the states are apart, over what the pulse moved.
    """
    parameters = {"a_p": 1e-4, "a_n": 1e-4, "b_p": 2.0, "b_n": 2.0, "A_p": 1e6, "A_n": 1e6}
    own = Device("own", models["yakopcic"], parameters | {"r_s": 200.0, "v_p": 1.0, "v_n": 1.0})
    tile = Tile(n, n, cell=Cell(own, 0.2))
    x = np.random.default_rng(0).uniform(0.2, 0.8, (n, n))
    amplitude = np.where(np.arange(n) % 3 == 0, 1.7, 0.0)
    ratios, ends, took = [], {}, {}
    for _ in range(3):
        for devices in ("behavioural", "compiled"):
            writer = WriteSpice(tile, "half", full=full, devices=devices)
            done = writer.pulse(x, n // 2, amplitude, 5e-8, 0.05, np.ones((n, n)))
            ends[devices], took[devices] = done.x, writer.seconds
        ratios.append(took["behavioural"] / took["compiled"])
    apart = (
        np.abs(ends["compiled"] - ends["behavioural"]).max() / np.abs(ends["compiled"] - x).max()
    )
    note = (
        f"{took['behavioural']:.3g} s against {took['compiled']:.3g} s; states agree to {apart:.1e}"
    )
    return float(np.median(ratios)), took["compiled"], note


def failures() -> Iterator[Row]:
    test = Path(__file__).parents[1] / "tests" / "test_pool.py"
    command = [sys.executable, "-m", "pytest", "-q", "--slow", "-k", "five_percent", str(test)]
    began = time.monotonic()
    ran = subprocess.run(command, capture_output=True, text=True, cwd=test.parents[1])
    good = ran.returncode == 0
    note = (
        f"{time.monotonic() - began:.0f} s; killed, stopped, segfaulting and non-converging workers"
    )
    yield Row(
        "400 jobs with 5 % failures, results lost or wrong",
        0.0 if good else 1.0,
        "",
        "0",
        good,
        note,
    )


def badcrossbar() -> Iterator[Row]:
    name = "exact nodal solve, badcrossbar / ours"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from badcrossbar.compute import compute
    except ImportError as error:
        yield Row(name, float("nan"), "x", ">= 3", None, f"skipped: {error}")
        return
    logging.disable(logging.INFO)
    r = 2.5
    for n in (32, 64, 128, 256):
        _, g, v = problem(n, 4)
        tile = Tile(n, n, r_row=r, r_col=r, r_driver=r, r_sense=r)
        ratios, error = [], np.inf
        for _ in range(3):
            began = time.process_time()
            ours = Nodal(tile).program(g).read(v)
            middle = time.process_time()
            compute(v.T, 1.0 / g, r_i=r, node_voltages=False, all_currents=False)
            ratios.append((time.process_time() - middle) / (middle - began))
            # Its bit lines end in one segment where ours end in two: a row of open devices adds one.
            longer = np.vstack([1.0 / g, np.full((1, n), np.inf)])
            inputs = np.vstack([v.T, np.zeros((1, len(v)))])
            theirs = compute(
                inputs, longer, r_i=r, node_voltages=False, all_currents=False
            ).currents.output
            error = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
        ratio = float(np.median(ratios))
        good = ratio >= 3.0 and error <= 1e-9
        yield Row(f"{n}x{n} {name}", ratio, "x", ">= 3", good, f"currents agree to {error:.1e}")


ROWS: dict[str, Callable[[], Iterator[Row]]] = {
    "linear": linear,
    "nonlinear": nonlinear,
    "building": building,
    "altering": altering,
    "endurance": endurance,
    "scaling": scaling,
    "accuracy": accuracy,
    "compiled": compiled,
    "newton": newton,
    "second": second,
    "time": in_time,
    "large": in_time_large,
    "failures": failures,
    "badcrossbar": badcrossbar,
}

DEFAULT = [name for name in ROWS if name != "large"]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--only", nargs="*", choices=ROWS, default=DEFAULT, help="which rows")
    chosen = parser.parse_args()
    if shutil.which("ngspice") is None:
        sys.exit("the comparison needs the ngspice program")
    found = (row for name in chosen.only for row in ROWS[name]())
    return publish(found, "spice", chosen)


if __name__ == "__main__":
    sys.exit(main())
