"""The server of one measurement: a throw-away Prosody with nodes, and what is known of the accounts."""

from __future__ import annotations

import base64
import hashlib
from xml.etree.ElementTree import Element, SubElement

from newsstand.demo.clients import LoopbackClient
from newsstand.demo.servers.prosody import Prosody

OWNER, USER, PEER = "romeo", "juliet", "nurse"
"""Who publishes; whose program is observed; whom it talks to."""
COMPONENT = "gateway.localhost"
NODES = ("gardening", "recipes", "verona")
SETTINGS = "rivista:settings"
ITEMS = 10
ATOM = "http://www.w3.org/2005/Atom"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""An avatar: a PNG."""


def new_server() -> Prosody:
    """With private XML storage, too, as Prosody has by default: without it poezio reads no bookmarks at all."""
    return Prosody(accounts=(OWNER, USER, PEER), components=(COMPONENT,), modules=("private",))


async def fill(server: Prosody) -> None:
    """Three nodes with ten entries each; of the program's account its settings, bookmarks and an avatar, and of its
    contact's an avatar. Both are in each other's roster."""
    async with (
        LoopbackClient(server, OWNER, "stage") as owner,
        LoopbackClient(server, USER, "stage") as user,
        LoopbackClient(server, PEER, "stage") as peer,
    ):
        for node in NODES:
            await owner.create_node(server.pubsub, node, access_model="open", max_items="100", persist_items="true")
            for number in range(ITEMS):
                await publish_entry(owner, server, node, number)
        await user.create_node(None, SETTINGS, access_model="whitelist", persist_items="true")
        await _publish(user, SETTINGS, "settings", Element("{urn:example:settings}settings", theme="dark"))
        await user.create_node(None, "storage:bookmarks", access_model="whitelist", persist_items="true")
        await _publish(user, "storage:bookmarks", "current", _bookmarks())
        for client in (user, peer):
            await _publish_avatar(client)
        await _befriend(user, peer)


async def change(server: Prosody) -> None:
    """While the program is not running, an entry is published."""
    async with LoopbackClient(server, OWNER, "stage") as owner:
        await publish_entry(owner, server, NODES[0], ITEMS)


async def publish_entry(owner: LoopbackClient, server: Prosody, node: str, number: int) -> None:
    entry = Element(f"{{{ATOM}}}entry")
    for name, text in {
        "id": f"urn:example:{node}:{number}",
        "title": f"{node}, number {number}",
        "updated": f"2026-01-{number + 1:02}T12:00:00Z",
        "content": "But soft, what light through yonder window breaks? " * 5,
    }.items():
        SubElement(entry, f"{{{ATOM}}}{name}").text = text
    await owner.plugin["xep_0060"].publish(server.pubsub, node, id=f"post{number}", payload=entry)


async def _publish(client: LoopbackClient, node: str, item_id: str, payload: Element) -> None:
    await client.plugin["xep_0060"].publish(None, node, id=item_id, payload=payload)


def _bookmarks() -> Element:
    storage = Element("{storage:bookmarks}storage")
    SubElement(storage, "{storage:bookmarks}conference", jid="balcony@conference.localhost", name="The balcony")
    return storage


async def _publish_avatar(client: LoopbackClient) -> None:
    digest = hashlib.sha1(PIXEL).hexdigest()  # XEP-0084 names it so
    data = Element("{urn:xmpp:avatar:data}data")
    data.text = base64.b64encode(PIXEL).decode()
    metadata = Element("{urn:xmpp:avatar:metadata}metadata")
    info = {"id": digest, "bytes": str(len(PIXEL)), "type": "image/png", "width": "1", "height": "1"}
    SubElement(metadata, "{urn:xmpp:avatar:metadata}info", info)
    for node, payload in (("urn:xmpp:avatar:data", data), ("urn:xmpp:avatar:metadata", metadata)):
        await client.create_node(None, node, access_model="open", persist_items="true")
        await _publish(client, node, digest, payload)


async def _befriend(user: LoopbackClient, peer: LoopbackClient) -> None:
    """Each sees the other's presence, as slixmpp does by itself where one asks."""
    for client in (user, peer):
        await client.get_roster()
        client.send_presence()
    user.send_presence(pto=peer.boundjid.bare, ptype="subscribe")
    for client, other in ((user, peer), (peer, user)):
        while client.client_roster[other.boundjid.bare]["subscription"] != "both":
            await client.wait_until("roster_update", timeout=10)
