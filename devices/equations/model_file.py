"""Compact models as TOML: a file of a model's own, or the ``[model]`` table of a device's file.

::

    name = "threshold"
    title = "conductance that drifts above a threshold"
    current = "v*(g_off + (g_on - g_off)*x)"
    rate = "where(v >= 0, k*over*(1 - x), -k*over*x)"    # left out: a device without dynamics

    [definitions]                                        # what equations, and later definitions, may use
    over = "above(abs(v)/v_t - 1, 0.02)"

    [parameters]
    g_on = { unit = "S", default = 1e-3, bounds = [1e-9, 1.0], log = true, meaning = "conductance at x = 1" }

Further keys: ``doi``, ``notes``; ``smooth = false`` where slopes have kinks; ``state = [0, inf]`` where the state of a
device without dynamics is a conductance [S]; ``fixed = true`` of a parameter that is fitted only when asked for. The
series resistance ``r_s`` belongs to every model and is not listed. :mod:`.grammar` says what equations are made of.
"""

__all__ = ["load_model", "model_text", "parse_model", "parse_model_text", "save_model"]

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...data.errors import InputError, nearest
from ...data.files import parse_toml, read_toml, toml_key, toml_value, write_text
from ..model import SERIES, CompactModel, Parameter, symbols
from ..models import models

_KEYS: Mapping[str, Any] = {
    "name": str,
    "title": str,
    "current": str,
    "rate": str,
    "doi": str,
    "notes": str,
    "state": list,
    "smooth": bool,
    "definitions": dict,
    "parameters": dict,
}
_ROW: Mapping[str, Any] = {
    "unit": str,
    "default": (int, float),
    "bounds": list,
    "log": bool,
    "meaning": str,
    "fixed": bool,
}
_SAID: Mapping[Any, str] = {
    str: "a string",
    dict: "a table",
    bool: "true or false",
    list: "two numbers, as in [0, 1]",
    (int, float): "a number",
}
_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
_MOST, _LONGEST = 200, 400
_INFINITE = (0.0, float("inf"))


def load_model(source: str | Path | CompactModel, *, folder: str | Path = ".") -> CompactModel:
    """Return a model by its name or by the path of its TOML file; one that is loaded already comes back as it is.

    Parameters
    ----------
    source
        A name of :data:`memtwin.devices.models.models`, or a path that ends in ``.toml``; either followed by
        ``+LRS/HRS`` for a static part of conduction laws, see :func:`memtwin.devices.conduction.laws.with_state`.
    folder
        Where relative paths begin.

    Raises
    ------
    InputError
        If there is no such model, or its file is no model.
    """
    if isinstance(source, CompactModel):
        return source
    text, mixed, laws = str(source).partition("+")
    if mixed:
        from ..conduction.laws import with_state  # with sympy, which most devices don't need

        lrs, _, hrs = laws.partition("/")
        return with_state(load_model(text, folder=folder), lrs, hrs or None)
    if not text.endswith(".toml"):
        return models[text]
    path = Path(folder) / source
    if not path.is_file():
        raise InputError(f"there is no model file {path}")
    return parse_model(read_toml(path), str(path))


def parse_model_text(text: str, where: str) -> CompactModel:
    """Return the model that :func:`model_text` wrote: by name, or by its equations."""
    return parse_model(parse_toml(text, where), where) if "=" in text else models[text]


def parse_model(tree: Mapping[str, Any], where: str) -> CompactModel:
    """Return the model that a TOML table declares.

    Raises
    ------
    InputError
        If a key is missing, unknown or of another type, or an equation can't be read; ``where`` begins the sentence.
    """
    _check_keys(tree, _KEYS, where, ("name", "current"))
    name = tree["name"]
    if not _NAME.fullmatch(name) or len(name) > 60:
        raise InputError(f"{where}: name is {name!r:.80}, expected letters, digits and _")
    rows = tree.get("parameters", {})
    table = tuple(_parameter(key, row, f"{where}: parameters.{key}") for key, row in rows.items())
    equations = _equations(tree, [row.name for row in table], where)
    model = CompactModel(
        name,
        tree.get("title", name),
        (*table, SERIES),
        equations["current"],
        equations.get("rate"),
        doi=tree.get("doi", ""),
        state_range=_state_range(tree, where),
        smooth=tree.get("smooth", True),
        notes=tree.get("notes", ""),
    )
    if models.shipped(name) not in (None, model):
        raise InputError(
            f"{where}: memtwin has another model {name!r} of its own: give yours another name"
        )
    return model


def save_model(model: CompactModel, path: str | Path) -> Path:
    """Write a model as a TOML file, its definitions written out.

    Raises
    ------
    InputError
        If its equations use a function that text has no word for.
    """
    text = _text(model, "")
    if text is None:
        raise InputError(
            f"model {model.name} has equations that can't be written as text: register it from"
            " Python instead"
        )
    return write_text(path, text)


def model_text(model: CompactModel, table: str = "") -> str:
    """Return what a saved file says of a model: its name if memtwin has it, else its whole declaration as TOML; of one
    whose equations have no text, its name too: it must be registered to be loaded again.

    ``table`` is the TOML table that the declaration is to be.
    """
    if models.shipped(model.name) == model:
        return model.name
    return _text(model, table) or model.name


def _text(model: CompactModel, table: str) -> str | None:
    """Return a model's declaration as TOML, or None where reading it would give another model."""
    from .vocabulary import equation

    if model.inner_expr is not None:
        return None
    lines = [f"[{table}]"] if table else []
    lines += [f"{key} = {toml_value(getattr(model, key))}" for key in ("name", "title")]
    lines += [
        f"{key} = {toml_value(getattr(model, key))}"
        for key in ("doi", "notes")
        if getattr(model, key)
    ]
    lines.append(f"current = {toml_value(equation(model.current_expr))}")
    if model.rate_expr is not None:
        lines.append(f"rate = {toml_value(equation(model.rate_expr))}")
    if model.state_range != (0.0, 1.0):
        lines.append(f"state = {toml_value(model.state_range)}")
    if not model.smooth:
        lines.append("smooth = false")
    lines += ["", f"[{table}.parameters]" if table else "[parameters]"]
    for row in model.parameters[:-1]:
        cells = {"unit": row.unit, "default": row.default, "bounds": (row.lower, row.upper)}
        cells |= {flag: True for flag in ("log", "fixed") if getattr(row, flag)}
        cells["meaning"] = row.meaning
        inner = ", ".join(f"{key} = {toml_value(value)}" for key, value in cells.items())
        lines.append(f"{toml_key(row.name)} = {{ {inner} }}")
    text = "\n".join(lines) + "\n"
    try:
        tree = parse_toml(text, model.name)
        again = parse_model(tree[table] if table else tree, model.name)
    except InputError:
        return None
    return text if again == model else None


def _parameter(name: str, row: Any, where: str) -> Parameter:
    if name == SERIES.name:
        raise InputError(f"{where}: every model has this parameter: leave it out")
    if not isinstance(row, dict):
        raise InputError(f"{where} is {row!r:.60}, expected {{ unit, default, bounds, meaning }}")
    _check_keys(row, _ROW, where, ("unit", "default", "bounds"))
    lower, upper = _pair(row["bounds"], f"{where}.bounds")
    return Parameter(
        name,
        row["unit"],
        _float(row["default"], f"{where}.default"),
        lower,
        upper,
        row.get("log", False),
        row.get("meaning", ""),
        row.get("fixed", False),
    )


def _equations(tree: Mapping[str, Any], parameters: list[str], where: str) -> dict[str, Any]:
    """Return current and rate, definitions put in, in SymPy."""
    from .grammar import Formula, parse
    from .vocabulary import FUNCTIONS

    words = ["V", "X", *parameters]
    names = dict(zip(["v", "x", *parameters], map(Formula, symbols(*words)), strict=True))
    for name, text in tree.get("definitions", {}).items():
        place = f"{where}: definitions.{name}"
        if not isinstance(text, str):
            raise InputError(f"{place} is {text!r:.60}, expected an equation in quotes")
        if not _NAME.fullmatch(name) or name in names:
            raise InputError(f"{place}: expected a new name of letters, digits and _")
        names = {**names, name: parse(text, names, place)}
    for name in names:
        if name in FUNCTIONS:
            raise InputError(f"{where}: {name!r} is the name of a function: choose another")
    atoms = {name: names[name] for name in ("v", "x", *parameters)}
    found = {}
    for key in ("current", "rate"):
        if key in tree:
            found[key] = _settled(parse(tree[key], names, f"{where}: {key}").expr, atoms)
            _check_slopes(found[key], f"{where}: {key}")
    return found


def _check_slopes(expr: Any, where: str) -> None:
    import sympy as sp

    for symbol in symbols("V", "X"):
        if expr.diff(symbol).has(sp.zoo, sp.nan, sp.oo, -sp.oo, sp.I):
            raise InputError(f"{where} has no finite slope in {str(symbol).lower()}")


def _settled(expr: Any, names: Mapping[str, Any]) -> Any:
    """Return the form of an expression that stays as it is when it is written and read again: what has cancelled may
    have left constants that are now computed.
    """
    from .grammar import parse
    from .vocabulary import equation

    for _ in range(4):
        try:
            again = parse(equation(expr), names, "the equation written out").expr
        except InputError:  # too large
            return expr
        if again == expr:
            break
        expr = again
    return expr


def _state_range(tree: Mapping[str, Any], where: str) -> tuple[float, float]:
    given = _pair(tree.get("state", [0, 1]), f"{where}: state")
    if given == (0.0, 1.0) or (given == _INFINITE and "rate" not in tree):
        return given
    raise InputError(
        f"{where}: state is {list(given)}, expected [0, 1], or [0, inf] of a model without a rate"
    )


def _check_keys(
    tree: Mapping[str, Any], keys: Mapping[str, Any], where: str, needed: tuple[str, ...]
) -> None:
    for key in needed:
        if key not in tree:
            raise InputError(f"{where}: key {key!r} is missing")
    for key, value in tree.items():
        if key not in keys:
            raise InputError(f"{where}: there is no key {key!r:.60}{nearest(key, keys)}")
        kind = keys[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise InputError(f"{where}: {key} is {value!r:.60}, expected {_SAID[kind]}")
        if isinstance(value, dict) and len(value) > _MOST:
            raise InputError(f"{where}: {key} has {len(value)} rows, expected at most {_MOST}")
        # It is printed into netlists, whose lines are commands.
        plain = key in ("current", "rate") or not isinstance(value, str)
        if not plain and not (value.isprintable() and len(value) <= _LONGEST):
            raise InputError(
                f"{where}: {key} is {value!r:.60}, expected one line of at most {_LONGEST} characters"
            )


def _pair(value: list[Any], where: str) -> tuple[float, float]:
    if len(value) != 2:
        raise InputError(f"{where} is {value!r:.60}, expected two numbers, as in [0, 1]")
    return _float(value[0], where), _float(value[1], where)


def _float(value: Any, where: str) -> float:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    except OverflowError:
        pass
    raise InputError(f"{where} has {value!r:.60}, expected a number")
