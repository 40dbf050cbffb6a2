"""R37: at least once with a key, read back, one bad order never blocks the rest, a broken run goes on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.floor import Floor
from wms.clock import now
from wms.connectors import ConnectorError, Pushed, Shipment
from wms.flows import pushes
from wms.jobs import sync
from wms.models import Order, OrderState, Parcel, ParcelState, Push, PushState, Waybill, WaybillState
from wms.waybills import NumberUsed


class Shop:
    """A shop that answers as told, by order number; it keeps what it took, once a key."""

    grain = "package"

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.taken: dict[str, Shipment] = {}
        self.calls = 0

    def push_shipment(self, shipment: Shipment) -> Pushed:
        self.calls += 1
        answer = self.answers.get(shipment.shop_order_no)
        if isinstance(answer, Exception):
            raise answer
        if answer == "conflict":
            return Pushed("conflict", "Another number is on %(order)s.", {"order": shipment.shop_order_no})
        self.taken[shipment.key] = shipment
        return Pushed("acknowledged", "taken")


@pytest.fixture
def shipped(floor: Floor) -> Floor:
    """Three orders of one piece, handed over."""
    floor.item("A1", "A1CODE")
    floor.stock("A1", "A-01-01-1", 10)
    floor.ship_all([floor.order(f"SO{number}", ("A1", 1)) for number in (1, 2, 3)])
    return floor


def push(floor: Floor, shop: Shop, **options: Any) -> sync.Report:
    return sync.push_outstanding(floor.database, connect=lambda _kind, _settings: shop, **options)  # type: ignore[arg-type,return-value]


def states(floor: Floor) -> list[str]:
    with floor.database.reading() as session:
        return [row.state.value for row in session.execute(select(Push).order_by(Push.id)).scalars()]


def test_each_parcel_is_told_once(shipped: Floor) -> None:
    shop = Shop()
    assert push(shipped, shop).counts == {"acknowledged": 3}
    assert push(shipped, shop).counts == {} and shop.calls == 3
    with shipped.database.reading() as session:
        assert set(session.execute(select(Order.state)).scalars()) == {OrderState.ACKNOWLEDGED}
        assert set(session.execute(select(Parcel.state)).scalars()) == {ParcelState.ACKNOWLEDGED}
    shipped.books_are_right()


def test_one_bad_order_never_blocks_the_rest(shipped: Floor) -> None:
    shop = Shop(SO1=ConnectorError(permanent=False, reason="busy", message="busy"), SO2=ValueError("broken"))
    report = push(shipped, shop)
    assert states(shipped) == ["retry", "retry", "acknowledged"]
    assert report.counts == {"retry": 2, "acknowledged": 1} and not report.clean
    assert any("SO1" in line for line in report.lines)


def test_a_retry_waits_but_the_night_does_not(shipped: Floor) -> None:
    push(shipped, Shop(SO1=ConnectorError(permanent=False, reason="busy", message="busy", retry_after_s=600)))
    shop = Shop()
    assert push(shipped, shop).counts == {}
    assert push(shipped, shop, all_now=True).counts == {"acknowledged": 1}


def test_a_conflict_is_for_people_and_not_tried_again(shipped: Floor) -> None:
    shop = Shop(SO2="conflict", SO3=ConnectorError(permanent=True, reason="closed", message="The order is closed."))
    push(shipped, shop)
    assert states(shipped) == ["acknowledged", "conflict", "conflict"]
    push(shipped, shop, all_now=True)
    assert shop.calls == 3
    with shipped.database.reading() as session:
        row = session.execute(select(Push).where(Push.state == PushState.CONFLICT).order_by(Push.id)).scalars().first()
        assert row is not None and row.reason % row.evidence == "Another number is on SO2."


def test_an_interrupted_run_goes_on_where_it_stopped(shipped: Floor) -> None:
    with shipped.database.transaction(shipped.actor()) as session:
        first = session.execute(select(Push).order_by(Push.id)).scalars().first()
        assert first is not None
        session.execute(
            update(Push)
            .where(Push.id == first.id)
            .values(state=PushState.SENDING, leased_until=now() + timedelta(minutes=5))
        )
    shop = Shop()
    push(shipped, shop)
    assert states(shipped) == ["sending", "acknowledged", "acknowledged"], "somebody may still be sending it"
    with shipped.database.transaction(shipped.actor()) as session:
        session.execute(update(Push).values(leased_until=now() - timedelta(seconds=1)))
    push(shipped, shop)
    assert states(shipped) == ["acknowledged"] * 3 and len(shop.taken) == 3


def test_the_reconciliation_counts_shipped_against_acknowledged(shipped: Floor) -> None:
    push(shipped, Shop(SO2="conflict"))
    assert sync.reconcile(shipped.database) == [("SHOP", {"shipped": 3, "acknowledged": 2, "conflict": 1})]
    assert sync.outstanding(shipped.database) == 0


def test_twenty_failures_are_given_up_and_said(shipped: Floor) -> None:
    with shipped.database.transaction(shipped.actor()) as session:
        session.execute(update(Push).values(attempts=sync.GIVE_UP_AFTER - 1))
    push(shipped, Shop(SO1=ConnectorError(permanent=False, reason="busy", message="busy")))
    assert states(shipped) == ["dead", "acknowledged", "acknowledged"]


class Correcting(Shop):
    """A shop where the number of a parcel can be changed."""

    def __init__(self, **answers: Any) -> None:
        super().__init__(**answers)
        self.corrected: list[tuple[str, str]] = []

    def correct_shipment(self, shipment: Shipment, wrong: str) -> Pushed:
        self.corrected.append((wrong, shipment.waybill_no))
        return Pushed("acknowledged", "changed")


def first_parcel(floor: Floor) -> tuple[int, str]:
    with floor.database.reading() as session:
        row = session.execute(
            select(Parcel.id, Waybill.number).join(Waybill, Waybill.parcel_id == Parcel.id).order_by(Parcel.id)
        ).first()
        assert row is not None
        return row[0], row[1]


def correct(floor: Floor, parcel_id: int, number: str) -> None:
    with floor.database.transaction(floor.actor()) as session:
        pushes.correct(session, floor.warehouse_id, parcel_id, number)


def test_a_wrong_number_that_was_told_is_corrected_there_once(shipped: Floor) -> None:
    shop = Correcting()
    push(shipped, shop)
    parcel_id, wrong = first_parcel(shipped)
    with pytest.raises(NumberUsed):
        correct(shipped, parcel_id, wrong)
    correct(shipped, parcel_id, "RIGHT00001")
    assert push(shipped, shop).counts == {"acknowledged": 1}
    assert shop.corrected == [(wrong, "RIGHT00001")] and shop.calls == 3
    assert push(shipped, shop).counts == {} and states(shipped) == ["acknowledged"] * 3
    with shipped.database.reading() as session:
        kept = session.execute(
            select(Waybill.number, Waybill.state).where(Waybill.parcel_id == parcel_id).order_by(Waybill.id)
        ).all()
    assert [tuple(row) for row in kept] == [(wrong, WaybillState.VOID), ("RIGHT00001", WaybillState.LIVE)]
    shipped.books_are_right()


def test_a_wrong_number_that_was_not_told_simply_goes_out_right(shipped: Floor) -> None:
    shop = Correcting()
    parcel_id, _wrong = first_parcel(shipped)
    correct(shipped, parcel_id, "RIGHT00002")
    push(shipped, shop)
    assert shop.corrected == [] and "RIGHT00002" in {one.waybill_no for one in shop.taken.values()}


def test_a_shop_that_cannot_change_a_number_says_so_to_a_person(shipped: Floor) -> None:
    shop = Shop()
    push(shipped, shop)
    parcel_id, wrong = first_parcel(shipped)
    correct(shipped, parcel_id, "RIGHT00003")
    assert push(shipped, shop).counts == {"conflict": 1}
    with shipped.database.reading() as session:
        row = session.execute(select(Push).where(Push.state == PushState.CONFLICT)).scalar_one()
        assert row.reason == sync.CORRECT_BY_HAND and row.evidence["wrong"] == wrong
