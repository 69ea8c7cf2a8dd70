"""What all throw-away XMPP servers share: accounts, a pubsub service, and addresses for components."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable

from newsstand.demo.servers.process import Server, ServerFailed, free_port
from newsstand.errors import ConfigurationError

_STREAM = (
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    " to='{domain}' version='1.0'></stream:stream>"
)


class XmppServer(Server):
    """An XMPP server with pubsub and PEP that lives as long as its `async with` block.

    On entry it listens on `host`:`port` (loopback, a free port), in plain text, with one account for each
    name in `accounts`, all with the same random `password`. The accounts named in `admins` (by default the
    first) may create nodes on the service `pubsub`; every account has PEP. Nothing leaves the machine.

    Each JID of `components` is an address at which an external component (XEP-0114) may log in, on
    `host`:`component_port_of(jid)`, with a random secret of its own (`component_secret`).
    """

    domain = "localhost"
    pubsub = "pubsub.localhost"

    def __init__(
        self,
        accounts: Iterable[str] = ("romeo", "juliet", "nurse"),
        *,
        admins: Iterable[str] | None = None,
        components: Iterable[str] = (),
    ) -> None:
        super().__init__()
        self.accounts = tuple(accounts)
        self.admins = self.accounts[:1] if admins is None else tuple(admins)
        if unknown := set(self.admins) - set(self.accounts):
            raise ConfigurationError(f"admins without an account: {', '.join(sorted(unknown))}")
        self.password = secrets.token_urlsafe(18)
        self.components = tuple(components)
        self.port = self.component_port = 0
        self._secrets = {jid: secrets.token_urlsafe(18) for jid in self.components}

    def jid(self, account: str) -> str:
        """The bare JID of an account."""
        return f"{account}@{self.domain}"

    def component_port_of(self, jid: str) -> int:
        """Where the component of this JID logs in."""
        assert jid in self.components
        return self.component_port

    def component_secret(self, jid: str) -> str:
        """What the component of this JID logs in with."""
        return self._secrets[jid]

    def _choose_ports(self) -> None:
        self.port = free_port(self.host)
        if self.components:
            self.component_port = free_port(self.host)

    async def _greet(self) -> None:
        """Returns when the first word has come on a new stream. The kernel takes connections before the server does."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write(_STREAM.format(domain=self.domain).encode())
            await writer.drain()
            if not await reader.read(1):
                raise ServerFailed(f"{self.title} closed the first connection without a word")
        finally:
            writer.close()
            await writer.wait_closed()
