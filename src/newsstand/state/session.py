"""The session of a node: what holds only within this session of the stream."""

from __future__ import annotations

from collections.abc import Callable


class NodeSession:
    """What one session of the stream knows of one node. A new session has a new one: what the service said in the
    session before holds no more."""

    __slots__ = ("_ends", "confirmed_at", "skips_missing", "stocked", "subscribed")

    def __init__(self) -> None:
        self.subscribed = False
        """Whether we are subscribed to the node, as far as the service said."""
        self._ends = 0
        """How often the service said that the subscription, or the node, ended."""
        self.confirmed_at = 0.0
        """By the loop's clock, when the service last said that we are subscribed to it."""
        self.skips_missing = False
        """Whether the service was seen to answer a read of this node without an item that is not there."""
        self.stocked = False
        """Whether the copy's item ids were compared with the service's in this session."""

    def subscribing(self) -> Callable[[], bool]:
        """Call it when a request to subscribe is sent, and what it returns when the service agreed: we are subscribed
        then, unless news of an end came first, which it returns."""
        ends = self._ends

        def agreed() -> bool:
            self.subscribed = self._ends == ends
            return self.subscribed

        return agreed

    def doubt_subscription(self) -> None:
        """We may not be subscribed any more: the next listing subscribes first."""
        self.subscribed = False

    def end_subscription(self) -> None:
        """The service said that the subscription, or the node, ended."""
        self.subscribed = False
        self._ends += 1

    def confirm(self, at: float) -> None:
        """The service said that we are subscribed, by the loop's clock."""
        self.confirmed_at = at

    def note_skipped(self) -> None:
        """The service answered a read without an item that is not there."""
        self.skips_missing = True

    def take_stock(self) -> None:
        """The copy's item ids were compared with the service's."""
        self.stocked = True
