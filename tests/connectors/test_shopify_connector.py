"""The Shopify connector against a double that enforces Shopify's contract on a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from tests.connectors.fake_shopify import PLACE, FakeShopify
from tests.connectors.parcels import parcel
from tests.connectors.shop_server import CUT, Call, LateAnswers, Reply
from wms.connectors import Connector, ConnectorError, ShopOrder, connector_for
from wms.connectors.shopify import OVERLAP, PAGE, Shopify

OTHER_PLACE = "gid://shopify/Location/2"


@pytest.fixture
def shop() -> Iterator[FakeShopify]:
    made = FakeShopify()
    with made.net.running():
        yield made


@pytest.fixture
def late() -> LateAnswers:
    return LateAnswers()


@pytest.fixture
def shopify(shop: FakeShopify, late: LateAnswers) -> Shopify:
    return connect(shop, late)


def connect(shop: FakeShopify, transport: httpx.BaseTransport | None = None, **settings: object) -> Shopify:
    made = Shopify.from_settings({"url": shop.net.url, "token": shop.token, **settings}, transport)

    def wait(seconds: float) -> None:
        shop.bucket += seconds * 100

    made.sleep = wait
    made.clock = lambda: shop.now
    return made


def once(word: str, reply: Reply) -> object:
    """A fault at the first call that asks for this."""
    left = [1]

    def fault(call: Call) -> Reply | None:
        return reply if word in json.loads(call.body)["query"] and left and left.pop() else None

    return fault


def one(shopify: Shopify) -> ShopOrder:
    (order,) = shopify.fetch_orders(None)
    return order


# Orders in


def test_it_is_a_connector_of_its_kind(shop: FakeShopify) -> None:
    made = connector_for("shopify", {"url": shop.net.url, "token": shop.token})
    assert isinstance(made, Shopify) and isinstance(made, Connector)
    assert made.grain == "package"


def test_a_paid_order_is_read_with_lines_recipient_notes_and_money(shop: FakeShopify, shopify: Shopify) -> None:
    placed = shop.order("#1001", ("A1", 2), ("B2", 1))
    placed["note"], placed["tags"] = "请放门卫", ["VIP", "易碎"]
    placed["customAttributes"] = [{"key": "gift", "value": "yes"}]
    placed["fos"][0]["fulfillBy"] = "2026-11-23T12:00:00Z"
    shop.order("#1002", ("A1", 1), paid="PENDING")
    order = one(shopify)
    assert (order.shop_order_no, order.state, order.currency, order.hold) == ("#1001", "paid", "USD", "")
    assert [(line.sku, line.qty, line.price_minor, line.cancelled) for line in order.lines] == [
        ("A1", 2, 1999, False),
        ("B2", 1, 1999, False),
    ]
    assert (order.buyer_note, order.seller_memo) == ("请放门卫\ngift: yes", "VIP, 易碎")
    assert (order.recipient.name, order.recipient.address) == ("张*", "**路 1 号")  # masked as it came
    assert order.ship_by is not None and order.ship_by.isoformat() == "2026-11-23T12:00:00+00:00"
    assert order.raw["lineItems"]["nodes"][0]["sku"] == "A1"


@pytest.mark.parametrize(
    ("price", "currency", "minor"),
    [("19.99", "USD", 1999), ("1200", "JPY", 1200), ("1.234", "KWD", 1234), ("0.1", "CNY", 10), ("8.115", "EUR", 812)],
)
def test_money_is_exact_in_the_minor_units_of_its_currency(
    shop: FakeShopify, shopify: Shopify, price: str, currency: str, minor: int
) -> None:
    shop.order("#1001", ("A1", 1), price=price, currency=currency)
    assert one(shopify).lines[0].price_minor == minor


@pytest.mark.parametrize(
    ("paid", "state"),
    [
        ("PAID", "paid"),
        ("PARTIALLY_REFUNDED", "paid"),
        ("PENDING", "other"),
        ("AUTHORIZED", "other"),
        ("EXPIRED", "other"),
        ("PARTIALLY_PAID", "other"),
        ("REFUNDED", "refunding"),
        ("VOIDED", "refunding"),
    ],
)
def test_each_state_of_the_money(shop: FakeShopify, shopify: Shopify, paid: str, state: str) -> None:
    shop.order("#1001", ("A1", 1), paid=paid)
    assert shopify.order_state("#1001") == state


def test_what_changed_comes_again_and_an_order_before_the_cursor_within_the_overlap_too(
    shop: FakeShopify, shopify: Shopify
) -> None:
    shop.order("#1001", ("A1", 1))
    shop.cancel("#1001")
    (order,) = shopify.fetch_orders(shop.now + OVERLAP)
    assert order.state == "cancelled" and all(line.cancelled for line in order.lines)
    assert list(shopify.fetch_orders(shop.now + OVERLAP + timedelta(seconds=1))) == []


def test_pages_that_shift_while_they_are_read_lose_nothing(shop: FakeShopify, shopify: Shopify) -> None:
    for number in range(2 * PAGE + 30):
        shop.now += timedelta(seconds=number % 2)
        shop.order(f"#{number}", ("A1", 1))
    start, seen = shop.now - timedelta(hours=1), []
    for order in shopify.fetch_orders(start):
        seen.append(order.shop_order_no)
        if len(seen) in (40, 80, 150):
            shop.now += timedelta(seconds=1)
            shop.touch(f"#{len(seen) // 2}")
    assert set(seen) == set(shop.orders)


def test_an_order_of_more_lines_than_a_page_comes_whole(shop: FakeShopify, shopify: Shopify) -> None:
    shop.order("#1001", *((f"S{number}", 1) for number in range(170)))
    order = one(shopify)
    assert len(order.lines) == 170 and not any(line.cancelled for line in order.lines)
    inside = tuple((line.line_ref, line.sku, line.qty) for line in order.lines)
    assert shopify.push_shipment(replace(parcel("#1001", "SF1"), lines=inside)).state == "acknowledged"
    assert shopify.push_shipment(replace(parcel("#1001", "SF1"), lines=inside)).state == "acknowledged"
    assert shop.live("#1001") == [("SF1", 170)]


def test_refunded_pieces_are_not_picked(shop: FakeShopify, shopify: Shopify) -> None:
    shop.order("#1001", ("A1", 3), ("B2", 1))
    shop.refund("#1001", "A1", 1)
    shop.refund("#1001", "B2", 1)
    order = one(shopify)
    assert order.state == "paid"
    assert [(line.sku, line.qty, line.cancelled) for line in order.lines] == [("A1", 2, False), ("B2", 1, True)]


@pytest.mark.parametrize(("status", "why"), [("ON_HOLD", "paused"), ("SCHEDULED", "not_yet"), ("INCOMPLETE", "paused")])
def test_a_fulfilment_order_on_hold_holds_the_order(shop: FakeShopify, shopify: Shopify, status: str, why: str) -> None:
    shop.order("#1001", ("A1", 1))
    shop.hold("#1001", status)
    order = one(shopify)
    assert (order.state, order.hold) == ("paid", why)
    pushed = shopify.push_shipment(parcel("#1001", "SF1", ("A1", 1)))
    assert (pushed.state, shop.live("#1001")) == ("conflict", [])
    assert "on hold" in pushed.text


def test_pieces_at_another_location_are_not_ours(shop: FakeShopify) -> None:
    shop.places.append(OTHER_PLACE)
    shop.order("#1001", ("A1", 1), ("B2", 1), place={"A1": PLACE, "B2": OTHER_PLACE})
    shop.order("#1002", ("B2", 1), place=OTHER_PLACE)
    here = connect(shop, location="1")
    orders = {order.shop_order_no: order for order in here.fetch_orders(None)}
    assert [line.cancelled for line in orders["#1001"].lines] == [False, True]
    assert orders["#1002"].state == "other"


def test_a_gift_card_is_a_service(shop: FakeShopify, shopify: Shopify) -> None:
    shop.order("#1001", ("A1", 1), ("CARD", 1))["lines"][1]["requiresShipping"] = False
    assert [line.kind for line in one(shopify).lines] == ["goods", "service"]


def test_an_order_that_cannot_be_read_does_not_stop_the_others(shop: FakeShopify, shopify: Shopify) -> None:
    shop.order("#1001", ("A1", 1), price="free")
    shop.order("#1002", ("A1", 1))
    bad, good = shopify.fetch_orders(None)
    assert (bad.shop_order_no, bad.state, bad.hold, bad.lines) == ("#1001", "paid", "unreadable", ())
    assert bad.raw["name"] == "#1001"
    assert good.state == "paid"


def test_a_full_bucket_pauses_a_pull_and_loses_nothing(shop: FakeShopify, shopify: Shopify) -> None:
    shop.order("#1001", ("A1", 1))
    shop.order("#1002", ("A1", 1))
    shop.bucket = 10
    assert len(list(shopify.fetch_orders(None))) == 2


def test_a_full_bucket_sends_the_floor_away_at_once_with_the_time_to_wait(shop: FakeShopify, shopify: Shopify) -> None:
    shop.order("#1001", ("A1", 1))
    shop.bucket = 0
    with pytest.raises(ConnectorError) as told:
        shopify.order_state("#1001")
    assert (told.value.permanent, told.value.reason) == (False, "busy")
    assert told.value.retry_after_s == 0.5


# Shipments out


def test_a_shipment_arrives_with_its_number_and_repeating_it_changes_nothing(
    shop: FakeShopify, shopify: Shopify
) -> None:
    shop.order("#1001", ("A1", 2), ("B2", 1))
    for _ in range(3):
        pushed = shopify.push_shipment(parcel("#1001", "SF1", ("A1", 2), ("B2", 1)))
        assert pushed.state == "acknowledged" and "SF1" in pushed.text
    assert shop.live("#1001") == [("SF1", 3)]
    assert shop.mails == ["SF1"]
    assert shopify.order_state("#1001") == "shipped"


def test_the_carrier_has_the_name_it_has_there_and_no_mail_goes_where_none_is_wanted(shop: FakeShopify) -> None:
    shop.order("#1001", ("A1", 1))
    connect(shop, carriers={"SF": "SF Express"}, notify=False).push_shipment(parcel("#1001", "SF1", ("A1", 1)))
    assert shop.orders["#1001"]["sent"][0]["numbers"] == [{"company": "SF Express", "number": "SF1"}]
    assert shop.mails == []


def test_two_parcels_of_one_line_ship_their_own_pieces(shop: FakeShopify, shopify: Shopify) -> None:
    shop.order("#1001", ("A1", 5))
    assert shopify.push_shipment(parcel("#1001", "SF1", ("A1", 2))).state == "acknowledged"
    order = one(shopify)
    assert (order.state, order.lines[0].qty) == ("paid", 3)
    assert shopify.push_shipment(parcel("#1001", "SF2", ("A1", 3), no="P2")).state == "acknowledged"
    assert shop.live("#1001") == [("SF1", 2), ("SF2", 3)]
    assert shopify.order_state("#1001") == "shipped"


def test_a_parcel_from_two_locations_is_one_fulfilment_for_each(shop: FakeShopify, shopify: Shopify) -> None:
    shop.places.append(OTHER_PLACE)
    shop.order("#1001", ("A1", 1), ("B2", 2), place={"A1": PLACE, "B2": OTHER_PLACE})
    assert shopify.push_shipment(parcel("#1001", "SF1", ("A1", 1), ("B2", 2))).state == "acknowledged"
    assert shop.live("#1001") == [("SF1", 1), ("SF1", 2)]


def test_the_second_location_is_made_good_when_only_the_first_was_done(shop: FakeShopify, shopify: Shopify) -> None:
    shop.places.append(OTHER_PLACE)
    shop.order("#1001", ("A1", 1), ("B2", 2), place={"A1": PLACE, "B2": OTHER_PLACE})
    shop.net.after = once("fulfillmentCreate", CUT)  # type: ignore[assignment]
    with pytest.raises(ConnectorError):
        shopify.push_shipment(parcel("#1001", "SF1", ("A1", 1), ("B2", 2)))
    assert shop.live("#1001") == [("SF1", 1)]
    assert shopify.push_shipment(parcel("#1001", "SF1", ("A1", 1), ("B2", 2))).state == "acknowledged"
    assert shop.live("#1001") == [("SF1", 1), ("SF1", 2)]


def test_an_answer_cut_off_after_the_shop_did_it_is_read_back_at_once(shop: FakeShopify, shopify: Shopify) -> None:
    shop.order("#1001", ("A1", 5))
    shop.net.after = once("fulfillmentCreate", CUT)  # type: ignore[assignment]
    assert shopify.push_shipment(parcel("#1001", "SF1", ("A1", 2))).state == "acknowledged"
    assert shop.live("#1001") == [("SF1", 2)]


def test_an_answer_that_comes_too_late_is_read_back_at_once(
    shop: FakeShopify, shopify: Shopify, late: LateAnswers
) -> None:
    shop.order("#1001", ("A1", 5))
    late.late = lambda request: b"fulfillmentCreate" in request.content
    assert shopify.push_shipment(parcel("#1001", "SF1", ("A1", 2))).state == "acknowledged"
    assert shop.live("#1001") == [("SF1", 2)]


def test_a_call_that_never_arrived_is_tried_again_later_and_done_once(shop: FakeShopify, shopify: Shopify) -> None:
    shop.order("#1001", ("A1", 5))
    shop.net.before = once("fulfillmentCreate", CUT)  # type: ignore[assignment]
    with pytest.raises(ConnectorError) as told:
        shopify.push_shipment(parcel("#1001", "SF1", ("A1", 2)))
    assert not told.value.permanent
    assert shopify.push_shipment(parcel("#1001", "SF1", ("A1", 2))).state == "acknowledged"
    assert shop.live("#1001") == [("SF1", 2)]


def test_already_sent_is_success_only_with_our_own_number(shop: FakeShopify, shopify: Shopify) -> None:
    shop.order("#1001", ("A1", 2))
    shop.fulfil_by_hand("#1001", "OTHER-9")
    pushed = shopify.push_shipment(parcel("#1001", "SF1", ("A1", 2)))
    assert pushed.state == "conflict"
    assert "OTHER-9" in pushed.text and "SF1" in pushed.text
    shop.order("#1002", ("A1", 2))
    shop.fulfil_by_hand("#1002", " sf2 ")
    assert shopify.push_shipment(parcel("#1002", "SF2", ("A1", 2))).state == "acknowledged"
    assert shop.live("#1002") == [(" sf2 ", 2)]


def test_a_race_lost_between_reading_and_pushing_is_told_by_what_the_shop_holds(
    shop: FakeShopify, shopify: Shopify
) -> None:
    shop.order("#1001", ("A1", 2))

    def overtake(call: Call) -> None:
        if b"fulfillmentCreate" in call.body:
            shop.fulfil_by_hand("#1001", "OTHER-9")

    shop.net.before = overtake
    pushed = shopify.push_shipment(parcel("#1001", "SF1", ("A1", 2)))
    assert pushed.state == "conflict"
    assert pushed.evidence["others"] == "OTHER-9"
    assert "unfulfillable status" in pushed.text  # the userErrors that came with HTTP 200


def test_two_pushes_of_one_parcel_at_once_leave_one(shop: FakeShopify, shopify: Shopify) -> None:
    shop.order("#1001", ("A1", 9))
    twice = [1]

    def twin(call: Call) -> None:
        if b"fulfillmentCreate" in call.body and twice:
            twice.pop()
            shop.fulfil_by_hand("#1001", "SF1", A1=2)

    shop.net.before = twin
    assert shopify.push_shipment(parcel("#1001", "SF1", ("A1", 2))).state == "acknowledged"
    assert shop.live("#1001") == [("SF1", 2)]


@pytest.mark.parametrize("how", ["cancelled", "refunding"])
def test_money_given_back_between_pull_and_push_is_a_conflict(shop: FakeShopify, shopify: Shopify, how: str) -> None:
    shop.order("#1001", ("A1", 2))
    if how == "cancelled":
        shop.cancel("#1001")
    else:
        shop.refund("#1001", "A1", 2)
    pushed = shopify.push_shipment(parcel("#1001", "SF1", ("A1", 2)))
    assert (pushed.state, shop.live("#1001")) == ("conflict", [])
    assert "Stop parcel P1" in pushed.text


def test_a_piece_refunded_between_pull_and_push_is_a_conflict(shop: FakeShopify, shopify: Shopify) -> None:
    shop.order("#1001", ("A1", 2))
    shop.refund("#1001", "A1", 1)
    pushed = shopify.push_shipment(parcel("#1001", "SF1", ("A1", 2)))
    assert (pushed.state, shop.live("#1001")) == ("conflict", [])
    assert "Compare the lines" in pushed.text


def test_an_order_whose_name_only_begins_so_is_not_taken_for_it(shop: FakeShopify, shopify: Shopify) -> None:
    shop.order("#10012", ("A1", 1))
    with pytest.raises(ConnectorError, match="#1001") as told:
        shopify.push_shipment(parcel("#1001", "SF1", ("A1", 1)))
    assert told.value.permanent
    shop.order('a "quoted" \\ name', ("A1", 1))
    assert shopify.order_state('a "quoted" \\ name') == "paid"


def test_a_wrong_number_is_corrected_only_where_the_shop_has_it(shop: FakeShopify, shopify: Shopify) -> None:
    shop.order("#1001", ("A1", 2))
    shopify.push_shipment(parcel("#1001", "WRONG", ("A1", 2)))
    right = parcel("#1001", "SF1", ("A1", 2))
    assert shopify.correct_shipment(right, "WRONG").state == "acknowledged"
    assert shop.live("#1001") == [("SF1", 2)]
    assert shopify.correct_shipment(right, "WRONG").state == "acknowledged"
    assert shopify.correct_shipment(parcel("#1001", "SF9", ("A1", 2)), "WRONG").state == "conflict"
    assert shop.live("#1001") == [("SF1", 2)]


# Stock out


def test_stock_is_set_absolutely_with_a_key_and_what_it_was(shop: FakeShopify, shopify: Shopify) -> None:
    item = shop.item("A1", 50)
    shop.item("A1-XL", 9)
    shopify.push_stock("A1", 7)
    assert item["levels"] == {PLACE: 7}
    assert shopify.stock("A1") == 7
    sent = json.loads(shop.net.calls[-2].body)["variables"]
    assert sent["key"] and sent["input"]["quantities"][0]["changeFromQuantity"] == 50


def test_stock_that_changed_in_between_is_read_again(shop: FakeShopify, shopify: Shopify) -> None:
    item = shop.item("A1", 50)
    sold = [1, 1]

    def sell(call: Call) -> None:
        if b"inventorySetQuantities" in call.body and sold:
            item["levels"][PLACE] -= sold.pop()

    shop.net.before = sell
    shopify.push_stock("A1", 7)
    assert item["levels"] == {PLACE: 7}
    sold[:] = [1] * 9
    with pytest.raises(ConnectorError) as told:
        shopify.push_stock("A1", 20)
    assert (told.value.permanent, told.value.reason) == (False, "stale")


def test_stock_whose_answer_was_lost_is_asked_again_under_the_same_key(shop: FakeShopify, shopify: Shopify) -> None:
    item = shop.item("A1", 50)

    def sold_after(call: Call) -> Reply | None:
        reply = lost(call)
        if reply:
            item["levels"][PLACE] -= 1  # a buyer between the two: the repeat must not undo it
        return reply

    lost = once("inventorySetQuantities", CUT)
    shop.net.after = sold_after
    shopify.push_stock("A1", 7)
    assert item["levels"] == {PLACE: 6}


def test_an_item_the_shop_does_not_know_keeps_or_has_twice_is_for_a_person(shop: FakeShopify, shopify: Shopify) -> None:
    shop.item("UNTRACKED", 0, tracked=False)
    shop.item("TWICE", 1)
    shop.item("TWICE", 1)
    for sku, reason in (("NONE", "sku_unknown"), ("UNTRACKED", "no_stock_place"), ("TWICE", "sku_twice")):
        with pytest.raises(ConnectorError, match=sku) as told:
            shopify.push_stock(sku, 1)
        assert (told.value.permanent, told.value.reason) == (True, reason)


def test_of_several_locations_a_person_chooses(shop: FakeShopify, shopify: Shopify) -> None:
    shop.places.append(OTHER_PLACE)
    shop.item("A1", 5)
    with pytest.raises(ConnectorError) as told:
        shopify.push_stock("A1", 1)
    assert (told.value.permanent, told.value.reason) == (True, "which_location")
    connect(shop, location="2").push_stock("A1", 1)
    assert shop.items[0]["levels"] == {PLACE: 5, OTHER_PLACE: 1}


def test_a_negative_stock_is_refused_in_the_shops_words(shop: FakeShopify, shopify: Shopify) -> None:
    shop.item("A1", 5)
    with pytest.raises(ConnectorError, match="negative") as told:
        shopify.push_stock("A1", -1)
    assert told.value.permanent


# Faults


@pytest.mark.parametrize(
    ("reply", "permanent", "reason"),
    [
        (Reply(401, b'{"errors": "no"}'), True, "unauthorised"),
        (Reply(402, b'{"errors": "Payment Required"}'), True, "refused"),
        (Reply(429, b"{}", {"Retry-After": "2.0"}), False, "busy"),
        (Reply(500, b"{}"), False, "shop_fault"),
        (Reply(200, b"<html>"), False, "no_json"),
        (Reply(200, b"[]"), False, "graphql"),
        (Reply(200, b'{"errors": "Not Found"}'), True, "graphql"),
        (CUT, False, "offline"),
    ],
)
def test_each_fault_says_whether_to_try_again(
    shop: FakeShopify, shopify: Shopify, reply: Reply, permanent: bool, reason: str
) -> None:
    shop.net.before = lambda call: reply
    with pytest.raises(ConnectorError) as told:
        shopify.order_state("#1001")
    assert (told.value.permanent, told.value.reason) == (permanent, reason)


@pytest.mark.parametrize(
    ("code", "permanent", "reason"),
    [
        ("ACCESS_DENIED", True, "access_denied"),
        ("SHOP_INACTIVE", True, "shop_inactive"),
        ("INTERNAL_SERVER_ERROR", False, "graphql"),
        ("MAX_COST_EXCEEDED", True, "graphql"),
        ("undefinedField", True, "graphql"),
    ],
)
def test_each_code_inside_an_answer_says_whether_to_try_again_and_no_key_is_in_the_text(
    shop: FakeShopify, shopify: Shopify, code: str, permanent: bool, reason: str
) -> None:
    said = {"errors": [{"message": f"no, {shop.token}", "extensions": {"code": code}}]}
    shop.net.before = lambda call: Reply(200, json.dumps(said).encode())
    with pytest.raises(ConnectorError) as told:
        shopify.order_state("#1001")
    assert (told.value.permanent, told.value.reason) == (permanent, reason)
    assert shop.token not in f"{told.value} {told.value.facts} {shopify!r}"


def test_a_key_that_may_not_change_stock_names_the_permission(shop: FakeShopify, shopify: Shopify) -> None:
    shop.item("A1", 5)
    shop.denied.add("inventorySetQuantities")
    with pytest.raises(ConnectorError, match="write_inventory") as told:
        shopify.push_stock("A1", 1)
    assert told.value.reason == "access_denied"


def test_a_wrong_key_is_for_a_person(shop: FakeShopify) -> None:
    with pytest.raises(ConnectorError) as told:
        list(connect(shop, token="shpat-old").fetch_orders(None))
    assert (told.value.permanent, told.value.reason) == (True, "unauthorised")
    assert "shpat-old" not in str(told.value)


def test_a_key_is_never_sent_in_the_clear() -> None:
    with pytest.raises(ConnectorError, match="https") as told:
        Shopify.from_settings({"url": "http://shop.myshopify.com", "token": "hush"})
    assert told.value.permanent and "hush" not in str(told.value)
