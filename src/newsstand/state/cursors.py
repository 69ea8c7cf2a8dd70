"""The cursors that a service itself made for a node's items, as far as they are known (XEP-0059)."""

from __future__ import annotations

from newsstand.xmpp.answers import Listing

LIMITS = 8
"""How many of the limits that a program asks with are remembered of a node."""


class Cursors:
    """The service's own cursors of a node, as far as its answers showed them since the last listing, and what the
    program needs of them."""

    __slots__ = ("known", "limits")

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        """The cursors that are known, by item id."""
        self.limits: dict[int, None] = {}
        """The values of `max_items` that the program asked with, newest last."""

    def note_limit(self, limit: int) -> None:
        """The program asked with this `max_items`."""
        self.limits.pop(limit, None)
        self.limits[limit] = None
        if len(self.limits) > LIMITS:
            del self.limits[next(iter(self.limits))]

    def forget(self, item_id: str) -> None:
        """Forget the cursor of an item that was removed: if the item comes again, the service gives it another one."""
        self.known.pop(item_id, None)

    def forget_all(self) -> None:
        """Forget all cursors, because the node may hold other items now. What the program asks with is remembered."""
        self.known.clear()

    def learn(self, listing: Listing) -> None:
        """Learn the cursors of an answer's first and last item."""
        if listing.rsm is not None and listing.items:
            for item, cursor in ((listing.items[0], listing.rsm.first), (listing.items[-1], listing.rsm.last)):
                if cursor is not None:
                    self.known[item.id] = cursor
