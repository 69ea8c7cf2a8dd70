"""A throw-away Prosody: an XMPP server with pubsub and PEP, on loopback, for the demo and the tests."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from newsstand.demo.servers.process import PortTaken, ServerFailed, ServerMissing, find_executable, read_from
from newsstand.demo.servers.xmpp_server import XmppServer
from newsstand.errors import NewsstandError

__all__ = ["Prosody", "ServerFailed", "ServerMissing"]

PACKAGES = "prosody lua-dbi-sqlite3"
"""Folders of Debian, which hold what is started here."""

_NOT_LOADED = re.compile(r"Error initializing module|Unable to load module")
_NO_DRIVER = re.compile(r"Cannot load driver SQLite3|module 'DBI' not found")

_CONFIGURATION = """\
daemonize = false
run_as_root = true
data_path = {data}
certificates = {data}
log = {{ {{ levels = {{ min = "info" }}, to = "file", filename = {log} }} }}

interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_direct_tls_ports = {{ }}
s2s_ports = {{ }}
s2s_direct_tls_ports = {{ }}
http_ports = {{ }}
https_ports = {{ }}
component_ports = {{ {component_port} }}
{stanza_size_limit}
network_settings = {{ nagle = false }}

c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
admins = {{ {admins} }}

default_storage = "sql"
storage = {{ accounts = "internal" }}
sql = {{ driver = "SQLite3", database = {database} }}
storage_archive_item_limit = 110000

modules_enabled = {{ {modules} }}
modules_disabled = {{ "s2s", "limits" }}
pep_max_items = 100000
{extra}

VirtualHost {domain}
{components}
"""

_PUBSUB = """\
Component {pubsub} "pubsub"
    pubsub_max_items = 100000
    {pubsub_extra}
"""

_STANZA_SIZE_LIMIT = """\
c2s_stanza_size_limit = {limit}
component_stanza_size_limit = {limit}
"""

_MODULES = (
    "blocklist",
    "c2s",
    "carbons",
    "disco",
    "iq",
    "message",
    "offline",
    "pep",
    "ping",
    "posix",
    "presence",
    "roster",
    "saslauth",
    "smacks",
    "time",
    "version",
)


class Prosody(XmppServer):
    """A Prosody that lives as long as its `async with` block.

    Nodes may hold up to 100,000 items, though unless configured otherwise they keep 20, and PEP nodes one. A client
    or component that sends more than `stanza_size_limit` bytes in one stanza loses its stream; None leaves Prosody's
    own limits (256 and 512 KiB).

    `extra` and `pubsub_extra` are lines of Prosody's configuration, for all of it and for the pubsub service;
    `modules` are loaded besides its own. Without `with_pubsub` there is no pubsub service, only PEP.
    """

    title = "Prosody"

    def __init__(
        self,
        accounts: Iterable[str] = ("romeo", "juliet", "nurse"),
        *,
        admins: Iterable[str] | None = None,
        components: Iterable[str] = (),
        stanza_size_limit: int | None = None,
        modules: Iterable[str] = (),
        extra: str = "",
        pubsub_extra: str = "",
        with_pubsub: bool = True,
    ) -> None:
        super().__init__(accounts, admins=admins, components=components)
        self._stanza_size_limit = stanza_size_limit
        self._modules = (*_MODULES, *modules)
        self._extra = extra
        self._pubsub_extra = pubsub_extra
        self._with_pubsub = with_pubsub

    def _look_for_it(self) -> None:
        self._executable = find_executable("prosody")
        if self._executable is None:
            raise ServerMissing("Prosody", PACKAGES)

    async def _start(self, folder: Path) -> None:
        """Prosody tells only its log what it listens on: a port that answers could be another program's."""
        assert self._executable is not None
        for account in self.accounts:
            self._write_account(folder, account)
        configuration = folder / "prosody.cfg.lua"
        configuration.write_text(self._configuration(folder), encoding="utf-8")
        log = folder / "prosody.log"
        seen = log.stat().st_size if log.exists() else 0
        process = await self._spawn(self._executable, "-F", "--config", str(configuration))
        async for _ in self._polls(process):
            said = read_from(log, seen)
            if self._listens(said, "c2s", self.port) and (
                not self.components or self._listens(said, "component", self.component_port)
            ):
                break
        # The kernel takes connections before Prosody does; its first word comes when all of it is loaded.
        async with asyncio.timeout(self.start_seconds):
            await self._greet()
        if _NOT_LOADED.search(read_from(log, seen)):
            raise self._failure()

    @staticmethod
    def _listens(said: str, service: str, port: int) -> bool:
        if f"Activated service '{service}' on no ports" in said:
            raise PortTaken(f"port {port}")
        return re.search(rf"(?m)Activated service '{service}' on .*:{port}\b.*\n", said) is not None

    def _first_output(self, folder: Path) -> str:
        return read_from(folder / "prosody.log") + super()._first_output(folder)

    def _failure(self) -> NewsstandError:
        assert self._folder is not None
        if _NO_DRIVER.search(self._first_output(self._folder)):
            return ServerMissing("Prosody's SQLite driver", PACKAGES)
        return super()._failure()

    def _write_account(self, folder: Path, account: str) -> None:
        """As Prosody's own internal storage would. `prosodyctl register` takes 0.2 s for each, and the
        password as an argument that any user of the machine can read."""
        accounts = folder / "data" / _file_name(self.domain) / "accounts"
        accounts.mkdir(parents=True, exist_ok=True)
        text = f'return {{ ["password"] = {_lua(self.password)}; }};\n'
        (accounts / f"{_file_name(account)}.dat").write_text(text, encoding="utf-8")

    def _configuration(self, folder: Path) -> str:
        limit = self._stanza_size_limit
        return _CONFIGURATION.format(
            data=_lua(str(folder / "data")),
            log=_lua(str(folder / "prosody.log")),
            database=_lua(str(folder / "data" / "prosody.sqlite")),
            port=self.port,
            component_port=self.component_port if self.components else "",
            domain=_lua(self.domain),
            admins=", ".join(_lua(self.jid(name)) for name in self.admins),
            modules=", ".join(map(_lua, self._modules)),
            stanza_size_limit="" if limit is None else _STANZA_SIZE_LIMIT.format(limit=limit),
            extra=self._extra,
            components="\n".join(self._components()),
        )

    def _components(self) -> Iterator[str]:
        if self._with_pubsub:
            yield _PUBSUB.format(pubsub=_lua(self.pubsub), pubsub_extra=self._pubsub_extra)
        for jid in self.components:
            yield f"Component {_lua(jid)}\n    component_secret = {_lua(self.component_secret(jid))}"


def _lua(text: str) -> str:
    """A Lua string literal: JSON's escapes are a subset of Lua's, as long as no character needs `\\u`."""
    return json.dumps(text, ensure_ascii=False)


def _file_name(text: str) -> str:
    """As Prosody's util.datamanager encodes the names of its files."""
    return "".join(
        chr(byte) if chr(byte).isascii() and chr(byte).isalnum() else f"%{byte:02x}" for byte in text.encode()
    )
