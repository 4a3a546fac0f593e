"""Configurations: presets load, changes apply, and every typo gets one sentence."""

import pytest

from memtwin.data.errors import InputError
from memtwin.training.config import RunConfig, load_config, presets


def test_presets_load():
    assert {"demo", "mnist"} <= set(presets())
    for name in presets():
        assert isinstance(load_config(name), RunConfig)


def test_mnist_is_what_the_docs_say():
    config = load_config("mnist")
    assert config.network.hidden == (100,)
    assert (config.training.epochs, config.training.batch, config.device.levels) == (10, 100, 16)


def test_changes_apply_in_their_types():
    config = load_config(
        "demo", ["training.epochs=2", "network.hidden=[8, 4]", "training.engine=line", "seed = 7"]
    )
    assert (config.training.epochs, config.network.hidden, config.seed) == (2, (8, 4), 7)
    assert config.training.engine == "line"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[training]\nepoch = 3", r"unknown key 'training.epoch' \(did you mean 'epochs'\?\)"),
        ("[trainig]\nepochs = 3", r"unknown key 'trainig' \(did you mean 'training'\?\)"),
        ("[training]\nepochs = 0", "training.epochs: Input should be greater than 0, got 0"),
        ("[training]\nengine = 'spcie'", "training.engine: .*'spice'.*, got 'spcie'"),
        ("[device]\nlevels = 1", "device.levels: .*greater than or equal to 2, got 1"),
        ("[tile]\ncols = 31", "cols must be even"),
        ("[tile]\nr_row = -1.0", "tile.r_row: .*greater than 0"),
        ("[training\n", "is no valid TOML"),
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
        load_config("demo", [change])


def test_binary_files_are_no_configuration(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no text file"):
        load_config(tmp_path / "a.toml")
