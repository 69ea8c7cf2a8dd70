"""Downloads a node's complete listing, by what its service can do, and checks it.

Never by an iterator that takes an error for the end: every page is asked for, looked at, and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from xml.etree.ElementTree import Element

from newsstand.errors import Disconnected, ListingError, NodeTooLarge, NotListable, StanzaError, Timeout
from newsstand.model import NodeKey, Progress, RsmQuery, SeenItem
from newsstand.rules.batch_sizes import BatchSizes
from newsstand.rules.behaviour import Behaviour, ServiceBehaviour
from newsstand.rules.refusals import MISSING
from newsstand.state.context import Context
from newsstand.state.copies import Copy
from newsstand.state.lent_read import LentRead
from newsstand.state.pages import Pages
from newsstand.state.spool import ID_CHARACTERS, Spool
from newsstand.xmpp import answers, requests
from newsstand.xmpp.weight import dismantle, is_heavy

SMALL = 100
"""Items of an answer that are taken apart in the event loop, if they are not heavy."""
_NO_DISCO = {
    "service-unavailable",
    "feature-not-implemented",
    "forbidden",
    "not-allowed",
    "not-authorized",
    "subscription-required",
}
"""Of these the last is ejabberd's word about accounts that are no contacts, their open nodes too (XEP-0030, 8)."""

OnBegin = Callable[[], None]
OnAnswer = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Listed:
    """A complete listing: every item of the node, in the service's order."""

    items: Spool
    paged: bool
    """It took several answers, so what was published between them may be missing."""
    behaviour: ServiceBehaviour
    own_from: Behaviour


def begin(context: Context, copy: Copy) -> Pages:
    """For a listing of a copy's node that begins now."""
    return copy.begin_pages(context.settings.page_size, Spool(context.database.folder))


async def download(
    context: Context,
    key: NodeKey,
    behaviour: ServiceBehaviour,
    progress: Progress | None = None,
    on_begin: OnBegin | None = None,
    on_answer: OnAnswer | None = None,
    pages: Pages | None = None,
    lent: LentRead | None = None,
) -> Listed:
    """The whole node. One request both asks for the first page and shows whether the service knows pages: one that
    ignores the `<set/>` has sent everything. `on_begin` is called before each first request, for what is not answered
    is begun anew; `on_answer` as the first answer arrives. `pages` is gone on with, and holds what came if this is
    interrupted. `lent`: a read of the program that takes the place of the first request. Raises ListingError,
    StanzaError, Timeout or Disconnected."""
    pages = pages or Pages(BatchSizes(context.settings.page_size), Spool(context.database.folder))
    # By ids only where their order is known, from other nodes of the service.
    can_list_ids = behaviour.disco_order in (Behaviour.NODE_ORDER, Behaviour.REVERSED)
    by_ids = (
        pages.batch_sizes.by_ids and can_list_ids and behaviour.paging is not Behaviour.HONOURED and not pages.number
    )
    try:
        if not by_ids:
            return await _by_pages(context, key, behaviour, progress, on_begin, on_answer, pages, lent)
    except Timeout:
        if pages.number or not can_list_ids:
            raise
    if on_begin is not None:
        on_begin()
    try:
        return await _by_ids(context, key, behaviour, progress, pages)
    except ListingError:
        pages.batch_sizes.by_ids = False  # the whole may do
        raise


async def _by_pages(
    context: Context,
    key: NodeKey,
    behaviour: ServiceBehaviour,
    progress: Progress | None,
    on_begin: OnBegin | None,
    on_answer: OnAnswer | None,
    pages: Pages,
    lent: LentRead | None,
) -> Listed:
    items = pages.items
    if pages.count is None:
        iq = await _lent_answer(context, pages, lent, on_begin, on_answer)
        if iq is None:
            iq = await _request_page(context, key, behaviour, pages, on_begin, on_answer)
        pages.own_from = Behaviour.SHOWN if iq.get("from") else Behaviour.LEFT_OUT
        rsm = answers.read_set(iq)
        if rsm is None:
            if (count := answers.count_items(iq)) > pages.asked:
                behaviour = behaviour.learn(paging=Behaviour.IGNORED)
            check_count(context, count)  # all of the node
        await _take_page(context, iq, pages)
        if rsm is None:
            _report(progress, items, len(items))
            return Listed(_checked(items), False, behaviour, pages.own_from)
        if rsm.count is None:
            raise NotListable("the service sends pages, and does not say of how many items (XEP-0059, 2.6)")
        check_count(context, rsm.count)
        _check_page(items)
        pages.add(len(items), rsm)
        pages.count = rsm.count
    behaviour = behaviour.learn(paging=Behaviour.HONOURED)
    while len(items) < pages.count:
        _report(progress, items, pages.count)
        if pages.last is None:
            raise ListingError(f"the listing ended after {len(items)} of {pages.count} items")
        iq = await _request_page(context, key, behaviour, pages)
        rsm, before = answers.read_set(iq), len(items)
        if rsm is None or rsm.count != pages.count:
            raise ListingError("the number of items changed while they were listed")
        await _take_page(context, iq, pages)
        _check_page(items)
        pages.add(len(items) - before, rsm)
    if len(items) > pages.count:
        raise ListingError(f"the service listed {len(items)} items and counts {pages.count}")
    _report(progress, items, pages.count)
    return Listed(_checked(items), pages.number > 1, behaviour, pages.own_from)


async def _lent_answer(
    context: Context, pages: Pages, lent: LentRead | None, on_begin: OnBegin | None, on_answer: OnAnswer | None
) -> Element | None:
    """What the service answers a read that the program lends; None where there is none, or it is not answered. Raises
    Disconnected where the session ended before."""
    if lent is None:
        return None
    turns = context.session_changes
    if on_begin is not None:
        on_begin()
    iq = await lent.answer(context.settings.request_timeout, on_answer)
    if iq is None and turns != context.session_changes:
        raise Disconnected("the stream ended before the answer came")
    if iq is not None:
        pages.asked = answers.count_items(iq)  # the program asked for all
    return iq


async def _request_page(
    context: Context,
    key: NodeKey,
    behaviour: ServiceBehaviour,
    pages: Pages,
    on_begin: OnBegin | None = None,
    on_answer: OnAnswer | None = None,
) -> Element:
    """The next page; a smaller one where it does not arrive."""
    portion, clock = pages.batch_sizes.pages, asyncio.get_running_loop().time
    while True:
        if on_begin is not None:
            on_begin()
        pages.asked, asked_at = portion.size, clock()
        rsm = RsmQuery(pages.asked, after=pages.last)
        try:
            return await request_items(context, key, rsm=rsm, on_answer=on_answer)
        except Timeout:
            pages.waited += clock() - asked_at
            if behaviour.paging is Behaviour.IGNORED or not portion.lost(pages.asked):
                raise


async def _by_ids(
    context: Context, key: NodeKey, behaviour: ServiceBehaviour, progress: Progress | None, pages: Pages
) -> Listed:
    ids, by_disco = await list_ids(context, key, ())
    if not by_disco:
        raise ListingError("the whole node does not arrive, and disco#items of it is refused")
    check_count(context, len(ids))
    if len(set(ids)) < len(ids):
        raise NotListable("the service named an item id twice")
    if behaviour.disco_order is Behaviour.REVERSED:
        ids.reverse()
    found = Spool(context.database.folder)  # by pages, some may have come
    own_from = Behaviour.UNKNOWN
    portion, clock = pages.batch_sizes.ids, asyncio.get_running_loop().time
    while wanted := ids[len(found) : len(found) + portion.size]:
        asked_at = clock()
        try:
            iq = await request_items(context, key, item_ids=wanted)
        except Timeout:
            pages.waited += clock() - asked_at
            if not portion.lost(len(wanted)):
                raise
            continue
        except StanzaError as error:
            if error.condition not in MISSING:
                raise
            raise ListingError("an item went while the node was listed") from error  # the node is there
        own_from = Behaviour.SHOWN if iq.get("from") else Behaviour.LEFT_OUT
        items, before = {item.id: item for item in (await read_answer(context, iq)).items}, found.bytes
        if items.keys() != set(wanted):
            raise ListingError("the service did not give the items that it was asked for, and lists")
        for item_id in wanted:
            found.add(items[item_id])
        check_size(context, found)
        portion.arrived(len(wanted), len(wanted), found.bytes - before)
        if progress is not None:
            progress(len(found), len(ids))
    pages.batch_sizes.listed_by_ids(found.bytes)
    return Listed(_checked(found), True, behaviour, own_from)


async def _take_page(context: Context, iq: Element, pages: Pages) -> None:
    """Add an answer's items to those that came, and say how large they were. One that is large is taken apart in a
    thread, item by item, so that neither the event loop nor memory suffers: it may hold a whole node."""
    items, limits, most = pages.items, context.limits, context.settings
    count, size = len(items), items.bytes

    def take(came: Iterable[SeenItem]) -> None:
        if not items.add_up_to(came, most=most.max_items, most_bytes=most.max_bytes):
            dismantle([iq])

    if answers.count_items(iq) <= SMALL and not is_heavy(iq):
        take(answers.read_items(iq, limits).items)
    else:
        await asyncio.to_thread(take, answers.iter_items(iq, limits))
    check_size(context, items)
    pages.batch_sizes.pages.arrived(pages.asked, len(items) - count, items.bytes - size)


async def read_answer(context: Context, iq: Element) -> answers.Listing:
    """The items of an answer of few, of a tree that nobody else needs; in a thread where they are heavy."""
    if not is_heavy(iq):
        return answers.read_items(iq, context.limits)
    rsm = answers.read_set(iq)
    found = await asyncio.to_thread(lambda: tuple(answers.iter_items(iq, context.limits)))
    return answers.Listing(found, rsm)


def check_size(context: Context, items: Spool) -> None:
    """Raises NodeTooLarge where so much came of a node that it is left to its service."""
    check_count(context, len(items))
    for setting, limit, found in (
        ("max_bytes", context.settings.max_bytes, items.bytes),
        ("characters of item ids", ID_CHARACTERS, items.id_characters),
    ):
        if found > limit:
            raise NodeTooLarge(setting, limit, found)


def check_count(context: Context, count: int) -> None:
    """Raises NodeTooLarge where a node has so many items that no copy of it is kept: before any more of them are asked
    for."""
    if count > context.settings.max_items:
        raise NodeTooLarge("max_items", context.settings.max_items, count)


def _report(progress: Progress | None, items: Sequence[object], total: int) -> None:
    if progress is not None:
        progress(len(items), total)


def _check_page(items: Spool) -> None:
    """Raises ListingError where a page cannot be one of a listing: at once, for more of them make it no better."""
    if items.nameless:
        raise NotListable("the service listed an item without an id")
    if items.repeated:
        raise ListingError("the service listed an item id twice")  # perhaps one that moved from page to page


def _checked(items: Spool) -> Spool:
    """The only answer of a listing."""
    if items.repeated:
        raise NotListable("the service listed an item id twice")
    _check_page(items)
    return items


class Ids(NamedTuple):
    """All ids of a node. `by_disco`: from disco#items, and in its order; else in that of a request with `max_items`."""

    ids: list[str]
    by_disco: bool


async def list_ids(context: Context, key: NodeKey, listed: Sequence[object]) -> Ids:
    """All ids of the node, by another request than the listing: disco#items (XEP-0060, 5.5); where that is refused,
    a request for one item more than was listed. Raises as `download`."""
    ids = await disco_ids(context, key)
    if ids is not None:
        return Ids(ids, by_disco=True)
    iq = await request_items(context, key, max_items=len(listed) + 1)
    return Ids(answers.read_item_ids(iq), by_disco=False)


async def disco_ids(context: Context, key: NodeKey) -> list[str] | None:
    """All ids of the node, in the order of disco#items; None where the service refuses that. Raises as `download`."""
    try:
        iq = await context.ask("get", key, requests.disco_items_request(key.node))
    except StanzaError as error:
        if error.condition not in _NO_DISCO:
            raise
        return None
    if answers.disco_is_cut(iq):
        raise NotListable("disco#items of the node is only a part of its ids")
    return answers.read_disco_item_ids(iq)


async def request_items(
    context: Context,
    key: NodeKey,
    *,
    item_ids: Sequence[str] = (),
    max_items: int | None = None,
    rsm: RsmQuery | None = None,
    on_answer: OnAnswer | None = None,
) -> Element:
    """The service's own answer."""
    payload = requests.items_request(key.node, item_ids=item_ids, max_items=max_items, rsm=rsm)
    return await context.ask("get", key, payload, on_answer=on_answer)
