"""Cancel and intercept 拦截: an order may be cancelled in any state until it was handed over (R28)."""

from __future__ import annotations

from sqlalchemy import and_, func, select, update
from sqlalchemy.orm import Session

from wms import allocation, journal, labels, ledger, waybills
from wms.errors import N_, Refusal
from wms.journal import advance
from wms.models import (
    Balance,
    Location,
    LocationKind,
    Order,
    OrderState,
    Parcel,
    ParcelState,
    PickStep,
    PickTask,
    Shortage,
    ShortageState,
    ToteUse,
)
from wms.order_states import advance as advance_order
from wms.order_states import locked


class TooLate(Refusal):
    """CANCELFAIL of a Qimen delivery order: the parcel is with the carrier."""

    message = N_("Order %(order)s was already handed over. Ask the carrier to intercept parcel %(parcels)s.")
    answer = "look"


def cancel(session: Session, order: Order, why: str) -> None:
    """Stop an order wherever it is: give back what it was promised, void its labels, stop who holds it.

    Goods already picked stay in their tote, or in the voided parcel, until they are put away again.
    """
    order = locked(session, order.warehouse_id, order.id)
    if order.state is OrderState.CANCELLED:
        return
    parcels = (
        session.execute(
            select(Parcel)
            .where(
                Parcel.warehouse_id == order.warehouse_id, Parcel.order_id == order.id, Parcel.state != ParcelState.VOID
            )
            .with_for_update()
        )
        .scalars()
        .all()
    )
    gone = [p.code for p in parcels if p.state in (ParcelState.HANDED_OVER, ParcelState.ACKNOWLEDGED)]
    if gone or order.state in (OrderState.SHIPPED, OrderState.ACKNOWLEDGED):
        raise TooLate(order=order.shop_order_no, parcels=", ".join(gone))
    for parcel in parcels:
        waybills.void(session, parcel)
        labels.cancel(session, parcel)
        advance(session, parcel, ParcelState.VOID, {parcel.state: {ParcelState.VOID}})
    for allocated in allocation.of_order(session, order.warehouse_id, order.id):
        ledger.free(session, allocated)
    for task in session.execute(
        select(PickTask)
        .where(
            PickTask.warehouse_id == order.warehouse_id, PickTask.order_id == order.id, PickTask.step != PickStep.DONE
        )
        .with_for_update()
    ).scalars():
        task.step = PickStep.STOPPED if task.operator_id else PickStep.DONE
    for use in session.execute(
        select(ToteUse).where(ToteUse.warehouse_id == order.warehouse_id, ToteUse.order_id == order.id)
    ).scalars():
        session.delete(use)
    session.execute(
        update(Shortage)
        .where(
            Shortage.warehouse_id == order.warehouse_id,
            Shortage.order_id == order.id,
            Shortage.state == ShortageState.OPEN,
        )
        .values(state=ShortageState.RESOLVED, decision="cancelled")
    )
    journal.note(session, order, "cancelled", order.state, why)
    order.cancel_asked = True
    advance_order(session, order, OrderState.CANCELLED)


def to_put_back(session: Session, warehouse_id: int) -> list[tuple[str, int]]:
    """Totes and voided parcels that still hold goods of cancelled orders: (code to scan, pieces)."""
    rows = session.execute(
        select(Location.kind, Location.code, Balance.container, func.sum(Balance.on_hand))
        .join(Location, and_(Location.warehouse_id == Balance.warehouse_id, Location.id == Balance.location_id))
        .outerjoin(ToteUse, and_(ToteUse.warehouse_id == Balance.warehouse_id, ToteUse.tote_id == Balance.location_id))
        .where(
            Balance.warehouse_id == warehouse_id,
            Balance.on_hand > Balance.allocated,
            Location.kind.in_([LocationKind.TOTE, LocationKind.STAGING]),
            ToteUse.tote_id.is_(None),
        )
        .group_by(Location.kind, Location.code, Balance.container)
    )
    return [
        (f"T-{code}" if kind is LocationKind.TOTE else f"P-{container}", int(pieces))
        for kind, code, container, pieces in rows
    ]
