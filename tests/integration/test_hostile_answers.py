"""Whoever guesses the id of a request, and answers in its addressee's place, changes nothing (hostile input: S9)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

import pytest
from slixmpp import ClientXMPP
from slixmpp.exceptions import IqError

from newsstand.demo.servers.prosody import Prosody
from newsstand.model import SyncState
from newsstand.rules.doubts import RELIST
from newsstand.state.doubts import doubt
from tests.conftest import Connect
from tests.integration._program import (
    NS_PUBSUB,
    OpenProgram,
    Program,
    assert_copy_equals_service,
    create_node,
    entry,
    ids_of,
    is_hit,
)

STRANGERS = ["mallory@localhost/x", "localhost", "juliet@localhost", "juliet@localhost/x", "", None]
"""The own server and the own account among them: slixmpp takes their answers for anybody's."""


@pytest.fixture
async def romeo(connect: Connect, prosody: Prosody, node: str) -> ClientXMPP:
    """He has a node of three items."""
    romeo = await connect("romeo")
    await create_node(romeo, prosody.pubsub, node, 3)
    return romeo


def forged(iq: Element, sender: str | None, *, kind: str = "result") -> Element:
    """An answer to a request, before its own can come."""
    reply = Element("{jabber:client}iq", {"type": kind, "id": iq.get("id", "")})
    if sender is not None:
        reply.set("from", sender)
    if kind == "error":
        error = ET.SubElement(reply, "{jabber:client}error", {"type": "auth"})
        ET.SubElement(error, "{urn:ietf:params:xml:ns:xmpp-stanzas}forbidden")
        return reply
    for child in iq:
        reply.append(answer := ET.fromstring(ET.tostring(child)))
        for items in answer.iter(f"{{{NS_PUBSUB}}}items"):
            items[:] = [ET.fromstring(f"<item xmlns='{NS_PUBSUB}' id='forged'/>")]
            items[0].append(entry("forged"))
    return reply


def answer_first(program: Program, answers: Callable[[Element], list[Element]]) -> Callable[[], None]:
    """From now on what the program asks of services is answered so as it leaves. Returns what ends that."""
    client: Any = program.client
    send_raw = client.send_raw

    def send(data: str | bytes) -> None:
        send_raw(data)
        text = data if isinstance(data, str) else data.decode()
        if text.startswith("<iq") and program.server.pubsub in text:
            for reply in answers(ET.fromstring(text)):
                client._spawn_event(reply)

    def end() -> None:
        client.send_raw = send_raw

    client.send_raw = send
    return end


@pytest.mark.parametrize("kind", ["result", "error"])
@pytest.mark.parametrize("stranger", STRANGERS)
async def test_s9_a_listing_takes_nothing_from_who_guessed_its_ids(
    romeo: ClientXMPP, open_program: OpenProgram, node: str, stranger: str | None, kind: str
) -> None:
    program = await open_program()
    asked: list[str] = []

    def answers(iq: Element) -> list[Element]:
        asked.append(iq.get("id", ""))
        return [forged(iq, stranger, kind=kind)]

    await program.replica.session_began()
    end = answer_first(program, answers)
    record = await program.replica.synchronise(program.server.pubsub, node)
    await program.replica.settled()
    end()
    assert record.state is SyncState.LIVE
    assert len(asked) > 3
    await assert_copy_equals_service(program.replica, romeo, program.server.pubsub, node)


@pytest.mark.parametrize("stranger", ["localhost", "juliet@localhost"])
async def test_s9_what_slixmpp_takes_for_an_answer_is_no_word_of_the_service(
    romeo: ClientXMPP, open_program: OpenProgram, node: str, stranger: str
) -> None:
    program = await open_program()
    await program.follow(node)
    copy = program.replica._open.context.copies.find(program.record(node).key)
    assert copy is not None
    doubt(copy, RELIST)  # so that the service is asked
    end = answer_first(program, lambda iq: [forged(iq, stranger)])
    assert ids_of(await program.pubsub.get_items(program.server.pubsub, node)) == ["forged"]
    end()
    await program.caught_up()
    iq = await program.pubsub.get_items(program.server.pubsub, node)
    assert ids_of(iq) == ["id0", "id1", "id2"]
    await assert_copy_equals_service(program.replica, romeo, program.server.pubsub, node)
    # Nor is a node followed, or refused from memory, because of it.
    for kind, missing in (("result", f"{node}-result"), ("error", f"{node}-error")):
        end = answer_first(program, lambda iq, kind=kind: [forged(iq, stranger, kind=kind)])  # type: ignore[misc]
        for _ in range(3):
            with contextlib.suppress(IqError):
                await program.pubsub.get_items(program.server.pubsub, missing)
        end()
        await program.caught_up()
        assert program.find_record(missing) is None


async def test_s9_the_true_answer_counts_though_others_came_before(
    romeo: ClientXMPP, open_program: OpenProgram, node: str
) -> None:
    program = await open_program()
    await program.follow(node)
    end = answer_first(program, lambda iq: [forged(iq, stranger) for stranger in STRANGERS])
    assert (await program.replica.verify(program.server.pubsub, node)).equal
    end()
    assert is_hit(await program.pubsub.get_items(program.server.pubsub, node))
