"""The states of an order and which follow which; what release, pick, pack, ship and cancel share."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from wms.errors import ChangedMeanwhile, NotFound, Term, term
from wms.journal import advance as _advance
from wms.models import LineKind, Order, OrderLine, OrderState

S = OrderState
STEPS = {
    S.HELD: {S.READY, S.CANCELLED},
    S.READY: {S.HELD, S.RELEASED, S.SHORT, S.MERGED, S.CANCELLED},
    S.RELEASED: {S.READY, S.PICKING, S.SHORT, S.CANCELLED},
    S.PICKING: {S.PICKED, S.SHORT, S.CANCELLED, S.RELEASED},
    S.PICKED: {S.PICKING, S.PACKING, S.CANCELLED},
    S.SHORT: {S.READY, S.RELEASED, S.PICKING, S.PICKED, S.CANCELLED},
    S.PACKING: {S.PICKED, S.PACKED, S.CANCELLED},
    S.PACKED: {S.PACKING, S.SHIPPED, S.CANCELLED},
    S.SHIPPED: {S.ACKNOWLEDGED},
    S.ACKNOWLEDGED: set[OrderState](),
    S.CANCELLED: set[OrderState](),
    S.MERGED: {S.READY, S.SHIPPED, S.CANCELLED},
}
WORDS: dict[OrderState, Term] = {
    S.HELD: term("held"),
    S.READY: term("ready"),
    S.RELEASED: term("released"),
    S.PICKING: term("picking"),
    S.PICKED: term("picked"),
    S.SHORT: term("short"),
    S.PACKING: term("packing"),
    S.PACKED: term("packed"),
    S.SHIPPED: term("shipped"),
    S.ACKNOWLEDGED: term("acknowledged"),
    S.CANCELLED: term("cancelled"),
    S.MERGED: term("merged into another order"),
}
"""What a worker is told an order is."""


def advance(session: Session, order: Order, state: OrderState) -> None:
    _advance(session, order, state, STEPS)


def locked(session: Session, warehouse_id: int, order_id: int) -> Order:
    """The order's newest state, held until this transaction ends (R28)."""
    order = session.execute(
        select(Order)
        .where(Order.warehouse_id == warehouse_id, Order.id == order_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if order is None:
        raise NotFound(what=term("The order"))
    return order


def require(order: Order, *states: OrderState) -> None:
    """Raise ChangedMeanwhile unless the order is in one of the states the flow starts from."""
    if order.state not in states:
        raise ChangedMeanwhile(what=order.shop_order_no)


def goods(session: Session, order: Order) -> list[OrderLine]:
    """The lines with pieces to ship, in a fixed order so that two releases lock alike."""
    return list(
        session.execute(
            select(OrderLine)
            .where(
                OrderLine.warehouse_id == order.warehouse_id,
                OrderLine.order_id == order.id,
                OrderLine.kind == LineKind.GOODS,
                OrderLine.qty > OrderLine.cancelled_qty,
            )
            .order_by(OrderLine.item_id, OrderLine.id)
        ).scalars()
    )
