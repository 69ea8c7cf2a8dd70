"""`newsstand db`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from newsstand.cli import output
from newsstand.cli.places import database_url
from newsstand.errors import ConfigurationError, NotADatabase
from newsstand.storage.database import find_revision, is_file, migrate
from newsstand.storage.schema.versioning import revision_of_unfinished, revisions


def current(args: Any) -> int:
    at = asyncio.run(find_revision(database_url(args)))
    print(f"revision {at or 'none'}, newest known {revisions()[-1]}: {state(at, revisions())}")
    return 0


def state(at: str | None, known: list[str]) -> str:
    """In words, with what to do about it. Pure."""
    if at is None:
        return "empty; `newsstand db upgrade` fills in the tables, as does every program that opens it"
    if at == known[-1]:
        return "up to date"
    if revision_of_unfinished(at) is not None:
        return "a copy that is not finished; the same `newsstand db copy` goes on with it"
    if at in known:
        return "older; `newsstand db upgrade` brings it up to date, as does every program that opens it"
    return "newer than this Newsstand; install the one that made it"


def upgrade(args: Any) -> int:
    url = database_url(args, make_folder=True)
    before, after = asyncio.run(_upgrade(url))
    print(f"at revision {after} already" if before == after else f"from {before or 'none'} to {after}")
    return 0


async def _upgrade(url: str) -> tuple[str | None, str | None]:
    try:
        before = await find_revision(url)
    except ConfigurationError:  # no file yet, or a wrong URL: of that `migrate` tells
        before = None
    await migrate(url, "head")
    return before, await find_revision(url)


def downgrade(args: Any) -> int:
    target, known = args.revision, revisions()
    if target not in (*known, "base"):
        raise ConfigurationError(f"there is no revision {target!r}; there are {', '.join(known)}, and base")
    if target == "base" and not args.yes:
        raise ConfigurationError("base drops the whole copy: every table of ours; say --yes if that is meant")
    before = asyncio.run(_downgrade(database_url(args), target, known))
    print(f"at revision {target} already" if before == target else f"from {before} to {target}")
    return 0


async def _downgrade(url: str, target: str, known: list[str]) -> str:
    before = await find_revision(url) or "base"
    if (before in known and target in known and target > before) or (before == "base" and target != "base"):
        raise ConfigurationError(f"the database is at {before}: `newsstand db upgrade` goes forward")
    await migrate(url, target)
    return before


def check(args: Any) -> int:
    url = database_url(args)
    problems = asyncio.run(_check(url, args.repair))
    done = asyncio.run(_repair(url)) if args.repair and problems else []
    left = asyncio.run(_check(url, True)) if done else problems
    if args.json:
        output.print_json(
            {"problems": [{"table": problem.table, "problem": problem.text} for problem in problems]}
            | ({"done": done, "left": len(left)} if args.repair else {})
        )
    elif problems:
        rows = [(problem.table or "the file", problem.text) for problem in problems]
        output.print_table(("where", "what"), rows + [("repaired", words) for words in done], names=1)
    else:
        print("nothing wrong was found")
    if not left:
        return 0
    output.say(
        "something is wrong still"
        if args.repair
        else "something is wrong: --repair takes out what is damaged, and the next session, or `newsstand sync`, "
        "fetches it again"
    )
    return 1


async def _check(url: str, repair: bool) -> list[Any]:
    from newsstand.storage.maintenance import checking

    try:
        return await checking.check(url)
    except NotADatabase as error:
        if not repair:
            raise
        return [checking.Problem(None, str(error))]


async def _repair(url: str) -> list[str]:
    from newsstand.storage.maintenance.repairing import repair

    return await repair(url)


def backup(args: Any) -> int:
    from newsstand.storage.maintenance.backing_up import back_up

    url = database_url(args)
    if not is_file(url):
        raise ConfigurationError(
            "`newsstand db backup` copies SQLite files only: pg_dump backs up a PostgreSQL database, as it is at one "
            "moment, and pg_restore brings it back"
        )
    size = asyncio.run(back_up(url, Path(args.file), force=args.force, with_refused=args.with_refused))
    print(output.plain(f"{args.file}: {size} bytes"))
    return 0
