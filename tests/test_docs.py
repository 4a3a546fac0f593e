"""The code blocks of README and docs: Python runs as it stands, commands parse.

Blocks of a page share their names, as a reader would type them in one session, and run in an empty
folder. Those that take long have the comment ``<!-- slow -->`` on the line above; those that fetch
need the measured data.
"""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer

from memtwin.circuits.registry import ENGINES
from memtwin.cli.main import app
from memtwin.data.importers.readers import IMPORTERS
from memtwin.devices.models import models
from memtwin.training.rules.quantise import QUANTISERS
from memtwin.training.rules.registry import RULES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted(DOCS.glob("models/*.md"))]
FENCE = re.compile(
    r"^(?P<note><!-- slow -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
# Their printed results are held to figures in test_worked_examples.
ELSEWHERE = {"data.md"}
PROMISED = {"models.md": "0.00342"}  # what a page says that its examples print
JOBS = ("demo", "test", "lint", "bench", "docs", "dist", "setup")


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    """Name and text of a page's code blocks in the languages; slow ones are named so."""
    text = page.read_text(encoding="utf-8")
    return [
        (
            f"{page.name}:{text.count(chr(10), 0, found.start('text')) + 1}"
            + (" slow" if found["note"] else ""),
            found["text"],
        )
        for found in FENCE.finditer(text)
        if found["language"] in languages
    ]


def sessions() -> list[Any]:
    """One case for the quick blocks of a page, and one for all where some are slow."""
    cases = []
    for page in PAGES:
        all_of_it = blocks(page, "python")
        if not all_of_it or page.name in ELSEWHERE:
            continue
        quick = [block for block in all_of_it if not block[0].endswith("slow")]
        for some, marks in ((quick, []), (all_of_it, [pytest.mark.slow])):
            if some and (not marks or quick != all_of_it):
                needs = [pytest.mark.data] if any("fetch(" in text for _, text in some) else []
                cases.append(pytest.param(some, id=page.name, marks=[*marks, *needs]))
    return cases


def commands() -> list[Any]:
    """Every command line in shell blocks, in indented blocks and, perhaps the verb alone, in text."""
    found = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        lines = [
            line for block in blocks(page, "sh", "bash", "console") for line in lines_of(block)
        ]
        lines += re.findall(r"^    (.*)", FENCE.sub("", text), re.MULTILINE)
        named = re.findall(r"`((?:memtwin|\./dev) [^`]+)`", FENCE.sub("", text))
        for line, whole in [(line, True) for line in lines] + [(line, False) for line in named]:
            if line.startswith(("memtwin ", "./dev ")):
                words = shlex.split(line, comments=True)
                found[f"{page.name}: {' '.join(words)}"] = (words, whole)
    return [pytest.param(*case, id=name) for name, case in found.items()]


def lines_of(block: tuple[str, str]) -> list[str]:
    return [line.removeprefix("$ ") for line in block[1].replace("\\\n", " ").splitlines()]


@pytest.mark.spice
@pytest.mark.parametrize("session", sessions())
def test_python_blocks_run(
    session: list[tuple[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for table in (models, ENGINES, IMPORTERS, QUANTISERS, RULES):  # a page may register its own
        monkeypatch.setattr(table, "_known", dict(table._known))
    names: dict[str, Any] = {"__name__": "__docs__"}
    for name, text in session:
        if re.search(r"^(import|from) torch\b", text, re.MULTILINE) and find_spec("torch") is None:
            continue  # an extra
        exec(compile(text, name, "exec"), names)
    said = capsys.readouterr().out
    assert PROMISED.get(session[0][0].split(":")[0], "") in said
    assert not re.search(r"\bnan\b", said)


@pytest.mark.parametrize(("words", "whole"), commands())
def test_commands_parse(words: list[str], whole: bool) -> None:
    """Verbs and options exist, values have their types, no argument is missing."""
    program, *arguments = words
    if program == "./dev":
        assert arguments[0] in JOBS
        return
    command: Any = typer.main.get_command(app)
    if arguments and arguments[0].startswith("--"):  # of the program itself
        known = {name for option in command.params for name in option.opts} | {"--help"}
        assert arguments[0] in known
        return
    while arguments and arguments[0] in getattr(command, "commands", {}):
        verb, *arguments = arguments
        command = command.commands[verb]
    assert not hasattr(command, "commands"), f"no verb {' '.join(words)}"
    if whole or arguments:
        command.make_context(verb, arguments)


def test_every_page_with_code_is_seen() -> None:
    assert len([case for case in sessions() if not case.marks]) >= 6
    assert len(commands()) >= 25
