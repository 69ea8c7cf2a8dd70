"""Every file has a licence, whose text is there (REUSE), and all that speak of it say the same."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ANNOTATIONS = tomllib.loads((ROOT / "REUSE.toml").read_text(encoding="utf-8"))["annotations"]
OF_ITS_OWN = re.compile(r"SPDX-License-Identifier[:] *([\w.-]+)")
"""What a file would say of itself, which counts more than REUSE.toml. (Written so that this file says nothing.)"""


def files() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: nobody knows which files are ours")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).exists()]


def licences(name: str) -> set[str]:
    head = (ROOT / name).read_bytes()[:2_000].decode(errors="replace")
    patterns = [(each["path"], each["SPDX-License-Identifier"]) for each in ANNOTATIONS]
    return set(OF_ITS_OWN.findall(head)) or {licence for pattern, licence in patterns if fnmatch.fnmatch(name, pattern)}


def test_each_file_has_a_licence_whose_text_is_there() -> None:
    there = {path.stem for path in (ROOT / "LICENSES").iterdir()}
    assert {name: found for name in files() if not (found := licences(name)) or not found <= there} == {}


def test_each_annotation_names_who_holds_the_rights() -> None:
    assert all(each["SPDX-FileCopyrightText"] for each in ANNOTATIONS)


def test_no_text_of_a_licence_is_there_in_vain() -> None:
    assert {path.stem for path in (ROOT / "LICENSES").iterdir()} == {
        each["SPDX-License-Identifier"] for each in ANNOTATIONS
    }


def test_all_that_speak_of_the_licence_say_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "LICENSES/MIT.txt").read_text(encoding="utf-8")
    assert project["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text(encoding="utf-8") == text
    assert all(each["SPDX-FileCopyrightText"] in text for each in ANNOTATIONS)
    assert (ROOT / "README.md").read_text(encoding="utf-8").rstrip().endswith("MIT licence.")
