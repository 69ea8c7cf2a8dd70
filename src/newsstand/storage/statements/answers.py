"""Reads the items of an answer. `newsstand.rules.behaviour` says which ones, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, select

from newsstand.model import Item, ItemsRequest, digest
from newsstand.rules.behaviour import Take
from newsstand.storage.mapping import Account, PubsubItem, PubsubNode, table
from newsstand.storage.statements import items
from newsstand.storage.statements.keys import chunks
from newsstand.storage.statements.search import ITEM_COLUMNS, item_of

_item = table(PubsubItem)
_node = table(PubsubNode)
_account = table(Account)

_FULL: Select[Any] = (
    select(*ITEM_COLUMNS)
    .select_from(_item.join(_node, _item.c.node_id == _node.c.id).join(_account, _node.c.account_id == _account.c.id))
    .where(_item.c.node_id == bindparam("b_node"), _item.c.quarantine.is_(None))
)
_COUNT = select(_node.c.item_count).where(_node.c.id == bindparam("b_node"))
_FULL_BY_KEY = _FULL.add_columns(_item.c.position).where(_item.c.digest.in_(bindparam("b_digests", expanding=True)))


class Rows(NamedTuple):
    """The rows that an answer is made of, as they were at one moment."""

    texts: list[str]
    """The `<item/>`s."""
    of: int
    """How many items the node has."""
    ends: list[str]
    """The ids of those at the ends, where they were asked for."""


def take_rows(
    conn: Connection,
    node_id: int,
    request: ItemsRequest,
    take: Take,
    ends_of: Callable[[int], Sequence[int]],
) -> Rows:
    """`ends_of` says by the node's count which positions' ids are wanted besides. On one snapshot."""
    count = conn.execute(_COUNT, {"b_node": node_id}).scalar() or 0
    ends = items.ids_at(conn, node_id, ends_of(count), count)
    return Rows(take_xml(conn, node_id, request, take), count, ends)


def take_xml(conn: Connection, node_id: int, request: ItemsRequest, take: Take) -> list[str]:
    """The `<item/>`s as texts. Short: for the event loop."""
    limit = request.max_items or 0
    match take:
        case Take.ALL:
            return items.xml_of_all(conn, node_id)
        case Take.LAST:
            return items.xml_of_last(conn, node_id, limit)
        case Take.LAST_REVERSED:
            return items.xml_of_last(conn, node_id, limit)[::-1]
        case Take.FIRST:
            return items.xml_of_first(conn, node_id, limit)
        case Take.FIRST_REVERSED:
            return items.xml_of_first(conn, node_id, limit)[::-1]
        case Take.IDS:
            return items.xml_by_ids(conn, node_id, list(dict.fromkeys(request.item_ids)))
        case Take.IDS_EACH_TIME:
            return items.xml_by_ids(conn, node_id, request.item_ids)
        case Take.IDS_IN_NODE_ORDER:
            return items.xml_by_ids(conn, node_id, request.item_ids, node_order=True)


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
    return [item_of(row) for row in conn.execute(statement, params)]


def _by_ids(conn: Connection, here: dict[str, Any], item_ids: Sequence[str]) -> list[tuple[int, Item]]:
    """With their positions."""
    found: list[tuple[int, Item]] = []
    for keys in chunks([digest(item_id) for item_id in item_ids]):
        for row in conn.execute(_FULL_BY_KEY, {**here, "b_digests": keys}):
            found.append((row[-1], item_of(row[:-1])))
    return found
