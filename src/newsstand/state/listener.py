"""The listener: the parts of a replica call it where another part must act."""

from __future__ import annotations

from typing import Protocol

from newsstand.state.copies import Copy


class Listener(Protocol):
    """What the parts of a replica call where another part must act. `newsstand.engine` is the one that does so in
    programs. Each method is called in the event loop, at once; none may raise, nor await. Nothing is called before
    the replica is open."""

    def acquired(self, copy: Copy) -> None:
        """This worker owns the node from now on. Nothing of its copy is believed yet."""

    def released(self, copy: Copy) -> None:
        """This worker does not own the node any more: another one does, or the copy was dropped."""

    def lease_lost(self, copy: Copy) -> None:
        """A write was refused, or a read came to nothing, because another worker acquired the node."""

    def may_begin(self) -> None:
        """Work may begin in this session."""

    def doubted(self, copy: Copy) -> None:
        """Somebody else raised a doubt of a copy of ours."""

    def still_closing(self, copy: Copy) -> None:
        """The copy was closed, and that could not be stored."""

    def domain_answered(self, service: str) -> None:
        """The PEP service of an account answered whose domain was taken to have no PEP for us."""

    def listed(self, copy: Copy) -> None:
        """A listing is over: the notifications that waited for it can be applied."""
