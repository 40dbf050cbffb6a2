"""WooCommerce, through its REST API (wc/v3) and whichever of three ways the shop has for tracking numbers.

Built from WooCommerce's documentation and its open source. Proved: signatures and requests against the official
Python client, the behaviour only against a double. Not certified live.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import quote

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
from wms.connectors.http import Answer, Door, quoted
from wms.errors import N_

PAGE = 100
OVERLAP = timedelta(minutes=2)

STATES: dict[str, OrderState] = {
    "processing": "paid",
    "partial-shipped": "paid",  # of the tracking plugins
    "partially-shipped": "paid",
    "completed": "shipped",
    "shipped": "shipped",
    "delivered": "shipped",
    "cancelled": "cancelled",
    "refunded": "cancelled",
    "trash": "cancelled",
}
Way = Literal["core", "plugin", "note"]
WAYS: tuple[Way, ...] = ("core", "plugin", "note")
PLUGINS = ("/wc-shipment-tracking/v3", "/wc-ast/v3")
OURS = "_wms_parcel_"
"""A parcel's own note on the order (its pieces, under its waybill), where the shop's way keeps no pieces."""
LOST = ("timeout", "offline", "shop_fault", "no_json")
"""Reasons after which the shop may have done it all the same."""
ANSWERED = (400, 401, 403, 404, 409)
"""Statuses that come with a code and words of the shop."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """A number the shop has, and what is inside where it knows."""

    id: str
    number: str
    pieces: Mapping[str, int] = field(default_factory=dict)
    meta: tuple[Mapping[str, Any], ...] = ()


@dataclass(slots=True)
class WooCommerce:
    """Settings: ``url`` (the shop's first page), ``key`` and ``secret`` (of a REST key with read and write).

    ``tracking``: ``core`` (fulfilments), ``plugin`` (Shipment Tracking, AST) or ``note``; empty to find out.
    ``carriers``: our carrier code → the provider's name there. ``paid_states``: states of the shop's own that
    are to be shipped, with commas. ``notify``: false when the shop shall not mail the buyer (core and note).
    """

    door: Door
    key: str = field(repr=False)
    secret: str = field(repr=False)
    tracking: Way | None = None
    plugin: str = ""
    carriers: Mapping[str, str] = field(default_factory=dict)
    paid_states: frozenset[str] = frozenset()
    notify: bool = True
    clock: Callable[[], datetime] = now
    grain: Grain = "package"
    complete_until: datetime | None = None
    """What ``fetch_orders`` has read so far, all of it: a later run may begin here."""
    unread: dict[str, ConnectorError] = field(default_factory=dict)
    """Orders of the last ``fetch_orders`` that could not be understood."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], transport: httpx.BaseTransport | None = None) -> WooCommerce:
        wanted = str(settings.get("tracking") or "")
        way = next((one for one in WAYS if one == wanted), None)
        if wanted and way is None:
            raise ConnectorError(
                permanent=True,
                reason="bad_setting",
                message=N_("%(value)s is no way to tell tracking numbers. It is one of %(ways)s."),
                facts={"value": wanted, "ways": ", ".join(WAYS)},
            )
        return cls(
            door=Door(setting(settings, "url").rstrip("/") + "/wp-json", transport=transport),
            key=setting(settings, "key"),
            secret=setting(settings, "secret"),
            tracking=way,
            carriers=table(settings, "carriers"),
            paid_states=frozenset(str(settings.get("paid_states") or "").replace(",", " ").split()),
            notify=settings.get("notify", True) is not False,
        )

    # In

    def fetch_orders(self, since: datetime | None) -> Iterator[ShopOrder]:
        """Orders changed after ``since`` less the overlap; at first only those that can be shipped."""
        self.unread, self.complete_until = {}, since
        began = self.clock()
        after = since.astimezone(UTC) - OVERLAP if since is not None else None
        states = ["any"] if since is not None else sorted({"processing", *self.paid_states})
        seen: set[tuple[int, str]] = set()
        page = 1
        while True:
            # Without dates_are_gmt the shop takes the time for its own. The page starts at a time, not at a
            # number: an order changed while we read moves to the end, and all behind it would move up by one.
            params = [("status", ",".join(states)), ("orderby", "modified"), ("order", "asc")]
            params += [("per_page", str(PAGE)), ("page", str(page)), ("dates_are_gmt", "true")]
            if after is not None:
                params.append(("modified_after", after.strftime("%Y-%m-%dT%H:%M:%S")))
            found: list[dict[str, Any]] = self._call("GET", "/wc/v3/orders", params=params)
            for order in found:
                identity = (order["id"], order["date_modified_gmt"])
                if identity not in seen:
                    seen.add(identity)
                    yield self._shop_order(self._with_refunds(order))
                if since is not None:
                    self.complete_until = _time(order["date_modified_gmt"])
            if len(found) < PAGE:
                self.complete_until = began
                return
            reached = _time(found[-1]["date_modified_gmt"]) - timedelta(seconds=1)
            if after is None or reached > after:
                after, page = reached, 1
            else:
                page += 1

    def order_state(self, shop_order_no: str) -> str:
        return self._state(self._order(shop_order_no))

    def read_order(self, shop_order_no: str) -> ShopOrder:
        order = self._order(shop_order_no)
        try:
            return self._read(order)
        except common.UNREADABLE as error:
            raise common.unreadable(shop_order_no, order, error)[1] from error

    def _shop_order(self, order: dict[str, Any]) -> ShopOrder:
        try:
            return self._read(order)
        except common.UNREADABLE as error:
            number = str(order.get("id"))
            bad, self.unread[number] = common.unreadable(number, order, error)
            return bad

    def _read(self, order: dict[str, Any]) -> ShopOrder:
        state = self._state(order)
        back = _refunded(order)
        number = str(order.get("number") or "")
        return ShopOrder(
            shop_order_no=str(order["id"]),
            ordered_at=_time(order["date_created_gmt"]),
            state=state,
            lines=tuple(_line(line, back[str(line["id"])], order["currency"], state) for line in order["line_items"]),
            recipient=_recipient(order["shipping"], order["billing"]),
            buyer_note=order["customer_note"],
            seller_memo="" if number == str(order["id"]) else f"#{number}",
            carrier_hint=", ".join(one["method_title"] for one in order["shipping_lines"]),
            raw=order,
            updated_at=_time(order["date_modified_gmt"]),
            currency=order["currency"],
        )

    def _state(self, order: Mapping[str, Any]) -> OrderState:
        state = "paid" if order["status"] in self.paid_states else STATES.get(order["status"], "other")
        if state == "paid" and order["line_items"] and not any(_left(order).values()):
            return "cancelled"  # every piece was paid back, and nobody changed the state
        back = sum(-Decimal(one["total"]) for one in order["refunds"])
        if state == "paid" and back > 0 and back >= Decimal(order["total"]):
            return "refunding"
        return state

    # Out

    def push_shipment(self, shipment: Shipment) -> Pushed:
        """The number first, the order's state after it: the mail to the buyer goes out with the state.

        Each call may be lost, so what the shop has under our number decides what is left to do.
        """
        order = self._order(shipment.shop_order_no)
        way = self._way(shipment.shop_order_no)
        sent = self._sent(order, way)
        state = self._state(order)
        fresh = not _ours(sent, shipment)
        if fresh:
            inside = _inside(order, way, sent, shipment) if state == "paid" else None
            if inside is None:
                others = [one.number for one in sent]
                return common.conflict(shipment, state, order["status"], others)
            said = self._tell(order, way, inside, shipment)
            sent = self._sent(self._order(shipment.shop_order_no), way)
            if not _ours(sent, shipment):
                return common.refused(shipment, order["status"], said, others=", ".join(one.number for one in sent))
        self._drop_twins(order, way, sent, shipment)
        order = self._order(shipment.shop_order_no)
        self._complete(order, way, shipment)
        answer = common.taken if fresh else common.already
        return answer(shipment, order["status"], way=way)

    def _tell(self, order: Mapping[str, Any], way: Way, inside: Mapping[str, int], shipment: Shipment) -> str:
        """Give the shop the number; what it says against it, or nothing. A lost answer is read back."""
        path = f"/wc/v3/orders/{order['id']}"
        try:
            if way == "core":
                body = {"status": "fulfilled", "is_fulfilled": True, "meta_data": self._meta(inside, shipment)}
                notify = [("notify_customer", "true" if self.notify else "false")]
                self._call("POST", f"{path}/fulfillments", params=notify, body=body)
            else:
                # The pieces first: without them nobody knows whether the order is complete.
                note = {"key": OURS + shipment.waybill_no, "value": dict(inside)}
                self._call("PUT", path, body={"meta_data": [note]})
                if way == "plugin":
                    self._call(
                        "POST",
                        f"{self.plugin}/orders/{order['id']}/shipment-trackings",
                        body={
                            **self._provider(shipment),
                            "tracking_number": shipment.waybill_no,
                            "date_shipped": shipment.shipped_at.astimezone(UTC).date().isoformat(),
                        },
                    )
                else:
                    self._note(path, shipment)
        except ConnectorError as error:
            if error.reason == "refused_here":
                return str(error.facts["shop_says"])
            if error.reason not in LOST or not _ours(self._sent(self._order(shipment.shop_order_no), way), shipment):
                raise
        return ""

    def _note(self, path: str, shipment: Shipment) -> None:
        """A note the buyer gets by mail, once however often it is asked."""
        words = f"{self._name(shipment)}: {shipment.waybill_no}"
        notes = self._call("GET", f"{path}/notes", params=[("per_page", str(PAGE))])
        if not any(shipment.waybill_no in one["note"] for one in notes):
            self._call("POST", f"{path}/notes", body={"note": words, "customer_note": self.notify})

    def _complete(self, order: Mapping[str, Any], way: Way, shipment: Shipment) -> None:
        """Set the order completed when all its pieces have gone."""
        if self._state(order) != "paid":
            return
        if way == "note":
            self._note(f"/wc/v3/orders/{order['id']}", shipment)  # it may have been cut off before
        gone = self._gone(order, way)
        if all(gone[line] >= qty for line, qty in _left(order).items()):
            self._call("PUT", f"/wc/v3/orders/{order['id']}", body={"status": "completed"})

    def _gone(self, order: Mapping[str, Any], way: Way) -> Counter[str]:
        gone: Counter[str] = Counter()
        for one in _parcels(order, way, self._sent(order, way)):
            gone.update(one.pieces)
        return gone

    def _drop_twins(self, order: Mapping[str, Any], way: Way, sent: Sequence[_Sent], shipment: Shipment) -> None:
        """Two pushes at once may both have been taken; the oldest stays."""
        ours = _ours(sent, shipment) if way != "note" else []
        for twin in ours[1:]:
            if twin.pieces == ours[0].pieces:
                self._call("DELETE", self._place(order, way, twin))

    def correct_shipment(self, shipment: Shipment, wrong: str) -> Pushed:
        """Put the parcel's number in the place of a wrong one that was told before."""
        order = self._order(shipment.shop_order_no)
        way = self._way(shipment.shop_order_no)
        sent = self._sent(order, way)
        found = [one for one in sent if common.same_number(one.number, wrong)]
        if not found:
            if _ours(sent, shipment):
                return common.already(shipment, order["status"], way=way)
            return common.not_there(shipment, order["status"], wrong)
        pieces = {one.number: one.pieces for one in _our_parcels(order)}
        for one in found:
            if way == "core":
                # What a change does not name again is lost, so all of it is named.
                kept = [meta for meta in one.meta if meta["key"] not in _TRACKING]
                body = {"is_fulfilled": True, "meta_data": [*kept, *self._meta({}, shipment)[1:]]}
                notify = [("notify_customer", "true" if self.notify else "false")]
                self._call("PUT", self._place(order, way, one), params=notify, body=body)
                continue
            said = self._tell(order, way, pieces.get(one.number, {}), shipment)
            if said:
                return common.refused(shipment, order["status"], said)
            if way == "plugin":
                self._call("DELETE", self._place(order, way, one))
            gone = [{"key": OURS + one.number, "value": None}]
            self._call("PUT", f"/wc/v3/orders/{order['id']}", body={"meta_data": gone})
        return common.taken(shipment, order["status"], way=way, wrong=wrong)

    def _place(self, order: Mapping[str, Any], way: Way, one: _Sent) -> str:
        if way == "core":
            return f"/wc/v3/orders/{order['id']}/fulfillments/{one.id}"
        return f"{self.plugin}/orders/{order['id']}/shipment-trackings/{one.id}"

    def _meta(self, inside: Mapping[str, int], shipment: Shipment) -> list[dict[str, Any]]:
        provider = self.carriers.get(shipment.carrier_code)
        items = [{"item_id": int(line), "qty": qty} for line, qty in inside.items()]
        meta = {"_items": items, "_tracking_number": shipment.waybill_no, "_shipping_provider": provider or "other"}
        if not provider:
            meta["_provider_name"] = self._name(shipment)
        return [{"key": key, "value": value} for key, value in meta.items()]

    def _provider(self, shipment: Shipment) -> dict[str, str]:
        name = self.carriers.get(shipment.carrier_code)
        return {"tracking_provider": name} if name else {"custom_tracking_provider": self._name(shipment)}

    def _name(self, shipment: Shipment) -> str:
        return self.carriers.get(shipment.carrier_code) or shipment.carrier_name or shipment.carrier_code

    def _way(self, order_no: str) -> Way:
        """How this shop takes numbers: the first way whose address exists."""
        if self.tracking is None and self._exists(f"/wc/v3/orders/{order_no}/fulfillments"):
            self.tracking = "core"
        if self.tracking in ("core", "note") or self.plugin:
            return self.tracking or "plugin"
        self.plugin = next((one for one in PLUGINS if self._exists(f"{one}/orders/{order_no}/shipment-trackings")), "")
        if not self.plugin and self.tracking == "plugin":
            raise self._error(True, "no_plugin", N_("%(host)s has no plugin for tracking numbers. Switch it on there."))
        self.tracking = "plugin" if self.plugin else "note"
        return self.tracking

    def _exists(self, path: str) -> bool:
        answer = self._ask("GET", path)
        if answer.status == 404 and _code(answer) == "rest_no_route":
            return False
        self._judge(answer)
        return True

    def _sent(self, order: Mapping[str, Any], way: Way) -> list[_Sent]:
        """Every number the shop has for this order, the oldest first."""
        if way == "note":
            return _our_parcels(order)
        if way == "plugin":
            path = f"{self.plugin}/orders/{order['id']}/shipment-trackings"
            return [_Sent(str(one["tracking_id"]), str(one["tracking_number"])) for one in self._call("GET", path)]
        found = self._call("GET", f"/wc/v3/orders/{order['id']}/fulfillments")
        sent = []
        for one in sorted(found, key=lambda one: int(one["id"])):
            meta = {each["key"]: each["value"] for each in one["meta_data"]}
            if one["is_fulfilled"] and not one.get("date_deleted"):
                pieces = {str(each["item_id"]): int(each["qty"]) for each in meta.get("_items") or []}
                number = str(meta.get("_tracking_number") or "")
                sent.append(_Sent(str(one["id"]), number, pieces, tuple(one["meta_data"])))
        return sent

    def push_stock(self, sku: str, qty: int) -> None:
        """Set what can be sold of the product or variation with this SKU."""
        product = self._product(sku)
        if product["manage_stock"] is not True:
            words = N_("The shop keeps no stock of %(sku)s. Switch it on there.")
            raise self._error(True, "no_stock_place", words, sku=sku)
        self._call("PUT", _product_path(product), body={"stock_quantity": qty})

    def stock(self, sku: str) -> int:
        """Pieces the shop can still sell."""
        return int(self._product(sku)["stock_quantity"] or 0)

    def _product(self, sku: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = self._call("GET", "/wc/v3/products", params=[("sku", sku)])
        same = [one for one in found if one["sku"] == sku]
        if not same:
            raise common.unknown_sku(self.door.host, sku)
        if len(same) > 1:
            raise common.ambiguous_sku(self.door.host, sku)
        return same[0]

    # The wire

    def _order(self, order_no: str) -> dict[str, Any]:
        if not order_no.isdigit():
            raise common.unknown_order(self.door.host, order_no)
        answer = self._ask("GET", f"/wc/v3/orders/{order_no}")
        if answer.status in (400, 404) and _code(answer).endswith("_invalid_id"):
            raise common.unknown_order(self.door.host, order_no)
        self._judge(answer)
        return self._with_refunds(answer.body)

    def _with_refunds(self, order: dict[str, Any]) -> dict[str, Any]:
        """The order's own list of refunds has sums alone; the pieces stand apart."""
        details: list[dict[str, Any]] = []
        page = 1
        while order.get("refunds") and len(details) == (page - 1) * PAGE:
            params = [("per_page", str(PAGE)), ("page", str(page))]
            details += self._call("GET", f"/wc/v3/orders/{order['id']}/refunds", params=params)
            page += 1
        return {**order, "refund_details": details}

    def _call(self, method: str, path: str, *, params: Sequence[tuple[str, str]] = (), body: Any = None) -> Any:
        answer = self._ask(method, path, params, body)
        self._judge(answer)
        return answer.body

    def _ask(self, method: str, path: str, params: Sequence[tuple[str, str]] = (), body: Any = None) -> Answer:
        auth = None
        if self.door.url.scheme == "https":
            auth = (self.key, self.secret)
        else:
            # In the clear the secret itself must not travel.
            at, nonce = int(self.clock().timestamp()), secrets.token_hex(16)
            params = signed(
                method, str(self.door.address(path)), params, key=self.key, secret=self.secret, at=at, nonce=nonce
            )
        return self.door.request_json(method, path, params=params, body=body, auth=auth, judged=ANSWERED)

    def _judge(self, answer: Answer) -> None:
        if answer.status not in ANSWERED:
            return
        code = _code(answer)
        body = answer.body if isinstance(answer.body, dict) else {}
        said = quoted(body.get("message"), self.key, self.secret) or str(answer.status)
        if code.startswith("woocommerce_rest_cannot"):
            words = N_("Our key may not do this at %(host)s: %(shop_says)s Give the key read and write there.")
            raise self._error(True, "access_denied", words, shop_says=said)
        if answer.status in (401, 403):
            words = N_("%(host)s refuses our key: %(shop_says)s Enter a new one in the shop's settings.")
            raise self._error(True, "unauthorised", words, shop_says=said)
        if code == "rest_no_route":
            words = N_("There is no WooCommerce at %(host)s. Check the address and that permalinks are on.")
            raise self._error(True, "refused", words)
        raise self._error(True, "refused_here", N_("%(host)s reports: %(shop_says)s"), shop_says=said)

    def _error(self, permanent: bool, reason: str, message: str, **facts: Any) -> ConnectorError:
        facts = {"host": self.door.host, **facts}
        return ConnectorError(permanent=permanent, reason=reason, message=message, facts=facts)


def signed(
    method: str, address: str, params: Sequence[tuple[str, str]], *, key: str, secret: str, at: int, nonce: str
) -> list[tuple[str, str]]:
    """The query with its OAuth 1.0a signature (RFC 5849, HMAC-SHA256, no token). ``at`` is in epoch seconds."""
    query = [
        *params,
        ("oauth_consumer_key", key),
        ("oauth_nonce", nonce),
        ("oauth_signature_method", "HMAC-SHA256"),
        ("oauth_timestamp", str(at)),
    ]
    # Each name once: sorted by its bytes, as the shop does.
    pairs = "&".join(f"{_percent(name)}={_percent(value)}" for name, value in sorted(query, key=_name_bytes))
    base = f"{method.upper()}&{_percent(address)}&{_percent(pairs)}"
    digest = hmac.new(f"{secret}&".encode(), base.encode(), hashlib.sha256).digest()
    return [*query, ("oauth_signature", base64.b64encode(digest).decode())]


def orders_of(topic: str, body: bytes) -> tuple[str, ...]:
    """The order a webhook speaks of; none of its first ping (``webhook_id=1``, a form) and of other topics."""
    try:
        told = json.loads(body) if topic.startswith("order.") else None
    except (ValueError, RecursionError):
        return ()
    number = told.get("id") if isinstance(told, dict) else None
    return (str(number),) if isinstance(number, int) and not isinstance(number, bool) and number > 0 else ()


def verify_webhook(secret: str, body: bytes, signature: str) -> bool:
    """Whether ``X-WC-Webhook-Signature`` was made over these very bytes with the webhook's secret."""
    wanted = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest())
    return hmac.compare_digest(wanted, signature.encode())


_TRACKING = ("_tracking_number", "_shipping_provider", "_provider_name", "_tracking_url")


def _percent(text: str) -> str:
    return quote(text, safe="")


def _name_bytes(pair: tuple[str, str]) -> bytes:
    return pair[0].encode()


def _code(answer: Answer) -> str:
    return str(answer.body.get("code") or "") if isinstance(answer.body, dict) else ""


def _time(text: str) -> datetime:
    """A time of the shop's ``…_gmt`` fields, which name no zone."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _refunded(order: Mapping[str, Any]) -> Counter[str]:
    """Line → pieces paid back."""
    back: Counter[str] = Counter()
    for refund in order.get("refund_details") or []:
        for line in refund["line_items"]:
            whose = next((str(one["value"]) for one in line["meta_data"] if one["key"] == "_refunded_item_id"), "")
            back[whose] += abs(int(line["quantity"]))
    return back


def _left(order: Mapping[str, Any]) -> dict[str, int]:
    """Line → pieces that are not paid back."""
    back = _refunded(order)
    return {str(line["id"]): max(int(line["quantity"]) - back[str(line["id"])], 0) for line in order["line_items"]}


def _our_parcels(order: Mapping[str, Any]) -> list[_Sent]:
    """What we wrote on the order ourselves."""
    return [
        _Sent(str(one["id"]), one["key"].removeprefix(OURS), {line: int(qty) for line, qty in one["value"].items()})
        for one in order["meta_data"]
        if str(one["key"]).startswith(OURS) and isinstance(one["value"], dict)
    ]


def _parcels(order: Mapping[str, Any], way: Way, sent: Sequence[_Sent]) -> Sequence[_Sent]:
    """What left, with its pieces. A note of ours whose number the plugin did not take does not count."""
    if way == "core":
        return sent
    return [
        one
        for one in _our_parcels(order)
        if way == "note" or any(common.same_number(one.number, each.number) for each in sent)
    ]


def _ours(sent: Sequence[_Sent], shipment: Shipment) -> list[_Sent]:
    return [one for one in sent if common.same_number(one.number, shipment.waybill_no)]


def _inside(order: Mapping[str, Any], way: Way, sent: Sequence[_Sent], shipment: Shipment) -> dict[str, int] | None:
    """The parcel's pieces by line, or None when the order does not wait for so many."""
    left = Counter(_left(order))
    for one in _parcels(order, way, sent):
        if not common.same_number(one.number, shipment.waybill_no):
            left.subtract(one.pieces)
    skus = {str(line["id"]): str(line["sku"] or "") for line in order["line_items"]}
    return common.share_out(shipment.lines, left, skus)


def _product_path(product: Mapping[str, Any]) -> str:
    if product["type"] == "variation":
        return f"/wc/v3/products/{product['parent_id']}/variations/{product['id']}"
    return f"/wc/v3/products/{product['id']}"


def _line(line: Mapping[str, Any], back: int, currency: str, state: OrderState) -> ShopLine:
    ordered = int(line["quantity"])
    left = ordered - back if state != "shipped" else ordered
    return ShopLine(
        line_ref=str(line["id"]),
        sku=str(line["sku"] or ""),
        name=line["name"],
        qty=max(left, 0) or ordered or 1,
        price_minor=common.minor(Decimal(line["subtotal"]) / (ordered or 1), currency),
        cancelled=left <= 0 or state == "cancelled",
    )


def _recipient(shipping: Mapping[str, Any], billing: Mapping[str, Any]) -> Recipient:
    """Where it goes; a shop that asks for one address leaves the other empty."""
    to = shipping if shipping.get("address_1") or shipping.get("city") else billing

    def of(name: str) -> str:
        return str(to.get(name) or "")

    streets = (of("company"), of("address_1"), of("address_2"))
    return Recipient(
        name=f"{of('first_name')} {of('last_name')}".strip(),
        phone=str(shipping.get("phone") or billing.get("phone") or ""),
        province=of("state"),
        city=of("city"),
        address=", ".join(part for part in streets if part),
        country=of("country"),
        postcode=of("postcode"),
    )
