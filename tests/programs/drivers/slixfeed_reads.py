"""Reads by slixfeed's functions for pubsub: the nodes of a service, three of them, and the newest item of each."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any

import connecting
from reading import Reader
from slixfeed.interface.xmpp.publish import XmppPubsub
from slixmpp import ClientXMPP

SERVICE = os.environ["PROGRAMS_SERVICE"]
NODES = os.environ["PROGRAMS_NODES"].split(",")


async def read(client: ClientXMPP) -> None:
    nodes = asyncio.ensure_future(settled(XmppPubsub.get_nodes(client, SERVICE)))  # offline it never comes
    for node in NODES:
        await settled(XmppPubsub.get_items(client, SERVICE, node))
        await settled(XmppPubsub.get_item(client, SERVICE, node, "post1"))
    nodes.cancel()


async def read_again(client: ClientXMPP) -> None:
    for node in NODES:
        await settled(XmppPubsub.get_items(client, SERVICE, node))


async def settled(asked: Any) -> None:
    """Its answer, or the error that slixfeed would log."""
    try:
        await asked
    except Exception as error:  # whatever it is, the next read is made
        logging.getLogger(__name__).warning("%r", error)


if __name__ == "__main__":
    connecting.run(Reader((), read, read_again))
