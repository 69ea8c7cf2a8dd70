"""A node, page by page (XEP-0059; XEP-0060, 6.5.4)."""

from __future__ import annotations

import pytest

from tests.contract.services._trial import Trial
from tests.servers.entities import Page
from tests.servers.quirks import Quirk

IDS = [f"i{number}" for number in range(7)]


@pytest.fixture
async def paged(trial: Trial) -> Trial:
    """A trial of a service that knows pages; its node holds IDS."""
    trial.service.skip_if(Quirk.NO_RSM)
    await trial.create(*IDS)
    return trial


async def page(trial: Trial, size: int, *, after: str | None = None, before: str | None = None) -> Page:
    return await trial.juliet.items(trial.jid, trial.node, page=size, after=after, before=before)


async def test_a_service_without_pages_sends_the_whole_node(trial: Trial) -> None:
    if not trial.does(Quirk.NO_RSM):
        pytest.skip("it has pages")
    await trial.create(*IDS)
    whole = await page(trial, 3)
    assert whole.ids == IDS
    assert whole.rsm is None


async def test_pages_lead_forwards_through_the_node(paged: Trial) -> None:
    found = await page(paged, 3)
    ids, indexes = list(found.ids), [found.index]
    while len(ids) < len(IDS):
        found = await page(paged, 3, after=found.last)
        assert found.ids
        ids += found.ids
        indexes.append(found.index)
    assert ids == IDS
    assert indexes == ([0, 0, 0] if paged.does(Quirk.INDEX_ALWAYS_ZERO) else [0, 3, 6])


async def test_pages_lead_backwards_through_the_node(paged: Trial) -> None:
    paged.service.skip_if(Quirk.LAST_PAGE_REVERSED)
    found = await page(paged, 3, before="")
    ids = list(found.ids)
    while len(ids) < len(IDS):
        found = await page(paged, 3, before=found.first)
        assert found.ids
        ids = found.ids + ids
    assert ids == IDS


async def test_every_page_counts_the_node(paged: Trial) -> None:
    first = await page(paged, 3)
    assert first.count == len(IDS)
    assert (await page(paged, 3, after=first.last)).count == len(IDS)


async def test_a_page_names_its_first_and_last_item(paged: Trial) -> None:
    paged.service.skip_if(Quirk.OPAQUE_CURSORS)
    first = await page(paged, 3)
    assert (first.first, first.last) == ("i0", "i2")


async def test_behind_the_last_page_is_an_empty_one(paged: Trial) -> None:
    whole = await page(paged, len(IDS))
    assert whole.ids == IDS
    assert (await page(paged, 3, after=whole.last)).ids == []


async def test_after_an_unknown_cursor_comes_nothing(paged: Trial) -> None:
    assert (await page(paged, 3, after="no-such-cursor")).ids == []


async def test_before_an_unknown_cursor_comes_nothing(paged: Trial) -> None:
    paged.service.skip_if(Quirk.UNKNOWN_BEFORE_IS_LAST_PAGE)
    assert (await page(paged, 3, before="no-such-cursor")).ids == []


async def test_a_cursor_outlives_what_is_published_meanwhile(paged: Trial) -> None:
    first = await page(paged, 3)
    await paged.publish("late")
    second = await page(paged, 10, after=first.last)
    assert second.ids == [*IDS[3:], "late"]
    assert second.count == len(IDS) + 1
