"""A bot that echoes what it is sent with OMEMO encryption, and the other side, which sends it something.

`python omemo_echo.py bot` runs until it is ended. `python omemo_echo.py peer JID` sends JID one encrypted message, and
ends with 0 when the echo came.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import connecting
import slixmpp_omemo
from omemo.storage import Just, Nothing, Storage
from slixmpp import JID, ClientXMPP
from slixmpp.plugins import register_plugin
from slixmpp.xmlstream.handler import CoroutineCallback
from slixmpp.xmlstream.matcher import MatchXPath

GREETING = "Wherefore art thou?"
TRIES = 30
"""Seconds for which the peer waits for the bot's devices, and for its echo."""


class FileStorage(Storage):
    """What the library stores, in a file of JSON."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        self._stored: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}

    async def _load(self, key: str) -> Any:
        return Just(self._stored[key]) if key in self._stored else Nothing()

    async def _store(self, key: str, value: Any) -> None:
        self._stored[key] = value
        self._file.write_text(json.dumps(self._stored))

    async def _delete(self, key: str) -> None:
        self._stored.pop(key, None)
        self._file.write_text(json.dumps(self._stored))


class XEP_0384(slixmpp_omemo.XEP_0384):
    """The library's plugin, with what it leaves to programs: where to store, and whom to trust (everybody)."""

    name = "xep_0384"

    def plugin_init(self) -> None:
        self._files = FileStorage(Path(os.environ["HOME"]) / "omemo.json")
        super().plugin_init()

    @property
    def storage(self) -> Storage:
        return self._files

    @property
    def _btbv_enabled(self) -> bool:
        return True

    async def _prompt_manual_trust(self, manually_trusted: Any, identifier: Any) -> None:
        raise AssertionError("devices are trusted blindly")


class OmemoClient(ClientXMPP):
    """A client that can send and receive encrypted messages."""

    def __init__(self) -> None:
        super().__init__(connecting.jid(), connecting.password(), plugin_config=connecting.LOGIN)
        self.add_event_handler("session_start", self.start)
        matcher = MatchXPath(f"{{{self.default_ns}}}message")
        self.register_handler(CoroutineCallback("messages", matcher, self.on_stanza))
        for plugin in ("xep_0199", "xep_0380", "xep_0384"):
            self.register_plugin(plugin)
        connecting.register_newsstand(self)

    async def start(self, _: Any) -> None:
        self.send_presence()
        await self.get_roster()

    async def on_stanza(self, stanza: Any) -> None:
        plugin: Any = self.plugin["xep_0384"]
        if stanza["type"] == "chat" and plugin.is_encrypted(stanza) is not None:
            message, _ = await plugin.decrypt_message(stanza)
            if message["body"]:
                await self.on_text(stanza["from"], message["body"])

    async def on_text(self, sender: JID, text: str) -> None:
        raise NotImplementedError

    async def send_encrypted(self, to: JID, text: str) -> None:
        plain = self.make_message(mto=to, mbody=text, mtype="chat")
        plain.set_from(self.boundjid)
        message, _ = await self.plugin["xep_0384"].encrypt_message(plain, {JID(to.bare)})
        message.send()


class Bot(OmemoClient):
    """Sends back what it gets."""

    async def on_text(self, sender: JID, text: str) -> None:
        await self.send_encrypted(sender, text)


class Peer(OmemoClient):
    """Sends one message, and waits for its echo."""

    def __init__(self, bot: JID) -> None:
        super().__init__()
        self._bot = bot
        self._echoed = asyncio.Event()

    async def start(self, event: Any) -> None:
        await super().start(event)
        for _ in range(TRIES):
            try:
                await self.plugin["xep_0384"].refresh_device_lists({self._bot}, force_download=True)
                await self.send_encrypted(self._bot, GREETING)
                break
            except Exception as error:  # the bot has published no devices yet
                logging.getLogger(__name__).warning("%r", error)
                await asyncio.sleep(1)
        try:
            await asyncio.wait_for(self._echoed.wait(), TRIES)
        except TimeoutError:
            os._exit(1)
        os._exit(0)

    async def on_text(self, sender: JID, text: str) -> None:
        if text == GREETING:
            self._echoed.set()


register_plugin(XEP_0384)

if __name__ == "__main__":
    connecting.run(Bot() if sys.argv[1] == "bot" else Peer(JID(sys.argv[2])))
