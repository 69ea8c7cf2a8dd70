from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from newsstand.analysis.builtin.nick import NAMESPACE, parse_nick

if TYPE_CHECKING:
    from tests.unit.analysis.builtin.conftest import ItemOf

WHERE = {"service": "juliet@capulet.example", "node": NAMESPACE}


def test_a_nickname(item_of: ItemOf) -> None:
    item = item_of(f'<nick xmlns="{NAMESPACE}">\n  The  Lark </nick>')
    assert parse_nick(item, **WHERE) == {"nick": "The Lark"}


def test_an_empty_one_takes_the_nickname_back(item_of: ItemOf) -> None:
    assert parse_nick(item_of(f'<nick xmlns="{NAMESPACE}"/>'), **WHERE) == {"nick": ""}


def test_only_the_text_of_the_element_itself_counts(item_of: ItemOf) -> None:
    payload = f'<nick xmlns="{NAMESPACE}">Lark<message xmlns="jabber:client"><body>x</body></message>!</nick>'
    assert parse_nick(item_of(payload), **WHERE) == {"nick": "Lark!"}


def test_a_comment_does_not_cut_the_nickname_short(item_of: ItemOf) -> None:
    item = item_of(f'<nick xmlns="{NAMESPACE}">La</nick>')
    comment = ET.Comment("not this")
    comment.tail = "rk"
    item[0].append(comment)
    item.insert(0, ET.ProcessingInstruction("nor", "this"))
    assert parse_nick(item, **WHERE) == {"nick": "Lark"}


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ("", "no payload"),
        ("<!-- nothing -->", "no payload"),
        ("just text", "no payload"),
        ('<nick xmlns="urn:other">Lark</nick>', "the payload is {urn:other}nick"),
        (f'<nicks xmlns="{NAMESPACE}">Lark</nicks>', "the payload is"),
        (f'<nick xmlns="{NAMESPACE}">a</nick><nick xmlns="{NAMESPACE}">b</nick>', "2 payloads"),
        (f'<x xmlns="urn:x"><nick xmlns="{NAMESPACE}">Lark</nick></x>', "the payload is {urn:x}x"),
    ],
)
def test_what_holds_no_single_nickname_is_refused_with_the_reason(item_of: ItemOf, payload: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_nick(item_of(payload), **WHERE)


def test_a_payload_of_another_namespace_beside_it_is_passed_over(item_of: ItemOf) -> None:
    item = item_of(f'<x xmlns="urn:x"/><nick xmlns="{NAMESPACE}">Lark</nick>')
    assert parse_nick(item, **WHERE) == {"nick": "Lark"}


def test_a_huge_namespace_is_not_repeated_in_the_error(item_of: ItemOf) -> None:
    with pytest.raises(ValueError, match="the payload is") as caught:
        parse_nick(item_of(f'<nick xmlns="urn:{"x" * 100_000}"/>'), **WHERE)
    assert len(str(caught.value)) < 300
