"""R28: the shop's newest word stops a label and a hand-over; who sends it out all the same does so by name."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.floor import Floor
from tests.jobs.test_intake import WindowedShop, said
from wms import gate_checks
from wms.clock import now
from wms.connectors import ConnectorError, ShopOrder
from wms.jobs import gate, intake, lanes
from wms.models import GateCheck, Order, OrderState, Parcel, ParcelState, PrintJob, Shop, Verdict


class Asked(WindowedShop):
    """One order, told as the test wants it; ``trouble`` is raised instead, ``slow`` waits for its event."""

    trouble: ConnectorError | None = None
    slow: threading.Event | None = None

    def read_order(self, shop_order_no: str) -> ShopOrder:
        if self.slow is not None:
            self.slow.wait(20)
        if self.trouble is not None:
            raise self.trouble
        return super().read_order(shop_order_no)


@pytest.fixture
def of_shop(floor: Floor) -> tuple[Floor, int, Asked]:
    """An order of a live shop, picked and waiting for the packer."""
    floor.item("A1")
    floor.stock("A1", "A-01-01-1", 9)
    shop_kind(floor, "jd")
    order = said(1)
    with floor.database.reading() as session:
        shop = session.execute(select(Shop)).scalar_one()
    intake.receive(floor.database, shop, order)
    with floor.database.reading() as session:
        order_id = session.execute(select(Order.id)).scalar_one()
    floor.pick_all([order_id])
    return floor, order_id, Asked([order])


def shop_kind(floor: Floor, kind: str, **values: Any) -> None:
    with floor.database.transaction(floor.actor()) as session:
        session.execute(update(Shop).values(connector=kind, **values))


def ask(floor: Floor, order_id: int, shop: Asked, patience_s: float = 10) -> GateCheck:
    gate.ask(floor.database, floor.warehouse_id, order_id, patience_s=patience_s, connect=lambda _k, _s: shop)
    with floor.database.reading() as session:
        return session.execute(select(GateCheck)).scalar_one()


def stands(floor: Floor, order_id: int) -> str:
    with floor.database.reading() as session:
        refusal = gate_checks.stands(session, session.get_one(Order, (floor.warehouse_id, order_id)))
        return type(refusal).__name__ if refusal else ""


def test_go_lets_the_order_pass(of_shop: tuple[Floor, int, Asked]) -> None:
    floor, order_id, shop = of_shop
    assert ask(floor, order_id, shop).verdict is Verdict.GO and stands(floor, order_id) == ""


def test_a_refund_asked_for_stops_it_until_somebody_lets_it_pass_by_name(of_shop: tuple[Floor, int, Asked]) -> None:
    floor, order_id, shop = of_shop
    shop.orders[0] = replace(shop.orders[0], state="refunding")
    assert ask(floor, order_id, shop).verdict is Verdict.STOP and stands(floor, order_id) == "Stopped"
    with pytest.raises(gate_checks.Stopped):
        floor.pack_all([order_id])
    with floor.database.reading() as session:
        assert session.execute(select(PrintJob)).first() is None
    supervisor = floor.operator_id("supervisor")
    from wms.db import Actor

    with floor.database.transaction(Actor(floor.warehouse_id, supervisor)) as session:
        with pytest.raises(gate_checks.NoReason):
            gate_checks.let_pass(session, session.get_one(Order, (floor.warehouse_id, order_id)), "  ")
        gate_checks.let_pass(session, session.get_one(Order, (floor.warehouse_id, order_id)), "the buyer called")
    assert stands(floor, order_id) == ""
    with floor.database.reading() as session:
        check = session.execute(select(GateCheck)).scalar_one()
        assert (check.override_by, check.override_why) == (supervisor, "the buyer called")
    # Asked again it says the same: the name still holds. Another reason stops it again.
    assert ask(floor, order_id, shop).verdict is Verdict.STOP and stands(floor, order_id) == ""
    shop.orders[0] = replace(shop.orders[0], state="paid", hold="paused")
    ask(floor, order_id, shop)
    assert stands(floor, order_id) == "Stopped"


def test_an_order_cancelled_at_the_shop_is_stopped_where_it_stands(of_shop: tuple[Floor, int, Asked]) -> None:
    floor, order_id, shop = of_shop
    shop.orders[0] = replace(shop.orders[0], state="cancelled", updated_at=now())
    ask(floor, order_id, shop)
    with floor.database.reading() as session:
        assert session.get_one(Order, (floor.warehouse_id, order_id)).state is OrderState.CANCELLED


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
def test_a_shop_that_cannot_be_asked_stops_only_where_it_wants_its_word(
    of_shop: tuple[Floor, int, Asked], closed: bool
) -> None:
    floor, order_id, shop = of_shop
    shop_kind(floor, "jd", fail_closed=closed)
    shop.trouble = ConnectorError(permanent=False, reason="timeout", message="%(host)s", facts={"host": "h"})
    assert ask(floor, order_id, shop).verdict is Verdict.UNKNOWN
    assert stands(floor, order_id) == ("ShopSilent" if closed else "")


def test_nobody_waits_for_a_slow_shop_and_its_late_answer_counts(of_shop: tuple[Floor, int, Asked]) -> None:
    floor, order_id, shop = of_shop
    shop.slow = threading.Event()
    shop.orders[0] = replace(shop.orders[0], state="refunding")
    assert ask(floor, order_id, shop, patience_s=0.05).reason == gate.SLOW
    shop.slow.set()
    gate._pool.submit(int).result(20)  # not before it: the pool may have a thread for each
    for _ in range(200):
        if stands(floor, order_id):
            break
        threading.Event().wait(0.05)
    assert stands(floor, order_id) == "Stopped"


def test_a_key_that_another_process_has_just_renewed_rests_nobody(of_shop: tuple[Floor, int, Asked]) -> None:
    """The refused key is not the shop's any more: the next question goes with the new one."""
    floor, order_id, shop = of_shop
    shop.trouble = ConnectorError(permanent=True, reason="unauthorised", message="key")

    class Renewed(Asked):
        def read_order(self, shop_order_no: str) -> ShopOrder:
            with floor.database.transaction(floor.actor()) as session:
                held = session.execute(select(Shop)).scalar_one()
                held.settings = {**held.settings, "access_token": "the newer one"}
            assert shop.trouble is not None
            raise shop.trouble

    assert ask(floor, order_id, Renewed(shop.orders)).verdict is Verdict.UNKNOWN
    assert lanes.paused(floor.database) == set()
    assert ask(floor, order_id, shop).verdict is Verdict.UNKNOWN
    assert len(lanes.paused(floor.database)) == 1, "refused with the key that stands"


def test_a_key_that_is_refused_rests_the_shop_and_not_the_floor(of_shop: tuple[Floor, int, Asked]) -> None:
    floor, order_id, shop = of_shop
    shop.trouble = ConnectorError(permanent=True, reason="unauthorised", message="key")
    ask(floor, order_id, shop)
    shop.trouble = None
    assert ask(floor, order_id, shop).verdict is Verdict.UNKNOWN, "a resting shop is not asked"
    floor.pack_all([order_id])
    with floor.database.reading() as session:
        assert session.execute(select(Parcel.state)).scalar_one() is ParcelState.LABELLED


def test_a_file_shop_is_not_asked(of_shop: tuple[Floor, int, Asked]) -> None:
    floor, order_id, shop = of_shop
    shop_kind(floor, "csv", fail_closed=True)
    gate.ask(floor.database, floor.warehouse_id, order_id, connect=lambda _k, _s: shop)
    assert stands(floor, order_id) == ""


def test_the_second_parcel_of_an_order_goes_though_the_first_made_it_shipped_there(
    of_shop: tuple[Floor, int, Asked],
) -> None:
    floor, order_id, shop = of_shop
    shop.orders[0] = replace(shop.orders[0], state="shipped")
    assert ask(floor, order_id, shop).verdict is Verdict.STOP
    with floor.database.transaction(floor.actor()) as session:
        session.execute(update(GateCheck).values(verdict=Verdict.GO, reason=""))
    floor.pack_all([order_id])
    ship_it(floor)
    assert ask(floor, order_id, shop).verdict is Verdict.GO


def ship_it(floor: Floor) -> None:
    from wms.flows import ship
    from wms.models import Waybill

    with floor.database.transaction(floor.actor()) as session:
        number = session.execute(select(Waybill.number)).scalar_one()
        ship.scan(session, ship.manifest_for(session, floor.carrier("JD")), number)
