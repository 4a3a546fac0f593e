"""What a verb prints and how it ends."""

import errno
import json

import numpy as np
import pytest
import typer

from memtwin.cli import console
from memtwin.data.errors import FitError, InputError


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("column 'I' is missing in a.csv"), 2, "error: column 'I' is missing in a.csv"),
        (FitError("did not converge"), 1, "error: did not converge"),
        (KeyboardInterrupt(), 1, "error: interrupted; what was finished is on disk"),
        (
            OSError(errno.ENOSPC, "No space left on device", "a.h5"),
            1,
            "error: a.h5: No space left on device",
        ),
        (MemoryError(), 1, "error: out of memory"),
    ],
)
def test_errors_end_a_verb_with_one_sentence(capsys, error, code, words):
    def job() -> None:
        raise error

    with pytest.raises(typer.Exit) as stop:
        console.verb(job)()
    out, err = capsys.readouterr()
    assert stop.value.exit_code == code
    assert out == ""
    assert err.startswith(words)
    assert err.count("\n") == 1


def test_our_own_bugs_are_not_hidden():
    def job() -> None:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        console.verb(job)()


def test_json_is_one_object_with_null_for_what_is_no_number(capsys):
    console.emit(
        {"a": np.float64("nan"), "b": np.arange(2), "c": {"d": np.int64(3)}, "e": None},
        as_json=True,
    )
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": None, "b": [0, 1], "c": {"d": 3}, "e": None}
    assert out.count("\n") == 1
    assert err == ""


def test_brackets_are_shown_as_they_are(capsys):
    console.emit({"unit": "current [A]"}, as_json=False)
    console.note("voltage [V]")
    out, err = capsys.readouterr()
    assert "current [A]" in out
    assert "voltage [V]" in err


def test_bars_go_to_stderr(capsys):
    with console.bar("counting") as progress:
        progress(1, 2)
        progress(2, 2)
    assert capsys.readouterr().out == ""
