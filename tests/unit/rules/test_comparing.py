"""What differs between a copy and a listing is told by id, and the order by the fewest items that stand elsewhere."""

from __future__ import annotations

import pytest

from newsstand.model import HeldItem, NodeKey, SeenItem
from newsstand.rules.comparing import compare

KEY = NodeKey("juliet@example.org", "pubsub.example.org", "blog")


def listed(ids: str) -> list[SeenItem]:
    return [SeenItem(item_id, f"<item>{item_id}</item>") for item_id in ids]


def held(ids: str) -> list[HeldItem]:
    return [HeldItem(item.id, item.content_digest, position) for position, item in enumerate(listed(ids), start=-1)]


def test_equal_copies_are_equal() -> None:
    for ids in ("", "a", "abc"):
        found = compare(KEY, held(ids), listed(ids))
        assert (found.equal, found.count, found.repaired) == (True, len(ids), False)


def test_what_only_one_has_is_missing_or_extra() -> None:
    found = compare(KEY, held("xaby"), listed("abcd"))
    assert (found.missing, found.extra, found.differing, found.misplaced) == (("c", "d"), ("x", "y"), (), ())
    assert not found.equal


def test_other_contents_differ() -> None:
    ours = [HeldItem("a", SeenItem("a", "<other/>").content_digest, 0)]
    found = compare(KEY, ours, listed("a"))
    assert (found.differing, found.misplaced, found.equal) == (("a",), (), False)


@pytest.mark.parametrize(
    ("ours", "theirs", "misplaced"),
    [("bac", "abc", 1), ("cab", "abc", 1), ("edcba", "abcde", 4), ("acbd", "abcd", 1), ("xbyac", "abc", 1)],
)
def test_the_fewest_items_that_stand_elsewhere_are_misplaced(ours: str, theirs: str, misplaced: int) -> None:
    found = compare(KEY, held(ours), listed(theirs))
    assert len(found.misplaced) == misplaced
    left = [item_id for item_id in ours if item_id in theirs and item_id not in found.misplaced]
    assert left == [item_id for item_id in theirs if item_id not in found.misplaced]


def test_two_items_in_one_place_are_in_no_order() -> None:
    ours = [item._replace(position=5) for item in held("ab")]
    assert len(compare(KEY, ours, listed("ab")).misplaced) == 1


def test_gaps_between_positions_mean_nothing() -> None:
    ours = [item._replace(position=item.position * 100) for item in held("abc")]
    assert compare(KEY, ours, listed("abc")).equal
