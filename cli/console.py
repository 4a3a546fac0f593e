"""What a verb says and where: results on stdout, everything else on stderr, errors as one sentence.

With ``--json`` a verb prints one JSON object on stdout and nothing else there; bars and notes stay on stderr.
"""

__all__ = [
    "BUG",
    "SEED",
    "Json",
    "bar",
    "emit",
    "finite",
    "note",
    "picture",
    "show",
    "table",
    "unexpected",
    "verb",
    "voltage",
]

import functools
import inspect
import json
import math
import os
import shlex
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from .. import __version__
from ..data.display import Group, laid_out
from ..data.errors import InputError, MemtwinError
from ..data.files import PICTURES, check_target, printable
from ..data.shown.quantities import duration, figure, split_unit
from .interrupt import exit_code

if TYPE_CHECKING:
    from ..data.types import Progress as Report

_stderr = Console(stderr=True, highlight=False)
_stdout = Console(highlight=False)

TELL = 60.0
"""Seconds between two lines of progress where there is no terminal."""

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")
]

BUG = 70
"""Exit code of an error that nobody has foreseen (sysexits.h: an internal software error)."""

SEED: Any = {"min": 0, "max": 2**63 - 1}
"""What a seed may be: a record keeps it as an integer of 64 bits."""

P = ParamSpec("P")
R = TypeVar("R")


def verb(function: Callable[P, R]) -> Callable[P, None]:
    """Wrap a command so that errors end it with one sentence: exit code 2 for bad input, 1 for a failure, 130 after
    Ctrl-C, 70 for a fault of memtwin's own.
    """
    targets = _targets(function)

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        warnings.showwarning = _warned
        began = time.time()
        try:
            _check_apart(kwargs, sorted(targets))
            for name in sorted(targets & kwargs.keys()):
                if kwargs[name] is not None:
                    check_target(str(kwargs[name]))
            function(*args, **kwargs)
        except KeyboardInterrupt as error:
            _fail(f"interrupted; {str(error) or _left(kwargs, began)}", exit_code())
        except InputError as error:
            _fail(str(error), 2)
        except MemtwinError as error:
            _fail(str(error), 1)
        except MemoryError:
            _fail("out of memory; use a smaller batch, fewer vectors or fewer workers", 1)
        except OSError as error:
            _fail(f"{error.filename or 'the system'}: {error.strerror or error}", 1)
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            _fail(unexpected(error), BUG)

    return wrapped


def _targets(function: Callable[..., Any]) -> set[str]:
    """Return the parameters that name a file to write: those whose help begins with 'Where to'."""
    found = set()
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        for one in getattr(parameter.annotation, "__metadata__", ()):
            if str(getattr(one, "help", "")).startswith("Where to"):
                found.add(name)
    return found


def _check_apart(given: Mapping[str, Any], targets: Iterable[str]) -> None:
    """Refuse a command that names one file twice: what it writes would take the place of what it reads."""
    found: dict[Path, tuple[str, bool]] = {}
    written = [(name, Path(os.path.abspath(given[name]))) for name in targets if given.get(name)]
    for (first, path), (second, also) in combinations(written, 2):
        if path == also:
            raise InputError(
                f"{given[first]} is named as {first} and as {second}: they are two files"
            )
    for name, value in _each(given):
        if not isinstance(value, str | Path) or not (place := _file(value)):
            continue
        other, is_path = found.setdefault(place, (name, isinstance(value, Path)))
        if other != name and (is_path or isinstance(value, Path)):
            one, two = (each.replace("_", "-") for each in (other, name))
            raise InputError(
                f"{value} is named as {one} and as {two}: what is written must be a file of its own"
            )


def _each(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every value that a command was given, those of a list one by one, with its name."""
    for name, values in given.items():
        for value in values if isinstance(values, list | tuple) else (values,):
            yield name, value


def _left(given: Mapping[str, Any], began: float) -> str:
    """Say which of the files that a command names it has written since it ``began``."""
    there = [
        value
        for _, value in _each(given)
        if isinstance(value, Path) and value.is_file() and value.stat().st_mtime >= began
    ]
    said = f"{' and '.join(map(str, there))} written" if there else "nothing is left half-written"
    return f"{said}; the same command begins anew"


def _file(name: str | Path) -> Path | None:
    """Return where a file of that name is; ``None`` if there is none."""
    try:
        path = Path(name)
        return path.resolve() if path.is_file() else None
    except (OSError, ValueError):  # text that is no name
        return None


def finite(value: float | None) -> float | None:
    """Refuse an option's number that is none (typer's callback)."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"expected a finite number, got {value}")
    return value


def voltage(value: float | None) -> float | None:
    """Refuse a read voltage at which nothing can be read (typer's callback)."""
    if finite(value) == 0.0:
        raise typer.BadParameter("expected a voltage other than 0 V")
    return value


def picture(path: Path | None) -> Path | None:
    """Refuse a picture's path, before any work is done, whose suffix names no format (typer's callback)."""
    if path is not None and path.suffix[1:].lower() not in ("", *PICTURES):
        raise typer.BadParameter(
            f"{path.suffix} is no format of a picture (known: {', '.join(PICTURES)})"
        )
    return path


def unexpected(error: BaseException) -> str:
    """Return what to say of an error that nobody has foreseen; its trace goes into a file."""
    said = f"{type(error).__name__}: {error}".splitlines()[0]
    try:
        handle, name = tempfile.mkstemp(prefix="memtwin-trace-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"memtwin {__version__}: {shlex.join(sys.argv)}\n")
            file.writelines(traceback.format_exception(error))
    except OSError as reason:
        return f"memtwin failed unexpectedly ({said}), and there was no place for the trace: {reason.strerror}"
    return f"memtwin failed unexpectedly ({said}); please report it, with the trace in {name}"


def _warned(message: Warning | str, *_: Any, **__: Any) -> None:
    note(f"note: {message}")


def _fail(sentence: str, code: int) -> None:
    _stderr.print(f"[bold red]error:[/] {_plain(sentence)}", soft_wrap=True)
    raise typer.Exit(code)


def _plain(text: str) -> str:
    return printable(text).replace("[", r"\[")


def note(sentence: str) -> None:
    """Say one line about what came out of a step, on stderr."""
    _stderr.print(_plain(sentence), soft_wrap=True)


@contextmanager
def bar(title: str) -> "Iterator[Report]":
    """Tell on stderr how far the block is; yields ``progress(done, total)``: a bar on a terminal, else a
    line a minute, as logs and clusters keep them.
    """
    if not _stderr.is_terminal:
        yield _minutely(title)
        return
    columns = (
        TextColumn("{task.description:<34}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    # The time that is left is estimated from all that was done: some steps take a minute each.
    with Progress(*columns, console=_stderr, speed_estimate_period=86400.0) as shown:
        task = shown.add_task(_plain(title), total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def _minutely(title: str) -> "Report":
    begun: tuple[float, int] | None = None
    told = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal begun, told
        now = time.monotonic()
        if begun is None:
            begun, told = (now, done), now
        if now - told < TELL or done <= begun[1]:
            return
        told = now
        left = (now - begun[0]) / (done - begun[1]) * (total - done)
        note(f"{title}: {done:,} of {total:,}, about {duration(left, 2)} left")

    return progress


def emit(
    summary: Mapping[str, Any], *, as_json: bool, title: str = "", groups: Sequence[Group] = ()
) -> None:
    """Print the result of a verb on stdout: one JSON object, or for people a table.

    Parameters
    ----------
    summary
        Figures by name; the unit that a name ends in is shown behind the value, with a prefix that
        suits it.
    as_json
        Whether to print JSON: all figures, by the same names, in SI units and percent.
    title
        Heading of the table.
    groups
        How the figures are laid out; by default a line each.
    """
    if as_json:
        sys.stdout.write(json.dumps(_jsonable(summary), allow_nan=False) + "\n")
        sys.stdout.flush()
        return
    if title:
        _stdout.print(f"[bold]{_plain(title)}[/]", soft_wrap=True)
    if not groups:
        _lines([(_stem(name), _shown(name, value)) for name, value in summary.items()])
        return
    laid = laid_out(groups, _jsonable(summary))
    wide = max(len(label) for _, rows in laid for label, _ in rows)
    for heading, rows in laid:
        _stdout.print(f"\n[bold]{_plain(heading)}[/]")
        _lines([(f"  {label}", text) for label, text in rows], wide + 2)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below a head on stdout, aligned."""
    wide = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(f"{cell:<{w}}" for cell, w in zip(cells, wide, strict=True)).rstrip()

    _stdout.print(f"[bold]{_plain(line(head))}[/]", soft_wrap=True)
    for row in rows:
        _stdout.print(_plain(line(row)), soft_wrap=True)


def _lines(rows: Sequence[tuple[str, str]], wide: int = 0) -> None:
    wide = max([wide, *(len(name) for name, _ in rows)])
    for name, text in rows:
        _stdout.print(
            f"[cyan]{_plain(name)}[/]{' ' * (wide - len(name))}  {_plain(text)}", soft_wrap=True
        )


def _stem(name: str) -> str:
    """Return a name as shown; a unit that it ends in stands behind the value."""
    stem, _ = split_unit(name)
    return stem or name


def _shown(name: str, value: Any) -> str:
    return figure(name, value.tolist() if hasattr(value, "tolist") else value)


def show(text: str) -> None:
    """Print a result's own text on stdout."""
    _stdout.print(_plain(text), soft_wrap=True)


def _jsonable(value: Any) -> Any:
    """Turn numpy values and paths into JSON's own; what is not a finite number becomes null."""
    if hasattr(value, "tolist"):  # numpy's arrays and numbers, without importing numpy
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _jsonable(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, bool, int)) else str(value)
