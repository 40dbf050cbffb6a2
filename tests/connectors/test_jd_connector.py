"""The JD connector against a double of the gateway that enforces the contract, over real HTTP."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.connectors.fake_jd import FakeJd, Refuse, china
from tests.connectors.loopback import Answer, Request, serve
from tests.connectors.untimed import untimed
from wms.connectors import (
    Authorised,
    Connector,
    ConnectorError,
    Corrects,
    Rereads,
    Shipment,
    ShopOrder,
    Windowed,
    connector_for,
)
from wms.connectors.jd import MOST_PAGES, OVERLAP, PAGE, REFUND_PAGE, WINDOW, Jd
from wms.connectors.limits import Limits
from wms.connectors.signing import compact_json, jd_time, md5_sandwich

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SHIPPED_AT = datetime(2026, 11, 21, 13, 0, tzinfo=UTC)
SEARCH = "jingdong.pop.order.search"
SHIP = "jingdong.pop.order.shipment"
REFUNDS = "jingdong.pop.afs.soa.refundapply.queryPageList"


@dataclass
class Tick:
    at: datetime = START

    def __call__(self) -> datetime:
        return self.at


@dataclass
class Safe:
    """Where the renewed keys are kept."""

    kept: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def tick(monkeypatch: pytest.MonkeyPatch) -> Tick:
    tick = Tick()
    monkeypatch.setattr("wms.clock.now", tick)
    return tick


@pytest.fixture
def shop(tick: Tick) -> FakeJd:
    return FakeJd(now=tick)


@pytest.fixture
def url(shop: FakeJd) -> Iterator[str]:
    with serve(shop) as address:
        yield address


def settings(shop: FakeJd, url: str, **more: Any) -> dict[str, Any]:
    return {
        "url": f"{url}/routerjson",
        "renew_url": f"{url}/oauth2/refresh_token",
        "app_key": shop.app_key,
        "app_secret": shop.secret,
        "access_token": shop.token,
        **more,
    }


def connect(shop: FakeJd, url: str, safe: Safe | None = None, **more: Any) -> Jd:
    return Jd.from_settings(
        {**settings(shop, url), "calls_per_s": "100000", "first_days": "3", **more},
        limits=Limits(),
        on_token=safe.kept.append if safe else None,
    )


@pytest.fixture
def jd(shop: FakeJd, url: str) -> Jd:
    return connect(shop, url)


def parcel(
    order: int, waybill: str, no: str = "P1", carrier: str = "SF", others: tuple[Shipment, ...] = ()
) -> Shipment:
    inside = (("", "A1", 1),)
    return Shipment(str(order), no, f"{order}/{no}", carrier, "顺丰速运", waybill, SHIPPED_AT, inside, others)


def read(jd: Jd, since: datetime | None = None) -> dict[str, ShopOrder]:
    return {order.shop_order_no: order for order in jd.fetch_orders(since)}


def no_secret_in(shop: FakeJd, *things: object) -> None:
    said = " ".join(f"{thing} {thing!r} {getattr(thing, 'facts', '')}" for thing in things)
    for secret in (shop.secret, "token-", "refresh-"):
        assert secret not in said, said


def test_it_is_a_connector_with_all_it_can_do(shop: FakeJd, url: str) -> None:
    made = connector_for("jd", settings(shop, url, expires_at="1795000000"))
    for what in (Connector, Windowed, Rereads, Corrects, Authorised):
        assert isinstance(made, what)
    assert isinstance(made, Jd)
    assert made.grain == "order"
    assert made.authorised_until == datetime.fromtimestamp(1795000000, UTC)
    no_secret_in(shop, made)


# In


def test_an_order_is_read_with_lines_notes_masked_recipient_and_oaid(shop: FakeJd, jd: Jd) -> None:
    shop.order(77, ("A1", 2), ("B2", 1), idSopShipmenttype=68)
    (order,) = jd.fetch_orders(None)
    assert (order.shop_order_no, order.state, order.currency, order.hold) == ("77", "paid", "CNY", "")
    assert [(line.line_ref, line.sku, line.qty, line.price_minor) for line in order.lines] == [
        ("100000", "A1", 2, 1005),
        ("100001", "B2", 1, 1005),
    ]
    home = order.recipient
    assert (home.name, home.phone, home.oaid) == ("张*", "138****0000", "jd-oaid-77==")
    assert (home.province, home.city, home.district, home.town) == ("浙江", "杭州市", "余杭区", "五常街道")
    assert (order.buyer_note, order.seller_memo, order.carrier_hint) == ("请尽快 & 轻放", "VIP+1", "JD")
    assert (order.ordered_at, order.updated_at, order.ship_by) == (START, START, None)
    assert order.raw["itemInfoList"][0]["skuName"] == "商品 A1"


def test_one_sku_on_two_lines_has_two_references(shop: FakeJd, jd: Jd) -> None:
    row = shop.order(1, ("A1", 2), ("A1", 1))
    row["itemInfoList"][1]["skuId"] = row["itemInfoList"][0]["skuId"]
    del row["itemInfoList"][1]["outerSkuId"]
    (order,) = jd.fetch_orders(None)
    assert [(line.line_ref, line.sku) for line in order.lines] == [("100000", "A1"), ("100000#2", "100000")]


@pytest.mark.parametrize(
    ("paid_at", "expected"),
    [("2026-11-21 21:00:00", START + timedelta(hours=49)), ("0001-01-01 00:00:00", START + timedelta(hours=48))],
)
def test_the_promise_counts_from_payment_or_where_it_is_paid_at_the_door_from_the_order(
    shop: FakeJd, url: str, paid_at: str, expected: datetime
) -> None:
    shop.order(1, ("A1", 1), paymentConfirmTime=paid_at)
    (order,) = connect(shop, url, ship_within_h="48").fetch_orders(None)
    assert order.ship_by == expected


@pytest.mark.parametrize(
    ("changes", "state", "hold"),
    [
        ({}, "paid", ""),
        ({"orderState": "PAUSE"}, "paid", "paused"),
        ({"orderState": "POP_ORDER_PAUSE"}, "paid", "paused"),
        ({"orderState": "LOCKED"}, "refunding", ""),
        ({"orderState": "WAIT_SELLER_DELIVERY"}, "other", ""),
        ({"orderState": "WAIT_GOODS_RECEIVE_CONFIRM"}, "shipped", ""),
        ({"orderState": "FINISHED_L"}, "shipped", ""),
        ({"orderState": "TRADE_CANCELED"}, "cancelled", ""),
        ({"storeOrder": "京仓订单"}, "other", ""),
        ({"storeOrder": "云仓订单"}, "other", ""),
    ],
)
def test_each_state_of_an_order(shop: FakeJd, jd: Jd, changes: dict[str, Any], state: str, hold: str) -> None:
    shop.order(1, ("A1", 1), **changes)
    (order,) = jd.fetch_orders(START - timedelta(minutes=1))
    assert (order.state, order.hold) == (state, hold)
    assert jd.order_state("1") == state
    assert all(line.cancelled == (state == "cancelled") for line in order.lines)


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        ([0], "refunding"), ([1], "refunding"), ([5], "refunding"), ([6], "refunding"), ([9], "refunding"),
        ([10], "refunding"), ([3], "cancelled"), ([7], "cancelled"), ([2], "paid"), ([4], "paid"), ([8], "paid"),
        ([11], "paid"), ([2, 0], "refunding"), ([11, 3], "cancelled"), ([], "paid"),
    ],
)  # fmt: skip
def test_a_refund_application_stops_an_order_by_its_status(
    shop: FakeJd, jd: Jd, statuses: list[int], state: str
) -> None:
    shop.order(1, ("A1", 1))
    shop.order(2, ("A1", 1))
    for status in statuses:
        shop.refund(1, status)
    assert jd.order_state("1") == state
    assert {number: order.state for number, order in read(jd).items()} == {"1": state, "2": "paid"}


def test_a_refund_brings_back_an_order_that_jd_does_not_count_as_changed(shop: FakeJd, jd: Jd, tick: Tick) -> None:
    shop.order(1, ("A1", 1))
    shop.order(2, ("A1", 1))
    tick.at += timedelta(hours=5)
    assert read(jd, tick.at) == {}
    shop.refund(1, 0)
    tick.at += timedelta(minutes=1)
    (order,) = jd.fetch_orders(tick.at - timedelta(minutes=1))
    assert (order.shop_order_no, order.state) == ("1", "refunding")
    asked_at = tick.at
    tick.at += timedelta(hours=5)
    shop.refunds[0] |= {"status": 3, "checkTime": china(tick.at)}
    (order,) = jd.fetch_orders(asked_at + timedelta(hours=4))
    assert (order.shop_order_no, order.state) == ("1", "cancelled")


def test_more_refunds_than_a_page_holds_are_all_seen(shop: FakeJd, jd: Jd, tick: Tick) -> None:
    for number in range(1, 2 * REFUND_PAGE + 3):
        shop.order(number, ("A1", 1))
    tick.at += timedelta(hours=5)
    for number in range(1, 2 * REFUND_PAGE + 3):
        shop.refund(number)
    tick.at += timedelta(minutes=1)
    found = read(jd, tick.at - timedelta(minutes=1))
    assert len(found) == 2 * REFUND_PAGE + 2
    assert {order.state for order in found.values()} == {"refunding"}


def test_the_names_and_bounds_on_the_wire_are_jds(shop: FakeJd, jd: Jd, tick: Tick) -> None:
    since, tick.at = START, START + timedelta(hours=3, seconds=5)
    assert read(jd, since) == {}
    asked = shop.did(SEARCH)
    assert set(asked[0]) == {
        "start_date", "end_date", "order_state", "optional_fields", "page", "page_size", "sortType", "dateType",
        "source_id",
    }  # fmt: skip
    assert (asked[0]["start_date"], asked[-1]["end_date"]) == (china(since - OVERLAP), china(tick.at))
    assert [one["end_date"] for one in asked[:-1]] == [one["start_date"] for one in asked[1:]]
    for one in asked:
        length = datetime.fromisoformat(one["end_date"]) - datetime.fromisoformat(one["start_date"])
        assert length <= WINDOW
    assert jd.complete_until == tick.at


def test_pages_that_shift_while_they_are_read_lose_nothing(shop: FakeJd, jd: Jd, tick: Tick) -> None:
    for number in range(1, 4 * PAGE):
        tick.at = START + timedelta(seconds=number)
        shop.order(number, ("A1", 1), state="FINISHED_L")
    tick.at = START + timedelta(minutes=20)
    moved = iter([number for pair in zip(range(1, 190), range(4 * PAGE - 1, 210, -1), strict=False) for number in pair])

    def meanwhile(method: str, params: dict[str, Any]) -> None:
        if method == SEARCH:
            tick.at += timedelta(seconds=1)
            for _ in range(8):
                shop.change(next(moved), at=tick.at)

    shop.after = meanwhile
    seen = [order.shop_order_no for order in jd.fetch_orders(START + OVERLAP)]
    assert [params["page"] for params in shop.did(SEARCH)] == ["1", "4", "3", "2", "1"]
    untouched = {one for one, row in shop.orders.items() if row["modified"] < china(START + timedelta(minutes=20))}
    assert len(untouched) > 3 * PAGE
    assert untouched <= set(seen)
    shop.after = lambda method, params: None
    assert set(seen) | set(read(jd, jd.complete_until)) == set(shop.orders)


def test_a_window_with_too_many_pages_is_halved(shop: FakeJd, jd: Jd, tick: Tick) -> None:
    for number in range(1, (MOST_PAGES + 2) * PAGE):
        tick.at = START + timedelta(seconds=number)
        shop.order(number, ("A1", 1), state="FINISHED_L")
    tick.at = START + timedelta(hours=1)
    assert len(read(jd, START + OVERLAP)) == len(shop.orders)
    assert max(int(params["page"]) for params in shop.did(SEARCH)) <= MOST_PAGES


def test_more_orders_in_one_second_than_pages_allow_are_read_all_the_same(shop: FakeJd, jd: Jd, tick: Tick) -> None:
    for number in range(1, (MOST_PAGES + 1) * PAGE):
        shop.order(number, ("A1", 1), state="FINISHED_L")
    tick.at += timedelta(seconds=3)
    assert len(read(jd, START + OVERLAP)) == len(shop.orders)


def test_a_cursor_moves_only_over_whole_windows_and_the_next_run_goes_on_there(
    shop: FakeJd, jd: Jd, tick: Tick
) -> None:
    for number in range(1, 9):
        tick.at = START + timedelta(minutes=50 * number)
        shop.order(number, ("A1", 1))
    tick.at = START + timedelta(hours=8)
    shop.before = lambda method, params: Answer(b"busy", 503) if params.get("orderId") == "6" else None
    saved: list[str] = []
    with pytest.raises(ConnectorError) as told:
        for order in jd.fetch_orders(START):
            cursor = jd.complete_until
            assert cursor is not None
            assert {one for one, row in shop.orders.items() if row["modified"] < china(cursor)} <= set(saved)
            saved.append(order.shop_order_no)
    assert not told.value.permanent
    assert set(saved) == {"1", "2", "3", "4", "5"}
    shop.before = lambda method, params: None
    saved += read(jd, jd.complete_until)
    assert set(saved) == set(shop.orders)
    assert jd.complete_until == tick.at


def test_an_order_stamped_a_little_before_the_cursor_is_not_lost(shop: FakeJd, jd: Jd, tick: Tick) -> None:
    shop.order(1, ("A1", 1))
    tick.at += timedelta(minutes=6)
    assert set(read(jd, START + timedelta(minutes=5))) == {"1"}
    tick.at += OVERLAP
    assert read(jd, tick.at) == {}


@pytest.mark.parametrize("broken", [{"itemTotal": "0"}, {"itemTotal": "many"}, {"jdPrice": "free"}, {"skuId": None}])
def test_one_order_that_cannot_be_understood_never_stops_the_others(
    shop: FakeJd, jd: Jd, broken: dict[str, Any]
) -> None:
    for number in (1, 2, 3):
        shop.order(number, ("A1", 1))
    for name, value in broken.items():
        shop.orders["2"]["itemInfoList"][0][name] = value
        if value is None:
            del shop.orders["2"]["itemInfoList"][0][name]
    found = read(jd)
    assert {number: order.hold for number, order in found.items()} == {"1": "", "2": "unreadable", "3": ""}
    assert found["2"].raw["consigneeInfo"]["fullname"] == "张*"
    assert list(jd.unread) == ["2"]


def test_a_refund_of_an_order_that_is_gone_is_told_and_passed_over(shop: FakeJd, jd: Jd, tick: Tick) -> None:
    tick.at += timedelta(hours=1)
    shop.order(5, ("A1", 1))
    shop.refund(404)
    tick.at += timedelta(minutes=1)
    assert set(read(jd, START)) == {"5"}
    assert jd.unread["404"].reason == "order_unknown"
    assert jd.complete_until == tick.at


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"jingdong_pop_order_search_responce": {"code": "0"}},
        {"jingdong_pop_order_search_responce": {"code": "0", "searchorderinfo_result": {"orderInfoList": []}}},
        {
            "jingdong_pop_order_search_responce": {
                "code": "0",
                "searchorderinfo_result": {"apiResult": {"success": False, "chineseErrCode": "系统异常"}},
            }
        },
        {"jingdong_pop_order_search_responce": {"code": "403", "errorMessage": "no"}},
        {
            "jingdong_pop_order_search_responce": {
                "code": "0",
                "searchorderinfo_result": {"apiResult": {"success": "true"}, "orderTotal": "many"},
            }
        },
    ],
)
def test_silence_or_failure_is_never_an_empty_page(shop: FakeJd, jd: Jd, body: dict[str, Any]) -> None:
    shop.before = lambda method, params: Answer(json.dumps(body).encode()) if method == SEARCH else None
    with pytest.raises(ConnectorError) as told:
        list(jd.fetch_orders(START - timedelta(hours=1)))
    assert not told.value.permanent
    assert jd.complete_until == START - timedelta(hours=1)


@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("american", [False, True])
def test_both_spellings_and_true_as_a_word(shop: FakeJd, jd: Jd, american: bool, words: bool) -> None:
    shop.american, shop.string_booleans = american, words
    shop.order(1, ("A1", 1))
    assert set(read(jd)) == {"1"}
    assert jd.push_shipment(parcel(1, "SF1")).state == "acknowledged"


def test_a_single_order_is_read_again_with_its_refund(shop: FakeJd, jd: Jd) -> None:
    shop.order(1, ("A1", 1))
    assert jd.read_order("1").state == "paid"
    shop.refund(1)
    assert jd.read_order("1").state == "refunding"
    del shop.orders["1"]["itemInfoList"]
    with pytest.raises(ConnectorError, match="cannot be understood") as told:
        jd.read_order("1")
    assert (told.value.permanent, told.value.reason) == (True, "unreadable")


# Out


def test_a_shipment_arrives_and_repeating_it_changes_nothing(shop: FakeJd, jd: Jd) -> None:
    shop.order(1, ("A1", 2))
    for _ in range(3):
        pushed = jd.push_shipment(parcel(1, "SF1"))
        assert pushed.state == "acknowledged"
        assert "SF1" in pushed.text
    assert shop.did(SHIP) == [{"orderId": 1, "logiCoprId": "467", "logiNo": "SF1"}]
    assert jd.order_state("1") == "shipped"


def test_all_parcels_of_an_order_go_in_one_call_and_each_is_acknowledged(shop: FakeJd, jd: Jd) -> None:
    shop.order(1, ("A1", 3))
    one, two, three = parcel(1, "SF1"), parcel(1, "ZT2", "P2", "ZTO"), parcel(1, "SF3", "P3")
    first = parcel(1, "SF1", others=(two, three))
    assert jd.push_shipment(first).state == "acknowledged"
    assert shop.did(SHIP) == [{"orderId": 1, "logiCoprId": "467|1499", "logiNo": "SF1,SF3|ZT2"}]
    for shipment in (parcel(1, "ZT2", "P2", "ZTO", (one, three)), parcel(1, "SF3", "P3", others=(one, two))):
        assert jd.push_shipment(shipment).state == "acknowledged"
    assert len(shop.did(SHIP)) == 1


def test_a_parcel_that_comes_after_its_order_was_told_is_for_a_person(shop: FakeJd, jd: Jd) -> None:
    shop.order(1, ("A1", 3))
    first = parcel(1, "SF1")
    assert jd.push_shipment(first).state == "acknowledged"
    pushed = jd.push_shipment(parcel(1, "SF2", "P2", others=(first,)))
    assert pushed.state == "conflict"
    assert "SF1 went alone" in pushed.text
    shop.change(1, waybill="SF1,SF2")
    assert jd.push_shipment(parcel(1, "SF2", "P2", others=(first,))).state == "acknowledged"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("lost", [SHIP, "jingdong.pop.order.get", REFUNDS])
def test_a_line_that_is_cut_is_made_good_by_the_next_push(shop: FakeJd, jd: Jd, lost: str, when: str) -> None:
    shop.order(1, ("A1", 2))
    left = [1]
    setattr(shop, when, lambda method, params: "cut" if method == lost and left and left.pop() else None)
    if lost == SHIP:  # what changes something is left to the next push
        with pytest.raises(ConnectorError) as told:
            jd.push_shipment(parcel(1, "SF1"))
        assert (told.value.permanent, told.value.reason) == (False, "offline")
    assert jd.push_shipment(parcel(1, "SF1")).state == "acknowledged"
    assert shop.orders["1"]["waybill"] == "SF1" and not left


@pytest.mark.parametrize(
    ("overtake", "state", "words"),
    [
        (lambda shop: shop.change(1, "WAIT_GOODS_RECEIVE_CONFIRM", waybill="SF999"), "conflict", "another waybill"),
        (lambda shop: shop.change(1, "WAIT_GOODS_RECEIVE_CONFIRM", waybill="SF1"), "acknowledged", "SF1"),
        (lambda shop: shop.change(1, "TRADE_CANCELED"), "conflict", "cancelled at the shop"),
        (lambda shop: shop.change(1, "LOCKED"), "conflict", "refund is asked for"),
        (lambda shop: shop.change(1, "POP_ORDER_PAUSE"), "conflict", "POP_ORDER_PAUSE"),
    ],
)
def test_the_same_refusal_means_many_things_and_the_order_says_which(
    shop: FakeJd, jd: Jd, overtake: Callable[[FakeJd], None], state: str, words: str
) -> None:
    shop.order(1, ("A1", 2))
    shop.before = lambda method, params: overtake(shop) if method == SHIP else None
    pushed = jd.push_shipment(parcel(1, "SF1"))
    assert pushed.state == state
    assert words in pushed.text
    assert len(shop.did(SHIP)) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"orderState": "WAIT_GOODS_RECEIVE_CONFIRM", "waybill": "SF999"}, "another waybill"),
        ({"orderState": "TRADE_CANCELED"}, "cancelled at the shop"),
        ({"orderState": "LOCKED"}, "refund is asked for"),
        ({"orderState": "PAUSE"}, "PAUSE"),
        ({"storeOrder": "京仓订单"}, "does not wait"),
    ],
)
def test_an_order_that_does_not_wait_for_us_is_not_even_asked(
    shop: FakeJd, jd: Jd, changes: dict[str, str], words: str
) -> None:
    shop.order(1, ("A1", 2), **changes)
    pushed = jd.push_shipment(parcel(1, "SF1"))
    assert pushed.state == "conflict"
    assert words in pushed.text
    assert shop.did(SHIP) == []


def test_an_order_under_refund_is_not_sent(shop: FakeJd, jd: Jd) -> None:
    shop.order(1, ("A1", 2))
    shop.refund(1)
    assert jd.push_shipment(parcel(1, "SF1")).state == "conflict"
    assert shop.did(SHIP) == []


@pytest.mark.parametrize(
    ("code", "permanent_conflict"), [("999999", False), ("99999999", False), ("10400010", True), ("new", True)]
)
def test_a_refusal_of_a_waiting_order_is_retried_only_where_jd_is_at_fault(
    shop: FakeJd, jd: Jd, code: str, permanent_conflict: bool
) -> None:
    shop.order(1, ("A1", 2))
    result = {"success": "false", "errorCode": code, "chineseErrCode": "京东说不行"}
    body = json.dumps({"jingdong_pop_order_shipment_responce": {"code": "0", "sopjosshipment_result": result}})
    shop.before = lambda method, params: Answer(body.encode()) if method == SHIP else None
    if permanent_conflict:
        pushed = jd.push_shipment(parcel(1, "SF1"))
        assert pushed.state == "conflict"
        assert "京东说不行" in pushed.text
    else:
        with pytest.raises(ConnectorError, match="tried again") as told:
            jd.push_shipment(parcel(1, "SF1"))
        assert not told.value.permanent


def test_a_yes_that_the_order_does_not_show_yet_is_looked_at_again(shop: FakeJd, jd: Jd) -> None:
    shop.order(1, ("A1", 2))
    good = b'{"jingdong_pop_order_shipment_responce":{"code":"0","sopjosshipment_result":{"success":true}}}'
    shop.before = lambda method, params: Answer(good) if method == SHIP else None
    with pytest.raises(ConnectorError) as told:
        jd.push_shipment(parcel(1, "SF1"))
    assert (told.value.permanent, told.value.reason) == (False, "not_seen")


def test_a_carrier_that_keeps_no_number_or_has_no_id_is_for_a_person(shop: FakeJd, url: str) -> None:
    shop.order(1, ("A1", 2))
    for jd, carrier in ((connect(shop, url), "PIGEON"), (connect(shop, url, carriers={"SELF": "1274"}), "SELF")):
        with pytest.raises(ConnectorError, match=carrier) as told:
            jd.push_shipment(parcel(1, "SF1", carrier=carrier))
        assert (told.value.permanent, told.value.reason) == (True, "no_carrier")
    assert shop.did(SHIP) == []
    assert connect(shop, url, carriers="PIGEON=3046").push_shipment(parcel(1, "SF1", carrier="PIGEON")).state
    assert shop.did(SHIP)[0]["logiCoprId"] == "3046"


def test_the_carriers_of_the_shop_can_be_listed(jd: Jd) -> None:
    assert jd.venders_carriers() == [{"id": 467, "name": "顺丰速运"}]


def test_an_order_the_shop_does_not_know(jd: Jd) -> None:
    for number in ("404", "no number"):
        shipment = Shipment(number, "P1", "k", "SF", "顺丰", "SF1", SHIPPED_AT, (("", "A1", 1),))
        with pytest.raises(ConnectorError, match=number) as told:
            jd.push_shipment(shipment)
        assert (told.value.permanent, told.value.reason) == (True, "order_unknown")


def test_a_system_fault_of_jd_is_no_unknown_order(shop: FakeJd, jd: Jd) -> None:
    shop.order(1, ("A1", 1))
    told = {"apiResult": {"success": "false", "numberCode": "999999", "chineseErrCode": "系统异常"}}
    body = json.dumps({"jingdong_pop_order_get_responce": {"code": "0", "orderDetailInfo": told}}).encode()
    shop.before = lambda method, params: Answer(body)
    with pytest.raises(ConnectorError) as error:
        jd.order_state("1")
    assert not error.value.permanent


def test_a_wrong_number_is_changed_by_a_person_and_seen_by_us(shop: FakeJd, jd: Jd) -> None:
    shop.order(1, ("A1", 2))
    jd.push_shipment(parcel(1, "SF1"))
    pushed = jd.correct_shipment(parcel(1, "SF2"), "SF1")
    assert pushed.state == "conflict"
    assert "change SF1 of order 1 to SF2" in pushed.text
    shop.change(1, waybill="SF2")
    assert jd.correct_shipment(parcel(1, "SF2"), "SF1").state == "acknowledged"
    assert len(shop.did(SHIP)) == 1


# The key


def test_a_key_is_renewed_an_hour_before_its_end_and_handed_out_to_be_kept(shop: FakeJd, url: str, tick: Tick) -> None:
    safe = Safe()
    ends = START + timedelta(hours=2)
    jd = connect(shop, url, safe, refresh_token=shop.refresh_token, expires_at=ends.isoformat())
    shop.order(1, ("A1", 1))
    assert jd.order_state("1") == "paid"
    assert shop.renewals == 0
    tick.at = START + timedelta(hours=1)
    assert jd.order_state("1") == "paid"
    assert shop.renewals == 1
    expires_at = (tick.at + timedelta(days=1)).isoformat(timespec="seconds")
    assert safe.kept == [{"access_token": "token-1", "refresh_token": "refresh-1", "expires_at": expires_at}]
    assert jd.authorised_until == tick.at + timedelta(days=1)
    # What was kept is what the next connector is made of.
    assert connect(shop, url, **safe.kept[0]).order_state("1") == "paid"
    tick.at += timedelta(hours=23, minutes=1)
    assert connect(shop, url, **safe.kept[0]).order_state("1") == "paid"
    assert shop.renewals == 2


def test_a_key_that_ended_before_its_time_is_renewed_once(shop: FakeJd, url: str) -> None:
    safe = Safe()
    shop.order(1, ("A1", 1))
    jd = connect(shop, url, safe, access_token="token-gone", refresh_token=shop.refresh_token)
    assert jd.order_state("1") == "paid"
    assert len(safe.kept) == 1


def test_a_key_that_cannot_be_renewed_yet_works_to_its_end_and_then_names_who_must_act(
    shop: FakeJd, url: str, tick: Tick
) -> None:
    ends = START + timedelta(minutes=30)
    jd = connect(shop, url, refresh_token="refresh-stale", expires_at=ends.isoformat())
    shop.order(1, ("A1", 1))
    for _ in range(3):
        assert jd.order_state("1") == "paid"
    assert len(shop.did("renew")) == 1
    tick.at += timedelta(minutes=6)
    assert jd.order_state("1") == "paid"
    assert len(shop.did("renew")) == 2
    tick.at = ends
    with pytest.raises(ConnectorError, match="owner authorises the app again") as told:
        jd.order_state("1")
    assert (told.value.permanent, told.value.reason) == (True, "unauthorised")
    no_secret_in(shop, told.value)


def test_a_renewal_that_jd_is_too_busy_for_is_tried_again(shop: FakeJd, url: str, tick: Tick) -> None:
    jd = connect(shop, url, refresh_token=shop.refresh_token, expires_at=START.isoformat())
    shop.order(1, ("A1", 1))
    shop.before = lambda method, params: Answer(b"busy", 503) if method == "renew" else None
    with pytest.raises(ConnectorError) as told:
        jd.order_state("1")
    assert not told.value.permanent
    shop.before = lambda method, params: None
    assert jd.order_state("1") == "paid"


def test_without_a_way_to_renew_the_end_of_a_key_is_for_a_person(shop: FakeJd, url: str) -> None:
    jd = connect(shop, url, access_token="token-gone")
    with pytest.raises(ConnectorError, match="owner authorises the app again") as told:
        jd.order_state("1")
    assert (told.value.permanent, told.value.reason) == (True, "unauthorised")
    no_secret_in(shop, told.value)


# The wire


@pytest.mark.parametrize(
    ("code", "zh", "en", "permanent", "reason"),
    [
        ("19", "无效access_token", "Invalid access_token", True, "unauthorised"),
        ("1004", "token已过期", "", True, "unauthorised"),
        ("21", "无效app_key", "Invalid app_key", True, "wrong_keys"),
        ("12", "无效签名", "Invalid signature", True, "wrong_keys"),
        ("11", "无效时间戳", "Invalid timestamp", False, "wrong_clock"),
        ("15", "不存在的方法名", "Invalid Method", True, "not_permitted"),
        ("66", "无权限调用", "No permission", True, "not_permitted"),
        ("67", "接口调用频率超过限制", "", False, "banned"),
        ("68", "", "Exceeds the limit", False, "banned"),
        ("10", "服务不可用", "Service unavailable", False, "shop_fault"),
    ],
)
def test_each_class_of_refusal_of_the_gateway(
    shop: FakeJd, jd: Jd, code: str, zh: str, en: str, permanent: bool, reason: str
) -> None:
    def hook(method: str, params: dict[str, Any]) -> None:
        raise Refuse(code, f"{zh} {shop.secret} {shop.token}", en)

    shop.before = hook
    with pytest.raises(ConnectorError) as told:
        jd.order_state("1")
    assert (told.value.permanent, told.value.reason) == (permanent, reason)
    no_secret_in(shop, told.value)


def test_a_method_that_is_refused_for_its_rate_is_left_alone_for_a_while(shop: FakeJd, jd: Jd) -> None:
    shop.order(1, ("A1", 1))

    def hook(method: str, params: dict[str, Any]) -> None:
        if method == SHIP:
            raise Refuse("67", "接口调用频率超过限制", "")

    shop.before = hook
    for _ in range(3):
        with pytest.raises(ConnectorError) as told:
            jd.push_shipment(parcel(1, "SF1"))
        assert told.value.retry_after_s == pytest.approx(60, abs=30)
    assert len(shop.did(SHIP)) == 1
    assert jd.order_state("1") == "paid"


def test_a_clock_that_is_wrong_and_a_wrong_secret(shop: FakeJd, url: str, tick: Tick) -> None:
    shop.order(1, ("A1", 1))
    shop.now = lambda: tick.at + timedelta(minutes=7)
    with pytest.raises(ConnectorError, match="Set the time") as told:
        connect(shop, url).order_state("1")
    assert not told.value.permanent
    shop.now = tick
    with pytest.raises(ConnectorError, match="app key and secret") as told:
        connect(shop, url, app_secret="not-the-secret").order_state("1")
    assert told.value.permanent
    assert "not-the-secret" not in f"{told.value} {told.value.facts}"


@untimed
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_the_double_reads_our_signature_and_our_json_from_the_bytes_of_any_values(value: Any) -> None:
    double = FakeJd()
    fields = {
        "method": "m",
        "app_key": double.app_key,
        "access_token": double.token,
        "timestamp": jd_time(double.now()),
        "v": "2.0",
        "360buy_param_json": compact_json({"req": value}),
    }
    body = urlencode({**fields, "sign": md5_sandwich(double.secret, fields)}).encode("ascii")
    assert double._gate(Request("POST", "/routerjson", b"", body, "").fields()) == ("m", {"req": value})


def test_nothing_secret_reaches_the_log_nor_an_error_though_jd_wants_it_in_an_address(
    shop: FakeJd, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    jd = connect(shop, url, refresh_token=shop.refresh_token, expires_at=START.isoformat())
    shop.order(1, ("A1", 1))
    assert jd.order_state("1") == "paid"
    assert shop.renewals == 1
    no_secret_in(shop, caplog.text, jd)


def test_a_key_never_travels_in_the_clear(shop: FakeJd) -> None:
    for which in ("url", "renew_url"):
        with pytest.raises(ConnectorError, match="https"):
            Jd.from_settings({**settings(shop, "http://127.0.0.1:1"), which: "http://shop.test/x"})


# Stock


def test_stock_is_set_and_several_skus_of_one_item_share_it(shop: FakeJd, url: str) -> None:
    shop.skus = [
        {"skuId": 11, "outerId": "A1"},
        {"skuId": 12, "outerId": "A1"},
        {"skuId": 13, "outerId": "A1-BLUE"},
    ]
    connect(shop, url, store_id="7").push_stock("A1", 7)
    assert [one.get("stockNum") for one in shop.skus] == [4, 3, None]
    assert {row["storeId"] for row in shop.did("jingdong.ware.stock.sku.set")[0]["req"]["skuStocks"]} == {7}


def test_a_row_that_fails_is_named_though_the_others_went(shop: FakeJd, jd: Jd) -> None:
    shop.skus = [{"skuId": 11, "outerId": "A1"}, {"skuId": 12, "outerId": "A1"}]
    shop.bad_skus = {12}
    with pytest.raises(ConnectorError, match="12") as told:
        jd.push_stock("A1", 8)
    assert "库存被占用" in str(told.value)
    assert "11" not in told.value.facts["rows"]
    assert shop.skus[0]["stockNum"] == 4
    shop.bad_skus = set()
    jd.push_stock("A1", 8)
    assert [one["stockNum"] for one in shop.skus] == [4, 4]


def test_an_item_jd_does_not_have(shop: FakeJd, jd: Jd) -> None:
    shop.skus = [{"skuId": 13, "outerId": "NONE-2"}]
    with pytest.raises(ConnectorError, match="NONE") as told:
        jd.push_stock("NONE", 1)
    assert (told.value.permanent, told.value.reason) == (True, "sku_unknown")
