"""The command line as a whole: its help, its names, what it prints as JSON, and what it leaves behind."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jsonschema
import pytest
import typer
from typer.testing import CliRunner

from memtwin import __version__
from memtwin.cli.main import app
from memtwin.cli.table import TABLE, help_text, rows
from memtwin.data.records.store import write_record
from memtwin.training.runs.claim import Claim
from memtwin.training.runs.config import load_config
from memtwin.training.runs.overview.folders import find_runs, state_of

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "cli" / "schemas" / "verbs.json").read_text(encoding="utf-8")
)
QUICK = [
    "images.train=200",
    "images.test=40",
    "network.hidden=[6]",
    "training.engine=ideal",
    "training.epochs=2",
    "validation.engine=nodal",
    "validation.images=5",
    "audit.every=0",
    "tile.rows=16",
    "tile.cols=16",
]
"""A run without ngspice."""
SETTINGS = [word for change in QUICK for word in ("--set", change)]


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def memtwin(*words: str, cwd: Path | None = None) -> Done:
    """Run the command in this process, which has loaded what it needs."""
    before = Path.cwd()
    os.chdir(cwd or before)
    try:
        done = CliRunner(env={"COLUMNS": "200"}).invoke(app, words)
    finally:
        os.chdir(before)
    return Done(done.exit_code, done.stdout, done.stderr)


def valid(kind: str, found: dict) -> None:
    jsonschema.Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{kind}"}).validate(found)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    done = memtwin("run", "demo", *SETTINGS, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_the_help_names_every_verb_and_loads_none(word):
    code = (
        "import sys; sys.argv[1:] = [%r]; import memtwin.__main__ as m; m.main();"
        " sys.exit(bool({'typer', 'rich', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code % word], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == help_text()
    for name in rows():
        assert f"\n  {name} " in done.stdout
    assert CliRunner().invoke(app, ["--help"]).stdout.strip() == done.stdout.strip()


@pytest.mark.parametrize("word", ["-V", "--version"])
def test_the_version(word):
    assert CliRunner().invoke(app, [word]).stdout == f"memtwin {__version__}\n"


def test_every_row_of_the_table_is_a_verb_with_a_short_help():
    command = typer.main.get_command(app)
    assert list(command.commands) == [row.name for group in TABLE.values() for row in group]
    for name in command.commands:
        verb = command.commands[name]
        assert verb.name == name
        assert verb.help
        shown = CliRunner().invoke(app, [name, "-h"])
        assert shown.exit_code == 0
        assert "--help" in shown.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rum"], "did you mean 'run'"),
        (["dat", "list"], "did you mean 'data'"),
        (["data", "lst"], "did you mean 'list'"),
        (["run", "demo", "--engin", "line"], "no such option --engin; did you mean --engine?"),
        (["run", "demo", "--seed", "-1"], "'--seed'"),
        (["data", "get", "mist"], "did you mean 'mnist'"),
        (["data", "get", "nbsto"], "did you mean 'nbsto-groningen-iv'"),
        (["run", "demi"], "did you mean 'demo'"),
        (["run", "demo", "--set", "trainig.epochs=1"], "did you mean 'training'"),
        (["fit", "nbsto-gronigen-iv:a.csv"], "did you mean 'nbsto-groningen-iv'"),
    ],
)
def test_a_slip_is_named(words, said, tmp_path):
    done = memtwin(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ["--set", "data.path=nowhere.csv"],
        ["--set", f"data.path={__file__}"],
        ["--set", "device.name=nbsto_23um"],
        ["--characterisation", "nowhere.h5"],
    ],
)
def test_no_folder_is_made_before_the_input_is_checked(words, tmp_path):
    done = memtwin("run", "demo", *words, "--out", "a/b", cwd=tmp_path)
    assert done.returncode == 2
    assert "folder:" not in done.stderr
    assert not list(tmp_path.iterdir())


def complete(line: str) -> str:
    """Return what bash is told about a line that ends at the cursor."""
    env = {"_MEMTWIN_COMPLETE": "complete_bash", "COMP_WORDS": line}
    env["COMP_CWORD"] = str(len(line.split(" ")) - 1)
    code = "import sys; sys.argv[:] = ['memtwin']; import memtwin.__main__ as m; m.main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | env
    )
    return done.stdout


@pytest.mark.parametrize(
    ("line", "known"),
    [
        ("memtwin r", {"run", "runs", "report"}),
        ("memtwin run de", {"demo"}),
        ("memtwin data get mn", {"mnist"}),
        ("memtwin run --device rram_1", {"rram_1t1r"}),
        ("memtwin simulate nbsto_", {"nbsto_32um"}),
    ],
)
def test_the_shell_completes_verbs_and_names(line, known):
    assert known <= set(complete(line).split())


def test_the_summary_is_told_to_people_in_groups_with_units(home, tmp_path):
    found = home[1]
    done = memtwin("run", "demo", *SETTINGS, "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    titles = [line for line in done.stdout.splitlines() if line and not line.startswith(" ")]
    assert titles == [
        "run demo, seed 0 (simulated)", "accuracy", "surrogate", "writes", "energy and time", "files",
    ]  # fmt: skip
    score = found["memristor_accuracy_percent"]
    assert f"memristor twin                {score:.2f} % (95 %: " in done.stdout
    assert f"{found['writes']:,}; a closed loop: {found['writes_closed_loop']:,}" in done.stdout
    assert "J, " in done.stdout


def test_what_is_printed_as_json_keeps_to_the_schema(home):
    folder, found = home
    valid("run", found)
    low, score, high = (found[f"memristor_accuracy{k}_percent"] for k in ("_low", "", "_high"))
    assert 1 < low < score < high <= 100
    where = str(folder / "runs" / "demo-0")
    for kind, words in {
        "train": ["train", "--resume", where],
        "validate": ["validate", where, "--images", "6"],
        "report": ["report", where],
        "runs": ["runs", str(folder)],
        "compare": ["compare", "demo", *SETTINGS, "--seeds", "1", "--rule", "siamese"],
    }.items():
        done = memtwin(*words, "--json", cwd=folder)
        assert done.returncode == 0, done.stderr
        valid(kind, json.loads(done.stdout))


def test_the_schema_refuses_a_share_without_percent(home):
    with pytest.raises(jsonschema.ValidationError):
        valid("run", home[1] | {"memristor_accuracy": 0.9})


def test_runs_are_listed_with_how_far_they_have_come(home, tmp_path):
    folder, found = home
    done = memtwin("runs", cwd=folder)
    assert done.returncode == 0
    assert "finished" in done.stdout
    assert f"{found['memristor_accuracy_percent']:.2f} %" in done.stdout
    config = load_config("nbsto", QUICK)
    for name in ("begun", "halfway"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(config.model_dump_json())
    write_record(
        tmp_path / "halfway" / "checkpoint.h5", "training checkpoint", {"records": json.dumps([{}])}
    )
    states = {run.folder.name: run.state for run in find_runs(tmp_path)}
    assert states == {
        "begun": "stopped after epoch 0 of 2",
        "halfway": "stopped after epoch 1 of 2",
    }
    with Claim(tmp_path / "halfway"):
        assert state_of(tmp_path / "halfway").state == "at work, epoch 1 of 2 done"
    assert memtwin("runs", str(tmp_path / "nowhere")).returncode == 2
