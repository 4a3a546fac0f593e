"""The plan of the house: imports run one way, and no folder is too full to read."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("data", "devices", "circuits", "training", "cli")
FULL = 15


def modules() -> dict[str, Path]:
    """Return every module of the package by its name within it."""
    found = {}
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Yield the modules that a module imports when it runs, inside functions as well."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing = {
        node
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.unparse(test.test)
        for part in test.body
        for node in ast.walk(part)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.level or node in typing:
            continue
        base = package[: len(package) - node.level + 1]
        full = ".".join(base + (node.module.split(".") if node.module else []))
        for alias in node.names:
            inner = f"{full}.{alias.name}" if full else alias.name
            target = inner if inner in known else full
            if target in known and target != name:
                yield target


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    known = modules()
    return {name: set(imports(name, path, known)) for name, path in known.items()}


def test_no_circle_of_imports(graph):
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("a circle: " + " → ".join(error.args[1]))


def test_no_import_upward(graph):
    rank = {room: k for k, room in enumerate(ROOMS)}
    upward = [
        f"{name} imports {other}"
        for name, others in graph.items()
        for other in others
        if rank[other.split(".")[0]] > rank[name.split(".")[0]]
    ]
    assert not upward


def test_no_folder_is_too_full():
    folders = [ROOT, *(ROOT / room for room in (*ROOMS, "tests", "benchmarks", "examples"))]
    for folder in folders[1:]:
        folders += [path for path in folder.glob("*") if path.is_dir() and path not in folders]
    crowded = {}
    for folder in folders:
        if folder.name == "__pycache__":
            continue
        files = [
            path
            for path in folder.iterdir()
            if path.is_file()
            and path.suffix != ".pyc"
            and path.name != ".git"  # a linked worktree's
        ]
        if len(files) > FULL:
            crowded[folder.relative_to(ROOT).as_posix()] = len(files)
    assert not crowded


def test_the_rooms_import_something(graph):
    """The net above would hold nothing if it found no imports."""
    assert "circuits.engines.nodal" in graph
    assert sum(map(len, graph.values())) > 300
