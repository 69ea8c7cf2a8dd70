from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from newsstand.analysis.builtin.displayed import NAMESPACE, parse_displayed

if TYPE_CHECKING:
    from tests.unit.analysis.builtin.conftest import ItemOf

WHERE = {"service": "juliet@capulet.example", "node": NAMESPACE}
CHAT = "romeo@montague.example"
SID = "urn:xmpp:sid:0"


def displayed(*inner: str) -> str:
    return f'<displayed xmlns="{NAMESPACE}">{"".join(inner)}</displayed>'


def test_a_chat_and_what_was_displayed_of_it(item_of: ItemOf) -> None:
    payload = displayed(f'<stanza-id xmlns="{SID}" by="juliet@capulet.example" id="ca21deaf"/>')
    assert parse_displayed(item_of(payload, id=CHAT), **WHERE) == {
        "jid": CHAT,
        "stanza_id": "ca21deaf",
        "by": "juliet@capulet.example",
    }


@pytest.mark.parametrize(
    "inner", ["", "<stanza-id id='a'/>", f"<stanza-id xmlns='{SID}' by='a@b'/>", f"<stanza-id xmlns='{SID}' id=' '/>"]
)
def test_without_an_id_of_a_message_it_is_the_chat_alone(item_of: ItemOf, inner: str) -> None:
    assert parse_displayed(item_of(displayed(inner), id=CHAT), **WHERE) == {"jid": CHAT}


def test_of_several_ids_the_first_counts(item_of: ItemOf) -> None:
    payload = displayed(*(f'<stanza-id xmlns="{SID}" id="{id}"/>' for id in ("", "first", "second")))
    assert parse_displayed(item_of(payload, id=CHAT), **WHERE) == {"jid": CHAT, "stanza_id": "first"}


@pytest.mark.parametrize("id", [None, ""])
def test_without_an_id_there_is_no_chat(item_of: ItemOf, id: str | None) -> None:
    with pytest.raises(ValueError, match="no id"):
        parse_displayed(item_of(displayed(), id=id), **WHERE)


@pytest.mark.parametrize("payload", ["", displayed() * 2, "<displayed xmlns='urn:xmpp:chat-markers:0'/>"])
def test_what_is_not_one_of_it_is_refused(item_of: ItemOf, payload: str) -> None:
    with pytest.raises(ValueError, match="payload"):
        parse_displayed(item_of(payload, id=CHAT), **WHERE)
