"""How much a service is asked for at a time. An answer that is too large for a server between the two is dropped there,
and whoever asked is never notified (docs/decisions/005-listings-and-doubts.md)."""

from __future__ import annotations

LARGE = 250_000
"""Bytes of items that arrive: half of what Prosody takes of another server, or of a component."""
AT_ONCE = 2_000_000
"""Bytes of items that are asked for at a time, as far as their sizes can be foreseen."""
UNFORESEEN = 40
"""Items that are asked for at first of a node of which no item is known: 40 of a megabyte fit into memory, and most
nodes have fewer."""
FEWER = 20
"""By how much fewer items are asked for when an answer did not arrive: each try takes as long as a request may."""
SURELY = 4
"""An answer at most 1/SURELY as large as LARGE was not lost because of its size."""
ID_BATCH = 20
"""Ids in a request, at most."""


class BatchSize:
    """How many items of a node are asked for next (`size`): as many as wanted, until something is lost; from then on as
    many as fit by the size of what came last, and never more than half of what was lost. So in a copy's life only a
    few answers are lost, however its items differ. All listings of the copy share it."""

    def __init__(self, wanted: int, first: int | None = None) -> None:
        """`first`: how many are asked for before anything came, if not as many as wanted."""
        self._wanted = wanted
        self.size = wanted if first is None else min(first, wanted)
        self._lost: int | None = None
        """The least that did not arrive, as far as its size may have been why."""
        self._again: int | None = None
        """What was lost, though it was small, and is asked for once more."""
        self._in_a_row = 0

    def begin(self) -> None:
        """A listing begins."""
        self._in_a_row = 0

    def arrived(self, asked: int, count: int, size: int) -> None:
        """So many were asked for, and this `count` of items came, of `size` bytes together."""
        after_loss, self._in_a_row = self._in_a_row > 0, 0
        if self._again is not None and asked >= self._again:
            self._again = None  # its size was not the reason
        if not count:
            return
        if self._lost is None:
            # Nothing was lost; but what comes is in memory until it is taken apart.
            self.size = min(self._wanted, _fitting(AT_ONCE, count, size))
            return
        fitting = _fitting(LARGE, count, size)
        if after_loss and self._again is None and fitting >= self._lost * SURELY:
            self._again, self._lost, self.size = self._lost, None, self._wanted
        else:
            self.size = min(fitting, max(1, self._lost // 2))

    def lost(self, asked: int) -> bool:
        """So many were asked for, and did not come: whether to ask for fewer now. After two in a row that waits for the
        next listing: perhaps nobody answers."""
        if asked > self.size:
            return True  # another listing has learnt that meanwhile
        if asked == 1:
            self._lost, self.size = None, self._wanted  # the size was not the reason
            return False
        self._lost, self.size = asked, max(1, asked // FEWER)
        self._in_a_row += 1
        return self._in_a_row == 1


class BatchSizes:
    """The batch sizes of one node: of pages, and of requests by ids."""

    def __init__(self, page_size: int, known: int = 0, size: int = 0) -> None:
        """`known`: how many items of the node a copy holds, of `size` bytes together."""
        self.pages = BatchSize(page_size, _fitting(AT_ONCE, known, size) if known else UNFORESEEN)
        self.ids = BatchSize(ID_BATCH)
        self.by_ids = False
        """By pages nothing arrived, and by ids everything did, of more than arrives at once."""

    def begin(self) -> None:
        self.pages.begin()
        self.ids.begin()

    def listed_by_ids(self, size: int) -> None:
        """All came, of so many bytes."""
        self.by_ids = size > LARGE


def _fitting(most: int, count: int, size: int) -> int:
    """How many items fit into `most` bytes, if they are like these `count` of `size` bytes; one at least."""
    return max(1, most * count // max(1, size))
