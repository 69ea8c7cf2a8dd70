"""Streams to the fake service, which keep the promises of `newsstand.xmpp.transport.Transport`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal
from xml.etree.ElementTree import Element

from newsstand.errors import Disconnected, Timeout
from newsstand.model import Provenance
from newsstand.xmpp.transport import Session
from tests.fakes.requests import read

if TYPE_CHECKING:
    from tests.fakes.service import Service


class Stream:
    """One client's stream, or a component's: a `newsstand.xmpp.transport.Transport`. Without a session until it is told
    of one. It leads to one service, and to the services of accounts that this knows."""

    def __init__(self, service: Service, own_jid: str = "juliet@example.org", *, is_component: bool = False) -> None:
        self.own_jid = own_jid
        self.is_component = is_component
        self.service = service
        self.session = Session.LOST
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending: set[asyncio.Future[Element]] = set()
        self.delivered: list[Element] = []
        """What the replica handed to the program, though the service did not send it now."""
        self._message_listeners: list[Callable[[Element], None]] = []
        self._session_listeners: list[Callable[[Session], None]] = []
        service.streams.append(self)

    def is_of(self, account: str) -> bool:
        """Whether what is sent to this account comes here; a component has all accounts of its domain."""
        return account == self.own_jid or (self.is_component and account.endswith(f"@{self.own_jid}"))

    def turn(self, *sessions: Session) -> None:
        """The session becomes this, then that. LOST cuts the requests that are under way."""
        for session in sessions:
            self.session = session
            if session is Session.LOST:
                self._lost.set_result(None)
                for answer in self._pending:
                    answer.cancel()  # what has not arrived by now never does
                self._lost = asyncio.get_running_loop().create_future()
            for listener in self._session_listeners:
                listener(session)

    def cut(self) -> None:
        """The stream ends without a word."""
        self.turn(Session.LOST)

    def close(self) -> None:
        """The service forgets it."""
        if self.session is not Session.LOST:
            self.turn(Session.LOST)
        self.service.streams.remove(self)

    def receive(self, message: Element) -> None:
        """Hand a message over, if this session hears any."""
        if self.session in (Session.FRESH, Session.RESUMED):
            for listener in self._message_listeners:
                listener(message)

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
        if self.session is Session.LOST:
            raise Disconnected("there is no session")
        lost = self._lost
        service = self.service.find(to)
        request = read(payload, ifrom or self.own_jid)
        answer = asyncio.ensure_future(service.take(request, on_answer, self))
        self._pending.add(answer)
        try:
            either: set[asyncio.Future[Any]] = {answer, lost}
            await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._pending.discard(answer)
            answered = answer.done() and not answer.cancelled()
            answer.cancel()
        if not answered:
            raise Disconnected("the stream ended") if lost.done() else Timeout(f"no answer within {timeout} s")
        return answer.result()

    def deliver(self, message: Element, made_of: Provenance) -> None:
        self.delivered.append(message)

    def on_message(self, listener: Callable[[Element], None]) -> None:
        self._message_listeners.append(listener)

    def on_session(self, listener: Callable[[Session], None]) -> None:
        self._session_listeners.append(listener)
        if self.session is not Session.LOST:
            listener(self.session)
