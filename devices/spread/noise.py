"""What one read adds."""

__all__ = ["ReadNoise", "fit_read_noise"]

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError
from .deviation import Deviation, fit_deviation


@dataclass(frozen=True)
class ReadNoise(Deviation):
    """Normal noise of one read of one device, relative to what it conducts unless ``power`` says
    otherwise.
    """

    power: float = 1.0


def fit_read_noise(traces: ArrayLike, *, g_ref: float | None = None) -> ReadNoise:
    """Learn read noise from conductance over time.

    Parameters
    ----------
    traces
        Conductance [S], shape (cells, reads); slow drift is taken out by differences of
        neighbouring reads.
    g_ref
        Reference conductance [S]; default: the median cell's.

    Raises
    ------
    InputError
        If there are fewer than ten reads per cell.
    """
    traces = np.atleast_2d(np.asarray(traces, float))
    if traces.shape[1] < 10:
        raise InputError(
            f"{traces.shape[1]} reads per cell are too few for their noise, expected 10 or more"
        )
    g = np.median(traces, 1)
    sigma = np.diff(traces, axis=1).std(1) / np.sqrt(2.0)
    if not ((g > 0) & (sigma > 0)).any():
        raise InputError(
            "the traces hold no noise: every read of a cell is the same, or none conducts"
        )
    return ReadNoise(*fit_deviation(g, sigma, g_ref))
