"""Which row a code means: what the step expects first, then a fixed order, and a question where two fit (R14)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, select

from tests import ways
from tests.factories import Rows
from wms import lookup, scan
from wms.clock import now
from wms.db import Database
from wms.errors import AmbiguousCode, UnexpectedCode, UnknownCode
from wms.flows import catalogue, receive, warehouse
from wms.models import Carrier, LocationKind, Order, OrderState, Parcel, Waybill, WaybillState, new_id
from wms.settings import Settings


@pytest.fixture
def rows(database: Database, settings: Settings) -> Rows:
    return Rows(database, settings.secret_key)


def find(rows: Rows, text: str, *expects: str) -> lookup.Found:
    with rows.database.reading() as session:
        return lookup.find(session, rows.warehouse_id, text, expects)


def test_what_the_step_expects_comes_first_then_totes_parcels_items_places(rows: Rows) -> None:
    """One text, many meanings: 001 is a tote and a SKU and a place and an order."""
    rows.item("001", "X1")
    rows.order("001", ("001", 1))
    with rows.database.transaction(rows.actor()) as session:
        warehouse.add_location(session, "001", LocationKind.STORAGE, 0, "")
        receive.add_purchase_order(session, "001", "S", [])
    assert find(rows, "001").kind == "tote"
    for expected in ("item", "location", "receipt", "order", "tote"):
        assert find(rows, "001", expected).kind == expected
    for own, kind in (
        ("T-001", "tote"),
        ("L-001", "location"),
        ("I-001", "item"),
        ("R-001", "receipt"),
        ("O-001", "order"),
    ):
        assert find(rows, own, "item", "tote").kind == kind, "a prefix leaves no doubt, whatever the step expects"


def test_an_item_is_found_by_every_code_it_has(rows: Rows) -> None:
    rows.item("Cup-1", "6901234567892", case=("16901234567899", 12))
    for text, pieces in (
        ("6901234567892", 1),
        ("06901234567892", 1),
        ("16901234567899", 12),
        ("CUP-1", 1),
        ("cup-1", 1),
        ("Cup-1", 1),
        ("I-CUP-1", 1),
        ("]E06901234567892", 1),
        ("0106901234567892\x1d10L1", 1),
        ("(02)06901234567892(37)7", 7),
        ("(02)16901234567899(37)7", 84),
        ("(01)16901234567899", 12),
        ("(01)16901234567899(37)12", 12),
        ("(00)345678901234567895(02)16901234567899(37)4(10)L1", 48),
        ("https://example.com/01/06901234567892?10=L1", 1),
    ):
        found = find(rows, text, "item")
        assert (found.kind, found.name, found.pieces) == ("item", "Cup-1", pieces), text


def test_a_sku_of_digits_is_found_though_it_looks_like_a_barcode(rows: Rows) -> None:
    rows.item("96385074", "OTHER")
    assert find(rows, "96385074", "item").name == "96385074"
    assert find(rows, "]E496385074", "item").name == "96385074"


def test_a_case_that_nobody_entered_is_not_guessed(rows: Rows) -> None:
    """R15: its piece is known, its number of pieces is not; it is named, and nothing is counted."""
    rows.item("Cup-1", "6901234567892")
    for text in ("16901234567899", "]C10116901234567899", "(02)16901234567899(37)2", "86901234567898"):
        with pytest.raises(lookup.UnknownCase, match="is a case of Cup-1") as refused:
            find(rows, text, "item")
        assert refused.value.answer == "look"
    with pytest.raises(UnknownCode, match="Nobody knows"):
        find(rows, "26901234560054", "item")


def test_a_count_beside_a_case_that_can_mean_two_things_is_asked_about(rows: Rows) -> None:
    """R14: five cases of twelve, or a case with five in it? (37) belongs to (02), where it is clear."""
    rows.item("Cup-1", "6901234567892", case=("16901234567899", 12))
    with pytest.raises(lookup.UnclearCount) as refused:
        find(rows, "(01)16901234567899(37)5", "item")
    assert str(refused.value).startswith("The label says 5, and a case of Cup-1 holds 12.")
    assert find(rows, "(01)06901234567892(37)5", "item").pieces == 5


def test_eight_digits_that_two_items_claim_are_asked_about(rows: Rows) -> None:
    """R14: sound as an EAN-8 and as a UPC-E; one known meaning is taken, two are a question."""
    ean8, upc_e = "01234558", "012345000058"
    rows.item("A1", upc_e)
    assert find(rows, ean8, "item").name == "A1"
    rows.item("B2", ean8)
    with pytest.raises(AmbiguousCode, match="A1, B2"):
        find(rows, ean8, "item")
    assert find(rows, f"]E4{ean8}", "item").name == "B2"
    assert find(rows, upc_e, "item").name == "A1"


def test_a_weighed_pack_is_found_by_any_pack_of_its_item(rows: Rows) -> None:
    scan.use(scan.Rules.of(["22IIIIIWWWWWC"]))
    try:
        rows.item("FISH", scan.with_check_digit("221234500350"))
        found = find(rows, scan.with_check_digit("221234501275"), "item")
        assert (found.name, found.pieces, found.scanned.grams) == ("FISH", 1, 1275)
    finally:
        scan.use(scan.Rules())


@pytest.mark.parametrize("number", ["301234567893", "690123456789", "6901234567892", "96385074", "16901234567899"])
def test_a_number_that_could_be_a_products_is_found_where_it_is_none(rows: Rows, number: str) -> None:
    """One in ten of any twelve digits is a sound UPC-A: a shop's order number stays what was printed."""
    rows.item("A1")
    rows.order(number, ("A1", 1))
    with rows.database.transaction(rows.actor()) as session:
        warehouse.add_location(session, number, LocationKind.TOTE, 0, "")
        receive.add_purchase_order(session, number, "S", [])
    for kind in ("order", "tote", "receipt"):
        assert find(rows, number, kind).kind == kind
        assert find(rows, f"]C0{number}\r", kind).kind == kind


def test_an_unknown_code_is_said_to_be_unknown(rows: Rows) -> None:
    """R13: unknown, and wrong for this step, are two messages."""
    for text in (
        "NOBODY",
        "T-999",
        "L-999",
        "6901234567892",
        "",
        "   ",
        "\x00",
        "U-abc",
        "x" * 600,
        "0106901234567892",
    ):
        with pytest.raises(UnknownCode, match="Nobody knows"):
            find(rows, text, "item")


def test_an_unknown_waybill_is_called_one(rows: Rows) -> None:
    """R13: the worker holds another warehouse's parcel, or its label was not printed here."""
    for text in ("JDVA00000000001", "JDVA00000000001-1-1-", "]Q1JDVA00000000001-1-2-7"):
        with pytest.raises(lookup.UnknownWaybill) as refused:
            find(rows, text, "item")
        assert str(refused.value).startswith("JDVA00000000001 looks like a waybill of JD 京东")
    with pytest.raises(lookup.UnknownWaybill, match="STO 申通 / YD 韵达"):
        find(rows, "430000000000001", "parcel")
    with pytest.raises(UnknownCode, match="Nobody knows"):
        find(rows, "430000000000001", "item")


def test_a_known_code_of_another_class_says_what_was_expected_and_what_was_read(rows: Rows) -> None:
    """R12."""
    rows.item("A1")
    with rows.database.reading() as session:
        with pytest.raises(UnexpectedCode) as refused:
            lookup.expect(session, rows.warehouse_id, "A1", "location")
        assert str(refused.value) == "Scan a location. A1 is an item."
        with pytest.raises(UnexpectedCode, match=r"Scan an item. 001 is a tote."):
            lookup.expect(session, rows.warehouse_id, "T-001", "item")


def test_virtual_places_cannot_be_scanned(rows: Rows) -> None:
    for code in ("SUPPLIER", "CUSTOMER", "ADJUST", "SCRAP"):
        with pytest.raises(UnknownCode):
            find(rows, f"L-{code}", "location")


def test_two_orders_of_two_shops_with_one_number_are_asked_about_never_guessed(rows: Rows) -> None:
    rows.item("A1")
    with rows.database.transaction(rows.actor()) as session:
        second = warehouse.add_shop(session, "TWO", "Second shop", "csv", {}, None)
    rows.order("SO-1", ("A1", 1))
    with rows.database.transaction(rows.actor()) as session:
        session.add(
            Order(
                warehouse_id=rows.warehouse_id,
                id=new_id(),
                shop_id=second.id,
                shop_order_no="SO-1",
                state=OrderState.READY,
                taken_in_at=now(),
            )
        )
    with pytest.raises(AmbiguousCode) as refused:
        find(rows, "SO-1", "order")
    assert "can mean more than one thing" in str(refused.value)
    assert refused.value.answer == "look"


def test_one_number_of_two_carriers_is_asked_about(rows: Rows) -> None:
    rows.item("A1")
    rows.stock("A1", "A-01-01-1", 9)
    parcels = []
    for number, tote in (("SO-1", "001"), ("SO-2", "002")):
        order = rows.order(number, ("A1", 1))
        rows.release(order)
        ways.picked(rows, order, tote)
        parcels.append(ways.labelled(rows, tote))
    with rows.database.transaction(rows.actor()) as session:
        first = session.execute(select(Waybill).where(Waybill.parcel_id == parcels[0])).scalar_one()
        other = session.execute(select(Carrier).where(Carrier.code == "ZTO")).scalar_one()
        session.execute(
            Waybill.__table__.update()
            .where(Waybill.parcel_id == parcels[1])  # type: ignore[attr-defined]
            .values(carrier_id=other.id, number=first.number)
        )
    with pytest.raises(AmbiguousCode):
        find(rows, first.number, "parcel")


@pytest.mark.parametrize(
    "number", ["YT0001", "690123456789", "6901234567892", "0106901234567892", "0106901234567892A7", "75000000000019"]
)
def test_a_parcel_is_found_by_any_carriers_number(rows: Rows, number: str) -> None:
    """A number of 12 to 14 digits may look like a product's, a longer one like GS1: here a parcel is expected."""
    rows.item("A1")
    rows.stock("A1", "A-01-01-1", 9)
    order = rows.order("SO-1", ("A1", 1))
    rows.release(order)
    ways.picked(rows, order)
    parcel_id = ways.labelled(rows)
    with rows.database.transaction(rows.actor()) as session:
        session.execute(Waybill.__table__.update().values(number=number))  # type: ignore[attr-defined]
    for text in (number, number.lower(), f"]C0{number}", f" {number}\r\n"):
        assert find(rows, text, "parcel").row.id == parcel_id, text


@pytest.mark.parametrize(
    ("number", "texts"),
    [
        ("JDVA00000000001", ["JDVA00000000001-1-1-", "jdva00000000001-1-1-5", "]Q1JDVA00000000001N1S1H5"]),
        ("SF7444404156506", ["MMM={'k1':'755W','k4':'T4','k5':'SF7444404156506','k6':''}"]),
        ("JDVA00000000001-1-1-", ["JDVA00000000001-1-1-"]),
        ("345678901234567895", ["00345678901234567895", "(00)345678901234567895", "345678901234567895"]),
        ("00345678901234567895", ["00345678901234567895", "]C100345678901234567895"]),
    ],
)
def test_a_parcel_is_found_by_all_that_its_carrier_prints(rows: Rows, number: str, texts: list[str]) -> None:
    rows.item("A1")
    rows.stock("A1", "A-01-01-1", 9)
    order = rows.order("SO-1", ("A1", 1))
    rows.release(order)
    ways.picked(rows, order)
    parcel_id = ways.labelled(rows)
    with rows.database.transaction(rows.actor()) as session:
        session.execute(Waybill.__table__.update().values(number=number))  # type: ignore[attr-defined]
    for text in texts:
        for expects in ((), ("parcel",), ("item",)):
            assert find(rows, text, *expects).row.id == parcel_id, (text, expects)


def test_a_voided_number_still_leads_to_its_parcel(rows: Rows) -> None:
    """R33: it must be found to be stopped."""
    rows.item("A1")
    rows.stock("A1", "A-01-01-1", 9)
    order = rows.order("SO-1", ("A1", 1))
    rows.release(order)
    ways.picked(rows, order)
    parcel_id = ways.labelled(rows)
    with rows.database.transaction(rows.actor()) as session:
        session.execute(Waybill.__table__.update().values(state=WaybillState.VOID))  # type: ignore[attr-defined]
        session.add(
            Waybill(
                warehouse_id=rows.warehouse_id,
                id=new_id(),
                number="NEW1",
                parcel_id=parcel_id,
                carrier_id=session.get_one(Parcel, (rows.warehouse_id, parcel_id)).carrier_id,
                at=session.get_one(Parcel, (rows.warehouse_id, parcel_id)).opened_at,
            )
        )
    assert find(rows, "TEST000000001", "parcel").row.id == find(rows, "NEW1", "parcel").row.id == parcel_id


@pytest.mark.parametrize("code", ["L-A-01", "t-001", "P-X", "]C0L-A-01", "\ufeffL-A-01", "\u200bI-9", "R-1", " O-2 "])
def test_a_barcode_that_looks_like_an_own_label_is_refused_when_it_is_entered(rows: Rows, code: str) -> None:
    """R14."""
    with pytest.raises(catalogue.LooksLikeOwnLabel), rows.database.transaction(rows.actor()) as session:
        catalogue.add_item(session, "A1", "A1", barcodes=[(code, 1)])


def test_a_barcode_used_elsewhere_is_refused_and_says_where(rows: Rows) -> None:
    rows.item("A1", "6901234567892")
    for code in ("6901234567892", "06901234567892", " 6901234567892\r"):
        with (
            pytest.raises(catalogue.BarcodeTaken, match="already means A1"),
            rows.database.transaction(rows.actor()) as session,
        ):
            catalogue.add_item(session, "B2", "B2", barcodes=[(code, 1)])


def test_an_empty_barcode_is_not_kept(rows: Rows) -> None:
    with rows.database.transaction(rows.actor()) as session:
        catalogue.add_item(session, "A1", "A1", barcodes=[("  ", 1), ("\r\n", 1)])
        catalogue.add_item(session, "B2", "B2", barcodes=[("", 1)])
    with pytest.raises(UnknownCode):
        find(rows, " ", "item")


@contextmanager
def counted(rows: Rows) -> Iterator[list[str]]:
    """The statements that the database was asked inside."""
    asked: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append(statement)

    event.listen(rows.database.engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(rows.database.engine, "before_cursor_execute", note)


@pytest.mark.parametrize(
    ("text", "expects"),
    [
        ("6901234567892", ("item", "tote")),
        ("16901234567899", ("item", "tote")),
        ("]C10106901234567892\x1d10L1", ("item", "tote")),
        ("(02)16901234567899(37)2", ("item", "tote")),
        ("L-A-01-01-1", ("location", "tote")),
        ("A-01-01-1", ("location", "tote")),
        ("T-001", ("location", "tote")),
        ("I-Cup-1", ("item",)),
    ],
)
def test_a_scan_that_is_expected_asks_the_database_once(rows: Rows, text: str, expects: tuple[str, ...]) -> None:
    """docs/benchmarks.md, "Where a scan's time goes": each statement on this way is paid by every scan."""
    rows.item("Cup-1", "6901234567892", case=("16901234567899", 12))
    most = 2 if text == "I-Cup-1" else 1  # a SKU is no barcode: asked for after them
    with rows.database.reading() as session:
        lookup.find(session, rows.warehouse_id, text, expects)
        with counted(rows) as asked:
            lookup.find(session, rows.warehouse_id, text, expects)
    assert len(asked) == most, asked
