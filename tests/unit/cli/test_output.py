"""What a person or a program gets to see."""

from __future__ import annotations

import time

import pytest
from rich.cells import cell_len

from newsstand.cli import output
from newsstand.cli.output import SHORT, Line, local, moment, plain, print_block, print_table, short, since

SECOND = 1_000_000
NOW = 1_714_557_600 * SECOND


@pytest.mark.parametrize("text", ["Romeo & Juliet", "Ωμέγα", "日本語", "👩‍👩‍👧", "[red]x[/red]"])
def test_text_is_shown_as_it_is(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize("c", ["\x1b", "\x9b", "\x07", "\x00", "\x7f", "\u202e", "\u2066", "\u200f", "\ud800"])
def test_what_commands_a_terminal_is_replaced(c: str) -> None:
    assert plain(f"a{c}b") == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize("c", ["\n", "\t", "\r", "\v", "\f", "\x85", "\u2028", "\u2029"])
def test_a_row_stays_one_line_and_a_cell_one_cell(c: str) -> None:
    assert plain(f"a{c}b") == "a b"


def test_long_text_is_cut_to_measure() -> None:
    assert short("  a \n b ") == "a b"
    assert short("x" * SHORT) == "x" * SHORT
    assert short("x" * (SHORT + 1)) == "x" * (SHORT - 1) + "…"


def test_a_moment_is_in_utc_to_the_second() -> None:
    assert moment(NOW + 999_999) == "2024-05-01T10:00:00Z"
    assert moment(None) is None
    assert moment(0) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s ago"),
        (0, "0 s ago"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (3_599, "59 min ago"),
        (3_600, "1 h ago"),
        (2 * 86_400 - 1, "47 h ago"),
        (2 * 86_400, "2 days ago"),
        (400 * 86_400, "400 days ago"),
    ],
)
def test_how_long_ago_is_told_in_one_unit(seconds: int, words: str) -> None:
    assert since(NOW - seconds * SECOND, NOW) == words


def test_what_never_was_is_never() -> None:
    assert since(None, NOW) == "never"


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("UTC", "2026-01-01 11:59 UTC"),
        ("Europe/Berlin", "2026-01-01 12:59 +01:00"),
        ("America/St_Johns", "2026-01-01 08:29 -03:30"),
    ],
)
def test_a_date_names_its_zone(zone: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert local("2026-01-01T11:59:59.123Z") == told
        assert local("2026-01-01T12:59:59+01:00") == told
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["", "soon", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_what_is_no_date_that_can_be_told_is_told_as_it_is(text: str) -> None:
    assert local(text) == text


def test_a_block_is_a_line_for_each_paragraph_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    print_block([Line("Title\x1b[2J", "bold"), Line(""), Line("x" * 300, indent=2)])
    assert capsys.readouterr().out.splitlines() == ["Title\N{REPLACEMENT CHARACTER}[2J", "", "  " + "x" * 300]


HOSTILE = "\x1b]0;mine\x07\x9b2J\N{RIGHT-TO-LEFT OVERRIDE}[red]node[/red]\nnext"
CLEAN = (
    "\N{REPLACEMENT CHARACTER}]0;mine"
    + "\N{REPLACEMENT CHARACTER}" * 2
    + "2J\N{REPLACEMENT CHARACTER}[red]node[/red] next"
)


@pytest.mark.parametrize("columns", [10, 60, 200])
def test_at_a_terminal_nothing_commands_it_and_nothing_is_wider_than_it(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", f"{columns}")
    monkeypatch.setattr(output, "at_terminal", lambda: True)
    wide = "\N{CJK UNIFIED IDEOGRAPH-65E5}" * 40
    print_table(("service", "node", "state"), [("pubsub.example.org", HOSTILE, "live"), ("p", wide, "")], names=2)
    table = capsys.readouterr().out
    print_block([Line(HOSTILE, "bold"), Line(""), Line(f"{wide} {HOSTILE}", indent=4)])
    block = capsys.readouterr().out
    for said in (table, block):
        assert not {"\x1b", "\x07", "\x9b", "\N{RIGHT-TO-LEFT OVERRIDE}"} & set(said)
        assert max(cell_len(line) for line in said.splitlines()) <= columns
    for said in (block, table) if columns > 60 else (block,):
        assert "".join(CLEAN.split()) in "".join(said.split())
    assert "state live" in table or columns != 60
