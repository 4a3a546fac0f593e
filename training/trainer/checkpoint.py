"""Trainings on disk: one HDF5 record that is replaced whole after every epoch."""

__all__ = ["finished_epochs", "kept_records", "load_checkpoint", "load_twin", "save_checkpoint"]

import json
from pathlib import Path
from typing import Any

from ...data.errors import InputError
from ...data.records.store import pack, reading, unpack, write_record
from .audit import AuditRecord
from .results import EpochRecord
from .trainer import Trainer

KIND = "training checkpoint"


def save_checkpoint(path: str | Path, trainer: Trainer) -> Path:
    """Write the state of ``trainer`` between two epochs to ``path``, atomically."""
    tree = {
        "digest": trainer.identity,
        "records": json.dumps([pack(record) for record in trainer.records]),
        "audits": json.dumps([pack(record) for record in trainer.audits]),
        "state": trainer.state(),
    }
    return write_record(path, KIND, tree)


def load_checkpoint(path: str | Path, trainer: Trainer) -> None:
    """Continue ``trainer`` from the checkpoint at ``path``.

    Raises
    ------
    InputError
        If it is no checkpoint, or one of another network, data set or configuration.
    """
    with reading(path, KIND) as tree:
        # A checkpoint with an "identity" was hashed from the text of classes that have changed
        # since: the configuration in its run's folder has to vouch for it.
        if tree.get("digest") != trainer.identity and "identity" not in tree:
            raise InputError(
                f"{path} was saved by a training with another configuration, network or data:"
                " resume with the same ones, or start anew with another file"
            )
        try:
            records = unpack(list[EpochRecord], json.loads(tree["records"]))
            audits = unpack(list[AuditRecord], json.loads(tree["audits"]))
            trainer.restore(tree["state"], records, audits)
        except (KeyError, TypeError, ValueError) as error:
            raise _other_version(path) from error


def finished_epochs(path: str | Path) -> int:
    """Return how many epochs the checkpoint at ``path`` has seen end, also one of another version; 0 if there is none.

    Raises
    ------
    InputError
        If it is no checkpoint.
    """
    if not Path(path).exists():
        return 0
    with reading(path, KIND) as tree:
        return len(json.loads(tree["records"]))


def kept_records(path: str | Path) -> list[EpochRecord]:
    """Return the records of the epochs that the checkpoint at ``path`` has seen end; none if there is none.

    Raises
    ------
    InputError
        If it is no checkpoint, or one of another version.
    """
    if not Path(path).exists():
        return []
    with reading(path, KIND) as tree:
        try:
            return unpack(list[EpochRecord], json.loads(tree["records"]))
        except (KeyError, TypeError, ValueError) as error:
            raise _other_version(path) from error


def load_twin(path: str | Path) -> tuple[dict[str, Any], list[AuditRecord]]:
    """Return the state of the twin alone that was saved at ``path``, and the audits until then.

    Raises
    ------
    InputError
        If it is no checkpoint, or one of another version.
    """
    with reading(path, KIND) as tree:
        try:
            audits = unpack(list[AuditRecord], json.loads(tree["audits"]))
            return dict(tree["state"]["twin"]), audits
        except (KeyError, TypeError, ValueError) as error:
            raise _other_version(path) from error


def _other_version(path: str | Path) -> InputError:
    return InputError(
        f"{path} was saved by another version of memtwin: start anew with another file"
    )
