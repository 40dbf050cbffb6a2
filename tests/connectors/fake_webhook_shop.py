"""A shop that speaks signed JSON; the judge of our signatures is the specification's own library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import standardwebhooks

from tests.connectors.shop_server import Call, Loopback, Reply

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class FakeWebhookShop:
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    waybills: dict[str, list[str]] = field(default_factory=dict)
    stock: dict[str, int] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    """Ids of shipments that were taken: the same id again is known, not taken twice."""
    lists_numbers: bool = True
    page: int = 2
    net: Loopback = field(init=False)

    def __post_init__(self) -> None:
        self.net = Loopback(self._answer)

    def order(self, order_no: str, *lines: tuple[str, int], state: str = "paid") -> dict[str, Any]:
        self.orders[order_no] = {
            "order_no": order_no,
            "state": state,
            "currency": "CNY",
            "lines": [
                {"ref": f"{order_no}/{at}", "sku": sku, "qty": qty, "price": "19.99"}
                for at, (sku, qty) in enumerate(lines)
            ],
        }
        return self.orders[order_no]

    def _answer(self, call: Call) -> Reply:
        try:
            told = standardwebhooks.Webhook(SECRET).verify(call.body, dict(call.headers))
        except standardwebhooks.WebhookVerificationError as error:
            return _json({"message": str(error)}, 401)
        answer = getattr(self, "_" + told["type"].replace(".", "_"))(told["data"], call.headers["webhook-id"])
        return answer if isinstance(answer, Reply) else _json(answer)

    def _order_list(self, data: Mapping[str, Any], _id: str) -> Any:
        start = int(data["cursor"] or 0)
        rows = list(self.orders.values())
        more = start + self.page < len(rows)
        return {"orders": rows[start : start + self.page], "cursor": str(start + self.page) if more else None}

    def _order_state(self, data: Mapping[str, Any], _id: str) -> Any:
        return {"state": self.orders.get(data["order_no"], {"state": "unknown"})["state"]}

    def _shipment_created(self, data: Mapping[str, Any], message_id: str) -> Any:
        order = self.orders.get(data["order_no"])
        if order is None:
            return _json({"state": "refused", "message": "no such order"}, 404)
        numbers = self.waybills.setdefault(data["order_no"], [])
        answer: dict[str, Any] = {"waybills": numbers} if self.lists_numbers else {}
        if message_id in self.seen:
            return {**answer, "state": "known"}
        if order["state"] != "paid":
            return _json({**answer, "state": order["state"]}, 409)
        self.seen.add(message_id)
        numbers.append(data["waybill_no"])
        return {**answer, "state": "taken"}

    def _shipment_corrected(self, data: Mapping[str, Any], message_id: str) -> Any:
        numbers = self.waybills.setdefault(data["order_no"], [])
        if data["instead_of"] not in numbers and data["waybill_no"] not in numbers:
            return _json({"state": "other", "waybills": numbers}, 409)
        self.waybills[data["order_no"]] = [data["waybill_no"] if one == data["instead_of"] else one for one in numbers]
        return {"state": "taken", "waybills": self.waybills[data["order_no"]]}

    def _stock_set(self, data: Mapping[str, Any], _id: str) -> Any:
        if data["sku"] not in self.stock:
            return {"state": "unknown"}
        if data["qty"] < 0:
            return _json({"state": "refused", "message": "below zero"}, 422)
        self.stock[data["sku"]] = data["qty"]
        return Reply(204, b"")


def _json(body: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(body).encode())
