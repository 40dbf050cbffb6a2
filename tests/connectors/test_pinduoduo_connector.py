"""The Pinduoduo connector against a double that checks signature, clock and windows on a real socket."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from hypothesis import given
from hypothesis import strategies as st

from tests.connectors.fake_pinduoduo import FakePinduoduo
from tests.connectors.parcels import parcel
from tests.connectors.shop_server import CUT, Call, LateAnswers, Reply
from wms.connectors import Connector, ConnectorError, ShopOrder, connector_for
from wms.connectors.pinduoduo import FIRST, LAG, OVERLAP, PAGE, Pinduoduo, sign

SECRETS = {"client_id": "c", "client_secret": "s", "access_token": "t"}


@pytest.fixture
def shop() -> Iterator[FakePinduoduo]:
    made = FakePinduoduo()
    with made.net.running():
        yield made


@pytest.fixture
def late() -> LateAnswers:
    return LateAnswers()


@pytest.fixture
def pdd(shop: FakePinduoduo, late: LateAnswers) -> Pinduoduo:
    return connect(shop, late)


def connect(shop: FakePinduoduo, transport: httpx.BaseTransport | None = None, **settings: Any) -> Pinduoduo:
    mine = {"client_id": shop.client_id, "client_secret": shop.secret, "access_token": shop.token}
    made = Pinduoduo.from_settings({"url": shop.net.url, **mine, **settings}, transport)
    made.clock = lambda: shop.now

    def wait(seconds: float) -> None:
        shop.now += timedelta(seconds=seconds)

    made.sleep = wait
    return made


def one(shop: FakePinduoduo, pdd: Pinduoduo) -> ShopOrder:
    shop.now += LAG
    (order,) = pdd.fetch_orders(None)
    return order


def faulty(word: str, reply: Reply, times: int = 1) -> Any:
    left = [1] * times

    def fault(call: Call) -> Reply | None:
        return reply if word in call.body.decode() and left and left.pop() else None

    return fault


# The signature


def test_the_platforms_published_example_is_signed_as_published() -> None:
    params = {
        "type": "pdd.order.number.list.get",
        "client_id": "1",
        "access_token": "asd78172s8ds9a921j9qqwda12312w1w21211",
        "timestamp": "1480411125",
        "data_type": "XML",
        "order_status": "1",
        "page": "1",
        "page_size": "10",
    }
    assert sign(params, "testSecret") == "E4DE3ED21002510DED352819E7AE6775"


@given(params=st.dictionaries(st.text(min_size=1), st.text(), max_size=6), secret=st.text())
def test_any_values_are_signed_between_the_secrets_in_the_order_of_their_names(
    params: dict[str, str], secret: str
) -> None:
    made = hashes.Hash(hashes.MD5())
    made.update(secret.encode())
    for name in sorted(set(params) - {"sign"}):
        made.update(name.encode() + params[name].encode())
    made.update(secret.encode())
    assert sign(params, secret) == made.finalize().hex().upper()


def test_times_are_of_china_and_seconds_whatever_the_zone_of_this_machine(
    shop: FakePinduoduo, pdd: Pinduoduo, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.order("1", ("A1", 1))
    placed = shop.now
    for zone in ("America/Los_Angeles", "UTC", "Asia/Shanghai"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        order = one(shop, pdd)
        assert order.ordered_at == placed
        assert order.ship_by == placed + timedelta(hours=48)
        assert dict(parse_qsl(shop.net.calls[-1].body.decode()))["timestamp"] == str(int(shop.now.timestamp()))
    monkeypatch.undo()
    time.tzset()


# Orders in


def test_it_is_a_connector_of_its_kind() -> None:
    made = connector_for("pinduoduo", SECRETS)
    assert isinstance(made, Pinduoduo) and isinstance(made, Connector)
    assert made.grain == "order"
    assert made.door.host == "gw-api.pinduoduo.com"


def test_a_paid_order_is_read_with_lines_masked_recipient_notes_and_money(shop: FakePinduoduo, pdd: Pinduoduo) -> None:
    shop.order("1", ("A1", 2))
    shop.touch("1", buyer_memo="请放门卫", remark="易碎", free_sf=1)
    shop.orders["1"]["item_list"][0]["goods_count"] = "2"
    order = one(shop, pdd)
    assert (order.shop_order_no, order.state, order.currency) == ("1", "paid", "CNY")
    assert [(line.sku, line.qty, line.price_minor) for line in order.lines] == [("A1", 2, 1999)]
    assert (order.recipient.name, order.recipient.phone, order.recipient.oaid) == ("张*", "138****0000", "oaid-1")
    assert (order.recipient.district, order.recipient.address) == ("浦东新区", "**路*号")
    assert (order.buyer_note, order.seller_memo, order.carrier_hint) == ("请放门卫", "易碎", "SF")
    assert order.raw["receiver_name"] == "~AgAAA密文~"


@pytest.mark.parametrize(("price", "minor"), [(0.07, 7), ("19.90", 1990), (1234567.89, 123456789), (3, 300)])
def test_money_is_exact(shop: FakePinduoduo, pdd: Pinduoduo, price: Any, minor: int) -> None:
    shop.order("1", ("A1", 1), price=price)
    assert one(shop, pdd).lines[0].price_minor == minor


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "paid"),
        ({"confirm_status": 0}, "other"),
        ({"confirm_status": 2}, "cancelled"),
        ({"group_status": 0}, "other"),
        ({"group_status": 2}, "cancelled"),
        ({"refund_status": 2}, "refunding"),
        ({"refund_status": 3}, "refunding"),
        ({"refund_status": 4}, "cancelled"),
        ({"refund_status": 9}, "other"),
        ({"order_status": 2}, "shipped"),
        ({"order_status": 3, "refund_status": 2}, "shipped"),
        ({"order_status": 2, "refund_status": 4}, "cancelled"),
        ({"order_status": 7}, "other"),
        ({"risk_control_status": 1}, "other"),
        ({"trade_type": 1, "step_order_info": {"step_trade_status": 1}}, "other"),
        ({"trade_type": 1, "step_order_info": {"step_trade_status": 2}}, "paid"),
        ({"self_contained": 1}, "other"),
    ],
)
def test_each_state_of_an_order(shop: FakePinduoduo, pdd: Pinduoduo, changes: dict[str, Any], state: str) -> None:
    shop.order("1", ("A1", 1))
    shop.touch("1", **changes)
    shop.now += LAG
    (order,) = pdd.fetch_orders(shop.now)
    assert order.state == state
    assert all(line.cancelled == (state == "cancelled") for line in order.lines)


def test_the_live_question_tells_a_refund(shop: FakePinduoduo, pdd: Pinduoduo) -> None:
    shop.order("1", ("A1", 1))
    assert pdd.order_state("1") == "paid"
    for refund, state in ((2, "refunding"), (4, "cancelled"), (0, "other")):
        shop.touch("1", refund_status=refund)
        assert pdd.order_state("1") == state
    assert set(shop.names()) == {"pdd.order.status.get"}
    with pytest.raises(ConnectorError, match="has no order 2"):
        pdd.order_state("2")


def test_an_order_that_shows_up_late_is_not_lost_between_two_pulls(shop: FakePinduoduo, pdd: Pinduoduo) -> None:
    first_pull = shop.now
    shop.now -= timedelta(seconds=30)
    shop.order("1", ("A1", 1))
    shop.now = first_pull
    assert list(pdd.fetch_orders(first_pull - timedelta(hours=1))) == []  # it does not show yet
    shop.now += timedelta(minutes=10)
    assert [order.shop_order_no for order in pdd.fetch_orders(first_pull)] == ["1"]


def test_a_long_absence_is_read_in_windows_the_platform_takes(shop: FakePinduoduo, pdd: Pinduoduo) -> None:
    gone = shop.now
    for hour in range(30):
        shop.now = gone + timedelta(hours=hour, minutes=hour)
        shop.order(str(hour), ("A1", 1))
    shop.now = gone + timedelta(days=2)
    found = [order.shop_order_no for order in pdd.fetch_orders(gone)]
    assert found == [str(hour) for hour in range(30)]  # each once, the older windows first


def test_the_first_load_reads_what_waits_and_nothing_else(shop: FakePinduoduo, pdd: Pinduoduo) -> None:
    today = shop.now
    for number, days in (("old", FIRST.days + 1), ("week", 7), ("today", 0)):
        shop.now = today - timedelta(days=days)
        shop.order(number, ("A1", 1))
    shop.order("sent", ("A1", 1))
    shop.touch("sent", order_status=2)
    shop.now = today + LAG
    assert [order.shop_order_no for order in pdd.fetch_orders(None)] == ["week", "today"]


def test_pages_that_shift_while_they_are_read_lose_nothing(shop: FakePinduoduo, pdd: Pinduoduo) -> None:
    for number in range(3 * PAGE + 7):
        shop.now += timedelta(seconds=number % 2)
        shop.order(str(number), ("A1", 1))
    since, left = shop.now, [str(number) for number in range(0, 3 * PAGE, 9)]

    def touch(page: int) -> None:
        # Somebody changes orders: they leave the window, and all behind move up.
        for number in [left.pop() for _ in range(min(4, len(left)))]:
            shop.touch(number)

    shop.now += LAG + timedelta(minutes=1)
    shop.between = touch
    seen = {order.shop_order_no for order in pdd.fetch_orders(since)}
    shop.between = lambda page: None
    changed = {number for number in shop.orders if shop.changed[number] > since}
    assert changed and seen >= set(shop.orders) - changed
    shop.now += timedelta(minutes=20)
    seen |= {order.shop_order_no for order in pdd.fetch_orders(shop.now - timedelta(minutes=15))}
    assert seen == set(shop.orders)


def test_an_order_that_cannot_be_read_does_not_stop_the_others(shop: FakePinduoduo, pdd: Pinduoduo) -> None:
    shop.order("1", ("A1", 1), price="free")
    shop.order("2", ("A1", 1))
    shop.now += LAG
    found = {order.shop_order_no: order for order in pdd.fetch_orders(None)}
    assert (found["1"].state, found["1"].hold) == ("paid", "unreadable")
    assert found["2"].state == "paid"


def test_a_pull_waits_out_a_pause_and_a_push_does_not(shop: FakePinduoduo, pdd: Pinduoduo) -> None:
    shop.order("1", ("A1", 1))
    busy = Reply(200, b'{"error_response": {"error_code": 52101, "error_msg": "x"}}')
    shop.net.before = faulty("order.list.get", busy, times=2)
    assert one(shop, pdd).shop_order_no == "1"
    shop.net.before = faulty("status.get", busy)
    with pytest.raises(ConnectorError) as told:
        pdd.order_state("1")
    assert (told.value.permanent, told.value.reason) == (False, "busy")


# Shipments out


def test_a_shipment_arrives_with_its_number_and_repeating_it_changes_nothing(
    shop: FakePinduoduo, pdd: Pinduoduo
) -> None:
    shop.order("1", ("A1", 2))
    for _ in range(3):
        pushed = pdd.push_shipment(parcel("1", "SF1", ("A1", 2)))
        assert pushed.state == "acknowledged" and "SF1" in pushed.text
    assert (shop.orders["1"]["tracking_number"], shop.orders["1"]["logistics_id"]) == ("SF1", 44)
    assert shop.names().count("pdd.logistics.online.send") == 1
    assert pdd.order_state("1") == "shipped"


def test_a_carrier_is_known_by_setting_code_or_name_or_a_person_is_asked(shop: FakePinduoduo) -> None:
    for number, (code, settings, carrier) in enumerate(
        (("SF", {}, 44), ("zto", {}, 115), ("X", {"carriers": {"X": 115}}, 115))
    ):
        shop.order(str(number), ("A1", 1))
        connect(shop, **settings).push_shipment(parcel(str(number), "N1", ("A1", 1), carrier=code))
        assert shop.orders[str(number)]["logistics_id"] == carrier
    shop.order("9", ("A1", 1))
    for code in ("OLD", "X"):
        with pytest.raises(ConnectorError, match="顺丰速运") as told:
            connect(shop).push_shipment(parcel("9", "N1", ("A1", 1), carrier=code))
        assert (told.value.permanent, told.value.reason) == (True, "carrier_unknown")


@pytest.mark.parametrize("shows", [True, False])
def test_the_second_parcel_is_told_beside_the_first(shop: FakePinduoduo, pdd: Pinduoduo, shows: bool) -> None:
    shop.shows_extra = shows
    shop.order("1", ("A1", 5))
    assert pdd.push_shipment(parcel("1", "SF1", ("A1", 2))).state == "acknowledged"
    assert pdd.push_shipment(parcel("1", "SF2", ("A1", 3), no="P2")).state == "acknowledged"
    assert shop.orders["1"]["tracking_number"] == "SF1"
    if shows:
        assert pdd.push_shipment(parcel("1", "SF2", ("A1", 3), no="P2")).state == "acknowledged"
        assert [one["tracking_number"] for one in shop.orders["1"]["extra_delivery_list"]] == ["SF2"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_push_cut_off_is_made_good_and_sent_once(shop: FakePinduoduo, pdd: Pinduoduo, when: str) -> None:
    shop.order("1", ("A1", 2))
    setattr(shop.net, when, faulty("online.send", CUT))
    if when == "before":
        with pytest.raises(ConnectorError) as told:
            pdd.push_shipment(parcel("1", "SF1", ("A1", 2)))
        assert not told.value.permanent
    assert pdd.push_shipment(parcel("1", "SF1", ("A1", 2))).state == "acknowledged"
    assert shop.orders["1"]["tracking_number"] == "SF1"


def test_an_answer_that_comes_too_late_is_read_back_at_once(
    shop: FakePinduoduo, pdd: Pinduoduo, late: LateAnswers
) -> None:
    shop.order("1", ("A1", 2))
    late.late = lambda request: b"online.send" in request.content
    assert pdd.push_shipment(parcel("1", "SF1", ("A1", 2))).state == "acknowledged"


def test_already_sent_is_success_only_with_our_own_number(shop: FakePinduoduo, pdd: Pinduoduo) -> None:
    shop.order("1", ("A1", 2))
    shop.touch("1", order_status=2, tracking_number="OTHER-9")
    pushed = pdd.push_shipment(parcel("1", "SF1", ("A1", 2)))
    assert pushed.state == "conflict" and "OTHER-9" in pushed.text
    shop.touch("1", tracking_number="sf1 ")
    assert pdd.push_shipment(parcel("1", "SF1", ("A1", 2))).state == "acknowledged"


def test_a_race_lost_between_reading_and_pushing_is_told_by_what_the_shop_holds(
    shop: FakePinduoduo, pdd: Pinduoduo
) -> None:
    shop.order("1", ("A1", 2))

    def overtake(call: Call) -> None:
        if b"online.send" in call.body:
            shop.touch("1", order_status=2, tracking_number="OTHER-9")

    shop.net.before = overtake
    pushed = pdd.push_shipment(parcel("1", "SF1", ("A1", 2)))
    assert pushed.state == "conflict"
    assert pushed.evidence["others"] == "OTHER-9" and "不能重复发货" in pushed.text


@pytest.mark.parametrize(("refund", "state"), [(2, "refunding"), (3, "refunding"), (4, "cancelled")])
@pytest.mark.parametrize("moment", ["before the push", "within the push"])
def test_money_asked_back_between_pull_and_push_is_a_conflict(
    shop: FakePinduoduo, pdd: Pinduoduo, refund: int, state: str, moment: str
) -> None:
    shop.order("1", ("A1", 2))

    def ask(call: Call) -> None:
        if b"online.send" in call.body:
            shop.touch("1", refund_status=refund)

    if moment == "before the push":
        shop.touch("1", refund_status=refund)
    else:
        shop.net.before = ask
    pushed = pdd.push_shipment(parcel("1", "SF1", ("A1", 2)))
    assert pushed.state == "conflict" and "Stop parcel P1" in pushed.text
    assert shop.orders["1"]["tracking_number"] == ""
    assert state in ("refunding", "cancelled")


def test_more_pieces_than_the_order_has_are_a_conflict(shop: FakePinduoduo, pdd: Pinduoduo) -> None:
    shop.order("1", ("A1", 2))
    assert pdd.push_shipment(parcel("1", "SF1", ("A1", 3))).state == "conflict"
    assert shop.orders["1"]["order_status"] == 1


def test_a_wrong_number_is_corrected_only_where_the_shop_has_it(shop: FakePinduoduo, pdd: Pinduoduo) -> None:
    shop.order("1", ("A1", 2))
    right = parcel("1", "SF1", ("A1", 2))
    assert pdd.correct_shipment(right, "WRONG").state == "conflict"
    pdd.push_shipment(parcel("1", "WRONG", ("A1", 2)))
    for _ in range(2):
        assert pdd.correct_shipment(right, "WRONG").state == "acknowledged"
    assert shop.orders["1"]["tracking_number"] == "SF1"
    assert pdd.correct_shipment(parcel("1", "SF9", ("A1", 2)), "WRONG").state == "conflict"


def test_an_order_the_shop_does_not_know(pdd: Pinduoduo) -> None:
    with pytest.raises(ConnectorError, match="订单不存在") as told:
        pdd.push_shipment(parcel("9", "SF1", ("A1", 1)))
    assert (told.value.permanent, told.value.reason) == (True, "order_unknown")


# Stock out


def test_stock_is_set_absolutely(shop: FakePinduoduo, pdd: Pinduoduo) -> None:
    item = shop.item("A1", 50)
    shop.item("A1-XL", 9)
    pdd.push_stock("A1", 7)
    assert item["sku_quantity"] == 7 and pdd.stock("A1") == 7
    with pytest.raises(ConnectorError, match="NONE") as told:
        pdd.push_stock("NONE", 1)
    assert (told.value.permanent, told.value.reason) == (True, "sku_unknown")


def test_stock_of_an_item_under_many_links_is_shared_out_and_never_above_it(
    shop: FakePinduoduo, pdd: Pinduoduo
) -> None:
    links = [shop.item("A1", 9) for _ in range(PAGE + 5)]
    pdd.push_stock("A1", 7)
    assert sorted((link["sku_quantity"] for link in links), reverse=True)[:8] == [1] * 7 + [0]
    assert pdd.stock("A1") == 7


def test_stock_the_platform_refuses_is_told_in_its_words(shop: FakePinduoduo, pdd: Pinduoduo) -> None:
    shop.item("A1", 50)
    fault = {"error_code": 50001, "sub_msg": "在资源位上的商品不能减少库存"}
    shop.net.before = faulty("quantity.update", Reply(200, json.dumps({"error_response": fault}).encode()))
    with pytest.raises(ConnectorError, match="资源位") as told:
        pdd.push_stock("A1", 7)
    assert told.value.permanent
    shop.net.before = faulty(
        "quantity.update", Reply(200, b'{"goods_quantity_update_response": {"is_success": false}}')
    )
    with pytest.raises(ConnectorError, match="A1"):
        pdd.push_stock("A1", 7)


# Faults


@pytest.mark.parametrize(
    ("code", "permanent", "reason"),
    [
        (10019, True, "unauthorised"),
        (20032, True, "unauthorised"),
        (20004, True, "bad_sign"),
        (20005, True, "ip_unknown"),
        (20031, True, "access_denied"),
        (70034, True, "access_denied"),
        (50001, True, "refused_here"),
        (21001, True, "refused_here"),
        (50000, False, "shop_fault"),
        (52002, False, "shop_fault"),
        (52101, False, "busy"),
        (70031, False, "busy"),
    ],
)
def test_each_code_says_whether_to_try_again_and_no_secret_is_in_the_text(
    shop: FakePinduoduo, pdd: Pinduoduo, code: int, permanent: bool, reason: str
) -> None:
    fault = {"error_code": code, "error_msg": f"no: {shop.token} {shop.secret}"}
    shop.net.before = lambda call: Reply(200, json.dumps({"error_response": fault}).encode())
    with pytest.raises(ConnectorError) as told:
        pdd.order_state("1")
    assert (told.value.permanent, told.value.reason) == (permanent, reason)
    text = f"{told.value} {told.value.facts} {pdd!r}"
    assert shop.token not in text and shop.secret not in text


@pytest.mark.parametrize(
    ("reply", "permanent", "reason"),
    [
        (Reply(200, b"{}"), False, "no_data"),
        (Reply(200, b"<html>"), False, "no_json"),
        (Reply(429, b"{}", {"Retry-After": "7"}), False, "busy"),
        (Reply(502, b"{}"), False, "shop_fault"),
        (CUT, False, "offline"),
    ],
)
def test_each_fault_of_the_line_is_tried_again(
    shop: FakePinduoduo, pdd: Pinduoduo, reply: Reply, permanent: bool, reason: str
) -> None:
    shop.net.before = lambda call: reply
    with pytest.raises(ConnectorError) as told:
        pdd.order_state("1")
    assert (told.value.permanent, told.value.reason) == (permanent, reason)


def test_a_wrong_secret_clock_or_token_is_for_a_person(shop: FakePinduoduo) -> None:
    for settings, reason in (({"client_secret": "old"}, "bad_sign"), ({"access_token": "old"}, "unauthorised")):
        with pytest.raises(ConnectorError) as told:
            connect(shop, **settings).order_state("1")
        assert (told.value.permanent, told.value.reason) == (True, reason)
    slow = connect(shop)
    slow.clock = lambda: shop.now - timedelta(minutes=11)
    with pytest.raises(ConnectorError, match="clock"):
        slow.order_state("1")


def test_the_secret_never_travels(shop: FakePinduoduo, pdd: Pinduoduo) -> None:
    shop.order("1", ("A1", 1))
    pdd.push_shipment(parcel("1", "SF1", ("A1", 1)))
    assert all(shop.secret not in call.body.decode() + call.raw_query for call in shop.net.calls)
    assert timedelta(0) < LAG < OVERLAP
