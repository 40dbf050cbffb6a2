"""Pack: every piece proved, one number a parcel, the label only after the order is verified (R10–R13, R28, R30–R33)."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from printers.transport import memory
from tests import ways
from tests.floor import Floor, Hand
from tests.flows.steps import all_rows, changed, refused, sent_again, state
from wms import print_lease
from wms.flows import cancel
from wms.jobs import print_queue
from wms.models import (
    Carrier,
    Device,
    Order,
    OrderState,
    Parcel,
    ParcelLine,
    ParcelState,
    Printer,
    PrintJob,
    Shop,
    Station,
    ToteUse,
    Waybill,
    WaybillRange,
)

EAN = "6901234567892"


@pytest.fixture
def picked(floor: Floor) -> Floor:
    """One order in tote 001: two A1, seven B2."""
    floor.item("A1", EAN)
    floor.item("B2", "B2CODE", case=("B2CASE", 6))
    floor.item("C3", counting=True)
    floor.stock("A1", "A-01-01-1", 10)
    floor.stock("B2", "A-01-02-1", 20)
    floor.stock("C3", "A-01-03-1", 50)
    order = floor.order("SO-1", ("A1", 2), ("B2", 7))
    floor.release(order)
    ways.picked(floor, order)
    return floor


def at_the_bench(floor: Floor, name: str = "packer") -> Hand:
    hand = floor.hand(name)
    hand.act("/pack/scan", code="S-PACK1")
    return hand


def jobs(floor: Floor) -> list[PrintJob]:
    with floor.database.reading() as session:
        return list(session.execute(select(PrintJob).order_by(PrintJob.id)).scalars())


def parcels(floor: Floor) -> list[Parcel]:
    with floor.database.reading() as session:
        return list(session.execute(select(Parcel).order_by(Parcel.id)).scalars())


def order_id(floor: Floor, number: str = "SO-1") -> int:
    with floor.database.reading() as session:
        return session.execute(select(Order.id).where(Order.shop_order_no == number)).scalar_one()


def test_a_bench_is_chosen_by_its_code_and_stays_chosen(picked: Floor) -> None:
    hand = picked.hand("packer")
    hand.get("/pack")
    hand.sees("pack/scan_tote", "Scan the code of your station")
    refused(picked, hand, "/pack/scan", "Scan the code of your packing station", "look", code="T-001")
    refused(picked, hand, "/pack/scan", "Nobody knows the code S-NONE", "look", code="S-NONE")
    sent_again(picked, hand, "/pack/scan", code="s-pack1")
    assert "You pack at station Bench 1 now." in hand.said
    with picked.database.reading() as session:
        bound = session.execute(select(Device.station_id).where(Device.station_id.is_not(None))).scalars().all()
        assert bound == [session.execute(select(Station.id)).scalar_one()]
    hand.get("/pack")
    hand.sees("pack/scan_tote", "1 orders wait to be packed")


def test_only_a_picked_tote_or_its_order_opens_a_parcel(picked: Floor) -> None:
    hand = at_the_bench(picked)
    refused(picked, hand, "/pack/scan", "Tote 002 holds no order.", "look", code="T-002")
    refused(picked, hand, "/pack/scan", "Scan a tote. A1 is an item.", code=EAN)
    refused(picked, hand, "/pack/scan", "Nobody knows", "look", code="T-999")
    other = picked.order("SO-2", ("A1", 1))
    refused(picked, hand, "/pack/scan", "Order SO-2 is not ready to be packed: it is ready.", "look", code="O-SO-2")
    picked.release(other)
    ways.at_the_item(picked, other, "003")
    refused(picked, hand, "/pack/scan", "Order SO-2 is not ready to be packed: it is picking.", "look", code="T-003")
    sent_again(picked, hand, "/pack/scan", code="SO-1")
    hand.sees("pack/scan_item", "SO-1", "9 to verify")
    assert state(picked, order_id(picked)) is OrderState.PACKING
    picked.books_are_right()


def test_every_piece_is_proved_and_the_label_comes_only_then(picked: Floor) -> None:
    """R30: wrong, too many, unknown; the number is asked once for the parcel (R32)."""
    picked.item("D4")
    hand = at_the_bench(picked)
    hand.act("/pack/scan", code="T-001")
    refused(picked, hand, "/pack/scan", "D4 does not belong to order SO-1. Lay it aside.", block=True, code="D4")
    refused(picked, hand, "/pack/scan", "Nobody knows the code", "look", code="4000000000006")
    refused(picked, hand, "/pack/scan", "Scan an item. 002 is a tote.", code="T-002")
    refused(picked, hand, "/pack/weigh", "changed by somebody else", "look", status=409, weight_g="100")
    sent_again(picked, hand, "/pack/scan", code=EAN)
    hand.sees("pack/scan_item", "8 to verify")
    hand.act("/pack/scan", code=EAN)
    refused(picked, hand, "/pack/scan", "A1 is complete: 2 of 2 are packed.", block=True, code=EAN)
    hand.act("/pack/scan", code="B2CASE")
    refused(picked, hand, "/pack/scan", "6 is not a quantity", code="B2CASE")
    assert jobs(picked) == []
    hand.act("/pack/scan", code="B2CODE")
    hand.sees("pack/weigh")
    refused(picked, hand, "/pack/scan", "Scan the parcel's weight in grams.", code=EAN)
    with picked.database.reading() as session:
        assert session.execute(select(func.count()).select_from(ToteUse)).scalar_one() == 0, "the tote is free again"
        assert session.execute(select(func.count()).select_from(Waybill)).scalar_one() == 0
    for entered in ("0", "-5", "", "abc", "1.5", "100001", "٥٠٠", "1e3"):
        refused(picked, hand, "/pack/weigh", "is not a weight", weight_g=entered)
    sent_again(picked, hand, "/pack/weigh", weight_g="1250")
    hand.sees("pack/scan_tote", "TEST000000001", "1250 g")
    assert [(job.title, job.kind) for job in jobs(picked)] == [("TEST000000001 SO-1", "waybill")]
    assert state(picked, order_id(picked)) is OrderState.PACKED
    with picked.database.reading() as session:
        assert session.execute(select(WaybillRange.next_no).where(WaybillRange.prefix == "TEST")).scalar_one() == 2
    assert ways.held(picked, "A1", "OUT-01") == (2, 2), "R6: on the books until hand-over"
    picked.books_are_right()


def test_counting_is_only_for_items_that_allow_it(picked: Floor) -> None:
    """R30."""
    order = picked.order("SO-2", ("C3", 30), ("A1", 1))
    picked.release(order)
    ways.picked(picked, order, "002")
    hand = at_the_bench(picked)
    hand.act("/pack/scan", code="T-002")
    with picked.database.reading() as session:
        from wms.models import Item

        ids = {item.sku: item.id for item in session.execute(select(Item)).scalars()}
    refused(picked, hand, "/pack/count", "A1 must be scanned piece by piece.", item_id=str(ids["A1"]), qty="1")
    refused(picked, hand, "/pack/count", "31 is not a quantity", item_id=str(ids["C3"]), qty="31")
    for entered in ("0", "x", ""):
        refused(picked, hand, "/pack/count", "is not a quantity", item_id=str(ids["C3"]), qty=entered)
    refused(picked, hand, "/pack/count", "does not exist", status=404, item_id="987654", qty="1")
    for broken in ("", "abc", "9" * 30):
        hand.act("/pack/count", item_id=broken, qty="1")
        assert hand.status in (404, 422), f"{broken!r} gave {hand.status}"
    sent_again(picked, hand, "/pack/count", item_id=str(ids["C3"]), qty="30")
    hand.act("/pack/scan", code=EAN)
    hand.sees("pack/weigh")
    picked.books_are_right()


def test_undo_takes_the_last_piece_back_into_its_tote(picked: Floor) -> None:
    hand = at_the_bench(picked)
    refused(picked, hand, "/pack/undo", "changed by somebody else", "look", status=409)
    hand.act("/pack/scan", code="T-001")
    refused(picked, hand, "/pack/undo", "There is nothing to undo here.", "look")
    for code in (EAN, EAN, "B2CASE", "B2CODE"):
        hand.act("/pack/scan", code=code)
    hand.sees("pack/weigh")
    sent_again(picked, hand, "/pack/undo")
    hand.sees("pack/scan_item", "1 to verify")
    assert ways.held(picked, "B2", "001") == (1, 1)
    picked.books_are_right()
    refused(picked, hand, "/pack/undo", "There is nothing to undo here.", "look")
    hand.act("/pack/scan", code="B2CODE")
    hand.sees("pack/weigh")
    picked.books_are_right()


def test_a_tote_that_went_on_to_another_order_takes_nothing_back(picked: Floor) -> None:
    """R25: the emptied tote was taken by a picker while the parcel lay on the bench."""
    hand = at_the_bench(picked)
    hand.act("/pack/scan", code="T-001")
    for code in (EAN, EAN, "B2CASE", "B2CODE"):
        hand.act("/pack/scan", code=code)
    other = picked.order("SO-2", ("A1", 1))
    picked.release(other)
    ways.at_the_item(picked, other, "001")
    refused(picked, hand, "/pack/undo", "There is nothing to undo here.", "look")
    picked.books_are_right()


def test_several_parcels_each_have_a_number_and_their_pieces_sum_to_the_order(picked: Floor) -> None:
    """R31."""
    hand = at_the_bench(picked)
    hand.act("/pack/scan", code="T-001")
    refused(picked, hand, "/pack/full", "This parcel is still empty.", "look")
    hand.act("/pack/scan", code=EAN)
    hand.act("/pack/scan", code="B2CASE")
    sent_again(picked, hand, "/pack/full")
    hand.sees("pack/weigh")
    refused(picked, hand, "/pack/full", "changed by somebody else", "look", status=409)
    hand.act("/pack/weigh", weight_g="900")
    hand.sees("pack/scan_item", "2 to verify")
    assert state(picked, order_id(picked)) is OrderState.PACKING
    hand.act("/pack/scan", code=EAN)
    hand.act("/pack/scan", code="B2CODE")
    hand.act("/pack/weigh", weight_g="300")
    hand.sees("pack/scan_tote", "TEST000000002")
    assert state(picked, order_id(picked)) is OrderState.PACKED
    with picked.database.reading() as session:
        rows = session.execute(
            select(ParcelLine.parcel_id, func.sum(ParcelLine.qty))
            .group_by(ParcelLine.parcel_id)
            .order_by(ParcelLine.parcel_id)
        ).all()
        assert [row[1] for row in rows] == [7, 2]
        assert session.execute(select(Waybill.number).order_by(Waybill.id)).scalars().all() == [
            "TEST000000001",
            "TEST000000002",
        ]
    picked.books_are_right()
    first, second = parcels(picked)
    ways.handed_over(picked, first.id)
    assert state(picked, order_id(picked)) is OrderState.PACKED, "one of two parcels is not the order"
    ways.handed_over(picked, second.id)
    assert state(picked, order_id(picked)) is OrderState.SHIPPED
    picked.books_are_right()


def test_one_order_is_at_one_bench(picked: Floor) -> None:
    first, second = at_the_bench(picked), at_the_bench(picked, "supervisor")
    first.act("/pack/scan", code="T-001")
    refused(
        picked,
        second,
        "/pack/scan",
        "Order SO-1 is being packed by somebody else right now.",
        "look",
        status=409,
        code="T-001",
    )


@pytest.mark.parametrize("at", ["scan_item", "weigh"])
def test_the_packer_of_a_cancelled_order_is_stopped_at_the_next_act(picked: Floor, at: str) -> None:
    """R28: pack asks for the newest state first; the packer is told which order it was."""
    hand = at_the_bench(picked)
    hand.act("/pack/scan", code="T-001")
    hand.act("/pack/scan", code=EAN)
    if at == "weigh":
        for code in (EAN, "B2CASE", "B2CODE"):
            hand.act("/pack/scan", code=code)
    with picked.database.transaction(picked.actor()) as session:
        cancel.cancel(session, session.get_one(Order, (picked.warehouse_id, order_id(picked))), "test")
    if at == "weigh":
        refused(picked, hand, "/pack/weigh", "Order SO-1 was cancelled. Stop here.", block=True, weight_g="500")
    else:
        refused(picked, hand, "/pack/scan", "Order SO-1 was cancelled. Stop here.", block=True, code=EAN)
    hand.sees("pack/scan_tote")
    assert jobs(picked) == []
    assert [p.state for p in parcels(picked)] == [ParcelState.VOID]
    other = picked.order("SO-2", ("A1", 1))
    picked.release(other)
    ways.picked(picked, other, "004")
    hand.act("/pack/scan", code="T-004")
    hand.sees("pack/scan_item", "SO-2")
    picked.books_are_right()


def test_an_order_without_a_carrier_waits_for_a_supervisor(picked: Floor) -> None:
    with picked.database.transaction(picked.actor()) as session:
        session.execute(select(Order)).scalar_one().carrier_id = None
        session.execute(select(Shop)).scalar_one().carrier_id = None
    refused(picked, at_the_bench(picked), "/pack/scan", "Order SO-1 has no carrier.", "look", code="T-001")


def test_when_the_numbers_run_out_nothing_is_half_done(picked: Floor) -> None:
    """R33: never a number twice; the parcel waits on the bench until a range is added."""
    ways.verified(picked)
    with picked.database.transaction(picked.actor()) as session:
        for row in session.execute(select(WaybillRange)).scalars():
            row.next_no = row.last_no + 1
    hand = at_the_bench(picked)
    refused(picked, hand, "/pack/weigh", "No waybill numbers are left for 京东快递.", "look", weight_g="500")
    hand.sees("pack/weigh")
    with picked.database.transaction(picked.actor()) as session:
        from wms.flows import warehouse

        jd = session.execute(select(Carrier).where(Carrier.code == "JD")).scalar_one()
        warehouse.add_waybill_range(session, jd, "NEW", 7, 9, 3)
    hand.act("/pack/weigh", weight_g="500")
    hand.sees("pack/scan_tote", "NEW007")


def test_a_printer_with_other_paper_is_told_before_a_number_is_spent(picked: Floor) -> None:
    ways.verified(picked)
    with picked.database.transaction(picked.actor()) as session:
        session.execute(select(Printer).where(Printer.code == "WB1")).scalar_one().height_mm = 130
    before = all_rows(picked)
    hand = at_the_bench(picked)
    refused(picked, hand, "/pack/weigh", "holds 100×130 mm labels; this one needs 100×150 mm", "look", weight_g="500")
    assert "waybill" not in changed(before, all_rows(picked))


def printed(floor: Floor) -> list[bytes]:
    for key in print_lease.printers_due(floor.database):
        print_queue.serve_printer(floor.database, *key)
    return list(memory("waybills").jobs)


def test_a_reprint_is_the_same_label_with_a_mark_a_reason_and_a_count(picked: Floor) -> None:
    """R33: same bytes but the mark, same number; the number is not asked again."""
    memory("waybills").clear()
    parcel_id = ways.labelled(picked)
    hand = at_the_bench(picked)
    refused(picked, hand, "/pack/reprint", "Say why the label is printed again.", parcel_id=str(parcel_id), reason="  ")
    for broken in ("", "abc", "77", "9" * 30):
        refused(
            picked,
            hand,
            "/pack/reprint",
            "changed by somebody else",
            "look",
            status=409,
            parcel_id=broken,
            reason="lost",
        )
    sent_again(picked, hand, "/pack/reprint", parcel_id=str(parcel_id), reason="damaged")
    assert hand.feeling == "look" and "补打 1" in hand.said
    hand.act("/pack/reprint", parcel_id=str(parcel_id), reason="lost")
    first, second, third = jobs(picked)
    assert [(j.reprint_no, j.reprint_reason, j.reprint_of_id) for j in (second, third)] == [
        (1, "damaged", first.id),
        (2, "lost", first.id),
    ]
    assert {j.operator_id for j in (second, third)} == {picked.operator_id("packer")}
    assert {j.title for j in (first, second, third)} == {"TEST000000001 SO-1"}
    assert printed(picked) == [first.payload, second.payload, third.payload]
    head, tail = first.payload.rsplit(b"^XZ", 1)
    for again in (second, third):
        assert again.payload.count(b"TEST000000001") == first.payload.count(b"TEST000000001")
        assert len(again.payload) > len(first.payload) and again.payload.endswith(b"^XZ" + tail)
        assert common(first.payload, again.payload) >= len(head) - 200, "more than the mark was drawn anew"
    with picked.database.reading() as session:
        assert session.execute(select(Waybill.number)).scalars().all() == ["TEST000000001"]


def common(one: bytes, other: bytes) -> int:
    """How many bytes of the beginning and the end are the same."""
    start = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    end = next((n for n, (a, b) in enumerate(zip(one[::-1], other[::-1], strict=False)) if a != b), 0)
    return min(start + end, len(one))


def test_a_label_of_a_parcel_that_is_gone_or_void_is_not_printed_again(picked: Floor) -> None:
    parcel_id = ways.labelled(picked)
    ways.handed_over(picked, parcel_id)
    hand = at_the_bench(picked)
    refused(
        picked,
        hand,
        "/pack/reprint",
        "changed by somebody else",
        "look",
        status=409,
        parcel_id=str(parcel_id),
        reason="lost",
    )


def test_what_stands_in_the_answer_of_the_label_is_asked_for_quietly(picked: Floor) -> None:
    """The page asks every two seconds; nothing is sent while nothing changed."""
    ways.labelled(picked)
    hand = at_the_bench(picked)
    page = hand.get("/pack/label")
    assert hand.status == 200 and "TEST000000001" in page
    version = page.split("/pack/label?version=")[1].split('"')[0]
    hand.get("/pack/label", version=version)
    assert (hand.status, hand.page) == (204, "")
    printed(picked)
    hand.get("/pack/label", version=version)
    assert hand.status == 200 and "Printed" in hand.page


def test_the_same_station_serves_two_packers_one_after_the_other(picked: Floor) -> None:
    """A reload comes back to one's own parcel, not to the bench's (R23)."""
    first = at_the_bench(picked)
    first.act("/pack/scan", code="T-001")
    second = at_the_bench(picked, "supervisor")
    second.get("/pack")
    second.sees("pack/scan_tote")
    first.get("/pack")
    first.sees("pack/scan_item", "SO-1")


def test_undo_takes_all_of_one_scan_back_though_it_filled_two_lines(floor: Floor) -> None:
    """A repeated line: the closed case is for both (R1, R31)."""
    floor.item("B2", "B2CODE", case=("B2CASE", 6))
    floor.stock("B2", "A-01-02-1", 20)
    order = floor.order("SO-1", ("B2", 4), ("B2", 4))
    floor.release(order)
    ways.picked(floor, order)
    hand = at_the_bench(floor)
    hand.act("/pack/scan", code="T-001")
    hand.act("/pack/scan", code="B2CASE")
    hand.sees("pack/scan_item", "2 to verify", "Last scan 6 × B2")
    sent_again(floor, hand, "/pack/undo")
    hand.sees("pack/scan_item", "8 to verify")
    assert ways.held(floor, "B2", "001") == (8, 8)
    floor.books_are_right()
    for code in ("B2CASE", "B2CODE", "B2CODE"):
        hand.act("/pack/scan", code=code)
    hand.sees("pack/weigh")
    floor.books_are_right()


def test_a_parcel_left_lying_is_taken_over_and_a_busy_one_is_not(floor: Floor) -> None:
    """R23 at the bench: an idle claim expires."""
    from datetime import timedelta

    import pytest
    from sqlalchemy import select

    from wms.flows import pack
    from wms.models import Station

    floor.item("A1", "A1CODE")
    floor.stock("A1", "A-01-01-1", 5)
    floor.pick_all([floor.order("SO-LEFT", ("A1", 2))])
    first, second = floor.operator_id("packer"), floor.operator_id("supervisor")
    with floor.database.transaction(floor.actor()) as session:
        station = session.execute(select(Station)).scalars().one()
        parcel_id = pack.start(session, first, station, "SO-LEFT").id
    with pytest.raises(pack.AnotherBench), floor.database.transaction(floor.actor()) as session:
        pack.start(session, second, session.merge(station), "SO-LEFT")
    with floor.database.transaction(floor.actor()) as session:
        taken = pack.start(session, second, session.merge(station), "SO-LEFT", idle=timedelta(0))
        assert taken.id == parcel_id and taken.operator_id == second
    floor.books_are_right()
