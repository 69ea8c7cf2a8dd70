"""The databases that tests work on: a new one each, of every kind."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from newsstand.demo.process import ServerMissing
from newsstand.storage.database import open_database
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgresql import PostgreSQL

BACKENDS = ("sqlite", "postgresql")
POSTGRESQL = os.environ.get("NEWSSTAND_TEST_POSTGRESQL", "plain")
"""How the tests meet PostgreSQL: plain, serializable (the isolation of all transactions that say nothing else), or
pgbouncer (in transaction mode)."""
assert POSTGRESQL in ("plain", "serializable", "pgbouncer")
_SERVER_SETTINGS = {"serializable": {"default_transaction_isolation": "serializable"}}
_TEMPLATE = "newsstand_template"


class Databases:
    """Of one run, and one event loop. A server is started when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "template.db"
        self._server: PostgreSQL | None = None
        self._bouncer: PgBouncer | None = None
        self._missing: ServerMissing | None = None
        self._admin: Any = None
        self._numbers = itertools.count(1)

    async def new(self, backend: str, folder: Path, *, empty: bool = False) -> str:
        """The URL of a database with our tables, or, `empty`, without. Of backend sqlite it lies in the folder."""
        if backend == "sqlite":
            return await self._new_file(folder / "news.db", empty)
        await self._start()
        name = f"test_{next(self._numbers)}"
        await self._admin.execute(f'CREATE DATABASE "{name}" TEMPLATE {"template0" if empty else _TEMPLATE}')
        return self._url(name)

    async def drop(self, url: str) -> None:
        """A thousand of them would fill a disk."""
        if not url.startswith("sqlite"):
            name = url.partition("?")[0].rpartition("/")[2]
            await self._admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    @property
    def server(self) -> PostgreSQL:
        """The PostgreSQL of the run, once a database of it was asked for."""
        assert self._server is not None
        return self._server

    async def _new_file(self, path: Path, empty: bool) -> str:
        if not empty:
            if not self._file.exists():
                await (await open_database(f"sqlite:///{self._file}")).close()
            shutil.copy(self._file, path)
        return f"sqlite:///{path}"

    def _url(self, name: str) -> str:
        return (self._bouncer or self.server).url(name)

    async def _start(self) -> None:
        """Where it is not installed the test is skipped, and in continuous integration fails."""
        if self._missing is None and self._server is None:
            server = PostgreSQL(_SERVER_SETTINGS.get(POSTGRESQL, {}))
            try:
                await server.start()
                self._server = server
                if POSTGRESQL == "pgbouncer":
                    bouncer = PgBouncer(server)
                    await bouncer.start()
                    self._bouncer = bouncer
            except ServerMissing as error:
                self._missing = error
            else:
                self._admin = await asyncpg.connect(server.url("postgres"))
                await self._admin.execute(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
                await (await open_database(server.url(_TEMPLATE))).close()
        if self._missing is not None:
            if os.environ.get("CI"):
                raise self._missing
            pytest.skip(str(self._missing))

    async def close(self) -> None:
        if self._admin is not None:
            await self._admin.close()
        for server in (self._bouncer, self._server):
            if server is not None:
                await server.kill()  # nobody is there to be told
                await server.__aexit__(None, None, None)
