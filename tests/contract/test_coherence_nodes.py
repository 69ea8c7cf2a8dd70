"""A copy that is dropped, taken over, given up or spoilt on purpose is never served as live, and stalls nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import thread_time
from xml.etree.ElementTree import Element, SubElement

import pytest
from sqlalchemy import select

from newsstand import Analyser
from newsstand.model import NS_OWNER, NS_PUBSUB, ItemsRequest, NodeKey, NodeRecord, WriteRequest
from newsstand.rules.doubts import CLEAR, RELIST, refetch
from newsstand.state.doubts import doubt
from newsstand.state.work import Pace
from newsstand.storage.database import Database
from newsstand.storage.mapping import PubsubNode
from newsstand.storage.statements import items, nodes
from newsstand.xmpp.requests import read_request
from newsstand.xmpp.seen_items import read_item
from newsstand.xmpp.transport import Session
from tests.fakes.program import NODE, Program, at_work
from tests.fakes.service import JULIET, SERVICE, Service


@pytest.fixture
async def program(database: Database) -> AsyncIterator[Program]:
    """It follows a node of three items."""
    service = Service()
    service.create(NODE, "a", "b", "c")
    async with at_work(database, service) as program:
        await program.follow()
        yield program


def drop_unread(program: Program) -> None:
    """The round of the housekeeping, a month after the node was read."""
    program.copy().update(read_at=1)
    program.replica._open.housekeeping.make_round()


async def test_a_node_read_again_while_it_is_dropped_is_followed_anew(program: Program) -> None:
    hold = program.service.hold("unsubscribe", answered=True)
    drop_unread(program)
    await hold.reached()
    await program.read()
    hold.release()
    await program.serves_live()


async def test_a_dropped_node_does_not_come_back_in_anothers_rows(program: Program) -> None:
    program.service.refuse("items", "internal-server-error", "wait")
    program.stream.turn(Session.LOST, Session.FRESH)
    await program.settled()
    dropped = program.copy().record.id
    drop_unread(program)
    await program.settled()
    program.service.allow("items")
    program.service.create("other", "x")
    await program.follow("other")
    assert program.copy("other").record.id != dropped
    assert not program.service.is_subscribed(NODE)


async def test_what_is_fetched_of_a_node_that_is_closed_meanwhile_is_not_stored(
    program: Program, database: Database
) -> None:
    program.service.publish(NODE, "a", "of before", told=False)
    copy, synchroniser = program.copy(), program.replica._open.synchroniser
    hold = program.service.hold("items")
    doubt(copy, refetch("a"))
    synchroniser.want(copy)
    await hold.reached()
    synchroniser.closing.shut(copy, "the node was deleted")
    hold.release()
    await program.settled()
    assert not any("of before" in xml for xml in await database.read(items.xml_by_ids, copy.record.id, ["a"]))


async def test_what_is_found_out_of_a_node_that_was_configured_is_stored_though_it_is_not_subscribed_anew(
    program: Program, database: Database
) -> None:
    node, copy = program.service.nodes[NODE], program.copy()
    node.affiliations[JULIET] = "member"
    node.config["access_model"] = "whitelist"
    subscribed = program.service.counted("subscribe")
    program.service.tell_configured(NODE)
    await program.settled()
    await program.serves_live()
    (stored,) = await database.read(nodes.load, [copy.record.id])
    assert stored.access_model == "whitelist"
    assert program.service.counted("subscribe") == subscribed


async def test_a_node_that_is_opened_again_does_not_rest_for_its_former_listing(program: Program) -> None:
    copy = program.copy()
    copy.pace = Pace(rest_until=asyncio.get_running_loop().time() + 1e6)
    program.replica._open.synchroniser.closing.shut(copy, "the service says forbidden", refused=True)
    await program.follow()


async def test_a_listing_that_ends_when_its_node_is_closed_tells_nothing_of_the_node(program: Program) -> None:
    copy, synchroniser = program.copy(), program.replica._open.synchroniser
    hold = program.service.hold("items")
    doubt(copy, RELIST)
    synchroniser.want(copy)
    await hold.reached()
    synchroniser.closing.shut(copy, "the service says forbidden", refused=True)
    hold.release()
    await program.settled()
    assert (copy.pace, copy.doubts) == (Pace(), CLEAR)


async def test_a_node_deleted_through_a_session_is_not_served(program: Program) -> None:
    async with program.replica.session() as session:
        for node in (await session.scalars(select(PubsubNode))).unique():
            await session.delete(node)
        await session.commit()
    assert await program.served_live() is None
    await program.asks_service()


async def test_an_analyser_that_refuses_a_node_during_its_listing_ends_what_the_copy_answers(
    program: Program,
) -> None:
    hold = program.service.hold("items", answered=True)
    program.stream.turn(Session.LOST, Session.FRESH)
    await hold.reached()
    own = program.replica._analysers._own
    program.replica._analysers._own = {"no": Analyser("no", "no", node=NODE), **own}
    program.replica.register_analyser(Analyser("last", "last", node="none"))
    hold.release()
    await program.settled()
    program.service.publish(NODE, "late", "nobody is told")
    await program.asks_service()


async def test_an_owner_who_ends_the_own_subscription_is_subscribed_again(program: Program) -> None:
    iq = Element("{jabber:client}iq", {"type": "set", "to": SERVICE})
    SubElement(SubElement(iq, f"{{{NS_OWNER}}}pubsub"), f"{{{NS_OWNER}}}subscriptions", {"node": NODE})
    request = read_request(iq, JULIET)
    assert isinstance(request, WriteRequest)
    write = program.port.begin_write(request, ())
    assert write is not None
    program.service.nodes[NODE].subscribers.clear()
    program.acknowledge(write)
    await program.serves_live()
    assert program.service.is_subscribed(NODE)


async def test_one_who_gives_up_waiting_does_not_end_a_synchronisation_for_others(program: Program) -> None:
    hold = program.service.hold("items", answered=True)
    waiting: list[asyncio.Task[NodeRecord]] = [
        asyncio.create_task(program.replica.synchronise(SERVICE, NODE)) for _ in range(2)
    ]
    await hold.reached()
    waiting[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    hold.release()
    await waiting[1]
    await program.serves_live()


async def test_a_second_client_of_an_account_never_vouches(program: Program, database: Database) -> None:
    async with at_work(database, program.service) as second:
        await second.asks_service()
        assert await second.served_live() is None


def test_a_service_in_another_spelling_is_the_same() -> None:
    iq = Element("{jabber:client}iq", {"type": "get", "to": "PubSub.Example.org"})
    SubElement(SubElement(iq, f"{{{NS_PUBSUB}}}pubsub"), f"{{{NS_PUBSUB}}}items", {"node": NODE})
    assert read_request(iq, JULIET) == ItemsRequest(NodeKey(JULIET, SERVICE, NODE))


def test_an_item_of_100_000_siblings_is_put_in_quarantine_at_once() -> None:
    item = Element(f"{{{NS_PUBSUB}}}item", {"id": "x"})
    SubElement(item, "{urn:example:note}note").extend([Element("{urn:example:note}a") for _ in range(100_000)])
    began = thread_time()
    assert read_item(item).quarantine
    assert thread_time() - began < 0.2
