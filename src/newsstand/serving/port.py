"""The port for adapters: what an adapter in an XMPP library's stream may ask of an open replica. It is
`Replica.port`, which is None before the replica is open and after it is closed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from newsstand.errors import NewsstandError, StanzaError
from newsstand.model import ItemsRequest, WriteRequest
from newsstand.serving.own_writes import Write
from newsstand.serving.steps import Ask, End, Pending, Rows, Served, Step

Spelt = Sequence[str | None]
"""How the program spells the JIDs of the service and of the account in a request; None where it names none."""


class Port(NamedTuple):
    """Functions, all to be called in the replica's event loop. None of them waits but `go_on`, and none raises.

    An adapter recognises the program's requests (`newsstand.xmpp.requests`). For a read it calls `read`, and does what
    the step says:

    - None: the request is no business of ours, and is sent as if there were no replica.
    - Served: hand the copy's answer over; where that takes a while, ask `find_change` right before.
    - Repeated: hand the error over that the refusal holds.
    - Rows, Wait, Lend, Join: call `go_on`, and do what it returns.
    - Ask: send the request. Call `replied` or `failed` with what comes, however late, and before the program
      gets it. With a
      `patience`, call `fall_back` where `failed` says so, where no answer comes within so many seconds or the program's
      own time, and where the stream ends. Do what that returns, if it is not an Ask. For a read in another account's
      name (`ItemsRequest.privileged`) only `failed` is called, with the service's own error and without an `<iq/>`.

    Around a write it calls `begin_write` before it sends it and, where that returns one, `end_write`; before whatever
    else may change something at a service, `changing`.
    """

    read: Callable[[ItemsRequest, float, Spelt], Step | None]
    """Whom this read asks, for which the program has so many seconds. Decided at once: what is to be sent can be sent
    in the program's own call."""
    go_on: Callable[[Pending], Awaitable[End]]
    """Do what takes time. It takes no longer than until `Read.until`, unless the service cannot be asked."""
    fall_back: Callable[[Ask], Rows | Served | Ask]
    """The service does not answer. Ask: nor can the copy."""
    find_change: Callable[[Served], Step | None]
    """What is to be done where the copy's answer may not be handed over any more."""
    replied: Callable[[Ask, Element], None]
    """This `<iq/>` came, a result."""
    observed: Callable[[ItemsRequest, Spelt, Element, StanzaError | None], None]
    """This `<iq/>` came for a read that was sent before there was a port: a result, or this error."""
    failed: Callable[[Ask, NewsstandError, Element | None], bool]
    """This error came, with the `<iq/>` that brought it, or none did in time. Whether the copy may fall back."""
    changing: Callable[[str], None]
    """The program changes something at this service."""
    begin_write: Callable[[WriteRequest, Spelt], Write | None]
    """The program sends a write of its own, now: until `end_write`, reads of that node ask the service."""
    end_write: Callable[[Write, Element | StanzaError | None], None]
    """The service acknowledged it, refused it, or nobody knows (None)."""
