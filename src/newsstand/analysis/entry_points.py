"""Analysers that installed packages bring, by entry points of the group `newsstand.analysers` (decision 007).

An entry point names an `Analyser`, or a list or tuple of them. They are loaded once a process, by the first replica
that is opened: in a thread, because what a package does when it is imported may take its time.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points

from newsstand.analysis.analysers import Analyser
from newsstand.analysis.runner import Runner

log = logging.getLogger(__name__)

GROUP = "newsstand.analysers"


@dataclass(frozen=True, slots=True)
class LoadProblem:
    """An entry point that cannot be used: what is wrong with it in words, and the error where it could not be
    loaded."""

    text: str
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Brought:
    """All that the entry points brought: analysers of different names, in the order of the distributions' names, then
    of the entry points' names."""

    analysers: tuple[Analyser, ...] = ()
    problems: tuple[LoadProblem, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all were loaded: else there are analysers that we do not know."""
        return all(problem.error is None for problem in self.problems)


_brought: Brought | None = None
# Replicas may be opened in several threads at the same time.
_bringing = threading.Lock()


def _begin_anew() -> None:
    """In a child: a thread of its parent may have held the lock."""
    global _bringing  # noqa: PLW0603 - what belongs to the process does not belong to its child
    _bringing = threading.Lock()


os.register_at_fork(after_in_child=_begin_anew)


async def bring(seconds: float) -> Brought:
    """What the installed packages bring; each may take so many seconds to load. Raises nothing: what went wrong is
    logged, once a process."""
    if _brought is None:
        run = Runner(seconds)
        try:
            found = await load(await run(partial(entry_points, group=GROUP)), run)
        except Exception as error:  # the metadata of any package may be broken
            found = Brought(problems=(LoadProblem("the installed packages' entry points cannot be read", error),))
        finally:
            run.close()
        return _keep(found)
    return _brought


def _keep(found: Brought) -> Brought:
    global _brought  # noqa: PLW0603 - installed packages are the process's, not a replica's
    with _bringing:
        if _brought is not None:
            return _brought  # a replica that was opened at the same time was faster
        _brought = found
    _tell(found.problems)
    return found


def _tell(problems: Iterable[LoadProblem]) -> None:
    for problem in problems:
        trace = problem.error if log.isEnabledFor(logging.DEBUG) else None
        told = problem.text if problem.error is None else f"{problem.text}: {problem.error!r}"
        log.warning("%s", told, exc_info=trace)


async def load(found: Iterable[EntryPoint], run: Runner) -> Brought:
    """Load these. One that cannot be loaded (it raises, hangs, or is no analyser) is a problem, and costs the others
    nothing; of two analysers of one name the first counts."""
    analysers: dict[str, Analyser] = {}
    bringers: dict[str, str] = {}
    problems = []
    for entry_point in sorted(found, key=_order):
        bringer = _bringer(entry_point)
        try:
            loaded = await run(partial(_load, entry_point))
        except Exception as error:  # foreign code: a broken package must not stop the program
            problems.append(LoadProblem(f"the analysers of {bringer} are left out", error))
            continue
        for analyser in loaded:
            if analyser.name in analysers:
                first = bringers[analyser.name]
                problems.append(
                    LoadProblem(f"the analyser {analyser.name!r} of {bringer} is left out: {first} has one too")
                )
            else:
                analysers[analyser.name], bringers[analyser.name] = analyser, bringer
    return Brought(tuple(analysers.values()), tuple(problems))


def _load(entry_point: EntryPoint) -> tuple[Analyser, ...]:
    value = entry_point.load()
    several = tuple(value) if isinstance(value, list | tuple) else (value,)
    for one in several:
        if not isinstance(one, Analyser):
            raise TypeError(f"{entry_point.value} is not an Analyser, or a list of them, but {one!r}")
    return several


def _distribution(entry_point: EntryPoint) -> str:
    return str(entry_point.dist.name) if entry_point.dist is not None else "an unknown package"


def _bringer(entry_point: EntryPoint) -> str:
    return f"{_distribution(entry_point)} (entry point {entry_point.name!r})"


def _order(entry_point: EntryPoint) -> tuple[str, str, str]:
    """The same on every machine: not the order in which they were installed, or are found."""
    return re.sub(r"[-_.]+", "-", _distribution(entry_point)).lower(), entry_point.name, entry_point.value
