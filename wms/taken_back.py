"""Lines taken back while an order is under way 部分退款: which pieces they are, who is told, who decides (R29)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, select, update
from sqlalchemy.orm import Session

from wms.errors import N_, Refusal
from wms.models import Item, Order, OrderLine, PickTask, TakenBack, TakenBackState


class LineTakenBack(Refusal):
    """R29: whoever holds the order is told at the next scan. Told once: the scan after it goes through."""

    message = N_("The buyer took back %(what)s of order %(order)s. Leave those pieces out; they are put back later.")
    answer = "look"
    block = True
    status = 409

    def __init__(self, row: PickTask | Order, **facts: object) -> None:
        super().__init__(**facts)
        self.row = (type(row), (row.warehouse_id, row.id))

    def remember(self, session: Session) -> None:
        kind, key = self.row
        session.execute(update(kind).where(kind.warehouse_id == key[0], kind.id == key[1]).values(tell=False))


class AskedAfterLabel(Refusal):
    """R29: the parcel has its label, so a supervisor decides; until then it does not leave."""

    message = N_("The buyer took back pieces of order %(order)s. Do not hand it over; a supervisor decides first.")
    block = True


@dataclass(frozen=True, slots=True)
class Back:
    """Pieces of an item that were taken back, or asked for; ``picked`` of them are to be put away again."""

    sku: str
    qty: int
    picked: int
    state: TakenBackState
    at: datetime


def what(session: Session, warehouse_id: int, order_id: int) -> list[Back]:
    """What was taken back of an order, the oldest first."""
    return [
        Back(row[1], row[0].qty, row[0].picked, row[0].state, row[0].at)
        for row in session.execute(
            select(TakenBack, Item.sku)
            .join(
                OrderLine,
                and_(OrderLine.warehouse_id == TakenBack.warehouse_id, OrderLine.id == TakenBack.order_line_id),
            )
            .join(Item, Item.id == OrderLine.item_id)
            .where(TakenBack.warehouse_id == warehouse_id, TakenBack.order_id == order_id)
            .order_by(TakenBack.id)
        )
    ]


def tell(session: Session, row: PickTask | Order, order: Order) -> None:
    """Raise LineTakenBack when somebody who holds the order was not told yet."""
    if not row.tell:
        return
    pieces: dict[str, int] = {}
    for taken in what(session, order.warehouse_id, order.id):
        if taken.state is TakenBackState.DONE:
            pieces[taken.sku] = pieces.get(taken.sku, 0) + taken.qty
    raise LineTakenBack(
        row, order=order.shop_order_no, what=", ".join(f"{qty} × {sku}" for sku, qty in pieces.items()) or "—"
    )


def asked(session: Session, order: Order) -> list[TakenBack]:
    """What the shop wants taken out of a parcel that has its label: a supervisor decides."""
    return list(
        session.execute(
            select(TakenBack)
            .where(
                TakenBack.warehouse_id == order.warehouse_id,
                TakenBack.order_id == order.id,
                TakenBack.state == TakenBackState.ASKED,
            )
            .order_by(TakenBack.id)
            .execution_options(populate_existing=True)
        ).scalars()
    )
