"""Write the tables of the documentation from what the benchmarks saved.

    python benchmarks/spice.py --save      # leaves docs/figures/spice-klu.json, or -sparse
    python docs/figures/figures.py         # writes the tables anew; --check: says what differs

A table stands in a page between ``<!-- figures: spice -->`` and ``<!-- end of figures -->``.
"""

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ROOT / "docs" / "figures"
BLOCK = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def shown(row: dict[str, object] | None) -> str:
    """Return a figure with its unit as text."""
    if row is None:
        return ""
    if row["value"] is None:
        return "not measured"
    missed = " (missed)" if row.get("holds") is False else ""
    return f"{row['value']:.3g} {row['unit']}".strip() + missed


def table(name: str) -> str:
    """Return the table of one benchmark, a column for each solver that it was run with."""
    files = sorted(FIGURES.glob(f"{name}-*.json"))
    if not files:
        raise SystemExit(f"docs/figures holds nothing of {name}: run benchmarks/{name}.py --save")
    trees = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    found = [{row["name"]: row for row in tree["rows"]} for tree in trees]
    lines = [
        "| | bar | " + " | ".join(f"ngspice {tree['ngspice']}" for tree in trees) + " |",
        "|---|---|" + "---|" * len(trees),
    ]
    for key in dict.fromkeys(key for rows in found for key in rows):
        cells = [rows.get(key) for rows in found]
        bar = next((str(row.get("bar", "")) for row in cells if row is not None), "")
        text = " | ".join(shown(row) for row in cells)
        lines.append(f"| {key.strip()} | {bar.replace('<=', '≤').replace('>=', '≥')} | {text} |")
    return "\n".join(lines) + "\n"


def filled(text: str) -> str:
    """Return a page with its tables written anew."""
    return BLOCK.sub(lambda found: found[1] + table(found[2]) + found[3], text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="change nothing; 1 if a page is behind"
    )
    options = parser.parse_args()
    behind = []
    for page in sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("models/*.md")]):
        text = page.read_text(encoding="utf-8")
        fresh = filled(text)
        if fresh != text:
            behind.append(page.name)
            if not options.check:
                page.write_text(fresh, encoding="utf-8")
    print("behind: " + ", ".join(behind) if behind else "all tables are as measured")
    return int(options.check and bool(behind))


if __name__ == "__main__":
    sys.exit(main())
