"""Gifts 满赠: lines of price nought that a rule adds when an order comes in, and takes back with what earned them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from wms import journal
from wms.clock import now
from wms.models import GiftRule, Item, LineKind, Order, OrderLine, OrderState, new_id

PREFIX = "gift:"


def is_gift(line: OrderLine) -> bool:
    """The shop knows nothing of such a line and is told nothing of it."""
    return line.line_ref.startswith(PREFIX)


def rule_of(line: OrderLine) -> int:
    return int(line.line_ref.removeprefix(PREFIX))


def add(session: Session, order: Order) -> list[OrderLine]:
    """Add what the rules give to an order whose lines were just written; each rule once an order."""
    at = order.ordered_at or now()
    given = []
    for rule in _open(session, order, at):
        qty = owed(session, rule, order)
        if rule.most is not None and qty:
            # Two orders that want the last gift wait for each other here.
            session.refresh(rule, with_for_update=True)
            qty = min(qty, max(0, (rule.most or 0) - spent(session, rule)))
        if not qty:
            continue
        item = session.get_one(Item, rule.gift_item_id)
        line = OrderLine(
            warehouse_id=order.warehouse_id,
            id=new_id(),
            order_id=order.id,
            home_id=order.id,
            line_ref=f"{PREFIX}{rule.id}",
            kind=LineKind.GOODS,
            sku=item.sku,
            name=item.name,
            item_id=item.id,
            qty=qty,
            price_minor=0,
        )
        session.add(line)
        journal.note(session, order, "gift", "", f"{qty} × {item.sku} {rule.name}")
        given.append(line)
    session.flush()
    return given


def too_many(session: Session, order: Order) -> list[tuple[OrderLine, int]]:
    """R29: gifts that an order no longer earns after a part of it was taken back: (line, pieces).

    Asked of the rule as it stands for this order, also when it ended since: what was promised is never added to here.
    """
    found = []
    for line in _lines(session, order):
        if not is_gift(line) or not line.wanted:
            continue
        rule = session.get(GiftRule, (order.warehouse_id, rule_of(line)))
        due = 0 if rule is None else owed(session, rule, order, line.home_id)
        if line.wanted > due:
            found.append((line, line.wanted - due))
    return found


def owed(session: Session, rule: GiftRule, order: Order, home_id: int | None = None) -> int:
    """Pieces of the gift that the wanted lines of the shop's order earn."""
    home_id = order.id if home_id is None else home_id
    amount = pieces = of_the_items = 0
    for line in _lines(session, order):
        if is_gift(line) or line.home_id != home_id:
            continue
        amount += line.wanted * line.price_minor
        pieces += line.wanted
        if not rule.item_ids or line.item_id in rule.item_ids:
            of_the_items += line.wanted
    if not pieces or (rule.item_ids and not of_the_items):
        return 0
    steps = []
    if rule.min_minor:
        steps.append(amount // rule.min_minor)
    if rule.min_pieces:
        steps.append(of_the_items // rule.min_pieces)
    times = min(steps, default=1)
    return (times if rule.each_step else min(times, 1)) * rule.gift_qty


def spent(session: Session, rule: GiftRule) -> int:
    """Pieces given by a rule so far, without those of cancelled orders."""
    return int(
        session.execute(
            select(func.coalesce(func.sum(OrderLine.qty - OrderLine.cancelled_qty), 0))
            .join(Order, and_(Order.warehouse_id == OrderLine.warehouse_id, Order.id == OrderLine.home_id))
            .where(
                OrderLine.warehouse_id == rule.warehouse_id,
                OrderLine.item_id == rule.gift_item_id,
                OrderLine.line_ref == f"{PREFIX}{rule.id}",
                Order.state != OrderState.CANCELLED,
            )
        ).scalar_one()
    )


def _open(session: Session, order: Order, at: datetime) -> list[GiftRule]:
    return list(
        session.execute(
            select(GiftRule)
            .where(
                GiftRule.warehouse_id == order.warehouse_id,
                GiftRule.active,
                or_(GiftRule.shop_id.is_(None), GiftRule.shop_id == order.shop_id),
                or_(GiftRule.valid_from.is_(None), GiftRule.valid_from <= at),
                or_(GiftRule.valid_until.is_(None), GiftRule.valid_until > at),
            )
            .order_by(GiftRule.id)
        ).scalars()
    )


def _lines(session: Session, order: Order) -> list[OrderLine]:
    return list(
        session.execute(
            select(OrderLine)
            .where(
                OrderLine.warehouse_id == order.warehouse_id,
                OrderLine.order_id == order.id,
                OrderLine.kind == LineKind.GOODS,
            )
            .order_by(OrderLine.id)
        ).scalars()
    )
