"""What an index would get: the packages are whole, and say of themselves what they should."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from newsstand import __version__
from newsstand.cli.arguments import parser

ROOT = Path(__file__).parents[2]
DATA = f"newsstand-{__version__}.data/data/share"
BASH = f"{DATA}/bash-completion/completions/newsstand"
ZSH = f"{DATA}/zsh/site-functions/_newsstand"
MANUAL = f"{DATA}/man/man1/newsstand.1"


def run(*argv: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        argv, cwd=cwd, capture_output=True, text=True, check=False, timeout=100, env={**os.environ, "CI": ""}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Built:
    """The two packages; the wheel was made of the other one, as installers do."""

    sdist: Path
    wheel: Path

    def names(self) -> set[str]:
        """Of the files in the sdist, as they lie in a clone."""
        with tarfile.open(self.sdist) as file:
            return {name.partition("/")[2] for name in file.getnames()}

    def read(self, name: str) -> str:
        """A file of the wheel."""
        with zipfile.ZipFile(self.wheel) as file:
            return file.read(name).decode()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("packages")
    build = (sys.executable, "-m", "hatchling", "build", "-d", folder)
    run(*build, "-t", "sdist", cwd=ROOT)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as file:
        file.extractall(folder, filter="data")
    run(*build, "-t", "wheel", cwd=folder / f"newsstand-{__version__}")
    (wheel,) = folder.glob("*.whl")
    return Built(sdist, wheel)


@pytest.fixture(scope="module")
def metadata(built: Built) -> EmailMessage:
    text = built.read(f"newsstand-{__version__}.dist-info/METADATA")
    return message_from_bytes(text.encode(), EmailMessage, policy=policy.default)


def test_an_index_would_take_both(built: Built) -> None:
    said = run(sys.executable, "-m", "twine", "--no-color", "check", "--strict", built.sdist, built.wheel, cwd=ROOT)
    assert said.count("PASSED") == 2


def test_they_say_what_newsstand_is(metadata: EmailMessage) -> None:
    assert (metadata["Name"], metadata["Version"]) == ("newsstand", __version__)
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_all("Project-URL")
    assert metadata["License-Expression"] == "MIT"
    assert str(metadata.get_payload()).startswith("# Newsstand\n")


def test_the_changelog_tells_of_this_version() -> None:
    assert re.search(rf"(?m)^## \[{re.escape(__version__)}\]", (ROOT / "CHANGELOG.md").read_text())


def test_what_the_readme_tells_to_run_is_in_the_sdist(built: Built) -> None:
    names, text = built.names(), (ROOT / "README.md").read_text()
    linked = set(re.findall(r"\]\((?!https?:)([^)#]+)", text))
    assert linked
    for name in {*linked, "Makefile", "CHANGELOG.md", "LICENSE", "LICENSES", "REUSE.toml", "pyproject.toml"}:
        assert name in names or any(other.startswith(f"{name}/") for other in names), name
    for folder in ("requirements", "scripts", "benchmarks", "src", "tests", "docs", "examples"):
        tracked = run("git", "ls-files", folder, cwd=ROOT) if (ROOT / ".git").exists() else ""
        assert set(tracked.split()) <= names


def commands() -> list[str]:
    """Every command of the parser, those of `db` too."""
    found = []
    for action in parser()._actions:
        if isinstance(action.choices, dict):
            for name, command in action.choices.items():
                inner = [a.choices for a in command._actions if isinstance(a.choices, dict)]
                found += [f"{name} {verb}" for choices in inner for verb in choices] or [name]
    return found


def test_the_wheel_has_a_manual_page_that_tells_of_every_command(built: Built) -> None:
    text = built.read(MANUAL).replace("\\-", "-")
    assert text.startswith(".TH NEWSSTAND")
    for command in commands():
        assert f"newsstand {command}" in text, command
    for words in ("--password-file", "NEWSSTAND_SERVER", "--where"):
        assert words in text


COMPLETE = """
complete() { function=$2; [ "$1" = -o ] && function=$4; true; }
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
"$function" newsstand "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["ge"], {"get"}),
        (["db", "c"], {"current", "check", "copy"}),
        (["get", "--of"], {"--offline"}),
        (["verify", "--re"], {"--repair"}),
    ],
)
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_commands_and_options(built: Built, tmp_path: Path, typed: list[str], offered: set[str]) -> None:
    script = tmp_path / "newsstand"
    script.write_text(built.read(BASH))
    said = run("bash", "-c", COMPLETE, "bash", script, "newsstand", *typed, cwd=tmp_path)
    assert set(said.split()) == offered


def test_zsh_is_told_of_every_command(built: Built) -> None:
    text = built.read(ZSH)
    assert text.startswith("#compdef newsstand")
    for command in commands():
        assert re.search(rf'"?{command.split()[-1]}[:)]', text), command


def test_a_clone_needs_nothing_of_what_makes_them() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(w for extra in project["optional-dependencies"].values() for w in extra)]
    assert not [name for name in wanted if name.startswith(("shtab", "argparse", "twine"))]
