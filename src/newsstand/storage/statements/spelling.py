"""Statements that give stored JIDs their canonical spelling (decision 014).

They come from before JIDs were compared by what they mean, or from a program's own SQL. Functions of a connection;
they never commit.
"""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Connection, delete, insert, or_, select, update

from newsstand.jid import canonical_bare
from newsstand.model import NodeRecord, SyncState
from newsstand.storage.mapping import Account, PubsubNode, Service, table
from newsstand.storage.statements import nodes

_node = table(PubsubNode)
_account = table(Account)
_service = table(Service)


def is_canonical(conn: Connection) -> bool:
    """Whether all JIDs that matter are in canonical spelling."""
    jids = (*conn.scalars(select(_account.c.jid)), *conn.scalars(select(_node.c.service).distinct()))
    return all(jid == canonical_bare(jid) for jid in jids)


def make_canonical(conn: Connection) -> None:
    """Spell all JIDs so. Of several copies of one node the one that is `worth` most is kept; the others are dropped."""
    by_key: dict[object, list[NodeRecord]] = defaultdict(list)
    for record in nodes.iter_nodes(conn):
        by_key[record.key].append(record)
    for records in by_key.values():
        kept = max(records, key=worth)
        for record in records:
            if record is not kept:
                nodes.remove(conn, record.id)
        account_id = _account_of(conn, kept.key.account)
        differs = or_(_node.c.account_id != account_id, _node.c.service != kept.key.service)
        spelt_so = update(_node).where(_node.c.id == kept.id, differs)
        conn.execute(spelt_so.values(account_id=account_id, service=kept.key.service))
    nodes.remove_idle_accounts(conn)
    for jid in conn.scalars(select(_service.c.jid)).all():
        if jid != _canonical_service(jid):
            conn.execute(delete(_service).where(_service.c.jid == jid))  # its behaviour is learnt again


def worth(record: NodeRecord) -> tuple[bool, bool, int, int]:
    """Of copies of one node: one that was closed to the account counts most, for the others only do not know it yet;
    then one that is complete, then the one that was verified last."""
    return record.state is SyncState.GONE, record.complete, record.verified_at or 0, record.id


def _account_of(conn: Connection, jid: str) -> int:
    found = conn.execute(select(_account.c.id).where(_account.c.jid == jid)).scalar()
    if found is None:
        key = conn.execute(insert(_account).values(jid=jid)).inserted_primary_key
        assert key is not None
        found = key[0]
    return int(found)


def _canonical_service(jid: str) -> str:
    """Of PEP services a domain is known, behind an @."""
    return f"@{canonical_bare(jid[1:])}" if jid.startswith("@") else canonical_bare(jid)
