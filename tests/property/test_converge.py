"""The convergence machine's schedules, and twenty of them at the fake service and Prosody."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Servers
from tests.converge.schedule import NODES, Schedule, generate
from tests.property._converge import TIMEOUT, assert_convergence


def test_a_schedule_is_its_seed_and_is_json() -> None:
    schedule = generate(7, restarts=True)
    assert generate(7, restarts=True) == schedule
    assert Schedule.load(schedule.dump()) == schedule


def test_what_was_written_down_when_all_nodes_were_open_is_still_a_schedule() -> None:
    written = json.loads(generate(7).dump())
    del written["models"]
    assert Schedule.load(json.dumps(written)).models == ["open"] * NODES


@pytest.mark.timeout(TIMEOUT)
@pytest.mark.parametrize("name", ["fake", "prosody"])
async def test_copies_converge(name: str, servers: Servers) -> None:
    await assert_convergence(name, servers)
