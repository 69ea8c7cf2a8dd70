"""Starts that go wrong, or come all at once: a process killed at every moment of a migration, eight processes that
migrate together. `make soak` has them start together for longer (docs/soak.md)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from newsstand.storage.schema import versioning
from tests.databases import Databases

OWN = versioning.revisions()
ROUNDS = int(os.environ.get("NEWSSTAND_ROUNDS", "5"))


def warm(*arguments: str) -> dict[str, Any]:
    told = subprocess.run(
        [sys.executable, "-m", "tests.migration._warm", *arguments], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    found: dict[str, Any] = json.loads(told.stdout)
    found["errors"] = told.stderr
    return found


@pytest.fixture
async def server(backend: str, databases: Databases, empty: str) -> str:
    """Of PostgreSQL, the URL of a database beside which others may be made."""
    return "-" if backend == "sqlite" else databases.server.url("postgres")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("revision", ["empty", *OWN, "9001"])
def test_killed_at_any_moment_a_migration_is_done_or_not_begun_and_the_next_start_does_it(
    tmp_path: Path, server: str, revision: str
) -> None:
    found = warm("kill", str(tmp_path), server, revision)
    moments = found.pop("moments")
    on_files = server == "-"
    assert moments[-2:] == ["commit", "opened"]
    assert len(moments) > (30 if on_files else 15)
    assert ("VACUUM" in moments) == ("before replace" in moments) == (on_files and revision != "empty")
    assert found.pop("as before") + found.pop("as after") == len(moments)
    assert found == {
        "killed": len(moments),
        "half-migrated": 0,
        "stuck": 0,
        "right in the end": len(moments),
        "wrong backup": 0,
        "wrong leavings": 0,
        "errors": "",
    }


@pytest.mark.timeout(60 + 30 * ROUNDS)
@pytest.mark.parametrize("revision", ["empty", *OWN, "9001"])
def test_of_eight_processes_that_start_at_once_one_migrates_and_all_go_on(
    tmp_path: Path, server: str, revision: str
) -> None:
    found = warm("race", str(tmp_path), server, revision, str(ROUNDS))
    where = "SQLite" if server == "-" else "PostgreSQL"
    sys.stdout.write(f"{where}, {revision}: {ROUNDS} rounds of 8 processes: {found}\n")
    assert found == {"started": 8 * ROUNDS, "migrated": ROUNDS, "right in the end": ROUNDS, "errors": ""}
