"""Record a run in a terminal as a picture.

    python docs/figures/watch.py [FOLDER]     # writes docs/images/watch.svg

The main job is done in FOLDER, by default a temporary one, and what it says is drawn with rich.
"""

import io
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from memtwin.cli import console
from memtwin.cli.main import app

OUT = Path(__file__).resolve().parents[1] / "images" / "watch.svg"
KEPT = 9
"""Lines about epochs and audits of which only these are kept, the first ones and the last."""


def main() -> None:
    shown = Console(record=True, width=110, force_terminal=True, highlight=False, file=sys.stderr)
    console._stderr = console._stdout = shown
    with tempfile.TemporaryDirectory() as home:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(home) / "demo"
        try:
            app(["run", "demo", "--out", str(folder)], standalone_mode=False)
        finally:
            lines = shown.export_text(clear=False, styles=True).splitlines()
    again = Console(record=True, width=110, force_terminal=True, file=io.StringIO())
    again.print("[bold]$ memtwin run demo[/]")
    middle = [k for k, line in enumerate(lines) if line.startswith(("epoch", "audit"))]
    dropped = set(middle[KEPT - 3 : -3])
    for k, line in enumerate(lines):
        if k == min(dropped, default=-1):
            again.print("[dim]…[/]")
        if k not in dropped:
            again.out(line.replace(str(folder), "runs/demo-0"), highlight=False)
    again.save_svg(str(OUT), title="memtwin run demo", theme=MONOKAI)


if __name__ == "__main__":
    main()
