"""The context: what all parts of one open replica share, such as its database, its stream and its copies."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, Literal
from xml.etree.ElementTree import Element

from newsstand.analysis.analysers import Analysers
from newsstand.analysis.runner import Runner
from newsstand.config import Settings
from newsstand.errors import DatabaseError, Disconnected, LeaseLost, ListingError, StanzaError, Timeout
from newsstand.jid import canonical_bare, host_of, usual_bare
from newsstand.model import NodeKey
from newsstand.rules.behaviour import ServiceBehaviour
from newsstand.rules.refusals import Domains, Refusals
from newsstand.state import slots
from newsstand.state.copies import Copies
from newsstand.state.listener import Listener
from newsstand.state.services import Services
from newsstand.state.slots import Slots
from newsstand.storage.database import Database
from newsstand.storage.statements import nodes, owners, spelling
from newsstand.xmpp import senders
from newsstand.xmpp.transport import Session, Transport

log = logging.getLogger(__name__)

Clock = Callable[[], int]
"""Microseconds since the epoch."""
DAY = 86_400 * 1_000_000
"""A day, in microseconds."""


def wall_clock() -> int:
    return time.time_ns() // 1000


class Context:
    """What all parts of one open replica share. It lives in one event loop. `listener` is told what the parts
    cannot act on themselves."""

    def __init__(
        self,
        database: Database,
        transport: Transport | None,
        analysers: Analysers,
        settings: Settings,
        listener: Listener,
        clock: Clock = wall_clock,
    ) -> None:
        self.database = database
        self.transport = transport
        self.analysers = analysers
        self.settings = settings
        self._listener = listener
        self.clock = clock
        self.limits = settings.item_limits
        self.services = Services()
        self.copies = Copies(settings.max_waiting_bytes, self.services)
        self.refusals = Refusals(settings.remember_errors)
        self.domains = Domains()
        self.silent: set[str] = set()
        """Services (as `newsstand.jid.host_of` names them) that left our last request unanswered."""
        self.errands = self.new_slots()
        """Slots for small requests that belong to no work on a copy: what a node is, unsubscribing."""
        self.session = Session.LOST
        self.session_up = asyncio.Event()
        self.session_changes = 0
        """How often the session changed: what was begun before a change may have failed because of it."""
        self.session_number = 0
        """Goes up with each fresh session: what was begun in an earlier one counts no more."""
        self.run = Runner(settings.parser_timeout)
        self.random = random.Random()
        self.account = self.own_jid
        """The stream's own account, in canonical spelling, since its session changed last."""
        self.spellings: dict[str, str] = {}
        """How the program spells a JID, by its canonical spelling, where servers may know only the program's."""
        self.closed = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def new_slots(self, longest: float = math.inf) -> Slots:
        """Slots for work that asks services, shared among them as the settings say. What its service took longer than
        `longest` over, in seconds, is given up."""
        settings = self.settings
        return Slots(
            settings.parallel,
            settings.parallel_service,
            slow_after=settings.slow_after,
            longest=longest,
            is_silent=self.silent.__contains__,
            era=lambda: self.session_changes,
        )

    def speaks_for(self, account: str) -> bool:
        """Whether this stream's requests are this account's: a database may hold other accounts' copies too, and what
        one account sees must never become another's copy."""
        return self._is_of(account, self.own_jid)

    def serves(self, account: str) -> bool:
        """Whether the copies of this account are kept by us, and by no other client in this process."""
        own = self.own_jid
        return self._is_of(account, own) and self.database.keeper(own) is self

    def _is_of(self, account: str, own: str) -> bool:
        if self.transport is None:
            return False
        return account == own or (self.transport.is_component and account.endswith(f"@{own}"))

    @property
    def own_jid(self) -> str:
        """The stream's own JID, in canonical spelling; empty without a stream."""
        return canonical_bare(self.transport.own_jid) if self.transport is not None else ""

    def note_spelling(self, jid: str) -> None:
        """The program spells a service's or an account's JID so: we spell it so in our requests, too."""
        usual, key = usual_bare(jid), canonical_bare(jid)
        if usual != key:
            self.spellings[key] = usual
        elif self.spellings:
            self.spellings.pop(key, None)

    def spelt(self, jid: str) -> str:
        """How to spell a canonical JID to servers."""
        if self.transport is not None and jid == self.own_jid:
            return usual_bare(self.transport.own_jid)
        return self.spellings.get(jid, jid)

    def follow(self, session: Session) -> None:
        """Take note that the stream's session changed."""
        self.session = session
        self.account = self.own_jid
        self.session_changes += 1
        self.refusals.forget_all()
        self.silent.clear()
        if session is Session.FRESH:
            self.session_number += 1
            self.domains.begin_session()
        keeper = self.database.keeper(self.own_jid)
        if self.online and (keeper is None or not keeper.online):
            self.database.keep(self.own_jid, self)
        if self.connected:
            self.session_up.set()
        else:
            self.session_up.clear()

    @property
    def connected(self) -> bool:
        """Whether events reach us."""
        return self.session in (Session.FRESH, Session.RESUMED)

    @property
    def online(self) -> bool:
        """Whether requests can be sent."""
        return self.session is not Session.LOST

    async def load(self) -> None:
        """Load what the database remembers of services and nodes."""
        if not await self.database.scan(spelling.is_canonical):
            try:
                await self.database.write(spelling.make_canonical)
            except DatabaseError as error:
                log.warning("JIDs that are stored in another spelling cannot be changed: %s", error)
        self.services.load(await self.database.read(nodes.load_behaviour))
        records, held = await self.database.scan(
            lambda conn: (list(nodes.iter_nodes(conn)), {held.node_id: held for held in owners.all_leases(conn)})
        )
        best = {record.key: record for record in sorted(records, key=spelling.worth)}
        for record in best.values():
            self.copies.add(record, held[record.id])

    async def ask(
        self,
        type: Literal["get", "set"],
        key: NodeKey,
        payload: Element,
        *,
        on_answer: Callable[[], None] | None = None,
    ) -> Element:
        """Send a request about a node, in its account's name. Work that has a slot may have to wait for others before
        it is sent, and before this returns (`slots.asking`). Raises as `Transport.iq`; Disconnected, too, where the
        work began in an earlier session, and TooSlow where it is to be given up; ListingError where what comes is
        somebody else's answer, or about another node: so it is with every answer, not a listing's first."""
        if self.transport is None:
            raise Disconnected("there is no connection to ask on")
        async with slots.asking():
            try:
                answer = await self.transport.iq(
                    type,
                    self.spelt(key.service),
                    payload,
                    # A component speaks for many accounts, a client for one.
                    ifrom=self.spelt(key.account) if self.transport.is_component else None,
                    timeout=self.settings.request_timeout,
                    on_answer=on_answer,
                )
            except Timeout:
                self.silent.add(host_of(key.service))
                raise
            except StanzaError as error:
                self._refused(key, error)
                raise
            if (objection := senders.find_objection(answer, key)) is not None:
                raise ListingError(objection)
            self.service_responded(key)
            return answer

    def service_responded(self, key: NodeKey) -> None:
        """The service of this node answered a request, or sent a notification."""
        host = host_of(key.service)
        self.silent.discard(host)
        is_of_contact = host != key.service != key.account
        if is_of_contact and self.domains.answered(key.service):
            self._listener.domain_answered(key.service)

    def _refused(self, key: NodeKey, error: StanzaError) -> None:
        if not error.link_broken:
            self.silent.discard(host_of(key.service))
        if (
            key.service != key.account and slots.is_working()
        ):  # what a program asks of strangers says nothing of contacts
            until = self.clock() + int(self.settings.retry_lasting / 2 * 1e6)
            self.domains.note(key.service, error, until)

    def behaviour(self, service: str) -> ServiceBehaviour:
        """What is known of a service's behaviour."""
        state = self.services.find(service)
        return ServiceBehaviour() if state is None else state.behaviour

    async def learn(self, service: str, before: ServiceBehaviour, after: ServiceBehaviour) -> None:
        """Remember what was learnt of a service's behaviour: the difference, because others learn at the same time."""
        state = self.services.of(service)
        seen = {
            field.name: value
            for field in dataclasses.fields(ServiceBehaviour)
            if (value := getattr(after, field.name)) is not getattr(before, field.name)
        }
        behaviour = state.behaviour.learn(**seen)
        if behaviour != state.behaviour:
            state.behaviour = behaviour
            await self.database.write(nodes.save_behaviour, host_of(service), behaviour, self.clock())

    async def forget_behaviour(self) -> None:
        """Forget what was learnt of every service's behaviour."""
        self.services.forget()
        await self.database.write(nodes.remove_behaviour)

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run in the background. What it raises is logged, never lost."""
        task = asyncio.get_running_loop().create_task(work, name=name, context=slots.outside())
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, LeaseLost):
            log.info("%s was left to another worker: %s", task.get_name(), error)
        else:
            log.error("%s failed: %r", task.get_name(), error, exc_info=error)

    async def idle(self) -> None:
        """Wait until nothing runs in the background."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def close(self) -> None:
        self.closed = True
        if self.database.keeper(self.own_jid) is self:
            self.database.keep(self.own_jid, None)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))
        self.run.close()
