"""How a model's parameters differ over cycles or devices of one kind."""

__all__ = ["Lognormal", "ParameterSpread", "fit_parameters"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...data.errors import InputError, too_few
from ...data.types import Array
from ..device import Device
from ..model import CompactModel

_EDGE = 1e-9  # how far inside its bounds a parameter is taken to be, as a share of their distance


@dataclass(frozen=True)
class Lognormal:
    """Parameters that are independent and log-normal around the device's own.

    Attributes
    ----------
    sigma
        Standard deviation of the logarithm, by parameter.
    """

    sigma: Mapping[str, float]

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters that vary."""
        return tuple(self.sigma)

    def __post_init__(self) -> None:
        """Refuse what is no deviation."""
        for name, value in self.sigma.items():
            if not 0.0 <= value <= 2.0:
                raise InputError(f"spread: {name} must be from 0 to 2, got {value!r}")

    def sample(self, count: int, rng: np.random.Generator, device: Device) -> dict[str, Array]:
        """Draw the parameters that vary of ``count`` devices, (count,) each, within bounds.

        Parameters
        ----------
        count
            How many devices to draw.
        rng
            What random numbers are drawn from.
        device
            The device.
        """
        drawn = {}
        for name, sigma in sorted(self.sigma.items()):
            row, middle = device.model.parameter(name), device.parameters[name]
            values = middle * np.exp(sigma * rng.standard_normal(count))
            drawn[name] = np.clip(values, min(row.lower, middle), max(row.upper, middle))
        return drawn


@dataclass(frozen=True, eq=False)
class ParameterSpread:
    """A model's parameters over cycles or devices: normal in coordinates that know no bounds.

    A parameter p with bounds becomes logit((p - low)/(high - low)), of logarithms for one on a
    logarithmic scale, so that whatever is drawn lies within them.

    Attributes
    ----------
    model
        Name of the model.
    names
        Parameters that vary.
    mean, covariance
        Of the coordinates, shapes (parameters,) and (parameters, parameters).
    bounds
        (low, high) of each that varies, shape (parameters, 2).
    log
        Which of them are on a logarithmic scale, shape (parameters,).
    fixed
        The others' values.
    """

    model: str
    names: tuple[str, ...]
    mean: Array
    covariance: Array
    bounds: Array
    log: NDArray[np.bool_]
    fixed: Mapping[str, float]

    def __post_init__(self) -> None:
        """Refuse tables that do not fit each other."""
        count = len(self.names)
        shapes = {"mean": (count,), "covariance": (count,) * 2, "bounds": (count, 2)}
        for name, shape in (shapes | {"log": (count,)}).items():
            if getattr(self, name).shape != shape:
                raise InputError(
                    f"parameter spread: expected {name} of shape {shape} for {count} parameters,"
                    f" got {getattr(self, name).shape}"
                )

    def sample(
        self, count: int, rng: np.random.Generator, device: Device | None = None
    ) -> dict[str, Array]:
        """Draw all parameters of ``count`` devices, (count,) each, in place of ``device``'s own.

        Parameters
        ----------
        count
            How many devices to draw.
        rng
            What random numbers are drawn from.
        device
            The device.
        """
        if device is not None and device.model.name != self.model:
            raise InputError(
                f"parameter spread: it was learnt with the model {self.model}, device"
                f" {device.name} is of {device.model.name}"
            )
        drawn = rng.multivariate_normal(self.mean, self.covariance, count, method="svd")
        values = {name: np.full(count, value) for name, value in self.fixed.items()}
        for k, name in enumerate(self.names):
            values[name] = _bounded(drawn[:, k], self.bounds[k], bool(self.log[k]))
        return values


class Fitted(Protocol):
    """What is asked of a fit."""

    @property
    def model(self) -> CompactModel:
        """The model."""
        ...

    @property
    def parameters(self) -> Mapping[str, float]:
        """Value of every parameter."""
        ...

    @property
    def unidentified(self) -> Mapping[str, str]:
        """Parameters that the data do not pin down."""
        ...


def fit_parameters(fits: Sequence[Fitted]) -> ParameterSpread:
    """Describe how the parameters of one model scatter over fits to several cycles or devices.

    Parameters that every fit holds at the same value stay fixed; so do those that some fit could
    not identify, at their median.

    Raises
    ------
    InputError
        If there are fewer than three fits, or they are of different models.
    """
    if len(fits) < 3:
        raise InputError(f"{too_few(len(fits), 'fit')} for a spread, expected 3 or more")
    model = fits[0].model
    if any(one.model is not model for one in fits):
        raise InputError("the fits are of different models")
    values = {name: np.array([one.parameters[name] for one in fits]) for name in model.names}
    unknown = {name for one in fits for name in one.unidentified}
    names = tuple(
        name for name in model.names if name not in unknown and np.ptp(values[name]) > 0.0
    )
    rows = [model.parameter(name) for name in names]
    bounds = np.array([(row.lower, row.upper) for row in rows]).reshape(len(names), 2)
    log = np.array([row.log for row in rows], bool)
    columns = [_free(values[name], bounds[k], bool(log[k])) for k, name in enumerate(names)]
    table = np.array(columns).reshape(len(names), len(fits))
    return ParameterSpread(
        model.name,
        names,
        table.mean(1),
        np.atleast_2d(np.cov(table)) if names else np.zeros((0, 0)),
        bounds,
        log,
        {name: float(np.median(values[name])) for name in model.names if name not in names},
    )


def _free(values: Array, bounds: Array, log: bool) -> Array:
    low, high = np.log(bounds) if log else bounds
    share = ((np.log(values) if log else values) - low) / (high - low)
    share = np.clip(share, _EDGE, 1.0 - _EDGE)
    return np.asarray(np.log(share / (1.0 - share)))


def _bounded(free: Array, bounds: Array, log: bool) -> Array:
    low, high = np.log(bounds) if log else bounds
    value = low + (high - low) * 0.5 * (1.0 + np.tanh(0.5 * free))
    return np.asarray(np.exp(value) if log else value)
