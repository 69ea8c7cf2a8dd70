"""Who follows which copy, as far as one worker knows: itself, another one, or nobody
(docs/decisions/010-several-workers.md)."""

from __future__ import annotations

import dataclasses

from newsstand.model import NodeRecord
from newsstand.state.context import Context
from newsstand.state.copies import Copy, ticket
from newsstand.state.lease import Lease
from newsstand.state.listener import Listener
from newsstand.storage.statements import owners
from newsstand.storage.statements.owners import LeaseRow
from newsstand.storage.statements.polls import Standing
from newsstand.workers.peers import Peers


class Leases:
    """Of one worker. Asks the database nothing: it is told what that says."""

    def __init__(self, context: Context, worker: str, peers: Peers, listener: Listener) -> None:
        self._context = context
        self.worker = worker
        self.peers = peers
        self._listener = listener
        self.begun = False
        """Whether this worker is at work."""
        self.ready = False
        """In this session, the database knows that we are at work, and what of ours is not live any more."""

    def has_leader(self, copy: Copy) -> bool:
        """Whether another worker follows the node."""
        return not copy.lease.ours and self.peers.find(copy.lease.owner) is not None

    def refresh(self, copy: Copy, standing: Standing | None, asked: int) -> None:
        """Take over how a copy that another worker may follow stands in the database."""
        if copy.lease.ours or copy.ahead or asked < copy.lease.asked:
            return
        if standing is None:
            self.drop(copy)
            return
        if standing.held.leader is not None and standing.held.leader != self.worker:
            self.peers.saw(standing.held.leader, standing.worker)
        copy.elsewhere.note(doubted=standing.doubted)
        self.take_over(copy, standing.record, standing.held, asked)

    def take_over(self, copy: Copy, record: NodeRecord, held: LeaseRow, asked: int) -> None:
        """What the database says of a copy that is not ours."""
        before = copy.record
        read_at = max(before.read_at or 0, record.read_at or 0) or None
        copy.take_over(dataclasses.replace(record, read_at=read_at))
        copy.lease = Lease(held.generation, held.leader, asked=asked)
        if not self.has_leader(copy):
            copy.age(owners.NOT_NOTIFIED)
        if (before.revision, before.state) != (record.revision, record.state):
            copy.cursors.forget_all()
            copy.checked.forget_covered()
            copy.tell()

    def hold(self, copy: Copy, held: LeaseRow) -> None:
        """It is ours to follow from now on."""
        copy.lease = Lease(held.generation, self.worker, ours=True, asked=ticket())
        copy.elsewhere.forget()

    def let_go(self, copy: Copy) -> None:
        """It is not ours to follow any more."""
        copy.lease = dataclasses.replace(copy.lease, ours=False)
        self._listener.released(copy)

    def release(self, copy: Copy) -> None:
        """It is given up: nobody's, also until the database says so (`released`)."""
        self.let_go(copy)
        copy.lease = dataclasses.replace(copy.lease, owner=None, released=True)
        copy.age(owners.NOT_NOTIFIED)

    def released(self, copy: Copy) -> None:
        """The database was told that it was given up, or could not be told."""
        copy.lease = dataclasses.replace(copy.lease, released=False, asked=ticket())

    def wrote(self, copy: Copy) -> None:
        """What is remembered of it is what was written now."""
        copy.lease = dataclasses.replace(copy.lease, asked=ticket())

    def refused(self, copy: Copy) -> None:
        """The database says that another worker acquired it."""
        if copy.lease.ours and not copy.is_closing:
            self.let_go(copy)
        self._listener.lease_lost(copy)

    def drop(self, copy: Copy) -> None:
        """Its row is gone."""
        if copy.record.id and not copy.dropped:
            self._context.copies.drop(copy)
            self._context.copies.removed(copy.record.id)
            self.let_go(copy)
