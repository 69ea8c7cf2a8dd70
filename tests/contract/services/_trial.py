"""A service, a node, and those who try it."""

from __future__ import annotations

from dataclasses import dataclass

from newsstand.errors import StanzaError
from tests.servers.entities import Entity, Event
from tests.servers.quirks import Quirk
from tests.servers.trial import Service


@dataclass
class Trial:
    """Romeo owns the node, once it is created; juliet reads it, and so may nurse."""

    service: Service
    node: str
    romeo: Entity
    juliet: Entity
    nurse: Entity

    @property
    def jid(self) -> str:
        return self.service.jid

    def does(self, quirk: Quirk) -> bool:
        return self.service.does(quirk)

    async def create(self, *ids: str, **config: str) -> None:
        """The node, which keeps 1,000 items unless told otherwise, and holds these, each with its id as text."""
        await self.romeo.create(self.jid, self.node, **{"max_items": "1000", **config})
        for item_id in ids:
            await self.publish(item_id)

    async def publish(self, item_id: str, text: str | None = None) -> None:
        await self.romeo.publish(self.jid, self.node, item_id, text or item_id)

    async def ids(self) -> list[str]:
        """Of a full listing."""
        return await self.juliet.ids(self.jid, self.node)

    async def subscribed(self) -> None:
        """Juliet is subscribed, and what she was sent for it has come, and is forgotten."""
        assert await self.juliet.subscribe(self.jid, self.node) == "subscribed"
        await self.juliet.caught_up(self.jid)
        if self.does(Quirk.LAST_ITEM_ON_SUBSCRIBE) and await self.ids():
            await self.juliet.hears(self.jid, self.node)
        self.juliet.messages.clear()

    async def hears(self, count: int = 1) -> list[Event]:
        """What juliet has been told of the node, once it is so many, and no more than that has come."""
        await self.juliet.hears(self.jid, self.node, count)
        return await self.heard()

    async def heard(self) -> list[Event]:
        """What juliet has been told of the node, when all has come that the service sent so far."""
        await self.juliet.caught_up(self.jid)
        return self.juliet.heard(self.jid, self.node)

    async def is_refused(self, who: Entity) -> bool:
        try:
            await who.items(self.jid, self.node)
        except StanzaError:
            return True
        return False
