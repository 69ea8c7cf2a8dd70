"""How much an XML tree holds, and how a large one is freed without blocking the event loop. Pure.

What comes from the network may be of any size. These functions take time in proportion to their bounds, not to what
came: so they may be called in the event loop on anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

ELEMENTS = 3_000
"""A tree of more elements is heavy: writing it as text takes longer than about 20 ms."""
CHARACTERS = 500_000
"""So is one of more characters of text and attributes."""


def is_heavy(*trees: Element, elements: int = ELEMENTS, characters: int = CHARACTERS) -> bool:
    """Whether the trees together hold more elements, or more characters, than these. Such ones are taken apart in a
    thread, or not at all."""
    for tree in trees:
        for element in tree.iter():
            elements -= 1
            characters -= len(element.text or "") + len(element.tail or "")
            if element.attrib:
                elements -= len(element.attrib) // 8
                characters -= sum(map(len, element.attrib.values()))
            if elements < 0 or characters < 0:
                return True
    return False


def dismantle(trees: Iterable[Element]) -> None:
    """Empty trees that nobody needs any more, a little at a time. Freed at once, a tree of a million elements holds
    the interpreter for a fifth of a second; call this in a thread, and the event loop gets its turns in between."""
    todo = list(trees)
    while todo:
        element = todo.pop()
        todo.extend(element)
        element.clear()
