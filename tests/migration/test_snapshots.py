"""Databases as each revision made them (tests/migration/snapshot.py), brought to the newest."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import JSON, Boolean, Connection, MetaData, insert, null
from sqlalchemy.types import TypeEngine

from newsstand.storage.database import find_revision, open_database
from newsstand.storage.maintenance.checking import check
from newsstand.storage.mapping import VERSION_TABLE
from newsstand.storage.schema import ids, versioning
from tests.contract._storage import ON_SERVERS
from tests.databases import Databases
from tests.migration._contents import schema_of
from tests.migration.snapshot import SNAPSHOTS, seen
from tests.migration.test_revisions import on

REVISIONS = versioning.revisions()


def still_there(then: Any, now: Any) -> bool:
    """Whether all that was seen then is seen now; a newer Newsstand may tell more of each thing."""
    if isinstance(then, dict):
        return isinstance(now, dict) and all(key in now and still_there(then[key], now[key]) for key in then)
    if isinstance(then, list):
        return len(then) == len(now) and all(map(still_there, then, now))
    return bool(then == now)


def test_each_revision_was_frozen() -> None:
    assert sorted(file.stem for file in SNAPSHOTS.glob("*.db")) == REVISIONS
    assert sorted(file.stem for file in SNAPSHOTS.glob("*.json")) == REVISIONS


@pytest.mark.parametrize("revision", REVISIONS)
async def test_a_database_of_a_revision_is_brought_to_the_newest_with_all_that_it_held(
    tmp_path: Path, revision: str
) -> None:
    path, fresh = tmp_path / "news.db", tmp_path / "fresh.db"
    shutil.copy(SNAPSHOTS / f"{revision}.db", path)
    assert await find_revision(f"sqlite:///{path}") == revision
    then = json.loads((SNAPSHOTS / f"{revision}.json").read_text(encoding="utf-8"))
    assert all(then.values())
    assert still_there(then, await seen(path))
    assert await find_revision(f"sqlite:///{path}") == REVISIONS[-1]
    await (await open_database(f"sqlite:///{fresh}")).close()
    assert schema_of(path) == schema_of(fresh)
    assert await check(f"sqlite:///{path}") == []


def load(conn: Connection, frozen: Path, revision: str) -> None:
    """What a file held, into a server's tables of the same revision."""
    versioning.move(conn, revision)
    there = MetaData()
    there.reflect(conn, only=lambda name, _: name.startswith("newsstand_") and name != VERSION_TABLE)
    with closing(sqlite3.connect(frozen)) as file:
        file.row_factory = sqlite3.Row
        for table in there.sorted_tables:
            rows = [
                {column.name: _as_on_a_server(column.type, row[column.name]) for column in table.columns}
                for row in file.execute(f"SELECT * FROM {table.name}")
            ]
            if rows:
                conn.execute(insert(table), rows)
    for mapped in ids.tables():
        ids.go_on_after(conn, mapped, ids.highest_held(conn, mapped))


def _as_on_a_server(type_: TypeEngine[Any], value: Any) -> Any:
    match type_:
        case Boolean() if value is not None:
            return bool(value)
        case JSON():
            return null() if value is None else json.loads(value)
    return value


@ON_SERVERS
@pytest.mark.parametrize("revision", REVISIONS)
async def test_on_a_server_a_database_of_a_revision_is_brought_to_the_newest_with_all_that_it_held(
    empty: str, databases: Databases, tmp_path: Path, revision: str
) -> None:
    on(empty, lambda conn: load(conn, SNAPSHOTS / f"{revision}.db", revision))
    assert await find_revision(empty) == revision
    then = json.loads((SNAPSHOTS / f"{revision}.json").read_text(encoding="utf-8"))
    assert still_there(then, await seen(empty))
    assert await find_revision(empty) == REVISIONS[-1]
    fresh = await databases.new("postgresql", tmp_path, empty=True)
    await (await open_database(fresh)).close()
    assert schema_of(empty) == schema_of(fresh)
    assert await check(empty) == []
    await databases.drop(fresh)


def test_what_is_lost_would_be_noticed() -> None:
    then = {"nodes": [{"id": 1, "state": "live"}]}
    assert still_there(then, {"nodes": [{"id": 1, "state": "live", "new": True}], "more": []})
    worse: list[dict[str, Any]] = [{}, {"nodes": []}, {"nodes": [{"id": 1}]}, {"nodes": [{"id": 1, "state": "gone"}]}]
    assert not any(still_there(then, now) for now in worse)
