"""One parcel's way through the floor over HTTP, from the shelf to the shop's outbox, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from printers.transport import memory
from tests.floor import Floor
from tests.printers import render
from wms import print_lease
from wms.connectors import Pushed, Shipment
from wms.jobs import print_queue, sync
from wms.models import Balance, Order, OrderState, Parcel, Push, PushState, Waybill


class Shop:
    """A shop that takes everything, once a key."""

    grain = "package"

    def __init__(self) -> None:
        self.seen: list[Shipment] = []

    def push_shipment(self, shipment: Shipment) -> Pushed:
        self.seen.append(shipment)
        return Pushed("acknowledged", "ok")


@pytest.fixture
def stocked(any_floor: Floor) -> Floor:
    any_floor.item("A1", "6901234567892")
    any_floor.item("B2", "B2CODE", case=("B2CASE", 6))
    any_floor.stock("A1", "A-01-01-1", 10)
    any_floor.stock("B2", "A-01-02-1", 20)
    return any_floor


def test_an_order_goes_from_shelf_to_shop(stocked: Floor) -> None:
    floor = stocked
    order_id = floor.order("SO-1", ("A1", 2), ("B2", 7))
    assert floor.release(order_id)[0].short == {}

    picker = floor.hand("picker")
    picker.get("/pick")
    picker.press("/pick/next")
    picker.sees("pick/scan_tote", "SO-1")
    picker.scan("T-001")
    picker.sees("pick/scan_location", "A-01-01-", "2 × A1")
    picker.scan("L-A-01-01-1")
    picker.scan("6901234567892")
    picker.scan("6901234567892")
    picker.sees("pick/scan_location", "A-01-02-")
    picker.scan("L-A-01-02-1")
    picker.scan("B2CASE")
    picker.sees("pick/scan_item", "1 to take")
    picker.scan("B2CODE")
    picker.sees("pick/done", "001")
    assert floor.order_row(order_id).state is OrderState.PICKED
    floor.books_are_right()

    packer = floor.hand("packer")
    packer.get("/pack")
    packer.scan("S-PACK1")
    packer.sees("pack/scan_tote", "Bench 1")
    packer.scan("T-001")
    packer.sees("pack/scan_item", "9 to verify")
    packer.scan("6901234567892")
    packer.scan("6901234567892")
    packer.scan("B2CASE")
    packer.scan("B2CODE")
    packer.sees("pack/weigh")
    packer.press("/pack/weigh", weight_g="1250")
    packer.sees("pack/scan_tote", "TEST000000001", "1250 g")
    floor.books_are_right()

    paper = memory("waybills")
    paper.clear()
    with floor.database.reading() as session:
        printer = session.execute(select(Parcel)).scalar_one()
        number = session.execute(select(Waybill.number)).scalar_one()
        assert number == "TEST000000001"
        assert session.execute(select(Balance.on_hand).where(Balance.container == printer.code)).scalars().all()
    for key in print_lease.printers_due(floor.database):
        print_queue.serve_printer(floor.database, *key)
    [label] = paper.jobs
    if not render.available():  # the number stands on it in bars, not in text
        assert "TEST000000001" in render.read_codes(render.render(label, 100, 150)[0])

    carrier = floor.carrier("JD")
    packer.get("/ship")
    packer.act("/ship/open", carrier=str(carrier.id))
    packer.get(packer.answer.headers.get("X-Go", "/ship"))
    packer.scan("TEST000000001")
    assert floor.order_row(order_id).state is OrderState.SHIPPED
    floor.books_are_right()

    shop = Shop()
    report = sync.push_outstanding(floor.database, connect=lambda _kind, _settings: shop)  # type: ignore[arg-type,return-value]
    assert report.counts["acknowledged"] == 1
    assert [(s.shop_order_no, s.waybill_no, sum(q for *_x, q in s.lines)) for s in shop.seen] == [
        ("SO-1", "TEST000000001", 9)
    ]
    with floor.database.reading() as session:
        assert session.execute(select(Push.state)).scalar_one() is PushState.ACKNOWLEDGED
        assert session.execute(select(Order.state)).scalar_one() is OrderState.ACKNOWLEDGED
        assert session.execute(select(Balance.on_hand).where(Balance.allocated > 0)).first() is None
    floor.books_are_right()
