"""Keyrings, as `PYTHON_KEYRING_BACKEND` names them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

FILE = "NEWSSTAND_TEST_KEYRING"
"""The variable that names the file."""


class FileKeyring(KeyringBackend):
    """Keeps passwords in a file, in the clear."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        found = self._read().get(f"{service} {username}")
        return None if found is None else str(found)

    def set_password(self, service: str, username: str, password: str) -> None:
        self._file.write_text(json.dumps({**self._read(), f"{service} {username}": password}), encoding="utf-8")

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError

    @property
    def _file(self) -> Path:
        return Path(os.environ[FILE])

    def _read(self) -> dict[str, str]:
        return dict(json.loads(self._file.read_text(encoding="utf-8"))) if self._file.exists() else {}


class LockedKeyring(FileKeyring):
    """Does not open."""

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("the collection is locked")
