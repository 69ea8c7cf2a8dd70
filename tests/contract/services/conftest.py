"""The services that the contract is tried on, and who tries."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator

import pytest

from newsstand.slixmpp.transport import SlixmppTransport
from newsstand.xmpp.transport import Session
from tests.conftest import SERVERS, Servers, log_in, log_out, new_client
from tests.contract.services._trial import Trial
from tests.fakes.hostile import HostileService
from tests.fakes.service import Service as FakeService
from tests.fakes.service import Stream
from tests.servers.ejabberd import Ejabberd
from tests.servers.entities import Entity
from tests.servers.quirks import QUIRKS
from tests.servers.trial import Service

_numbers = itertools.count()


@pytest.fixture(scope="session")
async def services(servers: Servers) -> AsyncIterator[dict[str, Service]]:
    """Those that have been tried so far, by their names; whoever is logged in is logged out at the end."""
    services: dict[str, Service] = {}
    yield services
    for service in services.values():
        await service.close()


FAKES = ["fake", *(f"fake-as-{name}" for name in SERVERS), "fake-hostile", "fake-hostile-elsewhere"]


@pytest.fixture(params=[*SERVERS, *FAKES], scope="module")
async def service(request: pytest.FixtureRequest, servers: Servers, services: dict[str, Service]) -> Service:
    """Each service; and the fake one, without quirks and with those of each of the others; and the hostile one, which
    does no harm, or does all that it can to other nodes."""
    name: str = request.param
    if name not in services:
        services[name] = _fake(name) if name.startswith("fake") else await _real(name, servers)
    return services[name]


async def _real(name: str, servers: Servers) -> Service:
    server = await servers.get(name)

    async def log_account_in(account: str) -> Entity:
        client = new_client(server, account)
        transport = SlixmppTransport(client)
        await log_in(client, server)

        async def close() -> None:
            transport.close()
            await log_out(client)

        entity = Entity(transport, close, client.abort)
        await entity.caught_up(server.pubsub)  # by now the presence has been sent, too
        return entity

    async def delete_expired() -> bool:
        return await server.delete_expired_items() if isinstance(server, Ejabberd) else True

    def pass_time() -> None:
        """Time passes by itself."""

    return Service(name, server.pubsub, QUIRKS[name], log_account_in, pass_time, delete_expired)


def _fake(name: str) -> Service:
    quirks = QUIRKS[name.removeprefix("fake-as-")] if "-as-" in name else frozenset()
    kind = HostileService if "hostile" in name else FakeService
    fake = kind(quirks=quirks, creators=frozenset({"romeo@example.org"}))
    for account in ("romeo", "juliet", "nurse"):
        fake.add_account(f"{account}@example.org")
    if isinstance(fake, HostileService) and name.endswith("elsewhere"):
        _do_harm(fake)

    async def log_in(account: str) -> Entity:
        stream = Stream(fake, f"{account}@example.org")
        stream.turn(Session.FRESH)

        async def close() -> None:
            stream.close()

        return Entity(stream, close, stream.cut)

    async def delete_expired() -> bool:
        fake.delete_expired()
        return True

    return Service(name, fake.jid, quirks, log_in, lambda: fake.pass_time(1), delete_expired)


def _do_harm(fake: HostileService) -> None:
    """All that it can, to nodes that no test is about."""
    for node in ("silent", "dripping", "overfull", "endless", "new-ids"):
        fake.create(node, "a", "b")
    fake.never_answer("silent")
    fake.drip("dripping", 29, most=1)
    fake.overfill("overfull", 500)
    fake.send_without_end("endless", grows=1)
    fake.change_ids("new-ids")
    fake.swell("large", 200_000)
    fake.put_huge("huge", "a")
    fake.add_account("mallory@evil.example")
    fake.refuse_domain("evil.example")


@pytest.fixture
async def trial(request: pytest.FixtureRequest, service: Service) -> Trial:
    """See Trial. Its node is no other test's."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name)[:60]
    entities = [await service.entity(account) for account in ("romeo", "juliet", "nurse")]
    return Trial(service, f"node-{next(_numbers)}-{name}", *entities)
