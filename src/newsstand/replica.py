"""The replica: a live, local, queryable copy of the nodes that a program reads. Its public verbs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from xml.etree.ElementTree import Element

from newsstand import arguments, model
from newsstand.analysis import entry_points
from newsstand.analysis.analysers import Analyser, Analysers
from newsstand.analysis.builtin import BUILT_IN
from newsstand.arguments import AnyJid
from newsstand.config import ANY, Settings
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
from newsstand.state.context import Clock, wall_clock
from newsstand.storage.database import Database
from newsstand.storage.statements import search
from newsstand.suggesting import did_you_mean
from newsstand.xmpp.transport import Session, Transport

log = logging.getLogger(__name__)

ALL_ACCOUNTS = "*"
"""No JID. As the `account` of a search: every account's copies."""
SESSION_SECONDS = 5.0
"""How long a session is waited for in silence: a log-in over the Internet takes a second or two."""


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
        """The functions that adapters may call; None while the replica is not open."""
        self._ending: asyncio.Task[None] | None = None
        self._forget_loss: Callable[[], None] = lambda: None
        self._why_not_open = "the replica is not open yet: await plugin.ready(), which also says why it cannot be"
        self.only_when_asked = False
        """Set before `open` by a program that looks into a database which another one keeps (the command line does):
        nothing is followed, judged or dropped but what a verb names."""

    async def open(self, database: Database) -> None:
        """Start work on this database. It stays the caller's to close, after the replica. Installed packages whose
        analysers cannot be loaded are logged and left out."""
        if self._with_entry_points:
            brought = await entry_points.bring(self._settings.parser_timeout)
            self._analysers.bring(brought.analysers, complete=brought.complete)
        self._check_policies()
        began = asyncio.get_running_loop().time()
        engine = Engine(
            database,
            self._transport,
            self._analysers,
            self._settings,
            self._clock,
            only_when_asked=self.only_when_asked,
        )
        await engine.context.load()
        self._engine = engine
        if self._transport is not None:
            self._listen(self._transport, engine)
        self._forget_loss = database.when_lost(lambda: self._turn_off(engine))
        self.port = engine.port
        await engine.open()
        records = engine.records()
        items, seconds = sum(record.item_count for record in records), asyncio.get_running_loop().time() - began
        log.info("the database is open: %d nodes, %d items, in %.2f s", len(records), items, seconds)

    def _check_policies(self) -> None:
        """A policy for what no analyser is may be meant for one that the program registers later: only a warning."""
        known = {ANY} | {name for analyser in self._analysers for name in (analyser.name, analyser.type)}
        for name in (self._settings.policy or {}).keys() - known:
            meant = did_you_mean(name, known)
            log.warning("the setting policy names %r, and no analyser has that name or type%s", name, meant)

    def _turn_off(self, engine: Engine) -> None:
        """The database's file is lost: from this moment on, the program's requests go to their services."""
        if self._engine is engine:
            self._engine = self.port = None
            self._why_not_open = engine.context.database.lost or "the database is lost"
            self._ending = asyncio.get_running_loop().create_task(engine.close(), name="turning newsstand off")

    def _listen(self, transport: Transport, engine: Engine) -> None:
        """Takes messages and sessions as long as this engine runs: the stream may go on after it."""

        def on_message(message: Element) -> None:
            if self._engine is engine:
                engine.follower.receive_message(message)

        def on_session(session: Session) -> None:
            if self._engine is engine:
                engine.on_session(session)

        transport.on_message(on_message)
        transport.on_session(on_session)

    @property
    def is_open(self) -> bool:
        """Whether there is a database to work on."""
        return self._engine is not None

    @property
    def settings(self) -> Settings:
        """What was set, and the defaults of the rest."""
        return self._settings

    async def close(self) -> None:
        """End all work. Copies that were live are stale from now on. Every verb raises DatabaseError afterwards."""
        self._forget_loss()
        self._why_not_open = "the replica is closed"
        if self._engine is not None:
            await self._engine.close()
            self._engine = self.port = None
        if self._ending is not None:
            await self._ending

    @property
    def _open(self) -> Engine:
        if self._engine is None:
            raise DatabaseError(self._why_not_open)
        if self._engine.context.database.is_inherited:
            self._engine.context.database.check_usable()
        return self._engine

    def register_analyser(self, analyser: Analyser) -> None:
        """Add an analyser, behind those registered before and ahead of the installed packages' and the built-in
        ones. Verdicts on nodes are looked at anew. Raises ConfigurationError when its name is taken."""
        if not isinstance(analyser, Analyser):
            raise ConfigurationError(f"an analyser is a newsstand.Analyser, not {arguments.shown(analyser)}")
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
        service: AnyJid,
        node: str,
        *,
        item_ids: Sequence[str] = (),
        max_items: int | None = None,
        rsm: RsmQuery | None = None,
        account: AnyJid | None = None,
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
        Timeout or Disconnected where the service was asked, could not answer, and no copy can answer. Where the
        copy's database cannot be read the service is asked; DatabaseError comes only of Policy.ONLY_COPY.
        """
        ids, rsm = arguments.item_ids(item_ids), arguments.page(rsm)
        max_items, max_age = arguments.count("max_items", max_items), arguments.seconds("max_age", max_age)
        policy = arguments.one_of("policy", Policy, policy)
        if len([given for given in (ids, max_items, rsm) if given]) > 1:
            raise ConfigurationError("give one of item_ids, max_items and rsm")
        if rsm is not None and policy is Policy.ONLY_COPY:
            raise ConfigurationError("pages are the service's: read a copy whole, or by max_items")
        key = self._key(service, node, account)
        request = ItemsRequest(key, ids, max_items, paged=rsm is not None)
        return await self._open.reading.get_items(request, policy, max_age, rsm)

    def _key(self, service: AnyJid, node: str, account: AnyJid | None) -> NodeKey:
        spelt, name, owner = arguments.jid_text("service", service), arguments.node_name(node), self._account(account)
        self._open.context.note_spelling(spelt)
        if account is not None:
            self._open.context.note_spelling(arguments.jid_text("account", account))
        return NodeKey(owner, canonical_bare(spelt), name)

    def _account(self, account: AnyJid | None) -> str:
        """The one meant; by default the transport's own, or the only one of a database that is read offline."""
        if account is not None:
            return arguments.bare_jid("account", account)
        if self._transport is not None:
            return canonical_bare(self._transport.own_jid)
        accounts = sorted({copy.key.account for copy in self._open.context.copies})
        if len(accounts) != 1:
            there = f"there are {', '.join(accounts)}" if accounts else "there is none"
            raise ConfigurationError(f"name the account whose copy is meant: {there}")
        return canonical_bare(accounts[0])

    async def search(
        self,
        text: str | None = None,
        *,
        type: str | None = None,
        service: AnyJid | None = None,
        node: str | None = None,
        where: Mapping[str, str | int | float | bool] | None = None,
        limit: int = 20,
        after: int | None = None,
        account: AnyJid | None = None,
    ) -> Page:
        """Items of an account's copies, newest first: those that hold every word of `text` (case and diacritics do not
        matter), of nodes of this type, service or node, and whose parsed fields equal `where`: `{"author.name":
        "Juliet", "categories": "tea"}`; a list is held to equal each of its elements. `after` is the `next` of the
        page before. What other accounts' copies hold is found only with their JID as `account`, or ALL_ACCOUNTS.
        Raises ConfigurationError for a field that is none."""
        types = {analyser.type for analyser in self._analysers}
        types |= {record.type for record in self._open.records() if record.type is not None}
        query = search.Query(
            text=arguments.search_text(text),
            type=arguments.known("type", type, types),
            service=None if service is None else arguments.bare_jid("service", service),
            node=None if node is None else arguments.node_name(node),
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
        """What is known of each node, by account, service and name. Nothing is called live while no worker is notified
        of its changes. It is not awaited, for all of it is in memory."""
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
        service: AnyJid,
        node: str,
        *,
        account: AnyJid | None = None,
        progress: model.Progress | None = None,
    ) -> NodeRecord:
        """Follow a node, whatever the analysers say of it, and wait until its copy is live. Raises what stopped it:
        StanzaError, Timeout, Disconnected, ListingError."""
        engine = self._open
        key = self._key(service, node, account)
        return await engine.synchronise(key, arguments.progress(progress))

    async def verify(
        self,
        service: AnyJid,
        node: str,
        *,
        account: AnyJid | None = None,
        repair: bool = False,
        progress: model.Progress | None = None,
    ) -> Verification:
        """Compare a copy with its service, by a listing of its own and by what is really stored. A difference counts
        when it is seen twice and nothing happened between, so that news under way are none. Without `repair` nothing
        is changed. With it, a copy that differs is listed anew as by `synchronise`, and compared again.

        Raises NotInCopy where there is no complete copy; StanzaError where the node cannot be read any more; Timeout
        or Disconnected; ListingError where the node never rests."""
        repair, progress = arguments.flag("repair", repair), arguments.progress(progress)
        return await self._open.verifying.verify(self._key(service, node, account), progress, repair=repair)

    def watch(
        self, service: AnyJid, node: str, since: int | None = None, *, account: AnyJid | None = None
    ) -> AsyncIterator[Change]:
        """The changes of a followed node's copy, each once, in the order of their revisions: from this moment on, or,
        with `since`, first those that came after that revision (of a `Change`, or of a `NodeRecord`; 0: all since the
        copy was begun). What it yields is committed. Changes of one revision belong together: who stops among them goes
        on from the revision before.

        Ends when the replica is closed. Raises NotInCopy, at once, where the node is not followed; ChangesLost, while
        iterating, where something would be left out: the log was pruned, or the copy erased or begun anew. Then read
        the node, and watch from there. A watcher may be slow: it reads the log, nothing waits in memory for it.
        What another worker on this database stores is yielded within about a second."""
        since = arguments.count("since", since, least=0)
        return watching.begin(self._open.context, self._open.items, self._key(service, node, account), since)

    async def purge(self, service: AnyJid, node: str, *, account: AnyJid | None = None) -> None:
        """Drop one node's copy: at once nothing of it is served or found, then its rows are erased, and, while there is
        a session, it is unsubscribed from (best effort). Work on it that is under way leaves nothing behind. The
        program's next read of it begins anew. Raises NotInCopy where nothing is known of the node."""
        await self._open.dropping.purge(self._key(service, node, account))

    async def reset(self, *, account: AnyJid | None = None) -> None:
        """Drop every copy as `purge` does, and what was learnt of services. Without `account`: all copies that this
        stream's accounts have; without a connection, all in the database. A program's own tables are not touched."""
        await self._open.dropping.reset(None if account is None else arguments.bare_jid("account", account))

    async def session_began(self) -> None:
        """Wait until notifications reach us: the program has a session, and sent its presence in it. Where that takes
        long, a warning in the log says which of the two is missing."""
        up = self._open.context.session_up
        try:
            async with asyncio.timeout(SESSION_SECONDS):
                await up.wait()
        except TimeoutError:
            log.warning("Newsstand waits for notifications: %s", self._what_is_missing())
            await up.wait()

    def _what_is_missing(self) -> str:
        if self._transport is None:
            return "there are none, for this replica was opened without a client"
        if self._open.context.online:
            return (
                "the program has sent no presence, or one of negative priority, and a server sends none until it has "
                "(slixmpp: xmpp.send_presence() at session_start)"
            )
        return "there is no session with the server (slixmpp: xmpp.connect(), and look for what it logs)"

    async def settled(self) -> None:
        """Wait until nothing is under way: every notification stored, every wanted node live or failed, every item
        parsed."""
        await self._open.context.idle()
