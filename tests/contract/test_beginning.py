"""How a program begins and ends: without a client, with one that hears nothing, and after the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import newsstand
from newsstand import Analyser, Replica
from newsstand.errors import ConfigurationError, DatabaseError, StanzaError
from newsstand.model import Origin, Policy
from newsstand.storage.database import Database, open_database
from newsstand.storage.schema import waiting
from newsstand.xmpp.transport import Session
from tests.databases import BACKENDS, Databases
from tests.fakes.hold import SECONDS
from tests.fakes.program import NODE, at_work
from tests.fakes.service import JULIET, SERVICE, Service
from tests.logged import warnings_of_ours


@pytest.mark.parametrize(
    ("session", "missing"), [(Session.LOST, "there is no session"), (Session.DEAF, "sent no presence, or one of neg")]
)
async def test_who_waits_for_a_session_in_vain_is_told_what_is_missing_once(
    database: Database,
    session: Session,
    missing: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("newsstand.replica.SESSION_SECONDS", 0.01)
    service = Service()
    async with at_work(database, service) as program:
        program.stream.turn(Session.LOST, session)
        told = _warned(caplog)
        waiting = asyncio.ensure_future(program.replica.session_began())
        async with asyncio.timeout(SECONDS):
            await told
        assert not waiting.done()
        program.stream.turn(Session.FRESH)
        async with asyncio.timeout(SECONDS):
            await waiting
    (line,) = [line for line in warnings_of_ours(caplog) if "waits for notifications" in line]
    assert missing in line


def _warned(caplog: pytest.LogCaptureFixture) -> asyncio.Future[None]:
    """Done when a warning is logged."""
    warned: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno == logging.WARNING and not warned.done():
                warned.set_result(None)

    handler = Handler()
    log = logging.getLogger("newsstand")
    log.addHandler(handler)
    warned.add_done_callback(lambda _: log.removeHandler(handler))
    return warned


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_database_is_read_without_a_client(backend: str, databases: Databases, tmp_path: Path) -> None:
    url = await databases.new(backend, tmp_path)
    service = Service()
    service.create(NODE, "a", "b")
    database = await open_database(url)
    async with at_work(database, service) as program:
        await program.follow()
    await database.close()

    notes = Analyser("more notes", "more notes", namespace="urn:nobody", to_sync=True)
    async with newsstand.open(url, analysers=[notes]) as replica:
        assert [record.key.node for record in replica.nodes()] == [NODE]
        answer = await replica.get_items(SERVICE, NODE)
        assert ([item.id for item in answer.items], answer.origin, answer.stale) == (["a", "b"], Origin.COPY, True)
        assert (await replica.search("a")).total == 1
        assert notes in replica.analysers
    for verb in verbs_of(replica):
        with pytest.raises(DatabaseError, match="is closed"):
            await verb()

    database = await open_database(url)  # nothing of it was changed or dropped
    async with at_work(database, service) as program:
        await program.serves_live()
    await database.close()
    await databases.drop(url)


def verbs_of(replica: Replica) -> list[Callable[[], Any]]:
    async def nodes() -> object:
        return replica.nodes()

    async def watch() -> object:
        return replica.watch(SERVICE, NODE, account=JULIET)

    async def session() -> None:
        async with replica.session():
            pass

    return [
        nodes,
        watch,
        session,
        lambda: replica.get_items(SERVICE, NODE, account=JULIET),
        lambda: replica.search(account=JULIET),
        lambda: replica.synchronise(SERVICE, NODE, account=JULIET),
        lambda: replica.verify(SERVICE, NODE, account=JULIET),
        lambda: replica.purge(SERVICE, NODE, account=JULIET),
        replica.reset,
        replica.session_began,
        replica.settled,
    ]


async def test_a_replica_that_is_not_open_yet_says_so() -> None:
    for verb in verbs_of(Replica()):
        with pytest.raises(DatabaseError, match=r"not open yet: await plugin\.ready\(\)"):
            await verb()


async def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no database at"):
        async with newsstand.open(f"sqlite:///{tmp_path}/none.db"):
            pass
    assert list(tmp_path.iterdir()) == []


async def test_a_database_that_may_not_be_migrated_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MIGRATION_SECONDS", 0.0)
    with pytest.raises(DatabaseError, match="may not migrate"):
        async with newsstand.open(f"sqlite:///{tmp_path}/none.db", migrate=False):
            pass
    assert list(tmp_path.iterdir()) == []


async def test_the_account_must_be_named_where_there_are_several_and_the_error_names_them(
    databases: Databases, tmp_path: Path
) -> None:
    url = await databases.new("sqlite", tmp_path)
    async with newsstand.open(url) as replica:
        with pytest.raises(ConfigurationError, match="name the account whose copy is meant: there is none"):
            await replica.search()


async def test_a_start_is_logged_in_a_few_lines_of_ours_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        database = await open_database(f"sqlite:///{tmp_path}/news.db")
        async with at_work(database, Service()):
            pass
        await database.close()
    migrated, opened = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert f"{tmp_path}/news.db is migrated from revision none to" in migrated
    assert opened.startswith("the database is open: 0 nodes, 0 items, in ")
    assert [record.name for record in caplog.records if record.name.startswith("alembic")] == []


async def test_the_log_says_in_a_line_each_what_became_of_a_node(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service()
    service.create(NODE, "a", "b")

    def lines() -> list[str]:
        told = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
        caplog.clear()
        return [line.partition(" of ")[2].partition(":")[0] for line in told if line.startswith(f"node {NODE!r}")]

    with caplog.at_level(logging.INFO):
        async with at_work(database, service) as program:
            await program.follow()
            await program.serves_live()
            assert lines() == [f"{SERVICE} is synchronised"]
            program.stream.turn(Session.LOST)
            for _ in range(3):
                assert (await program.read()).stale
            assert lines() == [f"{SERVICE} is served stale"]
            program.stream.turn(Session.FRESH)
            await program.serves_live()
            assert lines() == [f"{SERVICE} is synchronised"]
            service.refuse("items", "forbidden", "auth")
            with pytest.raises(StanzaError):
                await program.replica.get_items(SERVICE, NODE, policy=Policy.ONLY_SERVICE)
            assert lines() == [f"{SERVICE} is closed"]
