"""Runs schedules, one after the other, at one service."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from newsstand.demo.servers.xmpp_server import XmppServer
from newsstand.storage.database import open_database
from tests.converge.fake import FakeWorld
from tests.converge.player import Outcome, Player
from tests.converge.real import RealWorld, new_server
from tests.converge.schedule import LENGTH, Operation, Schedule, generate
from tests.converge.world import World

RESTARTS_EVERY = 10
"""Of so many schedules at a real server one may end it."""
LANES = 3
FAKE_LANES = 8
"""Schedules that are played at a time: they wait more than they work."""
Ended = Callable[[Schedule, Outcome], Awaitable[None]]


class Stage:
    """A service, where schedules are played, several at a time. A real server is started once, and serves them all."""

    def __init__(self, name: str, folder: Path, worlds: list[RealWorld]) -> None:
        self.name = name
        self._folder = folder
        self._worlds = worlds
        self._template = folder / "template.db"

    async def make_template(self) -> None:
        """An empty database, which each schedule gets a copy of."""
        await (await open_database(f"sqlite:///{self._template}")).close()

    def schedule(self, seed: int, length: int = LENGTH, *, restarts: bool = True) -> Schedule:
        if not self._worlds:
            return generate(seed, length, restarts=restarts)
        return generate(seed, length, restarts=restarts and seed % RESTARTS_EVERY == 0, flavour=self.name)

    async def play_all(self, schedules: Iterable[Schedule], ended: Ended) -> None:
        """`ended` is called for each, as it ends. Those that end the server are played last, each by itself."""
        together: list[Schedule] = []
        alone: list[Schedule] = []
        for schedule in schedules:
            (alone if self._worlds and schedule.restarts else together).append(schedule)
        queue = iter(together)

        async def play_in(lane: int) -> None:
            for schedule in queue:
                await ended(schedule, await self.play(schedule, lane))

        await asyncio.gather(*(play_in(lane) for lane in range(len(self._worlds) or FAKE_LANES)))
        for schedule in alone:
            await ended(schedule, await self.play(schedule))

    async def play(self, schedule: Schedule, lane: int = 0) -> Outcome:
        """Whatever stops it is a divergence, too; unless it is cancelled, and then cannot clean up behind itself."""
        world: World = self._worlds[lane] if self._worlds else FakeWorld(schedule.flavour, schedule.seed)
        try:
            with tempfile.TemporaryDirectory(dir=self._folder) as folder:
                outcome = await Player(world, schedule, Path(folder), self._template).play()
        except Exception as error:
            if (task := asyncio.current_task()) and task.cancelling():
                raise asyncio.CancelledError from error
            return Outcome(divergences=[f"it did not end: {traceback.format_exc(limit=-8)}"])
        if not self._worlds:
            await world.close()
        return outcome


@asynccontextmanager
async def open_stage(name: str, server: XmppServer | None = None) -> AsyncIterator[Stage]:
    """`name` is "fake", or one of tests.servers.quirks.QUIRKS; `server` is one that runs already, for one schedule at
    a time. Raises ServerMissing or ServerFailed."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="newsstand-converge-")))
        worlds: list[RealWorld] = []
        if name != "fake":
            lanes = LANES if server is None else 1
            if server is None:
                server = await stack.enter_async_context(new_server(name, lanes))
            worlds = [RealWorld(name, server, lane) for lane in range(lanes)]
            for world in worlds:
                await world.open()
                stack.push_async_callback(world.close)
        stage = Stage(name, folder, worlds)
        await stage.make_template()
        yield stage


async def shrink(stage: Stage, schedule: Schedule, tell: Callable[[str], None]) -> Schedule:
    """A shorter schedule that diverges too, if one is found. Only for the fake service: there the same schedule goes
    the same way, or nearly."""

    async def diverges(operations: list[Operation]) -> bool:
        shorter = dataclasses.replace(schedule, operations=operations)
        return bool((await stage.play(shorter)).divergences or (await stage.play(shorter)).divergences)

    operations: list[Operation] = list(schedule.operations)
    size = max(1, len(operations) // 2)
    while size:
        at = 0
        while at < len(operations):
            fewer = operations[:at] + operations[at + size :]
            if await diverges(fewer):
                operations = fewer
            else:
                at += size
        size //= 2
    tell(f"shrunk to {len(operations)} operations")
    return dataclasses.replace(schedule, operations=operations)
