"""The program's reads that come before the database is open: many programs read once, when their session starts."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
from typing import Any, Protocol
from xml.etree.ElementTree import Element

from slixmpp.stanza import Iq

from newsstand.model import ItemsRequest
from newsstand.serving.port import Port

SOONEST = 0.01
"""Seconds that a request is given at least, where most of the program's time went into waiting."""
OPENING = 1.0
"""Seconds for which the database is waited for while the service can be asked. An existing one opens in a tenth of
that on a slow machine. What takes longer is a migration, or another process that holds it; the service is faster."""
ANSWERS = 100
"""Answers kept until the database is open; of older ones nothing is learnt."""


class Act(Protocol):
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
    timeout: float | None
    future: asyncio.Future[Any]
    """What the program awaits."""
    began: float
    timer: asyncio.TimerHandle

    def left(self, now: float, longest: float) -> float:
        """Seconds that are left of what the program allows; `longest` where it does not say."""
        allowed = longest if self.timeout is None else self.timeout
        return max(SOONEST, allowed - (now - self.began))


class Early:
    """Holds reads until the database is open, for a bounded time, in the order of the calls. A read that went to the
    service meanwhile is observed afterwards as any other: its node is followed if an analyser wants it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, act: Act, longest: float) -> None:
        self._loop = loop
        self._act = act
        self._longest = longest
        self._port: Port | None = None
        self._waits = True
        self._held: dict[_Held, None] = {}
        self._answers: collections.deque[tuple[ItemsRequest, Element]] = collections.deque(maxlen=ANSWERS)

    @property
    def waits(self) -> bool:
        """Whether the database is still to be opened, as far as is known."""
        return self._waits

    def hold(
        self, iq: Iq, request: ItemsRequest, callback: Any, timeout: float | None, most: float
    ) -> asyncio.Future[Any]:
        """Keep a read until the database is open, for so many seconds at most; then it goes to the service."""
        held = _Held(
            iq,
            request,
            callback,
            timeout,
            self._loop.create_future(),
            self._loop.time(),
            self._loop.call_later(most, self.send_held),
        )
        self._held[held] = None
        return held.future

    def send(self, iq: Iq, request: ItemsRequest, callback: Any, timeout: Any) -> asyncio.Future[Any]:
        """Send a read to the service at once, and observe what it answers."""
        future = Iq.send(iq, callback, timeout)
        future.add_done_callback(lambda done: self._observe(request, done))
        return future

    def send_held(self) -> None:
        """Nobody waits any longer: all that are held go to the service, in the order of the calls. Called before a
        request that must not overtake them."""
        for held in self._take():
            _hand_on(self.send(held.iq, held.request, held.callback, held.left(self._loop.time(), self._longest)), held)

    def opened(self, port: Port) -> None:
        """The database is open: reads that are held are decided as any other."""
        self._waits, self._port = False, port
        for request, iq in self._answers:
            port.observed(request, iq)
        self._answers.clear()
        for held in self._take():
            left = held.left(self._loop.time(), self._longest)
            _hand_on(self._act(port, held.iq, held.request, held.callback, left), held)

    def over(self) -> None:
        """The database cannot be opened, or is closed."""
        self._waits, self._port = False, None
        self._answers.clear()
        self.send_held()

    def _take(self) -> list[_Held]:
        """Those that somebody still waits for; none is held afterwards."""
        held, self._held = list(self._held), {}
        for one in held:
            one.timer.cancel()
        return [one for one in held if not one.future.cancelled() or one.callback is not None]

    def _observe(self, request: ItemsRequest, done: asyncio.Future[Any]) -> None:
        if done.cancelled() or done.exception() is not None:
            return
        iq = done.result().xml
        if self._port is not None:
            self._port.observed(request, iq)
        elif self._waits:
            self._answers.append((request, iq))


def _hand_on(inner: asyncio.Future[Any], held: _Held) -> None:
    """What comes of a request that was held is the program's."""

    def done(inner: asyncio.Future[Any]) -> None:
        if held.future.done():
            _ = inner.cancelled() or inner.exception()  # looked at, so that asyncio does not complain
        elif inner.cancelled():
            held.future.cancel()
        elif (error := inner.exception()) is not None:
            held.future.set_exception(error)
        else:
            held.future.set_result(inner.result())

    inner.add_done_callback(done)
