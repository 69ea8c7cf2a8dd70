"""Runs the functions that analysers bring, so that none of them can stop the program."""

from __future__ import annotations

import asyncio
import inspect
import queue
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from newsstand.errors import ParseError


class Runner:
    """Runs the functions of analysers: coroutine functions in the loop, plain ones one at a time in a daemon thread,
    each for at most `seconds`. A plain function that hangs cannot be ended: its thread is left behind, a new one takes
    its place, and that function is not called again by this runner."""

    def __init__(self, seconds: float = 30.0) -> None:
        self.seconds = seconds
        self._worker: _Worker | None = None
        self._hung: set[object] = set()
        # Without it a function's time would run while another one, ahead in the queue, uses it up.
        self._turn = asyncio.Lock()

    async def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What the function returns or raises. Raises ParseError when it took too long, now or before."""
        if inspect.iscoroutinefunction(function):
            return await self._within(_without_exit(function(*args, **kwargs)), function)
        async with self._turn:
            if function in self._hung:
                raise ParseError(f"not called: it hung for {self.seconds:g} s before")
            if self._worker is None:
                self._worker = _Worker()
            return await self._within(self._worker.run(function, args, kwargs), function)

    async def _within(self, awaitable: Any, function: object) -> Any:
        limit = asyncio.timeout(self.seconds)
        try:
            async with limit:
                return await awaitable
        except asyncio.CancelledError:
            self._leave_worker()
            raise
        except TimeoutError as error:
            if not limit.expired():
                raise
            if not inspect.iscoroutinefunction(function):
                self._hung.add(function)
                self._leave_worker()
            raise ParseError(f"no result within {self.seconds:g} s") from error

    def _leave_worker(self) -> None:
        """Its thread ends when the function that it is busy with returns, if ever."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def close(self) -> None:
        """Let the thread end. Nothing may be called after this."""
        self._leave_worker()


async def _without_exit(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


class _Worker:
    """The thread in which plain functions are called, one after the other."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="newsstand-analysers", daemon=True).start()

    def run(self, function: Callable[..., Any], args: Any, kwargs: Any) -> asyncio.Future[Any]:
        job = _Call(function, args, kwargs)
        self._jobs.put(job)
        return job.future

    def close(self) -> None:
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()


class _Call:
    """One call of a plain function, and the future that gets what it returned or raised."""

    def __init__(self, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.call = (function, args, kwargs)
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()

    def run(self) -> None:
        function, args, kwargs = self.call
        result: Any = None
        failure: Exception | None = None
        try:
            result = function(*args, **kwargs)
        except StopIteration as error:  # a future cannot carry it
            failure = RuntimeError(f"StopIteration: {error}")
        except Exception as error:  # foreign code: handed to whoever waits
            failure = error
        except BaseException as error:  # SystemExit and the like must not end the thread silently
            failure = RuntimeError(f"{type(error).__name__}: {error}")
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._settle, result, failure)

    def _settle(self, result: Any, failure: Exception | None) -> None:
        if self.future.done():
            return
        if failure is not None:
            self.future.set_exception(failure)
        else:
            self.future.set_result(result)
