"""Copies a database to another place, of whichever kinds the two are (docs/decisions/011-moving-a-database.md).

Rows go table by table, those that others point at first, in the order of their keys, a batch in each transaction. So
how far a copy came that was interrupted is seen from what is there. Until the new database was found equal to the old
one, its revision is a mark, with which no program opens it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Table, insert, literal, select

from newsstand.errors import ConfigurationError, DatabaseError, DatabaseLocked
from newsstand.storage import database
from newsstand.storage.maintenance import checking, digests
from newsstand.storage.maintenance.digests import Sum, each_row
from newsstand.storage.maintenance.whole import WholeDatabase, work
from newsstand.storage.mapping import ItemText, PubsubNode, table
from newsstand.storage.schema import full_text, ids, portable, versioning
from newsstand.storage.schema.portable import Row
from newsstand.storage.sqlite import connections
from newsstand.storage.statements import refused

log = logging.getLogger(__name__)

ROWS, BYTES = 500, 1 << 20
"""Of a batch: whichever is reached first ends it."""

_text = table(ItemText)
_node = table(PubsubNode)

Report = Callable[[int, int], None]
"""Called, in a thread, with how many rows were dealt with, and of how many: each is copied, and then compared."""


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """A table of the old database: how many rows were copied, and a digest of their values, in hexadecimal, which is
    the same whatever the database."""

    name: str
    rows: int
    digest: str


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy came to. `found`: how many rows were there already, of a copy that was interrupted. `differences`, in
    words: if there are any, no program opens the new database, and copying again mends it."""

    source: str
    target: str
    tables: tuple[CopiedTable, ...]
    found: int
    differences: tuple[str, ...]


async def copy(source_url: str, target_url: str, *, report: Report | None = None, with_refused: bool = False) -> Copied:
    """Copy all that is ours from one database to another, which is made, or has its tables made, if need be. Items of
    nodes that were refused to their account, and are kept for a while, go over only `with_refused`. The old database is
    only read, as it is at one moment. Interrupted, also by a signal that nobody can catch, it goes on where it was when
    it is called again; what the old one holds otherwise by then is copied anew.

    Raises ConfigurationError for URLs that cannot be used, and DatabaseError, saying what to do, where the old one is
    damaged or of another revision, or where the new one holds copies already; then nothing was changed.
    """
    source, target = WholeDatabase(source_url), WholeDatabase(target_url)
    if source.identity == target.identity:
        raise ConfigurationError("a database cannot be copied to itself: name two")
    source.check_exists()
    copying = _Copying(source, target, report or (lambda come, total: None), with_refused)
    if await work(copying.must_be_made, copying.stop):
        await database.migrate(target_url, "head")
    if target.is_file:
        await database.check_unused(target_url)
    done = await work(copying.run, copying.stop)
    if copying.went_on and target.is_file and not done.differences:
        await work(lambda: _clean(target))  # of what was copied before, and taken out again, nothing is left
    return done


def _clean(target: WholeDatabase) -> None:
    with target.translated():
        refused.clean(connections.path_of(target.url))


class _Stopped(Exception):
    """The copy is to stop, for whoever waits for it was cancelled."""


class _Copying:
    """One run of a copy. All of it blocks, and is run by `work`. What a driver raises is translated where it comes
    from, so that its message names the right one of the two databases."""

    def __init__(self, source: WholeDatabase, target: WholeDatabase, report: Report, with_refused: bool) -> None:
        self.source = source
        self.target = target
        self.stop = threading.Event()
        self._report = report
        self._come = self._total = 0
        self._mark = versioning.unfinished_mark(source.identity)
        self._with_refused = with_refused
        self._left_out: frozenset[int] = frozenset()
        """The nodes whose rows are left out, by their ids."""
        self.went_on = False
        """The new database held something of a copy that was interrupted."""

    def must_be_made(self) -> bool:
        """Whether the new database has no tables yet. Changes nothing; raises where one of the two will not do."""
        with self.source.translated(), self.source.snapshot() as conn:
            problems = checking.check_snapshot(self.source, conn)
        if problems:
            raise DatabaseError(
                f"{self.source.name} is damaged ({problems[0].text}). Nothing was copied: `newsstand db check` tells "
                "all that is wrong with it, and --repair mends it"
            )
        if not self.target.exists:
            return True
        with self.target.translated(), self.target.snapshot() as conn:
            at = versioning.current(conn)
            if at == self._mark:
                return False
            if versioning.revision_of_unfinished(at) is not None:
                raise DatabaseError(
                    f"{self.target.name} holds an unfinished copy of another database, or one that another version of "
                    "Newsstand began. It was not touched: finish that, or empty it with `newsstand db downgrade base "
                    "--yes`"
                )
            versioning.check_known(conn)
            self._check_empty(conn)
            return at != versioning.revisions()[-1]

    def _check_empty(self, conn: Connection) -> None:
        there = versioning.tables(conn)
        for mapped in portable.tables():
            if mapped.name in there and conn.execute(select(literal(1)).select_from(mapped).limit(1)).first():
                raise DatabaseError(
                    f"{self.target.name} holds copies already. It was not touched: name an empty database, or drop "
                    "them with `newsstand db downgrade base --yes`"
                )

    def run(self) -> Copied:
        """The tables are there."""
        source, target = self.source, self.target
        with ExitStack() as stack:
            with source.translated():
                old = stack.enter_context(source.snapshot())
                source.check_revision(old)
                if not self._with_refused:
                    self._left_out = frozenset(refused.nodes_with_rows(old))
                counts = [digests.count(old, mapped, self._left_out) for mapped in portable.tables()]
            with target.translated():
                new = stack.enter_context(target.connection())
            self._total = 2 * sum(counts)
            self._set_mark(new)
            found, sums = self._copy_tables(old, new)
            self._keep_ids(old, new)
            differences = tuple(self._differences(old, new, sums))
            if not differences:
                self._finish(new)
        tables = tuple(CopiedTable(each.mapped.name, each.rows, each.digest) for each in sums)
        return Copied(source.name, target.name, tables, found, differences)

    def _copy_tables(self, old: Connection, new: Connection) -> tuple[int, list[Sum]]:
        found, sums = 0, []
        for mapped in portable.tables():
            so_far = self._held(old, new, mapped)
            found += so_far.rows
            self._advance(so_far.rows)
            for batch in _batches(self._each_old(old, mapped, after=so_far.last)):
                self._add(new, so_far.last, mapped, batch)
                for row in batch:
                    so_far.add(row)
                self._advance(len(batch))
            sums.append(so_far)
        return found, sums

    def _held(self, old: Connection, new: Connection, mapped: Table) -> Sum:
        """What a copy that was interrupted left of a table. Where the old database holds something else by now, the
        table is emptied, and so are those after it, for their rows point at its."""
        with self.target.translated(), new.begin():
            held = Sum(mapped).add_all(each_row(self.target, new, mapped))
        if held.last is None:
            return held
        same = Sum(mapped).add_all(self._each_old(old, mapped, until=held.last))
        if same.digest == held.digest:
            return same
        log.info("%s of %s is copied anew: what was there is something else", mapped.name, self.source.name)
        whole = portable.tables()
        for later in reversed(whole[whole.index(mapped) :]):
            with self.target.translated(), self._change(new):
                new.execute(later.delete())
        return Sum(mapped)

    def _each_old(
        self, old: Connection, mapped: Table, *, after: Row | None = None, until: Row | None = None
    ) -> Iterator[Row]:
        """The rows that go over."""
        rows = each_row(self.source, old, mapped, after=after, until=until, without=self._left_out)
        return (refused.without_rows(row, self._left_out) for row in rows) if mapped is _node else rows

    def _add(self, new: Connection, last: Row | None, mapped: Table, batch: Sequence[Row]) -> None:
        names = [column.name for column in portable.columns(mapped)]
        rows = [dict(zip(names, row, strict=True)) for row in batch]
        with self.target.translated(), self._change(new):
            if digests.last_key(new, mapped) != last:
                raise self._meddled()
            if mapped is _text:
                full_text.add_words(new, rows)
            else:
                new.execute(insert(mapped), rows)

    def _keep_ids(self, old: Connection, new: Connection) -> None:
        for mapped in ids.tables():
            with self.source.translated():
                given = ids.highest_given(old, mapped)
            with self.target.translated(), self._change(new):
                ids.go_on_after(new, mapped, given)

    def _differences(self, old: Connection, new: Connection, sums: Sequence[Sum]) -> Iterator[str]:
        for copied in sums:
            mapped = copied.mapped
            there = Sum(mapped)
            with self.target.translated(), new.begin():
                for row in each_row(self.target, new, mapped):
                    there.add(row)
                    self._advance(1)
                if there.digest == copied.digest:
                    continue
                rows = self._each_old(old, mapped), each_row(self.target, new, mapped)
                first = digests.first_difference(mapped, *rows)
            yield f"{mapped.name}: {there.rows} rows, of {copied.rows}; {first}"
        with self.target.translated(), self._change(new):
            if not full_text.index_is_right(new):
                yield f"{full_text.FTS_TABLE}: the full-text index does not agree with the words"

    # The mark ---------------------------------------------------------------------------------------------------

    def _set_mark(self, new: Connection) -> None:
        with self.target.translated(), self.target.change(new):
            self.went_on = versioning.current(new) == self._mark
            if not self.went_on:
                self.target.check_revision(new)
                self._check_empty(new)
                versioning.set_revision(new, self._mark)

    def _finish(self, new: Connection) -> None:
        with self.target.translated(), self._change(new):
            versioning.set_revision(new, versioning.revisions()[-1])

    @contextmanager
    def _change(self, new: Connection) -> Iterator[None]:
        """A transaction on the new database, which is still ours."""
        with self.target.change(new):
            if versioning.current(new) != self._mark:
                raise self._meddled()
            yield

    def _meddled(self) -> DatabaseLocked:
        return DatabaseLocked(
            f"another process writes to {self.target.name}: end it, and give the same command again, which goes on "
            "where this one was"
        )

    def _advance(self, rows: int) -> None:
        if self.stop.is_set():
            raise _Stopped
        self._come += rows
        self._report(self._come, max(self._come, self._total))


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        if len(batch) == ROWS or size >= BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
