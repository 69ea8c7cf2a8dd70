"""The trigger keeps each promise that slixmpp makes about a request, whoever answers it."""

from __future__ import annotations

import asyncio
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import slixmpp
from slixmpp.exceptions import IqError, IqTimeout

from newsstand import Origin
from newsstand.demo.servers.prosody import Prosody
from tests.conftest import Connect
from tests.databases import BACKENDS
from tests.integration._program import (
    MICROBLOG,
    NS_PUBSUB,
    OpenProgram,
    Program,
    canonical,
    create_node,
    entry,
    fill_pep,
    ids_of,
    is_hit,
)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """On PostgreSQL the copy is read by a task, not in the call."""
    name: str = request.param
    return name


@pytest.fixture
async def program(prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str) -> Program:
    """Juliet's program; the copy of `node`, which holds id0 … id4, is live."""
    await create_node(await connect("romeo"), prosody.pubsub, node, 5)
    program = await open_program(plugins=["xep_0198"])
    await program.follow(node)
    program.wire.clear()
    return program


def items_get(program: Program, node: str) -> Any:
    """A request for all items of a node, put together by hand."""
    iq = program.client.make_iq_get(ito=program.server.pubsub)
    pubsub = ET.SubElement(iq.xml, f"{{{NS_PUBSUB}}}pubsub")
    ET.SubElement(pubsub, f"{{{NS_PUBSUB}}}items", {"node": node})
    return iq


async def test_a_hit_comes_by_future_and_callback_not_before_send_returns_and_to_the_callback_first(
    program: Program, node: str
) -> None:
    calls: list[Any] = []
    happened: list[str] = []

    def callback(iq: Any) -> None:
        calls.append(iq)
        happened.append("callback")

    future = program.pubsub.get_items(program.server.pubsub, node, callback=callback)
    happened.append("send returned")
    assert not future.done()
    awaited = await future
    happened.append("awaited")
    assert happened == ["send returned", "callback", "awaited"]
    assert calls == [awaited]
    assert calls[0] is awaited
    assert is_hit(awaited)


async def test_an_error_reaches_both_the_future_and_the_callback(program: Program) -> None:
    calls: list[Any] = []
    with pytest.raises(IqError) as raised:
        await program.pubsub.get_items(program.server.pubsub, "no such node", callback=calls.append)
    assert raised.value.condition == "item-not-found"
    assert [iq["type"] for iq in calls] == ["error"]
    assert raised.value.iq is calls[0]


async def test_a_cancelled_hit_still_runs_its_callback(program: Program, node: str) -> None:
    called: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future = program.pubsub.get_items(program.server.pubsub, node, callback=called.set_result)
    future.cancel()
    assert ids_of(await asyncio.wait_for(called, 5)) == ["id0", "id1", "id2", "id3", "id4"]
    assert future.cancelled()


async def test_a_cancelled_miss_still_runs_its_callback_and_is_still_followed(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    await create_node(await connect("romeo"), prosody.pubsub, node, 1)
    program = await open_program()
    called: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    program.pubsub.get_items(prosody.pubsub, node, callback=called.set_result).cancel()
    assert ids_of(await asyncio.wait_for(called, 5)) == ["id0"]


async def test_a_service_that_never_answers_ends_in_slixmpp_s_own_timeout(program: Program, node: str) -> None:
    program.client.add_filter("out", lambda stanza: None if "unanswered" in str(stanza) else stanza)
    with pytest.raises(IqTimeout):
        await program.pubsub.get_items(program.server.pubsub, "unanswered", timeout=0.05)
    assert is_hit(await program.pubsub.get_items(program.server.pubsub, node, timeout=0.05))


async def test_a_timeout_that_is_no_number_is_refused_as_slixmpp_refuses_it(program: Program, node: str) -> None:
    with pytest.raises(TypeError):
        program.pubsub.get_items(program.server.pubsub, node, timeout="5")


async def test_a_callback_that_raises_on_a_hit_reaches_the_stream_s_exception_handler(
    program: Program, node: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[BaseException] = []
    monkeypatch.setattr(program.client, "exception", seen.append)
    error = ValueError("the program's own fault")

    def callback(_: Any) -> None:
        raise error

    assert is_hit(await program.pubsub.get_items(program.server.pubsub, node, callback=callback))
    assert seen == [error]


async def test_a_coroutine_function_as_callback_is_treated_as_plain_slixmpp_treats_it(
    program: Program, connect: Connect, node: str
) -> None:
    async def callback(_: Any) -> None:
        pass

    plain = await connect("juliet")
    for client in (plain, program.client):
        with pytest.raises(ValueError, match="not a coroutine"):
            await client.plugin["xep_0060"].get_items(program.server.pubsub, node, callback=callback)


async def test_requests_go_to_the_service_in_the_order_of_the_calls_and_hits_not_at_all(
    program: Program, prosody: Prosody, connect: Connect, node: str
) -> None:
    await create_node(await connect("romeo"), prosody.pubsub, f"{node}-2", 1)
    mine = f"{MICROBLOG}/{node}"
    pubsub, get = program.pubsub, program.pubsub.get_items
    futures = [
        get(prosody.pubsub, node),
        pubsub.publish(None, mine, id="a", payload=entry("a")),
        get(prosody.pubsub, node, max_items=2),
        get(prosody.pubsub, f"{node}-2"),
        program.client.make_iq_get(queryxmlns="jabber:iq:roster").send(),
        get(None, mine),
        get(prosody.pubsub, node, item_ids=["id1"]),
        pubsub.retract(None, mine, "a"),
        get(prosody.pubsub, f"{node}-2", max_items=1),
    ]
    ids = [iq["id"] for iq in await asyncio.gather(*futures)]
    hits = {0, 2, 6}
    assert {number for number, future in enumerate(futures) if is_hit(future.result())} == hits
    sent = [iq.get("id") for iq in program.wire.iqs if iq.get("id") in ids]
    assert sent == [id_ for number, id_ in enumerate(ids) if number not in hits]


async def test_a_hit_touches_no_queue_filter_handler_or_counter(program: Program, node: str) -> None:
    client: Any = program.client
    await client.get_roster()
    filtered: list[Any] = []
    seen: list[Any] = []

    def note(stanza: Any) -> Any:
        filtered.append(stanza)
        return stanza

    for mode in ("in", "out", "out_sync"):
        client.add_filter(mode, note)
    client.register_handler(
        slixmpp.xmlstream.handler.Callback(
            "every iq", slixmpp.xmlstream.matcher.MatchXPath("{jabber:client}iq"), seen.append
        )
    )
    management = client.plugin["xep_0198"]

    def counters() -> tuple[Any, ...]:
        handlers = [handler.name for handler in client._XMLStream__handlers]
        queue = [seq for seq, _ in management.unacked_queue]
        return (
            management.seq,
            management.handled,
            queue,
            management.window_counter,
            handlers,
            client.waiting_queue.qsize(),
        )

    assert management.enabled_out
    program.wire.clear()
    before = counters()
    for arguments in ({}, {"max_items": 2}, {"item_ids": ["id3", "id1"]}):
        assert is_hit(await program.pubsub.get_items(program.server.pubsub, node, **arguments))
    assert counters() == before
    assert filtered == seen == program.wire.iqs == []


async def test_each_answer_is_a_fresh_tree(program: Program, node: str) -> None:
    first = await program.pubsub.get_items(program.server.pubsub, node)
    whole = canonical(first.xml[0])
    for item in list(first.xml.iter(f"{{{NS_PUBSUB}}}item")):
        item.clear()
    second = await program.pubsub.get_items(program.server.pubsub, node)
    assert canonical(second.xml[0]) == whole
    assert second.xml is not first.xml


async def test_an_iq_that_is_not_of_the_stream_s_making_goes_to_the_service(program: Program, node: str) -> None:
    made = items_get(program, node)
    assert is_hit(await made.send())
    foreign = slixmpp.Iq(program.client, sto=program.server.pubsub, stype="get")
    foreign.xml.append(made.xml[0])
    answer = await foreign.send()
    assert not is_hit(answer)
    assert program.wire.about(node) == ["items"]


async def test_an_answer_says_what_it_was_made_of_and_not_in_its_xml(program: Program, node: str) -> None:
    iq = await program.pubsub.get_items(program.server.pubsub, node)
    answer = iq.newsstand
    assert (answer.origin, answer.stale, answer.complete) == (Origin.COPY, False, True)
    assert answer.verified_at == program.record(node).verified_at
    assert "newsstand" not in str(iq).replace(node, "")
    miss = await program.pubsub.subscribe(program.server.pubsub, node)
    assert getattr(miss, "newsstand", None) is None


async def test_addresses_and_attributes_are_those_of_the_service(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo = await connect("romeo")
    name = f"{MICROBLOG}/{node}"
    await create_node(romeo, prosody.pubsub, name, 2)
    await fill_pep(romeo, name, {"one": entry("one"), "two": entry("two")})
    program = await open_program()
    await fill_pep(program.client, name, {"mine": entry("mine"), "mine too": entry("mine too")})
    services = [prosody.pubsub, None, program.jid, prosody.jid("romeo")]

    async def answers() -> list[Any]:
        return [await program.pubsub.get_items(service, name) for service in services]

    by_service = await answers()
    await program.caught_up()
    by_copy = await answers()
    assert all(is_hit(iq) for iq in by_copy)
    assert not any(is_hit(iq) for iq in by_service[:2])
    for theirs, ours in zip(by_service, by_copy, strict=True):
        assert {k: v for k, v in ours.xml.attrib.items() if k != "id"} == {
            k: v for k, v in theirs.xml.attrib.items() if k != "id"
        }
        assert canonical(ours.xml[0]) == canonical(theirs.xml[0])
    request = items_get(program, name)
    assert (await request.send())["id"] == request["id"]


@pytest.mark.parametrize("way", ["disable", "close"])
async def test_taking_the_plugin_out_puts_everything_back(program: Program, node: str, way: str) -> None:
    client: Any = program.client
    if way == "disable":
        client.plugin.disable("newsstand")
    await program.newsstand.close()
    bare: Any = slixmpp.ClientXMPP("bare@localhost", "unused", plugin_config={})
    for mode in ("in", "out", "out_sync"):
        kept = [f for f in client._XMLStream__filters[mode] if "newsstand" in f.__module__]
        assert kept == []
    assert client.Iq.__func__ is bare.Iq.__func__
    program.wire.clear()
    iq = await program.pubsub.get_items(program.server.pubsub, node)
    assert getattr(iq, "newsstand", None) is None
    assert program.wire.about(node) == ["items"]
