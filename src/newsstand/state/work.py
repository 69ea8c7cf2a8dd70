"""The work on a copy: its task, how fast its node is listed, and whether it is being closed."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Work:
    """What is being done about a copy. `newsstand.sync.synchroniser` alone replaces it."""

    task: asyncio.Task[None] | None = None
    failure: Exception | None = None
    """Why the last synchronisation failed."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a node is listed, and when again. `newsstand.sync.full` alone replaces it, but for the resets."""

    took: float = 0.0
    """Seconds that the service took over the last listing."""
    rest_until: float = 0.0
    """By the loop's clock: before, it is not listed again, so that it does not take all of its service's time."""
    disturbed: int = 0
    """How many listings in a row could not be believed."""


class Closing(enum.Enum):
    """Whether the database knows that a node is closed. `newsstand.sync.closed_nodes` alone replaces it."""

    OPEN = enum.auto()
    """The node is not closed, or the database knows that it is."""
    CLOSING = enum.auto()
    """The node is closed, and the database does not know yet."""
    SETTLING = enum.auto()
    """That the node is closed is being stored."""
