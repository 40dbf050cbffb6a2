"""Vendure, an open-source shop, through its Admin GraphQL API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from wms.connectors import (
    ConnectorError,
    Grain,
    OrderState,
    Pushed,
    ReadBack,
    Recipient,
    Shipment,
    ShopLine,
    ShopOrder,
    setting,
)
from wms.connectors.http import Answer, Door
from wms.errors import N_

PAGE = 100
# `updatedAt` has whole seconds and may lie before the moment the order was placed: without an overlap the
# last orders before the cursor are never seen.
OVERLAP = timedelta(minutes=2)

STATES: dict[str, OrderState] = {
    "PaymentSettled": "paid",
    "PartiallyShipped": "paid",
    "Shipped": "shipped",
    "PartiallyDelivered": "shipped",
    "Delivered": "shipped",
    "Cancelled": "cancelled",
    "Modifying": "other",
    "ArrangingAdditionalPayment": "other",
}
DONE = ("Shipped", "Delivered")
"""States of a fulfilment that is on its way."""

_ORDER = """
  id code state active updatedAt orderPlacedAt currencyCode totalWithTax
  customer { firstName lastName phoneNumber }
  shippingAddress {
    fullName company streetLine1 streetLine2 city province postalCode country countryCode phoneNumber
  }
  lines { id quantity unitPriceWithTax productVariant { sku name } }
  fulfillments { id state method trackingCode lines { orderLineId quantity } }
  payments { refunds { state total } }
"""

LIST = "query($options: OrderListOptions!) { orders(options: $options) { totalItems items {" + _ORDER + "} } }"
LOGIN = """
mutation($username: String!, $password: String!) {
  login(username: $username, password: $password, rememberMe: true) {
    __typename ... on ErrorResult { errorCode message }
  }
}"""
FULFIL = """
mutation($input: FulfillOrderInput!) {
  addFulfillmentToOrder(input: $input) {
    __typename ... on Fulfillment { id state } ... on ErrorResult { errorCode message }
  }
}"""
TRANSITION = """
mutation($id: ID!, $state: String!) {
  transitionFulfillmentToState(id: $id, state: $state) {
    __typename ... on Fulfillment { id state } ... on ErrorResult { errorCode message }
  }
}"""
VARIANTS = """
query($sku: String!) {
  productVariants(options: { filter: { sku: { eq: $sku } } }) {
    items { id sku stockLevels { stockLocationId stockOnHand stockAllocated } }
  }
}"""
SET_STOCK = """
mutation($input: [UpdateProductVariantInput!]!) { updateProductVariants(input: $input) { id } }"""


@dataclass(slots=True)
class Vendure:
    """Settings: ``url`` (…/admin-api) and either ``token`` or ``username`` with ``password``;
    ``channel`` (a channel's token) where the shop has several.
    """

    door: Door
    token: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    channel: str = ""
    grain: Grain = "package"

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], transport: httpx.BaseTransport | None = None) -> Vendure:
        token = str(settings.get("token") or "")
        return cls(
            door=Door(setting(settings, "url"), transport=transport),
            token=token,
            username="" if token else setting(settings, "username"),
            password="" if token else setting(settings, "password"),
            channel=str(settings.get("channel") or ""),
        )

    # In

    def fetch_orders(self, since: datetime | None) -> Iterator[ShopOrder]:
        """Orders changed after ``since`` less the overlap; at first only those that can be shipped."""
        states = [state for state, ours in STATES.items() if since is not None or ours == "paid"]
        after = since.astimezone(UTC) - OVERLAP if since is not None else None
        seen: set[tuple[str, str]] = set()
        skip = 0
        while True:
            # The page starts at a time, not at a number: an order changed while we read moves to the end, and
            # all behind it would move up by one, past a page that is counted.
            chosen: dict[str, Any] = {"state": {"in": states}}
            if after is not None:
                chosen["updatedAt"] = {"after": after.isoformat(timespec="milliseconds")}
            items = self._orders(
                {"filter": chosen, "sort": {"updatedAt": "ASC", "id": "ASC"}, "skip": skip, "take": PAGE}
            )
            for order in items:
                identity = (order["id"], order["updatedAt"])
                if identity not in seen:
                    seen.add(identity)
                    yield _shop_order(order)
            if len(items) < PAGE:
                return
            reached = _time(items[-1]["updatedAt"]) - timedelta(seconds=1)
            if after is None or reached > after:
                after, skip = reached, 0
            else:
                skip += PAGE

    def order_state(self, shop_order_no: str) -> str:
        return _state(self._order(shop_order_no))

    def read_back(self, shop_order_no: str) -> ReadBack:
        order = self._order(shop_order_no)
        return ReadBack(_state(order), tuple(one["trackingCode"] for one in _live(order) if one["trackingCode"]))

    # Out

    def push_shipment(self, shipment: Shipment) -> Pushed:
        """Two calls, each of which may be lost: what the shop holds decides what is left to do."""
        order = self._order(shipment.shop_order_no)
        ours = _ours(order, shipment)
        if not ours:
            refused = self._add(order, shipment)
            order = self._order(shipment.shop_order_no)
            ours = _ours(order, shipment)
            if not ours:
                # "Already fulfilled" is also said of a cancelled order and of a lost race (R37).
                return refused or _conflict(order, shipment)
        first, *twins = ours
        for twin in twins:
            # Two pushes at the same time: the lowest number stays, whoever looks.
            if twin["state"] not in DONE:
                self._transition(twin["id"], "Cancelled")
        if first["state"] not in DONE:
            return self._ship(first["id"], shipment)
        return Pushed("acknowledged", N_("The shop has waybill %(waybill)s."), _evidence(order, shipment, first["id"]))

    def _add(self, order: Mapping[str, Any], shipment: Shipment) -> Pushed | None:
        """Make the fulfilment; what a person must know when the shop will not have it, else None."""
        if _state(order) != "paid":
            return _conflict(order, shipment)
        lines = _lines(order, shipment)
        if lines is None:
            return _conflict(order, shipment)
        arguments = {
            "method": shipment.carrier_name or shipment.carrier_code,
            "trackingCode": shipment.waybill_no,
        }
        result = self._call(
            FULFIL,
            {
                "input": {
                    "lines": [{"orderLineId": line, "quantity": qty} for line, qty in lines.items()],
                    "handler": {
                        "code": "manual-fulfillment",
                        "arguments": [{"name": name, "value": value} for name, value in arguments.items()],
                    },
                }
            },
        )["addFulfillmentToOrder"]
        if result["__typename"] == "Fulfillment" or result["errorCode"] == "ITEMS_ALREADY_FULFILLED_ERROR":
            return None
        return Pushed(
            "conflict",
            N_("The shop does not take the shipment of order %(order)s: %(shop_says)s"),
            {**_evidence(order, shipment), "shop_says": result["message"], "code": result["errorCode"]},
        )

    def _ship(self, fulfilment: str, shipment: Shipment) -> Pushed:
        result = self._transition(fulfilment, "Shipped")
        order = self._order(shipment.shop_order_no)
        live = {one["id"]: one for one in _ours(order, shipment)}
        evidence = _evidence(order, shipment, fulfilment)
        if fulfilment in live and live[fulfilment]["state"] in DONE:
            return Pushed("acknowledged", N_("The shop took waybill %(waybill)s."), evidence)
        if _state(order) != "paid":
            return _conflict(order, shipment)
        return Pushed(
            "conflict",
            N_("The shop does not take the shipment of order %(order)s: %(shop_says)s"),
            {**evidence, "shop_says": result.get("message", ""), "code": result.get("errorCode", "")},
        )

    def _transition(self, fulfilment: str, state: str) -> dict[str, Any]:
        answer = self._call(TRANSITION, {"id": fulfilment, "state": state})
        result: dict[str, Any] = answer["transitionFulfillmentToState"]
        return result

    def push_stock(self, sku: str, qty: int) -> None:
        """Set what can be sold: the shop takes its own open orders off what it has, so those are added."""
        variant = self._variant(sku)
        levels = variant["stockLevels"]
        if not levels:
            raise self._shop_error(
                "no_stock_place", N_("The shop keeps no stock of %(sku)s. Switch it on there."), sku=sku
            )
        first, *others = levels
        taken = sum(level["stockAllocated"] for level in levels)
        wanted = [{"stockLocationId": first["stockLocationId"], "stockOnHand": qty + taken}]
        wanted += [{"stockLocationId": level["stockLocationId"], "stockOnHand": 0} for level in others]
        self._call(SET_STOCK, {"input": [{"id": variant["id"], "stockLevels": wanted}]})

    def stock(self, sku: str) -> int:
        """Pieces the shop can still sell."""
        levels = self._variant(sku)["stockLevels"]
        return sum(level["stockOnHand"] - level["stockAllocated"] for level in levels)

    def _variant(self, sku: str) -> dict[str, Any]:
        for variant in self._call(VARIANTS, {"sku": sku})["productVariants"]["items"]:
            if variant["sku"] == sku:
                found: dict[str, Any] = variant
                return found
        raise self._shop_error("sku_unknown", N_("The shop has no item with SKU %(sku)s."), sku=sku)

    # The wire

    def _order(self, code: str) -> dict[str, Any]:
        items = self._orders({"filter": {"code": {"eq": code}}, "take": 1})
        if not items:
            raise self._shop_error("order_unknown", N_("The shop has no order %(order)s."), order=code)
        return items[0]

    def _orders(self, options: Mapping[str, Any]) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self._call(LIST, {"options": options})["orders"]["items"]
        return items

    def _call(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        if not self.token:
            self._login()
        answer = self._post(query, variables)
        if _forbidden(answer) and self.username:
            # A session ends after some time without a word.
            self._login()
            answer = self._post(query, variables)
        if _forbidden(answer):
            raise self._shop_error(
                "unauthorised", N_("%(host)s refuses our key. Enter a new one in the shop's settings.")
            )
        return self._result(answer)

    def _post(self, query: str, variables: Mapping[str, Any]) -> Answer:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if self.channel:
            headers["vendure-token"] = self.channel
        return self.door.post_json({"query": query, "variables": variables}, headers)

    def _login(self) -> None:
        self.token = ""
        answer = self._post(LOGIN, {"username": self.username, "password": self.password})
        result = self._result(answer)["login"]
        if result["__typename"] != "CurrentUser":
            raise self._shop_error(
                "unauthorised", N_("%(host)s does not know this user and password. Enter them again.")
            )
        self.token = answer.headers.get("vendure-auth-token", "")
        if not self.token:
            raise self._shop_error(
                "no_token", N_("%(host)s gives no key at sign-in. Switch on the bearer method there.")
            )

    def _result(self, answer: Answer) -> dict[str, Any]:
        body = answer.body if isinstance(answer.body, dict) else {}
        errors = body.get("errors") or []
        data = body.get("data")
        if errors or not isinstance(data, dict):
            code = _code(errors[0]) if errors else ""
            # Of our making (a field it does not have, an input it refuses): the same call fails for ever.
            permanent = code in ("GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT", "USER_INPUT_ERROR")
            raise ConnectorError(
                permanent=permanent,
                reason=code.lower() or "no_data",
                message=N_("%(host)s reports: %(shop_says)s"),
                facts={"host": self.door.host, "shop_says": _says(errors)},
            )
        return data

    def _shop_error(self, reason: str, message: str, **facts: Any) -> ConnectorError:
        facts = {"host": self.door.host, **facts}
        return ConnectorError(permanent=True, reason=reason, message=message, facts=facts)


def _code(error: Mapping[str, Any]) -> str:
    return str((error.get("extensions") or {}).get("code") or "")


def _says(errors: list[Mapping[str, Any]]) -> str:
    return "; ".join(str(error.get("message", ""))[:200] for error in errors[:3]) or "no data"


def _forbidden(answer: Answer) -> bool:
    """A bad key comes as HTTP 200 with an error inside."""
    errors = answer.body.get("errors") if isinstance(answer.body, dict) else None
    return any(_code(error) in ("FORBIDDEN", "UNAUTHORIZED") for error in errors or [])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def _state(order: Mapping[str, Any]) -> OrderState:
    state = STATES.get(order["state"], "other")
    refunds = [refund for payment in order["payments"] or [] for refund in payment["refunds"]]
    back = sum(refund["total"] for refund in refunds if refund["state"] != "Failed")
    if state == "paid" and back and back >= order["totalWithTax"]:
        return "refunding"  # paid back in full, but the order was not cancelled
    return state


def _shop_order(order: dict[str, Any]) -> ShopOrder:
    address = order["shippingAddress"] or {}
    customer = order["customer"] or {}

    def of(name: str) -> str:
        return str(address.get(name) or "")

    full_name = " ".join(str(customer.get(part) or "") for part in ("firstName", "lastName")).strip()
    streets = (of("company"), of("streetLine1"), of("streetLine2"))
    placed = order["orderPlacedAt"]
    return ShopOrder(
        shop_order_no=order["code"],
        ordered_at=_time(placed) if placed else None,
        state=_state(order),
        lines=tuple(
            ShopLine(
                line_ref=str(line["id"]),
                sku=line["productVariant"]["sku"],
                name=line["productVariant"]["name"],
                # A line whose pieces were all cancelled stays on the order with none.
                qty=line["quantity"] or 1,
                price_minor=line["unitPriceWithTax"],
                cancelled=line["quantity"] == 0 or order["state"] == "Cancelled",
            )
            for line in order["lines"]
        ),
        recipient=Recipient(
            name=of("fullName") or full_name,
            phone=of("phoneNumber") or str(customer.get("phoneNumber") or ""),
            province=of("province"),
            city=of("city"),
            address=", ".join(part for part in streets if part),
            country=of("countryCode"),
            postcode=of("postalCode"),
        ),
        raw=order,
        updated_at=_time(order["updatedAt"]),
        currency=order["currencyCode"],
    )


def _live(order: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [one for one in order["fulfillments"] or [] if one["state"] != "Cancelled"]


def _ours(order: Mapping[str, Any], shipment: Shipment) -> list[dict[str, Any]]:
    """Live fulfilments under our waybill; a shipped one first, then by id (not always a number)."""
    found = [one for one in _live(order) if (one["trackingCode"] or "").strip() == shipment.waybill_no]
    return sorted(found, key=lambda one: (one["state"] not in DONE, len(one["id"]), one["id"]))


def _lines(order: Mapping[str, Any], shipment: Shipment) -> dict[str, int] | None:
    """Order line → pieces of this parcel; None when the order has not that many left to ship."""
    left: dict[str, int] = {line["id"]: line["quantity"] for line in order["lines"]}
    skus = {line["id"]: line["productVariant"]["sku"] for line in order["lines"]}
    for fulfilment in _live(order):
        for line in fulfilment["lines"]:
            left[line["orderLineId"]] = left.get(line["orderLineId"], 0) - line["quantity"]
    taken: Counter[str] = Counter()
    for line_ref, sku, qty in shipment.lines:
        homes = [line_ref] if line_ref in left else [one for one, code in skus.items() if code == sku]
        for home in homes:
            part = min(qty, left[home])
            if part > 0:
                taken[home] += part
                left[home] -= part
                qty -= part
        if qty:
            return None
    return dict(taken) or None


def _evidence(order: Mapping[str, Any], shipment: Shipment, fulfilment: str = "") -> dict[str, Any]:
    return {
        "order": shipment.shop_order_no,
        "parcel": shipment.parcel_no,
        "waybill": shipment.waybill_no,
        "state": order["state"],
        "fulfilment": fulfilment,
    }


def _conflict(order: Mapping[str, Any], shipment: Shipment) -> Pushed:
    others = sorted({one["trackingCode"] or "–" for one in _live(order)})
    evidence = {**_evidence(order, shipment), "others": ", ".join(others)}
    state = _state(order)
    if state == "cancelled":
        words = N_("Order %(order)s is cancelled at the shop. Stop parcel %(parcel)s or call it back.")
    elif state == "refunding":
        words = N_("Order %(order)s was paid back at the shop. Stop parcel %(parcel)s or call it back.")
    elif others:
        words = N_("The shop has order %(order)s under another waybill: %(others)s, not %(waybill)s.")
    else:
        words = N_("The shop does not wait for these pieces of order %(order)s (state %(state)s). Compare the lines.")
    return Pushed("conflict", words, evidence)
