"""Asks something by an IQ of our own, and takes for the answer only what its addressee sent.

slixmpp itself compares the sender as it is spelt, and takes the answer of a whole domain, or of the own server, for
anybody's on it: a spelling of the service's own would be waited for in vain, and an error of another entity with the
right id (hostile input: a guessed one) be believed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element

from slixmpp.jid import JID
from slixmpp.stanza import Iq
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher.base import MatcherBase
from slixmpp.xmlstream.stanzabase import StanzaBase

from newsstand.jid import canonical_bare
from newsstand.xmpp.senders import is_from

Arrived = Callable[[Element], None]


class AnswerTo(MatcherBase):
    """A result or an error with the id of a request, from whom it was sent to."""

    def __init__(self, iq: Iq, account: str) -> None:
        super().__init__(iq["id"])
        self._to = iq.xml.get("to") or account
        self._service, self._account = canonical_bare(self._to), canonical_bare(account)

    def match(self, stanza: Any) -> bool:
        xml: Element = stanza.xml
        if xml.get("id") != self._criteria or xml.get("type") not in ("result", "error"):
            return False
        return is_from(xml, self._service, self._account) or self._is_alike(xml.get("from") or "")

    def _is_alike(self, sender: str) -> bool:
        """Whether slixmpp takes the sender for the one that was asked, though we do not: whoever asked can say so."""
        try:
            return bool(sender) and JID(sender) == JID(self._to)
        except ValueError:  # one of them is no JID
            return False


def ask(iq: Iq, account: str, arrived: Arrived) -> Callable[[], None]:
    """Send the request, in this call, for an account. `arrived` is called with the whole answer at the moment when it
    comes. Returns what is to be called when nobody waits for it any more. Raises as `StanzaBase.send`."""
    name = f"newsstand {iq['id']}"
    stream: Any = iq.stream
    stream.register_handler(Callback(name, AnswerTo(iq, account), lambda stanza: arrived(stanza.xml), once=True))

    def forget() -> None:
        stream.remove_handler(name)

    try:
        StanzaBase.send(iq)
    except BaseException:
        forget()
        raise
    return forget


async def answer_to(
    iq: Iq, account: str, arrived: Arrived, lost: asyncio.Future[None], timeout: float
) -> Element | None:
    """The whole answer to a request, a result or an error; None where `lost` was done before. `arrived` is called as by
    `ask`. Raises TimeoutError after so many seconds, and as `ask`."""
    answer: asyncio.Future[Element] = asyncio.get_running_loop().create_future()

    def take(xml: Element) -> None:
        if not answer.done():
            arrived(xml)
            answer.set_result(xml)

    forget = ask(iq, account, take)
    try:
        either: set[asyncio.Future[Any]] = {answer, lost}
        await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        forget()
    if answer.done():
        return answer.result()
    if lost.done():
        return None
    raise TimeoutError
