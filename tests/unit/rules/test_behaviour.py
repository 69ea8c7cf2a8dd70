"""What services do where the XEPs leave it open, and how it is learnt."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from newsstand.model import ItemsRequest, News, NodeKey, Published, Purged, Retracted, Rsm, SeenItem
from newsstand.rules.behaviour import Take, Way, Ways, foresee, learn_from_answer, learn_from_disco, place, set_index
from newsstand.rules.evidence import said_by_order

KEY = NodeKey("romeo@montague.example", "pubsub.montague.example", "news")
ALL = ItemsRequest(KEY)
OLDEST_FIRST = Ways(new=Way.LAST, overwritten=Way.LAST, limited=Way.NODE_ORDER)


def learn_from_order(ways: Ways, before: Sequence[str], news: Sequence[News], after: Sequence[str]) -> Ways:
    """Were a single order believed."""
    return dataclasses.replace(ways, **said_by_order(ways, before, news, after))


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
        ([], Way.UNKNOWN),
        ([Way.LAST], Way.LAST),
        ([Way.LAST, Way.LAST], Way.LAST),
        ([Way.LAST, Way.FIRST], Way.VARIES),
        ([Way.LAST, Way.FIRST, Way.FIRST, Way.FIRST], Way.VARIES),
        ([Way.VARIES, Way.LAST], Way.VARIES),
    ],
)
def test_a_way_seen_two_ways_varies_and_stays_so(seen: Sequence[Way], known: Way) -> None:
    ways = Ways()
    for way in seen:
        ways = ways.learn(new=way)
    assert ways == Ways(new=known)


def test_at_first_nothing_is_known() -> None:
    assert {getattr(Ways(), field.name) for field in dataclasses.fields(Ways)} == {Way.UNKNOWN}


@pytest.mark.parametrize(
    ("answered", "learnt"),
    [
        (["b", "c"], Ways(new=Way.LAST, limited=Way.NODE_ORDER)),
        (["c", "b"], Ways(new=Way.LAST, limited=Way.REVERSED)),
        (["a", "b"], Ways(new=Way.FIRST, limited=Way.NODE_ORDER)),
        (["b", "a"], Ways(new=Way.FIRST, limited=Way.REVERSED)),
        (["a", "c"], Ways(limited=Way.VARIES)),
        (["a", "b", "c"], Ways(limited=Way.VARIES)),
        (["c"], Ways(limited=Way.VARIES)),
        ([], Ways(limited=Way.VARIES)),
    ],
)
def test_a_limited_answer_shows_which_end_is_new_and_how_it_is_ordered(answered: list[str], learnt: Ways) -> None:
    learnt = learnt.learn(limited_set=Way.LEFT_OUT)
    assert learn_from_answer(Ways(), last(2), ["a", "b", "c"], answered) == learnt


@pytest.mark.parametrize(
    ("count", "limit", "rsm", "learnt"),
    [
        (5, 2, Rsm("x", "y", 5, 0), Way.INDEX_ZERO),
        (5, 2, Rsm("x", "y", 5, 3), Way.INDEX_FROM_END),
        (1, 2, Rsm("x", "x", 1, -1), Way.INDEX_FROM_END),
        (1, 2, Rsm("x", "x", 1, 0), Way.INDEX_ZERO),
        (2, 2, Rsm("x", "y", 2, 0), Way.UNKNOWN),
        (0, 2, Rsm(count=0), Way.UNKNOWN),
        (5, 2, Rsm("x", "y", 4, 0), Way.VARIES),
        (5, 2, Rsm("x", "y", 5, 1), Way.VARIES),
        (5, 2, Rsm("x", "y", 5), Way.VARIES),
        (5, 2, None, Way.LEFT_OUT),
    ],
)
def test_a_limited_answer_shows_whether_cursors_come_along_and_whence_its_index_counts(
    count: int, limit: int, rsm: Rsm | None, learnt: Way
) -> None:
    ids = [f"i{number}" for number in range(count)]
    assert learn_from_answer(Ways(), last(limit), ids, ids[-limit:], rsm).limited_set is learnt


def test_cursors_that_come_along_only_sometimes_are_never_foreseen() -> None:
    left_out = Ways(limited_set=Way.LEFT_OUT)
    assert learn_from_answer(left_out, last(2), [], [], Rsm(count=0)).limited_set is Way.VARIES
    assert foresee(Ways(limited_set=Way.VARIES), last(2), 1, knows_cursors=True) is None


@pytest.mark.parametrize("shown", [Way.INDEX_ZERO, Way.INDEX_FROM_END])
def test_where_cursors_come_along_a_limited_answer_is_foreseen_once_they_are_known(shown: Way) -> None:
    ways = Ways(new=Way.LAST, limited=Way.NODE_ORDER, limited_set=shown)
    assert foresee(ways, last(2), 3) is None
    assert foresee(ways, last(2), 3, knows_cursors=True) is Take.LAST
    assert foresee(ways, ALL, 3) is Take.ALL
    assert set_index(ways, 5, 2) == (0 if shown is Way.INDEX_ZERO else 3)


@pytest.mark.parametrize("limit", [2, 3, 100])
def test_an_answer_that_is_the_whole_node_does_not_show_which_end_is_new(limit: int) -> None:
    assert learn_from_answer(Ways(), last(limit), ["a", "b"], ["a", "b"]).new is Way.UNKNOWN


@pytest.mark.parametrize(
    ("wanted", "answered", "learnt"),
    [
        (("c", "a"), ["c", "a"], Ways(several_ids=Way.REQUEST_ORDER)),
        (("c", "a"), ["a", "c"], Ways(several_ids=Way.NODE_ORDER)),
        (("c", "b", "a"), ["b", "a", "c"], Ways(several_ids=Way.VARIES)),
        (("a", "c"), ["a", "c"], Ways()),
        (("a",), ["a"], Ways()),
        (("c", "x", "a"), ["c", "a"], Ways(missing_id=Way.SKIPPED, several_ids=Way.REQUEST_ORDER)),
        (("c", "x", "a"), ["a", "c"], Ways(missing_id=Way.SKIPPED, several_ids=Way.NODE_ORDER)),
        (("c", "x", "a"), None, Ways(missing_id=Way.REFUSED)),
        (("x",), [], Ways(missing_id=Way.SKIPPED)),
        (("x",), ["a"], Ways(missing_id=Way.VARIES)),
        (("a", "x"), [], Ways(missing_id=Way.VARIES)),
        (("c", "a", "c"), ["c", "a"], Ways(repeated_id=Way.ONCE)),
        (("c", "a", "c"), ["a", "c"], Ways(repeated_id=Way.ONCE)),
        (("c", "a", "c"), ["c", "a", "c"], Ways(repeated_id=Way.EACH_TIME)),
        (("c", "a", "c"), ["a", "c", "c"], Ways(repeated_id=Way.EACH_TIME)),
        (("c", "a", "c"), ["c", "c", "a"], Ways(repeated_id=Way.VARIES)),
        (("c", "a", "c"), None, Ways()),
        (("c", "a"), None, Ways()),
    ],
)
def test_an_answer_to_ids_shows_their_order_and_what_becomes_of_a_missing_one(
    wanted: tuple[str, ...], answered: list[str] | None, learnt: Ways
) -> None:
    assert learn_from_answer(Ways(), by_ids(*wanted), ["a", "b", "c"], answered) == learnt


def test_an_answer_to_a_page_or_to_the_whole_teaches_nothing() -> None:
    assert learn_from_answer(Ways(), ItemsRequest(KEY, max_items=2, paged=True), ["a", "b", "c"], ["b", "c"]) == Ways()
    assert learn_from_answer(Ways(), ALL, ["a", "b"], ["b", "a"]) == Ways()
    assert learn_from_answer(Ways(), last(2), ["a", "b", "c"], None) == Ways()


@pytest.mark.parametrize(
    ("listed", "learnt"),
    [
        (["a", "b", "c"], Way.NODE_ORDER),
        (["c", "b", "a"], Way.REVERSED),
        (["b", "a", "c"], Way.VARIES),
        (["a", "b"], Way.UNKNOWN),
        (["a", "b", "c", "d"], Way.UNKNOWN),
    ],
)
def test_disco_shows_its_order(listed: list[str], learnt: Way) -> None:
    assert learn_from_disco(Ways(), ["a", "b", "c"], listed) == Ways(disco_order=learnt)


def test_disco_of_two_ids_is_too_little_to_judge_by() -> None:
    assert learn_from_disco(Ways(), ["a", "b"], ["b", "a"]) == Ways()


@pytest.mark.parametrize(
    ("news", "after", "learnt"),
    [
        ([published("d")], "abcd", Ways(new=Way.LAST)),
        ([published("d")], "dabc", Ways(new=Way.FIRST)),
        ([published("a")], "bca", Ways(overwritten=Way.LAST)),
        ([published("a")], "abc", Ways()),
        ([published("b")], "abc", Ways(overwritten=Way.STAYS)),
        ([published("c")], "cab", Ways(overwritten=Way.FIRST)),
        ([published("c")], "abc", Ways()),
        ([published("b"), published("d")], "abcd", Ways()),  # b may have been evicted when d came, and be new again
        ([published("b", "d")], "acbd", Ways(new=Way.LAST, overwritten=Way.LAST)),
        ([published("d")], "bcd", Ways(new=Way.LAST)),
        ([Retracted(("a",)), published("d")], "bcd", Ways(new=Way.LAST)),
        ([Purged(), published("d"), published("e")], "de", Ways()),  # or e came before d, and new items go first
        ([published("d"), published("e")], "abcde", Ways(new=Way.LAST)),
        ([published("d"), published("e")], "edabc", Ways(new=Way.FIRST)),
        ([published("d"), published("e")], "deabc", Ways(new=Way.FIRST)),  # they were told in the wrong order
        ([Purged(), published("d")], "d", Ways()),
        ([], "abc", Ways()),
        ([], "cab", Ways()),
        ([published("d")], "acbd", Ways()),
    ],
)
def test_the_order_of_a_listing_teaches_what_every_explanation_of_it_agrees_on(
    news: list[News], after: str, learnt: Ways
) -> None:
    assert learn_from_order(Ways(), list("abc"), news, list(after)) == learnt


def test_an_item_that_was_evicted_and_published_again_does_not_look_overwritten() -> None:
    """new LAST, overwritten STAYS, three items at most: d evicts a, and a comes back as a new one."""
    found = learn_from_order(Ways(), list("abc"), [published("d"), published("a")], list("cda"))
    assert found.overwritten in (Way.UNKNOWN, Way.STAYS)


@pytest.mark.parametrize(
    ("known", "news", "after", "expected"),
    [
        (Ways(new=Way.LAST), published("d"), "dabc", Ways(new=Way.VARIES)),
        (Ways(new=Way.FIRST), published("d"), "abcd", Ways(new=Way.VARIES)),
        (Ways(overwritten=Way.LAST), published("b"), "abc", Ways(overwritten=Way.VARIES)),
        (Ways(overwritten=Way.LAST), published("a"), "abc", Ways(overwritten=Way.VARIES)),  # FIRST, or STAYS
        (Ways(new=Way.VARIES), published("d"), "abcd", Ways(new=Way.VARIES)),
        (Ways(overwritten=Way.STAYS), published("b"), "abc", Ways(overwritten=Way.STAYS)),
    ],
)
def test_a_listing_that_contradicts_what_is_known_makes_it_vary(
    known: Ways, news: News, after: str, expected: Ways
) -> None:
    assert learn_from_order(known, list("abc"), [news], list(after)) == expected


# Foreseeing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ways", [Ways(), OLDEST_FIRST])
def test_the_whole_node_is_foreseen_without_knowing_anything(ways: Ways) -> None:
    assert foresee(ways, ALL, 0) is foresee(ways, ALL, 100) is Take.ALL


@pytest.mark.parametrize(
    ("new", "limited", "take"),
    [
        (Way.LAST, Way.NODE_ORDER, Take.LAST),
        (Way.LAST, Way.REVERSED, Take.LAST_REVERSED),
        (Way.FIRST, Way.NODE_ORDER, Take.FIRST),
        (Way.FIRST, Way.REVERSED, Take.FIRST_REVERSED),
        (Way.LAST, Way.UNKNOWN, None),
        (Way.LAST, Way.VARIES, None),
        (Way.FIRST, Way.VARIES, None),
        (Way.UNKNOWN, Way.NODE_ORDER, None),
        (Way.VARIES, Way.NODE_ORDER, None),
    ],
)
def test_a_limited_answer_is_foreseen_where_end_and_order_are_known(new: Way, limited: Way, take: Take | None) -> None:
    assert foresee(Ways(new=new, limited=limited, limited_set=Way.LEFT_OUT), last(2), 3) is take


@pytest.mark.parametrize("count", [0, 1])
def test_a_limit_makes_no_difference_to_a_node_of_one_item(count: int) -> None:
    ways = Ways(limited_set=Way.LEFT_OUT)
    assert foresee(ways, last(1), count) is foresee(ways, last(5), count) is Take.ALL


@pytest.mark.parametrize(
    ("ways", "ids", "take"),
    [
        (Ways(missing_id=Way.SKIPPED), ("a",), Take.IDS),
        (Ways(), ("a",), None),
        (Ways(missing_id=Way.REFUSED), ("a",), None),
        (Ways(missing_id=Way.VARIES), ("a",), None),
        (Ways(missing_id=Way.SKIPPED), ("a", "b"), None),
        (Ways(missing_id=Way.SKIPPED, several_ids=Way.VARIES), ("a", "b"), None),
        (Ways(missing_id=Way.SKIPPED, several_ids=Way.REQUEST_ORDER), ("a", "b"), Take.IDS),
        (Ways(missing_id=Way.SKIPPED, several_ids=Way.NODE_ORDER), ("a", "b"), Take.IDS_IN_NODE_ORDER),
        (Ways(missing_id=Way.SKIPPED, several_ids=Way.REQUEST_ORDER), ("a", "a"), None),
        (
            Ways(several_ids=Way.REQUEST_ORDER, missing_id=Way.SKIPPED, repeated_id=Way.ONCE),
            ("a", "b", "a"),
            Take.IDS,
        ),
        (
            Ways(several_ids=Way.REQUEST_ORDER, missing_id=Way.SKIPPED, repeated_id=Way.EACH_TIME),
            ("a", "b", "a"),
            Take.IDS_EACH_TIME,
        ),
        (
            Ways(several_ids=Way.NODE_ORDER, missing_id=Way.SKIPPED, repeated_id=Way.ONCE),
            ("a", "b", "a"),
            Take.IDS_IN_NODE_ORDER,
        ),
        (Ways(several_ids=Way.NODE_ORDER, missing_id=Way.SKIPPED, repeated_id=Way.EACH_TIME), ("a", "a"), None),
        (Ways(several_ids=Way.UNKNOWN, missing_id=Way.SKIPPED, repeated_id=Way.ONCE), ("a", "b"), None),
    ],
)
def test_an_answer_to_ids_is_foreseen_where_enough_is_known(
    ways: Ways, ids: tuple[str, ...], take: Take | None
) -> None:
    assert foresee(ways, by_ids(*ids), 5) is take


@pytest.mark.parametrize(
    ("paging", "take"),
    [(Way.UNKNOWN, None), (Way.HONOURED, None), (Way.VARIES, None), (Way.IGNORED, Take.ALL)],
)
def test_a_page_is_foreseen_only_where_the_service_ignores_it(paging: Way, take: Take | None) -> None:
    assert foresee(Ways(paging=paging), ItemsRequest(KEY, paged=True), 3) is take


@pytest.mark.parametrize(
    ("own_from", "take"),
    [(Way.UNKNOWN, None), (Way.VARIES, None), (Way.SHOWN, Take.ALL), (Way.LEFT_OUT, Take.ALL)],
)
def test_an_answer_of_ones_own_account_is_foreseen_where_its_sender_is(own_from: Way, take: Take | None) -> None:
    own = ItemsRequest(KEY._replace(service=KEY.account))
    assert foresee(Ways(own_from=own_from), own, 3) is take


# Placing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ways", "item_id", "order", "known"),
    [
        (Ways(new=Way.LAST), "d", "abcd", True),
        (Ways(new=Way.FIRST), "d", "dabc", True),
        (Ways(), "d", "abcd", False),
        (Ways(new=Way.VARIES), "d", "abcd", False),
        (Ways(overwritten=Way.LAST), "a", "bca", True),
        (Ways(overwritten=Way.FIRST), "c", "cab", True),
        (Ways(overwritten=Way.STAYS), "b", "abc", True),
        (Ways(), "b", "abc", False),
        (Ways(overwritten=Way.VARIES), "b", "abc", False),
    ],
)
def test_an_item_goes_where_its_service_puts_it(ways: Ways, item_id: str, order: str, known: bool) -> None:
    ids = list("abc")
    assert place(ids, item_id, ways) is known
    assert ids == list(order)


def test_the_only_item_has_only_one_place() -> None:
    ids: list[str] = []
    assert place(ids, "a", Ways())
    assert place(ids, "a", Ways())
    assert ids == ["a"]
