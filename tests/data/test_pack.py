"""Whatever dataclasses are made of comes back as it went, and what doesn't fit them is refused in one sentence."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, make_dataclass
from enum import Enum, IntEnum
from keyword import iskeyword
from typing import Any, Literal, NamedTuple, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from memtwin.data.errors import InputError
from memtwin.data.records.pack import FLAT, UNSAVED, register
from memtwin.data.records.store import pack, read_record, reading, unpack, write_record


class Side(IntEnum):
    LEFT = 0
    RIGHT = 7


class Colour(Enum):
    RED = "#f00"
    GREEN = "#0f0"


@dataclass(frozen=True)
class Gate:
    v: float = 1.0
    side: Side = Side.LEFT


@dataclass(frozen=True)
class Switch:
    on: NDArray[np.bool_]
    note: str | None = None


class Corner(NamedTuple):
    at: tuple[int, int]
    name: str = "x"


def same(a: object, b: object) -> bool:
    """Whether two values have the same types and the same bits."""
    if type(a) is not type(b):
        return False
    if dataclasses.is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or a != a


text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
whole = st.integers(-(2**62), 2**62)
names = st.text("abcdefgh_", min_size=1, max_size=6)
gates = st.builds(Gate, st.floats(), st.sampled_from(Side))
switches = st.builds(
    Switch, arrays(np.bool_, array_shapes(min_dims=0, max_dims=2)), st.none() | text
)

LEAVES = [
    (float, st.floats()),
    (int, whole),
    (bool, st.booleans()),
    (str, text | st.just("µ" * 2000)),
    (Literal["left", "both", 3], st.sampled_from(["left", "both", 3])),
    (Side, st.sampled_from(Side)),
    (Colour, st.sampled_from(Colour)),
    (NDArray[np.float64], arrays(np.float64, array_shapes(min_dims=0, min_side=0))),
    (NDArray[np.int8], arrays(np.int8, array_shapes())),
    (NDArray[Any], arrays(np.float32, array_shapes())),
    (Gate, gates),
    (Corner, st.builds(Corner, st.tuples(whole, whole), text)),
    (Gate | Switch, gates | switches),
    (float | str, st.floats() | text),
    (int | Gate, whole | gates),
    (Mapping[str, float] | Gate | Corner, gates | st.dictionaries(names, st.floats(), max_size=2)),
]


def around(inner: st.SearchStrategy) -> st.SearchStrategy:
    """Hints, and values for them, that are made of others."""

    def of(pair: tuple[Any, st.SearchStrategy]) -> list[tuple[Any, st.SearchStrategy]]:
        hint, values = pair
        return [
            (tuple[hint, ...], st.lists(values, max_size=3).map(tuple)),
            (list[hint], st.lists(values, max_size=3)),
            (Mapping[str, hint], st.dictionaries(names, values, max_size=3)),
            (dict[int, hint], st.dictionaries(whole, values, max_size=3)),
            (hint | None, st.none() | values),
        ]

    pairs = st.tuples(inner, inner).map(
        lambda two: (tuple[two[0][0], two[1][0]], st.tuples(two[0][1], two[1][1]))
    )
    return inner.map(of).flatmap(st.sampled_from) | pairs


hints = st.recursive(st.sampled_from(LEAVES), around, max_leaves=3)


@st.composite
def made(draw: st.DrawFn, depth: int = 1) -> object:
    """A dataclass or named tuple of its own class, within others."""
    drawn = draw(
        st.dictionaries(
            names.filter(lambda name: name[0] != "_" and not iskeyword(name)), hints, max_size=4
        )
    )
    fields = [(name, hint) for name, (hint, _) in drawn.items()]
    values = {name: draw(value) for name, (_, value) in drawn.items()}
    if depth and draw(st.booleans()):
        inner = draw(made(depth=depth - 1))
        fields, values = [*fields, ("inner", type(inner))], {**values, "inner": inner}
    if draw(st.booleans()):
        return NamedTuple("Made", fields)(**values)
    return make_dataclass("Made", fields, frozen=True)(**values)


def without_none(value: Any) -> bool:
    """Whether no list or mapping holds ``None``, which is told only of fields."""
    if isinstance(value, dict):
        value = list(value.values())
    elif dataclasses.is_dataclass(value) or hasattr(value, "_fields"):
        return all(without_none(getattr(value, name)) for name in get_type_hints(type(value)))
    return not isinstance(value, (tuple, list)) or (
        all(one is not None and without_none(one) for one in value)
    )


@given(made().filter(without_none))
def test_what_is_packed_comes_back(value):
    assert same(unpack(type(value), pack(value)), value)


@given(made().filter(without_none))
def test_what_is_written_comes_back(tmp_path_factory, value):
    path = write_record(tmp_path_factory.mktemp("r") / "a.h5", "test", {"value": pack(value)})
    assert same(unpack(type(value), read_record(path, "test")["value"]), value)


plain = st.recursive(
    st.sampled_from(
        [pair for pair in LEAVES if "ndarray" not in str(pair).lower() and pair[0] is not str]
    ),
    around,
    max_leaves=3,
).filter(lambda pair: "Switch" not in str(pair[0]))


@given(plain.flatmap(lambda pair: pair[1].map(lambda value: (pair[0], value))))
def test_what_holds_no_arrays_goes_through_json(pair):
    hint, value = pair
    if without_none(value) and value is not None:
        assert same(unpack(hint, json.loads(json.dumps(pack(value, hint)))), value)


@dataclass(frozen=True)
class Part:
    g: NDArray[np.float64]
    count: int
    sides: tuple[float, float] = (0.0, 1.0)
    access: Gate | Switch | None = None
    way: Literal["up", "down"] = "up"
    end: Colour = Colour.RED
    meta: Mapping[str, str | float] = field(default_factory=dict)
    rows: tuple[Gate, ...] = ()


class Whole(NamedTuple):
    part: Part


SOUND = {"g": np.arange(3.0), "count": 3}


def test_missing_keys_read_as_defaults():
    assert same(unpack(Part, SOUND), Part(np.arange(3.0), 3))


def test_numbers_of_numpy_are_numbers():
    made = Part(np.ones(2), np.int64(3), (np.float64(0.5), np.float32(2.0)))
    tree = pack(made)
    assert (type(tree["count"]), tree["sides"]) == (int, [0.5, 2.0])


def test_a_whole_number_does_for_a_number_and_stays_one():
    assert type(unpack(Gate, {"v": 3}).v) is int


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"g": None}, "part.g is missing"),
        ({"g": "x"}, "expected an array of float64 at part.g, got 'x'"),
        ({"g": ["x", "y"]}, "expected an array of float64 at part.g, got ['x', 'y']"),
        ({"count": 2.5}, "expected a whole number at part.count, got 2.5"),
        ({"count": np.arange(2)}, "at part.count, got an array of int64 of shape (2,)"),
        ({"sides": np.arange(3.0)}, "expected 2 values at part.sides, got an array of float64 of shape (3,)"),
        ({"sides": ["a", "b"]}, "expected a number at part.sides.0, got 'a'"),
        ({"access": {"v": 1.0}}, "expected one of 'gate', 'switch' at part.access.kind, got nothing"),
        ({"access": {"kind": "gate", "v": "x"}}, "expected a number at part.access.v, got 'x'"),
        ({"access": 3}, "expected the parts of a Gate or the parts of a Switch at part.access, got 3"),
        ({"way": "left"}, "expected one of 'up', 'down' at part.way, got 'left'"),
        ({"end": "#f00"}, "expected one of 'RED', 'GREEN' at part.end, got '#f00'"),
        ({"meta": 3}, "expected named values at part.meta, got 3"),
        ({"meta": {"a": SOUND["g"]}}, "expected a string or a number at part.meta.a, got an array"),
        ({"rows": {"0": {}, "x": {}}}, "expected a list at part.rows, got {'0': {}, 'x': {}}"),
        ({"rows": {"0": {}, "1": 3}}, "expected the parts of a Gate at part.rows.1, got 3"),
    ],
    ids=lambda case: case if isinstance(case, str) else next(iter(case)),
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence(tmp_path, change, said):
    path = write_record(tmp_path / "a.h5", "test", {"part": {**SOUND, **change}})
    with pytest.raises(InputError) as caught, reading(path, "test") as tree:
        unpack(Whole, tree)
    assert str(caught.value).startswith(f"{path} is damaged: ")
    assert said in str(caught.value)


class Model:
    def __init__(self, name: str) -> None:
        self.name = name


register(Model, str, lambda model: model.name, Model)


class Held(NamedTuple):
    model: Model
    models: tuple[Model, ...]


def test_a_class_can_be_kept_as_another():
    tree = pack(Held(Model("a"), (Model("b"), Model("c"))))
    assert tree == {"model": "a", "models": ["b", "c"]}
    assert [model.name for model in unpack(Held, tree).models] == ["b", "c"]
    with pytest.raises(InputError, match="expected a string at model, got 3"):
        unpack(Held, {**tree, "model": 3})


@dataclass(frozen=True)
class Cell:
    gate: Gate = field(metadata=FLAT)
    rows: int
    seen: int = field(default=0, metadata=UNSAVED)


def test_fields_may_be_flat_or_left_out():
    tree = pack(Cell(Gate(2.0, Side.RIGHT), 3, 9))
    assert tree == {"v": 2.0, "side": "RIGHT", "rows": 3}
    assert unpack(Cell, tree) == Cell(Gate(2.0, Side.RIGHT), 3, 0)


@dataclass(frozen=True)
class Tagged:
    kind: Literal["old"] = "old"


@dataclass(frozen=True)
class Mistagged:
    kind: str = "x"


def test_a_class_may_say_itself_what_it_is_called():
    for value in (Tagged(), Gate()):
        assert unpack(Gate | Tagged, pack(value, Gate | Tagged)) == value
    assert pack(Tagged(), Gate | Tagged) == {"kind": "old"}
    with pytest.raises(TypeError, match="the kind of a Mistagged"):
        pack(Mistagged(), Gate | Mistagged)


@pytest.mark.parametrize("value", [object(), {"a": {1, 2}}, (None, 1), [Gate], 1j])
def test_what_has_no_place_is_refused(value):
    with pytest.raises(TypeError, match="has no place in a record"):
        pack(value)


def test_what_could_not_be_read_is_not_written():
    with pytest.raises(TypeError, match="a Gate could not be read again as"):
        pack((Gate(),), tuple[Corner, ...])
