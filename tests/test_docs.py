"""Every block of README and docs does what it says: Python runs, commands are known to the command line."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from memtwin.cli.main import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
FENCED = re.compile(r"```(?:sh|bash|console)\n(.*?)```", re.DOTALL)
INDENTED = re.compile(r"^    memtwin .*$", re.MULTILINE)
ELSEWHERE = {"data.md"}
"""Its examples are tested one by one, with what they print."""
SAYS = {"models.md": "0.00342"}
"""What a page promises that its examples print."""


def blocks(page: Path) -> list[str]:
    return PYTHON.findall(page.read_text(encoding="utf-8"))


def commands(page: Path) -> list[str]:
    """Return the command lines of a page, without comments and continuations."""
    text = page.read_text(encoding="utf-8")
    lines = "\n".join([*FENCED.findall(text), *INDENTED.findall(text)]).replace("\\\n", " ")
    stripped = (line.strip() for line in lines.split("\n"))
    return [line for line in stripped if line.startswith("memtwin ")]


@pytest.mark.spice
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.data] if "fetch(" in "".join(blocks(page)) else [])
        for page in PAGES
        if blocks(page) and page.name not in ELSEWHERE
    ],
    ids=lambda page: page.name,
)
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for k, block in enumerate(blocks(page), 1):
        exec(compile(block, f"{page.name}, block {k}", "exec"), names)
    said = capsys.readouterr().out
    assert "nan" not in re.findall(r"\b\w+\b", said)
    assert SAYS.get(page.name, "") in said


@pytest.mark.parametrize(
    "line", sorted({line for page in PAGES for line in commands(page)}), ids=str
)
def test_a_command_is_known(line):
    words = shlex.split(line, comments=True)[1:]
    # Help ends a command once its line was taken apart: unknown verbs and options fail before.
    said = CliRunner().invoke(app, [*words, "--help"])
    assert said.exit_code == 0, said.output


def test_an_unknown_command_is_found():
    for words in (["fitt"], ["fit", "--modell", "x"]):
        assert CliRunner().invoke(app, [*words, "--help"]).exit_code != 0


def test_there_is_something_to_test():
    assert sum(len(commands(page)) for page in PAGES) >= 20
    assert sum(len(blocks(page)) for page in PAGES) >= 10
