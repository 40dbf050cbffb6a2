"""Qimen (奇门), the language in which an ERP uses somebody else's warehouse: XML in and out, and its signature. Pure.

Built from the platform's own pages: article 118404 (signature) and the machine copies of the API pages in
bububa/opentaobao (``taobao.qimen.deliveryorder.create`` 26002, ``.confirm`` 26001, ``order.cancel`` 26000,
``returnorder.create`` 25989, ``singleitem.synchronize`` 25998, ``entryorder.create`` 25991, ``inventory.report``
27261, ``entryorder.confirm`` 25995, ``returnorder.confirm`` 25997, ``inventory.query`` 25999).
Proved: by reading back what is written and by a signature recomputed from bytes; the published example of the
signature leaves its body out and cannot be repeated. **Not certified live**: no ERP ever called it. The door is
``wms/web/qimen.py``: it hands the query and the raw body to ``check`` and the body to ``read``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from wms.connectors import ConnectorError, Recipient, ShopLine, ShopOrder
from wms.connectors.signing import china_time, fen, from_china, pairs
from wms.errors import N_

CLOCK = timedelta(minutes=10)
MOST_BYTES = 4 * 1024 * 1024
MOST_ASKED = 500
"""Items of one ``inventory.query``."""
STATES = ("NEW", "ACCEPT", "PARTDELIVERED", "DELIVERED", "EXCEPTION", "CANCELED", "CLOSED", "REJECT", "CANCELEDFAIL")
CONDITIONS = ("ZP", "CC", "JS", "XS", "ZT")
"""正品 good, 残次 defective, 机损 damaged in the machine, 箱损 damaged box, 在途 under way."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a document. ``qty`` is what is planned, in pieces."""

    line_no: str
    item_code: str
    qty: int
    owner: str = ""
    name: str = ""
    condition: str = "ZP"
    lot: str = ""
    produced_on: date | None = None
    expires_on: date | None = None
    shop_order_no: str = ""
    sub_order_no: str = ""
    price_minor: int = 0


@dataclass(frozen=True, slots=True)
class DeliveryOrder:
    """``deliveryorder.create``: ship this. ``order`` is the same as any shop's, under the ERP's own number."""

    order: ShopOrder
    lines: tuple[Line, ...]
    warehouse: str
    order_type: str
    platform: str = ""
    shop: str = ""
    waybill_no: str = ""
    """Given by the ERP where it gets the waybills; empty where the warehouse does."""


@dataclass(frozen=True, slots=True)
class OrderCancel:
    """``order.cancel``: stop that document, of whatever kind."""

    code: str
    warehouse: str
    owner: str = ""
    order_id: str = ""
    order_type: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ReturnOrder:
    """``returnorder.create``: these goods come back."""

    code: str
    warehouse: str
    order_code: str
    """The delivery order they went out with."""
    lines: tuple[Line, ...]
    sender: Recipient
    carrier_code: str = ""
    waybill_no: str = ""
    reason: str = ""
    order_type: str = ""


@dataclass(frozen=True, slots=True)
class EntryOrder:
    """``entryorder.create``: these goods will be delivered."""

    code: str
    warehouse: str
    owner: str
    lines: tuple[Line, ...]
    order_type: str = ""
    purchase_order: str = ""
    supplier_code: str = ""
    supplier_name: str = ""
    expected_from: datetime | None = None
    expected_until: datetime | None = None
    carrier_code: str = ""
    waybill_no: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True)
class ItemSync:
    """``singleitem.synchronize``: an item is new or was changed. Lengths in mm, weight in g."""

    action: str
    warehouse: str
    owner: str
    code: str
    name: str
    barcodes: tuple[str, ...]
    item_type: str = ""
    unit: str = ""
    length_mm: int = 0
    width_mm: int = 0
    height_mm: int = 0
    weight_g: int = 0
    by_lot: bool = False
    by_serial: bool = False
    by_expiry: bool = False
    shelf_life_h: int = 0
    refuse_days: int = 0
    """Fewer days left than this are not received."""
    lock_days: int = 0
    """Fewer days left than this are not sold."""


@dataclass(frozen=True, slots=True)
class StockQuery:
    """``inventory.query``: how much is there? Of (item_code, condition); an empty condition is all of them."""

    wanted: tuple[tuple[str, str], ...]


Document = DeliveryOrder | OrderCancel | ReturnOrder | EntryOrder | ItemSync | StockQuery


# The signature


def sign(secret: str, query: Mapping[str, str], body: bytes) -> str:
    """UPPER(MD5(secret + pairs + body + secret)) of all of the query but ``sign``, and the body as it is.

    Parameters without a value are left out, as all of TOP's own clients do.
    """
    signed = {name: value for name, value in query.items() if name != "sign" and value}
    raw = f"{secret}{pairs(signed)}".encode() + body + secret.encode()
    return hashlib.md5(raw, usedforsecurity=False).hexdigest().upper()


def check(secret: str, query: Mapping[str, str], body: bytes, now: datetime) -> str:
    """The method that is called, or ConnectorError: the signature over the raw bytes first, then the clock."""
    if len(body) > MOST_BYTES:
        raise _wrong("too_big", N_("The Qimen call is too long."))
    if not hmac.compare_digest(sign(secret, query, body).encode(), str(query.get("sign") or "").upper().encode()):
        raise _wrong("bad_signature", N_("The signature of the Qimen call is wrong. Compare the secret on both sides."))
    at = from_china(query.get("timestamp"))
    if at is None or abs(at - now) > CLOCK:
        raise _wrong("bad_clock", N_("The time of the Qimen call is too far from ours. Compare the clocks."))
    return str(query.get("method") or "")


def query_of(secret: str, app_key: str, customer: str, method: str, body: bytes, at: datetime) -> dict[str, str]:
    """The query of a call of ours, signed."""
    query = {
        "method": method,
        "app_key": app_key,
        "customerId": customer,
        "timestamp": china_time(at),
        "format": "xml",
        "v": "2.0",
        "sign_method": "md5",
    }
    return {**query, "sign": sign(secret, query, body)}


# In


def read(method: str, body: bytes) -> Document:
    """What an ERP asks for. ConnectorError names the field that is missing or wrong."""
    name = method.removeprefix("taobao.qimen.")
    if name not in READERS:
        raise _wrong("unknown_method", N_("Qimen %(method)s is not offered here."), method=method)
    text = _text(body)
    node = _Node(_parse(text), "request")
    document: Document = READERS[name](node, text)
    return document


class _Node:
    """An element that knows its path, so that what is missing in it can be named."""

    def __init__(self, element: Element | None, path: str) -> None:
        self.element = element
        self.path = path

    def child(self, name: str) -> _Node:
        found = self.element.find(name) if self.element is not None else None
        return _Node(found, f"{self.path}/{name}")

    def children(self, name: str, each: str) -> list[_Node]:
        inside = self.child(name)
        found = inside.element.findall(each) if inside.element is not None else []
        return [_Node(one, f"{inside.path}/{each}[{place}]") for place, one in enumerate(found, 1)]

    def text(self, *names: str) -> str:
        """The first of these that says something; empty when none does."""
        for name in names:
            found = self.element.findtext(name) if self.element is not None else None
            if found and found.strip():
                return found.strip()
        return ""

    def needed(self, name: str) -> str:
        found = self.text(name)
        if not found:
            raise _wrong("missing_field", N_("The Qimen call lacks %(field)s."), field=f"{self.path}/{name}")
        return found

    def pieces(self, name: str) -> int:
        """A whole number above zero."""
        number = self.number(name)
        if number < 1 or number != int(number):
            raise self.bad(name)
        return int(number)

    def number(self, name: str, scale: int = 1) -> Decimal:
        text = self.text(name)
        try:
            number = Decimal(text or "0")
        except InvalidOperation:
            raise self.bad(name) from None
        if not number.is_finite() or number.adjusted() > 12:
            raise self.bad(name)
        return number * scale

    def whole(self, name: str, scale: int = 1) -> int:
        """Rounded up: 0.4 mm is no thickness of zero."""
        return max(0, int(self.number(name, scale).to_integral_value(ROUND_CEILING)))

    def day(self, name: str) -> date | None:
        text = self.text(name)
        try:
            return date.fromisoformat(text[:10]) if text else None
        except ValueError:
            raise self.bad(name) from None

    def money(self, *names: str) -> int:
        text = self.text(*names)
        try:
            return fen(text) if text else 0
        except ValueError:
            raise self.bad(names[0]) from None

    def yes(self, name: str) -> bool:
        return self.text(name).upper() == "Y"

    def bad(self, name: str) -> ConnectorError:
        return _wrong(
            "bad_field",
            N_("%(field)s of the Qimen call cannot be “%(value)s”."),
            field=f"{self.path}/{name}",
            value=self.text(name)[:40],
        )


_DECLARATION = re.compile(r"^\s*<\?xml\b([^>]{0,200})\?>")
_ENCODING = re.compile(r"""encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_CHINESE = ("gbk", "gb2312", "gb18030", "cp936")


def _text(body: bytes) -> str:
    """The XML as text without its declaration: UTF-8, or GBK where it says so (no XML parser knows that by itself)."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    head = _DECLARATION.match(body[:256].decode("latin-1"))
    said = _ENCODING.search(head.group(1)) if head else None
    name = said.group(1).lower() if said else "utf-8"
    try:
        if name not in ("utf-8", "utf8", "us-ascii", *_CHINESE):
            raise LookupError(name)
        text = body.decode("gb18030" if name in _CHINESE else "utf-8")
    except (LookupError, ValueError) as error:
        raise _wrong("bad_xml", N_("The Qimen call is no XML that we take.")) from error
    return text[head.end() :] if head else text


def _parse(text: str) -> Element:
    """No entities, no document types, nothing fetched: what an XML bomb or a stranger's file would need."""
    try:
        root = fromstring(text, forbid_dtd=True)
    except (ParseError, DefusedXmlException, LookupError, ValueError) as error:
        raise _wrong("bad_xml", N_("The Qimen call is no XML that we take.")) from error
    assert isinstance(root, Element)
    return root


def _person(node: _Node) -> Recipient:
    return Recipient(
        name=node.text("name"),
        phone=node.text("mobile", "tel"),
        province=node.text("province"),
        city=node.text("city"),
        district=node.text("area"),
        town=node.text("town"),
        address=node.text("detailAddress"),
        country=node.text("countryCode"),
        postcode=node.text("zipCode"),
        oaid=node.text("oaid"),
    )


def _lines(node: _Node) -> tuple[Line, ...]:
    found = node.children("orderLines", "orderLine")
    if not found:
        raise _wrong("missing_field", N_("The Qimen call lacks %(field)s."), field=f"{node.path}/orderLines")
    return tuple(
        Line(
            line_no=one.text("orderLineNo") or str(place),
            item_code=one.needed("itemCode"),
            qty=one.pieces("planQty"),
            owner=one.text("ownerCode"),
            name=one.text("itemName"),
            condition=_condition(one),
            lot=one.text("batchCode", "produceCode"),
            produced_on=one.day("productDate"),
            expires_on=one.day("expireDate"),
            shop_order_no=one.text("sourceOrderCode"),
            sub_order_no=one.text("subSourceOrderCode"),
            price_minor=one.money("actualPrice", "retailPrice"),
        )
        for place, one in enumerate(found, 1)
    )


def _condition(node: _Node) -> str:
    found = node.text("inventoryType") or "ZP"
    if found not in CONDITIONS:
        raise node.bad("inventoryType")
    return found


def _delivery_order(node: _Node, xml: str) -> DeliveryOrder:
    head = node.child("deliveryOrder")
    lines = _lines(node)
    home = head.child("receiverInfo")
    for name in ("name", "province", "city", "detailAddress"):
        home.needed(name)
    order = ShopOrder(
        shop_order_no=head.needed("deliveryOrderCode"),
        ordered_at=from_china(head.text("placeOrderTime", "createTime")),
        state="paid",
        lines=tuple(ShopLine(line.line_no, line.item_code, line.name, line.qty, line.price_minor) for line in lines),
        recipient=_person(home),
        buyer_note=head.text("buyerMessage"),
        seller_memo=head.text("sellerMessage", "remark"),
        carrier_hint=head.text("logisticsCode"),
        raw={"xml": xml},
        updated_at=from_china(head.text("operateTime")),
        currency="CNY",
        ship_by=from_china(head.text("latestDeliveryTime", "latestCollectionTime")),
    )
    return DeliveryOrder(
        order=order,
        lines=lines,
        warehouse=head.needed("warehouseCode"),
        order_type=head.needed("orderType"),
        platform=head.text("sourcePlatformCode"),
        shop=head.text("shopNick"),
        waybill_no=head.text("expressCode"),
    )


def _order_cancel(node: _Node, xml: str) -> OrderCancel:
    return OrderCancel(
        code=node.needed("orderCode"),
        warehouse=node.needed("warehouseCode"),
        owner=node.text("ownerCode"),
        order_id=node.text("orderId"),
        order_type=node.text("orderType"),
        reason=node.text("cancelReason"),
    )


def _return_order(node: _Node, xml: str) -> ReturnOrder:
    head = node.child("returnOrder")
    return ReturnOrder(
        code=head.needed("returnOrderCode"),
        warehouse=head.needed("warehouseCode"),
        order_code=head.needed("preDeliveryOrderCode"),
        lines=_lines(node),
        sender=_person(head.child("senderInfo")),
        carrier_code=head.text("logisticsCode"),
        waybill_no=head.text("expressCode"),
        reason=head.text("returnReason"),
        order_type=head.text("orderType"),
    )


def _entry_order(node: _Node, xml: str) -> EntryOrder:
    head = node.child("entryOrder")
    return EntryOrder(
        code=head.needed("entryOrderCode"),
        warehouse=head.needed("warehouseCode"),
        owner=head.needed("ownerCode"),
        lines=_lines(node),
        order_type=head.text("orderType"),
        purchase_order=head.text("purchaseOrderCode"),
        supplier_code=head.text("supplierCode"),
        supplier_name=head.text("supplierName"),
        expected_from=from_china(head.text("expectStartTime")),
        expected_until=from_china(head.text("expectEndTime")),
        carrier_code=head.text("logisticsCode"),
        waybill_no=head.text("expressCode"),
        remark=head.text("remark"),
    )


def _item_sync(node: _Node, xml: str) -> ItemSync:
    item = node.child("item")
    action = node.needed("actionType")
    if action not in ("add", "update"):
        raise node.bad("actionType")
    return ItemSync(
        action=action,
        warehouse=node.needed("warehouseCode"),
        owner=node.needed("ownerCode"),
        code=item.needed("itemCode"),
        name=item.needed("itemName"),
        barcodes=tuple(one.strip() for one in re.split("[;；]", item.needed("barCode")) if one.strip()),
        item_type=item.text("itemType"),
        unit=item.text("stockUnit"),
        length_mm=item.whole("length", 10),
        width_mm=item.whole("width", 10),
        height_mm=item.whole("height", 10),
        weight_g=item.whole("grossWeight", 1000) or item.whole("netWeight", 1000),
        by_lot=item.yes("isBatchMgmt"),
        by_serial=item.yes("isSNMgmt"),
        by_expiry=item.yes("isShelfLifeMgmt"),
        shelf_life_h=item.whole("shelfLife"),
        refuse_days=item.whole("rejectLifecycle"),
        lock_days=item.whole("lockupLifecycle"),
    )


def _stock_query(node: _Node, xml: str) -> StockQuery:
    found = node.children("criteriaList", "criteria")
    if not found:
        raise _wrong("missing_field", N_("The Qimen call lacks %(field)s."), field=f"{node.path}/criteriaList")
    if len(found) > MOST_ASKED:
        raise node.bad("criteriaList")
    return StockQuery(
        tuple((one.needed("itemCode"), _condition(one) if one.text("inventoryType") else "") for one in found)
    )


READERS: dict[str, Any] = {
    "deliveryorder.create": _delivery_order,
    "order.cancel": _order_cancel,
    "returnorder.create": _return_order,
    "entryorder.create": _entry_order,
    "inventory.query": _stock_query,
    "singleitem.synchronize": _item_sync,
}


# Out


@dataclass(frozen=True, slots=True)
class Package:
    """A parcel that left. Weight in g, lengths in mm; 0 is not told. ``items`` are (line_no, item_code, pieces)."""

    carrier_code: str
    waybill_no: str
    items: tuple[tuple[str, str, int], ...]
    carrier_name: str = ""
    code: str = ""
    weight_g: int = 0
    length_mm: int = 0
    width_mm: int = 0
    height_mm: int = 0


@dataclass(frozen=True, slots=True)
class DeliveryConfirm:
    """``deliveryorder.confirm``: what became of a delivery order. ``key`` is the same for the same news for ever."""

    code: str
    warehouse: str
    order_type: str
    status: str
    key: str
    at: datetime
    packages: tuple[Package, ...] = ()
    lines: tuple[Line, ...] = ()
    order_id: str = ""
    final: bool = True
    """No more parcels of this order will come."""


@dataclass(frozen=True, slots=True)
class Received:
    """What came of a line of an entry order: ``pieces`` by (lot, condition, expiry)."""

    line: Line
    pieces: tuple[tuple[str, str, date | None, int], ...]


@dataclass(frozen=True, slots=True)
class EntryConfirm:
    """``entryorder.confirm``: what came of an entry order; it is the last word on it."""

    code: str
    entry_id: str
    warehouse: str
    owner: str
    order_type: str
    key: str
    at: datetime
    lines: tuple[Received, ...]


@dataclass(frozen=True, slots=True)
class ReturnConfirm:
    """``returnorder.confirm``: what came back of a return, graded line by line; it is the last word on it."""

    code: str
    return_id: str
    warehouse: str
    owner: str
    order_type: str
    key: str
    at: datetime
    lines: tuple[Received, ...]
    carrier_code: str = ""
    waybill_no: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A difference that a count found: ``difference`` pieces more or (below zero) fewer; ``total`` are there now."""

    item_code: str
    difference: int
    total: int
    condition: str = "ZP"
    lot: str = ""
    produced_on: date | None = None
    expires_on: date | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said to a call. ``ids`` are the other fields (``deliveryOrderId`` …)."""

    good: bool
    code: str
    message: str
    ids: dict[str, str] = field(default_factory=dict)


def delivery_confirm(news: DeliveryConfirm) -> bytes:
    """The body of ``deliveryorder.confirm``. Of each line, as many pieces went as its parcels hold together (R31)."""
    assert news.status in STATES, news.status
    went: Counter[str] = Counter()
    for package in news.packages:
        for line_no, _item, qty in package.items:
            went[line_no] += qty
    assert set(went) <= {line.line_no for line in news.lines}, "a parcel holds a line that the order has not"
    root = Element("request")
    head = SubElement(root, "deliveryOrder")
    at = china_time(news.at)
    for name, value in (
        ("deliveryOrderCode", news.code),
        ("deliveryOrderId", news.order_id),
        ("warehouseCode", news.warehouse),
        ("orderType", news.order_type),
        ("status", news.status),
        ("outBizCode", news.key),
        ("confirmType", "0" if news.final else "1"),
        ("orderConfirmTime", at),
        ("operateTime", at),
    ):
        _put(head, name, value)
    packages = SubElement(root, "packages")
    for package in news.packages:
        one = SubElement(packages, "package")
        for name, value in (
            ("logisticsCode", package.carrier_code),
            ("logisticsName", package.carrier_name),
            ("expressCode", package.waybill_no),
            ("packageCode", package.code),
            ("length", _scaled(package.length_mm, 10)),
            ("width", _scaled(package.width_mm, 10)),
            ("height", _scaled(package.height_mm, 10)),
            ("weight", _scaled(package.weight_g, 1000)),
        ):
            _put(one, name, value)
        items = SubElement(one, "items")
        for line_no, item_code, qty in package.items:
            item = SubElement(items, "item")
            _put(item, "orderLineNo", line_no)
            _put(item, "itemCode", item_code)
            _put(item, "quantity", str(qty))
    lines = SubElement(root, "orderLines")
    for line in news.lines:
        one = SubElement(lines, "orderLine")
        for name, value in (
            ("orderLineNo", line.line_no),
            ("orderSourceCode", line.shop_order_no),
            ("subSourceCode", line.sub_order_no),
            ("itemCode", line.item_code),
            ("inventoryType", line.condition),
            ("ownerCode", line.owner),
            ("itemName", line.name),
            ("planQty", str(line.qty)),
            ("actualQty", str(went[line.line_no])),
            ("batchCode", line.lot),
            ("productDate", _day(line.produced_on)),
            ("expireDate", _day(line.expires_on)),
        ):
            _put(one, name, value)
    return _xml(root)


def entry_confirm(news: EntryConfirm) -> bytes:
    """The body of ``entryorder.confirm``, final (confirmType 0): FULFILLED, be it less or more than was planned."""
    root = Element("request")
    head = SubElement(root, "entryOrder")
    for name, value in (
        ("totalOrderLines", str(len(news.lines))),
        ("entryOrderCode", news.code),
        ("entryOrderId", news.entry_id),
        ("ownerCode", news.owner),
        ("warehouseCode", news.warehouse),
        ("entryOrderType", news.order_type),
        ("outBizCode", news.key),
        ("confirmType", "0"),
        ("status", "FULFILLED"),
        ("operateTime", china_time(news.at)),
    ):
        _put(head, name, value)
    _received(root, news.lines, news.owner)
    return _xml(root)


def return_confirm(news: ReturnConfirm) -> bytes:
    """The body of ``returnorder.confirm`` (25997). Its carrier must be named: OTHER where the ERP named none."""
    root = Element("request")
    head = SubElement(root, "returnOrder")
    for name, value in (
        ("returnOrderCode", news.code),
        ("returnOrderId", news.return_id),
        ("warehouseCode", news.warehouse),
        ("outBizCode", news.key),
        ("orderType", news.order_type),
        ("orderConfirmTime", china_time(news.at)),
        ("logisticsCode", news.carrier_code or "OTHER"),
        ("expressCode", news.waybill_no),
    ):
        _put(head, name, value)
    _received(root, news.lines, news.owner)
    return _xml(root)


def _received(root: Element, came: Sequence[Received], owner: str) -> None:
    """What came, line by line, each in batches by lot, condition and expiry."""
    lines = SubElement(root, "orderLines")
    for received in came:
        one, line = SubElement(lines, "orderLine"), received.line
        for name, value in (
            ("orderLineNo", line.line_no),
            ("ownerCode", line.owner or owner),
            ("itemCode", line.item_code),
            ("itemName", line.name),
            ("planQty", str(line.qty)),
            ("inventoryType", line.condition),
            ("actualQty", str(sum(pieces for *_which, pieces in received.pieces))),
        ):
            _put(one, name, value)
        batches = SubElement(one, "batchs") if received.pieces else None
        for lot, condition, expiry, pieces in received.pieces:
            assert batches is not None
            batch = SubElement(batches, "batch")
            for name, value in (
                ("batchCode", lot),
                ("expireDate", _day(expiry)),
                ("inventoryType", condition),
                ("actualQty", str(pieces)),
            ):
                _put(batch, name, value)


def inventory_report(
    code: str, warehouse: str, owner: str, key: str, at: datetime, changes: Sequence[Change], page_size: int = 100
) -> list[bytes]:
    """The bodies of ``inventory.report`` for a count, a page each; every page has a key of its own."""
    pages = [changes[first : first + page_size] for first in range(0, len(changes), page_size)]
    bodies = []
    for number, page in enumerate(pages, 1):
        root = Element("request")
        for name, value in (
            ("totalPage", str(len(pages))),
            ("currentPage", str(number)),
            ("pageSize", str(page_size)),
            ("warehouseCode", warehouse),
            ("checkOrderCode", code),
            ("ownerCode", owner),
            ("checkTime", china_time(at)),
            ("outBizCode", f"{key}-{number}"),
            ("adjustType", "CHECK"),
        ):
            _put(root, name, value)
        items = SubElement(root, "items")
        for change in page:
            item = SubElement(items, "item")
            for name, value in (
                ("itemCode", change.item_code),
                ("inventoryType", change.condition),
                ("quantity", str(change.difference)),
                ("totalQty", str(change.total)),
                ("batchCode", change.lot),
                ("productDate", _day(change.produced_on)),
                ("expireDate", _day(change.expires_on)),
            ):
                _put(item, name, value)
        bodies.append(_xml(root))
    return bodies


def answer(good: bool, code: str, message: str, *, items: Sequence[Mapping[str, str]] = (), **ids: str) -> bytes:
    """What is said to a call: ``answer(True, "0", "ok", deliveryOrderId="W1")``; ``items`` to a question of stock."""
    root = Element("response")
    _put(root, "flag", "success" if good else "failure")
    _put(root, "code", code)
    _put(root, "message", message)
    for name, value in ids.items():
        _put(root, name, value)
    if items:
        rows = SubElement(root, "items")
        for one in items:
            row = SubElement(rows, "item")
            for name, value in one.items():
                _put(row, name, value)
    return _xml(root)


def read_answer(body: bytes) -> Answer:
    """What was said to a call of ours; only the word "success" is one. The platform's own errors have ``sub_code``."""
    root = _parse(_text(body))
    told = {child.tag: (child.text or "").strip() for child in root}
    flag, code, message = (told.pop(name, "") for name in ("flag", "code", "message"))
    return Answer(root.tag == "response" and flag == "success", code, message, told)


_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _put(parent: Element, name: str, value: str) -> None:
    """A field that says something; what XML cannot hold is left out."""
    if value:
        SubElement(parent, name).text = _ILLEGAL.sub("", value)


def _xml(root: Element) -> bytes:
    text: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _scaled(value: int, parts: int) -> str:
    """105 mm in cm is 10.5, 1250 g in kg is 1.25; nothing for 0."""
    return f"{(Decimal(value) / parts).normalize():f}" if value else ""


def _day(day: date | None) -> str:
    return day.isoformat() if day else ""


def _wrong(reason: str, message: str, **facts: Any) -> ConnectorError:
    return ConnectorError(permanent=True, reason=reason, message=message, facts=facts)
