"""All of a tile but a few cells, as the network that these see between their nodes.

While a pulse moves a few devices, the others rest: with the wires and the drivers they are a passive
network with sources. Its Schur complement onto the nodes of the moving cells is a dense admittance,
a resistor between every two nodes, and Norton sources beside it. Resting devices stand in it as
tangents at the pulse's flat part; what their law leaves beside the tangent is part of the sources, on a
grid of times, and is made anew from the voltages that came out until that changes nothing.
"""

__all__ = ["Multiport"]

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.types import Array
from ...devices.printing.ngspice import number
from .nodal import Net

SMALLEST = 1e-13
"""Share of the largest conductance of a port's node below which a resistor is left out."""


@dataclass(frozen=True, eq=False)
class Multiport:
    """What cells ``kept`` see of a tile whose other devices have the tangents ``slope``."""

    net: Net
    kept: NDArray[np.intp]
    """Flat indices of the cells between whose nodes the network is."""
    slope: Array
    """Tangent conductances of all devices [S], flat, 0 for kept and absent ones."""

    @cached_property
    def ports(self) -> NDArray[np.intp]:
        """Indices of the kept cells' nodes, word lines, then bit lines."""
        w, b = self.net.w.ravel()[self.kept], self.net.b.ravel()[self.kept]
        return np.concatenate([w, b])

    @cached_property
    def _factor(self) -> Any:
        shape = self.net.w.shape
        slope = self.slope.reshape(shape)
        return self.net.factor(slope, -slope, np.zeros(0))

    @cached_property
    def reach(self) -> Array:
        """Potential of every node per current into every port [ohm], (nodes, ports)."""
        unit = np.zeros((self.net.size, len(self.ports)))
        unit[self.ports, np.arange(len(self.ports))] = 1.0
        found: Array = self._factor.solve(unit)
        return found

    @cached_property
    def admittance(self) -> Array:
        """Admittance between the ports [S], (ports, ports)."""
        found = np.linalg.inv(self.reach[self.ports])
        even: Array = 0.5 * (found + found.T)
        return even

    def open(self, supplied: Array, beside: Array) -> Array:
        """Return all potentials (times, nodes) while no kept device conducts.

        Parameters
        ----------
        supplied
            Currents of the drivers into all nodes [A], (times, nodes).
        beside
            Currents of all devices beside their tangents [A], (times, cells).
        """
        into: Array = np.zeros(supplied.shape)
        into[:, self.net.w.ravel()] = -beside
        into[:, self.net.b.ravel()] = beside
        into = into + supplied
        found: Array = self._factor.solve(into.T).T
        return found

    def lines(self, names: list[str], t: Array, at_ports: Array) -> list[str]:
        """Return the netlist lines of the network: resistors, and sources that follow the open
        voltages ``at_ports`` (times, ports) at the times ``t``.

        Parameters
        ----------
        names
            Names of the ports' nodes.
        t
            Times, (times,) [s].
        at_ports
            Open voltages, (times, ports) [V].
        """
        y = self.admittance
        diagonal = np.diag(y)
        text = []
        pairs = zip(*(index.tolist() for index in np.triu_indices(len(y), 1)), strict=True)
        for a, b in pairs:
            if -y[a, b] > SMALLEST * max(diagonal[a], diagonal[b]):
                text.append(f"rp{a}_{b} {names[a]} {names[b]} {number(-1.0 / y[a, b])}")
        norton = at_ports @ y
        for a, ground in enumerate(y.sum(axis=1).tolist()):
            if ground > SMALLEST * diagonal[a]:
                text.append(f"rg{a} {names[a]} 0 {number(1.0 / ground)}")
            points = " ".join(
                f"{x!r} {i!r}" for x, i in zip(t.tolist(), norton[:, a].tolist(), strict=True)
            )
            text.append(f"ip{a} 0 {names[a]} pwl({points})")
        return text
