"""Which steps make the copy right."""

from __future__ import annotations

import dataclasses

import pytest

from newsstand.errors import ListingError
from newsstand.model import (
    NS_PUBSUB,
    Configured,
    Deleted,
    HeldItem,
    News,
    Published,
    Purged,
    Retracted,
    SeenItem,
    SubscriptionChanged,
)
from newsstand.rules.behaviour import Behaviour, ServiceBehaviour
from newsstand.rules.doubts import CLEAR, Doubts
from newsstand.rules.reconcile import (
    Applied,
    Clear,
    Move,
    Place,
    Put,
    Remove,
    Step,
    doubts_after,
    plan_listing,
    plan_news,
)

WAYS = ServiceBehaviour(new=Behaviour.LAST, overwritten=Behaviour.STAYS)


def seen(item_id: str, text: str = "old", publisher: str | None = None) -> SeenItem:
    by = "" if publisher is None else f' publisher="{publisher}"'
    xml = f'<item xmlns="{NS_PUBSUB}" id="{item_id}"{by}><x xmlns="urn:x">{text}</x></item>'
    return SeenItem(item_id, xml, publisher)


def held(order: str, first: int = 0) -> list[HeldItem]:
    return [HeldItem(id_, seen(id_).content_digest, first + i) for i, id_ in enumerate(order)]


def listed(order: str) -> list[SeenItem]:
    return [seen(id_) for id_ in order]


# A listing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [-7, 0, 1_000])
def test_a_copy_that_is_right_is_left_alone(first: int) -> None:
    assert plan_listing(held("abc", first=first), listed("abc")) == []
    assert plan_listing(reversed(held("abc", first=first)), listed("abc")) == []


@pytest.mark.parametrize(
    ("before", "after", "steps"),
    [
        ("", "", []),
        ("", "ab", [Put(seen("a"), 0, 0), Put(seen("b"), 1, 1)]),
        ("ab", "", [Remove(("a", "b"))]),
        ("ab", "abc", [Put(seen("c"), 2, 2)]),
        ("ab", "cab", [Put(seen("c"), -1, -1)]),
        ("ab", "acb", [Put(seen("c"), 1, 1), Move(seen("b").digest, 2)]),
        ("abc", "ac", [Remove(("b",))]),
        ("abc", "bca", [Move(seen("a").digest, 3)]),
        ("abc", "xyz", [Remove(("a", "b", "c")), *(Put(seen(id_), i, i) for i, id_ in enumerate("xyz"))]),
    ],
)
def test_only_what_differs_is_written(before: str, after: str, steps: list[Step]) -> None:
    assert plan_listing(held(before), listed(after)) == steps


def test_an_item_with_other_contents_is_put_where_it_is() -> None:
    new = seen("b", "new")
    assert plan_listing(held("abc"), [seen("a"), new, seen("c")]) == [Put(new, 1, 1)]


def test_a_listing_that_names_an_item_twice_is_refused() -> None:
    with pytest.raises(ListingError, match="twice"):
        plan_listing(held("a"), listed("aba"))


# News ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "place"),
    [
        (Behaviour.LAST, Place.LAST),
        (Behaviour.FIRST, Place.FIRST),
        (Behaviour.STAYS, Place.KEEP),
        (Behaviour.UNKNOWN, Place.KEEP),
        (Behaviour.VARIES, Place.KEEP),
    ],
)
def test_a_published_item_goes_where_its_service_puts_it(way: Behaviour, place: Place) -> None:
    plan = plan_news([Published((seen("a"),))], ServiceBehaviour(overwritten=way), False)
    assert plan.steps == (Put(seen("a"), Place.KEEP, place),)
    if way is not Behaviour.STAYS:
        plan = plan_news([Published((seen("a"),))], ServiceBehaviour(new=way), False)
        assert plan.steps == (Put(seen("a"), place, Place.KEEP),)


def test_each_kind_of_news_has_its_step() -> None:
    put = Put(seen("a"), Place.LAST, Place.KEEP)
    cases: list[tuple[News, tuple[Step, ...]]] = [
        (Published((seen("a"),)), (put,)),
        (Retracted(("a", "b")), (Remove(("a", "b")),)),
        (Purged(), (Clear(),)),
        (Deleted(), (Clear(),)),
        (Configured(), ()),
        (SubscriptionChanged("none"), ()),
    ]
    for news, steps in cases:
        assert plan_news([news], WAYS, False).steps == steps


def test_what_a_purge_took_is_not_written_first() -> None:
    plan = plan_news([Published((seen("a"),)), Purged(), Published((seen("b"),))], WAYS, False)
    assert plan.steps == (Clear(), Put(seen("b"), Place.LAST, Place.KEEP))


def test_what_follows_from_news_is_told_beside_the_steps() -> None:
    assert plan_news([Configured()], WAYS, False).doubts.relist
    assert plan_news([Deleted()], WAYS, False).deleted
    assert plan_news([Deleted(), Published((seen("a"),))], WAYS, False).deleted  # another node of the same name
    assert not plan_news([Purged()], WAYS, False).deleted
    assert plan_news([SubscriptionChanged("pending"), SubscriptionChanged("none")], WAYS, False).subscription == "none"
    nothing = plan_news([], WAYS, False)
    assert (nothing.doubts, nothing.deleted, nothing.subscription) == (CLEAR, False, None)


@pytest.mark.parametrize(
    "item",
    [
        SeenItem("a", seen("a").xml, has_payload=False),
        seen("a", publisher="p"),
    ],
)
def test_an_item_that_may_be_listed_otherwise_is_fetched_again_and_put_in_its_place(item: SeenItem) -> None:
    plan = plan_news([Published((item,))], WAYS, None)
    assert plan.doubts.refetch == {"a"}
    (step,) = plan.steps
    assert isinstance(step, Put)
    assert not step.item.exact


def test_an_item_that_cannot_be_kept_is_not_asked_for_again() -> None:
    item = SeenItem("a", "", quarantine="too deep")
    plan = plan_news([Published((item,))], WAYS, None)
    assert (plan.steps, plan.doubts.refetch) == ((Put(item, Place.LAST, Place.KEEP),), frozenset())


@pytest.mark.parametrize(
    "after", [Published((seen("a"),)), Retracted(("a",)), Purged(), Deleted(), Retracted(("b", "a"))]
)
def test_what_became_clear_meanwhile_is_not_fetched_again(after: News) -> None:
    unclear = Published((dataclasses.replace(seen("a"), has_payload=False),))
    assert plan_news([unclear, after], WAYS, False).doubts.refetch == frozenset()
    assert plan_news([after, unclear], WAYS, False).doubts.refetch == {"a"}


def test_a_publisher_is_stored_as_the_service_would_list_it() -> None:
    told = Published((seen("a", publisher="p"),))
    for shows, expected in ((True, seen("a", publisher="p").xml), (False, seen("a").xml)):
        plan = plan_news([told], WAYS, shows)
        assert plan.doubts.refetch == frozenset()
        (step,) = plan.steps
        assert isinstance(step, Put)
        assert step.item.read()[1] == expected


# Doubts ----------------------------------------------------------------------------------------------------

KNOWN = ServiceBehaviour(new=Behaviour.LAST, overwritten=Behaviour.LAST)


@pytest.mark.parametrize(
    ("applied", "behaviour", "doubts"),
    [
        (Applied(1, 3), KNOWN, Doubts()),
        (Applied(1, 3, inserted=("a",), grew=True), KNOWN, Doubts(check_ids=True)),
        (
            Applied(1, 3, inserted=("a",), grew=True),
            ServiceBehaviour(overwritten=Behaviour.LAST),
            Doubts(relist=True, check_ids=True),
        ),
        (
            Applied(1, 3, inserted=("a",), grew=True),
            ServiceBehaviour(new=Behaviour.VARIES),
            Doubts(relist=True, check_ids=True),
        ),
        (Applied(1, 3, removed=("a",), grew=True), KNOWN, Doubts(check_ids=True)),
        (Applied(1, 1, inserted=("a",), grew=True), ServiceBehaviour(), Doubts(check_ids=True)),
        (Applied(1, 3, overwritten=("a",)), KNOWN, Doubts()),
        (Applied(1, 3, overwritten=("a",)), ServiceBehaviour(overwritten=Behaviour.STAYS), Doubts()),
        (
            Applied(1, 3, overwritten=("a",), kept_in_place=True),
            ServiceBehaviour(new=Behaviour.LAST),
            Doubts(relist=True),
        ),
        (
            Applied(1, 3, overwritten=("a",), kept_in_place=True),
            ServiceBehaviour(overwritten=Behaviour.VARIES),
            Doubts(relist=True),
        ),
        (
            Applied(1, 3, inserted=("a",), grew=True, kept_in_place=True),
            ServiceBehaviour(new=Behaviour.LAST),
            Doubts(relist=True, check_ids=True),
        ),
        (Applied(1, 1, overwritten=("a",)), ServiceBehaviour(), Doubts()),
        (Applied(1, 3, removed=("a",)), ServiceBehaviour(), Doubts()),
        (Applied(1, 3, missed=("x",)), KNOWN, Doubts(relist=True)),
    ],
)
def test_what_was_applied_leaves_the_doubts_that_it_must(
    applied: Applied, behaviour: ServiceBehaviour, doubts: Doubts
) -> None:
    assert doubts_after(applied, behaviour) == doubts
    assert doubts.is_any is (doubts.relist or doubts.check_ids)


def test_an_item_that_may_have_been_evicted_meanwhile_may_have_a_new_one_s_place() -> None:
    behaviour = ServiceBehaviour(new=Behaviour.LAST, overwritten=Behaviour.STAYS)
    assert doubts_after(Applied(1, 3, overwritten=("a",)), behaviour) == Doubts()
    assert doubts_after(Applied(1, 3, overwritten=("a",)), behaviour, unchecked=True) == Doubts(relist=True)
    assert doubts_after(Applied(1, 3, overwritten=("a",)), KNOWN, unchecked=True) == Doubts()
    assert doubts_after(Applied(1, 3, overwritten=("a",), grew=True), behaviour).relist


def test_a_retract_that_comes_twice_raises_no_doubt() -> None:
    assert not doubts_after(Applied(1, 3, missed=("x",)), KNOWN, known_gone={"x"}).is_any
    assert not doubts_after(Applied(1, 3, removed=("x",), missed=("x",)), KNOWN).is_any
    assert doubts_after(Applied(1, 3, missed=("x", "y")), KNOWN, known_gone={"x"}).is_any


def test_applied_steps_changed_something_when_an_item_came_or_went() -> None:
    assert not Applied(1, 3, missed=("x",)).brought
    assert Applied(1, 3, inserted=("a",), grew=True).brought
    assert Applied(1, 3, overwritten=("a",)).brought
    assert not Applied(1, 3, removed=("a",)).brought  # nothing of it is to be parsed
