"""Statements on accounts, services and nodes. Functions of a connection; they never commit."""

from __future__ import annotations

import dataclasses
import enum
import functools
import logging
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeVar, get_args, get_type_hints

from sqlalchemy import Connection, CursorResult, Row, bindparam, delete, insert, or_, select, update

from newsstand.model import Counts, NodeKey, NodeRecord, Subscription, SyncState, Verdict, digest
from newsstand.rules.behaviour import Behaviour, ServiceBehaviour
from newsstand.storage.mapping import Account, ItemChange, PubsubItem, PubsubNode, Service, table
from newsstand.storage.statements.keys import check_text, chunks, node_key

E = TypeVar("E", bound=enum.StrEnum)

log = logging.getLogger(__name__)

_node = table(PubsubNode)
_account = table(Account)
_item = table(PubsubItem)
_service = table(Service)
_change = table(ItemChange)

_SELECT_NODES = select(_account.c.jid, _node).join(_account, _node.c.account_id == _account.c.id)
_FIND_ACCOUNT = select(_account.c.id).where(_account.c.jid == bindparam("jid"))
_FIND_NODE = select(_node.c.id).where(
    _node.c.account_id == bindparam("account_id"),
    _node.c.service == bindparam("service"),
    _node.c.name_digest == bindparam("name_digest"),
)


def iter_nodes(conn: Connection) -> Iterator[NodeRecord]:
    """All nodes that are remembered."""
    for row in conn.execute(_SELECT_NODES):
        yield record_of(row)


def record_of(row: Row[Any]) -> NodeRecord:
    """Of a row of accounts and nodes. A verdict, state or subscription that is none of ours is read as none yet, with a
    warning, so that nothing of the node is served before it was judged, or listed, again. Raises TypeError for a value
    of another type than its column's."""
    record = NodeRecord(
        id=row.id,
        key=node_key(row.jid, row.service, row.name),
        verdict=_known(row, "verdict", Verdict.UNDECIDED),
        analyser=row.analyser,
        type=row.type,
        subtype=row.subtype,
        analysed_by=row.analysed_by,
        state=_known(row, "state", SyncState.UNSYNCED),
        reason=row.reason,
        complete=row.complete,
        verified_at=row.verified_at,
        revision=row.revision,
        subscription=_known(row, "subscription", Subscription.NONE),
        access_model=row.access_model,
        pubsub_type=row.pubsub_type,
        attempts=row.attempts,
        retry_at=row.retry_at,
        failed_by=row.failed_by,
        shows_publisher=row.shows_publisher,
        read_at=row.read_at,
        session_reads=row.session_reads,
        item_count=row.item_count,
        quarantined=row.quarantined,
        payload_bytes=row.payload_bytes,
    )
    for name, types in _TYPES:
        value = getattr(record, name)
        if not isinstance(value, types):
            raise TypeError(f"{name} of node {record.id!r} is {value!r}")
    if not isinstance(record.key.node, str):
        raise TypeError(f"node {record.id!r} is called {record.key.node!r}")
    return record


_TYPES = [(name, get_args(hint) or (hint,)) for name, hint in get_type_hints(NodeRecord).items() if name != "key"]


def _known(row: Row[Any], name: str, otherwise: E) -> E:
    value = getattr(row, name)
    try:
        return type(otherwise)(value)
    except ValueError:
        if not isinstance(value, str):
            raise TypeError(f"{name} of node {row.id!r} is {value!r}") from None
    _warn(row.id, row.name, row.service, name, value, otherwise.value)
    return otherwise


@functools.lru_cache(maxsize=1000)
def _warn(node_id: int, node: str, service: str, name: str, value: str, otherwise: str) -> None:
    """Once a process: a worker reads such a node again and again."""
    log.warning(
        "node %s (%r of %s) has an unknown %s, %r: it is taken for %s. `newsstand db check --repair` mends it",
        *(node_id, node, service, name, value, otherwise),
    )


def load(conn: Connection, node_ids: Collection[int]) -> list[NodeRecord]:
    """Those of the nodes that are there."""
    found: list[NodeRecord] = []
    for chunk in chunks(list(node_ids)):
        found += [record_of(row) for row in conn.execute(_SELECT_NODES.where(_node.c.id.in_(chunk)))]
    return found


def find(conn: Connection, key: NodeKey) -> int | None:
    """The id of a node's row, if there is one."""
    account_id = conn.execute(_FIND_ACCOUNT, {"jid": key.account}).scalar()
    if account_id is None:
        return None
    wanted = {"account_id": account_id, "service": key.service, "name_digest": digest(key.node)}
    return conn.execute(_FIND_NODE, wanted).scalar()


def save(conn: Connection, record: NodeRecord) -> NodeRecord:
    """Store what is remembered of a node, but for its revision and items, which only `items.apply` changes, and for
    when it was read, which `note_read` knows better. A record of id 0 is new, and comes back with its id; it takes the
    row of its key if there is one. Raises ConfigurationError then for a name that no database can keep."""
    values = {
        field.name: getattr(record, field.name)
        for field in dataclasses.fields(record)
        if field.name not in ("id", "key", "revision", *Counts._fields)
    }
    if record.id:
        del values["read_at"], values["session_reads"]
        conn.execute(update(_node).where(_node.c.id == record.id).values(values))
        return record
    for what, text in zip(("an account", "a service", "a node's name"), record.key, strict=True):
        check_text(what, text)
    account_id = conn.execute(_FIND_ACCOUNT, {"jid": record.key.account}).scalar()
    if account_id is None:
        account_id = _made(conn.execute(insert(_account).values(jid=record.key.account)))
    name_digest = digest(record.key.node)
    found = conn.execute(
        _FIND_NODE, {"account_id": account_id, "service": record.key.service, "name_digest": name_digest}
    ).scalar()
    if found is not None:
        return save(conn, dataclasses.replace(record, id=found))
    made = conn.execute(
        insert(_node).values(
            account_id=account_id,
            service=record.key.service,
            name=record.key.node,
            name_digest=name_digest,
            **values,
        )
    )
    node_id = _made(made)
    if first := first_revision(node_id):
        conn.execute(update(_node).where(_node.c.id == node_id).values(revision=first))
    return dataclasses.replace(record, id=node_id, revision=first)


def first_revision(node_id: int) -> int:
    """Where a copy's revisions begin. Ids are never given twice, so a copy that is dropped and begun anew never has a
    revision of the one before: a watcher that comes back with such a one gets an error."""
    return (node_id - 1) << 32


def _made(result: CursorResult[Any]) -> int:
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


def note_read(conn: Connection, node_id: int, now: int) -> None:
    """The program read this node."""
    before = or_(_node.c.read_at.is_(None), _node.c.read_at < now)
    conn.execute(update(_node).where(_node.c.id == node_id, before).values(read_at=now))


def note_session_reads(conn: Connection, reads: Mapping[int, int]) -> None:
    """The program read each of these nodes so often in a session."""
    for node_id, count in reads.items():
        conn.execute(update(_node).where(_node.c.id == node_id).values(session_reads=count))


def remove(conn: Connection, node_id: int) -> None:
    """Forget a node and all that hangs on it: items, words and log go with it."""
    conn.execute(delete(_node).where(_node.c.id == node_id))


def remove_idle_accounts(conn: Connection) -> None:
    """Forget the accounts that have no node any more."""
    conn.execute(delete(_account).where(_account.c.id.not_in(select(_node.c.account_id))))


def erase_items(conn: Connection, node_id: int) -> None:
    """Take a node's items out of the copy. The log says nothing of it, for not the service removed them, but we; so it
    ends here: what it said before leads to nothing that comes after, and the revision that is passed over shows it."""
    conn.execute(delete(_item).where(_item.c.node_id == node_id))
    conn.execute(delete(_change).where(_change.c.node_id == node_id))
    anew = {"revision": _node.c.revision + 1, **Counts()._asdict()}
    conn.execute(update(_node).where(_node.c.id == node_id).values(anew))


def load_behaviour(conn: Connection) -> dict[str, ServiceBehaviour]:
    """What was learnt of each service."""
    names = {field.name for field in dataclasses.fields(ServiceBehaviour)}
    known = {value.value for value in Behaviour}
    return {
        row.jid: ServiceBehaviour(**{k: Behaviour(v) for k, v in row.ways.items() if k in names and v in known})
        for row in conn.execute(select(_service))
    }


def save_behaviour(conn: Connection, jid: str, behaviour: ServiceBehaviour, now: int) -> None:
    values = {"ways": dataclasses.asdict(behaviour), "learnt": now}
    if not conn.execute(update(_service).where(_service.c.jid == jid).values(values)).rowcount:
        conn.execute(insert(_service).values(jid=jid, **values))


def remove_behaviour(conn: Connection) -> None:
    conn.execute(delete(_service))
