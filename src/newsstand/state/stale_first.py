"""What is known of a copy that may be served stale at the start of a session, before anything is asked of the
service."""

from __future__ import annotations

from collections.abc import Iterable

from newsstand.model import News, Published, Retracted, SeenItem

MOST = 1_000
"""Items of a node of which it is remembered what the program was notified of."""


class StaleFirst:
    """One copy at the start of one session: whether it was served stale, and what its service said since."""

    __slots__ = ("_against", "due", "notified", "verified")

    def __init__(self) -> None:
        self.due = False
        """It was served stale, and is to be compared with its service."""
        self.verified = False
        """The service said what it says, in this session."""
        self._against: set[str | None] = set()
        """The items of which notifications said something else, or nobody knows whether they did. None: any item."""
        self.notified: dict[str, bytes | None] = {}
        """What the program was notified of: the digest of what each item says; None for one that went."""

    @property
    def contradicted(self) -> bool:
        """Whether something may speak against it: it is not served then."""
        return bool(self._against)

    def serve(self) -> bool:
        """It is served stale. Returns whether it is to be compared for that, and was not to be before."""
        if self.due or self.verified:
            return False
        self.due = True
        return True

    def contradict(self, news: Iterable[News]) -> None:
        """The program is notified of this, or, of nothing, may know better than the copy. Until what it knows is what
        the copy says, the copy is not served. Of a node of which too much is notified nothing is told late."""
        self.verified = False
        found: dict[str, bytes | None] = {}
        others = False
        for what in news:
            match what:
                case Published(items):
                    found.update((item.id, item.payload_digest) for item in items)
                case Retracted(item_ids):
                    found.update(dict.fromkeys(item_ids))
                case _:
                    others = True
        self.notified.update(found)
        self._against.update(found)
        if others or not found:
            self._against.add(None)
        if len(self.notified) > MOST:
            self.notified, self._against, self.due = {}, {None}, False

    def agree(self, item: SeenItem, *, whole: bool) -> None:
        """The copy says of an item what this notification says, unless a later one says something else. `whole`: the
        copy holds no other item."""
        if self.notified.get(item.id) == item.payload_digest:
            self._against.discard(item.id)
            self.verified |= whole and not self._against

    def compared(self) -> None:
        """The copy was made equal to what the service holds."""
        self.due, self.verified = False, True
        self._against.clear()
