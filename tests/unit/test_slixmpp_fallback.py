"""What a request of the program that slixmpp gives up comes to."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from slixmpp.exceptions import IqTimeout
from slixmpp.stanza import Iq

from newsstand.errors import NewsstandError, Timeout
from newsstand.model import ItemsRequest, NodeKey
from newsstand.serving.steps import Ask, Read
from newsstand.slixmpp.fallback import Fallback, StreamPart

KEY = NodeKey("juliet@example.org", "pubsub.example.org", "blog")


async def test_that_no_answer_came_in_the_program_s_time_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, failed = asyncio.get_running_loop(), list[NewsstandError]()
    inner: asyncio.Future[Any] = loop.create_future()
    monkeypatch.setattr(Iq, "send", lambda iq, callback, timeout: inner)
    port: Any = SimpleNamespace(failed=lambda ask, error, iq: failed.append(error), fall_back=lambda ask: ask)
    around = StreamPart(loop, lambda: port, lambda work: None, lambda *args: None, set())
    future = Fallback(around, Iq(), Ask(Read(ItemsRequest(KEY), 0.0), "a test says so", 10.0), None, 1.0).begin()
    inner.set_exception(IqTimeout(Iq()))
    with pytest.raises(IqTimeout):
        await future
    assert [type(error) for error in failed] == [Timeout]
