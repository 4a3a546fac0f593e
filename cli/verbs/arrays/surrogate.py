"""``memtwin surrogate fit|check|show``: fit a surrogate to a characterisation, and judge it."""

__all__ = ["app", "check", "fit", "show"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...console import Json, emit, note, picture, verb

if TYPE_CHECKING:
    from ....circuits.surrogate.fit import Check, SurrogateFit

Record = Annotated[Path, typer.Argument(help="A characterisation (memtwin characterise).")]
Fitted = Annotated[Path, typer.Argument(help="A fitted surrogate (memtwin surrogate fit).")]


def fit(
    record: Record,
    out: Annotated[Path, typer.Argument(help="Where to keep the surrogate (HDF5).")],
    json: Json = False,
) -> dict[str, Any]:
    """Fit device law and effective resistances, and judge them on the held-out vectors."""
    from ....circuits.surrogate.characterise import load_characterisation
    from ....circuits.surrogate.fit import fit_surrogate

    found = load_characterisation(record)
    fitted = fit_surrogate(found)
    fitted.save(out)
    summary = {"surrogate": str(out)} | _described(fitted) | _judged(fitted.check(found))
    emit(summary, as_json=json, title="surrogate")
    return summary


def check(
    surrogate: Fitted,
    record: Record,
    plot: Annotated[
        Path | None, typer.Option(help="Where to draw the errors.", callback=picture)
    ] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Judge a fitted surrogate on the held-out vectors of a characterisation, beside baselines."""
    from ....circuits.surrogate.characterise import load_characterisation
    from ....circuits.surrogate.fit import load_surrogate

    found = load_characterisation(record)
    judged = load_surrogate(surrogate).check(found)
    summary: dict[str, Any] = {"surrogate": str(surrogate), "record": str(record)}
    summary |= _judged(judged)
    if plot is not None:
        _draw(judged, plot)
        summary["plot"] = str(plot)
        note(f"picture: {plot}")
    emit(summary, as_json=json, title="held-out vectors")
    return summary


def show(surrogate: Fitted, json: Json = False) -> dict[str, Any]:
    """Show what a fitted surrogate consists of, and where it may be used."""
    from ....circuits.surrogate.fit import load_surrogate

    fitted = load_surrogate(surrogate)
    tile, law = fitted.nominal, fitted.law
    summary = {
        "rows": tile.rows,
        "cols": tile.cols,
        "device": tile.cell.device.name,
        **_described(fitted),
        "g_range_siemens": law.g_range,
        "v_range_volt": law.v_range,
        "powers": {f"b^{k}": list(powers) for k, powers in law.powers.items()},
        "law_residual_percent": 100.0 * law.residual,
        "meta": fitted.meta,
    }
    emit(summary, as_json=json, title="surrogate")
    return summary


def _described(fitted: "SurrogateFit") -> dict[str, Any]:
    from ....circuits.surrogate.fit import RESISTANCES

    return {
        **{name: getattr(fitted.tile, name) for name in RESISTANCES},
        "stated": {name: getattr(fitted.nominal, name) for name in RESISTANCES},
        "relative_stderr": fitted.stderr,
        "residual_percent": fitted.residual_percent,
        "multipliers": list(fitted.multipliers),
    }


def _judged(judged: "Check") -> dict[str, Any]:
    return {key: value for key, value in judged.tree().items() if key.endswith("percent")}


def _draw(judged: "Check", path: Path) -> None:
    from matplotlib.figure import Figure

    from ....circuits.surrogate.plots import error_against_current, scatter
    from ....data.files import write_figure

    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    scatter(left, judged.spice, judged.predicted, baseline=judged.ideal)
    engines = {
        "device law without wires": judged.ideal,
        "alpha-beta": judged.alpha_beta,
        "surrogate": judged.predicted,
        "line solver": judged.line,
    }
    error_against_current(right, judged.spice, engines)
    write_figure(figure, path)


app = typer.Typer(no_args_is_help=True, help="Fit, judge and show surrogates.")
for command in (fit, check, show):
    app.command()(verb(command))
