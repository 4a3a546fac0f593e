"""Equations as text, read by a grammar of their own: nothing in them is ever run.

::

    sum        term, or terms with + and - between them
    term       factors with * and / between them, each with any signs before it
    factor     atom, or atom ** factor
    atom       number, name, function(sum, ...), (sum)
    condition  sum < sum, with <, <=, > or >=; only in where(condition, value, ..., otherwise)

Names are the voltage ``v``, the state ``x`` and what the caller knows: parameters, definitions. Functions are those of
:data:`.vocabulary.FUNCTIONS`. Length, size, nesting, integers and exponents have limits, constants are computed at once
as floating-point numbers, and what is no finite real number is refused, so that no text takes long to read.
"""

__all__ = ["ALLOWED", "Formula", "parse"]

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy.core.relational import Relational
from sympy.logic.boolalg import BooleanAtom

from ...data.errors import InputError, nearest
from .vocabulary import FUNCTIONS, number

ALLOWED = "numbers, names, + - * / ** ( ), < <= > >= in where(), and functions"

_LENGTH, _SIZE, _NESTING, _DEPTH, _EXPONENT = 10_000, 4_000, 40, 60, 64
_LARGEST = 1e300
_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>\*\*|<=|>=|[-+*/(),<>])|(?P<end>\Z)",
    re.ASCII,
)
_SPACE = re.compile(r"[ \t\r\n]*")
_RELATIONS: Mapping[str, Callable[..., Any]] = {"<": sp.Lt, "<=": sp.Le, ">": sp.Gt, ">=": sp.Ge}


@dataclass(frozen=True)
class Formula:
    """An expression, and what bounds the work that it makes: its parts, and how deep they are nested."""

    expr: Any
    size: int = 1
    depth: int = 1


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


def parse(text: str, names: Mapping[str, Formula | sp.Expr], where: str) -> Formula:
    """Return what an equation says, in SymPy.

    Parameters
    ----------
    text
        The equation; lines may be broken anywhere between its words.
    names
        What its names stand for.
    where
        Begins the sentence where it can't be read: ``mine.toml: rate``.

    Raises
    ------
    InputError
        If it is no equation, with line and column; or too large; or no finite real number by itself.
    """
    if len(text) > _LENGTH:
        raise InputError(f"{where} has {len(text)} characters, expected at most {_LENGTH}")
    known = {k: f if isinstance(f, Formula) else Formula(f) for k, f in names.items()}
    reader = _Reader(text, known, where)
    whole = reader.sum()
    if reader.next.kind != "end":
        raise reader.refusal(f"{reader.next.text!r} is not expected here")
    if any(not abs(float(value)) <= _LARGEST for value in whole.expr.atoms(sp.Number)):
        raise InputError(f"{where}: computing its constants leads to a number that is too large")
    return whole


class _Reader:
    """Reads one text from left to right; ``next`` is the token to be read."""

    def __init__(self, text: str, names: Mapping[str, Formula], where: str) -> None:
        self._text, self._names, self._where = text, names, where
        self._nesting = 0
        self.next = self._token(0)

    def sum(self) -> Formula:
        start = self.next
        self._nesting += 1
        if self._nesting > _NESTING:
            raise self.refusal(f"this is nested more than {_NESTING} deep")
        terms = [self._term()]
        while self.next.text in ("+", "-"):
            terms.append(self._term())
        self._nesting -= 1
        return terms[0] if len(terms) == 1 else self._made(start, sp.Add, terms)

    def _term(self) -> Formula:
        start, factors = self.next, self._factor()
        while self.next.text in ("*", "/"):
            inverse = self._take().text == "/"
            at, more = self.next, self._factor()
            if inverse:
                more = [self._power(at, part, Formula(sp.Integer(-1))) for part in more]
            factors += more
        # All at once: SymPy would multiply a number into a sum, and a sum only, that comes next.
        return factors[0] if len(factors) == 1 else self._made(start, sp.Mul, factors)

    def _factor(self) -> list[Formula]:
        """Return a factor, after -1 if an odd number of its signs is negative."""
        negative = False
        while self.next.text in ("+", "-"):
            negative ^= self._take().text == "-"
        start, base = self.next, self._atom()
        if self.next.text == "**":
            self._take()
            self._nesting += 1
            if self._nesting > _NESTING:
                raise self.refusal(f"this is nested more than {_NESTING} deep")
            exponent = self._factor()
            self._nesting -= 1
            whole = exponent[0] if len(exponent) == 1 else self._made(start, sp.Mul, exponent)
            base = self._power(start, base, whole)
        return [Formula(sp.Integer(-1)), base] if negative else [base]

    def _atom(self) -> Formula:
        token = self._take()
        if token.kind == "number":
            return Formula(self._number(token))
        if token.kind == "name":
            if self.next.text == "(":
                return self._call(token)
            if token.text not in self._names:
                kind = (
                    "needs its arguments in ( )" if token.text in FUNCTIONS else "is no name here"
                )
                hint = "" if token.text in FUNCTIONS else nearest(token.text, self._names)
                raise self.refusal(f"{token.text!r:.60} {kind}{hint}", token)
            return self._names[token.text]
        if token.text == "(":
            inner = self.sum()
            self._expect(")")
            return inner
        what = "the equation ends" if token.kind == "end" else f"{token.text!r} is not expected"
        raise self.refusal(f"{what} where a number, a name or ( should be", token)

    def _call(self, token: _Token) -> Formula:
        """Read a function's arguments in parentheses, and call it."""
        if token.text not in FUNCTIONS:
            what = "is no function" if token.text not in self._names else "is a name, no function"
            raise self.refusal(f"{token.text!r:.60} {what}{nearest(token.text, FUNCTIONS)}", token)
        function = FUNCTIONS[token.text]
        self._take()
        given: list[Formula] = []
        while not given or self.next.text == ",":
            if given:
                self._take()
            conditional = function.conditions and len(given) % 2 == 0
            given.append(self._condition() if conditional else self.sum())
        self._expect(")")
        if not function.takes(len(given)):
            raise self.refusal(
                f"{token.text}() takes {function.signature}, got {len(given)} arguments", token
            )
        if function.conditions and _is_condition(given[-1]):
            raise self.refusal(f"{token.text}() has no last value, for otherwise", token)
        if all(isinstance(part.expr, sp.Number) for part in given) and function.number:
            return Formula(self._computed(token, function.number, given))
        return self._made(token, function.symbolic, given, copies=function.copies)

    def _condition(self) -> Formula:
        """Read a comparison; or the last value of ``where``, which has none."""
        start, left = self.next, self.sum()
        if self.next.text not in _RELATIONS:
            if self.next.text == ",":
                raise self.refusal("expected a comparison, such as v >= 0, before this comma")
            return left
        relation = _RELATIONS[self._take().text]
        right = self.sum()
        if left.expr.has(sp.Piecewise) or right.expr.has(sp.Piecewise):  # not in all printings
            raise self.refusal("a condition can't have where() or sign() in it", start)
        return self._made(start, relation, [left, right])

    def _power(self, start: _Token, base: Formula, exponent: Formula) -> Formula:
        power = exponent.expr
        if isinstance(power, sp.Float) and float(power).is_integer():
            power = sp.Integer(int(power))  # ngspice takes other powers of the magnitude
        if isinstance(power, sp.Integer) and abs(power) > _EXPONENT:
            raise self.refusal(f"an exponent is {float(power):g}, above {_EXPONENT}", start)
        if isinstance(base.expr, sp.Number) and isinstance(power, sp.Number):
            if power == -1 and isinstance(base.expr, sp.Rational) and base.expr != 0:
                return Formula(1 / base.expr)
            return Formula(self._computed(start, lambda b, e: b**e, [base, Formula(power)]))
        return self._made(start, sp.Pow, [base, Formula(power, exponent.size, exponent.depth)])

    def _made(
        self, start: _Token, build: Callable[..., Any], parts: list[Formula], copies: int = 1
    ) -> Formula:
        size = 1 + copies * sum(part.size for part in parts)
        depth = 1 + max(part.depth for part in parts)
        if size > _SIZE or depth > _DEPTH:
            limit = f"{_SIZE} parts" if size > _SIZE else f"{_DEPTH} levels"
            raise self.refusal(f"with its definitions this has more than {limit}", start)
        try:
            expr = build(*(part.expr for part in parts))
        except InputError as error:
            raise self.refusal(str(error), start) from error
        except Exception as error:  # whatever SymPy finds wrong with it
            raise self.refusal("this can't be computed", start) from error
        made = Formula(expr, size, depth)
        if not _is_condition(made):
            self._check(start, expr)
        return made

    def _check(self, start: _Token, expr: Any) -> None:
        """Refuse what is no finite real number, and numbers that no printing can hold."""
        if expr.has(sp.zoo, sp.nan, sp.oo, -sp.oo, sp.I):
            raise self.refusal("this is no finite real number", start)
        factor = expr.as_coeff_Mul()[0]
        exponent = expr.as_base_exp()[1]
        if isinstance(exponent, sp.Integer) and abs(exponent) > _EXPONENT:
            raise self.refusal(f"an exponent of this is above {_EXPONENT}", start)
        if isinstance(factor, sp.Rational) and max(abs(factor.p), factor.q) > _LARGEST:
            raise self.refusal("this has a number that is too large", start)

    def _computed(self, start: _Token, law: Callable[..., Any], parts: list[Formula]) -> Any:
        try:
            value = law(*(float(part.expr) for part in parts))
            if isinstance(value, complex) or not abs(value) <= _LARGEST:
                raise ValueError
        except (ArithmeticError, ValueError) as error:
            raise self.refusal("this is no finite real number", start) from error
        return number(float(value))

    def _number(self, token: _Token) -> Any:
        if token.text.isdecimal() and len(token.text) <= 15:
            return sp.Integer(int(token.text))
        value = float(token.text)
        if value > _LARGEST:
            raise self.refusal(f"the number {token.text:.20} is too large", token)
        return sp.Float(value)

    def _expect(self, sign: str) -> None:
        if self.next.text != sign or self.next.kind != "sign":
            found = "the equation ends" if self.next.kind == "end" else f"found {self.next.text!r}"
            raise self.refusal(f"expected {sign!r}, {found}")
        self._take()

    def _take(self) -> _Token:
        token = self.next
        self.next = self._token(token.at + len(token.text))
        return token

    def _token(self, at: int) -> _Token:
        space = _SPACE.match(self._text, at)
        at = at if space is None else space.end()
        found = _TOKEN.match(self._text, at)
        if found is None:
            word = re.match(r"[\d.]\S*|.", self._text[at : at + 40], re.DOTALL)
            text = word.group() if word else ""
            hint = "; a power is **" if text == "^" else ""
            raise self.refusal(f"{text!r} has no place in an equation{hint}", _Token("", "", at))
        return _Token(str(found.lastgroup), found.group(), at)

    def refusal(self, problem: str, token: _Token | None = None) -> InputError:
        """Return the error of a problem at a token, the next one unless given."""
        at = (token or self.next).at
        line = self._text.count("\n", 0, at) + 1
        column = at - (self._text.rfind("\n", 0, at) + 1) + 1
        return InputError(
            f"{self._where}, line {line}, column {column}: {problem}; allowed are {ALLOWED}"
        )


def _is_condition(part: Formula) -> bool:
    return isinstance(part.expr, (Relational, BooleanAtom))
