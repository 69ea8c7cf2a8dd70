"""The program's own writes: read by it at once when the service has them, and never when it has not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from newsstand.errors import StanzaError
from newsstand.model import Deleted, Notification, Retracted, SyncState, WriteKind, WriteRequest
from newsstand.rules.doubts import NOT_TOLD, OWN_WRITE, RELIST, refetch
from newsstand.state import doubts
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.sync import subscriptions
from newsstand.sync.follower import Follower
from newsstand.sync.synchroniser import Synchroniser
from newsstand.workers.assignment import Assignment
from newsstand.workers.storing import Storing
from newsstand.xmpp import answers, senders


@dataclass(slots=True)
class Write:
    """A write of the program's own that is under way."""

    copy: Copy
    request: WriteRequest
    received: int
    """How much of the node had been received when it was sent."""
    session: int


class Writes:
    """Keeps track of the program's writes that are under way, and draws from their answers what no
    notification said."""

    def __init__(
        self,
        context: Context,
        storing: Storing,
        assignment: Assignment,
        follower: Follower,
        synchroniser: Synchroniser,
    ) -> None:
        self._context = context
        self._storing = storing
        self._assignment = assignment
        self._follower = follower
        self._synchroniser = synchroniser

    def begin(self, request: WriteRequest, spelt: Sequence[str | None] = ()) -> Write | None:
        """One is sent now: until its end, reads of that node ask the service. None where there is no copy, or the
        account is not the stream's, unless the program writes by privilege. `spelt`: how the program spells the service
        and the account."""
        if self._context.speaks_for(request.key.account) is request.privileged:
            return None
        for jid in () if request.privileged else spelt:
            if jid is not None:
                self._context.note_spelling(jid)
        copy = self._context.copies.find(request.key)
        if copy is None or not copy.followed:
            return None
        copy.own.begin(by_privilege=request.privileged)
        copy.stale_first.contradict(())  # a copy that is not live does not take it in
        return Write(copy, request, copy.inbox.received, self._context.session_number)

    def end(self, write: Write, outcome: Element | StanzaError | None) -> None:
        """The service acknowledged it, or refused it; None where nobody knows."""
        copy = write.copy
        if write.session != self._context.session_number and not write.request.privileged:
            return  # a fresh session lists it anyway
        copy.own.end()
        if isinstance(outcome, Element) and outcome.get("from") and senders.find_objection(outcome, copy.key):
            outcome = None  # the service itself said nothing
        if isinstance(outcome, StanzaError):
            if outcome.link_broken:
                self._synchroniser.note_error(write.request.key, outcome)
            if outcome.unreachable:
                outcome = None  # it may have done it all the same
        if not isinstance(outcome, StanzaError):  # else the service did not do it
            copy.inbox.void_answers()  # what was asked for before this moment may be older than the write
            if outcome is None:
                doubts.doubt(copy, RELIST)
            else:
                self._acknowledged(write, outcome)
            # A listing or the item's own answer, each begun after this moment, brings it.
            to_be_listed = copy.doubts.relist or (copy.lease.ours and copy.record.state is not SyncState.LIVE)
            if to_be_listed or copy.doubts.refetch:
                doubts.doubt(copy, OWN_WRITE)
        copy.own.forget_notified()
        if copy.doubtful:
            self._synchroniser.want(copy)

    def _acknowledged(self, write: Write, result: Element) -> None:
        """The service did it. What it notified before its answer is how it stored it; what it did not notify is taken
        from the request, or asked for."""
        copy, request = write.copy, write.request
        match request.kind:
            case WriteKind.PUBLISH:
                self._published(write, answers.read_published_ids(result))
            case WriteKind.RETRACT:
                notified = {id_: copy.own.notified_since(write.received, id_) for id_ in request.item_ids}
                # Published by somebody meanwhile: before the retract, or after it?
                uncertain = (id_ for id_, last in notified.items() if last is not None and last.item is not None)
                doubts.doubt(copy, refetch(*uncertain))
                if unnotified := tuple(id_ for id_, last in notified.items() if last is None):
                    self._follower.receive(copy, Notification(request.key, (Retracted(unnotified),)))
            case WriteKind.DELETE:
                self._follower.receive(copy, Notification(request.key, (Deleted(),)))
            case WriteKind.UNSUBSCRIBE:
                self._left(copy)
            case _:
                doubts.doubt(copy, NOT_TOLD)  # the subscription may have ended

    def _published(self, write: Write, given_ids: Sequence[str]) -> None:
        copy, sent = write.copy, write.request.items
        ids = [item.id for item in sent]
        if not all(ids):
            ids = list(given_ids)
        if not sent or len(ids) != len(sent):
            doubts.doubt(copy, RELIST)
            return
        for item_id, item in zip(ids, sent, strict=True):
            notified = copy.own.notified_since(write.received, item_id)
            if notified is None and not copy.lease.ours and item.id == item_id:
                self._follower.await_item(copy, item_id, item)  # the worker that owns the node is notified
            elif notified is None:
                doubts.doubt(copy, RELIST)  # no notification says where it went
            elif notified.item is None or not notified.item.says_the_same(item):
                doubts.doubt(copy, refetch(item_id))  # somebody else's word on it: before ours, or after?

    def _left(self, copy: Copy) -> None:
        """The program unsubscribed by itself: it wants no notifications, so its reads ask the service."""
        subscriptions.leave(copy)
        copy.update(state=SyncState.STALE, reason="the program unsubscribed")
        self._context.spawn(self._leave(copy), "leaving a node")

    async def _leave(self, copy: Copy) -> None:
        await self._assignment.seize(copy)  # no other worker is notified of it any more, either
        await self._storing.save(copy, state=SyncState.STALE, reason="the program unsubscribed")
