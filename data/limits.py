"""The current limit of a sweep's source: what is known of it, or what its plateau shows."""

__all__ = ["source_limit"]

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .types import Array

_BEYOND = 1.05  # of a limit: a current above it was not limited
_PLATEAU = 0.98  # of a side's largest current: from there on a censored point may be its plateau
_FEWEST = 3  # points of a plateau


def source_limit(
    v: Array, i: Array, censored: NDArray[np.bool_], meta: Mapping[str, str | float]
) -> Array:
    """Return the largest current that the source lets pass at every point [A], shape (points,).

    ``compliance`` of ``meta`` limits either sign of the current, or ``compliance_negative`` the
    negative ones, but no sign of which some current is larger: a SET is limited, the RESET after it
    often isn't. Where nothing is known, a plateau of censored points at a side's largest current is
    its limit. Infinite elsewhere.

    Parameters
    ----------
    v
        Voltages, (n,) [V].
    i
        Currents, (n,) [A].
    censored
        Points that the measurement does not know, (n,).
    meta
        What is known of the measurement, ``compliance`` [A] above all.

    Raises
    ------
    InputError
        If a compliance is not above 0 A.
    """
    limit = np.full(len(v), np.inf)
    for sign, key in ((1.0, "compliance"), (-1.0, "compliance_negative")):
        known = meta.get(key, meta.get("compliance"))
        along = np.where(sign * i > 0.0, np.abs(i), 0.0)
        top = float(along.max(initial=0.0))
        if known is not None:
            level = float(known)
            if not level > 0.0:
                raise InputError(f"{key} is {level:g}, expected a current above 0 A")
            if np.median(along[along >= _PLATEAU * top]) > _BEYOND * level:
                continue
        else:
            plateau = censored & (along > _PLATEAU * top) & (top > 0.0)
            if plateau.sum() < _FEWEST:
                continue
            level = float(np.median(along[plateau]))
        limit[sign * v > 0.0] = level
    return limit
