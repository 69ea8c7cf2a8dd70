"""`newsstand ls`, and which node of a service was perhaps meant."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from newsstand.cli import output
from newsstand.cli.addresses import bare_jid
from newsstand.cli.wording import explained, explained_service, is_missing
from newsstand.errors import NewsstandError, StanzaError
from newsstand.model import NodeRecord, RsmQuery
from newsstand.suggesting import did_you_mean
from newsstand.xmpp import answers, requests

if TYPE_CHECKING:
    from newsstand.cli.session import Client

PAGE = 500
"""Nodes asked for at a time, of a service that told only a part of them."""
MANY = 10
"""Services that are named, at most."""
_TITLES = ("node", "type", "state", "items", "name")


def ls(args: Any) -> int:
    from newsstand.cli.session import Login

    service = bare_jid(args.service)
    login = Login.of(args)
    nodes, others, known = asyncio.run(_ls(args, login, service))
    if args.json:
        output.print_json(
            {"service": service, "nodes": [_facts(node, name, known.get(node)) for node, name in nodes.items()]}
        )
        return 0
    output.print_table(_TITLES, [_row(node, name, known.get(node)) for node, name in nodes.items()], names=1)
    if not nodes:
        of_others = f", but of {', '.join(others[:MANY])}: ask one of these" if others else ""
        output.say(f"{service} tells {login.account} of no node{of_others}")
    return 0


async def _ls(args: Any, login: Any, service: str) -> tuple[dict[str, str], list[str], Mapping[str, NodeRecord]]:
    from newsstand.cli.session import opened

    async with opened(login, args) as client:
        await client.begin()
        try:
            nodes, others = await _nodes_of(client, service)
        except NewsstandError as error:
            raise explained_service(error, login.account, service) from error
        records = client.replica.nodes()
    return nodes, others, {r.key.node: r for r in records if r.key[:2] == (login.account, service)}


async def _nodes_of(client: Client, service: str) -> tuple[dict[str, str], list[str]]:
    """Its nodes, in its order, each with what it calls it; and other services that it names, as a domain does."""
    found: dict[str, str] = {}
    others: list[str] = []
    page: RsmQuery | None = None
    while True:
        answer = await client.ask(service, requests.disco_nodes_request(page))
        nodes, rsm = answers.read_disco_nodes(answer, service)
        others += answers.read_disco_services(answer, service)
        before = len(found)
        found.update(nodes)
        # One that says the same again, or does not say where to go on, has said all that it will.
        if rsm is None or not rsm.last or len(found) == before or len(found) >= (rsm.count or 0):
            return found, others
        page = RsmQuery(PAGE, after=rsm.last)


async def perhaps_meant(client: Client, error: NewsstandError, service: str, node: str) -> NewsstandError:
    """The error of a request for a node, for a person: where the service has no such node, with one of its nodes that
    is called alike, for which it is asked."""
    reason = explained(error, client.login.account, service, node)
    if isinstance(error, StanzaError) and is_missing(error):
        with contextlib.suppress(NewsstandError):
            nodes, _ = await _nodes_of(client, service)
            return type(reason)(f"{reason}{did_you_mean(node, nodes)}")
    return reason


def _row(node: str, name: str, record: NodeRecord | None) -> list[str]:
    other = name if name != node else ""
    if record is None:
        return [node, "", "not copied", "", other]
    return [node, record.type or "", record.state.value, str(record.item_count), other]


def _facts(node: str, name: str, record: NodeRecord | None) -> dict[str, Any]:
    return {
        "node": node,
        "name": name or None,
        "copied": record is not None and record.complete,
        "type": record.type if record is not None else None,
        "state": record.state.value if record is not None else None,
        "items": record.item_count if record is not None else None,
    }
