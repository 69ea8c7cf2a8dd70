"""The replica: a live, local, queryable copy of the nodes that a program reads. Its public verbs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from xml.etree.ElementTree import Element

from newsstand import model
from newsstand.analysis import entry_points
from newsstand.analysis.analysers import Analyser, Analysers
from newsstand.analysis.builtin import BUILT_IN
from newsstand.config import Settings
from newsstand.engine import Engine
from newsstand.errors import (
    ConfigurationError,
    DatabaseError,
)
from newsstand.jid import canonical_bare
from newsstand.model import (
    Answer,
    Change,
    ItemsRequest,
    NodeKey,
    NodeRecord,
    Page,
    Policy,
    RsmQuery,
)
from newsstand.rules.comparing import Verification
from newsstand.serving import watching
from newsstand.serving.port import Port
from newsstand.state.context import Clock, Context, wall_clock
from newsstand.storage.database import Database
from newsstand.storage.statements import search
from newsstand.xmpp.transport import Session, Transport

log = logging.getLogger(__name__)

ALL_ACCOUNTS = "*"
"""No JID. As the `account` of a search: every account's copies."""


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
        self.port: Port | None = None
        """For adapters."""
        self._ending: asyncio.Task[None] | None = None
        self._forget_loss: Callable[[], None] = lambda: None
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
        engine = self._engine = Engine(context, only_when_asked=self.only_when_asked)
        if self._transport is not None:
            self._listen(self._transport, engine)
        self._forget_loss = database.when_lost(lambda: self._turn_off(engine))
        self.port = engine.port
        await engine.open()

    def _turn_off(self, engine: Engine) -> None:
        """The database's file is lost: from this moment on, the program's requests go to their services."""
        if self._engine is engine:
            self._engine = self.port = None
            self._ending = asyncio.get_running_loop().create_task(engine.close(), name="turning newsstand off")

    def _listen(self, transport: Transport, engine: Engine) -> None:
        """As long as this engine runs: the stream may go on after it."""

        def on_message(message: Element) -> None:
            if self._engine is engine:
                engine.follower.hear_message(message)

        def on_session(session: Session) -> None:
            if self._engine is engine:
                engine.on_session(session)

        transport.on_message(on_message)
        transport.on_session(on_session)

    @property
    def is_open(self) -> bool:
        return self._engine is not None

    async def close(self) -> None:
        """End all work. Copies that were live are stale from now on."""
        self._forget_loss()
        if self._engine is not None:
            await self._engine.close()
            self._engine = self.port = None
        if self._ending is not None:
            await self._ending

    @property
    def _open(self) -> Engine:
        if self._engine is None:
            raise DatabaseError("the replica is not open: await plugin.ready(), which also says why it is not")
        if self._engine.context.database.is_inherited:
            self._engine.context.database.check_usable()
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
        rsm: RsmQuery | None = None,
        account: str | None = None,
        policy: Policy | None = None,
        max_age: float | None = None,
    ) -> Answer:
        """The items of a node, in the service's order (XEP-0060, 6.5): all, those of the ids, or the newest so many.

        `rsm` asks for a page (XEP-0059). Its cursors are the service's own, so the service answers, unless it is one
        that ignores pages and would send the whole node.

        `policy` says whom to ask, and `max_age`, in seconds, how long ago a copy that answers without asking may have
        been verified; each defaults to what the node's analyser says, else to Policy.ASK_WHEN_STALE and any age. A
        program's own acknowledged writes are in what it gets, whatever the policy; only Policy.ONLY_COPY, and a
        service that cannot be reached, may leave them out, marked stale.

        Raises NotInCopy where only the copy was asked and it is not complete, or older than `max_age`; StanzaError,
        Timeout or Disconnected where the service was asked, could not answer, and no copy can stand in. Where the
        copy's database cannot be read the service is asked; DatabaseError comes only of Policy.ONLY_COPY.
        """
        if len([given for given in (item_ids, max_items, rsm) if given]) > 1:
            raise ConfigurationError("give one of item_ids, max_items and rsm")
        if max_items is not None and max_items < 1:
            raise ConfigurationError("max_items must be at least 1")
        if rsm is not None and policy is Policy.ONLY_COPY:
            raise ConfigurationError("pages are the service's: read a copy whole, or by max_items")
        if max_age is not None and not max_age >= 0:
            raise ConfigurationError("max_age is a number of seconds, not below 0")
        key = self._key(service, node, account)
        request = ItemsRequest(key, tuple(item_ids), max_items, paged=rsm is not None)
        return await self._open.reading.get_items(request, policy, max_age, rsm)

    def _key(self, service: str, node: str, account: str | None) -> NodeKey:
        for jid in (service, account):
            if jid is not None:
                self._open.context.note_spelling(jid)
        return NodeKey(self._account(account), canonical_bare(service), node)

    def _account(self, account: str | None) -> str:
        """The one meant; by default the transport's own, or the only one of a database that is read offline."""
        if account is None and self._transport is not None:
            account = self._transport.own_jid
        if account is None:
            accounts = {copy.key.account for copy in self._open.context.copies}
            if len(accounts) != 1:
                raise ConfigurationError("name the account whose copy is meant")
            account = accounts.pop()
        return canonical_bare(account)

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
        """Items of an account's copies, newest first: those that hold every word of `text` (case and diacritics do not
        matter), of nodes of this type, service or node, and whose parsed fields equal `where`: `{"author.name":
        "Juliet", "categories": "tea"}`; a list is held to equal each of its elements. `after` is the `next` of the
        page before. What other accounts' copies hold is found only with their JID as `account`, or ALL_ACCOUNTS.
        Raises ConfigurationError for a field that is none."""
        query = search.Query(
            text=text,
            type=type,
            service=canonical_bare(service) if service is not None else None,
            node=node,
            account=None if account == ALL_ACCOUNTS else self._account(account),
            where=where,
            limit=limit,
            after=after,
        )
        copies = self._open.context.copies
        while True:
            closings = copies.closings
            page = await self._open.context.database.scan(search.find, query, copies.hidden())
            if closings == copies.closings:
                return page  # else something of it may have been closed meanwhile

    def nodes(self) -> list[NodeRecord]:
        """What is known of each node, by account, service and name. Nothing is called live while nobody can tell."""
        return sorted(self._open.records(), key=lambda record: record.key)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Any]:
        """A SQLAlchemy `AsyncSession` over `newsstand.storage.mapping`: read and change the copy as you like. Digests,
        words and revisions follow by themselves; what a service says of an item later overwrites it."""
        from newsstand.storage.orm import sessions  # costs 60 ms: only programs that use sessions pay

        async with self._open.context.database.session() as session:
            session.info[sessions.WORDS] = self._open.context.analysers.words_of
            try:
                yield session
            finally:
                if sessions.COMMITTED in session.info:
                    await self._open.reload(session.info[sessions.CHANGED])

    # Following ---------------------------------------------------------------------------------------------

    async def synchronise(
        self,
        service: str,
        node: str,
        *,
        account: str | None = None,
        progress: model.Progress | None = None,
    ) -> NodeRecord:
        """Follow a node, whatever the analysers say of it, and wait until its copy is live. Raises what stopped it:
        StanzaError, Timeout, Disconnected, ListingError."""
        engine = self._open
        key = self._key(service, node, account)
        return await engine.synchronise(key, progress)

    async def verify(
        self,
        service: str,
        node: str,
        *,
        account: str | None = None,
        repair: bool = False,
        progress: model.Progress | None = None,
    ) -> Verification:
        """Compare a copy with its service, by a listing of its own and by what is really stored. A difference counts
        when it is seen twice and nothing happened between, so that news under way are none. Without `repair` nothing
        is changed. With it, a copy that differs is listed anew as by `synchronise`, and compared again.

        Raises NotInCopy where there is no complete copy; StanzaError where the node cannot be read any more; Timeout
        or Disconnected; ListingError where the node never rests."""
        return await self._open.verifying.verify(self._key(service, node, account), progress, repair=repair)

    def watch(
        self, service: str, node: str, since: int | None = None, *, account: str | None = None
    ) -> AsyncIterator[Change]:
        """The changes of a followed node's copy, each once, in the order of their revisions: from this moment on, or,
        with `since`, first those that came after that revision (of a `Change`, or of a `NodeRecord`; 0: all since the
        copy was begun). What is told is committed. Changes of one revision belong together: who stops among them goes
        on from the revision before.

        Ends when the replica is closed. Raises NotInCopy, at once, where the node is not followed; ChangesLost, while
        iterating, where something would be left out: the log was pruned, or the copy erased or begun anew. Then read
        the node, and watch from there. A watcher may be slow: it reads the log, nothing waits in memory for it.
        What another worker on this database stores is told within about a second."""
        return watching.begin(self._open.context, self._open.items, self._key(service, node, account), since)

    async def purge(self, service: str, node: str, *, account: str | None = None) -> None:
        """Drop one node's copy: at once nothing of it is served or found, then its rows are erased, and, while there is
        a session, it is unsubscribed from (best effort). Work on it that is under way leaves nothing behind. The
        program's next read of it begins anew. Raises NotInCopy where nothing is known of the node."""
        await self._open.dropping.purge(self._key(service, node, account))

    async def reset(self, *, account: str | None = None) -> None:
        """Drop every copy as `purge` does, and what was learnt of services. Without `account`: all copies that this
        stream's accounts have; without a connection, all in the database. A program's own tables are not touched."""
        await self._open.dropping.reset(canonical_bare(account) if account is not None else None)

    async def session_began(self) -> None:
        """Wait until notifications reach us: the program has a session, and sent its presence in it."""
        await self._open.context.session_up.wait()

    async def settled(self) -> None:
        """Wait until nothing is under way: every notification stored, every wanted node live or failed, every item
        parsed."""
        await self._open.context.idle()
