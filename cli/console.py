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
    "unexpected",
    "verb",
]

import functools
import json
import math
import os
import shlex
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
from rich.table import Table

from .. import __version__
from ..data.errors import InputError, MemtwinError
from ..data.files import PICTURES, printable
from ..data.quantities import quantity

if TYPE_CHECKING:
    from ..data.types import Progress as Report

_stderr = Console(stderr=True, highlight=False)
_stdout = Console(highlight=False)

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")
]

UNITS = {"ampere": "A", "joule": "J", "seconds": "s", "siemens": "S", "volt": "V"}
"""Units in which names of figures end, and their symbols."""

BUG = 70
"""Exit code of an error that nobody has foreseen (sysexits.h: an internal software error)."""

SEED: Any = {"min": 0, "max": 2**63 - 1}
"""What a seed may be: a record keeps it as an integer of 64 bits."""

P = ParamSpec("P")
R = TypeVar("R")


def verb(function: Callable[P, R]) -> Callable[P, None]:
    """Wrap a command so that errors end it with one sentence: exit code 2 for bad input, 1 for a failure, 70 for a
    fault of memtwin's own.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        warnings.showwarning = _warned
        try:
            function(*args, **kwargs)
        except KeyboardInterrupt:
            _fail("interrupted; what was finished is on disk", 1)
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


def finite(value: float | None) -> float | None:
    """Refuse an option's number that is none (typer's callback)."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"expected a finite number, got {value}")
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
    """Draw a bar on stderr, if that is a terminal, while the block runs; yields ``progress(done, total)``."""
    columns = (
        TextColumn("{task.description:<34}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_stderr, disable=not _stderr.is_terminal) as shown:
        task = shown.add_task(_plain(title), total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def emit(summary: Mapping[str, Any], *, as_json: bool, title: str = "") -> None:
    """Print the result of a verb on stdout: one JSON object, or a table of names and values."""
    if as_json:
        sys.stdout.write(json.dumps(_jsonable(summary), allow_nan=False) + "\n")
        sys.stdout.flush()
        return
    table = Table(
        title=_plain(title) or None,
        show_header=False,
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in summary.items():
        table.add_row(*map(_plain, _row(name, value)))
    _stdout.print(table, soft_wrap=True)


def _row(name: str, value: Any) -> tuple[str, str]:
    """Return name and value as shown; a unit that the name ends in moves behind the value."""
    stem, _, last = name.rpartition("_")
    unit = UNITS.get(last)
    values = value if isinstance(value, (list, tuple)) else [value]
    numbers = all(isinstance(one, (int, float)) and math.isfinite(one) for one in values)
    if not stem or unit is None or not values or not numbers:
        return name, _shown(value)
    return stem, ", ".join(quantity(float(one), unit) for one in values)


def show(text: str) -> None:
    """Print a result's own text on stdout."""
    _stdout.print(_plain(text), soft_wrap=True)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(item)}" for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_shown(item) for item in value)
    return "-" if value is None else str(value)


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
