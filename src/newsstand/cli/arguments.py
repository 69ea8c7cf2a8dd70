"""The commands and their options. Each command names the function that does it, which is imported only then."""

from __future__ import annotations

import argparse
import importlib
import math
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from newsstand.cli.conditions import Spelt, condition, joined
from newsstand.cli.output import plain
from newsstand.suggesting import did_you_mean

DESCRIPTION = "A live, local, queryable copy of the XMPP PubSub nodes that a program reads."
EPILOG = """\
The database is --database, else $NEWSSTAND_DATABASE, else newsstand/newsstand.db in $XDG_DATA_HOME (~/.local/share).
The account is --account, else $NEWSSTAND_ACCOUNT; commands that only read take the only one in the database.
Options of a connection that are not given come from $NEWSSTAND_SERVER, $NEWSSTAND_CA_FILE, $NEWSSTAND_PASSWORD_FILE, \
$NEWSSTAND_TIMEOUT and $NEWSSTAND_PLAINTEXT (1 or 0).
The password comes from the password file, else from newsstand-password.JID or newsstand-password in \
$CREDENTIALS_DIRECTORY, else from the keyring (`keyring set newsstand JID`), else it is asked for.
That of a PostgreSQL server comes from ~/.pgpass, $PGPASSFILE or $PGPASSWORD, never from an argument.
"""
"""A paragraph a line."""


class Paragraphs(argparse.HelpFormatter):
    """Wraps each paragraph of a text to the terminal's width."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        return "\n".join(fill(line, width, indent) for line in text.splitlines())


class Parser(argparse.ArgumentParser):
    """Tells of wrong usage in one line, and what was perhaps meant."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=Paragraphs, **options)

    def parse_known_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:
        """Each command refuses what is not known to it itself: the parser above it knows none of its options."""
        given = list(sys.argv[1:] if args is None else args)
        known, unknown = super().parse_known_args(
            joined(given) if "--where" in self._option_string_actions else given, namespace
        )
        if unknown:
            first = next((word for word in unknown if word.startswith("-")), unknown[0])
            option, _, _ = first.partition("=")
            hint = did_you_mean(option, self._option_string_actions) if first.startswith("-") else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return known, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            names = [str(choice) for choice in action.choices]
            what = str(action.metavar or action.dest).lower()
            hint = did_you_mean(str(value), names) or f": there are {', '.join(names)}"
            self.error(f"there is no {what} {value!r}{hint}")

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"newsstand: {plain(message)}; see {self.prog} --help\n")


class Version(argparse.Action):
    """Looked up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from importlib.metadata import version

        print(f"newsstand {version('newsstand')}")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    top = Parser(prog="newsstand", description=DESCRIPTION, epilog=EPILOG)
    top.add_argument("--version", action=Version, nargs=0, help="show the version")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_demo(commands)
    _add_get(commands)
    _add_sync(commands)
    _add_nodes(commands)
    _add_ls(commands)
    _add_search(commands)
    _add_verify(commands)
    _add_watch(commands)
    _add_purge(commands)
    _add_reset(commands)
    _add_db(commands)
    return top


def _does(where: str) -> Any:
    """What `args.find` holds: it imports the function that does the command."""
    module, _, name = where.partition(":")

    def find() -> Any:
        return getattr(importlib.import_module(f"newsstand.cli.{module}"), name)

    return find


def _verbose() -> Parser:
    options = Parser(add_help=False)
    options.add_argument("-v", "--verbose", action="store_true", help="log to stderr, and show tracebacks")
    return options


def _database() -> Parser:
    options = Parser(add_help=False, parents=[_verbose()])
    options.add_argument(
        "--database", metavar="URL", help="the database, as sqlite:///path/to/news.db or postgresql://user@host/name"
    )
    return options


def _local() -> Parser:
    """Options of every command that has to do with an account."""
    options = Parser(add_help=False, parents=[_database()])
    options.add_argument("--account", metavar="JID", help="the account whose copy is meant")
    options.add_argument(
        "--no-migrate",
        action="store_false",
        dest="migrate",
        help="never make or migrate the database here: wait, for two minutes, until another process did",
    )
    return options


def _connecting() -> Parser:
    """Options of commands that log in."""
    options = Parser(add_help=False, parents=[_local()])
    group = options.add_argument_group("connection")
    group.add_argument("--password-file", metavar="FILE", help="a file whose first line is the password")
    group.add_argument("--server", metavar="HOST:PORT", help="the server, where the account's domain does not tell")
    group.add_argument("--ca-file", metavar="FILE", help="certificates (PEM) to trust besides the system's")
    group.add_argument("--plaintext", action="store_true", help="do not encrypt; only for a server on loopback")
    group.add_argument("--timeout", metavar="SECONDS", type=_seconds, help="for connecting and logging in (30)")
    return options


def _add_demo(commands: Any) -> None:
    command = commands.add_parser(
        "demo",
        parents=[_verbose()],
        help="a throw-away server, real nodes, the whole story in a minute",
        description="Starts a throw-away server, fills it, and shows what a copy does for a program.",
    )
    command.add_argument("--json", action="store_true", help="the figures as one JSON document")
    command.set_defaults(find=_does("demo:demo"))


def _add_service(command: argparse.ArgumentParser) -> None:
    command.add_argument("service", metavar="SERVICE", help="the JID of the service; for PEP, of the account")


def _add_node(command: argparse.ArgumentParser) -> None:
    _add_service(command)
    command.add_argument("node", metavar="NODE", help="the name of the node")


def _add_full(command: argparse.ArgumentParser) -> None:
    command.add_argument("--full", action="store_true", help="all of each item's text, tags and links, as for reading")


def _add_get(commands: Any) -> None:
    command = commands.add_parser(
        "get",
        parents=[_connecting()],
        help="the items of a node",
        description="Shows the items of a node. Where its service cannot be reached, a complete copy answers.",
    )
    _add_node(command)
    what = command.add_mutually_exclusive_group()
    what.add_argument("--id", metavar="ID", action="append", default=[], help="only this item; may be given again")
    what.add_argument("--max", metavar="N", type=_positive, help="only the newest N")
    whom = command.add_mutually_exclusive_group()
    whom.add_argument("--offline", action="store_true", help="only from the copy; nothing is connected")
    whom.add_argument("--refresh", action="store_true", help="only from the service")
    command.add_argument("--json", action="store_true", help="one JSON document, with the XML of each item")
    _add_full(command)
    command.add_argument("--secrets", action="store_true", help="with the passwords of bookmarks in that XML")
    command.set_defaults(find=_does("items:get"))


def _add_sync(commands: Any) -> None:
    command = commands.add_parser(
        "sync",
        parents=[_connecting()],
        help="bring the copies of nodes up to their service",
        description="Subscribes to each node, lists it completely, and stores what is new. Where that fails for one of "
        "several, the others are brought up all the same, and it ends with 1.",
    )
    _add_service(command)
    command.add_argument("nodes", metavar="NODE", nargs="+", help="the name of a node; may be several")
    command.set_defaults(find=_does("nodes:sync"))


def _add_ls(commands: Any) -> None:
    command = commands.add_parser(
        "ls",
        parents=[_connecting()],
        help="the nodes of a service",
        description="Asks a service for its nodes, and tells what of each is copied. A service may leave out nodes "
        "that the account may not see.",
    )
    _add_service(command)
    command.add_argument("--json", action="store_true", help="one JSON document")
    command.set_defaults(find=_does("services:ls"))


class NodeOrAll(argparse.Action):
    """A service and a node, or nothing."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, _: str | None = None) -> None:
        if len(values) not in (0, 2):
            parser.error("give SERVICE and NODE, or neither")
        namespace.of = values


def _add_verify(commands: Any) -> None:
    command = commands.add_parser(
        "verify",
        parents=[_connecting()],
        help="compare copies with their services",
        description="Downloads nodes anew, and tells what differs in their copies: items missing, extra, differing or "
        "misplaced. Without SERVICE and NODE, all nodes that are copied. Ends with 1 if anything differs.",
    )
    command.add_argument(
        "of", metavar="SERVICE NODE", nargs="*", action=NodeOrAll, help="the node; for PEP, SERVICE is the account"
    )
    command.add_argument("--repair", action="store_true", help="mend what differs, and compare again")
    command.add_argument("--json", action="store_true", help="one JSON document")
    command.set_defaults(find=_does("verifying:verify"))


def _add_watch(commands: Any) -> None:
    command = commands.add_parser(
        "watch",
        parents=[_connecting()],
        help="each change of a node, as it happens",
        description="Brings the copy of the node up to its service, keeps it so, and tells each change, one line each: "
        "revision, put or retract, and the item's id. At a terminal, what was put is shown below.",
    )
    _add_node(command)
    command.add_argument("--since", metavar="REVISION", type=int, help="first what came after this revision")
    command.add_argument("--json", action="store_true", help="one JSON document a line")
    _add_full(command)
    command.set_defaults(find=_does("watching:watch"))


def _add_purge(commands: Any) -> None:
    command = commands.add_parser(
        "purge",
        parents=[_connecting()],
        help="drop the copy of a node",
        description="Unsubscribes from the node, and erases its copy. No program may have the database open.",
    )
    _add_node(command)
    _add_offline(command)
    command.set_defaults(find=_does("dropping:purge"))


def _add_reset(commands: Any) -> None:
    command = commands.add_parser(
        "reset",
        parents=[_connecting()],
        help="drop all copies",
        description="Unsubscribes from all nodes, erases their copies, and forgets what was learnt of services. A "
        "program's own tables are left alone. No program may have the database open.",
    )
    command.add_argument("--yes", action="store_true", help="yes, drop every copy")
    _add_offline(command)
    command.set_defaults(find=_does("dropping:reset"))


def _add_offline(command: argparse.ArgumentParser) -> None:
    command.add_argument("--offline", action="store_true", help="only in the database: the account stays subscribed")


def _add_nodes(commands: Any) -> None:
    command = commands.add_parser("nodes", parents=[_local()], help="the nodes that are known, and how well")
    command.add_argument("--json", action="store_true", help="one JSON document")
    command.set_defaults(find=_does("nodes:nodes"))


def _add_search(commands: Any) -> None:
    command = commands.add_parser(
        "search",
        parents=[_local()],
        help="items of all copies, newest first",
        description="Items that hold every word of TEXT (case and diacritics do not matter), newest first.",
    )
    command.add_argument("text", metavar="TEXT", nargs="?", help="words to look for")
    command.add_argument("--type", metavar="T", help="of nodes of this type, such as blog")
    command.add_argument("--service", metavar="S", help="of this service")
    command.add_argument("--node", metavar="N", help="of nodes of this name")
    command.add_argument(
        "--where",
        metavar="FIELD=VALUE",
        type=_condition,
        action="append",
        default=[],
        help="a parsed field equals a value: author.name=Juliet, autojoin=true, year=1597, year='\"1597\"' (as text); "
        "may be given again",
    )
    command.add_argument("--limit", metavar="N", type=_positive, default=20, help="at most so many, up to 1000 (20)")
    command.add_argument("--after", metavar="CURSOR", type=int, help="the page after the one that named this cursor")
    command.add_argument("--json", action="store_true", help="one JSON document")
    _add_full(command)
    command.set_defaults(find=_does("items:search"))


def _add_db(commands: Any) -> None:
    command = commands.add_parser("db", help="the database: its schema, its health, a backup")
    verbs = command.add_subparsers(dest="verb", metavar="VERB", required=True)
    current = verbs.add_parser("current", parents=[_database()], help="the revision it is at; changes nothing")
    current.set_defaults(find=_does("db:current"))
    upgrade = verbs.add_parser("upgrade", parents=[_database()], help="to the newest revision; makes it if need be")
    upgrade.set_defaults(find=_does("db:upgrade"))
    downgrade = verbs.add_parser("downgrade", parents=[_database()], help="back to an older revision")
    downgrade.add_argument("revision", metavar="REV", help="a revision, or base: none of our tables is left")
    downgrade.add_argument("--yes", action="store_true", help="yes, drop the whole copy (base)")
    downgrade.set_defaults(find=_does("db:downgrade"))
    check = verbs.add_parser(
        "check",
        parents=[_database()],
        help="looks for what is wrong",
        description="Looks for damage, and for what is stored twice and says two things: every payload is compared "
        "with its digest. Ends with 1 if anything is wrong. Changes nothing, but with --repair.",
    )
    check.add_argument(
        "--repair",
        action="store_true",
        help="take out what is damaged, so that the next session or `newsstand sync` fetches it, and make anew what "
        "follows from the rest; no program may have the database open",
    )
    check.add_argument("--json", action="store_true", help="one JSON document")
    check.set_defaults(find=_does("db:check"))
    backup = verbs.add_parser("backup", parents=[_database()], help="a copy of the file, also while programs use it")
    backup.add_argument("file", metavar="FILE", help="where to")
    backup.add_argument("--force", action="store_true", help="replace it if it is there already")
    _add_with_refused(backup)
    backup.set_defaults(find=_does("db:backup"))
    copy = verbs.add_parser(
        "copy",
        parents=[_verbose()],
        help="move to another database, as from SQLite to PostgreSQL",
        description="Copies everything from one database to another, which is made if need be and must be empty, and "
        "compares the two. FROM is only read. Interrupted, it goes on where it was when it is given again. Ends with 1 "
        "if anything differs.",
    )
    copy.add_argument("source", metavar="FROM", help="a database URL; - for $NEWSSTAND_DATABASE, or the usual place")
    copy.add_argument("target", metavar="TO", help="another; passwords come from ~/.pgpass, never from here")
    _add_with_refused(copy)
    copy.add_argument("--json", action="store_true", help="one JSON document")
    copy.set_defaults(find=_does("copying:copy"))


def _add_with_refused(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--with-refused",
        action="store_true",
        help="with the items of nodes that the account may not read any more, which are kept for a while, and left out "
        "otherwise",
    )


def _condition(text: str | Spelt) -> tuple[str, str, str]:
    try:
        return condition(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not number > 0 or not math.isfinite(number):
        raise argparse.ArgumentTypeError("must be more than 0")
    return number


_positive.__name__ = "number"  # argparse names the type of what it could not read
_seconds.__name__ = "number"
