"""A double of JD's gateway (JOS) that enforces the published contract, with faults on request.

It reads bytes and signs with code of its own; foreign clients drive it too (test_foreign_clients).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from tests.connectors.loopback import Answer, Request

GMT8 = timezone(timedelta(hours=8))
CLOCK = timedelta(minutes=6)
STATES = {
    "WAIT_SELLER_STOCK_OUT",
    "WAIT_GOODS_RECEIVE_CONFIRM",
    "WAIT_SELLER_DELIVERY",
    "PAUSE",
    "POP_ORDER_PAUSE",
    "LOCKED",
    "FINISHED_L",
    "TRADE_CANCELED",
}
WAITING = "WAIT_SELLER_STOCK_OUT"
NEVER = "0001-01-01 00:00:00"


class Refuse(Exception):
    """A refusal of the gateway itself."""

    def __init__(self, code: str, zh_desc: str, en_desc: str) -> None:
        self.told = {"code": code, "zh_desc": zh_desc, "en_desc": en_desc}
        super().__init__(en_desc)


@dataclass
class FakeJd:
    """Give it to ``loopback.serve``; the gateway is at /routerjson, the keys at /oauth2/refresh_token. ``before`` and
    ``after`` see each call (method, params) and may return an Answer, raise Refuse, or return "cut" to break the line.
    """

    app_key: str = "26EAC250"
    secret: str = "app-Geheim-密钥"
    token: str = "token-one"
    refresh_token: str = "refresh-one"
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: list[dict[str, Any]] = field(default_factory=list)
    skus: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    before: Callable[[str, dict[str, Any]], Any] = lambda method, params: None
    after: Callable[[str, dict[str, Any]], Any] = lambda method, params: None
    string_booleans: bool = False
    american: bool = False
    """Spells ``response`` right."""
    bad_skus: set[int] = field(default_factory=set)
    renewals: int = 0

    # What stands in the shop

    def order(
        self, number: int, *lines: tuple[str, int], state: str = "WAIT_SELLER_STOCK_OUT", **more: Any
    ) -> dict[str, Any]:
        text = china(self.now())
        self.orders[str(number)] = row = {
            "orderId": str(number),
            "orderState": state,
            "orderStartTime": text,
            "paymentConfirmTime": text,
            "orderEndTime": NEVER,
            "modified": text,
            "payType": "4-在线支付",
            "orderRemark": "请尽快 & 轻放",
            "venderRemark": "VIP+1",
            "consigneeInfo": {
                "fullname": "张*",
                "mobile": "138****0000",
                "telephone": "138****0000",
                "province": "浙江",
                "city": "杭州市",
                "county": "余杭区",
                "town": "五常街道",
                "fullAddress": "浙江杭州市余杭区五常街道***",
                "oaid": f"jd-oaid-{number}==",
            },
            "itemInfoList": [
                {
                    "skuId": str(100_000 + place),
                    "outerSkuId": sku,
                    "skuName": f"商品 {sku}",
                    "jdPrice": "10.05",
                    "itemTotal": str(qty),
                }
                for place, (sku, qty) in enumerate(lines)
            ],
            "waybill": "",
            "logisticsId": "",
            "storeOrder": "",
            "returnOrder": "0",
            **more,
        }
        return row

    def change(self, number: int | str, state: str = "", at: datetime | None = None, **more: Any) -> None:
        row = self.orders[str(number)]
        row |= more
        row["orderState"] = state or row["orderState"]
        row["modified"] = china(at or self.now())

    def refund(
        self, number: int, status: int = 0, asked: datetime | None = None, checked: datetime | None = None
    ) -> None:
        self.refunds.append(
            {
                "id": len(self.refunds) + 1,
                "orderId": str(number),
                "status": status,
                "applyTime": china(asked or self.now()),
                "checkTime": china(checked) if checked else "",
            }
        )

    def did(self, method: str) -> list[dict[str, Any]]:
        return [params for name, params in self.calls if name == method]

    # The wire

    def __call__(self, request: Request) -> Answer | None:
        if request.path == "/oauth2/refresh_token":
            return self._renew(request)
        assert request.path == "/routerjson", request.path
        try:
            method, params = self._gate(request.fields())
            self.calls.append((method, params))
            early = self.before(method, params)
            if early is not None:
                return None if early == "cut" else early
            body = getattr(self, "_" + method.removeprefix("jingdong.").replace(".", "_"), _no_method)(params)
            late = self.after(method, params)
            if late is not None:
                return None if late == "cut" else late
        except Refuse as refused:
            return _json({"error_response": refused.told})
        spelling = "response" if self.american else "responce"
        return _json({f"{method.replace('.', '_')}_{spelling}": {"code": "0", **body}})

    def _gate(self, raw: dict[bytes, bytes]) -> tuple[str, dict[str, Any]]:
        def of(name: str) -> str:
            return raw.get(name.encode(), b"").decode()

        if of("app_key") != self.app_key:
            raise Refuse("21", "无效app_key", "Invalid app_key")
        secret = self.secret.encode()
        joined = b"".join(key + raw[key] for key in sorted(raw) if key != b"sign")
        if hashlib.md5(secret + joined + secret).hexdigest().upper() != of("sign"):
            raise Refuse("12", "无效签名", "Invalid signature")
        if of("v") != "2.0":
            raise Refuse("14", "无效版本", "Invalid version")
        if abs(_moment(of("timestamp")) - self.now()) > CLOCK:
            raise Refuse("11", "无效时间戳", "Invalid timestamp")
        if of("access_token") != self.token:
            raise Refuse("19", "无效access_token", f"Invalid access_token {of('access_token')}")
        params = json.loads(of("360buy_param_json") or "{}")
        assert isinstance(params, dict)
        return of("method"), params

    def _renew(self, request: Request) -> Answer | None:
        fields = {key.decode(): value.decode() for key, value in request.fields().items()}
        self.calls.append(("renew", fields))
        early = self.before("renew", fields)
        if early is not None:
            return None if early == "cut" else early
        given = (fields.get("app_key"), fields.get("app_secret"), fields.get("grant_type"), fields.get("refresh_token"))
        if given != (self.app_key, self.secret, "refresh_token", self.refresh_token):
            return _json({"code": 402, "msg": f"refresh_token {fields.get('refresh_token')} 无效", "requestId": "r1"})
        self.renewals += 1
        self.token, self.refresh_token = f"token-{self.renewals}", f"refresh-{self.renewals}"
        return _json(
            {
                "access_token": self.token,
                "refresh_token": self.refresh_token,
                "expires_in": 86_400,
                "time": str(int(self.now().timestamp() * 1000)),
                "scope": "snsapi_base",
            }
        )

    def _good(self, **more: Any) -> dict[str, Any]:
        return {"success": "true" if self.string_booleans else True, **more}

    def _bad(self, code: str, words: str) -> dict[str, Any]:
        return {
            "success": "false" if self.string_booleans else False,
            "chineseErrCode": words,
            "englishErrCode": code,
            "errorCode": code,
            "numberCode": code,
        }

    # Orders

    def _pop_order_search(self, params: dict[str, Any]) -> dict[str, Any]:
        """The names as they go over the wire; one that is not known is passed over, as JD does."""
        states = set(filter(None, str(params.get("order_state", "")).split(",")))
        begin, end = params.get("start_date"), params.get("end_date")
        if not params.get("optional_fields") or not states or states - STATES or params.get("source_id") != "JOS":
            return {"searchorderinfo_result": {"apiResult": self._bad("10100", "参数错误")}}
        size, page = int(params["page_size"]), int(params["page"])
        if not (begin and end) or not 1 <= size <= 100 or page < 1:
            return {"searchorderinfo_result": {"apiResult": self._bad("10101", "时间或分页错误")}}
        first, last = _moment(begin), _moment(end)
        if last - first > timedelta(days=31) or last < first:
            return {"searchorderinfo_result": {"apiResult": self._bad("10102", "时间间隔不得超过一个月")}}
        what = "orderStartTime" if params.get("dateType") == 1 else "modified"
        chosen = [
            one for one in self.orders.values() if one["orderState"] in states and first <= _moment(one[what]) <= last
        ]
        chosen.sort(key=lambda one: (_moment(one[what]), one["orderId"]), reverse=params.get("sortType") == 1)
        rows = [_only(one, params["optional_fields"]) for one in chosen[(page - 1) * size : page * size]]
        return {
            "searchorderinfo_result": {
                "apiResult": self._good(numberCode="0"),
                "orderTotal": str(len(chosen)) if self.string_booleans else len(chosen),
                "orderInfoList": rows,
            }
        }

    def _pop_order_get(self, params: dict[str, Any]) -> dict[str, Any]:
        order = self.orders.get(str(params["order_id"]))
        if order is None or not params.get("optional_fields"):
            return {"orderDetailInfo": {"apiResult": self._bad("10110", "订单不存在")}}
        return {"orderDetailInfo": {"apiResult": self._good(), "orderInfo": _only(order, params["optional_fields"])}}

    def _pop_afs_soa_refundapply_queryPageList(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        size, page = int(params["pageSize"]), int(params["pageIndex"])
        if not 1 <= size <= 50 or not 1 <= page <= 100:
            return {"queryResult": self._bad("1", "分页错误")}
        chosen = self.refunds
        if "orderId" in params:
            chosen = [one for one in chosen if one["orderId"] == str(params["orderId"])]
        for what in ("applyTime", "checkTime"):
            if f"{what}Start" in params:
                begin, end = _moment(params[f"{what}Start"]), _moment(params[f"{what}End"])
                chosen = [one for one in chosen if one[what] and begin <= _moment(one[what]) <= end]
        rows = chosen[(page - 1) * size : page * size]
        return {"queryResult": self._good(totalCount=len(chosen), **({"result": rows} if rows else {}))}

    def _pop_order_shipment(self, params: dict[str, Any]) -> dict[str, Any]:
        order = self.orders.get(str(params["orderId"]))
        carriers, numbers = str(params["logiCoprId"]).split("|"), str(params.get("logiNo", "")).split("|")
        if order is None:
            return {"sopjosshipment_result": self._bad("10400001", "订单不存在")}
        if any(not one.isdigit() for one in carriers) or len(carriers) != len(numbers):
            return {"sopjosshipment_result": self._bad("10400010", "物流公司与运单号不符")}
        if order["orderState"] != "WAIT_SELLER_STOCK_OUT":
            # Said of a second shipment, of a cancelled order and of a locked one alike.
            return {"sopjosshipment_result": self._bad("10400039", "订单状态不是等待出库")}
        kept = "" if carriers == ["1274"] else "|".join(numbers)
        self.change(order["orderId"], "WAIT_GOODS_RECEIVE_CONFIRM", waybill=kept, logisticsId="|".join(carriers))
        return {"sopjosshipment_result": self._good(errorCode="0")}

    def _fce_alpha_getVenderCarrier(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"StatusResponse": {"success": True, "data": [{"id": 467, "name": "顺丰速运"}]}}

    # Stock

    def _sku_read_searchSkuList(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        wanted = params["outId"]
        assert isinstance(wanted, list)
        # JD's search is not exact: what only begins so is found as well.
        rows = [one for one in self.skus if any(str(one["outerId"]).startswith(sku) for sku in wanted)]
        return {"page": {"pageNo": 1, "pageSize": params["page_size"], "totalItem": len(rows), "data": rows}}

    def _ware_stock_sku_set(self, params: dict[str, Any]) -> dict[str, Any]:
        results = []
        for row in params["req"]["skuStocks"]:
            found = next((one for one in self.skus if one["skuId"] == row["skuId"]), None)
            good = found is not None and row["skuId"] not in self.bad_skus and row["stockNum"] >= 0
            if good and found is not None:
                found["stockNum"] = row["stockNum"]
            results.append(
                {"data": str(row["skuId"]), "storeId": row.get("storeId", 0)}
                | (self._good() if good else {**self._bad("500", "库存被占用"), "message": "库存被占用"})
            )
        return {"returnType": self._good(obj={"updateStockResult": results})}


def china(at: datetime) -> str:
    return at.astimezone(GMT8).strftime("%Y-%m-%d %H:%M:%S")


def _moment(text: str) -> datetime:
    """With its offset told, as JD's own client sends it, or bare and then GMT+8."""
    for shape in ("%Y-%m-%d %H:%M:%S.%f%z", "%Y-%m-%d %H:%M:%S"):
        try:
            at = datetime.strptime(text, shape)
        except ValueError:
            continue
        return at if at.tzinfo else at.replace(tzinfo=GMT8)
    raise Refuse("11", "无效时间戳", "Invalid timestamp")


def _only(order: dict[str, Any], fields: str) -> dict[str, Any]:
    wanted = set(fields.split(","))
    copied: dict[str, Any] = json.loads(json.dumps({name: one for name, one in order.items() if name in wanted}))
    return copied


def _no_method(params: dict[str, Any]) -> dict[str, Any]:
    raise Refuse("15", "不存在的方法名", "Invalid Method")


def _json(body: dict[str, Any]) -> Answer:
    return Answer(json.dumps(body, ensure_ascii=False).encode())
