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
    words = {"again": "memtwin run --resume {}"}

    def work() -> None:
        with job(asked, {}, **words) as (settings, claim, _):
            (claim.path / "config.json").write_text(settings.model_dump_json())
            (claim.path / "write_table.h5").touch()
            raise error

    with pytest.raises(type(error)) as stop:
        work()
    said = f"{capsys.readouterr().err} {stop.value}".replace("\n", "")
    assert ("holds the write table" in said) == named
    assert (f"continue with: memtwin run --resume {tmp_path / 'a'}" in said) == named
