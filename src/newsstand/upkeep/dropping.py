"""Drops copies: nothing of them is served, found or under way any more. The program says so, by a purge or a reset, or
`newsstand.upkeep.unread_nodes` does."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from newsstand.errors import NotFollowed, NotInCopy
from newsstand.model import NodeKey, SyncState
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.storage.statements import nodes
from newsstand.sync.selection import Selection
from newsstand.sync.synchroniser import Synchroniser


class Dropped(NamedTuple):
    """A copy that is not ours any more, and whether it was followed until then."""

    copy: Copy
    followed: bool


class Dropping:
    """Drops the copy of one node, or of all, and unsubscribes from what it dropped."""

    def __init__(self, context: Context, selection: Selection, synchroniser: Synchroniser) -> None:
        self._context = context
        self._selection = selection
        self._synchroniser = synchroniser

    async def purge(self, key: NodeKey) -> None:
        """Raises NotInCopy where nothing is known of the node, nor about to be."""
        self._check_keeper(key.account)
        judged = self._selection.forget(key)
        copy = self._context.copies.find(key)
        if copy is not None:
            await self.forget(self.drop(copy))
        elif not judged:
            raise NotInCopy(f"there is no copy of {key.node!r} of {key.service}")
        await self._context.database.write(nodes.remove_idle_accounts)

    async def reset(self, account: str | None) -> None:
        """Drop this account's copies. Without an account: those of all accounts of this stream; without a stream, all.
        What was learnt of services is forgotten, too."""
        keys = self._selection.judged_now() | {copy.key for copy in self._context.copies}
        keys = {key for key in keys if self._is_meant(key, account)}
        for key in keys:
            self._check_keeper(key.account)
        # All at once, without a pause: from here on nothing of any of them is served.
        dropped = []
        for key in keys:
            self._selection.forget(key)
            if (copy := self._context.copies.find(key)) is not None:
                dropped.append(self.drop(copy))
        at_once = asyncio.Semaphore(self._context.settings.parallel)

        async def forget(one: Dropped) -> None:
            async with at_once:
                await self._erase(one)
            await self._unsubscribe(one)  # outside: one service's node must not wait for another's answer

        await asyncio.gather(*map(forget, dropped))
        await self._context.database.write(nodes.remove_idle_accounts)
        await self._context.forget_behaviour()

    def drop(self, copy: Copy) -> Dropped:
        """Serve nothing of a copy from this moment on, and end the work on it; `forget` does the rest."""
        dropped = Dropped(copy, copy.followed)
        copy.update(state=SyncState.UNSYNCED, complete=False, reason="the copy was dropped")
        copy.inbox.empty()
        self._context.copies.drop(copy)
        self._synchroniser.forget(copy)
        return dropped

    async def forget(self, dropped: Dropped) -> None:
        """Take a dropped copy out of the database, and unsubscribe if we can and nobody began it anew. Raises
        DatabaseError."""
        await self._erase(dropped)
        await self._unsubscribe(dropped)

    async def _erase(self, dropped: Dropped) -> None:
        """First, and at once: if the program reads the node again, it must not find the old rows. Raises
        DatabaseError."""
        await self._context.database.write(nodes.remove, dropped.copy.record.id)
        self._context.copies.removed(dropped.copy.record.id)

    async def _unsubscribe(self, dropped: Dropped) -> None:
        """As far as we can, unless somebody began it anew. It may have to wait for its service."""
        copy = dropped.copy
        again = self._context.copies.find(copy.key)
        may_ask = self._context.online and self._context.speaks_for(copy.key.account)
        if dropped.followed and may_ask and (again is None or not again.followed):
            await self._synchroniser.subscriptions.end(copy)

    def _is_meant(self, key: NodeKey, account: str | None) -> bool:
        if account is not None:
            return key.account == account
        return self._context.transport is None or self._context.speaks_for(key.account)

    def _check_keeper(self, account: str) -> None:
        """Another client of this process that keeps these copies would not know that they are gone."""
        own = self._context.own_jid if self._context.speaks_for(account) else account
        keeper = self._context.database.keeper(own)
        if keeper is not None and keeper is not self._context:
            raise NotFollowed("another client in this process keeps this account's copies in this database")
