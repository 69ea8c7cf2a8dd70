"""`check` finds what is wrong in a database, each kind of it, and changes nothing."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from newsstand.errors import ConfigurationError, DatabaseError, DatabaseNewer, NotADatabase
from newsstand.storage.database import migrate, open_database
from newsstand.storage.maintenance.checking import MOST, check
from tests.contract._storage import ON_FILES, ON_SERVERS, apply, make_node, parse, put


@pytest.fixture
async def filled(url: str) -> str:
    """The URL of a database that holds a node of three items; two are parsed, one is in quarantine."""
    database = await open_database(url)
    node = await make_node(database)
    await apply(database, node, put("a", "one"), put("b", "two"), put("c", quarantine="too deep"))
    await parse(database, node, {"a": {"title": "Compost"}, "b": {"title": "Slugs"}})
    await database.close()
    return url


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


async def change(url: str, *statements: str) -> None:
    """Behind everybody's back, foreign keys off."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(file_of(url))) as conn, conn:
            for statement in statements:
                conn.execute(statement)
        return
    server = await asyncpg.connect(url, statement_cache_size=0)
    try:
        await server.execute("SET session_replication_role = replica")
        for statement in statements:
            await server.execute(statement)
    finally:
        await server.close()


async def problems(url: str) -> list[tuple[str | None, str]]:
    return [(problem.table, problem.text) for problem in await check(url)]


async def test_a_database_that_is_right_has_no_problems(filled: str) -> None:
    assert await problems(filled) == []


@ON_FILES
async def test_a_check_leaves_every_byte_as_it_was(filled: str) -> None:
    before = hashlib.sha256(file_of(filled).read_bytes()).digest()
    await check(filled)
    assert hashlib.sha256(file_of(filled).read_bytes()).digest() == before


NODE, ITEM, WORDS = "newsstand_node", "newsstand_item", "newsstand_item_text"


WRONGS = [
    ("UPDATE newsstand_node SET item_count = 7", NODE, "node 1 ('blog') counts 7 items and has 3"),
    ("UPDATE newsstand_node SET quarantined = 0", NODE, "counts 0 items in quarantine and has 1"),
    ("UPDATE newsstand_node SET revision = 0", ITEM, "node 1 ('blog') is at revision 0, and a row of it at 1"),
    ("UPDATE newsstand_change SET revision = 9", "newsstand_change", "is at revision 1, and a row of it at 9"),
    ("UPDATE newsstand_node SET name = 'glob'", NODE, "node 1 ('glob') is filed under another name"),
    ("UPDATE newsstand_item SET item_id = 'x' WHERE item_id = 'a'", ITEM, "item 'x' of node 1 is filed under"),
    ("UPDATE newsstand_item SET xml = '<a/>' WHERE item_id = 'a'", ITEM, "item 'a' of node 1 has other contents"),
    ("UPDATE newsstand_item SET recency = 5 WHERE item_id = 'a'", WORDS, "the words of item 'a' of node 1"),
    ("UPDATE newsstand_item_text SET node_id = 8", WORDS, "belong to no item of node 8"),
    ("DELETE FROM newsstand_item_text WHERE terms = 'slugs'", ITEM, "item 'b' of node 1 is not in the full-text"),
    ("DELETE FROM newsstand_account", NODE, "a row points at what is not in newsstand_account"),
    ("DELETE FROM newsstand_node", "newsstand_change", "a row points at what is not in newsstand_node"),
]
WRONGS_OF_FILES = [
    ("UPDATE newsstand_item SET parsed = '{' WHERE item_id = 'a'", ITEM, "parsed data of item 'a' of node 1"),
    ("UPDATE newsstand_item_text SET terms = 'x'", "newsstand_item_fts", "does not agree with the words"),
]
"""On PostgreSQL neither can be: JSONB holds JSON only, and the index of the words is one of their own table."""
WRONGS_OF_SERVERS = [
    ("SELECT setval('newsstand_node_id_seq', 1, false)", NODE, "the next id after 0 is to be given, and 1 is there"),
]
"""A file counts on from the rows that are there."""


@pytest.mark.parametrize(("statement", "where", "told"), WRONGS)
async def test_what_is_stored_twice_and_says_two_things_is_found(
    filled: str, statement: str, where: str, told: str
) -> None:
    await change(filled, statement)
    found = await problems(filled)
    assert [(table, text) for table, text in found if table == where and told in text], found


@ON_FILES
@pytest.mark.parametrize(("statement", "where", "told"), WRONGS_OF_FILES)
async def test_what_only_a_file_can_hold_is_found(filled: str, statement: str, where: str, told: str) -> None:
    await change(filled, statement)
    found = await problems(filled)
    assert [(table, text) for table, text in found if table == where and told in text], found


@ON_SERVERS
@pytest.mark.parametrize(("statement", "where", "told"), WRONGS_OF_SERVERS)
async def test_what_only_a_server_can_hold_is_found(filled: str, statement: str, where: str, told: str) -> None:
    await change(filled, statement)
    found = await problems(filled)
    assert [(table, text) for table, text in found if table == where and told in text], found


async def test_a_programs_own_tables_are_none_of_our_business(filled: str) -> None:
    await change(
        filled,
        "CREATE TABLE mine (id INTEGER PRIMARY KEY)",
        "CREATE TABLE yours (mine INTEGER REFERENCES mine)",
        "INSERT INTO yours VALUES (1)",
    )
    assert await problems(filled) == []


async def test_problems_without_end_are_told_up_to_a_number_of_each_kind(url: str) -> None:
    database = await open_database(url)
    await apply(database, await make_node(database), *(put(f"i{number}") for number in range(MOST + 20)))
    await database.close()
    await change(url, "UPDATE newsstand_item SET xml = '<x/>'")
    assert len([table for table, _ in await problems(url) if table == "newsstand_item"]) == MOST


@ON_FILES
async def test_damage_to_the_file_is_found(filled: str) -> None:
    """An index that lacks a row, because the row was added while SQLite did not know of the index."""
    file = file_of(filled)
    with closing(sqlite3.connect(file)) as conn:
        entry = conn.execute("SELECT * FROM sqlite_master WHERE name = 'ix_newsstand_change_at'").fetchone()
    await change(filled, "PRAGMA writable_schema=ON", "DELETE FROM sqlite_master WHERE name = 'ix_newsstand_change_at'")
    await change(filled, "INSERT INTO newsstand_change VALUES (1, 1, x'00', 'put', 'd', 0)")
    with closing(sqlite3.connect(file)) as conn, conn:
        conn.execute("PRAGMA writable_schema=ON")
        conn.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", entry)
    found = await problems(filled)
    assert [text for table, text in found if table is None and "missing from index" in text], found


@ON_FILES
async def test_a_file_that_cannot_be_read_is_named(filled: str) -> None:
    whole = file_of(filled).read_bytes()
    file_of(filled).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(NotADatabase):
        await check(filled)


@ON_FILES
async def test_a_file_that_is_not_there_is_not_made(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no database at"):
        await check(url)
    assert list(tmp_path.iterdir()) == []


async def test_what_is_not_a_copy_of_this_version_is_named(url: str) -> None:
    await change(url, "CREATE TABLE mine (id INTEGER)")
    with pytest.raises(DatabaseError, match="holds nothing of ours"):
        await check(url)
    await migrate(url, "head")
    await change(url, "UPDATE newsstand_version SET version_num = '9876'")
    with pytest.raises(DatabaseNewer):
        await check(url)


async def test_a_program_writes_on_while_it_is_checked(filled: str) -> None:
    database = await open_database(filled)
    try:
        node = await make_node(database, "other")
        await apply(database, node, put("d", "three"))
        assert await problems(filled) == []
        await apply(database, node, put("e", "four"))
    finally:
        await database.close()
