"""A clock that only tests move."""

from __future__ import annotations

import asyncio


class Clock:
    """In seconds."""

    def __init__(self) -> None:
        self.now = 0
        self._waiting: list[tuple[float, asyncio.Future[None]]] = []

    def pass_time(self, seconds: int) -> None:
        """So many seconds pass at once: whoever waited for one of them goes on."""
        self.now += seconds
        for moment, waiter in self._waiting:
            if moment <= self.now and not waiter.done():
                waiter.set_result(None)
        self._waiting = [(moment, waiter) for moment, waiter in self._waiting if not waiter.done()]

    async def until(self, moment: float) -> None:
        """Wait until then; not at all if that is past."""
        if moment > self.now:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((moment, waiter))
            await waiter
