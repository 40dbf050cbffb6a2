"""The Vendure connector against the real shop, unmodified from npm: what it says is what counts."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.vendure.vendure import NoShopHereError, Shop, real_vendure
from wms.connectors import ConnectorError, Pushed, Shipment, connector_for
from wms.connectors.vendure import Vendure

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    skus = {"A1": ("Cup", 1000), "B2": ("Plate", 1000), "C3": ("Bowl", 1000)}
    try:
        with real_vendure(skus=skus) as shop:
            yield shop
    except NoShopHereError as why:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"NOT TESTED against a real shop: {why}")


@pytest.fixture
def vendure(shop: Shop) -> Vendure:
    made = connector_for("vendure", shop.settings)
    assert isinstance(made, Vendure)
    return made


def parcel(code: str, waybill: str, *lines: tuple[str, int], no: str = "P1") -> Shipment:
    inside = tuple(("", sku, qty) for sku, qty in lines)
    return Shipment(code, no, f"{code}/{no}", "SF", "顺丰速运", waybill, datetime.now(UTC), inside)


def held(shop: Shop, code: str) -> list[tuple[str, str, str]]:
    found = shop.order(code)["fulfillments"]
    return sorted((one["trackingCode"], one["method"], one["state"]) for one in found)


def test_a_paid_order_is_read_and_shipped_once_however_often_it_is_pushed(shop: Shop, vendure: Vendure) -> None:
    code = shop.place_order([("A1", 2), ("B2", 1)], {"fullName": "张三", "countryCode": "CN", "city": "上海"})
    order = next(one for one in vendure.fetch_orders(None) if one.shop_order_no == code)
    assert order.state == "paid"
    assert [(line.sku, line.qty, line.price_minor) for line in order.lines] == [
        ("A1", 2, 1000),
        ("B2", 1, 1000),
    ]
    assert (order.recipient.name, order.recipient.city, order.recipient.country) == ("张三", "上海", "CN")
    inside = tuple((line.line_ref, line.sku, line.qty) for line in order.lines)
    sent = Shipment(code, "P1", f"{code}/P1", "SF", "顺丰速运", "SF-1", datetime.now(UTC), inside)
    for _ in range(3):
        assert vendure.push_shipment(sent).state == "acknowledged"
    assert held(shop, code) == [("SF-1", "顺丰速运", "Shipped")]
    assert vendure.order_state(code) == "shipped"


def test_two_parcels_of_one_line(shop: Shop, vendure: Vendure) -> None:
    code = shop.place_order([("A1", 5)])
    assert vendure.push_shipment(parcel(code, "SF-21", ("A1", 2))).state == "acknowledged"
    assert shop.order(code)["state"] == "PartiallyShipped"
    assert vendure.order_state(code) == "paid"
    assert vendure.push_shipment(parcel(code, "SF-22", ("A1", 3), no="P2")).state == "acknowledged"
    assert shop.order(code)["state"] == "Shipped"
    pieces = {one["trackingCode"]: one["lines"][0]["quantity"] for one in shop.order(code)["fulfillments"]}
    assert pieces == {"SF-21": 2, "SF-22": 3}


def test_a_push_cut_off_half_way_is_finished_by_the_next(shop: Shop, vendure: Vendure) -> None:
    code = shop.place_order([("B2", 1)])
    shop.fulfil_by_hand(code, "SF-31")
    assert held(shop, code)[0][2] == "Pending"
    assert vendure.push_shipment(parcel(code, "SF-31", ("B2", 1))).state == "acknowledged"
    assert [(one[0], one[2]) for one in held(shop, code)] == [("SF-31", "Shipped")]


def test_another_number_at_the_shop_is_a_conflict(shop: Shop, vendure: Vendure) -> None:
    code = shop.place_order([("B2", 1)])
    shop.fulfil_by_hand(code, "OTHER-1")
    pushed = vendure.push_shipment(parcel(code, "SF-41", ("B2", 1)))
    assert pushed.state == "conflict"
    assert "OTHER-1" in pushed.text
    assert [one[0] for one in held(shop, code)] == ["OTHER-1"]


def test_a_cancelled_order_is_seen_and_never_shipped(shop: Shop, vendure: Vendure) -> None:
    code = shop.place_order([("C3", 1)])
    before = datetime.now(UTC)
    shop.cancel(code)
    assert vendure.order_state(code) == "cancelled"
    changed = {one.shop_order_no: one for one in vendure.fetch_orders(before)}
    assert changed[code].state == "cancelled"
    assert all(line.cancelled for line in changed[code].lines)
    pushed = vendure.push_shipment(parcel(code, "SF-51", ("C3", 1)))
    assert pushed.state == "conflict"
    assert "cancelled at the shop" in pushed.text
    assert held(shop, code) == []


def test_a_line_cancelled_in_part_ships_the_rest(shop: Shop, vendure: Vendure) -> None:
    code = shop.place_order([("A1", 3), ("C3", 1)])
    shop.cancel(code, [("C3", 1), ("A1", 1)])
    order = next(one for one in vendure.fetch_orders(None) if one.shop_order_no == code)
    assert {line.sku: (line.qty, line.cancelled) for line in order.lines} == {
        "A1": (2, False),
        "C3": (1, True),
    }
    assert vendure.push_shipment(parcel(code, "SF-61", ("A1", 3))).state == "conflict"
    assert vendure.push_shipment(parcel(code, "SF-61", ("A1", 2))).state == "acknowledged"
    assert shop.order(code)["state"] == "Shipped"


def test_pushes_at_the_same_time_agree(shop: Shop, vendure: Vendure) -> None:
    code = shop.place_order([("A1", 9)])
    whole: list[Pushed] = []
    other: list[Pushed] = []

    def push(answers: list[Pushed], sent: Shipment) -> None:
        made = connector_for("vendure", shop.settings)
        answers.append(made.push_shipment(sent))

    same = [threading.Thread(target=push, args=(whole, parcel(code, "SF-71", ("A1", 9)))) for _ in range(3)]
    rival = threading.Thread(target=push, args=(other, parcel(code, "SF-72", ("A1", 9), no="P2")))
    for thread in (*same, rival):
        thread.start()
    for thread in (*same, rival):
        thread.join()
    live = [one for one in held(shop, code) if one[2] != "Cancelled"]
    assert len(live) == 1
    winner = live[0][0]
    assert live[0][2] == "Shipped"
    assert {one.state for one in whole} == {"acknowledged" if winner == "SF-71" else "conflict"}
    assert {one.state for one in other} == {"acknowledged" if winner == "SF-72" else "conflict"}


def test_the_cursor_loses_no_order(shop: Shop, vendure: Vendure) -> None:
    for _ in range(3):
        since = datetime.now(UTC)
        code = shop.place_order([("B2", 1)])
        assert code in {one.shop_order_no for one in vendure.fetch_orders(since)}
    late = datetime.now(UTC) + timedelta(hours=1)
    assert list(vendure.fetch_orders(late)) == []


def test_stock_is_what_can_still_be_sold(shop: Shop, vendure: Vendure) -> None:
    shop.place_order([("C3", 4)])
    _, taken = shop.stock("C3")
    assert taken >= 4
    vendure.push_stock("C3", 25)
    assert vendure.stock("C3") == 25
    assert shop.stock("C3") == (25 + taken, taken)
    with pytest.raises(ConnectorError, match="NONE"):
        vendure.push_stock("NONE", 1)


@pytest.mark.parametrize("wrong", [{"token": "old"}, {"password": "wrong"}])
def test_a_bad_key_is_for_a_person(shop: Shop, wrong: dict[str, str]) -> None:
    with pytest.raises(ConnectorError) as told:
        connector_for("vendure", {**shop.settings, **wrong}).order_state("X")
    assert (told.value.permanent, told.value.reason) == (True, "unauthorised")


def test_a_shop_that_is_down_is_tried_again(shop: Shop) -> None:
    down = {**shop.settings, "url": "http://127.0.0.1:9/admin-api"}
    with pytest.raises(ConnectorError) as told:
        connector_for("vendure", down).order_state("X")
    assert (told.value.permanent, told.value.reason) == (False, "offline")


def test_the_seed_of_the_end_to_end_test_works() -> None:
    try:
        with real_vendure({"K1": ("Kettle", 5), "K2": ("Lamp", 5)}, [[("K1", 1)], [("K1", 1), ("K2", 2)]]) as seeded:
            vendure = connector_for("vendure", seeded.settings)
            found = {one.shop_order_no: one for one in vendure.fetch_orders(None)}
            assert list(found) == seeded.codes
            assert [line.sku for line in found[seeded.codes[1]].lines] == ["K1", "K2"]
            token = connector_for("vendure", {"url": seeded.url, "token": seeded.token})
            assert token.order_state(seeded.codes[0]) == "paid"
    except NoShopHereError as why:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"NOT TESTED against a real shop: {why}")
