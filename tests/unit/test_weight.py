"""How much a tree holds is found in bounded time, and a large one is freed a little at a time."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement

import pytest

from newsstand.xmpp.weight import CHARACTERS, ELEMENTS, dismantle, is_heavy


def tree(*, elements: int = 0, text: int = 0, attributes: int = 0, tail: int = 0) -> Element:
    root = Element("a", {f"n{number}": "v" * 10 for number in range(attributes)})
    root.text = "x" * text
    for _ in range(elements):
        SubElement(root, "b")
    if tail:
        SubElement(root, "c").tail = "x" * tail
    return root


@pytest.mark.parametrize(
    "heavy",
    [
        tree(elements=ELEMENTS),
        tree(text=CHARACTERS + 1),
        tree(tail=CHARACTERS + 1),
        tree(attributes=CHARACTERS // 10 + 1),
    ],
    ids=["elements", "text", "tail", "attributes"],
)
def test_what_exceeds_a_bound_is_heavy(heavy: Element) -> None:
    assert is_heavy(heavy)
    assert is_heavy(tree(), heavy)


def test_what_is_within_the_bounds_is_not() -> None:
    assert not is_heavy(tree(elements=ELEMENTS - 10, text=CHARACTERS - 100, attributes=5, tail=50))
    assert not is_heavy()


def test_several_are_weighed_together() -> None:
    half = tree(elements=ELEMENTS // 2)
    assert not is_heavy(half)
    assert is_heavy(half, half, half)


def test_no_more_is_looked_at_than_the_bound_says() -> None:
    class Counted(Element):
        looked_at = 0

        def iter(self, tag: object = None) -> object:  # type: ignore[override]
            for element in super().iter():
                Counted.looked_at += 1
                yield element

    root = Counted("a")
    root.extend(tree(elements=10 * ELEMENTS))
    assert is_heavy(root)
    assert Counted.looked_at <= ELEMENTS + 1


def test_a_tree_that_is_dismantled_is_empty_however_deep_it_was() -> None:
    root = deepest = Element("a")
    for _ in range(100_000):
        deepest = SubElement(deepest, "b")
    dismantle([root])
    assert (len(root), root.text) == (0, None)
