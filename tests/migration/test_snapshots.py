"""Databases as each revision made them (tests/migration/snapshot.py), brought to the newest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from newsstand.storage import schema
from newsstand.storage.checking import check
from newsstand.storage.database import find_revision, open_database
from tests.migration._contents import schema_of
from tests.migration.snapshot import SNAPSHOTS, seen

REVISIONS = schema.revisions()


def still_there(then: Any, now: Any) -> bool:
    """Whether all that was seen then is seen now; a newer Newsstand may tell more of each thing."""
    if isinstance(then, dict):
        return isinstance(now, dict) and all(key in now and still_there(then[key], now[key]) for key in then)
    if isinstance(then, list):
        return len(then) == len(now) and all(map(still_there, then, now))
    return bool(then == now)


def test_each_revision_was_frozen() -> None:
    assert sorted(file.stem for file in SNAPSHOTS.glob("*.db")) == REVISIONS
    assert sorted(file.stem for file in SNAPSHOTS.glob("*.json")) == REVISIONS


@pytest.mark.parametrize("revision", REVISIONS)
async def test_a_database_of_a_revision_is_brought_to_the_newest_with_all_that_it_held(
    tmp_path: Path, revision: str
) -> None:
    path, fresh = tmp_path / "news.db", tmp_path / "fresh.db"
    shutil.copy(SNAPSHOTS / f"{revision}.db", path)
    assert await find_revision(f"sqlite:///{path}") == revision
    then = json.loads((SNAPSHOTS / f"{revision}.json").read_text(encoding="utf-8"))
    assert all(then.values())
    assert still_there(then, await seen(path))
    assert await find_revision(f"sqlite:///{path}") == REVISIONS[-1]
    await (await open_database(f"sqlite:///{fresh}")).close()
    assert schema_of(path) == schema_of(fresh)
    assert await check(f"sqlite:///{path}") == []


def test_what_is_lost_would_be_noticed() -> None:
    then = {"nodes": [{"id": 1, "state": "live"}]}
    assert still_there(then, {"nodes": [{"id": 1, "state": "live", "new": True}], "more": []})
    worse: list[dict[str, Any]] = [{}, {"nodes": []}, {"nodes": [{"id": 1}]}, {"nodes": [{"id": 1, "state": "gone"}]}]
    assert not any(still_there(then, now) for now in worse)
