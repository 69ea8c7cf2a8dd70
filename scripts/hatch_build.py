"""Makes the manual page and the shells' completions from the parser, when a wheel is built, and puts them into it.

An editable install has none, and needs nothing of what makes them.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import tempfile
from argparse import Action, ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COMPLETIONS = {
    "bash": "share/bash-completion/completions/newsstand",
    "zsh": "share/zsh/site-functions/_newsstand",
    "tcsh": "share/tcsh/newsstand.completion.csh",
}
MANUAL = "share/man/man1/newsstand.1"


class ManualAndCompletions(BuildHookInterface[Any]):
    """Named in pyproject.toml."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        self._folder = Path(tempfile.mkdtemp(prefix="newsstand-build-"))
        for name, text in made(Path(self.root), self.metadata.version).items():
            file = self._folder / Path(name).name
            file.write_text(text, encoding="utf-8")
            build_data["shared_data"][str(file)] = name

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            shutil.rmtree(self._folder)


def made(root: Path, version: str) -> dict[str, str]:
    """The files, by where they are installed."""
    import shtab
    from argparse_manpage.manpage import Manpage

    os.environ["COLUMNS"] = "80"  # argparse folds what it says of usage, whatever terminal this is
    parser = the_parser(root)
    for action in actions(parser):
        if action.metavar == "FILE":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    files = {where: shtab.complete(parser, shell) for shell, where in COMPLETIONS.items()}
    about = {
        "project_name": "newsstand",
        "version": version,
        "description": "a live, local, queryable copy of XMPP PubSub nodes",
        "manual_title": "Newsstand",
    }
    files[MANUAL] = str(Manpage(the_parser(root), about, format="single-commands-section"))
    return files


def actions(parser: ArgumentParser) -> Iterator[Action]:
    """All options and arguments, those of commands too."""
    for action in parser._actions:
        yield action
        if isinstance(action.choices, dict):
            for command in action.choices.values():
                yield from actions(command)


def the_parser(root: Path) -> ArgumentParser:
    """Of the sources that are built, which need nothing but Python for it."""
    sys.path.insert(0, str(root / "src"))
    try:
        parser: ArgumentParser = importlib.import_module("newsstand.cli.arguments").parser()
    finally:
        sys.path.pop(0)
    return parser
