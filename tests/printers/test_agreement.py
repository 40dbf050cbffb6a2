"""ZPL, TSPL and the preview of every template agree dot for dot, and two readers read every code on them."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image, ImageOps

from printers import languages, layouts, masking, preview, template, tspl, zpl
from printers.errors import CannotPrint, DoesNotFit
from printers.label import Label
from printers.layouts import Party, Waybill, WaybillSize
from tests.printers import judge, tspl_interpreter

DPIS = [203, 300]
SIZES: list[WaybillSize] = ["100x150", "100x180", "100x113", "76x130"]
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
CODES = {
    "carton": {"00106141411234567897"},
    "item": {"6901234567892"},
    "item-ean": {"6901234567892"},
    "location": {"L-A-01-02-03"},
    "location-3-across": {"L-A-01-02-01", "L-A-01-02-02", "L-A-01-02-03"},
    "lot": {"10B20261101-0717270501"},
    "manifest": {"JD-1121-0042"},
    "packing-list": set(),
    "pick-list": {"TEST-P-000123"},
    "tote": {"T-000123"},
    "waybill-100x113": {"JD0012345678901-1-1-"},
    "waybill-100x150": {"JD0012345678901-1-1-"},
    "waybill-100x180": {"JD0012345678901-1-1-"},
    "waybill-76x130": {"JD0012345678901-1-1-"},
}


def sample(name: str, dpi: int, language: str = "zh") -> list[Label]:
    one = template.shipped(name)
    return one.draw(one.samples, dpi, language)


def test_every_shipped_template_is_judged_here():
    assert set(CODES) == set(template.names())


@pytest.mark.parametrize("dpi", DPIS)
@pytest.mark.parametrize("name", CODES)
def test_zpl_tspl_and_preview_have_the_same_dots_and_both_readers_read_them(paper, name: str, dpi: int):
    for language in ("zh", "en"):
        labels = sample(name, dpi, language)
        first = labels[0]
        wanted = [preview.picture(label) for label in labels]
        drawn = {
            "zebrash": judge.by_zebrash(zpl.build(labels), first),
            "zplkit": judge.by_zplkit(zpl.build(labels), first),
            "tspl": judge.by_tspl(tspl.build(labels), first),
        }
        for output, pictures in drawn.items():
            assert len(pictures) == len(wanted), output
            off = [judge.differing(one, other) for one, other in zip(pictures, wanted, strict=True)]
            assert off == [0] * len(wanted), output
        for reader, found in judge.read_by_each(wanted[0]).items():
            assert found == CODES[name], reader


@pytest.mark.parametrize("dpi", DPIS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_waybill_is_one_label_in_both_languages_and_nothing_stands_at_its_edges(
    paper, variant: str, size: WaybillSize, dpi: int
):
    bill = replace(PAPER, **VARIANTS[variant])
    label = layouts.waybill_label(bill, size, dpi)
    picture = preview.picture(label)
    for one in (judge.by_zebrash, judge.by_zplkit):
        [drawn] = one(zpl.build(label), label)
        assert judge.differing(drawn, picture) == 0
    [drawn] = judge.by_tspl(tspl.build(label), label)
    assert judge.differing(drawn, picture) == 0
    assert all(found == {bill.number} for found in judge.read_by_each(picture).values())
    edges_are_clean(label, margin_mm=1.5)


@pytest.mark.parametrize("size", SIZES)
def test_a_chinese_waybill_is_small_enough_for_any_line(size: WaybillSize):
    label = layouts.waybill_label(PAPER, size, 203)
    assert len(zpl.build(label)) <= 20_000
    # TSPL has no compression, so its dots go as they are; a whole picture would be 120 kB.
    assert len(tspl.build(label)) <= 36_000


@pytest.mark.parametrize("size", SIZES)
def test_both_the_bars_and_the_square_of_a_waybill_can_be_read_alone(size: WaybillSize):
    label = layouts.waybill_label(PAPER, size)
    picture = preview.picture(label)
    squares = [mark.box for mark in label.marks if hasattr(mark, "modules")]
    bars = [mark.box for mark in label.marks if hasattr(mark, "widths")]
    assert len(squares) == 1 and bars
    for left, top, right, bottom in (*squares, *bars):
        alone = picture.crop((max(0, left - 30), top - 8, min(label.width, right + 30), bottom + 8))
        assert judge.read(alone) == {PAPER.number}


@pytest.mark.parametrize("size", SIZES)
def test_an_ordinary_waybill_is_not_cut_and_an_endless_address_is_told(size: WaybillSize):
    assert layouts.waybill_label(PAPER, size).cut == []
    endless = replace(PAPER, recipient=replace(PAPER.recipient, address=LONG * 3))
    assert {text[:6] for text in layouts.waybill_label(endless, size).cut} == {"北京市 朝阳"}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dpi", DPIS)
def test_parts_of_a_full_waybill_do_not_overlap(size: WaybillSize, dpi: int):
    label = layouts.waybill_label(replace(PAPER, **VARIANTS["long"]), size, dpi)
    total = 0
    for mark in label.marks:
        alone = Label((label.width, label.height), dpi)
        alone.marks.append(mark)
        total += ink_of(preview.picture(alone))
    assert total == ink_of(preview.picture(label))


@pytest.mark.parametrize("language", languages.LANGUAGES)
@pytest.mark.parametrize("dpi", DPIS)
@pytest.mark.parametrize("name", CODES)
def test_a_reprint_mark_stands_on_each_page_hides_nothing_and_the_codes_still_read(
    paper, name: str, dpi: int, language: languages.Language
):
    labels = sample(name, dpi)
    first = languages.build(language, labels)
    again = languages.marked_again(language, first, "补打 12", (labels[0].width, labels[0].height))
    draw = judge.by_tspl if language == "tspl" else judge.by_zplkit
    for before, after in zip(draw(first, labels[0]), draw(again, labels[0]), strict=True):
        assert judge.read(after) == CODES[name]
        assert judge.differing(before, after) > 300
        if name.startswith(("waybill", "carton")):
            added = ink_of(after) - ink_of(before)
            assert added == judge.differing(before, after), "the mark covers something"


@pytest.mark.parametrize("name", [name for name in CODES if name.startswith("waybill")])
def test_a_mark_is_all_that_a_reprint_changes(name: str):
    label = sample(name, 203)[0]
    for language in languages.LANGUAGES:
        first = languages.build(language, label)
        again = languages.marked_again(language, first, "补打 2", (label.width, label.height))
        start = next(place for place, (one, other) in enumerate(zip(first, again, strict=False)) if one != other)
        added = len(again) - len(first)
        assert again[start + added :] == first[start:] or again.endswith(first[start:])


def test_bytes_that_are_no_label_cannot_be_marked():
    for language in languages.LANGUAGES:
        with pytest.raises(ValueError):
            languages.marked_again(language, b"hello", "补打 1", (799, 1198))


@pytest.mark.parametrize("dpi", DPIS)
@pytest.mark.parametrize(
    ("build", "code"),
    [
        (lambda dpi: layouts.location_label("L-A-01-02-03", "47", dpi), "L-A-01-02-03"),
        (lambda dpi: layouts.location_label("L-01-02", "K7", dpi, human="01-02"), "L-01-02"),
        (lambda dpi: layouts.location_label("L-AREA1-01-02-03", "4711", dpi), "L-AREA1-01-02-03"),
        (
            lambda dpi: layouts.item_label("THERMOS-500-WHITE", "保温杯 500ml 白色", "6901234567892", dpi),
            "6901234567892",
        ),
        (lambda dpi: layouts.item_label("S" * 60, LONG, "SKU-12345", dpi), "SKU-12345"),
        (lambda dpi: layouts.tote_label("T-000123", dpi), "T-000123"),
        (lambda dpi: layouts.tote_label("T-000123", dpi, human="周转箱 123"), "T-000123"),
        (lambda dpi: layouts.lot_label("SKU-1", LONG, "B-07", "2027-05-01", "96", dpi), "1727050110B-07"),
        (lambda dpi: layouts.lot_label("SKU-1", "牛奶", "B-07", dpi=dpi), "10B-07"),
    ],
)
def test_a_small_label_reads_back_and_keeps_its_edges(build: Any, code: str, dpi: int):
    label = build(dpi)
    assert judge.read(preview.picture(label)) == {code}
    edges_are_clean(label, margin_mm=1)


def test_a_code_that_is_too_long_for_a_location_label_is_refused():
    with pytest.raises(DoesNotFit):
        layouts.location_label("L-WAREHOUSE-NORTH-AISLE-01-02-03")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dpi", DPIS)
def test_no_letter_on_a_waybill_is_smaller_than_can_be_read(size: WaybillSize, dpi: int):
    label = layouts.waybill_label(
        replace(PAPER, goods="国" * 400, note="", recipient=Party("国", "", "", "国" * 400)), size, dpi
    )
    assert label.letters
    assert min(label.letters) >= (22 if dpi == 203 else 27)


def test_a_name_in_a_character_without_a_picture_is_refused_by_name():
    with pytest.raises(CannotPrint) as refused:
        layouts.waybill_label(replace(PAPER, note="谢谢😀"))
    assert refused.value.characters == ("😀",)


def test_what_is_masked_differs_on_the_paper_from_what_is_not():
    """The text is in the picture alone: two open numbers that are masked alike give the same label."""
    one, other = (
        replace(
            PAPER,
            recipient=Party(
                masking.mask_name(name), masking.mask_phone(phone), "", masking.mask_address(f"幸福路6号{flat}室")
            ),
        )
        for name, phone, flat in (("张三丰", "13812345678", "1203"), ("张小龙", "13887654378", "704"))
    )
    assert zpl.build(layouts.waybill_label(one)) == zpl.build(layouts.waybill_label(other))
    assert one.recipient.phone.count("*") >= 6


def test_a_long_list_breaks_into_pages_that_lose_no_line_and_count_themselves(paper):
    lines = [layouts.ManifestLine(f"TEST{number:011d}", f"ORDER-{number}") for number in range(45)]
    pages = layouts.manifest("JD-1", "京东快递", "云仓", "2026-11-21 22:10", lines, 4100)
    assert len(pages) == 3
    assert [len(judge.by_zplkit(zpl.build(pages), pages[0])), len(tspl_interpreter.render(tspl.build(pages)))] == [3, 3]
    # Totals and signatures only on the last sheet, where the driver signs.
    low = [ink_of(preview.picture(page).crop((0, 950, page.width, 1130))) for page in pages]
    assert low[0] == low[1] == 0 < low[2]
    assert len(layouts.manifest("JD-1", "京东快递", "云仓", "", lines[:19], 0)) == 1
    assert len(layouts.manifest("JD-1", "京东快递", "云仓", "", [], 0)) == 1


def test_a_shops_logo_and_words_stand_on_the_packing_list():
    logo = io.BytesIO()
    ImageOps.expand(Image.new("L", (200, 80), 0), 10, 255).save(logo, "PNG")
    said = layouts.PackingList(
        "京东演示店", "张*", "TEST-1", "", [layouts.PackLine("A1", "保温杯", "2")], 2, greeting="感谢惠顾"
    )
    [plain] = layouts.packing_list(said)
    [pretty] = layouts.packing_list(replace(said, logo=logo.getvalue()))
    corner = (600, 24, 799, 130)
    assert ink_of(preview.picture(plain).crop(corner)) == 0
    assert ink_of(preview.picture(pretty).crop(corner)) > 5000


def test_the_preview_is_a_png_of_the_same_dots_black_on_white():
    label = layouts.location_label("L-01-02")
    opened = Image.open(io.BytesIO(preview.png(label)))
    assert opened.size == (label.width, label.height)
    assert opened.info["dpi"][0] == pytest.approx(203, abs=0.1)
    assert ImageOps.invert(opened.convert("L")).convert("1").tobytes() == preview.picture(label).tobytes()


def test_copies_come_out_as_many_as_asked_in_both_languages():
    labels = sample("item", 203)
    assert len(tspl_interpreter.render(tspl.build(labels, copies=3))) == 3
    assert re.findall(rb"\^PQ(\d+),", zpl.build(labels, copies=3)) == [b"3"]


def edges_are_clean(label: Label, margin_mm: float) -> None:
    box = preview.picture(label).getbbox()
    margin = int(margin_mm * label.dpi / 25.4) - 1
    assert box is not None
    assert box[0] >= margin
    assert box[1] >= margin
    assert box[2] <= label.width - margin
    assert box[3] <= label.height - margin


def ink_of(picture: Image.Image) -> int:
    return picture.convert("L").histogram()[255]
