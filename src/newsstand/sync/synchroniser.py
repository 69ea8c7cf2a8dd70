"""Brings copies up to their services, and mends what notifications leave in doubt. One task a node at most."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, assert_never
from xml.etree.ElementTree import Element

from newsstand import model
from newsstand.errors import (
    DatabaseError,
    LeaseLost,
    NewsstandError,
    PepRefused,
    StanzaError,
)
from newsstand.jid import host_of
from newsstand.model import (
    ItemsRequest,
    News,
    NodeKey,
    NodeRecord,
    SyncState,
)
from newsstand.rules.doubts import CLEAR, RELIST
from newsstand.rules.reconcile import Applied, Step
from newsstand.rules.refusals import MISSING, REFUSED
from newsstand.rules.work import (
    CheckIds,
    Confirm,
    Job,
    LearnCursors,
    ListAll,
    Refetch,
    Revalidate,
    TakeStock,
    is_large,
    next_job,
)
from newsstand.state import doubts
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.state.lent_read import LentRead
from newsstand.state.listener import Listener
from newsstand.storage.statements import doubt_rows, items
from newsstand.storage.statements.doubt_rows import RaisedDoubt
from newsstand.sync import cursor_probing, listing
from newsstand.sync.answered_reads import AnsweredReads
from newsstand.sync.closed_nodes import ClosedNodes
from newsstand.sync.evictions import Evictions
from newsstand.sync.full import FullSync
from newsstand.sync.late_news import LateNews
from newsstand.sync.parsing import Parsing
from newsstand.sync.partial import PartialSync
from newsstand.sync.retrying import Retrying
from newsstand.sync.revalidation import Revalidation
from newsstand.sync.session_start import SessionStart
from newsstand.sync.subscriptions import Subscriptions
from newsstand.workers.ownership import Ownership
from newsstand.xmpp.weight import is_heavy

log = logging.getLogger(__name__)

BACKGROUND_REST = 30.0
"""Seconds that the next large node of a service waits at most, after one was listed."""


class Synchroniser:
    """Works on copies until nothing is in doubt."""

    def __init__(self, context: Context, parsing: Parsing, ownership: Ownership, listener: Listener) -> None:
        self._context = context
        self._parsing = parsing
        self._ownership = ownership
        self.subscriptions = Subscriptions(context, ownership.storing)
        self.relisting = FullSync(context, ownership.storing, self.subscriptions, self.parse, listener)
        self._evictions = Evictions(context, self.apply)
        self._partial = PartialSync(context, self.apply)
        self._answered = AnsweredReads(context, self.apply)
        self.revalidation = Revalidation(context, self._evictions, self.want)
        self._retrying = Retrying(context, ownership.storing, self.want, self.is_waited_for)
        self.closing = ClosedNodes(context, ownership, self._retrying)
        self.late_news = LateNews(context, self.apply, self._note_refused)
        self.start = SessionStart(context, self.is_waited_for, self.want_all)
        self._slots = context.new_slots(context.settings.listing_time)
        self._waiting: dict[Copy, list[model.Progress | None]] = {}
        """Those of which somebody waits until they are live, and what reports to each how far a listing has come."""
        self.lent: dict[Copy, LentRead] = {}
        """The reads of the program that are being taken for listings."""
        self._readying: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._background_from: dict[str, float] = {}
        """When the next large node of a service may be listed, by the loop's clock."""

    def want(self, copy: Copy) -> asyncio.Task[None] | None:
        """See to it that work on this copy is under way, if there is any and the stream is up. Single flight: the
        task that runs already is returned. A node that another worker follows is that one's."""
        if not copy.lease.ours:
            self._ownership.assignment.want(copy)
            return None
        if not self._may_work(copy):
            return None
        if copy.work.task is None or copy.work.task.done():
            if copy in self.lent and not self.is_waited_for(copy):
                return None
            if (
                not self.has_work(copy)
                or (self.start.is_on and self.start.holds_back(copy))
                or self._retrying.is_waiting(copy)
            ):
                return None
            self._retrying.forget(copy)
            task = self._context.spawn(self._work(copy), f"synchronising {copy.key.node}")
            copy.work = dataclasses.replace(copy.work, task=task)
        return copy.work.task

    def want_all(self) -> None:
        """See to it that all of our copies are worked on: those first that were read last."""
        for copy in sorted(self._context.copies, key=lambda copy: -(copy.record.read_at or 0)):
            if copy.lease.ours and self._context.serves(copy.key.account):
                self.want(copy)

    def lend(self, request: ItemsRequest, copy: Copy) -> LentRead | None:
        """Have this read of the program list its node, where that pays: the caller sends it when it is wanted. None:
        it is a read like any other."""
        if not self.start.lends(request, copy) or not self._is_lendable(copy):
            return None
        lent = self.lent[copy] = LentRead()
        self._context.spawn(self._take_lent(copy, lent), f"lending a read of {copy.key.node}")
        return lent

    def _is_lendable(self, copy: Copy) -> bool:
        """Whether one request to subscribe is all that is needed besides a listing."""
        quiet = not copy.own.under_way and copy.doubts == CLEAR and copy.work.task is None
        known = copy.record.access_model is not None and copy.followed and not copy.left
        # At the very start of a session the leases are those of the one before.
        leases = self._ownership.leases
        return quiet and known and not (leases.ready and leases.owned_by_another(copy))

    async def _take_lent(self, copy: Copy, lent: LentRead) -> None:
        try:
            await self._get_ready()
            if not copy.lease.ours and self._is_lendable(copy):
                await self._ownership.acquire_now(copy)
            if self._is_lendable(copy) and self._may_work(copy):
                task = self._context.spawn(self._work(copy, lent), f"synchronising {copy.key.node}")
                copy.work = dataclasses.replace(copy.work, task=task)
                await asyncio.wait({task})
        except NewsstandError as error:
            log.info("node %r of %s could not be acquired: %s", copy.key.node, copy.key.service, error)
        finally:
            del self.lent[copy]
            lent.end()
        self.want(copy)

    async def _get_ready(self) -> None:
        """Wait until our lease is stored in this session, once for all reads that wait for it. Raises DatabaseError."""
        if self._ownership.leases.ready:
            return
        if self._readying is None or self._readying.done():
            self._readying = self._context.spawn(self._ownership.heartbeat.get_ready(), "renewing the lease")
        await asyncio.shield(self._readying)

    def note_answered(self, copy: Copy) -> None:
        """The service answered a read of the program about a copy that is not live: that may be one too many."""
        if self.start.is_on and copy.record.state is SyncState.STALE:
            self.want(copy)

    async def list_anew(self, copy: Copy, progress: model.Progress | None = None) -> NodeRecord:
        """List a followed node, or have the worker do it that follows it, and wait until its copy is live. Raises what
        stopped it."""
        if self._context.connected and copy.followed:
            await self._ownership.heartbeat.get_ready()
        if copy.lease.ours:
            doubts.doubt(copy, RELIST)
        elif self._context.connected and copy.followed:
            await self._ownership.acquire_now(copy)  # it is to be listed then anyway
            if not copy.lease.ours:
                doubts.doubt(copy, RELIST)
                await self._ownership.have_settled(copy)
                if not copy.lease.ours:
                    return copy.record
        with self._waited_for(copy, progress):
            self._slots.hurry(copy)
            self._wake()
            while (work := self.want(copy)) is not None:
                await asyncio.wait({work})  # not awaited itself: it is not ours alone to cancel
                if copy.record.state is not SyncState.LIVE:
                    break
        if copy.record.state is not SyncState.LIVE:
            raise copy.work.failure or NewsstandError(f"not synchronised: {copy.record.reason}")
        return copy.record

    @contextlib.contextmanager
    def _waited_for(self, copy: Copy, progress: model.Progress | None) -> Iterator[None]:
        waiting = self._waiting.setdefault(copy, [])
        waiting.append(progress)
        try:
            yield
        finally:
            waiting.remove(progress)
            if not waiting:
                del self._waiting[copy]

    def is_waited_for(self, copy: Copy) -> bool:
        """Whether somebody waits until the copy is live: its listing does not wait for others'."""
        return copy in self._waiting

    def _may_work(self, copy: Copy) -> bool:
        context, ours = self._context, copy.lease.ours and copy.followed and not copy.left
        return ours and self._ownership.leases.ready and context.connected and context.serves(copy.key.account)

    def forget(self, copy: Copy) -> None:
        """The copy was dropped: nothing more is done about it."""
        self._retrying.forget(copy)
        if copy.work.task is not None and copy.work.task is not asyncio.current_task():
            copy.work.task.cancel()

    def _note_refused(self, key: NodeKey, error: StanzaError, missing: bool) -> None:
        self.note_error(key, error, missing=missing)

    def note_error(self, key: NodeKey, error: StanzaError, *, missing: bool = False) -> None:
        """The program was answered with an error. `missing`: it says that there is no such node; only a listing of ours
        makes that certain, and reads ask the service until then. Where it says that a link between servers broke,
        notifications that were on it are lost: what came over it is listed anew. Where the account may not read a node
        any more, nothing of it is served from this moment on."""
        copy = self._context.copies.find(key)
        if error.condition in REFUSED and copy is not None and copy.followed and self._context.serves(key.account):
            self.closing.shut(copy, f"the service says {error}", refused=True)
            self._context.spawn(self.closing.settle(copy), "closing a node")
        if missing and copy is not None and copy.record.state is SyncState.LIVE:
            doubts.doubt(copy, RELIST)
            self.want(copy)
        if not error.link_broken:
            return
        domain = key.service.rpartition("@")[2]
        for copy in self._context.copies:
            if copy.followed and copy.key.service.rpartition("@")[2] == domain:
                doubts.doubt(copy, RELIST)
                self.want(copy)

    def lost(self) -> None:
        """The stream is down: nothing is tried until it is up."""
        for lent in self.lent.values():
            lent.over()  # a read that the end cut off may never tell
        self._retrying.stop()
        self.revalidation.stop()
        self.start.stop()
        self._background_from.clear()
        # A task that rests for its node's sake would keep the next session's from beginning.
        self._wake()

    def _wake(self) -> None:
        """Tasks that rest look whether there is something to do."""
        self._woken.set()
        self._woken = asyncio.Event()

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    async def _work(self, copy: Copy, lent: LentRead | None = None) -> None:
        session, turns = self._context.session_number, self._context.session_changes
        try:
            if lent is not None:
                await self._relist(copy, lent)
            else:
                await self._work_off(copy, session)
        except LeaseLost as error:
            log.info("node %r of %s is left to another worker: %s", copy.key.node, copy.key.service, error)
        except NewsstandError as error:
            await self._failed(copy, error, session)
        except BaseException:
            # Cancelled, or broken: either way the copy must not go on as if it were right.
            if copy.followed and copy.lease.ours:
                copy.update(state=SyncState.STALE, reason="its synchronisation was interrupted")
            raise
        finally:
            copy.work = dataclasses.replace(copy.work, task=None)
            if lent is not None and copy.record.state is SyncState.SYNCING:
                copy.mark_stale("the program's read could not be taken for a listing")
        if turns != self._context.session_changes:
            self.want(copy)  # the stream came back while this task was still winding up

    async def _work_off(self, copy: Copy, session: int) -> None:
        """Do what is to be done about a copy, one thing after the other."""
        clock, peace = asyncio.get_running_loop().time, 0.0
        while session == self._context.session_number and self._may_work(copy):
            await self._ownership.doubts.share(copy)  # before any rest: others must not call it live meanwhile
            if (rest := max(peace, self._rests_until(copy)) - clock()) > 0:
                await self._rest(rest)
                continue
            if self._next_job(copy) is None:
                if not self._ownership.doubts.has_any(copy):
                    break
                await self._ownership.doubts.settle(copy)
                continue
            large = self._is_for_later(copy)
            async with self._slots.slot(host_of(copy.key.service), copy, urgent=self.is_waited_for(copy), large=large):
                if self._rests_until(copy) > clock():
                    continue  # another large one was listed meanwhile
                job = self._next_job(copy)
                if job is not None and session == self._context.session_number:
                    peace = clock() + await self._do(copy, job)

    def has_work(self, copy: Copy) -> bool:
        """Whether something of a copy of ours is to be looked into, or is and others do not know it yet."""
        return self._next_job(copy) is not None or self._ownership.doubts.has_any(copy)

    def _next_job(self, copy: Copy) -> Job | None:
        return next_job(
            copy.record.state,
            copy.doubts,
            copy.chores,
            stocked=copy.session.stocked,
            waited_for=self.is_waited_for(copy),
            large=self._is_large(copy),
        )

    async def _do(self, copy: Copy, job: Job) -> float:
        """Returns how long to leave the node in peace afterwards."""
        self._check_domain(copy)
        match job:
            case TakeStock():
                await self._take_stock(copy)
            case ListAll():
                await self._relist(copy)
            case Refetch(item_ids):
                await self._partial.refetch(copy, item_ids)
            case CheckIds():
                return await self._evictions.check_ids(copy)
            case Confirm():
                await self.subscriptions.confirm(copy)
            case Revalidate():
                return await self.revalidation.revalidate(copy)
            case LearnCursors():
                await cursor_probing.learn(self._context, copy)
            case _:
                assert_never(job)
        return 0.0

    def _is_large(self, copy: Copy) -> bool:
        record, page_size = copy.record, self._context.settings.page_size
        return is_large(complete=record.complete, count=record.item_count, page_size=page_size)

    async def _take_stock(self, copy: Copy) -> None:
        await self.subscriptions.begin(copy)
        await self._partial.take_stock(copy)

    def _is_for_later(self, copy: Copy) -> bool:
        """Large nodes that were complete once, and whose ids were looked at, are listed one at a time. Between two of
        one service there is as long a rest as the first took: meanwhile the others have their turn, and the program's
        own requests."""
        if copy.record.state is SyncState.LIVE or not copy.session.stocked:
            return False
        return not self.is_waited_for(copy) and self._is_large(copy)

    def _rests_until(self, copy: Copy) -> float:
        """Before, by the loop's clock, a copy is not listed."""
        until = copy.pace.rest_until if copy.record.state is not SyncState.LIVE or copy.doubts.relist else 0.0
        if self._is_for_later(copy):
            until = max(until, self._background_from.get(host_of(copy.key.service), 0.0))
        return until

    def _progress(self, copy: Copy) -> model.Progress | None:
        """What reports how far a listing has come: that of whoever began to wait last."""
        return next((progress for progress in reversed(self._waiting.get(copy, [])) if progress is not None), None)

    async def _relist(self, copy: Copy, lent: LentRead | None = None) -> None:
        if copy.stale_first.due:
            await self.late_news.compare(copy)  # a listing would bring what differs, and nobody be notified
            if not self._may_work(copy):
                return  # it was closed for that, say
        later = self._is_for_later(copy)
        try:
            await self.relisting.relist(copy, self._progress(copy), lent)
            if copy.record.state is SyncState.LIVE:
                copy.work = dataclasses.replace(copy.work, failure=None)
        finally:
            if later:
                rest = min(copy.pace.took, BACKGROUND_REST)
                self._background_from[host_of(copy.key.service)] = asyncio.get_running_loop().time() + rest

    def _check_domain(self, copy: Copy) -> None:
        """Raises PepRefused where its service is not to be asked about a copy that nobody waits for."""
        service = copy.key.service
        if copy.record.state is SyncState.LIVE or self.is_waited_for(copy) or service == copy.key.account:
            return
        if self._context.domains.is_closed(service, self._context.clock()):
            raise PepRefused(f"no PEP service of {host_of(service)} lets us read: several accounts' refuse it")

    async def _failed(self, copy: Copy, error: NewsstandError, session: int) -> None:
        if session != self._context.session_number:
            return
        copy.work = dataclasses.replace(copy.work, failure=error)
        log.info("node %r of %s is not synchronised: %s", copy.key.node, copy.key.service, error)
        try:
            if isinstance(error, StanzaError) and error.condition in MISSING | REFUSED:
                await self.closing.close(copy, f"the service says {error}", refused=error.condition in REFUSED)
            elif copy.followed:
                if copy.listing.pages is None:
                    copy.inbox.miss()
                await self._retrying.failed(copy, error)
            if self._ownership.doubts.has_any(copy):
                await self._ownership.doubts.settle(copy)  # it is not live: that says enough
        except (DatabaseError, LeaseLost) as trouble:
            # It stays failed in memory, and is tried again; the database keeps what it had, which at the next
            # start is stale anyway.
            log.warning("the state of node %r could not be stored: %s", copy.key.node, trouble)

    def try_again(self, copy: Copy) -> None:
        """See `Retrying.try_again`."""
        self._retrying.try_again(copy)

    def domain_answered(self, service: str) -> None:
        """A domain whose PEP services refused everything does so no more."""
        self._retrying.domain_answered(service)

    def note_news_of_failed(self, copy: Copy, news: Sequence[News]) -> None:
        """News of a node whose copy is neither live nor being listed."""
        self._retrying.note_news(copy, news)

    # What listings and doubts share ---------------------------------------------------------------------------

    def take_in(self, copy: Copy, answered: Sequence[Element], *, shows_all: bool) -> None:
        """See `AnsweredReads.take_in`."""
        self._answered.take_in(copy, answered, shows_all=shows_all)

    def compare(self, copy: Copy, answered: Sequence[Element], *, shows_all: bool) -> None:
        """The service answered a read of the program about a live copy, and nothing happened to that meanwhile: they
        must agree. `shows_all`: these are all of the node's items."""
        if len(answered) <= listing.SMALL and not is_heavy(*answered):
            work = self._compare(copy, list(answered), shows_all=shows_all)
            self._context.spawn(work, f"comparing {copy.key.node}")

    async def _compare(self, copy: Copy, answered: list[Element], *, shows_all: bool) -> None:
        try:
            await self._answered.compare(copy, answered, shows_all=shows_all)
        except DatabaseError as error:
            log.info("an answer could not be compared with the copy of %r: %s", copy.key.node, error)
        self.want(copy)

    def parse(self, copy: Copy) -> None:
        """See to it that what is stored and not parsed gets parsed."""
        self._parsing.want(copy)

    async def apply(
        self, copy: Copy, steps: Sequence[Step], is_doubtful: Callable[[Applied], bool] = lambda applied: False
    ) -> Applied:
        """Carry out steps on a copy, and see to it that what is new gets parsed. Where `is_doubtful` says so of what
        came of them, no other worker sees the one without the other."""
        node_id, now = copy.record.id, self._context.clock()

        def change(conn: Any) -> tuple[Applied, list[RaisedDoubt]]:
            applied = items.apply(conn, node_id, steps, now)
            return applied, doubt_rows.raise_doubts(conn, node_id, [doubt_rows.WHOLE]) if is_doubtful(applied) else []

        with self._ownership.doubts.raising(copy):
            applied, doubts = await self._ownership.storing.write(copy, change)
        if doubts:
            self._ownership.doubts.keep(copy, doubts)
        copy.contents_changed(applied.revision, applied.counts)
        copy.inbox.note_gone(applied.removed)
        for item_id in applied.removed:
            copy.cursors.forget(item_id)
        copy.notify_watchers()
        if applied.brought:
            self.parse(copy)
        return applied
