"""An open replica at work: what joins the parts, and what each adapter's calls come to."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Collection
from xml.etree.ElementTree import Element

from newsstand import cursors, listing, protocol
from newsstand.context import Context
from newsstand.copies import Copy
from newsstand.dropping import Dropping
from newsstand.errors import DatabaseError, Disconnected, NewsstandError, NotFollowed, StanzaError, Timeout
from newsstand.follower import Follower
from newsstand.housekeeping import Housekeeping
from newsstand.model import (
    Answer,
    Item,
    ItemsRequest,
    NodeKey,
    NodeRecord,
    Origin,
    Policy,
    Provenance,
    Rsm,
    RsmQuery,
    SyncState,
)
from newsstand.parsing import Parsing
from newsstand.policy import Decision, Serve, decide
from newsstand.refusals import MISSING
from newsstand.selection import Selection
from newsstand.storage import answers, items, nodes
from newsstand.synchroniser import Synchroniser
from newsstand.transport import Session
from newsstand.verifying import Verifying
from newsstand.ways import SHOWS_SET, Take, Way, Ways
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
        self.dropping = Dropping(context, self.selection, self.housekeeping)
        self.verifying = Verifying(context, self.synchroniser)
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
        copy.subscribed = copy.check_ids = copy.relist = copy.skips_missing = copy.stocked = False
        copy.rest_until, copy.disturbed, copy.pages = 0.0, 0, None
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

    def decide(self, request: ItemsRequest, policy: Policy | None = None, max_age: float | None = None) -> Decision:
        """`policy` and `max_age` default to those of the node's analyser."""
        copy = self.context.copies.find(request.key)
        if copy is None:
            return decide(request, None, Ways(), policy or Policy.ASK_WHEN_STALE, max_age)
        if copy.followed:
            self.housekeeping.was_read(copy)
        if policy is None and max_age is None and (analyser := self.context.analysers.find(copy.record.analyser)):
            policy, max_age = analyser.policy, analyser.max_age
        ways = self.context.ways(request.key.service)
        if not copy.skips_missing and ways.missing_id is Way.SKIPPED:
            # Learnt of another node, perhaps: some services skip a missing id, and refuse it to the node's owners.
            ways = dataclasses.replace(ways, missing_id=Way.UNKNOWN)
        where = copy.situation(
            self._hears(request.key),
            self.context.clock(),
            item_ids=request.item_ids,
            holds_all=self._holds_all(copy, request, ways),
            knows_cursors=self._knows_cursors(copy, request, ways),
        )
        return decide(request, where, ways, policy or Policy.ASK_WHEN_STALE, max_age)

    def _holds_all(self, copy: Copy, request: ItemsRequest, ways: Ways) -> bool:
        """Looked up only where it matters: where the service's way with a missing id cannot be foreseen."""
        if not request.item_ids or ways.missing_id is Way.SKIPPED or not copy.record.complete:
            return False
        try:
            held = self.context.database.read_now(items.which, copy.record.id, request.item_ids)
        except DatabaseError:
            return False  # whoever reads the items is told
        return len(held) == len(set(request.item_ids))

    def _knows_cursors(self, copy: Copy, request: ItemsRequest, ways: Ways) -> bool:
        if request.max_items is None or ways.limited_set not in SHOWS_SET or not copy.record.complete:
            return False
        copy.cursors.note_limit(request.max_items)
        known = self.find_set(request) is not None
        if not known and not copy.cursors.lacking:
            copy.cursors.lacking = True
            self.synchroniser.want(copy)
        return known

    def find_set(self, request: ItemsRequest) -> Rsm | None:
        """The `<set/>` that the service would send along with what `max_items` brings; None where it sends none, or
        one that is not known."""
        copy = self.context.copies.find(request.key)
        shows = self.context.ways(request.key.service).limited_set in SHOWS_SET
        if copy is None or request.max_items is None or not shows:
            return None
        try:
            return cursors.find_set(self.context, copy, request)
        except DatabaseError:
            return None  # whoever reads the items is told

    def read_xml(self, request: ItemsRequest, take: Take) -> list[str]:
        copy = self.context.copies.find(request.key)
        assert copy is not None
        return self.context.database.read_now(answers.take_xml, copy.record.id, request, take)

    async def answer(self, request: ItemsRequest, serve: Serve) -> Answer | None:
        """None where the copy was closed while it was read: what was read may be the half of it."""
        copy = self.context.copies.find(request.key)
        if copy is None or copy.is_closed():
            return None
        made_of = self.vouch(request, serve)
        found = await self.context.database.scan(answers.take_items, copy.record.id, request, serve.take)
        if copy.is_closed():
            return None
        return Answer(
            items=found,
            rsm=self.find_set(request),
            origin=made_of.origin,
            verified_at=made_of.verified_at,
            complete=made_of.complete,
            stale=made_of.stale,
            revision=made_of.revision,
        )

    def vouch(self, request: ItemsRequest, serve: Serve) -> Provenance:
        copy = self.context.copies.find(request.key)
        assert copy is not None
        return Provenance(
            origin=Origin.COPY,
            verified_at=copy.verified_at(request.item_ids),
            complete=copy.record.complete and not copy.record.quarantined,
            stale=serve.stale,
            revision=copy.record.revision,
        )

    async def fetch(
        self, request: ItemsRequest, instead: Serve | None, rsm: RsmQuery | None = None, *, anew: bool = False
    ) -> Answer:
        """Ask the service, unless it refused the same a moment ago; `anew`: even then."""
        now = asyncio.get_running_loop().time()
        if not anew and (refusal := self.context.refusals.find(request, now)) is not None:
            raise refusal.error
        try:
            if not self.context.online or not self.context.speaks_for(request.key.account):
                raise Disconnected("there is no session with the service, and no copy to stand in")
            iq = await listing.request_items(
                self.context, request.key, item_ids=request.item_ids, max_items=request.max_items, rsm=rsm
            )
        except (Timeout, Disconnected, StanzaError) as error:
            if isinstance(error, StanzaError):
                self.note_error(request, error)
            answers_so = isinstance(error, StanzaError) and not error.unreachable
            if answers_so or instead is None or (answer := await self.answer(request, instead)) is None:
                raise
            return answer
        self.observe(request, iq)
        listed = protocol.read_items(iq)
        found = [Item(request.key, s.id, s.xml, None, s.publisher, 0, 0, 0) for s in listed.items]
        whole = not request.item_ids and request.max_items is None and listed.rsm is None
        return Answer(items=found, rsm=listed.rsm, origin=Origin.SERVICE, complete=whole)

    def note_error(self, request: ItemsRequest, error: StanzaError, stanza: Element | None = None) -> None:
        """The service answered a read of the program with an error."""
        self.context.refusals.note(request, error, asyncio.get_running_loop().time(), stanza)
        whole = not request.item_ids
        self.synchroniser.note_error(request.key, error, missing=whole and error.condition in MISSING)

    def observe(self, request: ItemsRequest, iq: Element) -> None:
        """The service answered a read of the program."""
        answered = protocol.find_items(iq)
        copy = self.context.copies.find(request.key)
        if copy is not None:
            copy.answered_at = asyncio.get_running_loop().time()
        if copy is not None and copy.record.state is SyncState.LIVE and request.max_items is not None:
            copy.cursors.learn(protocol.read_ends(iq))
        if copy is not None and request.item_ids and answered is not None:
            copy.skips_missing |= len(answered) < len(set(request.item_ids))
        if not self.context.serves(request.key.account):
            return
        if copy is not None and answered is not None:
            whole = not request.item_ids and request.max_items is None and protocol.read_ends(iq).rsm is None
            self.synchroniser.take_in(copy, list(answered), shows_all=whole)
        if not self.only_when_asked:
            self.selection.observe(request.key, [] if answered is None else list(answered))

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
        return await self.synchroniser.list_anew(copy, progress)

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
