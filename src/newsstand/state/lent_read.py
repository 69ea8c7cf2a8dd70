"""A read of the program's own whose answer is at the same time the listing of its node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from xml.etree.ElementTree import Element


class LentRead:
    """A read that the program lends to the listing of its node. The read is sent once we are subscribed, and the
    listing takes the read's answer for that of its own request."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[bool] = loop.create_future()
        self._answer: asyncio.Future[Element | None] = loop.create_future()
        self._ended: asyncio.Future[None] = loop.create_future()
        self._on_answer: Callable[[], None] | None = None

    # For the program's read

    async def is_wanted(self, seconds: float) -> bool:
        """Wait until the read may be sent, for so long at most. False: the listing does not need it."""
        await asyncio.wait({self._ready}, timeout=seconds)
        return self._ready.done() and self._ready.result()

    def answered(self, iq: Element) -> None:
        """The service answered with this `<iq/>`, which nobody else changes any more."""
        if not self._answer.done():
            if self._on_answer is not None:
                self._on_answer()
            self._answer.set_result(iq)

    def over(self) -> None:
        """Nothing comes of it: the listing asks by itself, or the read is a read like any other."""
        if not self._ready.done():
            self._ready.set_result(False)
        if not self._answer.done():
            self._answer.set_result(None)

    async def ended(self, seconds: float) -> None:
        """Wait until the listing is over, for so long at most."""
        await asyncio.wait({self._ended}, timeout=seconds)

    # For the listing

    def end(self) -> None:
        """The listing is over."""
        self.over()
        if not self._ended.done():
            self._ended.set_result(None)

    async def answer(self, seconds: float, on_answer: Callable[[], None] | None) -> Element | None:
        """From now on the read may be sent; wait for what the service answers, for so long at most. `on_answer` is
        called at the moment when that comes. None: nobody answered."""
        self._on_answer = on_answer
        if not self._ready.done():
            self._ready.set_result(True)
        await asyncio.wait({self._answer}, timeout=seconds)
        return self._answer.result() if self._answer.done() else None
