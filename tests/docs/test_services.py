"""docs/services.md says what the tests know of the services."""

from __future__ import annotations

import pytest

from tests.servers import quirks, services_page
from tests.servers.quirks import QUIRKS, Quirk


def test_the_page_is_what_the_code_makes_of_the_quirks() -> None:
    assert services_page.PAGE.read_text(encoding="utf-8") == services_page.page(), (
        "docs/services.md is not up to date: run `python -m tests.servers.services_page`"
    )


def test_every_quirk_and_every_service_is_on_the_page() -> None:
    text = services_page.page()
    assert services_page.NAMES.keys() == QUIRKS.keys()
    for quirk in Quirk:
        (line,) = (line for line in text.splitlines() if f" `{quirk.value}` |" in line)
        fields = [field.strip() for field in line.strip("|").split("|")]
        assert len(fields[0]) > 20
        assert [bool(field) for field in fields[2:]] == [quirk in QUIRKS[service] for service in services_page.NAMES]


def test_a_page_that_says_something_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    before = services_page.page()
    fewer = {service: found - {Quirk.NO_RSM} for service, found in QUIRKS.items()}
    monkeypatch.setattr(services_page, "QUIRKS", fewer)
    assert services_page.page() != before
    assert quirks.QUIRKS is QUIRKS
