"""Shopify, through its Admin GraphQL API (2026-10).

Built from Shopify's published schema and pages. Proved: every call is valid against that schema, and a webhook's
signature against Shopify's own libraries; the behaviour only against a double. Not certified live.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from wms.clock import now
from wms.connectors import (
    ConnectorError,
    Grain,
    OrderState,
    Pushed,
    Recipient,
    Shipment,
    ShopLine,
    ShopOrder,
    setting,
    table,
)
from wms.connectors import orders as common
from wms.connectors.http import Door, quoted
from wms.errors import N_

VERSION = "2026-10"
PAGE = 100
# What the search finds lags a little behind the orders themselves.
OVERLAP = timedelta(minutes=5)
ORDER_ID = "gid://shopify/Order/"
PATIENCE_S = 30.0
"""The longest pause within a pull; a push or a question on the floor never waits."""

PAID = ("PAID", "PARTIALLY_REFUNDED")
OPEN = ("OPEN", "IN_PROGRESS")
"""States of a fulfilment order whose pieces may be sent."""
WAITING = ("ON_HOLD", "SCHEDULED", "INCOMPLETE")
"""States whose pieces are wanted, but not now."""
LIVE = ("SUCCESS", "OPEN", "PENDING")
"""States of a fulfilment that counts."""

_PAGE_INFO = "pageInfo { hasNextPage endCursor }"
_LINES = (
    "nodes { id sku name quantity currentQuantity unfulfilledQuantity requiresShipping"
    " originalUnitPriceSet { shopMoney { amount currencyCode } } } " + _PAGE_INFO
)
_FO_LINES = "nodes { id remainingQuantity totalQuantity lineItem { id } } " + _PAGE_INFO
_FOS = (
    "nodes { id status requestStatus fulfillAt fulfillBy assignedLocation { location { id } }"
    " lineItems(first: 50) { " + _FO_LINES + " } } " + _PAGE_INFO
)
_SENT_LINES = "nodes { quantity lineItem { id } } " + _PAGE_INFO

# One query may cost 1000 points at most, so an order comes with its first pages and the rest is asked for apart.
IDS = (
    "query($query: String!, $after: String) { orders(first: 100, after: $after, query: $query, sortKey: UPDATED_AT)"
    " { nodes { id updatedAt } " + _PAGE_INFO + " } }"
)
BY_NAME = "query($query: String!) { orders(first: 10, query: $query) { nodes { id name } } }"
ORDER = (
    """
query($id: ID!) {
  order(id: $id) {
    id legacyResourceId name createdAt updatedAt processedAt cancelledAt
    currencyCode displayFinancialStatus displayFulfillmentStatus
    note tags customAttributes { key value }
    shippingLine { title }
    shippingAddress { name company phone address1 address2 city province countryCodeV2 zip }
    lineItems(first: 50) { """
    + _LINES
    + " } fulfillmentOrders(first: 5) { "
    + _FOS
    + " } } }"
)
MORE_LINES = (
    "query($id: ID!, $after: String) { order(id: $id) { lineItems(first: 100, after: $after) { " + _LINES + " } } }"
)
MORE_FOS = (
    "query($id: ID!, $after: String) { order(id: $id) { fulfillmentOrders(first: 5, after: $after) { " + _FOS + " } } }"
)
MORE_FO_LINES = (
    "query($id: ID!, $after: String) { fulfillmentOrder(id: $id) { lineItems(first: 100, after: $after) { "
    + _FO_LINES
    + " } } }"
)
SENT = (
    "query($id: ID!) { order(id: $id) { fulfillments(first: 30) { id status createdAt trackingInfo(first: 5)"
    " { number company } fulfillmentLineItems(first: 5) { " + _SENT_LINES + " } } } }"
)
MORE_SENT_LINES = (
    "query($id: ID!, $after: String) { fulfillment(id: $id) { fulfillmentLineItems(first: 100, after: $after) { "
    + _SENT_LINES
    + " } } }"
)
CREATE = """
mutation($fulfillment: FulfillmentInput!) {
  fulfillmentCreate(fulfillment: $fulfillment) { fulfillment { id status } userErrors { field message } }
}"""
CANCEL = """
mutation($id: ID!) { fulfillmentCancel(id: $id) { fulfillment { id status } userErrors { field message } } }"""
CORRECT = """
mutation($id: ID!, $tracking: FulfillmentTrackingInput!, $notify: Boolean) {
  fulfillmentTrackingInfoUpdate(fulfillmentId: $id, trackingInfoInput: $tracking, notifyCustomer: $notify) {
    fulfillment { id status } userErrors { field message }
  }
}"""
LOCATIONS = "{ locations(first: 2) { nodes { id } } }"
VARIANTS = """
query($query: String!, $location: ID!) {
  productVariants(first: 10, query: $query) {
    nodes {
      sku
      inventoryItem {
        id tracked inventoryLevel(locationId: $location) { quantities(names: ["available"]) { name quantity } }
      }
    }
  }
}"""
SET_STOCK = """
mutation($input: InventorySetQuantitiesInput!, $key: String!) {
  inventorySetQuantities(input: $input) @idempotent(key: $key) { userErrors { code field message } }
}"""


@dataclass(slots=True)
class Shopify:
    """Settings: ``url`` (https://….myshopify.com) and ``token`` (the app's Admin API key).

    ``location``: the id of this warehouse there; needed where the shop has several. Then pieces that another
    location sends are not ours. ``carriers``: our carrier code → the carrier's name at Shopify, which makes the
    number a link. ``notify``: false when the shop shall not mail the buyer. ``webhook_secret``: see
    ``verify_webhook``.
    """

    door: Door
    token: str = field(repr=False)
    location: str = ""
    carriers: Mapping[str, str] = field(default_factory=dict)
    notify: bool = True
    clock: Callable[[], datetime] = now
    sleep: Callable[[float], None] = time.sleep
    grain: Grain = "package"
    complete_until: datetime | None = None
    """What ``fetch_orders`` has read so far, all of it: a later run may begin here."""
    unread: dict[str, ConnectorError] = field(default_factory=dict)
    """Orders of the last ``fetch_orders`` that could not be understood."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], transport: httpx.BaseTransport | None = None) -> Shopify:
        location = str(settings.get("location") or "")
        return cls(
            door=Door(
                setting(settings, "url").rstrip("/") + f"/admin/api/{VERSION}/graphql.json",
                https_only=True,
                transport=transport,
            ),
            token=setting(settings, "token"),
            location=f"gid://shopify/Location/{location}" if location.isdigit() else location,
            carriers=table(settings, "carriers"),
            notify=settings.get("notify", True) is not False,
        )

    # In

    def fetch_orders(self, since: datetime | None) -> Iterator[ShopOrder]:
        """Orders changed after ``since`` less the overlap; at first only those that can be shipped.

        The page's cursor stands for the last order's time and number, so orders that change while we read move
        to the end and push none aside.
        """
        self.unread, self.complete_until = {}, since
        began = self.clock()
        if since is None:
            query = (
                "status:open (financial_status:paid OR financial_status:partially_refunded)"
                " (fulfillment_status:unfulfilled OR fulfillment_status:partial OR fulfillment_status:on_hold"
                " OR fulfillment_status:scheduled)"
            )
        else:
            after = since.astimezone(UTC) - OVERLAP
            query = f"updated_at:>='{after.strftime('%Y-%m-%dT%H:%M:%SZ')}'"
        cursor: str | None = None
        while True:
            page = self._call(IDS, {"query": query, "after": cursor}, patient=True)["orders"]
            for node in page["nodes"]:
                order = self._order(node["id"], patient=True)
                if order is not None:
                    yield self._shop_order(order)
                if since is not None:
                    self.complete_until = _time(node["updatedAt"])
            if not page["pageInfo"]["hasNextPage"]:
                self.complete_until = began
                return
            cursor = page["pageInfo"]["endCursor"]

    def order_state(self, shop_order_no: str) -> str:
        return self._state(self._named(shop_order_no))

    def read_order(self, shop_order_no: str) -> ShopOrder:
        """By its name (``#1001``), or by the number a webhook has it under: ``gid://shopify/Order/…``."""
        if shop_order_no.startswith(ORDER_ID):
            found = self._order(shop_order_no)
            if found is None:
                raise common.unknown_order(self.door.host, shop_order_no)
        else:
            found = self._named(shop_order_no)
        try:
            return self._read(found)
        except common.UNREADABLE as error:
            raise common.unreadable(shop_order_no, found, error)[1] from error

    def _shop_order(self, order: dict[str, Any]) -> ShopOrder:
        try:
            return self._read(order)
        except common.UNREADABLE as error:
            name = str(order.get("name") or order.get("id"))
            bad, self.unread[name] = common.unreadable(name, order, error)
            return bad

    def _read(self, order: dict[str, Any]) -> ShopOrder:
        state = self._state(order)
        ours = self._ours_to_send(order)
        left: Counter[str] = Counter()
        for one in ours:
            for line in one["lineItems"]["nodes"]:
                left[line["lineItem"]["id"]] += line["remainingQuantity"]
        due = [one["fulfillBy"] for one in ours if one["fulfillBy"]]
        note = [order["note"] or "", *(f"{one['key']}: {one['value']}" for one in order["customAttributes"])]
        read = ShopOrder(
            shop_order_no=order["name"],
            ordered_at=_time(order["processedAt"] or order["createdAt"]),
            state=state,
            lines=tuple(_line(line, left[line["id"]], state) for line in order["lineItems"]["nodes"]),
            recipient=_recipient(order["shippingAddress"] or {}),
            buyer_note="\n".join(part for part in note if part),
            seller_memo=", ".join(order["tags"]),
            carrier_hint=str((order["shippingLine"] or {}).get("title") or ""),
            raw=order,
            updated_at=_time(order["updatedAt"]),
            currency=order["currencyCode"],
            ship_by=min(map(_time, due)) if due else None,
        )
        waits = [one["status"] for one in ours if one["status"] in WAITING and _remaining(one)]
        if not waits:
            return read
        return common.held(read, "not_yet" if set(waits) == {"SCHEDULED"} else "paused")

    def _state(self, order: Mapping[str, Any]) -> OrderState:
        paid = order["displayFinancialStatus"]
        goods = [line for line in order["lineItems"]["nodes"] if line["requiresShipping"]]
        if order["cancelledAt"]:
            return "cancelled"
        if order["displayFulfillmentStatus"] == "FULFILLED":
            return "shipped"
        if paid in ("REFUNDED", "VOIDED"):
            return "refunding"  # paid back in full, but the order was not cancelled
        if goods and not any(line["currentQuantity"] for line in goods):
            return "cancelled"  # every piece was taken off the order
        if paid not in PAID:
            return "other"
        if any(_remaining(one) for one in self._ours_to_send(order)):
            return "paid"
        closed = any(one["status"] == "CLOSED" and self._is_here(one) for one in order["fulfillmentOrders"]["nodes"])
        return "shipped" if closed else "other"

    def _ours_to_send(self, order: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Fulfilment orders of this warehouse that still want something, now or later."""
        return [
            one for one in order["fulfillmentOrders"]["nodes"] if one["status"] in OPEN + WAITING and self._is_here(one)
        ]

    def _is_here(self, fulfilment_order: Mapping[str, Any]) -> bool:
        place = (fulfilment_order["assignedLocation"].get("location") or {}).get("id", "")
        return not self.location or place == self.location

    # Out

    def push_shipment(self, shipment: Shipment) -> Pushed:
        """One fulfilment for each location the pieces lie at. Shopify makes a second one when it is asked a
        second time, so what it holds under our number is read first, and again when an answer is lost.
        """
        order = self._named(shipment.shop_order_no)
        sent = self._sent(order["id"])
        missing = _missing(order, sent, shipment)
        if missing is not None and not missing:
            self._drop_twins(order, sent, shipment)
            return common.already(shipment, order["displayFulfillmentStatus"])
        state = self._state(order)
        if state != "paid" or missing is None:
            return _conflict(order, sent, shipment, state)
        chosen = self._choose(order, missing)
        if chosen is None:
            if any(one["status"] in WAITING and _remaining(one) for one in self._ours_to_send(order)):
                words = N_("Order %(order)s is on hold at the shop. Release the hold there, then send it again.")
                return Pushed("conflict", words, common.evidence(shipment, order["displayFulfillmentStatus"]))
            return _conflict(order, sent, shipment, state)
        said = ""
        for by_order in chosen:
            said = said or self._create(shipment, by_order)
        order, sent = self._order_or_gone(order["id"], shipment), self._sent(order["id"])
        if _missing(order, sent, shipment) == {}:
            self._drop_twins(order, sent, shipment)
            return common.taken(shipment, order["displayFulfillmentStatus"])
        state = self._state(order)
        if state in ("cancelled", "refunding"):
            return _conflict(order, sent, shipment, state)
        if said:
            return common.refused(shipment, order["displayFulfillmentStatus"], said, others=_numbers(sent))
        # It said yes and does not show it yet: asked again later, when it is read first.
        raise self._error(False, "not_yet", N_("%(host)s has taken the parcel but does not show it yet."))

    def _create(self, shipment: Shipment, by_order: Mapping[str, Mapping[str, int]]) -> str:
        """Make the fulfilment; what the shop says against it, or nothing. A lost answer is for the reading back."""
        fulfilment = {
            "lineItemsByFulfillmentOrder": [
                {
                    "fulfillmentOrderId": one,
                    "fulfillmentOrderLineItems": [{"id": line, "quantity": qty} for line, qty in lines.items()],
                }
                for one, lines in by_order.items()
            ],
            "trackingInfo": self._tracking(shipment),
            "notifyCustomer": self.notify,
        }
        try:
            return self._says(self._call(CREATE, {"fulfillment": fulfilment})["fulfillmentCreate"])
        except ConnectorError as error:
            if error.reason not in ("timeout", "offline", "shop_fault", "no_json"):
                raise
            if _missing(*self._again(shipment), shipment) != {}:
                raise
            return ""

    def _again(self, shipment: Shipment) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        order = self._named(shipment.shop_order_no)
        return order, self._sent(order["id"])

    def correct_shipment(self, shipment: Shipment, wrong: str) -> Pushed:
        """Put the parcel's number in the place of a wrong one that was told before."""
        order, sent = self._again(shipment)
        found = [one for one in sent if any(common.same_number(wrong, number) for number in _numbers_of(one))]
        if not found:
            if _missing(order, sent, shipment) == {}:
                return common.already(shipment, order["displayFulfillmentStatus"])
            return common.not_there(shipment, order["displayFulfillmentStatus"], wrong)
        for one in found:
            variables = {"id": one["id"], "tracking": self._tracking(shipment), "notify": self.notify}
            said = self._says(self._call(CORRECT, variables)["fulfillmentTrackingInfoUpdate"])
            if said:
                return common.refused(shipment, order["displayFulfillmentStatus"], said)
        return common.taken(shipment, order["displayFulfillmentStatus"], wrong=wrong)

    def _tracking(self, shipment: Shipment) -> dict[str, str]:
        name = self.carriers.get(shipment.carrier_code) or shipment.carrier_name or shipment.carrier_code
        return {"company": name, "number": shipment.waybill_no}

    def _choose(self, order: Mapping[str, Any], missing: Mapping[str, int]) -> list[dict[str, dict[str, int]]] | None:
        """For each location: fulfilment order → its line → pieces; None when fewer may be sent."""
        places: dict[str, dict[str, dict[str, int]]] = {}
        rest = Counter(missing)
        for one in self._ours_to_send(order):
            if one["status"] not in OPEN:
                continue
            place = (one["assignedLocation"].get("location") or {}).get("id", "")
            for line in one["lineItems"]["nodes"]:
                part = min(rest[line["lineItem"]["id"]], line["remainingQuantity"])
                if part > 0:
                    places.setdefault(place, {}).setdefault(one["id"], {})[line["id"]] = part
                    rest[line["lineItem"]["id"]] -= part
        return None if +rest else list(places.values())

    def _drop_twins(self, order: Mapping[str, Any], sent: list[dict[str, Any]], shipment: Shipment) -> None:
        """Two pushes at once may both have been taken: of more pieces than the parcel holds, the later go."""
        ours = sorted(_ours(sent, shipment), key=lambda one: (one["createdAt"], len(one["id"]), one["id"]))
        inside = Counter(_inside(order, shipment) or {})
        room = inside.copy()
        for one in ours:
            pieces = _pieces([one])
            if pieces <= room:
                room -= pieces
            elif pieces <= inside and not room & pieces:
                self._call(CANCEL, {"id": one["id"]})

    def push_stock(self, sku: str, qty: int) -> None:
        """Set what can be sold at this location, if it is still what was read a moment ago."""
        location = self.location or self._only_location()
        # One wish, one key: a repeat after a lost answer is told the first answer. Another day is another wish.
        for _ in range(3):
            item, held = self._available(sku, location)
            if held == qty:
                return
            quantities = {"inventoryItemId": item, "locationId": location, "quantity": qty, "changeFromQuantity": held}
            wanted = {"name": "available", "reason": "correction", "quantities": [quantities]}
            codes, said = self._set_stock(wanted)
            if not codes:
                return
            if "CHANGE_FROM_QUANTITY_STALE" in codes:
                continue  # sold or returned in between: read again
            permanent = not any(code.startswith("IDEMPOTENCY_") for code in codes)
            words = N_("The shop does not take the stock of %(sku)s: %(shop_says)s")
            raise self._error(permanent, "stock_refused", words, sku=sku, shop_says=said)
        words = N_("The stock of %(sku)s changes at the shop just now. It is tried again.")
        raise self._error(False, "stale", words, sku=sku)

    def _set_stock(self, wanted: Mapping[str, Any]) -> tuple[list[str], str]:
        variables = {"input": wanted, "key": str(uuid.uuid4())}
        try:
            result = self._call(SET_STOCK, variables)
        except ConnectorError as error:
            if error.reason not in ("timeout", "offline", "no_json"):
                raise
            result = self._call(SET_STOCK, variables)
        errors = result["inventorySetQuantities"]["userErrors"]
        return [str(one["code"]) for one in errors], self._says({"userErrors": errors})

    def stock(self, sku: str) -> int:
        """Pieces the shop can still sell at this location."""
        return self._available(sku, self.location or self._only_location())[1]

    def _available(self, sku: str, location: str) -> tuple[str, int]:
        found = self._call(VARIANTS, {"query": f'sku:"{_escaped(sku)}"', "location": location})
        items = {
            one["inventoryItem"]["id"]: one["inventoryItem"]
            for one in found["productVariants"]["nodes"]
            if one["sku"] == sku
        }
        if not items:
            raise common.unknown_sku(self.door.host, sku)
        if len(items) > 1:
            raise common.ambiguous_sku(self.door.host, sku)
        (item,) = items.values()
        level = item["inventoryLevel"]
        if not item["tracked"] or level is None:
            words = N_("The shop keeps no stock of %(sku)s. Switch it on there.")
            raise self._error(True, "no_stock_place", words, sku=sku)
        return item["id"], next(one["quantity"] for one in level["quantities"] if one["name"] == "available")

    def _only_location(self) -> str:
        found = self._call(LOCATIONS, {})["locations"]["nodes"]
        if len(found) != 1:
            words = N_("The shop has several locations. Enter this warehouse's in the shop's settings.")
            raise self._error(True, "which_location", words)
        self.location = found[0]["id"]
        return self.location

    # The wire

    def _named(self, name: str) -> dict[str, Any]:
        found = self._call(BY_NAME, {"query": f'name:"{_escaped(name)}"'})["orders"]["nodes"]
        ids = [one["id"] for one in found if one["name"] == name]
        if len(ids) > 1:
            words = N_("The shop has several orders named %(order)s. Push this one by hand.")
            raise self._error(True, "order_twice", words, order=name)
        order = self._order(ids[0]) if ids else None
        if order is None:
            raise common.unknown_order(self.door.host, name)
        return order

    def _order(self, order_id: str, patient: bool = False) -> dict[str, Any] | None:
        """The order with all its lines, however many pages they take."""
        order: dict[str, Any] | None = self._call(ORDER, {"id": order_id}, patient)["order"]
        if order is None:
            return None
        self._complete(order["lineItems"], MORE_LINES, order_id, ("order", "lineItems"), patient)
        self._complete(order["fulfillmentOrders"], MORE_FOS, order_id, ("order", "fulfillmentOrders"), patient)
        for one in order["fulfillmentOrders"]["nodes"]:
            self._complete(one["lineItems"], MORE_FO_LINES, one["id"], ("fulfillmentOrder", "lineItems"), patient)
        return order

    def _order_or_gone(self, order_id: str, shipment: Shipment) -> dict[str, Any]:
        order = self._order(order_id)
        if order is None:
            raise common.unknown_order(self.door.host, shipment.shop_order_no)
        return order

    def _sent(self, order_id: str) -> list[dict[str, Any]]:
        """What left for this order, by whomever."""
        order = self._call(SENT, {"id": order_id})["order"] or {"fulfillments": []}
        sent = [one for one in order["fulfillments"] if one["status"] in LIVE]
        for one in sent:
            where = ("fulfillment", "fulfillmentLineItems")
            self._complete(one["fulfillmentLineItems"], MORE_SENT_LINES, one["id"], where)
        return sent

    def _complete(
        self, connection: dict[str, Any], document: str, owner: str, where: tuple[str, str], patient: bool = False
    ) -> None:
        while connection["pageInfo"]["hasNextPage"]:
            variables = {"id": owner, "after": connection["pageInfo"]["endCursor"]}
            page = self._call(document, variables, patient)[where[0]][where[1]]
            connection["nodes"] += page["nodes"]
            connection["pageInfo"] = page["pageInfo"]

    def _call(self, query: str, variables: Mapping[str, Any], patient: bool = False) -> dict[str, Any]:
        """The data of the answer. A patient caller waits while the shop's bucket fills again."""
        for _ in range(5 if patient else 0):
            try:
                return self._ask(query, variables)
            except ConnectorError as error:
                if error.reason != "busy" or (error.retry_after_s or 0) > PATIENCE_S:
                    raise
                self.sleep(error.retry_after_s or 1.0)
        return self._ask(query, variables)

    def _ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        answer = self.door.post_json(
            {"query": query, "variables": dict(variables)}, {"X-Shopify-Access-Token": self.token}
        )
        body = answer.body if isinstance(answer.body, dict) else {}
        errors = body.get("errors")
        data = body.get("data")
        if not errors and isinstance(data, dict):
            return data
        listed = [one for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []
        codes = [str((one.get("extensions") or {}).get("code") or "") for one in listed]
        said = "; ".join(str(one.get("message") or "") for one in listed) if listed else str(errors or "")
        raise self._told(codes, said, body)

    def _told(self, codes: list[str], said: str, body: Mapping[str, Any]) -> ConnectorError:
        said = quoted(said, self.token)
        if "THROTTLED" in codes:
            return self._error(
                False,
                "busy",
                N_("%(host)s asks for a pause. It is tried again."),
                retry_after_s=_pause(body),
            )
        if "ACCESS_DENIED" in codes:
            words = N_("Our key may not do this at %(host)s: %(shop_says)s Add the permission to the app there.")
            return self._error(True, "access_denied", words, shop_says=said)
        if "SHOP_INACTIVE" in codes:
            return self._error(True, "shop_inactive", N_("%(host)s is closed by Shopify. Open the shop again there."))
        # Without a code, or of our making: the same call fails for ever.
        permanent = bool(said) and "INTERNAL_SERVER_ERROR" not in codes
        return self._error(permanent, "graphql", N_("%(host)s reports: %(shop_says)s"), shop_says=said or "no data")

    def _says(self, result: Mapping[str, Any]) -> str:
        return quoted("; ".join(str(one["message"]) for one in result["userErrors"]), self.token)

    def _error(
        self, permanent: bool, reason: str, message: str, retry_after_s: float | None = None, **facts: Any
    ) -> ConnectorError:
        return ConnectorError(
            permanent=permanent,
            reason=reason,
            message=message,
            retry_after_s=retry_after_s,
            facts={"host": self.door.host, **facts},
        )


def orders_of(topic: str, body: bytes) -> tuple[str, ...]:
    """The orders a webhook speaks of, as ``read_order`` takes them; none of a topic that has none.

    An order is its own ``id``; a refund, fulfilment or edit names its ``order_id``.
    """
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(told, dict):
        return ()
    inner = told.get("order_edit")
    numbers = [told.get("order_id"), inner.get("order_id") if isinstance(inner, dict) else None]
    if topic.startswith("orders/"):
        numbers.append(told.get("id"))
    found = [number for number in numbers if isinstance(number, int) and not isinstance(number, bool) and number > 0]
    return tuple(f"{ORDER_ID}{number}" for number in dict.fromkeys(found))


def verify_webhook(secret: str, body: bytes, signature: str) -> bool:
    """Whether ``X-Shopify-Hmac-Sha256`` was made over these very bytes with the app's secret."""
    wanted = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest())
    return hmac.compare_digest(wanted, signature.encode())


def _pause(body: Mapping[str, Any]) -> float:
    """Seconds until the bucket holds what the call costs."""
    cost = (body.get("extensions") or {}).get("cost") or {}
    bucket = cost.get("throttleStatus") or {}
    lacking = float(cost.get("requestedQueryCost") or 0) - float(bucket.get("currentlyAvailable") or 0)
    rate = float(bucket.get("restoreRate") or 50)
    return max(lacking / rate, 0.5) if rate > 0 else 1.0


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def _line(line: Mapping[str, Any], left: int, state: OrderState) -> ShopLine:
    price = line["originalUnitPriceSet"]["shopMoney"]
    goods = bool(line["requiresShipping"])
    if state == "shipped" or not goods:
        left = line["currentQuantity"]
    return ShopLine(
        line_ref=line["id"],
        sku=str(line["sku"] or ""),
        name=line["name"],
        qty=left or line["quantity"] or 1,
        price_minor=common.minor(price["amount"], price["currencyCode"]),
        kind="goods" if goods else "service",
        cancelled=not left or state == "cancelled",
    )


def _recipient(address: Mapping[str, Any]) -> Recipient:
    def of(name: str) -> str:
        return str(address.get(name) or "")

    streets = (of("company"), of("address1"), of("address2"))
    return Recipient(
        name=of("name"),
        phone=of("phone"),
        province=of("province"),
        city=of("city"),
        address=", ".join(part for part in streets if part),
        country=of("countryCodeV2"),
        postcode=of("zip"),
    )


def _remaining(fulfilment_order: Mapping[str, Any]) -> int:
    return sum(line["remainingQuantity"] for line in fulfilment_order["lineItems"]["nodes"])


def _numbers_of(fulfilment: Mapping[str, Any]) -> list[str]:
    return [one["number"] or "" for one in fulfilment["trackingInfo"]]


def _numbers(sent: list[dict[str, Any]]) -> str:
    return ", ".join(sorted({number for one in sent for number in _numbers_of(one)}))


def _ours(sent: list[dict[str, Any]], shipment: Shipment) -> list[dict[str, Any]]:
    return [one for one in sent if any(common.same_number(number, shipment.waybill_no) for number in _numbers_of(one))]


def _pieces(sent: list[dict[str, Any]]) -> Counter[str]:
    pieces: Counter[str] = Counter()
    for one in sent:
        for line in one["fulfillmentLineItems"]["nodes"]:
            pieces[line["lineItem"]["id"]] += line["quantity"] or 0
    return pieces


def _inside(order: Mapping[str, Any], shipment: Shipment) -> dict[str, int] | None:
    """The parcel's pieces by the order's lines, as many as were ever ordered."""
    lines = order["lineItems"]["nodes"]
    ordered = {line["id"]: line["quantity"] for line in lines}
    return common.share_out(shipment.lines, ordered, {line["id"]: line["sku"] or "" for line in lines})


def _missing(order: Mapping[str, Any], sent: list[dict[str, Any]], shipment: Shipment) -> dict[str, int] | None:
    """The parcel's pieces that the shop does not have under our number; None when the order has no such lines."""
    inside = _inside(order, shipment)
    if inside is None:
        return None
    return dict(Counter(inside) - _pieces(_ours(sent, shipment)))


def _conflict(order: Mapping[str, Any], sent: list[dict[str, Any]], shipment: Shipment, state: OrderState) -> Pushed:
    ours = [one["id"] for one in _ours(sent, shipment)]
    others = [number for one in sent if one["id"] not in ours for number in _numbers_of(one) or [""]]
    return common.conflict(shipment, state, order["displayFulfillmentStatus"], others)
