"""The WooCommerce connector against a double that checks signatures, zones and pages on a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.connectors.fake_woocommerce import FakeWooCommerce
from tests.connectors.parcels import parcel
from tests.connectors.shop_server import CUT, Call, LateAnswers, Reply
from wms.connectors import Connector, ConnectorError, ShopOrder, connector_for
from wms.connectors.woocommerce import OVERLAP, PAGE, WooCommerce

WAYS = ("core", "plugin", "note")


@pytest.fixture
def shop() -> Iterator[FakeWooCommerce]:
    made = FakeWooCommerce()
    with made.net.running():
        yield made


@pytest.fixture
def late() -> LateAnswers:
    return LateAnswers()


@pytest.fixture
def woo(shop: FakeWooCommerce, late: LateAnswers) -> WooCommerce:
    return connect(shop, late)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, shop: FakeWooCommerce) -> str:
    """Each way in which a shop may take tracking numbers."""
    chosen: str = request.param
    shop.core, shop.plugin = chosen == "core", "/wc-shipment-tracking/v3" if chosen == "plugin" else ""
    return chosen


def connect(shop: FakeWooCommerce, transport: httpx.BaseTransport | None = None, **settings: Any) -> WooCommerce:
    return WooCommerce.from_settings(
        {"url": shop.net.url, "key": shop.key, "secret": shop.secret, **settings}, transport
    )


def one(woo: WooCommerce) -> ShopOrder:
    (order,) = woo.fetch_orders(None)
    return order


# Orders in


def test_it_is_a_connector_of_its_kind(shop: FakeWooCommerce) -> None:
    made = connector_for("woocommerce", {"url": shop.net.url, "key": "k", "secret": "s"})
    assert isinstance(made, WooCommerce) and isinstance(made, Connector)


def test_a_paid_order_is_read_with_lines_recipient_notes_and_money(shop: FakeWooCommerce, woo: WooCommerce) -> None:
    number = shop.order(("A1", 3), ("B2", 1))
    shop.orders[number] |= {"customer_note": "请放门卫", "number": "2026-17"}
    shop.order(("A1", 1), status="on-hold")
    order = one(woo)
    assert (order.shop_order_no, order.state, order.currency) == (str(number), "paid", "USD")
    assert [(line.sku, line.qty, line.price_minor) for line in order.lines] == [("A1", 3, 1999), ("B2", 1, 1999)]
    assert (order.recipient.name, order.recipient.phone) == ("Test Buyer", "020 7946 0000")
    assert (order.buyer_note, order.seller_memo, order.carrier_hint) == ("请放门卫", "#2026-17", "Flat rate")
    assert order.ordered_at == shop.now
    assert order.raw["line_items"][0]["sku"] == "A1"


@pytest.mark.parametrize(
    ("price", "currency", "minor"), [("1200", "JPY", 1200), ("1.234", "KWD", 1234), ("0.07", "EUR", 7)]
)
def test_money_is_exact_in_the_minor_units_of_its_currency(
    shop: FakeWooCommerce, woo: WooCommerce, price: str, currency: str, minor: int
) -> None:
    shop.order(("A1", 3), price=price, currency=currency)
    assert one(woo).lines[0].price_minor == minor


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("processing", "paid"),
        ("partial-shipped", "paid"),
        ("my-ready", "paid"),
        ("completed", "shipped"),
        ("cancelled", "cancelled"),
        ("refunded", "cancelled"),
        ("trash", "cancelled"),
        ("pending", "other"),
        ("on-hold", "other"),
        ("failed", "other"),
        ("some-plugins-own", "other"),
    ],
)
def test_each_state_of_an_order(shop: FakeWooCommerce, status: str, state: str) -> None:
    number = shop.order(("A1", 1), status=status)
    assert connect(shop, paid_states="my-ready, other-one").order_state(str(number)) == state


def test_refunded_pieces_are_not_picked(shop: FakeWooCommerce, woo: WooCommerce) -> None:
    number = shop.order(("A1", 3), ("B2", 1))
    shop.refund(number, "19.99", A1=1)
    shop.refund(number, "39.98", A1=1, B2=1)
    order = one(woo)
    assert order.state == "paid"
    assert [(line.sku, line.qty, line.cancelled) for line in order.lines] == [("A1", 1, False), ("B2", 1, True)]
    shop.refund(number, "19.99", A1=1)
    assert woo.order_state(str(number)) == "cancelled"


def test_a_sum_paid_back_without_pieces_leaves_the_pieces_and_all_of_it_stops_the_order(
    shop: FakeWooCommerce, woo: WooCommerce
) -> None:
    number = shop.order(("A1", 2))
    shop.refund(number, "5.00")
    assert one(woo).lines[0].qty == 2
    shop.refund(number, "34.98")
    assert woo.order_state(str(number)) == "refunding"


def test_the_time_is_not_taken_for_the_shops_own(shop: FakeWooCommerce, woo: WooCommerce) -> None:
    number = shop.order(("A1", 1))
    shop.touch(number, status="cancelled")
    assert [order.state for order in woo.fetch_orders(shop.now + OVERLAP - timedelta(seconds=1))] == ["cancelled"]
    assert list(woo.fetch_orders(shop.now + OVERLAP)) == []


def test_pages_that_shift_while_they_are_read_lose_nothing(shop: FakeWooCommerce, woo: WooCommerce) -> None:
    numbers = []
    for count in range(3 * PAGE):
        shop.now += timedelta(seconds=count % 2)
        numbers.append(shop.order(("A1", 1)))
    start, seen = shop.now - timedelta(hours=1), []
    for order in woo.fetch_orders(start):
        seen.append(order.shop_order_no)
        if len(seen) % 50 == 0:
            shop.now += timedelta(seconds=1)
            shop.touch(numbers[len(seen) // 50])
    assert set(seen) == {str(number) for number in numbers}


def test_more_orders_in_one_second_than_a_page_holds(shop: FakeWooCommerce, woo: WooCommerce) -> None:
    for _ in range(2 * PAGE + 5):
        shop.order(("A1", 1))
    assert len({order.shop_order_no for order in woo.fetch_orders(shop.now)}) == 2 * PAGE + 5


def test_an_order_that_cannot_be_read_does_not_stop_the_others(shop: FakeWooCommerce, woo: WooCommerce) -> None:
    bad = shop.order(("A1", 1))
    shop.orders[bad]["line_items"][0]["subtotal"] = "free"
    shop.order(("A1", 1))
    first, second = woo.fetch_orders(None)
    assert (first.shop_order_no, first.state, first.hold) == (str(bad), "paid", "unreadable")
    assert second.state == "paid"


# Shipments out


def test_a_shipment_arrives_with_its_number_and_repeating_it_changes_nothing(
    shop: FakeWooCommerce, woo: WooCommerce, way: str
) -> None:
    number = shop.order(("A1", 2), ("B2", 1))
    for _ in range(3):
        pushed = woo.push_shipment(parcel(str(number), "SF1", ("A1", 2), ("B2", 1)))
        assert pushed.state == "acknowledged" and "SF1" in pushed.text
        assert pushed.evidence["way"] == way
    assert shop.numbers(number) == ["SF1"]
    assert woo.order_state(str(number)) == "shipped"


def test_the_buyer_is_told_the_number_before_the_order_is_completed(
    shop: FakeWooCommerce, woo: WooCommerce, way: str
) -> None:
    number = shop.order(("A1", 1))
    woo.push_shipment(parcel(str(number), "SF1", ("A1", 1)))
    told = {"core": "SF1", "note": "顺丰速运: SF1"}
    assert shop.mails == ([told[way]] if way in told else []) + ["completed"]


def test_two_parcels_complete_the_order_only_together(shop: FakeWooCommerce, woo: WooCommerce, way: str) -> None:
    number = shop.order(("A1", 5))
    assert woo.push_shipment(parcel(str(number), "SF1", ("A1", 2))).state == "acknowledged"
    assert woo.order_state(str(number)) == "paid"
    assert woo.push_shipment(parcel(str(number), "SF2", ("A1", 3), no="P2")).state == "acknowledged"
    assert shop.numbers(number) == ["SF1", "SF2"]
    assert woo.order_state(str(number)) == "shipped"


def test_the_rest_after_a_refund_completes_the_order(shop: FakeWooCommerce, woo: WooCommerce, way: str) -> None:
    number = shop.order(("A1", 5), ("B2", 1))
    woo.push_shipment(parcel(str(number), "SF1", ("A1", 2)))
    shop.refund(number, "79.96", A1=3, B2=1)
    assert woo.push_shipment(parcel(str(number), "SF1", ("A1", 2))).state == "acknowledged"
    assert woo.order_state(str(number)) == "shipped"


def writes(call: Call) -> bool:
    return call.method in ("POST", "PUT")


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_push_cut_off_anywhere_is_made_good_by_the_next(
    shop: FakeWooCommerce, woo: WooCommerce, way: str, when: str, nth: int
) -> None:
    number = shop.order(("A1", 2))
    count = [0]

    def cut(call: Call) -> Reply | None:
        count[0] += writes(call)
        return CUT if writes(call) and count[0] == nth else None

    setattr(shop.net, when, cut)
    try:
        woo.push_shipment(parcel(str(number), "SF1", ("A1", 2)))
    except ConnectorError as error:
        assert not error.permanent
    assert woo.push_shipment(parcel(str(number), "SF1", ("A1", 2))).state == "acknowledged"
    assert shop.numbers(number) == ["SF1"]
    assert shop.orders[number]["status"] == "completed"
    assert shop.mails.count("completed") == 1


def test_an_answer_that_comes_too_late_is_read_back_at_once(
    shop: FakeWooCommerce, woo: WooCommerce, late: LateAnswers, way: str
) -> None:
    number = shop.order(("A1", 2))
    late.late = lambda request: request.method == "POST"
    assert woo.push_shipment(parcel(str(number), "SF1", ("A1", 2))).state == "acknowledged"
    assert shop.numbers(number) == ["SF1"]


def test_already_completed_is_success_only_with_our_own_number(
    shop: FakeWooCommerce, woo: WooCommerce, way: str
) -> None:
    number = shop.order(("A1", 2), status="completed")
    if way == "core":
        shop.fulfil_by_hand(number, "OTHER-9")
    elif way == "plugin":
        shop.track_by_hand(number, "OTHER-9")
    pushed = woo.push_shipment(parcel(str(number), "SF1", ("A1", 2)))
    assert pushed.state == "conflict"
    assert way == "note" or "OTHER-9" in pushed.text
    if way == "core":
        shop.fulfil_by_hand(number, "sf1")
    elif way == "plugin":
        shop.track_by_hand(number, "sf1")
    if way != "note":
        assert woo.push_shipment(parcel(str(number), "SF1", ("A1", 2))).state == "acknowledged"


def test_money_given_back_between_pull_and_push_is_a_conflict(
    shop: FakeWooCommerce, woo: WooCommerce, way: str
) -> None:
    cancelled, refunded, part = shop.order(("A1", 2)), shop.order(("A1", 2)), shop.order(("A1", 2))
    shop.touch(cancelled, status="cancelled")
    shop.refund(refunded, "39.98")
    shop.refund(part, "19.99", A1=1)
    for number in (cancelled, refunded, part):
        pushed = woo.push_shipment(parcel(str(number), "SF1", ("A1", 2)))
        assert (pushed.state, shop.numbers(number)) == ("conflict", [])
        assert shop.orders[number]["status"] != "completed"


def test_two_pushes_of_one_parcel_at_once_leave_one(shop: FakeWooCommerce, woo: WooCommerce) -> None:
    for way in ("core", "plugin"):
        shop.core, shop.plugin = way == "core", "/wc-ast/v3" if way == "plugin" else ""
        number, twice = shop.order(("A1", 9)), [1]

        def twin(call: Call, number: int = number, twice: list[int] = twice) -> None:
            if call.method == "POST" and twice:
                twice.pop()
                (shop.fulfil_by_hand if shop.core else shop.track_by_hand)(
                    number, "SF1", **({"A1": 2} if shop.core else {})
                )

        shop.net.before = twin
        assert connect(shop).push_shipment(parcel(str(number), "SF1", ("A1", 2))).state == "acknowledged"
        assert shop.numbers(number) == ["SF1"]


def test_a_wrong_number_is_corrected_only_where_the_shop_has_it(
    shop: FakeWooCommerce, woo: WooCommerce, way: str
) -> None:
    number = shop.order(("A1", 2), ("B2", 1))
    woo.push_shipment(parcel(str(number), "WRONG", ("A1", 2)))
    right = parcel(str(number), "SF1", ("A1", 2))
    assert woo.correct_shipment(right, "WRONG").state == "acknowledged"
    assert woo.correct_shipment(right, "WRONG").state == "acknowledged"
    assert shop.numbers(number)[-1] == "SF1" and (way == "note" or shop.numbers(number) == ["SF1"])
    assert woo.correct_shipment(parcel(str(number), "SF9", ("A1", 2)), "WRONG").state == "conflict"
    assert woo.push_shipment(parcel(str(number), "SF2", ("B2", 1), no="P2")).state == "acknowledged"
    assert woo.order_state(str(number)) == "shipped"


def test_a_carrier_the_shop_knows_goes_by_its_name_there(shop: FakeWooCommerce, way: str) -> None:
    number = shop.order(("A1", 1))
    connect(shop, carriers={"SF": "sf-express"}).push_shipment(parcel(str(number), "SF1", ("A1", 1)))
    told = json.dumps([shop.fulfillments, shop.trackings, shop.notes])
    assert "sf-express" in told


def test_a_shop_that_shall_use_a_plugin_and_has_none_is_told(shop: FakeWooCommerce) -> None:
    number = shop.order(("A1", 1))
    with pytest.raises(ConnectorError) as told:
        connect(shop, tracking="plugin").push_shipment(parcel(str(number), "SF1", ("A1", 1)))
    assert (told.value.permanent, told.value.reason) == (True, "no_plugin")
    with pytest.raises(ConnectorError, match="pigeon"):
        connect(shop, tracking="pigeon")


def test_an_order_the_shop_does_not_know(woo: WooCommerce) -> None:
    for number in ("999", "no number", "../products"):
        with pytest.raises(ConnectorError, match="has no order") as told:
            woo.push_shipment(parcel(number, "SF1", ("A1", 1)))
        assert (told.value.permanent, told.value.reason) == (True, "order_unknown")


def test_words_of_the_shop_against_a_shipment_are_passed_on(shop: FakeWooCommerce, woo: WooCommerce) -> None:
    shop.core = True
    number = shop.order(("A1", 2))

    def overtake(call: Call) -> None:
        if call.method == "POST":
            shop.fulfil_by_hand(number, "OTHER-9")

    shop.net.before = overtake
    pushed = woo.push_shipment(parcel(str(number), "SF1", ("A1", 2)))
    assert pushed.state == "conflict"
    assert "Invalid item quantity" in pushed.text and pushed.evidence["others"] == "OTHER-9"


def test_a_number_the_plugin_refused_leaves_its_pieces_to_the_next_number(
    shop: FakeWooCommerce, woo: WooCommerce
) -> None:
    shop.plugin = "/wc-shipment-tracking/v3"
    number = shop.order(("A1", 2), ("B2", 1))
    refusal = Reply(400, b'{"code": "x", "message": "Invalid tracking number"}')
    shop.net.before = lambda call: refusal if call.path.endswith("/shipment-trackings") and call.body else None
    pushed = woo.push_shipment(parcel(str(number), "BAD", ("A1", 2)))
    assert pushed.state == "conflict" and "Invalid tracking number" in pushed.text
    shop.net.before = lambda call: None
    assert woo.push_shipment(parcel(str(number), "SF2", ("B2", 1), no="P2")).state == "acknowledged"
    assert woo.order_state(str(number)) == "paid"  # two pieces are still to go
    assert woo.push_shipment(parcel(str(number), "SF1", ("A1", 2))).state == "acknowledged"
    assert shop.numbers(number) == ["SF2", "SF1"]
    assert woo.order_state(str(number)) == "shipped"


# Stock out


def test_stock_is_set_absolutely_on_the_product_or_the_variation(shop: FakeWooCommerce, woo: WooCommerce) -> None:
    simple, variation = shop.product("A1", 50), shop.product("B2/红 色&1", 9, parent=7)
    woo.push_stock("A1", 7)
    woo.push_stock("B2/红 色&1", 0)
    assert (simple["stock_quantity"], variation["stock_quantity"]) == (7, 0)
    assert woo.stock("A1") == 7


def test_an_item_the_shop_does_not_know_keeps_or_has_twice_is_for_a_person(
    shop: FakeWooCommerce, woo: WooCommerce
) -> None:
    shop.product("UNMANAGED", None)
    shop.product("TWICE", 1)
    shop.product("TWICE", 1)
    for sku, reason in (("NONE", "sku_unknown"), ("UNMANAGED", "no_stock_place"), ("TWICE", "sku_twice")):
        with pytest.raises(ConnectorError, match=sku) as told:
            woo.push_stock(sku, 1)
        assert (told.value.permanent, told.value.reason) == (True, reason)


# Faults


@pytest.mark.parametrize(
    ("reply", "permanent", "reason"),
    [
        (Reply(401, b'{"code": "woocommerce_rest_authentication_error", "message": "no"}'), True, "unauthorised"),
        (Reply(401, b'{"code": "woocommerce_rest_cannot_view", "message": "no"}'), True, "access_denied"),
        (Reply(404, b'{"code": "rest_no_route", "message": "no"}'), True, "refused"),
        (Reply(400, b'{"code": "rest_invalid_param", "message": "no"}'), True, "refused_here"),
        (Reply(404, b"<html>"), True, "refused"),
        (Reply(429, b"{}", {"Retry-After": "7"}), False, "busy"),
        (Reply(503, b"{}"), False, "shop_fault"),
        (Reply(200, b"<br />\n<b>Warning</b>: something in PHP"), False, "no_json"),
        (CUT, False, "offline"),
    ],
)
def test_each_fault_says_whether_to_try_again(
    shop: FakeWooCommerce, woo: WooCommerce, reply: Reply, permanent: bool, reason: str
) -> None:
    shop.net.before = lambda call: reply
    with pytest.raises(ConnectorError) as told:
        list(woo.fetch_orders(None))
    assert (told.value.permanent, told.value.reason) == (permanent, reason)


def test_no_secret_is_in_any_text(shop: FakeWooCommerce, woo: WooCommerce) -> None:
    said = {"code": "rest_x", "message": f"{shop.key} and {shop.secret} are no good"}
    shop.net.before = lambda call: Reply(400, json.dumps(said).encode())
    with pytest.raises(ConnectorError) as told:
        woo.push_stock("A1", 1)
    text = f"{told.value} {told.value.facts} {woo!r}"
    assert shop.secret not in text and shop.key not in text
    assert all(shop.secret not in f"{call.path} {call.raw_query} {call.headers}" for call in shop.net.calls)


def test_a_key_that_may_only_read_says_what_it_lacks(shop: FakeWooCommerce, woo: WooCommerce) -> None:
    shop.product("A1", 5)
    shop.may_write = False
    with pytest.raises(ConnectorError, match="read and write") as told:
        woo.push_stock("A1", 1)
    assert told.value.permanent


def test_a_wrong_secret_is_for_a_person(shop: FakeWooCommerce) -> None:
    with pytest.raises(ConnectorError) as told:
        list(connect(shop, secret="cs_old").fetch_orders(None))
    assert (told.value.permanent, told.value.reason) == (True, "unauthorised")
