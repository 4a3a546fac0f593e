"""What is installed is what is in the tree, and importing it does nothing else."""

import importlib
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import memtwin

ROOT = Path(__file__).parents[1]
PACKAGE_FOLDERS = ("circuits", "cli", "data", "devices", "training")


def sources() -> set[str]:
    files = [ROOT / "__init__.py", ROOT / "__main__.py"]
    for folder in PACKAGE_FOLDERS:
        files += [path for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts]
    return {f"memtwin/{path.relative_to(ROOT).as_posix()}" for path in files}


def test_every_folder_with_code_is_a_listed_package():
    listed = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    )
    assert {Path(name).parent.as_posix().replace("/", ".") for name in sources()} == listed


def test_only_the_two_modules_lie_at_the_root():
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "__main__.py"}


@pytest.mark.slow
def test_the_wheel_holds_the_tree(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)],
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if name.endswith(".py")} == sources()
    assert {
        "memtwin/py.typed",
        "memtwin/data/datasets/digits.csv.gz",
        "memtwin/data/catalogue.toml",
    } <= names
    assert {f"memtwin/training/runs/presets/{name}.toml" for name in ("demo", "mnist")} <= names
    assert "memtwin/devices/library/yakopcic/nbsto_32um.toml" in names


def test_the_conda_recipe_asks_for_what_the_package_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    recipe = (ROOT / "packaging" / "conda" / "recipe.yaml").read_text()
    asked = set(re.findall(r"^    - ([\w-]+) [>=]=", recipe.split("  run:")[1], re.MULTILINE))
    needed = {re.split(r"[<>=]", one)[0].lower() for one in project["dependencies"]}
    assert asked - {"python"} == needed - {"matplotlib"} | {"matplotlib-base"}
    assert f'version: "{memtwin.__version__}"' in recipe


def test_the_readme_of_an_index_has_whole_addresses(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "packaging")
    backend = importlib.import_module("backend")
    text = backend.absolute((ROOT / "README.md").read_text())
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    for link in links:
        assert link.startswith(("https:", "http:")), link
        for home in (backend.PAGES, backend.PICTURES):
            if link.startswith(home):
                assert (ROOT / link.removeprefix(home).partition("#")[0]).is_file(), link


def test_importing_memtwin_is_light():
    heavy = "{'numpy', 'scipy', 'sympy', 'h5py', 'matplotlib', 'PySpice', 'pydantic', 'lmfit'}"
    code = f"import sys, memtwin, memtwin.cli.main; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_version_is_one():
    assert memtwin.__version__.count(".") == 2


def test_nothing_names_a_machine():
    marks = ("/work" + "/", "/root" + "/", "pypi" + ".org")
    tracked = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True
    ).stdout.split("\n")
    for name in filter(None, tracked):
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        assert not [mark for mark in marks if mark in text], name
