"""What every verb prints as JSON: one object, by the schema, whatever the verb."""

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from memtwin.cli.main import app
from memtwin.data.measurement import Relaxation, save_measurement

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "cli" / "schemas" / "verbs.json").read_text(encoding="utf-8")
)

SMALL = (
    "--set images.train=200 --set images.test=40 --set network.hidden=[6] --set training.engine=ideal"
    " --set training.epochs=1 --set validation.engine=nodal --set validation.images=5"
    " --set audit.every=0 --set tile.rows=16 --set tile.cols=16"
)

QUICK = f"""
data list
data show sweep.csv --plot sweep.png
data import sweep.csv sweep.h5
fit sweep.csv --model sinh --starts 1 --candidates 4 --workers 1
simulate nbsto_32um --points 51
simulate nbsto_32um --pulses 3
models list
models show vteam
models cite vteam
export nbsto_32um cell.sub
datasheet nbsto_32um page.html
spread learn cells.h5 --kind drift -o law.h5
spread show law.h5
technology show rram_1t1r
technology check rram_1t1r log.csv
netlist tile.cir --rows 2 --cols 2
read --g g.csv --v v.csv
program table nbsto_32um --levels 4 --samples 2 -o table.h5
program show table.h5
program tile rram_1t1r --rows 2 --cols 2 -o tile.h5
run demo {SMALL} --out r
validate r --engine ideal,nodal
validate r --engine ideal --set effects.read=0.1
validate r --engine ideal --sweep effects.read=0,0.1
montecarlo r --draws 2 --engine ideal
export r net
info
cite r
"""
"""Verbs in an order in which one finds what another wrote."""

IN_NGSPICE = """
characterise tile-char.h5 --set tile.rows=2 --set tile.cols=2 --set surrogate.vectors=4 --set surrogate.held_out=4
surrogate fit tile-char.h5 sur.h5
surrogate check sur.h5 tile-char.h5
surrogate show sur.h5
"""

ELSEWHERE = {"data get", "technology fit", "train", "compare", "report", "runs"}
"""Verbs that need the network, or half a minute, and those that other tests hold to the schema."""


def leaves(command: Any, path: str = "") -> Iterator[str]:
    """Yield the names of all verbs that do something."""
    if not hasattr(command, "commands"):
        yield path
        return
    for name in command.commands:
        yield from leaves(command.commands[name], f"{path} {name}".strip())


def name_of(words: list[str]) -> str:
    """Return the verb of a command line, with the one below it."""
    return " ".join(words[:2]) if " ".join(words[:2]) in VERBS else words[0]


VERBS = set(leaves(typer.main.get_command(app)))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with something for every verb to read."""
    folder = tmp_path_factory.mktemp("json")
    t = np.linspace(0.0, 4.0, 201)
    v = np.interp(t, [0, 1, 3, 4], [0, 1, -1, 0])
    rows = "\n".join(
        f"{a},{b},{c}" for a, b, c in zip(t, v, 1e-4 * v * (2 + np.sin(t)), strict=True)
    )
    (folder / "sweep.csv").write_text(f"t [s],V [V],I [A]\n{rows}\n")
    (folder / "g.csv").write_text("1e-6,2e-6\n3e-6,4e-6\n")
    (folder / "v.csv").write_text("0.1,0.2\n")
    rng = np.random.default_rng(0)
    first = np.repeat([2e-6, 8e-6], 50) * (1.0 + 0.02 * rng.standard_normal(100))
    cells = np.stack([first, first * 0.97], axis=1)
    kinds = np.repeat(np.arange(2), 50)
    save_measurement(Relaxation("r", np.array([0.0, 10.0]), cells, kinds), folder / "cells.h5")
    rows = [f"{k // 3},98,102,{100 + rng.uniform(-1, 1)},99" for k in range(60)]
    head = "cell,g_low [uS],g_high [uS],g_written [uS],g at 1 s [uS]"
    (folder / "log.csv").write_text("\n".join([head, *rows]))
    return folder


def named(lines: str) -> set[str]:
    """Return the verbs of command lines."""
    return {name_of(shlex.split(line)) for line in lines.split("\n") if line}


def held(lines: str, place: Path) -> set[str]:
    """Run command lines, hold what each prints to the schema, and return their verbs."""
    before, done = Path.cwd(), set()
    os.chdir(place)
    try:
        for line in lines.strip().splitlines():
            words = shlex.split(line)
            found = CliRunner().invoke(app, [*words, "--json"])
            assert found.exit_code == 0, (line, found.stderr)
            assert found.stdout.count("\n") == 1, line
            verb = name_of(words)
            validator = jsonschema.Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{verb}"})
            wrong = [one.message[:300] for one in validator.iter_errors(json.loads(found.stdout))]
            assert not wrong, (line, wrong)
            done.add(verb)
    finally:
        os.chdir(before)
    return done


def test_every_verb_has_its_place_in_the_schema():
    assert set(SCHEMA["$defs"]) >= VERBS
    assert named(QUICK) | named(IN_NGSPICE) | ELSEWHERE == VERBS


def test_what_verbs_print_keeps_to_the_schema(place):
    assert held(QUICK, place) == named(QUICK)


@pytest.mark.spice
def test_what_verbs_with_ngspice_print_keeps_to_the_schema(place):
    assert held(IN_NGSPICE, place) == named(IN_NGSPICE)
