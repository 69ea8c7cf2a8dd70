"""Posts that nobody in good faith would publish: see also test_built_in."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from newsstand.analysis.builtin.blog import NAMESPACE, NODE, parse_blog

if TYPE_CHECKING:
    from tests.unit.analysis.builtin.conftest import ItemOf, ParsedEntry

WHERE = {"service": "romeo@montague.example", "node": NODE}
XHTML = "http://www.w3.org/1999/xhtml"


def entry(inner: str, attributes: str = "") -> str:
    return f'<entry xmlns="{NAMESPACE}" {attributes}>{inner}</entry>'


def test_comments_and_instructions_are_passed_over() -> None:
    builder = ET.TreeBuilder(insert_comments=True, insert_pis=True)
    payload = entry("<!--a--><title>Un<!--b-->der<?c d?> it</title><?e f?>")
    source = f'<item xmlns="http://jabber.org/protocol/pubsub"><?g h?>{payload}<!--i--></item>'
    item = ET.fromstring(source, ET.XMLParser(target=builder))
    assert parse_blog(item, **WHERE) == {"kind": "entry", "title": "Under it"}


def test_a_stanza_in_a_post_is_no_field_of_it(parsed_entry: ParsedEntry) -> None:
    parsed = parsed_entry("""
        <message xmlns="jabber:client" from="x"><title>no</title><body>no</body></message>
        <error xmlns="http://etherx.jabber.org/streams"><title>no</title></error>
        <item xmlns="http://jabber.org/protocol/pubsub" publisher="no"><entry/></item>
        <title>yes</title>""")
    assert parsed == {"kind": "entry", "title": "yes"}


def test_namespaces_with_quotes_and_newlines_stay_where_they_are(parsed_entry: ParsedEntry) -> None:
    namespace = "urn:&quot;&gt;&lt;script&gt;&apos;&#10;"
    parsed = parsed_entry(f"""
        <title xmlns="{namespace}">no</title>
        <content type="xhtml"><div xmlns="{XHTML}"><x xmlns="{namespace}">y</x></div></content>""")
    assert "title" not in parsed
    div = ET.fromstring(parsed["content_xhtml"])
    assert div[0].tag == "{urn:\"><script>'\n}x"


def test_xhtml_comes_as_it_was_and_parses_back(parsed_entry: ParsedEntry) -> None:
    paragraph = '<p onclick="x(&quot;1&quot;)" xml:lang="en">a &lt;b&gt; &amp; c<br/></p>'
    source = f'<div xmlns="{XHTML}">{paragraph}<s:x xmlns:s="urn:s" s:y="z"/></div>'
    parsed = parsed_entry(f'<content type="xhtml">{source}</content>')
    assert ET.canonicalize(parsed["content_xhtml"], rewrite_prefixes=True) == ET.canonicalize(
        source, rewrite_prefixes=True
    )


def test_two_hundred_levels_are_read(parsed_entry: ParsedEntry) -> None:
    deep = "<b>" * 195 + "soft" + "</b>" * 195
    parsed = parsed_entry(f'<content type="xhtml"><div xmlns="{XHTML}">{deep}</div></content>')
    assert parsed["content"] == "soft"
    assert parsed["content_xhtml"].count("<b>") == 195


def test_deeper_xhtml_keeps_only_its_text(parsed_entry: ParsedEntry) -> None:
    deep = "<b>" * 500 + "soft" + "</b>" * 500
    parsed = parsed_entry(f'<content type="xhtml"><div xmlns="{XHTML}">{deep}</div></content>')
    assert parsed == {"kind": "entry", "content": "soft"}


def test_a_long_namespace_on_many_elements_does_not_multiply(item_of: ItemOf) -> None:
    contents = f'<content type="xhtml"><div xmlns="{XHTML}">{"<n:x/>" * 2_000}</div></content>' * 20
    item = item_of(entry(contents, f'xmlns:n="urn:{"n" * 50_000}"'))
    start = time.process_time()
    parsed = parse_blog(item, **WHERE)
    assert time.process_time() - start < 2
    assert parsed == {"kind": "entry"}


def test_huge_attributes_are_only_text(parsed_entry: ParsedEntry) -> None:
    huge = "x" * 2**20
    parsed = parsed_entry(f'<link rel="{huge}" href="{huge}" length="{"9" * 2**20}"/>')
    assert parsed["links"] == [{"rel": huge, "href": huge}]


def test_many_children_take_linear_time(item_of: ItemOf) -> None:
    kinds = (
        '<link href="xmpp:a?;n=;b"/>',
        '<category term="t"/>',
        "<title/>",
        "<author/>",
        "<content type='html'/>",
    )
    item = item_of(entry("".join(kinds) * 20_000))
    start = time.process_time()
    parse_blog(item, **WHERE)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ("", "no payload"),
        ("<entry/>", "the payload is {http://jabber.org/protocol/pubsub}entry"),
        ('<data xmlns="urn:xmpp:avatar:data">aGk=</data>', "urn:xmpp:avatar:data"),
        (f'<title xmlns="{NAMESPACE}">not an entry</title>', "the payload is"),
        (entry("") * 2, "2 payloads"),
        (entry("") + '<metadata xmlns="urn:xmpp:avatar:metadata"/>', "2 payloads"),
    ],
)
def test_what_is_no_single_payload_of_a_blog_is_refused(item_of: ItemOf, payload: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_blog(item_of(payload), **WHERE)
