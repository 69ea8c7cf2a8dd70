"""A quick look at what a SQLite file says of its nodes, without SQLAlchemy, whose import costs half a second.

Whoever only wants to show the nodes uses it. Nothing is made, migrated, locked or mended here. Where anything is
unusual (another revision, damage, a value that Newsstand does not write, a URL that needs parsing) the answer is None,
and `open_database` finds out what.
"""

from __future__ import annotations

import contextlib
import sqlite3
import stat
import time
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints
from urllib.parse import quote

from newsstand.errors import DatabaseError
from newsstand.jid import canonical_bare
from newsstand.model import NodeKey, NodeRecord, Process, Subscription, SyncState, Verdict
from newsstand.storage import forks

_VERSIONS = Path(__file__).parents[1] / "migrations" / "versions"
_SCHEME = "sqlite:///"
_NODES = """
    SELECT newsstand_account.jid, newsstand_node.* FROM newsstand_node
    JOIN newsstand_account ON newsstand_account.id = newsstand_node.account_id
"""
_WORKERS = "SELECT id, host, pid, started, hears, until FROM newsstand_worker WHERE until > ?"
_FIELDS = (
    *("id", "analyser", "type", "subtype", "analysed_by", "verified_at", "revision", "access_model"),
    *(
        "pubsub_type",
        "attempts",
        "retry_at",
        "failed_by",
        "read_at",
        "session_reads",
        "item_count",
        "quarantined",
        "payload_bytes",
    ),
)
_TYPES = [(name, get_args(hint) or (hint,)) for name, hint in get_type_hints(NodeRecord).items() if name in _FIELDS]
UNHEARD = "not heard from since the last session"
"""As `newsstand.storage.statements.owners` says."""
_PATIENCE = 0.5
"""Seconds for which another process's lock is waited for. Reading waits for hardly any."""


def path_of_plain_url(url: str) -> Path | None:
    """The file that a URL names, where that is plain to see; None for any other URL, right or wrong."""
    if not url.startswith(_SCHEME):
        return None
    path = url.removeprefix(_SCHEME)
    if not path or path.startswith("file:") or ":memory:" in path or any(c in path for c in "?%\0"):
        return None
    return Path(path).absolute()


def newest_revision() -> str:
    """The newest that this Newsstand knows, from the names of the migrations."""
    return max(file.name[:4] for file in _VERSIONS.glob("[0-9][0-9][0-9][0-9]_*.py"))


def find_nodes(path: Path, is_there: Callable[[Process], bool]) -> list[NodeRecord] | None:
    """What is known of each node, by account, service and name, as `Replica.nodes` tells it offline. `is_there` says
    whether a process may be at work: what nobody hears of is not called live. None where the file is not in order."""
    try:
        there = path.stat()
        if not stat.S_ISREG(there.st_mode) or there.st_nlink > 1 or _doubted(path):
            return None
        source = f"file:{quote(str(path))}?mode=rw"
        factory: Any = forks.connector(path)
        connection = sqlite3.connect(source, uri=True, timeout=_PATIENCE, factory=factory)
        with contextlib.closing(connection):
            return _read(connection, is_there)
    except (OSError, sqlite3.Error, DatabaseError, TypeError, ValueError):
        return None


def _doubted(path: Path) -> bool:
    """Whether somebody met damage: see `newsstand.storage.sqlite.connections.doubt_of`."""
    return path.with_name(f"{path.name}.doubted").exists()


def _read(connection: sqlite3.Connection, is_there: Callable[[Process], bool]) -> list[NodeRecord] | None:
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA query_only=ON").close()
    connection.execute("BEGIN").close()  # all that follows is of one moment
    if [row[0] for row in connection.execute("SELECT version_num FROM newsstand_version")] != [newest_revision()]:
        return None
    at_work = {
        row["id"]: bool(row["hears"])
        for row in connection.execute(_WORKERS, (time.time_ns() // 1000,))
        if is_there(_process(row))
    }
    records: dict[NodeKey, NodeRecord] = {}
    for row in connection.execute(_NODES):
        key = NodeKey(row["jid"], row["service"], row["name"])
        if key in records or any(jid != canonical_bare(jid) for jid in key[:2]):
            return None  # the next program spells its JIDs anew
        records[key] = _record(key, row, hears=at_work.get(row["leader"]))
    return [records[key] for key in sorted(records)]


def _record(key: NodeKey, row: sqlite3.Row, *, hears: bool | None) -> NodeRecord:
    """`hears`: whether the worker that follows the node is notified of its changes; None where there is no such worker.
    Raises ValueError or TypeError for what Newsstand does not write."""
    state, reason = SyncState(row["state"]), row["reason"]
    if hears is None and state in (SyncState.LIVE, SyncState.SYNCING):
        state, reason = SyncState.STALE, UNHEARD
    elif not hears and state is SyncState.LIVE:
        state, reason = SyncState.STALE, "no session"
    fields = {name: row[name] for name in _FIELDS}
    for name, types in _TYPES:
        _check(fields[name], types)
    _check(key.node, (str,))
    for name in ("reason", "leader"):
        _check(row[name], (str, NoneType))
    return NodeRecord(
        key=key,
        state=state,
        reason=reason,
        verdict=Verdict(row["verdict"]),
        subscription=Subscription(row["subscription"]),
        complete=_flag(row["complete"]),
        shows_publisher=None if row["shows_publisher"] is None else _flag(row["shows_publisher"]),
        **fields,
    )


def _process(row: sqlite3.Row) -> Process:
    """Of a worker. Raises ValueError or TypeError for what Newsstand does not write."""
    for name, kind in (("id", str), ("host", str), ("pid", int), ("started", str), ("until", int)):
        _check(row[name], (kind,))
    _flag(row["hears"])
    return Process(row["host"], row["pid"], row["started"])


def _flag(value: object) -> bool:
    if value not in (0, 1):
        raise ValueError
    return bool(value)


def _check(value: object, types: tuple[type, ...]) -> None:
    """SQLite keeps a value of any type in any column."""
    if not isinstance(value, types):
        raise TypeError
