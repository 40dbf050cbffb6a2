"""A phone with the scan field's page in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def launch() -> Iterator[Any]:
    """A browser for a camera clip; without a clip always the same one."""
    from tests.browser.chromium import browsers

    with browsers() as opened:
        yield opened.get


@pytest.fixture
def shop() -> Iterator[Any]:
    from tests.browser.scan_page import served

    with served() as shop:
        yield shop


@pytest.fixture
def phone(launch: Any, shop: Any) -> Iterator[Any]:
    from tests.browser.scan_page import hold_phone

    page = hold_phone(launch(), shop)
    faults: list[str] = []
    page.on("console", lambda line: faults.append(line.text) if "Content Security" in line.text else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    page.context.close()
    assert faults == []
