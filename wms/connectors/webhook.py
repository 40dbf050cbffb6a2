"""Any shop that speaks signed JSON: it tells us of orders, we tell it of shipments and stock. Pure but for the door.

Built from the Standard Webhooks specification (symmetric ``v1``); the messages are ours, see docs/webhook.md.
Proved: signatures both ways against that specification's own library. It is not made for one shop, so there is
none to be certified with.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args

import httpx

from wms.clock import now
from wms.connectors import (
    ConnectorError,
    Grain,
    LineKind,
    OrderState,
    Pushed,
    Recipient,
    Shipment,
    ShopLine,
    ShopOrder,
    setting,
)
from wms.connectors import orders as common
from wms.connectors.http import Answer, Door, quoted
from wms.errors import N_

TOLERANCE = timedelta(minutes=5)
OVERLAP = timedelta(minutes=2)
MOST_BYTES = 1024 * 1024
MOST_LINES = 1000
MOST_QTY = 1_000_000
MOST_PRICE = Decimal(10) ** 12
PREFIX = "whsec_"
LEAST_SECRET = 24
"""Bytes, as the specification has it."""
STATES = get_args(OrderState)
KINDS = get_args(LineKind)
CAN = ("list", "state", "stock")
"""What a shop may answer besides shipments."""
ANSWERED = (400, 404, 409, 410, 422)
_ZERO = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


@dataclass(frozen=True, slots=True)
class Message:
    """What a shop told us, after its signature was found good. ``id`` is the same when it is sent again."""

    id: str
    order: ShopOrder


@dataclass(slots=True)
class Webhook:
    """Settings: ``url`` (where our messages go), ``secret`` (``whsec_…``; several with spaces while it is changed:
    the first signs, each is taken), ``can`` (of ``list state stock``, what else the shop answers).
    """

    door: Door
    secrets: tuple[bytes, ...] = field(repr=False)
    can: frozenset[str] = frozenset()
    clock: Callable[[], datetime] = now
    grain: Grain = "package"
    complete_until: datetime | None = None
    """What ``fetch_orders`` has read so far, all of it: a later run may begin here."""
    unread: dict[str, ConnectorError] = field(default_factory=dict)
    """Orders of the last ``fetch_orders`` that could not be understood."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], transport: httpx.BaseTransport | None = None) -> Webhook:
        can = frozenset(str(settings.get("can") or "").split())
        unknown = sorted(can - set(CAN))
        if unknown:
            raise ConnectorError(
                permanent=True,
                reason="bad_setting",
                message=N_("A shop by webhook cannot “%(value)s”. It is some of %(words)s."),
                facts={"value": unknown[0], "words": ", ".join(CAN)},
            )
        return cls(Door(setting(settings, "url"), transport=transport), secrets_of(setting(settings, "secret")), can)

    # In

    def fetch_orders(self, since: datetime | None) -> Iterator[ShopOrder]:
        """Orders changed after ``since`` less the overlap; none of a shop that only tells (see ``receive``)."""
        self.unread, self.complete_until = {}, since
        began = self.clock()
        if "list" not in self.can:
            return
        after = (since.astimezone(UTC) - OVERLAP).isoformat(timespec="seconds") if since is not None else None
        cursor: str | None = None
        while True:
            page = self._ask("order.list", {"changed_after": after, "cursor": cursor}, str(uuid.uuid4()))
            for order in page.get("orders") or ():
                yield self._order_or_unreadable(order)
            following = page.get("cursor")
            if not following or following == cursor:
                self.complete_until = began
                return
            cursor = str(following)

    def _order_or_unreadable(self, data: Any) -> ShopOrder:
        """One bad order of a list never stops the others."""
        given = data if isinstance(data, dict) else {"order": data}
        try:
            return order_of(given)
        except ConnectorError as error:
            number = str(given.get("order_no") or "–")
            bad, _ = common.unreadable(number, given, error)
            self.unread[number] = error
            return bad

    def order_state(self, shop_order_no: str) -> str:
        if "state" not in self.can:
            raise self._error(
                True,
                "no_live_state",
                N_("%(host)s tells of changes by itself and cannot be asked about order %(order)s."),
                order=shop_order_no,
            )
        answer = self._ask("order.state", {"order_no": shop_order_no}, str(uuid.uuid4()))
        if answer.get("state") == "unknown":
            raise common.unknown_order(self.door.host, shop_order_no)
        return _state(answer)

    # Out

    def push_shipment(self, shipment: Shipment) -> Pushed:
        """The message has one id for one parcel and number, so the shop knows it again however often it comes."""
        return self._told("shipment.created", shipment, {})

    def correct_shipment(self, shipment: Shipment, wrong: str) -> Pushed:
        """Put the parcel's number in the place of a wrong one that was told before."""
        return self._told("shipment.corrected", shipment, {"instead_of": wrong})

    def _told(self, kind: str, shipment: Shipment, more: Mapping[str, str]) -> Pushed:
        data = {
            "order_no": shipment.shop_order_no,
            "parcel_no": shipment.parcel_no,
            "key": shipment.key,
            "carrier_code": shipment.carrier_code,
            "carrier_name": shipment.carrier_name,
            "waybill_no": shipment.waybill_no,
            "shipped_at": shipment.shipped_at.astimezone(UTC).isoformat(timespec="seconds"),
            "lines": [{"ref": ref, "sku": sku, "qty": qty} for ref, sku, qty in shipment.lines],
            **more,
        }
        identity = hashlib.sha256(f"{kind}\n{shipment.key}\n{shipment.waybill_no}".encode()).hexdigest()
        answer = self._ask(kind, data, f"msg_{identity[:40]}")
        state, numbers = str(answer.get("state") or ""), answer.get("waybills")
        listed = [str(one) for one in numbers] if isinstance(numbers, list) else None
        if state in ("taken", "known") and (listed is None or _among(shipment.waybill_no, listed)):
            return (common.taken if state == "taken" else common.already)(shipment, state)
        if listed and _among(shipment.waybill_no, listed):
            return common.already(shipment, state)
        said = quoted(answer.get("message"), *self._written())
        if said and state not in ("cancelled", "refunding"):
            return common.refused(shipment, state, said, others=", ".join(listed or ()))
        return common.conflict(shipment, _state(answer), state, listed or ())

    def push_stock(self, sku: str, qty: int) -> None:
        """Set what can be sold; nothing where the shop does not want to know."""
        if "stock" not in self.can:
            return
        answer = self._ask("stock.set", {"sku": sku, "qty": qty}, str(uuid.uuid4()))
        if answer.get("state") == "unknown":
            raise common.unknown_sku(self.door.host, sku)
        if answer.get("state") not in ("taken", "known"):
            words = N_("The shop does not take the stock of %(sku)s: %(shop_says)s")
            said = quoted(answer.get("message"), *self._written()) or str(answer.get("state"))
            raise self._error(True, "stock_refused", words, sku=sku, shop_says=said)

    # The wire

    def _ask(self, kind: str, data: Mapping[str, Any], message_id: str) -> dict[str, Any]:
        """Send a message; the answer's object. A 204 stands for ``taken``."""
        at = self.clock()
        message = {"type": kind, "timestamp": at.astimezone(UTC).isoformat(timespec="seconds"), "data": data}
        body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json", **signed(self.secrets[0], message_id, at, body)}
        answer = self.door.request_json("POST", body=body, headers=headers, judged=ANSWERED)
        if answer.status == 204:
            return {"state": "taken"}
        return self._object(answer)

    def _object(self, answer: Answer) -> dict[str, Any]:
        if isinstance(answer.body, dict) and (answer.status not in ANSWERED or answer.body.get("state")):
            return answer.body
        said = answer.body.get("message") if isinstance(answer.body, dict) else ""
        raise self._error(
            True,
            "refused",
            N_("%(host)s does not understand our message (%(status)s): %(shop_says)s"),
            status=answer.status,
            shop_says=quoted(said, *self._written()) or "–",
        )

    def _written(self) -> list[str]:
        return [base64.b64encode(one).decode() for one in self.secrets]

    def _error(self, permanent: bool, reason: str, message: str, **facts: Any) -> ConnectorError:
        facts = {"host": self.door.host, **facts}
        return ConnectorError(permanent=permanent, reason=reason, message=message, facts=facts)


# What comes in


def receive(
    settings: Mapping[str, Any], headers: Mapping[str, str], body: bytes, at: datetime | None = None
) -> Message:
    """A shop's message: its signature is checked on the raw bytes first, then it is read.

    ConnectorError with ``reason`` ``bad_signature`` (nobody we know), ``too_old`` (a clock is wrong, or somebody
    repeats what he heard) or ``bad_message`` (ours to tell the shop's people). Whoever stores it keeps the id: the
    same id again changes nothing.
    """
    message_id = verify(secrets_of(setting(settings, "secret")), headers, body, at or now())
    return Message(message_id, order_in(body))


def order_in(body: bytes) -> ShopOrder:
    """The order of an ``order.changed`` message whose signature was found good; ConnectorError (``bad_message``)."""
    try:
        told = json.loads(body, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _bad("body", N_("The message is no JSON.")) from error
    if not _can_be_kept(told):
        raise _bad("body", N_("The message holds characters that are none."))
    if not isinstance(told, dict) or told.get("type") != "order.changed":
        raise _bad("type", N_("The message must be of type order.changed."))
    data = told.get("data")
    if not isinstance(data, dict):
        raise _lacks("data")
    return order_of(data)


def verify(secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, at: datetime) -> str:
    """The id of a message that one of the secrets signed not long ago (``at``: now)."""
    small = {name.lower(): value for name, value in headers.items()}
    message_id, told, given = (small.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    stranger = ConnectorError(
        permanent=True,
        reason="bad_signature",
        message=N_("The message is not signed with this shop's secret."),
    )
    if not message_id or len(message_id) > 200 or not told.isascii() or not told.isdigit() or len(told) > 12:
        raise stranger
    if len(body) > MOST_BYTES:
        raise _bad("body", N_("The message is too long."))
    wanted = [_signature(secret, message_id, told, body) for secret in secrets]
    tokens = [one.removeprefix("v1,").encode() for one in given.split(" ")[:20] if one.startswith("v1,")]
    # All are compared, whichever fits, and each in constant time.
    if not sum(hmac.compare_digest(token, one) for token in tokens for one in wanted):
        raise stranger
    if abs(at.timestamp() - int(told)) > TOLERANCE.total_seconds():
        raise ConnectorError(
            permanent=True,
            reason="too_old",
            message=N_("The message is more than %(minutes)s minutes off our clock. Set the clocks right."),
            facts={"minutes": int(TOLERANCE.total_seconds() // 60)},
        )
    return message_id


def signed(secret: bytes, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers of a message."""
    told = str(int(at.timestamp()))
    signature = _signature(secret, message_id, told, body).decode()
    return {"webhook-id": message_id, "webhook-timestamp": told, "webhook-signature": f"v1,{signature}"}


def secrets_of(text: str) -> tuple[bytes, ...]:
    """The bytes of each secret; ConnectorError when one is none, or too short to be safe."""
    found = []
    for one in text.split():
        try:
            plain = base64.b64decode(one.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            plain = b""
        if len(plain) < LEAST_SECRET or not one.startswith(PREFIX):
            raise ConnectorError(
                permanent=True,
                reason="bad_secret",
                message=N_("A webhook's secret is whsec_ and at least %(bytes)s random bytes in base64."),
                facts={"bytes": LEAST_SECRET},
            )
        found.append(plain)
    return tuple(found)


def _signature(secret: bytes, message_id: str, told: str, body: bytes) -> bytes:
    content = f"{message_id}.{told}.".encode() + body
    return base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest())


# An order in our own words


def order_of(data: Mapping[str, Any]) -> ShopOrder:
    """The order a message holds; ConnectorError (``bad_message``) names the field that is wrong."""
    lines = data.get("lines")
    if not isinstance(lines, list) or not all(isinstance(one, dict) for one in lines):
        raise _lacks("lines")
    if len(lines) > MOST_LINES:
        raise _bad("lines", N_("The order has more than %(most)s lines."), most=MOST_LINES)
    currency = _text(data, "currency", 3).upper()
    to = data.get("recipient") or {}
    if not isinstance(to, dict):
        raise _lacks("recipient")
    names = ("name", "phone", "province", "city", "district", "town", "address", "country", "postcode", "oaid")
    made = tuple(_line(one, currency) for one in lines)
    if len({line.line_ref for line in made}) != len(made):
        raise _bad("lines.ref", N_("Two lines of the order have the same ref."))
    order_no = _text(data, "order_no", 64)
    if not order_no:
        raise _lacks("order_no")
    return ShopOrder(
        shop_order_no=order_no,
        ordered_at=_time(data, "ordered_at"),
        state=_state(data),
        lines=made,
        recipient=Recipient(**{name: _text(to, name, 400) for name in names}),
        buyer_note=_text(data, "buyer_note", 2000),
        seller_memo=_text(data, "seller_memo", 2000),
        carrier_hint=_text(data, "carrier", 100),
        raw=json.loads(json.dumps(data, default=str)),
        updated_at=_time(data, "updated_at"),
        currency=currency,
        ship_by=_time(data, "ship_by"),
        hold=_text(data, "hold", 100),
    )


def _line(line: Mapping[str, Any], currency: str) -> ShopLine:
    ref, sku, qty = _text(line, "ref", 96), _text(line, "sku", 64), line.get("qty")
    if not ref:
        raise _lacks("lines.ref")
    if not sku:
        raise _lacks("lines.sku")
    if isinstance(qty, bool) or not isinstance(qty, int) or not 0 < qty <= MOST_QTY:
        raise _bad("lines.qty", N_("Line %(ref)s: the quantity must be a whole number above zero."), ref=ref)
    price = line.get("price", 0)
    try:
        if isinstance(price, bool) or not 0 <= Decimal(str(price)) < MOST_PRICE:
            raise ValueError
        price_minor = common.minor(Decimal(str(price)), currency)
    except (ArithmeticError, ValueError) as error:
        raise _bad("lines.price", N_("Line %(ref)s: the price is no amount."), ref=ref) from error
    kind: LineKind | None = next((one for one in KINDS if one == (line.get("kind") or "goods")), None)
    if kind is None:
        raise _bad("lines.kind", N_("Line %(ref)s: the kind is goods or service."), ref=ref)
    return ShopLine(ref, sku, _text(line, "name", 200), qty, price_minor, kind, line.get("cancelled") is True)


def _state(data: Mapping[str, Any]) -> OrderState:
    """A state nobody knows is one nothing is shipped in."""
    return next((one for one in STATES if one == data.get("state")), "other")


def _text(data: Mapping[str, Any], name: str, most: int) -> str:
    value = data.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _bad(name, N_("The field %(name)s must be a text."), name=name)
    return value.strip()[:most] if name not in ("order_no", "ref", "sku") else _whole(name, value.strip(), most)


def _whole(name: str, value: str, most: int) -> str:
    """A name is never cut: two that begin alike would be one."""
    if len(value) > most:
        raise _bad(name, N_("The field %(name)s is longer than %(most)s."), name=name, most=most)
    return value


def _time(data: Mapping[str, Any], name: str) -> datetime | None:
    text = _text(data, name, 40)
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _bad(name, N_("The field %(name)s must be a time with its zone, such as 2026-11-21T12:00:00Z."), name=name)


def _among(number: str, numbers: Sequence[str]) -> bool:
    return any(common.same_number(number, one) for one in numbers)


def _can_be_kept(told: Any) -> bool:
    """No half of a surrogate pair and no zero character: no database takes them."""
    text = json.dumps(told, default=str, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return _ZERO.search(text) is None


def _no_number(word: str) -> Any:
    raise ValueError(word)


def _lacks(field_name: str) -> ConnectorError:
    return _bad(field_name, N_("The message lacks %(field)s."), field=field_name)


def _bad(where: str, message: str, **facts: Any) -> ConnectorError:
    return ConnectorError(permanent=True, reason="bad_message", message=message, facts={"where": where, **facts})
