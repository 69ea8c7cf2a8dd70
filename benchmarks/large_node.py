"""The first listing of a large node by pages, from a service in this process: the memory it takes at its peak, how long
it blocks the event loop at a stretch, and how many items a second it stores. The last two say something only on a
machine that does nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

from benchmarks.measure import Ratio
from newsstand import Analyser, Replica
from newsstand.model import NS_DISCO_ITEMS, NS_PUBSUB, NS_RSM, Provenance, SyncState
from newsstand.storage.database import open_database
from newsstand.xmpp.transport import Session

SERVICE, NODE = "pubsub.example.org", "large"
NAMESPACE = "urn:newsstand:benchmark"
MEGABYTE = 1_048_576
MEMORY, STALL = 64 * MEGABYTE, 0.1
"""Targets: bytes above what the idle program takes, and seconds."""
SAMPLED = 0.005
"""Seconds between two looks at the memory, and at the event loop."""


class PagedService:
    """A transport at whose other end is one node, made up anew for each answer: it takes no memory of its own."""

    own_jid = "juliet@example.org"
    is_component = False

    def __init__(self, count: int, size: int) -> None:
        self._ids = range(count)
        self._text = "word " * (size // 5)
        self._listeners: list[Callable[[Session], None]] = []

    def deliver(self, message: Element, made_of: Provenance) -> None: ...

    def on_message(self, listener: Callable[[Element], None]) -> None:
        pass

    def on_session(self, listener: Callable[[Session], None]) -> None:
        self._listeners.append(listener)

    def begin_session(self) -> None:
        for listener in self._listeners:
            listener(Session.FRESH)

    async def iq(
        self,
        type: str,
        to: str,
        payload: Element,
        *,
        ifrom: str | None = None,
        timeout: float | None = None,
        on_answer: Callable[[], None] | None = None,
    ) -> Element:
        result = Element("iq", {"from": to, "type": "result"})
        if payload.tag == f"{{{NS_PUBSUB}}}pubsub" and payload[0].tag == f"{{{NS_PUBSUB}}}items":
            # In a thread: what it takes is the service's time, and not what is measured.
            await asyncio.to_thread(self._add_items, result, payload)
        elif payload.tag == f"{{{NS_DISCO_ITEMS}}}query":
            await asyncio.to_thread(self._add_ids, result)
        else:
            await asyncio.sleep(0)
        if on_answer is not None:
            on_answer()
        return result

    def _add_items(self, result: Element, payload: Element) -> None:
        pubsub = SubElement(result, f"{{{NS_PUBSUB}}}pubsub")
        items = SubElement(pubsub, f"{{{NS_PUBSUB}}}items", {"node": NODE})
        shown = self._asked_for(payload)
        if not len(payload[0]):
            page = SubElement(pubsub, f"{{{NS_RSM}}}set")
            SubElement(page, f"{{{NS_RSM}}}count").text = str(len(self._ids))
            if shown:
                SubElement(page, f"{{{NS_RSM}}}first").text = f"i{shown[0]}"
                SubElement(page, f"{{{NS_RSM}}}last").text = f"i{shown[-1]}"
        for number in shown:
            item = SubElement(items, f"{{{NS_PUBSUB}}}item", {"id": f"i{number}"})
            SubElement(item, f"{{{NAMESPACE}}}note").text = f"{number} {self._text}"

    def _asked_for(self, payload: Element) -> Sequence[int]:
        if named := [item.get("id", "") for item in payload[0]]:
            return [int(item_id[1:]) for item_id in named if item_id[1:].isdigit()]
        page = payload.find(f"{{{NS_RSM}}}set")
        if (newest := payload[0].get("max_items")) is not None:
            return self._ids[-int(newest) :]
        if page is None:
            return self._ids
        after, index = page.findtext(f"{{{NS_RSM}}}after"), page.findtext(f"{{{NS_RSM}}}index")
        first = int(after[1:]) + 1 if after else int(index or 0)
        return self._ids[first : first + int(page.findtext(f"{{{NS_RSM}}}max") or len(self._ids))]

    def _add_ids(self, result: Element) -> None:
        query = SubElement(result, f"{{{NS_DISCO_ITEMS}}}query")
        for number in self._ids:
            SubElement(query, f"{{{NS_DISCO_ITEMS}}}item", {"name": f"i{number}"})


class Peak:
    """The most memory that this process takes while it is measured."""

    def __init__(self) -> None:
        self.idle = self.most = _resident()

    @contextlib.contextmanager
    def measuring(self) -> Iterator[None]:
        ended = threading.Event()

        def sample() -> None:
            while not ended.wait(SAMPLED):
                self.most = max(self.most, _resident())

        thread = threading.Thread(target=sample)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _resident() -> int:
    """Bytes of this process that are in memory."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024


class Stalls:
    """How long the event loop is blocked at a stretch, at most."""

    longest = 0.0

    @contextlib.asynccontextmanager
    async def measuring(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._measure())
        try:
            yield
        finally:
            task.cancel()

    async def _measure(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(SAMPLED)
            self.longest = max(self.longest, time.perf_counter() - began - SAMPLED)


async def run() -> list[Ratio]:
    return [*await _measure(100_000, 100, "100 B"), *await _measure(240, 1_000_000, "1 MB")]


async def _measure(count: int, size: int, title: str) -> list[Ratio]:
    service = PagedService(count, size)
    replica = Replica(service, entry_points=False)
    replica.register_analyser(Analyser("notes", "notes", namespace=NAMESPACE, to_sync=True))
    with tempfile.TemporaryDirectory() as folder:
        database = await open_database(f"sqlite:///{folder}/news.db")
        await replica.open(database)
        service.begin_session()
        await replica.settled()
        gc.collect()
        gc.freeze()  # as `newsstand sync` does
        peak, stalls = Peak(), Stalls()
        began = time.perf_counter()
        with peak.measuring():
            async with stalls.measuring():
                await replica.synchronise(SERVICE, NODE)
            taken = time.perf_counter() - began
        (record,) = replica.nodes()
        assert (record.state, record.item_count) == (SyncState.LIVE, count), record
        await replica.close()
        await database.close()
        gc.unfreeze()
    name = f"a first listing of {count:,} items of {title}"
    return [
        Ratio(f"{name}: memory", peak.most - peak.idle, MEMORY, 1.0, "B"),
        Ratio(f"{name}: longest stall", stalls.longest, STALL, 1.0),
        Ratio(f"{name}: items a second", count / taken, 1, math.inf, "/s"),
    ]
