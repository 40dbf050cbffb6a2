"""What the supervisor's board shows: how many orders stand where, what waits for a decision."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import and_, exists, func, or_, select
from sqlalchemy.orm import Session

from wms.clock import now
from wms.errors import N_, Refusal
from wms.models import (
    Carrier,
    Count,
    CountState,
    GateCheck,
    Item,
    Order,
    OrderLine,
    OrderState,
    Push,
    Shop,
    Shortage,
    ShortageState,
    TakenBack,
    TakenBackState,
    Verdict,
    Warehouse,
    first_id,
)

S = OrderState
OPEN = (S.HELD, S.READY, S.SHORT, S.RELEASED, S.PICKING, S.PICKED, S.PACKING, S.PACKED, S.SHIPPED)
"""States that orders leave again: few rows, so they may be counted every few seconds."""


class BadState(Refusal):
    message = N_("There is no order state named %(state)s.")


def _midnight(session: Session, warehouse_id: int) -> datetime:
    zone = ZoneInfo(session.get_one(Warehouse, warehouse_id).timezone)
    return datetime.combine(now().astimezone(zone).date(), time(), zone)


def orders(session: Session, warehouse_id: int) -> dict[OrderState, int]:
    """Orders by state, as far as there is still something to do for them."""
    return {
        state: int(count)
        for state, count in session.execute(
            select(Order.state, func.count())
            .where(Order.warehouse_id == warehouse_id, Order.state.in_(OPEN))
            .group_by(Order.state)
        )
    }


def today(session: Session, warehouse_id: int) -> dict[str, int]:
    """Since the warehouse's midnight: parcels handed over, orders taken in, and how many of these were cancelled."""
    first = first_id(_midnight(session, warehouse_id))
    gone = session.execute(
        select(func.count()).select_from(Push).where(Push.warehouse_id == warehouse_id, Push.id >= first)
    ).scalar_one()
    taken = {
        state: int(count)
        for state, count in session.execute(
            select(Order.state, func.count())
            .where(Order.warehouse_id == warehouse_id, Order.id >= first)
            .group_by(Order.state)
        )
    }
    return {"handed_over": int(gone), "taken_in": sum(taken.values()), "cancelled": taken.get(S.CANCELLED, 0)}


TO_LEAVE = (S.HELD, S.READY, S.SHORT, S.RELEASED, S.PICKING, S.PICKED, S.PACKING, S.PACKED)
SOON = timedelta(hours=4)


def _due(which: str) -> Any:
    """Orders that should have left by now (``over``), or should within the next hours (``soon``)."""
    at = now()
    if which == "over":
        return and_(Order.state.in_(TO_LEAVE), Order.ship_by < at)
    return and_(Order.state.in_(TO_LEAVE), Order.ship_by >= at, Order.ship_by < at + SOON)


def due(session: Session, warehouse_id: int) -> dict[str, int]:
    """How many orders are late, and how many must leave within ``SOON``."""
    return {
        which: int(
            session.execute(
                select(func.count()).select_from(Order).where(Order.warehouse_id == warehouse_id, _due(which))
            ).scalar_one()
        )
        for which in ("over", "soon")
    }


def _stopped() -> Any:
    """Orders under way that their shop stops and nobody has decided about: cancelled or held there after all, pieces
    taken back after the label (R29), another address after the label.
    """
    asked = select(TakenBack.id).where(
        TakenBack.warehouse_id == Order.warehouse_id,
        TakenBack.order_id == Order.id,
        TakenBack.state == TakenBackState.ASKED,
    )
    said = select(GateCheck.id).where(
        GateCheck.warehouse_id == Order.warehouse_id,
        GateCheck.order_id == Order.id,
        GateCheck.verdict == Verdict.STOP,
        or_(GateCheck.override_at.is_(None), GateCheck.override_for != GateCheck.reason),
    )
    return and_(
        Order.state.in_((*TO_LEAVE, S.MERGED)), or_(Order.new_recipient_at.is_not(None), exists(asked), exists(said))
    )


def stopped(session: Session, warehouse_id: int) -> int:
    """How many orders their shop stops, which a supervisor must decide about."""
    return int(
        session.execute(
            select(func.count()).select_from(Order).where(Order.warehouse_id == warehouse_id, _stopped())
        ).scalar_one()
    )


def to_decide(session: Session, warehouse_id: int) -> int:
    return int(
        session.execute(
            select(func.count())
            .select_from(Count)
            .where(Count.warehouse_id == warehouse_id, Count.state == CountState.TO_DECIDE)
        ).scalar_one()
    )


def shortages(session: Session, warehouse_id: int) -> int:
    return int(
        session.execute(
            select(func.count(func.distinct(Shortage.order_id))).where(
                Shortage.warehouse_id == warehouse_id, Shortage.state == ShortageState.OPEN
            )
        ).scalar_one()
    )


def listed(
    session: Session,
    warehouse_id: int,
    state: OrderState | None,
    begins: str,
    offset: int,
    limit: int,
    which: str = "",
) -> list[tuple[Order, str, str, int]]:
    """Orders with shop, carrier and pieces: most urgent first where they wait, else newest first.

    ``which``: only those that are late ("over"), that must leave soon ("soon"), or that their shop stops ("stopped").
    """
    query = (
        select(Order, Shop.name, func.coalesce(Carrier.name, ""))
        .join(Shop, Shop.id == Order.shop_id)
        .outerjoin(Carrier, Carrier.id == Order.carrier_id)
        .where(Order.warehouse_id == warehouse_id)
        .offset(offset)
        .limit(limit)
    )
    if state is not None:
        query = query.where(Order.state == state)
    if begins:
        query = query.where(Order.shop_order_no.startswith(begins, autoescape=True))
    if which:
        query = query.where(_stopped() if which == "stopped" else _due(which))
    if which or state in (S.HELD, S.READY, S.SHORT):
        query = query.order_by(Order.ship_by.is_(None), Order.ship_by, Order.ordered_at, Order.id)
    else:
        query = query.order_by(Order.id.desc())
    rows = session.execute(query).all()
    pieces = _pieces(session, warehouse_id, [row[0].id for row in rows])
    return [(row[0], row[1], row[2], pieces.get(row[0].id, 0)) for row in rows]


def _pieces(session: Session, warehouse_id: int, order_ids: Sequence[int]) -> dict[int, int]:
    return {
        order_id: int(pieces)
        for order_id, pieces in session.execute(
            select(OrderLine.order_id, func.sum(OrderLine.qty - OrderLine.cancelled_qty))
            .where(OrderLine.warehouse_id == warehouse_id, OrderLine.order_id.in_(order_ids), OrderLine.kind == "goods")
            .group_by(OrderLine.order_id)
        )
    }


def short_orders(session: Session, warehouse_id: int) -> list[tuple[Order, list[tuple[Shortage, Item]]]]:
    """Orders with open shortages, the longest waiting first, each with what is missing."""
    found: dict[int, tuple[Order, list[tuple[Shortage, Item]]]] = {}
    for order, shortage, item in session.execute(
        select(Order, Shortage, Item)
        .join(Shortage, (Shortage.warehouse_id == Order.warehouse_id) & (Shortage.order_id == Order.id))
        .join(Item, Item.id == Shortage.item_id)
        .where(Shortage.warehouse_id == warehouse_id, Shortage.state == ShortageState.OPEN)
        .order_by(Shortage.at, Shortage.id)
        .limit(1000)
    ):
        found.setdefault(order.id, (order, []))[1].append((shortage, item))
    return list(found.values())
