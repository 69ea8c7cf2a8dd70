"""slixmpp clients of a server on loopback."""

from __future__ import annotations

import asyncio
from typing import Any, Self

from slixmpp import ClientXMPP
from slixmpp.plugins.xep_0004 import Form

from newsstand.demo.servers.xmpp_server import XmppServer
from newsstand.errors import Disconnected

LOGIN_SECONDS = 20.0


class LoopbackClient(ClientXMPP):
    """A client that logs in to a throw-away server, in plain text: loopback has nothing to hide.

    As an `async with` block it is logged in on entry, and logged out at the end."""

    def __init__(self, server: XmppServer, account: str, resource: str) -> None:
        super().__init__(
            f"{server.jid(account)}/{resource}",
            server.password,
            plugin_config={"feature_mechanisms": {"unencrypted_plain": True, "use_mech": "PLAIN"}},
        )
        self._server = server
        self.enable_plaintext = True
        self.enable_starttls = self.enable_direct_tls = False
        self.register_plugin("xep_0060")

    async def __aenter__(self) -> Self:
        await self.log_in()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.log_out()

    async def log_in(self) -> None:
        """Returns when the session has begun. Raises Disconnected when it does not."""
        outcomes: asyncio.Queue[str] = asyncio.Queue()

        def started(_: Any) -> None:
            outcomes.put_nowait("")

        def refused(_: Any) -> None:
            outcomes.put_nowait("the login was refused")

        self.add_event_handler("session_start", started)
        self.add_event_handler("failed_all_auth", refused)
        try:
            self.connect(self._server.host, self._server.port)
            async with asyncio.timeout(LOGIN_SECONDS):
                trouble = await outcomes.get()
        except TimeoutError:
            trouble = f"no session within {LOGIN_SECONDS:g} s"
        except BaseException:
            await self.log_out()  # interrupted: a stream left open would complain when its server goes
            raise
        finally:
            self.del_event_handler("session_start", started)
            self.del_event_handler("failed_all_auth", refused)
        if trouble:
            await self.log_out()
            raise Disconnected(f"{self.requested_jid}: {trouble}")

    async def log_out(self) -> None:
        """Closes the stream if there is one, and a connection attempt if there is one."""
        self.cancel_connection_attempt()
        if self.transport is not None:
            await self.disconnect()
        # slixmpp leaves the task that sends to the garbage collector, which complains about it on stderr.
        if (sending := self._run_out_filters) is not None:
            sending.cancel()
            await asyncio.wait([sending])

    # What xep_0060 leaves to its callers

    async def create_node(self, service: str | None, node: str, **options: str) -> None:
        """With these fields of its configuration (XEP-0060, 16.4.4), `access_model="open"` and so on."""
        form: Form = self.plugin["xep_0004"].make_form(ftype="submit")
        form.add_field("FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#node_config")
        for name, value in options.items():
            form.add_field(f"pubsub#{name}", value=value)
        await self.plugin["xep_0060"].create_node(service, node, config=form)
