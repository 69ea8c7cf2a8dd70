"""Twenty schedules of the convergence machine at Libervia Pubsub."""

from __future__ import annotations

import pytest

from tests.conftest import Servers
from tests.property._converge import TIMEOUT, assert_convergence


@pytest.mark.timeout(TIMEOUT)
@pytest.mark.parametrize("name", ["libervia-pubsub"])
async def test_copies_converge(name: str, servers: Servers) -> None:
    await assert_convergence(name, servers)
