"""Everything that is printed besides the waybill: where a person expects its button, at a printer that holds it."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image
from sqlalchemy import func, select, update

from printers.transport import memory
from tests import ways
from tests.floor import Floor, Hand
from tests.printers import judge
from wms.flows import receive
from wms.jobs import print_queue
from wms.models import (
    CartonCode,
    Item,
    Manifest,
    Order,
    OrderState,
    Parcel,
    ParcelState,
    Printer,
    PrintJob,
    StationPrinter,
    Warehouse,
    Waybill,
)

CARRIER_ZPL = b"^XA^PW799^LL1198^FO50,100^A0N,40,40^FDcarrier^FS^PQ1,0,1,Y^XZ"


@pytest.fixture
def stocked(floor: Floor) -> Floor:
    memory("waybills").clear()
    memory("labels").clear()
    floor.item("A1", "6901234567892")
    floor.item("B2")
    floor.stock("A1", "A-01-02-1", 10)
    floor.stock("B2", "A-01-01-1", 10)
    return floor


def jobs(floor: Floor) -> list[PrintJob]:
    with floor.database.reading() as session:
        return list(session.execute(select(PrintJob).order_by(PrintJob.id)).scalars())


def kinds(floor: Floor) -> list[str]:
    return [job.kind for job in jobs(floor)]


def set_warehouse(floor: Floor, **columns: object) -> None:
    with floor.database.transaction(floor.actor()) as session:
        session.execute(update(Warehouse).values(**columns))


def set_printer(floor: Floor, code: str, **columns: object) -> None:
    with floor.database.transaction(floor.actor()) as session:
        session.execute(update(Printer).where(Printer.code == code).values(**columns))


def printer(floor: Floor, code: str) -> int:
    with floor.database.reading() as session:
        return session.execute(select(Printer.id).where(Printer.code == code)).scalar_one()


def at_the_bench(floor: Floor, tote: str = "001") -> Hand:
    """A packer with all pieces of the tote verified, who is asked for the weight."""
    packer = floor.hand("packer")
    packer.get("/pack")
    packer.scan("S-PACK1")
    packer.scan(f"T-{tote}")
    packer.scan("6901234567892")
    packer.sees("pack/weigh")
    return packer


def one_order(floor: Floor, *lines: tuple[str, int]) -> int:
    order = floor.order("SO-1", *(lines or (("A1", 1),)))
    floor.release(order)
    return order


def test_a_pick_list_is_printed_from_the_order_in_walking_order(stocked: Floor) -> None:
    order, hand = one_order(stocked, ("A1", 2), ("B2", 1)), stocked.hand("supervisor")
    path = f"/desk/orders/{order}"
    hand.get(path)
    hand.sees("desk/order", "Print the pick list")
    for _ in range(2):
        hand.act(f"{path}/pick-list", scan_id="pressed")
        assert hand.said == "The pick list is on its way to Waybills."
    [job] = jobs(stocked)
    assert (job.kind, job.title, job.copies) == ("pick_list", "SO-1", 1)
    ways.picked(stocked, order)
    hand.act(f"{path}/pick-list")
    assert hand.said == "Order SO-1 has nothing left to fetch from the shelves."
    set_printer(stocked, "WB1", width_mm=76, height_mm=130)
    hand.act(f"{path}/pick-list")
    assert "No printer holds labels of 100 × 150 mm or larger" in hand.said


def test_the_pick_lists_of_a_wave_are_printed_from_the_page_that_released_it(stocked: Floor) -> None:
    ids, hand = [stocked.order(f"SO-{number}", ("A1", 1)) for number in range(3)], stocked.hand("supervisor")
    hand.post("/desk/orders/release", which="chosen", order=[str(each) for each in ids])
    hand.sees("desk/released", "Print the pick lists")
    hand.press("pick-lists", wave=re.findall(r'name="wave" value="(\d+)"', hand.page)[0])
    assert hand.said == "3 pick lists are on their way to Waybills."
    assert [job.title for job in jobs(stocked)] == ["SO-0", "SO-1", "SO-2"]
    hand.act("/desk/orders/pick-lists", wave="7")
    assert hand.status == 404


def test_a_packing_list_comes_out_with_the_waybill_where_the_warehouse_wants_it(stocked: Floor) -> None:
    set_warehouse(stocked, packing_lists=True)
    with stocked.database.transaction(stocked.actor()) as session:
        station = ways.station(session)
        session.add(
            StationPrinter(
                warehouse_id=station.warehouse_id,
                station_id=station.id,
                kind="packing_list",
                printer_id=station.waybill_printer_id,
            )
        )
    ways.picked(stocked, one_order(stocked))
    packer = at_the_bench(stocked)
    packer.press("/pack/weigh", weight_g="500")
    assert packer.said == "Weighed. The label comes out at your station."
    assert kinds(stocked) == ["waybill", "packing_list"]
    assert print_queue.serve_printer(stocked.database, stocked.warehouse_id, printer(stocked, "WB1")) == 2


def test_without_a_printer_for_the_list_the_parcel_goes_on_and_the_packer_is_told(stocked: Floor) -> None:
    set_warehouse(stocked, packing_lists=True)
    ways.picked(stocked, one_order(stocked))
    packer = at_the_bench(stocked)
    packer.press("/pack/weigh", weight_g="500")
    assert packer.feeling == "look"
    assert "the packing list does not: Labels holds 70×50 mm labels; this one needs 100×150 mm" in packer.said
    assert kinds(stocked) == ["waybill"]
    stocked.books_are_right()


def test_more_is_printed_for_the_last_parcel_at_the_bench_and_at_the_desk(stocked: Floor) -> None:
    order = one_order(stocked)
    ways.picked(stocked, order)
    packer = at_the_bench(stocked)
    packer.press("/pack/weigh", weight_g="500")
    packer.sees("pack/scan_tote", "Packing list")
    assert "SSCC" not in packer.text(), "no company prefix, no container numbers"
    with stocked.database.reading() as session:
        parcel = session.execute(select(Parcel)).scalar_one()
    packer.act("/pack/more", parcel_id=str(parcel.id), kind="carton")
    assert "needs your GS1 company prefix" in packer.said
    packer.act("/pack/more", parcel_id=str(parcel.id), kind="packing_list")
    assert packer.said == f"{parcel.code}: on its way to Waybills."
    set_warehouse(stocked, gs1_prefix="0614141")
    hand = stocked.hand("supervisor")
    hand.get(f"/desk/orders/{order}")
    hand.sees("desk/order", "Packing list", "Carton label")
    for _ in range(2):
        hand.act(f"/desk/orders/{order}/print", parcel=str(parcel.id), kind="carton")
        assert hand.status == 200, hand.text()
    cartons = [job for job in jobs(stocked) if job.kind == "carton"]
    assert len(cartons) == 2 and len({job.title for job in cartons}) == 1, "a parcel keeps its number"
    sscc = cartons[0].title.removeprefix("SSCC ")
    from printers import template

    label = template.shipped("carton").draw({"sscc": sscc})[0]
    [drawn] = judge.by_zplkit(cartons[0].payload, label)
    assert f"00{sscc}" in judge.read(drawn)
    with stocked.database.reading() as session:
        assert session.execute(select(func.count()).select_from(CartonCode)).scalar_one() == 1
    hand.act(f"/desk/orders/{order}/print", parcel="7", kind="carton")
    assert hand.status == 404


def test_container_numbers_are_never_given_twice_whatever_prefix_comes_and_goes(stocked: Floor) -> None:
    from wms import labels
    from wms.flows import label_templates

    seen = set()
    for prefix in ("0614141", "1234567", "0614141", "12345678"):
        with stocked.database.transaction(stocked.actor()) as session:
            label_templates.save_what_is_printed(session, packing_lists=False, gs1_prefix=prefix)
            item = session.execute(select(Item).limit(1)).scalar_one()
            for _ in range(3):
                seen.add(labels.carton_code(session, item).sscc)
    assert len(seen) == 12
    with stocked.database.transaction(stocked.actor()) as session:
        session.execute(update(Warehouse).values(gs1_prefix="123456789012", next_carton=10_000))
    with pytest.raises(labels.NoCartonNumbersLeft), stocked.database.transaction(stocked.actor()) as session:
        labels.carton_code(session, session.execute(select(Item).limit(1)).scalar_one())


def test_goods_that_came_in_get_labels_of_their_lot_or_their_item(floor: Floor) -> None:
    floor.item("A1", "6901234567892")
    milk = floor.item("MILK", "04006381333931", lots=True)
    with floor.database.transaction(floor.actor()) as session:
        receive.add_purchase_order(session, "PO-7", "Supplier", [(session.get_one(Item, milk.id), 60)])
    hand = floor.hand("picker")
    hand.get("/receive")
    hand.scan("R-PO-7")
    path = hand.form("data-scan").rsplit("/", 1)[0]
    hand.act(f"{path}/labels", kind="lot", copies="1")
    assert hand.said == "Book goods in first; their labels can then be printed."
    hand.scan("04006381333931")
    hand.press("/book", item=str(milk.id), qty="24", lot="B7", expiry="2027-05-01")
    hand.sees("receive/scan_item", "Print lot labels")
    hand.act(f"{path}/labels", kind="lot", copies="3", printer=str(printer(floor, "LB1")))
    assert hand.said == "3 labels are on their way to Labels."
    hand.act(f"{path}/labels", kind="lot", copies="3")
    assert hand.said == "Choose a printer.", "both hold such labels, and this phone stands at no station"
    for wrong in ("0", "x", "999999"):
        hand.act(f"{path}/labels", kind="lot", copies=wrong, printer=str(printer(floor, "LB1")))
        assert hand.status == 422
    hand.act(f"{path}/labels", kind="carton")
    assert "needs your GS1 company prefix" in hand.said
    set_warehouse(floor, gs1_prefix="0614141")
    hand.get("/receive")
    hand.sees("receive/scan_item", "Print a carton label (SSCC)")
    hand.act(f"{path}/labels", kind="carton")
    assert hand.said == "1 labels are on their way to Waybills."
    assert [(job.kind, job.copies) for job in jobs(floor)] == [("lot", 3), ("carton", 1)]


def test_the_sheet_of_a_closed_manifest_is_printed_on_labels(stocked: Floor) -> None:
    ways.picked(stocked, one_order(stocked))
    parcel = ways.labelled(stocked)
    ways.handed_over(stocked, parcel)
    with stocked.database.reading() as session:
        manifest = session.execute(select(Manifest)).scalar_one()
    hand = stocked.hand("packer")
    hand.act(f"/ship/{manifest.id}/print")
    assert hand.said == f"Manifest {manifest.code} is still open. Close it first."
    hand.get(f"/ship/{manifest.id}")
    hand.press("/close")
    hand.sees("ship/closed", "Print the sheet on labels")
    hand.press("/print")
    assert hand.said == "The sheet is on its way to Waybills."
    assert kinds(stocked) == ["waybill", "manifest"]


def upload(floor: Floor, order: int, number: str, label: bytes, **more: str) -> Hand:
    """A supervisor gives a label from the carrier's own page; the hand shows what came of it."""
    hand = floor.hand("supervisor")
    hand.get(f"/desk/orders/{order}")
    found = re.findall(r'name="parcel" value="(\d+)"', hand.page)
    with floor.database.reading() as session:
        newest = session.execute(select(Parcel.id).order_by(Parcel.id.desc()).limit(1)).scalar_one()
    fields = {"parcel": found[0] if found else str(newest), "label_number": number, "weight_g": "500"}
    fields |= {"printer": str(printer(floor, "WB1"))} | more
    hand.post(f"/desk/orders/{order}/label", **fields, file=(io.BytesIO(label), "label.bin"))
    return hand


@pytest.fixture
def verified(stocked: Floor) -> tuple[Floor, int]:
    order = one_order(stocked)
    ways.picked(stocked, order)
    ways.verified(stocked)
    return stocked, order


def picture(kind: str) -> bytes:
    drawn, out = Image.new("L", (799, 1199), 255), io.BytesIO()
    drawn.paste(0, (100, 100, 500, 300))
    drawn.save(out, kind, resolution=203.0, dpi=(203, 203))
    return out.getvalue()


@pytest.mark.parametrize("kind", ["zpl", "png", "pdf"])
def test_a_label_from_the_carriers_own_page_becomes_the_parcels_waybill(verified: tuple[Floor, int], kind: str) -> None:
    floor, order = verified
    label = CARRIER_ZPL if kind == "zpl" else picture(kind)
    hand = upload(floor, order, " sf9990000000001 ", label)
    assert hand.status == 303, hand.text()
    [job] = jobs(floor)
    with floor.database.reading() as session:
        waybill, parcel = session.execute(select(Waybill)).scalar_one(), session.execute(select(Parcel)).scalar_one()
        assert session.get_one(Order, (floor.warehouse_id, order)).state is OrderState.PACKED
    assert (waybill.number, parcel.state, parcel.weight_g) == ("SF9990000000001", ParcelState.LABELLED, 500)
    assert (job.kind, job.once) == ("waybill", f"waybill:{waybill.id}")
    if kind == "zpl":
        assert job.payload == CARRIER_ZPL, "byte for byte"
    # R33: the same bytes again with a mark; a second number, or a second parcel with this one, is refused.
    packer = floor.hand("packer")
    packer.get("/pack")
    packer.scan("S-PACK1")
    packer.act("/pack/reprint", parcel_id=str(parcel.id), reason="lost")
    assert packer.status == 200, packer.text()
    again = upload(floor, order, "SF9990000000002", label)
    assert again.status == 422
    assert "already has the number SF9990000000001" in again.said
    packer.get("/ship")
    ways.handed_over(floor, parcel.id)
    floor.books_are_right()


@pytest.mark.parametrize(
    ("number", "label", "more", "told"),
    [
        ("", CARRIER_ZPL, {}, "letters, digits or dashes"),
        ("SF 1;DROP", CARRIER_ZPL, {}, "letters, digits or dashes"),
        ("TEST000000007", CARRIER_ZPL, {}, "handed out here"),
        ("SF9990000000001", b"", {}, "Choose a file|This is no label"),
        ("SF9990000000001", b"hello", {}, "This is no label"),
        ("SF9990000000001", b"^XA~JA^XZ", {}, "a printer|holds ~JA"),
        ("SF9990000000001", b"%PDF-1.4 broken", {}, "This is no label"),
        ("SF9990000000001", CARRIER_ZPL.replace(b"1198", b"1500"), {}, "this one needs"),
        ("SF9990000000001", CARRIER_ZPL, {"weight_g": "0"}, "is not a weight"),
        ("SF9990000000001", CARRIER_ZPL, {"weight_g": "9" * 5000}, "is not a weight"),
        ("SF9990000000001", CARRIER_ZPL, {"printer": ""}, "Choose a printer"),
        ("SF9990000000001", CARRIER_ZPL, {"printer": "7"}, "does not exist"),
        ("SF9990000000001", CARRIER_ZPL, {"parcel": "7"}, "does not exist"),
    ],
)
def test_a_label_or_a_number_that_will_not_do_leaves_everything_as_it_was(
    verified: tuple[Floor, int], number: str, label: bytes, more: dict[str, str], told: str
) -> None:
    floor, order = verified
    hand = upload(floor, order, number, label, **more)
    assert hand.status in (422, 404)
    assert re.search(told, hand.text()), hand.text()
    assert jobs(floor) == []
    with floor.database.reading() as session:
        assert session.execute(select(Waybill)).first() is None
        assert session.execute(select(Parcel.state)).scalar_one() is ParcelState.VERIFIED


def test_a_number_that_was_used_and_a_parcel_that_is_not_verified_are_refused(stocked: Floor) -> None:
    order = one_order(stocked, ("A1", 1))
    ways.picked(stocked, order)
    ways.on_the_bench(stocked)
    hand = upload(stocked, order, "SF9990000000001", CARRIER_ZPL)
    assert "is not verified yet" in hand.said
    with stocked.database.transaction(stocked.actor()) as session:
        from wms.flows import pack

        one = session.execute(select(Parcel)).scalar_one()
        pack.put_in(session, one, session.execute(select(Item).where(Item.sku == "A1")).scalar_one(), 1)
    assert upload(stocked, order, "SF9990000000001", CARRIER_ZPL).status == 303
    second = stocked.order("SO-2", ("A1", 1))
    stocked.release(second)
    ways.picked(stocked, second, "002")
    ways.verified(stocked, "002")
    assert "was used before" in upload(stocked, second, "SF9990000000001", CARRIER_ZPL).said
