"""What an import of the training brings along: nothing that only fits and pictures need."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("lmfit", "matplotlib", "scipy.optimize", "scipy.stats")
MODULES = sorted(
    ".".join(("memtwin", *path.relative_to(ROOT).with_suffix("").parts))
    for path in (ROOT / "training").rglob("*.py")
    if path.name != "__init__.py" and "pytorch" not in path.parts
)


def loaded(*modules: str) -> list[str]:
    """Return which heavy modules a fresh interpreter holds after importing ``modules``."""
    code = f"import json, sys, {', '.join(modules)}; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(found.stdout)


def test_training_imports_no_fitting_and_no_pictures():
    assert "memtwin.training.trainer.loop" in MODULES
    assert not loaded(*MODULES)


def test_layers_for_torch_import_no_fitting():
    if find_spec("torch") is None:
        pytest.skip("torch is not installed")
    assert "lmfit" not in loaded("memtwin.training.pytorch.optimiser")


def test_the_net_catches_what_it_is_for():
    assert loaded("memtwin.devices.fitting.fit")
