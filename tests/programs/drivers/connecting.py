"""How the drivers connect: as the environment variables say that the measurement sets."""

from __future__ import annotations

import asyncio
import os

from slixmpp import ClientXMPP

LOGIN = {"feature_mechanisms": {"unencrypted_plain": True}}
"""Loopback has nothing to hide."""


def jid() -> str:
    return os.environ["PROGRAMS_JID"]


def password() -> str:
    return os.environ["PROGRAMS_PASSWORD"]


def register_newsstand(stream: ClientXMPP) -> None:
    """The one line that adopts Newsstand, where this start is to have it. The database is $NEWSSTAND_DATABASE."""
    if os.environ.get("PROGRAMS_NEWSSTAND"):
        stream.register_plugin("newsstand", {}, module="newsstand.slixmpp")


def run(client: ClientXMPP) -> None:
    """Until the process is ended."""
    client.enable_plaintext = True
    client.enable_starttls = client.enable_direct_tls = False
    client.connect(os.environ["PROGRAMS_HOST"], int(os.environ["PROGRAMS_PORT"]))
    asyncio.get_event_loop().run_forever()
