"""A stream that brings a DTD is refused before anything of it is parsed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from xml.etree.ElementTree import ParseError, XMLPullParser

import pytest
from slixmpp import ClientXMPP

from newsstand.slixmpp.prolog import Guard, guard, unguard

STREAM = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
DTD = "<!DOCTYPE stream:stream [<!ENTITY e 'expanded'>]>"


def read(texts: Iterable[str]) -> list[str]:
    """The tags of the elements that were parsed."""
    parser = Guard(XMLPullParser(("start", "end")))
    found = []
    for text in texts:
        parser.feed(text.encode())
        found += [element.tag.rpartition("}")[2] for event, element in parser.read_events() if event == "end"]
    return found


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize(
    "prolog",
    [
        DTD,
        f"<?xml version='1.0'?>{DTD}",
        "<!DOCTYPE stream:stream SYSTEM 'http://example.org/x.dtd'>",
        f"<?xml version='1.0'?>\n<!-- <a> -->{DTD}",
    ],
)
def test_a_dtd_before_the_first_element_is_refused(prolog: str, size: int) -> None:
    text = f"{prolog}{STREAM}<message><body>&e;</body></message>"
    with pytest.raises(ParseError, match="DTD"):
        read(text[start : start + size] for start in range(0, len(text), size))


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_dtd_in_the_middle_of_a_stream_is_refused(size: int) -> None:
    text = f"{STREAM}<message/>{DTD}<message><body>&e;</body></message>"
    with pytest.raises(ParseError):
        read(text[start : start + size] for start in range(0, len(text), size))


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("prolog", ["", "<?xml version='1.0'?>", "\n<!-- <!DOCTYPE a> -->\n"])
def test_every_other_stream_is_read_as_ever(prolog: str, size: int) -> None:
    text = f"{prolog}{STREAM}<message><body><![CDATA[<!DOCTYPE a>]]>&lt;!DOCTYPE&gt;</body></message><presence/>"
    pieces = (text[start : start + size] for start in range(0, len(text), size))
    assert read(pieces) == ["body", "message", "presence"]


def test_what_is_malformed_is_the_parser_s_own_to_refuse() -> None:
    for text in ("<a", "<a></b>", "\0", "<!x", "<?xml version='9'?><a/>"):
        parsers: list[Any] = [XMLPullParser(("end",)), Guard(XMLPullParser(("end",)))]
        outcomes = []
        for parser in parsers:
            parser.feed(text)
            try:
                outcomes.append(str([event for event, _ in parser.read_events()]))
            except ParseError as error:
                outcomes.append(str(error))
        assert outcomes[0] == outcomes[1]


async def test_each_stream_of_a_client_is_guarded_until_it_is_not() -> None:
    client: Any = ClientXMPP("juliet@example.org", "")
    guard(client)
    for _ in range(2):
        client.init_parser()
        assert isinstance(client.parser, Guard)
    unguard(client)
    client.init_parser()
    assert isinstance(client.parser, XMLPullParser)
