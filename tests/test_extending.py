"""Models, engines and importers of one's own, registered in a program or offered by an installed package.

What touches the tables runs in a process of its own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from memtwin.circuits.array.tile import Tile
from memtwin.circuits.registry import engine_names, known_engine, make_engine, register_engine
from memtwin.data.errors import InputError, Unregistered
from memtwin.data.importers.readers import IMPORTERS, register_importer
from memtwin.devices.model import SERIES, CompactModel, symbols
from memtwin.devices.models import models

MODEL = """
import sympy as sp
from memtwin.devices.model import SERIES, CompactModel, Parameter, symbols

v, x, g, k = symbols("V", "X", "g", "k")
table = (
    Parameter("g", "S", 1e-3, 1e-9, 1.0, True, "conductance at x = 1"),
    Parameter("k", "1/(V s)", 1.0, 1e-6, 1e9, True, "speed"),
    SERIES,
)
rate = k * v * sp.Piecewise((1 - x, v >= 0), (x, True))
mine = CompactModel("mine", "my model", table, g * v * (0.1 + 0.9 * x), rate)
# No text has a word for the sine: a file that names this one holds no equations.
wave = CompactModel("wave", "a wave", table, g * x * sp.sin(v), rate)
"""

ENGINE = """
class Doubled:
    name = "doubled"

    def __init__(self, tile, gain=2.0):
        self.tile, self.gain = tile, gain
"""

IMPORTER = """
import numpy as np
from memtwin.data.measurement import Sweep

class Lab:
    name = "lab"
    def matches(self, path, head):
        return head.startswith(b"LAB 1")
    def read(self, path, scale=1.0):
        rows = np.loadtxt(path, skiprows=1)
        none = np.zeros(len(rows), bool)
        return Sweep(path.stem, *(rows * [1.0, 1.0, scale]).T, none, {"instrument": "lab"})

lab = Lab()
"""


def alone(folder: Path, code: str, *arguments: str) -> str:
    """Run code, with modules of ``folder`` at hand, in a process of its own; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", dedent(code), *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "memtwin", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Modules with a model, an engine and an importer, and a file that only the importer reads."""
    for name, text in (("my_model", MODEL), ("my_engine", ENGINE), ("my_importer", IMPORTER)):
        (tmp_path / f"{name}.py").write_text(text)
    t = np.linspace(0.0, 1.0, 41)
    v = np.sin(2 * np.pi * t)
    rows = [f"{a!r} {b!r} {1e-4 * b!r}" for a, b in zip(t.tolist(), v.tolist(), strict=True)]
    (tmp_path / "loop.lab").write_text("\n".join(["LAB 1", *rows]))
    return tmp_path


@pytest.fixture
def package(folder: Path) -> Path:
    """The same, offered by an installed package."""
    facts = folder / "my_lab-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: my-lab\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "[memtwin.models]\nmine = my_model:mine\nother = my_model:mine\ngone = no_such_module:m\n"
        "[memtwin.engines]\ndoubled = my_engine:Doubled\n"
        "[memtwin.importers]\nlab = my_importer:lab\n"
    )
    return folder


def test_a_registered_model_is_found_by_its_name_everywhere(folder: Path) -> None:
    said = alone(
        folder,
        """
        import my_model
        from dataclasses import replace
        from memtwin.data.errors import InputError
        from memtwin.devices.models import models
        models.register(my_model.mine)
        models.register(replace(my_model.mine))  # an equal one
        assert models["mine"] is not None and "mine" in models and "mine" in list(models)
        other = replace(my_model.mine, title="another")
        for wrong in (other, replace(other, name="vteam")):
            try:
                models.register(wrong)
            except InputError as error:
                print(error)
        models.register(other, replace=True)
        assert models["mine"] == other
        try:
            models["mime"]
        except InputError as error:
            print(error)
        """,
    ).splitlines()
    assert said[0].startswith("there is another compact model 'mine' already: give yours a name")
    assert said[1].startswith("there is another compact model 'vteam' already")
    assert "did you mean 'mine'" in said[2]


def test_records_of_a_registered_model_load_again_where_it_is_registered(folder: Path) -> None:
    """Fit, device, and tile: whole where the equations have a text, else by name."""
    alone(
        folder,
        """
        import numpy as np, my_model
        from memtwin.circuits.array.cell import Cell
        from memtwin.circuits.array.tile import Tile
        from memtwin.data.measurement import Sweep
        from memtwin.data.records.store import pack, write_record
        from memtwin.devices.fitting.fit import fit
        from memtwin.devices.fitting.result import save_fit
        t = np.linspace(0.0, 1.0, 41)
        v = np.sin(2 * np.pi * t)
        sweep = Sweep("s", t, v, 1e-4 * v, np.zeros(41, bool))
        for model in (my_model.mine, my_model.wave):
            found = fit(model, [sweep], starts=1, candidates=2, series=False)
            save_fit(found, f"{model.name}.h5", keep_unconverged=True)
            device = found.device("d")
            device.save(f"{model.name}.toml")
            write_record(f"{model.name}_tile.h5", "tile", pack(Tile(2, 2, cell=Cell(device, 0.1))))
        """,
    )
    load = """
        import sys
        from memtwin.circuits.array.tile import Tile
        from memtwin.data.records.store import reading, unpack
        from memtwin.devices.device import load_device
        from memtwin.devices.fitting.result import load_fit
        from memtwin.devices.models import models
        if "register" in sys.argv:
            import my_model
            models.register(my_model.wave)
        def tile(path):
            with reading(path, "tile") as tree:
                return unpack(Tile, tree)
        for model in sys.argv[1].split(","):
            for load, path in ((load_fit, ".h5"), (load_device, ".toml"), (tile, "_tile.h5")):
                try:
                    thing = load(model + path)
                    device = thing.cell.device if path == "_tile.h5" else thing
                    print("loaded", device.model.name, device.model.title)
                except Exception as error:
                    print(type(error).__name__, error)
        """
    assert alone(folder, load, "mine").splitlines() == ["loaded mine my model"] * 3
    refused = alone(folder, load, "wave").splitlines()
    assert len(refused) == 3
    for line, file in zip(refused, ("wave.h5", "wave.toml", "wave_tile.h5"), strict=True):
        assert line.startswith(f"Unregistered {file}: there is no compact model 'wave'")
        assert line.endswith(
            "register it with models.register(MODEL), or give the path of its file"
        )
        assert "damaged" not in line
    assert alone(folder, load, "wave", "register").splitlines() == ["loaded wave a wave"] * 3


def test_models_are_compared_in_other_processes(folder: Path) -> None:
    """A worker has only the tables that it came with; it is told the equations."""
    said = alone(
        folder,
        """
        import numpy as np
        import my_model
        from memtwin.data.measurement import Sweep
        from memtwin.data.processes import process_pool
        from memtwin.devices.fitting.compare import compare
        from memtwin.devices.models import models
        if __name__ == "__main__":
            models.register(my_model.mine)
            t = np.linspace(0.0, 1.0, 41)
            v = np.sin(2 * np.pi * t)
            i = 1e-4 * v * (1 + 0.5 * np.cumsum(v) / np.cumsum(v).max())
            sweep = Sweep("s", t, v, i, np.zeros(41, bool))
            with process_pool(1) as pool:
                found = compare(["mine", "sinh"], [sweep], starts=1, candidates=4, executor=pool)
            print(sorted({*found.held_out, *found.failed}), found.failed)
        """,
    )
    assert said == "['mine', 'sinh'] {}"


def test_an_engine_of_ones_own_is_made_by_its_name_with_its_options(folder: Path) -> None:
    said = alone(
        folder,
        """
        import numpy as np
        from my_engine import Doubled
        from memtwin.circuits.array.tile import Tile
        from memtwin.circuits.registry import engine_names, make_engine, register_engine
        from memtwin.data.errors import InputError
        from memtwin.training.runs.config import parse_config
        wanted = {"training": {"engine": "doubled"}}
        for _ in range(2):
            try:
                print(parse_config(wanted, "run/config.json").training.engine)
            except InputError as error:
                print(error)
            register_engine("doubled", Doubled)
        assert "doubled" in engine_names()
        assert make_engine("doubled", Tile(2, 2), gain=3.0).gain == 3.0
        register_engine("any", lambda tile, **options: Doubled(tile, **options))
        assert make_engine("any", Tile(2, 2), gain=4.0).gain == 4.0
        for call in (
            lambda: make_engine("doubled", Tile(2, 2), gian=3.0),
            lambda: register_engine("doubled", lambda tile: None),
            lambda: register_engine("ideal", Doubled),
        ):
            try:
                call()
            except InputError as error:
                print(error)
        register_engine("ideal", Doubled, replace=True)
        assert isinstance(make_engine("ideal", Tile(2, 2)), Doubled)
        """,
    ).splitlines()
    assert said[0].startswith("run/config.json: training.engine: there is no engine 'doubled'")
    assert "register it with register_engine(NAME, CLASS) of memtwin.circuits.registry" in said[0]
    assert said[1] == "doubled"
    assert said[2] == "the engine 'doubled' has no option 'gian' (known: gain)"
    assert said[3].startswith("there is another engine 'doubled' already")
    assert said[4].startswith("there is another engine 'ideal' already")


def test_an_importer_of_ones_own_reads_the_files_that_are_its(folder: Path) -> None:
    said = alone(
        folder,
        """
        import gzip
        from pathlib import Path
        from my_importer import Lab
        from memtwin.data.errors import InputError
        from memtwin.data.importers.readers import read_measurement, register_importer
        register_importer(Lab())
        Path("plain.csv").write_text("t,v,i\\n" + "".join(f"{k},{k},{k}\\n" for k in range(20)))
        Path("odd.txt.gz").write_bytes(gzip.compress(Path("loop.lab").read_bytes()))
        for path, options in (
            ("loop.lab", {"meta": {"device": "mine"}}),
            ("odd.txt.gz", {"scale": 2.0}),
            ("plain.csv", {}),
            ("loop.lab", {"offset": 0.0}),
            ("loop.lab", {"kind": "sweep"}),
            ("plain.csv", {"kind": "lab"}),
            ("nowhere.lab", {}),
        ):
            try:
                (found,) = read_measurement(path, **options)
                print(found.name, f"{found.i.max():.2g}", sorted(found.meta.items()))
            except InputError as error:
                print(error)

        class Twin(Lab):
            name = "twin"

        class Nothing(Lab):
            name = "nothing"
            def read(self, path):
                return []

        class Broken(Lab):
            name = "broken"
            def matches(self, path, head):
                return head.decode("ascii").index("x")

        for importer, kind in ((Twin(), None), (Nothing(), "nothing"), (Broken(), None)):
            register_importer(importer)
            try:
                read_measurement("loop.lab", kind=kind)
            except InputError as error:
                print(error)
        """,
    ).splitlines()
    assert said[0].startswith("loop 0.0001 [('device', 'mine'), ('file', 'loop.lab'), ('instrument")
    assert said[1].startswith("odd.txt 0.0002")
    assert said[2].startswith("plain.csv 19")
    assert said[3] == "loop.lab: offset does not apply to the kind lab"
    assert said[4].startswith("loop.lab")
    assert said[5].startswith("plain.csv: the importer 'lab' can't read it: ValueError")
    assert said[6] == "can't read nowhere.lab: No such file or directory"
    assert said[7] == "loop.lab: the importers 'lab' and 'twin' both read it; give the kind"
    assert said[8].startswith("loop.lab: the importer 'nothing' gave [], expected a Sweep")
    assert said[9].startswith(
        "loop.lab: the importer 'broken' can't say whether it reads it (Value"
    )


def test_what_a_package_offers_is_found_by_the_command_line(package: Path) -> None:
    told = json.loads(command(package, "info", "--json").stdout)
    assert {"mine", "vteam"} <= set(told["models"])
    assert {"doubled", "line"} <= set(told["engines"])
    assert {"lab", "sweep"} <= set(told["importers"])
    done = command(package, "data", "import", "loop.lab", "loop.h5", "--json")
    assert json.loads(done.stdout)["meta"]["instrument"] == "lab", done.stderr
    few = ["--starts", "1", "--candidates", "4", "--workers", "1", "--keep-unconverged"]
    done = command(
        package, "fit", "loop.lab", "--model", "mine", *few, "--device", "d.toml", "--json"
    )
    assert json.loads(done.stdout)["model"] == "mine", done.stderr
    assert 'name = "mine"\ntitle = "my model"' in (package / "d.toml").read_text()


def test_broken_offers_are_named_with_their_package(package: Path) -> None:
    for name, words in (
        ("gone", "the compact model 'gone' of the package my-lab can't be loaded: ModuleNotFound"),
        ("other", "the model that 'other' stands for calls itself 'mine'"),
    ):
        done = command(package, "fit", "loop.lab", "--model", name)
        assert done.returncode == 2
        assert words in done.stderr.replace("\n", " ")
    again = package / "their_lab-2.0.dist-info"
    again.mkdir()
    (again / "METADATA").write_text("Metadata-Version: 2.1\nName: their-lab\nVersion: 2.0\n")
    (again / "entry_points.txt").write_text("[memtwin.models]\nmine = my_model:wave\n")
    done = command(package, "fit", "loop.lab", "--model", "mine")
    assert "'mine' is offered by" in done.stderr
    assert "my-lab" in done.stderr
    assert "their-lab" in done.stderr


def test_a_model_file_goes_through_the_command_line(folder: Path) -> None:
    """Fitted and kept; what is kept needs the file no more."""
    (folder / "slope.toml").write_text(
        "name = 'slope'\ncurrent = 'g*v*(0.2 + 0.8*x)'\nrate = 'k*where(v >= 0, v*(1 - x), v*x)'\n"
        "[parameters]\ng = { unit = 'S', default = 1e-4, bounds = [1e-9, 1], log = true }\n"
        "k = { unit = '1/(V s)', default = 1.0, bounds = [1e-3, 1e3], log = true }\n"
    )
    t = np.linspace(0.0, 1.0, 61)
    v = np.sin(2 * np.pi * t)
    i = 1e-4 * v * (0.2 + 0.4 * (1 - np.cos(2 * np.pi * t)))
    rows = zip(t.tolist(), v.tolist(), i.tolist(), strict=True)
    (folder / "loop.csv").write_text("t,v,i\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    few = ["--starts", "2", "--candidates", "8", "--workers", "1", "--keep-unconverged"]
    kept = ["--record", "f.h5", "--device", "d.toml"]
    done = command(folder, "fit", "loop.csv", "--model", "slope.toml", *few, *kept, "--json")
    assert json.loads(done.stdout)["model"] == "slope", done.stderr
    (folder / "slope.toml").unlink()
    said = alone(
        folder,
        """
        from memtwin.devices.device import load_device
        from memtwin.devices.fitting.result import load_fit
        found, device = load_fit("f.h5"), load_device("d.toml")
        assert found.model == device.model
        assert dict(device.parameters) == dict(found.parameters)
        print(device.meta["command"])
        """,
    )
    assert "--model slope.toml" in said
    assert command(folder, "netlist", "d.toml").returncode in (0, 2)


def test_what_is_no_such_thing_is_refused() -> None:
    """Nothing gets into the tables here."""
    v, x = symbols("V", "X")
    model = CompactModel("vteam", "no VTEAM", (SERIES,), v * x, None)
    for refused, words in (
        (lambda: models.register(model), "another compact model 'vteam'"),
        (lambda: models.register("vteam"), "expected a CompactModel, got 'vteam'"),  # type: ignore[arg-type]
        (lambda: register_engine("mine", 3), "the engine 'mine' is 3, expected a class"),  # type: ignore[arg-type]
        (lambda: register_engine("mine", lambda: None), "expected a class or function of a tile"),
        (lambda: register_importer("lab"), "the importer '' is 'lab', expected an object"),  # type: ignore[arg-type]
        (lambda: known_engine("spcie"), "did you mean 'spice'"),
        (lambda: make_engine("spcie", Tile(2, 2)), "did you mean 'spice'"),
        (lambda: IMPORTERS["swep"], "did you mean 'sweep'"),
    ):
        with pytest.raises(InputError, match=words):
            refused()
    assert isinstance(_error(lambda: models["mine"]), Unregistered)
    assert engine_names() == ("ideal", "surrogate", "line", "nodal", "spice", "vacask")


def _error(call) -> Exception | None:
    try:
        call()
    except InputError as error:
        return error
    return None


def test_a_run_takes_ones_own_model_and_engine_and_names_what_is_missing_later(
    folder: Path,
) -> None:
    alone(
        folder,
        """
        from dataclasses import replace
        from memtwin.circuits.engines.ideal import Ideal
        from memtwin.circuits.registry import register_engine
        from memtwin.devices.device import load_device
        from memtwin.training.runs.config import load_config
        from memtwin.training.runs.run import run
        register_engine("plain", lambda tile: Ideal(tile))
        shipped = load_device("nbsto_32um")
        own = replace(shipped.model, name="mine", title="my own")
        replace(shipped, model=own).save("own.toml")
        changes = ["device.name=own.toml", "training.engine=plain", "validation.engine=ideal"]
        small = ["training.batch=20", "images.train=40", "images.test=20", "network.hidden=[4]", "validation.images=4"]
        tile = ["tile.rows=16", "tile.cols=16", "training.epochs=1", "device.levels=3"]
        run(load_config("nbsto", [*changes, *small, *tile]), "run")
        """,
    )
    (folder / "own.toml").unlink()
    assert command(folder, "report", "run").returncode == 0
    assert "my own" in (folder / "run" / "report.html").read_text()
    done = command(folder, "validate", "run", "--engine", "ideal")
    said = " ".join(done.stderr.split())
    assert done.returncode == 2
    assert "training.engine: there is no engine 'plain'" in said
    assert "register it with register_engine(NAME, CLASS)" in said
