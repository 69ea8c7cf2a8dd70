"""Errors are remembered briefly, and longer while a program insists."""

from __future__ import annotations

import pytest

from newsstand.errors import StanzaError
from newsstand.model import ItemsRequest, NodeKey
from newsstand.refusals import FIRST, MOST, Refusals

KEY = NodeKey("romeo@montague.example", "pubsub.montague.example", "news")
ALL = ItemsRequest(KEY)
MISSING = StanzaError("cancel", "item-not-found")
LONGEST = 4.0


@pytest.fixture
def refusals() -> Refusals:
    return Refusals(LONGEST)


def pause(refusals: Refusals, now: float) -> float:
    """How long an error that comes now is remembered."""
    refusals.note(ALL, MISSING, now)
    known = refusals.find(ALL, now)
    if known is None:
        return 0.0
    assert refusals.find(ALL, known.until) is None
    return known.until - now


def remember(refusals: Refusals, request: ItemsRequest, error: StanzaError = MISSING) -> None:
    """It came, and came again."""
    for _ in range(2):
        refusals.note(request, error, 0.0)


def test_a_poll_of_a_missing_node_asks_less_and_less_often(refusals: Refusals) -> None:
    now, pauses = 100.0, []
    for _ in range(9):
        pauses.append(pause(refusals, now))
        now += pauses[-1]
    assert pauses == pytest.approx([0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, LONGEST, LONGEST])


def test_a_program_that_waited_begins_anew(refusals: Refusals) -> None:
    assert [pause(refusals, 0.0), pause(refusals, 0.5)] == pytest.approx([0.0, FIRST])
    assert pause(refusals, 0.5 + FIRST + 1.1) == 0.0


@pytest.mark.parametrize("condition", ["remote-server-timeout", "internal-server-error", "bad-request"])
def test_other_errors_are_not_remembered(refusals: Refusals, condition: str) -> None:
    remember(refusals, ALL, StanzaError("wait", condition))
    assert refusals.find(ALL, 0.0) is None


def test_whoever_is_answered_is_not_refused_the_node_any_more(refusals: Refusals) -> None:
    last, forbidden = ItemsRequest(KEY, max_items=1), StanzaError("auth", "forbidden")
    one, other = ItemsRequest(KEY, item_ids=("a",)), ItemsRequest(KEY, item_ids=("b",))
    elsewhere = ItemsRequest(NodeKey("juliet@montague.example", KEY.service, KEY.node))
    for request, error in (
        (ALL, forbidden),
        (last, MISSING),
        (one, forbidden),
        (other, MISSING),
        (elsewhere, forbidden),
    ):
        remember(refusals, request, error)
    refusals.answered(ItemsRequest(KEY, max_items=5))
    assert [refusals.find(request, 0.0) is None for request in (ALL, last, one)] == [True] * 3
    known = refusals.find(other, 0.0)
    assert known is not None, "an item may be missing in a node that is there"
    assert refusals.find(elsewhere, 0.0) is not None
    refusals.answered(other)
    assert refusals.find(other, 0.0) is None


def test_only_the_same_request_is_answered_so(refusals: Refusals) -> None:
    remember(refusals, ALL)
    remember(refusals, ItemsRequest(KEY, paged=True))
    for other in (ItemsRequest(KEY, item_ids=("a",)), ItemsRequest(KEY, max_items=1), ItemsRequest(KEY, paged=True)):
        assert refusals.find(other, 0.0) is None


@pytest.mark.parametrize(
    ("service", "node", "known"),
    [(KEY.service, None, False), (KEY.service, KEY.node, False), (KEY.service, "other", True), ("other", None, True)],
)
def test_what_happens_there_ends_it(refusals: Refusals, service: str, node: str | None, known: bool) -> None:
    remember(refusals, ALL)
    refusals.forget(service=service, node=node)
    assert (refusals.find(ALL, 0.0) is not None) is known


def test_it_does_not_grow_without_bound(refusals: Refusals) -> None:
    for number in range(MOST + 5):
        remember(refusals, ItemsRequest(KEY, item_ids=(str(number),)))
    assert refusals.find(ItemsRequest(KEY, item_ids=("4",)), 0.0) is None
    assert refusals.find(ItemsRequest(KEY, item_ids=("5",)), 0.0) is not None
