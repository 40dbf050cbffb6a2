"""Receive: on a purchase order or blind, inside the allowance, by lot, undone by a reverse move (R15, R17, R18)."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy import select

from tests import ways
from tests.floor import Floor, Hand
from tests.flows.steps import refused, sent_again
from wms.flows import receive
from wms.models import Condition, Item, Lot, Receipt, ReceiptLine, ReceiptState, ReceiveWork, StockMove

EAN, TEA = "6901234567892", "6901234567908"
GTIN = "0" + TEA


@pytest.fixture
def expected(floor: Floor) -> Floor:
    """PO-1: ten A1 with a tenth more allowed, five T1 kept by lot."""
    a1 = floor.item("A1", EAN, case=("A1CASE", 6))
    t1 = floor.item("T1", TEA, lots=True)
    floor.item("X9")
    with floor.database.transaction(floor.actor()) as session:
        receive.add_purchase_order(session, "PO-1", "Supplier", [(a1, 10), (t1, 5)], over_percent=10)
    return floor


def receipt(floor: Floor) -> Receipt:
    with floor.database.reading() as session:
        return session.execute(select(Receipt).order_by(Receipt.id.desc()).limit(1)).scalar_one()


def begin(floor: Floor, name: str = "picker") -> tuple[Hand, str]:
    hand = floor.hand(name)
    hand.act("/receive/find", code="R-PO-1")
    hand.sees("receive/scan_item")
    return hand, f"/receive/{receipt(floor).id}"


def book(floor: Floor, hand: Hand, path: str, sku: str, **fields: str) -> str:
    with floor.database.reading() as session:
        item = session.execute(select(Item.id).where(Item.sku == sku)).scalar_one()
    return hand.act(f"{path}/book", item=str(item), **fields)


def received(floor: Floor, sku: str) -> int:
    with floor.database.reading() as session:
        return session.execute(
            select(ReceiptLine.received).join(Item, Item.id == ReceiptLine.item_id).where(Item.sku == sku)
        ).scalar_one()


def test_a_purchase_order_is_found_by_its_code_and_begun(expected: Floor) -> None:
    hand = expected.hand("picker")
    refused(expected, hand, "/receive/find", "Nobody knows the code R-PO-9", "look", code="R-PO-9")
    refused(expected, hand, "/receive/find", "Scan a purchase order. A1 is an item.", code="A1")
    for nonsense in ("", "x", "77", "9" * 30):
        refused(expected, hand, "/receive/start", "The purchase order does not exist", status=404, receipt=nonsense)
    sent_again(expected, hand, "/receive/find", code="po-1")
    hand.sees("receive/scan_item", "PO-1")
    assert receipt(expected).state is ReceiptState.RECEIVING


def test_an_item_that_was_not_ordered_is_laid_aside(expected: Floor) -> None:
    """R17."""
    hand, path = begin(expected)
    refused(expected, hand, f"{path}/scan", "X9 is not on purchase order PO-1.", "look", code="X9")
    refused(expected, hand, f"{path}/scan", "Nobody knows the code", "look", code="4000000000006")
    refused(expected, hand, f"{path}/scan", "Scan an item.", code="T-001")


def test_scanning_books_nothing_and_booking_books_once(expected: Floor) -> None:
    """R10–R12, R15: two pieces and a case of six are eight."""
    hand, path = begin(expected)
    sent_again(expected, hand, f"{path}/scan", code=EAN)
    hand.act(f"{path}/scan", code=EAN)
    hand.act(f"{path}/scan", code="A1CASE")
    assert 'value="8"' in hand.page
    assert ways.held(expected, "A1", "DOCK-01") == (0, 0)
    with expected.database.reading() as session:
        item = str(session.execute(select(Item.id).where(Item.sku == "A1")).scalar_one())
    sent_again(expected, hand, f"{path}/book", item=item, qty="8")
    hand.sees("receive/scan_item", "8 × A1")
    assert (ways.held(expected, "A1", "DOCK-01"), received(expected, "A1")) == ((8, 0), 8)
    with expected.database.reading() as session:
        move = session.execute(select(StockMove)).scalar_one()
        assert move.cause.startswith("receipt_line:") and move.operator_id == expected.operator_id("picker")
    expected.books_are_right()


@pytest.mark.parametrize("entered", ["0", "-1", "", "x", "1.5", "100001", "٣", "²"])
def test_a_number_that_is_none_is_refused(expected: Floor, entered: str) -> None:
    hand, path = begin(expected)
    hand.act(f"{path}/scan", code=EAN)
    with expected.database.reading() as session:
        item = str(session.execute(select(Item.id).where(Item.sku == "A1")).scalar_one())
    refused(expected, hand, f"{path}/book", "is not a quantity", item=item, qty=entered)
    hand.sees("receive/enter_qty")


def test_over_receipt_only_inside_the_allowance(expected: Floor) -> None:
    """R17: eleven of ten, not twelve."""
    hand, path = begin(expected)
    hand.act(f"{path}/scan", code=EAN)
    book(expected, hand, path, "A1", qty="12")
    assert hand.status == 422 and "Only 11 more of A1 may be received on PO-1." in hand.said
    book(expected, hand, path, "A1", qty="11")
    hand.act(f"{path}/scan", code=EAN)
    book(expected, hand, path, "A1", qty="1")
    assert hand.status == 422 and "Only 0 more of A1" in hand.said
    assert received(expected, "A1") == 11
    expected.books_are_right()


def test_damage_goes_to_its_own_condition_and_is_never_sold(expected: Floor) -> None:
    """R17, R5."""
    hand, path = begin(expected)
    hand.act(f"{path}/scan", code=EAN)
    book(expected, hand, path, "A1", qty="3", damaged="1")
    assert hand.feeling == "look" and "3 booked as damaged" in hand.said
    with expected.database.reading() as session:
        assert session.execute(select(StockMove.to_condition)).scalar_one() is Condition.DAMAGED
    assert expected.release(expected.order("SO-1", ("A1", 1)))[0].short == {"A1": 1}
    expected.books_are_right()


@pytest.mark.parametrize(
    "codes",
    [
        (f"01{GTIN}1730123110L1",),
        (f"(01){GTIN}(10)L1(17)301231",),
        (TEA, "]C110L1\x1d17301231"),
        (f"01{GTIN}", "(17)301231(10)L1"),
        (f"]C101{GTIN}10L1", f"]C101{GTIN}10L1\x1d17301231"),
    ],
    ids=["one code", "typed", "two codes", "two codes, lot typed", "the same lot again"],
)
def test_lot_and_expiry_come_from_one_code_or_two(expected: Floor, codes: tuple[str, ...]) -> None:
    """R9, R15."""
    hand, path = begin(expected)
    for code in codes:
        hand.act(f"{path}/scan", code=code)
        assert hand.status == 200, hand.said
    assert 'value="L1"' in hand.page and 'value="2030-12-31"' in hand.page
    book(expected, hand, path, "T1", qty="2", lot="L1", expiry="2030-12-31")
    assert ways.held(expected, "T1", "DOCK-01", "L1") == (2, 0)
    with expected.database.reading() as session:
        assert session.execute(select(Lot.expiry)).scalar_one() == date(2030, 12, 31)
    expected.books_are_right()


def test_the_quantity_may_stand_in_the_code(expected: Floor) -> None:
    """R15: (37)."""
    hand, path = begin(expected)
    hand.act(f"{path}/scan", code=f"02{GTIN}374\x1d10L1")
    assert 'value="4"' in hand.page and 'value="L1"' in hand.page


def test_pieces_counted_before_the_lot_was_read_are_not_forgotten(expected: Floor) -> None:
    """R11, R15: three were scanned by their EAN, then the lot's code alone."""
    hand, path = begin(expected)
    for code in (TEA, TEA, TEA, "]C110L1"):
        hand.act(f"{path}/scan", code=code)
    assert 'value="3"' in hand.page and 'value="L1"' in hand.page


def test_a_lot_is_needed_and_its_date_is_one(expected: Floor) -> None:
    hand, path = begin(expected)
    hand.act(f"{path}/scan", code=TEA)
    with expected.database.reading() as session:
        item = str(session.execute(select(Item.id).where(Item.sku == "T1")).scalar_one())
    refused(expected, hand, f"{path}/book", "T1 needs a lot.", "look", item=item, qty="1", lot=" ")
    refused(
        expected, hand, f"{path}/book", "31.12.2030 is not a date.", item=item, qty="1", lot="L1", expiry="31.12.2030"
    )
    hand.act(f"{path}/book", item=item, qty="1", lot="L1", expiry="2030-12-31")
    hand.act(f"{path}/scan", code=TEA)
    refused(
        expected,
        hand,
        f"{path}/book",
        "Lot L1 of T1 is known with expiry 2030-12-31, not 2031-12-31.",
        "look",
        item=item,
        qty="1",
        lot="L1",
        expiry="2031-12-31",
    )
    expected.books_are_right()


def test_a_booking_is_undone_once_and_only_while_the_goods_stand_there(expected: Floor) -> None:
    """R1."""
    hand, path = begin(expected)
    refused(expected, hand, f"{path}/undo", "There is nothing to undo here.", "look")
    hand.act(f"{path}/scan", code=EAN)
    book(expected, hand, path, "A1", qty="5")
    sent_again(expected, hand, f"{path}/undo")
    assert (ways.held(expected, "A1", "DOCK-01"), received(expected, "A1")) == ((0, 0), 0)
    refused(expected, hand, f"{path}/undo", "There is nothing to undo here.", "look")
    hand.act(f"{path}/scan", code=EAN)
    book(expected, hand, path, "A1", qty="5")
    other = expected.hand("second picker")
    other.act("/putaway/scan", code=EAN)
    other.act("/putaway/scan", code="L-A-01-01-1")
    refused(expected, hand, f"{path}/undo", "Not enough of A1 at DOCK-01: 5 wanted, 0 free.", "look")
    expected.books_are_right()


def test_two_people_receive_one_document(expected: Floor) -> None:
    """R18: each at their own item; closing ends both, and the other is told."""
    first, path = begin(expected)
    second, _ = begin(expected, "second picker")
    first.act(f"{path}/scan", code=EAN)
    second.act(f"{path}/scan", code=TEA)
    book(expected, second, path, "T1", qty="5", lot="L1")
    book(expected, first, path, "A1", qty="10")
    second.act(f"{path}/scan", code=EAN)
    sent_again(expected, first, f"{path}/close", rest="none")
    assert receipt(expected).state is ReceiptState.DONE
    second.act(f"{path}/scan", code=EAN)
    assert second.status == 409 and "changed by somebody else" in second.said
    with expected.database.reading() as session:
        assert session.execute(select(ReceiveWork)).first() is None
    expected.books_are_right()


def test_short_is_a_question_and_the_rest_may_stay_open(expected: Floor) -> None:
    """R17."""
    hand, path = begin(expected)
    hand.act(f"{path}/scan", code=EAN)
    book(expected, hand, path, "A1", qty="4")
    hand.get(f"{path}/finish")
    hand.sees("receive/finish", "Pieces still missing: 11")
    sent_again(expected, hand, f"{path}/close", rest="to_come")
    hand.sees("receive/choose", "PO-1")
    assert receipt(expected).state is ReceiptState.RECEIVING
    again, _ = begin(expected, "second picker")
    again.act(f"{path}/scan", code=EAN)
    book(expected, again, path, "A1", qty="6")
    assert received(expected, "A1") == 10


def test_goods_nobody_announced_are_received_blind(expected: Floor) -> None:
    """R17."""
    hand = expected.hand("picker")
    sent_again(expected, hand, "/receive/blind")
    hand.sees("receive/scan_item", "Without an order")
    path = f"/receive/{receipt(expected).id}"
    hand.act(f"{path}/scan", code="X9")
    book(expected, hand, path, "X9", qty="500")
    assert ways.held(expected, "X9", "DOCK-01") == (500, 0)
    expected.books_are_right()


def test_a_form_of_another_receipt_or_item_does_not_book_here(expected: Floor) -> None:
    """A page left open: what it shows is not what is at hand any more."""
    hand, path = begin(expected)
    hand.act(f"{path}/scan", code=EAN)
    refused(expected, hand, f"{path}/book", "changed by somebody else", "look", status=409, item="999", qty="1")
    refused(expected, hand, "/receive/77/book", "The purchase order does not exist", status=404, item="1", qty="1")
    with expected.database.transaction(expected.actor()) as session:
        other = receive.add_purchase_order(session, "PO-2", "S", [])
    refused(expected, hand, f"/receive/{other.id}/scan", "changed by somebody else", "look", status=409, code=EAN)


def test_another_lot_of_the_same_item_does_not_silently_drop_what_was_counted(expected: Floor) -> None:
    """R13: two of L1 were scanned and not booked when L2 comes under the scanner."""
    hand, path = begin(expected)
    for _ in range(2):
        hand.act(f"{path}/scan", code=f"01{GTIN}10L1")
    hand.act(f"{path}/scan", code=f"01{GTIN}10L2")
    assert hand.feeling == "look" and "T1 L1 was laid aside. Nothing of it was booked." in hand.said
    assert 'value="1"' in hand.page and 'value="L2"' in hand.page
