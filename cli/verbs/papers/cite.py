"""``memtwin cite``: the papers of what a run, a fit or a device was made with."""

__all__ = ["Bibtex", "cite", "works"]

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from ....data.errors import InputError
from ...console import Json, emit, note, show

Bibtex = Annotated[bool, typer.Option("--bibtex", help="Entries for a .bib file.")]


def cite(
    run: Annotated[
        str,
        typer.Argument(help="A run's folder or record, the record of a fit (.h5), or a device."),
    ],
    bibtex: Bibtex = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to write it; without it, stdout.")
    ] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Name the works behind a run: model, device, method, engines, data."""
    return works(_pairs(run), run, bibtex=bibtex, out=out, json=json)


def _pairs(what: str) -> list[tuple[str, str]]:
    """Return DOIs or keys, and what they are cited for."""
    from ....devices.works import device_works

    path = Path(what)
    if not path.exists() or path.suffix == ".toml":
        from ....devices.device import load_device

        if not path.exists() and ("/" in what or path.suffix):
            raise InputError(f"there is no run, record or device {what}")
        return list(device_works(load_device(what)))
    if path.is_file() and _kind(path) == "fit":
        from ....devices.fitting.result import load_fit

        fit = load_fit(path)
        found = list(device_works(fit.device(path.stem)))
        return [*found, ("lmfit", "least squares"), ("memtwin", "the fit")]
    from ....training.runs.record import load_record
    from ....training.runs.report.works import run_works

    return list(run_works(load_record(path)))


def _kind(path: Path) -> str:
    import h5py

    try:
        with h5py.File(path) as file:
            kind = file.attrs.get("kind", file.get("kind"))
            value = kind[()] if isinstance(kind, h5py.Dataset) else kind
            return value.decode() if isinstance(value, bytes) else str(value)
    except OSError:
        return ""  # whoever reads it says what is wrong


def works(
    pairs: Iterable[tuple[str, str]], of: str, *, bibtex: bool, out: Path | None, json: bool
) -> dict[str, Any]:
    """Print works, each once with what it is cited for, or write them to a file."""
    from ....data.files import write_text
    from ....data.literature.references import cited

    found = cited(pairs)
    entries = [
        {
            "key": one.reference.key,
            "text": one.reference.text,
            "bibtex": one.reference.bibtex,
            "doi": one.reference.doi or None,
            "for": list(one.reasons),
        }
        for one in found
    ]
    if bibtex:
        text = "\n\n".join(one.reference.bibtex for one in found)
    else:
        text = "\n".join(f"{one.reference.text}  [{'; '.join(one.reasons)}]" for one in found)
    if out is not None:
        write_text(out, text + "\n" if text else "")
    summary: dict[str, Any] = {"of": of, "works": entries, "file": out}
    if json:
        emit(summary, as_json=True)
    elif out is not None:
        emit({"works": len(found), "file": out}, as_json=False)
    elif not found:
        note(f"nothing is cited for {of}")
    else:
        show(text)
    return summary
