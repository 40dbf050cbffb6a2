"""Part refunds under way: that line alone, wherever it stands; whoever holds it is told; books right (R29)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from tests import ways
from tests.floor import Floor, Hand
from tests.flows.steps import all_rows, changed, open_shortages, state
from wms.connectors import Recipient, ShopLine, ShopOrder
from wms.errors import BadQuantity
from wms.flows import cancel
from wms.jobs import intake
from wms.models import (
    Allocation,
    Order,
    OrderLine,
    OrderState,
    Parcel,
    ParcelLine,
    ParcelState,
    PickStep,
    PrintJob,
    PrintState,
    RawOrder,
    RawState,
    Shop,
    TakenBack,
    TakenBackState,
    ToteUse,
    Waybill,
    WaybillState,
)

SHELF, OTHER = "A-01-01-1", "A-01-02-1"


@pytest.fixture
def stocked(any_floor: Floor) -> Floor:
    for sku, shelf in (("A1", SHELF), ("B2", OTHER)):
        any_floor.item(sku)
        any_floor.stock(sku, shelf, 10)
    return any_floor


def line_of(floor: Floor, order: int, sku: str) -> OrderLine:
    with floor.database.reading() as session:
        return session.execute(select(OrderLine).where(OrderLine.order_id == order, OrderLine.sku == sku)).scalar_one()


def take_back(floor: Floor, order: int, sku: str, qty: int, by: str = "supervisor") -> None:
    with floor.database.transaction(ways.actor(floor, by)) as session:
        row = session.get_one(Order, (floor.warehouse_id, order))
        line = session.execute(select(OrderLine).where(OrderLine.order_id == order, OrderLine.sku == sku)).scalar_one()
        cancel.cancel_line(session, row, line, qty, "buyer asked")


def put_back(floor: Floor) -> list[tuple[str, int]]:
    with floor.database.reading() as session:
        return sorted(cancel.to_put_back(session, floor.warehouse_id))


def promised(floor: Floor, order: int) -> int:
    with floor.database.reading() as session:
        return sum(session.execute(select(Allocation.qty).where(Allocation.order_id == order)).scalars())


def one(floor: Floor, query: Any) -> Any:
    with floor.database.reading() as session:
        return session.execute(query).scalar_one()


def sends_the_rest(floor: Floor, order: int, **pieces: int) -> None:
    """From the bench to the carrier with exactly these pieces, and the books right at each step."""
    with floor.database.reading() as session:
        parcel = session.execute(
            select(Parcel).where(Parcel.order_id == order, Parcel.state == ParcelState.VERIFIED)
        ).scalar_one()
    floor.books_are_right()
    hand = floor.hand("packer")
    hand.act("/pack/scan", code="S-PACK1")
    for _ in range(2):  # told once, then it goes
        hand.act("/pack/weigh", weight_g="300")
    assert one(floor, select(Parcel.state).where(Parcel.id == parcel.id)) is ParcelState.LABELLED, hand.text()
    floor.books_are_right()
    ways.handed_over(floor, parcel.id)
    assert state(floor, order) is OrderState.SHIPPED
    with floor.database.reading() as session:
        sent = session.execute(
            select(OrderLine.sku, OrderLine.shipped_qty).where(OrderLine.order_id == order, OrderLine.shipped_qty > 0)
        ).all()
    assert dict(map(tuple, sent)) == pieces  # type: ignore[arg-type]
    floor.books_are_right()


def test_held_and_ready_orders_only_want_less(stocked: Floor) -> None:
    order = stocked.order("SO-1", ("A1", 3), ("B2", 1))
    take_back(stocked, order, "A1", 2)
    assert (state(stocked, order), line_of(stocked, order, "A1").wanted) == (OrderState.READY, 1)
    assert stocked.release(order)[0].short == {}
    assert promised(stocked, order) == 2
    stocked.books_are_right()


@pytest.mark.parametrize("qty", [0, 4, -1])
def test_a_quantity_the_line_does_not_have_is_refused(stocked: Floor, qty: int) -> None:
    order = stocked.order("SO-1", ("A1", 3), ("B2", 1))
    before = all_rows(stocked)
    with pytest.raises(BadQuantity):
        take_back(stocked, order, "A1", qty)
    assert changed(before, all_rows(stocked)) == set()


def test_a_short_order_that_lacks_nothing_any_more_is_ready_again(stocked: Floor) -> None:
    order = stocked.order("SO-1", ("A1", 12), ("B2", 1))
    stocked.release(order)
    assert open_shortages(stocked) == [(2, "no_stock")]
    take_back(stocked, order, "A1", 1)
    assert (state(stocked, order), open_shortages(stocked)) == (OrderState.SHORT, [(1, "no_stock")])
    take_back(stocked, order, "A1", 1)
    assert (state(stocked, order), open_shortages(stocked)) == (OrderState.READY, [])
    assert stocked.release(order)[0].short == {}
    stocked.books_are_right()


def test_a_released_order_gives_back_that_line_alone(stocked: Floor) -> None:
    order = stocked.order("SO-1", ("A1", 3), ("B2", 1))
    stocked.release(order)
    take_back(stocked, order, "A1", 3)
    assert (ways.held(stocked, "A1", SHELF), ways.held(stocked, "B2", OTHER)) == ((10, 0), (10, 1))
    assert state(stocked, order) is OrderState.RELEASED
    assert put_back(stocked) == []
    ways.picked(stocked, order)
    ways.verified(stocked)
    sends_the_rest(stocked, order, B2=1)


def test_a_picker_is_told_at_the_next_scan_and_goes_on_with_the_rest(stocked: Floor) -> None:
    """Pieces on the shelf go first; the one in the tote waits there until the tote is free."""
    order = stocked.order("SO-1", ("A1", 3), ("B2", 1))
    stocked.release(order)
    task = ways.at_the_item(stocked, order)
    hand = stocked.hand("picker")
    hand.act(f"/pick/{task}/scan", code="A1")
    take_back(stocked, order, "A1", 3)
    assert (ways.held(stocked, "A1", SHELF), ways.held(stocked, "A1", "001")) == ((9, 0), (1, 0))
    stocked.books_are_right()
    hand.act(f"/pick/{task}/scan", "the-id-of-one-scan", code="A1")
    assert (hand.status, hand.feeling) == (409, "look") and "took back 3 × A1 of order SO-1" in hand.said
    assert "data-block" in hand.page
    hand.act(f"/pick/{task}/scan", "the-id-of-one-scan", code="A1")
    assert "took back" in hand.said, "sent again, told the same"
    hand.act(f"/pick/{task}/scan", code=f"L-{OTHER}")
    hand.act(f"/pick/{task}/scan", code="B2")
    hand.sees("pick/done", "SO-1")
    assert state(stocked, order) is OrderState.PICKED
    assert put_back(stocked) == [], "the tote still belongs to the order"
    hand = stocked.hand("packer")
    hand.act("/pack/scan", code="S-PACK1")
    hand.act("/pack/scan", code="T-001")
    assert hand.status == 409 and "took back 3 × A1" in hand.said
    hand.act("/pack/scan", code="T-001")
    hand.sees("pack/scan_item", "Taken back: do not pack these")
    hand.act("/pack/scan", code="A1")
    assert hand.status == 422 and "does not belong to order SO-1" in hand.said
    hand.act("/pack/scan", code="B2")
    assert put_back(stocked) == [("T-001", 1)]
    sends_the_rest(stocked, order, B2=1)


def test_a_picker_whose_last_line_goes_is_done_and_the_bench_may_begin(stocked: Floor) -> None:
    order = stocked.order("SO-1", ("A1", 1), ("B2", 2))
    stocked.release(order)
    task = ways.at_the_item(stocked, order)
    hand = stocked.hand("picker")
    hand.act(f"/pick/{task}/scan", code="A1")
    take_back(stocked, order, "B2", 2)
    assert (state(stocked, order), stocked.task_of(order).step) == (OrderState.PICKED, PickStep.DONE)
    hand.act(f"/pick/{task}/scan", code=f"L-{OTHER}")
    assert hand.status == 409 and "took back 2 × B2" in hand.said
    hand.get("/pick")
    hand.sees("pick/done", "SO-1")
    ways.verified(stocked)
    sends_the_rest(stocked, order, A1=1)


def test_a_picker_who_reported_short_lacks_no_more(stocked: Floor) -> None:
    order = stocked.order("SO-1", ("A1", 2), ("B2", 1))
    stocked.release(order)
    task = ways.at_the_item(stocked, order)
    hand = stocked.hand("picker")
    hand.act(f"/pick/{task}/scan", code="A1")
    hand.act(f"/pick/{task}/short", reason="empty")
    assert open_shortages(stocked) == [(1, "empty")]
    hand.act(f"/pick/{task}/scan", code=f"L-{OTHER}")
    hand.act(f"/pick/{task}/scan", code="B2")
    assert state(stocked, order) is OrderState.SHORT
    take_back(stocked, order, "A1", 1)
    assert (state(stocked, order), open_shortages(stocked)) == (OrderState.PICKED, [])
    ways.verified(stocked)
    sends_the_rest(stocked, order, A1=1, B2=1)


def test_a_picked_order_keeps_its_other_pieces_in_the_tote(stocked: Floor) -> None:
    order = stocked.order("SO-1", ("A1", 3), ("B2", 1))
    stocked.release(order)
    ways.picked(stocked, order)
    take_back(stocked, order, "A1", 2)
    assert ways.held(stocked, "A1", "001") == (3, 1)
    stocked.books_are_right()
    hand = stocked.hand("packer")
    hand.act("/pack/scan", code="S-PACK1")
    hand.act("/pack/scan", code="T-001")
    assert hand.status == 409
    for code in ("T-001", "A1", "B2"):
        hand.act("/pack/scan", code=code)
        assert hand.feeling == "done", hand.said
    hand.sees("pack/weigh", "Taken back: do not pack these")
    assert put_back(stocked) == [("T-001", 2)]
    sends_the_rest(stocked, order, A1=1, B2=1)


def test_on_the_bench_what_is_in_the_box_comes_out_of_it(stocked: Floor) -> None:
    """The tote's pieces first; those of the box lie on the bench, in no container, until they are put away."""
    order = stocked.order("SO-1", ("A1", 3), ("B2", 1))
    stocked.release(order)
    ways.picked(stocked, order)
    hand = stocked.hand("packer")
    for code in ("S-PACK1", "T-001", "A1", "A1"):
        hand.act("/pack/scan", code=code)
    take_back(stocked, order, "A1", 2)
    parcel = one(stocked, select(Parcel))
    assert ways.held(stocked, "A1", "001") == (1, 0)
    stocked.books_are_right()
    assert one(stocked, select(ParcelLine.qty).where(ParcelLine.parcel_id == parcel.id)) == 1
    hand.act("/pack/scan", code="B2")
    assert hand.status == 409 and "took back 2 × A1" in hand.said
    hand.act("/pack/undo")
    assert hand.status == 422, "the scan that put the pieces in is not undone twice"
    hand.act("/pack/scan", code="B2")
    hand.sees("pack/weigh", "Taken back: do not pack these")
    assert put_back(stocked) == [("OUT-01", 1), ("T-001", 1)]
    sends_the_rest(stocked, order, A1=1, B2=1)
    hand = stocked.hand("picker")
    hand.act("/putaway/scan", code="T-001")
    for code in ("A1", f"L-{SHELF}", "A1", f"L-{SHELF}"):
        hand.act("/putaway/scan", code=code)
        assert hand.status == 200, hand.said
    assert (put_back(stocked), ways.held(stocked, "A1", SHELF)) == ([], (9, 0))
    stocked.books_are_right()


def test_the_last_pieces_of_the_tote_go_so_the_parcel_is_verified(stocked: Floor) -> None:
    order = stocked.order("SO-1", ("A1", 1), ("B2", 2))
    stocked.release(order)
    ways.picked(stocked, order)
    hand = stocked.hand("packer")
    for code in ("S-PACK1", "T-001", "A1"):
        hand.act("/pack/scan", code=code)
    take_back(stocked, order, "B2", 2)
    hand.get("/pack")
    hand.sees("pack/weigh", "Taken back: do not pack these")
    assert put_back(stocked) == [("T-001", 2)]
    sends_the_rest(stocked, order, A1=1)


def test_an_emptied_second_parcel_is_void_and_the_order_is_packed(stocked: Floor) -> None:
    order = stocked.order("SO-1", ("A1", 1), ("B2", 1))
    stocked.release(order)
    ways.picked(stocked, order)
    hand = stocked.hand("packer")
    for code in ("S-PACK1", "T-001", "A1"):
        hand.act("/pack/scan", code=code)
    hand.act("/pack/full")
    hand.act("/pack/weigh", weight_g="100")
    hand.act("/pack/scan", code="B2")
    take_back(stocked, order, "B2", 1)
    with stocked.database.reading() as session:
        states = session.execute(select(Parcel.state).order_by(Parcel.id)).scalars().all()
    assert (states, state(stocked, order)) == ([ParcelState.LABELLED, ParcelState.VOID], OrderState.PACKED)
    first = one(stocked, select(Parcel.id).where(Parcel.state == ParcelState.LABELLED))
    stocked.books_are_right()
    ways.handed_over(stocked, first)
    assert state(stocked, order) is OrderState.SHIPPED
    stocked.books_are_right()


def test_when_the_first_parcel_is_gone_and_the_second_is_emptied_the_order_is_shipped(stocked: Floor) -> None:
    order = stocked.order("SO-1", ("A1", 1), ("B2", 1))
    stocked.release(order)
    ways.picked(stocked, order)
    hand = stocked.hand("packer")
    for code in ("S-PACK1", "T-001", "A1"):
        hand.act("/pack/scan", code=code)
    hand.act("/pack/full")
    hand.act("/pack/weigh", weight_g="100")
    first = one(stocked, select(Parcel.id).where(Parcel.state == ParcelState.LABELLED))
    ways.handed_over(stocked, first)
    take_back(stocked, order, "B2", 1)
    assert state(stocked, order) is OrderState.SHIPPED
    with stocked.database.reading() as session:
        assert session.execute(select(ToteUse)).first() is None
    assert put_back(stocked) == [("T-001", 1)]
    stocked.books_are_right()


def test_what_has_its_label_is_refused_with_words_and_nothing_changes(stocked: Floor) -> None:
    order = stocked.order("SO-1", ("A1", 3), ("B2", 1))
    stocked.release(order)
    ways.picked(stocked, order)
    ways.labelled(stocked)
    code = one(stocked, select(Parcel.code))
    before = all_rows(stocked)
    with pytest.raises(cancel.Labelled) as refused:
        take_back(stocked, order, "A1", 1)
    assert str(refused.value) == (
        f"Parcel {code} of order SO-1 has its label. A supervisor must void it and take the pieces out."
    )
    assert changed(before, all_rows(stocked)) == set()


def test_what_the_carrier_has_is_refused_and_says_which_parcel(stocked: Floor) -> None:
    order, parcel = ways.shipped(stocked, "SO-1", ("A1", 3), ("B2", 1))
    code = one(stocked, select(Parcel.code).where(Parcel.id == parcel))
    before = all_rows(stocked)
    with pytest.raises(cancel.TooLate) as refused:
        take_back(stocked, order, "A1", 1)
    assert code in str(refused.value)
    assert changed(before, all_rows(stocked)) == set()


@pytest.mark.parametrize("until", ["ready", "released", "picking", "picked", "packing"])
def test_the_last_line_cancels_the_order_in_every_state(stocked: Floor, until: str) -> None:
    order = stocked.order("SO-1", ("A1", 1), ("B2", 1))
    steps: dict[str, Callable[[], Any]] = {
        "released": lambda: stocked.release(order),
        "picking": lambda: ways.at_the_item(stocked, order),
        "picked": lambda: ways.picked(stocked, order),
        "packing": lambda: ways.on_the_bench(stocked),
    }
    for name, step in steps.items():
        if until == "ready" or (until == "picked" and name == "picking"):
            continue
        if not (until == "packing" and name == "picking"):
            step()
        if name == until:
            break
    take_back(stocked, order, "A1", 1)
    assert state(stocked, order) is not OrderState.CANCELLED
    take_back(stocked, order, "B2", 1)
    assert state(stocked, order) is OrderState.CANCELLED
    assert promised(stocked, order) == 0
    stocked.books_are_right()


# ---------------------------------------------------------------- as the shop says it


SAID = ShopOrder(
    "SO-1",
    None,
    "paid",
    (ShopLine("1", "A1", "Item A1", 3, 990), ShopLine("2", "B2", "Item B2", 1, 500)),
    Recipient("张三", "13800000000", "广东省", "深圳市", "南山区", "", "测试路 1 号"),
)
LESS = replace(SAID, lines=(SAID.lines[0], replace(SAID.lines[1], cancelled=True)))


def reads(floor: Floor, said: ShopOrder) -> tuple[str, int]:
    with floor.database.reading() as session:
        shop = session.execute(select(Shop)).scalar_one()
    fate = intake.receive(floor.database, shop, said)
    return fate, one(floor, select(Order.id).where(Order.shop_order_no == "SO-1"))


def test_the_shop_takes_one_line_back_and_the_rest_is_picked(stocked: Floor) -> None:
    fate, order = reads(stocked, SAID)
    assert fate == "new"
    stocked.release(order)
    assert reads(stocked, LESS)[0] == "part"
    assert (promised(stocked, order), state(stocked, order)) == (3, OrderState.RELEASED)
    assert reads(stocked, LESS)[0] == "same"
    assert reads(stocked, replace(LESS, buyer_note="hurry"))[0] == "followed"
    assert stocked.order_row(order).buyer_note == "hurry"
    assert line_of(stocked, order, "B2").cancelled_qty == 1
    stocked.books_are_right()


def test_fewer_pieces_of_a_line_are_a_part_as_well(stocked: Floor) -> None:
    _fate, order = reads(stocked, SAID)
    stocked.release(order)
    assert reads(stocked, replace(SAID, lines=(replace(SAID.lines[0], qty=1), SAID.lines[1])))[0] == "part"
    assert promised(stocked, order) == 2


def test_all_lines_taken_back_one_reading_at_a_time_cancel_the_order(stocked: Floor) -> None:
    _fate, order = reads(stocked, SAID)
    stocked.release(order)
    assert reads(stocked, LESS)[0] == "part"
    gone = replace(LESS, lines=(replace(LESS.lines[0], cancelled=True), LESS.lines[1]))
    assert reads(stocked, gone)[0] == "part"
    assert state(stocked, order) is OrderState.CANCELLED
    stocked.books_are_right()


def test_a_line_that_has_left_is_not_taken_for_a_refund(stocked: Floor) -> None:
    """Shops call a sub-order closed once they know its parcel."""
    _fate, order = reads(stocked, SAID)
    stocked.release(order)
    ways.picked(stocked, order)
    ways.handed_over(stocked, ways.labelled(stocked))
    assert reads(stocked, LESS)[0] == "too_late"
    assert line_of(stocked, order, "B2").cancelled_qty == 0
    stocked.books_are_right()


def labelled_and_asked(floor: Floor) -> tuple[int, int]:
    _fate, order = reads(floor, SAID)
    floor.release(order)
    ways.picked(floor, order)
    parcel = ways.labelled(floor)
    assert reads(floor, LESS)[0] == "failed"
    raw = one(floor, select(RawOrder))
    assert raw.state is RawState.FAILED and "has its label" in raw.reason
    assert reads(floor, LESS)[0] == "failed"
    with floor.database.reading() as session:
        rows = session.execute(select(TakenBack)).scalars().all()
    assert [(row.state, row.qty) for row in rows] == [(TakenBackState.ASKED, 1)], "asked once"
    return order, parcel


def hands_over(floor: Floor, number: str) -> Hand:
    hand = floor.hand("packer")
    hand.act("/ship/open", carrier=str(floor.carrier("JD").id))
    hand.act(hand.answer.headers["X-Go"] + "/scan", code=number)
    return hand


def test_a_labelled_parcel_stays_until_a_supervisor_has_taken_the_pieces_out(stocked: Floor) -> None:
    """Void and redo: the old number is void for ever, the new label has a number of its own (R33)."""
    order, _parcel = labelled_and_asked(stocked)
    number = one(stocked, select(Waybill.number))
    hand = hands_over(stocked, number)
    assert hand.status == 422 and "data-block" in hand.page and "a supervisor decides first" in hand.said
    desk = stocked.hand("supervisor")
    desk.get(f"/desk/orders/{order}")
    desk.sees("desk/order", "The parcel has its label: decide", "Void the label, take them out")
    desk.act(f"/desk/orders/{order}/take-out")
    assert desk.feeling == "look" and "weigh it again" in desk.said, desk.text()
    stocked.books_are_right()
    assert one(stocked, select(PrintJob.state)) is PrintState.CANCELLED
    assert (state(stocked, order), line_of(stocked, order, "B2").wanted) == (OrderState.PACKING, 0)
    assert put_back(stocked) == [("OUT-01", 1)]
    sends_the_rest(stocked, order, A1=3)
    with stocked.database.reading() as session:
        numbers = dict(map(tuple, session.execute(select(Waybill.number, Waybill.state)).all()))  # type: ignore[arg-type]
        assert [job.state for job in session.execute(select(PrintJob)).scalars()].count(PrintState.CANCELLED) == 1
    assert numbers.pop(number) is WaybillState.VOID and list(numbers.values()) == [WaybillState.LIVE]
    assert hands_over(stocked, number).status == 422, "the old label is a loud stop"
    assert reads(stocked, LESS)[0] in ("same", "too_late")


def test_a_supervisor_may_send_it_all_the_same(stocked: Floor) -> None:
    order, _parcel = labelled_and_asked(stocked)
    desk = stocked.hand("supervisor")
    desk.act(f"/desk/orders/{order}/send-it")
    assert desk.feeling == "done", desk.text()
    assert reads(stocked, LESS)[0] == "failed"
    hand = hands_over(stocked, one(stocked, select(Waybill.number)))
    assert hand.feeling == "done", hand.said
    assert state(stocked, order) is OrderState.SHIPPED
    stocked.books_are_right()


def test_the_desk_takes_pieces_out_by_hand(stocked: Floor) -> None:
    order = stocked.order("SO-1", ("A1", 3), ("B2", 1))
    stocked.release(order)
    line = line_of(stocked, order, "A1")
    desk = stocked.hand("supervisor")
    desk.act(f"/desk/orders/{order}/lines/{line.id}/cancel", qty="2")
    assert "2 × A1 taken out of the order" in desk.said
    assert promised(stocked, order) == 2
    desk.act(f"/desk/orders/{order}/lines/{line.id}/cancel", qty="2")
    assert desk.status == 422 and "is not a quantity" in desk.said
    desk.act(f"/desk/orders/{order}/lines/1/cancel", qty="1")
    assert desk.status == 404
    stocked.books_are_right()
