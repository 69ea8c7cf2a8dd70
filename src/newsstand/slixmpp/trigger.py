"""The trigger: looks at each IQ that the program sends, and answers those that the copy can.

It stands where slixmpp makes an IQ (`xmpp.Iq`), not in the stream: no queue, filter, handler or XEP-0198 counter
notices an answer that never travelled. See docs/decisions/004-the-trigger.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
from collections.abc import Awaitable, Coroutine, Iterator
from inspect import iscoroutinefunction
from typing import Any, assert_never
from xml.etree.ElementTree import Element
from xml.sax.saxutils import quoteattr

from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.stanza import Iq

from newsstand.jid import usual_bare
from newsstand.model import NS_PUBSUB, ItemsRequest, WriteRequest
from newsstand.replica import Replica
from newsstand.serving.own_writes import Write
from newsstand.serving.port import Port, Spelt
from newsstand.serving.steps import Ask, Join, Lend, Pending, Refused, Repeated, Rows, Served, Step, Wait
from newsstand.slixmpp.early import SOONEST, Early
from newsstand.slixmpp.fallback import SLIXMPP_TIMEOUT, Fallback, StreamPart, report, report_silence
from newsstand.slixmpp.privileges import Privileges
from newsstand.slixmpp.transport import SlixmppTransport, stanza_error
from newsstand.xmpp import xmltext
from newsstand.xmpp.answers import write_rsm
from newsstand.xmpp.privilege import NS_CLIENT, NS_FORWARD, WRAPPERS, forwarded, is_about, is_denial, read_privileged
from newsstand.xmpp.requests import read_request
from newsstand.xmpp.senders import is_from
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
        self._original: Any = None
        self._around = StreamPart(xmpp.loop, lambda: replica.port, self._spawn, self._deliver_soon, set())
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport = transport
        self.early = Early(
            xmpp.loop,
            self._read,
            self._follow_write,
            patience=replica.settings.patience,
            longest=SLIXMPP_TIMEOUT,
        )
        """What comes before the database is open."""
        if replica.port is not None:
            self.early.opened(replica.port)
        self._privileges = Privileges()
        transport.on_message(self._privileges.receive)
        transport.on_session(self._privileges.on_session)
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
        self.early.over()
        if self._original is not None:
            self.xmpp.__dict__.pop("Iq", None)
            self._original = None

    def send(self, iq: Iq, callback: Any, timeout: Any) -> asyncio.Future[Any]:
        """Instead of `Iq.send`: decides at once, so that what goes to the service goes in the order of the calls."""
        early = self._original is not None and self.early.waits
        port = None if self._original is None or early else self.replica.port
        if port is None and not early:
            return Iq.send(iq, callback, timeout)
        request = self._understand(iq)
        if iscoroutinefunction(callback) or not isinstance(timeout, int | float | None):
            request = None  # slixmpp says what is wrong with it, or does what we do not
        if port is None:
            return self._send_early(iq, request, callback, timeout)
        with _running(self.xmpp.loop):
            if iq.xml.get("type") == "set":
                port.changing(iq.xml.get("to") or self._own_jid())
            match request:
                case ItemsRequest():
                    return self._read(port, iq, request, callback, timeout)
                case WriteRequest():
                    return self._write(port, iq, request, callback, timeout)
                case _:
                    return Iq.send(iq, callback, timeout)

    def _send_early(
        self, iq: Iq, request: ItemsRequest | WriteRequest | None, callback: Any, timeout: Any
    ) -> asyncio.Future[Any]:
        """The database is not open yet: a read waits for it, and is overtaken by nothing that changes a node."""
        if isinstance(request, ItemsRequest):
            if not self.xmpp.loop.is_running():
                return self.early.send(iq, request, callback, timeout)
            return self.early.hold(iq, request, callback, timeout, online=self._transport.session is not Session.LOST)
        if request is not None or (iq.xml.get("type") == "set" and _concerns_nodes(iq.xml)):
            return self.early.send_write(iq, request, callback, timeout)
        return Iq.send(iq, callback, timeout)

    def _read(self, port: Port, iq: Iq, request: ItemsRequest, callback: Any, timeout: Any) -> asyncio.Future[Any]:
        if request.privileged and not self._privileges.may_read(request.key.account):
            return Iq.send(iq, callback, timeout)  # the server is to say what it thinks of that
        step = port.read(request, _allowed(timeout), (iq.xml.get("to"), iq.xml.get("from")))
        return Iq.send(iq, callback, timeout) if step is None else self._act(iq, step, callback, timeout)

    def _own_jid(self) -> str:
        """The account's bare JID, as `SlixmppTransport.own_jid` has it."""
        return str(self.xmpp.boundjid.bare or self.xmpp.requested_jid.bare)

    def _understand(self, iq: Iq) -> ItemsRequest | WriteRequest | None:
        xml = iq.xml
        try:
            if len(xml) and xml[0].tag in WRAPPERS:
                return read_privileged(xml)
            return read_request(xml, self._own_jid())
        except Exception:  # whatever we do not understand goes its normal way
            log.exception("a request could not be read")
            return None

    # The program's own writes

    def _write(self, port: Port, iq: Iq, request: WriteRequest, callback: Any, timeout: Any) -> asyncio.Future[Any]:
        write = port.begin_write(request, (iq.xml.get("to"), iq.xml.get("from")))
        if write is None:
            return Iq.send(iq, callback, timeout)
        try:
            future = Iq.send(iq, callback, timeout)
        except BaseException:
            port.end_write(write, None)
            raise

        self._end_with(port, write, request, future)
        return future

    def _follow_write(self, port: Port, request: WriteRequest, spelt: Spelt, future: asyncio.Future[Any]) -> None:
        """A write was sent before there was a port; it may be acknowledged already."""
        write = port.begin_write(request, spelt)
        if write is not None:
            self._end_with(port, write, request, future)

    def _end_with(self, port: Port, write: Write, request: WriteRequest, future: asyncio.Future[Any]) -> None:
        def ended(done: asyncio.Future[Any]) -> None:
            if self.replica.port is port:
                port.end_write(write, _outcome(done, request))

        future.add_done_callback(ended)

    # The program's reads

    def _act(self, iq: Iq, step: Step, callback: Any, timeout: Any) -> asyncio.Future[Any]:
        """Do what a read came to. Returns what the program awaits."""
        match step:
            case Ask(patience=None) | Refused():
                return self._ask(iq, step, callback, timeout)
            case Ask():
                return Fallback(self._around, iq, step, callback, timeout).begin()
        future: asyncio.Future[Any] = self.xmpp.loop.create_future()
        match step:
            case Served():
                self._deliver_soon(iq, step, callback, future)
            case Repeated():
                self._repeat(iq, step, callback, future)
            case Rows() | Wait() | Lend() | Join():
                self._spawn(self._fill(future, self._go_on(iq, step, callback, timeout)))
            case _:
                assert_never(step)
        return future

    def _ask(self, iq: Iq, step: Ask | Refused, callback: Any, timeout: Any) -> asyncio.Future[Any]:
        """The service alone."""
        future = Iq.send(iq, callback, timeout)
        if isinstance(step, Ask):
            future.add_done_callback(lambda done: self._report(step, done))
        return future

    def _report(self, ask: Ask, done: asyncio.Future[Any]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if error is None:
            report(self.replica.port, ask, done.result())
        elif isinstance(error, IqError):
            report(self.replica.port, ask, error.iq)
        elif isinstance(error, IqTimeout):
            report_silence(self.replica.port, ask)

    async def _go_on(self, iq: Iq, step: Pending, callback: Any, timeout: Any) -> Any:
        """It takes a while until it is known what the read comes to."""
        port, began = self.replica.port, self.xmpp.loop.time()
        assert port is not None
        end = await port.go_on(step)
        left = max(SOONEST, _allowed(timeout) - (self.xmpp.loop.time() - began))
        return await asyncio.shield(self._act(iq, end, callback, left))

    async def _fill(self, future: asyncio.Future[Any], work: Awaitable[Any]) -> None:
        try:
            result = await work
        except Exception as error:  # handed on to whoever waits, whatever it is
            if not future.done():
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(result)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.xmpp.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _repeat(self, iq: Iq, step: Repeated, callback: Any, future: asyncio.Future[Any]) -> None:
        """Answer with the error that the service answered a moment ago."""
        tree = copy.deepcopy(step.refusal.stanza)
        assert tree is not None
        tree.set("id", iq["id"])
        self.xmpp.loop.call_soon(self._hand_error_over, tree, callback, future)

    def _hand_error_over(self, tree: Element, callback: Any, future: asyncio.Future[Any]) -> None:
        result: Any = Iq(self.xmpp, xml=tree, recv=True)
        if not future.done():
            future.set_exception(IqError(result))
        self._call(callback, result)

    # The copy's answer

    def _deliver_soon(self, iq: Iq, served: Served, callback: Any, future: asyncio.Future[Any]) -> None:
        """Not within the call: a callback of the program's would run before it returned."""
        self.xmpp.loop.call_soon(self._deliver, iq, served, self._frame(iq, served), callback, future)

    def _deliver(self, iq: Iq, served: Served, texts: list[str], callback: Any, future: asyncio.Future[Any]) -> None:
        """Hand a whole answer over: a fresh tree each time, because programs change what they get."""
        if _is_large(texts):
            self._spawn(self._deliver_large(iq, served, texts, callback, future))
        else:
            self._hand_over(xmltext.parse(texts), served, callback, future)

    async def _deliver_large(
        self, iq: Iq, served: Served, texts: list[str], callback: Any, future: asyncio.Future[Any]
    ) -> None:
        """The same, in a thread."""
        tree = await asyncio.to_thread(xmltext.parse, texts)
        port = self.replica.port
        change = None if port is None else port.find_change(served)
        if port is not None and change is None:
            self._hand_over(tree, served, callback, future)
        elif change is not None:
            await self._fill(future, asyncio.shield(self._act(iq, change, callback, None)))
        else:
            await self._fill(future, asyncio.shield(Iq.send(iq, callback)))

    def _hand_over(self, tree: Element, served: Served, callback: Any, future: asyncio.Future[Any]) -> None:
        result: Any = Iq(self.xmpp, xml=tree, recv=True)
        result.newsstand = served.made_of
        if served.read.request.privileged and "privilege" in result.plugin_attrib_map:
            result["privilege"]["forwarded"]["iq"].newsstand = served.made_of  # what slixmpp's xep_0356 hands on
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

    def _frame(self, iq: Iq, served: Served) -> list[str]:
        """The whole answer in texts: its items within what the server would put around them."""
        if not served.read.request.privileged:
            return self._result(iq.xml, served, self.xmpp.default_ns, self.xmpp.boundjid.full)
        wrapped = iq.xml[0]
        account, namespace = iq.xml.get("to", ""), wrapped.tag[1:].partition("}")[0]
        attributes = {"type": "result", "id": iq["id"], "from": account}
        attributes["to"] = iq.xml.get("from") or self.xmpp.boundjid.full
        return [
            f"<iq xmlns={quoteattr(self.xmpp.default_ns)}{_written(attributes)}>"
            f'<privilege xmlns={quoteattr(namespace)}><forwarded xmlns="{NS_FORWARD}">',
            *self._result(wrapped[0], served, NS_CLIENT, account),
            "</forwarded></privilege></iq>",
        ]

    def _result(self, asked: Element, served: Served, namespace: str, account: str) -> list[str]:
        """The service's own `<iq/>`. `account`: to whom it answers where the request does not say."""
        key = served.read.request.key
        attributes = {"type": "result", "id": asked.get("id", ""), "to": asked.get("from") or account}
        if served.names_sender:
            sender = asked.get("to") or asked.get("from") or key.account
            attributes["from"] = sender if sender == key.service else usual_bare(sender)
        cursors = write_rsm(served.rsm) if served.rsm is not None else ""
        return [
            f"<iq xmlns={quoteattr(namespace)}{_written(attributes)}>"
            f'<pubsub xmlns="{NS_PUBSUB}">{cursors}<items node={quoteattr(key.node)}>',
            *served.found,
            "</items></pubsub></iq>",
        ]

    def _on_session(self, session: Session) -> None:
        if session is not Session.LOST:
            self.early.session_began()
        else:
            for waiting in list(self._around.waiting):
                waiting.fall_back()


@contextlib.contextmanager
def _running(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """slixmpp allows a program to send while no event loop runs: what is to be done then begins when its loop does.
    Until this returns, asyncio is told that it runs, for who asks it which loop that is."""
    if loop.is_running() or asyncio._get_running_loop() is not None:
        yield
        return
    asyncio._set_running_loop(loop)
    try:
        yield
    finally:
        asyncio._set_running_loop(None)


def _concerns_nodes(iq: Element) -> bool:
    """Whether a request is one of XEP-0060's, or a command (XEP-0050), which may do anything."""
    return any(
        child.tag in WRAPPERS or child.tag[1:].startswith((NS_PUBSUB, "http://jabber.org/protocol/commands"))
        for child in iq
    )


def _allowed(timeout: float | None) -> float:
    return SLIXMPP_TIMEOUT if timeout is None else timeout


def _is_large(texts: list[str]) -> bool:
    return len(texts) > LARGE or sum(map(len, texts)) > LARGE_TEXT


def _written(attributes: dict[str, str]) -> str:
    return "".join(f" {name}={quoteattr(str(value))}" for name, value in attributes.items() if value)


def _outcome(done: asyncio.Future[Any], request: WriteRequest) -> Any:
    """The result's `<iq/>`, the error that the service answered, or None where nobody knows."""
    if done.cancelled():
        return None
    error, key = done.exception(), request.key
    if error is not None and not isinstance(error, IqError):
        return None
    answer: Element = done.result().xml if error is None else error.iq.xml
    if request.privileged:
        if not is_about(answer, key.account):
            return None
        if (inner := forwarded(answer)) is None:
            # The server's own word: either it did not pass the request on, or nobody knows.
            said = stanza_error(answer)
            return said if answer.get("type") == "error" and is_denial(said.condition) else None
        answer = inner
    if answer.get("type") == "error":
        return stanza_error(answer) if is_from(answer, key.service, key.account) else None
    return answer
