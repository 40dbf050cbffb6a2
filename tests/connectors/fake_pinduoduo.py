"""A double of Pinduoduo's platform that keeps its published contract: signature, clock, windows, pages, codes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl

from tests.connectors.shop_server import Call, Loopback, Reply

CHINA = timezone(timedelta(hours=8))
LAG = timedelta(minutes=3)
"""An order shows up in a list this long after it was changed."""


@dataclass
class FakePinduoduo:
    """``with shop.net.running(): …`` serves it; its clock is ``now``."""

    client_id: str = "client-of-the-tests"
    secret: str = "testSecret"
    token: str = "token-of-the-tests"
    now: datetime = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    changed: dict[str, datetime] = field(default_factory=dict)
    goods: list[dict[str, Any]] = field(default_factory=list)
    carriers: list[tuple[int, str, str, int]] = field(
        default_factory=lambda: [(44, "SF", "顺丰快递", 1), (115, "ZTO", "中通快递", 1), (1, "OLD", "旧快递", 0)]
    )
    shows_extra: bool = True
    between: Callable[[int], None] = lambda page: None
    """Sees each page that is asked for, before it is given."""
    net: Loopback = field(init=False)

    def __post_init__(self) -> None:
        self.net = Loopback(self._answer)

    # What happens at the shop

    def order(self, number: str, *lines: tuple[str, int], price: Any = 19.99) -> dict[str, Any]:
        self.orders[number] = {
            "order_sn": number,
            "confirm_status": 1,
            "group_status": 1,
            "order_status": 1,
            "refund_status": 1,
            "risk_control_status": 0,
            "trade_type": 0,
            "created_time": self._text(self.now),
            "confirm_time": self._text(self.now),
            "last_ship_time": self._text(self.now + timedelta(hours=48)),
            "receiver_name": "~AgAAA密文~",
            "receiver_name_mask": "张*",
            "receiver_phone_mask": "138****0000",
            "province": "上海市",
            "city": "上海市",
            "town": "浦东新区",
            "receiver_address_mask": "**路*号",
            "open_address_id_2": "oaid-1",
            "buyer_memo": "",
            "remark": "",
            "tracking_number": "",
            "logistics_id": 0,
            "item_list": [
                {
                    "sku_id": 9000000000000000000 + at,
                    "goods_id": 7000000000 + at,
                    "outer_id": sku,
                    "goods_name": f"商品 {sku}",
                    "goods_spec": "红色,大",
                    "goods_count": qty,
                    "goods_price": price,
                }
                for at, (sku, qty) in enumerate(lines)
            ],
        }
        if self.shows_extra:
            self.orders[number]["extra_delivery_list"] = []
        self.touch(number)
        return self.orders[number]

    def touch(self, number: str, **changes: Any) -> None:
        self.changed[number] = self.now
        self.orders[number] |= {**changes, "updated_at": self._text(self.now)}

    def item(self, sku: str, quantity: int) -> dict[str, Any]:
        one = {"sku_id": 5000 + len(self.goods), "outer_id": sku, "sku_quantity": quantity}
        self.goods.append({"goods_id": 100 + len(self.goods), "sku_list": [one]})
        return one

    def names(self) -> list[str]:
        return [dict(parse_qsl(call.body.decode()))["type"] for call in self.net.calls]

    # The wire

    def _answer(self, call: Call) -> Reply:
        if not call.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return _fault(10000, "参数错误")
        params = dict(parse_qsl(call.body.decode(), keep_blank_values=True))
        if {"sign_method", "v", "format"} & set(params):
            return _fault(10000, "参数错误")
        given = params.pop("sign", "")
        text = self.secret + "".join(one + params[one] for one in sorted(params)) + self.secret
        if hashlib.md5(text.encode()).hexdigest().upper() != given:
            return _fault(20004, "签名sign校验失败")
        if abs(int(params["timestamp"]) - self.now.timestamp()) > 600:
            return _fault(20004, "timestamp 与服务器时间相差超过10分钟")
        if (params["client_id"], params["access_token"]) != (self.client_id, self.token):
            return _fault(10019, "access_token已过期")
        if params.get("data_type") != "JSON":
            return _fault(10000, "参数错误")
        return getattr(self, "_" + params["type"].removeprefix("pdd.").replace(".", "_"))(params)

    def _order_number_list_increment_get(self, params: dict[str, str]) -> Reply:
        start, end = int(params["start_updated_at"]), int(params["end_updated_at"])
        if not 0 < end - start <= 1800:
            return _fault(50001, "业务服务错误", "开始时间结束时间间距不超过30分钟")
        # The real one would answer, and leave out what it does not show yet.
        assert end <= (self.now - LAG).timestamp(), "a window that may still grow loses orders"
        found = [
            one
            for number, one in self.orders.items()
            if start <= self.changed[number].timestamp() <= end and self.changed[number] <= self.now - LAG
        ]
        return self._page("order_sn_increment_get_response", "order_sn_list", found, params)

    def _order_list_get(self, params: dict[str, str]) -> Reply:
        start, end = int(params["start_confirm_at"]), int(params["end_confirm_at"])
        if not 0 < end - start <= 86400:
            return _fault(50001, "业务服务错误", "成交时间间隔不超过24小时")
        found = [
            one
            for one in self.orders.values()
            if start <= self._time(one["confirm_time"]).timestamp() <= end
            and one["confirm_status"] == 1
            and one["order_status"] == int(params["order_status"])
            and one["refund_status"] == int(params["refund_status"])
        ]
        return self._page("order_list_get_response", "order_list", found, params)

    def _page(self, key: str, rows: str, found: list[dict[str, Any]], params: dict[str, str]) -> Reply:
        page, size = int(params["page"]), int(params["page_size"])
        if page < 1 or not 0 < size <= 100:
            return _fault(50001, "业务服务错误", "分页参数错误")
        found.sort(key=lambda one: (one["updated_at"], one["order_sn"]), reverse=True)
        answer = json.dumps({key: {"total_count": len(found), rows: found[(page - 1) * size : page * size]}})
        self.between(page)
        return Reply(200, answer.encode())

    def _order_status_get(self, params: dict[str, str]) -> Reply:
        found = [self.orders[one] for one in params["order_sns"].split(",") if one in self.orders]
        rows = [
            {"orderSn": one["order_sn"], "order_status": one["order_status"], "refund_status": one["refund_status"]}
            for one in found
        ]
        return _json({"order_status_get_response": {"order_status_list": rows}})

    def _order_information_get(self, params: dict[str, str]) -> Reply:
        order = self.orders.get(params["order_sn"])
        if order is None:
            return _fault(50001, "业务服务错误", "订单不存在")
        return _json({"order_info_get_response": {"order_info": order}})

    def _logistics_online_send(self, params: dict[str, str]) -> Reply:
        order = self.orders.get(params["order_sn"])
        if order is None:
            return _fault(50001, "业务服务错误", "订单不存在")
        if not any(str(one[0]) == params["logistics_id"] and one[3] for one in self.carriers):
            return _fault(50001, "业务服务错误", "快递公司不支持")
        first = params.get("redelivery_type", "1") == "1"
        if order["refund_status"] != 1:
            return _fault(50001, "业务服务错误", "订单售后中，不能发货")
        if first != (order["order_status"] == 1):
            return _fault(50001, "业务服务错误", "订单已发货或者已关闭，不能重复发货" if first else "订单未发货")
        self.touch(
            params["order_sn"],
            order_status=2,
            tracking_number=params["tracking_number"],
            logistics_id=int(params["logistics_id"]),
        )
        return _json({"logistics_online_send_response": {"is_success": True}})

    def _order_upload_extra_logistics(self, params: dict[str, str]) -> Reply:
        order = self.orders[params["order_sn"]]
        if order["order_status"] == 1:
            return _fault(50001, "业务服务错误", "订单未发货")
        for one in json.loads(params["extra_track_list"]):
            if self.shows_extra:
                order["extra_delivery_list"].append(
                    {"logistics_id": one["shipping_id"], "tracking_number": one["tracking_number"]}
                )
        return _json({"upload_extra_logistics_response": {"success": True}})

    def _logistics_companies_get(self, params: dict[str, str]) -> Reply:
        names = ("id", "code", "logistics_company", "available")
        rows = [dict(zip(names, one, strict=True)) for one in self.carriers]
        return _json({"logistics_companies_get_response": {"logistics_companies": rows}})

    def _goods_list_get(self, params: dict[str, str]) -> Reply:
        found = [one for one in self.goods if any(params["outer_id"] in each["outer_id"] for each in one["sku_list"])]
        start, size = (int(params["page"]) - 1) * int(params["page_size"]), int(params["page_size"])
        rows = found[start : start + size]
        return _json({"goods_list_get_response": {"total_count": len(found), "goods_list": rows}})

    def _goods_quantity_update(self, params: dict[str, str]) -> Reply:
        if params.get("update_type") != "1":
            return _fault(50001, "业务服务错误", "只接受全量更新")
        if int(params["quantity"]) < 0:
            return _fault(50001, "业务服务错误", "库存不能小于0")
        for goods in self.goods:
            for one in goods["sku_list"]:
                if (str(goods["goods_id"]), str(one["sku_id"])) == (params["goods_id"], params["sku_id"]):
                    one["sku_quantity"] = int(params["quantity"])
                    return _json({"goods_quantity_update_response": {"is_success": True}})
        return _fault(50001, "业务服务错误", "sku不存在")

    @staticmethod
    def _text(at: datetime) -> str:
        return at.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")

    @staticmethod
    def _time(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=CHINA)


def _json(body: Any) -> Reply:
    return Reply(200, json.dumps(body).encode())


def _fault(code: int, message: str, sub: str = "") -> Reply:
    fault = {"error_code": code, "error_msg": message, "sub_code": str(code) if sub else None, "sub_msg": sub or None}
    return _json({"error_response": {**fault, "request_id": "1"}})
