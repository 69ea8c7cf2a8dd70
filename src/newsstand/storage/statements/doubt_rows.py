"""Statements on the rows of doubts. A doubt says that an item, or a node, must be checked before the copy may answer.
Functions of a connection; they never commit."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from newsstand.model import digest
from newsstand.storage.mapping import Doubt, table
from newsstand.storage.schema import dialects
from newsstand.storage.statements.keys import chunks
from newsstand.storage.statements.owners import LEASE

_doubt = table(Doubt)

WHOLE = ""
"""As the item of a doubt: all of the node."""


class RaisedDoubt(NamedTuple):
    """A doubt that was raised, as its row has it."""

    node_id: int
    item_id: str
    number: int


# Doubts ----------------------------------------------------------------------------------------------------------


def raise_doubts(conn: Connection, node_id: int, item_ids: Collection[str]) -> list[RaisedDoubt]:
    """Of these items, or of WHOLE. Nothing, where the node was dropped."""
    if conn.execute(LEASE, {"b_node": node_id}).first() is None:
        return []
    raised: list[RaisedDoubt] = []
    for item_id in item_ids:
        mine = _doubt.c.node_id == node_id, _doubt.c.digest == digest(item_id)
        before = conn.execute(select(_doubt.c.number).where(*mine)).scalar()
        # Of the clock: a number that was settled never comes again.
        number = max(dialects.now(conn), (before or 0) + 1)
        values = {"node_id": node_id, "digest": digest(item_id), "item_id": item_id, "number": number}
        conn.execute(insert(_doubt).values(values) if before is None else update(_doubt).where(*mine).values(values))
        raised.append(RaisedDoubt(node_id, item_id, number))
    dialects.notify(conn, node_id)
    return raised


def settle(conn: Connection, doubts: Iterable[RaisedDoubt]) -> None:
    """Remove doubts that were settled; those raised again meanwhile stay."""
    for doubt in doubts:
        conn.execute(
            delete(_doubt).where(
                _doubt.c.node_id == doubt.node_id,
                _doubt.c.digest == digest(doubt.item_id),
                _doubt.c.number == doubt.number,
            )
        )


def settle_all(conn: Connection, node_id: int) -> None:
    """Remove all doubts of a node that is closed: there is nothing to check."""
    conn.execute(delete(_doubt).where(_doubt.c.node_id == node_id))


def doubts_of(conn: Connection, node_ids: Collection[int]) -> list[RaisedDoubt]:
    found: list[RaisedDoubt] = []
    for chunk in chunks(list(node_ids)):
        rows = select(_doubt.c.node_id, _doubt.c.item_id, _doubt.c.number).where(_doubt.c.node_id.in_(chunk))
        found += [RaisedDoubt(*row) for row in conn.execute(rows)]
    return found
