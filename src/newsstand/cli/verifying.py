"""`newsstand verify`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from newsstand.cli import output
from newsstand.cli.addresses import bare_jid
from newsstand.cli.places import database_url, existing
from newsstand.cli.progress import bar
from newsstand.cli.wording import explained
from newsstand.errors import DatabaseError, Disconnected, NewsstandError
from newsstand.model import NodeKey
from newsstand.rules.comparing import Verification

_KINDS = ("missing", "extra", "differing", "misplaced")
_TITLES = ("service", "node", "result", "detail")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one node: a comparison, or why there is none."""

    key: NodeKey
    found: Verification | None
    error: str | None = None

    @property
    def state(self) -> str:
        if self.found is None:
            return "not compared"
        return "equal" if self.found.equal else "repaired" if self.found.repaired else "differs"

    @property
    def right(self) -> bool:
        return self.state in ("equal", "repaired")

    def facts(self) -> dict[str, Any]:
        facts = {
            "account": self.key.account,
            "service": self.key.service,
            "node": self.key.node,
            "state": self.state,
            "items": self.found.count if self.found is not None else None,
            "error": self.error,
        }
        return facts | {kind: list(getattr(self.found, kind)) if self.found is not None else [] for kind in _KINDS}


def verify(args: Any) -> int:
    from newsstand.cli.session import Login

    service, node = (bare_jid(args.of[0]), args.of[1]) if args.of else (None, None)
    existing(database_url(args))
    login = Login.of(args)
    outcomes = asyncio.run(_verify(args, login, service, node))
    if args.json:
        output.print_json({"nodes": [outcome.facts() for outcome in outcomes]})
    else:
        output.print_table(_TITLES, [row for outcome in outcomes for row in _rows(outcome)], names=2)
    if not outcomes:
        output.say(f"the database holds no copy of {login.account}'s: `newsstand sync SERVICE NODE` makes one")
    return 0 if all(outcome.right for outcome in outcomes) else 1


async def _verify(args: Any, login: Any, service: str | None, node: str | None) -> list[Outcome]:
    from newsstand.cli.session import opened

    async with opened(login, args) as client:
        await client.begin()
        replica = client.replica
        if service is not None and node is not None:
            found = await _one(replica, NodeKey(login.account, service, node), args.repair)
            await replica.settled()
            return [Outcome(found.key, found)]
        outcomes = []
        for record in replica.nodes():
            if record.complete and record.key.account == login.account:
                try:
                    outcomes.append(Outcome(record.key, await _one(replica, record.key, args.repair)))
                except (Disconnected, DatabaseError):
                    raise  # of the others nothing else would be told
                except NewsstandError as error:
                    outcomes.append(Outcome(record.key, None, str(error)))
        await replica.settled()  # what was mended is parsed
        return outcomes


async def _one(replica: Any, key: NodeKey, repair: bool) -> Verification:
    account, service, node = key
    try:
        with bar(node) as progress:
            found: Verification = await replica.verify(service, node, account=account, repair=repair, progress=progress)
            return found
    except NewsstandError as error:
        raise explained(error, account, service, node) from error


def _rows(outcome: Outcome) -> Iterator[tuple[str, str, str, str]]:
    """One for each difference, then one for the node."""
    where = outcome.key.service, outcome.key.node
    if outcome.found is None:
        yield (*where, outcome.state, outcome.error or "")
        return
    for kind in _KINDS:
        for item_id in getattr(outcome.found, kind):
            yield (*where, kind, item_id)
    yield (*where, outcome.state, f"{outcome.found.count}")
