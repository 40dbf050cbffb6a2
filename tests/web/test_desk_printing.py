"""Printers and their queue at the desk (R35), shelf labels, pushes, people, and looking things up."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from tests import ways
from tests.floor import Floor
from wms import labels
from wms.db import Actor
from wms.flows import count, printing
from wms.models import Printer, PrintJob, PrintState


def job(floor: Floor, state: PrintState) -> int:
    """One queued location label, put into a state."""
    hand = floor.hand("supervisor")
    hand.act("/desk/labels", what="location", pattern="A-01-01-1", printer=str(printer(floor, "LB1")))
    assert hand.status == 200, hand.text()
    with floor.database.transaction(floor.actor()) as session:
        row = session.execute(select(PrintJob)).scalar_one()
        row.state = state
        return row.id


def printer(floor: Floor, code: str) -> int:
    with floor.database.reading() as session:
        return session.execute(select(Printer.id).where(Printer.code == code)).scalar_one()


def state(floor: Floor, job_id: int) -> PrintState:
    with floor.database.reading() as session:
        return session.get_one(PrintJob, (floor.warehouse_id, job_id)).state


def test_a_job_nobody_is_sure_of_is_asked_about_and_never_printed_again_by_itself(floor: Floor) -> None:
    unsure = job(floor, PrintState.UNKNOWN)
    hand = floor.hand("supervisor")
    hand.get("/desk/printing")
    hand.sees("desk/printing", "Did the label come out?")
    hand.act(f"/desk/printing/jobs/{unsure}", act="retry")
    assert (hand.status, state(floor, unsure)) == (422, PrintState.UNKNOWN)
    hand.act(f"/desk/printing/jobs/{unsure}", act="no")
    assert state(floor, unsure) is PrintState.QUEUED


def test_a_label_that_was_seen_counts_as_printed(floor: Floor) -> None:
    unsure = job(floor, PrintState.UNKNOWN)
    floor.hand("supervisor").act(f"/desk/printing/jobs/{unsure}", act="yes")
    assert state(floor, unsure) is PrintState.PRINTED


@pytest.mark.parametrize(
    ("before", "act", "after"),
    [
        (PrintState.FAILED, "retry", PrintState.QUEUED),
        (PrintState.EXPIRED, "retry", PrintState.QUEUED),
        (PrintState.WAITING, "cancel", PrintState.CANCELLED),
        (PrintState.SENDING, "cancel", PrintState.SENDING),
        (PrintState.HELD, "retry", PrintState.HELD),
        (PrintState.PRINTED, "retry", PrintState.PRINTED),
    ],
)
def test_what_may_be_done_with_a_job_depends_on_where_it_is(
    floor: Floor, before: PrintState, act: str, after: PrintState
) -> None:
    one = job(floor, before)
    floor.hand("supervisor").act(f"/desk/printing/jobs/{one}", act=act)
    assert state(floor, one) is after


def test_a_job_moves_only_to_a_printer_whose_labels_hold_it(floor: Floor) -> None:
    one = job(floor, PrintState.WAITING)
    hand = floor.hand("supervisor")
    hand.act(f"/desk/printing/jobs/{one}", act="move", printer=str(printer(floor, "WB1")))
    assert hand.said == "L-A-01-01-1 is printed at Waybills."
    with floor.database.transaction(floor.actor()) as session:
        session.get_one(Printer, (floor.warehouse_id, printer(floor, "LB1"))).dpi = 300
    hand.act(f"/desk/printing/jobs/{one}", act="move", printer=str(printer(floor, "LB1")))
    assert hand.status == 422
    assert "203 dpi" in hand.said


def test_a_job_never_moves_to_a_printer_of_another_language(floor: Floor) -> None:
    """An admin says that the printer speaks TSPL: from then on it gets no ZPL, not even by hand (R35)."""
    one = job(floor, PrintState.WAITING)
    admin = floor.hand("admin")
    with floor.database.reading() as session:
        other = session.get_one(Printer, (floor.warehouse_id, printer(floor, "WB1")))
    told = {"code": "WB1", "name": "Waybills", "uri": "tcp://192.168.1.20:9100", "answers": "1"}
    told |= {"dpi": "203", "width_mm": "100", "height_mm": "150"}
    admin.act(f"/desk/printing/printers/{other.id}/save", language="epl", **told)
    assert "epl is no printer language" in admin.said
    admin.act(f"/desk/printing/printers/{other.id}/save", language="tspl", **told)
    assert admin.status == 200, admin.text()
    hand = floor.hand("supervisor")
    hand.act(f"/desk/printing/jobs/{one}", act="move", printer=str(other.id))
    assert hand.status == 422
    assert "TSPL" in hand.said
    assert state(floor, one) is PrintState.WAITING
    admin.get(f"/desk/printing/printers/{other.id}")
    assert '<option value="tspl" selected>' in admin.page


@pytest.mark.parametrize(
    "uri",
    [
        "http://10.0.0.1/",
        "ftp://10.0.0.1",
        "tcp://",
        "tcp://user:word@10.0.0.1",
        "file://host/share",
        "file:relative",
        "file:///spool/../etc",
        "memory://",
        "tcp://10.0.0.1:99999",
        "tcp://[::1",
        "javascript:1",
        "",
    ],
)
def test_what_is_no_printer_address_is_refused(uri: str) -> None:
    with pytest.raises(printing.BadAddress):
        printing.check_address(uri, ["10.0.0.1"], ["10.0.0.0/8"])


def test_a_printer_stands_inside_the_allowed_networks() -> None:
    networks = ["10.0.0.0/8"]
    assert printing.check_address("tcp://label-1", ["10.1.2.3"], networks) == "tcp://label-1:9100"
    with pytest.raises(printing.OutsideNetworks):
        printing.check_address("tcp://label-1", ["10.1.2.3", "203.0.113.9"], networks)
    with pytest.raises(printing.OutsideNetworks):
        printing.check_address("tcp://[2001:db8::1]", ["2001:db8::1"], networks)
    with pytest.raises(printing.HostNotFound):
        printing.check_address("tcp://nowhere", [], networks)


def test_an_admin_adds_a_printer_and_gives_it_to_a_station(floor: Floor) -> None:
    hand = floor.hand("admin")
    told = {"code": "zd1", "name": "Zebra", "dpi": "203", "width_mm": "100", "height_mm": "150", "answers": "1"}
    hand.act("/desk/printing/printers/save", uri="tcp://203.0.113.9", **told)
    assert hand.status == 422
    assert "outside the printer networks" in hand.said
    assert 'value="zd1"' in hand.page, "what was typed stays in the form"
    hand.act("/desk/printing/printers/save", uri="tcp://127.0.0.1:9101", **told)
    assert hand.answer.headers["X-Go"] == "/desk/printing"
    hand.act("/desk/printing/printers/save", uri="tcp://127.0.0.1:9101", **told)
    assert hand.said == "The code ZD1 is already used."
    hand.act("/desk/printing/stations/save", code="S-PACK2", name="Bench 2", waybill_printer=str(printer(floor, "ZD1")))
    hand.get("/desk/printing")
    hand.sees("desk/printing", "S-PACK2", "Zebra")


def test_a_paused_printer_says_so_and_goes_on(floor: Floor) -> None:
    hand = floor.hand("supervisor")
    one = printer(floor, "WB1")
    hand.act(f"/desk/printing/printers/{one}/pause", act="pause")
    hand.sees("desk/printing", "Waybills is paused. Its jobs wait.", "Paused")
    hand.act(f"/desk/printing/printers/{one}/pause", act="resume")
    assert hand.said == "Waybills goes on."


def test_labels_of_a_pattern_come_out_once_for_one_press(floor: Floor) -> None:
    hand = floor.hand("supervisor")
    fields = {"what": "location", "pattern": "a-01-*", "printer": str(printer(floor, "LB1"))}
    for _ in range(2):
        hand.act("/desk/labels", scan_id="one-press", **fields)
        assert hand.said == "3 labels are on their way to Labels."
    with floor.database.reading() as session:
        assert len(session.execute(select(PrintJob.id)).all()) == 3
    hand.act("/desk/labels", what="tote", pattern="9*", printer=fields["printer"])
    assert hand.said == "Nothing has a code like 9*."


def test_a_new_person_gets_a_badge_that_is_shown_once_and_signs_in(floor: Floor) -> None:
    hand = floor.hand("admin")
    hand.post("/desk/people/add", name="New hand", role="picker", pin="123456")
    assert hand.status == 422
    hand.post("/desk/people/add", name="New hand", role="picker", pin="284759", language="en")
    hand.sees("desk/people", "Print this badge now", "New hand")
    assert "data:image/svg+xml" in hand.page
    hand.get("/desk/people")
    assert "data:image/svg+xml" not in hand.page
    hand.post("/desk/people/add", name="New hand", role="picker", pin="284759")
    assert "already somebody named" in hand.said


def test_whoever_is_shut_out_is_out_at_once(floor: Floor) -> None:
    picker, admin = floor.hand("picker"), floor.hand("admin")
    admin.act(f"/desk/people/{floor.operator_id('picker')}/active", act="deactivate")
    assert admin.said == "picker can no longer sign in."
    picker.get("/pick")
    assert picker.status in (302, 401)
    admin.act(f"/desk/people/{floor.operator_id('admin')}/active", act="deactivate")
    assert admin.said == "You cannot do this to yourself. Another admin must."


@pytest.mark.parametrize(
    ("code", "step"),
    [
        ("A1", "lookup/item"),
        ("6901234567892", "lookup/item"),
        ("L-A-01-01-1", "lookup/place"),
        ("T-001", "lookup/place"),
        ("O-1001", "lookup/order"),
        ("S-PACK1", "lookup/station"),
    ],
)
def test_anything_can_be_looked_up_and_nothing_is_written(floor: Floor, code: str, step: str) -> None:
    from wms.models import ScanRequest

    floor.item("A1", "6901234567892")
    floor.stock("A1", "A-01-01-1", 5)
    floor.order("1001", ("A1", 1))
    hand = floor.hand("picker")
    hand.get("/lookup")
    hand.scan(code)
    hand.sees(step)
    with floor.database.reading() as session:
        assert not session.execute(select(ScanRequest).where(ScanRequest.status == 200)).first()


def test_an_unknown_code_is_told(floor: Floor) -> None:
    hand = floor.hand("picker")
    hand.act("/lookup", code="nothing-like-it")
    assert hand.status == 422
    assert "Nobody knows the code" in hand.said


def test_the_book_of_a_place_to_be_counted_is_hidden_from_who_may_count_it(floor: Floor) -> None:
    floor.item("A1")
    floor.stock("A1", "A-01-01-1", 7319)
    with floor.database.transaction(Actor(floor.warehouse_id)) as session:
        count.plan(session, floor.place(session, "A-01-01-1"))
    picker, supervisor = floor.hand("picker"), floor.hand("supervisor")
    for code in ("A1", "L-A-01-01-1"):
        picker.act("/lookup", code=code)
        assert "7319" not in picker.page, code
        supervisor.act("/lookup", code=code)
        assert "7319" in supervisor.page, code


def test_a_difference_is_decided_with_a_reason(floor: Floor) -> None:
    floor.item("A1")
    floor.stock("A1", "A-01-01-1", 10)
    supervisor = floor.hand("supervisor")
    supervisor.act("/desk/counts/plan", code="L-A-01-01-1")
    assert supervisor.said == "A-01-01-1 will be counted."
    for name in ("picker", "second picker"):
        hand = floor.hand(name)
        hand.get("/count")
        hand.press("/count/next")
        hand.scan("L-A-01-01-1")
        for _ in range(3):
            hand.scan("A1")
        hand.press("/finish")
    supervisor.get("/desk/counts")
    supervisor.sees("desk/counts", "A-01-01-1", "-7")
    path = re.findall(r'action="(/desk/counts/\d+/decide)"', supervisor.page)[0]
    supervisor.act(path, act="accept", reason="")
    assert supervisor.said == "Choose a reason for the difference."
    supervisor.act(path, act="accept", reason="lost")
    assert supervisor.said == "The book is corrected by -7 pieces."
    floor.books_are_right()


def test_a_station_has_a_printer_for_each_kind_of_label_and_falls_back_to_the_usual_one(floor: Floor) -> None:
    hand, waybills, small = floor.hand("admin"), printer(floor, "WB1"), printer(floor, "LB1")
    with floor.database.reading() as session:
        station = ways.station(session)
    fields = {"code": "PACK1", "name": "Bench 1", "waybill_printer": str(waybills), "label_printer": str(small)}
    path = f"/desk/printing/stations/{station.id}/save"

    def at(kind: str) -> str:
        with floor.database.reading() as session:
            return labels.printer_at(session, ways.station(session), kind).code

    assert {kind: at(kind) for kind in labels.KINDS} == dict.fromkeys(labels.KINDS, "LB1") | {"waybill": "WB1"}
    hand.act(path, kind_packing_list=str(waybills), kind_carton=str(waybills), kind_waybill=str(small), **fields)
    assert hand.status == 200, hand.text()
    assert (at("packing_list"), at("carton"), at("waybill"), at("manifest")) == ("WB1", "WB1", "LB1", "LB1")
    hand.get("/desk/printing")
    hand.sees("desk/printing", "Packing list: Waybills")
    hand.get(f"/desk/printing/stations/{station.id}")
    assert hand.page.count(f'<option value="{waybills}" selected>') == 3
    hand.act(path, kind_packing_list="", kind_waybill="", **fields)
    assert (at("packing_list"), at("carton"), at("waybill")) == ("LB1", "WB1", "WB1")
    hand.act(path, kind_carton="77", **fields)
    assert hand.status == 404
    hand.act(path, **{**fields, "label_printer": ""}, kind_carton="")
    with pytest.raises(labels.NoPrinter):
        at("carton")
