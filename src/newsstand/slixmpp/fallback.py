"""A read that the service is asked, and the copy answers if the service cannot."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.stanza import Iq

from newsstand.errors import DatabaseError
from newsstand.model import ItemsRequest
from newsstand.policy import Fetch, Refuse, Serve
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
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> asyncio.Future[Any]:
        inner = Iq.send(self._iq, self._on_reply, self._timeout)
        inner.add_done_callback(self._on_end)
        allowed = SLIXMPP_TIMEOUT if self._timeout is None else self._timeout
        if allowed >= self._trigger.replica.patience:
            loop = self._trigger.xmpp.loop
            self._timer = loop.call_later(self._trigger.replica.patience, self.serve)
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
            if error.unreachable and self.serve():
                return
        self._settle()
        if not self._future.done():
            if kind == "error":
                self._future.set_exception(IqError(reply))
            else:
                self._future.set_result(reply)
        if kind != "error":
            self._trigger.replica.observe(self._request, reply.xml)
        if self._callback is not None:
            self._callback(reply)

    def _on_end(self, inner: asyncio.Future[Any]) -> None:
        if inner.cancelled():
            return
        error = inner.exception()
        if isinstance(error, IqTimeout) and not self._settled and not self.serve():
            self._settle()
            if not self._future.done():
                self._future.set_exception(error)

    def serve(self) -> bool:
        """Let the copy answer, marked stale. False when it cannot: since the request was sent, the node may have
        been closed to us."""
        if self._settled:
            return True
        trigger = self._trigger
        if not trigger.replica.is_open:
            return False
        decision = trigger.replica.decide(self._request)
        instead = decision.instead if isinstance(decision, Fetch) else self._instead
        if instead is None or isinstance(decision, Refuse):
            return False
        try:
            texts = trigger.replica.read_xml(self._request, instead.take)
            made_of = trigger.replica.vouch(self._request, instead)
        except DatabaseError as error:
            log.warning("the copy could not be read: %s", error)
            return False
        self._settle()
        whole = trigger.frame(self._iq, self._request, texts)
        trigger.xmpp.loop.call_soon(trigger.deliver, whole, made_of, self._callback, self._future)
        return True

    def _settle(self) -> None:
        self._settled = True
        self._trigger.waiting.discard(self)
        if self._timer is not None:
            self._timer.cancel()
