"""What a child of a process gets to see of its parent's databases: an error at once, or its own object; and what the
parent notices of it: nothing. See docs/decisions/013-loops-threads-and-forks.md."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from newsstand.errors import DatabaseLocked
from newsstand.storage.database import check_unused, open_database
from newsstand.storage.maintenance.checking import check
from tests.contract._storage import ON_FILES
from tests.fakes.hold import SECONDS

ROOT = Path(__file__).parents[2]
FORKED = "DatabaseError: the database was opened by the process that this one was forked from"


@asynccontextmanager
async def program(url: str, what: str) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-m", "tests.contract._forking_program", url, what),
        cwd=ROOT,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def run(url: str, what: str) -> dict[tuple[str, str], Any]:
    """What parent and child met, by who and what."""
    async with program(url, what) as process:
        async with asyncio.timeout(4 * SECONDS):
            out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    met = [json.loads(line) for line in out.splitlines()]
    return {(who, what): outcome for who, what, outcome in met}


@pytest.fixture
async def made(url: str) -> str:
    """The URL of a database that is there."""
    await (await open_database(url)).close()
    return url


async def test_a_child_is_refused_at_once_what_its_parent_opened_and_opens_its_own(made: str) -> None:
    met = await run(made, "use_parents")
    for what in ("write", "write first", "read", "scan", "search", "session", "commit"):
        assert met["child", what].startswith(FORKED), (what, met)
    assert met["child", "another object"]
    assert met["child", "holds"] == ["of the child"]
    assert met["child", "ended"] == 0
    assert met["parent", "holds"] == ["of the child", "of the parent"]
    assert await check(made) == []


async def test_a_child_that_ends_as_any_program_does_no_harm_to_what_its_parent_is_writing(made: str) -> None:
    met = await run(made, "end_as_usual")
    assert met["child", "ended"] == 0
    assert met["parent", "holds"] == ["after", "before"]
    assert await check(made) == []


@ON_FILES
async def test_a_child_is_refused_a_file_that_could_not_be_closed_for_the_fork(made: str) -> None:
    met = await run(made, "hold_a_transaction")
    assert "was being used at the moment when this process was forked" in met["child", "open"]
    assert met["child", "open another"] == "done"
    assert met["parent", "holds"] == ["of the parent"]
    assert await check(made) == []


@ON_FILES
async def test_a_fork_waits_for_what_is_being_written(made: str) -> None:
    met = await run(made, "wait_for_a_transaction")
    assert met["child", "holds"] == met["parent", "holds"] == ["of the child"]


async def test_a_child_waits_for_no_thread_of_its_parent_and_has_none_of_its_workers(url: str) -> None:
    met = await run(url, "hold_our_locks")
    assert met["child", "holds"] == []
    assert met["child", "ended"] == 0
    assert not met["child", "has that worker"]
    assert met["parent", "has that worker"]


async def test_forks_disturb_neither_an_open_database_nor_one_that_is_closed(made: str) -> None:
    assert (await run(made, "fork_again_and_again"))["parent", "logged"] == []


@ON_FILES
async def test_a_childs_locks_on_a_file_are_its_own(made: str) -> None:
    """Else others take the file for unused once the parent has closed it, and drop what the child works on."""
    async with program(made, "outlive_the_parent") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        async with asyncio.timeout(2 * SECONDS):
            lines = {await process.stdout.readline() for _ in range(2)}
            assert lines == {b'["child", "holds", []]\n', b'["parent", "closed", "done"]\n'}
            with pytest.raises(DatabaseLocked, match="end it first"):
                await check_unused(made)
            process.stdin.write(b"go on\n")
            assert await process.stdout.readline() == b'["child", "ended", 0]\n'
    await check_unused(made)
