"""XEP-0060 as XML: what answers say, and an item of a notification beside one of a listing."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from xml.etree.ElementTree import Element

import pytest

from newsstand import jid
from newsstand.model import (
    NS_DISCO_INFO,
    NS_DISCO_ITEMS,
    NS_EVENT,
    NS_PUBSUB,
    NS_RSM,
    NodeKey,
    Rsm,
    SeenItem,
    Subscription,
)
from newsstand.xmpp import answers, seen_items, xmltext
from newsstand.xmpp.answers import read_items
from newsstand.xmpp.seen_items import as_listed, read_item, shows_publisher
from newsstand.xmpp.xmltext import LIMITS

ME = "romeo@montague.example"
SERVICE = "pubsub.montague.example"


def iq(inner: str, attributes: str = f"type='get' to='{SERVICE}'") -> Element:
    return ET.fromstring(f"<iq xmlns='jabber:client' id='1' {attributes}>{inner}</iq>")


def pubsub(inner: str, attributes: str = "", namespace: str = NS_PUBSUB) -> str:
    return f"<pubsub xmlns='{namespace}' {attributes}>{inner}</pubsub>"


# Answers ---------------------------------------------------------------------------------------------------


def answer(items: str, after: str = "") -> Element:
    return iq(pubsub(f"<items node='news'>{items}</items>{after}"), "type='result'")


def test_an_answer_holds_its_items_in_order() -> None:
    listing = read_items(answer("<item id='2'><x xmlns='urn:x'/></item><item id='1' publisher='p'/>"))
    assert listing.rsm is None
    assert listing.items == (
        SeenItem("2", f'<item xmlns="{NS_PUBSUB}" id="2"><x xmlns="urn:x"/></item>'),
        SeenItem("1", f'<item xmlns="{NS_PUBSUB}" id="1" publisher="p"/>', "p", has_payload=False),
    )


def test_what_is_no_item_is_no_item() -> None:
    assert read_items(iq("")).items == ()
    assert read_items(iq(pubsub(""))).items == ()
    assert read_items(answer("<x xmlns='urn:x' id='1'/><item xmlns='urn:x' id='2'/>text")).items == ()


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("", Rsm()),
        ("<count>7</count>", Rsm(count=7)),
        ("<first index='0'>a</first><last>b</last><count>7</count>", Rsm("a", "b", 7, 0)),
        ("<first>a</first>", Rsm("a")),
        ("<first index='-1'>a</first><count>many</count>", Rsm("a", index=-1)),
        ("<first index='--1'>a</first><count>-</count>", Rsm("a")),
        ("<count>\N{ARABIC-INDIC DIGIT SEVEN}</count>", Rsm()),
        (f"<count>{'9' * 5_000}</count>", Rsm()),
    ],
)
def test_a_page_says_where_it_stands_as_far_as_it_makes_sense(inner: str, expected: Rsm) -> None:
    assert read_items(answer("", f"<set xmlns='{NS_RSM}'>{inner}</set>")).rsm == expected


def test_one_poisonous_item_does_not_hide_the_others() -> None:
    deep = "<a xmlns='urn:x'>" * 200 + "</a>" * 200
    items = read_items(answer(f"<item id='1'><x/></item><item id='2'>{deep}</item><item id='3'><x/></item>")).items
    assert [item.id for item in items] == ["1", "2", "3"]
    assert [bool(item.quarantine) for item in items] == [False, True, False]
    assert items[1].xml == ""


def test_an_item_above_the_limit_is_quarantined_and_one_at_it_is_not() -> None:
    def size(length: int) -> SeenItem:
        return read_item(ET.fromstring(f"<item xmlns='{NS_PUBSUB}' id='1'><x>{'y' * length}</x></item>"))

    rest = len(size(1).xml.encode()) - 1
    assert size(LIMITS.bytes - rest).quarantine is None
    assert "larger" in (size(LIMITS.bytes - rest + 1).quarantine or "")


def test_reading_an_item_leaves_the_stanza_as_it_is() -> None:
    stanza = answer("<item id='1'><x xmlns='urn:x'>text</x></item>tail")
    before = ET.tostring(stanza)
    read_items(stanza)
    assert ET.tostring(stanza) == before


def test_published_ids_are_those_that_the_service_gave() -> None:
    stanza = iq(pubsub("<publish node='news'><item id='1'/><item/><item id='2'/></publish>"), "type='result'")
    assert answers.read_published_ids(stanza) == ("1", "2")
    assert answers.read_published_ids(iq("", "type='result'")) == ()


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("", Subscription.SUBSCRIBED),
        (pubsub("<subscription subscription='subscribed'/>"), Subscription.SUBSCRIBED),
        (pubsub("<subscription subscription='pending'/>"), Subscription.PENDING),
        (pubsub("<subscription subscription='unconfigured'/>"), Subscription.NONE),
        (pubsub("<subscription subscription='none'/>"), Subscription.NONE),
        (pubsub("<subscription/>"), Subscription.NONE),
    ],
)
def test_what_a_subscribe_request_brought(inner: str, expected: Subscription) -> None:
    assert answers.read_subscription(iq(inner, "type='result'")) is expected


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (f"<subscription node='news' jid='{ME}' subscription='subscribed'/>", True),
        (f"<subscription jid='{ME}' subscription='subscribed' subid='1'/>", True),
        (f"<subscription jid='{ME}' subscription='none'/><subscription jid='{ME}' subscription='subscribed'/>", True),
        ("", False),
        (f"<subscription node='news' jid='{ME}' subscription='pending'/>", False),
        (f"<subscription node='news' jid='{ME}'/>", False),
        (f"<subscription node='other' jid='{ME}' subscription='subscribed'/>", False),
        (f"<subscription node='news' jid='{ME}/orchard' subscription='subscribed'/>", False),
    ],
)
def test_whether_the_accounts_own_subscription_is_named(inner: str, expected: bool) -> None:
    named = iq(pubsub(f"<subscriptions node='news'>{inner}</subscriptions>"), "type='result'")
    assert answers.names_subscription(named, NodeKey(ME, SERVICE, "news")) is expected


def disco_items(inner: str) -> Element:
    return iq(f"<query xmlns='{NS_DISCO_ITEMS}' node='news'>{inner}</query>", "type='result'")


def test_disco_items_lists_ids_by_name() -> None:
    items = f"<item jid='{SERVICE}' name='2'/><item jid='{SERVICE}'/><item jid='{SERVICE}' name='1'/>"
    assert answers.read_disco_item_ids(disco_items(items)) == ["2", "1"]
    assert answers.read_disco_item_ids(iq("")) == []


@pytest.mark.parametrize(
    ("after", "cut"), [("", False), ("<count>2</count>", False), ("<count>3</count>", True), ("<max>2</max>", False)]
)
def test_disco_items_that_counts_more_than_it_lists_is_cut(after: str, cut: bool) -> None:
    page = f"<set xmlns='{NS_RSM}'>{after}</set>" if after else ""
    assert answers.disco_is_cut(disco_items(f"<item name='1'/><item name='2'/>{page}")) is cut


def test_disco_items_of_a_service_lists_its_nodes_and_not_what_else_it_names() -> None:
    answer = iq(
        f"<query xmlns='http://jabber.org/protocol/disco#items'>"
        f"<item jid='{SERVICE}' node='blog' name='A blog'/><item jid='{SERVICE.upper()}' node='news'/>"
        f"<item jid='other.example.org' node='theirs'/><item jid='{SERVICE}'/><item node='nobody'/>"
        f"<set xmlns='http://jabber.org/protocol/rsm'><last>news</last><count>3</count></set></query>"
    )
    nodes, rsm = answers.read_disco_nodes(answer, SERVICE)
    assert nodes == [("blog", "A blog"), ("news", "")]
    assert rsm is not None
    assert (rsm.last, rsm.count) == ("news", 3)
    assert answers.read_disco_nodes(iq(""), SERVICE) == ([], None)


def test_disco_items_of_a_domain_lists_its_services() -> None:
    answer = iq(
        f"<query xmlns='http://jabber.org/protocol/disco#items'><item jid='{SERVICE}'/><item jid='Muc.example.org'/>"
        f"<item jid='pep.example.org' node='news'/><item jid='example.org'/><item/></query>"
    )
    assert answers.read_disco_services(answer, "example.org") == [SERVICE, "muc.example.org"]


def test_disco_info_tells_access_model_and_type_where_it_does() -> None:
    form = (
        "<x xmlns='jabber:x:data'><field var='pubsub#type'><value>urn:type</value></field>"
        "<field var='pubsub#access_model'><value>open</value></field><field var='other'/></x>"
    )
    told = answers.read_disco_info(iq(f"<query xmlns='{NS_DISCO_INFO}'>{form}</query>"))
    assert told == answers.NodeInfo("open", "urn:type")
    assert answers.read_disco_info(iq(f"<query xmlns='{NS_DISCO_INFO}'/>")) == answers.NodeInfo()


def test_the_namespaces_of_payloads_are_each_told_once_in_the_order_met() -> None:
    items = ET.fromstring("<r><i><b xmlns='urn:b'/><a xmlns='urn:a'/></i><i><b xmlns='urn:b'/></i><i><c/></i></r>")
    assert seen_items.payload_namespaces(items) == ("urn:b", "urn:a")


# An item of a notification, as the service would list it ---------------------------------------------------


def told(attributes: str = "id='1'", payload: str = "<x xmlns='urn:x'/>") -> SeenItem:
    return read_item(ET.fromstring(f"<item xmlns='{NS_EVENT}' {attributes}>{payload}</item>"))


PLAIN = f'<item xmlns="{NS_PUBSUB}" id="1"><x xmlns="urn:x"/></item>'
NAMED = f'<item xmlns="{NS_PUBSUB}" id="1" publisher="p"><x xmlns="urn:x"/></item>'


@pytest.mark.parametrize(
    ("item", "shows", "xml", "exact"),
    [
        (told(), None, PLAIN, False),  # answers may name the publisher where notifications do not
        (told(), False, PLAIN, True),
        (told(), True, PLAIN, False),
        (told("id='1' publisher='p'"), None, PLAIN, False),
        (told("id='1' publisher='p'"), False, PLAIN, True),
        (told("id='1' publisher='p'"), True, NAMED, True),
        (told("id='1' node='news' xmlns:o='urn:o' o:x='y'"), False, PLAIN, True),
    ],
)
def test_a_told_item_is_brought_into_the_form_of_a_listed_one(
    item: SeenItem, shows: bool | None, xml: str, exact: bool
) -> None:
    listed = as_listed(item, shows)
    assert (listed.xml, listed.exact) == (xml, exact)
    assert (listed.id, listed.publisher) == (item.id, item.publisher)


def test_an_id_and_a_publisher_of_any_characters_are_kept() -> None:
    odd = "a>b<&\"'\n\t é"
    item = Element(f"{{{NS_EVENT}}}item", {"id": odd, "publisher": odd, "z": ">"})
    item.append(Element("{urn:x}x", {"y": "/>"}))
    listed = xmltext.parse([as_listed(read_item(item), True).xml])
    assert listed.attrib == {"id": odd, "publisher": odd}
    assert [(one.tag, one.attrib) for one in listed] == [("{urn:x}x", {"y": "/>"})]


@pytest.mark.parametrize("payload", ["<x xmlns=''/>", "<x xmlns='urn:x'><y xmlns=''/></x>"])
def test_what_has_no_namespace_may_be_listed_in_its_parents(payload: str) -> None:
    assert not as_listed(told(payload=payload), False).exact


@pytest.mark.parametrize(
    "payload",
    [
        f"<x xmlns='{NS_EVENT}'/>",
        f"<x xmlns='{NS_EVENT}'><y xmlns='urn:y'/></x>",
        f"<item xmlns='{NS_EVENT}' id='2'>text</item>",
        f"<x xmlns='{NS_PUBSUB}'/>",
        f"<x xmlns='{NS_PUBSUB}' y='z'><y>text</y></x>",
        f"\n<x xmlns='{NS_PUBSUB}'/>",
    ],
)
def test_a_payload_in_the_namespace_of_pubsub_may_be_told_in_that_of_events(payload: str) -> None:
    assert not as_listed(told(payload=payload), False).exact


@pytest.mark.parametrize(
    "payload", ["text<x xmlns='urn:x'/>", "<x xmlns='urn:x'/>text", "\n<x xmlns='urn:x'/>", "<x xmlns='urn:x'/>&gt;"]
)
def test_text_beside_the_payload_may_not_be_listed(payload: str) -> None:
    assert not as_listed(told(payload=payload), False).exact


@pytest.mark.parametrize(
    "payload",
    [
        f"<x xmlns='urn:x'><y xmlns='{NS_PUBSUB}'/></x>",
        f"<x xmlns='urn:x'><y xmlns='{NS_EVENT}'>text</y>text</x>",
        f"<x xmlns='{NS_PUBSUB}#owner'/>",
        f"<x xmlns='{NS_PUBSUB}x'/>",
        "<x xmlns='urn:&quot;x'/>",
        "<x xmlns='urn:x'> &gt;text </x>",
        "<x xmlns='urn:x' y='&gt;/&gt;'/>",
        "<a:x xmlns:a='urn:x' a:y='z'/>",
    ],
)
def test_every_other_payload_is_listed_as_it_was_told(payload: str) -> None:
    assert as_listed(told(payload=payload), False).exact


def test_what_cannot_be_kept_or_was_left_out_stays_as_it_is() -> None:
    quarantined = SeenItem("1", "", "p", quarantine="too deep")
    assert as_listed(quarantined, False) is quarantined
    empty = told("id='1' publisher='p'", "")
    assert as_listed(empty, False) is empty


@pytest.mark.parametrize(
    ("publishers", "expected"),
    [([], None), (["p"], True), ([None], False), (["p", "q"], True), ([None, None], False), (["p", None], True)],
)
def test_whether_a_service_shows_publishers_is_seen_in_a_listing(
    publishers: list[str | None], expected: bool | None
) -> None:
    assert shows_publisher({publisher is not None for publisher in publishers}) is expected


@pytest.mark.parametrize(
    ("service", "host"),
    [
        ("juliet@example.org", "@example.org"),
        ("pubsub.example.org", "pubsub.example.org"),
        ("example.org", "example.org"),
    ],
)
def test_the_pep_services_of_a_domain_are_one_host(service: str, host: str) -> None:
    assert jid.host_of(service) == host
