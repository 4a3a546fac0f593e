"""What the verbs run and train share."""

import pytest

from memtwin.cli.job import resumable
from memtwin.data.errors import EngineError, InputError


@pytest.mark.parametrize(
    ("error", "named"),
    [(KeyboardInterrupt(), True), (EngineError("gone"), True), (InputError("no"), False)],
)
def test_the_command_that_continues_is_named_where_there_is_something_to_continue(
    error, named, capsys
):
    with pytest.raises(type(error)), resumable(None, "memtwin run --resume runs/a"):
        raise error
    said = "continue with: memtwin run --resume runs/a" in capsys.readouterr().err
    assert said == named
