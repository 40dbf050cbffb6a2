"""What may be sold 可售库存 and each shop's part of it (R38): the numbers, and the settings behind them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.orm import Session

from wms import allocation, journal, shop_items
from wms.clock import now
from wms.db import actor_of
from wms.errors import N_, ChangedMeanwhile, NotFound, Refusal, term
from wms.models import (
    Allocation,
    Balance,
    Condition,
    Count,
    CountState,
    Item,
    LineKind,
    Location,
    LocationKind,
    Lot,
    Order,
    OrderLine,
    OrderState,
    Shop,
    ShopSku,
    ShopStock,
    StockBuffer,
    StockPush,
    StockPushState,
    StockQuota,
    StockWatch,
    new_id,
)
from wms.planning.sharing import Claim, narrowest, share_out

UNDER_WAY = tuple(
    state for state in OrderState if state not in (OrderState.SHIPPED, OrderState.ACKNOWLEDGED, OrderState.CANCELLED)
)
MOST = 10_000_000
S = StockPushState
FOR_A_PERSON = (S.FAILED,)
DIFFERS = (S.PENDING, S.SENDING, S.RETRY, S.FAILED)
SAID_UNKNOWN = "sku_unknown"
"""The reason of every connector for an item the shop does not have."""


class BadNumber(Refusal):
    message = N_("Enter a whole number from %(least)s to %(most)s.")
    answer = "look"


def available(session: Session, warehouse_id: int, items: Collection[int] | None = None) -> dict[int, int]:
    """By item: good pieces on open shelves that nobody is promised, less what orders under way still want.

    An order counts from the moment it is taken in: its shop has sold the piece, though nothing is promised yet. Items
    without a row have nothing. May be below zero, where more was sold than there is.
    """
    doubted = select(Count.location_id).where(
        Count.warehouse_id == warehouse_id,
        Count.why == "short",
        Count.state.in_([CountState.PLANNED, CountState.COUNTING, CountState.RECOUNT, CountState.TO_DECIDE]),
    )
    free = (
        select(Balance.item_id, func.sum(Balance.on_hand - Balance.allocated))
        .join(Location, and_(Location.warehouse_id == Balance.warehouse_id, Location.id == Balance.location_id))
        .outerjoin(Lot, and_(Lot.item_id == Balance.item_id, Lot.code == Balance.lot))
        .where(
            Balance.warehouse_id == warehouse_id,
            Balance.condition == Condition.GOOD,
            Balance.on_hand > Balance.allocated,
            Location.kind == LocationKind.STORAGE,
            Location.blocked.is_(False),
            Location.id.not_in(doubted),
            or_(Lot.held.is_(None), Lot.held.is_(False)),
            or_(Lot.expiry.is_(None), Lot.expiry >= allocation.today(session, warehouse_id)),
        )
        .group_by(Balance.item_id)
    )
    # Line by line: what one order has too much of is nothing another can have.
    promised = (
        select(Allocation.order_line_id, func.sum(Allocation.qty).label("qty"))
        .where(Allocation.warehouse_id == warehouse_id)
        .group_by(Allocation.order_line_id)
        .subquery()
    )
    open_qty = OrderLine.qty - OrderLine.cancelled_qty - OrderLine.shipped_qty - func.coalesce(promised.c.qty, 0)
    wanted = (
        select(OrderLine.item_id, func.sum(open_qty))
        .join(Order, and_(Order.warehouse_id == OrderLine.warehouse_id, Order.id == OrderLine.order_id))
        .outerjoin(promised, promised.c.order_line_id == OrderLine.id)
        .where(
            Order.warehouse_id == warehouse_id,
            Order.state.in_(UNDER_WAY),
            OrderLine.kind == LineKind.GOODS,
            OrderLine.item_id.is_not(None),
            open_qty > 0,
        )
        .group_by(OrderLine.item_id)
    )
    if items is not None:
        free, wanted = free.where(Balance.item_id.in_(items)), wanted.where(OrderLine.item_id.in_(items))
    found = {row[0]: int(row[1]) for row in session.execute(free)}
    for item_id, pieces in session.execute(wanted):
        assert item_id is not None
        found[item_id] = found.get(item_id, 0) - int(pieces)
    return found


def sellable(session: Session, warehouse_id: int, items: Collection[int] | None = None) -> dict[int, int]:
    """By active item: what all shops together may sell, the buffer taken off; zero and not below."""
    have = available(session, warehouse_id, items)
    buffers = {
        row[0]: int(row[1])
        for row in session.execute(
            select(StockBuffer.scope, StockBuffer.qty).where(StockBuffer.warehouse_id == warehouse_id)
        )
    }
    query = select(Item.id, Item.category).where(Item.active)
    if items is not None:
        query = query.where(Item.id.in_(items))
    return {
        item_id: max(have.get(item_id, 0) - narrowest(item_id, category, buffers), 0)
        for item_id, category in session.execute(query)
    }


def told_shops(session: Session, warehouse_id: int) -> list[ShopStock]:
    """Shops that are told of stock, in a fixed order."""
    return list(
        session.execute(
            select(ShopStock)
            .join(Shop, Shop.id == ShopStock.shop_id)
            .where(ShopStock.warehouse_id == warehouse_id, ShopStock.told, Shop.active)
            .order_by(ShopStock.shop_id)
        ).scalars()
    )


def wanted(session: Session, warehouse_id: int, items: Collection[int] | None = None) -> dict[tuple[int, int], int]:
    """By (shop, item): what the shop is to be told; over the shops of an item never more than may be sold."""
    shops = told_shops(session, warehouse_id)
    if not shops:
        return {}
    quota_query = select(StockQuota.shop_id, StockQuota.item_id, StockQuota.qty).where(
        StockQuota.warehouse_id == warehouse_id
    )
    quotas = {(row[0], row[1]): int(row[2]) for row in session.execute(quota_query)}
    left_out = {
        (row[0], row[1])
        for row in session.execute(
            select(StockPush.shop_id, StockPush.item_id).where(
                StockPush.warehouse_id == warehouse_id, StockPush.state == S.LEFT_OUT
            )
        )
    }
    result: dict[tuple[int, int], int] = {}
    for item_id, stock in sellable(session, warehouse_id, items).items():
        claims = [
            Claim(shop.shop_id, shop.share, quotas.get((shop.shop_id, item_id)))
            for shop in shops
            if (shop.shop_id, item_id) not in left_out
        ]
        for shop_id, pieces in share_out(stock, claims).items():
            result[shop_id, item_id] = pieces
    return result


def names(session: Session, warehouse_id: int, shop_id: int, item: Item) -> list[str]:
    """Every SKU under which a shop sells an item: what was said of it, and ours where the shop uses that."""
    said = [
        row[0] or row[1]
        for row in session.execute(
            select(ShopSku.spelling, ShopSku.sku)
            .where(ShopSku.warehouse_id == warehouse_id, ShopSku.shop_id == shop_id, ShopSku.item_id == item.id)
            .order_by(ShopSku.id)
        )
    ]
    if not said or shop_items.key(item.sku) in map(shop_items.key, said):
        return said or [item.sku]
    sold_as_ours = session.execute(
        select(OrderLine.id)
        .join(Order, and_(Order.warehouse_id == OrderLine.warehouse_id, Order.id == OrderLine.order_id))
        .where(
            OrderLine.warehouse_id == warehouse_id,
            OrderLine.item_id == item.id,
            Order.shop_id == shop_id,
            func.upper(func.trim(OrderLine.sku)) == shop_items.key(item.sku),
        )
        .limit(1)
    ).first()
    return [*said, item.sku] if sold_as_ours else said


# Settings


def number(text: str, least: int, most: int) -> int:
    """A whole number a person entered."""
    said = text.strip()
    if not (said.isascii() and said.isdigit() and len(said) < 10) or not least <= int(said) <= most:
        raise BadNumber(least=least, most=most)
    return int(said)


def settings_of(session: Session, shop: Shop) -> ShopStock:
    """How a shop is told; off, until somebody says so."""
    found = session.get(ShopStock, shop.id)
    if found is None:
        found = ShopStock(
            shop_id=shop.id, warehouse_id=shop.warehouse_id, told=False, share=100, per_minute=300, failures=0
        )
    return found


def save_shop(session: Session, shop: Shop, *, told: bool, share: int, per_minute: int) -> None:
    row = settings_of(session, shop)
    before = f"{row.told} {row.share}% {row.per_minute}/min"
    row.told, row.share, row.per_minute = told, share, per_minute
    session.add(row)
    session.flush()
    journal.note(session, shop, "stock_push", before, f"{told} {share}% {per_minute}/min")
    look_at_all(session, shop.warehouse_id)


def save_buffer(session: Session, scope: str, qty: int | None) -> None:
    """Set a buffer, or take it away with None. ``scope`` as in StockBuffer."""
    warehouse_id = actor_of(session).warehouse_id
    row = session.execute(
        select(StockBuffer).where(StockBuffer.warehouse_id == warehouse_id, StockBuffer.scope == scope)
    ).scalar_one_or_none()
    if row is None and qty is not None:
        session.add(StockBuffer(warehouse_id=warehouse_id, id=new_id(), scope=scope, qty=qty))
    elif row is not None and qty is None:
        session.delete(row)
    elif row is not None and qty is not None:
        row.qty = qty
    session.flush()
    look_at_all(session, warehouse_id)


def save_quota(session: Session, shop: Shop, item: Item, qty: int | None) -> None:
    """Set a shop's fixed quota of an item, or take it away with None."""
    row = session.execute(
        select(StockQuota).where(
            StockQuota.warehouse_id == shop.warehouse_id,
            StockQuota.shop_id == shop.id,
            StockQuota.item_id == item.id,
        )
    ).scalar_one_or_none()
    before = "" if row is None else f"{item.sku} {row.qty}"
    if row is None and qty is not None:
        row = StockQuota(warehouse_id=shop.warehouse_id, id=new_id(), shop_id=shop.id, item_id=item.id, qty=qty)
        session.add(row)
    elif row is not None and qty is None:
        session.delete(row)
    elif row is not None and qty is not None:
        row.qty = qty
    session.flush()
    journal.note(session, shop, "stock_quota", before, "" if qty is None else f"{item.sku} {qty}")
    look_at_all(session, shop.warehouse_id)


def look_at_all(session: Session, warehouse_id: int) -> None:
    """The worker looks at every item at its next look."""
    session.execute(
        update(StockWatch)
        .where(StockWatch.warehouse_id == warehouse_id)
        .values(swept_at=None)
        .execution_options(synchronize_session=False)
    )


# By hand


def again(session: Session, shop: Shop, row_id: int | None = None) -> int:
    """Tell the shop once more, now: one item, or all of them. What was left out stays so. How many."""
    at = now()
    found: int = session.execute(
        update(StockPush)
        .where(
            StockPush.warehouse_id == shop.warehouse_id,
            StockPush.shop_id == shop.id,
            StockPush.state.in_([S.TOLD, S.PENDING, S.RETRY, S.FAILED] + ([S.LEFT_OUT] if row_id is not None else [])),
            *([StockPush.id == row_id] if row_id is not None else []),
        )
        .values(
            state=S.PENDING, next_at=at, attempts=0, sent_version=0, reason="", reason_code="", facts={},
            leased_until=None,
        )
        .execution_options(synchronize_session=False)
    ).rowcount  # type: ignore[attr-defined]  # fmt: skip
    if row_id is not None and not found:
        raise ChangedMeanwhile(what=term("This line"))
    journal.note(session, shop, "stock_again", "", row_id or found)
    look_at_all(session, shop.warehouse_id)
    return found


def leave_out(session: Session, shop: Shop, row_id: int | None = None) -> int:
    """Stop telling a shop of an item it does not have, or of all of those; the others share its part."""
    which = [StockPush.id == row_id] if row_id is not None else [StockPush.reason_code == SAID_UNKNOWN]
    found: int = session.execute(
        update(StockPush)
        .where(
            StockPush.warehouse_id == shop.warehouse_id,
            StockPush.shop_id == shop.id,
            StockPush.state == S.FAILED,
            *which,
        )
        .values(state=S.LEFT_OUT)
        .execution_options(synchronize_session=False)
    ).rowcount  # type: ignore[attr-defined]
    if row_id is not None and not found:
        raise NotFound(what=term("This line"))
    journal.note(session, shop, "stock_left_out", "", row_id or found)
    look_at_all(session, shop.warehouse_id)
    return found


# For the page


def numbers(session: Session, warehouse_id: int) -> dict[int, dict[StockPushState, int]]:
    """By shop: how many items stand in each state."""
    found: dict[int, dict[StockPushState, int]] = {}
    for shop_id, state, count in session.execute(
        select(StockPush.shop_id, StockPush.state, func.count())
        .where(StockPush.warehouse_id == warehouse_id)
        .group_by(StockPush.shop_id, StockPush.state)
    ):
        found.setdefault(shop_id, {})[state] = int(count)
    return found


def differing(
    session: Session, warehouse_id: int, shop_id: int | None, limit: int
) -> list[tuple[StockPush, Item, Shop]]:
    """Items whose number at the shop is not ours, those that need a person first."""
    query = (
        select(StockPush, Item, Shop)
        .join(Item, Item.id == StockPush.item_id)
        .join(Shop, Shop.id == StockPush.shop_id)
        .where(StockPush.warehouse_id == warehouse_id, StockPush.state.in_(DIFFERS))
        .order_by(StockPush.state != S.FAILED, StockPush.state != S.RETRY, StockPush.next_at)
        .limit(limit)
    )
    if shop_id is not None:
        query = query.where(StockPush.shop_id == shop_id)
    return [(row[0], row[1], row[2]) for row in session.execute(query)]


def last_told(session: Session, warehouse_id: int) -> dict[int, datetime]:
    """By shop: when it last took a number."""
    return {
        row[0]: row[1]
        for row in session.execute(
            select(StockPush.shop_id, func.max(StockPush.sent_at))
            .where(StockPush.warehouse_id == warehouse_id)
            .group_by(StockPush.shop_id)
        )
        if row[1] is not None
    }


def of_item(session: Session, warehouse_id: int, item: Item) -> dict[str, Any]:
    """One item as the page shows it: what there is, what may be sold, what each shop was told."""
    rows = session.execute(
        select(StockPush, Shop.name)
        .join(Shop, Shop.id == StockPush.shop_id)
        .where(StockPush.warehouse_id == warehouse_id, StockPush.item_id == item.id)
        .order_by(Shop.name)
    ).all()
    return {
        "item": item,
        "available": available(session, warehouse_id, [item.id]).get(item.id, 0),
        "sellable": sellable(session, warehouse_id, [item.id]).get(item.id, 0),
        "shops": [(row[0], row[1]) for row in rows],
    }


def buffers(session: Session, warehouse_id: int) -> list[tuple[str, str, int]]:
    """(scope, what it is called, pieces) of every buffer: the one for all first."""
    found = []
    for scope, qty in session.execute(
        select(StockBuffer.scope, StockBuffer.qty)
        .where(StockBuffer.warehouse_id == warehouse_id)
        .order_by(StockBuffer.scope)
    ):
        item = session.get(Item, int(scope)) if scope.isdigit() else None
        found.append((scope, item.sku if item else scope.removeprefix("="), int(qty)))
    return found


def quotas(session: Session, warehouse_id: int) -> list[tuple[StockQuota, Item, str]]:
    return [
        (row[0], row[1], row[2])
        for row in session.execute(
            select(StockQuota, Item, Shop.name)
            .join(Item, Item.id == StockQuota.item_id)
            .join(Shop, Shop.id == StockQuota.shop_id)
            .where(StockQuota.warehouse_id == warehouse_id)
            .order_by(Shop.name, Item.sku)
        )
    ]


def categories(session: Session) -> list[str]:
    """Categories that items have."""
    return list(
        session.execute(select(Item.category).where(Item.category != "").distinct().order_by(Item.category)).scalars()
    )
