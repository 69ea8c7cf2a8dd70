"""Requests that wait until a test lets them on."""

from __future__ import annotations

import asyncio

SECONDS = 20.0
"""Within which what is waited for comes, on a machine however busy."""


class Hold:
    """Requests that are kept waiting until they are released."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._released = asyncio.Event()

    async def reached(self) -> None:
        """Wait until a request is held."""
        async with asyncio.timeout(SECONDS):
            await self._reached.wait()

    def release(self) -> None:
        """Let it go on, and those that come later."""
        self._released.set()

    async def wait(self) -> None:
        self._reached.set()
        await self._released.wait()
