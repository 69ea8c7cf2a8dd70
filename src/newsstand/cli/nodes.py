"""`newsstand nodes` and `newsstand sync`."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from newsstand.cli import output
from newsstand.cli.addresses import bare_jid
from newsstand.cli.places import chosen_account, database_url, existing, named_account, reading
from newsstand.cli.progress import bar
from newsstand.errors import DatabaseError, Disconnected, NewsstandError
from newsstand.model import NodeRecord
from newsstand.storage.sqlite.glance import find_nodes, path_of_plain_url
from newsstand.workers.processes import has_ended, this_process

_TITLES = ("service", "node", "type", "state", "items", "verified", "reason")


def nodes(args: Any) -> int:
    found = _glance(args)
    if found is None:
        found = asyncio.run(_nodes(args))
    if args.json:
        output.print_json({"nodes": [_facts(record) for record in found]})
        return 0
    now = time.time_ns() // 1000 if output.at_terminal() else None
    output.print_table(_TITLES, [_row(record, now) for record in found], names=2)
    if not found:
        output.say("the database holds no node yet: `newsstand sync SERVICE NODE` makes a copy")
    return 0


def _glance(args: Any) -> list[NodeRecord] | None:
    """The nodes of a file that is in order, at once; None where it takes more to read them."""
    named = named_account(args)
    path = path_of_plain_url(database_url(args))
    if path is None:
        return None
    if args.migrate:
        existing(database_url(args))
    found = find_nodes(path, lambda process: process == this_process() or not has_ended(process))
    if found is None:
        return None
    account = chosen_account(named, (record.key.account for record in found))
    return [record for record in found if account in (None, record.key.account)]


async def _nodes(args: Any) -> list[NodeRecord]:
    async with reading(args) as (replica, account):
        return [record for record in replica.nodes() if account in (None, record.key.account)]


def _row(record: NodeRecord, now: int | None) -> list[str]:
    verified = output.moment(record.verified_at) if now is None else output.since(record.verified_at, now)
    return [
        record.key.service,
        record.key.node,
        record.type or "",
        record.state.value,
        str(record.item_count),
        verified or "",
        record.reason or "",
    ]


def _facts(record: NodeRecord) -> dict[str, Any]:
    return {
        "account": record.key.account,
        "service": record.key.service,
        "node": record.key.node,
        "type": record.type,
        "subtype": record.subtype,
        "analyser": record.analyser,
        "state": record.state.value,
        "complete": record.complete,
        "items": record.item_count,
        "quarantined": record.quarantined,
        "verified_at": output.moment(record.verified_at),
        "reason": record.reason,
        "revision": record.revision,
        "subscription": record.subscription.value,
        "access_model": record.access_model or None,
        "read_at": output.moment(record.read_at),
        "retry_at": output.moment(record.retry_at),
    }


def sync(args: Any) -> int:
    from newsstand.cli.session import Login

    service = bare_jid(args.service)
    login = Login.of(args)
    return asyncio.run(_sync(args, login, service))


async def _sync(args: Any, login: Any, service: str) -> int:
    """One node after the other; what goes wrong with one of several keeps the others from nothing, but for the end of
    the session."""
    from newsstand.cli.session import opened

    nodes, failed = list(dict.fromkeys(args.nodes)), 0
    async with opened(login, args) as client:
        await client.begin()
        for node in nodes:
            try:
                await _sync_one(client, service, node)
            except (Disconnected, DatabaseError):
                raise  # of the others nothing else would be told
            except NewsstandError as error:
                if len(nodes) == 1:
                    raise
                output.say(str(error))
                failed += 1
    return 1 if failed else 0


async def _sync_one(client: Any, service: str, node: str) -> None:
    from newsstand.cli.services import perhaps_meant

    account, began = client.login.account, time.monotonic()
    try:
        with bar(node) as progress:
            record = await client.replica.synchronise(service, node, account=account, progress=progress)
        await client.replica.settled()  # what is stored is parsed, so that it can be searched
    except NewsstandError as error:
        raise await perhaps_meant(client, error, service, node) from error
    took = time.monotonic() - began
    items = "1 item" if record.item_count == 1 else f"{record.item_count} items"
    print(output.plain(f"{node} of {service}: {items}, {record.state.value}, in {took:.1f} s"), flush=True)
    if record.quarantined:
        output.say(f"{record.quarantined} of them could not be kept (too deep or too large); the service is asked")
