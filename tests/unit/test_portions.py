"""How many items are asked for at a time."""

from __future__ import annotations

from newsstand.model import SeenItem
from newsstand.portions import FEWER, LARGE, Portion


def items(count: int, characters: int) -> list[SeenItem]:
    return [SeenItem(str(number), "x" * characters) for number in range(count)]


def test_small_items_are_asked_for_as_many_as_wanted() -> None:
    portion = Portion(200)
    portion.arrived(items(200, 1000))
    assert portion.size == 200


def test_large_ones_are_asked_for_fewer_at_a_time_and_small_ones_more_again() -> None:
    portion = Portion(200)
    portion.arrived(items(10, LARGE // 50))
    assert portion.size == 50
    portion.arrived(items(50, LARGE * 2))
    assert portion.size == 1
    portion.arrived(items(1, 100))
    assert portion.size == 200


def test_what_did_not_arrive_is_asked_for_in_ever_smaller_parts() -> None:
    portion = Portion(200)
    assert [portion.did_not_arrive(), portion.size] == [True, 200 // FEWER]
    portion.arrived(items(10, LARGE // 50))
    assert portion.size == 10, "what was lost was too large"
    assert [portion.did_not_arrive(), portion.size] == [True, 1]
    assert not portion.did_not_arrive()


def test_what_was_small_enough_was_lost_for_another_reason_but_not_twice() -> None:
    portion = Portion(200)
    portion.did_not_arrive()
    portion.arrived(items(10, 100))
    assert portion.size == 200
    portion.did_not_arrive()
    portion.arrived(items(10, 100))
    assert portion.size == 10


def test_an_empty_page_teaches_nothing() -> None:
    portion = Portion(200)
    portion.arrived([])
    assert portion.size == 200
