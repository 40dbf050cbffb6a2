"""Every label is judged as printed: drawn by another interpreter, its codes read, its edges looked at."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from printers import masking
from printers.errors import CannotPrint, DoesNotFit
from printers.layouts import (
    Party,
    Waybill,
    WaybillSize,
    item_label,
    location_label,
    tote_label,
    waybill,
    waybill_label,
)
from printers.zpl import marked_again

DOTS = [(203, 8), (300, 12)]
SIZES: list[WaybillSize] = ["100x150", "76x130"]
LONG = "内蒙古自治区锡林郭勒盟东乌珠穆沁旗乌里雅斯太镇" * 8

PAPER = Waybill(
    number="JD0012345678901-1-1-",
    carrier_name="京东快递",
    sort_code="330-A12-005",
    hub="北京亦庄分拨",
    recipient=Party("张*", "138******78", "北京市 朝阳区", "阜通东大街6号方恒国际中心12号楼*单元*室"),
    sender=Party("云仓一号", "400******21", "浙江省 杭州市", "五常街道仓前路88号3号库"),
    order_no="TEST-20261121-000123",
    goods="保温杯 500ml 白色 ×2",
    note="请轻放",
    parcel_no="1/2",
    weight_g=1250,
    printed_at_text="2026-11-21 22:10",
)
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "english": {
        "language": "en",
        "carrier_name": "Test Express",
        "hub": "Beijing 2",
        "recipient": Party("J***", "138******78", "Beijing", "6 Futong East Street, Building 12"),
        "sender": Party("Cloud Store", "400******21", "Hangzhou", "88 Cangqian Road"),
        "goods": "Thermos x2",
        "note": "Call first",
    },
    "long": {
        "number": "JD0012345678901-10-12-",
        "sort_code": "010 内蒙古锡林郭勒 A12-005-8899",
        "hub": LONG,
        "recipient": Party("阿***" * 9, "138******78 / 139******78", LONG, LONG),
        "sender": Party(LONG, "400******21", LONG, LONG),
        "order_no": "TEST-" + "0123456789" * 8,
        "goods": LONG,
        "note": "x" * 300,
        "carrier_name": LONG,
        "parcel_no": "100/100",
    },
    "bare": {
        "sort_code": "",
        "hub": "",
        "goods": "",
        "note": "",
        "weight_g": 0,
        "parcel_no": "",
        "printed_at_text": "",
    },
}


@pytest.mark.parametrize(("dpi", "dpmm"), DOTS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_waybill_is_one_label_with_a_code_that_reads_and_nothing_at_its_edges(
    paper, variant: str, size: WaybillSize, dpi: int, dpmm: int
):
    bill = replace(PAPER, **VARIANTS[variant])
    width, height = (int(side) for side in size.split("x"))
    built = waybill(bill, size, dpi)
    [picture] = paper.render(built, width, height, dpmm)
    # The long code and the square one, each by itself.
    low = picture.height * 66 // 100
    assert paper.read_codes(picture.crop((0, 0, picture.width, low))) == {bill.number}
    corner = picture.crop((picture.width // 2, low, picture.width, picture.height * 86 // 100))
    assert paper.read_codes(corner) == {bill.number}
    _edges_are_clean(picture, dpmm, dpi, margin_mm=1.5)
    if dpi == 203 and variant == "plain":
        assert len(built) <= 20_000


@pytest.mark.parametrize("size", SIZES)
def test_an_ordinary_waybill_is_not_cut_and_an_endless_address_is_told(size: WaybillSize):
    assert waybill_label(PAPER, size).cut == []
    endless = replace(PAPER, recipient=replace(PAPER.recipient, address=LONG * 3))
    assert [text[:6] for text in waybill_label(endless, size).cut] == ["北京市 朝阳"]


@pytest.mark.parametrize("size", SIZES)
def test_fields_of_a_full_waybill_do_not_overlap(paper, size: WaybillSize):
    label = waybill_label(replace(PAPER, **VARIANTS["long"]), size)
    width, height = (int(side) for side in size.split("x"))
    head, *fields, tail = label.build().split(b"^FO")
    tail, end = tail.split(b"^PQ")
    alone = [
        paper.render(head + b"^FO" + field + b"^XZ", width, height)[0].point(lambda grey: grey < 128, "1")
        for field in [*fields, tail]
    ]
    together = paper.render(label.build(), width, height)[0].point(lambda grey: grey < 128, "1")
    inks = [sum(picture.convert("L").histogram()[1:]) for picture in alone]
    assert sum(inks) == sum(together.convert("L").histogram()[1:])
    assert end


@pytest.mark.parametrize("size", SIZES)
def test_a_reprint_mark_hides_nothing_and_the_code_still_reads(paper, size: WaybillSize):
    width, height = (int(side) for side in size.split("x"))
    first = waybill(PAPER, size)
    [before], [after] = (paper.render(one, width, height) for one in (first, marked_again(first, "补打 12")))
    assert paper.read_codes(after) == {PAPER.number}
    changed = [
        (x, y)
        for y in range(before.height)
        for x in range(before.width)
        if before.getpixel((x, y)) != after.getpixel((x, y))
    ]
    assert changed
    assert all(before.getpixel(place) == 255 for place in changed)


@pytest.mark.parametrize(("dpi", "dpmm"), DOTS)
@pytest.mark.parametrize(
    ("build", "code", "width", "height"),
    [
        (lambda dpi: location_label("L-A-01-02-03", "47", dpi), "L-A-01-02-03", 60, 40),
        (lambda dpi: location_label("L-01-02", "K7", dpi, human="01-02"), "L-01-02", 60, 40),
        (lambda dpi: location_label("L-AREA1-01-02-03", "4711", dpi), "L-AREA1-01-02-03", 60, 40),
        (
            lambda dpi: item_label("THERMOS-500-WHITE", "保温杯 500ml 白色", "6901234567892", dpi),
            "6901234567892",
            50,
            30,
        ),
        (lambda dpi: item_label("S" * 60, LONG, "SKU-12345", dpi), "SKU-12345", 50, 30),
        (lambda dpi: tote_label("T-000123", dpi), "T-000123", 70, 50),
        (lambda dpi: tote_label("T-000123", dpi, human="周转箱 123"), "T-000123", 70, 50),
    ],
)
def test_a_small_label_reads_back_also_with_a_reprint_mark(
    paper, build: Any, code: str, width: int, height: int, dpi: int, dpmm: int
):
    built = build(dpi)
    [picture] = paper.render(built, width, height, dpmm)
    assert paper.read_codes(picture) == {code}
    _edges_are_clean(picture, dpmm, dpi, margin_mm=1)
    [again] = paper.render(marked_again(built, "补打 2"), width, height, dpmm)
    assert paper.read_codes(again) == {code}
    assert picture.tobytes() != again.tobytes()


@pytest.mark.parametrize("code", ["L-A-01-02-03", "T-000123"])
def test_both_the_bars_and_the_square_of_a_small_label_can_be_read_alone(paper, code: str):
    [picture] = paper.render(location_label(code), 60, 40)
    assert paper.read_codes(picture.crop((0, 0, picture.width, 180))) == {code}
    assert paper.read_codes(picture.crop((0, 180, picture.width, picture.height))) == {code}


def test_a_code_that_is_too_long_for_a_location_label_is_refused():
    with pytest.raises(DoesNotFit):
        location_label("L-WAREHOUSE-NORTH-AISLE-01-02-03")


@pytest.mark.parametrize("size", SIZES)
def test_han_characters_on_a_waybill_are_never_smaller_than_twenty_dots(size: WaybillSize):
    built = waybill(replace(PAPER, goods="国" * 400, note="", recipient=Party("国", "", "", "国" * 400)), size)
    rows = [int(total) // int(row) for total, row in re.findall(rb"\^GFA,(\d+),\d+,(\d+),", built)]
    assert rows
    assert min(rows) >= 20


def test_a_name_in_a_character_without_a_picture_is_refused_by_name():
    with pytest.raises(CannotPrint) as refused:
        waybill(replace(PAPER, note="谢谢😀"))
    assert refused.value.characters == ("😀",)


def test_masked_data_stays_masked_on_the_label():
    party = Party(
        masking.mask_name("Zhang San"),
        masking.mask_phone("13812345678"),
        "",
        masking.mask_address("Road 6 Room 1203"),
    )
    bill = replace(PAPER, **{**VARIANTS["english"], "recipient": party})
    built = waybill(bill)
    for open_text in (b"Zhang", b"13812345678", b"8123", b"1203"):
        assert open_text not in built
    assert b"138******78" in built


def _edges_are_clean(picture: Any, dpmm: int, dpi: int, margin_mm: float) -> None:
    ink = picture.point(lambda grey: 255 * (grey < 128)).getbbox()
    margin = int(margin_mm * dpi / 25.4) - 1
    right, bottom = (side * dpi / 25.4 / dpmm for side in picture.size)
    assert ink[0] >= margin
    assert ink[1] >= margin
    assert ink[2] <= right - margin
    assert ink[3] <= bottom - margin
