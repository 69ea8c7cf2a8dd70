"""Items for a person to read, and without what should stay in the database."""

from __future__ import annotations

from typing import Any

import pytest

from newsstand import Analyser
from newsstand.cli import payloads
from newsstand.xmpp import xmltext

PUBSUB = "http://jabber.org/protocol/pubsub"
ATOM = "http://www.w3.org/2005/Atom"


def item(payload: str, item_id: str = "a") -> str:
    return f'<item xmlns="{PUBSUB}" id="{item_id}">{payload}</item>'


def test_an_item_that_no_copy_parsed_is_read_by_its_payload() -> None:
    xml = item(f'<entry xmlns="{ATOM}"><title>Balcony</title></entry>')
    type_, parsed = payloads.read(xml, "pubsub.verona", "verona")
    assert type_ == "blog"
    assert payloads.title(parsed) == "Balcony"


def parse_dish(item: Any, **_: Any) -> dict[str, Any]:
    return {"title": item[0].get("dish")}


async def parse_dish_later(item: Any, **_: Any) -> dict[str, Any]:
    return parse_dish(item)


def parse_badly(item: Any, **_: Any) -> Any:
    raise LookupError("no idea")


def of_recipes(**more: Any) -> Analyser:
    return Analyser(
        **{"name": "recipes", "type": "recipe", "namespace": "urn:example:recipe", "parser": parse_dish, **more}
    )


def test_an_item_is_read_by_other_analysers_than_the_built_in_ones_too() -> None:
    xml = item('<recipe xmlns="urn:example:recipe" dish="soup"/>')
    assert payloads.read(xml, "pubsub.verona", "verona") == (None, None)
    assert payloads.read(xml, "pubsub.verona", "verona", [of_recipes()]) == ("recipe", {"title": "soup"})


@pytest.mark.parametrize(
    "first",
    [
        of_recipes(parser=parse_badly),
        of_recipes(parser=lambda item, **_: {"minutes": float("nan")}),
        of_recipes(parser=lambda item, **_: "soup"),
        of_recipes(parser=parse_dish_later),
        of_recipes(parser=None),
        of_recipes(match=lambda analysis: None),
        of_recipes(pubsub_type="urn:other"),
        of_recipes(namespace="urn:other"),
    ],
)
def test_an_analyser_that_fails_or_needs_to_know_the_node_is_passed_over(first: Analyser) -> None:
    xml = item('<recipe xmlns="urn:example:recipe" dish="soup"/>')
    second = of_recipes(name="second")
    assert payloads.read(xml, "pubsub.verona", "n", [first, second]) == ("recipe", {"title": "soup"})


@pytest.mark.parametrize(
    ("xml", "node"),
    [
        ("", "n"),
        (item(""), "n"),
        (item('<recipe xmlns="urn:example:recipe"/>'), "n"),
        (item('<recipe xmlns="urn:example:recipe"/>'), "urn:xmpp:microblog:0"),
        (item('<nick xmlns="urn:xmpp:bookmarks:1"/>'), "urn:xmpp:bookmarks:1"),
    ],
)
def test_an_item_of_an_unknown_form_has_neither_type_nor_data(xml: str, node: str) -> None:
    assert payloads.read(xml, "pubsub.verona", node) == (None, None)


@pytest.mark.parametrize(
    ("parsed", "title"),
    [
        (None, ""),
        ({}, ""),
        ({"title": "Balcony", "summary": "A talk"}, "Balcony"),
        ({"fn": "Juliet Capulet", "title": "Daughter"}, "Juliet Capulet"),
        ({"title": "  ", "content": "Text"}, "Text"),
        ({"title": ["a"], "name": 1}, ""),
    ],
)
def test_the_title_is_the_first_name_that_an_item_has(parsed: dict[str, Any] | None, title: str) -> None:
    assert payloads.title(parsed) == title


def test_the_date_is_that_of_the_publication_before_that_of_a_change() -> None:
    assert payloads.date({"published": "1", "updated": "2"}) == "1"
    assert payloads.date({"updated": "2"}) == "2"
    assert payloads.date(None) == payloads.date({"published": 5}) == ""


@pytest.mark.parametrize(
    ("payload", "left"),
    [
        (
            '<conference xmlns="urn:xmpp:bookmarks:1"><nick>Romeo</nick><password>poison</password></conference>',
            '<conference xmlns="urn:xmpp:bookmarks:1"><nick>Romeo</nick></conference>',
        ),
        (
            '<conference xmlns="urn:xmpp:bookmarks:1"><password>a</password><password>b</password></conference>',
            '<conference xmlns="urn:xmpp:bookmarks:1"/>',
        ),
        (
            '<storage xmlns="storage:bookmarks"><conference jid="a"><password><x/>a</password></conference></storage>',
            '<storage xmlns="storage:bookmarks"><conference jid="a"/></storage>',
        ),
        (
            '<conference xmlns="urn:xmpp:bookmarks:1">a<password>poison</password>b<nick/>c<password/>d</conference>',
            '<conference xmlns="urn:xmpp:bookmarks:1">ab<nick/>cd</conference>',
        ),
        (
            '<b:conference xmlns:b="urn:xmpp:bookmarks:1"><b:password>poison</b:password></b:conference>',
            '<conference xmlns="urn:xmpp:bookmarks:1"/>',
        ),
    ],
)
def test_the_passwords_of_bookmarks_are_left_out(payload: str, left: str) -> None:
    assert payloads.without_passwords(item(payload)) == (item(left), True)


@pytest.mark.parametrize(
    "payload",
    [
        f'<entry xmlns="{ATOM}"><title>My password</title></entry>',
        '<form xmlns="urn:example:form"><password>field</password></form>',
        "",
    ],
)
def test_all_else_is_left_as_it_is(payload: str) -> None:
    xml = item(payload)
    assert payloads.without_passwords(xml) == (xml, False)


def test_passwords_are_found_at_any_depth() -> None:
    deep = "<x>" * 150 + '<password xmlns="urn:xmpp:bookmarks:1">poison</password>' + "</x>" * 150
    xml = xmltext.to_text(xmltext.parse([item(f'<r xmlns="urn:example:r">{deep}</r>')]))
    left, found = payloads.without_passwords(xml)
    assert found
    assert "poison" not in left
