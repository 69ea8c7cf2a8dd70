"""Statements on who follows which node, and on doubts. Functions of a connection; they never commit.

See docs/decisions/010-several-workers.md. Every write to a copy names the generation that it builds on; a worker that
takes a node over raises it, so that whatever the one before it still had in hand is not stored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update

from newsstand.errors import LeaseLost
from newsstand.model import NodeRecord, SyncState, digest
from newsstand.processes import Process
from newsstand.storage import dialects, nodes
from newsstand.storage.keys import chunks
from newsstand.storage.mapping import Account, Doubt, PubsubItem, PubsubNode, Worker, table

_node = table(PubsubNode)
_worker = table(Worker)
_doubt = table(Doubt)
_account = table(Account)
_item = table(PubsubItem)

WHOLE = ""
"""As the item of a doubt: all of the node."""


class WorkerRow(NamedTuple):
    """A worker, and what it said of itself."""

    id: str
    account: str
    process: Process
    hears: bool
    shares: bool
    left: int
    """Microseconds until its time is over; below 0 afterwards."""


IsAlive = Callable[[WorkerRow], bool]
"""Whether a worker may still be at work, as far as its row and the machine tell."""


class Held(NamedTuple):
    """A node's lease."""

    node_id: int
    generation: int
    leader: str | None


class Standing(NamedTuple):
    """A node that another worker may follow, as it is in the database at one moment."""

    record: NodeRecord
    held: Held
    worker: WorkerRow | None
    """The one that follows it, where its row is there."""
    doubted: bool


class RaisedDoubt(NamedTuple):
    node_id: int
    item_id: str
    number: int


class Look(NamedTuple):
    """What a worker needs to know of the others."""

    workers: list[WorkerRow]
    held: list[Held]
    """Of every node."""
    rows: dict[int, tuple[int, str, int | None]]
    """By node, its revision, its state, and when a program read it."""
    doubts: list[RaisedDoubt]
    """Of the nodes that it follows itself."""


_HEARD = _node.c.state.in_([SyncState.LIVE.value, SyncState.SYNCING.value])
_UNHEARD = {"state": SyncState.STALE.value, "reason": "not heard from since the last session"}
_GENERATION = select(_node.c.generation).where(_node.c.id == bindparam("b_node"))
_HELD = select(_node.c.id, _node.c.generation, _node.c.leader)
_DOUBTED = exists(select(1).select_from(_doubt).where(_doubt.c.node_id == _node.c.id))
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
_CONTENTS = select(_item.c.digest, _item.c.content_digest).where(
    _item.c.node_id == bindparam("b_node"), _item.c.digest.in_(bindparam("b_digests", expanding=True))
)


def check(conn: Connection, node_id: int, generation: int) -> None:
    """Raises LeaseLost where a node is not any more what somebody builds on."""
    now = conn.execute(_GENERATION, {"b_node": node_id}).scalar()
    if now != generation:
        what = "was dropped" if now is None else f"is at generation {now}, not {generation}"
        raise LeaseLost(f"node {node_id} {what}: another worker has it in hand")


def tell(conn: Connection, node_id: int) -> None:
    """When this is committed, other workers are to look at this node."""
    dialects.tell(conn, node_id)


def begin_node(conn: Connection, record: NodeRecord) -> tuple[NodeRecord, Held]:
    """Remember a new node; or find that another worker did, and what it remembers."""
    found = nodes.find(conn, record.key)
    known = nodes.save(conn, record) if found is None else nodes.load(conn, [found])[0]
    [held] = held_by_id(conn, [known.id])
    return known, held


# Workers ---------------------------------------------------------------------------------------------------------


def workers(conn: Connection) -> list[WorkerRow]:
    now = dialects.now(conn)
    return [
        WorkerRow(row.id, row.account, Process(row.host, row.pid, row.started), row.hears, row.shares, row.until - now)
        for row in conn.execute(_WORKERS)
    ]


def beat(
    conn: Connection, worker: str, account: str, process: Process, *, hears: bool, shares: bool, lease: int
) -> None:
    """The worker goes on, for `lease` microseconds from now."""
    values = {
        "account": account,
        "host": process.host,
        "pid": process.pid,
        "started": process.started,
        "hears": hears,
        "shares": shares,
        "until": dialects.now(conn) + lease,
    }
    if not conn.execute(update(_worker).where(_worker.c.id == worker).values(values)).rowcount:
        conn.execute(insert(_worker).values(id=worker, **values))


def fall_silent(conn: Connection, worker: str) -> None:
    """Nothing reaches the worker any more: what it follows is not live to anybody. Its time goes on running."""
    conn.execute(update(_worker).where(_worker.c.id == worker).values(hears=False))
    _tell_all(conn, conn.execute(_HELD.where(_node.c.leader == worker)).all())


def end(conn: Connection, worker: str) -> None:
    """The worker is at its end: others may follow what it followed, at once."""
    held = conn.execute(_HELD.where(_node.c.leader == worker)).all()
    conn.execute(update(_node).where(_node.c.leader == worker).values(leader=None))
    conn.execute(delete(_worker).where(_worker.c.id == worker))
    _tell_all(conn, held)


def _tell_all(conn: Connection, held: Iterable[Sequence[object]]) -> None:
    for row in held:
        dialects.tell(conn, int(str(row[0])))


def age(conn: Connection, worker: str, reason: str) -> None:
    """A fresh session began: nothing vouches for what the worker follows, until it was listed again."""
    stale = {"state": SyncState.STALE.value, "reason": reason}
    conn.execute(update(_node).where(_node.c.leader == worker, _HEARD).values(stale))


# Leases ----------------------------------------------------------------------------------------------------------


def take(conn: Connection, worker: str, node_ids: Collection[int], is_alive: IsAlive, most: int | None) -> list[Held]:
    """Have the worker follow these nodes, `most` of them at most, but for those that another one follows that is
    alive. Returns what it follows of them now; its own keep their generation."""
    living = {row.id for row in workers(conn) if is_alive(row)}
    taken: list[Held] = []
    for chunk in chunks(list(node_ids)):
        for row in conn.execute(_HELD.where(_node.c.id.in_(chunk)).order_by(_node.c.id)).all():
            held = Held(*row)
            if held.leader != worker:
                if held.leader in living or (most is not None and len(taken) >= most):
                    continue
                held = _give(conn, held, worker)
            taken.append(held)
    return taken


def seize(conn: Connection, worker: str, node_id: int) -> Held | None:
    """Take a node over whoever follows it; None where it was dropped."""
    row = conn.execute(_HELD.where(_node.c.id == node_id)).first()
    if row is None:
        return None
    held = Held(*row)
    return held if held.leader == worker else _give(conn, held, worker)


def _give(conn: Connection, held: Held, worker: str) -> Held:
    generation = held.generation + 1
    conn.execute(update(_node).where(_node.c.id == held.node_id).values(leader=worker, generation=generation))
    conn.execute(update(_node).where(_node.c.id == held.node_id, _HEARD).values(_UNHEARD))
    dialects.tell(conn, held.node_id)
    return Held(held.node_id, generation, worker)


def give_up(conn: Connection, worker: str, node_ids: Collection[int]) -> None:
    """Leave these nodes to others."""
    for chunk in chunks(list(node_ids)):
        mine = _node.c.id.in_(chunk), _node.c.leader == worker
        conn.execute(update(_node).where(*mine).values(leader=None))
    _tell_all(conn, [(node_id,) for node_id in node_ids])


def held_by_all(conn: Connection) -> list[Held]:
    return [Held(*row) for row in conn.execute(_HELD)]


def held_by_id(conn: Connection, node_ids: Collection[int]) -> list[Held]:
    found: list[Held] = []
    for chunk in chunks(list(node_ids)):
        found += [Held(*row) for row in conn.execute(_HELD.where(_node.c.id.in_(chunk)))]
    return found


# What others see of a node ---------------------------------------------------------------------------------------


def standing(conn: Connection, node_id: int) -> Standing | None:
    """None where the node was dropped."""
    row = conn.execute(
        select(_account.c.jid, _node, _DOUBTED.label("doubted"))
        .join(_account, _node.c.account_id == _account.c.id)
        .where(_node.c.id == node_id)
    ).first()
    if row is None:
        return None
    found = conn.execute(_WORKERS.where(_worker.c.id == row.leader)).first() if row.leader is not None else None
    worker = None
    if found is not None:
        process = Process(found.host, found.pid, found.started)
        left = found.until - dialects.now(conn)
        worker = WorkerRow(found.id, found.account, process, found.hears, found.shares, left)
    return Standing(nodes.record_of(row), Held(row.id, row.generation, row.leader), worker, row.doubted)


def contents(conn: Connection, node_id: int, item_ids: Collection[str]) -> dict[str, bytes]:
    """The digests of the contents of those of the items that the copy holds."""
    by_key = {digest(item_id): item_id for item_id in item_ids}
    found: dict[str, bytes] = {}
    for keys in chunks(list(by_key)):
        rows = conn.execute(_CONTENTS, {"b_node": node_id, "b_digests": keys})
        found.update((by_key[key], content) for key, content in rows)
    return found


def look(conn: Connection, worker: str) -> Look:
    """Around, on one snapshot."""
    columns = (_node.c.id, _node.c.generation, _node.c.leader, _node.c.revision, _node.c.state, _node.c.read_at)
    rows = conn.execute(select(*columns)).all()
    raised = (
        select(_doubt.c.node_id, _doubt.c.item_id, _doubt.c.number)
        .join(_node, _node.c.id == _doubt.c.node_id)
        .where(_node.c.leader == worker)
    )
    return Look(
        workers(conn),
        [Held(row.id, row.generation, row.leader) for row in rows],
        {row.id: (row.revision, row.state, row.read_at) for row in rows},
        [RaisedDoubt(*row) for row in conn.execute(raised)],
    )


# Doubts ----------------------------------------------------------------------------------------------------------


def raise_doubts(conn: Connection, node_id: int, item_ids: Collection[str]) -> list[RaisedDoubt]:
    """Of these items, or of WHOLE. Nothing, where the node was dropped."""
    if conn.execute(_GENERATION, {"b_node": node_id}).first() is None:
        return []
    raised: list[RaisedDoubt] = []
    for item_id in item_ids:
        mine = _doubt.c.node_id == node_id, _doubt.c.digest == digest(item_id)
        number = conn.execute(select(_doubt.c.number).where(*mine)).scalar()
        if number is None:
            number = 1
            conn.execute(insert(_doubt).values(node_id=node_id, digest=digest(item_id), item_id=item_id, number=number))
        else:
            number += 1
            conn.execute(update(_doubt).where(*mine).values(number=number))
        raised.append(RaisedDoubt(node_id, item_id, number))
    dialects.tell(conn, node_id)
    return raised


def settle(conn: Connection, doubts: Iterable[RaisedDoubt]) -> None:
    """They are looked into; those raised again meanwhile stay."""
    for doubt in doubts:
        conn.execute(
            delete(_doubt).where(
                _doubt.c.node_id == doubt.node_id,
                _doubt.c.digest == digest(doubt.item_id),
                _doubt.c.number == doubt.number,
            )
        )


def doubts_of(conn: Connection, node_ids: Collection[int]) -> list[RaisedDoubt]:
    found: list[RaisedDoubt] = []
    for chunk in chunks(list(node_ids)):
        rows = select(_doubt.c.node_id, _doubt.c.item_id, _doubt.c.number).where(_doubt.c.node_id.in_(chunk))
        found += [RaisedDoubt(*row) for row in conn.execute(rows)]
    return found
