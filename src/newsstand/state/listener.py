"""Whom the parts of a replica tell what others must act on."""

from __future__ import annotations

from typing import Protocol

from newsstand.state.copies import Copy


class Listener(Protocol):
    """Told by the parts of a replica what others must act on. Each method is called in the event loop, at once; none
    may raise, nor await. Nothing is called before the replica is open."""

    def acquired(self, copy: Copy) -> None:
        """The copy is ours to follow from now on. Nothing of it is believed yet."""

    def released(self, copy: Copy) -> None:
        """The copy is not ours to follow any more: it is another worker's, or it was dropped."""

    def lease_lost(self, copy: Copy) -> None:
        """A write was refused, or a read came to nothing, because another worker acquired the node."""

    def may_begin(self) -> None:
        """Work may begin in this session."""

    def doubted(self, copy: Copy) -> None:
        """Somebody else raised a doubt of a copy of ours."""

    def still_closing(self, copy: Copy) -> None:
        """The copy was closed, and the database could not be told."""

    def listed(self, copy: Copy) -> None:
        """A listing is over: the notifications that waited for it can be applied."""
