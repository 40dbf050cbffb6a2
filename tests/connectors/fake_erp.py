"""An ERP that speaks Qimen with a warehouse: it calls our door, and takes our news as strictly as the papers have it.

Its signature is made here from the published rule (article 118404), not by our own code.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import httpx

from tests.connectors.shop_server import Call, Loopback, Reply

CHINA = timezone(timedelta(hours=8))
NEEDED = {
    "taobao.qimen.deliveryorder.confirm": (
        "deliveryOrder/deliveryOrderCode", "deliveryOrder/warehouseCode", "deliveryOrder/orderType",
        "deliveryOrder/status", "deliveryOrder/outBizCode", "packages/package/logisticsCode",
        "packages/package/expressCode", "packages/package/items/item/itemCode",
        "packages/package/items/item/quantity", "orderLines/orderLine/itemCode", "orderLines/orderLine/actualQty",
    ),
    "taobao.qimen.entryorder.confirm": (
        "entryOrder/entryOrderCode", "entryOrder/ownerCode", "entryOrder/warehouseCode", "entryOrder/outBizCode",
        "entryOrder/status", "orderLines/orderLine/itemCode", "orderLines/orderLine/ownerCode",
        "orderLines/orderLine/planQty", "orderLines/orderLine/actualQty",
    ),
    "taobao.qimen.returnorder.confirm": (
        "returnOrder/returnOrderCode", "returnOrder/warehouseCode", "returnOrder/logisticsCode",
        "returnOrder/outBizCode", "orderLines/orderLine/itemCode", "orderLines/orderLine/ownerCode",
        "orderLines/orderLine/planQty", "orderLines/orderLine/actualQty",
    ),
    "taobao.qimen.inventory.report": (
        "totalPage", "currentPage", "pageSize", "warehouseCode", "checkOrderCode", "ownerCode", "outBizCode",
        "adjustType", "items/item/itemCode", "items/item/quantity",
    ),
}  # fmt: skip


@dataclass
class FakeErp:
    customer: str = "stub-cust-code"
    app_key: str = "testerp_appkey"
    secret: str = "秘密 of the ERP"
    taken: dict[str, bytes] = field(default_factory=dict)
    """News by outBizCode, the first of each."""
    again: list[str] = field(default_factory=list)
    """Keys that came once more; their words must be the same."""
    net: Loopback = field(init=False)

    def __post_init__(self) -> None:
        self.net = Loopback(self._answer)

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "url": self.net.url + "/router/qimen/service",
            "customer_id": self.customer,
            "app_key": self.app_key,
            "secret": self.secret,
            "warehouse": "WH1",
            "owner": "OWN",
        }

    def sign(self, query: dict[str, str], body: bytes, secret: str = "") -> str:
        secret = secret or self.secret
        named = "".join(name + query[name] for name in sorted(query) if query[name] and name != "sign")
        return hashlib.md5((secret + named).encode() + body + secret.encode()).hexdigest().upper()

    # It calls

    def call(
        self,
        client: httpx.Client,
        method: str,
        body: str | bytes,
        *,
        at: datetime | None = None,
        secret: str = "",
        **more: str,
    ) -> dict[str, str]:
        """What the door answered, field by field; its items as ``code/condition`` → ``free/locked``."""
        raw = body.encode() if isinstance(body, str) else body
        query = {
            "method": method,
            "timestamp": (at or datetime.now(CHINA)).astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S"),
            "format": "xml",
            "app_key": self.app_key,
            "v": "2.0",
            "sign_method": "md5",
            "customerId": self.customer,
            **more,
        }
        query["sign"] = self.sign(query, raw, secret)
        return self.read(client.post("/qimen", params=query, content=raw, headers={"Content-Type": "text/xml"}))

    @staticmethod
    def read(answer: httpx.Response) -> dict[str, str]:
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == "text/xml;charset=utf-8"
        root = ElementTree.fromstring(answer.content)
        assert root.tag == "response"
        told = {one.tag: one.text or "" for one in root if one.tag != "items"}
        assert told["flag"] in ("success", "failure") and told["code"] and told["message"], told
        for item in root.findall("items/item"):
            name = f"{item.findtext('itemCode')}/{item.findtext('inventoryType')}"
            told[name] = f"{item.findtext('quantity')}/{item.findtext('lockQuantity')}"
        return told

    # It is told

    def _answer(self, call: Call) -> Reply:
        query = dict(call.params)
        at = datetime.strptime(query["timestamp"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA)
        if query.get("sign") != self.sign(query, call.body) or query["app_key"] != self.app_key:
            return _said("failure", "sign-check-failure", "Illegal request")
        if abs(datetime.now(CHINA) - at) > timedelta(minutes=10) or query["customerId"] != self.customer:
            return _said("failure", "isv.invalid-timestamp", "时间戳非法")
        root = ElementTree.fromstring(call.body)
        for path in NEEDED[query["method"]]:
            if not root.findtext(path):
                return _said("failure", "isv.missing-parameter", f"缺少 {path}")
        key = next(one.text or "" for one in root.iter("outBizCode"))
        if key in self.taken:
            self.again.append(key)
            same = self.taken[key] == call.body
            return _said("success", "0", "重复") if same else _said("failure", "duplicate", "同一消息内容不同")
        self.taken[key] = call.body
        return _said("success", "0", "成功")

    def news(self, path: str) -> list[ElementTree.Element]:
        """What was taken of a kind (``deliveryOrder``, ``entryOrder``, ``items``)."""
        return [root for root in map(ElementTree.fromstring, self.taken.values()) if root.find(path) is not None]


def _said(flag: str, code: str, message: str) -> Reply:
    body = f"<response><flag>{flag}</flag><code>{code}</code><message>{message}</message></response>"
    return Reply(200, body.encode(), {"Content-Type": "text/xml;charset=utf-8"})


# Its papers


def lines_of(*lines: tuple[str, int], condition: str = "ZP") -> str:
    return "<orderLines>" + "".join(
        f"<orderLine><orderLineNo>{place}</orderLineNo><ownerCode>OWN</ownerCode><itemCode>{escape(code)}</itemCode>"
        f"<inventoryType>{condition}</inventoryType><planQty>{qty}</planQty></orderLine>"
        for place, (code, qty) in enumerate(lines, 1)
    ) + "</orderLines>"  # fmt: skip


def delivery(code: str, *lines: tuple[str, int], more: str = "", name: str = "张**", condition: str = "ZP") -> str:
    return (
        f"<request><deliveryOrder><deliveryOrderCode>{escape(code)}</deliveryOrderCode><orderType>JYCK</orderType>"
        f"<warehouseCode>WH1</warehouseCode><shopNick>店铺</shopNick>{more}<receiverInfo><name>{name}</name>"
        "<province>浙江省</province><city>杭州市</city><detailAddress>文**路</detailAddress><oaid>OA-1</oaid></receiverInfo>"
        f"</deliveryOrder>{lines_of(*lines, condition=condition)}</request>"
    )


def cancel(code: str, kind: str = "JYCK") -> str:
    return (
        f"<request><warehouseCode>WH1</warehouseCode><orderCode>{escape(code)}</orderCode>"
        f"<orderType>{kind}</orderType><cancelReason>买家取消</cancelReason></request>"
    )


def item(code: str, *barcodes: str, name: str = "杯子", more: str = "") -> str:
    codes = ";".join(barcodes or (code,))
    return (
        "<request><actionType>add</actionType><warehouseCode>WH1</warehouseCode><ownerCode>OWN</ownerCode><item>"
        f"<itemCode>{escape(code)}</itemCode><itemName>{name}</itemName><barCode>{codes}</barCode>"
        f"<grossWeight>0.1</grossWeight>{more}</item></request>"
    )


def entry(code: str, *lines: tuple[str, int]) -> str:
    return (
        f"<request><entryOrder><entryOrderCode>{code}</entryOrderCode><ownerCode>OWN</ownerCode>"
        "<warehouseCode>WH1</warehouseCode><orderType>CGRK</orderType><supplierName>供货商</supplierName></entryOrder>"
        f"{lines_of(*lines)}</request>"
    )


def back(code: str, order: str, *lines: tuple[str, int]) -> str:
    return (
        f"<request><returnOrder><returnOrderCode>{code}</returnOrderCode><warehouseCode>WH1</warehouseCode>"
        f"<preDeliveryOrderCode>{order}</preDeliveryOrderCode><expressCode>SF9</expressCode>"
        f"<senderInfo><name>李*</name></senderInfo></returnOrder>{lines_of(*lines)}</request>"
    )


def stock(*codes: str) -> str:
    asked = "".join(f"<criteria><itemCode>{code}</itemCode></criteria>" for code in codes)
    return f"<request><criteriaList>{asked}</criteriaList></request>"
