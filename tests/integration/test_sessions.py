"""Sessions begin, break, are resumed and end: the copy says what it is worth, and comes out equal."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slixmpp import ClientXMPP

from newsstand.demo.servers.prosody import Prosody
from newsstand.model import SyncState
from tests.conftest import Connect, log_in, log_out
from tests.integration._program import (
    OpenProgram,
    Program,
    assert_copy_equals_service,
    create_node,
    entry,
    ids_of,
    is_hit,
    is_stale,
)

pytestmark = pytest.mark.usefixtures("prosody")  # where none is installed: skipped at home, failed in CI
ALL = ["id0", "id1", "id2", "id3", "id4"]


@pytest.fixture
async def server() -> AsyncIterator[Prosody]:
    """A server of the test's own: it may be stopped and killed."""
    async with Prosody(accounts=("romeo", "juliet"), admins=("romeo",)) as server:
        yield server


@pytest.fixture
async def romeo(connect: Connect, server: Prosody, node: str) -> ClientXMPP:
    """He made the node, with id0 … id4."""
    romeo = await connect("romeo", server=server)
    await create_node(romeo, server.pubsub, node, ALL)
    return romeo


async def change_the_node(romeo: ClientXMPP, service: str, node: str) -> None:
    """An overwrite that keeps the id, a retract that is told to nobody, one that is, and something new."""
    pubsub = romeo.plugin["xep_0060"]
    await pubsub.publish(service, node, id="id1", payload=entry("rewritten"))
    await pubsub.retract(service, node, "id2")
    await pubsub.retract(service, node, "id3", notify=True)
    await pubsub.publish(service, node, id="new", payload=entry("new"))


CHANGED = ["id0", "id4", "id1", "new"]


async def lose_the_stream(program: Program) -> None:
    """The connection breaks; nobody says goodbye."""
    lost = asyncio.ensure_future(program.client.wait_until("disconnected", 10))
    await asyncio.sleep(0)
    assert program.client.transport is not None
    program.client.transport.abort()
    await lost


async def resume(program: Program, server: Prosody) -> None:
    resumed = asyncio.ensure_future(program.client.wait_until("session_resumed", 10))
    program.client.connect(server.host, server.port)
    await resumed


async def test_without_a_server_reads_are_answered_at_once_and_marked_stale(
    server: Prosody, romeo: ClientXMPP, open_program: OpenProgram, node: str
) -> None:
    program = await open_program(server=server)
    await program.follow(node)
    lost = asyncio.ensure_future(program.client.wait_until("disconnected", 10))
    await server.kill()
    await lost
    iq = await asyncio.wait_for(program.pubsub.get_items(server.pubsub, node), 1)
    assert is_stale(iq)
    assert ids_of(iq) == ALL
    limited = await asyncio.wait_for(program.pubsub.get_items(server.pubsub, node, max_items=2), 1)
    assert ids_of(limited) == ["id3", "id4"]
    assert limited.newsstand.verified_at is not None


async def test_a_read_in_flight_when_the_server_dies_is_answered_by_the_copy(
    server: Prosody, romeo: ClientXMPP, open_program: OpenProgram, node: str
) -> None:
    program = await open_program("romeo", server=server)
    await program.follow(node)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    calls: list[Any] = []
    writing = program.pubsub.publish(server.pubsub, node, id="lost", payload=entry("never arrives"))
    reading = program.pubsub.get_items(server.pubsub, node, callback=calls.append)
    await asyncio.sleep(0)
    assert not reading.done()  # behind a write of its own, it was sent to the service
    await server.kill()
    iq = await asyncio.wait_for(reading, 2)
    assert is_stale(iq)
    assert calls == [iq]
    assert ids_of(iq) == ALL
    writing.cancel()


async def test_a_service_that_does_not_answer_in_time_is_stood_in_for(
    server: Prosody, romeo: ClientXMPP, open_program: OpenProgram, node: str
) -> None:
    program = await open_program("romeo", server=server, patience=0.3)
    await program.follow(node)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        program.pubsub.publish(server.pubsub, node, id="late", payload=entry("late")).cancel()
        writing = program.pubsub.publish(server.pubsub, node, id="later", payload=entry("later"))
        impatient = program.pubsub.get_items(server.pubsub, node, timeout=0.1)
        patient = program.pubsub.get_items(server.pubsub, node)
        answers = await asyncio.wait_for(asyncio.gather(impatient, patient), 2)
        assert [is_stale(iq) for iq in answers] == [True, True]
    finally:
        os.kill(server.pid, signal.SIGCONT)
    await writing
    await program.caught_up()
    await assert_copy_equals_service(program.replica, romeo, server.pubsub, node)


async def test_after_a_crash_of_the_server_the_copy_becomes_equal_again(
    server: Prosody, romeo: ClientXMPP, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    program = await open_program(server=server)
    await program.follow(node)
    lost = asyncio.ensure_future(program.client.wait_until("disconnected", 10))
    await server.kill()
    await lost
    await server.start()
    writer = await connect("romeo", server=server)
    await change_the_node(writer, server.pubsub, node)
    assert is_stale(await program.pubsub.get_items(server.pubsub, node))
    await log_in(program.client, server)
    at_once = await program.pubsub.get_items(server.pubsub, node)
    assert ids_of(at_once) == CHANGED
    await program.caught_up()
    assert program.record(node).state is SyncState.LIVE
    await assert_copy_equals_service(program.replica, writer, server.pubsub, node)
    assert is_hit(await program.pubsub.get_items(server.pubsub, node))


async def test_what_happened_between_two_sessions_is_in_the_second(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo, program = await connect("romeo"), await open_program()
    await create_node(romeo, prosody.pubsub, node, ALL)
    await program.follow(node)
    await log_out(program.client)
    await change_the_node(romeo, prosody.pubsub, node)
    await log_in(program.client, prosody)
    assert ids_of(await program.pubsub.get_items(prosody.pubsub, node)) == CHANGED
    await program.caught_up()
    await assert_copy_equals_service(program.replica, romeo, prosody.pubsub, node)
    await romeo.plugin["xep_0060"].retract(prosody.pubsub, node, "id4", notify=True)
    await romeo.plugin["xep_0060"].publish(prosody.pubsub, node, id="newer", payload=entry("newer"))
    await program.caught_up()
    await assert_copy_equals_service(program.replica, romeo, prosody.pubsub, node)


async def test_a_resumed_session_has_lost_nothing_and_lists_nothing_again(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo, program = await connect("romeo"), await open_program(plugins=["xep_0198"])
    await create_node(romeo, prosody.pubsub, node, ALL)
    await program.follow(node)
    pubsub = romeo.plugin["xep_0060"]
    for item_id in ("id2", "id0"):
        await pubsub.publish(prosody.pubsub, node, id=item_id, payload=entry("shows where an overwritten item goes"))
        await program.caught_up()
    await lose_the_stream(program)
    await pubsub.publish(prosody.pubsub, node, id="id1", payload=entry("rewritten"))
    await pubsub.retract(prosody.pubsub, node, "id3", notify=True)
    assert is_stale(await program.pubsub.get_items(prosody.pubsub, node))
    program.wire.clear()
    await resume(program, prosody)
    await program.caught_up()
    assert program.record(node).state is SyncState.LIVE
    assert "items" not in program.wire.about(node)
    assert is_hit(await program.pubsub.get_items(prosody.pubsub, node))
    await assert_copy_equals_service(program.replica, romeo, prosody.pubsub, node)


async def test_a_copy_does_not_call_itself_live_while_nobody_can_tell(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo, program = await connect("romeo"), await open_program(plugins=["xep_0198"])
    await create_node(romeo, prosody.pubsub, node, ALL)
    await program.follow(node)
    await lose_the_stream(program)
    assert program.record(node).state is SyncState.STALE
    await resume(program, prosody)
    await program.caught_up()
    assert program.record(node).state is SyncState.LIVE


async def test_many_cuts_while_much_is_published_lose_nothing(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo, program = await connect("romeo"), await open_program(plugins=["xep_0198"])
    await create_node(romeo, prosody.pubsub, node, ALL)
    await program.follow(node)
    pubsub = romeo.plugin["xep_0060"]
    for cut in range(4):
        writes = [
            pubsub.publish(prosody.pubsub, node, id=f"id{number % 8}", payload=entry(f"cut {cut} number {number}"))
            for number in range(12)
        ]
        await writes[3]
        await lose_the_stream(program)
        await asyncio.gather(*writes)
        await resume(program, prosody)
    await program.caught_up()
    await assert_copy_equals_service(program.replica, romeo, prosody.pubsub, node)
    assert is_hit(await program.pubsub.get_items(prosody.pubsub, node))


async def test_a_stream_lost_during_a_synchronisation_is_taken_up_after_it(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo, program = await connect("romeo"), await open_program(plugins=["xep_0198"])
    await create_node(romeo, prosody.pubsub, node, 60)
    await program.pubsub.get_items(prosody.pubsub, node, max_items=1)
    await lose_the_stream(program)
    await resume(program, prosody)
    await program.caught_up()
    assert program.record(node).state is SyncState.LIVE
    await assert_copy_equals_service(program.replica, romeo, prosody.pubsub, node)
