"""What statements share: the keys of nodes, how keys are cut into lists, and which recencies are free."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, select

from newsstand.errors import ConfigurationError
from newsstand.jid import canonical_bare
from newsstand.model import NodeKey, Process
from newsstand.storage.mapping import PubsubItem, table

T = TypeVar("T")

CHUNK = 400
"""How many keys go into one IN list: below every database's limit of parameters."""

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_item = table(PubsubItem)
_TAKEN = select(_item.c.recency).where(_item.c.recency.in_(bindparam("b_recencies", expanding=True)))
_IS_TAKEN: Any = select(_item.c.recency).where(_item.c.recency == bindparam("b_recency"))


def chunks(keys: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(keys), CHUNK):
        yield keys[start : start + CHUNK]


def node_key(jid: str, service: str, name: str) -> NodeKey:
    """Of a stored row, whose JIDs may be spelt otherwise (see `newsstand.storage.statements.spelling`)."""
    return NodeKey(canonical_bare(jid), canonical_bare(service), name)


def process_of(host: object, pid: object, started: object) -> Process:
    """Of a stored row. Raises TypeError for a value of another type than its column's, which SQLite may hold."""
    if not (isinstance(host, str) and isinstance(pid, int) and isinstance(started, str)):
        raise TypeError(f"a process is noted as {(host, pid, started)!r}")
    return Process(host, pid, started)


def check_text(what: str, text: str) -> None:
    """Raises ConfigurationError for what XML cannot carry and not every database can hold. Nothing of the kind comes
    from a service; a program may hand it in."""
    if "\0" in text or not (text.isascii() or _is_encodable(text)):
        raise ConfigurationError(f"{what} holds a NUL or half a surrogate pair: {text[:60]!r}")


def check_texts(what: str, texts: Iterable[str]) -> None:
    """The same of several texts of a kind."""
    for text in texts:
        check_text(what, text)


def storable(text: str) -> str:
    """The text with what no database can hold replaced: for what only people read."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def free_recencies(conn: Connection, wanted: Sequence[int]) -> list[int]:
    """Recencies that no item has, each the wanted one or a little later. Wanted ones that do not fall get ones that
    rise, so that what came together stays in order."""
    taken = {r for chunk in chunks(wanted) for r in conn.execute(_TAKEN, {"b_recencies": chunk}).scalars()}
    chosen: list[int] = []
    mine: set[int] = set()
    before = None
    for recency in wanted:
        candidate = recency
        if before is not None and before <= recency <= chosen[-1]:
            candidate = chosen[-1] + 1
        if candidate in mine or candidate in taken or (candidate != recency and _is_taken(conn, candidate)):
            candidate = _free_after(conn, candidate, mine)
        before = recency
        mine.add(candidate)
        chosen.append(candidate)
    return chosen


def _free_after(conn: Connection, recency: int, mine: set[int]) -> int:
    """A free one after one that is not. Ten thousand items may share a date, and then stand side by side: so this
    looks ahead by ever longer steps, then halves the last one."""
    step = 1
    while recency + step in mine or _is_taken(conn, recency + step):
        step *= 2
    lowest, free = recency + step // 2, recency + step
    while free - lowest > 1:
        middle = (lowest + free) // 2
        if middle in mine or _is_taken(conn, middle):
            lowest = middle
        else:
            free = middle
    return free


def _is_taken(conn: Connection, recency: int) -> bool:
    return conn.execute(_IS_TAKEN, {"b_recency": recency}).first() is not None
