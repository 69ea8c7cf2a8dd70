"""The output of the demo: on the console while it plays, and as JSON at its end (`--json`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from newsstand.demo.claims import StoryClaim, all_hold


class Teller:
    """Writes what the demo says to the console, and keeps the claims and the figures."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.claims: list[StoryClaim] = []
        self.figures: dict[str, Any] = {}
        self._steps = 0
        unicode = console.encoding.lower().startswith("utf")
        self._marks = ("✓", "✗") if unicode else ("yes:", "NO:")

    def title(self, text: str) -> None:
        self.console.print(Text(text, style="bold"))

    def step(self, text: str) -> None:
        self._steps += 1
        self.console.print()
        self.console.print(Text(f"{self._steps}. {text}", style="bold cyan"))

    def say(self, text: str) -> None:
        self.console.print(Padding(Text(text), (0, 0, 0, 3), expand=False))

    def claim(self, text: str, but: str = "") -> None:
        """`but`: what speaks against it."""
        claim = StoryClaim(text, but)
        self.claims.append(claim)
        if claim.holds:
            line = Text.assemble((self._marks[0], "bold green"), " ", text)
        else:
            line = Text.assemble((self._marks[1], "bold red"), " ", text, (f" -- no: {but}", "red"))
        self.console.print(Padding(line, (0, 0, 0, 3), expand=False))

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """The first column is words, the others are numbers."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for number, name in enumerate(head):
            table.add_column(name, justify="left" if number == 0 else "right", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        self.console.print(Padding(table, (0, 0, 0, 3), expand=False))

    @contextmanager
    def progress(self, text: str, total: int) -> Iterator[Any]:
        """A bar while something long goes on, at a terminal only. Yields what is called for each piece."""
        columns = (TextColumn("   {task.description}"), BarColumn(), MofNCompleteColumn())
        shown = self.console.is_terminal and not self.console.record
        with Progress(*columns, console=self.console, transient=True, disable=not shown) as bar:
            task = bar.add_task(text, total=total)
            yield lambda: bar.advance(task)

    def end(self, seconds: float) -> None:
        failed = sum(not claim.holds for claim in self.claims)
        self.console.print()
        if all_hold(self.claims):
            text = Text(f"All {len(self.claims)} claims hold; {seconds:.1f} s.", style="bold green")
        else:
            text = Text(f"{failed} of {len(self.claims)} claims do not hold; {seconds:.1f} s.", style="bold red")
        self.console.print(text)

    def document(self) -> dict[str, Any]:
        """What `--json` prints."""
        claims = [{"claim": claim.text, "holds": claim.holds, "but": claim.but or None} for claim in self.claims]
        return {**self.figures, "claims": claims, "holds": all_hold(self.claims)}
