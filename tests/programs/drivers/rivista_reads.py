"""Reads by rivista's functions for pubsub: its settings, which are private, and three nodes, by both of its modules."""

from __future__ import annotations

import asyncio
import os

import connecting
from reading import Reader
from rivista.interface.xmpp.pubsub import InsterfaceXmppPubsub
from rivista.xmpp.xep_0060 import XmppXep0060
from slixmpp import ClientXMPP

SERVICE = os.environ["PROGRAMS_SERVICE"]
NODES = os.environ["PROGRAMS_NODES"].split(",")
SETTINGS = os.environ["PROGRAMS_SETTINGS"]


async def read(client: ClientXMPP) -> None:
    await InsterfaceXmppPubsub.get_node_item_private(client, SETTINGS, "settings")
    for node in NODES:
        ids = asyncio.ensure_future(InsterfaceXmppPubsub.get_node_item_ids(client, SERVICE, node))
        await InsterfaceXmppPubsub.get_node_items(client, SERVICE, node)
        await InsterfaceXmppPubsub.get_node_item(client, SERVICE, node, "post1")
        ids.cancel()  # offline they never come


async def read_again(client: ClientXMPP) -> None:
    for node in NODES:
        await XmppXep0060.get_node_items(client, SERVICE, node)


if __name__ == "__main__":
    connecting.run(Reader(("xep_0223",), read, read_again))
