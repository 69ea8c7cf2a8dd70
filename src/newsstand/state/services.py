"""What this process knows of the services that its copies come from."""

from __future__ import annotations

from collections.abc import Mapping

from newsstand.jid import host_of
from newsstand.rules.behaviour import ServiceBehaviour
from newsstand.rules.evidence import Evidence


class ServiceState:
    """One service's behaviour, as far as it is known: shared by the copies of all its nodes."""

    __slots__ = ("behaviour", "evidence")

    def __init__(self, behaviour: ServiceBehaviour | None = None) -> None:
        self.behaviour = behaviour or ServiceBehaviour()
        self.evidence = Evidence()
        """What single orders seemed to say of its behaviour, until a second one agrees."""


class Services:
    """The states of all services, by the host that `newsstand.jid.host_of` names."""

    def __init__(self) -> None:
        self._states: dict[str, ServiceState] = {}

    def find(self, service: str) -> ServiceState | None:
        return self._states.get(host_of(service))

    def of(self, service: str) -> ServiceState:
        """The state of this service, made if there was none."""
        host = host_of(service)
        if (state := self._states.get(host)) is None:
            state = self._states[host] = ServiceState()
        return state

    def load(self, behaviour: Mapping[str, ServiceBehaviour]) -> None:
        """Load what the database remembers, by host."""
        for host, known in behaviour.items():
            self._states.setdefault(host, ServiceState()).behaviour = known

    def forget(self) -> None:
        """Forget what was learnt of all services."""
        for state in self._states.values():
            state.behaviour, state.evidence = ServiceBehaviour(), Evidence()
