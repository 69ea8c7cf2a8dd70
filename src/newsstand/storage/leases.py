"""Statements on who follows which node, and on doubts. Functions of a connection; they never commit.

See docs/decisions/010-several-workers.md. Every write to a copy names the generation that it builds on; a worker that
takes a node over raises it, so that whatever the one before it still had in hand is not stored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, delete, exists, func, insert, select, tuple_, update

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


Outline = list[tuple[Any, ...]]
"""Of all nodes, in a few numbers. Where two of them are equal, no node came or went, no lease changed hands, and no
revision rose between them, for ids are never given again, and generations and revisions never fall."""


class Look(NamedTuple):
    """What a worker needs to know of the others."""

    outline: Outline
    workers: list[WorkerRow]
    held: list[Held]
    """Of every node."""
    rows: dict[int, tuple[int, str, int | None]]
    """By node, its revision, its state, and when a program read it."""
    doubts: list[RaisedDoubt]
    """Of the nodes that it follows itself."""


_HEARD = _node.c.state.in_([SyncState.LIVE.value, SyncState.SYNCING.value])
UNHEARD = "not heard from since the last session"
_UNHEARD = {"state": SyncState.STALE.value, "reason": UNHEARD}
_LEASE = select(_node.c.generation, _node.c.leader).where(_node.c.id == bindparam("b_node"))
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
_NODES = select(_node.c.id, _node.c.generation, _node.c.leader, _node.c.revision, _node.c.state, _node.c.read_at)
_OUTLINE = (
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


def check(conn: Connection, node_id: int, generation: int, leader: str | None) -> None:
    """Raises LeaseLost where a node is not any more what somebody builds on: of this generation, and followed by this
    worker, or by nobody."""
    row = conn.execute(_LEASE, {"b_node": node_id}).first()
    if row is None:
        raise LeaseLost(f"node {node_id} was dropped")
    if tuple(row) != (generation, leader):
        raise LeaseLost(f"node {node_id} is at generation {row.generation}, not {generation}, or in other hands")


def tell(conn: Connection, node_id: int) -> None:
    """When this is committed, other workers are to look at this node."""
    dialects.tell(conn, node_id)


def begin_node(conn: Connection, record: NodeRecord) -> tuple[NodeRecord, Held, bool]:
    """Remember a new node; or, False, find that another worker did, and what it remembers."""
    found = nodes.find(conn, record.key)
    known = nodes.save(conn, record) if found is None else nodes.load(conn, [found])[0]
    [held] = held_by_id(conn, [known.id])
    return known, held, found is None


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
    """The worker goes on, for `lease` microseconds from now. Those whose time is over are forgotten until they do."""
    now = dialects.now(conn)
    conn.execute(delete(_worker).where(_worker.c.until < now))
    values = {
        "account": account,
        "host": process.host,
        "pid": process.pid,
        "started": process.started,
        "hears": hears,
        "shares": shares,
        "until": now + lease,
    }
    if not conn.execute(update(_worker).where(_worker.c.id == worker).values(values)).rowcount:
        conn.execute(insert(_worker).values(id=worker, **values))


def fall_silent(conn: Connection, worker: str) -> None:
    """Nothing reaches the worker any more: what it follows is not live to anybody. Its time goes on running."""
    conn.execute(update(_worker).where(_worker.c.id == worker).values(hears=False))
    _tell_all(conn, _led_by(conn, worker))


def end(conn: Connection, worker: str) -> None:
    """The worker is at its end: others may follow what it followed, at once."""
    left = _led_by(conn, worker)
    conn.execute(update(_node).where(_node.c.leader == worker).values(leader=None))
    conn.execute(delete(_worker).where(_worker.c.id == worker))
    _tell_all(conn, left)


def _led_by(conn: Connection, worker: str) -> list[int]:
    return list(conn.execute(select(_node.c.id).where(_node.c.leader == worker)).scalars())


def _tell_all(conn: Connection, node_ids: Iterable[int]) -> None:
    for node_id in node_ids:
        dialects.tell(conn, node_id)


def age(conn: Connection, worker: str, reason: str, node_ids: Collection[int] | None) -> None:
    """Nothing vouches for these of the nodes that the worker follows, or, None, for any, until it was listed again."""
    stale = {"state": SyncState.STALE.value, "reason": reason}
    mine = _node.c.leader == worker, _HEARD
    if node_ids is None:
        conn.execute(update(_node).where(*mine).values(stale))
        return
    for chunk in chunks(list(node_ids)):
        conn.execute(update(_node).where(_node.c.id.in_(chunk), *mine).values(stale))


# Leases ----------------------------------------------------------------------------------------------------------


def take(conn: Connection, worker: str, node_ids: Collection[int], is_alive: IsAlive, most: int | None) -> list[Held]:
    """Have the worker follow these nodes, `most` of them at most, but for those that another one follows that is
    alive. Returns what it follows of them now; its own keep their generation. None of them is live."""
    living = {row.id for row in workers(conn) if is_alive(row)}
    kept: list[Held] = []
    given: list[Held] = []
    for chunk in chunks(list(node_ids)):
        for row in conn.execute(_HELD.where(_node.c.id.in_(chunk)).order_by(_node.c.id)).all():
            held = Held(*row)
            if held.leader == worker:
                kept.append(held)
            elif held.leader not in living and (most is None or len(kept) + len(given) < most):
                given.append(held)
    age(conn, worker, UNHEARD, [held.node_id for held in kept])
    return kept + _give(conn, given, worker)


def seize(conn: Connection, worker: str, node_id: int) -> Held | None:
    """Take a node over whoever follows it; None where it was dropped."""
    row = conn.execute(_HELD.where(_node.c.id == node_id)).first()
    if row is None:
        return None
    held = Held(*row)
    return held if held.leader == worker else _give(conn, [held], worker)[0]


def _give(conn: Connection, given: Sequence[Held], worker: str) -> list[Held]:
    for chunk in chunks([held.node_id for held in given]):
        those = _node.c.id.in_(chunk)
        conn.execute(update(_node).where(those).values(leader=worker, generation=_node.c.generation + 1))
        conn.execute(update(_node).where(those, _HEARD).values(_UNHEARD))
    _tell_all(conn, [held.node_id for held in given])
    return [Held(held.node_id, held.generation + 1, worker) for held in given]


def give_up(conn: Connection, worker: str, node_ids: Collection[int]) -> None:
    """Leave these nodes to others."""
    for chunk in chunks(list(node_ids)):
        mine = _node.c.id.in_(chunk), _node.c.leader == worker
        conn.execute(update(_node).where(*mine).values(leader=None))
    _tell_all(conn, node_ids)


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
    statement = _standings.get(conn.dialect.name)
    if statement is None:
        statement = _standings[conn.dialect.name] = _standing(conn)
    given = {"b_node": node_id} | ({"b_now": dialects.now(conn)} if conn.dialect.name == "sqlite" else {})
    row = conn.execute(statement, given).first()
    if row is None:
        return None
    worker = None
    if row.worker_account is not None:
        process = Process(row.worker_host, row.worker_pid, row.worker_started)
        left = row.worker_until - row.now
        worker = WorkerRow(row.leader, row.worker_account, process, row.worker_hears, row.worker_shares, left)
    return Standing(nodes.record_of(row), Held(row.id, row.generation, row.leader), worker, row.doubted)


_standings: dict[str, Select[Any]] = {}


def _standing(conn: Connection) -> Select[Any]:
    """Made once: it is run with each read of a node that another worker follows."""
    of_worker = [column.label(f"worker_{column.name}") for column in _worker.columns if column.name != "id"]
    return (
        select(_account.c.jid, _node, *of_worker, _DOUBTED.label("doubted"), dialects.clock(conn).label("now"))
        .join(_account, _node.c.account_id == _account.c.id)
        .outerjoin(_worker, _worker.c.id == _node.c.leader)
        .where(_node.c.id == bindparam("b_node"))
    )


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


def look(conn: Connection, worker: str, before: Look | None = None) -> Look:
    """Around, on one snapshot. `before`: an earlier look, whose nodes are not read again where nothing happened to any
    of them: most looks are so, and there may be many nodes."""
    outline = [tuple(row) for row in conn.execute(_OUTLINE)]
    if before is not None and outline == before.outline:
        held, rows = before.held, before.rows
    else:
        nodes_now = conn.execute(_NODES).all()
        held = [Held(row.id, row.generation, row.leader) for row in nodes_now]
        rows = {row.id: (row.revision, row.state, row.read_at) for row in nodes_now}
    raised = (
        select(_doubt.c.node_id, _doubt.c.item_id, _doubt.c.number)
        .join(_node, _node.c.id == _doubt.c.node_id)
        .where(_node.c.leader == worker)
    )
    return Look(outline, workers(conn), held, rows, [RaisedDoubt(*row) for row in conn.execute(raised)])


# Doubts ----------------------------------------------------------------------------------------------------------


def raise_doubts(conn: Connection, node_id: int, item_ids: Collection[str]) -> list[RaisedDoubt]:
    """Of these items, or of WHOLE. Nothing, where the node was dropped."""
    if conn.execute(_LEASE, {"b_node": node_id}).first() is None:
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


def settle_all(conn: Connection, node_id: int) -> None:
    """The node is closed: there is nothing to look into."""
    conn.execute(delete(_doubt).where(_doubt.c.node_id == node_id))


def doubts_of(conn: Connection, node_ids: Collection[int]) -> list[RaisedDoubt]:
    found: list[RaisedDoubt] = []
    for chunk in chunks(list(node_ids)):
        rows = select(_doubt.c.node_id, _doubt.c.item_id, _doubt.c.number).where(_doubt.c.node_id.in_(chunk))
        found += [RaisedDoubt(*row) for row in conn.execute(rows)]
    return found
