"""What SPICE simulators write differently in the expressions of behavioural sources.

==========  ======================  ============  =====================================
            a choice                both          an expression in a source
==========  ======================  ============  =====================================
ngspice     ``(c ? a : b)``         ``a && b``    ``I=...``, parameters in braces
ltspice     ``if(c, a, b)``         ``a & b``     ``I=...``, parameters in braces
xyce        ``IF(c, a, b)``         ``a && b``    ``I={...}``, parameters by their names
==========  ======================  ============  =====================================

What else the printings use, all three read alike: ``**``, ``min`` and ``max`` of two, ``exp``, ``ln``, ``sinh``,
``tanh``, ``abs``, ``.subckt ... params:``, and a capacitor's ``ic``. Sources: the LTspice help, "B. Arbitrary
behavioral voltage or current sources"; the Xyce reference guide, "Expressions" and "Nonlinear dependent source".
"""

__all__ = ["DIALECTS", "NGSPICE", "Dialect", "find_dialect"]

from collections.abc import Mapping
from dataclasses import dataclass

from ...data.errors import InputError, nearest


@dataclass(frozen=True)
class Dialect:
    """How one simulator is written to.

    Attributes
    ----------
    name
        Its key in :data:`DIALECTS`.
    choice
        Template of "a where c holds, else b".
    both, either
        Logical operators.
    braced
        Whether a source's expression as a whole stands in braces, and parameters in it do not.
    """

    name: str
    choice: str
    both: str
    either: str
    braced: bool

    def source(self, kind: str, expression: str) -> str:
        """Return what a B source of kind ``I`` or ``V`` has behind its nodes."""
        if self.braced:
            return f"{kind}={{{expression.replace('{', '').replace('}', '')}}}"
        return f"{kind}={expression}"


NGSPICE = Dialect("ngspice", "({c} ? {a} : {b})", " && ", " || ", False)

DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        NGSPICE,
        Dialect("ltspice", "if({c}, {a}, {b})", " & ", " | ", False),
        Dialect("xyce", "IF({c}, {a}, {b})", " && ", " || ", True),
    )
}
"""The dialects by name."""


def find_dialect(dialect: str | Dialect) -> Dialect:
    """Return a dialect by its name, or the dialect itself.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if isinstance(dialect, Dialect):
        return dialect
    if dialect not in DIALECTS:
        raise InputError(f"unknown dialect {dialect!r}{nearest(dialect, DIALECTS)}")
    return DIALECTS[dialect]
