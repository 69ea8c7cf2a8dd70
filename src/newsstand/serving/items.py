"""The items of answers, parsed, whoever answered.

What the service answers may not be stored yet, or never will be; what is stored may not be parsed yet. A program that
reads an item finds what its parser makes of it all the same: what the copy knows of the same contents, else what the
node's analyser says now.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Sequence

from newsstand.analysis.analysers import Analyser, Analysis, analyse, parse
from newsstand.errors import DatabaseError, ParseError
from newsstand.model import Item, ItemsRequest, NodeKey, SeenItem, Verdict
from newsstand.rules.behaviour import Take
from newsstand.state.context import Context
from newsstand.storage.statements import answers
from newsstand.sync.parsing import LONG, MAX_ERROR
from newsstand.sync.selection import SHOWN, Selection
from newsstand.xmpp import xmltext
from newsstand.xmpp.seen_items import payload_namespaces


class Items:
    """Puts the items of one replica's answers together."""

    def __init__(self, context: Context, selection: Selection) -> None:
        self._context = context
        self._selection = selection

    async def of_service(self, key: NodeKey, seen: Sequence[SeenItem], namespaces: tuple[str, ...]) -> list[Item]:
        """What a service answered, parsed. Where the copy holds the same contents, it says since when, too.
        `namespaces`: of the payloads."""
        held = await self._held(key, [item.id for item in seen])
        found = []
        for item in seen:
            known = held.get(item.id)
            if known is not None and known.xml == item.xml:
                found.append(dataclasses.replace(known, publisher=item.publisher))
            else:
                found.append(Item(key, item.id, item.xml, None, item.publisher, 0, 0, 0))
        return await self.parsed(key, found, namespaces)

    async def find(self, key: NodeKey, item_id: str) -> Item | None:
        """One item of a copy, parsed. Raises DatabaseError."""
        copy = self._context.copies.by_key.get(key)
        if copy is None:
            return None
        request = ItemsRequest(key, (item_id,))
        held = await self._context.database.read(answers.take_items, copy.record.id, request, Take.IDS)
        return (await self.parsed(key, held))[0] if held else None

    async def parsed(self, key: NodeKey, items: Sequence[Item], namespaces: tuple[str, ...] = ()) -> list[Item]:
        """The same, those parsed that are not yet. Takes no longer than `patience` and the time of one parser: what is
        left then says so."""
        loop, patience = asyncio.get_running_loop(), self._context.settings.patience
        if not any(map(_is_to_parse, items)):
            return list(items)
        analyser = await self._analyser(key, items, namespaces)
        if analyser is None or analyser.parser is None:
            return list(items)
        until, found = loop.time() + patience, []
        for item in items:
            if not _is_to_parse(item):
                found.append(item)
            elif loop.time() < until:
                found.append(await self._parse(analyser, item))
            else:
                found.append(dataclasses.replace(item, parse_error=f"not parsed yet: others took {patience:g} s"))
        return found

    async def _held(self, key: NodeKey, item_ids: Sequence[str]) -> dict[str, Item]:
        """Those of the items that the copy holds."""
        copy = self._context.copies.by_key.get(key)
        if copy is None or copy.is_closed() or not copy.record.item_count:
            return {}
        request = ItemsRequest(key, tuple(item_ids))
        try:
            held = await self._context.database.scan(answers.take_items, copy.record.id, request, Take.IDS)
        except DatabaseError:
            return {}
        return {} if copy.is_closed() else {item.id: item for item in held}

    async def _parse(self, analyser: Analyser, item: Item) -> Item:
        key, long = item.key, len(item.xml) > LONG
        try:
            element = await asyncio.to_thread(xmltext.parse, [item.xml]) if long else xmltext.parse([item.xml])
            text = await parse(analyser, element, service=key.service, node=key.node, run=self._context.run)
        except (ParseError, SyntaxError) as error:
            return dataclasses.replace(item, parse_error=str(error)[:MAX_ERROR])
        return dataclasses.replace(item, parsed=json.loads(text))

    async def _analyser(self, key: NodeKey, items: Sequence[Item], namespaces: tuple[str, ...]) -> Analyser | None:
        """The one that the node was judged by, or would be by what these items show."""
        analysers, copy = self._context.analysers, self._context.copies.by_key.get(key)
        if namespaces and not analysers.may_parse(key.node, namespaces):
            return None
        if (judging := self._selection.judging_of(key)) is not None:
            await asyncio.wait({judging}, timeout=self._context.settings.patience)
            copy = self._context.copies.by_key.get(key)
        if copy is not None and (
            copy.record.verdict is Verdict.WANTED or copy.record.analysed_by == analysers.fingerprint
        ):
            return analysers.find(copy.record.analyser)
        known = None if copy is None else copy.record.pubsub_type
        elements = [xmltext.parse([item.xml]) for item in items[:SHOWN] if item.xml]
        namespaces = namespaces or payload_namespaces(elements)
        analysis = Analysis(key.service, key.node, namespaces, known, tuple(elements))
        try:
            decided = await analyse(analysers, analysis, _unknown, self._context.run)
        except (ParseError, SyntaxError):
            return None
        return None if decided is None else decided.analyser


def _is_to_parse(item: Item) -> bool:
    return bool(item.xml) and item.parsed is None and item.parse_error is None


async def _unknown() -> str:
    """The node's type, which is not asked for merely to read an item."""
    return ""
