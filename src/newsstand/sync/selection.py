"""Decides which nodes are followed: those that the program read, and that an analyser wants."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from newsstand.analysis.analysers import Analysis, Decided, analyse, parser_of
from newsstand.errors import NewsstandError, ParseError
from newsstand.jid import host_of
from newsstand.model import NodeKey, NodeRecord, SyncState, Verdict
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.storage.statements import items, nodes
from newsstand.sync.synchroniser import Synchroniser
from newsstand.workers.leases import Leases
from newsstand.workers.storing import Storing
from newsstand.xmpp import xmltext
from newsstand.xmpp.seen_items import payload_namespaces, read_item

log = logging.getLogger(__name__)

SHOWN = 3
"""How many items of an answer an analyser's `match` gets to see."""


@dataclass(eq=False, slots=True)
class Judgement:
    """A judgement of one node that is under way, and whether what it comes to still counts."""

    key: NodeKey
    _void: bool = False

    def counts(self) -> bool:
        return not self._void

    def end(self) -> None:
        """It counts no more."""
        self._void = True


class Selection:
    """Analyses nodes; each is analysed once, until the analysers change."""

    def __init__(self, context: Context, leases: Leases, storing: Storing, synchroniser: Synchroniser) -> None:
        self._context = context
        self._leases = leases
        self._storing = storing
        self._synchroniser = synchroniser
        self._busy: dict[NodeKey, asyncio.Task[None]] = {}
        self._judging: set[Judgement] = set()
        self._reconsidering = False

    def is_settled(self, copy: Copy | None) -> bool:
        """Whether an answer of this node's service would tell us nothing that matters."""
        if copy is None or copy.record.state is SyncState.GONE:
            return False
        if copy.record.verdict is Verdict.UNDECIDED:
            return False
        analysers = self._context.analysers
        if analysers.may_lack(copy.record.analyser):
            return True  # its package is broken: judged without it, the node would be dropped
        return copy.record.analysed_by == analysers.fingerprint

    def observe(self, key: NodeKey, answered: Sequence[Element]) -> None:
        """The service answered a read of the program with these `<item/>`s."""
        copy = self._context.copies.find(key)
        if key in self._busy or self.is_settled(copy) or (copy is not None and copy.left):
            return
        # Taken now: the tree is the program's, which may change it.
        namespaces = payload_namespaces(answered)
        shown = [seen.xml for seen in map(read_item, answered[:SHOWN]) if seen.xml]
        self._busy[key] = self._context.spawn(self._consider(key, namespaces, shown), f"analysing {key.node}")

    def judging_of(self, key: NodeKey) -> asyncio.Task[None] | None:
        """The judgement of this node that a read of the program brought about, while it is under way."""
        return self._busy.get(key)

    async def _consider(self, key: NodeKey, namespaces: tuple[str, ...], shown: list[str]) -> None:
        try:
            await self.judge(key, namespaces, shown)
        except NewsstandError as error:
            log.info("node %r of %s was not analysed: %s", key.node, key.service, error)
        finally:
            self._busy.pop(key, None)
        copy = self._context.copies.find(key)
        if copy is not None and copy.followed:
            copy.reads.begin()
            self._synchroniser.want(copy)

    async def judge(
        self, key: NodeKey, namespaces: tuple[str, ...], shown: Sequence[str], *, asked_for: bool = False
    ) -> Copy | None:
        """Let the analysers judge, and remember what they say; None where they cannot tell yet, or the node was
        forgotten meanwhile. `asked_for`: the program wants this node, whatever they say."""
        with self.judging(key) as judgement:
            return await self._judge(judgement, namespaces, shown, asked_for)

    @contextmanager
    def judging(self, key: NodeKey) -> Iterator[Judgement]:
        """Within this, `forget` is noticed: what it gives does not count afterwards."""
        judgement = Judgement(key)
        self._judging.add(judgement)
        try:
            yield judgement
        finally:
            self._judging.discard(judgement)

    def judged_now(self) -> set[NodeKey]:
        """The nodes that are being judged."""
        return {judgement.key for judgement in self._judging}

    def forget(self, key: NodeKey) -> bool:
        """Judgements of this node that are under way count no more: what is purged must not come back by them. Returns
        whether there were any."""
        found = [judgement for judgement in self._judging if judgement.key == key]
        for judgement in found:
            judgement.end()
        return bool(found)

    async def _judge(
        self, judgement: Judgement, namespaces: tuple[str, ...], shown: Sequence[str], asked_for: bool
    ) -> Copy | None:
        context, key = self._context, judgement.key
        copy = context.copies.find(key)
        record = copy.record if copy is not None else NodeRecord(0, key)
        copy = copy if copy is not None else context.copies.make(record)
        # Wanted by no analyser: the program asked for it before, and nobody took that back.
        asked_for = asked_for or (record.verdict is Verdict.WANTED and record.analyser is None)
        fingerprint = context.analysers.fingerprint
        decided: Decided | None
        reason = None
        try:
            decided = await analyse(
                context.analysers,
                Analysis(
                    key.service,
                    key.node,
                    namespaces,
                    record.pubsub_type,
                    tuple(xmltext.parse([xml]) for xml in shown),
                ),
                lambda: self._pubsub_type(copy),
                context.run,
            )
        except ParseError as error:
            decided, reason = Decided(None, Analysis(key.service, key.node)), str(error)
        if not judgement.counts():
            return None
        if decided is None and not asked_for:
            if copy.record.pubsub_type != record.pubsub_type:
                await self._storing.save(copy)  # undecided, but its type was asked for, and is not asked for again
            return None
        wanted = asked_for or (decided is not None and decided.analysis.to_sync and decided.analyser is not None)
        if wanted and not copy.followed and context.copies.followed >= context.settings.max_nodes:
            wanted, fingerprint = False, b""  # judged again once fewer are followed
            reason = f"{context.settings.max_nodes} nodes are followed already (setting max_nodes)"
        kept = await self._remember(copy, decided, wanted, fingerprint, reason)
        if not judgement.counts():
            if kept is not None:
                context.copies.drop(kept)
                self._synchroniser.forget(kept)
                await context.database.write(nodes.remove, kept.record.id)
                context.copies.removed(kept.record.id)
            return None
        return kept

    async def _remember(
        self, copy: Copy, decided: Decided | None, wanted: bool, fingerprint: bytes, reason: str | None
    ) -> Copy | None:
        context = self._context
        analyser = decided.analyser if decided is not None else None
        state = copy.record.state
        if wanted and state in (SyncState.UNSYNCED, SyncState.GONE):
            state = SyncState.STALE
        dropped = copy.followed and not wanted
        if wanted:
            self._synchroniser.closing.reopen(copy)
        # Of a node that was refused, rows are kept for a while; not any longer than it is wanted.
        left_over = not wanted and copy.record.item_count > 0
        is_new = not copy.record.id
        ours = await self._storing.save(
            copy,
            verdict=Verdict.WANTED if wanted else Verdict.UNWANTED,
            analyser=analyser.name if analyser is not None else None,
            type=decided.analysis.type if decided is not None else None,
            subtype=decided.analysis.subtype if decided is not None else None,
            analysed_by=fingerprint,
            state=state if wanted else SyncState.UNSYNCED,
            complete=copy.record.complete and wanted,
            reason=reason,
            read_at=context.clock(),
        )
        kept = context.copies.find(copy.key)
        if kept is None:
            return None  # dropped meanwhile
        if not ours:  # another worker remembered it first
            return kept if kept.followed else await self._remember(kept, decided, wanted, fingerprint, reason)
        if not is_new:  # a new row says so already
            await context.database.write(nodes.note_read, kept.record.id, context.clock())
        if dropped:
            await self._synchroniser.subscriptions.end(kept)
        if dropped or left_over:
            await self._storing.write(kept, nodes.erase_items, kept.record.id)
            kept.notify_watchers()
        elif (
            wanted
            and kept.record.item_count
            and await self._storing.write(kept, items.mark_to_parse, kept.record.id, *parser_of(analyser))
        ):
            self._synchroniser.parse(kept)
        return kept

    async def _pubsub_type(self, copy: Copy) -> str:
        """Asked once a node, and remembered even where the node is not wanted."""
        info = await self._synchroniser.subscriptions.node_info(copy)
        copy.update(access_model=info.access_model or "", pubsub_type=info.pubsub_type or "")
        return info.pubsub_type or ""

    def reconsider(self) -> None:
        """The analysers changed: look again at what is followed. Several changes at once cost one look."""
        if not self._reconsidering:
            self._reconsidering = True
            self._context.spawn(self._reconsider(), "looking at the analysers' verdicts anew")

    async def _reconsider(self) -> None:
        await asyncio.sleep(0)  # let the program register what else it has
        self._reconsidering = False
        by_host: dict[str, list[Copy]] = {}
        for copy in self._context.copies:
            by_host.setdefault(host_of(copy.key.service), []).append(copy)
        # Services may be asked what nodes are: one that does not answer holds up its own nodes only.
        await asyncio.gather(*map(self._reconsider_all, by_host.values()))

    async def _reconsider_all(self, copies: Sequence[Copy]) -> None:
        for copy in copies:
            if self._context.serves(copy.key.account) and not self._leases.owned_by_another(copy):
                try:
                    await self.again(copy)
                except NewsstandError as error:
                    log.info("node %r could not be judged anew: %s", copy.key.node, error)

    async def again(self, copy: Copy) -> None:
        """Judge a followed node by what is stored of it, when the analysers are others than when it was judged."""
        if self.is_settled(copy) or not copy.followed or self._leases.owned_by_another(copy):
            return
        stored = await self._context.database.read(items.xml_of_last, copy.record.id, SHOWN)
        elements = [xmltext.parse([xml]) for xml in stored if xml]
        if elements:
            await self.judge(copy.key, payload_namespaces(elements), stored)
