"""Which account a command means, and how a database's revision is told."""

from __future__ import annotations

import pytest

from newsstand.cli.db import state
from newsstand.cli.places import chosen_account
from newsstand.errors import ConfigurationError


def test_the_only_account_need_not_be_named() -> None:
    assert chosen_account(None, ["juliet@v", "juliet@v"]) == "juliet@v"
    assert chosen_account("juliet@v", ["juliet@v", "romeo@v"]) == "juliet@v"


def test_an_empty_database_holds_nobody() -> None:
    assert chosen_account(None, []) is None
    assert chosen_account("juliet@v", []) == "juliet@v"


def test_one_of_several_must_be_named_and_be_there() -> None:
    with pytest.raises(ConfigurationError, match="juliet@v, romeo@v: choose one with --account"):
        chosen_account(None, ["romeo@v", "juliet@v"])
    with pytest.raises(ConfigurationError, match="nothing of nurse@v, only of juliet@v"):
        chosen_account("nurse@v", ["juliet@v"])


@pytest.mark.parametrize(
    ("at", "word"), [(None, "empty"), ("0001", "older"), ("0002", "up to date"), ("0003", "newer"), ("zz", "newer")]
)
def test_the_state_of_a_database_is_told_in_a_word(at: str | None, word: str) -> None:
    assert state(at, ["0001", "0002"]).startswith(word)
