"""An open replica at work: what joins the parts, and what each adapter's calls come to."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection

from newsstand import model
from newsstand.analysis.analysers import Analysers
from newsstand.config import Settings
from newsstand.errors import Disconnected, LeaseLost, NewsstandError, NotFollowed
from newsstand.model import NodeKey, NodeRecord, SyncState
from newsstand.serving.asking import Asking
from newsstand.serving.driver import Driver
from newsstand.serving.items import Items
from newsstand.serving.own_writes import Writes
from newsstand.serving.port import Port
from newsstand.serving.reading import Reading
from newsstand.state import resets
from newsstand.state.context import Clock, Context, wall_clock
from newsstand.state.copies import Copy
from newsstand.storage.database import Database
from newsstand.storage.statements import items, nodes, owners
from newsstand.sync import listing, subscriptions
from newsstand.sync.follower import Follower
from newsstand.sync.parsing import Parsing
from newsstand.sync.selection import Selection
from newsstand.sync.synchroniser import Synchroniser
from newsstand.upkeep.dropping import Dropping
from newsstand.upkeep.housekeeping import Housekeeping
from newsstand.upkeep.unread_nodes import UnreadNodes
from newsstand.upkeep.verifying import Verifying
from newsstand.workers.lease_renewal import BEGAN
from newsstand.workers.ownership import Ownership
from newsstand.xmpp import answers, seen_items
from newsstand.xmpp.transport import Session, Transport

log = logging.getLogger(__name__)


class Engine:
    """An open replica's parts, and what joins them. It is the `Listener` of all of them."""

    def __init__(
        self,
        database: Database,
        transport: Transport | None,
        analysers: Analysers,
        settings: Settings,
        clock: Clock = wall_clock,
        *,
        only_when_asked: bool,
    ) -> None:
        context = self.context = Context(database, transport, analysers, settings, self, clock)
        self.only_when_asked = only_when_asked
        self._kept_by_another = False
        self.ownership = Ownership(context, self, shares=not only_when_asked)
        storing = self.ownership.storing
        self.parsing = Parsing(context, storing)
        self.synchroniser = Synchroniser(context, self.parsing, self.ownership, self)
        self.follower = Follower(context, storing, self.synchroniser)
        self.selection = Selection(context, self.ownership.leases, storing, self.synchroniser)
        self.writes = Writes(context, storing, self.ownership.assignment, self.follower, self.synchroniser)
        self.dropping = Dropping(context, self.selection, self.synchroniser)
        self.unread = UnreadNodes(context, self.dropping, self.ownership.leases)
        self.housekeeping = Housekeeping(context, self.synchroniser, self.unread, self.ownership.leases)
        self.verifying = Verifying(context, self.synchroniser)
        self.asking = Asking(
            context, self.ownership, self.synchroniser, self.selection, only_when_asked=only_when_asked
        )
        self.driver = Driver(context, self.ownership, self.synchroniser, self.asking)
        self.items = Items(context, self.selection)
        self.reading = Reading(context, self.driver, self.asking, self.items)
        self.port = Port(
            read=self.driver.read,
            go_on=self.driver.go_on,
            fall_back=self.driver.fall_back,
            find_change=self.driver.find_change,
            replied=self.asking.replied,
            observed=self.asking.observed,
            failed=self.asking.failed,
            changing=self.asking.changing,
            begin_write=self.writes.begin,
            end_write=self.writes.end,
        )

    async def open(self) -> None:
        """Poll what other workers did, and go on with what was not parsed. Raises DatabaseError."""
        await self.ownership.open()
        for node_id in await self.context.database.scan(items.nodes_to_parse):
            copy = self.context.copies.by_id(node_id)
            if copy is not None and not self.ownership.leases.owned_by_another(copy):
                self.parsing.want(copy)

    async def close(self) -> None:
        """End all work, and wake whoever waits for something."""
        for copy in self.context.copies:
            copy.inbox.empty()
        await self.synchroniser.start.write(self.synchroniser.start.fewer())
        self.synchroniser.lost()
        self.housekeeping.stop()
        self.ownership.stop()
        await self.context.close()
        await self.ownership.close()
        for copy in self.context.copies:
            copy.notify_watchers()

    # Sessions

    def on_session(self, session: Session) -> None:
        context = self.context
        context.follow(session)
        if not context.connected:
            if session is Session.LOST:
                self._end_stream()
            self.synchroniser.lost()
            self.housekeeping.stop()
            self.ownership.session_lost()
            return
        if session is Session.FRESH:
            for copy in self._ours():
                resets.begin_session(copy, BEGAN)
            if not self.only_when_asked:
                self.synchroniser.start.begin()
        self.ownership.session_began(fresh=session is Session.FRESH)
        if context.transport is not None and not context.serves(context.own_jid):
            log.warning("another client in this process keeps this account's copies: this one asks the service")
            self._kept_by_another = True
            return
        if self.only_when_asked:
            self.ownership.begin_again()
            return
        if session is Session.FRESH:
            context.spawn(self._take_up(), "taking up the copies")
            return
        context.spawn(self.ownership.begin(), "renewing the lease")

    def _end_stream(self) -> None:
        start = self.synchroniser.start
        self.context.spawn(start.write(start.fewer()), "noting how often nodes are read")
        for copy in self._ours():
            resets.end_stream(copy)

    def _ours(self) -> list[Copy]:
        """The copies that this stream's accounts have."""
        return [copy for copy in self.context.copies if self.context.serves(copy.key.account)]

    def acquired(self, copy: Copy) -> None:
        """We own this node from now on, and follow it, if the analysers still want it."""
        resets.begin_anew(copy, owners.NOT_NOTIFIED)
        if copy.record.item_count:  # the owner before us may have left some unparsed
            self.parsing.want(copy)
        if self.only_when_asked or self.selection.is_settled(copy):
            self.synchroniser.want(copy)
        else:
            self.context.spawn(self._judge_anew(copy), f"analysing {copy.key.node} anew")

    async def _judge_anew(self, copy: Copy) -> None:
        try:
            await self.selection.again(copy)
        except NewsstandError as error:
            log.info("node %r could not be judged anew: %s", copy.key.node, error)
        self.synchroniser.want(copy)

    def lease_lost(self, copy: Copy) -> None:
        """Another worker acquired the node, and we did not know."""
        self.ownership.polling.poll_soon()

    def may_begin(self) -> None:
        """Work may begin, in this session. What is not read any more is dropped before."""
        if not self.only_when_asked:
            self.housekeeping.make_round()
        self.synchroniser.want_all()

    def doubted(self, copy: Copy) -> None:
        """Another worker doubts a copy of ours."""
        if copy.left:  # our own program does not want it; another one does
            self.context.spawn(self.ownership.assignment.release(copy), f"leaving {copy.key.node}")
        else:
            self.synchroniser.want(copy)

    def still_closing(self, copy: Copy) -> None:
        """The copy was closed, and that could not be stored."""
        self.context.spawn(self.synchroniser.closing.settle(copy), f"closing {copy.key.node}")

    def released(self, copy: Copy) -> None:
        """We do not own the node any more."""
        self.ownership.doubts.end(copy)
        self.synchroniser.forget(copy)
        resets.release(copy)

    def domain_answered(self, service: str) -> None:
        """The PEP service of an account answered whose domain was taken to have no PEP for us."""
        self.synchroniser.domain_answered(service)

    def listed(self, copy: Copy) -> None:
        """What came during its listing can be applied."""
        self.follower.drain(copy)

    async def _take_up(self) -> None:
        """Synchronise what is ours."""
        if self._kept_by_another:
            # What it stored meanwhile is newer than what we remember.
            self._kept_by_another = False
            await self.context.load()
            for copy in self._ours():
                resets.begin_session(copy, BEGAN)
        await self.ownership.begin()

    # The nodes

    def records(self) -> list[NodeRecord]:
        found = []
        for copy in self.context.copies:
            record = copy.record
            if record.state is SyncState.LIVE and not self.ownership.is_notified(copy):
                record = dataclasses.replace(record, state=SyncState.STALE, reason="no session")
            found.append(record)
        return found

    async def reload(self, node_ids: Collection[int]) -> None:
        """A program changed these nodes' items through a session of its own."""
        records = await self.context.database.scan(lambda conn: list(nodes.iter_nodes(conn)))
        there = {record.id for record in records}
        for copy in self.context.copies:
            if copy.record.id not in there:
                self.ownership.leases.drop(copy)
        for record in records:
            if record.id in node_ids:
                copy = self.context.copies.by_id(record.id) or self.context.copies.add(record)
                copy.contents_changed(record.revision, record.counts)
                copy.notify_watchers()
                self.parsing.want(copy)

    # Following

    async def synchronise(self, key: NodeKey, progress: model.Progress | None) -> NodeRecord:
        if not self.context.connected or not self.context.speaks_for(key.account):
            raise Disconnected("there is no session with the service")
        if not self.context.serves(key.account):
            raise NotFollowed("another client in this process keeps this account's copies in this database")
        try:
            return await self._synchronise(key, progress)
        except LeaseLost:
            await self.ownership.polling.poll()  # what we knew of the node was old
            return await self._synchronise(key, progress)

    async def _synchronise(self, key: NodeKey, progress: model.Progress | None) -> NodeRecord:
        copy = self.context.copies.find(key)
        known = copy is not None and copy.followed and copy.record.analyser is not None
        owned_elsewhere = copy is not None and copy.followed and self.ownership.leases.owned_by_another(copy)
        if copy is None or not ((self.only_when_asked and known) or owned_elsewhere):
            copy = await self._judge_asked_for(key)
        subscriptions.want_again(copy)
        return await self.synchroniser.list_anew(copy, progress)

    async def _judge_asked_for(self, key: NodeKey) -> Copy:
        copy = None
        with self.selection.judging(key) as judgement:
            iq = await listing.request_items(self.context, key, max_items=1)
            result = answers.find_items(iq)
            elements = [] if result is None else list(result)
            shown = [seen.xml for seen in map(seen_items.read_item, elements) if seen.xml]
            if judgement.counts():
                copy = await self.selection.judge(key, seen_items.payload_namespaces(elements), shown, asked_for=True)
        if copy is None:
            raise NotFollowed("the copy was dropped meanwhile")
        return copy
