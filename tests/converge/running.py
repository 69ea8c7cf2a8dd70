"""Runs schedules, one after the other, at one service."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from newsstand.demo.server import XmppServer
from newsstand.storage.database import open_database
from tests.converge.fake import FakeWorld
from tests.converge.player import Outcome, Player
from tests.converge.real import RealWorld, new_server
from tests.converge.schedule import Operation, Schedule, generate
from tests.converge.world import World

RESTARTS_EVERY = 10
"""Of so many schedules at a real server one may end it."""


class Stage:
    """A service, where schedules are played. A real server is started once, and serves them all."""

    def __init__(self, name: str, folder: Path, world: RealWorld | None) -> None:
        self.name = name
        self._folder = folder
        self._world = world
        self._template = folder / "template.db"

    async def make_template(self) -> None:
        """An empty database, which each schedule gets a copy of."""
        await (await open_database(f"sqlite:///{self._template}")).close()

    def schedule(self, seed: int, *, restarts: bool = True) -> Schedule:
        if self._world is None:
            return generate(seed, restarts=restarts)
        return generate(seed, restarts=restarts and seed % RESTARTS_EVERY == 0, flavour=self.name)

    async def play(self, schedule: Schedule) -> Outcome:
        world: World = self._world or FakeWorld(schedule.flavour, schedule.seed)
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            outcome = await Player(world, schedule, Path(folder), self._template).play()
        if self._world is None:
            await world.close()
        return outcome


@asynccontextmanager
async def open_stage(name: str, server: XmppServer | None = None) -> AsyncIterator[Stage]:
    """`name` is "fake", or one of tests.servers.quirks.QUIRKS; `server` is one that runs already. Raises ServerMissing
    or ServerFailed."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="newsstand-converge-")))
        world = None
        if name != "fake":
            if server is None:
                server = await stack.enter_async_context(new_server(name))
            world = RealWorld(name, server)
            await world.open()
            stack.push_async_callback(world.close)
        stage = Stage(name, folder, world)
        await stage.make_template()
        yield stage


async def shrink(stage: Stage, schedule: Schedule, tell: Callable[[str], None]) -> Schedule:
    """A shorter schedule that diverges too, if one is found. Only for the fake service: there the same schedule goes
    the same way, or nearly."""

    async def diverges(operations: list[Operation]) -> bool:
        shorter = dataclasses.replace(schedule, operations=operations)
        for _ in range(2):
            try:
                if (await stage.play(shorter)).divergences:
                    return True
            except Exception:
                return False
        return False

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
