"""Plans: the steps that bring a copy up to date with a listing or a notification. Pure: decides, and does nothing."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from newsstand.errors import ListingError
from newsstand.model import (
    Configured,
    Counts,
    Deleted,
    HeldItem,
    News,
    Published,
    Purged,
    Retracted,
    SeenItem,
    StorableItem,
    SubscriptionChanged,
)
from newsstand.rules.behaviour import Behaviour, ServiceBehaviour
from newsstand.rules.doubts import CLEAR, Doubts
from newsstand.xmpp.seen_items import as_listed

REMOVED = 500
"""Items that one step of a listing takes out, at most."""
FEW = 3
"""Items that may be missing in a list without a second one."""


class Place(enum.Enum):
    """Where an item goes in the node's order."""

    LAST = enum.auto()
    FIRST = enum.auto()
    KEEP = enum.auto()
    """Where it was; a new one last."""


@dataclass(frozen=True, slots=True)
class Put:
    """A step: store an item. `new` is its place if it is not there yet, `overwritten` if it is: an exact position, or a
    place relative to the others. One that is not `exact` moves, and does not replace what is there."""

    item: StorableItem
    new: int | Place
    overwritten: int | Place


@dataclass(frozen=True, slots=True)
class Move:
    """A step: give an item another position, and leave its contents as they are."""

    digest: bytes
    position: int


@dataclass(frozen=True, slots=True)
class Remove:
    """A step: take items out. Those that are not there are reported, and no error."""

    item_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clear:
    """A step: take all items out."""


Step = Put | Move | Remove | Clear


def plan_listing(held: Iterable[HeldItem], seen: Sequence[StorableItem]) -> list[Step]:
    """The steps that make the copy equal to a complete listing, in the listing's order, writing no row that is
    right already. Raises ListingError when the listing names an item twice."""
    return list(iter_listing(held, seen))


def iter_listing(held: Iterable[HeldItem], seen: Sequence[StorableItem]) -> Iterator[Step]:
    """The same, step by step, for a listing that is larger than what should be in memory. `held` is read to its end
    before the first step."""
    place, count = {item.id: at for at, item in enumerate(seen)}, len(seen)
    if len(place) < count:
        raise ListingError("the service listed an item id twice")
    ours: list[int | None] = [None] * count
    """The positions that the items seen have in the copy."""
    same = bytearray(count)
    gone: list[str] = []
    for item_id, content_digest, position in held:
        at = place.get(item_id)
        if at is None:
            gone.append(item_id)
        else:
            ours[at] = position
            same[at] = seen[at].content_digest == content_digest
    del place
    for start in range(0, len(gone), REMOVED):
        yield Remove(tuple(gone[start : start + REMOVED]))
    for item, is_same, before, position in zip(seen, same, ours, _positions(ours), strict=True):
        if not is_same:
            yield Put(item, position, position)
        elif before != position:
            yield Move(item.digest, position)


def _positions(ours: Sequence[int | None]) -> Iterator[int]:
    """Rising positions for the listing, keeping as many of ours as a walk from its start can."""
    first = next(((at, position) for at, position in enumerate(ours) if position is not None), (0, 0))
    last = first[1] - first[0] - 1
    for position in ours:
        last = position if position is not None and position > last else last + 1
        yield last


class Stock(NamedTuple):
    """The comparison of a copy that was not kept up with the list of its node's ids: which items are gone, and which
    must be fetched."""

    gone: tuple[str, ...]
    suspects: tuple[str, ...]
    """New, or moved to the end and therefore overwritten; newest first."""


def plan_stock(held: Sequence[str], listed: Sequence[str], *, moves_last: bool) -> Stock:
    """Compare the ids that are held with those that the service lists, both in the node's order. Where an overwrite
    `moves_last`, what stands behind the first item that is out of order was touched. What stands before may have been
    touched, too: overwriting a node's last items in their order leaves no trace in it."""
    there, place = set(listed), {id_: at for at, id_ in enumerate(held)}
    gone = tuple(id_ for id_ in held if id_ not in there)
    suspects: list[str] = []
    last, moved = -1, False
    for id_ in listed:
        at = place.get(id_)
        moved |= moves_last and at is not None and at < last
        if at is None or moved:
            suspects.append(id_)
        else:
            last = at
    return Stock(gone, tuple(reversed(suspects)))


def is_much_shorter(held: int, gone: int) -> bool:
    """Whether so many of the items that are held are missing in a list that it is not believed without a second."""
    return gone > 0 and (gone >= held or gone > max(FEW, held // 10))


@dataclass(frozen=True, slots=True)
class NewsPlan:
    """The plan for the news of a notification. The steps are applied first; the rest says what must be asked for
    then."""

    steps: tuple[Step, ...] = ()
    doubts: Doubts = CLEAR
    """Items whose contents did not come along; a listing, where the node may have changed by more than was notified; a
    check of the ids after a purge: one service was seen to send its notification and keep some items."""
    deleted: bool = False
    """Whatever came after: a node of the same name is another one, to which nobody is subscribed."""
    subscription: str | None = None


def plan_news(news: Iterable[News], behaviour: ServiceBehaviour, shows_publisher: bool | None) -> NewsPlan:
    """The steps for one node's news, in order. An item that must be fetched again is put in its place all the same:
    the service is asked for it before the node answers from the copy."""
    steps: list[Step] = []
    refetch: set[str] = set()
    relist = check_ids = deleted = False
    subscription = None
    for what in news:
        match what:
            case Published(items):
                for item in items:
                    listed = as_listed(item, shows_publisher)
                    # Without a payload it is a notification that leaves it out (XEP-0060, 4.3), or an empty item:
                    # only the service knows. What cannot be kept is not asked for again: it would not be kept then.
                    if listed.exact and (listed.has_payload or listed.quarantine is not None):
                        refetch.discard(item.id)
                    else:
                        listed = dataclasses.replace(listed, exact=False)
                        refetch.add(item.id)
                    steps.append(put(listed, behaviour))
            case Retracted(item_ids):
                steps.append(Remove(item_ids))
                refetch.difference_update(item_ids)
            case Purged():
                steps = [Clear()]
                refetch.clear()
                check_ids = True
            case Deleted():
                steps = [Clear()]
                refetch.clear()
                deleted = True
            case Configured():
                relist = True
            case SubscriptionChanged(changed):
                subscription = changed
    doubts = Doubts(relist=relist, refetch=frozenset(refetch), check_ids=check_ids)
    return NewsPlan(tuple(steps), doubts, deleted, subscription)


def put(item: SeenItem, behaviour: ServiceBehaviour) -> Put:
    """Store an item that was just published, where this service puts it."""
    return Put(item, _place(behaviour.new), _place(behaviour.overwritten))


def _place(where: Behaviour) -> Place:
    match where:
        case Behaviour.LAST:
            return Place.LAST
        case Behaviour.FIRST:
            return Place.FIRST
        case _:
            return Place.KEEP


@dataclass(frozen=True, slots=True)
class Applied:
    """What the steps of a plan really did to the copy."""

    revision: int
    count: int
    """How many items the node has afterwards."""
    inserted: tuple[str, ...] = ()
    overwritten: tuple[str, ...] = ()
    """Items that were there before, changed or not."""
    removed: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    """Items to be removed that were not there."""
    quarantined: int = 0
    payload_bytes: int = 0
    """How many bytes the node's items take afterwards."""
    grew: bool = False
    """An item was inserted, even if it is gone again: meanwhile another may have been evicted for it."""
    kept_in_place: bool = False
    """An item that was there was put, and kept its place because no other was named."""

    @property
    def brought(self) -> bool:
        """Whether items came that may be new, or have other contents."""
        return bool(self.inserted or self.overwritten)

    @property
    def counts(self) -> Counts:
        return Counts(self.count, self.quarantined, self.payload_bytes)


def doubts_after(
    applied: Applied, behaviour: ServiceBehaviour, known_gone: Collection[str] = (), *, unchecked: bool = False
) -> Doubts:
    """What news that were applied leave open: services evict items past `max_items` and say nothing
    (so after an insertion the ids are checked); an item whose new place is not known puts the order in doubt;
    the retract of an item that never was there names something else, unless it is lately `known_gone`: then the
    service said it twice. And while it is `unchecked` whether something was evicted, an item that we hold may be a new
    one to the service, with a new one's place."""
    unplaced = applied.inserted and behaviour.new not in (Behaviour.LAST, Behaviour.FIRST)
    unmoved = applied.kept_in_place and behaviour.overwritten in (Behaviour.UNKNOWN, Behaviour.VARIES)
    perhaps_new = applied.overwritten and (unchecked or applied.grew) and behaviour.new is not behaviour.overwritten
    unexplained = any(id_ not in known_gone and id_ not in applied.removed for id_ in applied.missed)
    return Doubts(
        relist=bool(applied.count > 1 and (unplaced or unmoved or perhaps_new)) or unexplained,
        check_ids=applied.grew,
    )
