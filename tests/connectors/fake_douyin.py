"""A double of Douyin's platform that keeps its published contract: signature, clock, pages, codes, refunds."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from tests.connectors.shop_server import Call, Loopback, Reply

CHINA = timezone(timedelta(hours=8))


@dataclass
class FakeDouyin:
    """``with shop.net.running(): …`` serves it; its clock is ``now``."""

    app_key: str = "7000000000000000001"
    secret: str = "secret-of-the-tests"
    token: str = "token-of-the-tests"
    now: datetime = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: list[dict[str, Any]] = field(default_factory=list)
    carriers: list[tuple[int, str, str]] = field(
        default_factory=lambda: [(12, "shunfeng", "顺丰速运"), (15, "zhongtong", "中通快递")]
    )
    between: Callable[[int], None] = lambda page: None
    """Sees each page that was read, before it is given."""
    net: Loopback = field(init=False)
    _seen: dict[str, Any] = field(default_factory=dict)
    _ids: int = 0

    def __post_init__(self) -> None:
        self.net = Loopback(self._answer)

    # What happens at the shop

    def order(self, number: str, *lines: tuple[str, int], price: int = 1999) -> dict[str, Any]:
        at = int(self.now.timestamp())
        address = {
            "province": {"name": "上海市"},
            "city": {"name": "上海市"},
            "town": {"name": "浦东新区"},
            "street": {"name": "张江镇"},
            "detail": "**路*号",
        }
        self.orders[number] = {
            "order_id": number,
            "order_type": 0,
            "order_status": 2,
            "create_time": at,
            "update_time": at,
            "exp_ship_time": at + 48 * 3600,
            "buyer_words": "",
            "seller_words": "",
            "mask_post_receiver": "张*",
            "mask_post_tel": "138****0000",
            "mask_post_addr": address,
            "open_address_id": "oaid-1",
            "logistics_info": [],
            "sku_order_list": [
                {
                    "order_id": f"{number}{index}",
                    "order_status": 2,
                    "goods_type": 0,
                    "receive_type": 1,
                    "sku_id": 3000 + index,
                    "code": sku,
                    "product_name": f"商品 {sku}",
                    "spec": [{"name": "颜色", "value": "红色"}],
                    "item_num": qty,
                    "origin_amount": price,
                    "after_sale_info": {"after_sale_status": 0, "after_sale_type": 0, "refund_status": 0},
                }
                for index, (sku, qty) in enumerate(lines)
            ],
        }
        return self.orders[number]

    def touch(self, number: str, **changes: Any) -> None:
        self.orders[number] |= {**changes, "update_time": int(self.now.timestamp())}

    def ask_back(self, number: str, sku: str, status: int = 6, refund: int = 1) -> None:
        """A buyer wants the money of a line back (12 and 3: has got it)."""
        for line in self.orders[number]["sku_order_list"]:
            if line["code"] == sku:
                line["after_sale_info"] = {"after_sale_status": status, "after_sale_type": 2, "refund_status": refund}
        self.touch(number)

    def send_by_hand(self, number: str, tracking: str, **pieces: int) -> None:
        order = self.orders[number]
        chosen = [
            {"sku_order_id": line["order_id"], "product_count": pieces.get(line["code"], line["item_num"])}
            for line in order["sku_order_list"]
            if not pieces or line["code"] in pieces
        ]
        self._send(order, tracking, chosen)

    def item(self, sku: str, stock: int) -> dict[str, Any]:
        made = {"id": 5000 + len(self.items), "product_id": 6000, "code": sku, "stock_num": stock}
        self.items.append(made)
        return made

    def packs(self, number: str) -> list[tuple[str, int]]:
        return [
            (one["tracking_no"], sum(each["product_count"] for each in one["product_info"]))
            for one in self.orders[number]["logistics_info"]
        ]

    # The wire

    def _answer(self, call: Call) -> Reply:
        params = call.params
        body = call.body.decode()
        asked = json.loads(body)
        written = (json.dumps(asked, sort_keys=True, separators=(",", ":"), ensure_ascii=one) for one in (False, True))
        if body not in written:
            return _fault(40003, "isv.parameter-format-invalid", "param_json 未排序")
        if "sign" not in params:
            return _fault(40001, "isv.signature-missing", "获取签名失败")
        if params["app_key"] != self.app_key:
            return _fault(40001, "isv.app-id-missing", "app_key不存在")
        text = "".join(
            (
                self.secret,
                *("app_key", params["app_key"], "method", params["method"], "param_json", body),
                *("timestamp", params["timestamp"], "v", params["v"]),
                self.secret,
            )
        )
        made = hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        if params.get("sign_method") != "hmac-sha256" or made != params["sign"]:
            return _fault(40003, "isv.signature-invalid", "签名校验失败")
        at = datetime.strptime(params["timestamp"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA)
        if abs((at - self.now).total_seconds()) > 600:
            return _fault(40003, "isv.timestamp-invalid", "时间戳不合法")
        if params["method"] != call.path.strip("/").replace("/", "."):
            return _fault(40003, "isv.parameter-format-invalid", "method 与路径不符")
        if call.path == "/token/create":
            # For clients that fetch their token; asked without one.
            data = {"access_token": self.token, "refresh_token": "r", "expires_in": 7 * 86400}
            return _json({"err_no": 0, "code": 10000, "data": data})
        if params.get("access_token") != self.token:
            return _fault(40003, "isv.access-token-expired", "access_token已过期")
        return getattr(self, "_" + call.path.strip("/").replace("/", "_"))(asked)

    def _order_searchList(self, asked: dict[str, Any]) -> Reply:  # noqa: N802
        by = "update_time" if "update_time_start" in asked else "create_time"
        if f"{by}_start" not in asked:
            return _fault(40004, "isv.parameter-invalid:20011", "订单查询开始时间不能为空")
        if self.now.timestamp() - asked[f"{by}_start"] > 90 * 86400:
            return _fault(40004, "isv.parameter-invalid:20022", "订单查询只支持查询最近90天内的数据")
        if asked["size"] > 100:
            return _fault(40004, "isv.parameter-invalid:20008", "单次查询订单数超过限制")
        if asked["page"] < 0:
            return _fault(40004, "isv.parameter-invalid:10035", "查询订单列表页数不能小于0")
        if (asked["page"] + 1) * asked["size"] > 10_000:
            return _fault(40004, "isv.parameter-invalid:20013", "翻页超过限制")
        wanted = asked.get("combine_status") or [{"order_status": ""}]
        if len(wanted) != 1:
            return _fault(40004, "isv.parameter-invalid:20012", "只支持1个元素")
        states = [int(one) for one in wanted[0]["order_status"].split(",") if one]
        found = [
            one
            for one in self.orders.values()
            if asked[f"{by}_start"] <= one[by] <= asked[f"{by}_end"] and (not states or one["order_status"] in states)
        ]
        found.sort(key=lambda one: (one[asked["order_by"]], one["order_id"]), reverse=not asked.get("order_asc"))
        start = asked["page"] * asked["size"]
        rows = found[start : start + asked["size"]]
        data = {"page": asked["page"], "size": asked["size"], "total": len(found), "shop_order_list": rows}
        reply = _data(data)
        self.between(asked["page"])
        return reply

    def _order_orderDetail(self, asked: dict[str, Any]) -> Reply:  # noqa: N802
        order = self.orders.get(asked["shop_order_id"])
        if order is None:
            return _fault(40004, "isv.parameter-invalid:20014", "查询订单不存在")
        return _data({"shop_order_detail": order})

    def _order_logisticsAdd(self, asked: dict[str, Any]) -> Reply:  # noqa: N802
        order = self.orders[asked["order_id"]]
        lines = [
            {"sku_order_id": line["order_id"], "product_count": line["item_num"]}
            for line in order["sku_order_list"]
            if line["after_sale_info"]["refund_status"] != 3
        ]
        if not lines:
            return _fault(50002, "isv.business-failed:60068", "该订单已售前退款成功，不能发货")
        return self._ship(asked, order, asked, lines)

    def _order_logisticsAddMultiPack(self, asked: dict[str, Any]) -> Reply:  # noqa: N802
        if not asked.get("request_id"):
            return _fault(40002, "isv.missing-parameter:50050", "发货请求id不能为空")
        if asked["request_id"] in self._seen:
            return _data(self._seen[asked["request_id"]])
        order = self.orders[asked["order_id"]]
        for pack in asked["pack_list"]:
            lines = [
                {"sku_order_id": one["shipped_order_id"], "product_count": one["shipped_num"]}
                for one in pack["shipped_order_info"]
            ]
            reply = self._ship(asked, order, pack, lines)
            if json.loads(reply.body)["code"] != 10000:
                return reply
        self._seen[asked["request_id"]] = {}
        return _data({})

    def _ship(
        self, asked: dict[str, Any], order: dict[str, Any], pack: dict[str, Any], lines: list[dict[str, Any]]
    ) -> Reply:
        assert asked.get("is_refund_reject") is not True and asked.get("is_reject_refund") is not True, (
            "a machine must not refuse a buyer's refund"
        )
        if pack["company_code"] not in {one[1] for one in self.carriers}:
            return _fault(50002, "isv.business-failed:60018", "暂不支持该物流公司或物流商已失效")
        if order["order_status"] in (4, 21):
            return _fault(50002, "isv.business-failed:60021", "订单已取消，禁止发货")
        if order["order_status"] not in (2, 101):
            return _fault(50002, "isv.business-failed:60110", "订单已发货，不允许再次执行发货")
        known = {line["order_id"]: line for line in order["sku_order_list"]}
        for one in lines:
            line = known.get(one["sku_order_id"])
            if line is None:
                return _fault(50002, "isv.business-failed:60102", "商品单不存在")
            if line["after_sale_info"]["refund_status"] == 3:
                return _fault(50002, "isv.business-failed:60068", "该订单已售前退款成功，不能发货")
            if line["after_sale_info"]["after_sale_status"] in (6, 7):
                return _fault(50002, "isv.business-failed:60040", "发货订单中有退款申请需要处理，请先处理")
            sent = sum(
                each["product_count"]
                for pack_ in order["logistics_info"]
                for each in pack_["product_info"]
                if each["sku_order_id"] == one["sku_order_id"]
            )
            if sent + one["product_count"] > line["item_num"]:
                return _fault(50002, "isv.business-failed:70023", "已发货，请检查订单状态")
        self._send(order, pack["logistics_code"], lines)
        return _data({})

    def _send(self, order: dict[str, Any], tracking: str, lines: list[dict[str, Any]]) -> None:
        self._ids += 1
        order["logistics_info"].append(
            {"tracking_no": tracking, "delivery_id": f"pack-{self._ids}", "product_info": lines}
        )
        sent = sum(one["product_count"] for pack in order["logistics_info"] for one in pack["product_info"])
        wanted = sum(
            line["item_num"] for line in order["sku_order_list"] if line["after_sale_info"]["refund_status"] != 3
        )
        self.touch(order["order_id"], order_status=3 if sent >= wanted else 101)

    def _order_logisticsEdit(self, asked: dict[str, Any]) -> Reply:  # noqa: N802
        order = self.orders[asked["order_id"]]
        if order["order_status"] != 3:
            return _fault(50002, "isv.business-failed:60021", "该订单的订单状态不允许重新发货")
        if len(order["logistics_info"]) != 1:
            return _fault(50002, "isv.business-failed:70011", "70011:包裹单号缺失")
        order["logistics_info"][0]["tracking_no"] = asked["logistics_code"]
        return _data({})

    def _order_logisticsEditByPack(self, asked: dict[str, Any]) -> Reply:  # noqa: N802
        for one in self.orders[asked["order_id"]]["logistics_info"]:
            if one["delivery_id"] == asked["pack_id"]:
                one["tracking_no"] = asked["logistics_code"]
                return _data({})
        return _fault(50002, "isv.business-failed:60021", "包裹不存在")

    def _order_logisticsCompanyList(self, asked: dict[str, Any]) -> Reply:  # noqa: N802
        return _data([dict(zip(("id", "code", "name"), one, strict=True)) for one in self.carriers])

    def _sku_detail(self, asked: dict[str, Any]) -> Reply:
        for one in self.items:
            if one["code"] == asked["code"]:
                return _data(one)
        return _fault(40004, "isv.parameter-invalid:20050", f"code: {asked['code']}, 找不到对应的sku")

    def _sku_syncStock(self, asked: dict[str, Any]) -> Reply:  # noqa: N802
        if asked.get("incremental") is not False:
            return _fault(40004, "isv.parameter-invalid:4", "只接受全量更新")
        if asked["idempotent_id"] in self._seen:
            return _fault(40004, "isv.parameter-invalid:40010", "[idempotent_id]重复，操作已执行")
        if asked["stock_num"] < 0:
            return _fault(40004, "isv.parameter-invalid:4", "库存不能小于0")
        for one in self.items:
            if one["id"] == asked["sku_id"]:
                self._seen[asked["idempotent_id"]] = True
                one["stock_num"] = asked["stock_num"]
                return _data({})
        return _fault(40004, "isv.parameter-invalid:5", "找不到对应的sku")


def _data(data: Any) -> Reply:
    return _json({"code": 10000, "msg": "success", "sub_code": "", "sub_msg": "", "data": data})


def _json(body: Any) -> Reply:
    return Reply(200, json.dumps(body).encode())


def _fault(code: int, sub_code: str, sub_msg: str) -> Reply:
    return _json({"code": code, "msg": "业务处理失败", "sub_code": sub_code, "sub_msg": sub_msg, "data": None})
