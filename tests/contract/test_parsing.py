"""Parsing what is stored: an item that ends the process is put aside, and costs the others nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from sqlalchemy import Engine, event, update

from newsstand import Analyser, Replica
from newsstand.model import NodeRecord, Process, Verdict, digest
from newsstand.storage.database import Database, open_database
from newsstand.storage.mapping import PubsubItem, table
from newsstand.storage.statements import items, nodes, parsing_notes
from newsstand.storage.statements.parsing_notes import Note
from newsstand.sync import parsing
from newsstand.sync.parsing import PUT_ASIDE
from newsstand.workers.processes import this_process
from tests.contract import _parsing_program
from tests.contract._parsing_program import DEADLY
from tests.contract._storage import apply, ids_found, make_node, put, row, rows
from tests.contract._workers import Workers, owns
from tests.fakes.hold import SECONDS, Hold
from tests.fakes.program import NODE
from tests.fakes.service import NOTE

NAMES = [f"item-{number}" for number in range(7)]
ENDED = Process(this_process().host, 2**22 + 1, "1")
"""A process that is not there: its number is higher than any."""


async def start(url: str, poison: str) -> tuple[int, list[str]]:
    """Run a program until it ends, or ends itself: how it ended, and the items that it began to parse."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", _parsing_program.__name__, url, poison),
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await child.communicate()
    assert child.returncode in (0, -signal.SIGKILL), err.decode()
    return child.returncode, out.decode().split()


@asynccontextmanager
async def reading(database: Database, analyser: Analyser) -> AsyncIterator[Replica]:
    """A program without a connection, which parses what is left."""
    replica = Replica(None, entry_points=False)
    replica.register_analyser(analyser)
    await replica.open(database)
    try:
        yield replica
    finally:
        await replica.close()


def analyser(parsed: list[str] | None = None, version: int = 1) -> Analyser:
    """`parsed` is told which items are parsed."""

    def parse(item: Element, *, service: str, node: str) -> dict[str, Any]:
        if parsed is not None:
            parsed.append(item.get("id", ""))
        return {"id": item.get("id")}

    return Analyser(DEADLY, "notes", node="blog", to_sync=True, parser=parse, version=version)


async def parse_all(database: Database, analyser: Analyser) -> None:
    async with asyncio.timeout(SECONDS), reading(database, analyser) as replica:
        await replica.settled()


async def wanted_node(database: Database, *names: str) -> NodeRecord:
    """A node that nobody follows, whose items are to be parsed."""
    node = await make_node(database, analyser=DEADLY, type="notes", verdict=Verdict.WANTED)
    await apply(database, node, *(put(name) for name in names))
    return node


async def note_of(database: Database, node: NodeRecord) -> Note | None:
    return await database.read(parsing_notes.find, node.id)


async def leave_note(database: Database, node: NodeRecord, process: Process, item: str | None, **more: Any) -> None:
    """As a process does that parses the whole node, or one item by itself."""
    alone = {} if item is None else {"digest": digest(item), "revision": (await row(database, node, item))["revision"]}
    given = {"until": b"\xff" * 20, "token": "another", "parser": DEADLY, "parser_version": 1, **alone, **more}
    await database.write(parsing_notes.keep, node.id, Note(process=process, **given))


async def errors(database: Database, node: NodeRecord) -> dict[str, str | None]:
    return {found["item_id"]: found["parse_error"] for found in await rows(database, node)}


async def test_an_item_that_ends_two_processes_is_put_aside_and_the_others_are_parsed(url: str) -> None:
    database = await open_database(url)
    node = await wanted_node(database, *NAMES)
    await database.close()
    poison = NAMES[3]

    code, first = await start(url, poison)
    assert (code, first[-1]) == (-signal.SIGKILL, poison)
    code, second = await start(url, poison)
    assert (code, second[-1]) == (-signal.SIGKILL, poison)
    code, third = await start(url, poison)
    assert code == 0
    assert poison not in third
    assert sorted([*second, *third]) == NAMES, "what was parsed one by one was stored one by one"
    assert await start(url, poison) == (0, [])

    database = await open_database(url)
    try:
        assert await errors(database, node) == dict.fromkeys(NAMES) | {poison: PUT_ASIDE}
        stored = await row(database, node, poison)
        assert (stored["parsed"], stored["parser"], stored["parser_version"]) == (None, DEADLY, 1)
        assert await ids_found(database, "item", node="blog") != []
        assert await note_of(database, node) is None
        assert await database.scan(items.nodes_to_parse) == []
    finally:
        await database.close()


async def test_what_was_put_aside_is_parsed_again_when_its_contents_or_its_parsers_version_change(
    database: Database,
) -> None:
    node = await wanted_node(database, "a", "b")
    for name in "ab":
        await leave_note(database, node, ENDED, name)
        await parse_all(database, analyser())
    assert await errors(database, node) == {"a": PUT_ASIDE, "b": None}  # by then, b was parsed
    await apply(database, node, put("a", "new"))
    await parse_all(database, analyser())
    assert await errors(database, node) == {"a": None, "b": None}

    await apply(database, node, put("b", "new"))
    await leave_note(database, node, ENDED, "b")
    await parse_all(database, analyser())
    assert await database.write(items.mark_to_parse, node.id, DEADLY, 1) == 0
    assert (await errors(database, node))["b"] == PUT_ASIDE
    assert await database.write(items.mark_to_parse, node.id, DEADLY, 2) == 2
    await parse_all(database, analyser(version=2))
    assert await errors(database, node) == {"a": None, "b": None}


async def test_after_one_end_the_items_are_parsed_one_by_one_and_none_is_put_aside(database: Database) -> None:
    node = await wanted_node(database, *NAMES)
    await leave_note(database, node, ENDED, None)
    alone: list[bytes | None] = []

    async def parse(item: Element, *, service: str, node: str) -> dict[str, Any]:
        note = await database.read(parsing_notes.find, 1)
        alone.append(note.digest if note is not None and note.process == this_process() else None)
        return {}

    await parse_all(database, Analyser(DEADLY, "notes", node="blog", to_sync=True, parser=parse))
    assert alone == sorted(map(digest, NAMES))
    assert set((await errors(database, node)).values()) == {None}
    assert await note_of(database, node) is None


async def test_what_came_later_is_parsed_together_again(database: Database) -> None:
    node = await wanted_node(database, *NAMES)
    in_order = sorted(NAMES, key=digest)
    await leave_note(database, node, ENDED, None, until=digest(in_order[2]))
    with notes_written() as written:
        await parse_all(database, analyser())
    # one for each of three items, one after them, one for the rest, which storing that removes
    assert written == {"kept": 5, "removed": 1}
    assert set((await errors(database, node)).values()) == {None}


@pytest.mark.parametrize("more", [{"parser_version": 2}, {"parser": "another"}, {"revision": 0}])
async def test_what_ended_another_parser_or_had_other_contents_is_tried(
    database: Database, more: dict[str, Any]
) -> None:
    node = await wanted_node(database, "a")
    await leave_note(database, node, ENDED, "a", **more)
    await parse_all(database, analyser())
    assert await errors(database, node) == {"a": None}


async def test_what_a_living_process_parses_is_not_suspicious(database: Database) -> None:
    node = await wanted_node(database, "a")
    await leave_note(database, node, this_process(), "a")
    await parse_all(database, analyser())
    assert await errors(database, node) == {"a": None}


async def test_what_another_machine_noted_of_a_node_that_nobody_follows_was_left_behind(database: Database) -> None:
    node = await wanted_node(database, "a")
    await leave_note(database, node, Process("elsewhere", os.getpid(), "1"), "a")
    await parse_all(database, analyser())
    assert await errors(database, node) == {"a": PUT_ASIDE}


async def test_a_worker_that_takes_a_node_over_does_not_freeze_on_what_the_one_before_it_froze_on(
    workers: Workers,
) -> None:
    """The process of that one is there still; but its lease was over."""
    notes = Analyser(DEADLY, "notes", namespace=NOTE, to_sync=True, parser=analyser().parser)
    async with workers.another(analysers=[notes]) as program, workers.database() as database:
        await program.follow()
        node = program.copy().record
        await database.write(items.mark_to_parse, node.id, "another", 0)
        await leave_note(database, node, this_process(), "a")
        workers.service.publish(NODE, "b", "new")
        await program.settled()
        assert owns(program)
        assert await errors(database, node) == {"a": PUT_ASIDE, "b": None}


@pytest.mark.parametrize("alone", [False, True])
async def test_a_clean_stop_leaves_nothing_noted(database: Database, alone: bool) -> None:
    node = await wanted_node(database, *NAMES)
    if alone:
        await leave_note(database, node, ENDED, None)
    hold = Hold()

    async def parse(item: Element, *, service: str, node: str) -> dict[str, Any]:
        await hold.wait()
        return {}

    async with reading(database, Analyser(DEADLY, "notes", node="blog", to_sync=True, parser=parse)):
        await hold.reached()
        assert await note_of(database, node) is not None
    assert await note_of(database, node) is None
    assert len(await database.read(items.to_parse, node.id, 100)) == len(NAMES)


@contextmanager
def notes_written() -> Iterator[dict[str, int]]:
    """How often a note was kept or removed within this."""
    written = {"kept": 0, "removed": 0}

    def count(_: Any, __: Any, statement: str, *___: Any) -> None:
        if "newsstand_parsing" in statement and not statement.startswith("SELECT"):
            written["removed" if statement.startswith("DELETE") else "kept"] += (
                statement.startswith(("DELETE", "INSERT")) or "UPDATE" in statement
            )

    event.listen(Engine, "before_cursor_execute", count)
    try:
        yield written
    finally:
        event.remove(Engine, "before_cursor_execute", count)


async def test_a_batch_costs_one_small_write(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "BATCH", 3)
    node = await wanted_node(database, *NAMES)
    with notes_written() as written:
        await parse_all(database, analyser())
    # each note is tried as an update first, and storing what was parsed removes it
    assert written == {"kept": 6, "removed": 3}
    assert set((await errors(database, node)).values()) == {None}


async def test_what_has_no_parser_is_not_noted(database: Database) -> None:
    node = await wanted_node(database, *NAMES)
    with notes_written() as written:
        await parse_all(database, Analyser(DEADLY, "notes", node="blog", to_sync=True))
    assert written == {"kept": 0, "removed": 1}
    assert not await database.read(items.to_parse, node.id, 100)


async def test_what_was_left_behind_of_a_node_that_has_no_parser_any_more_goes(database: Database) -> None:
    node = await wanted_node(database, *NAMES)
    await leave_note(database, node, ENDED, None, until=b"")
    await parse_all(database, Analyser(DEADLY, "notes", node="blog", to_sync=True))
    assert await note_of(database, node) is None
    assert not await database.read(items.to_parse, node.id, 100)


async def test_a_note_goes_with_its_node(database: Database) -> None:
    node = await wanted_node(database, "a")
    await leave_note(database, node, ENDED, "a")
    await database.write(nodes.remove, node.id)
    assert await note_of(database, node) is None


async def test_no_more_is_read_at_a_time_than_takes_so_many_bytes(database: Database) -> None:
    node = await make_node(database)
    await apply(database, node, *(put(name, "x" * 1_000) for name in NAMES))
    in_order = sorted(NAMES, key=digest)

    async def read(most_bytes: int | None, limit: int = 100) -> list[str]:
        return [item.item_id for item in await database.read(items.to_parse, node.id, limit, most_bytes)]

    assert await read(1) == in_order[:1]
    assert await read(2_000) == in_order[:2]
    assert await read(10**6) == await read(None) == in_order
    assert await read(10**6, 3) == in_order[:3]


async def test_an_item_whose_stored_xml_is_damaged_does_not_keep_the_others_from_being_parsed(
    database: Database,
) -> None:
    node = await wanted_node(database, *NAMES)
    item = table(PubsubItem)
    damage = update(item).where(item.c.item_id == NAMES[2]).values(xml="<item><broken")
    await database.write(lambda conn: conn.execute(damage))
    await parse_all(database, analyser())
    found = await errors(database, node)
    assert "no XML" in (found.pop(NAMES[2]) or "")
    assert set(found.values()) == {None}


async def test_words_that_are_too_many_are_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newsstand.analysis.words.MAX_TERMS", 20)
    node = await wanted_node(database, "a", "b")

    def parse(item: Element, *, service: str, node: str) -> dict[str, Any]:
        return {"text": "short" if item.get("id") == "a" else "one two three four five six"}

    await parse_all(database, Analyser(DEADLY, "notes", node="blog", to_sync=True, parser=parse))
    found = await errors(database, node)
    assert found["a"] is None
    assert "of its words are found" in (found["b"] or "")
    assert (await row(database, node, "b"))["parsed"] == {"text": "one two three four five six"}
    assert await ids_found(database, "four") == ["b"]
    assert await ids_found(database, "six") == []
