"""Notebooks and the gallery: every script runs, says something, and can be read in ten minutes."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("pages", ROOT / "packaging" / "pages.py")
pages = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pages)
SCRIPTS = [path for folder in pages.FOLDERS for path in pages.scripts(folder)]
SAYS = {
    "device_engineer": "standard errors from the truth",
    "circuit_designer": "of full scale from ngspice",
    "researcher": "writes removed in the first epoch",
}


def test_a_script_is_cut_into_cells():
    found = pages.cells("# %% [markdown]\n# # Title\n#\n# text\n\n# %%\nx = 1  # %% no\nx\n")
    assert [(cell.text, cell.source) for cell in found] == [
        (True, "# Title\n\ntext"),
        (False, "x = 1  # %% no\nx"),
    ]


@pytest.mark.slow  # building the site runs each of them
@pytest.mark.spice
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_scripts_run_and_show_something(path):
    outputs = [out for _, out in pages.run(path)]
    printed = "\n".join(out.printed for out in outputs)
    assert SAYS.get(path.stem, "") in printed
    assert any(out.picture for out in outputs)
    assert "nan" not in printed.split()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_are_read_in_ten_minutes(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# %% [markdown]\n# # ")
    assert len(re.findall(r"\w+", text)) < 1200


def test_every_script_has_its_place_in_the_site():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for path in SCRIPTS:
        assert f"{path.parent.name}/{path.stem}.md" in text
    assert len(pages.scripts("notebooks")) == 3
