"""How things are measured here, and how they are told."""

from __future__ import annotations

import inspect
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Action = Callable[[], object] | Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Ratio:
    """Ours against the other's: the median of the runs' ratios."""

    name: str
    ours: float
    other: float
    target: float
    unit: str = "µs"
    """Of both: seconds are told in µs, other things as they are."""

    @property
    def value(self) -> float:
        return self.ours / self.other

    @property
    def reached(self) -> bool:
        return self.value <= self.target

    def __str__(self) -> str:
        verdict = "reached" if self.reached else "MISSED"
        scale = 1e6 if self.unit == "µs" else 1
        return (
            f"{self.name:58} {self.ours * scale:12.1f} {self.unit}  against {self.other * scale:12.1f} {self.unit}  "
            f"x {self.value:.3f}  (target ≤ {self.target:g}: {verdict})"
        )


async def compare(name: str, ours: Action, other: Action, *, target: float, times: int, runs: int = 5) -> Ratio:
    """Both sides in turns, `times` calls each in each of `runs`; the median time of a call in the median run."""
    sides: tuple[list[float], list[float]] = ([], [])
    for _ in range(runs):
        for side, action in zip(sides, (ours, other), strict=True):
            taken = []
            for _ in range(times):
                began = time.perf_counter()
                done = action()
                if inspect.isawaitable(done):
                    await done
                taken.append(time.perf_counter() - began)
            side.append(statistics.median(taken))
    pairs = sorted(zip(*sides, strict=True), key=lambda pair: pair[0] / pair[1])
    chosen = pairs[len(pairs) // 2]
    return Ratio(name, chosen[0], chosen[1], target)
