"""What this process knows of each copy."""

from __future__ import annotations

import math
from typing import Any

import pytest

from newsstand.model import (
    NodeKey,
    NodeRecord,
    Notification,
    Purged,
    SyncState,
    Verdict,
)
from newsstand.rules.doubts import OWN_WRITE, RELIST, Doubts, refetch
from newsstand.rules.policy import Situation
from newsstand.state.copies import Copies, Copy
from newsstand.state.doubts import doubt

KEY = NodeKey("romeo@montague.example", "pubsub.montague.example", "news")
TOLD = Notification(KEY, (Purged(),))


def copy_of(**known: Any) -> Copy:
    usual: dict[str, Any] = {"verdict": Verdict.WANTED, "state": SyncState.LIVE, "complete": True, "item_count": 3}
    return Copy(NodeRecord(1, KEY, **(usual | known)))


def test_only_wanted_nodes_that_are_still_there_are_followed() -> None:
    assert copy_of().followed
    assert copy_of(state=SyncState.FAILED).followed
    assert not copy_of(state=SyncState.GONE).followed
    assert not copy_of(verdict=Verdict.UNWANTED).followed
    assert not copy_of(verdict=Verdict.UNDECIDED).followed


def test_a_copy_that_is_at_rest_vouches_for_itself() -> None:
    assert copy_of().situation(True, 0, holds_all=False) == Situation(
        SyncState.LIVE, complete=True, count=3, connected=True
    )


def test_the_age_of_a_copy_is_counted_from_when_it_was_verified() -> None:
    copy = copy_of(verified_at=5_000_000)
    assert copy.situation(True, 7_500_000, holds_all=False).age == 2.5
    assert copy.situation(True, 1, holds_all=False).age == 0, "a clock that went back makes nothing older"
    assert copy_of().situation(True, 7_500_000, holds_all=False).age == math.inf


def test_a_copy_behind_the_programs_own_writes_says_so() -> None:
    copy = copy_of()
    doubt(copy, OWN_WRITE)
    assert copy.situation(True, 0, holds_all=False).writing


def test_whatever_is_under_way_is_part_of_the_situation() -> None:
    copy = copy_of(quarantined=1)
    copy.inbox.put(TOLD)
    copy.own.begin()
    copy.own.begin()
    doubt(copy, refetch("a"))
    assert copy.situation(False, 0, holds_all=True) == Situation(
        SyncState.LIVE,
        complete=True,
        count=3,
        connected=False,
        arriving=True,
        writing=True,
        doubtful=True,
        quarantined=True,
        holds_all=True,
    )


@pytest.mark.parametrize("doubts", [RELIST, Doubts(check_ids=True), refetch("a")])
def test_any_doubt_makes_a_copy_doubtful(doubts: Doubts) -> None:
    copy = copy_of()
    assert not copy.doubtful
    doubt(copy, doubts)
    assert copy.doubtful


def test_an_update_changes_what_is_remembered_and_nothing_else() -> None:
    copy = copy_of()
    copy.update(revision=7)
    assert copy.record.revision == 7
    assert copy.record.item_count == 3


# All of them -------------------------------------------------------------------------------------------------


def test_copies_are_found_by_node_and_by_id() -> None:
    copies = Copies()
    copy = copies.add(NodeRecord(5, KEY))
    assert copies.find(KEY) is copy
    assert copies.by_id(5) is copy
    assert list(copies) == [copy]
    copies.drop(copy)
    assert copies.find(KEY) is copies.by_id(5) is None
    assert list(copies) == []


def test_one_account_never_finds_another_ones_copy() -> None:
    copies = Copies()
    copies.add(NodeRecord(5, KEY))
    assert copies.find(KEY._replace(account="juliet@capulet.example")) is None
    assert copies.find(KEY._replace(service="pubsub.capulet.example")) is None


def test_a_node_has_one_copy_whatever_becomes_known_of_it() -> None:
    copies = Copies()
    copy = copies.add(NodeRecord(5, KEY))
    doubt(copy, RELIST)
    record = NodeRecord(5, KEY, revision=2)
    assert copies.add(record) is copy
    assert copy.record is record
    assert copy.doubts.relist


def test_the_followed_are_counted() -> None:
    copies = Copies()
    for number, verdict in enumerate(Verdict):
        copies.add(NodeRecord(number, KEY._replace(node=str(number)), verdict=verdict))
    assert copies.followed == 1


def test_copies_may_be_dropped_while_they_are_gone_through() -> None:
    copies = Copies()
    for number in range(3):
        copies.add(NodeRecord(number, KEY._replace(node=str(number))))
    for copy in copies:
        copies.drop(copy)
    assert list(copies) == []
