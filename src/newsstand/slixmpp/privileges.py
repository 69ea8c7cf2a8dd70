"""What servers allow the program to ask in the names of their accounts (XEP-0356), in the session that is, or was
last."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree.ElementTree import Element

from newsstand.jid import canonical
from newsstand.model import NS_PUBSUB
from newsstand.xmpp.privilege import read_permissions
from newsstand.xmpp.transport import Session


class Privileges:
    """Remembers what each server announced, until the next session begins: between two, only a copy can answer, and
    nobody says otherwise. What was not announced is not allowed."""

    def __init__(self) -> None:
        self._allowed: dict[str, Mapping[str, str]] = {}
        self._ended = False

    def receive(self, message: Element) -> None:
        """Take in a message: the server itself announces its privileges, for its own accounts."""
        permissions = read_permissions(message)
        sender = message.get("from")
        if permissions is not None and sender:
            self._allowed[canonical(sender)] = permissions

    def on_session(self, session: Session) -> None:
        """The stream's session changed. Servers announce when one begins, not where it is resumed."""
        if self._ended and session not in (Session.LOST, Session.RESUMED):
            self._allowed.clear()
        self._ended = session is Session.LOST

    def may_read(self, account: str) -> bool:
        """Whether the program may read pubsub nodes in this account's name."""
        permissions = self._allowed.get(account.rpartition("@")[2], {})
        return permissions.get(NS_PUBSUB) in ("get", "both")
