"""`newsstand purge` and `newsstand reset`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from newsstand.cli import output
from newsstand.cli.addresses import bare_jid
from newsstand.cli.places import database_url, existing, reading
from newsstand.errors import ConfigurationError, Disconnected
from newsstand.model import NodeRecord, Subscription

if TYPE_CHECKING:
    from newsstand.replica import Replica


def purge(args: Any) -> int:
    service = bare_jid(args.service)
    dropped = _run(args, lambda record: record.key[1:] == (service, args.node), _purge)
    _tell_still_subscribed(args, dropped)
    print(output.plain(f"{args.node} of {service}: dropped"))
    return 0


def reset(args: Any) -> int:
    if not args.yes:
        existing(database_url(args))
        raise ConfigurationError("reset drops every copy; say --yes if that is meant")
    dropped = _run(args, lambda record: True, _reset)
    _tell_still_subscribed(args, dropped)
    print("1 node dropped" if len(dropped) == 1 else f"{len(dropped)} nodes dropped")
    return 0


def _run(args: Any, wanted: Any, drop: Any) -> list[NodeRecord]:
    url = existing(database_url(args))

    from newsstand.storage.database import check_unused, is_file

    if is_file(url):
        asyncio.run(check_unused(url))
    login = None
    if not args.offline:
        from newsstand.cli.session import Login

        login = Login.of(args)

    async def run() -> list[NodeRecord]:
        async with _replica(args, login) as (replica, account):
            before = [r for r in replica.nodes() if account in (None, r.key.account) and wanted(r)]
            await drop(replica, args, account)
            return before

    return asyncio.run(run())


@asynccontextmanager
async def _replica(args: Any, login: Any) -> AsyncIterator[tuple[Replica, str | None]]:
    """With a session, unless the person wants none; and the account that is meant, None for all."""
    if login is None:
        async with reading(args, any_account=args.command == "reset") as found:
            yield found
        return
    from newsstand.cli.session import opened

    async with opened(login, args) as client:
        try:
            await client.begin()
        except Disconnected as error:
            raise Disconnected(f"{error}; --offline drops without unsubscribing") from error
        yield client.replica, login.account


async def _purge(replica: Replica, args: Any, account: str | None) -> None:
    await replica.purge(bare_jid(args.service), args.node, account=account)


async def _reset(replica: Replica, args: Any, account: str | None) -> None:
    await replica.reset(account=account)


def _tell_still_subscribed(args: Any, dropped: list[NodeRecord]) -> None:
    left = sum(record.subscription is Subscription.SUBSCRIBED for record in dropped)
    if args.offline and left:
        nodes = "this node" if left == 1 else f"{left} nodes"
        output.say(f"still subscribed to {nodes}: nothing was connected, so notifications go on")
