"""A node's listing that is under way, or was interrupted."""

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
    own_from: Behaviour = Behaviour.UNKNOWN

    def add(self, count: int, rsm: Rsm) -> None:
        """A page of so many items came, and they are among `items`."""
        self.last = rsm.last if count else None
        self.number += 1


class Listing:
    """What is under way of one node's listing. While there is anything, notifications wait for it."""

    __slots__ = ("_mark", "is_any", "pages")

    def __init__(self) -> None:
        self._mark: object | None = None
        self.pages: Pages | None = None
        """What came of a listing that the stream's end interrupted: if the session is resumed, it goes on there."""
        self.is_any = False
        """Whether one is under way, or was interrupted. Each read asks it."""

    def _set(self, mark: object | None, pages: Pages | None) -> None:
        self._mark, self.pages = mark, pages
        self.is_any = mark is not None or pages is not None

    @property
    def under_way(self) -> bool:
        return self._mark is not None

    def begin(self) -> object:
        """One begins. Returns what the others know it by."""
        self._set(object(), self.pages)
        return self._mark

    def is_this(self, mark: object) -> bool:
        """Whether this one is still to be believed: since it began, nothing else was said."""
        return self._mark is mark

    def end(self, mark: object) -> None:
        """This one is over."""
        if self._mark is mark:
            self._set(None, self.pages)

    def take_pages(self) -> Pages | None:
        """What came of it before it was interrupted: it goes on there."""
        pages = self.pages
        self._set(self._mark, None)
        return pages

    def interrupt(self, mark: object, pages: Pages) -> None:
        """The stream's end interrupted this one, when so much had come."""
        if self._mark is mark:
            self._set(mark, pages)

    def forget(self) -> None:
        """None is under way that may be believed, nor gone on with. The task that lists finds that out."""
        self._set(None, None)

    def forget_pages(self) -> None:
        """What came of an interrupted one cannot be gone on with."""
        self._set(self._mark, None)
