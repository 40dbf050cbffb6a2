"""The catalogue 商品: items and the barcodes they are known by; a code means one thing only (R14)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wms import lookup
from wms.errors import N_, Refusal
from wms.models import Barcode, Item
from wms.scan import OWN_PREFIXES, barcode_key, parse


class BarcodeTaken(Refusal):
    message = N_("Barcode %(code)s already means %(item)s.")


class LooksLikeOwnLabel(Refusal):
    message = N_("%(code)s looks like our own label of %(kind)s and cannot be an item's barcode.")


def add_item(
    session: Session,
    sku: str,
    name: str,
    *,
    barcodes: Sequence[tuple[str, int]] = (),
    weight_g: int = 0,
    lot_tracked: bool = False,
    allows_counting: bool = False,
) -> Item:
    """Add an item, or add barcodes to it when the SKU is known. A code means one item only (R14)."""
    sku = sku.strip()
    item = session.execute(select(Item).where(func.upper(Item.sku) == sku.upper())).scalar_one_or_none()
    if item is None:
        item = Item(
            sku=sku,
            name=name.strip()[:200] or sku,
            weight_g=weight_g,
            lot_tracked=lot_tracked,
            allows_counting=allows_counting,
        )
        session.add(item)
        session.flush()
    else:
        item.name = name.strip()[:200] or item.name
        item.weight_g = weight_g or item.weight_g
        item.lot_tracked = lot_tracked or item.lot_tracked
        item.allows_counting = allows_counting or item.allows_counting
    for code, pieces in barcodes or ():
        add_barcode(session, item, code, pieces)
    return item


def add_barcode(session: Session, item: Item, code: str, pieces: int = 1) -> None:
    scanned = parse(code)  # as it will be read one day: without what scanners and spreadsheets add
    if scanned.kind in OWN_PREFIXES.values():
        raise LooksLikeOwnLabel(code=code, kind=lookup.WHAT[scanned.kind])
    key = barcode_key(code)
    if not key:
        return
    taken = session.get(Barcode, key)
    if taken is not None:
        if taken.item_id != item.id:
            raise BarcodeTaken(code=code, item=session.get_one(Item, taken.item_id).sku)
        return
    session.add(Barcode(code=key, item_id=item.id, kind="case" if pieces > 1 else "piece", pieces=pieces))
    session.flush()
