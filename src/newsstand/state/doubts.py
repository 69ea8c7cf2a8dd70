"""Raises and settles the doubts of a copy (what must be checked before it may answer), and its chores (what must be
done though nothing is in doubt). No other module assigns them, but for the resets.

Between the moment when something becomes doubtful and `doubt` there is no `await`: a read in between would be answered
wrongly.
"""

from __future__ import annotations

from newsstand.rules.doubts import CLEAR, OWN_WRITE, Chores, Doubts
from newsstand.state.copies import Copy


def doubt(copy: Copy, doubts: Doubts) -> None:
    """Raise doubts of a copy, from this moment on."""
    copy.doubts |= doubts


def settle(copy: Copy, done: Doubts) -> None:
    """Settle doubts that were checked."""
    copy.doubts = copy.doubts.without(done)


def settle_own_writes(copy: Copy) -> None:
    """Settle the doubt about the program's own writes, unless something that they left in doubt is not settled."""
    if not copy.doubts.relist and not copy.doubts.refetch:
        settle(copy, OWN_WRITE)


def take(copy: Copy) -> Doubts:
    """Take the doubts that are to be handed to the worker that owns the node. An own write stays in doubt until that
    worker knows of it."""
    taken = copy.doubts.without(OWN_WRITE)
    copy.doubts = OWN_WRITE if copy.doubts.own_write else CLEAR
    return taken


def due(copy: Copy, chores: Chores) -> None:
    """Add chores to those of a copy."""
    copy.chores |= chores


def done(copy: Copy, chores: Chores) -> None:
    """Take away chores that are done, or being done."""
    copy.chores = copy.chores.without(chores)
