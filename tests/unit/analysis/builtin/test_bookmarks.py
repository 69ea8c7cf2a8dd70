from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from newsstand.analysis.builtin.bookmarks import NAMESPACE, parse_bookmark

if TYPE_CHECKING:
    from tests.unit.analysis.builtin.conftest import ItemOf

WHERE = {"service": "juliet@capulet.example", "node": NAMESPACE}
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
