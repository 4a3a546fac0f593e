"""How things show themselves: a title and rows of names and values, as text and as HTML."""

__all__ = ["Group", "Line", "as_html", "as_text", "laid_out"]

import string
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from .shown.quantities import figure, saved

Rows = Sequence[tuple[str, str]]


class Line(NamedTuple):
    """A line of a summary: a label, and a text whose ``{names}`` stand for figures with their units;
    ``{name:less}`` is a share saved, with its word, or how much more it was.
    """

    label: str
    text: str


class Group(NamedTuple):
    """Lines under a heading."""

    title: str
    lines: tuple[Line, ...]


def laid_out(groups: Iterable[Group], figures: Mapping[str, Any]) -> list[tuple[str, Rows]]:
    """Return headings with their lines filled in; a line that names a figure that is not there, or
    that is ``None``, is left out, and so is a heading without lines. Of lines with one label the first
    that can be filled stands.
    """
    found: list[tuple[str, Rows]] = []
    for group in groups:
        rows: dict[str, str] = {}
        for line in group.lines:
            text = None if line.label in rows else _filled(line.text, figures)
            if text is not None:
                rows[line.label] = text
        if rows:
            found.append((group.title, list(rows.items())))
    return found


def _filled(text: str, figures: Mapping[str, Any]) -> str | None:
    parts: list[str] = []
    for before, name, word, _ in string.Formatter().parse(text):
        parts.append(before)
        if name is not None:
            if figures.get(name) is None:
                return None
            value = figures[name]
            parts.append(saved(value, word) if word else figure(name, value))
    return "".join(parts)


def as_text(title: str, rows: Rows) -> str:
    """Return ``title`` and below it the rows, their values aligned."""
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in rows)])


def as_html(title: str, rows: Rows) -> str:
    """Return the same as a table for notebooks."""
    cells = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th>'
        f'<td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in rows
    )
    return f"<table><caption>{escape(title)}</caption>{cells}</table>"
