"""The built-in analysers as a whole: which of them takes which node, and what holds for every parser."""

from __future__ import annotations

import asyncio
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsstand.analysis.analysers import Analyser, Analysers, Analysis, analyse, checked_json
from newsstand.analysis.builtin import BUILT_IN, avatar, blog, bookmarks, displayed, nick, omemo, vcard4

SECRET = "hunter2"
PUBLIC = ("microblog", "blog", "vcard4")
"""Their parsers copy text that is meant to be read, whatever elements it stands in."""

NAMESPACES = {
    "bookmarks": bookmarks.NAMESPACE,
    "legacy-bookmarks": bookmarks.LEGACY_NAMESPACE,
    "avatar-metadata": avatar.NAMESPACE,
    "avatar-data": avatar.DATA_NAMESPACE,
    "omemo-devices": omemo.NAMESPACE,
    "omemo-legacy-devices": omemo.LEGACY_NAMESPACE,
    "omemo-bundles": omemo.NAMESPACE,
    "omemo-legacy-bundles": omemo.LEGACY_NAMESPACE,
    "displayed": displayed.NAMESPACE,
    "vcard4": vcard4.NAMESPACE,
    "nick": nick.NAMESPACE,
    "microblog": blog.NAMESPACE,
    "blog": blog.NAMESPACE,
}
FOREIGN = (
    "http://www.w3.org/1999/xhtml",
    "http://purl.org/syndication/thread/1.0",
    "http://jabber.org/protocol/geoloc",
    "jabber:client",
    "urn:\"'>}\n",
)
ATOM = """
    author contributor name uri email title summary content category link generator published updated rights
    {http://purl.org/syndication/thread/1.0}in-reply-to
    {http://jabber.org/protocol/geoloc}geoloc {http://jabber.org/protocol/geoloc}lat
    {http://www.w3.org/1999/xhtml}div {http://www.w3.org/1999/xhtml}b {http://www.w3.org/1999/xhtml}script
"""
ELEMENTS = {
    "bookmarks": "nick password extensions",
    "legacy-bookmarks": "conference url nick password",
    "avatar-metadata": "info pointer stop",
    "avatar-data": "data",
    "omemo-devices": "device",
    "omemo-legacy-devices": "device",
    "omemo-bundles": "ik spk spks prekeys pk",
    "omemo-legacy-bundles": "identityKey signedPreKeyPublic signedPreKeySignature prekeys preKeyPublic",
    "displayed": "{urn:xmpp:sid:0}stanza-id",
    "vcard4": "fn n given adr street tel email photo rev parameters type pref text uri integer group bday",
    "nick": "nick password",
    "microblog": ATOM,
    "blog": ATOM,
}
"""What the parsers look for, in the payload's namespace where none is given; other elements go in between."""

ATTRIBUTES = {
    "bookmarks": "name autojoin password",
    "legacy-bookmarks": "jid name autojoin url password",
    "avatar-metadata": "id bytes width height type url",
    "avatar-data": "id password",
    "omemo-devices": "id label labelsig",
    "omemo-legacy-devices": "id label",
    "omemo-bundles": "id password",
    "omemo-legacy-bundles": "signedPreKeyId preKeyId",
    "displayed": "id by password",
    "vcard4": "name",
    "nick": "password",
    "microblog": "href type rel title term ref length src version",
    "blog": "type href rel title {http://www.w3.org/XML/1998/namespace}lang {urn:x}y",
}
"""Their attributes, the first always given."""

VALUES = (
    "xhtml",
    "html",
    "text",
    "image/png",
    "replies",
    "comments",
    "xmpp:a@b?;node=%00;item=%ff",
    "xmpp:a@b?;node=n",
    "-1",
    "1e400",
    "NaN",
    "9" * 30,
    "2024-03-09T17:05:00Z",
    "0001-01-01T00:00:00+23:59",
    *("9d3c1b0a5e7f4862a0b1c2d3e4f5061728394a5b", "12", "45.5") * 3,
    "<p>&#0;<!--&#xD800;<a href='",
    "true",
)


ALLOWED = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")
TEXT = st.sampled_from(VALUES) | st.text(ALLOWED, max_size=12)

ROOTS = {
    "bookmarks": bookmarks.CONFERENCE,
    "legacy-bookmarks": bookmarks.STORAGE,
    "avatar-metadata": avatar.METADATA,
    "avatar-data": avatar.DATA,
    "omemo-devices": omemo.DEVICES,
    "omemo-legacy-devices": omemo.LEGACY_LIST,
    "omemo-bundles": omemo.BUNDLE,
    "omemo-legacy-bundles": omemo.LEGACY_BUNDLE,
    "displayed": displayed.DISPLAYED,
    "vcard4": vcard4.VCARD,
    "nick": nick.NICK,
    "microblog": blog.ENTRY,
    "blog": blog.FEED,
}


@dataclass(frozen=True)
class Part:
    """One node of a tree that is being made, and the earlier one it goes into."""

    parent: int
    tag: str | None
    attributes: dict[str, str]
    text: str | None
    tail: str | None

    def into(self, nodes: list[ET.Element]) -> None:
        node: Any = (ET.Comment if self.parent % 2 else ET.ProcessingInstruction)(SECRET)
        if self.tag is not None:
            node = ET.Element(self.tag, self.attributes)
            node.text = SECRET if self.tag.endswith("}password") else self.text
            if "password" in self.attributes:
                node.set("password", SECRET)
        node.tail = self.tail
        parent = nodes[self.parent % len(nodes)]
        if parent.text != SECRET:  # nothing goes into comments and passwords
            parent.append(node)
            nodes.append(node)


def parts(name: str) -> st.SearchStrategy[Part]:
    known = [tag if tag[0] == "{" else f"{{{NAMESPACES[name]}}}{tag}" for tag in ELEMENTS[name].split()]
    first, *more = ATTRIBUTES[name].split()
    strange = [f"{{{namespace}}}{tag}" for namespace in FOREIGN for tag in ("x", "title", "password")]
    return st.builds(
        Part,
        parent=st.sampled_from((0,) * 20 + tuple(range(20))),
        tag=st.sampled_from((*known * (100 // len(known)), *strange, None, None, None)),
        attributes=st.fixed_dictionaries({first: TEXT}, optional=dict.fromkeys(more, TEXT)),
        text=TEXT,
        tail=st.none() | TEXT,
    )


def items(name: str) -> st.SearchStrategy[ET.Element]:
    """An item that mostly has one payload, of the right name; the inside of that is made of anything."""

    def made(
        root: str, attributes: dict[str, str], text: str | None, inside: list[Part], beside: list[Part]
    ) -> ET.Element:
        item = ET.Element("{http://jabber.org/protocol/pubsub}item", attributes)
        payload = ET.SubElement(item, root)
        payload.text = text
        for parent, some in ((payload, inside), (item, beside)):
            nodes = [parent]
            for part in some:
                part.into(nodes)
        return item

    return st.builds(
        made,
        st.sampled_from((ROOTS[name],) * 8 + ("{urn:x}x", f"{{{NAMESPACES[name]}}}x")),
        st.fixed_dictionaries({"id": TEXT}, optional={"publisher": TEXT}),
        st.none() | TEXT,
        st.lists(parts(name), max_size=4) | st.lists(parts(name), min_size=8, max_size=40),
        st.lists(parts(name), max_size=2),
    )


ITEMS = {name: items(name) for name in NAMESPACES}


def by_name(name: str) -> Analyser:
    return next(analyser for analyser in BUILT_IN if analyser.name == name)


@pytest.mark.parametrize("name", NAMESPACES)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_any_tree_gives_sound_json_or_a_value_error_and_is_left_alone(name: str, data: st.DataObject) -> None:
    parser = by_name(name).parser
    assert parser is not None
    item = data.draw(ITEMS[name])
    before = ET.tostring(item)
    try:
        parsed: Any = parser(item, service="a@b", node="n")
    except ValueError as error:
        parsed = {"error": str(error)}
    assert ET.tostring(item) == before
    assert json.loads(json.dumps(parsed, allow_nan=False)) == parsed
    assert json.loads(checked_json(parsed)) == parsed
    assert_plain(parsed)
    if name not in PUBLIC:
        assert SECRET not in json.dumps(parsed)


def assert_plain(parsed: object) -> None:
    """Nothing but text, numbers, truth, lists and dicts; names in lower snake case; never None."""
    todo: list[object] = [parsed]
    for value in todo:
        if isinstance(value, dict):
            assert all(re.fullmatch("[a-z][a-z0-9_]*", key) for key in value)
            todo += value.values()
        elif isinstance(value, list):
            todo += value
        else:
            assert isinstance(value, str | int | float)


@pytest.mark.parametrize("name", NAMESPACES)
def test_ten_thousand_levels_never_end_a_parser(name: str) -> None:
    parser = by_name(name).parser
    assert parser is not None
    root, _, local = ROOTS[name].rpartition("}")
    item = ET.Element("item", id="i")
    leaf = ET.SubElement(item, f"{root}}}{local}")
    for tag in ("content", "nickname", "info", "nick", "extensions", "conference", "prekeys"):
        leaf = ET.SubElement(leaf, f"{root}}}{tag}", type="xhtml")
    for _ in range(10_000):
        leaf = ET.SubElement(leaf, "{http://www.w3.org/1999/xhtml}b")
    assert isinstance(parser(item, service="s", node="n"), dict)
    while len(item):  # taken apart from the top, as the interpreter may not survive freeing it whole
        item = item[0]


async def run(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return function(*arguments, **named)


async def no_type() -> str | None:
    raise AssertionError("no built-in analyser costs a disco request")


def analyser_of(node: str, *namespaces: str) -> tuple[str | None, str | None]:
    analysis = Analysis("pubsub.example", node, namespaces)
    decided = asyncio.run(analyse(Analysers(BUILT_IN), analysis, no_type, run))
    if decided is None:
        return "undecided", None
    return (decided.analyser.name if decided.analyser else None), decided.analysis.subtype


@pytest.mark.parametrize(
    ("node", "namespace", "name"),
    [
        (bookmarks.NODE, bookmarks.NAMESPACE, "bookmarks"),
        (avatar.NODE, avatar.NAMESPACE, "avatar-metadata"),
        (avatar.DATA_NODE, avatar.DATA_NAMESPACE, "avatar-data"),
        (omemo.NODE, omemo.NAMESPACE, "omemo-devices"),
        ("urn:xmpp:omemo:2:bundles", omemo.NAMESPACE, "omemo-bundles"),
        (omemo.LEGACY_NODE, omemo.LEGACY_NAMESPACE, "omemo-legacy-devices"),
        ("eu.siacs.conversations.axolotl.bundles:31415", omemo.LEGACY_NAMESPACE, "omemo-legacy-bundles"),
        ("eu.siacs.conversations.axolotl", omemo.LEGACY_NAMESPACE, None),
        ("urn:xmpp:mds:displayed:0", displayed.NAMESPACE, "displayed"),
        (vcard4.NODE, vcard4.NAMESPACE, "vcard4"),
        ("urn:xmpp:contacts", vcard4.NAMESPACE, None),
        (nick.NODE, nick.NAMESPACE, "nick"),
        (blog.NODE, blog.NAMESPACE, "microblog"),
        (f"{blog.COMMENTS}42", blog.NAMESPACE, "microblog"),
        ("verona-news", blog.NAMESPACE, "blog"),
        ("urn:xmpp:pubsub-social-feed:stories:0", blog.NAMESPACE, "blog"),
        ("verona-news", "urn:example:recipe", None),
        ("storage:bookmarks", "storage:bookmarks", "legacy-bookmarks"),
        ("storage:bookmarks", "storage:rosternotes", None),
        (bookmarks.NODE, blog.NAMESPACE, "blog"),
    ],
)
def test_nodes_go_to_their_analyser(node: str, namespace: str, name: str | None) -> None:
    assert analyser_of(node, namespace)[0] == name


def test_a_community_whose_avatar_is_among_its_posts_is_a_blog() -> None:
    assert analyser_of("verona-news", avatar.NAMESPACE, blog.NAMESPACE)[0] == "blog"


def test_an_empty_microblog_is_known_by_its_name_and_its_comments_by_theirs() -> None:
    assert analyser_of(blog.NODE) == ("microblog", None)
    assert analyser_of(f"{blog.COMMENTS}42") == ("microblog", "comments")
    assert analyser_of("verona-news") == ("undecided", None)


def test_every_one_is_synchronised_parsed_and_named_once() -> None:
    assert all(analyser.to_sync and analyser.parser is not None for analyser in BUILT_IN)
    assert [analyser.name for analyser in BUILT_IN] == list(NAMESPACES)
