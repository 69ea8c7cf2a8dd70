"""What is known of a copy that may be served stale at the start of a session, before anything is asked of the
service."""

from __future__ import annotations

from collections.abc import Iterable

from newsstand.model import News, Published, Retracted


class StaleFirst:
    """One copy at the start of one session: whether it was served stale, and what its service said since."""

    __slots__ = ("contradicted", "due", "notified", "verified")

    def __init__(self) -> None:
        self.due = False
        """It was served stale, and is to be compared with its service."""
        self.verified = False
        """The service said what it says, in this session."""
        self.contradicted = False
        """A notification said something else, or nobody knows whether it did: it is not served any more."""
        self.notified: dict[str, bytes | None] = {}
        """What the program was notified of: the digest of what each item says; None for one that went."""

    def serve(self) -> bool:
        """It is served stale. Returns whether it is to be compared for that, and was not to be before."""
        if self.due or self.verified:
            return False
        self.due = True
        return True

    def contradict(self, news: Iterable[News]) -> None:
        """The program is notified of this. Until it is known to be what the copy says, the copy is not served."""
        self.contradicted = True
        self.verified = False
        for what in news:
            match what:
                case Published(items):
                    self.notified.update((item.id, item.payload_digest) for item in items)
                case Retracted(item_ids):
                    self.notified.update(dict.fromkeys(item_ids))
                case _:
                    pass

    def agree(self, *, whole: bool) -> None:
        """What the program was notified of last is what the copy says. `whole`: that is all that the copy holds."""
        self.contradicted = False
        self.verified |= whole

    def compared(self) -> None:
        """The copy was made equal to what the service holds."""
        self.due, self.contradicted, self.verified = False, False, True
