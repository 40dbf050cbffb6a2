"""Numbers of a carrier's service: asked between transactions, once a parcel, the label follows by itself (R32)."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from tests import ways
from tests.connectors.fake_carrier_service import FakeCarrierService
from tests.connectors.shop_server import CUT, Reply
from tests.floor import Floor, Hand
from wms.clock import now
from wms.db import Actor
from wms.flows import cancel, pack
from wms.jobs import carriers
from wms.models import (
    Carrier,
    NumbersFrom,
    Order,
    OrderState,
    Parcel,
    ParcelState,
    Printer,
    PrintJob,
    RequestState,
    Waybill,
    WaybillRequest,
)

R = RequestState


@pytest.fixture
def service() -> Iterator[FakeCarrierService]:
    double = FakeCarrierService()
    with double.net.running():
        yield double


@pytest.fixture
def house(any_floor: Floor, service: FakeCarrierService) -> Floor:
    """A floor whose carrier JD gives its numbers by its service, with goods for a few orders."""
    asks(any_floor, service)
    any_floor.item("A1")
    any_floor.stock("A1", "A-01-01-1", 20)
    return any_floor


def asks(floor: Floor, service: FakeCarrierService, code: str = "JD") -> None:
    with floor.database.transaction(floor.actor()) as session:
        row = session.execute(select(Carrier).where(Carrier.code == code)).scalar_one()
        row.numbers_from, row.service = NumbersFrom.SERVICE, service.settings


def picked(floor: Floor, number: str = "SO-1", tote: str = "001", pieces: int = 1) -> int:
    order_id = floor.order(number, ("A1", pieces))
    floor.release(order_id)
    ways.picked(floor, order_id, tote)
    return order_id


def works(floor: Floor, all_now: bool = True) -> None:
    """The worker's pass over everything that is due; ``all_now``: pauses are over."""
    if all_now:
        with floor.database.transaction(floor.actor()) as session:
            session.execute(update(WaybillRequest).values(next_at=now() - timedelta(seconds=1)))
    for key in carriers.due(floor.database):
        carriers.serve(floor.database, *key, who="a test")


def requests(floor: Floor) -> list[WaybillRequest]:
    with floor.database.reading() as session:
        return list(session.execute(select(WaybillRequest).order_by(WaybillRequest.id)).scalars())


def states(floor: Floor) -> list[RequestState]:
    return [row.state for row in requests(floor)]


def parcel(floor: Floor) -> Parcel:
    with floor.database.reading() as session:
        return session.execute(select(Parcel).order_by(Parcel.id.desc()).limit(1)).scalar_one()


def numbers(floor: Floor) -> list[str]:
    with floor.database.reading() as session:
        return list(session.execute(select(Waybill.number).order_by(Waybill.id)).scalars())


def labels(floor: Floor) -> list[PrintJob]:
    with floor.database.reading() as session:
        return list(session.execute(select(PrintJob).where(PrintJob.kind == "waybill").order_by(PrintJob.id)).scalars())


def weighs(floor: Floor, tote: str = "001") -> Hand:
    """The packer verifies the tote's order and weighs it, once."""
    hand = floor.hand("packer")
    hand.act("/pack/scan", code="S-PACK1")
    hand.act("/pack/scan", code=f"T-{tote}")
    while hand.step == "pack/scan_item":
        hand.act("/pack/scan", code="A1")
    hand.act("/pack/weigh", weight_g="500")
    assert hand.status == 200, hand.text()
    return hand


def test_the_number_is_there_before_the_parcel_is_weighed(house: Floor, service: FakeCarrierService) -> None:
    picked(house)
    ways.verified(house)
    assert states(house) == [R.ASKED]
    works(house)
    assert states(house) == [R.ANSWERED]
    with house.database.transaction(ways.actor(house, "packer")) as session:
        row = session.execute(select(Parcel)).scalar_one()
        assert pack.weigh(session, row, ways.station(session), "500") is not None
    assert numbers(house) == ["FK0000000001"]
    assert states(house) == [R.USED]
    assert service.takes() == [f"{house.warehouse_id}-{parcel(house).code}"]
    assert service.asked[0][2]["weight_g"] == 100
    with house.database.reading() as session:
        waybill = session.execute(select(Waybill)).scalar_one()
        assert (waybill.sort_code, waybill.hub) == ("330-A12 08", "杭州集包")
    house.books_are_right()


def test_the_sorting_code_stands_on_the_label(house: Floor, service: FakeCarrierService) -> None:
    from wms import labels as drawing

    picked(house)
    ways.labelled(house)
    works(house)
    with house.database.reading() as session:
        row, waybill = session.execute(select(Parcel)).scalar_one(), session.execute(select(Waybill)).scalar_one()
        order, carrier = session.execute(select(Order)).scalar_one(), session.get_one(Carrier, row.carrier_id)
        paper = drawing._waybill_paper(session, row, order, waybill, carrier, drawing._Said(), now())
    assert (paper.sort_code, paper.hub) == ("330-A12 08", "杭州集包")


def test_weighed_first_the_label_follows_by_itself_and_the_bench_is_free(
    house: Floor, service: FakeCarrierService
) -> None:
    first = picked(house)
    picked(house, "SO-2", "002")
    hand = weighs(house)
    hand.sees("pack/scan_tote", "Asking 京东快递 for the number…", "There is nothing to press")
    assert "The carrier is being asked" in hand.said
    assert (parcel(house).state, labels(house), numbers(house)) == (ParcelState.WEIGHED, [], [])
    assert house.order_row(first).state is OrderState.PACKED
    hand.get("/pack/label")
    assert "hx-get" in hand.page
    hand.act("/pack/scan", code="T-002")
    hand.sees("pack/scan_item", "SO-2")
    works(house)
    assert numbers(house) == ["FK0000000001"]
    assert [job.title for job in labels(house)] == ["FK0000000001 SO-1"]
    hand.get("/pack/label")
    assert "FK0000000001" in hand.text()
    assert "Asking" not in hand.text()
    works(house)
    assert len(labels(house)) == 1
    house.books_are_right()
    with pytest.raises(Exception, match="no label yet"):
        ways.handed_over(house, parcel(house).id)


def test_no_parcel_leaves_while_another_of_its_order_waits_for_its_number(
    house: Floor, service: FakeCarrierService
) -> None:
    """R31: the order is shipped when all its parcels are."""
    order_id = picked(house, pieces=2)
    hand = house.hand("packer")
    for code in ("S-PACK1", "T-001", "A1"):
        hand.act("/pack/scan", code=code)
    hand.act("/pack/full")
    hand.act("/pack/weigh", weight_g="300")
    hand.sees("pack/scan_item", "1 to verify")
    works(house)
    hand.act("/pack/scan", code="A1")
    with house.database.transaction(house.actor()) as session:
        session.execute(
            update(WaybillRequest)
            .where(WaybillRequest.state == R.ANSWERED)
            .values(state=R.ASKED, number="", answered_at=None)
        )
    hand.act("/pack/weigh", weight_g="300")
    with house.database.reading() as session:
        rows = session.execute(select(Parcel).order_by(Parcel.id)).scalars().all()
        assert [row.state for row in rows] == [ParcelState.LABELLED, ParcelState.WEIGHED]
    ways.handed_over(house, rows[0].id)
    assert house.order_row(order_id).state is OrderState.PACKED
    works(house)
    ways.handed_over(house, rows[1].id)
    assert house.order_row(order_id).state is OrderState.SHIPPED
    house.books_are_right()


@pytest.mark.parametrize("fault", ["cut", "busy", "broken"])
def test_no_answer_is_asked_again_with_the_same_key(house: Floor, service: FakeCarrierService, fault: str) -> None:
    picked(house)
    hand = weighs(house)
    after = {"cut": CUT, "busy": Reply(429, b"{}", {"Retry-After": "3"}), "broken": Reply(500, b"oops")}[fault]
    service.net.after = lambda call: after
    works(house)
    assert states(house) == [R.RETRY]
    assert requests(house)[0].next_at > now() - timedelta(seconds=1)
    hand.get("/pack")
    hand.sees("pack/scan_tote", "It is tried again.", "Asking 京东快递 for the number…")
    service.net.after = lambda call: None
    works(house)
    assert numbers(house) == ["FK0000000001"]
    assert len(set(service.takes())) == 1 and len(service.takes()) == 2
    assert len(labels(house)) == 1


def test_when_the_service_is_busy_its_other_questions_wait_as_long(house: Floor, service: FakeCarrierService) -> None:
    for n in range(3):
        picked(house, f"SO-{n}", f"00{n + 1}")
        weighs(house, f"00{n + 1}")
    service.net.before = lambda call: Reply(429, b"{}", {"Retry-After": "60"})
    works(house)
    assert len(service.net.calls) == 1
    assert all(row.next_at > now() + timedelta(seconds=50) for row in requests(house))
    assert carriers.due(house.database) == []


def test_a_no_is_shown_with_what_to_do_and_a_supervisor_takes_another_carrier(
    house: Floor, service: FakeCarrierService
) -> None:
    picked(house)
    hand = weighs(house)
    service.refuses = "收件地址超出派送范围"
    works(house)
    hand.get("/pack")
    hand.sees("pack/scan_tote", "The carrier says no: 收件地址超出派送范围", "A supervisor chooses another carrier")
    works(house)
    assert len(service.takes()) == 1, "a no is not asked again by itself"
    boss = house.hand("supervisor")
    boss.get("/desk")
    boss.sees("desk/today", "1 parcels wait because a carrier refused something.")
    boss.get("/desk/carriers/requests")
    boss.sees("desk/number_requests", "SO-1", "Refused", "收件地址超出派送范围")
    boss.act(boss.form('/carrier"'), carrier=str(house.carrier("ZTO").id))
    assert boss.said == "It goes with 中通快递 now."
    assert numbers(house) == ["TESTZ000000001"]
    assert [job.title for job in labels(house)] == ["TESTZ000000001 SO-1"]
    assert states(house) == [R.CANCEL]
    works(house)
    assert states(house) == [R.CANCELLED]
    house.books_are_right()


def test_a_no_that_was_put_right_is_asked_again_with_the_same_key(house: Floor, service: FakeCarrierService) -> None:
    picked(house)
    weighs(house)
    service.refuses = "余额不足"
    works(house)
    service.refuses = ""
    boss = house.hand("supervisor")
    boss.get("/desk/carriers/requests")
    boss.press("/requests/", act="again")
    assert states(house) == [R.ASKED]
    works(house)
    assert numbers(house) == ["FK0000000001"]
    assert len(set(service.takes())) == 1


def test_a_new_key_of_ours_brings_everything_on_that_the_old_one_stopped(
    house: Floor, service: FakeCarrierService
) -> None:
    good = service.settings
    with house.database.transaction(house.actor()) as session:
        row = session.execute(select(Carrier).where(Carrier.code == "JD")).scalar_one()
        row.service = {**good, "secret": "whsec_" + base64.b64encode(b"y" * 32).decode()}
    picked(house)
    hand = weighs(house)
    works(house)
    assert states(house) == [R.REFUSED]
    hand.get("/pack")
    hand.sees("pack/scan_tote", "refuses our key")
    boss = house.hand("admin")
    boss.act(
        f"/desk/carriers/{house.carrier('JD').id}/save",
        code="JD",
        name="京东快递",
        label_size="100x150",
        numbers_from="service",
        collect_hours="24",
        silent_days="3",
        lost_days="10",
        promised_days="5",
        service_url=good["url"],
        service_secret=good["secret"],
    )
    assert boss.status == 200, boss.text()
    works(house)
    assert numbers(house) == ["FK0000000001"]


def test_a_voided_parcel_is_cancelled_at_the_carrier_and_blocks_nobody(
    house: Floor, service: FakeCarrierService
) -> None:
    order_id = picked(house)
    works(house)
    ways.labelled(house)
    works(house)
    service.net.before = lambda call: Reply(503, b"{}")
    with house.database.transaction(house.actor()) as session:
        cancel.cancel(session, session.get_one(Order, (house.warehouse_id, order_id)), "test")
    assert states(house) == [R.CANCEL]
    works(house)
    assert states(house) == [R.CANCEL], "tried again later"
    service.net.before = lambda call: None
    works(house)
    assert states(house) == [R.CANCELLED]
    assert service.cancelled == set(service.numbers)
    house.books_are_right()


def test_a_number_the_carrier_keeps_is_told_to_a_person(house: Floor, service: FakeCarrierService) -> None:
    order_id = picked(house)
    works(house)
    ways.verified(house)
    works(house)
    service.keeps = "已揽收, 不能取消"
    with house.database.transaction(house.actor()) as session:
        cancel.cancel(session, session.get_one(Order, (house.warehouse_id, order_id)), "test")
    works(house)
    boss = house.hand("supervisor")
    boss.get("/desk/carriers/requests")
    boss.sees("desk/number_requests", "Carrier keeps it", "已揽收, 不能取消")
    boss.press("/requests/", act="settled")
    assert states(house) == [R.CANCELLED]


def test_voided_before_anybody_asked_nothing_is_asked(house: Floor, service: FakeCarrierService) -> None:
    order_id = picked(house)
    ways.on_the_bench(house)
    with house.database.transaction(house.actor()) as session:
        cancel.cancel(session, session.get_one(Order, (house.warehouse_id, order_id)), "test")
    assert states(house) == [R.CANCELLED]
    works(house)
    assert service.asked == []


def test_voided_while_the_carrier_is_asked_its_number_is_taken_back(house: Floor, service: FakeCarrierService) -> None:
    """The answer comes after the parcel is void: no label, and the carrier is told."""
    order_id = picked(house)
    weighs(house)

    def void(_call: Any) -> None:
        if not service.cancelled and states(house) == [R.SENDING]:
            with house.database.transaction(house.actor()) as session:
                cancel.cancel(session, session.get_one(Order, (house.warehouse_id, order_id)), "test")

    service.net.after = void  # type: ignore[assignment]
    works(house)
    assert states(house) == [R.CANCEL]
    assert requests(house)[0].number == "FK0000000001"
    works(house)
    assert states(house) == [R.CANCELLED]
    assert (numbers(house), labels(house)) == ([], [])
    house.books_are_right()


def test_paper_that_is_not_there_keeps_the_number_until_the_label_can_be_queued(
    house: Floor, service: FakeCarrierService
) -> None:
    picked(house)
    hand = weighs(house)
    with house.database.transaction(house.actor()) as session:
        session.execute(select(Printer).where(Printer.code == "WB1")).scalar_one().height_mm = 130
    works(house)
    assert (states(house), numbers(house)) == ([R.ANSWERED], [])
    hand.get("/pack")
    hand.sees("pack/scan_tote", "holds 100×130 mm labels", "The number FK0000000001 is there.")
    with house.database.transaction(house.actor()) as session:
        session.execute(select(Printer).where(Printer.code == "WB1")).scalar_one().height_mm = 150
    works(house)
    assert numbers(house) == ["FK0000000001"]
    assert len(labels(house)) == 1 and len(service.takes()) == 1


def test_a_carriers_own_label_is_printed_as_it_is(house: Floor, service: FakeCarrierService) -> None:
    own = b"^XA^PW799^LL1199^FO20,20^FDcarrier^FS^XZ"
    service.document = base64.b64encode(own).decode()
    picked(house)
    weighs(house)
    works(house)
    assert [job.payload for job in labels(house)] == [own]
    assert parcel(house).state is ParcelState.LABELLED


@pytest.mark.parametrize("what", ["not_sound", "used_twice"])
def test_a_number_that_cannot_be_is_never_printed(house: Floor, service: FakeCarrierService, what: str) -> None:
    with house.database.transaction(house.actor()) as session:
        row = session.execute(select(Carrier).where(Carrier.code == "JD")).scalar_one()
        row.check_standard = "FedEx" if what == "not_sound" else ""
    if what == "used_twice":
        picked(house)
        works(house)
        ways.labelled(house)
        works(house)
        service.numbers = {}
    picked(house, "SO-9", "002")
    hand = weighs(house, "002")
    works(house)
    if what == "used_twice":
        service.numbers = dict.fromkeys(service.numbers, "FK0000000001")
    assert states(house)[-1] is R.REFUSED
    assert requests(house)[-1].reason == what
    hand.get("/pack")
    hand.sees("pack/scan_tote", "Ask the carrier.")
    assert parcel(house).state is ParcelState.WEIGHED


def test_packed_again_after_a_void_the_new_number_has_a_key_of_its_own(
    house: Floor, service: FakeCarrierService
) -> None:
    """R33: a new number comes only by void and redo."""
    from wms import waybills

    picked(house)
    works(house)
    parcel_id = ways.labelled(house)
    works(house)
    with house.database.transaction(Actor(house.warehouse_id)) as session:
        row = session.get_one(Parcel, (house.warehouse_id, parcel_id))
        waybills.void(session, row)
        assert waybills.ask(session, row) is not None
    works(house)
    works(house)
    with house.database.transaction(Actor(house.warehouse_id)) as session:
        assert waybills.take(session, session.get_one(Parcel, (house.warehouse_id, parcel_id))).number == "FK0000000002"
    code = f"{house.warehouse_id}-{parcel(house).code}"
    assert service.takes() == [code, f"{code}-2"]
    assert service.cancelled == {code}
    house.books_are_right()


def test_workers_that_overlap_ask_once(house: Floor, service: FakeCarrierService) -> None:
    from tests.contenders import Threads

    for n in range(3):
        picked(house, f"SO-{n}", f"00{n + 1}")
        weighs(house, f"00{n + 1}")
    key = carriers.due(house.database)[0]
    results = Threads(4).race(house.database, carriers.serve, [key] * 4)
    assert not [r for r in results if isinstance(r, str)], results
    assert sorted(service.takes()) == sorted(set(service.takes())) and len(service.takes()) == 3
    assert len(numbers(house)) == len(labels(house)) == 3
    house.books_are_right()
