"""Foreign functions are run, and cannot stop the program."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from newsstand.analysis.runner import Runner
from newsstand.errors import ParseError

LONG = 10.0
"""Seconds after which a test gives up: nothing waits for so long unless something is wrong."""


@pytest.fixture
def run() -> Iterator[Runner]:
    runner = Runner(seconds=LONG)
    yield runner
    runner.close()


@pytest.fixture
def hasty() -> Iterator[Runner]:
    """One that gives a function very little time."""
    runner = Runner(seconds=0.05)
    yield runner
    runner.close()


class Hanging:
    """A plain function that returns when it is released, at the latest when the test is over."""

    def __init__(self) -> None:
        self.calls = 0
        self.begun = threading.Event()
        self.released = threading.Event()
        self.thread: threading.Thread | None = None

    def __call__(self) -> str:
        self.calls += 1
        self.thread = threading.current_thread()
        self.begun.set()
        self.released.wait(LONG)
        return "at last"


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    function = Hanging()
    yield function
    function.released.set()


async def test_a_plain_function_runs_in_a_thread_that_ends_with_the_program(run: Runner) -> None:
    thread = await run(threading.current_thread)
    assert thread is not threading.main_thread()
    assert thread.daemon


async def test_a_coroutine_function_runs_in_the_loop(run: Runner) -> None:
    async def function(a: int, *, b: int) -> tuple[int, threading.Thread]:
        await asyncio.sleep(0)
        return a + b, threading.current_thread()

    assert await run(function, 1, b=2) == (3, threading.main_thread())


async def test_arguments_and_result_are_handed_through(run: Runner) -> None:
    assert await run(lambda *args, **kwargs: (args, kwargs), 1, [2], a=3) == ((1, [2]), {"a": 3})
    assert await run(lambda: None) is None


async def test_the_loop_goes_on_while_a_plain_function_works(run: Runner, hanging: Hanging) -> None:
    task = asyncio.create_task(run(hanging))
    await asyncio.to_thread(hanging.begun.wait, LONG)
    assert not task.done()
    hanging.released.set()
    assert await task == "at last"


async def test_plain_functions_run_one_at_a_time_in_the_order_of_the_calls(run: Runner) -> None:
    order: list[int] = []
    await asyncio.gather(*(run(order.append, number) for number in range(20)))
    assert order == list(range(20))


class Odd(Exception):
    pass


@pytest.mark.parametrize("error", [Odd("x"), ValueError("x"), TimeoutError("its own"), ParseError("its own")])
async def test_what_a_function_raises_comes_out_as_it_is(error: Exception, run: Runner) -> None:
    def plain() -> None:
        raise error

    async def coroutine() -> None:
        raise error

    for function in (plain, coroutine, plain):
        with pytest.raises(type(error)) as caught:
            await run(function)
        assert caught.value is error


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), StopIteration("x")])
async def test_what_would_end_a_thread_or_be_lost_comes_out_as_an_ordinary_error(
    error: BaseException, run: Runner
) -> None:
    def function() -> None:
        raise error

    for _ in range(2):
        with pytest.raises(RuntimeError, match=type(error).__name__):
            await run(function)
    assert await run(lambda: "still there") == "still there"


async def test_a_coroutine_function_cannot_end_the_program(run: Runner) -> None:
    async def function() -> None:
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match="SystemExit"):
        await run(function)


async def test_a_plain_function_that_hangs_is_left_behind_and_not_called_again(hasty: Runner, hanging: Hanging) -> None:
    with pytest.raises(ParseError, match="no result within"):
        await hasty(hanging)
    with pytest.raises(ParseError, match="hung"):
        await hasty(hanging)
    assert hanging.calls == 1
    hasty.seconds = LONG
    assert await hasty(lambda: "another one is served") == "another one is served"


async def test_a_thread_that_was_left_behind_ends_when_its_function_returns(hasty: Runner, hanging: Hanging) -> None:
    with pytest.raises(ParseError):
        await hasty(hanging)
    hanging.released.set()
    assert hanging.thread is not None
    await asyncio.to_thread(hanging.thread.join, LONG)
    assert not hanging.thread.is_alive()


async def test_a_coroutine_function_that_hangs_is_cancelled_and_may_be_called_again(hasty: Runner) -> None:
    ends: list[str] = []

    async def function() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("cancelled")

    for _ in range(2):
        with pytest.raises(ParseError, match="no result within"):
            await hasty(function)
    assert ends == ["cancelled", "cancelled"]


async def test_waiting_for_its_turn_takes_none_of_a_functions_time(run: Runner, hanging: Hanging) -> None:
    first = asyncio.create_task(run(hanging))
    await asyncio.to_thread(hanging.begun.wait, LONG)
    run.seconds = 0.05
    second = asyncio.create_task(run(lambda: "mine"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(second), 0.2)
    run.seconds = LONG
    hanging.released.set()
    assert await first == "at last"
    assert await second == "mine"


async def test_who_stops_waiting_costs_the_next_one_nothing(run: Runner, hanging: Hanging) -> None:
    task = asyncio.create_task(run(hanging))
    await asyncio.to_thread(hanging.begun.wait, LONG)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(LONG / 2):
        assert await run(lambda: "mine") == "mine"


async def test_a_late_result_goes_nowhere(hasty: Runner, hanging: Hanging) -> None:
    complaints: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    before: Callable[..., Any] | None = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    try:
        with pytest.raises(ParseError):
            await hasty(hanging)
        hanging.released.set()
        assert hanging.thread is not None
        await asyncio.to_thread(hanging.thread.join, LONG)
        await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(before)
    assert complaints == []


async def test_closing_ends_the_thread() -> None:
    runner = Runner()
    thread = await runner(threading.current_thread)
    runner.close()
    await asyncio.to_thread(thread.join, LONG)
    assert not thread.is_alive()
    runner.close()
