"""The behaviour of a service where the XEPs leave it open, and how that is learnt. Pure.

An answer from the copy must be the one that the service would have given. Which one that is differs from service
to service and is announced nowhere. So each behaviour is UNKNOWN until it was seen, and the service answers whatever
depends on an unknown one. See docs/decisions/003-ways-are-learnt.md.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from dataclasses import dataclass

from newsstand.model import ItemsRequest, Rsm


class Way(enum.StrEnum):
    """One behaviour of a service: what it does about one of the questions of `Ways`."""

    UNKNOWN = "unknown"
    VARIES = "varies"
    """Seen to contradict itself: never to be predicted."""
    FIRST = "first"
    LAST = "last"
    STAYS = "stays"
    IGNORED = "ignored"
    HONOURED = "honoured"
    NODE_ORDER = "node-order"
    REVERSED = "reversed"
    REQUEST_ORDER = "request-order"
    SKIPPED = "skipped"
    REFUSED = "refused"
    ONCE = "once"
    EACH_TIME = "each-time"
    INDEX_ZERO = "index-zero"
    INDEX_FROM_END = "index-from-end"
    SHOWN = "shown"
    LEFT_OUT = "left-out"


@dataclass(frozen=True, slots=True)
class Ways:
    """The behaviour of one service. Each field is a question that XEP-0060 or XEP-0059 leaves to the service."""

    new: Way = Way.UNKNOWN
    """Where a new item goes in a full listing: LAST or FIRST."""
    overwritten: Way = Way.UNKNOWN
    """Where an overwritten item goes: LAST, FIRST, or STAYS where it was."""
    limited: Way = Way.UNKNOWN
    """`max_items=N`: the newest N in NODE_ORDER or REVERSED."""
    limited_set: Way = Way.UNKNOWN
    """The `<set/>` (XEP-0059) that comes unasked with what `max_items=N` brings: LEFT_OUT; or there, with cursors that
    the service made, and with an index of always 0 (INDEX_ZERO), or of as many as there are less N (INDEX_FROM_END)."""
    several_ids: Way = Way.UNKNOWN
    """Several item ids: REQUEST_ORDER or NODE_ORDER."""
    missing_id: Way = Way.UNKNOWN
    """An id that is not there: SKIPPED or REFUSED."""
    repeated_id: Way = Way.UNKNOWN
    """An id that is asked for twice: answered ONCE, where it was first asked for, or EACH_TIME."""
    paging: Way = Way.UNKNOWN
    """A `<set/>` (XEP-0059) in a request for items: IGNORED or HONOURED."""
    disco_order: Way = Way.UNKNOWN
    """The ids in disco#items: NODE_ORDER or REVERSED."""
    own_from: Way = Way.UNKNOWN
    """The `from` of the answers to one's own bare JID: SHOWN or LEFT_OUT (RFC 6120, 10.3.3 allows both)."""

    def learn(self, **seen: Way) -> Ways:
        """The behaviour with what was seen now. A question that was answered differently before varies, and stays
        so."""
        known = {name: way if getattr(self, name) in (Way.UNKNOWN, way) else Way.VARIES for name, way in seen.items()}
        return dataclasses.replace(self, **known)


SHOWS_SET = (Way.INDEX_ZERO, Way.INDEX_FROM_END)
"""A `<set/>` comes with what `max_items` brings."""


def set_index(ways: Ways, count: int, limit: int) -> int:
    """The index in the `<set/>` that comes with what `max_items` brings, of a node of `count` items."""
    return 0 if ways.limited_set is Way.INDEX_ZERO else count - limit


class Take(enum.Enum):
    """Which items an answer holds, and in which order."""

    ALL = enum.auto()
    LAST = enum.auto()
    LAST_REVERSED = enum.auto()
    FIRST = enum.auto()
    FIRST_REVERSED = enum.auto()
    IDS = enum.auto()
    """Each once, in the order in which they were first asked for."""
    IDS_EACH_TIME = enum.auto()
    IDS_IN_NODE_ORDER = enum.auto()
    """Each once."""


def foresee(
    ways: Ways, request: ItemsRequest, count: int, *, holds_all: bool = False, knows_cursors: bool = False
) -> Take | None:
    """How the service would answer about a node of `count` items; None where its behaviour is not known well enough.
    `holds_all`: every item that is asked for by id is there. `knows_cursors`: those that the service would send along
    with what `max_items` brings are known."""
    if request.paged and ways.paging is not Way.IGNORED:
        return None
    if request.key.service == request.key.account and ways.own_from not in (Way.SHOWN, Way.LEFT_OUT):
        return None
    if request.item_ids:
        return _foresee_ids(ways, request.item_ids, holds_all)
    if request.max_items is None:
        return Take.ALL
    if ways.limited_set not in (Way.LEFT_OUT, *SHOWS_SET) or (ways.limited_set in SHOWS_SET and not knows_cursors):
        return None
    if count <= 1:
        return Take.ALL
    if ways.new not in (Way.FIRST, Way.LAST):
        return None
    first = ways.new is Way.FIRST
    match ways.limited if request.max_items > 1 else Way.NODE_ORDER:
        case Way.NODE_ORDER:
            return Take.FIRST if first else Take.LAST
        case Way.REVERSED:
            return Take.FIRST_REVERSED if first else Take.LAST_REVERSED
        case _:
            return None


def _foresee_ids(ways: Ways, wanted: tuple[str, ...], holds_all: bool) -> Take | None:
    if not (holds_all or ways.missing_id is Way.SKIPPED):
        return None
    if len(wanted) == 1:
        return Take.IDS
    repeated = ways.repeated_id if len(set(wanted)) < len(wanted) else Way.ONCE
    match ways.several_ids, repeated:
        case Way.REQUEST_ORDER, Way.ONCE:
            return Take.IDS
        case Way.REQUEST_ORDER, Way.EACH_TIME:
            return Take.IDS_EACH_TIME
        case Way.NODE_ORDER, Way.ONCE:
            return Take.IDS_IN_NODE_ORDER
        case _:
            return None


def learn_from_answer(
    ways: Ways,
    request: ItemsRequest,
    ids: Sequence[str],
    answered: Sequence[str] | None,
    rsm: Rsm | None = None,
) -> Ways:
    """What an answer to a request teaches about a node known to hold exactly `ids`, in the service's order.
    `answered` is None where the service said item-not-found; `rsm` is the answer's `<set/>`."""
    if request.paged:
        return ways
    if request.item_ids:
        return _learn_by_ids(ways, request.item_ids, ids, answered)
    limit = request.max_items
    if limit is None or answered is None:
        return ways
    ways = _learn_limited_set(ways, len(ids), limit, rsm)
    if limit >= len(ids):
        return ways
    got, newest_last, newest_first = list(answered), list(ids[-limit:]), list(ids[:limit])
    if got in (newest_last, newest_last[::-1]):
        ways, expected = ways.learn(new=Way.LAST), newest_last
    elif got in (newest_first, newest_first[::-1]):
        ways, expected = ways.learn(new=Way.FIRST), newest_first
    else:
        return ways.learn(limited=Way.VARIES)
    if limit == 1:
        return ways
    return ways.learn(limited=Way.NODE_ORDER if got == expected else Way.REVERSED)


def _learn_limited_set(ways: Ways, count: int, limit: int, rsm: Rsm | None) -> Ways:
    if rsm is None:
        return ways.learn(limited_set=Way.LEFT_OUT)
    if rsm.index is None:
        expected = count == 0 and ways.limited_set is not Way.LEFT_OUT
        return ways if expected else ways.learn(limited_set=Way.VARIES)
    fitting = [way for way in SHOWS_SET if rsm.index == set_index(Ways(limited_set=way), count, limit)]
    if rsm.count != count or not fitting:
        return ways.learn(limited_set=Way.VARIES)
    return ways.learn(limited_set=fitting[0]) if len(fitting) == 1 else ways


def _learn_by_ids(ways: Ways, wanted: tuple[str, ...], ids: Sequence[str], answered: Sequence[str] | None) -> Ways:
    held = set(ids)
    there = [id_ for id_ in wanted if id_ in held]
    if len(there) < len(wanted):
        if answered is None:
            return ways.learn(missing_id=Way.REFUSED)
        ways = ways.learn(missing_id=Way.SKIPPED if set(answered) == set(there) else Way.VARIES)
    if answered is None:
        return ways
    chosen = set(there)
    by_node = [id_ for id_ in ids if id_ in chosen]
    if len(chosen) < len(there):
        return _learn_by_repeated(ways, there, by_node, list(answered))
    if len(there) < 2 or by_node == there:
        return ways
    if list(answered) == there:
        return ways.learn(several_ids=Way.REQUEST_ORDER)
    return ways.learn(several_ids=Way.NODE_ORDER if list(answered) == by_node else Way.VARIES)


def _learn_by_repeated(ways: Ways, there: list[str], by_node: list[str], answered: list[str]) -> Ways:
    if answered in (by_node, list(dict.fromkeys(there))):
        return ways.learn(repeated_id=Way.ONCE)
    each_time = answered in (there, [id_ for id_ in by_node for _ in range(there.count(id_))])
    return ways.learn(repeated_id=Way.EACH_TIME if each_time else Way.VARIES)


def learn_from_disco(ways: Ways, ids: Sequence[str], listed: Sequence[str]) -> Ways:
    """What disco#items of a node teaches, of which a listing holds `ids` in order."""
    if len(ids) < 3 or set(ids) != set(listed):
        return ways
    if list(ids) == list(listed):
        return ways.learn(disco_order=Way.NODE_ORDER)
    return ways.learn(disco_order=Way.REVERSED if list(ids) == list(reversed(listed)) else Way.VARIES)


def place(order: list[str], item_id: str, ways: Ways) -> bool:
    """Put an item just published where this service puts it; `order` is changed. False where that is not known,
    and the order therefore neither."""
    is_there = item_id in order
    way = ways.overwritten if is_there else ways.new
    if way is Way.STAYS or (is_there and len(order) == 1):
        return True
    if is_there and way in (Way.FIRST, Way.LAST):
        order.remove(item_id)
    if way is Way.FIRST:
        order.insert(0, item_id)
        return True
    if way is Way.LAST or not order:
        order.append(item_id)
        return True
    if not is_there:
        order.append(item_id)
    return False
