"""What is forgotten of a copy when a session begins, when the node changes hands, and when it is closed. Nothing else
resets: each of these functions is a list of whole parts, and what it does not name it keeps."""

from __future__ import annotations

from newsstand.model import SyncState
from newsstand.rules.doubts import CLEAR, RELIST, Chores
from newsstand.state.copies import Copy
from newsstand.state.own_writes import OwnWrites
from newsstand.state.session import NodeSession
from newsstand.state.stale_first import StaleFirst
from newsstand.state.work import Pace


def end_stream(copy: Copy) -> None:
    """The stream ended: what the program reads, and is notified of, from now on belongs to another session."""
    copy.reads = copy.reads.of_next_session()
    copy.stale_first = StaleFirst()


def begin_session(copy: Copy, reason: str) -> None:
    """A fresh session began: everything since the one before is lost. Nothing vouches for a copy of ours until it is
    listed again; where another worker owns the node, that one's session goes on."""
    unknown, copy.own = copy.own.under_way > 0, OwnWrites()
    if copy.lease.ours:
        begin_anew(copy, reason)
        return
    copy.session = NodeSession()
    copy.inbox.void_answers()
    if unknown:  # nobody knows whether the program's writes were done: the worker that owns the node checks
        copy.doubts |= RELIST


def begin_anew(copy: Copy, reason: str) -> None:
    """A session began, or the node was acquired: nothing of the copy is believed until it is listed."""
    copy.mark_stale(reason)
    _forget_what_is_under_way(copy)
    copy.pace = Pace()
    copy.cursors.forget_all()


def release(copy: Copy) -> None:
    """Another worker owns the node now, or none: its owner stores what was received, and checks what is in doubt."""
    _forget_what_is_under_way(copy)


def close(copy: Copy, reason: str, until: int | None) -> None:
    """The node is gone, or refused to us. `until`: when its rows are to be erased, in microseconds since the epoch;
    None: at once."""
    copy.update(state=SyncState.GONE, complete=False, reason=reason, retry_at=until)
    _forget_what_is_under_way(copy)
    copy.pace = Pace()
    copy.checked.forget_covered()


def _forget_what_is_under_way(copy: Copy) -> None:
    copy.doubts = CLEAR
    copy.chores = Chores()
    copy.elsewhere.forget()
    copy.session = NodeSession()
    copy.listing.forget()
    copy.order.forget()
    copy.inbox.forget()
    copy.inbox.void_answers()
