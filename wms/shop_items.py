"""Which item of ours a shop's SKU is: what taking in, letting go and naming by hand share."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wms.errors import N_
from wms.models import Item, LineKind, Order, OrderLine, Shop, ShopSku

HOLD_UNKNOWN_ITEM = N_("unknown item: %(sku)s")
"""Why an order is held that waits for nothing else: it is looked for last."""


def key(sku: str) -> str:
    """What two spellings of a SKU have in common."""
    return sku.strip().upper()


def known(session: Session, shop: Shop, skus: set[str] | None = None) -> dict[str, int]:
    """SKU in upper case → item id: shops are careless about case. What a person said of this shop's SKU goes first."""
    items = select(func.upper(Item.sku), Item.id).where(Item.active)
    said = select(ShopSku.sku, ShopSku.item_id).where(
        ShopSku.warehouse_id == shop.warehouse_id, ShopSku.shop_id == shop.id
    )
    if skus is not None:
        keys = {key(sku) for sku in skus}
        items, said = items.where(func.upper(Item.sku).in_(keys)), said.where(ShopSku.sku.in_(keys))
    return {row[0]: row[1] for query in (items, said) for row in session.execute(query)}


def goods_lines(session: Session, order: Order) -> list[OrderLine]:
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


def join(session: Session, order: Order, lines: list[OrderLine]) -> str | None:
    """Give lines without an item theirs, where it is known by now; the first SKU that is still wanted and unknown."""
    lacking = {line.sku for line in lines if line.item_id is None}
    if not lacking:
        return None
    have = known(session, session.get_one(Shop, order.shop_id), lacking)
    for line in lines:
        line.item_id = line.item_id or have.get(key(line.sku))
    return next((line.sku for line in lines if line.item_id is None and line.wanted), None)
