"""What is learnt of what orders say."""

from __future__ import annotations

import pytest

from newsstand.model import NodeKey, Published, SeenItem
from newsstand.rules.behaviour import Behaviour, ServiceBehaviour
from newsstand.rules.evidence import Evidence

LAST, STAYS, VARIES = (
    {"overwritten": Behaviour.LAST},
    {"overwritten": Behaviour.STAYS},
    {"overwritten": Behaviour.VARIES},
)
SERVICE = "pubsub.montague.example"


class Weighing:
    """Orders of nodes, seen one after the other, and what is known by them."""

    def __init__(self, behaviour: ServiceBehaviour) -> None:
        self.hints, self.behaviour = Evidence(), behaviour

    def see(
        self, said: dict[str, Behaviour], *ids: str, node: str = "node", service: str = SERVICE, account: str = "romeo"
    ) -> Behaviour:
        key = NodeKey(f"{account}@montague.example", service, node)
        news = [Published(tuple(SeenItem(item_id, "") for item_id in ids))]
        self.behaviour = self.hints.weigh(self.behaviour, said, key, news)
        return self.behaviour.overwritten


@pytest.fixture
def unknown() -> Weighing:
    return Weighing(ServiceBehaviour())


@pytest.fixture
def known() -> Weighing:
    return Weighing(ServiceBehaviour(new=Behaviour.LAST, overwritten=Behaviour.LAST))


def test_two_orders_that_agree_about_different_items_teach(unknown: Weighing) -> None:
    assert unknown.see(LAST, "a") is Behaviour.UNKNOWN
    assert unknown.see(LAST, "b") is Behaviour.LAST


def test_one_item_that_two_accounts_saw_moving_is_one_hint(unknown: Weighing) -> None:
    unknown.see(LAST, "a", "b")
    assert unknown.see(LAST, "b", account="juliet") is Behaviour.UNKNOWN
    assert unknown.see(LAST, "c", account="juliet") is Behaviour.LAST


@pytest.mark.parametrize("where", [{"node": "another"}, {"service": "juliet@montague.example"}])
def test_items_of_one_name_in_two_nodes_are_two(unknown: Weighing, where: dict[str, str]) -> None:
    unknown.see(LAST, "current")
    assert unknown.see(LAST, "current", **where) is Behaviour.LAST


def test_hints_that_contradict_each_other_teach_nothing(unknown: Weighing) -> None:
    for said, item_id in ((LAST, "a"), (STAYS, "b"), (LAST, "c")):
        assert unknown.see(said, item_id) is Behaviour.UNKNOWN
    assert unknown.see(LAST, "d") is Behaviour.LAST


def test_what_is_known_is_given_up_for_two_orders_in_a_row(known: Weighing) -> None:
    assert known.see(VARIES, "a") is Behaviour.LAST
    assert known.see({}, "b") is Behaviour.LAST
    assert known.see(VARIES, "c") is Behaviour.VARIES


def test_an_order_that_bears_out_what_is_known_takes_a_contradiction_back(known: Weighing) -> None:
    for item_id in "acegi":
        assert known.see(VARIES, item_id) is Behaviour.LAST
        assert known.see(LAST, chr(ord(item_id) + 1)) is Behaviour.LAST
