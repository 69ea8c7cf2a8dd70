"""A live copy keeps up with its node, whatever happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from xml.etree import ElementTree as ET

import pytest
from slixmpp import ClientXMPP
from slixmpp.exceptions import IqError

from newsstand.demo.servers.prosody import Prosody
from newsstand.model import SyncState
from tests.conftest import Connect
from tests.integration._program import (
    MICROBLOG,
    OpenProgram,
    assert_copy_equals_service,
    create_node,
    entry,
    fill_pep,
    ids_of,
    is_hit,
)

Happening = Callable[[ClientXMPP, str, str], Awaitable[None]]


async def publish(writer: ClientXMPP, service: str, node: str) -> None:
    await writer.plugin["xep_0060"].publish(service, node, id="new", payload=entry("new"))


async def publish_without_id(writer: ClientXMPP, service: str, node: str) -> None:
    await writer.plugin["xep_0060"].publish(service, node, payload=entry("the service names it"))


async def overwrite(writer: ClientXMPP, service: str, node: str) -> None:
    await writer.plugin["xep_0060"].publish(service, node, id="id1", payload=entry("another text"))


async def overwrite_with_the_same(writer: ClientXMPP, service: str, node: str) -> None:
    await writer.plugin["xep_0060"].publish(service, node, id="id1", payload=entry("post id1"))


async def retract(writer: ClientXMPP, service: str, node: str) -> None:
    await writer.plugin["xep_0060"].retract(service, node, "id1", notify=True)


async def retract_and_publish_again(writer: ClientXMPP, service: str, node: str) -> None:
    await retract(writer, service, node)
    await overwrite(writer, service, node)


async def purge(writer: ClientXMPP, service: str, node: str) -> None:
    await writer.plugin["xep_0060"].purge(service, node)


async def purge_and_publish(writer: ClientXMPP, service: str, node: str) -> None:
    await purge(writer, service, node)
    await publish(writer, service, node)


async def publish_much_at_once(writer: ClientXMPP, service: str, node: str) -> None:
    pubsub = writer.plugin["xep_0060"]
    writes = [pubsub.publish(service, node, id=f"id{n % 7}", payload=entry(f"round {n}")) for n in range(30)]
    writes.insert(11, pubsub.retract(service, node, "id2", notify=True))
    writes.insert(19, pubsub.retract(service, node, "id6", notify=True))
    await asyncio.gather(*writes)


async def publish_what_has_no_namespace(writer: ClientXMPP, service: str, node: str) -> None:
    payload = entry("a child of no namespace")
    ET.SubElement(payload, "{urn:example}mark").append(ET.Element("plain"))
    await writer.plugin["xep_0060"].publish(service, node, id="bare", payload=payload)


async def delete_and_create_again(writer: ClientXMPP, service: str, node: str) -> None:
    await writer.plugin["xep_0060"].delete_node(service, node)
    await create_node(writer, service, node, ["phoenix"])


HAPPENINGS = (
    publish,
    publish_without_id,
    overwrite,
    overwrite_with_the_same,
    retract,
    retract_and_publish_again,
    purge,
    purge_and_publish,
    publish_much_at_once,
    publish_what_has_no_namespace,
)


@pytest.mark.parametrize("happening", HAPPENINGS, ids=lambda function: function.__name__)
async def test_what_others_do_to_a_node_is_in_the_copy(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str, happening: Happening
) -> None:
    romeo, plain, program = await connect("romeo"), await connect("juliet"), await open_program()
    await create_node(romeo, prosody.pubsub, node, 5)
    await program.follow(node)
    await happening(romeo, prosody.pubsub, node)
    await program.caught_up()
    await assert_copy_equals_service(program.replica, plain, prosody.pubsub, node)
    assert program.record(node).state is SyncState.LIVE
    assert is_hit(await program.pubsub.get_items(prosody.pubsub, node))


@pytest.mark.parametrize("happening", HAPPENINGS, ids=lambda function: function.__name__)
async def test_what_a_program_does_itself_is_in_its_next_read(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str, happening: Happening
) -> None:
    plain, program = await connect("romeo"), await open_program("romeo")
    await create_node(plain, prosody.pubsub, node, 5)
    await program.follow(node)
    await happening(program.client, prosody.pubsub, node)
    at_once = ids_of(await program.pubsub.get_items(prosody.pubsub, node))
    assert at_once == ids_of(await plain.plugin["xep_0060"].get_items(prosody.pubsub, node))
    await program.caught_up()
    await assert_copy_equals_service(program.replica, plain, prosody.pubsub, node)
    assert is_hit(await program.pubsub.get_items(prosody.pubsub, node))


@pytest.mark.parametrize("happening", HAPPENINGS, ids=lambda function: function.__name__)
async def test_a_read_sent_behind_a_write_of_the_program_s_own_sees_it(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str, happening: Happening
) -> None:
    plain, program = await connect("romeo"), await open_program("romeo")
    await create_node(plain, prosody.pubsub, node, 5)
    await program.follow(node)
    doing = asyncio.ensure_future(happening(program.client, prosody.pubsub, node))
    await asyncio.sleep(0)  # it has sent its first request, and has no answer yet
    during = await program.pubsub.get_items(prosody.pubsub, node)
    await doing
    behind = await program.pubsub.get_items(prosody.pubsub, node)
    assert not is_hit(during)
    assert ids_of(behind) == ids_of(await plain.plugin["xep_0060"].get_items(prosody.pubsub, node))


@pytest.mark.parametrize("service", ["own PEP", "pubsub"])
@pytest.mark.parametrize("notify", [True, None])
async def test_a_program_s_own_retract_is_in_its_next_read_told_or_not(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str, service: str, notify: bool | None
) -> None:
    plain, program = await connect("romeo"), await open_program("romeo")
    name = f"{MICROBLOG}/{node}"
    jid = None if service == "own PEP" else prosody.pubsub
    if jid is None:
        await fill_pep(plain, name, {f"id{n}": entry(f"post {n}") for n in range(4)})
    else:
        await create_node(plain, jid, name, 4)
    await program.follow(name, jid or program.jid)
    retracting = program.pubsub.retract(jid, name, "id1", notify=notify)
    pipelined = await program.pubsub.get_items(jid, name)
    await retracting
    awaited = await program.pubsub.get_items(jid, name)
    assert ids_of(pipelined) == ids_of(awaited) == ["id0", "id2", "id3"]
    await program.caught_up()
    await assert_copy_equals_service(program.replica, plain, jid or program.jid, name)


@pytest.mark.parametrize("service", ["own PEP", "pubsub"])
async def test_a_program_s_own_publish_on_every_service_is_in_its_next_read(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str, service: str
) -> None:
    plain, program = await connect("romeo"), await open_program("romeo")
    name = f"{MICROBLOG}/{node}"
    jid = None if service == "own PEP" else prosody.pubsub
    if jid is None:
        await fill_pep(plain, name, {f"id{n}": entry(f"post {n}") for n in range(3)})
    else:
        await create_node(plain, jid, name, 3)
    await program.follow(name, jid or program.jid)
    for number in range(5):
        await program.pubsub.publish(jid, name, id=f"id{number}", payload=entry(f"by myself {number}"))
        iq = await program.pubsub.get_items(jid, name, item_ids=[f"id{number}"])
        assert f"by myself {number}" in str(iq)
    await program.caught_up()
    await assert_copy_equals_service(program.replica, plain, jid or program.jid, name)


async def test_a_publish_that_fails_leaves_nothing(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo, program = await connect("romeo"), await open_program("juliet")
    await create_node(romeo, prosody.pubsub, node, 3)
    await program.follow(node)
    publishing = program.pubsub.publish(prosody.pubsub, node, id="forged", payload=entry("not allowed"))
    with pytest.raises(IqError, match="forbidden"):
        await publishing
    assert ids_of(await program.pubsub.get_items(prosody.pubsub, node)) == ["id0", "id1", "id2"]
    await program.caught_up()
    await assert_copy_equals_service(program.replica, romeo, prosody.pubsub, node)
    assert is_hit(await program.pubsub.get_items(prosody.pubsub, node))


async def test_a_deleted_node_is_not_served_and_found_again_when_it_is_back(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo, program = await connect("romeo"), await open_program()
    await create_node(romeo, prosody.pubsub, node, 3)
    await program.follow(node)
    await romeo.plugin["xep_0060"].delete_node(prosody.pubsub, node)
    await program.caught_up()
    assert program.record(node).state is SyncState.GONE
    with pytest.raises(IqError, match="item-not-found"):
        await program.pubsub.get_items(prosody.pubsub, node)
    assert (await program.replica.search(node=node)).total == 0

    await create_node(romeo, prosody.pubsub, node, ["phoenix"])
    assert ids_of(await program.pubsub.get_items(prosody.pubsub, node)) == ["phoenix"]
    await program.caught_up()
    await overwrite(romeo, prosody.pubsub, node)  # nobody is subscribed to the new node but who subscribed again
    await program.caught_up()
    await assert_copy_equals_service(program.replica, romeo, prosody.pubsub, node)


@pytest.mark.parametrize("who", ["romeo", "juliet"])
async def test_a_node_deleted_and_created_again_in_one_breath_is_followed_on(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str, who: str
) -> None:
    romeo, program = await connect("romeo"), await open_program(who)
    await create_node(romeo, prosody.pubsub, node, 3)
    await program.follow(node)
    await delete_and_create_again(program.client if who == "romeo" else romeo, prosody.pubsub, node)
    await program.caught_up()  # else the word of the deletion may come behind the read, whose node is gone then
    await program.follow(node)
    await overwrite(romeo, prosody.pubsub, node)
    await program.caught_up()
    await assert_copy_equals_service(program.replica, romeo, prosody.pubsub, node)
