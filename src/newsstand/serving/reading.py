"""Answers a program's reads: from the copy, or from the service."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Collection, Sized
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from newsstand.errors import DatabaseError, Disconnected, ListingError, StanzaError, Timeout
from newsstand.model import (
    Answer,
    Item,
    ItemsRequest,
    Origin,
    Policy,
    Provenance,
    Rsm,
    RsmQuery,
    SyncState,
)
from newsstand.rules.behaviour import SHOWS_SET, Take, Way, Ways
from newsstand.rules.doubts import Chores
from newsstand.rules.policy import Decision, Serve, decide
from newsstand.rules.refusals import MISSING
from newsstand.state import doubts
from newsstand.state.context import Context
from newsstand.state.copies import Copy, ticket
from newsstand.storage.statements import answers, items, polls
from newsstand.storage.statements.keys import CHUNK
from newsstand.storage.statements.polls import Standing
from newsstand.sync import cursor_probing, listing
from newsstand.sync.selection import Selection
from newsstand.sync.synchroniser import Synchroniser
from newsstand.upkeep.housekeeping import Housekeeping
from newsstand.workers.heartbeat import Leading
from newsstand.xmpp import answers as protocol
from newsstand.xmpp.weight import is_heavy

LARGE = 2_000_000
"""Bytes of an answer above which the copy is not read within the call: that would block the event loop."""


class Looked(NamedTuple):
    """What rows say to a decision that was put off until they were read."""

    holds_all: bool
    rsm: Rsm | None


class Moment(NamedTuple):
    """Of a copy: two that are equal mean that nothing was heard or stored between, and that it did not change hands."""

    heard: int
    revision: int
    led: bool


class Reply(NamedTuple):
    """What the copy says to a program's read."""

    texts: list[str]
    rsm: Rsm | None
    made_of: Provenance


def _asks_whether_held(copy: Copy, request: ItemsRequest, ways: Ways) -> bool:
    return bool(request.item_ids) and ways.missing_id is not Way.SKIPPED and copy.record.complete


def _shows_ends(copy: Copy, request: ItemsRequest, ways: Ways) -> bool:
    return request.max_items is not None and ways.limited_set in SHOWS_SET and copy.record.complete


def _is_large(copy: Copy, request: ItemsRequest) -> bool:
    count, size = copy.record.item_count, copy.record.payload_bytes
    asked = len(request.item_ids) or request.max_items or count
    return min(asked, count) * size > LARGE * max(1, count)


def _are_all(request: ItemsRequest, held: Collection[str]) -> bool:
    return len(held) == len(set(request.item_ids))


class Reading:
    """Of one replica."""

    def __init__(
        self,
        context: Context,
        leading: Leading,
        synchroniser: Synchroniser,
        selection: Selection,
        housekeeping: Housekeeping,
        *,
        only_when_asked: bool,
    ) -> None:
        self._context = context
        self._leading = leading
        self._synchroniser = synchroniser
        self._selection = selection
        self._housekeeping = housekeeping
        self._only_when_asked = only_when_asked

    @property
    def reads_at_once(self) -> bool:
        """Whether the copy is read within a call."""
        return self._context.database.instant is not None

    def reads_now(self, request: ItemsRequest) -> bool:
        """Whether the copy is read within a call for this request: as far as can be foreseen, its answer is not
        large."""
        copy = self._context.copies.find(request.key)
        return self.reads_at_once and (copy is None or not _is_large(copy, request))

    def decide(
        self,
        request: ItemsRequest,
        policy: Policy | None = None,
        max_age: float | None = None,
        looked: Looked | None = None,
    ) -> Decision:
        """`policy` and `max_age` default to those of the node's analyser. Where rows decide, and are neither at hand
        nor `looked` at, the best is hoped of them: so what is to be served then, `look` must bear out first."""
        copy = self._context.copies.find(request.key)
        if copy is not None and not copy.lease.ours:
            self._look_at_once(copy)
        copy = self._context.copies.find(request.key)
        if copy is None:
            return decide(request, None, Ways(), policy or Policy.ASK_WHEN_STALE, max_age)
        if copy.followed:
            self._housekeeping.was_read(copy)
        asked_for_part = policy is Policy.ONLY_COPY  # by the read itself: no analyser has programs served with parts
        if policy is None and max_age is None and (analyser := self._context.analysers.find(copy.record.analyser)):
            policy, max_age = analyser.policy, analyser.max_age
        ways = self._ways_with(copy)
        where = copy.situation(
            self._leading.hears(copy),
            self._context.clock(),
            item_ids=request.item_ids,
            holds_all=self._holds_all(copy, request, ways, looked),
            knows_cursors=self._knows_cursors(copy, request, ways, looked),
        )
        decision = decide(request, where, ways, policy or Policy.ASK_WHEN_STALE, max_age, part=asked_for_part)
        if policy is Policy.SERVE_STALE and isinstance(decision, Serve) and decision.stale:
            self._synchroniser.try_again(copy)
        return decision

    def _look_at_once(self, copy: Copy) -> None:
        """Where another worker may follow a node, the database says how its copy stands; as far as it can be asked at
        once."""
        instant, node_id = self._context.database.instant, copy.record.id
        if instant is None:
            return
        try:
            if asked := dict(copy.elsewhere.awaited):
                copy.elsewhere.found(asked, instant.read_now(polls.contents, node_id, list(asked)))
            self._leading.holding.refresh(copy, instant.read_now(polls.standing, node_id), ticket())
        except DatabaseError:
            return  # whoever reads the items is told

    async def _look_at(self, copy: Copy) -> None:
        """The same, on any database. Raises DatabaseError."""
        node_id, asked, at = copy.record.id, dict(copy.elsewhere.awaited), ticket()

        def read(conn: Any) -> tuple[dict[str, bytes], Standing | None]:
            # In this order: doubts that came with the contents are seen.
            contents = polls.contents(conn, node_id, list(asked)) if asked else {}
            return contents, polls.standing(conn, node_id)

        contents, standing = await self._context.database.read(read)
        copy.elsewhere.found(asked, contents)
        self._leading.holding.refresh(copy, standing, at)

    def _ways_with(self, copy: Copy) -> Ways:
        ways = self._context.ways(copy.key.service)
        if not copy.session.skips_missing and ways.missing_id is Way.SKIPPED:
            # Learnt of another node, perhaps: some services skip a missing id, and refuse it to the node's owners.
            return dataclasses.replace(ways, missing_id=Way.UNKNOWN)
        return ways

    def _holds_all(self, copy: Copy, request: ItemsRequest, ways: Ways, looked: Looked | None) -> bool:
        """Looked up only where it matters: where the service's way with a missing id cannot be foreseen."""
        if not _asks_whether_held(copy, request, ways):
            return False
        if looked is not None:
            return looked.holds_all
        instant = self._context.database.instant
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
        if not known and not copy.chores.cursors:
            doubts.due(copy, Chores(cursors=True))
            self._synchroniser.want(copy)
        return known

    async def look(self, request: ItemsRequest) -> Looked | None:
        """At the rows by which a decision was put off; None where there are none."""
        copy = self._context.copies.find(request.key)
        if copy is None or self.reads_at_once:
            return None
        ways = self._ways_with(copy)
        looked = None
        try:
            if not copy.lease.ours:
                await self._look_at(copy)
                looked = Looked(False, None)
            if _asks_whether_held(copy, request, ways):
                held = await self._context.database.read(items.which, copy.record.id, request.item_ids)
                return Looked(_are_all(request, held), None)
            if _shows_ends(copy, request, ways):
                return Looked(False, await self._read_set(copy, request))
        except DatabaseError:
            return Looked(False, None)
        return looked

    def find_set(self, request: ItemsRequest) -> Rsm | None:
        """The `<set/>` that the service would send along with what `max_items` brings; None where it sends none, or
        one that is not known. For where reads are at once."""
        copy = self._context.copies.find(request.key)
        if copy is None or request.max_items is None or not self._sends_set(request):
            return None
        instant, count = self._context.database.instant, copy.record.item_count
        assert instant is not None
        try:
            ends = instant.read_now(
                items.ids_at, copy.record.id, cursor_probing.ends_of(count, request.max_items), count
            )
        except DatabaseError:
            return None  # whoever reads the items is told
        return cursor_probing.find_set(self._context, copy, request, count, ends)

    async def _read_set(self, copy: Copy, request: ItemsRequest) -> Rsm | None:
        """As `find_set`, on any database."""
        if self.reads_at_once:
            return self.find_set(request)
        if request.max_items is None or not self._sends_set(request):
            return None
        count = copy.record.item_count
        at = cursor_probing.ends_of(count, request.max_items)
        ends = await self._context.database.read(items.ids_at, copy.record.id, at, count)
        return cursor_probing.find_set(self._context, copy, request, count, ends)

    def _sends_set(self, request: ItemsRequest) -> bool:
        return request.max_items is not None and self._context.ways(request.key.service).limited_set in SHOWS_SET

    def read_xml(self, request: ItemsRequest, take: Take) -> list[str]:
        """For where reads are at once."""
        copy, instant = self._context.copies.find(request.key), self._context.database.instant
        assert copy is not None
        assert instant is not None
        texts = instant.read_now(answers.take_xml, copy.record.id, request, take)
        sure = copy.lease.ours and not self._should_hold_more(copy, texts)
        if not sure and not self._stands_so(copy, instant.read_now(polls.standing, copy.record.id)):
            raise DatabaseError("another worker changed the copy while it was read")
        return texts

    def _should_hold_more(self, copy: Copy, found: Sized) -> bool:
        """Where a copy of ours gave nothing, another worker may have dropped it."""
        return not found and copy.record.item_count > 0

    def _stands_so(self, copy: Copy, now: Standing | None) -> bool:
        """Whether the database says what a read of a copy was decided by."""
        record = copy.record
        same = now is not None and (now.held.generation, now.held.leader) == (copy.lease.generation, copy.lease.owner)
        if copy.lease.ours:
            if not same:
                self._leading.holding.refused(copy)
            return same
        return (
            same and now is not None and (now.record.revision, now.doubted) == (record.revision, copy.elsewhere.doubted)
        )

    async def _is_so_still(self, copy: Copy, before: Moment, found: Sized, serve: Serve) -> bool:
        """Whether, once rows were read, what a read was decided by holds still. `before`: see `_moment`. Raises
        DatabaseError."""
        if serve.stale:
            return True
        if self._moment(copy) != before or copy.doubtful:
            return False
        if copy.lease.ours and not self._should_hold_more(copy, found):
            return True
        return self._stands_so(copy, await self._context.database.read(polls.standing, copy.record.id))

    def _moment(self, copy: Copy) -> Moment:
        return Moment(copy.inbox.heard, copy.record.revision, copy.lease.ours)

    async def find_reply(self, request: ItemsRequest, serve: Serve) -> Reply | None:
        """What the copy says, on any database; None where it cannot answer after all. Raises DatabaseError."""
        looked = None if serve.stale else await self.look(request)
        if looked is not None:
            decision = self.decide(request, looked=looked)
            if not isinstance(decision, Serve):
                return None
            serve = decision
        copy = self._context.copies.find(request.key)
        if copy is None or not copy.record.complete:
            return None
        made_of, before = self.vouch(request, serve), self._moment(copy)
        database, rsm = self._context.database, None
        if (limit := request.max_items) is not None and self._sends_set(request):
            rows = await database.scan(
                answers.take_rows,
                copy.record.id,
                request,
                serve.take,
                lambda count: cursor_probing.ends_of(count, limit),
            )
            texts = rows.texts
            rsm = cursor_probing.find_set(self._context, copy, request, rows.of, rows.ends)
            if rsm is None and not serve.stale:
                return None
        elif len(request.item_ids) > CHUNK or _is_large(copy, request):
            texts = await database.scan(answers.take_xml, copy.record.id, request, serve.take)
        else:
            texts = await database.read(answers.take_xml, copy.record.id, request, serve.take)
        if not await self._is_so_still(copy, before, texts, serve):
            return None
        if copy.dropped or not copy.record.complete:
            return None
        return Reply(texts, rsm, made_of)

    async def answer(self, request: ItemsRequest, serve: Serve) -> Answer | None:
        """None where it is to be decided anew, because something happened to the copy while it was read."""
        copy = self._context.copies.find(request.key)
        if copy is None or copy.is_closed():
            return None
        made_of, before = self.vouch(request, serve), self._moment(copy)
        found = await self._context.database.scan(answers.take_items, copy.record.id, request, serve.take)
        rsm = await self._read_set(copy, request)
        if not await self._is_so_still(copy, before, found, serve) or copy.is_closed():
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
        copy = self._context.copies.find(request.key)
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
        if not anew and (refusal := self._context.refusals.find(request, now)) is not None:
            raise refusal.error
        moment = self.moment(request)
        try:
            if not self._context.online or not self._context.speaks_for(request.key.account):
                raise Disconnected("there is no session with the service, and no copy to stand in")
            iq = await listing.request_items(
                self._context, request.key, item_ids=request.item_ids, max_items=request.max_items, rsm=rsm
            )
        except (Timeout, Disconnected, StanzaError, ListingError) as error:
            if isinstance(error, StanzaError):
                self.note_error(request, error)
            answers_so = isinstance(error, StanzaError) and not error.unreachable
            if answers_so or instead is None or (answer := await self.answer(request, instead)) is None:
                raise
            return answer
        self.observe(request, iq, moment)
        read, limits = protocol.read_items, self._context.limits
        listed = await asyncio.to_thread(read, iq, limits) if is_heavy(iq) else read(iq, limits)
        found = [Item(request.key, s.id, s.xml, None, s.publisher, 0, 0, 0) for s in listed.items]
        whole = not request.item_ids and request.max_items is None and listed.rsm is None
        now = self._context.clock()
        return Answer(items=found, rsm=listed.rsm, origin=Origin.SERVICE, verified_at=now, complete=whole)

    def note_error(self, request: ItemsRequest, error: StanzaError, stanza: Element | None = None) -> None:
        """The service answered a read of the program with an error. What another sent in its place says nothing."""
        if stanza is not None and not protocol.is_from(stanza, request.key.service, request.key.account):
            return
        self._context.refusals.note(request, error, asyncio.get_running_loop().time(), stanza)
        whole = not request.item_ids
        self._synchroniser.note_error(request.key, error, missing=whole and error.condition in MISSING)

    def moment(self, request: ItemsRequest) -> Moment | None:
        """Taken before the service is asked: whether its answer can be compared with the copy, `observe` sees by it.
        None where there is nothing to compare it with."""
        copy = self._context.copies.find(request.key)
        if copy is None or not self._leading.hears(copy) or not copy.lease.ours or not copy.at_rest:
            return None
        return self._moment(copy)

    def observe(self, request: ItemsRequest, iq: Element, moment: Moment | None) -> None:
        """The service answered a read of the program, which asked at this moment. An answer of somebody else, or about
        another node, says nothing."""
        if protocol.find_objection(iq, request.key) is not None:
            return
        self._context.refusals.answered(request)
        self._context.heard_from(request.key)
        answered = protocol.find_items(iq)
        copy = self._context.copies.find(request.key)
        if copy is not None:
            copy.checked.answered(asyncio.get_running_loop().time())
        if copy is not None and copy.record.state is SyncState.LIVE and request.max_items is not None:
            copy.cursors.learn(protocol.read_ends(iq))
        if copy is not None and answered is not None and len(answered) < len(set(request.item_ids)):
            copy.session.note_skipped()
        if not self._context.serves(request.key.account):
            return
        if copy is not None and self._leading.holding.has_leader(copy):
            return  # what its copy holds is that worker's affair
        if copy is not None and answered is not None:
            whole = not request.item_ids and request.max_items is None and protocol.read_ends(iq).rsm is None
            if copy.record.state is not SyncState.LIVE:
                self._synchroniser.take_in(copy, list(answered), shows_all=whole)
            elif moment is not None and self.moment(request) == moment:
                self._synchroniser.compare(copy, list(answered), shows_all=whole)
        if not self._only_when_asked:
            self._selection.observe(request.key, [] if answered is None else list(answered))
