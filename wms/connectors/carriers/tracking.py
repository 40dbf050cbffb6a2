"""Where parcels are, from an aggregator: 快递100's query and its push (实时查询, 订阅推送).

Built from the public documentation of 快递100 (api.kuaidi100.com/document: 实时快递查询接口, 快递信息推送服务): a query
is signed UPPER(MD5(param + key + customer)), a push UPPER(MD5(param + salt)); the states are 0 在途 1 揽收 2 疑难
3 签收 4 退签 5 派件 6 退回 7 转单 10–13 清关 14 拒签. Proved against a double that enforces
them; no live account was used.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable
from urllib.parse import urlencode

import httpx

from wms.connectors import ConnectorError, setting
from wms.connectors.carriers import TIMEOUT_S
from wms.connectors.http import Door, quoted
from wms.connectors.limits import Fault
from wms.connectors.signing import compact_json, from_china
from wms.errors import N_

State = Literal["collected", "in_transit", "out_for_delivery", "exception", "returned", "signed"]

HOME = "https://poll.kuaidi100.com/poll"
NEED_PHONE = ("shunfeng", "shunfengkuaiyun", "fengwang")
"""Carriers that answer only who knows the last digits of a phone."""
STATES: dict[str, State] = {
    "0": "in_transit",
    "1": "collected",
    "2": "exception",
    "3": "signed",
    "4": "returned",
    "5": "out_for_delivery",
    "6": "returned",
    "7": "in_transit",
    "8": "in_transit",
    "10": "in_transit",
    "11": "in_transit",
    "12": "in_transit",
    "13": "exception",
    "14": "exception",
}
WORDS: dict[str, State] = {
    "揽收": "collected",
    "在途": "in_transit",
    "派件": "out_for_delivery",
    "签收": "signed",
    "疑难": "exception",
    "退签": "returned",
    "退回": "returned",
    "转投": "in_transit",
    "转单": "in_transit",
    "清关": "in_transit",
    "拒签": "exception",
}


@dataclass(frozen=True, slots=True)
class TrackEvent:
    """One thing that happened to a parcel on its way; ``at`` is aware and in UTC."""

    at: datetime
    state: State
    place: str
    words: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a push says of one number; ``aborted``: the aggregator gave the number up and says nothing more."""

    company: str
    number: str
    events: tuple[TrackEvent, ...]
    aborted: bool = False


@runtime_checkable
class Tracker(Protocol):
    """An aggregator of carriers' news. Every method may raise ConnectorError and nothing else of its own."""

    def query(self, number: str, phone: str) -> tuple[TrackEvent, ...]:
        """What happened to the number so far, in any order; nothing where nobody knows of it yet."""

    def subscribe(self, number: str, phone: str) -> None:
        """Ask to be told of news. Asked twice it is done once."""


def tracker_for(settings: Mapping[str, Any], transport: httpx.BaseTransport | None = None) -> Tracker:
    return Kuaidi100.from_settings(settings, transport=transport)


_SAYS = N_("%(host)s says of the carrier's parcels: %(carrier_says)s (%(code)s).")
_CODES: dict[str, tuple[Fault, str]] = {
    "400": (Fault.OPERATOR, "bad_request"),
    "408": (Fault.OPERATOR, "phone"),
    "501": (Fault.RETRY, "fault"),
    "502": (Fault.RETRY, "busy"),
    "503": (Fault.OPERATOR, "wrong_keys"),
    "600": (Fault.OPERATOR, "wrong_keys"),
    "601": (Fault.OPERATOR, "wrong_keys"),
    "700": (Fault.OPERATOR, "company"),
    "701": (Fault.OPERATOR, "refused"),
    "702": (Fault.OPERATOR, "company"),
}
NOTHING_YET = "500"


@dataclass(slots=True)
class Kuaidi100:
    """Settings: ``company`` (the carrier's code there), ``customer``, ``key``; for pushes ``callback`` and ``salt``."""

    door: Door
    company: str
    customer: str
    key: str = field(repr=False)
    callback: str = ""
    salt: str = field(default="", repr=False)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], transport: httpx.BaseTransport | None = None) -> Kuaidi100:
        return cls(
            Door(str(settings.get("url") or HOME), timeout_s=TIMEOUT_S, transport=transport),
            setting(settings, "company"),
            setting(settings, "customer"),
            setting(settings, "key"),
            str(settings.get("callback") or ""),
            str(settings.get("salt") or ""),
        )

    def query(self, number: str, phone: str) -> tuple[TrackEvent, ...]:
        asked = {"com": self.company, "num": number, "resultv2": "1"}
        if self.company in NEED_PHONE:
            asked["phone"] = phone[-4:]
        param = compact_json(asked)
        answer = self._post("/query.do", {"customer": self.customer, "sign": self.sign(param), "param": param})
        if answer.get("result") is False or "data" not in answer:
            if str(answer.get("returnCode")) == NOTHING_YET:
                return ()
            raise self._refused(answer)
        return events_of(answer)

    def subscribe(self, number: str, phone: str) -> None:
        parameters = {"callbackurl": self.callback, "resultv2": "1", "salt": self.salt}
        if self.company in NEED_PHONE:
            parameters["phone"] = phone[-4:]
        param = compact_json({"company": self.company, "number": number, "key": self.key, "parameters": parameters})
        answer = self._post("", {"schema": "json", "param": param})
        code = str(answer.get("returnCode"))
        if answer.get("result") is True or (code == "501" and "重复" in str(answer.get("message"))):
            return
        raise self._refused(answer)

    def sign(self, param: str) -> str:
        return _md5(f"{param}{self.key}{self.customer}")

    def _post(self, path: str, fields: Mapping[str, str]) -> dict[str, Any]:
        answer = self.door.request_json(
            "POST",
            path,
            body=urlencode(fields).encode("ascii"),
            headers={"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"},
        )
        return answer.body if isinstance(answer.body, dict) else {"message": "?"}

    def _refused(self, answer: Mapping[str, Any]) -> ConnectorError:
        code = str(answer.get("returnCode") or answer.get("status") or "?")[:8]
        fault, reason = _CODES.get(code, (Fault.RETRY, "fault"))
        return ConnectorError(
            permanent=fault is not Fault.RETRY,
            reason=reason,
            message=_SAYS,
            facts={
                "host": self.door.host,
                "carrier_says": quoted(answer.get("message"), self.key, self.salt) or "–",
                "code": code,
            },
        )


def pushed(salts: Sequence[str], param: str, sign: str) -> Told:
    """What the aggregator tells us by itself, its signature checked first; ConnectorError for what is not from it."""
    good = sum(hmac.compare_digest(_md5(param + salt).encode(), sign.upper().encode()) for salt in salts if salt)
    if not good:
        raise ConnectorError(
            permanent=True, reason="bad_signature", message=N_("The message is not signed with this shop's secret.")
        )
    try:
        told = json.loads(param)
        last = told["lastResult"]
        company, number = str(last["com"]), str(last["nu"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConnectorError(permanent=True, reason="bad_message", message=N_("The message is no JSON.")) from error
    return Told(company, number, events_of(last), str(told.get("status")) == "abort")


def events_of(result: Mapping[str, Any]) -> tuple[TrackEvent, ...]:
    """The events of a result. One without a state of its own is in transit; the newest has the state of the whole."""
    rows = result.get("data")
    found: list[TrackEvent] = []
    for row in rows if isinstance(rows, list) else ():
        at = from_china(row.get("ftime") or row.get("time")) if isinstance(row, dict) else None
        if at is None:
            continue
        word = str(row.get("status") or "")
        state = next((state for start, state in WORDS.items() if word.startswith(start)), None)
        words = str(row.get("context") or "").replace("\x00", "").strip()[:400]
        place = str(row.get("areaName") or row.get("location") or "").replace("\x00", "").strip()[:200]
        found.append(TrackEvent(at, state or "in_transit", place, words))
    whole = STATES.get(str(result.get("state")))
    if found and whole is not None:
        newest = max(range(len(found)), key=lambda n: (found[n].at, -n))
        found[newest] = TrackEvent(found[newest].at, whole, found[newest].place, found[newest].words)
    return tuple(found)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().upper()
