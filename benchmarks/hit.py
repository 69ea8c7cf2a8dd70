"""A read through slixmpp, answered by the copy, against the same answered by Prosody (SQL, Nagle off) or ejabberd.

From the request to its elements: `xep_0060.get_items(…)` awaited, and the items counted.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from slixmpp import ClientXMPP

import newsstand.slixmpp
from benchmarks.measure import Ratio, compare
from newsstand.demo.servers.prosody import Prosody
from newsstand.demo.servers.xmpp_server import XmppServer
from newsstand.model import Origin
from tests.servers.ejabberd import Ejabberd

NS_ATOM = "http://www.w3.org/2005/Atom"
BODY = "The quick brown fox jumps over the lazy dog. " * 17
PIPELINE = 100


async def run() -> list[Ratio]:
    assert newsstand.slixmpp.Newsstand.name == "newsstand"
    results = []
    for title, server, small in (
        ("Prosody", Prosody(accounts=("romeo", "juliet")), 1 / 8),
        ("ejabberd (SQL)", Ejabberd(accounts=("romeo", "juliet"), db="sql"), 1 / 4),
    ):
        async with server:
            writer = await log_in(server, "romeo")
            with tempfile.TemporaryDirectory() as folder:
                reader = await log_in(server, "juliet", f"sqlite:///{folder}/news.db")
                sides = Sides(title, server, writer, reader)
                results += [
                    await _measure(sides, "large", 5_000, target=1 / 10, times=40),
                    await _measure(sides, "small", 20, target=small, times=100),
                ]
                await reader.plugin["newsstand"].close()
                for client in (reader, writer):
                    await client.disconnect()
    return results


@dataclass(frozen=True)
class Sides:
    """Who reads from the service, and who from the copy."""

    title: str
    server: XmppServer
    writer: Any
    reader: Any


async def _measure(sides: Sides, node: str, count: int, *, target: float, times: int) -> Ratio:
    server, writer, reader = sides.server, sides.writer, sides.reader
    await fill(server, writer, node, count)
    replica = reader.plugin["newsstand"].replica
    for limit in (1, 20):  # followed from the first on; what the service sends along is learnt when it is needed
        await reader.plugin["xep_0060"].get_items(server.pubsub, node, max_items=limit)
        await replica.settled()

    async def read(client: Any) -> Any:
        iq = await client.plugin["xep_0060"].get_items(server.pubsub, node, max_items=20)
        assert len(iq["pubsub"]["items"].xml) == min(20, count)
        return iq

    hit = await read(reader)
    assert hit.newsstand.origin is Origin.COPY
    assert not hit.newsstand.stale
    return await compare(
        f"slixmpp: last 20 of {count:,}, a hit / {sides.title}",
        lambda: read(reader),
        lambda: read(writer),
        target=target,
        times=times,
    )


async def fill(server: XmppServer, writer: Any, node: str, count: int) -> None:
    pubsub = writer.plugin["xep_0060"]
    form = writer.plugin["xep_0004"].make_form(ftype="submit")
    form.add_field(var="pubsub#max_items", value=str(count + 10))
    await pubsub.create_node(server.pubsub, node, config=form)
    for start in range(0, count, PIPELINE):
        await asyncio.gather(
            *(
                pubsub.publish(server.pubsub, node, id=f"i{i}", payload=_entry(i))
                for i in range(start, min(start + PIPELINE, count))
            )
        )


def _entry(number: int) -> Element:
    entry = Element(f"{{{NS_ATOM}}}entry")
    SubElement(entry, f"{{{NS_ATOM}}}title").text = f"Post {number}"
    SubElement(entry, f"{{{NS_ATOM}}}id").text = f"tag:localhost,2026:{number}"
    SubElement(entry, f"{{{NS_ATOM}}}content").text = f"{BODY}{number}"
    return entry


async def log_in(server: XmppServer, account: str, database: str | None = None, *, available: bool = True) -> Any:
    """A client whose session has begun; with a database, one with Newsstand."""
    client: Any = ClientXMPP(
        server.jid(account),
        server.password,
        plugin_config={"feature_mechanisms": {"unencrypted_plain": True, "use_mech": "PLAIN"}},
    )
    client.enable_plaintext = True
    client.enable_starttls = client.enable_direct_tls = False
    for plugin in ("xep_0004", "xep_0060"):
        client.register_plugin(plugin)
    if database is not None:
        client.register_plugin("newsstand", {"database": database})
        await client.plugin["newsstand"].ready()
    began: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    client.add_event_handler("session_start", lambda _: began.set_result(None))
    client.connect(server.host, server.port)
    await asyncio.wait_for(began, 15)
    if available:
        client.send_presence()
    return client
