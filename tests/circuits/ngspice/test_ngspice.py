import os
import stat
import subprocess
import sys

import numpy as np
import pytest

from memtwin.circuits.ngspice import installed as ngspice
from memtwin.circuits.ngspice import program as isolated
from memtwin.circuits.ngspice.job import Job, Step, with_options
from memtwin.circuits.ngspice.verdict import gone, verdict
from memtwin.data.errors import EngineError, EngineMissing, InputError, NonConvergence


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("Error: unknown subckt: x1 a 0 nosuch", EngineError),
        ("Fatal error: instance name missing", EngineError),
        ('Too few parameters for subcircuit type "foo" (instance: xx1)', EngineError),
        ("doAnalyses: TRAN:  Timestep too small; time = 1e-9", NonConvergence),
        ("run simulation(s) aborted: no convergence in DC", NonConvergence),
        ("Error: iteration limit reached, no operating point", NonConvergence),
        ("Warning: v1: no DC value, transient time 0 value used", None),
        ("Note: Starting dynamic gmin stepping", None),
        ("Using SPARSE 1.3 as Direct Linear Solver", None),
        ("Trying gmin =   1.0000E-03 Note: One successful gmin step", None),
        ("", None),
    ],
)
def test_messages_are_told_apart_by_content(line, kind):
    found = verdict("a test", [line], failed=False)
    assert type(found) is kind if kind else found is None


def test_a_reported_failure_without_words_is_an_error():
    assert "no reason given" in str(verdict("a test", [], failed=True))


def test_a_lost_ngspice_says_so():
    assert gone("Error: ngspice.dll cannot recover and awaits to be detached")
    assert not gone("Error: no such function 'foo'")


def test_options_go_behind_the_title():
    assert with_options("title\nr1 a 0 1\n", "klu") == "title\n.options klu\nr1 a 0 1\n"
    assert with_options("title\n", "") == "title\n"


def test_a_given_library_must_exist(monkeypatch, tmp_path):
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", str(tmp_path / "libngspice.so"))
    assert ngspice.find_library() is None
    (tmp_path / "libngspice.so").touch()
    assert ngspice.find_library() == str(tmp_path / "libngspice.so")


@pytest.fixture
def fresh_features():
    ngspice.features.cache_clear()
    yield
    ngspice.features.cache_clear()


def test_without_any_ngspice_the_remedy_is_named(monkeypatch, fresh_features, tmp_path):
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", str(tmp_path / "none.so"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not ngspice.available()
    with pytest.raises(EngineMissing, match="apt install libngspice0"):
        ngspice.features()


def test_a_broken_library_gives_way_to_the_program_with_a_notice(
    monkeypatch, fresh_features, tmp_path
):
    (tmp_path / "broken.so").write_text("not a library")
    program = tmp_path / "ngspice"
    program.write_text(
        "#!/bin/sh\necho '** ngspice-44.2 : Circuit level simulation program'\necho KLU\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", str(tmp_path / "broken.so"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.warns(RuntimeWarning, match="running ngspice -b instead"):
        found = ngspice.features()
    assert found == ("44.2", True, "")


def test_an_old_ngspice_is_refused(monkeypatch, fresh_features, tmp_path):
    program = tmp_path / "ngspice"
    program.write_text("#!/bin/sh\necho '** ngspice-34 : Circuit level simulation program'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", str(tmp_path / "none.so"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with (
        pytest.warns(RuntimeWarning, match="instead"),
        pytest.raises(EngineMissing, match="34 is too old"),
    ):
        ngspice.features()


@pytest.mark.spice
def test_features_load_nothing_here():
    found = ngspice.features()
    assert found.major >= ngspice.OLDEST
    code = (
        "from memtwin.circuits.ngspice.installed import available; available();"
        "import memtwin.circuits.ngspice.engine; print('ngspice' in open('/proc/self/maps').read())"
    )
    if os.path.exists("/proc/self/maps"):
        ran = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
        )
        assert ran.stdout.strip() == "False"


DIVIDER = "divider\nv1 a 0 2\nr1 a 0 1k\n.end\n"


def test_the_script_of_a_job():
    job = Job(
        DIVIDER,
        (Step("op", ("v(a)",)), Step("dc v1 0 1 1", ("i(v1)",), ("alter r1 = 500",))),
    )
    assert isolated.script(job, "klu").splitlines() == [
        *["divider", ".options klu", "v1 a 0 2", "r1 a 0 1k", ".control", "unset ngbehavior"],
        *["set filetype=binary", "delete all", "save v(a)", "op", "write step0.raw", "destroy all"],
        *["alter r1 = 500", "delete all", "save i(v1)", "dc v1 0 1 1", "write step1.raw"],
        *["destroy all", "quit", ".endc", ".end"],
    ]


def test_raw_files(tmp_path):
    head = b"Title: t\nFlags: real\nNo. Variables: 2\nNo. Points: 3\n"
    head += b"Variables:\n\t0\ttime\ttime\n\t1\tV(A)\tvoltage\nBinary:\n"
    table = np.arange(6.0).reshape(3, 2)
    path = tmp_path / "a.raw"
    path.write_bytes(head + table.tobytes())
    columns = isolated.raw_file(path)
    np.testing.assert_array_equal(columns["v(a)"], [1.0, 3.0, 5.0])
    path.write_bytes(head + table.tobytes()[:-1])
    with pytest.raises(EngineError, match="disk full"):
        isolated.raw_file(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(EngineError, match="no raw file"):
        isolated.raw_file(path)


def test_an_isolated_job_needs_its_deck():
    if not ngspice.program_available():
        pytest.skip("no ngspice program")
    with pytest.raises(InputError, match="deck"):
        isolated.run(Job("", (Step("op"),)), 1.0)
