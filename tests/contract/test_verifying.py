"""`verify` finds what is really wrong with a copy, takes news under way for no difference, and mends."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing

import pytest
from sqlalchemy import Connection

from newsstand import Verification
from newsstand.errors import Disconnected, NotInCopy, StanzaError
from newsstand.model import Origin, SyncState
from newsstand.storage.database import Database
from newsstand.xmpp.transport import Session
from tests.contract._storage import ON_FILES, path_of
from tests.fakes.program import NODE, Program, at_work
from tests.fakes.service import SERVICE, Request, Service

CHANGES = {
    "missing": ("DELETE FROM newsstand_item WHERE item_id = 'b'",),
    "extra": (
        "INSERT INTO newsstand_item SELECT node_id, CAST('x' AS BLOB), 'ghost', xml, content_digest, NULL, NULL, 99, "
        "1, revision, 0, 0, NULL, NULL, NULL, NULL, false FROM newsstand_item WHERE item_id = 'c'",
    ),
    "differing": ("UPDATE newsstand_item SET xml = replace(xml, 'first', 'last') WHERE item_id = 'b'",),
    "misplaced": ("UPDATE newsstand_item SET position = 99 WHERE item_id = 'a'",),
}
IDS = {"missing": "b", "extra": "ghost", "differing": "b", "misplaced": "a"}


@pytest.fixture
async def program(database: Database) -> AsyncIterator[Program]:
    """It follows a node of three items."""
    service = Service()
    service.create(NODE, "a", "b", "c")
    async with at_work(database, service) as program:
        await program.follow()
        yield program


async def damage(database: Database, *statements: str) -> None:
    """Behind everybody's back."""
    for statement in statements:
        told = statement if database.instant is not None else statement.replace("AS BLOB", "AS BYTEA")
        await database.write(Connection.exec_driver_sql, told)


async def verify(program: Program, *, repair: bool = False) -> Verification:
    return await program.replica.verify(SERVICE, NODE, repair=repair)


def differences(found: Verification) -> dict[str, tuple[str, ...]]:
    every = {name: getattr(found, name) for name in CHANGES}
    return {name: ids for name, ids in every.items() if ids}


async def test_a_right_copy_is_equal_at_the_first_look(program: Program) -> None:
    before = program.service.counted("items")
    found = await verify(program)
    assert (found.equal, found.count, found.key.node) == (True, 3, NODE)
    assert program.service.counted("items") == before + 1


@pytest.mark.parametrize("kind", CHANGES)
async def test_each_kind_of_difference_is_found_and_mended(program: Program, database: Database, kind: str) -> None:
    await damage(database, *CHANGES[kind])
    found = await verify(program)
    assert (differences(found), found.equal, found.repaired) == ({kind: (IDS[kind],)}, False, False)
    assert differences(await verify(program)) == {kind: (IDS[kind],)}  # looking changed nothing

    mended = await verify(program, repair=True)

    assert (differences(mended), mended.repaired) == ({kind: (IDS[kind],)}, True)
    assert (await verify(program)).equal
    await program.serves_live()


async def test_all_kinds_at_once_are_mended_at_once(program: Program, database: Database) -> None:
    await damage(database, *CHANGES["misplaced"], *CHANGES["differing"], *CHANGES["extra"])
    await damage(database, "DELETE FROM newsstand_item WHERE item_id = 'c'")
    assert differences(await verify(program, repair=True)) == {
        "missing": ("c",),
        "extra": ("ghost",),
        "differing": ("b",),
        "misplaced": ("a",),
    }
    assert (await verify(program)).equal
    await program.serves_live()


async def test_contents_that_changed_together_with_their_digest_are_found(program: Program, database: Database) -> None:
    await damage(database, "UPDATE newsstand_item SET content_digest = CAST('y' AS BLOB) WHERE item_id = 'c'")
    assert (await verify(program)).equal  # what is noted is not what is compared
    await damage(database, "UPDATE newsstand_item SET xml = '', content_digest = CAST('y' AS BLOB) WHERE item_id = 'c'")
    assert differences(await verify(program, repair=True)) == {"differing": ("c",)}
    await program.serves_live()


async def test_news_under_way_are_no_difference(program: Program) -> None:
    """Published behind each listing's back, and told."""
    numbers = iter(range(3))

    def publish(request: Request) -> int:
        if request.kind == "items" and (number := next(numbers, None)) is not None:
            program.service.publish(NODE, f"n{number}", "news")
        return 0

    program.service.after = publish
    assert (await verify(program)).equal
    program.service.after = lambda request: 0
    await program.serves_live()


@ON_FILES
async def test_a_change_that_another_process_stores_a_moment_later_is_no_difference(
    program: Program, database: Database
) -> None:
    """Its copy lags behind: at the first look there is a difference, at the second none."""
    await damage(database, "UPDATE newsstand_item SET position = 99 WHERE item_id = 'a'")
    looks = iter((None, "UPDATE newsstand_item SET position = -99 WHERE item_id = 'a'"))

    def catch_up(request: Request) -> int:
        if request.kind == "items" and (statement := next(looks, None)) is not None:
            with closing(sqlite3.connect(path_of(database))) as conn, conn:
                conn.execute(statement)
        return 0

    program.service.before = catch_up
    assert (await verify(program)).equal
    assert next(looks, "looked twice") == "looked twice"


async def test_an_own_write_under_way_is_waited_for(program: Program) -> None:
    write = program.write("publish", item=("c", "mine"))
    program.service.publish(NODE, "c", "mine", told=False)
    looks, twice = iter(range(2)), asyncio.Event()

    def look(request: Request) -> int:
        if request.kind == "items" and next(looks, 1) == 1:
            twice.set()
        return 0

    program.service.after = look
    verifying = asyncio.ensure_future(verify(program))
    await twice.wait()
    program.acknowledge(write)
    assert (await verifying).equal


async def test_a_node_that_can_no_longer_be_read_is_told_and_not_served_any_more(program: Program) -> None:
    program.service.refuse("items", "forbidden", "auth")
    with pytest.raises(StanzaError, match="auth/forbidden"):
        await verify(program)
    await program.settled()
    assert program.copy().record.state is SyncState.GONE


async def test_a_node_that_is_only_out_of_reach_is_served_on(program: Program) -> None:
    program.service.refuse("items", "remote-server-timeout", "wait")
    with pytest.raises(StanzaError, match="remote-server-timeout"):
        await verify(program)
    program.service.allow("items")
    assert (await program.read()).origin is Origin.COPY


async def test_what_is_no_copy_cannot_be_verified(program: Program) -> None:
    with pytest.raises(NotInCopy, match="no complete copy of 'elsewhere'"):
        await program.replica.verify(SERVICE, "elsewhere")
    program.stream.turn(Session.LOST)
    with pytest.raises(Disconnected):
        await verify(program)
