"""A whole technology from the files of its chips, and what of it the data do not tell."""

__all__ = ["Beside", "Fitted", "Holdout", "Searched", "fit_technology", "hold_out"]

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...data.chip import PulseMap, WriteLog
from ...data.errors import InputError
from ...data.measurement import Measurement, Table
from ...data.types import Progress
from ..spread.relaxation import fit_relaxation
from .combinations import Combinations, combine
from .landing import fit_landing
from .learn import (
    cycled_resets,
    device_share,
    fading,
    map_noise,
    relaxation_of_logs,
    stuck_cells,
)
from .reading import ReadFit, fit_read_law
from .reset import ResetFit, fit_reset
from .set_fit import SetFit, fit_set, misses, predict
from .technology import Technology

_STATES = 10  # groups of conductance that relaxation is tabulated for
UNKNOWN = (
    "one pulse per cell does not tell what differs between devices from what differs between cycles",
    "the current of a pulse was not measured: energies are brackets",
)


@dataclass(frozen=True)
class Searched:
    """What is fitted, as :func:`.set_fit.fit_set` has it."""

    law: str = "exponential"
    free: tuple[str, ...] = ()
    v_read: float = 0.2


class Holdout(NamedTuple):
    """What parameters that were fitted without some combinations miss of those."""

    name: str
    fitted: int
    held_out: int
    error: Mapping[str, float]


@dataclass(frozen=True)
class Fitted:
    """A technology with the quality of its fits.

    Attributes
    ----------
    technology
        The technology.
    set, reset
        Quality of the SET and of the RESET law.
    held_out
        By word line, bit line and width, where that was asked for.
    unknown
        What the data can't tell.
    reading
        Quality of the read law.
    """

    technology: Technology
    set: SetFit
    reset: ResetFit | None
    held_out: tuple[Holdout, ...]
    unknown: tuple[str, ...]
    reading: ReadFit | None = None


@dataclass(frozen=True)
class Beside:
    """What is known of a chip beside its pulse maps."""

    law: str = "exponential"
    """Of the cells, see :func:`.set_fit.fit_set`."""
    free: Sequence[str] = ()
    """Parameters of a model as the law that are searched; empty for the usual ones."""
    logs: Sequence[WriteLog] = ()
    """Write-verify logs of one chip: relaxation, and landings in a band."""
    rounds: int | None = None
    """After which the logs' writes were given up; default: what they say."""
    cycled: Table | None = None
    """An endurance test with columns ``address``, ``r_set``, ``r_reset`` and ``cycle``: RESETs of
    cycled cells, and the devices' share of the spread."""
    cycled_pulse: tuple[float, float, float] = (3.0, 3.5, 1e-6)
    """Word line [V], source line [V] and width [s] of its RESETs."""
    dead: Table | None = None
    """Cells that can't be written."""
    array_cells: int | None = None
    """How many were tried."""
    worn: Table | None = None
    """A test like ``cycled``, to many cycles."""
    reads: Table | None = None
    """Currents of cells over the voltage of a read."""
    v_read: float = 0.2
    """Voltage of the maps' reads [V]."""


def fit_technology(
    name: str,
    maps: Sequence[PulseMap],
    beside: Beside | None = None,
    *,
    below: float = 25e-6,
    moved: float = 15e-6,
    held_out: bool = False,
    seed: int = 0,
    meta: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Fitted:
    """Fit what a technology's files tell.

    Parameters
    ----------
    name
        What to call it.
    maps
        Pulse maps; their SET pulses are needed, RESET pulses give the RESET law.
    beside
        What else is known.
    below, moved
        See :func:`.combinations.combine`.
    held_out
        Also fit without parts of the SET map, and say what that misses.
    seed
        Of the bootstrap.
    meta
        Facts to keep.
    progress
        Called with how much is done, and of how much.

    Raises
    ------
    InputError
        If the maps hold no SET pulses, or a file is none of its kind.
    """
    beside = beside or Beside()
    logs, cycled, dead, worn = beside.logs, beside.cycled, beside.dead, beside.worn
    if not maps:
        raise InputError("a technology needs a pulse map")
    sets = [one for one in maps if not one.reset.all()]
    if not sets:
        raise InputError(f"{maps[0].name} holds no SET pulse: the SET law needs a map of them")
    pulses = _joined(sets)
    data = combine(pulses, below=below, moved=moved, seed=seed)
    v_read = float(pulses.meta.get("v_read", beside.v_read))
    searched = Searched(beside.law, tuple(beside.free), v_read)
    found = fit_set(data, **asdict(searched), progress=progress)
    sources: dict[str, dict[str, Any]] = {"set": _source(sets, found.cells)}
    sources["set"]["selection"] = f"cells that read below {1e6 * below:g} uS before"
    parts: dict[str, Any] = {"set": found.law, "spreads": found.spreads}
    try:
        parts["read"] = map_noise(pulses)
        sources["read"] = _source(sets, int((pulses.v_bl == pulses.v_bl.min()).sum()))
    except InputError:
        pass  # every bit line moves cells
    resets = [one for one in maps if one.reset.any()]
    reset = fit_reset(_joined(resets)) if resets else None
    unknown = list(UNKNOWN)
    if reset is not None:
        parts["reset"], sources["reset"] = reset.law, _source(resets, reset.cells)
        unknown.append("a map's RESETs are first ones; cycled cells reset more easily")
    if cycled is not None:
        share = device_share(cycled)
        parts["spreads"] = replace(found.spreads, device_share=round(share, 3))
        parts["cycled"] = cycled_resets(cycled, *beside.cycled_pulse)
        sources["cycled"] = _source([cycled], len(np.unique(cycled["address"])))
    else:
        unknown.append(
            f"the devices' share of the variance is assumed: {found.spreads.device_share:g}"
        )
    if logs:
        count = len(np.unique(np.concatenate([log.cell for log in logs])))
        refused = []
        try:
            cells = relaxation_of_logs(logs)
            states = min(_STATES, max(len(cells.g) // 160, 2))
            parts["relaxation"] = fit_relaxation(cells, states=states)
            sources["relaxation"] = _source(logs, count) | {"writes": len(cells.g)}
        except InputError as error:
            refused.append(f"relaxation ({error})")
        try:
            parts["landing"] = fit_landing(logs, rounds=beside.rounds)
            sources["landing"] = {"writes": sum(map(len, logs)), "cells": count}
        except InputError as error:
            refused.append(f"landings in a band ({error})")
        if len(refused) > 1:
            raise InputError(f"the logs tell nothing: no {', no '.join(refused)}")
        unknown += [f"no {one}" for one in refused]
    if dead is not None:
        if beside.array_cells is None:
            raise InputError(f"{dead.name}: say how many cells were tried, array_cells")
        parts["stuck"] = stuck_cells(dead, beside.array_cells)
        sources["stuck"] = _source([dead], beside.array_cells)
    if worn is not None:
        parts["fading"] = fading(worn)
        sources["fading"] = _source([worn], len(np.unique(worn["address"])))
    curves = None
    if beside.reads is not None:
        curves = fit_read_law(beside.reads, beside.v_read)
        parts["reading"] = curves.law
        sources["reading"] = _source([beside.reads], curves.cells)
    technology = Technology(name, **parts, sources=sources, meta=dict(meta or {}))
    tried = hold_out(data, searched) if held_out else ()
    return Fitted(technology, found, reset, tried, tuple(unknown), curves)


def hold_out(data: Combinations, searched: Searched | None = None) -> tuple[Holdout, ...]:
    """Return what fits of a law miss of every second word line, of the bit lines between, and of widths, from the
    others.
    """
    searched = searched or Searched()
    gates, lines, widths = (np.unique(part) for part in (data.v_wl, data.v_bl, data.pw))
    ways: list[tuple[str, NDArray[np.bool_]]] = [
        ("every second word line", np.isin(data.v_wl, gates[1::2])),
        ("two bit lines", np.isin(data.v_bl, lines[-3:-1])),
        ("widths but every third", ~np.isin(data.pw, widths[::3])),
    ]
    rows = []
    for name, out in ways:
        if out.any() and not out.all() and len(np.unique(data.v_bl[~out])) > 1:
            rows.append(_held(data, name, out, searched))
    return tuple(rows)


def _held(data: Combinations, name: str, out: NDArray[np.bool_], searched: Searched) -> Holdout:
    found, rest = fit_set(data.only(~out), **asdict(searched)), data.only(out)
    error = misses(rest, predict(found.law, found.spreads, rest))
    return Holdout(name, int((~out).sum()), int(out.sum()), error)


def _joined(maps: Sequence[PulseMap]) -> PulseMap:
    if len(maps) == 1:
        return maps[0]
    columns = ("cell", "reset", "pw", "v_wl", "v_bl", "v_sl", "g_before", "g_after")
    parts = {key: np.concatenate([getattr(one, key) for one in maps]) for key in columns}
    return PulseMap(maps[0].name, **parts, meta=maps[0].meta)


def _source(measured: Sequence[Measurement], cells: int) -> dict[str, Any]:
    """Return where data come from, for the file."""
    files = [str(one.meta.get("file", one.name)) for one in measured]
    shown = files if len(files) < 4 else [files[0], f"and {len(files) - 1} more"]
    facts: dict[str, Any] = {"files": shown, "cells": cells}
    if "dataset" in measured[0].meta:
        facts["dataset"] = measured[0].meta["dataset"]
    return facts
