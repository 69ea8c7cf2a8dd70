"""The work that a stranger's text and payloads make grows as they do, and not faster: counted in steps, not timed."""

from __future__ import annotations

import importlib
import pkgutil
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from newsstand.analysis import analysers as analysis
from newsstand.analysis import builtin, folding, secret_names, words
from newsstand.analysis.analysers import Analyser, checked_json
from newsstand.analysis.builtin import BUILT_IN
from newsstand.analysis.builtin._markup import html_text
from newsstand.analysis.secret_names import is_secret_name
from newsstand.analysis.words import terms_of, terms_of_xml
from newsstand.errors import ParseError
from newsstand.sync import parsing
from newsstand.xmpp import xmltext
from tests.unit.analysis.builtin.test_built_in import ATTRIBUTES, ELEMENTS, NAMESPACES, ROOTS
from tests.work import grows_linearly, steps_of

MODULES = (
    words,
    xmltext,
    folding,
    secret_names,
    analysis,
    parsing,
    *(importlib.import_module(f"{builtin.__name__}.{found.name}") for found in pkgutil.iter_modules(builtin.__path__)),
)
SIZE = 60

PIECES = [
    *("\u0f73", "\u0f75", "\u0f81", "\u0344", "\u0301", "\u0345", "\u0301\u0327", "\u3099", "\uff9e", "\u093e"),
    *("a\u0301", "\ufdfa", "\u1e9b\u0323", "각", "\u00ad", "\u200d", "日", "😀", "İ", "ß", "ﬃ"),
    *(
        "a",
        "A b ",
        " ",
        "\n",
        "\t\u00a0",
        "9",
        "0 ",
        "-",
        ".",
        "_",
        "=",
        "'",
        '"',
        "+",
        "%00",
        "%",
        ";",
        "?;node=",
        "xmpp:",
    ),
    *("&", "&#", "&#1", "&#x1", "&amp;", "&amp", "&lt;", "&notanentity", "&#99999999999;"),
    *("<", ">", "</", "<!--", "-->", "<!", "<?", "<a ", "<a b=", "<a b='", '<a b="', "<a =", "<p>", "</p>", "<script>"),
    *("</script", "</script>", "<img alt='x' ", "<img alt='x'>", "<x title = ", " alt = ", '<a title="', "<style><!--"),
    *("2024-03-09T17:05:00Z", "2024-03-09T17:05:00.", ".5", "T", "Aa", "aB", "password-", "api", "pass_", "Key"),
]
pieces = st.sampled_from(PIECES)
texts = st.builds(
    lambda before, piece, more: (before, piece + more), pieces | st.just(""), pieces, pieces | st.just("")
)
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check(call: Callable[[int], Callable[[], object]], size: int = SIZE) -> None:
    def forgetful(size: int) -> Callable[[], object]:
        """What was folded before is folded again: else the first size would pay for all."""
        work = call(size)

        def run() -> None:
            with mock.patch.object(folding, "_FOLDED", folding.Folded()):
                work()

        return run

    forgetful(size)()  # what else is remembered, the first size must not pay for alone, either
    linear, steps = grows_linearly(forgetful, size, *MODULES)
    assert linear, steps


@relaxed
@given(texts)
def test_cutting_words(text: tuple[str, str]) -> None:
    before, piece = text
    with mock.patch.object(words, "_SLICE", 50):
        check(lambda size: lambda: words.words(before + piece * size), 500)


@relaxed
@given(texts)
def test_reading_html(text: tuple[str, str]) -> None:
    before, piece = text
    check(lambda size: lambda: html_text(before + piece * size, []))


@relaxed
@given(texts)
def test_telling_whether_a_name_is_one_of_a_secret(text: tuple[str, str]) -> None:
    before, piece = text
    check(lambda size: lambda: is_secret_name(before + piece * size))


# Payloads ------------------------------------------------------------------------------------------------------------

Inside = Callable[[ET.Element, int], None]


def tags_of(name: str) -> list[str]:
    known = [tag if tag[0] == "{" else f"{{{NAMESPACES[name]}}}{tag}" for tag in ELEMENTS[name].split()]
    return [*known, "{urn:x}x", "{urn:x}password"]


def nested(tag: str, text: str) -> Inside:
    def add(payload: ET.Element, size: int) -> None:
        for _ in range(size):
            payload = ET.SubElement(payload, tag)
            payload.text = text
            payload.tail = text

    return add


def siblings(tag: str, attributes: dict[str, str], text: str) -> Inside:
    def add(payload: ET.Element, size: int) -> None:
        for _ in range(size):
            child = ET.SubElement(payload, tag, attributes)
            child.text = child.tail = text

    return add


def siblings_inside(outer: str, tag: str, attributes: dict[str, str], text: str) -> Inside:
    return lambda payload, size: siblings(tag, attributes, text)(ET.SubElement(payload, outer, attributes), size)


def different_siblings(tag: str, text: str) -> Inside:
    def add(payload: ET.Element, size: int) -> None:
        for number in range(size):
            ET.SubElement(payload, f"{tag}{number}", {f"a{number}": text}).text = f"{text}{number}"

    return add


def many_attributes(tag: str, text: str) -> Inside:
    return lambda payload, size: ET.SubElement(payload, tag, {f"{text}{i}": text for i in range(size)}).clear()


def a_long_text(tag: str, before: str, piece: str) -> Inside:
    def add(payload: ET.Element, size: int) -> None:
        ET.SubElement(payload, tag).text = before + piece * size

    return add


def a_long_attribute(tag: str, name: str, before: str, piece: str) -> Inside:
    def add(payload: ET.Element, size: int) -> None:
        ET.SubElement(payload, tag, {name: before + piece * size})

    return add


def a_long_namespace(outer: str, attributes: dict[str, str]) -> Inside:
    """Declared once, and used by many: its elements have one tag."""

    def add(payload: ET.Element, size: int) -> None:
        parent = ET.SubElement(payload, outer, attributes)
        tag = f"{{urn:{'n' * 100 * size}}}b"
        for _ in range(size):
            ET.SubElement(parent, tag).text = "a"

    return add


@st.composite
def inside(draw: st.DrawFn, name: str) -> Inside:
    tag, outer = draw(st.sampled_from(tags_of(name))), draw(st.sampled_from(tags_of(name)))
    before, piece = draw(texts)
    types = st.sampled_from(["text", "html", "xhtml", "text/html", "plain", "image/png", "application/xml", before])
    attributes = draw(st.dictionaries(st.sampled_from(ATTRIBUTES[name].split()), types, max_size=3))
    made = [
        nested(tag, piece),
        siblings(tag, attributes, piece),
        siblings_inside(outer, tag, attributes, piece),
        different_siblings(tag, piece),
        many_attributes(tag, "a"),
        a_long_text(tag, before, piece),
        a_long_attribute(tag, draw(st.sampled_from(ATTRIBUTES[name].split())), before, piece),
        a_long_namespace(outer, attributes),
    ]
    number = draw(st.integers(0, len(made) - 1))
    note(f"{made[number].__qualname__} {tag} {outer} {before!r} {piece!r} {attributes}")
    return made[number]


def item_of(root: str, add: Inside, size: int) -> ET.Element:
    item = ET.Element("{http://jabber.org/protocol/pubsub}item", {"id": "i"})
    add(ET.SubElement(item, root), size)
    return item


REFUSING = ("avatar-data",)
"""The parsers that refuse texts: most are no base64."""


def parsing_of(analyser: Analyser, item: ET.Element) -> Callable[[], object]:
    """All that is done with an item once it is read."""
    parser: Any = analyser.parser

    def parse() -> object:
        try:
            parsed = parser(item, service="s", node="n")
        except ValueError:
            if analyser.name in REFUSING:
                return None  # which took its work, too
            raise
        checked_json(parsed)
        return terms_of(parsed, analyser.words)

    return parse


@pytest.mark.parametrize("analyser", BUILT_IN, ids=lambda analyser: analyser.name)
@relaxed
@given(data=st.data())
def test_parsing_an_item_and_cutting_its_words(analyser: Analyser, data: st.DataObject) -> None:
    add = data.draw(inside(analyser.name))
    root = ROOTS[analyser.name]
    check(lambda size: parsing_of(analyser, item_of(root, add, size)))


@relaxed
@given(inside("blog"))
def test_cutting_the_words_of_what_no_parser_knows(add: Inside) -> None:
    def cutting(size: int) -> Callable[[], object]:
        item = item_of("{urn:x}x", add, size)
        return lambda: terms_of_xml(item)

    check(cutting)


def test_writing_a_tree_of_one_long_namespace() -> None:
    def writing(size: int) -> Callable[[], object]:
        namespace = f"{{urn:{'n' * 100 * size}}}"
        root = ET.Element(f"{namespace}a")
        for number in range(size):
            ET.SubElement(root, f"{namespace}{'bcd'[number % 3]}")
        return lambda: xmltext.to_text(root)

    check(writing)


# What was parsed -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "made",
    [
        lambda size: {"a": ["x"] * size},
        lambda size: {f"a{number}": {"b": [number, None, 1.5]} for number in range(size)},
        lambda size: {"a": "\u0f73" * size},
        lambda size: {"a": [["x"] * 10] * size},
    ],
)
def test_checking_json(made: Callable[[int], dict[str, Any]]) -> None:
    def checking(size: int) -> Callable[[], object]:
        parsed = made(size)
        return lambda: (checked_json(parsed), terms_of(parsed), terms_of(parsed, ["a.b", "a"]))

    check(checking)


def test_what_holds_itself_many_times_over_is_checked_no_further_than_its_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sixty objects that stand for 2^60."""
    monkeypatch.setattr(analysis, "MAX_JSON_VALUES", 1_000)
    parsed: dict[str, Any] = {}
    for _ in range(60):
        parsed = {"a": parsed, "b": parsed}

    def refused() -> None:
        with pytest.raises(ParseError, match="more than 1000 values"):
            checked_json(parsed)

    assert steps_of(refused) < 100_000


# What would be noticed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "work",
    [
        lambda size: lambda: unicodedata.normalize("NFKD", "a" + "\u0f73" * size),
        lambda size: lambda: [None for _ in range(size) for _ in range(size)],
        lambda size: lambda: [("n" * 100 * size).rpartition("}") for _ in range(size)],
        lambda size: lambda: analysis._SURROGATE.search("x" * size * size),
    ],
    ids=["sorting marks", "loops", "a text copied for each part", "a pattern"],
)
def test_more_than_linear_work_would_be_noticed(work: Callable[[int], Callable[[], object]]) -> None:
    assert not grows_linearly(work, SIZE, *MODULES)[0]
