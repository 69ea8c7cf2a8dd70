"""Nobody but the service itself changes the copy."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

import pytest
from slixmpp import ClientXMPP

from newsstand import Policy
from newsstand.demo.servers.prosody import Prosody
from newsstand.model import SyncState
from tests.conftest import Connect
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
)

FORGED = "<item id='forged'><entry xmlns='http://www.w3.org/2005/Atom'><title>forged</title></entry></item>"
WORDS = {
    "publish": "<items node='{node}'>" + FORGED + "</items>",
    "overwrite": "<items node='{node}'>" + FORGED.replace("id='forged'", "id='id0'") + "</items>",
    "retract": "<items node='{node}'><retract id='id0'/></items>",
    "purge": "<purge node='{node}'/>",
    "delete": "<delete node='{node}'/>",
    "configuration": "<configuration node='{node}'/>",
    "subscription": "<subscription node='{node}' jid='juliet@localhost' subscription='none'/>",
}


def event(word: str, node: str) -> Element:
    return ET.fromstring(f"<event xmlns='{NS_EVENT}'>{WORDS[word].format(node=node)}</event>")


def nested(inner: Element, *tags: str) -> Element:
    for tag in tags:
        outer = Element(tag)
        outer.append(inner)
        inner = outer
    return inner


NESTED = {
    "a carbon": (
        "{jabber:client}message",
        "{urn:xmpp:forward:0}forwarded",
        "{urn:xmpp:carbons:2}received",
    ),
    "a forward": ("{jabber:client}message", "{urn:xmpp:forward:0}forwarded"),
    "an archive's result": (
        "{jabber:client}message",
        "{urn:xmpp:forward:0}forwarded",
        "{urn:xmpp:mam:2}result",
    ),
    "something else": ("{urn:example:envelope}envelope",),
}


@pytest.fixture
async def romeo(connect: Connect, prosody: Prosody) -> ClientXMPP:
    return await connect("romeo")


@pytest.fixture
async def program(prosody: Prosody, romeo: ClientXMPP, open_program: OpenProgram, node: str) -> Program:
    """Juliet's program; the copy of `node` is live."""
    await create_node(romeo, prosody.pubsub, node, 3)
    program = await open_program()
    await program.follow(node)
    program.wire.clear()
    return program


def message(content: Element, **attributes: str) -> Element:
    element = Element("{jabber:client}message", {"to": "juliet@localhost", "type": "headline", **attributes})
    element.append(content)
    return element


def inject(program: Program, element: Element) -> None:
    """As if it had come down the stream."""
    program.client._spawn_event(element)


async def assert_untouched(program: Program, node: str, service: str | None = None) -> None:
    """Nothing was asked because of it, and the copy is as it was and as good as it was."""
    await program.replica.settled()
    assert program.wire.iqs == []
    iq = await program.pubsub.get_items(service or program.server.pubsub, node)
    assert is_hit(iq)
    assert ids_of(iq) == ["id0", "id1", "id2"]
    assert "forged" not in str(iq)
    assert program.wire.iqs == []


async def deliver(sender: ClientXMPP, program: Program, content: Element, **attributes: str) -> None:
    """A stranger sends a real message through the server; returns when it has come."""
    arrived: list[Any] = []

    def notice(stanza: Any) -> Any:
        if getattr(stanza, "name", "") == "message":
            arrived.append(stanza)
        return stanza

    program.client.add_filter("in", notice)
    mine = message(content, **attributes)
    sender.send_raw(ET.tostring(mine, encoding="unicode"))
    await sender.get_roster()
    await program.client.get_roster()
    program.client.del_filter("in", notice)
    assert len(arrived) == 1
    program.wire.clear()


async def test_s1_an_event_from_a_stranger_changes_nothing(program: Program, connect: Connect, node: str) -> None:
    nurse = await connect("nurse")
    for word in WORDS:
        await deliver(nurse, program, event(word, node), to=str(program.client.boundjid.full))
        await assert_untouched(program, node)


async def test_s1_a_stranger_s_event_about_his_own_node_of_that_name_changes_nothing(
    program: Program, connect: Connect, node: str
) -> None:
    nurse = await connect("nurse")
    await fill_pep(nurse, node, {"hers": entry("hers")})
    await deliver(nurse, program, event("publish", node))
    await assert_untouched(program, node)


async def test_s1_a_stranger_s_event_inside_a_real_carbon_changes_nothing(
    program: Program, connect: Connect, node: str
) -> None:
    nurse = await connect("nurse")
    forwarded = nested(event("purge", node), *NESTED["a carbon"])
    await deliver(nurse, program, forwarded, to=str(program.client.boundjid.full), type="chat")
    await assert_untouched(program, node)


@pytest.mark.parametrize("sender", ["juliet@localhost", "juliet@localhost/balcony", None, "localhost", ""])
async def test_s2_s4_one_s_own_account_does_not_speak_for_another_service(
    program: Program, node: str, sender: str | None
) -> None:
    attributes = {} if sender is None else {"from": sender}
    for word in WORDS:
        inject(program, message(event(word, node), **attributes))
        await assert_untouched(program, node)


@pytest.mark.parametrize("kind", ["error", "groupchat"])
async def test_s3_a_bounce_that_echoes_an_event_is_none(program: Program, node: str, kind: str) -> None:
    for word in WORDS:
        inject(program, message(event(word, node), **{"from": program.server.pubsub, "type": kind}))
        await assert_untouched(program, node)


async def test_s4_an_event_without_from_is_the_own_account_s(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    name = f"{MICROBLOG}/{node}"
    writer, program = await connect("juliet"), await open_program()
    await fill_pep(writer, name, {f"id{n}": entry(f"post {n}") for n in range(3)})
    await program.follow(name, program.jid)
    before = program.record(name, program.jid).revision
    inject(program, message(event("retract", name)))
    await program.replica.settled()
    assert program.record(name, program.jid).revision > before


@pytest.mark.parametrize("sender", ["romeo@localhost", "pubsub.localhost.example", "pubsub.localhost@localhost"])
async def test_s5_another_service_with_a_node_of_that_name_is_another(program: Program, node: str, sender: str) -> None:
    for word in WORDS:
        inject(program, message(event(word, node), **{"from": sender}))
        await assert_untouched(program, node)


@pytest.mark.parametrize("envelope", NESTED)
@pytest.mark.parametrize("sender", ["pubsub.localhost", "juliet@localhost"])
async def test_s6_s7_an_event_inside_something_else_is_somebody_s_word(
    program: Program, node: str, envelope: str, sender: str
) -> None:
    for word in WORDS:
        wrapped = nested(event(word, node), *NESTED[envelope])
        for inner in wrapped.iter("{jabber:client}message"):
            inner.set("from", program.server.pubsub)
        inject(program, message(wrapped, **{"from": sender}))
        await assert_untouched(program, node)


async def test_an_event_addressed_to_another_account_is_not_ours(program: Program, node: str) -> None:
    inject(program, message(event("purge", node), **{"from": program.server.pubsub, "to": "romeo@localhost"}))
    await assert_untouched(program, node)


# What the service itself may say, unluckily --------------------------------------------------------------------


async def assert_looked_up(program: Program, romeo: ClientXMPP, node: str) -> None:
    """Whatever was believed at first, in the end the copy is what the service holds."""
    await program.caught_up()
    assert program.record(node).state is SyncState.LIVE
    await assert_copy_equals_service(program.replica, romeo, program.server.pubsub, node)


async def test_s10_two_events_in_a_message_are_both_heard(program: Program, romeo: ClientXMPP, node: str) -> None:
    pubsub = romeo.plugin["xep_0060"]
    told = message(event("retract", node), **{"from": program.server.pubsub})
    told.append(ET.fromstring(ET.tostring(event("retract", node)).replace(b"id0", b"id1")))
    for item_id in ("id0", "id1"):
        await pubsub.retract(program.server.pubsub, node, item_id)  # tells nobody
    inject(program, told)
    await program.replica.settled()
    answer = await program.replica.get_items(program.server.pubsub, node, policy=Policy.ONLY_COPY)
    assert [item.id for item in answer.items] == ["id2"]
    await assert_looked_up(program, romeo, node)


async def test_s11_an_event_that_contradicts_itself_is_not_believed(
    program: Program, romeo: ClientXMPP, node: str
) -> None:
    inner = "".join(WORDS[word].format(node=node) for word in ("publish", "purge", "delete"))
    told = message(ET.fromstring(f"<event xmlns='{NS_EVENT}'>{inner}</event>"), **{"from": program.server.pubsub})
    inject(program, told)
    await assert_looked_up(program, romeo, node)


async def test_s12_several_items_in_one_event_are_applied_once_each(
    program: Program, romeo: ClientXMPP, node: str
) -> None:
    before = program.record(node).revision
    items = "".join(FORGED.replace("forged", f"from the service {n}") for n in range(3))
    inner = f"<event xmlns='{NS_EVENT}'><items node='{node}'>{items}</items></event>"
    inject(program, message(ET.fromstring(inner), **{"from": program.server.pubsub}))
    reading = program.replica.get_items(program.server.pubsub, node, policy=Policy.ONLY_COPY)
    assert [item.id for item in (await reading).items][3:] == [f"from the service {n}" for n in range(3)]
    assert program.record(node).revision == before + 1
    await assert_looked_up(program, romeo, node)  # they never were there: the ids are checked, and they go


async def test_malformed_events_of_the_service_do_no_harm(program: Program, romeo: ClientXMPP, node: str) -> None:
    for inner in (
        "<items node='{node}'><item/></items>",
        "<items node='{node}'><item id=''/></items>",
        "<items node='{node}'><retract/></items>",
        "<items node='{node}'/>",
        "<items/>",
        "<items node=''/>",
        "<nonsense node='{node}'/>",
        "",
    ):
        told = ET.fromstring(f"<event xmlns='{NS_EVENT}'>{inner.format(node=node)}</event>")
        inject(program, message(told, **{"from": program.server.pubsub}))
        await assert_looked_up(program, romeo, node)


async def test_an_event_about_a_node_that_nobody_read_is_passed_over(program: Program, node: str) -> None:
    inject(program, message(event("publish", f"{node}-never-read"), **{"from": program.server.pubsub}))
    await program.replica.settled()
    assert program.find_record(f"{node}-never-read") is None
    assert program.wire.iqs == []
