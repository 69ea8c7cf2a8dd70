"""Where a schedule is played: a service, those who write to it and look at it, and programs with Newsstand."""

from __future__ import annotations

import abc
import asyncio
import functools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

from newsstand import Analyser, Policy, Replica
from newsstand.errors import DatabaseError, Disconnected, NotInCopy, StanzaError, Timeout
from newsstand.model import Item, NodeKey, NodeRecord
from newsstand.storage.database import Database
from newsstand.storage.statements import items, nodes
from tests.converge.faults import Faults
from tests.servers.entities import NOTE, Entity, canonical
from tests.servers.quirks import Quirk

SECONDS = 15.0
"""Within which every operation ends."""
SETTINGS = {"page_size": 3, "retry_first": 0.2, "request_timeout": 5.0, "patience": 2.0}
"""Of the programs: small pages, so that small nodes take several."""
QUIET_START = 0.3
"""Seconds. Of one program: the other one synchronises at once, so that both are played."""


def settings_of(account: str) -> dict[str, float]:
    return {**SETTINGS, "quiet_start": QUIET_START if account.startswith("juliet") else 0.0}


def analyser_of(account: str) -> Analyser:
    """Of the program whose start is quiet, the copies may be served stale first."""
    policy = Policy.STALE_FIRST if settings_of(account)["quiet_start"] else None
    return Analyser("notes", "notes", namespace=NOTE, to_sync=True, policy=policy)


Contents = tuple[tuple[str, str], ...]
"""Ids and canonical items, publishers included, in order."""


@dataclass(frozen=True, slots=True)
class View:
    """What a node looks like to an account: its items, or why it may not see them."""

    items: Contents = ()
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a program's read came to. `view` is None where nobody could answer."""

    view: View | None
    from_copy: bool = False
    stale: bool = False
    foreign: frozenset[NodeKey] = frozenset()
    """Whose items are among them that are not this account's copy of this node; where that can be seen."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a copy holds."""

    items: Contents
    complete: bool
    """Whether it says that this is all."""
    foreign: frozenset[NodeKey] = frozenset()
    """As of a reading."""


def contents(items: list[Element]) -> Contents:
    return tuple((item.get("id", ""), _canonical(ET.tostring(item))) for item in items)


@functools.lru_cache(100_000)
def _canonical(item: bytes) -> str:
    """The same items are looked at over and over."""
    return canonical(ET.fromstring(item))


class Program(abc.ABC):
    """An account's program with Newsstand."""

    account: str
    replica: Replica
    database: Database
    faults: Faults[Any]
    connected: bool = False

    def __init__(self) -> None:
        self._awaited: dict[str, asyncio.Event] = {}

    def hear(self, message: Element) -> None:
        """To be called with each message, behind the replica."""
        for note in message.iter(f"{{{NOTE}}}note"):
            if (awaited := self._awaited.get(note.text or "")) is not None:
                awaited.set()

    @contextmanager
    def hearing(self, text: str) -> Iterator[asyncio.Event]:
        """An event for when news with this text have arrived."""
        yield self._awaited.setdefault(text, asyncio.Event())
        del self._awaited[text]

    @abc.abstractmethod
    def inject(self, message: Element) -> None:
        """A message reaches the program that its server never sent."""

    @abc.abstractmethod
    async def answer(self, service: str, node: str, ids: list[str], max_items: int | None) -> Reading:
        """A read. Raises StanzaError, Timeout or Disconnected."""

    @abc.abstractmethod
    async def write(self, service: str, payload: Element) -> None:
        """A write of its own. Raises as `answer`."""

    @abc.abstractmethod
    async def begin_session(self) -> None:
        """A fresh one; presence is sent."""

    @abc.abstractmethod
    async def end_session(self, *, gracefully: bool = False) -> None:
        """Returns when it is noticed. Without grace the stream is cut."""

    @abc.abstractmethod
    def cut_after(self, count: int, *, upwards: bool = False) -> None:
        """The stream will end in the middle of what comes next; or, `upwards`, of what the program sends next."""

    @abc.abstractmethod
    async def close(self) -> None: ...

    async def read(
        self, service: str, node: str, *, ids: list[str] | None = None, max_items: int | None = None
    ) -> Reading:
        try:
            return await self.answer(service, node, ids or [], max_items)
        except StanzaError as error:
            return Reading(None if error.unreachable else View(refusal=error.condition))
        except (Timeout, Disconnected, DatabaseError):
            return Reading(None)

    async def read_past_copy(self, service: str, node: str) -> str | None:
        """Ask the service itself, as a program may; returns what it refused with."""
        try:
            await self.replica.get_items(service, node, policy=Policy.ONLY_SERVICE)
        except StanzaError as error:
            return None if error.unreachable else error.condition
        except (Timeout, Disconnected):
            pass
        return None

    async def let_look(self) -> None:
        """So much time passes that the program looks, in the session that goes on, whether anything was untold."""
        await self.replica.session_began()
        await self.replica.settled()  # what is under way is not what looks
        opened = self.replica._open
        for copy in opened.context.copies:
            copy.checked.answered(-math.inf)
            copy.session.confirm(-math.inf)
        opened.housekeeping.make_round()
        await self.replica.settled()

    async def stored(self, service: str, node: str) -> tuple[int, Contents] | None:
        """What the database holds, and of which revision it says that it is; None where there is no such copy."""
        if (record := self.record(service, node)) is None:
            return None

        def look(conn: Any) -> tuple[int, list[str]] | None:
            revision = next((found.revision for found in nodes.iter_nodes(conn) if found.id == record.id), None)
            return None if revision is None else (revision, items.xml_of_all(conn, record.id))

        found = await self.database.scan(look)
        return None if found is None else (found[0], contents([ET.fromstring(xml) for xml in found[1]]))

    def foreign(self, items: Sequence[Item], service: str, node: str) -> frozenset[NodeKey]:
        """Whose the items are that belong to another copy than this account's of this node."""
        return frozenset({item.key for item in items} - {NodeKey(self.account, service, node)})

    async def held(self, service: str, node: str) -> Held | None:
        """What the copy holds; None where there is none."""
        try:
            answer = await self.replica.get_items(service, node, policy=Policy.ONLY_COPY)
        except NotInCopy:
            return None
        items = contents([ET.fromstring(item.xml) for item in answer.items])
        return Held(items, answer.complete, self.foreign(answer.items, service, node))

    def record(self, service: str, node: str) -> NodeRecord | None:
        mine = (self.account, service, node)
        return next(
            (r for r in self.replica.nodes() if (r.key.account, r.key.service, r.key.node) == mine),
            None,
        )


class World(abc.ABC):
    """A service. `romeo` owns the nodes, `second` is another connection of his; `oracles` look, without Newsstand."""

    name: str
    quirks: frozenset[Quirk]
    service: str
    romeo: Entity
    second: Entity
    oracles: dict[str, Entity]
    is_fake = False

    @abc.abstractmethod
    def jid(self, account: str) -> str: ...

    @abc.abstractmethod
    async def open_program(self, account: str, path: Path) -> Program:
        """On the database at this path; without a session."""

    @abc.abstractmethod
    async def restart(self, *, kill: bool) -> None:
        """End the server and start it again, with its data. The programs' sessions are over."""

    @abc.abstractmethod
    async def close(self) -> None: ...

    @abc.abstractmethod
    async def delete_expired(self) -> bool:
        """All that has expired is deleted, by itself or because the administrator says so; False where that failed,
        and perhaps did some of it. Only for worlds where items expire."""

    @abc.abstractmethod
    async def lose_subscriptions(self, service: str, node: str) -> None:
        """Those of the programs' accounts, without a word, where the service can be brought to. Raises StanzaError."""

    @abc.abstractmethod
    def shorten_listings(self, count: int, left: int = 1, *, of: tuple[str, str] | None = None) -> None:
        """The next listings, of this account and node if they are named, are cut to so many items; where nobody
        can make them so, nothing happens."""

    @abc.abstractmethod
    def shorten_ids(self, count: int, left: int, *, of: tuple[str, str] | None = None) -> None:
        """The same of lists of ids."""

    async def look(self, account: str, service: str, node: str, **how: Any) -> View:
        """What the service says, at this moment."""
        try:
            page = await self.oracles[account].items(service, node, **how)
        except StanzaError as error:
            return View(refusal=error.condition)
        return View(contents(list(_items(page.iq))))


def _items(iq: Element) -> list[Element]:
    pubsub = "{http://jabber.org/protocol/pubsub}"
    return iq.findall(f"{pubsub}pubsub/{pubsub}items/{pubsub}item")
