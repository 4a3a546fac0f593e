"""Responses to identical pulses as published: technologies of which memtwin has parameters and no ramps.

A file of ``library/`` says law, length and parameters of a direction, by how much parameters differ over
devices (``spread``, relative) and what a pulse adds by chance (``c2c``, in the unit of the conductance). Made of that
are ramps of a number of devices, so that a published response serves wherever a measured one does.
"""

__all__ = ["published", "published_facts", "published_responses"]

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...data.errors import InputError, nearest
from ...data.files import read_toml
from .ramp import PulseFit, find_law
from .ramp_spread import RampSpread

RAMPS = 24
"""Devices that stand for the published spread."""
_LIBRARY = Path(__file__).parent / "library"


def published_responses() -> list[str]:
    """Return the names of the published responses."""
    return sorted(path.stem for path in _LIBRARY.glob("*.toml"))


def published_facts(name: str) -> dict[str, Any]:
    """Return what the file of a published response says.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    path = _LIBRARY / f"{name}.toml"
    if name not in published_responses():
        raise InputError(
            f"there is no published pulse response {name!r}{nearest(name, published_responses())}"
        )
    return read_toml(path)


def published(name: str) -> tuple[dict[str, RampSpread], str]:
    """Return the directions of a published response, ``up`` and ``down``, and its unit."""
    facts = published_facts(name)
    ways = [way for way in ("up", "down") if way in facts]
    sides = {str(way): _side(f"{name}: {way}", facts[way]) for way in ways}
    return sides, str(facts["unit"])


def _side(where: str, said: Mapping[str, Any]) -> RampSpread:
    law, pulses, c2c = find_law(said["law"]), int(said["pulses"]), float(said["c2c"])
    if set(said["parameters"]) != set(law.names):
        raise InputError(f"{where}: expected the parameters {', '.join(law.names)}")
    values = np.array([float(said["parameters"][key]) for key in law.names])
    sigma = np.array(
        [
            abs(v) * said.get("spread", {}).get(k, 0.0)
            for k, v in zip(law.names, values, strict=True)
        ]
    )
    rng = np.random.default_rng(zlib.crc32(where.encode()))
    unknown = np.full(len(values), np.inf)
    curve = law.curve(np.arange(pulses + 1.0), values, pulses)
    fits = []
    for _ in range(RAMPS):
        own = values + sigma * np.clip(rng.standard_normal(len(values)), -2.0, 2.0)
        walk = np.concatenate([[0.0], np.cumsum(c2c * rng.standard_normal(pulses))])
        off = 100.0 * c2c / float(np.ptp(curve))
        fits.append(PulseFit(law, own, unknown, pulses, off, off, -walk))
    size = len(values)
    return RampSpread(
        law,
        pulses,
        ("constant",) * size,
        np.stack([values, np.zeros(size)], 1),
        np.diag(sigma**2),
        np.zeros(pulses + 1),
        c2c,
        RAMPS,
        tuple(fits),
    )
