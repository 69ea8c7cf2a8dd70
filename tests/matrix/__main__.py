"""`python -m tests.matrix`: runs a choice of the tests with each Python that is supported and found here, and with the
oldest and the newest slixmpp and SQLAlchemy, and writes docs/matrix.md. Exits with 1 where a test fails. A Python that
is not found is named there, not passed over."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "matrix.md"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
REQUIREMENTS = {"newest": "requirements/dev.txt", "oldest": "requirements/oldest.txt"}
SHOWN = ("slixmpp", "sqlalchemy", "alembic")
TESTS = {
    "unit": ["tests/unit"],
    "SQLite": [
        *(f"tests/contract/test_storage_{name}.py" for name in ("items", "nodes", "sessions", "search")),
        *(f"tests/contract/test_{name}.py" for name in ("reading", "session_start", "stale_first")),
        *("-k", "not postgresql"),
    ],
    "PostgreSQL": ["tests/contract/test_storage_items.py", "tests/contract/test_storage_postgresql.py"],
    "slixmpp, Prosody": [
        *("tests/integration/test_trigger.py", "tests/integration/test_following.py"),
        *("tests/integration/test_stale_first.py", "tests/integration/test_early_reads.py"),
    ],
}
BEGIN, END = "<!-- made by make matrix, from here -->", "<!-- to here -->"
_SUMMARY = re.compile(r"(?m)^(?=.*\b(?:passed|failed|error)).* in [\d.]+s.*$")


@dataclass(frozen=True)
class Row:
    """One run: with which versions, and what came of each choice of tests."""

    python: str
    versions: dict[str, str]
    results: dict[str, str]

    @property
    def passed(self) -> bool:
        return all(result.isdigit() for result in self.results.values())


def find_python(version: str) -> str | None:
    """The newest interpreter of this version: on the PATH, or among pyenv's."""
    if (found := shutil.which(f"python{version}")) and _is(found, version):
        return found
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    there = sorted(root.glob(f"versions/{version}.*/bin/python"), key=lambda path: int(path.parts[-3].split(".")[2]))
    return str(there[-1]) if there else None


def _is(python: str, version: str) -> bool:
    """pyenv's shims are there for versions that are not chosen, too."""
    said = subprocess.run([python, "--version"], capture_output=True, text=True, check=False).stdout
    return said.startswith(f"Python {version}.")


def run(version: str, python: str, which: str) -> Row:
    folder = f".venv-matrix/{version}-{which}"
    environment = {**os.environ, "PYTHON": python}
    subprocess.run(["sh", "scripts/setup.sh", folder, REQUIREMENTS[which]], cwd=ROOT, env=environment, check=True)
    own = str(ROOT / folder / "bin" / "python")
    print(f"Python {version}, {which} packages", flush=True)
    show = f"import importlib.metadata as m; print(*(m.version(n) for n in {SHOWN!r}))"
    said = subprocess.run([own, "-c", show], capture_output=True, text=True, check=True).stdout.split()
    full = subprocess.run([own, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    return Row(full, dict(zip(SHOWN, said, strict=True)), {name: _run_tests(own, name) for name in TESTS})


def _run_tests(python: str, name: str) -> str:
    """How many passed; or pytest's own words, where not all did."""
    command = [python, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", *TESTS[name]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = _SUMMARY.findall(done.stdout)
    summary = found[-1].strip("= ") if found else "no summary"
    passed = re.search(r"(\d+) passed", summary)
    if done.returncode == 0 and passed and not re.search(r"skipped|failed|error", summary):
        result = passed[1]
    else:
        result = summary.rpartition(" in ")[0] or summary
        print(done.stdout[-4000:], file=sys.stderr)
    print(f"  {name}: {result}", flush=True)
    return result


def table(rows: list[Row], missing: list[str]) -> Iterator[str]:
    yield "| Python | " + " | ".join((*SHOWN, *TESTS)) + " |"
    yield "|---" * (1 + len(SHOWN) + len(TESTS)) + "|"
    for row in rows:
        yield f"| {row.python} | " + " | ".join((*row.versions.values(), *row.results.values())) + " |"
    if missing:
        yield ""
        yield f"Not tried, because the machine did not have it: Python {', '.join(missing)}."


def main() -> int:
    rows: list[Row] = []
    missing: list[str] = []
    for version in PYTHONS:
        if (python := find_python(version)) is None:
            missing.append(version)
            continue
        rows += [run(version, python, which) for which in (REQUIREMENTS if version == PYTHONS[0] else ["newest"])]
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    made = "\n".join(table(rows, missing))
    PAGE.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}", encoding="utf-8")
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
