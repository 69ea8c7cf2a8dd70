"""Twenty fixed schedules of the convergence machine at a service (docs/coherence.md; more with `make converge`). A file
of tests for each: they run side by side. No schedule ends the server, which other tests use."""

from __future__ import annotations

from tests.conftest import Servers
from tests.converge.player import Outcome
from tests.converge.running import open_stage
from tests.converge.schedule import Schedule

SCHEDULES = 20
LENGTH = 25
"""Operations of each, as `make converge` plays them."""
TIMEOUT = 600.0


async def assert_convergence(name: str, servers: Servers) -> None:
    server = None if name == "fake" else await servers.get(name)
    diverged: dict[int, list[str]] = {}

    async def ended(schedule: Schedule, outcome: Outcome) -> None:
        assert outcome.operations or outcome.divergences
        if outcome.divergences:
            diverged[schedule.seed] = outcome.divergences

    async with open_stage(name, server) as stage:
        await stage.play_all([stage.schedule(seed, LENGTH, restarts=False) for seed in range(SCHEDULES)], ended)
    assert not diverged, diverged
