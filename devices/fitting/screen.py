"""Which of many models are worth a fit: short searches that grow longer while the models grow fewer.

Successive halving (Jamieson and Talwalkar 2016, arXiv:1502.07943): every model is searched for a few steps on
sweeps of a few points; those far behind the best end there, with what they reached, and the others go on from
where they came to on more points.
"""

__all__ = ["LONGEST", "ROUNDS", "Round", "Tried", "behind", "brief"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...data.errors import FitError, MemtwinError
from ...data.measurement import Sweep
from ...data.types import Array
from ..model import CompactModel
from .loss import Loss
from .search import descend
from .space import Space, make_space, thinned
from .stages import compiled_once, draw_starts, settle_substeps

_DRAWN = 8  # candidates for each start
_COARSEST = 4  # integration steps per interval at most


@dataclass(frozen=True)
class Round:
    """What a model gets in one round, and which models the next one takes.

    Attributes
    ----------
    points
        Points of each sweep.
    starts, steps
        How many descend, and how far.
    far
        Score, in terms of the best model's, beyond which a model ends here ...
    least
        ... unless it is among so many best ones.
    """

    points: int
    starts: int
    steps: int
    far: float
    least: int


ROUNDS = (Round(50, 12, 6, 4.0, 8), Round(100, 8, 15, 2.5, 5))
LONGEST = 150
"""Points of a sweep on which those left are judged."""


@dataclass(frozen=True)
class Tried:
    """Where a short search came to.

    Attributes
    ----------
    score
        Root mean square residual there; infinite where it led nowhere.
    points
        Its points of the cube, best first, (starts, parameters).
    names
        The parameters.
    reason
        Why it led nowhere.
    """

    score: float
    points: Array | None = None
    names: tuple[str, ...] = ()
    reason: str = ""

    def of_sweeps(self, first: int, count: int) -> Array:
        """Return the points for a fit to some of the sweeps alone, which have their own initial states."""
        assert self.points is not None
        own = {f"x0_{first + k + 1}" for k in range(count)}
        kept = [not name.startswith("x0_") or name in own for name in self.names]
        return self.points[:, kept]


def brief(
    model: CompactModel,
    seen: Sequence[Sweep],
    settings: Mapping[str, Any],
    of: Round,
    before: Tried | None,
) -> Tried:
    """Search for a few steps.

    Parameters
    ----------
    model, seen
        What is fitted to what.
    settings
        Arguments of a fit; those that say what is searched are obeyed.
    of
        How far.
    before
        What the round before came to, to go on from.
    """
    loss = settings.get("loss", "hybrid")
    loss = Loss(loss) if isinstance(loss, str) else loss
    shape = {
        key: settings[key]
        for key in ("fixed", "bounds", "priors", "series", "free")
        if key in settings
    }
    try:
        space = thinned(make_space(compiled_once(model), seen, loss, **shape), of.points)
        return _search(space, of, before, np.random.default_rng(settings.get("seed", 0)))
    except MemtwinError as error:
        return Tried(float("inf"), reason=str(error))


def _search(space: Space, of: Round, before: Tried | None, rng: np.random.Generator) -> Tried:
    if before is None or before.points is None:
        points = draw_starts(space, None, of.starts, _DRAWN * of.starts, rng)
    else:
        points = before.points[: of.starts]
    space = replace(space, substeps=settle_substeps(space, points[:4], 0.1, _COARSEST))
    found = descend(space.along(), points, steps=of.steps, bent=space.at_once)
    order = np.argsort(found.costs, kind="stable")
    if not np.isfinite(found.costs[order[0]]):
        raise FitError("no start gives finite currents")
    rows = len(space.residuals(found.points[order[:1]], False)[0])
    score = float(np.sqrt(2.0 * found.costs[order[0]] / rows))
    return Tried(score, found.points[order], space.names)


def behind(tried: Mapping[str, Tried], of: Round) -> dict[str, str]:
    """Return the models that end in a round, with why: of many, those that failed or are far behind the best."""
    ranked = sorted(tried, key=lambda name: tried[name].score)
    best = tried[ranked[0]].score
    reasons = {}
    for place, name in enumerate(ranked[1:], 1):
        one = tried[name]
        if not np.isfinite(one.score):
            reasons[name] = f"a short search failed: {one.reason}"
        elif place >= of.least and one.score > of.far * best:
            reasons[name] = (
                f"a short search came to {one.score:.3g}, the best model's to {best:.3g}"
            )
    return {name: reasons[name] for name in tried if name in reasons}
