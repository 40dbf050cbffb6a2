"""Carriers at the desk: what they are, their pools of numbers, and the warning before one runs dry (R32, R33)."""

from __future__ import annotations

import io
from typing import Any

import pytest
from sqlalchemy import func, select

from tests import ways
from tests.connectors.workbook import xlsx
from tests.floor import Floor, Hand
from wms import waybills
from wms.models import Carrier, Parcel, Printer, Shop, Waybill, WaybillRange, WaybillStock

ABOUT: dict[str, Any] = {
    "code": "yto",
    "name": "圆通速递",
    "label_size": "76x130",
    "number_hint": "YT[0-9]{13}",
    "check_standard": "",
    "numbers_from": "bought",
    "warn_below": "5",
    "collect_hours": "24",
    "silent_days": "3",
    "lost_days": "10",
    "promised_days": "5",
}


def carrier(floor: Floor, code: str) -> Carrier:
    with floor.database.reading() as session:
        return session.execute(select(Carrier).where(Carrier.code == code)).scalar_one()


def added(floor: Floor, **other: Any) -> tuple[Hand, Carrier]:
    hand = floor.hand("admin")
    hand.act("/desk/carriers/save", **{**ABOUT, **other})
    assert hand.status == 200, hand.text()
    return hand, carrier(floor, str(other.get("code", "YTO")).upper())


def sends(hand: Hand, row: Carrier, content: bytes, name: str = "numbers.txt", act: str = "take") -> str:
    return hand.post(f"/desk/carriers/{row.id}/numbers", file=(io.BytesIO(content), name), act=act)


def pool(floor: Floor, row: Carrier) -> int:
    with floor.database.reading() as session:
        return waybills.left(session, floor.warehouse_id).get(row.id, 0)


def test_a_carrier_is_added_and_changed_by_an_admin(floor: Floor) -> None:
    hand, row = added(floor)
    assert (row.code, row.label_size, row.number_hint, row.warn_below) == ("YTO", "76x130", "YT[0-9]{13}", 5)
    hand.get(hand.answer.headers["X-Go"])
    hand.sees("desk/carrier", "圆通速递", "None left")
    hand.act(f"/desk/carriers/{row.id}/save", **{**ABOUT, "name": "圆通", "check_standard": "S10"})
    assert (carrier(floor, "YTO").name, carrier(floor, "YTO").check_standard) == ("圆通", "S10")
    below = floor.hand("supervisor")
    below.get(f"/desk/carriers/{row.id}")
    below.sees("desk/carrier", "Add a range")
    assert "Label size" not in below.text()
    below.act("/desk/carriers/save", **{**ABOUT, "code": "X"})
    assert below.status == 403
    packer = floor.hand("packer")
    packer.get("/desk/carriers")
    assert packer.status == 403


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"code": "y t"}, "1 to 24 letters"),
        ({"code": "JD"}, "There is a carrier with the code JD already."),
        ({"number_hint": "YT["}, "YT[ is no pattern."),
        ({"label_size": "A4"}, "Choose one of the values"),
        ({"check_standard": "Luhn"}, "Choose one of the values"),
        ({"numbers_from": "air"}, "Choose one of the values"),
        ({"lost_days": "0"}, "whole number from 1 to 720"),
    ],
)
def test_what_cannot_be_a_carrier_is_told(floor: Floor, wrong: dict[str, str], words: str) -> None:
    hand = floor.hand("admin")
    hand.act("/desk/carriers/save", **{**ABOUT, **wrong})
    assert (hand.status, words in hand.said) == (422, True), hand.said


def test_a_secret_is_kept_and_never_shown(floor: Floor) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    hand, row = added(floor, service_url="https://labels.example.com", service_secret=secret)
    hand.get(f"/desk/carriers/{row.id}")
    assert secret not in hand.page
    hand.act(f"/desk/carriers/{row.id}/save", **ABOUT, service_url="https://other.example.com", service_secret="")
    assert carrier(floor, "YTO").service == {"url": "https://other.example.com", "secret": secret}


def test_a_used_up_range_is_replaced_while_the_packer_packs_on(floor: Floor) -> None:
    floor.item("A1")
    floor.stock("A1", "A-01-01-1", 3)
    hand, row = floor.hand("supervisor"), carrier(floor, "JD")
    with floor.database.transaction(floor.actor()) as session:
        for each in session.execute(select(WaybillRange).where(WaybillRange.carrier_id == row.id)).scalars():
            each.next_no = each.last_no
        session.get_one(Carrier, row.id).warn_below = 3
    hand.get("/desk")
    hand.sees("desk/today", "京东快递", "Only 1 waybill numbers are left.")
    numbers = []
    for n in range(2):
        if n:
            hand.act(f"/desk/carriers/{row.id}/range", prefix="JDX", first="0007", last="0099")
            assert hand.said == "93 numbers more for 京东快递."
        _order, parcel_id = ways.shipped(floor, f"SO-{n}", ("A1", 1), tote=f"00{n + 1}")
        with floor.database.reading() as session:
            parcel = session.get_one(Parcel, (floor.warehouse_id, parcel_id))
            found = waybills.live(session, parcel)
            assert found is not None
            numbers.append(found.number)
    assert numbers == ["TEST000099999", "JDX0007"]
    hand.get("/desk")
    assert "waybill numbers are left" not in hand.text()
    floor.books_are_right()


def test_a_range_of_a_standard_has_its_check_digits(floor: Floor) -> None:
    hand, row = added(floor, code="EMS", check_standard="S10", number_hint="")
    hand.act(f"/desk/carriers/{row.id}/range", prefix="RB", first="12345678", last="12345680", suffix="CN")
    assert hand.said == "3 numbers more for 圆通速递.", hand.said
    floor.item("A1")
    (parcel_id,) = ways.loose_parcels(floor, floor.order("SO-1", ("A1", 1)), "EMS", 1)
    with floor.database.transaction(floor.actor()) as session:
        parcel = session.get_one(Parcel, (floor.warehouse_id, parcel_id))
        assert waybills.take(session, parcel).number == "RB123456785CN"
    hand.act(f"/desk/carriers/{row.id}/range", prefix="RB", first="1234", last="1299", suffix="CN")
    assert (hand.status, "cannot be a number of S10" in hand.said) == (422, True)


@pytest.mark.parametrize(
    ("range_", "words"),
    [
        ({"prefix": "TEST", "first": "99999", "last": "100001", "digits": "9"}, "are already in a range."),
        ({"prefix": "TEST0", "first": "1", "last": "5", "digits": "8"}, "are already in a range."),
        ({"prefix": "TE", "first": "1", "last": "5", "digits": "x"}, ""),
        ({"prefix": "N", "first": "9", "last": "1"}, "A range is a prefix"),
        ({"prefix": "N", "first": "", "last": "1"}, "A range is a prefix"),
        ({"prefix": "N%", "first": "1", "last": "2"}, "A range is a prefix"),
        ({"prefix": "N", "first": "1", "last": "20"}, "A range is a prefix"),
    ],
)
def test_ranges_that_cannot_be_are_refused(floor: Floor, range_: dict[str, str], words: str) -> None:
    hand, row = floor.hand("supervisor"), carrier(floor, "JD")
    hand.act(f"/desk/carriers/{row.id}/range", **range_)
    assert hand.status == (422 if words else 200), hand.text()
    assert words in hand.said


def test_a_used_up_range_cannot_be_added_again(floor: Floor) -> None:
    """R33: numbers of a range are not free again because they are gone."""
    hand, row = floor.hand("supervisor"), carrier(floor, "JD")
    with floor.database.transaction(floor.actor()) as session:
        used = session.execute(select(WaybillRange).where(WaybillRange.carrier_id == row.id)).scalar_one()
        used.next_no = used.last_no + 1
    hand.act(f"/desk/carriers/{row.id}/range", prefix="TEST", first="000000001", last="000099999")
    assert (hand.status, "are already in a range." in hand.said) == (422, True), hand.said


def test_a_list_of_numbers_says_of_each_line_why_it_was_left_out(floor: Floor) -> None:
    hand, row = added(floor)
    floor.hand("supervisor").act(f"/desk/carriers/{row.id}/range", prefix="YT1", first="000", last="999")
    lines = "运单号\nYT 1234-5678 90123\nYT1234567890123\nYT1005\n短\nYT1234567890124\nABCD99\n\n"
    sends(hand, row, lines.encode("gb18030"), act="look")
    hand.sees(
        "desk/carrier", "3 numbers would be taken, 3 lines left out.", "stands in the file twice", "lies in a range"
    )
    assert pool(floor, row) == 1000
    sends(hand, row, lines.encode("gb18030"))
    hand.sees("desk/carrier", "3 numbers were taken, 3 lines left out.", "is no waybill number", "such as ABCD99")
    assert pool(floor, row) == 1003
    sends(hand, row, b"YT1234567890124\nYT1234567890125")
    hand.sees("desk/carrier", "1 numbers were taken, 1 lines left out.", "YT1234567890124 is in the pool already.")
    with floor.database.reading() as session:
        assert session.execute(select(func.count()).select_from(WaybillStock)).scalar_one() == 4


def test_only_a_chosen_standard_proves_numbers(floor: Floor) -> None:
    hand, row = added(floor, code="FDX", number_hint="", check_standard="FedEx")
    sends(hand, row, b"986578788855\n986578788854\n12345")
    hand.sees("desk/carrier", "1 numbers were taken, 2 lines left out.", "form or check digit is wrong")
    hand, free = added(floor, code="ZZ", number_hint="")
    sends(hand, free, b"986578788854")
    hand.sees("desk/carrier", "1 numbers were taken, 0 lines left out.")


def test_a_list_may_be_a_workbook(floor: Floor) -> None:
    hand, row = added(floor)
    sends(hand, row, xlsx([["序号", "面单号"], ["1", "YT1234567890123"], ["2", "YT1234567890124"]]), "单号.xlsx")
    hand.sees("desk/carrier", "2 numbers were taken, 0 lines left out.")
    sends(hand, row, b"\x89PNG\r\n\x1a\n0000", "scan.png")
    assert (hand.status, "picture" in hand.said) == (422, True), hand.text()
    hand.post(f"/desk/carriers/{row.id}/numbers", act="take")
    assert (hand.status, hand.said) == (422, "Choose a file first.")


def test_bought_numbers_go_to_parcels_in_their_order_and_used_ones_never_come_back(floor: Floor) -> None:
    hand, row = added(floor)
    sends(hand, row, b"YT1000000000001\nYT1000000000002")
    floor.item("A1")
    floor.stock("A1", "A-01-01-1", 5)
    with floor.database.transaction(floor.actor()) as session:
        session.execute(select(Shop)).scalar_one().carrier_id = row.id
        session.execute(select(Printer).where(Printer.code == "WB1")).scalar_one().width_mm = 76
        session.execute(select(Printer).where(Printer.code == "WB1")).scalar_one().height_mm = 130
    for n in range(2):
        ways.shipped(floor, f"SO-{n}", ("A1", 1), tote=f"00{n + 1}")
    with floor.database.reading() as session:
        assert list(session.execute(select(Waybill.number).order_by(Waybill.id)).scalars()) == [
            "YT1000000000001",
            "YT1000000000002",
        ]
        assert set(session.execute(select(WaybillStock.parcel_id)).scalars()) == set(
            session.execute(select(Parcel.id)).scalars()
        )
    sends(hand, row, b"YT1000000000001")
    hand.sees("desk/carrier", "0 numbers were taken, 1 lines left out.", "was used already")
    floor.books_are_right()
