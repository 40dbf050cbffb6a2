"""Ship as the dock sees it: a manifest a carrier, a scan a parcel, the sheet that is signed (R36)."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from tests.floor import Floor, Hand
from wms.flows import warehouse
from wms.models import Carrier, Parcel, Waybill


@pytest.fixture
def packed(floor: Floor) -> Floor:
    """Two parcels for one carrier, one for another, packed and labelled."""
    floor.item("A1", "6901234567892")
    floor.stock("A1", "A-01-01-1", 10)
    with floor.database.transaction(floor.actor()) as session:
        other = session.execute(select(Carrier).where(Carrier.code == "ZTO")).scalar_one()
        warehouse.add_shop(session, "OTHER", "Other shop", "csv", {}, other)
    picker, packer = floor.hand("picker"), floor.hand("packer")
    packer.get("/pack")
    packer.scan("S-PACK1")
    for number, shop in (("SO-1", "SHOP"), ("SO-2", "SHOP"), ("SO-3", "OTHER")):
        floor.release(floor.order(number, ("A1", 1), shop=shop))
        picker.get("/pick")
        picker.press("/pick/next")
        for code in ("T-001", "L-A-01-01-1", "6901234567892"):
            picker.scan(code)
        packer.scan("T-001")
        packer.scan("6901234567892")
        packer.press("/pack/weigh", weight_g="1100")
    return floor


def parcels(floor: Floor) -> list[tuple[str, str]]:
    with floor.database.reading() as session:
        return [
            (row[0], row[1])
            for row in session.execute(
                select(Parcel.code, Waybill.number).join(Waybill, Waybill.parcel_id == Parcel.id).order_by(Parcel.id)
            )
        ]


def at_manifest(floor: Floor, code: str) -> Hand:
    hand = floor.hand("packer")
    hand.get("/ship")
    hand.act("/ship/open", carrier=str(floor.carrier(code).id))
    hand.get(hand.answer.headers["X-Go"])
    return hand


def test_parcels_are_scanned_counted_and_signed_for(packed: Floor) -> None:
    (first, first_no), (second, second_no), (foreign, foreign_no) = parcels(packed)
    hand = packed.hand("packer")
    hand.get("/ship")
    hand.sees("ship/choose", "京东快递", "Parcels waiting: 2", "中通快递", "Parcels waiting: 1")
    hand = at_manifest(packed, "JD")
    path = hand.answer.request.path
    hand.sees("ship/scan_parcel", "0 on the manifest", "2 still wait")
    hand.press("/close")
    assert hand.status == 422 and "No parcel is on this manifest yet." in hand.said
    hand.scan(first_no)
    hand.sees("ship/scan_parcel", "1 on the manifest", "1 still wait", first_no)
    hand.scan(f"P-{first}")
    assert hand.status == 422 and "already on manifest" in hand.said
    hand.scan(foreign_no)
    assert hand.status == 422 and "data-block" in hand.page and "goes with 中通快递" in hand.said
    hand.scan(f"P-{second}")
    hand.get(path)
    hand.sees("ship/scan_parcel", "2 on the manifest", "0 still wait")
    hand.press("/close")
    hand.sees("ship/closed", "2 parcels", "2,200")
    hand.get(path)
    hand.sees("ship/closed")
    hand.get(f"{path}/sheet")
    hand.sees("ship/sheet", first_no, second_no, first, second, "SO-1", "SO-2", "2,200", "Parcels in all: 2")
    assert foreign_no not in hand.page
    assert foreign not in hand.page
    packed.books_are_right()


def test_opening_twice_is_one_manifest(packed: Floor) -> None:
    one, two = at_manifest(packed, "JD"), at_manifest(packed, "JD")
    assert one.answer.request.path == two.answer.request.path
    one.get("/ship")
    one.sees("ship/choose", "Go on")


def test_a_closed_manifest_takes_no_more(packed: Floor) -> None:
    (_, first_no), (_, second_no), _ = parcels(packed)
    hand = at_manifest(packed, "JD")
    path = hand.form("data-scan")
    hand.scan(first_no)
    hand.press("/close")
    hand.sees("ship/closed", "stayed here: 1")
    hand.act(path, code=second_no)
    assert hand.status == 409
    packed.books_are_right()


def test_a_picker_has_no_business_at_hand_over(packed: Floor) -> None:
    hand = packed.hand("picker")
    hand.get("/ship")
    assert hand.status == 403
