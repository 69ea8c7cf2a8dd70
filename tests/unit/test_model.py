"""The values that cross rooms."""

from __future__ import annotations

from typing import Any

import pytest

from newsstand.model import (
    DIGEST_BYTES,
    Answer,
    Change,
    Configured,
    Deleted,
    Item,
    ItemsRequest,
    NodeKey,
    NodeRecord,
    Notification,
    Page,
    Published,
    Purged,
    Retracted,
    Rsm,
    SeenItem,
    Subscription,
    SubscriptionChanged,
    SyncState,
    Verdict,
    WriteRequest,
    digest,
)

KEY = NodeKey("romeo@montague.example", "pubsub.montague.example", "news")


@pytest.mark.parametrize("text", ["", "a", "x" * 5_000, "å", "\0", "\ud800", "😀"])
def test_a_digest_has_one_length_whatever_it_is_of(text: str) -> None:
    assert len(digest(text)) == DIGEST_BYTES
    assert digest(text) == digest(text)


def test_digests_tell_texts_apart_that_look_alike() -> None:
    texts = ["", "\0", "a", "A", "a ", "é", "e\u0301", "\ud800", "\udc00", "?", "\ufffd"]
    assert len({digest(text) for text in texts}) == len(texts)


def test_a_digest_is_the_same_in_every_version_because_it_is_stored() -> None:
    assert digest("item-1").hex() == "f6095eb984dd0495b20dcc60271ec563bbae8695"


def test_an_item_is_told_by_its_id_and_its_contents_by_its_xml() -> None:
    one, other = SeenItem("1", "<item/>"), SeenItem("2", "<item/>")
    assert one.digest == digest("1") != other.digest
    assert one.content_digest == digest("<item/>") == other.content_digest


SAID: tuple[type, ...] = (Notification, Published, Retracted, Purged, Deleted, Configured, SubscriptionChanged)
KEPT: tuple[type, ...] = (NodeRecord, SeenItem, Item, Change)
ASKED: tuple[type, ...] = (ItemsRequest, WriteRequest, Rsm, Answer, Page)


@pytest.mark.parametrize("class_", [*SAID, *KEPT, *ASKED])
def test_values_are_frozen_and_hold_nothing_else(class_: Any) -> None:
    assert class_.__dataclass_params__.frozen
    assert "__dict__" not in dir(class_)


def test_a_node_of_which_nothing_is_known_is_neither_wanted_nor_complete() -> None:
    record = NodeRecord(0, KEY)
    assert record.verdict is Verdict.UNDECIDED
    assert record.state is SyncState.UNSYNCED
    assert record.subscription is Subscription.NONE
    assert not record.complete
    assert record.verified_at is None


def test_one_node_of_two_accounts_has_two_keys() -> None:
    assert NodeKey("romeo@montague.example", "s", "n") != NodeKey("juliet@capulet.example", "s", "n")
    assert len({KEY, NodeKey(*KEY)}) == 1


def test_two_items_say_the_same_when_their_payloads_do() -> None:
    one = SeenItem("1", '<item xmlns="urn:p" id="1"><x xmlns="urn:x">a</x></item>')
    same = SeenItem("2", '<item xmlns="urn:p" id="2" publisher="a&gt;b"><x xmlns="urn:x">a</x></item>', "a>b")
    other = SeenItem("1", '<item xmlns="urn:p" id="1"><x xmlns="urn:x">b</x></item>')
    assert one.says_the_same(same)
    assert not one.says_the_same(other)
