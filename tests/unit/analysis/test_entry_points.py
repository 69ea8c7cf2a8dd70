"""What becomes of the entry points of installed packages."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest

from newsstand.analysis import entry_points
from newsstand.analysis.entry_points import load
from newsstand.analysis.runner import Runner
from tests.fakes.packages import Packages
from tests.logged import records_of_ours

ONE = 'A = Analyser("{0}", "recipe", node="{0}")'


@pytest.fixture
def run() -> Iterator[Runner]:
    runner = Runner(10)
    yield runner
    runner.close()


async def test_an_entry_point_names_an_analyser_or_several(packages: Packages, run: Runner) -> None:
    packages.install(
        "cakes",
        """
        A = Analyser("a", "recipe", node="a")
        LIST = [Analyser("b", "recipe", node="b"), Analyser("c", "recipe", node="c")]
        TUPLE = (Analyser("d", "recipe", node="d"),)
        NONE = []
        """,
        one="A",
        several="LIST",
        tuple="TUPLE",
        none="NONE",
    )
    brought = await load(packages.entry_points(), run)
    assert [analyser.name for analyser in brought.analysers] == ["a", "b", "c", "d"]
    assert brought.problems == ()
    assert brought.complete


async def test_the_order_is_that_of_the_names_of_distributions_and_entry_points(
    packages: Packages, run: Runner
) -> None:
    packages.install("Zwieback", ONE.format("zwieback"), a="A")
    packages.install("cakes", ONE.format("second") + '\nB = Analyser("first", "recipe", node="b")', b="A", a="B")
    packages.install("Apple_pie", ONE.format("apple"), z="A")
    for found in (packages.entry_points(), packages.entry_points()[::-1]):
        brought = await load(found, run)
        assert [analyser.name for analyser in brought.analysers] == ["apple", "first", "second", "zwieback"]


async def test_of_two_analysers_of_one_name_the_first_counts_and_the_other_is_told_of(
    packages: Packages, run: Runner
) -> None:
    packages.install("zwieback", ONE.format("recipes") + '\nB = Analyser("rusks", "recipe", node="b")', a="A", b="B")
    packages.install("apple-pie", ONE.format("recipes"), pie="A")
    brought = await load(packages.entry_points(), run)
    assert [analyser.name for analyser in brought.analysers] == ["recipes", "rusks"]
    (problem,) = brought.problems
    assert problem.text == (
        "the analyser 'recipes' of zwieback (entry point 'a') is left out: apple-pie (entry point 'pie') has one too"
    )
    assert brought.complete


@pytest.mark.parametrize(
    ("code", "value", "why"),
    [
        ("import no_module_of_this_name", "A", "ModuleNotFoundError"),
        ("A = 1", "B", "AttributeError"),
        ("A = Analyser('recipes', 'recipe')", "A", "no criterion"),
        ("raise SystemExit(3)", "A", "SystemExit"),
        ("raise StopIteration", "A", "StopIteration"),
        ("A = {'name': 'recipes'}", "A", "TypeError"),
        ("A = Analyser", "A", "TypeError"),
        ("A = [Analyser('a', 'recipe', node='a'), 'b']", "A", "TypeError"),
        ("A = (", "A", "SyntaxError"),
    ],
)
async def test_one_that_cannot_be_loaded_is_left_out_by_its_distributions_name_and_costs_the_others_nothing(
    packages: Packages, run: Runner, code: str, value: str, why: str
) -> None:
    packages.install("cakes", code, cake=value)
    packages.install("pies", ONE.format("pies"), pie="A")
    brought = await load(packages.entry_points(), run)
    assert [analyser.name for analyser in brought.analysers] == ["pies"]
    (problem,) = brought.problems
    assert problem.text == "the analysers of cakes (entry point 'cake') are left out"
    assert why in repr(problem.error)
    assert not brought.complete


async def test_one_that_hangs_is_left_out_and_the_others_are_loaded(packages: Packages) -> None:
    hung = packages.install("cakes", "import threading\nGO = threading.Event()\nGO.wait(60)\nA = 1", a="A")
    packages.install("pies", ONE.format("pies"), pie="A")
    run = Runner(0.5)
    try:
        brought = await load(packages.entry_points(), run)
    finally:
        sys.modules[hung].GO.set()
        run.close()
    assert [analyser.name for analyser in brought.analysers] == ["pies"]
    assert "no result within 0.5 s" in repr(brought.problems[0].error)
    assert not brought.complete


async def test_they_are_loaded_and_complained_of_once_a_process(
    packages: Packages, caplog: pytest.LogCaptureFixture
) -> None:
    packages.install("cakes", "import no_module_of_this_name", cake="A")
    packages.install("pies", ONE.format("pies"), pie="A")
    with caplog.at_level(logging.WARNING):
        first, again = await entry_points.bring(10), await entry_points.bring(10)
    assert first is again
    assert [analyser.name for analyser in first.analysers] == ["pies"]
    (record,) = records_of_ours(caplog)
    assert "the analysers of cakes (entry point 'cake') are left out: ModuleNotFoundError" in record.getMessage()
    assert record.exc_info is None
    packages.forget()
    with caplog.at_level(logging.DEBUG):
        await entry_points.bring(10)
    assert records_of_ours(caplog)[-1].exc_info, "a package's author sees where it failed"


async def test_packages_are_not_imported_in_the_event_loop(packages: Packages) -> None:
    packages.install(
        "cakes",
        """
        import threading
        A = Analyser(threading.current_thread().name, "recipe", node="a")
        """,
        a="A",
    )
    (analyser,) = (await entry_points.bring(10)).analysers
    assert analyser.name == "newsstand-analysers"
