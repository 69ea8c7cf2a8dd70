"""What is served as live is what the service holds, whatever notifications and own writes leave unsaid."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from newsstand.errors import StanzaError
from newsstand.rules.behaviour import Behaviour
from newsstand.storage.database import Database
from newsstand.xmpp.transport import Session
from tests.fakes.program import NODE, Program, at_work
from tests.fakes.service import JULIET, Service


@pytest.fixture
async def program(database: Database) -> AsyncIterator[Program]:
    """It follows a node of three items."""
    service = Service()
    service.create(NODE, "a", "b", "c")
    async with at_work(database, service) as program:
        await program.follow()
        yield program


async def test_an_eviction_hidden_by_a_retract_in_the_same_batch_is_found(program: Program) -> None:
    program.service.nodes[NODE].limit = 3
    program.service.publish(NODE, "d", "evicts a")
    program.service.retract(NODE, "d")
    await program.serves_live()


async def test_a_node_deleted_and_created_again_in_one_batch_is_not_served_without_a_subscription(
    program: Program,
) -> None:
    program.service.delete(NODE)
    program.service.create(NODE, "new")
    program.service.tell_interested(NODE, "new")
    await program.settled()
    program.service.publish(NODE, "late", "told to subscribers")
    await program.asks_service()
    await program.serves_live()


async def test_an_own_publish_that_is_not_told_back_stands_where_the_service_put_it(program: Program) -> None:
    for item_id in ("a", "b"):
        program.service.publish(NODE, item_id, "told")
        await program.serves_live()
    program.publish_untold("c", "mine")
    await program.serves_live()


async def test_own_publishes_that_are_not_told_back_stand_in_their_order(program: Program) -> None:
    program.publish_untold("c", "mine")
    program.publish_untold("a", "mine")
    await program.serves_live()


async def test_an_own_publish_that_is_not_told_back_stands_before_later_news(program: Program) -> None:
    program.publish_untold("c", "mine")
    program.service.publish(NODE, "a", "later")
    await program.serves_live()


async def test_own_publishes_of_one_item_under_way_together_leave_the_order_right(program: Program) -> None:
    one, two = program.write("publish", item=("c", "one")), program.write("publish", item=("c", "two"))
    program.service.publish(NODE, "c", "one")
    program.service.publish(NODE, "c", "two")
    program.service.publish(NODE, "a", "later")
    program.acknowledge(one)
    program.acknowledge(two)
    await program.serves_live()


async def test_an_own_publish_outlives_an_older_answer(program: Program) -> None:
    hold = program.service.hold("items", answered=True)
    program.publish_untold("c", "mine 1")
    await hold.reached()
    program.publish_untold("c", "mine 2")
    hold.release()
    await program.serves_live()


async def test_an_own_publish_whose_outcome_nobody_knows_is_looked_up(program: Program) -> None:
    write = program.write("publish", item=("c", "mine"))
    program.service.publish(NODE, "c", "mine", told=False)
    program.port.end_write(write, StanzaError("wait", "remote-server-timeout"))
    await program.serves_live()


async def test_an_event_of_type_chat_counts(program: Program) -> None:
    program.service.publish(NODE, "c", "changed", type="chat")
    await program.serves_live()


async def test_an_item_evicted_and_published_again_stands_as_a_new_one(database: Database) -> None:
    service = Service(overwritten=Behaviour.STAYS)
    service.create(NODE, "a", "b", "c", "d")
    async with at_work(database, service) as program:
        await program.follow()
        for item_id in ("b", "c"):
            service.publish(NODE, item_id, "told")
            await program.serves_live()
        service.nodes[NODE].limit = 4
        service.publish(NODE, "new", "evicts a")
        service.publish(NODE, "a", "again")
        await program.serves_live()


async def test_an_item_published_twice_in_one_batch_stands_where_the_service_put_it(database: Database) -> None:
    service = Service(new=Behaviour.FIRST, overwritten=Behaviour.LAST)
    service.create(NODE, "a", "b", "c")
    async with at_work(database, service) as program:
        await program.follow()
        for item_id in ("d", "e", "d"):
            service.publish(NODE, item_id, "told")
        await program.serves_live()


async def test_a_subscription_that_ends_while_the_copy_is_failed_is_taken_up_again(program: Program) -> None:
    program.service.refuse("items", "internal-server-error", "wait")
    program.stream.turn(Session.LOST, Session.FRESH)
    await program.settled()
    program.service.end_subscription(NODE)
    program.service.allow("items")
    program.stream.turn(Session.LOST, Session.FRESH)
    await program.serves_live()
    program.service.publish(NODE, "late", "told")
    await program.serves_live()


async def test_a_subscription_that_ends_during_a_listing_is_taken_up_again(program: Program) -> None:
    hold = program.service.hold("items", answered=True)
    program.stream.turn(Session.LOST, Session.FRESH)
    await hold.reached()
    program.service.end_subscription(NODE)
    hold.release()
    await program.settled()
    program.service.publish(NODE, "late", "told")
    await program.serves_live()


async def test_a_node_created_again_during_a_listing_is_subscribed_to_again(program: Program) -> None:
    hold = program.service.hold("items", answered=True)
    program.stream.turn(Session.LOST, Session.FRESH)
    await hold.reached()
    program.service.delete(NODE)
    program.service.create(NODE, "new")
    hold.release()
    await program.settled()
    program.service.publish(NODE, "late", "told")
    await program.settled()
    assert await program.served_live() in (None, program.service.contents(NODE))


async def test_what_happens_while_deaf_during_a_listing_is_not_missed(program: Program) -> None:
    hold = program.service.hold("items", answered=True)
    program.stream.turn(Session.LOST, Session.FRESH)
    await hold.reached()
    program.stream.turn(Session.DEAF)
    program.service.publish(NODE, "a", "not heard")
    program.service.end_subscription(NODE)
    program.stream.turn(Session.FRESH)
    hold.release()
    await program.serves_live()
    assert program.service.is_subscribed(NODE)


async def test_an_own_unsubscription_during_a_listing_ends_what_the_copy_answers(program: Program) -> None:
    hold = program.service.hold("items", answered=True)
    program.stream.turn(Session.LOST, Session.FRESH)
    await hold.reached()
    write = program.write("unsubscribe")
    program.service.nodes[NODE].subscribers.discard(JULIET)
    program.acknowledge(write)
    hold.release()
    await program.settled()
    program.service.publish(NODE, "late", "nobody is told")
    await program.asks_service()


async def test_a_node_that_may_not_be_subscribed_to_is_asked_for_it_once(database: Database) -> None:
    service = Service()
    service.create(NODE, "a", "b")
    service.refuse("subscribe", "not-allowed")
    async with at_work(database, service, retry_first=30.0) as program:
        for _ in range(5):
            await program.asks_service()
        await program.settled()
    assert service.counted("subscribe") == 1
