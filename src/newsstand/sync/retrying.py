"""When a node whose synchronisation failed is tried again: after a pause, or when something changed
(docs/decisions/015-fair-shares.md)."""

from __future__ import annotations

import asyncio
import logging
import math
import weakref
from collections.abc import Callable, Sequence

from newsstand.errors import DatabaseError, Disconnected, LeaseLost, NewsstandError, NodeTooLarge, PepRefused
from newsstand.model import News, Published, Retracted, SyncState
from newsstand.rules.lasting import fingerprint, is_waiting, may_heal, pause_after, waits_for_change
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.workers.storing import Storing

log = logging.getLogger(__name__)

BUSY = 1.0
"""Seconds until it is checked again where a node that is due is being worked on."""


class Retrying:
    """Keeps the failed copies of one replica, and has each tried again when its pause is over. `want` has a copy worked
    on; `is_waited_for` says whether somebody waits until it is live."""

    def __init__(
        self,
        context: Context,
        storing: Storing,
        want: Callable[[Copy], object],
        is_waited_for: Callable[[Copy], bool],
    ) -> None:
        self._context = context
        self._storing = storing
        self._want = want
        self._is_waited_for = is_waited_for
        self._failed_at: weakref.WeakKeyDictionary[Copy, float] = weakref.WeakKeyDictionary()
        """By the loop's clock, when a copy's synchronisation failed last."""
        self._timers: dict[Copy, asyncio.TimerHandle] = {}
        self._surplus: weakref.WeakKeyDictionary[Copy, int] = weakref.WeakKeyDictionary()
        """How many items must go until a node that was too large is so no more, where that is known."""
        self._of_node = fingerprint(context.settings)
        self._of_domain = fingerprint(context.settings, about="domain")

    # Failures ------------------------------------------------------------------------------------------------------

    async def failed(self, copy: Copy, error: NewsstandError) -> None:
        """The work on a followed copy ended with this error. Raises as `Storing.save`."""
        context = self._context
        lost = isinstance(error, Disconnected)
        lasting = waits_for_change(error, copy.record.state)
        attempts = copy.record.attempts + (not lost)
        pause = pause_after(error, attempts, context.settings, lasting=lasting) * context.random.uniform(0.75, 1.25)
        self._failed_at[copy] = asyncio.get_running_loop().time()
        self._surplus.pop(copy, None)
        if isinstance(error, NodeTooLarge) and error.setting == "max_items" and error.found is not None:
            self._surplus[copy] = error.found - error.limit
        failed_by = self._of_domain if isinstance(error, PepRefused) else self._of_node
        try:
            await self._storing.save(
                copy,
                state=SyncState.STALE if lost else SyncState.FAILED,
                reason=str(error),
                attempts=attempts,
                retry_at=context.clock() + int(pause * 1e6),
                failed_by=failed_by if lasting else None,
            )
        finally:
            # Behind the save, which may take long: a retry that fell due before this task ended would be lost.
            if not lasting or copy.record.failed_by is not None:  # else it changed meanwhile, and is tried earlier
                self._try_in(copy, pause)
        self.note_news(copy, copy.inbox.take_missed())

    def is_waiting(self, copy: Copy) -> bool:
        """Whether a copy's last failure waits for a change, and nobody for the copy. It is tried again in time."""
        record = copy.record
        if record.failed_by is None or self._is_waited_for(copy):
            return False
        now = self._context.clock()
        waits = is_waiting(record, self._of_node, now)
        if is_waiting(record, self._of_domain, now):
            waits = self._context.domains.remember(copy.key.service, record.retry_at or now)
        if not waits:
            return False
        if copy not in self._timers:
            self._try_in(copy, min(((record.retry_at or now) - now) / 1e6, self._context.settings.retry_lasting))
        return True

    # Changes -------------------------------------------------------------------------------------------------------

    def note_news(self, copy: Copy, news: Sequence[News]) -> None:
        """News of a node whose copy failed: they may have done away with the reason."""
        if copy.record.state is not SyncState.FAILED or copy.record.failed_by is None or not may_heal(news):
            return
        if copy in self._surplus and all(isinstance(what, Retracted | Published) for what in news):
            self._surplus[copy] -= sum(len(what.item_ids) for what in news if isinstance(what, Retracted))
            if self._surplus[copy] > 0:
                return
        self._change(copy)

    def domain_answered(self, service: str) -> None:
        """A domain whose PEP services refused everything does so no more."""
        for copy in self._context.copies:
            waits = (
                copy.lease.ours and copy.record.state is SyncState.FAILED and copy.record.failed_by == self._of_domain
            )
            if waits and self._context.domains.are_of_one(copy.key.service, service):
                self._change(copy)

    def _change(self, copy: Copy) -> None:
        """Something changed: what failed is tried again as after any failure, not more often."""
        self._surplus.pop(copy, None)
        copy.update(failed_by=None)
        pause = pause_after(NewsstandError(), copy.record.attempts, self._context.settings)
        since = asyncio.get_running_loop().time() - self._failed_at.get(copy, -math.inf)
        self._try_in(copy, max(0.0, pause - since))
        self._context.spawn(self._remember(copy), f"noting a change of {copy.key.node}")

    async def _remember(self, copy: Copy) -> None:
        try:
            await self._storing.save(copy)
        except (DatabaseError, LeaseLost) as error:
            log.info("that node %r changed could not be stored: %s", copy.key.node, error)

    def try_again(self, copy: Copy) -> None:
        """A program is content with a copy that failed, so nothing of its own asks the service: which may be well again
        long before the next attempt is due."""
        rested = (
            asyncio.get_running_loop().time() - self._failed_at.get(copy, -math.inf)
            >= self._context.settings.retry_first
        )
        if copy.record.state is SyncState.FAILED and rested:
            self._want(copy)

    # Time ----------------------------------------------------------------------------------------------------------

    def _try_in(self, copy: Copy, seconds: float) -> None:
        self.forget(copy)
        self._timers[copy] = asyncio.get_running_loop().call_later(seconds, self._try, copy)

    def _try(self, copy: Copy) -> None:
        del self._timers[copy]
        if copy.work.task is not None:
            self._try_in(copy, BUSY)
        else:
            self._want(copy)

    def forget(self, copy: Copy) -> None:
        """It is not tried again by itself."""
        if (timer := self._timers.pop(copy, None)) is not None:
            timer.cancel()

    def stop(self) -> None:
        """Nothing is tried: until the stream is up."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
