"""Folders that are evaluated where there is no memtwin."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


def evaluated(folder: Path, x: np.ndarray) -> np.ndarray:
    """What the folder's own code says, in a process that has numpy and no memtwin."""
    np.save(folder.parent / "x.npy", x)
    code = "import sys; sys.path[:0] = [sys.argv.pop(1)]; import numpy, runpy;"
    code += "sys.modules['memtwin'] = None; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    site = str(Path(np.__file__).parents[1])
    arguments = [str(folder / "evaluate.py"), "x.npy", "y.npy"]
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, site, *arguments],
        cwd=folder.parent,
        check=True,
        timeout=120,
    )
    return np.load(folder.parent / "y.npy")


@pytest.fixture(name="evaluated")
def _evaluated() -> Callable[[Path, np.ndarray], np.ndarray]:
    return evaluated
