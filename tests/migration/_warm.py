"""Processes that start at once, because they are forked from one that has imported everything: run as a program.

`kill FOLDER REVISION` migrates a database that is at REVISION again and again, and ends the process each time at
another moment. `race FOLDER REVISION ROUNDS` has eight processes open it at once. Both print one JSON document. The
newest revision is the last one of the test-only chain.
"""

from __future__ import annotations

import asyncio
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
import alembic.config  # noqa: F401 - so that children need not
from sqlalchemy import Engine, event

from newsstand.model import NodeKey, NodeRecord
from newsstand.storage import nodes, opening, schema
from newsstand.storage.database import open_database
from newsstand.storage.sqlite import check_url, make_engine
from tests.migration._contents import contents, fill, schema_of

CHAIN = Path(__file__).parent / "chain"
EMPTY = "empty"
PROCESSES = 8
STEPS = 1_000
"""Instructions of SQLite's machine between two moments within a statement."""


def with_chain(folder: Path) -> None:
    """From here on this process knows the chain's revisions as its own."""
    shutil.copytree(schema.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in CHAIN.glob("*.py"):
        shutil.copy(file, folder / "versions")
    schema.MIGRATIONS = folder


def make_at(path: Path, revision: str) -> None:
    """A database with rows in every table, at that revision."""
    if revision == EMPTY:
        return
    asyncio.run(fill(path))
    with make_engine(check_url(f"sqlite:///{path}"), "IMMEDIATE", look_only=True).begin() as conn:
        schema.move(conn, revision, more=[CHAIN])


def fork(do: Callable[[], object]) -> int:
    """Do it in a process of its own; its id."""
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

    def _on_connect(self, connection: sqlite3.Connection, _: Any) -> None:
        connection.set_progress_handler(lambda: self("within"), STEPS)

    def _around(self, name: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def done(*args: Any, **kwargs: Any) -> Any:
            self(f"before {name}")
            result = do(*args, **kwargs)
            self(f"after {name}")
            return result

        return done


def open_counting(path: Path, last: int | None, told: Path | None = None) -> None:
    moments = Moments(last)
    moments.watch()
    opening.prepare(check_url(f"sqlite:///{path}"))
    moments("opened")
    if told is not None:
        told.write_text(json.dumps(moments.seen))


def state(path: Path) -> tuple[Any, Any]:
    return contents(path), schema_of(path)


def kill(folder: Path, revision: str) -> dict[str, Any]:
    start = folder / "start.db"
    make_at(start, revision)
    with_chain(folder / "migrations")
    before = state(start) if revision != EMPTY else ({}, [])
    told = folder / "moments.json"
    _place(folder, start, revision)
    assert ended(fork(lambda: open_counting(folder / "at" / "news.db", None, told))) == 0
    after = state(folder / "at" / "news.db")
    moments = json.loads(told.read_text())
    found: Counter[str] = Counter()
    for last in range(len(moments)):
        path = _place(folder, start, revision)
        killed = ended(fork(lambda path=path, last=last: open_counting(path, last)))  # type: ignore[misc]
        found["killed"] += killed == -signal.SIGKILL
        left = state(path) if path.exists() else before
        found["as before"] += left == before
        found["as after"] += left == after
        found["half-migrated"] += left not in (before, after)
        found["stuck"] += ended(fork(lambda path=path: open_counting(path, None))) != 0  # type: ignore[misc]
        found["right in the end"] += state(path) == after
        backup = path.with_name(f"news.db.before-migration-from-{revision}")
        found["wrong backup"] += backup.exists() and state(backup) != before
        found["wrong leavings"] += bool({file.name for file in path.parent.iterdir()} - {"news.db", backup.name})
    return {"moments": moments, **found}


def _place(folder: Path, start: Path, revision: str) -> Path:
    at = folder / "at"
    shutil.rmtree(at, ignore_errors=True)
    at.mkdir()
    if revision != EMPTY:
        shutil.copy(start, at / "news.db")
    return at / "news.db"


# Racing ------------------------------------------------------------------------------------------------------


async def open_and_write(path: Path, name: str) -> None:
    database = await open_database(f"sqlite:///{path}")
    await database.write(nodes.save, NodeRecord(0, NodeKey("juliet@example.org", "pubsub.example.org", name)))
    await database.close()


def race(folder: Path, revision: str, rounds: int) -> dict[str, Any]:
    start = folder / "start.db"
    make_at(start, revision)
    with_chain(folder / "migrations")
    move = schema.move
    found: Counter[str] = Counter()
    for _ in range(rounds):
        path = _place(folder, start, revision)
        log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC)

        def counted(*args: Any, log: int = log, **kwargs: Any) -> None:
            os.write(log, b"m")
            move(*args, **kwargs)

        schema.move = counted
        wait, gun = os.pipe()
        names = [f"by process {number}" for number in range(PROCESSES)]

        def start_one(name: str, wait: int = wait, gun: int = gun, path: Path = path) -> None:
            os.close(gun)
            os.read(wait, 1)
            asyncio.run(open_and_write(path, name))

        children = [fork(lambda name=name: start_one(name)) for name in names]  # type: ignore[misc]
        os.close(gun)  # they all start now
        found["started"] += [ended(child) for child in children].count(0)
        os.close(wait)
        os.close(log)
        found["migrated"] += (folder / "log").stat().st_size
        held = contents(path)
        there = {row[3] for row in held["newsstand_node"]}
        found["right in the end"] += set(names) <= there and held["newsstand_version"] == [("9002",)]
    return dict(found)


if __name__ == "__main__":
    verb, folder, revision, *rest = sys.argv[1:]
    done = kill(Path(folder), revision) if verb == "kill" else race(Path(folder), revision, int(rest[0]))
    sys.stdout.write(json.dumps(done))
