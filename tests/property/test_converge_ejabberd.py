"""Twenty schedules of the convergence machine at ejabberd."""

from __future__ import annotations

import pytest

from tests.conftest import Servers
from tests.property._converge import TIMEOUT, assert_convergence


@pytest.mark.timeout(TIMEOUT)
@pytest.mark.parametrize("name", ["ejabberd-mnesia", "ejabberd-sql"])
async def test_copies_converge(name: str, servers: Servers) -> None:
    await assert_convergence(name, servers)
