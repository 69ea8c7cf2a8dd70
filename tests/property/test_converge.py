"""Twenty fixed schedules of the convergence machine, at each service (docs/coherence.md; more with `make converge`).
None of them ends the server, which other tests use."""

from __future__ import annotations

import json

import pytest

from tests.conftest import SERVERS, Servers
from tests.converge.player import Outcome
from tests.converge.running import open_stage
from tests.converge.schedule import NODES, Schedule, generate

SCHEDULES = 20
LENGTH = 25
"""Operations of each, as `make converge` plays them."""
TIMEOUT = 300.0


def test_a_schedule_is_its_seed_and_is_json() -> None:
    schedule = generate(7, restarts=True)
    assert generate(7, restarts=True) == schedule
    assert Schedule.load(schedule.dump()) == schedule


def test_what_was_written_down_when_all_nodes_were_open_is_still_a_schedule() -> None:
    written = json.loads(generate(7).dump())
    del written["models"]
    assert Schedule.load(json.dumps(written)).models == ["open"] * NODES


@pytest.mark.timeout(TIMEOUT)
@pytest.mark.parametrize("name", ["fake", *SERVERS])
async def test_copies_converge(name: str, servers: Servers) -> None:
    server = None if name == "fake" else await servers.get(name)
    diverged: dict[int, list[str]] = {}

    async def ended(schedule: Schedule, outcome: Outcome) -> None:
        assert outcome.operations or outcome.divergences
        if outcome.divergences:
            diverged[schedule.seed] = outcome.divergences

    async with open_stage(name, server) as stage:
        await stage.play_all([stage.schedule(seed, LENGTH, restarts=False) for seed in range(SCHEDULES)], ended)
    assert not diverged
