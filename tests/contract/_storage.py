"""What the tests of the storage share."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select
from sqlalchemy.util import await_only

from newsstand.analysis.words import terms_of
from newsstand.model import NS_PUBSUB, NodeKey, NodeRecord, SeenItem
from newsstand.rules.reconcile import Applied, Place, Put, Step
from newsstand.storage.database import Database
from newsstand.storage.mapping import ItemChange, ItemText, PubsubItem, PubsubNode, table
from newsstand.storage.schema import full_text
from newsstand.storage.sqlite.database import SqliteDatabase
from newsstand.storage.statements import items, nodes, search
from newsstand.storage.statements.items import ParsedItem

JULIET = "juliet@example.org"
SERVICE = "pubsub.example.org"
NOW = 1_700_000_000_000_000
SECOND = 1_000_000

ITEM = table(PubsubItem)
NODE = table(PubsubNode)
TEXT = table(ItemText)
CHANGE = table(ItemChange)


ON_FILES = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
"""A test of what is so with files only."""
ON_SERVERS = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
"""A test of what is so with servers only."""


def path_of(database: Database) -> Path:
    """Where the file lies."""
    assert isinstance(database, SqliteDatabase)
    return database.path


class Gate:
    """Holds a statement up, wherever it runs: in a thread, or, where reads are journeys, in the event loop."""

    def __init__(self, database: Database) -> None:
        self.reached = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._opened = asyncio.Event()
        self._in_thread = threading.Event() if database.instant is not None else None

    def wait(self) -> None:
        """In the statement."""
        self._loop.call_soon_threadsafe(self.reached.set)
        if self._in_thread is None:
            await_only(self._opened.wait())
        else:
            assert self._in_thread.wait(20)

    def open(self) -> None:
        self._opened.set()
        if self._in_thread is not None:
            self._in_thread.set()


def xml_of(item_id: str, body: str = "") -> str:
    return f'<item xmlns="{NS_PUBSUB}" id="{item_id}"><note xmlns="urn:example:note">{body}</note></item>'


def seen(item_id: str, body: str = "", **fields: Any) -> SeenItem:
    return SeenItem(item_id, xml_of(item_id, body), **fields)


def put(item_id: str, body: str = "", **fields: Any) -> Put:
    return Put(seen(item_id, body, **fields), Place.LAST, Place.LAST)


async def make_node(
    database: Database, name: str = "blog", *, service: str = SERVICE, account: str = JULIET, **fields: Any
) -> NodeRecord:
    return await database.write(nodes.save, NodeRecord(0, NodeKey(account, service, name), **fields))


async def apply(database: Database, node: NodeRecord, *steps: Step, now: int = NOW) -> Applied:
    return await database.write(items.apply, node.id, steps, now)


async def parse(database: Database, node: NodeRecord, parsed: dict[str, dict[str, Any]], **dates: int) -> None:
    """As if a parser had made this of the items, by their ids."""
    waiting = await database.read(items.to_parse, node.id, 10_000)
    results = [
        ParsedItem(item, parsed[item.item_id], None, dates.get(item.item_id), terms_of(parsed[item.item_id]))
        for item in waiting
        if item.item_id in parsed
    ]
    assert len(results) == len(parsed)
    await database.write(items.store_parsed, node.id, results, "notes", 1)


async def find_node(database: Database, node_id: int) -> NodeRecord:
    return next(r for r in await database.scan(lambda conn: list(nodes.iter_nodes(conn))) if r.id == node_id)


async def ids_found(database: Database, text: str | None = None, **query: Any) -> list[str]:
    page = await database.scan(search.find, search.Query(text, **query))
    return [item.id for item in page.items]


async def rows(database: Database, node: NodeRecord) -> list[dict[str, Any]]:
    """All columns of a node's items, in the service's order."""
    statement = select(ITEM).where(ITEM.c.node_id == node.id).order_by(ITEM.c.position)
    return await database.scan(lambda conn: [dict(row._mapping) for row in conn.execute(statement)])


async def row(database: Database, node: NodeRecord, item_id: str) -> dict[str, Any]:
    return next(row for row in await rows(database, node) if row["item_id"] == item_id)


async def log(database: Database, node: NodeRecord, after: int = 0) -> list[tuple[int, str, str]]:
    """Revision, kind and item id of the changes after a revision."""
    statement = (
        select(CHANGE.c.revision, CHANGE.c.kind, CHANGE.c.item_id)
        .where(CHANGE.c.node_id == node.id, CHANGE.c.revision > after)
        .order_by(CHANGE.c.revision, CHANGE.c.kind, CHANGE.c.item_id)
    )
    return await database.scan(lambda conn: [tuple(row) for row in conn.execute(statement)])


def check_in_step(conn: Connection) -> None:
    """What is stored twice says the same: the full-text index and the words, the words and the items, the nodes'
    counts and their items."""
    if conn.dialect.name == "sqlite":
        index = full_text.FTS_TABLE
        conn.exec_driver_sql(f"INSERT INTO {index}({index}, rank) VALUES ('integrity-check', 1)")
        assert conn.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    stray = select(func.count()).select_from(TEXT).where(TEXT.c.docid.not_in(select(ITEM.c.recency)))
    assert conn.execute(stray).scalar() == 0
    pairs = select(TEXT.c.node_id, TEXT.c.digest, ITEM.c.node_id, ITEM.c.digest, TEXT.c.scope).join(
        ITEM, ITEM.c.recency == TEXT.c.docid
    )
    for text_node, text_key, item_node, item_key, scope in conn.execute(pairs):
        assert (text_node, text_key, scope) == (item_node, item_key, full_text.scope_of(item_node))
    for node_id, item_count, quarantined in conn.execute(select(NODE.c.id, NODE.c.item_count, NODE.c.quarantined)):
        counted = select(func.count(), func.count(ITEM.c.quarantine)).where(ITEM.c.node_id == node_id)
        assert tuple(conn.execute(counted).one()) == (item_count, quarantined)


async def in_step(database: Database) -> None:
    await database.write(check_in_step)


def fields_of(record: NodeRecord) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def item_ids(found: Sequence[dict[str, Any]]) -> list[str]:
    return [row["item_id"] for row in found]
