"""Why a copy that another worker owns may not answer yet, as far as this process knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple


class Awaited(NamedTuple):
    """What a copy will say of an item (its content's digest; None where it was retracted), and since when that is
    known, by the loop's clock."""

    at: float
    content: bytes | None


class Elsewhere:
    """Why one copy may not answer while another worker owns its node. It is true while there is any reason; then the
    service answers."""

    __slots__ = ("_awaited", "_handing_over", "doubted")

    def __init__(self) -> None:
        self.doubted = False
        """The database says that something of it is in doubt."""
        self._handing_over = 0
        self._awaited: dict[str, Awaited] = {}

    def __bool__(self) -> bool:
        return self.doubted or self._handing_over > 0 or bool(self._awaited)

    @property
    def awaited(self) -> Mapping[str, Awaited]:
        """What we received of items, too, until the owner has stored it in the copy; by item."""
        return self._awaited

    def await_item(self, item_id: str, awaited: Awaited) -> None:
        """The copy will say this of an item."""
        self._awaited[item_id] = awaited

    def await_no_more(self, item_ids: Iterable[str]) -> None:
        """Do not wait any more until the copy says what we received of these items."""
        for item_id in item_ids:
            self._awaited.pop(item_id, None)

    def found(self, asked: Mapping[str, Awaited], contents: Mapping[str, bytes]) -> None:
        """Take note of what the copy says of the awaited items. What is in it as it was received is awaited no more."""
        for item_id, awaited in asked.items():
            if contents.get(item_id) == awaited.content and self._awaited.get(item_id) is awaited:
                del self._awaited[item_id]

    def overdue(self, before: float) -> list[str]:
        """The items of which something was received before that moment, and is awaited still."""
        return [item_id for item_id, awaited in self._awaited.items() if awaited.at < before]

    def note(self, *, doubted: bool) -> None:
        """Take note of whether the database says that something is in doubt."""
        self.doubted = doubted

    @contextmanager
    def handing_over(self) -> Iterator[None]:
        """Within this, doubts are on their way to the worker that owns the node."""
        self._handing_over += 1
        try:
            yield
        finally:
            self._handing_over -= 1

    def forget(self) -> None:
        """Forget the reasons, because the owner changed: what was received is listed, or the database says it. What is
        being handed over goes on."""
        self.doubted = False
        self._awaited.clear()
