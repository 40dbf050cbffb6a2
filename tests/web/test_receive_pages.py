"""Receive as the dock sees it: a purchase order, lots, damage, too much, too little, and blind (R17, R18)."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from tests.floor import Floor, Hand
from wms.flows import receive
from wms.models import Balance, Condition, Item, Receipt, ReceiptState


@pytest.fixture
def dock(floor: Floor) -> Floor:
    rows = [floor.item("A1", "6901234567892", case=("A1CASE", 12)), floor.item("MILK", "04006381333931", lots=True)]
    floor.item("C3")
    with floor.database.transaction(floor.actor()) as session:
        items = [session.get_one(Item, row.id) for row in rows]
        receive.add_purchase_order(session, "PO-7", "Supplier", [(items[0], 20), (items[1], 6)], over_percent=10)
    return floor


def at_dock(dock: Floor, name: str = "picker") -> Hand:
    hand = dock.hand(name)
    hand.get("/receive")
    hand.scan("R-PO-7")
    hand.sees("receive/scan_item", "PO-7", "0 / 26 pieces")
    return hand


def book(hand: Hand, qty: int, **more: str) -> str:
    item = re.search(r'name="item" value="(\d+)"', hand.page)
    assert item, hand.text()
    return hand.press("/book", item=item[1], qty=str(qty), **more)


def on_dock(dock: Floor) -> dict[tuple[str, str, Condition], int]:
    with dock.database.reading() as session:
        return {
            (sku, lot, condition): qty
            for sku, lot, condition, qty in session.execute(
                select(Item.sku, Balance.lot, Balance.condition, Balance.on_hand)
                .join(Item, Item.id == Balance.item_id)
                .where(Balance.on_hand > 0)
            )
        }


def test_the_same_barcode_twice_is_two_pieces_and_a_case_its_content(dock: Floor) -> None:
    hand = at_dock(dock)
    hand.scan("6901234567892")
    hand.scan("6901234567892")
    assert 'value="2"' in hand.page
    hand.scan("A1CASE")
    assert 'value="14"' in hand.page
    hand.get("/receive")
    hand.sees("receive/enter_qty", "A1")
    book(hand, 14)
    hand.sees("receive/scan_item", "14 / 26 pieces", "14 × A1")
    assert on_dock(dock) == {("A1", "", Condition.GOOD): 14}
    hand.press("/undo")
    hand.sees("receive/scan_item", "0 / 26 pieces")
    assert on_dock(dock) == {}
    dock.books_are_right()


def test_another_item_scanned_before_booking_is_said_loudly(dock: Floor) -> None:
    hand = at_dock(dock)
    hand.scan("A1CASE")
    hand.scan("4006381333931")
    assert hand.feeling == "look" and "A1 was laid aside. Nothing of it was booked." in hand.said
    assert on_dock(dock) == {}


def test_a_lot_is_asked_for_and_what_was_typed_stays(dock: Floor) -> None:
    hand = at_dock(dock)
    hand.scan("4006381333931")
    book(hand, 3)
    assert hand.status == 422 and "needs a lot" in hand.said
    book(hand, 3, lot="L77", expiry="31.3.2027")
    assert hand.status == 422 and 'value="L77"' in hand.page
    book(hand, 3, lot="L77", expiry="2027-03-31")
    hand.scan("(01)04006381333931(17)270331(10)L77(37)3")
    assert all(f'value="{value}"' in hand.page for value in ("L77", "2027-03-31", "3"))
    book(hand, 3)
    assert on_dock(dock) == {("MILK", "L77", Condition.GOOD): 6}


def test_more_than_the_allowance_is_refused_and_damage_is_kept_apart(dock: Floor) -> None:
    hand = at_dock(dock)
    hand.scan("6901234567892")
    book(hand, 23)
    assert hand.status == 422 and "Only 22 more of A1" in hand.said
    book(hand, 2, damaged="1")
    assert on_dock(dock) == {("A1", "", Condition.DAMAGED): 2}
    hand.scan("C3")
    assert hand.status == 422 and "not on purchase order PO-7" in hand.said


def test_short_is_a_question_and_both_answers_are_kept(dock: Floor) -> None:
    hand = at_dock(dock)
    hand.scan("A1CASE")
    book(hand, 12)
    path = re.search(r'href="(/receive/\d+/finish)"', hand.page)
    assert path
    for _reload in range(2):
        hand.get(path[1])
        hand.sees("receive/finish", "Pieces still missing: 14", "The rest is still to come", "Close it as it is")
    hand.press("/close", rest="to_come")
    hand.sees("receive/choose", "PO-7")
    hand.scan("PO-7")
    hand.get(path[1])
    hand.press("/close", rest="none")
    hand.sees("receive/choose", "No purchase order is expected.")
    with dock.database.reading() as session:
        assert session.execute(select(Receipt.state)).scalar_one() is ReceiptState.DONE


def test_two_receive_one_order_and_the_second_is_told_when_it_is_closed(dock: Floor) -> None:
    one, two = at_dock(dock), at_dock(dock, "second picker")
    one.scan("6901234567892")
    book(one, 12)
    two.scan("6901234567892")
    book(two, 11)
    assert two.status == 422 and "Only 10 more" in two.said
    book(two, 10)
    two.sees("receive/scan_item", "22 / 26 pieces")
    one.get(re.search(r'href="(/receive/\d+/finish)"', one.page)[1])  # type: ignore[index]
    one.press("/close", rest="none")
    two.scan("6901234567892")
    assert two.status == 409
    two.sees("receive/choose")
    dock.books_are_right()


def test_the_same_booking_sent_twice_books_once(dock: Floor) -> None:
    hand = at_dock(dock)
    hand.scan("6901234567892")
    path, item = hand.form("/book"), re.search(r'name="item" value="(\d+)"', hand.page)
    assert item
    first = hand.act(path, "11111111-1111-4111-8111-111111111111", item=item[1], qty="5")
    assert hand.act(path, "11111111-1111-4111-8111-111111111111", item=item[1], qty="5") == first
    assert on_dock(dock) == {("A1", "", Condition.GOOD): 5}


def test_goods_that_nobody_announced_are_received_blind(dock: Floor) -> None:
    hand = dock.hand("picker")
    hand.get("/receive")
    hand.press("/receive/blind")
    hand.sees("receive/scan_item", "Without an order")
    hand.scan("C3")
    book(hand, 4)
    hand.sees("receive/scan_item", "4 × C3")
    assert on_dock(dock) == {("C3", "", Condition.GOOD): 4}
