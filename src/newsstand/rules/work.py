"""What is to be done next about a copy that this worker follows. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from newsstand.model import SyncState
from newsstand.rules.batch_sizes import ID_BATCH
from newsstand.rules.doubts import Chores, Doubts


@dataclass(frozen=True, slots=True)
class TakeStock:
    """The job of finding out which items came and which went, by the ids alone."""


@dataclass(frozen=True, slots=True)
class ListAll:
    """The job of listing the whole node."""


@dataclass(frozen=True, slots=True)
class Refetch:
    """The job of asking for the contents of these items."""

    item_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckIds:
    """The job of finding out, by the ids, whether something was evicted."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """The job of asking whether the subscription is still there."""


@dataclass(frozen=True, slots=True)
class Revalidate:
    """The job of asking whether the account may still read the node, and whether the copy says the same."""


@dataclass(frozen=True, slots=True)
class LearnCursors:
    """The job of asking for the service's own cursors that the next answer needs."""


Job = TakeStock | ListAll | Refetch | CheckIds | Confirm | Revalidate | LearnCursors


def is_large(*, complete: bool, count: int, page_size: int) -> bool:
    """Whether a node was complete once, and listing it takes more than a request or two."""
    return complete and count > page_size


def next_job(
    state: SyncState,
    doubts: Doubts,
    chores: Chores,
    *,
    stocked: bool,
    waited_for: bool,
    large: bool,
) -> Job | None:
    """What matters most; None where there is nothing to do. `stocked`: stock was taken in this session already.
    `waited_for`: somebody waits until the copy is live. `large`: see `is_large`."""
    if state is not SyncState.LIVE and large and not stocked and not waited_for:
        return TakeStock()
    if state is not SyncState.LIVE or doubts.relist:
        return ListAll()
    if doubts.refetch:
        return Refetch(tuple(sorted(doubts.refetch)[:ID_BATCH]))
    if doubts.check_ids:
        return CheckIds()
    if chores.confirm:
        return Confirm()
    if chores.revalidate:
        return Revalidate()
    return LearnCursors() if chores.cursors else None
