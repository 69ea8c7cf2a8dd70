"""Every revision, up and down, with rows in all tables: Newsstand's own, and a chain made for the test that moves
data (tests/migration/chain)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, inspect, text

from newsstand.errors import DatabaseError
from newsstand.storage.database import check_url
from newsstand.storage.mapping import VERSION_TABLE, Base
from newsstand.storage.postgresql import opening
from newsstand.storage.schema import full_text, versioning
from newsstand.storage.sqlite.connections import make_engine, make_file, path_of
from tests.contract._storage import ON_FILES
from tests.databases import Databases
from tests.migration._contents import (
    Where,
    contents,
    execute,
    fill,
    in_thread,
    is_file,
    schema_of,
    url_of,
    words_found,
)

CHAIN = Path(__file__).parent / "chain"
OWN = versioning.revisions()
REVISIONS = [*OWN, *versioning.revisions(CHAIN)]
HEAD = OWN[-1]


def on(where: Where, do: Callable[[Connection], Any]) -> None:
    """In a transaction such as migrations get."""
    url = url_of(where)
    if not is_file(where):
        in_thread(lambda: opening.run_under_lock(check_url(url), do))
        return
    make_file(path_of(check_url(url)))
    with make_engine(check_url(url), "IMMEDIATE", look_only=True).begin() as conn:
        do(conn)


def move(where: Where, revision: str) -> None:
    on(where, lambda conn: versioning.move(conn, revision, more=[CHAIN]))


def at(where: Where) -> str | None:
    found: list[str | None] = []
    on(where, lambda conn: found.append(versioning.current(conn)))
    return found[0]


@pytest.fixture
async def filled(empty: str) -> str:
    """The URL of a database with rows in every table."""
    await fill(empty)
    return empty


def test_the_test_fills_every_table(filled: str) -> None:
    held = contents(filled)
    assert set(held) >= set(Base.metadata.tables)
    assert all(held.values())


@pytest.mark.parametrize("index", range(len(REVISIONS) - len(OWN)), ids=REVISIONS[len(OWN) :])
async def test_a_revision_goes_up_down_and_up_again_and_loses_nothing(filled: str, index: int) -> None:
    before_it, it = REVISIONS[len(OWN) - 1 + index], REVISIONS[len(OWN) + index]
    move(filled, before_it)
    before, schema_before = contents(filled), schema_of(filled)
    move(filled, it)
    after, schema_after = contents(filled), schema_of(filled)
    assert at(filled) == it
    assert after != before
    assert schema_after != schema_before
    move(filled, before_it)
    assert at(filled) == before_it
    assert contents(filled) == before
    assert sorted(name for _, name, *_ in schema_of(filled)) == sorted(name for _, name, *_ in schema_before)
    move(filled, it)
    assert contents(filled) == after


@pytest.mark.parametrize("index", range(len(OWN)), ids=OWN)
def test_each_of_our_own_revisions_goes_down_and_up_again(empty: str, index: int) -> None:
    move(empty, OWN[index])
    made = schema_of(empty)
    move(empty, OWN[index - 1] if index else "base")
    assert at(empty) == (OWN[index - 1] if index else None)
    move(empty, OWN[index])
    assert schema_of(empty) == made


PAYLOADS = {
    "1": ("<item/>", "<item>é \N{SNOWMAN} \U0001f40c</item>", ""),
    "2": (),
    "3": ("x" * 100_000, "<item/>"),
}
"""The items of some nodes."""


def test_0003_counts_the_bytes_that_a_nodes_items_take(filled: str) -> None:
    move(filled, "0002")
    for table in ("newsstand_item_text", "newsstand_item"):
        execute(filled, f"DELETE FROM {table} WHERE node_id IN ({', '.join(PAYLOADS)})")
    for node, payloads in PAYLOADS.items():
        for number, xml in enumerate(payloads):
            key = f"'{number}'" if is_file(filled) else f"'\\x{number:02x}'::bytea"
            execute(
                filled,
                "INSERT INTO newsstand_item (node_id, digest, item_id, xml, content_digest, position, recency,"
                " revision, first_seen, updated)"
                f" VALUES ({node}, {key}, '{number}', '{xml}', {key}, {number}, {node}{number}, 1, 1, 1)",
            )
    before = contents(filled)
    move(filled, "0003")
    held = dict(execute(filled, "SELECT id, payload_bytes FROM newsstand_node WHERE id < 4 ORDER BY id"))
    assert held == {int(node): sum(len(xml.encode()) for xml in xmls) for node, xmls in PAYLOADS.items()}
    move(filled, "0002")
    assert contents(filled) == before
    assert "newsstand_parsing" not in {name for _, name, *_ in schema_of(filled)}


def test_data_is_moved_between_columns_and_tables(filled: str) -> None:
    move(filled, "9002")
    summaries = execute(filled, "SELECT summary FROM newsstand_node WHERE state = 'live'")
    publishers = execute(filled, "SELECT jid FROM newsstand_publisher ORDER BY jid")
    joined = execute(
        filled,
        "SELECT count(*) FROM newsstand_item JOIN newsstand_publisher ON publisher_id = newsstand_publisher.id",
    )
    assert set(summaries) == {("pubsub.example.org node 2 é\n live",)}
    assert publishers == [(f"jid-{number}@example.org",) for number in range(3)]
    assert joined == [(12 * 8,)]  # per node: items 1…10 but those divisible by four


async def test_the_whole_chain_goes_down_to_nothing_and_up_again(filled: str) -> None:
    move(filled, "9002")
    move(filled, HEAD)
    found = words_found(filled, "word")
    assert len(found) == 12 * 6
    move(filled, "9002")
    assert words_found(filled, "word") == found
    move(filled, "base")
    assert at(filled) is None
    assert schema_of(filled) == []
    move(filled, "9002")
    assert at(filled) == "9002"
    assert not any(contents(filled)[name] for name in Base.metadata.tables)


def test_a_programs_own_tables_and_versions_are_untouched_by_every_revision(filled: str) -> None:
    execute(
        filled,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
        "INSERT INTO alembic_version VALUES ('feedbeef')",
        "CREATE TABLE recipe (name TEXT UNIQUE)",
        "INSERT INTO recipe VALUES ('scones')",
    )
    before = contents(filled, prefix="alembic") | contents(filled, prefix="recipe")
    for revision in ["9001", "9002", "9001", HEAD, "base", HEAD, "9002", "base"]:
        move(filled, revision)
        assert contents(filled, prefix="alembic") | contents(filled, prefix="recipe") == before


async def test_a_migration_that_fails_leaves_everything_as_it_was(filled: str) -> None:
    before, schema_before = contents(filled), schema_of(filled)

    def move_and_fail(conn: Connection) -> None:
        versioning.move(conn, "9002", more=[CHAIN])
        raise RuntimeError("the power went out")

    with pytest.raises(RuntimeError):
        on(filled, move_and_fail)
    assert at(filled) == HEAD
    assert (contents(filled), schema_of(filled)) == (before, schema_before)


@ON_FILES
def test_a_migration_that_would_leave_rows_pointing_at_nothing_is_refused(filled: str) -> None:
    def orphan(conn: Connection) -> None:
        conn.execute(text("DELETE FROM newsstand_node"))
        versioning.move(conn, "9001", more=[CHAIN])

    before = contents(filled)
    with pytest.raises(DatabaseError, match="newsstand_node"):
        on(filled, orphan)
    assert contents(filled) == before


@ON_FILES
def test_moving_to_where_it_is_does_nothing(filled: str) -> None:
    path = path_of(check_url(filled))
    before = path.read_bytes()
    move(filled, HEAD)
    assert path.read_bytes() == before


def described(conn: Connection) -> dict[str, Any]:
    """What reflection sees of our tables."""
    inspector = inspect(conn)
    tables: dict[str, Any] = {}
    for name in inspector.get_table_names():
        if not name.startswith("newsstand_") or name == VERSION_TABLE or name.startswith(full_text.FTS_TABLE):
            continue
        tables[name] = {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], column["default"], column.get("primary_key"))
                for column in inspector.get_columns(name)
            },
            "primary key": inspector.get_pk_constraint(name),
            "foreign keys": sorted(inspector.get_foreign_keys(name), key=repr),
            "unique": sorted(inspector.get_unique_constraints(name), key=repr),
            "indexes": sorted(
                (index["name"], index["column_names"], index["unique"], _condition(index))
                for index in inspector.get_indexes(name)
                if index["name"] != full_text.FTS_TABLE  # on PostgreSQL, of expressions, and in no mapping
            ),
        }
    return tables


def _condition(index: Any) -> str:
    """Of a partial index."""
    options = index.get("dialect_options", {})
    return str(options.get("sqlite_where", options.get("postgresql_where")))


async def test_the_schema_by_migrations_is_the_schema_by_the_mapping(
    empty: str, backend: str, databases: Databases, tmp_path: Path
) -> None:
    (tmp_path / "by mapping").mkdir()
    by_mapping = await databases.new(backend, tmp_path / "by mapping", empty=True)
    found: list[dict[str, Any]] = []
    on(empty, lambda conn: versioning.move(conn, "head"))
    on(by_mapping, Base.metadata.create_all)
    for url in (empty, by_mapping):
        on(url, lambda conn: found.append(described(conn)))
    await databases.drop(by_mapping)
    assert set(found[0]) == set(Base.metadata.tables)
    for name in found[0]:
        assert found[0][name] == found[1][name], name
