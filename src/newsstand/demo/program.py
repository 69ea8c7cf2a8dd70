"""An ordinary slixmpp program: it reads what is new in the places that its user follows.

Nothing in it knows of Newsstand, but for the one `register_plugin`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from slixmpp import JID
from slixmpp.stanza import Iq

import newsstand.slixmpp  # noqa: F401 - makes the plugin known
from newsstand.demo.clients import LoopbackClient
from newsstand.demo.servers.prosody import Prosody

LAST = 20


@dataclass(frozen=True, slots=True)
class Places:
    """The nodes that the user of the program follows. Services and people are bare JIDs."""

    service: str
    community: str
    post: str
    """The id of one of the community's posts."""
    blogger: str
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TimedRead:
    """The answers that one read of the program got, and how long it took, in seconds."""

    answers: Sequence[Iq]
    seconds: float


class Newsreader(LoopbackClient):
    """The program of the demo: a client that reads news. With `database` it runs with Newsstand, otherwise without."""

    def __init__(self, server: Prosody, account: str, places: Places, database: str | None = None) -> None:
        super().__init__(server, account, "newsreader" if database is None else "newsreader-with-newsstand")
        self.places = places
        self.register_plugin("xep_0292")
        if database is not None:
            self.register_plugin("newsstand", {"database": database, "quiet_start": 0})
        self.looks: dict[str, Callable[[], Awaitable[list[Iq]]]] = {
            f"community, the last {LAST} posts": self.community,
            "community, one post by its id": self.one_post,
            f"a blog, the last {LAST} posts": self.blog,
            "my bookmarks": self.bookmarks,
            "avatars of three people": self.avatars,
            "OMEMO devices of the three": self.devices,
            "vCards of the three": self.vcards,
            "nicknames of the three": self.nicknames,
        }

    async def begin(self) -> None:
        """Log in, and be there."""
        await self.log_in()
        self.send_presence()

    async def look(self, at: str) -> TimedRead:
        """At one of the `looks`."""
        began = time.perf_counter()
        answers = await self.looks[at]()
        return TimedRead(answers, time.perf_counter() - began)

    async def look_at_all(self) -> dict[str, TimedRead]:
        return {at: await self.look(at) for at in self.looks}

    async def community(self) -> list[Iq]:
        pubsub = self.plugin["xep_0060"]
        return [await pubsub.get_items(self.places.service, self.places.community, max_items=LAST)]

    async def one_post(self) -> list[Iq]:
        pubsub = self.plugin["xep_0060"]
        return [await pubsub.get_item(self.places.service, self.places.community, self.places.post)]

    async def blog(self) -> list[Iq]:
        pubsub = self.plugin["xep_0060"]
        return [await pubsub.get_items(self.places.blogger, "urn:xmpp:microblog:0", max_items=LAST)]

    async def bookmarks(self) -> list[Iq]:
        return [await self.plugin["xep_0060"].get_items(None, "urn:xmpp:bookmarks:1")]

    async def avatars(self) -> list[Iq]:
        pubsub = self.plugin["xep_0060"]
        return [
            await pubsub.get_items(person, "urn:xmpp:avatar:metadata", max_items=1) for person in self.places.people
        ]

    async def devices(self) -> list[Iq]:
        """In both of their forms: not every client has moved on."""
        pubsub = self.plugin["xep_0060"]
        return [
            await pubsub.get_item(person, node, "current")
            for person in self.places.people
            for node in ("urn:xmpp:omemo:2:devices", "eu.siacs.conversations.axolotl.devicelist")
        ]

    async def vcards(self) -> list[Iq]:
        return [await self.plugin["xep_0292"].retrieve_vcard(JID(person)) for person in self.places.people]

    async def nicknames(self) -> list[Iq]:
        pubsub = self.plugin["xep_0060"]
        node = "http://jabber.org/protocol/nick"
        return [await pubsub.get_items(person, node, max_items=1) for person in self.places.people]
