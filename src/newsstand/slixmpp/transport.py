"""The port of `newsstand.xmpp.transport`, on a slixmpp client or component."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Literal
from xml.etree.ElementTree import Element

from slixmpp.stanza import Iq, Message, Presence
from slixmpp.xmlstream.xmlstream import NotConnectedError

from newsstand.errors import Disconnected, StanzaError, Timeout
from newsstand.model import Provenance
from newsstand.slixmpp import prolog
from newsstand.slixmpp.asking import answer_to
from newsstand.xmpp.transport import Session

log = logging.getLogger(__name__)

LONGEST = 120.0
"""Seconds that an answer is waited for where nobody says how long, as slixmpp does."""
_STANZAS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"


class SlixmppTransport:
    """A slixmpp stream as `newsstand.xmpp.transport.Transport`, where its promises are."""

    def __init__(self, xmpp: Any) -> None:
        self.xmpp = xmpp
        self._message_listeners: list[Callable[[Element], None]] = []
        self._session_listeners: list[Callable[[Session], None]] = []
        self._present = False
        self._heard = False
        """Whether events reached us in the session that is, or was last."""
        self._session = Session.LOST
        self._lost: asyncio.Future[None] | None = None
        if xmpp.session_bind_event.is_set():
            # Registered in the middle of a session: slixmpp knows the last presence that was broadcast. It keeps that
            # over a reconnection, too, whose presence every program sends again.
            last = xmpp.roster[xmpp.boundjid].last_status
            self._present = self.is_component or (last is not None and _is_available(last.xml))
            self._heard = self._present
            self._session = Session.FRESH if self._present else Session.DEAF
        prolog.guard(xmpp)
        xmpp.add_filter("in", self._incoming)
        xmpp.add_filter("out_sync", self._outgoing)
        for event, handler in self._handlers():
            xmpp.add_event_handler(event, handler)

    def _handlers(self) -> list[tuple[str, Callable[[Any], None]]]:
        return [
            ("session_start", self._on_start),
            ("session_resumed", self._on_resumed),
            ("disconnected", self._on_lost),
            ("session_end", self._on_lost),
        ]

    def close(self) -> None:
        """Take all hooks out again."""
        prolog.unguard(self.xmpp)
        for event, handler in self._handlers():
            self.xmpp.del_event_handler(event, handler)
        for mode, hook in (("in", self._incoming), ("out_sync", self._outgoing)):
            try:
                self.xmpp.del_filter(mode, hook)
            except ValueError:
                continue  # closed twice
        self._message_listeners.clear()
        self._session_listeners.clear()

    @property
    def own_jid(self) -> str:
        bound = self.xmpp.boundjid.bare
        return str(bound or self.xmpp.requested_jid.bare)

    @property
    def is_component(self) -> bool:
        return bool(self.xmpp.is_component)

    @property
    def session(self) -> Session:
        return self._session

    @property
    def is_coming(self) -> bool:
        """Whether the client has a connection, or is about to: `connect` was called."""
        # slixmpp says nothing in public of an attempt that is under way.
        return bool(self.xmpp.is_connected() or getattr(self.xmpp, "_current_connection_attempt", None) is not None)

    async def iq(
        self,
        type: Literal["get", "set"],
        to: str,
        payload: Element,
        *,
        ifrom: str | None = None,
        timeout: float | None = None,
        on_answer: Callable[[], None] | None = None,
    ) -> Element:
        if self._session is Session.LOST:
            raise Disconnected("there is no session with the server")
        iq = Iq(self.xmpp, sto=to, stype=type, sfrom=ifrom)  # not the stream's factory: the trigger stays out
        iq.xml.append(payload)

        def hand_on(answer: Element) -> None:
            if on_answer is not None and answer.get("type") == "result":
                on_answer()

        seconds = LONGEST if timeout is None else timeout
        try:
            answer = await answer_to(iq, ifrom or self.own_jid, hand_on, self._lost_future(), seconds)
        except NotConnectedError as error:
            raise Disconnected("there is no stream") from error
        except TimeoutError as error:
            raise Timeout(f"no answer from {to} within {seconds:g} s") from error
        if answer is None:
            raise Disconnected("the stream ended before the answer came")
        if answer.get("type") == "error":
            raise stanza_error(answer)
        return answer

    def _lost_future(self) -> asyncio.Future[None]:
        if self._lost is None or self._lost.done():
            self._lost = asyncio.get_running_loop().create_future()
        return self._lost

    def deliver(self, message: Element, made_of: Provenance) -> None:
        stanza: Any = Message(self.xmpp, xml=_in_namespace(message, self.xmpp.default_ns))
        stanza.newsstand = made_of
        # As `recv_stanza` does, without the filters: XEP-0198 counts there what the server sent.
        handlers: list[Any] | None = getattr(self.xmpp, "_XMLStream__handlers", None)
        if handlers is None:
            log.warning("a notification cannot be handed over: this slixmpp keeps its handlers elsewhere")
            return
        for handler in [handler for handler in handlers if handler.match(stanza)]:
            handler.prerun(stanza)
            try:
                handler.run(stanza)
            except Exception as error:  # the program's, which gets it as of any message
                stanza.exception(error)
            if handler.check_delete() and handler in handlers:
                handlers.remove(handler)

    def on_message(self, listener: Callable[[Element], None]) -> None:
        self._message_listeners.append(listener)

    def on_session(self, listener: Callable[[Session], None]) -> None:
        self._session_listeners.append(listener)
        if self._session is not Session.LOST:
            listener(Session.FRESH if self._present else Session.DEAF)

    # Hooks into slixmpp. None of them may raise, and the filters must hand on what they got: a stanza that
    # vanished here would not be counted by XEP-0198.

    def _incoming(self, stanza: Any) -> Any:
        if isinstance(stanza, Message):
            for listener in self._message_listeners:
                try:
                    listener(stanza.xml)
                except Exception:  # a fault of ours must not cost the program its message
                    log.exception("a message could not be read")
        return stanza

    def _outgoing(self, stanza: Any) -> Any:
        if isinstance(stanza, Presence) and not stanza.xml.get("to"):
            if stanza.xml.get("type") not in (None, "unavailable"):
                return stanza
            self._present = _is_available(stanza.xml)
            if self._session is not Session.LOST:
                self._announce(Session.FRESH if self._present else Session.DEAF)
        return stanza

    def _on_start(self, _: Any) -> None:
        # A component gets its messages without presence; a client's earlier presence died with its session.
        self._present = self.is_component
        self._announce(Session.LOST)
        self._announce(Session.FRESH if self._present else Session.DEAF)

    def _on_resumed(self, _: Any) -> None:
        if not self._present:
            self._announce(Session.DEAF)
        else:
            # Where the session was deaf before, its resumption brings nothing of what it did not hear.
            self._announce(Session.RESUMED if self._heard else Session.FRESH)

    def _on_lost(self, _: Any) -> None:
        self._announce(Session.LOST)

    def _announce(self, session: Session) -> None:
        if session is not Session.LOST:
            self._heard = session is not Session.DEAF
        went_on = session is Session.FRESH and self._session is Session.RESUMED
        if session is self._session or went_on:
            return  # presence sent again in a session that receives events already
        self._session = session
        if session is Session.LOST and self._lost is not None and not self._lost.done():
            self._lost.set_result(None)
        for listener in self._session_listeners:
            try:
                listener(session)
            except Exception:  # a fault of ours must not end the program's session
                log.exception("the session's change could not be followed")


def _in_namespace(message: Element, namespace: str) -> Element:
    """The same `<message/>` in the stream's namespace."""
    message.tag = f"{{{namespace}}}message"
    return message


def _is_available(presence: Element) -> bool:
    """Whether a server sends events to whom broadcast this: not below priority 0 (RFC 6121, 8.5.2)."""
    return presence.get("type") is None and _priority(presence) >= 0


def _priority(presence: Element) -> int:
    for child in presence:
        if child.tag.endswith("}priority"):
            try:
                return int(child.text or 0)
            except ValueError:
                return 0
    return 0


def stanza_error(iq: Element) -> StanzaError:
    """An error `<iq/>` as ours (RFC 6120, 8.3)."""
    for error in iq:
        if error.tag.rpartition("}")[2] != "error":
            continue
        condition, app_condition, text = "undefined-condition", None, ""
        for child in error:
            if child.tag == f"{_STANZAS}text":
                text = child.text or ""
            elif child.tag.startswith(_STANZAS):
                condition = child.tag[len(_STANZAS) :]
            else:
                app_condition = child.tag.rpartition("}")[2]
        return StanzaError(error.get("type") or "cancel", condition, app_condition, text)
    return StanzaError("cancel", "undefined-condition")
