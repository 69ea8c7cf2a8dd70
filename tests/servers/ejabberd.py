"""A throw-away ejabberd: an XMPP server with pubsub and PEP, on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from newsstand.demo.servers.process import PortTaken, ServerFailed, ServerMissing, find_executable, free_port, read_from
from newsstand.demo.servers.xmpp_server import XmppServer

PACKAGES = "ejabberd erlang-p1-sqlite3"
_TABLES = Path("/usr/share/ejabberd/sql/lite.sql")
_IN_USE = re.compile(r"(?i)already in use|eaddrinuse")

# What an administrator does with ejabberdctl goes through the API here: ejabberdctl needs a node with a name. Any user
# of the machine can call it, so it knows this one command.
_CONFIGURATION = """\
hosts: [{domain}]
loglevel: info
auth_method: internal
auth_password_format: plain
s2s_access: none
default_db: {db}
{sql}
listen:
  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    max_stanza_size: {stanza_size_limit}
    access: all
    shaper: none
    starttls: false
  - port: {api_port}
    ip: "127.0.0.1"
    module: ejabberd_http
    request_handlers:
      /api: mod_http_api
{component_listener}
acl:
  maker: {{user: [{admins}]}}
  local: {{user_regexp: ""}}
access_rules:
  local: {{allow: local}}
  pubsub_createnode: {{allow: maker}}
api_permissions:
  expiry:
    from: mod_http_api
    who: {{ip: 127.0.0.1/32}}
    what: delete_expired_pubsub_items
modules:
  mod_adhoc: {{}}
  mod_blocking: {{}}
  mod_caps: {{}}
  mod_carboncopy: {{}}
  mod_disco: {{}}
  mod_last: {{}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_privacy: {{}}
  mod_pubsub:
    host: {pubsub}
    access_createnode: pubsub_createnode
    plugins: [flat, pep]
    max_items_node: 100000
  mod_roster: {{}}
  mod_stream_mgmt: {{}}
"""

# A listener each: ejabberd hands what is for any host of a listener to whichever component logged in to it.
_COMPONENT_LISTENER = """\
  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_service
    max_stanza_size: {stanza_size_limit}
    hosts:
      {jid}: {{password: {secret}}}
"""

_CALL = """\
POST /api/{command} HTTP/1.1\r
Host: {host}\r
Content-Type: application/json\r
Content-Length: 2\r
Connection: close\r
\r
{{}}"""

# The accounts are in a file, because arguments can be read by any user of the machine.
_BOOT = """\
case application:ensure_all_started(ejabberd) of
    {{ok, _}} ->
        {{ok, Accounts}} = file:consult({accounts}),
        [ejabberd_auth:try_register(User, Server, Password) || {{User, Server, Password}} <- Accounts],
        file:write_file({ready}, "ready");
    Error ->
        io:format("~p~n", [Error]),
        halt(1)
end.
"""


class Ejabberd(XmppServer):
    """An ejabberd that lives as long as its `async with` block; its pubsub data are in Mnesia or in SQLite.

    Nodes may hold up to 100,000 items. Requests above `stanza_size_limit` bytes are refused. Erlang is started without
    a node name, so that there is no epmd and several may run at once.
    """

    title = "ejabberd"
    start_seconds = 60.0
    stop_seconds = 20.0

    def __init__(
        self,
        accounts: Iterable[str] = ("romeo", "juliet", "nurse"),
        *,
        db: Literal["mnesia", "sql"] = "mnesia",
        admins: Iterable[str] | None = None,
        components: Iterable[str] = (),
        stanza_size_limit: int = 10 << 20,
    ) -> None:
        super().__init__(accounts, admins=admins, components=components)
        self.db = db
        self._stanza_size_limit = stanza_size_limit

    def _look_for_it(self) -> None:
        self._erl = find_executable("erl")
        self._libraries = next((found.parents[1] for found in Path("/usr/lib").glob("*/ejabberd-*/ebin")), None)
        if self._erl is None or self._libraries is None:
            raise ServerMissing("ejabberd", PACKAGES)
        if self.db == "sql" and not any(Path("/usr/lib/erlang/lib").glob("*/ebin/sqlite3.app")):
            raise ServerMissing("ejabberd's SQLite driver", PACKAGES)

    async def _start(self, folder: Path) -> None:
        assert self._erl is not None
        ready, log = folder / "ready", folder / "ejabberd.log"
        ready.unlink(missing_ok=True)
        seen = log.stat().st_size if log.exists() else 0
        self._write_files(folder)
        environment = {
            **os.environ,
            "EJABBERD_CONFIG_PATH": str(folder / "ejabberd.yml"),
            "EJABBERD_LOG_PATH": str(log),
            "ERL_CRASH_DUMP_BYTES": "0",
            "ERL_LIBS": str(self._libraries),
            "HOME": str(folder),
        }
        boot = _BOOT.format(accounts=json.dumps(str(folder / "accounts")), ready=json.dumps(str(ready)))
        process = await self._spawn(
            *(self._erl, "-noinput", "-mnesia", "dir", json.dumps(str(folder / "spool"))),
            *("-s", "ejabberd", "-eval", boot),
            environment=environment,
        )
        async for _ in self._polls(process):
            if _IN_USE.search(read_from(log, seen)):
                raise PortTaken(f"one of {[self.port, self._api_port, *self._component_ports.values()]}")
            if ready.exists():
                break
        async with asyncio.timeout(self.start_seconds):
            await self._greet()

    def _write_files(self, folder: Path) -> None:
        spool = folder / "spool"
        spool.mkdir(exist_ok=True)
        (folder / "ejabberd.yml").write_text(self._configuration(spool / "ejabberd.sqlite"), encoding="utf-8")
        accounts = "".join(
            f"{{{_binary(account)}, {_binary(self.domain)}, {_binary(self.password)}}}.\n" for account in self.accounts
        )
        (folder / "accounts").write_text(accounts, encoding="utf-8")
        if self.db == "sql" and not (spool / "ejabberd.sqlite").exists():
            # ejabberd 23 does not make its own tables.
            tables = sqlite3.connect(spool / "ejabberd.sqlite")
            tables.executescript(_TABLES.read_text(encoding="utf-8"))
            tables.close()

    def _configuration(self, database: Path) -> str:
        sql = f"sql_type: sqlite\nsql_database: {json.dumps(str(database))}\nsql_pool_size: 1"
        return _CONFIGURATION.format(
            domain=json.dumps(self.domain),
            pubsub=json.dumps(self.pubsub),
            db=self.db,
            sql=sql if self.db == "sql" else "",
            port=self.port,
            api_port=self._api_port,
            stanza_size_limit=self._stanza_size_limit,
            component_listener="".join(map(self._component_listener, self.components)),
            admins=", ".join(json.dumps(self.jid(name)) for name in self.admins),
        )

    def _component_listener(self, jid: str) -> str:
        return _COMPONENT_LISTENER.format(
            port=self.component_port_of(jid),
            stanza_size_limit=self._stanza_size_limit,
            jid=json.dumps(jid),
            secret=json.dumps(self.component_secret(jid)),
        )

    async def delete_expired_items(self) -> bool:
        """As the administrator does, with `ejabberdctl delete_expired_pubsub_items`; False where ejabberd says that it
        failed, after some of them perhaps. ejabberd 23 has only PEP nodes in mind, not those of its pubsub service."""
        answer = await self._call("delete_expired_pubsub_items")
        head, _, code = answer.partition("\r\n\r\n")
        if not head.startswith("HTTP/1.1 200 ") or code not in ("0", "1"):
            raise ServerFailed(f"{self.title} does not know how to delete expired items: {answer}")
        return code == "0"

    async def _call(self, command: str) -> str:
        """What the API answers to a command without arguments."""
        reader, writer = await asyncio.open_connection(self.host, self._api_port)
        try:
            writer.write(_CALL.format(command=command, host=self.host).encode())
            return (await reader.read()).decode(errors="replace")
        finally:
            writer.close()
            await writer.wait_closed()

    def component_port_of(self, jid: str) -> int:
        return self._component_ports[jid]

    def _choose_ports(self) -> None:
        super()._choose_ports()
        self._api_port = free_port(self.host)
        self._component_ports = {jid: free_port(self.host) for jid in self.components}

    def _first_output(self, folder: Path) -> str:
        return read_from(folder / "ejabberd.log") + super()._first_output(folder)


def _binary(text: str) -> str:
    """As Erlang writes a binary."""
    return f"<<{json.dumps(text, ensure_ascii=False)}/utf8>>"
