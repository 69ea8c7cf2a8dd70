"""Parses stored items, after they are safe: what a parser does or fails to do never costs an item.

A parser is foreign code, and an item is a stranger's text: together they may end the process, by taking all its memory
or by never coming back. So that this does not happen again at each start, it is noted in the database what is being
parsed (`newsstand.storage.statements.parsing_notes`):

- Before a batch is parsed it is noted, in one small write; storing what came of it removes the note. What has no
  parser is not noted: its words are cut by our own code, which takes bounded time and memory.
- A note that was left behind, because its process ended, makes the batch suspicious: its items are parsed one by one,
  each noted first.
- An item that was left behind while it was parsed by itself ended two processes. It is put aside: that is its parse
  error, and it is parsed again only when its contents change, or the parser's version does.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, TypeVar
from xml.etree.ElementTree import Element

from newsstand.analysis.analysers import Analyser, parse, parser_of
from newsstand.analysis.secret_names import Naming
from newsstand.analysis.words import NOT_ALL_WORDS, Terms, cut_terms, cut_xml, texts_of
from newsstand.errors import LeaseLost, NewsstandError, ParseError
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.storage.statements import items, parsing_notes
from newsstand.storage.statements.items import ParsedItem, ToParse
from newsstand.storage.statements.parsing_notes import Note
from newsstand.workers.processes import has_ended, this_host, this_process
from newsstand.workers.storing import Storing
from newsstand.xmpp import xmltext

T = TypeVar("T")

log = logging.getLogger(__name__)

BATCH = 100
BATCH_BYTES = 4 * 2**20
MAX_ERROR = 500
LONG = 20_000
"""Characters of an item's XML above which it is read, and its words are cut, in a thread."""
SLICE = 2**16
"""Characters of a long item's XML that are read at a time: between them other threads run."""
MAX_DATE = 100
"""Characters of a date."""
NOTING = 2.0
"""Seconds that the note of a batch is waited for: a database that takes longer is busy with what may be waiting for
what is parsed."""
PUT_ASIDE = (
    "put aside: twice the process ended while this item was parsed. It is parsed again when its contents change, or "
    "the version of its parser"
)


class Parsing:
    """Works through what is stored and not parsed. One task a node at most."""

    def __init__(self, context: Context, storing: Storing) -> None:
        self._context = context
        self._storing = storing
        self._busy: set[int] = set()
        self._again: set[int] = set()
        self._token = uuid.uuid4().hex
        self._noted: set[int] = set()
        """The nodes of which the database may hold a note of ours."""

    def want(self, copy: Copy) -> None:
        """See to it that this copy's items get parsed."""
        if copy.record.id in self._busy:
            self._again.add(copy.record.id)
            return
        self._busy.add(copy.record.id)
        self._context.spawn(self._work(copy), f"parsing {copy.key.node}")

    async def _work(self, copy: Copy) -> None:
        node_id = copy.record.id
        suspected = b""
        try:
            while True:
                self._again.discard(node_id)
                batch, left = await self._context.database.read(_find_work, node_id)
                if not batch and node_id not in self._again:
                    return
                analyser = self._context.analysers.find(copy.record.analyser)
                if analyser is None and copy.record.analyser is not None:
                    return  # another program's: its items wait for it
                try:
                    if left is not None and left.token != self._token:
                        suspected = max(suspected, _suspicious_until(left, copy))
                        if await self._put_aside(copy, analyser, left):
                            continue
                    if suspects := [item for item in batch if item.digest <= suspected]:
                        await self._parse_alone(copy, analyser, suspects, suspected)
                    elif batch and left is None and (analyser is None or analyser.parser is None):
                        await self._parse_and_store(copy, analyser, batch)
                    elif batch:
                        await self._parse_together(copy, analyser, batch)
                except LeaseLost:
                    if not copy.lease.ours:
                        return  # who follows it parses it
        finally:
            self._busy.discard(node_id)
            await self._remove_note(node_id)

    async def _put_aside(self, copy: Copy, analyser: Analyser | None, left: Note) -> bool:
        """The item that ended two processes, if another replica left one behind."""
        if left.digest is None or not _is_left_behind(left, copy):
            return False
        if (left.parser, left.parser_version) != parser_of(analyser):
            return False
        ended = await self._context.database.read(items.find_to_parse, copy.record.id, left.digest)
        if ended is None or ended.revision != left.revision:
            return False  # it was parsed, or has other contents now
        log.warning("item %r of %r is put aside: two processes ended with it", ended.item_id, copy.key.node)
        result = ParsedItem(ended, None, PUT_ASIDE, None, "")
        await self._store(copy, analyser, [result], self._note(analyser, left.until))
        return True

    async def _parse_alone(
        self, copy: Copy, analyser: Analyser | None, batch: Sequence[ToParse], suspected: bytes
    ) -> None:
        """One by one; with each result it is stored what comes next. Afterwards others may be suspicious still."""
        done: list[ParsedItem] = []
        for item in batch:
            await self._store(copy, analyser, done, self._note(analyser, suspected, item))
            done = [await self._parse(copy, analyser, item, Naming())]
            if self._is_another(copy, analyser):
                return
        await self._store(copy, analyser, done, self._note(analyser, suspected))

    async def _parse_together(self, copy: Copy, analyser: Analyser | None, batch: Sequence[ToParse]) -> None:
        async with self._noting(copy, self._note(analyser, batch[-1].digest)):
            await self._parse_and_store(copy, analyser, batch)

    async def _parse_and_store(self, copy: Copy, analyser: Analyser | None, batch: Sequence[ToParse]) -> None:
        naming = Naming()
        results = [await self._parse(copy, analyser, item, naming) for item in batch]
        if not self._is_another(copy, analyser):
            await self._store(copy, analyser, results, self._token)

    @asynccontextmanager
    async def _noting(self, copy: Copy, note: Note) -> AsyncIterator[None]:
        """Within this the note is in the database, or, where that takes long, will be before what is stored next."""
        self._noted.add(copy.record.id)
        writing = asyncio.ensure_future(self._storing.write(copy, parsing_notes.keep, copy.record.id, note))
        try:
            in_time, _ = await asyncio.wait([writing], timeout=NOTING)
            if in_time:
                writing.result()
            yield
            await writing
            if not in_time:
                self._noted.add(copy.record.id)  # it may have come later than what was stored
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    def _is_another(self, copy: Copy, analyser: Analyser | None) -> bool:
        """Whether the node was judged anew meanwhile: then what was parsed is another parser's."""
        return self._context.analysers.find(copy.record.analyser) is not analyser

    async def _store(
        self, copy: Copy, analyser: Analyser | None, results: Sequence[ParsedItem], noted: Note | str
    ) -> None:
        """`noted`: what is parsed next, or, nothing being parsed, our token."""
        node_id = copy.record.id
        if isinstance(noted, Note):
            self._noted.add(node_id)
        await self._storing.write(copy, items.store_parsed, node_id, results, *parser_of(analyser), noted)
        if not isinstance(noted, Note):
            self._noted.discard(node_id)

    def _note(self, analyser: Analyser | None, until: bytes, item: ToParse | None = None) -> Note:
        alone = (None, None) if item is None else (item.digest, item.revision)
        return Note(until, self._token, this_process(), *parser_of(analyser), *alone)

    async def _remove_note(self, node_id: int) -> None:
        """We parse nothing of the node any more. What cannot be removed is looked into at the next start."""
        if node_id in self._noted:
            self._noted.discard(node_id)
            with suppress(NewsstandError):
                await self._context.database.write(parsing_notes.remove, node_id, self._token)

    async def _parse(self, copy: Copy, analyser: Analyser | None, item: ToParse, naming: Naming) -> ParsedItem:
        if not item.xml:
            return ParsedItem(item, None, None, None, "")
        try:
            element = await _do(_read, item.xml, size=len(item.xml))
        except SyntaxError as error:
            return ParsedItem(item, None, f"what is stored is no XML: {error}", None, "")
        if analyser is None or analyser.parser is None:
            await asyncio.sleep(0)
            terms = await _do(cut_xml, element, naming, size=len(item.xml))
            return ParsedItem(item, None, _error_of(terms), None, terms.text)
        try:
            text = await parse(analyser, element, service=copy.key.service, node=copy.key.node, run=self._context.run)
        except ParseError as error:
            # Nothing of it is indexed: a parser may be there to keep secrets out.
            return ParsedItem(item, None, str(error)[:MAX_ERROR], None, "")
        parsed, terms = await _do(_cut, text, analyser.words, size=len(text))
        return ParsedItem(item, parsed, _error_of(terms), date_of(parsed), terms.text)


def _find_work(conn: Any, node_id: int) -> tuple[list[ToParse], Note | None]:
    return items.to_parse(conn, node_id, BATCH, BATCH_BYTES), parsing_notes.find(conn, node_id)


def _suspicious_until(note: Note, copy: Copy) -> bytes:
    """Up to which digest items may be what ended a process, after what another replica noted."""
    if _is_left_behind(note, copy):
        log.warning("a process ended while it parsed items of %r: they are parsed one by one", copy.key.node)
        return note.until
    return note.until if note.digest is not None else b""


def _is_left_behind(note: Note, copy: Copy) -> bool:
    """Whether who noted it does not go on with it. Nobody knows that of a process on another machine."""
    if copy.lease.ours:
        return True  # its time was over, or we would not follow the node
    return note.process.host != this_host() or has_ended(note.process)


async def _do(work: Callable[..., T], *args: Any, size: int) -> T:
    """What takes long is done in a thread: it must not block the event loop. `size` is in characters."""
    if size <= LONG:
        return work(*args)
    return await asyncio.to_thread(work, *args)


def _read(xml: str) -> Element:
    if len(xml) <= SLICE:
        return xmltext.parse([xml])
    return xmltext.parse(xml[start : start + SLICE] for start in range(0, len(xml), SLICE))


def _cut(text: str, fields: Sequence[str] | None) -> tuple[dict[str, Any], Terms]:
    parsed: dict[str, Any] = json.loads(text)
    return parsed, cut_terms(texts_of(parsed, fields))


def _error_of(terms: Terms) -> str | None:
    return None if terms.whole else NOT_ALL_WORDS


def date_of(parsed: dict[str, Any]) -> int | None:
    """The payload's own date, in microseconds since the epoch: what its parser put under `published`, else under
    `updated` (which is all that Atom asks for)."""
    published = parsed.get("published") or parsed.get("updated")
    if not isinstance(published, str) or len(published) > MAX_DATE:
        return None
    try:
        moment = datetime.fromisoformat(published)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0, int(moment.timestamp() * 1_000_000))
    except (ValueError, OverflowError):
        return None
