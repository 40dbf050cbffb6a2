"""Clients that others wrote, unmodified, as referees: our signer recomputes what they send, and our doubles of the
gateways take their calls and turn away the same calls when a byte is changed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import jd as jd_sdk
import jd.api.base as jd_base
import pyjos.client
import pytest
import taobao_open
import taobao_open.api.base as taobao_base
from hypothesis import given
from hypothesis import strategies as st

from tests.connectors import node_client
from tests.connectors.fake_jd import FakeJd
from tests.connectors.fake_taobao import FakeTaobao, china
from tests.connectors.loopback import Answer, Request, serve
from tests.connectors.untimed import untimed
from wms.connectors.signing import md5_sandwich, top_sign

NASTY = "张三 & 李四 100% a+b=c / \"q\" '单引号' \\ 表情😀"
ASCII = 'a+b=c & 100% "q" /'
LETTERS = st.text(st.characters(codec="ascii"))
KEYS = st.from_regex(r"[a-z0-9_]{1,12}", fullmatch=True)


@pytest.fixture
def beijing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two of the clients send the clock of their machine without its zone: they only work where it is Chinese."""
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="module")
def node() -> None:
    try:
        node_client.install()
    except node_client.NoClientHereError as why:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"NOT CHECKED against the Taobao client from npm: {why}")


def captured(send: Callable[[str], object], answer: str = "{}") -> dict[str, str]:
    """What a client sends, from its bytes."""
    heard: list[Request] = []

    def listen(request: Request) -> Answer:
        heard.append(request)
        return Answer(answer.encode())

    with serve(listen) as url:
        send(url)
    (request,) = heard
    return {name.decode(): value.decode() for name, value in request.fields().items()}


def taobao_client(
    url: str, app_key: str, secret: str, session: str | None, method: str, params: dict[str, Any]
) -> dict[str, Any]:
    """A call by py-taobao-open. TopException when it is refused."""
    host = urlsplit(url)

    class Call(taobao_base.RestApi):  # type: ignore[misc]
        def getapiname(self) -> str:
            return method

    call = Call(host.hostname, host.port)
    call.set_app_info(taobao_open.appinfo(app_key, secret))
    for name, value in params.items():
        setattr(call, name, value)
    told: dict[str, Any] = call.getResponse(session)
    return told


def jd_client(url: str, app_key: str, secret: str, token: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """A call by jd-sdk."""
    host = urlsplit(url)

    class Call(jd_base.RestApi):  # type: ignore[misc]
        def getapiname(self) -> str:
            return method

    call = Call(host.hostname, host.port)
    call.set_app_info(jd_sdk.appinfo(app_key, secret))
    for name, value in params.items():
        setattr(call, name, value)
    told: dict[str, Any] = call.getResponse(token)
    return told


def pyjos_client(
    url: str, app_key: str, secret: str, token: str, method: str, params: dict[str, Any]
) -> dict[str, Any]:
    """A call by pyjos."""

    class Asked:
        api_method_name = method
        api_params = json.dumps(params)

    client = pyjos.client.JdClient()
    client.server_url, client.app_key, client.app_secret = f"{url}/routerjson", app_key, secret
    told: dict[str, Any] = client.execute(Asked(), token)
    return told


# What they send, our signer recomputes


@pytest.mark.parametrize("value", [ASCII, NASTY])
def test_what_py_taobao_open_sends(value: str) -> None:
    sent = captured(lambda url: taobao_client(url, "key", "secret", "session", "taobao.x.y", {"tid": 1, "note": value}))
    assert sent["note"] == value
    assert sent.pop("sign") == top_sign("secret", sent, "md5")


@pytest.mark.parametrize("value", [ASCII, NASTY])
def test_what_the_client_from_npm_sends(node: None, value: str) -> None:
    params = {"session": "session", "tid": "1", "note": value}
    sent = captured(lambda url: node_client.call(f"{url}/router/rest", "key", "秘密", "taobao.x.y", params))
    assert sent["note"] == value
    assert sent.pop("sign") == top_sign("秘密", sent, "md5")


@pytest.mark.parametrize("client", [jd_client, pyjos_client])
def test_what_the_clients_for_jd_send(client: Callable[..., Any], beijing: None) -> None:
    """Both sign in Latin-1 and cannot take Chinese: referees in ASCII only."""
    params = {"order_id": 123, "note": ASCII}
    sent = captured(lambda url: client(url, "key", "secret", "token", "jingdong.pop.order.get", params))
    assert json.loads(sent["360buy_param_json"]) == params
    assert sent.pop("sign") == md5_sandwich("secret", sent)


@untimed
@given(st.dictionaries(KEYS, st.text(st.characters(codec="utf-8")), max_size=8), st.text(st.characters(codec="utf-8")))
def test_our_signature_is_py_taobao_opens_for_any_values(fields: dict[str, str], secret: str) -> None:
    assert top_sign(secret, fields, "md5") == taobao_base.sign(secret, fields)


@untimed
@given(st.dictionaries(KEYS, LETTERS, max_size=8), LETTERS)
def test_our_signature_is_jd_sdks_for_any_ascii_values(fields: dict[str, str], secret: str) -> None:
    assert md5_sandwich(secret, fields) == jd_base.sign(secret, fields)


@untimed
@given(
    st.dictionaries(
        KEYS, st.text(st.characters(codec="ascii")).filter(lambda one: not one.startswith("@")), max_size=8
    ),
    st.text(st.characters(codec="ascii")),
)
def test_our_signature_is_pyjos_for_any_ascii_values(fields: dict[str, str], secret: str) -> None:
    client = pyjos.client.JdClient()
    client.app_secret = secret
    assert md5_sandwich(secret, fields) == client.generate_sign(fields)


# They drive our doubles


def test_py_taobao_open_lists_ships_and_reads_at_our_double() -> None:
    shop = FakeTaobao()
    shop.order(1001, ("A1", 2), ("B2", 1))
    now = datetime.now(UTC)
    window = {"start_modified": china(now - timedelta(minutes=5)), "end_modified": china(now + timedelta(minutes=1))}
    with serve(shop) as url:

        def ask(method: str, **params: Any) -> dict[str, Any]:
            return taobao_client(url, shop.app_key, shop.secret, shop.session, method, params)

        found = ask("taobao.trades.sold.increment.get", fields="tid,status,orders", **window)
        (row,) = found["trades_sold_increment_get_response"]["trades"]["trade"]
        assert (row["tid"], row["status"], len(row["orders"]["order"])) == (1001, "WAIT_SELLER_SEND_GOODS", 2)
        sent = ask("taobao.logistics.offline.send", tid=1001, out_sid="SF1", company_code="SF")
        assert sent["logistics_offline_send_response"]["shipping"]["is_success"] is True
        with pytest.raises(taobao_base.TopException) as told:
            ask("taobao.logistics.offline.send", tid=1001, out_sid="SF2", company_code="SF")
        assert told.value.subcode == "isv.logistics-offline-service-error:B04"
        read = ask("taobao.trade.fullinfo.get", tid=1001, fields="tid,status,receiver_name,orders")
        trade = read["trade_fullinfo_get_response"]["trade"]
        assert (trade["status"], trade["receiver_name"]) == ("WAIT_BUYER_CONFIRM_GOODS", "张**")
        for params, code in (({"tid": 1001}, 40), ({"tid": 1001, "fields": "tid", "start_modified": ""}, None)):
            if code:
                with pytest.raises(taobao_base.TopException) as told:
                    ask("taobao.trade.fullinfo.get", **params)
                assert told.value.errorcode == code
        wide = {**window, "start_modified": china(now - timedelta(days=2))}
        with pytest.raises(taobao_base.TopException, match="invalid-parameter"):
            ask("taobao.trades.sold.increment.get", fields="tid", **wide)


@pytest.mark.parametrize(("wrong", "code"), [({"secret": "x"}, 25), ({"app_key": "x"}, 29), ({"session": "x"}, 27)])
def test_our_double_of_taobao_turns_away_a_client_with_a_wrong_key(wrong: dict[str, str], code: int) -> None:
    shop = FakeTaobao()
    keys = {"app_key": shop.app_key, "secret": shop.secret, "session": shop.session, **wrong}
    with serve(shop) as url, pytest.raises(taobao_base.TopException) as told:
        taobao_client(url, keys["app_key"], keys["secret"], keys["session"], "taobao.trade.fullinfo.get", {"tid": 1})
    assert told.value.errorcode == code


def test_the_client_from_npm_ships_at_our_double_where_its_clock_is_chinese(node: None) -> None:
    shop = FakeTaobao()
    shop.order(1001, ("A1", 2))
    with serve(shop) as url:

        def ask(method: str, zone: str = "Asia/Shanghai", **params: str) -> dict[str, Any]:
            given = {"session": shop.session, **params}
            return node_client.call(f"{url}/router/rest", shop.app_key, shop.secret, method, given, zone)

        read = ask("taobao.trade.fullinfo.get", tid="1001", fields="tid,buyer_message")
        assert read["answer"]["trade"]["buyer_message"] == "请尽快 & 轻放"
        elsewhere = ask("taobao.trade.fullinfo.get", zone="UTC", tid="1001", fields="tid")
        assert elsewhere["refused"]["code"] == 31
        sent = ask("taobao.logistics.offline.send", tid="1001", out_sid="SF1", company_code="SF")
        assert sent["answer"]["shipping"]["is_success"] is True
        again = ask("taobao.logistics.offline.send", tid="1001", out_sid="SF2", company_code="SF")
        assert again["refused"]["sub_code"].endswith(":B04")
        bad = ask("taobao.logistics.offline.send", tid="1001", out_sid="SF2", company_code="PIGEON")
        assert bad["refused"]["sub_code"].endswith(":B56")


@pytest.mark.parametrize("client", [jd_client, pyjos_client])
def test_the_clients_for_jd_list_ship_and_read_at_our_double(client: Callable[..., Any], beijing: None) -> None:
    shop = FakeJd(secret="an ASCII secret")
    shop.order(77, ("A1", 2))
    now = datetime.now(UTC)
    with serve(shop) as url:

        def ask(method: str, **params: Any) -> dict[str, Any]:
            told: dict[str, Any] = client(url, shop.app_key, shop.secret, shop.token, method, params)
            return told

        found = ask(
            "jingdong.pop.order.search",
            start_date=china(now - timedelta(minutes=5)),
            end_date=china(now + timedelta(minutes=1)),
            order_state="WAIT_SELLER_STOCK_OUT",
            optional_fields="orderId,orderState",
            page="1",
            page_size="10",
            source_id="JOS",
        )
        result = found["jingdong_pop_order_search_responce"]["searchorderinfo_result"]
        assert result["orderInfoList"] == [{"orderId": "77", "orderState": "WAIT_SELLER_STOCK_OUT"}]
        # By the name of the property instead of the wire's, the dates are not heard.
        wrong = ask("jingdong.pop.order.search", startDate="x", endDate="x", order_state="LOCKED",
                    optional_fields="orderId", page="1", page_size="10", source_id="JOS")  # fmt: skip
        assert wrong["jingdong_pop_order_search_responce"]["searchorderinfo_result"]["apiResult"]["success"] is False
        for expected in (True, False):
            sent = ask("jingdong.pop.order.shipment", orderId=77, logiCoprId="467|463", logiNo="A,B|C")
            assert sent["jingdong_pop_order_shipment_responce"]["sopjosshipment_result"]["success"] is expected
        read = ask("jingdong.pop.order.get", order_id=77, optional_fields="orderId,waybill")
        assert read["jingdong_pop_order_get_responce"]["orderDetailInfo"]["orderInfo"]["waybill"] == "A,B|C"
        told = client(url, shop.app_key, "another secret", shop.token, "jingdong.pop.order.get", {"order_id": 77})
        assert told["error_response"]["code"] == "12"


def test_jds_bare_clock_is_refused_where_the_machine_stands_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyjos tells no offset; jd-sdk does, and is understood anywhere."""
    shop = FakeJd(secret="an ASCII secret")
    shop.order(77, ("A1", 2))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    time.tzset()
    params = {"order_id": 77, "optional_fields": "orderId"}
    with serve(shop) as url:
        given = (url, shop.app_key, shop.secret, shop.token, "jingdong.pop.order.get", params)
        assert pyjos_client(*given)["error_response"]["en_desc"] == "Invalid timestamp"
        assert "jingdong_pop_order_get_responce" in jd_client(*given)
    monkeypatch.undo()
    time.tzset()
