"""The ``memtwin`` command: one verb, one module.

The verbs' modules are light; each imports what it needs when it runs, so that ``memtwin --help`` is quick.
"""

__all__ = ["app", "main"]

import io
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from .. import __version__
from .console import BUG, unexpected, verb
from .interrupt import interruptible
from .verbs.arrays.characterise import characterise
from .verbs.arrays.netlist import netlist
from .verbs.arrays.program import app as program
from .verbs.arrays.surrogate import app as surrogate
from .verbs.devices.data import app as data
from .verbs.devices.device import export, simulate
from .verbs.devices.fit import fit
from .verbs.devices.spread import app as spread
from .verbs.devices.technology import app as technology
from .verbs.info import info
from .verbs.papers.cite import cite
from .verbs.papers.models import app as models
from .verbs.runs.compare import compare
from .verbs.runs.report import report
from .verbs.runs.run import run, train
from .verbs.runs.validate import validate

app = typer.Typer(
    name="memtwin",
    help="Memristor devices in SPICE, and the networks that train on them.",
    no_args_is_help=True,
    add_completion=False,
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
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Memristor devices in SPICE, and the networks that train on them."""


GROUPS = (
    (data, "data"),
    (models, "models"),
    (program, "program"),
    (spread, "spread"),
    (surrogate, "surrogate"),
    (technology, "technology"),
)
for group, name in GROUPS:
    app.add_typer(group, name=name)
VERBS: tuple[Callable[..., object], ...] = (
    fit,
    simulate,
    export,
    netlist,
    characterise,
    run,
    train,
    validate,
    compare,
    report,
    cite,
    info,
)
for command in VERBS:
    app.command()(verb(command))


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
