from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsstand.analysis.builtin._uris import xmpp_uri


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (
            "xmpp:juliet@capulet.example?;node=urn%3Axmpp%3Amicroblog%3A0;item=balcony-2",
            {"service": "juliet@capulet.example", "node": "urn:xmpp:microblog:0", "item": "balcony-2"},
        ),
        (
            "xmpp:pubsub.capulet.example?;node=urn:xmpp:microblog:0:comments/balcony-2",
            {"service": "pubsub.capulet.example", "node": "urn:xmpp:microblog:0:comments/balcony-2"},
        ),
        (
            "XMPP:pubsub.example?pubsub;action=retrieve;  node=news ;\n item=1#top",
            {"service": "pubsub.example", "node": "news", "item": "1"},
        ),
        ("xmpp://me@example.org/pubsub.example?;node=n", {"service": "pubsub.example", "node": "n"}),
        ("xmpp:pubsub.example?node=n", {"service": "pubsub.example", "node": "n"}),
        ("xmpp:nurse@capulet.example", {"service": "nurse@capulet.example"}),
        ("xmpp:caf%C3%A9@example.org?;node=a%3Bb%3Dc", {"service": "café@example.org", "node": "a;b=c"}),
        ("xmpp:a@example.org?;node=one;node=two;item=", {"service": "a@example.org", "node": "one"}),
        ("xmpp:a+b@example.org?;node=c+d", {"service": "a+b@example.org", "node": "c+d"}),
    ],
)
def test_services_nodes_and_items_are_found(uri: str, expected: dict[str, str]) -> None:
    assert xmpp_uri(uri) == expected


@pytest.mark.parametrize(
    "uri",
    [
        None,
        "",
        "https://capulet.example/?;node=n",
        "xmppx:a@example.org",
        "xmpp:",
        "xmpp:?;node=n",
        "xmpp://only-an-authority",
        "xmpp:a@example.org?;node=%FF",
        "xmpp:a@example.org?;node=%ED%A0%80",
        "xmpp:a@example.org?;node=a%00b",
    ],
)
def test_anything_else_is_no_address(uri: str | None) -> None:
    assert xmpp_uri(uri) is None


@settings(deadline=None)
@given(st.text(alphabet="xmp:/?;=%0F#node item", max_size=50).map("xmpp:".__add__))
def test_no_uri_makes_it_raise(uri: str) -> None:
    found = xmpp_uri(uri)
    assert found is None or set(found) <= {"service", "node", "item"}
