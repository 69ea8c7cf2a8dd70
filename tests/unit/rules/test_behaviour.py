"""What services do where the XEPs leave it open, and how it is learnt."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from newsstand.model import ItemsRequest, News, NodeKey, Published, Purged, Retracted, Rsm, SeenItem
from newsstand.rules.behaviour import (
    Behaviour,
    ServiceBehaviour,
    Take,
    foresee,
    learn_from_answer,
    learn_from_disco,
    place,
    set_index,
)
from newsstand.rules.evidence import said_by_order

KEY = NodeKey("romeo@montague.example", "pubsub.montague.example", "news")
ALL = ItemsRequest(KEY)
OLDEST_FIRST = ServiceBehaviour(new=Behaviour.LAST, overwritten=Behaviour.LAST, limited=Behaviour.NODE_ORDER)


def learn_from_order(
    behaviour: ServiceBehaviour, before: Sequence[str], news: Sequence[News], after: Sequence[str]
) -> ServiceBehaviour:
    """Were a single order believed."""
    return dataclasses.replace(behaviour, **said_by_order(behaviour, before, news, after))


def last(count: int) -> ItemsRequest:
    return ItemsRequest(KEY, max_items=count)


def by_ids(*ids: str) -> ItemsRequest:
    return ItemsRequest(KEY, ids)


def published(*ids: str) -> Published:
    return Published(tuple(SeenItem(id_, "") for id_ in ids))


# Learning --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "known"),
    [
        ([], Behaviour.UNKNOWN),
        ([Behaviour.LAST], Behaviour.LAST),
        ([Behaviour.LAST, Behaviour.LAST], Behaviour.LAST),
        ([Behaviour.LAST, Behaviour.FIRST], Behaviour.VARIES),
        ([Behaviour.LAST, Behaviour.FIRST, Behaviour.FIRST, Behaviour.FIRST], Behaviour.VARIES),
        ([Behaviour.VARIES, Behaviour.LAST], Behaviour.VARIES),
    ],
)
def test_a_way_seen_two_ways_varies_and_stays_so(seen: Sequence[Behaviour], known: Behaviour) -> None:
    behaviour = ServiceBehaviour()
    for way in seen:
        behaviour = behaviour.learn(new=way)
    assert behaviour == ServiceBehaviour(new=known)


def test_at_first_nothing_is_known() -> None:
    assert {getattr(ServiceBehaviour(), field.name) for field in dataclasses.fields(ServiceBehaviour)} == {
        Behaviour.UNKNOWN
    }


@pytest.mark.parametrize(
    ("answered", "learnt"),
    [
        (["b", "c"], ServiceBehaviour(new=Behaviour.LAST, limited=Behaviour.NODE_ORDER)),
        (["c", "b"], ServiceBehaviour(new=Behaviour.LAST, limited=Behaviour.REVERSED)),
        (["a", "b"], ServiceBehaviour(new=Behaviour.FIRST, limited=Behaviour.NODE_ORDER)),
        (["b", "a"], ServiceBehaviour(new=Behaviour.FIRST, limited=Behaviour.REVERSED)),
        (["a", "c"], ServiceBehaviour(limited=Behaviour.VARIES)),
        (["a", "b", "c"], ServiceBehaviour(limited=Behaviour.VARIES)),
        (["c"], ServiceBehaviour(limited=Behaviour.VARIES)),
        ([], ServiceBehaviour(limited=Behaviour.VARIES)),
    ],
)
def test_a_limited_answer_shows_which_end_is_new_and_how_it_is_ordered(
    answered: list[str], learnt: ServiceBehaviour
) -> None:
    learnt = learnt.learn(limited_set=Behaviour.LEFT_OUT)
    assert learn_from_answer(ServiceBehaviour(), last(2), ["a", "b", "c"], answered) == learnt


@pytest.mark.parametrize(
    ("count", "limit", "rsm", "learnt"),
    [
        (5, 2, Rsm("x", "y", 5, 0), Behaviour.INDEX_ZERO),
        (5, 2, Rsm("x", "y", 5, 3), Behaviour.INDEX_FROM_END),
        (1, 2, Rsm("x", "x", 1, -1), Behaviour.INDEX_FROM_END),
        (1, 2, Rsm("x", "x", 1, 0), Behaviour.INDEX_ZERO),
        (2, 2, Rsm("x", "y", 2, 0), Behaviour.UNKNOWN),
        (0, 2, Rsm(count=0), Behaviour.UNKNOWN),
        (5, 2, Rsm("x", "y", 4, 0), Behaviour.VARIES),
        (5, 2, Rsm("x", "y", 5, 1), Behaviour.VARIES),
        (5, 2, Rsm("x", "y", 5), Behaviour.VARIES),
        (5, 2, None, Behaviour.LEFT_OUT),
    ],
)
def test_a_limited_answer_shows_whether_cursors_come_along_and_whence_its_index_counts(
    count: int, limit: int, rsm: Rsm | None, learnt: Behaviour
) -> None:
    ids = [f"i{number}" for number in range(count)]
    assert learn_from_answer(ServiceBehaviour(), last(limit), ids, ids[-limit:], rsm).limited_set is learnt


def test_cursors_that_come_along_only_sometimes_are_never_foreseen() -> None:
    left_out = ServiceBehaviour(limited_set=Behaviour.LEFT_OUT)
    assert learn_from_answer(left_out, last(2), [], [], Rsm(count=0)).limited_set is Behaviour.VARIES
    assert foresee(ServiceBehaviour(limited_set=Behaviour.VARIES), last(2), 1, knows_cursors=True) is None


@pytest.mark.parametrize("shown", [Behaviour.INDEX_ZERO, Behaviour.INDEX_FROM_END])
def test_where_cursors_come_along_a_limited_answer_is_foreseen_once_they_are_known(shown: Behaviour) -> None:
    behaviour = ServiceBehaviour(new=Behaviour.LAST, limited=Behaviour.NODE_ORDER, limited_set=shown)
    assert foresee(behaviour, last(2), 3) is None
    assert foresee(behaviour, last(2), 3, knows_cursors=True) is Take.LAST
    assert foresee(behaviour, ALL, 3) is Take.ALL
    assert set_index(behaviour, 5, 2) == (0 if shown is Behaviour.INDEX_ZERO else 3)


@pytest.mark.parametrize("limit", [2, 3, 100])
def test_an_answer_that_is_the_whole_node_does_not_show_which_end_is_new(limit: int) -> None:
    assert learn_from_answer(ServiceBehaviour(), last(limit), ["a", "b"], ["a", "b"]).new is Behaviour.UNKNOWN


@pytest.mark.parametrize(
    ("wanted", "answered", "learnt"),
    [
        (("c", "a"), ["c", "a"], ServiceBehaviour(several_ids=Behaviour.REQUEST_ORDER)),
        (("c", "a"), ["a", "c"], ServiceBehaviour(several_ids=Behaviour.NODE_ORDER)),
        (("c", "b", "a"), ["b", "a", "c"], ServiceBehaviour(several_ids=Behaviour.VARIES)),
        (("a", "c"), ["a", "c"], ServiceBehaviour()),
        (("a",), ["a"], ServiceBehaviour()),
        (
            ("c", "x", "a"),
            ["c", "a"],
            ServiceBehaviour(missing_id=Behaviour.SKIPPED, several_ids=Behaviour.REQUEST_ORDER),
        ),
        (("c", "x", "a"), ["a", "c"], ServiceBehaviour(missing_id=Behaviour.SKIPPED, several_ids=Behaviour.NODE_ORDER)),
        (("c", "x", "a"), None, ServiceBehaviour(missing_id=Behaviour.REFUSED)),
        (("x",), [], ServiceBehaviour(missing_id=Behaviour.SKIPPED)),
        (("x",), ["a"], ServiceBehaviour(missing_id=Behaviour.VARIES)),
        (("a", "x"), [], ServiceBehaviour(missing_id=Behaviour.VARIES)),
        (("c", "a", "c"), ["c", "a"], ServiceBehaviour(repeated_id=Behaviour.ONCE)),
        (("c", "a", "c"), ["a", "c"], ServiceBehaviour(repeated_id=Behaviour.ONCE)),
        (("c", "a", "c"), ["c", "a", "c"], ServiceBehaviour(repeated_id=Behaviour.EACH_TIME)),
        (("c", "a", "c"), ["a", "c", "c"], ServiceBehaviour(repeated_id=Behaviour.EACH_TIME)),
        (("c", "a", "c"), ["c", "c", "a"], ServiceBehaviour(repeated_id=Behaviour.VARIES)),
        (("c", "a", "c"), None, ServiceBehaviour()),
        (("c", "a"), None, ServiceBehaviour()),
    ],
)
def test_an_answer_to_ids_shows_their_order_and_what_becomes_of_a_missing_one(
    wanted: tuple[str, ...], answered: list[str] | None, learnt: ServiceBehaviour
) -> None:
    assert learn_from_answer(ServiceBehaviour(), by_ids(*wanted), ["a", "b", "c"], answered) == learnt


def test_an_answer_to_a_page_or_to_the_whole_teaches_nothing() -> None:
    assert (
        learn_from_answer(ServiceBehaviour(), ItemsRequest(KEY, max_items=2, paged=True), ["a", "b", "c"], ["b", "c"])
        == ServiceBehaviour()
    )
    assert learn_from_answer(ServiceBehaviour(), ALL, ["a", "b"], ["b", "a"]) == ServiceBehaviour()
    assert learn_from_answer(ServiceBehaviour(), last(2), ["a", "b", "c"], None) == ServiceBehaviour()


@pytest.mark.parametrize(
    ("listed", "learnt"),
    [
        (["a", "b", "c"], Behaviour.NODE_ORDER),
        (["c", "b", "a"], Behaviour.REVERSED),
        (["b", "a", "c"], Behaviour.VARIES),
        (["a", "b"], Behaviour.UNKNOWN),
        (["a", "b", "c", "d"], Behaviour.UNKNOWN),
    ],
)
def test_disco_shows_its_order(listed: list[str], learnt: Behaviour) -> None:
    assert learn_from_disco(ServiceBehaviour(), ["a", "b", "c"], listed) == ServiceBehaviour(disco_order=learnt)


def test_disco_of_two_ids_is_too_little_to_judge_by() -> None:
    assert learn_from_disco(ServiceBehaviour(), ["a", "b"], ["b", "a"]) == ServiceBehaviour()


@pytest.mark.parametrize(
    ("news", "after", "learnt"),
    [
        ([published("d")], "abcd", ServiceBehaviour(new=Behaviour.LAST)),
        ([published("d")], "dabc", ServiceBehaviour(new=Behaviour.FIRST)),
        ([published("a")], "bca", ServiceBehaviour(overwritten=Behaviour.LAST)),
        ([published("a")], "abc", ServiceBehaviour()),
        ([published("b")], "abc", ServiceBehaviour(overwritten=Behaviour.STAYS)),
        ([published("c")], "cab", ServiceBehaviour(overwritten=Behaviour.FIRST)),
        ([published("c")], "abc", ServiceBehaviour()),
        (
            [published("b"), published("d")],
            "abcd",
            ServiceBehaviour(),
        ),  # b may have been evicted when d came, and be new again
        ([published("b", "d")], "acbd", ServiceBehaviour(new=Behaviour.LAST, overwritten=Behaviour.LAST)),
        ([published("d")], "bcd", ServiceBehaviour(new=Behaviour.LAST)),
        ([Retracted(("a",)), published("d")], "bcd", ServiceBehaviour(new=Behaviour.LAST)),
        (
            [Purged(), published("d"), published("e")],
            "de",
            ServiceBehaviour(),
        ),  # or e came before d, and new items go first
        ([published("d"), published("e")], "abcde", ServiceBehaviour(new=Behaviour.LAST)),
        ([published("d"), published("e")], "edabc", ServiceBehaviour(new=Behaviour.FIRST)),
        (
            [published("d"), published("e")],
            "deabc",
            ServiceBehaviour(new=Behaviour.FIRST),
        ),  # they were told in the wrong order
        ([Purged(), published("d")], "d", ServiceBehaviour()),
        ([], "abc", ServiceBehaviour()),
        ([], "cab", ServiceBehaviour()),
        ([published("d")], "acbd", ServiceBehaviour()),
    ],
)
def test_the_order_of_a_listing_teaches_what_every_explanation_of_it_agrees_on(
    news: list[News], after: str, learnt: ServiceBehaviour
) -> None:
    assert learn_from_order(ServiceBehaviour(), list("abc"), news, list(after)) == learnt


def test_an_item_that_was_evicted_and_published_again_does_not_look_overwritten() -> None:
    """new LAST, overwritten STAYS, three items at most: d evicts a, and a comes back as a new one."""
    found = learn_from_order(ServiceBehaviour(), list("abc"), [published("d"), published("a")], list("cda"))
    assert found.overwritten in (Behaviour.UNKNOWN, Behaviour.STAYS)


@pytest.mark.parametrize(
    ("known", "news", "after", "expected"),
    [
        (ServiceBehaviour(new=Behaviour.LAST), published("d"), "dabc", ServiceBehaviour(new=Behaviour.VARIES)),
        (ServiceBehaviour(new=Behaviour.FIRST), published("d"), "abcd", ServiceBehaviour(new=Behaviour.VARIES)),
        (
            ServiceBehaviour(overwritten=Behaviour.LAST),
            published("b"),
            "abc",
            ServiceBehaviour(overwritten=Behaviour.VARIES),
        ),
        (
            ServiceBehaviour(overwritten=Behaviour.LAST),
            published("a"),
            "abc",
            ServiceBehaviour(overwritten=Behaviour.VARIES),
        ),  # FIRST, or STAYS
        (ServiceBehaviour(new=Behaviour.VARIES), published("d"), "abcd", ServiceBehaviour(new=Behaviour.VARIES)),
        (
            ServiceBehaviour(overwritten=Behaviour.STAYS),
            published("b"),
            "abc",
            ServiceBehaviour(overwritten=Behaviour.STAYS),
        ),
    ],
)
def test_a_listing_that_contradicts_what_is_known_makes_it_vary(
    known: ServiceBehaviour, news: News, after: str, expected: ServiceBehaviour
) -> None:
    assert learn_from_order(known, list("abc"), [news], list(after)) == expected


# Foreseeing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", [ServiceBehaviour(), OLDEST_FIRST])
def test_the_whole_node_is_foreseen_without_knowing_anything(behaviour: ServiceBehaviour) -> None:
    assert foresee(behaviour, ALL, 0) is foresee(behaviour, ALL, 100) is Take.ALL


@pytest.mark.parametrize(
    ("new", "limited", "take"),
    [
        (Behaviour.LAST, Behaviour.NODE_ORDER, Take.LAST),
        (Behaviour.LAST, Behaviour.REVERSED, Take.LAST_REVERSED),
        (Behaviour.FIRST, Behaviour.NODE_ORDER, Take.FIRST),
        (Behaviour.FIRST, Behaviour.REVERSED, Take.FIRST_REVERSED),
        (Behaviour.LAST, Behaviour.UNKNOWN, None),
        (Behaviour.LAST, Behaviour.VARIES, None),
        (Behaviour.FIRST, Behaviour.VARIES, None),
        (Behaviour.UNKNOWN, Behaviour.NODE_ORDER, None),
        (Behaviour.VARIES, Behaviour.NODE_ORDER, None),
    ],
)
def test_a_limited_answer_is_foreseen_where_end_and_order_are_known(
    new: Behaviour, limited: Behaviour, take: Take | None
) -> None:
    assert foresee(ServiceBehaviour(new=new, limited=limited, limited_set=Behaviour.LEFT_OUT), last(2), 3) is take


@pytest.mark.parametrize("count", [0, 1])
def test_a_limit_makes_no_difference_to_a_node_of_one_item(count: int) -> None:
    behaviour = ServiceBehaviour(limited_set=Behaviour.LEFT_OUT)
    assert foresee(behaviour, last(1), count) is foresee(behaviour, last(5), count) is Take.ALL


@pytest.mark.parametrize(
    ("behaviour", "ids", "take"),
    [
        (ServiceBehaviour(missing_id=Behaviour.SKIPPED), ("a",), Take.IDS),
        (ServiceBehaviour(), ("a",), None),
        (ServiceBehaviour(missing_id=Behaviour.REFUSED), ("a",), None),
        (ServiceBehaviour(missing_id=Behaviour.VARIES), ("a",), None),
        (ServiceBehaviour(missing_id=Behaviour.SKIPPED), ("a", "b"), None),
        (ServiceBehaviour(missing_id=Behaviour.SKIPPED, several_ids=Behaviour.VARIES), ("a", "b"), None),
        (ServiceBehaviour(missing_id=Behaviour.SKIPPED, several_ids=Behaviour.REQUEST_ORDER), ("a", "b"), Take.IDS),
        (
            ServiceBehaviour(missing_id=Behaviour.SKIPPED, several_ids=Behaviour.NODE_ORDER),
            ("a", "b"),
            Take.IDS_IN_NODE_ORDER,
        ),
        (ServiceBehaviour(missing_id=Behaviour.SKIPPED, several_ids=Behaviour.REQUEST_ORDER), ("a", "a"), None),
        (
            ServiceBehaviour(
                several_ids=Behaviour.REQUEST_ORDER, missing_id=Behaviour.SKIPPED, repeated_id=Behaviour.ONCE
            ),
            ("a", "b", "a"),
            Take.IDS,
        ),
        (
            ServiceBehaviour(
                several_ids=Behaviour.REQUEST_ORDER, missing_id=Behaviour.SKIPPED, repeated_id=Behaviour.EACH_TIME
            ),
            ("a", "b", "a"),
            Take.IDS_EACH_TIME,
        ),
        (
            ServiceBehaviour(
                several_ids=Behaviour.NODE_ORDER, missing_id=Behaviour.SKIPPED, repeated_id=Behaviour.ONCE
            ),
            ("a", "b", "a"),
            Take.IDS_IN_NODE_ORDER,
        ),
        (
            ServiceBehaviour(
                several_ids=Behaviour.NODE_ORDER, missing_id=Behaviour.SKIPPED, repeated_id=Behaviour.EACH_TIME
            ),
            ("a", "a"),
            None,
        ),
        (
            ServiceBehaviour(several_ids=Behaviour.UNKNOWN, missing_id=Behaviour.SKIPPED, repeated_id=Behaviour.ONCE),
            ("a", "b"),
            None,
        ),
    ],
)
def test_an_answer_to_ids_is_foreseen_where_enough_is_known(
    behaviour: ServiceBehaviour, ids: tuple[str, ...], take: Take | None
) -> None:
    assert foresee(behaviour, by_ids(*ids), 5) is take


@pytest.mark.parametrize(
    ("paging", "take"),
    [(Behaviour.UNKNOWN, None), (Behaviour.HONOURED, None), (Behaviour.VARIES, None), (Behaviour.IGNORED, Take.ALL)],
)
def test_a_page_is_foreseen_only_where_the_service_ignores_it(paging: Behaviour, take: Take | None) -> None:
    assert foresee(ServiceBehaviour(paging=paging), ItemsRequest(KEY, paged=True), 3) is take


@pytest.mark.parametrize(
    ("own_from", "take"),
    [(Behaviour.UNKNOWN, None), (Behaviour.VARIES, None), (Behaviour.SHOWN, Take.ALL), (Behaviour.LEFT_OUT, Take.ALL)],
)
def test_an_answer_of_ones_own_account_is_foreseen_where_its_sender_is(own_from: Behaviour, take: Take | None) -> None:
    own = ItemsRequest(KEY._replace(service=KEY.account))
    assert foresee(ServiceBehaviour(own_from=own_from), own, 3) is take


# Placing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "item_id", "order", "known"),
    [
        (ServiceBehaviour(new=Behaviour.LAST), "d", "abcd", True),
        (ServiceBehaviour(new=Behaviour.FIRST), "d", "dabc", True),
        (ServiceBehaviour(), "d", "abcd", False),
        (ServiceBehaviour(new=Behaviour.VARIES), "d", "abcd", False),
        (ServiceBehaviour(overwritten=Behaviour.LAST), "a", "bca", True),
        (ServiceBehaviour(overwritten=Behaviour.FIRST), "c", "cab", True),
        (ServiceBehaviour(overwritten=Behaviour.STAYS), "b", "abc", True),
        (ServiceBehaviour(), "b", "abc", False),
        (ServiceBehaviour(overwritten=Behaviour.VARIES), "b", "abc", False),
    ],
)
def test_an_item_goes_where_its_service_puts_it(
    behaviour: ServiceBehaviour, item_id: str, order: str, known: bool
) -> None:
    ids = list("abc")
    assert place(ids, item_id, behaviour) is known
    assert ids == list(order)


def test_the_only_item_has_only_one_place() -> None:
    ids: list[str] = []
    assert place(ids, "a", ServiceBehaviour())
    assert place(ids, "a", ServiceBehaviour())
    assert ids == ["a"]
