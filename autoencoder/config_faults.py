"""Faults of a configuration, each as one sentence: which setting, what was found, what it must be."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

RULES = {  # where pydantic's own words speak to programmers
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "model_type": "a group of settings, each with its own key",
    "string_type": "text (put quotes around it)",
    "tuple_type": "a list such as [1, 2]",
}
BRANCHES = ("constrained-int", "constrained-str", "literal['auto']", "int", "str", "float", "tuple")  # of a setting of two types


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """First fault of a configuration of that model."""
    faults = error.errors()
    fault = faults[0]
    place = tuple(part for part in fault["loc"] if isinstance(part, str | int))
    if fault["type"] in ("extra_forbidden", "invalid_key"):
        return f"{_dotted(place)} is not a setting; {_nearest(place, model)}"
    if fault["type"] == "value_error":  # one of our own, which says it all
        return fault["msg"].removeprefix("Value error, ")
    place = tuple(part for part in place if part not in BRANCHES)
    rules = dict.fromkeys(_rule(other) for other in faults if other["loc"][: len(place)] == fault["loc"][: len(place)])
    return f"{_dotted(place)} is {shown(fault['input'])}; it must be {' or '.join(rules)}"


def shown(value: object) -> str:
    """A value nearly as the user wrote it, on one line."""
    text = {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def keys_of(model: type[BaseModel], prefix: str = "") -> list[str]:
    """All dotted keys of a model."""
    out: list[str] = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            out += keys_of(field.annotation, f"{prefix}{name}.")
        else:
            out.append(prefix + name)
    return out


def _rule(fault: Mapping[str, Any]) -> str:
    message: str = fault["msg"]
    return RULES.get(fault["type"]) or message.removeprefix("Input should be ").removeprefix("Input should ")


def _dotted(place: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in place)


def _nearest(place: Sequence[str | int], model: Any) -> str:
    """Hint at the setting that was meant."""
    everywhere = keys_of(model)
    for part in place[:-1]:
        model = model.model_fields[str(part)].annotation
    known = list(model.model_fields)
    prefix = _dotted(place[:-1]) + "." if place[:-1] else ""
    if close := difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=0.5):
        return f"did you mean {prefix}{close[0]}?"
    names = {key.rsplit(".", 1)[-1]: key for key in reversed(everywhere)}
    if elsewhere := difflib.get_close_matches(str(place[-1]), names, n=1, cutoff=0.8):
        return f"did you mean {names[elsewhere[0]]}?"
    return f"known here: {', '.join(prefix + name for name in known)}"
