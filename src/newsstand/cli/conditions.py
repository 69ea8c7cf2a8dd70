"""`--where FIELD OP VALUE`. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

from newsstand.errors import ConfigurationError

Value = str | int | float | bool


def conditions(given: Iterable[tuple[str, str, str]]) -> dict[str, Value]:
    """What each field must equal. Raises ConfigurationError for what cannot be asked yet."""
    where: dict[str, Value] = {}
    for field, operator, value in given:
        if operator != "=":
            raise ConfigurationError(f"--where knows no {operator!r} yet, only =: write --where {field} = VALUE")
        if field in where:
            raise ConfigurationError(f"--where names {field!r} twice, and an item can be held to one value of a field")
        where[field] = scalar(value)
    return where


def scalar(text: str) -> Value:
    """A number, true or false as JSON writes them, or else text; JSON's quotation marks make text of a number."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    match value:
        case bool() | str():
            return value
        case int() if -(2**63) <= value < 2**63:
            return value
        case float() if math.isfinite(value):
            return value
        case _:
            return text
