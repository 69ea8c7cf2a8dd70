"""Who follows which node, as the database keeps it; and doubts."""

from __future__ import annotations

import dataclasses

import pytest

from newsstand.errors import LeaseLost
from newsstand.model import NodeRecord, SyncState
from newsstand.storage.database import Database
from newsstand.storage.statements import doubt_rows, nodes, owners, polls
from newsstand.storage.statements.doubt_rows import WHOLE
from newsstand.storage.statements.owners import LeaseRow, WorkerRow
from newsstand.workers.processes import this_process
from tests.contract._storage import NOW, apply, make_node, put

ACCOUNT = "juliet@example.org"
SECOND = 1_000_000
FIRST_WORKER, SECOND_WORKER, THIRD_WORKER = "a" * 32, "b" * 32, "c" * 32


async def renew(database: Database, worker: str, *, lease: int = 60 * SECOND, notified: bool = True) -> None:
    await database.write(
        owners.renew_lease, worker, ACCOUNT, this_process(), notified=notified, shares=True, lease=lease
    )


async def take(database: Database, worker: str, *node_ids: int, most: int | None = None) -> list[LeaseRow]:
    return await database.write(owners.acquire, worker, node_ids, lambda row: row.left > 0, most)


async def standing(database: Database, node_id: int) -> polls.Standing:
    found = await database.read(polls.standing, node_id)
    assert found is not None
    return found


async def test_a_worker_is_there_until_its_time_is_over(database: Database) -> None:
    await renew(database, FIRST_WORKER)
    await renew(database, SECOND_WORKER, lease=-SECOND, notified=False)
    found = {row.id: row for row in await database.read(owners.workers)}
    first, second = found[FIRST_WORKER], found[SECOND_WORKER]
    assert 50 * SECOND < first.left <= 60 * SECOND
    assert second.left <= -SECOND
    assert first._replace(left=0) == WorkerRow(FIRST_WORKER, ACCOUNT, this_process(), True, True, 0)
    assert not second.notified
    await renew(database, SECOND_WORKER)
    assert {row.id: row.left > 0 for row in await database.read(owners.workers)} == dict.fromkeys(found, True)


async def test_what_nobody_follows_can_be_taken_and_each_taking_is_another_generation(
    database: Database, node: NodeRecord
) -> None:
    await renew(database, FIRST_WORKER)
    await renew(database, SECOND_WORKER)
    assert await take(database, FIRST_WORKER, node.id) == [LeaseRow(node.id, 1, FIRST_WORKER)]
    assert await take(database, FIRST_WORKER, node.id) == [LeaseRow(node.id, 1, FIRST_WORKER)]
    assert await take(database, SECOND_WORKER, node.id) == []
    await database.write(owners.remove_worker, FIRST_WORKER)
    assert (await standing(database, node.id)).lease == LeaseRow(node.id, 1, None)
    assert await take(database, SECOND_WORKER, node.id) == [LeaseRow(node.id, 2, SECOND_WORKER)]
    await renew(database, SECOND_WORKER, lease=-1)
    assert await take(database, THIRD_WORKER, node.id) == [LeaseRow(node.id, 3, THIRD_WORKER)]


async def test_no_more_is_taken_than_is_wanted(database: Database) -> None:
    ids = [(await make_node(database, name=f"node {number}")).id for number in range(5)]
    assert len(await take(database, FIRST_WORKER, *ids, most=2)) == 2
    assert len(await take(database, SECOND_WORKER, *ids, most=10)) == 5  # the first has no row: it is not at work
    await renew(database, SECOND_WORKER)
    assert await take(database, FIRST_WORKER, *ids) == []
    await database.write(owners.release, SECOND_WORKER, ids[:3])
    await database.write(owners.release, FIRST_WORKER, ids)  # not its own to give up
    assert [held.node_id for held in await take(database, FIRST_WORKER, *ids)] == ids[:3]


async def test_a_node_that_changes_hands_is_not_live(database: Database, node: NodeRecord) -> None:
    for state, after in [
        (SyncState.LIVE, SyncState.STALE),
        (SyncState.SYNCING, SyncState.STALE),
        (SyncState.FAILED, SyncState.FAILED),
        (SyncState.GONE, SyncState.GONE),
    ]:
        for taking in (owners.seize, owners.acquire):
            await database.write(owners.release, FIRST_WORKER, [node.id])
            [record] = await database.read(nodes.load, [node.id])
            await database.write(nodes.save, _in_state(record, state))
            if taking is owners.seize:
                assert await database.write(owners.seize, FIRST_WORKER, node.id) is not None
            else:
                await take(database, FIRST_WORKER, node.id)
            assert (await standing(database, node.id)).record.state is after


def _in_state(record: NodeRecord, state: SyncState) -> NodeRecord:
    return dataclasses.replace(record, state=state)


async def test_seizing_asks_nobody(database: Database, node: NodeRecord) -> None:
    await renew(database, FIRST_WORKER)
    await take(database, FIRST_WORKER, node.id)
    assert await database.write(owners.seize, SECOND_WORKER, node.id) == LeaseRow(node.id, 2, SECOND_WORKER)
    assert await database.write(owners.seize, SECOND_WORKER, node.id) == LeaseRow(node.id, 2, SECOND_WORKER)
    assert await database.write(owners.seize, SECOND_WORKER, node.id + 1) is None


async def test_a_generation_that_is_over_is_refused(database: Database, node: NodeRecord) -> None:
    await database.read(owners.check, node.id, 0, None)
    await take(database, FIRST_WORKER, node.id)
    await database.read(owners.check, node.id, 1, FIRST_WORKER)
    for node_id, generation, leader in [
        (node.id, 0, FIRST_WORKER),
        (node.id, 2, FIRST_WORKER),
        (node.id, 1, SECOND_WORKER),
        (node.id, 1, None),
        (node.id + 1, 0, None),
    ]:
        with pytest.raises(LeaseLost):
            await database.read(owners.check, node_id, generation, leader)


async def test_how_a_node_stands_tells_who_follows_it(database: Database, node: NodeRecord) -> None:
    assert await standing(database, node.id) == polls.Standing(node, LeaseRow(node.id, 0, None), None, doubted=False)
    await renew(database, FIRST_WORKER)
    await take(database, FIRST_WORKER, node.id)
    found = await standing(database, node.id)
    assert found.worker is not None
    assert found.worker.id == FIRST_WORKER
    assert found.worker.process == this_process()
    assert 50 * SECOND < found.worker.left <= 60 * SECOND
    await database.write(owners.session_lost, FIRST_WORKER)
    found = await standing(database, node.id)
    assert found.worker is not None
    assert not found.worker.notified
    assert await database.read(polls.standing, node.id + 1) is None


async def test_a_doubt_is_settled_by_its_number(database: Database, node: NodeRecord) -> None:
    first = await database.write(doubt_rows.raise_doubts, node.id, ["a", WHOLE])
    assert [doubt.item_id for doubt in first] == ["a", WHOLE]
    assert (await standing(database, node.id)).doubted
    again = await database.write(doubt_rows.raise_doubts, node.id, ["a"])
    assert again[0].number > first[0].number
    await database.write(doubt_rows.settle, first)
    assert await database.read(doubt_rows.doubts_of, [node.id]) == again
    await database.write(doubt_rows.settle, again)
    assert not (await standing(database, node.id)).doubted
    once_more = await database.write(doubt_rows.raise_doubts, node.id, ["a"])
    assert once_more[0].number > again[0].number, "a number never comes again"


async def test_doubts_go_with_their_node(database: Database, node: NodeRecord) -> None:
    await database.write(doubt_rows.raise_doubts, node.id, [WHOLE])
    await database.write(nodes.remove, node.id)
    assert await database.read(doubt_rows.doubts_of, [node.id]) == []
    assert await database.write(doubt_rows.raise_doubts, node.id, [WHOLE]) == []


async def test_looking_around_shows_all_nodes_and_the_doubts_of_the_own(database: Database, node: NodeRecord) -> None:
    other = await make_node(database, name="another")
    await renew(database, FIRST_WORKER)
    await take(database, FIRST_WORKER, node.id)
    await database.write(doubt_rows.raise_doubts, other.id, [WHOLE])
    mine = await database.write(doubt_rows.raise_doubts, node.id, ["a"])
    poll = await database.scan(polls.poll, FIRST_WORKER)
    assert [row.id for row in poll.workers] == [FIRST_WORKER]
    assert sorted(poll.leases) == [LeaseRow(node.id, 1, FIRST_WORKER), LeaseRow(other.id, 0, None)]
    assert poll.rows[other.id] == (other.revision, other.state.value, None)
    assert poll.doubts == mine


async def test_a_look_that_builds_on_an_earlier_one_sees_the_same(database: Database, node: NodeRecord) -> None:
    other = await make_node(database, name="another")

    async def in_states(first: SyncState, second: SyncState) -> None:
        for record, state in zip(await database.read(nodes.load, [node.id, other.id]), (first, second), strict=True):
            await database.write(nodes.save, _in_state(record, state))

    before = await database.scan(polls.poll, FIRST_WORKER)
    for change in (
        lambda: renew(database, FIRST_WORKER),
        lambda: take(database, FIRST_WORKER, node.id, other.id),
        lambda: in_states(SyncState.LIVE, SyncState.STALE),
        lambda: in_states(SyncState.STALE, SyncState.LIVE),  # they change places
        lambda: database.write(nodes.note_read, node.id, NOW),
        lambda: apply(database, node, put("a")),
        lambda: database.write(doubt_rows.raise_doubts, node.id, [WHOLE]),
        lambda: database.write(owners.seize, SECOND_WORKER, node.id),
        lambda: database.write(owners.release, SECOND_WORKER, [node.id]),
        lambda: database.write(owners.remove_worker, FIRST_WORKER),
        lambda: database.write(nodes.remove, other.id),
        lambda: make_node(database, name="another"),
    ):
        await change()
        now = await database.scan(polls.poll, FIRST_WORKER)
        then = await database.scan(polls.poll, FIRST_WORKER, before)
        assert (then.leases, then.rows, then.doubts) == (now.leases, now.rows, now.doubts)
        again = await database.scan(polls.poll, FIRST_WORKER, then)
        assert again.leases is then.leases
        before = then


async def test_of_a_fresh_session_nothing_that_the_worker_follows_is_live(database: Database, node: NodeRecord) -> None:
    other = await make_node(database, name="another")
    await take(database, FIRST_WORKER, node.id)
    for record in (node, other):
        [known] = await database.read(nodes.load, [record.id])
        await database.write(nodes.save, _in_state(known, SyncState.LIVE))
    await database.write(owners.mark_stale, FIRST_WORKER, "this one", [other.id])  # which is not its own
    await database.write(owners.mark_stale, FIRST_WORKER, "a new session began", None)
    found = (await standing(database, node.id)).record
    assert (found.state, found.reason) == (SyncState.STALE, "a new session began")
    assert (await standing(database, other.id)).record.state is SyncState.LIVE


async def test_a_node_is_begun_once(database: Database, node: NodeRecord) -> None:
    known, held, made = await database.write(owners.begin_node, NodeRecord(0, node.key, state=SyncState.LIVE))
    assert (known, held, made) == (node, LeaseRow(node.id, 0, None), False)
    key = node.key._replace(node="another")
    known, held, made = await database.write(owners.begin_node, NodeRecord(0, key))
    assert made
    assert known.id == held.node_id != node.id
