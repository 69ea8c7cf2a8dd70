"""Which requests in another account's name are understood, and what answers to them say."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from xml.etree.ElementTree import Element

import pytest

from newsstand.model import NS_OWNER, NS_PUBSUB, ItemsRequest, NodeKey, WriteKind, WriteRequest
from newsstand.xmpp.privilege import (
    NAMESPACES,
    forwarded,
    is_about,
    is_denial,
    read_permissions,
    read_privileged,
    unwrap,
)

JULIET, GATEWAY = "juliet@capulet.example", "gateway.capulet.example"
ITEMS = f"<pubsub xmlns='{NS_PUBSUB}'><items node='news'/></pubsub>"
KEY = NodeKey(JULIET, JULIET, "news")


def wrapped(
    payload: str = ITEMS,
    *,
    inner: str = f"type='get' from='{JULIET}' to='{JULIET}' id='1'",
    outer: str = f"type='get' from='{GATEWAY}' to='{JULIET}' id='1'",
    namespace: str = NAMESPACES[0],
    client: str = "jabber:client",
    beside: str = "",
) -> Element:
    return ET.fromstring(
        f"<iq xmlns='jabber:component:accept' {outer}><privileged_iq xmlns='{namespace}'>"
        f"<iq xmlns='{client}' {inner}>{payload}</iq>{beside}</privileged_iq></iq>"
    )


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_a_read_is_the_account_s_whose_iq_it_is(namespace: str) -> None:
    assert read_privileged(wrapped(namespace=namespace)) == ItemsRequest(KEY, privileged=True)


def test_what_names_no_sender_is_the_account_s_and_to_its_own_service() -> None:
    assert read_privileged(wrapped(inner="type='get' id='1'")) == ItemsRequest(KEY, privileged=True)


def test_the_service_is_whom_the_account_asks() -> None:
    inner = f"type='get' id='1' from='{JULIET}' to='PubSub.Montague.Example'"
    request = read_privileged(wrapped(inner=inner))
    assert request == ItemsRequest(NodeKey(JULIET, "pubsub.montague.example", "news"), privileged=True)


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("<publish node='news'><item id='a'/></publish>", WriteKind.PUBLISH),
        ("<retract node='news'><item id='a'/></retract>", WriteKind.RETRACT),
        ("<unsubscribe node='news' jid='x'/>", WriteKind.OTHER),
        ("<configure node='news'/>", WriteKind.OTHER),
    ],
)
def test_writes_are_known_and_to_unsubscribe_by_privilege_ends_nothing_of_ours(action: str, kind: WriteKind) -> None:
    set_ = f"type='set' from='{JULIET}' to='{JULIET}' id='1'"
    iq = wrapped(f"<pubsub xmlns='{NS_PUBSUB}'>{action}</pubsub>", inner=set_, outer=f"type='set' to='{JULIET}'")
    request = read_privileged(iq)
    assert isinstance(request, WriteRequest)
    assert (request.key, request.kind, request.privileged) == (KEY, kind, True)


def test_an_owner_s_write_is_known_too() -> None:
    set_ = f"type='set' from='{JULIET}' to='{JULIET}' id='1'"
    payload = f"<pubsub xmlns='{NS_OWNER}'><purge node='news'/></pubsub>"
    request = read_privileged(wrapped(payload, inner=set_, outer=f"type='set' to='{JULIET}'"))
    assert request == WriteRequest(KEY, WriteKind.PURGE, privileged=True)


@pytest.mark.parametrize(
    "iq",
    [
        wrapped(inner=f"type='get' from='romeo@montague.example' to='{JULIET}'"),
        wrapped(inner=f"type='get' from='{JULIET}/balcony' to='{JULIET}'"),
        wrapped(inner=f"type='set' from='{JULIET}' to='{JULIET}'"),
        wrapped(outer=f"type='get' from='{GATEWAY}'"),
        wrapped(outer=f"type='get' to='{JULIET}/balcony'", inner=f"type='get' from='{JULIET}/balcony'"),
        wrapped(client="jabber:component:accept"),
        wrapped(namespace="urn:example:privilege"),
        wrapped(beside="<x xmlns='urn:x'/>"),
        wrapped("<query xmlns='jabber:iq:roster'/>"),
        wrapped(ITEMS + ITEMS),
        wrapped(""),
        ET.fromstring(f"<iq xmlns='jabber:client' type='get' to='{JULIET}'>{ITEMS}</iq>"),
        ET.fromstring(f"<iq xmlns='jabber:client' type='get' to='{JULIET}'/>"),
        ET.fromstring(f"<iq type='get' to='{JULIET}'><privileged_iq xmlns='{NAMESPACES[0]}'/></iq>"),
    ],
)
def test_what_is_of_another_shape_is_the_server_s_affair(iq: Element) -> None:
    assert read_privileged(iq) is None


def test_what_is_wrapped_is_the_account_s_own_request() -> None:
    iq = wrapped()
    assert unwrap(iq) is iq[0][0]


def answer(inside: str, type_: str = "result", sender: str = f"from='{JULIET}'") -> Element:
    return ET.fromstring(f"<iq xmlns='jabber:component:accept' type='{type_}' {sender} id='1'>{inside}</iq>")


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_the_service_s_answer_is_within_the_server_s(namespace: str) -> None:
    inner = f"<iq xmlns='jabber:client' type='error' id='1'>{ITEMS}</iq>"
    iq = answer(f"<privilege xmlns='{namespace}'><forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded></privilege>")
    found = forwarded(iq)
    assert found is not None
    assert found.get("type") == "error"


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<error type='auth'/>",
        f"<privilege xmlns='{NAMESPACES[0]}'/>",
        f"<privilege xmlns='{NAMESPACES[0]}'><forwarded xmlns='urn:xmpp:forward:0'/></privilege>",
        f"<privilege xmlns='{NAMESPACES[0]}'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'/>"
        "</forwarded></privilege>",
    ],
)
def test_the_server_s_own_word_is_no_answer_of_the_service(inside: str) -> None:
    assert forwarded(answer(inside)) is None


def test_only_the_account_s_server_answers_for_it() -> None:
    for sender in (f"from='{JULIET}'", "from='capulet.example'", ""):
        assert is_about(answer("", sender=sender), JULIET)
    for sender in ("from='montague.example'", "from='romeo@capulet.example'"):
        assert not is_about(answer("", sender=sender), JULIET)


def test_which_errors_say_that_nothing_was_passed_on() -> None:
    assert is_denial("forbidden")
    assert not is_denial("internal-server-error")
    assert not is_denial("remote-server-timeout")


def test_what_a_server_allows() -> None:
    message = ET.fromstring(
        f"""
        <message from='capulet.example' to='{GATEWAY}'><privilege xmlns='{NAMESPACES[0]}'>
          <perm access='roster' type='both'/>
          <perm access='iq'>
            <namespace ns='{NS_PUBSUB}' type='both'/><namespace ns='urn:x' type='set'/>
            <namespace ns='urn:y'/><namespace type='get'/><other ns='urn:z' type='get'/>
          </perm>
        </privilege></message>"""
    )
    assert read_permissions(message) == {NS_PUBSUB: "both", "urn:x": "set"}


@pytest.mark.parametrize(
    ("inside", "permissions"),
    [
        ("<body>a</body>", None),
        (f"<privilege xmlns='{NAMESPACES[0]}'/>", None),
        (f"<privilege xmlns='{NAMESPACES[0]}'><forwarded xmlns='urn:xmpp:forward:0'/></privilege>", None),
        (f"<privilege xmlns='{NAMESPACES[1]}'><perm access='message' type='outgoing'/></privilege>", {}),
    ],
)
def test_other_messages_allow_nothing(inside: str, permissions: dict[str, str] | None) -> None:
    assert read_permissions(ET.fromstring(f"<message xmlns='jabber:client'>{inside}</message>")) == permissions
