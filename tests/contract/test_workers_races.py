"""Failing tests of the review."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from newsstand import Analyser, Replica, leading
from newsstand.config import Settings
from newsstand.errors import DatabaseError, StanzaError
from newsstand.model import ItemsRequest, NodeKey, Origin, Policy, SyncState
from newsstand.storage import answers, items, leases
from newsstand.transport import Session
from tests.contract.test_several_workers import (  # noqa: F401
    Workers,
    asks,
    database_of,
    die,
    hang,
    lead_of,
    leads,
    revive,
    serves,
    standing,
    until,
    workers,
)
from tests.fakes.program import NODE, NOTES, at_work, contents
from tests.fakes.service import JULIET, NOTE, SERVICE, Stream

KEY = NodeKey(JULIET, SERVICE, NODE)


async def test_behind_of_a_node_that_another_lists(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        hold = workers.service.hold("items")
        first.stream.turn(Session.LOST, Session.FRESH)
        await hold.reached()
        await lead_of(second).look()
        assert second.copy().record.state is not SyncState.LIVE
        write = second.write("publish", item=("c", "mine"))
        workers.service.publish(NODE, "c", "mine")
        second.acknowledge(write)
        hold.release()
        await first.settled()
        await until(lambda: not second.copy().awaited, second)
        for _ in range(5):
            await lead_of(second).look()
            await second.settled()
        assert not second.copy().behind
        await serves(second)


async def test_seized_in_doubt_spins(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        hang_listing = workers.service.hold("items")
        second.copy().relist = True
        lead_of(second).want(second.copy())
        await asyncio.sleep(0.05)
        assert second.copy().doubted
        write = second.write("unsubscribe")
        second.acknowledge(write)
        await asyncio.sleep(0.1)
        assert leads(second)
        hang_listing.release()
        async with asyncio.timeout(4):
            await second.replica.synchronise(SERVICE, NODE)


async def test_gone_node_is_led_and_nobody_else_can_begin_it(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        workers.service.refuse("items", "forbidden", "auth")
        # second doubts what first follows; first is refused and closes
        second.copy().relist = True
        asked = asyncio.ensure_future(lead_of(second).have_settled(second.copy()))
        async with asyncio.timeout(5):
            while not asked.done():
                await lead_of(first).look()
                await lead_of(second).look()
        await asyncio.gather(asked, return_exceptions=True)
        await first.settled()
        await second.settled()
        print(
            "after refusal",
            leads(first),
            leads(second),
            (await standing(second)).held,
            (await standing(second)).record.state,
            (await standing(second)).doubted,
        )
        workers.service.allow("items")
        await lead_of(first).look()
        await first.read()
        await first.settled()
        await second.settled()
        for _ in range(3):
            await lead_of(first).look()
            await lead_of(second).look()
            await first.settled()
            await second.settled()
        print((await standing(first)).held, (await standing(first)).record.state)
        await serves(first)


async def test_left_by_one_synchronised_by_another(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        write = first.write("unsubscribe")
        first.acknowledge(write)
        await first.settled()
        asked = asyncio.ensure_future(second.replica.synchronise(SERVICE, NODE))
        async with asyncio.timeout(5):
            while not asked.done():
                await lead_of(first).look()
                await lead_of(second).look()
        await asked


async def test_gone_and_led_synchronise_hangs(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        workers.service.refuse("items", "forbidden", "auth")
        asked = asyncio.ensure_future(lead_of(second).have_settled(second.copy()))
        second.copy().relist = True
        async with asyncio.timeout(5):
            while not asked.done():
                await lead_of(first).look()
                await lead_of(second).look()
        await asyncio.gather(asked, return_exceptions=True)
        await first.settled()
        await second.settled()
        workers.service.allow("items")
        await lead_of(first).look()
        print(
            leads(first),
            leads(second),
            (await standing(first)).held,
            first.copy().record.state,
            second.copy().record.state,
        )
        asked = asyncio.ensure_future(first.replica.synchronise(SERVICE, NODE))
        async with asyncio.timeout(5):
            while not asked.done():
                await lead_of(first).look()
                await lead_of(second).look()
        await asked


async def test_retract_heard_while_looking_is_taken_for_found(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workers.pair() as (first, second):
        workers.service.streams.remove(first.stream)  # the one that follows does not know yet
        database = database_of(second)
        read = database.read
        done = False

        async def reading(statement: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal done
            result = await read(statement, *args, **kwargs)
            if not done:
                done = True
                workers.service.retract(NODE, "a")  # told while the answer is on its way
            return result

        monkeypatch.setattr(database, "read", reading)
        reading_ = second.replica._open.reading
        await reading_._look_at(second.copy())
        assert done
        assert second.copy().awaited
        workers.service.streams.append(first.stream)
        assert await second.served_live() in (None, workers.service.contents(NODE))


async def test_other_analysers(workers: Workers) -> None:
    other = Analyser("other", "other", namespace="urn:nobody", to_sync=True)
    refuses = Analyser("notes", "notes", namespace=NOTE, to_sync=False)
    async with workers.another() as first:
        await first.follow()
        async with workers.another(analysers=(refuses,)) as second:
            second.replica.register_analyser(other)
            await second.settled()
            answer = await first.read()
            assert contents(answer) == workers.service.contents(NODE)
            await lead_of(first).look()
            answer = await first.read()
            assert contents(answer) == workers.service.contents(NODE)


async def test_seize_that_fails(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
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
        for _ in range(5):
            await lead_of(second).look()
            await lead_of(first).look()
            await second.settled()
        problems = []
        if (await standing(first)).record.state is SyncState.LIVE:
            problems.append("still live to the others after the refusal")
        workers.service.allow("items")
        await second.read()
        for _ in range(5):
            await lead_of(second).look()
            await lead_of(first).look()
            await second.settled()
            await first.settled()
        if (await second.read()).origin is not Origin.COPY:
            problems.append("never served again")
        assert not problems


async def test_refusal_met_by_an_overtaken_worker(workers: Workers) -> None:
    async with workers.pair(lease=1.0) as (first, second):
        hang(first)
        await until(lambda: leads(second), second)
        await second.serves_live()
        revive(first)
        assert leads(first)
        workers.service.refuse("items", "forbidden", "auth")
        with pytest.raises(StanzaError):
            await first.read()
        await first.settled()
        await lead_of(second).look()
        await second.settled()
        await lead_of(first).look()
        with pytest.raises(StanzaError):
            await first.read()
        with pytest.raises(StanzaError):
            await second.read()


async def test_a_read_while_opening(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    async with workers.another() as first:
        await first.follow()
        from newsstand.storage.database import open_database

        database = await open_database(workers.url)
        held = asyncio.Event()
        scan = database.scan

        async def scanning(statement: Any, *args: Any, **kwargs: Any) -> Any:
            if statement is leases.look:
                await held.wait()
            return await scan(statement, *args, **kwargs)

        monkeypatch.setattr(database, "scan", scanning)
        stream = Stream(workers.service)
        replica = Replica(stream, settings=Settings(), entry_points=False)
        opening = asyncio.ensure_future(replica.open(database))
        while not replica.is_open:
            await asyncio.sleep(0.01)
        try:
            replica.decide(ItemsRequest(KEY))
            await replica._open.reading.look(ItemsRequest(KEY))
            replica.decide(ItemsRequest(KEY))
        finally:
            held.set()
            await opening
            await replica.close()
            workers.service.streams.remove(stream) if stream in workers.service.streams else None
            await database.close()


async def test_parsing_of_before_the_session_goes_on(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    from newsstand import parsing

    async with workers.another() as first:
        await first.follow()
        node_id = first.copy().record.id
        record = first.copy().record
        await database_of(first).write(lambda conn: items.mark_to_parse(conn, node_id, "another", "0"))
    gate = asyncio.Event()
    original = parsing.Parsing._parse

    async def slow(self: Any, *args: Any) -> Any:
        await gate.wait()
        return await original(self, *args)

    monkeypatch.setattr(parsing.Parsing, "_parse", slow)
    async with workers.another() as only:  # a single process
        await until(lambda: leads(only), only)
        print("busy", only.replica._open.parsing._busy, await database_of(only).read(items.to_parse, node_id, 100))
        gate.set()
        await only.settled()
        left = await database_of(only).read(items.to_parse, node_id, 100)
        assert left == []


async def test_a_write_under_way_while_the_node_is_taken(workers: Workers) -> None:
    async with workers.another() as second:
        async with workers.another() as first:
            await first.follow()
            await second.settled()
            await lead_of(second).look()
            write = second.write("publish", item=("c", "mine"))
        await until(lambda: leads(second), second)
        await second.settled()
        assert second.copy().writing == 1
        second.acknowledge(write)
        assert second.copy().writing == 0


async def test_hints_do_not_keep_looks_away(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    async with workers.another() as only:
        await only.follow()
        looks = 0
        look = leading.Leading.look

        async def counted(self: Any) -> None:
            nonlocal looks
            looks += 1
            await look(self)

        monkeypatch.setattr(leading.Leading, "look", counted)
        for _ in range(30):
            lead_of(only)._hinted(1)
            await asyncio.sleep(0.1)
        assert looks > 5


async def test_a_doubt_is_told_while_the_node_rests(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        first.copy().rest_until = asyncio.get_running_loop().time() + 5
        write = first.write("publish", item=("c", "mine"))
        workers.service.publish(NODE, "c", "mine", told=False)
        first.replica.end_write(write, None)
        await asyncio.sleep(0.5)
        assert (await first.read()).origin is Origin.SERVICE
        assert (await second.replica.get_items(SERVICE, NODE, policy=Policy.ONLY_SERVICE)).origin is Origin.SERVICE
        answer = await second.read()
        assert contents(answer) == workers.service.contents(NODE)


async def test_a_state_that_could_not_be_stored(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    async with workers.another(retry_first=100.0, retry_most=200.0) as first:
        await first.follow()
        context = first.replica._open.context
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
        await lead_of(first)._beat()  # the disk has room again
        print(first.copy().record.state, first.copy().record.reason)
        await first.settled()
        async with workers.another() as second:  # begins only now
            await second.settled()
            answer = await second.read()
            assert contents(answer) == workers.service.contents(NODE)


async def test_rows_of_workers_that_were_killed_go(workers: Workers) -> None:
    async with workers.another() as first:
        await first.follow()
        process = __import__("newsstand.processes").processes.this_process()
        for number in range(5):
            await database_of(first).write(
                leases.beat, f"{number:032x}", JULIET, process, hears=True, shares=True, lease=-10_000_000_000
            )
        for _ in range(3):
            await lead_of(first)._beat()
        assert len(await database_of(first).read(leases.workers)) == 1


async def test_rows_newer_than_the_decision(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    workers.service.nodes[NODE].limit = 2
    async with workers.pair() as (first, second):
        database = database_of(second)
        for name in ("scan",):
            run = getattr(database, name)

            async def running(statement: Any, *args: Any, run: Any = run, **kwargs: Any) -> Any:
                if statement is answers.take_items:
                    workers.service.hold("ids")
                    workers.service.publish(NODE, "c", "new")
                    await first.replica.quiet(first.copy().key)
                return await run(statement, *args, **kwargs)

            monkeypatch.setattr(database, name, running)
        answer = await second.read()
        assert not (answer.origin is Origin.COPY and not answer.stale and len(answer.items) == 3), contents(answer)
        for hold in workers.service._holds.values():
            hold.release()


async def test_the_same_of_one_alone(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    workers.service.nodes[NODE].limit = 2
    async with workers.another() as first:
        await first.follow()
        database = database_of(first)
        run = database.scan

        async def running(statement: Any, *args: Any, **kwargs: Any) -> Any:
            if statement is answers.take_items:
                workers.service.hold("ids")
                workers.service.publish(NODE, "c", "new")
                await first.replica.quiet(first.copy().key)
            return await run(statement, *args, **kwargs)

        monkeypatch.setattr(database, "scan", running)
        answer = await first.read()
        assert not (answer.origin is Origin.COPY and not answer.stale and len(answer.items) == 3), contents(answer)
        for hold in workers.service._holds.values():
            hold.release()


async def test_a_lease_put_off_again_after_it_was_lost(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    async with workers.pair(lease=1.0) as (first, second):
        hang(first)
        await until(lambda: leads(second), second)
        hold = workers.service.hold("items")
        workers.service.publish(NODE, "c", "untold", told=False)
        await second.settled() if False else None
        database = database_of(first)
        scan = database.scan
        found: list[Any] = []

        async def scanning(statement: Any, *args: Any, **kwargs: Any) -> Any:
            if getattr(statement, "__qualname__", "").startswith("Leading._load"):
                found.append(await first.served_live())
            return await scan(statement, *args, **kwargs)

        monkeypatch.setattr(database, "scan", scanning)
        state = (await standing(second)).record.state
        revive(first)
        await lead_of(first)._beat()
        hold.release()
        assert found == [None], (found, state)


async def test_synchronising_before_the_beat(workers: Workers) -> None:
    from newsstand.storage.database import open_database

    database = await open_database(workers.url)
    stream = Stream(workers.service)
    replica = Replica(stream, settings=Settings(), entry_points=False)
    replica.only_when_asked = True
    await replica.open(database)
    try:
        stream.turn(Session.FRESH)
        await replica.synchronise(SERVICE, NODE)
        requests = len(workers.service.requests)
        for turn in (Session.RESUMED, Session.FRESH):
            workers.service.publish(NODE, f"c{turn}", "untold", told=False)
            stream.turn(Session.LOST, turn)
            record = await replica.synchronise(SERVICE, NODE)
            assert record.item_count == len(workers.service.contents(NODE)), turn
    finally:
        await replica.close()
        await database.close()


async def test_who_does_not_follow_does_not_write_what_it_remembers(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workers.pair(retry_first=100.0) as (first, second):
        # the analysers of the second change: it judges anew while the first's row changes
        assert second.copy().record.state is SyncState.LIVE
        # meanwhile the first fails
        workers.service.refuse("items", "internal-server-error", "wait")
        first.copy().relist = True
        first.replica._open.synchroniser.want(first.copy())
        await first.settled()
        assert (await standing(first)).record.state is SyncState.FAILED
        workers.service.publish(NODE, "c", "untold", told=False)
        second.replica.register_analyser(Analyser("more", "more", namespace="urn:more", to_sync=True))
        await second.settled()
        assert (await standing(first)).record.state is SyncState.FAILED


async def test_parsed_while_the_node_is_taken(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    from newsstand import parsing
    from newsstand.storage.database import open_database

    async with workers.another() as first:
        await first.follow()
        node_id = first.copy().record.id
        await database_of(first).write(lambda conn: items.mark_to_parse(conn, node_id, "another", "0"))
    gate = asyncio.Event()
    original = parsing.Parsing._parse

    async def slow(self: Any, *args: Any) -> Any:
        await gate.wait()
        return await original(self, *args)

    monkeypatch.setattr(parsing.Parsing, "_parse", slow)
    database = await open_database(workers.url)
    write = database.write

    async def writing(statement: Any, *args: Any, **kwargs: Any) -> Any:
        if "Leading.take" in getattr(statement, "__qualname__", ""):
            loop = asyncio.get_running_loop()

            def many(conn: Any) -> Any:
                loop.call_soon_threadsafe(gate.set)  # parsed while many nodes are taken
                __import__("time").sleep(0.2)
                return statement(conn)

            return await write(many)
        return await write(statement, *args, **kwargs)

    monkeypatch.setattr(database, "write", writing)
    async with at_work(database, workers.service) as only:
        await until(lambda: leads(only), only)
        await only.settled()
        left = await database.read(items.to_parse, node_id, 100)
        assert left == []
    await database.close()


@pytest.mark.parametrize("turn", [Session.RESUMED, Session.FRESH])
async def test_synchronising_before_the_beat(workers: Workers, turn: Session) -> None:
    from newsstand.storage.database import open_database

    database = await open_database(workers.url)
    stream = Stream(workers.service)
    replica = Replica(stream, settings=Settings(), entry_points=False)
    replica.register_analyser(NOTES)
    replica.only_when_asked = True
    await replica.open(database)
    try:
        stream.turn(Session.FRESH)
        await replica.synchronise(SERVICE, NODE)
        workers.service.publish(NODE, "c", "untold", told=False)
        stream.turn(Session.LOST, turn)
        record = await replica.synchronise(SERVICE, NODE)
        assert record.item_count == len(workers.service.contents(NODE))
    finally:
        await replica.close()
        await database.close()


async def test_giving_up_fails(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    workers.service.create("other", "a")
    async with workers.another() as first:
        await first.follow()
        await first.follow("other")
        database = database_of(first)
        write = database.write

        async def writing(statement: Any, *args: Any, **kwargs: Any) -> Any:
            if statement is leases.give_up:
                raise DatabaseError("locked")
            return await write(statement, *args, **kwargs)

        monkeypatch.setattr(database, "write", writing)
        async with workers.another() as second, workers.another() as third:
            third.stream.turn(Session.LOST)  # reads offline what others follow
            await third.settled()
            await until(lambda: leads(first, NODE) != leads(first, "other"), first)
            given = NODE if not leads(first, NODE) else "other"
            workers.service.publish(given, "c", "new")
            await first.settled()
            await asyncio.sleep(0.1)
            answer = await third.read(given)
            assert answer.stale or contents(answer) == workers.service.contents(given)


async def test_lease_lost_comes_out_of_synchronise(workers: Workers) -> None:
    async with workers.another() as second:
        async with workers.another() as first:
            await first.follow()
            await lead_of(second).look()
        async with workers.another() as third:
            lead_of(second)._stop("look")
            await until(lambda: leads(third), third)
            asked = asyncio.ensure_future(second.replica.synchronise(SERVICE, NODE))
            async with asyncio.timeout(10):
                while not asked.done():
                    await lead_of(third).look()
                    await asyncio.sleep(0.01)
            await asked


async def test_a_beat_during_the_end(workers: Workers) -> None:
    async with workers.another() as first:
        await first.follow()
        context = first.replica._open.context
        lead = lead_of(first)
        close = context.close

        async def closing() -> None:
            await close()
            lead._context.spawn(lead._beat(), "going on")  # its timer, due just now

        context.close = closing  # type: ignore[method-assign]
        await first.replica.close()
        await asyncio.sleep(0.2)
        rows = await context.database.read(leases.workers)
        assert [row.id for row in rows] == []


async def test_what_was_given_up_is_not_taken_again(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"node {number}" for number in range(6)]
    for name in names:
        workers.service.create(name, "a")
    async with workers.another() as first:
        for name in names:
            await first.read(name)
        await first.settled()
        async with workers.another() as second:
            lead_of(second)._stop("look")
            lead_of(first)._stop("look")
            await lead_of(first).look()
            for _ in range(20):
                await asyncio.sleep(0.01)
            wrong = []
            for name in names:
                copy = first.copy(name)
                held = (await standing(first, name)).held
                if copy.led and held.leader != lead_of(first).worker:
                    wrong.append((name, held, copy.generation, copy.record.state))
            assert not wrong, wrong


async def test_two_that_serve_as_live_what_one_follows(workers: Workers) -> None:
    names = [f"node {number}" for number in range(6)]
    for name in names:
        workers.service.create(name, "a")
    async with workers.another() as first:
        for name in names:
            await first.read(name)
        await first.settled()
        async with workers.another() as second:
            await second.settled()
            await lead_of(first).look()
            await first.settled()
            await lead_of(second).look()
            both = [name for name in names if leads(first, name) and leads(second, name)]
            assert not both, [
                (n, first.copy(n).record.state, first.copy(n).generation, second.copy(n).generation) for n in both
            ]


async def test_and_it_is_served_by_both(workers: Workers) -> None:
    names = [f"node {number}" for number in range(6)]
    for name in names:
        workers.service.create(name, "a")
    async with workers.another() as first:
        for name in names:
            await first.read(name)
        await first.settled()
        async with workers.another() as second:
            await second.settled()
            await lead_of(first).look()
            await first.settled()
            hold = workers.service.hold("items")
            await lead_of(second).look()
            wrong = []
            for n in names:
                state = (await standing(first, n)).record.state
                if state is not SyncState.LIVE and await first.served_live(n) is not None:
                    wrong.append((n, state))
            hold.release()
            assert not wrong, wrong
