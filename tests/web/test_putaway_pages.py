"""Put away as the floor sees it: suggested, asked once more elsewhere, done only by scanning the place (R20)."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from tests.floor import Floor
from wms.models import Balance, Item, Location


@pytest.fixture
def waiting(floor: Floor) -> Floor:
    floor.item("A1", "6901234567892")
    floor.item("B2")
    floor.stock("A1", "A-01-02-1", 4)
    floor.stock("A1", "DOCK-01", 10)
    return floor


def standing(floor: Floor) -> dict[tuple[str, str], int]:
    with floor.database.reading() as session:
        return {
            (sku, code): qty
            for sku, code, qty in session.execute(
                select(Item.sku, Location.code, Balance.on_hand)
                .join(Item, Item.id == Balance.item_id)
                .join(Location, Location.id == Balance.location_id)
                .where(Balance.on_hand > 0)
            )
        }


def test_goods_go_where_the_same_item_stands_and_come_back_by_undo(waiting: Floor) -> None:
    hand = waiting.hand("picker")
    hand.get("/putaway")
    hand.sees("putaway/scan_item", "A1", "DOCK-01")
    hand.scan("6901234567892")
    hand.sees("putaway/scan_location", "A-01-02- 1", "10 pieces")
    hand.press("/putaway/qty", qty="11")
    assert hand.status == 422
    hand.press("/putaway/qty", qty="7")
    hand.get("/putaway")
    hand.sees("putaway/scan_location", "7 pieces")
    hand.scan("L-A-01-02-1")
    hand.sees("putaway/scan_item", "7 × A1 → A-01-02-1")
    assert standing(waiting) == {("A1", "A-01-02-1"): 11, ("A1", "DOCK-01"): 3}
    hand.press("/putaway/undo")
    assert standing(waiting) == {("A1", "A-01-02-1"): 4, ("A1", "DOCK-01"): 10}
    waiting.books_are_right()


def test_another_place_is_asked_once_more_and_then_taken(waiting: Floor) -> None:
    hand = waiting.hand("picker")
    hand.get("/putaway")
    hand.scan("6901234567892")
    hand.scan("L-A-02-01-1")
    assert (hand.status, hand.feeling) == (200, "look")
    assert "Suggested was A-01-02-1. Scan A-02-01-1 once more to put it there." in hand.said
    assert ("A1", "A-02-01-1") not in standing(waiting)
    hand.get("/putaway")
    hand.sees("putaway/scan_location", "once more")
    hand.scan("L-A-02-01-1")
    assert standing(waiting)["A1", "A-02-01-1"] == 10


def test_laying_back_moves_nothing(waiting: Floor) -> None:
    hand = waiting.hand("picker")
    hand.get("/putaway")
    before = standing(waiting)
    hand.scan("6901234567892")
    hand.press("/putaway/let-go")
    hand.sees("putaway/scan_item")
    assert standing(waiting) == before


def test_a_put_back_tote_is_emptied_of_its_own_pieces_not_of_the_docks(waiting: Floor) -> None:
    waiting.stock("A1", "002", 2)
    waiting.stock("B2", "002", 3)
    hand = waiting.hand("picker")
    hand.get("/putaway")
    hand.scan("T-002")
    hand.sees("putaway/scan_item", "Scan the item from this tote", "002")
    hand.scan("B2")
    hand.scan("L-" + next(code for code in ("A-01-01-1", "A-01-03-1") if code[-1] in hand.text()))
    hand.sees("putaway/scan_item", "Scan the item from this tote")
    hand.scan("6901234567892")
    hand.sees("putaway/scan_location", "2 pieces", "002")
    hand.scan("L-A-01-02-1")
    assert standing(waiting)["A1", "DOCK-01"] == 10
    assert ("A1", "002") not in standing(waiting)
    hand.sees("putaway/scan_item", "Scan what you put away")
    waiting.books_are_right()
