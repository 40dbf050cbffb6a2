"""Put away: a place is suggested and only its scan moves the goods; another is asked once more (R20, R28, R1)."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy import select

from tests import ways
from tests.floor import Floor, Hand
from tests.flows.steps import refused, sent_again
from wms.flows import cancel, putaway
from wms.models import Condition, Item, LocationKind, MoveReason, Order, Parcel, StockMove

DOCK, NEAR, MIDDLE, FAR = "DOCK-01", "A-01-01-1", "A-01-02-1", "A-01-03-1"
SCAN = "/putaway/scan"


@pytest.fixture
def dock(floor: Floor) -> Floor:
    """Ten A1 stand on the dock; the same item stands at the middle place."""
    floor.item("A1", "6901234567892")
    floor.item("B2")
    floor.stock("A1", MIDDLE, 1)
    floor.stock("A1", DOCK, 10)
    return floor


def take(floor: Floor, code: str = "A1") -> Hand:
    hand = floor.hand("picker")
    hand.act(SCAN, code=code)
    hand.sees("putaway/scan_location")
    return hand


def suggested(floor: Floor, sku: str, qty: int = 1, lot: str = "", condition: Condition = Condition.GOOD) -> str:
    with floor.database.reading() as session:
        item = session.execute(select(Item).where(Item.sku == sku)).scalar_one()
        place = putaway.suggest(session, floor.warehouse_id, item, lot, condition, qty)
        return place.code if place else ""


def test_only_the_scan_of_the_shelf_moves_the_goods(dock: Floor) -> None:
    """R20, R10."""
    hand = dock.hand("picker")
    sent_again(dock, hand, SCAN, code="6901234567892")
    hand.sees("putaway/scan_location", "10 pieces")
    assert ways.held(dock, "A1", DOCK) == (10, 0)
    sent_again(dock, hand, SCAN, code=f"L-{MIDDLE}")
    assert (ways.held(dock, "A1", DOCK), ways.held(dock, "A1", MIDDLE)) == ((0, 0), (11, 0))
    with dock.database.reading() as session:
        move = session.execute(select(StockMove).where(StockMove.reason == MoveReason.PUTAWAY)).scalar_one()
        assert move.cause.startswith("putaway_work:") and move.operator_id == dock.operator_id("picker")
    dock.books_are_right()


def test_each_step_refuses_what_it_does_not_want(dock: Floor) -> None:
    hand = dock.hand("picker")
    refused(dock, hand, SCAN, "No B2 is waiting to be put away.", "look", code="B2")
    refused(dock, hand, SCAN, f"Scan an item. {NEAR} is a location.", code=f"L-{NEAR}")
    refused(dock, hand, SCAN, "Nobody knows the code", "look", code="NOBODY")
    refused(dock, hand, "/putaway/undo", "There is nothing to undo here.", "look")
    refused(dock, hand, "/putaway/qty", "Scan an item.", qty="1")
    hand.act(SCAN, code="A1")
    refused(dock, hand, SCAN, "Scan a location. A1 is an item.", code="A1")
    refused(dock, hand, SCAN, f"{DOCK} is not a shelf.", code=f"L-{DOCK}")
    refused(dock, hand, SCAN, "OUT-01 is not a shelf.", code="L-OUT-01")
    refused(dock, hand, SCAN, "Scan a location. 001 is a tote.", code="T-001")
    with dock.database.transaction(dock.actor()) as session:
        dock.place(session, FAR).blocked = True
    refused(dock, hand, SCAN, f"{FAR} is blocked.", code=f"L-{FAR}")
    for entered in ("0", "11", "x", "", "-1", "²"):
        refused(dock, hand, "/putaway/qty", "is not a quantity", qty=entered)
    hand.sees("putaway/scan_location")


def test_another_place_is_asked_once_more_and_then_taken(dock: Floor) -> None:
    """R20: a third place in between is asked anew."""
    hand = take(dock)
    sent_again(dock, hand, SCAN, code=f"L-{NEAR}")
    assert hand.feeling == "look" and f"Suggested was {MIDDLE}. Scan {NEAR} once more" in hand.said
    hand.act(SCAN, code=f"L-{FAR}")
    assert hand.feeling == "look" and f"Scan {FAR} once more" in hand.said
    assert ways.held(dock, "A1", DOCK) == (10, 0)
    hand.act(SCAN, code=f"L-{FAR}")
    assert ways.held(dock, "A1", FAR) == (10, 0)
    dock.books_are_right()


def test_only_some_go_to_this_shelf(dock: Floor) -> None:
    hand = take(dock)
    sent_again(dock, hand, "/putaway/qty", qty="4")
    hand.act(SCAN, code=f"L-{MIDDLE}")
    assert (ways.held(dock, "A1", DOCK), ways.held(dock, "A1", MIDDLE)) == ((6, 0), (5, 0))
    hand.act(SCAN, code="A1")
    hand.sees("putaway/scan_location", "6 pieces")


def test_undo_brings_them_back_once(dock: Floor) -> None:
    hand = take(dock)
    hand.act(SCAN, code=f"L-{MIDDLE}")
    sent_again(dock, hand, "/putaway/undo")
    assert (ways.held(dock, "A1", DOCK), ways.held(dock, "A1", MIDDLE)) == ((10, 0), (1, 0))
    refused(dock, hand, "/putaway/undo", "There is nothing to undo here.", "look")
    hand.act(SCAN, code="A1")
    hand.act(SCAN, code=f"L-{MIDDLE}")
    dock.release(dock.order("SO-1", ("A1", 5)))
    refused(dock, hand, "/putaway/undo", f"Not enough of A1 at {MIDDLE}: 10 wanted, 6 free.", "look")
    dock.books_are_right()


def test_two_people_who_took_the_same_goods_put_them_down_once(dock: Floor) -> None:
    first, second = take(dock), dock.hand("second picker")
    second.act(SCAN, code="A1")
    first.act(SCAN, code=f"L-{MIDDLE}")
    refused(dock, second, SCAN, f"Not enough of A1 at {DOCK}: 10 wanted, 0 free.", "look", code=f"L-{MIDDLE}")
    second.act("/putaway/let-go")
    second.sees("putaway/scan_item", "Nothing waits to be put away")
    dock.books_are_right()


def test_a_tote_with_an_order_goes_to_packing_not_to_the_shelf(dock: Floor) -> None:
    order = dock.order("SO-1", ("A1", 1))
    dock.release(order)
    ways.picked(dock, order)
    hand = dock.hand("packer")
    refused(dock, hand, SCAN, "Tote 001 holds an order.", code="T-001")
    parcel_id = ways.labelled(dock)
    with dock.database.reading() as session:
        code = session.get_one(Parcel, (dock.warehouse_id, parcel_id)).code
    refused(dock, hand, SCAN, f"Parcel {code} is not cancelled.", code=f"P-{code}")


def test_a_cancelled_orders_goods_come_back_from_tote_and_parcel(dock: Floor) -> None:
    """R28."""
    order = dock.order("SO-1", ("A1", 1))
    dock.release(order)
    ways.picked(dock, order)
    with dock.database.transaction(dock.actor()) as session:
        cancel.cancel(session, session.get_one(Order, (dock.warehouse_id, order)), "test")
    hand = dock.hand("picker")
    sent_again(dock, hand, SCAN, code="T-001")
    hand.sees("putaway/scan_item", "001")
    hand.act(SCAN, code="A1")
    hand.sees("putaway/scan_location", "1 pieces")  # the tote's one, not the dock's ten
    hand.act(SCAN, code=f"L-{MIDDLE}")
    if hand.feeling == "look":
        hand.act(SCAN, code=f"L-{MIDDLE}")
    assert (ways.held(dock, "A1", "001"), ways.held(dock, "A1", DOCK)) == ((0, 0), (10, 0))
    dock.books_are_right()


def test_the_fixed_place_comes_first_then_the_same_lot_then_an_empty_place(floor: Floor) -> None:
    """R20."""
    floor.item("A1")
    floor.item("T1", lots=True)
    assert suggested(floor, "A1") == NEAR, "empty, nearest on the walk"
    floor.stock("T1", NEAR, 1, "L1", date(2035, 1, 1))
    assert suggested(floor, "A1") == MIDDLE, "not onto other goods"
    assert suggested(floor, "T1", lot="L1") == NEAR
    assert suggested(floor, "T1", lot="L2") == MIDDLE, "R9: two lots in one place make every later pick slower"
    with floor.database.transaction(floor.actor()) as session:
        item = session.execute(select(Item.id).where(Item.sku == "A1")).scalar_one()
        floor.place(session, FAR).fixed_item_id = item
    assert suggested(floor, "A1") == FAR
    assert suggested(floor, "T1", lot="L3") != FAR
    with floor.database.transaction(floor.actor()) as session:
        floor.place(session, FAR).capacity = 5
    assert (suggested(floor, "A1", 5), suggested(floor, "A1", 6)) == (FAR, MIDDLE), "never past its capacity"
    with floor.database.transaction(floor.actor()) as session:
        floor.place(session, FAR).blocked = True
    assert suggested(floor, "A1") == MIDDLE
    assert suggested(floor, "A1", condition=Condition.DAMAGED) == "HOLD-01"


def test_when_no_place_fits_the_worker_chooses(floor: Floor) -> None:
    floor.item("A1")
    floor.item("B2")
    for place in (NEAR, MIDDLE, FAR, "A-02-01-1"):
        floor.stock("B2", place, 1)
    floor.stock("A1", DOCK, 2)
    assert suggested(floor, "A1") == ""
    hand = take(floor)
    hand.sees("putaway/scan_location", "No free location fits")
    hand.act(SCAN, code=f"L-{NEAR}")
    assert ways.held(floor, "A1", NEAR) == (2, 0), "nothing was suggested, so nothing is asked"
    with floor.database.reading() as session:
        assert floor.place(session, NEAR).kind is LocationKind.STORAGE
    floor.books_are_right()
