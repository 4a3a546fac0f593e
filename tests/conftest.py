"""Strict numerics, and a reason in words for every test that can't run here."""

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import settings

matplotlib.use("Agg")
# No test is a clock: how long an example takes is the machine's business.
settings.register_profile("memtwin", deadline=None)
settings.load_profile("memtwin")


# A shell's background jobs ignore Ctrl-C, and so would all that the tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the slow tests too")
    parser.addoption(
        "--require-ngspice", action="store_true", help="fail, not skip, without ngspice"
    )


def _data_is_there() -> bool:
    cache = os.environ.get("MEMTWIN_DATA")
    return bool(cache) and (Path(cache) / "devices").is_dir()


def _ngspice_is_there() -> bool:
    from memtwin.circuits.ngspice.installed import available

    return available()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    skips = []
    if not config.getoption("--slow"):
        skips.append(("slow", "slow: run with --slow"))
    if not _data_is_there():
        skips.append(("data", "no measured data: MEMTWIN_DATA names no cache"))
    if any("spice" in item.keywords for item in items) and not _ngspice_is_there():
        if config.getoption("--require-ngspice"):
            raise pytest.UsageError("ngspice is required (--require-ngspice) but was not found")
        skips.append(("spice", "no ngspice shared library"))
    for name, reason in skips:
        for item in items:
            if item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=reason))


@cache
def _why_not_compiled() -> str:
    from memtwin.circuits.ngspice.installed import available
    from memtwin.circuits.osdi.choice import why_not
    from memtwin.circuits.osdi.compiler import compiler

    if compiler() is None:
        return "no Verilog-A compiler: install the extra 'osdi'"
    return why_not() if available() else "no ngspice"


@pytest.fixture(autouse=True)
def compiled_devices(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("compiled") and (reason := _why_not_compiled()):
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def strict_numerics() -> Iterator[None]:
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)


@pytest.fixture
def ended() -> Callable[[int], bool]:
    """Wait until a process, anyone's child, has ended, and return whether it did within minutes."""

    def wait(pid: int, most: float = 600.0) -> bool:
        try:
            if hasattr(os, "pidfd_open"):  # sees those too that ended but that nobody asked after
                handle = os.pidfd_open(pid)
                try:
                    return bool(select.select([handle], [], [], most)[0])
                finally:
                    os.close(handle)
            deadline = time.monotonic() + most
            while time.monotonic() < deadline:
                os.kill(pid, 0)
                time.sleep(0.05)
        except ProcessLookupError:
            return True
        return False

    return wait
