"""Drops copies because somebody says so: nothing of them is served, found or under way any more."""

from __future__ import annotations

import asyncio

from newsstand.errors import NotFollowed, NotInCopy
from newsstand.model import NodeKey
from newsstand.state.context import Context
from newsstand.storage.statements import nodes
from newsstand.sync.selection import Selection
from newsstand.upkeep.housekeeping import Dropped, Housekeeping


class Dropping:
    """Of one node, or of all."""

    def __init__(self, context: Context, selection: Selection, housekeeping: Housekeeping) -> None:
        self._context = context
        self._selection = selection
        self._housekeeping = housekeeping

    async def purge(self, key: NodeKey) -> None:
        """Raises NotInCopy where nothing is known of the node, nor about to be."""
        self._check_keeper(key.account)
        judged = self._selection.forget(key)
        copy = self._context.copies.find(key)
        if copy is not None:
            await self._housekeeping.forget(self._housekeeping.drop(copy))
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
                dropped.append(self._housekeeping.drop(copy))
        at_once = asyncio.Semaphore(self._context.settings.parallel)

        async def forget(one: Dropped) -> None:
            async with at_once:
                await self._housekeeping.erase(one)
            await self._housekeeping.unsubscribe(one)  # outside: one service's node must not wait for another's answer

        await asyncio.gather(*map(forget, dropped))
        await self._context.database.write(nodes.remove_idle_accounts)
        await self._context.forget_behaviour()

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
