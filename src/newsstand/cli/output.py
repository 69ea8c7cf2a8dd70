"""What a person or a program gets to see."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

_DIRECTION = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C}
SHORT = 100
_BETWEEN = 3
"""Characters between two columns of a table, and about it."""
_UNITS = ((86_400 * 2, 86_400, "days"), (3_600, 3_600, "h"), (60, 60, "min"), (0, 1, "s"))


def write_anything() -> None:
    """A character that the terminal's encoding lacks is escaped, not an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def at_terminal(stream: TextIO | None = None) -> bool:
    return (stream or sys.stdout).isatty()


def say(message: str) -> None:
    """One line on stderr."""
    print(f"newsstand: {plain(message)}", file=sys.stderr)


def print_json(document: Any) -> None:
    """One document on stdout."""
    print(_json(document, indent=2 if at_terminal() else None))


def print_json_line(document: Any) -> None:
    """One of several documents, each on a line of its own."""
    print(_json(document, indent=None))


def _json(document: Any, indent: int | None) -> str:
    """Only ASCII where the encoding might not hold more: JSON has its own escapes."""
    whole = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return json.dumps(document, ensure_ascii=not whole, indent=indent)


def print_row(cells: Iterable[str]) -> None:
    """The row for a pipe: one line, tabs between the cells."""
    print("\t".join(plain(cell) for cell in cells))


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, names: int) -> None:
    """A table at a terminal; in a pipe a line for each row, without titles. Where the terminal is too narrow for the
    table, a block for each row: the first so many cells, its `names`, then the others on lines below."""
    if not at_terminal():
        for row in rows:
            print_row(row)
        return
    from rich.box import SIMPLE_HEAD
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(titles, *cells, strict=True)]
    if sum(widths) + _BETWEEN * len(titles) > _console().width:
        for row in cells:
            rest = [f"{title} {cell}" for title, cell in zip(titles[names:], row[names:], strict=True) if cell]
            print_block([Line(" ".join(row[:names]), "bold"), Line(" · ".join(rest), "dim", 4)])
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))  # Text: brackets in names are no markup
    _console().print(table)


@dataclass(frozen=True, slots=True)
class Line:
    """A paragraph of a block. `text` is somebody else's: it is made safe when it is printed."""

    text: str
    style: str = ""
    indent: int = 0
    """Spaces before each of its lines."""


def print_block(lines: Iterable[Line]) -> None:
    """At a terminal each paragraph is wrapped to its width; elsewhere it is one line. One without text is an empty
    line."""
    if not at_terminal():
        for line in lines:
            print(f"{' ' * line.indent}{plain(line.text)}".rstrip())
        return
    from rich.text import Text

    console = _console()
    for line in lines:
        text = Text(plain(line.text), style=line.style)
        for part in text.wrap(console, max(console.width - line.indent, 1)) if text else [text]:
            part.rstrip()
            console.print(Text.assemble(" " * line.indent, part), soft_wrap=True)


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False)


def plain(text: str) -> str:
    """Text that strangers wrote, on one line, and unable to command a terminal or to turn its direction."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_safe(c) for c in text)


def _safe(c: str) -> str:
    if c in "\t\n\r\v\f\x85\u2028\u2029":
        return " "
    if ord(c) in _DIRECTION or unicodedata.category(c) in ("Cc", "Cs"):
        return "\N{REPLACEMENT CHARACTER}"
    return c


def short(text: str, most: int = SHORT) -> str:
    """Text of at most so many characters, its white space collapsed."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def moment(microseconds: int | None) -> str | None:
    """RFC 3339, in UTC, to the second."""
    if not microseconds:
        return None
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def local(text: str) -> str:
    """A moment in RFC 3339 as a person reads it: to the minute, in the zone of this machine, which it names. Text that
    is none stays as it is."""
    try:
        at = datetime.fromisoformat(text)
        at = at.astimezone() if at.tzinfo is not None else at
    except (ValueError, OverflowError):
        return text
    offset = at.strftime("%z")
    return at.strftime("%Y-%m-%d %H:%M") + (f" {_zone(offset)}" if offset else "")


def _zone(offset: str) -> str:
    return "UTC" if offset == "+0000" else f"{offset[:3]}:{offset[3:5]}"


def since(microseconds: int | None, now: int) -> str:
    """How long ago, in one unit."""
    if not microseconds:
        return "never"
    seconds = max(0, now - microseconds) // 1_000_000
    return next(f"{seconds // unit} {name} ago" for least, unit, name in _UNITS if seconds >= least)
