"""Orders sent together 合单 and apart 拆单: which order carries which lines (docs/decisions/0020)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, func, select, update
from sqlalchemy.orm import Session

from wms import journal
from wms.clock import now
from wms.errors import ChangedMeanwhile, term
from wms.models import LineKind, Order, OrderLine, OrderState, Parcel, ParcelLine, new_id
from wms.order_states import advance, locked
from wms.rules import gifts

S = OrderState


def merged_into(session: Session, lead: Order) -> list[Order]:
    """The orders whose lines this one carries besides its own, cancelled ones left out."""
    return list(
        session.execute(
            select(Order)
            .where(
                Order.warehouse_id == lead.warehouse_id,
                Order.merged_into_id == lead.id,
                Order.state != S.CANCELLED,
            )
            .order_by(Order.id)
        ).scalars()
    )


def parts_of(session: Session, home: Order) -> list[Order]:
    """The parts of a shop's order that are sent by themselves, cancelled ones left out."""
    return list(
        session.execute(
            select(Order)
            .where(Order.warehouse_id == home.warehouse_id, Order.part_of_id == home.id, Order.state != S.CANCELLED)
            .order_by(Order.id)
        ).scalars()
    )


def all_carried(session: Session, order: Order) -> list[Order]:
    """The order and those merged into it: whose notes a packer reads, whose shops are told."""
    return [order, *merged_into(session, order)]


def homes_of(session: Session, order: Order) -> list[Order]:
    """The shop's orders whose pieces an order still carries: whom the shop is asked about before the label."""
    ids = set(
        session.execute(
            select(OrderLine.home_id).where(
                OrderLine.warehouse_id == order.warehouse_id,
                OrderLine.order_id == order.id,
                OrderLine.kind == LineKind.GOODS,
                OrderLine.qty > OrderLine.cancelled_qty,
                OrderLine.line_ref.not_like(f"{gifts.PREFIX}%"),
            )
        ).scalars()
    ) or {order.part_of_id or order.id}
    return [session.get_one(Order, (order.warehouse_id, home_id)) for home_id in sorted(ids)]


def merge(session: Session, lead: Order, others: Sequence[Order]) -> None:
    """Let ``lead`` carry the lines of the others. All of them are locked and ready; the caller has judged them."""
    for other in others:
        session.execute(
            update(OrderLine)
            .where(OrderLine.warehouse_id == lead.warehouse_id, OrderLine.order_id == other.id)
            .values(order_id=lead.id)
            .execution_options(synchronize_session=False)
        )
        other.merged_into_id = lead.id
        advance(session, other, S.MERGED)
        journal.note(session, lead, "merged", "", other.shop_order_no)
        journal.note(session, other, "merged", "", lead.shop_order_no)
    due = [order.ship_by for order in (lead, *others) if order.ship_by is not None]
    lead.ship_by = min(due, default=None)
    session.flush()
    session.expire_all()


def undo_merge(session: Session, order: Order) -> None:
    """Give a merged order, or all that are merged into this one, their lines back, while nothing was released."""
    if order.state is S.MERGED:
        assert order.merged_into_id is not None
        lead = locked(session, order.warehouse_id, order.merged_into_id)
        apart = [order]
    else:
        lead, apart = order, [each for each in merged_into(session, order) if each.state is S.MERGED]
    if not apart:
        return
    if lead.state not in (S.READY, S.HELD):
        raise ChangedMeanwhile(what=lead.shop_order_no)
    for each in apart:
        session.execute(
            update(OrderLine)
            .where(
                OrderLine.warehouse_id == lead.warehouse_id,
                OrderLine.order_id == lead.id,
                OrderLine.home_id == each.id,
            )
            .values(order_id=each.id)
            .execution_options(synchronize_session=False)
        )
        each.merged_into_id = None
        advance(session, each, S.READY)
        journal.note(session, each, "unmerged", lead.shop_order_no, "")
    session.flush()
    session.expire_all()


def split_off(session: Session, order: Order, parts: Sequence[tuple[OrderLine, int]]) -> Order:
    """Put so many pieces of these lines into an order of their own, to be sent by itself; returns it.

    The pieces must not be promised to anybody. The shop's order stays one: each parcel is told under its number.
    """
    home_id = order.part_of_id or order.id
    number = (
        2
        + session.execute(
            select(func.count())
            .select_from(Order)
            .where(Order.warehouse_id == order.warehouse_id, Order.part_of_id == home_id)
        ).scalar_one()
    )
    home = session.get_one(Order, (order.warehouse_id, home_id))
    part = Order(
        warehouse_id=order.warehouse_id,
        id=new_id(),
        shop_id=order.shop_id,
        shop_order_no=f"{home.shop_order_no[:58]}#{number}",
        state=S.READY,
        carrier_id=order.carrier_id,
        ordered_at=order.ordered_at,
        ship_by=order.ship_by,
        taken_in_at=now(),
        recipient=dict(order.recipient),
        buyer_note=order.buyer_note,
        seller_memo=order.seller_memo,
        part_of_id=home_id,
    )
    session.add(part)
    session.flush()
    for line, qty in parts:
        if qty < 1 or qty > line.wanted:
            raise ChangedMeanwhile(what=term("This line"))
        if qty == line.qty:
            line.order_id = part.id
            continue
        session.add(
            OrderLine(
                warehouse_id=order.warehouse_id,
                id=new_id(),
                order_id=part.id,
                home_id=line.home_id,
                line_ref=line.line_ref,
                kind=LineKind.GOODS,
                sku=line.sku,
                name=line.name,
                item_id=line.item_id,
                qty=qty,
                price_minor=line.price_minor,
            )
        )
        line.qty -= qty
    journal.note(session, order, "split", "", part.shop_order_no)
    journal.note(session, part, "split", order.shop_order_no, "")
    session.flush()
    return part


def shipped(session: Session, order: Order) -> None:
    """The last parcel of an order has left, and with it whatever was merged into it."""
    at = now()
    for each in all_carried(session, order):
        if each.id == order.id or each.state is S.MERGED:
            each.shipped_at = at
            advance(session, each, S.SHIPPED)


def homes_in(session: Session, parcel: Parcel) -> list[Order]:
    """The shop's orders of which pieces are in a parcel. One of gifts alone belongs to the order that carries it."""
    ids = set(
        session.execute(
            select(OrderLine.home_id)
            .join(
                ParcelLine,
                and_(ParcelLine.warehouse_id == OrderLine.warehouse_id, ParcelLine.order_line_id == OrderLine.id),
            )
            .where(
                ParcelLine.warehouse_id == parcel.warehouse_id,
                ParcelLine.parcel_id == parcel.id,
                ParcelLine.qty > 0,
                OrderLine.line_ref.not_like(f"{gifts.PREFIX}%"),
            )
        ).scalars()
    )
    if not ids:
        carrier = session.get_one(Order, (parcel.warehouse_id, parcel.order_id))
        ids = {carrier.part_of_id or carrier.id}
    return [session.get_one(Order, (parcel.warehouse_id, home_id)) for home_id in sorted(ids)]
