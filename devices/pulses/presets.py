"""A pulse response as other simulators of training take it: NeuroSim's nonlinearity labels, a device of aihwkit.

NeuroSim describes the conductance over normalised pulses x as (1 - e^(-x/A)) / (1 - e^(-1/A)), and names A by a label
from 0 to 9 through a table (Chen, Peng, Yu, TCAD 37, 3067 (2018), doi:10.1109/TCAD.2018.2789723). The table is the
curve's largest distance from the straight line, over 0.099: to the digits that it has, in all rows that were compared.
By that definition a response of any law has a label. A curve that is fast at first has a positive label where it rises,
a negative one where it falls; a slow start turns the sign.

In aihwkit a ``PiecewiseStepDevice`` changes a weight by ``dw_min`` times the height of a step that is interpolated
between nodes even over the weights' range (Rasch et al., AICAS 2021, doi:10.1109/AICAS51828.2021.9458494). Any
monotonic response is one: conductances become weights from -1 to 1.
"""

__all__ = ["aihwkit_preset", "label_of_a", "neurosim_cell", "nonlinearity_label"]

import re
from collections.abc import Mapping

import numpy as np

from ...data.errors import InputError
from ...data.types import Array
from .ramp import inverse
from .ramp_spread import RampSpread
from .response import PulseResponse

_PER_LABEL = 0.099  # of the largest distance from the straight line
_NODES = 17
_LEAST = 1e-4  # share of the mean step that a node keeps: a device that stops would never leave its bound
_FINE = 1001


def label_of_a(a: float) -> float:
    """Return the label of NeuroSim's normalised A; negative where A is."""
    x = np.linspace(0.0, 1.0, _FINE)
    with np.errstate(over="ignore"):
        curve = np.expm1(-x / a) / np.expm1(-1.0 / a)
    return _label(curve)


def nonlinearity_label(side: RampSpread) -> float:
    """Return the label of a direction of a response, by its mean ramp."""
    g = _curve(side, np.linspace(0.0, side.pulses, _FINE))
    label = _label((g - g[0]) / (g[-1] - g[0]))
    return label if g[-1] > g[0] else -label


def _label(curve: Array) -> float:
    """Return the label of a curve from 0 to 1 over even pulses."""
    off = curve - np.linspace(0.0, 1.0, len(curve))
    return float(off[np.argmax(np.abs(off))]) / _PER_LABEL


def neurosim_cell(response: PulseResponse) -> dict[str, float]:
    """Return what NeuroSim's ``RealDevice`` is told: conductances [S], pulses, labels, and the scatter of one pulse.

    Raises
    ------
    InputError
        If a direction is missing, or conductances are normalised.
    """
    up, down = _both(response)
    if response.unit != "S":
        raise InputError(
            f"{response.name}: NeuroSim needs conductances in S, these are normalised; give their"
            " unit, as in --column g=NAME:uS"
        )
    ends = [_curve(side, np.array([0.0, side.pulses])) for side in (up, down)]
    low, high = float(np.min(ends)), float(np.max(ends))
    # one pulse scatters by σ of the range; a read between pulses has the noise of both
    return {
        "maxConductance": high,
        "minConductance": low,
        "maxNumLevelLTP": up.pulses,
        "maxNumLevelLTD": down.pulses,
        "NL_LTP": nonlinearity_label(up),
        "NL_LTD": nonlinearity_label(down),
        "sigmaCtoC": max(up.noise, down.noise) / (high - low),
    }


def aihwkit_preset(response: PulseResponse, *, nodes: int = _NODES) -> str:
    """Return Python text that makes the response's ``PiecewiseStepDevice``, and a configuration with it.

    Parameters
    ----------
    response
        Both directions of a device.
    nodes
        Heights of steps over the weights' range.

    Raises
    ------
    InputError
        If a direction is missing.
    """
    up, down = _both(response)
    ends = [np.sort(_curve(side, np.array([0.0, side.pulses]))) for side in (up, down)]
    low = float(max(end[0] for end in ends))
    high = float(min(end[1] for end in ends))
    if not low < high:
        raise InputError(f"{response.name}: its ramps up and down share no conductance")
    g = np.linspace(low, high, nodes)
    half = 0.5 * (high - low)
    steps = {side: _steps(spread, g) / half for side, spread in (("up", up), ("down", down))}
    dw_min = float(np.mean([step.mean() for step in steps.values()]))
    heights = {side: np.maximum(step / dw_min, _LEAST) for side, step in steps.items()}
    noise = max(up.noise, down.noise) / half
    name = re.sub(r"\W", "_", response.name) or "device"
    unit = "S" if response.unit == "S" else "normalised"
    return _TEMPLATE.format(
        title=re.sub(r"[^ -~]", " ", response.name),
        low=low,
        high=high,
        unit=unit,
        name=name if not name[0].isdigit() else f"device_{name}",
        dw_min=dw_min,
        noise=noise / dw_min,
        up=_listed(heights["up"]),
        down=_listed(heights["down"]),
    )


_TEMPLATE = '''"""{title}: its pulse response for aihwkit, as memtwin fitted it.

Weights from -1 to 1 are conductances from {low:.6g} to {high:.6g} ({unit}).
"""

from aihwkit.simulator.configs import SingleRPUConfig
from aihwkit.simulator.configs.devices import PiecewiseStepDevice

{name} = PiecewiseStepDevice(
    dw_min={dw_min!r},
    dw_min_dtod=0.0,  # one device was measured
    dw_min_std={noise!r},  # pulse to pulse, in units of a step
    up_down=0.0,
    up_down_dtod=0.0,
    w_max=1.0,
    w_max_dtod=0.0,
    w_min=-1.0,
    w_min_dtod=0.0,
    piecewise_up={up},
    piecewise_down={down},
)
rpu_config = SingleRPUConfig(device={name})
'''


def _both(response: PulseResponse) -> tuple[RampSpread, RampSpread]:
    sides: Mapping[str, RampSpread] = response.sides
    for way in ("up", "down"):
        if way not in sides:
            raise InputError(
                f"{response.name}: a training simulator needs both directions, there is no ramp {way}"
            )
    return sides["up"], sides["down"]


def _curve(side: RampSpread, n: Array) -> Array:
    """Return the mean ramp by its law alone: what the law leaves behind is noise to a slope."""
    return side.law.curve(n, side.expected(0.0), side.pulses)


def _steps(side: RampSpread, g: Array) -> Array:
    """Return how far one pulse moves at each conductance, as a positive number."""
    n = np.linspace(0.0, side.pulses, 40 * side.pulses + 1)
    place = inverse(n, _curve(side, n), g, clip=True)
    return np.abs(_curve(side, place + 1.0) - _curve(side, place))


def _listed(values: Array) -> str:
    return f"[{', '.join(f'{value:.6g}' for value in values)}]"
