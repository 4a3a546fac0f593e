"""A folder belongs to one job at a time: who holds it, and when it is free again."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from memtwin.cli.main import app
from memtwin.data.errors import InputError
from memtwin.training.runs import run as experiment
from memtwin.training.runs.claim import Claim, FolderInUse, claimed
from memtwin.training.runs.compare import compare_in
from memtwin.training.runs.config import load_config
from memtwin.training.runs.folder import new_folder

HOLD = """
import sys
from memtwin.training.runs.claim import Claim
claim = Claim(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""
FORK = """
import os, signal, sys
from memtwin.training.runs.claim import Claim
claim = Claim(sys.argv[1])
if os.fork() == 0:
    print(os.getpid(), flush=True)  # once it has let go
    signal.pause()
sys.stdin.read()
"""
NAME = """
import sys
from memtwin.training.runs.config import load_config
from memtwin.training.runs.folder import new_folder
config = load_config("demo")
print("ready", flush=True)
sys.stdin.readline()
claim = new_folder(None, config)
print(claim.path, flush=True)
sys.stdin.read()
"""


def start(script, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.fixture
def held(tmp_path):
    """A folder that another process holds, and that process."""
    folder = tmp_path / "run"
    with start(HOLD, folder) as process:
        assert process.stdout.readline() == "held\n"
        yield folder, process
        process.kill()


def test_every_job_in_the_folder_is_refused_and_told_who_holds_it(held):
    folder, process = held
    config = load_config("demo")
    (folder / "config.json").write_text(config.model_dump_json())
    (folder / "run.h5").touch()
    words = rf"run is in use by process {process.pid} on \S+ since \d{{4}}-.*: wait until"
    for job in (
        lambda: experiment.run(config, folder),
        lambda: experiment.train_run(config, folder),
        lambda: experiment.validate_run(folder),
        lambda: compare_in(folder, config, ["siamese"], [0]),
        lambda: new_folder(folder, config),
    ):
        with pytest.raises(FolderInUse, match=words):
            job()
    done = CliRunner().invoke(app, ["run", "--resume", str(folder)])
    assert done.exit_code == 2
    assert re.search(words, " ".join(done.output.split()))
    assert sorted(path.name for path in folder.iterdir()) == [
        "claim.json", "config.json", "run.h5",
    ]  # fmt: skip


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_dead_process_held_is_taken_over(held, end):
    folder, process = held
    process.send_signal(end)
    process.wait()
    assert (folder / "claim.json").exists()
    with Claim(folder):
        assert f'"process": {os.getpid()},' in (folder / "claim.json").read_text()
        with pytest.raises(FolderInUse, match=f"process {os.getpid()} on"):
            Claim(folder)


def test_a_forked_child_does_not_hold_on(tmp_path):
    with start(FORK, tmp_path / "run") as process:
        child = int(process.stdout.readline())
        process.kill()
        process.wait()
        try:
            Claim(tmp_path / "run").release()
        finally:
            os.kill(child, signal.SIGKILL)


def test_jobs_started_at_once_get_folders_of_their_own(tmp_path):
    processes = [start(NAME, cwd=tmp_path) for _ in range(4)]
    try:
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 4
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        found = {process.stdout.readline().strip() for process in processes}
    finally:
        for process in processes:
            process.communicate()
    assert found == {"runs/demo-0", *(f"runs/demo-0-{k}" for k in (2, 3, 4))}


def test_a_job_that_fails_at_once_leaves_no_folder(tmp_path):
    folder = tmp_path / "runs" / "a"
    with pytest.raises(InputError, match="has 1297"):
        experiment.run(load_config("demo", ["images.train=99999"]), folder)
    assert not folder.parent.exists()
    own = tmp_path / "own"
    own.mkdir()
    with pytest.raises(InputError, match="has 1297"):
        experiment.run(load_config("demo", ["images.train=99999"]), own)
    assert own.exists(), "it was there before"


def test_a_claim_is_handed_on(tmp_path):
    with Claim(tmp_path / "run") as claim:
        with claimed(claim) as path:
            assert path == Path(tmp_path / "run")
        with pytest.raises(FolderInUse):
            Claim(claim.path)
    with claimed(claim.path):
        pass
