"""Serve, fetch or refuse: every situation, by every policy."""

from __future__ import annotations

from typing import Any

import pytest

from newsstand.model import ItemsRequest, NodeKey, Policy, SyncState
from newsstand.rules.behaviour import Behaviour, ServiceBehaviour, Take
from newsstand.rules.policy import Decision, Fetch, Refuse, Serve, Situation, decide

KEY = NodeKey("romeo@montague.example", "pubsub.montague.example", "news")
ALL = ItemsRequest(KEY)
LAST_TWO = ItemsRequest(KEY, max_items=2)
ONE = ItemsRequest(KEY, item_ids=("a",))
PAGE = ItemsRequest(KEY, paged=True)
KNOWN = ServiceBehaviour(
    new=Behaviour.LAST,
    overwritten=Behaviour.LAST,
    limited=Behaviour.REVERSED,
    limited_set=Behaviour.LEFT_OUT,
    several_ids=Behaviour.REQUEST_ORDER,
    missing_id=Behaviour.SKIPPED,
    paging=Behaviour.IGNORED,
)
NOT_VOUCHED = Fetch(Serve(Take.ALL, stale=True))
PARTIAL = Serve(Take.ALL, stale=True)
REFUSED = Refuse("the copy holds nothing of this node")


def situation(**different: Any) -> Situation:
    """That of a live node whose service can be reached, but for what is different."""
    usual: dict[str, Any] = {"state": SyncState.LIVE, "complete": True, "count": 5, "connected": True}
    return Situation(**(usual | different))


@pytest.mark.parametrize(
    ("where", "usually", "only_copy"),
    [
        (None, Fetch(None), REFUSED),
        (situation(), Serve(Take.ALL, stale=False), Serve(Take.ALL, stale=False)),
        (situation(count=0), Serve(Take.ALL, stale=False), Serve(Take.ALL, stale=False)),
        (situation(arriving=True), Serve(Take.ALL, stale=False, wait=True), Serve(Take.ALL, stale=False, wait=True)),
        (situation(connected=False), NOT_VOUCHED, Serve(Take.ALL, stale=True)),
        (situation(writing=True), NOT_VOUCHED, Serve(Take.ALL, stale=True)),
        (situation(doubtful=True), NOT_VOUCHED, Serve(Take.ALL, stale=True)),
        (situation(state=SyncState.STALE), NOT_VOUCHED, Serve(Take.ALL, stale=True)),
        (situation(state=SyncState.FAILED), NOT_VOUCHED, Serve(Take.ALL, stale=True)),
        (situation(state=SyncState.SYNCING), NOT_VOUCHED, Serve(Take.ALL, stale=True)),
        (situation(state=SyncState.SYNCING, complete=False), Fetch(None), PARTIAL),
        (situation(state=SyncState.STALE, complete=False), Fetch(None), PARTIAL),
        (situation(state=SyncState.STALE, complete=False, connected=False), Fetch(None), PARTIAL),
        (situation(complete=False), Fetch(None), PARTIAL),
        (situation(state=SyncState.FAILED, complete=False, count=0), Fetch(None), REFUSED),
        (situation(state=SyncState.GONE), Fetch(None), REFUSED),
        (situation(state=SyncState.GONE, connected=False), Fetch(None), REFUSED),
        (situation(state=SyncState.UNSYNCED), Fetch(None), REFUSED),
        (situation(quarantined=True), Fetch(None), Serve(Take.ALL, stale=False)),
        (situation(quarantined=True, connected=False), Fetch(None), Serve(Take.ALL, stale=True)),
    ],
)
def test_every_situation_has_its_decision(where: Situation | None, usually: Decision, only_copy: Decision) -> None:
    assert decide(ALL, where, KNOWN) == usually
    assert decide(ALL, where, KNOWN, Policy.ASK_WHEN_STALE) == usually
    assert decide(ALL, where, KNOWN, Policy.ONLY_COPY, part=True) == only_copy
    if where is not None and not where.complete:  # an analyser's policy gives no program a part
        assert isinstance(decide(ALL, where, KNOWN, Policy.ONLY_COPY), Refuse)
    else:
        assert decide(ALL, where, KNOWN, Policy.ONLY_COPY) == only_copy
    assert decide(ALL, where, KNOWN, Policy.ONLY_SERVICE) == Fetch(None)


@pytest.mark.parametrize(
    ("request_", "take"),
    [(ALL, Take.ALL), (LAST_TWO, Take.LAST_REVERSED), (ONE, Take.IDS), (PAGE, Take.ALL)],
)
def test_the_copy_answers_as_the_service_would(request_: ItemsRequest, take: Take) -> None:
    assert decide(request_, situation(), KNOWN) == Serve(take, stale=False)
    assert decide(request_, situation(connected=False), KNOWN) == Fetch(Serve(take, stale=True))


@pytest.mark.parametrize(("request_", "nearest"), [(LAST_TWO, Take.LAST), (ONE, Take.IDS)])
def test_where_the_services_way_is_unknown_the_nearest_answers_only_if_the_service_cannot(
    request_: ItemsRequest, nearest: Take
) -> None:
    assert decide(request_, situation(), ServiceBehaviour()) == Fetch(Serve(nearest, stale=True))
    assert decide(request_, situation(), ServiceBehaviour(), Policy.ONLY_COPY) == Serve(nearest, stale=False)


def test_where_no_item_is_missing_it_matters_not_what_the_service_says_of_missing_ones() -> None:
    for missing in (Behaviour.UNKNOWN, Behaviour.REFUSED, Behaviour.VARIES):
        assert decide(ONE, situation(holds_all=True), ServiceBehaviour(missing_id=missing)) == Serve(
            Take.IDS, stale=False
        )
        assert decide(ONE, situation(holds_all=False), ServiceBehaviour(missing_id=missing)) == Fetch(
            Serve(Take.IDS, stale=True)
        )


@pytest.mark.parametrize(
    "where",
    [
        situation(state=SyncState.STALE),
        situation(state=SyncState.SYNCING, doubtful=True),
        situation(state=SyncState.FAILED),
        situation(doubtful=True),
        situation(connected=False),
    ],
)
def test_a_stale_copy_is_served_at_once_where_the_policy_says_so(where: Situation) -> None:
    assert decide(ALL, where, KNOWN, Policy.SERVE_STALE) == Serve(Take.ALL, stale=True)


@pytest.mark.parametrize("where", [None, situation(complete=False), situation(state=SyncState.GONE)])
def test_where_there_is_no_copy_to_serve_no_policy_makes_one_up(where: Situation | None) -> None:
    assert decide(ALL, where, KNOWN, Policy.SERVE_STALE) == Fetch(None)
    assert decide(ALL, where, KNOWN, max_age=1e9) == Fetch(None)


@pytest.mark.parametrize(("policy", "max_age"), [(Policy.SERVE_STALE, None), (Policy.ASK_WHEN_STALE, 1e9)])
def test_a_program_that_wrote_is_not_served_what_was_before(policy: Policy, max_age: float | None) -> None:
    assert decide(ALL, situation(writing=True, age=1), KNOWN, policy, max_age) == NOT_VOUCHED


@pytest.mark.parametrize("policy", [Policy.ASK_WHEN_STALE, Policy.SERVE_STALE])
def test_within_its_age_a_copy_answers_and_beyond_it_the_service(policy: Policy) -> None:
    live, stale = situation(age=60), situation(age=60, state=SyncState.STALE)
    assert decide(ALL, live, KNOWN, policy, 60) == Serve(Take.ALL, stale=False)
    assert decide(ALL, stale, KNOWN, policy, 60) == Serve(Take.ALL, stale=True)
    assert decide(ALL, live, KNOWN, policy, 59) == NOT_VOUCHED
    assert decide(ALL, stale, KNOWN, policy, 59) == NOT_VOUCHED
    assert decide(ALL, stale, KNOWN, Policy.ONLY_COPY, 60) == Serve(Take.ALL, stale=True)
    assert decide(ALL, stale, KNOWN, Policy.ONLY_COPY, 59) == Refuse("the copy was not verified within 59 s")


@pytest.mark.parametrize("paging", [Behaviour.UNKNOWN, Behaviour.HONOURED, Behaviour.VARIES])
def test_a_page_of_a_service_that_pages_is_never_made_up(paging: Behaviour) -> None:
    for connected in (True, False):
        assert decide(PAGE, situation(connected=connected), ServiceBehaviour(paging=paging)) == Fetch(None)
