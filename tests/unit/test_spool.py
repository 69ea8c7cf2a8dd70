"""The items of a listing, kept outside of memory."""

from __future__ import annotations

import gc
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from newsstand.errors import DatabaseError
from newsstand.model import SeenItem
from newsstand.state.spool import IN_MEMORY, Spool

ITEMS = [
    SeenItem("a", "<item>first</item>", "juliet@example.org/balcony"),
    SeenItem("é", "<item>\N{CJK UNIFIED IDEOGRAPH-4E2D}</item>"),
    SeenItem("deep", "", "romeo@example.org", quarantine="too deep"),
    SeenItem("long", "<item>" + "x" * IN_MEMORY + "</item>"),
    SeenItem("last", "<item>last</item>"),
]


@pytest.fixture
def spool() -> Iterator[Spool]:
    spool = Spool()
    for item in ITEMS:
        spool.add(item)
    yield spool
    spool.close()


def test_items_come_back_as_they_were_added_in_any_order(spool: Spool) -> None:
    assert spool.ids == [item.id for item in ITEMS]
    for at in (4, 0, 3, 1, 2, -1):
        kept, item = spool[at], ITEMS[at]
        assert (kept.id, kept.read(), kept.quarantine) == (item.id, (item.publisher, item.xml), item.quarantine)
        assert (kept.digest, kept.content_digest, kept.payload_digest) == (
            item.digest,
            item.content_digest,
            item.payload_digest,
        )
    assert [item.read() for item in spool] == [(item.publisher, item.xml) for item in ITEMS]
    assert [item.id for item in spool[1:3]] == ["é", "deep"]


def test_it_says_how_much_it_holds(spool: Spool) -> None:
    assert len(spool) == len(ITEMS)
    assert spool.bytes == sum(len(item.xml.encode()) for item in ITEMS)
    assert spool.shown_publishers == {True, False}


def test_an_id_that_comes_twice_or_is_none_is_noticed(spool: Spool) -> None:
    assert (spool.repeated, spool.nameless) == (False, False)
    spool.add(ITEMS[0])
    assert spool.repeated
    spool.add(SeenItem("", "<item/>"))
    assert spool.nameless


def test_two_are_the_same_where_items_contents_and_order_are(spool: Spool) -> None:
    others = []
    for items in (ITEMS, ITEMS[:-1], [*ITEMS[:-1], SeenItem("last", "<item>other</item>")], [*reversed(ITEMS)]):
        other = Spool()
        for item in items:
            other.add(item)
        others.append(spool.same_as(other))
        other.close()
    assert others == [True, False, False, False]


def test_what_is_large_lies_in_a_file_without_a_name_that_goes_with_it(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    spool = Spool(tmp_path)
    spool.add(ITEMS[3])
    spool.add(ITEMS[0])
    assert len(os.listdir("/proc/self/fd")) == before + 1
    assert not list(tmp_path.iterdir())
    del spool  # forgotten, as an interrupted listing is
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_memory_does_not_grow_with_what_the_items_hold() -> None:
    item = "<item>" + "x" * 10_000 + "</item>"
    tracemalloc.start()
    try:
        spool = Spool()
        for number in range(3_000):
            spool.add(SeenItem(f"i{number}", item + str(number)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert spool.bytes > 30_000_000
    assert peak < IN_MEMORY * 3 + 3_000 * 500
    spool.close()


def test_a_full_disk_is_told_as_an_error_of_ours(spool: Spool) -> None:
    full = open("/dev/full", "w+b", buffering=0)  # noqa: SIM115 - the spool closes it
    spool._file.close()
    spool._file = full  # type: ignore[assignment]
    with pytest.raises(DatabaseError, match="No space left"):
        spool.add(ITEMS[0])
