"""The items of a listing while it is under way: their XML in a temporary file, what is often needed of them in memory.
So a listing takes a settled amount of memory, however large its node is."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

from newsstand.errors import DatabaseError
from newsstand.model import DIGEST_BYTES, Digests, SeenItem

IN_MEMORY = 1 << 20
"""Bytes of XML above which they are kept in a file."""
ID_CHARACTERS = 16 << 20
"""Characters of all item ids of a listing together: these are kept in memory."""


class Spool(Sequence["SpooledItem"]):
    """Items in the order in which they were added; each can be read as often as needed.

    The file has no name, and is gone when this is closed, or when the process ends. It lies in `folder`, which has the
    room that the items need anyway; None: where temporary files go on this machine. Not thread-safe: one listing adds,
    then one thread reads.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.ids: list[str] = []
        self.bytes = 0
        """The size of all items' XML."""
        self.id_characters = 0
        self.nameless = self.repeated = False
        """Whether an item came without an id, or an id twice."""
        self.shown_publishers: set[bool] = set()
        """Whether items name their publisher: True, False, or both."""
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY, dir=None if folder is None else str(folder))  # noqa: SIM115  # closed with the spool
        self._names: set[str] = set()
        self._digests = bytearray()
        self._ends = array("Q")
        self._publisher_bytes = array("L")
        self._quarantine: dict[int, str] = {}
        self._reasons: dict[str, str] = {}

    def add(self, item: SeenItem) -> None:
        """Keep one more item. Raises DatabaseError where the disk is full."""
        publisher = (item.publisher or "").encode()
        text = publisher + item.xml.encode()
        try:
            self._file.write(text)
        except OSError as error:
            raise DatabaseError(f"a listing could not be kept in a temporary file: {error.strerror}") from error
        self.shown_publishers.add(item.publisher is not None)
        if item.quarantine is not None:
            self._quarantine[len(self.ids)] = self._reasons.setdefault(item.quarantine, item.quarantine)
        self.nameless |= not item.id
        self.repeated |= item.id in self._names
        self._names.add(item.id)
        self.ids.append(item.id)
        self.id_characters += len(item.id)
        self.bytes += len(text) - len(publisher)
        self._digests += b"".join(item.digests)
        self._ends.append((self._ends[-1] if self._ends else 0) + len(text))
        self._publisher_bytes.append(len(publisher))

    def add_up_to(self, items: Iterable[SeenItem], *, most: int, most_bytes: int) -> bool:
        """Keep these items, too, unless more than so many are kept then, or so many bytes of XML, or too long ids.
        Returns whether it took all of them; the caller refuses the node else. Raises as `add`."""
        for item in items:
            if len(self.ids) > most or self.bytes > most_bytes or self.id_characters > ID_CHARACTERS:
                return False
            self.add(item)
        return True

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, at: int) -> SpooledItem: ...
    @overload
    def __getitem__(self, at: slice) -> list[SpooledItem]: ...
    def __getitem__(self, at: int | slice) -> SpooledItem | list[SpooledItem]:
        if isinstance(at, slice):
            return [SpooledItem(self, place) for place in range(*at.indices(len(self)))]
        return SpooledItem(self, range(len(self))[at])

    def __iter__(self) -> Iterator[SpooledItem]:
        return (SpooledItem(self, at) for at in range(len(self)))

    def same_as(self, other: Spool) -> bool:
        """Whether both hold the same items, with the same contents, in the same order."""
        return self.ids == other.ids and self._digests == other._digests

    def close(self) -> None:
        """Give the room back. Nothing can be read any more."""
        self._file.close()

    def __del__(self) -> None:
        # An interrupted listing is kept for when its session is resumed, and simply forgotten where it is not.
        self.close()

    # For its items

    def digests(self, at: int) -> Digests:
        start, payload = 3 * at * DIGEST_BYTES, (3 * at + 2) * DIGEST_BYTES
        return Digests(
            *(bytes(self._digests[of : of + DIGEST_BYTES]) for of in range(start, payload + 1, DIGEST_BYTES))
        )

    def quarantine(self, at: int) -> str | None:
        return self._quarantine.get(at)

    def size(self, at: int) -> int:
        return self._ends[at] - (self._ends[at - 1] if at else 0)

    def read(self, at: int) -> tuple[str | None, str]:
        """An item's publisher and XML."""
        size = self.size(at)
        self._file.seek(self._ends[at] - size)
        text = self._file.read(size)
        length = self._publisher_bytes[at]
        return text[:length].decode() or None, text[length:].decode()


class SpooledItem:
    """One item of a spool: what `newsstand.model.SeenItem` is, with its XML read when it is asked for."""

    __slots__ = ("_at", "_spool", "content_digest", "digest", "id", "payload_digest", "quarantine", "size")

    exact = True

    def __init__(self, spool: Spool, at: int) -> None:
        self._spool = spool
        self._at = at
        self.id = spool.ids[at]
        self.digest, self.content_digest, self.payload_digest = spool.digests(at)
        self.size = spool.size(at)
        self.quarantine = spool.quarantine(at)

    def read(self) -> tuple[str | None, str]:
        """Its publisher and XML."""
        return self._spool.read(self._at)
