from __future__ import annotations

import html
import time
import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from newsstand.analysis.builtin._markup import html_text, tree_text

XHTML = "http://www.w3.org/1999/xhtml"


def xhtml(inner: str) -> ET.Element:
    return ET.fromstring(f'<div xmlns="{XHTML}">{inner}</div>')


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("plain", "plain"),
        ("  much \n\n white\t space ", "much white space"),
        ("<p>one</p><p>two</p>", "one two"),
        ("line<br/>break", "line break"),
        ("im<b>port</b>ant <em>news</em>", "important news"),
        ("<ul><li>a</li><li>b</li></ul>", "a b"),
        ("a<script>alert(1)</script>b<style>p {}</style>c", "abc"),
        ("fish &amp; chips &lt;3", "fish & chips <3"),
        ("caf&#233;", "café"),
        ("a<img alt='the moon' src='no'/>b", "a the moon b"),
        ("a<img src='no'/>b", "a b"),
    ],
)
def test_a_tree_and_a_string_of_html_read_the_same(source: str, text: str) -> None:
    assert tree_text(xhtml(source)) == text
    assert html_text(source) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("a<!-- not <b>seen</b> -->b", "ab"),
        ("a<!-- never closed <p>b", "a"),
        ("a<!-->b", "ab"),
        ("a<!DOCTYPE html>b<?php x ?>c</>d", "abcd"),
        ("<a title=\"1 > 2\" href='x>y'>link</a>", "link"),
        ("<p class=a>don't</p><p data-x = 'y>z' hidden>do</p>", "don't do"),
        ("<p don't>isn't it", "isn't it"),
        ("seen <a href='never closed>not seen", "seen"),
        ("seen <a", "seen"),
        ("<SCRIPT>x</SCRIPTS>y</sCript >z", "z"),
        ("seen<script>never closed", "seen"),
        ("<a=>text", "text"),
        ("&nbsp;&bogus;&#0;&#xD800;&#x41", "&bogus;\ufffd\ufffdA"),
        ("&am<b></b>p;", "&amp;"),
        ("&#" + "9" * 5000 + ";!", "\ufffd;!"),
        ("&lt;script&gt;", "<script>"),
    ],
)
def test_html_is_read_as_a_browser_would(source: str, text: str) -> None:
    assert html_text(source) == text


@pytest.mark.parametrize(
    ("source", "unseen"),
    [
        ("<p title='one'>a</p><a TITLE=two href=no>b</a>", ["one", "two"]),
        ("<p title='one>two", ["two"]),
        ("a < b", []),
        ("a<b and c", ["and c"]),
        ("a<x and c", ["x and c"]),
        ("a<!-- b > c", ["b c"]),
        ("a<!-- lost", ["lost"]),
        ("a <a href='https://example.org/cut", [""]),
        ("a<a href='b>c <i>d</i>", ["c d"]),
        ("a</never closed", ["never closed"]),
        ("a<script>never closed", []),
    ],
)
def test_what_is_not_seen_and_a_person_may_have_written_is_handed_over(source: str, unseen: list[str]) -> None:
    found: list[str] = []
    html_text(source, found)
    assert [" ".join(text.split()) for text in found] == unseen


def test_the_titles_in_a_tree_are_handed_over() -> None:
    found: list[str] = []
    assert tree_text(xhtml("<p title='one'>a</p><x xmlns='urn:x' title='two'/>"), found) == "a"
    assert found == ["one", "two"]


def test_comments_and_instructions_in_a_tree_are_not_text_but_what_follows_is() -> None:
    builder = ET.TreeBuilder(insert_comments=True, insert_pis=True)
    source = f'<div xmlns="{XHTML}">a<!-- secret -->b<?php secret ?>c</div>'
    tree = ET.fromstring(source, ET.XMLParser(target=builder))
    assert tree_text(tree) == "abc"


def test_elements_of_other_namespaces_separate_words() -> None:
    assert tree_text(xhtml('a<b xmlns="urn:other">c</b>d')) == "a c d"


def test_ten_thousand_levels_are_read_without_recursion() -> None:
    root = leaf = ET.Element(f"{{{XHTML}}}div")
    for _ in range(10_000):
        leaf = ET.SubElement(leaf, f"{{{XHTML}}}b")
    leaf.text = "deep"
    assert tree_text(root) == "deep"
    while len(root):  # taken apart from the top, as the interpreter may not survive freeing it whole
        root = root[0]


@pytest.mark.parametrize(
    "piece",
    [
        "<!--",
        "<a ",
        "<a x='",
        "<a x=",
        "<",
        "</",
        "<!",
        "<script>",
        "&",
        "&#",
        "&#1",
        "<a>",
        "<?",
        "=",
        "<a\n",
    ],
)
def test_a_megabyte_of_unclosed_markup_takes_linear_time(piece: str) -> None:
    source = piece * (2**20 // len(piece))
    start = time.process_time()
    html_text(source)
    assert time.process_time() - start < 5


@settings(deadline=None)
@given(st.text(alphabet="<>/!-&#;='\" abpscrit19x\n", max_size=60))
@example("<script></script")
@example("<a b=")
@example("<a b='")
def test_no_string_makes_it_raise_and_tags_never_remain(source: str) -> None:
    text = html_text(source)
    assert "\0" not in text
    assert text == " ".join(text.split())


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=60))
def test_escaped_text_comes_back(text: str) -> None:
    expected = " ".join(text.split())
    assert html_text(html.escape(text)) == expected
