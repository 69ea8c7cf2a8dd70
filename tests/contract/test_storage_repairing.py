"""`repair` mends what `check` finds, from the service where it must, and touches nothing else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from newsstand.errors import DatabaseError, DatabaseLocked
from newsstand.storage.database import open_database
from newsstand.storage.maintenance.repairing import repair
from newsstand.storage.postgresql import connections
from tests.contract._storage import ON_FILES, ON_SERVERS, ids_found
from tests.contract.test_storage_checking import (
    WRONGS,
    WRONGS_OF_FILES,
    WRONGS_OF_SERVERS,
    change,
    file_of,
    filled,
    problems,
)
from tests.fakes.program import at_work
from tests.fakes.service import Service
from tests.migration._contents import contents, schema_of, words_found

__all__ = ["filled"]  # a fixture

NODE_NAME = "blog"


async def repaired_for_good(url: str, statement: str) -> None:
    await change(url, statement)
    assert await repair(url) != []
    assert await problems(url) == []
    assert await repair(url) == []


@pytest.mark.parametrize("statement", [statement for statement, _, _ in WRONGS])
async def test_what_is_wrong_is_repaired_once_and_for_all(filled: str, statement: str) -> None:
    await repaired_for_good(filled, statement)


@ON_FILES
@pytest.mark.parametrize("statement", [statement for statement, _, _ in WRONGS_OF_FILES])
async def test_what_only_a_file_can_hold_is_repaired_too(filled: str, statement: str) -> None:
    await repaired_for_good(filled, statement)


@ON_SERVERS
@pytest.mark.parametrize("statement", [statement for statement, _, _ in WRONGS_OF_SERVERS])
async def test_what_only_a_server_can_hold_is_repaired_too(filled: str, statement: str) -> None:
    await repaired_for_good(filled, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO newsstand_doubt (node_id, digest, item_id, number) VALUES (8, '', '', 1)",
        "INSERT INTO newsstand_parsing (node_id, until, token, host, pid, started) VALUES (8, '', '', '', 1, '')",
    ],
)
async def test_what_is_noted_of_no_node_is_removed(filled: str, statement: str) -> None:
    await repaired_for_good(filled, statement)


async def test_what_is_right_is_left_as_it_is_by_a_repair(filled: str) -> None:
    before = contents(filled), schema_of(filled), words_found(filled, "slugs")
    assert await repair(filled) == []
    assert (contents(filled), schema_of(filled), words_found(filled, "slugs")) == before


async def test_a_database_in_use_is_not_repaired(filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LEAVE_SECONDS", 0.1)
    database = await open_database(filled)
    await ids_found(database)
    try:
        with pytest.raises(DatabaseLocked, match="end it first"):
            await repair(filled)
    finally:
        await database.close()
    assert await repair(filled) == []


def flip(file: Path, at: int, bit: int) -> None:
    with file.open("r+b") as opened:
        opened.seek(at)
        (was,) = opened.read(1)
        opened.seek(at)
        opened.write(bytes([was ^ (1 << bit)]))


@ON_FILES
async def test_a_flipped_bit_is_found_in_any_payload_and_fetched_again(url: str) -> None:
    """Every bit of a byte, at bytes all over an item's XML; some leave no UTF-8, some no XML, some both."""
    service = Service()
    service.create(NODE_NAME)
    texts = {f"item-{number:02}": f"beginning of {number:02} é middle ü end" for number in range(64)}
    for item_id, words in texts.items():
        service.publish(NODE_NAME, item_id, words, told=False)
    database = await open_database(url)
    async with at_work(database, service) as program:
        await program.follow()
    await database.close()
    file = file_of(url)
    with closing(sqlite3.connect(file)) as conn:
        held = dict(conn.execute("SELECT item_id, xml FROM newsstand_item"))
    content = file.read_bytes()
    for number, item_id in enumerate(sorted(texts)):
        if number % 9 == 8:
            continue  # some stay whole
        xml = held[item_id].encode()
        assert content.count(xml) == 1
        flip(file, content.index(xml) + (number * len(xml)) // 64, number % 8)
    damaged = {item_id for number, item_id in enumerate(sorted(texts)) if number % 9 != 8}
    told = [text for _, text in await problems(url) if "other contents than its digest says" in text]
    assert {text.split("'")[1] for text in told} == damaged

    assert f"damaged items taken out, to be fetched again: {len(damaged)}" in await repair(url)

    assert await problems(url) == []
    database = await open_database(url)
    try:
        async with at_work(database, service) as program:
            assert program.copy(NODE_NAME).record.complete is False
            await program.serves_live(NODE_NAME)
            assert len(await ids_found(database, "beginning", limit=100)) == 64
    finally:
        await database.close()
    assert await problems(url) == []


@ON_FILES
async def test_a_flipped_bit_anywhere_is_never_a_crash(filled: str) -> None:
    """It is told, or in what nothing is known twice of; and after a repair, nothing more is wrong, or the file is to be
    set aside."""
    url, file = filled, file_of(filled)
    whole = file.read_bytes()
    dice = Random(5)
    told = 0
    for _ in range(60):
        file.write_bytes(whole)
        for suffix in ("-wal", "-shm"):
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        flip(file, dice.randrange(100, len(whole)), dice.randrange(8))
        try:
            found = await problems(url)
        except DatabaseError:
            continue
        told += bool(found)
        done = await repair(url)
        if not any("the file itself" in words for words in done):
            assert await problems(url) == []
    assert told
