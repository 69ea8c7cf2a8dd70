"""The tools of `make programs` count the requests that pass, and say rightly what holds of what is claimed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.programs import page
from tests.programs.results import Measured, Read, Start
from tests.programs.starting import Record
from tests.programs.tap import Passed, Tap
from tests.programs.traces import trace
from tests.programs.wire import Kind, Request, count, read_request

PUBSUB = "http://jabber.org/protocol/pubsub"
READ = f"<iq type='get' to='pubsub.localhost' id='r1'><pubsub xmlns='{PUBSUB}'><items node='verona'/></pubsub></iq>"


# What a request is


@pytest.mark.parametrize(
    ("payload", "kind", "what", "node"),
    [
        (f"<pubsub xmlns='{PUBSUB}'><items node='n'/></pubsub>", Kind.ITEMS, "items", "n"),
        (f"<pubsub xmlns='{PUBSUB}'><subscriptions/></pubsub>", Kind.SUBSCRIPTIONS, "subscriptions", ""),
        (f"<pubsub xmlns='{PUBSUB}'><subscribe node='n' jid='j@x'/></pubsub>", Kind.SUBSCRIBE, "subscribe", "n"),
        (f"<pubsub xmlns='{PUBSUB}'><publish node='n'><item/></publish></pubsub>", Kind.WRITE, "publish", "n"),
        (f"<pubsub xmlns='{PUBSUB}'><default/></pubsub>", Kind.PUBSUB, "default", ""),
        (f"<pubsub xmlns='{PUBSUB}#owner'><subscriptions node='n'/></pubsub>", Kind.PUBSUB, "subscriptions", "n"),
        (f"<query xmlns='{PUBSUB[:-6]}disco#info' node='n'/>", Kind.INFO, "", "n"),
        (f"<query xmlns='{PUBSUB[:-6]}disco#items'/>", Kind.LIST, "", ""),
        ("<query xmlns='jabber:iq:roster'/>", Kind.OTHER, "query (jabber:iq:roster)", ""),
        ("", Kind.OTHER, "nothing", ""),
    ],
)
def test_a_request_is_counted_as_what_it_asks_for(payload: str, kind: Kind, what: str, node: str) -> None:
    request = read_request(f"<iq type='set' to='x' id='1'>{payload}</iq>".encode())
    assert request is not None
    assert (request.kind, request.node, request.to, request.id) == (kind, node, "x", "1")
    assert what in request.what


def test_a_request_in_another_account_s_name_is_counted_as_what_is_in_it() -> None:
    inner = READ.replace("<iq ", "<iq xmlns='jabber:client' ")
    outer = f"<privileged_iq xmlns='urn:xmpp:privilege:2'>{inner}</privileged_iq>"
    request = read_request(f"<iq type='get' to='juliet@x' id='p'>{outer}</iq>".encode())
    assert request == Request("p", Kind.ITEMS, "items", "pubsub.localhost", "verona")


def test_a_request_for_a_part_of_a_node_says_which() -> None:
    page = "<set xmlns='http://jabber.org/protocol/rsm'><max>40</max><before/></set>"
    items = "<items node='n' max_items='3'><item id='a'/><item id='b'/></items>"
    request = read_request(f"<iq type='get' id='1'><pubsub xmlns='{PUBSUB}'>{items}{page}</pubsub></iq>".encode())
    assert request == Request("1", Kind.ITEMS, "items", "", "n", ("a", "b"), "max_items 3, max 40, before")


@pytest.mark.parametrize(
    "stanza",
    [
        "<stream:stream to='x'>",
        "</stream:stream>",
        " ",
        "<presence/>",
        "<iq type='result' id='1'/>",
        f"<message><pubsub xmlns='{PUBSUB}'><items node='n'/></pubsub></message>",
    ],
)
def test_what_is_no_request_is_not_counted(stanza: str) -> None:
    assert read_request(stanza.encode()) is None


# What passes the tap


async def test_the_tap_counts_what_the_program_sends_however_it_is_cut() -> None:
    received = asyncio.Event()
    answer = b"<stream:stream><iq type='get' id='s1'><ping xmlns='urn:xmpp:ping'/></iq>"
    sent = (
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
        f"{READ}<presence/>{READ.replace('r1', 'r2')}<iq type='result' id='s1'/></stream:stream>"
    ).encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        assert await reader.readexactly(len(sent)) == sent
        received.set()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        tap = Tap(server.sockets[0].getsockname()[1])
        await tap.open()
        try:
            reader, writer = await asyncio.open_connection(tap.host, tap.port)
            for place in range(0, len(sent), 7):
                writer.write(sent[place : place + 7])
                await writer.drain()
            await received.wait()
            assert await reader.readexactly(len(answer)) == answer
            writer.close()
        finally:
            await tap.close()
    assert [(passed.request.id, passed.request.kind) for passed in tap.passed] == [
        ("r1", Kind.ITEMS),
        ("r2", Kind.ITEMS),
    ]


def test_counts_name_every_kind() -> None:
    request = Request("1", Kind.INFO, "query", "x", "")
    assert count(iter([request, request])) == dict.fromkeys(Kind, 0) | {Kind.INFO: 2}


# What a program's process writes of itself


def test_a_record_is_taken_in_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "record.jsonl"
    record = Record(file)
    assert record.take_in() == []
    lines = [
        {"read": "r1", "xml": READ},
        {"own": "o1"},
        {"answer": "r1", "origin": "copy", "stale": True, "items": [["a", "x"]]},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    file.write_text(text[:-10])
    assert record.take_in() == []
    assert ([read.origin for read in record.reads], record.own) == (["nothing"], {"o1"})
    file.write_text(text)
    assert record.take_in() == [Read("r1", READ, "copy", stale=True, items=[["a", "x"]])]
    assert record.take_in() == []


# What is claimed


def start(requests: int, *origins: str, same: bool | None = None) -> Start:
    """A start with so many requests, and reads of these origins."""
    passed = [Passed(0.0, Request(str(number), Kind.ITEMS, "items", "x", "n")) for number in range(requests)]
    reads = [Read(f"r{n}", READ.replace("r1", f"r{n}"), origin, items=[["a", "x"]]) for n, origin in enumerate(origins)]
    for read in reads:
        read.same = same if read.origin == "copy" else None
    return Start(passed=passed, reads=reads)


def measured(*with_it: Start, offline: Start | None = None) -> Measured:
    """Beside three starts of three requests each."""
    return Measured("poezio", [start(3)] * 3, list(with_it), offline)


def test_one_request_more_in_one_start_is_more() -> None:
    assert measured(start(3), start(2), start(0)).never_more
    assert not measured(start(3), start(4), start(0)).never_more


def test_what_comes_after_the_first_minute_is_counted_by_itself() -> None:
    long = start(4)
    long.began, long.own = 95.0, {"1", "3"}
    long.passed = [Passed(at, passed.request) for at, passed in zip((100, 159.9, 160, 170), long.passed, strict=True)]
    assert (long.requests, long.own_requests, long.later) == (2, 1, 2)
    assert measured(long, start(3), start(3)).never_more


@pytest.mark.parametrize(
    ("second", "third", "profits"),
    [
        (("copy", "service"), ("copy",), True),
        (("copy", "copy", "copy"), ("service",), False),
        (("copy", "service", "service"), ("copy", "service"), False),
        (("copy",), (), True),
        ((), (), False),
    ],
    ids=["more than half", "a start without", "less than half", "a start that reads nothing", "no reads"],
)
def test_half_of_the_reads_and_one_of_each_start(
    second: tuple[str, ...], third: tuple[str, ...], profits: bool
) -> None:
    assert measured(start(1, "service"), start(1, *second), start(1, *third)).profits is profits


def test_one_answer_otherwise_is_not_the_same() -> None:
    right, wrong = start(0, "copy", same=True), start(0, "copy", same=False)
    assert measured(right, right, right).same
    assert not measured(right, wrong, right).same


def test_offline_what_was_read_before_is_answered() -> None:
    online = start(1, "service")
    other = start(0, "error")
    other.reads[0].xml = other.reads[0].xml.replace("verona", "elsewhere")
    other.reads[0].items = None
    unanswered = start(0, "error")
    unanswered.reads[0].items = None
    assert measured(online, offline=start(0, "copy")).answers_offline is True
    assert measured(online, offline=other).answers_offline is True
    assert measured(online, offline=unanswered).answers_offline is False
    assert measured(online, offline=start(0)).answers_offline is None


def test_the_page_says_what_holds_and_what_does_not() -> None:
    online = start(1, "copy", same=True)
    said = page.tables([measured(online, start(4, "service"), online, offline=start(0))], 70)
    assert "| poezio 0.18 | **no** | **no** | yes | reads nothing |" in said
    assert "| 2 | 3 | 4 | 0 | 0 | 0 | 1 | 0 | - |" in said
    assert "| items of a node | 3 / 1 | 3 / 4 | 3 / 1 |" in said


def test_a_trace_names_each_request_and_each_read_that_none_was_sent_for() -> None:
    asked = 'n0:iq xmlns:n0="jabber:client" id="r9" type="get" to="pubsub.localhost"'  # as a record has it
    hit = Read("r9", READ.replace("iq type='get' to='pubsub.localhost' id='r1'", asked).replace("/iq", "/n0:iq"))
    hit.origin, hit.items, hit.same = "copy", [["a", "x"]], True
    with_it = start(1)
    with_it.reads, with_it.own = [hit], {"0"}
    said = trace(Measured("poezio", [start(1)], [with_it]))
    assert "0.000 s  NEWSSTAND  items 'n' of x" in said
    assert "no IQ  program    items 'verona' of pubsub.localhost   <- copy, 1 items, as the service has it" in said


def test_a_program_that_could_not_be_measured_is_named() -> None:
    said = page.tables([Measured("slidge", [], [], missing="Python 3.13 is not there")], 70)
    assert "Not measured: Python 3.13 is not there." in said
    assert "| slidge" not in said
