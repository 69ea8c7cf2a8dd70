"""The program's requests that come before the database is open: many programs read once, when their session starts."""

from __future__ import annotations

import asyncio
import collections
import copy
import dataclasses
from collections.abc import Callable
from typing import Any, Protocol
from xml.etree.ElementTree import Element

from slixmpp.exceptions import IqError
from slixmpp.stanza import Iq

from newsstand.model import ItemsRequest, WriteRequest
from newsstand.serving.port import Port, Spelt
from newsstand.slixmpp.transport import stanza_error

SOONEST = 0.01
"""Seconds that a request is given at least, where most of the program's time went into waiting."""
OPENING = 1.0
"""Seconds for which the database is waited for while the service can be asked, over all reads. An existing one opens in
a tenth of that on a slow machine. What takes longer is a migration, or another process that holds it; the service is
faster."""
ANSWERS = 100
"""Answers kept until the database is open; of older ones nothing is learnt."""
ITEMS = 10
"""Items of an answer that are kept: an analyser is shown three, and the namespaces of these."""


class Read(Protocol):
    """Sends a read, or lets the copy answer, as the port decides."""

    def __call__(
        self, port: Port, iq: Iq, request: ItemsRequest, callback: Any, timeout: Any
    ) -> asyncio.Future[Any]: ...


@dataclasses.dataclass(eq=False)
class _Held:
    """A read that waits for the database."""

    iq: Iq
    request: ItemsRequest
    callback: Any
    until: float
    """By the loop's clock, when the program's own time is over."""
    future: asyncio.Future[Any]
    """What the program awaits."""


class Early:
    """Holds reads until the database is open, for a bounded time, in the order of the calls. What went to the service
    meanwhile is learnt from afterwards: a node that was read is followed if an analyser wants it, and a write is
    treated as one that is still under way."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        read: Read,
        write: Callable[[Port, WriteRequest, Spelt, asyncio.Future[Any]], None],
        *,
        patience: float,
        longest: float,
    ) -> None:
        """`write` is called for each write that was sent, with what it will come to, or came to. `patience`: seconds
        for which the database is waited for offline. `longest`: those of a request for which the program names none."""
        self._loop = loop
        self._read = read
        self._write = write
        self._patience = patience
        self._longest = longest
        self._port: Port | None = None
        self.waits = True
        """Whether the database is still to be opened, as far as is known. Each request of the program asks it."""
        self._held: list[_Held] = []
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: float | None = None
        """When the reads that are sent online have waited long enough, all of them together."""
        self._answers: collections.deque[tuple[ItemsRequest, Spelt, Element]] = collections.deque(maxlen=ANSWERS)
        self._writes: list[tuple[WriteRequest, Spelt, asyncio.Future[Any]]] = []

    # What the program sends

    def hold(
        self, iq: Iq, request: ItemsRequest, callback: Any, timeout: float | None, *, online: bool
    ) -> asyncio.Future[Any]:
        """Keep a read until the database is open; for half of the program's own time at most, so that the service has
        the other half."""
        now = self._loop.time()
        allowed = self._longest if timeout is None else timeout
        due = min(self._online_until(now) if online else now + self._patience, now + allowed / 2)
        if due <= now:
            return self.send(iq, request, callback, timeout)
        held = _Held(iq, request, callback, now + allowed, self._loop.create_future())
        self._held.append(held)
        self._be_done_by(due)
        return held.future

    def send(self, iq: Iq, request: ItemsRequest, callback: Any, timeout: Any) -> asyncio.Future[Any]:
        """Send a read to the service at once; what it answers is learnt from."""
        future = Iq.send(iq, callback, timeout)
        future.add_done_callback(lambda done: self._observe(request, _spelt(iq), done))
        return future

    def send_write(self, iq: Iq, request: WriteRequest | None, callback: Any, timeout: Any) -> asyncio.Future[Any]:
        """Send what changes something, behind the reads that are held. None: it is no write that concerns a copy."""
        self.send_held()
        future = Iq.send(iq, callback, timeout)
        if request is not None:
            self._writes.append((request, _spelt(iq), future))
        return future

    # What becomes of the database

    def begin(self) -> None:
        """The database is being opened: again, where that was interrupted."""
        if self._port is None:
            self.waits, self._deadline = True, None

    def opened(self, port: Port) -> None:
        """The database is open: reads that are held are decided as any other."""
        self.waits, self._port = False, port
        for write in self._writes:
            self._write(port, *write)
        self._writes.clear()
        for request, spelt, iq in self._answers:
            port.observed(request, spelt, iq, stanza_error(iq) if iq.get("type") == "error" else None)
        self._answers.clear()
        self._release(lambda held, left: self._read(port, held.iq, held.request, held.callback, left))

    def over(self) -> None:
        """The database cannot be opened, or is closed."""
        self.waits, self._port = False, None
        self._answers.clear()
        self._writes.clear()
        self.send_held()

    def session_began(self) -> None:
        """The service can be asked now: the reads that are held need not wait as long as offline."""
        if self._held:
            self._be_done_by(self._online_until(self._loop.time()))

    def send_held(self) -> None:
        """Nobody waits any longer: all that are held go to the service, in the order of the calls."""
        self._release(lambda held, left: self.send(held.iq, held.request, held.callback, left))

    def _online_until(self, now: float) -> float:
        if self._deadline is None:
            self._deadline = now + OPENING
        return self._deadline

    def _be_done_by(self, due: float) -> None:
        """The reads that are held go to the service by then, all together: so they stay in the order of the calls."""
        if self._timer is None or due < self._timer.when():
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(due, self.send_held)

    def _release(self, act: Callable[[_Held, float], asyncio.Future[Any]]) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        held, self._held = self._held, []
        for one in held:
            if one.future.cancelled() and one.callback is None:
                continue  # nobody waits for it
            try:
                _hand_on(act(one, max(SOONEST, one.until - self._loop.time())), one.future)
            except Exception as error:  # the program's: it called `send`, and would have been told there
                if not one.future.done():
                    one.future.set_exception(error)

    def _observe(self, request: ItemsRequest, spelt: Spelt, done: asyncio.Future[Any]) -> None:
        """The service answered an early read, perhaps with an error; or did not, which says nothing."""
        if done.cancelled():
            return
        error = done.exception()
        if error is not None and not isinstance(error, IqError):
            return
        iq = done.result().xml if error is None else error.iq.xml
        if self._port is not None:
            self._port.observed(request, spelt, iq, None if error is None else stanza_error(iq))
        elif self.waits:
            self._answers.append((request, spelt, _outline(iq)))


def _spelt(iq: Iq) -> Spelt:
    return iq.xml.get("to"), iq.xml.get("from")


def _outline(iq: Element) -> Element:
    """An answer with its first items, which are ours: the program may change what it got."""
    small = Element(iq.tag, iq.attrib)
    for child in iq:
        part = Element(child.tag, child.attrib)
        small.append(part)
        for grandchild in child:
            inner = Element(grandchild.tag, grandchild.attrib)
            inner.text = grandchild.text
            part.append(inner)
            inner.extend(copy.deepcopy(grandchild[:ITEMS]))
    return small


def _hand_on(inner: asyncio.Future[Any], outer: asyncio.Future[Any]) -> None:
    """What comes of a request that was held is the program's."""

    def done(inner: asyncio.Future[Any]) -> None:
        if outer.done():
            _ = inner.cancelled() or inner.exception()  # looked at, so that asyncio does not complain
        elif inner.cancelled():
            outer.cancel()
        elif (error := inner.exception()) is not None:
            outer.set_exception(error)
        else:
            outer.set_result(inner.result())

    inner.add_done_callback(done)
