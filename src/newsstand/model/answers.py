"""What a program gets for a read or a search: items, and how far they can be trusted."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from newsstand.model.items import Item


class Origin(enum.StrEnum):
    """Where an answer came from."""

    COPY = "copy"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Rsm:
    """A `<set/>` of XEP-0059 in an answer. A field is None where the service left it out."""

    first: str | None = None
    last: str | None = None
    count: int | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where an answer came from, and how far it can be trusted. slixmpp programs find it as `iq.newsstand` on what the
    copy answered."""

    origin: Origin
    verified_at: int | None = None
    """When a finished listing, or the event stream since one, last vouched for it: in microseconds since the epoch.
    None for an answer of the service itself."""
    complete: bool
    """Whether the copy holds all of the node; of an answer of the service, whether all was asked for."""
    stale: bool = False
    """Whether nothing vouches for it now."""
    revision: int | None = None
    """The copy's, when it was read: `replica.watch` yields what came after. None for an answer of the service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Provenance):
    """What `replica.get_items` returns: items, and where they came from."""

    items: Sequence[Item]
    rsm: Rsm | None = None
    """The service's, where a page was asked for, or where it sends one along unasked."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the results of a search, newest first. `next` is the cursor for `after=`, None at the end. `total` is
    how many there are, counted up to 10,000."""

    items: Sequence[Item]
    next: int | None
    total: int
