"""A service on trial: where it is, what it is known to do otherwise, and accounts at work on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.servers.entities import Entity
from tests.servers.quirks import Quirk


class Service:
    """`jid` is its pubsub service. Romeo may create nodes there, juliet and nurse may not; each has PEP, under the own
    bare JID. All three are logged in once, and stay so."""

    def __init__(
        self,
        name: str,
        jid: str,
        quirks: frozenset[Quirk],
        log_in: Callable[[str], Awaitable[Entity]],
        pass_time: Callable[[], None],
        delete_expired: Callable[[], Awaitable[bool]],
    ) -> None:
        self.name = name
        self.jid = jid
        self.quirks = quirks
        self.log_in = log_in
        """Begins a session of its own, which the caller closes."""
        self.pass_time = pass_time
        """Time passes, by the service's clock: a moment at least."""
        self.delete_expired = delete_expired
        """The administrator has what has expired deleted; whether that went well. Where there is no such command,
        nothing happens."""
        self._entities: dict[str, Entity] = {}

    async def entity(self, account: str) -> Entity:
        if account not in self._entities:
            self._entities[account] = await self.log_in(account)
        return self._entities[account]

    async def close(self) -> None:
        for entity in self._entities.values():
            await entity.close()

    def does(self, quirk: Quirk) -> bool:
        return quirk in self.quirks

    def skip_if(self, *quirks: Quirk) -> None:
        """Skips the test where it cannot hold."""
        if found := sorted(self.quirks & set(quirks)):
            pytest.skip(", ".join(found))
