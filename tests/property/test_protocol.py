"""Whatever a program or a stranger sends is understood rightly, or not at all; and nothing raises."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from xml.etree.ElementTree import Element

from hypothesis import given
from hypothesis import strategies as st

from newsstand.jid import canonical_bare
from newsstand.model import (
    NS_EVENT,
    NS_OWNER,
    NS_PUBSUB,
    NS_RSM,
    Configured,
    ItemsRequest,
    NodeKey,
    Published,
    Retracted,
    RsmQuery,
    SeenItem,
    WriteRequest,
)
from newsstand.xmpp import notifications, requests, seen_items, xmltext

ME = "romeo@montague.example"
SERVICE = "pubsub.montague.example"

namespaces = st.sampled_from(["", NS_PUBSUB, NS_EVENT, NS_OWNER, NS_RSM, "urn:xmpp:delay", "urn:x"])
names = st.sampled_from(
    ["pubsub", "event", "items", "item", "retract", "publish", "purge", "delete", "configuration", "set", "x", "delay"]
)
tags = st.builds(lambda namespace, name: f"{{{namespace}}}{name}" if namespace else name, namespaces, names)
values = st.sampled_from(["", "a", "b", "1", "0", "-1", "9" * 30, "1" * 5_000, "٣", "é\n"])
keys = st.sampled_from(["node", "id", "max_items", "subid", "publisher", "name", "{urn:x}id"])


def element(tag: str, attributes: dict[str, str], children: list[Element]) -> Element:
    made = Element(tag, attributes)
    made.extend(children)
    return made


attributes = st.dictionaries(keys, values, max_size=3)
trees = st.recursive(
    st.builds(element, tags, attributes, st.just([])),
    lambda inner: st.builds(element, tags, attributes, st.lists(inner, max_size=3)),
    max_leaves=12,
)
likely = st.builds(
    lambda outer, children: element(outer, {}, children),
    st.sampled_from([f"{{{NS_PUBSUB}}}pubsub", f"{{{NS_OWNER}}}pubsub", f"{{{NS_EVENT}}}event"]),
    st.lists(trees, max_size=3),
)
children = st.lists(st.one_of(likely, trees), max_size=3)


@st.composite
def nearly_requests(draw: st.DrawFn) -> Element:
    """Requests for items as they should be, but for what chance changes in some of them."""
    ids = draw(st.lists(st.sampled_from("abc"), max_size=3))
    items = requests.items_request("news", item_ids=ids, rsm=draw(st.sampled_from([None, None, RsmQuery(5)])))
    if draw(st.booleans()):
        items[0].set(draw(keys), draw(values))
    if draw(st.booleans()):
        draw(st.sampled_from(list(items.iter()))).append(draw(trees))
    return items


asked = st.one_of(children, st.lists(nearly_requests(), min_size=1, max_size=1))
jids = st.sampled_from(
    ["", ME, f"{ME}/phone", ME.upper(), SERVICE, SERVICE.title(), f"{SERVICE}/x", "juliet@capulet.example", "/", "@"]
)


def stanza(name: str, inner: list[Element], **given: str) -> Element:
    return element(f"{{jabber:client}}{name}", {key.rstrip("_"): value for key, value in given.items() if value}, inner)


@given(asked, st.sampled_from(["get", "get", "set", "result", ""]), jids, jids)
def test_a_request_is_understood_whole_or_not_at_all(inner: list[Element], kind: str, to: str, sender: str) -> None:
    iq = stanza("iq", inner, type=kind, to=to, from_=sender)
    before = ET.tostring(iq)
    found = requests.read_request(iq, f"{ME}/phone")
    assert ET.tostring(iq) == before
    match found:
        case None:
            return
        case ItemsRequest(key, item_ids, max_items, paged):
            assert kind == "get"
            rsm = RsmQuery(1) if paged else None
            again = requests.items_request(key.node, item_ids=item_ids, max_items=max_items, rsm=rsm)
            again[1:] = iq[0][1:]  # of a page, all that matters is that there is one
            if max_items is not None:
                again[0].set("max_items", iq[0][0].get("max_items", ""))
            assert ET.canonicalize(ET.tostring(again, "unicode")) == ET.canonicalize(ET.tostring(iq[0], "unicode"))
            assert not (item_ids and max_items is not None)
            assert max_items is None or 0 < max_items < 2**31
        case WriteRequest(key):
            assert kind == "set"
            assert key.node in {action.get("node") for action in iq[0]}
    assert found.key.account == canonical_bare(sender or ME)
    assert found.key.service == canonical_bare(to or found.key.account)
    assert "/" not in found.key.service


@given(
    st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")),
    st.lists(st.text(min_size=1, alphabet="abé<&'\""), max_size=4),
    st.none() | st.integers(1, 2**31 - 1),
    st.none() | st.builds(RsmQuery, st.integers(1, 500), before=st.none() | st.text("abé<", max_size=3)),
)
def test_our_own_requests_are_understood_as_they_are_meant(
    node: str, item_ids: list[str], max_items: int | None, rsm: RsmQuery | None
) -> None:
    limit = None if item_ids else max_items
    made = requests.items_request(node, item_ids=item_ids, max_items=limit, rsm=rsm)
    iq = xmltext.parse([xmltext.to_text(stanza("iq", [made], type="get", to=SERVICE))])
    expected = ItemsRequest(NodeKey(ME, SERVICE, node), tuple(item_ids), limit, rsm is not None)
    assert requests.read_request(iq, ME) == expected


@given(children, st.sampled_from(["", "headline", "normal", "error", "groupchat"]), jids, jids)
def test_a_message_says_only_what_an_event_directly_in_it_says(
    inner: list[Element], kind: str, to: str, sender: str
) -> None:
    message = stanza("message", inner, type=kind, to=to, from_=sender)
    before = ET.tostring(message)
    told = notifications.read_message(message, f"{ME}/phone")
    assert ET.tostring(message) == before
    events = [child for child in inner if child.tag == f"{{{NS_EVENT}}}event"]
    nodes = {part.get("node") for event in events for part in event}
    if kind in ("error", "groupchat"):
        assert told == []
    for one in told:
        assert one.news
        assert one.key.node in nodes
        assert one.key.service == canonical_bare(sender or canonical_bare(to or ME))
    assert len(told) <= sum(len({part.get("node") for part in event}) for event in events)


@given(children)
def test_every_id_that_an_event_names_is_told_or_the_node_is_looked_into(inner: list[Element]) -> None:
    for event in inner:
        told = {one.key.node: one.news for one in notifications.read_message(stanza("message", [event]), ME)}
        if event.tag != f"{{{NS_EVENT}}}event":
            assert told == {}
            continue
        for items in event.findall(f"{{{NS_EVENT}}}items"):
            news = told.get(items.get("node") or "", ())
            spoken = {item.id for what in news if isinstance(what, Published) for item in what.items}
            spoken |= {id_ for what in news if isinstance(what, Retracted) for id_ in what.item_ids}
            named = {c.get("id") for c in items if c.tag in (f"{{{NS_EVENT}}}item", f"{{{NS_EVENT}}}retract")}
            assert not items.get("node") or named <= spoken or Configured() in news


@given(trees, st.none() | st.booleans())
def test_an_item_of_a_notification_becomes_what_a_listing_would_hold(payload: Element, shows: bool | None) -> None:
    for publisher in (None, "p"):
        named = {} if publisher is None else {"publisher": publisher}
        listed_with = named if shows else {}
        event = seen_items.read_item(element(f"{{{NS_EVENT}}}item", {"id": "1", **named, "{urn:x}y": "z"}, [payload]))
        listing = seen_items.read_item(element(f"{{{NS_PUBSUB}}}item", {"id": "1", **listed_with}, [payload]))
        listed: SeenItem = seen_items.as_listed(event, shows)
        assert not listed.exact or listed.xml == listing.xml
        has_bare = any(not one.tag.startswith("{") for one in payload.iter())
        foreseen = shows is False or (shows is True and publisher is not None)
        may_change = payload.tag.startswith((f"{{{NS_PUBSUB}}}", f"{{{NS_EVENT}}}"))
        assert listed.exact is (foreseen and not has_bare and not may_change)
        assert seen_items.as_listed(listed, shows).xml == listed.xml
