"""Several processes of one account on one database, at Prosody: each node is followed by one of them and answered by
all; what one that is killed, or hangs, followed, another follows in time; nothing is stored of what it still had in
hand.

`make soak` has eight of them follow a thousand nodes (docs/soak.md).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from newsstand.demo.servers.prosody import Prosody
from newsstand.slixmpp.transport import SlixmppTransport
from newsstand.storage.database import open_database
from newsstand.workers.assignment import SURPLUS
from tests.conftest import Connect
from tests.databases import BACKENDS, Databases
from tests.integration import _worker_program
from tests.servers.entities import Entity

WORKERS = int(os.environ.get("NEWSSTAND_WORKERS", "3"))
NODES = int(os.environ.get("NEWSSTAND_NODES", "24"))
LEASE = float(os.environ.get("NEWSSTAND_LEASE", "3"))
"""Seconds: few, so that nobody waits for long; the soak takes what programs have."""
SECONDS = 60.0 + NODES / 4
AT_ONCE = 8

_AUDIT_SQLITE = """
CREATE TABLE audit (node_id bigint, leader text, worker text);
CREATE TRIGGER audit AFTER INSERT ON newsstand_change FOR EACH ROW BEGIN
    INSERT INTO audit SELECT id, leader, worker_name() FROM newsstand_node WHERE id = NEW.node_id;
END;
"""
_AUDIT_POSTGRESQL = """
CREATE TABLE audit (node_id bigint, leader text, worker text);
CREATE FUNCTION audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit SELECT id, leader, current_setting('application_name') FROM newsstand_node WHERE id = NEW.node_id;
    RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER INSERT ON newsstand_change FOR EACH ROW EXECUTE FUNCTION audit_change();
"""
"""Who wrote each change, and who followed the node at that moment. Connections have names on PostgreSQL; for a
file, the workers have a function that says theirs."""


class Process:
    """A worker."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process

    async def ask(self, *words: str) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{' '.join(words)}\n".encode())
        async with asyncio.timeout(SECONDS):
            line = await self.process.stdout.readline()
        assert line, f"{self.name} ended"
        return json.loads(line)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def end(self) -> None:
        """As it should; or, where it does not, at once."""
        if self.process.returncode is not None:
            return
        assert self.process.stdin is not None
        self.process.send_signal(signal.SIGCONT)
        try:
            async with asyncio.timeout(20):
                self.process.stdin.write(b"end\n")
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


class Fleet:
    """The workers of a test."""

    def __init__(self, prosody: Prosody, url: str) -> None:
        self.prosody = prosody
        self.url = url
        self.processes: list[Process] = []

    async def start(self, count: int) -> list[Process]:
        started = await asyncio.gather(*(self._start(len(self.processes) + i) for i in range(count)))
        self.processes += started
        return started

    async def _start(self, number: int) -> Process:
        name = f"worker{number}"
        # So that the database can tell who writes.
        url = f"{self.url}&application_name={name}" if self.url.startswith("postgresql") else self.url
        told = {
            "host": self.prosody.host,
            "port": self.prosody.port,
            "jid": f"{self.prosody.jid('juliet')}/{name}",
            "password": self.prosody.password,
            "database": url,
            "service": self.prosody.pubsub,
            "lease": LEASE,
            "name": name,
        }
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, _worker_program.__file__, stdin=pipe, stdout=pipe, limit=1 << 24
        )
        worker = Process(name, process)
        assert await worker.ask(json.dumps(told)) == "ready"
        return worker

    async def follows(self, *processes: Process) -> dict[str, dict[str, bool]]:
        """By worker, the nodes that it follows, and whether they are live."""
        asked = processes or self.processes
        return dict(zip((p.name for p in asked), await asyncio.gather(*(p.ask("follows") for p in asked)), strict=True))

    async def end(self) -> None:
        await asyncio.gather(*(process.end() for process in self.processes))


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def fleet(prosody: Prosody, database_url: str) -> AsyncIterator[Fleet]:
    fleet = Fleet(prosody, database_url)
    yield fleet
    await fleet.end()


@pytest.fixture
async def romeo(connect: Connect) -> Entity:
    transport = SlixmppTransport(await connect("romeo"))

    async def close() -> None:
        transport.close()

    return Entity(transport, close, lambda: None)


async def at_once(count: int, work: Any, things: list[Any]) -> None:
    places = asyncio.Semaphore(count)

    async def one(thing: Any) -> None:
        async with places:
            await work(thing)

    await asyncio.gather(*map(one, things))


@pytest.fixture
async def nodes(romeo: Entity, prosody: Prosody, request: pytest.FixtureRequest) -> AsyncIterator[list[str]]:
    """Each holds one item."""
    made = [f"workers-{request.node.callspec.params.get('backend')}-{number}" for number in range(NODES)]

    async def make(node: str) -> None:
        await romeo.create(prosody.pubsub, node, access_model="open", max_items="20")
        await romeo.publish(prosody.pubsub, node, "first", "the first")

    await at_once(AT_ONCE, make, made)
    yield made
    await at_once(AT_ONCE, lambda node: romeo.delete(prosody.pubsub, node), made)


async def until(what: Any, seconds: float = SECONDS, wrong: Sequence[Any] = ()) -> float:
    """Ask again and again until it holds; returns how long that took. `wrong`: what stood in the way, last."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(seconds):
            while not await what():
                continue
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s; seen last: {wrong}") from None
    return time.monotonic() - began


def followed_once(follows: dict[str, dict[str, bool]], nodes: list[str]) -> bool:
    """Each of the nodes by one. They are asked one after the other, so while nodes change hands this may not hold."""
    return Counter(node for led in follows.values() for node in led) == Counter(nodes)


@pytest.mark.timeout(300 + NODES)
async def test_each_node_is_followed_once_and_taken_over_in_time(
    fleet: Fleet, romeo: Entity, prosody: Prosody, nodes: list[str], databases: Databases, backend: str
) -> None:
    await (await open_database(fleet.url)).close()
    await audit(fleet.url)
    [first] = await fleet.start(1)
    await first.ask("read", *nodes)
    await first.ask("settle")
    others = await fleet.start(WORKERS - 1)

    async def all_are_followed() -> bool:
        return followed_once(await fleet.follows(), nodes)

    async def are_shared_and_live() -> bool:
        follows = await fleet.follows()
        shared = max(map(len, follows.values())) <= NODES / WORKERS * SURPLUS + 1
        return shared and followed_once(follows, nodes) and all(all(led.values()) for led in follows.values())

    await until(are_shared_and_live)
    parts = {name: len(led) for name, led in (await fleet.follows()).items()}

    async def all_read(workers: list[Process], ids: list[str]) -> bool:
        """From the copies."""
        late = began_to_wait[0] + SECONDS / 2
        for worker in workers:
            for node, answer in (await worker.ask("read", *nodes)).items():
                if (answer.get("ids"), answer.get("origin"), answer.get("stale")) != (ids, "copy", False):
                    wrong[:] = [worker.name, node, answer]
                    if time.monotonic() > late:
                        wrong.append({other.name: await other.ask("explain", node) for other in workers})
                    return False
        return True

    wrong: list[Any] = []
    began_to_wait = [time.monotonic()]

    began_to_wait[0] = time.monotonic()
    await until(lambda: all_read(fleet.processes, ["first"]), wrong=wrong)
    for worker in fleet.processes:
        assert await worker.ask("watch", *nodes) == len(nodes)

    # One hangs, while something is published to all nodes: another takes over within the lease and a second.
    hung = others[0]
    left = list((await fleet.follows(hung))[hung.name])
    rest = [worker for worker in fleet.processes if worker is not hung]
    hung.signal(signal.SIGSTOP)

    async def rest_follow_all() -> bool:
        return followed_once(await fleet.follows(*rest), nodes)

    publishing = asyncio.ensure_future(
        at_once(AT_ONCE, lambda node: romeo.publish(prosody.pubsub, node, "second", "while one hangs"), nodes)
    )
    took_hung = await until(rest_follow_all)
    await publishing

    # It goes on, with all that it was told meanwhile: nothing of that is stored any more.
    hung.signal(signal.SIGCONT)
    await hung.ask("settle")

    began_to_wait[0] = time.monotonic()
    await until(lambda: all_read(fleet.processes, ["first", "second"]), wrong=wrong)

    # One is killed.
    killed = rest[-1]
    left_by_killed = list((await fleet.follows(killed))[killed.name])
    killed.signal(signal.SIGKILL)
    await killed.process.wait()
    fleet.processes.remove(killed)
    took_killed = await until(all_are_followed)
    await at_once(AT_ONCE, lambda node: romeo.publish(prosody.pubsub, node, "third", "after one was killed"), nodes)
    began_to_wait[0] = time.monotonic()
    await until(lambda: all_read(fleet.processes, ["first", "second", "third"]), wrong=wrong)

    # No change was lost to whoever watched all the time.
    async def all_seen() -> bool:
        for worker in fleet.processes:
            changes = await worker.ask("changes")
            if any(changes.get(node, [])[-2:] != ["second", "third"] for node in nodes):
                return False
        return True

    await until(all_seen)
    sys.stdout.write(
        f"{backend}: {WORKERS} workers, {NODES} nodes, lease {LEASE:g} s: parts {sorted(parts.values())}; of one that "
        f"hung {len(left)} taken over within {took_hung:.2f} s, of one that was killed {len(left_by_killed)} within "
        f"{took_killed:.2f} s\n"
    )
    assert took_hung < LEASE + 1.0
    assert took_killed < LEASE + 1.0
    assert_only_leaders_wrote(await written(fleet.url), len(nodes))
    if backend == "sqlite":
        assert_complete(file_of(fleet.url), nodes)


async def audit(url: str) -> None:
    """From now on it is noted who writes."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(file_of(url))) as file:
            file.executescript(_AUDIT_SQLITE)
        return
    conn = await asyncpg.connect(url)
    await conn.execute(_AUDIT_POSTGRESQL)
    await conn.close()


async def written(url: str) -> list[tuple[str | None, str, int]]:
    """Who followed a node, who wrote to it, and how many changes."""
    asked = "SELECT leader, worker, count(*) FROM audit GROUP BY leader, worker"
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(file_of(url))) as file:
            return list(file.execute(asked))
    conn = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await conn.fetch(asked)]
    finally:
        await conn.close()


def assert_only_leaders_wrote(rows: list[tuple[str | None, str, int]], nodes: int) -> None:
    """Each worker wrote under one name: so whoever wrote a change while another followed the node is found. To a node
    that nobody follows at that moment anybody may write, for its generation says whether it is still so."""
    assert sum(times for _, _, times in rows) >= 3 * nodes  # each node's three items
    wrote: dict[str, set[str]] = {}
    for leader, worker, _ in rows:
        if leader is not None:
            wrote.setdefault(leader, set()).add(worker)
    assert all(len(names) == 1 for names in wrote.values()), wrote
    assert len({name for names in wrote.values() for name in names}) == len(wrote)


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def assert_complete(file: Path, nodes: list[str]) -> None:
    with closing(sqlite3.connect(file)) as conn:
        rows = conn.execute("SELECT name, item_count, complete FROM newsstand_node ORDER BY id").fetchall()
        assert sorted(rows) == sorted((node, 3, 1) for node in nodes)
