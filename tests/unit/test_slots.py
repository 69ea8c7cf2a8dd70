"""Work that asks services has a slot while it goes on, and lends it while its service takes long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from newsstand.errors import Disconnected, TooSlow
from newsstand.state import slots
from newsstand.state.slots import Slots, asking, is_working, outside, waited

SOON = 0.01
"""After which an answer takes long here, in seconds."""
NEVER = 1_000.0


class Service:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self._came = asyncio.Event()
        self._answers: asyncio.Queue[None] = asyncio.Queue()

    async def ask(self) -> None:
        async with asking():
            self.asked += 1
            self._came.set()
            await self._answers.get()

    def answer(self, count: int = 1) -> None:
        for _ in range(count):
            self._answers.put_nowait(None)

    async def was_asked(self, count: int = 1) -> None:
        async with asyncio.timeout(10):
            while self.asked < count:
                self._came.clear()
                await self._came.wait()


async def is_over(task: Awaitable[object]) -> None:
    async with asyncio.timeout(10):
        await task


def begin(all_slots: Slots, name: str, do: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    async def work() -> None:
        async with all_slots.slot(name, name):
            await do()

    return asyncio.get_running_loop().create_task(work())


async def nothing() -> None:
    pass


async def test_while_an_answer_takes_long_others_go_on() -> None:
    all_slots, slow = Slots(1, 1, slow_after=SOON), Service()
    waiting = begin(all_slots, "slow", slow.ask)
    await slow.was_asked()
    await is_over(begin(all_slots, "well", nothing))
    assert not waiting.done()
    slow.answer()
    await is_over(waiting)


async def test_while_an_answer_may_still_come_soon_its_slot_is_kept() -> None:
    all_slots, prompt = Slots(1, 1, slow_after=NEVER), Service()
    asks = begin(all_slots, "prompt", prompt.ask)
    await prompt.was_asked()
    other = begin(all_slots, "other", nothing)
    await asyncio.sleep(0)
    assert not other.done()
    prompt.answer()
    await is_over(asks)
    await is_over(other)


async def test_who_got_an_answer_waits_until_there_is_a_slot() -> None:
    all_slots, slow = Slots(1, 1, slow_after=SOON), Service()
    held, other = asyncio.Event(), asyncio.Event()
    took: list[float] = []

    async def ask() -> None:
        await slow.ask()
        took.append(waited())

    async def hold() -> None:
        held.set()
        await other.wait()

    asks = begin(all_slots, "slow", ask)
    await slow.was_asked()
    holds = begin(all_slots, "other", hold)
    await is_over(held.wait())
    slow.answer()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not took
    other.set()
    await is_over(holds)
    await is_over(asks)
    assert took[0] > 0, "that is no service's time"


async def test_a_service_has_one_slot_fewer_than_there_are() -> None:
    all_slots, slow = Slots(3, 99, slow_after=NEVER), Service()
    asks = [begin(all_slots, "slow", slow.ask) for _ in range(5)]
    await slow.was_asked(2)
    await is_over(begin(all_slots, "well", nothing))
    assert slow.asked == 2
    slow.answer(5)
    await is_over(asyncio.gather(*asks))


async def test_several_requests_of_one_work_lend_one_slot() -> None:
    all_slots, slow = Slots(1, 1, slow_after=SOON), Service()

    async def ask_all() -> None:
        await asyncio.gather(*(slow.ask() for _ in range(4)))
        await slow.ask()

    asks = begin(all_slots, "slow", ask_all)
    await slow.was_asked(4)
    await is_over(begin(all_slots, "well", nothing))
    slow.answer(1)
    await is_over(begin(all_slots, "well", nothing))
    slow.answer(4)
    await is_over(asks)
    assert not all_slots.shares._holding


async def test_too_much_that_waits_for_answers_is_given_up_from_the_oldest_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "BEGUN", 3)
    all_slots, slow = Slots(1, 1, slow_after=SOON), Service()
    asks = []
    for number in range(3):
        asks.append(begin(all_slots, f"slow-{number}", slow.ask))
        await slow.was_asked(number + 1)
    await is_over(begin(all_slots, "well", nothing))
    with pytest.raises(TooSlow):
        await asks[0]
    assert not asks[1].done()
    slow.answer(2)
    await is_over(asyncio.gather(*asks[1:]))


async def test_work_whose_answers_take_too_long_in_all_is_given_up() -> None:
    all_slots, slow = Slots(1, 1, slow_after=NEVER, longest=0.0), Service()

    async def ask_often() -> None:
        for _ in range(1000):
            await slow.ask()

    slow.answer(1000)
    asks = begin(all_slots, "slow", ask_often)
    with pytest.raises(TooSlow) as raised:
        await asks
    assert raised.value.seconds > 0
    assert slow.asked == 1


async def test_work_that_takes_its_time_makes_room_between_two_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "SLICE", 0.0)
    all_slots, service = Slots(1, 1, slow_after=NEVER), Service()
    done: list[str] = []

    async def ask_often() -> None:
        for _ in range(3):
            await service.ask()
            done.append("large")

    async def do() -> None:
        done.append("small")

    asks = begin(all_slots, "one", ask_often)
    await service.was_asked()
    small = begin(all_slots, "two", do)
    await asyncio.sleep(0)
    service.answer(3)
    await is_over(asyncio.gather(asks, small))
    assert done == ["small", "large", "large", "large"]


async def test_nobody_makes_room_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "SLICE", 0.0)
    all_slots, service = Slots(1, 1, slow_after=NEVER), Service()
    service.answer(3)
    took: list[float] = []

    async def ask_often() -> None:
        for _ in range(3):
            await service.ask()
        took.append(waited())

    await is_over(begin(all_slots, "one", ask_often))
    assert took == [0.0]


async def test_what_an_earlier_session_began_asks_nothing_in_the_next() -> None:
    era = 1
    all_slots, service = Slots(1, 1, slow_after=NEVER, era=lambda: era), Service()

    async def ask_twice() -> None:
        await service.ask()
        await service.ask()

    asks = begin(all_slots, "one", ask_twice)
    await service.was_asked()
    era = 2
    service.answer(2)
    with pytest.raises(Disconnected):
        await asks
    assert service.asked == 1


async def test_who_has_a_slot_needs_no_other_one() -> None:
    all_slots, others = Slots(1, 1, slow_after=NEVER), Slots(1, 1, slow_after=NEVER)

    async def nest() -> None:
        async with others.slot("one"), all_slots.slot("two"):
            assert is_working()

    await is_over(begin(all_slots, "one", nest))


async def test_a_task_that_goes_on_by_itself_has_no_slot() -> None:
    all_slots, service = Slots(1, 1, slow_after=NEVER), Service()
    working: list[bool] = []

    async def look() -> None:
        working.append(is_working())

    async def spawn() -> None:
        loop = asyncio.get_running_loop()
        await loop.create_task(look())
        await loop.create_task(look(), context=outside())

    await is_over(begin(all_slots, "one", spawn))
    assert working == [True, False]
    service.answer()
    await is_over(service.ask())  # without a slot: at once


@pytest.mark.parametrize("begun", [True, False])
async def test_who_is_cancelled_leaves_its_slot(begun: bool) -> None:
    all_slots, slow = Slots(1, 1, slow_after=NEVER), Service()
    asks = begin(all_slots, "slow", slow.ask)
    await slow.was_asked()
    waiting = begin(all_slots, "other", nothing)
    await asyncio.sleep(0)
    (asks if begun else waiting).cancel()
    await asyncio.wait([asks if begun else waiting])
    if not begun:
        slow.answer()
        await is_over(asks)
    await is_over(begin(all_slots, "third", nothing))
    assert not all_slots.shares._begun
    if begun:
        await is_over(waiting)


async def test_what_is_urgent_goes_first() -> None:
    all_slots, service = Slots(1, 1, slow_after=NEVER), Service()
    done: list[str] = []

    async def work(name: str) -> None:
        async with all_slots.slot("one", name):
            done.append(name)

    first = begin(all_slots, "one", service.ask)
    await service.was_asked()
    others = [asyncio.ensure_future(work(name)) for name in ("a", "b", "c")]
    await asyncio.sleep(0)
    all_slots.hurry("c")
    all_slots.hurry("nobody knows it")
    service.answer()
    await is_over(asyncio.gather(first, *others))
    assert done == ["c", "a", "b"]
