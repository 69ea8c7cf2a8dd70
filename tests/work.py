"""How much work a call is, counted rather than timed: the same on every machine, however busy.

Counted are the lines of Python that run, and what is done in C for them, as far as that can be told:

- characters that a method of a text copies or looks through as a whole, and elements that a list sorts;
- characters that a regular expression of the given modules comes across;
- what `unicodedata.normalize` sorts: runs of combining marks, by insertion, so a run of n is n squared.
"""

from __future__ import annotations

import html
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import groupby
from types import FrameType, ModuleType
from typing import Any
from unittest import mock

_METHODS = (
    "capitalize casefold encode expandtabs isalnum isascii isspace join lower lstrip partition replace rpartition"
    " rsplit rstrip sort split splitlines strip swapcase title translate upper"
)
_COPYING = frozenset(_METHODS.split())


class Work:
    """What was done so far, in steps."""

    def __init__(self) -> None:
        self.steps = 0

    def on_line(self, frame: FrameType, event: str, _: Any) -> Any:
        self.steps += event == "line"
        return self.on_line

    def on_call(self, frame: FrameType, event: str, called: Any) -> None:
        if event == "c_call":
            whole = getattr(called, "__self__", None)
            if isinstance(whole, str | bytes | list) and called.__name__ in _COPYING:
                self.steps += len(whole)

    def normalize(self, form: Any, text: str) -> str:
        decomposed = "".join(_normalize("NFKD", c) for c in text)
        for is_mark, run in groupby(decomposed, lambda c: unicodedata.combining(c) > 0):
            length = sum(1 for _ in run)
            self.steps += length * length if is_mark else length
        return _normalize(form, text)

    def unescape(self, text: str) -> str:
        self.steps += len(text)
        return _unescape(text)


_normalize = unicodedata.normalize
_unescape = html.unescape


class _Pattern:
    """A regular expression that counts the characters that it comes across."""

    def __init__(self, pattern: re.Pattern[str], work: Work) -> None:
        self._pattern = pattern
        self._work = work

    def match(self, text: str, start: int = 0) -> re.Match[str] | None:
        found = self._pattern.match(text, start)
        self._work.steps += found.end() - start if found else 1
        return found

    def search(self, text: str, start: int = 0) -> re.Match[str] | None:
        found = self._pattern.search(text, start)
        self._work.steps += (found.end() if found else len(text)) - start
        return found

    def fullmatch(self, text: str) -> re.Match[str] | None:
        self._work.steps += len(text)
        return self._pattern.fullmatch(text)

    def sub(self, new: str, text: str) -> str:
        self._work.steps += len(text)
        return self._pattern.sub(new, text)

    def findall(self, text: str) -> list[Any]:
        self._work.steps += len(text)
        return self._pattern.findall(text)

    def finditer(self, text: str, start: int = 0, end: int = sys.maxsize) -> Iterator[re.Match[str]]:
        self._work.steps += min(end, len(text)) - start
        return self._pattern.finditer(text, start, end)


@contextmanager
def counted(*modules: ModuleType) -> Iterator[Work]:
    """Within this, work is counted. `modules`: those whose regular expressions are."""
    work = Work()
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(unicodedata, "normalize", work.normalize))
        stack.enter_context(mock.patch.object(html, "unescape", work.unescape))
        for module in modules:
            for name, value in list(vars(module).items()):
                if isinstance(value, re.Pattern):
                    stack.enter_context(mock.patch.object(module, name, _Pattern(value, work)))
                elif isinstance(value, dict) and value and all(isinstance(v, re.Pattern) for v in value.values()):
                    patterns = {key: _Pattern(pattern, work) for key, pattern in value.items()}
                    stack.enter_context(mock.patch.object(module, name, patterns))
        tracing, profiling = sys.gettrace(), sys.getprofile()
        sys.settrace(work.on_line)
        sys.setprofile(work.on_call)
        try:
            yield work
        finally:
            sys.setprofile(profiling)
            sys.settrace(tracing)


def steps_of(call: Callable[[], object], *modules: ModuleType) -> int:
    with counted(*modules) as work:
        call()
    return work.steps


MORE = 2.6
"""Times the work that twice the input may take: 2 is linear, 4 is quadratic."""
SLACK = 10
"""Steps for each part that are linear whatever came before."""


def grows_linearly(call: Callable[[int], Callable[[], object]], size: int, *modules: ModuleType) -> tuple[bool, Any]:
    """Whether what `call` makes for an input of so many parts takes work in proportion to it; and the steps of one, two
    and four times the size."""
    steps = [steps_of(call(size * times), *modules) for times in (1, 2, 4)]
    if not _is_linear(steps, size):
        # A length from which on a text is handled otherwise may lie between two sizes: looked at once more beyond it.
        steps.append(steps_of(call(size * 8), *modules))
    return _is_linear(steps[-3:], size * 2 ** (len(steps) - 3)), steps


def _is_linear(steps: list[int], size: int) -> bool:
    """Of three sizes, each twice the one before, the first of which is `size`. What is done once, whatever the size, is
    no growth; nor is what is done for each slice, where there are few."""
    first, second = steps[1] - steps[0], steps[2] - steps[1]
    return second <= MORE * max(first, SLACK * size)
