"""How a program begins: with or without presence, on an old database or on none that can be used."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from slixmpp import ClientXMPP

from newsstand.demo.servers.prosody import Prosody
from newsstand.errors import DatabaseError
from newsstand.model import SyncState
from newsstand.xmpp.transport import Session
from tests.conftest import Connect, log_in, log_out, new_client
from tests.integration._program import (
    MICROBLOG,
    OpenProgram,
    assert_copy_equals_service,
    create_node,
    entry,
    ids_of,
    is_hit,
    is_stale,
    newsstand_of,
)
from tests.logged import records_of_ours

pytestmark = pytest.mark.usefixtures("prosody")  # where none is installed: skipped at home, failed in CI
ALL = ["id0", "id1", "id2", "id3", "id4"]


async def change_the_node(romeo: ClientXMPP, service: str, node: str) -> None:
    """An overwrite that keeps the id, a retract that is told to nobody, one that is, and something new."""
    pubsub = romeo.plugin["xep_0060"]
    await pubsub.publish(service, node, id="id1", payload=entry("rewritten"))
    await pubsub.retract(service, node, "id2")
    await pubsub.retract(service, node, "id3", notify=True)
    await pubsub.publish(service, node, id="new", payload=entry("new"))


CHANGED = ["id0", "id4", "id1", "new"]


@pytest.mark.parametrize("priority", [None, -1])
async def test_a_client_that_gets_no_events_is_never_live_until_it_does(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str, priority: int | None
) -> None:
    romeo, program = await connect("romeo"), await open_program(presence=False)
    await create_node(romeo, prosody.pubsub, node, ALL)
    if priority is not None:
        program.client.send_presence(ppriority=priority)
    for _ in range(2):
        assert not is_hit(await program.pubsub.get_items(prosody.pubsub, node))
        await program.caught_up()
    assert program.record(node).state is not SyncState.LIVE
    assert program.wire.about(node) == ["items", "items"]
    program.client.send_presence()
    await program.follow(node)
    assert is_hit(await program.pubsub.get_items(prosody.pubsub, node))


@pytest.mark.parametrize("how", ["unavailable", "negative priority", "a session without presence"])
async def test_while_no_events_come_and_the_stream_is_up_the_service_is_asked(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str, how: str
) -> None:
    romeo, program = await connect("romeo"), await open_program()
    await create_node(romeo, prosody.pubsub, node, ALL)
    await program.follow(node)
    match how:
        case "unavailable":
            program.client.send_presence(ptype="unavailable")
        case "negative priority":
            program.client.send_presence(ppriority=-5)
        case _:
            await log_out(program.client)
            await log_in(program.client, prosody, presence=False)
    await program.client.get_roster()
    await change_the_node(romeo, prosody.pubsub, node)
    iq = await program.pubsub.get_items(prosody.pubsub, node)
    assert getattr(iq, "newsstand", None) is None
    assert ids_of(iq) == CHANGED
    answer = await program.replica.get_items(prosody.pubsub, node)
    assert [item.id for item in answer.items] == CHANGED
    assert not answer.stale

    program.client.send_presence()
    await program.caught_up()
    assert is_hit(await program.pubsub.get_items(prosody.pubsub, node))
    await assert_copy_equals_service(program.replica, romeo, prosody.pubsub, node)


async def test_a_new_process_on_the_same_file_is_stale_first_and_then_live(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo, first = await connect("romeo"), await open_program()
    await create_node(romeo, prosody.pubsub, node, ALL)
    await first.follow(node)
    await first.newsstand.close()
    await log_out(first.client)
    await change_the_node(romeo, prosody.pubsub, node)

    second = await open_program(online=False)
    before = await asyncio.wait_for(second.pubsub.get_items(prosody.pubsub, node), 1)
    assert is_stale(before)
    assert ids_of(before) == ALL
    assert (await second.replica.search("id4", node=node)).total == 1
    await log_in(second.client, prosody)
    await second.caught_up()
    after = await second.pubsub.get_items(prosody.pubsub, node)
    assert is_hit(after)
    assert ids_of(after) == CHANGED
    await assert_copy_equals_service(second.replica, romeo, prosody.pubsub, node)


async def test_a_database_that_cannot_be_opened_leaves_the_program_uncached_and_is_said_once(
    prosody: Prosody, connect: Connect, node: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    romeo = await connect("romeo")
    await create_node(romeo, prosody.pubsub, node, ALL)
    client = new_client(prosody, "juliet")
    client.register_plugin("newsstand", {"database": f"sqlite:///{tmp_path}"})
    plugin = newsstand_of(client)
    with caplog.at_level(logging.WARNING, logger="newsstand"):
        for _ in range(2):
            with pytest.raises(DatabaseError):
                await plugin.ready()
        await log_in(client, prosody)
        for _ in range(2):
            assert ids_of(await client.plugin["xep_0060"].get_items(prosody.pubsub, node)) == ALL
        await plugin.close()
        await log_out(client)
    assert [record.name for record in records_of_ours(caplog)] == ["newsstand.slixmpp.plugin"]


async def test_what_a_program_asks_before_the_database_is_open_goes_to_the_service(
    prosody: Prosody, connect: Connect, node: str, tmp_path: Path
) -> None:
    romeo = await connect("romeo")
    await create_node(romeo, prosody.pubsub, node, ALL)
    client = new_client(prosody, "juliet")
    await log_in(client, prosody)
    client.register_plugin("newsstand", {"database": f"sqlite:///{tmp_path}/news.db"})
    plugin = newsstand_of(client)
    own = f"{MICROBLOG}/{node}"
    publishing = client.plugin["xep_0060"].publish(None, own, id="early", payload=entry("early"))
    reading = client.plugin["xep_0060"].get_items(prosody.pubsub, node)
    assert not plugin.replica.is_open
    await publishing
    iq = await reading
    assert ids_of(iq) == ALL
    assert getattr(iq, "newsstand", None) is None
    await plugin.ready()
    assert ids_of(await client.plugin["xep_0060"].get_items(None, own)) == ["early"]
    await plugin.close()
    await log_out(client)


@pytest.mark.parametrize("priority", [0, -1])
async def test_a_plugin_registered_in_the_middle_of_a_session_knows_the_last_presence_of_it(
    prosody: Prosody, connect: Connect, node: str, tmp_path: Path, priority: int
) -> None:
    romeo, client = await connect("romeo"), await connect("juliet", presence=False)
    await create_node(romeo, prosody.pubsub, node, ALL)
    client.send_presence(ppriority=priority)
    client.send_presence(pto=prosody.jid("romeo"), ptype="unavailable")  # to one alone: it changes nothing
    await client.get_roster()  # what was sent before has passed the stream's filters
    client.register_plugin("newsstand", {"database": f"sqlite:///{tmp_path}/late.db"})
    plugin = newsstand_of(client)
    await plugin.ready()
    pubsub = client.plugin["xep_0060"]
    assert not is_hit(await pubsub.get_items(prosody.pubsub, node))
    await plugin.replica.settled()
    assert is_hit(await pubsub.get_items(prosody.pubsub, node)) == (priority >= 0)
    if priority >= 0:
        plugin._transport._on_lost(None)
        plugin._transport._on_resumed(None)
        assert plugin._transport.session is Session.RESUMED  # events reached us before, so nothing was lost
        await plugin.replica.settled()
    client.send_presence()
    await plugin.replica.session_began()
    await plugin.replica.settled()
    assert is_hit(await pubsub.get_items(prosody.pubsub, node))
    await plugin.close()
