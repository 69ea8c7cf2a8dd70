"""Wrong usage is one line, which says what was perhaps meant."""

from __future__ import annotations

import pytest

from newsstand.cli.arguments import parser
from newsstand.suggesting import did_you_mean


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["gett"], "there is no command 'gett': did you mean 'get'?; see newsstand --help"),
        (["db", "chek"], "there is no verb 'chek': did you mean 'check'?; see newsstand db --help"),
        (["db", "x"], "there is no verb 'x': there are current, upgrade, downgrade, check, backup, copy"),
        (
            ["get", "s", "n", "--ofline"],
            "unrecognized arguments: --ofline: did you mean '--offline'?; see newsstand get",
        ),
        (["get", "s", "n", "--sercets=1"], "unrecognized arguments: --sercets=1: did you mean '--secrets'?"),
        (["nodes", "--databse", "x"], "unrecognized arguments: --databse x: did you mean '--database'?"),
        (["nodes", "x"], "unrecognized arguments: x; see newsstand nodes --help"),
        (["--verson"], "unrecognized arguments: --verson"),
        (["search", "--where", "author"], "'author' is no condition: write FIELD=VALUE, such as author.name=Juliet"),
    ],
)
def test_wrong_usage_says_what_was_perhaps_meant(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(argv)
    assert ended.value.code == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith("newsstand: ")
    assert told in line or (argv == ["--verson"] and "required" in line)
    assert said.out == ""


@pytest.mark.parametrize(
    ("argv", "text", "where"),
    [
        (["--where", "author.name=Juliet"], None, [("author.name", "=", "Juliet")]),
        (["--where=author.name=Juliet"], None, [("author.name", "=", "Juliet")]),
        (["--where", "author.name=Juliet", "compost"], "compost", [("author.name", "=", "Juliet")]),
        (["compost", "--where", "a=1", "--where", "b", "=", "2"], "compost", [("a", "=", "1"), ("b", "=", "2")]),
        (["--where", "a", "=", "1", "compost"], "compost", [("a", "=", "1")]),
        (["--where", "a=b", "=", "c"], None, [("a=b", "=", "c")]),
        (["--where", "a = b c"], None, [("a", "=", "b c")]),
        (["--where", "a="], None, [("a", "=", "")]),
        (["--where", "a=x=y"], None, [("a", "=", "x=y")]),
        (["--where", "a>=1"], None, [("a", ">=", "1")]),
        (["--where", "a", "contains", "b"], None, [("a", "contains", "b")]),
        (["--", "--where"], "--where", []),
    ],
)
def test_a_condition_may_be_one_word_or_three(argv: list[str], text: str | None, where: list[object]) -> None:
    args = parser().parse_args(["search", *argv])
    assert (args.text, args.where) == (text, where)


@pytest.mark.parametrize(
    ("given", "hint"),
    [("BLGO", ": did you mean 'blog'?"), ("recipe", ""), ("", ""), ("Vcrad", ": did you mean 'vcard'?")],
)
def test_only_what_is_alike_is_suggested(given: str, hint: str) -> None:
    assert did_you_mean(given, ["blog", "vcard", "nick"]) == hint


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_no_help_is_wider_than_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", f"{columns}")
    commands = [parser()]
    for command in commands:
        commands += [c for a in command._actions if isinstance(a.choices, dict) for c in a.choices.values()]
        assert max(map(len, command.format_help().splitlines())) <= columns, command.prog
    assert len(commands) > 15
