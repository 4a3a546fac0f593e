"""What the verbs run and train share."""

import pytest

from memtwin.cli.job import job
from memtwin.data.errors import EngineError, InputError


@pytest.mark.parametrize(
    ("error", "named"),
    [(KeyboardInterrupt(), True), (EngineError("gone"), True), (InputError("no"), False)],
)
def test_the_command_that_continues_is_named_where_there_is_something_to_continue(
    error, named, tmp_path, capsys
):
    asked = {
        "preset": "demo",
        "config": None,
        "changes": None,
        "given": {},
        "out": tmp_path / "a",
        "resume": None,
        "characterisation": None,
        "dask": None,
        "again": "memtwin run --resume {}",
    }
    with pytest.raises(type(error)), job(**asked):
        raise error
    said = capsys.readouterr().err.replace("\n", "")
    assert (f"continue with: memtwin run --resume {tmp_path / 'a'}" in said) == named
