"""The whole way with a reload after every act: the same step stands there each time (R23)."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from tests.floor import Floor
from tests.flows.steps import Reloading, reloading
from wms.flows import count, receive
from wms.models import Item, Manifest, ManifestState, Order, OrderState, Receipt

EAN = "6901234567892"


@pytest.fixture
def empty(floor: Floor) -> Floor:
    """Nothing is here yet; A1 and B2 are ordered from a supplier."""
    a1, b2 = floor.item("A1", EAN), floor.item("B2", case=("B2CASE", 6), lots=False)
    with floor.database.transaction(floor.actor()) as session:
        receive.add_purchase_order(session, "PO-1", "Supplier", [(a1, 10), (b2, 12)])
    return floor


def test_a_day_survives_a_reload_after_every_act(empty: Floor) -> None:
    floor = empty
    Reloading.reloads = 0
    hand = reloading(floor, "picker")
    hand.get("/receive")
    hand.scan("R-PO-1")
    for code, sku, qty in ((EAN, "A1", "10"), ("B2CASE", "B2", "12")):
        hand.scan(code)
        hand.scan(code)
        hand.sees("receive/enter_qty", sku)
        with floor.database.reading() as session:
            item = session.execute(select(Item.id).where(Item.sku == sku)).scalar_one()
            path = f"/receive/{session.execute(select(Receipt.id)).scalar_one()}"
        hand.act(f"{path}/book", item=str(item), qty="0")
        assert hand.status == 422
        hand.act(f"{path}/book", item=str(item), qty=qty)
        hand.sees("receive/scan_item", f"{qty} × {sku}")
    hand.press("/undo")
    hand.scan("B2CASE")
    hand.act(f"{path}/book", item=str(item), qty="12")
    hand.get(f"{path}/finish")
    hand.act(f"{path}/close", rest="none")
    hand.sees("receive/choose")

    hand.get("/putaway")
    hand.scan(EAN)
    hand.press("/let-go")
    hand.scan(EAN)
    hand.press("/qty", qty="8")
    hand.scan("L-A-02-01-1")
    assert hand.feeling == "look"
    hand.scan("L-A-02-01-1")
    hand.press("/undo")
    hand.scan(EAN)
    hand.scan("L-A-01-01-1")
    hand.scan("B2")
    hand.scan("T-001")
    assert hand.status == 422
    hand.scan("L-A-01-02-1")
    hand.sees("putaway/scan_item", "Nothing waits")

    order = floor.order("SO-1", ("A1", 3), ("B2", 8))
    assert floor.release(order)[0].short == {}
    hand.get("/pick")
    hand.press("/pick/next")
    hand.scan("L-A-01-01-1")
    assert hand.status == 422
    hand.scan("T-001")
    hand.scan("L-A-01-01-1")
    hand.scan(EAN)
    hand.scan("B2")
    assert hand.status == 422
    hand.press("/undo")
    hand.scan(EAN)
    hand.press("/rest", qty="2")
    hand.sees("pick/scan_location", "8 × B2")
    hand.press("/put-down")
    hand.press("/pick/next")
    hand.scan("L-A-01-02-1")
    hand.scan("B2CASE")
    hand.scan("B2CASE")
    assert hand.status == 422
    hand.scan("B2")
    hand.scan("B2")
    hand.sees("pick/done", "Bring the tote to packing", "001")
    floor.books_are_right()

    bench = reloading(floor, "packer")
    bench.get("/pack")
    bench.scan("S-PACK1")
    bench.scan("T-001")
    hand.get("/pick")
    hand.sees("pick/waiting")  # the tote has been brought
    bench.scan(EAN)
    bench.scan("B2CASE")
    bench.press("/pack/full")
    bench.press("/pack/undo")
    bench.scan("B2CASE")
    bench.press("/pack/full")
    bench.press("/pack/weigh", weight_g="0")
    assert bench.status == 422
    bench.press("/pack/weigh", weight_g="900")
    bench.sees("pack/scan_item", "4 to verify")
    for code in (EAN, EAN, "B2", "B2"):
        bench.scan(code)
    bench.sees("pack/weigh")
    bench.press("/pack/weigh", weight_g="400")
    bench.sees("pack/scan_tote", "TEST000000002")
    bench.press("/pack/reprint", reason="lost")

    bench.get("/ship")
    bench.act("/ship/open", carrier=str(floor.carrier("JD").id))
    for number in ("TEST000000001", "TEST000000001", "TEST000000002"):
        bench.scan(number)
    bench.press("/close")
    bench.sees("ship/closed", "2 parcels")
    floor.books_are_right()

    with floor.database.transaction(floor.actor()) as session:
        count.plan(session, floor.place(session, "A-01-01-1"))
    hand.get("/count")
    hand.press("/count/next")
    hand.scan("L-A-01-02-1")
    hand.scan("L-A-01-01-1")
    for _ in range(3):
        hand.scan(EAN)
    hand.press("/enter", item=str(_item(floor, "A1")), lot="", qty="7")
    hand.press("/finish")
    hand.sees("count/waiting")
    floor.books_are_right()

    assert Reloading.reloads > 60
    with floor.database.reading() as session:
        assert session.execute(select(Order.state)).scalar_one() is OrderState.SHIPPED
        assert session.execute(select(Manifest.state)).scalar_one() is ManifestState.CLOSED


def _item(floor: Floor, sku: str) -> int:
    with floor.database.reading() as session:
        return session.execute(select(Item.id).where(Item.sku == sku)).scalar_one()


def test_a_picker_who_reloads_still_sees_which_tote_to_bring(empty: Floor) -> None:
    """R23: also when the order came out short; and after "next task" it is out of sight."""
    floor = empty
    floor.stock("A1", "A-01-01-1", 2)
    floor.release(floor.order("SO-1", ("A1", 2)))
    hand = reloading(floor, "picker")
    hand.get("/pick")
    hand.press("/pick/next")
    for code in ("T-001", "L-A-01-01-1", EAN):
        hand.scan(code)
    hand.press("/short", reason="empty")
    hand.sees("pick/done", "001", "A supervisor decides")
    floor.stock("B2", "A-01-02-1", 1)
    floor.release(floor.order("SO-2", ("B2", 1)))
    hand.press("/pick/next")
    hand.sees("pick/scan_tote", "SO-2")
    hand.press("/put-down")
    floor.books_are_right()
