"""No word of a payload that a person wrote is lost: a search finds the item by it. And none that only programs read."""

from __future__ import annotations

import html
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsstand.analysis.builtin import BUILT_IN, avatar, blog, bookmarks, displayed, nick, omemo, vcard4
from newsstand.analysis.words import MAX_TEXT, terms_of

XHTML, ATOM, VCARD = "http://www.w3.org/1999/xhtml", blog.NAMESPACE, vcard4.NAMESPACE
GEOLOC = "http://jabber.org/protocol/geoloc"

Put = Callable[[ET.Element, str], None]
"""Writes a word somewhere into a payload."""


# Where words stand ---------------------------------------------------------------------------------------------------


def text_of(tag: str, /, **attributes: str) -> Put:
    def put(payload: ET.Element, word: str) -> None:
        ET.SubElement(payload, tag, attributes).text = f" {word} "

    return put


def attribute_of(tag: str, name: str, /, **attributes: str) -> Put:
    return lambda payload, word: (ET.SubElement(payload, tag, {**attributes, name: word}), None)[1]


def deep(*tags: str, attributes: dict[str, str] | None = None) -> Put:
    """In an element within elements; the outermost has the attributes."""

    def put(payload: ET.Element, word: str) -> None:
        inner = ET.SubElement(payload, tags[0], attributes or {})
        for tag in tags[1:]:
            inner = ET.SubElement(inner, tag)
        inner.text = word

    return put


def xml(source: str) -> Put:
    """Of XML, in which a star stands for the word."""

    def put(payload: ET.Element, word: str) -> None:
        wrapped = f'<x xmlns="{ATOM}" xmlns:h="{XHTML}" xmlns:v="{VCARD}">{source.replace("*", word)}</x>'
        payload.extend(ET.fromstring(wrapped))

    return put


def own_text(payload: ET.Element, word: str) -> None:
    payload.text = f"{payload.text or ''} {word} "


def tail(payload: ET.Element, word: str) -> None:
    ET.SubElement(payload, "{urn:x}x").tail = f" {word} "


TYPES = (
    *("text", "html", "xhtml", "text/html", "text/plain", "plain", "markdown", "text/markdown", "TEXT/HTML; charset=x"),
    *(
        "application/xhtml+xml",
        "application/xml",
        "image/svg+xml",
        "image/png",
        "application/json",
        "",
        " html ",
        "x/y",
    ),
)
INSIDE = (
    *("*", "<h:p>*</h:p>", "<p>*</p>", "<p xmlns=''>*</p>", "a <h:b>b</h:b> *", "<h:div><h:p>a</h:p>*</h:div>"),
    *("<h:div>a</h:div> *", "<h:a href='no'>*</h:a>", "<y xmlns='urn:y'>*</y>", "<h:p>1 &lt;a</h:p> * &gt; 0"),
    *("<!-- a -->*", "<h:img alt='*'/>", "<h:abbr title='*'>a</h:abbr>", "<p><b><i><u>*</u></i></b></p>", "a<br/>*"),
)
ESCAPED = (
    *("*", "<p>*</p>", "a<br>*", "<p>a<p>*", "<img alt='*' src=no>", '<IMG ALT = "*">', "<abbr title=*>a</abbr>"),
    *(
        "<a href='no'>*</a>",
        "a <b * is true",
        "a<!-- * never closed",
        "a <a href='no> * never closed",
        "&lt; *",
        "1 < *",
    ),
    *("<no no=no * no='", "a <a no=no>*", "</b * ", "<?x *", "<![CDATA[*]]", "<p>a</p> * <p"),
)
NAMES = ("title", "subtitle", "summary", "content", "rights")

constructs: st.SearchStrategy[Put] = st.one_of(
    st.builds(
        lambda name, type, inside: xml(f'<{name} type="{type}">{inside}</{name}>'),
        st.sampled_from(NAMES),
        st.sampled_from(TYPES),
        st.sampled_from(INSIDE),
    ),
    st.builds(
        lambda name, type, inside, more: xml(f'<{name} type="{type}">{html.escape(inside)}{more}</{name}>'),
        st.sampled_from(NAMES),
        st.sampled_from(["html", "text/html", "xhtml", "text/html; charset=utf-8"]),
        st.sampled_from(ESCAPED),
        st.just(""),
    ),
    st.builds(
        lambda name, inside, before: xml(f'<{name} type="html">{before} {html.escape(inside)}</{name}>'),
        st.sampled_from(NAMES),
        st.sampled_from(ESCAPED),
        st.sampled_from(["<h:p>a</h:p>", "a <b>b</b>", "<y xmlns='urn:y'/>"]),
    ),
)


def atom(name: str) -> str:
    return f"{{{ATOM}}}{name}"


def geoloc(name: str) -> str:
    return f"{{{GEOLOC}}}{name}"


def vcard(name: str) -> str:
    return f"{{{VCARD}}}{name}"


ANYWHERE: list[Put] = [own_text, tail, text_of("{urn:x}x"), deep("{urn:x}x", "{urn:y}y"), text_of("no-namespace")]
OF_ATOM: list[Put] = [
    *ANYWHERE,
    *(deep(atom(person), atom("name")) for person in ("author", "contributor")),
    *(deep(atom("author"), atom("name"), "{urn:x}b"), text_of(atom("author")), deep(atom("author"), "{urn:x}nick")),
    *(attribute_of(atom("category"), name) for name in ("term", "label")),
    *(text_of(atom("category")), attribute_of(atom("category"), "label", term="a")),
    *(attribute_of(atom("link"), "title", rel=rel, href="no:no") for rel in ("enclosure", "related", "replies")),
    *(deep(geoloc("geoloc"), geoloc(name)) for name in ("text", "locality", "street", "description", "country")),
    *(deep(atom("source"), atom("title")), deep(atom("entry"), atom("title")), text_of(atom("unknown"))),
    *(attribute_of("{urn:x}x", "title"), text_of("{http://search.yahoo.com/mrss/}description")),
]
OF_VCARD: list[Put] = [
    *ANYWHERE,
    *(deep(vcard(name), vcard("text")) for name in ("fn", "note", "title", "role", "nickname", "org", "categories")),
    *(text_of(vcard(name)) for name in ("fn", "note", "nickname", "email", "tel")),
    *(deep(vcard("n"), vcard(name)) for name in ("surname", "given", "additional", "prefix", "suffix")),
    *(deep(vcard("adr"), vcard(name)) for name in ("street", "locality", "region", "code", "country", "pobox")),
    *(deep(vcard("adr"), vcard("parameters"), vcard("label"), vcard("text")), deep(vcard("hobby"), vcard("text"))),
    *(deep(vcard("gender"), vcard("identity"), vcard("text")), deep(vcard("email"), vcard("text"))),
    *(deep(vcard("group"), vcard("note"), vcard("text")), deep(vcard("note"), vcard("text"), vcard("b"))),
]
OMEMO = f"{{{omemo.NAMESPACE}}}device"
LEGACY = f"{{{omemo.LEGACY_NAMESPACE}}}device"
BOOKMARK = f"{{{bookmarks.NAMESPACE}}}"
OLD_BOOKMARK = f"{{{bookmarks.LEGACY_NAMESPACE}}}"
BUNDLE, OLD_BUNDLE = f"{{{omemo.NAMESPACE}}}", f"{{{omemo.LEGACY_NAMESPACE}}}"

OF_PEOPLE: dict[str, st.SearchStrategy[Put]] = {
    "bookmarks": st.just(text_of(f"{BOOKMARK}nick")),
    "legacy-bookmarks": st.sampled_from(
        [
            attribute_of(f"{OLD_BOOKMARK}conference", "name", jid="no@no"),
            deep(f"{OLD_BOOKMARK}conference", f"{OLD_BOOKMARK}nick", attributes={"jid": "no@no"}),
            attribute_of(f"{OLD_BOOKMARK}url", "name", url="no:no"),
        ]
    ),
    "avatar-metadata": st.sampled_from([*ANYWHERE, deep(f"{{{avatar.NAMESPACE}}}pointer", "{urn:x}x")]),
    "omemo-devices": st.sampled_from([*ANYWHERE, attribute_of(OMEMO, "label", id="1", labelsig="no"), text_of(OMEMO)]),
    "omemo-legacy-devices": st.sampled_from([*ANYWHERE, text_of(LEGACY, id="1")]),
    "vcard4": st.sampled_from(OF_VCARD),
    "nick": st.sampled_from([*ANYWHERE, text_of(nick.NICK), deep("{urn:x}x", nick.NICK)]),
    "microblog": st.one_of(st.sampled_from(OF_ATOM), constructs),
    "blog": st.one_of(st.sampled_from(OF_ATOM), constructs),
}

ONLY_FOR_PROGRAMS = ("avatar-data", "omemo-bundles", "omemo-legacy-bundles", "displayed")
"""Their payloads are written by nobody: whatever stands there is no word."""

OF_PROGRAMS: dict[str, list[Put]] = {
    "bookmarks": [attribute_of(f"{BOOKMARK}x", "autojoin"), text_of(f"{BOOKMARK}password")],
    "legacy-bookmarks": [
        *(attribute_of(f"{OLD_BOOKMARK}conference", name) for name in ("jid", "autojoin", "password")),
        deep(f"{OLD_BOOKMARK}conference", f"{OLD_BOOKMARK}password", attributes={"jid": "no@no", "name": "a"}),
        attribute_of(f"{OLD_BOOKMARK}url", "url", name="a"),
        *ANYWHERE,
    ],
    "avatar-data": [*ANYWHERE, text_of(avatar.DATA)],
    "omemo-bundles": [*ANYWHERE, *(text_of(f"{BUNDLE}{name}", id="1") for name in ("ik", "spk", "spks", "prekeys"))],
    "omemo-legacy-bundles": [
        *ANYWHERE,
        *(text_of(f"{OLD_BUNDLE}{name}") for name in ("identityKey", "signedPreKeyPublic", "signedPreKeySignature")),
        deep(f"{OLD_BUNDLE}prekeys", f"{OLD_BUNDLE}preKeyPublic"),
    ],
    "displayed": [*ANYWHERE, *(attribute_of("{urn:xmpp:sid:0}stanza-id", name, id="1") for name in ("by", "id"))],
    "avatar-metadata": [attribute_of(f"{{{avatar.NAMESPACE}}}info", name) for name in ("id", "type", "url")],
    "omemo-devices": [attribute_of(OMEMO, name, id="1", label="a") for name in ("labelsig", "x")],
    "omemo-legacy-devices": [attribute_of(LEGACY, "id")],
    "vcard4": [
        *(deep(vcard(name), vcard("uri")) for name in ("photo", "url", "impp", "key", "member", "sound", "uid")),
        *(deep(vcard(name), vcard("date")) for name in ("bday", "anniversary", "rev")),
        *(deep(vcard(name), vcard("text")) for name in ("kind", "tz", "prodid", "lang")),
        deep(vcard("tel"), vcard("parameters"), vcard("type"), vcard("text")),
    ],
    "nick": [],
    "microblog": [
        *(text_of(atom(name)) for name in ("id", "updated", "published", "icon", "logo", "generator")),
        *(deep(atom("author"), atom(name)) for name in ("uri", "email")),
        *(attribute_of(atom("link"), name, href="no:no") for name in ("rel", "type", "hreflang", "ref")),
        *(attribute_of(atom("link"), "href"), attribute_of(atom("category"), "scheme", term="a")),
        *(attribute_of(atom("content"), name) for name in ("src", "{http://www.w3.org/XML/1998/namespace}lang")),
        *(deep(geoloc("geoloc"), geoloc(name)) for name in ("uri", "countrycode", "timestamp", "tzo")),
        *(
            attribute_of("{http://purl.org/syndication/thread/1.0}in-reply-to", name)
            for name in ("ref", "href", "type")
        ),
        *(deep(atom("source"), atom("id")), text_of("{http://activitystrea.ms/spec/1.0/}verb")),
        *(xml("<content type='html'>&lt;p class='*' id=* *=*&gt;a&lt;/p&gt;</content>"), xml("<title type='*'/>")),
        *(
            xml("<content type='xhtml'><h:p class='*'>a</h:p></content>"),
            xml("<content><h:script>*</h:script></content>"),
        ),
        *(
            xml("<content type='html'>&lt;script&gt;*&lt;/script&gt;</content>"),
            xml("<link href='urn:x' xmlns='urn:*'/>"),
        ),
        *(text_of("{urn:x}passwd"), text_of("{urn:x}apiToken"), deep("{urn:x}secret", "{urn:x}note")),
    ],
}
OF_PROGRAMS["blog"] = OF_PROGRAMS["microblog"]
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


def terms(name: str, puts: list[Put], word: Callable[[int], str]) -> tuple[set[str], Any]:
    """The words of an item into which each wrote its own, and what was parsed."""
    analyser: Any = next(analyser for analyser in BUILT_IN if analyser.name == name)
    item = ET.Element("{http://jabber.org/protocol/pubsub}item", {"id": "id", "publisher": "publisher"})
    payload = ET.SubElement(item, ROOTS[name])
    for number, put in enumerate(puts):
        put(payload, word(number))
    try:
        parsed = analyser.parser(item, service="service", node="node")
    except ValueError as refused:  # nothing of it is found then
        return set(), refused
    return set(terms_of(parsed, analyser.words).split()), parsed


@pytest.mark.parametrize("name", OF_PEOPLE)
@given(data=st.data())
def test_every_word_that_a_person_wrote_is_found(name: str, data: st.DataObject) -> None:
    puts = data.draw(st.lists(OF_PEOPLE[name], min_size=1, max_size=1 if name == "bookmarks" else 8))
    found, parsed = terms(name, puts, lambda number: f"word{number}x")
    assert {f"word{number}x" for number in range(len(puts))} <= found, parsed


@pytest.mark.parametrize("name", ROOTS)
@given(data=st.data())
def test_no_word_that_only_programs_read_is_found(name: str, data: st.DataObject) -> None:
    some = OF_PROGRAMS[name]
    puts = data.draw(st.lists(st.sampled_from(some), max_size=8)) if some else []
    found, parsed = terms(name, puts, lambda number: f"machine{number}x")
    assert not [word for word in found if "machine" in word], parsed
    assert not found & {"id", "publisher", "service", "node", "entry", "feed", "avatar", "alternate", "html", "no"}


def test_a_word_that_stands_in_a_body_too_long_to_be_found_by_is_found_where_it_stands_again() -> None:
    body = "moonlight " * (MAX_TEXT // 10 + 1)
    puts = [xml(f"<content>{body}</content>"), xml("<title>*</title>"), xml("<category term='a' label='moonlight'/>")]
    found, parsed = terms("blog", puts, lambda number: f"word{number}x")
    assert {"word1x", "moonlight"} <= found
    assert parsed["more"] == ["moonlight"]


def test_each_built_in_analyser_is_tried_one_way_or_the_other() -> None:
    assert sorted([*OF_PEOPLE, *ONLY_FOR_PROGRAMS]) == sorted(ROOTS) == sorted(analyser.name for analyser in BUILT_IN)
    assert sorted(OF_PROGRAMS) == sorted(ROOTS)
    assert [analyser.name for analyser in BUILT_IN if analyser.words == ()] == list(ONLY_FOR_PROGRAMS)


@given(st.lists(st.sampled_from(["passwd", "api-key", "userToken", "credentials", "pin"]), min_size=1))
def test_a_secret_in_a_post_is_neither_parsed_nor_found(names: list[str]) -> None:
    puts = [text_of(f"{{urn:x}}{name}") for name in names] + [deep("{urn:x}x", f"{{urn:x}}{name}") for name in names]
    found, parsed = terms("blog", puts, lambda number: "hunter2")
    assert "hunter2" not in found
    assert "hunter2" not in json.dumps(parsed)
