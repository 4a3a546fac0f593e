"""A column's name, read as what the column holds and in which unit.

:func:`parse_heading` is the one place that knows how people write this: ``Voltage (mV)``, ``I / mA``,
``current_mA``, ``Smu1.I[1][1]``, ``Strom [mA]``, ``Volts``, or a name with its unit in a row below.
"""

__all__ = ["SI", "Heading", "parse_heading"]

import re
from dataclasses import dataclass, replace

from ..errors import InputError
from .units import DENSITY, Unit, parse_unit, plain_symbols, si_factor

SI = {
    "time": "s",
    "voltage": "V",
    "current": "A",
    "density": DENSITY,
    "conductance": "S",
    "resistance": "ohm",
    "width": "s",
    "frequency": "Hz",
    "power": "W",
    "temperature": "K",
}
"""Quantity -> its SI unit; a quantity that is not here, such as ``count``, has none."""

_WORDS = {
    "time": "t time elapsed timestamp timestamps datetime zeit temps tiempo tempo время 时间 時間 시간",
    "voltage": "v u voltage vapp vm vmem bias spannung tension tensione tensão voltaje tensión"
    " napięcie напряжение 电压 電圧 電壓 전압",
    "current": "i current im imem strom courant corriente corrente prąd ток 电流 電流 전류",
    "density": "j density stromdichte",
    "conductance": "g conductance leitwert",
    "resistance": "r resistance widerstand",
    "count": "pulse pulses puls pulsnr index idx number no nr n item count point points row step",
    "cycle": "cycle cycles loop run repeat repetition rep iteration sweep zyklus wordline bitline",
    "status": "status stat flag flags",
    "limit": "compliance compl comp icomp icc limit cc",
    "date": "date datum",
    "width": "width duration breite",
    "amplitude": "amplitude ampl",
    "frequency": "freq frequency",
    "power": "power",
    "temperature": "temp temperature",
}
_QUANTITY = {word: quantity for quantity, words in _WORDS.items() for word in words.split()}
_WHOLE = {
    "vf": "voltage",
    "if": "current",  # HP 4155: forced
    **dict.fromkeys(("av", "bv", "cv", "dv"), "voltage"),  # Keithley 4200: SMU A's voltage ...
    **dict.fromkeys(("ai", "bi", "ci", "di"), "current"),
    "x_value": "time",  # LabVIEW
    "#": "count",
}
_OF_BUFFER = {
    "sourcevalue": "voltage",
    "reading": "current",
    "timestamp": "time",
    "status": "status",
}
"""What a Keithley's buffer calls its columns, where no unit says otherwise."""
_BUFFER = re.compile(r"(?:smu\w*\.)?(?:\w+\.)?(sourcevalue|reading|timestamp|status)(?:e?s)?")
_OF_UNIT = {
    DENSITY: "density",
    "s": "time",
    "V": "voltage",
    "A": "current",
    "S": "conductance",
    "ohm": "resistance",
}
_TERMINALS = frozenset({"bottom", "be", "cathode", "low", "ground", "gnd"})  # the other end
_FILLERS = {
    *("measured", "meas", "applied", "app", "memristor", "mem", "device", "dut", "channel", "ch"),
    *(
        "smu",
        "value",
        "values",
        "stamp",
        "relative",
        "rel",
        "raw",
        "m",
        "data",
        "untitled",
    ),
    *("top", "te", "anode", "drain", "high", "source", "src", "force", "forced", "sense", "set"),
    *("prog", "programmed", "out", "in", "actual", "real", "sample", "cell", "junction", "drive"),
    *_TERMINALS,
}
_CYCLIC = frozenset({"cycle", "count"})  # a cycle's number
_MAGNITUDE = {"abs", "absolute", "magnitude", "betrag"}
_BRACKETS = re.compile(r"\(([^()]*)\)|\[([^\[\]]*)\]|\{([^{}]*)\}")
_FORMULA = re.compile(r"[*^=+×·²³]|^\s*[-−]")
_LETTERED = re.compile(
    r"(?:ch|chan|channel|smu|input|port|probe)[\s_]*[A-D]|C\d", re.IGNORECASE
)  # channels
_KEYS = {"time": "t", "voltage": "v", "conductance": "g", "width": "w"}  # of --unit
_LOG = re.compile(r"(log[\s_]?10|lg|log|ln)[\s_]*(?=[^\w\s]|[\s_]|[iI]\b)(.+)", re.IGNORECASE)
_ABS = re.compile(r"\babs\s*\(([^()]*)\)", re.IGNORECASE)
_GLUED_TERMINAL = re.compile(
    r"([VIUviu])[_\s]?(top|te|anode|drain|bottom|be|cathode|source|src|force"
    r"|meas|measured|prog|applied|app|dut|mem|cell|device|in|out|sense)\b",
    re.IGNORECASE,
)
_CHANNEL = re.compile(r"\s*(?:(?:smu|ch|channel)?\s*\d+)?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Heading:
    """What a column's name says.

    Attributes
    ----------
    text
        The name as written.
    quantity
        ``time``, ``voltage``, ``current`` ... if the name says just that, else None.
    unit
        The unit in the name, or None.
    unclear
        What stands where a unit should and is none.
    mentions
        All quantities that words or unit of the name speak of.
    magnitude
        Whether the column holds a magnitude.
    rank
        Order of preference among columns of one quantity: words beside the quantity, channel.
    scale
        ``log10``, ``ln`` or ``log`` where the column holds a logarithm, which ``log`` leaves open.
    """

    text: str
    quantity: str | None = None
    unit: Unit | None = None
    unclear: str = ""
    mentions: frozenset[str] = frozenset()
    magnitude: bool = False
    rank: tuple[int, int] = (0, 0)
    scale: str = ""

    @property
    def stem(self) -> str:
        """The name in lower case without its numbers, alike for the columns of several cycles."""
        return re.sub(r"[\W_]*\d+", "", self.plain)

    @property
    def plain(self) -> str:
        """The name in lower case, without brackets."""
        return _BRACKETS.sub("", self.text).strip().lower()

    def fits(self, quantity: str) -> bool:
        """Return whether name and unit both say ``quantity``."""
        return (
            self.quantity == quantity
            and not self.unclear
            and (self.unit is None or self.unit.si == SI.get(quantity))
        )

    def factor(self, quantity: str, given: str | None, where: str) -> float:
        """Return the factor of the column's numbers to SI, if they can be ``quantity``.

        A unit ``given`` by the user overrules the words of the name and what is unclear in it, but
        not the dimension of a unit that it holds.

        Parameters
        ----------
        quantity
            What the column is to hold.
        given
            Unit that the user gave, if any.
        where
            What to call the place in messages.

        Raises
        ------
        InputError
            If the name contradicts the use, or holds what is no unit.
        """
        si = SI[quantity]
        if given is None and self.unclear:
            raise InputError(
                f"{where}: {self.unclear!r} can't be the unit here, expected {si} with a prefix,"
                f" such as m{si}: rename the column, or give its unit"
                f" (--unit {_KEYS.get(quantity, 'i')}={'A/cm2' if si == DENSITY else 'm' + si})"
            )
        if self.unit is not None and self.unit.si != si:
            raise InputError(
                f"{where}: {self.unit.si!r} can't be the unit here, expected {si}, as of a"
                f" {quantity}: take another column (--column {_KEYS.get(quantity, 'i')}=NAME)"
            )
        if given is not None:
            return si_factor(given, si, where)
        if self.quantity not in (None, quantity):
            raise InputError(
                f"{where}: by its name this is a {self.quantity}, not a {quantity}: take another"
                " column, or give the unit as well if it is one (--unit"
                f" {_KEYS.get(quantity, 'i')}=m{si})"
            )
        return 1.0 if self.unit is None else self.unit.factor


def parse_heading(text: str, below: str = "") -> Heading:
    """Read a column's name, and the unit that a row of units has ``below`` it."""
    logarithm = _LOG.fullmatch(plain_symbols(text).strip())
    if logarithm:
        inner = parse_heading(_opened(logarithm.group(2)), below)
        if inner.quantity == "current":
            scale = re.sub(r"[\s_]", "", logarithm.group(1)).lower().replace("lg", "log10")
            return replace(inner, text=text, magnitude=True, scale=scale)
    name, written = _split(_ABS.sub(r"|\1|", plain_symbols(text).strip()))
    units = [
        unit for unit in (*written, _BRACKETS.sub(_inner, plain_symbols(below))) if unit.strip()
    ]
    quantity, mentions, magnitude, rank = _words(name)
    unit, unclear = _agreed(units, quantity)
    if not units:
        unit, unclear, name = _at_the_end(name)
        quantity, mentions, magnitude, rank = _words(name)
        if unit is not None and quantity is None and not mentions and not _unknown(name):
            quantity = _OF_UNIT.get(unit.si)
        unit, unclear = _weak(unit, quantity, unclear)
        unclear = unclear or ("" if unit else _hidden(name))
    elif unit is not None and quantity is None and not mentions and not _unknown(name):
        quantity = _OF_UNIT.get(unit.si)  # a channel is what its unit says
    if quantity == "amplitude" and unit is not None and unit.si == "V":
        quantity, rank = "voltage", (rank[0] + 1, rank[1])  # of the pulses, where nothing else is
    buffer = _BUFFER.fullmatch(plain_symbols(text).strip().lower())
    if buffer and quantity is None and unit is None and not unclear:
        quantity = _OF_BUFFER[buffer.group(1)]
        mentions |= {quantity}
    if _FORMULA.search(name):
        quantity, unclear = None, unclear or text
    if unit is not None:
        mentions |= {_OF_UNIT.get(unit.si, unit.si)}
    return Heading(text, quantity, unit, unclear, mentions, magnitude, rank)


def _opened(name: str) -> str:
    """Return what is in the brackets of a logarithm, and behind them."""
    found = re.fullmatch(r"\s*\((.*)\)\s*", name)
    if found and found.group(1).count("(") == found.group(1).count(")"):
        return found.group(1)
    return re.sub(r"^\s*\(((?:[^()]|\([^()]*\))*)\)", r"\1", name).strip(" _")


def _inner(found: "re.Match[str]") -> str:
    return next(group for group in found.groups() if group is not None)


def _split(name: str) -> tuple[str, list[str]]:
    """Return the name without what brackets, slash, comma or ``in`` set apart as its unit."""
    units: list[str] = []

    def set_apart(found: "re.Match[str]") -> str:
        inner = _inner(found)
        words = re.findall(r"[^\W\d_]+", inner.lower())
        if _CHANNEL.fullmatch(inner) or (words and _FILLERS.issuperset(words)):
            return f" {inner} "
        units.append(inner)
        return " "

    rest = _BRACKETS.sub(set_apart, name).strip()
    if units and rest.endswith("/"):  # I / (mA)
        rest = rest[:-1].strip()
    if not units:
        for apart in (r"(.+?)\s*/\s*(.+)", r"(.+?)\s*[,;]\s*(.+)", r"(.+?)[\s_]in[\s_]+(.+)"):
            found = re.fullmatch(apart, rest)
            if found:
                return found.group(1), [found.group(2)]
    elif "/" in rest:
        units.append(rest)
    return rest, units


def _tokens(name: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", _GLUED_TERMINAL.sub(r"\1 \2", name))
    return [word.lower() for word in re.findall(r"[^\W\d_]+|\d+", apart)]


def _unknown(name: str) -> bool:
    if _LETTERED.fullmatch(name):
        return False
    known = (*_QUANTITY, *_FILLERS, *_MAGNITUDE)
    return any(not word.isdigit() and word not in known for word in _tokens(name))


def _words(name: str) -> tuple[str | None, frozenset[str], bool, tuple[int, int]]:
    """Return the quantity that a name without unit is, those it mentions, whether it is a magnitude,
    and its rank.
    """
    plain = re.sub(r"(?<=\w)[\W_]*\d+\W*$", "", name.strip().lower())
    tokens = _tokens(name)
    magnitude = not _MAGNITUDE.isdisjoint(tokens) or bool(re.fullmatch(r"\|.*\|", plain))
    numbers = [int(word) for word in tokens if word.isdecimal() and len(word) < 5]
    if plain in _WHOLE:
        quantity = _WHOLE[plain]
        return quantity, frozenset({quantity}), False, (0, ord(plain[0]) + sum(numbers))
    words = [word for word in tokens if not word.isdigit() and word not in _MAGNITUDE]
    named = [word for word in words if word not in _FILLERS]
    mentions = frozenset(_QUANTITY[word] for word in named if word in _QUANTITY)
    exact = len(mentions) == 1 and all(word in _QUANTITY for word in named)
    if not exact:
        inside = (word for word in _QUANTITY if len(word) > 3 and word in plain)  # pulsewidth
        mentions |= {_QUANTITY[word] for word in inside}
    if "cycle" in mentions and (numbers or "sweep" in named):
        mentions = mentions - {"cycle"} or mentions  # V of cycle 2
        exact = len(mentions) == 1 and all(word in _QUANTITY for word in named)
    if mentions == _CYCLIC:
        mentions, exact = frozenset({"cycle"}), all(word in _QUANTITY for word in named)
    if mentions == {"date", "time"}:
        mentions, exact = frozenset({"time"}), all(word in _QUANTITY for word in named)
    if "density" in mentions:
        mentions, exact = frozenset({"density"}), mentions <= {"density", "current"}
    others = len(words) - 1 + ("timestamp" in words) + 2 * bool(_TERMINALS.intersection(words))
    return (
        next(iter(mentions)) if exact else None,
        mentions,
        magnitude,
        (others, numbers[0] if numbers else 0),
    )


def _agreed(units: list[str], quantity: str | None) -> tuple[Unit | None, str]:
    """Return the one unit that all the texts are, or what is unclear."""
    found = {_seconds(parse_unit(text), text, quantity) for text in units}
    if len(found) == 1 and None not in found:
        return found.pop(), ""
    return None, " and ".join(units)


def _seconds(unit: Unit | None, text: str, quantity: str | None) -> Unit | None:
    """Return seconds for the S of a time in capitals."""
    return Unit("s") if quantity in ("time", "width") and text.strip() == "S" else unit


def _at_the_end(name: str) -> tuple[Unit | None, str, str]:
    """Return the unit that the last word of a name is, what is unclear, and the words before it."""
    if _LETTERED.fullmatch(name):
        return None, "", name  # channel A of an oscilloscope is no current
    whole = None if re.search(r"\s", name) else parse_unit(name)  # "U V" is no microvolt
    if whole is not None and whole.si in _OF_UNIT and name not in ("h", "min"):
        return whole, "", ""
    found = re.fullmatch(r"(.*[^\s_.:-])[\s_.:-]+([^\s_.:-]+)[.\s]*", name)
    if found is None:
        return _glued(name)
    head, tail = found.groups()
    unit = parse_unit(tail)
    if unit is None:
        return None, "", name
    said, mentioned, *_ = _words(head)
    if re.search(r"(?:^|[\s_@-])[\d.]+$", head) and mentioned - {_OF_UNIT.get(unit.si)}:
        return None, "", head  # a current at 0.1 V
    return _seconds(unit, tail, said), tail, head


def _glued(name: str) -> tuple[Unit | None, str, str]:
    """Cut ``CurrentmA`` and ``ImA``; ``Is`` and ``VA`` may be names."""
    for cut in range(len(name) - 1, 0, -1) if name.lower() not in _QUANTITY else ():
        head, tail = name[:cut], name[cut:]
        unit = parse_unit(tail)
        if unit is not None and head.lower() in _QUANTITY and (cut > 3 or unit.factor != 1.0):
            return unit, tail, head
    return None, "", name


def _hidden(name: str) -> str:
    """Return a unit with a prefix that stands elsewhere in a name, if not after a number."""
    for found in re.finditer(r"(?<![\d.\w])[^\W\d_]+|(?<=_)[^\W\d_]+", name):
        unit = parse_unit(found.group())
        if unit is not None and unit.factor != 1.0 and len(found.group()) > 1:
            return found.group()
    return ""


def _weak(unit: Unit | None, quantity: str | None, tail: str) -> tuple[Unit | None, str]:
    """Return a unit after an underscore or blank only where it suits the name: ``V_s`` may be the
    source's voltage.
    """
    if unit is not None and quantity in SI and SI[quantity] != unit.si:
        return None, tail
    return unit, ""
