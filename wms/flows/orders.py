"""One order at the desk: its lines and parcels, and another carrier 快递公司 for it."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wms import carriage, journal, waybills
from wms.errors import N_, NotFound, Refusal, term
from wms.models import (
    Carrier,
    Order,
    OrderLine,
    OrderState,
    Parcel,
    ParcelState,
    PlatformWaybill,
    Push,
    Shop,
    Wave,
    Waybill,
)
from wms.order_states import locked

S = OrderState
CARRIER_OPEN = (S.HELD, S.READY, S.RELEASED, S.PICKING, S.PICKED, S.SHORT)


PLATFORM_OPEN = (*CARRIER_OPEN, S.PACKING, S.PACKED)


class NoMoreParcels(Refusal):
    message = N_("Order %(order)s gets no more parcels.")
    answer = "look"


class NoCarrierYet(Refusal):
    message = N_("Choose the carrier of order %(order)s first: a waybill number belongs to one.")
    answer = "look"


class CarrierFixed(Refusal):
    """A parcel takes its carrier with it when it is opened; its number belongs to that carrier (R31)."""

    message = N_("Order %(order)s already has a parcel with its carrier. Void the parcel first.")
    answer = "look"


def change_carrier(session: Session, warehouse_id: int, order_id: int, carrier_id: int) -> Carrier:
    """Send an order with another carrier, as long as no parcel was opened for it."""
    order = locked(session, warehouse_id, order_id)
    carrier = session.get(Carrier, carrier_id)
    if carrier is None:
        raise NotFound(what=term("The carrier"))
    has_parcel = session.execute(
        select(func.count())
        .select_from(Parcel)
        .where(Parcel.warehouse_id == warehouse_id, Parcel.order_id == order.id, Parcel.state != ParcelState.VOID)
    ).scalar_one()
    if order.state not in CARRIER_OPEN or has_parcel:
        raise CarrierFixed(order=order.shop_order_no)
    if order.carrier_id != carrier.id:
        before = session.get(Carrier, order.carrier_id) if order.carrier_id else None
        journal.note(session, order, "carrier", before.name if before else "", carrier.name)
        order.carrier_id = carrier.id
        order.expected_cost_minor = carriage.cost_of(session, order, carrier.id, carriage.weight_of(session, order))
    order.carrier_suggested = False
    return carrier


def add_platform_waybill(
    session: Session, warehouse_id: int, order_id: int, provider: str, number: str, document: bytes
) -> PlatformWaybill:
    """Keep a platform's number and document for the order's next parcel."""
    order = locked(session, warehouse_id, order_id)
    if order.state not in PLATFORM_OPEN:
        raise NoMoreParcels(order=order.shop_order_no)
    carrier_id = order.carrier_id or session.get_one(Shop, order.shop_id).carrier_id
    if carrier_id is None:
        raise NoCarrierYet(order=order.shop_order_no)
    return waybills.offer(session, order, session.get_one(Carrier, carrier_id), provider, number, document)


def platform_waybills(session: Session, order: Order) -> list[PlatformWaybill]:
    return list(
        session.execute(
            select(PlatformWaybill)
            .where(PlatformWaybill.warehouse_id == order.warehouse_id, PlatformWaybill.order_id == order.id)
            .order_by(PlatformWaybill.id)
        ).scalars()
    )


def carriers(session: Session) -> list[Carrier]:
    return list(session.execute(select(Carrier).order_by(Carrier.name)).scalars())


def lines(session: Session, order: Order) -> list[OrderLine]:
    return list(
        session.execute(
            select(OrderLine)
            .where(OrderLine.warehouse_id == order.warehouse_id, OrderLine.order_id == order.id)
            .order_by(OrderLine.id)
        ).scalars()
    )


def pieces(session: Session, order: Order) -> int:
    """Pieces of goods an order carries and still wants."""
    return sum(line.wanted for line in lines(session, order) if line.kind == "goods")


def of_wave(session: Session, wave: Wave) -> list[Order]:
    """The orders of a wave that wait to be picked or are being picked."""
    return list(
        session.execute(
            select(Order)
            .where(
                Order.warehouse_id == wave.warehouse_id,
                Order.wave_id == wave.id,
                Order.state.in_([S.RELEASED, S.PICKING]),
            )
            .order_by(Order.id)
        ).scalars()
    )


def parcels(session: Session, order: Order) -> list[tuple[Parcel, Waybill | None, Push | None]]:
    """Every parcel of an order with its newest waybill and its push."""
    found = []
    for parcel in session.execute(
        select(Parcel).where(Parcel.warehouse_id == order.warehouse_id, Parcel.order_id == order.id).order_by(Parcel.id)
    ).scalars():
        waybill = session.execute(
            select(Waybill)
            .where(Waybill.warehouse_id == order.warehouse_id, Waybill.parcel_id == parcel.id)
            .order_by(Waybill.id.desc())
            .limit(1)
        ).scalar_one_or_none()
        push = session.execute(
            select(Push)
            .where(Push.warehouse_id == order.warehouse_id, Push.parcel_id == parcel.id)
            .order_by(Push.order_id != order.id, Push.id)  # of merged orders the one that carries them
            .limit(1)
        ).scalar_one_or_none()
        found.append((parcel, waybill, push))
    return found
