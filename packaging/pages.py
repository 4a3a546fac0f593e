"""Pages of the site that are scripts: notebooks and gallery, run when the site is built.

A script is cut into cells at its lines ``# %%``; a cell ``# %% [markdown]`` is text. What a cell prints is
shown below it, and its last line's value as well: a figure as a picture, anything else as it shows itself.
mkdocs calls the functions ``on_…`` (``hooks`` in ``mkdocs.yml``); the tests call :func:`run`.
"""

import ast
import contextlib
import io
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("notebooks", "gallery")
SOURCE = "https://github.com/memtwin/memtwin/blob/main"
# What would have the reader's browser ask a server that isn't the site's: files from elsewhere, the
# theme's link that counts stars, diagrams that are drawn by a script.
OUTSIDE = re.compile(
    r'src="https?:|<link rel="stylesheet" href="https?:|data-md-component="source"|class="mermaid"'
)


@dataclass(frozen=True)
class Cell:
    """A cell of a script."""

    text: bool
    source: str


@dataclass(frozen=True)
class Output:
    """What came out of a cell: text that was printed, and a picture (SVG)."""

    printed: str = ""
    picture: bytes | None = None


def scripts(folder: str) -> list[Path]:
    """Return the scripts of a folder of ``examples``."""
    return sorted((ROOT / "examples" / folder).glob("*.py"))


def cells(text: str) -> list[Cell]:
    """Return the cells of a script."""
    found, kind, lines = [], False, []
    for line in [*text.splitlines(), "# %%"]:
        if line.startswith("# %%"):
            source = "\n".join(lines).strip("\n")
            if source:
                found.append(Cell(kind, source))
            kind, lines = "[markdown]" in line, []
        elif kind:
            lines.append(line.removeprefix("#").removeprefix(" "))
        else:
            lines.append(line)
    return found


def run(path: Path) -> Iterator[tuple[Cell, Output]]:
    """Run a script cell by cell in an empty folder; yields every cell with what came out of it."""
    names: dict[str, Any] = {"__name__": "__notebook__"}
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as home:
        os.chdir(home)
        try:
            for cell in cells(path.read_text(encoding="utf-8")):
                yield cell, Output() if cell.text else _run(cell.source, path, names)
        finally:
            os.chdir(before)


def _run(source: str, path: Path, names: dict[str, Any]) -> Output:
    tree, value = ast.parse(source, str(path)), None
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        last = tree.body[-1] if isinstance(tree.body[-1], ast.Expr) else None
        if last is not None:
            tree.body.pop()
        exec(compile(tree, str(path), "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), str(path), "eval"), names)
    picture = None
    if hasattr(value, "savefig"):
        drawn = io.BytesIO()
        value.savefig(drawn, format="svg", metadata={"Date": None})
        picture = drawn.getvalue()
    elif value is not None:
        print(value, file=said)
    return Output(said.getvalue().rstrip(), picture)


def page(path: Path) -> tuple[str, dict[str, bytes]]:
    """Return a script as Markdown, run, and its pictures by their names."""
    parts, pictures = [], {}
    for cell, out in run(path):
        parts.append(cell.source if cell.text else f"```python\n{cell.source}\n```")
        if out.printed:
            parts.append(f'```text title="printed"\n{out.printed}\n```')
        if out.picture is not None:
            name = f"{path.stem}-{len(pictures) + 1}.svg"
            pictures[name] = out.picture
            parts.append(f"![what the cell above draws]({name})")
    place = path.relative_to(ROOT).as_posix()
    parts.append(f"*This page is [{place}]({SOURCE}/{place}), run when the site was built.*")
    return "\n\n".join(parts) + "\n", pictures


def on_files(files: Any, config: Any) -> Any:
    """Add the pages to the site (mkdocs)."""
    from mkdocs.structure.files import File

    for folder in FOLDERS:
        for path in scripts(folder):
            text, pictures = page(path)
            files.append(File.generated(config, f"{folder}/{path.stem}.md", content=text))
            for name, drawn in pictures.items():
                files.append(File.generated(config, f"{folder}/{name}", content=drawn))
    return files


def on_page_content(html: str, **_: Any) -> str:
    """Let every picture open alone, as large as the reader's window (mkdocs)."""
    return re.sub(r'<img [^>]*?src="([^"]+)"[^>]*>', r'<a href="\1">\g<0></a>', html)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Refuse a page that would ask another server for something (mkdocs)."""
    from mkdocs.exceptions import PluginError

    if found := OUTSIDE.search(output):
        raise PluginError(f"{page.file.src_uri} asks another server than the site's: {found[0]}")
    return output
