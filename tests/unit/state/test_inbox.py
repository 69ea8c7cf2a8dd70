"""Notifications on their way into a copy."""

from __future__ import annotations

import asyncio

from newsstand.model import NodeKey, Notification, Purged
from newsstand.state.inbox import Inbox

KEY = NodeKey("romeo@montague.example", "pubsub.montague.example", "news")
TOLD = Notification(KEY, (Purged(),))


async def test_nothing_is_waited_for_where_nothing_arrived() -> None:
    async with asyncio.timeout(5):
        await Inbox().quiet()


async def test_who_waits_goes_on_when_all_is_stored_and_not_before() -> None:
    inbox = Inbox()
    inbox.put(TOLD)
    inbox.put(TOLD)
    waiting = [asyncio.create_task(inbox.quiet()) for _ in range(2)]
    await asyncio.sleep(0)
    inbox.take(1)
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    inbox.take(1)
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)
    assert not inbox


async def test_who_waits_waits_for_what_arrives_meanwhile_too() -> None:
    inbox = Inbox()
    inbox.put(TOLD)
    waiting = asyncio.create_task(inbox.quiet())
    await asyncio.sleep(0)
    inbox.take(1)
    inbox.put(TOLD)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    inbox.take(1)
    async with asyncio.timeout(5):
        await waiting
