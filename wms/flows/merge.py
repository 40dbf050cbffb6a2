"""Merge 合单 and split 拆单 at the desk: orders of one recipient in one parcel, or one order in several."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from wms import recipients, rules, together
from wms.clock import now
from wms.errors import N_, BadQuantity, ChangedMeanwhile, Refusal, term
from wms.models import Journal, Order, OrderLine, OrderState, Shop
from wms.order_states import goods, locked, require
from wms.rules import gifts

S = OrderState
MOST = 500


class NotTogether(Refusal):
    message = N_("These orders do not go to one recipient of one shop. Choose orders that were proposed together.")


class OneIsTooFew(Refusal):
    message = N_("Choose at least two orders.")
    answer = "look"


class NothingLeft(Refusal):
    message = N_("Something must stay in order %(order)s. Take fewer pieces.")
    answer = "look"


def proposals(session: Session, warehouse_id: int, by_itself: bool = False) -> list[list[Order]]:
    """Ready orders of one shop to one recipient, where the shop's rule is on; the most urgent group first.

    ``by_itself``: only of shops that want it done without being asked, and without orders that a person took apart.
    """
    at, groups = now(), dict[tuple[int, int | None, str], list[Order]]()
    for shop in session.execute(select(Shop).where(Shop.warehouse_id == warehouse_id, Shop.active)).scalars():
        stands = rules.of_shop(session, shop)["merge"]
        if not stands.on or (by_itself and not stands.facts["by_itself"]):
            continue
        since = at - timedelta(hours=int(stands.facts["hours"]))
        for order in session.execute(
            select(Order)
            .where(
                Order.warehouse_id == warehouse_id,
                Order.state == S.READY,
                Order.shop_id == shop.id,
                Order.taken_in_at >= since,
                Order.part_of_id.is_(None),
            )
            .order_by(Order.id)
            .limit(MOST * 4)
        ).scalars():
            if who := recipients.identity(order.recipient):
                groups.setdefault((shop.id, order.carrier_id, who), []).append(order)
    if by_itself:
        apart_ = _taken_apart(session, warehouse_id, [order.id for group in groups.values() for order in group])
        groups = {key: [order for order in group if order.id not in apart_] for key, group in groups.items()}
    found = [group for group in groups.values() if len(group) > 1]
    return sorted(found, key=lambda group: min((o.ship_by or at + timedelta(days=999)) for o in group))[:MOST]


def _taken_apart(session: Session, warehouse_id: int, order_ids: Sequence[int]) -> set[int]:
    """Orders of a merge that a person undid: what a person has said stays so."""
    found: set[int] = set()
    for first in range(0, len(order_ids), 400):
        found.update(
            session.execute(
                select(Journal.document_id).where(
                    Journal.warehouse_id == warehouse_id,
                    Journal.document == Order.__tablename__,
                    Journal.document_id.in_(order_ids[first : first + 400]),
                    Journal.what == "unmerged",
                    Journal.operator_id.is_not(None),
                )
            ).scalars()
        )
    return found


def merge(session: Session, warehouse_id: int, order_ids: Sequence[int]) -> Order:
    """These in one parcel, says a person or the shop's rule. Returns the order that carries them all."""
    orders = [locked(session, warehouse_id, order_id) for order_id in sorted(set(order_ids))]
    if len(orders) < 2:
        raise OneIsTooFew()
    for order in orders:
        require(order, S.READY)
    orders.sort(key=lambda order: not together.merged_into(session, order))  # who carries others already goes on so
    lead = orders[0]
    who = recipients.identity(lead.recipient)
    together_ = all(
        order.shop_id == lead.shop_id
        and order.carrier_id == lead.carrier_id
        and order.part_of_id is None
        and recipients.identity(order.recipient) == who
        for order in orders
    )
    if not who or not together_ or not rules.is_on(session, lead.shop_id, "merge"):
        raise NotTogether()
    if any(together.merged_into(session, order) for order in orders[1:]):
        raise ChangedMeanwhile(what=term("The merge"))
    together.merge(session, lead, orders[1:])
    return session.get_one(Order, (warehouse_id, lead.id))


def apart(session: Session, warehouse_id: int, order_id: int) -> None:
    """Undo a merge, while nothing of it was released."""
    order = session.get_one(Order, (warehouse_id, order_id))
    if order.merged_into_id is not None:
        locked(session, warehouse_id, order.merged_into_id)
    order = locked(session, warehouse_id, order_id)
    if order.state is not S.MERGED and not together.merged_into(session, order):
        raise ChangedMeanwhile(what=order.shop_order_no)
    together.undo_merge(session, order)


def split(session: Session, warehouse_id: int, order_id: int, line_id: int, qty: int) -> Order:
    """So many pieces of a line are sent separately, before anything was released; returns the part."""
    order = locked(session, warehouse_id, order_id)
    require(order, S.READY)
    lines = goods(session, order)
    line: OrderLine | None = next((each for each in lines if each.id == line_id), None)
    if line is None or line.home_id != (order.part_of_id or order.id):
        raise ChangedMeanwhile(what=term("This line"))
    if not 1 <= qty <= line.wanted:
        raise BadQuantity(entered=qty, most=line.wanted)
    left = sum(each.wanted for each in lines if not gifts.is_gift(each) or each.id == line.id) - qty
    if left < 1:
        raise NothingLeft(order=order.shop_order_no)
    return together.split_off(session, order, [(line, qty)])
