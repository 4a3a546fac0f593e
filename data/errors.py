"""The errors that memtwin raises on purpose.

- :class:`MemtwinError`: base of all of them; its text is one clear sentence.

  - :class:`InputError`: what the user gave can't be used (a file, a key, a number); also a ``ValueError``.
    :class:`Unregistered` where it is a name that stands for nothing here.
  - :class:`FitError`: the data can't be described, or a fit did not converge.
  - :class:`EngineError`: a simulator failed, with :class:`EngineMissing`, :class:`NonConvergence` and
    :class:`WorkerCrash` for the cases that a caller treats differently.
"""

__all__ = [
    "EngineError",
    "EngineMissing",
    "FitError",
    "InputError",
    "MemtwinError",
    "NonConvergence",
    "Unregistered",
    "WorkerCrash",
    "nearest",
    "too_few",
]

import difflib
from collections.abc import Iterable


class MemtwinError(Exception):
    """Base class; the command line prints its text as one sentence and exits with 1."""


class InputError(MemtwinError, ValueError):
    """What the user gave can't be used; the command line exits with 2."""


class Unregistered(InputError):
    """A model, engine or importer of that name is not registered here; a record that names it is sound."""


class FitError(MemtwinError):
    """The data can't be described by the model, or the fit did not converge."""


class EngineError(MemtwinError):
    """A simulator failed."""


class EngineMissing(EngineError):
    """A simulator is not installed, or too old."""


class NonConvergence(EngineError):
    """A circuit was simulated but no operating point was found."""


class WorkerCrash(EngineError):
    """A simulator process died or hung, and again when tried once more."""


def too_few(count: int, thing: str) -> str:
    """Return ``1 point is too few`` or ``3 points are too few``."""
    return f"{count} {thing} is too few" if count == 1 else f"{count} {thing}s are too few"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the known word nearest to ``word``, or the list of known words."""
    known = sorted(known)
    close = [name for name in known if len(word) > 2 and name.lower().startswith(word.lower())]
    close = close or difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else f" (known: {', '.join(known)})"
