"""Reading a shop in windows of time, page by page, so that nothing falls through. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from wms.connectors import ConnectorError, Recipient, ShopOrder
from wms.errors import N_

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


UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)
"""What reading a field that is missing or of another shape raises."""


def unreadable(number: str, raw: Mapping[str, Any], error: Exception) -> tuple[ShopOrder, ConnectorError]:
    """What is kept of an order that cannot be understood: one bad order never stops the others."""
    order = ShopOrder(
        shop_order_no=number,
        ordered_at=None,
        state="paid",
        lines=(),
        recipient=Recipient(),
        raw=dict(raw),
        hold="unreadable",
    )
    # A field's name says where to look; a field's value might be somebody's address.
    fault = f"no {error}" if isinstance(error, KeyError) else type(error).__name__
    told = ConnectorError(
        permanent=True,
        reason="unreadable",
        message=N_("Order %(order)s of the shop cannot be understood (%(fault)s). It is kept as it came; look at it."),
        facts={"order": number, "fault": fault},
    )
    return order, told
