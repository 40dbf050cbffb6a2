"""Pinduoduo 拼多多, through its open platform (POP).

Built from published copies of its documentation; the fields for several parcels and for masked recipients are from
memory. Proved: the signature against the platform's published example, the behaviour only against a double. Orders
may only be read by an app that runs in the platform's own cloud. Not certified live.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
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

GATEWAY = "https://gw-api.pinduoduo.com/api/router"
CHINA = ZoneInfo("Asia/Shanghai")
PAGE = 100
WINDOW = timedelta(minutes=30)
FIRST_WINDOW = timedelta(hours=24)
FIRST = timedelta(days=15)
"""How far back the first load goes: what is older and unsent has long missed its promise."""
OLDEST = timedelta(days=89)
LAG = timedelta(minutes=3)
"""An order may show up this much after the moment it says it was changed."""
OVERLAP = LAG + timedelta(minutes=7)
PATIENCE_S = 30.0
FIRST_SENDING, CORRECTION = 1, 2

PAUSES = {52101, 52102, 52103, 70031, 70033}
FAULTS = {50000, 50002, 52001, 52002}
ENDED = {10019, 20032, 30001}
FORBIDDEN = {20031, 30000, 70032, 70034, 70035}
LOST = ("timeout", "offline", "shop_fault", "no_json", "no_data")


@dataclass(slots=True)
class Pinduoduo:
    """Settings: ``client_id``, ``client_secret``, ``access_token``; ``url`` for another gateway.

    ``carriers``: our carrier code → the carrier's number there; else its code or name is looked up.
    ``refund_address``: the id of the address for returns, the shop's own when empty.
    """

    door: Door
    client_id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    carriers: Mapping[str, str] = field(default_factory=dict)
    refund_address: str = ""
    clock: Callable[[], datetime] = now
    sleep: Callable[[float], None] = time.sleep
    grain: Grain = "order"
    complete_until: datetime | None = None
    """What ``fetch_orders`` has read so far, all of it: a later run may begin here."""
    unread: dict[str, ConnectorError] = field(default_factory=dict)
    """Orders of the last ``fetch_orders`` that could not be understood."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], transport: httpx.BaseTransport | None = None) -> Pinduoduo:
        return cls(
            door=Door(str(settings.get("url") or GATEWAY), https_only=True, transport=transport),
            client_id=setting(settings, "client_id"),
            secret=setting(settings, "client_secret"),
            token=setting(settings, "access_token"),
            carriers=table(settings, "carriers"),
            refund_address=str(settings.get("refund_address") or ""),
        )

    # In

    def fetch_orders(self, since: datetime | None) -> Iterator[ShopOrder]:
        """Orders changed after ``since`` less the overlap, in windows that end before what may still show up.

        At first those of the last fifteen days that wait to be sent.
        """
        self.unread, self.complete_until = {}, since
        end = self.clock().astimezone(UTC) - LAG
        oldest = end - (OLDEST if since is not None else FIRST)
        start = max(since.astimezone(UTC) - OVERLAP, oldest) if since is not None else oldest
        step = WINDOW if since is not None else FIRST_WINDOW
        seen: set[tuple[str, str]] = set()
        while start < end:
            stop = min(start + step, end)
            for row in self._window(start, stop, changed=since is not None):
                identity = (str(row.get("order_sn")), str(row.get("updated_at")))
                if identity not in seen:
                    seen.add(identity)
                    yield self._shop_order(row)
            start = stop
            if since is not None or start == end:
                self.complete_until = stop

    def _shop_order(self, row: dict[str, Any]) -> ShopOrder:
        try:
            return _read(row)
        except common.UNREADABLE as error:
            number = str(row.get("order_sn") or "–")
            bad, self.unread[number] = common.unreadable(number, row, error)
            return bad

    def _window(self, start: datetime, stop: datetime, *, changed: bool) -> Iterator[dict[str, Any]]:
        """The rows of a window, the last page first: a row that is changed meanwhile leaves the window, and all
        behind it move forward, to pages that are still to be read.
        """
        begin, end = int(start.timestamp()), int(stop.timestamp())
        if changed:
            method, key, rows = (
                "pdd.order.number.list.increment.get",
                "order_sn_increment_get_response",
                "order_sn_list",
            )
            asked = {"start_updated_at": begin, "end_updated_at": end, "order_status": 5, "refund_status": 5}
            asked |= {"is_lucky_flag": 0, "use_has_next": False}
        else:
            method, key, rows = "pdd.order.list.get", "order_list_get_response", "order_list"
            asked = {"start_confirm_at": begin, "end_confirm_at": end, "order_status": 1, "refund_status": 1}
        first = self._call(method, {**asked, "page": 1, "page_size": PAGE}, key, patient=True)
        pages = -(-int(first.get("total_count") or 0) // PAGE)
        for page in range(pages, 1, -1):
            yield from self._call(method, {**asked, "page": page, "page_size": PAGE}, key, patient=True)[rows] or ()
        if pages > 1:
            first = self._call(method, {**asked, "page": 1, "page_size": PAGE}, key, patient=True)
        yield from first[rows] or ()

    def order_state(self, shop_order_no: str) -> str:
        found = self._call("pdd.order.status.get", {"order_sns": shop_order_no}, "order_status_get_response")
        for one in found["order_status_list"] or ():
            if str(one.get("orderSn") or one.get("order_sn")) == shop_order_no:
                return _state({"confirm_status": 1, "group_status": 1, **one})
        raise common.unknown_order(self.door.host, shop_order_no)

    # Out

    def push_shipment(self, shipment: Shipment) -> Pushed:
        """The first parcel sends the whole order; another is told beside it, where the order has more pieces."""
        order = self._order(shipment.shop_order_no)
        if _is_ours(order, shipment):
            return common.already(shipment, order["order_status"])
        state = _state(order)
        pieces = sum(int(line["goods_count"]) for line in order["item_list"])
        inside = sum(qty for _, _, qty in shipment.lines)
        beside = state == "shipped" and inside < pieces
        if (state != "paid" and not beside) or inside > pieces:
            return common.conflict(shipment, state, order["order_status"], _numbers(order))
        said = self._told(shipment, beside=beside)
        order = self._order(shipment.shop_order_no)
        if _is_ours(order, shipment) or (not said and beside and "extra_delivery_list" not in order):
            return common.taken(shipment, order["order_status"])
        state = _state(order)
        if said and state not in ("cancelled", "refunding"):
            return common.refused(shipment, order["order_status"], said, others=", ".join(_numbers(order)))
        if state == "paid":
            raise self._error(False, "not_yet", N_("%(host)s has taken the parcel but does not show it yet."))
        return common.conflict(shipment, state, order["order_status"], _numbers(order))

    def correct_shipment(self, shipment: Shipment, wrong: str) -> Pushed:
        """Put the parcel's number in the place of a wrong one that was told before."""
        order = self._order(shipment.shop_order_no)
        if _is_ours(order, shipment):
            return common.already(shipment, order["order_status"])
        if _state(order) != "shipped" or not common.same_number(order["tracking_number"], wrong):
            return common.not_there(shipment, order["order_status"], wrong)
        said = self._told(shipment, mode=CORRECTION)
        order = self._order(shipment.shop_order_no)
        if _is_ours(order, shipment):
            return common.taken(shipment, order["order_status"], wrong=wrong)
        return common.refused(shipment, order["order_status"], said, others=", ".join(_numbers(order)))

    def _told(self, shipment: Shipment, *, beside: bool = False, mode: int = FIRST_SENDING) -> str:
        """Give the shop the number; what it says against it, or nothing. A lost answer is read back."""
        carrier = self._carrier(shipment)
        try:
            if beside:
                extra = [{"shipping_id": int(carrier), "tracking_number": shipment.waybill_no}]
                asked: dict[str, Any] = {"order_sn": shipment.shop_order_no, "extra_track_list": extra}
                answer = self._call("pdd.order.upload.extra.logistics", asked, "upload_extra_logistics_response")
                return "" if answer.get("success") is True else _UNSAID
            asked = {"order_sn": shipment.shop_order_no, "logistics_id": carrier, "redelivery_type": mode}
            asked |= {"tracking_number": shipment.waybill_no, "refund_address_id": self.refund_address}
            answer = self._call("pdd.logistics.online.send", asked, "logistics_online_send_response")
            return "" if answer.get("is_success") is True else _UNSAID
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
        found = self._call("pdd.logistics.companies.get", {}, "logistics_companies_get_response")
        open_ones = [one for one in found["logistics_companies"] if int(one["available"]) == 1]
        for name, ours in (("code", shipment.carrier_code), ("logistics_company", shipment.carrier_name)):
            ids = {str(one["id"]) for one in open_ones if ours and str(one[name]).upper() == ours.upper()}
            if len(ids) == 1:
                return ids.pop()
        words = N_("The shop does not know carrier %(carrier)s. Enter its number there in the shop's settings.")
        raise self._error(True, "carrier_unknown", words, carrier=shipment.carrier_name or shipment.carrier_code)

    def push_stock(self, sku: str, qty: int) -> None:
        """Set what can be sold of the item with this SKU (商家编码), shared out where several offers have it."""
        offers = self._offers(sku)
        for (goods, item), share in zip(offers, common.spread(qty, len(offers)), strict=True):
            asked = {"goods_id": goods, "sku_id": item["sku_id"], "quantity": share, "update_type": 1}
            answer = self._call("pdd.goods.quantity.update", asked, "goods_quantity_update_response")
            if answer.get("is_success") is not True:
                words = N_("The shop does not take the stock of %(sku)s: %(shop_says)s")
                raise self._error(True, "stock_refused", words, sku=sku, shop_says=_UNSAID)

    def stock(self, sku: str) -> int:
        """Pieces the shop can still sell."""
        return sum(int(item["sku_quantity"]) for _, item in self._offers(sku))

    def _offers(self, sku: str) -> list[tuple[Any, dict[str, Any]]]:
        """(goods, item) of each offer: one item is often sold under several links."""
        found: list[tuple[Any, dict[str, Any]]] = []
        page, more = 1, True
        while more:
            asked = {"outer_id": sku, "page": page, "page_size": PAGE}
            rows = self._call("pdd.goods.list.get", asked, "goods_list_get_response")["goods_list"] or []
            more = len(rows) == PAGE
            found += [(goods["goods_id"], one) for goods in rows for one in goods["sku_list"] if one["outer_id"] == sku]
            page += 1
        if not found:
            raise common.unknown_sku(self.door.host, sku)
        return sorted(found, key=lambda one: (str(one[0]), str(one[1]["sku_id"])))

    # The wire

    def _order(self, order_no: str) -> dict[str, Any]:
        try:
            found = self._call("pdd.order.information.get", {"order_sn": order_no}, "order_info_get_response")
        except ConnectorError as error:
            if error.reason == "refused_here":
                # The platform has one code for every refusal of its business: its words are kept.
                words = N_("The shop does not give order %(order)s: %(shop_says)s")
                raise self._error(
                    True, "order_unknown", words, order=order_no, shop_says=error.facts["shop_says"]
                ) from error
            raise
        order: dict[str, Any] | None = found.get("order_info")
        if not order or str(order.get("order_sn")) != order_no:
            raise common.unknown_order(self.door.host, order_no)
        return order

    def _call(self, method: str, asked: Mapping[str, Any], key: str, patient: bool = False) -> dict[str, Any]:
        """The object of the answer. A patient caller waits while the platform asks for a pause."""
        for tried in range(5 if patient else 0):
            try:
                return self._ask_well(method, asked, key)
            except ConnectorError as error:
                if error.reason != "busy" or (error.retry_after_s or 0) > PATIENCE_S:
                    raise
                self.sleep(error.retry_after_s or 2.0**tried)
        return self._ask_well(method, asked, key)

    def _ask_well(self, method: str, asked: Mapping[str, Any], key: str) -> dict[str, Any]:
        if method.endswith(".get"):
            return persist(lambda: self._ask(method, asked, key), self.sleep)
        return self._ask(method, asked, key)

    def _ask(self, method: str, asked: Mapping[str, Any], key: str) -> dict[str, Any]:
        params = {name: _text(value) for name, value in asked.items() if value not in (None, "")}
        params |= {"type": method, "client_id": self.client_id, "access_token": self.token, "data_type": "JSON"}
        params["timestamp"] = str(int(self.clock().timestamp()))
        params["sign"] = sign(params, self.secret)
        answer = self.door.request_json(
            "POST",
            body=urlencode(params).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded;charset=UTF-8"},
        )
        body = answer.body if isinstance(answer.body, dict) else {}
        fault = body.get("error_response")
        if isinstance(fault, dict):
            raise self._told_off(fault)
        found = body.get(key)
        if not isinstance(found, dict):
            raise self._error(False, "no_data", N_("%(host)s answered without the data. It is tried again."))
        return found

    def _told_off(self, fault: Mapping[str, Any]) -> ConnectorError:
        code = int(fault.get("error_code") or 0)
        said = str(fault.get("sub_msg") or fault.get("error_msg") or code)
        facts: dict[str, Any] = {"shop_says": quoted(said, self.secret, self.token), "code": code}
        if code in PAUSES:
            return self._error(False, "busy", N_("%(host)s asks for a pause. It is tried again."), **facts)
        if code in FAULTS:
            return self._error(
                False, "shop_fault", N_("%(host)s is at fault (%(shop_says)s). It is tried again."), **facts
            )
        if code in ENDED:
            words = N_("The permission of the shop at %(host)s has ended (%(shop_says)s). Authorise the shop again.")
            return self._error(True, "unauthorised", words, **facts)
        if code in FORBIDDEN:
            words = N_("Our app may not do this at %(host)s: %(shop_says)s Ask for the permission there.")
            return self._error(True, "access_denied", words, **facts)
        if code == 20004:
            words = N_("%(host)s does not take our signature. Check the app's secret and this machine's clock.")
            return self._error(True, "bad_sign", words, **facts)
        if code == 20005:
            words = N_("%(host)s does not know our address. Add this machine's to the app's white list there.")
            return self._error(True, "ip_unknown", words, **facts)
        return self._error(True, "refused_here", N_("%(host)s reports: %(shop_says)s"), **facts)

    def _error(self, permanent: bool, reason: str, message: str, **facts: Any) -> ConnectorError:
        facts = {"host": self.door.host, **facts}
        return ConnectorError(permanent=permanent, reason=reason, message=message, facts=facts)


def sign(params: Mapping[str, str], secret: str) -> str:
    """MD5 over the secret, each name and value in the order of the names, and the secret again; capitals."""
    pairs = "".join(f"{name}{params[name]}" for name in sorted(params) if name != "sign")
    return hashlib.md5(f"{secret}{pairs}{secret}".encode(), usedforsecurity=False).hexdigest().upper()


_UNSAID = "is_success=false"


def _text(value: Any) -> str:
    """A parameter as it is signed and sent: what is no text goes as JSON, once."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _time(text: Any) -> datetime | None:
    """The platform's clock text, which is of China wherever this program runs."""
    return datetime.fromisoformat(str(text)).replace(tzinfo=CHINA).astimezone(UTC) if text else None


def _state(order: Mapping[str, Any]) -> OrderState:
    refund, sent = int(order["refund_status"]), int(order["order_status"])
    if int(order["confirm_status"]) == 2 or refund == 4 or int(order["group_status"]) == 2:
        return "cancelled"
    if sent in (2, 3):
        return "shipped"
    if refund in (2, 3):
        return "refunding"
    unfinished = int(order["confirm_status"]) != 1 or int(order["group_status"]) != 1
    checked = int(order.get("risk_control_status") or 0) == 1
    step = order.get("step_order_info") or {}
    unpaid = int(order.get("trade_type") or 0) == 1 and int(step.get("step_trade_status", 2)) != 2
    fetched = int(order.get("self_contained") or 0) == 1
    if sent != 1 or refund != 1 or unfinished or checked or unpaid or fetched:
        return "other"
    return "paid"


def _read(row: dict[str, Any]) -> ShopOrder:
    state = _state(row)
    counts: dict[str, int] = {}
    lines = []
    for line in row["item_list"]:
        ref = f"{row['order_sn']}/{line['sku_id']}"
        counts[ref] = counts.get(ref, 0) + 1
        lines.append(
            ShopLine(
                line_ref=ref if counts[ref] == 1 else f"{ref}/{counts[ref]}",
                sku=str(line.get("outer_id") or line.get("outer_goods_id") or line["sku_id"]),
                name=" ".join(part for part in (line["goods_name"], line.get("goods_spec")) if part),
                qty=int(line["goods_count"]),
                price_minor=common.minor(str(line["goods_price"]), "CNY"),
                cancelled=state == "cancelled",
            )
        )
    return ShopOrder(
        shop_order_no=str(row["order_sn"]),
        ordered_at=_time(row.get("created_time") or row.get("confirm_time")),
        state=state,
        lines=tuple(lines),
        recipient=_recipient(row),
        buyer_note=str(row.get("buyer_memo") or ""),
        seller_memo=str(row.get("remark") or ""),
        carrier_hint="SF" if int(row.get("free_sf") or 0) == 1 else "",
        raw=row,
        updated_at=_time(row.get("updated_at")),
        currency="CNY",
        ship_by=_time(row.get("last_ship_time")),
    )


def _recipient(row: Mapping[str, Any]) -> Recipient:
    """As it comes: masked where there is a mask, else whatever stands there."""

    def of(name: str) -> str:
        return str(row.get(f"{name}_mask") or row.get(name) or "")

    return Recipient(
        name=of("receiver_name"),
        phone=of("receiver_phone"),
        province=of("province"),
        city=of("city"),
        district=of("town"),  # what the platform calls a town is the district
        address=of("receiver_address") or of("address"),
        country=of("country"),
        oaid=str(row.get("open_address_id_2") or row.get("open_address_id") or ""),
    )


def _numbers(order: Mapping[str, Any]) -> list[str]:
    extra = [str(one.get("tracking_number") or "") for one in order.get("extra_delivery_list") or ()]
    return [number for number in (str(order.get("tracking_number") or ""), *extra) if number]


def _is_ours(order: Mapping[str, Any], shipment: Shipment) -> bool:
    return any(common.same_number(number, shipment.waybill_no) for number in _numbers(order))
