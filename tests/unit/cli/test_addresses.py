"""Addresses as a person types them."""

from __future__ import annotations

import pytest

from newsstand.cli.addresses import account_jid, bare_jid, is_loopback, server_address
from newsstand.errors import ConfigurationError


@pytest.mark.parametrize(
    ("typed", "jid"),
    [
        ("romeo@verona.example", "romeo@verona.example"),
        ("Romeo@Verona.Example", "romeo@verona.example"),
        ("pubsub.verona.example", "pubsub.verona.example"),
        ("verona.example.", "verona.example"),
        ("ΣΊΣΥΦΟΣ@hades.example", "σίσυφοσ@hades.example"),
        ("ROMEO@verona", "romeo@verona"),
        ("romeo@[::1]", "romeo@[::1]"),
        ("romeo+list@verona", "romeo+list@verona"),
    ],
)
def test_a_jid_is_read_in_any_case_and_width(typed: str, jid: str) -> None:
    assert bare_jid(typed) == jid


@pytest.mark.parametrize(
    "typed",
    [
        "",
        ".",
        "@",
        "@verona",
        "romeo@",
        "ro meo@verona",
        "a@b@c",
        "romeo@verona:5222",
        "a:b@c",
        "a\nb@c",
        "<a>@b",
        "a" * 1024,
    ],
)
def test_what_is_no_jid_is_refused_with_an_example(typed: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not a JID: write name@example\.org"):
        bare_jid(typed)


def test_a_resource_is_too_much() -> None:
    with pytest.raises(ConfigurationError, match="has a resource"):
        bare_jid("romeo@verona/balcony")


def test_an_account_has_a_name() -> None:
    assert account_jid("romeo@verona") == "romeo@verona"
    with pytest.raises(ConfigurationError, match="'verona' is not an account: write name@verona"):
        account_jid("verona")


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("verona.example:5222", ("verona.example", 5222)),
        ("127.0.0.1:1", ("127.0.0.1", 1)),
        ("[::1]:65535", ("::1", 65535)),
    ],
)
def test_a_server_is_a_host_and_a_port(typed: str, address: tuple[str, int]) -> None:
    assert server_address(typed) == address


@pytest.mark.parametrize(
    "typed", ["", "verona", ":5222", "verona:", "verona:0", "verona:65536", "verona:x", "verona:²", "::1:5222", "a b:1"]
)
def test_what_is_no_host_and_port_is_refused(typed: str) -> None:
    with pytest.raises(ConfigurationError, match="is not HOST:PORT"):
        server_address(typed)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "127.0.0.1", "127.8.9.1", "::1"])
def test_loopback_stays_on_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["localhost.example.org", "127.0.0.1.example.org", "10.0.0.1", "0.0.0.0", "::", "::2", ""]
)
def test_everything_else_may_leave_it(host: str) -> None:
    assert not is_loopback(host)
