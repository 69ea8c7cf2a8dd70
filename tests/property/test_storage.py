"""Steps carried out on the database, against a model of one page: whatever the sequence, the same items, contents,
order, revisions and log; and no row written that was right already."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from newsstand.model import ChangeKind, NodeKey, NodeRecord, SeenItem, digest
from newsstand.rules.reconcile import Applied, Clear, Move, Place, Put, Remove, Step, plan_listing
from newsstand.storage.database import check_url, open_database
from newsstand.storage.mapping import Base
from newsstand.storage.sqlite.connections import make_engine
from newsstand.storage.statements import items, nodes, search
from newsstand.storage.statements.items import ParsedItem
from tests.contract._storage import CHANGE, ITEM, JULIET, NOW, SERVICE, check_in_step
from tests.databases import BACKENDS, Databases

Write = Callable[[Callable[[Connection], Any]], Any]
"""Runs statements in a transaction, which it commits."""
Worlds = Callable[[], AbstractContextManager["World"]]

IDS = ["a", "b", "c", "d", "e"]
BODIES = ["one", "two"]


@dataclass
class Held:
    """An item of the model."""

    item_id: str
    xml: str
    quarantine: str | None


@dataclass
class Model:
    """A node's items, in the service's order."""

    items: list[Held] = field(default_factory=list)

    def find(self, item_id: str) -> Held | None:
        return next((held for held in self.items if held.item_id == item_id), None)

    def carry_out(self, step: Step) -> None:
        match step:
            case Put(item, new, overwritten):
                held, (_, xml) = self.find(item.id), item.read()
                if held is None:
                    place, held = new, Held(item.id, xml, item.quarantine)
                else:
                    place = overwritten
                    if item.exact:
                        held.xml, held.quarantine = xml, item.quarantine
                    if place is Place.KEEP:
                        return
                    self.items.remove(held)
                self.items.insert(0 if place is Place.FIRST else len(self.items), held)
            case Remove(item_ids):
                self.items = [held for held in self.items if held.item_id not in item_ids]
            case Clear():
                self.items.clear()
            case Move():
                raise AssertionError("only listings move")

    def list(self, seen: list[SeenItem]) -> None:
        self.items = [Held(item.id, item.xml, item.quarantine) for item in seen]


def seen_items(item_id: str, body: str, exact: bool) -> SeenItem:
    if body == "two" and item_id == "e":
        return SeenItem(item_id, "", quarantine="too deep", exact=exact)
    return SeenItem(item_id, f"<item id='{item_id}'>{body}</item>", exact=exact)


seen = st.builds(seen_items, st.sampled_from(IDS), st.sampled_from(BODIES), st.just(True))
told = st.builds(seen_items, st.sampled_from(IDS), st.sampled_from(BODIES), st.booleans())
places = st.sampled_from(Place)
steps = st.one_of(
    st.builds(Put, told, places, places),
    st.builds(Remove, st.lists(st.sampled_from(IDS), min_size=1, max_size=3, unique=True).map(tuple)),
    st.just(Clear()),
)
batches = st.lists(steps, min_size=1, max_size=6)
listings = st.lists(seen, max_size=5, unique_by=lambda item: item.id)
PARSE, ERASE = "parse", "erase"
histories = st.lists(st.one_of(batches, listings, st.just(PARSE), st.just(ERASE)), max_size=12)


@dataclass
class World:
    write: Write
    node: NodeRecord
    other: NodeRecord
    model: Model = field(default_factory=Model)
    clock: Iterator[int] = field(default_factory=lambda: itertools.count(NOW, 1))

    def rows(self) -> dict[str, dict[str, Any]]:
        query = ITEM.select().where(ITEM.c.node_id == self.node.id).order_by(ITEM.c.position)
        return self.write(lambda conn: {row.item_id: dict(row._mapping) for row in conn.execute(query)})

    def standing(self) -> NodeRecord:
        found: list[NodeRecord] = self.write(lambda conn: list(nodes.iter_nodes(conn)))
        return next(record for record in found if record.id == self.node.id)

    def carry_out(self, work: list[Step]) -> None:
        before, standing = self.rows(), self.standing()
        applied: Applied = self.write(lambda conn: items.apply(conn, self.node.id, work, next(self.clock)))
        self.check(before, standing, applied)

    def check(self, before: dict[str, dict[str, Any]], standing: NodeRecord, applied: Applied) -> None:
        """Everything that the model and the last state say of the new one."""
        after = self.rows()
        assert [(row["item_id"], row["xml"], row["quarantine"]) for row in after.values()] == [
            (held.item_id, held.xml, held.quarantine) for held in self.model.items
        ]
        assert len({row["position"] for row in after.values()}) == len(after)
        now = self.standing()
        assert (applied.count, applied.quarantined) == (now.item_count, now.quarantined)
        assert (applied.revision, now.item_count) == (now.revision, len(after))
        rewritten = {item_id for item_id, row in after.items() if row != before.get(item_id)}
        gone = before.keys() - after.keys()
        assert now.revision - standing.revision in (0, 1)
        if rewritten or gone:
            assert now.revision == standing.revision + 1
        changed = {item_id for item_id, row in after.items() if row["revision"] == now.revision > standing.revision}
        for item_id in rewritten - changed:  # only moved
            assert after[item_id] | {"position": 0} == before[item_id] | {"position": 0}
        assert {item_id for item_id in after if _contents(after, item_id) != _contents(before, item_id)} <= changed
        assert self.logged(standing.revision) == {(item_id, ChangeKind.PUT) for item_id in changed} | {
            (item_id, ChangeKind.RETRACT) for item_id in gone
        }
        for item_id, row in after.items():
            assert row["digest"] == digest(item_id)
            assert row["content_digest"] == digest(row["xml"])
            assert row["to_parse"] or item_id not in changed
        self.check_frugal(before, standing)

    def check_frugal(self, before: dict[str, dict[str, Any]], standing: NodeRecord) -> None:
        """Only what differs is written, and is a revision."""
        after, now = self.rows(), self.standing()
        assert (now.revision > standing.revision) == (after != before)
        for item_id, row in after.items():
            if row["revision"] == now.revision > standing.revision:
                assert item_id not in before or _contents(after, item_id) != _contents(before, item_id)

    def logged(self, after: int) -> set[tuple[str, str]]:
        query = CHANGE.select().where(CHANGE.c.node_id == self.node.id, CHANGE.c.revision > after)
        return self.write(lambda conn: {(row.item_id, row.kind) for row in conn.execute(query)})

    def parse(self) -> None:
        def store(conn: Connection) -> None:
            results = [
                ParsedItem(item, {"id": item.item_id}, None, NOW - 10**12, f"word {item.item_id}" if item.xml else "")
                for item in items.to_parse(conn, self.node.id, 3)
            ]
            items.store_parsed(conn, self.node.id, results, "notes", 1)

        self.write(store)

    def erase(self) -> None:
        self.write(lambda conn: nodes.erase_items(conn, self.node.id))
        self.model.items.clear()
        assert self.standing().item_count == 0


def _contents(rows: dict[str, dict[str, Any]], item_id: str) -> tuple[Any, ...]:
    row = rows.get(item_id, {})
    return row.get("xml"), row.get("quarantine"), row.get("publisher")


def make_world(write: Write) -> World:
    def fill(conn: Connection) -> tuple[NodeRecord, NodeRecord]:
        node, other = (nodes.save(conn, NodeRecord(0, NodeKey(JULIET, SERVICE, name))) for name in ("blog", "other"))
        items.apply(conn, other.id, [Put(seen_items(i, "one", True), Place.LAST, Place.LAST) for i in IDS], NOW)
        return node, other

    return World(write, *write(fill))


@pytest.fixture(scope="module", params=BACKENDS)
def worlds(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    """Each example works on a database that has nothing in it yet."""
    folder = tmp_path_factory.mktemp("worlds")
    with asyncio.Runner() as runner:
        databases = Databases(folder)
        try:
            url = runner.run(databases.new(request.param, folder))
            yield on_files(folder) if request.param == "sqlite" else on_server(runner, url)
        finally:
            runner.run(databases.close())


def on_files(folder: Path) -> Worlds:
    @contextmanager
    def new() -> Iterator[World]:
        with tempfile.TemporaryDirectory() as place:
            shutil.copy(folder / "news.db", place)
            engine = make_engine(check_url(f"sqlite:///{place}/news.db"), "IMMEDIATE")

            def write(do: Callable[[Connection], Any]) -> Any:
                with engine.begin() as conn:
                    return do(conn)

            yield make_world(write)

    return new


def on_server(runner: asyncio.Runner, url: str) -> Worlds:
    database = runner.run(open_database(url))
    names = ", ".join(table.name for table in Base.metadata.sorted_tables)

    @contextmanager
    def new() -> Iterator[World]:
        def write(do: Callable[[Connection], Any]) -> Any:
            return runner.run(database.write(do))

        write(lambda conn: conn.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY"))
        yield make_world(write)

    return new


@pytest.mark.timeout(300)
@given(history=histories)
def test_any_history_leaves_what_the_model_says(worlds: Worlds, history: list[Any]) -> None:
    with worlds() as world:
        for event in history:
            if event == PARSE:
                world.parse()
            elif event == ERASE:
                world.erase()
            elif event and isinstance(event[0], SeenItem):
                held = world.write(lambda conn: items.held(conn, world.node.id))
                world.model.list(event)
                world.carry_out(plan_listing(held, event))
            else:
                for step in event:
                    world.model.carry_out(step)
                world.carry_out(event)
            world.write(check_in_step)
        assert len(world.write(lambda conn: items.held(conn, world.other.id))) == len(IDS)
        assert world.write(lambda conn: items.held_ids(conn, world.node.id)) == [h.item_id for h in world.model.items]


@given(listing=listings)
def test_a_listing_stored_twice_writes_nothing_the_second_time(worlds: Worlds, listing: list[SeenItem]) -> None:
    with worlds() as world:
        world.model.list(listing)
        world.carry_out(plan_listing([], listing))
        before = world.rows()
        steps = plan_listing(world.write(lambda conn: items.held(conn, world.node.id)), listing)
        assert steps == []
        world.carry_out([Put(item, Place.LAST, Place.KEEP) for item in listing])
        assert world.rows() == before


@given(taken=st.sets(st.integers(0, 40)), wanted=st.lists(st.integers(0, 40), max_size=30))
def test_free_recencies_are_free_late_enough_and_in_order(worlds: Worlds, taken: set[int], wanted: list[int]) -> None:
    from newsstand.storage.statements.keys import free_recencies

    with worlds() as world:

        def choose(conn: Connection) -> list[int]:
            for recency in taken:
                items.apply(conn, world.node.id, [Put(SeenItem(str(recency), "x"), Place.LAST, Place.LAST)], recency)
            held = set(conn.execute(ITEM.select().with_only_columns(ITEM.c.recency)).scalars())
            chosen = free_recencies(conn, wanted)
            assert not held & set(chosen)
            return chosen

        chosen = world.write(choose)
        assert len(set(chosen)) == len(chosen) == len(wanted)
        assert all(recency >= asked for recency, asked in zip(chosen, wanted, strict=True))
        if wanted == sorted(wanted):
            assert chosen == sorted(chosen)


texts = st.one_of(st.text(), st.text(st.sampled_from("\"'-+*:^(){}[]&|~ \0aAé日NEAROT\n")))


@given(text=texts, field_=texts, value=st.one_of(texts, st.integers(), st.floats(), st.booleans()))
def test_no_search_breaks_whatever_is_typed(worlds: Worlds, text: str, field_: str, value: Any) -> None:
    from newsstand.errors import ConfigurationError

    with worlds() as world:
        world.write(lambda conn: search.find(conn, search.Query(text)))
        try:
            query = search.Query(where={field_: value})
        except ConfigurationError:
            return
        world.write(lambda conn: search.find(conn, query))
