"""What no decision may ever be."""

from __future__ import annotations

import dataclasses
import math

from hypothesis import given
from hypothesis import strategies as st

from newsstand.model import ItemsRequest, NodeKey, Policy, SyncState
from newsstand.rules.behaviour import Behaviour, ServiceBehaviour, Take, foresee
from newsstand.rules.policy import Decision, Fetch, Refuse, Serve, Situation, decide

OTHERS = NodeKey("romeo@montague.example", "pubsub.montague.example", "news")
OWN = OTHERS._replace(service=OTHERS.account)

situations = st.none() | st.builds(
    Situation,
    state=st.sampled_from(SyncState),
    complete=st.booleans(),
    count=st.integers(0, 5),
    connected=st.booleans(),
    arriving=st.booleans(),
    writing=st.booleans(),
    doubtful=st.booleans(),
    quarantined=st.booleans(),
    holds_all=st.booleans(),
    knows_cursors=st.booleans(),
    age=st.sampled_from([0.0, 10.0, 1000.0, math.inf]),
)
behaviour = st.builds(
    ServiceBehaviour, **{field.name: st.sampled_from(Behaviour) for field in dataclasses.fields(ServiceBehaviour)}
)
keys = st.sampled_from([OTHERS, OWN])
requests = st.one_of(
    st.builds(ItemsRequest, keys, max_items=st.none() | st.integers(1, 6), paged=st.booleans()),
    st.builds(ItemsRequest, keys, st.lists(st.sampled_from("abc"), min_size=1).map(tuple), paged=st.booleans()),
)
policies = st.sampled_from(Policy)


def served(decision: Decision) -> Serve | None:
    """What of the copy might be shown, now or if the service cannot answer."""
    match decision:
        case Serve():
            return decision
        case Fetch(fallback):
            return fallback
        case Refuse():
            return None


@given(requests, situations, behaviour, policies, st.booleans())
def test_only_a_copy_of_a_node_that_is_there_is_ever_shown_and_a_part_only_where_it_was_asked_for(
    request: ItemsRequest, where: Situation | None, known: ServiceBehaviour, policy: Policy, part: bool
) -> None:
    shown = served(decide(request, where, known, policy, part=part))
    if shown is not None:
        assert where is not None
        assert where.complete or (part and policy is Policy.ONLY_COPY and shown.stale)
        assert where.state not in (SyncState.GONE, SyncState.UNSYNCED)


@given(requests, situations, behaviour, policies)
def test_only_a_copy_that_is_vouched_for_is_shown_as_fresh(
    request: ItemsRequest, where: Situation | None, known: ServiceBehaviour, policy: Policy
) -> None:
    shown = served(decide(request, where, known, policy))
    if shown is not None and not shown.stale:
        assert where is not None
        assert where.state is SyncState.LIVE
        assert where.connected
        assert not where.writing
        assert not where.doubtful


@given(requests, situations, behaviour)
def test_without_being_asked_for_only_what_the_service_would_say_is_served(
    request: ItemsRequest, where: Situation | None, known: ServiceBehaviour
) -> None:
    decision = decide(request, where, known)
    assert not isinstance(decision, Refuse)
    if isinstance(decision, Serve):
        assert where is not None
        assert decision.take is foresee(
            known, request, where.count, holds_all=where.holds_all, knows_cursors=where.knows_cursors
        )
        assert not decision.stale
        assert not where.quarantined


@given(requests, situations, behaviour)
def test_an_item_that_could_not_be_kept_is_never_hidden(
    request: ItemsRequest, where: Situation | None, known: ServiceBehaviour
) -> None:
    if where is not None and where.quarantined:
        assert decide(request, where, known) == Fetch(None)


@given(requests, situations, behaviour)
def test_what_arrives_is_waited_for(request: ItemsRequest, where: Situation | None, known: ServiceBehaviour) -> None:
    decision = decide(request, where, known)
    if isinstance(decision, Serve):
        assert where is not None
        assert decision.wait is where.arriving


@given(requests, situations, behaviour, policies)
def test_a_page_is_answered_only_where_the_service_is_known_to_ignore_it(
    request: ItemsRequest, where: Situation | None, known: ServiceBehaviour, policy: Policy
) -> None:
    decision = decide(request, where, known, policy)
    if request.paged and policy is not Policy.ONLY_COPY and served(decision) is not None:
        assert known.paging is Behaviour.IGNORED


@given(requests, situations, behaviour)
def test_when_the_service_cannot_be_reached_a_complete_copy_stands_in_for_it(
    request: ItemsRequest, where: Situation | None, known: ServiceBehaviour
) -> None:
    there = where is not None and where.complete and where.state not in (SyncState.GONE, SyncState.UNSYNCED)
    if where is not None and there and not where.connected and not where.quarantined and not request.paged:
        decision = decide(request, where, known)
        assert isinstance(decision, Fetch)
        assert decision.fallback is not None
        assert decision.fallback.stale


@given(requests, situations, behaviour, policies)
def test_who_is_asked_is_as_the_policy_says(
    request: ItemsRequest, where: Situation | None, known: ServiceBehaviour, policy: Policy
) -> None:
    decision = decide(request, where, known, policy)
    match policy:
        case Policy.ONLY_SERVICE:
            assert decision == Fetch(None)
        case Policy.ONLY_COPY:
            assert not isinstance(decision, Fetch)
        case Policy.ASK_WHEN_STALE | Policy.SERVE_STALE:
            assert not isinstance(decision, Refuse)


@given(requests, situations, behaviour, policies, st.none() | st.floats(0, 2000))
def test_an_age_is_never_exceeded_and_an_own_write_never_passed_by(
    request: ItemsRequest, where: Situation | None, known: ServiceBehaviour, policy: Policy, max_age: float | None
) -> None:
    decision = decide(request, where, known, policy, max_age)
    if isinstance(decision, Serve):
        assert where is not None
        assert max_age is None or where.age <= max_age
        assert not where.writing or policy is Policy.ONLY_COPY


@given(requests, situations, behaviour, policies)
def test_the_items_shown_are_of_the_kind_that_was_asked_for(
    request: ItemsRequest, where: Situation | None, known: ServiceBehaviour, policy: Policy
) -> None:
    shown = served(decide(request, where, known, policy))
    if shown is None:
        return
    if request.item_ids:
        assert shown.take in (Take.IDS, Take.IDS_IN_NODE_ORDER)
    elif request.max_items is None:
        assert shown.take is Take.ALL
    else:
        assert where is not None
        assert shown.take not in (Take.IDS, Take.IDS_IN_NODE_ORDER)
        assert shown.take is not Take.ALL or where.count <= 1
