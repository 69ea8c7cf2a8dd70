"""Writes what was measured into docs/programs.md, between two markers."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.programs.programs import PROGRAMS, Program
from tests.programs.results import Measured, Start
from tests.programs.wire import Kind, count

PAGE = Path(__file__).parents[2] / "docs" / "programs.md"
BEGIN, END = "<!-- made by make programs, from here -->", "<!-- to here -->"
REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "programs"
NONE = "-"
WIDTH = 120


def write(results: list[Measured], seconds: float) -> None:
    """Put the tables where they belong."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{tables(results, seconds)}\n{END}{after}", encoding="utf-8")


def tables(results: list[Measured], seconds: float) -> str:
    """What stands between the markers."""
    measured = {result.name: result for result in results}
    lines = [
        f"Each start was watched for {seconds:g} s from the beginning of its process.",
        "",
        *claims([result for result in results if not result.trouble]),
        "",
    ]
    for program in PROGRAMS:
        if (result := measured.get(program.name)) is not None:
            lines += _section(program, result)
    return "\n".join(lines)


def claims(results: Iterable[Measured]) -> Iterator[str]:
    """What is claimed, and whether it holds."""
    yield from _table(
        ["program", "never more IQs", "answers from the second start on", "the same items", "answers offline"],
        [
            [_title(result.name), *map(_said, (result.never_more, result.profits, result.same, result.answers_offline))]
            for result in results
        ],
    )


def _section(program: Program, result: Measured) -> Iterator[str]:
    yield from (f"### {program.title}", "")
    slixmpp = re.search(r"(?m)^slixmpp==(\S+)", (REQUIREMENTS / f"{program.name}.txt").read_text(encoding="utf-8"))
    assert slixmpp is not None
    for text in (program.does, f"With slixmpp {slixmpp[1]}. It is given Newsstand by {program.given}."):
        yield textwrap.fill(f"- {text}", WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    yield ""
    if result.trouble:
        yield from (f"Not measured: {result.trouble}.", "")
        return
    yield from _table(
        [
            *("start", "IQs without", "IQs with", "of these Newsstand's", "later without", "later with"),
            *("reads", "of these from the copy", "otherwise"),
        ],
        [*_rows(result)],
    )
    yield ""
    yield from _table(
        ["IQs without / with", *(f"start {n}" for n in range(1, len(result.with_it) + 1))], [*_kinds(result)]
    )
    yield ""


def _rows(result: Measured) -> Iterator[list[str]]:
    for number, (without, with_it) in enumerate(zip(result.without, result.with_it, strict=True), 1):
        requests = (without.requests, with_it.requests, with_it.own_requests, without.later, with_it.later)
        yield [str(number), *map(str, requests), *_reads(with_it)]
    if result.offline is not None:
        yield ["no server", *[NONE] * 5, *_reads(result.offline)]


def _reads(start: Start) -> list[str]:
    if not start.reads:
        return ["0", NONE, NONE]
    compared = any(read.same is not None for read in start.hits)
    return [str(len(start.reads)), str(len(start.hits)), str(len(start.differing)) if compared else NONE]


def _kinds(result: Measured) -> Iterator[list[str]]:
    pairs = [
        (_counts(without), _counts(with_it)) for without, with_it in zip(result.without, result.with_it, strict=True)
    ]
    for kind in Kind:
        if any(without[kind] or with_it[kind] for without, with_it in pairs):
            yield [kind.value, *(f"{without[kind]} / {with_it[kind]}" for without, with_it in pairs)]


def _counts(start: Start) -> dict[Kind, int]:
    return count(passed.request for passed in start.first_minute)


def _table(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(row)} |"


def _title(name: str) -> str:
    return next(program.title for program in PROGRAMS if program.name == name)


def _said(holds: bool | None) -> str:
    return {True: "yes", False: "**no**", None: "reads nothing"}[holds]
