"""The Douyin connector against a double that checks signature, clock and pages, itself called by a foreign client."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import doudian
import httpx
import pytest
from cryptography.hazmat.primitives import hashes, hmac
from hypothesis import given
from hypothesis import strategies as st

from tests.connectors.fake_douyin import FakeDouyin
from tests.connectors.parcels import parcel
from tests.connectors.shop_server import CUT, Call, LateAnswers, Reply
from wms.connectors import Connector, ConnectorError, ShopOrder, connector_for
from wms.connectors.douyin import OVERLAP, PAGE, Douyin, compact, sign, verify_event


@pytest.fixture
def shop() -> Iterator[FakeDouyin]:
    made = FakeDouyin()
    with made.net.running():
        yield made


@pytest.fixture
def late() -> LateAnswers:
    return LateAnswers()


@pytest.fixture
def douyin(shop: FakeDouyin, late: LateAnswers) -> Douyin:
    return connect(shop, late)


def connect(shop: FakeDouyin, transport: httpx.BaseTransport | None = None, **settings: Any) -> Douyin:
    mine = {"app_key": shop.app_key, "app_secret": shop.secret, "access_token": shop.token}
    made = Douyin.from_settings({"url": shop.net.url, **mine, **settings}, transport)
    made.clock = lambda: shop.now

    def wait(seconds: float) -> None:
        shop.now += timedelta(seconds=seconds)

    made.sleep = wait
    return made


def one(douyin: Douyin) -> ShopOrder:
    (order,) = douyin.fetch_orders(None)
    return order


def faulty(path: str, reply: Reply, times: int = 1) -> Any:
    left = [1] * times
    return lambda call: reply if call.path.startswith(path) and left and left.pop() else None


@pytest.fixture
def in_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    def move(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


# The signature


def foreign(shop: FakeDouyin) -> doudian.DouDian:
    """The independent client from PyPI, unmodified but for the address it calls."""

    class Here(doudian.DouDian):
        _gate_way = property(lambda self: shop.net.url, lambda self, value: None)

    return Here(shop.app_key, shop.secret, shop_id="1")


@given(method=st.from_regex(r"[a-zA-Z.]{1,20}", fullmatch=True), value=st.text(), secret=st.text(min_size=1))
def test_any_values_are_signed_as_the_foreign_client_signs_them(method: str, value: str, secret: str) -> None:
    param_json, at = compact({"b": value, "a": [{"d": 1, "c": value}]}), "2026-11-21 20:00:00"
    client = doudian.DouDian("7000000000000000001", secret, app_type=doudian.AppType.TOOL)
    mine = sign("7000000000000000001", secret, method, param_json, at)
    assert mine == client._sign(method, param_json, at)
    made = hmac.HMAC(secret.encode(), hashes.SHA256())
    made.update(f"{secret}app_key7000000000000000001method{method}param_json{param_json}".encode())
    made.update(f"timestamp{at}v2{secret}".encode())
    assert mine == made.finalize().hex()


@given(value=st.text(), number=st.integers())
def test_the_text_that_is_signed_is_compact_and_sorted_at_every_depth(value: str, number: int) -> None:
    text = compact({"b": {"z": value, "a": number}, "a": [{"y": 1, "x": None}]})
    assert text.startswith('{"a":[{"x":null,"y":1}],"b":{"a":')
    assert json.loads(text)["b"] == {"z": value, "a": number}


def test_the_foreign_client_and_we_are_answered_alike(shop: FakeDouyin, in_zone: Any) -> None:
    in_zone("Asia/Shanghai")
    shop.now = datetime.now(UTC)
    shop.order("1", ("A1 红&杯", 2))
    theirs = foreign(shop).request("/order/orderDetail", {"shop_order_id": "1"})
    assert theirs["data"]["shop_order_detail"]["order_id"] == "1"
    asked = shop.net.calls[-1]
    assert connect(shop).order_state("1") == "paid"
    ours = shop.net.calls[-1]
    assert (ours.method, ours.path, ours.body) == (asked.method, asked.path, asked.body)
    assert ours.params.keys() == asked.params.keys()


def test_a_client_that_trusts_its_own_zone_is_refused_and_we_are_not(shop: FakeDouyin, in_zone: Any) -> None:
    shop.now = datetime.now(UTC)
    shop.order("1", ("A1", 1))
    for zone in ("UTC", "America/Los_Angeles"):
        in_zone(zone)
        assert foreign(shop)._token is None  # it is not even given a token
        assert connect(shop).order_state("1") == "paid"
    sent = shop.net.calls[-1].params["timestamp"]
    assert sent == (shop.now + timedelta(hours=8)).strftime("%Y-%m-%d %H:%M:%S")


@given(body=st.text(min_size=1), secret=st.text(min_size=1))
def test_a_pushed_event_is_judged_as_the_foreign_client_judges_it(body: str, secret: str) -> None:
    key = "7000000000000000001"
    client = doudian.DouDian(key, secret, app_type=doudian.AppType.TOOL)
    content = json.dumps({"data": body}, ensure_ascii=False).encode()
    made = hashes.Hash(hashes.MD5())
    made.update(key.encode() + content + secret.encode())
    good = made.finalize().hex()
    assert client.callback({"app-id": key, "event-sign": good}, content) == {"data": body}
    assert verify_event(key, secret, content, good)
    for wrong in ("", good[:-1] + ("0" if good[-1] != "0" else "1"), "ünlike"):
        assert client.callback({"app-id": key, "event-sign": wrong}, content) is None
        assert not verify_event(key, secret, content, wrong)


# Orders in


def test_it_is_a_connector_of_its_kind() -> None:
    made = connector_for("douyin", {"app_key": "k", "app_secret": "s", "access_token": "t"})
    assert isinstance(made, Douyin) and isinstance(made, Connector)
    assert made.door.host == "openapi-fxg.jinritemai.com"


def test_a_paid_order_is_read_with_lines_masked_recipient_notes_and_money(shop: FakeDouyin, douyin: Douyin) -> None:
    shop.order("1", ("A1", 2), ("CARD", 1))
    shop.touch("1", buyer_words="请放门卫", seller_words="易碎")
    shop.orders["1"]["sku_order_list"][1]["goods_type"] = 1
    order = one(douyin)
    assert (order.shop_order_no, order.state, order.currency) == ("1", "paid", "CNY")
    assert [(line.line_ref, line.sku, line.qty, line.price_minor, line.kind) for line in order.lines] == [
        ("10", "A1", 2, 1999, "goods"),
        ("11", "CARD", 1, 1999, "service"),
    ]
    assert (order.recipient.name, order.recipient.phone, order.recipient.oaid) == ("张*", "138****0000", "oaid-1")
    assert (order.recipient.district, order.recipient.town, order.recipient.address) == (
        "浦东新区",
        "张江镇",
        "**路*号",
    )
    assert (order.buyer_note, order.seller_memo) == ("请放门卫", "易碎")
    assert order.ordered_at == shop.now and order.ship_by == shop.now + timedelta(hours=48)
    assert order.raw["order_id"] == "1"


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "paid"),
        ({"order_status": 101}, "paid"),
        ({"order_status": 1}, "other"),
        ({"order_status": 105}, "other"),
        ({"order_status": 3}, "shipped"),
        ({"order_status": 5}, "shipped"),
        ({"order_status": 4}, "cancelled"),
        ({"order_status": 21}, "cancelled"),
        ({"order_status": 999}, "other"),
        ({"order_type": 4}, "other"),
    ],
)
def test_each_state_of_an_order(shop: FakeDouyin, douyin: Douyin, changes: dict[str, Any], state: str) -> None:
    shop.order("1", ("A1", 1))
    shop.touch("1", **changes)
    (order,) = douyin.fetch_orders(shop.now)
    assert order.state == state == douyin.order_state("1")
    assert all(line.cancelled == (state == "cancelled") for line in order.lines)


@pytest.mark.parametrize(
    ("status", "refund", "state", "cancelled"),
    [
        (6, 1, "refunding", False),
        (7, 1, "refunding", False),
        (12, 3, "paid", True),
        (12, 1, "paid", True),
        (51, 1, "paid", True),
        (6, 3, "paid", True),
        (28, 1, "paid", False),
        (27, 4, "paid", False),
    ],
)
def test_a_refund_of_one_line_holds_the_order_or_takes_the_line_alone(
    shop: FakeDouyin, douyin: Douyin, status: int, refund: int, state: str, cancelled: bool
) -> None:
    shop.order("1", ("A1", 2), ("B2", 1))
    shop.ask_back("1", "A1", status, refund)
    order = one(douyin)
    assert order.state == state
    assert [line.cancelled for line in order.lines] == [cancelled, False]
    shop.ask_back("1", "B2", 12, 3)
    if cancelled:
        assert douyin.order_state("1") == "cancelled"


def test_what_changed_within_the_overlap_comes_again(shop: FakeDouyin, douyin: Douyin) -> None:
    shop.order("1", ("A1", 1))
    moment = shop.now
    shop.now += timedelta(hours=1)
    assert [order.shop_order_no for order in douyin.fetch_orders(moment + OVERLAP)] == ["1"]
    assert list(douyin.fetch_orders(moment + OVERLAP + timedelta(seconds=1))) == []


def test_a_shop_away_for_a_year_is_asked_for_no_more_than_ninety_days(shop: FakeDouyin, douyin: Douyin) -> None:
    shop.order("1", ("A1", 1))
    assert [order.shop_order_no for order in douyin.fetch_orders(shop.now - timedelta(days=365))] == ["1"]


def test_pages_that_shift_while_they_are_read_lose_nothing(shop: FakeDouyin, douyin: Douyin) -> None:
    for number in range(4 * PAGE):
        shop.now += timedelta(seconds=number % 2)
        shop.order(f"{number:04}", ("A1", 1))
    start, left = shop.now - timedelta(hours=1), [f"{number:04}" for number in range(0, 4 * PAGE, 7)]

    def touch(page: int) -> None:
        shop.now += timedelta(seconds=1)
        for number in [left.pop(0) for _ in range(min(5, len(left)))]:
            shop.touch(number)

    shop.between = touch
    assert {order.shop_order_no for order in douyin.fetch_orders(start)} == set(shop.orders)


def test_the_first_load_loses_none_though_others_are_sent_meanwhile(shop: FakeDouyin, douyin: Douyin) -> None:
    for number in range(3 * PAGE):
        shop.now += timedelta(seconds=1)
        shop.order(f"{number:04}", ("A1", 1))
    left = [f"{number:04}" for number in range(0, 90, 3)]

    def send(page: int) -> None:
        for number in [left.pop() for _ in range(min(10, len(left)))]:
            shop.touch(number, order_status=3)

    shop.between = send
    seen = {order.shop_order_no for order in douyin.fetch_orders(None)}
    waiting = {number for number, order in shop.orders.items() if order["order_status"] == 2}
    assert waiting and seen >= waiting


def test_more_orders_in_one_second_than_a_page_holds(shop: FakeDouyin, douyin: Douyin) -> None:
    for number in range(2 * PAGE + 5):
        shop.order(f"{number:04}", ("A1", 1))
    assert len({order.shop_order_no for order in douyin.fetch_orders(shop.now)}) == 2 * PAGE + 5


def test_an_order_that_cannot_be_read_does_not_stop_the_others(shop: FakeDouyin, douyin: Douyin) -> None:
    shop.order("1", ("A1", 1))
    shop.orders["1"]["sku_order_list"][0]["item_num"] = "many"
    shop.order("2", ("A1", 1))
    bad, good = douyin.fetch_orders(None)
    assert (bad.shop_order_no, bad.state, bad.hold) == ("1", "paid", "unreadable")
    assert good.state == "paid"


def test_a_pull_waits_out_a_pause_and_a_push_does_not(shop: FakeDouyin, douyin: Douyin) -> None:
    shop.order("1", ("A1", 1))
    busy = Reply(200, b'{"code": 60000, "msg": "x", "sub_code": ""}')
    shop.net.before = faulty("/order/searchList", busy, times=2)
    assert one(douyin).shop_order_no == "1"
    shop.net.before = faulty("/order/orderDetail", busy)
    with pytest.raises(ConnectorError) as told:
        douyin.order_state("1")
    assert (told.value.permanent, told.value.reason) == (False, "busy")


# Shipments out


def test_a_shipment_arrives_with_its_number_and_repeating_it_changes_nothing(shop: FakeDouyin, douyin: Douyin) -> None:
    shop.order("1", ("A1", 2), ("B2", 1))
    for _ in range(3):
        pushed = douyin.push_shipment(parcel("1", "SF1", ("A1", 2), ("B2", 1)))
        assert pushed.state == "acknowledged" and "SF1" in pushed.text
    assert shop.packs("1") == [("SF1", 3)]
    assert [call.path for call in shop.net.calls].count("/order/logisticsAdd") == 1
    assert douyin.order_state("1") == "shipped"


def test_two_parcels_of_one_line_ship_their_own_pieces(shop: FakeDouyin, douyin: Douyin) -> None:
    shop.order("1", ("A1", 5))
    assert douyin.push_shipment(parcel("1", "SF1", ("A1", 2))).state == "acknowledged"
    (order,) = douyin.fetch_orders(None)
    assert (order.state, order.lines[0].qty) == ("paid", 3)
    assert douyin.push_shipment(parcel("1", "SF2", ("A1", 3), no="P2")).state == "acknowledged"
    assert shop.packs("1") == [("SF1", 2), ("SF2", 3)]
    assert douyin.order_state("1") == "shipped"


def test_the_rest_after_a_refund_is_sent_whole(shop: FakeDouyin, douyin: Douyin) -> None:
    shop.order("1", ("A1", 2), ("B2", 1))
    shop.ask_back("1", "B2", 12, 3)
    assert douyin.push_shipment(parcel("1", "SF1", ("A1", 2))).state == "acknowledged"
    assert shop.packs("1") == [("SF1", 2)] and douyin.order_state("1") == "shipped"


@pytest.mark.parametrize("pieces", [2, 5])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_push_cut_off_is_made_good_and_sent_once(shop: FakeDouyin, douyin: Douyin, when: str, pieces: int) -> None:
    shop.order("1", ("A1", 5))
    setattr(shop.net, when, faulty("/order/logisticsAdd", CUT))
    if when == "before":
        with pytest.raises(ConnectorError) as told:
            douyin.push_shipment(parcel("1", "SF1", ("A1", pieces)))
        assert not told.value.permanent
    assert douyin.push_shipment(parcel("1", "SF1", ("A1", pieces))).state == "acknowledged"
    assert shop.packs("1") == [("SF1", pieces)]


def test_an_answer_that_comes_too_late_is_read_back_at_once(
    shop: FakeDouyin, douyin: Douyin, late: LateAnswers
) -> None:
    shop.order("1", ("A1", 5))
    late.late = lambda request: "logisticsAdd" in request.url.path
    assert douyin.push_shipment(parcel("1", "SF1", ("A1", 2))).state == "acknowledged"
    assert shop.packs("1") == [("SF1", 2)]


def test_already_sent_is_success_only_with_our_own_number(shop: FakeDouyin, douyin: Douyin) -> None:
    shop.order("1", ("A1", 2))
    shop.send_by_hand("1", "OTHER-9")
    pushed = douyin.push_shipment(parcel("1", "SF1", ("A1", 2)))
    assert pushed.state == "conflict" and "OTHER-9" in pushed.text
    shop.order("2", ("A1", 2))
    shop.send_by_hand("2", "sf2 ")
    assert douyin.push_shipment(parcel("2", "SF2", ("A1", 2))).state == "acknowledged"


def test_a_race_lost_between_reading_and_pushing_is_told_by_what_the_shop_holds(
    shop: FakeDouyin, douyin: Douyin
) -> None:
    shop.order("1", ("A1", 2))

    def overtake(call: Call) -> None:
        if call.path == "/order/logisticsAdd":
            shop.send_by_hand("1", "OTHER-9")

    shop.net.before = overtake
    pushed = douyin.push_shipment(parcel("1", "SF1", ("A1", 2)))
    assert pushed.state == "conflict"
    assert pushed.evidence["others"] == "OTHER-9" and "不允许再次执行发货" in pushed.text


@pytest.mark.parametrize("how", ["asked", "given", "cancelled"])
@pytest.mark.parametrize("moment", ["before the push", "within the push"])
def test_money_asked_back_between_pull_and_push_is_a_conflict_and_never_refused_by_us(
    shop: FakeDouyin, douyin: Douyin, how: str, moment: str
) -> None:
    shop.order("1", ("A1", 2))

    def happen(call: Call | None = None) -> None:
        if call is not None and not call.path.startswith("/order/logisticsAdd"):
            return
        if how == "cancelled":
            shop.touch("1", order_status=4)
        else:
            shop.ask_back("1", "A1", *((6, 1) if how == "asked" else (12, 3)))

    if moment == "before the push":
        happen()
    else:
        shop.net.before = happen
    pushed = douyin.push_shipment(parcel("1", "SF1", ("A1", 2)))
    assert pushed.state == "conflict" and "Stop parcel P1" in pushed.text
    assert shop.packs("1") == []


def test_a_line_refunded_between_pull_and_push_is_a_conflict(shop: FakeDouyin, douyin: Douyin) -> None:
    shop.order("1", ("A1", 2), ("B2", 1))
    shop.ask_back("1", "B2", 12, 3)
    pushed = douyin.push_shipment(parcel("1", "SF1", ("A1", 2), ("B2", 1)))
    assert (pushed.state, shop.packs("1")) == ("conflict", [])


def test_a_line_refunded_within_the_push_of_the_whole_order_is_told(shop: FakeDouyin, douyin: Douyin) -> None:
    shop.order("1", ("A1", 2), ("B2", 1))
    asked = [1]

    def give_back(call: Call) -> None:
        if call.path == "/order/logisticsAdd" and asked:
            asked.pop()
            shop.ask_back("1", "B2", 12, 3)

    shop.net.before = give_back
    pushed = douyin.push_shipment(parcel("1", "SF1", ("A1", 2), ("B2", 1)))
    assert shop.packs("1") == [("SF1", 2)]  # the platform sends what is left of the order
    assert pushed.state == "conflict" and "paid back" in pushed.text


def test_a_carrier_is_known_by_setting_code_or_name_or_a_person_is_asked(shop: FakeDouyin) -> None:
    for number, (code, settings) in enumerate((("SF", {}), ("Zhongtong", {}), ("X", {"carriers": {"X": "zhongtong"}}))):
        shop.order(str(number), ("A1", 1))
        pushed = connect(shop, **settings).push_shipment(parcel(str(number), "N1", ("A1", 1), carrier=code))
        assert pushed.state == "acknowledged"
    shop.carriers.pop(0)
    shop.order("9", ("A1", 1))
    with pytest.raises(ConnectorError, match="顺丰速运") as told:
        connect(shop).push_shipment(parcel("9", "N1", ("A1", 1), carrier="X"))
    assert (told.value.permanent, told.value.reason) == (True, "carrier_unknown")


def test_a_wrong_number_is_corrected_only_where_the_shop_has_it(shop: FakeDouyin, douyin: Douyin) -> None:
    shop.order("1", ("A1", 5))
    right = parcel("1", "SF1", ("A1", 5))
    assert douyin.correct_shipment(right, "WRONG").state == "conflict"
    douyin.push_shipment(parcel("1", "WRONG", ("A1", 5)))
    for _ in range(2):
        assert douyin.correct_shipment(right, "WRONG").state == "acknowledged"
    assert shop.packs("1") == [("SF1", 5)]
    assert douyin.correct_shipment(parcel("1", "SF9", ("A1", 5)), "WRONG").state == "conflict"


def test_of_several_parcels_the_wrong_one_alone_is_corrected(shop: FakeDouyin, douyin: Douyin) -> None:
    shop.order("1", ("A1", 5))
    douyin.push_shipment(parcel("1", "SF1", ("A1", 2)))
    assert douyin.correct_shipment(parcel("1", "SF8", ("A1", 2)), "SF1").state == "acknowledged"
    douyin.push_shipment(parcel("1", "WRONG", ("A1", 3), no="P2"))
    assert douyin.correct_shipment(parcel("1", "SF2", ("A1", 3), no="P2"), "WRONG").state == "acknowledged"
    assert shop.packs("1") == [("SF8", 2), ("SF2", 3)]


def test_an_order_the_shop_does_not_know(douyin: Douyin) -> None:
    with pytest.raises(ConnectorError, match="has no order 9") as told:
        douyin.push_shipment(parcel("9", "SF1", ("A1", 1)))
    assert told.value.permanent


# Stock out


def test_stock_is_set_absolutely(shop: FakeDouyin, douyin: Douyin) -> None:
    item = shop.item("A1", 50)
    douyin.push_stock("A1", 7)
    assert item["stock_num"] == 7 and douyin.stock("A1") == 7
    for sku, qty, reason in (("NONE", 1, "sku_unknown"), ("A1", -1, "refused_here")):
        with pytest.raises(ConnectorError) as told:
            douyin.push_stock(sku, qty)
        assert (told.value.permanent, told.value.reason) == (True, reason)


def test_stock_whose_answer_was_lost_is_asked_again_under_the_same_id(shop: FakeDouyin, douyin: Douyin) -> None:
    item = shop.item("A1", 50)
    lost = faulty("/sku/syncStock", CUT)

    def sold_after(call: Call) -> Reply | None:
        reply: Reply | None = lost(call)
        if reply:
            item["stock_num"] -= 1  # a buyer between the two: the repeat must not undo it
        return reply

    shop.net.after = sold_after
    douyin.push_stock("A1", 7)
    assert item["stock_num"] == 6


# Faults


@pytest.mark.parametrize(
    ("code", "sub_code", "permanent", "reason"),
    [
        (40003, "isv.access-token-expired", True, "unauthorised"),
        (30001, "dop.authorization-closed", True, "unauthorised"),
        (30001, "isv.app-permissions-insufficient", True, "access_denied"),
        (30002, "", True, "ip_unknown"),
        (40003, "isv.signature-invalid", True, "bad_sign"),
        (40003, "isv.timestamp-invalid", True, "bad_sign"),
        (40004, "isv.parameter-invalid:60017", True, "refused_here"),
        (50002, "isv.business-failed:60110", True, "refused_here"),
        (50002, "isv.business-failed:8888", False, "shop_fault"),
        (20000, "isp.service-error:20005", False, "shop_fault"),
        (90000, "dop.unknown-error", False, "shop_fault"),
        (60000, "", False, "busy"),
    ],
)
def test_each_code_says_whether_to_try_again_and_no_secret_is_in_the_text(
    shop: FakeDouyin, douyin: Douyin, code: int, sub_code: str, permanent: bool, reason: str
) -> None:
    fault = {"code": code, "sub_code": sub_code, "sub_msg": f"no: {shop.token} {shop.secret}"}
    shop.net.before = lambda call: Reply(200, json.dumps(fault).encode())
    with pytest.raises(ConnectorError) as told:
        douyin.order_state("1")
    assert (told.value.permanent, told.value.reason) == (permanent, reason)
    text = f"{told.value} {told.value.facts} {douyin!r}"
    assert shop.token not in text and shop.secret not in text


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(200, b"{}"), "no_data"),
        (Reply(200, b"[]"), "no_data"),
        (Reply(200, b"<html>"), "no_json"),
        (Reply(429, b"{}", {"Retry-After": "7"}), "busy"),
        (Reply(502, b"{}"), "shop_fault"),
        (CUT, "offline"),
    ],
)
def test_each_fault_of_the_line_is_tried_again(shop: FakeDouyin, douyin: Douyin, reply: Reply, reason: str) -> None:
    shop.net.before = lambda call: reply
    with pytest.raises(ConnectorError) as told:
        douyin.order_state("1")
    assert (told.value.permanent, told.value.reason) == (False, reason)


def test_a_wrong_secret_clock_or_token_is_for_a_person(shop: FakeDouyin) -> None:
    for settings, reason in (({"app_secret": "old"}, "bad_sign"), ({"access_token": "old"}, "unauthorised")):
        with pytest.raises(ConnectorError) as told:
            connect(shop, **settings).order_state("1")
        assert (told.value.permanent, told.value.reason) == (True, reason)
    slow = connect(shop)
    slow.clock = lambda: shop.now - timedelta(minutes=11)
    with pytest.raises(ConnectorError, match="clock"):
        slow.order_state("1")


def test_the_secret_never_travels(shop: FakeDouyin, douyin: Douyin) -> None:
    shop.order("1", ("A1", 1))
    douyin.push_shipment(parcel("1", "SF1", ("A1", 1)))
    assert all(shop.secret not in call.body.decode() + call.raw_query for call in shop.net.calls)
