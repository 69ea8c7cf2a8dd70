"""A slixmpp program at the start of its second session: it is answered at once, and notified late of what differs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from slixmpp import ClientXMPP

from newsstand.demo.servers.prosody import Prosody
from newsstand.sync import late_news
from tests.conftest import Connect, log_in, log_out, new_client

BOOKMARKS = "urn:xmpp:bookmarks:1"
ROOMS = ("garden@muc.localhost", "kitchen@muc.localhost")
OPEN = {
    "pubsub#persist_items": "true",
    "pubsub#max_items": "10",
    "pubsub#access_model": "whitelist",
    "pubsub#send_last_published_item": "never",
}


async def bookmark(client: ClientXMPP, room: str, name: str) -> None:
    conference = Element(f"{{{BOOKMARKS}}}conference", {"name": name, "autojoin": "true"})
    form = client.plugin["xep_0004"].make_form("submit")
    form.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#publish-options")
    for field, value in OPEN.items():
        form.add_field(var=field, value=value)
    await client.plugin["xep_0060"].publish(None, BOOKMARKS, id=room, payload=conference, options=form)


async def read(client: ClientXMPP) -> Any:
    return await client.plugin["xep_0060"].get_items(None, BOOKMARKS)


def names(iq: Any) -> list[str]:
    return [conference.get("name") for conference in iq.xml.iter(f"{{{BOOKMARKS}}}conference")]


def register(client: ClientXMPP, path: Path, **settings: Any) -> Any:
    client.register_plugin("newsstand", {"database": f"sqlite:///{path}", **settings})
    plugins: Any = client.plugin
    return plugins["newsstand"]


async def test_a_second_start_is_answered_at_once_and_told_what_changed(
    prosody: Prosody, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_news, "AFTER", 0.3)
    path, account = tmp_path / "news.db", "juliet"
    other = await connect(account, resource="other")
    for room in ROOMS:
        await bookmark(other, room, "first")

    client = new_client(prosody, account)
    plugin = register(client, path, quiet_start=0)
    await log_in(client, prosody)
    await plugin.ready()
    await plugin.replica.session_began()
    await read(client)
    await plugin.replica.settled()
    assert (await read(client)).newsstand.origin == "copy"
    await log_out(client)
    await plugin.replica.close()

    await bookmark(other, ROOMS[0], "changed")

    client = new_client(prosody, account, plugins=("xep_0198",))
    plugin = register(client, path, quiet_start=60)
    heard: asyncio.Queue[Any] = asyncio.Queue()
    client.add_event_handler("pubsub_publish", heard.put_nowait)
    await log_in(client, prosody)
    received: list[Any] = []

    def receive(stanza: Any) -> Any:
        received.append(stanza)
        return stanza

    client.add_filter("in", receive)
    answer = await read(client)
    assert (answer.newsstand.origin, answer.newsstand.stale) == ("copy", True)
    assert names(answer) == ["first", "first"]
    async with asyncio.timeout(15):
        message = await heard.get()
    assert message.newsstand.origin == "copy"
    assert message["from"] == client.boundjid.bare
    assert message["pubsub_event"]["items"]["item"]["id"] == ROOMS[0]
    assert sorted(names(await read(client))) == ["changed", "first"]
    await plugin.replica.settled()
    assert heard.empty(), "it is told once"
    assert message not in received, "XEP-0198 counts what passes the filters: what the server sent"
    await log_out(client)
    await plugin.replica.close()
