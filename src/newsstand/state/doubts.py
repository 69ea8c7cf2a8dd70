"""Raises and settles what is in doubt of a copy, and what is due of it. Nothing else assigns them.

Between the moment when something becomes doubtful and `doubt` there is no `await`: a read in between would be answered
wrongly.
"""

from __future__ import annotations

from newsstand.rules.doubts import CLEAR, OWN_WRITE, Chores, Doubts
from newsstand.state.copies import Copy


def doubt(copy: Copy, doubts: Doubts) -> None:
    """From now on this is in doubt of the copy, too."""
    copy.doubts |= doubts


def settle(copy: Copy, done: Doubts) -> None:
    """This is looked up."""
    copy.doubts = copy.doubts.without(done)


def settle_own_writes(copy: Copy) -> None:
    """What the program wrote is looked up, unless something that it left in doubt is not."""
    if not copy.doubts.relist and not copy.doubts.refetch:
        settle(copy, OWN_WRITE)


def take(copy: Copy) -> Doubts:
    """What is to be handed to the worker that follows the node. An own write stays until that worker knows."""
    taken = copy.doubts.without(OWN_WRITE)
    copy.doubts = OWN_WRITE if copy.doubts.own_write else CLEAR
    return taken


def due(copy: Copy, chores: Chores) -> None:
    """From now on this is to be done, too."""
    copy.chores |= chores


def done(copy: Copy, chores: Chores) -> None:
    """This is done, or is being done."""
    copy.chores = copy.chores.without(chores)
