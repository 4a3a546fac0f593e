"""The compact models, one module each, declared when first asked for."""

__all__ = ["MODELS"]

import importlib
from collections.abc import Iterator, Mapping

from ...data.errors import InputError, nearest
from ..model import CompactModel

_MODULES = {
    "resistor": "static",
    "sinh": "static",
    "sinh_state": "static",
    "vteam": "vteam",
    "vteam_asymmetric": "vteam",
    "vteam_kvatinsky": "vteam",
    "vteam_exp": "vteam",
    "vteam_exp_asymmetric": "vteam",
    "vteam_exp_kvatinsky": "vteam",
    "yakopcic": "yakopcic",
    "yakopcic2020": "yakopcic",
    "stanford": "stanford",
    "mms": "mms",
    "knowm": "knowm",
    "drift_joglekar": "drift",
    "drift_biolek": "drift",
    "drift_prodromakis": "drift",
    "drift_zha": "drift",
}


class _Models(Mapping[str, CompactModel]):
    """Models by name; SymPy is imported when the first one is asked for."""

    def __init__(self) -> None:
        self._declared: dict[str, CompactModel] = {}

    def __getitem__(self, name: str) -> CompactModel:
        if name not in self._declared:
            if name not in _MODULES:
                raise InputError(f"there is no compact model {name!r}{nearest(name, _MODULES)}")
            module = importlib.import_module(f".{_MODULES[name]}", __name__)
            self._declared[name] = module.declare(name)
        return self._declared[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)

    def __contains__(self, name: object) -> bool:
        return name in _MODULES


MODELS: Mapping[str, CompactModel] = _Models()
"""Every model of the package by its name."""
