"""A watcher is told each change of a copy once, in order, whenever it comes and however slow it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from xml.etree.ElementTree import Element

import pytest

from newsstand import Change, Replica
from newsstand.errors import ChangesLost, NotInCopy, StanzaError
from newsstand.model import ItemsRequest, NodeKey
from newsstand.serving.watching import BATCH
from newsstand.storage.database import Database
from newsstand.storage.mapping import PubsubItem
from newsstand.storage.statements import change_log, nodes
from newsstand.xmpp.transport import Session
from tests.fakes.hold import SECONDS
from tests.fakes.program import NODE, Program, at_work
from tests.fakes.service import JULIET, SERVICE, Service

Told = tuple[str, str]


@pytest.fixture
async def program(database: Database) -> AsyncIterator[Program]:
    """It follows a node of three items."""
    service = Service()
    service.create(NODE, "a", "b", "c")
    async with at_work(database, service) as program:
        await program.follow()
        yield program


def watch(program: Program, since: int | None = None) -> AsyncIterator[Change]:
    return program.replica.watch(SERVICE, NODE, since)


async def told(changes: AsyncIterator[Change], count: int) -> list[Told]:
    """The next so many."""
    found: list[Told] = []
    async with asyncio.timeout(SECONDS):
        while len(found) < count:
            change = await anext(changes)
            found.append((change.kind.value, change.item_id))
    return found


async def nothing_more(program: Program, changes: AsyncIterator[Change]) -> None:
    """What comes next is what happens next."""
    program.service.publish(NODE, "marker", str(asyncio.get_running_loop().time()))
    assert await told(changes, 1) == [("put", "marker")]


async def test_changes_are_told_as_they_are_committed(program: Program) -> None:
    changes = watch(program)
    program.service.publish(NODE, "d", "new")
    assert await told(changes, 1) == [("put", "d")]
    waiting = asyncio.ensure_future(told(changes, 2))
    program.service.publish(NODE, "a", "again")
    program.service.retract(NODE, "b")
    assert sorted(await waiting) == [("put", "a"), ("retract", "b")]
    await program.serves_live()


async def test_a_change_between_the_call_and_the_first_wait_is_told(program: Program) -> None:
    program.service.publish(NODE, "early", "before the call")
    await program.settled()
    changes = watch(program)
    program.service.publish(NODE, "d", "after the call")
    await program.settled()
    assert await told(changes, 1) == [("put", "d")]
    await nothing_more(program, changes)


async def test_nothing_is_lost_or_doubled_between_the_log_and_what_is_live(program: Program) -> None:
    since = program.copy().record.revision
    for number in range(40):
        program.service.publish(NODE, f"i{number}", "before")
    changes = watch(program, since)
    found: list[Told] = []
    for number in range(40, 120):
        program.service.publish(NODE, f"i{number}", "meanwhile")
        if number % 3 == 0:
            found += await told(changes, 1)
    found += await told(changes, 120 - len(found))
    # Within a revision the order is nobody's; each comes once.
    assert sorted(found) == sorted(("put", f"i{number}") for number in range(120))
    await nothing_more(program, changes)


async def test_a_watcher_goes_on_from_the_revision_of_a_change(program: Program) -> None:
    changes = watch(program)
    program.service.publish(NODE, "d", "one")
    await program.settled()
    program.service.publish(NODE, "e", "two")
    await program.settled()
    first = await anext(changes)
    again = watch(program, first.revision)
    assert await told(again, 1) == [("put", "e")]
    await nothing_more(program, again)


async def test_more_than_is_read_at_a_time_is_told_whole(program: Program) -> None:
    since = program.copy().record.revision
    count = BATCH * 2 + 7
    program.stream.turn(Session.LOST)
    for number in range(count):
        program.service.publish(NODE, f"i{number}", "while away")
    program.stream.turn(Session.FRESH)
    await program.serves_live()  # by a listing: all in one revision
    changes = watch(program, since)
    assert sorted(await told(changes, count)) == sorted(("put", f"i{number}") for number in range(count))
    await nothing_more(program, changes)


async def test_what_a_listing_finds_is_told(program: Program) -> None:
    changes = watch(program)
    program.stream.turn(Session.LOST)
    program.service.publish(NODE, "d", "while away")
    program.service.retract(NODE, "a")
    program.stream.turn(Session.FRESH)
    await program.settled()
    assert sorted(await told(changes, 2)) == [("put", "d"), ("retract", "a")]


async def test_what_a_program_changes_by_itself_is_told(program: Program) -> None:
    changes = watch(program)
    waiting = asyncio.ensure_future(told(changes, 1))
    async with program.replica.session() as session:
        await session.delete(await session.get(PubsubItem, PubsubItem.key(program.copy().record.id, "b")))
        await session.commit()
    assert await waiting == [("retract", "b")]


async def test_several_watchers_are_told_alike(program: Program) -> None:
    one, two = watch(program), watch(program)
    program.service.purge(NODE)
    assert sorted(await told(one, 3)) == sorted(await told(two, 3))


async def test_who_knows_nothing_yet_is_told_all_since_the_copy_was_begun(program: Program) -> None:
    program.service.create("second", "x", "y")
    await program.follow("second")
    assert program.copy("second").record.revision > program.copy().record.revision + 1
    changes = program.replica.watch(SERVICE, "second", 0)
    assert sorted(await told(changes, 2)) == [("put", "x"), ("put", "y")]


# Where it cannot go on ------------------------------------------------------------------------------------------


async def refused(changes: AsyncIterator[Change]) -> str:
    with pytest.raises(ChangesLost) as error:
        async with asyncio.timeout(SECONDS):
            await anext(changes)
    return str(error.value)


async def test_a_pruned_log_is_told(program: Program, database: Database) -> None:
    since = program.copy().record.revision
    for number in range(3):
        program.service.publish(NODE, f"i{number}", "x")
        await program.settled()
    now = program.replica._open.context.clock()
    await database.write(change_log.prune, now + 1)
    assert "the log was pruned" in await refused(watch(program, since))
    await nothing_more(program, watch(program))  # from now on it is whole


async def test_pruning_what_a_watcher_has_seen_costs_it_nothing(program: Program, database: Database) -> None:
    changes = watch(program)
    program.service.publish(NODE, "d", "x")
    assert await told(changes, 1) == [("put", "d")]
    waiting = asyncio.ensure_future(told(changes, 1))
    await program.settled()
    await database.write(change_log.prune, program.replica._open.context.clock() + 1)
    program.service.publish(NODE, "e", "x")
    assert await waiting == [("put", "e")]


async def test_a_node_that_is_deleted_is_told_to_who_watches_and_who_comes_back(program: Program) -> None:
    changes = watch(program)
    since = program.copy().record.revision
    waiting = asyncio.ensure_future(refused_after_retracts(changes))
    program.service.delete(NODE)
    assert "the node was deleted" in await waiting
    program.service.create(NODE, "z")
    await program.follow()
    assert "begun anew" in await refused(watch(program, since))


async def refused_after_retracts(changes: AsyncIterator[Change]) -> str:
    """The items may be told to be gone first."""
    try:
        async for change in changes:
            assert change.kind == "retract"
    except ChangesLost as error:
        return str(error)
    raise AssertionError("it ended without a word")


async def test_a_copy_that_is_purged_is_told_to_who_watches_and_who_comes_back(program: Program) -> None:
    program.service.publish(NODE, "d", "x")
    await program.settled()
    since = program.copy().record.revision
    waiting = asyncio.ensure_future(refused(watch(program)))
    await asyncio.sleep(0)
    await program.replica.purge(SERVICE, NODE)
    assert "its copy was dropped" in await waiting
    await program.follow()
    assert "begun anew" in await refused(watch(program, since))


@pytest.mark.parametrize("since", [10**6, 2**40])
async def test_a_revision_that_never_was_is_told(program: Program, since: int) -> None:
    assert f"after revision {since} are not known" in await refused(watch(program, since))


async def test_what_is_not_followed_cannot_be_watched(program: Program) -> None:
    with pytest.raises(NotInCopy, match="synchronise it first"):
        program.replica.watch(SERVICE, "elsewhere")


async def test_a_watcher_ends_with_its_replica(program: Program) -> None:
    waiting = asyncio.ensure_future(anext(watch(program), None))
    await asyncio.sleep(0)
    await program.replica.close()
    async with asyncio.timeout(SECONDS):
        assert await waiting is None


async def test_a_copy_is_watched_without_a_connection(program: Program, database: Database) -> None:
    since = program.copy().record.revision
    program.service.publish(NODE, "d", "x")
    await program.settled()
    offline = Replica()
    await offline.open(database)
    try:
        assert await told(offline.watch(SERVICE, NODE, since, account=JULIET), 1) == [("put", "d")]
    finally:
        await offline.close()


async def test_a_log_is_pruned_from_its_beginning_even_if_the_clock_went_back(
    program: Program, database: Database
) -> None:
    record = program.copy().record
    await database.write(change_log.prune, 0)
    since = record.revision
    for item_id in ("x", "y", "z"):
        program.service.publish(NODE, item_id, "x")
        await program.settled()
    node_id = record.id
    await database.write(
        lambda conn: conn.exec_driver_sql(
            f"UPDATE newsstand_change SET at = 1 WHERE item_id = 'y' AND node_id = {node_id}"
        )
    )
    await database.write(change_log.prune, 2)
    assert "the log was pruned" in await refused(watch(program, since))
    assert await database.read(change_log.current_revision, node_id) == since + 3
    assert await database.read(change_log.current_revision, 999) is None
    assert nodes.first_revision(node_id) <= since


@pytest.mark.parametrize("how", ["refused", "purged", "deleted"])
async def test_a_slow_watcher_is_told_nothing_more_once_the_node_is_closed(program: Program, how: str) -> None:
    """Though it was read with what it was told before."""
    since = program.copy().record.revision
    for number in range(10):
        program.service.publish(NODE, f"i{number}", "new")
    await program.settled()
    changes = watch(program, since)
    assert len(await told(changes, 2)) == 2
    match how:
        case "refused":
            refuse(program)
        case "purged":
            await program.replica.purge(SERVICE, NODE)
        case _:
            program.service.delete(NODE)
            await program.settled()
    with pytest.raises(ChangesLost):
        await anext(changes)


async def test_a_watcher_in_another_process_is_told_nothing_of_a_node_that_was_refused(
    program: Program, database: Database
) -> None:
    since = program.copy().record.revision
    program.service.publish(NODE, "d", "x")
    await program.settled()
    offline = Replica()
    await offline.open(database)
    try:
        changes = offline.watch(SERVICE, NODE, since, account=JULIET)
        refuse(program)
        await program.settled()
        with pytest.raises(ChangesLost):
            await anext(changes)
    finally:
        await offline.close()


def refuse(program: Program) -> None:
    """A read of the program is refused, at this moment."""
    stanza = Element("{jabber:client}iq", {"type": "error", "from": SERVICE})
    request = ItemsRequest(NodeKey(JULIET, SERVICE, NODE))
    program.port.failed(program.ask(request), StanzaError("auth", "forbidden"), stanza)
