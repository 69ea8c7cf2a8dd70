"""The requests of a program's starts, one a line, for whoever wants to save some."""

from __future__ import annotations

from collections.abc import Iterator

from tests.programs.results import Measured, Read, Start
from tests.programs.wire import Request, read_request


def trace(measured: Measured) -> str:
    return "\n".join(_lines(measured))


def _lines(measured: Measured) -> Iterator[str]:
    yield f"== {measured.name}"
    for number, (without, with_it) in enumerate(zip(measured.without, measured.with_it, strict=True), 1):
        yield f"-- start {number}, without: {without.requests} requests; {without.later} later"
        yield from _of(without)
        own = f"{with_it.own_requests} of them Newsstand's; {with_it.later} later"
        yield f"-- start {number}, with: {with_it.requests} requests, {own}"
        yield from _of(with_it)
    if measured.offline is not None:
        yield "-- start without a server"
        yield from _of(measured.offline)
    yield ""


def _of(start: Start) -> Iterator[str]:
    reads = {read.id: read for read in start.reads}
    for passed in start.passed:
        request = passed.request
        who = "NEWSSTAND" if request.id in start.own else "program"
        answered = f"   <- {_answer(read)}" if (read := reads.pop(request.id, None)) else ""
        yield f"  {passed.at - start.began:7.3f} s  {_line(who, request)}{answered}"
    for read in reads.values():
        asked = read_request(read.xml.encode())
        assert asked is not None
        yield f"      no IQ  {_line('program', asked)}   <- {_answer(read)}"


def _line(who: str, request: Request) -> str:
    ids = f" ids {', '.join(request.item_ids)}" if request.item_ids else ""
    part = f" ({request.part})" if request.part else ""
    return f"{who:9}  {request.what} {request.node!r} of {request.to or 'own account'}{ids}{part}"


def _answer(read: Read) -> str:
    items = "no items" if read.items is None else f"{len(read.items)} items"
    same = {None: "", True: ", as the service has it", False: ", OTHERWISE than the service has it"}[read.same]
    return f"{read.origin}{', stale' if read.stale else ''}, {items}{same}"
