"""A listing by pages that is under way."""

from __future__ import annotations

from dataclasses import dataclass, field

from newsstand.model import Rsm
from newsstand.rules.batch_sizes import BatchSizes
from newsstand.rules.behaviour import Way
from newsstand.state.spool import Spool


@dataclass(slots=True)
class Pages:
    """A listing by pages, as far as it has come. It may be gone on with after an interruption as long as it is known
    what changed since it began."""

    portions: BatchSizes
    items: Spool = field(default_factory=Spool)
    count: int | None = None
    """Of the node's items, as the first page said; None: there was no page yet."""
    last: str | None = None
    """The cursor of the page that came last."""
    number: int = 0
    asked: int = 0
    """How many items were asked for last."""
    waited: float = 0.0
    """Seconds, for what did not arrive."""
    own_from: Way = Way.UNKNOWN

    def add(self, count: int, rsm: Rsm) -> None:
        """A page of so many items came, and they are among `items`."""
        self.last = rsm.last if count else None
        self.number += 1
