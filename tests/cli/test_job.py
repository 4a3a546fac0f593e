"""What the verbs run and train share."""

import pytest

from memtwin.cli.job import Asked, job
from memtwin.data.errors import EngineError, InputError


@pytest.mark.parametrize(
    ("error", "named"),
    [(KeyboardInterrupt(), True), (EngineError("gone"), True), (InputError("no"), False)],
)
def test_the_command_that_continues_is_named_where_there_is_something_to_continue(
    error, named, tmp_path, capsys
):
    asked = Asked(preset="demo", out=tmp_path / "a")
    with pytest.raises(type(error)), job(asked, {}, again="memtwin run --resume {}"):
        raise error
    said = capsys.readouterr().err.replace("\n", "")
    assert (f"continue with: memtwin run --resume {tmp_path / 'a'}" in said) == named
