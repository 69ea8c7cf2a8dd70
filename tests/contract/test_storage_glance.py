"""A quick look at a file's nodes tells what the replica tells, or nothing."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection

from newsstand.model import NodeRecord, Process, Subscription, SyncState, Verdict
from newsstand.replica import Replica
from newsstand.storage.database import open_database
from newsstand.storage.mapping import PubsubNode, table
from newsstand.storage.schema import versioning
from newsstand.storage.sqlite import glance
from newsstand.storage.statements import owners
from newsstand.workers.processes import this_process
from tests.contract._storage import NOW, apply, make_node, put

NODE = table(PubsubNode)
HOUR = 3_600_000_000
TOLD = {field.name for field in dataclasses.fields(NodeRecord)} - {"id", "key"} | {"service", "name", "leader"}
BINARY = {"analysed_by", "failed_by"}
WORKER = "INSERT INTO newsstand_worker VALUES ('w', 'nurse@example.org', 'h', 1, 's', 9223372036854775807, 1, 0)"


def nobody(_: Process) -> bool:
    return False


def anybody(_: Process) -> bool:
    return True


@pytest.fixture
async def file(tmp_path: Path) -> Path:
    """A database of nodes in every state, of two accounts."""
    path = tmp_path / "news.db"
    database = await open_database(f"sqlite:///{path}")
    for number, state in enumerate(SyncState):
        node = await make_node(
            database,
            f"{state}-\N{SNOWMAN}",
            account=f"{('juliet', 'nurse')[number % 2]}@example.org",
            state=state,
            verdict=list(Verdict)[number % 3],
            subscription=list(Subscription)[number % 3],
            analyser="blog",
            type="blog",
            subtype=None if number else "comments",
            reason="why" if number % 2 else None,
            complete=bool(number % 2),
            verified_at=NOW + number,
            shows_publisher=(None, True, False)[number % 3],
            read_at=NOW if number else None,
            failed_by=b"1234567890abcdef" if state is SyncState.FAILED else None,
        )
        await apply(database, node, put("a"), put("b"))
    await database.close()
    return path


async def told_by_a_replica(path: Path) -> list[NodeRecord]:
    database = await open_database(f"sqlite:///{path}")
    replica = Replica()
    try:
        await replica.open(database)
        return replica.nodes()
    finally:
        await replica.close()
        await database.close()


async def test_it_tells_what_a_replica_tells(file: Path) -> None:
    assert glance.find_nodes(file, nobody) == await told_by_a_replica(file)
    assert {record.state for record in glance.find_nodes(file, nobody) or ()} == set(SyncState) - {
        SyncState.LIVE,
        SyncState.SYNCING,
    }


async def test_a_node_is_live_while_the_worker_that_follows_it_is_told_of_it(file: Path) -> None:
    database = await open_database(f"sqlite:///{file}")
    worker = "w" * 32

    def follow(conn: Connection) -> None:
        owners.renew_lease(conn, worker, "nurse@example.org", this_process(), notified=True, shares=False, lease=HOUR)
        conn.execute(NODE.update().values(leader=worker))

    await database.write(follow)
    states = [{r.state for r in glance.find_nodes(file, is_there) or ()} for is_there in (anybody, nobody)]
    await database.write(owners.session_lost, worker)
    states.append({r.state for r in glance.find_nodes(file, anybody) or ()})
    await database.close()
    assert [SyncState.LIVE in some for some in states] == [True, False, False]
    assert [SyncState.SYNCING in some for some in states] == [True, False, True]


async def test_it_leaves_the_file_and_what_is_beside_it_alone(file: Path) -> None:
    before = file.read_bytes()
    assert glance.find_nodes(file, nobody)
    assert os.listdir(file.parent) == [file.name]
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE newsstand_version SET version_num = '9876'",
        "DELETE FROM newsstand_version",
        "DROP TABLE newsstand_worker",
        "UPDATE newsstand_node SET state = 'asleep' WHERE id = 1",
        "UPDATE newsstand_node SET service = 'PubSub.example.org' WHERE id = 1",
        "UPDATE newsstand_account SET jid = 'Juliet@example.org' WHERE id = 1",
        "UPDATE newsstand_account SET jid = x'00' WHERE id = 1",
        *(f"UPDATE newsstand_node SET {column} = x'00' WHERE id = 1" for column in sorted(TOLD - BINARY)),
        *(f"UPDATE newsstand_node SET {column} = 'x' WHERE id = 1" for column in sorted(BINARY)),
        "UPDATE newsstand_node SET complete = 7 WHERE id = 1",
        *(f"{WORKER}; UPDATE newsstand_worker SET {column} = x'00'" for column in ("host", "pid", "started", "hears")),
        f"{WORKER}; UPDATE newsstand_worker SET until = 'soon'",
    ],
)
async def test_what_is_not_in_order_is_left_to_who_knows_better(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as conn:
        conn.executescript(statement)
    assert glance.find_nodes(file, nobody) is None


async def test_a_file_in_doubt_or_of_another_kind_is_left_to_who_knows_better(file: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("Two households, both alike in dignity. " * 20)
    os.mkfifo(tmp_path / "pipe.db")
    for path in (text, tmp_path, tmp_path / "none.db", tmp_path / "pipe.db"):
        assert glance.find_nodes(path, nobody) is None
    file.with_name(f"{file.name}.doubted").touch()
    assert glance.find_nodes(file, nobody) is None


def test_the_newest_revision_is_the_one_that_migrations_lead_to() -> None:
    assert glance.newest_revision() == versioning.revisions()[-1]


@pytest.mark.parametrize("path", ["/srv/news.db", "news.db", "a b+c#.db", "N\N{LATIN SMALL LETTER E WITH ACUTE}ws.db"])
def test_a_plain_url_names_the_file_that_the_database_opens(path: str) -> None:
    from newsstand.storage.database import check_url
    from newsstand.storage.sqlite.connections import path_of

    url = f"sqlite:///{path}"
    assert glance.path_of_plain_url(url) == path_of(check_url(url))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me@host/news",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///a?mode=ro",
        "sqlite:///a%20b",
        "x",
    ],
)
def test_another_url_is_left_to_who_knows_better(url: str) -> None:
    assert glance.path_of_plain_url(url) is None
