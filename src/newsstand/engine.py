"""An open replica at work: what joins the parts, and what each adapter's calls come to."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Collection
from typing import NamedTuple
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
from newsstand.storage.keys import CHUNK
from newsstand.synchroniser import Synchroniser
from newsstand.transport import Session
from newsstand.verifying import Verifying
from newsstand.ways import SHOWS_SET, Take, Way, Ways
from newsstand.writes import Writes

log = logging.getLogger(__name__)


class Looked(NamedTuple):
    """What rows say to a decision that was put off until they were read."""

    holds_all: bool
    rsm: Rsm | None


class Reply(NamedTuple):
    """What the copy says to a program's read."""

    texts: list[str]
    rsm: Rsm | None
    made_of: Provenance


def _asks_whether_held(copy: Copy, request: ItemsRequest, ways: Ways) -> bool:
    return bool(request.item_ids) and ways.missing_id is not Way.SKIPPED and copy.record.complete


def _shows_ends(copy: Copy, request: ItemsRequest, ways: Ways) -> bool:
    return request.max_items is not None and ways.limited_set in SHOWS_SET and copy.record.complete


def _are_all(request: ItemsRequest, held: Collection[str]) -> bool:
    return len(held) == len(set(request.item_ids))


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

    @property
    def reads_at_once(self) -> bool:
        """Whether the copy is read within a call."""
        return self.context.database.instant is not None

    def decide(
        self,
        request: ItemsRequest,
        policy: Policy | None = None,
        max_age: float | None = None,
        looked: Looked | None = None,
    ) -> Decision:
        """`policy` and `max_age` default to those of the node's analyser. Where rows decide, and are neither at hand
        nor `looked` at, the best is hoped of them: so what is to be served then, `look` must bear out first."""
        copy = self.context.copies.find(request.key)
        if copy is None:
            return decide(request, None, Ways(), policy or Policy.ASK_WHEN_STALE, max_age)
        if copy.followed:
            self.housekeeping.was_read(copy)
        asked_for_part = policy is Policy.ONLY_COPY  # by the read itself: no analyser has programs served with parts
        if policy is None and max_age is None and (analyser := self.context.analysers.find(copy.record.analyser)):
            policy, max_age = analyser.policy, analyser.max_age
        ways = self._ways_with(copy)
        where = copy.situation(
            self._hears(request.key),
            self.context.clock(),
            item_ids=request.item_ids,
            holds_all=self._holds_all(copy, request, ways, looked),
            knows_cursors=self._knows_cursors(copy, request, ways, looked),
        )
        return decide(request, where, ways, policy or Policy.ASK_WHEN_STALE, max_age, part=asked_for_part)

    def _ways_with(self, copy: Copy) -> Ways:
        ways = self.context.ways(copy.key.service)
        if not copy.skips_missing and ways.missing_id is Way.SKIPPED:
            # Learnt of another node, perhaps: some services skip a missing id, and refuse it to the node's owners.
            return dataclasses.replace(ways, missing_id=Way.UNKNOWN)
        return ways

    def _holds_all(self, copy: Copy, request: ItemsRequest, ways: Ways, looked: Looked | None) -> bool:
        """Looked up only where it matters: where the service's way with a missing id cannot be foreseen."""
        if not _asks_whether_held(copy, request, ways):
            return False
        if looked is not None:
            return looked.holds_all
        instant = self.context.database.instant
        if instant is None:
            return True
        try:
            return _are_all(request, instant.read_now(items.which, copy.record.id, request.item_ids))
        except DatabaseError:
            return False  # whoever reads the items is told

    def _knows_cursors(self, copy: Copy, request: ItemsRequest, ways: Ways, looked: Looked | None) -> bool:
        if request.max_items is None or not _shows_ends(copy, request, ways):
            return False
        copy.cursors.note_limit(request.max_items)
        if looked is not None:
            known = looked.rsm is not None
        elif self.reads_at_once:
            known = self.find_set(request) is not None
        else:
            known = copy.record.item_count == 0 or bool(copy.cursors.known)
        if not known and not copy.cursors.lacking:
            copy.cursors.lacking = True
            self.synchroniser.want(copy)
        return known

    async def look(self, request: ItemsRequest) -> Looked | None:
        """At the rows by which a decision was put off; None where there are none."""
        copy = self.context.copies.find(request.key)
        if copy is None or self.reads_at_once:
            return None
        ways = self._ways_with(copy)
        try:
            if _asks_whether_held(copy, request, ways):
                held = await self.context.database.read(items.which, copy.record.id, request.item_ids)
                return Looked(_are_all(request, held), None)
            if _shows_ends(copy, request, ways):
                return Looked(False, await self._read_set(copy, request))
        except DatabaseError:
            return Looked(False, None)
        return None

    def find_set(self, request: ItemsRequest) -> Rsm | None:
        """The `<set/>` that the service would send along with what `max_items` brings; None where it sends none, or
        one that is not known. For where reads are at once."""
        copy = self.context.copies.find(request.key)
        if copy is None or request.max_items is None or not self._sends_set(request):
            return None
        instant, count = self.context.database.instant, copy.record.item_count
        assert instant is not None
        try:
            ends = instant.read_now(items.ids_at, copy.record.id, cursors.ends_of(count, request.max_items), count)
        except DatabaseError:
            return None  # whoever reads the items is told
        return cursors.find_set(self.context, copy, request, count, ends)

    async def _read_set(self, copy: Copy, request: ItemsRequest) -> Rsm | None:
        """As `find_set`, on any database."""
        if self.reads_at_once:
            return self.find_set(request)
        if request.max_items is None or not self._sends_set(request):
            return None
        count = copy.record.item_count
        at = cursors.ends_of(count, request.max_items)
        ends = await self.context.database.read(items.ids_at, copy.record.id, at, count)
        return cursors.find_set(self.context, copy, request, count, ends)

    def _sends_set(self, request: ItemsRequest) -> bool:
        return request.max_items is not None and self.context.ways(request.key.service).limited_set in SHOWS_SET

    def read_xml(self, request: ItemsRequest, take: Take) -> list[str]:
        """For where reads are at once."""
        copy, instant = self.context.copies.find(request.key), self.context.database.instant
        assert copy is not None
        assert instant is not None
        return instant.read_now(answers.take_xml, copy.record.id, request, take)

    async def find_reply(self, request: ItemsRequest, serve: Serve) -> Reply | None:
        """What the copy says, on any database; None where it cannot answer after all. Raises DatabaseError."""
        looked = None if serve.stale else await self.look(request)
        if looked is not None:
            decision = self.decide(request, looked=looked)
            if not isinstance(decision, Serve):
                return None
            serve = decision
        copy = self.context.copies.find(request.key)
        if copy is None or not copy.record.complete:
            return None
        # Before the rows: they may be newer than what is said of them, never older.
        made_of = self.vouch(request, serve)
        database, rsm = self.context.database, None
        if (limit := request.max_items) is not None and self._sends_set(request):
            rows = await database.scan(
                answers.take_rows, copy.record.id, request, serve.take, lambda count: cursors.ends_of(count, limit)
            )
            texts = rows.texts
            rsm = cursors.find_set(self.context, copy, request, rows.of, rows.ends)
            if rsm is None and not serve.stale:
                return None
        elif len(request.item_ids) > CHUNK:
            texts = await database.scan(answers.take_xml, copy.record.id, request, serve.take)
        else:
            texts = await database.read(answers.take_xml, copy.record.id, request, serve.take)
        if copy.dropped or not copy.record.complete:
            return None
        return Reply(texts, rsm, made_of)

    async def answer(self, request: ItemsRequest, serve: Serve) -> Answer | None:
        """None where the copy was closed while it was read: what was read may be the half of it."""
        copy = self.context.copies.find(request.key)
        if copy is None or copy.is_closed():
            return None
        made_of = self.vouch(request, serve)
        found = await self.context.database.scan(answers.take_items, copy.record.id, request, serve.take)
        rsm = await self._read_set(copy, request)
        if copy.is_closed():
            return None
        return Answer(
            items=found,
            rsm=rsm,
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
        if copy is not None and answered is not None and copy.record.state is not SyncState.LIVE:
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
