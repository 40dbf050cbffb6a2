"""An ERP uses this warehouse (奇门): what its documents must be like here, which goods it announced, what is there.

One ERP is one shop of kind ``qimen``. Items it has synchronised are its own (shop_sku): no other ERP may order them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

from sqlalchemy import and_, exists, func, select
from sqlalchemy.orm import Session

from wms import journal
from wms.clock import now
from wms.connectors import Recipient, table
from wms.connectors import qimen as q
from wms.errors import N_, ChangedMeanwhile, NotFound, Refusal, term
from wms.journal import advance
from wms.models import (
    Balance,
    Carrier,
    Condition,
    ErpDocument,
    ErpDocumentKind,
    ErpDocumentState,
    ErpNews,
    Item,
    Order,
    OrderLine,
    OrderState,
    PushState,
    Receipt,
    ReceiptLine,
    ReceiptState,
    Shop,
    ShopSku,
    new_id,
)

KIND = "qimen"
D = ErpDocumentState
STEPS = {D.EXPECTED: {D.DONE, D.CANCELLED}, D.DONE: set[D](), D.CANCELLED: set[D]()}
RECEIPT_STEPS = {ReceiptState.EXPECTED: {ReceiptState.DONE}}
"""A receipt that its ERP calls off before anybody began on it."""
NEWS_STEPS = {each: {PushState.PENDING} for each in (PushState.RETRY, PushState.CONFLICT, PushState.DEAD)}
MOST_WEIGHT_G = 100_000_000
_PLAIN = re.compile(r"[A-Z0-9][A-Z0-9._/-]{0,39}")


class ErpRefusal(Refusal):
    """Told to the ERP in Chinese, with ``code`` for its program."""

    message = N_("This document cannot be taken here.")
    code: ClassVar[str] = "refused"


class OtherContent(ErpRefusal):
    """The same number is the same document (R10): with another content it would be a second one."""

    message = N_("%(document)s is here already with another content. Cancel it, then send it under a new number.")
    code = "document-differs"


class WasCancelled(ErpRefusal):
    message = N_("%(document)s was cancelled here. Send it under a new number.")
    code = "document-cancelled"


class ItemsUnknown(ErpRefusal):
    message = N_("Items that are unknown here: %(items)s. Synchronise them first.")
    code = "item-unknown"


class ItemOfAnother(ErpRefusal):
    message = N_("Item %(item)s belongs to another owner here.")
    code = "item-of-another-owner"


class OtherWarehouse(ErpRefusal):
    message = N_("This is not warehouse %(warehouse)s.")
    code = "warehouse-unknown"


class CarrierUnknown(ErpRefusal):
    message = N_("Carrier %(carrier)s is not set up here.")
    code = "carrier-unknown"


class WaybillGiven(ErpRefusal):
    """Another number than the one on our label would never be found again; so it is said beforehand."""

    message = N_("Waybill numbers are taken by this warehouse. Send the order without expressCode.")
    code = "waybill-not-taken"


class NotGoodStock(ErpRefusal):
    message = N_("Only good stock (ZP) can be asked for here, not %(condition)s.")
    code = "condition-not-taken"


class LineTwice(ErpRefusal):
    message = N_("Two lines have the number %(line)s.")
    code = "line-twice"


class FieldTooLong(ErpRefusal):
    message = N_("%(field)s is longer than %(most)s characters.")
    code = "field-too-long"


class SerialsUnknown(ErpRefusal):
    message = N_("Item %(item)s wants serial numbers, which are not kept here.")
    code = "serials-not-kept"


class LotsTooLate(ErpRefusal):
    """Stock without a lot would be of no lot for ever."""

    message = N_("Item %(item)s has stock without lots. Count it out first, then switch lots on.")
    code = "stock-without-lots"


class MoreThanShipped(ErpRefusal):
    """R44: never more comes back than went out."""

    message = N_("Of %(item)s only %(shipped)s were shipped with %(document)s and did not come back yet.")
    code = "more-than-shipped"


class NotHere(ErpRefusal):
    message = N_("%(document)s is not known here.")
    code = "document-unknown"


class Begun(ErpRefusal):
    message = N_("Work on %(document)s has begun. It cannot be cancelled any more.")
    code = "CANCELEDFAIL"


def customers(session: Session, customer_id: str) -> list[Shop]:
    """The ERPs that call themselves so; whose secret fits is found out by the signature."""
    found = session.execute(select(Shop).where(Shop.connector == KIND, Shop.active).order_by(Shop.id)).scalars()
    return [shop for shop in found if customer_id and str(shop.settings.get("customer_id") or "") == customer_id]


# Delivery orders


def delivery(session: Session, shop: Shop, code: str) -> Order | None:
    """The order of that number, held until this transaction ends."""
    return session.execute(
        select(Order)
        .where(Order.warehouse_id == shop.warehouse_id, Order.shop_id == shop.id, Order.shop_order_no == code)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()


def sent_again(order: Order, is_same: bool) -> None:
    """A number that is here already: the same document once more, or refused."""
    if order.state is OrderState.CANCELLED:
        raise WasCancelled(document=order.shop_order_no)
    if not is_same:
        raise OtherContent(document=order.shop_order_no)


def check_delivery(session: Session, shop: Shop, document: q.DeliveryOrder) -> Carrier | None:
    """Whether we can ship it as it is asked; the carrier it names, if any."""
    _here(shop, document.warehouse)
    _fits("deliveryOrderCode", document.order.shop_order_no, 64)
    if document.waybill_no:
        raise WaybillGiven()
    numbers = Counter(line.line_no for line in document.lines)
    for line in document.lines:
        _fits("orderLineNo", line.line_no, 96)
        if numbers[line.line_no] > 1:
            raise LineTwice(line=line.line_no)
        if line.condition != "ZP":
            raise NotGoodStock(condition=line.condition)
    items_of(session, shop, document.lines)
    return _carrier(session, shop, document.order.carrier_hint)


def _carrier(session: Session, shop: Shop, theirs: str) -> Carrier | None:
    """``carriers`` of the shop's settings is our code → theirs; OTHER leaves it to us."""
    if theirs in ("", "OTHER"):
        return None
    ours = {other: code for code, other in table(shop.settings, "carriers").items()}.get(theirs, theirs)
    found = session.execute(select(Carrier).where(Carrier.code == ours)).scalar_one_or_none()
    if found is None:
        raise CarrierUnknown(carrier=theirs[:40])
    return found


# Items


def items_of(session: Session, shop: Shop, lines: Iterable[q.Line]) -> dict[str, Item]:
    """The ERP's item codes → items; refuses with all those it may not ask for."""
    codes = list(dict.fromkeys(line.item_code for line in lines))
    found: dict[str, Item] = {}
    for first in range(0, len(codes), 400):
        found |= _mine(session, shop, codes[first : first + 400])
    unknown = [code for code in codes if code.strip().upper() not in found]
    if unknown:
        raise ItemsUnknown(items=", ".join(code[:64] for code in unknown[:10]))
    return {code: found[code.strip().upper()] for code in codes}


def codes_of(session: Session, shop: Shop, items: Iterable[int]) -> dict[str, int]:
    """Code in upper case → item, the ERP's own codes before ours; also of items that are not active any more."""
    ids = list(items)
    ours = session.execute(select(func.upper(Item.sku), Item.id).where(Item.id.in_(ids)))
    theirs = session.execute(
        select(ShopSku.sku, ShopSku.item_id).where(
            ShopSku.warehouse_id == shop.warehouse_id, ShopSku.shop_id == shop.id, ShopSku.item_id.in_(ids)
        )
    )
    return {row[0]: row[1] for row in ours} | {row[0]: row[1] for row in theirs}


def _mine(session: Session, shop: Shop, codes: Sequence[str]) -> dict[str, Item]:
    """Code in upper case → item, of those that are this ERP's or nobody's in particular."""
    keys = {code.strip().upper() for code in codes}
    rows = session.execute(
        select(func.upper(Item.sku), Item).where(func.upper(Item.sku).in_(keys), Item.active, ~_anothers(shop))
    )
    found: dict[str, Item] = {row[0]: row[1] for row in rows}
    said = session.execute(
        select(ShopSku.sku, Item)
        .join(Item, Item.id == ShopSku.item_id)
        .where(ShopSku.warehouse_id == shop.warehouse_id, ShopSku.shop_id == shop.id, ShopSku.sku.in_(keys))
    )
    return found | {row[0]: row[1] for row in said}


def _anothers(shop: Shop) -> Any:
    """The item was synchronised by another ERP and not by this one."""
    its: Any = (
        select(ShopSku.id)
        .join(Shop, Shop.id == ShopSku.shop_id)
        .where(ShopSku.item_id == Item.id, Shop.connector == KIND)
        .correlate(Item)
    )
    return and_(exists(its.where(ShopSku.shop_id != shop.id)), ~exists(its.where(ShopSku.shop_id == shop.id)))


def check_item(session: Session, shop: Shop, sync: q.ItemSync) -> None:
    """Whether an item may be made or changed as the ERP says."""
    _here(shop, sync.warehouse)
    _fits("itemCode", sync.code, 64)
    for code in sync.barcodes:
        _fits("barCode", code, 80)
    if sync.weight_g > MOST_WEIGHT_G:
        raise FieldTooLong(field="grossWeight", most=8)
    if sync.by_serial:
        raise SerialsUnknown(item=sync.code)
    item = session.execute(select(Item).where(func.upper(Item.sku) == sync.code.upper())).scalar_one_or_none()
    if item is None:
        return
    if session.execute(select(Item.id).where(Item.id == item.id, _anothers(shop))).first():
        raise ItemOfAnother(item=sync.code)
    if not item.lot_tracked and (sync.by_lot or sync.by_expiry):
        left = select(func.coalesce(func.sum(Balance.on_hand), 0)).where(Balance.item_id == item.id)
        if session.execute(left).scalar_one():
            raise LotsTooLate(item=sync.code)


def owns(session: Session, shop: Shop, item: Item, code: str) -> None:
    """From now on the item is this ERP's, under its code."""
    known = session.execute(
        select(ShopSku).where(
            ShopSku.warehouse_id == shop.warehouse_id, ShopSku.shop_id == shop.id, ShopSku.sku == code.upper()
        )
    ).scalar_one_or_none()
    if known is None:
        session.add(
            ShopSku(warehouse_id=shop.warehouse_id, id=new_id(), shop_id=shop.id, sku=code.upper(), item_id=item.id)
        )
        session.flush()


def stock(session: Session, shop: Shop, wanted: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """How much there is of each item asked for, by condition: free (``quantity``) and not free (``lockQuantity``)."""
    asked = list(dict.fromkeys(wanted))
    found: dict[str, Item] = {}
    for first in range(0, len(asked), 400):
        found |= _mine(session, shop, [code for code, _condition in asked[first : first + 400]])
    levels = levels_of(session, shop.warehouse_id, {item.id for item in found.values()})
    rows = []
    for code, only in asked:
        item = found.get(code.strip().upper())
        if item is None:
            continue
        for condition in ("ZP", "CC"):
            if only in ("", condition):
                free, locked = levels.get((item.id, condition), (0, 0))
                rows.append(
                    {
                        "warehouseCode": str(shop.settings.get("warehouse") or ""),
                        "itemCode": code,
                        "itemId": str(item.id),
                        "inventoryType": condition,
                        "quantity": str(free),
                        "lockQuantity": str(locked),
                    }
                )
    return rows


def levels_of(session: Session, warehouse_id: int, items: set[int]) -> dict[tuple[int, str], tuple[int, int]]:
    """(item, ZP or CC) → pieces free and not free. What is held is good stock that nobody may have now (R5)."""
    levels: dict[tuple[int, str], tuple[int, int]] = {}
    ids = sorted(items)
    for first in range(0, len(ids), 400):
        for item_id, condition, on_hand, allocated in session.execute(
            select(Balance.item_id, Balance.condition, func.sum(Balance.on_hand), func.sum(Balance.allocated))
            .where(Balance.warehouse_id == warehouse_id, Balance.item_id.in_(ids[first : first + 400]))
            .group_by(Balance.item_id, Balance.condition)
        ):
            key = (item_id, condition_of(condition))
            free, locked = levels.get(key, (0, 0))
            gone = int(on_hand) if condition is Condition.HELD else int(allocated)
            levels[key] = (free + int(on_hand) - gone, locked + gone)
    return levels


def condition_of(condition: Condition) -> str:
    """Qimen's word for a condition: ZP is good, CC is not to be sold as new."""
    return "ZP" if condition in (Condition.GOOD, Condition.HELD) else "CC"


# What an ERP says will come


def known(
    session: Session, shop: Shop, kind: ErpDocumentKind, document: q.EntryOrder | q.ReturnOrder
) -> ErpDocument | None:
    """The document, when it came before with the same content; refuses when it came with another."""
    row = _document(session, shop, document.code, kind)
    if row is None:
        return None
    if row.state is D.CANCELLED:
        raise WasCancelled(document=row.code)
    if row.sha256 != _sha256(document):
        raise OtherContent(document=row.code)
    return row


def check_entry(session: Session, shop: Shop, document: q.EntryOrder) -> list[tuple[Item, int]]:
    """Each item of an entry order once, with the pieces of all its lines."""
    _here(shop, document.warehouse)
    _fits("entryOrderCode", document.code, 64)
    for line in document.lines:
        if line.condition != "ZP":
            raise NotGoodStock(condition=line.condition)
    return _once_each(session, shop, document.lines)


def _once_each(session: Session, shop: Shop, lines: Sequence[q.Line]) -> list[tuple[Item, int]]:
    items = items_of(session, shop, lines)
    pieces: Counter[int] = Counter()
    for line in lines:
        pieces[items[line.item_code].id] += line.qty
    by_id = {item.id: item for item in items.values()}
    return [(by_id[item_id], qty) for item_id, qty in pieces.items()]


def check_return(session: Session, shop: Shop, document: q.ReturnOrder, order: Order | None) -> list[tuple[Item, int]]:
    """Each item of a return once, with its pieces. Of an order that left from here no more than it had (R44)."""
    _here(shop, document.warehouse)
    _fits("returnOrderCode", document.code, 64)
    _fits("expressCode", document.waybill_no, 64)
    coming = _once_each(session, shop, document.lines)
    if order is not None:
        out = _still_out(session, shop, order)
        for item, qty in coming:
            if qty > out[item.id]:
                raise MoreThanShipped(item=item.sku, shipped=max(out[item.id], 0), document=order.shop_order_no)
    return coming


def _still_out(session: Session, shop: Shop, order: Order) -> Counter[int]:
    """Item → pieces that left with an order, less those that other returns of it bring or brought."""
    out: Counter[int] = Counter()
    for item_id, qty in session.execute(
        select(OrderLine.item_id, func.sum(OrderLine.shipped_qty))
        .where(
            OrderLine.warehouse_id == order.warehouse_id,
            OrderLine.home_id == order.id,
            OrderLine.item_id.is_not(None),
        )
        .group_by(OrderLine.item_id)
    ):
        out[int(item_id or 0)] += int(qty)
    for item_id, state, expected, received in session.execute(
        select(ReceiptLine.item_id, ErpDocument.state, ReceiptLine.expected, ReceiptLine.received)
        .join(
            ErpDocument,
            and_(
                ErpDocument.warehouse_id == ReceiptLine.warehouse_id, ErpDocument.receipt_id == ReceiptLine.receipt_id
            ),
        )
        .where(
            ErpDocument.warehouse_id == order.warehouse_id,
            ErpDocument.shop_id == shop.id,
            ErpDocument.order_id == order.id,
            ErpDocument.state != D.CANCELLED,
        )
    ):
        out[item_id] -= received if state is D.DONE else max(expected, received)
    return out


def receipt_code(session: Session, shop: Shop, code: str) -> str:
    """The ERP's own number where it can be one of ours, else a new one: two ERPs may use the same."""
    plain = code.strip().upper().removeprefix("R-")
    if (
        _PLAIN.fullmatch(plain)
        and not session.execute(
            select(Receipt.id).where(Receipt.warehouse_id == shop.warehouse_id, Receipt.code == plain)
        ).first()
    ):
        return plain
    return f"E{new_id()}"


def keep(
    session: Session,
    shop: Shop,
    kind: ErpDocumentKind,
    document: q.EntryOrder | q.ReturnOrder,
    *,
    receipt: Receipt | None = None,
    order: Order | None = None,
) -> ErpDocument:
    """Save what the ERP said will come."""
    row = ErpDocument(
        warehouse_id=shop.warehouse_id,
        id=new_id(),
        shop_id=shop.id,
        kind=kind,
        code=document.code,
        receipt_id=receipt.id if receipt else None,
        order_id=order.id if order else None,
        waybill_no=document.waybill_no[:64],
        sha256=_sha256(document),
        body=_body(document),
        created_at=now(),
    )
    session.add(row)
    session.flush()
    journal.note(session, row, "expected", "", f"{kind} {document.code}")
    return row


def cancel_document(session: Session, shop: Shop, code: str, why: str, kind: ErpDocumentKind | None = None) -> None:
    """Call goods off that were announced, as long as nobody began to receive them. A second time changes nothing."""
    row = _document(session, shop, code, kind)
    if row is None:
        raise NotHere(document=code[:64])
    if row.state is D.CANCELLED:
        return
    if row.state is not D.EXPECTED:
        raise Begun(document=code)
    if row.receipt_id is not None:
        receipt = session.get_one(Receipt, (row.warehouse_id, row.receipt_id), with_for_update=True)
        if receipt.state is not ReceiptState.EXPECTED:
            raise Begun(document=code)
        advance(session, receipt, ReceiptState.DONE, RECEIPT_STEPS)
        receipt.done_at = now()
    journal.note(session, row, "cancelled", row.state, why)
    advance(session, row, D.CANCELLED, STEPS)


def _document(session: Session, shop: Shop, code: str, kind: ErpDocumentKind | None = None) -> ErpDocument | None:
    query = select(ErpDocument).where(
        ErpDocument.warehouse_id == shop.warehouse_id, ErpDocument.shop_id == shop.id, ErpDocument.code == code
    )
    if kind is not None:
        query = query.where(ErpDocument.kind == kind)
    return session.execute(query.order_by(ErpDocument.id).limit(1).with_for_update()).scalar_one_or_none()


def listed(session: Session, warehouse_id: int, limit: int) -> list[tuple[ErpDocument, str, str]]:
    """Documents with their ERP's name and the number of their receipt, the newest first."""
    return [
        (row[0], row[1], row[2])
        for row in session.execute(
            select(ErpDocument, Shop.name, func.coalesce(Receipt.code, ""))
            .join(Shop, Shop.id == ErpDocument.shop_id)
            .outerjoin(
                Receipt, and_(Receipt.warehouse_id == ErpDocument.warehouse_id, Receipt.id == ErpDocument.receipt_id)
            )
            .where(ErpDocument.warehouse_id == warehouse_id)
            .order_by(ErpDocument.id.desc())
            .limit(limit)
        )
    ]


def news_outstanding(session: Session, warehouse_id: int, limit: int) -> list[tuple[ErpNews, str]]:
    """What the ERPs do not know yet, the oldest first, with their names."""
    return [
        (row[0], row[1])
        for row in session.execute(
            select(ErpNews, Shop.name)
            .join(Shop, Shop.id == ErpNews.shop_id)
            .where(ErpNews.warehouse_id == warehouse_id, ErpNews.state != PushState.ACKNOWLEDGED)
            .order_by(ErpNews.id)
            .limit(limit)
        )
    ]


def send_again(session: Session, warehouse_id: int, news_id: int) -> ErpNews:
    """A person says: tell it once more, now. Its key is the same, so the ERP cannot take it for something new."""
    row = session.execute(
        select(ErpNews)
        .where(ErpNews.warehouse_id == warehouse_id, ErpNews.id == news_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if row is None:
        raise NotFound(what=term("The push"))
    if row.state not in NEWS_STEPS:
        raise ChangedMeanwhile(what=row.key)
    advance(session, row, PushState.PENDING, NEWS_STEPS)
    row.next_at, row.leased_until, row.attempts = now(), None, 0
    return row


def return_of(row: ErpDocument) -> q.ReturnOrder:
    """The return again, as far as a confirmation speaks of it."""
    told = row.body
    return q.ReturnOrder(
        code=row.code,
        warehouse=told["warehouse"],
        order_code=told["order_code"],
        lines=_told_lines(row),
        sender=Recipient(),
        carrier_code=told["carrier_code"],
        waybill_no=told["waybill_no"],
        order_type=told["order_type"],
    )


def _told_lines(row: ErpDocument) -> tuple[q.Line, ...]:
    return tuple(
        q.Line(one["line_no"], one["item_code"], one["qty"], one["owner"], one["name"], one["condition"])
        for one in row.body["lines"]
    )


def entry_of(row: ErpDocument) -> q.EntryOrder:
    """The entry order again, as far as a confirmation speaks of it."""
    told = row.body
    return q.EntryOrder(
        code=row.code,
        warehouse=told["warehouse"],
        owner=told["owner"],
        order_type=told["order_type"],
        lines=_told_lines(row),
    )


def _body(document: Any) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(json.dumps(asdict(document), default=str, ensure_ascii=False))
    return result


def _sha256(document: Any) -> str:
    return hashlib.sha256(json.dumps(_body(document), sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _here(shop: Shop, warehouse: str) -> None:
    """``warehouse`` of the shop's settings is our code at the ERP; OTHER is every warehouse."""
    settings: Mapping[str, Any] = shop.settings
    if warehouse not in ("OTHER", str(settings.get("warehouse") or warehouse)):
        raise OtherWarehouse(warehouse=warehouse[:40])


def _fits(field: str, value: str, most: int) -> None:
    if len(value) > most:
        raise FieldTooLong(field=field, most=most)
