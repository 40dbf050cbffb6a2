"""What goes on each label, in the language of its printer, and what is refused before a byte goes (R31–R35)."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from datetime import date

import pytest
from PIL import Image
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from printers import languages, layouts, preview, raw
from printers.label import Label
from printers.transport import memory
from tests import ways
from tests.factories import Rows
from tests.floor import Floor
from tests.printers import judge, tspl_interpreter
from wms import components, labels, own_templates, print_lease
from wms.errors import Refusal
from wms.flows import ship
from wms.jobs import print_queue
from wms.models import (
    Carrier,
    Item,
    Journal,
    Location,
    Lot,
    Manifest,
    Order,
    Parcel,
    Printer,
    PrinterLanguage,
    PrintJob,
    PrintState,
    Shop,
    Station,
)

CARRIER = b"^XA^PW799^LL1198^FO50,100^A0N,40,40^FDcarrier^FS^PQ1,0,1,Y^XZ"
NUMBER = "TEST000000001"


@pytest.fixture
def labelled(floor: Floor) -> Iterator[Floor]:
    """One parcel of two A1 and a B2 with its label queued."""
    memory("waybills").clear()
    floor.item("A1", "6901234567892")
    floor.item("B2")
    floor.stock("A1", "A-01-01-1", 10)
    floor.stock("B2", "A-01-02-1", 10)
    order = floor.order("SO-1", ("A1", 2), ("B2", 1))
    floor.release(order)
    ways.picked(floor, order)
    ways.labelled(floor)
    yield floor


def set_printer(rows: Rows, code: str = "WB1", **columns: object) -> None:
    with rows.database.transaction(rows.actor()) as session:
        session.execute(update(Printer).where(Printer.code == code).values(**columns))


def printer(session: Session, code: str = "LB1") -> Printer:
    return session.execute(select(Printer).where(Printer.code == code)).scalar_one()


def parcel(session: Session) -> Parcel:
    return session.execute(select(Parcel)).scalars().one()


def again(rows: Rows, reason: str = "damaged") -> PrintJob:
    with rows.database.transaction(rows.actor()) as session:
        return labels.reprint(session, parcel(session), ways.station(session), reason)


def jobs(rows: Rows) -> list[PrintJob]:
    with rows.database.reading() as session:
        return list(session.execute(select(PrintJob).order_by(PrintJob.id)).scalars())


def pictures(job: PrintJob) -> list[Image.Image]:
    """What comes out of the printer that the job was built for."""
    sheet = Label.of_mm(job.width_mm, job.height_mm, job.dpi)
    draw = judge.by_tspl if job.language is PrinterLanguage.TSPL else judge.by_zplkit
    return draw(job.payload, sheet)


def requeue(rows: Rows) -> PrintJob:
    """The parcel's waybill as it would be queued now, in place of the one that is there."""
    with rows.database.transaction(rows.actor()) as session:
        first = session.execute(select(PrintJob)).scalars().one()
        first.once += ":old"
        session.flush()
        waybill = labels._live_waybill(session, parcel(session))
        assert waybill is not None
        order = session.execute(select(Order)).scalars().one()
        return labels.queue_waybill(session, parcel(session), order, waybill, ways.station(session))


def test_every_language_of_the_tables_is_one_that_can_be_built() -> None:
    sealed = set(components.PROVIDERS)  # only their platforms build those
    assert {language.value for language in PrinterLanguage} == set(languages.LANGUAGES) | sealed


def test_a_waybill_is_built_in_the_language_of_its_printer_and_looks_the_same(labelled: Floor) -> None:
    [first] = jobs(labelled)
    assert first.language is PrinterLanguage.ZPL
    assert first.payload.startswith(b"^XA")
    set_printer(labelled, language=PrinterLanguage.TSPL)
    second = requeue(labelled)
    assert second.language is PrinterLanguage.TSPL
    assert second.payload.startswith(b"SIZE 100 mm,150 mm\r\n")
    [zpl], [tspl] = pictures(first), pictures(second)
    assert judge.read(zpl) == judge.read(tspl) == {NUMBER}
    # The minute of the print may be another one.
    assert judge.differing(zpl, tspl) < 500


@pytest.mark.parametrize("size", ["100x150", "100x180", "100x113", "76x130"])
def test_each_carrier_has_its_size_and_another_paper_is_refused(labelled: Floor, size: str) -> None:
    width, height = (int(side) for side in own_templates.shipped_size_mm(f"waybill-{size}"))
    with labelled.database.transaction(labelled.actor()) as session:
        session.execute(update(Carrier).values(label_size=size))
    if size != "100x150":
        with pytest.raises(labels.WrongMedia, match=f"holds 100×150 mm labels; this one needs {width}×{height} mm"):
            requeue(labelled)
    set_printer(labelled, width_mm=width, height_mm=height)
    job = requeue(labelled)
    assert (job.width_mm, job.height_mm) == (width, height)
    assert judge.read(pictures(job)[0]) == {NUMBER}


def test_what_has_no_picture_is_marked_on_the_label_and_told_in_the_book(labelled: Floor) -> None:
    with labelled.database.transaction(labelled.actor()) as session:
        session.execute(
            update(Order).values(buyer_note="谢谢😀，😀 שלום", recipient={"name": "张三", "phone": "13800000000"})
        )
    job = requeue(labelled)
    assert job.not_drawn.split() == ["😀", "ש", "ל", "ו", "ם"]
    with labelled.database.reading() as session:
        told = session.execute(select(Journal.after).where(Journal.what == "not_drawn")).scalars().all()
    assert told == [job.not_drawn]
    assert jobs(labelled)[0].not_drawn == ""


@pytest.mark.parametrize("note", ["^XZ~JA", 'x"\r\nPRINT 9,9\r\n', "\\&_5E>", "\x1b!R", "长" * 500])
@pytest.mark.parametrize("language", [PrinterLanguage(each) for each in languages.LANGUAGES])
def test_a_buyers_note_makes_one_label_whatever_is_in_it(labelled: Floor, note: str, language: PrinterLanguage) -> None:
    set_printer(labelled, language=language)
    with labelled.database.transaction(labelled.actor()) as session:
        session.execute(update(Order).values(buyer_note=note))
    [picture] = pictures(requeue(labelled))
    assert judge.read(picture) == {NUMBER}


def test_a_reprint_on_a_printer_of_the_other_language_is_the_same_label_drawn_for_it(labelled: Floor) -> None:
    [first] = jobs(labelled)
    set_printer(labelled, language=PrinterLanguage.TSPL)
    job = again(labelled)
    assert (job.language, job.reprint_no, job.title) == (PrinterLanguage.TSPL, 1, first.title)
    [before], [after] = pictures(first), pictures(job)
    assert judge.read(after) == {NUMBER}
    # Nothing differs but the mark in the corner: the time of the first print stands on both.
    assert judge.differing(before.crop((0, 60, *before.size)), after.crop((0, 60, *after.size))) == 0
    assert judge.differing(before, after) > 300
    set_printer(labelled, language=PrinterLanguage.ZPL)
    assert again(labelled).payload.startswith(first.payload[:5000]), "on its own printer it is the first bytes again"


def test_a_reprint_on_a_printer_of_finer_dots_is_drawn_for_them(labelled: Floor) -> None:
    set_printer(labelled, dpi=300)
    job = again(labelled)
    assert job.dpi == 300
    assert judge.read(pictures(job)[0]) == {NUMBER}


def test_a_job_is_never_sent_to_a_printer_of_the_other_language(labelled: Floor) -> None:
    """However it came there: the printer was set to another language, or the job was moved."""
    set_printer(labelled, language=PrinterLanguage.TSPL)
    for key in print_lease.printers_due(labelled.database):
        print_queue.serve_printer(labelled.database, *key)
    [job] = jobs(labelled)
    assert (job.state, job.reason) == (PrintState.FAILED, "other_language")
    assert memory("waybills").jobs == []
    again(labelled)
    for key in print_lease.printers_due(labelled.database):
        print_queue.serve_printer(labelled.database, *key)
    [sent] = memory("waybills").jobs
    assert len(tspl_interpreter.render(sent)) == 1
    with labelled.database.reading() as session, pytest.raises(labels.WrongLanguage, match="built for a ZPL printer"):
        labels.check_language(job, printer(session, "WB1"))


def test_a_job_of_before_knows_its_language_by_itself(labelled: Floor) -> None:
    """The release before this one writes rows without the new columns."""
    with labelled.database.transaction(labelled.actor()) as session:
        made = session.connection().exec_driver_sql(
            "INSERT INTO printer (warehouse_id, id, code, name, uri, dpi, width_mm, height_mm, answers, paused, state,"
            " leased_by) VALUES (?, 77, 'OLD', 'old', 'memory://old', 203, 100, 150, 1, 0, 'unknown', '')",
            (labelled.warehouse_id,),
        )
        assert made.rowcount == 1
        assert printer(session, "OLD").language is PrinterLanguage.ZPL


def test_small_labels_are_built_in_the_printers_language_too(labelled: Floor) -> None:
    set_printer(labelled, "LB1", language=PrinterLanguage.TSPL, width_mm=100, height_mm=150)
    with labelled.database.transaction(labelled.actor()) as session:
        place = session.execute(select(Location).where(Location.code == "A-01-01-1")).scalar_one()
        tote = session.execute(select(Location).where(Location.code == "001")).scalar_one()
        item = session.execute(select(Item).where(Item.sku == "A1")).scalar_one()
        made = {
            "L-A-01-01-1": labels.queue_location(session, place, printer(session), "one"),
            "T-001": labels.queue_location(session, tote, printer(session), "two"),
            "6901234567892": labels.queue_item(session, item, printer(session), 3, "three"),
        }
    for code, job in made.items():
        drawn = pictures(job)
        assert len(drawn) == job.copies == (3 if code.isdigit() else 1)
        assert judge.read(drawn[0]) == {code}


def test_shelf_labels_come_three_side_by_side_and_count_as_the_paper_that_comes_out(floor: Floor) -> None:
    set_printer(floor, "LB1", width_mm=100, height_mm=30)
    with floor.database.transaction(floor.actor()) as session:
        places = session.execute(select(Location).where(Location.code.like("A-%"))).scalars().all()
        job = labels.queue_locations_across(session, places, printer(session), "sheet")
    drawn = pictures(job)
    assert len(places) == 4
    assert job.copies == len(drawn) == 2
    assert set().union(*(judge.read(picture) for picture in drawn)) == {place.barcode for place in places}


def test_a_lots_label_carries_lot_and_expiry_for_a_scan(floor: Floor) -> None:
    floor.item("MILK", lots=True)
    floor.stock("MILK", "A-01-01-1", 5, "B-07", date(2027, 5, 1))
    with floor.database.transaction(floor.actor()) as session:
        item = session.execute(select(Item)).scalars().one()
        lot = session.execute(select(Lot)).scalars().one()
        job = labels.queue_lot(session, item, lot, printer(session), 2, "lot", qty=12)
    assert judge.read(pictures(job)[0]) == {"1727050110B-07"}
    assert job.copies == 2


def test_a_carton_with_a_wrong_check_digit_is_refused(labelled: Floor) -> None:
    set_printer(labelled, "LB1", width_mm=100, height_mm=150)
    said = ["云仓", "杭州", "分拨", "上海", "PO-1", "1/2", "A1", "保温杯", "24"]
    with labelled.database.transaction(labelled.actor()) as session:
        order = session.execute(select(Order)).scalars().one()
        job = labels.queue_carton(session, order, layouts.Carton("106141411234567897", *said), printer(session), "good")
    assert judge.read(pictures(job)[0]) == {"00106141411234567897"}
    with (
        pytest.raises(labels.WrongNumber, match="should be 7"),
        labelled.database.transaction(labelled.actor()) as session,
    ):
        labels.queue_carton(session, order, layouts.Carton("106141411234567890", *said), printer(session), "bad")


def test_a_packing_list_tells_what_is_in_the_parcel_in_the_shops_words(labelled: Floor) -> None:
    with labelled.database.transaction(labelled.actor()) as session:
        session.execute(update(Shop).values(settings={"greeting": "感谢惠顾"}))
        order = session.execute(select(Order)).scalars().one()
        job = labels.queue_packing_list(session, parcel(session), order, printer(session, "WB1"), "list")
        wanted = layouts.packing_list(
            layouts.PackingList(
                shop="Test shop",
                recipient="收***",
                order_no="SO-1",
                printed_at=labels._local(labels._warehouse(session), job.created_at),
                lines=[layouts.PackLine("A1", "Item A1", "2"), layouts.PackLine("B2", "Item B2", "1")],
                pieces=3,
                greeting="感谢惠顾",
            )
        )
    assert judge.differing(pictures(job)[0], preview.picture(wanted[0])) == 0
    assert (job.copies, job.kind) == (1, "packing_list")


def test_a_packing_list_is_not_taken_for_the_parcels_label(labelled: Floor) -> None:
    [first] = jobs(labelled)
    with labelled.database.transaction(labelled.actor()) as session:
        order = session.execute(select(Order)).scalars().one()
        labels.queue_packing_list(session, parcel(session), order, printer(session, "WB1"), "list")
        newest = labels.job_of(session, parcel(session))
        assert newest is not None
        assert newest.id == first.id
    assert again(labelled).reprint_of_id == first.id


def test_a_list_without_end_is_refused_before_it_is_queued(labelled: Floor) -> None:
    rows = [(f"TEST{number:09d}", "T") for number in range(19 * 500 + 1)]
    with labelled.database.transaction(labelled.actor()) as session:
        manifest = ship.manifest_for(session, session.get_one(Carrier, parcel(session).carrier_id))
    with (
        pytest.raises(labels.TooLongToPrint),
        labelled.database.transaction(labelled.actor()) as session,
    ):
        labels.queue_manifest(session, manifest, rows, printer(session, "WB1"), "endless")
    assert len(jobs(labelled)) == 1


def test_lists_take_as_many_sheets_as_they_need_and_the_job_counts_them(labelled: Floor) -> None:
    lines = [layouts.PickLine(f"A-{n:02d}", f"SKU-{n}", "保温杯😀", "2") for n in range(25)]
    with labelled.database.transaction(labelled.actor()) as session:
        order = session.execute(select(Order)).scalars().one()
        job = labels.queue_pick_list(session, order, lines, printer(session, "WB1"), "walk", wave="W1")
    assert (job.copies, len(pictures(job)), job.not_drawn) == (3, 3, "😀")


def test_a_manifest_is_printed_with_all_its_parcels(labelled: Floor) -> None:
    with labelled.database.transaction(labelled.actor()) as session:
        carrier = session.get_one(Carrier, parcel(session).carrier_id)
        manifest = ship.manifest_for(session, carrier)
        ship.scan(session, manifest, NUMBER)
        ship.close(session, manifest)
    with labelled.database.transaction(labelled.actor()) as session:
        manifest = session.execute(select(Manifest)).scalars().one()
        rows = [(number, order_no) for number, _, order_no in ship.sheet(session, manifest)]
        job = labels.queue_manifest(session, manifest, rows, printer(session, "WB1"), "sheet")
        assert judge.read(pictures(job)[0]) == {manifest.code}


# -- labels from elsewhere


def given(rows: Rows, label: bytes, once: str = "raw") -> PrintJob:
    with rows.database.transaction(rows.actor()) as session:
        station: Station = ways.station(session)
        return labels.queue_raw(
            session, parcel(session), label, labels.printer_at(session, station, "waybill"), "from the carrier", once
        )


def png() -> bytes:
    out = io.BytesIO()
    drawn = preview.picture(Label.of_mm(100, 150).code128(0, 100, "CARRIER-1", 200, max_width=799))
    drawn.point([255, *[0] * 255], "1").save(out, "PNG")
    return out.getvalue()


def test_a_carriers_zpl_goes_to_the_printer_byte_for_byte(labelled: Floor) -> None:
    job = given(labelled, CARRIER)
    assert job.payload == CARRIER
    assert job.sha256 == hashlib.sha256(CARRIER).hexdigest()
    assert (job.copies, job.source_kind) == (1, "zpl")
    assert given(labelled, CARRIER).id == job.id, "the same cause is one job"


@pytest.mark.parametrize("language", [PrinterLanguage(each) for each in languages.LANGUAGES])
def test_a_picture_is_drawn_for_the_printer_and_kept_as_it_came(labelled: Floor, language: PrinterLanguage) -> None:
    set_printer(labelled, language=language)
    given(labelled, png())
    with labelled.database.reading() as session:
        job = session.execute(select(PrintJob).where(PrintJob.source_kind != "")).scalars().one()
        assert job.source == png()
        assert job.language is language
        assert judge.read(pictures(job)[0]) == {"CARRIER-1"}


@pytest.mark.parametrize(
    ("label", "refusal", "told"),
    [
        (b"<html>sorry</html>", labels.NotALabel, "This is no label that can be printed"),
        (CARRIER[:-3], labels.NotALabel, "it is cut or empty"),
        (CARRIER.replace(b"carrier", b"~JA"), labels.CommandInLabel, "The label holds ~JA, which changes the printer"),
        (CARRIER.replace(b"^PW799", b"^PW1199"), labels.WrongMedia, "this one needs 150×150 mm"),
    ],
)
def test_a_label_that_must_not_be_printed_is_refused_with_the_reason(
    labelled: Floor, label: bytes, refusal: type[Refusal], told: str
) -> None:
    with pytest.raises(refusal, match=told):
        given(labelled, label)
    assert len(jobs(labelled)) == 1


def test_a_carriers_zpl_is_refused_at_a_tspl_printer(labelled: Floor) -> None:
    set_printer(labelled, language=PrinterLanguage.TSPL)
    with pytest.raises(labels.WrongLanguage, match="built for a ZPL printer; Waybills speaks TSPL"):
        given(labelled, CARRIER)


def test_a_carriers_label_is_printed_again_with_the_mark_where_that_can_be(labelled: Floor) -> None:
    """R33: on its own printer the same bytes and the mark; a picture is drawn anew for any other, ZPL cannot be."""
    with labelled.database.transaction(labelled.actor()) as session:
        session.delete(session.execute(select(PrintJob)).scalars().one())
    given(labelled, CARRIER)
    assert again(labelled).payload.startswith(CARRIER[: CARRIER.index(b"^PQ")])
    set_printer(labelled, language=PrinterLanguage.TSPL)
    with pytest.raises(labels.WrongLanguage):
        again(labelled)
    set_printer(labelled, language=PrinterLanguage.ZPL, dpi=300)
    with pytest.raises(labels.WrongDpi, match="drawn for 203 dpi; Waybills prints 300 dpi"):
        again(labelled)


def test_a_carriers_picture_is_drawn_anew_for_another_printer(labelled: Floor) -> None:
    with labelled.database.transaction(labelled.actor()) as session:
        session.delete(session.execute(select(PrintJob)).scalars().one())
    given(labelled, png())
    set_printer(labelled, language=PrinterLanguage.TSPL)
    job = again(labelled)
    [picture] = pictures(job)
    assert judge.read(picture) == {"CARRIER-1"}
    assert picture.crop((600, 0, 799, 60)).getbbox(), "the mark"


def test_what_a_label_is_is_told_by_its_first_bytes() -> None:
    assert [raw.kind_of(label) for label in (CARRIER, png(), b"%PDF-1.7 x", b"")] == ["zpl", "picture", "pdf", "zpl"]
