"""What is forgotten of a copy, and what is kept, when a session begins, the node changes hands, or it is closed."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from newsstand.model import NodeKey, NodeRecord, Notification, Published, Purged, Rsm, SeenItem, SyncState, Verdict
from newsstand.rules.batch_sizes import BatchSizes
from newsstand.rules.behaviour import Behaviour, ServiceBehaviour
from newsstand.rules.doubts import RELIST, Chores, Doubts
from newsstand.state import doubts, resets
from newsstand.state.copies import Copy
from newsstand.state.elsewhere import Awaited
from newsstand.state.lease import Lease
from newsstand.state.pages import Pages
from newsstand.state.services import ServiceState
from newsstand.state.spool import Spool
from newsstand.state.work import Closing, Pace, Work
from newsstand.xmpp.answers import Listing

KEY = NodeKey("romeo@montague.example", "pubsub.montague.example", "news")
RECORD = NodeRecord(1, KEY, verdict=Verdict.WANTED, state=SyncState.LIVE, complete=True, item_count=3)
ITEM = SeenItem("a", "<item id='a'/>")
TOLD = Notification(KEY, (Published((ITEM,)), Purged()))
IDENTITY = {"__weakref__", "behaviour", "changed", "key"}
"""What a copy is, rather than what is known of it."""


async def used(*, ours: bool) -> Copy:
    """A copy each of whose parts is another than a new copy's."""
    copy = Copy(RECORD, learnt=ServiceState(ServiceBehaviour(new=Behaviour.LAST)))
    copy.batch_sizes = BatchSizes(50)
    copy.dropped = copy.left = True
    copy.saves = 1
    copy.lease = Lease(7, "worker", ours=ours, asked=9)
    copy.elsewhere.note(doubted=True)
    copy.elsewhere.await_item("a", Awaited(1.0, None))
    copy.inbox.void_answers()
    copy.inbox.put(TOLD)
    copy.inbox.miss()
    copy.inbox.put(TOLD)
    copy.inbox.note_close(TOLD.news, 1.0)
    copy.inbox.note_gone(["a"])
    copy.own.begin()
    copy.own.keep_notified(TOLD.news, 1)
    doubts.doubt(copy, Doubts(relist=True, resubscribe=True, refetch=frozenset("a"), check_ids=True, own_write=True))
    doubts.due(copy, Chores(confirm=True, revalidate=True, cursors=True))
    copy.reads.begin()
    copy.stale_first.serve()
    copy.stale_first.contradict(TOLD.news)
    copy.stale_first.agree(ITEM, whole=True)
    copy.stale_first.verified = True
    copy.stale_first._against = {None}
    copy.session.end_subscription()
    copy.session.subscribing()()
    copy.session.confirm(5.0)
    copy.session.note_skipped()
    copy.session.take_stock()
    mark = copy.listing.begin()
    copy.listing.interrupt(mark, Pages(BatchSizes(50), Spool()))
    copy.pace = Pace(1.0, 2.0, 3)
    task = asyncio.ensure_future(asyncio.sleep(0))
    await task
    copy.work = Work(task, OSError())
    copy.closing = Closing.CLOSING
    copy.cursors.note_limit(5)
    copy.cursors.learn(Listing((ITEM,), Rsm("first", "last", 1, 0)))
    copy.order.remember(["a"], [ITEM])
    copy.order.note([Purged()])
    copy.checked.answered(4.0)
    copy.checked.cover(["a"], 8)
    return copy


def said(part: Any) -> Any:
    """All that a part says, so that two can be compared."""
    if hasattr(type(part), "__slots__") and not dataclasses.is_dataclass(part) and "newsstand" in type(part).__module__:
        names = set(type(part).__slots__) - {"_waiting", "_emptied", "received"}
        return {name: said(getattr(part, name)) for name in names}
    match part:
        case dict():
            return dict(part)
        case list() | deque():
            return list(part)
        case _:
            return part


def parts(copy: Copy) -> dict[str, Any]:
    return {name: said(getattr(copy, name)) for name in set(Copy.__slots__) - IDENTITY}


def begin_session(copy: Copy) -> None:
    resets.begin_session(copy, "a new session began")


def end_stream(copy: Copy) -> None:
    resets.end_stream(copy)


def begin_anew(copy: Copy) -> None:
    resets.begin_anew(copy, "nobody was told")


def close(copy: Copy) -> None:
    resets.close(copy, "it was deleted", None)


UNDER_WAY = {"doubts", "chores", "elsewhere", "session", "listing", "order", "inbox"}


@pytest.mark.parametrize(
    ("reset", "ours", "forgotten"),
    [
        (end_stream, True, {"reads", "stale_first"}),
        (begin_session, True, UNDER_WAY | {"own", "pace"}),
        (begin_session, False, {"own", "session"}),
        (begin_anew, True, UNDER_WAY | {"pace"}),
        (resets.release, False, UNDER_WAY),
        (close, True, UNDER_WAY | {"pace"}),
    ],
)
async def test_a_reset_forgets_whole_parts_and_keeps_the_others(
    reset: Callable[[Copy], None], ours: bool, forgotten: set[str]
) -> None:
    """Whoever adds a part says here which resets forget it."""
    copy, new = await used(ours=ours), parts(Copy(RECORD))
    before, heard = parts(copy), copy.inbox.received
    assert {name for name in new if before[name] == new[name]} == {"record"}
    reset(copy)
    after = parts(copy)
    changed = {name for name in new if after[name] != before[name]} - {"record"}
    if reset is close:
        assert after["checked"].pop("covered") == {}
        changed.discard("checked")
    if reset in (begin_session, begin_anew) and ours:
        assert after["cursors"].pop("known") == {}, "but what the program asks with is kept"
        changed.discard("cursors")
    if reset is begin_session and not ours:
        assert copy.doubts == before["doubts"] | RELIST, "of a write that nobody knows of"
    assert changed == forgotten
    if "reads" in forgotten:
        assert after["reads"] == {"count": 0, "expected": 1, "next_told": 2}, "as many as there were"
        forgotten = forgotten - {"reads"}
    assert {name for name in forgotten if after[name] != new[name]} == set()
    assert copy.inbox.received > heard or reset is end_stream, "what was asked before is void"


async def test_what_is_not_told_any_more_is_stale() -> None:
    copy = await used(ours=True)
    resets.begin_anew(copy, "a new session began")
    assert (copy.record.state, copy.record.reason) == (SyncState.STALE, "a new session began")
    copy = await used(ours=False)
    resets.begin_session(copy, "a new session began")
    assert copy.record.state is SyncState.LIVE, "the session of the worker that follows it goes on"


async def test_what_is_closed_says_until_when_its_rows_are_kept() -> None:
    copy = await used(ours=True)
    resets.close(copy, "refused", 5)
    record = copy.record
    assert (record.state, record.complete, record.reason, record.retry_at) == (SyncState.GONE, False, "refused", 5)
