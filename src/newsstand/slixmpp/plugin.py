"""The plugin: opens the database in the background, and puts the trigger in place."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from typing import Any, ClassVar

from slixmpp.plugins.base import BasePlugin

from newsstand.config import Settings
from newsstand.errors import ConfigurationError, NewsstandError, NotADatabase
from newsstand.replica import Replica
from newsstand.slixmpp.transport import SlixmppTransport
from newsstand.slixmpp.trigger import Trigger
from newsstand.storage import shared
from newsstand.storage.database import Database, check_url

log = logging.getLogger(__name__)

DEFAULT_DATABASE = "sqlite:///newsstand.db"


class Newsstand(BasePlugin):
    """`xmpp.register_plugin("newsstand", {"database": "sqlite:///news.db"})`.

    `entry_points` false leaves out the analysers of installed packages. With `migrate` false, this process waits for
    another one to make or migrate the database. Further keys are the fields of `newsstand.config.Settings`. A setting
    that cannot be right raises ConfigurationError at once. The database is opened in the background: until it is, and
    for good if it cannot be, every request goes to the service; `await plugin.ready()` waits, and raises what went
    wrong.
    """

    name = "newsstand"
    description = "Newsstand: a live local copy of PubSub nodes"
    dependencies: ClassVar[set[str]] = set()
    default_config: ClassVar[dict[str, Any]] = {
        "database": DEFAULT_DATABASE,
        "entry_points": True,
        "migrate": True,
    } | {field.name: field.default for field in dataclasses.fields(Settings)}

    replica: Replica

    def plugin_init(self) -> None:
        given = dict(self.config)
        self._url = given.pop("database")
        if not isinstance(self._url, str):
            raise ConfigurationError("database must be a URL, such as sqlite:///news.db")
        check_url(self._url)
        with_entry_points = _yes_or_no(given, "entry_points")
        self._migrate = _yes_or_no(given, "migrate")
        settings = Settings.of(given)
        self._transport = SlixmppTransport(self.xmpp)
        self.replica = Replica(self._transport, settings=settings, entry_points=with_entry_points)
        self._trigger = Trigger(self.xmpp, self.replica, self._transport)
        self._trigger.install()
        self._ended = False
        self._opening: asyncio.Task[None] | None = None
        self._begin()

    def _begin(self) -> None:
        """Open as soon as the loop runs: a program may register plugins before it starts one."""
        loop = self.xmpp.loop
        if loop.is_running():
            self._opening = loop.create_task(self._open(), name="opening newsstand")
        else:
            loop.call_soon(self._begin_running)

    def _begin_running(self) -> None:
        if self._opening is None and not self._ended:
            self._opening = asyncio.get_running_loop().create_task(self._open(), name="opening newsstand")

    async def _open(self) -> None:
        try:
            try:
                self._database = await self._take_up()
            except NotADatabase:
                # Met when the copies were read: opened once more, the file is read through, and set aside.
                self._database = await self._take_up()
        except NewsstandError as error:
            log.error("Newsstand is off, every request goes to its service: %s", error)
            raise

    async def _take_up(self) -> Database:
        database = await shared.acquire(self._url, migrate=self._migrate)
        try:
            await self.replica.open(database)
        except BaseException:
            await shared.release(database)
            raise
        return database

    async def ready(self) -> None:
        """Wait until the database is open. Raises what kept it from opening (`newsstand.errors.DatabaseError`)."""
        if self._opening is None:
            self._begin_running()
        assert self._opening is not None
        await asyncio.shield(self._opening)

    async def close(self) -> None:
        """End all work and let go of the database. The program's requests go to their services from now on."""
        self._trigger.remove()
        self._transport.close()
        if self._ended:
            return
        self._ended = True
        if self._opening is None:
            return
        with contextlib.suppress(NewsstandError, asyncio.CancelledError):
            await self._opening
            await self.replica.close()
            await shared.release(self._database)

    def plugin_end(self) -> None:
        self._trigger.remove()
        self._closing = asyncio.ensure_future(self.close(), loop=self.xmpp.loop)


def _yes_or_no(given: dict[str, Any], name: str) -> bool:
    value = given.pop(name)
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be True or False, not {value!r}")
    return value
