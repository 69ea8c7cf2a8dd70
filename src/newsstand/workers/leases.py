"""Which worker owns which node, as far as one worker knows: itself, another one, or none
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
    """What one worker knows of the leases of all nodes. It asks the database nothing: its callers pass what that
    says."""

    def __init__(self, context: Context, worker: str, peers: Peers, listener: Listener) -> None:
        self._context = context
        self.worker = worker
        self.peers = peers
        self._listener = listener
        self.begun = False
        """Whether this worker is at work."""
        self.ready = False
        """In this session, the database knows that we are at work, and what of ours is not live any more."""

    def owned_by_another(self, copy: Copy) -> bool:
        """Whether another worker owns the node."""
        return not copy.lease.ours and self.peers.find(copy.lease.owner) is not None

    def refresh(self, copy: Copy, standing: Standing | None, asked: int) -> None:
        """Take note of what the database says of a node that another worker may own."""
        if copy.lease.ours or copy.ahead or asked < copy.lease.asked:
            return
        if standing is None:
            self.drop(copy)
            return
        if standing.lease.leader is not None and standing.lease.leader != self.worker:
            self.peers.saw(standing.lease.leader, standing.worker)
        copy.elsewhere.note(doubted=standing.doubted)
        self.load(copy, standing.record, standing.lease, asked)

    def load(self, copy: Copy, record: NodeRecord, held: LeaseRow, asked: int) -> None:
        """Replace what we know of a copy that is not ours by what the database says."""
        before = copy.record
        read_at = max(before.read_at or 0, record.read_at or 0) or None
        copy.load(dataclasses.replace(record, read_at=read_at))
        copy.lease = Lease(held.generation, held.leader, asked=asked)
        if not self.owned_by_another(copy):
            copy.mark_stale(owners.NOT_NOTIFIED)
        if (before.revision, before.state) != (record.revision, record.state):
            copy.cursors.forget_all()
            copy.checked.forget_covered()
            copy.notify_watchers()

    def acquired(self, copy: Copy, held: LeaseRow) -> None:
        """We own the node from now on."""
        copy.lease = Lease(held.generation, self.worker, ours=True, asked=ticket())
        copy.elsewhere.forget()

    def lose(self, copy: Copy) -> None:
        """We do not own the node any more."""
        copy.lease = dataclasses.replace(copy.lease, ours=False)
        self._listener.released(copy)

    def release(self, copy: Copy) -> None:
        """We release the node: nobody owns it, also until the database says so (`released`)."""
        self.lose(copy)
        copy.lease = dataclasses.replace(copy.lease, owner=None, released=True)
        copy.mark_stale(owners.NOT_NOTIFIED)

    def released(self, copy: Copy) -> None:
        """That we released the node is stored, or could not be stored."""
        copy.lease = dataclasses.replace(copy.lease, released=False, asked=ticket())

    def wrote(self, copy: Copy) -> None:
        """What we know of the copy is what was written now."""
        copy.lease = dataclasses.replace(copy.lease, asked=ticket())

    def refused(self, copy: Copy) -> None:
        """A write was refused, because another worker acquired the node."""
        if copy.lease.ours and not copy.is_closing:
            self.lose(copy)
        self._listener.lease_lost(copy)

    def drop(self, copy: Copy) -> None:
        """The node's row is gone."""
        if copy.record.id and not copy.dropped:
            self._context.copies.drop(copy)
            self._context.copies.removed(copy.record.id)
            self.lose(copy)
