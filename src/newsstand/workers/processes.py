"""Which process this is, so that others on the same machine can tell for certain that it ended."""

from __future__ import annotations

import functools
import os
import platform
import uuid
from pathlib import Path

from newsstand.model import Process

_ENDED = "ZX"
"""States of a process that does nothing more, though its parent did not look yet."""


@functools.cache
def this_host() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return f"{platform.node()}/{uuid.getnode():x}"


def this_process() -> Process:
    return _process_of(os.getpid())  # each time: a process may be a fork of the one that imported this


@functools.cache
def _process_of(pid: int) -> Process:
    return Process(this_host(), pid, _read_stat(pid)[1])


def _forget() -> None:
    """Forget what was cached, in a child process: it may have the number that an earlier process had, or live in a
    container of its own."""
    this_host.cache_clear()
    _process_of.cache_clear()


if os.name != "nt":
    os.register_at_fork(after_in_child=_forget)


def has_ended(process: Process) -> bool:
    """True only where that is certain; of another machine nothing is known."""
    if process.host != this_host() or os.name == "nt":  # there, asking would end it
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # it is there, and somebody else's
    state, started = _read_stat(process.pid)
    return state in _ENDED if started == process.started else bool(started and process.started)


def _read_stat(pid: int) -> tuple[str, str]:
    """A process's state and beginning, as far as Linux tells."""
    try:
        # The name, in parentheses, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return fields[0], fields[19]
    except (OSError, IndexError):
        return "?", ""
