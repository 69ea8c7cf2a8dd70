"""Statements of a poll: what a worker reads to learn what the others did. Functions of a connection; they never
commit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, exists, func, select, tuple_

from newsstand.model import NodeRecord, digest
from newsstand.storage.mapping import Account, Doubt, PubsubItem, PubsubNode, Worker, table
from newsstand.storage.schema import dialects
from newsstand.storage.statements import nodes
from newsstand.storage.statements.doubt_rows import RaisedDoubt
from newsstand.storage.statements.keys import chunks, process_of
from newsstand.storage.statements.owners import LeaseRow, WorkerRow, workers

_node = table(PubsubNode)
_worker = table(Worker)
_doubt = table(Doubt)
_account = table(Account)
_item = table(PubsubItem)


class Standing(NamedTuple):
    """A node that another worker may own, as it is in the database at one moment."""

    record: NodeRecord
    lease: LeaseRow
    worker: WorkerRow | None
    """Its owner, where that one's row is there."""
    doubted: bool


Summary = list[tuple[Any, ...]]
"""All nodes in a few numbers. Where two summaries are equal, no node came or went, no lease changed hands, and no
revision rose between them, for ids are never given again, and generations and revisions never fall."""


class Poll(NamedTuple):
    """The result of a poll: what a worker needs to know of the others."""

    summary: Summary
    workers: list[WorkerRow]
    leases: list[LeaseRow]
    """The lease of every node."""
    rows: dict[int, tuple[int, str, int | None]]
    """By node, its revision, its state, and when a program read it."""
    doubts: list[RaisedDoubt]
    """The doubts of the nodes that it owns itself."""


_DOUBTED = exists(select(1).select_from(_doubt).where(_doubt.c.node_id == _node.c.id))
_NODES = select(_node.c.id, _node.c.generation, _node.c.leader, _node.c.revision, _node.c.state, _node.c.read_at)
_SUMMARY = (
    select(
        _node.c.leader,
        _node.c.state,
        func.count(),
        func.max(_node.c.id),
        # Which nodes these are: two that change places leave the rest as it was.
        func.sum(_node.c.id * _node.c.id % 1_000_003),
        func.sum(_node.c.generation),
        func.sum(_node.c.revision % (1 << 32)),  # they begin at a multiple of it (nodes.first_revision)
        func.max(_node.c.read_at),
    )
    .group_by(_node.c.leader, _node.c.state)
    .order_by(_node.c.leader, _node.c.state)
)
_CONTENTS = select(_item.c.digest, _item.c.content_digest).where(
    _item.c.node_id == bindparam("b_node"), _item.c.digest.in_(bindparam("b_digests", expanding=True))
)


# What others see of a node ---------------------------------------------------------------------------------------


def standing(conn: Connection, node_id: int) -> Standing | None:
    """None where the node was dropped."""
    row = conn.execute(_STANDING.on(conn), {"b_node": node_id} | dialects.given_now(conn)).first()
    if row is None:
        return None
    worker = None
    if row.worker_account is not None:
        process = process_of(row.worker_host, row.worker_pid, row.worker_started)
        left = row.worker_until - row.now
        worker = WorkerRow(row.leader, row.worker_account, process, row.worker_hears, row.worker_shares, left)
    return Standing(nodes.record_of(row), LeaseRow(row.id, row.generation, row.leader), worker, row.doubted)


def _standing(conn: Connection) -> Select[Any]:
    of_worker = [column.label(f"worker_{column.name}") for column in _worker.columns if column.name != "id"]
    return (
        select(_account.c.jid, _node, *of_worker, _DOUBTED.label("doubted"), dialects.clock(conn).label("now"))
        .join(_account, _node.c.account_id == _account.c.id)
        .outerjoin(_worker, _worker.c.id == _node.c.leader)
        .where(_node.c.id == bindparam("b_node"))
    )


_STANDING = dialects.MadeOnce(_standing)
"""It is run with each read of a node that another worker owns."""


def contents(conn: Connection, node_id: int, item_ids: Collection[str]) -> dict[str, bytes]:
    """The digests of the contents of those of the items that the copy holds."""
    by_key = {digest(item_id): item_id for item_id in item_ids}
    found: dict[str, bytes] = {}
    for keys in chunks(list(by_key)):
        rows = conn.execute(_CONTENTS, {"b_node": node_id, "b_digests": keys})
        found.update((by_key[key], content) for key, content in rows)
    return found


def contents_of_all(conn: Connection, wanted: Mapping[int, Collection[str]]) -> dict[int, dict[str, bytes]]:
    """The same, by node, of many nodes."""
    by_key = {(node_id, digest(item_id)): item_id for node_id, item_ids in wanted.items() for item_id in item_ids}
    found: dict[int, dict[str, bytes]] = {}
    for keys in chunks(list(by_key)):
        rows = select(_item.c.node_id, _item.c.digest, _item.c.content_digest).where(
            tuple_(_item.c.node_id, _item.c.digest).in_(keys)
        )
        for node_id, key, content in conn.execute(rows):
            found.setdefault(node_id, {})[by_key[node_id, key]] = content
    return found


def poll(conn: Connection, worker: str, before: Poll | None = None) -> Poll:
    """Poll, on one snapshot. `before`: an earlier poll, whose nodes are not read again where nothing happened to any of
    them: most polls are so, and there may be many nodes."""
    summary = [tuple(row) for row in conn.execute(_SUMMARY)]
    if before is not None and summary == before.summary:
        leases, rows = before.leases, before.rows
    else:
        nodes_now = conn.execute(_NODES).all()
        leases = [LeaseRow(row.id, row.generation, row.leader) for row in nodes_now]
        rows = {row.id: (row.revision, row.state, row.read_at) for row in nodes_now}
    raised = (
        select(_doubt.c.node_id, _doubt.c.item_id, _doubt.c.number)
        .join(_node, _node.c.id == _doubt.c.node_id)
        .where(_node.c.leader == worker)
    )
    return Poll(summary, workers(conn), leases, rows, [RaisedDoubt(*row) for row in conn.execute(raised)])
