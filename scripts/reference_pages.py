"""Makes the pages of the reference that say what the code says: docs/commands.md of the parser of the command line,
docs/settings.md of the fields of `Settings`, docs/parsed.md of the built-in analysers. Run by
`python -m scripts.reference_pages`."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from newsstand import config
from newsstand.analysis.analysers import Analyser
from newsstand.analysis.builtin import BUILT_IN
from newsstand.cli import arguments
from newsstand.config import Settings

DOCS = Path(__file__).parents[1] / "docs"
MADE = "This page is made from the code: change that, and run `python -m scripts.reference_pages`."

# ---------------------------------------------------------------------------------------------------------------------

COMMANDS = f"""\
# Commands

For whoever types `newsstand`: every command with its arguments and options.
[Using Newsstand](using.md#at-a-prompt) says what is printed, which variables stand for options, and where passwords
come from.

{MADE}
"""
SHARED = {
    "Options of all commands": arguments._verbose,
    "Options of a database": arguments._database,
    "Options of an account": arguments._local,
    "Options of a connection": arguments._connecting,
}
"""Each has those above it, too."""


def commands() -> str:
    """docs/commands.md"""
    parts = [COMMANDS]
    shared: set[str] = set()
    for title, make in SHARED.items():
        own = [action for action in _options(make()) if action.option_strings[0] not in shared]
        parts += [f"## {title}\n", _table(("option", ""), map(_option, own))]
        shared |= {action.option_strings[0] for action in own}
    for words, command, about in _commands(arguments.parser(), "newsstand"):
        parts += [_command(words, command, about, shared)]
    return "\n".join(parts)


def _commands(parser: argparse.ArgumentParser, words: str) -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    """Every command, those of `db` instead of `db` itself, with its help."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            about = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, command in action.choices.items():
                below = list(_commands(command, f"{words} {name}"))
                yield from below or [(f"{words} {name}", command, about[name])]


def _command(words: str, command: argparse.ArgumentParser, about: str, shared: set[str]) -> str:
    positional = [action for action in command._actions if not action.option_strings]
    options = list(_options(command))
    taken = {action.option_strings[0] for action in options}
    title = [title for title, make in SHARED.items() if taken >= {a.option_strings[0] for a in _options(make())}][-1]
    anchor = title.lower().replace(" ", "-")
    rows = [(f"`{_argument(action)}`", _cell(action.help)) for action in positional]
    rows += [_option(action) for action in options if action.option_strings[0] not in shared]
    described = " ".join((command.description or f"{about[0].upper()}{about[1:]}.").split())
    return "\n".join(
        [
            f"## {words}\n",
            f"```sh\n{' '.join([words, *map(_argument, positional)])}\n```\n",
            f"{_folded(described)}\n",
            *([_table(("argument or option", ""), rows)] if rows else []),
            f"Besides: [{title.lower()}](#{anchor}).\n",
        ]
    )


def _options(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    return (action for action in parser._actions if action.option_strings and action.dest != "help")


def _option(action: argparse.Action) -> tuple[str, str]:
    value = f" {action.metavar}" if action.metavar else ""
    return ", ".join(f"`{name}{value}`" for name in action.option_strings), _cell(action.help)


def _argument(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest)
    return {"?": f"[{name}]", "*": f"[{name}]", "+": f"{name}…"}.get(str(action.nargs), name)


# ---------------------------------------------------------------------------------------------------------------------

SETTINGS = f"""\
# Settings

For whoever sets up the plugin: every key of its configuration.

{MADE}

A key that is not given is taken from the environment: `max_nodes` from `$NEWSSTAND_MAX_NODES`. What cannot be right
raises `newsstand.errors.ConfigurationError` at once. Three keys say which database is used, and how it is opened
([the plugin](using.md#the-plugin)):

| key | default | |
| --- | --- | --- |
| `database` | that of the command line | its URL: `sqlite:///news.db`, `postgresql://user@host/name` |
| `entry_points` | `True` | whether installed packages bring analysers |
| `migrate` | `True` | whether this process makes or migrates the database; `False`: another one does |

The others are limits. Times are in seconds, unless a name says days.
"""


def settings() -> str:
    """docs/settings.md"""
    said = _said_of_fields()
    rows = [(f"`{field.name}`", _default(field.default), _linked(_cell(said[field.name]))) for field in _fields()]
    return "\n".join([SETTINGS, _table(("key", "default", ""), rows)])


def _fields() -> Iterable[dataclasses.Field[Any]]:
    return dataclasses.fields(Settings)


def _said_of_fields() -> dict[str, str]:
    """By field, the text that stands below it."""
    module = ast.parse(inspect.getsource(config))
    (found,) = (node for node in module.body if isinstance(node, ast.ClassDef) and node.name == "Settings")
    said = {}
    for member, text in pairwise(found.body):
        if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
            assert isinstance(text, ast.Expr), f"{member.target.id} has no docstring"
            assert isinstance(text.value, ast.Constant)
            said[member.target.id] = str(text.value.value)
    return said


def _linked(text: str) -> str:
    return re.sub(r"docs/(decisions/(\d+)-[\w-]+\.md)", r"[decision \2](\1)", text)


def _default(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{value:,}" if isinstance(value, int | float) else "as the analysers say"


# ---------------------------------------------------------------------------------------------------------------------

PARSED = f"""\
# Parsed fields

For whoever searches with `where`, or reads `item.parsed`: what the built-in analysers make of items.

{MADE}

The first analyser that wants a node decides what its items are. A `?` stands behind a field that an item may lack.
Where a text says that ValueError is raised, the item has no parsed fields, and the reason is its parse error.
"""


def parsed() -> str:
    """docs/parsed.md"""
    parsers: dict[Callable[..., Any], list[Analyser]] = {}
    for analyser in BUILT_IN:
        assert analyser.parser is not None
        parsers.setdefault(analyser.parser, []).append(analyser)
    return "\n".join([PARSED, *(_parser(parser, found) for parser, found in parsers.items())])


def _parser(parser: Callable[..., Any], analysers: list[Analyser]) -> str:
    module = importlib.import_module(parser.__module__)
    plain = getattr(module, parser.__name__.removesuffix("_and_more"))
    texts = [inspect.getdoc(plain), *([] if plain is parser else [inspect.getdoc(parser)])]
    rows = [
        (
            f"`{found.name}`",
            f"`{found.type}`",
            _names(found.node) or "any",
            _names(found.namespace) or "any",
            _names(found.words) or "nothing",
        )
        for found in analysers
    ]
    head = ("analyser", "type", "node begins with", "namespace of the payload", "found by the words of")
    title = ", ".join(found.name for found in analysers)
    return "\n".join([f"## {title}\n", _table(head, rows), *(f"{text}\n" for text in texts)])


def _names(given: object) -> str:
    names = (given,) if isinstance(given, str) else tuple(given or ())  # type: ignore[arg-type]
    return ", ".join(f"`{name}`" for name in names)


# ---------------------------------------------------------------------------------------------------------------------


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), ""])


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _folded(text: str) -> str:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= 120:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


PAGES = {"commands.md": commands, "settings.md": settings, "parsed.md": parsed}


if __name__ == "__main__":
    for name, made in PAGES.items():
        (DOCS / name).write_text(made(), encoding="utf-8")
