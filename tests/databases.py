"""The databases that tests work on: a new one each, of every kind."""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from newsstand.demo.servers.process import ServerMissing
from newsstand.storage.database import open_database
from newsstand.storage.mapping import VERSION_TABLE
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgresql import GuardedPostgreSQL, PostgreSQL

BACKENDS = ("sqlite", "postgresql")
POSTGRESQL = os.environ.get("NEWSSTAND_TEST_POSTGRESQL", "plain")
"""How the tests meet PostgreSQL: plain, serializable (the isolation of all transactions that say nothing else), or
pgbouncer (in transaction mode)."""
assert POSTGRESQL in ("plain", "serializable", "pgbouncer")
_SERVER_SETTINGS = {"serializable": {"default_transaction_isolation": "serializable"}}
_TEMPLATE = "newsstand_template"
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"


class Databases:
    """Of one run, and one event loop. A server is started when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "template.db"
        self._server: PostgreSQL | None = None
        self._bouncer: PgBouncer | None = None
        self._missing: ServerMissing | None = None
        self._admin: Any = None
        self._numbers = itertools.count(1)
        self._clean: list[str] = []
        self._tables: set[str] = set()

    async def new(self, backend: str, folder: Path, *, empty: bool = False) -> str:
        """The URL of a database with our tables, or, `empty`, without. Of backend sqlite it lies in the folder."""
        if backend == "sqlite":
            return await self._new_file(folder / "news.db", empty)
        await self._start()
        if self._clean and not empty:
            return self._url(self._clean.pop())
        name = f"test_{next(self._numbers)}"
        await self._admin.execute(f'CREATE DATABASE "{name}" TEMPLATE {"template0" if empty else _TEMPLATE}')
        return self._url(name)

    async def drop(self, url: str, *, used: bool = False) -> None:
        """A thousand of them would fill a disk. One that was only `used`, its tables being those that it began with, is
        emptied for the next test: that takes a fraction of making one."""
        if url.startswith("sqlite"):
            return
        name = url.partition("?")[0].rpartition("/")[2]
        if used and POSTGRESQL == "plain" and await self._empty(name):
            self._clean.append(name)
        else:
            await self._admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def _empty(self, name: str) -> bool:
        """False where there are other tables than there were."""
        conn = await asyncpg.connect(self.server.url(name))
        try:
            there = {row[0] for row in await conn.fetch(_TABLES)}
            if there == self._tables:
                names = ", ".join(f'"{table}"' for table in sorted(there) if table != VERSION_TABLE)
                await conn.execute(f"TRUNCATE {names} RESTART IDENTITY CASCADE")
            return there == self._tables
        finally:
            await conn.close()

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
                template = await asyncpg.connect(server.url(_TEMPLATE))
                self._tables = {row[0] for row in await template.fetch(_TABLES)}
                await template.close()
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


PASSWORD = "s@fe w/rd"


@dataclass(frozen=True, slots=True)
class Login:
    """A role, and a database of its server."""

    role: str
    database: str
    where: str
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """Without the password."""
        return f"postgresql://{self.role}@{self.where}/{self.database}"

    @property
    def line(self) -> str:
        """For a password file."""
        return f"{self.where}:{self.database}:{self.role}:{self.password}\n"


class Guarded:
    """A PostgreSQL that asks for passwords, of one run and one event loop. Started when it is first asked for."""

    def __init__(self) -> None:
        self._server = GuardedPostgreSQL()
        self._missing: ServerMissing | None = None
        self._numbers = itertools.count(1)

    async def new(self, password: str = PASSWORD) -> Login:
        """A role, and a database without tables that it owns."""
        number = next(self._numbers)
        role, name = f"role_{number}", f"guarded_{number}"
        await self.run(f"CREATE ROLE {role} LOGIN", f"CREATE DATABASE {name} OWNER {role}")
        login = Login(role, name, self.where, password)
        await self.change_password(login, password)
        return login

    @property
    def where(self) -> str:
        """Host and port."""
        return f"{self._server.host}:{self._server.port}"

    async def change_password(self, login: Login, password: str) -> None:
        """And end its connections."""
        await self.run(
            f"ALTER ROLE {login.role} PASSWORD '{password}'",
            f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{login.role}'",
        )

    async def run(self, *statements: str, database: str = "postgres") -> list[Any]:
        """As the superuser. The rows of the last."""
        await self._start()
        conn = await asyncpg.connect(self._server.url(database))
        try:
            return [await conn.fetch(statement) for statement in statements][-1]
        finally:
            await conn.close()

    async def _start(self) -> None:
        """Where it is not installed the test is skipped, and in continuous integration fails."""
        if self._missing is None and self._server.pid is None:
            try:
                await self._server.start()
            except ServerMissing as error:
                self._missing = error
        if self._missing is not None:
            if os.environ.get("CI"):
                raise self._missing
            pytest.skip(str(self._missing))

    async def close(self) -> None:
        await self._server.kill()  # nobody is there to be told
        await self._server.__aexit__(None, None, None)
