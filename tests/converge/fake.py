"""The fake service as a world: no wire, no waiting; what takes time takes scheduling steps."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

from newsstand import Replica
from newsstand.config import Settings
from newsstand.errors import StanzaError, Timeout
from newsstand.model import ItemsRequest, Origin
from newsstand.storage import shared
from newsstand.storage.database import Database
from newsstand.xmpp.requests import read_request
from newsstand.xmpp.transport import Session
from tests.converge.faults import Faults
from tests.converge.world import Program, Reading, View, World, analyser_of, contents, settings_of
from tests.fakes.requests import Request
from tests.fakes.service import SIMPLE, Service, Stream, soon
from tests.servers.entities import Entity
from tests.servers.quirks import QUIRKS, Quirk

DOMAIN = "example.org"
_NOT_PLAYED = frozenset({Quirk.ITEM_EXPIRE_IGNORED, Quirk.PEP_ITEM_EXPIRE_IGNORED})
"""Here items expire on every service: where a real one does not know how to, its next version may."""


class FakeWorld(World):
    is_fake = True

    def __init__(self, flavour: str, seed: int) -> None:
        self.name = "fake"
        self.quirks = SIMPLE if flavour == "plain" else QUIRKS[flavour] - _NOT_PLAYED
        self._fake = Service(quirks=self.quirks, creators=frozenset({self.jid("romeo")}))
        self.service = self._fake.jid
        for account in ("romeo", "juliet", "nurse"):
            self._fake.add_account(self.jid(account))
        chance = random.Random(seed)

        def steps(request: Request) -> int:
            return chance.randrange(5)

        def before(request: Request) -> int:
            """Items are published a second after each other: some expire before the others."""
            if request.kind == "publish":
                self._fake.pass_time(1)
            return steps(request)

        for service in (self._fake, *self._fake.accounts.values()):
            service.before, service.after = before, steps
        self.romeo, self.second = self._entity("romeo"), self._entity("romeo")
        self.oracles = {account: self._entity(account) for account in ("juliet", "nurse")}
        self._programs: list[FakeProgram] = []

    def jid(self, account: str) -> str:
        return f"{account}@{DOMAIN}"

    def _entity(self, account: str) -> Entity:
        stream = Stream(self._fake, self.jid(account))
        stream.turn(Session.FRESH)

        async def close() -> None:
            stream.close()

        return Entity(stream, close, stream.cut)

    async def open_program(self, account: str, path: Path) -> Program:
        database = await shared.acquire(f"sqlite:///{path}")
        program = FakeProgram(self._fake, self.jid(account), database)
        await program.replica.open(database)
        self._programs.append(program)
        return program

    async def restart(self, *, kill: bool) -> None:
        for program in self._programs:
            await program.end_session()

    async def delete_expired(self) -> bool:
        self._fake.pass_time(1)
        self._fake.delete_expired()
        return True

    async def lose_subscriptions(self, service: str, node: str) -> None:
        found = self._fake.find(service)
        for account in self.oracles if node in found.nodes else ():
            found.forget_subscription(node, self.jid(account))

    def shorten_listings(self, count: int, left: int = 1, *, of: tuple[str, str] | None = None) -> None:
        for service in (self._fake, *self._fake.accounts.values()):
            service.mischief.shorten(count, left=left, of=of)

    def shorten_ids(self, count: int, left: int, *, of: tuple[str, str] | None = None) -> None:
        for service in (self._fake, *self._fake.accounts.values()):
            service.mischief.shorten_ids(count, left=left, of=of)

    async def close(self) -> None:
        for entity in (self.romeo, self.second, *self.oracles.values()):
            await entity.close()


class _Stream(Stream):
    """One whose notifications meet with faults."""

    def __init__(self, service: Service, own_jid: str) -> None:
        super().__init__(service, own_jid)
        self.faults: Faults[Element] = Faults()

    def receive(self, message: Element) -> None:
        if self.session is Session.FRESH:
            self.faults.pass_on(message, super().receive)

    async def iq(
        self,
        type: Literal["get", "set"],
        to: str,
        payload: Element,
        *,
        ifrom: str | None = None,
        timeout: float | None = None,
        on_answer: Callable[[], None] | None = None,
    ) -> Element:
        lost = False

        def arrived() -> None:
            nonlocal lost
            lost = self.faults.loses_answer()
            if on_answer is not None and not lost:
                on_answer()

        answer = await super().iq(type, to, payload, ifrom=ifrom, timeout=timeout, on_answer=arrived)
        if lost:
            raise Timeout("the answer was lost")  # nobody waits for the time-out
        return answer


class FakeProgram(Program):
    def __init__(self, service: Service, account: str, database: Database) -> None:
        super().__init__()
        self.account = account
        self.database = database
        self._service = service
        self._stream = _Stream(service, account)
        self.faults = self._stream.faults
        self.replica = Replica(self._stream, settings=Settings.of(settings_of(account)), entry_points=False)
        self.replica.register_analyser(analyser_of(account))
        self._stream.on_message(self.hear)

    def inject(self, message: Element) -> None:
        Stream.receive(self._stream, message)

    async def answer(self, service: str, node: str, ids: list[str], max_items: int | None) -> Reading:
        answer = await self.replica.get_items(service, node, item_ids=ids, max_items=max_items)
        items = contents([ET.fromstring(item.xml) for item in answer.items])
        foreign = self.foreign(answer.items, service, node)
        return Reading(View(items), answer.origin is Origin.COPY, answer.stale, foreign)

    async def write(self, service: str, payload: Element) -> None:
        """As the trigger does it."""
        iq = Element("{jabber:client}iq", {"type": "set", "to": service})
        iq.append(payload)
        request = read_request(iq, self.account)
        assert request is not None
        assert not isinstance(request, ItemsRequest)
        port = self.replica.port
        assert port is not None
        write = port.begin_write(request, ())
        outcome: Element | StanzaError | None = None
        try:
            outcome = await self._stream.iq("set", service, payload, timeout=5.0)
        except StanzaError as error:
            outcome = error
            raise
        finally:
            if write is not None:
                port.end_write(write, outcome)

    async def begin_session(self) -> None:
        await self.end_session()
        self._stream.turn(Session.FRESH)
        self.connected = True

    async def end_session(self, *, gracefully: bool = False) -> None:
        self.connected = False
        self.faults.forget()
        if self._stream.session is not Session.LOST:
            self._stream.turn(Session.LOST)

    def cut_after(self, count: int, *, upwards: bool = False) -> None:
        def cut() -> None:
            if self._stream.session is not Session.LOST and session is self._session:
                self._stream.cut()

        session = self._session = object()
        soon(count % 60, cut)

    async def close(self) -> None:
        self._session = object()
        await self.end_session()
        self._service.streams.remove(self._stream)
        await self.replica.close()
        await shared.release(self.database)
        await asyncio.sleep(0)
