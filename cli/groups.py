"""Options that several verbs share, as dataclasses: a verb that takes one has its fields as options."""

__all__ = ["grouped"]

import functools
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from inspect import Parameter, signature
from typing import Any, TypeVar, get_type_hints

R = TypeVar("R")


def grouped(function: Callable[..., R]) -> Callable[..., R]:
    """Return ``function`` with every parameter that is a dataclass replaced by that one's fields,
    under which typer and callers give them.
    """
    hints = get_type_hints(function, include_extras=True)
    groups = {
        name: kind for name, kind in hints.items() if isinstance(kind, type) and is_dataclass(kind)
    }
    parameters: list[Parameter] = []
    own: list[str] = []
    for parameter in signature(function).parameters.values():
        group = groups.get(parameter.name)
        if group is None:
            # What comes after a group, whose fields are many, is given by name.
            kind = parameter.kind if len(parameters) == len(own) else Parameter.KEYWORD_ONLY
            parameters.append(parameter.replace(annotation=hints[parameter.name], kind=kind))
            own.append(parameter.name)
            continue
        parts = get_type_hints(group, include_extras=True)
        parameters += [
            Parameter(
                item.name, Parameter.KEYWORD_ONLY, default=item.default, annotation=parts[item.name]
            )
            for item in fields(group)
        ]
    given = signature(function).replace(parameters=parameters)

    @functools.wraps(function)
    def expanded(*args: Any, **kwargs: Any) -> R:
        values = given.bind(*args, **kwargs).arguments
        made = {
            name: kind(**{f.name: values.pop(f.name) for f in fields(kind) if f.name in values})
            for name, kind in groups.items()
        }
        return function(**values, **made)

    result: Any = expanded
    result.__signature__ = given
    result.__annotations__ = {item.name: item.annotation for item in given.parameters.values()}
    return expanded
