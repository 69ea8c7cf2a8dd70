"""The states that a program's read goes through. They are frozen and have no functions: `newsstand.serving.driver`
says which one follows which."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from newsstand.model import ItemsRequest, Policy, Provenance, Rsm
from newsstand.rules.policy import Serve
from newsstand.rules.refusals import Refusal
from newsstand.state.copies import Copy
from newsstand.state.lent_read import LentRead


class Form(enum.Enum):
    """What the items of an answer are read as."""

    TEXTS = enum.auto()
    """Their XML, for an adapter, which puts the service's own answer together of it."""
    ITEMS = enum.auto()
    """`newsstand.model.Item`s, for `Replica.get_items`."""


class Basis(NamedTuple):
    """How a copy stands at one moment: two that are equal mean that nothing was received or stored between, and that
    it did not change hands."""

    received: int
    revision: int
    owned: bool


@dataclass(frozen=True, slots=True)
class Read:
    """One read of a program, as long as it lasts."""

    request: ItemsRequest
    until: float
    """A time by the event loop's clock. Until then the copy is waited for; afterwards the service is asked, or the copy
    answers, stale."""
    form: Form = Form.TEXTS
    policy: Policy | None = None
    """None, as for `max_age`: what the node's analyser says."""
    max_age: float | None = None


# What somebody must do --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a copy are to be read."""

    read: Read
    copy: Copy
    basis: Basis
    """What must be so still when they are there."""
    serve: Serve | None
    """What they are to be served as; None: they are to say first how another worker's copy stands."""
    asked: int = 0
    """The ticket of that."""
    hopes: bool = True
    """The decision hopes that all items that are asked for are there, and that the cursors in the answer's `<set/>` are
    known. If the rows do not say so, it is made without that hope."""
    again: bool = False
    """The node changed while rows were read before: this is the one further try."""
    fallback: Ask | None = None
    """The request in whose place they answer."""
    in_thread: bool = False
    """Whether they are many: to read them in the event loop would block it."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Notifications have arrived that are not stored yet."""

    read: Read
    copy: Copy
    again: bool = False
    """Whether this is the one further try, as in `Rows`."""


@dataclass(frozen=True, slots=True)
class Ask:
    """The service is to be asked."""

    read: Read
    why: str
    """The reason, for people."""
    patience: float | None = None
    """Seconds for which its answer is waited for before the copy falls back for it; None: it cannot."""
    basis: Basis | None = None
    """How the copy stood when the service was asked; None where its answer cannot be compared with a copy."""
    lent: LentRead | None = None
    """The listing that takes the service's answer."""


@dataclass(frozen=True, slots=True)
class Lend:
    """The service is to be asked, once we are subscribed to the node: its answer is at the same time the node's
    listing."""

    read: Read
    lent: LentRead


@dataclass(frozen=True, slots=True)
class Join:
    """The service was just asked for the whole node, by another read: what that lists may answer this one, too."""

    read: Read
    lent: LentRead


# Ends -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Served:
    """The copy's answer."""

    read: Read
    copy: Copy
    found: Sequence[Any]
    """Texts or items: see `Form`."""
    rsm: Rsm | None
    made_of: Provenance
    names_sender: bool
    """Whether the service names itself in the answers to an account that is its own (RFC 6120, 10.3.3)."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """The service answered the same with this error a moment ago."""

    read: Read
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Refused:
    """Only the copy was asked, and it cannot answer."""

    read: Read
    reason: str


End = Ask | Served | Repeated | Refused
Pending = Rows | Wait | Lend | Join
"""What takes time."""
Step = Pending | End
