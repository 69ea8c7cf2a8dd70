"""Whatever tree comes in comes back equal, or is refused."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsstand.xmpp.xmltext import LIMITS, Limits, Unfit, parse, to_text

XML = "http://www.w3.org/XML/1998/namespace"

carried = st.characters(
    exclude_categories=["Cs"],
    exclude_characters="".join(chr(c) for c in range(32) if c not in (9, 10, 13)) + "\ufffe\uffff",
)
texts = st.one_of(
    st.none(),
    st.sampled_from(["", " ", "\r\n\t", "]]>", "<![CDATA[x]]>", "&amp;", "<!-- -->", "😀", "\x85\u2028", "'\""]),
    st.text(carried, max_size=20),
)
names = st.sampled_from(["a", "b", "item", "_", "x-y.z1", "été", "名", "xmlnsy"])
namespaces = st.one_of(
    st.sampled_from(
        ["", "urn:a", "urn:b", "jabber:client", 'urn:"both"\'quotes', "urn:two\nlines\r\tand a tab", "<&>"]
    ),
    st.text(carried.filter(lambda c: c != "}"), max_size=8).filter(lambda n: n != XML),
)


def tag(namespace: str, name: str) -> str:
    return f"{{{namespace}}}{name}" if namespace else name


tags = st.builds(tag, namespaces, names)
keys = st.one_of(tags, st.sampled_from([f"{{{XML}}}lang", f"{{{XML}}}space"]))
attributes = st.dictionaries(keys, texts.map(lambda text: text or ""), max_size=4)


def element(
    tag: str, attributes: dict[str, str], text: str | None, children: list[Element], tail: str | None
) -> Element:
    made = Element(tag, attributes)
    made.text, made.tail = text, tail
    made.extend(children)
    return made


elements = st.builds(element, tags, attributes, texts, st.just([]), texts)
trees = st.recursive(
    elements,
    lambda inner: st.builds(element, tags, attributes, texts, st.lists(inner, max_size=4), texts),
    max_leaves=15,
)


def facts(root: Element) -> Iterator[tuple[int, str, dict[str, str], str, str]]:
    """All that a tree says, flat: equal lists mean equal trees, whatever prefixes their texts use."""
    todo: list[tuple[Element, int]] = [(root, 0)]
    while todo:
        one, depth = todo.pop()
        yield depth, one.tag, one.attrib, one.text or "", (one.tail or "") if depth else ""
        todo += [(child, depth + 1) for child in reversed(one)]


@given(trees)
def test_any_tree_comes_back_equal(tree: Element) -> None:
    assert list(facts(parse([to_text(tree)]))) == list(facts(tree))


@given(trees)
def test_the_text_says_what_elementtree_would_have_written(tree: Element) -> None:
    tree.tail = None
    for one in tree.iter():  # ElementTree's own writer loses these
        one.text, one.tail = ((text or "").replace("\r", "") for text in (one.text, one.tail))
    theirs = ET.tostring(tree, encoding="unicode")
    assert ET.canonicalize(to_text(tree), rewrite_prefixes=True) == ET.canonicalize(theirs, rewrite_prefixes=True)


@given(trees)
def test_text_that_came_back_is_written_the_same_again(tree: Element) -> None:
    text = to_text(parse([to_text(tree)]))
    assert to_text(parse([text])) == text


@given(trees, st.randoms(use_true_random=False))
def test_the_order_of_attributes_never_matters(tree: Element, chance: random.Random) -> None:
    before = to_text(tree)
    for one in tree.iter():
        shuffled = list(one.attrib.items())
        chance.shuffle(shuffled)
        one.attrib.clear()
        one.attrib.update(shuffled)
    assert to_text(tree) == before


@given(trees, st.integers(-3, 3))
def test_the_cap_is_on_bytes_and_exact(tree: Element, spare: int) -> None:
    text = to_text(tree)
    cap = len(text.encode()) + spare
    if spare >= 0:
        assert to_text(tree, Limits(bytes=cap)) == text
    else:
        with pytest.raises(Unfit):
            to_text(tree, Limits(bytes=cap))


@given(trees, st.integers(1, 2 * LIMITS.depth))
def test_the_cap_on_levels_is_exact(tree: Element, above: int) -> None:
    own = max(fact[0] for fact in facts(tree)) + 1
    root = tree
    for _ in range(above):
        outer = Element("a")
        outer.append(root)
        root = outer
    if own + above <= LIMITS.depth:
        assert len(list(parse([to_text(root)]).iter())) == len(list(root.iter()))
    else:
        with pytest.raises(Unfit):
            to_text(root)


@given(trees, st.sampled_from(["\0", "\x08", "\x1f", chr(0xD800), chr(0xDFFF), "\ufffe", "\uffff"]), st.data())
def test_what_xml_cannot_carry_is_refused_wherever_it_stands(tree: Element, bad: str, data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(list(tree.iter())))
    match data.draw(st.sampled_from(["text", "attribute"])):
        case "text":
            one.text = (one.text or "") + bad
        case _:
            one.set("c", bad)
    with pytest.raises(Unfit):
        to_text(tree)


@given(trees, st.data())
def test_comments_and_instructions_leave_only_the_text_after_them(tree: Element, data: st.DataObject) -> None:
    bare, one = parse([to_text(tree)]), parse([to_text(tree)])
    place = data.draw(st.integers(0, len(one)))
    comment = data.draw(st.sampled_from([ET.Comment("<x/>"), ET.ProcessingInstruction("x", "y")]))
    comment.tail = data.draw(texts)
    one.insert(place, comment)
    if place:
        bare[place - 1].tail = (bare[place - 1].tail or "") + (comment.tail or "")
    else:
        bare.text = (bare.text or "") + (comment.tail or "")
    assert list(facts(parse([to_text(one)]))) == list(facts(bare))
