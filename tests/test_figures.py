"""Figures in the documentation are those that the benchmarks saved, and rows keep to one form."""

import importlib
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "benchmarks"), str(ROOT / "docs" / "figures")]
figures = importlib.import_module("figures")
table = importlib.import_module("table")
SAVED = sorted(
    path for path in (ROOT / "docs" / "figures").glob("*.json") if path.name != "model-costs.json"
)


@pytest.mark.parametrize(
    "page",
    sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("models/*.md")]),
    ids=lambda page: page.name,
)
def test_the_tables_are_what_was_saved(page):
    text = page.read_text(encoding="utf-8")
    assert figures.filled(text) == text


@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.name)
def test_saved_rows_keep_to_the_form(path):
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    assert rows
    for row in rows:
        assert {"name", "value", "unit", "note"} <= set(row)
        assert ("bar" in row) == ("holds" in row)


def test_rows_without_a_bar_hold_nothing():
    free = table.Row("a", 1.0, "s", "", None).tree()
    assert "bar" not in free
    assert "holds" not in free
    held = table.at_most("a", 2.0, "s", 1.0).tree()
    assert held["bar"] == "<= 1"
    assert held["holds"] is False
    assert table.Row("a", float("nan"), "s", ">= 1", None).tree()["value"] is None


def test_a_table_has_a_column_for_every_solver(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "FIGURES", tmp_path)
    for solver, value in (("klu", 1.5), ("sparse", 3.0)):
        rows = [
            table.at_most("read", value, "x", 2.0).tree(),
            table.Row(solver, 1, "", "", None).tree(),
        ]
        tree = {"rows": rows, "ngspice": solver}
        (tmp_path / f"spice-{solver}.json").write_text(json.dumps(tree))
    page = "before\n<!-- figures: spice -->\nold\n<!-- end of figures -->\nafter\n"
    filled = figures.filled(page)
    assert "| read | ≤ 2 | 1.5 x | 3 x (missed) |" in filled
    assert "| sparse |  |  | 1 |" in filled
    assert "old" not in filled
    assert figures.filled(filled) == filled
