"""A program that polls what is missing or closed to it is answered as the service answers, and does not flood it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from slixmpp.exceptions import IqError

from newsstand.demo.servers.prosody import Prosody
from newsstand.slixmpp import trigger
from newsstand.xmpp import xmltext
from tests.conftest import Connect
from tests.databases import BACKENDS
from tests.integration._program import OpenProgram, canonical, create_node, entry, ids_of

pytestmark = pytest.mark.usefixtures("prosody")  # where none is installed: skipped at home, failed in CI
POLLS = 50


async def refused(request: object) -> str:
    """The error's `<iq/>`, but for its id."""
    with pytest.raises(IqError) as caught:
        await request  # type: ignore[misc]
    stanza = caught.value.iq.xml
    stanza.attrib.pop("id")
    return canonical(stanza)


async def test_polling_a_missing_node_asks_the_service_now_and_then(
    prosody: Prosody, open_program: OpenProgram, node: str
) -> None:
    program = await open_program()
    errors = set()
    for _ in range(POLLS):
        errors.add(await refused(program.pubsub.get_items(prosody.pubsub, node)))
        await asyncio.sleep(0)
    assert len(errors) == 1, "each is as the first, which came from the service"
    assert 1 <= len(program.wire.about(node)) < POLLS / 5


async def test_a_callback_is_told_and_a_cancelled_read_is_quiet(
    prosody: Prosody, open_program: OpenProgram, node: str
) -> None:
    program = await open_program()
    first, _ = [await refused(program.pubsub.get_items(prosody.pubsub, node)) for _ in range(2)]
    told: list[object] = []
    with pytest.raises(IqError):
        await program.pubsub.get_items(prosody.pubsub, node, callback=told.append)
    assert len(program.wire.about(node)) == 2
    (reply,) = told
    reply.xml.attrib.pop("id")  # type: ignore[attr-defined]
    assert canonical(reply.xml) == first  # type: ignore[attr-defined]
    program.pubsub.get_items(prosody.pubsub, node).cancel()
    await asyncio.sleep(0)


async def test_what_the_program_itself_makes_it_reads_at_once(
    prosody: Prosody, open_program: OpenProgram, node: str
) -> None:
    program = await open_program()
    for _ in range(5):
        await refused(program.pubsub.get_items(None, node))
    await program.pubsub.publish(None, node, id="first", payload=entry("first"))
    assert ids_of(await program.pubsub.get_items(None, node)) == ["first"]


async def test_what_another_makes_is_read_within_the_longest_pause(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str
) -> None:
    romeo, program = await connect("romeo"), await open_program(remember_errors=0.3)
    for _ in range(POLLS):
        await refused(program.pubsub.get_items(prosody.pubsub, node))
    await create_node(romeo, prosody.pubsub, node, ["a"])
    async with asyncio.timeout(5):
        while True:
            try:
                assert ids_of(await program.pubsub.get_items(prosody.pubsub, node)) == ["a"]
                break
            except IqError:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_large_answer_is_not_handed_over_to_who_was_refused_meanwhile(
    prosody: Prosody, connect: Connect, open_program: OpenProgram, node: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trigger, "LARGE", 2)  # such are put together in a thread
    romeo, program = await connect("romeo"), await open_program()
    await create_node(romeo, prosody.pubsub, node, 3)
    await program.follow(node)
    put_together = asyncio.get_running_loop().create_future()
    parse = asyncio.to_thread

    async def to_thread(function: Any, *args: Any) -> Any:
        made = await parse(function, *args)
        if function is xmltext.parse and not put_together.done():
            put_together.set_result(None)
            copy = program.replica._open.context.copies.find(program.record(node).key)
            assert copy is not None
            program.replica._open.synchroniser.closing.shut(copy, "refused meanwhile", refused=True)
        return made

    monkeypatch.setattr(asyncio, "to_thread", to_thread)
    called: list[Any] = []
    answer = await program.pubsub.get_items(prosody.pubsub, node, callback=called.append)
    assert put_together.done()
    assert not hasattr(answer, "newsstand"), "the service answered"
    assert [hasattr(one, "newsstand") for one in called] == [False]
