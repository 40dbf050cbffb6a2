"""The Vendure connector against a double of the shop (against the real one: test_vendure_real)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.connectors.fake_vendure import FakeVendure
from wms.connectors import Connector, ConnectorError, ReadBack, ReadsBack, Shipment
from wms.connectors.vendure import OVERLAP, PAGE, Vendure

SHIPPED_AT = datetime(2026, 11, 21, 13, 0, tzinfo=UTC)


@pytest.fixture
def shop() -> FakeVendure:
    return FakeVendure()


@pytest.fixture
def vendure(shop: FakeVendure) -> Vendure:
    settings = {"url": "http://shop.test/admin-api", "username": "superadmin", "password": "secret"}
    return Vendure.from_settings(settings, transport=httpx.MockTransport(shop))


def parcel(order: str, waybill: str, *lines: tuple[str, int], no: str = "P1") -> Shipment:
    inside = tuple(("", sku, qty) for sku, qty in lines)
    return Shipment(order, no, f"{order}/{no}", "SF", "顺丰速运", waybill, SHIPPED_AT, inside)


def live(shop: FakeVendure, code: str) -> list[tuple[str, str]]:
    found = shop.orders[code]["fulfillments"]
    return [(one["trackingCode"], one["state"]) for one in found if one["state"] != "Cancelled"]


def test_it_is_a_connector(vendure: Vendure) -> None:
    assert isinstance(vendure, Connector)
    assert vendure.grain == "package"


def test_paid_orders_are_read_with_lines_recipient_and_money(shop: FakeVendure, vendure: Vendure) -> None:
    shop.order("O1", ("A1", 2), ("B2", 1))
    shop.order("O2", ("A1", 1), state="AddingItems")
    (order,) = vendure.fetch_orders(None)
    assert (order.shop_order_no, order.state, order.currency) == ("O1", "paid", "USD")
    assert [(line.sku, line.qty, line.price_minor) for line in order.lines] == [
        ("A1", 2, 1000),
        ("B2", 1, 1000),
    ]
    assert order.recipient.address == "1 Test Street"
    assert order.ordered_at == shop.now
    assert order.ordered_at.utcoffset() == timedelta(0)


def test_an_order_stamped_before_the_cursor_is_not_lost(shop: FakeVendure, vendure: Vendure) -> None:
    shop.order("O1", ("A1", 1))
    # The cursor is our clock; the shop's stamp is a whole second and lies a little before it.
    assert [one.shop_order_no for one in vendure.fetch_orders(shop.now)] == ["O1"]
    shop.now += 2 * OVERLAP
    assert list(vendure.fetch_orders(shop.now)) == []


def test_a_cancelled_order_comes_back_so_that_ours_is_stopped(shop: FakeVendure, vendure: Vendure) -> None:
    shop.order("O1", ("A1", 1))
    shop.cancel("O1")
    (order,) = vendure.fetch_orders(shop.now)
    assert order.state == "cancelled"
    assert all(line.cancelled for line in order.lines)


def test_pages_that_shift_while_they_are_read_lose_nothing(shop: FakeVendure, vendure: Vendure) -> None:
    for number in range(3 * PAGE):
        shop.now += timedelta(milliseconds=100)
        shop.order(f"O{number}", ("A1", 1))
    start = shop.now - timedelta(hours=1)
    seen = []
    for order in vendure.fetch_orders(start):
        seen.append(order.shop_order_no)
        if len(seen) % 50 == 0:
            # Somebody touches an old order: it moves to the end and all others move up.
            shop.now += timedelta(seconds=1)
            shop.touch(f"O{len(seen) // 50}")
    assert set(seen) == set(shop.orders)


def test_more_orders_in_one_second_than_a_page_holds(shop: FakeVendure, vendure: Vendure) -> None:
    for number in range(2 * PAGE + 5):
        shop.order(f"O{number}", ("A1", 1))
    assert len({one.shop_order_no for one in vendure.fetch_orders(shop.now)}) == 2 * PAGE + 5


def test_a_shipment_arrives_with_its_number_and_repeating_it_changes_nothing(
    shop: FakeVendure, vendure: Vendure
) -> None:
    shop.order("O1", ("A1", 2), ("B2", 1))
    for _ in range(3):
        pushed = vendure.push_shipment(parcel("O1", "SF1", ("A1", 2), ("B2", 1)))
        assert pushed.state == "acknowledged"
        assert "SF1" in pushed.text
    assert live(shop, "O1") == [("SF1", "Shipped")]
    assert vendure.order_state("O1") == "shipped"


def test_two_parcels_of_one_order_ship_their_own_pieces(shop: FakeVendure, vendure: Vendure) -> None:
    shop.order("O1", ("A1", 5))
    assert vendure.push_shipment(parcel("O1", "SF1", ("A1", 2))).state == "acknowledged"
    assert vendure.order_state("O1") == "paid"
    assert vendure.push_shipment(parcel("O1", "SF2", ("A1", 3), no="P2")).state == "acknowledged"
    assert vendure.order_state("O1") == "shipped"
    assert [one["lines"][0]["quantity"] for one in shop.orders["O1"]["fulfillments"]] == [2, 3]


@pytest.mark.parametrize("lost", ["addFulfillmentToOrder", "transitionFulfillmentToState", "orders"])
def test_an_answer_lost_after_the_shop_did_it_is_made_good_by_the_next_push(
    shop: FakeVendure, vendure: Vendure, lost: str
) -> None:
    shop.order("O1", ("A1", 2))
    left = [1]

    def drop(name: str) -> httpx.Response | None:
        if name == lost and left:
            left.pop()
            raise httpx.ReadTimeout("no answer")
        return None

    shop.after = drop
    with pytest.raises(ConnectorError) as told:
        vendure.push_shipment(parcel("O1", "SF1", ("A1", 2)))
    assert (told.value.permanent, told.value.reason) == (False, "timeout")
    assert vendure.push_shipment(parcel("O1", "SF1", ("A1", 2))).state == "acknowledged"
    assert live(shop, "O1") == [("SF1", "Shipped")]


def test_already_fulfilled_is_success_only_with_our_own_number(shop: FakeVendure, vendure: Vendure) -> None:
    shop.order("O1", ("A1", 2))
    shop.fulfil("O1", "OTHER-9", "Shipped")
    pushed = vendure.push_shipment(parcel("O1", "SF1", ("A1", 2)))
    assert pushed.state == "conflict"
    assert "OTHER-9" in pushed.text
    assert "SF1" in pushed.text
    assert live(shop, "O1") == [("OTHER-9", "Shipped")]


def test_a_race_lost_between_reading_and_pushing_is_read_back(shop: FakeVendure, vendure: Vendure) -> None:
    shop.order("O1", ("A1", 2))

    def overtake(name: str) -> None:
        if name == "addFulfillmentToOrder":
            shop.fulfil("O1", "OTHER-9", "Shipped")

    shop.before = overtake
    pushed = vendure.push_shipment(parcel("O1", "SF1", ("A1", 2)))
    assert pushed.state == "conflict"
    assert pushed.evidence["others"] == "OTHER-9"


def test_an_order_cancelled_between_reading_and_pushing_is_a_conflict(shop: FakeVendure, vendure: Vendure) -> None:
    shop.order("O1", ("A1", 2))

    def cancel(name: str) -> None:
        if name == "addFulfillmentToOrder":
            shop.cancel("O1")

    shop.before = cancel
    pushed = vendure.push_shipment(parcel("O1", "SF1", ("A1", 2)))
    assert pushed.state == "conflict"
    assert "cancelled at the shop" in pushed.text


def test_an_order_paid_back_in_full_is_not_shipped(shop: FakeVendure, vendure: Vendure) -> None:
    order = shop.order("O1", ("A1", 2))
    order["payments"][0]["refunds"].append({"state": "Settled", "total": 2000})
    assert vendure.order_state("O1") == "refunding"
    pushed = vendure.push_shipment(parcel("O1", "SF1", ("A1", 2)))
    assert pushed.state == "conflict"
    assert live(shop, "O1") == []


def test_two_pushes_of_one_part_parcel_at_once_leave_one(shop: FakeVendure, vendure: Vendure) -> None:
    shop.order("O1", ("A1", 9))
    twice = [1]

    def twin(name: str) -> None:
        if name == "addFulfillmentToOrder" and twice:
            twice.pop()
            shop.fulfil("O1", "SF1", A1=2)

    shop.before = twin
    assert vendure.push_shipment(parcel("O1", "SF1", ("A1", 2))).state == "acknowledged"
    assert live(shop, "O1") == [("SF1", "Shipped")]


def test_more_pieces_than_the_order_waits_for_are_a_conflict(shop: FakeVendure, vendure: Vendure) -> None:
    shop.order("O1", ("A1", 2))
    pushed = vendure.push_shipment(parcel("O1", "SF1", ("A1", 3)))
    assert pushed.state == "conflict"
    assert live(shop, "O1") == []


def test_too_little_stock_at_the_shop_is_told_in_its_words(shop: FakeVendure, vendure: Vendure) -> None:
    shop.order("O1", ("A1", 2))
    level = {"stockLocationId": "1", "stockOnHand": 1, "stockAllocated": 0}
    shop.variants["A1"] = {"id": "7", "sku": "A1", "stockLevels": [level]}
    pushed = vendure.push_shipment(parcel("O1", "SF1", ("A1", 2)))
    assert pushed.state == "conflict"
    assert pushed.evidence["code"] == "INSUFFICIENT_STOCK_ON_HAND_ERROR"


def test_stock_is_what_can_still_be_sold(shop: FakeVendure, vendure: Vendure) -> None:
    level = {"stockLocationId": "1", "stockOnHand": 50, "stockAllocated": 3}
    shop.variants["A1"] = {"id": "7", "sku": "A1", "stockLevels": [level]}
    vendure.push_stock("A1", 7)
    assert level["stockOnHand"] == 10
    assert vendure.stock("A1") == 7
    with pytest.raises(ConnectorError, match="NONE") as told:
        vendure.push_stock("NONE", 1)
    assert told.value.permanent


def test_a_bad_token_is_found_though_the_answer_is_200(shop: FakeVendure) -> None:
    settings = {"url": "http://shop.test/admin-api", "token": "old"}
    vendure = Vendure.from_settings(settings, transport=httpx.MockTransport(shop))
    with pytest.raises(ConnectorError) as told:
        vendure.order_state("O1")
    assert (told.value.permanent, told.value.reason) == (True, "unauthorised")
    assert "old" not in str(told.value)


def test_a_session_that_ended_is_opened_again(shop: FakeVendure, vendure: Vendure) -> None:
    shop.order("O1", ("A1", 1))
    assert vendure.order_state("O1") == "paid"
    shop.token = "next-token"
    assert vendure.order_state("O1") == "paid"
    assert shop.calls.count("login") == 2


def test_a_wrong_password_is_for_a_person(shop: FakeVendure) -> None:
    settings = {"url": "http://shop.test/admin-api", "username": "superadmin", "password": "wrong"}
    vendure = Vendure.from_settings(settings, transport=httpx.MockTransport(shop))
    with pytest.raises(ConnectorError) as told:
        vendure.order_state("O1")
    assert (told.value.permanent, told.value.reason) == (True, "unauthorised")


def test_an_order_the_shop_does_not_know(vendure: Vendure) -> None:
    with pytest.raises(ConnectorError, match="X9") as told:
        vendure.push_shipment(parcel("X9", "SF1", ("A1", 1)))
    assert told.value.permanent


def test_a_parcel_without_a_number_is_never_pushed() -> None:
    with pytest.raises(ConnectorError, match="no waybill"):
        parcel("O1", " ", ("A1", 1))


def test_what_vendure_has_is_read_back_without_a_change(shop: FakeVendure, vendure: Vendure) -> None:
    shop.order("O1", ("A1", 2))
    assert isinstance(vendure, ReadsBack) and vendure.read_back("O1") == ReadBack("paid", ())
    vendure.push_shipment(parcel("O1", "SF1", ("A1", 2)))
    assert vendure.read_back("O1") == ReadBack("shipped", ("SF1",)) and live(shop, "O1") == [("SF1", "Shipped")]
