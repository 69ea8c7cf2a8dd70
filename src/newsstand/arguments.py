"""The arguments of the public verbs, checked: a wrong one is told at once, with what is possible, instead of finding
nothing later. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Protocol, TypeAlias, TypeVar

from newsstand.errors import ConfigurationError
from newsstand.jid import canonical_bare
from newsstand.model import RsmQuery
from newsstand.suggesting import did_you_mean

E = TypeVar("E", bound=Enum)


class HasBare(Protocol):
    """An XMPP library's JID."""

    @property
    def bare(self) -> str: ...


AnyJid: TypeAlias = str | HasBare
"""A JID, as a text or as the XMPP library has it."""

_SHOWN = 100
"""Characters of a value that a message shows."""
_HALVES = range(0xD800, 0xE000)
"""Halves of surrogate pairs: no XML and no database can hold them."""


def bare_jid(name: str, value: object) -> str:
    """A JID, as a text or as an XMPP library's JID, as its canonical bare one. Raises ConfigurationError."""
    return canonical_bare(jid_text(name, value))


def jid_text(name: str, value: object) -> str:
    """A JID as it was spelt. An XMPP library's JID is taken by its `bare`."""
    text = value if isinstance(value, str) else getattr(value, "bare", None)
    if not isinstance(text, str):
        raise ConfigurationError(f"{name} must be a JID, such as 'pubsub.example.org', not {shown(value)}")
    if not text.partition("/")[0].strip():
        raise ConfigurationError(f"{name} is empty: give a JID, such as 'pubsub.example.org'")
    _check_characters(name, text)
    return text


def node_name(value: object) -> str:
    """The name of a node. Raises ConfigurationError."""
    if not isinstance(value, str):
        raise ConfigurationError(f"node must be the name of one node, a text, not {shown(value)}")
    if not value:
        raise ConfigurationError("node is empty: give the name of a node")
    _check_characters("node", value)
    return value


def item_ids(value: object) -> tuple[str, ...]:
    """Ids of items, in the order given. Raises ConfigurationError."""
    if isinstance(value, str):
        raise ConfigurationError(f"item_ids is a list of ids: for one, give [{shown(value)}]")
    if not isinstance(value, Collection) or isinstance(value, Mapping | bytes | bytearray | memoryview):
        raise ConfigurationError(f"item_ids is a list of ids, not {shown(value)}")
    for item_id in value:
        if not isinstance(item_id, str) or not item_id:
            raise ConfigurationError(f"item_ids is a list of ids, which are texts; {shown(item_id)} is none")
        _check_characters("an id", item_id)
    return tuple(value)


def count(name: str, value: object, *, least: int = 1) -> int | None:
    """A whole number, or None where none is given. Raises ConfigurationError."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigurationError(f"{name} must be a whole number, not {shown(value)}")
    if not least <= value < 2**63:
        raise ConfigurationError(f"{name} must be at least {least}, and below 2^63")
    return value


def seconds(name: str, value: object) -> float | None:
    """A number of seconds, 0 at least, or None where none is given. Raises ConfigurationError."""
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or math.isnan(value) or value < 0:
        raise ConfigurationError(f"{name} is a number of seconds, not below 0, not {shown(value)}")
    return float(value)


def page(value: object) -> RsmQuery | None:
    """A page of XEP-0059, or None. Raises ConfigurationError."""
    if value is None:
        return None
    if not isinstance(value, RsmQuery):
        raise ConfigurationError(f"rsm must be a newsstand.RsmQuery, not {shown(value)}")
    if count("max of an RsmQuery", value.max, least=0) is None:
        raise ConfigurationError("an RsmQuery needs its max: how many items a page has")
    count("index of an RsmQuery", value.index, least=0)
    for name in ("after", "before"):
        cursor = getattr(value, name)
        if cursor is not None and not isinstance(cursor, str):
            raise ConfigurationError(f"{name} of an RsmQuery is a cursor that the service gave, not {shown(cursor)}")
    return value


def one_of(name: str, kind: type[E], value: object) -> E | None:
    """A member of an enumeration, or its value, or None where none is given. Raises ConfigurationError."""
    if value is None or isinstance(value, kind):
        return value
    for member in kind:
        if isinstance(value, str) and value in (member.value, member.name):
            return member
    possible = [f"{kind.__name__}.{member.name}" for member in kind]
    raise ConfigurationError(f"{name} {shown(value)} is unknown: give {options(possible, value)}")


def flag(name: str, value: object) -> bool:
    """Yes or no. Raises ConfigurationError."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be True or False, not {shown(value)}")
    return value


def progress(value: Any) -> Any:
    """A function, or None. Raises ConfigurationError."""
    if value is not None and not callable(value):
        raise ConfigurationError(f"progress must be a function of two numbers, not {shown(value)}")
    return value


def search_text(value: object) -> str | None:
    """What is searched for. Nothing but white space is as good as nothing: there is no word that could be missing.
    Raises ConfigurationError."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ConfigurationError(f"text must be a text, not {shown(value)}")
    return value if value.strip() else None


def known(name: str, value: str | None, possible: Iterable[str]) -> str | None:
    """A text that is one of those that there are, or None where none is given. Raises ConfigurationError."""
    if value is None:
        return None
    there = sorted(set(possible))
    if value not in there:
        raise ConfigurationError(f"{name} {shown(value)} is unknown: there are {options(there, value)}")
    return value


def fields(value: object) -> Mapping[str, Any] | None:
    """What parsed fields must equal. Raises ConfigurationError."""
    if value is not None and not isinstance(value, Mapping):
        raise ConfigurationError(
            f'where must be a dict of fields and values, such as {{"author.name": "Juliet"}}, not {shown(value)}'
        )
    return value


def options(possible: Sequence[str], given: object) -> str:
    """What is possible, in words, and what was probably meant."""
    listed = " or ".join(each for each in (", ".join(possible[:-1]), *possible[-1:]) if each)
    return listed + (did_you_mean(given, possible) if isinstance(given, str) else "")


def shown(value: object) -> str:
    """In a message, of which nobody reads more."""
    if isinstance(value, int) and value.bit_length() > 64:
        return f"an integer of {value.bit_length()} bits"  # Python refuses to write out those of many digits
    if isinstance(value, str):
        return repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}…"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{type(value).__name__} {text[:_SHOWN]}…"


def _check_characters(name: str, text: str) -> None:
    if any(ord(c) in _HALVES for c in text):
        raise ConfigurationError(f"{name} holds half a surrogate pair, which is no character")
    if "\0" in text:
        raise ConfigurationError(f"{name} holds a NUL, which no XML can")
