"""How much is asked for at a time."""

from __future__ import annotations

from newsstand.model import SeenItem
from newsstand.portions import FEWER, LARGE, Portion, Portions


def items(count: int, characters: int, character: str = "x") -> list[SeenItem]:
    return [SeenItem(str(number), character * characters) for number in range(count)]


def lose(portion: Portion) -> bool:
    return portion.lost(portion.size)


def come(portion: Portion, characters: int) -> None:
    portion.arrived(portion.size, items(portion.size, characters))


def test_as_long_as_nothing_is_lost_the_size_of_items_does_not_matter() -> None:
    portion = Portion(200)
    come(portion, LARGE)
    assert portion.size == 200


def test_what_is_lost_is_asked_for_in_ever_smaller_parts_until_there_are_none() -> None:
    portion = Portion(200)
    assert [lose(portion), portion.size] == [True, 200 // FEWER]
    assert [lose(portion), portion.size] == [True, 1]
    assert not lose(portion)


def test_after_a_loss_as_much_is_asked_for_as_fits() -> None:
    portion = Portion(200)
    lose(portion)
    come(portion, LARGE // 50)
    assert portion.size == 50
    come(portion, LARGE * 2)
    assert portion.size == 1
    come(portion, 100)
    assert portion.size == 200


def test_bytes_count_not_characters() -> None:
    portion = Portion(200)
    lose(portion)
    portion.arrived(10, items(10, LARGE // 150, "\N{CJK UNIFIED IDEOGRAPH-4E2D}"))
    assert portion.size == 50


def test_what_fits_and_is_lost_again_is_not_asked_for_any_more_in_this_listing() -> None:
    portion = Portion(200)
    lose(portion)
    come(portion, 100)
    assert portion.size == 200, "that it was too large is unlikely"
    portion.arrived(10, [])
    portion.lost(200)
    come(portion, 100)
    assert portion.size == 10
    portion.begin()
    assert portion.size == 200


def test_a_size_that_came_before_is_not_what_kept_an_answer_away_at_first() -> None:
    portion = Portion(200)
    come(portion, 100)
    assert not lose(portion), "the service is in trouble"
    portion.begin()
    assert [lose(portion), portion.size] == [True, 10]


def test_an_outage_leaves_nothing_behind() -> None:
    portion = Portion(200)
    while lose(portion):
        pass
    assert portion.size == 200
    come(portion, 100)
    assert portion.size == 200


def test_where_nobody_could_answer_the_smaller_request_it_is_made_again() -> None:
    """A component whose answer was too large is away for a moment, and then refuses what is asked."""
    portion = Portion(200)
    lose(portion)
    portion.begin()
    assert portion.size == 10


def test_what_two_listings_lose_at_once_is_lost_once() -> None:
    portion = Portion(200)
    assert portion.lost(200)
    assert portion.lost(200)
    assert portion.size == 10


def test_an_empty_page_teaches_nothing() -> None:
    portion = Portion(200)
    lose(portion)
    portion.arrived(10, [])
    assert portion.size == 10


def test_a_node_is_listed_by_ids_again_only_where_it_would_not_arrive_whole() -> None:
    portions = Portions(200)
    portions.listed_by_ids(items(10, 100))
    assert not portions.by_ids
    portions.listed_by_ids(items(10, LARGE // 5))
    assert portions.by_ids
