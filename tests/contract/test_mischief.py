"""Whatever a service does wrong: nothing wrong is served as live, nothing loops, and nothing is deleted by one short
listing."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from newsstand.errors import Disconnected, ListingError, Timeout
from newsstand.model import SyncState
from newsstand.storage.database import Database
from newsstand.sync.full import ATTEMPTS
from newsstand.xmpp.transport import Session
from tests.fakes.program import NODE, Program, at_work
from tests.fakes.service import JULIET, SERVICE, Request, Service, soon
from tests.servers.quirks import QUIRKS, Quirk

IDS = [f"i{number}" for number in range(6)]
MANY = [f"i{number}" for number in range(20)]
FEW = 5
"""So many of them are left by what is much shorter: two pages."""
PAGE = 4


@pytest.fixture(params=["without-quirks", *QUIRKS])
async def program(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Program]:
    """It follows a node of six items, on a service with each set of quirks."""
    service = Service(quirks=QUIRKS.get(request.param, frozenset()))
    service.create(NODE, *IDS)
    async with at_work(database, service, retry_first=30.0) as program:
        await program.follow()
        yield program


@pytest.fixture(params=["without-quirks", *(name for name in QUIRKS if Quirk.NO_RSM not in QUIRKS[name])])
async def paged(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Program]:
    """It follows a node of many items, which its service lists by pages."""
    async with _at_many(request, database, page_size=PAGE) as program:
        yield program


@pytest.fixture(params=["prosody", "ejabberd-sql", "libervia-pubsub"])
async def by_ids(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Program]:
    """The same, where no listing arrives any more: it is listed by batches of ids."""
    async with _at_many(request, database) as program:

        def before(request: Request) -> int:
            if _is_listing(request):
                raise Timeout("too large to arrive")
            return 0

        program.service.before = before
        yield program


@asynccontextmanager
async def _at_many(request: pytest.FixtureRequest, database: Database, **settings: Any) -> AsyncIterator[Program]:
    service = Service(quirks=QUIRKS.get(request.param, frozenset()))
    service.create("small", "a", "b", "c")
    service.create(NODE, *MANY)
    async with at_work(database, service, retry_first=30.0, **settings) as program:
        await program.follow("small")  # by a single answer, which shows how the service orders a list of ids
        await program.follow()
        yield program


def _is_listing(request: Request) -> bool:
    return request.kind == "items" and not len(request.action) and request.action.get("max_items") is None


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
    if kind == "ids":  # asked for where something speaks for a doubt
        program.service.retract(NODE, "i5", told=False)
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
        await program.replica.synchronise(SERVICE, NODE)  # by itself it is not tried again so soon, as it is too large
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


async def test_one_short_listing_by_pages_deletes_nothing(paged: Program) -> None:
    paged.service.mischief.shorten(left=FEW, of=(JULIET, NODE))
    begin_session(paged)
    await paged.serves_live()
    assert paged.copy().record.item_count == len(MANY)


async def test_short_listings_by_pages_delete_nothing_however_many(paged: Program) -> None:
    paged.service.mischief.shorten(100, left=FEW, of=(JULIET, NODE))
    begin_session(paged)
    await paged.settled()
    assert await paged.served_live() is None
    assert paged.copy().record.state is SyncState.FAILED
    assert paged.copy().record.item_count == len(MANY)
    paged.service.mischief.stop()
    begin_session(paged)
    await paged.serves_live()


async def test_a_short_listing_by_pages_deletes_nothing_where_ids_are_refused(paged: Program) -> None:
    paged.service.refuse("ids", "forbidden", "auth")
    paged.service.mischief.shorten(left=FEW, of=(JULIET, NODE))
    begin_session(paged)
    await paged.serves_live()
    assert paged.copy().record.item_count == len(MANY)


@pytest.mark.parametrize("left", [0, FEW])
async def test_one_short_list_of_ids_that_the_items_are_asked_for_by_deletes_nothing(
    by_ids: Program, left: int
) -> None:
    by_ids.service.mischief.shorten_ids(left=left, of=(JULIET, NODE))
    begin_session(by_ids)
    await by_ids.serves_live()
    assert by_ids.copy().record.item_count == len(MANY)


@pytest.mark.parametrize("left", [0, FEW])
async def test_a_node_that_became_much_shorter_is_followed_by_pages(paged: Program, left: int) -> None:
    await _shortens_really(paged, left)


@pytest.mark.parametrize("left", [0, FEW])
async def test_a_node_that_became_much_shorter_is_followed_by_ids(by_ids: Program, left: int) -> None:
    await _shortens_really(by_ids, left)


async def _shortens_really(program: Program, left: int) -> None:
    for item_id in MANY[left:]:
        program.service.retract(NODE, item_id, told=False)
    await program.replica.synchronise(SERVICE, NODE)
    assert program.copy().record.state is SyncState.LIVE
    assert await program.served_live() in (None, program.service.contents(NODE))
    assert program.copy().record.item_count == left


async def test_news_that_come_while_a_short_listing_is_looked_up_are_not_lost(paged: Program) -> None:
    for item_id in MANY[FEW:]:
        paged.service.retract(NODE, item_id, told=False)
    asked = paged.service.counted("ids")

    def before(request: Request) -> int:
        if request.kind == "ids" and paged.service.counted("ids") == asked + 1:
            paged.service.publish(NODE, "new", "while its ids are asked for")
            paged.service.retract(NODE, MANY[0])
        return 0

    paged.service.before = before
    await paged.replica.synchronise(SERVICE, NODE)
    assert paged.service.counted("ids") > asked
    await paged.serves_live()


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
        if _is_listing(request) and (number := next(listings)) <= times:
            soon(3, lambda: service.publish(NODE, "new", f"text {number}"))
        return 0

    service.before = before
