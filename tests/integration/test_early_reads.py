"""Reads that come before the database is open: many programs read once, when their session starts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from slixmpp import ClientXMPP
from slixmpp.exceptions import IqError, IqTimeout

from newsstand.demo.servers.prosody import Prosody
from newsstand.engine import Engine
from newsstand.errors import DatabaseError
from newsstand.model import SyncState
from newsstand.storage import shared
from newsstand.storage.database import Database
from tests.conftest import Connect, log_in, log_out, new_client
from tests.integration._program import OpenProgram, Program, Wire, create_node, entry, newsstand_of

POSTS = ["one", "two", "three"]


class Gate:
    """What every opening waits for, from now on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._open = asyncio.Event()
        self._error: Exception | None = None
        acquire = shared.acquire

        async def wait(url: str, *, migrate: bool = True) -> Database:
            await self._open.wait()
            if self._error is not None:
                raise self._error
            return await acquire(url, migrate=migrate)

        monkeypatch.setattr(shared, "acquire", wait)

    def open(self) -> None:
        self._open.set()

    def fail(self, error: Exception) -> None:
        """Whatever waits for it, or comes to it, fails."""
        self._error = error
        self._open.set()

    @property
    def is_open(self) -> bool:
        return self._open.is_set()

    def shut(self) -> None:
        self._open.clear()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    monkeypatch.setattr("newsstand.slixmpp.early.OPENING", 60)
    return Gate(monkeypatch)


@pytest.fixture
async def blog(prosody: Prosody, connect: Connect, node: str) -> None:
    """`node` holds POSTS."""
    romeo = await connect("romeo")
    await create_node(romeo, prosody.pubsub, node)
    for post in POSTS:
        await romeo.plugin["xep_0060"].publish(prosody.pubsub, node, id=post, payload=entry(post))


@pytest.fixture
async def program(prosody: Prosody, database_url: str, gate: Gate) -> AsyncIterator[Program]:
    """Its database is opened once the gate is, which is there before."""
    assert not gate.is_open
    program = begin(prosody, database_url)
    yield program
    await program.newsstand.close()
    await log_out(program.client)


def whitelist(client: ClientXMPP) -> Any:
    """A node's configuration: only who is on its list may read it."""
    form = client.plugin["xep_0004"].make_form("submit")
    form.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#node_config")
    form.add_field(var="pubsub#access_model", value="whitelist")
    return form


def begin(server: Prosody, database_url: str, **settings: Any) -> Program:
    client = new_client(server, "juliet")
    client.register_plugin("newsstand", {"database": database_url, **settings})
    return Program(client, newsstand_of(client), server, Wire.tap(client))


async def run_once(open_program: OpenProgram, node: str) -> None:
    """A program was here before, and followed the node."""
    before = await open_program()
    await before.follow(node)
    await before.newsstand.close()
    await log_out(before.client)


def ids_of(answer: Any) -> list[str]:
    return [item["id"] for item in answer["pubsub"]["items"]]


async def turn() -> None:
    """What is due in the loop happens."""
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.mark.usefixtures("blog")
async def test_a_read_waits_for_the_database_and_is_understood(
    program: Program, prosody: Prosody, node: str, gate: Gate
) -> None:
    await log_in(program.client, prosody)
    read = asyncio.ensure_future(program.pubsub.get_items(prosody.pubsub, node))
    await turn()
    assert program.wire.about(node) == []
    gate.open()
    assert ids_of(await read) == POSTS
    await program.caught_up()
    assert program.record(node).state is SyncState.LIVE


@pytest.mark.usefixtures("blog")
async def test_a_database_that_takes_long_is_not_waited_for_and_the_node_is_followed_all_the_same(
    program: Program, prosody: Prosody, node: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newsstand.slixmpp.early.OPENING", 0)
    await log_in(program.client, prosody)
    assert ids_of(await program.pubsub.get_items(prosody.pubsub, node)) == POSTS
    gate.open()
    await program.newsstand.ready()
    await program.caught_up()
    assert program.record(node).state is SyncState.LIVE


@pytest.mark.usefixtures("blog")
async def test_a_write_does_not_overtake_a_read_that_waits(
    program: Program, prosody: Prosody, node: str, gate: Gate
) -> None:
    await log_in(program.client, prosody)
    read = asyncio.ensure_future(program.pubsub.get_items(prosody.pubsub, node))
    write = asyncio.ensure_future(program.pubsub.publish(prosody.pubsub, node, payload=entry("late")))
    assert ids_of(await read) == POSTS
    await asyncio.wait({write})  # juliet may not publish there; that she tried is enough
    assert program.wire.about(node) == ["items", "publish"]
    gate.open()


@pytest.mark.usefixtures("blog")
async def test_nothing_overtakes_a_read_while_the_copies_are_read_from_the_database(
    program: Program, prosody: Prosody, node: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is a port by then already."""
    ready, begun = asyncio.Event(), asyncio.Event()
    whole = Engine.open

    async def wait(engine: Engine) -> None:
        begun.set()
        await ready.wait()
        await whole(engine)

    monkeypatch.setattr(Engine, "open", wait)
    gate.open()
    await log_in(program.client, prosody)
    first = program.pubsub.get_items(prosody.pubsub, node)
    await begun.wait()
    write = program.pubsub.publish(prosody.pubsub, node, payload=entry("late"))
    third = program.pubsub.get_items(prosody.pubsub, node, max_items=1)
    await asyncio.wait({first, write})
    assert program.wire.about(node) == ["items", "publish"]
    assert not third.done()
    ready.set()
    await third
    await program.newsstand.ready()


@pytest.mark.usefixtures("blog", "gate")
async def test_the_program_s_own_time_out_leaves_the_service_half_of_it(
    program: Program, prosody: Prosody, node: str
) -> None:
    await log_in(program.client, prosody)
    assert ids_of(await program.pubsub.get_items(prosody.pubsub, node, timeout=4)) == POSTS


@pytest.mark.usefixtures("blog")
async def test_a_session_that_begins_ends_the_wait_that_offline_would_be_longer(
    program: Program, prosody: Prosody, node: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newsstand.slixmpp.early.OPENING", 0)
    loop = asyncio.get_running_loop()
    early = program.newsstand._trigger.early
    read = program.pubsub.get_items(prosody.pubsub, node)
    timer = early._timer
    assert timer is not None
    assert timer.when() > loop.time() + 1  # as long as `patience` says
    await log_in(program.client, prosody)
    assert ids_of(await read) == POSTS
    gate.open()


@pytest.mark.usefixtures("blog")
async def test_a_write_that_was_sent_early_is_read_whatever_the_policy(
    open_program: OpenProgram, database_url: str, prosody: Prosody, connect: Connect, gate: Gate, node: str
) -> None:
    gate.open()
    own = "urn:xmpp:microblog:0"
    before = await open_program()
    await before.pubsub.publish(before.jid, own, id="one", payload=entry("one"))
    await before.follow(own, before.jid)
    await before.newsstand.close()
    await log_out(before.client)
    gate.shut()
    program = begin(prosody, database_url, policy={"*": "serve-stale"})
    await log_in(program.client, prosody)
    await program.pubsub.publish(program.jid, own, id="one", payload=entry("another"))
    read = program.pubsub.get_items(program.jid, own)
    gate.open()
    assert "another" in str(await read)
    await program.newsstand.close()
    await log_out(program.client)


@pytest.mark.usefixtures("blog")
async def test_what_is_refused_early_is_not_served_afterwards(
    open_program: OpenProgram, database_url: str, prosody: Prosody, connect: Connect, gate: Gate, node: str
) -> None:
    gate.open()
    await run_once(open_program, node)
    romeo = await connect("romeo")
    await romeo.plugin["xep_0060"].set_node_config(prosody.pubsub, node, whitelist(romeo))
    gate.shut()
    program = begin(prosody, database_url, policy={"*": "serve-stale"})
    await log_in(program.client, prosody)
    early = program.newsstand._trigger.early
    read = program.pubsub.get_items(prosody.pubsub, node)
    early.send_held()
    with pytest.raises(IqError):
        await read
    gate.open()
    await program.newsstand.ready()
    with pytest.raises(IqError):
        await program.pubsub.get_items(prosody.pubsub, node)
    await program.newsstand.close()
    await log_out(program.client)


@pytest.mark.usefixtures("blog")
async def test_offline_a_read_is_answered_by_the_copy_as_soon_as_that_is_open(
    open_program: OpenProgram, database_url: str, prosody: Prosody, node: str
) -> None:
    await run_once(open_program, node)
    program = begin(prosody, database_url)
    program.client.connect("127.0.0.1", 1)  # nobody listens there
    answer = await program.pubsub.get_items(prosody.pubsub, node)
    assert (ids_of(answer), answer.newsstand.origin, answer.newsstand.stale) == (POSTS, "copy", True)
    await program.newsstand.close()
    await log_out(program.client)


@pytest.mark.usefixtures("blog")
async def test_an_opening_that_fails_costs_no_read_its_answer(
    program: Program, prosody: Prosody, node: str, gate: Gate
) -> None:
    await log_in(program.client, prosody)
    read = asyncio.ensure_future(program.pubsub.get_items(prosody.pubsub, node))
    await turn()
    assert not read.done()
    gate.fail(DatabaseError("it is not there"))
    assert ids_of(await read) == POSTS
    assert ids_of(await program.pubsub.get_items(prosody.pubsub, node)) == POSTS


@pytest.mark.usefixtures("blog", "gate")
async def test_an_error_and_a_callback_reach_the_program_as_without_us(
    program: Program, prosody: Prosody, node: str
) -> None:
    await log_in(program.client, prosody)
    given: list[Any] = []
    one = program.pubsub.get_items(prosody.pubsub, node, callback=given.append)
    other = program.pubsub.get_items(prosody.pubsub, f"{node}-not-there")
    forgotten = program.pubsub.get_items(prosody.pubsub, node)
    forgotten.cancel()
    await turn()
    await program.newsstand.close()
    assert given == [await one]
    with pytest.raises(IqError, match="item-not-found"):
        await other
    assert program.wire.about(node) == ["items"]


async def test_a_program_may_send_while_no_loop_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the database is opened, and after: slixmpp sends it once the loop runs."""

    def run() -> list[str]:
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            asyncio.set_event_loop(loop)
            client = ClientXMPP("juliet@example.org", "secret")
            client.register_plugin("xep_0060")
            client.register_plugin("newsstand", {"database": f"sqlite:///{tmp_path / 'news.db'}"})
            sent: list[str] = []
            monkeypatch.setattr(client, "send", lambda stanza, *_: sent.append(stanza["pubsub"].xml[0].get("node")))
            plugin, pubsub = newsstand_of(client), client.plugin["xep_0060"]
            asked = [pubsub.get_items("pubsub.example.org", "early", timeout=0.1)]
            loop.run_until_complete(plugin.ready())
            asked.append(pubsub.get_items("pubsub.example.org", "late", timeout=0.1))
            asked.append(pubsub.publish("pubsub.example.org", "own", payload=entry("late"), timeout=0.1))
            loop.run_until_complete(asyncio.wait(asked))
            assert [type(future.exception()) for future in asked] == [IqTimeout] * 3
            loop.run_until_complete(plugin.close())
            return sent

    assert await asyncio.to_thread(run) == ["early", "late", "own"]
