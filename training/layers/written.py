"""Layers as a configuration writes them: ``"conv 8 5"``, ``"conv 8 3 padding=1"``, or a table
``{kind = "conv", channels = 8, kernel = 5}``, ``{layer = "conv 8 5", levels = 4}``. Layers with weights
also take the options of :class:`.weighted.Placing`.
"""

__all__ = ["KINDS", "written_layers", "written_placings"]

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from ...data.errors import InputError, nearest
from .digital import AveragePool, Dropout, Flatten, MaxPool, Relu, Sigmoid, Tanh
from .norm import BatchNorm
from .weighted import Conv2d, Dense, Placing

KINDS: dict[str, Any] = {
    "dense": Dense,
    "conv": Conv2d,
    "batch_norm": BatchNorm,
    "relu": Relu,
    "tanh": Tanh,
    "sigmoid": Sigmoid,
    "max_pool": MaxPool,
    "average_pool": AveragePool,
    "flatten": Flatten,
    "dropout": Dropout,
}
"""Layers by their names; options in words follow in the order of their fields."""

NESTED = "residual"
"""A table with ``layers`` of its own, whose outputs are added to their inputs."""


def written_layers(
    written: Sequence[Any], residual: Any, where: str = "network.layers"
) -> tuple[Any, ...]:
    """Return the layers that texts and tables stand for; ``residual(layers)`` makes those with layers
    of their own.

    Parameters
    ----------
    written
        Layers as texts and tables.
    residual
        Makes a layer with layers of its own.
    where
        What to call the place in messages.

    Raises
    ------
    InputError
        If there is no such layer or option, or an option can't be: which layer is said.
    """
    if not isinstance(written, Sequence) or isinstance(written, str):
        raise InputError(
            f"{where}: expected a list of layers such as ['dense 32', 'relu', 'dense 10']"
        )
    return tuple(
        _layer(one, residual, f"{where}, layer {place}") for place, one in enumerate(written, 1)
    )


def written_placings(written: Any, where: str = "network.modules") -> dict[str, Placing]:
    """Return where the weights of layers are, by their names or patterns of names: ``{"fc": {"levels": 4}}``.
    Tables inside of tables are of layers inside of layers.

    Parameters
    ----------
    written
        Tables of options by name.
    where
        What to call the place in messages.

    Raises
    ------
    InputError
        If there is no such option, or it can't be.
    """
    known = [item.name for item in fields(Placing)]
    found: dict[str, Placing] = {}

    def gather(table: Any, name: str) -> None:
        place = f"{where}, {name!r}" if name else where
        if not isinstance(table, Mapping):
            raise InputError(
                f"{place}: expected a table such as {{levels = 4}} or {{digital = true}}, got {table!r}"
            )
        options = {key: one for key, one in table.items() if not isinstance(one, Mapping)}
        if unknown := [key for key in options if key not in known or not name]:
            raise InputError(
                f"{place}: there is no option {unknown[0]!r}{nearest(unknown[0], known)}"
            )
        if options:
            try:
                found[name] = Placing(**options)
            except InputError as error:
                raise InputError(f"{place}: {error}") from error
        for key, one in table.items():
            if isinstance(one, Mapping):
                gather(one, f"{name}.{key}" if name else str(key))

    gather(written, "")
    return found


def _layer(written: Any, residual: Any, where: str) -> Any:
    options = dict(written) if isinstance(written, Mapping) else {"layer": written}
    if "kind" in options and "layer" not in options:
        kind, words = str(options.pop("kind")), []
    elif isinstance(text := options.pop("layer", None), str) and text.split():
        kind, *words = text.split()
    else:
        raise InputError(
            f"{where}: expected a text such as 'conv 8 5', or a table, got {written!r}"
        )
    if kind == NESTED:
        if options.keys() != {"layers"} or words:
            raise InputError(
                f"{where}: a residual is a table with layers, such as {{kind = 'residual', layers ="
                " ['conv 8 3 padding=1', 'relu']}"
            )
        return residual(written_layers(options["layers"], residual, f"{where}, layers"))
    if kind not in KINDS:
        raise InputError(f"{where}: there is no layer {kind!r}{nearest(kind, [*KINDS, NESTED])}")
    made = KINDS[kind]
    names = [item.name for item in fields(made) if item.name != "placing"]
    places = [item.name for item in fields(Placing)] if made in (Dense, Conv2d) else []
    plain = [word for word in words if "=" not in word]
    if len(plain) > len(names):
        raise InputError(
            f"{where}, {written!r}: {kind} takes {', '.join(names) or 'no options'}, got {len(plain)}"
        )
    options |= {name: _number(word) for name, word in zip(names, plain, strict=False)}
    for word in words:
        if "=" in word:
            name, _, value = word.partition("=")
            options[name] = _number(value)
    if unknown := [name for name in options if name not in (*names, *places)]:
        raise InputError(
            f"{where}: {kind} has no option {unknown[0]!r}{nearest(unknown[0], [*names, *places])}"
        )
    placing = {name: options.pop(name) for name in places if name in options}
    try:
        return made(**options, **({"placing": Placing(**placing)} if placing else {}))
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    except TypeError:
        raise InputError(f"{where}, {written!r}: {kind} needs {', '.join(names)}") from None


def _number(word: str) -> Any:
    if word in ("true", "false"):
        return word == "true"
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word
