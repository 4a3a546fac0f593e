"""Characterisation in ngspice and the surrogate that is fitted to it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from memtwin.circuits.array.cell import Cell, Transistor
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.lines.cell_law_fit import sweep_cell
from memtwin.circuits.ngspice.engine import Spice
from memtwin.circuits.surrogate.cell_deck import sweep_in_ngspice
from memtwin.circuits.surrogate.characterise import (
    Characterisation,
    CharacteriseOptions,
    characterise,
    load_characterisation,
)
from memtwin.circuits.surrogate.fit import RESISTANCES, fit_surrogate, load_surrogate
from memtwin.data.errors import InputError
from memtwin.data.records.store import pack, unpack, write_record

pytestmark = pytest.mark.spice

G = np.linspace(5e-6, 1e-4, 16)


OPTIONS = CharacteriseOptions(vectors=12, held_out=9)


@pytest.fixture(scope="module")
def tile() -> Tile:
    return Tile(16, 12, r_row=5.0, r_col=4.0, levels=Cell.sinh_state({}, 0.2).levels(G))


@pytest.fixture(scope="module")
def record(tile: Tile) -> Characterisation:
    return characterise(tile, OPTIONS, seed=5)


@pytest.mark.parametrize("access", [None, Transistor()])
def test_cells_in_ngspice_carry_what_their_equations_say(access: Transistor | None) -> None:
    cell = Cell.sinh(5.0, 0.2, access=access)
    sweep, deck = sweep_in_ngspice(cell, G[::5], (-0.04, 0.2), voltages=13)
    expected = sweep_cell(cell, G[::5], (-0.04, 0.2), voltages=13)
    assert np.abs(sweep.i - expected.i).max() < 1e-8 * np.abs(expected.i).max()
    assert deck.endswith(".end\n")


def test_recovers_resistances_from_twice_wrong_starts(tile: Tile, record: Characterisation) -> None:
    start = replace(tile, r_row=10.0, r_col=2.0, r_driver=200.0, r_sense=10.0)
    fitted = fit_surrogate(record, start=start)
    for name in RESISTANCES:
        assert getattr(fitted.tile, name) == pytest.approx(getattr(tile, name), rel=1e-3)
        assert fitted.stderr[name] < 1e-3


def test_held_out_vectors_are_predicted(tile: Tile, record: Characterisation) -> None:
    fitted = fit_surrogate(record)
    check = fitted.check(record)
    assert check.nrmse_percent < 0.03
    assert check.max_error_percent < 0.3
    assert check.ideal_nrmse_percent > 1.0
    tree = check.tree()
    assert tree["line_nrmse_percent"] < 0.001
    assert tree["alpha_beta_nrmse_percent"] > 20 * tree["nrmse_percent"]
    # And the same through a fresh ngspice run.
    one = record.held_out[0]
    np.testing.assert_array_equal(Spice(tile).program(one.g).read(one.v), one.i)


def test_same_seed_same_record(record: Characterisation, tile: Tile) -> None:
    calls: list[tuple[int, int]] = []
    again = characterise(
        tile,
        OPTIONS,
        seed=5,
        workers=1,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert again.digest == record.digest
    assert calls[-1] == (6, 6)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_records_survive_the_disk(record: Characterisation, tmp_path: Path) -> None:
    path = record.save(tmp_path / "characterisation.h5")
    again = load_characterisation(path)
    assert again.digest == record.digest
    assert again.decks == record.decks
    assert again.meta == record.meta
    fitted = fit_surrogate(again)
    loaded = load_surrogate(fitted.save(tmp_path / "surrogate.h5"))
    one = record.held_out[1]
    read = [fit.engine().program(one.g).read(one.v) for fit in (fitted, loaded)]
    np.testing.assert_array_equal(*read)
    with pytest.raises(InputError, match="expected a surrogate"):
        load_surrogate(path)
    write_record(tmp_path / "empty.h5", "characterisation", {"levels": G})
    with pytest.raises(InputError, match="is damaged"):
        load_characterisation(tmp_path / "empty.h5")


def test_other_tiles_are_refused(tile: Tile, record: Characterisation) -> None:
    fitted = fit_surrogate(record)
    assert fitted.engine(replace(tile, rows=8)).tile.rows == 8
    for change in (
        {"cell": Cell.sinh(5.0, 0.2)},
        {"drive": "both"},
        {"r_row": 2.5},
        {"rows": 17},
    ):
        with pytest.raises(InputError, match="characterise the new tile"):
            fitted.engine(replace(tile, **change))


def test_tiles_survive_a_record(tile: Tile) -> None:
    fancy = Tile(
        8,
        8,
        cell=Cell.sinh(3.0, 0.2, access=Transistor(v_gate=2.0)),
        drive="both",
        wire_spread=0.1,
    )
    for one in (tile, fancy):
        assert pack(unpack(Tile, pack(one))) == pack(one)
    with pytest.raises(InputError, match="cols is missing"):
        unpack(Tile, {"rows": 3})


def test_too_few_vectors(tile: Tile) -> None:
    with pytest.raises(InputError, match="surrogate: vectors must be a whole number, at least 2"):
        CharacteriseOptions(vectors=1)
    with pytest.raises(InputError, match="needs a tile with levels"):
        characterise(replace(tile, levels=None))


def test_verbs(
    record: Characterisation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from memtwin.cli.verbs.arrays.surrogate import check, fit, show

    path = record.save(tmp_path / "c.h5")
    fit(path, tmp_path / "s.h5", json=True)
    check(tmp_path / "s.h5", path, plot=tmp_path / "s.png", json=True)
    show(tmp_path / "s.h5", json=True)
    summaries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(summaries) == 3
    assert summaries[0]["nrmse_percent"] == summaries[1]["nrmse_percent"] < 0.03
    assert summaries[2]["stated"]["r_row"] == 5.0
    assert (tmp_path / "s.png").stat().st_size > 10_000
    with pytest.raises(InputError, match="can't draw"):
        check(tmp_path / "s.h5", path, plot=tmp_path / "s.nonsense")


def test_levels_at_another_voltage_than_the_cells_are_refused(tile: Tile) -> None:
    levels = replace(tile.levels, v_read=0.05)
    with pytest.raises(InputError, match=r"meant at 0.2 V, its levels at v_read = 0.05 V"):
        replace(tile, levels=levels)
