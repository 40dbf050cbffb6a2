"""A double of Vendure's Admin API that keeps its measured contract, with faults on request."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx


@dataclass
class FakeVendure:
    """Use ``httpx.MockTransport(fake)`` as the network. ``before`` and ``after`` see each call."""

    token: str = "good-token"
    user: tuple[str, str] = ("superadmin", "secret")
    now: datetime = datetime(2026, 11, 21, 12, 0, 0, 900_000, tzinfo=UTC)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    before: Callable[[str], httpx.Response | None] = lambda name: None
    after: Callable[[str], httpx.Response | None] = lambda name: None
    _ids: int = 0

    def order(self, code: str, *lines: tuple[str, int], state: str = "PaymentSettled") -> dict[str, Any]:
        self.orders[code] = order = {
            "id": self._id(),
            "code": code,
            "state": state,
            "active": False,
            "updatedAt": "",
            "orderPlacedAt": self.now.isoformat(),
            "currencyCode": "USD",
            "totalWithTax": 1000 * sum(qty for _, qty in lines),
            "customer": {"firstName": "Test", "lastName": "Buyer", "phoneNumber": None},
            "shippingAddress": {
                "fullName": "Test Buyer",
                "streetLine1": "1 Test Street",
                "city": "London",
                "countryCode": "GB",
                "postalCode": "N1 1AA",
            },
            "lines": [
                {
                    "id": self._id(),
                    "quantity": qty,
                    "unitPriceWithTax": 1000,
                    "productVariant": {"sku": sku, "name": f"Item {sku}"},
                }
                for sku, qty in lines
            ],
            "fulfillments": [],
            "payments": [{"refunds": []}],
        }
        self.touch(code)
        return order

    def touch(self, code: str) -> None:
        """The real one keeps whole seconds, rounded down."""
        self.orders[code]["updatedAt"] = self.now.replace(microsecond=0).isoformat()

    def cancel(self, code: str) -> None:
        self.orders[code]["state"] = "Cancelled"
        for line in self.orders[code]["lines"]:
            line["quantity"] = 0
        self.touch(code)

    def fulfil(self, code: str, tracking: str, state: str = "Pending", **lines: int) -> dict[str, Any]:
        order = self.orders[code]
        chosen = [
            {
                "orderLineId": line["id"],
                "quantity": lines.get(line["productVariant"]["sku"], line["quantity"]),
            }
            for line in order["lines"]
            if not lines or line["productVariant"]["sku"] in lines
        ]
        made = {"id": self._id(), "state": state, "method": "m", "trackingCode": tracking, "lines": chosen}
        order["fulfillments"].append(made)
        self._settle(order)
        return made

    # The wire

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        name = re.search(r"\{\s*(\w+)", body["query"].split("{", 1)[0] + "{" + body["query"].split("{", 1)[1])
        assert name
        self.calls.append(name[1])
        early = self.before(name[1])
        if early is not None:
            return early
        headers = {}
        if name[1] == "login":
            good = (body["variables"]["username"], body["variables"]["password"]) == self.user
            data: Any = {"login": {"__typename": "CurrentUser" if good else "InvalidCredentialsError"}}
            headers = {"vendure-auth-token": self.token} if good else {}
            if not good:
                data["login"] |= {"errorCode": "INVALID_CREDENTIALS_ERROR", "message": "no"}
        elif request.headers.get("authorization") != f"Bearer {self.token}":
            # A bad key is no HTTP error.
            error = {"message": "You are not authorized", "extensions": {"code": "FORBIDDEN"}}
            return httpx.Response(200, json={"errors": [error], "data": None})
        else:
            data = {name[1]: getattr(self, f"_{name[1]}")(body["variables"])}
        late = self.after(name[1])
        return late if late is not None else httpx.Response(200, json={"data": data}, headers=headers)

    def _orders(self, variables: dict[str, Any]) -> dict[str, Any]:
        options = variables["options"]
        assert options["take"] <= 1000, "take is limited to 1000"
        chosen = options.get("filter", {})
        found = list(self.orders.values())
        if "code" in chosen:
            found = [one for one in found if one["code"] == chosen["code"]["eq"]]
        if "state" in chosen:
            found = [one for one in found if one["state"] in chosen["state"]["in"]]
        if "updatedAt" in chosen:
            after = datetime.fromisoformat(chosen["updatedAt"]["after"])
            found = [one for one in found if datetime.fromisoformat(one["updatedAt"]) > after]
        found.sort(key=lambda one: (one["updatedAt"], int(one["id"])))
        page = found[options.get("skip", 0) :][: options["take"]]
        answer: dict[str, Any] = json.loads(json.dumps({"totalItems": len(found), "items": page}))
        return answer

    def _addFulfillmentToOrder(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        lines = {line["orderLineId"]: line["quantity"] for line in variables["input"]["lines"]}
        order = next(one for one in self.orders.values() if {line["id"] for line in one["lines"]} & set(lines))
        left = {line["id"]: line["quantity"] for line in order["lines"]}
        for made in order["fulfillments"]:
            for line in made["lines"] if made["state"] != "Cancelled" else []:
                left[line["orderLineId"]] -= line["quantity"]
        if any(qty > left[line] for line, qty in lines.items()):
            # Said of a second push, of a lost race, and of a cancelled order alike.
            return _error("ItemsAlreadyFulfilledError", "ITEMS_ALREADY_FULFILLED_ERROR")
        for line in order["lines"]:
            stock = self.variants.get(line["productVariant"]["sku"])
            if stock and stock["stockLevels"][0]["stockOnHand"] < lines.get(line["id"], 0):
                return _error("InsufficientStockOnHandError", "INSUFFICIENT_STOCK_ON_HAND_ERROR")
        arguments = {one["name"]: one["value"] for one in variables["input"]["handler"]["arguments"]}
        made = {
            "id": self._id(),
            "state": "Pending",
            "method": arguments["method"],
            "trackingCode": arguments["trackingCode"],
            "lines": [{"orderLineId": line, "quantity": qty} for line, qty in lines.items()],
        }
        order["fulfillments"].append(made)
        self.touch(order["code"])
        return {"__typename": "Fulfillment", "id": made["id"], "state": "Pending"}

    def _transitionFulfillmentToState(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        for order in self.orders.values():
            for made in order["fulfillments"]:
                if made["id"] == variables["id"]:
                    allowed = {"Pending": ("Shipped", "Cancelled"), "Shipped": ("Delivered", "Cancelled")}
                    if variables["state"] not in allowed.get(made["state"], ()):
                        return _error("FulfillmentStateTransitionError", "FULFILLMENT_STATE_TRANSITION_ERROR")
                    made["state"] = variables["state"]
                    self._settle(order)
                    return {"__typename": "Fulfillment", "id": made["id"], "state": made["state"]}
        raise AssertionError("no such fulfilment")

    def _productVariants(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"items": [one for one in self.variants.values() if one["sku"] == variables["sku"]]}

    def _updateProductVariants(self, variables: dict[str, Any]) -> list[dict[str, Any]]:  # noqa: N802
        for change in variables["input"]:
            variant = next(one for one in self.variants.values() if one["id"] == change["id"])
            for level in change["stockLevels"]:
                for known in variant["stockLevels"]:
                    if known["stockLocationId"] == level["stockLocationId"]:
                        known["stockOnHand"] = level["stockOnHand"]
        return [{"id": change["id"]} for change in variables["input"]]

    def _settle(self, order: dict[str, Any]) -> None:
        shipped = sum(
            line["quantity"] for made in order["fulfillments"] if made["state"] == "Shipped" for line in made["lines"]
        )
        total = sum(line["quantity"] for line in order["lines"])
        if shipped:
            order["state"] = "Shipped" if shipped >= total else "PartiallyShipped"
        self.now += timedelta(milliseconds=10)
        self.touch(order["code"])

    def _id(self) -> str:
        self._ids += 1
        return str(self._ids)


def _error(kind: str, code: str) -> dict[str, Any]:
    return {"__typename": kind, "errorCode": code, "message": f"{kind} says no"}
