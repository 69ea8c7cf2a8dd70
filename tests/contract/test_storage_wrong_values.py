"""Rows that a hand wrote: what no Newsstand writes is read as nothing yet, or told as an error that names the row and
what to do; `check` names it, and `repair` mends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from newsstand.errors import DatabaseError
from newsstand.model import NodeRecord, Process, SyncState, Verdict
from newsstand.replica import Replica
from newsstand.rules.behaviour import Behaviour, ServiceBehaviour
from newsstand.storage.database import open_database
from newsstand.storage.maintenance.checking import check
from newsstand.storage.maintenance.repairing import repair
from newsstand.storage.mapping import Base
from newsstand.storage.schema import columns
from newsstand.storage.statements import items, nodes, owners, parsing_notes
from newsstand.storage.statements.parsing_notes import Note
from tests.contract._storage import ON_FILES, apply, make_node, parse, put
from tests.contract.test_storage_checking import change, file_of
from tests.integration._cli import Cli
from tests.logged import warnings_of_ours

NODE, ITEM, WORDS, LOG = "newsstand_node", "newsstand_item", "newsstand_item_text", "newsstand_change"
OF_A = "WHERE item_id = 'a'"
NOTE = "newsstand_parsing"
NOTE_ONE = f"INSERT INTO {NOTE} (node_id, until, token, host, pid, started) VALUES (1, x'00', 't', 'h', 1, 's')"

UNKNOWN_WORDS = [
    ("verdict", "perhaps"),
    ("state", "lively"),
    ("subscription", "some"),
]
WRONGS = [
    *((f"UPDATE {NODE} SET {column} = '{word}'", NODE, f"{column} is '{word}'") for column, word in UNKNOWN_WORDS),
    (f"UPDATE {LOG} SET kind = 'odd' {OF_A}", LOG, "item 'a' of node 1: kind is 'odd'"),
    ("UPDATE newsstand_service SET ways = '[1]'", "newsstand_service", "row 'x.example': ways is"),
]
WRONGS_OF_FILES = [
    *(
        (f"UPDATE {NODE} SET {column} = {value}", NODE, f"node 1 ('blog'): {column} is")
        for column, value in [
            ("verdict", "x'00'"),
            ("state", "x'00'"),
            ("complete", "'yes'"),
            ("complete", "7"),
            ("item_count", "'many'"),
            ("revision", "'x'"),
            ("generation", "'x'"),
            ("name_digest", "'text'"),
            ("verified_at", "'now'"),
            ("reason", "x'00'"),
            ("analysed_by", "'x'"),
            ("failed_by", "'x'"),
            ("payload_bytes", "'x'"),
            ("quarantined", "x'00'"),
            ("attempts", "1.5"),
            ("shows_publisher", "2"),
            ("leader", "x'00'"),
        ]
    ),
    (f"UPDATE {NODE} SET name = x'6162'", NODE, "name is b'ab'"),
    ("UPDATE newsstand_account SET jid = x'00'", "newsstand_account", "row 1: jid is"),
    ("UPDATE newsstand_service SET ways = '{'", "newsstand_service", "ways is '{'"),
    ("UPDATE newsstand_service SET ways = x'00'", "newsstand_service", "ways is"),
    ("UPDATE newsstand_service SET learnt = 'x'", "newsstand_service", "learnt is 'x'"),
    *(
        (f"UPDATE {ITEM} SET {column} = {value} {OF_A}", ITEM, f"{column} is")
        for column, value in [
            ("xml", "x'00'"),
            ("item_id", "x'61'"),
            ("position", "'x'"),
            ("recency", "'x'"),
            ("to_parse", "'x'"),
            ("parsed", "x'00'"),
            ("publisher", "x'00'"),
            ("digest", "'x'"),
        ]
    ),
    (f"UPDATE {WORDS} SET terms = x'00' WHERE terms = 'slugs'", WORDS, "terms is"),
    (f"UPDATE {LOG} SET kind = x'00' {OF_A}", LOG, "kind is"),
    (f"UPDATE {LOG} SET revision = 'x' {OF_A}", LOG, "revision is 'x'"),
    (f"UPDATE {LOG} SET at = 'x'", LOG, "at is 'x'"),
    (
        "INSERT INTO newsstand_worker VALUES ('w', 'a', 'h', 'p', 's', 'soon', 'x', 0)",
        "newsstand_worker",
        "row 'w': until is 'soon'",
    ),
    (
        "INSERT INTO newsstand_worker VALUES ('w', 'a', 'h', 'p', 's', 9223372036854775807, 1, 0)",
        "newsstand_worker",
        "row 'w': pid is 'p'",
    ),
    *(
        (f"{NOTE_ONE}; UPDATE {NOTE} SET {column} = {value}", NOTE, f"row 1: {column} is")
        for column, value in [
            ("until", "'x'"),
            ("digest", "'x'"),
            ("revision", "'x'"),
            ("parser", "x'00'"),
            ("parser_version", "'x'"),
            ("token", "x'00'"),
            ("host", "x'00'"),
            ("pid", "'x'"),
            ("started", "x'00'"),
        ]
    ),
    ("INSERT INTO newsstand_doubt VALUES (1, x'00', 'a', 'x')", "newsstand_doubt", "number is 'x'"),
]
"""SQLite keeps whatever it is given, in whichever column."""


_filled: list[bytes] = []
"""A file that was filled once."""


async def fill(url: str) -> None:
    """A live node of two parsed items, and a service of which something was learnt."""
    if _filled and url.startswith("sqlite"):
        file_of(url).write_bytes(_filled[0])
        return
    database = await open_database(url)
    node = await make_node(database, verdict=Verdict.WANTED, state=SyncState.LIVE, complete=True)
    await apply(database, node, put("a", "one"), put("b", "two"))
    await parse(database, node, {"a": {"title": "Compost"}, "b": {"title": "Slugs"}})
    await database.write(nodes.save_behaviour, "x.example", ServiceBehaviour(new=Behaviour.LAST), 1)
    await database.close()
    if url.startswith("sqlite"):
        _filled.append(file_of(url).read_bytes())


@pytest.fixture
async def filled(url: str) -> str:
    await fill(url)
    nodes._warn.cache_clear()
    return url


async def records(url: str) -> list[NodeRecord]:
    """As a program that opens it sees them. Whatever is wrong, it is told as our error."""
    database, replica = await open_database(url), Replica()
    try:
        await replica.open(database)
        await replica.search("slugs", account="*")
        return replica.nodes()
    finally:
        await replica.close()
        await database.close()


async def error_of(url: str) -> str | None:
    """What a program is told that opens it."""
    try:
        await records(url)
    except DatabaseError as error:
        return str(error)
    return None


async def found_and_mended(url: str, table: str, told: str) -> None:
    found = [problem.text for problem in await check(url) if problem.table == table]
    assert any(told in text and text.endswith(", which Newsstand does not write") for text in found), found
    assert await repair(url) != []
    assert await check(url) == []
    assert await repair(url) == []
    for record in await records(url):
        assert not (record.state is SyncState.LIVE and record.complete) or table in (LOG, "newsstand_service")


@pytest.mark.parametrize(("statement", "table", "told"), WRONGS)
async def test_words_that_nobody_knows_are_found_and_mended(filled: str, statement: str, table: str, told: str) -> None:
    await change(filled, statement)
    await found_and_mended(filled, table, told)


@ON_FILES
@pytest.mark.parametrize(("statement", "table", "told"), WRONGS_OF_FILES)
async def test_values_of_another_type_are_found_and_mended(filled: str, statement: str, table: str, told: str) -> None:
    await change(filled, *statement.split("; "))
    error = await error_of(filled)
    assert error is None or (table in error and "`newsstand db check --repair` mends it" in error)
    await found_and_mended(filled, table, told)


@ON_FILES
async def test_parsed_data_that_is_no_json_is_an_error_that_names_the_item(filled: str) -> None:
    await change(filled, f"UPDATE {ITEM} SET parsed = '{{'")
    error = await error_of(filled)
    assert error is not None
    assert "item 'a' of node 1: parsed is '{'" in error
    assert "`newsstand db check --repair` mends it" in error


@ON_FILES
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("parsed", "x'00'"),
        ("parser", "x'00'"),
        ("parser_version", "'x'"),
        ("parse_error", "x'00'"),
        ("to_parse", "'x'"),
    ],
)
async def test_what_a_parser_makes_is_made_anew_and_its_item_stays(filled: str, column: str, value: str) -> None:
    await change(filled, f"UPDATE {ITEM} SET {column} = {value} {OF_A}")
    assert await repair(filled) != []
    database = await open_database(filled)
    (record,) = await database.read(lambda conn: list(nodes.iter_nodes(conn)))
    (waiting,) = await database.read(items.to_parse, record.id, 10)
    await database.close()
    assert (record.complete, record.item_count, waiting.item_id) == (True, 2, "a")


@pytest.mark.parametrize(("column", "word"), UNKNOWN_WORDS)
async def test_a_node_with_a_word_that_nobody_knows_begins_anew_with_it_and_is_told_once(
    filled: str, caplog: pytest.LogCaptureFixture, column: str, word: str
) -> None:
    await change(filled, f"UPDATE {NODE} SET {column} = '{word}'")
    for _ in range(2):
        (record,) = await records(filled)
        assert getattr(record, column) == {"verdict": "undecided", "state": "unsynced", "subscription": "none"}[column]
        assert record.state is not SyncState.LIVE
    (told,) = warnings_of_ours(caplog)
    assert f"node 1 ('blog' of pubsub.example.org) has an unknown {column}, '{word}'" in told
    assert "newsstand db check --repair" in told


@ON_FILES
@pytest.mark.parametrize(
    ("column", "value"), [("until", "'x'"), ("host", "x'00'"), ("pid", "'x'"), ("started", "x'00'")]
)
async def test_a_note_of_parsing_that_a_hand_changed_is_read_as_none_and_replaced(
    filled: str, column: str, value: str
) -> None:
    await change(filled, NOTE_ONE, f"UPDATE {NOTE} SET {column} = {value}")
    database = await open_database(filled)
    note = Note(b"u" * 20, "t" * 32, Process("host", 1, "now"), None, None)
    assert await database.read(parsing_notes.find, 1) is None
    await database.write(parsing_notes.keep, 1, note)
    assert await database.read(parsing_notes.find, 1) == note
    await database.close()
    assert await check(filled) == []


@ON_FILES
async def test_a_worker_that_a_hand_changed_is_told_of_by_its_row(filled: str) -> None:
    """Whether it is at work cannot be known, and what it may own is nobody else's to acquire."""
    await change(filled, "INSERT INTO newsstand_worker VALUES ('w', 'a', 'h', 'p', 's', 9223372036854775807, 1, 0)")
    database = await open_database(filled)
    for use in (database.read, database.scan, database.write):
        with pytest.raises(DatabaseError, match=r"newsstand_worker, row 'w': pid is 'p'.*db check --repair"):
            await use(owners.workers)
    await database.close()


async def test_a_fault_of_ours_is_not_taken_for_a_wrong_row(filled: str) -> None:
    database = await open_database(filled)

    def faulty(_: object) -> None:
        raise TypeError("a fault of ours")

    for use in (database.read, database.scan, database.write):
        with pytest.raises(TypeError, match="a fault of ours"):
            await use(faulty)
    await database.close()


def test_every_column_is_of_a_type_that_is_looked_at() -> None:
    for mapped in Base.metadata.sorted_tables:
        for column in mapped.columns:
            assert columns._type_of(column) in ("integer", "text", "blob")


async def test_the_command_line_names_the_row_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = Cli(tmp_path, capsys, monkeypatch)
    url = f"sqlite:///{cli.database}"
    await fill(url)
    nodes._warn.cache_clear()
    await change(url, f"UPDATE {NODE} SET verdict = 'perhaps'")
    listed = await cli("nodes")
    assert [row[3] for row in listed.rows] == ["stale"]
    assert "has an unknown verdict, 'perhaps'" in listed.err
    await change(url, f"UPDATE {NODE} SET item_count = 'many'")
    for argv in (["nodes"], ["nodes", "--json"], ["search", "slugs"]):
        error = (await cli(*argv)).error
        assert "node 1 ('blog'): item_count is 'many'" in error
        assert "newsstand db check --repair" in error
    checked = await cli("db", "check")
    assert checked.code == 1
    assert "item_count is 'many'" in checked.out
    assert (await cli("db", "check", "--repair")).code == 0
    assert (await cli("db", "check")).code == 0
    assert [row[4] for row in (await cli("nodes")).rows] == ["2"]
