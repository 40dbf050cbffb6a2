"""A double of Taobao's gateway (TOP) that enforces the published contract, with faults on request.

It reads bytes and signs with code of its own; foreign clients drive it too (test_foreign_clients), so that it is not
only our own reading of the contract that agrees with itself.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from tests.connectors.loopback import Answer, Request

GMT8 = timezone(timedelta(hours=8))
CLOCK = timedelta(minutes=10)
DEFAULT_TYPES = ("guarantee_trade", "auto_delivery", "ec", "cod", "step")
ALREADY = "订单状态不对该物流订单已经发货或者已关闭，不能重复发货"
COMPANIES = (
    {"id": 505, "code": "SF", "name": "顺丰速运", "reg_mail_no": "^(SF)?[0-9]{1,12}$"},
    {"id": 500, "code": "ZTO", "name": "中通快递", "reg_mail_no": "^ZT[0-9]+$"},
    {"id": 101, "code": "YTO", "name": "圆通速递", "reg_mail_no": "(unclosed"},
)
WAITING = "WAIT_SELLER_SEND_GOODS"
PART = "SELLER_CONSIGNED_PART"
SENT = "WAIT_BUYER_CONFIRM_GOODS"


class Refuse(Exception):
    def __init__(self, code: int, msg: str, sub_code: str = "", sub_msg: str = "") -> None:
        self.told = {"code": code, "msg": msg, "request_id": "r1"}
        if sub_code:
            self.told |= {"sub_code": sub_code, "sub_msg": sub_msg or msg}
        super().__init__(msg)


def logistics(code: str, why: str = "不能发货", call: str = "offline-service") -> Refuse:
    return Refuse(15, "Remote service error", f"isv.logistics-{call}-error:{code}", why)


@dataclass
class FakeTaobao:
    """Give it to ``loopback.serve``. ``before`` and ``after`` see each call (method, fields) and may return an Answer,
    raise Refuse, or return "cut" to break the line.
    """

    app_key: str = "12129701"
    secret: str = "sandbox-Geheim-密钥"
    session: str = "session-of-the-shop"
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    trades: dict[str, dict[str, Any]] = field(default_factory=dict)
    packages: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    skus: list[dict[str, Any]] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    before: Callable[[str, dict[str, str]], Any] = lambda method, fields: None
    after: Callable[[str, dict[str, str]], Any] = lambda method, fields: None
    bans: dict[str, datetime] = field(default_factory=dict)
    """Kind of ban → until when."""
    half: bool = False
    """The next shipment of several sub-orders is done for the first and then breaks."""
    string_booleans: bool = False
    fixed_numbers: bool = False
    """No number of a parcel can be changed any more."""

    # What stands in the shop

    def order(self, tid: int, *lines: tuple[str, int], status: str = WAITING, **more: Any) -> dict[str, Any]:
        text = china(self.now())
        orders = [
            {
                "oid": tid if len(lines) == 1 else tid * 10 + number,
                "outer_sku_id": sku,
                "num_iid": 9000 + number,
                "sku_id": str(7000 + number),
                "title": f"商品 {sku}",
                "sku_properties_name": "颜色:红色",
                "num": num,
                "price": "10.05",
                "status": WAITING if status == PART else status,
                "refund_status": "NO_REFUND",
            }
            for number, (sku, num) in enumerate(lines)
        ]
        self.trades[str(tid)] = trade = {
            "tid": tid,
            "type": "guarantee_trade",
            "status": status,
            "created": text,
            "pay_time": text,
            "modified": text,
            "receiver_name": "张**",
            "receiver_mobile": "138****0000",
            "receiver_state": "浙江省",
            "receiver_city": "杭州市",
            "receiver_district": "余杭区",
            "receiver_town": "五常街道",
            "receiver_address": "文**路***号",
            "receiver_zip": "000000",
            "buyer_message": "请尽快 & 轻放",
            "seller_memo": "VIP+1",
            "shipping_type": "express",
            **more,
            "orders": orders,
        }
        self.packages[str(tid)] = []
        return trade

    def touch(self, tid: int | str, at: datetime | None = None) -> None:
        self.trades[str(tid)]["modified"] = china(at or self.now())

    def sub(self, tid: int, sku: str) -> dict[str, Any]:
        return next(one for one in self.trades[str(tid)]["orders"] if one["outer_sku_id"] == sku)

    def close(self, tid: int) -> None:
        self.trades[str(tid)]["status"] = "TRADE_CLOSED"
        for one in self.trades[str(tid)]["orders"]:
            one |= {"status": "TRADE_CLOSED", "refund_status": "SUCCESS"}
        self.touch(tid)

    def send_by_hand(self, tid: int, waybill: str, *skus: str) -> None:
        chosen = [one for one in self.trades[str(tid)]["orders"] if not skus or one["outer_sku_id"] in skus]
        self._sent(str(tid), waybill, "SF", {str(one["oid"]): one["num"] for one in chosen}, whole=True)

    def numbers(self, tid: int) -> list[str]:
        return [one["out_sid"] for one in self.packages[str(tid)]]

    def did(self, method: str) -> list[dict[str, str]]:
        return [fields for name, fields in self.calls if name == method]

    # The wire

    def __call__(self, request: Request) -> Answer | None:
        try:
            raw = request.fields()
            method = self._gate(raw)
            fields = {name.decode(): value.decode() for name, value in raw.items()}
            self.calls.append((method, fields))
            early = self.before(method, fields)
            if early is not None:
                return None if early == "cut" else early
            body = getattr(self, "_" + method.replace(".", "_"), _no_method)(fields)
            late = self.after(method, fields)
            if late is not None:
                return None if late == "cut" else late
        except Refuse as refused:
            return _json({"error_response": refused.told})
        name = method.removeprefix("taobao.").replace(".", "_") + "_response"
        return _json({name: {**body, "request_id": "r1"}})

    def _gate(self, raw: dict[bytes, bytes]) -> str:
        """What the gateway looks at before any business: in bytes, with a signature of its own."""

        def of(name: str) -> str:
            return raw.get(name.encode(), b"").decode()

        for name, code in (("method", 21), ("app_key", 28), ("timestamp", 30), ("v", 32), ("sign", 24)):
            if not of(name):
                raise Refuse(code, f"Missing {name}")
        if of("app_key") != self.app_key:
            raise Refuse(29, "Invalid app Key")
        if of("v") != "2.0":
            raise Refuse(33, "Invalid version")
        if self._sign(raw) != of("sign"):
            raise Refuse(25, "Invalid signature")
        if abs(_moment(of("timestamp")) - self.now()) > CLOCK:
            raise Refuse(31, "Invalid timestamp")
        if of("session") != self.session:
            raise Refuse(27, "Invalid session", "session-expired", f"session {of('session')} expired")
        for kind, until in self.bans.items():
            left = (until - self.now()).total_seconds()
            if left > 0:
                raise Refuse(7, "App Call Limited", kind, f"This ban will last for {round(left)} more seconds")
        return of("method")

    def _sign(self, raw: dict[bytes, bytes]) -> str:
        secret = self.secret.encode()
        joined = b"".join(key + raw[key] for key in sorted(raw) if key != b"sign" and raw[key])
        way = raw.get(b"sign_method")
        if way == b"md5":
            return hashlib.md5(secret + joined + secret).hexdigest().upper()
        if way == b"hmac":
            return hmac.new(secret, joined, "md5").hexdigest().upper()
        if way == b"hmac-sha256":
            return hmac.new(secret, joined, "sha256").hexdigest().upper()
        raise Refuse(41, "Invalid arguments:sign_method")

    # Orders

    def _taobao_trades_sold_get(self, fields: dict[str, str]) -> dict[str, Any]:
        need(fields, "fields")
        begin, end = _moment(fields.get("start_created", "")), _moment(fields.get("end_created", ""))
        if end - begin > timedelta(days=92):
            raise Refuse(41, "Invalid arguments:start_created", "isv.invalid-parameter:start_created", "三个月")
        return self._page(fields, "created", begin, end)

    def _taobao_trades_sold_increment_get(self, fields: dict[str, str]) -> dict[str, Any]:
        need(fields, "fields", "start_modified", "end_modified")
        begin, end = _moment(fields["start_modified"]), _moment(fields["end_modified"])
        if not begin < end or end - begin > timedelta(days=1) or begin < self.now() - timedelta(days=91):
            raise Refuse(41, "Invalid arguments", "isv.invalid-parameter:end_modified", "修改时间跨度不能大于一天")
        return self._page(fields, "modified", begin, end)

    def _page(self, fields: dict[str, str], what: str, begin: datetime, end: datetime) -> dict[str, Any]:
        size, page = int(fields.get("page_size", "40")), int(fields.get("page_no", "1"))
        if not 1 <= size <= 100 or page < 1:
            raise Refuse(41, "Invalid arguments:page_size", "isv.invalid-parameter:page_size", "1~100")
        types = fields["type"].split(",") if "type" in fields else DEFAULT_TYPES
        chosen = [
            one
            for one in self.trades.values()
            if begin <= _moment(one[what]) <= end
            and one["type"] in types
            and fields.get("status", one["status"]) == one["status"]
        ]
        # Newest first; those of one second in no order of ours.
        chosen.sort(key=lambda one: (_moment(one[what]), hashlib.md5(str(one["tid"]).encode()).digest()), reverse=True)
        rows = [_only(one, fields["fields"]) for one in chosen[(page - 1) * size : page * size]]
        found: dict[str, Any] = {"trades": {"trade": rows}} if rows else {}
        if fields.get("use_has_next") == "true":
            return {**found, "has_next": page * size < len(chosen)}
        return {**found, "total_results": len(chosen)}

    def _taobao_trade_fullinfo_get(self, fields: dict[str, str]) -> dict[str, Any]:
        need(fields, "fields", "tid")
        trade = self.trades.get(fields["tid"])
        if trade is None:
            raise Refuse(15, "Remote service error", "isv.trade-not-exist", "交易订单不存在")
        shown = _only(trade, fields["fields"])
        asked = {"oaid", "receiver_name", "receiver_address", "created", "receiver_mobile", "receiver_phone"}
        if "include_oaid" in fields and asked <= set(fields["fields"].split(",")):
            shown["oaid"] = f"1{fields['tid']}ABC+/="
        return {"trade": shown}

    # Shipping

    def _taobao_logistics_companies_get(self, fields: dict[str, str]) -> dict[str, Any]:
        need(fields, "fields")
        return {"logistics_companies": {"logistics_company": list(COMPANIES)}}

    def _taobao_logistics_orders_get(self, fields: dict[str, str]) -> dict[str, Any]:
        need(fields, "fields", "tid")
        return {"shippings": {"shipping": self._shippings(fields, mails=False)}}

    def _taobao_logistics_orders_detail_get(self, fields: dict[str, str]) -> dict[str, Any]:
        need(fields, "fields", "tid")
        return {"shippings": {"shipping": self._shippings(fields, mails=True)}}

    def _shippings(self, fields: dict[str, str], *, mails: bool) -> list[dict[str, Any]]:
        """One shipping order for each set of sub-orders; the parcels inside are told by ``detail.get`` alone."""
        trade, packages = self.trades[fields["tid"]], self.packages[fields["tid"]]
        if not packages:
            return [{"tid": trade["tid"], "status": "CREATED", "order_code": "L0"}]
        found: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for one in packages:
            found.setdefault(tuple(sorted(one["goods"])), []).append(one)
        split = len(trade["orders"]) > 1 and (len(found) > 1 or trade["status"] == PART)
        rows = []
        for oids, inside in found.items():
            row = {"tid": trade["tid"], "out_sid": inside[0]["out_sid"], "status": "ACCEPTED_BY_RECEIVER"}
            if split:
                row |= {"is_split": 1, "sub_tids": {"number": [int(oid) for oid in oids]}}
            if mails and "mails" in fields["fields"].split(","):
                row["mails"] = {"logistics_mail": [{"out_sid": one["out_sid"]} for one in inside]}
            rows.append(row)
        return rows

    def _taobao_logistics_offline_send(self, fields: dict[str, str]) -> dict[str, Any]:
        need(fields, "tid", "out_sid", "company_code")
        trade = self._sendable(fields["tid"], fields["out_sid"], fields["company_code"])
        split, chosen = fields.get("is_split") == "1", fields.get("sub_tid", "")
        if bool(chosen) != split:
            raise logistics("CD22", "拆单参数错误")
        subs = {str(one["oid"]): one for one in trade["orders"]}
        wanted = chosen.split(",") if split else [oid for oid, one in subs.items() if one["status"] == WAITING]
        if set(wanted) - set(subs):
            raise logistics("P38", "拆单校验未通过")
        if trade["status"] not in (WAITING, PART) or any(subs[oid]["status"] != WAITING for oid in wanted):
            raise logistics("B04", ALREADY)
        if self.half and len(wanted) > 1:
            self.half = False
            self._sent(fields["tid"], fields["out_sid"], fields["company_code"], {wanted[0]: subs[wanted[0]]["num"]})
            raise logistics("S01", "系统异常")
        goods = {oid: subs[oid]["num"] for oid in wanted}
        self._sent(fields["tid"], fields["out_sid"], fields["company_code"], goods, whole=True)
        return {"shipping": {"is_success": self._true()}}

    def _alibaba_ascp_logistics_offline_send(self, fields: dict[str, str]) -> dict[str, Any]:
        need(fields, "tid", "consign_pkgs", "consign_type")
        subs = {str(one["oid"]): one for one in self.trades.get(fields["tid"], {"orders": []})["orders"]}
        part = {one["sub_tid"]: one["is_part_consign"] for one in json.loads(fields.get("consign_status", "[]"))}
        for package in json.loads(fields["consign_pkgs"]):
            self._sendable(fields["tid"], package["out_sid"], package["company_code"])
            goods = {one["sub_tid"]: one["num"] for one in package["goods"]}
            if set(goods) - set(subs) or any(num < 1 for num in goods.values()):
                raise logistics("P38", "商品不在订单里")
            if fields["consign_type"] == "3":
                if any(subs[oid]["status"] != SENT for oid in goods):
                    raise logistics("CD24", "只有已发货的订单可以补发")
                self._sent(fields["tid"], package["out_sid"], package["company_code"], goods)
                continue
            if fields["consign_type"] != "1":
                raise Refuse(41, "Invalid arguments:consign_type")
            if set(part) != set(goods):
                raise logistics("CD25", "缺少子订单发货状态")
            for oid, num in goods.items():
                told = sum(one["goods"].get(oid, 0) for one in self.packages[fields["tid"]])
                if subs[oid]["status"] != WAITING:
                    raise logistics("B04", ALREADY)
                if told + num > subs[oid]["num"] or part[oid] is not (told + num < subs[oid]["num"]):
                    raise logistics("CD26", "发货数量与状态不符")
            self._sent(fields["tid"], package["out_sid"], package["company_code"], goods)
        return {"result": {"success": self._true()}}

    def _sendable(self, tid: str, waybill: str, company: str) -> dict[str, Any]:
        trade = self.trades.get(tid)
        if trade is None:
            raise logistics("B01", "订单不存在")
        found = next((one for one in COMPANIES if one["code"] == company), None)
        if found is None:
            raise logistics("B56", "物流公司不存在")
        if found["code"] != "YTO" and not re.fullmatch(str(found["reg_mail_no"]), waybill):
            raise logistics("B60", "运单号不符合规则或已经被使用")
        if any(waybill == one["out_sid"] for other, all_ in self.packages.items() for one in all_ if other != tid):
            raise logistics("B60", "运单号不符合规则或已经被使用")
        return trade

    def _sent(self, tid: str, waybill: str, company: str, goods: dict[str, int], *, whole: bool = False) -> None:
        trade = self.trades[tid]
        self.packages[tid].append({"out_sid": waybill, "company": company, "goods": goods})
        for one in trade["orders"]:
            oid = str(one["oid"])
            told = sum(package["goods"].get(oid, 0) for package in self.packages[tid])
            if oid in goods and (whole or told >= one["num"]) and one["status"] == WAITING:
                one |= {"status": SENT, "invoice_no": waybill, "consign_time": china(self.now())}
        waits = any(one["status"] == WAITING for one in trade["orders"])
        trade["status"] = PART if waits else SENT
        self.touch(tid)

    def _taobao_logistics_consign_resend(self, fields: dict[str, str]) -> dict[str, Any]:
        need(fields, "tid", "out_sid", "company_code")
        packages = self.packages[fields["tid"]]
        chosen = set(filter(None, fields.get("sub_tid", "").split(",")))
        if self.fixed_numbers:
            raise logistics("CD19", "已揽收，不能修改", "update-company-or-mailno")
        if bool(chosen) != (fields.get("is_split") == "1") or (not chosen and len(packages) != 1):
            raise logistics("P08", "该订单不支持修改", "update-company-or-mailno")
        self._sendable(fields["tid"], fields["out_sid"], fields["company_code"])
        found = next((one for one in packages if not chosen or set(one["goods"]) == chosen), None)
        if found is None:
            raise logistics("P08", "该订单不支持修改", "update-company-or-mailno")
        self._renumber(fields["tid"], found, fields["out_sid"])
        return {"shipping": {"is_success": self._true()}}

    def _alibaba_ascp_logistics_consign_modify(self, fields: dict[str, str]) -> dict[str, Any]:
        need(fields, "tid", "old_out_sid", "new_out_sid")
        if self.fixed_numbers:
            raise logistics("CD19", "已揽收，不能修改", "update-company-or-mailno")
        packages = self.packages[fields["tid"]]
        found = next((one for one in packages if one["out_sid"] == fields["old_out_sid"]), None)
        if found is None:
            raise logistics("P08", "原运单号不存在", "update-company-or-mailno")
        self._renumber(fields["tid"], found, fields["new_out_sid"])
        return {"result": {"success": self._true()}}

    def _renumber(self, tid: str, package: dict[str, Any], waybill: str) -> None:
        for one in self.trades[tid]["orders"]:
            if one.get("invoice_no") == package["out_sid"] and str(one["oid"]) in package["goods"]:
                one["invoice_no"] = waybill
        package["out_sid"] = waybill
        self.touch(tid)

    # Stock

    def _taobao_skus_custom_get(self, fields: dict[str, str]) -> dict[str, Any]:
        need(fields, "fields", "outer_id")
        found = [one for one in self.skus if one["outer_id"] == fields["outer_id"]]
        return {"skus": {"sku": found}} if found else {}

    def _taobao_items_custom_get(self, fields: dict[str, str]) -> dict[str, Any]:
        need(fields, "fields", "outer_id")
        found = [one for one in self.items if one["outer_id"] == fields["outer_id"]]
        return {"items": {"item": found}} if found else {}

    def _taobao_item_quantity_update(self, fields: dict[str, str]) -> dict[str, Any]:
        need(fields, "num_iid", "quantity")
        if fields.get("type", "1") != "1":
            raise Refuse(41, "Invalid arguments:type")
        place = self.skus if "sku_id" in fields else self.items
        for one in place:
            if str(one["num_iid"]) == fields["num_iid"] and str(one.get("sku_id", "")) == fields.get("sku_id", ""):
                one["quantity"] = int(fields["quantity"])
                return {"item": {"num_iid": one["num_iid"]}}
        raise Refuse(15, "Remote service error", "isv.item-not-exist", "宝贝不存在")

    def _true(self) -> bool | str:
        return "true" if self.string_booleans else True


def china(at: datetime) -> str:
    return at.astimezone(GMT8).strftime("%Y-%m-%d %H:%M:%S")


def _moment(text: str) -> datetime:
    """The clock text the papers ask for, or the milliseconds that the official Python client sends."""
    if text.isdigit():
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=GMT8)
    except ValueError:
        raise Refuse(31, "Invalid timestamp") from None


def need(fields: dict[str, str], *names: str) -> None:
    for name in names:
        if not fields.get(name):
            raise Refuse(40, f"Missing required arguments:{name}")


def _only(trade: dict[str, Any], fields: str) -> dict[str, Any]:
    wanted = set(fields.split(","))
    shown: dict[str, Any] = {name: value for name, value in trade.items() if name in wanted and name != "orders"}
    if "orders" in wanted:
        shown["orders"] = {"order": trade["orders"]}
    copied: dict[str, Any] = json.loads(json.dumps(shown))
    return copied


def _no_method(fields: dict[str, str]) -> dict[str, Any]:
    raise Refuse(22, "Invalid method")


def _json(body: dict[str, Any]) -> Answer:
    return Answer(json.dumps(body, ensure_ascii=False).encode())
