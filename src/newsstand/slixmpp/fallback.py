"""A read that the service is asked, and the copy answers if the service cannot."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.stanza import Iq

from newsstand.errors import DatabaseError
from newsstand.model import ItemsRequest, Provenance
from newsstand.rules.policy import Fetch, Refuse, Serve
from newsstand.serving.reading import Moment
from newsstand.slixmpp.transport import stanza_error

if TYPE_CHECKING:
    from newsstand.slixmpp.trigger import Trigger

log = logging.getLogger(__name__)

Callback = Callable[[Iq], Any]
SLIXMPP_TIMEOUT = 120.0
"""What `Iq.send()` waits when it is told nothing."""


class Fallback:
    """A read that the service is asked, and the copy answers if the service cannot."""

    def __init__(
        self, trigger: Trigger, iq: Iq, request: ItemsRequest, instead: Serve, callback: Any, timeout: Any
    ) -> None:
        self._trigger = trigger
        self._iq = iq
        self._request = request
        self._instead = instead
        self._callback: Callback | None = callback
        self._timeout = timeout
        self._future: asyncio.Future[Any] = trigger.xmpp.loop.create_future()
        self._settled = False
        self._moment: Moment | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reading = False
        self._otherwise: Callable[[], None] | None = None
        """What to do where the copy, which is being read, cannot answer; None: wait for the service."""

    def begin(self) -> asyncio.Future[Any]:
        self._moment = self._trigger.replica.moment(self._request)
        inner = Iq.send(self._iq, self._on_reply, self._timeout)
        inner.add_done_callback(self._on_end)
        allowed = SLIXMPP_TIMEOUT if self._timeout is None else self._timeout
        if allowed >= self._trigger.replica.patience:
            loop = self._trigger.xmpp.loop
            self._timer = loop.call_later(self._trigger.replica.patience, self.stand_in)
        self._trigger.waiting.add(self)
        return self._future

    def _on_reply(self, reply: Iq) -> None:
        """slixmpp has the service's answer; called before anybody who awaits it goes on."""
        if self._settled:
            return
        kind = reply.xml.get("type")
        if kind == "error":
            error = stanza_error(reply.xml)
            self._trigger.replica.note_error(self._request, error, reply.xml)
            if error.unreachable:
                self.stand_in(lambda: self._give(reply))
                return
        self._give(reply)

    def _give(self, reply: Iq) -> None:
        if self._settled:
            return
        kind = reply.xml.get("type")
        self._settle()
        if not self._future.done():
            if kind == "error":
                self._future.set_exception(IqError(reply))
            else:
                self._future.set_result(reply)
        if kind != "error":
            self._trigger.replica.observe(self._request, reply.xml, self._moment)
        if self._callback is not None:
            self._callback(reply)

    def _on_end(self, inner: asyncio.Future[Any]) -> None:
        if inner.cancelled():
            return
        error = inner.exception()
        if isinstance(error, IqTimeout) and not self._settled:
            self.stand_in(lambda: self._fail(error))

    def _fail(self, error: IqTimeout) -> None:
        if self._settled:
            return
        self._settle()
        if not self._future.done():
            self._future.set_exception(error)

    def stand_in(self, otherwise: Callable[[], None] | None = None) -> None:
        """Let the copy answer, marked stale. `otherwise` is for where it cannot: since the request was sent, the node
        may have been closed to us. Until the copy is read, the service's answer is still welcome."""
        if self._settled:
            return
        instead = self._find_instead()
        if instead is None:
            if otherwise is not None:
                otherwise()
        elif self._trigger.replica.reads_now(self._request):
            if not self._serve(instead) and otherwise is not None:
                otherwise()
        else:
            self._otherwise = otherwise or self._otherwise
            if not self._reading:
                self._reading = True
                self._trigger.spawn(self._read(instead))

    def _find_instead(self) -> Serve | None:
        trigger = self._trigger
        if not trigger.replica.is_open:
            return None
        decision = trigger.replica.decide(self._request)
        if isinstance(decision, Refuse):
            return None
        return decision.instead if isinstance(decision, Fetch) else self._instead

    async def _read(self, instead: Serve) -> None:
        trigger = self._trigger
        try:
            reply = await trigger.replica.find_reply(self._request, instead)
        except DatabaseError as error:
            log.warning("the copy could not be read: %s", error)
            reply = None
        self._reading = False
        if self._settled:
            return
        if reply is None:
            if self._otherwise is not None:
                self._otherwise()
            return
        self._settle()
        whole = trigger.frame(self._iq, self._request, reply.texts, reply.rsm)
        self._deliver(whole, reply.made_of)

    def _serve(self, instead: Serve) -> bool:
        trigger = self._trigger
        try:
            texts = trigger.replica.read_xml(self._request, instead.take)
            made_of = trigger.replica.vouch(self._request, instead)
        except DatabaseError as error:
            log.warning("the copy could not be read: %s", error)
            return False
        self._settle()
        whole = trigger.frame(self._iq, self._request, texts, trigger.replica.find_set(self._request))
        trigger.xmpp.loop.call_soon(self._deliver, whole, made_of)
        return True

    def _deliver(self, whole: list[str], made_of: Provenance) -> None:
        self._trigger.deliver(
            self._iq, self._request, whole, made_of, self._callback, self._trigger.replica.patience, self._future
        )

    def _settle(self) -> None:
        self._settled = True
        self._trigger.waiting.discard(self)
        if self._timer is not None:
            self._timer.cancel()
