"""Draw what a run said in a terminal as a picture.

memtwin run demo 2>&1 | tee said.txt
python docs/figures/watch.py said.txt     # writes docs/images/watch.svg
"""

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

OUT = Path(__file__).resolve().parents[1] / "images" / "watch.svg"
KEPT = 4
"""Lines about epochs and audits that are kept at the beginning and at the end."""


def main() -> None:
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    middle = [k for k, line in enumerate(lines) if line.startswith(("epoch", "audit"))]
    dropped = set(middle[KEPT:-KEPT])
    screen = Console(record=True, width=118, force_terminal=True, file=io.StringIO())
    screen.print(Text("$ memtwin run demo", "bold green"))
    for k, line in enumerate(lines):
        if k == min(dropped, default=-1):
            screen.print(Text(f"… {len(dropped)} lines", "dim"))
        if k in dropped:
            continue
        row = Text(line)
        if found := re.match(r"  (\S.*?)  ", line):
            row.stylize("cyan", found.start(1), found.end(1))
        elif line and ":" not in line and not line.startswith(" "):
            row.stylize("bold")
        screen.print(row)
    screen.save_svg(str(OUT), title="memtwin run demo", theme=MONOKAI)
    text = OUT.read_text(encoding="utf-8")  # letters of the reader's own: no request to anywhere
    OUT.write_text(re.sub(r"@font-face \{.*?\}\s*", "", text, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
