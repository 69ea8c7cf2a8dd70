"""What servers allow the program to ask in the names of their accounts (XEP-0356), in the session that is, or was
last."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from newsstand.jid import canonical
from newsstand.model import NS_PUBSUB
from newsstand.xmpp.privilege import read_permissions
from newsstand.xmpp.transport import Session

MOST = 100
"""Servers of which it is remembered what they allow: anybody may send what looks like an announcement."""


class Privileges:
    """Remembers what each server announced, until the next session begins: between two, only a copy can answer, and
    nobody says otherwise. What was not announced is not allowed."""

    def __init__(self) -> None:
        self._allowed: set[str] = set()
        """The servers that let the program read pubsub nodes."""
        self._ended = False

    def receive(self, message: Element) -> None:
        """Take in a message: the server itself announces its privileges, for its own accounts."""
        permissions = read_permissions(message)
        sender = message.get("from")
        if permissions is None or not sender or "@" in sender or "/" in sender:
            return
        server = canonical(sender)
        if permissions.get(NS_PUBSUB) not in ("get", "both"):
            self._allowed.discard(server)
        elif len(self._allowed) < MOST:
            self._allowed.add(server)

    def on_session(self, session: Session) -> None:
        """The stream's session changed. Servers announce when one begins, not where it is resumed."""
        if self._ended and session not in (Session.LOST, Session.RESUMED):
            self._allowed.clear()
        self._ended = session is Session.LOST

    def may_read(self, account: str) -> bool:
        """Whether the program may read pubsub nodes in this account's name."""
        return account.rpartition("@")[2] in self._allowed
