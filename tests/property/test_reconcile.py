"""The steps of any plan, carried out, make the copy what it should be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from newsstand.model import (
    NS_PUBSUB,
    Configured,
    Deleted,
    HeldItem,
    News,
    Published,
    Purged,
    Retracted,
    SeenItem,
    StorableItem,
    SubscriptionChanged,
)
from newsstand.rules.behaviour import Behaviour, ServiceBehaviour
from newsstand.rules.behaviour import place as place_of_service
from newsstand.rules.reconcile import (
    Applied,
    Clear,
    Move,
    Place,
    Put,
    Remove,
    Step,
    doubts_after,
    plan_listing,
    plan_news,
)


class Rows:
    """A node's items, and what each step does to them."""

    def __init__(self, held: Iterable[HeldItem] = ()) -> None:
        self.rows = {item.id: item for item in held}

    @property
    def order(self) -> list[str]:
        return sorted(self.rows, key=lambda id_: self.rows[id_].position)

    @property
    def contents(self) -> dict[str, bytes]:
        return {id_: row.content_digest for id_, row in self.rows.items()}

    def apply(self, steps: Iterable[Step]) -> Applied:
        before = dict(self.rows)
        missed: list[str] = []
        grew = kept_in_place = False
        for step in steps:
            match step:
                case Put(item, new, overwritten):
                    grew |= item.id not in self.rows
                    kept_in_place |= item.id in self.rows and overwritten is Place.KEEP
                    self._put(item, overwritten if item.id in self.rows else new)
                case Remove(item_ids):
                    missed += [id_ for id_ in item_ids if self.rows.pop(id_, None) is None]
                case Clear():
                    self.rows.clear()
                case Move(key, position):
                    (id_,) = (item_id for item_id in self.rows if SeenItem(item_id, "").digest == key)
                    self.rows[id_] = self.rows[id_]._replace(position=position)
        return Applied(
            revision=0,
            count=len(self.rows),
            inserted=tuple(id_ for id_ in self.rows if id_ not in before),
            removed=tuple(id_ for id_ in before if id_ not in self.rows),
            missed=tuple(missed),
            grew=grew,
            kept_in_place=kept_in_place,
        )

    def _put(self, item: StorableItem, where: int | Place) -> None:
        there = self.rows.get(item.id)
        position = where if isinstance(where, int) else self._place(where, there)
        kept = there is not None and not item.exact
        content = there.content_digest if kept and there is not None else item.content_digest
        self.rows[item.id] = HeldItem(item.id, content, position)

    def _place(self, where: Place, there: HeldItem | None) -> int:
        positions = [row.position for row in self.rows.values()]
        if there is not None and where is Place.KEEP:
            return there.position
        if where is Place.FIRST:
            first = min(positions, default=0)
            return first if there is not None and there.position == first else first - 1
        last = max(positions, default=-1)
        return last if there is not None and there.position == last else last + 1


def seen(item_id: str, text: str, *, publisher: str | None = None, payload: bool = True) -> SeenItem:
    inner = f'<x xmlns="urn:x">{text}</x>' if payload else ""
    by = f' publisher="{publisher}"' if publisher else ""
    xml = f'<item xmlns="{NS_PUBSUB}" id="{item_id}"{by}>{inner}</item>'
    return SeenItem(item_id, xml, publisher, has_payload=payload)


ids = st.sampled_from("abcdefgh")
contents = st.sampled_from(["one", "two"])
listings = st.lists(st.builds(seen, ids, contents), max_size=8, unique_by=lambda item: item.id)


@st.composite
def copies(draw: st.DrawFn) -> list[HeldItem]:
    items = draw(listings)
    positions: Sequence[int] = range(draw(st.integers(-5, 5)), 20)[: len(items)]
    if draw(st.booleans()):
        positions = draw(st.lists(st.integers(-5, 5), min_size=len(items), max_size=len(items), unique=True))
    return [HeldItem(item.id, item.content_digest, at) for item, at in zip(items, positions, strict=True)]


# A listing -------------------------------------------------------------------------------------------------


@given(copies(), listings)
def test_a_listing_makes_the_copy_equal_to_it(held: list[HeldItem], listed: list[SeenItem]) -> None:
    rows = Rows(held)
    rows.apply(plan_listing(held, listed))
    assert rows.order == [item.id for item in listed]
    assert rows.contents == {item.id: item.content_digest for item in listed}
    assert len({row.position for row in rows.rows.values()}) == len(listed)


@given(copies(), listings)
def test_no_row_that_is_right_already_is_written(held: list[HeldItem], listed: list[SeenItem]) -> None:
    before, rows = {item.id: item for item in held}, Rows(held)
    steps = plan_listing(held, listed)
    rows.apply(steps)
    for step in steps:
        match step:
            case Put(item):
                assert item.id not in before or before[item.id].content_digest != item.content_digest
            case Move(key):
                (moved,) = (item for item in held if SeenItem(item.id, "").digest == key)
                assert rows.rows[moved.id] == moved._replace(position=rows.rows[moved.id].position) != moved
            case Remove(item_ids):
                assert set(item_ids) == set(before) - {item.id for item in listed} != set()
            case Clear():
                raise AssertionError("a listing never clears a node")
    touched = [step.item.id for step in steps if isinstance(step, Put)]
    assert len(touched) == len(set(touched))


@given(copies(), listings)
def test_a_listing_that_is_applied_already_changes_nothing(held: list[HeldItem], listed: list[SeenItem]) -> None:
    rows = Rows(held)
    rows.apply(plan_listing(held, listed))
    assert plan_listing(rows.rows.values(), listed) == []


@given(copies(), st.data())
def test_items_that_only_went_or_came_at_the_end_move_no_other(held: list[HeldItem], data: st.DataObject) -> None:
    order = Rows(held).order
    kept = [id_ for id_ in order if data.draw(st.booleans())]
    by_id = {item.id: item for item in held}
    added = [seen(id_, "new") for id_ in "xyz"[: data.draw(st.integers(0, 3))]]
    same = [
        SeenItem(id_, seen(id_, text).xml)
        for id_ in kept
        for text in ("one", "two")
        if by_id[id_].content_digest == seen(id_, text).content_digest
    ]
    assert not any(isinstance(step, Move) for step in plan_listing(held, [*same, *added]))
    assert not any(isinstance(step, Move) for step in plan_listing(held, [*added, *same]))


# News ------------------------------------------------------------------------------------------------------

kinds = st.builds(
    ServiceBehaviour,
    new=st.sampled_from([Behaviour.LAST, Behaviour.FIRST, Behaviour.UNKNOWN, Behaviour.VARIES]),
    overwritten=st.sampled_from(
        [Behaviour.LAST, Behaviour.FIRST, Behaviour.STAYS, Behaviour.UNKNOWN, Behaviour.VARIES]
    ),
)
told = st.builds(
    seen, ids, contents, publisher=st.sampled_from([None, "p"]), payload=st.sampled_from([True, True, False])
)
news = st.one_of(
    st.lists(told, min_size=1, max_size=3).map(lambda items: Published(tuple(items))),
    st.lists(told, min_size=1, max_size=1).map(lambda items: Published(tuple(items))),
    st.lists(ids, min_size=1, max_size=2, unique=True).map(lambda some: Retracted(tuple(some))),
    st.sampled_from([Purged(), Deleted(), Configured(), SubscriptionChanged("none")]),
)
several = st.lists(news, max_size=8)


def exact(item: SeenItem) -> bool:
    """Of a service that names publishers in its listings."""
    return item.has_payload and item.publisher is not None


class Model:
    """What news come to, one after the other, by what each word means."""

    def __init__(self, order: list[str], held: dict[str, bytes], behaviour: ServiceBehaviour) -> None:
        self.order, self.contents, self.behaviour = order, held, behaviour
        self.unclear: set[str] = set()
        self.configured = self.deleted = False

    def hear(self, what: News) -> None:
        match what:
            case Published(items):
                for item in items:
                    place_of_service(self.order, item.id, self.behaviour)
                    if exact(item):
                        self.contents[item.id] = item.content_digest
                        self.unclear.discard(item.id)
                    else:
                        self.unclear.add(item.id)
            case Retracted(item_ids):
                self.forget(set(item_ids))
            case Purged():
                self.forget(set(self.order) | self.unclear)
            case Deleted():
                self.forget(set(self.order) | self.unclear)
                self.deleted = True
            case Configured():
                self.configured = True
            case SubscriptionChanged():
                pass

    def forget(self, gone: set[str]) -> None:
        self.order = [id_ for id_ in self.order if id_ not in gone]
        self.unclear -= gone
        for id_ in gone:
            self.contents.pop(id_, None)


@given(copies(), several, kinds)
def test_news_do_to_the_copy_what_they_say(held: list[HeldItem], told: list[News], behaviour: ServiceBehaviour) -> None:
    rows = Rows(held)
    model = Model(rows.order, rows.contents, behaviour)
    for what in told:
        model.hear(what)
    plan = plan_news(told, behaviour, True)
    rows.apply(plan.steps)
    assert rows.order == model.order
    assert plan.doubts.refetch == model.unclear
    clear = set(model.order) - model.unclear
    assert {id_: rows.contents[id_] for id_ in clear} == {id_: model.contents[id_] for id_ in clear}
    assert (plan.doubts.relist, plan.deleted) == (model.configured, model.deleted)


@given(copies(), several, kinds, st.integers(0, 8))
def test_news_may_be_taken_in_together_or_apart(
    held: list[HeldItem], told: Sequence[News], behaviour: ServiceBehaviour, cut: int
) -> None:
    together, apart = Rows(held), Rows(held)
    together.apply(plan_news(told, behaviour, True).steps)
    for part in (told[:cut], told[cut:]):
        apart.apply(plan_news(part, behaviour, True).steps)
    assert together.order == apart.order
    unclear = {
        id_ for part in (told, told[:cut], told[cut:]) for id_ in plan_news(part, behaviour, True).doubts.refetch
    }
    assert {k: v for k, v in together.contents.items() if k not in unclear} == {
        k: v for k, v in apart.contents.items() if k not in unclear
    }


@given(copies(), news, st.sampled_from([Behaviour.LAST, Behaviour.FIRST]), st.booleans())
def test_a_notification_that_comes_twice_changes_nothing_more(
    held: list[HeldItem], what: News, new: Behaviour, stays: bool
) -> None:
    behaviour = ServiceBehaviour(new=new, overwritten=Behaviour.STAYS if stays else new)
    rows = Rows(held)
    plan = plan_news([what], behaviour, True)
    first = rows.apply(plan.steps)
    order, contents = rows.order, rows.contents
    second = rows.apply(plan.steps)
    assert (rows.order, rows.contents) == (order, contents)
    assert not second.inserted
    assert not second.removed
    assert not doubts_after(second, behaviour, known_gone={*first.removed, *first.missed}).is_any


@given(copies(), several, kinds)
def test_where_the_place_of_an_item_is_not_known_the_node_is_listed_again(
    held: list[HeldItem], told: list[News], behaviour: ServiceBehaviour
) -> None:
    applied = Rows(held).apply(plan_news(told, behaviour, True).steps)
    doubts = doubts_after(applied, behaviour)
    if applied.inserted:
        assert doubts.check_ids
        assert doubts.relist or applied.count == 1 or behaviour.new in (Behaviour.LAST, Behaviour.FIRST)
    if applied.missed and not set(applied.missed) <= set(applied.removed):
        assert doubts.relist
