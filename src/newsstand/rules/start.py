"""What pays at the start of a session: which requests of our own are made up for by reads that they save. Pure."""

from __future__ import annotations

SMALL = 100
"""Items of a node of which one answer of the service shows all."""
MANY = 10
"""Reads of a node in one session that make up for any synchronisation, also a first one, which learns the service's
behaviour."""
COUNTED = 3
"""Up to here, reads of a session are counted for the next one."""


def is_lent(*, expected: int, whole: bool, complete: bool, count: int) -> bool:
    """Whether a read of the program is to be the listing of its node: one request, to subscribe, is added, and the
    reads after it are saved. `expected`: how often the program read the node in its last session. `whole`: the read is
    one of all items. `complete`, `count`: the copy was complete once, and holds so many."""
    return whole and complete and 0 < count <= SMALL and expected > 1


def pays(*, expected: int, reads: int, complete: bool, count: int) -> bool:
    """Whether a listing of our own, and a request to subscribe, save as many reads. `reads`: how often the program read
    the node in this session."""
    small = complete and 0 < count <= SMALL
    return reads >= MANY or (small and reads > 0 and expected >= COUNTED)
