"""Watches a node's changes: by its log, so that a slow watcher costs nothing, and misses nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

from newsstand.errors import ChangesLost, DatabaseLost, NotInCopy
from newsstand.model import Change, ChangeKind, NodeKey, SyncState
from newsstand.serving.items import Items
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.storage.statements import change_log
from newsstand.storage.statements.change_log import Cursor

BATCH = 200
"""Entries of the log read at a time: all that a watcher keeps in memory."""


def begin(context: Context, items: Items, key: NodeKey, since: int | None) -> AsyncIterator[Change]:
    """What comes after the revision `since`; None for this moment, 0 for when the copy was begun. Raises NotInCopy for
    what is not followed."""
    copy = context.copies.find(key)
    if copy is None or not copy.followed:
        raise NotInCopy(f"{key.node!r} of {key.service} is not followed: synchronise it first")
    if since is None:
        since = copy.record.revision
    elif since == 0:
        since = change_log.beginning(copy.record.id, copy.record.revision)
    return _watch(context, items, copy, since)


async def _watch(context: Context, items: Items, copy: Copy, since: int) -> AsyncIterator[Change]:
    """What the log holds after the revision `since`, then each change as it is committed. Ends when the replica is
    closed; raises ChangesLost where it cannot go on without leaving something out, DatabaseLost where the database's
    file was lost."""
    cursor = Cursor(since)
    while not context.closed:
        # Taken before looking: what is committed while we look wakes us afterwards.
        changed = copy.changed
        part = await context.database.scan(change_log.read, copy.record.id, cursor, BATCH)
        if part is None or copy.is_closed():
            raise ChangesLost(_why(copy, cursor.revision))
        for entry in part.entries:
            # The watcher may have taken its time over the one before: who is refused meanwhile gets nothing more.
            if copy.is_closed():
                raise ChangesLost(_why(copy, cursor.revision))
            item = await items.find(copy.key, entry.item_id) if entry.kind is ChangeKind.PUT else None
            if copy.is_closed():
                raise ChangesLost(_why(copy, cursor.revision))
            yield Change(copy.key, entry.revision, entry.kind, entry.item_id, item)
        cursor = part.cursor
        if not part.more:
            await changed.wait()
    if context.database.lost is not None:
        raise DatabaseLost(context.database.lost)


def _why(copy: Copy, revision: int) -> str:
    what = f"the changes of {copy.key.node!r} of {copy.key.service} after revision {revision} are not known"
    if copy.dropped:
        return f"{what}: its copy was dropped"
    if copy.record.state is SyncState.GONE:
        return f"{what}: {copy.record.reason}"
    return f"{what}: the log was pruned, or the copy was erased or begun anew; read it, and watch from there"
