"""Reads the items of an answer. `newsstand.rules.behaviour` says which ones, and in which order."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, select
from sqlalchemy.util import await_only

from newsstand.model import Item, ItemsRequest, digest
from newsstand.rules.behaviour import Take
from newsstand.rules.cursors import ends_of
from newsstand.storage.mapping import Account, PubsubItem, PubsubNode, table
from newsstand.storage.statements import polls
from newsstand.storage.statements.keys import chunks
from newsstand.storage.statements.polls import Standing
from newsstand.storage.statements.search import ITEM_COLUMNS, item_of

_item = table(PubsubItem)
_node = table(PubsubNode)
_account = table(Account)

_digest = lru_cache(1024)(digest)
"""Programs ask for the same items again and again."""


class _Prepared:
    """A select that reads only texts, numbers and digests, compiled once. It runs on the driver's own connection:
    SQLAlchemy's part in a 20-item read costs twice what the read does on SQLite (benchmarks/storage_read.py), and on
    PostgreSQL as much as the half of it. There not within a transaction, which SQLAlchemy would have to begin."""

    def __init__(self, statement: Select[Any]) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, list[str], dict[str, Any]]] = {}

    def rows(self, conn: Connection, **params: Any) -> Sequence[Any]:
        on_sqlite = conn.dialect.name == "sqlite"
        adapter: Any = conn.connection.dbapi_connection
        if not on_sqlite and not adapter.autocommit:
            return conn.execute(self._statement, params).all()
        compiled = self._compiled.get(conn.dialect.name)
        if compiled is None:
            made = self._statement.compile(dialect=conn.dialect)
            compiled = (str(made), list(made.positiontup or ()), dict(made.params))
            self._compiled[conn.dialect.name] = compiled
        sql, names, defaults = compiled
        given = [params[name] if name in params else defaults[name] for name in names]
        driver: Any = conn.connection.driver_connection
        rows: list[Any] = driver.execute(sql, given).fetchall() if on_sqlite else await_only(driver.fetch(sql, *given))
        return rows


_OF_NODE = _item.c.node_id == bindparam("b_node")
_XML = select(_item.c.xml).where(_OF_NODE)
_XML_ALL = _Prepared(_XML.order_by(_item.c.position))
_XML_LAST = _Prepared(_XML.order_by(_item.c.position.desc()).limit(bindparam("b_limit")))
_XML_FIRST = _Prepared(_XML.order_by(_item.c.position).limit(bindparam("b_limit")))
_XML_ONE = _Prepared(_XML.where(_item.c.digest == bindparam("b_digest")))
_XML_BY_KEY = select(_item.c.digest, _item.c.position, _item.c.xml).where(
    _OF_NODE, _item.c.digest.in_(bindparam("b_digests", expanding=True))
)
_ID_AT = select(_item.c.item_id).where(_OF_NODE).limit(1).offset(bindparam("b_offset"))
_ID_FROM_START = _Prepared(_ID_AT.order_by(_item.c.position))
_ID_FROM_END = _Prepared(_ID_AT.order_by(_item.c.position.desc()))
_FULL: Select[Any] = (
    select(_item.c.to_parse, *ITEM_COLUMNS)
    .select_from(_item.join(_node, _item.c.node_id == _node.c.id).join(_account, _node.c.account_id == _account.c.id))
    .where(_item.c.node_id == bindparam("b_node"), _item.c.quarantine.is_(None))
)
_COUNT = select(_node.c.item_count).where(_node.c.id == bindparam("b_node"))
_FULL_BY_KEY = _FULL.add_columns(_item.c.position).where(_item.c.digest.in_(bindparam("b_digests", expanding=True)))


class Found(NamedTuple):
    """What an answer is made of: the rows, as they were at one moment."""

    rows: Sequence[Any]
    """Texts, or whole items."""
    of: int
    """How many items the node has, where its ends were asked for."""
    ends: Sequence[str]
    """The ids of the items at the ends of what `max_items` brings, where they were asked for."""
    standing: Standing | None
    """How the copy stands, where that was asked for: read after the rows."""


class Wanted(NamedTuple):
    """What `find` is asked for: its arguments."""

    node_id: int
    request: ItemsRequest
    take: Take
    whole: bool = False
    """Items, not texts."""
    with_ends: bool = False
    with_standing: bool = False
    expected: int = 0
    """Where the node has items, as far as is known, and none is found, the standing is asked for, too."""


def find(
    conn: Connection,
    node_id: int,
    request: ItemsRequest,
    take: Take,
    whole: bool = False,
    with_ends: bool = False,
    with_standing: bool = False,
    expected: int = 0,
) -> Found:
    """See `Wanted`. The ends and the rows are of one moment where the read is on one snapshot."""
    count, ends = 0, list[str]()
    if with_ends:
        count = conn.execute(_COUNT, {"b_node": node_id}).scalar() or 0
        ends = ids_at(conn, node_id, ends_of(count, request.max_items or 0), count)
    rows = (take_items if whole else take_xml)(conn, node_id, request, take)
    asks = with_standing or (expected > 0 and not rows)
    return Found(rows, count, ends, polls.standing(conn, node_id) if asks else None)


def take_xml(conn: Connection, node_id: int, request: ItemsRequest, take: Take) -> list[str]:
    """The `<item/>`s as texts. Short: for the event loop."""
    limit = request.max_items or 0
    match take:
        case Take.ALL:
            return xml_of_all(conn, node_id)
        case Take.LAST:
            return xml_of_last(conn, node_id, limit)
        case Take.LAST_REVERSED:
            return xml_of_last(conn, node_id, limit)[::-1]
        case Take.FIRST:
            return xml_of_first(conn, node_id, limit)
        case Take.FIRST_REVERSED:
            return xml_of_first(conn, node_id, limit)[::-1]
        case Take.IDS:
            return xml_by_ids(conn, node_id, list(dict.fromkeys(request.item_ids)))
        case Take.IDS_EACH_TIME:
            return xml_by_ids(conn, node_id, request.item_ids)
        case Take.IDS_IN_NODE_ORDER:
            return xml_by_ids(conn, node_id, request.item_ids, node_order=True)


def xml_of_all(conn: Connection, node_id: int) -> list[str]:
    """Every `<item/>`, in the service's order."""
    return [row[0] for row in _XML_ALL.rows(conn, b_node=node_id)]


def xml_of_last(conn: Connection, node_id: int, limit: int) -> list[str]:
    """The last so many, in the node's order."""
    return [row[0] for row in reversed(_XML_LAST.rows(conn, b_node=node_id, b_limit=limit))]


def xml_of_first(conn: Connection, node_id: int, limit: int) -> list[str]:
    """The first so many, in the node's order."""
    return [row[0] for row in _XML_FIRST.rows(conn, b_node=node_id, b_limit=limit)]


def ids_at(conn: Connection, node_id: int, positions: Sequence[int], count: int) -> list[str]:
    """The ids of the items that stand there in the service's order, counted from 0, of a node of `count` items. Short
    for those near either end: that is whence they are counted."""
    found: list[str] = []
    for at in positions:
        near, offset = (_ID_FROM_START, at) if 2 * at < count else (_ID_FROM_END, count - 1 - at)
        found += [row[0] for row in near.rows(conn, b_node=node_id, b_offset=offset)]
    return found


def xml_by_ids(conn: Connection, node_id: int, item_ids: Sequence[str], *, node_order: bool = False) -> list[str]:
    """Those that are there, as often as they are asked for, in that order; or each once, in the node's."""
    if len(item_ids) == 1:
        return [row[0] for row in _XML_ONE.rows(conn, b_node=node_id, b_digest=_digest(item_ids[0]))]
    wanted = [digest(item_id) for item_id in item_ids]
    found: dict[bytes, tuple[int, str]] = {}
    for keys in chunks(wanted):
        for key, position, xml in conn.execute(_XML_BY_KEY, {"b_node": node_id, "b_digests": keys}):
            found[key] = (position, xml)
    if node_order:
        return [xml for _, xml in sorted(found.values())]
    return [found[key][1] for key in wanted if key in found]


def take_items(conn: Connection, node_id: int, request: ItemsRequest, take: Take) -> list[Item]:
    """The same as whole items, parsed data included; those in quarantine are left out."""
    here = {"b_node": node_id}
    limit = request.max_items
    rising, falling = _item.c.position, _item.c.position.desc()
    match take:
        case Take.ALL:
            return _items(conn, _FULL.order_by(rising), here)
        case Take.LAST:
            return _items(conn, _FULL.order_by(falling).limit(limit), here)[::-1]
        case Take.LAST_REVERSED:
            return _items(conn, _FULL.order_by(falling).limit(limit), here)
        case Take.FIRST:
            return _items(conn, _FULL.order_by(rising).limit(limit), here)
        case Take.FIRST_REVERSED:
            return _items(conn, _FULL.order_by(rising).limit(limit), here)[::-1]
        case Take.IDS | Take.IDS_EACH_TIME | Take.IDS_IN_NODE_ORDER:
            found = _by_ids(conn, here, list(dict.fromkeys(request.item_ids)))
            if take is Take.IDS_IN_NODE_ORDER:
                return [item for _, item in sorted(found, key=itemgetter(0))]
            by_id = {item.id: item for _, item in found}
            wanted = request.item_ids if take is Take.IDS_EACH_TIME else dict.fromkeys(request.item_ids)
            return [by_id[id_] for id_ in wanted if id_ in by_id]


def _items(conn: Connection, statement: Select[Any], params: dict[str, Any]) -> list[Item]:
    return [_read(*row) for row in conn.execute(statement, params)]


def _read(to_parse: bool, *row: Any) -> Item:
    """What was parsed of an item's earlier contents says nothing of those that it has."""
    item = item_of(row)
    return dataclasses.replace(item, parsed=None, parse_error=None) if to_parse else item


def _by_ids(conn: Connection, here: dict[str, Any], item_ids: Sequence[str]) -> list[tuple[int, Item]]:
    """With their positions."""
    found: list[tuple[int, Item]] = []
    for keys in chunks([digest(item_id) for item_id in item_ids]):
        for row in conn.execute(_FULL_BY_KEY, {**here, "b_digests": keys}):
            found.append((row[-1], _read(*row[:-1])))
    return found
