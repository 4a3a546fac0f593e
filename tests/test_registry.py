"""Open tables: what ships, one's own, and what installed packages bring."""

import sys

import pytest

from memtwin.data.errors import InputError
from memtwin.data.registry import Registry


def table():
    return Registry[object](
        "fruit",
        group="memtwin.test_fruits",
        how="register_fruit(name, fruit)",
        entries={"apple": 1, "pi": "math:pi", "text": ".types:Progress", "gone": "math:tau_"},
        package="memtwin.data",
    )


def test_entries_are_imported_when_they_are_asked_for():
    from math import pi

    from memtwin.data.types import Progress

    fruits = table()
    assert (fruits["apple"], fruits["pi"], fruits["text"]) == (1, pi, Progress)
    assert fruits.names() == tuple(fruits) == ("apple", "pi", "text", "gone")
    assert "apple" in fruits
    assert "melon" not in fruits
    with pytest.raises(InputError, match="the fruit 'gone' can't be imported from math:tau_"):
        fruits["gone"]


def test_ones_own_come_after_and_can_be_made_anew():
    fruits = table()
    fruits.register("melon", 2)
    fruits.register("melon", 3)
    assert fruits["melon"] == 3
    assert fruits.names()[-1] == "melon"
    for name in ("apple", "", "a/b", " melon", "melon ", "é", None):
        with pytest.raises(InputError, match="fruit"):
            fruits.register(name, 4)


def test_a_miss_says_what_there_is_and_how_to_add():
    with pytest.raises(InputError, match=r"no fruit 'appel' \(did you mean 'apple'\?\)") as caught:
        table()["appel"]
    assert "register_fruit(name, fruit)" in str(caught.value)
    assert "'memtwin.test_fruits'" in str(caught.value)


def test_installed_packages_bring_theirs(tmp_path, monkeypatch):
    info = tmp_path / "orchard-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: orchard\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[memtwin.test_fruits]\npear = orchard_fruits:PEAR\nplum = orchard_fruits:PLUM\n"
        "apple = orchard_fruits:PEAR\n"
    )
    (tmp_path / "orchard_fruits.py").write_text("PEAR = 5\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    fruits = table()
    assert fruits.names() == ("apple", "pi", "text", "gone", "pear", "plum")
    assert "orchard_fruits" not in sys.modules
    assert (fruits["pear"], fruits["apple"]) == (5, 1)
    with pytest.raises(InputError, match="the fruit 'plum' can't be imported"):
        fruits["plum"]
