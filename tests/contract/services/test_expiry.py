"""`pubsub#item_expire` (XEP-0060, 16.4): what expires goes without a word, and our copy finds that out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from newsstand import Policy, Replica
from newsstand.config import Settings
from newsstand.model import Answer, Origin
from newsstand.storage.database import Database, open_database
from tests.contract.services._trial import Trial
from tests.fakes.program import NOTES
from tests.servers.entities import SECONDS, Event
from tests.servers.quirks import Quirk


@pytest.fixture
async def node(trial: Trial) -> tuple[str, str]:
    """One of romeo's own, where items can expire: of three items, which do not, so far."""
    trial.service.skip_if(Quirk.PEP_ITEM_EXPIRE_IGNORED)
    pep = trial.romeo.jid
    await trial.romeo.create(pep, trial.node, access_model="open", max_items="1000")
    for item_id in ("a", "b", "c"):
        await trial.romeo.publish(pep, trial.node, item_id, item_id)
    return pep, trial.node


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await open_database(f"sqlite:///{tmp_path / 'news.db'}")
    yield database
    await database.close()


async def let_expire(trial: Trial, node: tuple[str, str]) -> None:
    """All that the node holds; what comes later stays."""
    await trial.romeo.configure(*node, item_expire="0")
    trial.service.pass_time()
    assert await trial.service.delete_expired()
    await trial.romeo.configure(*node, item_expire="max")


@asynccontextmanager
async def at_work(trial: Trial, database: Database, **settings: float) -> AsyncIterator[Replica]:
    """Juliet's program, with a fresh session of its own."""
    entity = await trial.service.log_in("juliet")
    replica = Replica(entity.transport, settings=Settings(quiet_start=0, **settings), entry_points=False)  # type: ignore[arg-type]
    replica.register_analyser(NOTES)
    await replica.open(database)
    try:
        yield replica
    finally:
        await replica.close()
        await entity.close()


@asynccontextmanager
async def following(
    trial: Trial, node: tuple[str, str], database: Database, **settings: float
) -> AsyncIterator[Replica]:
    """A program that has read the node, and answers from its copy."""
    async with at_work(trial, database, **settings) as replica:
        await replica.get_items(*node)
        assert await live_ids(replica, node) == ["a", "b", "c"]
        yield replica


async def live_ids(replica: Replica, node: tuple[str, str]) -> list[str]:
    """What the copy answers with as live, when all is quiet."""
    async with asyncio.timeout(SECONDS):
        await replica.settled()
    answer = await replica.get_items(*node)
    assert (answer.origin, answer.stale) == (Origin.COPY, False)
    return ids(answer)


def ids(answer: Answer) -> list[str]:
    return [fromstring(item.xml).get("id", "") for item in answer.items]


async def held(replica: Replica, node: tuple[str, str]) -> list[str]:
    return ids(await replica.get_items(*node, policy=Policy.ONLY_COPY))


async def test_what_is_young_enough_stays(trial: Trial, node: tuple[str, str]) -> None:
    await trial.romeo.configure(*node, item_expire="3600")
    trial.service.pass_time()
    assert await trial.service.delete_expired()
    assert await trial.juliet.ids(*node) == ["a", "b", "c"]


async def test_what_expires_goes_and_nobody_is_told(trial: Trial, node: tuple[str, str]) -> None:
    await trial.juliet.subscribe(*node)
    await trial.juliet.caught_up(trial.juliet.jid)
    trial.juliet.messages.clear()
    await let_expire(trial, node)
    assert await trial.juliet.ids(*node) == []
    await trial.romeo.publish(*node, "marker", "last")
    while ("marker",) not in {event.ids for event in trial.juliet.heard(*node)}:
        await trial.juliet.hears(*node, 1 + len(trial.juliet.heard(*node)))
    assert {event.kind for event in trial.juliet.heard(*node)} <= {"item", "configuration"}
    assert Event("item", ("marker",), ("last",)) in trial.juliet.heard(*node)
    assert await trial.juliet.ids(*node) == ["marker"]


async def test_our_copy_finds_it_after_an_insertion(trial: Trial, node: tuple[str, str], database: Database) -> None:
    async with following(trial, node, database) as replica:
        changes = replica.watch(*node)
        await let_expire(trial, node)
        await trial.romeo.publish(*node, "new", "new")
        async with asyncio.timeout(SECONDS):
            while (await anext(changes)).item_id != "new":
                pass
        assert await live_ids(replica, node) == ["new"]


async def test_our_copy_finds_it_with_a_fresh_session(trial: Trial, node: tuple[str, str], database: Database) -> None:
    async with following(trial, node, database):
        await let_expire(trial, node)
    async with at_work(trial, database) as replica:
        async with asyncio.timeout(SECONDS):
            await replica.session_began()
            await replica.settled()
        assert ids(await replica.get_items(*node)) == []
        assert await held(replica, node) == []


async def test_our_copy_finds_it_in_time(trial: Trial, node: tuple[str, str], database: Database) -> None:
    async with following(trial, node, database, revalidate=0.2) as replica:
        changes = replica.watch(*node)
        await let_expire(trial, node)
        async with asyncio.timeout(SECONDS):
            assert sorted([(await anext(changes)).item_id for _ in range(3)]) == ["a", "b", "c"]
        assert await held(replica, node) == []
