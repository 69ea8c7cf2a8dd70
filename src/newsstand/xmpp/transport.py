"""The port that an XMPP library is adapted to: requests, messages and the session, as XML. The layers of a library
above the XML lose data."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Literal, Protocol
from xml.etree.ElementTree import Element

from newsstand.model import Provenance


class Session(enum.StrEnum):
    """The state of the XMPP session, as the adapter reports it."""

    FRESH = "fresh"
    """A new session that receives events. Everything since the last one ended is lost."""
    RESUMED = "resumed"
    """The old session goes on (XEP-0198); nothing was lost."""
    DEAF = "deaf"
    """A session on which requests are answered and events do not arrive: no presence was sent yet, or none that is
    available and of a priority that is not negative (RFC 6121, 8.5.2)."""
    LOST = "lost"
    """No session."""


class Transport(Protocol):
    """An XMPP library, as Newsstand uses it. An adapter promises:

    - `own_jid` is the bare JID of the account (of a component: its own), also before the first session;
    - `iq` sends at once, in the order of calls, among the program's own stanzas; it returns the whole result
      `<iq/>`, whose tree is the caller's; it raises StanzaError, Timeout after `timeout` seconds, or Disconnected
      as soon as the stream is down. A request of ours never comes back to us as a program's request. `on_answer` is
      called at the moment when a result arrives, before the listeners of any later message: by the time that
      whoever awaits `iq` goes on, more may have come.
    - `deliver` hands the program a `<message/>` that its service did not send now, as if it had come: nothing of the
      stream notices. The program finds on it, as on an answer of the copy, what it was made of.
    - listeners of `on_message` are called synchronously for every `<message/>`, in the order of arrival, before
      the program's own handlers and before a later IQ's result is delivered; they must not raise;
    - listeners of `on_session` are called for each transition, LOST being where it begins. FRESH and RESUMED say that
      events reach us; after DEAF only FRESH may follow.
    """

    @property
    def own_jid(self) -> str: ...

    @property
    def is_component(self) -> bool: ...

    async def iq(
        self,
        type: Literal["get", "set"],
        to: str,
        payload: Element,
        *,
        ifrom: str | None = None,
        timeout: float | None = None,
        on_answer: Callable[[], None] | None = None,
    ) -> Element: ...

    def deliver(self, message: Element, made_of: Provenance) -> None: ...

    def on_message(self, listener: Callable[[Element], None]) -> None: ...

    def on_session(self, listener: Callable[[Session], None]) -> None: ...
