"""The convergence machine's judge finds what is planted for it, and forgives what nobody could know."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from newsstand.model import NodeKey
from tests.converge.judge import Judge
from tests.converge.world import Held, Reading, View

PLACE = ("juliet", 0)
EMPTY = View()
ONE = View((("i0", "<item>0</item>"),))
TWO = View((*ONE.items, ("i1", "<item>1</item>")))
THREE = View((*TWO.items, ("i2", "<item>2</item>")))


def judge_of(*views: View, live: Sequence[View] = ()) -> Judge:
    """To whom the service said `views`, and the program's copy answered `live`, as live."""
    judge = Judge()
    for view in views:
        judge.past[PLACE].note(view)
        if view in live:
            judge.live_answer(PLACE, Reading(view, from_copy=True), connected=True)
    assert not judge.divergences
    return judge


@pytest.mark.parametrize(
    "judge",
    [
        judge_of(TWO, THREE),
        judge_of(EMPTY, TWO, live=[EMPTY, TWO]),
        judge_of(THREE, View(refusal="item-not-found"), TWO),
        judge_of(View(refusal="forbidden"), TWO, live=[TWO]),
    ],
    ids=["never less", "empty once", "gone once", "refused once"],
)
def test_a_complete_copy_that_holds_too_little_is_found(judge: Judge) -> None:
    judge.held(PLACE, Held(TWO.items, complete=True))
    assert not judge.divergences
    judge.held(PLACE, Held(ONE.items, complete=True))
    [divergence] = judge.divergences
    assert "a complete copy holds too little" in divergence


@pytest.mark.parametrize(
    "judge",
    [judge_of(ONE, TWO, live=[ONE]), judge_of(TWO, View(refusal="forbidden"), THREE)],
    ids=["not told yet", "less while it was hidden"],
)
def test_a_complete_copy_may_show_any_moment_since_the_last_live_answer(judge: Judge) -> None:
    judge.held(PLACE, Held(ONE.items, complete=True))
    assert not judge.divergences


def test_what_an_incomplete_copy_holds_says_nothing() -> None:
    judge = judge_of(TWO)
    judge.held(PLACE, Held(ONE.items, complete=False))
    assert not judge.divergences


def test_after_something_untold_a_copy_is_judged_once_it_was_seen_to_be_right() -> None:
    judge = judge_of(TWO)
    past = judge.past[PLACE]
    past.lose_track()
    past.untold = False  # a fresh session begins, and may not have reached it
    judge.held(PLACE, Held(ONE.items, complete=True))
    assert not judge.divergences
    judge.live_answer(PLACE, Reading(TWO, from_copy=True), connected=True)
    judge.held(PLACE, Held(ONE.items, complete=True))
    assert len(judge.divergences) == 1


def test_the_items_of_another_accounts_copy_are_found_whatever_else_is_forgiven() -> None:
    judge = judge_of(ONE)
    judge.past[PLACE].untold = True
    foreign = frozenset({NodeKey("nurse@example.org", "pubsub.example.org", "n")})
    judge.held(PLACE, Held(ONE.items, complete=False, foreign=foreign))
    judge.live_answer(PLACE, Reading(ONE, from_copy=True, stale=True, foreign=foreign), connected=True)
    assert len(judge.divergences) == 2
