"""The trigger: looks at each IQ that the program sends, and answers those that the copy can.

It stands where slixmpp makes an IQ (`xmpp.Iq`), not in the stream: no queue, filter, handler or XEP-0198 counter
notices an answer that never travelled. See docs/decisions/004-the-trigger.md.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Awaitable, Coroutine
from inspect import iscoroutinefunction
from typing import Any
from xml.etree.ElementTree import Element
from xml.sax.saxutils import quoteattr

from slixmpp.exceptions import IqError
from slixmpp.stanza import Iq

from newsstand.errors import DatabaseError, StanzaError
from newsstand.jid import usual_bare
from newsstand.model import NS_PUBSUB, ItemsRequest, NodeKey, Provenance, Rsm, WriteRequest
from newsstand.replica import Replica
from newsstand.rules.behaviour import Way
from newsstand.rules.policy import Fetch, Serve
from newsstand.serving.reading import Moment
from newsstand.slixmpp.fallback import SLIXMPP_TIMEOUT, Fallback
from newsstand.slixmpp.transport import SlixmppTransport, stanza_error
from newsstand.xmpp import xmltext
from newsstand.xmpp.answers import is_from, write_rsm
from newsstand.xmpp.requests import read_request
from newsstand.xmpp.transport import Session

log = logging.getLogger(__name__)

LARGE = 500
"""Items of an answer above which it is put together in a thread."""
LARGE_TEXT = 500_000
"""Characters of one, for the same reason."""


class Trigger:
    """Makes the stream's IQs ours."""

    def __init__(self, xmpp: Any, replica: Replica, transport: SlixmppTransport) -> None:
        self.xmpp = xmpp
        self.replica = replica
        self.transport = transport
        self._original: Any = None
        self.waiting: set[Fallback] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        transport.on_session(self._on_session)

    def install(self) -> None:
        self._original = self.xmpp.Iq
        trigger = self

        class NewsstandIq(Iq):
            """An IQ of a program that runs with Newsstand."""

            def send(  # type: ignore[override]  # as slixmpp's own Iq does
                self, callback: Any = None, timeout: Any = None
            ) -> asyncio.Future[Any]:
                return trigger.send(self, callback, timeout)

        NewsstandIq.__name__ = NewsstandIq.__qualname__ = "Iq"
        self.xmpp.Iq = lambda *args, **kwargs: NewsstandIq(self.xmpp, *args, **kwargs)

    def remove(self) -> None:
        if self._original is not None:
            self.xmpp.__dict__.pop("Iq", None)
            self._original = None

    def send(self, iq: Iq, callback: Any, timeout: Any) -> asyncio.Future[Any]:
        """Instead of `Iq.send`: decides at once, so that what goes to the service goes in the order of the calls."""
        request = self._understand(iq)
        if self.replica.is_open and iq.xml.get("type") == "set":
            self.replica.forget_refusals(iq.xml.get("to") or self.transport.own_jid)
        odd = iscoroutinefunction(callback) or not isinstance(timeout, int | float | None)
        if request is None or odd:
            return Iq.send(iq, callback, timeout)
        if isinstance(request, WriteRequest):
            return self._write(iq, request, callback, timeout)
        return self._read(iq, request, callback, timeout)

    def _understand(self, iq: Iq) -> ItemsRequest | WriteRequest | None:
        if self._original is None or not self.replica.is_open:
            return None
        try:
            request = read_request(iq.xml, self.transport.own_jid)
        except Exception:  # whatever we do not understand goes its normal way
            log.exception("a request could not be read")
            return None
        # The server says who may speak for whom; a copy is given to nobody but its account.
        if request is None or not self.replica.speaks_for(request.key.account):
            return None
        self.replica.note_spelling(iq.xml.get("to"), iq.xml.get("from"))
        return request

    # The program's own writes

    def _write(self, iq: Iq, request: WriteRequest, callback: Any, timeout: Any) -> asyncio.Future[Any]:
        write = self.replica.begin_write(request)
        try:
            future = Iq.send(iq, callback, timeout)
        except BaseException:
            if write is not None:
                self.replica.end_write(write, None)
            raise
        if write is not None:

            def ended(done: asyncio.Future[Any]) -> None:
                self.replica.end_write(write, _outcome(done, request.key))

            future.add_done_callback(ended)
        return future

    # The program's reads

    def _read(self, iq: Iq, request: ItemsRequest, callback: Any, timeout: Any) -> asyncio.Future[Any]:
        if not self.replica.is_open:
            return Iq.send(iq, callback, timeout)
        decision = self.replica.decide(request)
        if isinstance(decision, Serve):
            served = self._serve(iq, request, decision, callback, timeout)
            return served if served is not None else Iq.send(iq, callback, timeout)
        instead = decision.instead if isinstance(decision, Fetch) else None
        if instead is not None and not self.replica.online:
            served = self._serve(iq, request, instead, callback, timeout)
            if served is not None:
                return served
        if (refusal := self.replica.find_refusal(request)) is not None:
            return self._refuse(iq, refusal, callback)
        if instead is not None:
            return Fallback(self, iq, request, instead, callback, timeout).begin()
        return self._ask(iq, request, callback, timeout)

    def _ask(self, iq: Iq, request: ItemsRequest, callback: Any, timeout: Any) -> asyncio.Future[Any]:
        """The service."""
        moment = self.replica.moment(request)
        future = Iq.send(iq, callback, timeout)
        future.add_done_callback(lambda done: self._observe(request, moment, done))
        return future

    def _observe(self, request: ItemsRequest, moment: Moment | None, done: asyncio.Future[Any]) -> None:
        match _outcome(done, request.key):
            case Element() as result:
                self.replica.observe(request, result, moment)
            case StanzaError() as error:
                self.replica.note_error(request, error, _error_of(done).iq.xml)
            case _:
                pass

    def _refuse(self, iq: Iq, refusal: Element, callback: Any) -> asyncio.Future[Any]:
        """Answer with the error that the service answered a moment ago."""
        tree = copy.deepcopy(refusal)
        tree.set("id", iq["id"])
        future: asyncio.Future[Any] = self.xmpp.loop.create_future()
        self.xmpp.loop.call_soon(self._hand_error_over, tree, callback, future)
        return future

    def _hand_error_over(self, tree: Element, callback: Any, future: asyncio.Future[Any]) -> None:
        result: Any = Iq(self.xmpp, xml=tree, recv=True)
        if not future.done():
            future.set_exception(IqError(result))
        self._call(callback, result)

    def _serve(
        self, iq: Iq, request: ItemsRequest, serve: Serve, callback: Any, timeout: Any
    ) -> asyncio.Future[Any] | None:
        """A future that the copy will fill; None when the copy cannot be read after all."""
        loop = self.xmpp.loop
        future: asyncio.Future[Any] = loop.create_future()
        if serve.wait:
            self.spawn(self._fill(future, self._wait(iq, request, callback, timeout)))
            return future
        if not self.replica.reads_now(request):
            self.spawn(self._read_then_answer(iq, request, serve, callback, timeout, future))
            return future
        try:
            texts = self.replica.read_xml(request, serve.take)
        except DatabaseError as error:
            log.warning("the copy could not be read: %s", error)
            return None
        made_of = self.replica.vouch(request, serve)
        whole = self.frame(iq, request, texts, self.replica.find_set(request))
        loop.call_soon(self.deliver, iq, request, whole, made_of, callback, timeout, future)
        return future

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.xmpp.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wait(self, iq: Iq, request: ItemsRequest, callback: Any, timeout: Any) -> Any:
        """Something of this node is being stored: decide again when it is."""
        allowed = SLIXMPP_TIMEOUT if timeout is None else timeout
        try:
            async with asyncio.timeout(min(allowed, self.replica.patience)):
                await self.replica.quiet(request.key)
            inner = self._read(iq, request, callback, timeout)
        except TimeoutError:  # the database is held up; the service may not be
            left = max(0.01, allowed - self.replica.patience)
            inner = Iq.send(iq, callback, left)
        return await asyncio.shield(inner)

    async def _fill(self, future: asyncio.Future[Any], work: Awaitable[Any]) -> None:
        try:
            result = await work
        except Exception as error:  # handed on to whoever waits, whatever it is
            if not future.done():
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(result)

    async def _read_then_answer(
        self, iq: Iq, request: ItemsRequest, serve: Serve, callback: Any, timeout: Any, future: asyncio.Future[Any]
    ) -> None:
        """Reading the copy takes a while. Where it cannot answer after all, the service is asked then."""
        allowed = SLIXMPP_TIMEOUT if timeout is None else timeout
        began = self.xmpp.loop.time()
        try:
            async with asyncio.timeout(min(allowed, self.replica.patience)):
                reply = await self.replica.find_reply(request, serve)
        except (DatabaseError, TimeoutError) as error:
            log.warning("the copy could not be read: %s", str(error) or "it took too long")
            reply = None
        left = max(0.01, allowed - (self.xmpp.loop.time() - began))
        if reply is not None:
            whole = self.frame(iq, request, reply.texts, reply.rsm)
            self.deliver(iq, request, whole, reply.made_of, callback, left, future)
            return
        await self._fill(future, asyncio.shield(self._ask(iq, request, callback, left)))

    async def _deliver_large(
        self,
        iq: Iq,
        request: ItemsRequest,
        texts: list[str],
        made_of: Provenance,
        callback: Any,
        timeout: Any,
        future: asyncio.Future[Any],
    ) -> None:
        """As `deliver`, in a thread. If the node was closed to the account meanwhile, the service is asked."""
        tree = await asyncio.to_thread(xmltext.parse, texts)
        if self.replica.is_closed(request.key):
            await self._fill(future, asyncio.shield(self._ask(iq, request, callback, timeout)))
            return
        self._hand_over(tree, made_of, callback, future)

    def deliver(
        self,
        iq: Iq,
        request: ItemsRequest,
        texts: list[str],
        made_of: Provenance,
        callback: Any,
        timeout: Any,
        future: asyncio.Future[Any],
    ) -> None:
        """Hand a whole answer over: a fresh tree each time, because programs change what they get."""
        if _is_large(texts):
            self.spawn(self._deliver_large(iq, request, texts, made_of, callback, timeout, future))
        else:
            self._hand_over(xmltext.parse(texts), made_of, callback, future)

    def _hand_over(self, tree: Element, made_of: Provenance, callback: Any, future: asyncio.Future[Any]) -> None:
        result: Any = Iq(self.xmpp, xml=tree, recv=True)
        result.newsstand = made_of
        if not future.done():
            future.set_result(result)
        self._call(callback, result)

    def _call(self, callback: Any, result: Iq) -> None:
        if callback is not None:
            # As slixmpp does: also when the future was cancelled, and before those who await it.
            try:
                callback(result)
            except Exception as error:  # slixmpp hands what callbacks raise to the stream
                self.xmpp.exception(error)

    def frame(self, iq: Iq, request: ItemsRequest, texts: list[str], rsm: Rsm | None) -> list[str]:
        """The whole answer in texts: its items within what the server would put around them."""
        attributes = {"type": "result", "id": iq["id"], "to": iq.xml.get("from") or self.xmpp.boundjid.full}
        key = request.key
        ways = self.replica.ways(key.service)
        if key.service != key.account or ways.own_from is not Way.LEFT_OUT:
            attributes["from"] = usual_bare(iq.xml.get("to") or iq.xml.get("from") or self.transport.own_jid)
        cursors = write_rsm(rsm) if rsm is not None else ""
        opening = "".join(f" {name}={quoteattr(str(value))}" for name, value in attributes.items() if value)
        return [
            f"<iq xmlns={quoteattr(self.xmpp.default_ns)}{opening}>"
            f'<pubsub xmlns="{NS_PUBSUB}">{cursors}<items node={quoteattr(key.node)}>',
            *texts,
            "</items></pubsub></iq>",
        ]

    def _on_session(self, session: Session) -> None:
        if session is Session.LOST:
            for waiting in list(self.waiting):
                waiting.stand_in()


def _is_large(texts: list[str]) -> bool:
    return len(texts) > LARGE or sum(map(len, texts)) > LARGE_TEXT


def _error_of(done: asyncio.Future[Any]) -> IqError:
    error = done.exception()
    assert isinstance(error, IqError)
    return error


def _outcome(done: asyncio.Future[Any], key: NodeKey) -> Any:
    """The result's `<iq/>`, the error that the service answered, or None where nobody knows."""
    if done.cancelled():
        return None
    error = done.exception()
    if isinstance(error, IqError):
        mine = is_from(error.iq.xml, key.service, key.account)
        return stanza_error(error.iq.xml) if mine else None
    return None if error is not None else done.result().xml
