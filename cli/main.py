"""The ``memtwin`` command: one verb, one module.

The verbs' modules are light; each imports what it needs when it runs, so that ``memtwin --help`` is quick.
"""

__all__ = ["app", "main"]

import io
import os
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from .. import __version__
from .console import BUG, unexpected, verb
from .interrupt import exit_code, interruptible
from .table import HEAD, help_text, rows


class _Verbs(dict[str, Any]):
    """Commands by name; the module of each is imported when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        row = rows()[name]
        module, _, what = row.place.partition(":")
        found = getattr(import_module(f".verbs.{module}", __package__), what)
        if isinstance(found, typer.Typer):
            command = typer.main.get_group(found)
            command.name = name
            return command
        one = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="markdown")
        one.command(name=name)(verb(found))
        return typer.main.get_command_from_info(
            one.registered_commands[0], pretty_exceptions_short=True, rich_markup_mode="markdown"
        )

    def get(self, name: str, default: Any = None) -> Any:
        return default if name not in rows() else self[name]

    def __contains__(self, name: object) -> bool:
        return name in rows()

    def __iter__(self) -> Iterator[str]:
        return iter(rows())

    def __len__(self) -> int:
        return len(rows())

    def keys(self) -> Any:
        return rows().keys()


_WORDING = {
    "No such option: ": "no such option ",
    ". Did you mean": "; did you mean",
    "Input should be": "it should be",
    "Value error, ": "",
}
"""What typer says, and how it stands in a sentence."""


def _misused(error: Any) -> NoReturn:
    """Say in one sentence what is wrong with the words of a command, and end it (click's errors)."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError" and context is not None:
        typer.echo(context.get_help(), err=True)
        sys.exit(2)
    text = error.format_message().strip().rstrip(".")
    text = re.sub(r" \(Possible options: (.*)\)$", r"; did you mean \1?", text)
    for theirs, ours in _WORDING.items():
        text = text.replace(theirs, ours)
    path = "memtwin" if context is None else context.command_path
    typer.echo(f"error: {path}: {text[:1].lower()}{text[1:]} ({path} -h shows all)", err=True)
    sys.exit(error.exit_code)


class _Root(TyperGroup):
    """The verbs of :mod:`.table`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings | {"commands": None})
        self.commands = _Verbs()

    def main(self, *args: Any, standalone_mode: bool = True, **settings: Any) -> Any:
        """Run a command; words that make no sense are one sentence, as every other error is."""
        settings["standalone_mode"] = False
        if not standalone_mode:
            return super().main(*args, **settings)
        try:
            code = super().main(*args, **settings)
        except typer.Abort:  # what click makes of an interrupt
            typer.echo("error: interrupted before anything was begun", err=True)
            sys.exit(exit_code())
        except Exception as error:
            if hasattr(error, "format_message"):
                _misused(error)
            raise
        sys.exit(code if isinstance(code, int) else 0)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the help."""
        return list(self.commands)

    def get_help(self, ctx: Any) -> str:
        """Return the help, which needs no verb's module."""
        return help_text()

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        formatter.write(help_text())


app = typer.Typer(
    name="memtwin",
    cls=_Root,
    help=HEAD,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"memtwin {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", callback=_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Memristor devices in SPICE, and the networks that train on them."""


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):  # a terminal without µ, a file's name that is no UTF-8
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # Before numpy loads: matrices of a tile's size are too small for more than one BLAS thread, and
    # on a busy machine the others spin more than they compute.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        with interruptible():
            app()
    except Exception as error:  # outside of any verb
        typer.echo(f"error: {unexpected(error)}", err=True)
        sys.exit(BUG)
