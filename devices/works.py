"""Which works a model or a device is owed to: pairs of a DOI, or key of
:mod:`memtwin.data.literature.references`, and what it is cited for.
"""

__all__ = ["device_works", "model_works", "provenance_works"]

from collections.abc import Iterator, Mapping
from typing import Any

from ..data.literature.references import dois_in
from .device import Device
from .model import CompactModel


def model_works(model: CompactModel) -> Iterator[tuple[str, str]]:
    """Yield the works that a model's equations are from."""
    for doi in dois_in(model.doi):
        yield doi, f"model {model.name}"


def device_works(device: Device) -> Iterator[tuple[str, str]]:
    """Yield the works behind a device: its model's, and where its parameters or data are from."""
    yield from model_works(device.model)
    yield from provenance_works(device.name, device.meta)


def provenance_works(name: str, meta: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the works that a provenance names, as ``doi``, ``cite`` or in ``source``."""
    what = f"device {name}"
    if meta.get("cite"):
        for key in str(meta["cite"]).split():
            yield key, what
    for doi in dois_in(f"{meta.get('doi', '')} {meta.get('source', '')}"):
        yield doi, what
