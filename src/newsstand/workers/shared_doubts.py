"""The doubts that all workers of a database see: a doubt (something that must be checked before the copy may answer) is
a row, so that the worker that owns the node looks it up, whoever raised it (docs/decisions/010-several-workers.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from newsstand.errors import ConfigurationError, DatabaseError
from newsstand.model import SyncState
from newsstand.rules.behaviour import Behaviour
from newsstand.rules.doubts import NOT_TOLD, OWN_WRITE, refetch
from newsstand.state import doubts as own_doubts
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.state.listener import Listener
from newsstand.storage.statements import doubt_rows
from newsstand.storage.statements.doubt_rows import RaisedDoubt
from newsstand.workers.leases import Leases
from newsstand.workers.storing import Storing

SETTLED = 1_000
"""How many settled doubts are remembered, so that an older poll does not raise them again."""
AWAITED = 2.0
"""Seconds that the worker which owns a node may take to store a notification that we received, too."""


class SharedDoubts:
    """Raises, hands over and settles doubts in the database, for one worker."""

    def __init__(self, context: Context, leases: Leases, storing: Storing, listener: Listener) -> None:
        self._context = context
        self._leases = leases
        self._storing = storing
        self._listener = listener
        self._raised: dict[Copy, dict[RaisedDoubt, None]] = {}
        """Doubts in the database that the work on these copies settles."""
        self._settled: dict[RaisedDoubt, None] = {}
        self._handing: set[Copy] = set()
        self._raising: Counter[Copy] = Counter()
        """Those of which doubts of our own are on their way to the database."""

    # Of copies that we own -----------------------------------------------------------------------------------------

    def begin(self, copy: Copy, doubts: Iterable[RaisedDoubt]) -> None:
        """We own the node from now on; these doubts were raised before."""
        self._raised[copy] = dict.fromkeys(doubts)

    def end(self, copy: Copy) -> None:
        """We do not own the node any more."""
        self._raised.pop(copy, None)

    def keep(self, copy: Copy, doubts: Iterable[RaisedDoubt]) -> None:
        """We raised these ourselves."""
        self._raised.setdefault(copy, {}).update(dict.fromkeys(doubts))

    def has_any(self, copy: Copy) -> bool:
        """Whether the database knows of some that are still to be settled."""
        return bool(self._raised.get(copy))

    def is_unshared(self, copy: Copy) -> bool:
        """Whether others would call a copy live that is in doubt."""
        return copy.record.state is SyncState.LIVE and copy.doubtful and not self.has_any(copy)

    async def share(self, copy: Copy) -> None:
        """Store that a copy is in doubt which others would call live. Raises as `Storing.write`."""
        if self.is_unshared(copy):
            with self.raising(copy):
                whole = [doubt_rows.WHOLE]
                self.keep(copy, await self._storing.write(copy, doubt_rows.raise_doubts, copy.record.id, whole))

    @contextmanager
    def raising(self, copy: Copy) -> Iterator[None]:
        """Within this, doubts of our own are on their way to the database."""
        self._raising[copy] += 1
        try:
            yield
        finally:
            self._raising[copy] -= 1
            if not self._raising[copy]:
                del self._raising[copy]

    async def settle(self, copy: Copy) -> None:
        """What was in doubt is looked up. Raises as `Storing.write`."""
        doubts = list(self._raised.get(copy, ()))
        await self._storing.write(copy, doubt_rows.settle, doubts)
        for doubt in doubts:
            self._raised.get(copy, {}).pop(doubt, None)
            self._settled[doubt] = None
        while len(self._settled) > SETTLED:
            del self._settled[next(iter(self._settled))]

    def note(self, copy: Copy, doubt: RaisedDoubt) -> None:
        """Take in a doubt that a poll showed, of a copy of ours."""
        raised = self._raised.setdefault(copy, {})
        if doubt in raised or doubt in self._settled or copy in self._raising:
            return  # while we raise some ourselves, the next poll shows it
        raised[doubt] = None
        copy.inbox.void_answers()  # what was asked for before this moment may be older
        stays = copy.learnt.behaviour.overwritten is Behaviour.STAYS
        if doubt.item_id != doubt_rows.WHOLE and stays:
            own_doubts.doubt(copy, refetch(doubt.item_id))
        else:
            # A listing shows where an item stands of which no notification reached us. Perhaps none did because we are
            # not subscribed any more.
            own_doubts.doubt(copy, NOT_TOLD)
        self._listener.doubted(copy)

    # Of copies that others own -------------------------------------------------------------------------------------

    def is_handing_over(self, copy: Copy) -> bool:
        return copy in self._handing

    async def hand_over(self, copy: Copy) -> None:
        """Hand what is in doubt to the worker that owns the node. The copy stays in doubt until the database says so.
        Raises as `Database.write`."""
        self._handing.add(copy)
        try:
            with copy.elsewhere.handing_over():
                while copy.doubts.is_any and not copy.lease.ours:
                    handed = own_doubts.take(copy)
                    whole = handed.relist or handed.check_ids
                    wanted = [doubt_rows.WHOLE] if whole else sorted(handed.refetch)
                    try:
                        await self._context.database.write(doubt_rows.raise_doubts, copy.record.id, wanted)
                    except (DatabaseError, ConfigurationError):
                        own_doubts.doubt(copy, handed)
                        raise
                    # We may own it by now: then we settle the doubt as any other.
                    copy.elsewhere.note(doubted=not copy.lease.ours)
                    self._leases.wrote(copy)
                    own_doubts.settle(copy, OWN_WRITE)
        finally:
            self._handing.discard(copy)
