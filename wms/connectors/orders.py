"""What the shops' orders have in common: money, the pieces of a parcel on lines, what a conflict says. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from wms.connectors import ConnectorError, OrderState, Pushed, Recipient, Shipment, ShopOrder
from wms.errors import N_

# ISO 4217: currencies whose minor unit is not a hundredth.
_DIGITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"), 0),
    **dict.fromkeys(("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}

UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What reading an order of an unexpected shape raises; such an order never stops the others."""


def minor(amount: str | int | Decimal, currency: str) -> int:
    """An amount in minor units (1 for 0.01 CNY, 1 for 1 JPY), halves up. ArithmeticError when it is none."""
    digits = _DIGITS.get(currency.upper(), 2)
    return int((Decimal(amount) * Decimal(10) ** digits).to_integral_value(ROUND_HALF_UP))


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


def spread(qty: int, places: int) -> list[int]:
    """Shares of a quantity that is offered in several places: their sum is never above it (R38)."""
    share, rest = divmod(max(qty, 0), places)
    return [share + (number < rest) for number in range(places)]


def share_out(
    wanted: Iterable[tuple[str, str, int]], left: Mapping[str, int], skus: Mapping[str, str]
) -> dict[str, int] | None:
    """Line → pieces of a parcel, by the line's reference or else by SKU; None when fewer are ``left``."""
    rest = dict(left)
    taken: Counter[str] = Counter()
    for line_ref, sku, qty in wanted:
        homes = [line_ref] if line_ref in rest else [one for one, code in skus.items() if code == sku and one in rest]
        for home in homes:
            part = min(qty, rest[home])
            if part > 0:
                taken[home] += part
                rest[home] -= part
                qty -= part
        if qty:
            return None
    return dict(taken)


def same_number(one: str | None, other: str | None) -> bool:
    """Whether two waybill numbers are one: shops strip spaces and change the case of what they are given."""
    return bool(one) and "".join((one or "").split()).upper() == "".join((other or "").split()).upper()


def evidence(shipment: Shipment, shop_state: object, **more: Any) -> dict[str, Any]:
    return {
        "order": shipment.shop_order_no,
        "parcel": shipment.parcel_no,
        "waybill": shipment.waybill_no,
        "state": str(shop_state),
        **more,
    }


def already(shipment: Shipment, shop_state: object, **more: Any) -> Pushed:
    words = N_("The shop has waybill %(waybill)s.")
    return Pushed("acknowledged", words, evidence(shipment, shop_state, **more))


def taken(shipment: Shipment, shop_state: object, **more: Any) -> Pushed:
    words = N_("The shop took waybill %(waybill)s.")
    return Pushed("acknowledged", words, evidence(shipment, shop_state, **more))


def conflict(shipment: Shipment, state: OrderState, shop_state: object, others: Iterable[str] = ()) -> Pushed:
    """The shop does not have our number and will not get it: what a person must know (R37)."""
    names = ", ".join(sorted({other or "–" for other in others}))
    if state == "cancelled":
        words = N_("Order %(order)s is cancelled at the shop. Stop parcel %(parcel)s or call it back.")
    elif state == "refunding":
        words = N_("Order %(order)s was paid back at the shop. Stop parcel %(parcel)s or call it back.")
    elif names:
        words = N_("The shop has order %(order)s under another waybill: %(others)s, not %(waybill)s.")
    else:
        words = N_("The shop does not wait for these pieces of order %(order)s (state %(state)s). Compare the lines.")
    return Pushed("conflict", words, evidence(shipment, shop_state, others=names))


def refused(shipment: Shipment, shop_state: object, shop_says: str, **more: Any) -> Pushed:
    """The shop refuses in its own words."""
    words = N_("The shop does not take the shipment of order %(order)s: %(shop_says)s")
    return Pushed("conflict", words, evidence(shipment, shop_state, shop_says=shop_says, **more))


def not_there(shipment: Shipment, shop_state: object, wrong: str) -> Pushed:
    """A number to be corrected is not the one the shop has."""
    words = N_("The shop does not have order %(order)s under waybill %(wrong)s, so nothing was corrected.")
    return Pushed("conflict", words, evidence(shipment, shop_state, wrong=wrong))


def unknown_order(host: str, order_no: str) -> ConnectorError:
    return ConnectorError(
        permanent=True,
        reason="order_unknown",
        message=N_("The shop has no order %(order)s."),
        facts={"host": host, "order": order_no},
    )


def unknown_sku(host: str, sku: str) -> ConnectorError:
    return ConnectorError(
        permanent=True,
        reason="sku_unknown",
        message=N_("The shop has no item with SKU %(sku)s."),
        facts={"host": host, "sku": sku},
    )


def ambiguous_sku(host: str, sku: str) -> ConnectorError:
    return ConnectorError(
        permanent=True,
        reason="sku_twice",
        message=N_("The shop has several items with SKU %(sku)s. Give each its own SKU there."),
        facts={"host": host, "sku": sku},
    )


def held(order: ShopOrder, why: str) -> ShopOrder:
    """The order with a reason for a person to look, where it could be released otherwise."""
    return replace(order, hold=why) if order.state == "paid" else order
