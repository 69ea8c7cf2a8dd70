"""What slixmpp's other plugins read is answered from the copy too, and they cannot tell: on every service. xep_0402 has
no reads of its own, and slixmpp 1.17 has no xep_0384: their nodes are read by xep_0060."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from slixmpp import JID, ClientXMPP
from slixmpp.exceptions import IqError
from slixmpp.plugins.xep_0172 import UserNick

from newsstand import Analyser, Policy
from newsstand.demo.servers.prosody import Prosody
from newsstand.demo.servers.xmpp_server import XmppServer
from tests.conftest import Connect
from tests.integration._program import (
    OpenProgram,
    Program,
    assert_copy_equals_service,
    canonical_iq,
    entry,
    fill_pep,
    is_hit,
)

PLUGINS = ("xep_0048", "xep_0084", "xep_0172", "xep_0222", "xep_0223", "xep_0292", "xep_0359", "xep_0402", "xep_0490")
AVATAR = b"a picture of nobody in particular"
AVATAR_ID = hashlib.sha1(AVATAR).hexdigest()
BOOKMARKS = "urn:xmpp:bookmarks:1"
METADATA = "urn:xmpp:avatar:metadata"
DATA = "urn:xmpp:avatar:data"
DISPLAYED = "urn:xmpp:mds:displayed:0"
OLD_BOOKMARKS = "storage:bookmarks"
OMEMO = "urn:xmpp:omemo:2"
BUNDLES = "urn:xmpp:omemo:2:bundles"
OLD_OMEMO = "eu.siacs.conversations.axolotl"
OLD_BUNDLES = "eu.siacs.conversations.axolotl.bundles:31415"
KEY = base64.b64encode(bytes(range(32))).decode()
NICK = "http://jabber.org/protocol/nick"
PRIVATE = "urn:example:private"
PUBLIC = "urn:example:public"

Read = Callable[[ClientXMPP], Awaitable[Any]]


async def publish_everything(client: ClientXMPP) -> None:
    """As a client does that uses all these plugins."""
    plugins = client.plugin
    await plugins["xep_0084"].publish_avatar(AVATAR)
    await plugins["xep_0084"].publish_avatar_metadata([{"id": AVATAR_ID, "type": "image/png", "bytes": len(AVATAR)}])
    await plugins["xep_0292"].publish_vcard(full_name="Juliet Capulet", nickname="Jule")
    for chat in ("romeo@localhost", "nurse@localhost"):
        displayed = ET.Element(f"{{{DISPLAYED}}}displayed")
        ET.SubElement(displayed, "{urn:xmpp:sid:0}stanza-id", {"id": f"of {chat}", "by": "juliet@localhost"})
        await publish_one(client, DISPLAYED, chat, displayed)
    nick = UserNick()
    nick["nick"] = "Jule"
    await plugins["xep_0163"].publish(nick)
    conference = ET.Element(f"{{{BOOKMARKS}}}conference", {"name": "Balcony", "autojoin": "true"})
    await publish_one(client, BOOKMARKS, "balcony@rooms.localhost", conference)
    storage = ET.Element(f"{{{OLD_BOOKMARKS}}}storage")
    room = {"jid": "balcony@rooms.localhost", "name": "Balcony", "autojoin": "true"}
    conference = ET.SubElement(storage, f"{{{OLD_BOOKMARKS}}}conference", room)
    ET.SubElement(conference, f"{{{OLD_BOOKMARKS}}}password").text = "hunter2"
    await publish_one(client, OLD_BOOKMARKS, "current", storage)
    for node, item_id, namespace, key in (
        (BUNDLES, "31415", OMEMO, "ik"),
        (OLD_BUNDLES, "current", OLD_OMEMO, "identityKey"),
    ):
        bundle = ET.Element(f"{{{namespace}}}bundle")
        ET.SubElement(bundle, f"{{{namespace}}}{key}").text = KEY
        await publish_one(client, node, item_id, bundle)
    for node, item_id in ((PRIVATE, "diary"), (PUBLIC, "notice")):
        note = ET.Element(f"{{{node}}}note")
        note.text = "dear diary"
        await publish_one(client, node, item_id, note)


async def publish_one(client: ClientXMPP, node: str, item_id: str, payload: ET.Element) -> None:
    """Without publish-options: not every service knows those that the plugins set."""
    await client.plugin["xep_0060"].publish(None, node, id=item_id, payload=payload)


READS: dict[str, Read] = {
    "xep_0084.retrieve_avatar": lambda c: c.plugin["xep_0084"].retrieve_avatar(JID(c.boundjid.bare), AVATAR_ID),
    "avatar metadata by get_items": lambda c: c.plugin["xep_0060"].get_items(None, METADATA),
    "avatar metadata by get_item": lambda c: c.plugin["xep_0060"].get_item(c.boundjid.bare, METADATA, AVATAR_ID),
    "xep_0292.retrieve_vcard": lambda c: c.plugin["xep_0292"].retrieve_vcard(JID(c.boundjid.bare)),
    "xep_0490.catch_up": lambda c: c.plugin["xep_0490"].catch_up(),
    "xep_0048.get_bookmarks": lambda c: c.plugin["xep_0048"].get_bookmarks(method="xep_0223"),
    "a bundle by its id": lambda c: c.plugin["xep_0060"].get_item(c.boundjid.bare, BUNDLES, "31415"),
    "a bundle of the older form": lambda c: c.plugin["xep_0060"].get_items(c.boundjid.bare, OLD_BUNDLES),
    "xep_0223.retrieve": lambda c: c.plugin["xep_0223"].retrieve(PRIVATE),
    "xep_0223.retrieve of one": lambda c: c.plugin["xep_0223"].retrieve(PRIVATE, id="diary"),
    "xep_0222.retrieve": lambda c: c.plugin["xep_0222"].retrieve(PUBLIC),
    "nick by get_items": lambda c: c.plugin["xep_0060"].get_items(None, NICK),
    "bookmarks by get_items": lambda c: c.plugin["xep_0060"].get_items(c.boundjid.bare, BOOKMARKS),
}
NOT_BUILT_IN = (PRIVATE, PUBLIC)


@pytest.fixture
async def program(server: XmppServer, open_program: OpenProgram) -> Program:
    """Juliet's program, with analysers for what the built-in ones leave alone."""
    program = await open_program(server=server, plugins=PLUGINS)
    for node in NOT_BUILT_IN:
        program.replica.register_analyser(Analyser(node, "wanted here", node=node, to_sync=True))
    return program


@pytest.mark.parametrize("how", READS)
async def test_a_plugin_s_read_is_a_hit_equal_to_the_service_s_answer(
    program: Program, connect: Connect, how: str
) -> None:
    plain = await connect("juliet", server=program.server, plugins=PLUGINS)
    await publish_everything(plain)
    read = READS[how]
    await read(program.client)
    await program.caught_up()
    program.wire.clear()
    served, expected = await read(program.client), await read(plain)
    assert is_hit(served)
    assert program.wire.iqs == []
    assert canonical_iq(served) == canonical_iq(expected)


def of(account: str, read: Callable[[ClientXMPP, JID], Awaitable[Any]]) -> Read:
    """A read of what another account, or this one, has."""
    return lambda client: read(client, JID(f"{account}@{client.boundjid.domain}"))


NOT_ALL_THERE: dict[str, Read] = {
    "a contact's vCard": of("romeo", lambda c, jid: c.plugin["xep_0292"].retrieve_vcard(jid)),
    "the vCard of nobody in particular": of("nobody", lambda c, jid: c.plugin["xep_0292"].retrieve_vcard(jid)),
    "a vCard that was never published": of("nurse", lambda c, jid: c.plugin["xep_0292"].retrieve_vcard(jid)),
    "a contact's avatar": of("romeo", lambda c, jid: c.plugin["xep_0084"].retrieve_avatar(jid, AVATAR_ID)),
    "an avatar that is not there": of("juliet", lambda c, jid: c.plugin["xep_0084"].retrieve_avatar(jid, "0" * 40)),
    "what is private": of("romeo", lambda c, jid: c.plugin["xep_0060"].get_items(jid, PRIVATE)),
}


@pytest.mark.parametrize("how", NOT_ALL_THERE)
async def test_what_a_plugin_finds_of_others_or_does_not_is_what_the_service_says(
    program: Program, connect: Connect, how: str
) -> None:
    romeo = await connect("romeo", server=program.server, plugins=PLUGINS)
    plain = await connect("juliet", server=program.server, plugins=PLUGINS)
    await publish_everything(plain)
    await publish_everything(romeo)
    card = ET.Element("{urn:ietf:params:xml:ns:vcard-4.0}vcard")
    await fill_pep(romeo, "urn:ietf:params:xml:ns:vcard-4.0", {"current": card})
    await fill_pep(romeo, PRIVATE, {"diary": entry("mine")}, access_model="whitelist")
    read = NOT_ALL_THERE[how]
    expected = await outcome(read(plain))
    assert expected == await outcome(read(plain))
    for _ in range(3):
        assert await outcome(read(program.client)) == expected
        await program.caught_up()


async def outcome(read: Awaitable[Any]) -> str:
    try:
        return canonical_iq(await read)
    except IqError as error:
        return f"{error.etype}/{error.condition}"


async def test_what_a_plugin_publishes_is_in_its_next_read(program: Program, connect: Connect) -> None:
    plain = await connect("juliet", server=program.server, plugins=PLUGINS)
    await publish_everything(plain)
    read = READS["xep_0292.retrieve_vcard"]
    await read(program.client)
    await program.caught_up()
    await program.client.plugin["xep_0292"].publish_vcard(full_name="Juliet Montague")
    (item,) = (await read(program.client))["pubsub"]["items"]
    assert item["vcard"]["full_name"] == "Juliet Montague"
    await program.caught_up()
    assert is_hit(await read(program.client))
    await assert_copy_equals_service(program.replica, plain, program.jid, "urn:ietf:params:xml:ns:vcard-4.0")


async def test_a_chat_that_a_plugin_flags_is_in_what_it_catches_up_with(
    prosody: Prosody, connect: Connect, open_program: OpenProgram
) -> None:
    program = await open_program("nurse", plugins=PLUGINS)
    mds = program.client.plugin["xep_0490"]
    await mds.flag_chat("nurse@localhost", "stanza-1")
    await mds.catch_up()
    await program.caught_up()
    await mds.flag_chat("tybalt@localhost", "stanza-3")
    iq = await mds.catch_up()
    flagged = {item["id"]: item["displayed"]["stanza_id"]["id"] for item in iq["pubsub"]["items"]}
    assert flagged["tybalt@localhost"] == "stanza-3"
    await program.caught_up()
    assert is_hit(await mds.catch_up())
    await assert_copy_equals_service(program.replica, await connect("nurse"), program.jid, DISPLAYED)


async def test_a_plugin_sees_stanzas_of_its_own_kind_in_a_hit(program: Program, connect: Connect) -> None:
    plain = await connect("juliet", server=program.server, plugins=PLUGINS)
    await publish_everything(plain)
    read = READS["xep_0292.retrieve_vcard"]
    await read(program.client)
    await program.caught_up()
    iq = await read(program.client)
    assert is_hit(iq)
    (item,) = iq["pubsub"]["items"]
    assert item["vcard"]["full_name"] == "Juliet Capulet"
    assert iq["pubsub"]["items"]["node"] == "urn:ietf:params:xml:ns:vcard-4.0"


PARSED: dict[str, tuple[str, str, dict[str, Any]]] = {
    OLD_BOOKMARKS: (
        "bookmark",
        "current",
        {"conferences": [{"jid": "balcony@rooms.localhost", "autojoin": True, "name": "Balcony"}]},
    ),
    DATA: ("avatar", AVATAR_ID, {"bytes": len(AVATAR), "sha1": AVATAR_ID, "verified": True}),
    BUNDLES: ("omemo", "31415", {"namespace": OMEMO, "device": 31415, "identity_key": KEY, "prekeys": 0}),
    OLD_BUNDLES: ("omemo", "current", {"namespace": OLD_OMEMO, "device": 31415, "identity_key": KEY, "prekeys": 0}),
    DISPLAYED: (
        "displayed",
        "nurse@localhost",  # the last that was published: Prosody's nodes of PEP keep one
        {"jid": "nurse@localhost", "stanza_id": "of nurse@localhost", "by": "juliet@localhost"},
    ),
}


@pytest.mark.parametrize("node", PARSED)
async def test_what_programs_read_at_their_start_is_copied_and_parsed(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    plain = await connect("juliet", plugins=PLUGINS)
    await publish_everything(plain)
    program = await open_program()
    type_, item_id, parsed = PARSED[node]
    record = await program.follow(node, program.jid)
    assert record.type == type_
    answer = await program.replica.get_items(program.jid, node, item_ids=[item_id], policy=Policy.ONLY_COPY)
    assert [item.parsed for item in answer.items] == [parsed]
    found = await program.replica.search("balcony", node=node)
    assert found.total == (1 if node == OLD_BOOKMARKS else 0)
    for text in ("hunter2", KEY[:8], AVATAR_ID, base64.b64encode(AVATAR).decode()[:20], "nurse"):
        assert (await program.replica.search(text, node=node)).total == 0


async def test_by_default_private_storage_of_unknown_payloads_is_left_with_the_service(
    prosody: Prosody, connect: Connect, open_program: OpenProgram
) -> None:
    plain = await connect("juliet", plugins=PLUGINS)
    await publish_everything(plain)
    program = await open_program(plugins=PLUGINS)
    for how in ("xep_0222.retrieve", "xep_0223.retrieve"):
        await READS[how](program.client)
        await program.caught_up()
        assert not is_hit(await READS[how](program.client))
    await program.pubsub.publish(None, "urn:example:other", id="one", payload=entry("by its payload a blog"))
    await program.follow("urn:example:other", program.jid)
