"""A read of `Replica.get_items` for whose answer from the service the copy falls back, stale: where the service cannot
be reached, or says nothing within `Settings.patience` seconds. What adapters send: `newsstand.slixmpp.fallback`."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any
from xml.etree.ElementTree import Element

from newsstand.errors import Disconnected, NewsstandError, StanzaError
from newsstand.serving.driver import Driver
from newsstand.serving.steps import Ask, Rows, Served
from newsstand.state.context import Context

Outcome = Element | NewsstandError
"""What the service answers, or why it does not."""


async def ask_or_fall_back(
    context: Context, driver: Driver, ask: Ask, request: Coroutine[Any, Any, Outcome]
) -> Served | Outcome:
    """What comes first: what the service says itself, be it an error, or the copy's answer once the service was waited
    for as long as `ask` says. Where the copy has none, what the service's request ends with, however late. Raises
    Disconnected where the replica is closed meanwhile."""
    # A task of its own: if the copy answers before, what the service says is learnt all the same.
    asking = context.spawn(request, f"asking for {ask.read.request.key.node}")
    try:
        await asyncio.wait({asking}, timeout=ask.patience)
        served = None if _has_answered(asking) else await _fall_back(driver, ask)
        if served is not None and not _has_answered(asking):
            return served
        await asyncio.wait({asking})
    except asyncio.CancelledError:
        asking.cancel()
        raise
    if asking.cancelled():
        raise Disconnected("the replica was closed meanwhile")
    outcome: Outcome = asking.result()
    return outcome


async def _fall_back(driver: Driver, ask: Ask) -> Served | None:
    step = driver.fall_back(ask)
    found = await driver.go_on(step) if isinstance(step, Rows) else step
    return found if isinstance(found, Served) else None


def _has_answered(asking: asyncio.Task[Outcome]) -> bool:
    """Whether the service itself said something, be it an error."""
    if not asking.done() or asking.cancelled():
        return False
    outcome = asking.result()
    return isinstance(outcome, Element) or (isinstance(outcome, StanzaError) and not outcome.unreachable)
