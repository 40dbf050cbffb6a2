"""Cancel: in every state the order can be in, the right thing happens to its goods, labels and people (R28)."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from tests import ways
from tests.floor import Floor
from tests.flows.steps import all_rows, changed, open_shortages, state
from wms import print_lease
from wms.db import Actor
from wms.flows import cancel
from wms.models import (
    Allocation,
    Condition,
    Journal,
    Order,
    OrderState,
    Parcel,
    ParcelState,
    PickStep,
    PrintJob,
    PrintState,
    Push,
    ToteUse,
    Waybill,
    WaybillState,
)

SHELF = "A-01-01-1"


@pytest.fixture
def stocked(floor: Floor) -> Floor:
    floor.item("A1")
    floor.stock("A1", SHELF, 10)
    return floor


def stop(floor: Floor, order: int, why: str = "buyer asked") -> None:
    with floor.database.transaction(ways.actor(floor, "supervisor")) as session:
        cancel.cancel(session, session.get_one(Order, (floor.warehouse_id, order)), why)


def to_put_back(floor: Floor) -> list[tuple[str, int]]:
    with floor.database.reading() as session:
        return cancel.to_put_back(session, floor.warehouse_id)


def nothing_is_promised(floor: Floor) -> None:
    with floor.database.reading() as session:
        assert session.execute(select(Allocation)).first() is None
        assert session.execute(select(ToteUse)).first() is None
    floor.books_are_right()


def test_an_unreleased_order_is_dropped(stocked: Floor) -> None:
    order = stocked.order("SO-1", ("A1", 2))
    stop(stocked, order)
    assert state(stocked, order) is OrderState.CANCELLED
    nothing_is_promised(stocked)
    with stocked.database.reading() as session:
        said = session.execute(select(Journal).where(Journal.what == "cancelled")).scalar_one()
        assert (said.before, said.after) == ("ready", "buyer asked")
        assert said.operator_id == stocked.operator_id("supervisor")


def test_a_held_order_is_dropped(stocked: Floor) -> None:
    order = stocked.order("SO-1", ("NOBODY-KNOWS", 2))
    assert state(stocked, order) is OrderState.HELD
    stop(stocked, order)
    assert state(stocked, order) is OrderState.CANCELLED


def test_a_short_order_leaves_the_shortage_list(stocked: Floor) -> None:
    order = stocked.order("SO-1", ("A1", 99))
    stocked.release(order)
    assert open_shortages(stocked) == [(89, "no_stock")]
    stop(stocked, order)
    assert open_shortages(stocked) == []
    nothing_is_promised(stocked)


def test_a_released_order_gives_back_what_it_was_promised_and_its_task_is_gone(stocked: Floor) -> None:
    order = stocked.order("SO-1", ("A1", 2))
    stocked.release(order)
    stop(stocked, order)
    assert ways.held(stocked, "A1", SHELF) == (10, 0)
    assert stocked.task_of(order).step is PickStep.DONE
    hand = stocked.hand("picker")
    hand.act("/pick/next")
    assert "Nothing is waiting" in hand.said
    nothing_is_promised(stocked)


def test_an_order_being_picked_stops_its_picker_and_its_tote_is_put_back(stocked: Floor) -> None:
    """The picked piece is everybody's again only when it stands on a shelf."""
    order = stocked.order("SO-1", ("A1", 3))
    stocked.release(order)
    task = ways.at_the_item(stocked, order)
    hand = stocked.hand("picker")
    hand.act(f"/pick/{task}/scan", code="A1")
    stop(stocked, order)
    hand.act(f"/pick/{task}/scan", code="A1")
    assert (hand.status, hand.step) == (422, "pick/stopped") and "Stop here" in hand.said
    assert to_put_back(stocked) == [("T-001", 1)]
    assert (ways.held(stocked, "A1", SHELF), ways.held(stocked, "A1", "001")) == ((9, 0), (1, 0))
    assert stocked.release(stocked.order("SO-2", ("A1", 10)))[0].short == {"A1": 1}
    hand.act(f"/pick/{task}/stopped")
    hand.act("/putaway/scan", code="T-001")
    hand.act("/putaway/scan", code="A1")
    hand.act("/putaway/scan", code=f"L-{SHELF}")
    assert to_put_back(stocked) == []
    assert ways.held(stocked, "A1", SHELF) == (10, 0)
    nothing_is_promised(stocked)


def test_a_picked_order_is_put_back_and_the_bench_is_told(stocked: Floor) -> None:
    order = stocked.order("SO-1", ("A1", 3))
    stocked.release(order)
    ways.picked(stocked, order)
    stop(stocked, order)
    assert to_put_back(stocked) == [("T-001", 3)]
    hand = stocked.hand("packer")
    hand.act("/pack/scan", code="S-PACK1")
    hand.act("/pack/scan", code="O-SO-1")
    assert hand.status == 422 and "Order SO-1 was cancelled. Stop here." in hand.said
    nothing_is_promised(stocked)


def test_an_order_on_the_bench_is_put_back_from_parcel_and_tote(stocked: Floor) -> None:
    order = stocked.order("SO-1", ("A1", 3))
    stocked.release(order)
    ways.picked(stocked, order)
    hand = stocked.hand("packer")
    hand.act("/pack/scan", code="S-PACK1")
    hand.act("/pack/scan", code="T-001")
    hand.act("/pack/scan", code="A1")
    stop(stocked, order)
    with stocked.database.reading() as session:
        parcel = session.execute(select(Parcel)).scalar_one()
    assert parcel.state is ParcelState.VOID
    assert sorted(to_put_back(stocked)) == sorted([("T-001", 2), (f"P-{parcel.code}", 1)])
    for source in ("T-001", f"P-{parcel.code}"):
        hand.act("/putaway/scan", code=source)
        hand.act("/putaway/scan", code="A1")
        hand.act("/putaway/scan", code=f"L-{SHELF}")
        assert hand.status == 200
    assert to_put_back(stocked) == []
    assert ways.held(stocked, "A1", SHELF) == (10, 0)
    nothing_is_promised(stocked)


def test_a_labelled_parcel_loses_its_number_and_is_not_handed_over(stocked: Floor) -> None:
    """The number is void for ever, the label that was not printed yet stays in the queue's book, cancelled (R33)."""
    order = stocked.order("SO-1", ("A1", 3))
    stocked.release(order)
    ways.picked(stocked, order)
    parcel_id = ways.labelled(stocked)
    stop(stocked, order)
    with stocked.database.reading() as session:
        parcel = session.get_one(Parcel, (stocked.warehouse_id, parcel_id))
        waybill = session.execute(select(Waybill)).scalar_one()
        job = session.execute(select(PrintJob)).scalar_one()
        assert (parcel.state, waybill.state) == (ParcelState.VOID, WaybillState.VOID)
        assert (job.state, job.reason) == (PrintState.CANCELLED, "void")
    assert print_lease.printers_due(stocked.database) == []
    hand = stocked.hand("packer")
    hand.act("/ship/open", carrier=str(stocked.carrier("JD").id))
    hand.act(hand.answer.headers["X-Go"] + "/scan", code=waybill.number)
    assert hand.status == 422 and "data-block" in hand.page
    assert to_put_back(stocked) == [(f"P-{parcel.code}", 3)]
    nothing_is_promised(stocked)
    again, _parcel = ways.shipped(stocked, "SO-2", ("A1", 3))
    with stocked.database.reading() as session:
        numbers = session.execute(select(Waybill.number).order_by(Waybill.id)).scalars().all()
    assert len(set(numbers)) == 2, "a number is never used twice"
    assert state(stocked, again) is OrderState.SHIPPED


@pytest.mark.parametrize("acknowledged", [False, True])
def test_what_the_carrier_has_is_refused_and_says_which_parcel_to_intercept(stocked: Floor, acknowledged: bool) -> None:
    order, parcel_id = ways.shipped(stocked, "SO-1", ("A1", 3))
    with stocked.database.transaction(Actor(stocked.warehouse_id)) as session:
        code = session.get_one(Parcel, (stocked.warehouse_id, parcel_id)).code
        if acknowledged:
            session.get_one(Parcel, (stocked.warehouse_id, parcel_id)).state = ParcelState.ACKNOWLEDGED
            session.get_one(Order, (stocked.warehouse_id, order)).state = OrderState.ACKNOWLEDGED
            session.execute(select(Push)).scalar_one().state = "acknowledged"  # type: ignore[assignment]
    before = all_rows(stocked)
    with pytest.raises(cancel.TooLate) as refused:
        stop(stocked, order)
    assert str(refused.value) == f"Order SO-1 was already handed over. Ask the carrier to intercept parcel {code}."
    assert changed(before, all_rows(stocked)) == set()


def test_of_two_parcels_one_is_gone_so_the_order_is_not_cancelled(stocked: Floor) -> None:
    order = stocked.order("SO-1", ("A1", 3))
    stocked.release(order)
    ways.picked(stocked, order)
    hand = stocked.hand("packer")
    for code in ("S-PACK1", "T-001", "A1"):
        hand.act("/pack/scan", code=code)
    hand.act("/pack/full")
    hand.act("/pack/weigh", weight_g="100")
    with stocked.database.reading() as session:
        first = session.execute(select(Parcel.id).where(Parcel.state == ParcelState.LABELLED)).scalar_one()
    ways.handed_over(stocked, first)
    with pytest.raises(cancel.TooLate):
        stop(stocked, order)
    stocked.books_are_right()


def test_cancelling_twice_is_cancelling_once(stocked: Floor) -> None:
    order = stocked.order("SO-1", ("A1", 3))
    stop(stocked, order)
    before = all_rows(stocked)
    stop(stocked, order)
    assert changed(before, all_rows(stocked)) == set()


def test_goods_to_put_back_are_good_stock_in_nobodys_hands(stocked: Floor) -> None:
    order = stocked.order("SO-1", ("A1", 3))
    stocked.release(order)
    ways.picked(stocked, order)
    stop(stocked, order)
    hand = stocked.hand("picker")
    hand.get("/putaway")
    hand.sees("putaway/scan_item", "A1", "001")
    with stocked.database.reading() as session:
        from wms.flows import putaway

        waiting = putaway.waiting(session, stocked.warehouse_id)
    assert [(w.item.sku, w.qty, w.condition, w.place.code) for w in waiting] == [("A1", 3, Condition.GOOD, "001")]


def test_a_file_that_says_cancelled_stops_an_order_on_the_floor(floor: Floor) -> None:
    """R28: cancel may come by any road, also by the next export of the shop."""
    from sqlalchemy import select

    from wms.connectors import Recipient, ShopLine, ShopOrder
    from wms.flows import cancel, take_in
    from wms.models import OrderState, PickStep, Shop

    floor.item("A1", "A1CODE")
    floor.stock("A1", "A-01-01-1", 5)
    order_id = floor.order("SO-FILE", ("A1", 2))
    floor.release(order_id)
    picker = floor.hand("picker")
    picker.get("/pick")
    picker.press("/pick/next")
    said = ShopOrder(
        "SO-FILE", None, "cancelled", (ShopLine("SO-FILE-0", "A1", "Item A1", 2, 990, cancelled=True),), Recipient()
    )
    with floor.database.transaction(floor.actor()) as session:
        shop = session.execute(select(Shop)).scalar_one()
        decision = take_in.take(session, shop, said)
        assert decision.fate == "intercept"
        cancel.cancel(session, take_in.order_row(session, shop, "SO-FILE"), "shop")
    assert floor.order_row(order_id).state is OrderState.CANCELLED
    assert floor.task_of(order_id).step is PickStep.STOPPED
    picker.scan("T-001")
    picker.sees("pick/stopped", "SO-FILE")
    floor.books_are_right()
