"""What a parcel costs by the price tables, and which carrier a shop's orders go with."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wms.clock import now
from wms.models import Carrier, CarrierPrice, Item, Order, OrderLine, Shop, Warehouse
from wms.planning import carriage
from wms.planning.carriage import Choice, Price

CHEAPEST = "cheapest"


def chooses(shop: Shop) -> bool:
    """The shop's setting ``carrier_choice``: its orders go with the cheapest carrier that is allowed."""
    return shop.settings.get("carrier_choice") == CHEAPEST


def codes(text: object) -> frozenset[str]:
    """Carrier codes as they are entered: SF, YTO."""
    return frozenset(part for part in str(text or "").upper().replace(",", " ").replace("，", " ").split() if part)


def allowed(session: Session, shop: Shop) -> frozenset[int]:
    """The carriers a shop's orders may go with: those of its list, or all, without those it forbids."""
    only, never = codes(shop.settings.get("carriers_allowed")), codes(shop.settings.get("carriers_denied"))
    return frozenset(
        carrier_id
        for carrier_id, code in session.execute(select(Carrier.id, Carrier.code))
        if (not only or code.upper() in only) and code.upper() not in never
    )


def today(session: Session, warehouse_id: int) -> date:
    """The date at the warehouse: prices change at its midnight."""
    zone = session.get_one(Warehouse, warehouse_id).timezone
    return now().astimezone(ZoneInfo(zone)).date()


def prices(session: Session, warehouse_id: int, region: str) -> list[Price]:
    """The lines that may count for a province, as plain numbers."""
    return [
        Price(*row)
        for row in session.execute(
            select(
                CarrierPrice.carrier_id,
                CarrierPrice.region,
                CarrierPrice.first_g,
                CarrierPrice.first_minor,
                CarrierPrice.step_g,
                CarrierPrice.step_minor,
                CarrierPrice.min_g,
                CarrierPrice.max_g,
                CarrierPrice.valid_from,
            ).where(CarrierPrice.warehouse_id == warehouse_id, CarrierPrice.region.in_([region, carriage.EVERYWHERE]))
        )
    ]


def province_of(order: Order) -> str:
    return carriage.province(str(order.recipient.get("province") or ""))


def cost_of(session: Session, order: Order, carrier_id: int, weight_g: int) -> int | None:
    """What this carrier takes for so many grams to this order's province; None where no price is known."""
    region, on = province_of(order), today(session, order.warehouse_id)
    price = carriage.in_force(prices(session, order.warehouse_id, region), carrier_id, region, weight_g, on)
    return None if price is None else carriage.cost(price, weight_g)


def cheapest(
    session: Session, order: Order, shop: Shop, weight_g: int, prefer: int | None, among: Collection[int] | None = None
) -> Choice | None:
    """The carrier for so many grams of this order, of those its shop allows (and of ``among``)."""
    may = allowed(session, shop)
    return carriage.cheapest(
        prices(session, order.warehouse_id, province_of(order)),
        province_of(order),
        weight_g,
        today(session, order.warehouse_id),
        may if among is None else may & set(among),
        prefer,
    )


def suggest(session: Session, order: Order, shop: Shop) -> None:
    """Put the cheapest carrier on an order whose shop wants that, by the weights of its items; else leave it."""
    if not chooses(shop):
        return
    order.carrier_suggested = True
    choice = cheapest(session, order, shop, weight_of(session, order), prefer=shop.carrier_id)
    order.carrier_id = choice.carrier_id if choice else shop.carrier_id
    order.expected_cost_minor = choice.cost_minor if choice else None


def weight_of(session: Session, order: Order) -> int:
    """Grams of all pieces that are wanted, without the box; at least one."""
    weight = session.execute(
        select(func.coalesce(func.sum((OrderLine.qty - OrderLine.cancelled_qty) * Item.weight_g), 0))
        .select_from(OrderLine)
        .join(Item, Item.id == OrderLine.item_id)
        .where(OrderLine.warehouse_id == order.warehouse_id, OrderLine.order_id == order.id)
    ).scalar_one()
    return max(int(weight), 1)
