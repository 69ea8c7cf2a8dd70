"""A throw-away Libervia Pubsub: a pubsub service that is an external component of a Prosody, and stores in a
PostgreSQL."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

from newsstand.demo.servers.process import ServerMissing, find_executable, read_from
from newsstand.demo.servers.prosody import Prosody
from newsstand.demo.servers.xmpp_server import XmppServer
from tests.servers.postgresql import PostgreSQL

PACKAGES = "libervia-pubsub prosody lua-dbi-sqlite3 postgresql"
_ROOT = Path("/usr/share/libervia")
_TABLES = _ROOT / "sat_pubsub" / "db" / "pubsub.sql"


class LiberviaPubsub(XmppServer):
    """A Libervia Pubsub, its Prosody and its PostgreSQL, that live as long as its `async with` block.

    Accounts and their PEP are Prosody's; `pubsub` is Libervia's, and takes any number of items. Prosody takes stanzas
    of up to `stanza_size_limit` bytes: it would drop larger answers of the component without a word. `pid` is the
    component's; `stop`, `kill` and `start` are for all three.
    """

    title = "Libervia Pubsub"
    start_seconds = 30.0

    def __init__(
        self,
        accounts: Iterable[str] = ("romeo", "juliet", "nurse"),
        *,
        admins: Iterable[str] | None = None,
        components: Iterable[str] = (),
        stanza_size_limit: int = 64 << 20,
    ) -> None:
        super().__init__(accounts, admins=admins, components=components)
        self.postgresql = PostgreSQL()
        self.prosody = Prosody(
            self.accounts,
            admins=self.admins,
            components=(self.pubsub, *self.components),
            stanza_size_limit=stanza_size_limit,
            with_pubsub=False,
        )
        self.prosody.password = self.password

    def component_secret(self, jid: str) -> str:
        return self.prosody.component_secret(jid)

    def _look_for_it(self) -> None:
        # The packaged unit names `twistd`, which Debian does not have.
        self._twistd = find_executable("twistd3") or find_executable("twistd")
        if self._twistd is None or not _TABLES.exists():
            raise ServerMissing("Libervia Pubsub", PACKAGES)

    def _choose_ports(self) -> None:
        """They are its Prosody's."""

    async def _start(self, folder: Path) -> None:
        first = self.postgresql.folder is None
        await self.postgresql.start()
        if first:
            await self.postgresql.create_database("pubsub", tables=_TABLES)
        await self.prosody.start()
        self.port, self.component_port = self.prosody.port, self.prosody.component_port
        await self._start_component(folder)

    async def _start_component(self, folder: Path) -> None:
        assert self._twistd is not None
        assert self.prosody.folder is not None
        log = self.prosody.folder / "prosody.log"
        seen = log.stat().st_size
        process = await self._spawn(
            *(self._twistd, "--nodaemon", "--pidfile=", f"--logfile={folder / 'libervia.log'}", "libervia-pubsub"),
            environment=self._environment(folder),
        )
        async for _ in self._polls(process):
            if "successfully authenticated" in read_from(log, seen):
                return

    def _environment(self, folder: Path) -> dict[str, str]:
        # All of its settings, for arguments can be read by any user of the machine. HOME, because it also reads
        # files there. The server's JID is taken from its own; it cannot be given (it makes a JID of a JID).
        ours = {name: text for name, text in os.environ.items() if not name.startswith("PG")}
        settings = {
            "ADMINS_JIDS_LIST": ",".join(map(self.jid, self.admins)),
            "DB_HOST": str(self.postgresql.folder),
            "DB_NAME": "pubsub",
            "DB_USER": self.postgresql.superuser,
            "JID": self.pubsub,
            "RHOST": self.host,
            "RPORT": str(self.component_port),
            "XMPP_PWD": self.component_secret(self.pubsub),
        }
        prefixed = {f"LIBERVIA_PUBSUB_{name}": text for name, text in settings.items()}
        return {
            **ours,
            **prefixed,
            "HOME": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(_ROOT),
        }

    def _first_output(self, folder: Path) -> str:
        return super()._first_output(folder) + read_from(folder / "libervia.log")

    async def _end(self, how: signal.Signals) -> None:
        # In this order: each of them complains when what it needs is gone.
        try:
            await super()._end(how)
        finally:
            try:
                await (self.prosody.kill() if how is signal.SIGKILL else self.prosody.stop())
            finally:
                await (self.postgresql.kill() if how is signal.SIGKILL else self.postgresql.stop())

    def _remove_folder(self) -> None:
        for server in (self.prosody, self.postgresql):
            server._remove_folder()
        super()._remove_folder()
