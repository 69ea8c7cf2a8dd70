"""A read that the service is asked, and the copy answers if the service does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.stanza import Iq

from newsstand.errors import Timeout
from newsstand.serving.port import Port
from newsstand.serving.steps import Ask, Rows, Served
from newsstand.slixmpp.transport import stanza_error
from newsstand.xmpp.privilege import forwarded, is_about

Callback = Callable[[Iq], Any]
SLIXMPP_TIMEOUT = 120.0
"""Seconds that `Iq.send()` waits where no time-out is given."""


class StreamPart(NamedTuple):
    """What a request needs of the stream that it is sent on."""

    loop: asyncio.AbstractEventLoop
    port: Callable[[], Port | None]
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    deliver: Callable[[Iq, Served, Any, asyncio.Future[Any]], None]
    """Hand the copy's answer over, to the callback and the future."""
    waiting: set[Fallback]
    """The requests that nothing has answered yet."""


class Fallback:
    """One request under way. The program has its future, and gets what comes first: the service's answer, or the
    copy's. What comes later from the service is reported to the port all the same."""

    def __init__(self, around: StreamPart, iq: Iq, ask: Ask, callback: Any, timeout: Any) -> None:
        self._around = around
        self._iq = iq
        self._ask = ask
        self._callback: Callback | None = callback
        self._timeout = timeout
        self._future: asyncio.Future[Any] = around.loop.create_future()
        self._settled = False
        self._timer: asyncio.TimerHandle | None = None
        self._reading = False
        self._otherwise: Callable[[], None] | None = None
        """What to do where the copy, which is being read, cannot answer; None: wait for the service."""

    def begin(self) -> asyncio.Future[Any]:
        inner = Iq.send(self._iq, self._on_reply, self._timeout)
        inner.add_done_callback(self._on_end)
        allowed = SLIXMPP_TIMEOUT if self._timeout is None else self._timeout
        patience = self._ask.patience
        if patience is not None and allowed >= patience:
            self._timer = self._around.loop.call_later(patience, self.fall_back)
        self._around.waiting.add(self)
        return self._future

    def _on_reply(self, reply: Iq) -> None:
        """slixmpp has the service's answer; called before anybody who awaits it goes on."""
        unreachable = report(self._around.port(), self._ask, reply)
        if self._settled:
            return
        if unreachable:
            self.fall_back(lambda: self._give(reply))
        else:
            self._give(reply)

    def _give(self, reply: Iq) -> None:
        if self._settled:
            return
        self._settle()
        if not self._future.done():
            if reply.xml.get("type") == "error":
                self._future.set_exception(IqError(reply))
            else:
                self._future.set_result(reply)
        if self._callback is not None:
            self._callback(reply)

    def _on_end(self, inner: asyncio.Future[Any]) -> None:
        if inner.cancelled():
            return
        error = inner.exception()
        if isinstance(error, IqTimeout):
            report_silence(self._around.port(), self._ask)
            if not self._settled:
                self.fall_back(lambda: self._fail(error))

    def _fail(self, error: IqTimeout) -> None:
        if self._settled:
            return
        self._settle()
        if not self._future.done():
            self._future.set_exception(error)

    def fall_back(self, otherwise: Callable[[], None] | None = None) -> None:
        """Let the copy answer. `otherwise` is for where it cannot: since the request was sent, the node may have been
        closed to us. Until the copy is read, the service's answer is still welcome."""
        port = self._around.port()
        if self._settled:
            return
        step = self._ask if port is None else port.fall_back(self._ask)
        if isinstance(step, Rows):
            assert port is not None
            self._otherwise = otherwise or self._otherwise
            if not self._reading:
                self._reading = True
                self._around.spawn(self._read(port, step))
        elif isinstance(step, Served):
            self._deliver(step)
        elif otherwise is not None:
            otherwise()

    async def _read(self, port: Port, rows: Rows) -> None:
        step = await port.go_on(rows)
        self._reading = False
        if self._settled:
            return
        if isinstance(step, Served):
            self._deliver(step)
        elif self._otherwise is not None:
            self._otherwise()

    def _deliver(self, served: Served) -> None:
        self._settle()
        self._around.deliver(self._iq, served, self._callback, self._future)

    def _settle(self) -> None:
        self._settled = True
        self._around.waiting.discard(self)
        if self._timer is not None:
            self._timer.cancel()


def report_silence(port: Port | None, ask: Ask) -> None:
    """Reports to the port that no answer came within the program's own time: slixmpp takes none any more."""
    if port is not None:
        port.failed(ask, Timeout("no answer came within the program's own time"), None)


def report(port: Port | None, ask: Ask, reply: Iq) -> bool:
    """Reports the answer to a request to the port. Returns whether it says that the service cannot be reached."""
    if port is None:
        return False
    if ask.read.request.privileged:
        return _report_forwarded(port, ask, reply)
    if reply.xml.get("type") == "error":
        return port.failed(ask, stanza_error(reply.xml), reply.xml)
    port.replied(ask, reply.xml)
    return False


def _report_forwarded(port: Port, ask: Ask, reply: Iq) -> bool:
    """The same of an answer that the account's server wrapped. Its own word is not the service's on the node. Of what
    the service answers to another account nothing is learnt: only that it could not be reached, or has no such node."""
    if not is_about(reply.xml, ask.read.request.key.account):
        return False
    answer = forwarded(reply.xml)
    if answer is None:
        return reply.xml.get("type") == "error" and stanza_error(reply.xml).unreachable
    return answer.get("type") == "error" and port.failed(ask, stanza_error(answer), None)
