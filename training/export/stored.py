"""The network of a finished run as a folder that numpy alone evaluates, from what is in its own folder."""

__all__ = ["export_run"]

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...circuits.engines.ideal import Ideal
from ...data.dataset import Dataset
from ...data.datasets.prepare import Scaling, Targets
from ...data.errors import InputError
from ..runs.build import network_of, tile_of
from ..runs.config import parse_config
from ..runs.record import load_record, record_path
from ..runs.run import trained_by
from ..trainer.checkpoint import load_twin
from ..trainer.loop import build_twin
from ..twin.crossbar import Crossbar
from .folder import export


def export_run(run: str | Path, folder: str | Path) -> Path:
    """Write the network of a finished run to a new ``folder``, as :func:`.folder.export` does; return
    it. Neither its data nor its ngspice records are needed.

    Parameters
    ----------
    run
        Folder of the run, or its record.
    folder
        Where to write; must not exist.

    Raises
    ------
    InputError
        If there is no finished run, or something at ``folder``.
    MemtwinError
        If it can't be written; nothing is left then.
    """
    path = record_path(run)
    record = load_record(path)
    config = parse_config(json.loads(record["config"]), str(path))
    state, audits = load_twin(path.with_name("checkpoint.h5"))
    data = _data(record, path)
    crossbar = Crossbar(tile_of(config), mapping=config.mapping)
    twin = build_twin(network_of(config, data), crossbar, Ideal, seed=config.seed)
    twin.restore(state)
    if trained_by(config, audits) != "ideal":
        for matrix in twin.matrices:  # their gains give back what wires take
            matrix.gain = np.ones((), np.float32)
    return export(twin, data, folder)


def _data(record: dict[str, Any], path: Path) -> Dataset:
    """Return what a record says of its data: scaling and names, and one sample of zeros."""
    if "data" not in record:
        raise InputError(
            f"{path} was written by an older memtwin and doesn't say how inputs were scaled: memtwin run"
            f" --resume {path.parent} writes it anew"
        )
    part = record["data"]
    shape = tuple(int(side) for side in part["shape"])
    x = np.zeros((1, int(np.prod(shape))), np.float32)
    if part["task"] == "regression":
        mean, deviation = (np.atleast_1d(part[f"target_{name}"]) for name in ("mean", "deviation"))
        targets = Targets((), mean, deviation)
        y: NDArray[Any] = np.zeros((1, len(mean)), np.float32)
    else:
        targets, y = Targets(tuple(part["names"])), np.zeros(1, np.int64)
    scaling = Scaling(
        part["scaling"]["kind"],
        np.asarray(part["scaling"]["mean"], float),
        np.asarray(part["scaling"]["deviation"], float),
    )
    return Dataset(part["name"], x, y, x[:0], y[:0], shape, scaling=scaling, targets=targets)
