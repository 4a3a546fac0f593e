"""Everything that keeps the devices of an array from holding what they are told to, and from
reading as they are.

One :class:`Effects` serves a training, where its laws act on level after level, and
:meth:`Effects.sample`, which draws what an array of such devices reads at some time.
"""

__all__ = ["TABLE", "TECHNOLOGY", "Effects", "Laws"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from ...data.errors import InputError, nearest
from ...data.types import Array
from ..cycles.autoregression import CycleLaw
from .drift import Drift
from .noise import ReadNoise
from .pcm import PcmDrift, PcmProgramming, PcmReadNoise
from .programming import Programming, ProgrammingQuantiles
from .reach import Reach
from .record import law_tree, said, saved
from .relaxation import Jump, RelaxationQuantiles
from .stuck import Stuck, held
from .wear import Wear

Later: TypeAlias = RelaxationQuantiles | Drift | PcmDrift
"""What changes a device's conductance with its age."""


TECHNOLOGY, TABLE = "technology", "table"
"""What stands for the law of the device's technology, and for what its table of writes says."""

_SAID = ("wear", "seconds", "activation", "learnt_at", "temperature")
_BOLTZMANN = 8.617333262e-5  # [eV/K]


class Laws(NamedTuple):
    """The laws that effects stand for; ``None`` for those that are off."""

    programming: Programming | PcmProgramming | CycleLaw | ProgrammingQuantiles
    read: ReadNoise | PcmReadNoise | None
    reach: Reach | None
    relaxation: Jump | RelaxationQuantiles | None
    drift: Drift | PcmDrift | None
    stuck: Stuck | None
    wear: Wear | None

    @property
    def later(self) -> tuple[Later, ...]:
        """Those that change a device with its age, in the order in which they act."""
        aging = (RelaxationQuantiles, Drift, PcmDrift)
        return tuple(law for law in (self.relaxation, self.drift) if isinstance(law, aging))


@dataclass(frozen=True)
class Effects:
    """Device errors, each a number, a law of :mod:`memtwin.devices.spread`, or the path of a record
    of one (:func:`~.record.save_law`); :attr:`laws` are what they stand for.

    Numbers are fractions of the conductance range (highest minus lowest level) unless said
    otherwise; 0 is off. ``technology`` stands for the law of the device's technology.

    Raises
    ------
    InputError
        If something is no number, path or law of its kind, or a number is out of its range.
    """

    programming: float | str | Programming | PcmProgramming | CycleLaw | ProgrammingQuantiles = 0.01
    """What write-verify leaves of a target, drawn at every write: standard deviation; as a law of cycles, what
    writing without verification does, with each device's own past;
    ``table`` for what the table of write-verify left of the cells that it wrote.
    """
    read: float | str | ReadNoise | PcmReadNoise = 0.005
    """Noise of one device in one read: standard deviation."""
    reach: float | str | Reach = 0.0
    """Device to device: log-normal deviation of the largest reachable conductance; writes above it
    end there.
    """
    relaxation: float | str | Jump | RelaxationQuantiles = 0.0
    """Standard deviation of the jump after the verify read has passed; as a law of quantiles, a
    spread that grows with the seconds since the last write.
    """
    drift: float | str | Drift | PcmDrift = 0.0
    """Exponent of the loss ``g ~ (1 + age)^-drift``; age in updates since the last write, brought
    up to date every epoch, in torch after every step.
    """
    stuck: float | str | Stuck = 0.0
    """Share of devices that no write moves."""
    stuck_high: float = 0.5
    """Share of the stuck devices that are stuck at the highest level; the others are at the lowest.
    """
    wear: float | str | Wear = 0.0
    """Writes by which 63 % of the devices are worn out, by a Weibull law with β = 2; these stay at
    what they hold.
    """
    seconds: float | None = None
    """Seconds that pass from update to update, for laws that reckon in seconds."""
    activation: float = 0.0
    """Activation energy of what changes devices with the seconds [eV]; 0 for none. At another
    temperature than the laws were learnt at, a law's time runs faster by Arrhenius' factor.
    """
    learnt_at: float = 300.0
    """Temperature that these laws were learnt at [K]."""
    temperature: float | None = None
    """Temperature at which devices grow old [K], such as that of an oven; when absent that at which
    they are read, else ``learnt_at``.
    """

    def __post_init__(self) -> None:
        """Take numbers, paths, tables and laws; refuse what is none."""
        for name in Laws._fields:
            value = said(name, getattr(self, name), f"effects.{name}")
            object.__setattr__(self, name, value)
            if isinstance(value, float) and name != "wear" and not 0.0 <= value <= 1.0:
                raise InputError(f"effects: {name} must be from 0 to 1, got {value!r}")
        for name in ("stuck_high", "seconds", "activation", "learnt_at", "temperature"):
            value = getattr(self, name)
            if value is None and name in ("seconds", "temperature"):
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise InputError(f"effects.{name}: expected a number, got {value!r:.80}")
            object.__setattr__(self, name, float(value))
        if not 0.0 <= self.stuck_high <= 1.0:
            raise InputError(f"effects: stuck_high must be from 0 to 1, got {self.stuck_high!r}")
        if isinstance(self.wear, float) and not 0.0 <= self.wear < np.inf:
            raise InputError(f"effects: wear must be a number of writes, or 0, got {self.wear!r}")
        for name in ("seconds", "learnt_at", "temperature"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < np.inf:
                raise InputError(f"effects: {name} must be positive, got {value!r}")
        if not 0.0 <= self.activation <= 10.0:
            raise InputError(f"effects: activation is 0 to 10 eV, got {self.activation!r}")

    @classmethod
    def of(cls, tree: Any) -> "Effects":
        """Return the effects that a table of a configuration describes, see :meth:`tree`.

        Raises
        ------
        InputError
            If it is no table, or a key or value is none of effects.
        """
        if isinstance(tree, Effects):
            return tree
        if not isinstance(tree, Mapping):
            raise InputError(f"effects: expected a table, got {tree!r:.80}")
        known = [item.name for item in fields(cls)]
        for name in tree:
            if name not in known:
                raise InputError(f"unknown key 'effects.{name}'{nearest(str(name), known)}")
        return cls(**tree)

    def tree(self) -> dict[str, Any]:
        """Return all of it as numbers, strings and lists, for JSON; ``wear`` and what concerns times
        and temperatures only where it is said.
        """
        return self._tree(lambda name, value: law_tree(value, plain=True))

    def identity(self) -> dict[str, Any]:
        """Return what a training with these effects depends on: laws in place of their paths."""
        return self._tree(lambda name, value: law_tree(getattr(self.laws, name)), paths=False)

    def _tree(self, told: Callable[[str, Any], Any], *, paths: bool = True) -> dict[str, Any]:
        tree = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in _SAID and value == item.default:
                continue
            kept = value is None or isinstance(value, (float, str) if paths else float)
            tree[item.name] = value if kept else told(item.name, value)
        return tree

    @cached_property
    def laws(self) -> Laws:
        """What the numbers, paths and laws stand for.

        Raises
        ------
        InputError
            If there is no record of such a law at a path, or ``technology`` or ``table`` still stand
            for one (:meth:`resolved`).
        """
        return Laws(**{name: self._law(name) for name in Laws._fields})

    def _law(self, name: str) -> Any:
        plain: dict[str, Callable[[float], Any]] = {
            "programming": Programming,
            "read": lambda x: ReadNoise(x, power=0.0),
            "reach": Reach,
            "relaxation": Jump,
            "drift": Drift,
            "stuck": lambda x: Stuck(x, self.stuck_high),
            "wear": Wear,
        }
        value = getattr(self, name)
        if isinstance(value, float):
            return plain[name](value) if value > 0.0 or name == "programming" else None
        if value in (TECHNOLOGY, TABLE):
            raise InputError(
                f"effects.{name}: {value!r} stands for a law of a technology's cells, or of the table"
                " of their writes, and there is none here: give a number, a law or a record of one"
            )
        return saved(name, value, f"effects.{name}")

    def resolved(self, name: str, laws: Mapping[str, Any]) -> "Effects":
        """Return the effects with what is called ``name``, :data:`TECHNOLOGY` or :data:`TABLE`, taken from ``laws``, by
        effect; 0 where that has none.
        """
        called = [item.name for item in fields(self) if getattr(self, item.name) == name]
        return replace(self, **{one: laws.get(one, 0.0) for one in called}) if called else self

    def at(self, temperature: float | None) -> "Effects":
        """Return the effects on devices at this temperature [K], where none is said.

        Raises
        ------
        InputError
            If there is an activation energy and nothing that changes devices with the seconds.
        """
        if self.activation == 0.0:
            return self
        aging = (self._law("relaxation"), self._law("drift"))
        if not any(getattr(law, "timed", False) for law in aging):
            raise InputError(
                "effects.activation: no law here changes devices with the seconds: give"
                " effects.drift a t_0, or effects.relaxation a law of quantiles"
            )
        if self.temperature is not None or temperature is None:
            return self
        return replace(self, temperature=float(temperature))

    @property
    def pace(self) -> float:
        """Seconds of the laws that pass in one second at the devices' temperature."""
        if self.activation == 0.0 or self.temperature is None:
            return 1.0
        inverse = 1.0 / self.learnt_at - 1.0 / self.temperature
        return float(np.exp(np.clip(self.activation / _BOLTZMANN * inverse, -690.0, 690.0)))

    def since(self, seconds: Any, law: Later) -> Any:
        """Return what ``law`` takes for the age of devices written ``seconds`` ago; those that count
        updates take one for each of ``self.seconds``, or for every second.
        """
        return seconds * self.pace if law.timed else seconds / (self.seconds or 1.0)

    def age(self, updates: Any, law: Later) -> Any:
        """Return what ``law`` takes for the age of devices written ``updates`` ago.

        Raises
        ------
        InputError
            If it reckons in seconds and nobody says how many pass.
        """
        if not law.timed:
            return updates
        if self.seconds is None:
            raise InputError(
                f"effects: {type(law).__name__} reckons in seconds: say how many pass between"
                " updates, such as effects.seconds = 0.1"
            )
        return updates * (self.seconds * self.pace)

    def sample(
        self,
        g: ArrayLike,
        t: ArrayLike,
        rng: np.random.Generator,
        *,
        levels: tuple[float, float] | None = None,
        writes: ArrayLike = 0.0,
    ) -> Array:
        """Draw what an array of such devices reads.

        Parameters
        ----------
        g
            Target conductances [S], any shape.
        t
            Times after programming [s], a number or shape (times,).
        rng
            Source of randomness; the same cells are drawn for all times.
        levels
            Conductance of the lowest and of the highest level [S], for laws that refer to them.
        writes
            How often each cell has been written before, broadcasting against g, for ``wear``.

        Returns
        -------
        Array
            Conductances read [S], shape (times, *g.shape), or g's for a single time; never below 0.

        Raises
        ------
        InputError
            If a target is below 0 S or not finite, or a law refers to the levels and none are given.
        """
        target = np.asarray(g, float)
        if (target < 0).any() or not np.isfinite(target).all():
            raise InputError("target conductances must be finite and 0 S or more")
        laws, (low, high) = self.laws, levels or (None, None)
        span = None if low is None or high is None else high - low
        now = np.maximum(laws.programming.sample(target, rng, span), 0.0)
        if laws.reach is not None:
            if low is None or span is None:
                raise InputError("the reach is a share of the levels' range: say what that is")
            now = np.minimum(now, low + span * laws.reach.sample(target.shape, rng))
        stuck = np.full(target.shape, np.nan)
        if laws.stuck is not None:
            stuck = laws.stuck.sample(target.shape, rng, low=low, high=high)
        if laws.wear is not None:
            worn = laws.wear.sample(target.shape, rng) < np.asarray(writes, float)
            # a worn-out cell keeps one of the states it went through
            last = rng.permuted(now.ravel()).reshape(now.shape)
            stuck = np.where(worn & np.isnan(stuck), last, stuck)
        if isinstance(laws.relaxation, Jump):
            now = np.maximum(laws.relaxation.sample(now, rng, span), 0.0)
        lucks = [rng.standard_normal((law.lucks, *target.shape)) for law in laws.later]
        reads = []
        for time in np.atleast_1d(np.asarray(t, float)):
            later = now
            for law, luck in zip(laws.later, lucks, strict=True):
                later = law.later(later, time * (self.pace if law.timed else 1.0), luck)
            reads.append(held(stuck, later))
        read = np.stack(reads)
        if laws.read is not None:
            read = laws.read.sample(read, rng, span)
        read = np.maximum(read, 0.0)
        return read if np.ndim(t) else read[0]
