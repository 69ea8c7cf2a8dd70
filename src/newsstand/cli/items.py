"""`newsstand get` and `newsstand search`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from newsstand.cli import output, payloads
from newsstand.cli.addresses import bare_jid
from newsstand.cli.conditions import conditions
from newsstand.cli.places import reading
from newsstand.cli.posts import Post
from newsstand.cli.wording import explained
from newsstand.errors import Disconnected, NewsstandError, NotInCopy
from newsstand.model import Answer, Item, NodeKey, NodeRecord, Origin, Policy
from newsstand.suggesting import did_you_mean

if TYPE_CHECKING:
    from newsstand.analysis.analysers import Analyser
    from newsstand.replica import Replica


EXCERPT = 240
"""Characters of a text, where only a part of it is shown."""
MANY = 20
"""More names than are told of, where one is wrong."""
LINKS = 3
"""How many links are shown there."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An item as it is shown."""

    item: Item
    type: str | None
    parsed: Any

    @property
    def date(self) -> str:
        return output.moment(self.item.recency) or payloads.date(self.parsed)

    @property
    def written(self) -> str:
        """When it says that it was published, or else when it came."""
        return payloads.date(self.parsed) or self.date

    def facts(self) -> dict[str, Any]:
        """The item for a program, without its XML, which may hold secrets."""
        item = self.item
        return {
            "account": item.key.account,
            "service": item.key.service,
            "node": item.key.node,
            "id": item.id,
            "type": self.type,
            "publisher": item.publisher,
            "date": self.date or None,
            "first_seen": output.moment(item.first_seen),
            "parsed": self.parsed,
            "parse_error": item.parse_error,
        }


# get -------------------------------------------------------------------------------------------------------------


def get(args: Any) -> int:
    service = bare_jid(args.service)
    if args.offline:
        found = asyncio.run(_get_offline(args, service))
    else:
        from newsstand.cli.session import Login

        login = Login.of(args)
        found = asyncio.run(_get(args, login, service))
    answer = found.answer
    shown = [as_shown(item, found) for item in answer.items]
    if args.json:
        output.print_json(_answer_facts(args, service, answer, shown))
    else:
        show(shown, whole=args.full or (bool(args.id) and output.at_terminal()))
        _tell_origin(answer)
        _tell_missing(args.id, answer)
    return 0


Types = dict[NodeKey, "str | None"]


@dataclass(frozen=True, slots=True)
class Found:
    """An answer, and what its items' types are known by."""

    answer: Answer
    types: Types
    analysers: tuple[Analyser, ...]

    @classmethod
    def of(cls, answer: Answer, replica: Replica) -> Found:
        return cls(answer, _types(replica.nodes()), replica.analysers)


def _types(records: Sequence[NodeRecord]) -> Types:
    return {record.key: record.type for record in records}


async def _get_offline(args: Any, service: str) -> Found:
    async with reading(args) as (replica, account):
        if account is None:
            raise NotInCopy(f"the database holds no node yet: `newsstand sync {service} {args.node}` makes a copy")
        try:
            answer = await _ask(replica, args, account, service, Policy.ONLY_COPY)
        except NotInCopy as error:
            reason = explained(error, account, service, args.node)
            held = [r.key.node for r in replica.nodes() if r.key[:2] == (account, service) and r.complete]
            raise NotInCopy(f"{reason}{'' if args.node in held else did_you_mean(args.node, held)}") from error
        return Found.of(answer, replica)


async def _get(args: Any, login: Any, service: str) -> Found:
    from newsstand.cli.services import perhaps_meant
    from newsstand.cli.session import opened

    policy = Policy.ONLY_SERVICE if args.refresh else Policy.ASK_WHEN_STALE
    async with opened(login, args) as client:
        try:
            await client.begin()
        except Disconnected as error:
            if args.refresh:
                raise
            answer = await _stand_in(client.replica, args, login.account, service, error)
        else:
            try:
                answer = await _ask(client.replica, args, login.account, service, policy)
            except NewsstandError as error:
                raise await perhaps_meant(client, error, service, args.node) from error
        return Found.of(answer, client.replica)


async def _stand_in(replica: Replica, args: Any, account: str, service: str, trouble: Disconnected) -> Answer:
    """There is no session: a complete copy answers, or else the trouble is what there is to tell."""
    try:
        answer = await _ask(replica, args, account, service, Policy.ONLY_COPY)
    except NotInCopy:
        raise trouble from None
    output.say(str(trouble))
    return answer


async def _ask(replica: Replica, args: Any, account: str, service: str, policy: Policy) -> Answer:
    return await replica.get_items(
        service, args.node, item_ids=args.id, max_items=args.max, account=account, policy=policy
    )


def as_shown(item: Item, found: Found) -> Shown:
    """With its node's type, and where no copy knows that, the type that its payload shows."""
    type_ = found.types.get(item.key)
    if type_ is not None and (item.parsed is not None or item.parse_error is not None):
        return Shown(item, type_, item.parsed)
    shown, parsed = payloads.read(item.xml, item.key.service, item.key.node, found.analysers)
    return Shown(item, type_ or shown, parsed if item.parsed is None else item.parsed)


def _answer_facts(args: Any, service: str, answer: Answer, shown: Sequence[Shown]) -> dict[str, Any]:
    items = []
    for each in shown:
        xml, withheld = (each.item.xml, False) if args.secrets else payloads.without_passwords(each.item.xml)
        items.append(each.facts() | {"xml": xml} | ({"withheld": ["password"]} if withheld else {}))
    return {
        "service": service,
        "node": args.node,
        "origin": answer.origin.value,
        "stale": answer.stale,
        "complete": answer.complete,
        "verified_at": output.moment(answer.verified_at),
        "items": items,
    }


def _tell_origin(answer: Answer) -> None:
    if answer.origin is Origin.COPY and answer.stale:
        when = output.since(answer.verified_at, time.time_ns() // 1000)
        part = "" if answer.complete else ", and is only a part of the node"
        output.say(f"this is the copy, compared with the service {when}; it may be out of date{part}")


def _tell_missing(asked: Sequence[str], answer: Answer) -> None:
    there = {item.id for item in answer.items}
    if missing := [repr(id_) for id_ in asked if id_ not in there]:
        output.say(f"no such item: {', '.join(missing)}")


# search ----------------------------------------------------------------------------------------------------------


def search(args: Any) -> int:
    where = conditions(map(tuple, args.where))
    service = bare_jid(args.service) if args.service else None
    return asyncio.run(_search(args, service, where))


async def _search(args: Any, service: str | None, where: dict[str, Any]) -> int:
    async with reading(args) as (replica, account):
        from newsstand.replica import ALL_ACCOUNTS

        page = await replica.search(
            args.text,
            type=args.type,
            service=service,
            node=args.node,
            where=where or None,
            limit=args.limit,
            after=args.after,
            account=account or ALL_ACCOUNTS,
        )
        records = replica.nodes()
        types = _types(records)
        hint = "" if page.items else _perhaps_meant(args, service, records)
    shown = [Shown(item, types.get(item.key), item.parsed) for item in page.items]
    if args.json:
        output.print_json({"items": [each.facts() for each in shown], "next": page.next, "total": page.total})
        return 0
    show(shown, whole=args.full)
    if page.next is not None:
        output.say(f"{len(shown)} of {page.total}; the next page: --after {page.next}")
    elif not shown:
        output.say(f"nothing found{hint}")
    return 0


def _perhaps_meant(args: Any, service: str | None, records: Sequence[NodeRecord]) -> str:
    """Where nothing is found because a name is none of those that there are, what it perhaps should be. Of types the
    replica says so itself."""
    for what, given, known in (
        ("service", service, {record.key.service for record in records}),
        ("node", args.node, {record.key.node for record in records}),
    ):
        if given is not None and given not in known:
            names = sorted(known)
            others = did_you_mean(given, names) or (f": there are {', '.join(names)}" if 0 < len(names) < MANY else "")
            return f"; there is no {what} {given!r}{others}"
    return ""


# Both ------------------------------------------------------------------------------------------------------------


def show(shown: Sequence[Shown], *, whole: bool) -> None:
    """A block for each at a terminal, or where all of an item is wanted; a line for each in a pipe: date, type, title,
    id, service, node, publisher."""
    if whole:
        for number, each in enumerate(shown):
            output.print_block([output.Line("")] if number else [])
            output.print_block(_all_of(each))
        return
    for each in shown:
        if output.at_terminal():
            output.print_block(_most_of(each))
            continue
        item = each.item
        title = payloads.title(each.parsed)
        cells = (each.date, each.type, title, item.id, item.key.service, item.key.node, item.publisher)
        output.print_row(cell or "" for cell in cells)


def _most_of(shown: Shown) -> list[output.Line]:
    """What tells a reader whether to read on."""
    item, post = shown.item, Post.of(shown.parsed)
    facts = [post.author or item.publisher, shown.type, f"{item.key.service} {item.key.node}", f"id {item.id}"]
    lines = [
        output.Line(f"{output.local(shown.written)}  {output.short(post.title or item.id)}", "bold"),
        output.Line(" · ".join(fact for fact in facts if fact), "dim", 4),
    ]
    if post.paragraphs:
        lines.append(output.Line(output.short(" ".join(post.paragraphs), EXCERPT), indent=4))
    if post.tags:
        lines.append(output.Line(output.short(f"tags: {', '.join(post.tags)}", EXCERPT), "dim", 4))
    for link in post.links[:LINKS]:
        lines.append(output.Line(link.address, "dim", 4))
    if len(post.links) > LINKS:
        lines.append(output.Line(f"and {len(post.links) - LINKS} more links", "dim", 4))
    return lines


def _all_of(shown: Shown) -> list[output.Line]:
    item, post, blank = shown.item, Post.of(shown.parsed), output.Line("")
    dates = [output.local(shown.written)]
    if post.updated and output.local(post.updated) not in dates:
        dates.append(f"changed {output.local(post.updated)}")
    head = [post.author or item.publisher, shown.type, *dates]
    lines = [
        output.Line(post.title or item.id, "bold"),
        output.Line(" · ".join(fact for fact in head if fact), "dim"),
        output.Line(f"{item.key.service} {item.key.node} · id {item.id}", "dim"),
    ]
    for paragraph in post.paragraphs:
        lines += [blank, output.Line(paragraph, indent=2)]
    if shown.parsed is None:
        why = item.parse_error or ("" if item.xml else "its XML was too large, or too deep, to be kept")
        xml, _ = payloads.without_passwords(item.xml)
        lines += [blank, *(output.Line(text, indent=2) for text in (why, xml) if text)]
    small = [output.Line(f"{name}: {value}") for name, value in post.others]
    if post.tags:
        small.insert(0, output.Line(f"tags: {', '.join(post.tags)}"))
    small += [
        output.Line(
            " ".join(
                part for part in (f"{link.relation or 'link'}:", link.address, link.title and f"({link.title})") if part
            )
        )
        for link in post.links
    ]
    return [*lines, *([blank] if small else []), *small]
