"""Whatever happens in whatever order: what is served as live is what the service holds at that moment, and once all is
quiet the copy is live and equal. A schedule follows from its seed, all but the pace of the thread that writes; a run
that fails names it, and `NEWSSTAND_SEED=N` replays it. `NEWSSTAND_SCHEDULES=N` runs so many instead of 40."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from newsstand.errors import NewsstandError
from newsstand.rules.behaviour import Behaviour
from newsstand.storage.database import open_database
from newsstand.xmpp.transport import Session
from tests.fakes.program import NODE, Program, at_work
from tests.fakes.service import Request, Service

STEPS = 60
IDS = [f"i{number}" for number in range(7)]
WAYS = [
    (Behaviour.LAST, Behaviour.LAST),
    (Behaviour.LAST, Behaviour.STAYS),
    (Behaviour.FIRST, Behaviour.FIRST),
    (Behaviour.FIRST, Behaviour.LAST),
]
SEED = os.environ.get("NEWSSTAND_SEED")
SEEDS = [int(SEED)] if SEED else range(int(os.environ.get("NEWSSTAND_SCHEDULES", "40")))


class Schedule:
    """Things that happen to a node, one after the other, at random."""

    def __init__(self, program: Program, chance: random.Random) -> None:
        self.program = program
        self.service = program.service
        self.chance = chance
        self.trace: list[str] = []
        self._happenings: dict[Callable[[], None], int] = {
            self.publish: 45,
            self.retract: 17,
            self.purge: 2,
            self.publish_own: 12,
            self.lose_session: 2,
            self.turn_deaf: 2,
            self.end_subscription: 2,
            self.create_again: 1,
        }

    def happen(self) -> None:
        (what,) = self.chance.choices(list(self._happenings), list(self._happenings.values()))
        self.trace.append(what.__name__)
        what()

    def publish(self) -> None:
        self.service.publish(NODE, self._some_id(), f"text {len(self.trace)}")

    def retract(self) -> None:
        if held := list(self.service.nodes[NODE].items):
            self.service.retract(NODE, self.chance.choice(held))

    def purge(self) -> None:
        self.service.purge(NODE)

    def publish_own(self) -> None:
        item = (self._some_id(), f"own {len(self.trace)}")
        write = self.program.begin_publish(*item)
        self.service.publish(NODE, *item, told=self.chance.random() < 0.5)
        if write is not None:
            self.program.acknowledge(write)

    def lose_session(self) -> None:
        self.program.stream.turn(Session.LOST)
        self.publish()
        self.program.stream.turn(Session.FRESH)

    def turn_deaf(self) -> None:
        self.program.stream.turn(Session.DEAF)
        self.publish()
        self.program.stream.turn(Session.FRESH)

    def end_subscription(self) -> None:
        self.service.end_subscription(NODE)

    def create_again(self) -> None:
        self.service.delete(NODE)
        self.service.create(NODE, "i0")

    def _some_id(self) -> str:
        return self.chance.choice(IDS)

    async def check(self) -> None:
        served = await self.program.served_live()
        assert served in (None, self.service.contents(NODE)), self.trace[-8:]


@pytest.fixture(scope="module")
async def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fresh") / "news.db"
    await (await open_database(f"sqlite:///{path}")).close()
    return path


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_is_served_as_live_is_what_the_service_holds(seed: int, fresh: Path, tmp_path: Path) -> None:
    shutil.copy(fresh, tmp_path / "news.db")
    chance = random.Random(seed)
    new, overwritten = chance.choice(WAYS)
    service = Service(new=new, overwritten=overwritten)
    service.create(NODE, *IDS[:4], limit=chance.choice([4, 5, None]))
    troubled = chance.random() < 0.5

    def before(request: Request) -> int:
        if troubled and chance.random() < 0.04:
            service.silence("items")
        else:
            service.allow("items")
        return chance.randrange(4)

    service.before = before
    service.after = lambda request: chance.randrange(5)
    database = await open_database(f"sqlite:///{tmp_path / 'news.db'}")
    try:
        async with at_work(database, service) as program:
            await run(Schedule(program, chance), service)
    finally:
        await database.close()


async def run(schedule: Schedule, service: Service) -> None:
    program = schedule.program
    for _ in range(STEPS):
        if schedule.chance.random() < 0.15:
            await read(program)
        schedule.happen()
        await schedule.check()
        for _ in range(schedule.chance.choice([0, 0, 1, 3, 10])):
            await asyncio.sleep(0)
            await schedule.check()
        if schedule.chance.random() < 0.05:
            await program.settled()
            await schedule.check()
    service.before = service.after = lambda request: 0
    service.allow("items")
    await program.settled()
    await schedule.check()
    if not service.contents(NODE):
        service.publish(NODE, "i0", "last")  # a node that was deleted is recognised anew by what it holds
    program.stream.turn(Session.LOST, Session.FRESH)
    await program.settled()
    await read(program)
    await program.serves_live()


async def read(program: Program) -> None:
    with contextlib.suppress(NewsstandError):  # the service may be in trouble: then nothing is served
        await program.read()
