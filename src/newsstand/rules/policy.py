"""The decision whether a read of a node is served from the copy, fetched from the service, or refused. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from newsstand.model import ItemsRequest, Policy, SyncState
from newsstand.rules.behaviour import ServiceBehaviour, Take, foresee

_NOTHING = "the copy holds nothing of this node"
_INCOMPLETE = "the copy holds no complete listing of this node"


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known about a node, its copy, and the connection to its service, at one moment."""

    state: SyncState
    complete: bool
    count: int
    connected: bool
    arriving: bool = False
    """Notifications have come that are not stored yet."""
    writing: bool = False
    """A write of the program's own is not acknowledged, or not in the copy yet."""
    doubtful: bool = False
    """Something must be looked up before the copy can vouch for itself."""
    quarantined: bool = False
    """It holds an item whose XML could not be kept."""
    holds_all: bool = False
    """It holds every item that is asked for by id."""
    knows_cursors: bool = False
    """The cursors are known that the service would send along."""
    age: float = math.inf
    """Seconds since it was last verified."""


@dataclass(frozen=True, slots=True)
class Serve:
    """The decision to answer from the copy; `wait` until what is arriving is stored."""

    take: Take
    stale: bool
    wait: bool = False


@dataclass(frozen=True, slots=True)
class Fetch:
    """The decision to ask the service. If it cannot answer, the read falls back to the copy's answer, marked
    stale, as `fallback` says; None where the copy has none to give. `why` is for people."""

    fallback: Serve | None
    why: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Refuse:
    """The decision to refuse: the copy alone was asked, and cannot answer."""

    reason: str


Decision = Serve | Fetch | Refuse


def decide(
    request: ItemsRequest,
    situation: Situation | None,
    behaviour: ServiceBehaviour,
    policy: Policy = Policy.ASK_WHEN_STALE,
    max_age: float | None = None,
    *,
    part: bool = False,
) -> Decision:
    """Whom to ask. `situation` is None for a node of which there is no copy. With `max_age`, in seconds, a copy
    answers that was verified within it, live or not, and no other, unless the service cannot. `part`: of a copy that
    was never complete, the copy alone may give what it has."""
    if policy is Policy.ONLY_SERVICE:
        return Fetch(None, "only the service is to be asked")
    if situation is None or situation.state in (SyncState.GONE, SyncState.UNSYNCED):
        return Refuse(_NOTHING) if policy is Policy.ONLY_COPY else Fetch(None, _NOTHING)
    if not situation.complete and policy is not Policy.ONLY_COPY:
        return Fetch(None, _INCOMPLETE)
    if not situation.complete and not (part and situation.count):
        return Refuse(_INCOMPLETE if situation.count else _NOTHING)
    take = foresee(
        behaviour, request, situation.count, holds_all=situation.holds_all, knows_cursors=situation.knows_cursors
    )
    if policy is Policy.ONLY_COPY:
        if max_age is not None and situation.age > max_age:
            return Refuse(f"the copy was not verified within {max_age:g} s")
        return Serve(take or _nearest(request), stale=not _vouched(situation), wait=situation.arriving)
    if situation.quarantined:
        return Fetch(None, "an item of the node could not be kept")
    if take is None:
        # The service's behaviour is not known, so this might not equal its own answer. When the service cannot be
        # reached at all, the same items in the copy's order are worth more than none; but a page of somebody
        # else's cursor cannot be made up.
        fallback = None if request.paged else Serve(_nearest(request), stale=True)
        return Fetch(fallback, "how the service would answer is not known")
    if _is_fresh_enough(situation, policy, max_age):
        return Serve(take, stale=not _vouched(situation), wait=situation.arriving)
    return Fetch(Serve(take, stale=True), _why_not(situation, max_age))


def _why_not(situation: Situation, max_age: float | None) -> str:
    """Why a copy that could answer is not fresh enough."""
    if situation.writing:
        return "a write of the program's own is under way, or not in the copy yet"
    if max_age is not None:
        return f"the copy was not verified within {max_age:g} s"
    if not situation.connected:
        return "no worker is notified of what happens to the node"
    if situation.state is not SyncState.LIVE:
        return f"the copy is {situation.state.value}"
    return "something of the copy is in doubt"


def _is_fresh_enough(situation: Situation, policy: Policy, max_age: float | None) -> bool:
    if situation.writing:
        return False  # whatever age is allowed: a program reads what it wrote
    if max_age is not None:
        return situation.age <= max_age
    return policy is Policy.SERVE_STALE or _vouched(situation)


def _vouched(situation: Situation) -> bool:
    known = situation.complete and situation.state is SyncState.LIVE
    return situation.connected and known and not situation.writing and not situation.doubtful


def _nearest(request: ItemsRequest) -> Take:
    if request.item_ids:
        return Take.IDS
    return Take.ALL if request.max_items is None else Take.LAST
