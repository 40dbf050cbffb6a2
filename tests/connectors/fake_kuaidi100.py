"""快递100 as its public pages describe it: signed queries, subscriptions, pushes. It enforces what they say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from tests.connectors.shop_server import Call, Loopback, Reply

KEY, CUSTOMER, SALT = "tESTkEY12345", "0123456789ABCDEF0123456789ABCDEF", "salt-of-tests"


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest().upper()


@dataclass
class FakeKuaidi100:
    """``parcels``: number → (state, rows). A number nobody handed in is 500 查询无结果."""

    parcels: dict[str, tuple[str, list[dict[str, str]]]] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    subscribed: list[dict[str, Any]] = field(default_factory=list)
    says: tuple[str, str] | None = None
    net: Loopback = field(init=False)

    def __post_init__(self) -> None:
        self.net = Loopback(self._answer)

    @property
    def settings(self) -> dict[str, str]:
        return {"company": "jd", "customer": CUSTOMER, "key": KEY, "url": self.net.url + "/poll"}

    def happened(self, number: str, state: str, *rows: tuple[str, str, str, str]) -> None:
        """rows: (time, status, place, words), the newest first as the service has it."""
        self.parcels[number] = (
            state,
            [{"ftime": t, "time": t, "status": s, "areaName": p, "context": w} for t, s, p, w in rows],
        )

    def result(self, number: str) -> dict[str, Any]:
        state, rows = self.parcels[number]
        return {
            "message": "ok",
            "status": "200",
            "state": state,
            "ischeck": "1" if state == "3" else "0",
            "com": "jd",
            "nu": number,
            "data": rows,
        }

    def push(self, number: str, status: str = "polling", salt: str = SALT) -> dict[str, str]:
        param = json.dumps({"status": status, "message": "", "lastResult": self.result(number)}, ensure_ascii=False)
        return {"param": param, "sign": md5(param + salt)}

    def _answer(self, call: Call) -> Reply:
        assert call.headers["content-type"].startswith("application/x-www-form-urlencoded")
        fields = {name: values[0] for name, values in parse_qs(call.body.decode("ascii")).items()}
        param = json.loads(fields["param"])
        if self.says is not None:
            return _json({"result": False, "returnCode": self.says[0], "message": self.says[1]})
        if call.path == "/poll/query.do":
            return self._query(fields, param)
        assert call.path == "/poll" and fields["schema"] == "json", call.path
        if param["key"] != KEY:
            return _json({"result": False, "returnCode": "600", "message": "您不是合法的订阅者"})
        if any(one["number"] == param["number"] for one in self.subscribed):
            return _json({"result": False, "returnCode": "501", "message": "重复订阅"})
        self.subscribed.append(param)
        return _json({"result": True, "returnCode": "200", "message": "提交成功"})

    def _query(self, fields: Mapping[str, str], param: Mapping[str, str]) -> Reply:
        if fields["customer"] != CUSTOMER or fields["sign"] != md5(fields["param"] + KEY + CUSTOMER):
            return _json({"result": False, "returnCode": "503", "message": "验证签名失败"})
        if param["com"] == "shunfeng" and len(param.get("phone", "")) < 4:
            return _json({"result": False, "returnCode": "408", "message": "验证码错误"})
        assert param["com"].islower() and 0 < len(param["num"]) <= 32
        self.asked.append(dict(param))
        if param["num"] not in self.parcels:
            return _json({"result": False, "returnCode": "500", "message": "查询无结果，请隔段时间再查"})
        return _json(self.result(param["num"]))


def _json(body: Mapping[str, Any]) -> Reply:
    return Reply(200, json.dumps(body, ensure_ascii=False).encode())
