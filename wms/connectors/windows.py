"""Reading a shop in windows of time, page by page, so that nothing falls through. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

ONE_SECOND = timedelta(seconds=1)
"""The resolution of the platforms' clocks; bounds of a window are inclusive on both ends."""


def windows(start: datetime, until: datetime, longest: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """(begin, end) one after the other from start to until, in whole seconds; the last may be short."""
    begin, until = start.replace(microsecond=0), until.replace(microsecond=0)
    while begin < until:
        end = min(begin + longest, until)
        yield begin, end
        begin = end


Page = tuple[list[dict[str, Any]], int]
"""The rows of a page, and how many rows there are in all."""


def last_page_first(first: Page, read: Callable[[int], Page], size: int) -> Iterator[dict[str, Any]]:
    """All rows of a window that has ended, given its first page and a way to read the others.

    An order that is changed while we read leaves the window, and all behind it move up a place. Read forward, the
    first of the next page would slip into the page just read; read backward, it is only seen twice.
    """
    rows, total = first
    pages = -(-total // size)
    if pages <= 1:
        yield from rows
        return
    for page in range(pages, 0, -1):
        yield from read(page)[0]
