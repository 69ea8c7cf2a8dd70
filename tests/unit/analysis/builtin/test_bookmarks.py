from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from newsstand.analysis.builtin.bookmarks import LEGACY_NAMESPACE, NAMESPACE, parse_bookmark, parse_bookmarks

if TYPE_CHECKING:
    from tests.unit.analysis.builtin.conftest import ItemOf

WHERE = {"service": "juliet@capulet.example", "node": NAMESPACE}
LEGACY = {"service": "juliet@capulet.example", "node": LEGACY_NAMESPACE}
ROOM = "orchard@rooms.capulet.example"


def test_a_bookmark(item_of: ItemOf) -> None:
    payload = f"""
        <conference xmlns="{NAMESPACE}" name="The Orchard" autojoin="1">
          <nick>Juliet</nick>
          <extensions>
            <state xmlns="urn:example:window" minimized="true"/>
            <notify xmlns="urn:example:notify"><never/></notify>
            <more xmlns="urn:example:window"/>
          </extensions>
        </conference>"""
    assert parse_bookmark(item_of(payload, id=ROOM), **WHERE) == {
        "jid": ROOM,
        "name": "The Orchard",
        "autojoin": True,
        "nick": "Juliet",
        "extensions": ["urn:example:window", "urn:example:notify"],
    }


def test_the_shortest_bookmark_is_not_joined_by_itself(item_of: ItemOf) -> None:
    item = item_of(f'<conference xmlns="{NAMESPACE}"/>', id=ROOM)
    assert parse_bookmark(item, **WHERE) == {"jid": ROOM, "autojoin": False}


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        ("true", True),
        ("1", True),
        (" true ", True),
        ("false", False),
        ("0", False),
        ("yes", False),
        ("", False),
    ],
)
def test_autojoin_is_an_xml_boolean(item_of: ItemOf, value: str, meaning: bool) -> None:
    item = item_of(f'<conference xmlns="{NAMESPACE}" autojoin="{value}"/>', id=ROOM)
    assert parse_bookmark(item, **WHERE)["autojoin"] is meaning


def test_nothing_secret_is_read(item_of: ItemOf) -> None:
    payload = f"""
        <conference xmlns="{NAMESPACE}" password="hunter2">
          <nick>Ju<password>hunter2</password></nick>
          <password>hunter2</password>
          <extensions>
            <password>hunter2</password>
            <key xmlns="urn:example:key" secret="hunter2">hunter2<inner>hunter2</inner></key>
          </extensions>
          <password xmlns="storage:bookmarks">hunter2</password>
        </conference>"""
    parsed = parse_bookmark(item_of(payload, id=ROOM), **WHERE)
    assert "hunter2" not in json.dumps(parsed)
    assert "password" not in json.dumps(parsed)
    assert parsed["nick"] == "Ju"


@pytest.mark.parametrize("id", [None, ""])
def test_without_an_id_there_is_no_room(item_of: ItemOf, id: str | None) -> None:
    with pytest.raises(ValueError, match="no id"):
        parse_bookmark(item_of(f'<conference xmlns="{NAMESPACE}"/>', id=id), **WHERE)


def test_the_older_list_of_bookmarks_is_another_payload(item_of: ItemOf) -> None:
    item = item_of('<storage xmlns="storage:bookmarks"><conference jid="a@b"/></storage>', id="current")
    with pytest.raises(ValueError, match="storage:bookmarks"):
        parse_bookmark(item, **WHERE)


def test_the_error_never_repeats_content(item_of: ItemOf) -> None:
    item = item_of(f'<conference xmlns="{NAMESPACE}"><password>hunter2</password></conference>' * 2, id=ROOM)
    with pytest.raises(ValueError, match="2 payloads") as caught:
        parse_bookmark(item, **WHERE)
    assert "hunter2" not in str(caught.value)


def storage(*inner: str) -> str:
    return f'<storage xmlns="{LEGACY_NAMESPACE}">{"".join(inner)}</storage>'


def test_the_older_list(item_of: ItemOf) -> None:
    payload = storage(
        f'<conference name="The Orchard" autojoin="true" jid="{ROOM}"><nick>Juliet</nick></conference>',
        '<conference jid="hall@rooms.capulet.example"/>',
        '<url name="Complete Works" url="https://plays.example/all?page=1#top"/>',
        '<url url="xmpp:nurse@capulet.example"/>',
    )
    assert parse_bookmarks(item_of(payload, id="current"), **LEGACY) == {
        "conferences": [
            {"jid": ROOM, "autojoin": True, "name": "The Orchard", "nick": "Juliet"},
            {"jid": "hall@rooms.capulet.example", "autojoin": False},
        ],
        "urls": [
            {"url": "https://plays.example/all?page=1#top", "name": "Complete Works"},
            {"url": "xmpp:nurse@capulet.example"},
        ],
    }


def test_an_empty_list_has_no_conferences(item_of: ItemOf) -> None:
    assert parse_bookmarks(item_of(storage()), **LEGACY) == {"conferences": []}


def test_what_has_no_address_is_left_out(item_of: ItemOf) -> None:
    payload = storage('<conference name="a"/>', '<conference jid=" "/>', '<url name="b"/>', '<x jid="c" url="d"/>')
    assert parse_bookmarks(item_of(payload), **LEGACY) == {"conferences": []}


def test_nothing_secret_is_read_of_the_older_list(item_of: ItemOf) -> None:
    payload = storage(
        f"""<conference jid="{ROOM}" password="hunter2">
              <password>hunter2</password>
              <nick>Ju<password>hunter2</password></nick>
              <password xmlns="urn:example:x">hunter2</password>
              <key xmlns="urn:example:x">hunter2</key>
            </conference>""",
        "<password>hunter2</password>",
        '<url name="a" url="https://juliet:hunter2@plays.example/" password="hunter2"><x>hunter2</x></url>',
    )
    parsed = parse_bookmarks(item_of(payload), **LEGACY)
    assert "hunter2" not in json.dumps(parsed)
    assert "password" not in json.dumps(parsed)
    assert parsed["conferences"] == [{"jid": ROOM, "autojoin": False, "nick": "Ju"}]


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://plays.example/@juliet", "https://plays.example/@juliet"),
        ("https://plays.example?to=a@b", "https://plays.example?to=a@b"),
        ("HTTPS://juliet:hunter2@plays.example:8443/x?y#z", "HTTPS://plays.example:8443/x?y#z"),
        ("ftp://juliet@hunter2:x@plays.example", "ftp://plays.example"),
        ("mailto:juliet@capulet.example", "mailto:juliet@capulet.example"),
        ("plays.example", "plays.example"),
    ],
)
def test_a_url_is_kept_without_its_user_and_password(item_of: ItemOf, url: str, kept: str) -> None:
    assert parse_bookmarks(item_of(storage(f'<url url="{url}"/>')), **LEGACY)["urls"] == [{"url": kept}]


def test_a_native_bookmark_is_another_payload(item_of: ItemOf) -> None:
    with pytest.raises(ValueError, match="urn:xmpp:bookmarks:1"):
        parse_bookmarks(item_of(f'<conference xmlns="{NAMESPACE}"/>', id=ROOM), **LEGACY)
