"""What servers allow is remembered as long as a session lasts, and until the next one begins."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from newsstand.slixmpp.privileges import MOST, Privileges
from newsstand.xmpp.transport import Session

JULIET = "juliet@capulet.example"


def announced(privileges: Privileges, allowed: str, sender: str = "from='Capulet.Example'") -> None:
    perm = f"<perm access='iq'><namespace ns='http://jabber.org/protocol/pubsub' type='{allowed}'/></perm>"
    message = f"<message {sender}><privilege xmlns='urn:xmpp:privilege:2'>{perm}</privilege></message>"
    privileges.receive(ET.fromstring(message))


@pytest.fixture
def privileges() -> Privileges:
    privileges = Privileges()
    privileges.on_session(Session.FRESH)
    return privileges


@pytest.mark.parametrize(("allowed", "may"), [("get", True), ("both", True), ("set", False), ("none", False)])
def test_who_may_get_may_read(privileges: Privileges, allowed: str, may: bool) -> None:
    assert not privileges.may_read(JULIET)
    announced(privileges, allowed)
    assert privileges.may_read(JULIET) is may
    assert not privileges.may_read("romeo@montague.example")


@pytest.mark.parametrize("sender", ["", "from='montague.example'", f"from='{JULIET}'", "from='capulet.example/x'"])
def test_only_the_server_itself_allows_it(privileges: Privileges, sender: str) -> None:
    announced(privileges, "both", sender)
    assert not privileges.may_read(JULIET)


def test_strangers_do_not_fill_memory(privileges: Privileges) -> None:
    announced(privileges, "both")
    for number in range(MOST + 10):
        announced(privileges, "both", f"from='a{number}@evil.example/{number}'")
        announced(privileges, "none", f"from='b{number}.evil.example'")
        announced(privileges, "both", f"from='c{number}.evil.example'")
    assert len(privileges._allowed) <= MOST
    assert privileges.may_read(JULIET)


def test_a_later_word_of_the_server_s_counts_and_other_messages_say_nothing(privileges: Privileges) -> None:
    announced(privileges, "both")
    privileges.receive(ET.fromstring("<message from='capulet.example'><body>a</body></message>"))
    assert privileges.may_read(JULIET)
    announced(privileges, "set")
    assert not privileges.may_read(JULIET)


def test_a_new_session_begins_without_any_and_one_that_is_resumed_with_the_old_ones(privileges: Privileges) -> None:
    announced(privileges, "both")
    privileges.on_session(Session.LOST)
    assert privileges.may_read(JULIET), "offline only the copy can answer"
    privileges.on_session(Session.RESUMED)
    assert privileges.may_read(JULIET)
    for session in (Session.DEAF, Session.FRESH):
        privileges.on_session(session)
        assert privileges.may_read(JULIET), "the session goes on"
    privileges.on_session(Session.LOST)
    privileges.on_session(Session.FRESH)
    assert not privileges.may_read(JULIET)
