"""Copies that are served stale at the start of a session, and what the program is notified of afterwards."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from newsstand import Analyser, Replica
from newsstand.config import Settings
from newsstand.errors import StanzaError
from newsstand.model import NS_EVENT, ItemsRequest, NodeKey, Origin, Policy, SyncState
from newsstand.rules.behaviour import ServiceBehaviour
from newsstand.rules.reconcile import Applied, Step
from newsstand.serving.steps import Ask
from newsstand.state import stale_first
from newsstand.state.copies import Copy
from newsstand.storage.database import Database
from newsstand.sync import late_news
from newsstand.xmpp.transport import Session
from tests.fakes.program import NODE, Program, at_work, contents
from tests.fakes.service import JULIET, NOTE, SERVICE, Service, Stream

LONG = 1_000.0
FIRST = Analyser("notes", "notes", namespace=NOTE, to_sync=True, policy=Policy.STALE_FIRST)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setattr(late_news, "AFTER", 0.0)
    service = Service()
    service.create(NODE, *(f"i{number}" for number in range(4)))
    service.create("one", "current")
    return service


@asynccontextmanager
async def starting(database: Database, service: Service, quiet_start: float = LONG) -> AsyncIterator[Program]:
    async with at_work(database, service, analysers=[FIRST], quiet_start=quiet_start) as program:
        await program.settled()  # a node that is acquired in the middle of a comparison makes that void
        yield program


@pytest.fixture
async def known(database: Database, service: Service) -> Service:
    """Both nodes were copied in an earlier session, and read once in the one before."""
    async with starting(database, service, 0) as program:
        await program.follow()
        await program.follow("one")
    async with starting(database, service) as program:
        await program.read()
        await program.read("one")
        await program.settled()
    service.requests.clear()
    return service


def asked(service: Service) -> list[str]:
    kinds: list[str] = [request.kind for request in service.requests]
    service.requests.clear()
    return kinds


async def compared(program: Program) -> None:
    await asyncio.sleep(0.01)  # a timer of no seconds
    await program.settled()


def told(program: Program) -> list[tuple[str, str]]:
    """What the program was notified of late: what happened, and to which item."""
    found = [change for message in program.stream.delivered for change in message.iter() if change.get("id")]
    return [(change.tag.rpartition("}")[2], change.get("id", "")) for change in found]


async def test_the_first_read_is_answered_at_once_and_compared_by_one_request(
    database: Database, known: Service
) -> None:
    async with starting(database, known) as program:
        answer = await program.read()
        assert (answer.origin, answer.stale) == (Origin.COPY, True)
        await compared(program)
        assert asked(known) == ["items"]
        assert not program.stream.delivered


async def test_what_differs_is_notified_once_as_the_service_would_have_done(database: Database, known: Service) -> None:
    known.publish(NODE, "i1", "changed", told=False)
    known.publish(NODE, "new", "new", told=False)
    async with starting(database, known) as program:
        for _ in range(3):
            await program.read()
        await compared(program)
        assert sorted(told(program)) == [("item", "i1"), ("item", "new")]
        (message, _) = program.stream.delivered
        assert (message.get("from"), message.get("type")) == (SERVICE, "headline")
        items = message.find(f"{{{NS_EVENT}}}event/{{{NS_EVENT}}}items")
        assert items is not None
        assert items.get("node") == NODE
        note = items[0].find(f"{{{NOTE}}}note")
        assert note is not None
        assert contents(await program.read()) == known.contents(NODE)
        await compared(program)
        assert asked(known) == ["items"]
        assert len(program.stream.delivered) == 2


async def test_what_went_is_notified_when_two_answers_say_so(database: Database, known: Service) -> None:
    known.retract(NODE, "i1", told=False)
    async with starting(database, known) as program:
        await program.read()
        await compared(program)
        assert asked(known) == ["items", "ids"]
        assert told(program) == [("retract", "i1")]
        assert contents(await program.read()) == known.contents(NODE)


async def test_a_last_item_that_is_pushed_is_all_there_is_to_ask_of_a_node_of_one(
    database: Database, known: Service
) -> None:
    async with starting(database, known) as program:
        known.tell_last("one", JULIET)
        await program.settled()
        assert (await program.read("one")).origin is Origin.COPY
        await compared(program)
        assert asked(known) == []


async def test_a_pushed_item_that_is_another_ends_it(database: Database, known: Service) -> None:
    known.publish("one", "current", "another", told=False)
    async with starting(database, known) as program:
        assert (await program.read("one")).stale
        known.tell_last("one", JULIET)
        answer = await program.read("one")
        assert (answer.origin, contents(answer)) == (Origin.SERVICE, known.contents("one"))
        await compared(program)
        assert told(program) == [], "the service itself told it"


async def test_a_notification_of_something_else_ends_it(database: Database, known: Service) -> None:
    async with starting(database, known) as program:
        assert (await program.read()).stale
        known.purge(NODE)
        assert (await program.read()).origin is Origin.SERVICE


async def test_an_own_write_is_read_from_the_service(database: Database, known: Service) -> None:
    async with starting(database, known) as program:
        write = program.write("publish", item=("i1", "own"))
        assert (await program.read()).origin is Origin.SERVICE
        known.publish(NODE, "i1", "own", told=False)
        program.acknowledge(write)
        await compared(program)
        assert contents(await program.read()) == known.contents(NODE)


async def test_before_presence_it_is_served_too(database: Database, known: Service) -> None:
    async with starting(database, known) as program:
        program.stream.turn(Session.LOST, Session.DEAF)
        assert (await program.read()).stale
        await compared(program)
        assert asked(known) == ["items"]


async def test_a_node_that_is_refused_now_is_served_no_more(database: Database, known: Service) -> None:
    async with starting(database, known) as program:
        known.refuse("items", "forbidden", "auth")
        with contextlib.suppress(StanzaError):  # where it is known before the rows are there
            assert (await program.read()).stale
        await compared(program)
        assert program.copy().record.state is SyncState.GONE


async def test_once_the_start_is_over_the_service_is_asked(database: Database, known: Service) -> None:
    async with starting(database, known, 0.001) as program:
        await compared(program)
        answer = await program.read()
        assert not answer.stale


async def test_a_listing_first_compares_what_was_served(
    database: Database, known: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_news, "AFTER", LONG)
    known.publish(NODE, "i1", "changed", told=False)
    async with starting(database, known) as program:
        assert (await program.read()).stale
        await program.replica.synchronise(SERVICE, NODE)
        assert told(program) == [("item", "i1")]
        await program.serves_live()


async def test_a_notification_that_agrees_says_nothing_of_another_item(database: Database, known: Service) -> None:
    known.publish(NODE, "i1", "changed", told=False)
    async with starting(database, known) as program:
        known.tell_interested(NODE, "i1")
        await program.settled()
        known.tell_interested(NODE, "i2")
        await program.settled()
        assert (await program.read()).origin is Origin.SERVICE


async def test_items_that_are_pushed_one_behind_the_other_agree_each(database: Database, known: Service) -> None:
    async with starting(database, known) as program:
        for item_id in ("i1", "i2", "i2"):
            known.tell_interested(NODE, item_id)
        await program.settled()
        assert (await program.read()).stale


async def test_what_is_notified_while_a_difference_is_stored_ends_it(database: Database, known: Service) -> None:
    known.publish(NODE, "i1", "changed", told=False)
    async with starting(database, known) as program:
        assert (await program.read()).stale
        late = program.replica._open.synchroniser.late_news
        apply = late._apply

        async def apply_slowly(*args: Any) -> Any:
            known.publish(NODE, "i2", "changed meanwhile", told=False)
            known.tell_interested(NODE, "i2")
            return await apply(*args)

        late._apply = apply_slowly
        await compared(program)
        assert told(program) == [("item", "i1")]
        answer = await program.read()
        assert (answer.origin, contents(answer)) == (Origin.SERVICE, known.contents(NODE))


async def test_what_is_compared_twice_at_a_time_is_told_once(
    database: Database, known: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_news, "AFTER", LONG)
    known.publish(NODE, "i1", "changed", told=False)
    async with starting(database, known) as program:
        assert (await program.read()).stale
        await program.settled()
        late = program.replica._open.synchroniser.late_news
        await asyncio.gather(late.compare(program.copy()), late.compare(program.copy()))
        assert told(program) == [("item", "i1")]
        assert asked(known) == ["items"]


async def test_without_presence_it_is_served_at_the_start_only(database: Database, known: Service) -> None:
    async with starting(database, known, 0.2) as program:
        program.stream.turn(Session.LOST, Session.DEAF)
        assert (await program.read()).stale
        await asyncio.sleep(0.3)  # the start of the session is over
        assert (await program.read()).origin is Origin.SERVICE


async def test_a_program_that_goes_away_has_no_new_start(database: Database, known: Service) -> None:
    async with starting(database, known) as program:
        program.stream.turn(Session.DEAF)
        assert (await program.read()).origin is Origin.SERVICE


async def test_another_account_s_copy_is_not_compared_with_what_this_one_sees(
    database: Database, known: Service
) -> None:
    stream = Stream(known, "romeo@example.org")
    replica = Replica(stream, settings=Settings(quiet_start=LONG))
    replica.register_analyser(FIRST)
    await replica.open(database)
    stream.turn(Session.FRESH)
    try:
        known.publish(NODE, "i1", "as romeo may see it", told=False)
        answer = await replica.get_items(SERVICE, NODE, account=JULIET)
        assert (answer.origin, answer.stale) == (Origin.COPY, True)
        await asyncio.sleep(0.01)  # a timer of no seconds
        await replica.settled()
        assert asked(known) == []
        assert not stream.delivered
    finally:
        known.streams.remove(stream)
        await replica.close()


async def test_a_read_that_the_copy_did_not_answer_is_not_compared(database: Database, known: Service) -> None:
    async with starting(database, known) as program:
        missing = ItemsRequest(NodeKey(JULIET, SERVICE, NODE), item_ids=("nowhere",))
        program.replica._open.context.services.of(SERVICE).behaviour = ServiceBehaviour()
        assert isinstance(await program.comes_to(missing), Ask)
        await compared(program)
        assert asked(known) == []


async def test_of_what_is_notified_not_all_is_remembered(database: Database, known: Service) -> None:
    async with starting(database, known) as program:
        for number in range(stale_first.MOST + 10):
            known.publish(NODE, f"more {number}", "a", told=False)
            known.tell_interested(NODE, f"more {number}")
        start = program.copy().stale_first
        assert start.contradicted
        assert len(start.notified) <= stale_first.MOST


async def test_a_node_that_is_gone_is_served_no_more(database: Database, known: Service) -> None:
    known.refuse("items", "item-not-found")
    async with starting(database, known) as program:
        assert (await program.read()).stale
        await compared(program)
        with pytest.raises(StanzaError):
            await program.read()
        assert asked(known) == ["items", "items"]


async def test_what_another_read_shows_is_still_notified(
    database: Database, known: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_news, "AFTER", LONG)
    known.publish(NODE, "i1", "changed", told=False)
    async with starting(database, known) as program:
        assert (await program.read()).stale
        await program.replica.get_items(SERVICE, NODE, policy=Policy.ONLY_SERVICE)
        await program.settled()
        await program.replica._open.synchroniser.late_news.compare(program.copy())
        assert told(program) == [("item", "i1")]


async def test_a_last_item_that_is_pushed_does_not_show_that_there_is_no_other(
    database: Database, service: Service
) -> None:
    service.create("bookmarks", "a room")
    async with starting(database, service, 0) as program:
        await program.follow(NODE)  # by it the service is known
        await program.follow("bookmarks")
    service.publish("bookmarks", "another room", "new", told=False)
    service.publish("bookmarks", "a room", "first a room", told=False)
    async with starting(database, service) as program:
        await program.settled()
        service.tell_last("bookmarks", JULIET)
        await program.settled()
        assert (await program.read("bookmarks")).stale
        await compared(program)
        assert told(program) == [("item", "another room")]


async def test_of_a_node_that_is_refused_meanwhile_nothing_is_told(
    database: Database, known: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    known.publish(NODE, "i1", "changed", told=False)
    async with starting(database, known) as program:
        synchroniser = program.replica._open.synchroniser
        apply = synchroniser.apply

        async def apply_and_refuse(copy: Copy, steps: Sequence[Step]) -> Applied:
            applied = await apply(copy, steps)
            synchroniser.closing.shut(copy, "the service says forbidden", refused=True)
            return applied

        monkeypatch.setattr(synchroniser.late_news, "_apply", apply_and_refuse)
        await program.read()
        await compared(program)
        assert told(program) == []
