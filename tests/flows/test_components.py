"""Platform waybills below the page: whose number, whose printer, who may print, what a late word does (R33, R35)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.floor import Floor
from wms import labels, print_lease, waybills
from wms.clock import now
from wms.errors import Refusal
from wms.flows import components, orders, pack, printing
from wms.models import (
    Device,
    Journal,
    Order,
    Parcel,
    PlatformWaybill,
    Printer,
    PrinterLanguage,
    PrintJob,
    PrintState,
    Station,
    Waybill,
    WaybillState,
)

SEALED = b'{"encryptedData":"AES:x", "templateURL":"http://t/1","userid":9007199254740993}'
S = PrintState


@pytest.fixture
def stocked(any_floor: Floor) -> Floor:
    """Bench 1 with a Cainiao component's printer."""
    any_floor.item("A1", "6901234567892")
    any_floor.stock("A1", "A-01-01-1", 50)
    with any_floor.database.transaction(any_floor.actor()) as session:
        add_printer(session, "CN", "cainiao://PACK1/KM 202")
    return any_floor


def add_printer(session: Any, code: str, uri: str, **more: Any) -> Printer:
    address = printing.check_address(uri, ("10.0.0.1",), ("10.0.0.0/8",))
    return printing.save_printer(
        session, None, code=code, name=code, uri=address, dpi=203, width_mm=100, height_mm=150, **more
    )


def give(floor: Floor, order_id: int, number: str, document: bytes = SEALED) -> None:
    with floor.database.transaction(floor.actor()) as session:
        orders.add_platform_waybill(session, floor.warehouse_id, order_id, "cainiao", number, document)


def labelled(floor: Floor, *numbers: str) -> list[int]:
    """Orders with a platform waybill each, packed to the label; returns their jobs."""
    ids = []
    for number in numbers:
        order_id = floor.order(f"SO-{number}", ("A1", 1))
        give(floor, order_id, number)
        ids.append(order_id)
    floor.label_all(ids)
    with floor.database.reading() as session:
        return list(
            session.execute(select(PrintJob.id).where(PrintJob.title.startswith("CN")).order_by(PrintJob.id)).scalars()
        )


def job(floor: Floor, job_id: int) -> PrintJob:
    with floor.database.reading() as session:
        return session.get_one(PrintJob, (floor.warehouse_id, job_id))


def printer_id(floor: Floor, code: str = "CN") -> int:
    with floor.database.reading() as session:
        return session.execute(select(Printer.id).where(Printer.code == code)).scalar_one()


def page(floor: Floor, device_id: int = 1, tab: str = "aaaaaa", load: str = "llllll") -> components.Page:
    with floor.database.reading() as session:
        station = session.execute(select(Station.id).where(Station.code == "PACK1")).scalar_one()
    return components.Page(floor.warehouse_id, device_id, station, tab, load)


def fetch(floor: Floor, at: components.Page, found: components.Found = "up") -> components.Answer:
    return components.next_task(floor.database, at, printer_id(floor), found)


def tell(floor: Floor, at: components.Page, task: str, result: components.Result, words: str = "") -> PrintState:
    return components.tell(floor.database, at, printer_id(floor), task, result, words)


def refused(floor: Floor, act: Callable[[Any], object]) -> str:
    with pytest.raises(Refusal) as caught, floor.database.transaction(floor.actor()) as session:
        act(session)
    return type(caught.value).__name__


def test_a_parcel_takes_the_platforms_number_and_queues_its_document_untouched(stocked: Floor) -> None:
    [job_id] = labelled(stocked, "CN000001")
    queued = job(stocked, job_id)
    assert (queued.payload, queued.language, queued.copies) == (SEALED, PrinterLanguage.CAINIAO, 1)
    assert queued.printer_id == printer_id(stocked)  # not the station's printer for other waybills
    with stocked.database.reading() as session:
        waybill = session.execute(select(Waybill)).scalar_one()
        given = session.execute(select(PlatformWaybill)).scalar_one()
        assert (waybill.number, given.waybill_id, queued.once) == ("CN000001", waybill.id, f"waybill:{waybill.id}")
    stocked.books_are_right()


def test_the_worker_leaves_component_printers_alone(stocked: Floor) -> None:
    labelled(stocked, "CN000001")
    assert print_lease.printers_due(stocked.database) == []


def test_the_same_waybill_given_twice_is_one_and_a_number_is_never_anybody_elses(stocked: Floor) -> None:
    one, other = stocked.order("SO-1", ("A1", 1)), stocked.order("SO-2", ("A1", 1))
    give(stocked, one, "CN000001")
    give(stocked, one, "CN000001")
    with pytest.raises(waybills.NumberUsed):
        give(stocked, other, "CN000001")
    with pytest.raises(waybills.NumberUsed):
        give(stocked, one, "CN000001", SEALED + b" ")
    with stocked.database.reading() as session:
        assert len(session.execute(select(PlatformWaybill.id)).all()) == 1


@pytest.mark.parametrize(
    "document", [b"", b"not json", b"[]", b'{"templateURL":"http://t"}', b'{"encryptedData":"x"}', b"\xff", b"[1]"]
)
def test_what_is_no_document_is_refused(stocked: Floor, document: bytes) -> None:
    order_id = stocked.order("SO-1", ("A1", 1))
    with pytest.raises(waybills.NotADocument):
        give(stocked, order_id, "CN000001", document)


def test_an_order_with_platform_waybills_never_takes_a_number_of_ours(stocked: Floor) -> None:
    order_id = stocked.order("SO-1", ("A1", 2))
    give(stocked, order_id, "CN000001")
    stocked.pick_all([order_id])

    def closes(session: Any) -> None:
        station = session.execute(select(Station)).scalars().one()
        packer = stocked.operator_id("packer")
        parcel = pack.open_parcel(session, stocked.warehouse_id, packer) or pack.start(session, packer, station, "SO-1")
        pack.put_in(session, parcel, session.merge(stocked_item(session)), 1)
        if parcel.state == "open":
            pack.parcel_full(session, parcel)
        pack.weigh(session, parcel, station, "100")

    with stocked.database.transaction(stocked.actor()) as session:
        closes(session)
    assert refused(stocked, closes) == "NoPlatformWaybillLeft"
    give(stocked, order_id, "CN000002")
    with stocked.database.transaction(stocked.actor()) as session:
        closes(session)
        numbers = session.execute(select(Waybill.number).order_by(Waybill.number)).scalars().all()
    assert numbers == ["CN000001", "CN000002"]
    stocked.books_are_right()


def stocked_item(session: Any) -> Any:
    from wms.models import Item

    return session.execute(select(Item).where(Item.sku == "A1")).scalar_one()


def test_a_document_can_be_attached_to_the_number_a_parcel_has(stocked: Floor) -> None:
    order_id = stocked.order("SO-1", ("A1", 1))
    stocked.label_all([order_id])
    with stocked.database.transaction(stocked.actor()) as session:
        parcel = session.execute(select(Parcel)).scalar_one()
        given = waybills.attach_document(session, parcel, "cainiao", SEALED)
        again = waybills.attach_document(session, parcel, "cainiao", SEALED)
        assert given.id == again.id and given.document == SEALED
        waybill = waybills.live(session, parcel)
        assert waybill is not None and waybills.document_of(session, waybill) is given

    def other(session: Any) -> None:
        waybills.attach_document(session, session.execute(select(Parcel)).scalar_one(), "cainiao", SEALED + b" ")

    assert refused(stocked, other) == "OtherDocument"


def test_a_station_without_the_platforms_printer_says_which_to_add(stocked: Floor) -> None:
    with stocked.database.transaction(stocked.actor()) as session:
        session.execute(update(Printer).where(Printer.code == "CN").values(uri="cainiao://PACK9/KM 202"))
    order_id = stocked.order("SO-1", ("A1", 1))
    give(stocked, order_id, "CN000001")
    with pytest.raises(labels.NoComponentPrinter, match="cainiao://PACK1/"):
        stocked.label_all([order_id])


def test_addresses_of_component_printers(stocked: Floor) -> None:
    def add(code: str, uri: str) -> Callable[[Any], object]:
        return lambda session: add_printer(session, code, uri)

    assert refused(stocked, add("X", "cainiao://PACK1/another")) == "StationHasOne"
    assert refused(stocked, add("X", "pinduoduo://NOWHERE/p")) == "NoSuchStation"
    for bad in ("cainiao://PACK1/", "cainiao:///p", "cainiao://PACK1", "wechat://PACK1/a\x01b"):
        assert refused(stocked, add("X", bad)) == "BadAddress"
    assert (
        refused(stocked, lambda session: add_printer(session, "X", "tcp://p:9100", language="wechat")) == "BadLanguage"
    )
    with stocked.database.transaction(stocked.actor()) as session:
        made = add_printer(session, "WX", r"wechat://pack1/\\打印机\KM-202 (NEW)")
        assert (made.uri, made.language) == (r"wechat://PACK1/\\打印机\KM-202 (NEW)", PrinterLanguage.WECHAT)
        station = session.execute(select(Station)).scalars().one()
        printing.save_station(
            session,
            station.id,
            code="BENCH-7",
            name="Bench 7",
            waybill_printer_id=station.waybill_printer_id,
            label_printer_id=station.label_printer_id,
        )
        assert session.get_one(Printer, (made.warehouse_id, made.id)).uri.startswith("wechat://BENCH-7/")


def test_nothing_of_ours_is_drawn_for_a_component(stocked: Floor) -> None:
    def label(session: Any) -> None:
        labels.queue_location(
            session,
            stocked.place(session, "A-01-01-1"),
            session.get_one(Printer, (stocked.warehouse_id, printer_id(stocked))),
            "x",
        )

    def station(session: Any) -> None:
        printing.save_station(
            session, None, code="P2", name="", waybill_printer_id=printer_id(stocked), label_printer_id=None
        )

    assert refused(stocked, label) == "OnlyPlatformWaybills"
    assert refused(stocked, station) == "PlatformWaybillsOnly"


def test_of_many_pages_asking_at_once_one_gets_the_task(stocked: Floor) -> None:
    labelled(stocked, "CN000001")
    pages = [page(stocked, device, tab) for device in (1, 2) for tab in ("aaaaaa", "bbbbbb", "cccccc", "dddddd")]
    answers: list[components.Answer] = []
    start = threading.Barrier(len(pages))

    def ask(at: components.Page) -> None:
        start.wait()
        answers.append(fetch(stocked, at))

    threads = [threading.Thread(target=ask, args=(each,)) for each in pages]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len([answer for answer in answers if answer.task]) == 1
    assert len([answer for answer in answers if answer.mine]) == 1


def test_orders_come_out_in_turn_each_under_a_task_of_its_own(stocked: Floor) -> None:
    first, second = labelled(stocked, "CN000001", "CN000002")
    at = page(stocked)
    for job_id, number in ((first, "CN000001"), (second, "CN000002")):
        task = fetch(stocked, at).task
        assert task is not None and (task.id, task.number, task.document) == (f"{job_id}-1", number, SEALED.decode())
        assert job(stocked, job_id).state is S.SENDING  # before the page hands it over
        assert tell(stocked, at, task.id, "printed") is S.PRINTED
    assert fetch(stocked, at) == components.Answer(True)


def test_a_started_task_is_asked_about_on_its_own_pc_and_given_up_on_another(stocked: Floor) -> None:
    [job_id] = labelled(stocked, "CN000001")
    assert fetch(stocked, page(stocked)).task
    same_load = fetch(stocked, page(stocked))
    assert same_load.ask == components.Asked(f"{job_id}-1", here=True)
    reloaded = fetch(stocked, page(stocked, load="mmmmmm"))
    assert reloaded.ask == components.Asked(f"{job_id}-1", here=False)
    with stocked.database.transaction(stocked.actor()) as session:
        session.execute(update(Printer).values(leased_until=now() - timedelta(seconds=1)))
    assert fetch(stocked, page(stocked, device_id=2)) == components.Answer(True)
    assert (job(stocked, job_id).state, job(stocked, job_id).reason) == (S.UNKNOWN, "component_other_pc")


def test_not_sent_is_believed_only_of_the_load_that_was_given_the_task(stocked: Floor) -> None:
    [job_id] = labelled(stocked, "CN000001")
    assert fetch(stocked, page(stocked)).task
    assert tell(stocked, page(stocked, load="mmmmmm"), f"{job_id}-1", "not_sent") is S.SENDING
    assert tell(stocked, page(stocked), f"{job_id}-1", "not_sent") is S.WAITING
    again = fetch(stocked, page(stocked)).task
    assert again is not None and again.id == f"{job_id}-2"
    assert tell(stocked, page(stocked), f"{job_id}-1", "not_sent") is S.SENDING  # of the try before: too late


def test_printed_is_believed_also_after_the_question(stocked: Floor) -> None:
    [job_id] = labelled(stocked, "CN000001")
    at = page(stocked)
    assert fetch(stocked, at).task
    assert tell(stocked, at, f"{job_id}-1", "unknown") is S.UNKNOWN
    assert tell(stocked, at, f"{job_id}-1", "failed", "缺纸") is S.FAILED
    with stocked.database.transaction(stocked.actor()) as session:
        printing.retry(session, stocked.warehouse_id, job_id)
    assert tell(stocked, at, f"{job_id}-1", "printed") is S.PRINTED  # paper was loaded before anything was sent again
    assert fetch(stocked, at) == components.Answer(True)
    assert tell(stocked, at, f"{job_id}-1", "failed") is S.PRINTED


def test_a_late_word_of_an_earlier_try_is_noted_and_changes_nothing(stocked: Floor) -> None:
    [job_id] = labelled(stocked, "CN000001")
    at = page(stocked)
    assert fetch(stocked, at).task
    assert tell(stocked, at, f"{job_id}-1", "unknown") is S.UNKNOWN
    with stocked.database.transaction(stocked.actor()) as session:
        printing.came_out(session, stocked.warehouse_id, job_id, yes=False)
    assert fetch(stocked, at).task
    assert tell(stocked, at, f"{job_id}-1", "printed") is S.SENDING
    with stocked.database.reading() as session:
        noted = session.execute(select(Journal.before).where(Journal.what == "printed_late")).scalars().all()
    assert noted == [f"{job_id}-1"]
    for wrong in (f"{job_id}-9", "1-1", "x", "", f"{job_id}"):
        with pytest.raises(components.NoSuchTask):
            tell(stocked, at, wrong, "printed")


def test_jobs_wait_while_the_component_is_away_and_the_desk_knows_why(stocked: Floor) -> None:
    [job_id] = labelled(stocked, "CN000001")
    with stocked.database.reading() as session:
        assert printing.how(session.execute(select(Printer).where(Printer.code == "CN")).scalar_one())[1] == "no_page"
    assert fetch(stocked, page(stocked), "absent") == components.Answer(True)
    assert (job(stocked, job_id).state, job(stocked, job_id).reason) == (S.WAITING, "component_absent")
    with stocked.database.reading() as session:
        shown = printing.how(session.execute(select(Printer).where(Printer.code == "CN")).scalar_one())
    assert shown == ("stopped", "component_absent")
    assert fetch(stocked, page(stocked), "no_printer") == components.Answer(True)
    assert job(stocked, job_id).reason == "component_no_printer"
    assert fetch(stocked, page(stocked), "up").task


def test_a_phone_without_the_component_never_keeps_the_pc_from_printing(stocked: Floor) -> None:
    phone, pc = page(stocked, 1, "phone0"), page(stocked, 2, "pc0000")
    [first] = labelled(stocked, "CN000001")
    assert fetch(stocked, phone, "absent").mine  # it was there first
    task = fetch(stocked, pc).task
    assert task is not None and task.id == f"{first}-1"
    assert fetch(stocked, phone, "absent") == components.Answer(mine=False)
    assert tell(stocked, pc, task.id, "printed") is S.PRINTED
    assert fetch(stocked, pc, "absent").mine  # its component ended: whoever has one may print now
    assert fetch(stocked, phone, "up").mine


def test_a_page_whose_component_died_ends_the_task_it_began(stocked: Floor) -> None:
    [job_id] = labelled(stocked, "CN000001")
    assert fetch(stocked, page(stocked)).task
    assert fetch(stocked, page(stocked, load="mmmmmm"), "absent").ask == components.Asked(f"{job_id}-1", here=False)


def test_a_paused_printer_gets_nothing(stocked: Floor) -> None:
    labelled(stocked, "CN000001")
    with stocked.database.transaction(stocked.actor()) as session:
        printing.pause(session, stocked.warehouse_id, printer_id(stocked), True)
    assert fetch(stocked, page(stocked)) == components.Answer(True)


def test_a_task_whose_page_never_comes_back_is_asked_about(stocked: Floor) -> None:
    [job_id] = labelled(stocked, "CN000001")
    assert fetch(stocked, page(stocked)).task
    assert print_lease.give_up_abandoned(stocked.database, timedelta(0)) == 0  # its page still has the lease
    with stocked.database.transaction(stocked.actor()) as session:
        session.execute(update(Printer).values(leased_until=now() - timedelta(seconds=1)))
    assert print_lease.give_up_abandoned(stocked.database, timedelta(minutes=2)) == 0  # not yet
    assert print_lease.give_up_abandoned(stocked.database, timedelta(0)) == 1
    assert (job(stocked, job_id).state, job(stocked, job_id).reason) == (S.UNKNOWN, "component_page_gone")


def test_a_voided_parcels_waybill_does_not_come_out_and_its_number_is_spent(stocked: Floor) -> None:
    from wms.flows import cancel

    [job_id] = labelled(stocked, "CN000001")
    with stocked.database.transaction(stocked.actor()) as session:
        cancel.cancel(session, session.execute(select(Order).with_for_update()).scalar_one(), "test")
    assert job(stocked, job_id).state is S.CANCELLED
    assert fetch(stocked, page(stocked)) == components.Answer(True)
    with stocked.database.reading() as session:
        assert session.execute(select(Waybill.state)).scalar_one() is WaybillState.VOID


def test_a_look_that_finds_nothing_new_writes_nothing(stocked: Floor) -> None:
    at = page(stocked)
    assert fetch(stocked, at) == components.Answer(True)

    def lease() -> object:
        with stocked.database.reading() as session:
            return session.get_one(Printer, (stocked.warehouse_id, printer_id(stocked))).leased_until

    before = lease()
    assert fetch(stocked, at) == components.Answer(True)
    assert lease() == before


def test_the_doors_are_for_packers_at_their_own_station(stocked: Floor) -> None:
    labelled(stocked, "CN000001")
    picker, packer = stocked.hand("picker"), stocked.hand("packer")
    picker.get("/components")
    assert picker.status == 403
    path = f"/components/{printer_id(stocked)}"
    packer.post(f"{path}/next", found="up", tab="aaaaaa", load="llllll")
    assert packer.status == 404  # no station scanned yet
    with stocked.database.transaction(stocked.actor()) as session:
        other = printing.save_station(
            session, None, code="PACK2", name="", waybill_printer_id=None, label_printer_id=None
        )
        session.execute(update(Device).values(station_id=other.id))
    packer.post(f"{path}/next", found="up", tab="aaaaaa", load="llllll")
    assert packer.status == 409
    packer.get("/pack")
    packer.scan("S-PACK1")
    for wrong in ({"found": "soon"}, {"tab": "A"}, {"load": "x" * 99}):
        packer.post(f"{path}/next", **{"found": "up", "tab": "aaaaaa", "load": "llllll", **wrong})
        assert packer.status == 400
    packer.get("/components")
    assert [each["printer"] for each in packer.answer.json["printers"]] == ["KM 202"]
    token, packer.token = packer.token, "forged"
    packer.post(f"{path}/next", found="up", tab="aaaaaa", load="llllll")
    assert packer.status == 400
    packer.token = token
    packer.post(f"{path}/next", found="up", tab="aaaaaa", load="llllll")
    assert packer.answer.json["task"]["number"] == "CN000001"


def test_the_desk_takes_in_a_platforms_waybill(stocked: Floor) -> None:
    order_id = stocked.order("SO-1", ("A1", 1))
    desk = stocked.hand("supervisor")
    desk.get(f"/desk/orders/{order_id}")
    desk.press("/platform-waybill", provider="cainiao", number="CN000001", document="no json")
    assert "This is not what the platform gives for one label." in desk.said
    assert "no json" in desk.page  # what was typed is not lost
    desk.press("/platform-waybill", provider="cainiao", number="CN000001", document=SEALED.decode())
    assert desk.said == "Waybill CN000001 waits for the order's next parcel."
    with stocked.database.reading() as session:
        assert session.execute(select(PlatformWaybill)).scalar_one().document == SEALED
