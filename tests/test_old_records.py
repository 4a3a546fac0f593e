"""Records that the first release wrote, ``old/format1.zip``, hold today what they held then."""

import json
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from memtwin.circuits.programming.table import load_table
from memtwin.circuits.surrogate.characterise import load_characterisation
from memtwin.circuits.surrogate.fit import load_surrogate
from memtwin.data.measurement import load_measurement
from memtwin.data.records.store import read_record
from memtwin.devices.fitting.result import load_fit

ARCHIVE = Path(__file__).parent / "old" / "format1.zip"


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(folder)
    return folder


def tree(path: Path, kind: str) -> dict:
    found = read_record(path, kind)
    assert found["format"] == 1
    return found


@pytest.mark.parametrize("name", ["sweep", "pulses", "relaxation", "table"])
def test_measurements(old, name):
    path = old / f"{name}.h5"
    kept, read = tree(path, "measurement"), load_measurement(path)
    assert read.digest == kept["digest"]
    assert (read.name, dict(read.meta)) == (kept["name"], kept["meta"])


def test_a_characterisation_has_the_hash_that_its_fit_noted(old):
    read = load_characterisation(old / "characterisation.h5")
    noted = tree(old / "surrogate.h5", "surrogate")["meta"]["characterisation"]
    assert read.digest == noted
    assert read.decks["cells"] == "* deck\n.end\n"
    assert read.decks["tile1"].endswith("r1 a b 1\n")
    assert [one.family for one in read.fitted + read.held_out] == ["a", "b", "c"]
    assert read.meta == {"seed": 3, "seconds": 0.1, "klu": True}
    assert read.tile.cell.access.v_gate == 1.5
    assert read.tile.amplifier.r_feedback == 1e3


def test_a_surrogate(old):
    kept, read = tree(old / "surrogate.h5", "surrogate"), load_surrogate(old / "surrogate.h5")
    assert list(map(str, read.law.powers)) == ["0", "1", "2", "-1"]
    for key, term in kept["law"]["terms"].items():
        assert read.law.powers[int(key)] == tuple(term["powers"])
        assert np.array_equal(read.law.coefficients[int(key)], term["coefficients"])
    assert read.law.g_range == tuple(kept["law"]["g_range"])
    assert (read.tile.r_row, read.nominal.r_row) == (5.03, 5)
    assert (read.stderr, read.multipliers) == ({"r_row": 1e-3, "r_col": 2e-3}, (1.01, 0.99))
    # The law is that of the cell: Kirchhoff's of memristor and transistor, solved without it.
    u, g = np.linspace(-0.2, 0.2, 9), np.mean(read.law.g_range)
    truth = read.tile.cell.current(u, g)
    assert read.law.current(u, g) == pytest.approx(truth, abs=1e-4 * np.abs(truth).max())


def test_a_write_table(old):
    kept, read = tree(old / "write_table.h5", "write-table"), load_table(old / "write_table.h5")
    for name in ("g", "pulses", "energy", "error", "disturb"):
        assert np.array_equal(getattr(read, name), kept[name])
    assert np.array_equal(read.staircase.amplitude, kept["staircase"]["amplitude"])
    assert np.array_equal(read.moves.energy, kept["moves"]["energy"])
    assert json.loads(json.dumps(asdict(read.recipe))) == json.loads(kept["recipe"])
    assert json.loads(kept["spread"]) == {"d2d": {"k_set": 0.1}, "c2c": 0.05, "read": 0.003}
    assert (read.spread.d2d, read.spread.c2c, read.spread.read) == ({"k_set": 0.1}, 0.05, 0.003)
    assert list(read.notes) == kept["notes"]


def test_a_fit(old):
    kept, read = tree(old / "fit.h5", "fit"), load_fit(old / "fit.h5")
    assert read.model.name == "yakopcic"
    assert dict(read.parameters) == kept["parameters"]
    assert [sweep.digest for sweep in read.sweeps] == [
        kept["sweeps"][key]["sha256"] for key in ("001", "002")
    ]
    # Its own curve, from the parameters that were read.
    assert read.predict(read.sweeps[0], read.x0[0]) == pytest.approx(
        kept["sweeps"]["001"]["i_model"], rel=1e-9
    )
