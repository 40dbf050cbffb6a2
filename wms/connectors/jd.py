"""JD (京东 POP) through the JOS gateway ``api.jd.com/routerjson``.

Built from JD's published contracts as they stand in public copies: the documentation kept in lostinfo/jos-open-api
(2019) and XiBao/jos (2024), apiIds 1566/4246 (search), 1948 (shipment), 925/13151 (refund applications), 1227 (SKU
search), ``jingdong.ware.stock.sku.set``, and JD's OAuth refresh. Proved: the signature against JD's published
example and two foreign clients (``jd-sdk``, ``pyjos``); the rest against a double of the gateway that enforces
those contracts and is itself driven by these clients. **Not certified live**: no call was ever made to JD.

What JD's papers leave open: the error codes of a second shipment (so every refusal is read back), whether
``stockNum`` counts what buyers have ordered already, and call rates. JD calls this gateway a historical one that
moves to SP-API step by step; transport (``_call``) and methods are kept apart for that day.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx

from wms import clock
from wms.connectors import (
    ConnectorError,
    Grain,
    OnToken,
    OrderState,
    Pushed,
    Recipient,
    Shipment,
    ShopLine,
    ShopOrder,
    moment,
    number,
    setting,
    table,
)
from wms.connectors.http import Answer, Door, quoted
from wms.connectors.limits import (
    AT_FAULT,
    BANNED,
    NOT_PERMITTED,
    NOT_SEEN,
    REAUTHORISE,
    SHARED,
    WRONG_CLOCK,
    WRONG_KEYS,
    Fault,
    Lane,
    Limits,
    Rate,
    Verdict,
    banned,
    persist,
)
from wms.connectors.orders import UNREADABLE, spread, unreadable
from wms.connectors.signing import china_time, compact_json, fen, from_china, jd_time, md5_sandwich
from wms.connectors.windows import ONE_SECOND, Page, last_page_first, windows
from wms.errors import N_

ADDRESS = "https://api.jd.com/routerjson"
RENEW_ADDRESS = "https://open-oauth.jd.com/oauth2/refresh_token"

WRITES = ("jingdong.pop.order.shipment", "jingdong.ware.stock.sku.set")
PAGE = 100
REFUND_PAGE = 50
MOST_PAGES = 10
"""JD wants time to be scrolled, not pages: a window with more is halved."""
WINDOW = timedelta(hours=1)
FIRST_WINDOW = timedelta(days=1)
OVERLAP = timedelta(minutes=10)
"""More than the 6 minutes that JD lets our clock be wrong, so that a window never ends in JD's future unnoticed."""
RENEW_BEFORE = timedelta(hours=1)
RENEW_AGAIN_AFTER = timedelta(minutes=5)
THROTTLED_S = 60.0
"""JD publishes neither its rates nor how long it refuses."""

WAITING = "WAIT_SELLER_STOCK_OUT"
OPEN: tuple[str, ...] = (WAITING, "LOCKED", "PAUSE", "POP_ORDER_PAUSE")
SENT = ("WAIT_GOODS_RECEIVE_CONFIRM", "FINISHED_L")
CLOSED = ("TRADE_CANCELED",)
ALL_STATES: tuple[str, ...] = (*OPEN, "WAIT_SELLER_DELIVERY", *SENT, *CLOSED)

REFUND_ASKED = frozenset(["0", "1", "5", "6", "9", "10"])
REFUNDED = frozenset(["3", "7"])
"""Status of a refund application: the parcel waits, or never goes. The others are refused, failed or taken back."""

FIELDS = ",".join(
    (
        "orderId,orderState,orderStateRemark,orderType,payType,orderTotalPrice,orderSellerPrice,freightPrice",
        "orderRemark,venderRemark,orderStartTime,orderEndTime,paymentConfirmTime,modified,consigneeInfo",
        "itemInfoList,waybill,logisticsId,parentOrderId,directParentOrderId,storeOrder,returnOrder",
        "idSopShipmenttype,scDT",
    )
)

CARRIERS = {
    "SF": "467",
    "YTO": "463",
    "STO": "470",
    "ZTO": "1499",
    "YD": "1327",
    "YUNDA": "1327",
    "EMS": "465",
    "DBL": "3046",
    "JD": "2087",
}
"""Our carrier → JD's id, as widely repeated; a shop's own list (``carriers``) comes before it."""
KEEPS_NO_NUMBER = "1274"  # 厂家自送: JD saves no waybill, so nothing could ever be proved
TEMPORARY = ("999999", "99999999")

CODES = {"19": REAUTHORISE, "12": WRONG_KEYS, "21": WRONG_KEYS, "15": NOT_PERMITTED}
WORDS = (
    (("token",), REAUTHORISE),
    (("signature", "app_key", "app key", "签名"), WRONG_KEYS),
    (("timestamp", "时间戳"), WRONG_CLOCK),
    (("limit", "频", "流量", "超限"), BANNED),
    (("permission", "权限", "invalid method"), NOT_PERMITTED),
)


@dataclass(slots=True)
class Jd:
    """Settings: ``app_key``, ``app_secret``, ``access_token``; ``refresh_token`` and ``expires_at`` to have the key
    renewed; ``carriers`` (ours=JD's id), ``first_days``, ``ship_within_h``, ``store_id``, ``calls_per_s``; ``url`` and
    ``renew_url`` where they are not JD's usual ones.
    """

    door: Door
    renew_door: Door
    app_key: str
    app_secret: str = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    authorised_until: datetime | None = None
    carriers: dict[str, str] = field(default_factory=dict)
    first_days: int = 30
    ship_within: timedelta | None = None
    store_id: str = ""
    rate: Rate = field(default=Rate(20, 10))
    limits: Limits = field(default=SHARED, repr=False)
    on_token: OnToken | None = field(default=None, repr=False)
    grain: Grain = "order"
    complete_until: datetime | None = None
    unread: dict[str, ConnectorError] = field(default_factory=dict)
    _renew_not_before: datetime | None = None
    _shop: str = field(default="", repr=False)

    @classmethod
    def from_settings(
        cls,
        settings: Mapping[str, Any],
        transport: httpx.BaseTransport | None = None,
        on_token: OnToken | None = None,
        limits: Limits = SHARED,
    ) -> Jd:
        within_h = str(settings.get("ship_within_h") or "")
        per_s = number(settings, "calls_per_s", 10)
        return cls(
            door=Door(str(settings.get("url") or ADDRESS), https_only=True, transport=transport),
            renew_door=Door(str(settings.get("renew_url") or RENEW_ADDRESS), https_only=True, transport=transport),
            app_key=setting(settings, "app_key"),
            app_secret=setting(settings, "app_secret"),
            access_token=setting(settings, "access_token"),
            refresh_token=str(settings.get("refresh_token") or "").strip(),
            authorised_until=moment(settings, "expires_at"),
            carriers={**CARRIERS, **table(settings, "carriers")},
            first_days=number(settings, "first_days", 30),
            ship_within=timedelta(hours=number(settings, "ship_within_h", 48)) if within_h else None,
            store_id=str(settings.get("store_id") or "").strip(),
            rate=Rate(2 * per_s, per_s),
            limits=limits,
            on_token=on_token,
            _shop=str(settings.get("seller") or hashlib.sha256(setting(settings, "access_token").encode()).hexdigest()),
        )

    # In

    def fetch_orders(self, since: datetime | None) -> Iterator[ShopOrder]:
        """Orders changed since then, less the overlap, in windows; at first those that wait to be shipped.

        JD counts as a change only a new state or waybill. Refund applications are read beside it, by the time they
        were asked for and decided; a buyer who takes one back is seen when the order is asked for next.
        """
        self.unread, self.complete_until = {}, since
        until = clock.now().replace(microsecond=0)
        if since is None:
            start, longest, states = until - timedelta(days=self.first_days), FIRST_WINDOW, OPEN
        else:
            start, longest, states = since.astimezone(UTC) - OVERLAP, WINDOW, ALL_STATES
        for begin, end in windows(start, until, longest):
            seen: set[tuple[str, str]] = set()
            for row in self._changed(begin, end, states):
                identity = (str(row.get("orderId")), str(row.get("modified")))
                if identity not in seen:
                    seen.add(identity)
                    yield self._told(row)
            # An open order is asked for its refunds one by one; these are the refunds of orders that did not change.
            asked = {order for order, _ in seen}
            for order in self._refunds_of(begin, end) if since is not None else ():
                if order not in asked:
                    asked.add(order)
                    yield from self._asked(order)
            self.complete_until = end

    def _changed(self, begin: datetime, end: datetime, states: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        read = partial(self._page, begin, end, states)
        first = read(1)
        if first[1] > MOST_PAGES * PAGE and end - begin > ONE_SECOND:
            middle = (begin + (end - begin) / 2).replace(microsecond=0)
            if middle > begin:
                yield from self._changed(begin, middle, states)
                yield from self._changed(middle, end, states)
                return
        yield from last_page_first(first, read, PAGE)

    def _page(self, begin: datetime, end: datetime, states: tuple[str, ...], page: int) -> Page:
        body = self._call(
            "jingdong.pop.order.search",
            {
                "start_date": china_time(begin),
                "end_date": china_time(end),
                "order_state": ",".join(states),
                "optional_fields": FIELDS,
                "page": str(page),
                "page_size": str(PAGE),
                "sortType": 0,
                "dateType": 0,
                "source_id": "JOS",
            },
        )
        result = self._good(body.get("searchorderinfo_result"), "apiResult")
        return list(result.get("orderInfoList") or []), self._count(result, "orderTotal")

    def _refunds_of(self, begin: datetime, end: datetime) -> Iterator[str]:
        """Order numbers with a refund asked for or decided in the window."""
        for what in ("applyTime", "checkTime"):
            read = partial(self._refunds, {f"{what}Start": china_time(begin), f"{what}End": china_time(end)})
            for row in last_page_first(read(1), read, REFUND_PAGE):
                yield str(row.get("orderId", ""))

    def _refunds(self, chosen: Mapping[str, str], page: int) -> Page:
        body = self._call(
            "jingdong.pop.afs.soa.refundapply.queryPageList",
            {**chosen, "pageIndex": page, "pageSize": REFUND_PAGE},
        )
        result = self._good(body.get("queryResult"))
        return list(result.get("result") or []), self._count(result, "totalCount")

    def read_order(self, shop_order_no: str) -> ShopOrder:
        row = self._order(shop_order_no)
        try:
            return self._shop_order(row)
        except UNREADABLE as error:
            raise unreadable(shop_order_no, row, error)[1] from error

    def order_state(self, shop_order_no: str) -> str:
        return self._state(self._order(shop_order_no))

    def _order(self, order: str) -> dict[str, Any]:
        if not order.isdigit():
            raise self._error(Fault.OPERATOR, "order_unknown", N_("The shop has no order %(order)s."), order=order)
        body = self._call("jingdong.pop.order.get", {"order_id": int(order), "optional_fields": FIELDS})
        detail = body.get("orderDetailInfo")
        told = detail.get("apiResult") if isinstance(detail, dict) else None
        found = detail.get("orderInfo") if isinstance(detail, dict) else None
        if not isinstance(told, dict) or _temporary(told):
            raise AT_FAULT.error(host=self.door.host, shop_says=self._says(told or {}))
        if not _yes(told.get("success")) or not isinstance(found, dict) or str(found.get("orderId")) != order:
            raise self._error(
                Fault.OPERATOR,
                "order_unknown",
                N_("The shop does not give us order %(order)s: %(shop_says)s. Check its number and shop."),
                order=order,
                shop_says=self._says(told),
            )
        return found

    def _asked(self, order: str) -> Iterator[ShopOrder]:
        try:
            row = self._order(order)
        except ConnectorError as error:
            if not error.permanent or error.reason != "order_unknown":
                raise
            self.unread[order] = error
        else:
            yield self._told(row)

    def _told(self, row: dict[str, Any]) -> ShopOrder:
        try:
            return self._shop_order(row)
        except UNREADABLE as error:
            order, self.unread[str(row.get("orderId", "?"))] = unreadable(str(row.get("orderId", "?")), row, error)
            return order

    def _shop_order(self, row: dict[str, Any]) -> ShopOrder:
        state = self._state(row)
        paid_at, ordered_at = from_china(row.get("paymentConfirmTime")), from_china(row.get("orderStartTime"))
        promised_from = paid_at or ordered_at
        home = row.get("consigneeInfo") or {}

        def of(*names: str) -> str:
            return next((str(home[name]) for name in names if home.get(name)), "")

        return ShopOrder(
            shop_order_no=str(row["orderId"]),
            ordered_at=ordered_at,
            state=state,
            lines=_lines(row, state),
            recipient=Recipient(
                name=of("fullname"),
                phone=of("mobile", "telephone"),
                province=of("province"),
                city=of("city"),
                district=of("county"),
                town=of("town"),
                address=of("fullAddress"),
                postcode=of("consPostCode"),
                oaid=of("oaid"),
            ),
            buyer_note=str(row.get("orderRemark") or ""),
            seller_memo=str(row.get("venderRemark") or ""),
            # 68 京配, 69 京配自提: JD's own carrier brings it.
            carrier_hint="JD" if str(row.get("idSopShipmenttype")) in ("68", "69") else "",
            raw=row,
            updated_at=from_china(row.get("modified")),
            currency="CNY",
            ship_by=promised_from + self.ship_within if promised_from and self.ship_within else None,
            hold="paused" if row.get("orderState") in ("PAUSE", "POP_ORDER_PAUSE") else "",
        )

    def _state(self, row: Mapping[str, Any]) -> OrderState:
        """Refunds are asked for only where they can still stop a parcel."""
        if str(row.get("storeOrder") or "").strip():
            return "other"  # 京仓, 云仓: JD's own warehouse sends it
        state = row.get("orderState")
        if state in CLOSED:
            return "cancelled"
        if state in SENT:
            return "shipped"
        if state not in OPEN:
            return "other"
        refunds = {str(one.get("status")) for one in self._refunds({"orderId": str(row["orderId"])}, 1)[0]}
        if refunds & REFUNDED:
            return "cancelled"
        if refunds & REFUND_ASKED or state == "LOCKED":
            return "refunding"
        return "paid"

    # Out

    def push_shipment(self, shipment: Shipment) -> Pushed:
        """All waybills of the order in one call, if it was not told before; what JD then holds is the answer."""
        order = self._order(shipment.shop_order_no)
        if shipment.waybill_no in _numbers(order):
            return Pushed("acknowledged", N_("The shop has waybill %(waybill)s."), _evidence(order, shipment))
        state = self._state(order)
        if state != "paid" or order.get("orderState") != WAITING:
            return _conflict(order, shipment, state)
        carriers, waybills = self._waybills(shipment)
        body = self._call(
            "jingdong.pop.order.shipment",
            {"orderId": int(shipment.shop_order_no), "logiCoprId": carriers, "logiNo": waybills},
        )
        result = body.get("sopjosshipment_result") or {}
        code, says = str(result.get("errorCode") or ""), self._says(result)
        if not _yes(result.get("success")) and code in TEMPORARY:
            raise AT_FAULT.error(host=self.door.host, shop_says=says)
        # No list of JD's "already shipped" answers is published, and a "yes" is only words: the order is read.
        order = self._order(shipment.shop_order_no)
        evidence = _evidence(order, shipment)
        if shipment.waybill_no in _numbers(order):
            return Pushed("acknowledged", N_("The shop took waybill %(waybill)s."), evidence)
        if _yes(result.get("success")):
            raise self._error(
                Fault.RETRY,
                "not_seen",
                NOT_SEEN,
                **evidence,
            )
        if order.get("orderState") != WAITING:
            return _conflict(order, shipment, self._state(order))
        return Pushed(
            "conflict",
            N_("The shop does not take the shipment of order %(order)s: %(shop_says)s"),
            {**evidence, "shop_says": says, "code": code},
        )

    def correct_shipment(self, shipment: Shipment, wrong: str) -> Pushed:
        """JD publishes no call for it (``waybill.update`` is gone): a person does it, and we look if it is done."""
        order = self._order(shipment.shop_order_no)
        held = _numbers(order)
        evidence = {**_evidence(order, shipment), "wrong": wrong}
        if shipment.waybill_no in held and wrong not in held:
            return Pushed("acknowledged", N_("The shop has waybill %(waybill)s."), evidence)
        return Pushed(
            "conflict",
            N_(
                "JD lets only people change a number. In its pages, change %(wrong)s of order %(order)s to %(waybill)s."
            ),
            evidence,
        )

    def _waybills(self, shipment: Shipment) -> tuple[str, str]:
        """``("2100|4700", "A,B|C")``: carriers by ``|``, the numbers of one by ``,``; ours first."""
        by_carrier: dict[str, list[str]] = {}
        for parcel in (shipment, *shipment.others):
            carrier = self.carriers.get(parcel.carrier_code, "")
            if not carrier or carrier == KEEPS_NO_NUMBER:
                raise self._error(
                    Fault.OPERATOR,
                    "no_carrier",
                    N_("Carrier %(carrier)s has no id at JD that keeps waybills. Enter it as “carriers” of the shop."),
                    carrier=parcel.carrier_code,
                )
            numbers = by_carrier.setdefault(carrier, [])
            if parcel.waybill_no not in numbers:
                numbers.append(parcel.waybill_no)
        return "|".join(by_carrier), "|".join(",".join(numbers) for numbers in by_carrier.values())

    def venders_carriers(self) -> list[dict[str, Any]]:
        """The carriers this shop has a contract with, as JD tells them: ids for the ``carriers`` setting."""
        body = self._call("jingdong.fce.alpha.getVenderCarrier", {})
        found = next((value for value in _values(body) if isinstance(value, list)), [])
        return [one for one in found if isinstance(one, dict)]

    def push_stock(self, sku: str, qty: int) -> None:
        """Set ``stockNum`` of each of JD's SKUs with this outer id; JD answers row by row, and some may fail."""
        ids = self._sku_ids(sku)
        rows = [
            {"skuId": one, "stockNum": share, **({"storeId": int(self.store_id)} if self.store_id.isdigit() else {})}
            for one, share in zip(ids, spread(qty, len(ids)), strict=True)
        ]
        body = self._call("jingdong.ware.stock.sku.set", {"req": {"skuStocks": rows}})
        told = body.get("returnType") or {}
        results = (told.get("obj") or {}).get("updateStockResult") or []
        good = {str(one.get("data")) for one in results if _yes(one.get("success"))}
        bad = [str(one) for one in ids if str(one) not in good]
        if bad:
            why = next((one for one in results if not _yes(one.get("success"))), told)
            raise self._error(
                Fault.RETRY,
                "stock_refused",
                N_("The shop did not take the stock of %(sku)s (%(rows)s): %(shop_says)s"),
                sku=sku,
                rows=", ".join(bad),
                shop_says=self._says(why),
            )

    def _sku_ids(self, sku: str) -> list[int]:
        body = self._call(
            "jingdong.sku.read.searchSkuList",
            {"outId": [sku], "pageNo": 1, "page_size": 50, "field": "skuId,outerId,status"},
        )
        rows = (body.get("page") or {}).get("data") or []
        found = sorted(int(row["skuId"]) for row in rows if row.get("outerId") == sku)
        if not found:
            raise self._error(Fault.OPERATOR, "sku_unknown", N_("The shop has no item with SKU %(sku)s."), sku=sku)
        return found

    # The key

    def _renew_in_time(self) -> None:
        now = clock.now()
        if (
            self.refresh_token
            and self.authorised_until is not None
            and now >= self.authorised_until - RENEW_BEFORE
            and (self._renew_not_before is None or now >= self._renew_not_before)
        ):
            try:
                self._renew()
            except ConnectorError:
                # Good for a while yet: work goes on, and it is tried again before the end.
                if now >= self.authorised_until:
                    raise
                self._renew_not_before = now + RENEW_AGAIN_AFTER

    def _renew(self) -> None:
        answer = self.renew_door.request_json(
            "GET",
            params=[
                ("app_key", self.app_key),
                ("app_secret", self.app_secret),
                ("grant_type", "refresh_token"),
                ("refresh_token", self.refresh_token),
            ],
        )
        told = answer.body if isinstance(answer.body, dict) else {}
        token = str(told.get("access_token") or "")
        if not token:
            raise REAUTHORISE.error(host=self.door.host, shop_says=self._says(told))
        at = clock.now()
        if str(told.get("time") or "").isdigit():
            at = min(at, datetime.fromtimestamp(int(told["time"]) / 1000, UTC))
        self.access_token = token
        self.refresh_token = str(told.get("refresh_token") or self.refresh_token)
        self.authorised_until = at + timedelta(seconds=int(told.get("expires_in") or 0))
        if self.on_token is not None:
            self.on_token(
                {
                    "access_token": self.access_token,
                    "refresh_token": self.refresh_token,
                    "expires_at": self.authorised_until.isoformat(timespec="seconds"),
                }
            )

    # The wire

    def _call(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The business body below ``…_responce`` (JD's spelling), or ConnectorError."""
        self._renew_in_time()
        answer = self._post(method, params)
        told, verdict = self._refusal(answer)
        if verdict is REAUTHORISE and self.refresh_token:
            # Ended before its time, or renewed by another process of ours: nothing was done yet.
            self._renew()
            answer = self._post(method, params)
            told, verdict = self._refusal(answer)
        if verdict is None:
            return self._body(method, answer)
        if verdict is BANNED:
            self.limits.ban(self._lane(method), THROTTLED_S)
            raise banned(self.door.host, THROTTLED_S)
        raise verdict.error(host=self.door.host, method=method, shop_says=self._says(told))

    def _refusal(self, answer: Answer) -> tuple[dict[str, Any], Verdict | None]:
        told = answer.body.get("error_response") if isinstance(answer.body, dict) else None
        if not isinstance(told, dict):
            return {}, None
        words = f"{told.get('en_desc') or ''} {told.get('zh_desc') or ''}"
        return told, _verdict(str(told.get("code") or ""), self._quoted(words))

    def _post(self, method: str, params: Mapping[str, Any]) -> Answer:
        if method in WRITES:
            return self._post_once(method, params)
        return persist(lambda: self._post_once(method, params), self.limits.sleep)

    def _post_once(self, method: str, params: Mapping[str, Any]) -> Answer:
        self.limits.take(self._lane(method), self.rate, self.door.host)
        fields = {
            "method": method,
            "app_key": self.app_key,
            "access_token": self.access_token,
            "timestamp": jd_time(clock.now()),
            "v": "2.0",
            "360buy_param_json": compact_json(params),
        }
        return self.door.post_form({**fields, "sign": md5_sandwich(self.app_secret, fields)})

    def _body(self, method: str, answer: Answer) -> dict[str, Any]:
        name = method.replace(".", "_")
        found = answer.body if isinstance(answer.body, dict) else {}
        body = found.get(f"{name}_responce") or found.get(f"{name}_response")
        if not isinstance(body, dict):
            raise AT_FAULT.error(host=self.door.host, shop_says="no data")
        if str(body.get("code", "0")) not in ("0", "200"):
            raise AT_FAULT.error(host=self.door.host, shop_says=self._says(body))
        return body

    def _good(self, result: object, inner: str = "") -> dict[str, Any]:
        """A result that says of itself that it is good: HTTP 200 alone says nothing, and silence is no empty page."""
        told = result.get(inner, {}) if inner and isinstance(result, dict) else result
        if not isinstance(result, dict) or not isinstance(told, dict) or not _yes(told.get("success")):
            raise AT_FAULT.error(host=self.door.host, shop_says=self._says(told if isinstance(told, dict) else {}))
        return result

    def _count(self, result: Mapping[str, Any], name: str) -> int:
        """How many there are in all: a number, or a string that holds one."""
        told = str(result.get(name) or 0)
        if not told.isdigit():
            raise AT_FAULT.error(host=self.door.host, shop_says=f"{name}?")
        return int(told)

    def _lane(self, method: str) -> Lane:
        return Lane(self.app_key, self._shop, method)

    def _says(self, told: Mapping[str, Any]) -> str:
        names = ("zh_desc", "chineseErrCode", "errorMessage", "message", "msg", "desc", "en_desc", "englishErrCode")
        words = next((str(told[name]) for name in names if told.get(name)), "")
        code = next((str(told[name]) for name in ("code", "errorCode", "numberCode") if told.get(name)), "")
        said = f"{words} ({code})" if code and words else words or code or "no reason"
        return self._quoted(said)

    def _quoted(self, words: str) -> str:
        return quoted(words, self.app_secret, self.access_token, self.refresh_token)

    def _error(self, fault: Fault, reason: str, message: str, **facts: Any) -> ConnectorError:
        return Verdict(fault, reason, message).error(**{"host": self.door.host, **facts})


def _verdict(code: str, words: str) -> Verdict:
    """JD's codes are its own (21 is a bad app key here); where a code is not published, its words decide."""
    if code in CODES:
        return CODES[code]
    low = words.lower()
    return next((verdict for marks, verdict in WORDS if any(mark in low for mark in marks)), AT_FAULT)


def _yes(told: object) -> bool:
    """JD's ``success`` is a boolean or the string "true"."""
    return told is True or str(told).lower() == "true"


def _temporary(told: Mapping[str, Any]) -> bool:
    return any(str(told.get(name)) in TEMPORARY for name in ("errorCode", "numberCode", "englishErrCode"))


def _values(body: object) -> Iterator[object]:
    if isinstance(body, dict):
        for value in body.values():
            yield value
            yield from _values(value)


def _lines(row: Mapping[str, Any], state: OrderState) -> tuple[ShopLine, ...]:
    """JD's lines have no number of their own: the SKU, counted where it stands more than once."""
    lines: list[ShopLine] = []
    times: dict[str, int] = {}
    for item in row["itemInfoList"]:
        jd_sku, qty = str(item["skuId"]), int(item["itemTotal"])
        times[jd_sku] = times.get(jd_sku, 0) + 1
        if qty < 1:
            raise ValueError(f"{qty} pieces")
        lines.append(
            ShopLine(
                line_ref=jd_sku if times[jd_sku] == 1 else f"{jd_sku}#{times[jd_sku]}",
                sku=str(item.get("outerSkuId") or jd_sku),
                name=str(item.get("skuName") or ""),
                qty=qty,
                price_minor=fen(item.get("jdPrice") or 0),
                cancelled=state == "cancelled",
            )
        )
    return tuple(lines)


def _numbers(order: Mapping[str, Any]) -> list[str]:
    return [one.strip() for one in re.split(r"[|,]", str(order.get("waybill") or "")) if one.strip()]


def _evidence(order: Mapping[str, Any], shipment: Shipment) -> dict[str, Any]:
    return {
        "order": shipment.shop_order_no,
        "parcel": shipment.parcel_no,
        "waybill": shipment.waybill_no,
        "state": str(order.get("orderState") or ""),
        "others": ", ".join(_numbers(order)) or "–",
    }


def _conflict(order: Mapping[str, Any], shipment: Shipment, state: OrderState) -> Pushed:
    held = _numbers(order)
    if state == "cancelled":
        words = N_("Order %(order)s is cancelled at the shop. Stop parcel %(parcel)s or call it back.")
    elif state == "refunding":
        words = N_("A refund is asked for on order %(order)s. Stop parcel %(parcel)s, then settle it at the shop.")
    elif held and any(other.waybill_no in held for other in shipment.others):
        words = N_(
            "JD takes the waybills of an order once, and %(others)s went alone. Add %(waybill)s in JD's seller pages."
        )
    elif held:
        words = N_("The shop has order %(order)s under another waybill: %(others)s, not %(waybill)s.")
    else:
        words = N_("The shop does not wait for these pieces of order %(order)s (state %(state)s). Compare the lines.")
    return Pushed("conflict", words, _evidence(order, shipment))
