"""The build backend: setuptools, and the README as an index shows it, where links to files of the repository and the
picture must be whole addresses.
"""

import re
from pathlib import Path

from setuptools.build_meta import *  # noqa: F403

ROOT = Path(__file__).resolve().parents[1]
PAGES = "https://github.com/memtwin/memtwin/blob/main/"
PICTURES = "https://raw.githubusercontent.com/memtwin/memtwin/main/"


def absolute(text: str) -> str:
    """Return Markdown with its links to files of the repository made absolute."""
    text = re.sub(r"(!\[[^\]]*\]\()(?!https?:|#)", rf"\1{PICTURES}", text)
    return re.sub(r"((?<!!)\[[^\]]*\]\()(?!https?:|#)", rf"\1{PAGES}", text)


def write_readme() -> None:
    """Write the README where pyproject.toml says that it lies."""
    (ROOT / "build").mkdir(exist_ok=True)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (ROOT / "build" / "README.md").write_text(absolute(text), encoding="utf-8")


write_readme()
