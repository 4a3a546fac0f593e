"""The conduction laws of :mod:`memtwin.devices.conduction.laws` as models without dynamics: i = x i_law(v, T)."""

__all__ = ["declare"]

from ..conduction.laws import law_model
from ..model import CompactModel


def declare(name: str) -> CompactModel:
    """Return ``conduction_ohmic``, ``conduction_schottky`` and so on."""
    return law_model(name.removeprefix("conduction_"))
