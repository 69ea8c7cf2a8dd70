"""`newsstand watch`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from newsstand.cli import output
from newsstand.cli.addresses import bare_jid
from newsstand.cli.streams import OutputEnded
from newsstand.errors import Disconnected, NewsstandError
from newsstand.model import Change, ChangeKind, Policy


def watch(args: Any) -> int:
    """Until Ctrl-C, SIGTERM, the end of whoever reads, or of the session."""
    from newsstand.cli.session import Login

    service = bare_jid(args.service)
    login = Login.of(args)
    return asyncio.run(_run(_Watching(args, login, service)))


async def _run(watching: _Watching) -> int:
    """What ends it cancels the work, which then closes the session properly."""
    ending: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    work = asyncio.ensure_future(watching.run(ending))
    with _ends(ending):
        try:
            either: set[asyncio.Future[Any]] = {work, ending}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not work.done():
                work.cancel()
            await asyncio.wait({work})
    if ending.done():
        return ending.result()
    work.result()
    return 0


@contextmanager
def _ends(ending: asyncio.Future[int]) -> Iterator[None]:
    """What ends it from outside: a signal, or that nobody reads any more, noticed before the next change is written."""
    loop = asyncio.get_running_loop()

    def terminated() -> None:
        if not ending.done():
            ending.set_result(0)  # it was asked to end, and does

    def unread() -> None:
        loop.remove_reader(out)
        if not ending.done():
            ending.set_exception(OutputEnded(None))

    out = _pipe()
    # Signals are heard in the main thread only: elsewhere they are somebody else's.
    with contextlib.suppress(ValueError, RuntimeError):
        loop.add_signal_handler(signal.SIGTERM, terminated)
    if out >= 0:
        loop.add_reader(out, unread)  # readable is what a pipe's writing end becomes when its reader is gone
    try:
        yield
    finally:
        if out >= 0:
            loop.remove_reader(out)
        with contextlib.suppress(ValueError, RuntimeError):
            loop.remove_signal_handler(signal.SIGTERM)


def _pipe() -> int:
    """Stdout's number, if it is a pipe; else -1."""
    try:
        number = sys.stdout.fileno()
        return number if stat.S_ISFIFO(os.fstat(number).st_mode) else -1
    except (OSError, ValueError):
        return -1


class _Watching:
    def __init__(self, args: Any, login: Any, service: str) -> None:
        self._args = args
        self._login = login
        self._service = service
        self._revision = 0

    async def run(self, ending: asyncio.Future[int]) -> None:
        from newsstand.cli.services import perhaps_meant
        from newsstand.cli.session import opened

        async with opened(self._login, self._args) as client:
            await client.begin()
            try:
                await self._watch(client, ending)
            except NewsstandError as error:
                raise await perhaps_meant(client, error, self._service, self._args.node) from error

    async def _watch(self, client: Any, ending: asyncio.Future[int]) -> None:
        def lost(_: object) -> None:
            if not ending.done():
                ending.set_exception(
                    Disconnected(
                        f"the session with {self._login.where} ended; go on with --since {self._revision}",
                    )
                )

        client.xmpp.add_event_handler("disconnected", lost)
        try:
            args, account = self._args, self._login.account
            # Kept up by this command itself, as nobody else here hears the node's notifications.
            record = await client.replica.synchronise(self._service, args.node, account=account)
            self._revision = record.revision if args.since is None else args.since
            changes = client.replica.watch(self._service, args.node, self._revision, account=account)
            output.say(f"watching {args.node} of {self._service} from revision {self._revision}")
            async for change in changes:
                await self._show(client.replica, change)
                self._revision = change.revision
        finally:
            client.xmpp.del_event_handler("disconnected", lost)

    async def _show(self, replica: Any, change: Change) -> None:
        """At once: one line each in a pipe; at a terminal, or where all of it is wanted, the item is shown below."""
        if self._args.json:
            output.print_json_line(_facts(change))
        else:
            output.print_row((str(change.revision), change.kind.value, change.item_id))
            if change.kind is ChangeKind.PUT and (self._args.full or output.at_terminal()):
                await self._show_item(replica, change)
        sys.stdout.flush()

    async def _show_item(self, replica: Any, change: Change) -> None:
        """As it is by now, in the copy. One that is gone again, or that the copy cannot tell of, is not shown."""
        from newsstand.cli import items

        account, service, node = change.key
        try:
            answer = await replica.get_items(
                service, node, item_ids=[change.item_id], account=account, policy=Policy.ONLY_COPY
            )
        except NewsstandError:
            return
        found = items.Found.of(answer, replica)
        items.show([items.as_shown(item, found) for item in answer.items], whole=self._args.full)


def _facts(change: Change) -> dict[str, Any]:
    return {
        "account": change.key.account,
        "service": change.key.service,
        "node": change.key.node,
        "revision": change.revision,
        "kind": change.kind.value,
        "id": change.item_id,
    }
