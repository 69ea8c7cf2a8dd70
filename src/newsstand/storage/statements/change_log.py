"""Statements on the log of changes: watchers read it, and old entries are dropped. Functions of a connection; they
never commit."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, and_, delete, func, or_, select

from newsstand.model import ChangeKind, SyncState
from newsstand.storage.mapping import ItemChange, PubsubNode, table
from newsstand.storage.statements.nodes import first_revision

_node = table(PubsubNode)
_change = table(ItemChange)


class Cursor(NamedTuple):
    """How far a watcher has read: all of this revision, or, with a digest, so much of it."""

    revision: int
    digest: bytes | None = None


class Entry(NamedTuple):
    """An entry of the log: one change of one item."""

    revision: int
    kind: ChangeKind
    item_id: str


class Part(NamedTuple):
    """The part of the log that a watcher reads at a time."""

    entries: list[Entry]
    cursor: Cursor
    more: bool
    """There may be more to read at once."""


def current_revision(conn: Connection, node_id: int) -> int | None:
    """None where the copy is gone."""
    return conn.execute(select(_node.c.revision).where(_node.c.id == node_id)).scalar()


def beginning(node_id: int, revision: int) -> int:
    """The revision that a copy had before its first change, by the one that it has. Reads nothing."""
    first = first_revision(node_id)
    return first if first <= revision else 0


def read(conn: Connection, node_id: int, after: Cursor, limit: int) -> Part | None:
    """At most `limit` entries after the cursor, in the order of their revisions. None where the log does not lead on
    from there: it was pruned, or the copy erased, dropped, begun anew, or closed to its account. On one snapshot."""
    row = conn.execute(select(_node.c.revision, _node.c.state).where(_node.c.id == node_id)).first()
    if row is None or row.state == SyncState.GONE.value:
        return None
    revision = row.revision
    if not _leads_on(conn, node_id, after.revision, revision):
        return None
    later = _change.c.revision > after.revision
    if after.digest is not None:
        later = or_(later, and_(_change.c.revision == after.revision, _change.c.digest > after.digest))
    found = conn.execute(
        select(_change.c.revision, _change.c.digest, _change.c.kind, _change.c.item_id)
        .where(_change.c.node_id == node_id, later)
        .order_by(_change.c.revision, _change.c.digest)
        .limit(limit)
    ).all()
    entries = [Entry(row.revision, ChangeKind(row.kind), row.item_id) for row in found]
    if len(found) == limit:
        return Part(entries, Cursor(found[-1].revision, found[-1].digest), more=True)
    return Part(entries, Cursor(revision), more=False)


def _leads_on(conn: Connection, node_id: int, after: int, revision: int) -> bool:
    """Whether nothing is missing between two revisions. Not every revision has entries (some only move items), but
    what is missing of a log is always its beginning: so it is whole if anything is left of what came before."""
    first = first_revision(node_id)
    if after > revision or (after < first <= revision):
        return False
    oldest = conn.execute(select(func.min(_change.c.revision)).where(_change.c.node_id == node_id)).scalar()
    return after == revision or (oldest is not None and oldest <= after + 1)


def prune(conn: Connection, before: int) -> int:
    """Drop what was logged before `before` (microseconds since the epoch), and of each node whatever came earlier
    still, so that it is the beginning that is missing even if the clock once went backwards."""
    old = select(_change.c.node_id, func.max(_change.c.revision)).where(_change.c.at < before)
    pruned = 0
    for node_id, revision in conn.execute(old.group_by(_change.c.node_id)).all():
        gone = delete(_change).where(_change.c.node_id == node_id, _change.c.revision <= revision)
        pruned += conn.execute(gone).rowcount
    return pruned
