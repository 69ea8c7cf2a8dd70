"""Which requests of a program are understood, and what our own look like."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from xml.etree.ElementTree import Element

import pytest

from newsstand.model import (
    NS_DISCO_ITEMS,
    NS_EVENT,
    NS_OWNER,
    NS_PUBSUB,
    NS_RSM,
    ItemsRequest,
    NodeKey,
    RsmQuery,
    WriteKind,
    WriteRequest,
)
from newsstand.xmpp import requests
from newsstand.xmpp.requests import read_request

ME = "romeo@montague.example"
SERVICE = "pubsub.montague.example"
KEY = NodeKey(ME, SERVICE, "news")
SET = f"<set xmlns='{NS_RSM}'><max>5</max></set>"


def iq(inner: str, attributes: str = f"type='get' to='{SERVICE}'") -> Element:
    return ET.fromstring(f"<iq xmlns='jabber:client' id='1' {attributes}>{inner}</iq>")


def pubsub(inner: str, attributes: str = "", namespace: str = NS_PUBSUB) -> str:
    return f"<pubsub xmlns='{namespace}' {attributes}>{inner}</pubsub>"


def asked(inner: str) -> ItemsRequest | WriteRequest | None:
    """What a get of these children of <pubsub/> is understood as."""
    return read_request(iq(pubsub(inner)), f"{ME}/phone")


def written(inner: str, namespace: str = NS_PUBSUB) -> ItemsRequest | WriteRequest | None:
    return read_request(iq(pubsub(inner, namespace=namespace), f"type='set' to='{SERVICE}'"), f"{ME}/phone")


# Reads -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<items node='news'/>", ItemsRequest(KEY)),
        ("<items node='news'><item id='1'/></items>", ItemsRequest(KEY, ("1",))),
        ("<items node='news'><item id='2'/><item id='1'/></items>", ItemsRequest(KEY, ("2", "1"))),
        ("<items node='news'><item id='1'/><item id='1'/></items>", ItemsRequest(KEY, ("1", "1"))),
        ("<items node='news' max_items='1'/>", ItemsRequest(KEY, max_items=1)),
        ("<items node='news' max_items='2147483647'/>", ItemsRequest(KEY, max_items=2**31 - 1)),
        ("<items node='news' max_items='007'/>", ItemsRequest(KEY, max_items=7)),
        (f"<items node='news'/>{SET}", ItemsRequest(KEY, paged=True)),
        (f"<items node='news' max_items='3'/>{SET}", ItemsRequest(KEY, max_items=3, paged=True)),
        ("\n <items node='news'>\n </items>\n", ItemsRequest(KEY)),
    ],
)
def test_requests_for_items_are_understood(inner: str, expected: ItemsRequest) -> None:
    assert asked(inner) == expected


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<items/>",
        "<items node=''/>",
        "<items node='news' subid='1'/>",
        "<items node='news' unknown='1'/>",
        "<items xmlns:x='urn:x' node='news' x:max_items='1'/>",
        "<items xmlns:x='urn:x' x:node='news'/>",
        "<items xmlns='urn:x' node='news'/>",
        "<items node='news'/><items node='other'/>",
        "<items node='news'/><order xmlns='urn:xmpp:order-by:0' by='modification'/>",
        f"<items node='news'/>{SET}<order xmlns='urn:xmpp:order-by:0' by='modification'/>",
        f"{SET}<items node='news'/>",
        SET,
        "<items node='news'><item/></items>",
        "<items node='news'><item id=''/></items>",
        "<items node='news'><item id='1' subid='2'/></items>",
        "<items node='news'><item id='1'><x/></item></items>",
        "<items node='news'><item id='1'/><x xmlns='urn:x'/></items>",
        "<items node='news'><item xmlns='urn:x' id='1'/></items>",
        "<subscriptions node='news'/>",
        "<affiliations node='news'/>",
        "<default node='news'/>",
        "<options node='news' jid='romeo@montague.example'/>",
    ],
)
def test_a_request_with_anything_unknown_in_it_is_none_of_our_business(inner: str) -> None:
    assert asked(inner) is None


@pytest.mark.parametrize("limit", ["", "0", "00", "-1", "+1", " 1", "1.0", "1e3", "٣", "²", "x", "0x10", "max"])
def test_a_max_items_that_is_no_positive_number_goes_to_the_service(limit: str) -> None:
    assert asked(f"<items node='news' max_items='{limit}'/>") is None


@pytest.mark.parametrize("limit", ["2147483648", "9999999999", "12345678901", "1" + "0" * 19, "1" * 5_000])
def test_a_huge_max_items_goes_to_the_service(limit: str) -> None:
    assert asked(f"<items node='news' max_items='{limit}'/>") is None


def test_ids_and_max_items_together_go_to_the_service() -> None:
    assert asked("<items node='news' max_items='1'><item id='1'/></items>") is None


@pytest.mark.parametrize(
    "stanza",
    [
        iq(pubsub("<items node='news'/>", "x='1'")),
        iq(pubsub("<items node='news'/>") + "<x xmlns='urn:x'/>"),
        iq(""),
        iq("<query xmlns='jabber:iq:version'/>"),
        iq(pubsub("<items node='news'/>", namespace=NS_OWNER)),
        iq(pubsub("<items node='news'/>", namespace=NS_EVENT)),
        iq(pubsub("<items node='news'/>"), f"type='result' to='{SERVICE}'"),
        iq(pubsub("<items node='news'/>"), f"type='error' to='{SERVICE}'"),
        iq(pubsub("<items node='news'/>"), f"to='{SERVICE}'"),
        iq(pubsub("<items node='news'/>"), f"type='get' to='{ME}/phone'"),
        iq(pubsub("<items node='news'/>"), f"type='get' to='{SERVICE}/resource'"),
        iq(pubsub("<publish node='news'/>"), f"type='set' to='{SERVICE}/resource'"),
    ],
)
def test_other_stanzas_and_full_jids_are_none_of_our_business(stanza: Element) -> None:
    assert read_request(stanza, f"{ME}/phone") is None


def test_without_an_addressee_one_asks_ones_own_account() -> None:
    own = ItemsRequest(NodeKey(ME, ME, "news"))
    assert read_request(iq(pubsub("<items node='news'/>"), "type='get'"), f"{ME}/phone") == own
    assert read_request(iq(pubsub("<items node='news'/>"), f"type='get' to='{ME}'"), f"{ME}/phone") == own


def test_the_sender_of_a_component_is_the_account_whose_copy_is_asked() -> None:
    request = pubsub("<items node='news'/>")
    for sender in ("juliet@bridge.example", "juliet@bridge.example/phone"):
        found = read_request(iq(request, f"type='get' from='{sender}' to='{SERVICE}'"), "bridge.example")
        assert found == ItemsRequest(NodeKey("juliet@bridge.example", SERVICE, "news"))
    found = read_request(iq(request, "type='get' from='juliet@bridge.example'"), "bridge.example")
    assert found == ItemsRequest(NodeKey("juliet@bridge.example", "juliet@bridge.example", "news"))


def test_what_nobody_sends_is_none_of_our_business() -> None:
    assert read_request(iq(pubsub("<items node='news'/>"), "type='get'"), "") is None


# Writes ----------------------------------------------------------------------------------------------------


def test_a_publish_is_noticed_with_its_items_those_without_an_id_too() -> None:
    inner = "<item id='2'><x xmlns='urn:x'/></item><item><x xmlns='urn:x'/></item><x xmlns='urn:x'/>"
    for after in ("", "<publish-options/>"):
        found = written(f"<publish node='news'>{inner}</publish>{after}")
        assert isinstance(found, WriteRequest)
        assert (found.key, found.kind, found.item_ids) == (KEY, WriteKind.PUBLISH, ())
        assert [item.id for item in found.items] == ["2", ""]
        assert found.items[0].xml == f'<item xmlns="{NS_PUBSUB}" id="2"><x xmlns="urn:x"/></item>'
    assert written("<publish node='news'/>") == WriteRequest(KEY, WriteKind.PUBLISH)


def test_a_poisonous_item_that_is_published_is_noticed_and_quarantined() -> None:
    found = written(f"<publish node='news'><item id='1'>{'<a>' * 300}{'</a>' * 300}</item></publish>")
    assert isinstance(found, WriteRequest)
    assert [(item.id, bool(item.quarantine)) for item in found.items] == [("1", True)]


@pytest.mark.parametrize(
    ("inner", "kind", "ids"),
    [
        ("<retract node='news' notify='true'><item id='1'/></retract>", WriteKind.RETRACT, ("1",)),
        (
            "<retract node='news'><item id='2'/><item/><item id=''/><item id='1'/></retract>",
            WriteKind.RETRACT,
            ("2", "1"),
        ),
        ("<unsubscribe node='news' jid='romeo@montague.example'/>", WriteKind.UNSUBSCRIBE, ()),
        ("<create node='news'/><configure/>", WriteKind.OTHER, ()),
        ("<something-new node='news'/>", WriteKind.OTHER, ()),
    ],
)
def test_writes_to_a_node_are_noticed(inner: str, kind: WriteKind, ids: tuple[str, ...]) -> None:
    assert written(inner) == WriteRequest(KEY, kind, ids)


@pytest.mark.parametrize(
    ("inner", "kind"),
    [
        ("<purge node='news'/>", WriteKind.PURGE),
        ("<delete node='news'/>", WriteKind.DELETE),
        ("<delete node='news'><redirect uri='xmpp:x'/></delete>", WriteKind.DELETE),
        ("<configure node='news'><x xmlns='jabber:x:data'/></configure>", WriteKind.OTHER),
        ("<affiliations node='news'/>", WriteKind.OTHER),
        ("<subscriptions node='news'/>", WriteKind.OTHER),
    ],
)
def test_writes_of_an_owner_are_noticed(inner: str, kind: WriteKind) -> None:
    assert written(inner, NS_OWNER) == WriteRequest(KEY, kind)


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<create/>",
        "<publish><item id='1'/></publish>",
        "<subscribe node='news' jid='romeo@montague.example'/>",
    ],
)
def test_what_changes_nothing_that_a_known_node_holds_is_no_write(inner: str) -> None:
    assert written(inner) is None


def test_a_write_to_ones_own_account_needs_no_addressee() -> None:
    stanza = iq(pubsub("<retract node='news'><item id='1'/></retract>"), "type='set'")
    assert read_request(stanza, f"{ME}/phone") == WriteRequest(NodeKey(ME, ME, "news"), WriteKind.RETRACT, ("1",))


def test_a_set_of_another_protocol_is_no_write() -> None:
    assert read_request(iq("<pubsub xmlns='urn:x'><publish node='news'/></pubsub>", "type='set'"), ME) is None
    assert read_request(iq("<query xmlns='jabber:iq:roster'/>", "type='set'"), ME) is None


# Requests that we make -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (requests.items_request("news"), ItemsRequest(KEY)),
        (requests.items_request("a<'\"&"), ItemsRequest(KEY._replace(node="a<'\"&"))),
        (requests.items_request("news", item_ids=["2", "1"]), ItemsRequest(KEY, ("2", "1"))),
        (requests.items_request("news", max_items=3), ItemsRequest(KEY, max_items=3)),
        (requests.items_request("news", rsm=RsmQuery(3)), ItemsRequest(KEY, paged=True)),
        (requests.items_request("news", rsm=RsmQuery(3, after="x")), ItemsRequest(KEY, paged=True)),
    ],
)
def test_our_own_requests_for_items_mean_what_they_should(made: Element, expected: ItemsRequest) -> None:
    stanza = iq("")
    stanza.append(made)
    assert read_request(stanza, ME) == expected


def test_a_request_for_a_page_names_its_size_and_its_cursor() -> None:
    made = requests.items_request("news", rsm=RsmQuery(3, after="x"))
    assert made.findtext(f"{{{NS_RSM}}}set/{{{NS_RSM}}}max") == "3"
    assert made.findtext(f"{{{NS_RSM}}}set/{{{NS_RSM}}}after") == "x"
    assert requests.items_request("news", rsm=RsmQuery(3)).find(f"{{{NS_RSM}}}set/{{{NS_RSM}}}after") is None


def test_a_request_for_the_last_page_has_an_empty_before() -> None:
    made = requests.items_request("news", rsm=RsmQuery(3, before=""))
    assert made.findtext(f"{{{NS_RSM}}}set/{{{NS_RSM}}}before") == ""


def test_our_other_requests() -> None:
    assert requests.subscribe_request("news", ME)[0].attrib == {"node": "news", "jid": ME}
    assert requests.subscribe_request("news", ME)[0].tag == f"{{{NS_PUBSUB}}}subscribe"
    assert requests.unsubscribe_request("news", ME)[0].tag == f"{{{NS_PUBSUB}}}unsubscribe"
    assert requests.disco_items_request("news").tag == f"{{{NS_DISCO_ITEMS}}}query"
    assert requests.disco_info_request("news").attrib == {"node": "news"}


@pytest.mark.parametrize(
    "inner",
    [
        "<subscribe node='news' jid='romeo@montague.example'/><options node='news'/>",
        "<options node='news' jid='romeo@montague.example'/>",
    ],
)
def test_options_may_end_the_notifications_so_they_count_as_a_write(inner: str) -> None:
    assert written(inner) == WriteRequest(KEY, WriteKind.OTHER)
