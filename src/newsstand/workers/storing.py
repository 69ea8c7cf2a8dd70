"""Changes what is stored of a copy, under the lease by which a worker owns its node
(docs/decisions/010-several-workers.md). The generation is checked inside the transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from newsstand.errors import LeaseLost
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.storage.schema import dialects
from newsstand.storage.statements import nodes, owners
from newsstand.workers.leases import Leases

P = ParamSpec("P")
T = TypeVar("T")


class Storing:
    """Writes what one worker stores of its copies; what another worker owns is not changed."""

    def __init__(self, context: Context, leases: Leases) -> None:
        self._context = context
        self._leases = leases

    async def write(
        self,
        copy: Copy,
        statement: Callable[Concatenate[Any, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Change what is stored of a copy, in one transaction. Raises LeaseLost, and changes nothing, where another
        worker owns the node, or dropped it; else as `Database.write`."""
        was_ours = copy.lease.ours
        try:
            return await self._write(copy, statement, *args, **kwargs)
        except LeaseLost:
            if was_ours or not copy.lease.ours:
                raise
            # We acquired it ourselves while this was on its way.
            return await self._write(copy, statement, *args, **kwargs)

    async def _write(
        self, copy: Copy, statement: Callable[Concatenate[Any, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        node_id, lease = copy.record.id, copy.lease
        if self._leases.owned_by_another(copy):
            raise LeaseLost(f"another worker owns {copy.key.node!r}")

        def checked(conn: Any) -> T:
            owners.check(conn, node_id, lease.generation, lease.owner)
            result = statement(conn, *args, **kwargs)
            dialects.notify(conn, node_id)
            return result

        try:
            result = await self._context.database.write(checked)
        except LeaseLost:
            if (copy.lease.generation, copy.lease.owner) == (lease.generation, lease.owner):
                self._leases.refused(copy)
            raise
        self._leases.wrote(copy)
        return result

    async def save(self, copy: Copy, **changes: Any) -> bool:
        """Change what is remembered of a node: first here, so that reads see it at once, then in the database. False
        where another worker remembered it first: then we load what it remembers. Raises as `write`."""
        if copy.record.id:
            await self._save(copy, changes)
            return True
        copy.update(**changes)
        record, held, made = await self._context.database.write(owners.begin_node, copy.record)
        self._context.copies.add(record, held, copy)
        copy.load(record)
        return made

    async def _save(self, copy: Copy, changes: dict[str, Any]) -> None:
        was_ours = copy.lease.ours
        copy.saves += 1
        try:
            copy.update(**changes)
            try:
                await self._write(copy, nodes.save, copy.record)
            except LeaseLost:
                if was_ours or not copy.lease.ours:
                    raise
                copy.update(**changes)  # as in `write`: on top of what was found when we acquired it
                await self._write(copy, nodes.save, copy.record)
        finally:
            copy.saves -= 1
