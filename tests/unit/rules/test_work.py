"""What is to be done next about a copy."""

from __future__ import annotations

from typing import Any

import pytest

from newsstand.model import SyncState
from newsstand.rules.batch_sizes import ID_BATCH
from newsstand.rules.doubts import CLEAR, NOT_TOLD, OWN_WRITE, RELIST, Chores, Doubts, refetch
from newsstand.rules.work import (
    CheckIds,
    Confirm,
    Job,
    LearnCursors,
    ListAll,
    Refetch,
    Revalidate,
    TakeStock,
    is_large,
    next_job,
)

EVERY_DOUBT = Doubts(relist=True, refetch=frozenset("ab"), check_ids=True)
EVERY_CHORE = Chores(confirm=True, revalidate=True, cursors=True)
NOT_LIVE = [state for state in SyncState if state is not SyncState.LIVE]


def job(state: SyncState, doubts: Doubts = CLEAR, chores: Chores = Chores(), **known: Any) -> Job | None:  # noqa: B008
    usual = {"stocked": False, "waited_for": False, "large": False}
    return next_job(state, doubts, chores, **(usual | known))


@pytest.mark.parametrize(
    ("doubts", "chores", "expected"),
    [
        (CLEAR, Chores(), None),
        (OWN_WRITE, Chores(), None),
        (RELIST, Chores(), ListAll()),
        (NOT_TOLD, Chores(), ListAll()),
        (EVERY_DOUBT, EVERY_CHORE, ListAll()),
        (refetch("b", "a"), Chores(), Refetch(("a", "b"))),
        (Doubts(refetch=frozenset("ab"), check_ids=True), EVERY_CHORE, Refetch(("a", "b"))),
        (Doubts(check_ids=True), Chores(), CheckIds()),
        (Doubts(check_ids=True), EVERY_CHORE, CheckIds()),
        (CLEAR, EVERY_CHORE, Confirm()),
        (CLEAR, Chores(confirm=True), Confirm()),
        (CLEAR, Chores(revalidate=True, cursors=True), Revalidate()),
        (CLEAR, Chores(revalidate=True), Revalidate()),
        (CLEAR, Chores(cursors=True), LearnCursors()),
    ],
)
@pytest.mark.parametrize("stocked", [False, True])
@pytest.mark.parametrize("waited_for", [False, True])
@pytest.mark.parametrize("large", [False, True])
def test_of_a_live_copy_doubts_come_before_chores(
    doubts: Doubts, chores: Chores, expected: Job | None, stocked: bool, waited_for: bool, large: bool
) -> None:
    assert job(SyncState.LIVE, doubts, chores, stocked=stocked, waited_for=waited_for, large=large) == expected


@pytest.mark.parametrize("state", NOT_LIVE)
@pytest.mark.parametrize("doubts", [CLEAR, EVERY_DOUBT])
@pytest.mark.parametrize("chores", [Chores(), EVERY_CHORE])
@pytest.mark.parametrize(
    ("large", "stocked", "waited_for", "expected"),
    [
        (True, False, False, TakeStock()),
        (True, False, True, ListAll()),
        (True, True, False, ListAll()),
        (True, True, True, ListAll()),
        (False, False, False, ListAll()),
        (False, True, True, ListAll()),
    ],
)
def test_what_is_not_live_is_listed_and_stock_is_taken_before_of_what_is_large_and_not_waited_for(
    state: SyncState, doubts: Doubts, chores: Chores, large: bool, stocked: bool, waited_for: bool, expected: Job
) -> None:
    assert job(state, doubts, chores, large=large, stocked=stocked, waited_for=waited_for) == expected


def test_many_items_are_fetched_a_few_at_a_time() -> None:
    ids = [f"{number:03}" for number in range(3 * ID_BATCH)]
    assert job(SyncState.LIVE, refetch(*ids)) == Refetch(tuple(ids[:ID_BATCH]))


def test_a_node_is_large_that_was_complete_and_takes_more_than_a_page() -> None:
    assert is_large(complete=True, count=51, page_size=50)
    assert not is_large(complete=True, count=50, page_size=50)
    assert not is_large(complete=False, count=51, page_size=50)
