"""Who works on the copies, and how far the work has come."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Process(NamedTuple):
    """A process of the operating system, named so that no other one has the same name, on any machine at any time."""

    host: str
    """The machine since it was booted, and, where processes are numbered by container, which container."""
    pid: int
    started: str
    """When, by the machine's own count; empty where it is not known. A number is given again after a while."""


Progress = Callable[[int, "int | None"], None]
"""Called with how many items have come, and how many there will be, if that is known."""
