"""A carrier's service by signed JSON that enforces its contract; the specification's own library judges signatures."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import standardwebhooks

from tests.connectors.shop_server import Call, Loopback, Reply

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class FakeCarrierService:
    """One key, one number. A key that was cancelled gives none any more, also one that was never seen before."""

    prefix: str = "FK"
    numbers: dict[str, str] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    refuses: str = ""
    keeps: str = ""
    """Why it will not cancel."""
    document: str = ""
    asked: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)
    """(type, key, data) of every message whose signature was good."""
    gave: threading.Event = field(default_factory=threading.Event)
    """A number was given, in its book: whatever happens to the answer."""
    go_on: threading.Event = field(default_factory=threading.Event)
    """Where ``holds``: the answer waits for this."""
    holds: bool = False
    net: Loopback = field(init=False)

    def __post_init__(self) -> None:
        self.net = Loopback(self._answer)
        self.go_on.set()

    @property
    def settings(self) -> dict[str, str]:
        return {"url": self.net.url, "secret": SECRET}

    def takes(self) -> list[str]:
        return [key for kind, key, _data in self.asked if kind == "waybill.take"]

    def _answer(self, call: Call) -> Reply:
        try:
            told = standardwebhooks.Webhook(SECRET).verify(call.body, dict(call.headers))
        except standardwebhooks.WebhookVerificationError as error:
            return _json({"message": str(error)}, 401)
        key = told["data"]["key"]
        self.asked.append((told["type"], key, told["data"]))
        if told["type"] == "waybill.take":
            return self._take(key, told["data"])
        assert told["type"] == "waybill.cancel", told["type"]
        return self._cancel(key, told["data"])

    def _take(self, key: str, data: Mapping[str, Any]) -> Reply:
        assert data["parcel_no"] and data["recipient"]["name"], "a carrier wants to know where it goes"
        if self.refuses or key in self.cancelled:
            return _json({"state": "refused", "message": self.refuses or "cancelled"}, 422)
        known = key in self.numbers
        number = self.numbers.setdefault(key, f"{self.prefix}{len(self.numbers) + 1:010d}")
        self.gave.set()
        if self.holds:
            self.go_on.wait(30)
        answer = {
            "state": "known" if known else "taken",
            "number": number,
            "sort_code": "330-A12 08",
            "hub": "杭州集包",
        }
        return _json({**answer, "document": self.document} if self.document else answer)

    def _cancel(self, key: str, data: Mapping[str, Any]) -> Reply:
        if self.keeps:
            return _json({"state": "refused", "message": self.keeps}, 409)
        assert data["number"] in ("", self.numbers.get(key, "")), "another's number"
        known = key in self.numbers
        self.cancelled.add(key)
        return _json({"state": "cancelled" if known else "unknown"})


def _json(body: Mapping[str, Any], status: int = 200) -> Reply:
    return Reply(status, json.dumps(body, ensure_ascii=False).encode())
