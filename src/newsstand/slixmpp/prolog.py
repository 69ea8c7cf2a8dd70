"""Refuses a stream that brings a DTD (RFC 6120, 11.1): entities of its own could make items say anything, or a great
deal. In the middle of a stream no parser takes one; before its first element slixmpp's does.
"""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import ParseError
from xml.parsers import expat


class _Over(Exception):
    """There is nothing more to look at."""


class Guard:
    """Stands before a stream's parser, an `XMLPullParser`, and reads along until the first element began."""

    def __init__(self, parser: Any) -> None:
        self._parser = parser
        self._refused: ParseError | None = None
        self._prolog: Any = expat.ParserCreate()
        self._prolog.StartDoctypeDeclHandler = self._refuse
        self._prolog.StartElementHandler = self._begun

    def _refuse(self, *_: object) -> None:
        self._refused = ParseError("a stream must not have a DTD")
        raise _Over

    def _begun(self, *_: object) -> None:
        raise _Over

    def feed(self, data: bytes | str) -> None:
        """What is refused is not parsed at all."""
        if self._prolog is not None:
            try:
                self._prolog.Parse(data)
            except (_Over, expat.ExpatError):  # what is malformed, the parser itself says
                self._prolog = None
        if self._refused is None:
            self._parser.feed(data)

    def read_events(self) -> Any:
        """Raises ParseError where the stream is refused."""
        if self._refused is not None:
            raise self._refused
        return self._parser.read_events()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)


def guard(xmpp: Any) -> None:
    """Every stream that this client or component opens from now on."""
    init_parser = xmpp.init_parser

    def init_guarded() -> None:
        init_parser()
        xmpp.parser = Guard(xmpp.parser)

    xmpp.init_parser = init_guarded


def unguard(xmpp: Any) -> None:
    """Undoes what `guard` did. The stream that is open stays guarded."""
    xmpp.__dict__.pop("init_parser", None)
