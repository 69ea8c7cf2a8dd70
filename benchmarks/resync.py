"""A node of 10,000 items that did not change, after a fresh session: its ids, then its contents, against its first
synchronisation, from the call to its end. In time, and in bytes as they reach the stream."""

from __future__ import annotations

import contextlib
import math
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

from benchmarks.hit import fill, log_in
from benchmarks.measure import Ratio
from newsstand.demo.servers.prosody import Prosody
from newsstand.demo.servers.xmpp_server import XmppServer
from newsstand.model import SyncState
from newsstand.sync.full import FullSync
from newsstand.sync.partial import PartialSync
from tests.servers.ejabberd import Ejabberd

ITEMS = 10_000
NODE = "large"
MEMBERSHIP, CONTENT = 1 / 5, 1.1
ABOVE_FLOOR = 1.15
"""A waiver: nothing names all ids but disco#items, and Prosody reads every item to answer that. Where its answer alone
takes a client without Newsstand more than MEMBERSHIP allows, the ids may take so many times as long as it does."""
SAME = 1.5
"""Listing again takes as long as the first time, on a machine that is never twice the same."""


@dataclass
class Spent:
    """On one kind of work."""

    seconds: float = 0.0
    bytes: int = 0


class Meter:
    """What goes on between a client and its server."""

    def __init__(self, client: Any) -> None:
        self.received = 0
        inner = client.data_received

        def data_received(data: bytes) -> None:
            self.received += len(data)
            inner(data)

        client.data_received = data_received

    @contextlib.contextmanager
    def measuring(self, cls: type, name: str) -> Iterator[Spent]:
        """All that this method does while it lasts."""
        spent, method = Spent(), getattr(cls, name)

        async def measured(*args: Any, **kwargs: Any) -> Any:
            with self.adding_to(spent):
                return await method(*args, **kwargs)

        with mock.patch.object(cls, name, measured):
            yield spent

    @contextlib.contextmanager
    def adding_to(self, spent: Spent) -> Iterator[None]:
        began, received = time.perf_counter(), self.received
        try:
            yield
        finally:
            spent.seconds += time.perf_counter() - began
            spent.bytes += self.received - received


async def run() -> list[Ratio]:
    results: list[Ratio] = []
    for title, server in (
        ("Prosody", Prosody(accounts=("romeo", "juliet"))),
        ("ejabberd (SQL)", Ejabberd(accounts=("romeo", "juliet"), db="sql")),
    ):
        async with server:
            writer = await log_in(server, "romeo")
            await fill(server, writer, NODE, ITEMS)
            with tempfile.TemporaryDirectory() as folder:
                results += await _measure(
                    title, server, f"sqlite:///{folder}/news.db", await _time_bare_ids(writer, server)
                )
            await writer.disconnect()
    return results


async def _time_bare_ids(client: Any, server: XmppServer) -> float:
    """Seconds that a client without Newsstand waits for the ids; the median of three times."""
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        await client.plugin["xep_0030"].get_items(jid=server.pubsub, node=NODE, timeout=60)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


async def _measure(title: str, server: XmppServer, database: str, bare_ids: float) -> list[Ratio]:
    first = Spent()

    async def synchronise(client: Any, meter: Meter) -> None:
        with meter.adding_to(first):
            await client.plugin["newsstand"].replica.synchronise(server.pubsub, NODE)

    _, _, before = await _session(server, database, synchronise)
    content, stock, after = await _session(server, database)
    assert stock.bytes, "the ids were compared"
    assert after == before, "no row was written again"
    name = f"resynchronising {ITEMS:,} on {title}"
    return [
        Ratio(f"{name}: ids, bytes", stock.bytes, first.bytes, MEMBERSHIP, "B"),
        Ratio(f"{name}: bare ids, time", bare_ids, first.seconds, math.inf),
        Ratio(
            f"{name}: ids, time", stock.seconds, first.seconds, max(MEMBERSHIP, ABOVE_FLOOR * bare_ids / first.seconds)
        ),
        Ratio(f"{name}: contents, bytes", content.bytes, first.bytes, CONTENT, "B"),
        Ratio(f"{name}: contents, time", content.seconds, first.seconds, SAME),
    ]


async def _session(
    server: XmppServer, database: str, work: Callable[[Any, Meter], Awaitable[None]] | None = None
) -> tuple[Spent, Spent, tuple[int, int]]:
    """One session of the reader's: what listing and comparing the ids took, and the copy's revision and items."""
    client = await log_in(server, "juliet", database, available=False)
    meter = Meter(client)
    replica = client.plugin["newsstand"].replica
    with meter.measuring(FullSync, "relist") as listed, meter.measuring(PartialSync, "take_stock") as stock:
        client.send_presence()
        await replica.session_began()
        if work is not None:
            await work(client, meter)
        await replica.settled()
    (record,) = replica.nodes()
    assert record.state is SyncState.LIVE, record
    await client.plugin["newsstand"].close()
    await client.disconnect()
    return listed, stock, (record.revision, record.item_count)
