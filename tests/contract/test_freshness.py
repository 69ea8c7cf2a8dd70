"""Whom a read asks, by policy and age, and what its answer says of itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from newsstand import Analyser, Policy
from newsstand.errors import ConfigurationError, NotInCopy, StanzaError
from newsstand.model import Answer, Origin, RsmQuery, SyncState
from newsstand.rules.doubts import RELIST
from newsstand.state.copies import Copy
from newsstand.state.doubts import doubt
from newsstand.storage.database import Database
from newsstand.xmpp.transport import Session
from tests.fakes.hold import SECONDS
from tests.fakes.program import NODE, Program, at_work, contents
from tests.fakes.service import JULIET, NOTE, SERVICE, SIMPLE, Service
from tests.logged import warnings_of_ours
from tests.servers.quirks import Quirk


@pytest.fixture
async def program(database: Database) -> AsyncIterator[Program]:
    """It follows a node of three items."""
    service = Service()
    service.create(NODE, "a", "b", "c")
    async with at_work(database, service) as program:
        await program.follow()
        yield program


async def read(program: Program, policy: Policy | None = None, max_age: float | None = None) -> Answer:
    return await program.replica.get_items(SERVICE, NODE, policy=policy, max_age=max_age)


async def test_an_answer_says_what_it_was_made_of(program: Program) -> None:
    answer = await read(program)
    assert (answer.origin, answer.complete, answer.stale) == (Origin.COPY, True, False)
    assert answer.verified_at == program.copy().record.verified_at
    assert answer.revision == program.copy().record.revision


async def test_a_stale_copy_answers_at_once_and_is_brought_up_meanwhile(program: Program) -> None:
    program.stream.turn(Session.LOST)
    program.service.publish(NODE, "d", "missed", told=False)
    hold = program.service.hold("items")
    program.stream.turn(Session.FRESH)
    await hold.reached()
    answer = await read(program, Policy.SERVE_STALE)
    assert (answer.origin, answer.stale) == (Origin.COPY, True)
    assert [item_id for item_id, _ in contents(answer)] == ["a", "b", "c"]
    hold.release()
    await program.settled()
    assert contents(await read(program, Policy.SERVE_STALE)) == program.service.contents(NODE)


async def test_a_policy_can_be_the_analysers(database: Database) -> None:
    service = Service()
    service.create(NODE, "a", "b", "c")
    notes = Analyser("notes", "notes", namespace=NOTE, to_sync=True, policy=Policy.ONLY_SERVICE)
    async with at_work(database, service, analysers=[notes]) as program:
        await program.read()
        await program.settled()
        assert (await program.read()).origin is Origin.SERVICE
        assert (await read(program, Policy.ASK_WHEN_STALE)).origin is Origin.COPY


async def test_a_policy_that_is_set_stands_above_the_analysers(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service()
    service.create(NODE, "a", "b", "c")
    notes = Analyser("notes", "texts", namespace=NOTE, to_sync=True, policy=Policy.SERVE_STALE)
    given = {"texts": "only-service", "nots": "only-copy"}
    async with at_work(database, service, analysers=[notes], policy=given) as program:
        await program.read()
        await program.settled()
        assert (await program.read()).origin is Origin.SERVICE
        assert (await read(program, Policy.ASK_WHEN_STALE)).origin is Origin.COPY
    assert warnings_of_ours(caplog) == [
        "the setting policy names 'nots', and no analyser has that name or type: did you mean 'notes'?"
    ]


@pytest.mark.parametrize("told", [True, False])
async def test_an_acknowledged_write_is_read_whatever_the_policy(program: Program, told: bool) -> None:
    hold = program.service.hold("ids")
    program.service.publish(NODE, "d", "raises a doubt")
    await hold.reached()
    write = program.write("publish", item=("c", "mine"))
    program.service.publish(NODE, "c", "mine", told=told)
    program.acknowledge(write)
    assert ("c", "mine") in contents(await read(program, Policy.SERVE_STALE))
    assert ("c", "mine") in contents(await read(program, max_age=1e9))
    hold.release()
    await program.serves_live()


async def test_a_write_before_the_first_listing_of_a_session_is_read_whatever_the_policy(program: Program) -> None:
    program.stream.turn(Session.LOST)
    hold = program.service.hold("subscribe")
    program.stream.turn(Session.FRESH)
    await hold.reached()
    write = program.write("retract", item=("b", ""))
    program.service.nodes[NODE].items.pop("b")
    program.acknowledge(write)
    answer = await read(program, Policy.SERVE_STALE)
    assert [item_id for item_id, _ in contents(answer)] == ["a", "c"]
    hold.release()
    await program.serves_live()


async def test_what_is_older_than_allowed_is_asked_for(program: Program) -> None:
    requests = program.service.counted("items")
    assert (await read(program, max_age=3600)).origin is Origin.COPY
    assert program.service.counted("items") == requests
    assert (await read(program, max_age=0)).origin is Origin.SERVICE
    with pytest.raises(NotInCopy, match="not verified within"):
        await read(program, Policy.ONLY_COPY, 0)


async def test_what_the_service_answers_says_when_it_was_so(program: Program) -> None:
    before = program.copy().record.verified_at
    answer = await read(program, Policy.ONLY_SERVICE)
    assert before is not None
    assert answer.verified_at is not None
    assert answer.verified_at > before


async def test_a_passing_answer_verifies_a_live_copy(program: Program) -> None:
    before = program.copy().record.verified_at
    answer = await read(program, max_age=0)
    assert answer.origin is Origin.SERVICE
    await program.settled()
    after = program.copy().record.verified_at
    assert before is not None
    assert after is not None
    assert after > before
    assert (await read(program)).verified_at == after
    await program.serves_live()


async def test_an_answer_for_some_items_verifies_those(program: Program) -> None:
    before = program.copy().record.verified_at
    await program.replica.get_items(SERVICE, NODE, item_ids=["b"], policy=Policy.ONLY_SERVICE)
    await program.settled()
    assert before is not None
    of_one = await program.replica.get_items(SERVICE, NODE, item_ids=["b"])
    assert of_one.origin is Origin.COPY
    assert of_one.verified_at is not None
    assert of_one.verified_at > before
    assert (await read(program)).verified_at == before


@pytest.mark.parametrize("how", ["overwritten", "new", "retracted", "moved"])
async def test_a_passing_answer_that_says_something_else_casts_doubt_on_a_live_copy(program: Program, how: str) -> None:
    match how:
        case "overwritten":
            program.service.publish(NODE, "b", "another text", told=False)
        case "new":
            program.service.publish(NODE, "d", "another item", told=False)
        case "retracted":
            program.service.retract(NODE, "b", told=False)
        case _:
            items = program.service.nodes[NODE].items
            items["a"] = items.pop("a")
    program.service.streams.remove(program.stream)
    assert contents(await read(program, Policy.ONLY_SERVICE)) == program.service.contents(NODE)
    program.service.streams.append(program.stream)
    await program.serves_live()


@pytest.mark.parametrize("overtaken", [True, False])
async def test_an_answer_that_news_overtook_is_compared_with_nothing(
    program: Program, overtaken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[bool] = []
    synchroniser = program.replica._open.synchroniser
    monkeypatch.setattr(synchroniser, "compare", lambda *_, shows_all: compared.append(shows_all))
    hold = program.service.hold("items", answered=True)
    reading = asyncio.ensure_future(read(program, Policy.ONLY_SERVICE))
    await hold.reached()
    if overtaken:
        program.service.publish(NODE, "b", "newer than the answer")
        await program.copy().inbox.quiet()
    hold.release()
    await reading
    assert bool(compared) is not overtaken
    await program.serves_live()


async def test_a_copy_that_failed_is_tried_again_for_whoever_is_content_with_it(database: Database) -> None:
    service = Service()
    service.create(NODE, "a", "b", "c")
    async with at_work(database, service, retry_first=3600.0) as program:
        await program.follow()
        program.stream.turn(Session.LOST)
        program.service.refuse("items", "internal-server-error", "wait")
        program.stream.turn(Session.FRESH)
        await program.settled()
        copy = program.copy()
        assert copy.record.state is SyncState.FAILED
        program.service.allow("items")
        requests = len(program.service.requests)
        assert (await read(program, Policy.SERVE_STALE)).stale
        await program.settled()
        assert len(program.service.requests) == requests, "it failed a moment ago"
        program.replica._open.synchroniser._retrying._failed_at[copy] -= 3600
        assert (await read(program, Policy.SERVE_STALE)).stale
        await program.serves_live()


async def test_a_node_that_fails_is_tried_again_later_each_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself; and once it came, as at first."""
    service = Service()
    service.create(NODE, "a", "b", "c")
    async with at_work(database, service, retry_first=0.02, retry_most=0.06) as program:
        context = program.replica._open.context
        monkeypatch.setattr(context.random, "uniform", lambda low, high: (low + high) / 2)
        now = context.clock()
        monkeypatch.setattr(context, "clock", lambda: now)
        expected: list[float] = []
        pauses: list[float] = []
        enough = asyncio.Event()
        storing = program.replica._open.leading.storing
        save = storing.save

        async def look(copy: Copy, **changes: Any) -> bool:
            if changes.get("state") is SyncState.FAILED:
                pauses.append((changes["retry_at"] - now) / 1e6)
                if len(pauses) == len(expected):
                    service.allow("items")
                    enough.set()
            return await save(copy, **changes)

        monkeypatch.setattr(storing, "save", look)
        await program.follow()
        for expected in ([0.02, 0.04, 0.06, 0.06], [0.02, 0.04]):
            pauses.clear()
            enough.clear()
            service.refuse("items", "internal-server-error", "wait")
            program.stream.turn(Session.LOST, Session.FRESH)
            async with asyncio.timeout(SECONDS):
                await enough.wait()
                while program.copy().record.state is not SyncState.LIVE:
                    await program.copy().changed.wait()
            assert pauses == expected
            assert program.copy().record.attempts == 0
            await program.serves_live()


async def test_where_the_service_cannot_answer_an_older_copy_stands_in(program: Program) -> None:
    program.service.refuse("items", "remote-server-timeout", "wait")
    answer = await read(program, max_age=0)
    assert (answer.origin, answer.stale) == (Origin.COPY, True)


async def test_a_copy_that_is_closed_while_it_is_read_does_not_answer(program: Program) -> None:
    reading = asyncio.ensure_future(program.replica.get_items(SERVICE, NODE))
    await asyncio.sleep(0)  # it is being read, in a thread; what was read comes no sooner than this task waits
    program.replica._open.synchroniser.closing.shut(program.copy(), "refused meanwhile")
    program.service.refuse("items", "forbidden", "auth")
    with pytest.raises(StanzaError, match="forbidden"):
        await reading


@pytest.mark.parametrize("how", ["refused", "purged"])
@pytest.mark.parametrize("when", ["before", "meanwhile"])
async def test_a_search_finds_nothing_of_a_copy_that_is_closed(program: Program, how: str, when: str) -> None:
    """Nor while the database does not say so yet."""
    assert (await program.replica.search()).total == 3

    def close() -> asyncio.Future[None] | None:
        if how == "refused":
            program.replica._open.synchroniser.closing.shut(program.copy(), "refused meanwhile", refused=True)
            return None
        return asyncio.ensure_future(program.replica.purge(SERVICE, NODE))

    if when == "before":
        closing = close()
        if closing is not None:
            await asyncio.sleep(0)  # it has begun
        page = await program.replica.search()
    else:
        searching = asyncio.ensure_future(program.replica.search())
        await asyncio.sleep(0)
        closing = close()
        page = await searching
    assert (page.items, page.total) == ([], 0)
    if closing is not None:
        await closing


async def test_a_page_is_asked_of_the_service_and_brings_its_cursors(program: Program) -> None:
    with pytest.raises(ConfigurationError):
        await program.replica.get_items(SERVICE, NODE, rsm=RsmQuery(1), max_items=1)
    with pytest.raises(ConfigurationError):
        await program.replica.get_items(SERVICE, NODE, rsm=RsmQuery(1), policy=Policy.ONLY_COPY)
    answer = await program.replica.get_items(SERVICE, NODE, rsm=RsmQuery(1))
    assert contents(answer) == program.service.contents(NODE), "this service ignores pages"
    assert answer.rsm is None


async def test_who_was_just_answered_is_not_refused_from_memory(database: Database) -> None:
    """Access came back, and nobody said so."""
    service = Service()
    service.create(NODE, "a", "b", "c")
    async with at_work(database, service) as program:
        service.refuse("items", "forbidden", "auth")
        for _ in range(4):
            with pytest.raises(StanzaError, match="forbidden"):
                await read(program)
        asked = service.counted("items")
        with pytest.raises(StanzaError, match="forbidden"):
            await read(program)
        assert service.counted("items") == asked, "it is remembered"
        service.allow("items")
        await program.replica.get_items(SERVICE, NODE, policy=Policy.ONLY_SERVICE)
        await read(program)
        await program.serves_live()


async def test_what_was_told_while_a_listing_was_lost_is_in_the_next_read(database: Database) -> None:
    """It is begun anew, and takes in what came until then; the copy does not say so yet, whatever a program is content
    with."""
    service = Service(quirks=SIMPLE - {Quirk.NO_RSM})
    service.create(NODE, "a", "b", "c")
    async with at_work(database, service) as program:
        await program.follow()
        lost = service.hold("items")
        doubt(program.copy(), RELIST)
        program.replica._open.synchroniser.want(program.copy())
        await lost.reached()
        service.publish(NODE, "d", "told meanwhile")
        service.silence("items")
        again = service.hold("items")
        lost.release()
        await again.reached()
        service.allow("items")
        reading = asyncio.ensure_future(read(program, Policy.SERVE_STALE))
        await asyncio.sleep(0)
        again.release()
        assert [item.id for item in (await reading).items] == ["a", "b", "c", "d"]
        await program.serves_live()


async def test_who_was_refused_an_item_is_not_once_the_node_was_listed(database: Database) -> None:
    """Where the service refuses what is missing, it is asked; and says that, not what it said before."""
    service = Service(quirks=SIMPLE | {Quirk.MISSING_ID_REFUSED_TO_OWNER})
    service.create(NODE, "a", "b", "c")
    service.nodes[NODE].affiliations[JULIET] = "owner"
    async with at_work(database, service) as program:
        service.refuse("items", "forbidden", "auth")
        for _ in range(8):
            with pytest.raises(StanzaError, match="forbidden"):
                await program.replica.get_items(SERVICE, NODE, item_ids=["nowhere"])
        service.allow("items")
        await program.replica.synchronise(SERVICE, NODE)
        with pytest.raises(StanzaError, match="item-not-found"):
            await program.replica.get_items(SERVICE, NODE, item_ids=["nowhere"])
