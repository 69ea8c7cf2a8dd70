"""The faults that `make mutants` plants can be planted: their texts stand in the source, and what results is Python."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants.planted import MUTANTS, SOURCE, Drifted, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_fault_can_be_planted(mutant: Mutant, tmp_path: Path) -> None:
    there = SOURCE / "newsstand" / mutant.module
    here = tmp_path / "newsstand" / mutant.module
    here.parent.mkdir(parents=True)
    here.write_text(there.read_text(encoding="utf-8"), encoding="utf-8")
    mutant.plant(tmp_path)
    assert ast.dump(ast.parse(here.read_text(encoding="utf-8"))) != ast.dump(
        ast.parse(there.read_text(encoding="utf-8"))
    )


@pytest.mark.parametrize("text", ["", "a = 1\na = 1\n"])
def test_a_text_that_is_not_there_once_is_an_error(text: str, tmp_path: Path) -> None:
    file = tmp_path / "newsstand" / "some.py"
    file.parent.mkdir()
    file.write_text(text, encoding="utf-8")
    with pytest.raises(Drifted):
        Mutant("some", "something", "some.py", "a = 1\n", "a = 2\n").plant(tmp_path)


def test_no_two_faults_share_a_name() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
