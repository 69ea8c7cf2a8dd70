"""Several workers on one database: each node is followed by one of them, and any of them answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from newsstand.errors import LeaseLost, StanzaError
from newsstand.model import Origin, Policy, SyncState
from newsstand.rules.reconcile import Remove
from newsstand.storage.statements import items
from newsstand.workers import polling
from newsstand.xmpp.transport import Session
from tests.contract._workers import (
    Workers,
    asks,
    database_of,
    die,
    hang,
    ownership_of,
    owns,
    revive,
    run_out,
    serves,
    standing,
    until,
)
from tests.fakes.hold import SECONDS
from tests.fakes.program import NODE, contents
from tests.fakes.service import SERVICE

# Reading ---------------------------------------------------------------------------------------------------------


async def test_a_node_is_followed_once_and_read_by_all(workers: Workers) -> None:
    async with workers.pair() as (_, second):
        requests = len(workers.service.requests)
        await serves(second)
        assert len(workers.service.requests) == requests
        assert second.copy().record.state is SyncState.LIVE


async def test_what_is_told_is_in_the_next_read_of_whoever_was_told(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        for number in range(10):
            workers.service.publish(NODE, f"n{number}", "new")
            assert contents(await second.read()) == workers.service.contents(NODE)
            workers.service.publish(NODE, "a", f"changed {number}")
            assert contents(await second.read()) == workers.service.contents(NODE)
            workers.service.retract(NODE, f"n{number}")
            assert contents(await second.read()) == workers.service.contents(NODE)
        await first.settled()
        await until(lambda: not second.copy().elsewhere.awaited, second)
        await serves(second)


async def test_evicted_items_are_not_served_by_others_while_they_are_looked_up(workers: Workers) -> None:
    workers.service.nodes[NODE].limit = 2
    async with workers.pair() as (first, second):
        hold = workers.service.hold("ids")
        workers.service.publish(NODE, "c", "new")
        await hold.reached()
        await first.copy().inbox.quiet()
        await asks(second)
        hold.release()
        await first.settled()
        await serves(second)
        assert (await standing(second)).doubted is False


async def test_what_the_one_that_follows_did_not_hear_is_handed_to_it(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "AWAITED", 0.0)
    async with workers.pair() as (first, second):
        workers.service.streams.remove(first.stream)
        workers.service.publish(NODE, "a", "told to the second alone")
        workers.service.streams.append(first.stream)
        await asks(second)
        await until(lambda: not second.copy().elsewhere.awaited, second)
        await asks(second)
        await second.settled()
        await ownership_of(first).polling.poll()
        await first.settled()
        await serves(first)
        await serves(second)


@pytest.mark.parametrize("told", [True, False])
async def test_an_own_write_is_in_the_next_read_of_whoever_wrote_it(
    workers: Workers, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "AWAITED", SECONDS if told else 0.0)
    async with workers.pair() as (first, second):
        workers.service.streams.remove(second.stream)
        write = second.write("publish", item=("c", "mine"))
        workers.service.publish(NODE, "c", "mine", told=told)
        second.acknowledge(write)
        workers.service.streams.append(second.stream)
        answer = await second.read()
        assert ("c", "mine") in contents(answer)
        await until(lambda: not second.copy().elsewhere.awaited, second)
        assert ("c", "mine") in contents(await second.read())
        await second.settled()
        await ownership_of(first).polling.poll()
        await first.settled()
        await serves(second)


async def test_nobody_serves_while_the_one_that_follows_hears_nothing(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        first.stream.turn(Session.LOST)
        await first.settled()
        await asks(second)
        first.stream.turn(Session.RESUMED)
        await first.settled()
        await serves(second)
        assert owns(first)


async def test_a_fresh_session_makes_nobody_believe_what_was_before(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        workers.service.publish(NODE, "c", "untold", told=False)
        hold = workers.service.hold("items")
        first.stream.turn(Session.LOST, Session.FRESH)
        await hold.reached()
        assert (await standing(second)).record.state is not SyncState.LIVE
        hold.release()
        await first.settled()
        await serves(second)


async def test_a_database_may_be_read_offline_while_another_follows(workers: Workers) -> None:
    async with workers.pair() as (_, second):
        second.stream.turn(Session.LOST)
        await second.settled()
        await serves(second)


# Refusals, purges, verbs -----------------------------------------------------------------------------------------


async def test_a_refusal_that_one_meets_closes_the_node_for_all(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        workers.service.refuse("items", "forbidden", "auth")
        with pytest.raises(StanzaError):
            await second.replica.get_items(SERVICE, NODE, policy=Policy.ONLY_SERVICE)
        with pytest.raises(StanzaError):
            await second.read()
        await second.settled()
        assert second.copy().record.state is SyncState.GONE
        await until(lambda: not owns(first), first)
        with pytest.raises(StanzaError):
            await first.read()
        workers.service.allow("items")
        await first.read()
        await first.settled()
        await until(lambda: first.copy().record.state is SyncState.LIVE, first)  # whoever of them follows it now
        await serves(first)
        await serves(second)


async def test_what_one_purges_no_other_serves(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        await second.replica.purge(SERVICE, NODE)
        before = len(workers.service.requests)
        answer = await first.read()
        assert answer.origin is Origin.SERVICE
        assert len(workers.service.requests) > before
        await first.settled()
        await first.read()
        await first.serves_live()


async def test_synchronising_is_left_to_the_one_that_follows(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        workers.service.publish(NODE, "c", "untold", told=False)
        asked = asyncio.ensure_future(second.replica.synchronise(SERVICE, NODE))
        await until(asked.done, first)
        record = await asked
        assert (record.state, record.item_count) == (SyncState.LIVE, 3)
        await serves(first)
        assert (owns(first), owns(second)) == (True, False)


async def test_synchronising_tells_why_the_one_that_follows_could_not(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        workers.service.refuse("items", "internal-server-error", "wait")
        asked = asyncio.ensure_future(second.replica.synchronise(SERVICE, NODE))
        await until(asked.done, first)
        with pytest.raises(Exception, match="internal-server-error"):
            await asked


async def test_a_difference_that_one_finds_is_mended_by_the_one_that_follows(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        node_id = first.copy().record.id
        await database_of(second).write(items.apply, node_id, [Remove(("a",))], 1)
        asked = asyncio.ensure_future(second.replica.verify(SERVICE, NODE, repair=True))
        await until(asked.done, first)
        assert (await asked).repaired
        await serves(first)


async def test_changes_are_watched_from_any_worker_that_the_database_does_not_notify(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling.Polling, "database_notified", lambda self, node_id: None)
    async with workers.pair() as (first, second):
        changes = second.replica.watch(SERVICE, NODE)
        for number in range(5):
            workers.service.publish(NODE, f"n{number}", "new")
            await first.settled()
            next_one = asyncio.ensure_future(anext(changes))
            await until(next_one.done, second)
            assert (await next_one).item_id == f"n{number}"


# Taking over -----------------------------------------------------------------------------------------------------


async def test_what_a_worker_that_closes_followed_another_follows(workers: Workers) -> None:
    async with workers.another() as second:
        async with workers.another() as first:
            await first.follow()
        workers.service.publish(NODE, "c", "told to nobody")
        await until(lambda: owns(second), second)
        await second.serves_live()
        assert (await standing(second)).lease.leader == ownership_of(second).worker


async def test_what_a_worker_followed_whose_process_ended_is_nobodys_at_once(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        die(first)
        workers.service.publish(NODE, "c", "told to the second, but not to the first")
        answer = await second.read()
        assert answer.origin is Origin.SERVICE
        await until(lambda: owns(second), second)
        await second.serves_live()
        revive(first)


async def test_a_new_worker_does_not_believe_one_whose_process_ended(workers: Workers) -> None:
    async with workers.another() as first:
        await first.follow()
        die(first)
        workers.service.publish(NODE, "c", "told to nobody")
        async with workers.another() as second:
            assert second.copy().record.state is not SyncState.LIVE
            await second.serves_live()
        revive(first)


async def test_a_worker_that_hangs_is_followed_by_another_when_its_lease_is_over(workers: Workers) -> None:
    lease = 1.0
    async with workers.pair(lease=lease) as (first, second):
        hang(first)
        hung = asyncio.get_running_loop().time()
        async with asyncio.timeout(SECONDS):
            while not owns(second):
                await ownership_of(second).polling.polled.wait()
        took = asyncio.get_running_loop().time() - hung
        assert took < lease + polling.EVERY + 1.0
        await second.serves_live()
        revive(first)


async def test_what_was_begun_under_an_earlier_generation_is_not_stored(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        await run_out(first)
        await until(lambda: owns(second), second)
        await second.serves_live()
        record, copy = (await standing(second)).record, first.copy()
        storing = ownership_of(first).storing
        assert copy.lease.ours  # it does not know better yet
        writes: list[Callable[[], Awaitable[Any]]] = [
            lambda: storing.write(copy, items.apply, copy.record.id, [Remove(("a",))], 1),
            lambda: storing.save(copy, state=SyncState.FAILED),
        ]
        for write in writes:
            with pytest.raises(LeaseLost):
                await write()
        assert (await standing(second)).record == record
        assert not owns(first)
        revive(first)
        await serves(first)
        await serves(second)


async def test_news_that_reach_one_that_was_overtaken_change_nothing(workers: Workers) -> None:
    async with workers.pair() as (first, second):
        await run_out(first)
        await until(lambda: owns(second), second)
        await second.serves_live()
        revive(first)
        workers.service.streams.remove(second.stream)
        workers.service.publish(NODE, "c", "told to the first alone")
        workers.service.streams.append(second.stream)
        await first.settled()
        assert not owns(first)
        assert ("c", "told to the first alone") not in contents(await second.read())  # nor could it know
        await first.read()


async def test_a_lease_that_is_over_vouches_for_nothing(workers: Workers) -> None:
    async with workers.another() as first:
        await first.follow()
        await run_out(first)  # nothing tells so
        await asks(first)
        revive(first)
        await ownership_of(first).heartbeat.renew()
        await serves(first)


# Sharing ---------------------------------------------------------------------------------------------------------


async def test_workers_share_what_there_is(workers: Workers) -> None:
    nodes = [f"node {number}" for number in range(12)]
    for node in nodes:
        workers.service.create(node, "a")
    async with workers.another() as first:
        for node in nodes:
            await first.read(node)
        await first.settled()
        async with workers.another() as second, workers.another() as third:
            programs = (first, second, third)

            def parts() -> list[int]:
                return [sum(owns(program, node) for node in nodes) for program in programs]

            async with asyncio.timeout(SECONDS):
                while sorted(parts()) != [4, 4, 4]:
                    for program in programs:
                        await ownership_of(program).polling.poll()
                        await program.settled()
            for program in programs:
                await program.settled()
            for node in nodes:
                assert sum(owns(program, node) for program in programs) == 1
                for program in programs:
                    await program.serves_live(node)


async def test_a_node_that_two_read_at_once_is_one_node(workers: Workers) -> None:
    async with workers.another() as first, workers.another() as second:
        await asyncio.gather(first.read(), second.read())
        await first.settled()
        await second.settled()
        await first.read()
        await second.read()
        await until(lambda: owns(first) or owns(second), first)
        await until(lambda: owns(first) != owns(second), second)
        await (first if owns(first) else second).settled()
        await serves(first)
        await serves(second)
