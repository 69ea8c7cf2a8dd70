"""What a program's read comes to: every choice about it, whoever asks and whichever database holds the copy.

A read goes through the states of `newsstand.serving.steps`. `begin` takes it as far as it goes at once; `go_on` does
what takes time; `fall_back` lets the copy answer for a service that does not. All choices are in methods that await
nothing: what a choice is based on is so when it is made.

No loop is without end. Rows that the node's changes overtook are read once more, then the service is asked; what is
arriving is waited for until `Read.until`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, assert_never

from newsstand.errors import DatabaseError
from newsstand.model import ItemsRequest, NodeKey, Origin, Policy, Provenance, Rsm
from newsstand.rules import cursors
from newsstand.rules.behaviour import SHOWS_SET, Behaviour, ServiceBehaviour, Take
from newsstand.rules.doubts import Chores
from newsstand.rules.policy import Decision, Fetch, Refuse, Serve, decide
from newsstand.serving.asking import Asking
from newsstand.serving.explained import explain
from newsstand.serving.read_times import ReadTimes
from newsstand.serving.steps import (
    Ask,
    Basis,
    End,
    Form,
    Join,
    Lend,
    Pending,
    Read,
    Refused,
    Repeated,
    Rows,
    Served,
    Step,
    Wait,
)
from newsstand.state import doubts
from newsstand.state.context import Context
from newsstand.state.copies import Copy, ticket
from newsstand.storage.statements import answers, polls
from newsstand.storage.statements.answers import Found
from newsstand.storage.statements.keys import CHUNK
from newsstand.storage.statements.polls import Standing
from newsstand.sync.late_news import may_serve_stale
from newsstand.sync.synchroniser import Synchroniser
from newsstand.workers.ownership import Ownership
from newsstand.workers.peers import lease_clock
from newsstand.xmpp import xmltext

log = logging.getLogger(__name__)

LARGE = 2_000_000
"""Bytes of an answer above which the copy is not read within the call: that would block the event loop."""
LENDING = 1.0
"""Seconds for which a read waits until we are subscribed to its node, or until another read has listed it."""
_UNKNOWN_BEHAVIOUR = ServiceBehaviour()


class _Looked(NamedTuple):
    """What the database says of a copy that another worker owns."""

    contents: dict[str, bytes]
    """The digests of the items of which something was received that is not in the copy yet."""
    standing: Standing | None


class Driver:
    """Decides the reads of one replica."""

    def __init__(self, context: Context, ownership: Ownership, synchroniser: Synchroniser, asking: Asking) -> None:
        self._context = context
        self._ownership = ownership
        self._synchroniser = synchroniser
        self._asking = asking
        self._loop = asyncio.get_running_loop()
        self._instant = context.database.instant
        self._read_times = ReadTimes(context)
        self._stale: set[NodeKey] = set()
        """Nodes whose copies were said to be served stale, until they are live again."""

    # What is called from outside -----------------------------------------------------------------------------------

    def read(self, request: ItemsRequest, allowed: float, spelt: Sequence[str | None] = ()) -> Step | None:
        """Begins a read as `begin` does, for an adapter's stream, which has so many seconds. None where the account
        is not the stream's, unless the program asks by privilege. `spelt`: how the program spells the service and the
        account."""
        account, context = request.key.account, self._context
        if (account == context.account or context.speaks_for(account)) is request.privileged:
            return None
        for jid in () if request.privileged else spelt:
            if jid is not None and (context.spellings or jid not in (request.key.service, account)):
                context.note_spelling(jid)
        return self.begin(Read(request, self._loop.time() + min(allowed, context.settings.patience)))

    def begin(self, read: Read) -> Step:
        """Takes the read as far as it goes at once. So it never ends in `Rows` where the database answers at once and
        they are few: what goes to the service is sent in the program's call, in the order of the calls."""
        step = self._begin(read)
        while isinstance(step, Rows) and not step.in_thread and self._instant is not None:
            step = self._rows_now(step)
        return _logged(step)

    async def go_on(self, step: Pending) -> End:
        """What the read comes to. It takes time: until `Read.until` at most, unless only the copy can answer."""
        going: Step = step
        while True:
            match going:
                case Rows():
                    going = await self._rows(going)
                case Wait():
                    going = await self._wait(going)
                case Lend():
                    going = await self._lend(going)
                case Join():
                    await going.lent.ended(self._lending(going.read))
                    going = self._look(going.read, self._find(going.read), again=True)
                case Ask() | Served() | Repeated() | Refused():
                    _logged(going)
                    return going
                case _:
                    assert_never(going)

    def fall_back(self, ask: Ask) -> Rows | Served | Ask:
        """The service does not answer. Decides anew: the copy may be live by now, or closed. Ask: it cannot answer,
        either. Until its rows are there, the service's answer is still welcome."""
        copy = self._find(ask.read)
        step = self._look(ask.read, copy, fallback=ask)
        while isinstance(step, Rows) and not step.in_thread and self._instant is not None:
            step = self._rows_now(step)
        assert isinstance(step, Rows | Served | Ask)
        return step

    def find_change(self, served: Served) -> Step | None:
        """What is to be done where this answer may not be handed over, once that has taken a while: the node may have
        been closed to the account meanwhile. None: nothing else."""
        if not served.copy.is_closed():
            return None
        return self._ask(served.read, "the node was closed meanwhile")

    # How a read begins ---------------------------------------------------------------------------------------------

    def _begin(self, read: Read, *, again: bool = False) -> Step:
        copy = self._find(read)
        if copy is not None:
            if not again and not read.request.privileged:
                reads = copy.reads
                reads.count += 1
                if reads.count == reads.next_told:
                    self._synchroniser.start.tell_reads(copy)
            times = self._read_times
            unknown = times.noted.get(copy.record.id, math.inf) != copy.record.read_at
            if unknown or time.monotonic() > times.valid_until:
                times.note(copy)
        return self._look(read, copy, again=again)

    def _look(self, read: Read, copy: Copy | None, *, again: bool = False, fallback: Ask | None = None) -> Step:
        """Decides; of a copy that another worker may follow once it is known how it stands."""
        if copy is None or copy.lease.ours or read.policy is Policy.ONLY_SERVICE:
            return self._decide(read, copy, again=again, fallback=fallback)
        return Rows(read, copy, _basis(copy), None, ticket(), again=again, fallback=fallback)

    # The choice ----------------------------------------------------------------------------------------------------

    def _decide(
        self,
        read: Read,
        copy: Copy | None,
        *,
        hopes: bool = True,
        again: bool = False,
        late: bool = False,
        fallback: Ask | None = None,
    ) -> Step:
        """What is to be done, by how the copy stands at this moment. `late`: what is arriving was waited for."""
        stale: Serve | None = None
        why = ""
        match self._judge(read, copy, hopes=hopes):
            case Refuse(reason):
                if read.form is Form.ITEMS and fallback is None:
                    return Refused(read, reason)
                why = reason  # an adapter has nothing else to give its program than the service's answer
            case Fetch(stale, why):
                pass
            case Serve(wait=True) if not late and fallback is None:
                assert copy is not None
                return Wait(read, copy, again)
            case Serve(take, wait=True):
                stale, why = Serve(take, stale=True), "what has arrived of the node is not stored yet"
            case Serve() as serve:
                assert copy is not None
                return self._rows_of(read, copy, serve, hopes=hopes, again=again, fallback=fallback)
        only_copy = read.policy is Policy.ONLY_COPY or fallback is not None or not self._can_ask(read.request)
        if stale is not None and copy is not None and only_copy:
            return self._rows_of(read, copy, stale, hopes=hopes, again=again, fallback=fallback)
        if stale is not None and copy is not None and not again and not read.request.privileged:
            if (under_way := self._synchroniser.lent.get(copy)) is not None:
                return Join(read, under_way)
            if (lent := self._synchroniser.lend(read.request, copy)) is not None:
                return Lend(read, lent)
        return self._ask(read, why, falls_back=stale is not None, fallback=fallback)

    def _judge(self, read: Read, copy: Copy | None, *, hopes: bool) -> Decision:
        """Serve, fetch or refuse."""
        request = read.request
        if copy is None:
            return decide(request, None, _UNKNOWN_BEHAVIOUR, read.policy or Policy.ASK_WHEN_STALE, read.max_age)
        policy, max_age = self._policy(read, copy)
        stale_first = policy is Policy.STALE_FIRST
        if stale_first:
            policy = Policy.SERVE_STALE if not request.privileged and self._serves_stale_first(copy) else None
        immutable = hopes and policy in (None, Policy.ASK_WHEN_STALE) and self._asks_for_immutable(read, copy)
        if immutable:
            policy = Policy.SERVE_STALE  # the rows show whether they are
        behaviour = self._behaviour(copy)
        situation = copy.situation(
            self._is_notified(copy),
            None if max_age is None else self._context.clock(),
            item_ids=request.item_ids,
            holds_all=hopes and _asks_whether_held(copy, request, behaviour),
            knows_cursors=hopes and self._may_know_cursors(copy, request, behaviour),
        )
        # No analyser has programs served with parts: only a read that says so itself.
        part = read.policy is Policy.ONLY_COPY
        decision = decide(request, situation, behaviour, policy or Policy.ASK_WHEN_STALE, max_age, part=part)
        brings_up = policy is Policy.SERVE_STALE and not (immutable or stale_first)
        if brings_up and isinstance(decision, Serve) and decision.stale:
            self._synchroniser.try_again(copy)
        return decision

    def _policy(self, read: Read, copy: Copy) -> tuple[Policy | None, float | None]:
        """The policy of a read, and the age that is allowed: its own, the settings', or its node's analyser's."""
        policy, max_age = read.policy, read.max_age
        analyser = self._context.analysers.by_name.get(copy.record.analyser)
        if policy is None and max_age is None and analyser is not None:
            settings, policy, max_age = self._context.settings, analyser.policy, analyser.max_age
            # Looked at first whether there are any: each hit comes by here.
            if settings.policy and (given := settings.policy_of(analyser.name, analyser.type)) is not None:
                policy, max_age = given, None
        return policy, max_age

    def _asks_for_immutable(self, read: Read, copy: Copy) -> bool:
        """Whether the read is of single items that may be right for ever, where it says nothing itself."""
        if not read.request.item_ids or read.policy is not None or read.max_age is not None:
            return False
        analyser = self._context.analysers.by_name.get(copy.record.analyser)
        return analyser is not None and analyser.is_immutable is not None

    def _are_immutable(self, read: Read, copy: Copy, found: Found, take: Take) -> bool:
        """Whether all that is asked for is there, and right for ever."""
        analyser = self._context.analysers.by_name.get(copy.record.analyser)
        if analyser is None or analyser.is_immutable is None or not _are_all(read.request, take, found):
            return False
        texts = (row if read.form is Form.TEXTS else row.xml for row in found.rows)
        try:
            return all(analyser.is_immutable(xmltext.parse([text])) for text in texts)
        except Exception:  # the analyser's, whoever wrote it: the read goes on
            log.exception("analyser %r could not say whether an item is immutable", analyser.name)
            return False

    def _serves_stale_first(self, copy: Copy) -> bool:
        """Whether a session has just begun, in which nothing says that the service holds something else."""
        start = self._synchroniser.start
        # Another account's copy cannot be compared: what its service says to this one is not what it holds.
        beginning = (start.is_on or start.is_deaf) and self._context.serves(copy.key.account)
        alone = copy.lease.ours or not self._ownership.leases.owned_by_another(copy)
        return beginning and alone and may_serve_stale(copy)

    def _is_stale_first(self, step: Rows, serve: Serve) -> bool:
        """Whether rows are served stale only because a session has just begun: the service could be asked."""
        if not serve.stale or step.fallback is not None or step.read.request.privileged:
            return False
        is_first = self._policy(step.read, step.copy)[0] is Policy.STALE_FIRST
        return is_first and self._can_ask(step.read.request)

    def _ask(self, read: Read, why: str, *, falls_back: bool = False, fallback: Ask | None = None) -> Step:
        """The service, unless that is being asked, or refused the same a moment ago."""
        if fallback is not None:
            return fallback
        refusal = None if read.policy is Policy.ONLY_SERVICE else self._asking.find_refusal(read.request)
        if refusal is not None and (refusal.stanza is not None or read.form is Form.ITEMS):
            return Repeated(read, refusal)
        patience = self._context.settings.patience if falls_back else None
        return Ask(read, why, patience, self._asking.basis(read.request))

    def _can_ask(self, request: ItemsRequest) -> bool:
        return self._context.online and (request.privileged or self._context.speaks_for(request.key.account))

    def _is_notified(self, copy: Copy) -> bool:
        """Whether the worker that owns the node is notified of its changes. As `Ownership.is_notified`: of a copy of
        ours, what that looks at ends the lease at once when it ends (tests/contract/test_reading.py)."""
        ownership = self._ownership
        return lease_clock() < ownership.heartbeat.valid_until if copy.lease.ours else ownership.is_notified(copy)

    def _behaviour(self, copy: Copy) -> ServiceBehaviour:
        behaviour = copy.learnt.behaviour
        if not copy.session.skips_missing and behaviour.missing_id is Behaviour.SKIPPED:
            # Learnt of another node, perhaps: some services skip a missing id, and refuse it to the node's owners.
            return dataclasses.replace(behaviour, missing_id=Behaviour.UNKNOWN)
        return behaviour

    def _may_know_cursors(self, copy: Copy, request: ItemsRequest, behaviour: ServiceBehaviour) -> bool:
        if not _shows_ends(copy, request, behaviour):
            return False
        assert request.max_items is not None
        copy.cursors.note_limit(request.max_items)
        if copy.record.item_count == 0 or copy.cursors.known:
            return True
        self._learn_cursors(copy)
        return False

    def _learn_cursors(self, copy: Copy) -> None:
        if not copy.chores.cursors:
            doubts.due(copy, Chores(cursors=True))
            self._synchroniser.want(copy)

    # Rows ----------------------------------------------------------------------------------------------------------

    def _rows_of(
        self, read: Read, copy: Copy, serve: Serve, *, hopes: bool, again: bool, fallback: Ask | None = None
    ) -> Rows:
        request = read.request
        in_thread = read.form is Form.ITEMS or len(request.item_ids) > CHUNK or _is_large(copy, request)
        return Rows(read, copy, _basis(copy), serve, 0, hopes, again, fallback, in_thread)

    def _rows_now(self, step: Rows) -> Step:
        instant = self._instant
        assert instant is not None
        try:
            if step.serve is None:
                return self._after_look(
                    step, instant.read_now(_look, step.copy.record.id, list(step.copy.elsewhere.awaited))
                )
            return self._after_rows(step, step.serve, instant.read_now(answers.find, *self._wanted(step, step.serve)))
        except DatabaseError as error:
            return self._unreadable(step, error)

    async def _rows(self, step: Rows) -> Step:
        database = self._context.database
        limit = asyncio.timeout_at(step.read.until if self._has_limit(step) else None)
        try:
            async with limit:
                if step.serve is None:
                    asked = dict(step.copy.elsewhere.awaited)
                    looked = await database.read(_look, step.copy.record.id, list(asked))
                    return self._after_look(step, looked, asked)
                wanted = self._wanted(step, step.serve)
                # The items and their `<set/>` are to be of one moment.
                run = database.scan if step.in_thread or wanted.with_ends else database.read
                return self._after_rows(step, step.serve, await run(answers.find, *wanted))
        except DatabaseError as error:
            return self._unreadable(step, error)
        except TimeoutError:
            if not limit.expired():
                raise
            log.warning("the copy could not be read: it took too long")
            return self._ask(step.read, "the copy could not be read in time", fallback=step.fallback)

    def _has_limit(self, step: Rows) -> bool:
        """Whether there is somebody else to ask."""
        only_copy = step.read.policy is Policy.ONLY_COPY
        return step.fallback is None and not only_copy and self._can_ask(step.read.request)

    def _wanted(self, step: Rows, serve: Serve) -> answers.Wanted:
        copy, request = step.copy, step.read.request
        return answers.Wanted(
            copy.record.id,
            request,
            serve.take,
            whole=step.read.form is Form.ITEMS,
            with_ends=step.hopes and _shows_ends(copy, request, self._behaviour(copy)),
            with_standing=not serve.stale and not copy.lease.ours,
            # Where a copy of ours gives nothing, another worker may have dropped it.
            expected=0 if serve.stale else copy.record.item_count,
        )

    def _unreadable(self, step: Rows, error: DatabaseError) -> Step:
        if step.read.policy is Policy.ONLY_COPY:
            raise error
        log.warning("the copy could not be read: %s", error)
        return self._ask(step.read, "the copy cannot be read", fallback=step.fallback)

    def _after_look(self, step: Rows, looked: _Looked, asked: dict[str, Any] | None = None) -> Step:
        """What follows once it is known how another worker's copy stands."""
        copy = step.copy
        copy.elsewhere.found(dict(copy.elsewhere.awaited) if asked is None else asked, looked.contents)
        self._ownership.leases.refresh(copy, looked.standing, step.asked)
        now = self._context.copies.by_key.get(copy.key)
        return self._decide(step.read, now, again=step.again, fallback=step.fallback)

    def _after_rows(self, step: Rows, serve: Serve, found: Found) -> Step:
        """The rows are there: whether they bear out what was decided."""
        read, copy, request = step.read, step.copy, step.read.request
        unsure = not serve.stale and not self._is_so_still(step, found)
        if copy.is_closed() or (not copy.record.complete and read.policy is not Policy.ONLY_COPY):
            if not step.again:
                return self._changed(step)
            return Refused(read, "the copy was closed") if read.policy is Policy.ONLY_COPY else self._overtaken(step)
        if unsure and not step.again:
            return self._changed(step)
        if unsure and read.policy is not Policy.ONLY_COPY and step.fallback is None:
            return self._overtaken(step, falls_back=True)
        immutable = serve.stale and self._asks_for_immutable(read, copy)
        if immutable and not self._are_immutable(read, copy, found, serve.take):
            if step.hopes:
                return self._decide(read, copy, hopes=False, again=step.again, fallback=step.fallback)
            immutable = False
        rsm = None
        if step.hopes:
            behaviour = self._behaviour(copy)
            if _shows_ends(copy, request, behaviour):
                rsm = cursors.find_set(copy.cursors.known, found.ends, behaviour, request, found.of)
                if rsm is None:
                    self._learn_cursors(copy)
            lacks_items = _asks_whether_held(copy, request, behaviour) and not _are_all(request, serve.take, found)
            if lacks_items or (rsm is None and _shows_ends(copy, request, behaviour)):
                return self._decide(read, copy, hopes=False, again=step.again, fallback=step.fallback)
        if not immutable and self._is_stale_first(step, serve):
            if not self._serves_stale_first(copy):  # the program may know better already
                return self._overtaken(step, falls_back=True) if step.again else self._changed(step)
            self._synchroniser.late_news.served(copy)
        made_of = Provenance(
            origin=Origin.COPY,
            verified_at=copy.verified_at(request.item_ids),
            complete=copy.record.complete and not copy.record.quarantined,
            stale=(serve.stale and not immutable) or unsure,
            revision=copy.record.revision,
        )
        return self._served(read, copy, found, rsm, made_of)

    def _served(self, read: Read, copy: Copy, found: Found, rsm: Rsm | None, made_of: Provenance) -> Served:
        if made_of.stale:
            if copy.key not in self._stale:
                self._stale.add(copy.key)
                why = copy.record.reason or copy.record.state.value
                log.info("node %r of %s is served stale: %s", copy.key.node, copy.key.service, why)
        elif self._stale:
            self._stale.discard(copy.key)
        named = read.request.key.service != read.request.key.account
        return Served(
            read, copy, found.rows, rsm, made_of, named or self._behaviour(copy).own_from is not Behaviour.LEFT_OUT
        )

    def _is_so_still(self, step: Rows, found: Found) -> bool:
        """Whether what the read was decided by holds still, now that its rows are there."""
        copy = step.copy
        if _basis(copy) != step.basis or copy.doubtful:
            return False
        if copy.lease.ours and (found.rows or not copy.record.item_count):
            return True
        return self._stands_so(copy, found.standing)

    def _stands_so(self, copy: Copy, now: Standing | None) -> bool:
        """Whether the database says of a copy what is known of it."""
        record = copy.record
        same = now is not None and (now.lease.generation, now.lease.leader) == (copy.lease.generation, copy.lease.owner)
        if copy.lease.ours:
            if not same:
                self._ownership.leases.refused(copy)
            return same
        return (
            same and now is not None and (now.record.revision, now.doubted) == (record.revision, copy.elsewhere.doubted)
        )

    def _changed(self, step: Rows) -> Step:
        """The node changed while its rows were read: once more, from the beginning."""
        if step.fallback is None:
            return self._begin(step.read, again=True)
        copy = self._find(step.read)
        return self._look(step.read, copy, again=True, fallback=step.fallback)

    def _overtaken(self, step: Rows, *, falls_back: bool = False) -> Step:
        why = "the node changed each time that its copy was read"
        return self._ask(step.read, why, falls_back=falls_back, fallback=step.fallback)

    async def _lend(self, step: Lend) -> Step:
        """The read is sent once we are subscribed; it does not wait for that for long."""
        try:
            wanted = await step.lent.is_wanted(self._lending(step.read))
        except asyncio.CancelledError:
            step.lent.over()
            raise
        going = self._look(step.read, self._find(step.read), again=True)
        if wanted and isinstance(going, Ask):
            return dataclasses.replace(going, lent=step.lent)
        step.lent.over()
        return going

    def _lending(self, read: Read) -> float:
        """Seconds for which the read waits for a listing, which may be over by then."""
        return max(0.0, min(LENDING, read.until - self._loop.time()))

    def _find(self, read: Read) -> Copy | None:
        return self._context.copies.by_key.get(read.request.key)

    async def _wait(self, step: Wait) -> Step:
        limit = asyncio.timeout_at(step.read.until)
        try:
            async with limit:
                await step.copy.inbox.quiet()
        except TimeoutError:
            if not limit.expired():
                raise
        now = self._find(step.read)
        if limit.expired():
            return self._decide(step.read, now, again=step.again, late=True)
        return self._look(step.read, now, again=step.again)


def _logged(step: Step) -> Step:
    if log.isEnabledFor(logging.DEBUG) and (line := explain(step)) is not None:
        log.debug("%s", line)
    return step


def _look(conn: Any, node_id: int, awaited: Sequence[str]) -> _Looked:
    # In this order: doubts that came with the contents are seen.
    contents = polls.contents(conn, node_id, awaited) if awaited else {}
    return _Looked(contents, polls.standing(conn, node_id))


def _basis(copy: Copy) -> Basis:
    return Basis(copy.inbox.received, copy.record.revision, copy.lease.ours)


def _asks_whether_held(copy: Copy, request: ItemsRequest, behaviour: ServiceBehaviour) -> bool:
    """Whether it matters if all that is asked for is there: how the service would answer otherwise is not known."""
    return bool(request.item_ids) and behaviour.missing_id is not Behaviour.SKIPPED and copy.record.complete


def _shows_ends(copy: Copy, request: ItemsRequest, behaviour: ServiceBehaviour) -> bool:
    """Whether the service's answer would name cursors that nobody asked for."""
    return request.max_items is not None and behaviour.limited_set in SHOWS_SET and copy.record.complete


def _is_large(copy: Copy, request: ItemsRequest) -> bool:
    count, size = copy.record.item_count, copy.record.payload_bytes
    asked = len(request.item_ids) or request.max_items or count
    return min(asked, count) * size > LARGE * max(1, count)


def _are_all(request: ItemsRequest, take: Take, found: Found) -> bool:
    wanted = request.item_ids if take is Take.IDS_EACH_TIME else set(request.item_ids)
    return len(found.rows) == len(wanted)
