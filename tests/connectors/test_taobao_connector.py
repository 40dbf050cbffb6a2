"""The Taobao connector against a double of the gateway that enforces the contract, over real HTTP."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.connectors.fake_taobao import FakeTaobao, Refuse, china
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
from wms.connectors.limits import Lane, Limits
from wms.connectors.signing import top_sign
from wms.connectors.taobao import OVERLAP, PAGE, WINDOW, Taobao
from wms.connectors.windows import last_page_first

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SHIPPED_AT = datetime(2026, 11, 21, 13, 0, tzinfo=UTC)
SEND = "taobao.logistics.offline.send"
SEND_PARTS = "alibaba.ascp.logistics.offline.send"


@dataclass
class Tick:
    at: datetime = START

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def tick(monkeypatch: pytest.MonkeyPatch) -> Tick:
    tick = Tick()
    monkeypatch.setattr("wms.clock.now", tick)
    return tick


@pytest.fixture
def shop(tick: Tick) -> FakeTaobao:
    return FakeTaobao(now=tick)


@pytest.fixture
def url(shop: FakeTaobao) -> Iterator[str]:
    with serve(shop) as address:
        yield f"{address}/router/rest"


def settings(shop: FakeTaobao, url: str, **more: Any) -> dict[str, Any]:
    return {"url": url, "app_key": shop.app_key, "app_secret": shop.secret, "session": shop.session, **more}


def connect(shop: FakeTaobao, url: str, **more: Any) -> Taobao:
    return Taobao.from_settings({**settings(shop, url), "calls_per_s": "100000", **more}, limits=Limits())


@pytest.fixture
def taobao(shop: FakeTaobao, url: str) -> Taobao:
    return connect(shop, url)


def parcel(
    order: int,
    waybill: str,
    *lines: tuple[str, int],
    no: str = "P1",
    carrier: str = "SF",
    others: tuple[Shipment, ...] = (),
) -> Shipment:
    inside = tuple(("", sku, qty) for sku, qty in lines)
    return Shipment(str(order), no, f"{order}/{no}", carrier, "顺丰", waybill, SHIPPED_AT, inside, others)


def read(taobao: Taobao, since: datetime | None = None) -> dict[str, ShopOrder]:
    return {order.shop_order_no: order for order in taobao.fetch_orders(since)}


def no_secret_in(shop: FakeTaobao, *things: object) -> None:
    said = " ".join(f"{thing} {thing!r} {getattr(thing, 'facts', '')}" for thing in things)
    assert shop.secret not in said
    assert shop.session not in said


def test_it_is_a_connector_with_all_it_can_do(shop: FakeTaobao, url: str) -> None:
    made = connector_for("taobao", settings(shop, url, session_expires_at="2026-12-01T00:00:00+08:00"))
    for what in (Connector, Windowed, Rereads, Corrects, Authorised):
        assert isinstance(made, what)
    assert isinstance(made, Taobao)
    assert made.grain == "sub_order"
    assert made.authorised_until == datetime(2026, 11, 30, 16, tzinfo=UTC)
    no_secret_in(shop, made)


# In


def test_an_order_is_read_with_lines_notes_masked_recipient_and_oaid(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1001, ("A1", 2), ("B2", 1))
    (order,) = taobao.fetch_orders(None)
    assert (order.shop_order_no, order.state, order.currency, order.hold) == ("1001", "paid", "CNY", "")
    assert [(line.line_ref, line.sku, line.qty, line.price_minor) for line in order.lines] == [
        ("10010", "A1", 2, 1005),
        ("10011", "B2", 1, 1005),
    ]
    home = order.recipient
    assert (home.name, home.phone, home.oaid) == ("张**", "138****0000", "11001ABC+/=")
    assert (home.province, home.city, home.district, home.town) == ("浙江省", "杭州市", "余杭区", "五常街道")
    assert (order.buyer_note, order.seller_memo) == ("请尽快 & 轻放", "VIP+1")
    assert (order.ordered_at, order.updated_at) == (START, START)
    assert order.raw["orders"]["order"][0]["title"] == "商品 A1"
    assert order.raw["receiver_name"] == "张**"


def test_a_county_directly_below_its_province_is_a_city_too(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 1), receiver_state="河南省", receiver_city="", receiver_district="济源市")
    (order,) = taobao.fetch_orders(None)
    assert (order.recipient.city, order.recipient.district) == ("济源市", "济源市")


def test_the_first_load_reads_what_waits_and_no_kind_of_order_is_left_out(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 1))
    shop.order(2, ("A1", 1), ("B2", 1), status="SELLER_CONSIGNED_PART")
    shop.order(3, ("A1", 1), type="fenxiao")
    shop.order(4, ("A1", 1), status="TRADE_FINISHED")
    shop.order(5, ("A1", 1), status="WAIT_BUYER_PAY")
    assert set(read(taobao)) == {"1", "2", "3"}
    assert taobao.complete_until == START


def test_the_first_load_loses_nothing_while_orders_are_paid_and_sent(
    shop: FakeTaobao, taobao: Taobao, tick: Tick
) -> None:
    began = START - timedelta(days=2)
    for number in range(1, 5 * PAGE):
        tick.at = began + timedelta(minutes=number)
        shop.order(number, ("A1", 1))
    for number in range(9_000, 9_100):
        tick.at = began + timedelta(minutes=2 * (number - 9_000), seconds=30)
        shop.order(number, ("A1", 1), status="WAIT_BUYER_PAY")
    tick.at = START
    sent, paid = list(range(1, 5 * PAGE, 7)), list(range(9_000, 9_100))

    def meanwhile(method: str, fields: dict[str, str]) -> None:
        if method == "taobao.trades.sold.get" and fields["status"] == "WAIT_SELLER_SEND_GOODS":
            tick.at += timedelta(seconds=1)
            for number in [sent.pop() for _ in range(min(5, len(sent)))]:
                shop.send_by_hand(number, f"SF{number}")
            for number in [paid.pop() for _ in range(min(13, len(paid)))]:
                shop.trades[str(number)]["status"] = "WAIT_SELLER_SEND_GOODS"
                shop.sub(number, "A1")["status"] = "WAIT_SELLER_SEND_GOODS"
                shop.touch(number)

    shop.after = meanwhile
    found = read(taobao)
    assert len(shop.did("taobao.trades.sold.get")) >= 5
    shop.after = lambda method, fields: None
    tick.at += timedelta(minutes=1)
    found |= read(taobao, taobao.complete_until)
    waiting = {tid for tid, trade in shop.trades.items() if trade["status"] == "WAIT_SELLER_SEND_GOODS"}
    assert waiting <= set(found)


def test_more_orders_in_one_second_than_a_page_holds(shop: FakeTaobao, taobao: Taobao) -> None:
    for number in range(2 * PAGE + 5):
        shop.order(number + 1, ("A1", 1))
    assert len(read(taobao)) == 2 * PAGE + 5


def test_windows_are_short_join_without_a_gap_and_begin_with_an_overlap(
    shop: FakeTaobao, taobao: Taobao, tick: Tick
) -> None:
    since, tick.at = START, START + timedelta(hours=2, seconds=7)
    assert read(taobao, since) == {}
    spans = [
        (fields["start_modified"], fields["end_modified"]) for fields in shop.did("taobao.trades.sold.increment.get")
    ]
    assert spans[0][0] == china(since - OVERLAP)
    assert spans[-1][1] == china(tick.at)
    assert [end for _, end in spans[:-1]] == [begin for begin, _ in spans[1:]]
    assert all(datetime.fromisoformat(end) - datetime.fromisoformat(begin) <= WINDOW for begin, end in spans)
    assert taobao.complete_until == tick.at


def test_pages_that_shift_while_they_are_read_lose_nothing(shop: FakeTaobao, taobao: Taobao, tick: Tick) -> None:
    for number in range(1, 4 * PAGE):
        tick.at = START + timedelta(seconds=number)
        shop.order(number, ("A1", 1), status="WAIT_BUYER_PAY")
    tick.at = START + timedelta(minutes=20)
    moved = iter([number for pair in zip(range(1, 90), range(4 * PAGE - 1, 110, -1), strict=False) for number in pair])

    def meanwhile(method: str, fields: dict[str, str]) -> None:
        # Somebody changes orders of this window: they leave it, and all behind them move up.
        tick.at += timedelta(seconds=1)
        for _ in range(4):
            shop.touch(next(moved), tick.at)

    shop.after = meanwhile
    seen = [order.shop_order_no for order in taobao.fetch_orders(START)]
    pages = [fields["page_no"] for fields in shop.did("taobao.trades.sold.increment.get")]
    assert pages == ["1", "4", "3", "2", "1", "1"]  # and the short window behind
    untouched = {tid for tid, trade in shop.trades.items() if trade["modified"] < china(START + timedelta(minutes=20))}
    assert len(untouched) > 2 * PAGE
    assert untouched <= set(seen)
    shop.after = lambda method, fields: None
    assert set(seen) | set(read(taobao, taobao.complete_until)) == set(shop.trades)


def test_read_forward_the_same_pages_would_lose_orders(shop: FakeTaobao, taobao: Taobao, tick: Tick) -> None:
    """What the test above can see: the other direction fails."""
    for number in range(1, 4 * PAGE):
        tick.at = START + timedelta(seconds=number)
        shop.order(number, ("A1", 1), status="WAIT_BUYER_PAY")
    tick.at = START + timedelta(minutes=20)
    end, moved = tick.at, iter(range(4 * PAGE - 1, 1, -3))
    seen: set[str] = set()
    for page in range(1, 5):
        rows, _ = taobao._changed(START, end, page)
        seen |= {str(row["tid"]) for row in rows}
        tick.at += timedelta(seconds=1)
        for _ in range(4):
            shop.touch(next(moved), tick.at)
    untouched = {tid for tid, trade in shop.trades.items() if trade["modified"] <= china(end)}
    assert untouched - seen


def test_a_cursor_moves_only_over_whole_windows_and_the_next_run_goes_on_there(
    shop: FakeTaobao, taobao: Taobao, tick: Tick
) -> None:
    for number in range(1, 9):
        tick.at = START + timedelta(minutes=20 * number)
        shop.order(number, ("A1", 1))
    tick.at = START + timedelta(hours=3)

    def break_down(method: str, fields: dict[str, str]) -> Answer | None:
        return Answer(b"busy", 503) if fields.get("tid") == "6" else None

    shop.before = break_down
    saved: list[str] = []
    with pytest.raises(ConnectorError) as told:
        for order in taobao.fetch_orders(START):
            # What may be saved as the cursor at this moment never runs ahead of the orders that were saved.
            cursor = taobao.complete_until
            assert cursor is not None
            assert {one for one, trade in shop.trades.items() if trade["modified"] < china(cursor)} <= set(saved)
            saved.append(order.shop_order_no)
    assert not told.value.permanent
    cursor = taobao.complete_until
    assert cursor is not None
    assert START < cursor < START + timedelta(minutes=20 * 6)
    assert sorted(saved) == ["1", "2", "3", "4", "5"]
    shop.before = lambda method, fields: None
    saved += read(taobao, cursor)
    assert set(saved) == set(shop.trades)
    assert taobao.complete_until == tick.at


def test_an_order_stamped_a_little_before_the_cursor_is_not_lost(shop: FakeTaobao, taobao: Taobao, tick: Tick) -> None:
    shop.order(1, ("A1", 1))
    tick.at += timedelta(minutes=10)
    assert set(read(taobao, START + timedelta(minutes=9))) == {"1"}
    tick.at += OVERLAP
    assert read(taobao, tick.at) == {}


def test_a_shop_that_slept_longer_than_taobao_remembers_goes_on_where_it_can(
    shop: FakeTaobao, taobao: Taobao, tick: Tick, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wms.connectors.taobao.WINDOW", timedelta(days=1))
    tick.at = START + timedelta(days=200)
    shop.order(1, ("A1", 1))
    tick.at += timedelta(minutes=1)
    assert set(read(taobao, START)) == {"1"}
    assert taobao.complete_until == tick.at


@pytest.mark.parametrize(
    ("changes", "state", "hold"),
    [
        ({}, "paid", ""),
        ({"status": "SELLER_CONSIGNED_PART"}, "paid", ""),
        ({"status": "PAID_FORBID_CONSIGN"}, "paid", "not_yet"),
        ({"top_hold": 1}, "paid", "not_yet"),
        ({"team_buy_hold": "1"}, "paid", "not_yet"),
        ({"top_hold": 0}, "paid", ""),
        ({"is_force_dc": True}, "other", ""),
        ({"step_trade_status": "FRONT_PAID_FINAL_NOPAID"}, "other", ""),
        ({"step_trade_status": "FRONT_PAID_FINAL_PAID"}, "paid", ""),
        ({"status": "WAIT_BUYER_PAY"}, "other", ""),
        ({"status": "WAIT_BUYER_CONFIRM_GOODS"}, "shipped", ""),
        ({"status": "TRADE_BUYER_SIGNED"}, "shipped", ""),
        ({"status": "TRADE_FINISHED"}, "shipped", ""),
        ({"status": "TRADE_CLOSED"}, "cancelled", ""),
        ({"status": "TRADE_CLOSED_BY_TAOBAO"}, "cancelled", ""),
    ],
)
def test_each_state_of_a_trade(
    shop: FakeTaobao, taobao: Taobao, changes: dict[str, Any], state: str, hold: str
) -> None:
    shop.order(1, ("A1", 1), ("B2", 1)).update(changes)
    (order,) = taobao.fetch_orders(START)
    assert (order.state, order.hold) == (state, hold)
    assert taobao.order_state("1") == state


@pytest.mark.parametrize(
    ("changes", "cancelled", "line_hold", "state", "hold"),
    [
        ({"refund_status": "WAIT_SELLER_AGREE"}, False, "refund_asked", "refunding", ""),
        ({"refund_status": "WAIT_BUYER_RETURN_GOODS"}, False, "refund_asked", "refunding", ""),
        ({"refund_status": "SELLER_REFUSE_BUYER"}, False, "refund_refused", "paid", "refund_refused"),
        ({"refund_status": "CLOSED"}, False, "", "paid", ""),
        ({"refund_status": "SUCCESS"}, True, "", "paid", ""),
        ({"status": "TRADE_CLOSED_BY_TAOBAO"}, True, "", "paid", ""),
        ({"status": "WAIT_BUYER_CONFIRM_GOODS"}, True, "", "paid", ""),
        ({"is_force_dc": True}, True, "", "paid", ""),
    ],
)
def test_a_refund_or_a_close_takes_its_own_sub_order_alone(
    shop: FakeTaobao,
    taobao: Taobao,
    changes: dict[str, Any],
    cancelled: bool,
    line_hold: str,
    state: str,
    hold: str,
) -> None:
    shop.order(1, ("A1", 1), ("B2", 1))
    shop.sub(1, "B2").update(changes)
    (order,) = taobao.fetch_orders(None)
    assert [(line.cancelled, line.hold) for line in order.lines] == [(False, ""), (cancelled, line_hold)]
    assert (order.state, order.hold) == (state, hold)


def test_an_order_whose_every_line_was_paid_back_is_cancelled(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 1), ("B2", 1))
    shop.sub(1, "A1")["refund_status"] = "SUCCESS"
    shop.sub(1, "B2")["status"] = "TRADE_CLOSED"
    assert taobao.order_state("1") == "cancelled"


def test_services_and_virtual_goods_are_not_to_be_picked(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 1), ("CARE", 1))
    shop.sub(1, "CARE")["is_service_order"] = True
    shop.order(2, ("CODE", 1), shipping_type="virtual")
    found = read(taobao)
    assert [line.kind for line in found["1"].lines] == ["goods", "service"]
    assert [line.kind for line in found["2"].lines] == ["service"]


@pytest.mark.parametrize(
    ("trade", "sub", "expected"),
    [
        ({}, {}, None),
        ({}, {"delivery_time": "2026-11-22 20:00:00"}, datetime(2026, 11, 22, 12, tzinfo=UTC)),
        ({"collect_time": "2026-11-23 20:00:00"}, {}, datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ({"collect_time": "2026-11-23 20:00:00"}, {"delivery_time": "2026-11-22 04:00:00"}, START + timedelta(hours=8)),
        ({"send_time": "2026-12-01 00:00:00"}, {}, datetime(2026, 11, 30, 16, tzinfo=UTC)),
        ({"consign_interval": 48}, {}, START + timedelta(hours=48)),
        ({"consign_interval": 48, "pay_time": ""}, {}, None),
        ({}, {"estimate_con_time": "付款后3天内"}, None),
    ],
)
def test_the_shops_promise_says_by_when_it_must_leave(
    shop: FakeTaobao, taobao: Taobao, trade: dict[str, Any], sub: dict[str, Any], expected: datetime | None
) -> None:
    shop.order(1, ("A1", 1), **trade)
    shop.sub(1, "A1").update(sub)
    (order,) = taobao.fetch_orders(None)
    assert order.ship_by == expected


@pytest.mark.parametrize("broken", [{"num": None}, {"num": 0}, {"price": "free"}, {"status": None}])
def test_one_order_that_cannot_be_understood_never_stops_the_others(
    shop: FakeTaobao, taobao: Taobao, broken: dict[str, Any]
) -> None:
    for number in (1, 2, 3):
        shop.order(number, ("A1", 1))
    bad = shop.sub(2, "A1")
    for name, value in broken.items():
        bad[name] = value
        if value is None:
            del bad[name]
    found = read(taobao)
    assert {number: order.hold for number, order in found.items()} == {"1": "", "2": "unreadable", "3": ""}
    assert found["2"].raw["receiver_name"] == "张**"
    assert found["2"].lines == ()
    assert list(taobao.unread) == ["2"]
    assert "张" not in str(taobao.unread["2"])


def test_an_order_that_is_gone_between_list_and_reading_is_told_and_passed_over(
    shop: FakeTaobao, taobao: Taobao
) -> None:
    for number in (1, 2, 3):
        shop.order(number, ("A1", 1))

    def gone(method: str, fields: dict[str, str]) -> None:
        if method == "taobao.trade.fullinfo.get" and fields["tid"] == "2":
            raise Refuse(15, "Remote service error", "isv.trade-not-exist", "交易不存在")

    shop.before = gone
    assert set(read(taobao)) == {"1", "3"}
    assert taobao.unread["2"].reason == "order_unknown"
    assert taobao.complete_until == START


def test_an_order_that_was_cancelled_comes_back_so_that_ours_is_stopped(
    shop: FakeTaobao, taobao: Taobao, tick: Tick
) -> None:
    shop.order(1, ("A1", 1))
    tick.at += timedelta(hours=1)
    shop.close(1)
    tick.at += timedelta(minutes=1)
    (order,) = taobao.fetch_orders(START + timedelta(minutes=50))
    assert order.state == "cancelled"
    assert all(line.cancelled for line in order.lines)


def test_a_single_order_is_read_again_with_the_refund_of_each_line(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 1), ("B2", 1))
    shop.sub(1, "B2")["refund_status"] = "WAIT_SELLER_AGREE"
    order = taobao.read_order("1")
    assert [(line.sku, line.hold) for line in order.lines] == [("A1", ""), ("B2", "refund_asked")]
    assert order.recipient.oaid == "11ABC+/="
    del shop.sub(1, "A1")["num"]
    with pytest.raises(ConnectorError, match="cannot be understood") as told:
        taobao.read_order("1")
    assert (told.value.permanent, told.value.reason) == (True, "unreadable")


# Out


def test_a_whole_order_is_sent_once_however_often_it_is_pushed(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 2), ("B2", 1))
    for _ in range(3):
        pushed = taobao.push_shipment(parcel(1, "SF1", ("A1", 2), ("B2", 1)))
        assert pushed.state == "acknowledged"
        assert "SF1" in pushed.text
    (sent,) = shop.did(SEND)
    assert (sent["tid"], sent["out_sid"], sent["company_code"]) == ("1", "SF1", "SF")
    assert "is_split" not in sent
    assert taobao.order_state("1") == "shipped"


def test_two_parcels_of_one_order_each_send_their_own_sub_orders(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 2), ("B2", 1), ("C3", 1))
    first = parcel(1, "SF1", ("A1", 2), ("C3", 1))
    assert taobao.push_shipment(first).state == "acknowledged"
    assert taobao.order_state("1") == "paid"
    assert taobao.push_shipment(parcel(1, "SF2", ("B2", 1), no="P2", others=(first,))).state == "acknowledged"
    assert [(sent["sub_tid"], sent["is_split"]) for sent in shop.did(SEND)] == [("10,12", "1"), ("11", "1")]
    assert taobao.order_state("1") == "shipped"


def test_a_line_is_found_by_its_reference_before_its_sku(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 1), ("A1", 1))
    shipment = Shipment("1", "P1", "k", "SF", "顺丰", "SF1", SHIPPED_AT, (("11", "A1", 1),))
    assert taobao.push_shipment(shipment).state == "acknowledged"
    assert shop.did(SEND)[0]["sub_tid"] == "11"


@pytest.mark.parametrize("told_of_both", [False, True])
def test_parts_of_a_quantity_go_as_parts_and_the_last_one_closes_it(
    shop: FakeTaobao, taobao: Taobao, told_of_both: bool
) -> None:
    shop.order(1, ("A1", 5))
    second = parcel(1, "SF2", ("A1", 3), no="P2")
    first = parcel(1, "SF1", ("A1", 2), others=(second,) if told_of_both else ())
    for _ in range(2):
        assert taobao.push_shipment(first).state == "acknowledged"
    assert taobao.order_state("1") == "paid"
    second = parcel(1, "SF2", ("A1", 3), no="P2", others=(first,))
    for _ in range(2):
        assert taobao.push_shipment(second).state == "acknowledged"
    assert taobao.push_shipment(first).state == "acknowledged"
    assert shop.did(SEND) == []
    assert len(shop.did(SEND_PARTS)) == 2
    assert '"is_part_consign":true' in shop.did(SEND_PARTS)[0]["consign_status"]
    assert '"is_part_consign":false' in shop.did(SEND_PARTS)[1]["consign_status"]
    assert [one["goods"] for one in shop.packages["1"]] == [{"1": 2}, {"1": 3}]
    assert taobao.order_state("1") == "shipped"


def test_an_extra_parcel_of_pieces_told_as_gone_is_one_more(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 2))
    first = parcel(1, "SF1", ("A1", 2))
    assert taobao.push_shipment(first).state == "acknowledged"
    assert taobao.push_shipment(parcel(1, "SF2", ("A1", 1), no="P2", others=(first,))).state == "acknowledged"
    assert shop.did(SEND_PARTS)[0]["consign_type"] == "3"
    assert shop.numbers(1) == ["SF1", "SF2"]


def test_more_pieces_than_are_left_are_for_a_person(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 5))
    first = parcel(1, "SF1", ("A1", 3))
    assert taobao.push_shipment(first).state == "acknowledged"
    assert taobao.push_shipment(parcel(1, "SF2", ("A1", 3), no="P2", others=(first,))).state == "conflict"
    assert taobao.push_shipment(parcel(1, "SF3", ("A1", 6), no="P3")).state == "conflict"
    assert taobao.push_shipment(parcel(1, "SF4", ("NONE", 1), no="P4")).state == "conflict"
    assert shop.numbers(1) == ["SF1"]


def test_a_push_done_by_half_goes_on_with_the_rest(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 2), ("B2", 1))
    shop.half = True
    shipment = parcel(1, "SF1", ("A1", 2), ("B2", 1))
    with pytest.raises(ConnectorError) as told:
        taobao.push_shipment(shipment)
    assert not told.value.permanent
    assert shop.packages["1"] == [{"out_sid": "SF1", "company": "SF", "goods": {"10": 2}}]
    assert taobao.push_shipment(shipment).state == "acknowledged"
    assert [one["goods"] for one in shop.packages["1"]] == [{"10": 2}, {"11": 1}]
    assert shop.numbers(1) == ["SF1", "SF1"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "lost",
    [
        SEND,
        SEND_PARTS,
        "taobao.trade.fullinfo.get",
        "taobao.logistics.orders.get",
        "taobao.logistics.companies.get",
    ],
)
def test_a_line_that_is_cut_is_made_good_by_the_next_push(
    shop: FakeTaobao, taobao: Taobao, lost: str, when: str
) -> None:
    shop.order(1, ("A1", 2), ("B2", 5))
    shipments = (parcel(1, "SF1", ("A1", 2)), parcel(1, "SF2", ("B2", 2), no="P2"))
    left = [1]

    def cut(method: str, fields: dict[str, str]) -> str | None:
        return "cut" if method == lost and left and left.pop() else None

    setattr(shop, when, cut)
    failures = 0
    for shipment in shipments:
        for _ in range(2):
            try:
                assert taobao.push_shipment(shipment).state == "acknowledged"
            except ConnectorError as error:
                assert (error.permanent, error.reason) == (False, "offline")
                failures += 1
    assert failures == (1 if lost in (SEND, SEND_PARTS) else 0), "only what changes something is left to the next push"
    assert [one["goods"] for one in shop.packages["1"]] == [{"10": 2}, {"11": 2}]


def test_already_shipped_is_success_only_with_our_own_number(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 2))
    shop.send_by_hand(1, "SF999")
    pushed = taobao.push_shipment(parcel(1, "SF1", ("A1", 2)))
    assert pushed.state == "conflict"
    assert "SF999" in pushed.text
    assert "SF1" in pushed.text
    assert shop.did(SEND) == []


@pytest.mark.parametrize(
    ("overtake", "state", "words"),
    [
        (lambda shop: shop.send_by_hand(1, "SF999"), "conflict", "another waybill"),
        (lambda shop: shop.send_by_hand(1, "SF1"), "acknowledged", "SF1"),
        (lambda shop: shop.close(1), "conflict", "cancelled at the shop"),
    ],
)
def test_the_same_answer_b04_means_three_things_and_the_order_says_which(
    shop: FakeTaobao, taobao: Taobao, overtake: Callable[[FakeTaobao], None], state: str, words: str
) -> None:
    shop.order(1, ("A1", 2))

    def between(method: str, fields: dict[str, str]) -> None:
        if method == SEND:
            overtake(shop)

    shop.before = between
    pushed = taobao.push_shipment(parcel(1, "SF1", ("A1", 2)))
    assert pushed.state == state
    assert words in pushed.text
    assert len(shop.did(SEND)) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"refund_status": "WAIT_SELLER_AGREE"}, "refund is asked for"),
        ({"refund_status": "SUCCESS"}, "paid back"),
        ({"status": "TRADE_CLOSED_BY_TAOBAO"}, "cancelled at the shop"),
    ],
)
def test_a_parcel_with_a_refunded_line_is_stopped_and_the_other_line_goes_alone(
    shop: FakeTaobao, taobao: Taobao, changes: dict[str, str], words: str
) -> None:
    shop.order(1, ("A1", 1), ("B2", 1))
    shop.sub(1, "B2").update(changes)
    stopped = taobao.push_shipment(parcel(1, "SF1", ("A1", 1), ("B2", 1)))
    assert stopped.state == "conflict"
    assert words in stopped.text
    assert shop.did(SEND) == []
    assert taobao.push_shipment(parcel(1, "SF2", ("A1", 1), no="P2")).state == "acknowledged"
    assert shop.packages["1"][0]["goods"] == {"10": 1}


def test_an_unpaid_order_is_not_sent(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 1), status="WAIT_BUYER_PAY")
    pushed = taobao.push_shipment(parcel(1, "SF1", ("A1", 1)))
    assert pushed.state == "conflict"
    assert "WAIT_BUYER_PAY" in pushed.text
    assert shop.did(SEND) == []


def test_true_as_a_word_is_true(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.string_booleans = True
    shop.order(1, ("A1", 2))
    assert taobao.push_shipment(parcel(1, "SF1", ("A1", 2))).state == "acknowledged"


def test_a_yes_that_the_order_does_not_show_yet_is_looked_at_again(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 2))
    good = b'{"logistics_offline_send_response":{"shipping":{"is_success":true}}}'
    shop.before = lambda method, fields: Answer(good) if method == SEND else None
    with pytest.raises(ConnectorError) as told:
        taobao.push_shipment(parcel(1, "SF1", ("A1", 2)))
    assert (told.value.permanent, told.value.reason) == (False, "not_seen")


def test_a_no_without_a_reason_is_a_no(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 2))
    bad = b'{"logistics_offline_send_response":{"shipping":{"is_success":false}}}'
    shop.before = lambda method, fields: Answer(bad) if method == SEND else None
    assert taobao.push_shipment(parcel(1, "SF1", ("A1", 2))).state == "conflict"


RETRY = (
    "isp.logistics-offline-service-error:S01",
    "isv.logistics-offline-service-error:S01",
    "isv.logistics-offline-service-error:B150",
    "isp.top-remote-connection-timeout",
)
OPERATOR = {
    "B01": "Check its number", "P02": "Check its number", "B60": "wrong or used", "F": "wrong or used",
    "F03": "wrong or used", "B56": "carrier", "B57": "carrier", "B59": "carrier", "B101": "address",
    "CD22": "split", "CD31": "split", "P38": "split", "P25": "split", "B06": "split", "B98": "not sent this way",
    "X99": "Look at what was sent",
}  # fmt: skip


def refuse(sub_code: str, code: int = 15) -> Callable[[str, dict[str, str]], None]:
    def hook(method: str, fields: dict[str, str]) -> None:
        if method == SEND:
            raise Refuse(code, "Remote service error", sub_code, "淘宝说不行")

    return hook


@pytest.mark.parametrize("sub_code", RETRY)
def test_a_fault_of_taobaos_own_is_tried_again(shop: FakeTaobao, taobao: Taobao, sub_code: str) -> None:
    shop.order(1, ("A1", 2))
    shop.before = refuse(sub_code)
    with pytest.raises(ConnectorError, match="tried again") as told:
        taobao.push_shipment(parcel(1, "SF1", ("A1", 2)))
    assert not told.value.permanent
    shop.before = lambda method, fields: None
    assert taobao.push_shipment(parcel(1, "SF1", ("A1", 2))).state == "acknowledged"


@pytest.mark.parametrize(("last", "words"), OPERATOR.items())
def test_what_only_a_person_can_mend_says_what_to_do(shop: FakeTaobao, taobao: Taobao, last: str, words: str) -> None:
    shop.order(1, ("A1", 2))
    shop.before = refuse(f"isv.logistics-offline-service-error:{last}")
    pushed = taobao.push_shipment(parcel(1, "SF1", ("A1", 2)))
    assert pushed.state == "conflict"
    assert words in pushed.text
    assert "淘宝说不行" in pushed.text


@pytest.mark.parametrize("sub_code", ["isv.logistics-offline-service-error:P03", "session-expired"])
def test_an_authorisation_that_ended_names_who_must_do_what(shop: FakeTaobao, taobao: Taobao, sub_code: str) -> None:
    shop.order(1, ("A1", 2))
    shop.before = refuse(sub_code, 27 if sub_code == "session-expired" else 15)
    with pytest.raises(ConnectorError, match="owner authorises the app again") as told:
        taobao.push_shipment(parcel(1, "SF1", ("A1", 2)))
    assert (told.value.permanent, told.value.reason) == (True, "unauthorised")


@pytest.mark.parametrize(
    ("code", "sub_code", "permanent", "reason"),
    [
        (10, "", False, "shop_fault"),
        (11, "isv.permission-api-package-limit", True, "not_permitted"),
        (22, "", True, "not_permitted"),
        (25, "", True, "wrong_keys"),
        (29, "", True, "wrong_keys"),
        (26, "", True, "unauthorised"),
        (27, "", True, "unauthorised"),
        (31, "", False, "wrong_clock"),
        (40, "", True, "refused"),
        (15, "isv.something-new", True, "refused"),
        (15, "isp.something-new", False, "shop_fault"),
        (999, "", False, "shop_fault"),
    ],
)
def test_each_class_of_refusal_of_the_gateway(
    shop: FakeTaobao, taobao: Taobao, code: int, sub_code: str, permanent: bool, reason: str
) -> None:
    def hook(method: str, fields: dict[str, str]) -> None:
        raise Refuse(code, f"no, {shop.session}", sub_code, f"{shop.secret} {fields['session']}")

    shop.before = hook
    calls: list[Callable[[], object]] = [
        lambda: taobao.order_state("1"),
        lambda: list(taobao.fetch_orders(START - timedelta(hours=1))),
        lambda: taobao.push_stock("A", 1),
    ]
    for call in calls:
        with pytest.raises(ConnectorError) as told:
            call()
        assert (told.value.permanent, told.value.reason) == (permanent, reason)
        no_secret_in(shop, told.value)


def test_keys_that_are_wrong_do_not_mark_parcel_after_parcel_as_a_conflict(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 2))
    shop.before = refuse("isv.permission-api-package-limit", 11)
    with pytest.raises(ConnectorError) as told:
        taobao.push_shipment(parcel(1, "SF1", ("A1", 2)))
    assert told.value.reason == "not_permitted"


@pytest.mark.parametrize(
    ("kind", "lane", "free"),
    [
        ("accesscontrol.limited-by-app-access-count", Lane("12129701"), None),
        ("accesscontrol.limited-by-app-api-access-count", Lane("12129701", "", SEND), "taobao.trade.fullinfo.get"),
    ],
)
def test_a_ban_is_kept_to_as_long_and_for_whom_taobao_says(
    shop: FakeTaobao, taobao: Taobao, kind: str, lane: Lane, free: str | None
) -> None:
    shop.order(1, ("A1", 2))

    def ban(method: str, fields: dict[str, str]) -> None:
        if method == SEND:
            raise Refuse(7, "App Call Limited", kind, "This ban will last for 31062 more seconds")

    shop.before = ban
    for _ in range(3):
        with pytest.raises(ConnectorError) as told:
            taobao.push_shipment(parcel(1, "SF1", ("A1", 2)))
        assert (told.value.permanent, told.value.reason) == (False, "banned")
        assert told.value.retry_after_s == pytest.approx(31062, abs=60)
    # The platform hears no more of what it banned.
    assert len(shop.did(SEND)) == 1
    assert taobao.limits.banned_s(lane) > 0
    if free is None:
        with pytest.raises(ConnectorError, match="no more calls"):
            taobao.order_state("1")
    else:
        assert taobao.order_state("1") == "paid"


def test_a_ban_that_is_over_lets_the_next_call_through(shop: FakeTaobao, url: str, tick: Tick) -> None:
    at_s = [0.0]
    taobao = Taobao.from_settings(settings(shop, url), limits=Limits(monotonic=lambda: at_s[0]))
    shop.order(1, ("A1", 2))
    shop.bans["accesscontrol.limited-by-app-access-count"] = tick.at + timedelta(seconds=3)
    with pytest.raises(ConnectorError) as told:
        taobao.order_state("1")
    assert told.value.retry_after_s == 3
    tick.at += timedelta(seconds=4)
    at_s[0] = 4.0
    assert taobao.order_state("1") == "paid"


def test_a_clock_that_is_wrong_a_wrong_secret_and_a_wrong_session(shop: FakeTaobao, url: str, tick: Tick) -> None:
    shop.order(1, ("A1", 1))
    shop.now = lambda: tick.at + timedelta(minutes=11)
    with pytest.raises(ConnectorError, match="Set the time") as told:
        connect(shop, url).order_state("1")
    assert (told.value.permanent, told.value.reason) == (False, "wrong_clock")
    shop.now = tick
    for wrong, reason in (
        ({"app_secret": "not-the-secret"}, "wrong_keys"),
        ({"app_key": "999"}, "wrong_keys"),
        ({"session": "an-old-session"}, "unauthorised"),
    ):
        with pytest.raises(ConnectorError) as told:
            connect(shop, url, **wrong).order_state("1")
        assert (told.value.permanent, told.value.reason) == (True, reason)
        assert not any(value in f"{told.value} {told.value.facts}" for value in wrong.values() if len(value) > 3)


@pytest.mark.parametrize("way", ["md5", "hmac", "hmac-sha256"])
def test_every_way_of_signing_is_accepted(shop: FakeTaobao, url: str, way: str) -> None:
    shop.order(1, ("A1", 1))
    assert connect(shop, url, sign_method=way).order_state("1") == "paid"


def test_a_way_of_signing_that_is_none_is_refused_at_once(shop: FakeTaobao, url: str) -> None:
    with pytest.raises(ConnectorError, match="hmac-sha256"):
        connect(shop, url, sign_method="sha1")


@untimed
@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]{0,11}", fullmatch=True),
        st.text(st.characters(codec="utf-8"), min_size=1),
        max_size=8,
    ),
    st.sampled_from(["md5", "hmac", "hmac-sha256"]),
)
def test_the_double_recomputes_our_signature_from_the_bytes_of_any_values(fields: dict[str, str], way: Any) -> None:
    double = FakeTaobao()
    sent = {**fields, "sign_method": way}
    sent.pop("sign", None)
    body = urlencode({**sent, "sign": top_sign(double.secret, sent, way)}).encode("ascii")
    raw = Request("POST", "/router/rest", b"", body, "").fields()
    assert double._sign(raw) == raw[b"sign"].decode()


def test_nothing_secret_reaches_the_log(shop: FakeTaobao, taobao: Taobao, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shop.order(1, ("A1", 1))
    list(taobao.fetch_orders(None))
    taobao.push_shipment(parcel(1, "SF1", ("A1", 1)))
    no_secret_in(shop, caplog.text)


def test_a_key_never_travels_in_the_clear(shop: FakeTaobao) -> None:
    with pytest.raises(ConnectorError, match="https"):
        Taobao.from_settings({**settings(shop, "http://shop.test/router/rest")})


# Carriers


def test_a_carrier_is_found_by_setting_by_code_and_by_name(shop: FakeTaobao, url: str) -> None:
    for number, (carrier, more) in enumerate((("OURS", {"carriers": "OURS=ZTO"}), ("ZTO", {}))):
        shop.order(number + 1, ("A1", 1))
        pushed = connect(shop, url, **more).push_shipment(parcel(number + 1, f"ZT{number}", ("A1", 1), carrier=carrier))
        assert pushed.state == "acknowledged"
    shop.order(3, ("A1", 1))
    named = Shipment("3", "P1", "k", "X", "中通快递", "ZT9", SHIPPED_AT, (("", "A1", 1),))
    assert connect(shop, url).push_shipment(named).state == "acknowledged"
    assert {sent["company_code"] for sent in shop.did(SEND)} == {"ZTO"}


def test_a_carrier_taobao_does_not_have_is_for_a_person(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 1))
    pushed = taobao.push_shipment(parcel(1, "SF1", ("A1", 1), carrier="PIGEON"))
    assert pushed.state == "conflict"
    assert "PIGEON" in pushed.text
    assert shop.did(SEND) == []


def test_a_number_that_is_not_the_carriers_is_stopped_before_taobao_hears_it(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 1))
    pushed = taobao.push_shipment(parcel(1, "ZT-wrong", ("A1", 1)))
    assert pushed.state == "conflict"
    assert "顺丰速运" in pushed.text
    assert shop.did(SEND) == []
    # A pattern that is none lets everything pass.
    assert taobao.push_shipment(parcel(1, "YT(1", ("A1", 1), carrier="YTO")).state == "acknowledged"


def test_a_setting_that_is_no_table_is_named(shop: FakeTaobao, url: str) -> None:
    with pytest.raises(ConnectorError, match="carriers"):
        connect(shop, url, carriers="SF 467")


def test_an_order_the_shop_does_not_know(taobao: Taobao) -> None:
    for number in ("404", "no number"):
        shipment = Shipment(number, "P1", "k", "SF", "顺丰", "SF1", SHIPPED_AT, (("", "A1", 1),))
        with pytest.raises(ConnectorError, match=number) as told:
            taobao.push_shipment(shipment)
        assert (told.value.permanent, told.value.reason) == (True, "order_unknown")


# A wrong number


def test_a_wrong_number_of_a_whole_order_is_changed_once(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 2))
    taobao.push_shipment(parcel(1, "SF1", ("A1", 2)))
    right = parcel(1, "SF2", ("A1", 2))
    for _ in range(3):
        assert taobao.correct_shipment(right, "SF1").state == "acknowledged"
    (sent,) = shop.did("taobao.logistics.consign.resend")
    assert "is_split" not in sent
    assert shop.numbers(1) == ["SF2"]
    assert taobao.push_shipment(right).state == "acknowledged"


def test_a_wrong_number_of_one_sub_order_leaves_the_other(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 2), ("B2", 1))
    taobao.push_shipment(parcel(1, "SF1", ("A1", 2)))
    taobao.push_shipment(parcel(1, "SF2", ("B2", 1), no="P2"))
    assert taobao.correct_shipment(parcel(1, "SF3", ("B2", 1), no="P2"), "SF2").state == "acknowledged"
    (sent,) = shop.did("taobao.logistics.consign.resend")
    assert (sent["sub_tid"], sent["is_split"]) == ("11", "1")
    assert shop.numbers(1) == ["SF1", "SF3"]


def test_a_wrong_number_of_one_of_several_parcels_is_named_old_and_new(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 5))
    first = parcel(1, "SF1", ("A1", 2))
    taobao.push_shipment(first)
    taobao.push_shipment(parcel(1, "SF2", ("A1", 3), no="P2", others=(first,)))
    right = parcel(1, "SF3", ("A1", 3), no="P2", others=(first,))
    for _ in range(2):
        assert taobao.correct_shipment(right, "SF2").state == "acknowledged"
    (sent,) = shop.did("alibaba.ascp.logistics.consign.modify")
    assert (sent["old_out_sid"], sent["new_out_sid"]) == ("SF2", "SF3")
    assert shop.numbers(1) == ["SF1", "SF3"]


def test_a_number_that_can_no_longer_be_changed_is_for_a_person(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 2))
    taobao.push_shipment(parcel(1, "SF1", ("A1", 2)))
    shop.fixed_numbers = True
    pushed = taobao.correct_shipment(parcel(1, "SF2", ("A1", 2)), "SF1")
    assert pushed.state == "conflict"
    assert "已揽收" in pushed.text
    assert "SF1" in pushed.text


def test_a_number_that_is_not_on_the_order_is_not_corrected(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 2))
    taobao.push_shipment(parcel(1, "SF1", ("A1", 2)))
    pushed = taobao.correct_shipment(parcel(1, "SF3", ("A1", 2)), "SF2")
    assert pushed.state == "conflict"
    assert pushed.evidence["others"] == "SF1"


def test_a_correction_whose_answer_was_lost_is_made_good_by_the_next(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.order(1, ("A1", 2))
    taobao.push_shipment(parcel(1, "SF1", ("A1", 2)))
    left = [1]
    shop.after = lambda method, fields: "cut" if method.endswith("resend") and left and left.pop() else None
    with pytest.raises(ConnectorError) as told:
        taobao.correct_shipment(parcel(1, "SF2", ("A1", 2)), "SF1")
    assert not told.value.permanent
    assert taobao.correct_shipment(parcel(1, "SF2", ("A1", 2)), "SF1").state == "acknowledged"
    assert len(shop.did("taobao.logistics.consign.resend")) == 1


# Stock


def test_stock_is_set_and_several_listings_share_it(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.skus = [
        {"num_iid": 1, "sku_id": 11, "outer_id": "A1", "status": "normal"},
        {"num_iid": 2, "sku_id": 21, "outer_id": "A1", "status": "normal"},
        {"num_iid": 3, "sku_id": 31, "outer_id": "A1", "status": "delete"},
    ]
    taobao.push_stock("A1", 7)
    assert [one.get("quantity") for one in shop.skus] == [4, 3, None]
    assert {sent["type"] for sent in shop.did("taobao.item.quantity.update")} == {"1"}
    taobao.push_stock("A1", 0)
    assert [one.get("quantity") for one in shop.skus] == [0, 0, None]


def test_an_item_without_variants_has_its_stock_set_too(shop: FakeTaobao, taobao: Taobao) -> None:
    shop.items = [{"num_iid": 5, "outer_id": "B2"}]
    taobao.push_stock("B2", 9)
    assert shop.items[0]["quantity"] == 9
    with pytest.raises(ConnectorError, match="NONE") as told:
        taobao.push_stock("NONE", 1)
    assert (told.value.permanent, told.value.reason) == (True, "sku_unknown")


def test_an_empty_value_is_not_sent_since_taobao_does_not_sign_it(shop: FakeTaobao, taobao: Taobao) -> None:
    with pytest.raises(ConnectorError) as told:
        taobao.push_stock("", 1)
    assert told.value.reason == "refused"
    assert "outer_id" not in shop.calls[-1][1]


def test_a_page_read_alone_is_read_once() -> None:
    def never(page: int) -> Any:
        raise AssertionError(page)

    assert list(last_page_first(([{"a": 1}], 1), never, 50)) == [{"a": 1}]
