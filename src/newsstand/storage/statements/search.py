"""Searches: by full text, by fields of the parsed data, and by nodes."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, delete, func, select

from newsstand.analysis.analysers import MAX_JSON_DEPTH
from newsstand.analysis.words import words
from newsstand.errors import ConfigurationError
from newsstand.model import Item, Page, SyncState
from newsstand.storage.mapping import Account, ItemText, PubsubItem, PubsubNode, table
from newsstand.storage.schema import dialects, full_text
from newsstand.storage.statements.keys import chunks, node_key

MAX_TOTAL = 10_000
"""How far the results of a search are counted."""
MAX_TEXT = 30_000
"""Characters that are searched for at most: whoever may search may send any text."""
MAX_VALUE = 10_000_000
"""Characters of a text that is searched for. No payload that is stored is as long, and the databases have limits of
their own, each another one."""
MAX_CONDITIONS = 200
"""Fields of a query: SQLite nests no more than 1,000 expressions."""
SHOWN = 100
MAX_WORDS = 200
"""How many different words a search may hold: FTS5 refuses expressions much longer."""

_HALF = re.compile("[\ud800-\udfff]")
_NO_KEY = re.compile('["\0\ud800-\udfff]')
_text = table(ItemText)
_item = table(PubsubItem)
_node = table(PubsubNode)
_account = table(Account)

_TEXT_DELETE = delete(_text).where(
    _text.c.node_id == bindparam("b_node"), _text.c.digest.in_(bindparam("b_digests", expanding=True))
)


def index(conn: Connection, node_id: int, rows: Sequence[tuple[int, bytes, str]]) -> None:
    """Add the words of items that have none in the index: their recency, digest and terms."""
    if not rows:
        return
    scope = full_text.scope_of(node_id)
    full_text.add_words(
        conn,
        [
            {"docid": docid, "node_id": node_id, "digest": key, "scope": scope, "terms": terms}
            for docid, key, terms in rows
        ],
    )


def unindex(conn: Connection, node_id: int, digests: Sequence[bytes]) -> None:
    """Take the words of items out; those that have none are passed over."""
    for keys in chunks(digests):
        conn.execute(_TEXT_DELETE, {"b_node": node_id, "b_digests": keys})


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for; everything given must hold.

    `text`: all of its words, in any order. `where`: fields of the parsed data, by dotted path, each equal to the
    value given, or, where the field is a list, holding it. `after`: the cursor of the page before.
    """

    text: str | None = None
    type: str | None = None
    service: str | None = None
    node: str | None = None
    account: str | None = None
    where: Mapping[str, str | int | float | bool] | None = None
    limit: int = 20
    after: int | None = None

    def __post_init__(self) -> None:
        if not _is_integer(self.limit) or not 1 <= self.limit <= 1000:
            raise ConfigurationError("limit must be between 1 and 1000")
        if self.after is not None and not (_is_integer(self.after) and _fits(self.after)):
            raise ConfigurationError("after is the `next` of the page before: a number of at most 64 bits")
        for name in ("text", "type", "service", "node", "account"):
            _check_text(name, getattr(self, name))
        if self.text is not None and len(self.text) > MAX_TEXT:
            raise ConfigurationError(f"a search takes at most {MAX_TEXT} characters")
        _check_where(self.where)


def _check_text(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be a text, not {type(value).__name__}")
    if len(value) > MAX_VALUE:
        raise ConfigurationError(f"{name} may have at most {MAX_VALUE} characters")
    if name != "text" and _HALF.search(value):  # of a text only the words count, and it is in none
        raise ConfigurationError(f"{name} holds half a surrogate pair, which no database can keep")


def _check_where(where: object) -> None:
    if where is None:
        return
    if not isinstance(where, Mapping):
        raise ConfigurationError('where must be a dict of fields and values, such as {"author.name": "Juliet"}')
    if len(where) > MAX_CONDITIONS:
        raise ConfigurationError(f"where takes at most {MAX_CONDITIONS} fields")
    for path, value in where.items():
        field_keys(path)
        _check_value(path, value)


def field_keys(path: object) -> list[str]:
    """`author.name` as its keys. Raises ConfigurationError for what is no path."""
    keys = path.split(".") if isinstance(path, str) and len(path) <= MAX_VALUE and not _NO_KEY.search(path) else []
    if not keys or not all(keys):
        raise ConfigurationError(f"{_shown(path)} is not a field: write key or key.key, without quotation marks")
    if len(keys) > MAX_JSON_DEPTH:
        raise ConfigurationError(
            f"{_shown(path)} has {len(keys)} keys: a field has at most {MAX_JSON_DEPTH}, as many as parsed data has "
            "levels"
        )
    return keys


def _check_value(path: str, value: object) -> None:
    match value:
        case bool():
            return
        case int() if _fits(value):
            return
        case float() if math.isfinite(value):
            return
        case str() if len(value) <= MAX_VALUE and not _HALF.search(value):
            return
    raise ConfigurationError(
        f"{_shown(path)} cannot equal {_shown(value)}: give a text of at most {MAX_VALUE} characters, a number of at "
        "most 64 bits, true or false"
    )


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _fits(value: int) -> bool:
    return -(2**63) <= value < 2**63


def _shown(value: object) -> str:
    """In a message, of which nobody reads more. Python refuses to write out integers of many digits."""
    if isinstance(value, int) and not _fits(value):
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, str):
        return repr(value) if len(value) <= SHOWN else f"{value[:SHOWN]!r}…"
    return repr(value)[:SHOWN]


def find(conn: Connection, query: Query, hidden: Collection[int] = ()) -> Page:
    """A page of results, newest first; those in quarantine are left out, and those of the `hidden` nodes, by their ids.
    May scan: not for the event loop. `total` counts no further than MAX_TOTAL."""
    cut = list(dict.fromkeys(words(query.text))) if query.text is not None else None
    if cut is not None and len(cut) > MAX_WORDS:
        raise ConfigurationError(f"a search takes at most {MAX_WORDS} different words")
    nodes = _matching_nodes(conn, query, hidden)
    if nodes == [] or cut == []:
        return Page([], None, 0)
    conditions = [
        dialects.field_holds(conn, number, field_keys(path), value)
        for number, (path, value) in enumerate((query.where or {}).items())
    ]
    full_text.prepare_search(conn)
    found: Select[Any]
    if cut is None:
        if nodes is not None:
            conditions.append(_item.c.node_id.in_(nodes))
        found = counted = select(_item.c.recency).where(_item.c.quarantine.is_(None), *conditions)
    else:
        found, counted = full_text.with_words(conn, cut, nodes, conditions)
    if cut is None and not query.where:
        total = _count_items(conn, nodes)
    else:
        total = conn.execute(select(func.count()).select_from(counted.limit(MAX_TOTAL).subquery())).scalar_one()
    recency = found.selected_columns[0]
    if query.after is not None:
        found = found.where(recency < query.after)
    # Only keys are sorted and cut off; the rest of the rows is read for those that are left.
    keys = list(conn.execute(found.order_by(recency.desc()).limit(query.limit + 1)).scalars())
    items = [item_of(row) for chunk in chunks(keys[: query.limit]) for row in conn.execute(_ROWS, {"b_keys": chunk})]
    return Page(items, items[-1].recency if len(keys) > query.limit else None, total)


_SOME_CLOSED = select(_node.c.id).where(_node.c.state == SyncState.GONE.value, _node.c.item_count > 0).limit(1)
"""Nodes that their accounts may not read any more, and whose rows are kept for a while."""


def _matching_nodes(conn: Connection, query: Query, hidden: Collection[int]) -> list[int] | None:
    """The nodes that are searched; None for all."""
    if any("\0" in given for given in (query.type, query.service, query.node, query.account) if given is not None):
        return []  # nothing is called so, and not every database lets us ask
    conditions: list[ColumnElement[bool]] = []
    if query.type is not None:
        conditions.append(_node.c.type == query.type)
    if query.service is not None:
        conditions.append(_node.c.service == query.service)
    if query.node is not None:
        conditions.append(_node.c.name == query.node)
    if query.account is not None and not _is_only_account(conn, query.account):
        conditions.append(_account.c.jid == query.account)
    if hidden:
        conditions.append(_node.c.id.not_in(hidden))
    if conn.execute(_SOME_CLOSED).first() is not None:
        conditions.append(_node.c.state != SyncState.GONE.value)
    if not conditions:
        return None
    joined = _node.join(_account, _node.c.account_id == _account.c.id)
    return list(conn.execute(select(_node.c.id).select_from(joined).where(*conditions)).scalars())


def _is_only_account(conn: Connection, jid: str) -> bool:
    """Then there is nothing to narrow, and a search of words stays within their index."""
    return list(conn.execute(select(_account.c.jid).limit(2)).scalars()) == [jid]


def _count_items(conn: Connection, nodes: list[int] | None) -> int:
    """All items of the nodes, but those in quarantine: the nodes know."""
    counts = select(func.coalesce(func.sum(_node.c.item_count - _node.c.quarantined), 0))
    if nodes is not None:
        counts = counts.where(_node.c.id.in_(nodes))
    return min(int(conn.execute(counts).scalar_one()), MAX_TOTAL)


ITEM_COLUMNS = (
    _account.c.jid,
    _node.c.service,
    _node.c.name,
    _item.c.item_id,
    _item.c.xml,
    _item.c.parsed,
    _item.c.publisher,
    _item.c.revision,
    _item.c.recency,
    _item.c.first_seen,
    _item.c.parse_error,
)
_ROWS = (
    select(*ITEM_COLUMNS)
    .select_from(_item.join(_node, _item.c.node_id == _node.c.id).join(_account, _node.c.account_id == _account.c.id))
    .where(_item.c.recency.in_(bindparam("b_keys", expanding=True)))
    .order_by(_item.c.recency.desc())
)


def item_of(row: Any) -> Item:
    return Item(node_key(row[0], row[1], row[2]), *row[3:])
