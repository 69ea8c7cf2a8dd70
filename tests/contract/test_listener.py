"""What the parts of a replica tell their listener, the engine: each of it, where it happens."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from newsstand.engine import Engine
from newsstand.errors import LeaseLost
from newsstand.model import NodeKey, SyncState
from newsstand.rules.doubts import RELIST
from newsstand.state.context import DAY
from newsstand.state.doubts import doubt
from newsstand.state.listener import Listener
from tests.contract._workers import Workers, ownership_of, owns, revive, run_out, until
from tests.fakes.program import NODE, Program
from tests.fakes.service import JULIET

NAMES = {name for name, _ in inspect.getmembers(Listener, inspect.isfunction) if not name.startswith("_")}


class Told(list[tuple[Engine, str]]):
    """Who was told what."""

    def by(self, program: Program) -> set[str]:
        return {name for engine, name in self if engine is program.replica._open}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told()

    def note(name: str) -> None:
        before = getattr(Engine, name)

        def noted(self: Engine, *args: Any) -> None:
            told.append((self, name))
            before(self, *args)

        monkeypatch.setattr(Engine, name, noted)

    for name in NAMES:
        note(name)
    return told


def test_these_are_all() -> None:
    assert {
        "acquired",
        "released",
        "lease_lost",
        "may_begin",
        "doubted",
        "still_closing",
        "domain_answered",
        "listed",
    } == NAMES


async def test_that_work_may_begin_what_is_acquired_and_what_is_listed(workers: Workers, told: Told) -> None:
    async with workers.another() as only:
        await only.settled()
        assert told.by(only) == {"may_begin"}
        await only.follow()
        assert told.by(only) == {"may_begin", "acquired", "listed"}


async def test_what_somebody_else_doubts(workers: Workers, told: Told) -> None:
    async with workers.pair() as (first, second):
        doubt(second.copy(), RELIST)
        ownership_of(second).assignment.want(second.copy())
        await second.settled()
        assert "doubted" not in told.by(second)
        await until(lambda: "doubted" in told.by(first), first)


async def test_what_another_worker_acquired(workers: Workers, told: Told) -> None:
    async with workers.pair() as (first, second):
        await run_out(first)
        await until(lambda: owns(second), second)
        assert "acquired" in told.by(second)
        assert "released" not in told.by(first)
        with pytest.raises(LeaseLost):
            await ownership_of(first).storing.save(first.copy(), state=SyncState.FAILED)
        assert {"released", "lease_lost"} <= told.by(first)
        revive(first)


async def test_a_domain_that_has_pep_for_us_after_all(workers: Workers, told: Told) -> None:
    async with workers.another() as only:
        context, key = only.replica._open.context, NodeKey(JULIET, "romeo@montague.example", NODE)
        context.service_responded(key)
        assert "domain_answered" not in told.by(only)
        context.domains.begin_session()
        context.domains.remember(key.service, context.clock() + DAY)
        context.service_responded(key)
        assert "domain_answered" in told.by(only)


async def test_what_is_closed_while_the_database_cannot_be_told(workers: Workers, told: Told) -> None:
    async with workers.another() as only:
        await only.follow()
        only.replica._open.synchroniser.closing.shut(only.copy(), "the node was deleted")
        assert "still_closing" not in told.by(only)
        await ownership_of(only).polling.poll()
        assert "still_closing" in told.by(only)
        await only.settled()
        assert only.copy().record.state is SyncState.GONE
