"""Printers at the desk: found in the network, asked how they are, tried on paper, and told when their roll ends."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import parse_qsl

import pytest
from sqlalchemy import select, update

from printers import inquiry
from printers.transport import memory
from tests.floor import Floor
from tests.printers import judge
from tests.printers.fake_printer import FakePrinter, Mode
from wms import print_lease
from wms.clock import now
from wms.flows import printers
from wms.jobs import print_queue
from wms.models import Printer, PrintJob, PrintState

LOOK = "/desk/printing/discover"


def printer(floor: Floor, code: str) -> int:
    with floor.database.reading() as session:
        return session.execute(select(Printer.id).where(Printer.code == code)).scalar_one()


def change(floor: Floor, code: str, **columns: object) -> int:
    with floor.database.transaction(floor.actor()) as session:
        session.execute(update(Printer).where(Printer.code == code).values(**columns))
    return printer(floor, code)


def row(floor: Floor, code: str) -> Printer:
    with floor.database.reading() as session:
        return session.execute(select(Printer).where(Printer.code == code)).scalar_one()


def test_printers_of_both_languages_are_found_and_offered(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    hand = floor.hand("admin")
    hand.get(LOOK)
    hand.sees("desk/printer_discovery", "may put out a line reading ~HI")
    with FakePrinter() as zebra, FakePrinter(tspl=True) as other:
        monkeypatch.setattr(inquiry, "PORT", zebra.port)
        hand.post(LOOK, network="127.0.0.1/32", start="0")
        hand.sees("desk/printer_discovery", "127.0.0.1", "ZPL", "FAKE-203", "203", "1 answer")
        add = re.findall(r'href="(/desk/printing/printers/new\?[^"]+)"', hand.page)[0].replace("&amp;", "&")
        hand.get(add.partition("?")[0], **dict(parse_qsl(add.partition("?")[2])))
        assert 'value="tcp://127.0.0.1:9100"' in hand.page
        assert 'value="FAKE-203"' in hand.page
        monkeypatch.setattr(inquiry, "PORT", other.port)
        hand.post(LOOK, network="127.0.0.1/32", start="0")
        hand.sees("desk/printer_discovery", "TSPL", "FAKE-TSPL")
        assert zebra.labels == other.labels == []


def test_a_network_is_looked_through_in_steps_and_what_was_found_travels_along(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand, asked = floor.hand("admin"), []

    def find(addresses: list[str]) -> list[dict[str, object]]:
        asked.append((addresses[0], addresses[-1]))
        here = "10.0.0.7"
        return [{"address": here, "language": "zpl", "model": "<i>x", "dpi": 203}] if here in addresses else []

    monkeypatch.setattr("wms.printer_talk.find", find)
    hand.post(LOOK, network="10.0.0.0/24", start="0")
    for _ in range(7):
        assert "data-go-on" in hand.page
        fields = dict(re.findall(r'name="(start|found)" value="([^"]*)"', hand.page.split("data-go-on")[1]))
        hand.post(
            LOOK,
            network="10.0.0.0/24",
            start=fields["start"],
            found=fields["found"].replace("&lt;", "<").replace("&gt;", ">"),
        )
    assert "data-go-on" not in hand.page
    assert asked[0] == ("10.0.0.1", "10.0.0.32") and asked[-1] == ("10.0.0.225", "10.0.0.254")
    hand.sees("desk/printer_discovery", "254 addresses", "10.0.0.7")
    assert "<i>x" not in hand.page
    hand.post(LOOK, network="10.0.0.0/24", start="999", found="10.0.0.9|<script>|0|")
    assert "10.0.0.9" not in hand.page


@pytest.mark.parametrize(
    ("network", "told"),
    [
        ("10.0.0.0/23", "at most 256 addresses"),
        ("0.0.0.0/0", "at most 256 addresses"),
        ("::1/128", "at most 256 addresses"),
        ("printers", "at most 256 addresses"),
        ("", "at most 256 addresses"),
        ("8.8.8.0/24", "outside the printer networks"),
        ("192.169.0.0/24", "outside the printer networks"),
    ],
)
def test_only_small_networks_of_printers_are_looked_at(
    floor: Floor, network: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wms.printer_talk.find", lambda addresses: pytest.fail("looked"))
    hand = floor.hand("admin")
    hand.post(LOOK, network=network, start="0")
    assert hand.status == 422
    assert told in hand.said
    supervisor = floor.hand("supervisor")
    supervisor.post(LOOK, network="10.0.0.0/24")
    assert supervisor.status == 403


def test_a_printer_is_asked_how_it_is_and_the_answer_stays(floor: Floor) -> None:
    hand = floor.hand("supervisor")
    with FakePrinter(Mode.PAPER_OUT) as zebra:
        one = change(floor, "WB1", uri=zebra.uri, dpi=300)
        path = f"/desk/printing/printers/{one}"
        hand.get(f"{path}/status")
        hand.sees("desk/printer_status", "Nobody has said yet")
        hand.post(f"{path}/ask")
        hand.sees(
            "desk/printer_status", "has answered", "1,000", "87", "Paper is out", "It says that it prints 203 dpi"
        )
        assert print_lease.lease(floor.database, floor.warehouse_id, one, "the worker")
        hand.post(f"{path}/ask")
        assert hand.status == 422
        assert "is printing" in hand.said
        print_lease.give_up(floor.database, floor.warehouse_id, one, "the worker")
    hand.post(f"{path}/ask")
    assert "did not answer" in hand.said
    told = row(floor, "WB1")
    assert (told.state, told.leased_by, told.told["odometer"]) == ("offline", "", 1000)
    hand.post(f"/desk/printing/printers/{printer(floor, 'LB1')}/ask")
    assert "no way to answer" in hand.said


@pytest.mark.parametrize("language", ["zpl", "tspl"])
def test_a_test_page_names_the_printer_and_its_codes_can_be_read(floor: Floor, language: str) -> None:
    memory("waybills").clear()
    one = change(floor, "WB1", language=language)
    hand = floor.hand("supervisor")
    for _ in range(2):
        hand.act(f"/desk/printing/printers/{one}/test-page", scan_id="pressed")
        assert hand.said == "A test page is on its way to Waybills."
    assert print_queue.serve_printer(floor.database, floor.warehouse_id, one) == 1
    [job] = memory("waybills").jobs
    from printers import test_page

    label = test_page.draw(test_page.Facts("WB1", "Waybills", language, 203, 100, 150, ""))
    [drawn] = judge.by_tspl(job, label) if language == "tspl" else judge.by_zplkit(job, label)
    assert {"TEST-WB1", "TEST-WB1 203 dpi 100x150 mm"} <= judge.read(drawn)


def test_a_roll_that_ends_is_told_on_the_board_and_at_the_printer(floor: Floor) -> None:
    hand, one = floor.hand("supervisor"), printer(floor, "LB1")
    path = f"/desk/printing/printers/{one}"
    for wrong in ("", "0", "-3", "many", "99999999"):
        hand.act(f"{path}/roll", labels=wrong)
        assert "is no number of labels" in hand.said
    hand.act(f"{path}/roll", labels="30")
    assert hand.said == "A roll of 30 labels is in Labels."
    hand.get("/desk")
    assert "left on the roll" not in hand.text()
    hand.act("/desk/labels", what="location", pattern="A-0*", printer=str(one))
    with floor.database.transaction(floor.actor()) as session:
        session.execute(update(PrintJob).values(state=PrintState.PRINTED, done_at=now(), copies=3))
        # Printed before the roll was put in: it came from the former one.
        old = session.execute(select(PrintJob).limit(1)).scalar_one()
        old.done_at = now() - timedelta(hours=1)
    for page in ("/desk", "/desk/printing"):
        hand.get(page)
        assert "About 21 labels" not in hand.text()
    with floor.database.transaction(floor.actor()) as session:
        session.execute(update(PrintJob).values(done_at=now()))
    for page in ("/desk", "/desk/printing", f"{path}/status"):
        hand.get(page)
        assert "About 18 labels are left on the roll" in hand.text(), page
    hand.act(f"{path}/roll", labels="1000")
    hand.get("/desk/printing")
    assert "left on the roll" not in hand.text()


def test_labels_are_counted_by_day_of_the_warehouse(floor: Floor) -> None:
    hand, one = floor.hand("supervisor"), printer(floor, "LB1")
    hand.act("/desk/labels", what="location", pattern="A-0*", printer=str(one))
    with floor.database.transaction(floor.actor()) as session:
        session.execute(update(PrintJob).values(state=PrintState.PRINTED, done_at=now(), copies=5))
    with floor.database.reading() as session:
        counted = printers.days(session, session.get_one(Printer, (floor.warehouse_id, one)))
    assert (counted[0][1], sum(number for _, number in counted)) == (20, 20)
    assert len(counted) == printers.DAYS
    hand.get(f"/desk/printing/printers/{one}/status")
    hand.sees("desk/printer_status", counted[0][0].isoformat())


def test_gap_and_black_mark_go_to_tspl_printers_and_graphics_to_old_zpl_ones(floor: Floor) -> None:
    admin, one = floor.hand("admin"), printer(floor, "LB1")
    told = {
        "code": "LB1",
        "name": "Labels",
        "uri": "tcp://192.168.1.20:9100",
        "dpi": "203",
        "width_mm": "70",
        "height_mm": "50",
    }
    path = f"/desk/printing/printers/{one}/save"
    for wrong in ({"gap_mm": "26"}, {"gap_mm": "x"}, {"gap_mm": "0", "black_mark": "1"}, {"graphics": "png"}):
        admin.act(path, **{**told, **wrong})
        assert "The gap between two labels" in admin.said
    for fields, begins in (
        ({"language": "tspl", "gap_mm": "3"}, b"GAP 3 mm,0 mm\r\n"),
        ({"language": "tspl", "gap_mm": "0"}, b"GAP 0 mm,0 mm\r\n"),
        ({"language": "tspl", "gap_mm": "4", "black_mark": "1"}, b"BLINE 4 mm,0 mm\r\n"),
        ({"language": "zpl", "gap_mm": "2"}, b":Z64:"),
        ({"language": "zpl", "gap_mm": "2", "graphics": "hex"}, b"^GFA"),
    ):
        admin.act(path, **{**told, **fields})
        assert admin.status == 200, admin.text()
        admin.act("/desk/labels", what="location", pattern="A-01-01-1", printer=str(one))
        with floor.database.reading() as session:
            job = session.execute(select(PrintJob.payload).order_by(PrintJob.id.desc()).limit(1)).scalar_one()
        assert begins in job
        assert (b":Z64:" in job) == (fields["language"] == "zpl" and "graphics" not in fields)
