"""What the order of a node's items can still teach."""

from __future__ import annotations

from newsstand.model import News, Published, Purged, Retracted, SeenItem
from newsstand.state.order import HISTORY, ORDER, Order

TOLD = [Purged()]


def test_news_are_kept_from_a_listing_on() -> None:
    order = Order()
    order.note(TOLD)
    assert order.history == []
    order.remember(["a", "b"])
    order.note(TOLD)
    assert order.ids == ["a", "b"]
    assert order.history == [Purged()]
    order.remember(["b"])
    assert (order.ids, order.history) == (["b"], [])


def said(item_id: str, text: str) -> SeenItem:
    return SeenItem(item_id, f"<item id='{item_id}'>{text}</item>")


def test_an_order_is_explained_by_what_was_told_since() -> None:
    order = Order()
    order.remember(["a", "b"], [said("a", "1"), said("b", "1")])
    assert order.explains([], [said("a", "1"), said("b", "1")])
    news: list[News] = [Published((said("a", "2"),)), Retracted(("b",)), Published((said("c", "1"),))]
    assert order.explains(news, [said("a", "2"), said("c", "1")])
    assert not order.explains(news, [said("a", "3"), said("c", "1")])
    assert not order.explains(news, [said("a", "2"), said("b", "1"), said("c", "1")])
    assert not order.explains([Purged()], [said("a", "1")])


def test_an_order_that_was_checked_says_what_was_told_until_then() -> None:
    order = Order()
    order.remember(["a"], [said("a", "1")])
    order.note([Published((said("a", "2"), said("b", "1")))])
    order.remember(["b", "a"])
    assert order.explains([], [said("b", "1"), said("a", "2")])
    assert not order.explains([], [said("b", "1"), said("a", "1")])


def test_after_too_many_news_an_order_teaches_nothing_any_more() -> None:
    order = Order()
    order.remember(["a"])
    news: tuple[News, ...] = tuple(Published((SeenItem(str(i), ""),)) for i in range(HISTORY))
    order.note(news)
    assert order.ids == ["a"]
    order.note(TOLD)
    assert not order.ids
    assert not order.history


def test_a_very_long_order_is_not_kept() -> None:
    order = Order()
    order.remember([str(i) for i in range(ORDER)])
    assert order.ids is not None
    order.remember([str(i) for i in range(ORDER + 1)])
    assert order.ids is None
