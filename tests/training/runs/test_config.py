"""Configurations: presets load, changes apply, reach the library, and every typo gets one sentence."""

import json
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from memtwin.circuits.array.amplifier import Amplifier
from memtwin.circuits.array.cell import ACCESS as ACCESS_KINDS
from memtwin.circuits.array.cell import Cell, Selector, Transistor
from memtwin.circuits.array.parasitics import Parasitics
from memtwin.circuits.array.terminals import Terminals
from memtwin.circuits.array.tile import Layout, Tile
from memtwin.circuits.engines.ideal import Ideal
from memtwin.cli.job import Preset
from memtwin.data.dataset import Dataset, load_data
from memtwin.data.errors import InputError
from memtwin.devices.spread.effects import Effects
from memtwin.training.layers.digital import AveragePool
from memtwin.training.network import lenet, mlp
from memtwin.training.rules.registry import RULES
from memtwin.training.runs.build import (
    auditor_of,
    chosen_images,
    crossbar_of,
    levels_of,
    network_of,
    tile_of,
)
from memtwin.training.runs.config import RunConfig, load_config, parse_config, presets
from memtwin.training.runs.overview.summary import config_of
from memtwin.training.trainer.audit import AuditOptions
from memtwin.training.trainer.loop import build_twin
from memtwin.training.trainer.options import TrainOptions
from memtwin.training.twin.crossbar import MappingOptions


def test_presets_load():
    assert {"demo", "mnist"} <= set(presets())
    for name in presets():
        assert isinstance(load_config(name), RunConfig)


def test_the_command_line_lists_every_preset():
    help_text = Preset.__metadata__[0].help
    listed = re.findall(r"[a-z]+(?:-[a-z]+)?", help_text.partition(":")[2])
    assert sorted(set(listed) - {"or"}) == presets()


def test_mnist_is_what_the_docs_say():
    config = load_config("mnist")
    assert config.network.hidden == (100,)
    assert (config.training.epochs, config.training.batch, config.device.levels) == (6, 100, 16)


def test_the_table_of_presets_is_theirs():
    page = (Path(__file__).parents[3] / "docs" / "training.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| (?:digits|MNIST) \|[^|]*\|(.*)\|$", page, re.MULTILINE)
    assert sorted(name for name, _ in rows) == presets()
    for name, cells in rows:
        levels, clip, rate, hysteresis, tiles, every = (cell.strip() for cell in cells.split("|"))
        config = load_config(name)
        training = config.training
        stated = (float(clip), float(rate), float(hysteresis), int(levels))
        assert stated == (
            config.mapping.clip, training.rate(), training.hysteresis, config.device.levels,
        )  # fmt: skip
        assert tiles == f"{config.tile.rows}×{config.tile.cols}"
        assert every.split()[0] == str(config.audit.every)


def test_changes_apply_in_their_types():
    config = load_config(
        "demo", ["training.epochs=2", "network.hidden=[8, 4]", "training.engine=line", "seed = 7"]
    )
    assert (config.training.epochs, config.network.hidden, config.seed) == (2, (8, 4), 7)
    assert config.training.engine == "line"


SECTIONS = {
    "tile": Layout, "training": TrainOptions, "mapping": MappingOptions, "effects": Effects,
    "audit": AuditOptions,
}  # fmt: skip
"""Sections that are the library's own options."""
OWN = {"tile": {"access"}, "training": {"engine", "device"}}
"""Keys that a section has beside them."""


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_is_the_librarys_options(section):
    mine, kind = getattr(RunConfig(), section), SECTIONS[section]
    assert isinstance(mine, kind)
    names = {item.name for item in fields(kind)}
    assert {item.name for item in fields(mine)} - names == OWN.get(section, set())
    for name in names - {"rows", "cols"}:
        assert getattr(mine, name) == getattr(kind(*(4, 4) * (section == "tile")), name)


def test_options_arrive_where_they_act():
    changes = [
        "seed=5", "training.optimiser=adam", "training.schedule=cosine", "training.scale=adaptive",
        "training.compensation=damp", "training.damping=0.01", "training.write_limit=9",
        "training.gradients=array", "training.calibration=50", "effects.stuck=0.1",
        "mapping.bias=digital", "mapping.adc_bits=8", "mapping.clip=3.0", "tile.wire_spread=0.1",
        "tile.access.kind=transistor",
    ]  # fmt: skip
    config = load_config("nbsto", changes)
    options = config.training
    assert (options.optimiser, options.schedule) == ("adam", "cosine")
    assert (options.scale, options.gradients, options.calibration) == ("adaptive", "array", 50)
    assert (options.compensation, options.damping, options.write_limit) == ("damp", 0.01, 9)
    network = network_of(config, load_data("digits"))
    twin = build_twin(network, crossbar_of(config), Ideal, seed=config.seed)
    assert twin.effects == Effects(stuck=0.1)
    assert twin.crossbar.mapping == MappingOptions(3.0, bias="digital", adc_bits=8)
    assert (twin.tile.wire_spread, twin.tile.cell.access) == (0.1, Transistor())
    assert network == mlp(64, 32, 10)


def test_keys_that_have_moved_are_understood(tmp_path):
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    old.write_text("[training]\nclip = 3.0\nepochs = 2\n")
    new.write_text("[training]\nepochs = 2\n[mapping]\nclip = 3.0\n")
    assert load_config(old) == load_config(new)
    assert load_config("demo", ["training.clip=3"]) == load_config("demo", ["mapping.clip=3"])
    tree = json.loads(load_config(new).model_dump_json())
    tree["training"]["clip"] = tree["mapping"].pop("clip")
    record = {"config": json.dumps(tree)}
    assert config_of(record)["mapping"]["clip"] == 3.0
    assert parse_config(tree, "a record") == load_config(new)
    old.write_text("[training]\nclip = 3.0\n[mapping]\nclip = 4.0\n")
    with pytest.raises(InputError, match=r"training.clip is called mapping.clip now, and both"):
        load_config(old)


OTHER = {
    "rows": 48, "cols": 24, "r_row": 3.5, "r_col": 4.5, "r_driver": 70.0, "r_sense": 30.0,
    "drive": "both", "sense": "both", "wire_spread": 0.1, "wire_seed": 7,
}  # fmt: skip
ACCESS = {
    Transistor: ("transistor", {"v_gate": 1.2, "v_threshold": 0.3, "k": 2e-4, "channel": 0.05}),
    Selector: ("selector", {"v_threshold": 0.2, "width": 0.02, "g_on": 1e-3, "g_off": 1e-9}),
}
AMPLIFIER = {"r_feedback": 2e3, "gain": 1e3, "v_max": 0.8}
PARASITICS = {"pitch": 2e-6, "coupling": 0.3, "rise": 2e-10}
TERMINALS = {"r_row": 90.0, "open_cols": (3,)}
ELSEWHERE = {
    Tile: {"cell", "amplifier", "levels", "parasitics", "terminals"}, Cell: {"device", "v_read", "access"},
}  # fmt: skip
"""Fields that are no plain key of ``[tile]``: parts with keys of their own, and ``[device]``'s."""


def read_tile(tmp_path, text):
    path = tmp_path / "tile.toml"
    path.write_text(text)
    config = load_config(path)
    assert parse_config(json.loads(config.model_dump_json()), "again") == config
    return config, tile_of(config)


def table(values):
    return "".join(f"{name} = {value!r}\n" for name, value in values.items())


def differ(a, b):
    """Return the names of the fields in which two objects of one class differ."""
    return {item.name for item in fields(a) if getattr(a, item.name) != getattr(b, item.name)}


def test_every_field_of_a_tile_is_reached(tmp_path):
    assert {item.name for item in fields(Tile)} == OTHER.keys() | ELSEWHERE[Tile]
    assert {item.name for item in fields(Amplifier)} == AMPLIFIER.keys()
    text = f"[tile]\n{table(OTHER)}[tile.amplifier]\n{table(AMPLIFIER)}"
    text += f"[tile.parasitics]\n{table(PARASITICS)}"
    _, tile = read_tile(tmp_path, text + "[device]\nv_read = 0.04\nlinear = true\n")
    assert tile == Tile(**OTHER, cell=Cell.resistor(0.04), amplifier=Amplifier(**AMPLIFIER))
    assert tile.parasitics == Parasitics(**PARASITICS)  # no part of what makes tiles equal
    _, plain = read_tile(tmp_path, "[tile]\nrows = 64\ncols = 64\n")
    assert differ(replace(tile, levels=None), replace(plain, levels=None)) == (
        {item.name for item in fields(Tile)} - {"levels", "terminals"}
    )
    text = f"[tile.terminals]\n{table(TERMINALS | {'open_cols': [3]})}"
    assert read_tile(tmp_path, text)[1].terminals == Terminals(**TERMINALS)
    assert plain == Tile(64, 64, cell=plain.cell)


@pytest.mark.parametrize("kind", ACCESS)
def test_every_field_of_a_cell_is_reached(tmp_path, kind):
    name, values = ACCESS[kind]
    assert {item.name for item in fields(kind)} == values.keys() | {"kind"}
    assert {item.name for item in fields(Cell)} == ELSEWHERE[Cell]
    text = f"[device]\nv_read = 0.04\n[tile.access]\nkind = {name!r}\n"
    config, tile = read_tile(tmp_path, text + table(values))
    assert tile.cell == Cell(levels_of(config).device, 0.04, kind(**values))
    assert differ(tile.cell.access, kind()) == values.keys()
    assert read_tile(tmp_path, text)[1].cell.access == kind()
    assert read_tile(tmp_path, text + "[tile.amplifier]\n")[1].amplifier == Amplifier()


def test_every_access_device_has_a_kind():
    assert dict(ACCESS_KINDS) == {name: kind for kind, (name, _) in ACCESS.items()}


def test_a_validation_of_more_images_than_there_are_is_refused():
    images = load_data("digits")
    there = len(images.x_test)
    assert chosen_images(images, load_config("nbsto", [f"validation.images={there}"]))
    for change, left in (([], there), (["images.test=30"], 30)):
        config = load_config("nbsto", [*change, f"validation.images={left + 1}"])
        with pytest.raises(InputError, match=f"{left + 1} images asked for, digits has {left} to"):
            chosen_images(images, config)
    # What is left open takes what there is.
    assert len(chosen_images(images, load_config("nbsto", ["images.test=30"])).x_test) == 30


def test_rules_are_those_of_the_library():
    for name in RULES:
        config = load_config("nbsto", [f"training.rule={name}"])
        assert config.training.of_rule == RULES[name].options


def test_a_lenet_takes_square_images_that_are_large_enough():
    digits = load_data("digits")
    config = load_config("nbsto", ["network.kind=lenet", "network.hidden=[100]"])
    with pytest.raises(InputError, match="5x5 kernel does not fit"):
        network_of(config, digits)

    def blank(width, height):
        pixels = np.zeros((1, width * height), np.float32)
        labels = digits.y_train[:1]
        return Dataset("blank", pixels, labels, pixels, labels, (height, width))

    with pytest.raises(InputError, match="square grey images of ten classes, blank has 10 × 6"):
        network_of(config, blank(6, 10))
    large = blank(28, 28)
    assert network_of(load_config("cnn"), large) == lenet()
    average = network_of(load_config("cnn", ["network.pool=average"]), large)
    assert average == lenet(pool=AveragePool)


def test_audits_are_made_where_they_say_something():
    def auditor(*changes):
        return auditor_of(load_config("nbsto", [*changes]), lambda name: lambda tile: name)

    found = auditor("audit.every=7", "audit.bar_percent=0.3")
    assert found.options == AuditOptions(every=7, bar_percent=0.3)
    assert (found.truth(None), found.fallback(None)) == ("spice", "line")
    assert auditor("audit.fallback=none").fallback is None
    for change in ("audit.every=0", "training.engine=ideal", "training.engine=spice"):
        assert auditor(change) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[effects]\ndrif = 0.1", r"unknown key 'effects.drif' \(did you mean 'drift'\?\)"),
        ("[mapping]\nbais = 1", r"unknown key 'mapping.bais' \(did you mean 'bias'\?\)"),
        ("[effects]\ndrift = 2.0", "toml: effects: drift must be from 0 to 1, got 2.0"),
        ("[mapping]\ndrive = 'bits'", "toml: mapping: inputs driven bit by bit need dac_bits"),
        ("[network]\nkind = 'lenet'\nhidden = [3]", "network: hidden does not belong .* 'lenet'"),
        ("[training]\ngradients = 'array'\nengine = 'ideal'", "needs the engine surrogate or line"),
        ("[training]\nrule = 'sign'\nscale = 'adaptive'", "such as siamese, got 'sign'"),
        ("[training]\nepoch = 3", r"unknown key 'training.epoch' \(did you mean 'epochs'\?\)"),
        ("[trainig]\nepochs = 3", r"unknown key 'trainig' \(did you mean 'training'\?\)"),
        ("[training]\nepochs = 0", "training: epochs must be a whole number, at least 1, got 0"),
        (
            "[training]\nengine = 'spcie'",
            r"training.engine: there is no engine 'spcie' \(did you mean 'spice'\?\)",
        ),
        ("[device]\nlevels = 1", "device.levels: .*greater than or equal to 2, got 1"),
        ("[tile]\ncols = 0", "tile: cols must be a whole number, at least 1 and at most 1024"),
        ("[training]\nmomentum = 1.0", "training: momentum must be at least 0 and below 1, got 1"),
        ("[training]\nrule = 'sing'", r"there is no update rule 'sing' \(did you mean 'sign'"),
        ("[audit]\nevrey = 3", r"unknown key 'audit.evrey' \(did you mean 'every'\?\)"),
        ("[audit]\nfallback = 'lime'", "audit.fallback: there is no engine 'lime'"),
        ("[validation]\nengine = 'spise'", "validation.engine: there is no engine 'spise'"),
        ("[mapping]\nclip = 0.0", "mapping: clip must be above 0, got 0"),
        ("[tile]\nr_row = -1.0", "tile: r_row must be at least 0.001 and at most 1e\\+09, got -1"),
        ("[training\n", "is no valid TOML"),
        ("[tile]\nwire_spred = 0.1", r"unknown key 'tile.wire_spred' \(did you mean 'wire_spread'"),
        ("[tile.access]\nkind = 'transistor'\nvgate = 1.0", r"'tile.access.vgate' .*'v_gate'"),
        ("[tile.access]\nv_gate = 1.0", "tile.access: .*kind"),
        ("[tile.access]\nkind = 'selector'\nk = 1.0", "unknown key 'tile.access.k'"),
        ("[tile.access]\nkind = 'transistor'\nk = -1.0", "tile.access: .*k must be positive"),
        ("[tile.amplifier]\ngian = 1.0", r"'tile.amplifier.gian' \(did you mean 'gain'"),
        ("[tile.amplifier]\ngain = -1.0", "tile.amplifier: .*gain must be positive"),
    ],
)
def test_bad_files_get_one_sentence(tmp_path, text, sentence):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_unknown_presets_name_the_nearest():
    with pytest.raises(InputError, match=r"no preset 'mnsit' \(did you mean 'mnist'\?\)"):
        load_config("mnsit")
    with pytest.raises(InputError, match="there is no configuration file"):
        load_config("missing.toml")


@pytest.mark.parametrize("change", ["epochs", "=3", "seed.epochs=3", "training.epochs=many"])
def test_bad_changes_get_one_sentence(change):
    with pytest.raises(InputError):
        load_config("nbsto", [change])


def test_binary_files_are_no_configuration(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no text file"):
        load_config(tmp_path / "a.toml")
