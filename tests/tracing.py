"""The path that a call takes through our files.

- A *file* is one below `src/newsstand`. Code that `dataclasses` and `typing` make has no file, and is not counted.
- A *call across files* is one whose nearest caller that is ours is in another file; what libraries lie between does not
  matter. Where there is no caller of ours (the event loop calls, or the program does), it is an *entry*, counted apart.
- That a coroutine goes on is no call.
- The *root* is where the path enters our code: the adapter, or a public verb. Each call from the root's file into
  another one begins a *descent*. A file that belongs to two descents of one root is *entered again*: the path came back
  up to the root, and went down to it once more.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import newsstand

PREFIX = f"{Path(newsstand.__file__).parent}/"


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """A call that crosses from one file to another, or an entry (`caller` is empty)."""

    caller: str
    callee: str
    function: str
    depth: int
    descent: tuple[int, int] | None
    """Of which root, and which of its descents; None for an entry."""


@dataclasses.dataclass(slots=True)
class Trace:
    """What was traced."""

    name: str
    steps: list[Step] = dataclasses.field(default_factory=list)

    @property
    def files(self) -> list[str]:
        return sorted({step.callee for step in self.steps})

    @property
    def calls(self) -> int:
        """Across files."""
        return sum(bool(step.caller) for step in self.steps)

    @property
    def again(self) -> Counter[str]:
        """Files that belong to more than one descent of a root, and to how many more."""
        descents: dict[tuple[int, str], set[int]] = {}
        for step in self.steps:
            if step.descent is not None:
                root, number = step.descent
                descents.setdefault((root, step.callee), set()).add(number)
        found: Counter[str] = Counter()
        for (_, file), numbers in descents.items():
            found[file] += len(numbers) - 1
        return +found

    def __str__(self) -> str:
        lines = [f"{self.name}: {len(self.files)} files, {self.calls} calls across, {self.again.total()} entered again"]
        lines += [f"  {'  ' * step.depth}{step.callee}  {step.function}" for step in self.steps]
        return "\n".join(lines)


class Tracer:
    """Traces this thread, and those that were started after it was made."""

    def __init__(self) -> None:
        self._trace: Trace | None = None
        self._begun: dict[int, FrameType] = {}
        self._lock = threading.Lock()
        threading.setprofile(self._profile)

    def close(self) -> None:
        threading.setprofile(None)

    @contextmanager
    def of(self, name: str) -> Iterator[Trace]:
        trace = self._trace = Trace(name)
        sys.setprofile(self._profile)
        try:
            yield trace
        finally:
            sys.setprofile(None)
            self._trace = None
            self._begun.clear()

    def _profile(self, frame: FrameType, event: str, _: Any) -> None:
        trace, file = self._trace, frame.f_code.co_filename
        if trace is None or event != "call" or not file.startswith(PREFIX):
            return
        if self._begun.get(id(frame)) is frame:
            return  # a coroutine or generator that goes on
        self._begun[id(frame)] = frame
        above = _ours_above(frame)
        caller = above[0].f_code.co_filename if above else ""
        if caller == file:
            return
        descent = None
        if above:
            root = above[-1]
            outside = [each for each in [frame, *above] if each.f_code.co_filename != root.f_code.co_filename]
            # Where the path went down and came back into the root's own file: not out of it.
            descent = (id(root), id(outside[-1])) if outside else None
        step = Step(
            caller.removeprefix(PREFIX),
            file.removeprefix(PREFIX),
            frame.f_code.co_name,
            _depth([frame, *above]),
            descent,
        )
        with self._lock:
            trace.steps.append(step)


def _ours_above(frame: FrameType) -> list[FrameType]:
    found = []
    at = frame.f_back
    while at is not None:
        if at.f_code.co_filename.startswith(PREFIX):
            found.append(at)
        at = at.f_back
    return found


def _depth(frames: list[FrameType]) -> int:
    files = [frame.f_code.co_filename for frame in frames]
    return sum(a != b for a, b in itertools.pairwise(files))
