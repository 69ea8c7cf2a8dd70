"""A database with rows in every table, and all that it holds, to be compared."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from newsstand.model import NodeKey, NodeRecord, SeenItem, SyncState, Verdict
from newsstand.processes import Process
from newsstand.reconcile import Place, Put, Remove
from newsstand.storage import dialects, items, leases, nodes
from newsstand.storage.database import open_database
from newsstand.storage.items import ParsedItem
from newsstand.ways import Way, Ways

NOW = 1_700_000_000_000_000
WORKER = "0" * 32


async def fill(path: Path) -> None:
    """Two accounts, nodes of every state, items parsed and not, with publishers and in quarantine, a log."""
    database = await open_database(f"sqlite:///{path}")
    await database.write(nodes.save_ways, "pubsub.example.org", Ways(new=Way.LAST), NOW)
    for number, state in enumerate(SyncState):
        for account in ("juliet@example.org", "romeo@example.org"):
            record = NodeRecord(
                0,
                NodeKey(account, "pubsub.example.org", f"node {number} é\n"),
                verdict=Verdict.WANTED,
                state=state,
                verified_at=NOW + number,
                analysed_by=b"\0\xff",
            )
            saved = await database.write(nodes.save, record)
            published = [
                SeenItem(f"item-{i}", f"<item>{i} é</item>", publisher=f"jid-{i % 3}@example.org" if i % 4 else None)
                for i in range(12)
            ]
            published.append(SeenItem("poison", "", quarantine="too deep"))
            puts = [Put(item, Place.LAST, Place.LAST) for item in published]
            await database.write(items.apply, saved.id, puts, NOW)
            await database.write(items.apply, saved.id, [Remove(("item-11",))], NOW)
            waiting = await database.read(items.to_parse, saved.id, 6)
            parsed = [ParsedItem(w, {"id": w.item_id}, None, NOW - 10**9, f"word {w.item_id}") for w in waiting]
            await database.write(items.store_parsed, saved.id, parsed, "notes", 1)
            if account.startswith("juliet"):
                await database.write(leases.take, WORKER, [saved.id], lambda row: True, None)
                await database.write(nodes.save, saved)  # in its state; what is taken over is not live
                await database.write(leases.raise_doubts, saved.id, ["item-1", leases.WHOLE])
    await database.write(_begin_work)
    await database.close()


def _begin_work(conn: Connection) -> None:
    """A worker of a machine that is far away, whose lease was over long ago."""
    there = Process("far away", 1, "1")
    leases.beat(conn, WORKER, "juliet@example.org", there, hears=True, shares=True, lease=-NOW)


def contents(path: Path, prefix: str = "newsstand_") -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables whose names begin so, in an order of their own."""
    with closing(sqlite3.connect(path)) as connection:
        names = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if name.startswith(prefix) and not name.startswith(dialects.FTS_TABLE)
        ]
        return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in names}


def words_found(path: Path, word: str) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        index = dialects.FTS_TABLE
        connection.execute(f"INSERT INTO {index}({index}, rank) VALUES ('integrity-check', 1)")
        found = connection.execute(f"SELECT rowid FROM {index} WHERE {index} MATCH ?", (f"terms:{word}",))
        return sorted(rowid for (rowid,) in found)


def schema_of(path: Path) -> list[tuple[Any, ...]]:
    """Every table, index and trigger of ours, but for the table of the version, which stays."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master"
            " WHERE tbl_name LIKE 'newsstand%' AND tbl_name <> 'newsstand_version' ORDER BY type, name"
        )
        return list(found)
