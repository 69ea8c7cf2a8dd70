"""How many items a service is asked for at a time, so that its answers arrive: what is too large for a server on the
way is dropped there, without a word (Prosody takes 512 KiB of another server, or of a component)."""

from __future__ import annotations

from collections.abc import Sequence

from newsstand.model import SeenItem

LARGE = 250_000
"""Characters of items that an answer should not exceed. Some services take no more than so many bytes themselves."""
FEWER = 20
"""By how much fewer items are asked for when an answer did not arrive: each try takes as long as a request may."""


class Portion:
    """`size` is how many to ask for next, `most` at first."""

    def __init__(self, most: int) -> None:
        self.size = self._most = most
        self._lost: list[int] = []

    def arrived(self, items: Sequence[SeenItem]) -> None:
        """These came: as large as they are, so are the others."""
        characters = sum(len(item.xml) for item in items)
        fitting = LARGE * len(items) // characters if characters else self._most
        if len(self._lost) == 1 and self._lost[0] <= fitting:
            self._most = self._lost[0]  # that it was too large is unlikely
        self.size = max(1, min(fitting, self._most))

    def did_not_arrive(self) -> bool:
        """Ask for fewer from now on; False where that cannot be."""
        if self.size == 1:
            return False
        self._lost.append(self.size)
        self.size = self._most = max(1, self.size // FEWER)
        return True
