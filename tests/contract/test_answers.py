"""Only the service's own answer, about the node that was asked for, is believed: each page, each list of ids, and what
a program's own reads bring (hostile input: S9, V7)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from xml.etree.ElementTree import Element, SubElement

import pytest

from newsstand.errors import ListingError, StanzaError
from newsstand.model import NS_PUBSUB, ItemsRequest, NodeKey, Origin, Policy, SyncState
from newsstand.rules.doubts import RELIST, Doubts
from newsstand.state.doubts import doubt
from newsstand.storage.database import Database
from newsstand.xmpp.transport import Session
from tests.fakes.program import NODE, Program, at_work, contents
from tests.fakes.service import JULIET, NOTE, SERVICE, Kind, Service, Stream
from tests.servers.quirks import QUIRKS

IDS = [f"i{number}" for number in range(6)]
PAGE = 2
STRANGERS = ["mallory@example.org", "pubsub.example.net", "example.org", JULIET, f"{SERVICE}/x", ""]
REQUEST = ItemsRequest(NodeKey(JULIET, SERVICE, NODE))


@pytest.fixture
async def program(database: Database) -> AsyncIterator[Program]:
    """It follows a node of six items, which its service lists by three pages."""
    service = Service(quirks=frozenset())
    service.create(NODE, *IDS)
    async with at_work(database, service, retry_first=30.0, page_size=PAGE) as program:
        await program.follow()
        yield program


def begin_session(program: Program) -> None:
    program.stream.turn(Session.LOST, Session.FRESH)


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("page", [0, 1, 2])
async def test_a_page_that_somebody_else_sent_is_not_believed(program: Program, page: int, stranger: str) -> None:
    program.service.mischief.answer_from("items", *[None] * page, stranger)
    begin_session(program)
    await _fails(program, f"answered instead of {SERVICE}")


@pytest.mark.parametrize("page", [0, 1, 2])
async def test_a_page_of_another_node_is_not_believed(program: Program, page: int) -> None:
    program.service.mischief.answer_about("items", *[None] * page, "other")
    begin_session(program)
    await _fails(program, "answered about node 'other' instead of 'blog'")


async def _fails(program: Program, why: str) -> None:
    """Its listing failed, for this reason, and the next one does not."""
    await program.settled()
    assert await program.served_live() is None
    record = program.copy().record
    assert record.state is SyncState.FAILED
    assert why in (record.reason or "")
    assert record.item_count == len(IDS)
    begin_session(program)
    await program.serves_live()


@pytest.mark.parametrize("kind", ["ids", "subscribe", "info"])
@pytest.mark.parametrize("lie", ["sender", "node"])
async def test_no_other_answer_is_believed_either(database: Database, kind: Kind, lie: str) -> None:
    service = Service(quirks=QUIRKS["prosody"])
    service.create(NODE, *IDS)
    async with at_work(database, service, retry_first=30.0) as program:
        _lie(service, kind, lie)
        await program.read()
        await program.settled()
        assert program.copy().record.state is SyncState.FAILED
        assert await program.served_live() is None
        begin_session(program)
        await program.settled()
        service.mischief.stop()
        begin_session(program)
        await program.serves_live()


def _lie(service: Service, kind: Kind, lie: str, times: int = 100) -> None:
    if lie == "sender":
        service.mischief.answer_from(kind, *["mallory@example.org"] * times)
    else:
        service.mischief.answer_about(kind, *["other"] * times)


@pytest.mark.parametrize("lie", ["sender", "node"])
async def test_nothing_is_learnt_of_a_service_from_what_it_did_not_answer(database: Database, lie: str) -> None:
    service = Service(quirks=QUIRKS["prosody"])
    service.create(NODE, *IDS)
    async with at_work(database, service, retry_first=30.0) as program:
        listed = service.hold("ids")
        await program.read()
        await listed.reached()
        _lie(service, "items", lie)
        listed.release()
        await program.settled()
        assert program.copy().record.state is SyncState.LIVE
        before = program.behaviour(SERVICE)
        service.mischief.stop()
        begin_session(program)
        await program.serves_live()
        assert program.behaviour(SERVICE) != before


@pytest.mark.parametrize("lie", ["sender", "node"])
async def test_an_item_that_is_asked_for_again_is_taken_from_the_service_alone(program: Program, lie: str) -> None:
    program.service.mischief.strip_payloads()
    _lie(program.service, "items", lie, times=1)
    program.service.publish(NODE, "i0", "the new text")
    await program.settled()
    assert await program.served_live() is None
    begin_session(program)
    await program.serves_live()


@pytest.mark.parametrize("lie", ["sender", "node"])
async def test_a_check_of_the_ids_counts_only_what_the_service_says(program: Program, lie: str) -> None:
    program.service.retract(NODE, "i0", told=False)
    doubt(program.copy(), Doubts(check_ids=True))
    _lie(program.service, "ids", lie, times=1)
    program.replica._open.synchroniser.want(program.copy())
    await program.settled()
    assert await program.served_live() is None
    begin_session(program)
    await program.serves_live()


@pytest.mark.parametrize("lie", ["sender", "node"])
async def test_the_copy_answers_where_somebody_else_does(program: Program, lie: str) -> None:
    """As where nobody does; without a copy there is nothing to tell."""
    doubt(program.copy(), RELIST)
    _lie(program.service, "items", lie)
    answer = await program.replica.get_items(SERVICE, NODE)
    assert (answer.origin, answer.stale) == (Origin.COPY, True)
    program.service.create("unknown", "x")
    with pytest.raises(ListingError):
        await program.replica.get_items(SERVICE, "unknown", policy=Policy.ONLY_SERVICE)


# What a program's own requests bring ------------------------------------------------------------------------------


def result(*ids: str, sender: str | None = SERVICE, node: str | None = NODE) -> Element:
    """An answer to a read, as it arrives at a program."""
    iq = Element("{jabber:client}iq", {"type": "result"} | ({} if sender is None else {"from": sender}))
    pubsub = SubElement(iq, f"{{{NS_PUBSUB}}}pubsub")
    items = SubElement(pubsub, f"{{{NS_PUBSUB}}}items", {} if node is None else {"node": node})
    for item_id in ids:
        item = SubElement(items, f"{{{NS_PUBSUB}}}item", {"id": item_id})
        SubElement(item, f"{{{NOTE}}}note").text = f"forged {item_id}"
    return iq


FORGED = [
    *({"sender": sender} for sender in (*STRANGERS, None)),
    {"node": "other"},
]


@pytest.mark.parametrize("forged", FORGED)
async def test_a_read_that_somebody_else_answered_says_nothing_of_a_live_copy(
    program: Program, forged: dict[str, str | None]
) -> None:
    ask = program.ask(REQUEST)
    requests = len(program.service.requests)
    program.port.replied(ask, result("forged", **forged))
    await program.settled()
    assert await program.served_live() == program.service.contents(NODE)
    assert len(program.service.requests) == requests


@pytest.mark.parametrize("forged", FORGED)
async def test_nothing_of_it_is_taken_over_by_a_stale_copy(program: Program, forged: dict[str, str | None]) -> None:
    program.stream.turn(Session.LOST, Session.DEAF)
    program.port.replied(program.ask(REQUEST), result("forged", **forged))
    await program.settled()
    answer = await program.replica.get_items(SERVICE, NODE, policy=Policy.ONLY_COPY)
    assert contents(answer) == program.service.contents(NODE)


@pytest.mark.parametrize("forged", FORGED)
async def test_no_node_is_followed_because_of_it(program: Program, forged: dict[str, str | None]) -> None:
    request = ItemsRequest(NodeKey(JULIET, SERVICE, "unknown"))
    wrong = result("forged", **{"node": "unknown"} | forged)
    program.port.replied(program.ask(request), wrong)
    await program.settled()
    assert {record.key.node for record in program.replica.nodes()} == {NODE}


async def test_an_answer_that_names_no_node_is_about_the_one_that_was_asked_for(program: Program) -> None:
    program.service.create("unnamed", "a")
    request = ItemsRequest(NodeKey(JULIET, SERVICE, "unnamed"))
    program.port.replied(program.ask(request), result("a", node=None))
    await program.serves_live("unnamed")


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_an_error_that_somebody_else_sent_closes_nothing(program: Program, stranger: str) -> None:
    stanza = Element("{jabber:client}iq", {"type": "error", "from": stranger})
    for condition in ("forbidden", "item-not-found", "remote-server-not-found"):
        for _ in range(3):
            program.port.failed(program.ask(REQUEST), StanzaError("auth", condition), stanza)
        assert program.replica._open.asking.find_refusal(REQUEST) is None
    await program.settled()
    assert await program.served_live() == program.service.contents(NODE)


@pytest.mark.parametrize("stranger", [name for name in STRANGERS if name])
async def test_a_write_that_somebody_else_acknowledged_is_looked_up(program: Program, stranger: str) -> None:
    write = program.write("publish", item=("i0", "never stored"))
    program.port.end_write(write, Element("{jabber:client}iq", {"type": "result", "from": stranger}))
    assert await program.served_live() is None
    await program.serves_live()


async def test_what_comes_from_nobody_is_the_own_account_s(database: Database) -> None:
    """So it is believed of the account's own service (XEP-0163), and in the name of its server, too."""
    service = Service()
    pep = service.add_account(JULIET)
    pep.create(NODE, "a").affiliations[JULIET] = "owner"
    stream = Stream(service)
    for sender in (JULIET, "Juliet@Example.org", "example.org", None):
        pep.mischief.answer_from("items", *[sender or ""] * 10)
        async with at_work(database, service) as program:
            answer = await program.replica.get_items(JULIET, NODE, policy=Policy.ONLY_SERVICE)
            assert [item.id for item in answer.items] == ["a"]
    for sender in ("mallory@example.org", "example.net", SERVICE):
        pep.mischief.answer_from("items", sender)
        async with at_work(database, service) as program:
            with pytest.raises(ListingError):
                await program.replica.get_items(JULIET, NODE, policy=Policy.ONLY_SERVICE)
    stream.close()
