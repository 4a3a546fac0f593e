"""Malformed inputs, drawn from seeds: every one is used, or refused in one sentence with nothing left behind.

A few hundred of each kind by default, thousands with ``--slow``. A traceback, an unexpected error (exit code 70), a
partial file, or a record that comes back changed fails the test.
"""

import gzip
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from memtwin.circuits.array.cell import Cell
from memtwin.circuits.array.tile import Tile
from memtwin.circuits.lines.cell_law_fit import CellSweep
from memtwin.circuits.surrogate.characterise import Characterisation, Vectors, load_characterisation
from memtwin.cli.main import app
from memtwin.data.datasets.idx import read_idx
from memtwin.data.errors import InputError
from memtwin.data.importers.readers import read_measurement
from memtwin.data.measurement import (
    PulseTrain,
    Relaxation,
    Sweep,
    Table,
    load_measurement,
    save_measurement,
)
from memtwin.data.records.store import read_record
from memtwin.devices.device import load_device
from memtwin.devices.fitting.fit import fit
from memtwin.devices.fitting.result import load_fit, save_fit
from memtwin.devices.models import models
from memtwin.training.runs.config import load_config
from memtwin.training.runs.folder import stored_config

runner = CliRunner()

ROUNDS = [0, *(pytest.param(k, marks=pytest.mark.slow) for k in range(1, 11))]
"""Seeds; each draws as many inputs again."""

SNIPPETS = [
    b"", b"\0", b"\xe9", b"\xff\xfe", b"nan", b"inf", b"-1", b"1e308", b"1e-320", b"9" * 5000, b"[" * 5000,
    b"{" * 3000, b'"', b"'", b"\n", b"\r", b",", b";", b"\t", b"=", b"#", b"$x_{$", b"%s", b"../..", b"true",
    "µ".encode(), "²".encode(), b"1_000", b"0x10", b"[[a]]", b"\xed\xb3\xa9", b"\xf0\x9f\x98\x80",
]  # fmt: skip
"""What has broken parsers before."""


@pytest.fixture(autouse=True)
def as_users_have_it():
    """Numpy warns by default; what a user would only see as a note must not fail here."""
    with np.errstate(all="warn"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Return ``data`` with a few bytes or stretches changed, cut out, doubled or put in."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at, end = sorted(rng.integers(0, len(data) + 1, 2).tolist())
        end = min(end, at + 40)
        match rng.integers(6):
            case 0 if at < len(data):
                data[at] ^= 1 << int(rng.integers(8))
            case 1:
                del data[at:end]
            case 2:
                data[at:at] = data[at:end]
            case 3:
                data[at:end] = SNIPPETS[rng.integers(len(SNIPPETS))]
            case 4:
                data[at:at] = SNIPPETS[rng.integers(len(SNIPPETS))]
            case _ if rng.random() < 0.2:
                del data[at:]
    return bytes(data)


def used_or_refused(load, *arguments):
    """Return what ``load`` gives, or None where it refuses its input in one sentence."""
    try:
        return load(*arguments)
    except InputError as refusal:
        said = str(refusal)
    assert said.strip()
    assert "Traceback" not in said
    return None


def loop():
    t = np.linspace(0.0, 4.0, 41)
    v = np.sin(0.5 * np.pi * t)
    return t, v, 1e-5 * np.sinh(3.0 * v)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """One sound record of several kinds, with its loader and what tells whether it came back as it was."""
    folder = tmp_path_factory.mktemp("sound")
    t, v, i = loop()
    sweep = Sweep("s", t, v, i, np.zeros(41, bool), {"device": "µ", "area": 1e-9})
    measured = (
        sweep,
        PulseTrain("p", np.linspace(1e-6, 2e-6, 40).reshape(2, 20)),
        Relaxation("r", np.arange(1.0, 5.0), np.full((6, 4), 1e-6), np.arange(6)),
        Table("t", {"I/mA": t, "x": v}, {"I/mA": "A", "x": "1"}),
    )
    found = []
    for k, one in enumerate(measured):
        path = save_measurement(one, folder / f"m{k}.h5")
        found.append((path, "measurement", load_measurement, lambda m: m.digest))
    fitted = fit(models["sinh"], [sweep], starts=1, candidates=2, series=False)
    path = save_fit(fitted, folder / "f.h5", keep_unconverged=True)
    found.append((path, "fit", load_fit, lambda f: (f.parameters, f.cost, f.sweeps[0].digest)))
    g, rows = np.array([1e-6, 2e-6, 3e-6]), np.full((2, 3), 0.1)
    vectors = Vectors("uniform", np.full((3, 4), 1e-6), rows, np.full((2, 4), 1e-7))
    sound = Characterisation(
        Tile(3, 4, cell=Cell.resistor(0.2)),
        g,
        CellSweep(g, np.array([0.0, 0.2]), np.zeros(1), np.ones((3, 2, 1))),
        (vectors,),
        (vectors,),
    )
    path = sound.save(folder / "c.h5")
    found.append((path, "characterisation", load_characterisation, lambda c: c.digest))
    return found


@pytest.mark.parametrize("seed", ROUNDS)
def test_records_with_other_bytes(records, tmp_path, seed):
    rng = np.random.default_rng([1, seed])
    path = tmp_path / "m.h5"
    for sound, _, load, what in records:
        whole, truth = sound.read_bytes(), what(load(sound))
        for _ in range(50):
            path.write_bytes(mutated(whole, rng))
            loaded = used_or_refused(load, path)
            assert loaded is None or what(loaded) == truth


def disturb(group, rng):
    """Change, remove, rename or replace something in an HDF5 group, or in one below."""
    names = list(group)
    inner = [name for name in names if isinstance(group.get(name, getlink=True), h5py.HardLink)]
    groups = [name for name in inner if isinstance(group[name], h5py.Group)]
    if groups and rng.random() < 0.6:
        return disturb(group[groups[rng.integers(len(groups))]], rng)
    odd = [
        3, -1.5, float("nan"), "text", "", np.arange(3), np.zeros((2, 2)), np.float32(1), True, b"\xff\xfe",
        np.zeros(0), np.ones(3, complex), h5py.Empty("f8"), 2**63 - 1, np.array(["a"], h5py.string_dtype()),
        np.zeros(2, [("x", "f8")]), h5py.SoftLink("/nowhere"), h5py.ExternalLink("/etc/passwd", "/"),
        np.dtype("f8"), group, group.file["/"],
    ]  # fmt: skip
    value = odd[rng.integers(len(odd))]
    keys = list(group.attrs)
    if keys and rng.random() < 0.4:
        key = keys[rng.integers(len(keys))]
        if rng.random() < 0.3 or not isinstance(value, (int, float, str, bytes, np.ndarray)):
            del group.attrs[key]
        else:
            group.attrs[key] = value
        return None
    if names:
        name = names[rng.integers(len(names))]
        if rng.random() < 0.2:
            return group.move(name, name + "x")
        del group[name]
        if rng.random() < 0.2:
            return None
    else:
        name = "new"
    if isinstance(value, bytes):
        value = np.void(value)
    group[name] = value
    return None


@pytest.mark.parametrize("seed", ROUNDS)
def test_records_with_other_content(records, tmp_path, seed):
    """As another program would change them: with a hash that no longer fits, and without one."""
    rng = np.random.default_rng([2, seed])
    path = tmp_path / "m.h5"
    for sound, kind, load, what in records:
        truth = what(load(sound))
        for k in range(40):
            path.write_bytes(sound.read_bytes())
            with h5py.File(path, "r+") as file:
                for _ in range(rng.integers(1, 4)):
                    disturb(file, rng)
            if k % 2:
                data = path.read_bytes()
                path.write_bytes(bytes(512) + data[512:])
                used_or_refused(read_record, path, kind)
                used_or_refused(load, path)
            else:
                loaded = used_or_refused(load, path)
                assert loaded is None or what(loaded) == truth


@pytest.mark.parametrize("seed", ROUNDS)
def test_tables(tmp_path, seed):
    rng = np.random.default_rng([3, seed])
    t, v, i = loop()
    body = "".join(f"{a:.4g},{b:.4g},{c:.4g}\n" for a, b, c in zip(t, v, i, strict=True))
    sound = ("t [s],v [V],i [A]\n" + body).encode()
    kinds = ("sweep", "ramps", "response", "relaxation", "log", "bake", "cycles")
    path = tmp_path / "m.csv"
    for k in range(300):
        data = mutated(sound, rng)
        path.write_bytes(gzip.compress(data)[: rng.integers(20, 2000)] if k % 10 == 9 else data)
        kind = kinds[0] if k % 2 else kinds[rng.integers(len(kinds))]
        found = used_or_refused(lambda kind=kind: read_measurement(path, kind=kind, v_read=0.1))
        for measurement in found or ():
            again = load_measurement(save_measurement(measurement, tmp_path / "m.h5"))
            assert again.digest == measurement.digest


@pytest.mark.parametrize("seed", ROUNDS)
def test_device_files_and_configurations(tmp_path, seed):
    rng = np.random.default_rng([4, seed])
    device = load_device("nbsto_32um").save(tmp_path / "d.toml").read_bytes()
    config = b'seed = 3\n[tile]\nrows = 16\n[network]\nhidden = [8, 9]\n[device]\nname = "x"\n'
    stored = load_config("nbsto").model_dump_json().encode()
    path, folder = tmp_path / "m.toml", tmp_path / "run"
    folder.mkdir()
    for _ in range(150):
        path.write_bytes(mutated(device, rng))
        found = used_or_refused(load_device, path)
        if found is not None:
            assert load_device(found.save(tmp_path / "again.toml")).digest == found.digest
        path.write_bytes(mutated(config, rng))
        used_or_refused(load_config, path)
        change = mutated(b"tile.rows=16", rng).decode("utf-8", "surrogateescape")
        used_or_refused(load_config, "demo", [change])
        (folder / "config.json").write_bytes(mutated(stored, rng))
        used_or_refused(stored_config, folder)


@pytest.mark.parametrize("seed", ROUNDS)
def test_image_files(tmp_path, seed):
    rng = np.random.default_rng([5, seed])
    sound = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, *range(24)])
    path = tmp_path / "m"
    for k in range(300):
        data = bytearray(mutated(sound, rng))
        if k % 3 == 0:  # a header that says anything
            rank = int(rng.integers(0, 256))
            sizes = rng.choice([0, 1, 2, 24, 2**31, 2**32 - 1], rank).astype(">u4").tobytes()
            data = bytes([0, 0, 8, rank]) + sizes + bytes(range(24))
        path.write_bytes(gzip.compress(data) if k % 5 == 0 else data)
        used_or_refused(read_idx, path)


NUMBERS = [
    "-1",
    "0",
    "1",
    "2",
    "3",
    "nan",
    "inf",
    "-inf",
    "1e308",
    "1e-320",
    "9" * 30,
    "x",
    "",
    "²",
    "1_0",
    "-0.0",
]
NAMES = ["s.csv", "g.csv", "nowhere", "", ".", "/", "/dev/null", "caf\udce9.csv", "a\0b", "$x_{$.csv", "d.toml",
         "x" * 300, "s.csv/x", "new/folder/o", "nbsto_32um", "p.foo", "-", "--"]  # fmt: skip
WORDS = ["none", "zero", "t=0", "v=1:mV", "i=2:zz", "t=99999999999", "tile.rows=-1", "a.b.c=1", "=", "b=1", "b=1:2",
         "b=nan", "mnist:[", "sinh", "demo", "siamese", "tls://h:9", "tcp://"]  # fmt: skip
LINES = [
    "netlist OUT --rows NUMBER --cols NUMBER", "netlist OUT --device NAME --v-read NUMBER --area NUMBER",
    "netlist OUT --rows 2 --cols 2 --seed NUMBER --conductances NAME", "netlist OUT --r-row NUMBER --access WORD",
    "data import NAME OUT --sweep-rate NUMBER --offset WORD", "data import NAME OUT --frequency NUMBER",
    "data import s.csv OUT --column WORD --r-tester NUMBER", "data import NAME OUT --area NUMBER --device NAME",
    "data import s.csv OUT --compliance NUMBER --polarity NUMBER", "data import s.csv OUT --kind WORD",
    "data get NAME --pattern NAME", "data show NAME --plot p.foo", "data show nowhere --v-read NUMBER",
    "fit NAME --model WORD --starts NUMBER --candidates NUMBER --seed NUMBER --workers 1",
    "fit s.csv --model sinh --fix WORD --bound WORD --starts 0", "fit NAME --loss WORD --floor NUMBER --starts 0",
    "program table NAME --levels NUMBER --samples 0", "program table nbsto_32um --samples NUMBER --v-read NUMBER"
    " --area NUMBER --levels 2 --max-pulses 0", "program tile nbsto_32um --rows NUMBER --levels 0",
    "program show NAME --out OUT", "characterise OUT --set WORD --seed NUMBER --workers 0",
    "surrogate fit NAME OUT", "surrogate check NAME NAME", "surrogate show NAME", "report NAME --picture NAME",
    "validate NAME --images NUMBER", "run --resume NAME", "run demo --dask WORD --seed -1", "train --config NAME",
    "run demo --dask tls://h:9 --out OUT", "compare demo --seeds 0 --rule WORD", "NAME", "--NAME",
]  # fmt: skip


@pytest.mark.parametrize("seed", ROUNDS)
def test_command_lines(tmp_path, monkeypatch, seed):
    rng = np.random.default_rng([6, seed])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEMTWIN_DATA", str(tmp_path / "cache"))
    t, v, i = loop()
    np.savetxt("s.csv", np.c_[t, v, i], delimiter=",", header="t,v,i", comments="")
    np.savetxt("g.csv", np.array([[1e-5, 2e-5], [3e-5, 1e-5]]), delimiter=",")
    for copy in (b"caf\xe9.csv", b"$x_{$.csv"):
        Path(copy.decode("utf-8", "surrogateescape")).write_bytes(Path("s.csv").read_bytes())
    load_device("nbsto_32um").save("d.toml")
    inputs = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for k in range(150):
        line = LINES[k % len(LINES)].split()
        drawn = {
            "NUMBER": NUMBERS,
            "NAME": NAMES,
            "WORD": WORDS,
            "OUT": ["out/o", "out/$o", "out/\udce9"],
        }
        words = [
            drawn[word][rng.integers(len(drawn[word]))] if word in drawn else word for word in line
        ]
        result = runner.invoke(app, words)
        assert result.exit_code in (0, 1, 2), (words, result.output, result.exception)
        assert result.exception is None or isinstance(result.exception, SystemExit), words
        assert "Traceback" not in result.output, words
        left = [path for path in tmp_path.rglob("*") if path not in inputs]
        assert not [path for path in left if path.name.startswith(".memtwin")], words
        if result.exit_code:
            assert not (tmp_path / "out").exists(), (words, left)
        for path in sorted(left, reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        assert all(path.read_bytes() == data for path, data in inputs.items()), words
