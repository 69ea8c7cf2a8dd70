"""The start of a session: no requests of our own but those that pay, and reads of the program that list a node."""

from __future__ import annotations

import asyncio

import pytest

from newsstand import Replica
from newsstand.errors import Disconnected, Timeout
from newsstand.model import ItemsRequest, NodeKey, Origin, SyncState
from newsstand.serving.steps import Ask, Lend, Rows
from newsstand.storage.database import Database
from newsstand.xmpp.transport import Session
from tests.fakes.hold import SECONDS
from tests.fakes.program import NODE, Program, at_work, contents
from tests.fakes.service import JULIET, SERVICE, Service

LONG = 1_000.0
"""Seconds of a session's start that no test sees the end of."""


@pytest.fixture
def service() -> Service:
    service = Service()
    service.create(NODE, *(f"i{number}" for number in range(10)))
    return service


def asked(service: Service) -> list[str]:
    """The kinds of the requests since this was last asked."""
    kinds: list[str] = [request.kind for request in service.requests]
    service.requests.clear()
    return kinds


async def follow(database: Database, service: Service) -> None:
    """A session in which the nodes are synchronised, and the service's behaviour learnt; and one in which each is read
    once."""
    service.create("other", "a", "b", "c")
    async with at_work(database, service) as program:
        await program.follow()
        await program.follow("other")
    async with at_work(database, service, quiet_start=LONG) as program:
        await program.read()
        await program.read("other")
    asked(service)


async def read_often(database: Database, service: Service, times: int) -> None:
    """A session in which the node is read so often."""
    async with at_work(database, service, quiet_start=LONG) as program:
        for _ in range(times):
            await program.read()
        await program.settled()
    asked(service)


async def test_a_program_that_reads_once_costs_no_request_more(database: Database, service: Service) -> None:
    await follow(database, service)
    for _ in range(3):
        async with at_work(database, service, quiet_start=LONG) as program:
            await program.read()
            await program.read("other")
            await program.settled()
        assert asked(service) == ["items", "items"]


async def test_a_first_session_costs_no_request_more_either(database: Database, service: Service) -> None:
    async with at_work(database, service, quiet_start=LONG) as program:
        for _ in range(4):
            await program.read()
        await program.settled()
    assert asked(service) == ["items"] * 4


async def test_a_node_that_is_read_again_in_each_session_is_listed_by_its_first_read(
    database: Database, service: Service
) -> None:
    await follow(database, service)
    await read_often(database, service, 2)
    service.publish(NODE, "news", "of the time between", told=False)
    async with at_work(database, service, quiet_start=LONG) as program:
        first, second = await program.read(), await program.read()
        await program.settled()
        assert asked(service) == ["subscribe", "items"]
        assert (first.origin, second.origin, second.stale) == (Origin.SERVICE, Origin.COPY, False)
        assert [item.id for item in second.items][-1] == "news"
        service.publish(NODE, "more", "that is notified")
        await program.serves_live()


async def test_reads_beside_the_one_that_lists_wait_for_it(database: Database, service: Service) -> None:
    await follow(database, service)
    await read_often(database, service, 3)
    async with at_work(database, service, quiet_start=LONG) as program:
        hold = service.hold("subscribe")
        first = asyncio.create_task(program.read())
        await hold.reached()
        others = asyncio.gather(program.read(), program.replica.get_items(SERVICE, NODE, item_ids=["i3"]))
        await asyncio.sleep(0)
        hold.release()
        assert [answer.origin for answer in await others] == [Origin.COPY, Origin.COPY]
        assert (await first).origin is Origin.SERVICE
        await program.settled()
    assert asked(service) == ["subscribe", "items"]


async def test_what_went_meanwhile_has_two_witnesses(database: Database, service: Service) -> None:
    await follow(database, service)
    await read_often(database, service, 2)
    service.retract(NODE, "i3", told=False)
    async with at_work(database, service, quiet_start=LONG) as program:
        await program.read()
        await program.settled()
        assert asked(service) == ["subscribe", "items", "ids"]
        await program.serves_live()


async def test_what_is_notified_while_the_read_is_under_way_is_not_lost(database: Database, service: Service) -> None:
    await follow(database, service)
    await read_often(database, service, 2)
    async with at_work(database, service, quiet_start=LONG) as program:
        hold = service.hold("items", answered=True)  # the answer is made, and on its way
        reading = asyncio.create_task(program.read())
        await hold.reached()
        service.publish(NODE, "i3", "overwritten behind the answer")
        hold.release()
        await reading
        await program.settled()
        copy = program.copy()
        assert copy.record.state is not SyncState.LIVE or await program.served_live() == service.contents(NODE)


async def test_a_read_that_is_not_answered_leaves_the_copy_stale(database: Database, service: Service) -> None:
    await follow(database, service)
    await read_often(database, service, 2)
    async with at_work(database, service, quiet_start=LONG, request_timeout=0.05) as program:
        service.silence("items")
        assert (await program.read()).stale
        await program.settled()
        service.allow("items")
        assert program.copy().record.state is not SyncState.LIVE
        await program.read()


async def test_a_subscription_that_is_refused_does_not_keep_the_read(database: Database, service: Service) -> None:
    await follow(database, service)
    await read_often(database, service, 2)
    service.refuse("subscribe", "not-allowed")
    async with at_work(database, service, quiet_start=LONG) as program:
        assert (await program.read()).origin is Origin.SERVICE
        await program.settled()
        assert program.copy().record.state is SyncState.FAILED


async def test_a_write_is_not_overtaken_by_what_was_read_before(database: Database, service: Service) -> None:
    await follow(database, service)
    await read_often(database, service, 2)
    async with at_work(database, service, quiet_start=LONG) as program:
        hold = service.hold("items", answered=True)
        reading = asyncio.create_task(program.read())
        await hold.reached()
        program.publish_untold("i3", "of the program's own")
        hold.release()
        await reading
        await program.settled()
        assert contents(await program.read()) == service.contents(NODE)


async def test_the_end_of_a_session_ends_what_was_lent(database: Database, service: Service) -> None:
    await follow(database, service)
    await read_often(database, service, 2)
    async with at_work(database, service, quiet_start=LONG) as program:
        hold = service.hold("subscribe")
        reading = asyncio.create_task(program.read())
        await hold.reached()
        program.stream.turn(Session.LOST)
        hold.release()
        answer = await reading
        assert answer.stale or answer.origin is Origin.SERVICE
        program.stream.turn(Session.FRESH)
        await program.read()
        await program.settled()
        await program.replica.synchronise(SERVICE, NODE)
        await program.serves_live()


async def lend(program: Program) -> Ask:
    """An adapter's read that lists its node; it was sent, and is not answered yet."""
    step = program.port.read(ItemsRequest(NodeKey(JULIET, SERVICE, NODE)), SECONDS, ())
    assert isinstance(step, Lend | Rows)
    ask = await program.port.go_on(step)
    assert isinstance(ask, Ask)
    assert ask.lent is not None
    return ask


async def test_the_end_of_a_session_ends_a_read_that_was_sent(database: Database, service: Service) -> None:
    await follow(database, service)
    await read_often(database, service, 2)
    async with at_work(database, service, quiet_start=LONG) as program:
        await lend(program)
        asked(service)
        program.stream.turn(Session.LOST, Session.FRESH)
        await program.settled()
        assert asked(service) == []
        await program.replica.synchronise(SERVICE, NODE)
        await program.serves_live()


async def test_a_read_that_nobody_waits_for_any_more_lists_nothing(database: Database, service: Service) -> None:
    await follow(database, service)
    await read_often(database, service, 2)
    async with at_work(database, service, quiet_start=LONG) as program:
        hold = service.hold("items")
        reading = asyncio.create_task(program.read())
        await hold.reached()
        reading.cancel()
        hold.release()
        await program.serves_live()


async def test_a_read_whose_time_is_over_lists_nothing(database: Database, service: Service) -> None:
    await follow(database, service)
    await read_often(database, service, 2)
    async with at_work(database, service, quiet_start=LONG) as program:
        assert program.port.failed(await lend(program), Timeout("no answer came"), None)
        await program.serves_live()


async def test_what_is_waited_for_begins_at_once(database: Database, service: Service) -> None:
    async with at_work(database, service, quiet_start=LONG) as program:
        await program.replica.synchronise(SERVICE, NODE)
        assert program.copy().record.state is SyncState.LIVE


async def test_once_the_start_is_over_all_copies_are_synchronised(database: Database, service: Service) -> None:
    await follow(database, service)
    async with at_work(database, service, quiet_start=0.05) as program:
        await program.becomes_live()
        await program.becomes_live("other")
        await program.serves_live()


async def test_a_node_that_is_read_ten_times_is_not_waited_with(database: Database, service: Service) -> None:
    await follow(database, service)
    async with at_work(database, service, quiet_start=LONG) as program:
        for _ in range(10):
            await program.read()
        await program.settled()
        assert (await program.read()).origin is Origin.COPY


async def test_a_session_with_fewer_reads_is_remembered(database: Database, service: Service) -> None:
    await follow(database, service)
    await read_often(database, service, 3)
    await read_often(database, service, 1)
    async with at_work(database, service, quiet_start=LONG) as program:
        assert program.copy().reads.expected == 1
        await program.read()
        await program.settled()
    assert asked(service) == ["items"]


async def test_who_only_looks_at_the_copies_changes_nothing_of_that(database: Database, service: Service) -> None:
    await follow(database, service)
    await read_often(database, service, 3)
    replica = Replica()
    replica.only_when_asked = True
    await replica.open(database)
    assert (await replica.get_items(SERVICE, NODE, account=JULIET)).stale
    await replica.close()
    async with at_work(database, service, quiet_start=LONG) as program:
        assert program.copy().reads.expected == 3


async def test_the_next_session_of_the_same_program_knows_it_too(database: Database, service: Service) -> None:
    await follow(database, service)
    async with at_work(database, service, quiet_start=LONG) as program:
        for _ in range(2):
            await program.read()
        program.stream.turn(Session.LOST)
        program.stream.turn(Session.FRESH)
        asked(service)
        await program.read()
        await program.settled()
        assert asked(service) == ["subscribe", "items"]
        program.stream.turn(Session.LOST)
        program.stream.turn(Session.FRESH)
        await program.read()
        await program.settled()
        assert asked(service) == ["items"], "it was read once in the session before"


async def test_offline_a_read_waits_for_nothing(database: Database, service: Service) -> None:
    await follow(database, service)
    await read_often(database, service, 3)
    async with at_work(database, service, quiet_start=LONG) as program:
        program.stream.turn(Session.LOST)
        assert (await program.read()).stale
        with pytest.raises(Disconnected):
            await program.read("never read")


async def test_many_nodes_cost_as_many_requests_as_their_reads(database: Database, service: Service) -> None:
    nodes = [f"node {number}" for number in range(30)]
    for node in nodes:
        service.create(node, "a", "b")
    await follow(database, service)
    async with at_work(database, service) as program:
        for node in nodes:
            await program.read(node)
        await program.settled()
    async with at_work(database, service, quiet_start=LONG) as program:
        asked(service)
        await asyncio.gather(*map(program.read, nodes))
        await program.settled()
        assert asked(service) == ["items"] * 30
