"""How far a listing has come."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from newsstand.cli import output
from newsstand.model import Progress


@contextmanager
def bar(node: str) -> Iterator[Progress | None]:
    """A bar on stderr, where that is a terminal."""
    if not output.at_terminal(sys.stderr):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(output.short(output.plain(node)), total=None)

        def report(come: int, total: int | None) -> None:
            shown.update(task, completed=come, total=total)

        yield report
