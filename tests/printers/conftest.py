"""What the tests of labels and printers share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from printers import image
from tests.printers import render as judge
from tests.printers.fake_printer import FakePrinter


@pytest.fixture(scope="session")
def paper() -> object:
    """The independent renderer: `paper.render`, `paper.read_codes`."""
    missing = judge.available()
    if missing:
        pytest.skip(f"NO LABEL WAS JUDGED: {missing}")
    return judge


@pytest.fixture
def printer() -> Iterator[FakePrinter]:
    with FakePrinter() as one:
        yield one


@pytest.fixture(autouse=True)
def _own_font() -> Iterator[None]:
    yield
    if image._font_path is not None:
        image.set_font(None)
