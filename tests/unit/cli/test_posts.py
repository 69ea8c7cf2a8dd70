"""What a person reads of an item."""

from __future__ import annotations

from typing import Any

import pytest

from newsstand.cli.posts import Link, Post

XHTML = "http://www.w3.org/1999/xhtml"


def of_markup(markup: str, **more: Any) -> Post:
    return Post.of({"content": "as one", "content_xhtml": f'<div xmlns="{XHTML}">{markup}</div>', **more})


def test_a_post_has_its_title_author_dates_text_tags_and_links() -> None:
    post = Post.of(
        {
            "kind": "entry",
            "title": "Compost",
            "author": {"name": "Juliet", "uri": "xmpp:juliet@example.org"},
            "published": "2026-01-01T10:00:00Z",
            "updated": "2026-01-02T10:00:00Z",
            "summary": "Short.",
            "content": "A heap of leaves.",
            "categories": ["garden", "snails"],
            "links": [
                {"rel": "alternate", "href": "https://example.org/1"},
                {"rel": "via", "href": "https://example.org/2", "title": "Two"},
            ],
            "rights": "All mine",
        }
    )
    assert (post.title, post.author) == ("Compost", "Juliet")
    assert (post.published, post.updated) == ("2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z")
    assert post.paragraphs == ("A heap of leaves.",)
    assert post.tags == ("garden", "snails")
    assert post.links == (Link("", "https://example.org/1"), Link("via", "https://example.org/2", "Two"))
    assert post.others == (("rights", "All mine"),)


def test_markup_gives_the_text_its_paragraphs_and_addresses() -> None:
    post = of_markup(
        "<p>One <b>bo</b>ld\n word.</p><p>Two, <a href='https://example.org/a'>here</a>.</p>"
        "<ul><li>first</li><li><p>second</p></li><li/></ul><script>no</script>tail <img alt='a heap'/>"
    )
    assert post.paragraphs == ("One bold word.", "Two, here.", "• first", "• second", "tail a heap")
    assert post.links == (Link("", "https://example.org/a"),)


def test_deep_markup_is_read_without_recursion() -> None:
    assert of_markup("<div>" * 5_000 + "deep" + "</div>" * 5_000).paragraphs == ("deep",)


@pytest.mark.parametrize("markup", ["<p>open", "<!DOCTYPE x>", "&x;"])
def test_markup_that_is_none_leaves_the_plain_text(markup: str) -> None:
    assert Post.of({"title": "t", "content": "plain", "content_xhtml": markup}).paragraphs == ("plain",)


def test_a_link_of_the_text_that_is_told_already_is_told_once() -> None:
    post = of_markup("<a href='https://example.org/a'>x</a>", links=[{"rel": "via", "href": "https://example.org/a"}])
    assert post.links == (Link("via", "https://example.org/a"),)


@pytest.mark.parametrize(
    ("parsed", "author"),
    [
        ({"author": {"jid": "juliet@example.org"}}, "juliet@example.org"),
        ({"author": "Juliet"}, "Juliet"),
        ({"author": {"name": "A"}, "authors": [{"name": "A"}, {"name": "B"}, {}]}, "A, B"),
        ({"publisher": "romeo@example.org"}, "romeo@example.org"),
        ({}, ""),
    ],
)
def test_an_author_is_who_is_named_or_who_published(parsed: dict[str, Any], author: str) -> None:
    assert Post.of(parsed).author == author


@pytest.mark.parametrize(
    "parsed",
    [
        None,
        {},
        {"title": 1, "author": 2, "authors": {"a": 1}, "categories": "x", "links": "y", "content": ["z"]},
        {"links": [1, {"href": 2}, {"rel": 3}], "categories": [1, None], "authors": [1, [2]], "published": 5},
    ],
)
def test_parsed_data_of_any_form_can_be_read(parsed: dict[str, Any] | None) -> None:
    post = Post.of(parsed)
    assert (post.title, post.author, post.paragraphs, post.tags, post.links) == ("", "", (), (), ())


def test_the_fields_of_what_is_no_post_are_told_by_name() -> None:
    post = Post.of({"name": "Family", "autojoin": True, "nick": "", "extensions": ["urn:x"]})
    assert post.title == "Family"
    assert post.others == (("autojoin", "true"), ("extensions", '["urn:x"]'))


def test_a_short_text_without_a_title_is_the_title_and_the_beginning_of_a_long_one_is() -> None:
    assert Post.of({"content": "Just this"}) == Post("Just this", "", "", "", (), (), (), ())
    long = Post.of({"content": "word " * 40})
    assert (len(long.title), long.title[-1]) == (80, "…")
    assert long.paragraphs == ("word " * 40,)
