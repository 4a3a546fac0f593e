"""How things show themselves: a title and rows of names and values, as text and as HTML."""

__all__ = ["as_html", "as_text"]

from collections.abc import Sequence
from html import escape

Rows = Sequence[tuple[str, str]]


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
