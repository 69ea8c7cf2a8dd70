"""What is learnt of what orders say."""

from __future__ import annotations

import pytest

from newsstand.model import NodeKey, Published, SeenItem
from newsstand.rules.behaviour import Way, Ways
from newsstand.rules.evidence import Evidence

LAST, STAYS, VARIES = {"overwritten": Way.LAST}, {"overwritten": Way.STAYS}, {"overwritten": Way.VARIES}
SERVICE = "pubsub.montague.example"


class Weighing:
    """Orders of nodes, seen one after the other, and what is known by them."""

    def __init__(self, ways: Ways) -> None:
        self.hints, self.ways = Evidence(), ways

    def see(
        self, said: dict[str, Way], *ids: str, node: str = "node", service: str = SERVICE, account: str = "romeo"
    ) -> Way:
        key = NodeKey(f"{account}@montague.example", service, node)
        news = [Published(tuple(SeenItem(item_id, "") for item_id in ids))]
        self.ways = self.hints.weigh(self.ways, said, key, news)
        return self.ways.overwritten


@pytest.fixture
def unknown() -> Weighing:
    return Weighing(Ways())


@pytest.fixture
def known() -> Weighing:
    return Weighing(Ways(new=Way.LAST, overwritten=Way.LAST))


def test_two_orders_that_agree_about_different_items_teach(unknown: Weighing) -> None:
    assert unknown.see(LAST, "a") is Way.UNKNOWN
    assert unknown.see(LAST, "b") is Way.LAST


def test_one_item_that_two_accounts_saw_moving_is_one_hint(unknown: Weighing) -> None:
    unknown.see(LAST, "a", "b")
    assert unknown.see(LAST, "b", account="juliet") is Way.UNKNOWN
    assert unknown.see(LAST, "c", account="juliet") is Way.LAST


@pytest.mark.parametrize("where", [{"node": "another"}, {"service": "juliet@montague.example"}])
def test_items_of_one_name_in_two_nodes_are_two(unknown: Weighing, where: dict[str, str]) -> None:
    unknown.see(LAST, "current")
    assert unknown.see(LAST, "current", **where) is Way.LAST


def test_hints_that_contradict_each_other_teach_nothing(unknown: Weighing) -> None:
    for said, item_id in ((LAST, "a"), (STAYS, "b"), (LAST, "c")):
        assert unknown.see(said, item_id) is Way.UNKNOWN
    assert unknown.see(LAST, "d") is Way.LAST


def test_what_is_known_is_given_up_for_two_orders_in_a_row(known: Weighing) -> None:
    assert known.see(VARIES, "a") is Way.LAST
    assert known.see({}, "b") is Way.LAST
    assert known.see(VARIES, "c") is Way.VARIES


def test_an_order_that_bears_out_what_is_known_takes_a_contradiction_back(known: Weighing) -> None:
    for item_id in "acegi":
        assert known.see(VARIES, item_id) is Way.LAST
        assert known.see(LAST, chr(ord(item_id) + 1)) is Way.LAST
