"""A client that reads by functions of somebody else's when its session starts, and once more half a minute later."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import connecting
from slixmpp import ClientXMPP

OFFLINE_AFTER = 2.0
"""Seconds after which the program begins without a session."""
AGAIN_AFTER = float(os.environ.get("PROGRAMS_AGAIN", "30"))
"""Seconds from its first reads to its second ones."""

Reads = Callable[[ClientXMPP], Awaitable[None]]


class Reader(ClientXMPP):
    """Reads when its session has started, or when there is none after a moment: then it shows what it can."""

    def __init__(self, plugins: tuple[str, ...], first: Reads, again: Reads) -> None:
        super().__init__(connecting.jid(), connecting.password(), plugin_config=connecting.LOGIN)
        self._first, self._again = first, again
        self._begun = False
        for plugin in ("xep_0030", "xep_0060", "xep_0163", *plugins):
            self.register_plugin(plugin)
        connecting.register_newsstand(self)
        self.add_event_handler("session_start", self._on_start)
        self._waiting = asyncio.ensure_future(self._begin_offline(), loop=self.loop)

    async def _on_start(self, _: Any) -> None:
        self.send_presence()
        await self.get_roster()
        await self._read()

    async def _begin_offline(self) -> None:
        await asyncio.sleep(OFFLINE_AFTER)
        await self._read()

    async def _read(self) -> None:
        if self._begun:
            return
        self._begun = True
        await self._first(self)
        await asyncio.sleep(AGAIN_AFTER)
        await self._again(self)
