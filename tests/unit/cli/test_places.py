"""Which account and which server a command means, and how a database's revision is told."""

from __future__ import annotations

import pytest

from newsstand.cli.arguments import parser
from newsstand.cli.db import state
from newsstand.cli.places import Connection, chosen_account, connection
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


OPTIONS = {
    "SERVER": "example.org:5222",
    "CA_FILE": "/ca.pem",
    "PASSWORD_FILE": "/password",
    "PLAINTEXT": "1",
    "TIMEOUT": "2.5",
}


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in OPTIONS:
        monkeypatch.delenv(f"NEWSSTAND_{name}", raising=False)
    return monkeypatch


@pytest.mark.usefixtures("variables")
def test_without_options_and_variables_a_connection_is_as_usual() -> None:
    assert connection(parser().parse_args(["ls", "s"])) == Connection(None, None, None, False, 30.0)


def test_variables_say_what_no_option_does(variables: pytest.MonkeyPatch) -> None:
    for name, value in OPTIONS.items():
        variables.setenv(f"NEWSSTAND_{name}", value)
    found = connection(parser().parse_args(["ls", "s"]))
    assert found == Connection("example.org:5222", "/ca.pem", "/password", True, 2.5)
    given = ["--server", "a:1", "--ca-file", "b", "--password-file", "c", "--timeout", "4"]
    assert connection(parser().parse_args(["ls", "s", *given])) == Connection("a:1", "b", "c", True, 4.0)


@pytest.mark.parametrize(
    ("name", "value"), [("PLAINTEXT", "yes"), ("TIMEOUT", "soon"), ("TIMEOUT", "0"), ("TIMEOUT", "nan")]
)
def test_a_variable_that_says_nothing_of_the_kind_is_named(
    variables: pytest.MonkeyPatch, name: str, value: str
) -> None:
    variables.setenv(f"NEWSSTAND_{name}", value)
    with pytest.raises(ConfigurationError, match=rf"\$NEWSSTAND_{name} is '{value}'"):
        connection(parser().parse_args(["ls", "s"]))
