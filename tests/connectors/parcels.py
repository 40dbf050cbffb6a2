"""A parcel that left, in one readable line."""

from __future__ import annotations

from datetime import UTC, datetime

from wms.connectors import Shipment

SHIPPED_AT = datetime(2026, 11, 21, 13, 0, tzinfo=UTC)


def parcel(order: str, waybill: str, *lines: tuple[str, int], no: str = "P1", carrier: str = "SF") -> Shipment:
    """Of (sku, pieces); the lines are found by SKU, as of an order whose lines were read anew."""
    inside = tuple(("", sku, qty) for sku, qty in lines)
    return Shipment(order, no, f"{order}/{no}", carrier, "顺丰速运", waybill, SHIPPED_AT, inside)
