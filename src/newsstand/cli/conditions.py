"""`--where FIELD=VALUE`, and `--where FIELD OP VALUE`. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence

from newsstand.errors import ConfigurationError

Value = str | int | float | bool


_OPERATOR = re.compile(r"[=<>!~]+")
_IN_ONE_WORD = re.compile(r"([^=<>!~]+?)\s*([=<>!~]+)(.*)", re.DOTALL)


class Spelt(str):
    """A condition that was given as three words, which may hold anything."""

    __slots__ = ("words",)
    words: tuple[str, str, str]

    def __new__(cls, words: tuple[str, str, str]) -> Spelt:
        spelt = super().__new__(cls, " ".join(words))
        spelt.words = words
        return spelt


def joined(arguments: Sequence[str]) -> list[str]:
    """The arguments with the three words behind a `--where` as one. What is one word already stays so."""
    return list(_joined(arguments))


def _joined(arguments: Sequence[str]) -> Iterator[str]:
    left = list(arguments)
    while left:
        yield (argument := left.pop(0))
        if argument == "--":
            yield from left
            return
        if argument == "--where" and len(left) >= 3 and _are_three_words(left[0], left[1]):
            field, operator, value, *left = left
            yield Spelt((field, operator, value))


def _are_three_words(field: str, operator: str) -> bool:
    return bool(_OPERATOR.fullmatch(operator)) or not (_OPERATOR.search(field) or operator.startswith("-"))


def condition(given: str) -> tuple[str, str, str]:
    """Field, operator and value. Raises ValueError for what is no condition."""
    if isinstance(given, Spelt):
        return given.words
    found = _IN_ONE_WORD.fullmatch(given)
    if found is None:
        raise ValueError(f"{given!r} is no condition: write FIELD=VALUE, such as author.name=Juliet")
    field, operator, value = found.groups()
    return field, operator, value.removeprefix(" ")


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
