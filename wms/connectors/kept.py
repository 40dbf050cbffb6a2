"""A shop's order as it is kept before anything is made of it, and read again without asking the shop. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from datetime import datetime
from typing import Any

from wms.connectors import Recipient, ShopLine, ShopOrder

_TIMES = ("ordered_at", "updated_at", "ship_by")


def as_json(order: ShopOrder) -> dict[str, Any]:
    """All of the order, the shop's own words among it; times as ISO text in UTC."""
    told: dict[str, Any] = {one.name: getattr(order, one.name) for one in fields(order)}
    told["lines"] = [{one.name: getattr(line, one.name) for one in fields(line)} for line in order.lines]
    told["recipient"] = {one.name: getattr(order.recipient, one.name) for one in fields(order.recipient)}
    for name in _TIMES:
        told[name] = told[name].isoformat() if told[name] else None
    result: dict[str, Any] = json.loads(json.dumps(told, default=str, ensure_ascii=False))
    return result


def from_json(told: dict[str, Any]) -> ShopOrder:
    """The order again, as ``as_json`` gave it."""
    known = {one.name for one in fields(ShopOrder)}
    values = {name: value for name, value in told.items() if name in known}
    for name in _TIMES:
        values[name] = datetime.fromisoformat(values[name]) if values.get(name) else None
    values["lines"] = tuple(ShopLine(**line) for line in told["lines"])
    values["recipient"] = Recipient(**told["recipient"])
    return ShopOrder(**values)


def fingerprint(told: dict[str, Any]) -> str:
    """Of what the order says; the time at which the shop touched it last is left out."""
    said = {name: value for name, value in told.items() if name not in ("raw", "updated_at")}
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
