"""Services of every kind are simulated: what is foreseen of one, after learning from its own answers, is what it
answers; and nothing wrong is ever learnt of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from newsstand.model import ItemsRequest, News, NodeKey, Published, Purged, Retracted, Rsm, SeenItem
from newsstand.rules.behaviour import (
    Behaviour,
    ServiceBehaviour,
    Take,
    foresee,
    learn_from_answer,
    learn_from_disco,
    place,
)
from newsstand.rules.evidence import said_by_order

KEY = NodeKey("romeo@montague.example", "pubsub.montague.example", "news")
IDS = "abcdefg"


def learn_from_order(
    behaviour: ServiceBehaviour, before: Sequence[str], news: Sequence[News], after: Sequence[str]
) -> ServiceBehaviour:
    """Were a single order believed."""
    return dataclasses.replace(behaviour, **said_by_order(behaviour, before, news, after))


@dataclass
class Service:
    """A node on a service whose behaviour is all known. Past `most` items it drops the oldest, and tells
    nobody."""

    behaviour: ServiceBehaviour
    most: int
    order: list[str] = field(default_factory=list)

    def publish(self, item_id: str) -> None:
        way = self.behaviour.overwritten if item_id in self.order else self.behaviour.new
        if way is not Behaviour.STAYS:
            if item_id in self.order:
                self.order.remove(item_id)
            self.order.insert(0 if way is Behaviour.FIRST else len(self.order), item_id)
        if len(self.order) > self.most:
            del self.order[0 if self.behaviour.new is Behaviour.LAST else -1]

    def hear(self, news: News) -> None:
        match news:
            case Published(items):
                for item in items:
                    self.publish(item.id)
            case Retracted(item_ids):
                self.order = [id_ for id_ in self.order if id_ not in item_ids]
            case _:
                self.order = []

    def rsm_of(self, request: ItemsRequest) -> Rsm | None:
        """The `<set/>` that it would send along."""
        if request.max_items is None or self.behaviour.limited_set is Behaviour.LEFT_OUT:
            return None
        if not self.order:
            return Rsm(count=0)
        count = len(self.order)
        index = 0 if self.behaviour.limited_set is Behaviour.INDEX_ZERO else count - request.max_items
        return Rsm("a cursor", "another", count, index)

    def answer(self, request: ItemsRequest) -> list[str] | None:
        """The ids that it would send, None for item-not-found."""
        if request.item_ids:
            there = [id_ for id_ in request.item_ids if id_ in self.order]
            if len(there) < len(request.item_ids) and self.behaviour.missing_id is Behaviour.REFUSED:
                return None
            if self.behaviour.repeated_id is Behaviour.ONCE:
                there = list(dict.fromkeys(there))
            by_node = self.behaviour.several_ids is Behaviour.NODE_ORDER
            return sorted(there, key=self.order.index) if by_node else there
        if request.max_items is None:
            return list(self.order)
        newest = (
            self.order[-request.max_items :]
            if self.behaviour.new is Behaviour.LAST
            else self.order[: request.max_items]
        )
        return newest[::-1] if self.behaviour.limited is Behaviour.REVERSED else newest


def taken(take: Take, request: ItemsRequest, order: list[str]) -> list[str]:
    """What `take` means, of items in this order."""
    limit = request.max_items or len(order)
    match take:
        case Take.ALL:
            return order
        case Take.LAST:
            return order[-limit:]
        case Take.LAST_REVERSED:
            return order[-limit:][::-1]
        case Take.FIRST:
            return order[:limit]
        case Take.FIRST_REVERSED:
            return order[:limit][::-1]
        case Take.IDS:
            return [id_ for id_ in dict.fromkeys(request.item_ids) if id_ in order]
        case Take.IDS_EACH_TIME:
            return [id_ for id_ in request.item_ids if id_ in order]
        case Take.IDS_IN_NODE_ORDER:
            return [id_ for id_ in order if id_ in request.item_ids]


kinds = st.builds(
    ServiceBehaviour,
    new=st.sampled_from([Behaviour.LAST, Behaviour.FIRST]),
    overwritten=st.sampled_from([Behaviour.LAST, Behaviour.FIRST, Behaviour.STAYS]),
    limited=st.sampled_from([Behaviour.NODE_ORDER, Behaviour.REVERSED]),
    limited_set=st.sampled_from([Behaviour.LEFT_OUT, Behaviour.INDEX_ZERO, Behaviour.INDEX_FROM_END]),
    several_ids=st.sampled_from([Behaviour.REQUEST_ORDER, Behaviour.NODE_ORDER]),
    missing_id=st.sampled_from([Behaviour.SKIPPED, Behaviour.REFUSED]),
    repeated_id=st.sampled_from([Behaviour.ONCE, Behaviour.EACH_TIME]),
    disco_order=st.sampled_from([Behaviour.NODE_ORDER, Behaviour.REVERSED]),
)
services = st.builds(Service, kinds, st.integers(1, 8))
ids = st.sampled_from(IDS)


def published(item_id: str) -> News:
    return Published((SeenItem(item_id, ""),))


histories = st.lists(
    st.one_of(
        ids.map(published),
        ids.map(published),
        ids.map(lambda id_: Retracted((id_,))),
        st.lists(ids, max_size=3, unique=True).map(lambda some: Published(tuple(SeenItem(id_, "") for id_ in some))),
        st.just(Purged()),
    ),
    max_size=8,
)
requests = st.one_of(
    st.just(ItemsRequest(KEY)),
    st.integers(1, 6).map(lambda limit: ItemsRequest(KEY, max_items=limit)),
    st.lists(ids, min_size=1, max_size=4).map(lambda wanted: ItemsRequest(KEY, tuple(wanted))),
)


def true_of(behaviour: ServiceBehaviour, service: Service) -> bool:
    """Whether all that is known of the service is so."""
    return all(
        getattr(behaviour, field.name) in (Behaviour.UNKNOWN, getattr(service.behaviour, field.name))
        for field in dataclasses.fields(ServiceBehaviour)
    )


def partly(data: st.DataObject, behaviour: ServiceBehaviour) -> ServiceBehaviour:
    """Some of it known, some not yet."""
    unknown = {
        field.name: Behaviour.UNKNOWN for field in dataclasses.fields(ServiceBehaviour) if data.draw(st.booleans())
    }
    return dataclasses.replace(behaviour, **unknown)


@settings(max_examples=300)
@given(services, st.lists(st.one_of(histories, requests), max_size=12))
def test_what_is_foreseen_is_what_the_service_answers(
    service: Service, events: Sequence[list[News] | ItemsRequest]
) -> None:
    """Between two listings news come; then it is asked, as often as it likes, and what it answers is learnt."""
    behaviour = ServiceBehaviour()
    for event in events:
        if isinstance(event, ItemsRequest):
            take = foresee(behaviour, event, len(service.order), knows_cursors=True)
            answered = service.answer(event)
            if take is not None:
                assert taken(take, event, service.order) == answered
            behaviour = learn_from_answer(behaviour, event, service.order, answered, service.rsm_of(event))
        else:
            before = list(service.order)
            for news in event:
                service.hear(news)
            behaviour = learn_from_order(behaviour, before, event, service.order)
            disco = service.order[::-1] if service.behaviour.disco_order is Behaviour.REVERSED else service.order
            behaviour = learn_from_disco(behaviour, service.order, disco)
        assert true_of(behaviour, service)


@settings(max_examples=300)
@given(services, histories, histories, st.data())
def test_no_order_teaches_anything_wrong_even_where_items_were_evicted(
    service: Service, earlier: list[News], history: list[News], data: st.DataObject
) -> None:
    for news in earlier:
        service.hear(news)
    before = list(service.order)
    known = partly(data, service.behaviour)
    for news in history:
        service.hear(news)
    learnt = learn_from_order(known, before, history, service.order)
    assert true_of(learnt, service)


@given(services, histories, requests, st.data())
def test_no_answer_teaches_anything_wrong(
    service: Service, history: list[News], request: ItemsRequest, data: st.DataObject
) -> None:
    for news in history:
        service.hear(news)
    known = partly(data, service.behaviour)
    answered, rsm = service.answer(request), service.rsm_of(request)
    assert true_of(learn_from_answer(known, request, service.order, answered, rsm), service)


@given(services, histories)
def test_a_few_probes_are_enough_to_know_a_service(service: Service, history: list[News]) -> None:
    """Those that the synchroniser makes after a listing of at least three items."""
    service.most = 100
    for news in [*history, *(published(id_) for id_ in "abc")]:
        service.hear(news)
    order = service.order
    behaviour = ServiceBehaviour()
    for probe in (ItemsRequest(KEY, max_items=2), ItemsRequest(KEY, (order[-1], "unheard-of", order[0]))):
        behaviour = learn_from_answer(behaviour, probe, order, service.answer(probe), service.rsm_of(probe))
    assert behaviour.limited is service.behaviour.limited
    assert behaviour.limited_set is service.behaviour.limited_set
    assert behaviour.new is service.behaviour.new
    assert behaviour.missing_id is service.behaviour.missing_id
    if service.behaviour.missing_id is Behaviour.SKIPPED:
        assert behaviour.several_ids is service.behaviour.several_ids
    assert foresee(behaviour, ItemsRequest(KEY, max_items=2), len(order), knows_cursors=True) is not None


@given(services, histories)
def test_an_item_is_placed_as_the_service_places_it(service: Service, history: list[News]) -> None:
    service.most = 100
    order: list[str] = []
    for news in history:
        if isinstance(news, Published):
            for item in news.items:
                assert place(order, item.id, service.behaviour)
        elif isinstance(news, Retracted):
            order = [id_ for id_ in order if id_ not in news.item_ids]
        else:
            order = []
        service.hear(news)
        assert order == service.order


@given(kinds, kinds, st.integers(2, 6), st.data())
def test_what_varies_is_never_foreseen_nor_learnt_again(
    one: ServiceBehaviour, other: ServiceBehaviour, limit: int, data: st.DataObject
) -> None:
    def seen(behaviour: ServiceBehaviour) -> dict[str, Behaviour]:
        return {field.name: getattr(behaviour, field.name) for field in dataclasses.fields(ServiceBehaviour)}

    behaviour = one.learn(**seen(other))
    for name, way in seen(behaviour).items():
        same = getattr(one, name) is getattr(other, name)
        assert way is (getattr(one, name) if same else Behaviour.VARIES)
    again = behaviour.learn(**seen(data.draw(kinds)))
    varying = [name for name, way in seen(behaviour).items() if way is Behaviour.VARIES]
    assert all(getattr(again, name) is Behaviour.VARIES for name in varying)
    if {"new", "limited"} & set(varying):
        assert foresee(behaviour, ItemsRequest(KEY, max_items=limit), 7) is None
