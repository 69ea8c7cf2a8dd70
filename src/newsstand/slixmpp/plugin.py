"""The plugin: opens the database in the background, and puts the trigger in place."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
from typing import Any, ClassVar

from slixmpp import BaseXMPP
from slixmpp.plugins.base import BasePlugin

from newsstand.config import Settings
from newsstand.default_place import default_database
from newsstand.errors import ConfigurationError, DatabaseError, DatabaseLost, NewsstandError, NotADatabase
from newsstand.replica import Replica
from newsstand.slixmpp.transport import SlixmppTransport
from newsstand.slixmpp.trigger import Trigger
from newsstand.storage import shared
from newsstand.storage.database import Database, check_url
from newsstand.xmpp.transport import Transport

log = logging.getLogger(__name__)


class Newsstand(BasePlugin):
    """`xmpp.register_plugin("newsstand", {"database": "sqlite:///news.db"}, module="newsstand.slixmpp")`.

    Without `database` it is where the command line has it: see `newsstand.default_place`.
    `entry_points` false leaves out the analysers of installed packages. With `migrate` false, this process waits for
    another one to make or migrate the database. Further keys are the fields of `newsstand.config.Settings`; one that is
    not given may be in the environment, `max_nodes` as $NEWSSTAND_MAX_NODES. A setting
    that cannot be right raises ConfigurationError at once. The database is opened in the background. Reads wait for it
    a moment (`newsstand.slixmpp.early`); if it cannot be opened, every request goes to the service. `await
    plugin.ready()` waits, and raises what went wrong.
    """

    name = "newsstand"
    description = "Newsstand: a live local copy of PubSub nodes"
    dependencies: ClassVar[set[str]] = set()
    default_config: ClassVar[dict[str, Any]] = {
        "database": None,
        "entry_points": True,
        "migrate": True,
    } | {field.name: None for field in dataclasses.fields(Settings)}  # as the environment says, or as usual

    replica: Replica

    def plugin_init(self) -> None:
        given = dict(self.config)
        self._url = given.pop("database")
        if self._url is None:
            self._url = default_database(make_folder=True)
        if not isinstance(self._url, str):
            raise ConfigurationError("database must be a URL, such as sqlite:///news.db")
        check_url(self._url)
        with_entry_points = _yes_or_no(given, "entry_points")
        self._migrate = _yes_or_no(given, "migrate")
        settings = Settings.of_environment(given)
        self._transport = SlixmppTransport(self.xmpp)
        self.replica = Replica(self._transport, settings=settings, entry_points=with_entry_points)
        self._trigger = Trigger(self.xmpp, self.replica, self._transport)
        self._trigger.install()
        self._ended = False
        self._opening: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        """Where the database is opened."""
        self._process = 0
        """And in which process."""
        self._begin()

    @property
    def transport(self) -> Transport:
        """Requests of our own, to which the trigger does not answer."""
        return self._transport

    def _begin(self) -> None:
        """Open as soon as the loop runs: a program may register plugins before it starts one."""
        loop = self.xmpp.loop
        if _running_loop() is loop:
            self._begin_running()
        else:
            loop.call_soon_threadsafe(self._begin_running)

    def _begin_running(self) -> None:
        if self._ended or (self._opening is not None and not self._opening.cancelled()):
            return
        self._loop, self._process = asyncio.get_running_loop(), os.getpid()
        self._trigger.early.begin()
        self._opening = self._loop.create_task(self._open(), name="opening newsstand")
        self._opening.add_done_callback(_look_at)

    async def _open(self) -> None:
        try:
            try:
                self._database = await self._take_up()
            except NotADatabase:
                # Met when the copies were read: opened once more, the file is read through, and set aside.
                self._database = await self._take_up()
        except asyncio.CancelledError:
            self._trigger.early.over()
            raise
        except Exception as error:  # whatever it is: perhaps nobody waits for it
            self._trigger.early.over()
            why, known = str(error) or type(error).__name__, isinstance(error, NewsstandError)
            log.error("Newsstand is off: every read goes to the service: %s", why, exc_info=None if known else error)
            raise
        self._forget_loss = self._database.when_lost(self._lose)
        if self.replica.port is not None:
            self._trigger.early.opened(self.replica.port)

    async def _take_up(self) -> Database:
        database = await shared.acquire(self._url, migrate=self._migrate)
        try:
            await self.replica.open(database)
        except (Exception, asyncio.CancelledError):  # whatever else there is ends the loop
            await self.replica.close()
            await shared.release(database)
            raise
        return database

    def _lose(self) -> None:
        """The database's file is not there any more, and that was logged."""
        if not self._ended:
            self._end()

    @classmethod
    def of(cls, xmpp: BaseXMPP, **config: Any) -> Newsstand:
        """The plugin of this client or component, with its type; where it is not registered yet, it is, with this
        configuration. Raises ConfigurationError as registering does, and for a configuration that comes too late."""
        if "newsstand" not in xmpp.plugin:
            xmpp.register_plugin("newsstand", config)
        elif config:
            raise ConfigurationError("the plugin is registered already: give its configuration to register_plugin")
        plugin: Newsstand = xmpp.plugin["newsstand"]
        return plugin

    async def __aenter__(self) -> Replica:
        """Wait until the copy is usable: the database is open, and, where the client is connecting, notifications
        reach us. A server that cannot be reached is waited for as long as `patience` says; then the program begins
        offline. Raises as `ready`."""
        await self.ready()
        if self._transport.is_coming:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.replica.settings.patience):
                    await self.replica.session_began()
        return self.replica

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def ready(self) -> None:
        """Wait until the database is open. Raises what kept it from opening (`newsstand.errors.DatabaseError`), what
        ended it (`newsstand.errors.DatabaseLost`), and DatabaseError in a child of the process that opened it, or in
        another event loop."""
        self._begin_running()
        if self._opening is None:
            raise DatabaseError("Newsstand was closed before the database was opened")
        self._check_here()
        try:
            await asyncio.shield(self._opening)
        except asyncio.CancelledError:
            if not (self._ended and self._opening.cancelled()):
                raise
            raise DatabaseError("Newsstand was closed before the database was opened") from None
        if self._database.lost is not None:
            raise DatabaseLost(self._database.lost)

    async def close(self) -> None:
        """End all work and let go of the database. The program's requests go to their services from now on. Raises
        DatabaseError in another event loop than that in which the database was opened; in a child of the process that
        opened it, nothing is closed."""
        self._trigger.remove()
        self._transport.close()
        if self._opening is None or os.getpid() != self._process:
            self._ended = True
            return
        self._check_here()
        self._end()
        assert self._closing is not None
        await asyncio.shield(self._closing)

    def _end(self) -> None:
        self._ended = True
        self._trigger.remove()
        self._transport.close()
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._let_go(), name="closing newsstand")

    async def _let_go(self) -> None:
        assert self._opening is not None
        self._opening.cancel()  # should it still be under way: another process may be waited for
        await asyncio.wait({self._opening})
        if not self._opening.cancelled() and self._opening.exception() is None:
            self._forget_loss()
            await self.replica.close()
            await shared.release(self._database)

    def _check_here(self) -> None:
        if os.getpid() != self._process:
            raise DatabaseError(
                "Newsstand was opened in the process that this one was forked from: make a client, and register the "
                "plugin, after the fork"
            )
        if asyncio.get_running_loop() is not self._loop:
            raise DatabaseError("Newsstand was opened in another event loop, that of its client, and is used in that")

    def plugin_end(self) -> None:
        self._trigger.remove()
        if not self.xmpp.loop.is_closed():
            self._ending = asyncio.ensure_future(self.close(), loop=self.xmpp.loop)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _look_at(opening: asyncio.Task[None]) -> None:
    """What it raised was logged: asyncio need not complain that nobody awaits it."""
    if not opening.cancelled():
        opening.exception()


def _yes_or_no(given: dict[str, Any], name: str) -> bool:
    value = given.pop(name)
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be True or False, not {value!r}")
    return value
