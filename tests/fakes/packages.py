"""Packages that are installed for one test."""

from __future__ import annotations

import importlib
import itertools
import sys
import textwrap
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import pytest

from newsstand.analysis import entry_points

_numbers = itertools.count()


class Packages:
    """A folder of installed packages: a module each, and the metadata that an installer writes beside it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._monkeypatch = monkeypatch
        monkeypatch.syspath_prepend(str(folder))
        self.forget()
        self._modules: dict[str, str] = {}

    def install(self, distribution: str, code: str, **named: str) -> str:
        """A distribution whose module reads so, and whose entry points name these of its values. Returns the name of
        the module, which no other has. Once more: another version of it."""
        self.uninstall(distribution)
        # Another name for each version: a module that was imported stays, whatever happens to its file.
        module = self._modules[distribution] = f"newsstand_test_package_{next(_numbers)}"
        text = "from newsstand import Analyser\n" + textwrap.dedent(code)
        (self._folder / f"{module}.py").write_text(text, encoding="utf-8")
        metadata = self._metadata(distribution)
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n")
        lines = [f"{name} = {module}:{value}" for name, value in named.items()]
        (metadata / "entry_points.txt").write_text("\n".join([f"[{entry_points.GROUP}]", *lines, ""]))
        importlib.invalidate_caches()
        return module

    def uninstall(self, distribution: str) -> None:
        if (module := self._modules.pop(distribution, None)) is None:
            return
        sys.modules.pop(module, None)
        (self._folder / f"{module}.py").unlink()
        for file in self._metadata(distribution).iterdir():
            file.unlink()
        self._metadata(distribution).rmdir()

    def _metadata(self, distribution: str) -> Path:
        return self._folder / f"{distribution.replace('-', '_')}-1.dist-info"

    def forget(self) -> None:
        """What was loaded counts no more, as in a process that starts anew."""
        self._monkeypatch.setattr(entry_points, "_brought", None)

    def entry_points(self) -> list[EntryPoint]:
        """Those of the folder, with their distributions, in the order in which they are found."""
        return [each for found in distributions(path=[str(self._folder)]) for each in found.entry_points]
