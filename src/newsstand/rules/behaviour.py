"""The behaviour of a service where the XEPs leave it open, and how that is learnt. Pure.

An answer from the copy must be the one that the service would have given. Which one that is differs from service
to service and is announced nowhere. So each behaviour is UNKNOWN until it was seen, and the service answers whatever
depends on an unknown one. See docs/decisions/003-behaviour-is-learnt.md.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from dataclasses import dataclass

from newsstand.model import ItemsRequest, Rsm


class Behaviour(enum.StrEnum):
    """One behaviour of a service: what it does about one of the questions of `ServiceBehaviour`."""

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
class ServiceBehaviour:
    """The behaviour of one service. Each field is a question that XEP-0060 or XEP-0059 leaves to the service."""

    new: Behaviour = Behaviour.UNKNOWN
    """Where a new item goes in a full listing: LAST or FIRST."""
    overwritten: Behaviour = Behaviour.UNKNOWN
    """Where an overwritten item goes: LAST, FIRST, or STAYS where it was."""
    limited: Behaviour = Behaviour.UNKNOWN
    """`max_items=N`: the newest N in NODE_ORDER or REVERSED."""
    limited_set: Behaviour = Behaviour.UNKNOWN
    """The `<set/>` (XEP-0059) that comes unasked with what `max_items=N` brings: LEFT_OUT; or there, with cursors that
    the service made, and with an index of always 0 (INDEX_ZERO), or of as many as there are less N (INDEX_FROM_END)."""
    several_ids: Behaviour = Behaviour.UNKNOWN
    """Several item ids: REQUEST_ORDER or NODE_ORDER."""
    missing_id: Behaviour = Behaviour.UNKNOWN
    """An id that is not there: SKIPPED or REFUSED."""
    repeated_id: Behaviour = Behaviour.UNKNOWN
    """An id that is asked for twice: answered ONCE, where it was first asked for, or EACH_TIME."""
    paging: Behaviour = Behaviour.UNKNOWN
    """A `<set/>` (XEP-0059) in a request for items: IGNORED or HONOURED."""
    disco_order: Behaviour = Behaviour.UNKNOWN
    """The ids in disco#items: NODE_ORDER or REVERSED."""
    own_from: Behaviour = Behaviour.UNKNOWN
    """The `from` of the answers to one's own bare JID: SHOWN or LEFT_OUT (RFC 6120, 10.3.3 allows both)."""

    def learn(self, **seen: Behaviour) -> ServiceBehaviour:
        """The behaviour with what was seen now. A question that was answered differently before varies, and stays
        so."""
        known = {
            name: answer if getattr(self, name) in (Behaviour.UNKNOWN, answer) else Behaviour.VARIES
            for name, answer in seen.items()
        }
        return dataclasses.replace(self, **known)


SHOWS_SET = (Behaviour.INDEX_ZERO, Behaviour.INDEX_FROM_END)
"""A `<set/>` comes with what `max_items` brings."""


def set_index(behaviour: ServiceBehaviour, count: int, limit: int) -> int:
    """The index in the `<set/>` that comes with what `max_items` brings, of a node of `count` items."""
    return 0 if behaviour.limited_set is Behaviour.INDEX_ZERO else count - limit


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
    behaviour: ServiceBehaviour,
    request: ItemsRequest,
    count: int,
    *,
    holds_all: bool = False,
    knows_cursors: bool = False,
) -> Take | None:
    """How the service would answer about a node of `count` items; None where its behaviour is not known well enough.
    `holds_all`: every item that is asked for by id is there. `knows_cursors`: those that the service would send along
    with what `max_items` brings are known."""
    if request.paged and behaviour.paging is not Behaviour.IGNORED:
        return None
    if request.key.service == request.key.account and behaviour.own_from not in (Behaviour.SHOWN, Behaviour.LEFT_OUT):
        return None
    if request.item_ids:
        return _foresee_ids(behaviour, request.item_ids, holds_all)
    if request.max_items is None:
        return Take.ALL
    if behaviour.limited_set not in (Behaviour.LEFT_OUT, *SHOWS_SET) or (
        behaviour.limited_set in SHOWS_SET and not knows_cursors
    ):
        return None
    if count <= 1:
        return Take.ALL
    if behaviour.new not in (Behaviour.FIRST, Behaviour.LAST):
        return None
    first = behaviour.new is Behaviour.FIRST
    match behaviour.limited if request.max_items > 1 else Behaviour.NODE_ORDER:
        case Behaviour.NODE_ORDER:
            return Take.FIRST if first else Take.LAST
        case Behaviour.REVERSED:
            return Take.FIRST_REVERSED if first else Take.LAST_REVERSED
        case _:
            return None


def _foresee_ids(behaviour: ServiceBehaviour, wanted: tuple[str, ...], holds_all: bool) -> Take | None:
    if not (holds_all or behaviour.missing_id is Behaviour.SKIPPED):
        return None
    if len(wanted) == 1:
        return Take.IDS
    repeated = behaviour.repeated_id if len(set(wanted)) < len(wanted) else Behaviour.ONCE
    match behaviour.several_ids, repeated:
        case Behaviour.REQUEST_ORDER, Behaviour.ONCE:
            return Take.IDS
        case Behaviour.REQUEST_ORDER, Behaviour.EACH_TIME:
            return Take.IDS_EACH_TIME
        case Behaviour.NODE_ORDER, Behaviour.ONCE:
            return Take.IDS_IN_NODE_ORDER
        case _:
            return None


def learn_from_answer(
    behaviour: ServiceBehaviour,
    request: ItemsRequest,
    ids: Sequence[str],
    answered: Sequence[str] | None,
    rsm: Rsm | None = None,
) -> ServiceBehaviour:
    """What an answer to a request teaches about a node known to hold exactly `ids`, in the service's order.
    `answered` is None where the service said item-not-found; `rsm` is the answer's `<set/>`."""
    if request.paged:
        return behaviour
    if request.item_ids:
        return _learn_by_ids(behaviour, request.item_ids, ids, answered)
    limit = request.max_items
    if limit is None or answered is None:
        return behaviour
    behaviour = _learn_limited_set(behaviour, len(ids), limit, rsm)
    if limit >= len(ids):
        return behaviour
    got, newest_last, newest_first = list(answered), list(ids[-limit:]), list(ids[:limit])
    if got in (newest_last, newest_last[::-1]):
        behaviour, expected = behaviour.learn(new=Behaviour.LAST), newest_last
    elif got in (newest_first, newest_first[::-1]):
        behaviour, expected = behaviour.learn(new=Behaviour.FIRST), newest_first
    else:
        return behaviour.learn(limited=Behaviour.VARIES)
    if limit == 1:
        return behaviour
    return behaviour.learn(limited=Behaviour.NODE_ORDER if got == expected else Behaviour.REVERSED)


def _learn_limited_set(behaviour: ServiceBehaviour, count: int, limit: int, rsm: Rsm | None) -> ServiceBehaviour:
    if rsm is None:
        return behaviour.learn(limited_set=Behaviour.LEFT_OUT)
    if rsm.index is None:
        expected = count == 0 and behaviour.limited_set is not Behaviour.LEFT_OUT
        return behaviour if expected else behaviour.learn(limited_set=Behaviour.VARIES)
    fitting = [
        answer for answer in SHOWS_SET if rsm.index == set_index(ServiceBehaviour(limited_set=answer), count, limit)
    ]
    if rsm.count != count or not fitting:
        return behaviour.learn(limited_set=Behaviour.VARIES)
    return behaviour.learn(limited_set=fitting[0]) if len(fitting) == 1 else behaviour


def _learn_by_ids(
    behaviour: ServiceBehaviour, wanted: tuple[str, ...], ids: Sequence[str], answered: Sequence[str] | None
) -> ServiceBehaviour:
    held = set(ids)
    there = [id_ for id_ in wanted if id_ in held]
    if len(there) < len(wanted):
        if answered is None:
            return behaviour.learn(missing_id=Behaviour.REFUSED)
        behaviour = behaviour.learn(missing_id=Behaviour.SKIPPED if set(answered) == set(there) else Behaviour.VARIES)
    if answered is None:
        return behaviour
    chosen = set(there)
    by_node = [id_ for id_ in ids if id_ in chosen]
    if len(chosen) < len(there):
        return _learn_by_repeated(behaviour, there, by_node, list(answered))
    if len(there) < 2 or by_node == there:
        return behaviour
    if list(answered) == there:
        return behaviour.learn(several_ids=Behaviour.REQUEST_ORDER)
    return behaviour.learn(several_ids=Behaviour.NODE_ORDER if list(answered) == by_node else Behaviour.VARIES)


def _learn_by_repeated(
    behaviour: ServiceBehaviour, there: list[str], by_node: list[str], answered: list[str]
) -> ServiceBehaviour:
    if answered in (by_node, list(dict.fromkeys(there))):
        return behaviour.learn(repeated_id=Behaviour.ONCE)
    each_time = answered in (there, [id_ for id_ in by_node for _ in range(there.count(id_))])
    return behaviour.learn(repeated_id=Behaviour.EACH_TIME if each_time else Behaviour.VARIES)


def learn_from_disco(behaviour: ServiceBehaviour, ids: Sequence[str], listed: Sequence[str]) -> ServiceBehaviour:
    """What disco#items of a node teaches, of which a listing holds `ids` in order."""
    if len(ids) < 3 or not listed:
        return behaviour
    if list(ids) == list(listed):
        return behaviour.learn(disco_order=Behaviour.NODE_ORDER)
    if set(ids) != set(listed):
        return behaviour
    return behaviour.learn(disco_order=Behaviour.REVERSED if list(ids) == list(reversed(listed)) else Behaviour.VARIES)


def place(order: list[str], item_id: str, behaviour: ServiceBehaviour) -> bool:
    """Put an item just published where this service puts it; `order` is changed. False where that is not known,
    and the order therefore neither."""
    is_there = item_id in order
    answer = behaviour.overwritten if is_there else behaviour.new
    if answer is Behaviour.STAYS or (is_there and len(order) == 1):
        return True
    if is_there and answer in (Behaviour.FIRST, Behaviour.LAST):
        order.remove(item_id)
    if answer is Behaviour.FIRST:
        order.insert(0, item_id)
        return True
    if answer is Behaviour.LAST or not order:
        order.append(item_id)
        return True
    if not is_there:
        order.append(item_id)
    return False
