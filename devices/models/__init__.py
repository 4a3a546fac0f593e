"""The compact models by name: those of the modules here, declared when first asked for, and any that are registered."""

__all__ = ["Models", "models"]

import importlib
from functools import partial
from typing import Any

from ...data.errors import InputError
from ...data.registry import Registry
from ..model import CompactModel

_MODULES = {
    "resistor": "static",
    "sinh": "static",
    "sinh_state": "static",
    "sinh_decay": "static",
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
    "jart": "jart",
    "jart_explicit": "jart_explicit",
    "memdiode": "memdiode",
    "pcm": "pcm",
    "volatile": "volatile",
    "drift_joglekar": "drift",
    "drift_biolek": "drift",
    "drift_prodromakis": "drift",
    "drift_zha": "drift",
    "conduction_ohmic": "conduction",
    "conduction_sinh": "conduction",
    "conduction_schottky": "conduction",
    "conduction_poole_frenkel": "conduction",
    "conduction_fowler_nordheim": "conduction",
    "conduction_sclc": "conduction",
    "conduction_tat": "conduction",
}


class Models(Registry[CompactModel]):
    """Compact models by name; packages offer theirs by entry points of the group ``memtwin.models``."""

    def __init__(self) -> None:
        super().__init__(
            "compact model",
            how="register it with models.register(MODEL), or give the path of its file",
            shipped={name: partial(_declared, name) for name in _MODULES},
            group="memtwin.models",
            check=_checked,
        )

    def register(self, model: CompactModel, *, replace: bool = False) -> CompactModel:
        """Let the model's name stand for it, here and wherever a file or a command names it; return it.

        Raises
        ------
        InputError
            If another model has that name, unless ``replace`` is given.
        """
        return self.add(_checked("", model).name, model, replace=replace)


def _declared(name: str) -> CompactModel:
    model: CompactModel = importlib.import_module(f".{_MODULES[name]}", __name__).declare(name)
    return model


def _checked(name: str, model: Any) -> CompactModel:
    if not isinstance(model, CompactModel):
        raise InputError(f"expected a CompactModel, got {model!r:.60}")
    if name not in ("", model.name):
        raise InputError(f"the model that {name!r} stands for calls itself {model.name!r}")
    return model


models = Models()
"""Every model by its name."""
