"""Whatever a service does wrong: nothing wrong is served as live, nothing loops, and nothing is deleted by one short
listing."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest

from newsstand.errors import Disconnected, ListingError
from newsstand.model import SyncState
from newsstand.relisting import ATTEMPTS
from newsstand.storage.database import Database
from newsstand.transport import Session
from tests.fakes.program import NODE, Program, at_work
from tests.fakes.service import SERVICE, Request, Service, soon
from tests.servers.quirks import QUIRKS, Quirk

IDS = [f"i{number}" for number in range(6)]


@pytest.fixture(params=["without-quirks", *QUIRKS])
async def program(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Program]:
    """It follows a node of six items, on a service with each set of quirks."""
    service = Service(quirks=QUIRKS.get(request.param, frozenset()))
    service.create(NODE, *IDS)
    async with at_work(database, service, retry_first=30.0) as program:
        await program.follow()
        yield program


def publish(program: Program, *ids: str) -> None:
    for number, item_id in enumerate(ids):
        program.service.publish(NODE, item_id, f"text {number} of {item_id}")


def begin_session(program: Program) -> None:
    program.stream.turn(Session.LOST, Session.FRESH)


async def test_what_was_dropped_is_found_in_the_next_session(program: Program) -> None:
    program.service.mischief.drop(3)
    publish(program, "i0", "new")
    program.service.retract(NODE, "i1")
    begin_session(program)
    await program.serves_live()


async def test_what_comes_twice_counts_once(program: Program) -> None:
    program.service.mischief.double()
    publish(program, "new", "i0", "new")
    program.service.retract(NODE, "i1")
    await program.serves_live()
    program.service.purge(NODE)
    publish(program, "i2")
    await program.serves_live()


async def test_what_comes_late_is_followed_when_it_comes(program: Program) -> None:
    program.service.mischief.hold()
    publish(program, "new", "i0")
    program.service.retract(NODE, "i1")
    await program.settled()
    program.service.mischief.stop()
    await program.serves_live()


async def test_news_of_different_items_may_come_in_any_order(program: Program) -> None:
    publish(program, "x", "y")  # where new and overwritten items go is learnt
    begin_session(program)
    await program.serves_live()
    program.service.mischief.reorder()
    program.service.retract(NODE, "i1")
    program.service.retract(NODE, "i2")
    await program.serves_live()


async def test_news_without_payload_are_asked_for(program: Program) -> None:
    program.service.mischief.strip_payloads()
    publish(program, "new", "i0")
    await program.serves_live()


@pytest.mark.parametrize("kind", ["items", "ids", "subscribe"])
async def test_a_stream_that_ends_in_the_middle_of_a_listing_leaves_nothing_live(program: Program, kind: str) -> None:
    program.service.mischief.cut(kind)
    begin_session(program)
    await program.settled()
    assert await program.served_live() is None
    publish(program, "i0")
    program.stream.turn(Session.FRESH)
    await program.serves_live()


@pytest.mark.parametrize("how", ["loop_pages", "pages_without_end"])
async def test_pages_that_do_not_end_are_given_up(database: Database, how: str) -> None:
    service = Service(quirks=frozenset())
    service.create(NODE, *IDS)
    async with at_work(database, service, retry_first=30.0, max_items=1000) as program:
        await program.follow()
        getattr(service.mischief, how)()
        begin_session(program)
        await program.settled()
        assert await program.served_live() is None
        assert program.copy().record.state is SyncState.FAILED
        assert service.mischief.pages < 1000
        with pytest.raises(ListingError):
            await program.replica.synchronise(SERVICE, NODE)
        service.mischief.stop()
        begin_session(program)
        await program.serves_live()


async def test_one_short_listing_deletes_nothing(program: Program) -> None:
    program.service.mischief.shorten()
    begin_session(program)
    await program.settled()
    assert await program.served_live() in (None, program.service.contents(NODE))
    publish(program, "i0")
    await program.serves_live()


async def test_short_listings_delete_nothing_however_many(program: Program) -> None:
    program.service.mischief.shorten(100)
    begin_session(program)
    await program.settled()
    assert await program.served_live() is None
    assert program.copy().record.item_count == len(IDS)
    program.service.mischief.stop()
    begin_session(program)
    await program.serves_live()


async def test_a_refused_subscription_leaves_nothing_live(program: Program) -> None:
    program.service.refuse("subscribe", "internal-server-error", "wait")
    begin_session(program)
    await program.settled()
    publish(program, "i0")
    assert await program.served_live() is None
    program.service.allow("subscribe")
    begin_session(program)
    await program.serves_live()


async def test_a_list_of_ids_that_is_for_contacts_only_is_done_without(program: Program) -> None:
    program.service.refuse("ids", "subscription-required", "auth")
    program.service.mischief.drop()
    publish(program, "i0")
    begin_session(program)
    await program.serves_live()


async def test_without_a_session_nothing_is_live_and_the_copy_stands_in(program: Program) -> None:
    program.stream.turn(Session.LOST)
    assert await program.served_live() is None
    answer = await program.read()
    assert answer.stale
    with pytest.raises(Disconnected):
        await program.replica.synchronise(SERVICE, NODE)


@pytest.mark.parametrize("name", QUIRKS)
async def test_news_that_overtake_every_listing_are_not_lost(database: Database, name: str) -> None:
    service = Service(quirks=QUIRKS[name] | {Quirk.EVENTS_OVERTAKE_ANSWERS})
    service.create(NODE, *IDS)
    async with at_work(database, service) as program:
        await program.follow()
        disturb_listings(service, times=ATTEMPTS)
        begin_session(program)
        await program.serves_live()


def disturb_listings(service: Service, *, times: int) -> None:
    """Every listing meets a publish, which is told after the answer is made up and before it is sent."""
    listings = itertools.count(1)

    def before(request: Request) -> int:
        whole = request.kind == "items" and not len(request.action) and request.action.get("max_items") is None
        if whole and (number := next(listings)) <= times:
            soon(3, lambda: service.publish(NODE, "new", f"text {number}"))
        return 0

    service.before = before
