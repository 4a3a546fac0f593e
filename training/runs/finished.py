"""A run that is finished, as an object: its figures, its report, its validation by other engines."""

__all__ = ["Run", "load_run", "run"]

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...data.display import as_html, as_text, laid_out
from ...data.errors import InputError
from ...data.shown.quantities import figure, seconds_of
from ..studies.hardware import Footprint
from ..studies.montecarlo import MonteCarlo, montecarlo
from ..studies.read import Outcome, read_conditions
from ..studies.study import opened_run
from ..studies.sweep import Sweep, axis_of, sweep
from ..studies.trained import Condition
from ..trainer.validate import Validation
from .claim import Claim
from .config import RunConfig, changes_of, load_config, parse_config
from .folder import new_folder
from .listener import Listener
from .overview.summary import GROUPS, heading
from .record import load_record, record_path
from .run import run as run_job
from .run import validate_run


@dataclass(frozen=True, repr=False)
class Run:
    """A finished run.

    Attributes
    ----------
    path
        Its record, ``run.h5``.
    record
        All that it holds, by name; groups are mappings, see the page on records.
    """

    path: Path
    record: Mapping[str, Any]

    @property
    def config(self) -> RunConfig:
        """The configuration, every default filled in."""
        return parse_config(json.loads(self.record["config"]), str(self.path))

    @property
    def summary(self) -> dict[str, Any]:
        """The figures that are asked for first, by name."""
        return dict(self.record["summary"])

    def report(self, path: str | Path | None = None) -> Path:
        """Write the report as one HTML page, beside the record if no path is given; return where."""
        from .report.page import write_report  # draws with Matplotlib

        return write_report(
            self.record, self.path.with_name("report.html") if path is None else Path(path)
        )

    def plot(self, path: str | Path) -> Path:
        """Draw the report's first pictures as one, at ``path``, whose suffix names the format; return
        where.
        """
        from .report.page import write_picture

        return write_picture(self.record, Path(path))

    def validate(
        self, engine: str | None = None, images: int | None = None, workers: int | None = None
    ) -> Validation:
        """Read test images through ``engine``, by default as the run was configured.

        Parameters
        ----------
        engine
            What tiles are read through.
        images
            Number of test images; as configured when ``None``.
        workers
            Processes, of ngspice with that engine; when ``None`` as configured for ngspice, else one.

        Returns
        -------
        Validation
            Accuracy through that engine; images that were read before are not read again.

        Raises
        ------
        InputError
            If the run's folder is gone, or there is no such engine.
        EngineError
            If a simulator is missing, or fails.
        """
        return validate_run(self.path.parent, engine=engine, images=images, workers=workers)

    def study(
        self,
        changes: Sequence[str] = (),
        *,
        after: str | float = 0.0,
        recalibrate: bool = False,
        engine: str | None = None,
        draws: int = 1,
        images: int | None = None,
        workers: int = 1,
    ) -> Outcome:
        """Read test images under other conditions, such as ``["effects.read=0.1"]``, some time
        ``after`` the devices were written (``"30d"``, or seconds).

        Parameters
        ----------
        changes
            ``KEY=VALUE`` of the configuration's effects, tile, mapping or device.
        after
            Age of the devices: seconds, or with a unit.
        recalibrate
            Whether digital gains are calibrated anew then.
        engine
            What tiles are read through; the one that trained by default.
        draws
            How often the images are read, with other noise.
        images
            Number of test images; those of the run's validation by default.
        workers
            Processes.

        Returns
        -------
        Outcome
            Scores of the draws with their intervals, and the outputs behind them.

        Raises
        ------
        InputError
            If the run's folder is gone, or a condition can't be.
        """
        condition = _condition(changes, after, recalibrate, engine)
        with opened_run(self.path.parent, engine=engine, images=images, workers=workers) as opened:
            return read_conditions(opened.trained, [condition], draws=draws, **opened.how)[0]

    def sweep(
        self,
        *axes: str,
        changes: Sequence[str] = (),
        after: str | float = 0.0,
        recalibrate: bool = False,
        engine: str | None = None,
        draws: int = 1,
        images: int | None = None,
        workers: int = 1,
    ) -> Sweep:
        """Read test images at all values of one axis or two, such as ``"effects.read=0,0.01,0.1"`` or
        ``"after=1h,1d,30d"``; all else as in :meth:`study`.

        Parameters
        ----------
        axes
            ``KEY=VALUE,VALUE,…``, one or two.
        changes, after, recalibrate, engine, draws, images, workers
            As of :meth:`study`.

        Returns
        -------
        Sweep
            An outcome for every point; ``rows()`` has them as a table.

        Raises
        ------
        InputError
            As :meth:`study`, and if there is no axis, or more than two.
        """
        condition = _condition(changes, after, recalibrate, engine)
        with opened_run(self.path.parent, engine=engine, images=images, workers=workers) as opened:
            wanted = [axis_of(axis) for axis in axes]
            return sweep(opened.trained, wanted, condition, draws=draws, **opened.how)

    def montecarlo(
        self,
        draws: int = 20,
        changes: Sequence[str] = (),
        *,
        after: str | float = 0.0,
        recalibrate: bool = False,
        engine: str | None = None,
        images: int | None = None,
        workers: int = 1,
    ) -> MonteCarlo:
        """Program the trained levels into ``draws`` arrays of new devices, and read test images in
        each; all else as in :meth:`study`.

        Parameters
        ----------
        draws
            Number of arrays.
        changes, after, recalibrate, engine, images, workers
            As of :meth:`study`.

        Returns
        -------
        MonteCarlo
            Scores of all arrays, and of the one that was trained.

        Raises
        ------
        InputError
            As :meth:`study`, and if ``draws`` is below 1.
        """
        condition = _condition(changes, after, recalibrate, engine)
        with opened_run(self.path.parent, engine=engine, images=images, workers=workers) as opened:
            return montecarlo(opened.trained, draws, condition, **opened.how)

    def footprint(self, changes: Sequence[str] = ()) -> Footprint:
        """Return energy [J], latency [s] and area [m²] of one inference, by the figures of
        ``[hardware]``, under ``changes`` as of :meth:`study`.
        """
        with opened_run(self.path.parent) as opened:
            return opened.trained.footprint(Condition(changes_of(changes)))

    def export(self, folder: str | Path) -> Path:
        """Write conductances, gains and code that evaluates them with numpy alone to a new ``folder``;
        return it. See :func:`.export.folder.export`.

        Raises
        ------
        InputError
            If the run's folder is gone, or there is something at ``folder``.
        """
        from ..export.stored import export_run

        return export_run(self.path, folder)

    def __repr__(self) -> str:
        figures = self.record["summary"]
        kind = "accuracy_percent" if figures["score"] == "accuracy" else "r2"
        name = f"memristor_{kind}"
        return f"<Run {self.path}: {'' if kind != 'r2' else 'R² '}{figure(name, figures[name])}>"

    def __str__(self) -> str:
        return as_text(self._title(), self._rows())

    def _repr_html_(self) -> str:
        return as_html(self._title(), self._rows())

    def _title(self) -> str:
        return f"{self.path}: {heading(self.config.name, self.record['summary'])}"

    def _rows(self) -> list[tuple[str, str]]:
        return [row for _, rows in laid_out(GROUPS, self.record["summary"]) for row in rows]


def _condition(
    changes: Sequence[str], after: str | float, recalibrate: bool, engine: str | None
) -> Condition:
    seconds = seconds_of(after, "after") if isinstance(after, str) else float(after)
    return Condition(changes_of(changes), engine, seconds, recalibrate)


def run(
    config: str | Path | RunConfig = "demo",
    folder: str | Path | None = None,
    *,
    changes: Sequence[str] = (),
    listener: Listener | None = None,
    executor: Executor | None = None,
) -> Run:
    """Do the main job: characterise, fit the surrogate, train, validate, report.

    Parameters
    ----------
    config
        A preset's name, a TOML file, or a configuration.
    folder
        Where its files go; by default a new one, ``runs/NAME-SEED``. What is finished there is kept.
    changes
        Keys to change in a preset or file, such as ``"training.epochs=2"``.
    listener
        Hears of the job's steps.
    executor
        Where ngspice reads tiles; by default in processes of its own here.

    Returns
    -------
    Run
        The finished run, its report written beside its record.

    Raises
    ------
    InputError
        If the configuration can't be met, ``changes`` come with a configuration, or ``folder`` holds a run with
        another one or is in use.
    MemtwinError
        If a step fails; what was finished stays in the folder.
    """
    if isinstance(config, RunConfig) and changes:
        raise InputError("changes belong to a preset or a file; change the configuration itself")
    settings = config if isinstance(config, RunConfig) else load_config(config, changes)
    with new_folder(None, settings) if folder is None else Claim(folder) as claim:
        record = run_job(settings, claim, listener, executor)
        done = Run(record_path(claim.path), record)
        done.report()
        return done


def load_run(run: str | Path) -> Run:
    """Open a finished run, given its folder or its record.

    Raises
    ------
    InputError
        If there is none, or it is of an older memtwin.
    """
    path = record_path(run)
    return Run(path, load_record(path))
