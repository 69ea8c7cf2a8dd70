"""How often the program reads a node."""

from __future__ import annotations

from newsstand.rules.start import COUNTED


class Reads:
    """The program's reads of one node in one session of the stream."""

    __slots__ = ("count", "expected", "next_told")

    def __init__(self, expected: int) -> None:
        self.count = 0
        """How many there were. The driver counts them: each hit comes by it."""
        self.expected = expected
        """How many there were in the last session before that had any."""
        self.next_told = max(2, expected + 1) if expected < COUNTED else 0
        """How many reads the next session is to know of, when there are so many; 0: of no more."""

    def begin(self) -> None:
        """A read is why there is a copy."""
        self.count = max(1, self.count)

    def tell(self) -> int:
        """There are as many as `next_told`, which is returned: the next session is to know of that."""
        self.next_told = self.count + 1 if self.count < COUNTED else 0
        return self.count

    def of_next_session(self) -> Reads:
        """Those of a session that begins now."""
        return Reads(self.count or self.expected)
