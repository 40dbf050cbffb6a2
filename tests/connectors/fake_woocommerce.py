"""A double of WooCommerce's REST API that keeps its documented contract: keys, signatures, zones, pages, plugins."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote

from tests.connectors.shop_server import Call, Loopback, Reply

ZONE = timezone(timedelta(hours=8))
"""The shop's own time: a filter without dates_are_gmt is taken in it."""


@dataclass
class FakeWooCommerce:
    """``with shop.net.running(): …`` serves it. ``core`` and ``plugin`` switch the ways for tracking numbers on."""

    key: str = "ck_of_the_tests"
    secret: str = "cs_secret_of_the_tests"
    now: datetime = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
    core: bool = False
    plugin: str = ""
    may_write: bool = True
    orders: dict[int, dict[str, Any]] = field(default_factory=dict)
    refunds: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    notes: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    fulfillments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    trackings: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    products: list[dict[str, Any]] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)
    """What buyers were told, in this sequence: a number, or a state."""
    net: Loopback = field(init=False)
    _nonces: set[str] = field(default_factory=set)
    _ids: int = 100

    def __post_init__(self) -> None:
        self.net = Loopback(self._answer)

    # What happens at the shop

    def order(
        self, *lines: tuple[str, int], price: str = "19.99", currency: str = "USD", status: str = "processing"
    ) -> int:
        number = self._id()
        person = {"first_name": "Test", "last_name": "Buyer", "address_1": "1 Test Street", "city": "London"}
        self.orders[number] = {
            "id": number,
            "number": str(number),
            "status": status,
            "currency": currency,
            "date_created_gmt": self._text(),
            "date_modified_gmt": self._text(),
            "total": str(sum(float(price) * qty for _, qty in lines)),
            "shipping": {**person, "company": "", "address_2": "", "state": "LND", "postcode": "N1", "country": "GB"},
            "billing": {**person, "phone": "020 7946 0000"},
            "customer_note": "",
            "line_items": [
                {
                    "id": self._id(),
                    "name": f"Item {sku}",
                    "sku": sku,
                    "quantity": qty,
                    "subtotal": str(round(float(price) * qty, 3)),
                    "total": "0",
                    "price": 0.1 + 0.2,
                }
                for sku, qty in lines
            ],
            "shipping_lines": [{"method_title": "Flat rate"}],
            "meta_data": [],
            "refunds": [],
        }
        return number

    def touch(self, number: int, **changes: Any) -> None:
        self.orders[number].update(changes, date_modified_gmt=self._text())

    def refund(self, number: int, total: str, **pieces: int) -> None:
        """Pay back a sum, with pieces by SKU or without any."""
        order = self.orders[number]
        made = self._id()
        order["refunds"].append({"id": made, "reason": "", "total": f"-{total}"})
        self.refunds.setdefault(number, []).append(
            {
                "id": made,
                "line_items": [
                    {
                        "id": self._id(),
                        "quantity": -pieces[line["sku"]],
                        "meta_data": [{"id": 1, "key": "_refunded_item_id", "value": str(line["id"])}],
                    }
                    for line in order["line_items"]
                    if line["sku"] in pieces
                ],
            }
        )
        self.touch(number)

    def product(self, sku: str, stock: int | None, parent: int = 0) -> dict[str, Any]:
        made = {
            "id": self._id(),
            "sku": sku,
            "type": "variation" if parent else "simple",
            "parent_id": parent,
            "manage_stock": stock is not None,
            "stock_quantity": stock,
        }
        self.products.append(made)
        return made

    def fulfil_by_hand(self, number: int, tracking: str, **pieces: int) -> None:
        items = [
            {"item_id": line["id"], "qty": pieces.get(line["sku"], line["quantity"])}
            for line in self.orders[number]["line_items"]
            if not pieces or line["sku"] in pieces
        ]
        meta = [{"key": "_items", "value": items}, {"key": "_tracking_number", "value": tracking}]
        self.fulfillments.setdefault(number, []).append(
            {"id": self._id(), "is_fulfilled": True, "date_deleted": None, "meta_data": meta}
        )

    def track_by_hand(self, number: int, tracking: str) -> None:
        self.trackings.setdefault(number, []).append({"tracking_id": str(self._id()), "tracking_number": tracking})

    def numbers(self, number: int) -> list[str]:
        """The tracking numbers of an order, whichever way they came."""
        told = [
            meta["value"]
            for one in self.fulfillments.get(number, ())
            for meta in one["meta_data"]
            if meta["key"] == "_tracking_number"
        ]
        told += [one["tracking_number"] for one in self.trackings.get(number, ())]
        return told + [one["note"].rsplit(" ", 1)[1] for one in self.notes.get(number, ())]

    # The wire

    def _answer(self, call: Call) -> Reply:
        who = self._who(call)
        if who:
            return _error(401, "woocommerce_rest_authentication_error", who)
        path = call.path.removeprefix("/wp-json")
        if call.method != "GET" and not self.may_write:
            return _error(401, "woocommerce_rest_cannot_edit", "Sorry, you are not allowed to edit this resource.")
        body = json.loads(call.body) if call.body else None
        routes = [
            ("GET", r"/wc/v3/orders", self._list),
            ("GET", r"/wc/v3/orders/(\d+)", self._get),
            ("PUT", r"/wc/v3/orders/(\d+)", self._put),
            ("GET", r"/wc/v3/orders/(\d+)/refunds", self._get_refunds),
            ("(?:GET|POST)", r"/wc/v3/orders/(\d+)/notes", self._do_notes),
            ("GET", r"/wc/v3/products", self._get_products),
            ("PUT", r"/wc/v3/products/(\d+)(?:/variations/(\d+))?", self._put_product),
        ]
        if self.core:
            routes.append(
                ("(?:GET|POST|PUT|DELETE)", r"/wc/v3/orders/(\d+)/fulfillments(?:/(\d+))?", self._do_fulfillments)
            )
        if self.plugin:
            routes.append(
                (
                    "(?:GET|POST|DELETE)",
                    self.plugin + r"/orders/(\d+)/shipment-trackings(?:/(\w+))?",
                    self._do_trackings,
                )
            )
        for method, pattern, does in routes:
            found = re.fullmatch(pattern, path)
            if found and re.fullmatch(method, call.method):
                numbers = [int(one) for one in found.groups() if one]
                known = numbers and "/orders/" in path and numbers[0] not in self.orders
                if known:
                    return _error(404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")
                return does(call, body, *numbers)
        return _error(404, "rest_no_route", "No route was found matching the URL and request method.")

    def _who(self, call: Call) -> str:
        """Empty when the key is good. Over https the key itself comes, over http a signature alone."""
        if self.net.url.startswith("https"):
            wanted = "Basic " + base64.b64encode(f"{self.key}:{self.secret}".encode()).decode()
            return "" if call.headers.get("authorization") == wanted else "Consumer secret is invalid."
        if "authorization" in call.headers or self.secret in call.raw_query:
            return "The secret came in the clear."
        params = call.params
        if params.get("oauth_consumer_key") != self.key:
            return "Consumer key is invalid."
        given = params.pop("oauth_signature", "")
        pairs = [quote(f"{quote(one, safe='')}={quote(params[one], safe='')}", safe="") for one in sorted(params)]
        base = f"{call.method}&{quote(self.net.url + call.path, safe='')}&{'%26'.join(pairs)}"
        made = hmac.new(f"{self.secret}&".encode(), base.encode(), hashlib.sha256).digest()
        if params["oauth_signature_method"] != "HMAC-SHA256" or base64.b64encode(made).decode() != given:
            return "Invalid signature - provided signature does not match."
        if abs(int(params["oauth_timestamp"]) - datetime.now(UTC).timestamp()) > 900:
            return "Invalid timestamp."
        if params["oauth_nonce"] in self._nonces:
            return "Invalid nonce - nonce has already been used."
        self._nonces.add(params["oauth_nonce"])
        return ""

    def _list(self, call: Call, body: Any) -> Reply:
        params = call.params
        size = int(params.get("per_page", "10"))
        if size > 100:
            return _error(400, "rest_invalid_param", "Invalid parameter(s): per_page")
        states = params.get("status", "any").split(",")
        found = [one for one in self.orders.values() if "any" in states or one["status"] in states]
        found = [one for one in found if one["status"] != "trash" or "trash" in states]
        if "modified_after" in params:
            zone = UTC if params.get("dates_are_gmt") == "true" else ZONE
            after = datetime.fromisoformat(params["modified_after"]).replace(tzinfo=zone)
            found = [
                one for one in found if datetime.fromisoformat(one["date_modified_gmt"]).replace(tzinfo=UTC) > after
            ]
        assert (params["orderby"], params["order"]) == ("modified", "asc")
        found.sort(key=lambda one: (one["date_modified_gmt"], one["id"]))
        start = (int(params.get("page", "1")) - 1) * size
        return _json(found[start : start + size])

    def _get(self, call: Call, body: Any, number: int) -> Reply:
        return _json(self.orders[number])

    def _put(self, call: Call, body: Any, number: int) -> Reply:
        order = self.orders[number]
        for meta in body.get("meta_data", ()):
            order["meta_data"] = [one for one in order["meta_data"] if one["key"] != meta["key"]]
            if meta["value"] is not None:
                order["meta_data"].append({"id": self._id(), **meta})
        if "status" in body:
            if body["status"] == "completed" and order["status"] != "completed":
                self.mails.append("completed")
            order["status"] = body["status"]
        self.touch(number)
        return _json(order)

    def _get_refunds(self, call: Call, body: Any, number: int) -> Reply:
        return _json(self.refunds.get(number, []))

    def _do_notes(self, call: Call, body: Any, number: int) -> Reply:
        notes = self.notes.setdefault(number, [])
        if call.method == "GET":
            return _json(notes)
        notes.append({"id": self._id(), **body})
        if body["customer_note"]:
            self.mails.append(body["note"])
        return _json(notes[-1], 201)

    def _do_fulfillments(self, call: Call, body: Any, number: int, one: int = 0) -> Reply:
        made = self.fulfillments.setdefault(number, [])
        if call.method == "GET":
            return _json(made)
        if call.method == "DELETE":
            made[:] = [each for each in made if each["id"] != one]
            return _json({"message": "Fulfillment deleted successfully."})
        meta = {each["key"]: each["value"] for each in body["meta_data"]}
        if call.method == "POST":
            if not meta.get("_items"):
                return _error(400, "woocommerce_fulfillment_error", "The fulfillment should contain at least one item.")
            ordered = {line["id"]: line["quantity"] for line in self.orders[number]["line_items"]}
            for each in made:
                for item in next(m["value"] for m in each["meta_data"] if m["key"] == "_items"):
                    ordered[item["item_id"]] -= item["qty"]
            if any(item["qty"] > ordered.get(item["item_id"], 0) for item in meta["_items"]):
                return _error(400, "woocommerce_fulfillment_error", "Invalid item quantity.")
            made.append({"id": self._id(), "date_deleted": None, **body})
        else:
            # What is not named again is lost.
            next(each for each in made if each["id"] == one).update(body)
        if call.params.get("notify_customer") == "true":
            self.mails.append(meta["_tracking_number"])
        self.touch(number)
        return _json(made[-1], 201 if call.method == "POST" else 200)

    def _do_trackings(self, call: Call, body: Any, number: int, one: int = 0) -> Reply:
        made = self.trackings.setdefault(number, [])
        if call.method == "GET":
            return _json(made)
        if call.method == "DELETE":
            made[:] = [each for each in made if each["tracking_id"] != str(one)]
            return _json({})
        if not body.get("tracking_number") or not (
            body.get("tracking_provider") or body.get("custom_tracking_provider")
        ):
            return _error(400, "woocommerce_rest_shipment_tracking_missing", "Missing provider or number.")
        made.append({"tracking_id": str(self._id()), **body})
        self.touch(number)
        return _json(made[-1], 201)

    def _get_products(self, call: Call, body: Any) -> Reply:
        wanted = call.params["sku"].split(",")
        return _json([one for one in self.products if one["sku"].lower() in [each.lower() for each in wanted]])

    def _put_product(self, call: Call, body: Any, first: int, second: int = 0) -> Reply:
        one = next((one for one in self.products if one["id"] == (second or first)), None)
        if one is None or (one["parent_id"] or first) != first:
            return _error(400, "woocommerce_rest_product_invalid_id", "Invalid ID.")
        one.update(body)
        return _json(one)

    def _text(self) -> str:
        return self.now.strftime("%Y-%m-%dT%H:%M:%S")

    def _id(self) -> int:
        self._ids += 1
        return self._ids


def _json(body: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(body).encode())


def _error(status: int, code: str, message: str) -> Reply:
    return _json({"code": code, "message": message, "data": {"status": status}}, status)
