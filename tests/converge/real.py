"""A real server as a world. Programs reach it through a proxy of their own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, tostring

from slixmpp import ClientXMPP
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.xmlstream.xmlstream import NotConnectedError

from newsstand.demo.servers.prosody import Prosody
from newsstand.demo.servers.xmpp_server import XmppServer
from newsstand.errors import Disconnected, Timeout
from newsstand.slixmpp import Newsstand
from newsstand.slixmpp.transport import SlixmppTransport, stanza_error
from tests.conftest import log_in, log_out, new_client
from tests.converge.proxy import Proxy
from tests.converge.schedule import ACCOUNTS
from tests.converge.world import SECONDS, Program, Reading, View, World, analyser_of, contents, settings_of
from tests.servers.ejabberd import Ejabberd
from tests.servers.entities import Entity
from tests.servers.libervia_pubsub import LiberviaPubsub
from tests.servers.quirks import QUIRKS

_ITEM = "{http://jabber.org/protocol/pubsub}item"
_QUICK = "network_settings = { nagle = false }"


def new_server(name: str, lanes: int) -> XmppServer:
    """One of QUIRKS, not started, with accounts of their own for so many schedules at a time."""
    accounts = [in_lane(account, lane) for lane in range(lanes) for account in ("romeo", *ACCOUNTS)]
    admins = [in_lane("romeo", lane) for lane in range(lanes)]
    match name:
        case "prosody":
            return Prosody(accounts, admins=admins, extra=_QUICK)
        case "libervia-pubsub":
            return LiberviaPubsub(accounts, admins=admins)
        case _:
            return Ejabberd(accounts, admins=admins, db="sql" if name == "ejabberd-sql" else "mnesia")


def in_lane(account: str, lane: int) -> str:
    """What an account is called in a lane: in the first by its own name."""
    return f"{account}{lane or ''}"


class RealWorld(World):
    """On a server that runs, and goes on running."""

    def __init__(self, name: str, server: XmppServer, lane: int = 0) -> None:
        self.name = name
        self._lane = lane
        self.quirks = QUIRKS[name]
        self.server = server
        self.service = server.pubsub
        self._programs: list[RealProgram] = []

    async def open(self) -> None:
        """Log all in but the programs."""
        self.romeo, self.second = await self._entity("romeo"), await self._entity("romeo")
        self.oracles = {account: await self._entity(account) for account in ACCOUNTS}

    def jid(self, account: str) -> str:
        return self.server.jid(in_lane(account, self._lane))

    async def _entity(self, account: str) -> Entity:
        client = new_client(self.server, in_lane(account, self._lane))
        transport = SlixmppTransport(client)
        await log_in(client, self.server, presence=False)

        async def close() -> None:
            transport.close()
            await log_out(client)

        return Entity(transport, close, client.abort)

    async def open_program(self, account: str, path: Path) -> Program:
        program = RealProgram(self.server, in_lane(account, self._lane), path)
        await program.open()
        self._programs = [other for other in self._programs if not other.closed]
        self._programs.append(program)
        return program

    async def restart(self, *, kill: bool) -> None:
        await self.close()
        for program in self._programs:
            await program.end_session()
        await (self.server.kill() if kill else self.server.stop())
        await self.server.start()
        await self.open()

    async def delete_expired(self) -> bool:
        assert isinstance(self.server, Ejabberd), "items expire, and nobody knows how to have them deleted"
        return await self.server.delete_expired_items()

    async def lose_subscriptions(self, service: str, node: str) -> None:
        """Some services unsubscribe whoever may not read a node for a moment."""
        for model in ("whitelist", "open"):
            await self.romeo.configure(service, node, access_model=model)

    def shorten_listings(self, count: int, left: int = 1, *, of: tuple[str, str] | None = None) -> None:
        """A real server does not."""

    def shorten_ids(self, count: int, left: int, *, of: tuple[str, str] | None = None) -> None:
        """Nor this."""

    async def close(self) -> None:
        for entity in (self.romeo, self.second, *self.oracles.values()):
            await entity.close()


class RealProgram(Program):
    """What it asks goes through the plugin's trigger, as a program's requests do."""

    def __init__(self, server: XmppServer, account: str, path: Path) -> None:
        super().__init__()
        self.closed = False
        self.account = server.jid(account)
        self._server = server
        self._proxy = Proxy(server.port)
        self.faults = self._proxy.faults
        self._client: ClientXMPP = new_client(server, account)
        given = {"database": f"sqlite:///{path}", "entry_points": False, **settings_of(account)}
        self._client.register_plugin("newsstand", given)
        plugins: Any = self._client.plugin
        self._plugin: Newsstand = plugins["newsstand"]
        self.replica = self._plugin.replica
        self.replica.register_analyser(analyser_of(account))
        self._gone = asyncio.Event()
        self._gone.set()
        self._client.add_event_handler("disconnected", lambda _: self._gone.set())

    def inject(self, message: Element) -> None:
        self._proxy.inject(tostring(message))

    async def open(self) -> None:
        await self._proxy.open()
        await self._plugin.ready()
        self.database = self._plugin._database
        transport = self.replica._transport
        assert transport is not None
        transport.on_message(self.hear)

    async def answer(self, service: str, node: str, ids: list[str], max_items: int | None) -> Reading:
        items = Element("{http://jabber.org/protocol/pubsub}items", {"node": node})
        if max_items is not None:
            items.set("max_items", str(max_items))
        items.extend(Element(_ITEM, {"id": item_id}) for item_id in ids)
        pubsub = Element("{http://jabber.org/protocol/pubsub}pubsub")
        pubsub.append(items)
        result = await self._ask("get", service, pubsub)
        made_of = getattr(result, "newsstand", None)
        view = View(contents(result.xml.findall(f".//{_ITEM}")))
        return Reading(view, made_of is not None, made_of is not None and bool(made_of.stale))

    async def write(self, service: str, payload: Element) -> None:
        await self._ask("set", service, payload)

    async def _ask(self, type: str, to: str, payload: Element) -> Any:
        iq: Any = self._client.Iq()
        iq["type"], iq["to"] = type, to
        iq.xml.append(payload)
        gone = asyncio.ensure_future(self._gone.wait())
        answer = iq.send(timeout=5)
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                answer.cancel()
                raise Disconnected("the stream ended")
            return answer.result()
        except IqError as error:
            raise stanza_error(error.iq.xml) from error
        except IqTimeout as error:
            raise Timeout("no answer") from error
        except NotConnectedError as error:
            raise Disconnected("no stream") from error
        finally:
            gone.cancel()

    async def begin_session(self) -> None:
        await self.end_session()
        self._gone.clear()
        self._proxy.to_port = self._server.port
        self._proxy.faults.forget()
        await log_in(self._client, self._proxy)
        self.connected = True
        async with asyncio.timeout(SECONDS):
            await self.replica.session_began()

    async def end_session(self, *, gracefully: bool = False) -> None:
        if self.connected and gracefully:
            await self._client.disconnect()
        self._proxy.cut()
        self.connected = False
        async with asyncio.timeout(SECONDS):
            await self._gone.wait()

    def cut_after(self, count: int, *, upwards: bool = False) -> None:
        self._proxy.cut_after(count, upwards=upwards)

    async def close(self) -> None:
        await self.end_session()
        await self._plugin.close()
        await log_out(self._client)
        await self._proxy.close()
        self.closed = True
