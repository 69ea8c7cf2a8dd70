"""What a message may say of nodes, and what it may not, whoever sends it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from newsstand.model import (
    NS_EVENT,
    Configured,
    Deleted,
    News,
    NodeKey,
    Notification,
    Published,
    Purged,
    Retracted,
    SubscriptionChanged,
)
from newsstand.xmpp.notifications import read_message

ME = "romeo@montague.example"
SERVICE = "pubsub.montague.example"
KEY = NodeKey(ME, SERVICE, "news")
ITEM = "<items node='news'><item id='1'><x xmlns='urn:x'/></item></items>"


def event(inner: str) -> str:
    return f"<event xmlns='{NS_EVENT}'>{inner}</event>"


def heard(
    inner: str, attributes: str = f"from='{SERVICE}' to='{ME}/phone'", own: str = f"{ME}/phone"
) -> list[Notification]:
    return read_message(ET.fromstring(f"<message xmlns='jabber:client' {attributes}>{inner}</message>"), own)


def news(inner: str) -> tuple[News, ...]:
    """The news of the one notification that an event of this service makes."""
    (told,) = heard(event(inner))
    assert told.key == KEY
    assert not told.delayed
    return told.news


def ids(told: Notification) -> list[str]:
    """The ids of the published items."""
    return [item.id for what in told.news if isinstance(what, Published) for item in what.items]


# Each kind -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<items node='news'><retract id='1'/></items>", (Retracted(("1",)),)),
        ("<items node='news'><retract id='1'/><retract id='2'/></items>", (Retracted(("1",)), Retracted(("2",)))),
        ("<purge node='news'/>", (Purged(),)),
        ("<delete node='news'/>", (Deleted(),)),
        ("<delete node='news'><redirect uri='xmpp:x'/></delete>", (Deleted(),)),
        ("<configuration node='news'/>", (Configured(),)),
        ("<configuration node='news'><x xmlns='jabber:x:data'/></configuration>", (Configured(),)),
        ("<subscription node='news' jid='j' subscription='none'/>", (SubscriptionChanged("none"),)),
        ("<subscription node='news' jid='j'/>", (SubscriptionChanged("none"),)),
    ],
)
def test_each_kind_of_event_is_understood(inner: str, expected: tuple[News, ...]) -> None:
    assert news(inner) == expected


def test_a_published_item_brings_its_payload_and_its_publisher() -> None:
    (published,) = news("<items node='news'><item id='1' publisher='p'><x xmlns='urn:x'>é</x></item></items>")
    assert isinstance(published, Published)
    (item,) = published.items
    assert (item.id, item.publisher, item.has_payload) == ("1", "p", True)
    assert '<x xmlns="urn:x">é</x>' in item.xml


def test_a_publisher_that_differs_from_the_author_is_kept_beside_it() -> None:
    """S13: only the attribute is the service's word."""
    entry = "<entry xmlns='http://www.w3.org/2005/Atom'><author><uri>xmpp:juliet@capulet.example</uri></author></entry>"
    (published,) = news(f"<items node='news'><item id='1' publisher='{ME}'>{entry}</item></items>")
    assert isinstance(published, Published)
    assert published.items[0].publisher == ME
    assert "juliet@capulet.example" in published.items[0].xml


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<items/>",
        "<items node=''/>",
        "<unheard-of node='news'/>",
        "<purge xmlns='urn:x' node='news'/>",
        "<purge xmlns='' node='news'/>",
    ],
)
def test_an_event_that_names_no_node_or_nothing_known_says_nothing(inner: str) -> None:
    assert heard(event(inner)) == []


# Who says it, and to whom: S1 to S8 ------------------------------------------------------------------------


def test_the_service_is_the_bare_sender_and_the_account_the_bare_addressee() -> None:
    (told,) = heard(event(ITEM), f"from='{SERVICE}/resource' to='juliet@bridge.example/x'", own="bridge.example")
    assert told.key == NodeKey("juliet@bridge.example", SERVICE, "news")


@pytest.mark.parametrize("sender", ["stranger@evil.example", "pubsub.other.example", ME, f"{ME}/other"])
def test_what_another_sender_says_is_never_of_this_service(sender: str) -> None:
    """S1, S2, S5: it may be of a node of the same name, but of the sender's own service."""
    (told,) = heard(event(ITEM), f"from='{sender}' to='{ME}/phone'")
    assert told.key == NodeKey(ME, sender.partition("/")[0], "news")


def test_without_a_sender_it_is_of_ones_own_account_only() -> None:
    (told,) = heard(event(ITEM), "")
    assert told.key == NodeKey(ME, ME, "news")


@pytest.mark.parametrize("kind", ["error", "groupchat"])
def test_bounces_and_rooms_say_nothing(kind: str) -> None:
    """S3, S8."""
    assert heard(event(ITEM), f"from='{SERVICE}' to='{ME}' type='{kind}'") == []


@pytest.mark.parametrize("kind", ["type='headline'", "type='normal'", ""])
def test_the_types_that_services_use_all_count(kind: str) -> None:
    assert [ids(told) for told in heard(event(ITEM), f"from='{SERVICE}' to='{ME}' {kind}")] == [["1"]]


INNER = f"<message xmlns='jabber:client' from='{SERVICE}' to='{ME}'>{event(ITEM)}</message>"
FORWARDED = f"<forwarded xmlns='urn:xmpp:forward:0'>{INNER}</forwarded>"


@pytest.mark.parametrize(
    "inner",
    [
        f"<received xmlns='urn:xmpp:carbons:2'>{FORWARDED}</received>",
        f"<sent xmlns='urn:xmpp:carbons:2'>{FORWARDED}</sent>",
        f"<result xmlns='urn:xmpp:mam:2' id='1'>{FORWARDED}</result>",
        FORWARDED,
        INNER,
        f"<x xmlns='urn:x'>{event(ITEM)}</x>",
        f"<event xmlns='urn:x'>{event(ITEM)}</event>",
        "<event xmlns='urn:x'><purge xmlns='http://jabber.org/protocol/pubsub#event' node='news'/></event>",
        event(event(ITEM)),
        f"<body>{event(ITEM)}</body>",
        "<event xmlns='http://jabber.org/protocol/pubsub'><items node='news'/></event>",
    ],
)
def test_an_event_within_anything_else_says_nothing(inner: str) -> None:
    """S6, S7: that is somebody's word about another message."""
    assert heard(inner, f"from='{ME}' to='{ME}/phone'") == []


# Several at once: S10 to S12 -------------------------------------------------------------------------------


def test_two_events_in_a_message_are_told_in_their_order() -> None:
    told = heard(event(ITEM) + event("<items node='other'><retract id='2'/></items>"))
    assert [(one.key.node, len(one.news)) for one in told] == [("news", 1), ("other", 1)]


def test_two_events_of_one_node_are_both_told() -> None:
    first, second = heard(event(ITEM) + event("<items node='news'><retract id='1'/></items>"))
    assert ids(first) == ["1"]
    assert second.news == (Retracted(("1",)),)


def test_one_event_of_two_nodes_is_told_of_both() -> None:
    told = heard(event(ITEM + "<purge node='other'/>"))
    assert {one.key.node for one in told} == {"news", "other"}


def test_several_items_in_one_event_are_each_told_once_in_order() -> None:
    (told,) = heard(event("<items node='news'><item id='2'><x/></item><item id='1'><x/></item></items>"))
    assert ids(told) == ["2", "1"]


def test_retracts_and_items_in_one_event_keep_their_order() -> None:
    told = news("<items node='news'><item id='1'><x/></item><retract id='1'/><item id='2'><x/></item></items>")
    assert [type(what) for what in told] == [Published, Retracted, Published]


@pytest.mark.parametrize(
    "inner",
    [
        f"{ITEM}<purge node='news'/><delete node='news'/>",
        f"<purge node='news'/>{ITEM}",
        f"<delete node='news'/>{ITEM}",
        f"{ITEM}{ITEM}",
        "<purge node='news'/><delete node='news'/>",
        f"<items node='news'/>{ITEM}",
        "<items node='news'/><purge node='news'/>",
        f"<unheard-of node='news'/>{ITEM}",
        f"{ITEM}<unheard-of node='news'/>",
    ],
)
def test_an_event_that_contradicts_itself_is_not_believed_but_looked_into(inner: str) -> None:
    assert news(inner) == (Configured(),)


@pytest.mark.parametrize("child", ["<item><x/></item>", "<item id=''><x/></item>", "<retract/>", "<retract id=''/>"])
def test_something_without_an_id_happened_and_is_looked_into(child: str) -> None:
    assert Configured() in news(f"<items node='news'>{child}</items>")
    assert Configured() in news(f"<items node='news'><retract id='1'/>{child}</items>")


def test_a_poisonous_item_does_not_hide_the_others() -> None:
    deep = "<a>" * 300 + "</a>" * 300
    (told,) = heard(event(f"<items node='news'><item id='1'>{deep}</item><item id='2'><x/></item></items>"))
    assert ids(told) == ["1", "2"]


# Stored for us ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("beside", "delayed"),
    [
        ("<delay xmlns='urn:xmpp:delay' stamp='2024-01-01T00:00:00Z'/>", True),
        ("<x xmlns='urn:x'><delay xmlns='urn:xmpp:delay'/></x>", False),
        ("<delay xmlns='urn:x'/>", False),
        ("", False),
    ],
)
def test_a_message_that_was_stored_for_us_says_so(beside: str, delayed: bool) -> None:
    assert [told.delayed for told in heard(event(ITEM) + beside)] == [delayed]
    assert [told.delayed for told in heard(beside + event(ITEM))] == [delayed]
