"""`newsstand demo` shows what it claims, says so when it cannot, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest
from rich.console import Console

from newsstand.demo.claims import ShownItem, StoryClaim, all_hold, difference, first, items_of
from newsstand.demo.content import Content
from newsstand.demo.story import explain
from newsstand.demo.telling import Teller

SECONDS = 90
"""What the demo may take."""
PICTURE = Path(__file__).parents[2] / "docs" / "images" / "demo.svg"


@dataclass(frozen=True, slots=True)
class Run:
    code: int
    output: str
    errors: str
    seconds: float
    folder: Path
    """Where temporary files went."""

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.output)
        return document


def run(folder: Path, code: str, *arguments: str) -> Run:
    """A Python of its own, whose temporary files go to this folder."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "error", *(["-c", code] if code else ["-m", "newsstand.cli", "demo"]), *arguments],
        env=os.environ | {"TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=110,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr, time.monotonic() - began, folder)


def processes_of(folder: Path) -> Sequence[str]:
    """The command lines that name this folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended meanwhile
        if str(folder) in line:
            found.append(line)
    return found


@pytest.fixture(scope="module")
def whole_demo(prosody: object, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("demo"), "", "--json")


def test_every_claim_holds(whole_demo: Run) -> None:
    claims = whole_demo.document["claims"]
    assert [claim for claim in claims if not claim["holds"]] == []
    assert len(claims) >= 14
    assert whole_demo.document["holds"] is True
    assert whole_demo.code == 0


def test_it_fills_the_server_with_at_least_300_items_of_three_accounts(whole_demo: Run) -> None:
    filled = whole_demo.document["filled"]
    assert filled["items"] >= 300
    assert filled["accounts"] == 3
    assert whole_demo.document["copied"]["items"] >= 300


def test_it_ends_within_90_seconds(whole_demo: Run) -> None:
    assert whole_demo.seconds < SECONDS
    assert 0 < whole_demo.document["seconds"] <= whole_demo.seconds


def test_its_figures_have_both_times_of_each_read(whole_demo: Run) -> None:
    reads = whole_demo.document["reads"]
    assert len(reads) >= 5
    for read in reads:
        assert read["ratio"] == pytest.approx(read["service_ms"] / read["copy_ms"], rel=0.02)


def test_it_prints_nothing_but_the_document(whole_demo: Run) -> None:
    assert whole_demo.errors == ""
    assert isinstance(whole_demo.document, dict)


def test_it_leaves_no_file_and_no_process(whole_demo: Run) -> None:
    assert list(whole_demo.folder.iterdir()) == []
    assert processes_of(whole_demo.folder) == []


@pytest.mark.usefixtures("prosody")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_interrupted_it_cleans_up(tmp_path: Path, number: signal.Signals) -> None:
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "newsstand.demo.story"),
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Some runners start tests with Ctrl-C ignored, which is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert demo.stdout is not None
        async with asyncio.timeout(60):
            while b"1. " not in await demo.stdout.readline():
                assert demo.returncode is None
            assert processes_of(tmp_path) != []
            demo.send_signal(number)
            _, errors = await demo.communicate()
    finally:
        if demo.returncode is None:
            demo.kill()
            await demo.wait()
    assert demo.returncode == 130
    assert errors == b"newsstand demo: interrupted, everything is cleaned up\n"
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []


# What does not hold -----------------------------------------------------------------------------------------------

STORY_OF = """
import sys
from newsstand.demo import story
async def play(teller):
    {play}
story._play = play
sys.exit(story.main("--json" in sys.argv))
"""


def test_a_claim_that_does_not_hold_makes_it_fail(tmp_path: Path) -> None:
    code = STORY_OF.format(play="teller.claim('one is one'); teller.claim('one is two', 'it is not')")
    told, document = run(tmp_path, code), run(tmp_path, code, "--json")
    assert (told.code, document.code) == (1, 1)
    assert "✓ one is one" in told.output
    assert "✗ one is two -- no: it is not" in told.output
    assert "1 of 2 claims do not hold" in told.output
    assert document.document["holds"] is False
    assert document.document["claims"][1] == {"claim": "one is two", "holds": False, "but": "it is not"}


def test_a_story_without_a_claim_fails(tmp_path: Path) -> None:
    assert run(tmp_path, STORY_OF.format(play="pass")).code == 1


def test_an_error_makes_it_fail_with_a_message(tmp_path: Path) -> None:
    failed = run(tmp_path, STORY_OF.format(play="teller.claim('so far'); raise OSError('disk full')"), "--json")
    assert failed.code == 1
    assert failed.errors == "newsstand demo: OSError: disk full\n"
    assert failed.document["holds"] is False
    assert failed.document["error"] == "OSError: disk full"


def test_a_missing_server_is_named_with_the_line_that_installs_it(tmp_path: Path) -> None:
    code = "import shutil, sys; from newsstand.demo import story; shutil.which = lambda *_, **__: None; "
    code += "sys.exit(story.main())"
    missing = run(tmp_path, code)
    assert missing.code == 1
    assert missing.output == ""
    assert re.fullmatch(r"newsstand demo: Prosody is not installed .*apt-get install .*prosody.*\n", missing.errors)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (TimeoutError(), "it did not come to its end within 90 s"),
        (ExceptionGroup("two", [ValueError("first"), ValueError("second")]), "ValueError: first"),
    ],
)
def test_errors_are_explained(error: Exception, message: str) -> None:
    assert explain(error) == message


# Comparing --------------------------------------------------------------------------------------------------------


def answer(*items: str) -> Element:
    return fromstring(
        '<iq xmlns="jabber:client"><pubsub xmlns="http://jabber.org/protocol/pubsub"><items node="n">'
        + "".join(items)
        + "</items></pubsub></iq>"
    )


ONE = '<item id="1"><a xmlns="urn:example:a" x="1" y="2"><b/></a></item>'
TWO = '<item id="2"><a xmlns="urn:example:a"/></item>'


def test_the_same_written_differently_is_equal() -> None:
    other = '<item id="1"><p:a y="2" x="1" xmlns:p="urn:example:a"><p:b></p:b></p:a></item>'
    assert difference(items_of(answer(ONE, TWO)), items_of(answer(other, TWO))) == ""


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ((TWO, ONE), "item 1 is '2' instead of '1'"),
        ((ONE,), "1 items instead of 2"),
        ((ONE, TWO, TWO), "3 items instead of 2"),
        ((ONE.replace('x="1"', 'x="3"'), TWO), "the payload of item '1' differs"),
        ((ONE.replace("urn:example:a", "urn:example:b"), TWO), "the payload of item '1' differs"),
        ((ONE.replace("<b/>", "<b/>text"), TWO), "the payload of item '1' differs"),
        ((), "0 items instead of 2"),
    ],
)
def test_what_differs_is_named(found: Sequence[str], says: str) -> None:
    assert difference(items_of(answer(ONE, TWO)), items_of(answer(*found))) == says


def test_two_empty_listings_show_nothing() -> None:
    assert difference([], []) == "there is nothing to compare"


def test_claims_hold_only_together() -> None:
    good, bad = StoryClaim("so"), StoryClaim("so", "not so")
    assert all_hold([good, good])
    assert not all_hold([good, bad])
    assert not all_hold([])


def test_the_first_objection_counts() -> None:
    assert first(["", "a", "b"]) == "a"
    assert first(["", ""]) == ""


def test_an_item_keeps_its_id_beside_its_text() -> None:
    assert items_of(answer(TWO)) == [ShownItem("2", items_of(answer(TWO))[0].xml)]


# Telling ----------------------------------------------------------------------------------------------------------


def test_without_unicode_the_marks_are_words() -> None:
    class Ascii(StringIO):
        encoding = "ascii"

    output = Ascii()
    teller = Teller(Console(file=output, width=100))
    teller.claim("water is wet")
    teller.claim("fire is cold", "it is not")
    assert output.getvalue().isascii()
    assert "yes: water is wet" in output.getvalue()
    assert "NO: fire is cold -- no: it is not" in output.getvalue()


def test_the_content_is_the_same_each_time_but_for_its_dates() -> None:
    def texts(now: datetime) -> list[tuple[str, str | None]]:
        content = Content("localhost", "pubsub.localhost", now)
        title = "{http://www.w3.org/2005/Atom}title"
        return [(post.item_id, post.payload.findtext(title)) for post in [*content.community, *content.blog]]

    now = datetime(2026, 5, 1, tzinfo=UTC)
    assert texts(now) == texts(now + timedelta(days=40))
    assert len(set(texts(now))) == len(texts(now))


def test_the_picture_loads_nothing_from_elsewhere() -> None:
    svg = PICTURE.read_text(encoding="utf-8")
    assert "@font-face" not in svg
    assert not re.search(r"url\((?!#)|@import|href=", svg)
    assert "claims hold" in svg.replace("&#160;", " ")
