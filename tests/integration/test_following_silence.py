"""What a service does not tell, tells twice, or tells while a node is being listed: the copy comes out right."""

from __future__ import annotations

import asyncio

import pytest
from slixmpp import ClientXMPP
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from newsstand.demo.servers.prosody import Prosody
from newsstand.model import SyncState
from tests.conftest import Connect, log_in, log_out
from tests.integration._program import (
    MICROBLOG,
    NS_EVENT,
    OpenProgram,
    Program,
    assert_copy_equals_service,
    create_node,
    entry,
    fill_pep,
    ids_of,
    is_hit,
    node_config,
)


async def renew_session(program: Program) -> None:
    """Log out and in again."""
    await log_out(program.client)
    await log_in(program.client, program.server)
    await program.caught_up()


async def configure(client: ClientXMPP, service: str, node: str, **options: str) -> None:
    form = node_config(client, "http://jabber.org/protocol/pubsub#node_config", **options)
    await client.plugin["xep_0060"].set_node_config(service, node, config=form)


async def test_a_retract_that_nobody_was_told_of_is_found_by_the_next_session_at_the_latest(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo, program = await connect("romeo"), await open_program()
    await create_node(romeo, prosody.pubsub, node, 3)
    await program.follow(node)
    await romeo.plugin["xep_0060"].retract(prosody.pubsub, node, "id1")
    await program.caught_up()
    assert ids_of(await program.pubsub.get_items(prosody.pubsub, node)) == ["id0", "id1", "id2"]  # nothing said so
    await renew_session(program)
    await assert_copy_equals_service(program.replica, romeo, prosody.pubsub, node)
    assert is_hit(await program.pubsub.get_items(prosody.pubsub, node))


async def test_a_retract_that_nobody_was_told_of_is_found_when_something_else_is_published(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo, program = await connect("romeo"), await open_program()
    await create_node(romeo, prosody.pubsub, node, 3)
    await program.follow(node)
    await romeo.plugin["xep_0060"].retract(prosody.pubsub, node, "id1")
    await romeo.plugin["xep_0060"].publish(prosody.pubsub, node, id="new", payload=entry("new"))
    await program.caught_up()
    await assert_copy_equals_service(program.replica, romeo, prosody.pubsub, node)


async def test_what_exceeds_max_items_goes_without_a_word_and_out_of_the_copy_too(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo, program = await connect("romeo"), await open_program()
    await create_node(romeo, prosody.pubsub, node, 4, max_items="4")
    await program.follow(node)
    for number in range(6):
        await romeo.plugin["xep_0060"].publish(prosody.pubsub, node, id=f"more{number}", payload=entry(f"{number}"))
        await program.caught_up()
        await assert_copy_equals_service(program.replica, romeo, prosody.pubsub, node)
    await asyncio.gather(
        *(
            romeo.plugin["xep_0060"].publish(prosody.pubsub, node, id=f"at once {n}", payload=entry(f"at once {n}"))
            for n in range(10)
        )
    )
    await program.caught_up()
    await assert_copy_equals_service(program.replica, romeo, prosody.pubsub, node)
    assert program.record(node).item_count == 4


async def test_a_pep_node_of_one_item_holds_the_last_one(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo, program = await connect("romeo"), await open_program()
    name, service = f"{MICROBLOG}/{node}", prosody.jid("romeo")
    await fill_pep(romeo, name, {"first": entry("first")}, max_items="1")
    await program.follow(name, service)
    for number in range(4):
        await fill_pep(romeo, name, {f"id{number}": entry(f"post {number}")}, max_items="1")
        await program.caught_up()
        await assert_copy_equals_service(program.replica, romeo, service, name)
    assert ids_of(await program.pubsub.get_items(service, name)) == ["id3"]


async def test_a_limit_lowered_by_the_program_itself_is_seen_by_its_next_read(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    plain, program = await connect("romeo"), await open_program("romeo")
    await create_node(plain, prosody.pubsub, node, 6)
    await program.follow(node)
    await configure(program.client, prosody.pubsub, node, max_items="2")
    assert ids_of(await program.pubsub.get_items(prosody.pubsub, node)) == ["id4", "id5"]
    await program.caught_up()
    await assert_copy_equals_service(program.replica, plain, prosody.pubsub, node)
    assert is_hit(await program.pubsub.get_items(prosody.pubsub, node))


async def test_a_limit_lowered_by_others_is_seen_at_the_next_publish_or_session(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo, program = await connect("romeo"), await open_program()
    await create_node(romeo, prosody.pubsub, node, 6)
    await program.follow(node)
    await configure(romeo, prosody.pubsub, node, max_items="4")
    await romeo.plugin["xep_0060"].publish(prosody.pubsub, node, id="new", payload=entry("new"))
    await program.caught_up()
    await assert_copy_equals_service(program.replica, romeo, prosody.pubsub, node)
    await configure(romeo, prosody.pubsub, node, max_items="2")
    await renew_session(program)
    await assert_copy_equals_service(program.replica, romeo, prosody.pubsub, node)


async def test_access_taken_away_is_found_by_the_next_session_and_nothing_is_served_any_more(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo, program = await connect("romeo"), await open_program()
    await create_node(romeo, prosody.pubsub, node, 3)
    await program.follow(node)
    await configure(romeo, prosody.pubsub, node, access_model="whitelist")
    await renew_session(program)
    assert program.record(node).state is SyncState.GONE
    assert (await program.replica.search(node=node)).total == 0


async def test_events_that_bring_no_payload_are_completed(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo, program = await connect("romeo"), await open_program()
    await create_node(romeo, prosody.pubsub, node, 3, deliver_payloads="0")
    await program.follow(node)
    for item_id in ("id1", "new"):
        publishing = romeo.plugin["xep_0060"].publish(prosody.pubsub, node, id=item_id, payload=entry("untold"))
        await publishing
        await program.caught_up()
        await assert_copy_equals_service(program.replica, romeo, prosody.pubsub, node)
    assert is_hit(await program.pubsub.get_items(prosody.pubsub, node))


async def test_news_that_come_twice_are_applied_once(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    writer, program = await connect("juliet"), await open_program(plugins=["xep_0115"])
    name, service = f"{MICROBLOG}/{node}", program.jid
    await fill_pep(writer, name, {f"id{n}": entry(f"post {n}") for n in range(3)})
    events: list[object] = []
    program.client.register_handler(
        Callback("events", MatchXPath(f"{{jabber:client}}message/{{{NS_EVENT}}}event"), events.append)
    )
    program.client.plugin["xep_0163"].add_interest(name)
    await program.client.plugin["xep_0115"].update_caps(None, broadcast=True)
    await program.follow(name, service)
    events.clear()
    before = program.record(name, service).revision
    await fill_pep(writer, name, {"new": entry("new")})
    await writer.plugin["xep_0060"].retract(None, name, "id1", notify=True)
    await program.caught_up()
    assert len(events) == 4  # by the subscription, and by +notify
    assert program.record(name, service).state is SyncState.LIVE
    await assert_copy_equals_service(program.replica, writer, service, name)
    assert is_hit(await program.pubsub.get_items(service, name))
    assert program.record(name, service).revision >= before + 2


@pytest.mark.parametrize("kind", ["pubsub", "PEP"])
async def test_what_is_published_while_a_node_of_300_items_is_listed_is_in_the_copy(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str, kind: str
) -> None:
    romeo, program = await connect("romeo"), await open_program()
    pubsub = romeo.plugin["xep_0060"]
    name, service = f"{MICROBLOG}/{node}", prosody.pubsub if kind == "pubsub" else prosody.jid("romeo")
    if kind == "pubsub":
        await create_node(romeo, service, name, 300)
    else:
        await fill_pep(romeo, name, {f"id{n}": entry(f"post {n}") for n in range(300)}, max_items="1000")

    async def write_on() -> None:
        for number in range(60):
            await pubsub.publish(service, name, id=f"id{number * 37 % 330}", payload=entry(f"meanwhile {number}"))
            if number % 5 == 0:
                await pubsub.retract(service, name, f"id{number * 11 % 300}", notify=True)

    writing = asyncio.ensure_future(write_on())
    await program.pubsub.get_items(service, name, max_items=1)
    await writing
    await program.caught_up()
    assert program.record(name, service).state is SyncState.LIVE
    await assert_copy_equals_service(program.replica, romeo, service, name)
    assert is_hit(await program.pubsub.get_items(service, name))


async def test_reads_during_a_synchronisation_are_the_service_s_and_it_flies_once(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo, program = await connect("romeo"), await open_program()
    await create_node(romeo, prosody.pubsub, node, 100)
    program.wire.clear()
    synchronising = [asyncio.ensure_future(program.replica.synchronise(prosody.pubsub, node)) for _ in range(2)]
    answers = [await program.pubsub.get_items(prosody.pubsub, node, max_items=n) for n in (1, 2, 3)]
    assert [ids_of(iq) for iq in answers] == [["id99"], ["id98", "id99"], ["id97", "id98", "id99"]]
    assert not is_hit(answers[0])
    await asyncio.gather(*synchronising)
    await program.caught_up()
    assert program.wire.about(node).count("subscribe") == 1
