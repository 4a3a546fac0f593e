"""What a verb says and where: results on stdout, everything else on stderr, errors as one sentence.

With ``--json`` a verb prints one JSON object on stdout and nothing else there; bars and notes stay on stderr.
"""

__all__ = ["Json", "bar", "emit", "note", "verb"]

import functools
import json
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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

from ..data.errors import InputError, MemtwinError

if TYPE_CHECKING:
    from ..data.types import Progress as Report

_stderr = Console(stderr=True, highlight=False)
_stdout = Console(highlight=False)

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")
]

P = ParamSpec("P")
R = TypeVar("R")


def verb(function: Callable[P, R]) -> Callable[P, None]:
    """Wrap a command so that our errors end it with one sentence: exit code 2 for bad input, 1 for a failure."""

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

    return wrapped


def _warned(message: Warning | str, *_: Any, **__: Any) -> None:
    note(f"note: {message}")


def _fail(sentence: str, code: int) -> None:
    _stderr.print(f"[bold red]error:[/] {_plain(sentence)}", soft_wrap=True)
    raise typer.Exit(code)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


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
        task = shown.add_task(title, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def emit(summary: Mapping[str, Any], *, as_json: bool, title: str = "") -> None:
    """Print the result of a verb on stdout: one JSON object, or a table of names and values."""
    if as_json:
        sys.stdout.write(json.dumps(_jsonable(summary), allow_nan=False) + "\n")
        sys.stdout.flush()
        return
    table = Table(
        title=title or None, show_header=False, title_justify="left", box=None, pad_edge=False
    )
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in summary.items():
        table.add_row(name, _plain(_shown(value)))
    _stdout.print(table, soft_wrap=True)


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
