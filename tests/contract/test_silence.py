"""What services do not say, or say in the wrong order, is found; a silent revocation within the time that a live node
may go unasked."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from newsstand import Policy
from newsstand.errors import ListingError, NotInCopy, StanzaError
from newsstand.model import SyncState
from newsstand.rules.behaviour import Behaviour
from newsstand.rules.doubts import RELIST
from newsstand.state.context import DAY, wall_clock
from newsstand.state.doubts import doubt
from newsstand.storage.database import Database
from newsstand.storage.statements import items
from newsstand.sync.subscriptions import UNANSWERED
from tests.fakes.hold import SECONDS
from tests.fakes.program import NODE, Program, at_work, contents
from tests.fakes.service import JULIET, SERVICE, Service
from tests.servers.quirks import QUIRKS


@pytest.fixture
async def program(database: Database) -> AsyncIterator[Program]:
    """It follows a node of six items, and knows the service's behaviour."""
    service = Service()
    service.create(NODE, "a", "b", "c", "d")
    async with at_work(database, service) as program:
        await program.follow()
        for new in ("e", "f"):
            service.publish(NODE, new, "shows where a new item goes")
            await program.settled()
        for old in ("b", "d"):
            service.publish(NODE, old, "shows where an overwritten one goes")
            await program.serves_live()
        yield program


async def test_two_publishes_of_one_item_told_in_the_wrong_order_leave_what_the_service_holds(
    program: Program,
) -> None:
    program.service.mischief.reorder()
    program.service.publish(NODE, "c", "first")
    program.service.publish(NODE, "c", "last")
    await program.serves_live()


@pytest.mark.parametrize("first", ["publish", "retract"])
async def test_a_publish_and_a_retract_told_in_the_wrong_order_leave_what_the_service_holds(
    program: Program, first: str
) -> None:
    program.service.mischief.reorder()
    if first == "retract":
        program.service.retract(NODE, "c")
        program.service.publish(NODE, "c", "again")
    else:
        program.service.publish(NODE, "c", "for the last time")
        program.service.retract(NODE, "c")
    await program.serves_live()


async def test_two_new_items_told_in_the_wrong_order_stand_in_the_services(program: Program) -> None:
    program.service.mischief.reorder()
    program.service.publish(NODE, "x", "first")
    program.service.publish(NODE, "y", "second")
    await program.serves_live()


async def test_two_overwritten_items_told_in_the_wrong_order_stand_in_the_services(program: Program) -> None:
    program.service.mischief.reorder()
    program.service.publish(NODE, "a", "first")
    program.service.publish(NODE, "c", "second")
    await program.serves_live()


async def test_one_notification_that_comes_twice_costs_no_request(program: Program) -> None:
    program.service.publish(NODE, "c", "once")
    await program.serves_live()
    asked = len(program.service.requests)
    program.service.tell_interested(NODE, "c")
    await program.settled()
    assert len(program.service.requests) <= asked + 1, "at most the ids: an overwritten item may have moved"
    await program.serves_live()


async def test_a_read_that_is_refused_closes_the_copy_at_once(program: Program) -> None:
    program.service.refuse("items", "forbidden", "auth")
    with pytest.raises(StanzaError, match="forbidden"):
        await program.replica.get_items(SERVICE, NODE, policy=Policy.ONLY_SERVICE)
    with pytest.raises(NotInCopy):
        await program.replica.get_items(SERVICE, NODE, policy=Policy.ONLY_COPY)
    await program.settled()
    assert (await program.replica.search(node=NODE)).total == 0


async def next_look(program: Program) -> None:
    """The service is asked for the node's items, by the clock, and all that comes of it is done."""
    hold = program.service.hold("items")
    await hold.reached()
    hold.release()
    await program.settled()


async def test_a_revocation_that_nobody_tells_is_found_in_time(database: Database) -> None:
    service = Service()
    service.create(NODE, "a", "b")
    async with at_work(database, service, revalidate=0.2) as program:
        await program.follow()
        service.nodes[NODE].affiliations["juliet@example.org"] = "outcast"
        await next_look(program)
        assert program.copy().record.state is SyncState.GONE
        with pytest.raises(NotInCopy):
            await program.replica.get_items(SERVICE, NODE, policy=Policy.ONLY_COPY)
        assert (await program.replica.search(node=NODE)).total == 0
        assert (await program.replica.search("first")).items == []


async def test_the_items_of_a_refused_node_are_hidden_and_there_again_when_access_is_back(database: Database) -> None:
    service = Service()
    service.create(NODE, "a", "b")
    service.create("other", "c")
    async with at_work(database, service) as program:
        await program.follow()
        await program.follow("other")
        seen = {item.id: item.first_seen for item in (await program.replica.search(node=NODE)).items}
        service.nodes[NODE].affiliations[JULIET] = "outcast"
        await refused_read(program)
        assert {item.id for item in (await program.replica.search()).items} == {"c"}
        assert (await program.replica.search("first a")).total == 0
    async with at_work(database, service) as program:  # the next start
        await program.settled()
        assert (await program.replica.search("first a")).total == 0
        with pytest.raises(NotInCopy):
            await program.replica.get_items(SERVICE, NODE, policy=Policy.ONLY_COPY)
        del service.nodes[NODE].affiliations[JULIET]
        await program.follow()
        assert {item.id: item.first_seen for item in (await program.replica.search(node=NODE)).items} == seen


async def test_the_items_of_a_refused_node_are_erased_when_their_time_is_over(database: Database) -> None:
    service = Service()
    service.create(NODE, "a", "b")
    async with at_work(database, service) as program:
        await program.follow()
        node_id = program.copy().record.id
        service.nodes[NODE].affiliations[JULIET] = "outcast"
        await refused_read(program)
        assert await database.read(items.held_ids, node_id) == ["a", "b"]
        context = program.replica._open.context
        context.clock = lambda: wall_clock() + 8 * DAY
        program.replica._open.housekeeping.make_round()
        await program.settled()
        assert await database.read(items.held_ids, node_id) == []
        assert program.copy().record.state is SyncState.GONE


async def test_the_items_of_a_refused_node_that_is_not_wanted_any_more_are_erased(database: Database) -> None:
    service = Service()
    service.create(NODE, "a", "b")
    async with at_work(database, service) as program:
        await program.follow()
        node_id = program.copy().record.id
        service.nodes[NODE].affiliations[JULIET] = "outcast"
        await refused_read(program)
    async with at_work(database, service, analysers=()) as program:
        del service.nodes[NODE].affiliations[JULIET]
        await program.read()
        await program.settled()
        assert await database.read(items.held_ids, node_id) == []
        assert (await program.replica.search("first a")).total == 0


async def refused_read(program: Program) -> None:
    with pytest.raises(StanzaError, match="forbidden"):
        await program.replica.get_items(SERVICE, NODE, policy=Policy.ONLY_SERVICE)
    await program.settled()
    assert program.copy().record.state is SyncState.GONE


@pytest.mark.parametrize("what", ["the newest changed", "one is gone"])
async def test_what_nobody_told_is_found_by_asking_and_mended(database: Database, what: str) -> None:
    service = Service(overwritten=Behaviour.STAYS)
    service.create(NODE, "a", "b", "c")
    async with at_work(database, service, revalidate=0.2) as program:
        await program.follow()
        if what == "one is gone":
            service.retract(NODE, "b", told=False)
        else:
            service.publish(NODE, "c", "changed in silence", told=False)
        await next_look(program)
        answer = await program.replica.get_items(SERVICE, NODE, policy=Policy.ONLY_COPY)
        assert contents(answer) == service.contents(NODE)
        await program.serves_live()


@asynccontextmanager
async def following(database: Database, service: Service) -> AsyncIterator[Program]:
    """A program that is soon to look whether anything was untold of the node that it follows."""
    service.create(NODE, "a", "b", "c")
    async with at_work(database, service, revalidate=0.2) as program:
        await program.read()
        await program.settled()
        await program.becomes_live()  # on a busy machine, a read may meet the first look
        yield program


async def goes_on(program: Program) -> None:
    """News arrive, and the copy holds them."""
    await program.serves_live()
    assert program.service.is_subscribed(NODE)
    heard = program.copy().inbox.received
    program.service.publish(NODE, "a", "news")
    assert program.copy().inbox.received > heard
    await program.serves_live()


LOSSES = ("forgotten", "another node")


def lose_subscription(service: Service, how: str) -> None:
    """And overwrite an old item, of which nobody is told."""
    if how == "forgotten":
        service.forget_subscription(NODE)
    else:
        service.delete(NODE, told=False)
        service.create(NODE, "a", "b", "c")
    service.publish(NODE, "a", "changed in silence", told=False)


async def asked_about_subscription(program: Program) -> None:
    """The service is asked by the clock whether we are subscribed, and all that comes of it is done."""
    hold = program.service.hold("subscriptions")
    await hold.reached()
    hold.release()
    await program.settled()


@pytest.mark.parametrize("how", LOSSES)
async def test_a_subscription_that_was_lost_without_a_word_is_found_in_time(database: Database, how: str) -> None:
    service = Service(overwritten=Behaviour.STAYS)
    async with following(database, service) as program:
        lose_subscription(service, how)
        await asked_about_subscription(program)
        await goes_on(program)


@pytest.mark.parametrize("how", LOSSES)
async def test_where_the_service_does_not_say_whether_we_are_subscribed_we_subscribe_again(
    database: Database, how: str
) -> None:
    service = Service(overwritten=Behaviour.STAYS)
    service.refuse("subscriptions", "feature-not-implemented")
    async with following(database, service) as program:
        service.publish(NODE, "c", "the newest")
        await program.serves_live()
        lose_subscription(service, how)
        # It shows, in the newest item, that something was missed.
        service.publish(NODE, "c", "changed in silence, too", told=False)
        await asked_about_subscription(program)
        assert service.is_subscribed(NODE)
        await next_look(program)
        await goes_on(program)


async def test_a_node_that_differs_is_subscribed_to_again_though_the_service_says_that_we_are(
    database: Database,
) -> None:
    service = Service(quirks=QUIRKS["prosody"])
    async with following(database, service) as program:
        service.delete(NODE, told=False)
        service.create(NODE, "a", "c")
        await next_look(program)
        await goes_on(program)


async def test_a_service_that_never_names_a_subscription_is_not_believed_to_have_lost_it(database: Database) -> None:
    service = Service()
    service.mischief.hide_subscriptions()
    async with following(database, service) as program:
        if not service.counted("subscriptions"):
            await asked_about_subscription(program)
        await program.becomes_live()  # a read may meet the next question
        asked, listed = service.counted("subscriptions"), service.counted("items")
        hold = service.hold("subscribe")  # next time
        await hold.reached()
        hold.release()
        await program.settled()
        assert service.counted("subscriptions") == asked
        assert service.counted("items") <= listed + 2, "the newest item; not the whole node"
        await goes_on(program)


async def test_a_service_that_does_not_answer_whether_we_are_subscribed_is_asked_twice(database: Database) -> None:
    service = Service()
    service.silence("subscriptions")
    async with following(database, service) as program:
        service.forget_subscription(NODE)
        for _ in range(4):
            await next_look(program)
        assert service.counted("subscriptions") == UNANSWERED
        await goes_on(program)


async def test_one_answer_that_was_lost_keeps_no_lost_subscription_from_being_found(database: Database) -> None:
    service = Service(overwritten=Behaviour.STAYS)
    async with following(database, service) as program:
        hold = service.hold("subscriptions")
        await hold.reached()
        service.silence("subscriptions")
        hold.release()
        await program.settled()
        service.allow("subscriptions")
        lose_subscription(service, "forgotten")
        await asked_about_subscription(program)
        await goes_on(program)


async def test_who_is_refused_the_subscription_that_was_lost_asks_the_service(database: Database) -> None:
    service = Service()
    async with following(database, service) as program:
        hold = service.hold("subscriptions")
        await hold.reached()  # before it is lost: once it is refused, nobody asks for it any more
        lose_subscription(service, "forgotten")
        service.refuse("subscribe", "not-allowed")
        hold.release()
        await program.asks_service()


async def test_a_lost_subscription_to_a_node_that_is_read_past_the_copy_all_the_time_is_found(
    database: Database,
) -> None:
    service = Service()
    async with following(database, service) as program:
        lose_subscription(service, "forgotten")
        async with asyncio.timeout(SECONDS):
            while not service.is_subscribed(NODE):
                await program.replica.get_items(SERVICE, NODE, policy=Policy.ONLY_SERVICE)
                await asyncio.sleep(0.01)  # it reads past the copy all the time, as some programs do
        await goes_on(program)


async def test_a_node_that_is_asked_for_anyway_is_not_asked_for_again(database: Database) -> None:
    service = Service()
    service.create(NODE, "a", "b")
    async with at_work(database, service, revalidate=900) as program:
        await program.follow()
        asked = len(service.requests)
        program.replica._open.synchroniser.revalidation.begin()
        await program.settled()
        assert len(service.requests) == asked


async def test_a_node_of_which_only_parts_arrive_and_whose_ids_are_refused_is_never_called_complete(
    database: Database,
) -> None:
    service = Service()
    service.create(NODE, *(f"i{number}" for number in range(5)))
    async with at_work(database, service) as program:
        await program.follow()
        service.create("large", "a", "b", "c")
        service.refuse("ids", "forbidden", "auth")
        whole = service.before

        def silent_about_large(request: object) -> int:
            wants_all = getattr(request, "node", "") == "large" and getattr(request, "rsm", None) is not None
            service.silence("items") if wants_all else service.allow("items")
            return 0

        service.before = silent_about_large
        with pytest.raises(ListingError, match="disco#items of it is refused"):
            await program.replica.synchronise(SERVICE, "large")
        service.before = whole
        with pytest.raises(NotInCopy):
            await program.replica.get_items(SERVICE, "large", policy=Policy.ONLY_COPY)


async def test_a_copy_that_was_not_live_for_long_is_subscribed_to_again_before_it_is(database: Database) -> None:
    service = Service(overwritten=Behaviour.STAYS)
    service.create(NODE, "a", "b", "c")
    async with at_work(database, service) as program:
        await program.follow()
        copy = program.copy()
        doubt(copy, RELIST)
        copy.session.confirm(-math.inf)
        service.forget_subscription(NODE)
        program.replica._open.synchroniser.want(copy)
        await program.settled()
        assert service.is_subscribed(NODE)
        await goes_on(program)
