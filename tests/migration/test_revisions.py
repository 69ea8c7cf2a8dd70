"""Every revision, up and down, with rows in all tables: Newsstand's own, and a chain made for the test that moves
data (tests/migration/chain)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, inspect, text

from newsstand.errors import DatabaseError
from newsstand.storage import dialects, schema
from newsstand.storage.mapping import Base
from newsstand.storage.sqlite import check_url, make_engine, make_file
from tests.migration._contents import contents, fill, schema_of, words_found

CHAIN = Path(__file__).parent / "chain"
OWN = schema.revisions()
REVISIONS = [*OWN, *schema.revisions(CHAIN)]
HEAD = OWN[-1]


def on(path: Path, do: Callable[[Connection], None]) -> None:
    """In a transaction such as migrations get."""
    make_file(path)
    with make_engine(check_url(f"sqlite:///{path}"), "IMMEDIATE", look_only=True).begin() as conn:
        do(conn)


def move(path: Path, revision: str) -> None:
    on(path, lambda conn: schema.move(conn, revision, more=[CHAIN]))


def at(path: Path) -> str | None:
    found: list[str | None] = []
    on(path, lambda conn: found.append(schema.current(conn)))
    return found[0]


@pytest.fixture
async def filled(tmp_path: Path) -> Path:
    path = tmp_path / "news.db"
    await fill(path)
    return path


def test_the_test_fills_every_table(filled: Path) -> None:
    held = contents(filled)
    assert set(held) >= set(Base.metadata.tables)
    assert all(held.values())


@pytest.mark.parametrize("index", range(len(REVISIONS) - len(OWN)), ids=REVISIONS[len(OWN) :])
async def test_a_revision_goes_up_down_and_up_again_and_loses_nothing(filled: Path, index: int) -> None:
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
def test_each_of_our_own_revisions_goes_down_and_up_again(tmp_path: Path, index: int) -> None:
    path = tmp_path / "news.db"
    path.touch()
    move(path, OWN[index])
    made = schema_of(path)
    move(path, OWN[index - 1] if index else "base")
    assert at(path) == (OWN[index - 1] if index else None)
    move(path, OWN[index])
    assert schema_of(path) == made


def test_data_is_moved_between_columns_and_tables(filled: Path) -> None:
    move(filled, "9002")
    with closing(sqlite3.connect(filled)) as connection:
        summaries = connection.execute("SELECT summary FROM newsstand_node WHERE state = 'live'").fetchall()
        publishers = connection.execute("SELECT jid FROM newsstand_publisher ORDER BY jid").fetchall()
        joined = connection.execute(
            "SELECT count(*) FROM newsstand_item JOIN newsstand_publisher ON publisher_id = newsstand_publisher.id"
        ).fetchone()
    assert summaries == [("pubsub.example.org node 2 é\n live",)] * 2
    assert publishers == [(f"jid-{number}@example.org",) for number in range(3)]
    assert joined == (12 * 8,)  # per node: items 1…10 but those divisible by four


async def test_the_whole_chain_goes_down_to_nothing_and_up_again(filled: Path) -> None:
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


def test_a_programs_own_tables_and_versions_are_untouched_by_every_revision(filled: Path) -> None:
    with closing(sqlite3.connect(filled, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('feedbeef')")
        connection.execute("CREATE TABLE recipe (name TEXT UNIQUE)")
        connection.execute("INSERT INTO recipe VALUES ('scones')")
    before = contents(filled, prefix="alembic") | contents(filled, prefix="recipe")
    for revision in ["9001", "9002", "9001", HEAD, "base", HEAD, "9002", "base"]:
        move(filled, revision)
        assert contents(filled, prefix="alembic") | contents(filled, prefix="recipe") == before


async def test_a_migration_that_fails_leaves_everything_as_it_was(filled: Path) -> None:
    before, schema_before = contents(filled), schema_of(filled)

    def move_and_fail(conn: Connection) -> None:
        schema.move(conn, "9002", more=[CHAIN])
        raise RuntimeError("the power went out")

    with pytest.raises(RuntimeError):
        on(filled, move_and_fail)
    assert at(filled) == HEAD
    assert (contents(filled), schema_of(filled)) == (before, schema_before)


def test_a_migration_that_would_leave_rows_pointing_at_nothing_is_refused(filled: Path) -> None:
    def orphan(conn: Connection) -> None:
        conn.execute(text("DELETE FROM newsstand_node"))
        schema.move(conn, "9001", more=[CHAIN])

    before = contents(filled)
    with pytest.raises(DatabaseError, match="newsstand_node"):
        on(filled, orphan)
    assert contents(filled) == before


def test_moving_to_where_it_is_does_nothing(filled: Path) -> None:
    before = filled.read_bytes()
    move(filled, HEAD)
    assert filled.read_bytes() == before


def described(conn: Connection) -> dict[str, Any]:
    """What reflection sees of our tables."""
    inspector = inspect(conn)
    tables: dict[str, Any] = {}
    for name in inspector.get_table_names():
        if not name.startswith("newsstand_") or name == schema.VERSION_TABLE or name.startswith(dialects.FTS_TABLE):
            continue
        tables[name] = {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], column["default"], column["primary_key"])
                for column in inspector.get_columns(name)
            },
            "primary key": inspector.get_pk_constraint(name),
            "foreign keys": sorted(inspector.get_foreign_keys(name), key=repr),
            "unique": sorted(inspector.get_unique_constraints(name), key=repr),
            "indexes": sorted(
                (index["name"], index["column_names"], index["unique"], _condition(index))
                for index in inspector.get_indexes(name)
            ),
        }
    return tables


def _condition(index: Any) -> str:
    """Of a partial index."""
    return str(index.get("dialect_options", {}).get("sqlite_where"))


def test_the_schema_by_migrations_is_the_schema_by_the_mapping(tmp_path: Path) -> None:
    by_migrations, by_mapping = tmp_path / "migrations.db", tmp_path / "mapping.db"
    found: list[dict[str, Any]] = []
    on(by_migrations, lambda conn: schema.move(conn, "head"))
    on(by_mapping, Base.metadata.create_all)
    for path in (by_migrations, by_mapping):
        on(path, lambda conn: found.append(described(conn)))
    assert set(found[0]) == set(Base.metadata.tables)
    for name in found[0]:
        assert found[0][name] == found[1][name], name
