"""The door to the network: which fault is tried again, which is for a person, and nothing leaks."""

from __future__ import annotations

import logging
import socket
import threading

import httpx
import pytest

from wms.connectors import ConnectorError
from wms.connectors.http import MAX_ANSWER_BYTES, Door, quoted


def door(answer: httpx.Response | Exception) -> Door:
    def handle(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Door("https://shop.test/api", transport=httpx.MockTransport(handle))


@pytest.mark.parametrize(
    ("answer", "permanent", "reason", "wait"),
    [
        (httpx.Response(429, headers={"Retry-After": "7"}), False, "busy", 7.0),
        (httpx.Response(429, headers={"Retry-After": "999999"}), False, "busy", 3600.0),
        (
            httpx.Response(503, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
            False,
            "shop_fault",
            None,
        ),
        (httpx.Response(500, text="oops"), False, "shop_fault", None),
        (httpx.Response(401), True, "unauthorised", None),
        (httpx.Response(403), True, "unauthorised", None),
        (httpx.Response(404), True, "refused", None),
        (httpx.Response(302, headers={"Location": "https://elsewhere.test/"}), True, "refused", None),
        (httpx.Response(200, text="<html>hello"), False, "no_json", None),
        (httpx.Response(200, content=b"1" * (MAX_ANSWER_BYTES + 1)), True, "too_big", None),
        (httpx.ConnectError("refused"), False, "offline", None),
        (httpx.ReadTimeout("slow"), False, "timeout", None),
        (httpx.RemoteProtocolError("cut"), False, "offline", None),
    ],
)
def test_each_fault_says_whether_to_try_again(
    answer: httpx.Response | Exception, permanent: bool, reason: str, wait: float | None
) -> None:
    with pytest.raises(ConnectorError) as told:
        door(answer).post_json({"secret": "hush"}, {"Authorization": "Bearer hush"})
    error = told.value
    assert (error.permanent, error.reason, error.retry_after_s) == (permanent, reason, wait)
    assert "shop.test" in str(error)
    assert "hush" not in str(error)


@pytest.mark.parametrize("address", ["", "shop", "ftp://shop.test", "https://", "javascript:1"])
def test_an_address_that_cannot_be_one_is_refused_at_once(address: str) -> None:
    with pytest.raises(ConnectorError) as told:
        Door(address)
    assert told.value.permanent


def test_a_shop_that_accepts_and_then_says_nothing_is_left_after_the_time_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        held: list[socket.socket] = []
        waiter = threading.Thread(target=lambda: held.append(silent.accept()[0]))
        waiter.start()
        with (
            Door(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout_s=0.3) as slow,
            pytest.raises(ConnectorError) as told,
        ):
            slow.post_json({})
        waiter.join()
        held[0].close()
    assert (told.value.permanent, told.value.reason) == (False, "timeout")


def test_a_form_is_utf8_and_says_so() -> None:
    heard: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        heard.append(request)
        return httpx.Response(200, json={"ok": True})

    fields = {"name": "张 & a+b=c", "empty": ""}
    shop = Door("https://shop.test/router", transport=httpx.MockTransport(handle))
    assert shop.post_form(fields, {"method": "订单"}).body == {"ok": True}
    (request,) = heard
    assert request.content == b"name=%E5%BC%A0+%26+a%2Bb%3Dc&empty="
    assert request.headers["content-type"] == "application/x-www-form-urlencoded;charset=utf-8"
    assert str(request.url) == "https://shop.test/router?method=%E8%AE%A2%E5%8D%95"


def test_an_address_with_a_key_in_it_is_not_written_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    door(httpx.Response(200, json={})).request_json("GET", params=[("app_secret", "hush")])
    assert "hush" not in caplog.text


def echo(request: httpx.Request) -> httpx.Response:
    told = {"method": request.method, "url": str(request.url), "body": request.content.decode()}
    return httpx.Response(200, json={**told, "headers": dict(request.headers)})


def test_any_method_path_query_body_and_key_is_sent_as_it_is_given() -> None:
    open_door = Door("https://shop.test/api/", transport=httpx.MockTransport(echo))
    told = open_door.request_json(
        "PUT", "/a/1", params=[("q", "红 &"), ("q", "2")], body={"n": "红"}, headers={"X-Y": "z"}, auth=("k", "s")
    ).body
    assert (told["method"], told["url"]) == ("PUT", "https://shop.test/api/a/1?q=%E7%BA%A2+%26&q=2")
    assert told["headers"]["x-y"] == "z" and told["headers"]["authorization"] == "Basic azpz"
    assert told["headers"]["content-type"] == "application/json"
    signed = b'{"b":1,"a":2}'
    told = open_door.request_json("POST", body=signed).body
    assert told["body"].encode() == signed  # not one byte other than what was signed
    assert told["url"] == "https://shop.test/api/"


def test_a_status_the_caller_judges_is_handed_over_unless_it_holds_no_word() -> None:
    said = door(httpx.Response(404, json={"code": "x"})).request_json("GET", judged=(404,))
    assert (said.status, said.body) == (404, {"code": "x"})
    assert door(httpx.Response(204)).request_json("POST").body is None
    with pytest.raises(ConnectorError) as told:
        door(httpx.Response(404, text="<html>")).request_json("GET", judged=(404,))
    assert (told.value.permanent, told.value.reason) == (True, "refused")


def test_a_key_goes_over_https_or_stays_on_this_machine() -> None:
    for address in ("https://shop.test", "http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"):
        Door(address, https_only=True)
    with pytest.raises(ConnectorError, match=r"shop\.test") as told:
        Door("http://shop.test", https_only=True)
    assert told.value.permanent


def test_what_a_shop_says_is_short_and_holds_no_key() -> None:
    assert quoted("no hush, hush", "hush", "") == "no •••, •••"
    assert len(quoted("x" * 900)) == 200
    assert quoted(None) == ""
