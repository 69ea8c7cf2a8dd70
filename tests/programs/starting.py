"""One start of a program: it runs for a while, is observed, and is ended."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

from slixmpp.exceptions import IqError, IqTimeout

from newsstand.demo.clients import LoopbackClient
from newsstand.demo.servers.process import end, spawn
from tests.programs.observing.answered_items import items_of
from tests.programs.programs import OBSERVING, Place, Program
from tests.programs.results import Read, Start
from tests.programs.tap import Tap

ENDING = 15.0
"""Seconds that a program is given to end by itself."""
NOTICED = 0.05
"""Seconds after which the witness looks for new hits at most."""


class Record:
    """What a program's process writes down of itself, read while it does."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._position = 0
        self._reads: dict[str, Read] = {}
        self.own: set[str] = set()

    @property
    def reads(self) -> list[Read]:
        return list(self._reads.values())

    def take_in(self) -> list[Read]:
        """Read on. Returns the reads that were answered meanwhile."""
        if not self._file.exists():
            return []
        with self._file.open("rb") as stream:
            stream.seek(self._position)
            lines = stream.read()
        lines = lines[: lines.rfind(b"\n") + 1]
        self._position += len(lines)
        answered = [self._take_in(json.loads(line)) for line in lines.splitlines()]
        return [read for read in answered if read is not None]

    def _take_in(self, line: dict[str, Any]) -> Read | None:
        if "own" in line:
            self.own.add(line["own"])
            return None
        if "read" in line:
            self._reads[line["read"]] = Read(line["read"], line["xml"])
            return None
        read = self._reads[line["answer"]]
        read.origin, read.stale, read.items = line["origin"], line.get("stale", False), line.get("items")
        return read


async def start(
    program: Program, place: Place, tap: Tap, number: int, *, seconds: float, witness: LoopbackClient | None
) -> Start:
    """Run the program for so long. Each answer of the copy is compared with what the service answers to the witness."""
    file = place.folder / f"record-{number}.jsonl"
    record = Record(file)
    environment = place.environment(program.name)
    environment |= {
        "PROGRAMS_RECORD": str(file),
        "PYTHONPATH": f"{OBSERVING}:{environment['PYTHONPATH']}",
    }
    began, first = time.time(), len(tap.passed)
    process = await spawn(*program.command(place), folder=place.folder, environment=environment, death=signal.SIGTERM)
    trouble = ""
    try:
        async with _witnessing(record, witness):
            meanwhile = asyncio.create_task(program.meanwhile(place, number)) if witness is not None else None
            try:
                async with asyncio.timeout(seconds):
                    code = await process.wait()
                    if witness is not None:
                        trouble = f"it ended by itself, with {code}"
            except TimeoutError:
                pass
            if meanwhile is not None:
                trouble = "; ".join(filter(None, [trouble, await _trouble_of(meanwhile)]))
    finally:
        await end(process, signal.SIGTERM, ENDING)
    record.take_in()
    return Start(began, tap.passed[first:], record.own, record.reads, trouble)


async def _trouble_of(meanwhile: asyncio.Task[None]) -> str:
    if not meanwhile.done():
        meanwhile.cancel()
        await asyncio.wait({meanwhile})
        return "what was to happen meanwhile did not end"
    return str(meanwhile.exception() or "")


@asynccontextmanager
async def _witnessing(record: Record, witness: LoopbackClient | None) -> AsyncIterator[None]:
    async def watch() -> None:
        while True:
            for read in record.take_in():
                if read.origin == "copy" and witness is not None:
                    read.same = await _ask(witness, read) == read.items
            await asyncio.sleep(NOTICED)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait({watching})
        if not watching.cancelled():
            watching.result()


async def _ask(witness: LoopbackClient, read: Read) -> list[list[str]] | None:
    """What the service answers to the same request now, sent by the program's account past the tap."""
    asked = fromstring(read.xml)
    iq: Any = witness.Iq()
    iq["type"] = "get"
    iq["to"] = asked.get("to") or witness.boundjid.bare
    iq.xml.extend(list(asked))
    try:
        answer: Any = await iq.send(timeout=10)
    except (IqError, IqTimeout):
        return None
    return items_of(answer.xml)
