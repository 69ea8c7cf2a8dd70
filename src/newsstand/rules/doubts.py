"""What is in doubt of a copy, and what is due of it: as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Doubts:
    """What must be looked up of a node before its copy may answer."""

    relist: bool = False
    """Only a listing can show what the node holds."""
    resubscribe: bool = False
    """Something was not notified: the listing subscribes first, though we seem to be subscribed."""
    refetch: frozenset[str] = frozenset()
    """Items whose contents must be asked for, by id."""
    check_ids: bool = False
    """Some items may have been evicted."""
    own_write: bool = False
    """A write of the program's own is acknowledged, and what it did is still to be looked up."""
    is_any: bool = field(init=False, repr=False, compare=False)
    """Whether something is to be looked up: an own write alone is brought by what is under way. Each read asks it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_any", self.relist or self.check_ids or bool(self.refetch))

    def __or__(self, other: Doubts) -> Doubts:
        return Doubts(
            self.relist or other.relist,
            self.resubscribe or other.resubscribe,
            self.refetch | other.refetch,
            self.check_ids or other.check_ids,
            self.own_write or other.own_write,
        )

    def without(self, done: Doubts) -> Doubts:
        """What is left when that is looked up."""
        return Doubts(
            self.relist and not done.relist,
            self.resubscribe and not done.resubscribe,
            self.refetch - done.refetch,
            self.check_ids and not done.check_ids,
            self.own_write and not done.own_write,
        )


CLEAR = Doubts()
RELIST = Doubts(relist=True)
NOT_TOLD = Doubts(relist=True, resubscribe=True)
"""Subscribing again changes nothing, or brings notifications back."""
OWN_WRITE = Doubts(own_write=True)
CHECK_IDS = Doubts(check_ids=True)


def refetch(*item_ids: str) -> Doubts:
    """The contents of these items must be asked for."""
    return Doubts(refetch=frozenset(item_ids))


@dataclass(frozen=True, slots=True)
class Chores:
    """What is due of a copy though nothing of it is in doubt: it answers meanwhile."""

    confirm: bool = False
    """Whether we are still subscribed is to be asked."""
    revalidate: bool = False
    """Whether the account may still read the node is to be asked."""
    cursors: bool = False
    """Some of the service's own cursors that the next answer needs are not known."""

    def __or__(self, other: Chores) -> Chores:
        return Chores(self.confirm or other.confirm, self.revalidate or other.revalidate, self.cursors or other.cursors)

    def without(self, done: Chores) -> Chores:
        return Chores(
            self.confirm and not done.confirm,
            self.revalidate and not done.revalidate,
            self.cursors and not done.cursors,
        )
