"""Which process this is, and whether another one ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from newsstand.model import Process
from newsstand.workers import processes
from newsstand.workers.processes import has_ended, this_process

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere less is known")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that goes on until its input ends."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        yield child


def of(pid: int) -> Process:
    return Process(processes.this_host(), pid, processes._read_stat(pid)[1])


def test_this_process_goes_on() -> None:
    assert this_process() == of(os.getpid())
    assert this_process().started
    assert not has_ended(this_process())


def test_a_process_has_ended_when_it_was_killed_though_its_parent_has_not_looked(
    child: subprocess.Popen[bytes],
) -> None:
    process = of(child.pid)
    assert not has_ended(process)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
    assert has_ended(process)
    child.wait()
    assert has_ended(process)


def test_another_process_of_the_same_number_is_another(child: subprocess.Popen[bytes]) -> None:
    assert has_ended(of(child.pid)._replace(started="1"))


def test_of_another_machine_nothing_is_certain() -> None:
    assert not has_ended(Process("somewhere else", 2**22 + 1, "1"))
    assert has_ended(Process(processes.this_host(), 2**22 + 1, "1"))


def test_where_the_beginning_is_not_told_a_number_that_is_in_use_is_believed() -> None:
    assert not has_ended(this_process()._replace(started=""))
