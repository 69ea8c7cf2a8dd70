"""Several workers on one database, and what falls between two steps of one of them: a node changes hands, is refused or
doubted while a read, a write or a poll is under way, or while the database cannot be written."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from newsstand import Analyser, Replica
from newsstand.config import Settings
from newsstand.errors import DatabaseError, NewsstandError, StanzaError
from newsstand.model import ItemsRequest, NodeKey, Policy, SyncState
from newsstand.rules.doubts import RELIST
from newsstand.serving.steps import Form, Read, Rows, Served
from newsstand.state.doubts import doubt
from newsstand.state.work import Pace
from newsstand.storage.statements import answers, items, owners, polls
from newsstand.sync import parsing
from newsstand.workers.processes import this_process
from newsstand.workers.storing import Storing
from newsstand.xmpp.transport import Session
from tests.contract._storage import Gate
from tests.contract._workers import (
    Workers,
    asks,
    database_of,
    ownership_of,
    owns,
    revive,
    run_out,
    serves,
    standing,
    until,
)
from tests.fakes.hold import SECONDS, Hold
from tests.fakes.program import NODE, NOTES, Program, at_work, contents
from tests.fakes.service import JULIET, NOTE, SERVICE, Stream

READ = ItemsRequest(NodeKey(JULIET, SERVICE, NODE))
NODES = [f"node {number}" for number in range(6)]


async def poll_all(*programs: Program) -> None:
    """Each in turn, often enough for what one finds to reach the others, and for that to come back."""
    for _ in range(3):
        for program in programs:
            await ownership_of(program).polling.poll()
            await program.settled()


async def poll_until(done: Callable[[], bool], *programs: Program) -> None:
    """Have all of them poll until this is so."""
    async with asyncio.timeout(SECONDS):
        while not done():
            for program in programs:
                await ownership_of(program).polling.poll()


@asynccontextmanager
async def one_gives_up(workers: Workers) -> AsyncIterator[tuple[Program, Program]]:
    """The first followed all of NODES, and gave some of them up to the second, which did not poll since then."""
    for node in NODES:
        workers.service.create(node, "a")
    async with workers.another() as first:
        for node in NODES:
            await first.read(node)
        await first.settled()
        async with workers.another() as second:
            await second.settled()
            ownership_of(second).stop()
            await ownership_of(first).polling.poll()
            await first.settled()
            assert not all(owns(first, node) for node in NODES)
            yield first, second


# Doubts ----------------------------------------------------------------------------------------------------------


async def test_an_own_write_that_is_acknowledged_while_another_lists_the_node_does_not_stay_in_doubt(
    workers: Workers,
) -> None:
    async with workers.pair() as (first, second):
        hold = workers.service.hold("items")
        first.stream.turn(Session.LOST, Session.FRESH)
        await hold.reached()
        await ownership_of(second).polling.poll()
        assert second.copy().record.state is not SyncState.LIVE
        write = second.write("publish", item=("c", "mine"))
        workers.service.publish(NODE, "c", "mine")
        second.acknowledge(write)
        hold.release()
        await first.settled()
        await until(lambda: not second.copy().elsewhere.awaited, second)
        await poll_all(second)
        assert not second.copy().doubts.own_write
        await serves(second)


async def test_a_retract_that_comes_while_the_rows_are_read_is_not_taken_for_stored(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workers.pair() as (first, second):
        workers.service.streams.remove(first.stream)  # the one that follows does not know of it
        database = database_of(second)
        read = database.read

        async def reading(statement: Any, *args: Any, **kwargs: Any) -> Any:
            result = await read(statement, *args, **kwargs)
            if not second.copy().elsewhere.awaited:
                workers.service.retract(NODE, "a")  # told while the answer is on its way
            return result

        monkeypatch.setattr(database, "read", reading)
        step = second.replica._open.driver._begin(Read(READ, math.inf, Form.ITEMS))
        assert isinstance(step, Rows)
        await second.replica._open.driver._rows(step)
        monkeypatch.undo()
        assert second.copy().elsewhere.awaited
        workers.service.streams.append(first.stream)
        await asks(second)


async def test_others_are_told_of_a_doubt_before_its_node_rests(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        first.copy().pace = Pace(rest_until=asyncio.get_running_loop().time() + 1e6)
        write = first.write("publish", item=("c", "mine"))
        workers.service.publish(NODE, "c", "mine", told=False)
        first.port.end_write(write, None)
        await asks(first)
        async with asyncio.timeout(SECONDS):
            while not (await standing(second)).doubted:
                await ownership_of(second).polling.poll()
        await asks(second)


async def test_a_write_that_a_session_ended_on_is_looked_up_by_the_worker_that_follows_the_node(
    workers: Workers,
) -> None:
    async with workers.pair() as (first, second):
        second.write("publish", item=("c", "mine"))
        workers.service.publish(NODE, "c", "mine", told=False)
        second.stream.turn(Session.LOST, Session.FRESH)
        assert await second.served_live() is None
        await poll_all(second, first)
        await serves(first)
        await poll_all(second)
        await serves(second)


async def test_notifications_of_the_database_that_never_end_keep_no_poll_away(workers: Workers) -> None:
    async with workers.another(lease=100 * SECONDS) as only:  # no heartbeat falls due, which polls, too
        await only.follow()
        ownership = ownership_of(only)
        for _ in range(3):
            polled = ownership.polling.polled
            async with asyncio.timeout(SECONDS):
                while not polled.is_set():
                    ownership.polling.database_notified(1)
                    await asyncio.sleep(0.01)  # many come within the time that a poll waits for them


async def test_a_poll_that_is_wanted_while_one_is_under_way_does_not_end_the_polls(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workers.another(lease=100 * SECONDS) as only:  # no heartbeat falls due, which polls, too
        await only.follow()
        polling, database, hold = ownership_of(only).polling, database_of(only), Hold()
        scan = database.scan

        async def scanning(statement: Any, *args: Any) -> Any:
            if statement is polls.poll:
                await hold.wait()
            return await scan(statement, *args)

        monkeypatch.setattr(database, "scan", scanning)
        poll = asyncio.ensure_future(polling.poll())
        await hold.reached()
        polling.poll_soon()
        for _ in range(3):  # what it wants is due now
            await asyncio.sleep(0)
        polled = polling.polled
        hold.release()
        await poll
        assert polled.is_set()
        async with asyncio.timeout(SECONDS):
            await polling.polled.wait()


# Refusals and leaving --------------------------------------------------------------------------------------------


@asynccontextmanager
async def refused_on_a_doubt(workers: Workers) -> AsyncIterator[tuple[Program, Program]]:
    """The second doubted what the first follows, who was refused when it looked into that. Now all is allowed."""
    async with workers.pair() as (first, second):
        workers.service.refuse("items", "forbidden", "auth")
        doubt(second.copy(), RELIST)
        asked = asyncio.ensure_future(ownership_of(second).have_settled(second.copy()))
        await poll_until(asked.done, first, second)
        with pytest.raises(NewsstandError, match="forbidden"):
            await asked
        await first.settled()
        await second.settled()
        assert (await standing(second)).record.state is SyncState.GONE
        workers.service.allow("items")
        await ownership_of(first).polling.poll()
        yield first, second


async def test_what_was_refused_on_a_doubt_of_another_is_followed_again_when_it_is_read(workers: Workers) -> None:
    async with refused_on_a_doubt(workers) as (first, second):
        await first.read()
        await first.settled()
        await poll_all(first, second)
        await serves(first)
        await serves(second)


async def test_what_was_refused_on_a_doubt_of_another_can_be_synchronised_when_it_is_allowed(
    workers: Workers,
) -> None:
    async with refused_on_a_doubt(workers) as (first, second):
        asked = asyncio.ensure_future(first.replica.synchronise(SERVICE, NODE))
        await poll_until(asked.done, first, second)
        assert (await asked).state is SyncState.LIVE


async def test_a_refusal_that_an_overtaken_worker_meets_closes_the_node_for_all(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        await run_out(first)
        await until(lambda: owns(second), second)
        await second.serves_live()
        revive(first)
        assert owns(first)  # it does not know better yet
        workers.service.refuse("items", "forbidden", "auth")
        with pytest.raises(StanzaError):
            await first.read()
        await first.settled()
        assert (await standing(first)).record.state is SyncState.GONE
        await poll_all(second, first)
        for program in (first, second):
            with pytest.raises(StanzaError):
                await program.read()


async def test_a_refusal_that_could_not_be_stored_is_stored_later(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workers.pair() as (first, second):
        database = database_of(second)
        write = database.write
        failed = False

        async def writing(statement: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal failed
            if not failed:
                failed = True
                raise DatabaseError("locked")
            return await write(statement, *args, **kwargs)

        workers.service.refuse("items", "forbidden", "auth")
        monkeypatch.setattr(database, "write", writing)
        with pytest.raises(StanzaError):
            await second.replica.get_items(SERVICE, NODE, policy=Policy.ONLY_SERVICE)
        await second.settled()
        assert failed
        await poll_all(second, first)
        assert (await standing(first)).record.state is SyncState.GONE
        workers.service.allow("items")
        await second.read()
        await poll_all(second, first)
        await serves(second)


async def test_what_one_left_another_can_synchronise(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        first.acknowledge(first.write("unsubscribe"))
        await first.settled()
        asked = asyncio.ensure_future(second.replica.synchronise(SERVICE, NODE))
        await poll_until(asked.done, first, second)
        assert (await asked).state is SyncState.LIVE
        assert (owns(first), owns(second)) == (False, True)


async def test_what_a_worker_left_while_its_own_doubt_was_open_it_can_synchronise(workers: Workers) -> None:
    async with workers.pair() as (_, second):
        hold = workers.service.hold("items")  # nobody settles the doubt meanwhile
        doubt(second.copy(), RELIST)
        ownership_of(second).assignment.want(second.copy())
        await second.settled()
        assert second.copy().elsewhere.doubted
        second.acknowledge(second.write("unsubscribe"))
        await second.settled()
        assert owns(second)
        hold.release()
        async with asyncio.timeout(SECONDS):
            assert (await second.replica.synchronise(SERVICE, NODE)).state is SyncState.LIVE


# Reads -----------------------------------------------------------------------------------------------------------


async def test_a_replica_that_is_still_opening_can_be_asked(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    async with workers.another() as first, workers.database() as database:
        await first.follow()
        hold, scan = Hold(), database.scan

        async def scanning(statement: Any, *args: Any, **kwargs: Any) -> Any:
            if statement is polls.poll:
                await hold.wait()
            return await scan(statement, *args, **kwargs)

        monkeypatch.setattr(database, "scan", scanning)
        replica = Replica(Stream(workers.service), settings=Settings(), entry_points=False)
        opening = asyncio.ensure_future(replica.open(database))
        try:
            await hold.reached()
            for _ in range(2):
                assert replica.port is not None
                step = replica.port.read(READ, SECONDS, ())
                if isinstance(step, Rows):
                    step = await replica.port.go_on(step)
                assert not isinstance(step, Served) or step.made_of.stale  # it has no session yet
        finally:
            hold.release()
            await opening
            await replica.close()


@pytest.mark.parametrize("alone", [True, False])
async def test_rows_that_are_newer_than_the_decision_to_serve_them_are_not_served(
    workers: Workers, alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers.service.nodes[NODE].limit = 2
    async with workers.pair() as (first, second):
        reader = first if alone else second
        database = database_of(reader)
        hold, scan = workers.service.hold("ids"), database.scan

        async def scanning(statement: Any, *args: Any, **kwargs: Any) -> Any:
            if statement is answers.find and ("c", "new") not in workers.service.contents(NODE):
                workers.service.publish(NODE, "c", "new")  # stored at once; what it evicted is looked up later
                await first.copy().inbox.quiet()
            return await scan(statement, *args, **kwargs)

        monkeypatch.setattr(database, "scan", scanning)
        answer = await reader.read()
        assert contents(answer) == workers.service.contents(NODE)
        hold.release()


async def test_what_another_worker_changes_while_it_is_read_is_read_once_more_and_is_no_error(
    workers: Workers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with workers.pair() as (_, second):
        standing_now, calls = polls.standing, 0

        def changing(conn: Any, node_id: int) -> Any:
            nonlocal calls
            calls += 1
            found = standing_now(conn, node_id)
            if calls != 2 or found is None:
                return found
            return found._replace(record=dataclasses.replace(found.record, revision=found.record.revision + 1))

        monkeypatch.setattr(polls, "standing", changing)
        step = await second.comes_to(READ)
        monkeypatch.undo()
        assert isinstance(step, Served)
        assert not step.made_of.stale
        assert calls == 4, "before and after the rows, twice"
        assert not [record for record in caplog.records if record.levelname == "WARNING"]


async def test_an_overtaken_worker_that_learns_of_it_serves_nothing_as_live_meanwhile(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workers.pair() as (first, second):
        await run_out(first)
        hold = workers.service.hold("items")
        await until(lambda: owns(second), second)
        await hold.reached()  # so it is live to nobody
        database = database_of(first)
        scan = database.scan
        served: list[Any] = []

        async def scanning(statement: Any, *args: Any, **kwargs: Any) -> Any:
            # Its lease is renewed by now: only what it owns is not known yet.
            served.append(await first.served_live())
            return await scan(statement, *args, **kwargs)

        assert owns(first)
        monkeypatch.setattr(database, "scan", scanning)
        revive(first)
        await ownership_of(first).heartbeat.renew()
        monkeypatch.undo()
        assert served
        assert not any(served)
        hold.release()


# What is remembered, and what could not be ------------------------------------------------------------------------


async def test_a_worker_with_other_analysers_changes_nothing_of_what_another_follows(workers: Workers) -> None:
    refuses = Analyser("notes", "notes", namespace=NOTE, to_sync=False)
    async with workers.another() as first:
        await first.follow()
        async with workers.another(analysers=(refuses,)) as second:
            second.replica.register_analyser(Analyser("other", "other", namespace="urn:nobody", to_sync=True))
            await second.settled()
            await serves(first)
            await ownership_of(first).polling.poll()
            await serves(first)


async def test_a_worker_does_not_write_what_it_remembers_of_a_node_that_another_follows(workers: Workers) -> None:
    async with workers.pair(retry_first=100.0) as (first, second):
        ownership_of(second).stop()  # so that it goes on remembering the node as live
        workers.service.refuse("items", "internal-server-error", "wait")
        doubt(first.copy(), RELIST)
        first.replica._open.synchroniser.want(first.copy())
        await first.settled()
        assert (await standing(first)).record.state is SyncState.FAILED
        assert second.copy().record.state is SyncState.LIVE
        second.replica.register_analyser(Analyser("more", "more", namespace="urn:more", to_sync=True))
        await second.settled()
        assert (await standing(first)).record.state is SyncState.FAILED


async def test_what_could_not_be_stored_is_not_live_to_a_worker_that_begins_later(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workers.another(retry_first=100.0, retry_most=200.0) as first:
        await first.follow()
        database = database_of(first)
        write = database.write
        full = True

        async def writing(statement: Any, *args: Any, **kwargs: Any) -> Any:
            if full:
                raise DatabaseError("the disk is full")
            return await write(statement, *args, **kwargs)

        monkeypatch.setattr(database, "write", writing)
        workers.service.publish(NODE, "c", "new")
        await first.settled()
        full = False
        await ownership_of(first).heartbeat.renew()  # before it tries again to store anything
        await first.settled()
        async with workers.another() as second:
            await second.settled()
            assert contents(await second.read()) == workers.service.contents(NODE)


# Taking over -----------------------------------------------------------------------------------------------------


async def test_a_write_that_is_under_way_while_its_node_is_taken_over_stays_under_way(workers: Workers) -> None:
    async with workers.another() as second:
        async with workers.another() as first:
            await first.follow()
            await second.settled()
            await ownership_of(second).polling.poll()
            write = second.write("publish", item=("c", "mine"))
        await until(lambda: owns(second), second)
        await second.settled()
        await asks(second)
        workers.service.publish(NODE, "c", "mine", told=False)
        second.acknowledge(write)
        await second.serves_live()


async def leave_to_parse(workers: Workers) -> None:
    """A node that nobody follows, whose items are to be parsed again."""
    async with workers.another() as first:
        await first.follow()
        assert await database_of(first).write(items.mark_to_parse, first.copy().record.id, "another", 0) == 2


def hold_parsing(monkeypatch: pytest.MonkeyPatch) -> Hold:
    """Keep each item from being parsed until it is released."""
    hold, parse = Hold(), parsing.Parsing._parse

    async def waiting(self: Any, *args: Any) -> Any:
        await hold.wait()
        return await parse(self, *args)

    monkeypatch.setattr(parsing.Parsing, "_parse", waiting)
    return hold


async def parses(program: Program) -> None:
    """Wait until no item is left that is to be parsed."""
    async with asyncio.timeout(SECONDS):
        while await database_of(program).read(items.to_parse, program.copy().record.id, 1):
            await ownership_of(program).polling.poll()


async def test_what_is_parsed_before_its_node_is_taken_and_stored_afterwards_is_stored(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    await leave_to_parse(workers)
    hold = hold_parsing(monkeypatch)
    workers.service.hold("items")  # after a listing, what is left is parsed anyway
    async with workers.another() as only:
        await hold.reached()
        await until(lambda: owns(only), only)
        hold.release()
        await parses(only)


async def test_what_is_parsed_while_its_node_is_being_taken_is_stored(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    await leave_to_parse(workers)
    hold = hold_parsing(monkeypatch)
    workers.service.hold("items")
    loop, take, write = asyncio.get_running_loop(), owners.acquire, Storing.write
    async with workers.database() as database:
        gate, owned = Gate(database), []

        def taking(*args: Any) -> Any:
            loop.call_soon_threadsafe(hold.release)
            gate.wait()
            return take(*args)

        async def writing(self: Storing, copy: Any, statement: Any, *args: Any) -> Any:
            if statement is items.store_parsed:
                owned.append(copy.lease.ours)
                gate.open()  # this comes behind the taking, and builds on what was so before it
            return await write(self, copy, statement, *args)

        monkeypatch.setattr(owners, "acquire", taking)
        monkeypatch.setattr(Storing, "write", writing)
        async with at_work(database, workers.service) as only:
            await until(lambda: owns(only), only)
            await parses(only)
            assert owned[0] is False


@pytest.mark.parametrize("analysers", [[NOTES], []])
@pytest.mark.parametrize("turns", [(Session.RESUMED, Session.FRESH), (Session.FRESH, Session.RESUMED)])
async def test_what_is_to_be_synchronised_before_a_session_has_put_anything_off_is_listed(
    workers: Workers, turns: tuple[Session, ...], analysers: list[Analyser]
) -> None:
    stream = Stream(workers.service)
    replica = Replica(stream, settings=Settings(), entry_points=False)
    for analyser in analysers:
        replica.register_analyser(analyser)
    replica.only_when_asked = True
    async with workers.database() as database:
        await replica.open(database)
        try:
            stream.turn(Session.FRESH)
            await replica.synchronise(SERVICE, NODE)
            for number, turn in enumerate(turns):
                workers.service.publish(NODE, f"c{number}", "untold", told=False)
                stream.turn(Session.LOST, turn)
                record = await replica.synchronise(SERVICE, NODE)
                assert record.item_count == len(workers.service.contents(NODE))
        finally:
            await replica.close()


async def test_what_another_took_over_unseen_can_be_synchronised(workers: Workers) -> None:
    async with workers.another() as second:
        async with workers.another() as first:
            await first.follow()
            await ownership_of(second).polling.poll()
        ownership_of(second).stop()  # it knows of nobody that follows the node
        async with workers.another() as third:
            await until(lambda: owns(third), third)
            asked = asyncio.ensure_future(second.replica.synchronise(SERVICE, NODE))
            await until(asked.done, third)
            assert (await asked).state is SyncState.LIVE
            assert (owns(second), owns(third)) == (False, True)


# Giving up, and the end ------------------------------------------------------------------------------------------


async def test_what_was_given_up_is_not_believed_to_be_its_own_by_who_gave_it_up(workers: Workers) -> None:
    async with one_gives_up(workers) as (first, _):
        for node in NODES:
            held = (await standing(first, node)).lease
            assert (held.leader == ownership_of(first).worker) == owns(first, node), node


async def test_what_changes_hands_is_never_led_by_two(workers: Workers) -> None:
    async with one_gives_up(workers) as (first, second):
        await ownership_of(second).polling.poll()
        assert any(owns(second, node) for node in NODES)
        assert not [node for node in NODES if owns(first, node) and owns(second, node)]


async def test_what_was_given_up_is_not_served_as_live_until_another_listed_it(workers: Workers) -> None:
    async with one_gives_up(workers) as (first, second):
        hold = workers.service.hold("items")
        await ownership_of(second).polling.poll()
        await hold.reached()
        given = [node for node in NODES if not owns(first, node)]
        assert given
        for node in given:
            assert (await standing(first, node)).record.state is not SyncState.LIVE
            assert await first.served_live(node) is None
        hold.release()


async def test_what_could_not_be_given_up_is_served_right_by_those_who_believe_that_it_is_followed(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers.service.create("other", "a")
    async with workers.another() as first:
        await first.follow()
        await first.follow("other")
        database = database_of(first)
        write = database.write

        async def writing(statement: Any, *args: Any, **kwargs: Any) -> Any:
            if statement is owners.release:
                raise DatabaseError("locked")
            return await write(statement, *args, **kwargs)

        monkeypatch.setattr(database, "write", writing)
        async with workers.another(), workers.another() as third:
            third.stream.turn(Session.LOST)  # it reads offline what others follow
            await third.settled()
            await until(lambda: owns(first, NODE) != owns(first, "other"), first)
            given = "other" if owns(first, NODE) else NODE
            workers.service.publish(given, "c", "new")
            await first.settled()
            answer = await third.read(given)
            assert answer.stale or contents(answer) == workers.service.contents(given)


async def test_a_heartbeat_that_falls_due_during_the_end_leaves_no_row(workers: Workers) -> None:
    async with workers.another() as first:
        await first.follow()
        context, ownership = first.replica._open.context, ownership_of(first)
        close, heartbeats = context.close, []

        async def closing() -> None:
            await close()
            heartbeats.append(context.spawn(ownership.heartbeat.renew(), "going on"))

        context.close = closing  # type: ignore[method-assign]
        await first.replica.close()
        await asyncio.gather(*heartbeats)
        assert heartbeats
        assert await context.database.read(owners.workers) == []


async def test_rows_of_workers_that_ended_without_a_word_go_when_their_time_is_over(workers: Workers) -> None:
    async with workers.another() as first:
        await first.follow()
        database = database_of(first)
        gone = ("f" * 32, JULIET, this_process())
        await database.write(owners.renew_lease, *gone, notified=True, shares=True, lease=-1)
        assert len(await database.read(owners.workers)) == 2
        await ownership_of(first).heartbeat.renew()
        assert [row.id for row in await database.read(owners.workers)] == [ownership_of(first).worker]


async def test_a_heartbeat_while_a_listing_is_stored_does_not_make_it_stale_to_others(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        hold = workers.service.hold("items")
        first.stream.turn(Session.LOST, Session.FRESH)
        await hold.reached()
        database = database_of(first)
        gate = Gate(database)
        waiting = asyncio.ensure_future(database.write(lambda conn: gate.wait()))
        await gate.reached.wait()
        hold.release()  # the listing waits to be stored; the heartbeat waits behind it
        await asyncio.sleep(0.05)  # nothing tells when it does
        heartbeat = asyncio.ensure_future(ownership_of(first).heartbeat.renew())
        await asyncio.sleep(0)
        gate.open()
        await asyncio.gather(waiting, heartbeat)
        await first.settled()
        await serves(first)
        await serves(second)


async def test_what_others_take_for_stale_and_is_not_they_are_told_again(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        await database_of(first).write(owners.mark_stale, ownership_of(first).worker, "by some accident", None)
        await asks(second)
        await ownership_of(first).polling.poll()
        await serves(second)


async def test_a_doubt_of_a_node_that_is_closed_keeps_nobody_waiting(workers: Workers) -> None:
    """Who raised it came late: whoever closed the node had settled all that there were."""
    async with workers.pair() as (first, second):
        workers.service.refuse("items", "forbidden", "auth")
        with pytest.raises(StanzaError):
            await first.replica.get_items(SERVICE, NODE, policy=Policy.ONLY_SERVICE)
        await first.settled()
        copy = second.copy()
        doubt(copy, RELIST)
        async with asyncio.timeout(SECONDS):
            with pytest.raises(NewsstandError, match="forbidden"):
                await ownership_of(second).have_settled(copy)
