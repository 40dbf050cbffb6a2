"""Unknown items 待匹配商品: a person says once which item a shop's SKU is, and the orders that waited for it go on."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from wms import journal, shop_items
from wms.errors import N_, NotFound, Refusal, term
from wms.models import Barcode, Item, LineKind, Order, OrderLine, OrderState, Shop, ShopSku, new_id
from wms.order_states import advance, locked
from wms.scan import barcode_key

FOUND_MOST = 30


class NoSku(Refusal):
    message = N_("The shop gives this line no SKU. Enter one at the shop; the order is read again by itself.")
    answer = "look"


@dataclass(slots=True)
class Unknown:
    """A shop's SKU that no item has, and the held orders with it."""

    shop_id: int
    sku: str
    name: str
    orders: set[int] = field(default_factory=set)
    waiting: int = 0
    """Orders held for nothing else."""
    pieces: int = 0
    oldest: datetime | None = None
    ship_by: datetime | None = None


def unknown(session: Session, warehouse_id: int, shop_id: int | None = None) -> list[Unknown]:
    """SKUs of held orders whose line has no item; the one that most orders wait for first."""
    query = (
        select(Order.id, Order.shop_id, Order.hold_reason, Order.taken_in_at, Order.ship_by, OrderLine)
        .join(OrderLine, and_(OrderLine.warehouse_id == Order.warehouse_id, OrderLine.order_id == Order.id))
        .where(
            Order.warehouse_id == warehouse_id,
            Order.state == OrderState.HELD,
            OrderLine.kind == LineKind.GOODS,
            OrderLine.item_id.is_(None),
            OrderLine.qty > OrderLine.cancelled_qty,
        )
        .order_by(Order.id, OrderLine.id)
    )
    if shop_id is not None:
        query = query.where(Order.shop_id == shop_id)
    found: dict[tuple[int, str], Unknown] = {}
    for order_id, shop, why, taken_in_at, ship_by, line in session.execute(query):
        one = found.setdefault((shop, shop_items.key(line.sku)), Unknown(shop, line.sku.strip(), line.name))
        if order_id not in one.orders:
            one.orders.add(order_id)
            one.waiting += why == shop_items.HOLD_UNKNOWN_ITEM
        one.pieces += line.wanted
        one.oldest = min(one.oldest or taken_in_at, taken_in_at)
        if ship_by is not None:
            one.ship_by = min(one.ship_by or ship_by, ship_by)
    return sorted(found.values(), key=lambda one: (-one.waiting, -len(one.orders), one.sku))


def search(session: Session, text: str) -> list[Item]:
    """Items by SKU, barcode or words of the name: the exact ones first."""
    said = text.strip()
    if not said:
        return []
    by_code = select(Barcode.item_id).where(Barcode.code == barcode_key(said))
    exact = or_(func.upper(Item.sku) == said.upper(), Item.id.in_(by_code))
    rows = list(session.execute(select(Item).where(Item.active, exact).order_by(Item.sku)).scalars())
    words = [word for word in said.split() if word]
    like = and_(
        *(
            or_(
                func.upper(Item.sku).contains(word.upper(), autoescape=True),
                func.upper(Item.name).contains(word.upper(), autoescape=True),
                Item.name.contains(word, autoescape=True),
            )
            for word in words
        )
    )
    more = session.execute(select(Item).where(Item.active, like).order_by(Item.sku).limit(FOUND_MOST)).scalars()
    have = {item.id for item in rows}
    return (rows + [item for item in more if item.id not in have])[:FOUND_MOST]


def say(session: Session, shop: Shop, sku: str, item_id: int) -> ShopSku:
    """A person says which item of ours a shop's SKU is; said again, the later word counts."""
    key = shop_items.key(sku)
    if not key or len(key) > 64:
        raise NoSku()
    item = session.get(Item, item_id)
    if item is None or not item.active:
        raise NotFound(what=term("The item"))
    row = session.execute(
        select(ShopSku)
        .where(ShopSku.warehouse_id == shop.warehouse_id, ShopSku.shop_id == shop.id, ShopSku.sku == key)
        .with_for_update()
    ).scalar_one_or_none()
    before = ""
    if row is None:
        row = ShopSku(warehouse_id=shop.warehouse_id, id=new_id(), shop_id=shop.id, sku=key, item_id=item.id)
        session.add(row)
    else:
        before = session.get_one(Item, row.item_id).sku
    row.item_id, row.spelling = item.id, sku.strip()[:64]
    session.flush()
    journal.note(session, shop, "shop_sku", f"{key} {before}".strip(), f"{key} {item.sku}")
    return row


def forget(session: Session, shop: Shop, row_id: int) -> str:
    """Take a name back; orders that were joined by it stay as they are."""
    row = session.get(ShopSku, (shop.warehouse_id, row_id))
    if row is None or row.shop_id != shop.id:
        raise NotFound(what=term("The name"))
    journal.note(session, shop, "shop_sku", f"{row.sku} {session.get_one(Item, row.item_id).sku}", "")
    session.delete(row)
    session.flush()
    return row.spelling or row.sku


def said(session: Session, shop: Shop) -> list[tuple[ShopSku, Item]]:
    """The shop's own names for our items."""
    return [
        (row[0], row[1])
        for row in session.execute(
            select(ShopSku, Item)
            .join(Item, Item.id == ShopSku.item_id)
            .where(ShopSku.warehouse_id == shop.warehouse_id, ShopSku.shop_id == shop.id)
            .order_by(ShopSku.sku)
        )
    ]


def may_go_on(session: Session, warehouse_id: int) -> list[int]:
    """Held orders that waited only for an item, and of whose lines one is known by now."""
    lines = session.execute(
        select(Order.shop_id, Order.id, OrderLine.sku)
        .join(OrderLine, and_(OrderLine.warehouse_id == Order.warehouse_id, OrderLine.order_id == Order.id))
        .where(
            Order.warehouse_id == warehouse_id,
            Order.state == OrderState.HELD,
            Order.hold_reason == shop_items.HOLD_UNKNOWN_ITEM,
            OrderLine.kind == LineKind.GOODS,
            OrderLine.item_id.is_(None),
            OrderLine.qty > OrderLine.cancelled_qty,
        )
        .order_by(Order.id)
    ).all()
    by_shop: dict[int, set[str]] = {}
    for shop_id, _order, sku in lines:
        by_shop.setdefault(shop_id, set()).add(sku)
    known = {
        shop_id: shop_items.known(session, session.get_one(Shop, shop_id), skus) for shop_id, skus in by_shop.items()
    }
    found = [order for shop_id, order, sku in lines if shop_items.key(sku) in known[shop_id]]
    return list(dict.fromkeys(found))


def go_on(session: Session, warehouse_id: int, order_id: int) -> bool:
    """Join an order's lines to their items; ready when no other is unknown. Twice changes nothing."""
    order = locked(session, warehouse_id, order_id)
    if order.state is not OrderState.HELD or order.hold_reason != shop_items.HOLD_UNKNOWN_ITEM:
        return False
    lines = shop_items.goods_lines(session, order)
    still = shop_items.join(session, order, lines)
    if still is not None or not lines:
        order.hold_facts = {"sku": still or ""}
        return False
    journal.note(session, order, "hold_lifted", order.hold_reason % order.hold_facts, "")
    order.hold_reason, order.hold_facts = "", {}
    advance(session, order, OrderState.READY)
    return True
