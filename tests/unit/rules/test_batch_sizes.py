"""How much is asked for at a time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from newsstand.rules.batch_sizes import AT_ONCE, FEWER, LARGE, UNFORESEEN, BatchSize, BatchSizes

KEPT_FROM_PROSODY = 512 << 10
"""Bytes of an answer that does not arrive."""


def lose(portion: BatchSize) -> bool:
    return portion.lost(portion.size)


def come(portion: BatchSize, size: int) -> None:
    portion.arrived(portion.size, portion.size, size * portion.size)


def test_as_long_as_nothing_is_lost_as_many_are_asked_for_as_memory_takes() -> None:
    portion = BatchSize(200)
    come(portion, AT_ONCE // 200)
    assert portion.size == 200
    come(portion, LARGE)
    assert portion.size == AT_ONCE // LARGE
    come(portion, AT_ONCE * 2)
    assert portion.size == 1
    come(portion, 100)
    assert portion.size == 200


def test_what_is_lost_is_asked_for_in_smaller_parts_two_times_a_listing() -> None:
    portion = BatchSize(500)
    assert [lose(portion), portion.size] == [True, 500 // FEWER]
    assert [lose(portion), portion.size] == [False, 1]
    portion.begin()
    assert [lose(portion), portion.size] == [False, 500], "the size was not the reason"


def test_after_a_loss_as_much_is_asked_for_as_fits_and_never_more_than_half() -> None:
    portion = BatchSize(200)
    lose(portion)
    come(portion, LARGE // 50)
    assert portion.size == 50
    come(portion, LARGE * 2)
    assert portion.size == 1
    come(portion, 100)
    assert portion.size == 100


def test_what_was_small_and_lost_is_asked_for_once_more_but_not_twice() -> None:
    portion = BatchSize(200)
    lose(portion)
    come(portion, 100)
    assert portion.size == 200
    lose(portion)
    come(portion, 100)
    assert portion.size == 100


def test_outages_leave_nothing_behind() -> None:
    portion = BatchSize(200)
    for losses in (1, 2, 1, 3, 2):
        for _ in range(losses):
            portion.begin()
            lose(portion)
        for _ in range(2):
            come(portion, 100)
        assert portion.size == 200, losses


def test_what_two_listings_lose_at_once_is_lost_once() -> None:
    portion = BatchSize(200)
    assert portion.lost(200)
    assert portion.lost(200)
    come(portion, 100)
    assert portion.size == 200


def test_an_empty_page_teaches_nothing() -> None:
    portion = BatchSize(200)
    lose(portion)
    portion.arrived(10, 0, 0)
    assert portion.size == 10


def list_all(portion: BatchSize, sizes: Sequence[int], limit: int) -> tuple[int, int, bool]:
    """How many requests arrived, and how many were lost; and whether the whole came."""
    portion.begin()
    at = arrived = lost = 0
    while at < len(sizes):
        asked = portion.size
        page = sizes[at : at + asked]
        if sum(page) > limit:
            lost += 1
            if not portion.lost(asked):
                return arrived, lost, False
        else:
            arrived += 1
            portion.arrived(asked, len(page), sum(page))
            at += len(page)
    return arrived, lost, True


SMALL, MIDDLE, BIG = 500, 5_000, 60_000


@pytest.mark.parametrize(
    "sizes",
    [
        [MIDDLE] * 600,
        [MIDDLE] * 200 + [SMALL] * 400,
        [SMALL] * 400 + [MIDDLE] * 200,
        [SMALL] * 200 + [MIDDLE] * 200 + [SMALL] * 200,
        [SMALL] * 300 + [BIG] * 10 + [SMALL] * 300,
        [2_000] * 300 + [400_000] + [2_000] * 300,
        [SMALL] * 300 + [400_000] + [SMALL] * 300,
    ],
    ids=["alike", "large ones first", "large ones last", "in the middle", "a few", "a huge one", "one among tiny ones"],
)
@pytest.mark.parametrize("limit", [KEPT_FROM_PROSODY, 400_000 + SMALL])
@pytest.mark.parametrize("most", [200, 20])
def test_however_items_differ_a_copy_loses_few_answers_in_its_life(sizes: list[int], limit: int, most: int) -> None:
    portion = BatchSize(most)
    lost, came = [], []
    for _ in range(20):
        requests, losses, whole = list_all(portion, sizes, limit)
        assert requests <= len(sizes)
        lost.append(losses)
        came.append(whole)
    assert sum(lost) <= 12, lost
    assert sum(lost[-10:]) == 0, lost
    assert all(came[-10:]), came


@pytest.mark.parametrize("limit", [20_000, 100_000])
def test_a_limit_that_is_lower_than_expected_is_found_too(limit: int) -> None:
    portion = BatchSize(200)
    results = [list_all(portion, [10_000] * 300, limit) for _ in range(10)]
    assert [result[1:] for result in results[-5:]] == [(0, True)] * 5, results


def test_a_node_is_listed_by_ids_again_only_where_it_would_not_arrive_whole() -> None:
    portions = BatchSizes(200)
    portions.listed_by_ids(1_000)
    assert not portions.by_ids
    portions.listed_by_ids(LARGE * 2)
    assert portions.by_ids


@pytest.mark.parametrize(
    ("known", "size", "first"),
    [(0, 0, UNFORESEEN), (1_000, 100_000, 200), (3, 3 * LARGE, AT_ONCE // LARGE), (2, AT_ONCE * 4, 1), (4, 0, 200)],
)
def test_the_first_page_is_of_the_size_that_the_copy_lets_foresee(known: int, size: int, first: int) -> None:
    assert BatchSizes(200, known, size).pages.size == first


def test_nobody_is_asked_for_more_than_the_setting_says() -> None:
    assert BatchSizes(20).pages.size == 20


def test_after_a_first_page_of_small_items_as_many_are_asked_for_as_wanted() -> None:
    portion = BatchSizes(200).pages
    come(portion, 100)
    assert portion.size == 200
