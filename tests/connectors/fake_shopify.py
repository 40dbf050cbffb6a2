"""A double of Shopify's Admin API that keeps its published contract: schema, key, costs, cursors, userErrors.

``SCHEMA`` is the part of Shopify's own schema that a warehouse needs; test_shopify_referees holds it against the
published whole.
"""
# ruff: noqa: A002, N802, N803 - fields and arguments have the names of the schema

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    GraphQLError,
    GraphQLResolveInfo,
    OperationDefinitionNode,
    VariableNode,
    build_schema,
    execute,
    get_named_type,
    parse,
    validate,
)

from tests.connectors.shop_server import Call, Loopback, Reply

VERSION = "2026-10"
SCHEMA = """
directive @idempotent(key: String!) on FIELD
scalar DateTime
scalar Decimal
scalar URL
scalar UnsignedInt64
scalar CountryCode
scalar CurrencyCode
schema { query: QueryRoot mutation: Mutation }
type QueryRoot {
  orders(after: String, first: Int, query: String, sortKey: OrderSortKeys): OrderConnection!
  order(id: ID!): Order
  fulfillmentOrder(id: ID!): FulfillmentOrder
  fulfillment(id: ID!): Fulfillment
  locations(after: String, first: Int): LocationConnection!
  productVariants(after: String, first: Int, query: String): ProductVariantConnection!
}
type Mutation {
  fulfillmentCreate(fulfillment: FulfillmentInput!): FulfillmentCreatePayload
  fulfillmentCancel(id: ID!): FulfillmentCancelPayload
  fulfillmentTrackingInfoUpdate(
    fulfillmentId: ID!, notifyCustomer: Boolean, trackingInfoInput: FulfillmentTrackingInput!
  ): FulfillmentTrackingInfoUpdatePayload
  inventorySetQuantities(input: InventorySetQuantitiesInput!): InventorySetQuantitiesPayload
}
enum OrderSortKeys { CREATED_AT UPDATED_AT ID }
enum OrderDisplayFinancialStatus { AUTHORIZED EXPIRED PAID PARTIALLY_PAID PARTIALLY_REFUNDED PENDING REFUNDED VOIDED }
enum OrderDisplayFulfillmentStatus { FULFILLED ON_HOLD PARTIALLY_FULFILLED SCHEDULED UNFULFILLED }
enum FulfillmentOrderStatus { CANCELLED CLOSED INCOMPLETE IN_PROGRESS ON_HOLD OPEN SCHEDULED }
enum FulfillmentOrderRequestStatus { UNSUBMITTED SUBMITTED ACCEPTED REJECTED }
enum FulfillmentStatus { CANCELLED ERROR FAILURE OPEN PENDING SUCCESS }
enum InventorySetQuantitiesUserErrorCode {
  CHANGE_FROM_QUANTITY_STALE IDEMPOTENCY_CONCURRENT_REQUEST IDEMPOTENCY_KEY_PARAMETER_MISMATCH
  INVALID_INVENTORY_ITEM INVALID_LOCATION INVALID_NAME INVALID_QUANTITY_NEGATIVE INVALID_REASON
}
type PageInfo { hasNextPage: Boolean! endCursor: String }
type OrderConnection { nodes: [Order!]! pageInfo: PageInfo! }
type Order {
  id: ID! legacyResourceId: UnsignedInt64! name: String! createdAt: DateTime! updatedAt: DateTime!
  processedAt: DateTime! cancelledAt: DateTime currencyCode: CurrencyCode!
  displayFinancialStatus: OrderDisplayFinancialStatus displayFulfillmentStatus: OrderDisplayFulfillmentStatus!
  note: String tags: [String!]! customAttributes: [Attribute!]! shippingLine: ShippingLine
  shippingAddress: MailingAddress
  lineItems(after: String, first: Int): LineItemConnection!
  fulfillmentOrders(after: String, first: Int): FulfillmentOrderConnection!
  fulfillments(first: Int): [Fulfillment!]!
}
type Attribute { key: String! value: String }
type ShippingLine { title: String! }
type MailingAddress {
  name: String company: String phone: String address1: String address2: String city: String province: String
  countryCodeV2: CountryCode zip: String
}
type LineItemConnection { nodes: [LineItem!]! pageInfo: PageInfo! }
type LineItem {
  id: ID! sku: String name: String! quantity: Int! currentQuantity: Int! unfulfilledQuantity: Int!
  requiresShipping: Boolean! originalUnitPriceSet: MoneyBag!
}
type MoneyBag { shopMoney: MoneyV2! }
type MoneyV2 { amount: Decimal! currencyCode: CurrencyCode! }
type FulfillmentOrderConnection { nodes: [FulfillmentOrder!]! pageInfo: PageInfo! }
type FulfillmentOrder {
  id: ID! status: FulfillmentOrderStatus! requestStatus: FulfillmentOrderRequestStatus!
  fulfillAt: DateTime fulfillBy: DateTime assignedLocation: FulfillmentOrderAssignedLocation!
  lineItems(after: String, first: Int): FulfillmentOrderLineItemConnection!
}
type FulfillmentOrderAssignedLocation { location: Location }
type LocationConnection { nodes: [Location!]! pageInfo: PageInfo! }
type Location { id: ID! }
type FulfillmentOrderLineItemConnection { nodes: [FulfillmentOrderLineItem!]! pageInfo: PageInfo! }
type FulfillmentOrderLineItem { id: ID! remainingQuantity: Int! totalQuantity: Int! lineItem: LineItem! }
type Fulfillment {
  id: ID! status: FulfillmentStatus! createdAt: DateTime!
  trackingInfo(first: Int): [FulfillmentTrackingInfo!]!
  fulfillmentLineItems(after: String, first: Int): FulfillmentLineItemConnection!
}
type FulfillmentTrackingInfo { number: String company: String url: URL }
type FulfillmentLineItemConnection { nodes: [FulfillmentLineItem!]! pageInfo: PageInfo! }
type FulfillmentLineItem { quantity: Int lineItem: LineItem! }
type UserError { field: [String!] message: String! }
type FulfillmentCreatePayload { fulfillment: Fulfillment userErrors: [UserError!]! }
type FulfillmentCancelPayload { fulfillment: Fulfillment userErrors: [UserError!]! }
type FulfillmentTrackingInfoUpdatePayload { fulfillment: Fulfillment userErrors: [UserError!]! }
input FulfillmentInput {
  lineItemsByFulfillmentOrder: [FulfillmentOrderLineItemsInput!]! trackingInfo: FulfillmentTrackingInput
  notifyCustomer: Boolean
}
input FulfillmentOrderLineItemsInput {
  fulfillmentOrderId: ID! fulfillmentOrderLineItems: [FulfillmentOrderLineItemInput!]
}
input FulfillmentOrderLineItemInput { id: ID! quantity: Int! }
input FulfillmentTrackingInput { company: String number: String url: URL }
type ProductVariantConnection { nodes: [ProductVariant!]! pageInfo: PageInfo! }
type ProductVariant { sku: String inventoryItem: InventoryItem! }
type InventoryItem { id: ID! tracked: Boolean! inventoryLevel(locationId: ID!): InventoryLevel }
type InventoryLevel { quantities(names: [String!]!): [InventoryQuantity!]! }
type InventoryQuantity { name: String! quantity: Int! }
input InventorySetQuantitiesInput { name: String! reason: String! quantities: [InventoryQuantityInput!]! }
input InventoryQuantityInput { inventoryItemId: ID! locationId: ID! quantity: Int! changeFromQuantity: Int }
type InventorySetQuantitiesPayload { userErrors: [InventorySetQuantitiesUserError!]! }
type InventorySetQuantitiesUserError {
  code: InventorySetQuantitiesUserErrorCode field: [String!] message: String!
}
"""
_SCHEMA = build_schema(SCHEMA)
PLACE = "gid://shopify/Location/1"
MOST_COST = 1000
RESTORED = 100
"""Points a second, of the standard plan."""


@dataclass
class FakeShopify:
    """``with shop.net.running(): …`` serves it; ``shop.net.url`` is its address."""

    token: str = "shpat-secret-of-the-tests"
    now: datetime = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: list[dict[str, Any]] = field(default_factory=list)
    places: list[str] = field(default_factory=lambda: [PLACE])
    bucket: float = 2000.0
    mails: list[str] = field(default_factory=list)
    """Numbers that buyers were told of."""
    denied: set[str] = field(default_factory=set)
    """Fields the app has no permission for."""
    net: Loopback = field(init=False)
    _keys: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    _variables: dict[str, Any] = field(default_factory=dict)
    _ids: int = 0

    def __post_init__(self) -> None:
        self.net = Loopback(self._answer)

    # What happens at the shop

    def order(
        self,
        name: str,
        *lines: tuple[str, int],
        place: str | dict[str, str] = PLACE,
        price: str = "19.99",
        currency: str = "USD",
        paid: str = "PAID",
    ) -> dict[str, Any]:
        """A paid order; ``place`` may say for each SKU where it lies."""
        made: list[dict[str, Any]] = [
            {
                "id": self._id("LineItem"),
                "sku": sku,
                "name": f"Item {sku}",
                "quantity": qty,
                "currentQuantity": qty,
                "unfulfilledQuantity": qty,
                "requiresShipping": True,
                "originalUnitPriceSet": {"shopMoney": {"amount": price, "currencyCode": currency}},
            }
            for sku, qty in lines
        ]
        by_place: dict[str, list[dict[str, Any]]] = {}
        for line in made:
            by_place.setdefault(place if isinstance(place, str) else place[line["sku"]], []).append(line)
        order: dict[str, Any] = {
            "id": self._id("Order"),
            "legacyResourceId": str(self._ids),
            "name": name,
            "createdAt": _text(self.now),
            "processedAt": _text(self.now),
            "updatedAt": _text(self.now),
            "cancelledAt": None,
            "currencyCode": currency,
            "displayFinancialStatus": paid,
            "displayFulfillmentStatus": "UNFULFILLED",
            "note": None,
            "tags": [],
            "customAttributes": [],
            "shippingLine": {"title": "Standard"},
            "shippingAddress": {"name": "张*", "address1": "**路 1 号", "city": "上海", "countryCodeV2": "CN"},
            "lines": made,
            "fos": [
                {
                    "id": self._id("FulfillmentOrder"),
                    "status": "OPEN",
                    "requestStatus": "UNSUBMITTED",
                    "fulfillAt": None,
                    "fulfillBy": None,
                    "assignedLocation": {"location": {"id": where}},
                    "lines": [
                        {
                            "id": self._id("FulfillmentOrderLineItem"),
                            "remainingQuantity": line["quantity"],
                            "totalQuantity": line["quantity"],
                            "lineItem": line,
                        }
                        for line in inside
                    ],
                }
                for where, inside in by_place.items()
            ],
            "sent": [],
        }
        order["lineItems"] = lambda info, **page: self._page(order["lines"], **page)
        order["fulfillmentOrders"] = lambda info, **page: self._page(order["fos"], **page)
        order["fulfillments"] = lambda info, first: order["sent"][:first]
        for one in order["fos"]:
            one["lineItems"] = lambda info, one=one, **page: self._page(one["lines"], **page)
        self.orders[name] = order
        return order

    def touch(self, name: str) -> None:
        self.orders[name]["updatedAt"] = _text(self.now)

    def cancel(self, name: str) -> None:
        order = self.orders[name]
        order["cancelledAt"] = _text(self.now)
        order["displayFinancialStatus"] = "REFUNDED"
        for one in order["fos"]:
            one["status"] = "CANCELLED" if one["status"] != "CLOSED" else "CLOSED"
            for line in one["lines"]:
                line["remainingQuantity"] = 0
        self.touch(name)

    def refund(self, name: str, sku: str, qty: int) -> None:
        """Some pieces are paid back before they are sent."""
        order = self.orders[name]
        for line in order["lines"]:
            if line["sku"] == sku:
                line["currentQuantity"] -= qty
                line["unfulfilledQuantity"] -= qty
        for one in order["fos"]:
            for line in one["lines"]:
                if line["lineItem"]["sku"] == sku:
                    line["remainingQuantity"] -= qty
        whole = not any(line["currentQuantity"] for line in order["lines"])
        order["displayFinancialStatus"] = "REFUNDED" if whole else "PARTIALLY_REFUNDED"
        self.touch(name)

    def hold(self, name: str, status: str = "ON_HOLD") -> None:
        for one in self.orders[name]["fos"]:
            one["status"] = status
        self.touch(name)

    def fulfil_by_hand(self, name: str, number: str, **pieces: int) -> dict[str, Any]:
        """Somebody sends pieces in the shop's own pages."""
        order = self.orders[name]
        asked = [
            {
                "fulfillmentOrderId": one["id"],
                "fulfillmentOrderLineItems": [
                    {"id": line["id"], "quantity": pieces.get(line["lineItem"]["sku"], line["remainingQuantity"])}
                    for line in one["lines"]
                    if not pieces or line["lineItem"]["sku"] in pieces
                ],
            }
            for one in order["fos"]
        ]
        made = self._create({"lineItemsByFulfillmentOrder": asked, "trackingInfo": {"number": number}})
        assert not made["userErrors"], made
        return made["fulfillment"]

    def item(self, sku: str, available: int, tracked: bool = True) -> dict[str, Any]:
        made: dict[str, Any] = {"id": self._id("InventoryItem"), "tracked": tracked, "sku": sku, "levels": {}}
        made["levels"] = dict.fromkeys(self.places, available)
        made["inventoryLevel"] = lambda info, locationId: (
            {
                "quantities": lambda info, names: [
                    {"name": "available", "quantity": made["levels"][locationId]} for name in names
                ]
            }
            if locationId in made["levels"]
            else None
        )
        self.items.append(made)
        return made

    def live(self, name: str) -> list[tuple[str, int]]:
        """(number, pieces) of what counts as sent."""
        return [
            (one["numbers"][0]["number"], sum(line["quantity"] for line in one["lines"]))
            for one in self.orders[name]["sent"]
            if one["status"] == "SUCCESS"
        ]

    def names(self) -> list[str]:
        """What was asked of it, one word a call."""
        return [_operation(json.loads(call.body)["query"]) for call in self.net.calls]

    # The wire

    def _answer(self, call: Call) -> Reply:
        if call.method != "POST" or call.path != f"/admin/api/{VERSION}/graphql.json":
            return _json({"errors": "Not Found"}, 404)
        if call.headers.get("x-shopify-access-token") != self.token:
            said = "[API] Invalid API key or access token (unrecognized login or wrong password)"
            return _json({"errors": said}, 401)
        if not call.headers.get("content-type", "").startswith("application/json"):
            return _json({"errors": "Bad Request"}, 400)
        body = json.loads(call.body)
        document, faults = _read(body["query"])
        if faults:
            told = [{"message": one.message, "extensions": {"code": "undefinedField"}} for one in faults]
            return _json({"errors": told})
        self._variables = body.get("variables") or {}
        operation = document.definitions[0]
        assert isinstance(operation, OperationDefinitionNode)
        cost = _cost(operation)
        if cost > MOST_COST:
            said = f"Query cost is {cost}, which exceeds the single query max cost limit (1000)."
            return _json({"errors": [{"message": said, "extensions": {"code": "MAX_COST_EXCEEDED"}}]})
        bill = {
            "requestedQueryCost": cost,
            "throttleStatus": {
                "maximumAvailable": 2000.0,
                "currentlyAvailable": self.bucket,
                "restoreRate": float(RESTORED),
            },
        }
        if cost > self.bucket:
            fault = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
            return _json({"errors": [fault], "extensions": {"cost": bill}})
        result = execute(_SCHEMA, document, self, variable_values=body.get("variables"), field_resolver=self._resolve)
        assert isinstance(result, ExecutionResult)
        answer: dict[str, Any] = {"data": result.data, "extensions": {"cost": bill}}
        if result.errors:
            unexpected = [one.original_error for one in result.errors if one.original_error is not None]
            unexpected = [one for one in unexpected if not isinstance(one, GraphQLError)]
            assert not unexpected, unexpected
            answer["errors"] = [{"message": one.message, "extensions": one.extensions} for one in result.errors]
        return _json(answer)

    def _resolve(self, source: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
        if info.field_name in self.denied:
            said = f"Access denied for {info.field_name} field. Required access: `write_inventory` access scope."
            raise GraphQLError(said, extensions={"code": "ACCESS_DENIED"})
        if source is self:
            return getattr(self, f"_{info.field_name}")(info, **arguments)
        value = source.get(info.field_name)
        return value(info, **arguments) if callable(value) else value

    def _orders(self, info: Any, query: str, first: int, after: str | None = None, **rest: Any) -> dict[str, Any]:
        found = [one for one in self.orders.values() if _matches(one, query)]
        found.sort(key=_place)
        if after:
            # A cursor stands for a time and a number, not for a place in a list.
            reached = tuple(json.loads(base64.b64decode(after)))
            found = [one for one in found if _place(one) > reached]
        page = found[: min(first, 250)]
        cursor = base64.b64encode(json.dumps(_place(page[-1])).encode()).decode() if page else None
        return {"nodes": page, "pageInfo": {"hasNextPage": len(found) > len(page), "endCursor": cursor}}

    def _order(self, info: Any, id: str) -> dict[str, Any] | None:
        return next((one for one in self.orders.values() if one["id"] == id), None)

    def _fulfillmentOrder(self, info: Any, id: str) -> dict[str, Any] | None:
        return next((one for order in self.orders.values() for one in order["fos"] if one["id"] == id), None)

    def _fulfillment(self, info: Any, id: str) -> dict[str, Any] | None:
        return next((one for order in self.orders.values() for one in order["sent"] if one["id"] == id), None)

    def _locations(self, info: Any, first: int, after: str | None = None) -> dict[str, Any]:
        return self._page([{"id": place} for place in self.places], first, after)

    def _productVariants(self, info: Any, query: str, first: int) -> dict[str, Any]:
        wanted = _quoted(query, "sku")
        # The search takes words apart and does not mind case.
        found = [one for one in self.items if (wanted or "").lower() in one["sku"].lower()]
        return self._page([{"sku": one["sku"], "inventoryItem": one} for one in found], first, None)

    def _fulfillmentCreate(self, info: Any, fulfillment: dict[str, Any]) -> dict[str, Any]:
        return self._create(fulfillment)

    def _create(self, asked: dict[str, Any]) -> dict[str, Any]:
        chosen: list[tuple[dict[str, Any], dict[str, Any], int]] = []
        orders, places = set(), set()
        for group in asked["lineItemsByFulfillmentOrder"]:
            one = self._fulfillmentOrder(None, group["fulfillmentOrderId"])
            if one is None:
                return _refused("Fulfillment order does not exist.")
            if one["status"] not in ("OPEN", "IN_PROGRESS"):
                return _refused(f"Fulfillment order {one['id']} has an unfulfillable status= {one['status'].lower()}.")
            orders.add(next(order["name"] for order in self.orders.values() if one in order["fos"]))
            places.add(one["assignedLocation"]["location"]["id"])
            lines = {line["id"]: line for line in one["lines"]}
            for wanted in group.get("fulfillmentOrderLineItems") or []:
                line = lines.get(wanted["id"])
                if line is None or not 0 < wanted["quantity"] <= line["remainingQuantity"]:
                    return _refused("Invalid fulfillment order line item quantity requested.")
                chosen.append((one, line, wanted["quantity"]))
        if len(orders) != 1 or len(places) != 1:
            return _refused("All fulfillment orders must be assigned to the same location and order.")
        order = self.orders[orders.pop()]
        for one, line, qty in chosen:
            line["remainingQuantity"] -= qty
            line["lineItem"]["unfulfilledQuantity"] -= qty
            one["status"] = "CLOSED" if not any(each["remainingQuantity"] for each in one["lines"]) else "IN_PROGRESS"
        self.now += timedelta(seconds=1)
        made: dict[str, Any] = {
            "id": self._id("Fulfillment"),
            "status": "SUCCESS",
            "createdAt": _text(self.now),
            "numbers": [asked.get("trackingInfo") or {}],
            "lines": [{"quantity": qty, "lineItem": line["lineItem"], "home": line} for _, line, qty in chosen],
        }
        made["trackingInfo"] = lambda info, first: made["numbers"][:first]
        made["fulfillmentLineItems"] = lambda info, **page: self._page(made["lines"], **page)
        order["sent"].append(made)
        if asked.get("notifyCustomer"):
            self.mails.append(made["numbers"][0].get("number", ""))
        self._settle(order)
        return {"fulfillment": made, "userErrors": []}

    def _fulfillmentCancel(self, info: Any, id: str) -> dict[str, Any]:
        for order in self.orders.values():
            for one in order["sent"]:
                if one["id"] == id and one["status"] == "SUCCESS":
                    one["status"] = "CANCELLED"
                    for line in one["lines"]:
                        line["home"]["remainingQuantity"] += line["quantity"]
                        line["lineItem"]["unfulfilledQuantity"] += line["quantity"]
                    self._settle(order)
                    return {"fulfillment": one, "userErrors": []}
        return _refused("Fulfillment does not exist.")

    def _fulfillmentTrackingInfoUpdate(
        self, info: Any, fulfillmentId: str, trackingInfoInput: dict[str, Any], notifyCustomer: bool = False
    ) -> dict[str, Any]:
        one = self._fulfillment(info, fulfillmentId)
        if one is None or one["status"] != "SUCCESS":
            return _refused("Fulfillment does not exist or is cancelled.")
        one["numbers"] = [trackingInfoInput]
        if notifyCustomer:
            self.mails.append(trackingInfoInput["number"])
        return {"fulfillment": one, "userErrors": []}

    def _inventorySetQuantities(self, info: GraphQLResolveInfo, input: dict[str, Any]) -> dict[str, Any]:
        key = next(
            (
                argument.value
                for directive in info.field_nodes[0].directives or ()
                if directive.name.value == "idempotent"
                for argument in directive.arguments or ()
            ),
            None,
        )
        if isinstance(key, VariableNode):
            key = self._variables.get(key.name.value)
        if not key:
            said = "The @idempotent directive is required for this mutation but was not provided."
            raise GraphQLError(said, extensions={"code": "BAD_REQUEST"})
        asked, result = self._keys.get(key, (input, None))
        if asked != input:
            return _refused("The same key with other parameters.", "IDEMPOTENCY_KEY_PARAMETER_MISMATCH")
        if result is None:
            result = self._set(input)
            self._keys[key] = (input, result)
        return result

    def _set(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["name"] not in ("available", "on_hand"):
            return _refused("The quantity name must be either 'available' or 'on_hand'.", "INVALID_NAME")
        if asked["reason"] not in ("correction", "cycle_count_available", "other", "received", "restock"):
            return _refused("The specified reason is invalid.", "INVALID_REASON")
        for one in asked["quantities"]:
            if "changeFromQuantity" not in one:
                raise GraphQLError("changeFromQuantity must be passed", extensions={"code": "BAD_REQUEST"})
            item = next((each for each in self.items if each["id"] == one["inventoryItemId"]), None)
            if item is None:
                return _refused("The specified inventory item could not be found.", "INVALID_INVENTORY_ITEM")
            if one["locationId"] not in item["levels"]:
                return _refused("The specified location could not be found.", "INVALID_LOCATION")
            if one["quantity"] < 0:
                return _refused("The quantity can't be negative.", "INVALID_QUANTITY_NEGATIVE")
            if one["changeFromQuantity"] not in (None, item["levels"][one["locationId"]]):
                return _refused(
                    "The changeFromQuantity value does not match persisted value.", "CHANGE_FROM_QUANTITY_STALE"
                )
            item["levels"][one["locationId"]] = one["quantity"]
        return {"userErrors": []}

    def _settle(self, order: dict[str, Any]) -> None:
        left = sum(line["unfulfilledQuantity"] for line in order["lines"])
        live = any(one["status"] == "SUCCESS" for one in order["sent"])
        order["displayFulfillmentStatus"] = (
            "UNFULFILLED" if not live else "PARTIALLY_FULFILLED" if left else "FULFILLED"
        )
        for one in order["fos"]:
            if one["status"] == "CLOSED" and any(line["remainingQuantity"] for line in one["lines"]):
                one["status"] = "OPEN"
        self.touch(order["name"])

    @staticmethod
    def _page(rows: list[Any], first: int, after: str | None = None) -> dict[str, Any]:
        start = int(base64.b64decode(after)) if after else 0
        page = rows[start : start + min(first, 250)]
        end = start + len(page)
        cursor = base64.b64encode(str(end).encode()).decode() if page else None
        return {"nodes": page, "pageInfo": {"hasNextPage": end < len(rows), "endCursor": cursor}}

    def _id(self, kind: str) -> str:
        self._ids += 1
        return f"gid://shopify/{kind}/{self._ids}"


@functools.cache
def _read(query: str) -> tuple[DocumentNode, list[GraphQLError]]:
    document = parse(query)
    return document, list(validate(_SCHEMA, document))


def _cost(operation: OperationDefinitionNode) -> int:
    """What a query may cost at most: an object 1, a list 2 and its rows, a mutation 10."""
    reads = operation.operation.value == "query"
    return _points(operation.selection_set, _SCHEMA.query_type if reads else _SCHEMA.mutation_type) + 10 * (not reads)


def _points(selection: Any, parent: Any) -> int:
    total = 0
    for node in selection.selections if selection else ():
        assert isinstance(node, FieldNode)
        if not node.selection_set or node.name.value == "pageInfo":
            continue
        kind = get_named_type(parent.fields[node.name.value].type)
        inside = _points(node.selection_set, kind) + (not kind.name.endswith("Connection"))
        rows = next((int(one.value.value) for one in node.arguments or () if one.name.value == "first"), None)  # type: ignore[attr-defined]
        total += inside if rows is None else 2 + rows * inside
    return total


def _matches(order: dict[str, Any], query: str) -> bool:
    """The search syntax as far as it is used: terms and groups of alternatives, all of which must hold."""
    return all(any(_holds(order, term) for term in group) for group in _groups(query))


def _groups(query: str) -> Iterator[list[str]]:
    for group, term in re.findall(r"\(([^)]*)\)|(\S*?:\S?(?:'[^']*'|\"(?:[^\"\\]|\\.)*\"|=?'[^']*'|\S+))", query):
        yield group.split(" OR ") if group else [term]


def _holds(order: dict[str, Any], term: str) -> bool:
    name, value = term.strip().split(":", 1)
    if name == "updated_at":
        assert value.startswith(">='"), term
        return datetime.fromisoformat(order["updatedAt"]) >= datetime.fromisoformat(value[3:-1])
    if name == "name":
        # As a word of the name's beginning, with or without its sign.
        return bool(order["name"].lstrip("#").startswith((_quoted(term, "name") or "").lstrip("#")))
    if name == "status":
        return (order["cancelledAt"] is None) == (value == "open")
    if name == "financial_status":
        return bool(order["displayFinancialStatus"] == value.upper())
    assert name == "fulfillment_status", term
    names = {"partial": "PARTIALLY_FULFILLED"}
    return bool(order["displayFulfillmentStatus"] == names.get(value, value.upper()))


def _quoted(query: str, name: str) -> str | None:
    found = re.fullmatch(rf'{name}:"((?:[^"\\]|\\.)*)"', query.strip())
    return re.sub(r"\\(.)", r"\1", found[1]) if found else None


def _place(order: dict[str, Any]) -> tuple[str, int]:
    return order["updatedAt"], int(order["id"].rsplit("/", 1)[1])


def _operation(query: str) -> str:
    found = re.search(r"\{\s*(\w+)", query)
    assert found
    return found[1]


def _refused(message: str, code: str | None = None) -> dict[str, Any]:
    return {"fulfillment": None, "userErrors": [{"field": None, "message": message, "code": code}]}


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(body: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(body).encode())
