"""What was measured: values, and what they come to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.programs.tap import Passed

MINUTE = 60.0


@dataclass(slots=True)
class Read:
    """A read of the program's: a request for items of a node."""

    id: str
    xml: str
    """The whole `<iq/>`."""
    origin: str = "nothing"
    """"copy", "service", "error", "cancelled"; "nothing" where no answer came before the program was ended."""
    stale: bool = False
    items: list[list[str]] | None = None
    """The items of the answer, each with its id and a digest."""
    same: bool | None = None
    """Whether the service's own answer has the same items in the same order. Asked for hits only."""


@dataclass(slots=True)
class Start:
    """One start of a program, from its beginning to its end."""

    began: float = 0.0
    """By `time.time`."""
    passed: Sequence[Passed] = ()
    """Its requests on the wire, Newsstand's own among them."""
    own: set[str] = field(default_factory=set)
    """The ids of Newsstand's own."""
    reads: list[Read] = field(default_factory=list)
    trouble: str = ""
    """Why it counts for nothing."""

    @property
    def first_minute(self) -> list[Passed]:
        """Its requests in the minute that begins with the first of them, which is a part of its log-in."""
        return [passed for passed in self.passed if passed.at < self.passed[0].at + MINUTE]

    @property
    def later(self) -> int:
        """How many requests came after that."""
        return len(self.passed) - len(self.first_minute)

    @property
    def requests(self) -> int:
        """How many came in the first minute."""
        return len(self.first_minute)

    @property
    def own_requests(self) -> int:
        """How many of these were Newsstand's own."""
        return sum(passed.request.id in self.own for passed in self.first_minute)

    @property
    def hits(self) -> list[Read]:
        """The reads that the copy answered."""
        return [read for read in self.reads if read.origin == "copy"]

    @property
    def differing(self) -> list[Read]:
        return [read for read in self.hits if read.same is False]


@dataclass(slots=True)
class Measured:
    """A program's starts, in the order in which they were made."""

    name: str
    without: list[Start]
    with_it: list[Start]
    offline: Start | None = None
    missing: str = ""
    """What is missing on this machine, so that it was not started."""

    @property
    def trouble(self) -> str:
        """Why nothing is said of the program."""
        if self.missing:
            return self.missing
        starts = [*self.without, *self.with_it, *([self.offline] if self.offline else [])]
        return next((start.trouble for start in starts if start.trouble), "")

    # What is claimed

    @property
    def never_more(self) -> bool:
        """No start of the program sent more requests, within a minute, than the same start without Newsstand."""
        pairs = zip(self.without, self.with_it, strict=True)
        return all(with_it.requests <= without.requests for without, with_it in pairs)

    @property
    def profits(self) -> bool:
        """From the second start on the copy answered at least one read of each, where there was one, and half of
        all."""
        later = [start for start in self.with_it[1:] if start.reads]
        hits, reads = sum(len(start.hits) for start in later), sum(len(start.reads) for start in later)
        return bool(later) and all(start.hits for start in later) and 2 * hits >= reads

    @property
    def same(self) -> bool:
        """Each hit had the items that the service answered then, in the same order."""
        return not any(start.differing for start in self.with_it)

    @property
    def answers_offline(self) -> bool | None:
        """Without a server, each read that an earlier start was answered with items is answered by the copy. None
        where the program reads nothing then."""
        if self.offline is None or not self.offline.reads:
            return None
        before = {_asked(read) for start in self.with_it for read in start.reads if read.items}
        return all(read.items for read in self.offline.reads if _asked(read) in before)


def _asked(read: Read) -> str:
    """What was asked for: the request without its id."""
    return read.xml.replace(f'"{read.id}"', '""')
