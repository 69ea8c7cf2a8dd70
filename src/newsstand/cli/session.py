"""A session with the account's server, for one command."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import slixmpp

import newsstand.slixmpp  # noqa: F401 - makes the plugin known
from newsstand.cli import places
from newsstand.cli.addresses import is_loopback, server_address
from newsstand.cli.collecting import frozen_modules
from newsstand.cli.password import find_password
from newsstand.cli.places import database_url, named_account
from newsstand.errors import ConfigurationError, Disconnected, ServiceError
from newsstand.replica import Replica
from newsstand.xmpp.transport import Transport

GRACE = 0.2


@dataclass(frozen=True, slots=True)
class Login:
    """Everything that is needed to connect, checked."""

    account: str
    password: str = field(repr=False)
    server: tuple[str, int] | None
    plaintext: bool
    ca_file: Path | None
    timeout: float

    @classmethod
    def of(cls, args: Any) -> Login:
        """May ask for the password: to be called outside of the event loop, where Ctrl-C ends the question. Raises
        ConfigurationError."""
        account = named_account(args)
        if account is None:
            raise ConfigurationError("no account: give --account JID, or set NEWSSTAND_ACCOUNT")
        given = places.connection(args)
        server = server_address(given.server) if given.server else None
        if given.plaintext and (server is None or not is_loopback(server[0])):
            raise ConfigurationError(
                "--plaintext would show the password to the network: it is only for --server 127.0.0.1:PORT and the "
                "like; leave it out to encrypt"
            )
        ca_file = _checked_certificates(given.ca_file)
        password = find_password(account, given.password_file)
        return cls(account, password, server, given.plaintext, ca_file, given.timeout)

    @property
    def where(self) -> str:
        if self.server is None:
            return f"the server of {self.account.partition('@')[2]}"
        host, port = self.server
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _checked_certificates(file: str | None) -> Path | None:
    if file is None:
        return None
    try:
        ssl.create_default_context(cafile=file)
    except ssl.SSLError as error:
        raise ConfigurationError(f"--ca-file {file} holds no certificates in PEM form") from error
    except OSError as error:
        raise ConfigurationError(f"cannot read --ca-file {file}: {error.strerror}") from error
    return Path(file)


class Client:
    """A client whose database is open, and that connects when told to."""

    def __init__(self, xmpp: Any, login: Login) -> None:
        self.xmpp = xmpp
        self.login = login
        self.replica: Replica = xmpp.plugin["newsstand"].replica

    async def ask(self, service: str, payload: Element) -> Element:
        """A request of ours, and the whole answer. Raises StanzaError, Timeout or Disconnected."""
        transport: Transport = self.xmpp.plugin["newsstand"].transport
        return await transport.iq("get", service, payload, timeout=self.login.timeout)

    async def begin(self) -> None:
        """Log in, and wait until notifications reach us. Raises Disconnected where the server cannot be reached, and
        ServiceError where it, or we, refuse the login. Nothing is tried twice."""
        try:
            async with asyncio.timeout(self.login.timeout):
                await _Beginning(self.xmpp, self.login).done()
                # Without presence a server sends no notifications; "xa": nobody is there to talk to.
                self.xmpp.send_presence(pshow="xa", ppriority=0)
                await self.replica.session_began()
        except TimeoutError as error:
            raise Disconnected(
                f"no session with {self.login.where} within {self.login.timeout:g} s: check the address and the "
                "network, or allow more with --timeout"
            ) from error


@asynccontextmanager
async def opened(login: Login, args: Any) -> AsyncIterator[Client]:
    """Open the database; afterwards close it, and the session if one was begun."""
    xmpp = _client(login)
    xmpp.register_plugin("newsstand", {"database": database_url(args, make_folder=True), "migrate": args.migrate})
    plugin = xmpp.plugin["newsstand"]
    plugin.replica.only_when_asked = True
    try:
        await plugin.ready()
        with frozen_modules():
            yield Client(xmpp, login)
    finally:
        await plugin.close()
        xmpp.cancel_connection_attempt()
        if xmpp.transport is not None:
            await xmpp.disconnect()


def _client(login: Login) -> Any:
    mechanisms = {"unencrypted_plain": True, "unencrypted_scram": True} if login.plaintext else {}
    xmpp = slixmpp.ClientXMPP(login.account, login.password, plugin_config={"feature_mechanisms": mechanisms})
    xmpp.enable_plaintext = login.plaintext
    xmpp.enable_starttls = xmpp.enable_direct_tls = not login.plaintext
    # Not every version of slixmpp checks certificates unless it is told to.
    xmpp.ssl_context.check_hostname = True
    xmpp.ssl_context.verify_mode = ssl.CERT_REQUIRED
    if login.ca_file is not None:
        xmpp.ca_certs = login.ca_file
    return xmpp


class _Beginning:
    """One attempt to log in, and the first thing that ends it."""

    def __init__(self, xmpp: Any, login: Login) -> None:
        self._xmpp = xmpp
        self._login = login
        self._outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._failures: list[object] = []
        self._refusal = ""

    async def done(self) -> None:
        handlers = {
            "session_start": lambda _: self._end(None),
            "connection_failed": self._failures.append,
            "failed_auth": self._on_refusal,
            "failed_all_auth": self._on_no_login,
            "ssl_invalid_chain": self._on_certificate,
            "stream_error": self._on_stream_error,
            "disconnected": self._on_disconnected,
        }
        for event, handler in handlers.items():
            self._xmpp.add_event_handler(event, handler)
        try:
            # The future ends with None, or with the next attempt: slixmpp would go on for ever.
            again = await self._xmpp.connect(*(self._login.server or ()))
            if again is not None:
                self._xmpp.cancel_connection_attempt()
                raise self._unreachable()
            await self._outcome
        finally:
            for event, handler in handlers.items():
                self._xmpp.del_event_handler(event, handler)
            if not self._outcome.cancel() and not self._outcome.cancelled():
                self._outcome.exception()  # looked at, so that asyncio does not complain of it

    def _end(self, error: Exception | None) -> None:
        if self._outcome.done():
            return
        if error is None:
            self._outcome.set_result(None)
        else:
            self._outcome.set_exception(error)

    def _unreachable(self) -> Exception:
        if (untrusted := self._find_untrusted()) is not None:
            return untrusted
        reasons = dict.fromkeys(map(_reason, self._failures))
        return Disconnected(
            f"cannot reach {self._login.where} ({'; '.join(reasons) or 'no address'}): check the account's domain, or "
            "give --server HOST:PORT"
        )

    def _find_untrusted(self) -> Exception | None:
        """Of a connection that was to be encrypted from its first byte: it failed before there was a stream."""
        found = (failure for failure in self._failures if isinstance(failure, ssl.SSLCertVerificationError))
        return next(map(self._untrusted, found), None)

    def _untrusted(self, error: object) -> Exception:
        why = getattr(error, "verify_message", "") or str(error)
        return ServiceError(
            f"the certificate of {self._login.where} is not to be trusted ({why}); the password was not sent. "
            "For a private authority give --ca-file FILE"
        )

    def _on_refusal(self, stanza: Any) -> None:
        self._refusal = str(stanza["condition"])

    def _on_no_login(self, _: object) -> None:
        if self._refusal:
            text = f"{self._login.where} refused the login of {self._login.account} ({self._refusal}): check the "
            self._end(ServiceError(text + "account and its password"))
        else:
            self._end(
                ServiceError(
                    f"{self._login.where} offers no safe way to log in (is it encrypted?); the password was not sent"
                )
            )

    def _on_certificate(self, error: object) -> None:
        self._end(self._untrusted(error))
        self._xmpp.disconnect()

    def _on_stream_error(self, stanza: Any) -> None:
        text = f": {stanza['text']}" if stanza["text"] else ""
        self._end(Disconnected(f"{self._login.where} ended the stream ({stanza['condition']}{text})"))

    def _on_disconnected(self, _: object) -> None:
        # What ended the stream is sometimes told only after its end.
        asyncio.get_running_loop().call_later(GRACE, self._on_nothing_told)

    def _on_nothing_told(self) -> None:
        closed = Disconnected(f"{self._login.where} closed the connection before the login was done")
        self._end(self._find_untrusted() or closed)


def _reason(failure: object) -> str:
    """Why a connection attempt failed, without asyncio's ornaments."""
    if isinstance(failure, ssl.SSLError):
        return (failure.reason or "no encryption").replace("_", " ").lower()
    if isinstance(failure, OSError) and failure.errno:
        return os.strerror(failure.errno).lower()
    return str(failure)
