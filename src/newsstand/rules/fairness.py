"""Who gets the next slot: a few slots, and many services that want them (docs/decisions/015-fair-shares.md). Pure.

A slot is what a piece of work needs to go on. Work that has begun may be without one for a while: because it waits for
an answer that takes long (its slot is lent), or because others had to go on (it waits for a slot again).
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Iterator


class Standing(enum.Enum):
    """How a claim stands: whether it waits for a slot, or has one."""

    WAITING = enum.auto()
    """It waits for a slot."""
    HOLDING = enum.auto()
    """It has one."""
    LENDING = enum.auto()
    """It has begun, waits for an answer that takes long, and others use its slot."""
    OVER = enum.auto()


class Claim:
    """One piece of work's claim to a slot."""

    def __init__(self, service: str, *, urgent: bool = False, large: bool = False) -> None:
        self.service = service
        """Whose share it counts to."""
        self.standing = Standing.OVER
        self.begun = False
        """It has had a slot before."""
        self.urgent = urgent
        """Somebody waits for it."""
        self.large = large
        """It takes long, and nobody waits for it: of all such work only one piece has a slot at a time."""


class _Queue:
    """The claims of one service that wait: those that have begun first, then the urgent ones, then in their order; the
    large ones last."""

    def __init__(self) -> None:
        self._begun: dict[Claim, None] = {}
        self._urgent: dict[Claim, None] = {}
        self._new: dict[Claim, None] = {}
        self._large_begun: dict[Claim, None] = {}
        self._large_new: dict[Claim, None] = {}

    def add(self, claim: Claim) -> None:
        if claim.large:
            kind = self._large_begun if claim.begun else self._large_new
        elif claim.begun:
            kind = self._begun
        else:
            kind = self._urgent if claim.urgent else self._new
        kind[claim] = None

    def remove(self, claim: Claim) -> None:
        for kind in (self._begun, self._urgent, self._new, self._large_begun, self._large_new):
            kind.pop(claim, None)

    def first(self, *, new: bool, large: bool) -> Claim | None:
        """`new`: one that has not begun will do; `large`: a large one will do."""
        kinds = [self._begun]
        if new:
            kinds += [self._urgent, self._new]
        if large:
            kinds.append(self._large_begun)
        if new and large:
            kinds.append(self._large_new)
        return next(itertools.chain.from_iterable(kinds), None)

    def __bool__(self) -> bool:
        return any((self._begun, self._urgent, self._new, self._large_begun, self._large_new))


class Shares:
    """Shares the slots among the services. There are `slots` in all. Of one service at most `of_service` pieces of work
    are begun, or one while `is_silent` says so of it; of all services at most `most`. Of large work at most one piece
    has a slot."""

    def __init__(
        self, slots: int, of_service: int, most: int, is_silent: Callable[[str], bool] = lambda service: False
    ) -> None:
        self._places = slots
        self._of_service = of_service
        self._most = most
        self._is_silent = is_silent
        self._waiting: dict[str, _Queue] = {}
        self._holding: dict[str, int] = {}
        """How many of the slots each service has."""
        self._large = 0
        """How many of the slots large work has."""
        self._begun: dict[str, int] = {}
        """How many pieces of work of each service are begun."""
        self._lending: dict[Claim, None] = {}
        """In the order in which they were lent."""
        self._last_served: dict[str, int] = {}
        self._numbers = itertools.count()

    def wait(self, claim: Claim) -> None:
        """It wants a slot: for the first time, or again. A slot that it has, it gives away."""
        self._drop(claim)
        claim.standing = Standing.WAITING
        self._waiting.setdefault(claim.service, _Queue()).add(claim)

    def hurry(self, claim: Claim) -> None:
        """Somebody waits for it: it goes before the others of its service."""
        queue = self._waiting.get(claim.service)
        if queue is not None and claim.standing is Standing.WAITING:
            queue.remove(claim)
            claim.urgent, claim.large = True, False
            queue.add(claim)

    def lend(self, claim: Claim) -> None:
        """It waits for an answer that takes long."""
        if claim.standing is Standing.HOLDING:
            self._drop(claim)
            claim.standing = Standing.LENDING
            self._lending[claim] = None

    def end(self, claim: Claim) -> None:
        """It wants nothing any more."""
        self._drop(claim)
        claim.standing = Standing.OVER
        if claim.begun:
            claim.begun = False
            _count(self._begun, claim.service, -1)
        if not self._begun.get(claim.service) and claim.service not in self._waiting:
            self._last_served.pop(claim.service, None)

    def grant_next(self) -> Claim | None:
        """Give the next slot, if there is one, to whom it is due: of the services that wait, the one that has the
        fewest slots, and of these the one that got none for the longest time."""
        claim = self._find_next(new=sum(self._begun.values()) < self._most)
        if claim is None:
            return None
        self._drop(claim)
        claim.standing = Standing.HOLDING
        _count(self._holding, claim.service, 1)
        self._large += claim.large
        if not claim.begun:
            claim.begun = True
            _count(self._begun, claim.service, 1)
        self._last_served[claim.service] = next(self._numbers)
        return claim

    def find_stuck(self) -> Claim | None:
        """Where there is a slot, and nothing new may begin because too much has begun: the piece of work that has
        waited for an answer for the longest time. It is to be cancelled."""
        if sum(self._begun.values()) < self._most or self._find_next(new=True) is None:
            return None
        return next(iter(self._lending), None)

    def is_wanted(self) -> bool:
        """Whether somebody would go on if there was one more slot."""
        return self._find_next(new=sum(self._begun.values()) < self._most, slots=self._places + 1) is not None

    def _find_next(self, *, new: bool, slots: int | None = None) -> Claim | None:
        if sum(self._holding.values()) >= (self._places if slots is None else slots):
            return None
        found = list(self._firsts(new=new))
        return min(found, key=self._priority, default=None)

    def _firsts(self, *, new: bool) -> Iterator[Claim]:
        for service, queue in self._waiting.items():
            most = 1 if self._is_silent(service) else self._of_service
            claim = queue.first(new=new and self._begun.get(service, 0) < most, large=not self._large)
            if claim is not None:
                yield claim

    def _priority(self, claim: Claim) -> tuple[int, int]:
        return self._holding.get(claim.service, 0), self._last_served.get(claim.service, -1)

    def _drop(self, claim: Claim) -> None:
        match claim.standing:
            case Standing.WAITING:
                queue = self._waiting[claim.service]
                queue.remove(claim)
                if not queue:
                    del self._waiting[claim.service]
            case Standing.HOLDING:
                _count(self._holding, claim.service, -1)
                self._large -= claim.large
            case Standing.LENDING:
                del self._lending[claim]
            case Standing.OVER:
                pass


def _count(counted: dict[str, int], service: str, by: int) -> None:
    counted[service] = counted.get(service, 0) + by
    if not counted[service]:
        del counted[service]
