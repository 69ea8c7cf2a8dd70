"""Purge and reset: what is dropped is neither served nor found, is unsubscribed from, and does not come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection, select, text

from newsstand import Analyser, Analysis, Policy, Replica
from newsstand.errors import NewsstandError, NotFollowed, NotInCopy
from newsstand.rules.behaviour import ServiceBehaviour
from newsstand.storage.database import Database
from newsstand.storage.statements import nodes
from newsstand.xmpp.transport import Session
from tests.contract._storage import ITEM, apply, make_node, put
from tests.contract._storage import NODE as NODES
from tests.fakes.program import NODE, Program, at_work
from tests.fakes.service import JULIET, SERVICE, Kind, Service, Stream


@pytest.fixture
async def service() -> Service:
    service = Service()
    service.create(NODE, "a", "b")
    service.create("other", "c")
    return service


@pytest.fixture
async def program(database: Database, service: Service) -> AsyncIterator[Program]:
    async with at_work(database, service) as program:
        yield program


async def stored(database: Database) -> tuple[list[str], int]:
    """The nodes that the database knows, and how many items it holds."""

    def look(conn: Connection) -> tuple[list[str], int]:
        names = conn.execute(select(NODES.c.name).order_by(NODES.c.name)).scalars()
        return list(names), len(conn.execute(select(ITEM.c.digest)).all())

    return await database.scan(look)


async def test_a_purged_node_is_neither_served_nor_stored_and_is_unsubscribed_from(
    program: Program, service: Service, database: Database
) -> None:
    await program.follow()
    await program.follow("other")

    await program.replica.purge(SERVICE, NODE)

    with pytest.raises(NotInCopy):
        await program.replica.get_items(SERVICE, NODE, policy=Policy.ONLY_COPY)
    assert await stored(database) == (["other"], 1)
    assert (service.is_subscribed(NODE), service.is_subscribed("other")) == (False, True)
    await program.serves_live("other")


async def test_the_programs_next_read_of_a_purged_node_begins_anew(program: Program, service: Service) -> None:
    await program.follow()
    before = program.copy().record.revision
    await program.replica.purge(SERVICE, NODE)
    await program.follow()
    assert service.is_subscribed(NODE)
    assert program.copy().record.revision > before


async def test_what_is_not_known_cannot_be_purged(program: Program) -> None:
    with pytest.raises(NotInCopy, match="there is no copy of 'blog'"):
        await program.replica.purge(SERVICE, NODE)


@pytest.mark.parametrize("kind", ["items", "ids", "info", "subscribe"])
@pytest.mark.parametrize("answered", [False, True])
async def test_nothing_of_the_work_under_way_comes_back(
    program: Program, service: Service, database: Database, kind: Kind, answered: bool
) -> None:
    """The work was begun by a read; it is at its look at the node, its subscription, its download, its second list."""
    hold = service.hold(kind, answered=answered)
    synchronising = asyncio.ensure_future(program.replica.synchronise(SERVICE, NODE))
    await hold.reached()

    await program.replica.purge(SERVICE, NODE)

    hold.release()
    with pytest.raises(NewsstandError):
        await synchronising
    await program.settled()
    assert await stored(database) == ([], 0)
    assert program.replica.nodes() == []
    assert not service.is_subscribed(NODE)


async def test_nothing_of_a_judgement_under_way_comes_back(database: Database, service: Service) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def match(analysis: Analysis) -> Analysis:
        asked.set()
        await go_on.wait()
        return analysis

    stream = Stream(service)
    replica = Replica(stream)
    replica.register_analyser(Analyser("slow", "slow", node=NODE, match=match, to_sync=True))
    await replica.open(database)
    stream.turn(Session.FRESH)
    try:
        await replica.get_items(SERVICE, NODE)
        await asked.wait()
        await replica.purge(SERVICE, NODE)
        go_on.set()
        await replica.settled()
        assert (await stored(database), replica.nodes()) == (([], 0), [])
    finally:
        await replica.close()


async def test_news_that_come_while_a_node_is_purged_are_not_stored(
    program: Program, service: Service, database: Database
) -> None:
    await program.follow()
    service.publish(NODE, "d", "before")
    purging = asyncio.ensure_future(program.replica.purge(SERVICE, NODE))
    service.publish(NODE, "e", "meanwhile")
    await purging
    await program.settled()
    assert await stored(database) == ([], 0)


async def test_offline_a_node_is_purged_and_stays_subscribed(
    program: Program, service: Service, database: Database
) -> None:
    await program.follow()
    program.stream.turn(Session.LOST)
    await program.replica.purge(SERVICE, NODE)
    assert await stored(database) == ([], 0)
    assert service.is_subscribed(NODE)


async def test_a_service_that_refuses_does_not_keep_a_copy_alive(
    program: Program, service: Service, database: Database
) -> None:
    await program.follow()
    service.refuse("unsubscribe", "unexpected-request")
    await program.replica.purge(SERVICE, NODE)
    assert await stored(database) == ([], 0)


async def test_a_reset_drops_all_copies_and_what_was_learnt_and_no_table_of_the_programs(
    program: Program, service: Service, database: Database
) -> None:
    await program.follow()
    await program.follow("other")
    await database.write(lambda conn: conn.execute(text("CREATE TABLE mine (id INTEGER)")))
    await database.write(lambda conn: conn.execute(text("INSERT INTO mine VALUES (7)")))
    assert program.behaviour(SERVICE) != ServiceBehaviour()

    await program.replica.reset()

    assert (await stored(database), program.replica.nodes()) == (([], 0), [])
    assert not service.is_subscribed(NODE)
    assert not service.is_subscribed("other")
    assert program.behaviour(SERVICE) == ServiceBehaviour()
    assert await database.read(nodes.load_behaviour) == {}
    assert await database.read(lambda conn: conn.execute(text("SELECT count(*) FROM newsstand_account")).scalar()) == 0
    assert await database.read(lambda conn: conn.execute(text("SELECT id FROM mine")).scalar()) == 7
    await program.follow()


async def test_a_reset_leaves_other_accounts_their_copies(program: Program, database: Database) -> None:
    await apply(database, await make_node(database, "romeos", account="romeo@example.org"), put("x"))
    await program.follow()
    await program.replica.reset()
    assert await stored(database) == (["romeos"], 1)


async def test_without_a_connection_all_is_reset_or_one_account(database: Database) -> None:
    for account in ("romeo@example.org", JULIET):
        await apply(database, await make_node(database, account, account=account), put("x"))
    replica = Replica()
    await replica.open(database)
    try:
        await replica.reset(account=JULIET)
        assert await stored(database) == (["romeo@example.org"], 1)
        await replica.reset()
        assert await stored(database) == ([], 0)
    finally:
        await replica.close()


async def test_a_copy_that_another_client_of_the_process_keeps_is_its_own_to_drop(
    program: Program, service: Service, database: Database
) -> None:
    await program.follow()
    other = Replica(Stream(service))
    await other.open(database)
    try:
        with pytest.raises(NotFollowed, match="another client in this process"):
            await other.purge(SERVICE, NODE)
        with pytest.raises(NotFollowed, match="another client in this process"):
            await other.reset()
        await program.serves_live()
    finally:
        await other.close()
