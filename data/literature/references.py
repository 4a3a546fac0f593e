"""Works by key or DOI, as text and as BibTeX, and what each of them is cited for."""

__all__ = ["Cited", "Reference", "cited", "dois_in", "find_reference", "references"]

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files

from ..errors import InputError, nearest
from ..files import parse_toml

_DOI = re.compile(r"10\.\d{4,9}/[^\s;,)\]\"']+")
_KINDS = {"article": "journal", "inproceedings": "booktitle", "techreport": "institution"}
"""BibTeX's types, and where each has what it appeared in; all others are ``misc``."""


@dataclass(frozen=True)
class Reference:
    """One work; what is not known is empty."""

    key: str
    authors: str = ""
    """Separated by semicolons, ``others`` last where there are more."""
    title: str = ""
    venue: str = ""
    """Journal, proceedings, archive or publisher."""
    year: int = 0
    volume: str = ""
    """With the number in parentheses, if it has one."""
    pages: str = ""
    doi: str = ""
    url: str = ""
    note: str = ""
    kind: str = "article"
    """``article``, ``inproceedings``, ``techreport``, ``software`` or ``misc``."""

    @property
    def text(self) -> str:
        """One line for people."""
        names = [name.strip() for name in self.authors.split(";") if name.strip()]
        more = names[-1:] == ["others"] or len(names) > 6
        who = ", ".join(names[:1] if more else names) + (" et al." if more else "")
        where = " ".join(part for part in (self.venue, self.volume) if part)
        if self.pages:
            where += f", {self.pages}"
        year = f" ({self.year})" if self.year else ""
        parts = [who, self.title, f"{where}{year}".strip(), self.note]
        said = ". ".join(part for part in parts if part)
        link = f"doi:{self.doi}" if self.doi else self.url
        said = re.sub(r"\.\. ", ". ", said)  # after "et al."
        return f"{said}. {link}".strip() if said else link

    @property
    def bibtex(self) -> str:
        """An entry for a .bib file."""
        volume, _, number = self.volume.rstrip(")").partition("(")
        authors = " and ".join(name.strip() for name in self.authors.split(";"))
        values = {
            "author": authors,
            "title": f"{{{self.title}}}" if self.title else "",
            _KINDS.get(self.kind, "howpublished"): self.venue,
            "year": str(self.year or ""),
            "volume": volume,
            "number": number,
            "pages": self.pages.replace("-", "--"),
            "doi": self.doi,
            "url": self.url,
            "note": self.note,
        }
        kind = self.kind if self.kind in _KINDS else "misc"
        rows = [f"  {name} = {{{value}}}" for name, value in values.items() if value]
        return f"@{kind}{{{self.key},\n" + ",\n".join(rows) + "\n}"


@dataclass(frozen=True)
class Cited:
    """A work, and what of the things used is owed to it."""

    reference: Reference
    reasons: tuple[str, ...]


@cache
def references() -> Mapping[str, Reference]:
    """Return every work that memtwin knows, by its key."""
    text = (files(__package__) / "references.toml").read_text(encoding="utf-8")
    known = {item.name for item in fields(Reference)}
    found = {}
    for key, row in parse_toml(text, "references.toml").items():
        wrong = set(row) - known
        if wrong:
            raise InputError(f"references.toml: {key} has {sorted(wrong)}, which no work has")
        found[key] = Reference(key, **row)
    return found


def find_reference(what: str) -> Reference:
    """Return a work by its key or its DOI; one that memtwin does not know by its DOI alone.

    Raises
    ------
    InputError
        If it is neither a known key nor a DOI.
    """
    wanted = what.strip().removeprefix("https://doi.org/").removeprefix("doi:")
    if wanted in references():
        return references()[wanted]
    for work in references().values():
        if work.doi and work.doi.lower() == wanted.lower():
            return work
    if _DOI.fullmatch(wanted):
        return Reference(re.sub(r"[^0-9A-Za-z]+", "_", wanted), doi=wanted, kind="misc")
    raise InputError(f"{what!r:.80} is no DOI and no known work{nearest(what, references())}")


def dois_in(text: str) -> tuple[str, ...]:
    """Return the DOIs that a text names, each once, in their order."""
    return tuple(dict.fromkeys(found.rstrip(".") for found in _DOI.findall(text)))


def cited(reasons: Iterable[tuple[str, str]]) -> list[Cited]:
    """Return works, each once with all that it is cited for, from pairs of key or DOI and reason."""
    found: dict[str, tuple[Reference, list[str]]] = {}
    for what, reason in reasons:
        work = find_reference(what)
        of = found.setdefault(work.key, (work, []))[1]
        if reason not in of:
            of.append(reason)
    return [Cited(work, tuple(of)) for work, of in found.values()]
