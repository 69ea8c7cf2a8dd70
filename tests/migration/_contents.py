"""A database with rows in every table, and all that it holds, to be compared."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import Connection, insert

from newsstand.model import NodeKey, NodeRecord, Process, SeenItem, SyncState, Verdict, digest
from newsstand.rules.behaviour import Behaviour, ServiceBehaviour
from newsstand.rules.reconcile import Place, Put, Remove
from newsstand.storage.database import open_database
from newsstand.storage.mapping import ParsingNote, table
from newsstand.storage.schema import full_text
from newsstand.storage.statements import doubt_rows, items, nodes, owners
from newsstand.storage.statements.items import ParsedItem

NOW = 1_700_000_000_000_000
WORKER = "0" * 32


T = TypeVar("T")
Where = str | Path
"""A database: its URL, or a file."""


def url_of(where: Where) -> str:
    return where if isinstance(where, str) else f"sqlite:///{where}"


async def fill(where: Where) -> None:
    """Two accounts, nodes of every state, items parsed and not, with publishers and in quarantine, a log."""
    database = await open_database(url_of(where))
    await database.write(nodes.save_behaviour, "pubsub.example.org", ServiceBehaviour(new=Behaviour.LAST), NOW)
    for number, state in enumerate(SyncState):
        for account in ("juliet@example.org", "romeo@example.org"):
            record = NodeRecord(
                0,
                NodeKey(account, "pubsub.example.org", f"node {number} é\n"),
                verdict=Verdict.WANTED,
                state=state,
                verified_at=NOW + number,
                analysed_by=b"\0\xff",
                session_reads=number % 4,
                failed_by=b"\0\xfe" if state is SyncState.FAILED else None,
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
                await database.write(owners.acquire, WORKER, [saved.id], lambda row: True, None)
                await database.write(nodes.save, saved)  # in its state; what is taken over is not live
                await database.write(doubt_rows.raise_doubts, saved.id, ["item-1", doubt_rows.WHOLE])
    await database.write(_begin_work)
    await database.close()


def _begin_work(conn: Connection) -> None:
    """A worker of a machine that is far away, whose lease was over long ago; it was parsing when it ended."""
    there = Process("far away", 1, "1")
    owners.renew_lease(conn, WORKER, "juliet@example.org", there, notified=True, shares=True, lease=-NOW)
    conn.execute(
        insert(table(ParsingNote)).values(
            node_id=1, until=digest("item-10"), parser="notes", parser_version=1, token=WORKER, **there._asdict()
        )
    )


def execute(where: Where, *statements: str) -> list[tuple[Any, ...]]:
    """Behind everybody's back, each by itself; the rows of the last one. Blocks, and may be called where an event loop
    runs."""
    return results(where, *statements)[-1]


def results(where: Where, *statements: str) -> list[list[tuple[Any, ...]]]:
    """The same, with the rows of each."""
    if not statements:
        return []
    url = url_of(where)
    if is_file(where):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
            return [[tuple(row) for row in connection.execute(statement)] for statement in statements]

    async def run() -> list[list[tuple[Any, ...]]]:
        connection = await asyncpg.connect(url, statement_cache_size=0)  # as PgBouncer wants it
        try:
            return [[tuple(row) for row in await connection.fetch(statement)] for statement in statements]
        finally:
            await connection.close()

    return in_thread(lambda: asyncio.run(run()))


def in_thread(do: Callable[[], T]) -> T:
    """For what starts an event loop of its own, where one may run. Blocks."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(do).result()


def is_file(where: Where) -> bool:
    return url_of(where).startswith("sqlite")


def contents(where: Where, prefix: str = "newsstand_") -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables whose names begin so, in an order of their own."""
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    if is_file(where):
        tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
    names = [
        name
        for (name,) in execute(where, tables)
        if name.startswith(prefix) and not name.startswith(full_text.FTS_TABLE)
    ]
    held = results(where, *(f"SELECT * FROM {name}" for name in names))
    return {name: sorted(rows, key=repr) for name, rows in zip(names, held, strict=True)}


def words_found(where: Where, word: str) -> list[int]:
    index = full_text.FTS_TABLE
    if not is_file(where):
        words = "string_to_array('@' || scope || ' ' || terms, ' ')"
        found = f"SELECT docid FROM newsstand_item_text WHERE {words} @> ARRAY['{word}']"
        return sorted(docid for (docid,) in execute(where, "SET enable_seqscan = off", found))
    check = f"INSERT INTO {index}({index}, rank) VALUES ('integrity-check', 1)"
    found = f"SELECT rowid FROM {index} WHERE {index} MATCH 'terms:{word}'"
    return sorted(rowid for (rowid,) in execute(where, check, found))


_SERVER_SCHEMA = """
    SELECT 'column', c.relname || '.' || a.attname, c.relname,
           concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
      LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
     WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND c.relname LIKE 'newsstand%'
    UNION ALL SELECT 'index', indexname, tablename, indexdef FROM pg_indexes WHERE tablename LIKE 'newsstand%'
    UNION ALL SELECT 'constraint', conname, conrelid::regclass::text, pg_get_constraintdef(oid)
      FROM pg_constraint WHERE conrelid::regclass::text LIKE 'newsstand%'
    UNION ALL SELECT 'sequence', sequencename, '', data_type::text FROM pg_sequences
     WHERE sequencename LIKE 'newsstand%'
"""


def schema_of(where: Where) -> list[tuple[Any, ...]]:
    """Every table, index and trigger of ours, but for the table of the version, which stays: kind, name, table, and how
    it is defined."""
    if not is_file(where):
        return sorted(row for row in execute(where, _SERVER_SCHEMA) if row[2] != "newsstand_version")
    return execute(
        where,
        "SELECT type, name, tbl_name, sql FROM sqlite_master"
        " WHERE tbl_name LIKE 'newsstand%' AND tbl_name <> 'newsstand_version' ORDER BY type, name",
    )
