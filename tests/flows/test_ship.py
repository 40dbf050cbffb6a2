"""Hand over: a scan a parcel, a carrier a manifest, off the books now, its push in the same breath (R6, R33–R37)."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from tests import ways
from tests.floor import Floor, Hand
from tests.flows.steps import refused, sent_again, state
from wms.flows import cancel
from wms.models import (
    Manifest,
    ManifestState,
    Order,
    OrderState,
    Parcel,
    ParcelState,
    Push,
    PushState,
    StockMove,
    Waybill,
    WaybillState,
)


@pytest.fixture
def labelled(floor: Floor) -> Floor:
    """Two parcels for JD with labels."""
    floor.item("A1")
    floor.stock("A1", "A-01-01-1", 20)
    for number, tote in (("SO-1", "001"), ("SO-2", "002")):
        order = floor.order(number, ("A1", 2))
        floor.release(order)
        ways.picked(floor, order, tote)
        ways.labelled(floor, tote)
    return floor


def parcel_of(floor: Floor, number: str) -> tuple[Parcel, str]:
    with floor.database.reading() as session:
        row = session.execute(
            select(Parcel, Waybill.number)
            .join(Waybill, Waybill.parcel_id == Parcel.id)
            .join(Order, Order.id == Parcel.order_id)
            .where(Order.shop_order_no == number)
        ).one()
        return row[0], row[1]


def order_id(floor: Floor, number: str) -> int:
    return parcel_of(floor, number)[0].order_id


def at_the_dock(floor: Floor, carrier: str = "JD") -> tuple[Hand, str]:
    hand = floor.hand("packer")
    hand.act("/ship/open", carrier=str(floor.carrier(carrier).id))
    return hand, hand.answer.headers["X-Go"] + "/scan"


def test_a_parcel_leaves_the_books_its_order_is_shipped_and_its_push_written(labelled: Floor) -> None:
    """R6, R36, R37: all in the one transaction of the scan."""
    hand, path = at_the_dock(labelled)
    _parcel, waybill = parcel_of(labelled, "SO-1")
    assert ways.held(labelled, "A1", "OUT-01") == (4, 4)
    sent_again(labelled, hand, path, code=waybill)
    assert hand.feeling == "done"
    assert ways.held(labelled, "A1", "OUT-01") == (2, 2)
    parcel, _ = parcel_of(labelled, "SO-1")
    assert (parcel.state, state(labelled, parcel.order_id)) == (ParcelState.HANDED_OVER, OrderState.SHIPPED)
    with labelled.database.reading() as session:
        push = session.execute(select(Push)).scalar_one()
        assert (push.parcel_id, push.state) == (parcel.id, PushState.PENDING)
        move = session.execute(select(StockMove).where(StockMove.reason == "ship")).scalar_one()
        assert (move.cause, move.qty) == (f"parcel:{parcel.id}", 2)
        manifest = session.execute(select(Manifest)).scalar_one()
        assert (manifest.parcels, manifest.weight_g) == (1, 500)
    labelled.books_are_right()


def test_a_parcel_goes_once(labelled: Floor) -> None:
    """R36: scanned again with another scan: said, not counted."""
    hand, path = at_the_dock(labelled)
    parcel, waybill = parcel_of(labelled, "SO-1")
    hand.act(path, code=waybill)
    for code in (waybill, f"P-{parcel.code}", f"]C0{waybill}", waybill.lower()):
        refused(labelled, hand, path, "is already on manifest JD-", "look", code=code)
    hand.act(path.replace("/scan", "/close"))
    other, again = at_the_dock(labelled)
    refused(labelled, other, again, "is already on manifest JD-", "look", code=waybill)
    labelled.books_are_right()


def test_another_carriers_parcel_is_refused_loudly(labelled: Floor) -> None:
    """R36."""
    hand, path = at_the_dock(labelled, "ZTO")
    parcel, waybill = parcel_of(labelled, "SO-1")
    words = f"Parcel {parcel.code} goes with 京东快递, not with 中通快递."
    refused(labelled, hand, path, words, block=True, code=waybill)


def test_what_is_no_labelled_parcel_is_refused(labelled: Floor) -> None:
    hand, path = at_the_dock(labelled)
    refused(labelled, hand, path, "Nobody knows the code", "look", code="TEST000009999")
    refused(labelled, hand, path, "Nobody knows the code", "look", code="\x00")
    refused(labelled, hand, path, "Scan a parcel. A1 is an item.", code="A1")
    order = labelled.order("SO-3", ("A1", 1))
    labelled.release(order)
    ways.picked(labelled, order, "003")
    opened = ways.verified(labelled, "003")
    with labelled.database.reading() as session:
        code = session.get_one(Parcel, (labelled.warehouse_id, opened)).code
    refused(labelled, hand, path, f"Parcel {code} has no label yet.", code=f"P-{code}")


def test_a_cancelled_orders_parcel_does_not_leave(labelled: Floor) -> None:
    """R28: hand-over asks for the newest state first."""
    hand, path = at_the_dock(labelled)
    _parcel, waybill = parcel_of(labelled, "SO-1")
    with labelled.database.transaction(labelled.actor()) as session:
        cancel.cancel(session, session.get_one(Order, (labelled.warehouse_id, order_id(labelled, "SO-1"))), "refund")
    refused(labelled, hand, path, "Order SO-1 was cancelled. Stop here.", block=True, code=waybill)
    labelled.books_are_right()


@pytest.mark.parametrize("around", ["{}", "]C0{}", " {}\r\n"])
def test_a_voided_label_is_a_loud_stop_though_the_parcel_has_a_new_number(labelled: Floor, around: str) -> None:
    """R33: two labels lie on the bench; the old one must not pass for the new."""
    from wms import waybills

    parcel, old = parcel_of(labelled, "SO-1")
    with labelled.database.transaction(labelled.actor()) as session:
        row = session.get_one(Parcel, (labelled.warehouse_id, parcel.id))
        waybills.void(session, row)
        session.flush()
        new = waybills.take(session, row).number
    assert new != old
    hand, path = at_the_dock(labelled)
    for text in (old, old.lower()):
        refused(labelled, hand, path, "This label is void.", block=True, code=around.format(text))
    hand.act(path, code=new)
    assert hand.status == 200
    labelled.books_are_right()


def test_the_sheet_has_what_was_scanned_and_a_closed_one_takes_no_more(labelled: Floor) -> None:
    """R36: totals equal the scanned parcels."""
    hand, path = at_the_dock(labelled)
    close, sheet = path.replace("/scan", "/close"), path.replace("/scan", "/sheet")
    refused(labelled, hand, close, "No parcel is on this manifest yet.", "look")
    for number in ("SO-1", "SO-2"):
        hand.act(path, code=parcel_of(labelled, number)[1])
    sent_again(labelled, hand, close)
    hand.sees("ship/closed", "2 parcels")
    refused(labelled, hand, close, "changed by somebody else", "look", status=409)
    page = hand.get(sheet)
    assert hand.status == 200 and all(parcel_of(labelled, n)[1] in page for n in ("SO-1", "SO-2"))
    assert "1,000" in hand.text()
    order = labelled.order("SO-3", ("A1", 1))
    labelled.release(order)
    ways.picked(labelled, order)
    ways.labelled(labelled)
    refused(labelled, hand, path, "changed by somebody else", "look", status=409, code=parcel_of(labelled, "SO-3")[1])
    with labelled.database.reading() as session:
        assert session.execute(select(Manifest.state, Manifest.parcels, Manifest.weight_g)).one() == (
            ManifestState.CLOSED,
            2,
            1000,
        )
    labelled.books_are_right()


def test_one_carrier_has_one_open_manifest(labelled: Floor) -> None:
    first, path = at_the_dock(labelled)
    _second, same = at_the_dock(labelled)
    assert path == same
    sent_again(labelled, first, "/ship/open", carrier=str(labelled.carrier("ZTO").id))
    for nonsense in ("", "x", "999", "-1", "9" * 30):
        refused(labelled, first, "/ship/open", "The carrier does not exist", status=404, carrier=nonsense)
    with labelled.database.reading() as session:
        assert session.execute(select(func.count()).select_from(Manifest)).scalar_one() == 2
        assert (
            session.execute(
                select(func.count()).select_from(Waybill).where(Waybill.state == WaybillState.LIVE)
            ).scalar_one()
            == 2
        )
