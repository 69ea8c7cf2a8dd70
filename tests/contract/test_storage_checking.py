"""`check` finds what is wrong in a database, each kind of it, and changes nothing."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from newsstand.errors import ConfigurationError, DatabaseError, DatabaseNewer, NotADatabase
from newsstand.storage.checking import MOST, check
from newsstand.storage.database import migrate, open_database
from tests.contract._storage import apply, make_node, parse, put


@pytest.fixture
def backend() -> str:
    """All of this is about files."""
    return "sqlite"


@pytest.fixture
async def file(url: str) -> Path:
    """Of a database that holds a node of three items; two are parsed, one is in quarantine."""
    database = await open_database(url)
    node = await make_node(database)
    await apply(database, node, put("a", "one"), put("b", "two"), put("c", quarantine="too deep"))
    await parse(database, node, {"a": {"title": "Compost"}, "b": {"title": "Slugs"}})
    await database.close()
    return Path(url.removeprefix("sqlite:///"))


def change(file: Path, *statements: str) -> None:
    """Behind everybody's back, foreign keys off."""
    with closing(sqlite3.connect(file)) as conn, conn:
        for statement in statements:
            conn.execute(statement)


async def problems(url: str) -> list[tuple[str | None, str]]:
    return [(problem.table, problem.text) for problem in await check(url)]


async def test_a_database_that_is_right_has_no_problems(url: str, file: Path) -> None:
    before = hashlib.sha256(file.read_bytes()).digest()
    assert await problems(url) == []
    assert hashlib.sha256(file.read_bytes()).digest() == before


NODE, ITEM, WORDS = "newsstand_node", "newsstand_item", "newsstand_item_text"


WRONGS = [
    ("UPDATE newsstand_node SET item_count = 7", NODE, "node 1 ('blog') counts 7 items and has 3"),
    ("UPDATE newsstand_node SET quarantined = 0", NODE, "counts 0 items in quarantine and has 1"),
    ("UPDATE newsstand_node SET revision = 0", ITEM, "node 1 ('blog') is at revision 0, and a row of it at 1"),
    ("UPDATE newsstand_change SET revision = 9", "newsstand_change", "is at revision 1, and a row of it at 9"),
    ("UPDATE newsstand_node SET name = 'glob'", NODE, "node 1 ('glob') is filed under another name"),
    ("UPDATE newsstand_item SET item_id = 'x' WHERE item_id = 'a'", ITEM, "item 'x' of node 1 is filed under"),
    ("UPDATE newsstand_item SET xml = '<a/>' WHERE item_id = 'a'", ITEM, "item 'a' of node 1 has other contents"),
    ("UPDATE newsstand_item SET parsed = '{' WHERE item_id = 'a'", ITEM, "parsed data of item 'a' of node 1"),
    ("UPDATE newsstand_item SET recency = 5 WHERE item_id = 'a'", WORDS, "the words of item 'a' of node 1"),
    ("UPDATE newsstand_item_text SET node_id = 8", WORDS, "belong to no item of node 8"),
    ("DELETE FROM newsstand_item_text WHERE terms = 'slugs'", ITEM, "item 'b' of node 1 is not in the full-text"),
    ("UPDATE newsstand_item_text SET terms = 'x'", "newsstand_item_fts", "does not agree with the words"),
    ("DELETE FROM newsstand_account", NODE, "a row points at what is not in newsstand_account"),
]


@pytest.mark.parametrize(("statement", "where", "told"), WRONGS)
async def test_what_is_stored_twice_and_says_two_things_is_found(
    url: str, file: Path, statement: str, where: str, told: str
) -> None:
    change(file, statement)
    found = await problems(url)
    assert [(table, text) for table, text in found if table == where and told in text], found


async def test_a_programs_own_tables_are_none_of_our_business(url: str, file: Path) -> None:
    change(
        file,
        "CREATE TABLE mine (id INTEGER PRIMARY KEY)",
        "CREATE TABLE yours (mine REFERENCES mine)",
        "INSERT INTO yours VALUES (1)",
    )
    assert await problems(url) == []


async def test_problems_without_end_are_told_up_to_a_number_of_each_kind(url: str) -> None:
    database = await open_database(url)
    await apply(database, await make_node(database), *(put(f"i{number}") for number in range(MOST + 20)))
    await database.close()
    change(Path(url.removeprefix("sqlite:///")), "UPDATE newsstand_item SET xml = '<x/>'")
    assert len(await problems(url)) == MOST


async def test_damage_to_the_file_is_found(url: str, file: Path) -> None:
    """An index that lacks a row, because the row was added while SQLite did not know of the index."""
    with closing(sqlite3.connect(file)) as conn:
        entry = conn.execute("SELECT * FROM sqlite_master WHERE name = 'ix_newsstand_change_at'").fetchone()
    change(file, "PRAGMA writable_schema=ON", "DELETE FROM sqlite_master WHERE name = 'ix_newsstand_change_at'")
    change(file, "INSERT INTO newsstand_change VALUES (1, 1, x'00', 'put', 'd', 0)")
    with closing(sqlite3.connect(file)) as conn, conn:
        conn.execute("PRAGMA writable_schema=ON")
        conn.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", entry)
    found = await problems(url)
    assert [text for table, text in found if table is None and "missing from index" in text], found


async def test_a_file_that_cannot_be_read_is_named(url: str, file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(NotADatabase):
        await check(url)


async def test_what_is_not_a_copy_of_this_version_is_named(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no database at"):
        await check(url)
    assert list(tmp_path.iterdir()) == []
    file = Path(url.removeprefix("sqlite:///"))
    change(file, "CREATE TABLE mine (id)")
    with pytest.raises(DatabaseError, match="holds nothing of ours"):
        await check(url)
    await migrate(url, "head")
    change(file, "UPDATE newsstand_version SET version_num = '9876'")
    with pytest.raises(DatabaseNewer):
        await check(url)


async def test_a_program_writes_on_while_it_is_checked(url: str, file: Path) -> None:
    database = await open_database(url)
    try:
        node = await make_node(database, "other")
        await apply(database, node, put("d", "three"))
        assert await problems(url) == []
        await apply(database, node, put("e", "four"))
    finally:
        await database.close()
