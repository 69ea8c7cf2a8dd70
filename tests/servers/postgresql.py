"""A throw-away PostgreSQL cluster, on a socket in a folder of its own."""

from __future__ import annotations

import os
import pwd
import signal
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from newsstand.demo.servers.process import (
    PortTaken,
    Server,
    ServerFailed,
    ServerMissing,
    User,
    end,
    free_port,
    read_from,
    spawn,
)

PACKAGES = "postgresql"
_UNPRIVILEGED = "postgres"
# What is thrown away need not survive a power cut. It all lies in the folder, its shared memory too: of a server that
# was killed nothing stays elsewhere. It may lie in memory: its log is short.
_SETTINGS = (
    *("listen_addresses=", "fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=100"),
    *("dynamic_shared_memory_type=mmap", "max_wal_size=256MB"),
)
# Nobody called `stranger` is let in.
_ASKING = """
local all {superuser} trust
host all stranger all reject
host all all {host}/32 scram-sha-256
"""


class PostgreSQL(Server):
    """A PostgreSQL that lives as long as its `async with` block.

    It listens on a socket in its `folder` and on no port; there its superuser `superuser` needs no password, and only
    we and root can reach it. PostgreSQL refuses to run as root: then it runs as the user `postgres`.
    """

    title = "PostgreSQL"
    start_seconds = 30.0
    stop_signal = signal.SIGINT  # to it, a fast shutdown

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        """`settings`: the server's own, by name."""
        super().__init__()
        self._settings = (*_SETTINGS, *(f"{name}={value}" for name, value in (settings or {}).items()))
        if os.getuid() == 0:
            try:
                found = pwd.getpwnam(_UNPRIVILEGED)
            except KeyError:
                pass  # not installed: `start` says so
            else:
                self.user = User(found.pw_uid, found.pw_gid)
        self.superuser = "postgres"

    def url(self, database: str) -> str:
        """Of a database, as libpq and SQLAlchemy's drivers read it."""
        return f"postgresql://{self.superuser}@/{quote(database)}?host={quote(str(self.folder), safe='')}"

    async def create_database(self, name: str, *, tables: Path | None = None) -> None:
        """A new database; with the statements of a file run in it. Raises ServerFailed."""
        await self._run("psql", "-qX", "-d", "postgres", "-c", f'CREATE DATABASE "{name}"')
        if tables is not None:
            await self._run("psql", "-qX", "-v", "ON_ERROR_STOP=1", "-d", name, "-f", str(tables))

    def _look_for_it(self) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
        if not found or (os.getuid() == 0 and self.user is None):
            raise ServerMissing("PostgreSQL", PACKAGES)
        self._programs = found[-1].parent

    def _choose_ports(self) -> None:
        """It has none."""

    async def _start(self, folder: Path) -> None:
        data = folder / "data"
        if not data.exists():
            await self._make_cluster(data)
        settings = [word for setting in self._settings for word in ("-c", setting)]
        process = await self._spawn(
            *(str(self._programs / "postgres"), "-D", str(data), "-k", str(folder), *settings),
            environment=self._environment(folder),
        )
        ready = data / "postmaster.pid"
        async for _ in self._polls(process):
            lines = read_from(ready).split("\n")
            # Its eighth line says "ready" when connections are taken; the first is whose file it is.
            if len(lines) > 7 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
                return

    async def _make_cluster(self, data: Path) -> None:
        await self._run("initdb", "-D", str(data), "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8")

    async def _run(self, program: str, *arguments: str) -> None:
        assert self._folder is not None
        process = await spawn(
            str(self._programs / program),
            *arguments,
            folder=self._folder,
            environment=self._environment(self._folder),
            user=self.user,
        )
        try:
            if await process.wait() != 0:
                said = self._first_output(self._folder).splitlines()[-20:]
                raise ServerFailed("\n".join([f"{program} failed:", *said]))
        finally:
            if process.returncode is None:
                await end(process, signal.SIGKILL, self.stop_seconds)

    def _environment(self, folder: Path) -> dict[str, str]:
        ours = {name: text for name, text in os.environ.items() if not name.startswith("PG")}
        return {**ours, "LC_ALL": "C.UTF-8", "PGHOST": str(folder), "PGUSER": self.superuser}


class GuardedPostgreSQL(PostgreSQL):
    """It listens on a port of loopback, too, where everybody needs a password. On the socket it knows its superuser."""

    def __init__(self) -> None:
        super().__init__()
        self._own_settings = self._settings
        self.port = 0

    def url(self, database: str) -> str:
        return f"{super().url(database)}&port={self.port}"

    def _choose_ports(self) -> None:
        self.port = free_port(self.host)
        self._settings = (*self._own_settings, f"listen_addresses={self.host}", f"port={self.port}")

    async def _make_cluster(self, data: Path) -> None:
        await super()._make_cluster(data)
        (data / "pg_hba.conf").write_text(_ASKING.format(superuser=self.superuser, host=self.host), encoding="utf-8")

    async def _start(self, folder: Path) -> None:
        try:
            await super()._start(folder)
        except ServerFailed as error:
            if "Address already in use" in str(error):
                raise PortTaken(f"port {self.port}") from error
            raise
