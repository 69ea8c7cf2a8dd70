"""Statements on workers and their leases: which worker owns which node. Functions of a connection; they never commit.

See docs/decisions/010-several-workers.md. Every write to a copy names the generation that it builds on. A worker that
acquires a node raises it, so that nothing of what the owner before it had begun is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from newsstand.errors import LeaseLost
from newsstand.model import NodeRecord, Process, SyncState
from newsstand.storage.mapping import PubsubNode, Worker, table
from newsstand.storage.schema import dialects
from newsstand.storage.statements import nodes
from newsstand.storage.statements.keys import chunks, process_of

_node = table(PubsubNode)
_worker = table(Worker)


class WorkerRow(NamedTuple):
    """The row of a worker: what it said of itself."""

    id: str
    account: str
    process: Process
    notified: bool
    """Whether its stream has a session, so that notifications reach it. The column is `hears`."""
    shares: bool
    """Whether it acquires nodes that nobody owns, not only those that it is asked for."""
    left: int
    """Microseconds until its lease ends; below 0 afterwards."""


IsAlive = Callable[[WorkerRow], bool]
"""Whether a worker may still be at work, as far as its row and the machine show."""


class LeaseRow(NamedTuple):
    """The lease of a node: which worker owns it, and in which generation."""

    node_id: int
    generation: int
    leader: str | None


_CURRENT = _node.c.state.in_([SyncState.LIVE.value, SyncState.SYNCING.value])
NOT_NOTIFIED = "not heard from since the last session"
_STALE = {"state": SyncState.STALE.value, "reason": NOT_NOTIFIED}
LEASE = select(_node.c.generation, _node.c.leader).where(_node.c.id == bindparam("b_node"))
_HELD = select(_node.c.id, _node.c.generation, _node.c.leader)
_WORKERS = select(
    _worker.c.id,
    _worker.c.account,
    _worker.c.host,
    _worker.c.pid,
    _worker.c.started,
    _worker.c.hears,
    _worker.c.shares,
    _worker.c.until,
)


def check(conn: Connection, node_id: int, generation: int, leader: str | None) -> None:
    """Raises LeaseLost where a node is not any more what somebody builds on: of this generation, and owned by this
    worker, or by nobody."""
    row = conn.execute(LEASE, {"b_node": node_id}).first()
    if row is None:
        raise LeaseLost(f"node {node_id} was dropped")
    if tuple(row) != (generation, leader):
        raise LeaseLost(f"node {node_id} is at generation {row.generation}, not {generation}, or in other hands")


def begin_node(conn: Connection, record: NodeRecord) -> tuple[NodeRecord, LeaseRow, bool]:
    """Remember a new node; or, False, find that another worker did, and what it remembers."""
    found = nodes.find(conn, record.key)
    known = nodes.save(conn, record) if found is None else nodes.load(conn, [found])[0]
    [held] = leases_by_id(conn, [known.id])
    return known, held, found is None


# Workers ---------------------------------------------------------------------------------------------------------


def workers(conn: Connection) -> list[WorkerRow]:
    now = dialects.now(conn)
    return [
        WorkerRow(*row[:2], process_of(row.host, row.pid, row.started), row.hears, row.shares, row.until - now)
        for row in conn.execute(_WORKERS)
    ]


def renew_lease(
    conn: Connection, worker: str, account: str, process: Process, *, notified: bool, shares: bool, lease: int
) -> None:
    """The heartbeat of a worker: its lease is renewed, for `lease` microseconds from now. Workers whose lease has ended
    are forgotten until they renew it."""
    now = dialects.now(conn)
    conn.execute(delete(_worker).where(_worker.c.until < now))
    values = {
        "account": account,
        "host": process.host,
        "pid": process.pid,
        "started": process.started,
        "hears": notified,
        "shares": shares,
        "until": now + lease,
    }
    if not conn.execute(update(_worker).where(_worker.c.id == worker).values(values)).rowcount:
        conn.execute(insert(_worker).values(id=worker, **values))


def session_lost(conn: Connection, worker: str) -> None:
    """Note that no notifications reach the worker any more: what it owns is live to nobody. Its lease is not
    renewed by this."""
    conn.execute(update(_worker).where(_worker.c.id == worker).values(hears=False))
    _notify_all(conn, _owned_by(conn, worker))


def remove_worker(conn: Connection, worker: str) -> None:
    """Forget a worker that ends: others may acquire what it owned, at once."""
    left = _owned_by(conn, worker)
    conn.execute(update(_node).where(_node.c.leader == worker).values(leader=None))
    conn.execute(delete(_worker).where(_worker.c.id == worker))
    _notify_all(conn, left)


def _owned_by(conn: Connection, worker: str) -> list[int]:
    return list(conn.execute(select(_node.c.id).where(_node.c.leader == worker)).scalars())


def _notify_all(conn: Connection, node_ids: Iterable[int]) -> None:
    for node_id in node_ids:
        dialects.notify(conn, node_id)


def mark_stale(conn: Connection, worker: str, reason: str, node_ids: Collection[int] | None) -> None:
    """Note that these of the nodes that the worker owns, or, None, all of them, must be listed before they are
    live again."""
    stale = {"state": SyncState.STALE.value, "reason": reason}
    mine = _node.c.leader == worker, _CURRENT
    if node_ids is None:
        conn.execute(update(_node).where(*mine).values(stale))
        return
    for chunk in chunks(list(node_ids)):
        conn.execute(update(_node).where(_node.c.id.in_(chunk), *mine).values(stale))


# Leases ----------------------------------------------------------------------------------------------------------


def acquire(
    conn: Connection, worker: str, node_ids: Collection[int], is_alive: IsAlive, most: int | None
) -> list[LeaseRow]:
    """Have the worker acquire these nodes, `most` of them at most, but for those that another one owns that is alive.
    Returns those that it owns now; those that it owned before keep their generation. None of them is live."""
    living = {row.id for row in workers(conn) if is_alive(row)}
    kept: list[LeaseRow] = []
    given: list[LeaseRow] = []
    for chunk in chunks(list(node_ids)):
        for row in conn.execute(_HELD.where(_node.c.id.in_(chunk)).order_by(_node.c.id)).all():
            held = LeaseRow(*row)
            if held.leader == worker:
                kept.append(held)
            elif held.leader not in living and (most is None or len(kept) + len(given) < most):
                given.append(held)
    mark_stale(conn, worker, NOT_NOTIFIED, [held.node_id for held in kept])
    return kept + _assign(conn, given, worker)


def seize(conn: Connection, worker: str, node_id: int) -> LeaseRow | None:
    """Acquire a node, whoever owns it; None where it was dropped."""
    row = conn.execute(_HELD.where(_node.c.id == node_id)).first()
    if row is None:
        return None
    held = LeaseRow(*row)
    return held if held.leader == worker else _assign(conn, [held], worker)[0]


def _assign(conn: Connection, given: Sequence[LeaseRow], worker: str) -> list[LeaseRow]:
    for chunk in chunks([held.node_id for held in given]):
        those = _node.c.id.in_(chunk)
        conn.execute(update(_node).where(those).values(leader=worker, generation=_node.c.generation + 1))
        conn.execute(update(_node).where(those, _CURRENT).values(_STALE))
    _notify_all(conn, [held.node_id for held in given])
    return [LeaseRow(held.node_id, held.generation + 1, worker) for held in given]


def release(conn: Connection, worker: str, node_ids: Collection[int]) -> None:
    """Release these nodes: others may acquire them."""
    for chunk in chunks(list(node_ids)):
        mine = _node.c.id.in_(chunk), _node.c.leader == worker
        conn.execute(update(_node).where(*mine).values(leader=None))
    _notify_all(conn, node_ids)


def all_leases(conn: Connection) -> list[LeaseRow]:
    return [LeaseRow(*row) for row in conn.execute(_HELD)]


def leases_by_id(conn: Connection, node_ids: Collection[int]) -> list[LeaseRow]:
    found: list[LeaseRow] = []
    for chunk in chunks(list(node_ids)):
        found += [LeaseRow(*row) for row in conn.execute(_HELD.where(_node.c.id.in_(chunk)))]
    return found
