"""What is in doubt of a copy, as a value."""

from __future__ import annotations

import dataclasses

import pytest

from newsstand.rules.doubts import CLEAR, NOT_TOLD, OWN_WRITE, RELIST, Chores, Doubts, refetch

ALL = Doubts(relist=True, resubscribe=True, refetch=frozenset("ab"), check_ids=True, own_write=True)
ONE_EACH = [RELIST, Doubts(resubscribe=True), refetch("a", "b"), Doubts(check_ids=True), OWN_WRITE]


def test_doubts_are_joined_and_taken_out_one_by_one() -> None:
    """Whoever adds a kind of doubt sees here that it is joined and taken out, too."""
    assert len(ONE_EACH) == len([field for field in dataclasses.fields(Doubts) if field.init])
    doubts = CLEAR
    for one in ONE_EACH:
        doubts |= one
    assert doubts == ALL
    for one in ONE_EACH:
        assert CLEAR | one == one
        left = ALL.without(one)
        assert left != ALL
        assert left | one == ALL
    assert ALL.without(ALL) == CLEAR


def test_of_items_in_doubt_only_those_that_were_fetched_are_taken_out() -> None:
    assert refetch("a", "b").without(refetch("b", "c")) == refetch("a")


@pytest.mark.parametrize("doubts", [RELIST, NOT_TOLD, refetch("a"), Doubts(check_ids=True)])
def test_what_is_to_be_looked_up_is_a_doubt(doubts: Doubts) -> None:
    assert doubts.is_any


@pytest.mark.parametrize("doubts", [CLEAR, OWN_WRITE, Doubts(resubscribe=True)])
def test_what_something_else_brings_is_none(doubts: Doubts) -> None:
    assert not doubts.is_any


def test_chores_are_joined_and_taken_out() -> None:
    every = Chores(confirm=True, revalidate=True, cursors=True)
    chores = Chores()
    for field in dataclasses.fields(Chores):
        one = Chores(**{field.name: True})
        chores |= one
        assert every.without(one) | one == every
        assert every.without(one) != every
    assert chores == every
