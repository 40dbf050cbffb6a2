"""Merge 合单 and split 拆单 at the desk: orders of one recipient in one parcel, or one order in several."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from wms import rules, together
from wms.clock import now
from wms.errors import N_, BadQuantity, ChangedMeanwhile, Refusal, term
from wms.models import Order, OrderLine, OrderState, Shop
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


def same_recipient(to: Mapping[str, Any]) -> str:
    """What is the same for two orders to one recipient, within one shop; nothing when it cannot be known.

    A platform's code stands for name, phone and address together. It depends on shop and app, so it is never compared
    across shops. Plain recipients are the same only when every part of them is, and none is masked.
    """
    if oaid := str(to.get("oaid") or "").strip():
        return f"oaid {oaid}"
    parts = [str(to.get(name) or "") for name in ("name", "phone", "address")]
    if not all(part.strip() for part in parts) or any("*" in part or "＊" in part for part in parts):
        return ""
    parts += [str(to.get(name) or "") for name in ("country", "province", "city", "district", "town")]
    return "\n".join(re.sub(r"\s+", "", unicodedata.normalize("NFKC", part)).casefold() for part in parts)


def proposals(session: Session, warehouse_id: int) -> list[list[Order]]:
    """Ready orders of one shop to one recipient, where the shop's rule is on; the most urgent group first."""
    at, groups = now(), dict[tuple[int, int | None, str], list[Order]]()
    for shop in session.execute(select(Shop).where(Shop.warehouse_id == warehouse_id, Shop.active)).scalars():
        stands = rules.of_shop(session, shop)["merge"]
        if not stands.on:
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
            if who := same_recipient(order.recipient):
                groups.setdefault((shop.id, order.carrier_id, who), []).append(order)
    found = [group for group in groups.values() if len(group) > 1]
    return sorted(found, key=lambda group: min((o.ship_by or at + timedelta(days=999)) for o in group))[:MOST]


def merge(session: Session, warehouse_id: int, order_ids: Sequence[int]) -> Order:
    """A person says: these in one parcel. Returns the order that carries them all."""
    orders = [locked(session, warehouse_id, order_id) for order_id in sorted(set(order_ids))]
    if len(orders) < 2:
        raise OneIsTooFew()
    for order in orders:
        require(order, S.READY)
    orders.sort(key=lambda order: not together.merged_into(session, order))  # who carries others already goes on so
    lead = orders[0]
    who = same_recipient(lead.recipient)
    together_ = all(
        order.shop_id == lead.shop_id
        and order.carrier_id == lead.carrier_id
        and order.part_of_id is None
        and same_recipient(order.recipient) == who
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
