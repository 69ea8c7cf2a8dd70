from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from newsstand.analysis.analysers import Analysis
from newsstand.analysis.builtin.blog import COMMENTS, NAMESPACE, NODE, mark_comments, parse_blog, parse_blog_and_more

if TYPE_CHECKING:
    from tests.unit.analysis.builtin.conftest import ItemOf, ParsedEntry

WHERE = {"service": "romeo@montague.example", "node": NODE}
XHTML = "http://www.w3.org/1999/xhtml"
THREADING = "http://purl.org/syndication/thread/1.0"
GEOLOC = "http://jabber.org/protocol/geoloc"


POST = f"""
    <id>tag:montague.example,2024-03-09:posts-42</id>
    <title type="text">Under the balcony</title>
    <content type="text">But soft!
        What light?</content>
    <content type="xhtml"><div xmlns="{XHTML}"><p>But <em>soft</em>!</p><p>What light?</p></div></content>
    <author><name>Romeo</name><uri>xmpp:romeo@montague.example</uri></author>
    <published>2024-03-09T18:05:00.250+01:00</published>
    <updated>2024-03-09T17:30:00Z</updated>
    <category term="verona"/><category term="love" label="Love"/><category term="verona"/><category/>
    <link href="https://montague.example/romeo/42"/>
    <link rel="enclosure" type="image/jpeg" length="2048" title="Moon" href="https://up.example/moon.jpg"/>
    <link rel="replies" title="comments"
          href="xmpp:pubsub.montague.example?;node=urn%3Axmpp%3Amicroblog%3A0%3Acomments%2F42"/>
    <generator uri="https://client.example" version="3.1">Quill</generator>
    <geoloc xmlns="{GEOLOC}" xml:lang="it"><lat>45.44</lat><lon>10.99</lon>
      <locality>Verona</locality></geoloc>
"""


def test_a_post(item_of: ItemOf) -> None:
    item = item_of(
        f'<entry xmlns="{NAMESPACE}" xml:lang="en">{POST}</entry>', id="42", publisher="romeo@montague.example"
    )
    assert parse_blog(item, **WHERE) == {
        "kind": "entry",
        "publisher": "romeo@montague.example",
        "atom_id": "tag:montague.example,2024-03-09:posts-42",
        "lang": "en",
        "title": "Under the balcony",
        "content": "But soft! What light?",
        "content_xhtml": f'<div xmlns="{XHTML}"><p>But <em>soft</em>!</p><p>What light?</p></div>',
        "author": {"name": "Romeo", "uri": "xmpp:romeo@montague.example", "jid": "romeo@montague.example"},
        "published": "2024-03-09T17:05:00.250Z",
        "updated": "2024-03-09T17:30:00Z",
        "categories": ["verona", "love"],
        "links": [
            {"rel": "alternate", "href": "https://montague.example/romeo/42"},
            {
                "rel": "enclosure",
                "href": "https://up.example/moon.jpg",
                "type": "image/jpeg",
                "title": "Moon",
                "length": 2048,
            },
            {
                "rel": "replies",
                "href": "xmpp:pubsub.montague.example?;node=urn%3Axmpp%3Amicroblog%3A0%3Acomments%2F42",
                "title": "comments",
                "xmpp": {"service": "pubsub.montague.example", "node": "urn:xmpp:microblog:0:comments/42"},
            },
        ],
        "comments": {"service": "pubsub.montague.example", "node": "urn:xmpp:microblog:0:comments/42"},
        "generator": {"name": "Quill", "uri": "https://client.example", "version": "3.1"},
        "geoloc": {"lat": 45.44, "lon": 10.99, "locality": "Verona", "lang": "it"},
    }


def test_what_a_post_does_not_say_is_absent(parsed_entry: ParsedEntry) -> None:
    assert parsed_entry("") == {"kind": "entry"}
    empty = "<title/><author/><link rel='via'/><published/><generator/><category term=' '/>"
    assert parsed_entry(f"{empty}<content type='xhtml'/>") == {"kind": "entry"}


def test_the_description_of_a_blog(item_of: ItemOf) -> None:
    payload = f"""
        <feed xmlns="{NAMESPACE}"><title>Comments</title><updated>2024-03-09T17:30:00Z</updated>
          <link rel="start" ref="tag:montague.example,2024-03-09:posts-42"
                href="xmpp:romeo@montague.example?;node=urn%3Axmpp%3Amicroblog%3A0;item=42"/></feed>"""
    parsed = parse_blog(item_of(payload, id="0"), **WHERE)
    assert parsed["kind"] == "feed"
    assert parsed["title"] == "Comments"
    assert parsed["links"][0]["ref"] == "tag:montague.example,2024-03-09:posts-42"
    assert parsed["links"][0]["xmpp"]["item"] == "42"


def test_a_community_avatar_among_the_posts_is_read_as_one(item_of: ItemOf) -> None:
    sha1 = "00112233445566778899aabbccddeeff00112233"
    payload = f'<metadata xmlns="urn:xmpp:avatar:metadata"><info id="{sha1}" bytes="12"/></metadata>'
    item = item_of(payload, id="urn:xmpp:avatar:metadata", publisher="romeo@montague.example")
    assert parse_blog(item, service="pubsub.montague.example", node="verona") == {
        "kind": "avatar",
        "disabled": False,
        "sha1": sha1,
        "bytes": 12,
        "infos": [{"sha1": sha1, "bytes": 12}],
        "publisher": "romeo@montague.example",
    }


def test_a_reply_names_what_it_answers(parsed_entry: ParsedEntry) -> None:
    uri = "xmpp:romeo@montague.example?;node=urn%3Axmpp%3Amicroblog%3A0;item=42"
    parsed = parsed_entry(f"""
        <in-reply-to xmlns="{THREADING}" ref="tag:montague.example,2024:42" type="text/html" href="https://m.example/42"/>
        <in-reply-to xmlns="{THREADING}" href="{uri}"/>
        <in-reply-to xmlns="{THREADING}"/>
        <in-reply-to ref="of another namespace"/>""")
    assert parsed["in_reply_to"] == [
        {"ref": "tag:montague.example,2024:42", "type": "text/html", "href": "https://m.example/42"},
        {
            "href": uri,
            "xmpp": {"service": "romeo@montague.example", "node": "urn:xmpp:microblog:0", "item": "42"},
        },
    ]


def test_a_publisher_that_is_not_the_author_is_kept_beside_it(parsed_entry: ParsedEntry) -> None:
    author = "<author><name>Juliet</name><uri>xmpp:juliet@capulet.example</uri></author>"
    parsed = parsed_entry(author, publisher="tybalt@capulet.example/sword")
    assert parsed["publisher"] == "tybalt@capulet.example/sword"
    assert parsed["author"]["jid"] == "juliet@capulet.example"


def test_an_author_never_stands_in_for_the_publisher(parsed_entry: ParsedEntry) -> None:
    parsed = parsed_entry("<author><uri>xmpp:a@b.example</uri></author><publisher>a@b.example</publisher>")
    assert "publisher" not in parsed
    assert parsed["author"]["jid"] == "a@b.example"


def test_several_authors(parsed_entry: ParsedEntry) -> None:
    parsed = parsed_entry(
        "<author><name>Romeo</name><name>Tybalt</name></author><author><email>j@capulet.example</email></author>"
        "<contributor><uri>https://nurse.example</uri></contributor>"
    )
    assert parsed["author"] == {"name": "Romeo"}
    assert parsed["authors"] == [{"name": "Romeo"}, {"email": "j@capulet.example"}]
    assert parsed["contributors"] == [{"uri": "https://nurse.example"}]


@pytest.mark.parametrize("date", ["", "yesterday", "2024-02-30T00:00:00Z", "9999-12-31T23:59:59-01:00"])
def test_a_date_that_is_none_is_absent(parsed_entry: ParsedEntry, date: str) -> None:
    parsed = parsed_entry(f"<published>{date}</published><updated>2024-03-09T17:30:00Z</updated>")
    assert "published" not in parsed
    assert parsed["updated"] == "2024-03-09T17:30:00Z"


class TestText:
    def test_escaped_html_becomes_plain(self, parsed_entry: ParsedEntry) -> None:
        source = "&lt;p&gt;Fish &amp;amp; &lt;b&gt;chips&lt;/b&gt;&lt;/p&gt;&lt;script&gt;x&lt;/script&gt;"
        parsed = parsed_entry(f'<summary type="html">{source}</summary>')
        assert parsed == {"kind": "entry", "summary": "Fish & chips"}

    def test_the_plain_text_is_preferred_whatever_the_order(self, parsed_entry: ParsedEntry) -> None:
        rich = f'<title type="xhtml"><div xmlns="{XHTML}">rich</div></title>'
        parsed = parsed_entry(rich + "<title> </title><title type='html'>h</title><title type='text'>plain</title>")
        assert parsed["title"] == "plain"
        assert parsed["title_xhtml"] == f'<div xmlns="{XHTML}">rich</div>'

    def test_without_a_plain_twin_the_text_is_what_is_seen(self, parsed_entry: ParsedEntry) -> None:
        parsed = parsed_entry(f'<content type="xhtml"><div xmlns="{XHTML}"><p>a</p><p>b<b>c</b></p></div></content>')
        assert parsed["content"] == "a bc"

    def test_a_missing_div_is_put_around(self, parsed_entry: ParsedEntry) -> None:
        parsed = parsed_entry(f'<content type="xhtml">say <b xmlns="{XHTML}">this</b></content>')
        assert parsed["content_xhtml"] == f'<div xmlns="{XHTML}">say <b>this</b></div>'
        assert parsed["content"] == "say this"

    @pytest.mark.parametrize(
        ("type", "expected"),
        [
            ("text/markdown", "aGVsbG8="),
            ("TEXT", "aGVsbG8="),
            ("text/html; charset=utf-8", "aGVsbG8="),
            ("image/svg+xml", "aGVsbG8="),
            ("image/png", None),
            ("application/octet-stream", None),
        ],
    )
    def test_only_media_of_text_are_text(self, parsed_entry: ParsedEntry, type: str, expected: str | None) -> None:
        assert parsed_entry(f'<content type="{type}">aGVsbG8=</content>').get("content") == expected

    @pytest.mark.parametrize("type", ["html", "text/html", "plain", "markdown", "text", "text/plain", "", "x-unknown"])
    @pytest.mark.parametrize(
        "inside",
        ["<p>But <b>soft</b>!</p><p>What light?</p>", "But <b>soft</b>!<p>What</p> light?", "But soft! What light?"],
    )
    def test_real_elements_are_read_whatever_the_type_says(
        self, parsed_entry: ParsedEntry, type: str, inside: str
    ) -> None:
        for namespace in (NAMESPACE, XHTML, ""):
            named = inside.replace("<p>", f'<p xmlns="{namespace}">').replace("<b>", f'<b xmlns="{namespace}">')
            parsed = parsed_entry(f'<title type="{type}">{named}</title>')
            assert parsed == {"kind": "entry", "title": "But soft! What light?"}

    def test_xhtml_that_is_called_html_is_xhtml(self, parsed_entry: ParsedEntry) -> None:
        div = f'<div xmlns="{XHTML}">But <em>soft</em>!</div>'
        parsed = parsed_entry(f'<content type="html">{div}</content>')
        assert parsed == {"kind": "entry", "content": "But soft!", "content_xhtml": div}

    def test_escaped_html_that_is_called_xhtml_is_html(self, parsed_entry: ParsedEntry) -> None:
        parsed = parsed_entry('<content type="xhtml">&lt;p&gt;But soft!&lt;/p&gt;</content>')
        assert parsed == {"kind": "entry", "content": "But soft!"}

    def test_escaped_html_with_real_elements_in_it_is_both(self, parsed_entry: ParsedEntry) -> None:
        parsed = parsed_entry('<content type="html">&lt;p&gt;a<i>b &lt; c</i>&lt;br&gt;d&lt;/p&gt;<p>e</p></content>')
        assert parsed == {"kind": "entry", "content": "ab < c d e"}

    def test_text_that_is_called_an_image_is_text(self, parsed_entry: ParsedEntry) -> None:
        assert parsed_entry('<content type="image/png">a moon</content>')["content"] == "a moon"

    def test_content_that_is_elsewhere_is_named(self, parsed_entry: ParsedEntry) -> None:
        parsed = parsed_entry('<content type="video/mp4" src="https://up.example/play.mp4"/>')
        assert parsed == {"kind": "entry", "content_src": "https://up.example/play.mp4"}

    def test_the_language_may_be_given_with_the_text(self, parsed_entry: ParsedEntry) -> None:
        assert parsed_entry('<title xml:lang="it">Ciao</title>')["lang"] == "it"


class TestLinks:
    def test_a_registered_relation_may_be_written_out(self, parsed_entry: ParsedEntry) -> None:
        parsed = parsed_entry('<link rel="http://www.iana.org/assignments/relation/via" href="https://a.example"/>')
        assert parsed["links"] == [{"rel": "via", "href": "https://a.example"}]

    def test_the_link_titled_comments_comes_before_other_replies(self, parsed_entry: ParsedEntry) -> None:
        parsed = parsed_entry("""
            <link rel="replies" href="https://a.example/atom"/>
            <link rel="replies" href="xmpp:nobody@a.example"/>
            <link rel="replies" href="xmpp:a.example?;node=other"/>
            <link rel="replies" title="comments" href="xmpp:b.example?;node=c;item=d"/>""")
        assert parsed["comments"] == {"service": "b.example", "node": "c"}

    def test_only_replies_lead_to_comments(self, parsed_entry: ParsedEntry) -> None:
        assert "comments" not in parsed_entry('<link rel="via" title="comments" href="xmpp:a.example?;node=n"/>')

    def test_a_nul_hidden_in_an_address_does_not_come_out(self, parsed_entry: ParsedEntry) -> None:
        parsed = parsed_entry('<link rel="replies" href="xmpp:a.example?;node=a%00b"/>')
        assert parsed["links"] == [{"rel": "replies", "href": "xmpp:a.example?;node=a%00b"}]
        assert "comments" not in parsed


def test_places_out_of_range_are_left_out(parsed_entry: ParsedEntry) -> None:
    parsed = parsed_entry(f"""
        <geoloc xmlns="{GEOLOC}"><lat>91</lat><lon>NaN</lon><alt>1e999</alt><speed>inf</speed>
          <accuracy>-1</accuracy>
          <bearing>{"9" * 400}</bearing><text>somewhere</text><timestamp>2024-03-09T17:05Z</timestamp>
          <lat xmlns="urn:other">1</lat><lon>-180.0</lon></geoloc>""")
    assert parsed["geoloc"] == {"lon": -180.0, "text": "somewhere", "timestamp": "2024-03-09T17:05:00Z"}
    assert "geoloc" not in parsed_entry(f'<geoloc xmlns="{GEOLOC}" xml:lang="en"><lat>,</lat></geoloc>')


class TestMore:
    """What a person wrote and no field holds."""

    @pytest.fixture
    def more(self, item_of: ItemOf) -> Callable[[str], list[str]]:
        def found(inner: str) -> list[str]:
            item = item_of(f'<entry xmlns="{NAMESPACE}">{inner}</entry>')
            parsed = parse_blog_and_more(item, **WHERE)
            some: list[str] = parsed.pop("more", [])
            assert parsed == parse_blog(item, **WHERE)
            return some

        return found

    def test_of_an_ordinary_post_there_is_none_but_labels_and_titles(self, more: Callable[[str], list[str]]) -> None:
        assert more(POST) == ["Moon"]
        assert more(POST.replace('label="Love"', 'label="Fondness"')) == ["Fondness", "Moon"]

    def test_the_other_texts_where_there_are_several(self, more: Callable[[str], list[str]]) -> None:
        titles = "<title>Soft light</title><title xml:lang='de'>Weiches Licht</title><title>light, soft</title>"
        assert more(titles) == ["Weiches Licht"]

    @pytest.mark.parametrize(
        ("inner", "expected"),
        [
            ("<x xmlns='urn:x'>a<y>b</y>c</x>d", ["d", "a", "b", "c"]),
            ("<author><name>a</name><name>b</name><nick xmlns='urn:x'>c</nick></author>", ["b", "c"]),
            ("<author>a</author>", ["a"]),
            ("<category>a</category><category term='b' label='b c'/>", ["a", "b c"]),
            ("<content type='html'>a &lt;abbr title='b'&gt;c&lt;/abbr&gt; &lt;!-- d</content>", ["b", "d"]),
            ("<content type='html'>if a&lt;b or c</content>", ["or c"]),
            ("<content type='html'>a &lt;a href='https://cut.exam</content>", []),
            (f"<content type='xhtml'><a xmlns='{XHTML}' title='b' href='no'>c</a></content>", ["b"]),
            ("<source><id>no</id><title>a</title><updated>2024-03-09T17:05:00Z</updated></source>", ["a"]),
        ],
    )
    def test_what_stands_elsewhere(self, more: Callable[[str], list[str]], inner: str, expected: list[str]) -> None:
        assert more(inner) == expected

    @pytest.mark.parametrize(
        "inner",
        [
            "<link rel='replies' title='comments' href='xmpp:a.example?;node=n'/>",
            "<x xmlns='urn:x'>https://montague.example/42</x>",
            "<x xmlns='urn:x'>2024-03-09T17:05:00Z</x>",
            "<x xmlns='urn:x'>xmpp:romeo@montague.example?;node=n</x>",
            f"<x xmlns='urn:x'>{'aGVsbG8g' * 10}</x>",
            "<verb xmlns='http://activitystrea.ms/spec/1.0/'>post</verb>",
            "<x xmlns='urn:x' href='a' type='b' id='c'/>",
            "<password xmlns='urn:x'>a</password><x xmlns='urn:x'><api-key>b</api-key></x>",
            "<generator>a</generator><logo>b</logo><icon>c</icon><id>d</id>",
        ],
    )
    def test_what_is_for_programs_or_secret_is_left_out(self, more: Callable[[str], list[str]], inner: str) -> None:
        assert more(inner) == []

    def test_what_stands_beside_the_payload(self, item_of: ItemOf) -> None:
        item = item_of(f'a<entry xmlns="{NAMESPACE}"><title>b</title></entry><x xmlns="urn:x">c</x>')
        assert parse_blog_and_more(item, **WHERE) == {"kind": "entry", "title": "b", "more": ["a", "c"]}


def test_nodes_of_comments_are_told_apart() -> None:
    blog = Analysis("romeo@montague.example", NODE)
    comments = Analysis("pubsub.montague.example", f"{COMMENTS}42")
    assert mark_comments(blog) == blog
    assert mark_comments(comments).subtype == "comments"
