"""The space in which a fit was made, for what looks at its surroundings."""

__all__ = ["space_of"]

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ....data.types import Array
from ..space import Space, make_space

if TYPE_CHECKING:
    from ..result import Fit


def space_of(fit: "Fit") -> tuple[Space, Array]:
    """Return the space in which a fit was made, and its values there, in the order of the space's names."""
    free = [n for n in fit.names if n in fit.model.names]
    values = fit.estimate.values
    space = make_space(
        fit.model,
        fit.sweeps,
        fit.loss,
        fixed={n: v for n, v in values.items() if n not in fit.names},
        free=free,
        series="r_s" in free,
        bounds=dict(fit.task.bounds),
        priors=dict(fit.task.priors),
    )
    space = replace(space, substeps=fit.course.substeps)
    return space, np.array([values[n] for n in space.names])
