"""A shop's message at our door: is it really from the shop, is it known already, which orders does it speak of. Pure.

What a message says is never believed but from a shop of signed JSON, whose messages are the orders themselves; of the
others it is read which orders changed, and those are asked for by the shop's own API. Built from the platforms' pages:
shopify.dev "Verify webhook deliveries" and "Ignore duplicates"; developer.woocommerce.com "Webhooks"; Douyin's message
guide (the signature against the client `doudian`). Not certified live.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wms.connectors import ConnectorError, douyin, setting, shopify, webhook, woocommerce
from wms.errors import N_

MOST_BYTES = 1024 * 1024
"""Of any shop's message; a message that is longer is no order."""
KINDS = ("douyin", "shopify", "webhook", "woocommerce")
"""Kinds of shop that knock at the door. The others are read by the clock alone."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that really is the shop's. ``id`` is the same when it comes again; ``topic`` is only for people."""

    id: str
    topic: str
    orders: tuple[str, ...]
    """The orders to be read anew; empty for a test of the address, and where the message is the order itself."""
    carries_order: bool = False

    @property
    def is_news(self) -> bool:
        return self.carries_order or bool(self.orders)


Headers = Mapping[str, str]


def opened(kind: str, settings: Mapping[str, Any], headers: Headers, body: bytes, at: datetime) -> Delivery:
    """The message, its signature found good over these very bytes.

    ConnectorError: ``bad_signature`` for nobody we know (also where the shop has no secret, so that nobody learns
    which it is), ``too_old`` and ``bad_message`` of signed JSON, which are for the shop's own people.
    """
    small = {name.lower(): value for name, value in headers.items()}
    if kind not in _OPENERS:
        raise _stranger()
    try:
        return _OPENERS[kind](settings, small, body, at)
    except ConnectorError as error:
        if error.reason in ("missing_setting", "bad_secret"):
            raise _stranger() from error
        raise


def orders_of(kind: str, settings: Mapping[str, Any], topic: str, body: bytes) -> tuple[str, ...]:
    """The orders a stored message speaks of."""
    if kind == "shopify":
        return shopify.orders_of(topic, body)
    if kind == "woocommerce":
        return woocommerce.orders_of(topic, body)
    return douyin.orders_of(body, str(settings.get("shop_id") or "")) if kind == "douyin" else ()


def _shopify(settings: Mapping[str, Any], headers: Headers, body: bytes, at: datetime) -> Delivery:
    """``webhook_secret``: the app's client secret, several with spaces while it is changed."""
    if not _fits(setting(settings, "webhook_secret"), shopify.verify_webhook, body, headers, "x-shopify-hmac-sha256"):
        raise _stranger()
    topic = headers.get("x-shopify-topic", "")
    number = headers.get("x-shopify-webhook-id") or headers.get("x-shopify-event-id")
    return Delivery(_id(number, body), topic, orders_of("shopify", settings, topic, body))


def _woocommerce(settings: Mapping[str, Any], headers: Headers, body: bytes, at: datetime) -> Delivery:
    """``webhook_secret``: as entered with the webhook in the shop."""
    if not _fits(
        setting(settings, "webhook_secret"), woocommerce.verify_webhook, body, headers, "x-wc-webhook-signature"
    ):
        raise _stranger()
    topic = headers.get("x-wc-webhook-topic", "")
    return Delivery(
        _id(headers.get("x-wc-webhook-delivery-id"), body), topic, orders_of("woocommerce", settings, topic, body)
    )


def _douyin(settings: Mapping[str, Any], headers: Headers, body: bytes, at: datetime) -> Delivery:
    """The app's own key and secret; one address serves all shops of an app, so ``shop_id`` picks ours out."""
    key, secret = setting(settings, "app_key"), setting(settings, "app_secret")
    if not douyin.verify_event(key, secret, body, headers.get("event-sign", "")):
        raise _stranger()
    return Delivery(_id(None, body), "douyin", orders_of("douyin", settings, "", body))


def _webhook(settings: Mapping[str, Any], headers: Headers, body: bytes, at: datetime) -> Delivery:
    return Delivery(webhook.receive(settings, headers, body, at).id, "order.changed", (), carries_order=True)


_OPENERS: dict[str, Callable[[Mapping[str, Any], Headers, bytes, datetime], Delivery]] = {
    "douyin": _douyin,
    "shopify": _shopify,
    "webhook": _webhook,
    "woocommerce": _woocommerce,
}


def _fits(secrets: str, verify: Callable[[str, bytes, str], bool], body: bytes, headers: Headers, name: str) -> bool:
    """All secrets are tried, whichever fits, and each is compared in constant time."""
    return sum(verify(secret, body, headers.get(name, "")) for secret in secrets.split()) > 0


def _id(given: str | None, body: bytes) -> str:
    """The platform's own id of the delivery, else what the bytes are."""
    given = (given or "").strip()
    return given if 0 < len(given) <= 200 and "\x00" not in given else hashlib.sha256(body).hexdigest()


def _stranger() -> ConnectorError:
    return ConnectorError(
        permanent=True,
        reason="bad_signature",
        message=N_("The message is not signed with this shop's secret."),
    )
