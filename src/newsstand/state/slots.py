"""Slots for work that asks services, shared as `newsstand.rules.fairness` says (docs/decisions/015-fair-shares.md).

A task has a slot within `Slots.slot`. A request that it makes within `asking` lends the slot to others while its answer
takes long; when the answer is there, the task waits until it has a slot again, and goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

from newsstand.errors import Disconnected, TooSlow
from newsstand.rules.fairness import Claim, Shares, Standing

SLICE = 10.0
"""Seconds after which work that others wait for makes room for them between two requests, and waits for its next
turn."""
BEGUN = 5
"""So many times as much work as there are slots may be begun. Such work holds memory."""


class Slots:
    """Slots for work that asks services. There are `slots` in all; for one service `of_service` at most, and always one
    fewer than all, where there are several. An answer that takes longer than `slow_after` seconds lends the slot of
    whoever waits for it. Work ends with TooSlow when its service has taken `longest` seconds over answers, and with
    Disconnected when `era`, which counts the sessions of the stream, is another one than when it began. `Shares` says
    what `is_silent` is for."""

    def __init__(
        self,
        slots: int,
        of_service: int,
        *,
        slow_after: float,
        longest: float = math.inf,
        era: Callable[[], int] = lambda: 0,
        is_silent: Callable[[str], bool] = lambda service: False,
    ) -> None:
        self.slow_after = slow_after
        self.longest = longest
        self.era = era
        self.shares = Shares(slots, min(of_service, max(1, slots - 1)), slots * BEGUN, is_silent)
        self._work: dict[Claim, Work] = {}
        self._claims: dict[object, Claim] = {}

    @contextlib.asynccontextmanager
    async def slot(
        self, service: str, of: object = None, *, urgent: bool = False, large: bool = False
    ) -> AsyncIterator[None]:
        """Wait for a slot of this service's share, and have it within this. `of` names the work for `hurry`; `urgent`
        and `large`: see `Claim`. A task that has a slot already needs no other one."""
        if _working.get() is not None:
            yield
            return
        claim = Claim(service, urgent=urgent, large=large)
        work = self._work[claim] = Work(self, claim)
        if of is not None:
            self._claims[of] = claim
        try:
            await work.begin()
            before = _working.set(work)
            try:
                yield
            finally:
                _working.reset(before)
        finally:
            work.end()
            del self._work[claim]
            if self._claims.get(of) is claim:
                del self._claims[of]
            self.serve()

    def hurry(self, of: object) -> None:
        """Somebody waits for this work now."""
        if (claim := self._claims.get(of)) is not None:
            self.shares.hurry(claim)

    def serve(self) -> None:
        """Give away the slots that are free."""
        while (claim := self.shares.grant_next()) is not None:
            self._work[claim].granted()
        if (stuck := self.shares.find_stuck()) is not None:
            self._work[stuck].give_up()


class Work:
    """The work of one task that needs a slot. It may have several requests under way together."""

    def __init__(self, slots: Slots, claim: Claim) -> None:
        self._slots = slots
        self._claim = claim
        self._loop = asyncio.get_running_loop()
        self._era = 0
        self._grant: asyncio.Future[None] | None = None
        """A future that is done when the work is given the slot that it waits for."""
        self._granted_at = 0.0
        self._requests = 0
        self._requests_since = 0.0
        """Since when at least one request was under way, by the loop's clock."""
        self._limits: set[asyncio.Timeout] = set()
        """The time limits of the requests under way, one for each."""
        self._lender: asyncio.TimerHandle | None = None
        self._answers_took = 0.0
        self.waited = 0.0
        """Seconds that it waited for a slot, but for its first one."""

    async def begin(self) -> None:
        """Wait for its first slot."""
        await self._get_slot()
        self._era = self._slots.era()

    async def _go_on(self) -> None:
        """Have a slot: the one that it has, unless it has had it for long and others wait."""
        now = self._loop.time()
        has_one = self._claim.standing is Standing.HOLDING
        if has_one and (now < self._granted_at + SLICE or not self._slots.shares.is_wanted()):
            return
        if has_one:
            self._ask_for_slot()
        await self._get_slot()
        self.waited += self._loop.time() - now

    async def _get_slot(self) -> None:
        while self._claim.standing is not Standing.HOLDING:
            if self._grant is None:
                self._ask_for_slot()
            if (grant := self._grant) is not None:
                await asyncio.shield(grant)  # another request of the same work may wait for it, too

    def _ask_for_slot(self) -> None:
        self._grant = self._loop.create_future()
        self._slots.shares.wait(self._claim)
        self._slots.serve()

    def granted(self) -> None:
        """Take the slot that it was given."""
        self._granted_at = self._loop.time()
        if self._requests:
            self._lend_later()
        if self._grant is not None:
            self._grant.set_result(None)
            self._grant = None

    @contextlib.asynccontextmanager
    async def asks(self) -> AsyncIterator[None]:
        """Within this a request is made, and its answer awaited."""
        await self._go_on()
        if self._era != self._slots.era():
            raise Disconnected("the session in which this was begun is over")
        if self._answers_took > self._slots.longest:
            raise TooSlow("the service takes too long over its answers", self._answers_took)
        self._request_begins()
        limit = asyncio.timeout(None)
        self._limits.add(limit)
        try:
            async with limit:
                yield
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise TooSlow("the service had not answered when others were to be served", self._took()) from error
        finally:
            self._limits.discard(limit)
            self._request_ends()
        await self._go_on()

    def _request_begins(self) -> None:
        self._requests += 1
        if self._requests == 1:
            self._requests_since = self._loop.time()
            self._lend_later()

    def _request_ends(self) -> None:
        self._requests -= 1
        if not self._requests:
            self._answers_took = self._took()
            self._stop_lender()

    def _took(self) -> float:
        """Seconds that the service took over answers, this moment's among them."""
        return self._answers_took + self._loop.time() - self._requests_since

    def _lend_later(self) -> None:
        self._stop_lender()
        self._lender = self._loop.call_later(self._slots.slow_after, self._lend)

    def _stop_lender(self) -> None:
        if self._lender is not None:
            self._lender.cancel()
            self._lender = None

    def _lend(self) -> None:
        self._lender = None
        self._slots.shares.lend(self._claim)
        self._slots.serve()

    def give_up(self) -> None:
        """End its requests with TooSlow."""
        for limit in self._limits:
            limit.reschedule(self._loop.time())

    def end(self) -> None:
        """Give its slot back: it needs none any more."""
        self._stop_lender()
        self._slots.shares.end(self._claim)
        if self._grant is not None:
            self._grant.cancel()
            self._grant = None


_working: contextvars.ContextVar[Work | None] = contextvars.ContextVar("newsstand_work", default=None)
"""The work of the task that is running, while it has a slot or lends one."""


def asking() -> AbstractAsyncContextManager[None]:
    """Within this the running task asks a service: see `Work.asks`. What is no such work asks at once."""
    work = _working.get()
    return contextlib.nullcontext() if work is None else work.asks()


def is_working() -> bool:
    """Whether the running task is work that needs a slot."""
    return _working.get() is not None


def waited() -> float:
    """Seconds that the running task's work has waited for slots since it began: its service did not take them."""
    work = _working.get()
    return 0.0 if work is None else work.waited


def outside() -> contextvars.Context:
    """A context for tasks that go on by themselves: the slot of whoever begins them is not theirs."""
    context = contextvars.copy_context()
    context.run(_working.set, None)
    return context
