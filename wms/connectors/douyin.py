"""Douyin 抖店, through its open platform.

Built from published copies of its documentation and error tables; the fields for masked recipients beyond those are
from memory. Proved: the signature against an independent client, the behaviour only against a double. Not certified
live.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from wms.clock import now
from wms.connectors import (
    ConnectorError,
    Grain,
    OrderState,
    Pushed,
    Recipient,
    Shipment,
    ShopLine,
    ShopOrder,
    setting,
    table,
)
from wms.connectors import orders as common
from wms.connectors.http import Door, quoted
from wms.connectors.limits import persist
from wms.errors import N_

GATEWAY = "https://openapi-fxg.jinritemai.com"
CHINA = ZoneInfo("Asia/Shanghai")
PAGE = 100
MOST_ROWS = 10_000
"""Page times size may not pass this."""
FIRST = timedelta(days=30)
OLDEST = timedelta(days=89)
OVERLAP = timedelta(minutes=5)
PATIENCE_S = 30.0

STATES: dict[int, OrderState] = {
    2: "paid",
    101: "paid",  # partly sent
    3: "shipped",
    5: "shipped",
    4: "cancelled",
    21: "cancelled",  # paid back before it was sent
    22: "cancelled",  # after it was sent
    39: "cancelled",  # after it arrived
}
ASKED = {6, 7, 11}
"""After-sale states in which somebody still has to decide, or the goods are on their way back."""
BACK = {12, 51}
GONE = {4, 21, 22, 39}

DONE_BEFORE = ("isv.parameter-invalid:40010", "isv.idempotent-id-existed")
BUSY = {
    "1000",
    "8888",
    "10006",
    "60106",
    "60114",
    "60118",
    "60121",
    "60124",
    "60125",
    "60132",
    "70009",
    "70011",
    "120032",
}
"""Refusals of the business that the table calls "busy, try again"."""
LOST = ("timeout", "offline", "shop_fault", "no_json", "no_data")


@dataclass(slots=True)
class Douyin:
    """Settings: ``app_key``, ``app_secret``, ``access_token``; ``url`` for another gateway.

    ``carriers``: our carrier code → the carrier's code there; else its code or name is looked up.
    """

    door: Door
    app_key: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    carriers: Mapping[str, str] = field(default_factory=dict)
    clock: Callable[[], datetime] = now
    sleep: Callable[[float], None] = time.sleep
    grain: Grain = "package"
    complete_until: datetime | None = None
    """What ``fetch_orders`` has read so far, all of it: a later run may begin here."""
    unread: dict[str, ConnectorError] = field(default_factory=dict)
    """Orders of the last ``fetch_orders`` that could not be understood."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], transport: httpx.BaseTransport | None = None) -> Douyin:
        return cls(
            door=Door(str(settings.get("url") or GATEWAY), https_only=True, transport=transport),
            app_key=setting(settings, "app_key"),
            secret=setting(settings, "app_secret"),
            token=setting(settings, "access_token"),
            carriers=table(settings, "carriers"),
        )

    # In

    def fetch_orders(self, since: datetime | None) -> Iterator[ShopOrder]:
        """Orders changed after ``since`` less the overlap; at first those of thirty days that wait to be sent.

        A page starts at a time, not at a number: an order changed while we read moves to the end, and all behind
        it would move up by one. So the limit of pages is not met either.
        """
        self.unread, self.complete_until = {}, since
        end = int(self.clock().timestamp())
        oldest = end - int((OLDEST if since is not None else FIRST).total_seconds())
        by = "update_time" if since is not None else "create_time"
        start = max(int((since - OVERLAP).timestamp()), oldest) if since is not None else oldest
        asked: dict[str, Any] = {f"{by}_end": end, "order_by": by, "order_asc": True, "size": PAGE}
        if since is None:
            asked["combine_status"] = [{"order_status": "2,101"}]
        seen: set[tuple[str, int]] = set()
        page = 0
        while page * PAGE < MOST_ROWS:
            found = self._call("/order/searchList", {**asked, f"{by}_start": start, "page": page}, patient=True)
            rows = found.get("shop_order_list") or []
            for row in rows:
                identity = (str(row.get("order_id")), int(row.get("update_time") or 0))
                if identity not in seen:
                    seen.add(identity)
                    yield self._shop_order(row)
                if since is not None:
                    self.complete_until = _time(row["update_time"])
            if len(rows) < PAGE:
                self.complete_until = _time(end)
                return
            reached = int(rows[-1][by])
            if reached > start:
                start, page = reached, 0
            else:
                page += 1
        words = N_("%(host)s has more orders in one second than can be read. Load that day from a file.")
        raise self._error(True, "too_many", words)

    def _shop_order(self, row: dict[str, Any]) -> ShopOrder:
        try:
            return _read(row)
        except common.UNREADABLE as error:
            number = str(row.get("order_id") or "–")
            bad, self.unread[number] = common.unreadable(number, row, error)
            return bad

    def order_state(self, shop_order_no: str) -> str:
        return _state(self._order(shop_order_no))

    def read_order(self, shop_order_no: str) -> ShopOrder:
        order = self._order(shop_order_no)
        try:
            return _read(order)
        except common.UNREADABLE as error:
            raise common.unreadable(shop_order_no, order, error)[1] from error

    # Out

    def push_shipment(self, shipment: Shipment) -> Pushed:
        """The whole order in one call, or this parcel's pieces of it. Never over a refund that is asked for."""
        order = self._order(shipment.shop_order_no)
        if _is_ours(order, shipment):
            return common.already(shipment, order["order_status"])
        state, left = _state(order), _left(order)
        skus = {str(line["order_id"]): _sku(line) for line in order["sku_order_list"]}
        inside = common.share_out(shipment.lines, left, skus) if state == "paid" else None
        if not inside:
            return common.conflict(shipment, state, order["order_status"], _numbers(order))
        said = self._told(shipment, inside, whole=inside == +Counter(left) and not _numbers(order))
        order = self._order(shipment.shop_order_no)
        if _is_ours(order, shipment):
            if _lacks(order, shipment, inside):
                words = N_(
                    "The shop took waybill %(waybill)s without some pieces of parcel %(parcel)s: they were paid back"
                    " a moment ago. Stop the parcel or call it back."
                )
                return Pushed("conflict", words, common.evidence(shipment, order["order_status"]))
            return common.taken(shipment, order["order_status"])
        state = _state(order)
        if said and state not in ("cancelled", "refunding"):
            return common.refused(shipment, order["order_status"], said, others=", ".join(_numbers(order)))
        if state == "paid":
            raise self._error(False, "not_yet", N_("%(host)s has taken the parcel but does not show it yet."))
        return common.conflict(shipment, state, order["order_status"], _numbers(order))

    def _told(self, shipment: Shipment, inside: Mapping[str, int], *, whole: bool) -> str:
        """Give the shop the number; what it says against it, or nothing. A lost answer is read back."""
        parcel: dict[str, Any] = {"company_code": self._carrier(shipment), "logistics_code": shipment.waybill_no}
        asked: dict[str, Any] = {"order_id": shipment.shop_order_no, "is_refund_reject": False}
        if whole:
            return self._write("/order/logisticsAdd", {**asked, **parcel}, shipment)
        parcel["shipped_order_info"] = [{"shipped_order_id": line, "shipped_num": qty} for line, qty in inside.items()]
        # The platform knows a parcel again by this id, however often it comes.
        identity = hashlib.sha256(f"{shipment.key}\n{shipment.waybill_no}".encode()).hexdigest()[:32]
        return self._write(
            "/order/logisticsAddMultiPack", {**asked, "pack_list": [parcel], "request_id": identity}, shipment
        )

    def correct_shipment(self, shipment: Shipment, wrong: str) -> Pushed:
        """Put the parcel's number in the place of a wrong one that was told before."""
        order = self._order(shipment.shop_order_no)
        if _is_ours(order, shipment):
            return common.already(shipment, order["order_status"])
        packs = order.get("logistics_info") or []
        found = [one for one in packs if common.same_number(one["tracking_no"], wrong)]
        if not found:
            return common.not_there(shipment, order["order_status"], wrong)
        asked = {"order_id": shipment.shop_order_no, "company_code": self._carrier(shipment)}
        asked["logistics_code"] = shipment.waybill_no
        if len(packs) == 1 and not any(_left(order).values()):
            said = self._write("/order/logisticsEdit", asked, shipment)
        else:
            said = self._write(
                "/order/logisticsEditByPack", {**asked, "pack_id": str(found[0]["delivery_id"])}, shipment
            )
        order = self._order(shipment.shop_order_no)
        if _is_ours(order, shipment):
            return common.taken(shipment, order["order_status"], wrong=wrong)
        return common.refused(shipment, order["order_status"], said, others=", ".join(_numbers(order)))

    def _write(self, path: str, asked: Mapping[str, Any], shipment: Shipment) -> str:
        try:
            self._call(path, asked)
        except ConnectorError as error:
            if error.reason == "refused_here":
                return str(error.facts["shop_says"])
            if error.reason not in LOST or not _is_ours(self._order(shipment.shop_order_no), shipment):
                raise
        return ""

    def _carrier(self, shipment: Shipment) -> str:
        known = self.carriers.get(shipment.carrier_code)
        if known:
            return known
        found = self._data_of("/order/logisticsCompanyList", {})
        rows = found.get("data") if isinstance(found, dict) else found
        for name, ours in (("code", shipment.carrier_code), ("name", shipment.carrier_name)):
            codes = {str(one["code"]) for one in rows or () if ours and str(one[name]).upper() == ours.upper()}
            if len(codes) == 1:
                return codes.pop()
        words = N_("The shop does not know carrier %(carrier)s. Enter its number there in the shop's settings.")
        raise self._error(True, "carrier_unknown", words, carrier=shipment.carrier_name or shipment.carrier_code)

    def push_stock(self, sku: str, qty: int) -> None:
        """Set what can be sold of the item with this SKU (商家编码)."""
        item = self._item(sku)
        asked = {"sku_id": item["id"], "product_id": item["product_id"], "stock_num": qty, "incremental": False}
        asked["idempotent_id"] = uuid.uuid4().hex
        try:
            try:
                self._call("/sku/syncStock", asked)
            except ConnectorError as error:
                if error.reason not in LOST:
                    raise
                self._call("/sku/syncStock", asked)  # under the same id: done once, whichever arrived
        except ConnectorError as error:
            if error.facts.get("sub_code") not in DONE_BEFORE:
                raise

    def stock(self, sku: str) -> int:
        """Pieces the shop can still sell."""
        return int(self._item(sku)["stock_num"])

    def _item(self, sku: str) -> dict[str, Any]:
        try:
            item = self._call("/sku/detail", {"code": sku})
        except ConnectorError as error:
            if str(error.facts.get("sub_code")) in ("isv.parameter-invalid:20050", "isv.parameter-invalid:5"):
                raise common.unknown_sku(self.door.host, sku) from error
            raise
        if str(item.get("code")) != sku:
            raise common.unknown_sku(self.door.host, sku)
        return item

    # The wire

    def _order(self, order_no: str) -> dict[str, Any]:
        try:
            found = self._call("/order/orderDetail", {"shop_order_id": order_no})
        except ConnectorError as error:
            if str(error.facts.get("sub_code")) in ("isv.parameter-invalid:20014", "isv.parameter-invalid:20001"):
                raise common.unknown_order(self.door.host, order_no) from error
            raise
        order: dict[str, Any] | None = found.get("shop_order_detail")
        if not order or str(order.get("order_id")) != order_no:
            raise common.unknown_order(self.door.host, order_no)
        return order

    def _call(self, path: str, asked: Mapping[str, Any], patient: bool = False) -> dict[str, Any]:
        """The object of the answer. A patient caller waits while the platform asks for a pause."""
        for tried in range(5 if patient else 0):
            try:
                return _object(self._data_of(path, asked))
            except ConnectorError as error:
                if error.reason != "busy" or (error.retry_after_s or 0) > PATIENCE_S:
                    raise
                self.sleep(error.retry_after_s or 2.0**tried)
        return _object(self._data_of(path, asked))

    def _data_of(self, path: str, asked: Mapping[str, Any]) -> Any:
        if path in READS:
            return persist(lambda: self._data(path, asked), self.sleep)
        return self._data(path, asked)

    def _data(self, path: str, asked: Mapping[str, Any]) -> Any:
        param_json = compact(asked)
        method = path.strip("/").replace("/", ".")
        timestamp = self.clock().astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")
        params = {
            "app_key": self.app_key,
            "method": method,
            "access_token": self.token,
            "timestamp": timestamp,
            "v": "2",
            "sign_method": "hmac-sha256",
            "sign": sign(self.app_key, self.secret, method, param_json, timestamp),
        }
        answer = self.door.request_json(
            "POST",
            path,
            params=list(params.items()),
            body=param_json.encode(),
            headers={"Content-Type": "application/json;charset=UTF-8"},
        )
        body = answer.body if isinstance(answer.body, dict) else {}
        code = body.get("code", body.get("err_no"))
        if code not in (0, 10000):
            raise self._told_off(code, body)
        return body.get("data")

    def _told_off(self, code: Any, body: Mapping[str, Any]) -> ConnectorError:
        if not isinstance(code, int):
            return self._error(False, "no_data", N_("%(host)s answered without the data. It is tried again."))
        sub = str(body.get("sub_code") or "")
        said = quoted(body.get("sub_msg") or body.get("msg") or body.get("message") or code, self.secret, self.token)
        facts: dict[str, Any] = {"shop_says": said, "code": code, "sub_code": sub}
        if code == 60000:
            return self._error(False, "busy", N_("%(host)s asks for a pause. It is tried again."), **facts)
        if code in (20000, 20001, 90000) or sub.startswith("isp.") or _is_busy(sub):
            return self._error(
                False, "shop_fault", N_("%(host)s is at fault (%(shop_says)s). It is tried again."), **facts
            )
        if "access-token" in sub or "authorization" in sub or sub == "isv.app-id-expired":
            words = N_("The permission of the shop at %(host)s has ended (%(shop_says)s). Authorise the shop again.")
            return self._error(True, "unauthorised", words, **facts)
        if code in (30001, 80000):
            words = N_("Our app may not do this at %(host)s: %(shop_says)s Ask for the permission there.")
            return self._error(True, "access_denied", words, **facts)
        if code == 30002:
            words = N_("%(host)s does not know our address. Add this machine's to the app's white list there.")
            return self._error(True, "ip_unknown", words, **facts)
        if "signature" in sub or "timestamp" in sub:
            words = N_("%(host)s does not take our signature. Check the app's secret and this machine's clock.")
            return self._error(True, "bad_sign", words, **facts)
        return self._error(True, "refused_here", N_("%(host)s reports: %(shop_says)s"), **facts)

    def _error(self, permanent: bool, reason: str, message: str, **facts: Any) -> ConnectorError:
        facts = {"host": self.door.host, **facts}
        return ConnectorError(permanent=permanent, reason=reason, message=message, facts=facts)


def sign(app_key: str, secret: str, method: str, param_json: str, timestamp: str) -> str:
    """HMAC-SHA256 under the secret, over the parameters between the secret twice; small hexadecimal."""
    text = f"app_key{app_key}method{method}param_json{param_json}timestamp{timestamp}v2"
    return hmac.new(secret.encode(), f"{secret}{text}{secret}".encode(), hashlib.sha256).hexdigest()


def compact(asked: Mapping[str, Any]) -> str:
    """The one JSON text that is signed and sent: names sorted at every depth, no spaces, nothing escaped."""
    return json.dumps(asked, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def orders_of(body: bytes, shop_id: str = "") -> tuple[str, ...]:
    """The orders that a message's list speaks of (``p_id``), of that shop alone where one app serves several.

    A list of ``{"tag": "100", "msg_id": "…", "data": {…}}``, ``data`` an object or its JSON text; tag 0 is the
    platform's test of the address and has no order.
    """
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    found: dict[str, None] = {}
    for message in told if isinstance(told, list) else [told]:
        data = message.get("data") if isinstance(message, dict) and str(message.get("tag")) != "0" else None
        try:
            data = json.loads(data) if isinstance(data, str) else data
        except (ValueError, RecursionError):
            continue
        if not isinstance(data, dict) or (shop_id and str(data.get("shop_id") or shop_id) != shop_id):
            continue
        number = str(data.get("p_id") or "")
        if number.isascii() and number.isdigit() and len(number) <= 24:
            found[number] = None
    return tuple(found)


def verify_event(app_key: str, secret: str, body: bytes, signature: str) -> bool:
    """Whether a message's ``event-sign`` was made over these very bytes with the app's secret."""
    wanted = hashlib.md5(app_key.encode() + body + secret.encode(), usedforsecurity=False).hexdigest()
    return hmac.compare_digest(wanted.encode(), signature.encode())


def _is_busy(sub_code: str) -> bool:
    kind, _, number = sub_code.rpartition(":")
    return kind == "isv.business-failed" and number in BUSY


def _object(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) else {}


def _time(seconds: Any) -> datetime | None:
    return datetime.fromtimestamp(int(seconds), UTC) if seconds and int(seconds) > 0 else None


def _sku(line: Mapping[str, Any]) -> str:
    return str(line.get("code") or line.get("out_sku_id") or line["sku_id"])


def _is_back(line: Mapping[str, Any]) -> bool:
    """Whether a line's money went back."""
    sale = line.get("after_sale_info") or {}
    given = int(sale.get("refund_status") or 0) == 3 or int(sale.get("after_sale_status") or 0) in BACK
    return given or int(line.get("order_status") or 0) in GONE


def _is_asked(line: Mapping[str, Any]) -> bool:
    return not _is_back(line) and int((line.get("after_sale_info") or {}).get("after_sale_status") or 0) in ASKED


READS = ("/order/searchList", "/order/orderDetail", "/order/logisticsCompanyList", "/sku/detail", "/sku/list")


def _state(order: Mapping[str, Any]) -> OrderState:
    state = STATES.get(int(order["order_status"]), "other")
    lines = order["sku_order_list"]
    if state != "paid":
        return state
    if int(order.get("order_type") or 0) != 0 or any(int(line.get("receive_type") or 1) == 2 for line in lines):
        return "other"  # a voucher, or fetched by the buyer
    if lines and all(_is_back(line) for line in lines):
        return "cancelled"
    if any(_is_asked(line) for line in lines):
        return "refunding"
    return "paid"


def _left(order: Mapping[str, Any]) -> dict[str, int]:
    """Line → pieces that still wait to be sent."""
    sent: Counter[str] = Counter()
    for pack in order.get("logistics_info") or ():
        for one in pack.get("product_info") or ():
            sent[str(one["sku_order_id"])] += int(one["product_count"])
    left = {}
    for line in order["sku_order_list"]:
        if int(line.get("goods_type") or 0) == 0:
            number = str(line["order_id"])
            left[number] = 0 if _is_back(line) else max(int(line["item_num"]) - sent[number], 0)
    return left


def _read(row: dict[str, Any]) -> ShopOrder:
    state, left = _state(row), _left(row)
    lines = []
    for line in row["sku_order_list"]:
        number, ordered = str(line["order_id"]), int(line["item_num"])
        goods = number in left
        waiting = left.get(number, 0 if _is_back(line) else ordered) if state != "shipped" else ordered
        spec = " ".join(str(one.get("value") or "") for one in line.get("spec") or ())
        lines.append(
            ShopLine(
                line_ref=number,
                sku=_sku(line),
                name=f"{line['product_name']} {spec}".strip(),
                qty=waiting or ordered or 1,
                price_minor=int(line["origin_amount"]),
                kind="goods" if goods else "service",
                cancelled=not waiting or state == "cancelled",
            )
        )
    return ShopOrder(
        shop_order_no=str(row["order_id"]),
        ordered_at=_time(row.get("create_time")),
        state=state,
        lines=tuple(lines),
        recipient=_recipient(row),
        buyer_note=str(row.get("buyer_words") or ""),
        seller_memo=str(row.get("seller_words") or ""),
        raw=row,
        updated_at=_time(row.get("update_time")),
        currency="CNY",
        ship_by=_time(row.get("exp_ship_time")),
    )


def _recipient(row: Mapping[str, Any]) -> Recipient:
    """As it comes: masked where there is a mask, else whatever stands there."""

    def of(name: str) -> Any:
        return row.get(f"mask_{name}") or row.get(name) or ""

    address = of("post_addr") or {}

    def part(name: str) -> str:
        return str((address.get(name) or {}).get("name") or "")

    return Recipient(
        name=str(of("post_receiver")),
        phone=str(of("post_tel")),
        province=part("province"),
        city=part("city"),
        district=part("town"),  # what the platform calls a town is the district
        town=part("street"),
        address=str(address.get("detail") or ""),
        country="CN" if address else "",
        oaid=str(row.get("open_address_id") or ""),
    )


def _numbers(order: Mapping[str, Any]) -> list[str]:
    return [str(one["tracking_no"]) for one in order.get("logistics_info") or () if one.get("tracking_no")]


def _lacks(order: Mapping[str, Any], shipment: Shipment, inside: Mapping[str, int]) -> bool:
    """Whether the shop has our number with fewer pieces: a whole order is sent without what was paid back."""
    told: Counter[str] = Counter()
    for pack in order.get("logistics_info") or ():
        if common.same_number(pack["tracking_no"], shipment.waybill_no):
            for one in pack.get("product_info") or ():
                told[str(one["sku_order_id"])] += int(one["product_count"])
    return bool(told) and bool(Counter(inside) - told)


def _is_ours(order: Mapping[str, Any], shipment: Shipment) -> bool:
    return any(common.same_number(number, shipment.waybill_no) for number in _numbers(order))
