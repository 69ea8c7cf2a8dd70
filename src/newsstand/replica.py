"""The replica: a live, local, queryable copy of the nodes that a program reads. Its public verbs."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from xml.etree.ElementTree import Element

from newsstand import entry_points, listing, protocol
from newsstand.analysers import BUILT_IN
from newsstand.analysis import Analyser, Analysers
from newsstand.config import Settings
from newsstand.context import Clock, Context, wall_clock
from newsstand.engine import Engine
from newsstand.errors import (
    ConfigurationError,
    DatabaseError,
    NotInCopy,
    StanzaError,
)
from newsstand.model import (
    Answer,
    ItemsRequest,
    NodeKey,
    NodeRecord,
    Page,
    Policy,
    WriteRequest,
)
from newsstand.policy import Decision, Fetch, Refuse, Serve
from newsstand.storage import search
from newsstand.storage.database import Database
from newsstand.transport import Transport
from newsstand.ways import Take, Ways
from newsstand.writes import Write

log = logging.getLogger(__name__)


class Replica:
    """Made by an adapter (`newsstand.slixmpp`), or without a transport to read a database offline. Analysers may be
    registered at once; everything else waits for, or needs, `open`. With `entry_points` false, the analysers of
    installed packages are left out."""

    def __init__(
        self,
        transport: Transport | None = None,
        *,
        settings: Settings | None = None,
        clock: Clock = wall_clock,
        entry_points: bool = True,
    ) -> None:
        self._transport = transport
        self._settings = settings or Settings()
        self._clock = clock
        self._analysers = Analysers(BUILT_IN)
        self._with_entry_points = entry_points
        self._engine: Engine | None = None
        self.only_when_asked = False
        """Set before `open` by a program that looks into a database which another one keeps (the command line does):
        nothing is followed, judged or dropped but what a verb names."""

    async def open(self, database: Database) -> None:
        """Start work on this database. It stays the caller's to close, after the replica. Installed packages whose
        analysers cannot be loaded are logged and left out."""
        if self._with_entry_points:
            brought = await entry_points.bring(self._settings.parser_timeout)
            self._analysers.bring(brought.analysers, complete=brought.complete)
        context = Context(database, self._transport, self._analysers, self._settings, self._clock)
        await context.load()
        self._engine = Engine(context, only_when_asked=self.only_when_asked)
        if self._transport is not None:
            self._transport.on_message(self._engine.follower.hear_message)
            self._transport.on_session(self._engine.on_session)
        await self._engine.resume_parsing()

    @property
    def is_open(self) -> bool:
        return self._engine is not None

    async def close(self) -> None:
        """End all work. Copies that were live are stale from now on."""
        if self._engine is not None:
            await self._engine.close()
            self._engine = None

    @property
    def _open(self) -> Engine:
        if self._engine is None:
            raise DatabaseError("the replica is not open yet: await plugin.ready() first")
        return self._engine

    def register_analyser(self, analyser: Analyser) -> None:
        """Add an analyser, behind those registered before and ahead of the installed packages' and the built-in
        ones. Verdicts on nodes are looked at anew. Raises ConfigurationError when its name is taken."""
        self._analysers.register(analyser)
        if self._engine is not None:
            self._engine.selection.reconsider()

    @property
    def analysers(self) -> tuple[Analyser, ...]:
        """In the order in which they are asked; those of installed packages are known once the replica is open."""
        return tuple(self._analysers)

    # Reading -----------------------------------------------------------------------------------------------

    async def get_items(
        self,
        service: str,
        node: str,
        *,
        item_ids: Sequence[str] = (),
        max_items: int | None = None,
        account: str | None = None,
        policy: Policy = Policy.ASK_WHEN_STALE,
    ) -> Answer:
        """The items of a node, in the service's order (XEP-0060, 6.5): all, those of the ids, or the newest so many.

        Raises NotInCopy where only the copy was asked and it is not complete; StanzaError, Timeout or Disconnected
        where the service was asked, could not answer, and no copy can stand in.
        """
        if item_ids and max_items is not None:
            raise ConfigurationError("give item_ids or max_items, not both")
        if max_items is not None and max_items < 1:
            raise ConfigurationError("max_items must be at least 1")
        key = self._key(service, node, account)
        request = ItemsRequest(key, tuple(item_ids), max_items)
        engine = self._open
        while True:
            decision = engine.decide(request, policy)
            match decision:
                case Refuse(reason):
                    raise NotInCopy(f"{node!r} of {service}: {reason}")
                case Serve(wait=True):
                    copy = engine.context.copies.find(key)
                    assert copy is not None
                    await copy.quiet()
                case Serve():
                    return await engine.answer(request, decision)
                case Fetch(instead):
                    return await engine.fetch(request, instead)

    def _key(self, service: str, node: str, account: str | None) -> NodeKey:
        own = self._transport.own_jid if self._transport is not None else None
        account = account or own
        if account is None:
            accounts = {copy.key.account for copy in self._open.context.copies}
            if len(accounts) != 1:
                raise ConfigurationError("name the account whose copy is meant")
            account = accounts.pop()
        return NodeKey(protocol.same_jid(account), protocol.same_jid(service), node)

    async def search(
        self,
        text: str | None = None,
        *,
        type: str | None = None,
        service: str | None = None,
        node: str | None = None,
        where: Mapping[str, str | int | float | bool] | None = None,
        limit: int = 20,
        after: int | None = None,
        account: str | None = None,
    ) -> Page:
        """Items of all copies, newest first: those that hold every word of `text` (case and diacritics do not
        matter), of nodes of this type, service or node, and whose parsed fields equal `where`: `{"author.name":
        "Juliet", "categories": "tea"}`; a list is held to equal each of its elements. `after` is the `next` of the
        page before. Raises ConfigurationError for a field that is none."""
        query = search.Query(
            text=text,
            type=type,
            service=service,
            node=node,
            account=account,
            where=where,
            limit=limit,
            after=after,
        )
        return await self._open.context.database.scan(search.find, query)

    def nodes(self) -> list[NodeRecord]:
        """What is known of each node, by account, service and name. Nothing is called live while nobody can tell."""
        return sorted(self._open.records(), key=lambda record: record.key)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Any]:
        """A SQLAlchemy `AsyncSession` over `newsstand.storage.mapping`: read and change the copy as you like. Digests,
        words and revisions follow by themselves; what a service says of an item later overwrites it."""
        from newsstand.storage.sessions import CHANGED, COMMITTED  # costs 60 ms: only programs that use sessions pay

        async with self._open.context.database.session() as session:
            try:
                yield session
            finally:
                if COMMITTED in session.info:
                    await self._open.reload(session.info[CHANGED])

    # Following ---------------------------------------------------------------------------------------------

    async def synchronise(
        self,
        service: str,
        node: str,
        *,
        account: str | None = None,
        progress: listing.Progress | None = None,
    ) -> NodeRecord:
        """Follow a node, whatever the analysers say of it, and wait until its copy is live. Raises what stopped it:
        StanzaError, Timeout, Disconnected, ListingError."""
        engine = self._open
        key = self._key(service, node, account)
        return await engine.synchronise(key, progress)

    async def session_began(self) -> None:
        """Wait until notifications reach us: the program has a session, and sent its presence in it."""
        await self._open.context.session_up.wait()

    async def settled(self) -> None:
        """Wait until nothing is under way: every notification stored, every wanted node live or failed, every item
        parsed."""
        await self._open.context.idle()

    # For adapters ------------------------------------------------------------------------------------------

    def decide(self, request: ItemsRequest) -> Decision:
        """Whom a program's read asks; at once."""
        return self._open.decide(request, Policy.ASK_WHEN_STALE)

    def ways(self, service: str) -> Ways:
        """What is known of a service's ways."""
        return self._open.context.ways(service)

    @property
    def connected(self) -> bool:
        """Whether notifications reach us."""
        return self._engine is not None and self._engine.context.connected

    @property
    def online(self) -> bool:
        """Whether the service can be asked."""
        return self._engine is not None and self._engine.context.online

    @property
    def patience(self) -> float:
        return self._settings.patience

    async def quiet(self, key: NodeKey) -> None:
        """Wait until what has arrived of this node is stored."""
        if (copy := self._open.context.copies.find(key)) is not None:
            await copy.quiet()

    def read_xml(self, request: ItemsRequest, take: Take) -> list[str]:
        """The items of an answer, as texts; at once. Raises DatabaseError."""
        return self._open.read_xml(request, take)

    def vouch(self, request: ItemsRequest, serve: Serve) -> Answer:
        """What an answer from the copy is made of, its items left out."""
        return self._open.vouch(request, serve, ())

    def observe(self, request: ItemsRequest, result: Element) -> None:
        """The service answered a program's read with this `<iq/>`."""
        found = protocol.find_items(result)
        if found is not None and self._engine is not None:
            self._engine.observe(request.key, list(found))

    def speaks_for(self, account: str) -> bool:
        """Whether this stream's requests are this account's."""
        return self._engine is not None and self._engine.context.speaks_for(account)

    def note_error(self, key: NodeKey, error: StanzaError) -> None:
        """The service, or a server on the way to it, answered a program's read with an error."""
        if self._engine is not None:
            self._engine.synchroniser.note_error(key, error)

    def begin_write(self, request: WriteRequest) -> Write | None:
        """The program sends a write of its own, now: until `end_write`, reads of that node ask the service."""
        return self._open.writes.begin(request)

    def end_write(self, write: Write, outcome: Element | StanzaError | None) -> None:
        """The service acknowledged it, refused it, or nobody knows (None)."""
        if self._engine is not None:
            self._engine.writes.end(write, outcome)
