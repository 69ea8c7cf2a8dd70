"""Parses stored items, after they are safe: what a parser does or fails to do never costs an item."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from newsstand import xmltext
from newsstand.analysis import Analyser, parse
from newsstand.context import Context
from newsstand.copies import Copy
from newsstand.errors import LeaseLost, ParseError
from newsstand.storage import items
from newsstand.storage.items import ParsedItem, ToParse
from newsstand.words import terms_of, terms_of_xml

BATCH = 100
MAX_ERROR = 500
LONG = 20_000
"""Characters of an item's XML above which its words are cut in a thread."""


class Parsing:
    """Works through what is stored and not parsed. One task a node at most."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._busy: set[int] = set()
        self._again: set[int] = set()

    def want(self, copy: Copy) -> None:
        """See to it that this copy's items get parsed."""
        if copy.record.id in self._busy:
            self._again.add(copy.record.id)
            return
        self._busy.add(copy.record.id)
        self._context.spawn(self._work(copy), f"parsing {copy.key.node}")

    async def _work(self, copy: Copy) -> None:
        node_id = copy.record.id
        try:
            while True:
                self._again.discard(node_id)
                batch = await self._context.database.read(items.to_parse, node_id, BATCH)
                if not batch and node_id not in self._again:
                    return
                analyser = self._context.analysers.find(copy.record.analyser)
                if analyser is None and copy.record.analyser is not None:
                    return  # another program's: its items wait for it
                results = [await self._parse(copy, analyser, item) for item in batch]
                if self._context.analysers.find(copy.record.analyser) is not analyser:
                    continue  # the node was judged anew meanwhile: these results are another parser's
                name, version = (analyser.name, analyser.version) if analyser else (None, None)
                try:
                    await self._context.write(copy, items.store_parsed, node_id, results, name, version)
                except LeaseLost:
                    if not copy.led:
                        return  # who follows it parses it
        finally:
            self._busy.discard(node_id)

    async def _parse(self, copy: Copy, analyser: Analyser | None, item: ToParse) -> ParsedItem:
        if not item.xml:
            return ParsedItem(item, None, None, None, "")
        element = xmltext.parse([item.xml])
        if analyser is None or analyser.parser is None:
            await asyncio.sleep(0)
            return ParsedItem(item, None, None, None, await _cut(item, terms_of_xml, element))
        try:
            text = await parse(analyser, element, service=copy.key.service, node=copy.key.node, run=self._context.run)
        except ParseError as error:
            # Nothing of it is indexed: a parser may be there to keep secrets out.
            return ParsedItem(item, None, str(error)[:MAX_ERROR], None, "")
        parsed: dict[str, Any] = json.loads(text)
        return ParsedItem(item, parsed, None, date_of(parsed), await _cut(item, terms_of, parsed))


async def _cut(item: ToParse, terms: Callable[[Any], str], source: Any) -> str:
    """The words of an item. A long one is cut in a thread: the loop must not stand still for it."""
    if len(item.xml) <= LONG:
        return terms(source)
    return await asyncio.to_thread(terms, source)


def date_of(parsed: dict[str, Any]) -> int | None:
    """The payload's own date, in microseconds since the epoch: what its parser put under `published`, else under
    `updated` (which is all that Atom asks for)."""
    published = parsed.get("published") or parsed.get("updated")
    if not isinstance(published, str):
        return None
    try:
        moment = datetime.fromisoformat(published)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0, int(moment.timestamp() * 1_000_000))
    except (ValueError, OverflowError):
        return None
