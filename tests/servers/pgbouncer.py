"""A throw-away PgBouncer in transaction mode, in front of a throw-away PostgreSQL."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from urllib.parse import quote

from newsstand.demo.servers.process import PortTaken, Server, ServerMissing, find_executable, free_port
from tests.servers.postgresql import PostgreSQL

PACKAGES = "pgbouncer"
# Few connections to the server, given to whoever asks next: so that no transaction finds the one of before.
_SETTINGS = """
[databases]
* = host={socket} user={user}

[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
min_pool_size = 0
max_client_conn = 500
server_idle_timeout = 1
server_check_delay = 5
server_round_robin = 1
ignore_startup_parameters = extra_float_digits
"""


class PgBouncer(Server):
    """A PgBouncer that lives as long as its `async with` block, in front of a server that is running. It listens on a
    port of loopback, and lets everybody in."""

    title = "PgBouncer"
    start_seconds = 10.0
    stop_signal = signal.SIGINT

    def __init__(self, server: PostgreSQL) -> None:
        super().__init__()
        self.user = server.user  # it refuses to run as root, and its server's socket is that user's
        self._server = server
        self.port = 0

    def url(self, database: str) -> str:
        """Of a database of the server behind it."""
        return f"postgresql://{self._server.superuser}@{self.host}:{self.port}/{quote(database)}"

    def _look_for_it(self) -> None:
        found = find_executable("pgbouncer")
        if found is None or (os.getuid() == 0 and self.user is None):
            raise ServerMissing("PgBouncer", PACKAGES)
        self._program = found

    def _choose_ports(self) -> None:
        self.port = free_port(self.host)

    async def _start(self, folder: Path) -> None:
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            _SETTINGS.format(socket=self._server.folder, user=self._server.superuser, host=self.host, port=self.port),
            encoding="utf-8",
        )
        settings.chmod(0o644)
        process = await self._spawn(self._program, str(settings))
        async for _ in self._polls(process):
            said = self._first_output(folder)
            if "process up" in said:
                return
            if "Address already in use" in said:
                raise PortTaken(f"port {self.port}")
