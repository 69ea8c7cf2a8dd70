"""A component (XEP-0114) with Newsstand: one stream, many accounts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from xml.etree.ElementTree import Element

from slixmpp import ComponentXMPP
from slixmpp.stanza import Iq

from newsstand import Replica
from newsstand.demo.servers.xmpp_server import XmppServer
from newsstand.xmpp.requests import items_request
from tests.integration._program import newsstand_of

LOGIN_SECONDS = 15.0


class Component:
    """A logged-in slixmpp component; with a database, one that has the plugin."""

    def __init__(self, xmpp: ComponentXMPP, server: XmppServer) -> None:
        self.xmpp = xmpp
        self.server = server

    @property
    def replica(self) -> Replica:
        return newsstand_of(self.xmpp).replica

    async def read(self, account: str, service: str, node: str, **wanted: Any) -> Iq:
        """As a program reads for one of its accounts. Raises IqError."""
        answer: Iq = await self.xmpp.plugin["xep_0060"].get_items(service, node, ifrom=f"{account}/gw", **wanted)
        return answer

    async def ask(self, account: str, service: str, node: str) -> Iq:
        """The same, past the trigger. Raises IqError."""
        iq = Iq(self.xmpp, sto=service, stype="get", sfrom=f"{account}/gw")
        iq.xml.append(items_request(node))
        answer: Iq = await iq.send()
        return answer

    async def caught_up(self) -> None:
        """All that the server has sent so far has arrived, and so has what came of it."""
        for _ in range(2):
            iq = Iq(self.xmpp, sto=self.server.domain, stype="get", sfrom=self.xmpp.boundjid.bare)
            iq.xml.append(Element("{http://jabber.org/protocol/disco#info}query"))
            await iq.send()
            await self.replica.settled()

    async def log_in(self) -> None:
        began = asyncio.Event()
        self.xmpp.add_event_handler("session_start", lambda _: began.set(), disposable=True)
        self.xmpp.connect(self.server.host, self.server.component_port_of(str(self.xmpp.boundjid.bare)))
        async with asyncio.timeout(LOGIN_SECONDS):
            await began.wait()

    async def log_out(self) -> None:
        if self.xmpp.transport is not None:
            await self.xmpp.disconnect()
        # slixmpp leaves the task that sends to the garbage collector, which complains about it.
        if (sending := self.xmpp._run_out_filters) is not None:
            sending.cancel()
            await asyncio.wait([sending])


@asynccontextmanager
async def component(
    server: XmppServer, jid: str, database: str | None = None, *, plugins: Iterable[str] = ()
) -> AsyncIterator[Component]:
    """Logged in for the length of the block."""
    xmpp = ComponentXMPP(jid, server.component_secret(jid))
    for plugin in ("xep_0060", *plugins):
        xmpp.register_plugin(plugin)
    if database is not None:
        xmpp.register_plugin("newsstand", {"database": database})
        await newsstand_of(xmpp).ready()
    opened = Component(xmpp, server)
    await opened.log_in()
    try:
        yield opened
    finally:
        if database is not None:
            await newsstand_of(xmpp).close()
        await opened.log_out()
