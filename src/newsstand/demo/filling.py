"""Fills the throw-away server: creates the nodes, publishes the content."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from newsstand.demo.clients import LoopbackClient
from newsstand.demo.content import BOOKMARKS, COMMUNITY, Content, Publication

AT_ONCE = 16
"""Publishes of one connection that wait for their answers at a time."""
MAX_ITEMS = "1000"
"""Items that a node keeps. A PEP node keeps one unless its owner says otherwise (XEP-0060, 16.4.4)."""


async def create_nodes(content: Content, clients: Mapping[str, LoopbackClient]) -> None:
    """Of the community, open to all who want to publish; and of each account, open to all who want to read, its
    bookmarks excepted (XEP-0402, 3.1)."""
    owner = next(iter(clients.values()))
    await owner.create_node(
        content.pubsub,
        COMMUNITY,
        title="The market square",
        access_model="open",
        publish_model="open",
        max_items=MAX_ITEMS,
        persist_items="true",
    )
    own = {(each.account, each.node): None for each in [*content.blog, *content.profiles]}
    for account, node in own:
        access = "whitelist" if node == BOOKMARKS else "open"
        await clients[account].create_node(None, node, access_model=access, max_items=MAX_ITEMS, persist_items="true")


async def publish_all(
    content: Content, clients: Mapping[str, LoopbackClient], published: Callable[[], None] = lambda: None
) -> None:
    """The community's posts in the order of their dates, everything else as fast as it goes. `published` is called
    for each item."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_in_turn(content.community, clients, published))
        for account, client in clients.items():
            own = [each for each in [*content.blog, *content.profiles] if each.account == account]
            group.create_task(_pipelined(own, client, published))


async def publish(each: Publication, client: LoopbackClient) -> None:
    service = None if each.service == client.boundjid.bare else each.service
    await client.plugin["xep_0060"].publish(service, each.node, id=each.item_id, payload=each.payload)


async def _in_turn(
    posts: Sequence[Publication], clients: Mapping[str, LoopbackClient], published: Callable[[], None]
) -> None:
    """Several connections publish: the next starts when the one before is stored, or they would overtake."""
    for each in posts:
        await publish(each, clients[each.account])
        published()


async def _pipelined(posts: Sequence[Publication], client: LoopbackClient, published: Callable[[], None]) -> None:
    """On one connection they stay in order without waiting for each other."""
    for start in range(0, len(posts), AT_ONCE):
        waiting = [asyncio.ensure_future(publish(each, client)) for each in posts[start : start + AT_ONCE]]
        for one in waiting:
            await one
            published()
