"""An open replica at work: what joins the parts, and what each adapter's calls come to."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator, Collection, Sequence
from xml.etree.ElementTree import Element

from newsstand import listing, protocol, verifying, watching
from newsstand.comparing import Verification
from newsstand.context import Context
from newsstand.copies import Copy
from newsstand.errors import Disconnected, NewsstandError, NotFollowed, NotInCopy, StanzaError, Timeout
from newsstand.follower import Follower
from newsstand.housekeeping import Dropped, Housekeeping
from newsstand.model import (
    Answer,
    Change,
    Item,
    ItemsRequest,
    NodeKey,
    NodeRecord,
    Origin,
    Policy,
    SyncState,
)
from newsstand.parsing import Parsing
from newsstand.policy import Decision, Serve, decide
from newsstand.selection import Selection
from newsstand.storage import answers, items, nodes
from newsstand.storage import log as log_of_changes
from newsstand.synchroniser import Synchroniser
from newsstand.transport import Session
from newsstand.ways import Take, Ways
from newsstand.writes import Writes

log = logging.getLogger(__name__)


class Engine:
    """An open replica's parts, and what joins them."""

    def __init__(self, context: Context, *, only_when_asked: bool) -> None:
        self.context = context
        self.only_when_asked = only_when_asked
        self._kept_by_another = False
        self.parsing = Parsing(context)
        self.synchroniser = Synchroniser(context, self.parsing)
        self.follower = Follower(context, self.synchroniser)
        self.selection = Selection(context, self.synchroniser)
        self.writes = Writes(context, self.follower, self.synchroniser)
        self.housekeeping = Housekeeping(context, self.synchroniser)
        for copy in context.copies:
            if copy.record.state in (SyncState.LIVE, SyncState.SYNCING):
                copy.update(state=SyncState.STALE, reason="not heard from since the last session")

    async def resume_parsing(self) -> None:
        for node_id in await self.context.database.scan(items.nodes_to_parse):
            if (copy := self.context.copies.by_id(node_id)) is not None:
                self.parsing.want(copy)

    async def close(self) -> None:
        """End all work; whoever waits for something goes on, and is told."""
        for copy in self.context.copies:
            copy.taken(len(copy.inbox))
        self.synchroniser.lost()
        self.housekeeping.stop()
        await self.context.close()
        for copy in self.context.copies:
            copy.tell()

    # Sessions

    def on_session(self, session: Session) -> None:
        context = self.context
        context.follow(session)
        if not context.connected:
            self.synchroniser.lost()
            self.housekeeping.stop()
            return
        if session is Session.FRESH:
            for copy in self._ours():
                self._forget_session(copy)
        if context.transport is not None and not context.serves(context.transport.own_jid):
            log.warning("another client in this process keeps this account's copies: this one asks the service")
            self._kept_by_another = True
            return
        if self.only_when_asked:
            return
        if session is Session.FRESH:
            context.spawn(self._take_up(), "taking up the copies")
            return
        for copy in context.copies:
            self.synchroniser.want(copy)

    def _ours(self) -> list[Copy]:
        """The copies that this stream's accounts have."""
        return [copy for copy in self.context.copies if self.context.serves(copy.key.account)]

    def _forget_session(self, copy: Copy) -> None:
        """Everything since the last session is lost: nothing vouches for a copy until it is listed again."""
        if copy.record.state in (SyncState.LIVE, SyncState.SYNCING):
            copy.update(state=SyncState.STALE, reason="a new session began")
        copy.subscribed = copy.check_ids = copy.relist = False
        copy.rest_until, copy.disturbed = 0.0, 0
        copy.refetch.clear()
        copy.heard += 1
        copy.writing = 0
        copy.told.clear()
        copy.taken(len(copy.inbox))
        copy.order = None

    async def _take_up(self) -> None:
        """Drop what the program does not read any more, and synchronise the rest, what it read last first."""
        if self._kept_by_another:
            # What it stored meanwhile is newer than what we remember.
            self._kept_by_another = False
            await self.context.load()
            for copy in self._ours():
                self._forget_session(copy)
        self.housekeeping.make_round()
        for copy in sorted(self._ours(), key=lambda copy: -(copy.record.read_at or 0)):
            try:
                await self.selection.again(copy)
            except NewsstandError as error:
                log.info("node %r could not be judged anew: %s", copy.key.node, error)
            self.synchroniser.want(copy)

    # The nodes

    def records(self) -> list[NodeRecord]:
        found = []
        for copy in self.context.copies:
            record = copy.record
            if record.state is SyncState.LIVE and not self._hears(record.key):
                record = dataclasses.replace(record, state=SyncState.STALE, reason="no session")
            found.append(record)
        return found

    def _hears(self, key: NodeKey) -> bool:
        return self.context.connected and self.context.serves(key.account)

    async def reload(self, node_ids: Collection[int]) -> None:
        """A program changed these nodes' items through a session of its own."""
        records = await self.context.database.scan(lambda conn: list(nodes.iter_nodes(conn)))
        there = {record.id for record in records}
        for copy in self.context.copies:
            if copy.record.id not in there:
                self.context.copies.drop(copy)
                self.synchroniser.forget(copy)
        for record in records:
            if record.id in node_ids:
                copy = self.context.copies.by_id(record.id) or self.context.copies.add(record)
                copy.update(revision=record.revision, item_count=record.item_count, quarantined=record.quarantined)
                copy.tell()
                self.parsing.want(copy)

    # Reading

    def decide(self, request: ItemsRequest, policy: Policy) -> Decision:
        copy = self.context.copies.find(request.key)
        if copy is None:
            return decide(request, None, Ways(), policy)
        if copy.followed:
            self.housekeeping.was_read(copy)
        ways = self.context.ways(request.key.service)
        return decide(request, copy.situation(self._hears(request.key)), ways, policy)

    def read_xml(self, request: ItemsRequest, take: Take) -> list[str]:
        copy = self.context.copies.find(request.key)
        assert copy is not None
        return self.context.database.read_now(answers.take_xml, copy.record.id, request, take)

    async def answer(self, request: ItemsRequest, serve: Serve) -> Answer:
        copy = self.context.copies.find(request.key)
        assert copy is not None
        found = await self.context.database.scan(answers.take_items, copy.record.id, request, serve.take)
        return self.vouch(request, serve, found)

    def vouch(self, request: ItemsRequest, serve: Serve, found: Sequence[Item]) -> Answer:
        copy = self.context.copies.find(request.key)
        assert copy is not None
        return Answer(
            items=found,
            origin=Origin.COPY,
            verified_at=copy.record.verified_at,
            complete=copy.record.complete and not copy.record.quarantined,
            stale=serve.stale,
        )

    async def fetch(self, request: ItemsRequest, instead: Serve | None) -> Answer:
        if not self.context.online or not self.context.speaks_for(request.key.account):
            if instead is not None:
                return await self.answer(request, instead)
            raise Disconnected("there is no session with the service, and no copy to stand in")
        try:
            iq = await listing.request_items(
                self.context, request.key, item_ids=request.item_ids, max_items=request.max_items
            )
        except (Timeout, Disconnected):
            if instead is None:
                raise
            return await self.answer(request, instead)
        except StanzaError as error:
            if instead is None or not error.unreachable:
                raise
            return await self.answer(request, instead)
        result = protocol.find_items(iq)
        self.observe(request.key, [] if result is None else list(result))
        seen = protocol.read_items(iq).items
        found = [Item(request.key, s.id, s.xml, None, s.publisher, 0, 0, 0) for s in seen]
        whole = not request.item_ids and request.max_items is None
        return Answer(found, Origin.SERVICE, None, complete=whole, stale=False)

    def observe(self, key: NodeKey, answered: Sequence[Element]) -> None:
        if not self.only_when_asked and self.context.serves(key.account):
            self.selection.observe(key, answered)

    # Following

    async def synchronise(self, key: NodeKey, progress: listing.Progress | None) -> NodeRecord:
        if not self.context.connected or not self.context.speaks_for(key.account):
            raise Disconnected("there is no session with the service")
        if not self.context.serves(key.account):
            raise NotFollowed("another client in this process keeps this account's copies in this database")
        copy = self.context.copies.find(key)
        known = copy is not None and copy.followed and copy.record.analyser is not None
        if copy is None or not (self.only_when_asked and known):
            copy = await self._judge_asked_for(key)
        copy.left = False
        return await self.list_anew(copy, progress)

    async def _judge_asked_for(self, key: NodeKey) -> Copy:
        copy = None
        with self.selection.judging(key) as judgement:
            iq = await listing.request_items(self.context, key, max_items=1)
            result = protocol.find_items(iq)
            elements = [] if result is None else list(result)
            shown = [seen.xml for seen in map(protocol.read_item, elements) if seen.xml]
            if judgement.counts():
                copy = await self.selection.judge(key, protocol.payload_namespaces(elements), shown, asked_for=True)
        if copy is None:
            raise NotFollowed("the copy was dropped meanwhile")
        return copy

    async def list_anew(self, copy: Copy, progress: listing.Progress | None = None) -> NodeRecord:
        """List a followed node, and wait until its copy is live. Raises what stopped it."""
        copy.relist = True
        while (work := self.synchroniser.want(copy, progress=progress)) is not None:
            await asyncio.wait({work})  # not awaited itself: it is not ours alone to cancel
            if copy.record.state is not SyncState.LIVE:
                break
        if copy.record.state is not SyncState.LIVE:
            raise copy.failure or NewsstandError(f"not synchronised: {copy.record.reason}")
        return copy.record

    # Verifying

    async def verify(self, key: NodeKey, repair: bool, progress: listing.Progress | None) -> Verification:
        try:
            found = await verifying.verify(self.context, key, progress)
        except StanzaError as error:
            self._doubt_access(key, error)
            raise
        if found.equal or not repair:
            return found
        copy = self.context.copies.find(key)
        if copy is None or not copy.followed:
            raise NotInCopy(f"{key.node!r} of {key.service} is not followed any more")
        if not self.context.connected or not self.context.serves(key.account):
            raise NotFollowed("another client in this process keeps this account's copies in this database")
        await verifying.make_comparable(self.context, copy)
        copy.left = False
        await self.list_anew(copy, progress)
        again = await verifying.verify(self.context, key)
        return verifying.mended(found) if again.equal else found

    def _doubt_access(self, key: NodeKey, error: StanzaError) -> None:
        """A copy that is served is closed where its service refuses it: its own work finds that out."""
        copy = self.context.copies.find(key)
        if copy is not None and copy.record.state is SyncState.LIVE and not error.unreachable:
            copy.relist = True
            self.synchroniser.want(copy)

    # Watching

    def watch(self, key: NodeKey, since: int | None) -> AsyncIterator[Change]:
        copy = self.context.copies.find(key)
        if copy is None or not copy.followed:
            raise NotInCopy(f"{key.node!r} of {key.service} is not followed: synchronise it first")
        if since is None:
            since = self.context.database.read_now(log_of_changes.current_revision, copy.record.id) or 0
        return watching.watch(self.context, copy, since)

    # Dropping

    async def purge(self, key: NodeKey) -> None:
        self._check_keeper(key.account)
        judged = self.selection.forget(key)
        copy = self.context.copies.find(key)
        if copy is not None:
            await self.housekeeping.forget(self.housekeeping.drop(copy))
        elif not judged:
            raise NotInCopy(f"there is no copy of {key.node!r} of {key.service}")
        await self.context.database.write(nodes.remove_idle_accounts)

    async def reset(self, account: str | None) -> None:
        """Without an account: all that this stream's accounts have; without a stream, all."""
        dropped = []
        for key in self.selection.judged_now() | {copy.key for copy in self.context.copies}:
            if account is not None:
                ours = key.account == account
            else:
                ours = self.context.transport is None or self.context.speaks_for(key.account)
            if not ours:
                continue
            self._check_keeper(key.account)
            self.selection.forget(key)
            if (copy := self.context.copies.find(key)) is not None:
                dropped.append(self.housekeeping.drop(copy))
        places = asyncio.Semaphore(self.context.settings.parallel)

        async def forget(one: Dropped) -> None:
            async with places:
                await self.housekeeping.forget(one)

        await asyncio.gather(*map(forget, dropped))
        await self.context.database.write(nodes.remove_idle_accounts)
        await self.context.forget_ways()

    def _check_keeper(self, account: str) -> None:
        """Another client of this process that keeps these copies would not know that they are gone."""
        transport = self.context.transport
        own = transport.own_jid if transport is not None and self.context.speaks_for(account) else account
        keeper = self.context.database.keeper(own)
        if keeper is not None and keeper is not self.context:
            raise NotFollowed("another client in this process keeps this account's copies in this database")
