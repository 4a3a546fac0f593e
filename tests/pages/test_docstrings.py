"""Public functions with three parameters or more say what each is: its shape, its unit."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("data", "devices", "circuits", "training")


def public(path: Path) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield functions that a module lists, and public methods of classes that it lists."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    listed: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            listed = {ast.literal_eval(one) for one in node.value.elts}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in listed:
            yield node.name, node
        if isinstance(node, ast.ClassDef) and node.name in listed:
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                    yield f"{node.name}.{inner.name}", inner


def parameters(node: ast.FunctionDef) -> list[str]:
    """Return the names of a function's parameters, without self."""
    args = node.args
    names = [one.arg for one in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    extra = [one.arg for one in (args.vararg, args.kwarg) if one is not None]
    return [name for name in names if name not in ("self", "cls")] + extra


def described(text: str) -> set[str]:
    """Return the parameters that a docstring's Parameters section describes."""
    found = re.search(
        r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", text, re.DOTALL | re.MULTILINE
    )
    if found is None:
        return set()
    heads = [line for line in found[1].splitlines() if line and not line.startswith(" ")]
    return {name.strip("* ") for head in heads for name in head.partition(" :")[0].split(",")}


def test_public_functions_describe_their_parameters():
    found, short = 0, []
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            for name, node in public(path):
                names = parameters(node)
                if len(names) < 3 or any("overload" in ast.unparse(d) for d in node.decorator_list):
                    continue
                found += 1
                said = described(ast.get_docstring(node) or "")
                missing = [one for one in names if one not in said]
                if missing:
                    place = path.relative_to(ROOT).as_posix()
                    short.append(f"{place}:{node.lineno} {name}: {', '.join(missing)}")
    assert found > 250  # else nothing was looked at
    assert not short, "\n".join(short)


SAMPLE = """
def f(a, b, *, c, **d):
    '''Do.

    Parameters
    ----------
    a, b
        X.
    '''
"""


def test_what_is_missing_is_seen():
    node = ast.parse(SAMPLE).body[0]
    assert parameters(node) == ["a", "b", "c", "d"]
    assert described(ast.get_docstring(node)) == {"a", "b"}
