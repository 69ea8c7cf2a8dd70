"""Processes that start at once, because they are forked from one that has imported everything: run as a program.

`kill FOLDER SERVER REVISION` migrates a database that is at REVISION again and again, and ends the process each time at
another moment. `race FOLDER SERVER REVISION ROUNDS` has eight processes open it at once. Both print one JSON document.
The newest revision is the last one of the test-only chain. SERVER is the URL of a PostgreSQL database beside which
others may be made, or `-`: then files are made in FOLDER.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import asyncpg  # noqa: F401 - likewise
from sqlalchemy import Connection, Engine, event

from newsstand.model import NodeKey, NodeRecord
from newsstand.storage import database
from newsstand.storage.postgresql import opening as postgresql_opening
from newsstand.storage.schema import versioning
from newsstand.storage.sqlite import opening
from newsstand.storage.sqlite.connections import make_engine
from newsstand.storage.statements import nodes
from tests.migration._contents import contents, execute, fill, is_file, schema_of

CHAIN = Path(__file__).parent / "chain"
EMPTY = "empty"
PROCESSES = 8
STEPS = 1_000
"""Instructions of SQLite's machine between two moments within a statement."""


def with_chain(folder: Path) -> None:
    """From here on this process knows the chain's revisions as its own."""
    shutil.copytree(versioning.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in CHAIN.glob("*.py"):
        shutil.copy(file, folder / "versions")
    versioning.MIGRATIONS = folder


class Files:
    """Makes the same database again and again, as a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start = f"sqlite:///{folder}/start.db"

    def move(self, url: str, do: Callable[[Connection], None]) -> None:
        with make_engine(database.check_url(url), "IMMEDIATE", look_only=True).begin() as conn:
            do(conn)

    def new(self, *, empty: bool) -> str:
        at = self.folder / "at"
        shutil.rmtree(at, ignore_errors=True)
        at.mkdir()
        if not empty:
            shutil.copy(self.folder / "start.db", at / "news.db")
        return f"sqlite:///{at}/news.db"

    def wrong_backup(self, revision: str, before: Any) -> bool:
        backup = self.folder / "at" / f"news.db.before-migration-from-{revision}"
        return backup.exists() and state(f"sqlite:///{backup}") != before

    def wrong_leavings(self, revision: str) -> bool:
        left = {file.name for file in (self.folder / "at").iterdir()}
        return bool(left - {"news.db", f"news.db.before-migration-from-{revision}"})


class Server:
    """The same, beside the database of a URL. A server keeps no backups, and nothing lies about."""

    def __init__(self, beside: str) -> None:
        self._beside = beside
        self._name = f"warm_{os.getpid()}"
        self.start = self._url(f"{self._name}_start")
        execute(beside, f'CREATE DATABASE "{self._name}_start" TEMPLATE template0')

    def _url(self, name: str) -> str:
        head, _, query = self._beside.partition("?")
        return f"{head.rpartition('/')[0]}/{name}?{query}"

    def move(self, url: str, do: Callable[[Connection], None]) -> None:
        postgresql_opening.run_under_lock(database.check_url(url), do)

    def new(self, *, empty: bool) -> str:
        template = "template0" if empty else f"{self._name}_start"
        execute(
            self._beside,
            f'DROP DATABASE IF EXISTS "{self._name}" WITH (FORCE)',
            f'CREATE DATABASE "{self._name}" TEMPLATE "{template}"',
        )
        return self._url(self._name)

    def wrong_backup(self, revision: str, before: Any) -> bool:
        return False

    def wrong_leavings(self, revision: str) -> bool:
        return False


def make_start(ground: Files | Server, revision: str) -> None:
    """A database with rows in every table, at that revision."""
    if revision == EMPTY:
        return
    asyncio.run(fill(ground.start))
    ground.move(ground.start, lambda conn: versioning.move(conn, revision, more=[CHAIN]))


def fork(do: Callable[[], object]) -> int:
    """Do it in a process of its own; its id. What was imported is not looked through there for garbage: that would
    touch nearly every page that the two processes share, and each would be copied."""
    gc.freeze()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        do()
        code = 0
    except BaseException as error:
        sys.stderr.write(f"{error!r}\n")
        sys.stderr.flush()
    finally:
        os._exit(code)


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# Killing -----------------------------------------------------------------------------------------------------


class Moments:
    """Counts what a process does; with `last`, the process is killed when it comes to that."""

    def __init__(self, last: int | None = None) -> None:
        self.last = last
        self.seen: list[str] = []

    def __call__(self, name: str) -> None:
        self.seen.append(name)
        if len(self.seen) - 1 == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """Every statement, and moments within it; the commit; and what is done with files."""
        event.listen(Engine, "before_cursor_execute", lambda c, k, statement, *_: self(statement.split()[0]))
        event.listen(Engine, "commit", lambda _: self("commit"))
        event.listen(Engine, "connect", self._on_connect)
        for where, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink")):
            setattr(where, name, self._around(name, getattr(where, name)))

    def _on_connect(self, connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.set_progress_handler(lambda: self("within"), STEPS)

    def _around(self, name: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def done(*args: Any, **kwargs: Any) -> Any:
            self(f"before {name}")
            result = do(*args, **kwargs)
            self(f"after {name}")
            return result

        return done


def open_counting(url: str, last: int | None, told: Path | None = None) -> None:
    moments = Moments(last)
    moments.watch()
    parsed = database.check_url(url)
    if is_file(url):
        opening.prepare(parsed)
    else:
        asyncio.run(postgresql_opening.prepare(parsed))
    moments("opened")
    if told is not None:
        told.write_text(json.dumps(moments.seen))


def state(url: str) -> tuple[Any, Any]:
    if is_file(url) and not Path(url.removeprefix("sqlite:///")).exists():
        return {}, []
    return contents(url), schema_of(url)


def kill(ground: Files | Server, folder: Path, revision: str) -> dict[str, Any]:
    make_start(ground, revision)
    with_chain(folder / "migrations")
    told = folder / "moments.json"
    url = ground.new(empty=revision == EMPTY)
    before = state(url)
    assert ended(fork(lambda: open_counting(url, None, told))) == 0
    after = state(url)
    moments = json.loads(told.read_text())
    found: Counter[str] = Counter()
    for last in range(len(moments)):
        url = ground.new(empty=revision == EMPTY)
        killed = ended(fork(lambda url=url, last=last: open_counting(url, last)))  # type: ignore[misc]
        found["killed"] += killed == -signal.SIGKILL
        left = state(url)
        found["as before"] += left == before
        found["as after"] += left == after
        found["half-migrated"] += left not in (before, after)
        found["stuck"] += ended(fork(lambda url=url: open_counting(url, None))) != 0  # type: ignore[misc]
        found["right in the end"] += state(url) == after
        found["wrong backup"] += ground.wrong_backup(revision, before)
        found["wrong leavings"] += ground.wrong_leavings(revision)
    return {"moments": moments, **found}


# Racing ------------------------------------------------------------------------------------------------------


async def open_and_write(url: str, name: str) -> None:
    opened = await database.open_database(url)
    await opened.write(nodes.save, NodeRecord(0, NodeKey("juliet@example.org", "pubsub.example.org", name)))
    await opened.close()


def race(ground: Files | Server, folder: Path, revision: str, rounds: int) -> dict[str, Any]:
    make_start(ground, revision)
    with_chain(folder / "migrations")
    upgrade = alembic.command.upgrade
    found: Counter[str] = Counter()
    for _ in range(rounds):
        url = ground.new(empty=revision == EMPTY)
        log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC)

        def counted(*args: Any, log: int = log, **kwargs: Any) -> None:
            os.write(log, b"m")
            upgrade(*args, **kwargs)

        alembic.command.upgrade = counted
        wait, gun = os.pipe()
        names = [f"by process {number}" for number in range(PROCESSES)]

        def start_one(name: str, wait: int = wait, gun: int = gun, url: str = url) -> None:
            os.close(gun)
            os.read(wait, 1)
            asyncio.run(open_and_write(url, name))

        children = [fork(lambda name=name: start_one(name)) for name in names]  # type: ignore[misc]
        os.close(gun)  # they all start now
        found["started"] += [ended(child) for child in children].count(0)
        os.close(wait)
        os.close(log)
        found["migrated"] += (folder / "log").stat().st_size
        held = contents(url)
        there = {row[3] for row in held["newsstand_node"]}
        found["right in the end"] += set(names) <= there and held["newsstand_version"] == [("9002",)]
    return dict(found)


if __name__ == "__main__":
    verb, folder, server, revision, *rest = sys.argv[1:]
    ground = Files(Path(folder)) if server == "-" else Server(server)
    if verb == "kill":
        done = kill(ground, Path(folder), revision)
    else:
        done = race(ground, Path(folder), revision, int(rest[0]))
    sys.stdout.write(json.dumps(done))
