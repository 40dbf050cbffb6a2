"""Taobao and Tmall through TOP, ``gw.api.taobao.com/router/rest``.

Built from Taobao's published contracts: article 101617 (calls and signing), 120176 (masked recipients, OAID) and the
machine copies of the API pages in bububa/opentaobao (``trades.sold.get``, ``trades.sold.increment.get``,
``trade.fullinfo.get``, ``logistics.orders.get``, ``logistics.offline.send``, ``logistics.consign.resend``,
``alibaba.ascp.logistics.offline.send`` and ``.consign.modify``, ``item.quantity.update``); the meaning of the ship
call's codes from public code tables. Proved: the signature against Taobao's published example, RFC 2202/4231 and two
foreign clients (``py-taobao-open``, ``node-taobao-topclient``); the rest against a double of the gateway that enforces
those contracts and is itself driven by these clients. **Not certified live**: no call was ever made to Taobao.

What the papers leave open: call rates, and how many pieces of a sub-order each of several parcels holds (it is told to
Taobao but cannot be read back; ours are known from ``Shipment.others``).
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
from wms.connectors.http import Door, quoted
from wms.connectors.limits import (
    AT_FAULT,
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
from wms.connectors.signing import SignMethod, china_time, compact_json, fen, from_china, top_sign
from wms.connectors.windows import Page, last_page_first, windows
from wms.errors import N_

ADDRESS = "https://gw.api.taobao.com/router/rest"

PAGE = 50
WINDOW = timedelta(minutes=30)
"""A day is allowed, half an hour advised."""
OVERLAP = timedelta(minutes=15)
"""More than the 10 minutes that Taobao lets our clock be wrong, so that a window never ends in its future unnoticed."""
KEPT = timedelta(days=90)
BAN_S = 60.0
"""Where a ban does not say how long it lasts."""

TYPES = (
    "fixed,auction,guarantee_trade,auto_delivery,independent_simple_trade,independent_shop_trade,ec,cod,fenxiao,"
    "game_equipment,shopex_trade,netcn_trade,external_trade,o2o_offlinetrade,step,nopaid,pre_auth_type"
)
"""All that the page names: without a list Taobao leaves out most kinds of orders without a word."""

WAITING = ("WAIT_SELLER_SEND_GOODS", "SELLER_CONSIGNED_PART")
SENT = ("WAIT_BUYER_CONFIRM_GOODS", "TRADE_BUYER_SIGNED", "TRADE_FINISHED")
CLOSED = ("TRADE_CLOSED", "TRADE_CLOSED_BY_TAOBAO")
FORBIDDEN = "PAID_FORBID_CONSIGN"  # paid, but a group is not complete, or Taobao watches over it

REFUND_ASKED = ("WAIT_SELLER_AGREE", "WAIT_BUYER_RETURN_GOODS", "WAIT_SELLER_CONFIRM_GOODS")
REFUNDED = "SUCCESS"
REFUND_REFUSED = "SELLER_REFUSE_BUYER"
STOPS = ("top_hold", "forbid_consign", "team_buy_hold", "share_group_hold", "ofp_hold")
"""1 in any of them: Taobao asks that it be kept back for now."""

SKU_NAMES = ("outer_sku_id", "outer_iid", "sku_id", "num_iid")
"""The seller's own code; without one, Taobao's, so that a person has something to map."""

LIST_FIELDS = "tid,tid_str,type,status,created,pay_time,modified,orders"
FULL_FIELDS = ",".join(
    (
        "tid,tid_str,type,status,created,pay_time,modified,consign_time,payment,post_fee,shipping_type,trade_from",
        # Without these five there is no OAID.
        "receiver_name,receiver_address,created,receiver_mobile,receiver_phone",
        "receiver_country,receiver_state,receiver_city,receiver_district,receiver_town,receiver_zip,oaid",
        "buyer_message,has_buyer_message,seller_memo,seller_flag,step_trade_status",
        "send_time,delivery_time,collect_time,promise_collect_time,consign_interval,est_con_time",
        "timing_promise,promise_service,is_force_dc",
        *STOPS,
        "orders",
    )
)
SHIPPING_FIELDS = "tid,order_code,out_sid,company_name,status,sub_tids,is_split"
CARRIERS = {"YD": "YUNDA"}
"""Our carrier → Taobao's code where they differ; a shop's own list (``carriers``) comes before it."""
DEAD_SHIPPINGS = ("CANCELLED", "CLOSED", "REJECTED")

OUR_FAULT = Verdict(
    Fault.OPERATOR, "refused", N_("The shop does not take our call: %(shop_says)s. Look at what was sent.")
)
PERHAPS_SENT = Verdict(Fault.READ_BACK, "perhaps_sent", N_("The shop says: %(shop_says)s. The order is read."))
NO_ORDER = Verdict(
    Fault.OPERATOR,
    "order_unknown",
    N_("The shop does not give us order %(order)s: %(shop_says)s. Check its number and shop."),
)
BAD_WAYBILL = Verdict(
    Fault.OPERATOR,
    "bad_waybill",
    N_("The shop finds waybill %(waybill)s wrong or used: %(shop_says)s. Check number and carrier, or print anew."),
)
BAD_CARRIER = Verdict(
    Fault.OPERATOR,
    "no_carrier",
    N_("The shop does not take carrier %(carrier)s: %(shop_says)s. Enter its code as “carriers” of the shop."),
)
BAD_ADDRESS = Verdict(
    Fault.OPERATOR,
    "bad_address",
    N_("The shop lacks an address to send from: %(shop_says)s. Enter the sender's address in the shop's own pages."),
)
BAD_SPLIT = Verdict(
    Fault.OPERATOR,
    "bad_split",
    N_("The shop does not let order %(order)s be split so: %(shop_says)s. Send it in the shop's own pages."),
)
OTHER_WAY = Verdict(
    Fault.OPERATOR,
    "other_way",
    N_("Order %(order)s is of a kind that is not sent this way: %(shop_says)s. Send it in the shop's own pages."),
)
NOT_CHANGED = N_(
    "The shop does not let the number be changed: %(shop_says)s. Change %(wrong)s to %(waybill)s in its own pages."
)
SHIP_CODES: dict[str, Verdict] = {
    **dict.fromkeys(("S01", "B150"), AT_FAULT),
    **dict.fromkeys(("B04", "B27", "HD06"), PERHAPS_SENT),
    **dict.fromkeys(("B01", "P02"), NO_ORDER),
    **dict.fromkeys(("B60", "F", "F01", "F02", "F03", "F04", "F05", "F06"), BAD_WAYBILL),
    **dict.fromkeys(("B56", "B57", "B59"), BAD_CARRIER),
    "B101": BAD_ADDRESS,
    **dict.fromkeys((*(f"CD{n}" for n in range(22, 32)), "P38", "P25", "B06"), BAD_SPLIT),
    "B98": OTHER_WAY,
    "P03": REAUTHORISE,
}
GATEWAY_CODES: dict[int, Verdict] = {
    10: AT_FAULT,
    **dict.fromkeys((11, 12, 13, 22, 42), NOT_PERMITTED),
    **dict.fromkeys((24, 25, 28, 29), WRONG_KEYS),
    **dict.fromkeys((26, 27), REAUTHORISE),
    **dict.fromkeys((30, 31), WRONG_CLOCK),
    **dict.fromkeys((21, 32, 33, 40, 41, 43), OUR_FAULT),
}
OF_THE_WHOLE_SHOP = (WRONG_KEYS, NOT_PERMITTED)
CALL_LIMITS = (4, 5, 6, 7, 8)


class _RefusedError(Exception):
    """Taobao answered with an error; what it means depends on what was asked."""

    def __init__(self, verdict: Verdict, facts: dict[str, Any]) -> None:
        self.verdict = verdict
        self.facts = facts
        super().__init__(verdict.reason)

    def error(self, **facts: Any) -> ConnectorError:
        return self.verdict.error(**{**self.facts, **facts})


@dataclass(frozen=True, slots=True)
class _Trade:
    """What Taobao holds of one order: its sub-orders, and which waybill holds which of them."""

    trade: dict[str, Any]
    orders: dict[str, dict[str, Any]]
    parcels: dict[str, set[str]]

    @property
    def sent(self) -> set[str]:
        return {oid for oid, one in self.orders.items() if one.get("status") in SENT}

    def add(self, shipping: Mapping[str, Any]) -> None:
        """What a shipping order tells: its own waybill, and those of the parcels in it."""
        if shipping.get("status") in DEAD_SHIPPINGS:
            return
        inside = shipping.get("sub_tids")
        oids = {str(one) for one in (inside.get("number") or [] if isinstance(inside, dict) else inside or [])}
        # One that is not split holds all that went, or a part of each that goes.
        oids = oids or self.sent or set(self.orders)
        mails = _list_of(shipping.get("mails"), "logistics_mail")
        for waybill in (shipping.get("out_sid"), *(mail.get("out_sid") for mail in mails)):
            if waybill:
                self.parcels.setdefault(str(waybill).strip(), set()).update(oids)

    def numbers_of(self, oid: str) -> set[str]:
        return {waybill for waybill, oids in self.parcels.items() if oid in oids}


@dataclass(slots=True)
class Taobao:
    """Settings: ``app_key``, ``app_secret``, ``session`` (and ``session_expires_at``); ``sign_method`` (md5, hmac,
    hmac-sha256), ``carriers`` (ours=Taobao's code), ``types`` (kinds of orders), ``first_days``, ``calls_per_s``;
    ``url`` where it is not the usual one.
    """

    door: Door
    app_key: str
    app_secret: str = field(repr=False)
    session: str = field(repr=False)
    sign_method: SignMethod = "hmac-sha256"
    authorised_until: datetime | None = None
    carriers: dict[str, str] = field(default_factory=dict)
    types: str = TYPES
    first_days: int = 90
    rate: Rate = field(default=Rate(20, 10))
    limits: Limits = field(default=SHARED, repr=False)
    grain: Grain = "sub_order"
    complete_until: datetime | None = None
    unread: dict[str, ConnectorError] = field(default_factory=dict)
    _shop: str = field(default="", repr=False)
    _companies: dict[str, dict[str, Any]] | None = None

    @classmethod
    def from_settings(
        cls,
        settings: Mapping[str, Any],
        transport: httpx.BaseTransport | None = None,
        limits: Limits = SHARED,
    ) -> Taobao:
        ways: dict[str, SignMethod] = {"md5": "md5", "hmac": "hmac", "hmac-sha256": "hmac-sha256"}
        way = str(settings.get("sign_method") or "hmac-sha256")
        if way not in ways:
            raise ConnectorError(
                permanent=True,
                reason="bad_setting",
                message=N_("“%(name)s” of the shop is one of %(choices)s."),
                facts={"name": "sign_method", "choices": ", ".join(ways)},
            )
        per_s = number(settings, "calls_per_s", 10)
        session = setting(settings, "session")
        return cls(
            door=Door(str(settings.get("url") or ADDRESS), https_only=True, transport=transport),
            app_key=setting(settings, "app_key"),
            app_secret=setting(settings, "app_secret"),
            session=session,
            sign_method=ways[way],
            authorised_until=moment(settings, "session_expires_at"),
            carriers={**CARRIERS, **table(settings, "carriers")},
            types=str(settings.get("types") or TYPES),
            first_days=min(number(settings, "first_days", 90), 90),
            rate=Rate(2 * per_s, per_s),
            limits=limits,
            _shop=str(settings.get("seller") or hashlib.sha256(session.encode()).hexdigest()),
        )

    # In

    def fetch_orders(self, since: datetime | None) -> Iterator[ShopOrder]:
        """Orders changed since then, less the overlap, in windows; at first those that wait to be shipped."""
        self.unread, self.complete_until = {}, since
        until = clock.now().replace(microsecond=0)
        if since is None:
            for row in self._first(until - timedelta(days=self.first_days), until):
                yield from self._told(row)
            self.complete_until = until
            return
        # Taobao tells of three months; a shop that slept longer goes on where it still can.
        start = max(since.astimezone(UTC) - OVERLAP, until - KEPT)
        for begin, end in windows(start, until, WINDOW):
            seen: set[tuple[str, str]] = set()
            read = partial(self._changed, begin, end)
            for row in last_page_first(read(1), read, PAGE):
                identity = (_tid(row), str(row.get("modified")))
                if identity not in seen:
                    seen.add(identity)
                    yield from self._told(row)
            self.complete_until = end

    def _first(self, begin: datetime, until: datetime) -> Iterator[dict[str, Any]]:
        """All that waits to be shipped, by the time it was ordered, newest first.

        Orders are paid and sent while we read, so that a page which is counted would shift both ways. Each page
        starts at a time instead: at the oldest order of the one before.
        """
        for status in WAITING:
            seen: set[str] = set()
            end, page = until, 1
            while True:
                rows, _total = self._list(
                    "taobao.trades.sold.get",
                    page,
                    start_created=china_time(begin),
                    end_created=china_time(end),
                    status=status,
                )
                for row in rows:
                    if _tid(row) not in seen:
                        seen.add(_tid(row))
                        yield row
                if len(rows) < PAGE:
                    break
                reached = from_china(rows[-1].get("created"))
                if reached is not None and reached < end:
                    end, page = reached, 1
                else:
                    page += 1  # more in one second than a page holds

    def _changed(self, begin: datetime, end: datetime, page: int) -> Page:
        return self._list(
            "taobao.trades.sold.increment.get", page, start_modified=china_time(begin), end_modified=china_time(end)
        )

    def _list(self, method: str, page: int, **chosen: str) -> Page:
        paging = {"page_no": str(page), "page_size": str(PAGE), "use_has_next": "false"}
        body = self._do(method, fields=LIST_FIELDS, type=self.types, **paging, **chosen)
        total = str(body.get("total_results", ""))
        if not total.isdigit():
            raise AT_FAULT.error(host=self.door.host, shop_says="total_results?")
        return _list_of(body.get("trades"), "trade"), int(total)

    def _told(self, row: dict[str, Any]) -> Iterator[ShopOrder]:
        """The whole order where it waits to be shipped; else the row of the list says enough to stop ours."""
        tid = _tid(row)
        try:
            if row.get("status") in (*WAITING, FORBIDDEN):
                row = self._full(tid)
            order = _shop_order(row)
        except ConnectorError as error:
            if not error.permanent or error.reason != "order_unknown":
                raise
            self.unread[tid] = error
            return
        except UNREADABLE as error:
            order, self.unread[tid] = unreadable(tid, row, error)
        yield order

    def read_order(self, shop_order_no: str) -> ShopOrder:
        trade = self._full(shop_order_no)
        try:
            return _shop_order(trade)
        except UNREADABLE as error:
            raise unreadable(shop_order_no, trade, error)[1] from error

    def order_state(self, shop_order_no: str) -> str:
        return _state(self._full(shop_order_no))

    def _full(self, tid: str) -> dict[str, Any]:
        if not tid.isdigit():
            raise NO_ORDER.error(host=self.door.host, order=tid, shop_says="–")
        try:
            body = self._call("taobao.trade.fullinfo.get", tid=tid, fields=FULL_FIELDS, include_oaid="include_oaid")
        except _RefusedError as refused:
            if str(refused.facts["code"]).startswith(("isv.trade-not-exist", "isv.invalid-parameter:tid")):
                raise NO_ORDER.error(**{**refused.facts, "order": tid}) from None
            raise refused.error() from None
        trade = body.get("trade")
        if not isinstance(trade, dict) or _tid(trade) != tid:
            raise NO_ORDER.error(host=self.door.host, order=tid, shop_says="–")
        return trade

    # Out

    def push_shipment(self, shipment: Shipment) -> Pushed:
        """Tell of one parcel: whole sub-orders by the plain call, parts of a quantity and extra ones by the newer."""
        held = self._held(shipment)
        pieces = _pieces(held, shipment)
        missing = _missing(held, shipment, pieces)
        if not missing:
            return Pushed("acknowledged", N_("The shop has waybill %(waybill)s."), _evidence(held, shipment))
        stop = _stop(held, shipment, missing)
        if stop is not None:
            return stop
        carrier = self._carrier(shipment)
        if carrier is None:
            return Pushed("conflict", BAD_CARRIER.message, {**_evidence(held, shipment), "shop_says": "–"})
        if not _looks_like(carrier, shipment.waybill_no):
            return Pushed(
                "conflict",
                N_("Waybill %(waybill)s does not look like one of %(name)s. Check number and carrier."),
                {**_evidence(held, shipment), "name": str(carrier.get("name") or carrier["code"])},
            )
        method, fields = _send(held, shipment, missing, carrier["code"])
        return self._push(method, fields, shipment, pieces)

    def _push(self, method: str, fields: dict[str, str], shipment: Shipment, pieces: dict[str, int] | None) -> Pushed:
        """Do it, then look: neither "yes" nor "already shipped or closed" is proof (R37)."""
        refused: _RefusedError | None = None
        try:
            body = self._call(method, **fields)
            if not _yes(_success(body)):
                refused = _RefusedError(OUR_FAULT, {"shop_says": "–", "code": ""})
        except _RefusedError as error:
            if error.verdict.fault in (Fault.RETRY, Fault.REAUTHORISE) or error.verdict in OF_THE_WHOLE_SHOP:
                raise error.error() from None
            refused = error
        held = self._held(shipment)
        evidence = _evidence(held, shipment)
        missing = _missing(held, shipment, pieces)
        if not missing:
            return Pushed("acknowledged", N_("The shop took waybill %(waybill)s."), evidence)
        if refused is None:
            raise ConnectorError(
                permanent=False,
                reason="not_seen",
                message=NOT_SEEN,
                facts=evidence,
            )
        if refused.verdict.fault is Fault.READ_BACK:
            stop = _stop(held, shipment, missing)
            return stop if stop is not None else _other_hand(held, shipment)
        return Pushed("conflict", refused.verdict.message, {**refused.facts, **evidence})

    def correct_shipment(self, shipment: Shipment, wrong: str) -> Pushed:
        """Put our number in the place of the wrong one: of a whole shipping order, or of one of its parcels."""
        held = self._held(shipment, wrong)
        evidence = {**_evidence(held, shipment), "wrong": wrong}
        if shipment.waybill_no in held.parcels and wrong not in held.parcels:
            return Pushed("acknowledged", N_("The shop has waybill %(waybill)s."), evidence)
        if wrong not in held.parcels:
            return Pushed(
                "conflict",
                N_("The shop has no waybill %(wrong)s on order %(order)s, but %(others)s. Compare the parcels."),
                evidence,
            )
        carrier = self._carrier(shipment)
        if carrier is None:
            return Pushed("conflict", BAD_CARRIER.message, {**evidence, "shop_says": "–"})
        oids = held.parcels[wrong]
        alone = bool(oids) and all(held.numbers_of(oid) == {wrong} for oid in oids)
        if alone:
            method = "taobao.logistics.consign.resend"
            fields = {"tid": shipment.shop_order_no, "out_sid": shipment.waybill_no, "company_code": carrier["code"]}
            if oids != held.sent:
                fields |= {"sub_tid": ",".join(sorted(oids)), "is_split": "1"}
        else:
            method = "alibaba.ascp.logistics.consign.modify"
            fields = {
                "tid": shipment.shop_order_no,
                "old_out_sid": wrong,
                "new_out_sid": shipment.waybill_no,
                "new_company_code": carrier["code"],
            }
        says = "–"
        try:
            self._call(method, **fields)
        except _RefusedError as refused:
            if refused.verdict.fault in (Fault.RETRY, Fault.REAUTHORISE):
                raise refused.error() from None
            says = str(refused.facts["shop_says"])
        held = self._held(shipment, wrong)
        evidence = {**_evidence(held, shipment), "wrong": wrong}
        if shipment.waybill_no in held.parcels and wrong not in held.parcels:
            return Pushed("acknowledged", N_("The shop took waybill %(waybill)s."), evidence)
        return Pushed("conflict", NOT_CHANGED, {**evidence, "shop_says": says})

    def _held(self, shipment: Shipment, *looked_for: str) -> _Trade:
        """Three places tell of waybills: the sub-order, the shipping orders, and the list of those with several."""
        tid = shipment.shop_order_no
        trade = self._full(tid)
        orders = {_oid(one): one for one in _list_of(trade.get("orders"), "order")}
        held = _Trade(trade, orders, {})
        for oid, one in orders.items():
            if one.get("invoice_no"):
                held.parcels.setdefault(str(one["invoice_no"]).strip(), set()).add(oid)
        body = self._do("taobao.logistics.orders.get", tid=tid, fields=SHIPPING_FIELDS)
        for shipping in _list_of(body.get("shippings"), "shipping"):
            held.add(shipping)
        numbers = {*looked_for, shipment.waybill_no, *(one.waybill_no for one in shipment.others)}
        missing = _missing(held, shipment, _pieces(held, shipment))
        if held.parcels and (missing or numbers - set(held.parcels)):
            body = self._do("taobao.logistics.orders.detail.get", tid=tid, fields=f"{SHIPPING_FIELDS},mails")
            for shipping in _list_of(body.get("shippings"), "shipping"):
                held.add(shipping)
        return held

    def _carrier(self, shipment: Shipment) -> dict[str, Any] | None:
        """Taobao's own entry of the carrier; None when it has none."""
        if self._companies is None:
            body = self._do("taobao.logistics.companies.get", fields="id,code,name,reg_mail_no")
            rows = _list_of(body.get("logistics_companies"), "logistics_company")
            self._companies = {str(one["code"]): one for one in rows if one.get("code")}
        wanted = self.carriers.get(shipment.carrier_code, shipment.carrier_code)
        named = (one for one in self._companies.values() if one.get("name") == shipment.carrier_name)
        return self._companies.get(wanted) or next(named, None)

    def push_stock(self, sku: str, qty: int) -> None:
        """Set the quantity of each listing with this outer id; their sum is what we have."""
        places = self._listings(sku)
        for place, share in zip(places, spread(qty, len(places)), strict=True):
            self._do("taobao.item.quantity.update", **place, quantity=str(share), type="1")

    def _listings(self, sku: str) -> list[dict[str, str]]:
        body = self._do("taobao.skus.custom.get", outer_id=sku, fields="num_iid,iid,sku_id,outer_id,status")
        found = [
            {"num_iid": str(one.get("num_iid") or one.get("iid")), "sku_id": str(one.get("sku_id"))}
            for one in _list_of(body.get("skus"), "sku")
            if one.get("outer_id", sku) == sku and one.get("status", "normal") == "normal"
        ]
        if not found:
            body = self._do("taobao.items.custom.get", outer_id=sku, fields="num_iid,outer_id")
            rows = _list_of(body.get("items"), "item")
            found = [{"num_iid": str(one.get("num_iid"))} for one in rows if one.get("outer_id", sku) == sku]
        if not found:
            raise ConnectorError(
                permanent=True,
                reason="sku_unknown",
                message=N_("The shop has no item with SKU %(sku)s."),
                facts={"host": self.door.host, "sku": sku},
            )
        return sorted(found, key=lambda one: (one["num_iid"], one.get("sku_id", "")))

    # The wire

    def _do(self, method: str, **fields: str) -> dict[str, Any]:
        """A call whose refusals need no reading."""
        try:
            return self._call(method, **fields)
        except _RefusedError as refused:
            raise refused.error() from None

    def _call(self, method: str, **fields: str) -> dict[str, Any]:
        """The body below ``…_response``; ConnectorError, or _RefusedError for what only the caller can judge."""
        if method.endswith(".get"):
            return persist(lambda: self._call_once(method, **fields), self.limits.sleep)
        return self._call_once(method, **fields)

    def _call_once(self, method: str, **fields: str) -> dict[str, Any]:
        lane = Lane(self.app_key, self._shop, method)
        self.limits.take(lane, self.rate, self.door.host)
        sent = {
            "method": method,
            "app_key": self.app_key,
            "session": self.session,
            "timestamp": china_time(clock.now()),
            "v": "2.0",
            "format": "json",
            "sign_method": self.sign_method,
            # An empty value is not signed by Taobao: it is not sent.
            **{name: value for name, value in fields.items() if value != ""},
        }
        answer = self.door.post_form({**sent, "sign": top_sign(self.app_secret, sent, self.sign_method)})
        found = answer.body if isinstance(answer.body, dict) else {}
        told = found.get("error_response")
        if isinstance(told, dict):
            raise self._refusal(lane, told)
        body = found.get(method.removeprefix("taobao.").replace(".", "_") + "_response")
        if not isinstance(body, dict):
            raise AT_FAULT.error(host=self.door.host, shop_says="no data")
        return body

    def _refusal(self, lane: Lane, told: Mapping[str, Any]) -> ConnectorError | _RefusedError:
        code, sub_code = str(told.get("code") or ""), str(told.get("sub_code") or "")
        words = str(told.get("sub_msg") or told.get("msg") or "")
        if code.isdigit() and int(code) in CALL_LIMITS:
            return self._ban(lane, int(code), sub_code, words)
        verdict = _verdict(code, sub_code)
        said = quoted(f"{words} ({sub_code or code})", self.app_secret, self.session)
        facts = {"host": self.door.host, "method": lane.method, "shop_says": said, "code": sub_code or code}
        facts |= {"order": "–", "waybill": "–", "carrier": "–"}
        return _RefusedError(verdict, facts)

    def _ban(self, lane: Lane, code: int, sub_code: str, words: str) -> ConnectorError:
        """How long Taobao says, for whom it says: this call, this shop, or the whole app."""
        found = re.search(r"ban will last for (\d+)", words)
        seconds = float(found[1]) if found else BAN_S
        if "api-access-count" in sub_code:
            whose = Lane(lane.app, "", lane.method)
        elif code in (4, 5):
            whose = Lane(lane.app, lane.shop)
        else:
            whose = Lane(lane.app)
        self.limits.ban(whose, seconds)
        return banned(self.door.host, self.limits.banned_s(lane))


def _verdict(code: str, sub_code: str) -> Verdict:
    """Taobao's own rule: ``isp.`` is its fault and worth another try, ``isv.`` is ours and is not."""
    last = sub_code.rsplit(":", 1)[-1]
    if sub_code.startswith("isp."):
        return AT_FAULT
    if "session" in sub_code and ("expired" in sub_code or "invalid" in sub_code):
        return REAUTHORISE
    if last in SHIP_CODES and ("logistics" in sub_code or last == sub_code):
        return SHIP_CODES[last]
    if "permission" in sub_code:
        return NOT_PERMITTED
    if code.isdigit() and int(code) in GATEWAY_CODES:
        return GATEWAY_CODES[int(code)]
    return OUR_FAULT if sub_code.startswith("isv.") or last in SHIP_CODES else AT_FAULT


def _list_of(value: object, name: str) -> list[dict[str, Any]]:
    """TOP wraps a list in its type's name (``{"trades": {"trade": [...]}}``) and leaves an empty one out."""
    rows = value.get(name) if isinstance(value, dict) else value
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _tid(row: Mapping[str, Any]) -> str:
    return str(row.get("tid_str") or row.get("tid") or "")


def _oid(order: Mapping[str, Any]) -> str:
    return str(order.get("oid_str") or order["oid"])


def _yes(told: object) -> bool:
    return told is True or str(told).lower() == "true"


def _success(body: Mapping[str, Any]) -> object:
    """``shipping.is_success`` of the old calls, ``result.success`` of the new ones."""
    for name, flag in (("shipping", "is_success"), ("result", "success")):
        if isinstance(body.get(name), dict):
            return body[name].get(flag)
    return None


def _state(trade: Mapping[str, Any]) -> OrderState:
    status = trade.get("status")
    if status in CLOSED:
        return "cancelled"
    if status in SENT:
        return "shipped"
    if status not in (*WAITING, FORBIDDEN) or trade.get("is_force_dc") is True:
        return "other"  # unpaid, or Cainiao's own warehouse sends it
    if trade.get("step_trade_status") not in (None, "", "FRONT_PAID_FINAL_PAID"):
        return "other"  # a deposit was paid, not the rest
    orders = _list_of(trade.get("orders"), "order")
    if orders and all(one.get("status") in CLOSED or one.get("refund_status") == REFUNDED for one in orders):
        return "cancelled"
    if any(one.get("refund_status") in REFUND_ASKED for one in orders if one.get("status") in WAITING):
        return "refunding"
    return "paid"


def _shop_order(trade: dict[str, Any]) -> ShopOrder:
    def of(name: str) -> str:
        return str(trade.get(name) or "")

    lines = tuple(_line(one, trade) for one in _list_of(trade.get("orders"), "order"))
    state = _state(trade)
    if not lines:
        raise KeyError("orders")
    kept = of("status") == FORBIDDEN or any(str(trade.get(name)) == "1" for name in STOPS)
    refused = any(line.hold == "refund_refused" for line in lines)
    return ShopOrder(
        shop_order_no=_tid(trade),
        ordered_at=from_china(trade.get("created")),
        state=state,
        lines=lines,
        recipient=Recipient(
            name=of("receiver_name"),
            phone=of("receiver_mobile") or of("receiver_phone"),
            province=of("receiver_state"),
            # Where a county stands directly below the province, only the district is told.
            city=of("receiver_city") or of("receiver_district"),
            district=of("receiver_district"),
            town=of("receiver_town"),
            address=of("receiver_address"),
            country=of("receiver_country"),
            postcode=of("receiver_zip"),
            oaid=of("oaid"),
        ),
        buyer_note=of("buyer_message"),
        seller_memo=of("seller_memo"),
        raw=trade,
        updated_at=from_china(trade.get("modified")),
        currency="CNY",
        ship_by=_ship_by(trade),
        hold="" if state in ("cancelled", "shipped") else "not_yet" if kept else "refund_refused" if refused else "",
    )


def _line(order: Mapping[str, Any], trade: Mapping[str, Any]) -> ShopLine:
    qty = int(order["num"])
    if qty < 1:
        raise ValueError(f"{qty} pieces")
    status, refund = order["status"], order.get("refund_status")
    gone = status in (*CLOSED, *SENT) or trade.get("status") in CLOSED or refund == REFUNDED
    virtual = trade.get("shipping_type") == "virtual" or order.get("is_service_order") is True
    hold = ""
    if not gone:
        hold = "refund_asked" if refund in REFUND_ASKED else "refund_refused" if refund == REFUND_REFUSED else ""
    return ShopLine(
        line_ref=_oid(order),
        sku=next((str(order[name]) for name in SKU_NAMES if order.get(name)), ""),
        name=" ".join(str(order[name]) for name in ("title", "sku_properties_name") if order.get(name)),
        qty=qty,
        price_minor=fen(order.get("price") or 0),
        kind="service" if virtual else "goods",
        cancelled=gone or order.get("is_force_dc") is True,
        hold=hold,
    )


def _ship_by(trade: Mapping[str, Any]) -> datetime | None:
    """Taobao's latest moment for the parcel to leave: of a sub-order, else of the order, else hours from payment."""
    names = ("delivery_time", "promise_collect_time", "collect_time", "estimate_con_time")
    waiting = [one for one in _list_of(trade.get("orders"), "order") if one.get("status") in WAITING]
    promised = [at for one in waiting for name in names if (at := from_china(one.get(name)))]
    promised = promised or [at for name in (*names, "send_time") if (at := from_china(trade.get(name)))]
    if promised:
        return min(promised)
    paid_at, hours = from_china(trade.get("pay_time")), str(trade.get("consign_interval") or "")
    return paid_at + timedelta(hours=int(hours)) if paid_at and hours.isdigit() and int(hours) else None


# What a parcel is to Taobao


def _pieces(held: _Trade, shipment: Shipment) -> dict[str, int] | None:
    """Sub-order → pieces of this parcel; None when a line is of no sub-order, or more than was ordered."""
    skus = {oid: str(one.get("outer_sku_id") or one.get("outer_iid") or "") for oid, one in held.orders.items()}
    pieces: dict[str, int] = {}
    for line_ref, sku, qty in shipment.lines:
        homes = [line_ref] if line_ref in held.orders else [oid for oid, one in skus.items() if one == sku]
        for home in homes:
            part = min(qty, int(held.orders[home].get("num") or 0) - pieces.get(home, 0))
            if part > 0:
                pieces[home] = pieces.get(home, 0) + part
                qty -= part
        if qty:
            return None
    return pieces or None


def _missing(held: _Trade, shipment: Shipment, pieces: dict[str, int] | None) -> dict[str, int]:
    """What of this parcel Taobao does not have under our number yet. A push that was done by half goes on from here."""
    has = held.parcels.get(shipment.waybill_no, set())
    if pieces is None:
        # Not to be matched piece by piece; the number alone must do.
        return {} if has else {"": 0}
    return {oid: qty for oid, qty in pieces.items() if oid not in has}


def _stop(held: _Trade, shipment: Shipment, missing: Mapping[str, int]) -> Pushed | None:
    """Why this parcel is a matter for people, or None."""
    evidence = _evidence(held, shipment)
    mine = [held.orders[oid] for oid in missing if oid in held.orders]
    if held.trade.get("status") in CLOSED or any(one.get("status") in CLOSED for one in mine):
        words = N_("Order %(order)s is cancelled at the shop. Stop parcel %(parcel)s or call it back.")
        return Pushed("conflict", words, evidence)
    if any(one.get("refund_status") == REFUNDED for one in mine):
        words = N_("Order %(order)s was paid back at the shop. Stop parcel %(parcel)s or call it back.")
        return Pushed("conflict", words, evidence)
    if any(one.get("refund_status") in REFUND_ASKED for one in mine):
        words = N_("A refund is asked for on order %(order)s. Stop parcel %(parcel)s, then settle it at the shop.")
        return Pushed("conflict", words, evidence)
    known = (*WAITING, *SENT)
    if "" in missing or any(one.get("status") not in known for one in (held.trade, *mine)):
        return _other_hand(held, shipment)
    ours = {one.waybill_no: dict(_pieces(held, one) or {}) for one in shipment.others}
    for oid, qty in missing.items():
        numbers = held.numbers_of(oid)
        if numbers - set(ours):
            return _other_hand(held, shipment)
        told = sum(ours[waybill].get(oid, 0) for waybill in numbers)
        if oid in held.sent and not numbers:
            return _other_hand(held, shipment)
        if oid not in held.sent and told + qty > int(held.orders[oid].get("num") or 0):
            return _other_hand(held, shipment)
    return None


def _other_hand(held: _Trade, shipment: Shipment) -> Pushed:
    words = N_("The shop does not wait for these pieces of order %(order)s (state %(state)s). Compare the lines.")
    if set(held.parcels) - {one.waybill_no for one in shipment.others}:
        words = N_("The shop has order %(order)s under another waybill: %(others)s, not %(waybill)s.")
    return Pushed("conflict", words, _evidence(held, shipment))


def _send(held: _Trade, shipment: Shipment, missing: Mapping[str, int], company: str) -> tuple[str, dict[str, str]]:
    """The call that tells of these pieces."""
    tid = shipment.shop_order_no
    whole = all(qty == int(held.orders[oid]["num"]) and not held.numbers_of(oid) for oid, qty in missing.items())
    if whole:
        fields = {"tid": tid, "out_sid": shipment.waybill_no, "company_code": company}
        # Without a split Taobao sends all that is not closed, a sub-order that is being paid back as well.
        wanted = {
            oid
            for oid, one in held.orders.items()
            if one.get("status") not in CLOSED and one.get("is_service_order") is not True
        }
        if set(missing) != wanted:
            fields |= {"sub_tid": ",".join(sorted(missing)), "is_split": "1"}
        return "taobao.logistics.offline.send", fields
    ours = {one.waybill_no: dict(_pieces(held, one) or {}) for one in shipment.others}
    left = {
        oid: int(held.orders[oid]["num"]) - qty - sum(ours.get(one, {}).get(oid, 0) for one in held.numbers_of(oid))
        for oid, qty in missing.items()
    }
    goods = [{"sub_tid": oid, "num": qty, "item_type": 0} for oid, qty in missing.items()]
    package = {"out_sid": shipment.waybill_no, "company_code": company, "goods": goods}
    fields = {"tid": tid, "consign_pkgs": compact_json([package])}
    if all(oid in held.sent for oid in missing):
        # Told as gone already, under another number of ours: one more parcel (补发).
        return "alibaba.ascp.logistics.offline.send", {**fields, "consign_type": "3"}
    status = [{"sub_tid": oid, "is_part_consign": left[oid] > 0} for oid in missing]
    return "alibaba.ascp.logistics.offline.send", {
        **fields,
        "consign_type": "1",
        "consign_status": compact_json(status),
    }


def _looks_like(carrier: Mapping[str, Any], waybill: str) -> bool:
    """The carrier's pattern as Taobao tells it; one that is none lets everything pass."""
    pattern = str(carrier.get("reg_mail_no") or "")
    try:
        return not pattern or re.fullmatch(pattern, waybill) is not None
    except re.error:
        return True


def _evidence(held: _Trade, shipment: Shipment) -> dict[str, Any]:
    return {
        "order": shipment.shop_order_no,
        "parcel": shipment.parcel_no,
        "waybill": shipment.waybill_no,
        "carrier": shipment.carrier_code,
        "state": str(held.trade.get("status") or ""),
        "others": ", ".join(sorted(held.parcels)) or "–",
    }
