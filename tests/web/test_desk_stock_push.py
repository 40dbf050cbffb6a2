"""Stock for the shops at the desk: settings, what differs and why, telling again and leaving out (R38)."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from tests.floor import Floor, Hand
from tests.jobs.test_stock_push import Shelf, Sold, unknown
from wms.jobs import stock_push
from wms.models import Item, ShopStock, StockPushState


@pytest.fixture
def sold(floor: Floor) -> Sold:
    floor.item("A1", "6901234567892")
    floor.stock("A1", "A-01-01-1", 10)
    made = Sold(floor, {"SHOP": Shelf()}, stock_push.Watcher(floor.database))
    with floor.database.transaction(floor.actor()) as session:
        from sqlalchemy import update

        from wms.models import Shop

        session.execute(update(Shop).values(name="Test shop"))
        session.execute(select(Shop)).scalar_one().settings = {"code": "SHOP"}
    return made


@pytest.fixture
def admin(floor: Floor, sold: Sold) -> Hand:
    hand = floor.hand("admin")
    hand.act(f"/desk/stock-push/{sold.shop().id}/settings", told="1", share="100", per_minute="6000")
    assert "is told of stock from now on" in hand.said
    return hand


def test_a_supervisor_looks_and_an_admin_sets(floor: Floor, sold: Sold) -> None:
    at = f"/desk/stock-push/{sold.shop().id}/settings"
    for name, may_look, may_set in (("picker", 403, 403), ("supervisor", 200, 403), ("admin", 200, 200)):
        hand = floor.hand(name)
        hand.get("/desk/stock-push")
        assert hand.status == may_look
        hand.act(at, told="1", share="50", per_minute="10")
        assert hand.status == may_set
    with floor.database.reading() as session:
        row = session.execute(select(ShopStock)).scalar_one()
        assert (row.told, row.share, row.per_minute) == (True, 50, 10)
    hand.act(at, told="1", share="101", per_minute="10")
    assert hand.status == 422 and "from 0 to 100" in hand.said


def test_what_differs_stands_with_its_reason_and_next_step(floor: Floor, sold: Sold, admin: Hand) -> None:
    sold.shelves["SHOP"].answers["A1"] = unknown("A1")
    sold.go()
    hand = floor.hand("supervisor")
    hand.get("/desk/stock-push")
    hand.sees("desk/stock_push", "A1", "Needs a person", "The shop has no A1.", "or leave it out")
    row = str(sold.row().id)
    hand.act(f"/desk/stock-push/{sold.shop().id}/leave-out", row=row)
    assert sold.row().state is StockPushState.LEFT_OUT
    assert "Every shop has the newest numbers." in hand.text()
    hand.act(f"/desk/stock-push/{sold.shop().id}/again", row=row)
    sold.shelves["SHOP"].answers.clear()
    sold.go()
    assert sold.shelves["SHOP"].has["A1"] == 10
    hand.act(f"/desk/stock-push/{sold.shop().id}/again", row="all")
    assert "is told again: 1 items" in hand.said and sold.row().state is StockPushState.PENDING
    hand.act(f"/desk/stock-push/{sold.shop().id}/again", row="x")
    assert hand.status == 404


def test_buffers_and_quotas_are_set_by_sku_or_barcode(floor: Floor, sold: Sold, admin: Hand) -> None:
    hand = floor.hand("supervisor")
    for fields, left in (
        ({"qty": "1"}, 9),
        ({"qty": "2", "category": "tea"}, 9),
        ({"qty": "4", "item": "6901234567892"}, 6),
    ):
        hand.act("/desk/stock-push/buffer", **fields)
        assert hand.status == 200, hand.text()
        sold.look()
        assert sold.row().wanted_qty == left
    hand.act("/desk/stock-push/category", item="A1", category="tea")
    with floor.database.reading() as session:
        item = session.execute(select(Item.id)).scalar_one()
    hand.act("/desk/stock-push/buffer", remove=str(item))
    sold.look()
    assert sold.row().wanted_qty == 8
    hand.act("/desk/stock-push/quota", shop=str(sold.shop().id), item="a1", qty="3")
    sold.look()
    assert sold.row().wanted_qty == 3 and "Fixed quotas" in hand.text()
    hand.act("/desk/stock-push/quota", shop=str(sold.shop().id), item="A1", remove="1")
    sold.look()
    assert sold.row().wanted_qty == 8
    hand.get("/desk/stock-push", item="A1")
    assert "Nobody is promised 10" in hand.text() and "May be sold 8" in hand.text()
    for bad in ({"qty": "-1"}, {"qty": "x"}, {"qty": "1", "item": "NOBODY"}):
        hand.act("/desk/stock-push/buffer", **bad)
        assert hand.status == 422
