"""The queue of writes: by turn, then in the order of the calls; once closed, it ends behind what waits."""

from __future__ import annotations

import asyncio
import queue
from typing import Any

import pytest

from newsstand.errors import DatabaseError
from newsstand.storage.port import Turn
from newsstand.storage.write_queue import Job, WriteQueue, failure_of

Jobs = queue.PriorityQueue[Job[str]]


@pytest.fixture(params=[queue.PriorityQueue, asyncio.PriorityQueue])
def jobs(request: pytest.FixtureRequest) -> Any:
    return request.param()


def run(_: Any) -> None:
    """A write: which one it is, its future says here."""


def taken(jobs: Jobs) -> list[str]:
    found = []
    while not jobs.empty():
        found.append(jobs.get_nowait().future)
    return found


def test_what_comes_first_goes_first_and_the_rest_in_the_order_of_the_calls(jobs: Jobs) -> None:
    waiting = WriteQueue(jobs)
    for turn, name in ((Turn.IN_ORDER, "a"), (Turn.FIRST, "b"), (Turn.IN_ORDER, "c"), (Turn.FIRST, "d")):
        waiting.put(run, turn, name)
    assert taken(jobs) == ["b", "d", "a", "c"]


def test_only_a_job_of_the_same_turn_joins_and_another_stays(jobs: Jobs) -> None:
    waiting = WriteQueue(jobs)
    assert waiting.next_of(Turn.IN_ORDER) is None
    waiting.put(run, Turn.IN_ORDER, "a")
    waiting.put(run, Turn.FIRST, "b")
    assert waiting.next_of(Turn.IN_ORDER) is None
    first = waiting.next_of(Turn.FIRST)
    assert first is not None
    assert first.future == "b"
    assert taken(jobs) == ["a"]


def test_it_ends_behind_what_waits_and_takes_no_more(jobs: Jobs) -> None:
    waiting = WriteQueue(jobs)
    waiting.put(run, Turn.IN_ORDER, "a")
    waiting.close("the end")
    waiting.close("once more")
    with pytest.raises(DatabaseError, match="closed"):
        waiting.put(run, Turn.FIRST, "b")
    assert waiting.next_of(Turn.IN_ORDER) is not None
    assert waiting.next_of(Turn.IN_ORDER) is None
    assert jobs.get_nowait()[:1] == (Turn.LAST,)
    assert jobs.empty()


def test_clearing_it_gives_up_what_waits_and_takes_no_more(jobs: Jobs) -> None:
    waiting = WriteQueue(jobs)
    waiting.put(run, Turn.IN_ORDER, "a")
    waiting.put(run, Turn.FIRST, "b")
    assert [job.future for job in waiting.clear()] == ["b", "a"]
    with pytest.raises(DatabaseError, match="closed"):
        waiting.put(run, Turn.FIRST, "c")
    assert jobs.empty()


def test_what_would_end_a_writer_is_an_error_of_the_write() -> None:
    error = ValueError("wrong")
    assert failure_of(error) is error
    assert repr(failure_of(SystemExit(3))) == "RuntimeError('SystemExit: 3')"
