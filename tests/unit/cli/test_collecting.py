"""While a command runs long, Python's full collections do not visit the modules."""

from __future__ import annotations

import argparse
import gc
from pathlib import Path

import pytest

from newsstand.cli.demo import demo
from newsstand.cli.session import Login, opened
from newsstand.demo import story


async def test_a_command_with_a_session_freezes_what_was_loaded_until_its_end(tmp_path: Path) -> None:
    login = Login("juliet@example.org", "secret", None, False, None, 1.0)
    async with opened(login, argparse.Namespace(database=f"sqlite:///{tmp_path}/news.db", migrate=True)):
        assert gc.get_freeze_count() > 10_000
    assert gc.get_freeze_count() == 0


def test_so_does_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "main", lambda as_json: gc.get_freeze_count())
    assert demo(argparse.Namespace(json=True)) > 10_000
    assert gc.get_freeze_count() == 0
