"""The listing of a node that is under way, or was interrupted, and its pages so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from newsstand.model import Rsm
from newsstand.rules.batch_sizes import BatchSizes
from newsstand.rules.behaviour import Behaviour
from newsstand.state.spool import Spool


@dataclass(slots=True)
class Pages:
    """A listing by pages, as far as it has come. It may be gone on with after an interruption as long as it is known
    what changed since it began."""

    batch_sizes: BatchSizes
    items: Spool = field(default_factory=Spool)
    count: int | None = None
    """How many items the node has, as the first page said; None before there was a page."""
    last: str | None = None
    """The cursor of the page that came last."""
    number: int = 0
    """How many pages came."""
    asked: int = 0
    """How many items were asked for last."""
    waited: float = 0.0
    """Seconds that were waited for pages that did not arrive."""
    own_from: Behaviour = Behaviour.UNKNOWN

    def add(self, count: int, rsm: Rsm) -> None:
        """A page of so many items came, and they are among `items`."""
        self.last = rsm.last if count else None
        self.number += 1


class Listing:
    """The state of one node's listing: none, one that is under way, or one that was interrupted. Notifications wait
    until there is none."""

    __slots__ = ("_mark", "is_any", "pages")

    def __init__(self) -> None:
        self._mark: object | None = None
        self.pages: Pages | None = None
        """The pages of a listing that the stream's end interrupted: if the session is resumed, it goes on there."""
        self.is_any = False
        """Whether a listing is under way, or was interrupted. It is kept as a value because each read asks it."""

    def _set(self, mark: object | None, pages: Pages | None) -> None:
        self._mark, self.pages = mark, pages
        self.is_any = mark is not None or pages is not None

    @property
    def under_way(self) -> bool:
        """Whether a listing is under way."""
        return self._mark is not None

    def begin(self) -> object:
        """Begin a listing. Returns the mark by which the other methods know it."""
        self._set(object(), self.pages)
        return self._mark

    def is_this(self, mark: object) -> bool:
        """Whether this listing is still to be believed: nothing made it void since it began."""
        return self._mark is mark

    def end(self, mark: object) -> None:
        """End this listing."""
        if self._mark is mark:
            self._set(None, self.pages)

    def take_pages(self) -> Pages | None:
        """Take the pages that came before the interruption: the listing goes on there."""
        pages = self.pages
        self._set(self._mark, None)
        return pages

    def interrupt(self, mark: object, pages: Pages) -> None:
        """Keep these pages of this listing, which the end of the stream interrupted."""
        if self._mark is mark:
            self._set(mark, pages)

    def forget(self) -> None:
        """Make a listing void that is under way or was interrupted. The task that lists finds that out."""
        self._set(None, None)

    def forget_pages(self) -> None:
        """Forget the pages of an interrupted listing: it cannot go on there."""
        self._set(self._mark, None)
