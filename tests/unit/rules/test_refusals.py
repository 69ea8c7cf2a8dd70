"""Errors are remembered briefly, and longer while a program insists."""

from __future__ import annotations

import pytest

from newsstand.errors import StanzaError
from newsstand.model import ItemsRequest, NodeKey
from newsstand.rules.refusals import FIRST, MOST, NO_PEP, Domains, Refusals

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


# Domains that have no PEP service for us ---------------------------------------------------------------------------

UNAVAILABLE = StanzaError("cancel", "service-unavailable")
LATER = 1_000_000


def refuse(domains: Domains, *accounts: str, error: StanzaError = UNAVAILABLE) -> None:
    for account in accounts:
        domains.note(f"{account}@evil.example", error, LATER)


@pytest.mark.parametrize("condition", sorted(NO_PEP))
def test_a_domain_of_which_three_accounts_refuse_is_closed(condition: str) -> None:
    domains = Domains()
    refuse(domains, "a", "b", error=StanzaError("cancel", condition))
    assert not domains.is_closed("c@evil.example", 0)
    refuse(domains, "c", error=StanzaError("cancel", condition))
    assert domains.is_closed("d@evil.example", 0)
    assert not domains.is_closed("d@evil.example", LATER)
    assert not domains.is_closed("d@well.example", 0)
    assert not domains.is_closed("evil.example", 0)


def test_one_account_that_refuses_often_closes_nothing() -> None:
    domains = Domains()
    refuse(domains, "a", "a", "a", "a/balcony")
    assert not domains.is_closed("b@evil.example", 0)


def test_a_service_that_is_no_accounts_closes_nothing() -> None:
    domains = Domains()
    for name in ("a", "b", "c"):
        domains.note(f"{name}.evil.example", UNAVAILABLE, LATER)
    assert not any(domains.is_closed(service, 0) for service in ("a.evil.example", "evil.example", "a@evil.example"))


def test_a_domain_that_answered_in_this_session_is_not_closed() -> None:
    domains = Domains()
    refuse(domains, "a", "b")
    assert not domains.answered("c@evil.example")
    refuse(domains, "d", "e", "f", "g")
    assert not domains.is_closed("h@evil.example", 0)
    domains.begin_session()
    refuse(domains, "d", "e", "f")
    assert domains.is_closed("h@evil.example", 0)


def test_that_a_node_is_missing_is_an_answer() -> None:
    domains = Domains()
    refuse(domains, "a", "b")
    refuse(domains, "c", error=StanzaError("cancel", "item-not-found"))
    refuse(domains, "d")
    assert not domains.is_closed("e@evil.example", 0)


def test_a_broken_link_says_nothing() -> None:
    domains = Domains()
    refuse(domains, "a", "b")
    refuse(domains, "c", "d", error=StanzaError("cancel", "remote-server-not-found"))
    assert not domains.is_closed("e@evil.example", 0)
    refuse(domains, "e")
    assert domains.is_closed("f@evil.example", 0)


def test_one_answer_opens_a_domain_again_and_says_so() -> None:
    domains = Domains()
    refuse(domains, "a", "b", "c")
    assert domains.answered("d@evil.example")
    assert not domains.answered("d@evil.example")
    assert not domains.is_closed("a@evil.example", 0)


def test_a_session_ends_and_a_domain_stays_closed() -> None:
    domains = Domains()
    refuse(domains, "a", "b", "c")
    domains.begin_session()
    assert domains.is_closed("d@evil.example", 0)


def test_what_was_closed_before_a_restart_is_remembered_until_the_first_node_is_due() -> None:
    domains = Domains()
    assert domains.remember("a@evil.example", LATER)
    assert domains.remember("b@evil.example", LATER - 5)
    assert domains.remember("c@evil.example", LATER + 5)
    assert domains.is_closed("d@evil.example", LATER - 6)
    assert not domains.is_closed("d@evil.example", LATER - 5)
    domains.answered("e@evil.example")
    assert not domains.remember("a@evil.example", LATER)
    assert not domains.is_closed("a@evil.example", 0)
